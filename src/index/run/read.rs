//! A run that is open: its filters and fences in memory, its pages read one at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::filter::Filters;
use super::page::{
    BATCHES_PER_PAGE, BadHeader, Cursor, ENTRIES_PER_PAGE, ENTRY_BYTES, Header, LOADED_PER_PAGE,
    Page, is_intact, items, read_batch, read_entry, read_rare,
};
use super::{Covers, Entry, Kind, PAGE, RunError, io};
use crate::disk::{Access, AlignedBuffer, Disk, DiskFile, PAGE_BYTES};
use crate::id::Ordinal;
use crate::index::filed::FiledFallback;
use crate::index::first::{First, Holder, RunBatch};
use crate::outcome::Outcome;
use crate::wire::digest::Key;

/// Pages read at once where all are.
const WINDOW_PAGES: u64 = 64;

/// A run. Look-ups may be made from any thread.
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    header: Header,
    covers: Covers,
    filters: Filters,
    fences: Box<[u64]>,
    batch_fences: Box<[u64]>,
    rare_fences: Box<[u64]>,
    /// The page of batches read last: the declarations of a batch that is sent again ask for the
    /// same batch one after another.
    batches: Mutex<Option<BatchPage>>,
}

type BatchPage = (u64, Arc<[Arc<RunBatch>]>);

impl Run {
    /// Opens the run at `path` and loads what is kept of it in memory, all of which is checked.
    ///
    /// # Errors
    /// [`RunError`]; another data folder's run is taken for damage.
    pub(super) fn open(disk: &dyn Disk, path: &Path, identity: [u8; 16]) -> Result<Self, RunError> {
        let file = disk.open(path, Access::Read).map_err(io("opening", path))?;
        let damaged = |page: u64, what| damaged(path, page, what);
        let bytes = file.len().map_err(io("asking the length of", path))?;
        if bytes < PAGE {
            return Err(damaged(0, "the file is shorter than a header"));
        }
        let mut buffer = AlignedBuffer::new(1);
        file.read_at(0, buffer.bytes_mut()).map_err(io("reading", path))?;
        let header = buffer
            .pages()
            .first()
            .map_or(Err(BadHeader::Damaged("there is no header")), Header::read);
        let header = match header {
            Ok(header) => header,
            Err(BadHeader::Damaged(what)) => return Err(damaged(0, what)),
            Err(BadHeader::Newer(found)) => {
                return Err(RunError::NewerFormat { path: path.to_owned(), found });
            }
        };
        if header.identity != identity {
            return Err(damaged(0, "it is the run of another data folder"));
        }
        if bytes != header.pages() * PAGE {
            return Err(damaged(0, "the file has another length than its header says"));
        }
        let loaded = load(&*file, path, &header)?;
        let parsed = Self::parse(&header, &loaded);
        let (filters, fences, batch_fences, rare_fences, carried) = parsed.ok_or_else(|| {
            damaged(header.first_loaded_page(), "what is loaded of it does not add up")
        })?;
        let covers = header.covers(carried);
        let batches = Mutex::new(None);
        let path = path.to_owned();
        Ok(Self { path, file, header, covers, filters, fences, batch_fences, rare_fences, batches })
    }

    #[allow(clippy::type_complexity)]
    fn parse(
        header: &Header,
        loaded: &[u8],
    ) -> Option<(Filters, Box<[u64]>, Box<[u64]>, Box<[u64]>, Vec<u8>)> {
        let mut cursor = Cursor(loaded);
        let fences = |cursor: &mut Cursor<'_>, count: u32| {
            let bytes = cursor.take(8 * usize::try_from(count).ok()?)?;
            Some(bytes.as_chunks().0.iter().map(|eight| u64::from_le_bytes(*eight)).collect())
        };
        let entry_fences = fences(&mut cursor, header.entry_pages)?;
        let batch_fences = fences(&mut cursor, header.batch_pages)?;
        let rare_fences = fences(&mut cursor, header.rare_pages)?;
        let filters = Filters::read(&mut cursor, header.filter_bits)?;
        let carried = cursor.take(usize::try_from(header.carried_bytes).ok()?)?.to_vec();
        cursor.0.is_empty().then_some((filters, entry_fences, batch_fences, rare_fences, carried))
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

    fn damaged(&self, page: u64, what: &'static str) -> RunError {
        damaged(&self.path, page, what)
    }

    fn page(&self, number: u64) -> Result<AlignedBuffer, RunError> {
        let mut buffer = AlignedBuffer::new(1);
        let read = self.file.read_at(number * PAGE, buffer.bytes_mut());
        read.map_err(io("reading", &self.path))?;
        let is_intact = buffer
            .pages()
            .first()
            .is_some_and(|page| is_intact(page, self.header.first_record.0, number));
        if is_intact { Ok(buffer) } else { Err(self.damaged(number, "the page's check fails")) }
    }

