//! Looking up what is not in the hot generation: the frozen one, then the runs, newest first.
//!
//! What is cold never changes: a worker reads it once, before it claims, and the committer settles
//! with what it read. It reads for the whole batch, part after part, since a part is asked faster for
//! many keys than for one after another.
//!
//! What is forgotten is not seen, though runs may have it still. Of that nothing is in memory: only what is
//! in runs is ever forgotten.

use std::sync::Arc;

use super::claim::AHEAD;
use super::filed::Filed;
use super::first::{First, Holder};
use super::frozen::Frozen;
use super::generation::Generation;
use super::run::{Entry, Kind, Run, RunError};
use crate::id::Ordinal;
use crate::outcome::Outcome;
use crate::wire::digest::{Key, MemoryKind};

/// What the index consists of at a moment.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) hot: Arc<Generation>,
    pub(super) frozen: Option<Arc<Frozen>>,
    /// Newest first.
    pub(super) runs: Vec<Arc<Run>>,
    /// Declarations before this one are forgotten.
    pub(super) forgotten: Ordinal,
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
            if let Some(holder) = run.under(key, self.forgotten)? {
                return Ok(Some(holder));
            }
        }
        Ok(None)
    }

    /// What is cold of each declaration's LRN, where something is: ascending by index.
    ///
    /// An LRN of which something is remembered stands in the same part or an older one, so that
    /// nothing is remembered where none is found, and nothing else is looked for where the very same
    /// was found. What stands under it below the newest was displaced by a later one: it was rejected,
    /// and is remembered in this way.
    pub(super) fn cold_of(&self, filed: &Filed) -> Result<Vec<(u16, Cold)>, RunError> {
        let mut looked = Looked::of(filed, self.forgotten);
        if let Some(frozen) = &self.frozen {
            looked.keys_in_memory(&frozen.generation);
        }
        for run in &self.runs {
            looked.keys_in(run)?;
        }
        looked.go_on_with_memories(&self.hot);
        if let Some(frozen) = &self.frozen {
            looked.memories_in_memory(&frozen.generation);
        }
        for run in &self.runs {
            looked.memories_in(run)?;
        }
        let found = looked.found.into_iter().enumerate();
        Ok(found.filter_map(|(index, found)| Some((index.try_into().ok()?, *found?))).collect())
    }
}

/// A batch whose declarations are looked up in one part after another, from the newest on.
struct Looked<'a> {
    filed: &'a Filed,
    forgotten: Ordinal,
    /// By index; boxed, since of new data there is none.
    found: Vec<Option<Box<Cold>>>,
    /// Indices of those of which an older part may know more.
    open: Vec<usize>,
    /// What may be remembered of them: index, as what, under which key.
    memories: Vec<(usize, MemoryKind, Key)>,
}

impl<'a> Looked<'a> {
    fn of(filed: &'a Filed, forgotten: Ordinal) -> Self {
        let count = filed.len().min(1 << 16);
        let found = std::iter::repeat_with(|| None).take(count).collect();
        Self { filed, forgotten, found, open: (0..count).collect(), memories: Vec::new() }
    }

    /// Takes what stands under an LRN in the next older part. Whether that settles it: this very
    /// content was answered so, fallback included, and so neither rejected before nor in conflict.
    fn take(&mut self, index: usize, holder: Holder) -> bool {
        let is_it = self.filed.with_fallback(index) == Some(holder.with_fallback);
        let is_rejection = is_it && holder.outcome == Outcome::Rejected;
        let rejection = is_rejection.then(|| holder.first.clone());
        if let Some(found) = self.found.get_mut(index) {
            let new = || Box::new(Cold { holder, rejection: None, conflict: None });
            found.get_or_insert_with(new).rejection = rejection;
        }
        is_it
    }

    fn keys_in_memory(&mut self, part: &Generation) {
        let keys = self.filed.keys();
        keys.iter().take(AHEAD).for_each(|key| part.table.prefetch(*key));
        let mut open = std::mem::take(&mut self.open);
        open.retain(|&index| {
            keys.get(index + AHEAD).into_iter().for_each(|key| part.table.prefetch(*key));
            let holder = keys.get(index).and_then(|key| part.under(*key));
            !holder.is_some_and(|holder| self.take(index, holder))
        });
        self.open = open;
    }

