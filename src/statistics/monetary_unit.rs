//! Monetary unit sampling: every cent has the same chance to be picked.
//!
//! For questions about overstatement. An undervalued parcel has the lowest chance of all, so it is the wrong
//! sample for undervaluation (see [`super`]).

use super::{Confidence, poisson_upper};

/// How such a sample is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonetaryUnitPlan {
    /// J: from one picked cent to the next. An item of this value or more is always picked.
    pub interval: f64,
    /// n: how many cents are picked of the book value.
    pub size: u64,
}

impl MonetaryUnitPlan {
    /// J = TM / R_0 and n = BV / J rounded up, for a book value and the misstatement in it that could be borne,
    /// in the same unit (DOMAIN 5.5). `None` where either is 0, or more could be borne than there is.
    #[must_use]
    pub fn new(book_value: u64, tolerable: u64, confidence: Confidence) -> Option<Self> {
        if tolerable == 0 || tolerable > book_value {
            return None;
        }
        let interval = tolerable as f64 / poisson_upper(0, confidence);
        Some(Self { interval, size: (book_value as f64 / interval).ceil() as u64 })
    }
}

/// An item that was picked, and looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampledItem {
    /// What the books say.
    pub book: u64,
    /// What it was found to be.
    pub found: u64,
}

/// The upper bound of what all items are overstated by, in the unit of `interval`: J (R_0 + sum over the sampled
/// items of (R_i - R_(i-1)) t_i), with their taintings t = (book - found) / book from the largest to the smallest,
/// and the overstatement of items of J or more in full, for these were all looked at (DOMAIN 5.5). What is
/// understated counts as right. `None` unless the interval is above 0.
#[must_use]
pub fn upper_misstatement(
    interval: f64,
    items: &[SampledItem],
    confidence: Confidence,
) -> Option<f64> {
    if !interval.is_finite() || interval <= 0.0 {
        return None;
    }
    let (large, sampled): (Vec<_>, Vec<_>) =
        items.iter().partition(|item| item.book as f64 >= interval);
    let over = |item: &SampledItem| item.book.saturating_sub(item.found) as f64;
    let in_full: f64 = large.into_iter().map(over).sum();
    let mut taintings: Vec<f64> =
        sampled.into_iter().map(|item| over(item) / item.book.max(1) as f64).collect();
    taintings.retain(|tainting| *tainting > 0.0);
    taintings.sort_by(|a, b| b.total_cmp(a));
    let mut before = poisson_upper(0, confidence);
    let mut factor = before;
    for (tainting, errors) in taintings.iter().zip(1..) {
        let with = poisson_upper(errors, confidence);
        factor += (with - before) * tainting;
        before = with;
    }
    Some(interval * factor + in_full)
}
