//! The load side of `waag demo`: streams a generated day to a running server over real gRPC, holds
//! every answer against the known one, and the summaries against the answers.

mod ahead;
pub mod check;
mod lane;
pub mod local;
pub mod summaries;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::{Channel, Endpoint};

use super::generate::{LoadArgs, count};
use super::show::{Table, euros, thousands};
use crate::generate::{Actor, Generator, Options, OptionsError};
use crate::proto::v1::BatchRefusal;
use check::{Mismatches, Tally};

/// Show what Waag does, on this machine, in a minute
///
/// Starts a server on a free port, streams a generated day to it through real gRPC - platforms,
/// couriers and postal operators, with replays, conflicts and invalid declarations among them -
/// checks every verdict against the known answer, and prints how each actor declared and how fast
/// it went. Ends with an error if a single answer was not as it must be.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Goods items to send; underscores are allowed, as in 1_000_000
    #[arg(long, value_name = "N", default_value = "1_000_000", value_parser = count)]
    pub lines: u64,

    /// What the declarations are like.
    #[command(flatten)]
    pub load: LoadArgs,

    /// Where the server keeps its data; a temporary folder, removed afterwards, if left out
    ///
    /// In a folder that an earlier demo with the same options has filled, everything is a replay:
    /// give another --seed.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Keep the server running afterwards, with its page for a browser, until Ctrl-C; and the temporary
    /// data folder, and say where both are
    #[arg(long)]
    pub keep: bool,

    /// Where that page is; a free port of 127.0.0.1 if left out
    #[arg(long, value_name = "ADDRESS", requires = "keep", value_parser = loopback)]
    pub web: Option<SocketAddr>,

    /// Connections to send through; all batches of an actor go through the same one
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub connections: u16,

    /// Print one JSON object on one line, and nothing else to standard output
    #[arg(long)]
    pub json: bool,
}

/// Reads an address for clap.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| format!("{text:?} is no address: write it as 127.0.0.1:8080"))?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!("{address} is not on loopback: a demo lets anyone read"))
}

impl DemoArgs {
    /// What to drive a server with.
    #[must_use]
    pub fn drive_options(&self) -> DriveOptions {
        DriveOptions { load: self.load.options(self.lines), connections: self.connections }
    }
}

/// What to drive a server with.
#[derive(Debug, Clone)]
pub struct DriveOptions {
    /// What to send.
    pub load: Options,
    /// Through how many connections; 0 counts as 1.
    pub connections: u16,
}

/// Why driving a server ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// An option outside its bounds.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// No connection.
    #[error("cannot connect to {url}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// A call failed.
    #[error("{call} failed")]
    Call {
        /// The method.
        call: &'static str,
        /// The server's answer.
        source: Box<tonic::Status>,
    },
    /// A batch was refused, and sending it again will not help.
    #[error("batch {batch_id} was refused (code {}): {} {}", refusal.code, refusal.message, refusal.field)]
    Refused {
        /// The batch.
        batch_id: String,
        /// What the server said.
        refusal: BatchRefusal,
    },
    /// An answer with nothing in it.
    #[error("batch {batch_id} got an answer that is neither verdicts nor a refusal")]
    Empty {
        /// The batch.
        batch_id: String,
    },
    /// An answer to nothing.
    #[error("the server answered a batch that was not sent")]
    Unasked,
    /// The stream ended with batches unanswered.
    #[error("the server closed the stream before it had answered every batch")]
    Closed,
    /// A task of ours ended in a panic.
    #[error("a task ended unexpectedly")]
    Task {
        /// Which.
        source: tokio::task::JoinError,
    },
}

impl DriveError {
    fn call(call: &'static str, status: tonic::Status) -> Self {
        Self::Call { call, source: Box::new(status) }
    }
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// Goods items sent, of every outcome.
    pub lines: u64,
    /// Declarations sent.
    pub declarations: u64,
    /// Batches sent.
    pub batches: u64,
    /// Declarants.
    pub actors: u64,
    /// Declarations by outcome, as the server answered.
    pub accepted: u64,
    /// See `accepted`.
    pub rejected: u64,
    /// See `accepted`.
    pub replayed: u64,
    /// See `accepted`.
    pub conflicts: u64,
    /// Goods items of accepted declarations.
    pub accepted_lines: u64,
    /// Answers that were not as they must be, repeated MRNs included.
    pub mismatches: u64,
    /// Figures of summaries that are not what the answers add up to.
    pub summary_mismatches: u64,
    /// Batches that were refused for the moment and sent again.
    pub refusals: u64,
    /// From the first batch sent to the last answer.
    pub seconds: f64,
    /// Goods items sent, by that time.
    pub lines_per_second: u64,
    /// From handing a batch over to its durable answer, with many under way; half took less.
    pub batch_latency_ms_p50: f64,
    /// See `batch_latency_ms_p50`; 99 in 100 took less.
    pub batch_latency_ms_p99: f64,
    /// The last record that was answered.
    pub watermark: u64,
    /// The first mismatches in words.
    #[serde(skip)]
    pub examples: Vec<String>,
    /// How each actor declared, the largest first.
    #[serde(skip)]
    pub table: Vec<ActorRow>,
}

