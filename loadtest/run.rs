//! `waag-load run`: load for a while, every verdict checked.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use waag::command::show::thousands;
use waag::command::{Failure, output, runtime};
use waag::config::ByteSize;

use super::drive::{compare_summaries, drive, mismatches, read_summaries};
use super::lane::{Answers, End, Load, Work};
use super::meter::{Meter, Window, per_second};
use super::options::{LoadArgs, Settings};
use super::picture;
use super::report::{Folder, Report, said, write_json};
use super::server::{ANY_PORT, Server, ServerOptions};
use super::sink::Decoder;

/// How long, if neither seconds nor lines are given.
const SECONDS: u64 = 10;

/// Put load on a server and check every verdict
///
/// New declarations, and among them replays, conflicts and invalid ones, each with a known answer.
/// Ends with an error if a single answer, or a figure of a summary, is not as it must be.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The server, as http://127.0.0.1:50051; one of its own on a free port, if left out
    ///
    /// Nobody else may lodge there under the same EORIs meanwhile, and its law must be that of --on.
    #[arg(long, value_name = "URL", conflicts_with_all = ["data_dir", "memory_max", "config"])]
    to: Option<String>,

    /// Measure what a server takes that only reads: a sink of its own is started, and of answers only
    /// the counts are checked
    #[arg(long, value_enum, value_name = "DECODER", conflicts_with_all = ["to", "data_dir", "memory_max", "config", "again"])]
    sink: Option<Decoder>,

    /// Where the own server keeps its data; a temporary folder, removed afterwards, if left out
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Memory of the own server
    #[arg(long, value_name = "SIZE", default_value = "3GiB")]
    memory_max: ByteSize,

    /// Settings file of the own server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// For how long; 10, if --lines is not given either
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,

    /// Until so many lines were sent
    #[arg(long, value_name = "N", value_parser = waag::command::generate::count)]
    lines: Option<u64>,

    /// What a replay is
    #[arg(long, value_enum, default_value_t = ReplayBy::Batch)]
    replay_by: ReplayBy,

    /// Send everything that an earlier run with the same flags and --lines sent: all are replays
    #[arg(long, requires = "seed", requires = "lines")]
    again: bool,

    /// What is sent.
    #[command(flatten)]
    load: LoadArgs,

    /// Write a report as JSON; - for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Draw throughput and latency over time: one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What is sent again at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReplayBy {
    /// A whole batch, as it was; --replays is a share of batches
    Batch,
    /// Single declarations among new ones
    Declaration,
}

/// Runs the load and reports.
///
/// # Errors
/// Where the server does not start or fails, or an answer is not as it must be.
pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    let (mut load, settings) = args.load.load(args.replay_by == ReplayBy::Batch, args.lines)?;
    if args.sink.is_some() {
        load.answers = Answers::Counts;
    }
    let report = runtime()?.block_on(measure(args, &Arc::new(load), settings))?;
    if let Some(path) = &args.json {
        write_json(path, &report)?;
    }
    if let Some(path) = &args.html {
        std::fs::write(path, picture::page(&report)).map_err(|error| said(path, &error))?;
    }
    if args.json.as_deref() != Some(std::path::Path::new("-")) {
        output(|out| report.write(out))?;
    }
    if !report.is_clean() {
        return Err("some answers were not as they must be".into());
    }
    match report.ended {
        Some(ended) => Err(ended.into()),
        None => Ok(()),
    }
}

async fn measure(args: &RunArgs, load: &Arc<Load>, settings: Settings) -> Result<Report, Failure> {
    if let Some(url) = &args.to {
        return put(args, load, settings, url).await;
    }
    if let Some(decoder) = args.sink {
        let sink = Server::start_sink(decoder).await?;
        let report = put(args, load, settings, &sink.url).await?;
        sink.stop().await?;
        return Ok(report);
    }
    let folder = Folder::new(args.data_dir.as_deref())?;
    let options = ServerOptions {
        data_dir: folder.path.clone(),
        listen: ANY_PORT,
        memory_max: args.memory_max,
        on: args.load.on,
        config: args.config.clone(),
    };
    let (server, _) = Server::start(&options, Duration::ZERO).await?;
    let mut report = put(args, load, settings, &server.url).await?;
    if let Err(failure) = server.stop().await {
        // What was measured until then still counts.
        report.ended = Some(failure.to_string());
    }
    Ok(report)
}

async fn put(
    args: &RunArgs,
    load: &Arc<Load>,
    settings: Settings,
    url: &str,
) -> Result<Report, Failure> {
    // A sink has no summaries.
    let before = match args.sink {
        None => read_summaries(url, 0).await?,
        Some(_) => Default::default(),
    };
    let connections = u64::from(args.load.connections);
    let lines = args.lines.unwrap_or(u64::MAX).div_ceil(connections);
    let lanes = args.load.lanes(load).into_iter().map(|lane| {
        let work = if args.again { all_again(load, lane.id, lines) } else { Work::Plan { lines } };
        (lane, work)
    });
    let time_max = args.seconds.or(args.lines.is_none().then_some(SECONDS));
    let shows = std::io::stderr().is_terminal();
    let mut on_window = |window: &Window, meter: &Meter| {
        if shows {
            show(window, meter);
        }
        None
    };
    let mut driven =
        drive(load, url, lanes.collect(), time_max.map(Duration::from_secs), &mut on_window)
            .await?;
    let mut wrong = mismatches(&mut driven.lanes);
    // Nor has a server that is gone.
    let told = match &driven.end {
        Some(End::Fault(_)) => Default::default(),
        _ if args.sink.is_some() => Default::default(),
        _ => compare_summaries(url, &before, load, &driven.lanes).await?,
    };
    let (mismatches, summary_mismatches) = (wrong.count, told.count);
    wrong.merge(told);
    let meter = driven.meter;
    let seconds = meter.windows().last().map_or(0.0, |window| window.until_s);
    Ok(Report {
        sink: args.sink,
        settings,
        seconds,
        lines_per_second: per_second(meter.counts.lines, seconds),
        declarations_per_second: per_second(meter.counts.declarations, seconds),
        counts: meter.counts,
        refusals: meter.refusals,
        mismatches,
        summary_mismatches,
        examples: wrong.examples,
        latency: meter.latency(),
        watermark: driven.lanes.iter().map(|lane| lane.book.watermark).max().unwrap_or(0),
        ended: driven.end.map(End::into_words),
        windows: meter.windows().to_vec(),
    })
}

/// What the plan sends on a lane with so many lines, all of it sent before.
fn all_again(load: &Load, lane: u64, lines: u64) -> Work {
    let mut sent = 0;
    let templates = &load.templates.list;
    let mut numbers = 0..;
    let batches = std::iter::from_fn(|| {
        let number = numbers.next().filter(|_| sent < lines)?;
        let sending = load.plan.sending(lane, number, templates);
        sent += templates.get(sending.template).map_or(lines, |template| template.lines);
        Some(sending.batch)
    });
    Work::Again(batches.collect())
}

/// A line of progress.
#[allow(clippy::print_stderr, reason = "it is for a terminal, and no event")]
fn show(window: &Window, meter: &Meter) {
    eprintln!(
        "{:>6.0} s  {:>11} lines/s  p50 {:>7.2} ms  p99 {:>7.2} ms  {:>14} lines",
        window.until_s,
        thousands(window.lines_per_second),
        window.p50_ms,
        window.p99_ms,
        thousands(meter.counts.lines),
    );
}