    /// The entry of this kind under `key`.
    pub(super) fn find(&self, key: Key, kind: Kind) -> Result<Option<Entry>, RunError> {
        if !self.filters.may_have(key) {
            return Ok(None);
        }
        // The last page that begins before the key, and those that begin with its high half: one
        // page but where two keys share that half.
        let from = self.fences.partition_point(|fence| *fence < key.0).saturating_sub(1);
        let until = self.fences.partition_point(|fence| *fence <= key.0);
        for page in from..until {
            let number = 1 + page as u64;
            let buffer = self.page(number)?;
            let found = buffer.pages().first().map(|page| self.find_in(page, key, kind));
            match found {
                Some(Ok(None)) | None => {}
                Some(Ok(found)) => return Ok(found),
                Some(Err(what)) => return Err(self.damaged(number, what)),
            }
        }
        Ok(None)
    }

    fn find_in(&self, page: &Page, key: Key, kind: Kind) -> Result<Option<Entry>, &'static str> {
        let (count, all) = items(page);
        let entry = |place: usize| {
            let mut cursor = Cursor(all.0.get(place * ENTRY_BYTES..).unwrap_or_default());
            read_entry(&mut cursor, self.header.first_ordinal).ok_or("an entry cannot be read")
        };
        let (mut low, mut high) = (0, count.min(ENTRIES_PER_PAGE));
        while low < high {
            let middle = low + (high - low) / 2;
            let found = entry(middle)?;
            match (found.key, found.kind).cmp(&(key, kind)) {
                std::cmp::Ordering::Equal => return Ok(Some(found)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// What stands under `key`.
    pub(in crate::index) fn under(&self, key: Key) -> Result<Option<Holder>, RunError> {
        let Some(entry) = self.find(key, Kind::UnderLrn)? else { return Ok(None) };
        let first = self.first(&entry)?;
        let with_fallback = first.fallback_digest().unwrap_or(entry.content);
        let (outcome, content) = (entry.outcome, entry.content);
        Ok(Some(Holder { first, outcome, content, with_fallback }))
    }

    /// What is remembered under `memory`.
    pub(in crate::index) fn remembered(
        &self,
        outcome: Outcome,
        memory: Key,
    ) -> Result<Option<First>, RunError> {
        let kind = if outcome == Outcome::Conflict { Kind::Conflict } else { Kind::Rejection };
        self.find(memory, kind)?.map(|entry| self.first(&entry)).transpose()
    }

    fn first(&self, entry: &Entry) -> Result<First, RunError> {
        let batch = self.batch_of(entry.ordinal)?;
        let batch = batch.ok_or_else(|| self.damaged(0, "an entry is of no batch of the run"))?;
        let fallback = if entry.has_rare { self.rare(entry.ordinal)? } else { None };
        if entry.has_rare && fallback.is_none() {
            return Err(self.damaged(0, "the rare part of an entry is not there"));
        }
        let index = entry.ordinal.0 - batch.placing.first_ordinal.0;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        Ok(First::run(batch, index, Some(entry.outcome), fallback))
    }

    /// The declaration that was placed as `ordinal`, if its batch is in the run.
    pub(in crate::index) fn at(&self, ordinal: Ordinal) -> Result<Option<First>, RunError> {
        if ordinal < self.covers.first_ordinal || ordinal >= self.covers.end_ordinal {
            return Ok(None);
        }
        let Some(batch) = self.batch_of(ordinal)? else { return Ok(None) };
        let index =
            usize::try_from(ordinal.0 - batch.placing.first_ordinal.0).unwrap_or(usize::MAX);
        Ok(Some(First::run(batch, index, None, self.rare(ordinal)?)))
    }

    fn batch_of(&self, ordinal: Ordinal) -> Result<Option<Arc<RunBatch>>, RunError> {
        let page = self.batch_fences.partition_point(|fence| *fence <= ordinal.0);
        let Some(page) = page.checked_sub(1) else { return Ok(None) };
        let batches = self.batch_page(self.header.first_batch_page() + page as u64)?;
        let after = batches.partition_point(|batch| batch.placing.first_ordinal <= ordinal);
        let batch = after.checked_sub(1).and_then(|place| batches.get(place));
        Ok(batch
            .filter(|batch| ordinal.0 - batch.placing.first_ordinal.0 < batch.declarations.into())
            .map(Arc::clone))
    }

    fn batch_page(&self, number: u64) -> Result<Arc<[Arc<RunBatch>]>, RunError> {
        let held = self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, batches)) = held.filter(|(held, _)| *held == number) {
            return Ok(batches);
        }
        let buffer = self.page(number)?;
        let batches: Option<Arc<[_]>> = buffer.pages().first().and_then(|page| {
            let (count, mut cursor) = items(page);
            let count = count.min(BATCHES_PER_PAGE);
            (0..count).map(|_| read_batch(&mut cursor).map(Arc::new)).collect()
        });
        let batches = batches.ok_or_else(|| self.damaged(number, "a batch cannot be read"))?;
        *self.batches.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((number, Arc::clone(&batches)));
        Ok(batches)
    }

    fn rare(&self, ordinal: Ordinal) -> Result<Option<FiledFallback>, RunError> {
        let from_first = ordinal.0 - self.header.first_ordinal.0;
        let page = self.rare_fences.partition_point(|fence| *fence <= from_first);
        let Some(page) = page.checked_sub(1) else { return Ok(None) };
        let number = self.header.first_rare_page() + page as u64;
        let buffer = self.page(number)?;
        let Some(page) = buffer.pages().first() else { return Ok(None) };
        let (count, mut cursor) = items(page);
        for _ in 0..count {
            let rare = read_rare(&mut cursor, self.header.first_ordinal);
            let (found, fallback) =
                rare.ok_or_else(|| self.damaged(number, "a rare part cannot be read"))?;
            if found == ordinal {
                return Ok(Some(fallback));
            }
        }
        Ok(None)
    }

    /// Reads and checks every page: that each is as it was written, that the entries are sorted,
    /// fenced, let through by their filter and of batches that are there, and as many as they
    /// should be.
    ///
    /// # Errors
    /// The first that is not so.
    pub fn verify(&self) -> Result<(), RunError> {
        let mut before: Option<(Key, Kind)> = None;
        let mut entries = 0;
        self.each_page(|number, page| {
            let is_entries = (1..self.header.first_batch_page()).contains(&number);
            if !is_entries {
                return Ok(());
            }
            let (count, mut cursor) = items(page);
            for place in 0..count {
                let entry = read_entry(&mut cursor, self.header.first_ordinal);
                let entry = entry.ok_or("an entry cannot be read")?;
                let at = (entry.key, entry.kind);
                if before.is_some_and(|before| before >= at) {
                    return Err("its entries are not sorted");
                }
                let fence = usize::try_from(number - 1).ok().and_then(|n| self.fences.get(n));
                if place == 0 && fence != Some(&entry.key.0) {
                    return Err("its fence is not its first key");
                }
                if !self.filters.may_have(entry.key) {
                    return Err("the filter does not know one of its keys");
                }
                before = Some(at);
                entries += 1;
            }
            Ok(())
        })?;
        if entries != self.header.entries {
            return Err(self.damaged(0, "it has another number of entries than its header says"));
        }
        Ok(())
    }

    /// Whether both are the same, byte for byte.
    ///
    /// # Errors
    /// Where either cannot be read.
    pub fn equals(&self, other: &Self) -> Result<bool, RunError> {
        if self.header != other.header {
            return Ok(false);
        }
        let mut same = true;
        self.each_page(|number, page| {
            if same {
                let theirs =
                    other.page(number).map_err(|_| "what it is compared with cannot be read")?;
                same = theirs.pages().first() == Some(page);
            }
            Ok(())
        })?;
        Ok(same)
    }

    fn each_page(
        &self,
        mut take: impl FnMut(u64, &Page) -> Result<(), &'static str>,
    ) -> Result<(), RunError> {
        let mut start = 0;
        while start < self.header.pages() {
            let count = WINDOW_PAGES.min(self.header.pages() - start);
            let mut buffer = AlignedBuffer::new(usize::try_from(count).unwrap_or(1));
            let read = self.file.read_at(start * PAGE, buffer.bytes_mut());
            read.map_err(io("reading", &self.path))?;
            for (number, page) in (start..).zip(buffer.pages()) {
                if !is_intact(page, self.header.first_record.0, number) {
                    return Err(self.damaged(number, "the page's check fails"));
                }
                take(number, page).map_err(|what| self.damaged(number, what))?;
            }
            start += count;
        }
        Ok(())
    }
}

fn damaged(path: &Path, page: u64, what: &'static str) -> RunError {
    RunError::Damaged { path: path.to_owned(), offset: page * PAGE, what }
}

/// Reads what is kept in memory, page by page.
fn load(file: &dyn DiskFile, path: &Path, header: &Header) -> Result<Vec<u8>, RunError> {
    let first = header.first_loaded_page();
    let mut loaded = Vec::new();
    let mut start = first;
    while start < header.pages() {
        let count = WINDOW_PAGES.min(header.pages() - start);
        let mut buffer = AlignedBuffer::new(usize::try_from(count).unwrap_or(1));
        file.read_at(start * PAGE, buffer.bytes_mut()).map_err(io("reading", path))?;
        for (number, page) in (start..).zip(buffer.pages()) {
            if !is_intact(page, header.first_record.0, number) {
                return Err(damaged(path, number, "the page's check fails"));
            }
            loaded.extend_from_slice(page.get(PAGE_BYTES - LOADED_PER_PAGE..).unwrap_or_default());
        }
        start += count;
    }
    let bytes = usize::try_from(header.loaded_bytes).unwrap_or(usize::MAX);
    if loaded.len() < bytes {
        return Err(damaged(path, first, "less is loaded of it than its header says"));
    }
    loaded.truncate(bytes);
    Ok(loaded)
}
