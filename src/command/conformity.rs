//! `waag conformity`: cases of customs law against a service, and what differs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::connecting::ConnectArgs;
use super::show::{Table, thousands};
use super::{Failure, output, runtime, with_causes};
use crate::config::Config;
use crate::conformity::{Case, Count, Kit, Played, Playing, Report, Settings, State, Stopped};
use crate::day::{Calendar, Day};
use crate::id::Eori;
use crate::ingest::clock::Clock;
use crate::ingest::options;

/// Something differs.
const DIFFERS: u8 = 1;
/// Nothing can be said: no service, none that lets the caller lodge, or a command that makes no sense.
const CANNOT_RUN: u8 = 2;
/// An LRN has 22 characters: these, two hyphens, the number of the case and the declaration's name.
const RUN_ID_MAX: usize = 10;

/// Play cases of customs law against a service, and print what differs
///
///   waag conformity --against http://127.0.0.1:50051
///   waag conformity --list
///   waag conformity --show value/consignment-150.01
///
/// The service is any that speaks waag.v1.Lodgement: a test system, since all that is played is lodged.
/// Cases hold on days: those that do not hold today are not played, and --on plays the cases of another
/// day against a service whose clock is set to it. Each run has LRNs of its own, so that it can be
/// played again and again; with --run-id the same run is played once more, and must be replayed.
///
/// Exit codes: 0 if all that was played is as expected; 1 if something differs; 2 if it cannot be
/// played, or not to its end: no service, one that does not let the caller lodge, no case that holds on
/// the day, or a command line that makes no sense.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ConformityArgs {
    /// Where the service listens
    #[arg(long, value_name = "URL", required_unless_present_any = ["list", "show"])]
    pub against: Option<String>,

    /// The day by which the service judges; today, if left out
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub on: Option<String>,

    /// For whom declarations are lodged; where there are identities, one that the caller may lodge for
    #[arg(long, value_name = "EORI", default_value = "NL810000003")]
    pub declarant: String,

    /// Play a run again: with the same LRNs, so that the service must answer as it first did
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,

    /// Play these cases or families only, as value/consignment-150.01 or value
    #[arg(long, value_name = "CASE", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Flags that a case does not speak of are differences, and not notes
    #[arg(long)]
    pub strict: bool,

    /// Print the notes too: what a service is free in, and does otherwise
    #[arg(long)]
    pub notes: bool,

    /// Print one JSON object for each case, and one at the end
    #[arg(long)]
    pub json: bool,

    /// Print all cases, and the reasons that no case can draw; play nothing
    #[arg(long, conflicts_with = "against")]
    pub list: bool,

    /// Print the batches of a case in protobuf JSON, one after another, and play nothing
    #[arg(long, value_name = "CASE", conflicts_with_all = ["against", "list"])]
    pub show: Option<String>,

    /// TLS and identity
    #[command(flatten)]
    pub connection: ConnectArgs,
}

/// A case, for programs.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    title: &'a str,
    law: &'a str,
    basis: &'a str,
    from: String,
    /// Missing where there is no last day.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    draws: Vec<&'a str>,
    stands_at: Vec<&'a str>,
}

/// Plays, lists or shows.
#[must_use]
pub fn run(args: &ConformityArgs) -> ExitCode {
    ran(args).unwrap_or_else(|failure| {
        tracing::error!("{}", with_causes(&*failure));
        CANNOT_RUN.into()
    })
}

