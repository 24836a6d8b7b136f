//! `waag-load longrun`: what holds when a day becomes a year.
//!
//! Streams lines with replays and conflicts planted from the whole history, watches the server's
//! memory and files meanwhile, kills it, measures how long it takes to come back, and sends a sample
//! of all that was sent again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use waag::command::demo::check::Mismatches;
use waag::command::show::thousands;
use waag::command::{Failure, output, runtime};
use waag::config::ByteSize;
use waag::generate::Random;

use super::drive::{Before, Driven, compare_summaries, drive, mismatches, read_summaries};
use super::lane::{End, Lane, Load, Work};
use super::longrun_report::{Report, Restart, Sample};
use super::meter::{Meter, Window};
use super::options::{LoadArgs, Settings};
use super::process::{disk, disk_free, memory};
use super::progress::Progress;
use super::report::{Folder, write_json};
use super::server::{ANY_PORT, Server, ServerOptions};

/// A folder that has not changed for so long is taken to be at rest.
const AT_REST: Duration = Duration::from_secs(3);
/// Samples are thinned out past so many.
const SAMPLES_MAX: usize = 1_200;

/// Stream many lines with known replays and conflicts, and report what it took
///
/// Single declarations are replayed and contradicted, each of all that were sent with the same chance,
/// however long ago. At the end the server is killed and started again, and a sample of all batches is
/// sent once more.
#[derive(Debug, Args)]
pub(crate) struct LongrunArgs {
    /// Lines to send
    #[arg(long, value_name = "N", default_value = "100_000_000", value_parser = waag::command::generate::count)]
    lines: u64,

    /// Memory of the server
    #[arg(long, value_name = "SIZE", default_value = "3GiB")]
    memory_max: ByteSize,

    /// Where the server keeps its data; a temporary folder, removed afterwards, if left out
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Settings file of the server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Stop before less than this is free on the disk
    #[arg(long, value_name = "SIZE", default_value = "5GiB")]
    disk_reserve: ByteSize,

    /// Wait so long at most until the data folder is at rest, before it is measured and the server
    /// killed
    #[arg(long, value_name = "S", default_value_t = 120)]
    settle: u64,

    /// Send no more after so long, whatever was sent by then
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,

    /// Go on from what this file says, if it is there, and note there how far it came
    ///
    /// The data folder must be the one of the run before, and what is sent the same; --lines counts the
    /// lines of all runs together.
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    progress: Option<PathBuf>,

    /// Batches that are sent again at the end, of all that were sent
    #[arg(long, value_name = "N", default_value_t = 200)]
    sample: u64,

    /// What is sent.
    #[command(flatten)]
    load: LoadArgs,

    /// Print one JSON object on standard output at the end
    #[arg(long)]
    json: bool,
}

/// Runs it and reports.
///
/// # Errors
/// Where the server does not start or fails, or an answer is not as it must be. A disk or an index
/// that is full is none: it ends the run, and the report says so.
pub(crate) fn run(args: &LongrunArgs) -> Result<(), Failure> {
    let earlier = args.progress.as_deref().map(Progress::read).transpose()?.flatten();
    let mut flags = args.load.clone();
    flags.seed = flags.seed.or_else(|| earlier.as_ref().and_then(Progress::seed));
    // The lines of a run that others go on with say nothing of how many there will be.
    let lines = args.progress.is_none().then_some(args.lines);
    let (load, settings) = flags.load(false, lines)?;
    let load = Arc::new(load);
    let mut lanes = args.load.lanes(&load);
    if let Some(earlier) = &earlier {
        earlier.hand_to(&mut lanes, &settings)?;
    }
    let progress = Progress::after(earlier.as_ref(), &settings)?;
    let measured = measure(args, &load, settings, (lanes, progress));
    let (report, is_fault) = runtime()?.block_on(measured)?;
    if args.json {
        write_json(Path::new("-"), &report)?;
    } else {
        output(|out| report.write(out))?;
    }
    let restart_wrong = report.restart.as_ref().map_or(0, |restart| restart.mismatches);
    if report.mismatches + report.summary_mismatches + restart_wrong > 0 {
        let examples = report.examples.join("\n  ");
        return Err(format!("some answers were not as they must be:\n  {examples}").into());
    }
    match report.ended {
        Some(ended) if is_fault => Err(ended.into()),
        _ => Ok(()),
    }
}

