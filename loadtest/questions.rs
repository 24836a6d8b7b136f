//! `waag-load questions`: how long an analyst waits for an answer, with a year of days stored.
//!
//! A year is lodged with an engine in this process (see `study`), its sales spread over as many IOSS numbers as are
//! asked for; then a server is started over it and asked, one question after another: any actor, any period, any
//! indicator.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tonic::transport::Channel;
use waag::command::generate::{count, day};
use waag::command::show::thousands;
use waag::command::{Failure, output, runtime};
use waag::config::ByteSize;
use waag::day::Day;
use waag::generate::Random;
use waag::generate::world::{Misbehave, WorldBatch, WorldOptions};
use waag::proto::v1::compliance_client::ComplianceClient;
use waag::proto::v1::{
    Actor, ActorOrder, ActorRole, GetActorSummaryRequest, GetIndicatorHistoryRequest,
    ListActorSummariesRequest, ListFindingsRequest, ListIndicatorsRequest, Period,
};

use super::meter::{Latencies, Latency};
use super::report::{Folder, said, write_json};
use super::server::{ANY_PORT, Server, ServerOptions};
use super::study::{self, lodging};

/// A history is of so many days at most, and with peers.
const HISTORY_DAYS_MAX: u64 = 400;
const PEER_DAYS_MAX: u64 = 100;
/// IOSS numbers have seven digits behind the country.
const NUMBERS_MAX: u64 = 10_000_000;

/// Store a year of days, and ask a server over it what analysts ask
///
/// With --data-dir the year is stored once: a folder that is there already is asked as it is.
#[derive(Debug, Args)]
pub(crate) struct QuestionsArgs {
    /// Lines of all days together
    #[arg(long, value_name = "N", default_value = "10_000_000", value_parser = count)]
    lines: u64,

    /// Declarants
    #[arg(long, value_name = "N", default_value_t = 35)]
    actors: u32,

    /// IOSS numbers over which sales are spread evenly
    #[arg(long, value_name = "N", default_value = "20_000", value_parser = count)]
    numbers: u64,

    /// How many days
    #[arg(long, value_name = "N", default_value_t = 365)]
    days: u32,

    /// The first day
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2025-11-24", value_parser = day)]
    from: Day,

    /// Questions of each kind
    #[arg(long, value_name = "N", default_value_t = 500)]
    questions: u32,

    /// Where the year is kept; a temporary folder, removed afterwards, if left out
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Memory of the engine, and of the server
    #[arg(long, value_name = "SIZE", default_value = "3GiB")]
    memory_max: ByteSize,

    /// Another seed gives another year and other questions
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Print one JSON object on standard output at the end
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    lines: u64,
    declarants: u32,
    ioss_numbers: u64,
    days: u32,
    questions_of_each: u32,
    answers: Vec<Answers>,
}

/// The answers to questions of one kind.
#[derive(Debug, Serialize)]
struct Answers {
    question: &'static str,
    /// From the call to the whole answer.
    latency: Latency,
    /// Summaries, days or findings in all answers.
    items: usize,
}

impl Report {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} lines of {} declarants under {} IOSS numbers on {} days; {} questions of each kind, in ms",
            thousands(self.lines),
            self.declarants,
            thousands(self.ioss_numbers),
            self.days,
            self.questions_of_each,
        )?;
        for Answers { question, latency, items } in &self.answers {
            writeln!(
                out,
                "{question:<52} p50 {:>7.2}   p99 {:>7.2}   max {:>7.2}   {} items",
                latency.p50_ms,
                latency.p99_ms,
                latency.max_ms,
                thousands(*items as u64),
            )?;
        }
        Ok(())
    }
}

/// Runs it and reports.
///
/// # Errors
/// Where the year cannot be stored, or a question is not answered.
pub(crate) fn run(args: &QuestionsArgs) -> Result<(), Failure> {
    if !(1..=NUMBERS_MAX).contains(&args.numbers) {
        let (numbers, most) = (args.numbers, thousands(NUMBERS_MAX));
        return Err(format!("--numbers {numbers} is not within 1 to {most}").into());
    }
    let options = WorldOptions {
        lines: args.lines,
        actors: args.actors,
        seed: args.seed,
        days: args.days,
        misbehave: Misbehave::Drawn(None),
        ..WorldOptions::from(args.from)
    };
    options.check()?;
    let folder = Folder::new(args.data_dir.as_deref())?;
    let data = folder.path.join("year");
    if !data.exists() {
        // One that was stopped half-way is not asked.
        let storing = folder.path.join("year.storing");
        study::remove(&storing)?;
        store(args, &options, &storing)?;
        std::fs::rename(&storing, &data).map_err(|error| said(&data, &error))?;
    }
    let report = runtime()?.block_on(ask(args, &options, &data))?;
    if args.json { write_json(Path::new("-"), &report) } else { output(|out| report.write(out)) }
}

