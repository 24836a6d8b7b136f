//! `waag-load` against a real server: a right server has no mismatch, and one that answers otherwise
//! than it must is found out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{CLOCK, Server, Start, folder, summaries};
use serde_json::Value;
use waag::proto::v1::{ActorRole, ActorSummary};

fn load(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_waag-load"))
        .args(args)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Its report, and whether it ended well.
fn report(args: &[&str]) -> (Value, bool) {
    let output = load(args);
    let log = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("waag-load {args:?}: {error}\n{log}"));
    (report, output.status.success())
}

const MIX: [&str; 14] = [
    "--connections",
    "3",
    "--batch",
    "50",
    "--batches-in-flight",
    "3",
    "--replays",
    "0.15",
    "--conflicts",
    "0.05",
    "--invalid",
    "0.1",
    "--actors",
    "9",
];

fn run_at(server: &Server, args: &[&str]) -> (Value, bool) {
    let url = server.url();
    let run = ["run", "--json", "-", "--to", &url];
    report(&[&run[..], &MIX, args].concat())
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// Accepted, rejected, replayed and in conflict, over all declarants.
async fn told(server: &Server, watermark: u64) -> [u64; 4] {
    let all: Vec<ActorSummary> = summaries(server, ActorRole::Declarant, watermark).await;
    let sum = |of: fn(&ActorSummary) -> u64| all.iter().map(of).sum();
    [sum(|s| s.accepted), sum(|s| s.rejected), sum(|s| s.replayed), sum(|s| s.conflicts)]
}

fn counted(report: &Value) -> [u64; 4] {
    ["accepted", "rejected", "replayed", "conflicts"].map(|name| number(report, name))
}

#[tokio::test]
async fn every_mix_in_either_mode_has_no_mismatch_and_counts_as_the_summaries_do() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let mut sum = [0; 4];
    for mode in ["stream", "unary"] {
        for replay_by in ["batch", "declaration"] {
            let flags = ["--mode", mode, "--replay-by", replay_by, "--lines", "12000"];
            let (report, is_well) = run_at(&server, &flags);
            assert!(is_well, "{report}");
            assert_eq!(number(&report, "mismatches"), 0, "{report}");
            assert_eq!(number(&report, "summary_mismatches"), 0, "{report}");
            assert!(number(&report, "lines") >= 12_000, "{report}");
            let counts = counted(&report);
            assert_eq!(counts.iter().sum::<u64>(), number(&report, "declarations"));
            // Each kind was there, and was found.
            assert!(counts.iter().all(|&count| count > 50), "{report}");
            assert_eq!(number(&report, "replays_planted"), counts[2]);
            assert_eq!(number(&report, "conflicts_planted"), counts[3]);
            assert!(number(&report, "replays_with_mrn_checked") > 50, "{report}");
            assert_eq!(number(&report, "invented"), 0);
            assert_eq!(
                report["windows"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|window| number(window, "lines"))
                    .sum::<u64>(),
                number(&report, "lines")
            );
            for (sum, count) in sum.iter_mut().zip(counts) {
                *sum += count;
            }
            assert_eq!(told(&server, number(&report, "watermark")).await, sum);
        }
    }
}

#[tokio::test]
async fn a_run_sent_again_is_all_replays() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let page = outer.path().join("page.html");
    let flags = ["--seed", "11", "--lines", "8000", "--html", page.to_str().unwrap()];
    let (first, is_well) = run_at(&server, &flags);
    assert!(is_well, "{first}");
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("<polyline") && !page.contains("<script"));
    let flags = ["--seed", "11", "--lines", "8000", "--again", "--rate", "100000"];
    let (again, is_well) = run_at(&server, &flags);
    assert!(is_well, "{again}");
    assert_eq!(number(&again, "lines"), number(&first, "lines"));
    assert_eq!(counted(&again), [0, 0, number(&first, "declarations"), 0]);
    assert_eq!(number(&again, "mismatches"), 0);
}