async fn measure(
    args: &LongrunArgs,
    load: &Arc<Load>,
    settings: Settings,
    (lanes, mut progress): (Vec<Lane>, Progress),
) -> Result<(Report, bool), Failure> {
    let folder = Folder::new(args.data_dir.as_deref())?;
    let options = ServerOptions {
        data_dir: folder.path.clone(),
        listen: ANY_PORT,
        memory_max: args.memory_max,
        on: args.load.on,
        config: args.config.clone(),
    };
    let earlier = progress.lines;
    let note = |progress: &mut Progress, server: &Server| {
        args.progress.as_deref().map_or(Ok(()), |path| progress.write(path, server.clock()))
    };
    let (server, _) = Server::start(&options, progress.clock()).await?;
    let before = read_summaries(&server.url, 0).await?;
    if earlier > 0 && before.is_empty() {
        let (earlier, data) = (thousands(earlier), folder.path.display());
        let why = "--progress and --data-dir are not of the same run";
        return Err(format!("{data} holds nothing, after {earlier} lines: {why}").into());
    }
    note(&mut progress, &server)?;
    let mut watch = Watch::new(args, &folder.path, server.id(), earlier);
    let lines = args.lines.saturating_sub(earlier).div_ceil(args.load.connections.into());
    let lanes = lanes.into_iter().map(|lane| (lane, Work::Plan { lines }));
    let time_max = args.seconds.map(Duration::from_secs);
    let mut on_window = |window: &Window, meter: &Meter| watch.window(window, meter);
    let Driven { mut lanes, meter, end } =
        drive(load, &server.url, lanes.collect(), time_max, &mut on_window).await?;

    progress.end(meter.counts.lines, &lanes);
    note(&mut progress, &server)?;
    let is_fault = matches!(end, Some(End::Fault(_)));
    let mut wrong = mismatches(&mut lanes);
    let mut report = Report::new(args.lines, args.memory_max.0, settings, &meter, wrong.count);
    report.earlier_lines = earlier;
    report.ended = end.map(End::into_words);
    if report.ended.is_none() && progress.lines < args.lines {
        report.ended = args.seconds.map(|seconds| format!("{seconds} s were over"));
    }
    if let Some(ended) = &report.ended {
        tracing::warn!("ended before all lines were sent: {ended}");
    }
    report.resident_bytes_max = watch.resident_max();
    report.settled_s = settle(&folder.path, Duration::from_secs(args.settle)).await;
    report.disk(&folder.path);
    report.disk_bytes_max = watch.disk_max.max(report.disk_bytes.values().sum());
    report.resident_bytes_max = report.resident_bytes_max.max(watch.resident_max());
    report.watched(watch.samples);
    if is_fault {
        report.examples = wrong.examples;
        return Ok((report, true));
    }
    let told = compare_summaries(&server.url, &before, load, &lanes).await?;
    report.summary_mismatches = told.count;
    wrong.merge(told);

    let clock = server.clock();
    server.kill()?;
    let (server, took) = Server::start(&options, clock).await?;
    let (restart, told) = after_restart(args, load, &server, took, lanes, &before).await?;
    report.restart = Some(restart);
    wrong.merge(told);
    report.examples = wrong.examples;
    note(&mut progress, &server)?;
    server.stop().await?;
    Ok((report, false))
}

