//! `waag conformity`: against a real server nothing differs, again and again; and whatever a service does
//! otherwise is seen, by way of a proxy before that server that answers wrongly.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod common;
mod wrong_service;

use std::collections::BTreeSet;
use std::process::Output;

use common::{CLOCK, Start, folder, waag, waag_ok};
use serde_json::Value;
use waag::proto::v1;
use wrong_service::{Way, proxy};

/// Runs `waag conformity --json` and gives its exit code, the cases and the summary.
async fn play(url: &str, more: &[&str]) -> (i32, Vec<Value>, Value) {
    let mut args = vec!["conformity", "--against", url, "--json"];
    args.extend(more);
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let run = move || waag(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let lines = |output: &Output| -> Vec<Value> {
        let text = std::str::from_utf8(&output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mut cases = lines(&output);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = cases.pop().unwrap_or_else(|| panic!("{log}"));
    (output.status.code().unwrap(), cases, summary)
}

fn ids<'a>(cases: &'a [Value], state: &str) -> BTreeSet<&'a str> {
    let of = cases.iter().filter(|case| case["state"] == state);
    of.map(|case| case["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_differs_from_a_real_server_however_often_it_is_played() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let url = server.url();
    let on = ["--on", "2026-11-05", "--strict"];
    for run in [&[][..], &[], &["--run-id", "AGAIN"], &["--run-id", "AGAIN"]] {
        let (code, cases, summary) = play(&url, &[&on[..], run].concat()).await;
        assert_eq!(ids(&cases, "differs"), BTreeSet::new(), "{run:?}");
        assert_eq!((code, &summary["all"]["differ"]), (0, &0.into()), "{run:?}");
        assert_eq!((&summary["day"], &summary["service_day"]), (&on[1].into(), &on[1].into()));
        assert!(ids(&cases, "as_expected").len() > 200);
        assert!(ids(&cases, "as_expected").contains("protocol/summary"));
        for case in cases.iter().filter(|case| case["state"] == "skipped") {
            assert!(case["skipped"].as_str().unwrap().starts_with("holds "), "{case}");
        }
    }
    assert_eq!(server.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_law_of_another_day_is_played_where_the_clock_is_set_to_it() {
    for (day, holds, not) in [
        ("2026-06-30", "procedures/old-c07", "procedures/new-f53"),
        ("2026-10-31", "procedures/product-voluntary", "procedures/product-mandatory"),
    ] {
        let (_outer, data) = folder();
        let server = Start::at(&data, &format!("{day}T12:00")).run();
        let (code, cases, _) = play(&server.url(), &["--on", day]).await;
        assert_eq!((code, ids(&cases, "differs")), (0, BTreeSet::new()), "{day}");
        assert!(ids(&cases, "as_expected").contains(holds));
        assert!(ids(&cases, "skipped").contains(not));
        // By another day much differs, and it is told why.
        let url = server.url();
        let args = ["conformity", "--against", &url, "--on", "2026-11-05", "--only", "procedures"];
        let output = waag(&args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("The service judges by {day}: say --on {day}")), "{text}");
        assert_eq!(server.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_service_does_otherwise_is_seen() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let (url, way) = proxy(&server).await;
    for (wrong, seen, untouched) in [
        (Way::Threshold, "value/consignment-150.01", "value/consignment-150.00"),
        (Way::StopWords, "description/stop-word", "description/stop-word-within"),
        (Way::Elements, "header/lrn-23", "value/consignment-150.01"),
        (Way::Severity, "procedures/gift-company", "procedures/gift-private"),
        (Way::Order, "protocol/order", "protocol/replay"),
        (Way::Replays, "protocol/replay", "protocol/order"),
        (Way::ReplayMrn, "protocol/replay", "protocol/replay-rejected"),
        (Way::FlagsFirst, "worked/lines-no-f48", "worked/excise"),
        (Way::Totals, "protocol/order", "protocol/no-eori"),
        (Way::Duty, "procedures/duty-1", "procedures/duty-gift"),
        (Way::Watermark, "protocol/replay", "protocol/stream-order"),
        (Way::Conflicts, "protocol/conflict", "protocol/replay"),
        (Way::Mrn, "value/consignment-150.00", "value/consignment-150.01"),
        (Way::BatchId, "value/consignment-150.00", "protocol/no-eori"),
        (Way::Refusals, "protocol/no-eori", "protocol/replay"),
        (Way::StreamOrder, "protocol/stream-order", "protocol/order"),
        (Way::StreamEnds, "protocol/stream-refusal", "protocol/stream-order"),
        (Way::LooseMrn, "protocol/look-up-changed-mrn", "protocol/look-up"),
        (Way::Reasons, "protocol/reasons", "protocol/look-up"),
        (Way::Summary, "protocol/summary", "protocol/look-up"),
    ] {
        *way.lock().unwrap() = wrong;
        let only = format!("{seen},{untouched}");
        let (code, cases, _) = play(&url, &["--on", "2026-11-05", "--only", &only]).await;
        assert_eq!(code, 1, "{wrong:?}");
        assert_eq!(ids(&cases, "differs"), BTreeSet::from([seen]), "{wrong:?}: {cases:#?}");
        assert_eq!(ids(&cases, "as_expected"), BTreeSet::from([untouched]), "{wrong:?}");
        let differing = cases.iter().find(|case| case["id"] == seen).unwrap();
        assert!(differing["basis"].as_str().unwrap().len() > 5);
        let differences = differing["differences"].as_array().unwrap();
        assert!(differences.iter().all(|of| of["expected"] != of["came"]), "{differences:?}");
    }
    assert_eq!(server.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_played_before_a_service_went_away_is_told() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let (url, way) = proxy(&server).await;
    *way.lock().unwrap() = Way::Gone;
    let only = "value/consignment-150.00,value/consignment-150.01,value/gift-45.00";
    let args = ["--json", "--on", "2026-11-05", "--only", only, "--run-id", "HALF"];
    let output = waag(&[&["conformity", "--against", &url][..], &args].concat());
    assert_eq!(output.status.code(), Some(2));
    let (out, log) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let out = out.unwrap();
    let first: Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(first["id"], "value/consignment-150.00");
    let told = "after 1 cases, of run HALF: --run-id HALF plays the same once more";
    let log = log.unwrap();
    assert!(log.contains(told) && log.contains("UNAVAILABLE"), "{log}");
    // Once it is there again, what was answered is replayed.
    *way.lock().unwrap() = Way::Texts;
    let (code, cases, _) = play(&url, &args[1..]).await;
    assert_eq!((code, ids(&cases, "as_expected").len()), (0, 3));
    assert_eq!(server.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_is_free_in_is_noted_only() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let (url, way) = proxy(&server).await;
    let on = ["--on", "2026-11-05", "--only", "value,description,protocol/summary"];
    for (free, notes, strict) in
        [(Way::MoreFlags, true, 1), (Way::Texts, true, 0), (Way::NoSummaries, false, 0)]
    {
        *way.lock().unwrap() = free;
        let (code, cases, summary) = play(&url, &on).await;
        assert_eq!((code, ids(&cases, "differs")), (0, BTreeSet::new()), "{free:?}");
        assert_eq!(summary["all"]["notes"].as_u64().unwrap() > 0, notes, "{free:?}");
        let skipped = ids(&cases, "skipped").contains("protocol/summary");
        assert_eq!(skipped, free == Way::NoSummaries);
        let (code, ..) = play(&url, &[&on[..], &["--strict"]].concat()).await;
        assert_eq!(code, strict, "{free:?}");
    }
    // For people: one line for each case that differs, then the families.
    *way.lock().unwrap() = Way::Threshold;
    let args = ["conformity", "--against", &url, "--on", "2026-11-05", "--only", "value"];
    let output = waag(&args);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("value/consignment-150.01 ")).unwrap();
    for part in [
        "a consignment of EUR 150.01: expected REJECTED, came ACCEPTED",
        "expected REJECT INTRINSIC_VALUE_EXCEEDS_THRESHOLD 14 14 000 000, came none such",
        "[Art. 1(48) UCC-DA",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(text.contains("Values: thresholds"), "{text}");
    assert!(text.contains("IOSS_NUMBER_DENIED: needs a number"), "{text}");
    assert_eq!(server.stop().await, 0);
}

#[test]
fn without_a_service_it_ends_with_2() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = waag(&["conformity", "--against", &format!("http://{nowhere}")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("no server answers there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_played_is_no_success() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let url = server.url();
    let only =
        ["conformity", "--against", &url, "--on", "2026-11-05", "--only", "procedures/old-c07"];
    let output = waag(&only);
    let (out, log) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let (out, log) = (out.unwrap(), log.unwrap());
    assert_eq!(output.status.code(), Some(2), "{out}{log}");
    let why = "not played: holds until 2026-06-30, and the day is 2026-11-05: procedures/old-c07";
    assert!(out.contains(why), "{out}");
    assert!(log.contains("no case was played"), "{log}");
    // One that holds beside it is enough.
    let both = [&only[..6], &["procedures/old-c07,procedures/new-f48"]].concat();
    assert_eq!(waag(&both).status.code(), Some(0));
    assert_eq!(server.stop().await, 0);
}

#[test]
fn what_is_asked_for_wrongly_is_told() {
    let url = "http://127.0.0.1:1";
    for (args, code, told) in [
        (
            &["--against", url, "--only", "value/nothing"][..],
            2,
            "--only value/nothing: no such case",
        ),
        (&["--against", url, "--on", "tomorrow"], 2, "--on \"tomorrow\" is no day"),
        (&["--against", url, "--run-id", "ABCDEFGHIJK"], 2, "1 to 10 letters and digits"),
        (&["--against", url, "--declarant", "12"], 2, "\"12\" is no EORI"),
        (&["--show", "value"], 2, "--show value: no such case"),
        (&["--show", "procedures/old-c07", "--on", "2026-11-05"], 0, ""),
        (&["--on", "2026-11-05"], 2, "--against"),
    ] {
        let output = waag(&[&["conformity"], args].concat());
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {log}");
        assert!(log.contains(told), "{log}");
    }
}

#[test]
fn cases_are_listed_and_shown_without_a_service() {
    let list = waag_ok(&["conformity", "--list"]);
    assert!(list.contains("value/consignment-150.01"), "{list}");
    assert!(list.contains("RATE_OUTDATED: is drawn only in a month"), "{list}");
    let json = waag_ok(&["conformity", "--list", "--json", "--only", "value"]);
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (uncovered, cases) = lines.split_last().unwrap();
    assert!(uncovered["uncovered"]["RATE_OUTDATED"].is_string());
    let case = cases.iter().find(|case| case["id"] == "value/consignment-150.01").unwrap();
    assert_eq!(case["draws"], serde_json::json!(["INTRINSIC_VALUE_EXCEEDS_THRESHOLD"]));
    assert_eq!(case["from"], "2021-07-01");

    // What is shown can be played by hand.
    let outer = tempfile::tempdir().unwrap();
    let file = outer.path().join("batch.json");
    let shown = waag_ok(&["conformity", "--show", "protocol/replay", "--on", "2026-11-05"]);
    std::fs::write(&file, shown).unwrap();
    let judged = waag_ok(&["judge", "--on", "2026-11-05", "--json", file.to_str().unwrap()]);
    let answers: Vec<v1::SubmitBatchResponse> =
        judged.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<_> = answers.iter().map(|answer| answer.verdicts[0].outcome()).collect();
    assert_eq!(outcomes, [v1::Outcome::Accepted, v1::Outcome::Replayed]);
}
