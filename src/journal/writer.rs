//! The one writer: fills a group, writes it, rolls to the next segment.
//!
//! Invariants: `durable <= written`; a group is written only when all before it are durable; no
//! group crosses a segment; of each segment one page is left for its roll mark and one for an end
//! mark; once poisoned, nothing is ever written again.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{AlignedBuffer, Disk, DiskFile, PAGE_BYTES};
use crate::id::Watermark;

use super::error::{JournalError, io_error};
use super::frame::{self, GroupKind, SegmentHeader, offset_of, pages_for, segment_path};
use super::group::{GroupBuffer, Stamp};
use super::oldest::Oldest;
use super::reader::Reader;
use super::room::{Reservation, Room, promisable};
use super::scan::Tail;
use super::supply::{Prepared, Supply};
use super::{Bounds, Durable, MARK_PAGES, Placed, Position, PushError, Written};

/// A journal open for writing; owned by the committer.
#[derive(Debug)]
pub struct Journal {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) identity: [u8; 16],
    pub(super) bounds: Bounds,
    pub(super) room: Room,
    pub(super) supply: Supply,
    pub(super) reader: Reader,
    pub(super) segment: Current,
    pub(super) group: GroupBuffer,
    /// Pages that the open group's records had reserved.
    pub(super) reserved: u32,
    /// The open group begins the next segment.
    pub(super) roll_first: bool,
    /// The number of the group to be written next.
    pub(super) group_next: u64,
    /// The check that it links to.
    pub(super) link: u32,
    pub(super) durable: Watermark,
    /// The last group is an end mark.
    pub(super) ended: bool,
    pub(super) poisoned: bool,
}

/// The segment being written.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) header: SegmentHeader,
    /// The first page that no group holds.
    pub(super) page: u32,
}

impl Current {
    /// Pages left for records.
    pub(super) fn left(&self) -> u32 {
        self.header.pages.saturating_sub(self.page).saturating_sub(MARK_PAGES)
    }
}

impl Journal {
    /// Where room is taken.
    #[must_use]
    pub fn room(&self) -> Room {
        self.room.clone()
    }

    /// Where records are read back.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// What reads and removes the oldest segments.
    #[must_use]
    pub fn oldest(&self) -> Oldest {
        Oldest {
            disk: Arc::clone(&self.disk),
            dir: self.dir.clone(),
            identity: self.identity,
            held: self.supply.held(),
            reader: self.reader.clone(),
        }
    }

    /// The last record pushed, whether durable or not.
    #[must_use]
    pub fn written(&self) -> Written {
        Written { watermark: Watermark(self.durable.0 + u64::from(self.group.records())) }
    }

    /// The last record that is durable.
    #[must_use]
    pub fn durable(&self) -> Durable {
        Durable { watermark: self.durable }
    }

    /// Adds a record to the open group: `kind`, and as body the `parts` one after another. Copies
    /// them once. Nothing is durable before [`Journal::commit`] returns.
    ///
    /// # Errors
    /// [`PushError::GroupFull`]: commit, and push it again with the reservation it gives back.
    pub fn push(
        &mut self,
        kind: u8,
        parts: &[&[u8]],
        reservation: Reservation,
    ) -> Result<Placed, PushError> {
        if self.poisoned {
            return Err(PushError::Poisoned);
        }
        let body_bytes: usize = parts.iter().map(|part| part.len()).sum();
        let alone = frame::pages_alone(body_bytes);
        let body_bytes_32 = u32::try_from(body_bytes).ok();
        let (Some(body_bytes_32), true) = (body_bytes_32, alone <= reservation.pages() as usize)
        else {
            let reserved = u64::from(reservation.pages()) * PAGE_BYTES as u64;
            let needed = alone as u64 * PAGE_BYTES as u64;
            return Err(PushError::ReservationTooSmall { needed, reserved });
        };

        let payload_bytes = self.group.payload_bytes_with(body_bytes);
        let pages = pages_for(payload_bytes);
        if self.group.records() > 0 {
            let left =
                if self.roll_first { self.bounds.fresh_pages() } else { self.segment.left() };
            if payload_bytes > self.bounds.group_bytes_max || pages > left as usize {
                return Err(PushError::GroupFull(reservation));
            }
        } else {
            self.roll_first = pages > self.segment.left() as usize;
        }

        let offset = self.group.push(kind, parts, body_bytes_32);
        self.reserved += reservation.use_up();
        let position = if self.roll_first {
            Position { segment: self.segment.header.segment + 1, page: 1, offset }
        } else {
            Position { segment: self.segment.header.segment, page: self.segment.page, offset }
        };
        Ok(Placed { number: self.written().watermark, position })
    }

    /// Writes the open group; it and all before it are durable when this returns. Blocks for the
    /// write. Without an open group it writes nothing.
    ///
    /// # Errors
    /// Any I/O error, met here or in preparing segments, poisons the journal: every later call
    /// fails, and whether the group was written is known only when it is opened again.
    pub fn commit(&mut self) -> Result<Durable, JournalError> {
        self.guarded(Self::commit_group)
    }

