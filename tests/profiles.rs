//! Risk profiles on a real server: tried, recorded, matched with what is sealed, there again after a kill and in a backup.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::Path;

use common::{CLOCK, SETTINGS, Server, Start, batch, folder, lodge, waag, waag_ok, with_value};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use waag::proto::v1::{self, try_profile_response::Told};

const OTHER: &str = "NL810000004";

/// Seals within a second.
fn settings() -> String {
    format!(
        "{SETTINGS}unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n\
         algorithms_owner = \"customs, team rules\"\n"
    )
}

fn start<'a>(data: &'a Path, settings: &'a str) -> Start<'a> {
    Start { settings, ..Start::at(data, CLOCK) }
}

fn dear() -> v1::ProfileConditions {
    v1::ProfileConditions {
        declaration_value_eur_cents: Some(v1::ProfileRange { min: Some(10_000), max: None }),
        ..Default::default()
    }
}

fn terms(name: &str) -> v1::ProfileTerms {
    v1::ProfileTerms {
        name: name.into(),
        purpose: "to look at what is dear".into(),
        owner: "team e-commerce".into(),
        conditions: Some(dear()),
        ..Default::default()
    }
}

async fn record(
    server: &Server,
    replaces: Option<(&str, u32)>,
    terms: v1::ProfileTerms,
) -> Result<v1::Profile, Status> {
    let (id, replaces_version) = replaces.unwrap_or_default();
    let terms = Some(terms);
    let request = v1::RecordProfileRequest { id: id.into(), replaces_version, terms };
    let answer = server.compliance().await.record_profile(request).await?;
    Ok(answer.into_inner().profile.unwrap())
}

async fn hits(server: &Server, id: &str, at_least: u64) -> v1::ListProfileHitsResponse {
    let request = v1::ListProfileHitsRequest {
        id: id.into(),
        at_least_watermark: at_least,
        ..Default::default()
    };
    server.compliance().await.list_profile_hits(request).await.unwrap().into_inner()
}

async fn tried(
    server: &Server,
    request: v1::TryProfileRequest,
) -> Result<(Vec<v1::ProfileProgress>, v1::ProfileTrial), Status> {
    let mut stream = server.compliance().await.try_profile(request).await?.into_inner();
    let mut progress = Vec::new();
    while let Some(message) = stream.message().await? {
        match message.told.unwrap() {
            Told::Progress(told) => progress.push(told),
            Told::Trial(trial) => return Ok((progress, trial)),
        }
    }
    panic!("no result");
}

/// Of one declarant 30 declarations, 25 of them dear; of another 10, 5 of them dear; a replay, a conflict and one that
/// is rejected. Returns the last watermark.
async fn lodge_some(server: &Server) -> u64 {
    let value = |n: usize, dear: usize| if n < dear { 10_000 + n as u64 } else { 9_999 };
    let some = |count: usize, dear: usize| {
        let one = |n: usize| with_value(&format!("L{n}"), value(n, dear));
        (0..count).map(one).collect::<Vec<_>>()
    };
    lodge(server, batch("own", some(30, 25))).await;
    let of_other =
        v1::SubmitBatchRequest { declarant: OTHER.into(), ..batch("other", some(10, 5)) };
    lodge(server, of_other).await;
    let again = vec![with_value("L0", 10_000), with_value("L1", 14_000), with_value("R", 99_999)];
    lodge(server, batch("again", again)).await.watermark
}

fn totals(totals: Option<v1::ProfileTotals>) -> (u64, u64) {
    let totals = totals.unwrap();
    (totals.declarations, totals.value_eur_cents)
}

