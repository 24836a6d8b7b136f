//! Tokens and the audit log: in a backup of a server that goes on recording, and restored.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::access::audit_log;
use super::super::moment::Source;
use super::super::target::Target;
use super::super::{backup, restore};
use super::lodged;
use crate::audit::check::{Head, files, read};
use crate::audit::log::{Log, append};
use crate::audit::{Entry, Event, FOLDER};
use crate::disk::LocalDisk;
use crate::identity::token;

/// All entries of the log of a data folder or a backup, every hash checked.
fn entries(folder: &Path) -> (Vec<Entry>, Head) {
    let mut entries = Vec::new();
    let (head, torn) = read(&folder.join(FOLDER), |entry, _| entries.push(entry.clone())).unwrap();
    assert_eq!(torn, None);
    (entries, head)
}

fn source(root: &Path) -> Source {
    Source { disk: Arc::new(LocalDisk::new()), root: root.to_owned(), identity: [0; 16] }
}

/// The copy of a log in a folder of its own.
fn copied(data: &Path, to: &Path) -> (Vec<Entry>, Head) {
    let mut target = Target::new(Arc::new(LocalDisk::new()), to);
    let head = audit_log(&source(data), &mut target).unwrap();
    let (entries, found) = entries(to);
    assert_eq!(found, head);
    let written: u64 = files(&to.join(FOLDER)).unwrap().iter().map(|path| bytes(path)).sum();
    assert_eq!(target.written().1, written);
    (entries, head)
}

fn bytes(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[tokio::test]
async fn tokens_and_the_audit_log_come_back_and_the_log_says_so() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    lodged(&at("data")).await;
    // As if a month had gone by.
    let first = files(&at("data/audit")).unwrap().remove(0);
    std::fs::rename(&first, first.with_file_name("2020-01.jsonl")).unwrap();
    std::fs::write(&first, "").unwrap();
    append(&at("data"), Event::of_server("test", "later")).unwrap();
    let (before, head) = entries(&at("data"));
    let taken = backup(&at("data"), &at("to"), &mut |_| {}).unwrap();
    assert_eq!(taken.audit_head.as_deref(), Some(&*head.to_string()));
    assert_eq!(taken.left_out, [""; 0]);
    assert_eq!(entries(&at("to")), (before.clone(), head));

    restore(&at("to"), &at("new"), &mut |_| {}).unwrap();
    let tokens = token::read(&token::path_in(&at("data"))).unwrap();
    assert_eq!(tokens.len(), 1);
    assert_eq!(token::read(&token::path_in(&at("new"))).unwrap(), tokens);
    let (mut after, _) = entries(&at("new"));
    let last = after.pop().unwrap();
    assert_eq!(after, before);
    let what = format!("from a backup of records 1 to {}", taken.records);
    assert_eq!((last.event.who.as_str(), last.event.action.as_str()), ("server", "restore"));
    assert!(last.event.target.contains(&what), "{last:?}");
    for folder in ["to", "new"] {
        for (name, mode) in [
            ("identity", 0o700),
            ("audit", 0o700),
            ("identity/tokens.toml", 0o600),
            ("audit/2020-01.jsonl", 0o600),
        ] {
            let permissions = at(folder).join(name).metadata().unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, mode, "{folder}/{name}");
        }
    }
    // A server goes on from there.
    Log::open(&at("new")).unwrap().record(Event::of_server("test", "on")).await.unwrap();
    assert_eq!(entries(&at("new")).1.n, head.n + 2);
}

#[tokio::test]
async fn a_data_folder_without_tokens_and_log_is_restored_with_a_log_that_begins() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    lodged(&at("data")).await;
    for folder in ["data/identity", "data/audit"] {
        std::fs::remove_dir_all(at(folder)).unwrap();
    }
    let taken = backup(&at("data"), &at("to"), &mut |_| {}).unwrap();
    assert_eq!(taken.audit_head, None);
    restore(&at("to"), &at("new"), &mut |_| {}).unwrap();
    assert_eq!(entries(&at("new")).1.n, 1);
    assert!(!at("new/identity").exists());
}

#[test]
fn what_is_being_written_of_an_entry_is_not_copied() {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for number in 0..3 {
        append(&data, Event::of_server("test", "x".repeat(400 * number))).unwrap();
    }
    let path = files(&data.join(FOLDER)).unwrap().remove(0);
    let whole = std::fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [0, 1, last - 1, last, last + 1, last + 100, whole.len() - 1, whole.len()] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let expected = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        let to = outer.path().join(cut.to_string());
        assert_eq!(copied(&data, &to).0.len(), expected, "cut at {cut}");
    }
    // No entry is as long: that is damage, and not the beginning of one.
    std::fs::write(&path, &whole).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&vec![b'x'; 100_000]).unwrap();
    let mut target = Target::new(Arc::new(LocalDisk::new()), &outer.path().join("long"));
    let error = audit_log(&source(&data), &mut target).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()) && error.contains("65536"), "{error}");
}

#[test]
fn copies_of_a_log_that_grows_have_what_was_on_disk_before() {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let (recorded, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (recorded, is_over, data) = (&recorded, &is_over, &data);
        scope.spawn(move || {
            let log = Log::open(data).unwrap();
            runtime.block_on(async {
                while !is_over.load(Ordering::Acquire) {
                    // Refusals go with them, which nobody waits for.
                    log.refused(Event { denied: "no".into(), ..Event::default() });
                    log.record(Event::of_server("test", "")).await.unwrap();
                    recorded.fetch_add(1, Ordering::Release);
                }
            });
        });
        for number in 0..30 {
            while recorded.load(Ordering::Acquire) < 10 * number {
                std::thread::yield_now();
            }
            let before = recorded.load(Ordering::Acquire);
            let (found, _) = copied(data, &outer.path().join(number.to_string()));
            let found = found.iter().filter(|entry| entry.event.action == "test").count();
            assert!(found as u64 >= before, "{found} of {before}");
        }
        is_over.store(true, Ordering::Release);
    });
}
