//! `waag reconciliation`: what became of fallback lodgements, read from a running server.

use std::io::{self, BufWriter, Write};

use clap::Args;

use super::connecting::{ConnectArgs, ConnectArgsError};
use super::show::{Table, euros, thousands, unless_broken_pipe};
use super::summary::{CALL_MAX, PAGE, days, period};
use crate::client::Connection;
use crate::proto::v1::compliance_client::ComplianceClient;
use crate::proto::v1::{ListReconciliationsRequest, Period, Reconciliation};

/// Show what became of declarations first taken in under the emergency procedure, by reference
///
/// While the service is down, declarations are taken in on paper or into a file of one's own, under a
/// reference; afterwards they are lodged with that reference. These are the figures of what arrived so:
/// compare "Received", less "Replays", with what was taken in.
///
///   waag reconciliation --declarant NL810000003
///   waag reconciliation --declarant NL810000003 --reference "Outage 5 November"
///   waag reconciliation --declarant NL810000003 --period 2026-11-01..2026-11-30 --json
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ReconciliationArgs {
    /// Where the server listens
    #[arg(
        long,
        visible_alias = "at",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    pub from: String,

    /// Whose declarations: an EORI
    #[arg(long, value_name = "EORI")]
    pub declarant: String,

    /// Those with this fallback reference; without it, by reference
    #[arg(long, value_name = "REFERENCE")]
    pub reference: Option<String>,

    /// Days of arrival, first and last included; either may be left out, and one day may stand alone
    #[arg(long, value_name = "A..B", value_parser = period)]
    pub period: Option<Period>,

    /// Print protobuf JSON, one reference to a line
    #[arg(long)]
    pub json: bool,

    /// Wait until the figures contain at least so many records
    ///
    /// Every answer to a batch names its watermark; figures read with it contain that batch.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub at_least_watermark: u64,

    /// TLS and identity
    #[command(flatten)]
    pub connection: ConnectArgs,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconciliationError {
    /// The server cannot be reached, or not as the flags say.
    #[error("--from {0}")]
    Connect(#[from] ConnectArgsError),
    /// There is no such declarant.
    #[error(
        "the server knows no declarant {declarant}: nothing of it has arrived; `waag summary` lists those \
         it knows"
    )]
    Unknown {
        /// Its EORI.
        declarant: String,
    },
    /// Nothing came with the reference that was asked for.
    #[error(
        "nothing of {declarant} has arrived with the fallback reference {reference:?} ({days}): \
         without --reference all are shown"
    )]
    NoSuchReference {
        /// Whose.
        declarant: String,
        /// Which.
        reference: String,
        /// The days that were asked for.
        days: String,
    },
    /// The server does not have what was waited for.
    #[error("the server holds no {watermark} records yet: ask for a lower --at-least-watermark")]
    TooEarly {
        /// What was waited for.
        watermark: u64,
    },
    /// The call failed.
    #[error("the server at {url} says {}: {}", status.code(), status.message())]
    Call {
        /// Where.
        url: String,
        /// The server's answer.
        status: Box<tonic::Status>,
    },
    /// Standard output cannot be written.
    #[error("standard output: cannot be written")]
    Write(#[from] io::Error),
}

/// Reads and prints.
///
/// # Errors
/// No server, no such declarant or reference, a call that fails. A reader of standard output that goes
/// away is none.
pub async fn run(args: &ReconciliationArgs) -> Result<(), ReconciliationError> {
    let server = args.connection.server(&args.from)?.with_call_max(CALL_MAX);
    let connection = server.connect().await.map_err(ConnectArgsError::from)?;
    let mut client = ComplianceClient::new(connection);
    let (found, watermark) = list(&mut client, args).await?;
    if let (Some(reference), true) = (&args.reference, found.is_empty()) {
        return Err(ReconciliationError::NoSuchReference {
            declarant: args.declarant.clone(),
            reference: reference.clone(),
            days: days(args.period.as_ref()),
        });
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if args.json {
        found.iter().try_for_each(|one| write_json(one, &mut out))
    } else {
        write_all(args, &found, watermark, &mut out)
    };
    unless_broken_pipe(written.and_then(|()| out.flush()))?;
    Ok(())
}

async fn list(
    client: &mut ComplianceClient<Connection>,
    args: &ReconciliationArgs,
) -> Result<(Vec<Reconciliation>, u64), ReconciliationError> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListReconciliationsRequest {
            declarant: args.declarant.clone(),
            reference: args.reference.clone().unwrap_or_default(),
            period: args.period.clone(),
            at_least_watermark: args.at_least_watermark,
            page_size: PAGE,
            page_token,
        };
        let page = client.list_reconciliations(request).await;
        let page = page.map_err(|status| failed(args, status))?.into_inner();
        found.extend(page.reconciliations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok((found, page.watermark));
        }
    }
}

