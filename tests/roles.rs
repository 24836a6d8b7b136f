//! What each role may do with agreements, risk profiles, the register of algorithms and samples, over mutual TLS;
//! what of it stands in the audit log.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;
#[path = "common/secured.rs"]
mod secured;

use common::waag_ok;
use secured::{Client, OTHER, OWN, Secured, assert_codes, came, code, text};
use tonic::Code;
use waag::proto::v1;
use waag::proto::v1::compliance_client::ComplianceClient;

/// Tries all calls on agreements; `A1` is with another declarant, `A2` with an own one.
async fn agreements(client: &Client) -> Vec<(&'static str, Code)> {
    let calls = ComplianceClient::new(client.channel().await);
    let mut codes = Vec::new();
    let actor =
        |id: &str| Some(v1::Actor { role: v1::ActorRole::Declarant.into(), id: id.to_owned() });
    for (what, actor) in [("all", None), ("own", actor(OWN)), ("other", actor(OTHER))] {
        let request = v1::ListAgreementsRequest { actor, ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_agreements(request).await))));
    }
    for (what, id) in [("review own", "A2"), ("review other", "A1"), ("review none", "A9")] {
        let request = v1::ReviewAgreementRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().review_agreement(request).await))));
    }
    // There is none: whoever may withdraw is told so.
    let request = v1::WithdrawAgreementRequest {
        id: "A9".into(),
        replaces_version: 1,
        reason: String::new(),
    };
    codes.push(("withdraw", code(&came(calls.clone().withdraw_agreement(request).await))));
    codes
}

fn agreed(id: &str) -> v1::RecordAgreementRequest {
    let terms = v1::AgreementTerms {
        actor: Some(v1::Actor { role: v1::ActorRole::Declarant.into(), id: id.into() }),
        indicator: "rejection_rate".into(),
        direction: v1::AgreementDirection::LowerIsBetter.into(),
        baseline: Some(v1::AgreementBaseline {
            numerator: 87,
            denominator: 1_200,
            period: Some(v1::Period {
                first_day: "2026-10-01".into(),
                last_day: "2026-10-31".into(),
            }),
            ..Default::default()
        }),
        target: 0.01,
        start_day: "2026-11-01".into(),
        deadline_day: "2027-05-01".into(),
        ..Default::default()
    };
    v1::RecordAgreementRequest { terms: Some(terms), ..Default::default() }
}

#[tokio::test]
async fn agreements_are_for_those_whom_they_concern() {
    let secured = Secured::new("");
    let supervisor = secured.token("supervisor");
    let server = secured.start();
    let client = |name| secured.client(&server, name);
    let supervisor = Client::of(&server, &secured.authority.pem, None, Some(&supervisor));
    for who in [&client("own"), &client("operator"), &supervisor] {
        let mut calls = ComplianceClient::new(who.channel().await);
        let refused = came(calls.record_agreement(agreed(OWN)).await);
        assert_eq!(code(&refused), Code::PermissionDenied);
    }
    for (id, is_now) in [(OTHER, "A1"), (OWN, "A2")] {
        let mut calls = ComplianceClient::new(client("analyst").channel().await);
        let found = calls.record_agreement(agreed(id)).await.unwrap().into_inner();
        let found = found.agreement.unwrap();
        assert_eq!((&found.id[..], &found.newest.unwrap().recorded_by[..]), (is_now, "analyst"));
    }
    //                                                     list review withdraw
    assert_codes("own", &agreements(&client("own")).await, "x.x .?? x");
    assert_codes("other", &agreements(&client("other")).await, "xx. ?.? x");
    assert_codes("analyst", &agreements(&client("analyst")).await, "... ..? ?");
    assert_codes("supervisor", &agreements(&supervisor).await, "... ..? x");
    assert_codes("operator", &agreements(&client("operator")).await, "xxx ??? x");
    let log = waag_ok(&["audit", "--data-dir", text(&secured.data), "--json"]);
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["\"analyst\"", "record agreement", OTHER, "a new one"]), "{log}");
    assert!(has(&["\"own\"", "read agreement", "A2 with declarant NL810000003"]), "{log}");
    assert!(
        has(&["\"own\"", "read agreement", "A1 with declarant NL810000004", "denied"]),
        "{log}"
    );
    assert!(has(&["\"operator\"", "record agreement", "denied"]), "{log}");
}

/// Tries all calls on risk profiles and the register; there is `P1`, and no `P9`.
async fn profiles(client: &Client) -> Vec<(&'static str, Code)> {
    let calls = ComplianceClient::new(client.channel().await);
    let mut codes = Vec::new();
    for (what, id) in [("list", ""), ("show", "P1"), ("show none", "P9")] {
        let request = v1::ListProfilesRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_profiles(request).await))));
    }
    for (what, id) in [("hits", "P1"), ("hits of none", "P9")] {
        let request = v1::ListProfileHitsRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_profile_hits(request).await))));
    }
    let request = v1::TryProfileRequest { conditions: Some(of_other()), ..Default::default() };
    codes.push(("try", code(&came(calls.clone().try_profile(request).await))));
    let id = "P9".to_owned();
    let request = v1::WithdrawProfileRequest { id, replaces_version: 1, ..Default::default() };
    codes.push(("withdraw", code(&came(calls.clone().withdraw_profile(request).await))));
    let request = v1::ListAlgorithmsRequest {};
    codes.push(("register", code(&came(calls.clone().list_algorithms(request).await))));
    codes
}

fn of_other() -> v1::ProfileConditions {
    v1::ProfileConditions { declarants: vec![OTHER.into()], ..Default::default() }
}

