//! Signals: which declarants stand out. A part of the `Compliance` service.

use tonic::{Request, Response, Status};

use super::compliance::{ComplianceService, invalid, period, shortened};
use super::findings;
use super::ledger::holding;
use crate::proto::v1;
use crate::signals::{DAYS_MAX, RULES, Rule, Signal, Signals, SignalsError, read};
use crate::summary::{Period, QueryError};

/// What the audit log calls it.
const READ: &str = "read signals";

impl ComplianceService {
    /// Answers `ListSignals`.
    pub(super) async fn signals(
        &self,
        request: Request<v1::ListSignalsRequest>,
    ) -> Result<Response<v1::ListSignalsResponse>, Status> {
        let (_, mut extensions, request) = request.into_parts();
        let period = days(period(&request.period.unwrap_or_default())?)?;
        let rules = rules(&request.rules)?;
        let caller = self.guard.caller(&extensions)?;
        let allowed = caller.who().may_read_all_summaries();
        self.guard.reads(&caller, READ, "every declarant".to_owned(), allowed).await?;
        let found = self.findings.clone();
        let place = self.reader.place()?;
        let looked = self.reader.read_from(place, extensions.remove(), move |board| {
            match read(board, found.as_ref(), period) {
                Ok(signals) => Ok(Ok(message(&signals, &rules))),
                Err(SignalsError::Summary(error)) => Err::<_, QueryError>(error),
                Err(SignalsError::Findings(error)) => Ok(Err(findings::refused(&error))),
            }
        });
        let (message, held) = looked.await?;
        Ok(holding(message?, held))
    }
}

fn days(period: Period) -> Result<Period, Status> {
    if let Period { first: Some(first), last: Some(last) } = period {
        let days = u32::from(last.0 - first.0) + 1;
        if days > DAYS_MAX.into() {
            let text = format!("ends {days} days that begin on {first}; the bound is {DAYS_MAX}");
            return Err(invalid("period.last_day", text));
        }
    }
    Ok(period)
}

/// Those named, in their own order; all where none is.
fn rules(names: &[String]) -> Result<Vec<&'static Rule>, Status> {
    if names.len() > RULES.len() {
        let text = format!("names {} rules, of which there are {}", names.len(), RULES.len());
        return Err(invalid("rules", text));
    }
    for (number, name) in names.iter().enumerate() {
        if !RULES.iter().any(|rule| rule.name == name) {
            let known: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
            let (name, known) = (shortened(name), known.join(", "));
            let text = format!("is \"{name}\", which is none of {known}");
            return Err(invalid(&format!("rules[{number}]"), text));
        }
    }
    let is_wanted = |rule: &&Rule| names.is_empty() || names.iter().any(|name| rule.name == name);
    Ok(RULES.iter().filter(is_wanted).collect())
}

fn message(found: &Signals, rules: &[&Rule]) -> v1::ListSignalsResponse {
    let (first, last) = found.days;
    let is_wanted = |signal: &&Signal| rules.iter().any(|rule| rule.name == signal.rule.name);
    v1::ListSignalsResponse {
        signals: found.signals.iter().filter(is_wanted).map(signal).collect(),
        rules: rules.iter().map(|rule| described(rule)).collect(),
        period: Some(v1::Period { first_day: first.to_string(), last_day: last.to_string() }),
        // At most DECLARANTS_MAX.
        declarants: u32::try_from(found.declarants).unwrap_or(u32::MAX),
        watermark: found.watermark.0,
        findings_watermark: found.findings_watermark.0,
    }
}

fn signal(signal: &Signal) -> v1::Signal {
    let (first, last) = signal.days;
    v1::Signal {
        actor: Some(v1::Actor { role: v1::ActorRole::Declarant.into(), id: signal.id.to_string() }),
        rule: signal.rule.name.to_owned(),
        days: Some(v1::Period { first_day: first.to_string(), last_day: last.to_string() }),
        numerator: signal.numerator,
        denominator: signal.denominator,
        value: signal.value,
        lower: signal.lower,
        usual: signal.usual,
        margin: signal.margin(),
    }
}

fn described(rule: &Rule) -> v1::SignalRule {
    v1::SignalRule {
        name: rule.name.to_owned(),
        title: rule.title.to_owned(),
        indicator: rule.indicator().to_owned(),
        formula: rule.formula.to_owned(),
        above: rule.above,
        is_share: rule.is_share(),
    }
}
