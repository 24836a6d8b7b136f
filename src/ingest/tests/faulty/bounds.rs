//! More declarations than a table holds: everything goes on as with one table, before and after a
//! restart.

use super::disk::records_of;
use super::*;
use crate::index::run;
use crate::ingest::lookup::Found;
use crate::ingest::{inspect, rebuild};
use crate::secrets::Secrets;

/// A batch of the most declarations, none of them in good order.
fn bare(number: usize) -> SubmitBatchRequest {
    let declaration = |n| Declaration { lrn: format!("B{number}-{n}"), ..Declaration::default() };
    SubmitBatchRequest {
        batch_id: format!("{number}"),
        declarant: "NL810000003".into(),
        declarations: (0..4_000).map(declaration).collect(),
        ..SubmitBatchRequest::default()
    }
}

async fn look_up(
    engine: &Arc<Engine>,
    ask: impl FnOnce(&mut crate::ingest::lookup::Lookup) -> Option<Found> + Send + 'static,
) -> Option<Found> {
    let engine = Arc::clone(engine);
    let found = move || {
        let place = engine.lookups().enter().unwrap();
        engine.lookups().ask(&place, ask)
    };
    tokio::task::spawn_blocking(found).await.unwrap()
}

async fn by_reference(engine: &Arc<Engine>, declarant: &str, lrn: &str) -> Option<Found> {
    let (declarant, lrn) = (declarant.to_owned(), lrn.to_owned());
    look_up(engine, move |lookup| lookup.by_reference(&declarant, &lrn).unwrap()).await
}

async fn by_mrn(engine: &Arc<Engine>, mrn: &str) -> Option<Found> {
    let mrn = mrn.to_owned();
    look_up(engine, move |lookup| lookup.by_mrn(&mrn).unwrap()).await
}

