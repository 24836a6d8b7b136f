//! `waag agreement`: agreements on improvements with actors, on a running server.

use std::io::{self, Write};

use clap::{Args, Subcommand, ValueEnum};

use super::asking::{ServerArgs, day, json};
use super::show::{Table, on_one_line, thousands};
use super::summary::{Role, period};
use super::{Failure, output, runtime};
use crate::day::Day;
use crate::proto::v1::{
    Actor, Agreement, AgreementBaseline, AgreementDay, AgreementDirection, AgreementReview,
    AgreementState, AgreementTerms, AgreementVersion, ListAgreementsRequest, Period,
    RecordAgreementRequest, ReviewAgreementRequest, ReviewAgreementResponse,
    WithdrawAgreementRequest,
};

/// Record, list, review and withdraw agreements on improvements
///
/// An agreement says that an indicator of an actor goes from a baseline to a target by a deadline. The server
/// reviews it by the summaries: both sides see the same figure, the same interval and the same verdict.
///
///   waag agreement record --actor NL830000003 --indicator rejection_rate --target 1% \
///     --start 2026-12-01 --deadline 2027-06-01
///   waag agreement show A1
///   waag agreement record --id A1 --replaces 1 ...     # other terms
///   waag agreement withdraw A1 --replaces 2 --reason "merged with A7"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct AgreementArgs {
    #[command(subcommand)]
    command: AgreementCommand,
}

#[derive(Debug, Subcommand)]
enum AgreementCommand {
    /// Record a new agreement, or another version of one
    Record(Box<RecordArgs>),
    /// List agreements as they stand
    List(ListArgs),
    /// Show one with its glide path and its reviews up to today
    Show(ShowArgs),
    /// Have an agreement hold no more
    Withdraw(WithdrawArgs),
}

#[derive(Debug, Args)]
struct RecordArgs {
    /// The agreement of which this is another version; a new one if not set
    #[arg(long, value_name = "ID", requires = "replaces")]
    id: Option<String>,
    /// The version that it replaces, as `waag agreement show` tells it
    #[arg(long, value_name = "N", requires = "id")]
    replaces: Option<u32>,
    /// In which role the actor takes part
    #[arg(long, value_enum, default_value_t = Role::Declarant)]
    role: Role,
    /// With whom: an EORI, or the IOSS number of an IOSS holder
    #[arg(long, value_name = "ID")]
    actor: String,
    /// An indicator that is a proportion, as rejection_rate
    #[arg(long, value_name = "NAME")]
    indicator: String,
    /// To what it is to come: 0.01, or 1%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    target: f64,
    /// Which way is better
    #[arg(long, value_enum, default_value_t = Better::Lower)]
    better: Better,
    /// The first day
    #[arg(long, value_name = "DAY", value_parser = day)]
    start: Day,
    /// The day by which the target is to be met
    #[arg(long, value_name = "DAY", value_parser = day)]
    deadline: Day,
    /// Days from one review to the next
    #[arg(long, value_name = "DAYS", default_value_t = 28)]
    every: u32,
    /// Days that a review counts, its own the last
    #[arg(long, value_name = "DAYS", default_value_t = 28)]
    window: u32,
    /// A review of fewer observations has no verdict
    #[arg(long, value_name = "N", default_value_t = 100)]
    n_min: u64,
    /// Where it starts, as 87/1200; computed by the server if not set
    #[arg(long, value_name = "K/N", value_parser = baseline, requires = "baseline_days")]
    baseline: Option<(u64, u64)>,
    /// The days of the baseline; a window up to the start if not set
    #[arg(long, value_name = "A..B", value_parser = period)]
    baseline_days: Option<Period>,
    /// Free text
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Better {
    Lower,
    Higher,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those with this actor
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Its role
    #[arg(long, value_enum, default_value_t = Role::Declarant)]
    role: Role,
    /// Only those in this state today; may be given several times
    #[arg(long, value_enum)]
    state: Vec<State>,
    /// With all versions, in JSON
    #[arg(long, requires = "json")]
    versions: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Pending,
    Active,
    Ended,
    Withdrawn,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Which one, as A17
    id: String,
    /// By the terms of this version; of the newest if not set
    #[arg(long, value_name = "N", default_value_t = 0)]
    version: u32,
    /// Wait until the summaries contain at least so many records
    #[arg(long, value_name = "N", default_value_t = 0)]
    at_least_watermark: u64,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct WithdrawArgs {
    /// Which one, as A17
    id: String,
    /// Its newest version, as `waag agreement show` tells it
    #[arg(long, value_name = "N")]
    replaces: u32,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    server: ServerArgs,
}

fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is no share: write 0.01 or 1%");
    let (number, of) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
    number.trim().parse::<f64>().map(|number| number / of).map_err(|_| wrong())
}

fn baseline(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    parsed.ok_or_else(|| format!("{text:?} is no fraction of whole numbers, as 87/1200"))
}

/// Does what is asked.
///
/// # Errors
/// No server, a call that is refused, standard output that cannot be written.
pub fn run(args: &AgreementArgs) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match &args.command {
            AgreementCommand::Record(args) => record(args).await,
            AgreementCommand::List(args) => list(args).await,
            AgreementCommand::Show(args) => show(args).await,
            AgreementCommand::Withdraw(args) => withdraw(args).await,
        }
    })
}

