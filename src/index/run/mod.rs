//! A run: what frozen generations of the index knew, as an immutable file on disk.
//!
//! `runs/<first record>-<last record>.run` holds every key that records of this range put into a
//! table, sorted, so that one read of 4 KiB answers one probe. A filter in memory before it keeps
//! keys that it does not have from being read for at all (one in 65,536 is).
//!
//! A run is derived: the journal makes it again, or the archive does, until a day is dropped there whose
//! keys it has. What it answers follows from the order of the records
//! alone. Its bytes follow from that and from where tables were frozen, whatever was merged before it:
//! of a key that was rejected in one table and lodged again in a later one it has both entries, where
//! one table would remember the older under a key of its own.
//!
//! - `write`, `page`, `filter`: making one. `load`: opening it. `stream`: reading all of it.
//! - `head`: copying one while others are written and merged.
//! - `many`: looking up the keys of a batch together. `merged`: several as one.
//! - `compare`: whether runs answer as others do. `count`: of each day how many were answered how. `folder`: those that there are at a start.
//!
//! # Format, version 2
//! Numbers are little endian. The file is made of pages of 4 KiB; each begins with its check, CRC32C
//! over the number of the run's first record (8 bytes), the number of the page (8) and the page's
//! bytes 4 to 4095, so that no page is taken for another. Page 0 is the header:
//!
//! | byte | length | what |
//! |---|---|---|
//! | 0 | 4 | check |
//! | 4 | 4 | format version; check, version and magic keep their places in all versions |
//! | 8 | 8 | `WAAGRUN` and a zero byte |
//! | 16 | 16 | identity: check value of the secrets of the data folder |
//! | 32 | 8 | number of the first record |
//! | 40 | 8 | number of the last record |
//! | 48 | 8 | ordinal of the first declaration |
//! | 56 | 8 | ordinal after the last declaration |
//! | 64 | 8 | place of the last record in the journal: segment |
//! | 72 | 4 | page |
//! | 76 | 4 | byte in the group's payload |
//! | 80 | 8 | entries |
//! | 88 | 8 | batches |
//! | 96 | 4 | pages of entries |
//! | 100 | 4 | pages of batches |
//! | 104 | 4 | pages of rare parts |
//! | 108 | 4 | pages of what is loaded |
//! | 112 | 8 | bytes of what is loaded: fences, filters and what is carried |
//! | 120 | 4 | bytes of what is carried |
//! | 124 | 4 | the filters are 2 to the power of this |
//! | 128 | 8 | after its last record keys of declarations before this ordinal are forgotten |
//! | 136 | 2 | and all of those are of days before this one, days since 1970-01-01 |
//!
//! Version 1 has no fields after byte 128, and is read as if nothing were forgotten.
//!
//! The sections follow in this order. A page of entries, batches or rare parts has the number of its
//! items in bytes 4 and 5, two zeros, and the items from byte 8 on; a page of what is loaded has
//! 4,092 bytes of it from byte 4 on.
//!
//! An entry (32 bytes; 127 in a page) is what a slot of the table was, sorted by key, then by bits 0
//! and 1 of its marks, then from the latest ordinal to the earliest. Of several under an LRN the first
//! stands there, and the others were displaced, having been rejected:
//!
//! | byte | length | what |
//! |---|---|---|
//! | 0 | 16 | key: high half, low half |
//! | 16 | 10 | digest of the content, and where it was rejected of the fallback too: high 64 bits, low 16 |
//! | 26 | 5 | ordinal, less that of the first declaration |
//! | 31 | 1 | bits 0 and 1: 0 under an LRN, 1 remembered rejection, 2 remembered conflict; bits 2 to 4: outcome; bit 5: it has a rare part |
//!
//! A batch (50 bytes; 81 in a page), in the order of the journal. Batches that only repeated what was
//! answered are left out, since nothing asks for their declarations:
//!
//! | byte | length | what |
//! |---|---|---|
//! | 0 | 8 | number of its record |
//! | 8 | 16 | its place in the journal: segment (8), page (4), byte (4) |
//! | 24 | 8 | ordinal of its first declaration |
//! | 32 | 4 | declarations |
//! | 36 | 8 | its one time |
//! | 44 | 2 | its day |
//! | 46 | 4 | number of its law |
//!
//! A rare part, for a declaration with a fallback lodgement that was answered for the first time, in
//! the order of ordinals; none crosses a page:
//!
//! | byte | length | what |
//! |---|---|---|
//! | 0 | 5 | ordinal, less that of the first declaration |
//! | 5 | 10 | digest with the fallback in it |
//! | 15 | 2 | the day whose law judged it |
//! | 17 | 1 | what was found of the fallback |
//! | 18 | 1 | bytes of the quoted reference; 255 where nothing is quoted, and then it ends here |
//! | 19 | 8 | the quoted moment |
//! | 27 | | the quoted reference |
//!
//! What is loaded: of each page of entries the high half of its first key (8), of each page of
//! batches its first ordinal (8), of each page of rare parts its first ordinal, less that of the
//! first declaration (8); of each filter its descriptor (seed 8, three lengths of 4) and the number
//! of its fingerprints (4); the fingerprints of all filters (2 each); and what the run carries for
//! those who recover from it, which this module does not look into.
//!
//! Keys are hashed under a secret, so that a filter needs no key of its own. It is a binary fuse
//! filter (Graf and Lemire 2022, "Binary Fuse Filters: Fast and Smaller Than Xor Filters") of 16
//! bits. There is one for each part of the keys by their top bits, so that making them takes little
//! memory at a time.
//!
//! There is no footer: the file is named only after all of it is synced, and its length is that of
//! the sections that the header counts.

