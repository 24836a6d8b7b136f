//! A derived file: blocks, each under a checksum, each with a label by which it is found.
//!
//! Numbers little-endian, checksums CRC32C:
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 8 | `WAAGFIND` |
//! | | 2 | version: 1 |
//! | | 1 | kind: 0 a day's findings, else the number of the table whose rows these are |
//! | | 1 | 0 |
//! | | 2 | day, from 1970-01-01 |
//! | | 2 | number of the part among those of the day in its set, from 1; 0 of a day's findings; of the state how many kinds there are |
//! | | 8 | first record of the set; 0 of a day's findings |
//! | | 8 | last record of the set; of a day's findings the last one that they are made of |
//! | | 16 | identity of the data folder |
//! | | 4 | checksum of the 48 bytes before |
//! | blocks | about 16 Ki each | what the kind says |
//! | index | for each block | length of its label (1), label, where it starts (8), its length (4), its checksum (4) |
//! | footer | 8 | where the index starts |
//! | | 4 | how many blocks |
//! | | 4 | checksum of the index |
//! | | 4 | checksum of the header, as there |
//! | | 4 | checksum of the 20 bytes before |
//!
//! It is written beside its place, synced and then named: it is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::InsightError;
use crate::day::Day;
use crate::disk::plain;
use crate::fields::Fields;

const MAGIC: &[u8; 8] = b"WAAGFIND";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 52;
const FOOTER_BYTES: usize = 24;
/// A block is closed once it is this long: what a reader holds of each run that it merges.
pub(super) const BLOCK_BYTES: usize = 16 << 10;
/// Of a file being written.
pub(super) const PARTIAL: &str = "partial";

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) kind: u8,
    pub(super) day: Day,
    pub(super) part: u16,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) data_folder: [u8; 16],
}

impl Heading {
    fn encode(&self) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&[self.kind, 0]);
        header.extend_from_slice(&self.day.0.to_le_bytes());
        header.extend_from_slice(&self.part.to_le_bytes());
        header.extend_from_slice(&self.first.to_le_bytes());
        header.extend_from_slice(&self.last.to_le_bytes());
        header.extend_from_slice(&self.data_folder);
        let crc = crc32c::crc32c(&header);
        header.extend_from_slice(&crc.to_le_bytes());
        header
    }
}

/// Writes a file block after block.
#[derive(Debug)]
pub(super) struct BlockWriter {
    file: BufWriter<File>,
    path: PathBuf,
    beside: PathBuf,
    header_crc: u32,
    position: u64,
    index: Vec<u8>,
    blocks: u32,
}

impl BlockWriter {
    /// Begins the file that is to be `path`, whose folder is there.
    pub(super) fn create(path: &Path, heading: &Heading) -> Result<Self, InsightError> {
        let beside = path.with_added_extension(PARTIAL);
        let file = plain::call(|| File::create(&beside));
        let mut file = BufWriter::new(file.map_err(InsightError::io("make", &beside))?);
        let header = heading.encode();
        let header_crc = header.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
        let written = plain::write_all(&mut file, &header);
        written.map_err(InsightError::io("write", &beside))?;
        let path = path.to_owned();
        let position = header.len() as u64;
        Ok(Self { file, path, beside, header_crc, position, index: Vec::new(), blocks: 0 })
    }

    /// Adds a block; labels have 255 bytes at most.
    pub(super) fn block(&mut self, label: &[u8], bytes: &[u8]) -> Result<(), InsightError> {
        self.index.push(label.len() as u8);
        self.index.extend_from_slice(label);
        self.index.extend_from_slice(&self.position.to_le_bytes());
        // About `BLOCK_BYTES`, and an entry more.
        self.index.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.index.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
        self.blocks += 1;
        self.position += bytes.len() as u64;
        let written = plain::write_all(&mut self.file, bytes);
        written.map_err(InsightError::io("write", &self.beside))
    }

