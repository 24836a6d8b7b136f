//! `waag judge`: what the rules of a day would say, before anything is sent.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::Args;

use super::{Failure, output};
use crate::config::{ByteSize, Config};
use crate::day::{Day, Moment};
use crate::ingest::clock::Clock;
use crate::ingest::offline::Offline;
use crate::ingest::options;
use crate::proto::v1;
use crate::rules::law::Law;

/// Flags of `waag judge`.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// Judge as on this day; today if not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub on: Option<String>,
    /// Files in this folder replace the built-in rules of the same name
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// Print one `SubmitBatchResponse` in protobuf JSON per line
    #[arg(long)]
    pub json: bool,
    /// Memory for finding replays and conflicts within the input
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub memory_max: ByteSize,
    /// One `SubmitBatchRequest` in protobuf JSON, or several one after another (JSON Lines);
    /// standard input if not given, or -
    pub file: Option<PathBuf>,
}

/// Judges the input and prints what comes out.
///
/// # Errors
/// Input that cannot be read, or a batch that would be refused.
pub fn run(args: &JudgeArgs) -> Result<(), Failure> {
    let config =
        Config { rules: args.rules.clone(), memory_max: args.memory_max, ..Config::default() };
    let calendar = options::calendar(&config)?;
    let at = match &args.on {
        None => Clock::system().now(),
        Some(text) => {
            let day = Day::parse(text).ok_or_else(|| {
                format!("--on {text:?} is no day of 1970 to 2149 written as 2026-11-05")
            })?;
            // Noon, so that a day is a day in every zone that a reader may think of.
            Moment(calendar.start_of(day).0 + 12 * 3_600_000)
        }
    };
    let law = Law::load(args.rules.as_deref())?;
    // A day without rules is told before any input is read.
    law.on(calendar.day(at))?;
    let mut offline = Offline::new(&config, law)?;
    let (name, input): (String, Box<dyn BufRead>) = match &args.file {
        Some(path) if path.as_os_str() != "-" => {
            let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
            (path.display().to_string(), Box::new(BufReader::new(file)))
        }
        _ => ("standard input".into(), Box::new(std::io::stdin().lock())),
    };

    let mut refused = 0_usize;
    let mut judged = 0_usize;
    let batches = serde_json::Deserializer::from_reader(input).into_iter();
    for (number, batch) in (1..).zip(batches) {
        let batch: v1::SubmitBatchRequest =
            batch.map_err(|error| format!("{name}: batch {number}: {error}"))?;
        match offline.judge(&batch, at) {
            Ok(answer) => {
                judged += 1;
                if args.json {
                    let line = serde_json::to_string(&answer)?;
                    output(|out| writeln!(out, "{line}"))?;
                } else {
                    output(|out| print(out, &batch, &answer))?;
                }
            }
            Err(refusal) => {
                refused += 1;
                let field = &refusal.field;
                let place = if field.is_empty() { String::new() } else { format!("{field}: ") };
                tracing::error!("{name}: batch {number} would be refused: {place}{refusal}");
            }
        }
    }
    match (judged, refused) {
        (0, 0) => Err(format!("{name}: no batch in it").into()),
        (_, 0) => Ok(()),
        (_, refused) => Err(format!("{refused} batches would be refused").into()),
    }
}

fn print(
    out: &mut dyn Write,
    batch: &v1::SubmitBatchRequest,
    answer: &v1::SubmitBatchResponse,
) -> std::io::Result<()> {
    for (declaration, verdict) in batch.declarations.iter().zip(&answer.verdicts) {
        let outcome = word(verdict.outcome());
        let of = match verdict.replay_of() {
            v1::Outcome::Unspecified => String::new(),
            first => format!(" of {}", word(first)),
        };
        let cents = verdict.intrinsic_value_eur_cents;
        let duty = verdict.duty_eur_cents;
        writeln!(
            out,
            "{:<22} {outcome}{of}   value EUR {}.{:02}   duty EUR {}.{:02}",
            declaration.lrn.trim(),
            cents / 100,
            cents % 100,
            duty / 100,
            duty % 100
        )?;
        for finding in &verdict.findings {
            let severity = match finding.severity() {
                v1::Severity::Reject => "REJECT",
                _ => "flag",
            };
            let item = match finding.goods_item_number {
                0 => String::new(),
                item => format!(" (goods item {item})"),
            };
            let (reason, element) = (&finding.reason, &finding.data_element);
            writeln!(out, "    {severity:<6} {reason}  {element}{item}")?;
            writeln!(out, "           {} [{}]", finding.message, finding.legal_basis)?;
        }
        if verdict.findings_omitted > 0 {
            writeln!(out, "    and {} findings more", verdict.findings_omitted)?;
        }
    }
    let totals = answer.totals.unwrap_or_default();
    writeln!(
        out,
        "{} accepted, {} rejected, {} replayed, {} conflicts",
        totals.accepted, totals.rejected, totals.replayed, totals.conflicts
    )
}

fn word(outcome: v1::Outcome) -> &'static str {
    match outcome {
        v1::Outcome::Unspecified => "unknown",
        v1::Outcome::Accepted => "accepted",
        v1::Outcome::Rejected => "rejected",
        v1::Outcome::Replayed => "replay",
        v1::Outcome::Conflict => "conflict",
    }
}
