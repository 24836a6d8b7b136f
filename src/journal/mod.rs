//! The journal: records in order, durable before anyone is told, and never changed.
//!
//! A record is a kind (one byte, its meaning is the caller's) and a body of bytes. Records pushed
//! together are written as one *group*, in one synced write. Groups lie one after another in
//! *segments*, files of a fixed size that are allocated before they are needed. There is one
//! writer ([`Journal`]); room is taken beforehand and from any thread ([`Room`]); records are read
//! back by position ([`Reader`]).
//!
//! # Format, version 1
//! All numbers are little endian; checks are CRC32C. Segments, groups and records are numbered
//! from 1, without gaps. A segment is named by its number, `00000000000000000001.segment`, and is
//! made of pages of 4 KiB. Page 0 is the segment header:
//!
//! | byte | length | what |
//! |---|---|---|
//! | 0 | 4 | check of all that follows in the page |
//! | 4 | 4 | format version; check, version and magic keep their places in all versions |
//! | 8 | 8 | `WAAGJRNL` |
//! | 16 | 8 | number of the segment |
//! | 24 | 4 | pages of the file, this one included |
//! | 28 | 4 | link: bytes 0 to 3 of the first page of the group before; 0 where there is none |
//! | 32 | 8 | number of the segment's first group |
//! | 40 | 8 | number of the segment's first record |
//! | 48 | 8 | salt |
//! | 56 | 16 | identity: check value of the secrets of the data folder |
//! | 72 | 4024 | zeros |
//!
//! Each other page belongs to a group, or is zero:
//!
//! | byte | length | what |
//! |---|---|---|
//! | 0 | 4 | check of the segment's salt and bytes 4 to 23 |
//! | 4 | 4 | check of bytes 24 to 4095 |
//! | 8 | 8 | number of the group |
//! | 16 | 4 | which page of the group this is, from 0 |
//! | 20 | 4 | how many pages the group has |
//! | 24 | 4072 | its part of the payload |
//!
//! The payload of a group, cut into such parts, the last one filled up with zeros:
//!
//! | byte | length | what |
//! |---|---|---|
//! | 0 | 8 | number of its first record, or that the next record will have |
//! | 8 | 8 | durable position at its writing: group |
//! | 16 | 8 | durable position at its writing: record |
//! | 24 | 4 | length of the payload, without the zeros at its end |
//! | 28 | 4 | how many records it has |
//! | 32 | 4 | link: bytes 0 to 3 of the first page of the group before, or of what the segment header has |
//! | 36 | 4 | check over bytes 4 to 7 of each page but the first |
//! | 40 | 1 | kind: 1 records, 2 end mark, 3 roll mark |
//! | 41 | 7 | zeros |
//! | 48 | | the records, each: kind (1), length of the body (4), body |
//!
//! So every bit is under the checks of its page, those of all pages under the first one's, and
//! that one under the link of the group that follows.
//!
//! An *end mark* is a group without records that a clean stop writes; a later start goes on behind
//! it. A *roll mark* is the last group of a segment and says that the next segment was made, so
//! that a missing one is noticed. The new segment gets its header and its name before the mark is
//! written; one that has nothing but its header, with no mark before it, is removed at the next
//! start. Files named `.preparing` are segments to be, and hold nothing.
//!
//! # Torn or damaged
//! One group is written at a time, so a crash can leave only the last one incomplete. We assume
//! that the device writes 4 KiB whole or not at all. A group is *torn* only if some of its pages
//! were never written (zeros, or an older number that is intact) while the others are intact, it
//! is the last, and nothing but zeros follows. A torn group was never acknowledged; it is
//! overwritten with zeros, which is durable before anything else is written. Everything else that
//! is not as written is *damage*, and is refused with its place: a page whose check fails (in the
//! last group too), all pages of a group present that do not add up, bytes where nothing was
//! written, a group or segment missing before another, a segment missing after a roll mark. What
//! cannot be told from a torn group or from nothing: a last group some of whose pages have become
//! all zeros; and the removal of all segments.
//!
//! A last group that is whole counts, acknowledged or not: at start it is written and synced once
//! more, since its writer may have been killed between write and sync.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Access, Disk, PAGE_BYTES};
use crate::id::Watermark;

mod copying;
mod error;
mod frame;
mod group;
mod oldest;
mod reader;
mod room;
mod scan;
mod supply;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use frame::segment_number;

