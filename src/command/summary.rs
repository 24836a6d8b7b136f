//! `waag summary`: how actors declare, read from a running server.

mod history;

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::connecting::{ConnectArgs, ConnectArgsError};
use super::show::{Table, euros, thousands, unless_broken_pipe};
use crate::client::Connection;
use crate::day::Day;
use crate::proto::v1::compliance_client::ComplianceClient;
use crate::proto::v1::{
    Actor, ActorOrder, ActorRole, ActorSummary, GetActorSummaryRequest, Indicator,
    ListActorSummariesRequest, Period,
};

/// Show how actors declare: all of a role in a table, or one in full
///
/// Every figure is exactly what the journal holds up to the watermark that is shown. Indicators
/// are signals for a conversation or an audit, not verdicts; each stands with the numbers it was
/// computed from and, for a proportion, its 95 % interval.
///
///   waag summary
///   waag summary --actor NL830000003 --period 2026-11-01..2026-11-30
///   waag summary --role ioss-holder --json
///   waag summary --actor NL830000003 --history threshold_bunching
///   waag summary --from "$URL" --authority ca.pem --token-file token
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct SummaryArgs {
    /// Where the server listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051")]
    pub from: String,

    /// In which role the actors take part
    #[arg(long, value_enum, default_value_t = Role::Declarant)]
    pub role: Role,

    /// One actor, in full: an EORI, or the IOSS number of an IOSS holder
    #[arg(long, value_name = "ID")]
    pub actor: Option<String>,

    /// Days to count, first and last included; either may be left out, and one day may stand alone
    #[arg(long, value_name = "A..B", value_parser = period)]
    pub period: Option<Period>,

    /// Day by day, beside the median of the other actors of the role: an indicator by name, as
    /// rejection_rate, or how many declarations of each outcome if none is named
    ///
    /// Peers are those with a denominator of at least 30 that day; the actor itself is left out.
    /// Without --period it goes over the last 100 days.
    #[arg(long, value_name = "NAME", num_args = 0..=1, requires = "actor")]
    pub history: Option<Option<String>>,

    /// Print protobuf JSON, one summary to a line (or one history)
    #[arg(long)]
    pub json: bool,

    /// Wait until the summaries contain at least so many records
    ///
    /// Every answer to a batch names its watermark; a summary read with it contains that batch.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub at_least_watermark: u64,

    /// TLS and identity
    #[command(flatten)]
    pub connection: ConnectArgs,
}

/// In which role an actor takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Who answers for the declarations, by EORI
    Declarant,
    /// Who lodges them for another, by EORI
    Representative,
    /// The platform or seller behind the sale, by IOSS number
    IossHolder,
}

