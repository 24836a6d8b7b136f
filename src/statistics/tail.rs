//! Tails of the binomial and the Poisson distribution, and where they have a given size.
//!
//! A single probability is computed by the saddle-point expansion of Loader (Fast and accurate computation of
//! binomial probabilities, 2000), as R does: no gamma function of a large number is subtracted from another, so
//! that digits do not get lost as n grows (nine are tested, to n = 10^9). A tail is summed from its largest term outwards, on the side where
//! terms fall; the other side is 1 less that. It takes some nine standard deviations of terms: 0.5 M
//! at n = 10^10.

use std::f64::consts::TAU;

/// A term that adds nothing any more to a sum of at least 1.
const NEGLIGIBLE: f64 = 1e-17;

/// Halvings between two f64: 64 for the binary places and as many more as a bound is small; past the
/// last nothing changes.
const HALVINGS_MAX: u32 = 1_100;

/// P(X <= k) of n trials with chance p each.
pub(super) fn binomial_at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 {
        1.0
    } else if p >= 1.0 {
        0.0
    } else if (k as f64) < n as f64 * p {
        lower_tail(k, n, p)
    } else {
        1.0 - upper_tail(k + 1, n, p)
    }
}

/// P(X >= k) of n trials with chance p each.
pub(super) fn binomial_at_least(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 || p >= 1.0 {
        1.0
    } else if k > n || p <= 0.0 {
        0.0
    } else if (k as f64) > n as f64 * p {
        upper_tail(k, n, p)
    } else {
        1.0 - lower_tail(k - 1, n, p)
    }
}

/// P(X <= k), for k below the mean.
fn lower_tail(k: u64, n: u64, p: f64) -> f64 {
    let odds = (1.0 - p) / p;
    sum_of(binomial(k, n, p), (1..=k).rev().map(|j| j as f64 / (n - j + 1) as f64 * odds))
}

/// P(X >= k), for k above the mean.
fn upper_tail(k: u64, n: u64, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    sum_of(binomial(k, n, p), (k + 1..=n).map(|j| (n - j + 1) as f64 / j as f64 * odds))
}

/// P(X <= k) of events with this mean.
pub(super) fn poisson_at_most(k: u32, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    let k = u64::from(k);
    if (k as f64) < mean {
        sum_of(poisson(k, mean), (1..=k).rev().map(|j| j as f64 / mean))
    } else {
        1.0 - sum_of(poisson(k + 1, mean), (k + 2..).map(|j| mean / j as f64))
    }
}

/// Where `is_past` turns from false to true between `low` and `high`, to the last bit.
pub(super) fn turning_point(mut low: f64, mut high: f64, is_past: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS_MAX {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if is_past(middle) { high = middle } else { low = middle }
    }
    low + (high - low) / 2.0
}

/// `first`, and each further term the one before it times the next of `ratios`, which are below 1 and fall.
fn sum_of(first: f64, ratios: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for ratio in ratios {
        term *= ratio;
        sum += term;
        if term < NEGLIGIBLE {
            break;
        }
    }
    first * sum
}

/// P(X = k) of n trials with chance 0 < p < 1.
fn binomial(k: u64, n: u64, p: f64) -> f64 {
    let (x, n, q) = (k as f64, n as f64, 1.0 - p);
    let y = n - x;
    if x == 0.0 {
        return (n * (-p).ln_1p()).exp();
    }
    if y == 0.0 {
        return (n * p.ln()).exp();
    }
    let exponent = stirling_error(n)
        - stirling_error(x)
        - stirling_error(y)
        - deviance(x, n * p)
        - deviance(y, n * q);
    exponent.exp() * (n / (TAU * x * y)).sqrt()
}

/// P(X = k) of events with this mean, above 0.
fn poisson(k: u64, mean: f64) -> f64 {
    let x = k as f64;
    if x == 0.0 {
        return (-mean).exp();
    }
    (-stirling_error(x) - deviance(x, mean)).exp() / (TAU * x).sqrt()
}

/// ln n! less Stirling's formula for it, for a whole n above 0.
fn stirling_error(n: f64) -> f64 {
    if n <= 15.0 {
        let mut factorial = 1.0;
        let mut factor = 2.0;
        while factor <= n {
            factorial *= factor;
            factor += 1.0;
        }
        return f64::ln(factorial) - (n + 0.5) * n.ln() + n - TAU.sqrt().ln();
    }
    // The next term is below 1e-16.
    let square = n * n;
    let series = 1.0 / 1_680.0 - 1.0 / 1_188.0 / square;
    let series = 1.0 / 1_260.0 - series / square;
    let series = 1.0 / 360.0 - series / square;
    (1.0 / 12.0 - series / square) / n
}

/// x ln(x / m) + m - x, also where x is close to m.
fn deviance(x: f64, m: f64) -> f64 {
    if (x - m).abs() >= 0.1 * (x + m) {
        return x * (x / m).ln() + m - x;
    }
    let v = (x - m) / (x + m);
    let mut sum = (x - m) * v;
    let mut term = 2.0 * x * v;
    let mut divisor = 1.0;
    loop {
        term *= v * v;
        divisor += 2.0;
        let next = sum + term / divisor;
        if next == sum {
            return sum;
        }
        sum = next;
    }
}
