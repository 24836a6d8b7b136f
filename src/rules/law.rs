//! All rules and reference data as one immutable value, and what of it holds on a day.
//!
//! Invariants: a [`Law`] was checked as a whole, so that judging cannot fail. Its two hashes name
//! the exact bytes of its files; the same bytes always make the same findings.
//!
//! Before the first rule set (2021-07-01, when H7 began) and in gaps that valid_to may leave there
//! is no law: [`Law::on`] then fails, and nothing can be judged on such a day.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::builtin;
use super::day_law::{DayLaw, Registers};
use super::edition::{self, Edition};
use super::error::{LawError, Problems};
use super::ioss::Denied;
use super::lists::{Lists, REFERENCE, TABLES, month_number, show_month};
use super::money::Rate;
use super::rule_set::RuleSet;
use super::table::Files;
use crate::day::Day;
use crate::id::Eori;

/// How many days' laws are kept. A day costs about 4 KB beside its edition; fallbacks reach 30
/// days back, and replays of older days make theirs again in some microseconds.
const DAYS_KEPT_MAX: usize = 64;
/// How many editions are kept, of about 300 KB each. They change a few times a year.
const EDITIONS_KEPT_MAX: usize = 16;

/// All rules and reference data, checked. Share it as an `Arc`.
pub struct Law {
    files: Files,
    rules_hash: [u8; 32],
    reference_hash: [u8; 32],
    lists: Lists,
    registers: Arc<Registers>,
    boundaries: Vec<Day>,
    /// By month, as `month_number` counts them; each sorted as in the file.
    rates: BTreeMap<u32, Vec<Option<Rate>>>,
    kept: Mutex<Kept>,
}

/// What was compiled, the last used at the end.
#[derive(Default)]
struct Kept {
    days: Vec<Arc<DayLaw>>,
    editions: Vec<(usize, Arc<Edition>)>,
}

impl std::fmt::Debug for Law {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Law")
            .field("files", &self.files.len())
            .field("rules_hash", &self.rules_hash)
            .field("reference_hash", &self.reference_hash)
            .finish_non_exhaustive()
    }
}

/// SHA-256 over each file's name and content, each with its length before it (8 bytes, little
/// endian), in the order of the names.
pub(super) fn hash<'a>(files: impl Iterator<Item = (&'a String, &'a Arc<[u8]>)>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, content) in files {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hash.finalize().into()
}

/// Whether `file` is reference data rather than a rule.
pub(super) fn is_reference(file: &str) -> bool {
    REFERENCE.contains(&file)
}

impl Law {
    /// The files compiled into the program, each replaced by the file of the same name in
    /// `overrides` where there is one; a rule set of another day there is added.
    ///
    /// # Errors
    /// Every problem of every file, or the folder or file that could not be read.
    pub fn load(overrides: Option<&Path>) -> Result<Self, LawError> {
        let mut files = builtin::files();
        if let Some(folder) = overrides {
            files.extend(builtin::read_folder(folder)?);
        }
        Self::new(files)
    }

