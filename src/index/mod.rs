//! The index: which (declarant, LRN) is known, with which content, and what was answered.
//!
//! - [`slot`]: the protocol of one slot, explored by loom.
//! - [`table`]: the hot table, open addressing over slots.
//! - [`filed`]: what is kept of each batch; a slot points at a declaration in one.
//! - `generation`: a table with its batches; the one that takes what is lodged is *hot*.
//! - [`frozen`]: a generation that is full, on its way to disk. [`run`]: what it becomes there.
//! - `cold`: looking up what is not hot. [`first`]: a declaration answered before, hot or cold.
//! - `gate`: keeps claims out while one generation takes over from another.
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
//!
//! # Hot and cold
//! When the hot generation has no room for a batch it is *frozen*: the gate keeps further claims out,
//! the committer places all that has claimed, and a fresh generation takes over. So what is frozen is
//! placed, and never changes. Its run is written beside the work, and then it goes. If the fresh one
//! fills before that, batches are refused until the run is written.
//!
//! From the first claim of a batch to its place no generation takes over, so that what is cold for
//! one batch in flight is cold for all of them. A key that is known cold is never claimed by a
//! worker: its slot in the hot table, if it needs one, is made by the committer alone. That slot has
//! the mark that there are others, since there may be, in any part. Of two parts that know a key the
//! newer one counts.

pub mod filed;
pub mod first;
pub mod frozen;
pub mod run;
pub mod settle;
pub mod slot;
pub mod table;

mod chunked;
mod cold;
mod gate;
mod generation;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use cold::{Cold, State};
use filed::{Filed, Owner, Settled};
use first::{First, Holder};
use frozen::Frozen;
use gate::Gate;
use generation::Generation;
use run::{Covers, Run, RunError};
use settle::{Decision, decide};
use table::Claim;

use crate::id::Ordinal;
use crate::outcome::Outcome;
use crate::wire::digest::{Key, Keys, MemoryKind};

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

/// The hot generation has no room for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index has room for {free} more declarations, and the batch needs {needed}")]
pub struct Full {
    /// Slots needed.
    pub needed: u64,
    /// Slots free.
    pub free: u64,
    generation: u64,
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
    /// See [`Index::make_room`].
    #[error(transparent)]
    Full(#[from] Full),
    /// What is cold cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Memory of an index that has runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes of two generations, and of what is loaded of all runs.
    pub bytes: u64,
    /// The fewest slots of a generation.
    pub slots_min: u64,
}

impl Memory {
    /// Slots of the first generation beside runs of which so many bytes are loaded.
    #[must_use]
    pub fn slots(self, loaded: u64) -> Option<u64> {
        self.slots_beside(loaded, None)
    }

    /// Slots of a generation beside a frozen one of so many bytes, which may be of an earlier and
    /// larger half.
    fn slots_beside(self, loaded: u64, frozen: Option<u64>) -> Option<u64> {
        let left = self.bytes.checked_sub(loaded)?;
        let half = left / 2;
        let bytes =
            frozen.map_or(Some(half), |frozen| Some(half.min(left.checked_sub(frozen)?)))?;
        Some(bytes / SLOT_BYTES).filter(|slots| *slots >= self.slots_min)
    }

    /// What it would have to be with so many bytes loaded.
    #[must_use]
    pub fn needed(self, loaded: u64) -> u64 {
        loaded + 2 * self.slots_min * SLOT_BYTES
    }
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
    /// What is cold of those of them of which something is.
    cold: Vec<(u16, Cold)>,
    /// Replays found already, with what they replay.
    replays: Vec<(u16, First)>,
}

/// The index.
#[derive(Debug)]
pub struct Index {
    keys: Keys,
    state: ArcSwap<State>,
    gate: Gate,
    /// None where there is one generation and never another.
    memory: Option<Memory>,
}

impl Index {
    /// An index of so many slots, at most half of which are ever taken, under these keys. It is never
    /// frozen.
    ///
    /// # Errors
    /// Where the system does not give the memory.
    pub fn new(keys: Keys, slots: u64) -> std::io::Result<Self> {
        Self::over(keys, slots, None, Vec::new())
    }

