//! `waag spool`: lodging goes on while the service is down.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use super::connecting::ConnectArgs;
use super::show::{Table, thousands};
use super::{Failure, output, runtime};
use crate::config::ByteSize;
use crate::day::Calendar;
use crate::ingest::clock::Clock;
use crate::proto::v1::spool_client::SpoolClient;
use crate::proto::v1::{
    GetReconciliationRequest, GetReconciliationResponse, GetStatusRequest, GetStatusResponse,
    Receipt,
};
use crate::spool::daemon::{self, DaemonOptions};
use crate::spool::receipt::{Key, check, hex};
use crate::spool::reconcile::{self, Compared};
use crate::spool::store::Bounds;

/// Not everything is reconciled, or a receipt does not hold.
const NOT_RECONCILED: u8 = 3;
/// Longest that the service's figures are waited for: it waits 30 s itself.
const CALL_MAX: Duration = Duration::from_secs(40);

/// Take batches in beside your own system while the service is down, and forward them
///
///   waag spool --folder spool --to http://127.0.0.1:50051
///   waag spool status --at http://127.0.0.1:50052
///   waag spool reconcile --folder spool --to http://127.0.0.1:50051
///
/// Batches are lodged with the spool as with the service (waag.v1.Lodgement), or for a signed
/// receipt each (waag.v1.Spool). Each is on the spool's disk before it is answered, and is
/// forwarded in order once the service is there; those that could not be forwarded at once get
/// a fallback with the time at which they were received.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct SpoolArgs {
    #[command(subcommand)]
    command: Option<SpoolCommand>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum SpoolCommand {
    /// How much waits, and whether the service is reachable
    Status(StatusArgs),
    /// What became of all that was lodged, beside the service's own figures; exit code 3 if they
    /// differ, or anything waits
    Reconcile(ReconcileArgs),
    /// Print the public key that receipts are signed with
    Key(KeyArgs),
    /// Check signed receipts (protobuf JSON, one a line or one a file), offline; exit code 3 if one
    /// does not hold
    CheckReceipt(CheckReceiptArgs),
}

/// The daemon's flags.
#[derive(Debug, Args)]
struct RunArgs {
    /// The spool's folder; made where it is missing. One spool at a time
    #[arg(long, value_name = "DIR", required = true)]
    folder: Option<PathBuf>,
    /// Where the service listens
    #[arg(long, value_name = "URL", required = true)]
    to: Option<String>,
    /// Address and port to listen on, on this machine only; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50052")]
    listen: SocketAddr,
    /// How much disk batches and their answers may take before batches are refused; 192MiB at least
    #[arg(long, value_name = "SIZE", default_value = "10GiB")]
    disk_max: ByteSize,
    /// How much of the disk stays free
    #[arg(long, value_name = "SIZE", default_value = "512MiB")]
    disk_reserve: ByteSize,
    /// Longest message of a batch: the service's batch_bytes_max
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    batch_max: ByteSize,
    /// How long verdicts are kept that nobody acknowledges
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    keep_verdicts_days: u32,
    /// Write the log as JSON
    #[arg(long)]
    json: bool,
    /// The time at which the spool believes it starts, local to Europe/Amsterdam; for tests
    #[arg(long, value_name = "YYYY-MM-DDThh:mm", hide = true)]
    clock: Option<String>,
    #[command(flatten)]
    connection: ConnectArgs,
}