fn ran(args: &ConformityArgs) -> Result<ExitCode, Failure> {
    let kit = Kit::built_in()?;
    let calendar = options::calendar(&Config::default())?;
    if args.list {
        let cases = chosen(&kit, args)?;
        output(
            |out| if args.json { list_json(out, &kit, &cases) } else { list(out, &kit, &cases) },
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let playing = Playing::new(&kit, settings(args, &calendar)?, calendar)?;
    match (&args.show, &args.against) {
        (Some(id), _) => show(&kit, &playing, id),
        (None, Some(url)) => play(args, &kit, &playing, url),
        (None, None) => Err("--against is missing: say where the service is".into()),
    }
}

fn play(
    args: &ConformityArgs,
    kit: &Kit,
    playing: &Playing<'_>,
    url: &str,
) -> Result<ExitCode, Failure> {
    let server = args.connection.server(url)?;
    let cases = chosen(kit, args)?;
    let bar = bar(cases.len() as u64);
    let mut written = Ok(());
    let mut tell = |played: &Played<'_>| {
        bar.inc(1);
        bar.set_message(played.id.to_owned());
        // What came so far is told even where the service then goes away.
        if written.is_ok() {
            written = bar.suspend(|| output(|out| write_played(out, played, args)));
        }
    };
    let report = runtime()?.block_on(playing.against(&server, &cases, &mut tell));
    let done = bar.position();
    bar.finish_and_clear();
    written?;
    let report = report.map_err(|error| stopped(error, url, done, playing.run_id()))?;
    output(
        |out| if args.json { write_summary(out, &report) } else { write_end(out, &report, kit) },
    )?;
    let Count { as_expected, differ, .. } = report.total();
    match (as_expected, differ) {
        (0, 0) => {
            Err("no case was played: --list tells on which days each holds, and --on the day"
                .into())
        }
        (_, 0) => Ok(ExitCode::SUCCESS),
        _ => Ok(DIFFERS.into()),
    }
}

/// The failure, with the service's address and with what to do.
fn stopped(error: Stopped, url: &str, done: u64, run_id: &str) -> Failure {
    match error {
        Stopped::Silent(_) if done > 0 => format!(
            "{url}: {error}; after {} cases, of run {run_id}: --run-id {run_id} plays the same once more",
            thousands(done)
        )
        .into(),
        Stopped::Silent(_) | Stopped::Refused { .. } => format!("{url}: {error}").into(),
        // These tell it themselves.
        error => error.into(),
    }
}

fn bar(cases: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} cases {msg:.48}");
    ProgressBar::new(cases).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn settings(args: &ConformityArgs, calendar: &Calendar) -> Result<Settings, Failure> {
    let now = Clock::system().now();
    let day = match &args.on {
        None => calendar.day(now),
        Some(text) => Day::parse(text)
            .ok_or_else(|| format!("--on {text:?} is no day written as 2026-11-05"))?,
    };
    if Eori::parse(&args.declarant).is_none() {
        let declarant = &args.declarant;
        return Err(format!(
            "--declarant {declarant:?} is no EORI: two capital letters followed by 1 to 15 capital letters, \
             digits and hyphens"
        )
        .into());
    }
    if let Some(id) = &args.run_id
        && !((1..=RUN_ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        return Err(
            format!("--run-id {id:?}: it must be 1 to {RUN_ID_MAX} letters and digits").into()
        );
    }
    let mut salt = [0; 2];
    getrandom::fill(&mut salt)?;
    Ok(Settings {
        declarant: args.declarant.clone(),
        run_id: args.run_id.clone().unwrap_or_else(|| run_id(now.0, salt)),
        is_repeated: args.run_id.is_some(),
        is_strict: args.strict,
        day,
    })
}

/// The milliseconds in base 36, eight characters until the year 2059, and two that keep apart what begins in
/// the same millisecond.
fn run_id(ms: i64, salt: [u8; 2]) -> String {
    let digit = |number: u64| {
        let digit = u32::try_from(number % 36).unwrap_or(0);
        char::from_digit(digit, 36).unwrap_or('0').to_ascii_uppercase()
    };
    let mut rest = ms.unsigned_abs();
    let mut id: Vec<char> = salt.into_iter().map(|byte| digit(byte.into())).collect();
    while rest > 0 {
        id.push(digit(rest));
        rest /= 36;
    }
    id.into_iter().rev().collect()
}

/// The cases that are asked for; all, where none are.
fn chosen<'a>(kit: &'a Kit, args: &ConformityArgs) -> Result<Vec<&'a Case>, Failure> {
    for name in &args.only {
        if !kit.cases.iter().any(|case| case.is(name)) {
            return Err(format!("--only {name}: no such case or family; --list prints all").into());
        }
    }
    let is_chosen =
        |case: &&Case| args.only.is_empty() || args.only.iter().any(|name| case.is(name));
    Ok(kit.cases.iter().filter(is_chosen).collect())
}

