//! What a server tells at `GET /metrics`: exactly what was lodged, under names that dashboard and alerts
//! go by.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{
    CLOCK, SETTINGS, Server, Start, batch, declaration, folder, http_get, lodge, wait_until,
    with_value,
};
use tonic::Code;
use waag::proto::v1::SubmitBatchRequest;

/// Values by name and labels.
type Samples = BTreeMap<String, f64>;

fn with_metrics(more: &str) -> String {
    format!("{SETTINGS}\nmetrics = \"127.0.0.1:0\"\n{more}\n")
}

fn start(data: &Path, settings: &str) -> Server {
    Start { settings, ..Start::at(data, CLOCK) }.run()
}

/// The text of a scrape.
fn exposition(server: &Server) -> String {
    let answer = http_get(&server.told("metrics address="));
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    text.to_owned()
}

fn samples(text: &str) -> Samples {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    samples.map(split).collect()
}

/// A scrape at a watermark or later.
fn scrape(server: &Server, at_least: u64) -> Samples {
    let mut found = Samples::new();
    wait_until("the summaries stand at the watermark", || {
        found = samples(&exposition(server));
        found["waag_watermark"] >= at_least as f64
    });
    found
}

/// The samples of a name.
fn of(samples: &Samples, name: &str) -> Samples {
    let is_of = |sample: &str| sample.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
    samples.iter().filter(|(sample, _)| is_of(sample)).map(|(s, v)| (s.clone(), *v)).collect()
}

fn declarations(declarant: &str, outcome: &str) -> String {
    format!("waag_declarations_total{{declarant=\"{declarant}\",outcome=\"{outcome}\"}}")
}

fn by(declarant: &str, request: SubmitBatchRequest) -> SubmitBatchRequest {
    SubmitBatchRequest { declarant: declarant.into(), ..request }
}