pub use copying::{CopiedSegment, Pinned};
pub use error::{BoxError, Damage, JournalError};
pub use oldest::Oldest;
pub use reader::Reader;
pub use room::{NoRoom, NoRoomCause, Reservation, Room};
pub use writer::Journal;

use error::io_error;
use frame::{GROUP_HEADER_BYTES, PREPARING_SUFFIX, RECORD_HEADER_BYTES, SegmentHeader};
use group::GroupBuffer;
use room::promisable;
use supply::{Held, Plan, Supply};
use writer::Current;

/// How a journal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Length of a new segment in bytes, a multiple of 4,096. 256 MiB: some 2 million lines, a
    /// third of a second at 6 million lines a second.
    pub segment_bytes: u64,
    /// A group with records is closed before it would have more payload than this, in bytes. The
    /// device is fastest at 512 KiB to 1 MiB, and what waits for one group is no more than that.
    pub group_bytes_max: usize,
    /// The longest body of a record in bytes; such a record is a group of its own. A batch has at
    /// most 16 MiB, and the rest is for what is recorded beside it.
    pub record_bytes_max: usize,
    /// Check value of the secrets: a journal of others is refused.
    pub identity: [u8; 16],
    /// How many segments stand ready beside the one being written.
    pub segments_ahead: usize,
    /// How many segments there may be, the one being written and those that stand ready included.
    /// Beyond that no more room is given out until older ones are removed.
    pub segments_max: u64,
    /// No segment is made that would leave fewer bytes than this free on the disk, which then counts as
    /// full: what moves records away from the journal needs some first.
    pub reserve_bytes: u64,
    /// Write the zeros of a new segment as well as allocating them. Appends are then up to twice
    /// as fast, and each segment is written twice: worth it only where the disk is mostly idle.
    pub prefill: bool,
    /// Records are read from the beginning of this segment on; those before it must be there, and are
    /// not looked into. 1: from the first record.
    pub from_segment: u64,
    /// Prepare segments in a thread of their own. Without it they are prepared at the beginning
    /// of each commit: for simulations that must repeat exactly.
    pub prepare_in_background: bool,
}

impl Options {
    /// The defaults, for a data folder with these secrets.
    #[must_use]
    pub fn new(identity: [u8; 16]) -> Self {
        Self {
            segment_bytes: 256 << 20,
            group_bytes_max: 1 << 20,
            record_bytes_max: 17 << 20,
            identity,
            segments_ahead: 1,
            segments_max: u64::MAX,
            reserve_bytes: 0,
            prefill: false,
            from_segment: 1,
            prepare_in_background: true,
        }
    }

    fn bounds(&self) -> Result<Bounds, JournalError> {
        let check = |field, value: u64, least: u64, most: u64, unit: &str| {
            let bound = format!("{least} to {most}{unit}");
            let within = (least..=most).contains(&value);
            if within { Ok(()) } else { Err(JournalError::Option { field, value, bound }) }
        };
        // Lengths within a group are kept in 32 bits; 1 GiB is far from that and far more than
        // memory should be asked for.
        let most = 1_u64 << 30;
        check("group_bytes_max", self.group_bytes_max as u64, 4_096, most, "")?;
        check("record_bytes_max", self.record_bytes_max as u64, 1, most, "")?;
        check("segments_ahead", self.segments_ahead as u64, 1, 64, "")?;
        let least = self.segments_ahead as u64 + 1;
        check("segments_max", self.segments_max, least, u64::MAX, "")?;
        let alone = frame::pages_alone(self.record_bytes_max);
        let alone_pages_max = u32::try_from(alone).unwrap_or(u32::MAX);
        // A fresh segment must be able to promise one largest record: see `room`.
        let pages_min = 2 * u64::from(alone_pages_max) + u64::from(MARK_PAGES);
        let page = PAGE_BYTES as u64;
        let pages_max = u64::from(u32::MAX);
        let of = ", a multiple of 4096";
        let (least, most) = (pages_min * page, pages_max * page);
        check("segment_bytes", self.segment_bytes, least, most, of)?;
        if !self.segment_bytes.is_multiple_of(page) {
            let (field, value) = ("segment_bytes", self.segment_bytes);
            return Err(JournalError::Option { field, value, bound: "a multiple of 4096".into() });
        }
        let segment_pages = u32::try_from(self.segment_bytes / page).unwrap_or(u32::MAX);
        let group_bytes_max = self.group_bytes_max;
        Ok(Bounds { segment_pages, alone_pages_max, group_bytes_max })
    }
}

