//! What was lodged is sealed: it leaves the journal for the archive, and everything is answered as
//! before, after a crash and after all that is derived was lost as well.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{
    CLOCK, SETTINGS, Server, Start, batch, declaration, folder, lodge, one_of_each, summaries,
    waag, waag_ok, wait_until, with_value, withheld,
};
use waag::proto::v1::{
    ActorRole, ActorSummary, GetDeclarationRequest, GetDeclarationResponse, LocalReference,
    Outcome, SubmitBatchRequest, SubmitBatchResponse, Verdict, get_declaration_request::Key,
};

/// Seals within a second.
fn settings() -> String {
    format!("{SETTINGS}unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n")
}

fn start<'a>(data: &'a Path, settings: &'a str) -> Start<'a> {
    Start { settings, ..Start::at(data, CLOCK) }
}

/// A later start, whose clock must not be behind the newest record.
fn start_later<'a>(data: &'a Path, settings: &'a str) -> Start<'a> {
    Start { clock: "2026-11-05T18:00", ..start(data, settings) }
}

/// One of each kind, and what conflicts with and corrects them.
fn kinds() -> [SubmitBatchRequest; 2] {
    let first = one_of_each();
    let second = vec![
        declaration("GOOD"),
        with_value("GOOD", 1_000),
        with_value("DEAR", 15_001),
        declaration("NEW"),
        declaration("CORRECTED"),
        declaration("NEW"),
    ];
    [batch("first", first), batch("second", second)]
}

const LRNS: [&str; 7] = ["GOOD", "DEAR", "GIFT", "LATE", "TOO-LATE", "NEW", "CORRECTED"];

/// Fills segments, so that the first ones are full; returns the last watermark.
async fn fill(server: &Server, name: &str) -> u64 {
    let mut last = 0;
    for part in 0..30 {
        let lrn = |n: usize| format!("{name}-{part}-{n}");
        let declarations = (0..1_000).map(|n| declaration(&lrn(n))).collect();
        let request = SubmitBatchRequest {
            declarant: "NL810000027".into(),
            ..batch(&format!("{name}-{part}"), declarations)
        };
        last = lodge(server, request).await.watermark;
    }
    last
}

async fn get(server: &Server, key: Key) -> GetDeclarationResponse {
    let request = GetDeclarationRequest { key: Some(key) };
    server.lodgement().await.get_declaration(request).await.unwrap().into_inner()
}

async fn by_lrn(server: &Server, lrn: &str) -> GetDeclarationResponse {
    let local = LocalReference { declarant: "NL810000003".into(), lrn: lrn.into() };
    get(server, Key::LocalReference(local)).await
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths
}

/// Waits until nothing waits to be sealed: the journal is down to the segment being written.
fn wait_until_sealed(data: &Path, sealed: u64) {
    wait_until("all records are sealed", || {
        let sets = files(&data.join("archive/sets"), "set");
        let last = sets.last().and_then(|path| path.file_stem()?.to_str()?.get(13..)?.parse().ok());
        last.unwrap_or(0) >= sealed && files(&data.join("journal"), "segment").len() == 1
    });
}