/// Flags of `waag spool status`.
#[derive(Debug, Args)]
struct StatusArgs {
    /// Where the spool listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50052")]
    at: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Flags of `waag spool reconcile`.
#[derive(Debug, Args)]
struct ReconcileArgs {
    /// The folder of a spool that does not run
    #[arg(long, value_name = "DIR", required_unless_present = "at")]
    folder: Option<PathBuf>,
    /// Where the spool listens that runs
    #[arg(long, value_name = "URL", conflicts_with = "folder")]
    at: Option<String>,
    /// Where the service listens
    #[arg(long, value_name = "URL")]
    to: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectArgs,
}

/// Flags of `waag spool key`.
#[derive(Debug, Args)]
struct KeyArgs {
    /// The spool's folder
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
}

/// Flags of `waag spool check-receipt`.
#[derive(Debug, Args)]
struct CheckReceiptArgs {
    /// The receipts
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key that must have signed them, as `waag spool key` prints it; without it, the
    /// one that each names
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
}

impl SpoolArgs {
    /// Whether the log is for programs.
    #[must_use]
    pub fn log_is_json(&self) -> bool {
        self.command.is_none() && self.run.json
    }
}

/// Does what is asked.
///
/// # Errors
/// Where it cannot be done.
pub fn run(args: SpoolArgs) -> Result<ExitCode, Failure> {
    match args.command {
        None => serve(args.run).map(|()| ExitCode::SUCCESS),
        Some(SpoolCommand::Status(args)) => status(&args).map(|()| ExitCode::SUCCESS),
        Some(SpoolCommand::Reconcile(args)) => reconcile(&args),
        Some(SpoolCommand::Key(args)) => key(&args.folder).map(|()| ExitCode::SUCCESS),
        Some(SpoolCommand::CheckReceipt(args)) => check_receipts(&args),
    }
}

fn serve(args: RunArgs) -> Result<(), Failure> {
    let (Some(dir), Some(to)) = (args.folder, args.to) else {
        return Err("--folder and --to are missing: say where the spool is, and the service".into());
    };
    if !args.listen.ip().is_loopback() {
        return Err(format!(
            "--listen is {}: a spool knows no callers, so it listens on this machine only, as 127.0.0.1:50052",
            args.listen
        )
        .into());
    }
    if args.disk_max.0 < Bounds::DISK_BYTES_MIN {
        let least = ByteSize(Bounds::DISK_BYTES_MIN);
        return Err(format!("--disk-max is {}, and must be {least} at least", args.disk_max).into());
    }
    let batch_bytes_max = usize::try_from(args.batch_max.0).unwrap_or(usize::MAX);
    if !(1..=16 << 20).contains(&batch_bytes_max) {
        return Err(format!("--batch-max is {}, and may be 16MiB at most", args.batch_max).into());
    }
    let clock = match &args.clock {
        None => Clock::system(),
        Some(text) => {
            let calendar = Calendar::new("Europe/Amsterdam").ok_or("no time zones")?;
            let start = calendar.parse(text);
            Clock::starting_at(start.ok_or_else(|| {
                format!("--clock {text:?} is no time: write it as 2026-11-05T09:30")
            })?)
        }
    };
    let keep = Duration::from_secs(u64::from(args.keep_verdicts_days) * 86_400);
    let options = DaemonOptions {
        dir,
        listen: args.listen,
        batch_bytes_max,
        bounds: Bounds::of_disk(args.disk_max.0, args.disk_reserve.0, keep),
    };
    let server = args.connection.server(&to)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok(daemon::run(options, server, Arc::new(clock), stop).await?)
    })
}

fn status(args: &StatusArgs) -> Result<(), Failure> {
    let server = ConnectArgs::default().server(&args.at)?.with_call_max(CALL_MAX);
    let status = runtime()?.block_on(async {
        let mut client = SpoolClient::new(server.connect().await?);
        Ok::<_, Failure>(client.get_status(GetStatusRequest {}).await?.into_inner())
    })?;
    output(|out| {
        if args.json {
            return writeln!(out, "{}", serde_json::to_string(&status)?);
        }
        write_status(out, &status)
    })
}

fn write_status(out: &mut dyn Write, status: &GetStatusResponse) -> io::Result<()> {
    let oldest = Calendar::new("Europe/Amsterdam")
        .filter(|_| status.oldest_received_at_ms > 0)
        .map_or("none".to_owned(), |calendar| {
            calendar.show(crate::day::Moment(status.oldest_received_at_ms))
        });
    let reachable = if status.service_reachable { "yes" } else { "no" };
    writeln!(out, "service reachable   {reachable}")?;
    writeln!(
        out,
        "waiting             {} batches, {} declarations, {} bytes",
        thousands(status.waiting_batches),
        thousands(status.waiting_declarations),
        thousands(status.waiting_bytes)
    )?;
    writeln!(out, "oldest              {oldest}")?;
    writeln!(out, "answered and kept   {} batches", thousands(status.answered_batches))?;
    writeln!(
        out,
        "declarations/s      {:.0} received, {:.0} answered",
        status.received_per_s, status.answered_per_s
    )?;
    writeln!(
        out,
        "disk                {} of {} bytes",
        thousands(status.disk_bytes),
        thousands(status.disk_bytes_max)
    )?;
    writeln!(out, "last receipt        {}", status.last_receipt)?;
    writeln!(out, "key                 {}", hex(&status.public_key))
}

fn key(folder: &Path) -> Result<(), Failure> {
    let key = Key::open(folder, false)?;
    output(|out| writeln!(out, "{}", hex(key.public())))
}

fn check_receipts(args: &CheckReceiptArgs) -> Result<ExitCode, Failure> {
    let path = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|error| format!("{path}: {error}"))?;
    let key = args.key.as_deref().map(unhex).transpose()?;
    let mut is_sound = true;
    let mut count = 0;
    for receipt in serde_json::Deserializer::from_str(&text).into_iter::<Receipt>() {
        let receipt = receipt.map_err(|error| format!("{path}: no receipt: {error}"))?;
        count += 1;
        match check(&receipt, key.as_deref()) {
            Ok(()) => output(|out| {
                writeln!(
                    out,
                    "receipt {} holds: batch {:?} of {}, {} declarations, received at {} ms, signed by {}",
                    receipt.number,
                    receipt.batch_id,
                    receipt.declarant,
                    receipt.declarations,
                    receipt.received_at_ms,
                    hex(&receipt.public_key)
                )
            })?,
            Err(error) => {
                tracing::error!("{path}: {error}");
                is_sound = false;
            }
        }
    }
    if count == 0 {
        return Err(format!("{path} holds no receipt").into());
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { NOT_RECONCILED.into() })
}

