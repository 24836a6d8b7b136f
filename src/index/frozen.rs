//! A generation that is full, on its way to disk: look-ups go on in memory until its run is there.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use super::filed::Owner;
use super::first::RunBatch;
use super::generation::Generation;
use super::run::{Batches, Covers, Entry, Folder, Kind, Rares, Run, RunError, Source};
use crate::id::Ordinal;
use crate::outcome::Outcome;

/// Parts whose owners are taken from the table in one pass over it, 2 MiB of words each.
const PARTS_AT_ONCE: u64 = 8;

/// A generation in which all is placed, and nothing changes.
#[derive(Debug)]
pub struct Frozen {
    pub(super) generation: Arc<Generation>,
    covers: Covers,
}

impl Frozen {
    pub(super) fn new(generation: Arc<Generation>, covers: Covers) -> Self {
        Self { generation, covers }
    }

    /// Writes its run; blocks for as long as that takes, some seconds for millions of declarations.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn write(&self, folder: &Folder) -> Result<Run, RunError> {
        folder.write(&self.source())
    }

    pub(super) fn source(&self) -> Writing<'_> {
        Writing { frozen: self, taken: RefCell::default() }
    }

    /// The number of its last record.
    #[must_use]
    pub fn covers(&self) -> &Covers {
        &self.covers
    }

    fn entry(&self, owner: Owner) -> Option<Entry> {
        let filed = self.generation.batch(owner.sequence())?;
        let index = owner.index();
        let kind = if owner.is_rejection() {
            Kind::Rejection
        } else if owner.is_conflict() {
            Kind::Conflict
        } else {
            Kind::UnderLrn
        };
        let outcome = filed.settled(index)?.outcome;
        let is_rejected = outcome == Outcome::Rejected;
        let digest = if is_rejected { filed.with_fallback(index) } else { filed.content(index) };
        Some(Entry {
            key: self.generation.key_of(owner)?,
            kind,
            digest: digest?,
            ordinal: Ordinal(filed.placing()?.first_ordinal.0 + index as u64),
            outcome,
            has_rare: filed.fallback(index).is_some(),
        })
    }
}

/// What a run is written from, part by part.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    frozen: &'a Frozen,
    taken: RefCell<Taken>,
}

/// Owners of the parts that come next.
#[derive(Debug, Default)]
struct Taken {
    bits: u32,
    /// The first of them.
    next: u64,
    parts: VecDeque<Vec<u64>>,
}

impl Writing<'_> {
    /// The owners of the keys of a part, by batch: what is read of each lies beside what was read of the
    /// one before, where the order of the table would wait for memory each time.
    fn owners(&self, bits: u32, part: u64) -> Vec<u64> {
        let mut taken = self.taken.borrow_mut();
        if (taken.bits, taken.next) != (bits, part) || taken.parts.is_empty() {
            let count = PARTS_AT_ONCE.min((1 << bits) - part);
            let parts = self.frozen.generation.table.owners(bits, part..part + count);
            *taken = Taken { bits, next: part, parts: parts.into() };
        }
        taken.next += 1;
        let mut owners = taken.parts.pop_front().unwrap_or_default();
        drop(taken);
        owners.sort_unstable();
        owners
    }
}

impl Source for Writing<'_> {
    fn covers(&self) -> &Covers {
        &self.frozen.covers
    }

    fn entries(&self, bits: u32, part: u64) -> Result<Vec<Entry>, RunError> {
        let owners = self.owners(bits, part).into_iter().map(Owner::from_word);
        Ok(owners.filter_map(|owner| self.frozen.entry(owner)).collect())
    }

    fn count(&self) -> u64 {
        self.frozen.generation.table.owned()
    }

    fn batches(&self) -> Batches<'_> {
        let placed = self.frozen.generation.placed();
        Box::new(placed.filter(|(filed, _)| Generation::has_firsts(filed)).map(
            |(filed, placing)| {
                Ok(RunBatch {
                    admission: filed.admission(),
                    placing,
                    declarations: u32::try_from(filed.len()).unwrap_or(u32::MAX),
                })
            },
        ))
    }

    fn rares(&self) -> Rares<'_> {
        Box::new(self.frozen.generation.placed().flat_map(|(filed, placing)| {
            filed.fallbacks().iter().filter_map(move |fallback| {
                let index = usize::from(fallback.index);
                let is_first = filed.settled(index)?.outcome != Outcome::Replayed;
                let ordinal = Ordinal(placing.first_ordinal.0 + index as u64);
                is_first.then_some(Ok((ordinal, Cow::Borrowed(fallback))))
            })
        }))
    }
}