/// Waits until what was sealed is told as the archive has it. A segment's file goes a moment before the
/// server lets go of it, and until then what it held is told in full.
async fn wait_until_withheld(server: &Server) {
    let mut asked = 0;
    while !by_lrn(server, "GOOD").await.personal_data_withheld {
        asked += 1;
        assert!(asked < 6_000, "the archive has it, and it is still told in full");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What was answered at first, and what is told of it.
struct Known {
    answers: Vec<SubmitBatchResponse>,
    shown: Vec<GetDeclarationResponse>,
    summaries: Vec<ActorSummary>,
}

impl Known {
    async fn of(server: &Server) -> Self {
        let mut answers = Vec::new();
        for request in kinds() {
            answers.push(lodge(server, request).await);
        }
        let mut shown = Vec::new();
        for lrn in LRNS {
            shown.push(by_lrn(server, lrn).await);
        }
        Self { answers, shown, summaries: Vec::new() }
    }

    /// Everything is answered as at first, and the summaries are the same but for these replays.
    async fn check(&mut self, server: &Server, what: &str) -> u64 {
        for (lrn, before) in LRNS.iter().zip(&self.shown) {
            let now = by_lrn(server, lrn).await;
            let declaration = before.declaration.clone().map(withheld);
            let expected = GetDeclarationResponse {
                personal_data_withheld: true,
                declaration,
                ..before.clone()
            };
            assert_eq!(now, expected, "{what}: {lrn}");
            let mrn = &before.verdict.as_ref().unwrap().mrn;
            if !mrn.is_empty() {
                assert_eq!(get(server, Key::Mrn(mrn.clone())).await, expected, "{what}: {mrn}");
            }
        }
        let mut watermark = 0;
        for (request, before) in kinds().into_iter().zip(&self.answers) {
            let now = lodge(server, request).await;
            watermark = now.watermark;
            for (now, before) in now.verdicts.iter().zip(&before.verdicts) {
                let outcome = match before.outcome() {
                    Outcome::Replayed => before.replay_of(),
                    first => first,
                };
                let expected = Verdict {
                    outcome: Outcome::Replayed.into(),
                    replay_of: outcome.into(),
                    ..before.clone()
                };
                assert_eq!(*now, expected, "{what}");
            }
        }
        let replays: u64 = self.answers.iter().map(|answer| answer.verdicts.len() as u64).sum();
        let mut now = summaries(server, ActorRole::Declarant, watermark).await;
        // Of the one who lodged these, and what is made of the same counts.
        now.retain(|summary| summary.actor.as_ref().unwrap().id == "NL810000003");
        now.iter_mut().for_each(|summary| summary.indicators.clear());
        if !self.summaries.is_empty() {
            for summary in &mut self.summaries {
                summary.replayed += replays;
            }
            assert_eq!(now, self.summaries, "{what}");
        }
        self.summaries = now;
        watermark
    }
}

fn verify(data: &Path) -> String {
    let output = waag(&["verify", "--memory-max", "256MiB", "--data-dir", data.to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    told
}

#[tokio::test]
async fn what_is_sealed_is_answered_as_ever_whatever_is_lost_of_what_is_derived() {
    let (_outer, data) = folder();
    let settings = settings();
    let server = start(&data, &settings).run();
    let mut known = Known::of(&server).await;
    let last = fill(&server, "a").await;
    wait_until_sealed(&data, last);
    wait_until_withheld(&server).await;
    known.check(&server, "sealed").await;
    let last = fill(&server, "b").await;
    wait_until_sealed(&data, last);
    let last = known.check(&server, "sealed once more").await;
    // Records that only repeat are sealed like others.
    wait_until_sealed(&data, last);
    known.check(&server, "after replays were sealed").await;
    server.kill();

    let server = start_later(&data, &settings).run();
    let last = known.check(&server, "after a kill").await;
    assert_eq!(server.stop().await, 0);
    // What a start finds is sealed as well, though nobody lodges.
    let server = start_later(&data, &settings).run();
    wait_until_sealed(&data, last);
    assert_eq!(server.stop().await, 0);
    let told = verify(&data);
    assert!(told.contains("sets of"), "{told}");

    for lost in [&["runs"][..], &["catalog"], &["runs", "catalog"]] {
        for folder in lost {
            std::fs::remove_dir_all(data.join(folder)).unwrap();
        }
        let server = start_later(&data, &settings).run();
        known.check(&server, &format!("after the loss of {lost:?}")).await;
        assert_eq!(server.stop().await, 0);
        verify(&data);
    }
    let told =
        waag_ok(&["rebuild", "--memory-max", "256MiB", "--data-dir", data.to_str().unwrap()]);
    assert!(told.contains("the same bit for bit"), "{told}");
    let server = start_later(&data, &settings).run();
    known.check(&server, "after a rebuild").await;
}

#[tokio::test]
async fn damage_of_the_archive_is_told_by_name_and_never_served() {
    let (_outer, data) = folder();
    let settings = settings();
    let server = start(&data, &settings).run();
    let last = fill(&server, "a").await;
    wait_until_sealed(&data, last);
    assert_eq!(server.stop().await, 0);
    let set = files(&data.join("archive/sets"), "set").remove(0);
    let range = set.file_stem().unwrap().to_str().unwrap().to_owned();
    let table = data.join(format!("archive/declarations/day=2026-11-05/{range}.parquet"));

    let content = std::fs::read(&table).unwrap();
    let mut flipped = content.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 4;
    std::fs::write(&table, &flipped).unwrap();
    let output = waag(&["verify", "--memory-max", "256MiB", "--data-dir", data.to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("declarations/day=2026-11-05/{range}.parquet")), "{told}");
    std::fs::write(&table, &content).unwrap();
    verify(&data);

    for path in [set, table] {
        let aside = data.with_extension("aside");
        std::fs::rename(&path, &aside).unwrap();
        let log = start_later(&data, &settings).try_run().err().unwrap();
        assert!(log.contains("missing"), "{log}");
        assert!(!path.exists(), "nothing is made in its place");
        std::fs::rename(&aside, &path).unwrap();
    }
    let server = start_later(&data, &settings).run();
    let local = LocalReference { declarant: "NL810000027".into(), lrn: "a-0-0".into() };
    get(&server, Key::LocalReference(local)).await;
}
