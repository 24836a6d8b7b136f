//! What a candidate would have hit: the same matching over the past.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use super::hits::DayHits;
use super::matcher::{Lodged, Matcher};
use super::scan::{Scan, ScanError, Scanned, scan, watermark};
use crate::archive::Archive;
use crate::day::Day;
use crate::id::{Eori, Watermark};

/// Declarants that are counted apart, at most; later ones count together.
pub const DECLARANTS_MAX: usize = 10_000;

/// Declarations with their lines and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Declarations.
    pub declarations: u64,
    /// Goods items.
    pub lines: u64,
    /// Value in euro cents.
    pub value: u64,
}

impl Totals {
    fn add(&mut self, lines: u64, value: u64) {
        self.declarations += 1;
        self.lines += lines;
        self.value = self.value.saturating_add(value);
    }
}

/// What was hit of all that there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// What was hit; lines and value those of goods items that matched.
    pub hit: Totals,
    /// All that was accepted.
    pub all: Totals,
}

/// What a candidate would have hit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trial {
    /// Exactly of so many records: those that were sealed.
    pub watermark: Watermark,
    /// Days up to this one were dropped, having been past their retention, and are missing.
    pub dropped_through: Option<Day>,
    /// All together.
    pub total: Share,
    /// By day; those with hits only.
    pub days: BTreeMap<Day, DayHits>,
    /// By declarant, all who had something accepted.
    pub declarants: HashMap<Eori, Share>,
    /// Those who came after [`DECLARANTS_MAX`] others.
    pub other_declarants: Share,
}

impl Trial {
    /// Over what arrived on `days` and is sealed in `archive` by now. `control` is told how far it is after each
    /// batch, and may end it.
    ///
    /// # Errors
    /// As [`scan`].
    pub fn run(
        matcher: &Matcher,
        archive: &Archive,
        days: (Day, Day),
        control: impl FnMut(Scanned) -> ControlFlow<()>,
    ) -> Result<Self, ScanError> {
        let sets = archive.sets();
        let dropped = sets.iter().flat_map(|set| &set.parts).filter(|part| part.is_dropped);
        let dropped = dropped.map(|part| part.day).max();
        let mut trial = Self {
            watermark: watermark(&sets),
            dropped_through: dropped.filter(|day| *day >= days.0),
            ..Self::default()
        };
        scan(
            Scan { archive, sets: &sets, days },
            |entry| {
                let (lines, value) =
                    (entry.declaration.goods_items.len() as u64, entry.judgement.intrinsic_value.0);
                let hit = matcher.hit(&Lodged::from(entry));
                for share in trial.shares(entry.lodger.declarant) {
                    share.all.add(lines, value);
                    if let Some(hit) = hit {
                        share.hit.add(hit.lines.into(), hit.value.0);
                    }
                }
                if let Some(hit) = hit {
                    trial.days.entry(entry.day).or_default().add(entry, hit);
                }
            },
            control,
        )?;
        Ok(trial)
    }

    fn shares(&mut self, declarant: Eori) -> [&mut Share; 2] {
        let has_room = self.declarants.len() < DECLARANTS_MAX;
        let own = if has_room || self.declarants.contains_key(&declarant) {
            self.declarants.entry(declarant).or_default()
        } else {
            &mut self.other_declarants
        };
        [&mut self.total, own]
    }
}
