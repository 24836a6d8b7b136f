//! `waag sample`: the sampling frame, on a running server.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::asking::{ServerArgs, json};
use super::show::{Table, euros, on_one_line, thousands};
use super::{Failure, output, runtime};
use crate::proto::v1::{
    ControlOutcome, EstimatePlanRequest, EstimatePlanResponse, ListPlansRequest,
    ListSelectedRequest, ListSelectedResponse, RecordOutcomeRequest, RecordPlanRequest,
    SamplingPlan, SamplingTerms,
};

/// Record sampling plans, list what they select, record what controls found, and estimate
///
/// A plan selects goods items at random, by a secret of which the hash is published before its first day and the secret
/// itself after its last one. What it is stands in a file, in protobuf JSON:
///
///   {"name": "December", "purpose": "how much is wrong", "owner": "Team e-commerce",
///    "firstDay": "2026-12-01", "lastDay": "2026-12-31", "fixed": {"tolerableRate": 0.01}}
///
///   waag sample record --terms december.json
///   waag sample selected S1 --open
///   waag sample outcome S1 --declarant NL810000003 --lrn AB12 --item 1 --error --corrected 12.50
///   waag sample estimate S1
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct SampleArgs {
    #[command(subcommand)]
    command: SampleCommand,
}

#[derive(Debug, Subcommand)]
enum SampleCommand {
    /// Record a plan, and print its commitment
    Record(RecordArgs),
    /// List plans, with the secrets of those whose last day is over
    List(ListArgs),
    /// What a plan selects of what is sealed
    Selected(SelectedArgs),
    /// Record what a control found of a goods item
    Outcome(OutcomeArgs),
    /// What the outcomes say of all
    Estimate(EstimateArgs),
}

#[derive(Debug, Args)]
struct RecordArgs {
    /// File with the terms of the plan, in protobuf JSON (SamplingTerms)
    #[arg(long, value_name = "FILE")]
    terms: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only this one, as S17
    id: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct SelectedArgs {
    /// Which plan, as S17
    id: String,
    /// Only those without an outcome
    #[arg(long)]
    open: bool,
    /// Wait until so many records are sealed
    #[arg(long, value_name = "N", default_value_t = 0)]
    at_least_watermark: u64,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct OutcomeArgs {
    /// Which plan, as S17
    id: String,
    /// Who lodged the declaration, by EORI
    #[arg(long, value_name = "EORI")]
    declarant: String,
    /// Its LRN
    #[arg(long, value_name = "LRN")]
    lrn: String,
    /// The place of the goods item in it, from 1
    #[arg(long, value_name = "N")]
    item: u32,
    /// Something was wrong with it
    #[arg(long)]
    error: bool,
    /// What it is worth in truth, in euro
    #[arg(long, value_name = "EUR", value_parser = cents)]
    true_value: Option<u64>,
    /// Duty and VAT due on top, in euro
    #[arg(long, value_name = "EUR", value_parser = cents, default_value = "0")]
    corrected: u64,
    /// Free text
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct EstimateArgs {
    /// Which plan, as S17
    id: String,
    /// 0.9, 0.95 or 0.99
    #[arg(long, value_name = "C", default_value_t = 0.95)]
    confidence: f64,
    #[command(flatten)]
    server: ServerArgs,
}

/// `12.5` as 1250.
fn cents(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no amount in euro, as 12.50");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 2 || !is_plain(whole) || !is_plain(part) {
        return Err(wrong());
    }
    format!("{whole}{part:0<2}").parse().map_err(|_| wrong())
}

/// Does what is asked.
///
/// # Errors
/// No server, a file that cannot be read, a call that is refused, standard output that cannot be written.
pub fn run(args: &SampleArgs) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match &args.command {
            SampleCommand::Record(args) => record(args).await,
            SampleCommand::List(args) => list(args).await,
            SampleCommand::Selected(args) => selected(args).await,
            SampleCommand::Outcome(args) => outcome(args).await,
            SampleCommand::Estimate(args) => estimate(args).await,
        }
    })
}

fn read_terms(path: &Path) -> Result<SamplingTerms, Failure> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| format!("--terms {shown}: {error}"))?;
    Ok(serde_json::from_slice(&text).map_err(|error| format!("--terms {shown}: {error}"))?)
}

