//! IOSS numbers (I-18, I-19, I-20, I-22): who declares under one, how much of a sudden, from how many exporters,
//! which of them sell under another one as well, and what a month comes to by member state.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::cast::NOBODY;
use super::figure::Part;
use super::kinds::Kind;
use super::merge::Seen;
use super::tally::{Counts, Sample, Tallies};
use crate::day::Day;

/// I-18 looks at so many days, the day itself the last.
const DECLARANTS_DAYS: u16 = 7;
/// I-19: the weight of a day.
const LAMBDA: f64 = 0.1;
/// I-19: days before the day from which on a level can be told.
const LEVEL_DAYS_MIN: usize = 7;

/// The IOSS holder of a row, unless it is `(other)`: that is no one's number.
fn holder(seen: &Seen, to: &Tallies) -> Option<u32> {
    let [.., holder] = seen.actors;
    (holder != NOBODY && !to.cast.is_other(holder)).then_some(holder)
}

/// I-18 and I-19, of the days that `ioss_declarants` looks at.
#[derive(Debug, Default)]
pub(super) struct IossDeclarants {
    holder: Option<u32>,
    /// By day: value, consignments.
    days: BTreeMap<Day, (u64, u64)>,
    declarants: BTreeMap<u32, Declarant>,
}

#[derive(Debug)]
struct Declarant {
    first: Day,
    last: Day,
    /// Its first declaration on the day itself.
    own: Option<Sample>,
}

impl Counts for IossDeclarants {
    fn row(&mut self, seen: &Seen, to: &mut Tallies) {
        let Some(holder) = holder(seen, to) else { return };
        self.holder = Some(holder);
        let (cents, consignments) = self.days.entry(seen.day).or_default();
        *cents = cents.saturating_add(seen.row.amount);
        *consignments += seen.row.count;
        let [declarant, ..] = seen.actors;
        let new = Declarant { first: seen.day, last: seen.day, own: None };
        let declarant = self.declarants.entry(declarant).or_insert(new);
        declarant.first = declarant.first.min(seen.day);
        declarant.last = declarant.last.max(seen.day);
        if to.is_own(seen) {
            let sample = Sample::of(seen);
            declarant.own = Some(declarant.own.map_or(sample, |own| own.min(sample)));
        }
    }

    fn end_group(&mut self, _: u64, to: &mut Tallies) {
        let days = std::mem::take(&mut self.days);
        let declarants = std::mem::take(&mut self.declarants);
        let Some(holder) = self.holder.take() else { return };
        let Some((cents, consignments)) = days.get(&to.day).copied() else { return };

        let since = Day(to.day.0.saturating_sub(DECLARANTS_DAYS - 1));
        let recent = declarants.values().filter(|declarant| declarant.last >= since);
        let several = recent.count() as u64;
        let of_recent: u64 = days.range(since..).map(|(_, (_, consignments))| consignments).sum();
        let tally = to.of(holder, Kind::IossDeclarants);
        (tally.numerator, tally.denominator) = (several, of_recent);
        tally.own_value = Some(several as f64);

        // Of a number that is new itself all are new: that says nothing.
        if days.range(..to.day).next().is_some() {
            let day = to.day;
            let new = declarants.values().filter(|declarant| declarant.first == day);
            let new: Vec<Sample> = new.filter_map(|declarant| declarant.own).collect();
            let tally = to.of(holder, Kind::IossNewDeclarants);
            tally.denominator = consignments;
            for sample in &new {
                tally.add(1, std::slice::from_ref(sample));
            }
            tally.own_value = Some(new.len() as f64);
        }

        let first = days.keys().next().copied().unwrap_or(to.day);
        let of_each = |day: &Day| days.get(day).map_or(0.0, |(cents, _)| *cents as f64);
        let before = to.days.iter().filter(|day| **day >= first && **day < to.day);
        let before: Vec<f64> = before.map(of_each).collect();
        if let Some((level, z)) = spike(&before, cents as f64) {
            let tally = to.of(holder, Kind::IossSpike);
            (tally.numerator, tally.denominator) = (cents, (level.round() as u64).max(1));
            tally.own_value = Some(z);
        }
    }

    fn end(&mut self, _: &mut Tallies) {}
}

/// The exponentially weighted mean of the days before, and by how many of their exponentially weighted standard
/// deviations `x` is above it; `None` where there are too few or they do not differ. Sums go from day to day in
/// one order, so that the same days give the same bits.
fn spike(before: &[f64], x: f64) -> Option<(f64, f64)> {
    let (first, rest) = before.split_first()?;
    let (mut mean, mut variance) = (*first, 0.0);
    for x in rest {
        let difference = x - mean;
        mean += LAMBDA * difference;
        variance = (1.0 - LAMBDA) * (variance + LAMBDA * difference * difference);
    }
    (before.len() >= LEVEL_DAYS_MIN && variance > 0.0).then(|| (mean, (x - mean) / variance.sqrt()))
}

/// I-20.
#[derive(Debug, Default)]
pub(super) struct IossExporters {
    holder: Option<u32>,
    lines: u64,
    exporters: u64,
    exporter: Option<u64>,
}

