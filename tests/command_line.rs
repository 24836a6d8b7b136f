//! The commands a user types.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{CLOCK, Start, folder, waag, waag_ok};
use serde_json::Value;

fn judge_from_stdin(input: &str, args: &[&str]) -> std::process::Output {
    let mut child = Command::new(common::WAAG)
        .arg("judge")
        .args(args)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It answers while it reads: whoever feeds it must not wait for it.
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    let feeding = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // Where it stops at the first error, the rest is not read.
    let _ = feeding.join().unwrap();
    output
}

#[test]
fn what_is_generated_is_judged_and_the_same_seed_gives_the_same_bytes() {
    let args = ["generate", "--lines", "2000", "--seed", "5", "--on", "2026-11-05"];
    let lines = waag_ok(&args);
    assert_eq!(lines, waag_ok(&args));
    assert_ne!(lines, waag_ok(&["generate", "--lines", "2000", "--seed", "6"]));
    let output = judge_from_stdin(&lines, &["--on", "2026-11-05", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), lines.lines().count());
    let count = |outcome: &str| {
        answers
            .iter()
            .flat_map(|answer| answer["verdicts"].as_array().unwrap())
            .filter(|verdict| verdict["outcome"] == outcome)
            .count()
    };
    assert!(count("OUTCOME_ACCEPTED") > 900, "{}", count("OUTCOME_ACCEPTED"));
    assert!(count("OUTCOME_REJECTED") > 0 && count("OUTCOME_REPLAYED") > 0);
}

#[test]
fn judge_tells_people_what_is_wrong_and_fails_on_what_it_cannot_read() {
    let case = &common::cases()[0];
    let output = judge_from_stdin(&case["request"].to_string(), &["--on", "2026-11-05"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("rejected") && text.contains("DUTY_RELIEF_ABOLISHED"), "{text}");
    for (input, args, told) in [
        ("", &[][..], "no batch"),
        ("{\"declarant\": 5}", &[], "batch 1"),
        ("{\"declarnt\": \"NL810000003\"}", &[], "declarnt"),
        ("{\"declarant\": \"12345\", \"declarations\": [{}]}", &[], "declarant"),
        ("{}", &["--on", "tomorrow"], "tomorrow"),
        ("{}", &["--on", "2019-01-01"], "2021-07-01"),
    ] {
        let output = judge_from_stdin(input, args);
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{input}");
        assert!(log.contains(told), "{input}: {log}");
    }
}

#[test]
fn a_short_demo_has_no_mismatches_and_its_json_is_one_line() {
    let text = waag_ok(&["demo", "--lines", "20000", "--json"]);
    assert_eq!(text.lines().count(), 1);
    let report: Value = serde_json::from_str(&text).unwrap();
    for field in ["lines", "declarations", "accepted", "rejected", "replayed", "conflicts"] {
        assert!(report[field].as_u64().unwrap() > 0, "{field}: {text}");
    }
    assert_eq!(report["mismatches"], 0);
    assert_eq!(report["summary_mismatches"], 0);
    assert!(report["lines_per_second"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn summaries_are_printed_for_people_and_as_json() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let request = common::batch("b", vec![common::declaration("S1")]);
    server.lodgement().await.submit_batch(request).await.unwrap();
    let url = server.url();
    let run = |args: Vec<String>| {
        tokio::task::spawn_blocking(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            waag(&args)
        })
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let base = format!("summary --from {url} --at-least-watermark 3");
    let table = run(words(&base)).await.unwrap();
    assert!(String::from_utf8(table.stdout).unwrap().contains("NL810000003"));
    let one = run(words(&format!("{base} --actor NL810000003 --json"))).await.unwrap();
    let one: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(one["accepted"], "1");
    let unknown = run(words(&format!("{base} --actor NL999999999"))).await.unwrap();
    assert!(!unknown.status.success());
    assert_eq!(server.stop().await, 0);
    let gone = run(words(&base)).await.unwrap();
    assert!(!gone.status.success());
    let log = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(log.contains("waag serve"), "{log}");
}

#[test]
fn settings_out_of_bounds_are_named() {
    let (outer, data) = folder();
    let settings = outer.path().join("settings.toml");
    for (content, told) in [
        ("memory_max = \"1MiB\"", "memory_max"),
        ("batch_declarations_max = 100000", "batch_declarations_max"),
        ("time_zone = \"Mars\"", "time_zone"),
        ("tyop = 1", "tyop"),
        ("listen = \"0.0.0.0:50051\"", "insecure_listen_anywhere"),
    ] {
        std::fs::write(&settings, content).unwrap();
        let (settings, data) = (settings.to_str().unwrap(), data.to_str().unwrap());
        let output = waag(&["serve", "--config", settings, "--data-dir", data]);
        assert!(!output.status.success());
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains(told), "{content}: {log}");
    }
    assert!(!data.exists(), "nothing was made for settings that cannot be");
}
