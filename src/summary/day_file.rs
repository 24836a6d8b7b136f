//! The file of one closed day: immutable, sorted, every byte under a checksum.
//!
//! Version 2; numbers little-endian, checksums CRC32C:
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 8 | `WAAGDAY` and a zero byte |
//! | | 2 | version: 2 |
//! | | 2 | day, from 1970-01-01 |
//! | | 4 | generation: 1 when first closed, one more each time it was reopened |
//! | | 16 | identity of the data folder |
//! | | 4 | checksum of the 32 bytes before |
//! | blocks | about 16 Ki each | entries, see below |
//! | index | for each block | role of its first entry (1), the length of its id (1), the id, where it starts (8), its length (4), its checksum (4) |
//! | footer | 8 | where the index starts |
//! | | 4 | how many blocks |
//! | | 4 | checksum of the index |
//! | | 4 | checksum of the header, as there |
//! | | 8 | how many entries |
//! | | 4 | checksum of the 28 bytes before |
//!
//! An entry is its role (1; 4 is that of fallback references), the length of its id (1), the id, the length of its figures (2) and the
//! figures ([`Counters`]). Entries are sorted by role, then by id as text; none comes twice.
//! The footer's checksum covers those of header and index, and the index those of the blocks: so it
//! stands for the whole file.
//!
//! Version 1, which is read, has no role 4, and ids in its index are filled up with zeros to 17 bytes.

use std::fs::File;
use std::io::{self, BufWriter};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::day::Day;
use crate::disk::plain;
use crate::summary::Counters;
use crate::summary::columns::Place;
use crate::summary::whose::Whose;

const MAGIC: &[u8; 8] = b"WAAGDAY\0";
const VERSION: u16 = 2;
const FIRST_VERSION: u16 = 1;
const HEADER_BYTES: usize = 36;
const FOOTER_BYTES: usize = 32;
/// To so many bytes an id was filled up in the index of version 1.
const FIRST_ID_BYTES: usize = 17;
/// A block is closed once it is this long: one read of 16 KiB answers for one actor, and the index
/// of 300,000 entries of 100 bytes takes 64 KiB; with references of 158 bytes, the longest, 300 KiB.
const BLOCK_BYTES: usize = 16 << 10;

/// A file of a closed day cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DayFileError {
    /// Reading or writing failed.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// As `read`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not hold what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// A newer version of this program wrote it.
    #[error("{path} has format version {version}; this program reads up to {VERSION}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
}

impl DayFileError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }

    /// There is no such file (any more).
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) data_folder: [u8; 16],
    pub(crate) day: Day,
    pub(crate) generation: u32,
}

impl Identity {
    fn header(&self, version: u16) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&version.to_le_bytes());
        header.extend_from_slice(&self.day.0.to_le_bytes());
        header.extend_from_slice(&self.generation.to_le_bytes());
        header.extend_from_slice(&self.data_folder);
        let crc = crc32c::crc32c(&header);
        header.extend_from_slice(&crc.to_le_bytes());
        header
    }
}

/// Writes a day file from its entries in order.
pub(crate) struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    header_crc: u32,
    /// Where the block under way starts.
    position: u64,
    block: Vec<u8>,
    first: Option<(Whose, String)>,
    index: Vec<u8>,
    blocks: u32,
    entries: u64,
}

