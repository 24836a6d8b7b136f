//! What is restored is what was backed up; and what is restored in part is no data folder.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{backup, restore, restoring};
use super::{DAY, lodged};
use crate::config::Config;
use crate::disk::paced::{PacedDisk, Turns};
use crate::disk::simulated::Fault;
use crate::disk::{LocalDisk, SimulatedDisk};
use crate::ingest::clock::Clock;
use crate::ingest::engine::{Engine, StartError, folders};
use crate::ingest::inspect::verify;
use crate::ingest::options;
use crate::ingest::tests::config;
use crate::rules::Law;

const SEGMENT: &str = "journal/00000000000000000001.segment";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_is_restored_is_what_was_backed_up() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    lodged(&at("data")).await;
    std::fs::write(at("data/notes.txt"), "not ours").unwrap();
    let mut told = Vec::new();
    let taken = backup(&at("data"), &at("to"), &mut |progress| told.push(progress)).unwrap();
    assert_eq!(taken.left_out, ["notes.txt"]);
    assert!(told.is_sorted_by_key(|progress| progress.bytes), "{told:?}");
    assert!(told.iter().all(|progress| progress.bytes <= progress.of));
    let mut told = Vec::new();
    let restored = restore(&at("to"), &at("new"), &mut |progress| told.push(progress)).unwrap();
    assert!(told.last().is_some_and(|last| last.bytes == last.of), "{told:?}");
    assert_eq!((restored.records, restored.files), (taken.records, taken.files));

    // Keys are readable by their owner only, in both.
    assert_eq!(mode(&at("to")), 0o700);
    for folder in ["data", "to", "new"] {
        let segment = at(folder).join(SEGMENT);
        assert_eq!(mode(&segment) & 0o007, 0, "{}", segment.display());
    }
    for key in ["to/secrets/keys-1", "new/secrets/keys-1", "new/secrets/keys-2"] {
        assert_eq!(mode(&at(key)), 0o600, "{key}");
        assert_eq!(
            std::fs::read(at(key)).unwrap(),
            std::fs::read(at("data/secrets/keys-1")).unwrap()
        );
    }
    assert!(!restoring(&at("new")).exists() && !at("new/catalog").exists());
    let [before, after] = ["data", "new"].map(|data| verify(&config(&at(data))).unwrap());
    assert!(before.is_sound() && after.is_sound(), "{after:?}");
    assert_eq!(after.records, taken.records);
    assert_eq!(after.summaries_digest, before.summaries_digest);
}

#[tokio::test]
async fn a_key_file_that_is_damaged_is_whole_in_the_backup() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    lodged(&at("data")).await;
    let whole = std::fs::read(at("data/secrets/keys-2")).unwrap();
    std::fs::write(at("data/secrets/keys-1"), "damaged").unwrap();
    backup(&at("data"), &at("to"), &mut |_| {}).unwrap();
    restore(&at("to"), &at("new"), &mut |_| {}).unwrap();
    for key in ["new/secrets/keys-1", "new/secrets/keys-2"] {
        assert_eq!(std::fs::read(at(key)).unwrap(), whole);
    }
}

#[tokio::test]
async fn nothing_is_there_after_a_power_cut_unless_a_list_of_rules_is() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    lodged(&at("data")).await;
    backup(&at("data"), &at("to"), &mut |_| {}).unwrap();
    let restore_to = |disk: &SimulatedDisk, data: &Path| {
        super::restore((&LocalDisk::new(), &at("to")), Some((Arc::new(disk.clone()), data)))
    };
    let whole = SimulatedDisk::new(0, u64::MAX);
    restore_to(&whole, &at("whole")).unwrap();
    let (mut nothing, mut with_list) = (0, 0);
    for call in 0..whole.calls() {
        let (disk, data) = (SimulatedDisk::new(call, u64::MAX), at(&call.to_string()));
        disk.fault_at(call, Fault::PowerCut);
        restore_to(&disk, &data).unwrap_err();
        disk.crash();
        let rules = data.join(folders::RULES);
        let is_list = |path: &PathBuf| {
            path.starts_with(&rules) && path.extension().is_some_and(|end| end == "list")
        };
        let (lists, others): (Vec<_>, Vec<_>) = disk.paths().into_iter().partition(is_list);
        assert!(!lists.is_empty() || others.is_empty(), "call {call}: {others:?}");
        // Keys and the like go to real files here.
        let has_keys = data.join(folders::SECRETS).exists();
        assert!(!lists.is_empty() || !has_keys, "call {call}: keys");
        nothing += u64::from(lists.is_empty());
        with_list += u64::from(!lists.is_empty());
    }
    assert!(nothing > 3 && with_list > 20, "{nothing} {with_list}");
}

fn try_start(config: &Config) -> Result<Arc<Engine>, StartError> {
    let calendar = options::calendar(config).unwrap();
    let clock = Clock::starting_at(calendar.parse(&format!("{DAY}T18:00")).unwrap());
    Engine::start(config, Law::load(None).unwrap(), clock).map(|(engine, _)| engine)
}

#[tokio::test]
async fn a_server_does_not_start_on_what_is_restored_in_part() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    lodged(&at("data")).await;
    backup(&at("data"), &at("to"), &mut |_| {}).unwrap();
    let mut refused = 0;
    for calls in (1..).step_by(9) {
        let data = at(&calls.to_string());
        let turns = Arc::new(Turns::default());
        let disk = PacedDisk {
            disk: Arc::new(LocalDisk::new()),
            turns: Arc::clone(&turns),
            elsewhere: None,
        };
        let is_whole = std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let _paced = turns.paced();
                let to = Some((Arc::new(disk) as _, &*data));
                super::restore((&LocalDisk::new(), &at("to")), to).is_ok()
            });
            turns.give(calls);
            turns.cut();
            writing.join().unwrap()
        });
        if is_whole {
            try_start(&config(&data)).unwrap().stop();
            break;
        }
        // Before that there is nothing at all.
        let has_file = std::fs::read_dir(data.join("rules")).is_ok_and(|files| files.count() > 0);
        if has_file {
            // There is one segment; once that has its place, all is there.
            let is_placed = data.join(SEGMENT).exists();
            match try_start(&config(&data)) {
                Ok(engine) => {
                    engine.stop();
                    assert!(is_placed, "{calls} calls");
                }
                Err(error) => {
                    let is_expected = matches!(error, StartError::NoJournal { .. });
                    assert!(is_expected && !is_placed, "{calls} calls: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 5, "{refused}");
}
