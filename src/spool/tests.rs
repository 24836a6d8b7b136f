//! The store on a disk that forgets what was not synced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use super::receipt::Key;
use super::record::{AnswerHead, SentHead};
use super::store::{Bounds, LodgeError, Store, Writing};
use crate::day::Moment;
use crate::disk::SimulatedDisk;
use crate::disk::simulated::{Chance, Fault};
use crate::ingest::clock::Clock;
use crate::proto::v1::{Declaration, Receipt, SubmitBatchRequest, SubmitBatchResponse};

const DIR: &str = "spool";

fn bounds() -> Bounds {
    Bounds {
        disk_bytes_max: 1 << 20,
        disk_reserve_bytes: 0,
        batches_max: 1_000,
        keep: Duration::from_secs(3_600),
        segment_bytes: 20 * 4_096,
        prepare_in_background: false,
        record_bytes_max: 20_000,
    }
}

/// One key for all lives of a spool.
fn key_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    Key::open(dir.path(), true).unwrap();
    dir
}

fn open(
    disk: &SimulatedDisk,
    keys: &tempfile::TempDir,
    bounds: Bounds,
) -> Option<(Store, Writing)> {
    let key = Key::open(keys.path(), false).unwrap();
    let clock = Arc::new(Clock::starting_at(Moment(1_793_876_400_000)));
    Store::open_with(Arc::new(disk.clone()), Path::new(DIR), key, clock, bounds).ok()
}

fn message(number: u64) -> Bytes {
    let declaration = |lrn: u64| Declaration {
        lrn: format!("{number}-{lrn}"),
        ucr: "u".repeat(usize::try_from(number * 97 % 3_000).unwrap()),
        ..Declaration::default()
    };
    let request = SubmitBatchRequest {
        batch_id: format!("b{number}"),
        declarant: "NL810000003".into(),
        declarations: (0..3).map(declaration).collect(),
        ..SubmitBatchRequest::default()
    };
    request.encode_to_vec().into()
}

/// Forwards the first batch without an answer, as it came, and answers it.
async fn answer_one(store: &Store) -> Option<u64> {
    let number = store.unanswered(0, 1).first()?.number;
    let head = SentHead { as_they_came: vec![number], ..SentHead::default() };
    if matches!(store.unanswered(0, 1)[0].kept.stage, super::state::Stage::Waiting { .. }) {
        store.sent(head).await.ok()?;
    }
    let answer = SubmitBatchResponse { watermark: number, ..SubmitBatchResponse::default() };
    let head = AnswerHead { number, answered_at_ms: 1_793_876_400_000, ..AnswerHead::default() };
    store.answer(head, answer.encode_to_vec()).await.ok()?.await.ok()?.ok()?;
    Some(number)
}

