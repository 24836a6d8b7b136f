//! Days past their retention are dropped: what was declared then is gone, and what was answered is
//! answered as before. What is lost of what outlives them is made again, or missed by name.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::Path;

use common::{
    SETTINGS, Server, Start, batch, copy, declaration, folder, lodge, one_of_each, summaries, waag,
    waag_ok, wait_until, with_value,
};
use waag::proto::v1::{
    ActorRole, ActorSummary, GetDeclarationRequest, GetDeclarationResponse, LocalReference,
    Outcome, SubmitBatchRequest, SubmitBatchResponse, Verdict, get_declaration_request::Key,
};

/// Seals within a second, and keeps the newest day and the one before.
fn settings() -> String {
    let sealing = "unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n";
    format!("{SETTINGS}{sealing}retention_days = 1\n")
}

const FIRST_DAY: &str = "2026-11-05";

fn start<'a>(data: &'a Path, settings: &'a str, clock: &'a str) -> Start<'a> {
    Start { settings, ..Start::at(data, clock) }
}

/// One of each kind, and what is told of it.
fn kinds() -> SubmitBatchRequest {
    let mut declarations = one_of_each();
    declarations.extend([declaration("CORRECTED"), with_value("GOOD", 1_000)]);
    batch("kinds", declarations)
}

const LRNS: [&str; 6] = ["GOOD", "DEAR", "GIFT", "LATE", "TOO-LATE", "CORRECTED"];

/// Lodges more of another declarant, in so many batches: 30 fill a segment of the journal.
async fn lodge_more(server: &Server, name: &str, batches: u32) {
    for part in 0..batches {
        let lrn = |n: usize| format!("{name}-{part}-{n}");
        let declarations = (0..1_000).map(|n| declaration(&lrn(n))).collect();
        let request =
            SubmitBatchRequest { declarant: "NL810000027".into(), ..batch(name, declarations) };
        lodge(server, request).await;
    }
}

async fn get(server: &Server, key: Key) -> GetDeclarationResponse {
    let request = GetDeclarationRequest { key: Some(key) };
    server.lodgement().await.get_declaration(request).await.unwrap().into_inner()
}

async fn by_lrn(server: &Server, lrn: &str) -> GetDeclarationResponse {
    let local = LocalReference { declarant: "NL810000003".into(), lrn: lrn.into() };
    get(server, Key::LocalReference(local)).await
}

/// Whether a day has files in the archive.
fn has_day(data: &Path, day: &str) -> bool {
    data.join(format!("archive/declarations/day={day}")).exists()
}

fn wait_until_dropped(data: &Path) {
    wait_until("the first day is dropped", || {
        ["batches", "declarations", "goods_items", "findings", "replays"]
            .iter()
            .all(|table| !data.join(format!("archive/{table}/day={FIRST_DAY}")).exists())
            && has_day(data, "2026-11-06")
    });
}

fn verified(data: &Path) -> (bool, String) {
    let output = waag(&["verify", "--memory-max", "256MiB", "--data-dir", data.to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), format!("{told}{error}"))
}

fn verify(data: &Path) -> String {
    let (is_sound, told) = verified(data);
    assert!(is_sound, "{told}");
    told
}

/// What was answered on the first day, and what was told of it then.
struct Known {
    answer: SubmitBatchResponse,
    shown: Vec<GetDeclarationResponse>,
    summaries: Vec<ActorSummary>,
}

impl Known {
    async fn of(server: &Server) -> Self {
        let answer = lodge(server, kinds()).await;
        let mut shown = Vec::new();
        for lrn in LRNS {
            shown.push(by_lrn(server, lrn).await);
        }
        let summaries = Self::summaries(server, answer.watermark).await;
        Self { answer, shown, summaries }
    }

    async fn summaries(server: &Server, watermark: u64) -> Vec<ActorSummary> {
        let mut now = summaries(server, ActorRole::Declarant, watermark).await;
        now.retain(|summary| summary.actor.as_ref().unwrap().id == "NL810000003");
        now.iter_mut().for_each(|summary| summary.indicators.clear());
        now
    }