impl Role {
    pub(super) fn contract(self) -> ActorRole {
        match self {
            Self::Declarant => ActorRole::Declarant,
            Self::Representative => ActorRole::Representative,
            Self::IossHolder => ActorRole::IossHolder,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Declarant => "declarant",
            Self::Representative => "representative",
            Self::IossHolder => "IOSS holder",
        }
    }
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SummaryError {
    /// The server cannot be reached, or not as the flags say.
    #[error("--from {0}")]
    Connect(#[from] ConnectArgsError),
    /// There is no such actor.
    #[error("the server knows no {role} {id}: `waag summary` lists those it knows (see --role)")]
    Unknown {
        /// The role.
        role: &'static str,
        /// Its id.
        id: String,
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

/// Longer than the server waits for a watermark (30 s).
pub(super) const CALL_MAX: Duration = Duration::from_secs(40);
/// The contract's bound.
pub(super) const PAGE: u32 = 1_000;

/// Reads `2026-11-01..2026-11-30` for clap.
pub(super) fn period(text: &str) -> Result<Period, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let day = |text: &str| {
        if text.is_empty() {
            return Ok(None);
        }
        Day::parse(text)
            .map(Some)
            .ok_or_else(|| format!("{text:?} is no day of 1970 to 2149 written as 2026-11-05"))
    };
    let (first, last) = (day(first)?, day(last)?);
    if let (Some(first), Some(last)) = (first, last)
        && first > last
    {
        return Err(format!("{first} is after {last}"));
    }
    let shown = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    Ok(Period { first_day: shown(first), last_day: shown(last) })
}

type Client = ComplianceClient<Connection>;

/// Reads and prints.
///
/// # Errors
/// No server, no such actor, a call that fails. A reader of standard output that goes away is
/// none.
pub async fn run(args: &SummaryArgs) -> Result<(), SummaryError> {
    let server = args.connection.server(&args.from)?.with_call_max(CALL_MAX);
    let connection = server.connect().await.map_err(ConnectArgsError::from)?;
    let mut client = ComplianceClient::new(connection);
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match &args.actor {
        Some(id) if args.history.is_some() => {
            let name = args.history.clone().flatten();
            let history = history::get(&mut client, args, id, name.as_deref()).await?;
            if args.json {
                write_json(&history, &mut out)
            } else {
                history::write(&history, name.as_deref(), &mut out)
            }
        }
        Some(id) => {
            let summary = get(&mut client, args, id).await?;
            if args.json { write_json(&summary, &mut out) } else { write_full(&summary, &mut out) }
        }
        None => {
            let (summaries, watermark) = list(&mut client, args).await?;
            if args.json {
                summaries.iter().try_for_each(|summary| write_json(summary, &mut out))
            } else {
                write_list(args.role, &summaries, watermark, &mut out)
            }
        }
    };
    unless_broken_pipe(written.and_then(|()| out.flush()))?;
    Ok(())
}

fn failed(args: &SummaryArgs, status: tonic::Status) -> SummaryError {
    match (status.code(), &args.actor) {
        (tonic::Code::NotFound, Some(id)) => {
            SummaryError::Unknown { role: args.role.name(), id: id.clone() }
        }
        (tonic::Code::DeadlineExceeded, _) if args.at_least_watermark > 0 => {
            SummaryError::TooEarly { watermark: args.at_least_watermark }
        }
        _ => SummaryError::Call { url: args.from.clone(), status: Box::new(status) },
    }
}

async fn get(
    client: &mut Client,
    args: &SummaryArgs,
    id: &str,
) -> Result<ActorSummary, SummaryError> {
    let request = GetActorSummaryRequest {
        actor: Some(Actor { role: args.role.contract().into(), id: id.to_owned() }),
        period: args.period.clone(),
        at_least_watermark: args.at_least_watermark,
    };
    let response = client.get_actor_summary(request).await;
    let summary = response.map_err(|status| failed(args, status))?.into_inner().summary;
    summary.ok_or_else(|| SummaryError::Unknown { role: args.role.name(), id: id.to_owned() })
}

async fn list(
    client: &mut Client,
    args: &SummaryArgs,
) -> Result<(Vec<ActorSummary>, u64), SummaryError> {
    let mut summaries = Vec::new();
    let mut page_token = String::new();
    loop {
        // By id, so that each comes exactly once; they are put into their order here.
        let request = ListActorSummariesRequest {
            role: args.role.contract().into(),
            period: args.period.clone(),
            at_least_watermark: args.at_least_watermark,
            page_size: PAGE,
            page_token,
            order: ActorOrder::Id.into(),
        };
        let page = client
            .list_actor_summaries(request)
            .await
            .map_err(|status| failed(args, status))?
            .into_inner();
        summaries.extend(page.summaries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            // The largest first; the sort is stable, so that ids decide between equals.
            summaries.sort_by_key(|summary| std::cmp::Reverse(summary.accepted_lines));
            return Ok((summaries, page.watermark));
        }
    }
}

fn write_json(message: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, message)?;
    writeln!(out)
}

fn id(summary: &ActorSummary) -> &str {
    summary.actor.as_ref().map_or("", |actor| actor.id.as_str())
}

fn write_list(
    role: Role,
    summaries: &[ActorSummary],
    watermark: u64,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut table = Table::new(&[
        &format!("<{}", role.name()),
        "Accepted",
        "Rejected",
        "Replays",
        "Conflicts",
        "Lines",
        "Value EUR",
        "Duty EUR",
    ]);
    for summary in summaries {
        table.row(vec![
            id(summary).to_owned(),
            thousands(summary.accepted),
            thousands(summary.rejected),
            thousands(summary.replayed),
            thousands(summary.conflicts),
            thousands(summary.accepted_lines),
            euros(summary.intrinsic_value_eur_cents),
            euros(summary.duty_eur_cents),
        ]);
    }
    table.write(out)?;
    writeln!(out)?;
    let count = thousands(summaries.len() as u64);
    writeln!(out, "{count} actors, at watermark {}", thousands(watermark))
}

/// A period in words.
pub(super) fn days(period: Option<&Period>) -> String {
    let Some(Period { first_day, last_day }) = period else { return "all days".to_owned() };
    match (first_day.as_str(), last_day.as_str()) {
        ("", "") => "all days".to_owned(),
        (first, "") => format!("from {first}"),
        ("", last) => format!("to {last}"),
        (first, last) if first == last => first.to_owned(),
        (first, last) => format!("{first} to {last}"),
    }
}

fn write_full(summary: &ActorSummary, out: &mut impl Write) -> io::Result<()> {
    let role = summary.actor.as_ref().map_or(ActorRole::Unspecified, Actor::role);
    let role = match role {
        ActorRole::Declarant => "Declarant",
        ActorRole::Representative => "Representative",
        ActorRole::IossHolder => "IOSS holder",
        ActorRole::Unspecified => "Actor",
    };
    let days = days(summary.period.as_ref());
    let watermark = thousands(summary.watermark);
    writeln!(out, "{role} {}, {days}, at watermark {watermark}\n", id(summary))?;

    let mut figures = Table::new(&["<Declarations", "", "<Accepted ones", " "]);
    for (left, right) in [
        (("accepted", summary.accepted), ("lines", thousands(summary.accepted_lines))),
        (("rejected", summary.rejected), ("value EUR", euros(summary.intrinsic_value_eur_cents))),
        (("replayed", summary.replayed), ("duty EUR", euros(summary.duty_eur_cents))),
        (("in conflict", summary.conflicts), ("gross mass kg", kilograms(summary.gross_mass_mg))),
    ] {
        figures.row(vec![left.0.to_owned(), thousands(left.1), right.0.to_owned(), right.1]);
    }
    figures.write(out)?;

    if !summary.reasons.is_empty() {
        let mut reasons = Table::new(&["<Reason", "Declarations", "Findings"]);
        for reason in &summary.reasons {
            reasons.row(vec![
                reason.reason.clone(),
                thousands(reason.declarations),
                thousands(reason.findings),
            ]);
        }
        writeln!(out)?;
        reasons.write(out)?;
    }
    if !summary.indicators.is_empty() {
        let mut table = Table::new(&["<Indicator", "Value", "95 % interval", "Of"]);
        for indicator in &summary.indicators {
            table.row(indicator_row(indicator));
        }
        writeln!(out)?;
        table.write(out)?;
    }
    write_histogram(&summary.value_histogram, out)
}

/// Milligrams as kilograms with three decimals, cut off.
fn kilograms(mg: u64) -> String {
    format!("{}.{:03}", thousands(mg / 1_000_000), mg / 1_000 % 1_000)
}

fn indicator_row(indicator: &Indicator) -> Vec<String> {
    let Indicator { name, numerator, denominator, value, lower, upper } = indicator;
    // A share in per cent; whatever else as the number it is.
    let (shown, interval) = match (lower, upper) {
        (Some(lower), Some(upper)) => (
            format!("{:.2} %", value * 100.0),
            format!("{:.2} to {:.2} %", lower * 100.0, upper * 100.0),
        ),
        _ => (format!("{value:.3}"), String::new()),
    };
    let of = format!("{} / {}", thousands(*numerator), thousands(*denominator));
    vec![name.clone(), shown, interval, of]
}

/// The longest bar, in characters.
const BAR_MAX: u64 = 50;

/// Consignments by value, a bar for each EUR 5, in eighths of a character.
fn write_histogram(buckets: &[u64], out: &mut impl Write) -> io::Result<()> {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let most = buckets.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return Ok(());
    }
    writeln!(out, "\nConsignments by value (accepted declarations)")?;
    for (place, &count) in buckets.iter().enumerate() {
        let label = if place < 30 {
            format!("{:>3} to {:>3}", place * 5, place * 5 + 5)
        } else {
            "above  150".to_owned()
        };
        // Something is seen of whatever is not nothing.
        let wide = u128::from(count) * u128::from(BAR_MAX * 8) / u128::from(most);
        let eighths = usize::try_from(wide).unwrap_or(0).max(usize::from(count > 0));
        let part = EIGHTHS.get(eighths % 8).copied().unwrap_or(' ');
        let bar = format!("{}{part}", "█".repeat(eighths / 8));
        let line = format!("EUR {label:<10} {:>13}  {bar}", thousands(count));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::proto::v1::ReasonCount;

    #[test]
    fn periods_are_read_and_bad_ones_refused() {
        let read = |text| period(text).map(|period| (period.first_day, period.last_day));
        let days = |first: &str, last: &str| Ok((first.to_owned(), last.to_owned()));
        assert_eq!(read("2026-11-01..2026-11-30"), days("2026-11-01", "2026-11-30"));
        assert_eq!(read("2026-11-01.."), days("2026-11-01", ""));
        assert_eq!(read("..2026-11-30"), days("", "2026-11-30"));
        assert_eq!(read("2026-11-05"), days("2026-11-05", "2026-11-05"));
        assert!(read("2026-11-02..2026-11-01").unwrap_err().contains("after"));
        assert!(read("November").unwrap_err().contains("no day of 1970 to 2149"));
    }

    fn summary() -> ActorSummary {
        let mut value_histogram = vec![0; 31];
        value_histogram[0] = 4;
        value_histogram[29] = 800;
        ActorSummary {
            actor: Some(Actor { role: 1, id: "NL830000003".to_owned() }),
            watermark: 1_234,
            accepted: 804,
            rejected: 3,
            accepted_lines: 1_600,
            intrinsic_value_eur_cents: 1_234_567,
            gross_mass_mg: 12_345_678_900,
            reasons: vec![ReasonCount {
                reason: "DESCRIPTION_STOP_WORD".to_owned(),
                declarations: 12,
                findings: 15,
            }],
            indicators: vec![Indicator {
                name: "rejection_rate".to_owned(),
                numerator: 3,
                denominator: 400,
                value: 0.0075,
                lower: Some(0.00255),
                upper: Some(0.02182),
            }],
            value_histogram,
            ..ActorSummary::default()
        }
    }

    #[test]
    fn one_actor_in_full() {
        let mut out = Vec::new();
        write_full(&summary(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "Declarant NL830000003, all days, at watermark 1,234\n",
            "accepted      804  lines               1,600\n",
            "gross mass kg  12,345.678\n",
            "DESCRIPTION_STOP_WORD            12        15\n",
            "rejection_rate  0.75 %  0.26 to 2.18 %  3 / 400\n",
            "EUR   0 to   5             4  ▎\n",
            &format!("EUR 145 to 150           800  {}\n", "█".repeat(50)),
            "EUR above  150             0\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn all_actors_in_a_table() {
        let mut out = Vec::new();
        write_list(Role::Declarant, &[summary()], 1_234, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("NL830000003       804         3        0"), "{text}");
        assert!(text.ends_with("1 actors, at watermark 1,234\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[tokio::test]
    async fn no_server_is_an_error_that_says_what_to_do() {
        let args = SummaryArgs {
            // A port that nothing listens on: reserved, and never given out to a program.
            from: "http://127.0.0.1:1".to_owned(),
            role: Role::Declarant,
            actor: None,
            period: None,
            history: None,
            json: false,
            at_least_watermark: 0,
            connection: ConnectArgs::default(),
        };
        let error = run(&args).await.unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:1") && error.contains("waag serve"), "{error}");
        let error = run(&SummaryArgs { from: "a b".to_owned(), ..args }).await.unwrap_err();
        assert!(error.to_string().contains("not an address"), "{error}");
    }
}
