//! `waag signals`: which declarants stand out, read from a running server.

use std::io::{self, Write};

use clap::Args;

use super::asking::{ServerArgs, json};
use super::show::{Table, thousands};
use super::summary::{days, period};
use super::{Failure, output, runtime};
use crate::proto::v1::{ListSignalsRequest, ListSignalsResponse, Period, Signal};

/// Show which declarants stand out over some weeks, in which way and since when
///
/// By fixed rules over their indicators and findings (`--rules` describes them): each figure by more than chance, by
/// more than among the other declarants, and by more than other figures explain. A signal is a reason to look at the
/// declarations behind it (`waag findings`, `waag summary`) and to ask; it is no verdict.
///
///   waag signals
///   waag signals --period 2026-11-01..2026-11-28 --rule undervaluation
///   waag signals --rules
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct SignalsArgs {
    #[command(flatten)]
    server: ServerArgs,

    /// Days, first and last included, 100 at most; left out, the 28 days up to the newest
    #[arg(long, value_name = "A..B", value_parser = period)]
    pub period: Option<Period>,

    /// Only by this rule, as undervaluation; may be given several times
    #[arg(long = "rule", value_name = "NAME")]
    pub names: Vec<String>,

    /// The rules instead: what each looks at, and from where on it says something
    #[arg(long)]
    pub rules: bool,
}

/// Reads and prints.
///
/// # Errors
/// No server, a call that is refused, standard output that cannot be written.
pub fn run(args: &SignalsArgs) -> Result<(), Failure> {
    let found = runtime()?.block_on(async {
        let request = ListSignalsRequest { period: args.period.clone(), rules: args.names.clone() };
        let answer = args.server.client().await?.list_signals(request).await;
        Ok::<_, Failure>(answer.map_err(|status| args.server.failed(&status))?.into_inner())
    })?;
    output(|out| match (args.rules, args.server.json) {
        (false, false) => write_signals(&found, out),
        (true, false) => write_rules(&found, out),
        (false, true) => found.signals.iter().try_for_each(|signal| json(signal, out)),
        (true, true) => found.rules.iter().try_for_each(|rule| json(rule, out)),
    })
}

fn write_signals(found: &ListSignalsResponse, mut out: &mut dyn Write) -> io::Result<()> {
    let (period, declarants) = (days(found.period.as_ref()), thousands(found.declarants.into()));
    writeln!(
        out,
        "Signals, {period}, of {declarants} declarants with 500 accepted lines or more\n"
    )?;
    let mut table = Table::new(&[
        "<Declarant",
        "<Rule",
        "<Days",
        "Of",
        "Out of",
        "Value",
        "Lower",
        "Usual",
        "Above it",
    ]);
    for signal in &found.signals {
        let Signal { rule, numerator, denominator, value, lower, usual, margin, .. } = signal;
        table.row(vec![
            signal.actor.as_ref().map(|actor| actor.id.clone()).unwrap_or_default(),
            rule.clone(),
            days(signal.days.as_ref()),
            thousands(*numerator),
            thousands(*denominator),
            format!("{value:.4}"),
            format!("{lower:.4}"),
            format!("{usual:.4}"),
            format!("{:.4}", lower - usual - margin),
        ]);
    }
    if !found.signals.is_empty() {
        table.write(&mut out)?;
        writeln!(out)?;
    }
    let count = thousands(found.signals.len() as u64);
    writeln!(out, "{count} signals, by {} rules (--rules describes them).", found.rules.len())?;
    let (watermark, findings) = (found.watermark, found.findings_watermark);
    if findings == 0 {
        writeln!(
            out,
            "No findings are there yet, or this server makes none: rules that look at them say nothing."
        )?;
    } else if findings < watermark {
        let (watermark, findings) = (thousands(watermark), thousands(findings));
        writeln!(
            out,
            "Findings are of the first {findings} of {watermark} records: the rest comes as it is sealed."
        )?;
    }
    Ok(())
}

fn write_rules(found: &ListSignalsResponse, mut out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&["<Rule", "<What", "Above usual", "<Looks at", "<Formula"]);
    for rule in &found.rules {
        table.row(vec![
            rule.name.clone(),
            rule.title.clone(),
            rule.above.to_string(),
            rule.indicator.clone(),
            rule.formula.clone(),
        ]);
    }
    table.write(&mut out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::proto::v1::{Actor, SignalRule};

    fn shown(found: &ListSignalsResponse) -> String {
        let mut out = Vec::new();
        write_signals(found, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_signal_with_its_numbers_and_what_they_rest_on() {
        let day =
            |first: &str, last: &str| Period { first_day: first.into(), last_day: last.into() };
        let signal = Signal {
            actor: Some(Actor { id: "NL830000003".into(), ..Actor::default() }),
            rule: "splitting".into(),
            days: Some(day("2026-11-03", "2026-11-09")),
            numerator: 300,
            denominator: 14_000,
            value: 0.0214,
            lower: 0.0171,
            usual: 0.0004,
            margin: 0.0117,
        };
        let mut found = ListSignalsResponse {
            signals: vec![signal],
            rules: vec![SignalRule::default(); 2],
            period: Some(day("2026-10-26", "2026-11-22")),
            declarants: 35,
            watermark: 9_000,
            findings_watermark: 8_000,
        };
        let text = shown(&found);
        for part in [
            "Signals, 2026-10-26 to 2026-11-22, of 35 declarants",
            "NL830000003  splitting  2026-11-03 to 2026-11-09  300  14,000  0.0214  0.0171  0.0004    0.0050",
            "1 signals, by 2 rules",
            "Findings are of the first 8,000 of 9,000 records",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        found.findings_watermark = 9_000;
        assert!(!shown(&found).contains("Findings"));
        (found.signals, found.findings_watermark) = (Vec::new(), 0);
        let text = shown(&found);
        assert!(text.contains("0 signals") && text.contains("No findings"), "{text}");
        assert!(!text.contains("Declarant"), "a table of nothing:\n{text}");
    }
}
