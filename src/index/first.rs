//! A declaration answered before, wherever it is kept: in a batch in memory, or in a run on disk.

use std::sync::Arc;

use super::filed::{Admission, Filed, FiledFallback, Placing, Quoted};
use super::run::Entry;
use crate::day::Day;
use crate::id::Ordinal;
use crate::outcome::Outcome;
use crate::rules::fallback::FallbackCheck;
use crate::wire::digest::Digest;

/// A declaration placed before, whose answer a replay gets.
#[derive(Debug, Clone)]
pub struct First(Origin);

#[derive(Debug, Clone)]
enum Origin {
    /// In memory.
    Filed { filed: Arc<Filed>, index: usize },
    /// Read from a run. Without an outcome where it was looked up by its ordinal.
    Run {
        batch: Arc<RunBatch>,
        index: usize,
        outcome: Option<Outcome>,
        fallback: Option<Box<FiledFallback>>,
    },
}

/// What a run has of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunBatch {
    /// When and under which law it came in.
    pub admission: Admission,
    /// Where it stands in the journal.
    pub placing: Placing,
    /// How many declarations it has.
    pub declarations: u32,
}

impl RunBatch {
    /// The ordinal after its last declaration.
    pub(super) fn end(&self) -> Ordinal {
        Ordinal(self.placing.first_ordinal.0.saturating_add(self.declarations.into()))
    }
}

impl First {
    /// Declaration `index` of a batch in memory.
    #[must_use]
    pub fn filed(filed: Arc<Filed>, index: usize) -> Self {
        Self(Origin::Filed { filed, index })
    }

    /// Declaration `index` of a batch that is in a run.
    pub(super) fn run(
        batch: Arc<RunBatch>,
        index: usize,
        outcome: Option<Outcome>,
        fallback: Option<FiledFallback>,
    ) -> Self {
        Self(Origin::Run { batch, index, outcome, fallback: fallback.map(Box::new) })
    }

    /// The declaration of an entry, with its batch and its rare part.
    pub(super) fn of_entry(
        batch: Arc<RunBatch>,
        entry: &Entry,
        fallback: Option<FiledFallback>,
    ) -> Self {
        let index = entry.ordinal.0.saturating_sub(batch.placing.first_ordinal.0);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        Self::run(batch, index, Some(entry.outcome), fallback)
    }

    /// When and under which law its batch came in.
    #[must_use]
    pub fn admission(&self) -> Admission {
        match &self.0 {
            Origin::Filed { filed, .. } => filed.admission(),
            Origin::Run { batch, .. } => batch.admission,
        }
    }

    /// Where its batch stands in the journal; `None` while that is in flight.
    #[must_use]
    pub fn placing(&self) -> Option<Placing> {
        match &self.0 {
            Origin::Filed { filed, .. } => filed.placing(),
            Origin::Run { batch, .. } => Some(batch.placing),
        }
    }

    /// Its index in its batch.
    #[must_use]
    pub fn index(&self) -> usize {
        match &self.0 {
            Origin::Filed { index, .. } | Origin::Run { index, .. } => *index,
        }
    }

    /// Its ordinal; `None` while its batch is in flight.
    #[must_use]
    pub fn ordinal(&self) -> Option<Ordinal> {
        Some(Ordinal(self.placing()?.first_ordinal.0 + self.index() as u64))
    }

    /// What was answered; `None` where it is not known without the journal.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.0 {
            Origin::Filed { filed, index } => filed.settled(*index).map(|settled| settled.outcome),
            Origin::Run { outcome, .. } => *outcome,
        }
    }

    fn fallback(&self) -> Option<&FiledFallback> {
        match &self.0 {
            Origin::Filed { filed, index } => filed.fallback(*index),
            Origin::Run { fallback, .. } => fallback.as_deref(),
        }
    }

    /// The day whose law judged it, and what was found of its fallback.
    #[must_use]
    pub fn judged_under(&self) -> (Day, FallbackCheck) {
        let fallback = self.fallback().map(|fallback| (fallback.law_day, fallback.check));
        fallback.unwrap_or((self.admission().day, FallbackCheck::default()))
    }

    /// What findings about its fallback quote, where there are any.
    #[must_use]
    pub fn quoted(&self) -> Option<&Quoted> {
        self.fallback().and_then(|fallback| fallback.quoted.as_ref())
    }

    /// The digest of its fallback, where it has one.
    pub(super) fn fallback_digest(&self) -> Option<Digest> {
        self.fallback().map(|fallback| fallback.digest)
    }
}

/// A declaration under its key, with what another one's content is compared with.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) first: First,
    pub(super) outcome: Outcome,
    /// Of one that was rejected it may be the other: nothing is compared with it.
    pub(super) content: Digest,
    pub(super) with_fallback: Digest,
}

impl Holder {
    /// Of an entry that stands under an LRN.
    pub(super) fn of_entry(first: First, entry: &Entry) -> Self {
        // The content of one that was rejected is in what it is compared with.
        let with_fallback = match entry.outcome {
            Outcome::Rejected => entry.digest,
            _ => first.fallback_digest().unwrap_or(entry.digest),
        };
        Self { first, outcome: entry.outcome, content: entry.digest, with_fallback }
    }

    /// Declaration `index` of a batch in memory, whose outcome is final.
    pub(super) fn filed(filed: &Arc<Filed>, index: usize) -> Option<Self> {
        Some(Self {
            outcome: filed.settled(index)?.outcome,
            content: filed.content(index)?,
            with_fallback: filed.with_fallback(index)?,
            first: First::filed(Arc::clone(filed), index),
        })
    }
}