mod compare;
mod count;
mod filter;
mod folder;
mod head;
mod load;
mod many;
mod merged;
mod page;
mod read;
mod stream;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::path::{Path, PathBuf};

pub use compare::difference;
pub use count::{FirstAnswers, first_answers};
pub use folder::{Folder, Found, may_begin};
pub use head::{Head, in_line};
pub(super) use merged::Merged;
pub use read::Run;
pub(super) use write::write;

use super::filed::FiledFallback;
use super::first::RunBatch;
use crate::day::Day;
use crate::disk::PAGE_BYTES;
use crate::id::{Ordinal, Watermark};
use crate::journal::Position;
use crate::outcome::Outcome;
use crate::wire::digest::{Digest, Key};

/// The newest format that is read, and the one that is written.
pub const FORMAT_VERSION: u32 = 2;
/// The oldest that is read.
const FORMAT_VERSION_LEAST: u32 = 1;

const MAGIC: [u8; 8] = *b"WAAGRUN\0";
/// Ends the names of runs.
pub const SUFFIX: &str = ".run";
/// Ends the names of files that are to become runs.
pub const PREPARING_SUFFIX: &str = ".preparing";

/// Bytes of memory and of disk that a run needs for each entry beside the entry itself, rounded up: a
/// fingerprint of 2 bytes times 1.16 (parts of 131,072 keys and more), and 8 bytes for 127 entries.
pub const LOADED_BYTES_PER_ENTRY: f64 = 2.5;

/// Bytes that are loaded of a run of so many entries, at most.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(super) fn loaded_bytes(entries: u64) -> u64 {
    (entries as f64 * LOADED_BYTES_PER_ENTRY) as u64
}

/// A part of the keys has at most about so many: making its filter takes some 25 bytes for each, and
/// sorting its entries 48, so 19 MB in all. (Of a table the owners of eight parts are taken at once: 16 MiB.)
const PART_ENTRIES: u64 = 1 << 18;

/// Why a run cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Reading or writing failed.
    #[error("{doing} {path}: {source}")]
    Io {
        /// As `reading`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not as it was written.
    #[error(
        "{path} is damaged at byte {offset}: {what}; stop the server and have `waag rebuild` make \
         the runs again from the journal"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the page begins that is damaged.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A newer version of Waag wrote it.
    #[error("{path} has format version {found}; this program reads up to {supported}", supported = FORMAT_VERSION)]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// No filter could be made, which with keyed hashes does not happen.
    #[error("no filter over {keys} keys could be made: {what}")]
    Filter {
        /// How many.
        keys: usize,
        /// Why.
        what: &'static str,
    },
    /// The server stops, or whoever wanted it does not any more.
    #[error("it was given up")]
    GivenUp,
}

impl RunError {
    /// The disk has no room for it: once it has, the run can be written.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if crate::disk::is_disk_full(source))
    }
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_owned();
    move |source| RunError::Io { doing, path, source }
}

fn damaged(path: &Path, page: u64, what: &'static str) -> RunError {
    RunError::Damaged { path: path.to_owned(), offset: page * PAGE, what }
}

/// Keys that are not known any more, whatever has them still: see `ingest::forgetting`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Those of declarations before this one.
    pub before: Ordinal,
    /// All of which are of days before this one.
    pub day: Day,
}

/// What a run is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covers {
    /// The first record.
    pub first_record: Watermark,
    /// The last record.
    pub last_record: Watermark,
    /// Where the last record stands in the journal.
    pub position: Position,
    /// Of the first declaration.
    pub first_ordinal: Ordinal,
    /// The one after the last declaration.
    pub end_ordinal: Ordinal,
    /// What is not known any more after the last record.
    pub forgotten: Forgotten,
    /// What recovery needs that is not in the index: see `ingest::carried`.
    pub carried: Vec<u8>,
}

impl Covers {
    fn file_name(&self) -> String {
        format!("{:020}-{:020}{SUFFIX}", self.first_record.0, self.last_record.0)
    }
}

/// As what an entry stands in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    UnderLrn = 0,
    Rejection = 1,
    Conflict = 2,
}

/// An entry of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) kind: Kind,
    /// What another declaration's is compared with: that of the content, and where it was rejected
    /// that with the fallback.
    pub(super) digest: Digest,
    pub(super) ordinal: Ordinal,
    pub(super) outcome: Outcome,
    pub(super) has_rare: bool,
}

impl Entry {
    /// Entries are in this order: of those under one key the newest comes first.
    pub(super) fn order(&self) -> (Key, Kind, Reverse<Ordinal>) {
        (self.key, self.kind, Reverse(self.ordinal))
    }
}

/// Batches in the order of the journal.
pub(super) type Batches<'a> = Box<dyn Iterator<Item = Result<RunBatch, RunError>> + 'a>;
/// Rare parts in the order of ordinals.
pub(super) type Rares<'a> =
    Box<dyn Iterator<Item = Result<(Ordinal, Cow<'a, FiledFallback>), RunError>> + 'a>;

/// What a run is written from. It must not change while that happens.
pub(super) trait Source {
    /// What is covered.
    fn covers(&self) -> &Covers;
    /// The entries whose keys begin with the `bits` bits `part`, in any order.
    fn entries(&self, bits: u32, part: u64) -> Result<Vec<Entry>, RunError>;
    /// How many entries there are, at most.
    fn count(&self) -> u64;
    /// The batches.
    fn batches(&self) -> Batches<'_>;
    /// The rare parts.
    fn rares(&self) -> Rares<'_>;
}

const PAGE: u64 = PAGE_BYTES as u64;