#[tokio::test]
async fn a_profile_hits_what_a_trial_says_and_outlives_a_kill_and_a_restore() {
    let (outer, data) = folder();
    let settings = settings();
    let server = start(&data, &settings).run();
    let first = record(&server, None, terms("dear")).await.unwrap();
    assert_eq!((&first.id[..], first.state()), ("P1", v1::ProfileState::Active));
    assert_eq!(first.newest.as_ref().unwrap().first_day, "2026-11-05");
    assert_eq!(record(&server, None, terms("dear")).await.unwrap_err().code(), Code::AlreadyExists);

    let watermark = lodge_some(&server).await;
    let found = hits(&server, "P1", watermark).await;
    let [version] = &found.versions[..] else { panic!("{found:?}") };
    assert!(version.watermark >= watermark, "{version:?}");
    let value = (0..25).chain(0..5).map(|n| 10_000 + n).sum();
    assert_eq!(totals(version.hits), (30, value));
    let [day] = &version.days[..] else { panic!("{version:?}") };
    assert_eq!((&day.day[..], day.examples.len()), ("2026-11-05", 20));
    assert_eq!((&day.examples[0].lrn[..], day.examples[0].goods_item), ("L0", 1));
    assert_eq!(day.examples[0].mrn.len(), 18);

    // The same by a trial, with the shares of declarants.
    let request = v1::TryProfileRequest { conditions: Some(dear()), ..Default::default() };
    let (progress, trial) = tried(&server, request).await.unwrap();
    assert_eq!(trial.days, version.days);
    assert_eq!((totals(trial.hits), trial.accepted.unwrap().declarations), ((30, value), 40));
    assert_eq!((&trial.first_day[..], &trial.last_day[..]), ("2026-10-09", "2026-11-05"));
    let shares: Vec<_> =
        trial.declarants.iter().map(|d| (&d.declarant[..], d.share_of_hits)).collect();
    assert_eq!(shares, [("NL810000003", 25.0 / 30.0), (OTHER, 5.0 / 30.0)]);
    // 43 were judged, of which one was answered before.
    assert!(progress.iter().all(|told| told.of == 42 && told.done <= 42), "{progress:?}");

    // Who changes what another has changed is told.
    let second = record(&server, Some(("P1", 1)), terms("dear things")).await.unwrap();
    assert_eq!(second.newest.unwrap().version, 2);
    let late = record(&server, Some(("P1", 1)), terms("dear")).await.unwrap_err();
    assert_eq!(late.code(), Code::Aborted);
    let known = hits(&server, "P1", watermark).await;
    // The first one was replaced on its first day: it is in force on none.
    let versions: Vec<_> = known.versions.iter().map(|v| (v.version, totals(v.hits))).collect();
    assert_eq!(versions, [(2, (30, value))]);

    server.kill();
    let server = start(&data, &settings).run();
    assert_eq!(hits(&server, "P1", watermark).await, known);
    let url = server.url();
    let shown = waag_ok(&["profile", "hits", "P1", "--from", &url]);
    assert!(shown.contains("dear things, active") && shown.contains("30 declarations"), "{shown}");
    let shown = waag_ok(&["profile", "try", "--value", "100..", "--from", &url]);
    assert!(shown.contains("30 of 40 accepted") && shown.contains("83.3 %"), "{shown}");
    let before = ["--period", "2026-01-01..2026-01-02"];
    let shown =
        waag_ok(&[&["profile", "try", "--from", &url, "--value", "100.."], &before[..]].concat());
    assert!(shown.contains("nothing accepted on these days is sealed"), "{shown}");

    let (data, backup) = (data.to_str().unwrap(), outer.path().join("backup"));
    let backup = backup.to_str().unwrap();
    waag_ok(&["backup", "--data-dir", data, "--to", backup]);
    let restored = outer.path().join("restored");
    waag_ok(&["restore", "--from", backup, "--data-dir", restored.to_str().unwrap()]);
    server.kill();
    let server = start(&restored, &settings).run();
    assert_eq!(hits(&server, "P1", watermark).await.profile, known.profile);
    let url = server.url();
    waag_ok(&[
        "profile",
        "withdraw",
        "P1",
        "--replaces",
        "2",
        "--from",
        &url,
        "--reason",
        "enough",
    ]);
    let listed = waag_ok(&["profile", "list", "--state", "withdrawn", "--from", &url, "--json"]);
    assert!(listed.contains("\"P1\""), "{listed}");
    assert_eq!(waag_ok(&["profile", "list", "--state", "active", "--from", &url, "--json"]), "");
    let shown = waag_ok(&["profile", "show", "P1", "--from", &url]);
    assert!(
        shown.contains("withdrawn. enough") && shown.contains("value, EUR: 100.00.."),
        "{shown}"
    );
    server.kill();

    // Damage is told with its place, by verify and by the start.
    let file = restored.join("profiles/profiles.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let folder = restored.to_str().unwrap();
    let verified = waag(&["verify", "--memory-max", "256MiB", "--data-dir", folder]);
    let told = String::from_utf8(verified.stdout).unwrap();
    assert!(!verified.status.success() && told.contains("profiles.jsonl, line 1"), "{told}");
    let log = start(&restored, &settings).try_run().err().unwrap();
    assert!(log.contains("profiles.jsonl, line 1"), "{log}");
}

#[tokio::test]
async fn a_kill_while_profiles_are_recorded_loses_none_that_was_answered() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let mut client = server.compliance().await;
    let (told, mut answered) = tokio::sync::mpsc::unbounded_channel();
    let recording = tokio::spawn(async move {
        for n in 0..200 {
            let terms = Some(terms(&format!("profile {n}")));
            let request = v1::RecordProfileRequest { terms, ..Default::default() };
            let Ok(answer) = client.record_profile(request).await else { return };
            told.send(answer.into_inner().profile.unwrap()).unwrap();
        }
    });
    let mut known = Vec::new();
    while known.len() < 20 {
        known.push(answered.recv().await.unwrap());
    }
    server.kill();
    recording.await.unwrap();
    while let Some(profile) = answered.recv().await {
        known.push(profile);
    }
    let server = Start::at(&data, CLOCK).run();
    let request = v1::ListProfilesRequest { page_size: 1_000, ..Default::default() };
    let listed = server.compliance().await.list_profiles(request).await.unwrap().into_inner();
    // One may have been written that was not answered.
    assert!((known.len()..=known.len() + 1).contains(&listed.profiles.len()));
    assert_eq!(listed.profiles[..known.len()], known);
}

