//! `waag findings`: what was found after acceptance, read from a running server.

use std::io::{self, Write};

use clap::Args;

use super::asking::{Client, ServerArgs, json};
use super::show::{Table, thousands};
use super::summary::{PAGE, Role, days, period};
use super::{Failure, output, runtime};
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
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct FindingsArgs {
    #[command(flatten)]
    server: ServerArgs,

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
}

/// Reads and prints, page by page.
///
/// # Errors
/// No server, a call that is refused, standard output that cannot be written.
pub fn run(args: &FindingsArgs) -> Result<(), Failure> {
    let runtime = runtime()?;
    let mut client = runtime.block_on(args.server.client())?;
    let (mut found, mut page) = (Vec::new(), ListFindingsResponse::default());
    loop {
        page = runtime.block_on(list(&mut client, args, page.next_page_token))?;
        if args.server.json {
            output(|out| page.findings.iter().try_for_each(|one| json(one, out)))?;
        } else {
            found.append(&mut page.findings);
        }
        if page.next_page_token.is_empty() {
            break;
        }
    }
    if args.server.json {
        return Ok(());
    }
    output(|out| write_all(args, &found, &page, out))
}

async fn list(
    client: &mut Client,
    args: &FindingsArgs,
    page_token: String,
) -> Result<ListFindingsResponse, Failure> {
    let id = args.actor.clone().unwrap_or_default();
    let request = ListFindingsRequest {
        actor: Some(Actor { role: args.role.contract().into(), id }),
        period: args.period.clone(),
        indicators: args.indicators.clone(),
        notable_only: !args.all,
        page_size: PAGE,
        page_token,
    };
    let page = client.list_findings(request).await.map_err(|status| args.server.failed(&status))?;
    Ok(page.into_inner())
}

fn write_all(
    args: &FindingsArgs,
    found: &[ActorFinding],
    page: &ListFindingsResponse,
    mut out: &mut dyn Write,
) -> io::Result<()> {
    let (days, watermark) = (days(args.period.as_ref()), thousands(page.watermark));
    writeln!(out, "Findings, {days}, of the first {watermark} records, which are sealed\n")?;
    if page.watermark == 0 {
        writeln!(out, "Nothing is sealed yet: findings come some minutes after what they are of.")?;
    }
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
    if !found.is_empty() {
        table.write(&mut out)?;
    }
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

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: FindingsArgs,
    }

    fn args(all: bool) -> FindingsArgs {
        // A port that nothing listens on: reserved, and never given out to a program.
        let line = ["findings", "--from", "http://127.0.0.1:1", "--all"];
        let line = if all { &line[..] } else { &line[..3] };
        <Line as clap::Parser>::parse_from(line).args
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
        let text = shown(false, &[], false);
        assert!(!text.contains("Indicator"), "a table of nothing:\n{text}");
        let text = shown(true, &[ActorFinding { missing_days: 0, ..one }], true);
        assert!(text.contains("1 findings. --json") && text.contains("the server's log"), "{text}");
        assert!(!text.contains("lack days"), "{text}");
    }

    #[test]
    fn no_server_is_an_error_that_says_what_to_do() {
        let error = run(&args(false)).unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:1") && error.contains("waag serve"), "{error}");
    }
}
