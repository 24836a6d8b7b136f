//! Copying a journal that another process may be writing, without its lock.
//!
//! # What a reader beside the writer sees
//! Segments are never written over: a page is zeros until its group is written, once, and one group is
//! written at a time, after all before it are durable. So, whatever the moment:
//!
//! - A group that was durable before a read began is seen whole.
//! - Of the group that is being written any of its pages may be there, and a page that is read just then
//!   may be half there: its check fails. That is no damage if it is whole a moment later, so such a
//!   place is read anew some times ([`LOOKS`]) before it is told as damage.
//! - A group that is seen whole, all checks of it and its link to the one before included, is what comes
//!   next in the journal, answered or not. Its file is synced before it is copied: should the writer's
//!   machine go down, no copy knows of more than the journal has.
//!
//! So the copy ends with the last group that was seen whole, and nothing but zeros follow. It has every
//! record that was durable when the last segment was opened, and is a prefix of the journal's order. What
//! is torn is left out, and a roll mark whose segment is not copied too: it would say that one is missing.
//! (A start finds a copy to end as after a kill.)
//!
//! # Removal meanwhile
//! Segments go from the oldest on, each only once it is sealed. [`Pinned`] has them open: whoever removes
//! one takes its name and not what is in it, on any file system, and nothing has to be cleaned up after
//! a copy that is given up. Space comes back when the copy is done, no more of it than the journal had
//! when the segments were opened. Those that come later are taken by [`Pinned::extend`]; should one have come
//! and gone before that, it is missing, and told so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crc32c::crc32c_append;

use crate::disk::{AlignedBuffer, Disk};
use crate::id::Watermark;

use super::error::{Damage, JournalError, io_error};
use super::frame::{
    self, GroupKind, PageBytes, PageHeader, PageState, SegmentHeader, offset_of, segment_name,
    segment_number, segment_path,
};
use super::scan::{Found, Scan, Segment, WINDOW_PAGES};
use super::{BoxError, Record};

/// How often a place is read before it is damaged.
const LOOKS: u32 = 5;
/// Between two looks: a page that is being written is whole in far less.
const LOOK_AGAIN: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 20 });

/// The segments of a journal, held open.
#[derive(Debug)]
pub struct Pinned {
    dir: PathBuf,
    identity: [u8; 16],
    /// Each follows on the one before.
    segments: Vec<Segment>,
}

/// A segment that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedSegment {
    /// Its file's name.
    pub name: String,
    /// Its file's length.
    pub bytes: u64,
    /// CRC32C of the copy.
    pub check: u32,
}

/// Where the copy of a segment ends.
struct End {
    /// The first page that is not copied.
    page: u32,
    /// No other segment is copied after it.
    is_last: bool,
}

impl Pinned {
    /// Opens all segments of the journal in `dir`, of the data folder `identity`.
    ///
    /// # Errors
    /// Where they cannot be opened, or one is missing between two others: it may have gone meanwhile.
    pub fn take(disk: &dyn Disk, dir: &Path, identity: [u8; 16]) -> Result<Self, JournalError> {
        let mut pinned = Self { dir: dir.to_owned(), identity, segments: Vec::new() };
        pinned.extend(disk)?;
        Ok(pinned)
    }

    /// Opens those that have come since.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn extend(&mut self, disk: &dyn Disk) -> Result<(), JournalError> {
        let listed = disk.list(&self.dir).map_err(io_error("listing", &self.dir))?;
        for number in listed.iter().filter_map(|entry| segment_number(&entry.name)) {
            let next = self.segments.last().map(|last| last.header.segment + 1);
            if next.is_some_and(|next| number < next) {
                continue;
            }
            if let Some(next) = next.filter(|next| *next != number) {
                let what = format!("the segment is missing, and segment {number} follows");
                return Err(damage(segment_path(&self.dir, next), 0, what));
            }
            self.segments.push(Segment::open(disk, &self.dir, number, Some(&self.identity))?);
        }
        Ok(())
    }

    /// The record that the first segment begins with; nothing where there is no segment.
    #[must_use]
    pub fn first_record(&self) -> Option<Watermark> {
        self.segments.first().map(|first| Watermark(first.header.first_record))
    }

    /// Bytes that a copy of them takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| offset_of(segment.header.pages)).sum()
    }

    /// Copies them into the folder `to_dir`, which is there, over what an earlier copy left. Each is
    /// synced when `on_file` is told of it; the folder is not. Returns the last record that the copy has.
    ///
    /// # Errors
    /// Damage; I/O on either side.
    pub fn copy(
        mut self,
        to: &dyn Disk,
        to_dir: &Path,
        on_file: &mut dyn FnMut(CopiedSegment),
    ) -> Result<Watermark, JournalError> {
        let Some(first) = self.segments.first() else { return Ok(Watermark(0)) };
        let mut no_matter = |_: Record<'_>| Ok::<(), BoxError>(());
        let mut scan = Scan::from(&self.dir, &first.header, &mut no_matter);
        let mut rest = self.segments.as_mut_slice();
        while let Some((segment, later)) = rest.split_first_mut() {
            let end = scan.end_of(segment, later)?;
            if end.is_last {
                let synced = segment.file.sync_data();
                synced.map_err(io_error("syncing", &segment.path))?;
            }
            on_file(copy_segment(segment, end.page, to, to_dir)?);
            segment.read_anew();
            if end.is_last {
                break;
            }
            rest = later;
        }
        Ok(Watermark(scan.record - 1))
    }
}

