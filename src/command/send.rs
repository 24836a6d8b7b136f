//! `waag send`: files of declarations to a service, verdicts beside them.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::connecting::ConnectArgs;
use super::show::{Table, thousands};
use super::{Failure, output, runtime, with_causes};
use crate::rows;
use crate::send::{
    Format, Input, LodgeOptions, Lodged, Meter, Reporter, SendError, Tally, Unreadable, lodge,
    severity_word,
};

/// Not all was accepted.
const SOME_NOT_ACCEPTED: u8 = 3;
/// Something could not be read.
const SOME_UNREADABLE: u8 = 4;
/// Not all was answered: no service, or one that refuses the caller.
const NOT_ANSWERED: u8 = 5;

/// Send files of declarations to a service and write their verdicts beside them
///
///   waag send --template csv > orders.csv
///   waag send orders.csv --to http://127.0.0.1:50051 --declarant NL810000003
///
/// FILE.verdicts.jsonl gets one line for each declaration, in the order of FILE: its declarant,
/// its LRN and the answer that it first got. Interrupted at any moment, the same command goes on
/// where it stopped and ends with the same file; FILE.verdicts.jsonl.progress keeps how far it is.
/// Sending again is always safe.
///
/// Files end in .jsonl (a batch or a declaration to a line), .csv, .parquet (a row a goods item)
/// or .pb (batches with the length of each before it), and in .gz or .zst behind that if they are
/// compressed.
///
/// Exit codes: 0 if all declarations were accepted, now or before; 3 if some were rejected,
/// conflict or were refused; 4 if something could not be read; 5 if not all was answered; 1 if a
/// file cannot be read or written, or has changed; 2 for a command line that cannot be read.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct SendArgs {
    /// What to send; - for standard input, with --format and --verdicts
    #[arg(value_name = "FILE", required_unless_present = "template")]
    pub files: Vec<PathBuf>,

    /// Where the service listens
    #[arg(long, value_name = "URL", required_unless_present = "template")]
    pub to: Option<String>,

    /// EORI of who answers for declarations that name no declarant; batches carry their own
    #[arg(long, value_name = "EORI")]
    pub declarant: Option<String>,

    /// How the files are written; by their names, if left out
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Declarations in a batch; those of a file of batches are sent as they are
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub batch: u16,

    /// Where the verdicts of a single file go, in place of FILE.verdicts.jsonl
    #[arg(long, value_name = "FILE")]
    pub verdicts: Option<PathBuf>,

    /// Stop at the first row that cannot be read: nothing after it is sent
    #[arg(long)]
    pub strict: bool,

    /// Throw away what an earlier run has written, and begin at the beginning
    #[arg(long)]
    pub anew: bool,

    /// Give up where no batch was answered for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub give_up_after: u64,

    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,

    /// Print all columns and an example, and send nothing
    #[arg(long, value_enum, conflicts_with = "files")]
    pub template: Option<Template>,

    /// TLS and identity
    #[command(flatten)]
    pub connection: ConnectArgs,
}

/// What there is a template of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// One row a goods item
    Csv,
}

/// A bar on standard error, hidden where that is no terminal.
#[derive(Clone)]
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let style = ProgressStyle::with_template(
            "{prefix} {wide_bar} {msg} declarations, {percent} %, {eta} left",
        );
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(0).with_style(style))
    }
}

impl Reporter for Bar {
    fn answered(&self, declarations: u64, meter: &Meter) {
        let (done, total) = meter.position();
        self.0.set_length(total.max(done));
        self.0.set_position(done);
        self.0.set_message(thousands(declarations));
    }

    fn unreadable(&self, input: &Input, what: &Unreadable) {
        self.0.suspend(|| tracing::error!("{}, {what}", input.name()));
    }
}

/// What came of a file, for programs.
#[derive(Serialize)]
struct FileReport<'a> {
    file: String,
    verdicts: String,
    is_whole: bool,
    answered_before: u64,
    replays: u64,
    unreadable: u64,
    #[serde(flatten)]
    tally: &'a Tally,
}

