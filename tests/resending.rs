//! Sending again is safe: in any order, in parallel, and any number of times.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{CLOCK, Start, batch, declaration, folder, reasons, summary};
use waag::proto::v1::{Declaration, FallbackLodgement, Outcome, Severity, SubmitBatchRequest};

fn with_value(lrn: &str, hundredths: u64) -> Declaration {
    let mut declaration = declaration(lrn);
    declaration.goods_items[0].intrinsic_value.as_mut().unwrap().hundredths = hundredths;
    declaration
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_sending_the_same_and_crosswise_batches_get_one_acceptance_each() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    // Each batch repeats half of the declarations of its neighbours, so that batches in flight hold
    // keys of one another in both directions.
    const BATCHES: usize = 40;
    const EACH: usize = 50;
    let lrn = |n: usize| format!("X{:06}", n % (BATCHES * EACH / 2));
    let batches: Vec<SubmitBatchRequest> = (0..BATCHES)
        .map(|b| {
            let start = b * EACH / 2;
            let mut all: Vec<_> = (start..start + EACH).map(|n| declaration(&lrn(n))).collect();
            if b % 2 == 1 {
                all.reverse();
            }
            batch(&format!("batch {b}"), all)
        })
        .collect();

    let mut clients = Vec::new();
    for _ in 0..4 {
        let (mut client, batches) = (server.lodgement().await, batches.clone());
        clients.push(tokio::spawn(async move {
            let mut answers = Vec::new();
            for batch in batches {
                answers.push(client.submit_batch(batch).await.unwrap().into_inner());
            }
            answers
        }));
    }
    let mut mrns = std::collections::HashMap::new();
    let (mut accepted, mut watermark) = (0, 0);
    for client in clients {
        for (batch, answer) in batches.iter().zip(client.await.unwrap()) {
            watermark = watermark.max(answer.watermark);
            for (declaration, verdict) in batch.declarations.iter().zip(&answer.verdicts) {
                accepted += usize::from(verdict.outcome() == Outcome::Accepted);
                let first = mrns.entry(declaration.lrn.clone()).or_insert(verdict.mrn.clone());
                assert_eq!(*first, verdict.mrn, "{}", declaration.lrn);
                assert_eq!(verdict.mrn.len(), 18);
            }
        }
    }
    assert_eq!(accepted, BATCHES * EACH / 2, "each is accepted once");
    let unique: std::collections::HashSet<_> = mrns.values().collect();
    assert_eq!(unique.len(), mrns.len());
    let before = summary(&server, "NL810000003", watermark).await;
    assert_eq!(before.accepted, accepted as u64);
    assert_eq!(before.replayed, (4 * BATCHES * EACH - accepted) as u64);
    assert_eq!(server.stop().await, 0);

    // A rebuild from the journal gives the same outcomes, or it would be refused as damage.
    let data = data.to_str().unwrap();
    common::waag_ok(&["rebuild", "--data-dir", data]);
    common::waag_ok(&["verify", "--data-dir", data]);
    let server = Start::at(data.as_ref(), CLOCK).run();
    assert_eq!(summary(&server, "NL810000003", watermark).await, before);
    let answer = server.lodgement().await.submit_batch(batches[0].clone()).await.unwrap();
    for (declaration, verdict) in batches[0].declarations.iter().zip(answer.into_inner().verdicts) {
        assert_eq!(verdict.mrn, mrns[&declaration.lrn]);
    }
}

#[tokio::test]
async fn rejections_corrections_and_conflicts_sent_thrice_change_nothing_but_the_replays() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let mut client = server.lodgement().await;
    let nameless = Declaration { lrn: "  ".into(), ..declaration("") };
    let rejected = with_value("A", 20_000);
    let corrected = with_value("A", 4_000);
    let late = Declaration {
        fallback: Some(FallbackLodgement { reference: "NP-1".into(), lodged_at_ms: 1 }),
        ..with_value("B", 4_000)
    };
    let in_time = Declaration {
        fallback: Some(FallbackLodgement {
            reference: "NP-1".into(),
            lodged_at_ms: 1_793_700_000_000,
        }),
        ..late.clone()
    };
    let request = batch(
        "mixed",
        vec![
            rejected.clone(),
            with_value("A", 30_000),
            corrected.clone(),
            with_value("A", 5_000),
            with_value("A", 50_000),
            rejected,
            nameless.clone(),
            nameless,
            late,
            in_time.clone(),
            Declaration { fallback: None, ..in_time },
        ],
    );
    let first = client.submit_batch(request.clone()).await.unwrap().into_inner();
    let outcomes: Vec<_> = first.verdicts.iter().map(|v| (v.outcome(), v.replay_of())).collect();
    use Outcome::{Accepted, Conflict, Rejected, Replayed, Unspecified};
    let expected = [
        (Rejected, Unspecified),
        (Rejected, Unspecified),
        (Accepted, Unspecified),
        (Conflict, Unspecified),
        (Conflict, Unspecified),
        (Replayed, Rejected),
        (Rejected, Unspecified),
        (Replayed, Rejected),
        (Rejected, Unspecified),
        (Accepted, Unspecified),
        (Replayed, Accepted),
    ];
    assert_eq!(outcomes, expected);
    // A conflict says so first, and then what the rules found.
    let conflict = &first.verdicts[4];
    assert_eq!(conflict.findings[0].reason, "LRN_CONTENT_CONFLICT");
    assert_eq!(
        reasons(conflict, Severity::Reject),
        ["INTRINSIC_VALUE_EXCEEDS_THRESHOLD", "LRN_CONTENT_CONFLICT"]
    );
    let after_first = summary(&server, "NL810000003", first.watermark).await;

    for round in 1..=2 {
        let again = client.submit_batch(request.clone()).await.unwrap().into_inner();
        for (first, again) in first.verdicts.iter().zip(&again.verdicts) {
            let was = match first.outcome() {
                Replayed => first.replay_of(),
                outcome => outcome,
            };
            assert_eq!((again.outcome(), again.replay_of()), (Replayed, was));
            assert_eq!((&again.mrn, &again.findings), (&first.mrn, &first.findings));
            assert_eq!(again.intrinsic_value_eur_cents, first.intrinsic_value_eur_cents);
            assert_eq!(again.duty_eur_cents, first.duty_eur_cents);
        }
        let mut summary = summary(&server, "NL810000003", again.watermark).await;
        assert_eq!(summary.replayed, after_first.replayed + 11 * round);
        summary.replayed = after_first.replayed;
        summary.watermark = after_first.watermark;
        // Replays are among all that was received, which these two rates are over.
        let but = |s: &waag::proto::v1::ActorSummary| {
            let mut s = s.clone();
            s.indicators.retain(|i| i.name != "replay_rate" && i.name != "conflict_rate");
            s
        };
        assert_eq!(but(&summary), but(&after_first));
    }
}

