//! One table with the batches that its slots point to. The *hot* generation takes what is lodged;
//! when its room is used up it is *frozen*: all that it holds is placed by then, and nothing in it
//! changes any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chunked::Chunked;
use super::filed::{Filed, Owner, Placing};
use super::first::{First, Holder};
use super::table::{LOAD_PERCENT_MAX, Place, Table};
use super::{BATCH_OVERHEAD, PLACE_BYTES, SLOT_BYTES};
use crate::id::Ordinal;
use crate::outcome::Outcome;
use crate::wire::digest::{Digest, Key, Keys, MemoryKind};

/// A table and its batches.
#[derive(Debug)]
pub(super) struct Generation {
    /// Counts generations, so that whoever found one full sees that another took over.
    pub(super) number: u64,
    pub(super) table: Table,
    keys: Keys,
    slots: u64,
    batches: Chunked<Arc<Filed>>,
    placed: Chunked<Arc<Filed>>,
    sequence: AtomicU64,
    placed_count: AtomicU64,
}

impl Generation {
    pub(super) fn new(number: u64, keys: Keys, table: Table) -> Self {
        let slots = table.slots();
        // Each batch takes room for one declaration and its overhead at least.
        let batches =
            usize::try_from(table.room() / (BATCH_OVERHEAD + 1) + 1).unwrap_or(usize::MAX);
        Self {
            number,
            table,
            keys,
            slots,
            batches: Chunked::new(batches),
            placed: Chunked::new(batches),
            sequence: AtomicU64::new(0),
            placed_count: AtomicU64::new(0),
        }
    }

    /// Memory that it takes when it is full.
    pub(super) fn bytes(&self) -> u64 {
        self.slots * SLOT_BYTES
    }

    /// Places that declarations can take in it.
    pub(super) fn places(&self) -> u64 {
        self.slots * LOAD_PERCENT_MAX / 100
    }

    /// Nothing was ever filed in it.
    pub(super) fn is_unused(&self) -> bool {
        self.sequence.load(Ordering::Relaxed) == 0
    }

    /// Takes room for a batch. A replay keeps its place in its batch, if not in the table, so what is
    /// taken is never given back: memory is bounded by it. Else how much it needs.
    pub(super) fn reserve(&self, filed: &Filed) -> Result<(), u64> {
        let beside = filed.fallback_bytes() as u64;
        let needed = filed.len() as u64 + BATCH_OVERHEAD + beside.div_ceil(PLACE_BYTES);
        if self.table.reserve(needed) { Ok(()) } else { Err(needed) }
    }

    /// Files a batch for which room is reserved; `None` where there are too many, which room excludes.
    pub(super) fn file(&self, mut filed: Filed) -> Option<(u64, Arc<Filed>)> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        filed.sequence = Some(sequence);
        let filed = Arc::new(filed);
        self.batches.set(sequence, Arc::clone(&filed)).then_some((sequence, filed))
    }

    /// Notes that a batch was placed; false where there are too many, which room excludes.
    pub(super) fn note_placed(&self, filed: &Arc<Filed>) -> bool {
        let place = self.placed_count.load(Ordering::Relaxed);
        let set = self.placed.set(place, Arc::clone(filed));
        self.placed_count.store(place + 1, Ordering::Release);
        set
    }

    /// The batches placed so far, in the order of the journal, with where they stand.
    pub(super) fn placed(&self) -> impl Iterator<Item = (&Arc<Filed>, Placing)> {
        (0..self.placed_count.load(Ordering::Acquire)).filter_map(|place| {
            let filed = self.placed.get(place)?;
            Some((filed, filed.placing()?))
        })
    }

    pub(super) fn batch(&self, sequence: u64) -> Option<&Arc<Filed>> {
        self.batches.get(sequence)
    }

    pub(super) fn is_key(&self, word: u64, key: Key) -> bool {
        let owner = Owner::from_word(word);
        owner.is_under_lrn()
            && self.batches.get(owner.sequence()).and_then(|b| b.key(owner.index())) == Some(key)
    }

    pub(super) fn find(&self, key: Key) -> Option<(Place, Owner)> {
        let (place, word) = self.table.find(key, |word| self.is_key(word, key))?;
        Some((place, Owner::from_word(word)))
    }

    /// The key under which `owner` stands in the table.
    pub(super) fn key_of(&self, owner: Owner) -> Option<Key> {
        let filed = self.batches.get(owner.sequence())?;
        let key = filed.key(owner.index())?;
        let remembered = |kind, digest| Some(self.keys.memory_key(kind, key, digest));
        if owner.is_rejection() {
            remembered(MemoryKind::Rejection, filed.with_fallback(owner.index())?)
        } else if owner.is_conflict() {
            remembered(MemoryKind::Conflict, filed.content(owner.index())?)
        } else {
            Some(key)
        }
    }

    pub(super) fn is_remembered(&self, word: u64, memory: Key, kind: MemoryKind) -> bool {
        let owner = Owner::from_word(word);
        let is_kind = match kind {
            MemoryKind::Rejection => owner.is_rejection(),
            MemoryKind::Conflict => owner.is_conflict(),
            MemoryKind::Nameless => false,
        };
        is_kind && self.key_of(owner) == Some(memory)
    }

    /// What was remembered under `memory`.
    pub(super) fn recall(&self, kind: MemoryKind, memory: Key) -> Option<First> {
        let found = self.table.find(memory, |word| self.is_remembered(word, memory, kind));
        let owner = Owner::from_word(found?.1);
        let filed = self.batches.get(owner.sequence())?;
        Some(First::filed(Arc::clone(filed), owner.index()))
    }

    /// What stands under `key`, once this is frozen.
    pub(super) fn under(&self, key: Key) -> Option<Holder> {
        let (_, owner) = self.find(key)?;
        Holder::filed(self.batches.get(owner.sequence())?, owner.index())
    }

    /// Puts what an earlier generation knows already under `key` in this one too; false where it is
    /// there. Only the committer calls this.
    pub(super) fn take_over(&self, key: Key, owner: Owner) -> bool {
        let claim = self.table.claim(key, owner.word(), |word| self.is_key(word, key));
        matches!(claim, super::table::Claim::New(_))
    }

    /// The declaration that was placed as `ordinal`.
    pub(super) fn at(&self, ordinal: Ordinal) -> Option<First> {
        let first = |place: u64| {
            let filed = self.placed.get(place)?;
            Some((filed, filed.placing()?.first_ordinal.0))
        };
        let (mut low, mut high) = (0, self.placed_count.load(Ordering::Acquire));
        // The last batch whose first ordinal is not above the one looked for.
        while low < high {
            let middle = low + (high - low) / 2;
            if first(middle)?.1 <= ordinal.0 { low = middle + 1 } else { high = middle }
        }
        let (filed, first_ordinal) = first(low.checked_sub(1)?)?;
        let index = usize::try_from(ordinal.0 - first_ordinal).ok()?;
        (index < filed.len()).then(|| First::filed(Arc::clone(filed), index))
    }

    pub(super) fn memory_key(&self, kind: MemoryKind, key: Key, digest: Digest) -> Key {
        self.keys.memory_key(kind, key, digest)
    }

    /// Whether any declaration of a batch was answered for the first time.
    pub(super) fn has_firsts(filed: &Filed) -> bool {
        (0..filed.len())
            .filter_map(|index| filed.settled(index))
            .any(|settled| settled.outcome != Outcome::Replayed)
    }
}