    /// Stops cleanly: commits, and writes an end mark.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn end(mut self) -> Result<(), JournalError> {
        self.guarded(|journal| {
            journal.commit_group()?;
            if journal.ended {
                return Ok(());
            }
            let mut mark = GroupBuffer::new(1);
            let stamp = journal.stamp(GroupKind::End, journal.segment.header.salt);
            let (bytes, _link) = mark.finish(stamp);
            journal.write(journal.segment.page, bytes)
        })?;
        self.supply.end()
    }

    fn guarded<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned);
        }
        let done = act(self);
        if done.is_err() {
            self.poisoned = true;
            self.room.poison();
        }
        done
    }

    fn commit_group(&mut self) -> Result<Durable, JournalError> {
        self.supply.poll()?;
        if self.group.records() == 0 {
            return Ok(self.durable());
        }
        if self.roll_first {
            self.roll()?;
        }
        let stamp = self.stamp(GroupKind::Records, self.segment.header.salt);
        let page = self.segment.page;
        let records = u64::from(self.group.records());
        let (bytes, link) = self.group.finish(stamp);
        // Fits: a segment has at most u32::MAX pages.
        let pages = u32::try_from(bytes.len() / PAGE_BYTES).unwrap_or(u32::MAX);
        let path = || segment_path(&self.dir, self.segment.header.segment);
        let written = self.segment.file.write_durable_at(offset_of(page), bytes);
        written.map_err(|source| JournalError::Io { action: "writing", path: path(), source })?;

        let before = promisable(self.segment.left(), self.bounds.alone_pages_max);
        self.segment.page += pages;
        let after = promisable(self.segment.left(), self.bounds.alone_pages_max);
        // Not negative: a group takes no more pages than its records had reserved.
        self.room.add(self.reserved.saturating_sub(before - after));
        self.reserved = 0;
        self.group.clear();
        self.group_next += 1;
        self.link = link;
        self.durable = Watermark(self.durable.0 + records);
        self.ended = false;
        Ok(self.durable())
    }

    fn stamp(&self, kind: GroupKind, salt: u64) -> Stamp {
        Stamp {
            kind,
            group: self.group_next,
            first_record: self.durable.0 + 1,
            previous: self.link,
            salt,
        }
    }

    fn write(&self, page: u32, bytes: &[u8]) -> Result<(), JournalError> {
        let path = segment_path(&self.dir, self.segment.header.segment);
        let written = self.segment.file.write_durable_at(offset_of(page), bytes);
        written.map_err(io_error("writing", &path))
    }

    /// Goes over to the next segment. First its header is written, then it gets its name, and only
    /// then does this one say so: whichever step is the last one done, the journal is whole, and a
    /// roll mark without a segment is damage.
    fn roll(&mut self) -> Result<(), JournalError> {
        let prepared = self.supply.take();
        let Some(Prepared { path, file, pages }) = prepared else {
            // Cannot be: what is pushed was reserved, and what was reserved stands ready.
            let source = std::io::Error::other("no segment stands ready for what was reserved");
            let (action, path) = ("rolling over in", self.dir.clone());
            return Err(JournalError::Io { action, path, source });
        };
        let mut mark = GroupBuffer::new(1);
        let (mark_bytes, mark_link) =
            mark.finish(self.stamp(GroupKind::Roll, self.segment.header.salt));

        let segment = self.segment.header.segment + 1;
        let header = SegmentHeader {
            segment,
            pages,
            first_group: self.group_next + 1,
            first_record: self.durable.0 + 1,
            previous: mark_link,
            salt: frame::salt(&self.identity, segment),
            identity: self.identity,
        };
        name_segment(&*self.disk, &self.dir, &path, &*file, &header)?;
        self.write(self.segment.page, mark_bytes)?;

        self.segment = Current { file, header, page: 1 };
        self.group_next += 1;
        self.link = mark_link;
        self.roll_first = false;
        Ok(())
    }
}

/// Makes a file of zeros a segment: its header, then its name.
pub(super) fn name_segment(
    disk: &dyn Disk,
    dir: &std::path::Path,
    from: &std::path::Path,
    file: &dyn DiskFile,
    header: &SegmentHeader,
) -> Result<(), JournalError> {
    let mut page = AlignedBuffer::new(1);
    page.pages_mut().iter_mut().for_each(|page| header.write(page));
    file.write_durable_at(0, page.bytes()).map_err(io_error("writing", from))?;
    let to = segment_path(dir, header.segment);
    disk.rename(from, &to).map_err(io_error("giving its name to", &to))?;
    disk.sync_dir(dir).map_err(io_error("syncing", dir))
}

/// Brings the disk to where the scan found the journal to end: takes away an unused segment, the
/// remains of a torn group, and makes durable what was found. Each step may be the last one done.
pub(super) fn mend(
    disk: &dyn Disk,
    dir: &std::path::Path,
    tail: &Tail,
    file: &dyn DiskFile,
) -> Result<(), JournalError> {
    // Names first: what was found may rest on one that is not durable yet.
    if let Some(unused) = tail.unused {
        let path = segment_path(dir, unused);
        disk.remove(&path).map_err(io_error("removing", &path))?;
    }
    disk.sync_dir(dir).map_err(io_error("syncing", dir))?;

    let path = segment_path(dir, tail.header.segment);
    if tail.torn_pages > 0 {
        let zeros = AlignedBuffer::new(tail.torn_pages as usize);
        file.write_durable_at(offset_of(tail.page), zeros.bytes())
            .map_err(io_error("cutting the torn group in", &path))?;
    }
    // The last group may be in memory only: its writer may have been killed before its sync, or
    // after a sync that failed, whose pages no later sync would write. So it is written again.
    if let Some((segment, page, pages)) = tail.last {
        let path = segment_path(dir, segment);
        let mut bytes = AlignedBuffer::new(pages as usize);
        let other;
        let file = if segment == tail.header.segment {
            file
        } else {
            let opened = disk.open(&path, crate::disk::Access::Write);
            other = opened.map_err(io_error("opening", &path))?;
            &*other
        };
        file.read_at(offset_of(page), bytes.bytes_mut()).map_err(io_error("reading", &path))?;
        file.write_durable_at(offset_of(page), bytes.bytes())
            .map_err(io_error("writing again the last group of", &path))?;
    }
    file.sync_data().map_err(io_error("syncing", &path))
}