async fn record(args: &RecordArgs) -> Result<(), Failure> {
    let direction = match args.better {
        Better::Lower => AgreementDirection::LowerIsBetter,
        Better::Higher => AgreementDirection::HigherIsBetter,
    };
    let (numerator, denominator) = args.baseline.unwrap_or_default();
    let terms = AgreementTerms {
        actor: Some(Actor { role: args.role.contract().into(), id: args.actor.clone() }),
        indicator: args.indicator.clone(),
        direction: direction.into(),
        baseline: Some(AgreementBaseline {
            numerator,
            denominator,
            period: args.baseline_days.clone(),
            ..AgreementBaseline::default()
        }),
        target: args.target,
        start_day: args.start.to_string(),
        deadline_day: args.deadline.to_string(),
        review_interval_days: args.every,
        window_days: args.window,
        n_min: args.n_min,
        note: args.note.clone(),
    };
    let request = RecordAgreementRequest {
        id: args.id.clone().unwrap_or_default(),
        replaces_version: args.replaces.unwrap_or_default(),
        terms: Some(terms),
    };
    let answer = args.server.client().await?.record_agreement(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    tell(&args.server, answer.agreement, "recorded")
}

async fn withdraw(args: &WithdrawArgs) -> Result<(), Failure> {
    let request = WithdrawAgreementRequest {
        id: args.id.clone(),
        replaces_version: args.replaces,
        reason: args.reason.clone(),
    };
    let answer = args.server.client().await?.withdraw_agreement(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    tell(&args.server, answer.agreement, "recorded: it holds no more")
}

fn tell(server: &ServerArgs, agreement: Option<Agreement>, what: &str) -> Result<(), Failure> {
    let agreement = agreement.unwrap_or_default();
    output(|out| {
        if server.json {
            return json(&agreement, out);
        }
        let version = agreement.newest.as_ref().map_or(0, |newest| newest.version);
        writeln!(out, "agreement {}, version {version}, {what}", agreement.id)?;
        write_terms(&agreement, agreement.newest.as_ref(), out)
    })
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let actor = args.actor.as_ref().map(|id| {
        let role = args.role.contract().into();
        Actor { role, id: id.clone() }
    });
    let state = |state: &State| match state {
        State::Pending => AgreementState::Pending.into(),
        State::Active => AgreementState::Active.into(),
        State::Ended => AgreementState::Ended.into(),
        State::Withdrawn => AgreementState::Withdrawn.into(),
    };
    let mut client = args.server.client().await?;
    let mut request = ListAgreementsRequest {
        actor,
        states: args.state.iter().map(state).collect(),
        with_earlier: args.versions,
        ..ListAgreementsRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let page = client.list_agreements(request.clone()).await;
        let page = page.map_err(|status| args.server.failed(&status))?.into_inner();
        all.extend(page.agreements);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    output(|mut out| {
        if args.server.json {
            return all.iter().try_for_each(|agreement| json(agreement, out));
        }
        let headings =
            ["<Id", "<State", "<Actor", "<Indicator", "Baseline", "Target", "<Start", "<Deadline"];
        let mut table = Table::new(&headings);
        for agreement in &all {
            let terms = agreement.newest.as_ref().and_then(|newest| newest.terms.as_ref());
            let terms = terms.cloned().unwrap_or_default();
            let from = terms.baseline.as_ref().map_or(0.0, |baseline| baseline.value);
            table.row(vec![
                agreement.id.clone(),
                name(agreement.state().as_str_name()),
                terms.actor.map(|actor| actor.id).unwrap_or_default(),
                terms.indicator,
                percent(from),
                percent(terms.target),
                terms.start_day,
                terms.deadline_day,
            ]);
        }
        table.write(&mut out)
    })
}

async fn show(args: &ShowArgs) -> Result<(), Failure> {
    let request = ReviewAgreementRequest {
        id: args.id.clone(),
        version: args.version,
        at_least_watermark: args.at_least_watermark,
    };
    let answer = args.server.client().await?.review_agreement(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    output(|out| if args.server.json { json(&answer, out) } else { write_progress(&answer, out) })
}

/// `AGREEMENT_VERDICT_ON_TRACK` as `on track`.
fn name(name: &str) -> String {
    let known = ["AGREEMENT_STATE_", "AGREEMENT_VERDICT_"];
    let name = known.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    name.to_ascii_lowercase().replace('_', " ")
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn write_terms(
    agreement: &Agreement,
    version: Option<&AgreementVersion>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let version = version.cloned().unwrap_or_default();
    let terms = version.terms.clone().unwrap_or_default();
    let baseline = terms.baseline.clone().unwrap_or_default();
    let period = baseline.period.clone().unwrap_or_default();
    let actor = terms.actor.clone().unwrap_or_default();
    writeln!(out, "{} {}, {}", actor.id, terms.indicator, name(agreement.state().as_str_name()))?;
    writeln!(
        out,
        "from {} ({} of {}, {} to {}) to {} by {}, from {} on",
        percent(baseline.value),
        thousands(baseline.numerator),
        thousands(baseline.denominator),
        period.first_day,
        period.last_day,
        percent(terms.target),
        terms.deadline_day,
        terms.start_day
    )?;
    writeln!(
        out,
        "reviewed every {} days over {} days, of {} observations at least",
        terms.review_interval_days,
        terms.window_days,
        thousands(terms.n_min)
    )?;
    for text in
        [&terms.note, &version.withdrawal_reason].into_iter().filter(|text| !text.is_empty())
    {
        writeln!(out, "{}", on_one_line(text))?;
    }
    writeln!(
        out,
        "version {} by {} on {}",
        version.version, version.recorded_by, version.recorded_day
    )
}

fn write_progress(answer: &ReviewAgreementResponse, mut out: &mut dyn Write) -> io::Result<()> {
    let agreement = answer.agreement.clone().unwrap_or_default();
    let mut versions = agreement.earlier.iter().chain(&agreement.newest);
    writeln!(
        out,
        "Agreement {}, {}, at watermark {}",
        agreement.id,
        answer.today,
        thousands(answer.watermark)
    )?;
    write_terms(&agreement, versions.find(|version| version.version == answer.version), out)?;
    let headings = ["<Review", "Value", "95 % interval", "Of", "Glide path", "<Verdict"];
    let mut table = Table::new(&headings);
    for review in &answer.reviews {
        table.row(review_row(review));
    }
    writeln!(out)?;
    table.write(&mut out)?;
    if !answer.next_review_day.is_empty() {
        writeln!(out, "\nnext review on {}", answer.next_review_day)?;
    }
    let alarms: Vec<&AgreementDay> = answer.days.iter().filter(|day| day.alarm).collect();
    let Some((first, last)) = alarms.first().zip(alarms.last()) else {
        let count = thousands(answer.days.len() as u64);
        return writeln!(out, "\nCUSUM: no shift away from the target, over {count} days");
    };
    let count = thousands(alarms.len() as u64);
    writeln!(
        out,
        "\nCUSUM: ALARM on {count} days, {} to {}: the level has shifted away from the target",
        first.day, last.day
    )
}

fn review_row(review: &AgreementReview) -> Vec<String> {
    let figure = review.figure.clone().unwrap_or_default();
    let interval = figure
        .lower
        .zip(figure.upper)
        .map(|(lower, upper)| format!("{:.2} to {:.2} %", lower * 100.0, upper * 100.0));
    let provisional = if review.is_provisional { " (so far)" } else { "" };
    vec![
        review.day.clone(),
        if figure.denominator == 0 { String::new() } else { percent(figure.value) },
        interval.unwrap_or_default(),
        format!("{} / {}", thousands(figure.numerator), thousands(figure.denominator)),
        percent(review.glide_path),
        format!("{}{provisional}", name(review.verdict().as_str_name())),
    ]
}