fn store(args: &QuestionsArgs, options: &WorldOptions, data: &Path) -> Result<(), Failure> {
    let began = Instant::now();
    let engine = lodging::engine(data, args.memory_max, options.from)?;
    let (numbers, mut random) = (args.numbers, Random::keyed(&[args.seed]));
    let spread = move |batch: &mut WorldBatch| {
        let sales = batch.request.declarations.iter_mut().filter(|d| !d.ioss_number.is_empty());
        sales.for_each(|sale| sale.ioss_number = number(random.below(numbers)));
    };
    runtime()?.block_on(lodging::lodge(&engine, data, options, spread))?;
    lodging::find(&engine, data)?;
    engine.stop();
    tracing::info!(seconds = began.elapsed().as_secs(), "the year is stored");
    Ok(())
}

fn number(n: u64) -> String {
    format!("IM528{n:07}")
}

async fn ask(args: &QuestionsArgs, options: &WorldOptions, data: &Path) -> Result<Report, Failure> {
    let server = ServerOptions {
        data_dir: data.to_owned(),
        listen: ANY_PORT,
        memory_max: args.memory_max,
        on: options.last().next(),
        config: None,
    };
    let (server, _) = Server::start(&server, Duration::ZERO).await?;
    let mut analyst = Analyst::new(args, options, &server.url).await?;
    let mut answers = Vec::new();
    for question in Question::ALL {
        let (mut latencies, mut items) = (Latencies::new()?, 0);
        for _ in 0..args.questions {
            let asked = Instant::now();
            items += analyst.ask(question).await?;
            latencies.record(asked.elapsed());
        }
        let (question, latency) = (question.name(), latencies.read());
        answers.push(Answers { question, latency, items });
    }
    server.stop().await?;
    Ok(Report {
        lines: args.lines,
        declarants: args.actors,
        ioss_numbers: args.numbers,
        days: args.days,
        questions_of_each: args.questions,
        answers,
    })
}

#[derive(Debug, Clone, Copy)]
enum Question {
    Declarant,
    Holder,
    Declarants,
    Holders,
    History,
    HistoryOfOne,
    Peers,
    HolderHistory,
    HolderPeers,
    Findings,
    HolderFindings,
    NotableFindings,
}

impl Question {
    const ALL: [Self; 12] = [
        Self::Declarant,
        Self::Holder,
        Self::Declarants,
        Self::Holders,
        Self::History,
        Self::HistoryOfOne,
        Self::Peers,
        Self::HolderHistory,
        Self::HolderPeers,
        Self::Findings,
        Self::HolderFindings,
        Self::NotableFindings,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Declarant => "summary of a declarant, any period",
            Self::Holder => "summary of an IOSS number, any period",
            Self::Declarants => "summaries of all declarants, any period",
            Self::Holders => "100 IOSS numbers with most lines, any period",
            Self::History => "history of a declarant, all indicators, any period",
            Self::HistoryOfOne => "history of a declarant, one indicator, any period",
            Self::Peers => "the same with peers, 100 days at most",
            Self::HolderHistory => "history of an IOSS number, all indicators",
            Self::HolderPeers => "the same with peers, 100 days at most",
            Self::Findings => "findings of a declarant, one indicator, any period",
            Self::HolderFindings => "findings of an IOSS number, any period",
            Self::NotableFindings => "notable findings of all declarants, any period",
        }
    }
}

fn one_of<T: Clone>(all: &[T], random: &mut Random) -> Result<T, Failure> {
    let at = usize::try_from(random.below(all.len().max(1) as u64))?;
    all.get(at).cloned().ok_or_else(|| "the year has nothing to ask for".into())
}

/// Asks, and draws what to ask.
struct Analyst {
    client: ComplianceClient<Channel>,
    random: Random,
    from: Day,
    days: u64,
    declarants: Vec<Actor>,
    numbers: u64,
    indicators: Vec<String>,
    findings: Vec<String>,
}