/// Sends, and says what came of it.
///
/// # Errors
/// Where a file cannot be read or written; what else may go wrong has an exit code of its own.
pub fn run(args: &SendArgs) -> Result<ExitCode, Failure> {
    if let Some(Template::Csv) = args.template {
        output(|out| out.write_all(rows::template().as_bytes()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let files = files(args)?;
    let Some(url) = &args.to else {
        return Err("--to is missing: say where the service is".into());
    };
    let server = args.connection.server(url)?;
    let options = LodgeOptions {
        declarant: args.declarant.clone(),
        batch_max: args.batch.into(),
        is_strict: args.strict,
        is_anew: args.anew,
        silence_max: Duration::from_secs(args.give_up_after),
    };
    let mut done = Vec::new();
    let mut failure = None;
    let runtime = runtime()?;
    for (input, verdicts) in files {
        let bar = Bar::new();
        bar.0.set_prefix(input.name());
        let mut lodged = Lodged::default();
        let sent = lodge(&input, &verdicts, &server, &options, &bar, &mut lodged);
        let sent = runtime.block_on(sent);
        bar.0.finish_and_clear();
        let is_stopped = !lodged.is_whole;
        done.push((input, verdicts, lodged));
        failure = sent.err();
        if failure.is_some() || is_stopped {
            break;
        }
    }
    // A reader that waits for standard input is not waited for.
    runtime.shutdown_background();
    output(|out| if args.json { write_json(out, &done) } else { write_tables(out, &done) })?;
    end(&done, failure)
}

type Done = (Input, PathBuf, Lodged);

fn files(args: &SendArgs) -> Result<Vec<(Input, PathBuf)>, Failure> {
    if args.verdicts.is_some() && args.files.len() > 1 {
        return Err("--verdicts is for a single file: each has its verdicts beside it".into());
    }
    let mut files = Vec::new();
    for path in &args.files {
        let input = Input::new(path, args.format)?;
        let verdicts = args.verdicts.clone().or_else(|| input.verdicts());
        let verdicts = verdicts
            .ok_or("standard input has no name: say with --verdicts where its verdicts go")?;
        files.push((input, verdicts));
    }
    Ok(files)
}

/// The exit code, the gravest that applies.
fn end(done: &[Done], failure: Option<SendError>) -> Result<ExitCode, Failure> {
    if let Some(error) = failure {
        if !error.is_of_transport() {
            return Err(error.into());
        }
        tracing::error!("{}: the same command goes on where this one stopped", with_causes(&error));
        return Ok(NOT_ANSWERED.into());
    }
    if done.iter().any(|(_, _, lodged)| lodged.unreadable > 0) {
        return Ok(SOME_UNREADABLE.into());
    }
    if done.iter().any(|(_, _, lodged)| !lodged.tally.is_accepted()) {
        return Ok(SOME_NOT_ACCEPTED.into());
    }
    Ok(ExitCode::SUCCESS)
}

fn write_json(out: &mut dyn Write, done: &[Done]) -> io::Result<()> {
    let mut all = Tally::default();
    let files: Vec<FileReport<'_>> = done
        .iter()
        .map(|(input, verdicts, lodged)| {
            all.merge(&lodged.tally);
            FileReport {
                file: input.name(),
                verdicts: verdicts.display().to_string(),
                is_whole: lodged.is_whole,
                answered_before: lodged.answered_before,
                replays: lodged.replays,
                unreadable: lodged.unreadable,
                tally: &lodged.tally,
            }
        })
        .collect();
    let line = serde_json::to_string(&serde_json::json!({ "files": files, "all": all }))?;
    writeln!(out, "{line}")
}

fn write_tables(mut out: &mut dyn Write, done: &[Done]) -> io::Result<()> {
    let mut all = Tally::default();
    let mut table = Table::new(&[
        "<File",
        "Declarations",
        "Accepted",
        "Rejected",
        "Conflicts",
        "Refused",
        "Unreadable",
        "Replays",
    ]);
    for (input, _, lodged) in done {
        let Lodged { tally, replays, unreadable, .. } = lodged;
        all.merge(tally);
        let numbers = [
            tally.declarations,
            tally.accepted,
            tally.rejected,
            tally.conflicts,
            tally.refused,
            *unreadable,
            *replays,
        ];
        let cells = numbers.into_iter().map(thousands);
        table.row(std::iter::once(input.name()).chain(cells).collect());
    }
    table.write(&mut out)?;
    if !all.reasons.is_empty() {
        writeln!(out)?;
        let mut table = Table::new(&["<Reason", "<Severity", "Declarations", "Findings"]);
        let mut reasons: Vec<_> = all.reasons.iter().collect();
        reasons.sort_by_key(|(_, found)| std::cmp::Reverse(found.declarations));
        for ((reason, severity), found) in reasons {
            table.row(vec![
                reason.clone(),
                severity_word(severity).to_owned(),
                thousands(found.declarations),
                thousands(found.findings),
            ]);
        }
        table.write(&mut out)?;
    }
    for (_, verdicts, _) in done {
        writeln!(out, "verdicts in {}", verdicts.display())?;
    }
    Ok(())
}