impl Scan<'_> {
    /// Reads a segment, and tells up to where it is copied.
    fn end_of(
        &mut self,
        segment: &mut Segment,
        later: &mut [Segment],
    ) -> Result<End, JournalError> {
        self.expect_beginning(segment)?;
        let mut page = 1;
        while page < segment.header.pages {
            let found = look(segment, page, self.group)?;
            let Found::Whole { pages } = found else {
                if matches!(found, Found::Torn { .. }) && !later.is_empty() {
                    let what = "some of its pages are missing, and more follows";
                    return Err(segment.damage(page, self.group, what));
                }
                // The next one may have its name already, and nothing in it.
                self.expect_last(segment, page, later)?;
                return Ok(End { page, is_last: true });
            };
            let kind = self.group(segment, page, pages)?;
            if kind == GroupKind::Roll {
                if later.is_empty() {
                    return Ok(End { page, is_last: true });
                }
                page += pages;
                segment.expect_blank(page, self.group)?;
                return Ok(End { page, is_last: false });
            }
            page += pages;
        }
        Err(segment.damage(page, self.group, "the segment's roll mark is missing"))
    }
}

/// What stands at `page`, where group `expected` would begin. It may be written at this moment.
fn look(segment: &mut Segment, page: u32, expected: u64) -> Result<Found, JournalError> {
    for _ in 1..LOOKS {
        match segment.group_at(page, expected) {
            Err(JournalError::Damaged(_)) => {
                segment.read_anew();
                std::thread::sleep(LOOK_AGAIN);
            }
            found => return found,
        }
    }
    segment.group_at(page, expected)
}

/// Copies the pages of a segment before `end`. What goes out was checked, every byte of it.
fn copy_segment(
    segment: &mut Segment,
    end: u32,
    to: &dyn Disk,
    dir: &Path,
) -> Result<CopiedSegment, JournalError> {
    let name = segment_name(segment.header.segment);
    let path = dir.join(&name);
    match to.remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error("removing", &path)(error));
        }
        _ => {}
    }
    let bytes = offset_of(segment.header.pages);
    let file = to.create(&path, bytes).map_err(io_error("making", &path))?;
    let (mut check, mut page) = (0, 0);
    while page < end {
        let count = WINDOW_PAGES.min(end - page);
        let (header, pages) = (segment.header, segment.pages(page, count)?);
        let wrong = (page..).zip(pages).find(|(number, page)| !is_intact(&header, *number, page));
        if let Some((number, _)) = wrong {
            let (path, what) = (segment.path.clone(), "the page's check fails".to_owned());
            return Err(damage(path, offset_of(number), what));
        }
        check = crc32c_append(check, pages.as_flattened());
        let written = file.write_at(offset_of(page), pages.as_flattened());
        written.map_err(io_error("writing", &path))?;
        page += count;
    }
    let zeros = AlignedBuffer::new(WINDOW_PAGES as usize);
    while page < segment.header.pages {
        let count = WINDOW_PAGES.min(segment.header.pages - page);
        let zeros = zeros.pages().get(..count as usize).unwrap_or_default();
        check = crc32c_append(check, zeros.as_flattened());
        page += count;
    }
    file.sync_data().map_err(io_error("syncing", &path))?;
    Ok(CopiedSegment { name, bytes, check })
}

fn is_intact(header: &SegmentHeader, number: u32, page: &PageBytes) -> bool {
    if number == 0 {
        return SegmentHeader::read(page).as_ref() == Ok(header);
    }
    matches!(PageHeader::read(page, header.salt), PageState::Intact(read)
        if read.payload_check == frame::payload_check(page))
}

fn damage(path: PathBuf, offset: u64, what: String) -> JournalError {
    JournalError::Damaged(Damage { path, offset, group: None, what })
}
