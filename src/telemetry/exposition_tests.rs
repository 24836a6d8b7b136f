#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::Code;

use super::super::figures::{FindingsFigures, InFlight, IndexFigures, JournalFigures};
use super::super::recording::{Service, Telemetry};
use super::*;
use crate::id::{Eori, Watermark};
use crate::outcome::Outcome;
use crate::rules::finding::Reason;
use crate::summary::{ActorId, Counters, Facts};

/// Figures that are all different, and not 0.
fn figures() -> Figures {
    Figures {
        journal: JournalFigures {
            durable: Watermark(100),
            segments: 2,
            bytes: 3,
            unsealed_bytes: 4,
            unsealed_bytes_max: 5,
        },
        index: IndexFigures {
            hot_room: 6,
            hot_places: 7,
            frozen: 1,
            runs: 9,
            run_entries: 10,
            loaded_bytes: 11,
        },
        sealed: Watermark(60),
        findings: Some(FindingsFigures { watermark: Watermark(50), is_stalled: true }),
        batches: InFlight { now: 13, most: 14 },
        bytes: InFlight { now: 15, most: 16 },
        memory_max: 17,
        connections_max: 18,
        disk_free: Some(19),
        disk_reserve: 20,
        clock_behind_ms: 2_500,
    }
}

fn totals() -> Totals {
    let facts = Facts { lines: 3, ..Facts::default() };
    let mut counters = Counters::default();
    counters.add(Outcome::Accepted, &facts, &[]);
    counters.add(Outcome::Accepted, &facts, &[(Reason::ALL[0], 2)]);
    counters.add(Outcome::Rejected, &facts, &[(Reason::ALL[0], 1)]);
    counters.add(Outcome::Replayed, &facts, &[]);
    counters.add(Outcome::Conflict, &facts, &[]);
    let id = ActorId::from(Eori::parse("NL810000003").unwrap());
    let actors = vec![(id, counters), (ActorId::other(), Counters::default())];
    Totals { watermark: Watermark(99), known: 1, actors }
}

fn text(telemetry: &Telemetry, figures: Option<Figures>, totals: Option<Totals>) -> String {
    let process =
        Process { resident_bytes: Some(21), open_files: Some(22), started: 1.5, uptime: 2.5 };
    Exposition { recording: telemetry.read(), process, figures, totals }.text().unwrap()
}

/// Value by sample, as it stands before it.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line| str::rsplit_once(line, ' ').unwrap();
    samples.map(split).map(|(name, value)| (name, value.parse().unwrap())).collect()
}