/// What follows from the options.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    segment_pages: u32,
    /// Pages of the largest record alone in its group.
    alone_pages_max: u32,
    group_bytes_max: usize,
}

/// Pages of a segment that records never get: the roll mark's and an end mark's.
const MARK_PAGES: u32 = 2;

impl Bounds {
    /// Pages for records in a new segment.
    fn fresh_pages(&self) -> u32 {
        self.segment_pages - 1 - MARK_PAGES
    }
}

/// Where a record stands: enough to read it back. The default is the place of none: page 0 of a
/// segment holds its header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// The first page of its group.
    pub page: u32,
    /// Where in the group's payload it begins.
    pub offset: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}, page {}, byte {}", self.segment, self.page, self.offset)
    }
}

/// A record as it is read from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number, from 1.
    pub number: Watermark,
    /// Where it stands.
    pub position: Position,
    /// As it was pushed.
    pub kind: u8,
    /// As it was pushed.
    pub body: &'a [u8],
}

/// A record read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Its number, from 1.
    pub number: Watermark,
    /// As it was pushed.
    pub kind: u8,
    /// As it was pushed.
    pub body: Vec<u8>,
}

/// The place a pushed record was given. It is not durable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its number, from 1.
    pub number: Watermark,
    /// Where it will stand.
    pub position: Position,
}

/// All records up to this one have their place; a crash may yet lose them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written {
    /// The last of them; 0 before the first.
    pub watermark: Watermark,
}

/// All records up to this one are on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Durable {
    /// The last of them; 0 before the first.
    pub watermark: Watermark,
}

/// Why a record was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The open group has no room for it: commit, then push it with this reservation.
    #[error("the open group is full")]
    GroupFull(Reservation),
    /// It is longer than what was reserved for it.
    #[error("the record needs {needed} bytes and has reserved {reserved}")]
    ReservationTooSmall {
        /// Bytes of disk that it could need.
        needed: u64,
        /// Bytes of disk reserved.
        reserved: u64,
    },
    /// An earlier error has ended this journal.
    #[error("the journal has met an error before and writes no more")]
    Poisoned,
}

/// What was found in a journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// The number of the first record kept: 1, unless older segments were sealed and removed.
    pub first_record: Watermark,
    /// How many records were read: those of segments before [`Options::from_segment`] are not among
    /// them, nor are their groups and bytes.
    pub records: u64,
    /// In how many groups, marks included.
    pub groups: u64,
    /// Bytes of disk in use: groups and segment headers.
    pub bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// The torn group at the end, if there is one.
    pub torn: Option<Torn>,
    /// The last thing written is an end mark.
    pub ended_clean: bool,
}

/// What [`verify`] found.
pub type Verified = Recovery;

/// A group that was not completely written, and so never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment's file.
    pub path: PathBuf,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it would have been.
    pub bytes: u64,
    /// Its number.
    pub group: u64,
}

/// Opens the journal in the folder `dir`, making both where they are not there. Every record is
/// handed to `on_record` in order; a torn group at the end is cut, durably, and nothing else is
/// ever taken away. The caller holds a lock on the data folder.
///
/// # Errors
/// [`JournalError::Damaged`], and others; records handed over until then are to be forgotten.
pub fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    on_record: &mut dyn FnMut(Record<'_>) -> Result<(), BoxError>,
) -> Result<(Journal, Recovery), JournalError> {
    let bounds = options.bounds()?;
    disk.create_dir(dir).map_err(io_error("making", dir))?;
    let (tail, recovery) =
        scan::scan(&*disk, dir, Some(&options.identity), options.from_segment, on_record)?;
    remove_prepared(&*disk, dir)?;

    let (segment, group_next, record_next, link) = match tail {
        Some(tail) => {
            let path = frame::segment_path(dir, tail.header.segment);
            let file = disk.open(&path, Access::Write).map_err(io_error("opening", &path))?;
            writer::mend(&*disk, dir, &tail, &*file)?;
            let current = Current { file, header: tail.header, page: tail.page };
            (current, tail.group_next, tail.record_next, tail.link)
        }
        None => (first_segment(&*disk, dir, options, &bounds)?, 1, 1, 0),
    };

    let room = Room::new(options.record_bytes_max);
    let plan = Plan {
        disk: Arc::clone(&disk),
        dir: dir.to_owned(),
        room: room.clone(),
        pages: bounds.segment_pages,
        promisable: promisable(bounds.fresh_pages(), bounds.alone_pages_max),
        ahead: options.segments_ahead,
        segments_max: options.segments_max,
        reserve_bytes: options.reserve_bytes,
        prefill: options.prefill,
    };
    let held = Held::of(segments(&*disk, dir)?);
    room.add(promisable(segment.left(), bounds.alone_pages_max));
    let supply = Supply::start(plan, held, options.prepare_in_background)?;
    let journal = Journal {
        reader: Reader::new(Arc::clone(&disk), dir.to_owned()),
        disk,
        dir: dir.to_owned(),
        identity: options.identity,
        bounds,
        room,
        supply,
        segment,
        group: GroupBuffer::new(frame::pages_for(options.group_bytes_max)),
        reserved: 0,
        roll_first: false,
        group_next,
        link,
        durable: Watermark(record_next - 1),
        ended: recovery.ended_clean,
        poisoned: false,
    };
    Ok((journal, recovery))
}

