//! A world of declarants over some weeks, of whom a few misbehave in stated ways: what indicators
//! and detectors are tuned and measured on.
//!
//! | kind | what it does | where it should show |
//! |---|---|---|
//! | `undervalue` | all values of a declaration are 0.15 to 0.5 of the true ones (one factor for each declarant), weights stay | I-08 value per kilogram |
//! | `bunch` | goods truly worth 2 to 50 % more are declared at EUR 145.10 to 150.00 in all | I-07 bunching |
//! | `split` | an order above EUR 160 becomes two or three consignments of EUR 80 to 149, same exporter and importer, the same day or the next | I-16 splitting |
//! | `borrow` | sold under up to three IOSS numbers of honest platforms, by its own sellers | I-18 declarants per number, I-20 exporter spread |
//! | `vague` | every description is a stop word | I-13 vague descriptions |
//! | `misclassify` | the HS code is one of six of another chapter, half the time a favourite | I-14 mismatch, I-15, also I-08 of those codes |
//! | `merge` | from 2026-07-01: two to five goods in one line under the first one's code, "x and y" | I-12 merging |
//! | `gifts` | C08, sent by one of six companies | I-25 gifts |
//! | `resend` | what was answered is sent again | I-04 replays |
//! | `conflict` | the LRN of an accepted declaration with other content | I-05 conflicts |
//! | `repeat` | one line of one kind of goods at one price in euros, whoever the seller | I-10 repeated price |
//! | `nominal` | every line is worth 10 to 90 cents | I-11 nominal values |
//!
//! The strength of a kind is the share of the declarant's accepted declarations that are affected
//! while it lasts; for `resend` and `conflict` the share of its orders in place of which one comes.
//! A declaration is affected by at most one of each of these groups: `undervalue`, `bunch`, `split`,
//! `gifts`, `repeat`, `nominal`; `vague`, `misclassify`, `merge`; `resend`, `conflict`; `borrow`
//! (which leaves planted gifts alone). What is affected is accepted all the same, but for
//! conflicts.
//!
//! Honest declarants differ in size (log-normal), growth, week, range of goods, sellers and clients,
//! and err now and then: vague or unfitting descriptions, whole prices, replays, defects that
//! reject, importers that receive often. Values and weights are log-normal around a level of the HS
//! code that all share but for some per cent. Three honest ones are [`Odd`], where there are enough
//! platforms.
//!
//! Invariants:
//! - The same [`WorldOptions`] give the same bytes, on every machine and for ever: integers alone,
//!   but for the strengths.
//! - Every declaration is a pure function of (options, declarant, slot). What is kept is, for each
//!   declarant, where its days begin and which consignments of split orders are still to be lodged
//!   (within a day); so memory does not grow with the number of lines but by those.
//! - Who misbehaves changes nothing in what others send but their LRNs; and nothing in a batch
//!   tells who does. The truth is written elsewhere ([`TruthWriter`]).

mod affected;
mod content;
mod declarant;
mod kind;
mod line;
mod lrn;
mod misbehave;
mod number;
mod range;
mod rates;
#[cfg(test)]
mod realism;
mod record;
mod role;
mod sending;
#[cfg(test)]
mod tests;
mod truth;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub use declarant::Odd;
pub use kind::{Kind, Kinds, Planted};
pub use misbehave::{Misbehave, MisbehaveError, Statement};
pub use record::TruthWriter;
pub use truth::{Borrower, Count, DeclarantTruth, KindTruth, NumberTruth, Truth, WorldTruth};

use super::random::Random;
use super::{ACTORS_MAX, BATCH_MAX, FIRST_DAY, LAST_DAY, LINES_MAX, OptionsError};
use crate::day::Day;
use crate::outcome::Outcome;
use crate::proto::v1::SubmitBatchRequest;
use content::Ground;
use declarant::Declarant;
use rates::Terms;
use sending::Sending;

