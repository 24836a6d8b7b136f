//! `waag-load score`: what is signalled of the worlds of a study, held against the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use waag::command::{Failure, output};
use waag::day::Day;
use waag::insight::{Kind, Part};
use waag::rules::finding::Reason;
use waag::signals::{Figures, RULES, Series, Signal, scan};
use waag::summary::{ActorId, Role};

use super::reading::Line;
use super::{Seeds, said, seeds};

/// By which rule each kind of misbehaviour is to be found.
const KINDS: [(&str, &str); 12] = [
    ("undervalue", "undervaluation"),
    ("bunch", "bunching"),
    ("split", "splitting"),
    ("borrow", "borrowed_number"),
    ("vague", "vagueness"),
    ("misclassify", "misclassification"),
    ("merge", "merging"),
    ("gifts", "gifts"),
    ("resend", "resending"),
    ("conflict", "conflicts"),
    ("repeat", "one_price"),
    ("nominal", "nominal_value"),
];

/// Hold what is signalled of the worlds of `waag-load study` against what is true of them
///
/// A declarant that misbehaves in a way is found if the rule for that way signals it. Any other signal is a false
/// alarm, also of one that misbehaves otherwise.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ScoreArgs {
    /// Where the study put its files
    #[arg(long = "in", value_name = "DIR")]
    from: PathBuf,

    /// Seeds of the worlds
    #[arg(long, value_name = "FROM..TO", default_value = "1..25", value_parser = seeds)]
    seeds: Seeds,

    /// All of it as JSON: each way that was planted, each false alarm
    #[arg(long)]
    json: bool,
}

/// What is read of the truth.
#[derive(Debug, Deserialize)]
struct Declarant {
    eori: String,
    trade: String,
    odd: Option<String>,
    kinds: Vec<Misbehaviour>,
}

#[derive(Debug, Clone, Deserialize)]
struct Misbehaviour {
    kind: String,
    strength: f64,
    from: String,
    to: String,
    factor: Option<f64>,
}

/// A way in which a declarant misbehaves, and whether it was found.
#[derive(Debug, Serialize)]
struct Way {
    seed: u64,
    declarant: String,
    kind: String,
    strength: f64,
    factor: Option<f64>,
    from: String,
    to: String,
    found: Option<Told>,
}

/// A signal that no planted misbehaviour of its kind explains.
#[derive(Debug, Serialize)]
struct FalseAlarm {
    seed: u64,
    declarant: String,
    trade: String,
    odd: Option<String>,
    /// In which ways it misbehaves otherwise.
    kinds: Vec<String>,
    rule: &'static str,
    told: Told,
}

#[derive(Debug, Serialize)]
struct Told {
    days: (String, String),
    value: f64,
    lower: f64,
    usual: f64,
    margin: f64,
}

impl Told {
    fn of(signal: &Signal) -> Self {
        let Signal { days: (first, last), value, lower, usual, .. } = *signal;
        let days = (first.to_string(), last.to_string());
        Self { days, value, lower, usual, margin: signal.margin() }
    }
}

#[derive(Debug, Default, Serialize)]
struct Score {
    worlds: u64,
    declarants: u64,
    ways: Vec<Way>,
    false_alarms: Vec<FalseAlarm>,
}

/// Scores and prints.
///
/// # Errors
/// Where a world's files cannot be read.
pub(crate) fn run(args: &ScoreArgs) -> Result<(), Failure> {
    let mut score = Score::default();
    for seed in args.seeds.0..=args.seeds.1 {
        let signals = scan(&figures(&args.from.join(format!("seed-{seed}.figures.jsonl")))?);
        let truth = truth(&args.from.join(format!("seed-{seed}.truth.jsonl")))?;
        score.add(seed, &truth, &signals);
    }
    output(|out| {
        if args.json {
            serde_json::to_writer_pretty(&mut *out, &score)?;
            return writeln!(out);
        }
        score.write(out)
    })
}

fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>, Failure> {
    Ok(BufReader::new(File::open(path).map_err(|error| said(path, &error))?).lines())
}

/// The days of the declarants: nothing else is known to the rules.
fn figures(path: &Path) -> Result<Vec<Series>, Failure> {
    let mut all: BTreeMap<ActorId, BTreeMap<Day, Figures>> = BTreeMap::new();
    for line in lines(path)? {
        let line: Line = serde_json::from_str(&line?)?;
        if line.role != "declarant" {
            continue;
        }
        let id = ActorId::parse(Role::Declarant, &line.actor).ok_or("no EORI")?;
        let day = Day::parse(&line.day).ok_or("no day")?;
        let figures = all.entry(id).or_default().entry(day).or_default();
        for (name, (numerator, denominator, own_value)) in &line.figures {
            let Some(kind) = Kind::parse(name) else {
                figures.take_indicator(name, *numerator, *denominator);
                continue;
            };
            let parts = line.parts.get(name).into_iter().flatten();
            let parts = parts.map(|(what, count)| Part { what: what.clone(), count: *count });
            let parts: Vec<Part> = parts.collect();
            figures.take_finding(kind, (*numerator, *denominator), *own_value, &parts);
        }
        for (name, declarations) in &line.reasons {
            let reason = Reason::parse(name).ok_or("no reason")?;
            figures.take_reason(reason, *declarations, line.accepted);
        }
    }
    Ok(all.into_iter().map(|(id, days)| Series { id, days }).collect())
}