impl Writer {
    /// Starts the file `path`, in place of what may be there.
    pub(crate) fn create(path: &Path, identity: &Identity) -> Result<Self, DayFileError> {
        let file = plain::call(|| File::create(path));
        let file = file.map_err(|error| DayFileError::io("make", path, error))?;
        let header = identity.header(VERSION);
        let header_crc = header.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
        let mut file = BufWriter::new(file);
        let written = plain::write_all(&mut file, &header);
        written.map_err(|error| DayFileError::io("write", path, error))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            header_crc,
            position: header.len() as u64,
            block: Vec::with_capacity(BLOCK_BYTES + crate::catalog::VALUE_BYTES_MAX),
            first: None,
            index: Vec::new(),
            blocks: 0,
            entries: 0,
        })
    }

    /// Adds an entry, which must come after those before it.
    pub(crate) fn add(
        &mut self,
        whose: Whose,
        id: &str,
        counters: &Counters,
    ) -> Result<(), DayFileError> {
        self.first.get_or_insert_with(|| (whose, id.to_owned()));
        // At most `REFERENCE_ID_BYTES_MAX`, 158.
        self.block.extend_from_slice(&[whose.number(), id.len() as u8]);
        self.block.extend_from_slice(id.as_bytes());
        let length_at = self.block.len();
        self.block.extend_from_slice(&[0, 0]);
        counters.encode(&mut self.block);
        // At most `VALUE_BYTES_MAX`, 4,096.
        let length = (self.block.len() - length_at - 2) as u16;
        if let Some(place) = self.block.get_mut(length_at..length_at + 2) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self.entries += 1;
        if self.block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), DayFileError> {
        let Some((whose, id)) = self.first.take() else { return Ok(()) };
        self.index.extend_from_slice(&[whose.number(), id.len() as u8]);
        self.index.extend_from_slice(id.as_bytes());
        self.index.extend_from_slice(&self.position.to_le_bytes());
        // A block ends with the entry that takes it past 16 KiB.
        self.index.extend_from_slice(&(self.block.len() as u32).to_le_bytes());
        self.index.extend_from_slice(&crc32c::crc32c(&self.block).to_le_bytes());
        self.blocks += 1;
        self.position += self.block.len() as u64;
        let written = plain::write_all(&mut self.file, &self.block);
        written.map_err(|error| DayFileError::io("write", &self.path, error))?;
        self.block.clear();
        Ok(())
    }

    /// Writes index and footer and syncs the file. Tells its length and its footer's checksum.
    pub(crate) fn finish(mut self) -> Result<(u64, u32), DayFileError> {
        self.end_block()?;
        let mut footer = self.position.to_le_bytes().to_vec();
        footer.extend_from_slice(&self.blocks.to_le_bytes());
        footer.extend_from_slice(&crc32c::crc32c(&self.index).to_le_bytes());
        footer.extend_from_slice(&self.header_crc.to_le_bytes());
        footer.extend_from_slice(&self.entries.to_le_bytes());
        let crc = crc32c::crc32c(&footer);
        footer.extend_from_slice(&crc.to_le_bytes());
        let length = self.position + (self.index.len() + footer.len()) as u64;
        let written = plain::write_all(&mut self.file, &self.index)
            .and_then(|()| plain::write_all(&mut self.file, &footer));
        let synced = written
            .and_then(|()| self.file.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(|file| plain::call(|| file.sync_all()));
        synced.map_err(|error| DayFileError::io("write", &self.path, error))?;
        Ok((length, crc))
    }
}

/// A day file open for reading: its header, index and footer were checked; a block is when read.
#[derive(Debug)]
pub(crate) struct DayFile {
    file: File,
    path: PathBuf,
    index: Vec<Block>,
    entries: u64,
}

#[derive(Debug)]
struct Block {
    whose: Whose,
    first: Box<str>,
    start: u64,
    length: u32,
    crc: u32,
}

impl DayFile {
    /// Opens `path` and tells its length and its footer's checksum.
    pub(crate) fn open(path: &Path, identity: &Identity) -> Result<(Self, u64, u32), DayFileError> {
        let file = File::open(path).map_err(|error| DayFileError::io("open", path, error))?;
        let length = file.metadata().map_err(|error| DayFileError::io("read", path, error))?.len();
        let damaged = |what: &str| DayFileError::damaged(path, what);
        let read = |start: u64, bytes: usize| read_at(&file, path, start, bytes);

        let header = read(0, HEADER_BYTES)?;
        let (magic, version) = (header.get(..8), header.get(8..10));
        let version = version.and_then(|v| v.try_into().ok()).map_or(0, u16::from_le_bytes);
        if magic != Some(MAGIC) {
            return Err(damaged("its first 8 bytes are not those of a day file"));
        }
        if version > VERSION {
            return Err(DayFileError::Newer { path: path.to_owned(), version });
        }
        if version < FIRST_VERSION || header != identity.header(version) {
            return Err(damaged("its header is not that of this data folder, day and generation"));
        }

        let footer_at = length.checked_sub(FOOTER_BYTES as u64);
        let footer_at = footer_at.ok_or_else(|| damaged("it is too short for a footer"))?;
        let footer = Footer::parse(&read(footer_at, FOOTER_BYTES)?)
            .ok_or_else(|| damaged("the checksum of its footer is wrong"))?;
        let index_bytes = footer_at.saturating_sub(footer.index_at);
        if header.last_chunk() != Some(&footer.header_crc.to_le_bytes()) {
            return Err(damaged("its footer does not fit the rest"));
        }
        let index_bytes = usize::try_from(index_bytes).map_err(|_| damaged("its index is huge"))?;
        let index = read(footer.index_at, index_bytes)?;
        if crc32c::crc32c(&index) != footer.index_crc {
            return Err(damaged("the checksum of its index is wrong"));
        }
        let mut rest = index.as_slice();
        let blocks = (0..footer.blocks).map(|_| Block::take(&mut rest, version));
        let index: Option<Vec<Block>> = blocks.collect();
        let index = index.filter(|_| rest.is_empty());
        let index = index.ok_or_else(|| damaged("its index is malformed"))?;
        let entries = footer.entries;
        Ok((Self { file, path: path.to_owned(), index, entries }, length, footer.crc))
    }

