//! The statistics behind indicators, agreements and samples: pure functions, each with its formula and
//! where that is from.
//!
//! | what | formula | source |
//! |---|---|---|
//! | [`wilson_95`], [`wilson`] | score interval of a proportion | Wilson 1927; DOMAIN 5 |
//! | [`clopper_pearson`], [`clopper_pearson_upper`] | exact interval, exact upper bound of a proportion | Clopper and Pearson 1934; DOMAIN 5.5 |
//! | [`poisson_upper`] | `R_k`: the mean at which at most k events come with chance 1 - C | Garwood 1936; DOMAIN 5.5 |
//! | [`attribute_sample_size`], [`with_finite_population`] | n = ln(1 - C) / ln(1 - p); n / (1 + (n - 1)/N) | DOMAIN 5.5; Cochran 1977, 4.4 |
//! | [`MonetaryUnitPlan`], [`upper_misstatement`] | J = TM / R_0; J (R_0 + sum (R_i - R_(i-1)) t_i) | DOMAIN 5.5; AICPA audit sampling guide |
//! | [`neyman_allocation`], [`stratified_estimate`] | n_h = n N_h s_h / sum(N s); sum(W_h p_h) and its variance | Neyman 1934; Cochran 1977, 5.5 and 5.6 |
//! | [`median`], [`median_without`] | the middle, of all and of the others | |
//! | [`Cusum`] | C_t = max(0, C_(t-1) + x_t - p0 - k), alarm above 5 sigma | Page 1954; DOMAIN 5.4 |
//!
//! What has no answer (no observations, more hits than observations, a probability outside its range) is `None`,
//! and never a number that looks like one.
//!
//! Tail probabilities are sums of probabilities, which are computed as Loader has shown (see `tail`); a quantile
//! is found by halving. So there is no table and no approximation by another distribution, and no library is
//! needed: `tests/statistics/run` holds everything here against scipy and statsmodels.
//!
//! **Which sample for what**: monetary unit sampling picks by declared value, so an undervalued parcel has the
//! *lowest* chance to be picked. It answers questions about overstatement (relief wrongly claimed). For
//! undervaluation take strata, or the value that is to be expected as size (DOMAIN 5.5).

mod cusum;
mod interval;
mod median;
mod monetary_unit;
mod sample_size;
mod strata;
mod tail;
#[cfg(test)]
mod tests;

pub use cusum::{ALARM_SIGMAS, Cusum, CusumPoint};
pub use interval::{
    EXACT_MAX, clopper_pearson, clopper_pearson_upper, poisson_upper, wilson, wilson_95,
};
pub use median::{median, median_without};
pub use monetary_unit::{MonetaryUnitPlan, SampledItem, upper_misstatement};
pub use sample_size::{attribute_sample_size, with_finite_population};
pub use strata::{
    STRATUM_SAMPLE_MIN, SampledStratum, StratifiedEstimate, Stratum, neyman_allocation,
    stratified_estimate,
};

/// How sure: a probability above 0 and below 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Confidence(f64);

impl Confidence {
    /// 90 %.
    pub const C90: Self = Self(0.90);
    /// 95 %.
    pub const C95: Self = Self(0.95);
    /// 99 %.
    pub const C99: Self = Self(0.99);

    /// `None` unless it is above 0 and below 1.
    #[must_use]
    pub fn new(probability: f64) -> Option<Self> {
        is_open_probability(probability).then_some(Self(probability))
    }

    /// The probability.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// What is left: the chance to be wrong.
    #[must_use]
    pub fn risk(self) -> f64 {
        1.0 - self.0
    }
}

/// Above 0 and below 1.
fn is_open_probability(p: f64) -> bool {
    p > 0.0 && p < 1.0
}
