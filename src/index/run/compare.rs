//! Holding runs against others of the same records, however the records are divided among them.
//!
//! Not the bytes are compared but the answers: for each key the newest that stands under it, and all
//! contents that are remembered. What was displaced is remembered by one table under a key of its own,
//! and by two runs below the newest, so that the sorted order of these differs; of them only a sum of
//! hashes is compared. Batches and rare parts are the same in the same order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{Entry, Kind, Run, RunError};
use crate::index::filed::Placing;
use crate::index::first::RunBatch;
use crate::journal::Position;
use crate::wire::digest::{Key, Keys, MemoryKind};

/// Pages read at once of each of many runs: 16 KiB.
const WINDOW_PAGES: usize = 4;

/// Where `kept` answers otherwise than `made`, runs of the same records, each oldest first and without
/// a gap: a sentence, or nothing where they answer the same.
///
/// # Errors
/// Where a run cannot be read.
pub fn difference(kept: &[Run], made: &[Run], keys: &Keys) -> Result<Option<String>, RunError> {
    let ends = |runs: &[Run]| runs.last().map(|run| run.covers().clone());
    let (Some(kept_ends), Some(made_ends)) = (ends(kept), ends(made)) else {
        let both_none = kept.is_empty() && made.is_empty();
        return Ok((!both_none).then(|| "there are none of the same records".to_owned()));
    };
    let of_end = |c: &super::Covers| (c.last_record, c.end_ordinal, c.forgotten, c.carried.clone());
    if of_end(&kept_ends) != of_end(&made_ends) {
        return Ok(Some(format!("what the newest says of record {}", kept_ends.last_record.0)));
    }
    let (mut ours, mut theirs) = (Answers::of(kept, keys)?, Answers::of(made, keys)?);
    loop {
        match (ours.next()?, theirs.next()?) {
            (None, None) => break,
            (one, other) if one == other => {}
            (one, other) => {
                let ordinal = one.or(other).map_or(0, |entry| entry.ordinal.0);
                return Ok(Some(format!("what stands under the LRN of declaration {ordinal}")));
            }
        }
    }
    if ours.remembered != theirs.remembered {
        return Ok(Some("which contents are remembered".to_owned()));
    }
    let mut batches = made.iter().flat_map(Run::all_batches);
    for batch in kept.iter().flat_map(Run::all_batches) {
        let batch = batch?;
        let made = batches.next().transpose()?;
        // What was made of the archive stands in no segment any more.
        let is_sealed = made.is_some_and(|made| made.placing.position.segment == 0);
        let position = if is_sealed { Position::default() } else { batch.placing.position };
        let placing = Placing { position, ..batch.placing };
        if made != Some(RunBatch { placing, ..batch }) {
            return Ok(Some(format!("what is kept of record {}", batch.placing.number.0)));
        }
    }
    let mut rares = made.iter().flat_map(Run::all_rares);
    for rare in kept.iter().flat_map(Run::all_rares) {
        let rare = rare?;
        if rares.next().transpose()?.as_ref() != Some(&rare) {
            return Ok(Some(format!("the fallback of declaration {}", rare.0.0)));
        }
    }
    let has_more = batches.next().transpose()?.is_some() || rares.next().transpose()?.is_some();
    Ok(has_more.then(|| "batches or fallbacks are missing".to_owned()))
}

/// Contents that are remembered, in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Remembered {
    count: u64,
    sum: u128,
}

impl Remembered {
    fn add(&mut self, kind: Kind, memory: Key, entry: &Entry) {
        // No adversary chooses what is compared here: a fixed key will do.
        let mut hasher = SipHasher24::new();
        hasher.write_u8(kind as u8);
        for word in [memory.0, memory.1, entry.digest.0, entry.digest.1.into(), entry.ordinal.0] {
            hasher.write_u64(word);
        }
        hasher.write(&[entry.outcome as u8, entry.has_rare.into()]);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish128().as_u128());
    }
}

/// What runs answer, in the order of keys.
struct Answers<'r> {
    runs: Vec<Box<dyn Iterator<Item = Result<Entry, RunError>> + 'r>>,
    /// The next entry of each run.
    next: BinaryHeap<Reverse<Next>>,
    keys: &'r Keys,
    /// The last key that something stands under.
    key: Option<Key>,
    remembered: Remembered,
}

/// An entry, and of which run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Next(Entry, usize);

impl Ord for Next {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.order(), self.1).cmp(&(other.0.order(), other.1))
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<'r> Answers<'r> {
    fn of(runs: &'r [Run], keys: &'r Keys) -> Result<Self, RunError> {
        let runs = runs.iter().map(|run| {
            let entries = run.all_entries(WINDOW_PAGES);
            Box::new(entries) as Box<dyn Iterator<Item = Result<Entry, RunError>>>
        });
        let (runs, next, remembered) = (runs.collect(), BinaryHeap::new(), Remembered::default());
        let mut answers = Self { runs, next, keys, key: None, remembered };
        (0..answers.runs.len()).try_for_each(|run| answers.turn(run))?;
        Ok(answers)
    }

    /// Takes the next entry of a run up.
    fn turn(&mut self, run: usize) -> Result<(), RunError> {
        let entry = self.runs.get_mut(run).and_then(Iterator::next).transpose()?;
        self.next.extend(entry.map(|entry| Reverse(Next(entry, run))));
        Ok(())
    }

    /// The next that stands under an LRN, and is the newest there.
    fn next(&mut self) -> Result<Option<Entry>, RunError> {
        while let Some(Reverse(Next(entry, run))) = self.next.pop() {
            self.turn(run)?;
            if entry.kind != Kind::UnderLrn {
                self.remembered.add(entry.kind, entry.key, &entry);
            } else if self.key.replace(entry.key) != Some(entry.key) {
                return Ok(Some(entry));
            } else {
                let kind = MemoryKind::Rejection;
                let memory = self.keys.memory_key(kind, entry.key, entry.digest);
                self.remembered.add(Kind::Rejection, memory, &entry);
            }
        }
        Ok(None)
    }
}
