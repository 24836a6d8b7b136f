//! Summaries as messages of the contract.

use super::reads::assert_reading;
use crate::proto::v1;
use crate::summary::{Counters, Role, Summary, indicators};

/// Takes some µs, and there are up to 1,000 in an answer: for the thread of a read.
pub(super) fn to_message(summary: &Summary, role: Role, asked: &v1::Period) -> v1::ActorSummary {
    assert_reading();
    let c = &summary.counters;
    v1::ActorSummary {
        actor: Some(v1::Actor { role: role as i32, id: summary.id.as_str().to_owned() }),
        period: Some(asked.clone()),
        watermark: summary.watermark.0,
        accepted: c.accepted,
        rejected: c.rejected,
        replayed: c.replayed,
        conflicts: c.conflicts,
        accepted_lines: c.accepted_lines,
        intrinsic_value_eur_cents: c.intrinsic_value,
        gross_mass_mg: c.gross_mass_mg,
        duty_eur_cents: c.duty,
        reasons: reasons(c),
        indicators: indicators(c).into_iter().map(indicator).collect(),
        value_histogram: c.value_histogram.to_vec(),
    }
}

/// The reason found in most declarations first; then by findings, then by name.
fn reasons(counters: &Counters) -> Vec<v1::ReasonCount> {
    let mut reasons = counters.reasons().to_vec();
    reasons.sort_by(|a, b| {
        let frequency = |count: &crate::summary::ReasonCount| (count.declarations, count.findings);
        frequency(b).cmp(&frequency(a)).then_with(|| a.reason.name().cmp(b.reason.name()))
    });
    let message = |count: crate::summary::ReasonCount| v1::ReasonCount {
        reason: count.reason.name().to_owned(),
        declarations: count.declarations,
        findings: count.findings,
    };
    reasons.into_iter().map(message).collect()
}

pub(super) fn indicator(indicator: crate::summary::Indicator) -> v1::Indicator {
    let (lower, upper) = indicator.interval.unzip();
    v1::Indicator {
        name: indicator.name,
        numerator: indicator.numerator,
        denominator: indicator.denominator,
        value: indicator.value,
        lower,
        upper,
    }
}
