//! Looking up many keys at once: filters are asked for a group of keys together, and what may be there
//! is read in the order of its pages, by several threads where there is much of it.
//!
//! A page is let go before the next is read, so that beside what is found, some 200 bytes a
//! declaration, a look-up takes a page a thread and 16 bytes for each page that it reads.

use std::sync::Arc;

use super::page::{BATCH_BYTES, Page, items, read_batch};
use super::{Entry, Kind, Run, RunError};
use crate::disk::AlignedBuffer;
use crate::fields::Fields;
use crate::id::Ordinal;
use crate::index::filed::FiledFallback;
use crate::index::first::{First, RunBatch};
use crate::wire::digest::Key;

/// The most threads that read for one look-up.
const READERS_MAX: usize = 8;

/// A thread is started for so many pages at least: starting it takes as long as reading one.
const PAGES_PER_READER: usize = 8;

impl Run {
    /// The entries of these kinds under these keys, each with its place in `asked`: by place, and of
    /// one place the newest first.
    pub(in crate::index) fn find_each(
        &self,
        asked: impl Iterator<Item = (Key, Kind)> + Clone,
    ) -> Result<Vec<(usize, Entry)>, RunError> {
        let mut places = Vec::new();
        self.filters.may_have_each(asked.clone().map(|(key, _)| key), |place| places.push(place));
        // New data ends here, as a rule, in each of many runs: nothing is set up for it before.
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut places = places.into_iter().peekable();
        let maybe: Vec<(usize, (Key, Kind))> =
            asked.enumerate().filter(|(place, _)| places.next_if_eq(place).is_some()).collect();
        let wanted = maybe.iter().enumerate().flat_map(|(nth, (_, (key, _)))| {
            self.entry_pages(key.0, key.0).map(move |page| (1 + page as u64, nth))
        });
        let mut found = self.read_each(wanted.collect(), |number, page, nth, found| {
            let Some(&(place, (key, kind))) = maybe.get(nth) else { return Ok(()) };
            self.each_in(number, page, key, kind, |entry| found.push((place, entry)))
        })?;
        found.sort_unstable_by_key(|(place, entry)| (*place, entry.order()));
        Ok(found)
    }

    /// The declarations of these entries of the run, in their order.
    pub(in crate::index) fn firsts(&self, entries: &[Entry]) -> Result<Vec<First>, RunError> {
        let ordinal_at = |place: usize| entries.get(place).map_or(Ordinal(0), |e| e.ordinal);
        let page_of = |fences: &[u64], at: u64| {
            fences.partition_point(|fence| *fence <= at).saturating_sub(1) as u64
        };
        let wanted = entries.iter().enumerate().map(|(place, entry)| {
            let page = page_of(&self.batch_fences, entry.ordinal.0);
            (self.header.first_batch_page() + page, place)
        });
        let take = |number, page: &Page, place, found: &mut Vec<(usize, Arc<RunBatch>)>| {
            let batch = self.batch_in(number, page, ordinal_at(place))?;
            let batch = batch.ok_or_else(|| self.damaged(number, "an entry is of no batch"))?;
            // What is sent again is mostly of one batch.
            let batch = match found.last() {
                Some((_, last)) if **last == batch => Arc::clone(last),
                _ => Arc::new(batch),
            };
            found.push((place, batch));
            Ok(())
        };
        let mut batches = self.read_each(wanted.collect(), take)?;
        batches.sort_unstable_by_key(|(place, _)| *place);
        let with_rare = entries.iter().enumerate().filter(|(_, entry)| entry.has_rare);
        let wanted = with_rare.map(|(place, entry)| {
            let page = page_of(&self.rare_fences, entry.ordinal.0 - self.first_ordinal().0);
            (self.header.first_rare_page() + page, place)
        });
        let mut rares = self.read_each(wanted.collect(), |number, page, place, found| {
            let rare = self.rare_in(number, page, ordinal_at(place))?;
            let none = || self.damaged(number, "the rare part of an entry is not there");
            found.push((place, rare.ok_or_else(none)?));
            Ok(())
        })?;
        rares.sort_unstable_by_key(|(place, _)| *place);
        let mut rares = rares.into_iter().peekable();
        let firsts = entries.iter().zip(batches).map(|(entry, (place, batch))| {
            let rare = rares.next_if(|(of, _)| *of == place).map(|(_, rare)| rare);
            First::of_entry(batch, entry, rare)
        });
        Ok(firsts.collect())
    }

