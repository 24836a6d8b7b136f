//! Stratified samples: how many items of each stratum, and what they say of all.

/// So many items of each stratum at least: of one alone its spread cannot be told.
pub const STRATUM_SAMPLE_MIN: u64 = 2;

/// A part of the population that is sampled on its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stratum {
    /// N_h: how many items it has.
    pub size: u64,
    /// s_h: the standard deviation that is expected in it; of a proportion p it is √(p(1-p)).
    pub deviation: f64,
}

/// How many of `size` items to take from each stratum, so that the estimate varies least (Neyman 1934):
/// n_h = n N_h s_h / sum(N s), at least [`STRATUM_SAMPLE_MIN`] and at most all of each. Whole numbers by largest
/// remainder, the earlier stratum first where they are equal, so that they add up to `size`. Where no
/// stratum that is not bound has a spread, by size.
///
/// `None` where `size` is less than the least for all strata or more than there is, or a deviation is no number
/// of at least 0.
#[must_use]
pub fn neyman_allocation(strata: &[Stratum], size: u64) -> Option<Vec<u64>> {
    if strata.iter().any(|stratum| !stratum.deviation.is_finite() || stratum.deviation < 0.0) {
        return None;
    }
    let sum = |bound: fn(&Stratum) -> u64| {
        strata.iter().try_fold(0_u64, |sum, stratum| sum.checked_add(bound(stratum)))
    };
    if size < sum(least)? || size > sum(|stratum| stratum.size)? {
        return None;
    }
    Some(rounded(strata, &shares(strata, size), size))
}

fn least(stratum: &Stratum) -> u64 {
    stratum.size.min(STRATUM_SAMPLE_MIN)
}

/// The shares of all strata within their bounds, not rounded. Each round binds those that would leave their
/// bounds on the side that matters more, and divides what is left among the others.
fn shares(strata: &[Stratum], size: u64) -> Vec<f64> {
    let mut bound: Vec<Option<f64>> = vec![None; strata.len()];
    loop {
        let left = size as f64 - bound.iter().flatten().sum::<f64>();
        let free = || strata.iter().zip(&bound).filter(|(_, bound)| bound.is_none());
        let spread: f64 = free().map(|(s, _)| s.size as f64 * s.deviation).sum();
        let items: f64 = free().map(|(s, _)| s.size as f64).sum();
        let share = |stratum: &Stratum| {
            let weight = if spread > 0.0 { stratum.deviation / spread } else { 1.0 / items };
            left * stratum.size as f64 * weight
        };
        let wanted: Vec<_> = strata
            .iter()
            .zip(&bound)
            .map(|(stratum, bound)| bound.unwrap_or_else(|| share(stratum)))
            .collect();
        let within = |(stratum, wanted): (&Stratum, &f64)| {
            wanted.clamp(least(stratum) as f64, stratum.size as f64)
        };
        // Above 0: raising those below their least takes more than there is, so they are bound; else those
        // above all that they have.
        let excess: f64 = strata.iter().zip(&wanted).map(|pair| within(pair) - pair.1).sum();
        let mut is_settled = true;
        for (place, bound) in strata.iter().zip(&wanted).zip(&mut bound) {
            let clamped = within(place);
            let leaves = if excess >= 0.0 { clamped > *place.1 } else { clamped < *place.1 };
            if bound.is_none() && leaves {
                *bound = Some(clamped);
                is_settled = false;
            }
        }
        if is_settled {
            return strata.iter().zip(&wanted).map(within).collect();
        }
    }
}

/// Whole numbers within the bounds that add up to `size`, by largest remainder.
fn rounded(strata: &[Stratum], shares: &[f64], size: u64) -> Vec<u64> {
    let floor = |(stratum, share): (&Stratum, &f64)| {
        (share.floor() as u64).clamp(least(stratum), stratum.size)
    };
    let mut whole: Vec<u64> = strata.iter().zip(shares).map(floor).collect();
    let mut by_remainder: Vec<usize> = (0..strata.len()).collect();
    let remainder = |place: &usize| shares.get(*place).map_or(0.0, |share| share.fract());
    by_remainder.sort_by(|a, b| remainder(b).total_cmp(&remainder(a)));
    let mut left = size.saturating_sub(whole.iter().sum());
    // One round, but for what the fractions of a float may have lost.
    while left > 0 {
        let before = left;
        for place in &by_remainder {
            let Some((taken, stratum)) = whole.get_mut(*place).zip(strata.get(*place)) else {
                continue;
            };
            if left > 0 && *taken < stratum.size {
                *taken += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    whole
}

/// What was found in the sample of a stratum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampledStratum {
    /// N_h: how many items the stratum has.
    pub size: u64,
    /// n_h: how many were looked at.
    pub sampled: u64,
    /// How many of these were in error.
    pub errors: u64,
}

/// What a stratified sample says of the whole population.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StratifiedEstimate {
    /// The proportion in error: sum(N_h/N p_h).
    pub proportion: f64,
    /// Its variance: sum((N_h/N)² p_h(1-p_h)/(n_h-1) (1-n_h/N_h)).
    pub variance: f64,
}

/// The estimate of random samples of each stratum (Cochran 1977, 5.6; DOMAIN 5.5). Results of
/// targeted checks must not be among them. `None` where there are no items, where a stratum that is not wholly looked at
/// has a sample of fewer than [`STRATUM_SAMPLE_MIN`], or where numbers contradict each other.
#[must_use]
pub fn stratified_estimate(strata: &[SampledStratum]) -> Option<StratifiedEstimate> {
    let all = strata.iter().try_fold(0_u64, |sum, stratum| sum.checked_add(stratum.size))?;
    if all == 0 {
        return None;
    }
    let mut estimate = StratifiedEstimate { proportion: 0.0, variance: 0.0 };
    for SampledStratum { size, sampled, errors } in strata.iter().copied() {
        if size == 0 && sampled == 0 && errors == 0 {
            continue;
        }
        let is_whole = sampled == size;
        if errors > sampled || sampled > size || (sampled < STRATUM_SAMPLE_MIN && !is_whole) {
            return None;
        }
        let (weight, n) = (size as f64 / all as f64, sampled as f64);
        let p = errors as f64 / n;
        estimate.proportion += weight * p;
        if !is_whole {
            let unseen = 1.0 - n / size as f64;
            estimate.variance += weight * weight * p * (1.0 - p) / (n - 1.0) * unseen;
        }
    }
    Some(estimate)
}