/// Sends a sample of all batches again: each declaration must be a replay, with the MRN that it got,
/// and the summaries must have grown by replays alone.
async fn after_restart(
    args: &LongrunArgs,
    load: &Arc<Load>,
    server: &Server,
    took: Duration,
    lanes: Vec<Lane>,
    before: &Before,
) -> Result<(Restart, Mismatches), Failure> {
    let each = args.sample.div_ceil(lanes.len().max(1) as u64);
    let work = lanes.into_iter().map(|lane| {
        let mut random = Random::keyed(&[lane.id, lane.next]);
        let batches = (0..each.min(lane.next)).map(|_| random.below(lane.next));
        let batches = batches.filter(|&batch| lane.was_answered(batch)).collect();
        (lane, Work::Again(batches))
    });
    let Driven { mut lanes, meter, end } =
        drive(load, &server.url, work.collect(), None, &mut |_, _| None).await?;
    let mut wrong = mismatches(&mut lanes);
    if !matches!(end, Some(End::Fault(_))) {
        wrong.merge(compare_summaries(&server.url, before, load, &lanes).await?);
    }
    let restart = Restart {
        seconds: took.as_secs_f64(),
        resident_bytes: memory(server.id())?.resident,
        sent_again: meter.counts,
        mismatches: wrong.count,
        ended: end.map(End::into_words),
    };
    Ok((restart, wrong))
}

/// Looks at the server once a window.
struct Watch<'a> {
    data: &'a Path,
    process: u32,
    reserve: u64,
    lines: u64,
    /// Of runs before.
    earlier: u64,
    samples: Vec<Sample>,
    /// The most that the data folder ever took.
    disk_max: u64,
    /// Every so many-th window is kept.
    every: usize,
    seen: usize,
}

impl<'a> Watch<'a> {
    fn new(args: &LongrunArgs, data: &'a Path, process: u32, earlier: u64) -> Self {
        let (reserve, lines) = (args.disk_reserve.0, args.lines);
        let (samples, disk_max, every, seen) = (Vec::new(), 0, 1, 0);
        Self { data, process, reserve, lines, earlier, samples, disk_max, every, seen }
    }

    fn window(&mut self, window: &Window, meter: &Meter) -> Option<End> {
        let lines = self.earlier + meter.counts.lines;
        // A server that is gone takes nothing; that it is gone is told by its answers.
        let resident_bytes = memory(self.process).unwrap_or_default().resident;
        self.seen += 1;
        let disk_bytes = disk(self.data);
        let on_disk = disk_bytes.values().sum();
        let journal = disk_bytes.get("journal").copied().unwrap_or(0);
        self.disk_max = self.disk_max.max(on_disk);
        if self.seen.is_multiple_of(self.every) {
            self.show(window, lines, resident_bytes, (on_disk, journal));
            self.samples.push(Sample { at_s: window.until_s, lines, resident_bytes, disk_bytes });
        }
        if self.samples.len() >= SAMPLES_MAX {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
            self.every *= 2;
        }
        let free = disk_free(self.data).ok()?;
        (free < self.reserve).then(|| {
            let (free, reserve) = (thousands(free >> 20), ByteSize(self.reserve));
            End::Bound(format!("only {free} MiB are free on the disk, and {reserve} must stay so"))
        })
    }

    #[allow(clippy::print_stderr, reason = "progress, and no event")]
    fn show(&self, window: &Window, lines: u64, resident: u64, (on_disk, journal): (u64, u64)) {
        eprintln!(
            "{:>7.0} s {:>15} of {} lines {:>10}/s  p99 {:>8.2} ms  memory {:>6} MiB  disk {:>7} MiB, \
             journal {:>6}",
            window.until_s,
            thousands(lines),
            thousands(self.lines),
            thousands(window.lines_per_second),
            window.p99_ms,
            thousands(resident >> 20),
            thousands(on_disk >> 20),
            thousands(journal >> 20),
        );
    }

    fn resident_max(&self) -> u64 {
        let most = self.samples.iter().map(|sample| sample.resident_bytes).max().unwrap_or(0);
        most.max(memory(self.process).unwrap_or_default().peak)
    }
}

/// Waits until the data folder is at rest; how long that took.
async fn settle(data: &Path, at_most: Duration) -> f64 {
    let start = Instant::now();
    let (mut last, mut since) = (disk(data), start);
    while since.elapsed() < AT_REST && start.elapsed() < at_most {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = disk(data);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    since.saturating_duration_since(start).as_secs_f64()
}
