//! Agreements, profiles and samples on the page: each answer is that of the service, for the same readers.

use std::path::Path;

use super::common::{
    CLOCK, SETTINGS, Server, Start, batch, folder, lodge, summary, waag_ok, with_value,
};
use super::{OWN, actor, address, assert_refused, assert_statuses, json, tokens, told};
use serde_json::Value;
use waag::proto::v1::{self, sampling_terms::Method};

/// Seals within a second.
fn start(data: &Path, clock: &str, more: &str) -> Server {
    let settings = format!(
        "{SETTINGS}unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n{more}\n\
         [web]\nlisten = \"127.0.0.1:0\"\n"
    );
    Start { settings: &settings, ..Start::at(data, clock) }.run()
}

fn agreement(indicator: &str) -> v1::RecordAgreementRequest {
    let days = ["2026-10-01", "2026-10-31"].map(str::to_owned);
    let [first_day, last_day] = days;
    let terms = v1::AgreementTerms {
        actor: actor(),
        indicator: indicator.into(),
        direction: v1::AgreementDirection::LowerIsBetter.into(),
        baseline: Some(v1::AgreementBaseline {
            numerator: 300,
            denominator: 1_000,
            period: Some(v1::Period { first_day, last_day }),
            ..Default::default()
        }),
        target: 0.1,
        start_day: "2026-11-03".into(),
        deadline_day: "2026-11-20".into(),
        review_interval_days: 2,
        window_days: 7,
        n_min: 20,
        note: String::new(),
    };
    v1::RecordAgreementRequest { terms: Some(terms), ..Default::default() }
}

fn profile() -> v1::RecordProfileRequest {
    let range = v1::ProfileRange { min: Some(10_000), max: None };
    let terms = v1::ProfileTerms {
        name: "dear".into(),
        purpose: "to look at what is dear".into(),
        owner: "team e-commerce".into(),
        conditions: Some(v1::ProfileConditions {
            declaration_value_eur_cents: Some(range),
            ..Default::default()
        }),
        ..Default::default()
    };
    v1::RecordProfileRequest { terms: Some(terms), ..Default::default() }
}

fn plan() -> v1::RecordPlanRequest {
    let terms = v1::SamplingTerms {
        name: "the sixth".into(),
        purpose: "to see how much is wrong".into(),
        owner: "team e-commerce".into(),
        first_day: "2026-11-06".into(),
        last_day: "2026-11-06".into(),
        conditions: None,
        method: Some(Method::Fixed(v1::FixedSample { size: 10, ..Default::default() })),
    };
    v1::RecordPlanRequest { terms: Some(terms) }
}

#[tokio::test]
async fn agreements_are_those_of_the_service() {
    let (_outer, data) = folder();
    let server = start(&data, CLOCK, "");
    let at = address(&server);
    assert_eq!(json(&at, "/api/agreements"), serde_json::json!({}));
    let mut client = server.compliance().await;
    for indicator in ["rejection_rate", "gift_rate"] {
        client.record_agreement(agreement(indicator)).await.unwrap();
    }
    let some = (0..50).map(|n| with_value(&format!("L{n}"), if n < 10 { 15_001 } else { 1_000 }));
    let mark = lodge(&server, batch("1", some.collect())).await.watermark;
    summary(&server, OWN, mark).await;

    let request = v1::ListAgreementsRequest { actor: actor(), ..Default::default() };
    let expected = client.list_agreements(request).await.unwrap().into_inner();
    assert_eq!(expected.agreements.len(), 2);
    for path in [
        "/api/agreements".to_owned(),
        format!("/api/agreements?role=declarant&id={OWN}"),
        "/api/agreements?state=active&state=ended".to_owned(),
    ] {
        assert_eq!(json(&at, &path), told(&expected), "{path}");
    }
    for path in ["/api/agreements?id=NL810000004", "/api/agreements?state=withdrawn&state=pending"]
    {
        assert_eq!(json(&at, path), serde_json::json!({}), "{path}");
    }
    let first = json(&at, "/api/agreements?page_size=1");
    let next = first["nextPageToken"].as_str().unwrap();
    let second = json(&at, &format!("/api/agreements?page_size=1&page_token={next}"));
    assert_eq!(
        (&first["agreements"][0]["id"], &second["agreements"][0]["id"]),
        (&"A1".into(), &"A2".into())
    );

    let request = v1::ReviewAgreementRequest { id: "A1".into(), ..Default::default() };
    let expected = client.review_agreement(request).await.unwrap().into_inner();
    let path = format!("/api/agreement?id=A1&at_least_watermark={mark}");
    assert_eq!(json(&at, &path), told(&expected));
    let figure = expected.reviews[0].figure.as_ref().unwrap();
    assert_eq!((figure.numerator, figure.denominator), (10, 50));

    // Another version is by its own terms; the one before stays to be seen.
    let mut tighter = agreement("rejection_rate");
    (tighter.id, tighter.replaces_version) = ("A1".into(), 1);
    tighter.terms.as_mut().unwrap().target = 0.05;
    client.record_agreement(tighter).await.unwrap();
    let of = |path: &str| json(&at, path)["reviews"][0]["glidePath"].as_f64().unwrap();
    assert!(of("/api/agreement?id=A1") < of("/api/agreement?id=A1&version=1"));
    let earlier = json(&at, "/api/agreements?with_earlier=true");
    assert_eq!(earlier["agreements"][0]["earlier"][0]["terms"]["target"], 0.1);
    assert!(json(&at, "/api/agreements")["agreements"][0].get("earlier").is_none());
}

