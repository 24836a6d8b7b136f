//! Reads what is kept of a run in memory, piece by piece, so that no second copy of it is needed: the
//! filters of the largest run take 150 MB.

use std::path::Path;

use super::page::{Header, LOADED_PER_PAGE, is_intact};
use super::{PAGE, RunError, damaged, io};
use crate::disk::{AlignedBuffer, DiskFile, PAGE_BYTES};

/// Pages read at once.
const WINDOW_PAGES: usize = 64;

/// The bytes of the section of what is loaded, from the front. Every page of it is checked.
pub(super) struct Loaded<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    header: &'a Header,
    buffer: AlignedBuffer,
    /// Pages in the buffer, and the one that is being taken from.
    held: usize,
    page: usize,
    /// The next byte of that page.
    at: usize,
    next_page: u64,
    left: u64,
}

impl<'a> Loaded<'a> {
    pub(super) fn new(
        file: &'a dyn DiskFile,
        path: &'a Path,
        header: &'a Header,
    ) -> Result<Self, RunError> {
        let buffer = AlignedBuffer::new(WINDOW_PAGES);
        let (next_page, left) = (header.first_loaded_page(), header.loaded_bytes);
        let loaded =
            Self { file, path, header, buffer, held: 0, page: 0, at: PAGE_BYTES, next_page, left };
        // So that taking all of it reads, and checks, all pages.
        let pages = left.div_ceil(LOADED_PER_PAGE as u64);
        if pages == u64::from(header.loaded_pages) { Ok(loaded) } else { Err(loaded.damaged()) }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// It is not what was written there.
    pub(super) fn damaged(&self) -> RunError {
        let first = self.header.first_loaded_page();
        damaged(self.path, first, "what is loaded of it does not add up")
    }

    /// Fills `into`.
    pub(super) fn read(&mut self, mut into: &mut [u8]) -> Result<(), RunError> {
        let left = self.left.checked_sub(into.len() as u64);
        self.left = left.ok_or_else(|| self.damaged())?;
        while !into.is_empty() {
            if self.at == PAGE_BYTES {
                self.turn()?;
            }
            let page = self.buffer.pages().get(self.page).map_or(&[][..], |page| page);
            let bytes = page.get(self.at..).unwrap_or_default();
            let count = bytes.len().min(into.len());
            let (now, later) = into.split_at_mut(count);
            now.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            (into, self.at) = (later, self.at + count);
        }
        Ok(())
    }

    /// Goes on to the next page.
    fn turn(&mut self) -> Result<(), RunError> {
        self.page += 1;
        if self.page >= self.held {
            let left = self.header.pages() - self.next_page;
            self.held = WINDOW_PAGES.min(usize::try_from(left).unwrap_or(usize::MAX));
            let bytes = self.buffer.bytes_mut().get_mut(..self.held * PAGE_BYTES);
            let read = self.file.read_at(self.next_page * PAGE, bytes.unwrap_or_default());
            read.map_err(io("reading", self.path))?;
            self.page = 0;
        }
        let page = self.buffer.pages().get(self.page);
        if !page.is_some_and(|page| is_intact(page, self.header.first_record.0, self.next_page)) {
            return Err(damaged(self.path, self.next_page, "the page's check fails"));
        }
        self.next_page += 1;
        self.at = PAGE_BYTES - LOADED_PER_PAGE;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RunError> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RunError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, RunError> {
        self.array().map(u32::from_le_bytes)
    }

    /// `count` numbers of 8 bytes.
    pub(super) fn u64s(&mut self, count: u32) -> Result<Box<[u64]>, RunError> {
        if 8 * u64::from(count) > self.left {
            return Err(self.damaged());
        }
        (0..count).map(|_| self.u64()).collect()
    }

    /// All that is left, `count` bytes.
    pub(super) fn rest(&mut self, count: u32) -> Result<Vec<u8>, RunError> {
        if u64::from(count) != self.left {
            return Err(self.damaged());
        }
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
        self.read(&mut bytes)?;
        Ok(bytes)
    }
}
