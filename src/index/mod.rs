//! The index: which (declarant, LRN) is known, with which content, and what was answered.
//!
//! - [`slot`]: the protocol of one slot, explored by loom.
//! - [`table`]: the hot table, open addressing over slots.
//! - [`filed`]: what is kept of each batch; a slot points at a declaration in one.
//! - `generation`: a table with its batches; the one that takes what is lodged is *hot*.
//! - [`frozen`]: a generation that is full, on its way to disk. [`run`]: what it becomes there.
//! - [`merge`]: making few runs of many, beside the work.
//! - `claim`: what a worker does with a batch. `memory`: how large a table may be; `spare`: one made ahead.
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
//! fills before that, batches wait a moment for the run and are refused where that is not enough.
//!
//! From the first claim of a batch to its place no generation takes over, so that what is cold for
//! one batch in flight is cold for all of them. A key that is known cold is never claimed by a
//! worker: its slot in the hot table, if it needs one, is made by the committer alone. That slot has
//! the mark that there are others, since there may be, in any part. Of two parts that know a key the
//! newer one counts. Merging changes none of that: see [`merge`].
//!
//! # Forgetting
//! Keys of the oldest declarations may be forgotten, up to an ordinal that only grows, and only when
//! one generation takes over from another ([`Index::freeze`]): so one batch in flight forgets what all
//! do. Everything under an LRN goes with what stands there, later conflicts too. What is forgotten is in
//! runs, and not seen there any more; it goes when they are merged, or when all of a run is.
//!
//! # Memory
//! Two generations, of bounded size (see [`SLOTS_MAX`]), and what is loaded of the runs, 2.5 bytes a key;
//! while runs are merged as much again for those. At 500 M keys that is 132 MiB, 1.16 GiB and up to
//! 160 MiB, of the 1.7 GiB that a `memory_max` of 3 GiB leaves for the index.

pub mod filed;
pub mod first;
pub mod frozen;
pub mod merge;
pub mod run;
pub mod settle;
pub mod slot;
pub mod table;

mod chunked;
mod claim;
mod cold;
mod gate;
mod generation;
mod memory;
mod spare;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

pub use claim::{Claimed, Full, NoRoom, Unclaimed, Why};
use claim::{claim_in, final_replay};
use cold::{Cold, State};
use filed::Filed;
use first::First;
use frozen::Frozen;
use gate::Gate;
use generation::Generation;
pub use memory::{Memory, SLOTS_MAX};
use merge::Merge;
use run::{Covers, Forgotten, Run, RunError};
use spare::Spare;
use table::Table;

use crate::day::Day;
use crate::id::{Ordinal, Watermark};
use crate::outcome::Outcome;
use crate::telemetry::IndexFigures;
use crate::wire::digest::{Key, Keys};

/// What a batch takes of the table's room beside one slot for each declaration: its own record
/// here is about 300 bytes, as much as the slots and entries of this many declarations.
pub const BATCH_OVERHEAD: u64 = 6;

/// Bytes that one slot costs with what belongs to it: the slot itself, and for each slot that may
/// be taken (half of them) 27 bytes of key, digest and outcome.
pub const SLOT_BYTES: u64 = 16 + 27_u64.div_ceil(2);

/// Bytes of a place: one slot that is taken and the one that is left free for it.
const PLACE_BYTES: u64 = 2 * SLOT_BYTES;

/// How long a look-up waits for a batch that is being placed: between settling and placing, the
/// committer may have to write the group before.
const PLACING_WAIT_MAX: Duration = Duration::from_secs(2);

/// What the newest of these runs covers.
fn newest_of(runs: &[Arc<Run>]) -> Option<&Covers> {
    runs.first().map(|run| run.covers())
}

/// Going on would accept declarations twice. What is durable is on disk: the process ends at once,
/// and recovery looks at it anew.
fn broken(what: &str) -> ! {
    tracing::error!(what, "the index cannot be vouched for any more: the process ends");
    std::process::abort()
}

/// What is known of a declaration's LRN.
#[derive(Debug)]
pub struct Known {
    /// Its index in its batch.
    pub index: u16,
    /// What stands under it.
    pub holder: Option<Ordinal>,
    /// What it replays, and as what that was answered.
    pub replay: Option<(Outcome, First)>,
}

