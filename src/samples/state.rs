//! What is selected of what was gone through so far.
//!
//! Of a stratum the goods items with the least lots are held, as many as the whole sample is large; how many of them are
//! selected follows once it is known how many there are (Neyman). Of two states over different records one can be made:
//! the least lots of both. So it does not matter how records are divided, nor in which order they come.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use ring::hmac::Key;

use super::plan::{Method, PerKg, Plan};
use super::selection::{Selected, SelectedStratum, Selection};
use super::{Draw, ItemId};
use crate::archive::{Archive, DeclarationEntry, Set};
use crate::day::Day;
use crate::id::{ShortText, Watermark};
use crate::profiles::{Conditions, Lodged, Matcher, Scan, ScanError, Scanned, Wrong, scan};
use crate::statistics::{Stratum as Spread, neyman_allocation};

/// Goods items that a plan by expected value selects, at most; what has a greater lot is left out, and counted.
const SELECTED_MAX: usize = 20_000;
/// The stratum of what is in none.
const REST: &str = "rest";
/// The stratum of a plan without any.
const ALL: &str = "all";

/// A plan ready to select.
#[derive(Debug)]
pub struct Selector {
    plan: Arc<Plan>,
    key: Key,
    population: Option<Matcher>,
    strata: Vec<Matcher>,
}

/// What was met of a stratum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Met {
    items: u64,
    declared: u64,
    expected: u64,
    /// The least lots.
    least: BTreeMap<(Draw, ItemId), Selected>,
    left_out: u64,
}

/// What was met so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    watermark: Watermark,
    dropped_through: Option<Day>,
    strata: Vec<Met>,
}

impl Met {
    /// Holds a goods item, and no more than `most`: how many had to go for that.
    fn hold(&mut self, selected: Selected, most: usize) -> u64 {
        self.least.insert((selected.draw, selected.item), selected);
        let goes = self.least.len() > most;
        if goes {
            self.least.pop_last();
        }
        u64::from(goes)
    }
}

fn matcher(conditions: &Conditions) -> Result<Option<Matcher>, Wrong> {
    let states_nothing = *conditions == Conditions::default();
    (!states_nothing).then(|| conditions.matcher()).transpose()
}

impl Selector {
    /// Of a plan within its bounds.
    ///
    /// # Errors
    /// The field that is not.
    pub fn new(plan: Arc<Plan>) -> Result<Self, Wrong> {
        let population = matcher(&plan.terms.conditions)?;
        let strata = match &plan.terms.method {
            Method::Fixed { strata, .. } => strata.as_slice(),
            Method::ExpectedValue { .. } => &[],
        };
        let strata = strata.iter().map(|stratum| stratum.conditions.matcher());
        let strata = strata.collect::<Result<_, _>>()?;
        Ok(Self { key: plan.secret.key(), population, strata, plan })
    }

    /// Goes through the sets of `archive` that `state` has not met, one after another. What was gone through stays, also
    /// where `control` ends it.
    ///
    /// # Errors
    /// As [`scan`].
    pub fn follow(
        &self,
        state: &mut State,
        archive: &Archive,
        mut control: impl FnMut(Scanned) -> ControlFlow<()>,
    ) -> Result<(), ScanError> {
        let days = (self.plan.terms.first, self.plan.terms.last);
        let sets = archive.sets();
        let new: Vec<Arc<Set>> =
            sets.iter().filter(|set| set.last > state.watermark).cloned().collect();
        let of = Scan { archive, sets: &new, days }.size();
        let mut before = 0;
        for set in &new {
            let mut met = State::default();
            let scanned = Scan { archive, sets: std::slice::from_ref(set), days };
            let size = scanned.size();
            scan(
                scanned,
                |entry| self.meet(&mut met, entry),
                |Scanned { done, .. }| control(Scanned { done: before + done, of }),
            )?;
            before += size;
            let is_missing = |day: Day| (days.0..=days.1).contains(&day).then_some(day);
            let dropped = set.parts.iter().filter(|part| part.is_dropped);
            met.dropped_through = dropped.filter_map(|part| is_missing(part.day)).max();
            met.watermark = set.last;
            self.merge(state, met);
        }
        Ok(())
    }

    /// Meets an accepted declaration.
    pub(super) fn meet(&self, state: &mut State, entry: &DeclarationEntry<'_>) {
        let lodged = Lodged::from(entry);
        let is_lodged = |matcher: &Matcher| matcher.is_lodged(&lodged);
        if !self.population.as_ref().is_none_or(is_lodged) {
            return;
        }
        let lrn = ShortText::new(entry.declaration.lrn).unwrap_or_default();
        for (goods_item, item, value) in lodged.items() {
            let is_item = |matcher: &Matcher| matcher.is_item(item, value);
            if !self.population.as_ref().is_none_or(is_item) {
                continue;
            }
            let mut strata = self.strata.iter();
            let stratum = strata.position(|of| is_lodged(of) && is_item(of));
            let id = ItemId { declarant: entry.lodger.declarant, lrn, goods_item };
            let selected = Selected {
                draw: Draw::of(&self.key, &id),
                item: id,
                mrn: ShortText::new(entry.mrn.unwrap_or_default()).unwrap_or_default(),
                day: entry.day,
                hs6: ShortText::new(item.hs6).unwrap_or_default(),
                declared: value.map_or(0, |value| value.0),
                expected: self.expected(item.hs6, item.gross_mass_mg),
            };
            self.put(state, stratum.unwrap_or(self.strata.len()), selected);
        }
    }