/// What world to make.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldOptions {
    /// Goods items in all, or a few more: no declarant stops within a declaration.
    pub lines: u64,
    /// Declarants, 1 to [`ACTORS_MAX`].
    pub actors: u32,
    /// Another seed gives another world.
    pub seed: u64,
    /// The first day.
    pub from: Day,
    /// How many days, 1 to [`DAYS_MAX`].
    pub days: u32,
    /// Declarations in a batch at most, 1 to [`BATCH_MAX`].
    pub batch: u32,
    /// Who misbehaves.
    pub misbehave: Misbehave,
}

/// Two years.
pub const DAYS_MAX: u32 = 731;
/// Four weeks.
pub const DAYS: u32 = 28;

/// What a stream of chance is for, so that no two draws share one.
#[derive(Debug, Clone, Copy)]
enum Stream {
    Scenario = 101,
    Declarant = 102,
    Odd = 103,
    Goods = 104,
    Role = 105,
    Affected = 106,
    Order = 107,
    Lines = 108,
    Seller = 109,
    Importer = 110,
    Flight = 111,
    Defect = 112,
    Change = 113,
    Split = 114,
    Lrn = 115,
}

/// A world cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// An option outside its bounds.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Who misbehaves is not stated well.
    #[error(transparent)]
    Misbehave(#[from] MisbehaveError),
    /// Other HS codes hold on some day.
    #[error(
        "--from {from} and {days} days end on {last}, but must be within 2022-01-01 to 2027-12-31: \
         the goods are described in HS 2022"
    )]
    Days {
        /// What was given.
        from: Day,
        /// What was given.
        days: u32,
        /// What comes of it.
        last: Day,
    },
}

impl WorldOptions {
    /// A million lines of 35 declarants in [`DAYS`] days from `from` on, all of them honest.
    #[must_use]
    pub fn from(from: Day) -> Self {
        Self {
            lines: 1_000_000,
            actors: 35,
            seed: 1,
            from,
            days: DAYS,
            batch: 1_000,
            misbehave: Misbehave::None,
        }
    }

    /// The last day.
    #[must_use]
    pub fn last(&self) -> Day {
        let later = u16::try_from(self.days.saturating_sub(1)).unwrap_or(u16::MAX);
        Day(self.from.0.saturating_add(later))
    }

    /// # Errors
    /// Names the option, its value and the bound it is outside of.
    pub fn check(&self) -> Result<(), WorldError> {
        for (option, value, max) in [
            ("lines", self.lines, LINES_MAX),
            ("actors", u64::from(self.actors), u64::from(ACTORS_MAX)),
            ("days", u64::from(self.days), u64::from(DAYS_MAX)),
            ("batch", u64::from(self.batch), u64::from(BATCH_MAX)),
        ] {
            if !(1..=max).contains(&value) {
                return Err(OptionsError::Number { option, value, max }.into());
            }
        }
        let bound = |text| Day::parse(text).unwrap_or_default();
        let last = self.last();
        if self.from < bound(FIRST_DAY) || last > bound(LAST_DAY) {
            return Err(WorldError::Days { from: self.from, days: self.days, last });
        }
        Ok(())
    }
}

/// What must come out for a declaration, and in which ways it was affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The outcome, where each declarant's batches are lodged in their order.
    pub outcome: Outcome,
    /// The kinds of misbehaviour. A copy or a conflict has its own kind alone.
    pub kinds: Kinds,
}

/// A batch, the day on which it is lodged, and the truth about it.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldBatch {
    /// When.
    pub day: Day,
    /// Index of who lodges it.
    pub actor: u32,
    /// Goods items in all.
    pub lines: u64,
    /// What to send.
    pub request: SubmitBatchRequest,
    /// One for each declaration.
    pub marks: Vec<Mark>,
}

