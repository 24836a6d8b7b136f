//! Several runs that follow one another, as what one run is written from.
//!
//! Nothing is changed: the entries of all of them, sorted, their batches and their rare parts one after
//! another, and what the newest carries. Left out is what is forgotten after the last record of the
//! newest, and nothing that was forgotten later: whoever goes on after the merged run takes records that
//! were placed while that was known. So it does not matter which of them were merged before: the same
//! runs answer the same, however they are grouped.
//!
//! Memory: a part of the keys at a time (see [`super::PART_ENTRIES`]), a window of pages of each run,
//! and the filters of what is written.

use std::sync::Arc;

use super::{Batches, Covers, Entry, Rares, Run, RunError, Source};

/// Runs without a gap between them, oldest first.
pub(in crate::index) struct Merged<'a> {
    runs: &'a [Arc<Run>],
    covers: Covers,
    is_wanted: &'a dyn Fn() -> bool,
}

impl<'a> Merged<'a> {
    /// Of `runs`; `None` where there is no run, or a gap. `is_wanted` is asked again and again while it
    /// is written: once it says no, that ends with [`RunError::GivenUp`].
    pub(in crate::index) fn of(
        runs: &'a [Arc<Run>],
        is_wanted: &'a dyn Fn() -> bool,
    ) -> Option<Self> {
        let follows = runs.windows(2).all(|two| match two {
            [older, newer] => {
                let (before, after) = (older.covers(), newer.covers());
                after.first_record.0 == before.last_record.0 + 1
                    && after.first_ordinal == before.end_ordinal
            }
            _ => false,
        });
        let (oldest, newest) = (runs.first()?.covers(), runs.last()?.covers());
        let covers = Covers {
            first_record: oldest.first_record,
            first_ordinal: oldest.first_ordinal,
            ..newest.clone()
        };
        follows.then_some(Self { runs, covers, is_wanted })
    }
}

impl Source for Merged<'_> {
    fn covers(&self) -> &Covers {
        &self.covers
    }

    fn entries(&self, bits: u32, part: u64) -> Result<Vec<Entry>, RunError> {
        let mut entries = Vec::new();
        for run in self.runs {
            if !(self.is_wanted)() {
                return Err(RunError::GivenUp);
            }
            run.add_part(bits, part, &mut entries)?;
        }
        entries.retain(|entry| entry.ordinal >= self.covers.forgotten.before);
        Ok(entries)
    }

    fn count(&self) -> u64 {
        self.runs.iter().map(|run| run.entries()).sum()
    }

    fn batches(&self) -> Batches<'_> {
        let before = self.covers.forgotten.before;
        let all = self.runs.iter().flat_map(|run| run.all_batches());
        Box::new(all.filter(move |batch| batch.as_ref().map_or(true, |it| it.end() > before)))
    }

    fn rares(&self) -> Rares<'_> {
        let before = self.covers.forgotten.before;
        let all = self.runs.iter().flat_map(|run| run.all_rares());
        Box::new(all.filter(move |rare| rare.as_ref().map_or(true, |(it, _)| *it >= before)))
    }
}
