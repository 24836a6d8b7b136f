//! Claiming: what a worker finds out about a batch before anyone knows its place in the journal.

use std::sync::Arc;

use super::broken;
use super::cold::{Cold, State};
use super::filed::{Filed, Owner, Settled};
use super::first::{First, Holder};
use super::generation::Generation;
use super::run::RunError;
use super::settle::{Decision, decide};
use super::table::Claim;
use crate::outcome::Outcome;
use crate::wire::digest::MemoryKind;

/// How far ahead of a probe its slot is fetched: a miss takes about as long as this many probes that
/// hit.
pub(super) const AHEAD: usize = 16;

/// The hot generation has no room for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index has room for {free} more declarations, and the batch needs {needed}")]
pub struct Full {
    /// Slots needed.
    pub needed: u64,
    /// Slots free.
    pub free: u64,
    pub(crate) generation: u64,
}

/// Why no other generation can take over from one that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// The one before is being written.
    #[error("{0}, and what was lodged before is still being written to disk")]
    Writing(Full),
    /// There is no memory for another one.
    #[error("{0}, and there is no memory for more (memory_max)")]
    Memory(Full),
}

/// A batch that has not claimed anything.
#[derive(Debug)]
pub struct Unclaimed {
    /// The batch, to be tried again.
    pub filed: Box<Filed>,
    /// Why.
    pub why: Why,
}

/// Why a batch has not claimed anything.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// One generation is taking over from another: a matter of milliseconds.
    #[error("the index is changing over to another table")]
    Closed,
    /// See [`super::Index::make_room`].
    #[error(transparent)]
    Full(#[from] Full),
    /// What is cold cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A batch whose keys have been claimed.
#[derive(Debug)]
pub struct Claimed {
    /// The batch in the index.
    pub filed: Arc<Filed>,
    /// Declarations that the committer has to settle, ascending.
    pub(super) open: Vec<u16>,
    /// What is cold of those of them of which something is.
    pub(super) cold: Vec<(u16, Cold)>,
    /// Replays found already, with what they replay.
    pub(super) replays: Vec<(u16, First)>,
}

/// Claims in the hot generation of `state`, through the gate.
pub(super) fn claim_in(state: &State, filed: Filed) -> Result<Claimed, Unclaimed> {
    // All reading comes first, so that what fails has claimed nothing.
    let cold = match state.has_cold().then(|| state.cold_of(&filed)).transpose() {
        Ok(cold) => cold.unwrap_or_default(),
        Err(why) => return Err(Unclaimed { filed: Box::new(filed), why: why.into() }),
    };
    if let Some(replays) = only_replays(state, &filed, &cold) {
        let filed = Arc::new(filed);
        return Ok(Claimed { filed, open: Vec::new(), cold: Vec::new(), replays });
    }
    if let Err(needed) = state.hot.reserve(&filed) {
        let full = Full { needed, free: state.hot.table.room(), generation: state.hot.number };
        return Err(Unclaimed { filed: Box::new(filed), why: full.into() });
    }
    let Some((sequence, filed)) = state.hot.file(filed) else {
        broken("more batches were filed than there was room for");
    };
    Ok(claim_keys(&state.hot, sequence, filed, cold))
}

/// What the declarations replay, if all of them are replays come what may. One that is not ends
/// the search, which for new data is the first.
fn only_replays(state: &State, filed: &Filed, cold: &[(u16, Cold)]) -> Option<Vec<(u16, First)>> {
    let table = &state.hot.table;
    let mut cold = cold.iter().peekable();
    let mut replays = Vec::new();
    for (place, &key) in filed.keys().iter().enumerate() {
        // Not before the first was found: for new data this would be for nothing.
        if let Some(&ahead) = filed.keys().get(place + AHEAD).filter(|_| place > 0) {
            table.prefetch(ahead);
        }
        let index = u16::try_from(place).ok()?;
        if filed.is_known_replay(place) {
            continue;
        }
        let cold = cold.next_if(|(i, _)| *i == index).map(|(_, cold)| cold);
        let owner = state.hot.find(key).map(|(_, owner)| owner);
        let (outcome, first) = final_replay(&state.hot, filed, place, owner, cold)?;
        replays.push((index, outcome, first));
    }
    for (index, outcome, _) in &replays {
        filed.settle(usize::from(*index), Settled::replay_of(*outcome));
    }
    Some(replays.into_iter().map(|(index, _, first)| (index, first)).collect())
}

fn claim_keys(
    hot: &Generation,
    sequence: u64,
    filed: Arc<Filed>,
    cold: Vec<(u16, Cold)>,
) -> Claimed {
    let (mut open, mut open_cold, mut replays) = (Vec::new(), Vec::new(), Vec::new());
    let mut cold = cold.into_iter().peekable();
    for &key in filed.keys().iter().take(AHEAD) {
        hot.table.prefetch(key);
    }
    for (place, &key) in filed.keys().iter().enumerate() {
        if let Some(&ahead) = filed.keys().get(place + AHEAD) {
            hot.table.prefetch(ahead);
        }
        let Ok(index) = u16::try_from(place) else { break };
        if filed.is_known_replay(place) {
            continue;
        }
        let cold = cold.next_if(|(i, _)| *i == index).map(|(_, cold)| cold);
        let owner = if cold.is_some() {
            // Known cold: whether it gets a slot here is for the committer to say.
            hot.find(key).map(|(_, owner)| owner)
        } else {
            let mine = Owner::new(sequence, index).word();
            match hot.table.claim(key, mine, |word| hot.is_key(word, key)) {
                Claim::New(_) => continue,
                Claim::Held(_, word) => Some(Owner::from_word(word)),
            }
        };
        if let Some((outcome, first)) = final_replay(hot, &filed, place, owner, cold.as_ref()) {
            filed.settle(place, Settled::replay_of(outcome));
            replays.push((index, first));
        } else {
            open.push(index);
            open_cold.extend(cold.map(|cold| (index, cold)));
        }
    }
    Claimed { filed, open, cold: open_cold, replays }
}

/// What declaration `index`, which met `owner` under its key in the hot generation or, where there is
/// none, what is cold, replays come what may: a content once answered keeps its answer, and after an
/// acceptance no more rejections are placed.
pub(super) fn final_replay(
    hot: &Generation,
    filed: &Filed,
    index: usize,
    owner: Option<Owner>,
    cold: Option<&Cold>,
) -> Option<(Outcome, First)> {
    let (key, content) = (filed.key(index)?, filed.content(index)?);
    let with_fallback = filed.with_fallback(index)?;
    let hot_holder = match owner {
        Some(owner) => {
            let first = hot.batch(owner.sequence())?;
            // Outcomes of a batch in flight may still change.
            first.placing()?;
            Some(Holder::filed(first, owner.index())?)
        }
        None => None,
    };
    let holder = hot_holder.as_ref().or(cold.map(|cold| &cold.holder))?;
    let has_others = owner.is_none_or(Owner::has_others);
    let recall = |kind: MemoryKind, digest| {
        let found = has_others.then(|| hot.recall(kind, hot.memory_key(kind, key, digest)));
        found.flatten().or_else(|| cold.and_then(|cold| cold.recall(kind)))
    };
    match decide(holder, content, with_fallback, recall) {
        Decision::Replay(outcome, first) => first.placing().map(|_| (outcome, first)),
        Decision::Conflict | Decision::AsJudged => None,
    }
}