/// One actor in the table.
#[derive(Debug, Clone)]
pub struct ActorRow {
    /// EORI.
    pub declarant: String,
    /// What it is, and how it misbehaves.
    pub about: String,
    /// Declarations by outcome.
    pub accepted: u64,
    /// See `accepted`.
    pub rejected: u64,
    /// See `accepted`.
    pub replayed: u64,
    /// See `accepted`.
    pub conflicts: u64,
    /// Goods items accepted.
    pub lines: u64,
    /// Intrinsic value of these.
    pub value_eur_cents: u64,
    /// Duty on these.
    pub duty_eur_cents: u64,
}

impl ActorRow {
    fn new(actor: &Actor, tally: &Tally) -> Self {
        let about = match actor.habit {
            Some(habit) => format!("{}, {}", actor.trade.name(), habit.name()),
            None => actor.trade.name().to_owned(),
        };
        Self {
            declarant: actor.eori.clone(),
            about,
            accepted: tally.accepted,
            rejected: tally.rejected,
            replayed: tally.replayed,
            conflicts: tally.conflicts,
            lines: tally.accepted_lines,
            value_eur_cents: tally.value_eur_cents,
            duty_eur_cents: tally.duty_eur_cents,
        }
    }
}

/// Streams what `options` describe to the server at `url` and checks all that comes back. The
/// server may hold other declarations already, and the summaries are compared by how they grew,
/// but nobody else may lodge at the same time under the same EORIs.
///
/// # Errors
/// An option outside its bounds, a server that cannot be reached, fails or refuses. Answers that
/// are not as they must be are no error here: they are counted in the report.
pub async fn drive(
    url: &str,
    options: &DriveOptions,
    progress: &ProgressBar,
) -> Result<DemoReport, DriveError> {
    let generator = Generator::new(&options.load)?;
    let actors = generator.actors().to_vec();
    let lanes = usize::from(options.connections.max(1)).min(actors.len());
    let mut channels = Vec::new();
    for _ in 0..lanes {
        channels.push(connect(url).await?);
    }
    let reading = connect(url).await?;
    let before = summaries::read(reading.clone(), 0).await?;

    let lane_of = spread(&actors, lanes);
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..lanes).map(|_| mpsc::unbounded_channel()).unzip();
    let (ready, prepared) = oneshot::channel();
    progress.set_message("generating");
    let generating = {
        let (runtime, progress) = (Handle::current(), progress.clone());
        tokio::task::spawn_blocking(move || {
            ahead::generate(generator, &lane_of, &senders, &runtime, ready, &progress);
        })
    };
    // An error means that the generator has stopped, which waiting for it will tell.
    let _ = prepared.await;
    progress.reset();
    progress.set_message("lodging");

    let start = Instant::now();
    let tasks: Vec<_> = channels
        .into_iter()
        .zip(receivers)
        .map(|(channel, batches)| tokio::spawn(lane::run(channel, batches, progress.clone())))
        .collect();
    let mut seen = lane::Seen::default();
    for task in tasks {
        let one = task.await.map_err(|source| DriveError::Task { source })??;
        seen.merge(one);
    }
    let took = start.elapsed();
    generating.await.map_err(|source| DriveError::Task { source })?;

    progress.set_message("reading summaries");
    let repeated = check::repeated_mrns(seen.books.values_mut());
    for _ in 0..repeated {
        seen.mismatches.add(|| "an MRN was given to more than one declaration".to_owned());
    }
    let after = summaries::read(reading, seen.watermark).await?;
    let mut wrong = Mismatches::default();
    let mut table = Vec::new();
    let mut total = Tally::default();
    for actor in &actors {
        let tally = seen.books.get(&actor.index).map(|book| book.tally).unwrap_or_default();
        let id = actor.eori.as_str();
        summaries::compare(id, before.get(id), after.get(id), &tally, &mut wrong);
        table.push(ActorRow::new(actor, &tally));
        total.accepted += tally.accepted;
        total.rejected += tally.rejected;
        total.replayed += tally.replayed;
        total.conflicts += tally.conflicts;
        total.accepted_lines += tally.accepted_lines;
    }
    Ok(report(seen, total, wrong, table, took))
}

