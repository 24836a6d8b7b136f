//! Which law is in force, and which ones were before it.
//!
//! A law is all rule files and reference data together. Each has a number, dense from 0, given by
//! its record in the journal; a batch's record names the law that judged it, so that it can be
//! judged again the same. Of the older ones only the few that were used last are held; the others
//! are read back from the shelf when they are needed.
//!
//! Invariant: every law that has a number is on the shelf, so that any may be let go; where there is
//! no shelf, there is no law but the current one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arc_swap::ArcSwapOption;

use super::record::LawRecord;
use crate::rules::{Law, LawError, Shelf};

/// A law with its number.
#[derive(Debug, Clone)]
pub struct Numbered {
    /// Its number.
    pub number: u32,
    /// The law.
    pub law: Arc<Law>,
}

/// How many laws are held beside the current one. A law has its files (0.25 MB) and what was read of
/// them (about as much), at most 16 editions of 0.3 MB and 64 days of 4 KB: 5.6 MB. Four of them and
/// the current one are 28 MB, of the tenth of `memory_max` and 128 MiB that are for everything small.
/// Older laws are asked for by replays, conflicts and look-ups of what they judged, mostly soon after
/// a change of the rules, of which there are a few a year.
const OLDER_HELD_MAX: usize = 4;

/// All laws of a data folder.
#[derive(Debug)]
pub struct Laws {
    /// None where judging is offline and nothing is kept.
    shelf: Option<Shelf>,
    records: RwLock<Vec<LawRecord>>,
    current: ArcSwapOption<Numbered>,
    /// Others than the current one, the last used at the end.
    older: Mutex<Vec<Numbered>>,
}

/// A law that the journal names cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LawsError {
    /// No record gave this number.
    #[error("no law has the number {0}")]
    Unknown(u32),
    /// Its files are not on the shelf, or are damaged.
    #[error("law {number}: {reason}")]
    Shelf {
        /// The law's number.
        number: u32,
        /// What is wrong.
        reason: String,
    },
    /// The journal's law records are not numbered in sequence.
    #[error("the record of law {found} stands where that of law {expected} should")]
    Sequence {
        /// The number that should come next.
        expected: u32,
        /// The number found.
        found: u32,
    },
}

impl Laws {
    /// No law yet, over this shelf.
    #[must_use]
    pub fn over(shelf: Shelf) -> Self {
        Self { shelf: Some(shelf), ..Self::passing() }
    }

    /// No law yet, and none that will be kept.
    #[must_use]
    pub fn passing() -> Self {
        Self {
            shelf: None,
            records: RwLock::default(),
            current: ArcSwapOption::empty(),
            older: Mutex::default(),
        }
    }

    /// Takes note of a law record of the journal.
    ///
    /// # Errors
    /// [`LawsError::Sequence`].
    pub fn note(&self, record: LawRecord) -> Result<(), LawsError> {
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        let expected = u32::try_from(records.len()).unwrap_or(u32::MAX);
        if record.number != expected {
            return Err(LawsError::Sequence { expected, found: record.number });
        }
        records.push(record);
        Ok(())
    }

    /// The records of all laws, from the first on.
    #[must_use]
    pub fn records(&self) -> Vec<LawRecord> {
        self.records.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The law numbered `number`, read from the shelf if it is not held. For the current one this is
    /// as cheap as [`Self::current`].
    ///
    /// # Errors
    /// Where there is none, or its files are missing or damaged.
    pub fn law(&self, number: u32) -> Result<Arc<Law>, LawsError> {
        if let Some(current) = &*self.current.load()
            && current.number == number
        {
            return Ok(Arc::clone(&current.law));
        }
        if let Some(law) = used(&mut self.older(), number) {
            return Ok(law);
        }
        let record = {
            let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
            usize::try_from(number).ok().and_then(|n| records.get(n).copied())
        };
        let record = record.ok_or(LawsError::Unknown(number))?;
        let shelf = self.shelf.as_ref().ok_or(LawsError::Unknown(number))?;
        // Not under the lock: others go on meanwhile.
        let law = shelf
            .load(record.rules_hash, record.reference_hash)
            .map_err(|error| LawsError::Shelf { number, reason: error.to_string() })?;
        let mut older = self.older();
        // Another thread may have read it as well: then all hold the same one.
        if let Some(law) = used(&mut older, number) {
            return Ok(law);
        }
        let law = Arc::new(law);
        hold(&mut older, Numbered { number, law: Arc::clone(&law) });
        Ok(law)
    }

    fn older(&self) -> MutexGuard<'_, Vec<Numbered>> {
        self.older.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest law of the journal, if it is this very one: then no new record is needed.
    pub fn is_newest(&self, law: &Law) -> Option<u32> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let newest = records.last()?;
        let same =
            newest.rules_hash == law.rules_hash() && newest.reference_hash == law.reference_hash();
        same.then_some(newest.number)
    }

    /// The record that would make `law` the newest.
    pub fn record(&self, law: &Law) -> LawRecord {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        LawRecord {
            number: u32::try_from(records.len()).unwrap_or(u32::MAX),
            rules_hash: law.rules_hash(),
            reference_hash: law.reference_hash(),
        }
    }

    /// Puts every file of `law` on the shelf, synced.
    ///
    /// # Errors
    /// Where that fails.
    pub fn keep(&self, law: &Law) -> Result<(), LawError> {
        self.shelf.as_ref().map_or(Ok(()), |shelf| shelf.keep(law))
    }

    /// From here on batches are judged under `law`, whose record is durable.
    pub fn put_in_force(&self, number: u32, law: Arc<Law>) {
        let mut older = self.older();
        older.retain(|held| held.number != number);
        // Batches in work were judged under the one before, and replays will be for a while. It is
        // held before it is current no more, so that nobody looks for it on the shelf in between.
        if let (Some(before), Some(_)) = (self.current.load_full(), &self.shelf) {
            hold(&mut older, Numbered::clone(&before));
        }
        self.current.store(Some(Arc::new(Numbered { number, law })));
    }

    /// The law in force. `None` only before the first was put in force.
    pub fn current(&self) -> Option<Arc<Numbered>> {
        self.current.load_full()
    }
}

/// The law numbered `number`, if it is held; it is now the last used.
fn used(older: &mut Vec<Numbered>, number: u32) -> Option<Arc<Law>> {
    let place = older.iter().position(|held| held.number == number)?;
    let held = older.remove(place);
    let law = Arc::clone(&held.law);
    older.push(held);
    Some(law)
}

/// Holds `law`; lets go of the one that was not used for longest, where it would be one too many.
fn hold(older: &mut Vec<Numbered>, law: Numbered) {
    if older.len() == OLDER_HELD_MAX {
        older.remove(0);
    }
    older.push(law);
}

#[cfg(test)]
#[path = "tests/laws.rs"]
mod tests;