#[test]
fn a_server_that_answers_otherwise_is_found_out() {
    let (_outer, data) = folder();
    // Another law: what was in good order in June is not so in November.
    let server = Start::at(&data, CLOCK).run();
    let (report, is_well) = run_at(&server, &["--on", "2026-06-10", "--lines", "2000"]);
    assert!(!is_well);
    assert!(number(&report, "mismatches") > 100, "{report}");
    assert!(!report["examples"].as_array().unwrap().is_empty());

    // Data that another run has filled: what is taken for new is answered as a replay.
    let (_, is_well) = run_at(&server, &["--seed", "5", "--lines", "2000"]);
    assert!(is_well);
    let (report, is_well) = run_at(&server, &["--seed", "5", "--lines", "2000"]);
    assert!(!is_well);
    assert!(number(&report, "invented") > 100, "{report}");
}

#[test]
fn a_sink_reads_every_batch_and_rows_are_what_a_server_is_sent() {
    let same = ["--seed", "21", "--lines", "12000"];
    let mut read = Vec::new();
    for decoder in ["in-place", "prost"] {
        for mode in ["stream", "unary"] {
            let run = ["run", "--json", "-", "--sink", decoder, "--mode", mode];
            let (report, is_well) = report(&[&run[..], &MIX, &same].concat());
            assert!(is_well, "{report}");
            assert_eq!(report["sink"], decoder);
            assert_eq!(number(&report, "mismatches"), 0, "{report}");
            read.push(["lines", "declarations"].map(|name| number(&report, name)));
        }
    }
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let (sent, is_well) = run_at(&server, &same);
    assert!(is_well, "{sent}");
    let sent_counts = ["lines", "declarations"].map(|name| number(&sent, name));
    assert_eq!(read, [sent_counts; 4]);

    let out = tempfile::tempdir().unwrap();
    let rows = ["rows", "--files", "2", "--out", out.path().to_str().unwrap()];
    let (written, is_well) = report(&[&rows[..], &MIX, &same].concat());
    assert!(is_well, "{written}");
    assert_eq!(["lines", "declarations"].map(|name| number(&written, name)), sent_counts);
    // The server found as many keys to be new as there are different ones in the files.
    let [accepted, rejected, ..] = counted(&sent);
    assert_eq!(number(&written, "distinct"), accepted + rejected, "{sent}");
    let file = std::fs::read_to_string(out.path().join("rows-1.csv")).unwrap();
    assert!(file.starts_with("declarant,lrn,batch_id,"), "{file:.80}");
}

fn longrun(data: &Path, args: &[&str]) -> (Value, bool) {
    let data = data.to_str().unwrap();
    let fixed = ["longrun", "--json", "--data-dir", data, "--settle", "0"];
    report(&[&fixed[..], &MIX, args].concat())
}

#[test]
fn a_long_run_finds_all_that_was_planted_before_and_after_a_kill() {
    let (_outer, data) = folder();
    let flags =
        ["--lines", "20000", "--sample", "60", "--memory-max", "512MiB", "--disk-reserve", "0"];
    let (report, is_well) = longrun(&data, &flags);
    assert!(is_well, "{report}");
    assert!(number(&report, "lines") >= 20_000);
    for name in ["mismatches", "summary_mismatches", "replays_missed", "conflicts_missed"] {
        assert_eq!(number(&report, name), 0, "{name}: {report}");
    }
    assert_eq!(number(&report, "invented"), 0);
    assert!(number(&report, "replays_planted") > 500, "{report}");
    assert!(number(&report, "conflicts_planted") > 100, "{report}");
    assert!(number(&report, "resident_bytes_max") > 1 << 20);
    assert!(number(&report, "disk_bytes_max") >= number(&report["disk_bytes"], "journal"));
    assert!(report["disk_bytes_per_line"]["journal"].as_f64().unwrap() > 10.0, "{report}");
    let restart = &report["restart"];
    assert_eq!(number(restart, "mismatches"), 0, "{report}");
    let again = &restart["sent_again"];
    assert_eq!(number(again, "declarations"), 60 * 50);
    assert_eq!(number(again, "replays_found"), 60 * 50);
    // Accepted ones, which are nine in ten of those that are no conflicts.
    assert!(number(again, "replays_with_mrn_checked") > 2_000, "{report}");
}

