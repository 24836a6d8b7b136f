//! What accepted declarations show together, on a real server: found once they are sealed, with MRNs to look at; the
//! same after a kill, a loss and a rebuild; and never in the way of lodging.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{
    CLOCK, SETTINGS, Server, Start, batch, folder, http_get, lodge, waag, waag_ok, with_value,
};
use tonic::{Code, Status};
use waag::proto::v1::{self, ActorRole, Outcome, SubmitBatchRequest};

const OWN: &str = "NL810000003";
const OTHER: &str = "NL810000004";
const DUPLICATE: &str = "DUPLICATE_TRANSPORT_DOCUMENT";
const SPLIT: &str = "CONSIGNMENT_SPLIT_SUSPECT";

/// Seals within a second.
fn settings() -> String {
    format!(
        "{SETTINGS}unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n\
         metrics = \"127.0.0.1:0\"\n"
    )
}

fn start(data: &Path, settings: &str) -> Server {
    Start { settings, ..Start::at(data, CLOCK) }.run()
}

/// A good one for an importer, under a transport document.
fn parcel(lrn: &str, importer: &str, document: &str, hundredths: u64) -> v1::Declaration {
    let mut declaration = with_value(lrn, hundredths);
    declaration.importer.as_mut().unwrap().name = importer.into();
    declaration.transport_document.as_mut().unwrap().reference = document.into();
    declaration
}

/// Of one declarant a document that comes twice, and a consignment split up; of its neighbour ten that are honest.
fn planted() -> [SubmitBatchRequest; 2] {
    let own = vec![
        parcel("DOCUMENT-1", "A. Bakker", "074-00000011", 2_000),
        parcel("DOCUMENT-2", "B. Visser", "074-00000011", 2_000),
        parcel("HALF-1", "C. Smit", "074-00000022", 9_000),
        parcel("HALF-2", "C. Smit", "074-00000033", 9_000),
    ];
    let honest = |n: u64| {
        let (lrn, importer) = (format!("L{n}"), format!("Neighbour {n}"));
        parcel(&lrn, &importer, &format!("020-{n:08}"), 9_000)
    };
    let other = (0..10).map(honest).collect();
    [batch("own", own), SubmitBatchRequest { declarant: OTHER.into(), ..batch("other", other) }]
}

/// Lodges them: the last watermark, and MRNs by LRN.
async fn lodge_planted(server: &Server) -> (u64, BTreeMap<String, String>) {
    let (mut watermark, mut mrns) = (0, BTreeMap::new());
    for request in planted() {
        let lrns: Vec<_> = request.declarations.iter().map(|d| d.lrn.clone()).collect();
        let answer = lodge(server, request).await;
        watermark = answer.watermark;
        for (lrn, verdict) in lrns.into_iter().zip(answer.verdicts) {
            assert_eq!(verdict.outcome(), Outcome::Accepted, "{verdict:?}");
            mrns.insert(lrn, verdict.mrn);
        }
    }
    (watermark, mrns)
}

async fn try_list(server: &Server) -> Result<v1::ListFindingsResponse, Status> {
    let request = v1::ListFindingsRequest {
        actor: Some(v1::Actor { role: ActorRole::Declarant.into(), id: String::new() }),
        page_size: 1_000,
        ..Default::default()
    };
    Ok(server.compliance().await.list_findings(request).await?.into_inner())
}

async fn list(server: &Server) -> v1::ListFindingsResponse {
    try_list(server).await.unwrap()
}

/// What is found, once it is as it should be.
async fn found(
    server: &Server,
    what: &str,
    is_so: impl Fn(&v1::ListFindingsResponse) -> bool,
) -> v1::ListFindingsResponse {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let found = list(server).await;
        if is_so(&found) {
            return found;
        }
        assert!(Instant::now() < until, "not in a minute: {what}: {found:?}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn found_at(server: &Server, watermark: u64) -> v1::ListFindingsResponse {
    found(server, "findings of all that was lodged", |found| found.watermark >= watermark).await
}

/// The finding of an actor that raises a flag.
fn flagged<'a>(found: &'a v1::ListFindingsResponse, id: &str, flag: &str) -> &'a v1::ActorFinding {
    let is = |finding: &&v1::ActorFinding| {
        finding.flag == flag && finding.actor.as_ref().unwrap().id == id
    };
    found.findings.iter().find(is).unwrap()
}