fn report(
    mut seen: lane::Seen,
    total: Tally,
    wrong: Mismatches,
    table: Vec<ActorRow>,
    took: Duration,
) -> DemoReport {
    seen.latencies_us.sort_unstable();
    let latency = |percent: usize| {
        let place = seen.latencies_us.len() * percent / 100;
        let last = seen.latencies_us.len().saturating_sub(1);
        f64::from(seen.latencies_us.get(place.min(last)).copied().unwrap_or(0)) / 1_000.0
    };
    let (summary_mismatches, mismatches) = (wrong.count, seen.mismatches.count);
    let (p50, p99) = (latency(50), latency(99));
    let mut examples = seen.mismatches;
    examples.merge(wrong);
    let nanos = took.as_nanos().max(1);
    let per_second = u128::from(seen.lines) * 1_000_000_000 / nanos;
    DemoReport {
        lines: seen.lines,
        declarations: seen.declarations,
        batches: seen.batches,
        actors: table.len() as u64,
        accepted: total.accepted,
        rejected: total.rejected,
        replayed: total.replayed,
        conflicts: total.conflicts,
        accepted_lines: total.accepted_lines,
        mismatches,
        summary_mismatches,
        refusals: seen.refusals,
        seconds: took.as_secs_f64(),
        lines_per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
        batch_latency_ms_p50: p50,
        batch_latency_ms_p99: p99,
        watermark: seen.watermark,
        examples: examples.examples,
        table,
    }
}

/// Connects; answers may be 4 MiB, and a window holds a few of them.
///
/// # Errors
/// Where nobody listens there.
pub async fn connect(url: &str) -> Result<Channel, DriveError> {
    let failed = |source| DriveError::Connect { url: url.to_owned(), source };
    Endpoint::from_shared(url.to_owned())
        .map_err(failed)?
        .connect_timeout(Duration::from_secs(10))
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(16 << 20)
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(failed)
}

/// Which lane each actor sends through: the largest first, each to the lane with least to carry.
fn spread(actors: &[Actor], lanes: usize) -> Vec<usize> {
    let mut carried = vec![0_u64; lanes];
    actors
        .iter()
        .map(|actor| {
            let least = carried.iter().enumerate().min_by_key(|(_, carried)| **carried);
            let lane = least.map_or(0, |(lane, _)| lane);
            if let Some(carried) = carried.get_mut(lane) {
                *carried += actor.weight;
            }
            lane
        })
        .collect()
}

impl lane::Seen {
    fn merge(&mut self, other: Self) {
        self.books.extend(other.books);
        self.mismatches.merge(other.mismatches);
        self.batches += other.batches;
        self.declarations += other.declarations;
        self.lines += other.lines;
        self.refusals += other.refusals;
        self.latencies_us.extend(other.latencies_us);
        self.watermark = self.watermark.max(other.watermark);
    }
}

impl DemoReport {
    /// Whether every answer and every summary was as it must be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.mismatches == 0 && self.summary_mismatches == 0
    }

    /// One JSON object on one line.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// The table of actors and what it came to, for people.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let mut table = Table::new(&[
            "<Declarant",
            "<What it is",
            "Accepted",
            "Rejected",
            "Replays",
            "Conflicts",
            "Lines",
            "Value EUR",
        ]);
        for row in &self.table {
            table.row(vec![
                row.declarant.clone(),
                row.about.clone(),
                thousands(row.accepted),
                thousands(row.rejected),
                thousands(row.replayed),
                thousands(row.conflicts),
                thousands(row.lines),
                thousands(row.value_eur_cents / 100),
            ]);
        }
        table.write(out)?;
        writeln!(out)?;
        writeln!(
            out,
            "{} lines in {} declarations of {} actors: {} accepted, {} rejected, {} replayed, {} \
             in conflict",
            thousands(self.lines),
            thousands(self.declarations),
            thousands(self.actors),
            thousands(self.accepted),
            thousands(self.rejected),
            thousands(self.replayed),
            thousands(self.conflicts),
        )?;
        let sum = |of: fn(&ActorRow) -> u64| self.table.iter().map(of).sum();
        writeln!(
            out,
            "Accepted: {} lines worth EUR {}, duty EUR {}",
            thousands(self.accepted_lines),
            euros(sum(|row| row.value_eur_cents)),
            euros(sum(|row| row.duty_eur_cents)),
        )?;
        writeln!(
            out,
            "{} lines per second in {:.2} s, each answer durable",
            thousands(self.lines_per_second),
            self.seconds,
        )?;
        writeln!(
            out,
            "A batch took {:.1} ms, with many under way; 99 in 100 less than {:.1} ms",
            self.batch_latency_ms_p50, self.batch_latency_ms_p99,
        )?;
        if self.is_clean() {
            return writeln!(out, "Every verdict and every summary was as it must be.");
        }
        writeln!(
            out,
            "{} verdicts and {} figures of summaries were NOT as they must be; the first:",
            thousands(self.mismatches),
            thousands(self.summary_mismatches),
        )?;
        if self.replayed == self.declarations {
            writeln!(out, "All of it was lodged before: another --seed gives other declarations.")?;
        }
        self.write_examples(out)
    }

    /// The first mismatches, one to a line.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_examples(&self, out: &mut impl Write) -> io::Result<()> {
        self.examples.iter().try_for_each(|example| writeln!(out, "  {example}"))
    }
}
