//! Reads a file of a set, checking each block against the set file before anything is made of it.
//!
//! So a decoder only ever sees what was written, and damage is told by name instead of coming out as
//! other figures. Some blocks read last are held, since the pages of many columns lie in few blocks.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use crc32c::{crc32c, crc32c_append};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::error::{ArchiveError, io_error};
use super::set::{BLOCK_BYTES, BlockChecks, FileEntry, blocks};
use super::store::lock;
use crate::disk::{Disk, PartsFile};

/// Blocks held, 512 KiB: more than a table has columns, each of which is read at a place of its own.
const BLOCKS_HELD: usize = 128;

/// A file whose blocks are checked as they are read.
#[derive(Debug)]
pub(super) struct CheckedFile {
    path: PathBuf,
    file: Arc<dyn PartsFile>,
    bytes: u64,
    checks: BlockChecks,
    /// The one read last comes last.
    held: Mutex<VecDeque<(u64, Bytes)>>,
    /// Why reading failed, until that is told: decoders pass errors on as texts.
    failure: Mutex<Option<ArchiveError>>,
    bytes_read: AtomicU64,
}

impl CheckedFile {
    /// Opens the file at `path`, of which the set file says `entry` and `checks`.
    pub(super) fn open(
        disk: &dyn Disk,
        path: PathBuf,
        entry: FileEntry,
        checks: BlockChecks,
    ) -> Result<Arc<Self>, ArchiveError> {
        let file = disk.open_parts(&path).map_err(io_error("opening", &path))?;
        let bytes = file.len().map_err(io_error("asking", &path))?;
        if bytes != entry.bytes || checks.len() as u64 != blocks(bytes) {
            let what = format!("it has {bytes} bytes, and {} were written", entry.bytes);
            return Err(ArchiveError::damaged(&path, what));
        }
        let (held, failure) = (Mutex::default(), Mutex::default());
        let bytes_read = AtomicU64::new(0);
        Ok(Arc::new(Self { path, file, bytes, checks, held, failure, bytes_read }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes read from the disk so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// The error behind one that a decoder gave; where reading did not fail, the file's content is at
    /// fault.
    pub(super) fn error(&self, error: &dyn std::fmt::Display) -> ArchiveError {
        let failure = lock(&self.failure).take();
        failure.unwrap_or_else(|| ArchiveError::damaged(&self.path, error.to_string()))
    }

    /// All its blocks.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Result<Bytes, ArchiveError>> {
        (0..blocks(self.bytes)).map(|number| self.read_block(number))
    }

    /// Reads all of it.
    pub(super) fn check(&self, entry: FileEntry) -> Result<(), ArchiveError> {
        let mut whole = 0;
        for block in self.blocks() {
            whole = crc32c_append(whole, &block?);
        }
        if whole == entry.check {
            return Ok(());
        }
        Err(ArchiveError::damaged(&self.path, "its check fails, and those of its blocks do not"))
    }

    fn read_block(&self, number: u64) -> Result<Bytes, ArchiveError> {
        let start = number * BLOCK_BYTES as u64;
        let length = self.bytes.saturating_sub(start).min(BLOCK_BYTES as u64);
        let mut block = BytesMut::zeroed(usize::try_from(length).unwrap_or(0));
        self.file.read_at(start, &mut block).map_err(io_error("reading", &self.path))?;
        self.bytes_read.fetch_add(length, Ordering::Relaxed);
        let check = usize::try_from(number).ok().and_then(|number| self.checks.get(number));
        if check != Some(&crc32c(&block)) {
            let what = format!("the check of bytes {start} to {} fails", start + length);
            return Err(ArchiveError::damaged(&self.path, what));
        }
        Ok(block.freeze())
    }

    /// From byte `at` to the end of its block, or of the file; none at the end.
    fn rest_of_block(&self, at: u64) -> io::Result<Bytes> {
        if at >= self.bytes {
            return Ok(Bytes::new());
        }
        let number = at / BLOCK_BYTES as u64;
        let mut held = lock(&self.held);
        let block = match held.iter().position(|(held, _)| *held == number) {
            Some(place) => held.remove(place).map(|(_, block)| block),
            None => None,
        };
        let block = match block {
            Some(block) => block,
            None => self.read_block(number).map_err(|error| {
                let told = io::Error::other(error.to_string());
                *lock(&self.failure) = Some(error);
                told
            })?,
        };
        held.push_back((number, block.clone()));
        if held.len() > BLOCKS_HELD {
            held.pop_front();
        }
        drop(held);
        // Within the block, which is shorter than that only past the end.
        let within = usize::try_from(at % BLOCK_BYTES as u64).unwrap_or(0).min(block.len());
        Ok(block.slice(within..))
    }
}

/// What decoders read a checked file through.
#[derive(Debug, Clone)]
pub(super) struct Source(pub(super) Arc<CheckedFile>);

impl Length for Source {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for Source {
    type T = SourceReader;

    fn get_read(&self, start: u64) -> parquet::errors::Result<SourceReader> {
        Ok(SourceReader { file: Arc::clone(&self.0), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        if start.saturating_add(length as u64) > self.0.bytes {
            let end = self.0.bytes;
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {end} bytes")));
        }
        let first = self.0.rest_of_block(start)?;
        if first.len() >= length {
            return Ok(first.slice(..length));
        }
        let mut all = BytesMut::with_capacity(length);
        all.extend_from_slice(&first);
        while all.len() < length {
            let more = self.0.rest_of_block(start + all.len() as u64)?;
            let more = more.slice(..more.len().min(length - all.len()));
            if more.is_empty() {
                return Err(ParquetError::EOF("a file that grew shorter".to_owned()));
            }
            all.extend_from_slice(&more);
        }
        Ok(all.freeze())
    }
}

/// Reads on from some place.
#[derive(Debug)]
pub(super) struct SourceReader {
    file: Arc<CheckedFile>,
    at: u64,
}

impl Read for SourceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let from = self.file.rest_of_block(self.at)?;
        let count = from.len().min(into.len());
        into.iter_mut().zip(&from).for_each(|(to, byte)| *to = *byte);
        self.at += count as u64;
        Ok(count)
    }
}
