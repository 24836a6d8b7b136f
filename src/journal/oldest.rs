//! The oldest segments: read in order while later ones are being written, and removed once all that
//! they hold is kept elsewhere.
//!
//! Segments go from the oldest on, each one's removal durable before that of the next, and never the
//! last one. So whatever the moment of a crash, those that are left follow on one another.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::Disk;
use crate::id::Watermark;

use super::error::{BoxError, JournalError, io_error};
use super::frame::{segment_number, segment_path};
use super::reader::Reader;
use super::scan::{self, Segment};
use super::supply::Held;
use super::{Position, Record};

/// Reads and removes the oldest segments of a journal: a handle for one thread beside its writer.
#[derive(Debug)]
pub struct Oldest {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) identity: [u8; 16],
    pub(super) held: Held,
    pub(super) reader: Reader,
}

/// A segment that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beginning {
    segment: u64,
    first_record: u64,
}

impl Oldest {
    /// Hands over the records from `first` to `last` in order; all of them must be durable, and in
    /// segments that are there. Every page is checked.
    ///
    /// # Errors
    /// [`JournalError::NoRecord`] where the first is in no segment; damage; what `on_record` says;
    /// I/O.
    pub fn read(
        &self,
        first: Watermark,
        last: Watermark,
        on_record: &mut dyn FnMut(Record<'_>) -> Result<(), BoxError>,
    ) -> Result<(), JournalError> {
        if last < first {
            return Ok(());
        }
        let beginnings = self.beginnings()?;
        let from = beginnings.iter().rev().find(|there| there.first_record <= first.0);
        let Some(from) = from else {
            let position = Position::default();
            return Err(JournalError::NoRecord { position });
        };
        // Segments are opened one at a time: what comes after the last record may be half written.
        scan::scan_until(
            (&*self.disk, &self.dir, &self.identity),
            from.segment,
            last.0,
            &mut |record| if record.number < first { Ok(()) } else { on_record(record) },
        )
    }

    /// Removes the segments all of whose records are up to `through`, but not the last one. Returns
    /// how many went.
    ///
    /// # Errors
    /// I/O; damage of a segment's header.
    pub fn remove(&self, through: Watermark) -> Result<u64, JournalError> {
        let beginnings = self.beginnings()?;
        let mut removed = 0;
        for (oldest, next) in beginnings.iter().zip(beginnings.iter().skip(1)) {
            if next.first_record > through.0 + 1 {
                break;
            }
            let path = segment_path(&self.dir, oldest.segment);
            self.disk.remove(&path).map_err(io_error("removing", &path))?;
            self.disk.sync_dir(&self.dir).map_err(io_error("syncing", &self.dir))?;
            // An open file would keep its space, and what it holds would still be told.
            self.reader.forget(oldest.segment);
            removed += 1;
            self.held.removed();
        }
        Ok(removed)
    }

    /// With which record each segment begins, the oldest first.
    pub(super) fn beginnings(&self) -> Result<Vec<Beginning>, JournalError> {
        let listed = self.disk.list(&self.dir).map_err(io_error("listing", &self.dir))?;
        let numbers = listed.iter().filter_map(|entry| segment_number(&entry.name));
        numbers
            .map(|number| {
                let segment = Segment::open(&*self.disk, &self.dir, number, Some(&self.identity))?;
                let first_record = segment.header.first_record;
                Ok(Beginning { segment: number, first_record })
            })
            .collect()
    }
}
