//! Reading a run from its front to its back, some pages at a time.

use std::borrow::Cow;
use std::ops::Range;

use super::filter::part_of;
use super::page::{BATCHES_PER_PAGE, ENTRIES_PER_PAGE, Page, items, read_batch, read_entry};
use super::{Batches, Entry, PAGE, Rares, Run, RunError, io};
use crate::day::Day;
use crate::disk::{AlignedBuffer, PAGE_BYTES};
use crate::id::Ordinal;
use crate::index::first::RunBatch;

/// Pages read at once where all are: 256 KiB.
pub(super) const WINDOW_PAGES: usize = 64;

/// Pages of a run, one after another, each checked.
pub(super) struct Pages<'r> {
    run: &'r Run,
    numbers: Range<u64>,
    buffer: AlignedBuffer,
    /// Pages in the buffer, and the one that comes next.
    held: usize,
    at: usize,
}

impl<'r> Pages<'r> {
    /// Those numbered `numbers`, `window` of them read at once.
    pub(super) fn new(run: &'r Run, numbers: Range<u64>, window: usize) -> Self {
        Self { run, numbers, buffer: AlignedBuffer::new(window), held: 0, at: 0 }
    }

    /// The next page with its number.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &Page)>, RunError> {
        let Some(number) = self.numbers.next() else { return Ok(None) };
        if self.at == self.held {
            let left = usize::try_from(self.numbers.end - number).unwrap_or(usize::MAX);
            self.held = self.buffer.pages().len().min(left);
            let bytes = self.buffer.bytes_mut().get_mut(..self.held * PAGE_BYTES);
            let read = self.run.file.read_at(number * PAGE, bytes.unwrap_or_default());
            read.map_err(io("reading", &self.run.path))?;
            self.at = 0;
        }
        let page = self.buffer.pages().get(self.at);
        self.at += 1;
        self.run.checked(number, page).map(|page| Some((number, page)))
    }
}

/// The items of pages, one after another.
struct Items<'r, T> {
    pages: Pages<'r>,
    of_page: std::vec::IntoIter<T>,
    read: fn(&Run, u64, &Page) -> Result<Vec<T>, RunError>,
    is_over: bool,
}

impl<'r, T> Items<'r, T> {
    fn new(pages: Pages<'r>, read: fn(&Run, u64, &Page) -> Result<Vec<T>, RunError>) -> Self {
        Self { pages, of_page: Vec::new().into_iter(), read, is_over: false }
    }

    fn turn(&mut self) -> Result<Option<T>, RunError> {
        loop {
            if let Some(item) = self.of_page.next() {
                return Ok(Some(item));
            }
            let run = self.pages.run;
            let Some((number, page)) = self.pages.next()? else { return Ok(None) };
            self.of_page = (self.read)(run, number, page)?.into_iter();
        }
    }
}

impl<T> Iterator for Items<'_, T> {
    type Item = Result<T, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.turn().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Run {
    /// The entries of a page.
    pub(super) fn entries_in(&self, number: u64, page: &Page) -> Result<Vec<Entry>, RunError> {
        let (count, mut cursor) = items(page);
        let entries =
            (0..count.min(ENTRIES_PER_PAGE)).map(|_| read_entry(&mut cursor, self.first_ordinal()));
        let entries: Option<_> = entries.collect();
        entries.ok_or_else(|| self.damaged(number, "an entry cannot be read"))
    }

    fn batches_in(&self, number: u64, page: &Page) -> Result<Vec<RunBatch>, RunError> {
        let (count, mut cursor) = items(page);
        let batches: Option<_> =
            (0..count.min(BATCHES_PER_PAGE)).map(|_| read_batch(&mut cursor)).collect();
        batches.ok_or_else(|| self.damaged(number, "a batch cannot be read"))
    }

    /// Adds the entries whose keys begin with the `bits` bits `part` to `to`.
    pub(super) fn add_part(
        &self,
        bits: u32,
        part: u64,
        to: &mut Vec<Entry>,
    ) -> Result<(), RunError> {
        let numbers = if bits == 0 {
            1..self.header.first_batch_page()
        } else {
            let lowest = part << (64 - bits);
            let highest = lowest | u64::MAX >> bits;
            let pages = self.entry_pages(lowest, highest);
            1 + pages.start as u64..1 + pages.end as u64
        };
        let mut pages = Pages::new(self, numbers, WINDOW_PAGES);
        while let Some((number, page)) = pages.next()? {
            let entries = self.entries_in(number, page)?.into_iter();
            to.extend(entries.filter(|entry| part_of(entry.key, bits) == part));
        }
        Ok(())
    }

    /// All entries, sorted; `window` pages are read at once.
    pub(super) fn all_entries(
        &self,
        window: usize,
    ) -> impl Iterator<Item = Result<Entry, RunError>> + '_ {
        Items::new(Pages::new(self, 1..self.header.first_batch_page(), window), Self::entries_in)
    }

    pub(super) fn all_batches(&self) -> Batches<'_> {
        let numbers = self.header.first_batch_page()..self.header.first_rare_page();
        Box::new(Items::new(Pages::new(self, numbers, WINDOW_PAGES), Self::batches_in))
    }

    /// The first declaration, not before `from`, of a batch that came on `day` or later.
    pub(in crate::index) fn first_since(
        &self,
        day: Day,
        from: Ordinal,
    ) -> Result<Option<Ordinal>, RunError> {
        for batch in self.all_batches() {
            let batch = batch?;
            if batch.end() > from && batch.admission.day >= day {
                return Ok(Some(batch.placing.first_ordinal.max(from)));
            }
        }
        Ok(None)
    }

    pub(super) fn all_rares(&self) -> Rares<'_> {
        let numbers = self.header.first_rare_page()..self.header.first_loaded_page();
        let rares = Items::new(Pages::new(self, numbers, WINDOW_PAGES), Self::rares_in);
        Box::new(rares.map(|rare| rare.map(|(ordinal, rare)| (ordinal, Cow::Owned(rare)))))
    }
}
