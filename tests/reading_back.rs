//! What was lodged is found again: by LRN, by MRN, as reasons, as summaries; and rules are reloaded
//! without a restart.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{CLOCK, Server, Start, batch, declaration, folder, reasons, summary, summary_of};
use tonic::Code;
use waag::proto::v1::get_declaration_request::Key;
use waag::proto::v1::{
    ActorRole, Declaration, GetDeclarationRequest, GetDeclarationResponse, GoodsItem,
    ListReasonsRequest, LocalReference, Outcome, Party, Severity,
};

async fn find(server: &Server, key: Key) -> Result<GetDeclarationResponse, tonic::Status> {
    let request = GetDeclarationRequest { key: Some(key) };
    Ok(server.lodgement().await.get_declaration(request).await?.into_inner())
}

fn by_lrn(lrn: &str) -> Key {
    Key::LocalReference(LocalReference { declarant: " nl810000003".into(), lrn: lrn.into() })
}

#[tokio::test]
async fn a_declaration_is_found_by_lrn_and_mrn_as_it_was_judged_across_restarts() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let common = Declaration {
        exporter: Some(Party {
            name: "  Lotusbay   Trading ".into(),
            country: "cn".into(),
            ..Party::default()
        }),
        ..Declaration::default()
    };
    let mut sent = declaration("F1");
    sent.exporter = None;
    let mut bad = declaration("F2");
    bad.goods_items[0].hs6 = "771000".into();
    let mut request = batch("b", vec![sent, bad.clone()]);
    request.common = Some(common);
    let answer = server.lodgement().await.submit_batch(request).await.unwrap().into_inner();
    // Rejected again with other content: the latest rejection is what stands under the LRN.
    bad.goods_items[0].description = "Metal desk lamp, black".into();
    server.lodgement().await.submit_batch(batch("c", vec![bad])).await.unwrap();

    let mut server = server;
    for _ in 0..2 {
        let found = find(&server, by_lrn(" F1 ")).await.unwrap();
        let mrn = answer.verdicts[0].mrn.clone();
        assert_eq!(found.verdict.as_ref(), Some(&answer.verdicts[0]));
        assert_eq!((found.declarant.as_str(), found.lrn.as_str()), ("NL810000003", "F1"));
        assert!(found.rule_set.starts_with("2026-11-01+"), "{}", found.rule_set);
        assert_eq!(found.reference_data.len(), 8);
        assert!(!found.personal_data_withheld);
        let exporter = found.declaration.as_ref().unwrap().exporter.as_ref().unwrap();
        assert_eq!((exporter.name.as_str(), exporter.country.as_str()), ("Lotusbay Trading", "CN"));
        assert_eq!(find(&server, Key::Mrn(mrn.clone())).await.unwrap(), found);

        let rejected = find(&server, by_lrn("F2")).await.unwrap();
        let items = &rejected.declaration.unwrap().goods_items;
        assert_eq!(items[0].description, "Metal desk lamp, black");
        assert_eq!(rejected.verdict.unwrap().outcome(), Outcome::Rejected);

        // Each of the 18 characters counts.
        let (head, last) = mrn.split_at(17);
        let other = char::from(b'0' + (last.as_bytes()[0] - b'0' + 1) % 10);
        let status = find(&server, Key::Mrn(format!("{head}{other}"))).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(find(&server, by_lrn("F3")).await.unwrap_err().code(), Code::NotFound);
        for (key, text) in [
            (Key::Mrn("26NL".into()), "18 characters"),
            (Key::Mrn("9".repeat(60_000)), "18 characters"),
            (by_lrn(""), "1 to 22"),
            (by_lrn("12345678901234567890123"), "1 to 22"),
        ] {
            let status = find(&server, key).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains(text), "{status:?}");
        }
        // Past what such a call may have, nothing is read any more.
        let status = find(&server, Key::Mrn("9".repeat(200_000))).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("65536 bytes"), "{status:?}");
        assert_eq!(server.stop().await, 0);
        server = Start::at(&data, CLOCK).run();
    }
}

