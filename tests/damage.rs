//! Damage is told with its place and never served; what is derived costs a rebuild and no more.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod common;

use std::path::{Path, PathBuf};

use common::{CLOCK, SETTINGS, Server, Start, batch, copy, declaration, folder, summary, waag};
use waag::proto::v1::{self, SubmitBatchResponse};

/// Lodges a few batches, a rejection and a replay among them; gives the last answer.
async fn lodge(server: &Server) -> SubmitBatchResponse {
    let mut client = server.lodgement().await;
    let mut last = None;
    for n in 0..6 {
        let mut bad = declaration(&format!("BAD{n}"));
        bad.goods_items[0].hs6 = "771000".into();
        let all = vec![declaration(&format!("A{n}")), bad, declaration("A0")];
        last = Some(client.submit_batch(batch("b", all)).await.unwrap().into_inner());
    }
    last.unwrap()
}

fn verify(data: &Path) -> Result<String, String> {
    let output = waag(&["verify", "--memory-max", "256MiB", "--data-dir", data.to_str().unwrap()]);
    let (told, log) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if output.status.success() { Ok(told) } else { Err(told + &log) }
}

/// Without the audit log, which each start makes longer.
fn verify_all_else(data: &Path) -> String {
    let told = verify(data).unwrap();
    told.lines()
        .filter(|line| !line.starts_with("audit "))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn segment(data: &Path) -> PathBuf {
    let entries = std::fs::read_dir(data.join("journal")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "segment"));
    paths.sort();
    paths.remove(0)
}

/// Bytes of the segment up to its last byte that is not 0: what the journal wrote.
fn written(path: &Path) -> usize {
    let content = std::fs::read(path).unwrap();
    let used = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    used.next_multiple_of(4096)
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_told_with_its_place_and_the_server_does_not_start() {
    for ends_cleanly in [true, false] {
        let (_outer, data) = folder();
        let server = Start::at(&data, CLOCK).run();
        lodge(&server).await;
        // Killed at once, as a rule before the first checkpoint: nothing is wrong with that.
        if ends_cleanly {
            assert_eq!(server.stop().await, 0);
        } else {
            server.kill();
        }
        verify(&data).unwrap();
        let path = segment(&data);
        let whole = std::fs::read(&path).unwrap();
        let length = written(&path);
        // Every part of every page, headers most of all; the journal's own tests go through every
        // header bit.
        let places = (0..length).step_by(1531).chain((0..length).step_by(4096)).chain([length - 1]);
        for (n, place) in places.enumerate() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << (n % 8);
            std::fs::write(&path, &damaged).unwrap();
            let told = verify(&data).unwrap_err();
            let page = place / 4096 * 4096;
            assert!(told.contains("DAMAGED"), "byte {place}: {told}");
            assert!(told.contains(&format!("at byte {page}")), "byte {place}: {told}");
            if n % 40 == 0 {
                let log = Start::at(&data, CLOCK).try_run().err().expect("damage is refused");
                assert!(log.contains(&format!("at byte {page}")), "byte {place}: {log}");
            }
        }
        std::fs::write(&path, &whole).unwrap();
        verify(&data).unwrap();
    }
}

#[tokio::test]
async fn a_catalog_deleted_or_damaged_costs_a_rebuild_and_nothing_else() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let last = lodge(&server).await;
    let before = summary(&server, "NL810000003", last.watermark).await;
    assert_eq!(server.stop().await, 0);
    let sound = verify_all_else(&data);
    let catalog = data.join("catalog");
    let database = catalog.join("db");
    let whole = data.with_file_name("whole");
    copy(&catalog, &whole);

    let damages: [&dyn Fn(); 4] = [
        &|| std::fs::remove_dir_all(&catalog).unwrap(),
        &|| std::fs::write(&database, b"rubbish").unwrap(),
        &|| {
            let mut content = std::fs::read(&database).unwrap();
            content.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x55);
            std::fs::write(&database, content).unwrap();
        },
        &|| {
            let content = std::fs::read(&database).unwrap();
            std::fs::write(&database, &content[..content.len() / 2]).unwrap();
        },
    ];
    for (n, damage) in damages.iter().enumerate() {
        damage();
        let server = Start::at(&data, CLOCK).run();
        let after = summary(&server, "NL810000003", last.watermark).await;
        assert_eq!(after, before, "damage {n}");
        assert_eq!(server.stop().await, 0);
        assert_eq!(verify_all_else(&data), sound, "damage {n}");
    }

    // By hand: the same, bit for bit.
    let data_dir = data.to_str().unwrap();
    let told = common::waag_ok(&["rebuild", "--memory-max", "256MiB", "--data-dir", data_dir]);
    assert!(told.contains("the same bit for bit"), "{told}");
    // A catalog that is whole, but another's or an older one with other figures, is told by verify.
    assert_eq!(verify_all_else(&data), sound);
}

