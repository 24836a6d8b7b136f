//! `waag findings`: what was found after acceptance, read from a running server.

use std::io::{self, BufWriter, Write};

use clap::Args;

use super::connecting::{ConnectArgs, ConnectArgsError};
use super::show::{Table, thousands, unless_broken_pipe};
use super::summary::{CALL_MAX, PAGE, Role, days, period};
use crate::client::Connection;
use crate::proto::v1::compliance_client::ComplianceClient;
use crate::proto::v1::{Actor, ActorFinding, ListFindingsRequest, ListFindingsResponse, Period};

/// Show what accepted declarations show when they are held against one another
///
/// Consignments that may be one split up, transport documents that were declared before, few codes, few
/// importers: by actor and day, with the numbers behind each figure, for a proportion its 95 % interval, and up
/// to 20 declarations to look at. They are signals for a conversation or an audit, not verdicts; `waag summary`
/// has the other indicators. Findings rest on what is sealed, so they come later than summaries: they contain
/// exactly the records up to the watermark that is shown.
///
///   waag findings
///   waag findings --actor NL830000003 --period 2026-11-01..2026-11-30 --all
///   waag findings --role ioss-holder --indicator consignment_split_rate --json
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct FindingsArgs {
    /// Where the server listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051")]
    pub from: String,

    /// In which role the actors take part
    #[arg(long, value_enum, default_value_t = Role::Declarant)]
    pub role: Role,

    /// One actor: an EORI, or the IOSS number of an IOSS holder
    #[arg(long, value_name = "ID")]
    pub actor: Option<String>,

    /// Days, first and last included; either may be left out, and one day may stand alone
    #[arg(long, value_name = "A..B", value_parser = period)]
    pub period: Option<Period>,

    /// Only this indicator, as consignment_split_rate; may be given several times
    #[arg(long = "indicator", value_name = "NAME")]
    pub indicators: Vec<String>,

    /// Also those that are not worth a conversation
    #[arg(long)]
    pub all: bool,

    /// Print protobuf JSON, one finding to a line
    #[arg(long)]
    pub json: bool,

    /// TLS and identity
    #[command(flatten)]
    pub connection: ConnectArgs,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindingsError {
    /// The server cannot be reached, or not as the flags say.
    #[error("--from {0}")]
    Connect(#[from] ConnectArgsError),
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

/// Reads and prints, page by page.
///
/// # Errors
/// No server, a call that fails. A reader of standard output that goes away is none.
pub async fn run(args: &FindingsArgs) -> Result<(), FindingsError> {
    let server = args.connection.server(&args.from)?.with_call_max(CALL_MAX);
    let connection = server.connect().await.map_err(ConnectArgsError::from)?;
    let mut client = ComplianceClient::new(connection);
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut found, mut page) = (Vec::new(), ListFindingsResponse::default());
    loop {
        page = list(&mut client, args, page.next_page_token).await?;
        if args.json {
            let written = page.findings.iter().try_for_each(|one| write_json(one, &mut out));
            unless_broken_pipe(written.and_then(|()| out.flush()))?;
        } else {
            found.append(&mut page.findings);
        }
        if page.next_page_token.is_empty() {
            break;
        }
    }
    if !args.json {
        let written = write_all(args, &found, &page, &mut out);
        unless_broken_pipe(written.and_then(|()| out.flush()))?;
    }
    Ok(())
}

async fn list(
    client: &mut ComplianceClient<Connection>,
    args: &FindingsArgs,
    page_token: String,
) -> Result<ListFindingsResponse, FindingsError> {
    let id = args.actor.clone().unwrap_or_default();
    let request = ListFindingsRequest {
        actor: Some(Actor { role: args.role.contract().into(), id }),
        period: args.period.clone(),
        indicators: args.indicators.clone(),
        notable_only: !args.all,
        page_size: PAGE,
        page_token,
    };
    let page = client.list_findings(request).await.map_err(|status| FindingsError::Call {
        url: args.from.clone(),
        status: Box::new(status),
    })?;
    Ok(page.into_inner())
}

fn write_json(one: &ActorFinding, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, one)?;
    writeln!(out)
}

fn write_all(
    args: &FindingsArgs,
    found: &[ActorFinding],
    page: &ListFindingsResponse,
    out: &mut impl Write,
) -> io::Result<()> {
    let (days, watermark) = (days(args.period.as_ref()), thousands(page.watermark));
    writeln!(out, "Findings, {days}, of the first {watermark} records, which are sealed\n")?;
    let mut table =
        Table::new(&["<Day", "<Actor", "<Indicator", "Of", "Out of", "Value", "95 %", "<Example"]);
    for one in found {
        let actor = one.actor.as_ref().map(|actor| actor.id.clone()).unwrap_or_default();
        let figure = one.figure.clone().unwrap_or_default();
        let interval = figure.lower.zip(figure.upper);
        let example = one.examples.first().map(|example| example.mrn.clone());
        table.row(vec![
            one.day.clone(),
            actor,
            figure.name,
            thousands(figure.numerator),
            thousands(figure.denominator),
            format!("{:.4}", figure.value),
            interval.map_or_else(String::new, |(l, u)| format!("{l:.4}..{u:.4}")),
            example.unwrap_or_default(),
        ]);
    }
    table.write(out)?;
    let count = thousands(found.len() as u64);
    let which = if args.all { "" } else { " worth a conversation (--all shows the others)" };
    writeln!(out, "\n{count} findings{which}. --json has all examples.")?;
    let missing = found.iter().filter(|one| one.missing_days > 0).count();
    if missing > 0 {
        let missing = thousands(missing as u64);
        writeln!(
            out,
            "{missing} of them lack days that were past their retention when they were made."
        )?;
    }
    if page.stalled {
        writeln!(out, "They do not come further at the moment: the server's log says why.")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::proto::v1::{FindingExample, Indicator};

    fn args(all: bool) -> FindingsArgs {
        FindingsArgs {
            // A port that nothing listens on: reserved, and never given out to a program.
            from: "http://127.0.0.1:1".to_owned(),
            role: Role::Declarant,
            actor: None,
            period: None,
            indicators: Vec::new(),
            all,
            json: false,
            connection: ConnectArgs::default(),
        }
    }

    fn shown(all: bool, found: &[ActorFinding], stalled: bool) -> String {
        let page = ListFindingsResponse { watermark: 4_711, stalled, ..Default::default() };
        let mut out = Vec::new();
        write_all(&args(all), found, &page, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_finding_with_its_numbers_and_what_is_missing() {
        let figure = Indicator {
            name: "consignment_split_rate".into(),
            numerator: 3,
            denominator: 1_400,
            value: 0.00214,
            lower: Some(0.0007),
            upper: Some(0.0063),
        };
        let example = FindingExample { mrn: "26NLABC".into(), ..FindingExample::default() };
        let one = ActorFinding {
            actor: Some(Actor { id: "NL830000003".into(), ..Actor::default() }),
            day: "2026-11-05".into(),
            figure: Some(figure),
            examples: vec![example],
            missing_days: 1,
            ..ActorFinding::default()
        };
        let text = shown(false, std::slice::from_ref(&one), false);
        for part in [
            "Findings, all days, of the first 4,711 records",
            "2026-11-05  NL830000003  consignment_split_rate   3   1,400  0.0021  0.0007..0.0063  26NLABC",
            "1 findings worth a conversation",
            "1 of them lack days",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("the server's log"));
        let text = shown(true, &[ActorFinding { missing_days: 0, ..one }], true);
        assert!(text.contains("1 findings. --json") && text.contains("the server's log"), "{text}");
        assert!(!text.contains("lack days"), "{text}");
    }

    #[tokio::test]
    async fn no_server_is_an_error_that_says_what_to_do() {
        let error = run(&args(false)).await.unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:1") && error.contains("waag serve"), "{error}");
    }
}
