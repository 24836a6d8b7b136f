//! A set: the files of one range of records, and the set file that says so.
//!
//! `sets/000000000001-000000004711.set` names every file of records 1 to 4711, with its length and
//! checks. A set stands once its set file does, and no longer than that: it is written last and
//! removed first. All numbers are little endian.
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | CRC32C of all that follows |
//! | 4 | 4 | format version, 1 |
//! | 8 | 8 | `WAAGASET` |
//! | 16 | 16 | identity of the data folder |
//! | 32 | 8 | first record |
//! | 40 | 8 | last record |
//! | 48 | 8 | ordinal of the first declaration |
//! | 56 | 8 | ordinal past the last one |
//! | 64 | 1 | 1 where names and streets of private persons stand in clear, else 0 |
//! | 65 | 1 | version of the normaliser, that of the digests |
//! | 66 | 1 | version of the pseudonyms |
//! | 67 | 1 | 0 |
//! | 68 | 4 | how many parts follow |
//! | 72 | 160 a part | the parts, in the order in which they were begun |
//! | | 4 | how many records that are no batches follow |
//! | | 13 and a body | those records, in order: number (8), kind (1), length of the body (4), body |
//! | | 4 a block | of the files of all parts that are not dropped, in that order: CRC32C of each block of 4 KiB, the last one of a file shorter |
//!
//! A part is what arrived on one day; a day has several parts only where it was found again after
//! two others had begun (see [`super::SetWriter`]).
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 2 | day, counted from 1970-01-01 |
//! | 2 | 1 | 1 where it is dropped (its files are removed, past retention), else 0 |
//! | 3 | 1 | 0 |
//! | 4 | 4 | number of the part among those of its day, from 1 |
//! | 8 | 8 | first record in it |
//! | 16 | 8 | last record in it |
//! | 24 | 8 | least ordinal in it |
//! | 32 | 8 | ordinal past the greatest one in it |
//! | 40 | 24 a table | batches, declarations, goods items, findings, replays: rows (8), bytes (8) and CRC32C (4) of the file, and 0 (4) |
//!
//! Records that are no batches (laws, settings, what is forgotten) have no table: they stand here as they
//! stood in the journal, so that nothing of it is lost.
//!
//! Checks of blocks, beside that of the whole file, let a reader that takes but a few pages of a file
//! know that these are what was written; so damage is told from rows, and no decoder ever sees it.
//! They take 0.1 % of the archive and are read only when a file is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc32c::crc32c;

use super::error::ArchiveError;
use super::tables::TABLES;
use crate::day::Day;
use crate::fields::Fields;
use crate::id::{Ordinal, Watermark};

/// The newest format that is read, and the one that is written.
const FORMAT_VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"WAAGASET";
const HEADER_BYTES: usize = 72;
const PART_BYTES: usize = 160;
const FILE_BYTES: usize = 24;
const OTHER_HEADER_BYTES: usize = 13;
/// What is checked at once, and read at once at least: with 16 KiB a look-up would read half as much
/// again, since dictionary and page of 70 columns begin and end somewhere within a block.
pub(super) const BLOCK_BYTES: usize = 4 << 10;
/// A set of 256 GiB would have a set file of this size.
pub(super) const SET_FILE_BYTES_MAX: u64 = 256 << 20;
/// The folder of set files.
pub(super) const SETS: &str = "sets";
pub(super) const SET_SUFFIX: &str = ".set";

/// A file of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileEntry {
    /// Rows in it.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// CRC32C of the whole of it.
    pub check: u32,
}

/// What arrived on one day, in one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The day.
    pub day: Day,
    /// Past retention: its files are gone.
    pub is_dropped: bool,
    /// Number among the parts of that day, from 1.
    pub number: u32,
    /// First and last record in it.
    pub records: (Watermark, Watermark),
    /// Least ordinal in it, and the one past the greatest.
    pub ordinals: (Ordinal, Ordinal),
    /// Of batches, declarations, goods items, findings and replays.
    pub files: [FileEntry; 5],
}

