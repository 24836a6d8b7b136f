//! A run that is open: its filters and fences in memory, its pages read when they are asked for.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::filter::Filters;
use super::head;
use super::load::Loaded;
use super::page::{
    ENTRIES_PER_PAGE, ENTRY_BYTES, Header, Page, is_intact, items, read_entry, read_rare,
};
use super::stream::{Pages, WINDOW_PAGES};
use super::{Covers, Entry, Kind, PAGE, RunError, damaged, io};
use crate::disk::{AlignedBuffer, Disk, DiskFile};
use crate::fields::Fields;
use crate::id::Ordinal;
use crate::index::filed::FiledFallback;
use crate::index::first::{First, Holder};
use crate::wire::digest::Key;

/// A run. Look-ups may be made from any thread.
#[derive(Debug)]
pub struct Run {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) header: Header,
    covers: Covers,
    pub(super) filters: Filters,
    /// Of each page of entries the high half of the first key.
    fences: Box<[u64]>,
    /// Of each page of batches the first ordinal.
    pub(super) batch_fences: Box<[u64]>,
    /// Of each page of rare parts the first ordinal, less that of the first declaration.
    pub(super) rare_fences: Box<[u64]>,
}

impl Run {
    /// Opens the run at `path` and loads what is kept of it in memory, all of which is checked.
    ///
    /// # Errors
    /// [`RunError`]; another data folder's run is taken for damage.
    pub(super) fn open(disk: &dyn Disk, path: &Path, identity: [u8; 16]) -> Result<Self, RunError> {
        let (file, header) = head::open(disk, path, identity)?;
        let mut loaded = Loaded::new(&*file, path, &header)?;
        let fences = loaded.u64s(header.entry_pages)?;
        let batch_fences = loaded.u64s(header.batch_pages)?;
        let rare_fences = loaded.u64s(header.rare_pages)?;
        let filters = Filters::read(&mut loaded, header.filter_bits)?;
        let carried = loaded.rest(header.carried_bytes)?;
        let (covers, path) = (header.covers(carried), path.to_owned());
        Ok(Self { path, file, header, covers, filters, fences, batch_fences, rare_fences })
    }

    /// What it covers.
    #[must_use]
    pub fn covers(&self) -> &Covers {
        &self.covers
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many entries it has.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.header.entries
    }

    /// Bytes of its file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.header.pages() * PAGE
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn loaded_bytes(&self) -> u64 {
        let fences = self.fences.len() + self.batch_fences.len() + self.rare_fences.len();
        self.filters.bytes() + 8 * fences as u64 + self.covers.carried.len() as u64
    }

    pub(super) fn damaged(&self, page: u64, what: &'static str) -> RunError {
        damaged(&self.path, page, what)
    }

    pub(super) fn first_ordinal(&self) -> Ordinal {
        self.header.first_ordinal
    }

