//! `waag-load outage`: what a declarant notices of an outage of the service behind its spool.
//!
//! A service and a spool of our own. Batches are lodged with the spool at a steady rate; the service is killed in
//! the middle of it, is away, and comes back; the load goes on. Measured are the receipts, by phase, and how
//! fast what waited is forwarded; at the end `waag spool reconcile` holds the spool's figures against the service's.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::sync::Semaphore;
use tonic::transport::Channel;
use waag::command::generate::{count, day};
use waag::command::show::thousands;
use waag::command::{Failure, output, runtime};
use waag::config::ByteSize;
use waag::day::Day;
use waag::generate::{Generator, LINES_MAX, Options};
use waag::proto::v1::spool_client::SpoolClient;
use waag::proto::v1::{GetReconciliationRequest, GetStatusRequest, GetStatusResponse};

use super::meter::{Latencies, Latency, per_second};
use super::report::{Folder, write_json};
use super::server::{ANY_PORT, Server, ServerOptions, program};

/// Calls under way at once. Past that they wait, and that counts as latency.
const CALLS_MAX: usize = 256;
/// What waited is forwarded by then, or never.
const DRAIN_MAX: Duration = Duration::from_secs(1_200);
const PHASES: [&str; 3] = ["before", "outage", "after"];

/// Lodge with a spool at a steady rate while the service is killed and comes back, and report what was noticed
///
/// Exit code 1 where a batch got no receipt, or the figures of spool and service differ.
#[derive(Debug, Args)]
pub(crate) struct OutageArgs {
    /// Lines a second
    #[arg(long, value_name = "LINES", default_value = "20_000", value_parser = count)]
    rate: u64,

    /// Declarations in each batch
    #[arg(long, value_name = "N", default_value_t = 200)]
    batch: u32,

    /// How long the service is there at first
    #[arg(long, value_name = "S", default_value_t = 30)]
    before: u64,

    /// How long it is away
    #[arg(long, value_name = "S", default_value_t = 300)]
    outage: u64,

    /// How long the load goes on after it came back
    #[arg(long, value_name = "S", default_value_t = 30)]
    after: u64,

    /// Memory of the service
    #[arg(long, value_name = "SIZE", default_value = "3GiB")]
    memory_max: ByteSize,

    /// Where both keep their data; a temporary folder, removed afterwards, if left out
    #[arg(long, value_name = "DIR")]
    data_dir: Option<std::path::PathBuf>,

    /// Declarants, the n-th sending an n-th of what the first does
    #[arg(long, value_name = "N", default_value_t = 35)]
    actors: u32,

    /// The day on whose law the declarations are in good order
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2026-11-05", value_parser = day)]
    on: Day,