#[test]
fn a_long_run_goes_on_where_one_ended() {
    let (outer, data) = folder();
    let (progress, settings) = (outer.path().join("progress.json"), outer.path().join("waag.toml"));
    // The server's clock goes on as well.
    std::fs::write(&settings, "clock_behind_s_max = 0\n").unwrap();
    let flags = ["--memory-max", "512MiB", "--disk-reserve", "0", "--sample", "40"];
    let paths = [progress.to_str().unwrap(), settings.to_str().unwrap()];
    let flags = [&flags[..], &["--progress", paths[0], "--config", paths[1]]].concat();
    let (first, is_well) = longrun(&data, &[&flags[..], &["--lines", "60000"]].concat());
    assert!(is_well, "{first}");
    let (report, is_well) = longrun(&data, &[&flags[..], &["--lines", "120000"]].concat());
    assert!(is_well, "{report}");
    assert_eq!(report["settings"]["seed"], first["settings"]["seed"]);
    assert_eq!(number(&report, "earlier_lines"), number(&first, "lines"));
    let lines = number(&report, "earlier_lines") + number(&report, "lines");
    assert!((120_000..122_000).contains(&lines), "{report}");
    // Half of the history is of the run before, and all of it was to be found.
    assert!(number(&report, "replays_planted") > number(&first, "replays_planted"), "{report}");
    for name in ["mismatches", "summary_mismatches", "replays_missed", "conflicts_missed"] {
        assert_eq!(number(&report, name), 0, "{name}: {report}");
    }
    assert_eq!(number(&report, "invented"), 0);
    assert_eq!(number(&report["restart"], "mismatches"), 0, "{report}");
}

#[test]
fn a_long_run_stops_where_there_is_no_room_and_says_so() {
    let (_outer, data) = folder();
    let (report, is_well) = longrun(&data, &["--lines", "1000000000", "--disk-reserve", "1000TiB"]);
    assert!(is_well, "{report}");
    assert!(report["ended"].as_str().unwrap().contains("free on the disk"), "{report}");
    assert!(number(&report, "lines") > 0);
    assert_eq!(number(&report, "mismatches"), 0);
}

#[test]
fn a_long_run_onto_a_disk_without_room_reports_how_far_it_came() {
    let (outer, data) = folder();
    let settings = outer.path().join("settings.toml");
    std::fs::write(&settings, "batch_bytes_max = \"1MiB\"\nsegment_bytes = \"8MiB\"\n").unwrap();
    let settings = settings.to_str().unwrap();
    let flags = ["--lines", "1_000_000_000", "--memory-max", "256MiB", "--config", settings];
    // No disk has so much free: it ends when it first looks.
    let more = ["--sample", "30", "--disk-reserve", "1000000GiB"];
    let (report, is_well) = longrun(&data, &[&flags[..], &more].concat());
    assert!(is_well, "{report}");
    assert!(report["ended"].as_str().unwrap().contains("free on the disk"), "{report}");
    assert!(number(&report, "declarations") > 0, "{report}");
    for name in ["mismatches", "summary_mismatches", "replays_missed", "invented"] {
        assert_eq!(number(&report, name), 0, "{name}: {report}");
    }
    // What was answered is a replay after the restart as before; what was refused is not asked for.
    let again = &report["restart"]["sent_again"];
    assert_eq!(number(&report["restart"], "mismatches"), 0, "{report}");
    assert_eq!(number(again, "replays_found"), number(again, "declarations"));
    assert!(number(again, "declarations") > 0, "{report}");
}

