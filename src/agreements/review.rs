//! How far an agreement has come: its reviews up to a day, and the CUSUM of its days.
//!
//! A review of a day that is over is final, as the figures of that day are; that of today counts what there is so
//! far. The deadline is past once its day is over.

use std::collections::BTreeMap;

use super::schedule::{last_review, reviews, window};
use super::{Direction, Terms, Verdict, glide, verdict};
use crate::day::Day;
use crate::statistics::{Cusum, CusumPoint, wilson_95};

/// The inputs of a proportion on one day: numerator and denominator.
pub type DayFigure = (u64, u64);

/// A proportion with its inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// What is counted.
    pub numerator: u64,
    /// Out of what.
    pub denominator: u64,
    /// 95 % Wilson interval; none of nothing.
    pub interval: Option<(f64, f64)>,
}

/// One review.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Review {
    /// Its day.
    pub day: Day,
    /// The days it counts.
    pub window: (Day, Day),
    /// What they add up to.
    pub figure: Figure,
    /// g of its day.
    pub glide: f64,
    /// What it says.
    pub verdict: Verdict,
    /// The day is not over.
    pub is_provisional: bool,
}

/// A day with observations, from the start on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayPoint {
    /// Which.
    pub day: Day,
    /// What is counted.
    pub numerator: u64,
    /// Out of what; above 0.
    pub denominator: u64,
    /// The CUSUM after it; none of a day with so few observations that it is passed over.
    pub cusum: Option<CusumPoint>,
}

/// How far an agreement has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Reviews up to the day, in order.
    pub reviews: Vec<Review>,
    /// The next review; none after the last.
    pub next_review: Option<Day>,
    /// Days with observations, in order.
    pub days: Vec<DayPoint>,
    /// k of the CUSUM: half the way from baseline to target.
    pub allowance: f64,
    /// Observations that a day needs to be in the CUSUM: its share of n_min, n_min / W rounded up.
    pub day_n_min: u64,
}

/// The first and last day of which [`review`] needs the figures, `until` a day.
#[must_use]
pub fn days_needed(terms: &Terms, until: Day) -> (Day, Day) {
    let first = reviews(terms).first().map_or(terms.start, |review| window(terms, *review).0);
    (first.min(terms.start), last_review(terms).min(until))
}

/// How far it has come by `until`, of which day `today` is the day or a later one. `days` has the figures of each day
/// that has any.
#[must_use]
pub fn review(terms: &Terms, days: &BTreeMap<Day, DayFigure>, until: Day, today: Day) -> Progress {
    let (past, ahead): (Vec<_>, Vec<_>) =
        reviews(terms).into_iter().partition(|review| *review <= until);
    let day_n_min = terms.n_min.div_ceil(u64::from(terms.window_days.max(1)));
    let mut cusum = Cusum::new(terms.baseline().value(), shift(terms));
    let allowance = cusum.allowance();
    let is_in_series = |day: &Day| *day <= last_review(terms).min(until);
    let series = days.range(terms.start..).take_while(|(day, _)| is_in_series(day));
    let points = series.filter(|(_, (_, denominator))| *denominator > 0).map(
        |(day, (numerator, denominator))| {
            let counts = *denominator >= day_n_min;
            let cusum = if counts { cusum.add(*numerator, *denominator) } else { None };
            let (numerator, denominator) = (*numerator, *denominator);
            DayPoint { day: *day, numerator, denominator, cusum }
        },
    );
    Progress {
        reviews: past.into_iter().map(|day| of_day(terms, days, day, today)).collect(),
        next_review: ahead.first().copied(),
        days: points.collect(),
        allowance,
        day_n_min,
    }
}

/// The shift that the CUSUM is to detect: away from the target, by as much as was agreed.
fn shift(terms: &Terms) -> f64 {
    let agreed = (terms.baseline().value() - terms.target).abs();
    match terms.direction {
        Direction::LowerIsBetter => agreed,
        Direction::HigherIsBetter => -agreed,
    }
}

fn of_day(terms: &Terms, days: &BTreeMap<Day, DayFigure>, day: Day, today: Day) -> Review {
    let (first, last) = window(terms, day);
    let (mut numerator, mut denominator) = (0_u64, 0_u64);
    for (_, (hits, of)) in days.range(first..=last) {
        numerator = numerator.saturating_add(*hits);
        denominator = denominator.saturating_add(*of);
    }
    let glide = glide(terms, day);
    let is_past = day >= terms.deadline && today > terms.deadline;
    Review {
        day,
        window: (first, last),
        figure: Figure { numerator, denominator, interval: wilson_95(numerator, denominator) },
        glide,
        verdict: verdict(terms, (numerator, denominator), glide, is_past),
        is_provisional: day >= today,
    }
}
