//! Declarations first taken in under the emergency procedure are counted by their fallback reference, on the
//! day they arrive, and are the same after a restart, a rebuild and sealing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::Path;

use common::{
    CLOCK, NOON, SETTINGS, Server, Start, batch, declaration, fallback, folder, lodge, waag,
    waag_ok, wait_until, with_value,
};
use tonic::Code;
use waag::proto::v1::{
    self, FallbackLodgement, ListReconciliationsRequest, ListReconciliationsResponse, Outcome,
    Period, Reconciliation,
};

const DECLARANT: &str = "NL810000003";

fn with_reference(lrn: &str, reference: &str, hours: i64) -> v1::Declaration {
    let lodged_at_ms = NOON - hours * 3_600_000;
    let fallback = Some(FallbackLodgement { reference: reference.into(), lodged_at_ms });
    v1::Declaration { fallback, ..declaration(lrn) }
}

async fn list(
    server: &Server,
    request: ListReconciliationsRequest,
) -> Result<ListReconciliationsResponse, tonic::Status> {
    let request = ListReconciliationsRequest { declarant: DECLARANT.into(), ..request };
    Ok(server.compliance().await.list_reconciliations(request).await?.into_inner())
}

async fn all(server: &Server, at_least_watermark: u64) -> Vec<Reconciliation> {
    let request = ListReconciliationsRequest { at_least_watermark, ..Default::default() };
    let response = list(server, request).await.unwrap();
    assert!(response.watermark >= at_least_watermark && response.next_page_token.is_empty());
    response.reconciliations
}

fn outcomes(answer: &v1::SubmitBatchResponse) -> Vec<Outcome> {
    answer.verdicts.iter().map(v1::Verdict::outcome).collect()
}

/// Lodges some of each; gives what is to be told of them, and the last watermark.
async fn lodge_some(server: &Server) -> (Vec<Reconciliation>, u64) {
    use Outcome::{Accepted, Conflict, Rejected, Replayed};
    let first = vec![
        fallback("A", 2),
        fallback("B", 30),
        // Lies too far back.
        fallback("C", 31 * 24),
        declaration("PLAIN"),
        // White space is as it is in declarations.
        with_reference("D", "  NOOD-7   bis ", 24 * 8),
        with_reference("E", &"x".repeat(36), 2),
        // Not lodged before it arrived: no delay.
        with_reference("F", "\u{e9}t\u{e9}", -24),
    ];
    let answer = lodge(server, batch("first", first)).await;
    assert_eq!(
        outcomes(&answer),
        [Accepted, Accepted, Rejected, Accepted, Accepted, Rejected, Rejected]
    );
    let second = vec![
        fallback("A", 2),
        // Without a fallback the content is the same: it counts under what it arrives with.
        fallback("PLAIN", 2),
        v1::Declaration { fallback: fallback("A", 2).fallback, ..with_value("A", 1_000) },
        declaration("A"),
        with_reference("D", "NOOD-7 bis", 24 * 8),
    ];
    let answer = lodge(server, batch("second", second)).await;
    assert_eq!(outcomes(&answer), [Replayed, Replayed, Conflict, Replayed, Replayed]);
    let one = answer.verdicts[0].intrinsic_value_eur_cents;
    let lines = declaration("A").goods_items.len() as u64;
    let nothing = Reconciliation { declarant: DECLARANT.into(), ..Default::default() };
    let expected = vec![
        Reconciliation {
            reference: "NOOD-7".into(),
            received: 6,
            accepted: 2,
            rejected: 1,
            replayed: 2,
            conflicts: 1,
            late: 2,
            accepted_lines: 2 * lines,
            intrinsic_value_eur_cents: 2 * one,
            delay_histogram: vec![0, 2, 0, 1, 0, 1],
            ..nothing.clone()
        },
        Reconciliation {
            reference: "NOOD-7 bis".into(),
            received: 2,
            accepted: 1,
            replayed: 1,
            late: 1,
            accepted_lines: lines,
            intrinsic_value_eur_cents: one,
            delay_histogram: vec![0, 0, 0, 0, 0, 1],
            ..nothing.clone()
        },
        Reconciliation {
            reference: "\u{e9}t\u{e9}".into(),
            received: 1,
            rejected: 1,
            delay_histogram: vec![0; 6],
            ..nothing
        },
    ];
    (expected, answer.watermark)
}