    /// The law that these files make, no others added.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Result<Self, LawError> {
        Self::new(files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect())
    }

    fn new(files: Files) -> Result<Self, LawError> {
        let mut problems = Problems::default();
        let lists = Lists::read(&files, &mut problems);
        problems.into_result()?;
        let mut presenters: std::collections::HashMap<Eori, Vec<(Day, Day)>> = Default::default();
        for row in &lists.presenters {
            presenters.entry(row.what).or_default().push((row.from, row.to));
        }
        let registers = Registers {
            denied: Denied::new(&lists.ioss_denied),
            presenters,
            presenters_from: lists.presenters.iter().map(|row| row.from).min(),
        };
        let mut rates: BTreeMap<u32, Vec<Option<Rate>>> = BTreeMap::new();
        for row in &lists.rates {
            let month = rates.entry(row.month).or_insert_with(|| vec![None; 256]);
            let number = edition::currency_number(&lists, row.currency);
            if let Some(rate) = month.get_mut(usize::from(number)) {
                *rate = Some(row.rate);
            }
        }
        Ok(Self {
            rules_hash: hash(files.iter().filter(|(name, _)| !is_reference(name))),
            reference_hash: hash(files.iter().filter(|(name, _)| is_reference(name))),
            boundaries: edition::boundaries(&lists),
            registers: Arc::new(registers),
            rates,
            lists,
            files,
            kept: Mutex::default(),
        })
    }

    /// Every file as used, by its name relative to the rules folder.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Arc<[u8]>> {
        &self.files
    }

    /// SHA-256 over names and contents of the rule files: all but rates and nomenclature.
    #[must_use]
    pub fn rules_hash(&self) -> [u8; 32] {
        self.rules_hash
    }

    /// SHA-256 over names and contents of rates and nomenclature.
    #[must_use]
    pub fn reference_hash(&self) -> [u8; 32] {
        self.reference_hash
    }

    /// What holds on `day`: at most some milliseconds the first time, a look-up after that.
    ///
    /// # Errors
    /// No rule set holds on that day.
    pub fn on(&self, day: Day) -> Result<Arc<DayLaw>, LawError> {
        let set = self.rule_set(day)?;
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = kept.days.iter().rposition(|law| law.day == day) {
                // Moves it to the end only when it may be in danger.
                if place < DAYS_KEPT_MAX / 2 && kept.days.len() == DAYS_KEPT_MAX {
                    let law = kept.days.remove(place);
                    kept.days.push(law);
                    return Ok(kept.days.last().cloned().unwrap_or_else(|| self.compile(set, day)));
                }
                if let Some(law) = kept.days.get(place) {
                    return Ok(Arc::clone(law));
                }
            }
        }
        Ok(self.compile(set, day))
    }

    /// The rule sets: name, first and last day.
    pub(super) fn rule_sets(&self) -> &[RuleSet] {
        &self.lists.rule_sets
    }

    /// The first and last month with rates, as `2026-11`.
    pub(super) fn months_with_rates(&self) -> Option<(String, String)> {
        let (first, _) = self.rates.first_key_value()?;
        let (last, _) = self.rates.last_key_value()?;
        Some((show_month(*first), show_month(*last)))
    }

    fn rule_set(&self, day: Day) -> Result<&RuleSet, LawError> {
        let first = self.lists.rule_sets.first().map_or(Day::default(), |set| set.from);
        let mut sets = self.lists.rule_sets.iter().rev();
        sets.find(|set| set.from <= day && day <= set.to).ok_or(LawError::NoRuleSet { day, first })
    }

    fn compile(&self, set: &RuleSet, day: Day) -> Arc<DayLaw> {
        let edition = self.edition(set, day);
        let (year, month, _) = day.year_month_day();
        let month = month_number(year, month);
        let (rates, rates_outdated) = match self.rates.range(..=month).next_back() {
            Some((of, rates)) => (rates.clone(), (*of < month).then(|| show_month(*of))),
            None => (Vec::new(), None),
        };
        let law = Arc::new(DayLaw {
            day,
            edition,
            registers: Arc::clone(&self.registers),
            rates,
            rates_outdated,
            rules_hash: self.rules_hash,
            reference_hash: self.reference_hash,
        });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.days.iter().all(|law| law.day != day) {
            if kept.days.len() >= DAYS_KEPT_MAX {
                kept.days.remove(0);
            }
            kept.days.push(Arc::clone(&law));
        }
        law
    }

    fn edition(&self, set: &RuleSet, day: Day) -> Arc<Edition> {
        let number = self.boundaries.partition_point(|boundary| *boundary <= day);
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = kept.editions.iter().position(|(of, _)| *of == number) {
                let entry = kept.editions.remove(place);
                let edition = Arc::clone(&entry.1);
                kept.editions.push(entry);
                return edition;
            }
        }
        // Not under the lock: others go on meanwhile, and two that make the same one make equals.
        let edition = Arc::new(Edition::new(&self.lists, set, day));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.editions.len() >= EDITIONS_KEPT_MAX {
            kept.editions.remove(0);
        }
        kept.editions.push((number, Arc::clone(&edition)));
        edition
    }
}

/// The number of rows in each file, for reports.
pub(super) fn rows(bytes: &[u8]) -> usize {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    lines + usize::from(bytes.last().is_some_and(|byte| *byte != b'\n'))
}

const _: () = assert!(TABLES.len() == builtin::TABLES);

#[cfg(test)]
#[path = "tests/law.rs"]
mod tests;