fn failed(args: &ReconciliationArgs, status: tonic::Status) -> ReconciliationError {
    match status.code() {
        tonic::Code::NotFound => ReconciliationError::Unknown { declarant: args.declarant.clone() },
        tonic::Code::DeadlineExceeded if args.at_least_watermark > 0 => {
            ReconciliationError::TooEarly { watermark: args.at_least_watermark }
        }
        _ => ReconciliationError::Call { url: args.from.clone(), status: Box::new(status) },
    }
}

fn write_json(one: &Reconciliation, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, one)?;
    writeln!(out)
}

fn write_all(
    args: &ReconciliationArgs,
    found: &[Reconciliation],
    watermark: u64,
    out: &mut impl Write,
) -> io::Result<()> {
    let (days, watermark) = (days(args.period.as_ref()), thousands(watermark));
    writeln!(out, "Declarant {}, {days}, at watermark {watermark}\n", args.declarant)?;
    let mut table = Table::new(&[
        "<Reference",
        "Received",
        "Accepted",
        "Rejected",
        "Replays",
        "Conflicts",
        "Late",
        "Lines",
        "Value EUR",
    ]);
    for one in found {
        table.row(vec![
            one.reference.clone(),
            thousands(one.received),
            thousands(one.accepted),
            thousands(one.rejected),
            thousands(one.replayed),
            thousands(one.conflicts),
            thousands(one.late),
            thousands(one.accepted_lines),
            euros(one.intrinsic_value_eur_cents),
        ]);
    }
    table.write(out)?;
    if let [one] = found {
        write_delays(one, out)?;
    }
    let count = thousands(found.len() as u64);
    writeln!(out, "\n{count} references. Late: arrived more than 24 hours after the first lodging.")
}

/// Of one reference, how long what is no replay was under way.
fn write_delays(one: &Reconciliation, out: &mut impl Write) -> io::Result<()> {
    const CLASSES: [&str; 6] = [
        "up to 1 hour",
        "up to 4 hours",
        "up to 24 hours",
        "up to 72 hours",
        "up to 7 days",
        "longer",
    ];
    let mut table = Table::new(&["<From first lodging to arrival", "Declarations"]);
    for (class, count) in CLASSES.iter().zip(&one.delay_histogram) {
        table.row(vec![(*class).to_owned(), thousands(*count)]);
    }
    writeln!(out)?;
    table.write(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn args() -> ReconciliationArgs {
        ReconciliationArgs {
            // A port that nothing listens on: reserved, and never given out to a program.
            from: "http://127.0.0.1:1".to_owned(),
            declarant: "NL810000003".to_owned(),
            reference: None,
            period: None,
            json: false,
            at_least_watermark: 0,
            connection: ConnectArgs::default(),
        }
    }

    fn one(reference: &str) -> Reconciliation {
        Reconciliation {
            declarant: "NL810000003".to_owned(),
            reference: reference.to_owned(),
            received: 1_007,
            accepted: 1_000,
            rejected: 4,
            replayed: 2,
            conflicts: 1,
            late: 3,
            accepted_lines: 2_000,
            intrinsic_value_eur_cents: 1_234_567,
            delay_histogram: vec![1_000, 1, 1, 2, 1, 0],
        }
    }

    fn shown(found: &[Reconciliation]) -> String {
        let mut out = Vec::new();
        write_all(&args(), found, 1_234, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_reference_with_its_delays_and_several_without() {
        let text = shown(&[one("NOOD-7")]);
        for part in [
            "Declarant NL810000003, all days, at watermark 1,234\n",
            "NOOD-7        1,007     1,000         4        2          1     3  2,000  12,345.67\n",
            "up to 72 hours                            2\n",
            "1 references. Late:",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        let text = shown(&[one("A"), one("B")]);
        assert!(text.contains("2 references.") && !text.contains("up to 72 hours"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[tokio::test]
    async fn no_server_is_an_error_that_says_what_to_do() {
        let error = run(&args()).await.unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:1") && error.contains("waag serve"), "{error}");
    }
}