#[tokio::test]
async fn they_are_told_by_reference_and_period_and_page() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let error = list(&server, ListReconciliationsRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "{error}");
    let (expected, watermark) = lodge_some(&server).await;
    assert_eq!(all(&server, watermark).await, expected);

    let mut request = ListReconciliationsRequest { page_size: 1, ..Default::default() };
    for (place, one) in expected.iter().enumerate() {
        let page = list(&server, request.clone()).await.unwrap();
        assert_eq!(page.reconciliations[..], expected[place..=place], "{}", one.reference);
        assert_eq!(page.next_page_token.is_empty(), place == 2);
        request.page_token = page.next_page_token;
    }
    let only = |reference: &str| ListReconciliationsRequest {
        reference: reference.into(),
        ..Default::default()
    };
    let found = list(&server, only("  NOOD-7  bis")).await.unwrap();
    assert_eq!(found.reconciliations[..], expected[1..2]);
    assert_eq!(list(&server, only("NOOD")).await.unwrap().reconciliations, []);
    let on = |day: &str| ListReconciliationsRequest {
        period: Some(Period { first_day: day.into(), last_day: day.into() }),
        ..Default::default()
    };
    assert_eq!(list(&server, on("2026-11-05")).await.unwrap().reconciliations, expected);
    assert_eq!(list(&server, on("2026-11-06")).await.unwrap().reconciliations, []);
    for (request, text) in [
        (only(&"x".repeat(36)), "reference is \"xxx"),
        (ListReconciliationsRequest { page_size: 1_001, ..Default::default() }, "page_size"),
        (ListReconciliationsRequest { page_token: "x".into(), ..Default::default() }, "page_token"),
    ] {
        let error = list(&server, request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.message().contains(text), "{error}");
    }

    // The same from the command line.
    let at = format!("http://{}", server.address);
    let told = |more: &[&str]| {
        let args = ["reconciliation", "--at", &at, "--declarant", DECLARANT];
        waag_ok(&[&args[..], more].concat())
    };
    let json = told(&["--json"]);
    let read: Vec<Reconciliation> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, expected);
    let table = told(&["--reference", "NOOD-7", "--period", "2026-11-05"]);
    assert!(
        table.contains("NOOD-7            6         2         1        2          1     2"),
        "{table}"
    );
    assert!(table.contains("up to 72 hours                            1\n"), "{table}");
    for (args, text) in [
        (
            ["--declarant", DECLARANT, "--reference", "NOOD"],
            "has arrived with the fallback reference \"NOOD\"",
        ),
        (["--declarant", "NL810000027", "--reference", "NOOD"], "knows no declarant NL810000027"),
    ] {
        let output = waag(&[&["reconciliation", "--at", &at][..], &args[..]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(text), "{error}");
    }
    assert_eq!(server.stop().await, 0);
}

fn is_sealed(data: &Path) -> bool {
    std::fs::read_dir(data.join("archive/sets")).is_ok_and(|sets| sets.count() > 0)
}

#[tokio::test]
async fn they_are_the_same_after_a_restart_sealing_and_a_rebuild() {
    let (_outer, data) = folder();
    let sealing = "unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n";
    let settings = format!("{SETTINGS}{sealing}");
    let start = |clock| Start { settings: &settings, ..Start::at(&data, clock) }.run();
    let server = start(CLOCK);
    let (mut expected, watermark) = lodge_some(&server).await;
    assert_eq!(all(&server, watermark).await, expected);
    // Another's fill a segment, which is sealed.
    for part in 0..30 {
        let lrn = |n: usize| format!("{part}-{n}");
        let declarations = (0..1_000).map(|n| declaration(&lrn(n))).collect();
        let request = v1::SubmitBatchRequest {
            declarant: "NL810000027".into(),
            ..batch("more", declarations)
        };
        lodge(&server, request).await;
    }
    wait_until("what was lodged is sealed", || is_sealed(&data));
    server.kill();

    // Three days later the first day closes, and what comes then counts on its own.
    let server = start("2026-11-08T12:00");
    assert_eq!(all(&server, watermark).await, expected);
    let answer = lodge(&server, batch("late", vec![fallback("A", 2), fallback("G", 2)])).await;
    assert_eq!(outcomes(&answer), [Outcome::Replayed, Outcome::Accepted]);
    let period = Period { first_day: "2026-11-06".into(), last_day: String::new() };
    let later = ListReconciliationsRequest {
        period: Some(period),
        at_least_watermark: answer.watermark,
        ..Default::default()
    };
    let found = list(&server, later).await.unwrap().reconciliations;
    let own = &found[0];
    assert_eq!((own.received, own.replayed, own.accepted, own.late), (2, 1, 1, 1));
    assert_eq!(own.delay_histogram, [0, 0, 0, 0, 1, 0]);
    let first = &mut expected[0];
    first.received += 2;
    first.replayed += 1;
    first.accepted += 1;
    first.late += 1;
    first.delay_histogram[4] += 1;
    first.accepted_lines += own.accepted_lines;
    first.intrinsic_value_eur_cents += own.intrinsic_value_eur_cents;
    wait_until("the first day closes", || data.join("archive/summary/day=2026-11-05").exists());
    assert_eq!(all(&server, answer.watermark).await, expected);
    assert_eq!(server.stop().await, 0);

    let folder = data.to_str().unwrap();
    let run = |command| waag_ok(&[command, "--memory-max", "256MiB", "--data-dir", folder]);
    run("verify");
    let told = run("rebuild");
    assert!(told.contains("made again, the same bit for bit"), "{told}");
    std::fs::remove_dir_all(data.join("catalog")).unwrap();
    std::fs::remove_dir_all(data.join("archive/summary")).unwrap();
    run("rebuild");
    let server = start("2026-11-08T13:00");
    assert_eq!(all(&server, answer.watermark).await, expected);
    assert_eq!(server.stop().await, 0);
}
