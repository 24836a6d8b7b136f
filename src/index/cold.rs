//! Looking up what is not in the hot generation: the frozen one, then the runs, newest first.
//!
//! What is cold never changes: a worker reads it once, before it claims, and the committer settles
//! with what it read.

use std::sync::Arc;

use super::first::{First, Holder};
use super::frozen::Frozen;
use super::generation::Generation;
use super::run::{Run, RunError};
use crate::outcome::Outcome;
use crate::wire::digest::{Digest, Key, MemoryKind};

/// What the index consists of at a moment.
#[derive(Debug)]
pub(super) struct State {
    pub(super) hot: Arc<Generation>,
    pub(super) frozen: Option<Arc<Frozen>>,
    /// Newest first.
    pub(super) runs: Vec<Arc<Run>>,
}

/// What the cold part knows of a declaration's LRN.
#[derive(Debug)]
pub(super) struct Cold {
    /// The newest that stands under it.
    pub(super) holder: Holder,
    /// This very content, fallback included, as it was rejected under it.
    pub(super) rejection: Option<First>,
    /// This very content as it was a conflict under it.
    pub(super) conflict: Option<First>,
}

impl Cold {
    pub(super) fn recall(&self, kind: MemoryKind) -> Option<First> {
        match kind {
            MemoryKind::Rejection => self.rejection.clone(),
            MemoryKind::Conflict => self.conflict.clone(),
            MemoryKind::Nameless => None,
        }
    }
}

impl State {
    /// Whether there is anything cold.
    pub(super) fn has_cold(&self) -> bool {
        self.frozen.is_some() || !self.runs.is_empty()
    }

    /// Memory of filters and fences.
    pub(super) fn loaded_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.loaded_bytes()).sum()
    }

    /// What stands under `key` in the newest cold part that knows it.
    pub(super) fn cold_under(&self, key: Key) -> Result<Option<Holder>, RunError> {
        if let Some(frozen) = &self.frozen
            && let Some(holder) = frozen.generation.under(key)
        {
            return Ok(Some(holder));
        }
        for run in &self.runs {
            if let Some(holder) = run.under(key)? {
                return Ok(Some(holder));
            }
        }
        Ok(None)
    }

    /// All that is cold of the LRN with this key, for a declaration with these digests.
    ///
    /// An LRN of which something is remembered stands in the same part or an older one, so that
    /// nothing is remembered where none is found. What stands under it in an older part than the
    /// newest was displaced by a later one: it was rejected, and is remembered in this way.
    pub(super) fn cold(
        &self,
        key: Key,
        content: Digest,
        with_fallback: Digest,
    ) -> Result<Option<Cold>, RunError> {
        let memory = |kind, digest| self.hot.memory_key(kind, key, digest);
        let rejected = memory(MemoryKind::Rejection, with_fallback);
        let in_conflict = memory(MemoryKind::Conflict, content);
        let mut found = Gathered::default();
        if let Some(frozen) = &self.frozen {
            let part = &frozen.generation;
            if found.is_settled_by(part.under(key), with_fallback) {
                return Ok(found.cold());
            }
            found.rejection = part.recall(MemoryKind::Rejection, rejected).or(found.rejection);
            found.conflict = part.recall(MemoryKind::Conflict, in_conflict);
        }
        for run in &self.runs {
            if found.is_settled_by(run.under(key)?, with_fallback) {
                break;
            }
            if found.rejection.is_none() {
                found.rejection = run.remembered(Outcome::Rejected, rejected)?;
            }
            if found.conflict.is_none() {
                found.conflict = run.remembered(Outcome::Conflict, in_conflict)?;
            }
        }
        Ok(found.cold())
    }
}

/// What was found so far, from the newest part on.
#[derive(Default)]
struct Gathered {
    holder: Option<Holder>,
    rejection: Option<First>,
    conflict: Option<First>,
}

impl Gathered {
    /// Takes what stands under the key in the next older part. Whether that settles it: this very
    /// content was rejected, which comes before all else.
    fn is_settled_by(&mut self, under: Option<Holder>, with_fallback: Digest) -> bool {
        let Some(holder) = under else { return false };
        let is_it = holder.outcome == Outcome::Rejected && holder.with_fallback == with_fallback;
        if is_it {
            self.rejection = Some(holder.first.clone());
        }
        self.holder.get_or_insert(holder);
        is_it
    }

    fn cold(self) -> Option<Cold> {
        let Self { holder, rejection, conflict } = self;
        holder.map(|holder| Cold { holder, rejection, conflict })
    }
}