#[tokio::test]
async fn profiles_and_samples_are_those_of_the_service() {
    let (_outer, data) = folder();
    let server = start(&data, CLOCK, "");
    let at = address(&server);
    for path in ["/api/profiles", "/api/plans"] {
        assert_eq!(json(&at, path), serde_json::json!({}), "{path}");
    }
    let mut client = server.compliance().await;
    client.record_profile(profile()).await.unwrap();
    client.record_plan(plan()).await.unwrap();
    server.kill();

    let server = start(&data, "2026-11-06T10:00", "");
    let at = address(&server);
    let mut client = server.compliance().await;
    let some = (0..40).map(|n| with_value(&format!("L{n}"), if n < 25 { 12_000 } else { 1_000 }));
    let mark = lodge(&server, batch("1", some.collect())).await.watermark;

    let request = v1::ListProfilesRequest { with_earlier: true, ..Default::default() };
    let expected = client.list_profiles(request).await.unwrap().into_inner();
    for path in ["/api/profiles", "/api/profiles?id=P1&state=active&with_earlier=true"] {
        assert_eq!(json(&at, path), told(&expected), "{path}");
    }
    assert_eq!(json(&at, "/api/profiles?state=pending"), serde_json::json!({}));
    let path = format!("/api/hits?id=P1&at_least_watermark={mark}");
    let found = json(&at, &path);
    let request = v1::ListProfileHitsRequest {
        id: "P1".into(),
        at_least_watermark: mark,
        ..Default::default()
    };
    let expected = client.list_profile_hits(request).await.unwrap().into_inner();
    assert_eq!(found, told(&expected));
    assert_eq!(expected.versions[0].hits.unwrap().declarations, 25);
    assert_eq!(expected.versions[0].days[0].examples.len(), 20);
    let before = json(&at, "/api/hits?id=P1&last_day=2026-11-05");
    assert!(before["versions"][0].get("days").is_none(), "{before}");
    let expected = client.list_algorithms(v1::ListAlgorithmsRequest {}).await.unwrap().into_inner();
    let algorithms = json(&at, "/api/algorithms");
    assert_eq!(algorithms, told(&expected));
    let ids = algorithms["algorithms"].as_array().unwrap().iter().map(|it| &it["id"]);
    let ids: Vec<_> = ids.filter_map(Value::as_str).collect();
    assert!(ids.ends_with(&["P1", "S1"]), "{ids:?}");

    let plans = client.list_plans(v1::ListPlansRequest::default()).await.unwrap().into_inner();
    for path in ["/api/plans", "/api/plans?id=S1"] {
        assert_eq!(json(&at, path), told(&plans), "{path}");
    }
    assert_eq!(plans.plans[0].secret, "", "the page tells no more than the service");
    let path = format!("/api/selected?id=S1&at_least_watermark={mark}");
    let found = json(&at, &path);
    let request = v1::ListSelectedRequest { id: "S1".into(), ..Default::default() };
    let expected = client.list_selected(request).await.unwrap().into_inner();
    assert_eq!((expected.selected.len(), found), (10, told(&expected)));
    let one = &expected.selected[0];
    let outcome = v1::ControlOutcome {
        declarant: one.declarant.clone(),
        lrn: one.lrn.clone(),
        goods_item: one.goods_item,
        is_error: true,
        ..Default::default()
    };
    let request = v1::RecordOutcomeRequest { id: "S1".into(), outcome: Some(outcome) };
    client.record_outcome(request).await.unwrap();
    let open = json(&at, "/api/selected?id=S1&open_only=true&page_size=3");
    assert_eq!(open["selected"][0]["lrn"], expected.selected[1].lrn);
    let next = open["nextPageToken"].as_str().unwrap();
    let next = json(&at, &format!("/api/selected?id=S1&open_only=true&page_token={next}"));
    assert_eq!(next["selected"].as_array().unwrap().len(), 6);
    let request =
        v1::EstimatePlanRequest { id: "S1".into(), confidence: 0.9, ..Default::default() };
    let expected = client.estimate_plan(request).await.unwrap().into_inner();
    assert_eq!(json(&at, "/api/estimate?id=S1&confidence=0.9"), told(&expected));
    assert_eq!((expected.strata[0].errors, expected.strata[0].checked), (1, 1));
    let wider = json(&at, "/api/estimate?id=S1");
    assert!(wider["shareLower"].as_f64() < expected.share_lower, "{wider}");

    for (path, status, told) in [
        ("/api/agreements?state=lost", 400, "state is"),
        ("/api/agreements?page_size=1001", 400, "page_size"),
        ("/api/agreements?role=platform&id=NL810000003", 400, "role is"),
        ("/api/agreement?id=17", 400, "an agreement's id"),
        ("/api/agreement?id=A17", 404, "A17"),
        ("/api/profiles?state=open", 400, "pending, active, ended, withdrawn"),
        ("/api/profiles?id=P17", 404, "P17"),
        ("/api/hits?id=P1&first_day=soon", 400, "2026-11-22"),
        ("/api/hits?id=P17", 404, "P17"),
        ("/api/plans?id=S17", 404, "S17"),
        ("/api/selected?id=S1&page_token=x", 400, "no page ended there"),
        ("/api/estimate?id=S1&confidence=0.5", 400, "0.9, 0.95 or 0.99"),
    ] {
        assert_refused(&at, path, status, told);
    }
}