#[tokio::test]
async fn a_closed_day_that_is_damaged_is_told_never_served_and_made_again() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    lodge(&server).await;
    assert_eq!(server.stop().await, 0);
    // Three days later the first one closes: at the first checkpoint after a batch has come.
    let server = Start::at(&data, "2026-11-08T12:00").run();
    let later = server.lodgement().await.submit_batch(batch("b", vec![declaration("LATER")])).await;
    let before = summary(&server, "NL810000003", later.unwrap().into_inner().watermark).await;
    let file = data.join("archive/summary/day=2026-11-05/summary-1.waag");
    common::wait_until("the day is closed", || file.exists());
    assert_eq!(server.stop().await, 0);
    let sound = verify_all_else(&data);

    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let server = Start::at(&data, "2026-11-08T12:00").run();
    let read = |period| {
        let actor = v1::Actor { role: v1::ActorRole::Declarant.into(), id: "NL810000003".into() };
        let request =
            v1::GetActorSummaryRequest { actor: Some(actor), period, ..Default::default() };
        async { server.compliance().await.get_actor_summary(request).await }
    };
    let on = |day: &str| Some(v1::Period { first_day: day.into(), last_day: day.into() });
    for period in [None, on("2026-11-05")] {
        let status = read(period).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::DataLoss, "{status}");
        assert!(status.message().contains("day=2026-11-05/summary-1.waag"), "{status}");
    }
    let whole_day = read(on("2026-11-08")).await.unwrap().into_inner().summary.unwrap();
    assert_eq!(whole_day.accepted, 1);
    assert_eq!(server.stop().await, 0);

    let data_dir = data.to_str().unwrap();
    let output = waag(&["verify", "--memory-max", "256MiB", "--data-dir", data_dir]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    let of = |part: &str| told.lines().find(|line| line.starts_with(part)).unwrap_or_default();
    assert!(of("archive").contains("DAMAGED"), "{told}");
    assert!(of("archive").contains(file.to_str().unwrap()), "{told}");
    assert!(of("journal").contains("sound"), "the journal was looked at all the same: {told}");

    let told = common::waag_ok(&["rebuild", "--memory-max", "256MiB", "--data-dir", data_dir]);
    assert!(told.contains("what stood there was unusable"), "{told}");
    assert!(std::fs::read(&file).unwrap() == whole, "not the same bit for bit");
    assert_eq!(verify_all_else(&data), sound);
    let server = Start::at(&data, "2026-11-08T12:00").run();
    assert_eq!(summary(&server, "NL810000003", before.watermark).await, before);
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn a_second_server_and_a_rebuild_beside_a_live_one_are_refused() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    lodge(&server).await;
    let log = Start::at(&data, CLOCK).try_run().err().expect("the folder is locked");
    assert!(log.contains("in use by another process"), "{log}");
    let data_dir = data.to_str().unwrap();
    for command in ["rebuild", "verify"] {
        let output = waag(&[command, "--data-dir", data_dir]);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("in use"), "{output:?}");
    }
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn a_journal_that_is_missing_is_told_and_no_mrn_is_given_twice() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    lodge(&server).await;
    assert_eq!(server.stop().await, 0);
    // With the catalog, which would notice, and with everything else still there.
    std::fs::remove_dir_all(data.join("catalog")).unwrap();
    std::fs::rename(data.join("journal"), data.join("away")).unwrap();
    assert!(verify(&data).unwrap_err().contains("the journal is missing"));
    let log = Start::at(&data, CLOCK).try_run().err().expect("a lost journal is refused");
    assert!(log.contains("the journal is missing"), "{log}");
    std::fs::remove_dir(data.join("journal")).unwrap();
    std::fs::rename(data.join("away"), data.join("journal")).unwrap();
    let server = Start::at(&data, CLOCK).run();
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn a_clock_behind_the_journal_is_refused() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    lodge(&server).await;
    assert_eq!(server.stop().await, 0);
    let settings = SETTINGS.replace("clock_behind_s_max = 60000", "clock_behind_s_max = 3600");
    let start = |clock| Start { settings: &settings, ..Start::at(&data, clock) };
    let log = start("2026-11-05T10:30").try_run().err().expect("it is behind");
    assert!(log.contains("before the newest record"), "{log}");
    start("2026-11-05T11:30").run();
}

#[tokio::test]
async fn secrets_that_are_lost_are_told_and_one_file_is_mended_from_the_other() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let first = lodge(&server).await;
    assert_eq!(server.stop().await, 0);
    let secrets = data.join("secrets");
    std::fs::write(secrets.join("keys-1"), b"rubbish").unwrap();
    assert!(verify(&data).unwrap_err().contains("keys-1"));
    let server = Start::at(&data, CLOCK).run();
    let again = lodge(&server).await;
    assert_eq!(again.verdicts[2].mrn, first.verdicts[2].mrn);
    assert_eq!(server.stop().await, 0);
    verify(&data).unwrap();
    std::fs::remove_dir_all(&secrets).unwrap();
    let log = Start::at(&data, CLOCK).try_run().err().expect("the keys are gone");
    assert!(log.contains("restore the folder from a backup"), "{log}");
}

#[tokio::test]
async fn a_changed_line_of_the_audit_log_is_told_by_verify() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    lodge(&server).await;
    assert_eq!(server.stop().await, 0);
    // That it started, and that it stopped.
    let told = verify(&data).unwrap();
    assert!(told.contains("audit   sound    2 entries, every hash right"), "{told}");
    let mut months = std::fs::read_dir(data.join("audit")).unwrap();
    let month = months.next().unwrap().unwrap().path();
    let log = std::fs::read_to_string(&month).unwrap();
    // A line that was being written is nothing that anyone rests on.
    std::fs::write(&month, format!("{log}{{\"n\":3,")).unwrap();
    assert!(verify(&data).unwrap().contains("was not completely written"));
    std::fs::write(&month, log.replacen("start", "begin", 1)).unwrap();
    let told = verify(&data).unwrap_err();
    assert!(told.contains("audit   DAMAGED"), "{told}");
    assert!(told.contains(&format!("{}, line 2", month.display())), "{told}");
    assert!(told.contains("journal sound"), "the rest is looked at: {told}");
}