    fn keys_in(&mut self, run: &Run) -> Result<(), RunError> {
        let keys = self.filed.keys();
        let asked = self.open.iter().filter_map(|index| Some((*keys.get(*index)?, Kind::UnderLrn)));
        let mut entries = run.find_each(asked)?;
        entries.retain(|(_, entry)| entry.ordinal >= self.forgotten);
        if entries.is_empty() {
            return Ok(());
        }
        // What was displaced is of use only where it is this very content.
        let mut newest = None;
        let of_use = entries.into_iter().filter_map(|(place, entry)| {
            let index = *self.open.get(place)?;
            let is_displaced =
                newest.replace(index) == Some(index) || self.found.get(index)?.is_some();
            let is_it = self.filed.with_fallback(index) == Some(entry.digest);
            (!is_displaced || is_it).then_some((index, entry))
        });
        let (indices, entries): (Vec<usize>, Vec<Entry>) = of_use.unzip();
        let mut settled = Vec::new();
        for ((index, entry), first) in indices.iter().zip(&entries).zip(run.firsts(&entries)?) {
            if self.take(*index, Holder::of_entry(first, entry)) {
                settled.push(*index);
            }
        }
        // Both ascend.
        self.open.retain(|index| settled.binary_search(index).is_err());
        Ok(())
    }

    /// Goes on with what may be remembered of those that are known, but not in this very content.
    fn go_on_with_memories(&mut self, hot: &Generation) {
        for &index in &self.open {
            let (Some(Some(found)), Some(&key), Some(content), Some(with_fallback)) = (
                self.found.get(index),
                self.filed.keys().get(index),
                self.filed.content(index),
                self.filed.with_fallback(index),
            ) else {
                continue;
            };
            let mut add = |kind, digest| {
                self.memories.push((index, kind, hot.memory_key(kind, key, digest)));
            };
            add(MemoryKind::Rejection, with_fallback);
            // After a rejection alone nothing is in conflict.
            if found.holder.outcome == Outcome::Accepted && found.holder.content != content {
                add(MemoryKind::Conflict, content);
            }
        }
    }

    fn remember(&mut self, index: usize, kind: MemoryKind, first: First) {
        let Some(Some(found)) = self.found.get_mut(index) else { return };
        match kind {
            MemoryKind::Rejection => found.rejection = Some(first),
            // One from before was of what stood there once and is forgotten, and so is it: whether it is
            // still seen must not hang on where tables end.
            MemoryKind::Conflict if first.ordinal() > found.holder.first.ordinal() => {
                found.conflict = Some(first);
            }
            MemoryKind::Conflict | MemoryKind::Nameless => {}
        }
    }

    fn memories_in_memory(&mut self, part: &Generation) {
        let mut memories = std::mem::take(&mut self.memories);
        memories.retain(|&(index, kind, memory)| match part.recall(kind, memory) {
            Some(first) => {
                self.remember(index, kind, first);
                false
            }
            None => true,
        });
        self.memories = memories;
    }

    fn memories_in(&mut self, run: &Run) -> Result<(), RunError> {
        let asked = self.memories.iter().map(|(_, kind, memory)| {
            let is_conflict = *kind == MemoryKind::Conflict;
            (*memory, if is_conflict { Kind::Conflict } else { Kind::Rejection })
        });
        let mut entries = run.find_each(asked)?;
        entries.retain(|(_, entry)| entry.ordinal >= self.forgotten);
        let (places, entries): (Vec<usize>, Vec<Entry>) = entries.into_iter().unzip();
        for (place, first) in places.iter().zip(run.firsts(&entries)?) {
            if let Some(&(index, kind, _)) = self.memories.get(*place) {
                self.remember(index, kind, first);
            }
        }
        let mut place = 0;
        self.memories.retain(|_| {
            place += 1;
            places.binary_search(&(place - 1)).is_err()
        });
        Ok(())
    }
}
