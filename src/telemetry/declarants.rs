//! How each declarant declares, as the summaries have it at their watermark.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::summary::{Counters, Totals};

/// Declarations of an outcome.
type Figure = (&'static str, fn(&Counters) -> u64);

/// Declarations by outcome.
const DECLARATIONS: [Figure; 4] = [
    ("accepted", |counters| counters.accepted),
    ("rejected", |counters| counters.rejected),
    ("replayed", |counters| counters.replayed),
    ("conflict", |counters| counters.conflicts),
];

/// Goods items by outcome; those of replays are not counted anywhere.
const LINES: [Figure; 3] = [
    ("accepted", |counters| counters.accepted_lines),
    ("rejected", |counters| counters.rejected_lines),
    ("conflict", |counters| counters.conflict_lines),
];

/// Writes all of it.
pub(super) fn encode(out: &mut DescriptorEncoder<'_>, totals: &Totals) -> fmt::Result {
    let help = "Records folded into the summaries and into all that is told of declarants";
    let mut gauge = out.encode_descriptor("waag_watermark", help, None, MetricType::Gauge)?;
    gauge.encode_gauge(&totals.watermark.0)?;
    let help = "Declarants known; past metrics_actors_max they stand together as (other)";
    let mut gauge = out.encode_descriptor("waag_declarants", help, None, MetricType::Gauge)?;
    gauge.encode_gauge(&u64::from(totals.known))?;
    let help = "Declarations by declarant and outcome";
    by_outcome(out, ("waag_declarations", help), &DECLARATIONS, totals)?;
    let help = "Goods items by declarant and outcome; those of replays are not counted";
    by_outcome(out, ("waag_lines", help), &LINES, totals)?;
    reasons(out, totals)
}

fn by_outcome(
    out: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    figures: &[Figure],
    totals: &Totals,
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (id, counters) in &totals.actors {
        for (outcome, figure) in figures {
            let labels = [("declarant", id.as_str()), ("outcome", outcome)];
            let mut metric = family.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&figure(counters), None)?;
        }
    }
    Ok(())
}

fn reasons(out: &mut DescriptorEncoder<'_>, totals: &Totals) -> fmt::Result {
    let help =
        "Declarations in which a reason was found, by declarant and reason; replays not again";
    let name = "waag_reason_declarations";
    let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (id, counters) in &totals.actors {
        for count in counters.reasons() {
            let labels = [("declarant", id.as_str()), ("reason", count.reason.name())];
            let mut metric = family.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&count.declarations, None)?;
        }
    }
    Ok(())
}
