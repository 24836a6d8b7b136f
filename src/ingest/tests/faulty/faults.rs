//! A failed write stops the engine, and what was answered before is answered the same after; a full
//! disk only has callers wait.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

use super::*;

const SENDERS: usize = 8;

/// After so many answers, writes fail.
const ANSWERS: usize = 40;

async fn broken(engine: &Engine) -> String {
    let broken = tokio::time::timeout(HANGS_AFTER, engine.broken());
    broken.await.expect("the engine goes on, though the journal failed")
}

/// What became of a sender's batches, by number: those answered, and the one that was not.
struct Sent {
    answered: Vec<(usize, SubmitBatchResponse)>,
    refused: (usize, Refusal),
}

async fn send(
    engine: Arc<Engine>,
    disk: Arc<FaultyDisk>,
    batches: Arc<Vec<SubmitBatchRequest>>,
    first: usize,
    answers: Arc<AtomicUsize>,
    pages: usize,
) -> Sent {
    let mut answered = Vec::new();
    for number in (first..batches.len()).step_by(SENDERS) {
        match lodge(&engine, &batches[number]).await {
            Ok(answer) => answered.push((number, answer)),
            Err(refusal) => return Sent { answered, refused: (number, refusal) },
        }
        if answers.fetch_add(1, Ordering::Relaxed) + 1 == ANSWERS {
            disk.fail(Fault::Writing { pages });
        }
    }
    panic!("all was answered, though writes fail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_answers_nobody_and_stops_the_engine_and_no_answer_is_lost() {
    let batches = Arc::new(batches(6_000, 20));
    // Nothing of the group reaches the disk, or a part, or all of it.
    for pages in [0, 1, usize::MAX] {
        let outer = tempfile::tempdir().unwrap();
        let config = config(&outer.path().join("data"));
        let disk = Arc::new(FaultyDisk::new());
        let engine = start(disk.clone(), &config);
        let answers = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..SENDERS)
            .map(|first| {
                let (engine, disk, batches) = (engine.clone(), disk.clone(), batches.clone());
                tokio::spawn(send(engine, disk, batches, first, answers.clone(), pages))
            })
            .collect();
        let mut sent = Vec::new();
        for sender in senders {
            sent.push(sender.await.unwrap());
        }

        for Sent { refused: (number, refusal), .. } in &sent {
            assert_eq!(refusal.kind, RefusalKind::Unavailable, "batch {number}: {refusal}");
            assert!(refusal.retry_after_ms > 0, "batch {number}: {refusal}");
        }
        let reason = broken(&engine).await;
        assert!(reason.contains("the journal failed"), "{reason}");
        assert!(engine.is_failed());
        // Not what it has answered before either: it would have to be recorded.
        let known = &batches[sent[0].answered[0].0];
        let refusal = lodge(&engine, known).await.unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Unavailable, "{refusal}");

        let engine = restart(engine, &config);
        assert_eq!(disk.failures(), 1, "it wrote on after an error");
        for (number, first) in sent.iter().flat_map(|sent| &sent.answered) {
            assert_replayed(&engine, &batches[*number], first).await;
        }
        for Sent { refused: (number, _), .. } in &sent {
            let first = lodge(&engine, &batches[*number]).await.unwrap();
            assert_replayed(&engine, &batches[*number], &first).await;
        }
        restart(engine, &config).stop();
    }
}

/// A batch that fills about a tenth of a segment.
fn large(lrn: &str) -> SubmitBatchRequest {
    let mut batch = batches(20, 20).remove(0);
    let mut padded = batch.declarations[0].clone();
    padded.goods_items[0].description = "x".repeat(800_000);
    batch.declarations.push(padded);
    for (number, declaration) in batch.declarations.iter_mut().enumerate() {
        declaration.lrn = format!("{lrn}-{number}");
    }
    batch
}

/// Lodges batches until `until` says so of the last result. While a segment is being made ready, a
/// batch may be told to come back at once.
async fn lodge_until(
    engine: &Engine,
    mut until: impl FnMut(&Result<SubmitBatchResponse, Refusal>) -> bool,
) -> Vec<(SubmitBatchRequest, Result<SubmitBatchResponse, Refusal>)> {
    let mut lodged = Vec::new();
    for number in 0..1_000 {
        let batch = large(&format!("{number}"));
        let result = lodge(engine, &batch).await;
        if result.as_ref().is_err_and(|refusal| refusal.message.contains("NotReady")) {
            continue;
        }
        let is_last = until(&result);
        assert!(is_last || result.is_ok(), "{result:?}");
        lodged.push((batch, result));
        if is_last {
            return lodged;
        }
    }
    panic!("a thousand large batches were lodged");
}

#[tokio::test]
async fn an_error_in_making_a_segment_ready_stops_an_engine_to_which_nobody_lodges_any_more() {
    let outer = tempfile::tempdir().unwrap();
    let config = config(&outer.path().join("data"));
    let disk = Arc::new(FaultyDisk::new());
    let engine = start(disk.clone(), &config);
    disk.fail(Fault::Creating(Errno::IO));
    let journal = config.data_dir.join(folders::JOURNAL);
    let segments = || {
        let entries = disk.list(&journal).unwrap();
        entries.iter().filter(|entry| entry.name.ends_with(".segment")).count()
    };
    // The second segment is begun, so that a third is to be made ready.
    let lodged = lodge_until(&engine, |_| segments() == 2).await;
    let reason = broken(&engine).await;
    assert!(reason.contains("the journal failed"), "{reason}");
    assert!(engine.is_failed());
    let refusal = lodge(&engine, &lodged[0].0).await.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Unavailable, "{refusal}");

    let engine = restart(engine, &config);
    for (batch, answer) in &lodged {
        match answer {
            Ok(first) => assert_replayed(&engine, batch, first).await,
            // Refused because the error was already known.
            Err(refusal) => assert_eq!(refusal.kind, RefusalKind::Unavailable, "{refusal}"),
        }
    }
    engine.stop();
}

#[tokio::test]
async fn a_full_disk_has_callers_come_back_and_lodging_goes_on_once_there_is_space() {
    let outer = tempfile::tempdir().unwrap();
    let config = config(&outer.path().join("data"));
    let disk = Arc::new(FaultyDisk::new());
    let engine = start(disk.clone(), &config);
    disk.fail(Fault::Creating(Errno::NOSPC));
    let mut lodged = lodge_until(&engine, Result::is_err).await;
    let (refused, refusal) = lodged.pop().unwrap();
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Exhausted, "{refusal}");
    assert!(refusal.message.contains("the disk is full"), "{refusal}");
    assert!(refusal.retry_after_ms > 0, "{refusal}");
    assert!(lodged.len() >= 10, "two segments were there: {}", lodged.len());
    assert!(!engine.is_failed());

    disk.mend();
    let answer = loop {
        match lodge(&engine, &refused).await {
            Ok(answer) => break answer,
            Err(refusal) => assert_eq!(refusal.kind, RefusalKind::Exhausted, "{refusal}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // Nothing had been kept of it, and nothing came between.
    assert!(answer.verdicts.iter().all(|verdict| verdict.outcome() != Outcome::Replayed));
    let last = lodged.last().unwrap().1.as_ref().unwrap();
    assert_eq!(answer.watermark, last.watermark + 1);
    lodged.push((refused, Ok(answer)));

    let mut engine = engine;
    for _ in 0..2 {
        for (batch, first) in &lodged {
            assert_replayed(&engine, batch, first.as_ref().unwrap()).await;
        }
        engine = restart(engine, &config);
    }
    engine.stop();
}
