//! What the outcomes of controls say of all goods items of a plan.
//!
//! Only goods items that were selected are extrapolated; what else was controlled is added up apart. Where some that
//! were selected have no outcome yet, those that have stand for them: that is right as long as it does not depend on
//! what is in them, and is stated with their number.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Method, Outcome};
use super::{ItemId, Plan, Selection};
use crate::statistics::{
    Confidence, SampledItem, SampledStratum, clopper_pearson, clopper_pearson_upper,
    stratified_estimate, upper_misstatement,
};

/// How sure the bounds are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// 90 %.
    P90,
    /// 95 %.
    P95,
    /// 99 %.
    P99,
}

impl Level {
    /// The probability.
    #[must_use]
    pub fn confidence(self) -> Confidence {
        match self {
            Self::P90 => Confidence::C90,
            Self::P95 => Confidence::C95,
            Self::P99 => Confidence::C99,
        }
    }

    /// Standard deviations to both sides.
    fn z(self) -> f64 {
        match self {
            Self::P90 => 1.645,
            Self::P95 => 1.96,
            Self::P99 => 2.576,
        }
    }
}

/// What is known of a stratum.
#[derive(Debug, Clone, PartialEq)]
pub struct StratumEstimate {
    /// What it is called.
    pub name: String,
    /// N_h.
    pub items: u64,
    /// Of these, selected.
    pub selected: u64,
    /// Of these, controlled.
    pub checked: u64,
    /// Of these, in error.
    pub errors: u64,
    /// Exact two-sided interval of the share in error (Clopper and Pearson); none of nothing, nor of a sample by value.
    pub interval: Option<(f64, f64)>,
    /// Exact one-sided upper bound of it.
    pub upper: Option<f64>,
}

/// What a sample by expected value says in money.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonetaryEstimate {
    /// By how much all goods items are undervalued, in euro cents.
    pub misstatement: f64,
    /// The upper bound of that.
    pub upper: f64,
}

/// What was controlled without having been selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Targeted {
    /// Goods items.
    pub checked: u64,
    /// Of these, in error.
    pub errors: u64,
    /// Duty and VAT due on top, in euro cents.
    pub corrected: u64,
}

/// What the outcomes say.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// In the order of the plan.
    pub strata: Vec<StratumEstimate>,
    /// The share in error of all, with its interval; none where a stratum has too few outcomes, and of a sample by
    /// value.
    pub share: Option<(f64, (f64, f64))>,
    /// In money; of a sample by expected value only.
    pub monetary: Option<MonetaryEstimate>,
    /// Duty and VAT due on top, of what was selected, in euro cents. Not extrapolated.
    pub corrected: u64,
    /// What was not selected. Never extrapolated.
    pub targeted: Targeted,
}

/// What `outcomes` say of what `plan` has `selection` of.
#[must_use]
pub fn estimate(
    plan: &Plan,
    selection: &Selection,
    outcomes: &BTreeMap<ItemId, Outcome>,
    level: Level,
) -> Estimate {
    let mut is_selected = BTreeSet::new();
    let mut corrected = 0_u64;
    let mut strata = Vec::new();
    let mut sampled = Vec::new();
    let is_fixed = matches!(plan.terms.method, Method::Fixed { .. });
    for stratum in &selection.strata {
        let (mut checked, mut errors) = (0, 0);
        for selected in &stratum.selected {
            is_selected.insert(selected.item);
            let Some(outcome) = outcomes.get(&selected.item) else { continue };
            checked += 1;
            errors += u64::from(outcome.is_error);
            corrected = corrected.saturating_add(outcome.corrected);
            let true_value = outcome.true_value.unwrap_or(selected.declared);
            let under = true_value.saturating_sub(selected.declared);
            let (book, found) = (selected.expected, selected.expected.saturating_sub(under));
            sampled.push(SampledItem { book, found });
        }
        let confidence = level.confidence();
        let share = |share: Option<f64>| share.filter(|_| is_fixed);
        strata.push(StratumEstimate {
            name: stratum.name.clone(),
            items: stratum.items,
            selected: stratum.selected.len() as u64,
            checked,
            errors,
            interval: clopper_pearson(errors, checked, confidence).filter(|_| is_fixed),
            upper: share(clopper_pearson_upper(errors, checked, confidence)),
        });
    }
    let monetary = match plan.terms.method {
        Method::ExpectedValue { interval, .. } => monetary(interval, &sampled, level),
        Method::Fixed { .. } => None,
    };
    let mut targeted = Targeted::default();
    for outcome in outcomes.values().filter(|outcome| !is_selected.contains(&outcome.item)) {
        targeted.checked += 1;
        targeted.errors += u64::from(outcome.is_error);
        targeted.corrected = targeted.corrected.saturating_add(outcome.corrected);
    }
    let share = if is_fixed { share(&strata, level) } else { None };
    Estimate { strata, share, monetary, corrected, targeted }
}

/// Of one stratum the exact interval; of several that of the stratified estimate, by the normal distribution.
fn share(strata: &[StratumEstimate], level: Level) -> Option<(f64, (f64, f64))> {
    if let [only] = strata {
        let interval = only.interval?;
        return Some((only.errors as f64 / only.checked as f64, interval));
    }
    let sampled = |s: &StratumEstimate| SampledStratum {
        size: s.items,
        sampled: s.checked,
        errors: s.errors,
    };
    let sampled: Vec<_> = strata.iter().map(sampled).collect();
    let found = stratified_estimate(&sampled)?;
    let half = level.z() * found.variance.sqrt();
    let (low, high) = ((found.proportion - half).max(0.0), (found.proportion + half).min(1.0));
    Some((found.proportion, (low, high)))
}

fn monetary(interval: u64, sampled: &[SampledItem], level: Level) -> Option<MonetaryEstimate> {
    if sampled.is_empty() {
        return None;
    }
    let interval_cents = interval as f64;
    let upper = upper_misstatement(interval_cents, sampled, level.confidence())?;
    let one = |item: &SampledItem| {
        let under = item.book.saturating_sub(item.found) as f64;
        if item.book >= interval { under } else { interval_cents * under / item.book.max(1) as f64 }
    };
    Some(MonetaryEstimate { misstatement: sampled.iter().map(one).sum(), upper })
}