/// A record of the journal that is no batch, as it stood there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRecord {
    /// Its number.
    pub number: Watermark,
    /// Its kind.
    pub kind: u8,
    /// Its body.
    pub body: Vec<u8>,
}

/// The files of one range of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// First record.
    pub first: Watermark,
    /// Last record.
    pub last: Watermark,
    /// Of its first declaration: how many were placed before.
    pub first_ordinal: Ordinal,
    /// How many were placed up to its last record.
    pub end_ordinal: Ordinal,
    /// Names and streets of private persons stand in clear.
    pub personal: bool,
    /// Version of the digests.
    pub normaliser: u8,
    /// Version of the pseudonyms.
    pub pseudonyms: u8,
    /// Its parts, in the order in which they were begun.
    pub parts: Vec<Part>,
    /// The records that are no batches, in order.
    pub others: Vec<OtherRecord>,
}

/// Checks of a file's blocks.
pub(super) type BlockChecks = Arc<[u32]>;

/// How many blocks a file of so many bytes has.
pub(super) fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES as u64)
}

impl Part {
    /// Its file in table `table` (place in [`TABLES`]) under `root`, of the set of `range`.
    pub(super) fn path(&self, root: &Path, table: usize, set: &Set) -> PathBuf {
        let number = if self.number == 1 { String::new() } else { format!(".{}", self.number) };
        let folder = TABLES.get(table).copied().unwrap_or_default();
        day_folder(root, folder, self.day).join(format!("{}{number}.parquet", set.name()))
    }

    /// Rows of declarations.
    #[must_use]
    pub fn declarations(&self) -> u64 {
        let [_, declarations, ..] = self.files;
        declarations.rows
    }

    /// Rows of goods items: the lines that customs counts, those of replays apart.
    #[must_use]
    pub fn goods_items(&self) -> u64 {
        let [_, _, goods_items, ..] = self.files;
        goods_items.rows
    }
}

/// The folder of a table's day.
pub(super) fn day_folder(root: &Path, table: &str, day: Day) -> PathBuf {
    root.join(table).join(format!("day={day}"))
}

