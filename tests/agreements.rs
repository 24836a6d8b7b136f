//! Agreements on a real server: recorded, reviewed, changed, withdrawn, and there again after a kill and in a backup.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{CLOCK, Server, Start, batch, declaration, folder, lodge, waag, waag_ok};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use waag::proto::v1::{self, AgreementVerdict};

const ACTOR: &str = "NL810000003";

fn terms() -> v1::AgreementTerms {
    v1::AgreementTerms {
        actor: Some(v1::Actor { role: v1::ActorRole::Declarant.into(), id: ACTOR.into() }),
        indicator: "rejection_rate".into(),
        direction: v1::AgreementDirection::LowerIsBetter.into(),
        baseline: Some(v1::AgreementBaseline {
            numerator: 300,
            denominator: 1_000,
            period: Some(v1::Period {
                first_day: "2026-10-01".into(),
                last_day: "2026-10-31".into(),
            }),
            ..Default::default()
        }),
        target: 0.1,
        start_day: "2026-11-03".into(),
        deadline_day: "2026-11-20".into(),
        review_interval_days: 2,
        window_days: 7,
        n_min: 20,
        note: "agreed on the third".into(),
    }
}

async fn record(
    server: &Server,
    replaces: Option<(&str, u32)>,
    terms: v1::AgreementTerms,
) -> Result<v1::Agreement, Status> {
    let (id, replaces_version) = replaces.unwrap_or_default();
    let terms = Some(terms);
    let request = v1::RecordAgreementRequest { id: id.into(), replaces_version, terms };
    let answer = server.compliance().await.record_agreement(request).await?;
    Ok(answer.into_inner().agreement.unwrap())
}

async fn review(server: &Server, id: &str) -> v1::ReviewAgreementResponse {
    let request = v1::ReviewAgreementRequest { id: id.into(), ..Default::default() };
    server.compliance().await.review_agreement(request).await.unwrap().into_inner()
}

/// 50 declarations, of which so many are rejected.
async fn lodge_some(server: &Server, rejected: usize) -> u64 {
    let mut declarations: Vec<_> = (0..50).map(|n| declaration(&format!("L{n}"))).collect();
    for declaration in &mut declarations[..rejected] {
        declaration.goods_items[0].hs6 = "no".into();
    }
    lodge(server, batch("some", declarations)).await.watermark
}

#[tokio::test]
async fn an_agreement_is_reviewed_by_the_summaries_and_outlives_a_kill_and_a_restore() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let watermark = lodge_some(&server, 2).await;
    common::summary(&server, ACTOR, watermark).await;
    let first = record(&server, None, terms()).await.unwrap();
    assert_eq!((&first.id[..], first.state()), ("A1", v1::AgreementState::Active));
    assert_eq!(record(&server, None, terms()).await.unwrap_err().code(), Code::AlreadyExists);

    // 2 of 50 today: [1.1 %, 13.5 %], below the path of 27.6 %, not below the target.
    let found = review(&server, "A1").await;
    assert_eq!(found.today, "2026-11-05");
    let [only] = &found.reviews[..] else { panic!("{:?}", found.reviews) };
    let figure = only.figure.as_ref().unwrap();
    assert_eq!((figure.numerator, figure.denominator), (2, 50));
    assert_eq!((&only.day[..], only.is_provisional), ("2026-11-05", true));
    assert!((only.glide_path - (0.3 - 0.2 * 2.0 / 17.0)).abs() < 1e-12);
    assert_eq!(only.verdict(), AgreementVerdict::OnTrack);
    assert_eq!((found.days.len(), found.days[0].alarm), (1, false));

    // Who changes what another has changed is told.
    let tighter = v1::AgreementTerms { target: 0.01, ..terms() };
    let second = record(&server, Some(("A1", 1)), tighter.clone()).await.unwrap();
    assert_eq!(second.newest.unwrap().version, 2);
    let late = record(&server, Some(("A1", 1)), tighter).await.unwrap_err();
    assert_eq!(late.code(), Code::Aborted);
    assert!(late.message().contains("version 2"), "{late}");

    let reviewed = review(&server, "A1").await;
    server.kill();
    let server = Start::at(&data, CLOCK).run();
    assert_eq!(review(&server, "A1").await, reviewed);
    let shown = waag_ok(&["agreement", "show", "A1", "--from", &server.url()]);
    assert!(shown.contains("on track (so far)") && shown.contains("CUSUM: no shift"), "{shown}");

    let (data, backup) = (data.to_str().unwrap(), outer.path().join("backup"));
    let backup = backup.to_str().unwrap();
    waag_ok(&["backup", "--data-dir", data, "--to", backup]);
    let restored = outer.path().join("restored");
    waag_ok(&["restore", "--from", backup, "--data-dir", restored.to_str().unwrap()]);
    server.kill();
    let server = Start::at(&restored, CLOCK).run();
    assert_eq!(review(&server, "A1").await.agreement, reviewed.agreement);
    let url = server.url();
    waag_ok(&["agreement", "withdraw", "A1", "--replaces", "2", "--from", &url]);
    let listed = waag_ok(&["agreement", "list", "--state", "withdrawn", "--from", &url, "--json"]);
    assert!(listed.contains("\"A1\""), "{listed}");
    assert_eq!(waag_ok(&["agreement", "list", "--state", "active", "--from", &url, "--json"]), "");
    server.kill();

    // Damage is told with its place, by verify and by the start.
    let file = restored.join("agreements/agreements.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let folder = restored.to_str().unwrap();
    let verified = waag(&["verify", "--memory-max", "256MiB", "--data-dir", folder]);
    let told = String::from_utf8(verified.stdout).unwrap();
    assert!(!verified.status.success() && told.contains("agreements.jsonl, line 1"), "{told}");
    let log = Start::at(&restored, CLOCK).try_run().err().unwrap();
    assert!(log.contains("agreements.jsonl, line 1"), "{log}");
}

#[tokio::test]
async fn what_cannot_be_agreed_names_its_field() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    type Change = fn(&mut v1::AgreementTerms);
    let wrong: [(&str, Change); 6] = [
        ("terms.indicator", |t| t.indicator = "threshold_bunching".into()),
        ("terms.direction", |t| t.direction = 0),
        ("terms.target", |t| t.target = 0.3),
        ("terms.deadline_day", |t| t.deadline_day = "2026-11-03".into()),
        ("terms.window_days", |t| t.window_days = 367),
        // Computed of summaries that have nothing.
        ("terms.baseline.denominator", |t| t.baseline = None),
    ];
    for (field, change) in wrong {
        let mut terms = terms();
        change(&mut terms);
        let status = record(&server, None, terms).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        let details = status.get_details_bad_request().unwrap();
        assert_eq!(details.field_violations[0].field, field, "{status}");
    }
    // What was lodged until the day before is the baseline, where none is stated.
    let watermark = lodge_some(&server, 20).await;
    common::summary(&server, ACTOR, watermark).await;
    let from_tomorrow =
        v1::AgreementTerms { baseline: None, start_day: "2026-11-06".into(), ..terms() };
    let found = record(&server, None, from_tomorrow).await.unwrap();
    assert_eq!(found.state(), v1::AgreementState::Pending);
    let baseline = found.newest.unwrap().terms.unwrap().baseline.unwrap();
    assert_eq!((baseline.numerator, baseline.denominator), (20, 50));
    assert_eq!(baseline.source(), v1::AgreementBaselineSource::Computed);
    assert_eq!(baseline.watermark, watermark);
}