/// Lodges, coming back where a table is being written.
async fn lodge_patiently(engine: &Engine, batch: &SubmitBatchRequest) -> SubmitBatchResponse {
    loop {
        match lodge(engine, batch).await {
            Ok(answer) => return answer,
            Err(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::Exhausted, "{refusal}");
                assert!(refusal.retry_after_ms > 0, "{refusal}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Waits until nothing is frozen any more: the files of the runs there are.
async fn runs(engine: &Engine, config: &Config) -> Vec<Vec<u8>> {
    while engine.index().is_writing() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run_files(config)
}

fn run_files(config: &Config) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(config.data_dir.join(folders::RUNS))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A declaration as others see it.
fn shown(found: &Found) -> (Outcome, Option<String>, String, Declaration) {
    let outcome = match found.outcome {
        crate::outcome::Outcome::Accepted => Outcome::Accepted,
        _ => Outcome::Rejected,
    };
    let mrn = found.mrn.map(|mrn| mrn.as_str().to_owned());
    (outcome, mrn, found.declarant.clone(), found.declaration.clone().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_longer_fits_a_table_is_answered_as_ever() {
    let outer = tempfile::tempdir().unwrap();
    let config = config(&outer.path().join("data"));
    let mut engine = start(Arc::new(LocalDisk::new()), &config);
    // Some of everything first, so that it is cold in the end.
    let mut lodged = Vec::new();
    for batch in batches(3_000, 100) {
        let answer = lodge_patiently(&engine, &batch).await;
        lodged.push((batch, answer));
    }
    let of_everything = lodged.len();
    for number in 0..20 {
        let batch = bare(number);
        let answer = lodge_patiently(&engine, &batch).await;
        lodged.push((batch, answer));
    }
    let written = runs(&engine, &config).await;
    assert!(written.len() >= 2, "{}", written.len());

    // Everything again, which takes no room.
    let room = engine.index().room();
    for (batch, first) in &lodged {
        assert_replayed(&engine, batch, first).await;
    }
    assert_eq!(engine.index().room(), room);
    assert_eq!(run_files(&config), written);

    // Other content under LRNs that are cold: conflicts where they were accepted ...
    let mut conflicts = Vec::new();
    let mut accepted = Vec::new();
    for (batch, first) in &lodged[..of_everything] {
        let mut other = batch.clone();
        let mut is_accepted = Vec::new();
        for (declaration, verdict) in other.declarations.iter_mut().zip(&first.verdicts) {
            declaration.ucr = "another".into();
            is_accepted.push(verdict.outcome() == Outcome::Accepted);
            if verdict.outcome() == Outcome::Accepted {
                accepted.push((
                    batch.declarant.clone(),
                    declaration.lrn.clone(),
                    verdict.mrn.clone(),
                ));
            }
        }
        let answer = lodge_patiently(&engine, &other).await;
        for (verdict, is_accepted) in answer.verdicts.iter().zip(is_accepted) {
            if is_accepted {
                assert_eq!(verdict.outcome(), Outcome::Conflict);
                assert!(verdict.mrn.is_empty());
            }
        }
        conflicts.push((other, answer));
    }
    assert!(accepted.len() > 500, "{}", accepted.len());
    // ... and a correction, as good or bad as it is, where they were rejected.
    let mut corrected = bare(0);
    corrected.declarations.iter_mut().for_each(|declaration| declaration.ucr = "again".into());
    let answer = lodge_patiently(&engine, &corrected).await;
    assert!(answer.verdicts.iter().all(|verdict| verdict.outcome() == Outcome::Rejected));
    conflicts.push((corrected, answer));
    for round in 0..2 {
        for (batch, first) in conflicts.iter().chain(&lodged).skip(round).step_by(3) {
            assert_replayed(&engine, batch, first).await;
        }
        for (declarant, lrn, mrn) in accepted.iter().step_by(50) {
            let of_lrn = by_reference(&engine, declarant, lrn).await.unwrap();
            let of_mrn = by_mrn(&engine, mrn).await.unwrap();
            assert_eq!(shown(&of_lrn), shown(&of_mrn));
            assert_eq!(shown(&of_lrn).1.as_ref(), Some(mrn));
            assert_eq!(shown(&of_lrn).3.lrn, *lrn);
        }
        let rejected = by_reference(&engine, "NL810000003", "B1-17").await.unwrap();
        assert_eq!((rejected.outcome, rejected.mrn), (crate::outcome::Outcome::Rejected, None));
        let corrected = by_reference(&engine, "NL810000003", "B0-17").await.unwrap();
        assert_eq!(corrected.declaration.unwrap().ucr, "again");
        assert!(by_reference(&engine, "NL810000003", "B99-17").await.is_none());
        if round == 0 {
            // Only what came after the newest run is judged again.
            let records = engine.index().covered().unwrap().last_record.0;
            engine.stop();
            drop(Arc::into_inner(engine).expect("nobody else has it"));
            let (again, started) = start_told(Arc::new(LocalDisk::new()), &config);
            engine = again;
            let all = started.progress.records;
            assert!(started.progress.judged > 0, "{started:?}");
            assert!(started.progress.judged <= all - records, "{started:?}, {records} in runs");
            let again = (lodged.len() + conflicts.len()).div_ceil(3);
            let answers = 2 * lodged.len() + conflicts.len() + again;
            assert_eq!(all, answers as u64 + 2, "with law and settings");
            assert_eq!(run_files(&config)[..written.len()], written);
        }
    }
    engine.stop();
    drop(engine);

    let before = inspect::verify(&config).unwrap();
    assert!(before.is_sound(), "{before:?}");
    let told = before.parts.iter().find(|part| part.name == "runs").unwrap();
    assert!(told.found.contains("; the same as the journal makes"), "{told:?}");
    let files = run_files(&config);
    let rebuilt = rebuild::rebuild(&config).unwrap();
    assert!(rebuilt.is_sound(), "{rebuilt:?}");
    assert_eq!(rebuilt.summaries_digest, before.summaries_digest);
    assert_eq!(run_files(&config), files);
    let after = inspect::verify(&config).unwrap();
    assert!(after.is_sound() && after.summaries_digest == before.summaries_digest, "{after:?}");

    // Without them everything is as it was, and they are made again as tables fill.
    std::fs::remove_dir_all(config.data_dir.join(folders::RUNS)).unwrap();
    let (engine, started) = start_told(Arc::new(LocalDisk::new()), &config);
    assert!(started.progress.judged > 50);
    assert!(run_files(&config).len() >= 2);
    for (batch, first) in conflicts.iter().chain(&lodged).step_by(7) {
        assert_replayed(&engine, batch, first).await;
    }
    engine.stop();
    drop(engine);
    let last = inspect::verify(&config).unwrap();
    assert!(last.is_sound(), "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_full_table_cannot_be_written_batches_are_refused_and_nothing_is_lost() {
    let outer = tempfile::tempdir().unwrap();
    let config = config(&outer.path().join("data"));
    let disk = Arc::new(FaultyDisk::new());
    let engine = start(disk.clone(), &config);
    disk.fail(Fault::Creating(rustix::io::Errno::NOSPC));
    let mut lodged = Vec::new();
    let (refused, refusal) = loop {
        let batch = bare(lodged.len());
        match lodge(&engine, &batch).await {
            Ok(answer) => lodged.push((batch, answer)),
            Err(refusal) => break (batch, refusal),
        }
    };
    assert_eq!(
        (refusal.kind, refusal.retry_after_ms),
        (RefusalKind::Exhausted, 1_000),
        "{refusal}"
    );
    // Two tables.
    assert!(lodged.len() >= 14, "{}", lodged.len());
    for (batch, first) in &lodged {
        assert_replayed(&engine, batch, first).await;
    }
    assert!(disk.failures() > 0);
    assert!(run_files(&config).is_empty());
    disk.mend();
    let answer = lodge_patiently(&engine, &refused).await;
    lodged.push((refused, answer));
    let engine = restart(engine, &config);
    for (batch, first) in &lodged {
        assert_replayed(&engine, batch, first).await;
    }
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_cannot_be_relied_on_are_made_again() {
    let outer = tempfile::tempdir().unwrap();
    let config = config(&outer.path().join("data"));
    let engine = start(Arc::new(LocalDisk::new()), &config);
    let mut lodged = Vec::new();
    for number in 0..20 {
        let batch = bare(number);
        let answer = lodge_patiently(&engine, &batch).await;
        lodged.push((batch, answer));
    }
    let files = runs(&engine, &config).await;
    assert_eq!(files.len(), 2);
    engine.stop();
    drop(engine);
    let secrets = Secrets::open(&config.data_dir.join(folders::SECRETS), false).unwrap();
    let dir = config.data_dir.join(folders::RUNS);
    let folder = run::Folder::new(Arc::new(LocalDisk::new()), &dir, secrets.identity());
    let paths: Vec<_> =
        folder.open().unwrap().whole.iter().map(|run| run.path().to_owned()).collect();
    let sound = |config: &Config| inspect::verify(config).unwrap().is_sound();
    assert!(sound(&config));

    // The catalog knows less than the runs, since it was lost.
    std::fs::remove_dir_all(config.data_dir.join(folders::CATALOG)).unwrap();
    let (engine, started) = start_told(Arc::new(LocalDisk::new()), &config);
    assert_eq!(started.progress.judged, 20);
    assert_replayed(&engine, &lodged[0].0, &lodged[0].1).await;
    engine.stop();
    drop(engine);
    assert_eq!(run_files(&config), files);
    assert!(sound(&config));

    // The first page of the second run; a page of entries of it; the first run is missing.
    for damage in [8_u64, 5_000] {
        let mut bytes = files[1].clone();
        bytes[damage as usize] ^= 1;
        std::fs::write(&paths[1], &bytes).unwrap();
        let told = inspect::verify(&config).unwrap();
        assert!(!told.is_sound(), "{damage}");
        let told = told.parts.iter().find(|part| !part.is_sound).unwrap();
        assert!(told.name == "runs" && told.found.contains(paths[1].to_str().unwrap()), "{told:?}");
        assert!(rebuild::rebuild(&config).unwrap().is_sound());
        assert!(sound(&config));
        if damage == 8 {
            // A start finds it too, and makes it again.
            std::fs::write(&paths[1], &bytes).unwrap();
            let (engine, started) = start_told(Arc::new(LocalDisk::new()), &config);
            assert!((9..20).contains(&started.progress.judged), "{started:?}");
            engine.stop();
            drop(engine);
        }
    }
    std::fs::remove_file(&paths[0]).unwrap();
    let (engine, started) = start_told(Arc::new(LocalDisk::new()), &config);
    // One of them a replay.
    assert_eq!(started.progress.judged, 21);
    for (batch, first) in lodged.iter().step_by(5) {
        assert_replayed(&engine, batch, first).await;
    }
    engine.stop();
    drop(engine);
    assert!(sound(&config));
}

/// More memory than the least, in which there is none for the filters of a merged run.
fn with_room_to_merge(data: &Path) -> Config {
    Config { memory_max: ByteSize(256 << 20), ..config(data) }
}

/// Lodges some of everything, what is displaced later too, three batches to a table; what was answered
/// before the server stopped, if it did.
async fn lodge_in_small_tables(engine: &Engine) -> Vec<(SubmitBatchRequest, SubmitBatchResponse)> {
    let mut all = batches(1_000, 100);
    for number in 0..6 {
        let mut batch = bare(number);
        batch.declarations.truncate(300);
        all.push(batch.clone());
        // And with other content, much later: what it had is displaced.
        batch.declarations.iter_mut().for_each(|declaration| declaration.ucr = "again".into());
        all.push(batch);
    }
    all.sort_by_key(|batch| batch.declarations.first().is_some_and(|first| first.ucr == "again"));
    let mut lodged = Vec::new();
    for (number, batch) in all.into_iter().enumerate() {
        let answer = match lodge(engine, &batch).await {
            Err(refusal) if refusal.kind == RefusalKind::Unavailable => break,
            Err(_) => lodge_patiently(engine, &batch).await,
            Ok(answer) => answer,
        };
        lodged.push((batch, answer));
        // As though the table were full, once the one before is written.
        while number % 3 == 2 && !engine.index().close() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    lodged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_merged_beside_the_work_and_all_is_as_before() {
    let outer = tempfile::tempdir().unwrap();
    let config = with_room_to_merge(&outer.path().join("data"));
    let engine = start(Arc::new(LocalDisk::new()), &config);
    let lodged = lodge_in_small_tables(&engine).await;
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(config.data_dir.join(folders::RUNS)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let began = std::time::Instant::now();
    let is_merged = |name: &String| records_of(Path::new(name)).is_some_and(|of| of > 9);
    while !names().iter().any(is_merged) || names().len() > 3 {
        assert!(began.elapsed() < HANGS_AFTER, "{:?}", names());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let covered = engine.index().runs_cover().unwrap();
    assert!(covered.0 > 10, "{covered:?}");
    for (batch, first) in &lodged {
        assert_replayed(&engine, batch, first).await;
    }
    engine.stop();
    drop(Arc::into_inner(engine).expect("nobody else has it"));

    let before = inspect::verify(&config).unwrap();
    assert!(before.is_sound(), "{before:?}");
    let told = before.parts.iter().find(|part| part.name == "runs").unwrap();
    assert!(told.found.contains("the same as the journal makes"), "{told:?}");
    let (engine, started) = start_told(Arc::new(LocalDisk::new()), &config);
    assert!(started.progress.judged <= started.progress.records - covered.0, "{started:?}");
    for (batch, first) in &lodged {
        assert_replayed(&engine, batch, first).await;
    }
    let corrected = by_reference(&engine, "NL810000003", "B0-17").await.unwrap();
    assert_eq!(corrected.declaration.unwrap().ucr, "again");
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_too_full_to_merge_on_holds_up_nothing_and_one_that_fails_stops_the_server() {
    for (error, goes_on) in [(rustix::io::Errno::NOSPC, true), (rustix::io::Errno::IO, false)] {
        let outer = tempfile::tempdir().unwrap();
        let config = with_room_to_merge(&outer.path().join("data"));
        let disk = Arc::new(FaultyDisk::new());
        let engine = start(disk.clone(), &config);
        disk.fail(Fault::CreatingRunsOf(10, error));
        let lodged = lodge_in_small_tables(&engine).await;
        let began = std::time::Instant::now();
        while disk.failures() == 0 {
            assert!(began.elapsed() < HANGS_AFTER);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let entries = std::fs::read_dir(config.data_dir.join(folders::RUNS)).unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(names.len() >= 4, "{names:?}");
        assert!(names.iter().all(|name| records_of(name).is_some_and(|of| of < 10)), "{names:?}");
        if goes_on {
            for (batch, first) in &lodged {
                assert_replayed(&engine, batch, first).await;
            }
            assert_eq!(disk.failures(), 1, "it is not tried again at once");
        } else {
            let refusal = loop {
                match lodge(&engine, &bare(99)).await {
                    Err(refusal) => break refusal,
                    Ok(_) => assert!(began.elapsed() < HANGS_AFTER),
                }
            };
            assert_eq!(refusal.kind, RefusalKind::Unavailable, "{refusal}");
        }
        engine.stop();
    }
}