#[tokio::test]
async fn who_may_not_ask_the_service_may_not_ask_the_page() {
    let (outer, data) = folder();
    // Before there are clients anyone records.
    let server = start(&data, CLOCK, "");
    let mut client = server.compliance().await;
    client.record_agreement(agreement("rejection_rate")).await.unwrap();
    client.record_profile(profile()).await.unwrap();
    client.record_plan(plan()).await.unwrap();
    server.kill();
    let (clients, [inspector, platform, keeper]) = tokens(outer.path(), &data);
    let server = start(&data, CLOCK, &clients);
    let at = address(&server);
    let own = format!("/api/agreements?id={OWN}");
    let paths = [
        own.as_str(),
        "/api/agreement?id=A1",
        "/api/agreements",
        "/api/agreements?id=NL810000004",
        "/api/profiles",
        "/api/hits?id=P1",
        "/api/plans",
        "/api/selected?id=S1",
        "/api/estimate?id=S1",
        "/api/algorithms",
    ];
    for (token, expected) in [
        (None, [401; 10]),
        (Some(&inspector), [200; 10]),
        (Some(&platform), [200, 200, 403, 403, 403, 403, 403, 403, 403, 200]),
        // That there is an agreement is not told to who may not read it.
        (Some(&keeper), [403, 404, 403, 403, 403, 403, 403, 403, 403, 200]),
    ] {
        assert_statuses(&at, token, &paths, &expected);
    }
    assert_eq!(server.stop().await, 0);
    let log = waag_ok(&["audit", "--data-dir", data.to_str().unwrap()]);
    for what in ["read agreement", "read profile", "read profile hits", "read sample"] {
        let of = log.lines().filter(|line| line.contains("inspector") && line.contains(what));
        assert!(of.count() >= 1, "{what}\n{log}");
    }
}
