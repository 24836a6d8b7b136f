//! The lock-free index: which (declarant, LRN) is known, with which content, and what was answered.
//!
//! - [`slot`]: the protocol of one slot, explored by loom.
//! - [`table`]: the hot table, open addressing over slots.
//! - [`filed`]: what is kept of each batch; a slot points at a declaration in one.
//! - [`settle`]: what the journal's order makes of keys that several records meet.
//!
//! # Who does what
//! Workers *claim*: each declaration's key is put into the table by compare-and-swap, pointing at
//! its declaration, before anyone knows which batch will stand first in the journal. A claim that
//! finds a free slot needs no more work, ever. One whose content was answered by a batch already
//! placed is a replay, and that is final. Everything else is *open*.
//!
//! The one committer *settles* what is open when it gives the batch its place: by then everything
//! before it in the journal is settled and everything in flight comes after it. A key held by a
//! batch in flight is taken over, and that batch gets the declaration on its own list of open
//! ones. So a record never refers to a later one, and recovery, which places the same records in
//! the same order, derives the same outcomes.
//!
//! # What stands under a key
//! Under PRF(declarant, LRN): the accepted declaration, else the latest rejected one. Every other
//! content answered under that LRN has a slot of its own, under a PRF of key and digest; a mark in
//! the first slot tells that there are such. A declaration takes one slot at most, so room for a
//! batch is reserved before its first claim, and a claim never fails. A batch that only repeats
//! what was answered takes none: sending a whole day again costs nothing here.

pub mod filed;
pub mod settle;
pub mod slot;
pub mod table;

mod chunked;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chunked::Chunked;
use filed::{Admission, Draft, Filed, Owner, Settled};
use table::{Claim, Table};

use crate::id::Ordinal;
use crate::outcome::Outcome;
use crate::wire::digest::{Digest, Key, Keys, MemoryKind};

/// What a batch takes of the table's room beside one slot for each declaration: its own record
/// here is about 300 bytes, as much as the slots and entries of this many declarations.
pub const BATCH_OVERHEAD: u64 = 6;

/// Bytes that one slot costs with what belongs to it: the slot itself, and for each slot that may
/// be taken (half of them) 33 bytes of key, digest and outcome.
pub const SLOT_BYTES: u64 = 16 + 33_u64.div_ceil(2);

/// Bytes of a place: one slot that is taken and the one that is left free for it.
const PLACE_BYTES: u64 = 2 * SLOT_BYTES;

/// How long a look-up waits for a batch that is being placed: between settling and placing, the
/// committer may have to write the group before.
const PLACING_WAIT_MAX: Duration = Duration::from_secs(2);

/// The table has no room for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index has room for {free} more declarations, and the batch needs {needed}")]
pub struct Full {
    /// Slots needed.
    pub needed: u64,
    /// Slots free.
    pub free: u64,
}

/// Going on would accept declarations twice. What is durable is on disk: the process ends at once,
/// and recovery looks at it anew.
fn broken(what: &str) -> ! {
    tracing::error!(what, "the index cannot be vouched for any more: the process ends");
    std::process::abort()
}

/// How far ahead of a probe its slot is fetched: a miss takes about as long as this many probes that
/// hit.
const AHEAD: usize = 16;

/// A batch whose keys have been claimed.
#[derive(Debug)]
pub struct Claimed {
    /// The batch in the index.
    pub filed: Arc<Filed>,
    /// Declarations that the committer has to settle, ascending.
    open: Vec<u16>,
    /// Replays found already, with what they replay.
    replays: Vec<(u16, Owner)>,
}

/// The index.
#[derive(Debug)]
pub struct Index {
    keys: Keys,
    table: Table,
    batches: Chunked<Arc<Filed>>,
    placed: Chunked<Arc<Filed>>,
    sequence: AtomicU64,
    placed_count: AtomicU64,
}