#[tokio::test]
async fn what_cannot_be_recorded_or_tried_names_its_field() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let field = |status: Status| {
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        status.get_details_bad_request().unwrap().field_violations[0].field.clone()
    };
    type Change = fn(&mut v1::ProfileTerms);
    let wrong: [(&str, Change); 6] = [
        ("terms.name", |t| t.name = String::new()),
        ("terms.owner", |t| t.owner = "x".repeat(101)),
        ("terms.start_day", |t| t.start_day = "2026-11-04".into()),
        ("terms.start_day", |t| t.start_day = "tomorrow".into()),
        ("terms.end_day", |t| t.end_day = "2026-11-04".into()),
        ("terms.conditions", |t| t.conditions = None),
    ];
    for (expected, change) in wrong {
        let mut terms = terms("dear");
        change(&mut terms);
        assert_eq!(field(record(&server, None, terms).await.unwrap_err()), expected);
    }
    let replaces = record(&server, Some(("P1", 0)), terms("dear")).await.unwrap_err();
    assert_eq!(field(replaces), "replaces_version");
    let unknown = record(&server, Some(("P1", 1)), terms("dear")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let candidate = |first: &str, last: &str, conditions| v1::TryProfileRequest {
        conditions: Some(conditions),
        first_day: first.into(),
        last_day: last.into(),
    };
    let none = v1::ProfileConditions::default();
    let pattern = v1::ProfileConditions { description_patterns: vec!["(".into()], ..none.clone() };
    for (expected, request) in [
        ("conditions", candidate("", "", none)),
        ("conditions.description_patterns[0]", candidate("", "", pattern)),
        ("first_day", candidate("2025-10-01", "2026-11-05", dear())),
        ("last_day", candidate("2026-11-06", "2026-11-05", dear())),
        ("last_day", candidate("", "x", dear())),
    ] {
        assert_eq!(field(tried(&server, request).await.unwrap_err()), expected);
    }
    // Nothing is sealed, and so there is nothing to go through.
    let (_, trial) = tried(&server, candidate("", "", dear())).await.unwrap();
    assert_eq!((trial.watermark, trial.accepted.unwrap_or_default().declarations), (0, 0));
    let early = v1::ListProfileHitsRequest {
        id: record(&server, None, terms("dear")).await.unwrap().id,
        at_least_watermark: 1_000,
        ..Default::default()
    };
    let mut early = tonic::Request::new(early);
    early.set_timeout(std::time::Duration::from_millis(300));
    let status = server.compliance().await.list_profile_hits(early).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test]
async fn the_register_says_what_each_algorithm_is_for_and_not_what_is_looked_for() {
    let (_outer, data) = folder();
    let settings = settings();
    let server = start(&data, &settings).run();
    record(&server, None, terms("dear")).await.unwrap();
    let later = v1::ProfileTerms { start_day: "2026-12-01".into(), ..terms("later") };
    record(&server, None, later).await.unwrap();
    // Replaced before its day, by one that ends.
    let ends = v1::ProfileTerms {
        start_day: "2026-11-20".into(),
        end_day: "2026-11-30".into(),
        conditions: Some(v1::ProfileConditions {
            declarants: vec![OTHER.into()],
            ..Default::default()
        }),
        ..terms("later")
    };
    record(&server, Some(("P2", 1)), ends).await.unwrap();
    let request = v1::ListAlgorithmsRequest {};
    let found = server.compliance().await.list_algorithms(request).await.unwrap().into_inner();
    let (own, profiles): (Vec<_>, Vec<_>) =
        found.algorithms.into_iter().partition(|a| a.kind() == v1::AlgorithmKind::BuiltIn);
    let ids: Vec<_> = own.iter().map(|algorithm| &algorithm.id[..]).collect();
    for id in ["rules", "deduplication", "indicators", "findings", "agreements", "profiles"] {
        assert!(ids.contains(&id), "{id} in {ids:?}");
    }
    for algorithm in own.iter().chain(&profiles) {
        let texts = [&algorithm.name, &algorithm.purpose, &algorithm.method, &algorithm.owner];
        assert!(texts.iter().all(|text| !text.is_empty()), "{algorithm:?}");
        assert!(!algorithm.inputs.is_empty() && !algorithm.version.is_empty(), "{algorithm:?}");
        assert!(!format!("{algorithm:?}").contains(OTHER), "{algorithm:?}");
    }
    assert!(own.iter().all(|algorithm| algorithm.owner == "customs, team rules"));
    let days: Vec<_> =
        profiles.iter().map(|a| (&a.id[..], &a.since_day[..], &a.until_day[..])).collect();
    assert_eq!(days, [("P1", "2026-11-05", ""), ("P2", "2026-11-20", "2026-11-30")]);
    let shown = waag_ok(&["algorithms", "--from", &server.url()]);
    assert!(shown.contains("deduplication") && shown.contains("P2"), "{shown}");
}