impl Set {
    /// As `000000000001-000000004711`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{:012}-{:012}", self.first.0, self.last.0)
    }

    /// Its set file under `root`.
    pub(super) fn path(&self, root: &Path) -> PathBuf {
        root.join(SETS).join(format!("{}{SET_SUFFIX}", self.name()))
    }

    /// The parts whose files are there.
    pub fn kept(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| !part.is_dropped)
    }

    /// Bytes of the files that are there.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.kept().flat_map(|part| &part.files).map(|file| file.bytes).sum()
    }

    /// The set file's bytes; `checks` are those of each kept part's files.
    pub(super) fn encode(&self, identity: &[u8; 16], checks: &[[BlockChecks; 5]]) -> Vec<u8> {
        let mut to = vec![0; 4];
        to.extend(FORMAT_VERSION.to_le_bytes());
        to.extend(MAGIC);
        to.extend(identity);
        for number in [self.first.0, self.last.0, self.first_ordinal.0, self.end_ordinal.0] {
            to.extend(number.to_le_bytes());
        }
        to.extend([u8::from(self.personal), self.normaliser, self.pseudonyms, 0]);
        to.extend(u32::try_from(self.parts.len()).unwrap_or(u32::MAX).to_le_bytes());
        for part in &self.parts {
            to.extend(part.day.0.to_le_bytes());
            to.extend([u8::from(part.is_dropped), 0]);
            to.extend(part.number.to_le_bytes());
            let (records, ordinals) = (part.records, part.ordinals);
            for number in [records.0.0, records.1.0, ordinals.0.0, ordinals.1.0] {
                to.extend(number.to_le_bytes());
            }
            for file in part.files {
                to.extend(file.rows.to_le_bytes());
                to.extend(file.bytes.to_le_bytes());
                to.extend(file.check.to_le_bytes());
                to.extend([0; 4]);
            }
        }
        to.extend(u32::try_from(self.others.len()).unwrap_or(u32::MAX).to_le_bytes());
        for OtherRecord { number, kind, body } in &self.others {
            to.extend(number.0.to_le_bytes());
            to.push(*kind);
            to.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
            to.extend(body);
        }
        for check in checks.iter().flatten().flat_map(|checks| checks.iter()) {
            to.extend(check.to_le_bytes());
        }
        let check = crc32c(to.get(4..).unwrap_or_default());
        to.iter_mut().zip(check.to_le_bytes()).for_each(|(to, byte)| *to = byte);
        to
    }

    /// From the bytes of the set file at `path`, with the checks of each kept part's files.
    pub(super) fn decode(
        path: &Path,
        identity: &[u8; 16],
        bytes: &[u8],
    ) -> Result<(Self, Vec<[BlockChecks; 5]>), ArchiveError> {
        let damaged = |what: &str| ArchiveError::damaged(path, what);
        let mut from = Fields(bytes);
        // The check first: a version is believed only where it holds. Every later version keeps
        // check, version and magic where they are.
        let check = from.u32().ok_or_else(|| damaged("it is too short"))?;
        if check != crc32c(from.0) {
            return Err(damaged("its check fails"));
        }
        let version = from.u32().unwrap_or(0);
        if from.array() != Some(MAGIC) {
            return Err(damaged("this is not a set file"));
        }
        if version > FORMAT_VERSION {
            let (path, newest) = (path.to_path_buf(), FORMAT_VERSION);
            return Err(ArchiveError::Newer { path, version, newest });
        }
        if version != FORMAT_VERSION {
            return Err(damaged("there is no such format version"));
        }
        if from.array() != Some(*identity) {
            return Err(damaged("it belongs to another data folder"));
        }
        let (set, checks) = from.set().ok_or_else(|| damaged("it is cut short"))?;
        if !from.0.is_empty() {
            return Err(damaged("it is longer than what it says"));
        }
        if path.file_name() != set.path(Path::new("")).file_name() {
            let what = format!("it says that it is {}{SET_SUFFIX}", set.name());
            return Err(ArchiveError::damaged(path, what));
        }
        Ok((set, checks))
    }
}

impl Fields<'_> {
    fn set(&mut self) -> Option<(Set, Vec<[BlockChecks; 5]>)> {
        let (first, last) = (Watermark(self.u64()?), Watermark(self.u64()?));
        let (first_ordinal, end_ordinal) = (Ordinal(self.u64()?), Ordinal(self.u64()?));
        let [personal, normaliser, pseudonyms, _] = self.array()?;
        let count = self.u32()? as usize;
        // No more than there are bytes for.
        if count > self.0.len() / PART_BYTES {
            return None;
        }
        let parts = (0..count).map(|_| self.part()).collect::<Option<Vec<Part>>>()?;
        let personal = personal != 0;
        let count = self.u32()? as usize;
        if count > self.0.len() / OTHER_HEADER_BYTES {
            return None;
        }
        let others = (0..count).map(|_| self.other()).collect::<Option<Vec<OtherRecord>>>()?;
        let set = Set {
            first,
            last,
            first_ordinal,
            end_ordinal,
            personal,
            normaliser,
            pseudonyms,
            parts,
            others,
        };
        let mut checks = Vec::new();
        for part in set.kept() {
            let mut of_part: [BlockChecks; 5] = Default::default();
            for (file, of_file) in part.files.iter().zip(&mut of_part) {
                let blocks = usize::try_from(blocks(file.bytes)).ok()?;
                if blocks > self.0.len() / 4 {
                    return None;
                }
                *of_file = (0..blocks).map(|_| self.u32()).collect::<Option<_>>()?;
            }
            checks.push(of_part);
        }
        Some((set, checks))
    }

    fn other(&mut self) -> Option<OtherRecord> {
        let (number, [kind]) = (Watermark(self.u64()?), self.array()?);
        let length = self.u32()? as usize;
        let body = self.take(length)?;
        Some(OtherRecord { number, kind, body: body.to_vec() })
    }

    fn part(&mut self) -> Option<Part> {
        let day = Day(self.u16()?);
        let [is_dropped, _] = self.array()?;
        let number = self.u32()?;
        let records = (Watermark(self.u64()?), Watermark(self.u64()?));
        let ordinals = (Ordinal(self.u64()?), Ordinal(self.u64()?));
        let mut files = [FileEntry::default(); 5];
        for file in &mut files {
            *file = FileEntry { rows: self.u64()?, bytes: self.u64()?, check: self.u32()? };
            self.u32()?;
        }
        Some(Part { day, is_dropped: is_dropped != 0, number, records, ordinals, files })
    }
}

