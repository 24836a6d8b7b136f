//! A generation that is full, on its way to disk: look-ups go on in memory until its run is there.

use std::borrow::Cow;
use std::sync::Arc;

use super::filed::Owner;
use super::first::RunBatch;
use super::generation::Generation;
use super::run::{Batches, Covers, Entry, Folder, Kind, Rares, Run, RunError, Source};
use crate::id::Ordinal;
use crate::outcome::Outcome;

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
        folder.write(self)
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

impl Source for Frozen {
    fn covers(&self) -> &Covers {
        &self.covers
    }

    fn entries(&self, bits: u32, part: u64) -> Result<Vec<Entry>, RunError> {
        let owners = self.generation.table.owners(bits, part);
        Ok(owners.filter_map(|word| self.entry(Owner::from_word(word))).collect())
    }

    fn count(&self) -> u64 {
        self.generation.table.owners(0, 0).count() as u64
    }

    fn batches(&self) -> Batches<'_> {
        let firsts = self.generation.placed().filter(|(filed, _)| Generation::has_firsts(filed));
        Box::new(firsts.map(|(filed, placing)| {
            Ok(RunBatch {
                admission: filed.admission(),
                placing,
                declarations: u32::try_from(filed.len()).unwrap_or(u32::MAX),
            })
        }))
    }

    fn rares(&self) -> Rares<'_> {
        Box::new(self.generation.placed().flat_map(|(filed, placing)| {
            filed.fallbacks().iter().filter_map(move |fallback| {
                let index = usize::from(fallback.index);
                let is_first = filed.settled(index)?.outcome != Outcome::Replayed;
                let ordinal = Ordinal(placing.first_ordinal.0 + index as u64);
                is_first.then_some(Ok((ordinal, Cow::Borrowed(fallback))))
            })
        }))
    }
}