#[tokio::test]
async fn reasons_are_listed_with_the_severity_of_their_day() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let mut client = server.lodgement().await;
    let severity = |reasons: &[waag::proto::v1::Reason], name: &str| {
        reasons.iter().find(|reason| reason.reason == name).map(|reason| reason.severity())
    };
    for (on, expected) in [("", Severity::Reject), ("2026-10-31", Severity::Flag)] {
        let listed = client.list_reasons(ListReasonsRequest { on: on.into() }).await.unwrap();
        let listed = listed.into_inner().reasons;
        assert_eq!(severity(&listed, "PRODUCT_ID_MISSING"), Some(expected), "{on:?}");
        assert!(listed.iter().all(|r| !r.text.is_empty() && !r.legal_basis.is_empty()));
    }
    let status = client.list_reasons(ListReasonsRequest { on: "soon".into() }).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn rules_are_reloaded_on_a_signal_all_or_nothing_and_replays_keep_their_law() {
    let (outer, data) = folder();
    let rules = outer.path().join("rules");
    common::waag_ok(&["rules", "export", rules.to_str().unwrap()]);
    common::waag_ok(&["rules", "check", rules.to_str().unwrap()]);
    let server = Start { rules: Some(&rules), ..Start::at(&data, CLOCK) }.run();
    let mut client = server.lodgement().await;
    let first = client.submit_batch(batch("b", vec![declaration("L1")])).await.unwrap();
    let first = first.into_inner();
    assert_eq!(first.verdicts[0].outcome(), Outcome::Accepted);
    let law_of = |found: GetDeclarationResponse| found.rule_set;
    let before = law_of(find(&server, by_lrn("L1")).await.unwrap());

    // Headphones become restricted.
    let list = rules.join("restrictions.csv");
    let content = std::fs::read_to_string(&list).unwrap();
    let row = content.lines().find(|line| line.starts_with("9301")).unwrap();
    std::fs::write(&list, format!("{content}{}\n", row.replacen("9301", "851830", 1))).unwrap();
    common::waag_ok(&["rules", "check", rules.to_str().unwrap()]);
    server.signal("-HUP");
    server.wait_for_log("rules are in force");
    let answer = client.submit_batch(batch("b", vec![declaration("L2"), declaration("L1")])).await;
    let answer = answer.unwrap().into_inner();
    assert_eq!(reasons(&answer.verdicts[0], Severity::Reject), ["GOODS_RESTRICTED"]);
    assert_eq!(answer.verdicts[1].replay_of(), Outcome::Accepted);
    assert_eq!(answer.verdicts[1].findings, first.verdicts[0].findings);
    assert_ne!(law_of(find(&server, by_lrn("L2")).await.unwrap()), before);
    assert_eq!(law_of(find(&server, by_lrn("L1")).await.unwrap()), before);

    // A file with an error changes nothing, and is told with file, line and field.
    std::fs::write(&list, format!("{content}9302,yesterday,,REJECT\n")).unwrap();
    let output = common::waag(&["rules", "check", rules.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("restrictions.csv"), "{output:?}");
    server.signal("-HUP");
    server.wait_for_log("rules not reloaded");
    let answer = client.submit_batch(batch("b", vec![declaration("L3")])).await.unwrap();
    let verdict = &answer.into_inner().verdicts[0];
    assert_eq!(reasons(verdict, Severity::Reject), ["GOODS_RESTRICTED"]);

    // After a restart with the built-in rules the older laws are read back from the shelf.
    assert_eq!(server.stop().await, 0);
    let server = Start::at(&data, CLOCK).run();
    let again = batch("b", vec![declaration("L2"), declaration("L1"), declaration("L4")]);
    let answer = server.lodgement().await.submit_batch(again).await.unwrap().into_inner();
    assert_eq!(reasons(&answer.verdicts[0], Severity::Reject), ["GOODS_RESTRICTED"]);
    assert_eq!(answer.verdicts[1].replay_of(), Outcome::Accepted);
    assert_eq!(answer.verdicts[1].findings, first.verdicts[0].findings);
    assert_eq!(answer.verdicts[2].outcome(), Outcome::Accepted);
    assert_eq!(server.stop().await, 0);
    common::waag_ok(&["verify", "--data-dir", data.to_str().unwrap()]);
}

#[tokio::test]
async fn summaries_count_on_the_day_of_arrival_and_closed_days_read_the_same() {
    let (_outer, data) = folder();
    let mut expected = 0;
    for (n, day) in ["2026-11-05", "2026-11-06", "2026-11-09", "2026-11-12"].iter().enumerate() {
        let server = Start::at(&data, &format!("{day}T12:00")).run();
        let all = (0..=n).map(|k| declaration(&format!("{day}-{k}"))).collect();
        let answer = server.lodgement().await.submit_batch(batch("b", all)).await.unwrap();
        expected += n as u64 + 1;
        let total = summary(&server, "NL810000003", answer.into_inner().watermark).await;
        assert_eq!(total.accepted, expected, "{day}");
        assert_eq!(server.stop().await, 0);
    }
    assert!(data.join("archive/summary/day=2026-11-05").is_dir(), "the day is closed");
    let told = common::waag_ok(&["rebuild", "--data-dir", data.to_str().unwrap()]);
    assert!(told.contains("the same bit for bit"), "{told}");
    let server = Start::at(&data, "2026-11-12T12:00").run();
    assert_eq!(summary(&server, "NL810000003", 0).await.accepted, expected);
    let unknown = summary_of(&server, ActorRole::Declarant, "NL820000000", 0).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn an_answer_that_would_be_too_large_loses_its_texts_and_then_findings() {
    let (_outer, data) = folder();
    let settings = common::SETTINGS.replace("1MiB", "4MiB").replace("8MiB", "32MiB");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let bare = |id: String, items: usize| Declaration {
        lrn: id,
        goods_items: vec![GoodsItem::default(); items],
        ..Declaration::default()
    };
    let mut client = server.lodgement().await;
    let of = |verdict: &waag::proto::v1::Verdict| {
        (verdict.findings.len() + verdict.findings_omitted as usize) as u64
    };
    // What a declaration draws by itself, and for each empty goods item.
    let request = batch("base", (0..3).map(|n| bare(format!("base{n}"), n)).collect());
    let base = client.submit_batch(request).await.unwrap().into_inner();
    let [none, one, two] = [0, 1, 2].map(|n| of(&base.verdicts[n]));
    let expected = |items: u64| if items == 0 { none } else { one + (items - 1) * (two - one) };

    let mut found = none + one + two;
    let mut answers = vec![base];
    for (count, items, texts_omitted, findings_omitted) in [
        (500, 0, false, false),
        // More findings than a verdict has, and than are held while the batch waits.
        (20, 40, false, true),
        (9_000, 0, true, false),
        (10_000, 4, true, true),
        (10_000, 10, true, true),
    ] {
        let all = (0..count).map(|n| bare(format!("B{n}/{count}/{items}"), items));
        let request = batch("large", all.collect());
        let answer = client.submit_batch(request.clone()).await.unwrap().into_inner();
        assert!(prost::Message::encoded_len(&answer) < 4 << 20);
        assert_eq!(answer.verdicts.len(), count);
        assert_eq!(answer.texts_omitted, texts_omitted, "{count} times {items}");
        // The same defects each, whether shown or counted.
        for verdict in &answer.verdicts {
            assert!((1..=100).contains(&verdict.findings.len()));
            assert_eq!(of(verdict), expected(items as u64), "{count} times {items}");
        }
        assert_eq!(answer.verdicts[0].findings_omitted > 0, findings_omitted);
        found += count as u64 * expected(items as u64);

        let again = client.submit_batch(request).await.unwrap().into_inner();
        assert_eq!(again.texts_omitted, texts_omitted);
        for (again, first) in again.verdicts.iter().zip(&answer.verdicts) {
            assert_eq!(again.outcome(), Outcome::Replayed);
            assert_eq!(of(again), of(first));
        }
        answers.push(again);
    }
    // The summary counts every one of them, and so does what is made again from the journal.
    let last = answers.last().unwrap().watermark;
    let total = summary(&server, "NL810000003", last).await;
    assert_eq!(total.reasons.iter().map(|reason| reason.findings).sum::<u64>(), found);
    assert_eq!(server.stop().await, 0);
    let settings = data.with_extension("toml");
    let (data, settings) = (data.to_str().unwrap(), settings.to_str().unwrap());
    common::waag_ok(&["verify", "--data-dir", data, "--config", settings]);
}