fn unhex(text: &str) -> Result<Vec<u8>, Failure> {
    let wrong =
        || format!("--key {text:?} is none: 64 hexadecimal digits, as `waag spool key` prints");
    let digits = text.trim().as_bytes();
    if digits.len() != 64 {
        return Err(wrong().into());
    }
    let pairs = digits.chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    Ok(pairs.collect::<Option<Vec<u8>>>().ok_or_else(wrong)?)
}

fn reconcile(args: &ReconcileArgs) -> Result<ExitCode, Failure> {
    let server = args.connection.server(&args.to)?.with_call_max(CALL_MAX);
    let (response, waiting, own) = match (&args.folder, &args.at) {
        (Some(folder), _) => {
            let (response, waiting) = reconcile::of_folder(folder)?;
            (response, waiting, Key::open(folder, false)?.references())
        }
        (None, Some(at)) => of_running(at)?,
        (None, None) => return Err("neither --folder nor --at is there; say one".into()),
    };
    // Of one to whom nothing was forwarded, a malformed one say, the service knows nothing.
    let forwarded = response.reconciliations.iter().filter(|row| row.forwarded > 0);
    let mut declarants: Vec<&str> = forwarded.map(|row| row.declarant.as_str()).collect();
    declarants.dedup();
    let compared = runtime()?.block_on(async {
        let connection = server.connect().await?;
        let mut service = Vec::new();
        for declarant in declarants {
            let of = reconcile::of_service(connection.clone(), declarant, response.watermark);
            service.extend(of.await.map_err(|status| {
                format!(
                    "the service's figures of {declarant}: {}: {}",
                    status.code(),
                    status.message()
                )
            })?);
        }
        Ok::<_, Failure>(reconcile::compare(&response.reconciliations, &service, &own))
    })?;
    let is_reconciled = waiting == 0 && compared.iter().all(Compared::is_reconciled);
    output(|out| {
        if args.json {
            let whole = serde_json::json!({
                "reconciled": is_reconciled,
                "waitingBatches": waiting,
                "references": compared,
                "direct": response.reconciliations.iter().filter(|r| r.reference.is_empty()).collect::<Vec<_>>(),
            });
            return writeln!(out, "{whole}");
        }
        write_compared(out, &compared, waiting)
    })?;
    Ok(if is_reconciled { ExitCode::SUCCESS } else { NOT_RECONCILED.into() })
}

fn of_running(at: &str) -> Result<(GetReconciliationResponse, u64, String), Failure> {
    let server = ConnectArgs::default().server(at)?.with_call_max(CALL_MAX);
    runtime()?.block_on(async {
        let mut client = SpoolClient::new(server.connect().await?);
        let status = client.get_status(GetStatusRequest {}).await?.into_inner();
        let request = GetReconciliationRequest::default();
        let response = client.get_reconciliation(request).await?.into_inner();
        let own = format!("SPOOL-{}-", hex(status.public_key.get(..4).unwrap_or_default()));
        Ok((response, status.waiting_batches, own))
    })
}

fn write_compared(mut out: &mut dyn Write, compared: &[Compared], waiting: u64) -> io::Result<()> {
    let mut table = Table::new(&[
        "<Declarant",
        "<Reference",
        "<",
        "Received",
        "Forwarded",
        "Accepted",
        "Rejected",
        "Replayed",
        "Conflicts",
        "Refused",
        "Late",
    ]);
    for row in compared {
        let spool = &row.spool;
        let head = |side: &str| [spool.declarant.clone(), spool.reference.clone(), side.to_owned()];
        let ours = [
            spool.received,
            spool.forwarded,
            spool.accepted,
            spool.rejected,
            spool.replayed,
            spool.conflicts,
            spool.refused,
            spool.late,
        ];
        table.row(head("spool").into_iter().chain(ours.map(thousands)).collect());
        let none = String::new;
        let theirs = row.service.clone().unwrap_or_default();
        let [received, accepted, rejected, replayed, conflicts, late] = [
            theirs.received,
            theirs.accepted,
            theirs.rejected,
            theirs.replayed,
            theirs.conflicts,
            theirs.late,
        ]
        .map(thousands);
        let theirs = [none(), received, accepted, rejected, replayed, conflicts, none(), late];
        table.row(head("service").into_iter().chain(theirs).collect());
        let of = row.difference;
        let [received, accepted, rejected, replayed, conflicts, late] =
            [of.received, of.accepted, of.rejected, of.replayed, of.conflicts, of.late]
                .map(|number| number.to_string());
        let difference = [none(), received, accepted, rejected, replayed, conflicts, none(), late];
        table.row(head("difference").into_iter().chain(difference).collect());
    }
    table.write(&mut out)?;
    for row in compared.iter().filter(|row| row.arrived_again > 0) {
        let (again, reference) = (thousands(row.arrived_again), &row.spool.reference);
        writeln!(
            out,
            "{reference}: {again} arrived again, in batches sent again for lack of an answer"
        )?;
    }
    writeln!(out, "{} batches wait for an answer", thousands(waiting))
}