/// Reads and checks the whole journal in `dir` and changes nothing: a torn group at the end is
/// told and left. With `identity`, a journal of other secrets is refused.
///
/// # Errors
/// [`JournalError::Damaged`] with the first place that is damaged, and others.
pub fn verify(
    disk: &dyn Disk,
    dir: &Path,
    identity: Option<[u8; 16]>,
    on_record: &mut dyn FnMut(Record<'_>) -> Result<(), BoxError>,
) -> Result<Verified, JournalError> {
    scan::scan(disk, dir, identity.as_ref(), 1, on_record).map(|(_tail, recovery)| recovery)
}

/// What a journal has, as far as names and the first header tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first segment.
    pub first_segment: u64,
    /// The last one.
    pub last_segment: u64,
    /// The record that the first segment begins with.
    pub first_record: Watermark,
}

/// What the journal in `dir` has; `None` where it has no segment.
///
/// # Errors
/// I/O; damage of the first segment's header.
pub fn extent(
    disk: &dyn Disk,
    dir: &Path,
    identity: &[u8; 16],
) -> Result<Option<Extent>, JournalError> {
    let entries = disk.list(dir).map_err(io_error("listing", dir))?;
    let segments = || entries.iter().filter_map(|entry| frame::segment_number(&entry.name));
    let (Some(first_segment), Some(last_segment)) = (segments().min(), segments().max()) else {
        return Ok(None);
    };
    let first = scan::Segment::open(disk, dir, first_segment, Some(identity))?;
    let first_record = Watermark(first.header.first_record);
    Ok(Some(Extent { first_segment, last_segment, first_record }))
}

/// How many segments are in use.
fn segments(disk: &dyn Disk, dir: &Path) -> Result<u64, JournalError> {
    let entries = disk.list(dir).map_err(io_error("listing", dir))?;
    Ok(entries.iter().filter(|entry| frame::segment_number(&entry.name).is_some()).count() as u64)
}

/// Files that were to become segments when the last process ended.
fn remove_prepared(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    for entry in disk.list(dir).map_err(io_error("listing", dir))? {
        if entry.name.ends_with(PREPARING_SUFFIX) {
            let path = dir.join(entry.name);
            disk.remove(&path).map_err(io_error("removing", &path))?;
        }
    }
    Ok(())
}

fn first_segment(
    disk: &dyn Disk,
    dir: &Path,
    options: &Options,
    bounds: &Bounds,
) -> Result<Current, JournalError> {
    let path = dir.join(format!("first{PREPARING_SUFFIX}"));
    let prepared = supply::prepare(disk, &path, bounds.segment_pages, options.prefill);
    let file = prepared.map_err(io_error("preparing", &path))?;
    let header = SegmentHeader {
        segment: 1,
        pages: bounds.segment_pages,
        first_group: 1,
        first_record: 1,
        previous: 0,
        salt: frame::salt(&options.identity, 1),
        identity: options.identity,
    };
    writer::name_segment(disk, dir, &path, &*file, &header)?;
    Ok(Current { file, header, page: 1 })
}

// A record header and a group header always fit the first page beside some of the body.
const _: () = assert!(GROUP_HEADER_BYTES + RECORD_HEADER_BYTES < frame::PAGE_PAYLOAD_BYTES);
