//! How many items to look at.

use super::{Confidence, is_open_probability};

/// How many items of a very large population to look at, so that, if none of them is in error, less than a
/// proportion `p` of all are, with this confidence: the smallest n with (1 - p)^n <= 1 - C, which is
/// ln(1 - C) / ln(1 - p) rounded up (DOMAIN 5.5: 0 expected errors). `None` unless 0 < p < 1.
#[must_use]
pub fn attribute_sample_size(confidence: Confidence, p: f64) -> Option<u64> {
    if !is_open_probability(p) {
        return None;
    }
    let miss = (-p).ln_1p();
    let exact = confidence.risk().ln() / miss;
    let size = exact.ceil().max(1.0);
    // Where it comes out whole (C = 75 %, p = 50 %), rounding must not add one.
    let size = if size - exact > 1.0 - 1e-12 * size && size > 1.0 { size - 1.0 } else { size };
    // A p so small that more would be needed is no question for a sample.
    (size < u64::MAX as f64).then_some(size as u64)
}

/// The same of a population of `population`: n / (1 + (n - 1)/N), rounded up (Cochran 1977, 4.4).
/// Nothing of none.
#[must_use]
pub fn with_finite_population(size: u64, population: u64) -> u64 {
    if size == 0 || population == 0 {
        return 0;
    }
    let (n, of) = (u128::from(size), u128::from(population));
    // n N / (N + n - 1), which is N at most.
    u64::try_from((n * of).div_ceil(of + n - 1)).unwrap_or(population)
}