async fn record(args: &RecordArgs) -> Result<(), Failure> {
    let request = RecordPlanRequest { terms: Some(read_terms(&args.terms)?) };
    let answer = args.server.client().await?.record_plan(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    let plan = answer.plan.unwrap_or_default();
    output(|out| if args.server.json { json(&plan, out) } else { write_plan(&plan, out) })
}

fn write_plan(plan: &SamplingPlan, out: &mut dyn Write) -> io::Result<()> {
    let terms = plan.terms.clone().unwrap_or_default();
    // As on one line: what people wrote must not look like a part of a table.
    let name = on_one_line(&terms.name);
    writeln!(out, "plan {}: {name}, {} to {}", plan.id, terms.first_day, terms.last_day)?;
    writeln!(out, "  commitment {}", plan.commitment)?;
    if !plan.secret.is_empty() {
        writeln!(out, "  secret     {}", plan.secret)?;
    }
    writeln!(out, "  by {} on {}", plan.recorded_by, plan.recorded_day)
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let mut client = args.server.client().await?;
    let id = args.id.clone().unwrap_or_default();
    let mut request = ListPlansRequest { id, ..ListPlansRequest::default() };
    let mut all = Vec::new();
    loop {
        let page = client.list_plans(request.clone()).await;
        let page = page.map_err(|status| args.server.failed(&status))?.into_inner();
        all.extend(page.plans);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    output(|out| {
        all.iter().try_for_each(|plan| match args.server.json {
            true => json(plan, out),
            false => write_plan(plan, out),
        })
    })
}

async fn selected(args: &SelectedArgs) -> Result<(), Failure> {
    let mut client = args.server.client().await?;
    let mut request = ListSelectedRequest {
        id: args.id.clone(),
        at_least_watermark: args.at_least_watermark,
        page_size: 1_000,
        open_only: args.open,
        ..ListSelectedRequest::default()
    };
    let mut all = ListSelectedResponse::default();
    loop {
        let page = client.list_selected(request.clone()).await;
        let page = page.map_err(|status| args.server.failed(&status))?.into_inner();
        let mut before = std::mem::replace(&mut all, page);
        before.selected.append(&mut all.selected);
        all.selected = before.selected;
        request.page_token = std::mem::take(&mut all.next_page_token);
        if request.page_token.is_empty() {
            break;
        }
    }
    output(|out| if args.server.json { json(&all, out) } else { write_selected(&all, out) })
}

fn write_selected(all: &ListSelectedResponse, mut out: &mut dyn Write) -> io::Result<()> {
    let is_final = if all.is_final { "final" } else { "not final yet" };
    writeln!(out, "at watermark {}, {is_final}", thousands(all.watermark))?;
    if !all.dropped_through.is_empty() {
        writeln!(out, "days up to {} are dropped, and missing here", all.dropped_through)?;
    }
    for stratum in &all.strata {
        let (name, selected, items) = (on_one_line(&stratum.name), stratum.selected, stratum.items);
        writeln!(out, "{name}: {} of {} goods items", thousands(selected), thousands(items))?;
    }
    let headings =
        ["<Stratum", "<Day", "<MRN", "<Declarant", "<LRN", "Item", "<HS", "Declared", "<Outcome"];
    let mut table = Table::new(&headings);
    for one in &all.selected {
        let outcome = match &one.outcome {
            None => "",
            Some(outcome) if outcome.is_error => "error",
            Some(_) => "right",
        };
        table.row(vec![
            one.stratum.clone(),
            one.day.clone(),
            one.mrn.clone(),
            one.declarant.clone(),
            one.lrn.clone(),
            one.goods_item.to_string(),
            one.hs6.clone(),
            euros(one.declared_eur_cents),
            outcome.to_owned(),
        ]);
    }
    writeln!(out)?;
    table.write(&mut out)
}

async fn outcome(args: &OutcomeArgs) -> Result<(), Failure> {
    let outcome = ControlOutcome {
        declarant: args.declarant.clone(),
        lrn: args.lrn.clone(),
        goods_item: args.item,
        is_error: args.error,
        true_value_eur_cents: args.true_value,
        corrected_eur_cents: args.corrected,
        note: args.note.clone(),
    };
    let request = RecordOutcomeRequest { id: args.id.clone(), outcome: Some(outcome) };
    let answer = args.server.client().await?.record_outcome(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    output(|out| if args.server.json { json(&answer, out) } else { writeln!(out, "recorded") })
}

async fn estimate(args: &EstimateArgs) -> Result<(), Failure> {
    let request = EstimatePlanRequest {
        id: args.id.clone(),
        confidence: args.confidence,
        ..EstimatePlanRequest::default()
    };
    let answer = args.server.client().await?.estimate_plan(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    output(|out| if args.server.json { json(&answer, out) } else { write_estimate(&answer, out) })
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn write_estimate(answer: &EstimatePlanResponse, mut out: &mut dyn Write) -> io::Result<()> {
    let is_final = if answer.is_final { "final" } else { "the selection is not final yet" };
    let plan = answer.plan.as_ref().map(|plan| plan.id.clone()).unwrap_or_default();
    writeln!(out, "plan {plan} at watermark {}, {is_final}", thousands(answer.watermark))?;
    let headings = ["<Stratum", "Of", "Selected", "Controlled", "In error", "Interval", "At most"];
    let mut table = Table::new(&headings);
    for stratum in &answer.strata {
        let interval = stratum.lower.zip(stratum.upper);
        let interval = interval.map(|(a, b)| format!("{:.2} to {:.2} %", a * 100.0, b * 100.0));
        table.row(vec![
            stratum.name.clone(),
            thousands(stratum.items),
            thousands(stratum.selected),
            thousands(stratum.checked),
            thousands(stratum.errors),
            interval.unwrap_or_default(),
            stratum.upper_one_sided.map(percent).unwrap_or_default(),
        ]);
    }
    table.write(&mut out)?;
    let interval = answer.share_lower.zip(answer.share_upper);
    if let (Some(share), Some((lower, upper))) = (answer.share, interval) {
        let (share, lower, upper) = (percent(share), percent(lower), percent(upper));
        writeln!(out, "\nin error of all: {share}, {lower} to {upper}")?;
    }
    let money = answer.misstatement_eur_cents.zip(answer.misstatement_upper_eur_cents);
    if let Some((misstatement, upper)) = money {
        let shown = |cents: f64| euros(cents.round().max(0.0) as u64);
        let (misstatement, upper) = (shown(misstatement), shown(upper));
        writeln!(out, "\nundervalued in all: EUR {misstatement}, EUR {upper} at most")?;
    }
    let corrected = euros(answer.corrected_eur_cents);
    writeln!(out, "due on top, of what was selected: EUR {corrected}")?;
    writeln!(
        out,
        "apart from that, targeted and not extrapolated: {} controlled, {} in error, EUR {} due on top",
        thousands(answer.targeted_checked),
        thousands(answer.targeted_errors),
        euros(answer.targeted_corrected_eur_cents)
    )
}