    /// An index that goes on after `runs`, oldest first.
    ///
    /// # Errors
    /// Where the memory has no room for these runs and a generation, or the system does not give it.
    pub fn with_runs(keys: Keys, memory: Memory, runs: Vec<Run>) -> std::io::Result<Self> {
        let loaded = runs.iter().map(Run::loaded_bytes).sum();
        let too_little = || std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        let slots = memory.slots(loaded).ok_or_else(too_little)?;
        Self::over(keys, slots, Some(memory), runs)
    }

    fn over(
        keys: Keys,
        slots: u64,
        memory: Option<Memory>,
        runs: Vec<Run>,
    ) -> std::io::Result<Self> {
        let hot = Arc::new(Generation::new(0, keys.clone(), slots)?);
        let runs = runs.into_iter().rev().map(Arc::new).collect();
        let state = ArcSwap::from_pointee(State { hot, frozen: None, runs });
        Ok(Self { keys, state, gate: Gate::default(), memory })
    }

    /// Files a batch and claims its keys. From here on it must be placed. One that only repeats what
    /// has been answered is not filed and takes no room: nothing will ever point at it. Reads from
    /// disk what is cold.
    ///
    /// # Errors
    /// [`Unclaimed`], and nothing is taken or claimed.
    pub fn claim(&self, filed: Filed) -> Result<Claimed, Unclaimed> {
        if !self.gate.enter() {
            return Err(Unclaimed { filed: Box::new(filed), why: Why::Closed });
        }
        // Until it is placed no other generation takes over from this one.
        let state = self.state.load_full();
        let claimed = Self::claim_in(&state, filed);
        if !claimed.as_ref().is_ok_and(|claimed| claimed.filed.sequence.is_some()) {
            self.gate.leave();
        }
        claimed
    }