impl Counts for IossExporters {
    fn row(&mut self, seen: &Seen, to: &mut Tallies) {
        let Some(holder) = holder(seen, to) else { return };
        self.holder = Some(holder);
        self.lines += seen.row.count;
        // Rows of one exporter follow on one another; 0 stands for none.
        if seen.row.sub > 0 && self.exporter != Some(seen.row.sub) {
            self.exporters += 1;
            self.exporter = Some(seen.row.sub);
        }
    }

    fn end_group(&mut self, _: u64, to: &mut Tallies) {
        let Self { holder, lines, exporters, .. } = std::mem::take(self);
        if let Some(holder) = holder {
            let tally = to.of(holder, Kind::IossExporters);
            (tally.numerator, tally.denominator) = (exporters, lines);
        }
    }

    fn end(&mut self, _: &mut Tallies) {}
}

/// I-22: the month up to the day.
#[derive(Debug, Default)]
pub(super) struct IossStates {
    holder: Option<u32>,
    cents: BTreeMap<u64, u64>,
    consignments: u64,
}

impl Counts for IossStates {
    fn row(&mut self, seen: &Seen, to: &mut Tallies) {
        let month = |day: Day| day.year_month_day();
        let ((year, month_of, _), (of_year, of_month, _)) = (month(seen.day), month(to.day));
        let Some(holder) = holder(seen, to).filter(|_| (year, month_of) == (of_year, of_month))
        else {
            return;
        };
        self.holder = Some(holder);
        self.consignments += seen.row.count;
        let cents = self.cents.entry(seen.row.sub).or_default();
        *cents = cents.saturating_add(seen.row.amount);
    }

    fn end_group(&mut self, _: u64, to: &mut Tallies) {
        let Self { holder, cents, consignments } = std::mem::take(self);
        let Some(holder) = holder else { return };
        let tally = to.of(holder, Kind::IossMonth);
        tally.denominator = consignments;
        tally.numerator = cents.values().fold(0, |sum, cents| sum.saturating_add(*cents));
        tally.own_value = Some(tally.numerator as f64);
        for (state, cents) in cents {
            tally.parts.push(Part { what: state_name(state), count: cents });
        }
    }

    fn end(&mut self, _: &mut Tallies) {}
}

/// I-20: exporters that one declarant has under several IOSS numbers.
#[derive(Debug, Default)]
pub(super) struct ExporterNumbers {
    /// By declarant and number: consignments of the week.
    week: BTreeMap<u32, BTreeMap<u64, u64>>,
    /// By actors and number: those of the day, with the first of them.
    own: BTreeMap<([u32; 3], u64), (u64, Sample)>,
}

impl Counts for ExporterNumbers {
    fn row(&mut self, seen: &Seen, to: &mut Tallies) {
        let [declarant, ..] = seen.actors;
        let number = seen.row.sub;
        *self.week.entry(declarant).or_default().entry(number).or_default() += seen.row.count;
        if to.is_own(seen) {
            let sample = Sample::of(seen);
            let (count, first) = self.own.entry((seen.actors, number)).or_insert((0, sample));
            *count += seen.row.count;
            *first = (*first).min(sample);
        }
    }

    fn end_group(&mut self, _: u64, to: &mut Tallies) {
        let week = std::mem::take(&mut self.week);
        let largest = |declarant: u32| {
            let numbers = week.get(&declarant)?.iter();
            // Of equal ones the lower number.
            numbers.max_by_key(|(number, count)| (**count, Reverse(**number))).map(|(of, _)| *of)
        };
        for ((actors, number), (count, first)) in std::mem::take(&mut self.own) {
            let [declarant, ..] = actors;
            let is_other = largest(declarant).is_some_and(|of| of != number);
            for actor in actors.into_iter().filter(|actor| *actor != NOBODY) {
                let tally = to.of(actor, Kind::ExporterNumbers);
                tally.denominator += count;
                if is_other {
                    tally.add(count, &[first]);
                }
            }
        }
    }

    fn end(&mut self, _: &mut Tallies) {}
}

/// The member state of a row: two letters as a number, 0 without.
pub(super) fn state_number(country: &str) -> u64 {
    match country.as_bytes() {
        [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => u64::from(*a) << 8 | u64::from(*b),
        _ => 0,
    }
}

fn state_name(number: u64) -> String {
    if number == 0 {
        return "(none)".to_owned();
    }
    // Two letters, as they were put together.
    [(number >> 8) as u8, number as u8].map(char::from).iter().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_spike_by_hand() {
        // mean 100, 110, 99; variance 0, 900, 0.9 (900 + 0.1 * 110²) = 1,899.
        let before = [100.0, 200.0, 0.0];
        assert_eq!(spike(&before, 1_000.0), None, "too few days");
        let before = [100.0, 100.0, 100.0, 100.0, 100.0, 200.0, 0.0];
        let (mean, z) = spike(&before, 1_000.0).unwrap();
        assert!((mean - 99.0).abs() < 1e-9, "{mean}");
        assert!((z - 901.0 / 1_899.0_f64.sqrt()).abs() < 1e-9, "{z}");
        assert_eq!(spike(&[5.0; 9], 1_000.0), None, "days that do not differ");
        assert_eq!(spike(&[], 1.0), None);
    }

    #[test]
    fn states_come_back() {
        assert_eq!(state_name(state_number("NL")), "NL");
        for none in ["", "N", "nl", "NLD", "é"] {
            assert_eq!(state_name(state_number(none)), "(none)", "{none}");
        }
        assert!(state_number("BE") < state_number("NL"));
    }
}
