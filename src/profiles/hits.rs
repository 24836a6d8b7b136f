//! What profiles have hit, by day.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use super::matcher::Hit;
use super::{Profile, ProfileId, Totals};
use crate::archive::{DeclarationEntry, Set};
use crate::day::Day;
use crate::id::{Eori, Ordinal, ShortText, Watermark};

/// Examples of a day at most.
pub const EXAMPLES_MAX: usize = 20;
/// Days of which hits are kept: the newest that something sealed arrived on, and those before it. With examples of 72
/// bytes, 200 profiles that hit every day have 30 MB.
pub const HIT_DAYS_MAX: u16 = 100;

/// A declaration that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// Its place in the journal's order.
    pub ordinal: Ordinal,
    /// Its MRN.
    pub mrn: ShortText<18>,
    /// Its LRN.
    pub lrn: ShortText<22>,
    /// Who lodged it.
    pub declarant: Eori,
    /// The first goods item that matched, from 1.
    pub goods_item: u32,
}

/// What was hit of one day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayHits {
    /// Declarations.
    pub declarations: u64,
    /// Goods items of them that matched.
    pub lines: u64,
    /// Value of those in euro cents.
    pub value: u64,
    /// The first declarations of the day, in the order of the journal.
    pub examples: Vec<Example>,
}

impl DayHits {
    /// Without the examples.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals { declarations: self.declarations, lines: self.lines, value: self.value }
    }

    /// Counts a declaration, which comes after those before.
    pub(super) fn add(&mut self, entry: &DeclarationEntry<'_>, hit: Hit) {
        self.declarations += 1;
        self.lines += u64::from(hit.lines);
        self.value = self.value.saturating_add(hit.value.0);
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(Example {
                ordinal: entry.ordinal,
                // Both have their length where a declaration is accepted.
                mrn: ShortText::new(entry.mrn.unwrap_or_default()).unwrap_or_default(),
                lrn: ShortText::new(entry.declaration.lrn).unwrap_or_default(),
                declarant: entry.lodger.declarant,
                goods_item: hit.first,
            });
        }
    }

    /// Adds those of later records.
    fn append(&mut self, later: Self) {
        self.declarations += later.declarations;
        self.lines += later.lines;
        self.value = self.value.saturating_add(later.value);
        let room = EXAMPLES_MAX.saturating_sub(self.examples.len());
        self.examples.extend(later.examples.into_iter().take(room));
    }
}

/// The days of which hits are kept: the newest that something in `sets` arrived on and those before it, later than any
/// that is dropped. None where nothing is sealed.
#[must_use]
pub fn kept_days(sets: &[Arc<Set>]) -> Option<(Day, Day)> {
    let parts = || sets.iter().flat_map(|set| &set.parts);
    let newest = parts().map(|part| part.day).max()?;
    let dropped = parts().filter(|part| part.is_dropped).map(|part| part.day.next()).max();
    let first = Day(newest.0.saturating_sub(HIT_DAYS_MAX - 1)).max(dropped.unwrap_or_default());
    Some((first, newest))
}

/// What one version of a profile has hit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionHits {
    /// Exactly of so many records: those that were sealed and gone through.
    pub watermark: Watermark,
    /// By day; those with hits only.
    pub days: BTreeMap<Day, DayHits>,
}

/// A version of a profile.
pub(super) type VersionId = (ProfileId, u32);

/// What all profiles have hit. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Hits(Arc<RwLock<HashMap<VersionId, VersionHits>>>);

impl Hits {
    /// What version `number` of `profile` has hit on the days on which it is in force. None where it was not gone
    /// through yet.
    #[must_use]
    pub fn of(&self, profile: &Profile, number: u32) -> Option<VersionHits> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = all.get(&(profile.id, number)).cloned()?;
        drop(all);
        // It may have been replaced or withdrawn since.
        let days = profile.days(number);
        found.days.retain(|day, _| days.is_some_and(|(first, last)| first <= *day && *day <= last));
        Some(found)
    }

    /// Up to where a version was gone through.
    pub(super) fn watermark(&self, version: VersionId) -> Watermark {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&version).map_or(Watermark(0), |found| found.watermark)
    }

    /// Adds what a version hit of the records up to `watermark`, and drops days before `first`.
    pub(super) fn add(
        &self,
        version: VersionId,
        watermark: Watermark,
        days: BTreeMap<Day, DayHits>,
        first: Day,
    ) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let found = all.entry(version).or_default();
        found.watermark = watermark;
        for (day, hits) in days {
            found.days.entry(day).or_default().append(hits);
        }
        found.days.retain(|day, _| *day >= first);
    }

    /// Drops days before `first`.
    pub(super) fn forget(&self, first: Day) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.values_mut().for_each(|found| found.days.retain(|day, _| *day >= first));
    }
}
