#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
//! The cases against Waag's own rules, without a server, on every day on which something changes; and that
//! each reason has its cases.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::batch::Unplayable;
use super::case::{Case, Finding};
use super::kit::Kit;
use super::play::{Playing, Settings};
use super::report::State;
use super::service::{Refusal, Service, Told, Trouble};
use crate::config::{ByteSize, Config};
use crate::day::{Calendar, Day, Moment};
use crate::id::mrn_check_digit;
use crate::ingest::offline::Offline;
use crate::ingest::options;
use crate::ingest::refusal::RefusalKind;
use crate::proto::v1;
use crate::proto::v1::get_declaration_request::Key;
use crate::rules::Law;
use crate::rules::finding::{Element, Reason};

/// The rules as a service: what `waag judge` does, with MRNs, look-ups and counts beside it.
struct Judging {
    offline: Offline,
    at: Moment,
    law: Law,
    day: Day,
    records: u64,
    mrns: u64,
    standing: HashMap<(String, String), v1::Verdict>,
    counts: HashMap<String, v1::ActorSummary>,
}

impl Judging {
    fn new(day: Day, calendar: &Calendar) -> Self {
        Self::under(day, calendar, &|| Law::load(None).unwrap())
    }

    fn under(day: Day, calendar: &Calendar, law: &dyn Fn() -> Law) -> Self {
        let config = Config { memory_max: ByteSize(256 << 20), ..Config::default() };
        let at = Moment(calendar.start_of(day).0 + 12 * 3_600_000);
        Self {
            offline: Offline::new(&config, law()).unwrap(),
            at,
            law: law(),
            day,
            records: 0,
            mrns: 0,
            standing: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    /// Gives the MRN, and keeps what stands.
    fn lodged(&mut self, declarant: &str, lrn: &str, verdict: &mut v1::Verdict) {
        let key = (declarant.to_owned(), lrn.trim().to_owned());
        let count = self.counts.entry(declarant.to_owned()).or_default();
        match verdict.outcome() {
            v1::Outcome::Accepted => {
                count.accepted += 1;
                self.mrns += 1;
                let mrn = format!("26NL{:012}R", self.mrns);
                let digit = mrn_check_digit(mrn.as_bytes()).unwrap();
                verdict.mrn = format!("{mrn}{digit}");
                self.standing.insert(key, verdict.clone());
            }
            v1::Outcome::Rejected => {
                count.rejected += 1;
                let stands = self.standing.get(&key).map(v1::Verdict::outcome);
                if stands != Some(v1::Outcome::Accepted) {
                    self.standing.insert(key, verdict.clone());
                }
            }
            v1::Outcome::Conflict => count.conflicts += 1,
            _ => {
                count.replayed += 1;
                if verdict.replay_of() == v1::Outcome::Accepted {
                    verdict.mrn = self.standing[&key].mrn.clone();
                }
            }
        }
    }
}

impl Service for Judging {
    async fn submit(&mut self, batch: v1::SubmitBatchRequest) -> Result<Told, Trouble> {
        let mut answer = match self.offline.judge(&batch, self.at) {
            Ok(answer) => answer,
            Err(refusal) => {
                let code = match refusal.kind {
                    RefusalKind::Invalid => "INVALID_ARGUMENT",
                    _ => "RESOURCE_EXHAUSTED",
                };
                return Ok(Told::Refusal(Refusal {
                    code: code.into(),
                    field: refusal.field,
                    message: refusal.message,
                    batch_id: None,
                }));
            }
        };
        self.records += 1;
        answer.watermark = self.records;
        for (declaration, verdict) in batch.declarations.iter().zip(&mut answer.verdicts) {
            self.lodged(&batch.declarant, &declaration.lrn, verdict);
        }
        Ok(Told::Answer(answer))
    }

    async fn stream(&mut self, batches: Vec<v1::SubmitBatchRequest>) -> Result<Vec<Told>, Trouble> {
        let mut told = Vec::new();
        for batch in batches {
            let batch_id = batch.batch_id.clone();
            told.push(match self.submit(batch).await? {
                Told::Refusal(of) => Told::Refusal(Refusal { batch_id: Some(batch_id), ..of }),
                answer => answer,
            });
        }
        Ok(told)
    }

    async fn look_up(&mut self, key: Key) -> Result<Option<v1::GetDeclarationResponse>, Trouble> {
        let found = self.standing.iter().find(|((declarant, lrn), verdict)| match &key {
            Key::LocalReference(of) => of.declarant == *declarant && of.lrn == *lrn,
            Key::Mrn(mrn) => verdict.mrn == *mrn,
        });
        Ok(found.map(|((declarant, lrn), verdict)| v1::GetDeclarationResponse {
            verdict: Some(verdict.clone()),
            declarant: declarant.clone(),
            lrn: lrn.clone(),
            judged_at_ms: self.at.0,
            ..v1::GetDeclarationResponse::default()
        }))
    }

    async fn reasons(&mut self, on: String) -> Result<Vec<v1::Reason>, Trouble> {
        assert_eq!(on, self.day.to_string());
        let law = self.law.on(self.day).unwrap();
        let reasons = law.reasons().map(|(reason, severity, text, basis, element)| v1::Reason {
            reason: reason.name().into(),
            severity: severity as i32,
            text: text.into(),
            legal_basis: basis.into(),
            data_element: element.unwrap_or_default().into(),
        });
        Ok(reasons.collect())
    }

    async fn summary(&mut self, declarant: &str, _: u64) -> Result<v1::ActorSummary, Trouble> {
        let counts = self.counts.get(declarant).cloned().unwrap_or_default();
        Ok(v1::ActorSummary { watermark: self.records, ..counts })
    }
}

fn calendar() -> Calendar {
    options::calendar(&Config::default()).unwrap()
}

fn settings(day: Day) -> Settings {
    Settings {
        declarant: "NL810000003".into(),
        run_id: "MHZ4K2Q1".into(),
        is_repeated: false,
        is_strict: false,
        day,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The first and the last day of every case, and those on either side of a change of the law.
fn days(kit: &Kit) -> BTreeSet<Day> {
    let parse = |day: &&str| Day::parse(day).unwrap();
    let changes =
        ["2026-06-30", "2026-07-01", "2026-10-31", "2026-11-01", "2026-11-30", "2027-03-15"];
    let ends = kit.cases.iter().flat_map(|case| [case.from, case.to]);
    ends.filter(|day| *day < Day(u16::MAX)).chain(changes.iter().map(parse)).collect()
}

#[test]
fn every_case_holds_for_our_own_rules_on_its_days() {
    let kit = Kit::built_in().unwrap();
    let (calendar, law) = (calendar(), Law::load(None).unwrap());
    let (mut played_once, mut wrong) = (HashSet::new(), Vec::new());
    let cases: Vec<_> = kit.cases.iter().collect();
    for day in days(&kit) {
        // From December 2026 on rates are lacking, which is flagged wherever amounts are converted.
        let is_strict = day < Day::parse("2026-12-01").unwrap();
        let settings = Settings { is_strict, ..settings(day) };
        let playing = Playing::under(&kit, settings, calendar.clone(), &law).unwrap();
        let mut service = Judging::new(day, &calendar);
        let report = block_on(playing.play(&mut service, &cases, &mut |_| {})).unwrap();
        assert_eq!(report.service_day, Some(day));
        for played in &report.played {
            if played.state == State::Differs {
                wrong.push(format!("on {day}: {}", played.line()));
                continue;
            }
            if played.state == State::AsExpected {
                played_once.insert(played.id.to_owned());
                continue;
            }
            let why = played.skipped.as_deref().unwrap();
            let is_of_day = why.starts_with("holds ") || why.starts_with("the rate of ");
            assert!(is_of_day, "on {day}: {}: {why}", played.id);
            // All rates up to that day are known.
            assert!(
                !why.starts_with("the rate") || day > Day::parse("2026-11-30").unwrap(),
                "{why}"
            );
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    for case in &kit.cases {
        assert!(played_once.contains(&case.id), "{} is never played", case.id);
    }
}

/// A file of the law, what stands in it and what stands there instead, and the case that differs then.
const OFF_BY_LITTLE: &[(&str, &str, &str, &str)] = &[
    ("rulesets/2026-11-01.toml", "\"150.00\"", "\"150.01\"", "value/consignment-150.01"),
    ("rulesets/2026-11-01.toml", "\"150.00\"", "\"149.99\"", "value/consignment-150.00"),
    ("rulesets/2026-11-01.toml", "\"45.00\"", "\"45.01\"", "value/gift-45.01"),
    ("rulesets/2026-11-01.toml", "\"45.00\"", "\"44.99\"", "value/gift-45.00"),
    ("rulesets/2026-11-01.toml", "percent = \"5\"", "percent = \"6\"", "value/rate-157.51"),
    ("rulesets/2026-11-01.toml", "max = 999", "max = 998", "header/items-999"),
    ("rulesets/2026-11-01.toml", "max = 999", "max = 1000", "header/items-1000"),
    ("rulesets/2026-11-01.toml", "\"3.00\"", "\"2.00\"", "procedures/duty-1"),
    ("rulesets/2026-11-01.toml", "[\"F53\"], ", "", "procedures/new-f53"),
    (
        "rulesets/2026-11-01.toml",
        "[\"merchant\", \"manufacturer\"]",
        "[\"merchant\"]",
        "procedures/product-manufacturer-missing",
    ),
    ("sanctions_detour_countries.csv", "\nTR,", "\nTM,", "goods/detour-steel-tr"),
];

#[test]
fn a_law_that_is_off_by_little_is_found_out() {
    let kit = Kit::built_in().unwrap();
    let (calendar, day) = (calendar(), Day::parse("2026-11-05").unwrap());
    let playing = Playing::new(&kit, settings(day), calendar.clone()).unwrap();
    let files = Law::load(None).unwrap().files().clone();
    for (file, right, wrong, id) in OFF_BY_LITTLE {
        let law = || {
            let changed = files.iter().map(|(name, bytes)| {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                assert!(name != file || text.contains(right), "{file}: {right}");
                let text = if name == file { text.replace(right, wrong) } else { text };
                (name.clone(), text.into_bytes())
            });
            Law::from_files(changed.collect()).unwrap()
        };
        let case = kit.cases.iter().find(|case| case.id == *id).unwrap();
        let mut services = [Judging::under(day, &calendar, &law), Judging::new(day, &calendar)];
        for (service, expected) in services.iter_mut().zip([State::Differs, State::AsExpected]) {
            let report = block_on(playing.play(service, &[case], &mut |_| {})).unwrap();
            assert_eq!(report.played[0].state, expected, "{right} as {wrong}: {:?}", report.played);
        }
    }
}

#[test]
fn a_run_that_is_repeated_gets_replays_and_they_are_as_expected() {
    let kit = Kit::built_in().unwrap();
    let (calendar, day) = (calendar(), Day::parse("2026-11-05").unwrap());
    let mut service = Judging::new(day, &calendar);
    let cases: Vec<_> = kit.cases.iter().collect();
    for is_repeated in [false, true] {
        let settings = Settings { is_repeated, ..settings(day) };
        let playing = Playing::new(&kit, settings, calendar.clone()).unwrap();
        let report = block_on(playing.play(&mut service, &cases, &mut |_| {})).unwrap();
        let differing = report.played.iter().filter(|played| played.state == State::Differs);
        let lines: Vec<_> = differing.map(super::Played::line).collect();
        assert_eq!(lines, Vec::<String>::new(), "repeated: {is_repeated}");
    }
    // Where it is not said that a run is repeated, the replays are no acceptances.
    let playing = Playing::new(&kit, settings(day), calendar).unwrap();
    let report = block_on(playing.play(&mut service, &cases, &mut |_| {})).unwrap();
    assert!(report.total().differ > 100, "{:?}", report.total());
}

/// The cases that draw a reason.
fn drawing<'a>(kit: &'a Kit, reason: &str) -> Vec<&'a Case> {
    kit.cases.iter().filter(|case| case.draws().contains(&reason)).collect()
}

/// The cases that stand at its boundary, and do not draw it in another step.
fn standing<'a>(kit: &'a Kit, reason: &str) -> Vec<&'a Case> {
    let stand =
        |case: &&Case| case.stands_at().contains(&reason) && !case.draws().contains(&reason);
    kit.cases.iter().filter(stand).collect()
}

/// Reasons of customs law for which the contract has no place: no service of it can draw them.
const NOT_OF_THE_CONTRACT: [&str; 4] = [
    "IOSS_CHANGED_AFTER_RELEASE",
    "PRELODGED_EXPIRED",
    "CONSIGNMENT_SPLIT_SUSPECT",
    "DUPLICATE_TRANSPORT_DOCUMENT",
];

#[test]
fn every_reason_is_drawn_twice_and_stood_at_by_another_case_or_cannot_be() {
    let kit = Kit::built_in().unwrap();
    // The law of today, which is what most will play: two cases of old law do not make up for it.
    let day = Day::parse("2026-11-05").unwrap();
    let in_force = |case: &&&Case| case.from <= day && day <= case.to;
    let mut lacking = Vec::new();
    for reason in Reason::ALL {
        let name = reason.name();
        let (draw, stand) = (drawing(&kit, name), standing(&kit, name));
        if kit.uncovered.iter().any(|of| of.reason == name) {
            assert!(draw.is_empty(), "{name} is drawn, so that it can be");
            continue;
        }
        let draw = draw.iter().filter(in_force).count();
        let stand = stand.iter().filter(in_force).count();
        if draw < 2 || stand < 1 {
            lacking.push(format!("{name}: {draw} draw it, {stand} stand at it"));
        }
    }
    assert_eq!(lacking, Vec::<String>::new());
    let others = kit.uncovered.iter().filter(|of| Reason::parse(&of.reason).is_none());
    let others: Vec<&str> = others.map(|of| of.reason.as_str()).collect();
    assert_eq!(others, NOT_OF_THE_CONTRACT);
    for of in &kit.uncovered {
        assert!(of.why.len() > 20, "{}", of.reason);
    }
}

#[test]
fn what_is_expected_are_reasons_and_data_elements_of_the_contract() {
    let kit = Kit::built_in().unwrap();
    let mut ids = HashSet::new();
    for case in &kit.cases {
        assert!(ids.insert(&case.id), "{} is there twice", case.id);
        assert!(
            case.title.len() > 2 && case.law.ends_with('.') && case.basis.len() > 5,
            "{}",
            case.id
        );
        for reason in case.draws().into_iter().chain(case.stands_at()) {
            assert!(Reason::parse(reason).is_some(), "{}: {reason}", case.id);
        }
        let entries = case.batches().flat_map(|batch| &batch.declarations);
        for finding in entries.flat_map(|entry| &entry.findings) {
            let element = finding.place.as_ref().map(|(element, _)| element);
            let is_known = element.is_none_or(|element| Element::by_number(element).is_some());
            assert!(is_known, "{}: {element:?}", case.id);
        }
    }
    for bad in
        ["REJECT", "DENY X", "REJECT X 14 14", "REJECT X 14 14 000 000 line 1", "FLAG X item 1"]
    {
        assert!(Finding::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn every_worked_case_is_played() {
    let worked: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../tests/cases.json")).unwrap();
    let kit = Kit::built_in().unwrap();
    let titles: HashSet<&str> = kit.cases.iter().map(|case| case.title.as_str()).collect();
    for case in worked {
        let name = case["case"].as_str().unwrap();
        assert!(titles.contains(name), "{name} is missing in cases/worked.json");
    }
}

#[test]
fn no_lrn_is_of_two_cases_and_none_is_too_long() {
    let kit = Kit::built_in().unwrap();
    let day = Day::parse("2026-11-05").unwrap();
    let playing =
        Playing::new(&kit, Settings { run_id: "ABCDEFGHIJ".into(), ..settings(day) }, calendar())
            .unwrap();
    let mut of: HashMap<String, &str> = HashMap::new();
    for case in kit.cases.iter().filter(|case| case.from <= day && day <= case.to) {
        for declaration in playing.batches(case).into_iter().flat_map(|batch| batch.declarations) {
            let lrn = declaration.lrn.trim().to_owned();
            let is_short = lrn.chars().count() <= 22 || case.id == "header/lrn-23";
            assert!(is_short, "{}: {lrn}", case.id);
            if !lrn.is_empty() {
                assert!(lrn.starts_with("ABCDEFGHIJ-"), "{}: {lrn}", case.id);
                let first = *of.entry(lrn).or_insert(&case.id);
                assert_eq!(first, case.id);
            }
        }
    }
}

#[test]
fn amounts_are_made_at_the_rate_of_the_day() {
    let kit = Kit::built_in().unwrap();
    let law = Law::load(None).unwrap();
    for (day, is_known) in [("2026-11-30", true), ("2026-12-01", false)] {
        let law = law.on(Day::parse(day).unwrap()).unwrap();
        let worth = law.most_worth(crate::id::EurCents(15_001), "USD");
        assert_eq!(worth.is_some(), is_known, "{day}");
    }
    let day = Day::parse("2026-12-01").unwrap();
    let playing = Playing::new(&kit, settings(day), calendar()).unwrap();
    let case = kit.cases.iter().find(|case| case.id == "value/rate-150.01").unwrap();
    let made = playing.making(Moment(0)).batch(case, case.batches().next().unwrap(), 1);
    assert!(matches!(made, Err(Unplayable::Lacking(_))), "{made:?}");
}

/// The table of `docs/conformity.md`, which this makes.
fn coverage(kit: &Kit) -> String {
    let mut table = String::from("| Reason | Draw it | Stand at it | As |\n|---|---|---|---|\n");
    for reason in Reason::ALL {
        let name = reason.name();
        let (draws, stands) = (drawing(kit, name), standing(kit, name));
        if let (Some(draw), Some(stand)) = (draws.first(), stands.first()) {
            let (d, s) = (draws.len(), stands.len());
            table += &format!("| `{name}` | {d} | {s} | `{}`, `{}` |\n", draw.id, stand.id);
        }
    }
    table
}

#[test]
fn the_documentation_has_the_cases_that_there_are() {
    let kit = Kit::built_in().unwrap();
    let docs = include_str!("../../docs/conformity.md");
    let table = coverage(&kit);
    assert!(docs.contains(&table), "docs/conformity.md must have this table:\n\n{table}");
    let count = kit.cases.len();
    assert!(
        docs.contains(&format!("\n{count} cases, as data")),
        "docs/conformity.md: {count} cases"
    );
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("plays {count} cases of customs law")), "README.md: {count}");
    for of in &kit.uncovered {
        assert!(docs.contains(&format!("| `{}` | {} |", of.reason, of.why)), "{}", of.reason);
    }
    let mut families: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for case in &kit.cases {
        families.entry(&case.family).or_insert((0, &case.family_title)).0 += 1;
    }
    for (family, (count, title)) in families {
        let row = format!("| `{family}` | {count} | {title} |");
        assert!(docs.contains(&row), "docs/conformity.md must have this row:\n\n{row}");
    }
}
