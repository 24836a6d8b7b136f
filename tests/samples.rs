//! The sampling frame on a real server: a plan is committed to, selects, is controlled and says something of all; anybody
//! can check it afterwards.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{CLOCK, SETTINGS, Server, Start, batch, folder, lodge, waag, waag_ok, with_value};
use ring::{digest, hmac};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use waag::proto::v1::{self, sampling_terms::Method};

const OTHER: &str = "NL810000004";
const DECLARATIONS: usize = 40;

/// Seals within a second.
fn settings() -> String {
    format!("{SETTINGS}unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n")
}

fn start<'a>(data: &'a Path, settings: &'a str, clock: &'a str) -> Server {
    Start { settings, clock, ..Start::at(data, CLOCK) }.run()
}

fn terms(size: u32) -> v1::SamplingTerms {
    v1::SamplingTerms {
        name: "the sixth".into(),
        purpose: "to see how much is wrong".into(),
        owner: "team e-commerce".into(),
        first_day: "2026-11-06".into(),
        last_day: "2026-11-06".into(),
        conditions: None,
        method: Some(Method::Fixed(v1::FixedSample { size, ..Default::default() })),
    }
}

async fn record(server: &Server, terms: v1::SamplingTerms) -> Result<v1::SamplingPlan, Status> {
    let request = v1::RecordPlanRequest { terms: Some(terms) };
    Ok(server.compliance().await.record_plan(request).await?.into_inner().plan.unwrap())
}

async fn selected(server: &Server, at_least: u64) -> v1::ListSelectedResponse {
    let request = v1::ListSelectedRequest {
        id: "S1".into(),
        at_least_watermark: at_least,
        ..Default::default()
    };
    server.compliance().await.list_selected(request).await.unwrap().into_inner()
}

async fn plan(server: &Server) -> v1::SamplingPlan {
    let request = v1::ListPlansRequest { id: "S1".into(), ..Default::default() };
    server.compliance().await.list_plans(request).await.unwrap().into_inner().plans.remove(0)
}

async fn found(server: &Server, of: &v1::SelectedItem, is_error: bool) {
    let outcome = v1::ControlOutcome {
        declarant: of.declarant.clone(),
        lrn: of.lrn.clone(),
        goods_item: of.goods_item,
        is_error,
        corrected_eur_cents: if is_error { 250 } else { 0 },
        ..Default::default()
    };
    let request = v1::RecordOutcomeRequest { id: "S1".into(), outcome: Some(outcome) };
    server.compliance().await.record_outcome(request).await.unwrap();
}

async fn estimate(server: &Server) -> v1::EstimatePlanResponse {
    let request = v1::EstimatePlanRequest { id: "S1".into(), ..Default::default() };
    server.compliance().await.estimate_plan(request).await.unwrap().into_inner()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    (0..text.len() / 2).map(digits).collect()
}

