//! Findings on the page: they are those of the service, for the same readers.

use std::time::{Duration, Instant};

use super::common::{Server, batch, folder, lodge, waag_ok, with_value};
use super::{OWN, address, assert_refused, assert_statuses, json, start, tokens, told};
use serde_json::Value;
use waag::proto::v1;

/// Seals within a second.
const SEALS: &str = "unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n";
const DUPLICATE: &str = "duplicate_transport_document_rate";
const SPLIT: &str = "consignment_split_rate";

fn parcel(lrn: &str, document: &str) -> v1::Declaration {
    let mut declaration = with_value(lrn, 9_000);
    declaration.importer.as_mut().unwrap().name = format!("Importer {lrn}");
    declaration.transport_document.as_mut().unwrap().reference = document.into();
    declaration
}

async fn list(server: &Server, request: v1::ListFindingsRequest) -> v1::ListFindingsResponse {
    server.compliance().await.list_findings(request).await.unwrap().into_inner()
}

fn of(id: &str) -> v1::ListFindingsRequest {
    let actor = Some(v1::Actor { role: v1::ActorRole::Declarant.into(), id: id.into() });
    v1::ListFindingsRequest { actor, ..Default::default() }
}

/// Waits until all that was lodged is in them.
async fn found_at(at: &str, watermark: u64) {
    let until = Instant::now() + Duration::from_secs(60);
    let watermark = watermark.to_string();
    while json(at, "/api/findings")["watermark"] != watermark.as_str() {
        assert!(Instant::now() < until, "not found in a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn findings_are_those_of_the_service() {
    let (_outer, data) = folder();
    let server = start(&data, SEALS);
    let at = address(&server);
    assert_eq!(json(&at, "/api/findings"), told(&list(&server, of("")).await));
    assert_eq!(json(&at, "/api/findings"), serde_json::json!({}), "nothing is sealed");

    let own = (0..6).map(|n| parcel(&format!("L{n}"), &format!("074-{:08}", n / 2))).collect();
    let answer = lodge(&server, batch("1", own)).await;
    let mut honest =
        batch("2", (0..4).map(|n| parcel(&format!("M{n}"), &format!("020-{n:08}"))).collect());
    honest.declarant = "NL810000004".into();
    found_at(&at, lodge(&server, honest).await.watermark).await;

    let whole = list(&server, of("")).await;
    assert!(whole.findings.len() > 10, "{whole:?}");
    assert_eq!(json(&at, "/api/findings"), told(&whole));
    assert_eq!(json(&at, "/api/findings?last_day=2026-11-04").get("findings"), None);
    let day = "2026-11-05".to_owned();
    let request = v1::ListFindingsRequest {
        indicators: [SPLIT, DUPLICATE].map(str::to_owned).into(),
        notable_only: true,
        period: Some(v1::Period { first_day: day.clone(), last_day: day.clone() }),
        ..of(OWN)
    };
    let path = format!(
        "/api/findings?role=declarant&id=nl810000003&indicator={SPLIT}&indicator={DUPLICATE}\
         &notable_only=true&first_day={day}&last_day={day}"
    );
    let found = json(&at, &path);
    assert_eq!(found, told(&list(&server, request).await));
    let [one] = found["findings"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!(
        (&one["flag"], &one["figure"]["numerator"]),
        (&"DUPLICATE_TRANSPORT_DOCUMENT".into(), &"3".into())
    );
    let mrns: Vec<_> = one["examples"].as_array().unwrap().iter().map(|it| &it["mrn"]).collect();
    assert_eq!(mrns.len(), 3);
    for place in [1, 3, 5] {
        assert!(mrns.contains(&&Value::from(answer.verdicts[place].mrn.as_str())), "{found}");
    }
    let representatives = json(&at, "/api/findings?role=representative");
    assert_ne!(representatives["findings"], json(&at, "/api/findings")["findings"]);

    let (mut read, mut next) = (Vec::new(), String::new());
    loop {
        let page = json(&at, &format!("/api/findings?page_size=3&page_token={next}"));
        read.extend(page["findings"].as_array().unwrap().clone());
        match page["nextPageToken"].as_str() {
            Some(token) => next = token.to_owned(),
            None => break,
        }
    }
    assert_eq!(Value::from(read), told(&whole)["findings"]);

    let request = v1::ListSignalsRequest { rules: vec!["splitting".into()], ..Default::default() };
    let signals = server.compliance().await.list_signals(request).await.unwrap().into_inner();
    assert_eq!(json(&at, "/api/signals?rule=splitting"), told(&signals));

    let first = json(&at, "/api/findings?page_size=1");
    let of_others = first["nextPageToken"].as_str().unwrap();
    for (query, told) in [
        ("role=platform", "role is"),
        ("id=x", "actor.id"),
        ("indicator=rejection_rate", "indicators[0]"),
        ("first_day=soon", "period.first_day"),
        ("page_size=many", "page_size is"),
        ("page_size=1001", "page_size"),
        ("page_token=zz", "page_token"),
        (&format!("notable_only=true&page_token={of_others}"), "belongs to a list of other"),
    ] {
        assert_refused(&at, &format!("/api/findings?{query}"), 400, told);
    }
}

#[tokio::test]
async fn where_they_are_switched_off_that_is_told() {
    let (_outer, data) = folder();
    let server = start(&data, "findings = false");
    assert_refused(&address(&server), "/api/findings", 409, "findings are switched off");
}

#[tokio::test]
async fn who_may_not_read_findings_may_not_on_the_page() {
    let (outer, data) = folder();
    let (clients, [inspector, platform, keeper]) = tokens(outer.path(), &data);
    let server = start(&data, &clients);
    let at = address(&server);
    let paths = [
        "/api/findings?id=NL810000003",
        "/api/findings?role=representative&id=NL810000003",
        "/api/findings",
        "/api/findings?id=NL810000004",
        "/api/findings?role=ioss-holder&id=IM5280000017",
        "/api/signals",
    ];
    for (token, expected) in [
        (None, [401; 6]),
        (Some(&inspector), [200; 6]),
        (Some(&platform), [200, 200, 403, 403, 403, 403]),
        (Some(&keeper), [403; 6]),
    ] {
        assert_statuses(&at, token, &paths, &expected);
    }
    assert_eq!(server.stop().await, 0);
    let log = waag_ok(&["audit", "--data-dir", data.to_str().unwrap()]);
    for (name, whose) in [
        ("inspector", "declarant every one"),
        ("inspector", "IOSS holder IM5280000017"),
        ("platform", "declarant NL810000003"),
        ("platform", "declarant every one"),
        ("keeper", "declarant NL810000003"),
    ] {
        let is =
            |line: &&str| [name, "read findings", whose].iter().all(|part| line.contains(part));
        assert_eq!(log.lines().filter(is).count(), 1, "{name} {whose}\n{log}");
    }
    assert_eq!(log.lines().filter(|line| line.contains("read signals")).count(), 3, "{log}");
}