#[tokio::test]
async fn risk_profiles_are_for_analysts_and_the_register_for_all() {
    let secured = Secured::new("");
    let supervisor = secured.token("supervisor");
    let server = secured.start();
    let client = |name| secured.client(&server, name);
    let supervisor = Client::of(&server, &secured.authority.pem, None, Some(&supervisor));
    let terms = v1::ProfileTerms {
        name: "borrowed".into(),
        purpose: "to see".into(),
        owner: "team".into(),
        conditions: Some(of_other()),
        ..Default::default()
    };
    let recorded = v1::RecordProfileRequest { terms: Some(terms), ..Default::default() };
    for who in [&client("own"), &client("operator"), &supervisor] {
        let mut calls = ComplianceClient::new(who.channel().await);
        let refused = came(calls.record_profile(recorded.clone()).await);
        assert_eq!(code(&refused), Code::PermissionDenied);
    }
    let mut calls = ComplianceClient::new(client("analyst").channel().await);
    let found = calls.record_profile(recorded).await.unwrap().into_inner().profile.unwrap();
    assert_eq!((&found.id[..], &found.newest.unwrap().recorded_by[..]), ("P1", "analyst"));
    //                                                       list hits try withdraw register
    assert_codes("own", &profiles(&client("own")).await, "xxx xx x x .");
    assert_codes("other", &profiles(&client("other")).await, "xxx xx x x .");
    assert_codes("analyst", &profiles(&client("analyst")).await, "..? .? . ? .");
    assert_codes("supervisor", &profiles(&supervisor).await, "..? .? . x .");
    assert_codes("operator", &profiles(&client("operator")).await, "xxx xx x x .");
    let stranger = client("stranger");
    assert_codes("a stranger", &profiles(&stranger).await, "uuu uu u u u");
    let log = waag_ok(&["audit", "--data-dir", text(&secured.data), "--json"]);
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["\"analyst\"", "record profile", "borrowed", "a new one"]), "{log}");
    // Whose declarations were looked at stands there.
    assert!(has(&["\"analyst\"", "read profile hits", "P1 from", OTHER]), "{log}");
    assert!(has(&["\"supervisor\"", "try profile", OTHER]), "{log}");
    assert!(has(&["\"operator\"", "read profile hits", "denied"]), "{log}");
    assert!(has(&["\"operator\"", "record profile", "denied"]), "{log}");
}

/// Tries all calls on samples; there is `S1`, and no `S9`.
async fn samples(client: &Client) -> Vec<(&'static str, Code)> {
    let calls = ComplianceClient::new(client.channel().await);
    let mut codes = Vec::new();
    for (what, id) in [("list", ""), ("show none", "S9")] {
        let request = v1::ListPlansRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_plans(request).await))));
    }
    for (what, id) in [("selected", "S1"), ("selected of none", "S9")] {
        let request = v1::ListSelectedRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_selected(request).await))));
    }
    let request = v1::EstimatePlanRequest { id: "S1".into(), ..Default::default() };
    codes.push(("estimate", code(&came(calls.clone().estimate_plan(request).await))));
    let (declarant, lrn) = (OTHER.into(), "L1".into());
    let outcome = v1::ControlOutcome { declarant, lrn, goods_item: 1, ..Default::default() };
    let request = v1::RecordOutcomeRequest { id: "S1".into(), outcome: Some(outcome) };
    codes.push(("outcome", code(&came(calls.clone().record_outcome(request).await))));
    codes
}

#[tokio::test]
async fn samples_are_for_analysts_and_supervisors_read_them() {
    let secured = Secured::new("");
    let supervisor = secured.token("supervisor");
    let server = secured.start();
    let client = |name| secured.client(&server, name);
    let supervisor = Client::of(&server, &secured.authority.pem, None, Some(&supervisor));
    let fixed = v1::FixedSample { size: 9, ..Default::default() };
    let terms = v1::SamplingTerms {
        name: "December".into(),
        purpose: "to see".into(),
        owner: "team".into(),
        first_day: "2026-12-01".into(),
        last_day: "2026-12-31".into(),
        conditions: Some(of_other()),
        method: Some(v1::sampling_terms::Method::Fixed(fixed)),
    };
    let recorded = v1::RecordPlanRequest { terms: Some(terms) };
    for who in [&client("own"), &client("operator"), &supervisor] {
        let mut calls = ComplianceClient::new(who.channel().await);
        let refused = came(calls.record_plan(recorded.clone()).await);
        assert_eq!(code(&refused), Code::PermissionDenied);
    }
    let mut calls = ComplianceClient::new(client("analyst").channel().await);
    let found = calls.record_plan(recorded).await.unwrap().into_inner().plan.unwrap();
    assert_eq!((&found.id[..], &found.recorded_by[..]), ("S1", "analyst"));
    //                                                      list selected estimate outcome
    assert_codes("own", &samples(&client("own")).await, "xx xx x x");
    assert_codes("other", &samples(&client("other")).await, "xx xx x x");
    assert_codes("analyst", &samples(&client("analyst")).await, ".? .? . .");
    assert_codes("supervisor", &samples(&supervisor).await, ".? .? . x");
    assert_codes("operator", &samples(&client("operator")).await, "xx xx x x");
    assert_codes("a stranger", &samples(&client("stranger")).await, "uu uu u u");
    let log = waag_ok(&["audit", "--data-dir", text(&secured.data), "--json"]);
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["\"analyst\"", "record sampling plan", "December"]), "{log}");
    assert!(has(&["\"analyst\"", "record outcome", "S1", OTHER, "L1"]), "{log}");
    // Whose declarations were looked at stands there.
    assert!(has(&["\"supervisor\"", "read sample", "S1", OTHER]), "{log}");
    assert!(has(&["\"operator\"", "read sample", "denied"]), "{log}");
}