fn truth(path: &Path) -> Result<Vec<Declarant>, Failure> {
    let mut declarants = Vec::new();
    for line in lines(path)? {
        let line: serde_json::Value = serde_json::from_str(&line?)?;
        if line.get("eori").is_some() {
            declarants.push(serde_json::from_value(line)?);
        }
    }
    Ok(declarants)
}

impl Score {
    fn add(&mut self, seed: u64, truth: &[Declarant], signals: &[Signal]) {
        self.worlds += 1;
        self.declarants += truth.len() as u64;
        let rule_of = |kind: &str| KINDS.iter().find(|(of, _)| *of == kind).map(|(_, rule)| *rule);
        for declarant in truth {
            let own = || signals.iter().filter(|signal| signal.id.as_str() == declarant.eori);
            let mut rules = BTreeSet::new();
            for of in declarant.kinds.iter().cloned() {
                let rule = rule_of(&of.kind);
                rules.extend(rule);
                let found = own().find(|signal| Some(signal.rule.name) == rule).map(Told::of);
                let (declarant, Misbehaviour { kind, strength, from, to, factor }) =
                    (declarant.eori.clone(), of);
                self.ways.push(Way { seed, declarant, kind, strength, factor, from, to, found });
            }
            for signal in own().filter(|signal| !rules.contains(signal.rule.name)) {
                self.false_alarms.push(FalseAlarm {
                    seed,
                    declarant: declarant.eori.clone(),
                    trade: declarant.trade.clone(),
                    odd: declarant.odd.clone(),
                    kinds: declarant.kinds.iter().map(|of| of.kind.clone()).collect(),
                    rule: signal.rule.name,
                    told: Told::of(signal),
                });
            }
        }
    }

    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let (worlds, declarants) = (self.worlds, self.declarants);
        writeln!(out, "{worlds} worlds, {declarants} declarants, {} rules\n", RULES.len())?;
        writeln!(
            out,
            "| misbehaviour | strengths | planted | found | recall | rule | false alarms | of honest ones |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|")?;
        let row = |out: &mut dyn Write, kind: &str, rule: &str, is: &dyn Fn(&str) -> bool| {
            let planted: Vec<_> = self.ways.iter().filter(|way| is(&way.kind)).collect();
            let found = planted.iter().filter(|way| way.found.is_some()).count();
            let strengths = || planted.iter().map(|way| way.strength);
            let (weakest, strongest) =
                (strengths().fold(f64::INFINITY, f64::min), strengths().fold(0.0, f64::max));
            let planted = planted.len();
            let (strengths, recall) = match planted {
                0 => (String::new(), String::new()),
                _ => (
                    format!("{weakest:.4} to {strongest:.4}"),
                    format!("{:.3}", found as f64 / planted as f64),
                ),
            };
            let alarms =
                self.false_alarms.iter().filter(|alarm| rule.is_empty() || alarm.rule == rule);
            let honest = alarms.clone().filter(|alarm| alarm.kinds.is_empty()).count();
            let alarms = alarms.count();
            writeln!(
                out,
                "| {kind} | {strengths} | {planted} | {found} | {recall} | {rule} | {alarms} | {honest} |"
            )
        };
        for (kind, rule) in KINDS {
            row(out, kind, rule, &|of| of == kind)?;
        }
        row(out, "all", "", &|_| true)?;
        let alarms = self.false_alarms.len() as f64 / worlds as f64;
        writeln!(
            out,
            "\n{alarms:.2} false alarms for each world of {} declarants",
            declarants / worlds
        )?;
        for way in self.ways.iter().filter(|way| way.found.is_none()) {
            let Way { seed, declarant, kind, strength, factor, from, to, .. } = way;
            let factor = factor.map(|factor| format!(", to {factor}")).unwrap_or_default();
            writeln!(
                out,
                "missed: seed {seed}, {declarant}: {kind} {strength:.4}{factor}, {from} to {to}"
            )?;
        }
        for alarm in &self.false_alarms {
            let FalseAlarm { seed, declarant, trade, odd, kinds, rule, told } = alarm;
            let odd = odd.as_deref().unwrap_or_default();
            let Told { days: (first, last), value, lower, usual, .. } = told;
            let figures =
                format!("{value:.4} at least {lower:.4}, usual {usual:.4}, {first} to {last}");
            writeln!(
                out,
                "false: seed {seed}, {declarant} {trade} {odd} {kinds:?}: {rule} {figures}"
            )?;
        }
        Ok(())
    }
}
