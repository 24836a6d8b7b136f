//! Intervals and bounds of proportions, and of counts.

use super::Confidence;
use super::tail::{binomial_at_least, binomial_at_most, poisson_at_most, turning_point};

/// Of the 95 % intervals of indicators (DOMAIN 5).
const Z_95: f64 = 1.96;

/// The largest n of an exact interval: its time grows with √n, to some 0.1 s here.
pub const EXACT_MAX: u64 = 10_000_000_000;

/// The 95 % Wilson score interval of a proportion of `k` in `n` (Wilson 1927; DOMAIN section 5),
/// with z = 1.96. `None` for `n` = 0, which says nothing, and for `k` > `n`, which is none.
#[must_use]
pub fn wilson_95(k: u64, n: u64) -> Option<(f64, f64)> {
    wilson(k, n, Z_95)
}

/// The Wilson score interval at `z` standard deviations, above 0: centre (p + z²/2n) / (1 + z²/n), half-width
/// z √(p(1-p)/n + z²/4n²) / (1 + z²/n) with p = k/n. `None` as [`wilson_95`].
#[must_use]
pub fn wilson(k: u64, n: u64, z: f64) -> Option<(f64, f64)> {
    if n == 0 || k > n {
        return None;
    }
    let (all, p) = (n as f64, k as f64 / n as f64);
    let scale = 1.0 + z * z / all;
    let centre = (p + z * z / (2.0 * all)) / scale;
    let half_width = z * (p * (1.0 - p) / all + z * z / (4.0 * all * all)).sqrt() / scale;
    // At the ends the two are equal but for rounding, which must not make something of nothing.
    let lower = if k == 0 { 0.0 } else { (centre - half_width).max(0.0) };
    let upper = if k == n { 1.0 } else { (centre + half_width).min(1.0) };
    Some((lower, upper))
}

/// The exact two-sided interval of a proportion of `k` in `n` (Clopper and Pearson 1934): the lower end is where
/// `k` or more come with half the risk, the upper where `k` or fewer do. `None` as [`wilson_95`], and past
/// [`EXACT_MAX`].
#[must_use]
pub fn clopper_pearson(k: u64, n: u64, confidence: Confidence) -> Option<(f64, f64)> {
    let risk = confidence.risk() / 2.0;
    let upper = upper(k, n, risk)?;
    let is_past = |p| binomial_at_least(k, n, p) > risk;
    let lower = if k == 0 { 0.0 } else { turning_point(0.0, 1.0, is_past) };
    Some((lower, upper))
}

/// The exact one-sided upper bound of a proportion of `k` in `n`: where `k` or fewer come with the whole risk.
/// For `k` = 0 it is 1 - (1 - C)^(1/n). `None` as [`clopper_pearson`].
#[must_use]
pub fn clopper_pearson_upper(k: u64, n: u64, confidence: Confidence) -> Option<f64> {
    upper(k, n, confidence.risk())
}

fn upper(k: u64, n: u64, risk: f64) -> Option<f64> {
    if n == 0 || k > n || n > EXACT_MAX {
        return None;
    }
    if k == n {
        return Some(1.0);
    }
    Some(turning_point(0.0, 1.0, |p| binomial_at_most(k, n, p) < risk))
}

/// `R_k`: the upper bound of the mean of a Poisson count of which `k` were seen (Garwood 1936): the mean at
/// which `k` or fewer come with chance 1 - C. `R_k` / n bounds a small proportion of `k` in `n` (DOMAIN 5.5).
#[must_use]
pub fn poisson_upper(k: u32, confidence: Confidence) -> f64 {
    let is_past = |mean: f64| poisson_at_most(k, mean) < confidence.risk();
    let mut high = f64::from(k) + 1.0;
    while !is_past(high) {
        high *= 2.0;
    }
    turning_point(0.0, high, is_past)
}