    /// All is answered as it was, though nothing is shown of it any more.
    async fn check(&mut self, server: &Server, what: &str) {
        for (lrn, before) in LRNS.iter().zip(&self.shown) {
            let first = before.verdict.as_ref().unwrap();
            let verdict =
                Verdict { outcome: first.outcome, mrn: first.mrn.clone(), ..Verdict::default() };
            let expected = GetDeclarationResponse {
                verdict: Some(verdict),
                declaration: None,
                personal_data_withheld: true,
                ..before.clone()
            };
            assert_eq!(by_lrn(server, lrn).await, expected, "{what}: {lrn}");
            if !first.mrn.is_empty() {
                let expected = GetDeclarationResponse {
                    declarant: String::new(),
                    lrn: String::new(),
                    ..expected
                };
                assert_eq!(get(server, Key::Mrn(first.mrn.clone())).await, expected, "{what}");
            }
        }
        let now = lodge(server, kinds()).await;
        for (now, before) in now.verdicts.iter().zip(&self.answer.verdicts) {
            let replay_of = before.outcome;
            let expected =
                Verdict { outcome: Outcome::Replayed.into(), replay_of, ..before.clone() };
            assert_eq!(*now, expected, "{what}");
        }
        for summary in &mut self.summaries {
            summary.replayed += now.verdicts.len() as u64;
        }
        let summaries = Self::summaries(server, now.watermark).await;
        assert_eq!(summaries, self.summaries, "{what}");
    }
}

/// A data folder whose first day is dropped, and no server that holds it.
async fn dropped(data: &Path, settings: &str, batches: u32) -> Known {
    let server = start(data, settings, "2026-11-05T12:00").run();
    let known = Known::of(&server).await;
    lodge_more(&server, "a", batches).await;
    assert_eq!(server.stop().await, 0);
    let server = start(data, settings, "2026-11-06T12:00").run();
    lodge_more(&server, "b", 1).await;
    wait_until("both days are sealed", || has_day(data, "2026-11-06"));
    assert!(has_day(data, FIRST_DAY), "it is only the day before the newest");
    assert_eq!(server.stop().await, 0);
    // A clock alone drops nothing, however late it is.
    let server = start(data, settings, "2026-11-07T12:00").run();
    lodge_more(&server, "c", 1).await;
    wait_until_dropped(data);
    assert_eq!(server.stop().await, 0);
    known
}

