//! What is read of a world once it is lodged: figures by day and actor, and whether its counts are the true ones.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use serde::{Deserialize, Serialize};
use waag::command::Failure;
use waag::generate::world::{Truth, WorldOptions};
use waag::ingest::engine::Engine;
use waag::insight::{Findings, FindingsQuery};
use waag::summary::{ActorId, ListQuery, Order, Period, Role, indicators};

/// More than any world has.
const PAGE: usize = 100_000;

/// The figures of an actor on a day.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) day: String,
    pub(super) role: Cow<'static, str>,
    pub(super) actor: String,
    pub(super) accepted: u64,
    /// Numerator, denominator, and the value where it is not their quotient.
    pub(super) figures: BTreeMap<String, (u64, u64, Option<f64>)>,
    /// Of findings that name any.
    pub(super) parts: BTreeMap<String, BTreeMap<String, u64>>,
    pub(super) reasons: BTreeMap<String, u64>,
    values: Vec<u64>,
}

/// Holds the counts of outcomes against the true ones.
pub(super) fn check(engine: &Engine, truth: &Truth) -> Result<(), Failure> {
    for declarant in &truth.declarants {
        let id = ActorId::parse(Role::Declarant, &declarant.eori).ok_or("no EORI")?;
        let (found, _) = engine.board().summary(Role::Declarant, &id, Period::default())?;
        let found = found.map(|summary| summary.counters);
        let found = found.map(|c| [c.accepted, c.rejected, c.replayed, c.conflicts]);
        let counts =
            [declarant.accepted, declarant.rejected, declarant.replayed, declarant.conflicts];
        let expected = counts.map(|count| count.declarations);
        if found.unwrap_or_default() != expected {
            let eori = &declarant.eori;
            return Err(format!("{eori}: {found:?} were counted, but {expected:?} are true").into());
        }
    }
    Ok(())
}

/// Writes them, a line for each.
pub(super) fn write(
    engine: &Engine,
    findings: &Findings,
    options: &WorldOptions,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut day = options.from;
    while day <= options.last() {
        let period = Period { first: Some(day), last: Some(day) };
        for (role, name) in [(Role::Declarant, "declarant"), (Role::IossHolder, "ioss_holder")] {
            let query = ListQuery { role, period, order: Order::Id, after: None, page_size: PAGE };
            let mut lines: BTreeMap<String, Line> = BTreeMap::new();
            for summary in engine.board().list(&query)?.summaries {
                let figures = indicators(&summary.counters).into_iter();
                let figures = figures.map(|i| (i.name, (i.numerator, i.denominator, None)));
                let actor = summary.id.as_str().to_owned();
                let reasons = summary.counters.reasons().iter();
                let reasons = reasons.map(|of| (of.reason.name().to_owned(), of.declarations));
                let line = Line {
                    day: day.to_string(),
                    role: name.into(),
                    actor: actor.clone(),
                    accepted: summary.counters.accepted,
                    figures: figures.collect(),
                    parts: BTreeMap::new(),
                    reasons: reasons.collect(),
                    values: summary.counters.value_histogram.to_vec(),
                };
                lines.insert(actor, line);
            }
            let mut query = FindingsQuery {
                role,
                actor: None,
                period,
                kinds: Vec::new(),
                notable_only: false,
                after: None,
                page_size: PAGE,
            };
            loop {
                let page = findings.list(&query)?;
                for finding in page.findings {
                    let figure = finding.figure;
                    let Some(line) = lines.get_mut(finding.id.as_str()) else { continue };
                    let name = figure.kind.description().name.to_owned();
                    let of = (figure.numerator, figure.denominator, figure.own_value);
                    let parts = figure.parts.into_iter().map(|part| (part.what, part.count));
                    line.parts.insert(name.clone(), parts.collect());
                    line.figures.insert(name, of);
                }
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
            for line in lines.values() {
                serde_json::to_writer(&mut *out, line)?;
                out.write_all(b"\n")?;
            }
        }
        day = day.next();
    }
    Ok(())
}