#[test]
fn worlds_are_lodged_and_figures_and_truth_are_written_apart() {
    let (outer, _) = folder();
    let out = outer.path().join("out");
    let flags = ["study", "--lines", "4_000", "--actors", "14", "--memory-max", "256MiB"];
    let study = |seeds| {
        let seeds = ["--seeds", seeds, "--out", out.to_str().unwrap()];
        let output = load(&[&flags[..], &seeds].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    study("3");
    let read = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(out.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let truth = read("seed-3.truth.jsonl");
    let figures = read("seed-3.figures.jsonl");
    let mut misbehaving = 0;
    for declarant in truth.iter().filter(|record| record["record"] == "declarant") {
        misbehaving += usize::from(!declarant["kinds"].as_array().unwrap().is_empty());
        let own = figures
            .iter()
            .filter(|line| line["role"] == "declarant" && line["actor"] == declarant["eori"]);
        let accepted: u64 = own.clone().map(|line| line["accepted"].as_u64().unwrap()).sum();
        assert_eq!(declarant["accepted"]["declarations"], accepted, "{declarant}");
        for line in own {
            let replays = &line["figures"]["replay_rate"];
            assert!(replays[0].as_u64() <= replays[1].as_u64(), "{line}");
            // One of the summaries, and one that is found among what was accepted.
            let is_found = line["figures"]["consignment_split_rate"].is_array();
            assert_eq!(is_found, line["accepted"] != 0, "{line}");
        }
    }
    assert!(misbehaving > 2, "{truth:?}");
    assert!(figures.iter().any(|line| line["role"] == "ioss_holder"));
    let days: std::collections::BTreeSet<_> =
        figures.iter().map(|line| line["day"].to_string()).collect();
    assert_eq!(days.len(), 28);

    // What is signalled is held against the truth.
    let score = |more: &[&str]| {
        load(&[&["score", "--in", out.to_str().unwrap(), "--seeds"], more].concat())
    };
    let told = String::from_utf8(score(&["3", "--json"]).stdout).unwrap();
    let score_3: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((number(&score_3, "worlds"), number(&score_3, "declarants")), (1, 14));
    let mut ways: Vec<_> = score_3["ways"].as_array().unwrap().iter().collect();
    let of = |declarant: &Value| declarant["kinds"].as_array().cloned().unwrap_or_default();
    assert_eq!(ways.len(), truth.iter().flat_map(of).count());
    ways.retain(|way| !way["found"].is_null());
    assert!(!ways.is_empty(), "{told}");
    assert!(ways.iter().all(|way| way["found"]["margin"].as_f64().unwrap() > 0.0), "{told}");
    let text = String::from_utf8(score(&["3"]).stdout).unwrap();
    assert!(text.contains("1 worlds, 14 declarants") && text.contains("| conflict |"), "{text}");
    let missing = String::from_utf8(score(&["9"]).stderr).unwrap();
    assert!(missing.contains("seed-9.figures.jsonl"), "{missing}");

    // What is there is not made again.
    std::fs::write(out.join("seed-3.figures.jsonl"), "as it was").unwrap();
    study("3..4");
    assert_eq!(std::fs::read_to_string(out.join("seed-3.figures.jsonl")).unwrap(), "as it was");
    assert_ne!(read("seed-4.figures.jsonl"), figures);
    let turned = load(&["study", "--seeds", "4..3", "--out", out.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&turned.stderr);
    assert!(!turned.status.success() && told.contains("4 is after 3"), "{told}");
}

#[test]
fn analysts_questions_are_answered_over_all_days() {
    let year = ["questions", "--lines", "6_000", "--actors", "12", "--numbers", "20"];
    let small = ["--days", "40", "--questions", "4", "--memory-max", "256MiB", "--json"];
    let (report, is_well) = report(&[&year[..], &small].concat());
    assert!(is_well, "{report}");
    let answers = report["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 12);
    for answer in answers {
        assert!(number(answer, "items") > 0, "{answer}");
    }
    let none = load(&["questions", "--numbers", "0"]);
    let told = String::from_utf8_lossy(&none.stderr);
    assert!(told.contains("--numbers 0 is not within 1 to 10,000,000"), "{told}");
}