/// The index.
#[derive(Debug)]
pub struct Index {
    keys: Keys,
    state: ArcSwap<State>,
    gate: Gate,
    /// None where there is one generation and never another.
    memory: Option<Memory>,
    /// Bytes that are set aside for runs being merged.
    merging: Arc<AtomicU64>,
    /// For the next generation, while there is no frozen one whose memory it would take.
    spare: Spare,
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
        let hot = Arc::new(Generation::new(0, keys.clone(), Table::new(slots)?));
        let runs: Vec<_> = runs.into_iter().rev().map(Arc::new).collect();
        let forgotten = newest_of(&runs).map_or(Ordinal(0), |covers| covers.forgotten.before);
        let state = ArcSwap::from_pointee(State { hot, frozen: None, runs, forgotten });
        let (gate, merging) = (Gate::default(), Arc::default());
        let spare = Spare::default();
        Ok(Self { keys, state, gate, memory, merging, spare })
    }

    /// Files a batch and claims its keys. From here on it must be placed. One that only repeats what
    /// has been answered is not filed and takes no room: nothing will ever point at it. It must be
    /// placed all the same before anything is forgotten that it repeats. Reads from disk what is cold.
    ///
    /// # Errors
    /// [`Unclaimed`], and nothing is taken or claimed.
    pub fn claim(&self, filed: Filed) -> Result<Claimed, Unclaimed> {
        if !self.gate.enter() {
            return Err(Unclaimed { filed: Box::new(filed), why: Why::Closed });
        }
        // Until it is placed no other generation takes over from this one.
        let state = self.state.load_full();
        let claimed = claim_in(&state, filed);
        if claimed.is_err() {
            self.gate.leave();
        }
        claimed
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

    /// Closes the gate whether the hot generation is full or not, or has anything at all: a run tells
    /// also of records that changed nothing here. False where no other can take over now.
    #[must_use]
    pub fn close(&self) -> bool {
        let closed = self.gate.close_if(|| {
            let state = self.state.load();
            if state.frozen.is_none() && self.next_slots(&state).is_some() {
                Ok(true)
            } else {
                Err(())
            }
        });
        closed.is_ok()
    }

    /// How many slots the next generation would have.
    fn next_slots(&self, state: &State) -> Option<u64> {
        self.next_slots_beside(state, self.merging.load(Ordering::Relaxed))
    }

    /// The same where so many bytes are set aside for merging.
    fn next_slots_beside(&self, state: &State, merging: u64) -> Option<u64> {
        let frozen = state.hot.bytes();
        // What will be loaded of the run that is made of it, and of the one that is being written.
        let of_run = |generation: &Generation| run::loaded_bytes(generation.bytes() / PLACE_BYTES);
        let writing = state.frozen.as_ref().map_or(0, |frozen| of_run(&frozen.generation));
        let loaded = state.loaded_bytes() + of_run(&state.hot) + writing + merging;
        self.memory?.slots_beside(loaded, Some(frozen))
    }

    /// The runs that are to be merged next, of those whose records are all up to `until`; nothing
    /// where there are few, or no memory for their filters beside two generations.
    #[must_use]
    pub fn next_merge(&self, until: Watermark) -> Option<Merge> {
        let mut merge = None;
        self.gate.with(|| {
            let state = self.state.load();
            let runs: Vec<Arc<Run>> = state.runs.iter().rev().cloned().collect();
            let of = runs.partition_point(|run| run.covers().last_record <= until);
            let runs = runs.get(..of).unwrap_or_default();
            let Some(range) = Merge::next(runs) else { return };
            let begun = Merge::of(runs, range, &self.merging);
            let slots = self.next_slots(&state);
            self.spare.keep_within(slots.unwrap_or(0));
            merge = slots.map(|_| begun);
        });
        merge
    }

    /// A merged run is on disk: look-ups go there and no more to those it was made of.
    pub fn publish_merged(&self, merge: &Merge, merged: Run) {
        let merged = Arc::new(merged);
        self.gate.with(|| {
            let state = self.state.load();
            let is_input = |run: &Arc<Run>| merge.runs.iter().any(|input| Arc::ptr_eq(input, run));
            let mut runs = Vec::with_capacity(state.runs.len());
            for run in &state.runs {
                if !is_input(run) {
                    runs.push(Arc::clone(run));
                } else if merge.runs.first().is_some_and(|oldest| Arc::ptr_eq(oldest, run)) {
                    runs.push(Arc::clone(&merged));
                }
            }
            self.state.store(Arc::new(State { runs, ..State::clone(&state) }));
        });
    }

    /// What is not known any more.
    #[must_use]
    pub fn forgotten(&self) -> Forgotten {
        self.covered().map_or(Forgotten::default(), |covers| covers.forgotten)
    }

    /// Takes the oldest runs away of which all was forgotten by record `through`; their files are to be
    /// removed, the oldest first.
    #[must_use]
    pub fn take_forgotten(&self, through: Watermark) -> Vec<Arc<Run>> {
        let mut taken = Vec::new();
        self.gate.with(|| {
            let state = self.state.load();
            let by = state.runs.iter().find(|run| run.covers().last_record <= through);
            let before = by.map_or(Ordinal(0), |run| run.covers().forgotten.before);
            let mut runs = state.runs.clone();
            // One tells where the others end. A run that has no declaration is forgotten with later ones.
            while before > Ordinal(0)
                && runs.len() > 1
                && let Some(oldest) = runs.pop_if(|run| run.covers().end_ordinal <= before)
            {
                taken.push(oldest);
            }
            if !taken.is_empty() {
                self.state.store(Arc::new(State { runs, ..State::clone(&state) }));
            }
        });
        taken
    }

    /// The first declaration of a batch in runs that came on `day` or later, where that is past what is
    /// forgotten; where there is none, the one after the last.
    ///
    /// # Errors
    /// Where a run cannot be read.
    pub fn first_since(&self, day: Day) -> Result<Ordinal, RunError> {
        let state = self.state.load_full();
        for run in state.runs.iter().rev() {
            if run.covers().end_ordinal > state.forgotten
                && let Some(first) = run.first_since(day, state.forgotten)?
            {
                return Ok(first);
            }
        }
        Ok(newest_of(&state.runs).map_or(Ordinal(0), |covers| covers.end_ordinal))
    }

    /// The keys under which declarations are known here.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
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

    /// Freezes the hot generation, which covers what `covers` says, and opens the gate; what is forgotten
    /// by that is not known from there on. For the committer, with all durable that it has placed. What
    /// comes back is to be written, and then handed to [`Self::publish`].
    ///
    /// # Errors
    /// Where the system does not give the memory for another generation.
    pub fn freeze(&self, covers: Covers) -> std::io::Result<Option<Arc<Frozen>>> {
        self.gate.open_with(|| {
            let state = self.state.load();
            let Some(slots) = self.next_slots(&state) else { return Ok(None) };
            let number = state.hot.number + 1;
            let table = self.spare.take(slots).map_or_else(|| Table::new(slots), Ok)?;
            let hot = Arc::new(Generation::new(number, self.keys.clone(), table));
            let forgotten = covers.forgotten.before;
            let frozen = Arc::new(Frozen::new(Arc::clone(&state.hot), covers));
            let now =
                State { hot, frozen: Some(Arc::clone(&frozen)), forgotten, ..State::clone(&state) };
            self.state.store(Arc::new(now));
            Ok(Some(frozen))
        })
    }

    /// Makes a table ready for the next generation, where none is frozen. Else claims wait for its memory
    /// just when a run is being written: with one ready p99 at 300,000 lines/s is 30 ms and not 77 (see
    /// `loadtest/README.md`).
    ///
    /// # Errors
    /// Where the system does not give the memory.
    pub fn prepare_spare(&self) -> std::io::Result<()> {
        let state = self.state.load_full();
        if state.frozen.is_some() {
            return Ok(());
        }
        let Some(slots) = self.next_slots(&state) else { return Ok(()) };
        let table = Table::populated(slots)?;
        self.gate.with(|| {
            // There is memory for two generations, and another one may have taken over meanwhile.
            if self.state.load().frozen.is_none() {
                self.spare.put(table);
            }
        });
        Ok(())
    }

    /// The run of the frozen generation is on disk: look-ups go there, and its memory is given back.
    pub fn publish(&self, run: Run) {
        self.gate.with(|| {
            let state = self.state.load();
            let mut runs = vec![Arc::new(run)];
            runs.extend(state.runs.iter().cloned());
            self.state.store(Arc::new(State { frozen: None, runs, ..State::clone(&state) }));
        });
    }

    /// The last record that runs *on disk* cover, which a frozen generation is not yet.
    #[must_use]
    pub fn runs_cover(&self) -> Option<Watermark> {
        self.state.load().runs.first().map(|run| run.covers().last_record)
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

    /// What is cold of the declarations of a batch, ascending by index, and nothing changes: of those of
    /// which something is, when it came and what they would replay.
    ///
    /// # Errors
    /// Where what is cold cannot be read.
    pub fn known(&self, filed: &Filed) -> Result<Vec<Known>, RunError> {
        let state = self.state.load_full();
        let known = |(index, cold): (u16, Cold)| Known {
            index,
            holder: cold.holder.first.ordinal(),
            replay: final_replay(&state.hot, filed, index.into(), None, Some(&cold)),
        };
        Ok(state.cold_of(filed)?.into_iter().map(known).collect())
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
        if ordinal < state.forgotten {
            return Ok(None);
        }
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

    /// How full it is.
    #[must_use]
    pub fn figures(&self) -> IndexFigures {
        let state = self.state.load();
        IndexFigures {
            hot_room: state.hot.table.room(),
            hot_places: state.hot.places(),
            frozen: state.frozen.is_some().into(),
            runs: state.runs.len() as u64,
            run_entries: state.runs.iter().map(|run| run.entries()).sum(),
            loaded_bytes: state.loaded_bytes(),
        }
    }

    /// How many more declarations there is room for before a generation is frozen.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.state.load().hot.table.room()
    }
}
