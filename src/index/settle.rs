//! Settling: what the journal's order makes of declarations whose keys others hold too.
//!
//! One thread does this, for one batch after another, in the order of the journal. Its decision
//! for a declaration, with everything before it placed:
//!
//! 1. Nobody before holds its key (it does itself, or a batch still in flight, from which the key
//!    is taken over): the outcome is what the rules said.
//! 2. This very content, fallback included, was rejected before under this LRN: replay of that.
//! 3. The LRN is accepted with the same content (fallback apart): replay of that.
//! 4. The LRN is accepted and this content was answered as a conflict before: replay of that.
//! 5. The LRN is accepted with other content: conflict, and remembered.
//! 6. The LRN was only ever rejected, with other content: the outcome is what the rules said; the
//!    earlier rejection is remembered beside, and this declaration takes the slot.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use super::Claimed;
use super::filed::{Filed, Owner, Placing, Settled};
use super::table::{Claim, Place};
use super::{Index, broken};
use crate::outcome::Outcome;
use crate::wire::digest::{Digest, Key, MemoryKind};

/// A declaration placed before, whose answer a replay gets.
#[derive(Debug, Clone)]
pub struct First {
    /// Its batch.
    pub filed: Arc<Filed>,
    /// Its index there.
    pub index: usize,
}

/// A batch whose outcomes are final.
#[derive(Debug)]
pub struct Decided {
    /// The batch.
    pub filed: Arc<Filed>,
    /// Its replays with what they replay, ascending by index in the batch.
    pub replays: Vec<(u16, First)>,
}

/// The committer's side of the index.
#[derive(Debug)]
pub struct Settler {
    index: Arc<Index>,
    /// Declarations of batches in flight whose key an earlier record took over.
    taken: HashMap<u64, Vec<u16>>,
}

impl Settler {
    /// There must be one settler to an index.
    #[must_use]
    pub fn new(index: Arc<Index>) -> Self {
        Self { index, taken: HashMap::new() }
    }

    /// Settles what is open in the batch that comes next in the journal.
    pub fn settle(&mut self, claimed: Claimed) -> Decided {
        let Claimed { filed, mut open, mut replays } = claimed;
        if let Some(sequence) = filed.sequence {
            if let Some(taken) = self.taken.remove(&sequence) {
                open.extend(taken);
                open.sort_unstable();
            }
            for index in open {
                self.settle_one(&filed, sequence, index, &mut replays);
            }
        }
        replays.sort_unstable_by_key(|(index, _)| *index);
        let replays = replays
            .into_iter()
            .filter_map(|(index, owner)| {
                let filed = Arc::clone(self.index.batch(owner.sequence())?);
                Some((index, First { filed, index: owner.index() }))
            })
            .collect();
        Decided { filed, replays }
    }

    /// Marks a settled batch as placed: from here on, others may rest on its outcomes.
    pub fn place(&mut self, filed: &Arc<Filed>, placing: Placing) {
        filed.set_placed(placing);
        if filed.sequence.is_none() {
            // No acceptance of its own to be found by its ordinal.
            return;
        }
        let place = self.index.placed_count.load(Ordering::Relaxed);
        if !self.index.placed.set(place, Arc::clone(filed)) {
            broken("more batches were placed than there was room for");
        }
        self.index.placed_count.store(place + 1, Ordering::Release);
    }

    fn settle_one(
        &mut self,
        filed: &Filed,
        sequence: u64,
        index: u16,
        replays: &mut Vec<(u16, Owner)>,
    ) {
        let place = usize::from(index);
        let (Some(key), Some(content), Some(with_fallback), Some(judged)) = (
            filed.key(place),
            filed.content(place),
            filed.with_fallback(place),
            filed.settled(place),
        ) else {
            return;
        };
        let mine = Owner::new(sequence, index);
        let store = Arc::clone(&self.index);
        let Some((slot, word)) = store.table.find(key, |word| store.is_key(word, key)) else {
            broken(
                "the key of an open declaration is not in the table, where slots are never emptied",
            );
        };
        let owner = Owner::from_word(word);
        let Some(holder) = store.batch(owner.sequence()) else {
            broken("a slot names a batch that was never filed");
        };

        if owner.sequence() == sequence && owner.index() >= place {
            if owner.index() > place {
                // A later declaration of the same batch: it comes after, and is open as well.
                store.table.hand_over(slot, mine.word());
            }
            return;
        }
        if owner.sequence() != sequence && holder.placing().is_none() {
            // Still in flight, so it comes later in the journal: the key is ours.
            store.table.hand_over(slot, mine.word());
            if let Ok(theirs) = u16::try_from(owner.index()) {
                self.taken.entry(owner.sequence()).or_default().push(theirs);
            }
            return;
        }

        let mut replay = |first: Outcome, of: Owner| {
            filed.settle(place, Settled::replay_of(first));
            replays.push((index, of));
        };
        let held = holder.settled(owner.index()).map(|settled| settled.outcome);
        let is_accepted = held == Some(Outcome::Accepted);
        if !is_accepted && holder.with_fallback(owner.index()) == Some(with_fallback) {
            replay(Outcome::Rejected, owner);
            return;
        }
        if owner.has_others()
            && let Some(first) = store.recall(MemoryKind::Rejection, key, with_fallback)
        {
            replay(Outcome::Rejected, first);
            return;
        }
        if is_accepted {
            if holder.content(owner.index()) == Some(content) {
                replay(Outcome::Accepted, owner);
                return;
            }
            if owner.has_others()
                && let Some(first) = store.recall(MemoryKind::Conflict, key, content)
            {
                replay(Outcome::Conflict, first);
                return;
            }
            filed.settle(place, Settled::first(Outcome::Conflict));
            self.remember(MemoryKind::Conflict, key, content, mine.as_conflict());
            store.table.hand_over(slot, owner.with_others().word());
            return;
        }
        // Rejected before, and this is other content: what the rules said stands.
        debug_assert!(judged.replay_of.is_none(), "open declarations carry what was judged");
        self.displace(slot, key, owner, mine);
    }

    fn displace(&self, slot: Place, key: Key, earlier: Owner, mine: Owner) {
        let digest =
            self.index.batch(earlier.sequence()).and_then(|b| b.with_fallback(earlier.index()));
        if let Some(digest) = digest {
            self.remember(MemoryKind::Rejection, key, digest, earlier.as_rejection());
        }
        self.index.table.hand_over(slot, mine.with_others().word());
    }

    fn remember(&self, kind: MemoryKind, key: Key, digest: Digest, owner: Owner) {
        let index = &self.index;
        let memory = index.keys.memory_key(kind, key, digest);
        let claim =
            index.table.claim(memory, owner.word(), |word| index.is_remembered(word, memory, kind));
        debug_assert!(matches!(claim, Claim::New(_)), "a content is remembered once");
    }
}