impl Index {
    /// An index of so many slots, at most half of which are ever taken, under these keys.
    ///
    /// # Errors
    /// Where the system does not give the memory.
    pub fn new(keys: Keys, slots: u64) -> std::io::Result<Self> {
        let table = Table::new(slots)?;
        // Each batch takes room for one declaration and its overhead at least.
        let batches =
            usize::try_from(table.room() / (BATCH_OVERHEAD + 1) + 1).unwrap_or(usize::MAX);
        Ok(Self {
            keys,
            table,
            batches: Chunked::new(batches),
            placed: Chunked::new(batches),
            sequence: AtomicU64::new(0),
            placed_count: AtomicU64::new(0),
        })
    }

    /// Takes room for a batch. A replay keeps its place in its batch, if not in the table, so what is
    /// taken is never given back: memory is bounded by it.
    fn reserve(&self, filed: &Filed) -> Result<(), Full> {
        let beside = filed.fallback_bytes() as u64;
        let needed = filed.len() as u64 + BATCH_OVERHEAD + beside.div_ceil(PLACE_BYTES);
        if self.table.reserve(needed) {
            Ok(())
        } else {
            Err(Full { needed, free: self.table.room() })
        }
    }

    /// Files a batch and claims its keys. From here on it must be placed. One that only repeats what
    /// has been answered is not filed and takes no room: nothing will ever point at it.
    ///
    /// # Errors
    /// [`Full`], and nothing is taken or claimed.
    pub fn claim(&self, admission: Admission, draft: Draft) -> Result<Claimed, Full> {
        let mut filed = Filed::new(admission, draft);
        if let Some(replays) = self.only_replays(&filed) {
            return Ok(Claimed { filed: Arc::new(filed), open: Vec::new(), replays });
        }
        self.reserve(&filed)?;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        filed.sequence = Some(sequence);
        let filed = Arc::new(filed);
        if !self.batches.set(sequence, Arc::clone(&filed)) {
            broken("more batches were filed than there was room for");
        }
        Ok(self.claim_keys(sequence, filed))
    }

    /// What the declarations replay, if all of them are replays come what may. One that is not ends
    /// the search, which for new data is the first.
    fn only_replays(&self, filed: &Filed) -> Option<Vec<(u16, Owner)>> {
        let mut replays = Vec::new();
        for (place, &key) in filed.keys().iter().enumerate() {
            // Not before the first was found: for new data this would be for nothing.
            if let Some(&ahead) = filed.keys().get(place + AHEAD).filter(|_| place > 0) {
                self.table.prefetch(ahead);
            }
            let (_, word) = self.table.find(key, |word| self.is_key(word, key))?;
            let owner = Owner::from_word(word);
            let (outcome, first) = self.final_replay(filed, place, owner)?;
            replays.push((u16::try_from(place).ok()?, outcome, first));
        }
        for (place, outcome, _) in &replays {
            filed.settle(usize::from(*place), Settled::replay_of(*outcome));
        }
        Some(replays.into_iter().map(|(place, _, first)| (place, first)).collect())
    }

    fn claim_keys(&self, sequence: u64, filed: Arc<Filed>) -> Claimed {
        let (mut open, mut replays) = (Vec::new(), Vec::new());
        for &key in filed.keys().iter().take(AHEAD) {
            self.table.prefetch(key);
        }
        for (place, &key) in filed.keys().iter().enumerate() {
            if let Some(&ahead) = filed.keys().get(place + AHEAD) {
                self.table.prefetch(ahead);
            }
            let Ok(index) = u16::try_from(place) else { break };
            let mine = Owner::new(sequence, index).word();
            match self.table.claim(key, mine, |word| self.is_key(word, key)) {
                Claim::New(_) => {}
                Claim::Held(_, word) => {
                    match self.final_replay(&filed, place, Owner::from_word(word)) {
                        Some((outcome, first)) => {
                            filed.settle(place, Settled::replay_of(outcome));
                            replays.push((index, first));
                        }
                        None => open.push(index),
                    }
                }
            }
        }
        Claimed { filed, open, replays }
    }