/// Every receipt is there, with its batch byte for byte, and every answer.
fn check(store: &Store, receipts: &[(Receipt, Bytes)], answered: &[u64]) {
    for (receipt, message) in receipts {
        let kept = store.shared.state().batch(receipt.number).cloned();
        let kept = kept.unwrap_or_else(|| panic!("receipt {} is lost", receipt.number));
        assert_eq!(kept.received_at_ms, receipt.received_at_ms);
        assert_eq!(store.message(&kept).unwrap(), message);
    }
    for &number in answered {
        let set = store.verdicts(number).unwrap().unwrap();
        let receipt = set.receipt.unwrap();
        let (given, _) = receipts.iter().find(|(given, _)| given.number == number).unwrap();
        assert_eq!(&receipt, given);
    }
    let state = store.shared.state();
    assert_eq!(state.figures.rows().map(|row| row.received).sum::<u64>(), state.len() as u64 * 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_receipt_survives_whatever_the_moment_of_a_crash() {
    let mut crashes = 0;
    for seed in 0..60 {
        let keys = key_dir();
        let disk = SimulatedDisk::new(seed, u64::MAX);
        let mut chance = Chance(seed);
        let (mut receipts, mut answered) = (Vec::new(), Vec::new());
        let mut next = 0;
        for life in 0..4 {
            if life > 0 {
                disk.fault_at(chance.below(60), Fault::PowerCut);
            }
            if let Some((store, writing)) = open(&disk, &keys, bounds()) {
                if !disk.has_no_power() && life > 0 {
                    check_kept(&store, &receipts, &answered);
                }
                for step in 0..30 {
                    let message = message(next);
                    next += 1;
                    match store.lodge(message.clone(), step % 3 != 0).await {
                        Ok(receipt) => receipts.push((receipt, message)),
                        Err(_) => break,
                    }
                    if step % 2 == 0
                        && let Some(number) = answer_one(&store).await
                    {
                        answered.push(number);
                    }
                }
                store.stop().await;
                drop(store);
                let _ = tokio::task::spawn_blocking(move || writing.end()).await.unwrap();
            }
            crashes += u64::from(disk.has_no_power());
            disk.crash();
        }
        let (store, writing) = open(&disk, &keys, bounds()).expect("it opens after a crash");
        check(&store, &receipts, &answered);
        store.stop().await;
        tokio::task::spawn_blocking(move || writing.end()).await.unwrap().unwrap();
    }
    assert!(crashes > 30, "{crashes}");
}

/// What of [`check`] needs no disk: a power cut may be about to come.
fn check_kept(store: &Store, receipts: &[(Receipt, Bytes)], answered: &[u64]) {
    let state = store.shared.state();
    for (receipt, _) in receipts {
        assert!(state.batch(receipt.number).is_some(), "receipt {} is lost", receipt.number);
    }
    let numbers: Vec<u64> = state.answers.values().copied().collect();
    assert!(answered.iter().all(|number| numbers.contains(number)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_takes_nothing_and_goes_on_once_answers_are_acknowledged() {
    let keys = key_dir();
    let disk = SimulatedDisk::new(1, u64::MAX);
    let (store, writing) = open(&disk, &keys, bounds()).unwrap();
    let mut taken = 0;
    while store.lodge(message(taken), true).await.is_ok() {
        taken += 1;
    }
    assert!(taken > 20, "{taken}");
    let full = store.lodge(message(taken), true).await.unwrap_err();
    assert!(matches!(full, LodgeError::Full { retry_after_ms: 1.., .. }), "{full}");
    // What is known is told, full or not.
    assert_eq!(store.lodge(message(3), true).await.unwrap().number, 4);
    while answer_one(&store).await.is_some() {}
    let newest = *store.shared.state().answers.last_key_value().unwrap().0;
    let figures = store.shared.state().figures.clone();
    store.acknowledge(newest).await;
    while store.shared.state().batch(1).is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        store.tidy().await;
    }
    assert_eq!(store.shared.state().figures, figures);
    let after = store.lodge(message(taken), true).await.unwrap();
    assert_eq!(after.number, taken + 1);
    store.stop().await;
    let before = store.shared.state().clone();
    drop(store);
    tokio::task::spawn_blocking(move || writing.end()).await.unwrap().unwrap();
    // The fold of what is left is the state that it had.
    let (store, writing) = open(&disk, &keys, bounds()).unwrap();
    {
        let state = store.shared.state();
        assert_eq!(state.figures, before.figures);
        assert_eq!((state.len(), state.next_number), (before.len(), before.next_number));
        assert_eq!(state.unanswered, before.unanswered);
    }
    store.stop().await;
    tokio::task::spawn_blocking(move || writing.end()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_with_its_place_and_never_opened() {
    let keys = key_dir();
    let disk = SimulatedDisk::new(1, u64::MAX);
    let (store, writing) = open(&disk, &keys, bounds()).unwrap();
    for number in 0..8 {
        store.lodge(message(number), true).await.unwrap();
    }
    store.stop().await;
    tokio::task::spawn_blocking(move || writing.end()).await.unwrap().unwrap();
    let path =
        disk.paths().into_iter().find(|path| path.to_string_lossy().contains("0001.segment"));
    let path = path.unwrap();
    for byte in [5_000, 9_000, 13_000] {
        let damaged = disk.fork();
        assert!(damaged.flip(&path, byte * 8));
        let key = Key::open(keys.path(), false).unwrap();
        let clock = Arc::new(Clock::system());
        let opened = Store::open_with(Arc::new(damaged), Path::new(DIR), key, clock, bounds());
        let told = opened.err().unwrap().to_string();
        assert!(told.contains("0001.segment at byte"), "{told}");
    }
}