    /// A page that was read, where it is what was written.
    pub(super) fn checked<'p>(
        &self,
        number: u64,
        page: Option<&'p Page>,
    ) -> Result<&'p Page, RunError> {
        page.filter(|page| is_intact(page, self.header.first_record.0, number))
            .ok_or_else(|| self.damaged(number, "the page's check fails"))
    }

    /// Reads one page into a buffer for one.
    pub(super) fn read_page(
        &self,
        number: u64,
        buffer: &mut AlignedBuffer,
    ) -> Result<(), RunError> {
        let read = self.file.read_at(number * PAGE, buffer.bytes_mut());
        read.map_err(io("reading", &self.path))?;
        self.checked(number, buffer.pages().first()).map(drop)
    }

    /// Which pages of entries have all keys whose high halves are from `lowest` to `highest`: the last
    /// that begins before, and those that begin within.
    pub(super) fn entry_pages(&self, lowest: u64, highest: u64) -> Range<usize> {
        let from = self.fences.partition_point(|fence| *fence < lowest).saturating_sub(1);
        from..self.fences.partition_point(|fence| *fence <= highest)
    }

    /// The newest entry of this kind under `key`.
    pub(super) fn find(&self, key: Key, kind: Kind) -> Result<Option<Entry>, RunError> {
        if !self.filters.may_have(key) {
            return Ok(None);
        }
        let mut buffer = AlignedBuffer::new(1);
        for page in self.entry_pages(key.0, key.0) {
            let number = 1 + page as u64;
            self.read_page(number, &mut buffer)?;
            let Some(page) = buffer.pages().first() else { break };
            let mut newest = None;
            self.each_in(number, page, key, kind, |entry| {
                newest.get_or_insert(entry);
            })?;
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }

    /// The entries of this kind under `key` in a page, newest first.
    pub(super) fn each_in(
        &self,
        number: u64,
        page: &Page,
        key: Key,
        kind: Kind,
        mut take: impl FnMut(Entry),
    ) -> Result<(), RunError> {
        let (count, all) = items(page);
        let count = count.min(ENTRIES_PER_PAGE);
        let entry = |place: usize| {
            let mut fields = Fields(all.0.get(place * ENTRY_BYTES..).unwrap_or_default());
            read_entry(&mut fields, self.first_ordinal())
                .ok_or_else(|| self.damaged(number, "an entry cannot be read"))
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = entry(middle)?;
            if (found.key, found.kind) < (key, kind) { low = middle + 1 } else { high = middle }
        }
        for place in low..count {
            let found = entry(place)?;
            if (found.key, found.kind) != (key, kind) {
                break;
            }
            take(found);
        }
        Ok(())
    }

    /// What stands under `key`, but for declarations before one.
    pub(in crate::index) fn under(
        &self,
        key: Key,
        forgotten: Ordinal,
    ) -> Result<Option<Holder>, RunError> {
        let entry = self.find(key, Kind::UnderLrn)?;
        let Some(entry) = entry.filter(|entry| entry.ordinal >= forgotten) else { return Ok(None) };
        let first = self.firsts(&[entry])?.pop();
        Ok(first.map(|first| Holder::of_entry(first, &entry)))
    }

    /// The declaration that was placed as `ordinal`, if its batch is in the run.
    pub(in crate::index) fn at(&self, ordinal: Ordinal) -> Result<Option<First>, RunError> {
        if ordinal < self.covers.first_ordinal || ordinal >= self.covers.end_ordinal {
            return Ok(None);
        }
        let page = self.batch_fences.partition_point(|fence| *fence <= ordinal.0);
        let Some(page) = page.checked_sub(1) else { return Ok(None) };
        let number = self.header.first_batch_page() + page as u64;
        let mut buffer = AlignedBuffer::new(1);
        self.read_page(number, &mut buffer)?;
        let Some(page) = buffer.pages().first() else { return Ok(None) };
        let Some(batch) = self.batch_in(number, page, ordinal)? else { return Ok(None) };
        let index =
            usize::try_from(ordinal.0 - batch.placing.first_ordinal.0).unwrap_or(usize::MAX);
        Ok(Some(First::run(Arc::new(batch), index, None, self.rare(ordinal, buffer)?)))
    }

    fn rare(
        &self,
        ordinal: Ordinal,
        mut buffer: AlignedBuffer,
    ) -> Result<Option<FiledFallback>, RunError> {
        let from_first = ordinal.0 - self.header.first_ordinal.0;
        let page = self.rare_fences.partition_point(|fence| *fence <= from_first);
        let Some(page) = page.checked_sub(1) else { return Ok(None) };
        let number = self.header.first_rare_page() + page as u64;
        self.read_page(number, &mut buffer)?;
        buffer.pages().first().map_or(Ok(None), |page| self.rare_in(number, page, ordinal))
    }

    /// The rare parts of a page.
    pub(super) fn rares_in(
        &self,
        number: u64,
        page: &Page,
    ) -> Result<Vec<(Ordinal, FiledFallback)>, RunError> {
        let (count, mut fields) = items(page);
        let rares: Option<_> =
            (0..count).map(|_| read_rare(&mut fields, self.first_ordinal())).collect();
        rares.ok_or_else(|| self.damaged(number, "a rare part cannot be read"))
    }

    /// Reads and checks every page: that each is as it was written, that the entries are sorted,
    /// fenced and let through by their filter, and as many as they should be.
    ///
    /// # Errors
    /// The first that is not so.
    pub fn verify(&self) -> Result<(), RunError> {
        let mut before: Option<Entry> = None;
        let mut entries = 0;
        let mut pages = Pages::new(self, 0..self.header.pages(), WINDOW_PAGES);
        while let Some((number, page)) = pages.next()? {
            if !(1..self.header.first_batch_page()).contains(&number) {
                continue;
            }
            let all = self.entries_in(number, page)?;
            let fence = usize::try_from(number - 1).ok().and_then(|n| self.fences.get(n));
            if all.first().map(|entry| &entry.key.0) != fence {
                return Err(self.damaged(number, "its fence is not its first key"));
            }
            for entry in all {
                if before.is_some_and(|before| before.order() >= entry.order()) {
                    return Err(self.damaged(number, "its entries are not sorted"));
                }
                if !self.filters.may_have(entry.key) {
                    return Err(self.damaged(number, "the filter does not know one of its keys"));
                }
                before = Some(entry);
                entries += 1;
            }
        }
        if entries != self.header.entries {
            return Err(self.damaged(0, "it has another number of entries than its header says"));
        }
        Ok(())
    }
}