    fn claim_in(state: &State, filed: Filed) -> Result<Claimed, Unclaimed> {
        // All reading comes first, so that what fails has claimed nothing.
        let cold = match cold_of(state, &filed) {
            Ok(cold) => cold,
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

    /// Has the generation frozen that had no room: closes the gate, which the committer opens again
    /// with [`Self::freeze`]. Nothing is done where another one took over meanwhile.
    ///
    /// # Errors
    /// Where no other can take over now.
    pub fn make_room(&self, full: Full) -> Result<(), NoRoom> {
        self.gate.close_if(|| {
            let state = self.state.load();
            if state.hot.number != full.generation {
                return Ok(false);
            }
            if state.frozen.is_some() {
                return Err(NoRoom::Writing(full));
            }
            if state.hot.is_unused() || self.next_slots(&state).is_none() {
                return Err(NoRoom::Memory(full));
            }
            Ok(true)
        })
    }

    /// Closes the gate whether the hot generation is full or not; false where nothing is in it, or no
    /// other can take over.
    #[must_use]
    pub fn close(&self) -> bool {
        let closed = self.gate.close_if(|| {
            let state = self.state.load();
            let can = state.frozen.is_none() && !state.hot.is_unused();
            if can && self.next_slots(&state).is_some() { Ok(true) } else { Err(()) }
        });
        closed.is_ok()
    }

    /// How many slots the next generation would have.
    fn next_slots(&self, state: &State) -> Option<u64> {
        let frozen = state.hot.bytes();
        // What will be loaded of the run that is made of it.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let loaded = ((frozen / PLACE_BYTES) as f64 * run::LOADED_BYTES_PER_ENTRY) as u64;
        self.memory?.slots_beside(state.loaded_bytes() + loaded, Some(frozen))
    }

    /// Waits for the gate to be open; false where it is not within `wait`.
    #[must_use]
    pub fn wait_until_open(&self, wait: Duration) -> bool {
        self.gate.wait_until_open(wait)
    }

    /// Whether a generation is to be frozen, and all that has claimed in it is placed.
    #[must_use]
    pub fn is_to_be_frozen(&self) -> bool {
        self.gate.is_still()
    }

    /// Freezes the hot generation, which covers what `covers` says, and opens the gate. For the
    /// committer, with all durable that it has placed. What comes back is to be written, and then
    /// handed to [`Self::publish`].
    ///
    /// # Errors
    /// Where the system does not give the memory for another generation.
    pub fn freeze(&self, covers: Covers) -> std::io::Result<Option<Arc<Frozen>>> {
        self.gate.open_with(|| {
            let state = self.state.load();
            let Some(slots) = self.next_slots(&state) else { return Ok(None) };
            let number = state.hot.number + 1;
            let hot = Arc::new(Generation::new(number, self.keys.clone(), slots)?);
            let frozen = Arc::new(Frozen::new(Arc::clone(&state.hot), covers));
            let runs = state.runs.clone();
            self.state.store(Arc::new(State { hot, frozen: Some(Arc::clone(&frozen)), runs }));
            Ok(Some(frozen))
        })
    }

    /// The run of the frozen generation is on disk: look-ups go there, and its memory is given back.
    pub fn publish(&self, run: Run) {
        self.gate.with(|| {
            let state = self.state.load();
            let mut runs = vec![Arc::new(run)];
            runs.extend(state.runs.iter().cloned());
            self.state.store(Arc::new(State { hot: Arc::clone(&state.hot), frozen: None, runs }));
        });
    }

    /// What the frozen generation, or else the newest run, covers; nothing before there is any.
    #[must_use]
    pub fn covered(&self) -> Option<Covers> {
        let state = self.state.load();
        let frozen = state.frozen.as_ref().map(|frozen| frozen.covers().clone());
        frozen.or_else(|| state.runs.first().map(|run| run.covers().clone()))
    }

    /// Whether a frozen generation is being written.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.state.load().frozen.is_some()
    }

    /// The declaration under `key`: the accepted one, else the latest rejected one. Where nothing
    /// was placed under the key yet, it is one in flight, or none.
    ///
    /// # Errors
    /// Where what is cold cannot be read.
    pub fn under(&self, key: Key) -> Result<Option<First>, RunError> {
        let state = self.state.load_full();
        let Some((_, owner)) = state.hot.find(key) else {
            return Ok(state.cold_under(key)?.map(|holder| holder.first));
        };
        let Some(filed) = state.hot.batch(owner.sequence()) else { return Ok(None) };
        // Only the committer gives a key to a batch that is not placed yet while another was: the
        // mark says so, and the batch is placed within microseconds, unless the journal fails.
        let until = Instant::now() + PLACING_WAIT_MAX;
        while owner.has_others() && filed.placing().is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        Ok(Some(First::filed(Arc::clone(filed), owner.index())))
    }

    /// The declaration that was placed as `ordinal`.
    ///
    /// # Errors
    /// Where what is cold cannot be read.
    pub fn at(&self, ordinal: Ordinal) -> Result<Option<First>, RunError> {
        let state = self.state.load_full();
        let in_memory = state.hot.at(ordinal);
        let in_memory = in_memory
            .or_else(|| state.frozen.as_ref().and_then(|frozen| frozen.generation.at(ordinal)));
        if in_memory.is_some() {
            return Ok(in_memory);
        }
        for run in &state.runs {
            if let Some(first) = run.at(ordinal)? {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// How many more declarations there is room for before a generation is frozen.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.state.load().hot.table.room()
    }
}

/// What is cold of each declaration's LRN, where something is.
fn cold_of(state: &State, filed: &Filed) -> Result<Vec<(u16, Cold)>, RunError> {
    let mut found = Vec::new();
    if !state.has_cold() {
        return Ok(found);
    }
    for (place, &key) in filed.keys().iter().enumerate() {
        let (Ok(index), Some(content), Some(with_fallback)) =
            (u16::try_from(place), filed.content(place), filed.with_fallback(place))
        else {
            break;
        };
        if let Some(cold) = state.cold(key, content, with_fallback)? {
            found.push((index, cold));
        }
    }
    Ok(found)
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
fn final_replay(
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