const _: () = assert!(PART_BYTES == 40 + 5 * FILE_BYTES);
const _: () = assert!(HEADER_BYTES == 16 + 16 + 4 * 8 + 8);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn set() -> (Set, Vec<[BlockChecks; 5]>) {
        let file = |n: u64| FileEntry { rows: n, bytes: n * 10_000, check: 77 * n as u32 };
        let part = |day, is_dropped, number| Part {
            day: Day(day),
            is_dropped,
            number,
            records: (Watermark(11), Watermark(15)),
            ordinals: (Ordinal(100), Ordinal(150)),
            files: [file(1), file(2), file(3), file(4), file(5)],
        };
        let set = Set {
            first: Watermark(11),
            last: Watermark(20),
            first_ordinal: Ordinal(100),
            end_ordinal: Ordinal(200),
            personal: true,
            normaliser: 1,
            pseudonyms: 2,
            parts: vec![part(20_000, false, 1), part(20_001, true, 1), part(20_000, false, 2)],
            others: vec![
                OtherRecord { number: Watermark(2), kind: 2, body: vec![7; 68] },
                OtherRecord { number: Watermark(5), kind: 3, body: Vec::new() },
            ],
        };
        let checks = [1, 2, 3, 4, 5].map(|n| (0..blocks(n * 10_000) as u32).collect());
        (set, vec![checks.clone(), checks])
    }

    fn decode(bytes: &[u8]) -> Result<(Set, Vec<[BlockChecks; 5]>), ArchiveError> {
        Set::decode(Path::new("sets/000000000011-000000000020.set"), &[9; 16], bytes)
    }

    #[test]
    fn comes_back_and_has_the_layout_described() {
        let (set, checks) = set();
        let bytes = set.encode(&[9; 16], &checks);
        let blocks: usize = checks.iter().flatten().map(|checks| checks.len()).sum();
        let others = 4 + 2 * OTHER_HEADER_BYTES + 68;
        assert_eq!(bytes.len(), HEADER_BYTES + 3 * PART_BYTES + others + 4 * blocks);
        assert_eq!(decode(&bytes).unwrap(), (set, checks));
    }

    #[test]
    fn every_bit_and_the_length_are_covered() {
        let (set, checks) = set();
        let mut bytes = set.encode(&[9; 16], &checks);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&bytes), Err(ArchiveError::Damaged { .. })), "{bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..length]), Err(ArchiveError::Damaged { .. })));
        }
    }

    #[test]
    fn what_is_sound_and_not_ours_is_refused_by_name() {
        let (set, checks) = set();
        let sound = set.encode(&[9; 16], &checks);
        let with = |at: usize, byte: u8| {
            let mut bytes = sound.clone();
            bytes[at] = byte;
            let check = crc32c(&bytes[4..]);
            bytes[..4].copy_from_slice(&check.to_le_bytes());
            decode(&bytes).unwrap_err().to_string()
        };
        assert!(with(4, 2).contains("format version 2, newer than 1"), "{}", with(4, 2));
        assert!(with(4, 0).contains("no such format version"));
        assert!(with(8, b'X').contains("not a set file"));
        assert!(with(16, 8).contains("another data folder"));
        assert!(with(32, 12).contains("000000000012-000000000020.set"));
        assert!(with(68, 4).contains("cut short"));
        assert!(with(68, 2).contains("damaged"));
        assert!(with(71, 255).contains("cut short"));
    }
}