    /// What declaration `index`, which met `owner` under its key, replays come what may: a content
    /// once answered keeps its answer, and after an acceptance no more rejections are placed. The
    /// order is that of [`settle`].
    fn final_replay(&self, filed: &Filed, index: usize, owner: Owner) -> Option<(Outcome, Owner)> {
        let first = self.batches.get(owner.sequence())?;
        // Outcomes of a batch in flight may still change.
        first.placing()?;
        let held = first.settled(owner.index())?.outcome;
        let (key, content) = (filed.key(index)?, filed.content(index)?);
        let with_fallback = filed.with_fallback(index)?;
        let recall = |kind, digest| {
            let found = owner.has_others().then(|| self.recall(kind, key, digest)).flatten()?;
            self.batches.get(found.sequence())?.placing().map(|_| found)
        };
        if held == Outcome::Rejected && first.with_fallback(owner.index()) == Some(with_fallback) {
            return Some((Outcome::Rejected, owner));
        }
        if let Some(found) = recall(MemoryKind::Rejection, with_fallback) {
            return Some((Outcome::Rejected, found));
        }
        if held != Outcome::Accepted {
            return None;
        }
        if first.content(owner.index()) == Some(content) {
            return Some((Outcome::Accepted, owner));
        }
        recall(MemoryKind::Conflict, content).map(|found| (Outcome::Conflict, found))
    }

    fn is_key(&self, word: u64, key: Key) -> bool {
        let owner = Owner::from_word(word);
        owner.is_under_lrn()
            && self.batches.get(owner.sequence()).and_then(|b| b.key(owner.index())) == Some(key)
    }

    fn is_remembered(&self, word: u64, memory: Key, kind: MemoryKind) -> bool {
        let owner = Owner::from_word(word);
        let digest = |filed: &Filed| match kind {
            MemoryKind::Rejection if owner.is_rejection() => filed.with_fallback(owner.index()),
            MemoryKind::Conflict if owner.is_conflict() => filed.content(owner.index()),
            _ => None,
        };
        self.batches.get(owner.sequence()).is_some_and(|filed| {
            match (filed.key(owner.index()), digest(filed)) {
                (Some(key), Some(digest)) => self.keys.memory_key(kind, key, digest) == memory,
                _ => false,
            }
        })
    }

    fn recall(&self, kind: MemoryKind, key: Key, digest: Digest) -> Option<Owner> {
        let memory = self.keys.memory_key(kind, key, digest);
        let found = self.table.find(memory, |word| self.is_remembered(word, memory, kind));
        found.map(|(_, word)| Owner::from_word(word))
    }

    /// The batch with this sequence number.
    #[must_use]
    pub fn batch(&self, sequence: u64) -> Option<&Arc<Filed>> {
        self.batches.get(sequence)
    }

    /// The declaration under `key`: the accepted one, else the latest rejected one. Where nothing
    /// was placed under the key yet, it is one in flight, or none.
    #[must_use]
    pub fn under(&self, key: Key) -> Option<(&Arc<Filed>, usize)> {
        let (_, word) = self.table.find(key, |word| self.is_key(word, key))?;
        let owner = Owner::from_word(word);
        let filed = self.batches.get(owner.sequence())?;
        // Only the committer gives a key to a batch that is not placed yet while another was: the
        // mark says so, and the batch is placed within microseconds, unless the journal fails.
        let until = Instant::now() + PLACING_WAIT_MAX;
        while owner.has_others() && filed.placing().is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        Some((filed, owner.index()))
    }

    /// The declaration that was placed as `ordinal`.
    #[must_use]
    pub fn at(&self, ordinal: Ordinal) -> Option<(&Arc<Filed>, usize)> {
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
        (index < filed.len()).then_some((filed, index))
    }

    /// How many more declarations there is room for.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.table.room()
    }
}