#[tokio::test]
async fn a_plan_is_committed_to_selects_is_controlled_and_can_be_checked() {
    let (outer, data) = folder();
    let settings = settings();
    let server = start(&data, &settings, CLOCK);
    // What is lodged before its first day is not in it.
    lodge(&server, batch("before", vec![with_value("EARLY", 5_000)])).await;
    let recorded = record(&server, terms(10)).await.unwrap();
    assert_eq!((&recorded.id[..], &recorded.secret[..]), ("S1", ""));
    assert_eq!(recorded.commitment.len(), 64);
    assert_eq!(record(&server, terms(10)).await.unwrap_err().code(), Code::AlreadyExists);
    server.kill();

    let server = start(&data, &settings, "2026-11-06T10:00");
    let some = |of: &str| {
        let one = |n: usize| with_value(&format!("{of}{n}"), 1_000 + n as u64);
        (0..DECLARATIONS / 2).map(one).collect::<Vec<_>>()
    };
    lodge(&server, batch("own", some("A"))).await;
    let other = v1::SubmitBatchRequest { declarant: OTHER.into(), ..batch("other", some("B")) };
    lodge(&server, other.clone()).await;
    // Replays and a rejection change nothing.
    lodge(&server, batch("again", some("A"))).await;
    let watermark = lodge(&server, batch("dear", vec![with_value("DEAR", 15_001)])).await.watermark;
    let now = selected(&server, watermark).await;
    assert!(now.watermark >= watermark && !now.is_final && now.dropped_through.is_empty());
    let [all] = &now.strata[..] else { panic!("{now:?}") };
    assert_eq!((&all.name[..], all.items, all.selected), ("all", DECLARATIONS as u64, 10));
    assert_eq!((now.selected.len(), &now.selected[0].day[..]), (10, "2026-11-06"));
    assert_eq!(plan(&server).await, recorded);

    // Half of them are controlled, two in error, and another one that was not selected.
    for (n, one) in now.selected.iter().take(5).enumerate() {
        found(&server, one, n < 2).await;
    }
    let is_selected = |lrn: &str| now.selected.iter().any(|one| one.lrn == lrn);
    let lrn = (0..20).map(|n| format!("A{n}")).find(|lrn| !is_selected(lrn)).unwrap();
    let chosen = v1::SelectedItem {
        declarant: "NL810000003".into(),
        lrn,
        goods_item: 1,
        ..Default::default()
    };
    found(&server, &chosen, true).await;
    server.kill();

    // The day after, all is as it was, and nothing is left to be found out.
    let server = start(&data, &settings, "2026-11-08T10:00");
    let until = Instant::now() + Duration::from_secs(60);
    let last = loop {
        let last = selected(&server, watermark).await;
        if last.is_final {
            break last;
        }
        assert!(Instant::now() < until, "{last:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let lots = |of: &v1::ListSelectedResponse| {
        of.selected.iter().map(|one| (one.lot.clone(), one.mrn.clone())).collect::<Vec<_>>()
    };
    assert_eq!(lots(&last), lots(&now));
    assert_eq!(last.selected.iter().filter(|one| one.outcome.is_some()).count(), 5);
    let open = v1::ListSelectedRequest {
        id: "S1".into(),
        open_only: true,
        page_size: 3,
        ..Default::default()
    };
    let page = server.compliance().await.list_selected(open.clone()).await.unwrap().into_inner();
    let rest = v1::ListSelectedRequest { page_token: page.next_page_token.clone(), ..open };
    let rest = server.compliance().await.list_selected(rest).await.unwrap().into_inner();
    let pages: Vec<_> = page.selected.into_iter().chain(rest.selected).collect();
    assert_eq!(pages, last.selected[5..]);
    assert_eq!((page.next_page_token.is_empty(), &rest.next_page_token[..]), (false, ""));

    // Whoever has the secret and what was lodged comes to the same ten.
    let revealed = plan(&server).await;
    let secret = unhex(&revealed.secret);
    assert_eq!(hex(digest::digest(&digest::SHA256, &secret).as_ref()), recorded.commitment);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let lot = |declarant: &str, lrn: String| {
        hex(hmac::sign(&key, format!("{declarant}\n{lrn}\n1").as_bytes()).as_ref())
    };
    let own = (0..20).map(|n| lot("NL810000003", format!("A{n}")));
    let mut expected: Vec<_> = own.chain((0..20).map(|n| lot(OTHER, format!("B{n}")))).collect();
    expected.sort();
    assert_eq!(
        last.selected.iter().map(|one| &one.lot).collect::<Vec<_>>(),
        expected[..10].iter().collect::<Vec<_>>()
    );

    let said = estimate(&server).await;
    let [all] = &said.strata[..] else { panic!("{said:?}") };
    assert_eq!((all.selected, all.checked, all.errors), (10, 5, 2));
    let interval =
        waag::statistics::clopper_pearson(2, 5, waag::statistics::Confidence::C95).unwrap();
    assert_eq!(
        (said.share, said.share_lower, said.share_upper),
        (Some(0.4), Some(interval.0), Some(interval.1))
    );
    assert_eq!((said.targeted_checked, said.targeted_errors), (1, 1));
    assert_eq!((said.corrected_eur_cents, said.targeted_corrected_eur_cents), (500, 250));

    let url = server.url();
    let shown = waag_ok(&["sample", "estimate", "S1", "--from", &url]);
    assert!(shown.contains("40.00 %") && shown.contains("1 controlled, 1 in error"), "{shown}");
    let shown = waag_ok(&["sample", "selected", "S1", "--open", "--from", &url]);
    assert!(shown.contains("final") && shown.contains("10 of 40 goods items"), "{shown}");
    let next = &last.selected[5];
    let place = next.goods_item.to_string();
    let of = ["--declarant", &next.declarant, "--lrn", &next.lrn, "--item", &place];
    waag_ok(
        &[&["sample", "outcome", "S1", "--from", &url, "--error", "--corrected", "1.5"], &of[..]]
            .concat(),
    );
    let said = estimate(&server).await;
    assert_eq!((said.strata[0].checked, said.corrected_eur_cents), (6, 650));

    let (data, backup) = (data.to_str().unwrap(), outer.path().join("backup"));
    let backup = backup.to_str().unwrap();
    waag_ok(&["backup", "--data-dir", data, "--to", backup]);
    let restored = outer.path().join("restored");
    waag_ok(&["restore", "--from", backup, "--data-dir", restored.to_str().unwrap()]);
    server.kill();
    let server = start(&restored, &settings, "2026-11-08T12:00");
    let again = estimate(&server).await;
    assert_eq!((again.plan, again.strata), (said.plan, said.strata));
    let shown = waag_ok(&["sample", "list", "S1", "--from", &server.url()]);
    assert!(shown.contains(&revealed.secret) && shown.contains(&revealed.commitment), "{shown}");
    let register = waag_ok(&["algorithms", "--from", &server.url(), "--json"]);
    assert!(register.contains("\"S1\"") && !register.contains(&revealed.secret), "{register}");
    server.kill();

    // Damage is told with its place, by verify and by the start.
    let file = restored.join("samples/samples.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let folder = restored.to_str().unwrap();
    let verified = waag(&["verify", "--memory-max", "256MiB", "--data-dir", folder]);
    let told = String::from_utf8(verified.stdout).unwrap();
    assert!(!verified.status.success() && told.contains("samples.jsonl, line 1"), "{told}");
    let late =
        Start { settings: &settings, clock: "2026-11-08T12:00", ..Start::at(&restored, CLOCK) };
    let log = late.try_run().err().unwrap();
    assert!(log.contains("samples.jsonl, line 1"), "{log}");
}

#[tokio::test]
async fn what_cannot_be_planned_names_its_field() {
    let (outer, data) = folder();
    let settings = settings();
    let server = start(&data, &settings, CLOCK);
    let field = |status: Status| {
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        status.get_details_bad_request().unwrap().field_violations[0].field.clone()
    };
    type Change = fn(&mut v1::SamplingTerms);
    let wrong: [(&str, Change); 7] = [
        ("terms.name", |t| t.name = String::new()),
        // Today is too late: the commitment comes before.
        ("terms.first_day", |t| t.first_day = "2026-11-05".into()),
        ("terms.last_day", |t| t.last_day = "soon".into()),
        ("terms.method", |t| t.method = None),
        ("terms.fixed.size", |t| t.method = terms(5_001).method),
        ("terms.fixed.tolerable_rate", |t| t.method = terms(0).method),
        ("terms.conditions.hs_prefixes[0]", |t| {
            let hs_prefixes = vec!["x".into()];
            t.conditions = Some(v1::ProfileConditions { hs_prefixes, ..Default::default() });
        }),
    ];
    for (expected, change) in wrong {
        let mut terms = terms(10);
        change(&mut terms);
        assert_eq!(field(record(&server, terms).await.unwrap_err()), expected);
    }
    let outcome = v1::ControlOutcome { declarant: "x".into(), ..Default::default() };
    let request = v1::RecordOutcomeRequest { id: "S1".into(), outcome: Some(outcome) };
    let status = server.compliance().await.record_outcome(request).await.unwrap_err();
    assert_eq!(field(status), "outcome.declarant");
    let request =
        v1::EstimatePlanRequest { id: "S1".into(), confidence: 0.5, ..Default::default() };
    let status = server.compliance().await.estimate_plan(request).await.unwrap_err();
    assert_eq!(field(status), "confidence");

    // By confidence and tolerable rate, from a file: 299 at 95 % and 1 %.
    let file = outer.path().join("terms.json");
    let by_rate = v1::FixedSample { tolerable_rate: 0.01, ..Default::default() };
    let by_rate = v1::SamplingTerms { method: Some(Method::Fixed(by_rate)), ..terms(0) };
    std::fs::write(&file, serde_json::to_string(&by_rate).unwrap()).unwrap();
    let file = file.to_str().unwrap();
    let shown = waag_ok(&["sample", "record", "--terms", file, "--json", "--from", &server.url()]);
    assert!(shown.contains("299"), "{shown}");
    // Nothing of it is there yet.
    let now = selected(&server, 0).await;
    assert_eq!((now.strata[0].items, now.selected.len(), now.is_final), (0, 0, false));
}