#[tokio::test]
async fn what_is_dropped_is_answered_as_ever_and_shown_no_more() {
    let (_outer, data) = folder();
    let settings = settings();
    let mut known = dropped(&data, &settings, 31).await;
    let oldest = std::fs::read_dir(data.join("journal")).unwrap().count();
    assert_eq!(oldest, 1, "the journal has nothing of the first day any more");
    let told = verify(&data);
    assert!(told.contains("retention") && told.contains(FIRST_DAY), "{told}");

    let server = start(&data, &settings, "2026-11-07T14:00").run();
    known.check(&server, "dropped").await;
    // Other content under an LRN of that day.
    let answer = lodge(&server, batch("other", vec![with_value("GIFT", 900)])).await;
    assert_eq!(answer.verdicts[0].outcome(), Outcome::Conflict);
    assert_eq!(answer.verdicts[0].findings[0].reason, "LRN_CONTENT_CONFLICT");
    known.summaries = Known::summaries(&server, answer.watermark).await;
    server.kill();
    verify(&data);

    // The snapshot is enough.
    std::fs::remove_dir_all(data.join("catalog")).unwrap();
    let server = start(&data, &settings, "2026-11-07T16:00").run();
    known.check(&server, "after the loss of the catalog").await;
    assert_eq!(server.stop().await, 0);
    verify(&data);
    let told =
        waag_ok(&["rebuild", "--memory-max", "256MiB", "--data-dir", data.to_str().unwrap()]);
    assert!(told.contains("the same bit for bit"), "{told}");
    let server = start(&data, &settings, "2026-11-07T18:00").run();
    known.check(&server, "after a rebuild").await;
    assert_eq!(server.stop().await, 0);

    let to = data.with_extension("export");
    let args = ["export", "--data-dir", data.to_str().unwrap(), "--to", to.to_str().unwrap()];
    let told = waag_ok(&args);
    assert!(told.contains("days up to 2026-11-05 are dropped"), "{told}");
    assert!(to.join("declarations/day=2026-11-06").exists());
    assert!(!to.join(format!("declarations/day={FIRST_DAY}")).exists());
    let written = std::fs::read_to_string(to.join("export.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["dropped_through"], FIRST_DAY);
}

#[tokio::test]
async fn what_cannot_be_made_again_is_missed_by_name() {
    let (_outer, data) = folder();
    let settings = settings();
    // The journal has the first day still.
    let mut known = dropped(&data, &settings, 1).await;
    let whole = data.with_extension("whole");
    copy(&data, &whole);
    let later = |data| start(data, &settings, "2026-11-07T18:00").try_run();

    // The keys of that day.
    std::fs::remove_dir_all(data.join("runs")).unwrap();
    let log = later(&data).err().unwrap();
    assert!(log.contains(FIRST_DAY) && log.contains("Restore `runs`"), "{log}");
    let (is_sound, told) = verified(&data);
    assert!(!is_sound && told.contains("Restore `runs`"), "{told}");
    copy(&whole.join("runs"), &data.join("runs"));

    // A run of them that is damaged is not removed.
    let entries = std::fs::read_dir(data.join("runs")).unwrap();
    let run = entries.map(|entry| entry.unwrap().path()).min().unwrap();
    let content = std::fs::read(&run).unwrap();
    let mut flipped = content.clone();
    flipped[100] ^= 1;
    std::fs::write(&run, flipped).unwrap();
    let log = later(&data).err().unwrap();
    let name = run.file_name().unwrap().to_str().unwrap();
    assert!(log.contains(name) && log.contains("Restore `runs`"), "{log}");
    std::fs::write(&run, content).unwrap();

    // Catalog and snapshot.
    std::fs::remove_dir_all(data.join("catalog")).unwrap();
    std::fs::remove_dir_all(data.join("archive/snapshot")).unwrap();
    let log = later(&data).err().unwrap();
    assert!(log.contains("summaries.waag is missing"), "{log}");
    assert!(log.contains("Restore `catalog`"), "{log}");

    // The snapshot alone is taken again of the catalog.
    std::fs::remove_dir_all(data.join("catalog")).unwrap_or_default();
    copy(&whole.join("catalog"), &data.join("catalog"));
    let (is_sound, told) = verified(&data);
    assert!(!is_sound && told.contains("the next start takes it again"), "{told}");
    let server = later(&data).unwrap_or_else(|log| panic!("{log}"));
    known.check(&server, "after the loss of the snapshot").await;
    assert!(data.join("archive/snapshot/summaries.waag").exists());
    assert_eq!(server.stop().await, 0);
    verify(&data);
}

/// What is answered where a key is not known.
async fn is_found(server: &Server, key: Key) -> bool {
    let request = GetDeclarationRequest { key: Some(key) };
    match server.lodgement().await.get_declaration(request).await {
        Ok(_) => true,
        Err(status) if status.code() == tonic::Code::NotFound => false,
        Err(status) => panic!("{status}"),
    }
}

/// The last record of the oldest run.
fn oldest_run_ends(data: &Path) -> u64 {
    let names = std::fs::read_dir(data.join("runs")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let oldest = names.filter(|name| name.ends_with(".run")).max_by_key(|name| {
        let (first, last) = name.split_once('-').unwrap();
        (std::cmp::Reverse(first.to_owned()), last.to_owned())
    });
    let oldest = oldest.as_deref().and_then(|name| name.strip_suffix(".run")?.split_once('-'));
    oldest.map_or(0, |(_, last)| last.parse().unwrap())
}

fn outcomes(answer: &SubmitBatchResponse) -> Vec<Outcome> {
    answer.verdicts.iter().map(Verdict::outcome).collect()
}

#[tokio::test]
async fn what_is_forgotten_is_new_again() {
    let (_outer, data) = folder();
    let settings = format!("{}key_retention_days = 2\n", settings());
    let known = dropped(&data, &settings, 1).await;
    let mrn = Key::Mrn(known.answer.verdicts[0].mrn.clone());
    let reference = || {
        Key::LocalReference(LocalReference { declarant: "NL810000003".into(), lrn: "GOOD".into() })
    };
    let server = start(&data, &settings, "2026-11-07T14:00").run();
    assert!(is_found(&server, mrn.clone()).await && is_found(&server, reference()).await);
    let conflict = batch("conflict", vec![with_value("GIFT", 900)]);
    assert_eq!(outcomes(&lodge(&server, conflict).await), [Outcome::Conflict]);
    assert_eq!(server.stop().await, 0);

    // The first day is three before this one.
    let server = start(&data, &settings, "2026-11-08T12:00").run();
    for part in 0.. {
        if server.log().contains("keys past their retention are forgotten") {
            break;
        }
        assert!(part < 600, "{}", server.log());
        lodge_more(&server, &format!("d{part}"), 1).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(!is_found(&server, mrn.clone()).await && !is_found(&server, reference()).await);
    let again = batch("again", vec![declaration("GOOD")]);
    let answer = lodge(&server, again.clone()).await;
    assert_eq!(outcomes(&answer), [Outcome::Accepted]);
    let accepted = answer.verdicts[0].mrn.clone();
    assert_ne!(Key::Mrn(accepted.clone()), mrn, "an MRN was given twice");
    // What was accepted under this one is forgotten, and the conflict with it is kept in the archive. All of
    // that is in one run with what is dropped, and `verify` finds it in order.
    let rejected = lodge(&server, batch("rejected", vec![with_value("GIFT", 20_000)])).await;
    assert_eq!(outcomes(&rejected), [Outcome::Rejected]);
    for part in 0.. {
        if oldest_run_ends(&data) >= rejected.watermark {
            break;
        }
        assert!(part < 600, "{}", server.log());
        lodge_more(&server, &format!("e{part}"), 1).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    // Other content is in conflict with what is accepted now, and what is a day younger is known.
    let other = batch("other", vec![with_value("GOOD", 900)]);
    assert_eq!(outcomes(&lodge(&server, other.clone()).await), [Outcome::Conflict]);
    let younger = SubmitBatchRequest {
        declarant: "NL810000027".into(),
        ..batch("b", (0..1_000).map(|n| declaration(&format!("b-0-{n}"))).collect())
    };
    let replays = [Outcome::Replayed; 1_000];
    assert_eq!(outcomes(&lodge(&server, younger.clone()).await), replays);
    server.kill();

    let check = async |clock: &str, what: &str| {
        let server = start(&data, &settings, clock).run();
        assert!(!is_found(&server, mrn.clone()).await, "{what}");
        for batch in [&again, &other] {
            let answer = lodge(&server, batch.clone()).await;
            assert_eq!(outcomes(&answer), [Outcome::Replayed], "{what}");
        }
        let answer = lodge(&server, again.clone()).await;
        assert_eq!(answer.verdicts[0].mrn, accepted, "{what}");
        assert_eq!(outcomes(&lodge(&server, younger.clone()).await), replays, "{what}");
        assert_eq!(server.stop().await, 0);
        verify(&data);
    };
    check("2026-11-08T13:00", "after a kill").await;
    std::fs::remove_dir_all(data.join("catalog")).unwrap();
    check("2026-11-08T14:00", "after the loss of the catalog").await;
    let told =
        waag_ok(&["rebuild", "--memory-max", "256MiB", "--data-dir", data.to_str().unwrap()]);
    assert!(told.contains("the same bit for bit"), "{told}");
    check("2026-11-08T15:00", "after a rebuild").await;
}