/// Numerator and denominator.
fn numbers(finding: &v1::ActorFinding) -> (u64, u64) {
    let figure = finding.figure.as_ref().unwrap();
    (figure.numerator, figure.denominator)
}

/// The files of findings that count, and how far they are, by name. For a moment after a round what it took the place
/// of is still there, and a kill may leave it.
fn files(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let root = data.join("insight");
    let paths = std::fs::read_dir(root.join("days")).unwrap().map(|entry| entry.unwrap().path());
    // By day, and then by the last record: the newest of a day stays.
    let day = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap()[..10].to_owned();
    let sorted: BTreeSet<PathBuf> = paths.collect();
    let newest: BTreeMap<_, _> = sorted.into_iter().map(|path| (day(&path), path)).collect();
    let read = |path: PathBuf| (path.clone(), std::fs::read(path).unwrap());
    newest.into_values().chain([root.join("state")]).map(read).collect()
}

/// Whether it is sound, and what is told of findings.
fn verified(data: &Path) -> (bool, String) {
    let output = waag(&["verify", "--memory-max", "256MiB", "--data-dir", data.to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    let line = told.lines().find(|line| line.starts_with("findings"));
    (output.status.success(), line.unwrap_or_default().to_owned())
}

fn rebuilt(data: &Path) -> String {
    let told =
        waag_ok(&["rebuild", "--memory-max", "256MiB", "--data-dir", data.to_str().unwrap()]);
    told.lines().find(|line| line.starts_with("findings")).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_is_planted_is_found_with_mrns_and_is_the_same_after_a_kill_a_loss_and_a_rebuild() {
    let (_outer, data) = folder();
    let settings = settings();
    let server = start(&data, &settings);
    let (_, mrns) = lodge_planted(&server).await;
    // What is lodged again is counted once, and what is rejected is not.
    lodge(&server, batch("own, again", planted()[0].declarations.clone())).await;
    let dear = vec![parcel("DEAR", "A. Bakker", "074-00000011", 15_001)];
    let watermark = lodge(&server, batch("dear", dear)).await.watermark;
    let first = found_at(&server, watermark).await;
    assert!(!first.stalled && first.next_page_token.is_empty());

    let twice = flagged(&first, OWN, DUPLICATE);
    assert_eq!((twice.day.as_str(), numbers(twice), twice.notable), ("2026-11-05", (1, 4), true));
    let figure = twice.figure.as_ref().unwrap();
    assert_eq!((&figure.name[..], figure.value), ("duplicate_transport_document_rate", 0.25));
    assert!(figure.lower.unwrap() > 0.0 && figure.upper.unwrap() < 1.0, "{figure:?}");
    let named = |finding: &v1::ActorFinding| {
        let mrns = finding.examples.iter().map(|e| (e.declarant.clone(), e.mrn.clone(), e.group));
        mrns.collect::<Vec<_>>()
    };
    let example = |lrn: &str| (OWN.to_owned(), mrns[lrn].clone(), 1);
    // The later one of the two.
    assert_eq!(named(twice), [example("DOCUMENT-2")]);
    let split = flagged(&first, OWN, SPLIT);
    assert_eq!((numbers(split), split.notable), ((2, 4), true));
    assert_eq!(named(split), [example("HALF-1"), example("HALF-2")]);
    for flag in [DUPLICATE, SPLIT] {
        let honest = flagged(&first, OTHER, flag);
        assert_eq!((numbers(honest), honest.notable), ((0, 10), false), "{flag}");
        assert!(honest.examples.is_empty(), "{flag}");
    }
    let shown = waag_ok(&["findings", "--from", &server.url()]);
    assert!(shown.contains(&mrns["DOCUMENT-2"]) && shown.contains(&mrns["HALF-1"]), "{shown}");
    assert!(!shown.contains(OTHER), "{shown}");

    // At once, and not only once they are made again.
    server.kill();
    let server = start(&data, &settings);
    assert_eq!(list(&server).await, first);
    server.kill();
    let whole = files(&data);
    let told = format!("1 days, of the first {} records, whole", first.watermark);
    let (is_sound, line) = verified(&data);
    assert!(is_sound && line.contains(&told), "{line}");

    // All of it is derived: a rebuild makes it, and so does a server by itself.
    std::fs::remove_dir_all(data.join("insight")).unwrap();
    assert!(rebuilt(&data).contains("made: 1 days"));
    assert!(files(&data) == whole, "a rebuild made others");
    assert!(rebuilt(&data).contains("the same bit for bit"));
    std::fs::remove_dir_all(data.join("insight")).unwrap();
    let server = start(&data, &settings);
    assert_eq!(found_at(&server, watermark).await, first);
    server.kill();
    assert!(files(&data) == whole, "a server made others");

    // Damage is told by name, and mended.
    let (day, bytes) = whole.iter().find(|(path, _)| !path.ends_with("state")).unwrap();
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    std::fs::write(day, flipped).unwrap();
    let server = start(&data, &settings);
    let status = try_list(&server).await.unwrap_err();
    let name = day.file_name().unwrap().to_str().unwrap();
    assert_eq!(status.code(), Code::DataLoss);
    assert!(status.message().contains(name), "{status}");
    server.kill();
    let (is_sound, line) = verified(&data);
    assert!(!is_sound && line.contains(name), "{line}");
    assert!(rebuilt(&data).contains("what stood there was wrong"));
    assert!(files(&data) == whole && verified(&data).0);
}

#[tokio::test]
async fn where_nothing_can_be_written_of_findings_that_is_told_and_lodging_goes_on() {
    let (_outer, data) = folder();
    let settings = settings();
    let server = start(&data, &settings);
    let (watermark, _) = lodge_planted(&server).await;
    let first = found_at(&server, watermark).await;
    let status = waag_ok(&["operate", "status", "--from", &server.url()]);
    assert!(status.contains(&format!("findings    of {} records\n", first.watermark)), "{status}");
    let metrics = http_get(&server.told("metrics address="));
    assert!(metrics.contains("\nwaag_findings_stalled 0\n"), "{metrics}");
    assert!(
        metrics.contains(&format!("\nwaag_findings_record {}\n", first.watermark)),
        "{metrics}"
    );

    let (keys, aside) = (data.join("insight/keys"), data.with_extension("aside"));
    std::fs::rename(&keys, &aside).unwrap();
    std::fs::write(&keys, "no folder").unwrap();
    let more = |name: &str| {
        let one = |n: u64| parcel(&format!("{name}-{n}"), "D. Mulder", &format!("{name}-{n}"), 999);
        batch(name, (0..10).map(one).collect())
    };
    lodge(&server, more("late")).await;
    let stalled = found(&server, "that findings are stalled is told", |found| found.stalled).await;
    // What was found is still there.
    assert_eq!((stalled.watermark, &stalled.findings), (first.watermark, &first.findings));
    let log = server.log();
    assert!(log.contains("findings do not come further") && log.contains("insight/keys"), "{log}");
    let metrics = http_get(&server.told("metrics address="));
    assert!(metrics.contains("\nwaag_findings_stalled 1\n"), "{metrics}");
    let status = waag_ok(&["operate", "status", "--from", &server.url()]);
    assert!(status.contains("they do not come further: see the log"), "{status}");
    let answer = lodge(&server, more("later")).await;
    assert!(answer.verdicts.iter().all(|verdict| verdict.outcome() == Outcome::Accepted));
    assert_eq!(server.stop().await, 0);

    // Nor does it keep a server from starting.
    let server = start(&data, &settings);
    assert!(list(&server).await.stalled);
    assert_eq!(lodge(&server, more("latest")).await.verdicts.len(), 10);
    assert_eq!(server.stop().await, 0);
    std::fs::remove_file(&keys).unwrap();
    std::fs::rename(&aside, &keys).unwrap();
    let server = start(&data, &settings);
    let watermark = lodge(&server, more("last")).await.watermark;
    let found = found_at(&server, watermark).await;
    assert_eq!((numbers(flagged(&found, OWN, DUPLICATE)), found.stalled), ((1, 44), false));
}

#[tokio::test]
async fn switched_off_there_are_none_and_nothing_is_left_of_them() {
    let (_outer, data) = folder();
    let settings = settings();
    let server = start(&data, &settings);
    let (watermark, _) = lodge_planted(&server).await;
    let first = found_at(&server, watermark).await;
    assert_eq!(server.stop().await, 0);
    let whole = files(&data);

    let off = format!("{settings}findings = false\n");
    let server = start(&data, &off);
    assert!(!data.join("insight").exists());
    let status = try_list(&server).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("findings in its settings"), "{status}");
    let shown = waag_ok(&["operate", "status", "--from", &server.url()]);
    assert!(shown.contains("findings    switched off"), "{shown}");
    let metrics = http_get(&server.told("metrics address="));
    assert!(!metrics.contains("waag_findings"), "{metrics}");
    assert_eq!(server.stop().await, 0);
    assert_eq!(verified(&data), (true, String::new()));
    let config = data.with_extension("toml");
    let args =
        ["rebuild", "--config", config.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    let told = waag_ok(&args);
    assert!(!told.lines().any(|line| line.starts_with("findings")), "{told}");
    assert!(!data.join("insight").exists());

    // Switched on again all is found that is kept.
    let server = start(&data, &settings);
    assert_eq!(found_at(&server, watermark).await, first);
    server.kill();
    assert!(files(&data) == whole);
}

/// Names of all files under a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| match path.is_dir() {
        true => names(&path),
        false => vec![path.file_name().unwrap().to_str().unwrap().to_owned()],
    };
    entries.flat_map(of).collect()
}

#[tokio::test]
async fn days_past_their_retention_are_listed_no_more_and_no_file_of_them_is_left() {
    let (_outer, data) = folder();
    let settings = format!("{}retention_days = 1\n", settings());
    let on = |day: &str| {
        let clock = format!("{day}T12:00");
        Start { settings: &settings, clock: &clock, ..Start::at(&data, CLOCK) }.run()
    };
    let has = |found: &v1::ListFindingsResponse, day: &str| {
        found.findings.iter().any(|finding| finding.day == day)
    };
    let server = on("2026-11-05");
    let (watermark, _) = lodge_planted(&server).await;
    assert!(has(&found_at(&server, watermark).await, "2026-11-05"));
    assert_eq!(server.stop().await, 0);
    let server = on("2026-11-06");
    // The document of the day before.
    let again = vec![parcel("AGAIN", "E. Vos", "074-00000011", 999)];
    let watermark = lodge(&server, batch("again", again)).await.watermark;
    let both = found_at(&server, watermark).await;
    assert!(has(&both, "2026-11-05") && has(&both, "2026-11-06"), "{both:?}");
    let of_second =
        |finding: &&v1::ActorFinding| finding.flag == DUPLICATE && finding.day == "2026-11-06";
    assert_eq!(numbers(both.findings.iter().find(of_second).unwrap()), (1, 1));
    assert_eq!(server.stop().await, 0);

    let server = on("2026-11-07");
    let late = vec![parcel("LATE", "F. Dijk", "074-00000044", 999)];
    let watermark = lodge(&server, batch("late", late)).await.watermark;
    let is_gone = |found: &v1::ListFindingsResponse| {
        found.watermark >= watermark && !has(found, "2026-11-05")
    };
    let now = found(&server, "the first day is listed no more", is_gone).await;
    assert!(has(&now, "2026-11-07"), "{now:?}");
    let insight = data.join("insight");
    common::wait_until("no file of the first day is left", || {
        !names(&insight).iter().any(|name| name.starts_with("2026-11-05"))
    });
    server.kill();
    let server = on("2026-11-07");
    assert_eq!(list(&server).await.findings, now.findings);
    server.kill();
    let (is_sound, line) = verified(&data);
    assert!(is_sound && line.contains("2 days"), "{line}");
    assert!(rebuilt(&data).contains("the same bit for bit"));
    assert!(!names(&insight).iter().any(|name| name.starts_with("2026-11-05")));
    let server = on("2026-11-07");
    assert_eq!(list(&server).await.findings, now.findings);
}
