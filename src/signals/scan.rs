//! Looks at the days of all declarants, by every rule.

use std::collections::BTreeMap;

use super::input::{Count, Figures};
use super::rule::{Measure, RULES, Rule};
use crate::day::Day;
use crate::statistics::median_without;
use crate::summary::ActorId;

/// Days of a window, where it is not the whole period.
const WINDOW_DAYS: u16 = 7;
/// A declarant tells what is usual if its figure is out of so many.
const PEER_DENOMINATOR_MIN: f64 = 100.0;

/// A declarant's days.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Whose.
    pub id: ActorId,
    /// Those on which it declared.
    pub days: BTreeMap<Day, Figures>,
}

/// A declarant stands out by a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Who.
    pub id: ActorId,
    /// In which way.
    pub rule: &'static Rule,
    /// The days on which it stands out most: seven of them, or all.
    pub days: (Day, Day),
    /// On those days.
    pub numerator: u64,
    /// See `numerator`.
    pub denominator: u64,
    /// Their quotient.
    pub value: f64,
    /// The value's lower bound at 4 standard deviations, less what other figures explain.
    pub lower: f64,
    /// The median of the other declarants' values over all days; 0 where there are none.
    pub usual: f64,
}

impl Signal {
    /// How far the lower bound is above what there is a signal from.
    #[must_use]
    pub fn margin(&self) -> f64 {
        self.lower - self.usual - self.rule.above
    }
}

/// The signals of all, by declarant and then in the order of rules; of each the one over the days on which it is
/// strongest.
#[must_use]
pub fn scan(all: &[Series]) -> Vec<Signal> {
    let windows: Vec<_> = all.iter().map(windows).collect();
    let mut signals = Vec::new();
    for rule in RULES {
        let values: Vec<Option<f64>> = windows.iter().map(|own| usual_of(rule, own)).collect();
        let mut ascending: Vec<f64> = values.iter().flatten().copied().collect();
        ascending.sort_unstable_by(f64::total_cmp);
        for ((series, own), value) in all.iter().zip(&windows).zip(values) {
            let usual = match value {
                Some(value) => median_without(&ascending, value),
                None => median_without(&ascending, f64::INFINITY),
            };
            let of = |window: &Window| signal(rule, series, window, usual.unwrap_or(0.0));
            let strongest =
                own.iter().filter_map(of).max_by(|a, b| a.margin().total_cmp(&b.margin()));
            signals.extend(strongest.filter(|signal| signal.margin() > 0.0));
        }
    }
    // The sort is stable: rules stay in order.
    signals.sort_by_key(|signal| signal.id);
    signals
}

struct Window {
    days: (Day, Day),
    figures: Figures,
}

/// All days, and each seven that begin on one of them.
fn windows(series: &Series) -> Vec<Window> {
    let over = |days: (Day, Day)| {
        let mut figures = Figures::default();
        series.days.range(days.0..=days.1).for_each(|(_, day)| figures += day);
        Window { days, figures }
    };
    let ends = series.days.first_key_value().zip(series.days.last_key_value());
    let Some(((first, _), (last, _))) = ends else { return Vec::new() };
    let starts = series.days.keys().map(|day| (*day, Day(day.0.saturating_add(WINDOW_DAYS - 1))));
    let weeks = starts.filter(|(_, end)| end <= last).map(over);
    std::iter::once(over((*first, *last))).chain(weeks).collect()
}

/// What the first window, all days, says to others of what is usual.
fn usual_of(rule: &Rule, own: &[Window]) -> Option<f64> {
    let measure = rule.measure(&own.first()?.figures)?;
    (measure.count.denominator >= PEER_DENOMINATOR_MIN).then_some(measure.value)
}

fn signal(rule: &'static Rule, series: &Series, window: &Window, usual: f64) -> Option<Signal> {
    let Measure { count, value, lower } = rule.measure(&window.figures)?;
    let Count { numerator, denominator } = count;
    let (numerator, denominator) = (numerator.max(0.0) as u64, denominator as u64);
    let (id, days) = (series.id, window.days);
    Some(Signal { id, rule, days, numerator, denominator, value, lower, usual })
}