    /// Hands each entry of `whose` after `after` to `take`, in order, until it breaks.
    pub(crate) fn scan(
        &self,
        whose: Whose,
        after: Option<&str>,
        mut take: impl FnMut(&str, &[u8]) -> Option<ControlFlow<()>>,
    ) -> Result<(), DayFileError> {
        let start = match after {
            // In the last block that starts at or before it, or in those after.
            Some(id) => self.index.partition_point(|block| block.starts_by(whose, id)),
            None => self.index.partition_point(|block| block.whose < whose),
        };
        for block in self.index.iter().skip(start.saturating_sub(1)) {
            if block.whose > whose {
                break;
            }
            let bytes = self.read(block)?;
            for entry in Entries(&bytes) {
                let (entry_of, id, figures) = entry.ok_or_else(|| self.malformed(block))?;
                if entry_of != whose || after.is_some_and(|after| id <= after) {
                    continue;
                }
                match take(id, figures).ok_or_else(|| self.malformed(block))? {
                    ControlFlow::Continue(()) => {}
                    ControlFlow::Break(()) => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Hands each entry of `whose` to `take`, in order, with where it is; `None` means that it is malformed.
    pub(crate) fn scan_places(
        &self,
        whose: Whose,
        mut take: impl FnMut(Place, &str, &[u8]) -> Option<()>,
    ) -> Result<(), DayFileError> {
        let start = self.index.partition_point(|block| block.whose < whose);
        for block in self.index.iter().skip(start.saturating_sub(1)) {
            if block.whose > whose {
                break;
            }
            let bytes = self.read(block)?;
            let mut entries = Entries(&bytes);
            let mut at = block.start;
            loop {
                let before = entries.0;
                let Some(entry) = entries.next() else { break };
                let (entry_of, id, figures) = entry.ok_or_else(|| self.malformed(block))?;
                let length = before.len() - entries.0.len();
                if entry_of == whose {
                    let of_entry = before.get(..length).unwrap_or_default();
                    let crc = crc32c::crc32c(of_entry);
                    // An id and figures have fewer than 2^16 bytes together, see `Writer::add`.
                    let place = Place { at, length: length as u16, crc };
                    take(place, id, figures).ok_or_else(|| self.malformed(block))?;
                }
                at += length as u64;
            }
        }
        Ok(())
    }

    /// The figures of the entry at `place`, which were there when it was scanned.
    pub(crate) fn figures_at(&self, place: Place) -> Result<Counters, DayFileError> {
        let bytes = read_at(&self.file, &self.path, place.at, place.length.into())?;
        let is_whole = crc32c::crc32c(&bytes) == place.crc;
        let figures = Entries(&bytes).next().flatten().filter(|_| is_whole);
        figures.and_then(|(_, _, figures)| Counters::decode(figures)).ok_or_else(|| {
            let what = format!("its entry at byte {} is no longer what it was", place.at);
            DayFileError::damaged(&self.path, what)
        })
    }

    /// Merges the figures of each of `ids` (sorted) that has any into its place in `sums`.
    pub(crate) fn merge_into(
        &self,
        whose: Whose,
        ids: &[impl AsRef<str>],
        sums: &mut [Counters],
    ) -> Result<(), DayFileError> {
        let mut wanted = ids.iter().map(AsRef::as_ref).zip(sums).peekable();
        while let Some((id, _)) = wanted.peek() {
            let after = self.index.partition_point(|block| block.starts_by(whose, id));
            let Some(block) = after.checked_sub(1).and_then(|place| self.index.get(place)) else {
                wanted.next();
                continue;
            };
            let next = self.index.get(after);
            let bytes = self.read(block)?;
            let mut entries = Entries(&bytes).peekable();
            // All that are wanted from this block in one pass.
            while let Some((id, sum)) =
                wanted.next_if(|(id, _)| next.is_none_or(|next| !next.starts_by(whose, id)))
            {
                while let Some(entry) = entries.peek() {
                    let (entry_of, entry_id, figures) =
                        entry.ok_or_else(|| self.malformed(block))?;
                    if (entry_of, entry_id) > (whose, id) {
                        break;
                    }
                    if (entry_of, entry_id) == (whose, id) {
                        let figures =
                            Counters::decode(figures).ok_or_else(|| self.malformed(block))?;
                        sum.merge(&figures);
                    }
                    entries.next();
                }
            }
        }
        Ok(())
    }

    /// Reads and checks everything.
    pub(crate) fn verify(&self) -> Result<(), DayFileError> {
        let mut entries = 0;
        let mut last: Option<(Whose, String)> = None;
        for block in &self.index {
            for entry in Entries(&self.read(block)?) {
                let (whose, id, figures) = entry.ok_or_else(|| self.malformed(block))?;
                let follows = last.as_ref().is_none_or(|(of, last)| (*of, &**last) < (whose, id));
                if !follows || !whose.is_id(id) || Counters::decode(figures).is_none() {
                    return Err(self.malformed(block));
                }
                last = Some((whose, id.to_owned()));
                entries += 1;
            }
        }
        if entries != self.entries {
            let what = format!("it has {entries} entries, and {} by its footer", self.entries);
            return Err(DayFileError::damaged(&self.path, what));
        }
        Ok(())
    }

    fn read(&self, block: &Block) -> Result<Vec<u8>, DayFileError> {
        // The index was checked, so that the length is one that was written.
        let bytes = read_at(&self.file, &self.path, block.start, block.length as usize)?;
        if crc32c::crc32c(&bytes) == block.crc {
            return Ok(bytes);
        }
        let what = format!("the checksum of its block at byte {} is wrong", block.start);
        Err(DayFileError::damaged(&self.path, what))
    }

    /// The error of an id in it that the fold does not know.
    pub(crate) fn names_unknown(&self, id: &str) -> DayFileError {
        DayFileError::damaged(&self.path, format!("it names {id}, which is not a known id"))
    }

    fn malformed(&self, block: &Block) -> DayFileError {
        let what = format!("its block at byte {} is malformed", block.start);
        DayFileError::damaged(&self.path, what)
    }
}

struct Footer {
    index_at: u64,
    blocks: u32,
    index_crc: u32,
    header_crc: u32,
    entries: u64,
    crc: u32,
}

impl Footer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (checked, crc) = bytes.split_last_chunk()?;
        let crc = u32::from_le_bytes(*crc);
        if crc32c::crc32c(checked) != crc {
            return None;
        }
        let (index_at, rest) = checked.split_first_chunk()?;
        let (blocks, rest) = rest.split_first_chunk()?;
        let (index_crc, rest) = rest.split_first_chunk()?;
        let (header_crc, rest) = rest.split_first_chunk()?;
        Some(Self {
            index_at: u64::from_le_bytes(*index_at),
            blocks: u32::from_le_bytes(*blocks),
            index_crc: u32::from_le_bytes(*index_crc),
            header_crc: u32::from_le_bytes(*header_crc),
            entries: u64::from_le_bytes(rest.try_into().ok()?),
            crc,
        })
    }
}

impl Block {
    fn take(bytes: &mut &[u8], version: u16) -> Option<Self> {
        let (&[number, id_length], rest) = bytes.split_first_chunk()?;
        let id_length = usize::from(id_length);
        let filled = if version == FIRST_VERSION { FIRST_ID_BYTES } else { id_length };
        let (id, rest) = rest.split_at_checked(filled)?;
        let (start, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let whose = Whose::from_number(number)?;
        let id = std::str::from_utf8(id.get(..id_length)?).ok()?;
        *bytes = rest;
        whose.is_id(id).then(|| Self {
            whose,
            first: id.into(),
            start: u64::from_le_bytes(*start),
            length: u32::from_le_bytes(*length),
            crc: u32::from_le_bytes(*crc),
        })
    }

    /// Whether its first entry is that of `id`, or comes before it.
    fn starts_by(&self, whose: Whose, id: &str) -> bool {
        (self.whose, &*self.first) <= (whose, id)
    }
}

/// Walks a block; an item of `None` means that it is malformed, and is the last.
struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    fn take(&mut self) -> Option<(Whose, &'a str, &'a [u8])> {
        let (&[number, id_length], rest) = self.0.split_first_chunk()?;
        let (id, rest) = rest.split_at_checked(id_length.into())?;
        let (length, rest) = rest.split_first_chunk()?;
        let (figures, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let whose = Whose::from_number(number)?;
        let id = std::str::from_utf8(id).ok()?;
        self.0 = rest;
        Some((whose, id, figures))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Option<(Whose, &'a str, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.take();
        if entry.is_none() {
            self.0 = &[];
        }
        Some(entry)
    }
}

fn read_at(file: &File, path: &Path, start: u64, bytes: usize) -> Result<Vec<u8>, DayFileError> {
    let mut buffer = vec![0; bytes];
    match file.read_exact_at(&mut buffer, start) {
        Ok(()) => Ok(buffer),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(DayFileError::damaged(
            path,
            format!("it ends before byte {}", start + bytes as u64),
        )),
        Err(error) => Err(DayFileError::io("read", path, error)),
    }
}