/// Batches, day after day, those of all declarants mixed; an iterator over [`WorldBatch`].
#[derive(Debug)]
pub struct World {
    options: WorldOptions,
    ground: Ground,
    declarants: Vec<Declarant>,
    sending: Vec<Sending>,
    /// All weights of all declarants and days.
    weight: u128,
    /// Days that have begun.
    days_begun: usize,
    /// (when its next batch is due in 2^-32 of the day; who).
    schedule: BinaryHeap<Reverse<(u64, u32)>>,
}

impl World {
    /// # Errors
    /// As [`WorldOptions::check`], or who misbehaves is not stated well.
    pub fn new(options: &WorldOptions) -> Result<Self, WorldError> {
        options.check()?;
        let mut keying = Random::keyed(&[
            options.seed,
            u64::from(options.from.0),
            u64::from(options.days),
            options.lines,
            u64::from(options.actors),
            u64::from(options.batch),
        ]);
        let key = keying.next();
        let declarants = declarant::all(key, options)?;
        // Everything that decides what an LRN stands for.
        let mut parts = vec![key];
        for each in declarants.iter().flat_map(|each| &each.planted) {
            parts.extend([each.kind as u64, u64::from(each.actor), number::share(each.strength)]);
            parts.extend([u64::from(each.from.0), u64::from(each.to.0)]);
        }
        let ground = Ground {
            key,
            tag: super::tag(&mut Random::keyed(&parts)),
            first: options.from,
            terms: (0..u16::try_from(options.days).unwrap_or(u16::MAX))
                .map(|day| Terms::on(Day(options.from.0.saturating_add(day))))
                .collect(),
            // Each receives some two consignments in the period.
            importers: (options.lines / 4).max(2_000),
        };
        let sending = declarants.iter().map(|_| Sending::default()).collect();
        let weight = declarants.iter().map(Declarant::weight).sum();
        let (options, schedule) = (options.clone(), BinaryHeap::new());
        Ok(Self { options, ground, declarants, sending, weight, days_begun: 0, schedule })
    }

    /// What is true of what was made so far; of all, once the iterator has ended.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let tallies: Vec<_> = self.sending.iter().map(|each| &each.tally).collect();
        let mut sent = Count::default();
        for tally in &tallies {
            sent.declarations += tally.sent().declarations;
            sent.lines += tally.sent().lines;
        }
        let WorldOptions { seed, lines, actors, batch, days, .. } = self.options;
        let (from, to) = (self.options.from.to_string(), self.options.last().to_string());
        Truth {
            world: WorldTruth { seed, lines, actors, batch, days, from, to, sent },
            declarants: tallies
                .iter()
                .zip(&self.declarants)
                .map(|(tally, each)| tally.truth(each))
                .collect(),
            ioss_numbers: truth::numbers(&self.declarants, &tallies),
        }
    }

    fn begin_day(&mut self) {
        let day = self.days_begun;
        self.days_begun += 1;
        for (declarant, sending) in self.declarants.iter().zip(&mut self.sending) {
            let weights = declarant.weights.get(..=day).unwrap_or_default();
            let until: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
            let lines = u128::from(self.options.lines) * until / self.weight.max(1);
            sending.begin_day(u64::try_from(lines).unwrap_or(0), declarant.batch);
            self.schedule.push(Reverse((sending.due(), declarant.index)));
        }
    }
}

impl Iterator for World {
    type Item = WorldBatch;

    fn next(&mut self) -> Option<WorldBatch> {
        loop {
            let Some(Reverse((_, index))) = self.schedule.pop() else {
                if self.days_begun >= self.ground.terms.len() {
                    return None;
                }
                self.begin_day();
                continue;
            };
            let place = usize::try_from(index).ok()?;
            let declarant = self.declarants.get(place)?;
            let sending = self.sending.get_mut(place)?;
            let day = self.days_begun.saturating_sub(1);
            if let Some(batch) = sending.batch(&self.ground, &self.declarants, declarant, day) {
                self.schedule.push(Reverse((sending.due(), index)));
                return Some(batch);
            }
        }
    }
}
