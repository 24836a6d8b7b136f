//! The glide path, and the verdict of a review (DOMAIN 5.4).

use super::{Direction, Terms};
use crate::day::Day;
use crate::statistics::wilson_95;

/// What a review says. With `[lo, hi]` the Wilson interval, p1 the target and g the glide path of the day, lower being
/// better; the first that holds:
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// n < n_min.
    InsufficientData,
    /// hi <= p1.
    Met,
    /// The deadline is past, and lo > p1.
    Missed,
    /// lo > g.
    AtRisk,
    /// hi <= g.
    OnTrack,
    /// None of these.
    Inconclusive,
}

/// g(t) = p0 + (p1 - p0) (t - start)/(deadline - start): where the indicator is to be on `day`. The baseline before
/// the start, the target from the deadline on.
#[must_use]
pub fn glide(terms: &Terms, day: Day) -> f64 {
    if day >= terms.deadline {
        return terms.target;
    }
    let level = terms.baseline().value();
    let days = |from: Day, to: Day| f64::from(to.0.saturating_sub(from.0));
    let done = days(terms.start, day) / days(terms.start, terms.deadline);
    level + (terms.target - level) * done
}

/// The verdict of `numerator` in `denominator`, where the indicator is to be at `glide` by now.
#[must_use]
pub fn verdict(
    terms: &Terms,
    (numerator, denominator): (u64, u64),
    glide: f64,
    is_past_deadline: bool,
) -> Verdict {
    if denominator < terms.n_min {
        return Verdict::InsufficientData;
    }
    let Some((low, high)) = wilson_95(numerator, denominator) else {
        return Verdict::InsufficientData;
    };
    // All of the interval is as good as a level, or all of it is worse.
    let (reaches, misses): (&dyn Fn(f64) -> bool, &dyn Fn(f64) -> bool) = match terms.direction {
        Direction::LowerIsBetter => (&|level| high <= level, &|level| low > level),
        Direction::HigherIsBetter => (&|level| low >= level, &|level| high < level),
    };
    if reaches(terms.target) {
        Verdict::Met
    } else if is_past_deadline && misses(terms.target) {
        Verdict::Missed
    } else if misses(glide) {
        Verdict::AtRisk
    } else if reaches(glide) {
        Verdict::OnTrack
    } else {
        Verdict::Inconclusive
    }
}