#[tokio::test]
async fn a_replay_gets_the_first_answer_whatever_the_law_says_now() {
    let (_outer, data) = folder();
    // Lodged while product identifiers were not yet required: a flag.
    let server = Start::at(&data, "2026-10-31T23:00").run();
    let mut lodged = declaration("OLD");
    lodged.goods_items[0].product = None;
    let request = batch("october", vec![lodged]);
    let first = server.lodgement().await.submit_batch(request.clone()).await.unwrap().into_inner();
    assert_eq!(first.verdicts[0].outcome(), Outcome::Accepted);
    assert_eq!(reasons(&first.verdicts[0], Severity::Flag), ["PRODUCT_ID_MISSING"]);
    assert_eq!(server.stop().await, 0);

    let server = Start::at(&data, "2026-11-05T09:00").run();
    let mut client = server.lodgement().await;
    let again = client.submit_batch(request.clone()).await.unwrap().into_inner();
    assert_eq!(again.verdicts[0].outcome(), Outcome::Replayed);
    assert_eq!(again.verdicts[0].mrn, first.verdicts[0].mrn);
    assert_eq!(again.verdicts[0].findings, first.verdicts[0].findings);
    // The same under a new LRN is judged by the law of today.
    let mut new = request;
    new.declarations[0].lrn = "NEW".into();
    let answer = client.submit_batch(new).await.unwrap().into_inner();
    assert_eq!(reasons(&answer.verdicts[0], Severity::Reject), ["PRODUCT_ID_MISSING"]);
}

#[tokio::test]
async fn the_earlier_answer_is_found_while_a_correction_is_on_its_way() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let mut client = server.lodgement().await;
    client.submit_batch(batch("b", vec![with_value("C", 20_000)])).await.unwrap();
    let key = waag::proto::v1::get_declaration_request::Key::LocalReference(
        waag::proto::v1::LocalReference { declarant: "NL810000003".into(), lrn: "C".into() },
    );
    let request = waag::proto::v1::GetDeclarationRequest { key: Some(key) };
    let mut looking = server.lodgement().await;
    let correcting = tokio::spawn(async move {
        for value in 20_001..20_200 {
            client.submit_batch(batch("b", vec![with_value("C", value)])).await.unwrap();
        }
    });
    while !correcting.is_finished() {
        let found = looking.get_declaration(request.clone()).await.unwrap().into_inner();
        assert_eq!(found.verdict.unwrap().outcome(), Outcome::Rejected);
    }
    correcting.await.unwrap();
}

#[tokio::test]
async fn a_fallback_before_any_rule_set_rejects_its_declaration_and_not_the_batch() {
    let (_outer, data) = folder();
    let server = Start::at(&data, "2021-07-05T12:00").run();
    let mut early = declaration("EARLY");
    // 2021-06-24, when no rules of ours held.
    early.fallback =
        Some(FallbackLodgement { reference: "NP".into(), lodged_at_ms: 1_624_528_800_000 });
    let request = batch("b", vec![early, declaration("NOW")]);
    let answer = server.lodgement().await.submit_batch(request).await.unwrap().into_inner();
    let reasons = reasons(&answer.verdicts[0], Severity::Reject);
    assert!(reasons.contains(&"FIELD_FORMAT".to_owned()), "{reasons:?}");
    assert_eq!(answer.verdicts.len(), 2);
}

#[tokio::test]
async fn a_replayed_conflict_tells_the_first_answer_whatever_fallback_it_comes_with() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let mut client = server.lodgement().await;
    let faulty = FallbackLodgement { reference: "X".repeat(36), lodged_at_ms: 5 };
    let conflicting = Declaration { fallback: Some(faulty), ..with_value("D", 5_000) };
    let request = batch("b", vec![with_value("D", 4_000), conflicting.clone()]);
    let first = client.submit_batch(request).await.unwrap().into_inner().verdicts[1].clone();
    assert_eq!(first.outcome(), Outcome::Conflict);
    assert!(first.findings.iter().any(|finding| finding.message.contains("XXXX")));
    let late = FallbackLodgement { reference: "NP".into(), lodged_at_ms: 1_793_700_000_000 };
    for fallback in [None, Some(late), conflicting.fallback.clone()] {
        let again = batch("b", vec![Declaration { fallback, ..conflicting.clone() }]);
        let answer = client.submit_batch(again).await.unwrap().into_inner();
        assert_eq!(answer.verdicts[0].replay_of(), Outcome::Conflict);
        assert_eq!(answer.verdicts[0].findings, first.findings);
    }
}
