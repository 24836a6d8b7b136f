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
//!    earlier rejection is remembered beside, and this declaration takes the slot. (A cold one stays
//!    where it is, and is found there.)
//!
//! `decide` has rules 2 to 6, for the workers' final replays too.

use std::collections::HashMap;
use std::sync::Arc;

pub use super::Claimed;
use super::cold::Cold;
use super::filed::{Filed, Owner, Placing, Settled};
pub use super::first::First;
use super::first::Holder;
use super::generation::Generation;
use super::table::{Claim, Place};
use super::{Index, broken};
use crate::outcome::Outcome;
use crate::wire::digest::{Digest, Key, MemoryKind};

/// What becomes of a declaration that is not the first under its key.
#[derive(Debug)]
pub(super) enum Decision {
    /// It replays this declaration, whose outcome this was.
    Replay(Outcome, First),
    /// It is in conflict with the accepted one.
    Conflict,
    /// What the rules said.
    AsJudged,
}

/// Rules 2 to 6 for a declaration with these digests under whose key `holder` stands. `recall` gives
/// what is remembered of it under this LRN, as a rejection or as a conflict.
pub(super) fn decide(
    holder: &Holder,
    content: Digest,
    with_fallback: Digest,
    recall: impl Fn(MemoryKind, Digest) -> Option<First>,
) -> Decision {
    let is_accepted = holder.outcome == Outcome::Accepted;
    if !is_accepted && holder.with_fallback == with_fallback {
        return Decision::Replay(Outcome::Rejected, holder.first.clone());
    }
    if let Some(first) = recall(MemoryKind::Rejection, with_fallback) {
        return Decision::Replay(Outcome::Rejected, first);
    }
    if !is_accepted {
        return Decision::AsJudged;
    }
    if holder.content == content {
        return Decision::Replay(Outcome::Accepted, holder.first.clone());
    }
    match recall(MemoryKind::Conflict, content) {
        Some(first) => Decision::Replay(Outcome::Conflict, first),
        None => Decision::Conflict,
    }
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
        let Claimed { filed, mut open, cold, mut replays } = claimed;
        if let Some(sequence) = filed.sequence {
            // The generation in which it has claimed: none takes over before it is placed.
            let hot = Arc::clone(&self.index.state.load().hot);
            if let Some(taken) = self.taken.remove(&sequence) {
                open.extend(taken);
                open.sort_unstable();
            }
            for index in open {
                let at = cold.binary_search_by_key(&index, |(i, _)| *i).ok();
                let cold = at.and_then(|at| cold.get(at)).map(|(_, cold)| cold);
                if let Some(first) = self.settle_one(&hot, &filed, sequence, index, cold) {
                    replays.push((index, first));
                }
            }
        }
        replays.sort_unstable_by_key(|(index, _)| *index);
        Decided { filed, replays }
    }

    /// Marks a settled batch as placed: from here on, others may rest on its outcomes.
    pub fn place(&mut self, filed: &Arc<Filed>, placing: Placing) {
        filed.set_placed(placing);
        // Where it is not filed, there is no acceptance of its own to be found by its ordinal.
        if filed.sequence.is_some() && !self.index.state.load().hot.note_placed(filed) {
            broken("more batches were placed than there was room for");
        }
        self.index.gate.leave();
    }

    /// What declaration `index` replays, if it is a replay.
    fn settle_one(
        &mut self,
        hot: &Generation,
        filed: &Arc<Filed>,
        sequence: u64,
        index: u16,
        cold: Option<&Cold>,
    ) -> Option<First> {
        let place = usize::from(index);
        let (key, content) = (filed.key(place)?, filed.content(place)?);
        let (with_fallback, judged) = (filed.with_fallback(place)?, filed.settled(place)?);
        let mine = Owner::new(sequence, index);
        let found = hot.find(key);
        let (holder, has_others) = match (found, cold) {
            (Some((slot, owner)), _) => {
                let Some(batch) = hot.batch(owner.sequence()) else {
                    broken("a slot names a batch that was never filed");
                };
                if owner.sequence() == sequence && owner.index() >= place {
                    if owner.index() > place {
                        // A later declaration of the same batch: it comes after, and is open as well.
                        hot.table.hand_over(slot, mine.word());
                    }
                    return None;
                }
                if owner.sequence() != sequence && batch.placing().is_none() {
                    // Still in flight, so it comes later in the journal: the key is ours.
                    hot.table.hand_over(slot, mine.word());
                    if let Ok(theirs) = u16::try_from(owner.index()) {
                        self.taken.entry(owner.sequence()).or_default().push(theirs);
                    }
                    return None;
                }
                (Holder::filed(batch, owner.index())?, owner.has_others())
            }
            (None, Some(cold)) => (cold.holder.clone(), true),
            (None, None) => broken(
                "the key of an open declaration is not in the table, where slots are never emptied",
            ),
        };
        let recall = |kind: MemoryKind, digest| {
            let memory = hot.memory_key(kind, key, digest);
            let here = has_others.then(|| hot.recall(kind, memory)).flatten();
            here.or_else(|| cold.and_then(|cold| cold.recall(kind)))
        };
        match decide(&holder, content, with_fallback, recall) {
            Decision::Replay(outcome, first) => {
                filed.settle(place, Settled::replay_of(outcome));
                return Some(first);
            }
            Decision::Conflict => {
                filed.settle(place, Settled::first(Outcome::Conflict));
                remember(hot, MemoryKind::Conflict, key, content, mine.as_conflict());
                if let Some((slot, owner)) = found {
                    hot.table.hand_over(slot, owner.with_others().word());
                }
            }
            Decision::AsJudged => {
                debug_assert!(
                    judged.replay_of.is_none(),
                    "open declarations carry what was judged"
                );
                match found {
                    Some((slot, owner)) => displace(hot, slot, key, owner, mine),
                    None if hot.take_over(key, mine.with_others()) => {}
                    None => broken("a key that only the committer makes was made by another"),
                }
            }
        }
        None
    }
}

fn displace(hot: &Generation, slot: Place, key: Key, earlier: Owner, mine: Owner) {
    let digest = hot.batch(earlier.sequence()).and_then(|b| b.with_fallback(earlier.index()));
    if let Some(digest) = digest {
        remember(hot, MemoryKind::Rejection, key, digest, earlier.as_rejection());
    }
    hot.table.hand_over(slot, mine.with_others().word());
}

fn remember(hot: &Generation, kind: MemoryKind, key: Key, digest: Digest, owner: Owner) {
    let memory = hot.memory_key(kind, key, digest);
    let claim = hot.table.claim(memory, owner.word(), |word| hot.is_remembered(word, memory, kind));
    debug_assert!(matches!(claim, Claim::New(_)), "a content is remembered once");
}