    /// Counts a goods item, and holds it where its lot is low enough.
    pub(super) fn put(&self, state: &mut State, stratum: usize, selected: Selected) {
        state.strata.resize_with(self.strata.len() + 1, Met::default);
        let Some(met) = state.strata.get_mut(stratum) else { return };
        met.items += 1;
        met.declared = met.declared.saturating_add(selected.declared);
        met.expected = met.expected.saturating_add(selected.expected);
        match self.plan.terms.method {
            Method::Fixed { size, .. } => {
                met.hold(selected, size as usize);
            }
            Method::ExpectedValue { interval, .. } => {
                if selected.draw.is_below(selected.expected, interval) {
                    met.left_out += met.hold(selected, SELECTED_MAX);
                }
            }
        }
    }

    /// Takes what was met of later records into `state`.
    pub(super) fn merge(&self, state: &mut State, later: State) {
        state.watermark = state.watermark.max(later.watermark);
        state.dropped_through = state.dropped_through.max(later.dropped_through);
        state.strata.resize_with(self.strata.len() + 1, Met::default);
        for (met, later) in state.strata.iter_mut().zip(later.strata) {
            met.items += later.items;
            met.declared = met.declared.saturating_add(later.declared);
            met.expected = met.expected.saturating_add(later.expected);
            met.left_out += later.left_out;
            for selected in later.least.into_values() {
                match self.plan.terms.method {
                    Method::Fixed { size, .. } => {
                        met.hold(selected, size as usize);
                    }
                    Method::ExpectedValue { .. } => {
                        met.left_out += met.hold(selected, SELECTED_MAX);
                    }
                }
            }
        }
    }

    /// What a goods item is expected to be worth, in euro cents, one at least: each has a chance.
    fn expected(&self, hs6: &str, gross_mass_mg: u64) -> u64 {
        let Method::ExpectedValue { per_kg, .. } = &self.plan.terms.method else { return 0 };
        let matching = per_kg.iter().filter(|one| hs6.starts_with(one.hs_prefix.as_str()));
        let longest = matching.max_by_key(|one| one.hs_prefix.len());
        let per_kg = longest.map_or(0, |PerKg { eur_cents, .. }| *eur_cents);
        let cents = u128::from(gross_mass_mg) * u128::from(per_kg) / 1_000_000;
        u64::try_from(cents).unwrap_or(u64::MAX).max(1)
    }

    /// What is selected of what was met.
    #[must_use]
    pub fn selection(&self, state: &State) -> Selection {
        let mut strata = state.strata.clone();
        strata.resize_with(self.strata.len() + 1, Met::default);
        let taken = self.allocated(&strata);
        let mut names = self.names();
        let strata = strata.into_iter().zip(taken).map(|(met, taken)| SelectedStratum {
            name: names.next().unwrap_or_default(),
            items: met.items,
            declared: met.declared,
            expected: met.expected,
            selected: met.least.into_values().take(taken).collect(),
            left_out: met.left_out,
        });
        Selection {
            strata: strata.collect(),
            watermark: state.watermark,
            dropped_through: state.dropped_through,
        }
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let named = match &self.plan.terms.method {
            Method::Fixed { strata, .. } => strata.iter().map(|s| s.name.clone()).collect(),
            Method::ExpectedValue { .. } => Vec::new(),
        };
        let last = if named.is_empty() { ALL } else { REST };
        named.into_iter().chain([last.to_owned()])
    }

    /// How many of each stratum are selected.
    fn allocated(&self, met: &[Met]) -> Vec<usize> {
        let Method::Fixed { size, strata } = &self.plan.terms.method else {
            return vec![usize::MAX; met.len()];
        };
        // What is in none is as strata are on average: nobody has said otherwise.
        let rates = strata.iter().map(|s| f64::from(s.expected_errors_per_million) / 1_000_000.0);
        let count = strata.len().max(1) as f64;
        let rest = rates.clone().sum::<f64>() / count;
        let deviations = rates.chain([rest]).map(|p| (p * (1.0 - p)).sqrt());
        let spreads = met.iter().zip(deviations);
        let spreads = spreads.map(|(met, deviation)| Spread { size: met.items, deviation });
        let spreads: Vec<Spread> = spreads.collect();
        let all = spreads.iter().map(|stratum| stratum.size).sum::<u64>();
        let size = all.min(u64::from(*size));
        let allocated = neyman_allocation(&spreads, size).unwrap_or_default();
        allocated.into_iter().map(|n| usize::try_from(n).unwrap_or(usize::MAX)).collect()
    }
}

impl State {
    /// Up to where it has gone.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }
}