    /// Reads the pages of `wanted`, each with a place of its own in what was asked, and hands them to
    /// `take`. What it adds comes in any order.
    fn read_each<T: Send>(
        &self,
        mut wanted: Vec<(u64, usize)>,
        take: impl Fn(u64, &Page, usize, &mut Vec<T>) -> Result<(), RunError> + Sync,
    ) -> Result<Vec<T>, RunError> {
        wanted.sort_unstable();
        let readers = (wanted.len() / PAGES_PER_READER).clamp(1, READERS_MAX);
        let read = |piece: &[(u64, usize)]| -> Result<Vec<T>, RunError> {
            let mut found = Vec::new();
            let mut buffer = AlignedBuffer::new(1);
            let mut held = None;
            for &(number, place) in piece {
                if held != Some(number) {
                    self.read_page(number, &mut buffer)?;
                    held = Some(number);
                }
                buffer.pages().first().map_or(Ok(()), |p| take(number, p, place, &mut found))?;
            }
            Ok(found)
        };
        if readers == 1 {
            return read(&wanted);
        }
        let mut pieces = wanted.chunks(wanted.len().div_ceil(readers));
        let own = pieces.next().unwrap_or_default();
        let found: Vec<Result<Vec<T>, RunError>> = std::thread::scope(|scope| {
            let read = &read;
            let started: Vec<_> = pieces
                .map(|piece| {
                    let thread = std::thread::Builder::new().name("waag-cold".into());
                    // Where the system gives no thread, this one reads.
                    thread.spawn_scoped(scope, move || read(piece)).map_err(|_| piece)
                })
                .collect();
            let own = read(own);
            let others = started.into_iter().map(|thread| match thread {
                Ok(thread) => {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                }
                Err(piece) => read(piece),
            });
            std::iter::once(own).chain(others).collect()
        });
        let mut all = Vec::new();
        for found in found {
            all.append(&mut found?);
        }
        Ok(all)
    }

    /// The batch of a page in which `ordinal` is.
    pub(super) fn batch_in(
        &self,
        number: u64,
        page: &Page,
        ordinal: Ordinal,
    ) -> Result<Option<RunBatch>, RunError> {
        let (count, all) = items(page);
        let batch = |place: usize| {
            let bytes = all.0.get(place * BATCH_BYTES..).unwrap_or_default();
            let batch = read_batch(&mut Fields(bytes));
            batch.ok_or_else(|| self.damaged(number, "a batch cannot be read"))
        };
        let (mut low, mut high) = (0, count);
        // The last batch whose first ordinal is not above the one looked for.
        while low < high {
            let middle = low + (high - low) / 2;
            if batch(middle)?.placing.first_ordinal <= ordinal {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some(place) = low.checked_sub(1) else { return Ok(None) };
        let batch = batch(place)?;
        let is_in = ordinal.0 - batch.placing.first_ordinal.0 < batch.declarations.into();
        Ok(is_in.then_some(batch))
    }

    /// The rare part of `ordinal` in a page.
    pub(super) fn rare_in(
        &self,
        number: u64,
        page: &Page,
        ordinal: Ordinal,
    ) -> Result<Option<FiledFallback>, RunError> {
        let rares = self.rares_in(number, page)?;
        Ok(rares.into_iter().find(|(of, _)| *of == ordinal).map(|(_, rare)| rare))
    }
}
