//! Findings: what is found after acceptance, with declarations to look at. A part of the `Compliance` service.
//!
//! They rest on what is sealed, and so come later than summaries: with a watermark of their own, for which
//! nobody waits. A declarant reads its own; IOSS holders, and all of a role, take an analyst.

use tonic::{Request, Response, Status};

use super::compliance::{
    ComplianceService, actor_id, invalid, name_of, page_size, period, role, shortened,
};
use super::ledger::holding;
use super::reads::{assert_reading, come_back};
use crate::insight::{
    Finding, Findings, FindingsPage, FindingsQuery, InsightError, Kind, read_findings_token,
    write_findings_token,
};
use crate::proto::v1;

/// What the audit log calls it.
const READ: &str = "read findings";
const OFF: &str = "findings are switched off on this server (findings in its settings)";
/// How many indicators one list names at most.
const NAMES_MAX: usize = 32;

impl ComplianceService {
    /// Answers `ListFindings`.
    pub(super) async fn list_found(
        &self,
        request: Request<v1::ListFindingsRequest>,
    ) -> Result<Response<v1::ListFindingsResponse>, Status> {
        let (_, mut extensions, request) = request.into_parts();
        let query = query(request)?;
        let caller = self.guard.caller(&extensions)?;
        let (allowed, whose) = match &query.actor {
            Some(id) => (caller.who().may_read_summary(query.role, id.as_str()), id.as_str()),
            None => (caller.who().may_read_all_summaries(), "every one"),
        };
        let target = format!("{} {whose}", name_of(query.role));
        self.guard.reads(&caller, READ, target, allowed).await?;
        let findings = self.findings.clone().ok_or_else(|| Status::failed_precondition(OFF))?;
        let place = self.reader.place()?;
        let read = self.reader.read_from(place, extensions.remove(), move |_| {
            let page = findings.list(&query);
            Ok(page.map(|page| message(&page, &query, &findings)))
        });
        let (page, held) = read.await?;
        Ok(holding(page.map_err(|error| refused(&error))?, held))
    }
}

fn query(request: v1::ListFindingsRequest) -> Result<FindingsQuery, Status> {
    let actor = request.actor.unwrap_or_default();
    let role = role("actor.role", actor.role)?;
    let id = match actor.id.as_str() {
        "" => None,
        id => Some(actor_id("actor.id", role, id)?),
    };
    if request.indicators.len() > NAMES_MAX {
        let text =
            format!("names {} indicators; the bound is {NAMES_MAX}", request.indicators.len());
        return Err(invalid("indicators", text));
    }
    let kind = |(number, name): (usize, &String)| {
        Kind::parse(name).ok_or_else(|| {
            let known: Vec<_> = Kind::all().map(|kind| kind.description().name).collect();
            let (name, known) = (shortened(name), known.join(", "));
            let text = format!("is \"{name}\", which is none of {known}");
            invalid(&format!("indicators[{number}]"), text)
        })
    };
    let kinds = request.indicators.iter().enumerate().map(kind).collect::<Result<_, _>>()?;
    let mut query = FindingsQuery {
        role,
        actor: id,
        period: period(&request.period.unwrap_or_default())?,
        kinds,
        notable_only: request.notable_only,
        after: None,
        page_size: page_size(request.page_size)?,
    };
    if !request.page_token.is_empty() {
        let after = read_findings_token(&request.page_token, &query);
        query.after = Some(after.map_err(|reason| invalid("page_token", reason))?);
    }
    Ok(query)
}

pub(super) fn refused(error: &InsightError) -> Status {
    match error {
        InsightError::Unsettled => come_back(error.to_string()),
        error => {
            tracing::error!(%error, "findings cannot be read");
            let text = format!("findings cannot be read: {error}; `waag rebuild` makes them again");
            Status::data_loss(text)
        }
    }
}

/// For the thread of a read: up to 1,000 findings with 20 MRNs each.
fn message(
    page: &FindingsPage,
    query: &FindingsQuery,
    findings: &Findings,
) -> v1::ListFindingsResponse {
    assert_reading();
    let next = page.next.as_ref().map(|cursor| write_findings_token(query, cursor));
    v1::ListFindingsResponse {
        findings: page.findings.iter().map(|one| finding(one, query, findings)).collect(),
        next_page_token: next.unwrap_or_default(),
        watermark: page.watermark.0,
        stalled: page.is_stalled,
    }
}

fn finding(one: &Finding, query: &FindingsQuery, findings: &Findings) -> v1::ActorFinding {
    let figure = &one.figure;
    let (lower, upper) = figure.interval().unzip();
    let part = |part: &crate::insight::Part| v1::FindingPart {
        what: part.what.clone(),
        count: part.count,
    };
    let example = |example: &crate::insight::Example| v1::FindingExample {
        declarant: example.declarant.to_string(),
        mrn: findings.mrn(one.day, example).to_string(),
        group: example.group,
    };
    v1::ActorFinding {
        actor: Some(v1::Actor { role: query.role as i32, id: one.id.to_string() }),
        day: one.day.to_string(),
        figure: Some(v1::Indicator {
            name: figure.kind.description().name.to_owned(),
            numerator: figure.numerator,
            denominator: figure.denominator,
            value: figure.value(),
            lower,
            upper,
        }),
        flag: figure.kind.flag().unwrap_or_default().to_owned(),
        notable: figure.is_notable(),
        parts: figure.parts.iter().map(part).collect(),
        examples: figure.examples.iter().map(example).collect(),
        missing_days: one.missing_days.into(),
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
