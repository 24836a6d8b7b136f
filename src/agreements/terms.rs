//! What is agreed, and within which bounds.

use serde::{Deserialize, Serialize};

use super::Wrong;
use crate::day::Day;
use crate::id::Watermark;
use crate::summary::{ActorId, OTHER, Role, is_proportion};

/// Bytes of a note at most: a page of text.
pub const NOTE_BYTES_MAX: usize = 2_000;
/// Days from start to deadline at most, five years: a review reads every one of them.
pub(super) const TERM_DAYS_MAX: u16 = 1_830;
/// Days of a window, and between reviews, at most: a year.
const STEP_DAYS_MAX: u16 = 366;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// As of a rejection rate.
    LowerIsBetter,
    /// Of a share that is to grow.
    HigherIsBetter,
}

impl Direction {
    /// Whether `a` is better than `b`.
    #[must_use]
    pub fn is_better(self, a: f64, b: f64) -> bool {
        match self {
            Self::LowerIsBetter => a < b,
            Self::HigherIsBetter => a > b,
        }
    }
}

/// Where a baseline comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The summaries at this watermark.
    Computed(Watermark),
    /// Those who made the agreement.
    Stated,
}

/// p0: where it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// Hits.
    pub numerator: u64,
    /// n, above 0.
    pub denominator: u64,
    /// The first day that was counted.
    pub first: Day,
    /// The last one.
    pub last: Day,
    /// Where the figures come from.
    pub source: Source,
}

impl Baseline {
    /// p0.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

/// What is to be agreed, but for the baseline. Not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// In which role the actor takes part.
    pub role: Role,
    /// With whom.
    pub actor: ActorId,
    /// Name of the indicator, which is a proportion.
    pub indicator: String,
    /// Which way is better.
    pub direction: Direction,
    /// p1.
    pub target: f64,
    /// The first day.
    pub start: Day,
    /// The day by which the target is to be met.
    pub deadline: Day,
    /// From one review to the next.
    pub review_interval_days: u16,
    /// W: how many days a review counts.
    pub window_days: u16,
    /// A review with fewer observations has no verdict.
    pub n_min: u64,
    /// Free text.
    pub note: String,
}

/// What is agreed. Within its bounds by type: made by [`Draft::agreed`] alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    draft: Draft,
    baseline: Baseline,
}

impl std::ops::Deref for Terms {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.draft
    }
}

fn wrong<T>(field: &'static str, why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { field, why: why.into() })
}

impl Draft {
    /// The days over which the baseline is computed where nothing else is said: a window up to the start.
    #[must_use]
    pub fn days_before(&self) -> (Day, Day) {
        let Day(start) = self.start;
        (Day(start.saturating_sub(self.window_days)), Day(start.saturating_sub(1)))
    }

    /// Within the bounds, as far as no baseline is needed for that.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), Wrong> {
        if self.actor.as_str() == OTHER {
            return wrong("actor.id", format!("is {OTHER}, which is nobody to agree with"));
        }
        if !is_proportion(&self.indicator) {
            let name: String = self.indicator.chars().take(64).collect();
            return wrong(
                "indicator",
                format!(
                    "is \"{name}\"; it must be an indicator that is a proportion, as rejection_rate or \
                     restricted_goods_rate:61"
                ),
            );
        }
        if !(0.0..=1.0).contains(&self.target) {
            return wrong("target", format!("is {}; it must be 0 to 1", self.target));
        }
        let steps = [
            ("review_interval_days", self.review_interval_days),
            ("window_days", self.window_days),
        ];
        for (field, days) in steps {
            if !(1..=STEP_DAYS_MAX).contains(&days) {
                return wrong(field, format!("is {days}; it must be 1 to {STEP_DAYS_MAX}"));
            }
        }
        if self.n_min == 0 {
            return wrong("n_min", "is 0; it must be 1 at least");
        }
        let (start, deadline) = (self.start, self.deadline);
        let last = Day(start.0.saturating_add(TERM_DAYS_MAX));
        if deadline <= start || deadline > last {
            let bound = format!("it must be after start_day, {start}, and not after {last}");
            return wrong("deadline_day", format!("is {deadline}; {bound}"));
        }
        if self.note.len() > NOTE_BYTES_MAX {
            let bytes = self.note.len();
            return wrong("note", format!("has {bytes} bytes; the bound is {NOTE_BYTES_MAX}"));
        }
        Ok(())
    }

    /// The terms, with this baseline.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    pub fn agreed(self, baseline: Baseline) -> Result<Terms, Wrong> {
        self.check()?;
        let Baseline { numerator: k, denominator: n, first, last, .. } = baseline;
        if first > last {
            return wrong("baseline.period.last_day", format!("is {last}, before {first}"));
        }
        if k > n {
            return wrong(
                "baseline.numerator",
                format!("is {k}; the bound is the denominator, {n}"),
            );
        }
        if n < self.n_min {
            return wrong(
                "baseline.denominator",
                format!(
                    "is {n}, from {first} to {last}; it must be n_min, {}, at least: take other \
                     days, or state a baseline",
                    self.n_min
                ),
            );
        }
        let level = baseline.value();
        if !self.direction.is_better(self.target, level) {
            let which = match self.direction {
                Direction::LowerIsBetter => "below",
                Direction::HigherIsBetter => "above",
            };
            let (target, of) = (self.target, format!("{k} of {n}, from {first} to {last}"));
            return wrong(
                "target",
                format!("is {target}; it must be {which} the baseline, {level} ({of})"),
            );
        }
        Ok(Terms { draft: self, baseline })
    }
}

impl Terms {
    /// Where it starts.
    #[must_use]
    pub fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// Whether both are about the same: the same actor and indicator.
    #[must_use]
    pub fn is_same_matter(&self, other: &Self) -> bool {
        self.role == other.role && self.actor == other.actor && self.indicator == other.indicator
    }

    /// Whether both run on some day.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.deadline && other.start <= self.deadline
    }
}