fn show(kit: &Kit, playing: &Playing<'_>, id: &str) -> Result<ExitCode, Failure> {
    let case = kit.cases.iter().find(|case| case.id == id);
    let case = case.ok_or_else(|| format!("--show {id}: no such case; --list prints all"))?;
    let batches = playing.batches(case);
    if batches.is_empty() {
        let days = case.days();
        return Err(format!("{id} has no batch on this day (it holds {days}): see --on").into());
    }
    output(|out| {
        batches
            .iter()
            .try_for_each(|batch| writeln!(out, "{}", serde_json::to_string_pretty(batch)?))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn list(mut out: &mut dyn Write, kit: &Kit, cases: &[&Case]) -> io::Result<()> {
    let mut table = Table::new(&["<Case", "<Holds", "<Tries", "<Basis"]);
    for case in cases {
        table.row(vec![case.id.clone(), case.days(), case.title.clone(), case.basis.clone()]);
    }
    table.write(&mut out)?;
    writeln!(out)?;
    write_uncovered(out, kit)
}

fn write_uncovered(out: &mut dyn Write, kit: &Kit) -> io::Result<()> {
    writeln!(out, "No case can draw:")?;
    kit.uncovered.iter().try_for_each(|of| writeln!(out, "  {}: {}", of.reason, of.why))
}

fn list_json(out: &mut dyn Write, kit: &Kit, cases: &[&Case]) -> io::Result<()> {
    for case in cases {
        let listed = Listed {
            id: &case.id,
            title: &case.title,
            law: &case.law,
            basis: &case.basis,
            from: case.from.to_string(),
            to: (case.to < Day(u16::MAX)).then(|| case.to.to_string()),
            draws: case.draws(),
            stands_at: case.stands_at(),
        };
        writeln!(out, "{}", serde_json::to_string(&listed)?)?;
    }
    let uncovered: BTreeMap<_, _> = kit.uncovered.iter().map(|of| (&of.reason, &of.why)).collect();
    writeln!(out, "{}", serde_json::json!({ "uncovered": uncovered }))
}

/// A case as soon as it was played: as JSON, or in a line where it differs.
fn write_played(out: &mut dyn Write, played: &Played<'_>, args: &ConformityArgs) -> io::Result<()> {
    if args.json {
        return writeln!(out, "{}", serde_json::to_string(played)?);
    }
    if played.state == State::Differs {
        writeln!(out, "{}", played.line())?;
    }
    if args.notes {
        let mut notes = played.notes.iter();
        notes.try_for_each(|note| writeln!(out, "{}  note: {note}", played.id))?;
    }
    Ok(())
}

fn write_summary(out: &mut dyn Write, report: &Report<'_>) -> io::Result<()> {
    let families: BTreeMap<_, _> = report.families().into_iter().collect();
    let summary = serde_json::json!({
        "run_id": report.run_id,
        "day": report.day.to_string(),
        "service_day": report.service_day.map(|day| day.to_string()),
        "all": report.total(),
        "families": families,
    });
    writeln!(out, "{summary}")
}

fn write_end(mut out: &mut dyn Write, report: &Report<'_>, kit: &Kit) -> io::Result<()> {
    write_skipped(out, report)?;
    let mut table = Table::new(&["<Family", "Cases", "As expected", "Differ", "Skipped", "Notes"]);
    let all = [("All", report.total())];
    for (title, count) in report.families().into_iter().chain(all) {
        let cases = count.as_expected + count.differ + count.skipped;
        let counts = [cases, count.as_expected, count.differ, count.skipped, count.notes];
        let counts = counts.into_iter().map(thousands);
        table.row(std::iter::once(title.to_owned()).chain(counts).collect());
    }
    table.write(&mut out)?;
    writeln!(out, "\nThe law of {}; run {}.", report.day, report.run_id)?;
    if let Some(day) = report.service_day.filter(|day| *day != report.day) {
        writeln!(
            out,
            "The service judges by {day}: say --on {day}, or much differs that is as it must be."
        )?;
    }
    write_uncovered(out, kit)
}

/// Which cases were not played: by the reason why, so that many that are not in force take few lines.
fn write_skipped(out: &mut dyn Write, report: &Report<'_>) -> io::Result<()> {
    let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for played in &report.played {
        if let Some(why) = &played.skipped {
            skipped.entry(why).or_default().push(played.id);
        }
    }
    for (why, ids) in &skipped {
        writeln!(out, "not played: {why}: {}", ids.join(", "))?;
    }
    if skipped.is_empty() { Ok(()) } else { writeln!(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_the_time_in_base_36_and_more() {
        assert_eq!(run_id(36 * 36 + 35, [0, 71]), "10ZZ0");
        assert_eq!(run_id(1_793_876_400_000, [255; 2]).len(), RUN_ID_MAX);
        assert!(run_id(1_793_876_400_000, [255; 2]) < run_id(1_793_876_400_001, [0; 2]));
    }
}
