//! Reads single records back, by the position they were given. The whole group is read and
//! checked each time: a record is served as it was written or not at all.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{Access, AlignedBuffer, Disk, DiskFile, PAGE_BYTES};
use crate::id::Watermark;

use super::error::{Damage, JournalError, io_error};
use super::frame::{
    self, GROUP_HEADER_BYTES, PageHeader, PageState, SegmentHeader, offset_of, segment_path,
};
use super::group::GroupView;
use super::scan::read_header;
use super::{OwnedRecord, Position};

/// Files kept open, the least lately used going first. Few: records are read back for single
/// questions, never in answering a batch.
const FILES_OPEN_MAX: usize = 16;

/// Reads records back. A handle, to be cloned into every thread that reads.
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    open: Mutex<VecDeque<Segment>>,
}

#[derive(Debug, Clone)]
struct Segment {
    file: Arc<dyn DiskFile>,
    header: SegmentHeader,
}

impl Reader {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { shared: Arc::new(Shared { disk, dir, open: Mutex::new(VecDeque::new()) }) }
    }

    /// Closes a segment's file.
    pub(super) fn forget(&self, segment: u64) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|open| open.header.segment != segment);
    }

    /// Reads the record at `position`. Blocks for a read of its whole group.
    ///
    /// # Errors
    /// [`JournalError::NoRecord`] where none begins there (or none is written yet); damage; I/O.
    pub fn read(&self, position: Position) -> Result<OwnedRecord, JournalError> {
        let path = segment_path(&self.shared.dir, position.segment);
        let segment = self.shared.segment(position.segment)?;
        let nothing = || JournalError::NoRecord { position };
        let damaged = |page: u32, group: Option<u64>, what: &str| {
            let (path, offset, what) = (path.clone(), offset_of(page), what.to_owned());
            JournalError::Damaged(Damage { path, offset, group, what })
        };
        if position.page == 0 || position.page >= segment.header.pages {
            return Err(nothing());
        }
        let mut buffer = AlignedBuffer::new(1);
        let offset = offset_of(position.page);
        segment.file.read_at(offset, buffer.bytes_mut()).map_err(io_error("reading", &path))?;
        let first = buffer.pages().first().map(|p| PageHeader::read(p, segment.header.salt));
        let first = match first {
            None | Some(PageState::Blank) => return Err(nothing()),
            Some(PageState::Bad) => {
                return Err(damaged(position.page, None, "the page's check fails"));
            }
            Some(PageState::Intact(header)) => header,
        };
        let end = u64::from(position.page) + u64::from(first.pages);
        if first.index != 0 || first.pages == 0 || end > u64::from(segment.header.pages) {
            return Err(nothing());
        }
        if first.pages > 1 {
            buffer = AlignedBuffer::new(first.pages as usize);
            debug_assert_eq!(buffer.bytes().len(), first.pages as usize * PAGE_BYTES);
            segment.file.read_at(offset, buffer.bytes_mut()).map_err(io_error("reading", &path))?;
        }
        for (index, page) in (0..first.pages).zip(buffer.pages()) {
            let holds = matches!(PageHeader::read(page, segment.header.salt),
                PageState::Intact(header)
                    if (header.group, header.index, header.pages)
                        == (first.group, index, first.pages)
                        && header.payload_check == frame::payload_check(page));
            if !holds {
                let what = "the page is not what was written";
                return Err(damaged(position.page + index, Some(first.group), what));
            }
        }
        let mut payload = Vec::new();
        let view = GroupView::read(buffer.pages(), first.group, &mut payload)
            .map_err(|what| damaged(position.page, Some(first.group), what))?;
        let mut found = None;
        let walked = view.records(&payload, |number, offset, kind, body| {
            if offset == position.offset {
                found = Some(OwnedRecord { number: Watermark(number), kind, body: body.to_vec() });
                return Err(());
            }
            Ok(())
        });
        let _found_early =
            walked.map_err(|what| damaged(position.page, Some(first.group), what))?;
        found.ok_or_else(nothing)
    }
}

impl Shared {
    fn segment(&self, number: u64) -> Result<Segment, JournalError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|segment| segment.header.segment == number)
            && let Some(segment) = open.remove(at)
        {
            open.push_back(segment.clone());
            return Ok(segment);
        }
        drop(open);
        let path = segment_path(&self.dir, number);
        let file = self.disk.open(&path, Access::Read).map_err(io_error("opening", &path))?;
        let bytes = file.len().map_err(io_error("asking the length of", &path))?;
        let header = read_header(&*file, &path, bytes)?;
        let segment = Segment { file, header };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if header.segment == number {
            open.push_back(segment.clone());
        }
        while open.len() > FILES_OPEN_MAX {
            open.pop_front();
        }
        Ok(segment)
    }
}

const _: () = assert!(GROUP_HEADER_BYTES < frame::PAGE_PAYLOAD_BYTES);