    /// Print one JSON object on standard output at the end
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    lines_per_second_asked: u64,
    declarations_per_batch: u32,
    outage_s: u64,
    batches: u64,
    declarations: u64,
    lines: u64,
    /// Batches without a receipt, and the first reason.
    without_receipt: u64,
    first_failure: Option<String>,
    /// From the moment a batch was due to its receipt, by phase.
    receipts: Vec<(&'static str, Latency)>,
    /// Waiting when the service answered again.
    waiting_declarations: u64,
    /// From then until nothing waited, while the load went on.
    drain_s: f64,
    /// Declarations answered in that time, by the second.
    drained_per_second: u64,
    /// Declarations of which the spool has a receipt, by its own figures.
    received: u64,
    reconciled: bool,
    /// As `waag spool reconcile --json` prints it.
    reconciliation: serde_json::Value,
}

impl Report {
    fn is_clean(&self) -> bool {
        self.reconciled && self.without_receipt == 0 && self.received == self.declarations
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (batches, declarations) = (thousands(self.batches), thousands(self.declarations));
        writeln!(
            out,
            "{batches} batches of {declarations} declarations ({} lines), {} without a receipt",
            thousands(self.lines),
            self.without_receipt
        )?;
        for (phase, latency) in &self.receipts {
            writeln!(
                out,
                "receipts {phase:<7} p50 {:>7.2} ms   p99 {:>7.2} ms   p99.9 {:>7.2} ms   max {:>7.2} ms",
                latency.p50_ms, latency.p99_ms, latency.p99_9_ms, latency.max_ms
            )?;
        }
        writeln!(
            out,
            "{} declarations waited; {:.1} s until none did, {} declarations/s",
            thousands(self.waiting_declarations),
            self.drain_s,
            thousands(self.drained_per_second)
        )?;
        let is_so = if self.reconciled { "reconciled with the service" } else { "NOT RECONCILED" };
        writeln!(out, "{} declarations received by the spool: {is_so}", thousands(self.received))
    }
}

/// Runs it and reports.
///
/// # Errors
/// Where something does not start, a batch has no receipt, or the figures differ.
pub(crate) fn run(args: &OutageArgs) -> Result<(), Failure> {
    let report = runtime()?.block_on(measure(args))?;
    if args.json {
        write_json(Path::new("-"), &report)?;
    } else {
        output(|out| report.write(out))?;
    }
    if report.is_clean() {
        return Ok(());
    }
    let first = report.first_failure.unwrap_or_else(|| "the figures differ".into());
    Err(format!("the outage was not without loss: {first}").into())
}

async fn measure(args: &OutageArgs) -> Result<Report, Failure> {
    let folder = Folder::new(args.data_dir.as_deref())?;
    let mut options = ServerOptions {
        data_dir: folder.path.join("service"),
        listen: ANY_PORT,
        memory_max: args.memory_max,
        on: args.on,
        config: None,
    };
    let (service, _) = Server::start(&options, Duration::ZERO).await?;
    options.listen = service.address()?;
    let to = service.url.clone();
    let spool = Server::start_spool(&folder.path.join("spool"), &to, args.on).await?;
    let channel = waag::command::demo::connect(&spool.url).await?;
    let load = Arc::new(Load::new(args, SpoolClient::new(channel.clone()))?);

    let sending = tokio::spawn(Arc::clone(&load).send());
    tokio::time::sleep_until((load.start + load.ends[0]).into()).await;
    let clock = service.clock();
    service.kill()?;
    tracing::info!("the service is killed");
    tokio::time::sleep_until((load.start + load.ends[1]).into()).await;
    let later = clock + Duration::from_secs(args.outage);
    let (service, _) = Server::start(&options, later).await?;
    tracing::info!("the service is back");
    let back = Instant::now();
    let mut client = SpoolClient::new(channel);
    let waiting = status(&mut client).await?.waiting_declarations;
    let lodged = load.declarations.load(Ordering::Relaxed);
    while status(&mut client).await?.waiting_batches > 0 && back.elapsed() < DRAIN_MAX {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let drain_s = back.elapsed().as_secs_f64();
    let drained = waiting + load.declarations.load(Ordering::Relaxed) - lodged;
    let lines = sending.await??;
    while status(&mut client).await?.waiting_batches > 0 && back.elapsed() < DRAIN_MAX {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let own = client.get_reconciliation(GetReconciliationRequest::default()).await?.into_inner();
    let (reconciled, reconciliation) = reconcile(&spool.url, &to)?;
    let report = load.report(args, lines)?;
    spool.stop().await?;
    service.stop().await?;
    Ok(Report {
        waiting_declarations: waiting,
        drain_s,
        drained_per_second: per_second(drained, drain_s),
        received: own.reconciliations.iter().map(|row| row.received).sum(),
        reconciled,
        reconciliation,
        ..report
    })
}

async fn status(client: &mut SpoolClient<Channel>) -> Result<GetStatusResponse, Failure> {
    Ok(client.get_status(GetStatusRequest {}).await?.into_inner())
}

fn reconcile(at: &str, to: &str) -> Result<(bool, serde_json::Value), Failure> {
    let mut command = Command::new(program()?);
    let output = command.args(["spool", "reconcile", "--at", at, "--to", to, "--json"]).output()?;
    let told = serde_json::from_slice(&output.stdout).map_err(|_| {
        format!("waag spool reconcile: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    Ok((output.status.success(), told))
}

/// What is lodged, when, and what came of it.
struct Load {
    generator: Options,
    client: SpoolClient<Channel>,
    rate: u64,
    start: Instant,
    /// When each phase ends, from the start.
    ends: [Duration; 3],
    latencies: Mutex<[Latencies; 3]>,
    batches: AtomicU64,
    declarations: AtomicU64,
    without_receipt: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Load {
    fn new(args: &OutageArgs, client: SpoolClient<Channel>) -> Result<Self, Failure> {
        let before = Duration::from_secs(args.before);
        let away = before + Duration::from_secs(args.outage);
        let ends = [before, away, away + Duration::from_secs(args.after)];
        if args.rate == 0 {
            return Err("--rate is 0: say how many lines a second, as 20_000".into());
        }
        let lines = args.rate.saturating_mul(ends[2].as_secs() + 1).min(LINES_MAX);
        let (actors, batch) = (args.actors, args.batch);
        let generator = Options { lines, actors, batch, ..Options::on(args.on) };
        generator.check()?;
        let new = Latencies::new;
        Ok(Self {
            generator,
            client,
            rate: args.rate,
            start: Instant::now(),
            ends,
            latencies: Mutex::new([new()?, new()?, new()?]),
            batches: AtomicU64::new(0),
            declarations: AtomicU64::new(0),
            without_receipt: AtomicU64::new(0),
            first_failure: Mutex::new(None),
        })
    }

    /// Lodges until the last phase ends; how many lines.
    async fn send(self: Arc<Self>) -> Result<u64, Failure> {
        let calls = Arc::new(Semaphore::new(CALLS_MAX));
        let mut lines = 0;
        for batch in Generator::new(&self.generator)? {
            let due = Duration::from_nanos(1_000_000_000_u64.saturating_mul(lines) / self.rate);
            let Some(phase) = self.ends.iter().position(|end| due < *end) else { break };
            lines += batch.lines;
            tokio::time::sleep_until((self.start + due).into()).await;
            let (of, mut client) = (Arc::clone(&self), self.client.clone());
            let call = Arc::clone(&calls).acquire_owned().await?;
            tokio::spawn(async move {
                let declarations = batch.request.declarations.len() as u64;
                let came = client.lodge(batch.request).await;
                of.note(phase, due, declarations, came.err());
                drop(call);
            });
        }
        let all = u32::try_from(CALLS_MAX).unwrap_or(u32::MAX);
        drop(calls.acquire_many(all).await?);
        Ok(lines)
    }

    fn note(&self, phase: usize, due: Duration, declarations: u64, failed: Option<tonic::Status>) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.declarations.fetch_add(declarations, Ordering::Relaxed);
        if let Some(status) = failed {
            self.without_receipt.fetch_add(1, Ordering::Relaxed);
            let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| format!("{}: {}", status.code(), status.message()));
            return;
        }
        let took = self.start.elapsed().saturating_sub(due);
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(latencies) = latencies.get_mut(phase) {
            latencies.record(took);
        }
    }

    /// What is known of the load itself.
    fn report(&self, args: &OutageArgs, lines: u64) -> Result<Report, Failure> {
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Report {
            lines_per_second_asked: self.rate,
            declarations_per_batch: args.batch,
            outage_s: args.outage,
            batches: self.batches.load(Ordering::Relaxed),
            declarations: self.declarations.load(Ordering::Relaxed),
            lines,
            without_receipt: self.without_receipt.load(Ordering::Relaxed),
            first_failure: first.clone(),
            receipts: PHASES.into_iter().zip(latencies.iter().map(Latencies::read)).collect(),
            waiting_declarations: 0,
            drain_s: 0.0,
            drained_per_second: 0,
            received: 0,
            reconciled: false,
            reconciliation: serde_json::Value::Null,
        })
    }
}
