//! Which law is in force, and every one that ever was.
//!
//! A law is all rule files and reference data together. Each has a number, dense from 0, given by
//! its record in the journal; a batch's record names the law that judged it, so that it can be
//! judged again the same. Older laws are read back from the shelf when they are first needed.

use std::sync::{Arc, OnceLock, RwLock};

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

#[derive(Debug)]
struct Known {
    record: LawRecord,
    law: OnceLock<Arc<Law>>,
}

/// All laws of a data folder.
#[derive(Debug)]
pub struct Laws {
    /// None where judging is offline and nothing is kept.
    shelf: Option<Shelf>,
    known: RwLock<Vec<Arc<Known>>>,
    current: ArcSwapOption<Numbered>,
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
        Self { shelf: None, known: RwLock::new(Vec::new()), current: ArcSwapOption::empty() }
    }

    /// Takes note of a law record of the journal.
    ///
    /// # Errors
    /// [`LawsError::Sequence`].
    pub fn note(&self, record: LawRecord) -> Result<(), LawsError> {
        let mut known = self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let expected = u32::try_from(known.len()).unwrap_or(u32::MAX);
        if record.number != expected {
            return Err(LawsError::Sequence { expected, found: record.number });
        }
        known.push(Arc::new(Known { record, law: OnceLock::new() }));
        Ok(())
    }

    /// The law numbered `number`, read from the shelf if it has to be.
    ///
    /// # Errors
    /// Where there is none, or its files are missing or damaged.
    pub fn law(&self, number: u32) -> Result<Arc<Law>, LawsError> {
        let known = {
            let all = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            usize::try_from(number).ok().and_then(|n| all.get(n).cloned())
        };
        let known = known.ok_or(LawsError::Unknown(number))?;
        if let Some(law) = known.law.get() {
            return Ok(Arc::clone(law));
        }
        let shelf = self.shelf.as_ref().ok_or(LawsError::Unknown(number))?;
        let law = shelf
            .load(known.record.rules_hash, known.record.reference_hash)
            .map_err(|error| LawsError::Shelf { number, reason: error.to_string() })?;
        Ok(Arc::clone(known.law.get_or_init(|| Arc::new(law))))
    }

    /// The newest law of the journal, if it is this very one: then no new record is needed.
    pub fn is_newest(&self, law: &Law) -> Option<u32> {
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let newest = &known.last()?.record;
        let same =
            newest.rules_hash == law.rules_hash() && newest.reference_hash == law.reference_hash();
        same.then_some(newest.number)
    }

    /// The record that would make `law` the newest.
    pub fn record(&self, law: &Law) -> LawRecord {
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        LawRecord {
            number: u32::try_from(known.len()).unwrap_or(u32::MAX),
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
        {
            let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(known) = usize::try_from(number).ok().and_then(|n| known.get(n)) {
                let _ = known.law.set(Arc::clone(&law));
            }
        }
        self.current.store(Some(Arc::new(Numbered { number, law })));
    }

    /// The law in force. `None` only before the first was put in force.
    pub fn current(&self) -> Option<Arc<Numbered>> {
        self.current.load_full()
    }
}