#[tokio::test]
async fn what_is_lodged_is_what_is_told_and_a_restart_changes_no_figure_of_a_declarant() {
    let (_outer, data) = folder();
    let settings = with_metrics("");
    let server = start(&data, &settings);
    let before = samples(&exposition(&server));
    assert_eq!(before["waag_recovering"], 0.0);
    assert_eq!(before["waag_batches_answered_total"], 0.0);
    assert_eq!(before["waag_declarants"], 0.0);

    let first = vec![declaration("A"), declaration("B"), with_value("DEAR", 15_001)];
    lodge(&server, batch("1", first)).await;
    lodge(&server, batch("2", vec![declaration("A"), with_value("B", 1_999)])).await;
    let answer = lodge(&server, by("NL820000001", batch("3", vec![declaration("A")]))).await;
    let refused = server.lodgement().await.submit_batch(by("?", batch("4", vec![]))).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);

    let told = scrape(&server, answer.watermark);
    let expected = [
        (declarations("NL810000003", "accepted"), 2.0),
        (declarations("NL810000003", "rejected"), 1.0),
        (declarations("NL810000003", "replayed"), 1.0),
        (declarations("NL810000003", "conflict"), 1.0),
        (declarations("NL820000001", "accepted"), 1.0),
        (declarations("(other)", "accepted"), 0.0),
        (r#"waag_lines_total{declarant="NL810000003",outcome="accepted"}"#.into(), 2.0),
        (r#"waag_lines_total{declarant="NL810000003",outcome="conflict"}"#.into(), 1.0),
        (r#"waag_batches_refused_total{code="INVALID_ARGUMENT"}"#.into(), 1.0),
        (r#"waag_batches_refused_total{code="RESOURCE_EXHAUSTED"}"#.into(), 0.0),
        (r#"waag_batch_answer_seconds_bucket{le="+Inf"}"#.into(), 3.0),
        (r#"waag_serving{service="waag.v1.Lodgement"}"#.into(), 1.0),
        ("waag_batches_answered_total".into(), 3.0),
        ("waag_batch_answer_seconds_count".into(), 3.0),
        ("waag_watermark".into(), answer.watermark as f64),
        ("waag_journal_durable_record".into(), answer.watermark as f64),
        ("waag_sealing_lag_records".into(), answer.watermark as f64),
        ("waag_declarants".into(), 2.0),
        ("waag_journal_segments".into(), 1.0),
        ("waag_journal_bytes".into(), f64::from(2 * (8 << 20))),
        ("waag_batches_in_flight".into(), 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(told.get(&name), Some(&value), "{name} in {told:#?}");
    }
    // The one over EUR 150.
    let reasons = of(&told, "waag_reason_declarations_total");
    assert!(reasons.values().sum::<f64>() >= 1.0, "{reasons:?}");
    let groups = told["waag_journal_group_bytes_count"];
    assert!((1.0..=3.0).contains(&groups), "{groups}");
    assert_eq!(told["waag_journal_group_write_seconds_count"], groups);
    // Three messages with their records.
    assert!(told["waag_journal_group_bytes_sum"] > 500.0);
    // Pages of the journal from its beginning on.
    assert_eq!(told["waag_journal_unsealed_bytes"] % 4_096.0, 0.0);
    assert!(told["waag_journal_unsealed_bytes"] >= 2.0 * 4_096.0);
    assert!(told["process_resident_memory_bytes"] > f64::from(1 << 20));
    assert!(told["waag_index_hot_room"] < told["waag_index_hot_places"]);
    assert!(told["waag_connections"] >= 1.0);
    assert!(told["waag_disk_free_bytes"] > 0.0);
    assert_eq!(told["waag_disk_reserve_bytes"], f64::from(1 << 30));

    assert_eq!(server.stop().await, 0);
    let server = start(&data, &settings);
    let again = scrape(&server, answer.watermark);
    for name in ["waag_declarations_total", "waag_lines_total", "waag_reason_declarations_total"] {
        assert_eq!(of(&again, name), of(&told, name));
    }
    assert_eq!(again["waag_batches_answered_total"], 0.0);
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn past_the_bound_declarants_stand_together() {
    let (_outer, data) = folder();
    let server = start(&data, &with_metrics("metrics_actors_max = 2"));
    let mut watermark = 0;
    for (number, declarations) in [(1, 1), (2, 1), (3, 5), (4, 2)] {
        let lrns = (0..declarations).map(|n| declaration(&format!("L{n}"))).collect();
        let request = by(&format!("NL81000000{number}"), batch("b", lrns));
        watermark = lodge(&server, request).await.watermark;
    }
    let told = scrape(&server, watermark);
    let accepted: Samples = of(&told, "waag_declarations_total")
        .into_iter()
        .filter(|(name, _)| name.contains("accepted"))
        .collect();
    let expected = [("NL810000001", 1.0), ("NL810000002", 1.0), ("(other)", 7.0)];
    let expected = expected.map(|(id, value)| (declarations(id, "accepted"), value));
    assert_eq!(accepted, expected.into());
    assert_eq!(told["waag_declarants"], 4.0);
}

#[tokio::test]
async fn what_is_sealed_is_told() {
    let (_outer, data) = folder();
    let server = start(&data, &with_metrics("seal_interval_s = 1"));
    let answer = lodge(&server, batch("b", vec![declaration("A"), declaration("B")])).await;
    let mut told = Samples::new();
    wait_until("all is sealed", || {
        told = samples(&exposition(&server));
        told["waag_sealed_record"] == answer.watermark as f64
    });
    assert_eq!(told["waag_sealing_lag_records"], 0.0);
    assert_eq!((told["waag_index_runs"], told["waag_index_run_entries"]), (1.0, 2.0));
    assert!(told["waag_index_loaded_bytes"] > 0.0);
}

#[test]
fn metrics_are_told_beyond_this_machine_only_where_the_settings_say_so() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nmetrics = \"0.0.0.0:0\"\n");
    let log = Start { settings: &settings, ..Start::at(&data, CLOCK) }.try_run().err().unwrap();
    assert!(log.contains("metrics is 0.0.0.0:0: whoever reaches it reads"), "{log}");
    assert!(log.contains("insecure_listen_anywhere"), "{log}");
    // An address that is taken is told before anything is recovered.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let settings = format!("{SETTINGS}\nmetrics = \"{address}\"\n");
    let log = Start { settings: &settings, ..Start::at(&data, CLOCK) }.try_run().err().unwrap();
    assert!(log.contains(&format!("cannot listen for metrics on {address}")), "{log}");
    assert!(!data.exists(), "nothing was made");
}

/// Names of metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_part(c));
    let names = words.filter(|word| word.starts_with("waag_") || word.starts_with("process_"));
    names.map(str::to_owned).collect()
}

/// All texts under `key` in a JSON value.
fn texts<'a>(value: &'a serde_json::Value, key: &str, into: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                into.extend(value.as_str().filter(|_| name == key));
                texts(value, key, into);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|v| texts(v, key, into)),
        _ => {}
    }
}

#[tokio::test]
async fn dashboard_and_alerts_name_only_what_is_told() {
    let (_outer, data) = folder();
    let server = start(&data, &with_metrics(""));
    let answer = lodge(&server, batch("1", vec![with_value("DEAR", 15_001)])).await;
    let told = scrape(&server, answer.watermark);
    let told: BTreeSet<_> =
        told.keys().map(|sample| sample.split('{').next().unwrap().to_owned()).collect();

    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let dashboard = std::fs::read_to_string(deploy.join("grafana/waag.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let mut expressions = Vec::new();
    texts(&dashboard, "expr", &mut expressions);
    texts(&dashboard, "query", &mut expressions);
    let shown: BTreeSet<String> = expressions.iter().flat_map(|text| names(text)).collect();
    assert!(shown.len() > 30, "{shown:?}");
    assert_eq!(shown.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new());

    let alerts = std::fs::read_to_string(deploy.join("prometheus/alerts.yml")).unwrap();
    let alerted = names(&alerts);
    assert!(alerted.len() > 10, "{alerted:?}");
    assert_eq!(alerted.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new());
}