    /// Writes index and footer, syncs the file and gives it its name.
    pub(super) fn finish(mut self) -> Result<(), InsightError> {
        let mut footer = self.position.to_le_bytes().to_vec();
        footer.extend_from_slice(&self.blocks.to_le_bytes());
        footer.extend_from_slice(&crc32c::crc32c(&self.index).to_le_bytes());
        footer.extend_from_slice(&self.header_crc.to_le_bytes());
        let crc = crc32c::crc32c(&footer);
        footer.extend_from_slice(&crc.to_le_bytes());
        let written = plain::write_all(&mut self.file, &self.index)
            .and_then(|()| plain::write_all(&mut self.file, &footer));
        let synced = written
            .and_then(|()| self.file.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(|file| plain::call(|| file.sync_all()));
        synced.map_err(InsightError::io("write", &self.beside))?;
        let named = plain::call(|| fs::rename(&self.beside, &self.path));
        named.map_err(InsightError::io("name", &self.path))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        plain::sync_folder(folder).map_err(InsightError::io("sync", folder))
    }
}

/// A file to be read: header, index and footer were checked; a block is when it is read. It is opened for each block
/// again (some µs beside the 16 KiB that are read): a merge goes over more files than a process may have open.
#[derive(Debug)]
pub(super) struct BlockFile {
    path: PathBuf,
    index: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    label: Box<[u8]>,
    start: u64,
    length: u32,
    crc: u32,
}

impl BlockFile {
    /// Opens `path`, which is to be the file of `heading`.
    pub(super) fn open(path: &Path, heading: &Heading) -> Result<Self, InsightError> {
        let file = File::open(path).map_err(InsightError::io("open", path))?;
        let length = file.metadata().map_err(InsightError::io("read", path))?.len();
        let damaged = |what: &str| InsightError::damaged(path, what);
        let read = |start, bytes| read_at(&file, path, start, bytes);
        if length < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(damaged("it is too short"));
        }
        let header = read(0, HEADER_BYTES)?;
        let version =
            header.get(8..10).and_then(|v| v.try_into().ok()).map_or(0, u16::from_le_bytes);
        if header.get(..8) == Some(MAGIC) && version > VERSION {
            return Err(InsightError::Newer { path: path.to_owned(), version });
        }
        if header != heading.encode() {
            return Err(damaged("its header is not that of the file that should be there"));
        }
        let footer_at = length - FOOTER_BYTES as u64;
        let footer = read(footer_at, FOOTER_BYTES)?;
        let footer = Footer::parse(&footer)
            .filter(|footer| header.last_chunk() == Some(&footer.header_crc.to_le_bytes()))
            .ok_or_else(|| damaged("its footer is not what was written"))?;
        let index = footer_at.checked_sub(footer.index_at).and_then(|b| usize::try_from(b).ok());
        let index = read(footer.index_at, index.ok_or_else(|| damaged("its index is not there"))?)?;
        if crc32c::crc32c(&index) != footer.index_crc {
            return Err(damaged("the checksum of its index is wrong"));
        }
        let mut rest = Fields(&index);
        let blocks = (0..footer.blocks).map(|_| Block::take(&mut rest)).collect::<Option<Vec<_>>>();
        let blocks = blocks.filter(|_| rest.0.is_empty());
        let index = blocks.ok_or_else(|| damaged("its index is malformed"))?;
        Ok(Self { path: path.to_owned(), index })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many blocks.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The label of block `at`; empty past the last one.
    pub(super) fn label(&self, at: usize) -> &[u8] {
        self.index.get(at).map_or(&[], |block| &block.label)
    }

    /// The first block of which the label is not `is_before`: labels of such ones come first.
    pub(super) fn partition(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        self.index.partition_point(|block| is_before(&block.label))
    }

    /// The bytes of block `at`, checked.
    pub(super) fn read(&self, at: usize) -> Result<Vec<u8>, InsightError> {
        let Some(block) = self.index.get(at) else { return Ok(Vec::new()) };
        let file = File::open(&self.path).map_err(InsightError::io("open", &self.path))?;
        let bytes = read_at(&file, &self.path, block.start, block.length as usize)?;
        if crc32c::crc32c(&bytes) != block.crc {
            let what = format!("the checksum of block {at} is wrong");
            return Err(InsightError::damaged(&self.path, what));
        }
        Ok(bytes)
    }
}

struct Footer {
    index_at: u64,
    blocks: u32,
    index_crc: u32,
    header_crc: u32,
}

impl Footer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (checked, crc) = bytes.split_last_chunk()?;
        let mut fields = Fields(checked);
        let footer = Self {
            index_at: fields.u64()?,
            blocks: fields.u32()?,
            index_crc: fields.u32()?,
            header_crc: fields.u32()?,
        };
        (crc32c::crc32c(checked) == u32::from_le_bytes(*crc)).then_some(footer)
    }
}

impl Block {
    fn take(rest: &mut Fields<'_>) -> Option<Self> {
        let [length] = rest.array()?;
        let label = rest.take(usize::from(length))?.into();
        Some(Self { label, start: rest.u64()?, length: rest.u32()?, crc: rest.u32()? })
    }
}

fn read_at(file: &File, path: &Path, start: u64, length: usize) -> Result<Vec<u8>, InsightError> {
    // What an index says comes from a file whose index was checked: no length is made up.
    let mut bytes = vec![0; length];
    match file.read_exact_at(&mut bytes, start) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(InsightError::damaged(
            path,
            format!("it ends before byte {}", start + length as u64),
        )),
        read => read.map_err(InsightError::io("read", path)).map(|()| bytes),
    }
}