impl Analyst {
    async fn new(args: &QuestionsArgs, options: &WorldOptions, url: &str) -> Result<Self, Failure> {
        let channel = waag::command::demo::connect(url).await?;
        let mut client = ComplianceClient::new(channel).max_decoding_message_size(usize::MAX);
        let named = client.list_indicators(ListIndicatorsRequest {}).await?.into_inner();
        let role = ActorRole::Declarant.into();
        let all = ListActorSummariesRequest { role, page_size: 1_000, ..Default::default() };
        let all = client.list_actor_summaries(all).await?.into_inner().summaries;
        let names = |of: Vec<waag::proto::v1::IndicatorDescription>| {
            of.into_iter().map(|description| description.name).collect()
        };
        Ok(Self {
            client,
            random: Random::keyed(&[args.seed, 1]),
            from: options.from,
            days: u64::from(options.days),
            declarants: all.into_iter().filter_map(|summary| summary.actor).collect(),
            numbers: args.numbers,
            indicators: names(named.indicators),
            findings: names(named.findings),
        })
    }

    /// Of `most` days at most.
    fn period(&mut self, most: u64) -> Period {
        let length = self.random.between(1, self.days.min(most));
        let first = self.random.below(self.days - length + 1);
        let day = |after: u64| Day(self.from.0 + u16::try_from(after).unwrap_or(0)).to_string();
        Period { first_day: day(first), last_day: day(first + length - 1) }
    }

    fn actor(&mut self, is_holder: bool) -> Result<Actor, Failure> {
        if is_holder {
            let id = number(self.random.below(self.numbers));
            return Ok(Actor { role: ActorRole::IossHolder.into(), id });
        }
        one_of(&self.declarants, &mut self.random)
    }

    /// How many summaries, days or findings the answer has.
    async fn ask(&mut self, question: Question) -> Result<usize, Failure> {
        let year = u64::MAX;
        match question {
            Question::Declarant => self.summary(false).await,
            Question::Holder => self.summary(true).await,
            Question::Declarants => self.summaries(ActorRole::Declarant).await,
            Question::Holders => self.summaries(ActorRole::IossHolder).await,
            Question::History => self.history(false, None, HISTORY_DAYS_MAX).await,
            Question::HistoryOfOne => {
                let one = one_of(&self.indicators, &mut self.random)?;
                self.history(false, Some(one), HISTORY_DAYS_MAX).await
            }
            Question::Peers => self.history(false, None, PEER_DAYS_MAX).await,
            Question::HolderHistory => self.history(true, None, HISTORY_DAYS_MAX).await,
            Question::HolderPeers => self.history(true, None, PEER_DAYS_MAX).await,
            Question::Findings => {
                let one = one_of(&self.findings, &mut self.random)?;
                let (actor, period) = (self.actor(false)?, self.period(year));
                self.findings(actor, period, vec![one], false).await
            }
            Question::HolderFindings => {
                let (actor, period) = (self.actor(true)?, self.period(year));
                self.findings(actor, period, Vec::new(), false).await
            }
            Question::NotableFindings => {
                let all = Actor { role: ActorRole::Declarant.into(), id: String::new() };
                let period = self.period(year);
                self.findings(all, period, Vec::new(), true).await
            }
        }
    }

    async fn summary(&mut self, is_holder: bool) -> Result<usize, Failure> {
        let (actor, period) = (self.actor(is_holder)?, self.period(u64::MAX));
        let asked = GetActorSummaryRequest {
            actor: Some(actor),
            period: Some(period),
            at_least_watermark: 0,
        };
        let answer = self.client.get_actor_summary(asked).await?.into_inner();
        Ok(answer.summary.iter().count())
    }

    async fn summaries(&mut self, role: ActorRole) -> Result<usize, Failure> {
        let asked = ListActorSummariesRequest {
            role: role.into(),
            period: Some(self.period(u64::MAX)),
            page_size: 100,
            order: ActorOrder::Lines.into(),
            ..Default::default()
        };
        Ok(self.client.list_actor_summaries(asked).await?.into_inner().summaries.len())
    }

    async fn history(
        &mut self,
        is_holder: bool,
        one: Option<String>,
        days_max: u64,
    ) -> Result<usize, Failure> {
        let (actor, period) = (self.actor(is_holder)?, self.period(days_max));
        let asked = GetIndicatorHistoryRequest {
            actor: Some(actor),
            period: Some(period),
            indicators: one.into_iter().collect(),
            at_least_watermark: 0,
            peers: days_max == PEER_DAYS_MAX,
        };
        Ok(self.client.get_indicator_history(asked).await?.into_inner().days.len())
    }

    async fn findings(
        &mut self,
        actor: Actor,
        period: Period,
        indicators: Vec<String>,
        notable_only: bool,
    ) -> Result<usize, Failure> {
        let asked = ListFindingsRequest {
            actor: Some(actor),
            period: Some(period),
            indicators,
            notable_only,
            page_size: 0,
            page_token: String::new(),
        };
        Ok(self.client.list_findings(asked).await?.into_inner().findings.len())
    }
}