#[test]
fn every_figure_stands_under_its_name() {
    let telemetry = Telemetry::default();
    telemetry.answered(Duration::from_millis(7));
    telemetry.refused(Code::ResourceExhausted);
    telemetry.group_written(70_000, Duration::from_millis(2));
    telemetry.serves(Service::Compliance, true);
    telemetry.turned_away();
    let open = telemetry.connected();
    let text = text(&telemetry, Some(figures()), Some(totals()));
    let samples = samples(&text);
    let expected = [
        ("waag_recovering", 0.0),
        ("waag_uptime_seconds", 2.5),
        ("process_start_time_seconds", 1.5),
        ("process_resident_memory_bytes", 21.0),
        ("process_open_fds", 22.0),
        (r#"waag_serving{service="waag.v1.Lodgement"}"#, 0.0),
        (r#"waag_serving{service="waag.v1.Compliance"}"#, 1.0),
        ("waag_batches_answered_total", 1.0),
        (r#"waag_batches_refused_total{code="RESOURCE_EXHAUSTED"}"#, 1.0),
        (r#"waag_batches_refused_total{code="INVALID_ARGUMENT"}"#, 0.0),
        (r#"waag_batch_answer_seconds_bucket{le="0.005"}"#, 0.0),
        (r#"waag_batch_answer_seconds_bucket{le="0.01"}"#, 1.0),
        (r#"waag_batch_answer_seconds_bucket{le="+Inf"}"#, 1.0),
        ("waag_batch_answer_seconds_sum", 0.007),
        ("waag_batch_answer_seconds_count", 1.0),
        (r#"waag_journal_group_write_seconds_bucket{le="0.0025"}"#, 1.0),
        (r#"waag_journal_group_bytes_bucket{le="65536.0"}"#, 0.0),
        (r#"waag_journal_group_bytes_bucket{le="262144.0"}"#, 1.0),
        ("waag_connections", 1.0),
        ("waag_connections_accepted_total", 1.0),
        ("waag_connections_turned_away_total", 1.0),
        ("waag_spans_dropped_total", 0.0),
        ("waag_journal_durable_record", 100.0),
        ("waag_journal_segments", 2.0),
        ("waag_journal_bytes", 3.0),
        ("waag_journal_unsealed_bytes", 4.0),
        ("waag_journal_unsealed_bytes_max", 5.0),
        ("waag_sealed_record", 60.0),
        ("waag_sealing_lag_records", 40.0),
        ("waag_findings_record", 50.0),
        ("waag_findings_stalled", 1.0),
        ("waag_index_hot_room", 6.0),
        ("waag_index_hot_places", 7.0),
        ("waag_index_frozen", 1.0),
        ("waag_index_runs", 9.0),
        ("waag_index_run_entries", 10.0),
        ("waag_index_loaded_bytes", 11.0),
        ("waag_batches_in_flight", 13.0),
        ("waag_batches_in_flight_max", 14.0),
        ("waag_bytes_in_flight", 15.0),
        ("waag_bytes_in_flight_max", 16.0),
        ("waag_memory_max_bytes", 17.0),
        ("waag_connections_max", 18.0),
        ("waag_disk_free_bytes", 19.0),
        ("waag_disk_reserve_bytes", 20.0),
        ("waag_clock_behind_seconds", 2.5),
        ("waag_watermark", 99.0),
        ("waag_declarants", 1.0),
        (r#"waag_declarations_total{declarant="NL810000003",outcome="accepted"}"#, 2.0),
        (r#"waag_declarations_total{declarant="NL810000003",outcome="rejected"}"#, 1.0),
        (r#"waag_declarations_total{declarant="NL810000003",outcome="replayed"}"#, 1.0),
        (r#"waag_declarations_total{declarant="NL810000003",outcome="conflict"}"#, 1.0),
        (r#"waag_declarations_total{declarant="(other)",outcome="accepted"}"#, 0.0),
        (r#"waag_lines_total{declarant="NL810000003",outcome="accepted"}"#, 6.0),
        (r#"waag_lines_total{declarant="NL810000003",outcome="rejected"}"#, 3.0),
        (r#"waag_lines_total{declarant="NL810000003",outcome="conflict"}"#, 3.0),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name} in\n{text}");
    }
    let reason = Reason::ALL[0].name();
    let name =
        format!("waag_reason_declarations_total{{declarant=\"NL810000003\",reason=\"{reason}\"}}");
    assert_eq!(samples.get(&*name), Some(&2.0), "{text}");
    let build = format!("waag_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(samples.get(&*build), Some(&1.0));
    drop(open);
}

#[test]
fn each_family_is_described_once_and_the_text_has_its_end_mark() {
    let text = text(&Telemetry::default(), Some(figures()), Some(totals()));
    assert!(text.ends_with("# EOF\n"));
    let mut described = BTreeMap::new();
    let mut family = "";
    for line in text.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                assert!(described.insert(name, help).is_none(), "{name} twice");
                assert!(!help.ends_with('.'), "{help}");
                family = name;
            }
            ["#", "TYPE", name, _] => assert_eq!(name, family),
            ["#", "EOF"] => {}
            _ => {
                let name = line.split(['{', ' ']).next().unwrap();
                let rest = name.strip_prefix(family);
                let is_own = rest.is_some_and(|rest| {
                    ["", "_total", "_info", "_sum", "_count", "_bucket"].contains(&rest)
                });
                assert!(is_own, "{name} stands under {family}");
            }
        }
    }
    assert_eq!(described.len(), 45, "{described:#?}");
}

#[test]
fn before_recovery_has_ended_the_rest_is_told() {
    let text = text(&Telemetry::default(), None, None);
    let samples = samples(&text);
    assert_eq!(samples.get("waag_recovering"), Some(&1.0));
    assert_eq!(samples.get(r#"waag_serving{service="waag.v1.Lodgement"}"#), Some(&0.0));
    assert!(samples.keys().all(|name| !name.starts_with("waag_journal_durable")));
    assert!(samples.keys().all(|name| !name.starts_with("waag_declarations")));
}
