//! What is not backed up, and what is not restored: each is told by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{BackupError, MANIFEST, PlaceError, RestoreError, backup, restore};
use super::lodged;
use crate::disk::{LocalDisk, SimulatedDisk};
use crate::secrets::Secrets;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn told(error: BackupError) -> String {
    error.to_string()
}

fn back_up(data: &Path, to: &Path) -> Result<super::super::Backup, BackupError> {
    backup(data, to, &mut |_| {})
}

#[tokio::test]
async fn a_folder_that_is_not_empty_or_lies_within_is_refused_and_left_alone() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    let data = at("data");
    let error = told(back_up(&at("nothing"), &at("to")).unwrap_err());
    assert!(error.contains("no data folder"), "{error}");
    lodged(&data).await;
    let before = files(&data);
    for inside in ["data", "data/backup", "data/journal/x"] {
        let error = back_up(&data, &at(inside)).unwrap_err();
        assert!(matches!(error, BackupError::Place(PlaceError::Inside { .. })), "{error}");
    }
    std::fs::create_dir(at("other")).unwrap();
    std::fs::write(at("other/file"), "").unwrap();
    for (to, found) in [("other", "something else"), ("to", "a whole backup")] {
        if to == "to" {
            back_up(&data, &at(to)).unwrap();
        }
        let held = files(&at(to));
        let error = told(back_up(&data, &at(to)).unwrap_err());
        assert!(error.contains(found), "{error}");
        assert_eq!(files(&at(to)), held);
    }
    for into in ["other", "to", "to/new"] {
        let error = restore(&at("to"), &at(into), &mut |_| {}).unwrap_err();
        let is_refused = match into {
            "other" => matches!(error, RestoreError::Place(PlaceError::NotEmpty { .. })),
            _ => matches!(error, RestoreError::Place(PlaceError::Inside { .. })),
        };
        assert!(is_refused, "{into}: {error}");
    }
    std::fs::remove_file(at("to").join(MANIFEST)).unwrap();
    let error = told(back_up(&data, &at("to")).unwrap_err());
    assert!(error.contains("interrupted"), "{error}");
    let error = restore(&at("to"), &at("new"), &mut |_| {}).unwrap_err();
    assert!(matches!(error, RestoreError::NoBackup { .. }), "{error}");
    assert!(!at("new").exists());
    std::fs::remove_dir_all(data.join("journal")).unwrap();
    let error = told(back_up(&data, &at("again")).unwrap_err());
    assert!(error.contains("the journal is missing"), "{error}");
    assert_eq!(before.len(), files(&data).len() + 1, "nothing else was changed");
}

#[tokio::test]
async fn too_little_space_is_told_with_what_is_needed() {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("data");
    lodged(&data).await;
    let (secrets, _) = Secrets::check(&data.join("secrets")).unwrap();
    let to = |capacity| {
        let from = (Arc::new(LocalDisk::new()) as _, &*data, secrets.identity());
        let to = SimulatedDisk::new(1, capacity);
        super::back_up(from, (Arc::new(to), Path::new("backup")))
    };
    let whole = to(u64::MAX).unwrap();
    // One segment of 8 MiB is most of it.
    assert!(whole.bytes() >= 8 << 20);
    match to(5_000_000).unwrap_err() {
        BackupError::Place(PlaceError::NoSpace { needed, free, .. }) => {
            assert_eq!((needed, free), (whole.bytes(), 5_000_000));
        }
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_damaged_backup_is_refused_by_the_name_of_the_file() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    lodged(&at("data")).await;
    back_up(&at("data"), &at("to")).unwrap();
    let refused = |path: &Path, what: &str| {
        let error = restore(&at("to"), &at("new"), &mut |_| {}).unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, RestoreError::Damaged { .. }), "{told}");
        assert!(told.contains(path.to_str().unwrap()) && told.contains(what), "{told}");
        assert!(!at("new").exists(), "nothing is written before all is checked");
    };
    let all = files(&at("to"));
    assert!(all.len() > 10, "{all:?}");
    for path in all.iter().filter(|path| !path.ends_with(MANIFEST)) {
        let content = std::fs::read(path).unwrap();
        let mut flipped = content.clone();
        let place = content.len() * 2 / 3;
        flipped[place] ^= 1;
        std::fs::write(path, flipped).unwrap();
        refused(path, "check fails");
        std::fs::write(path, &content[1..]).unwrap();
        refused(path, "bytes");
        std::fs::remove_file(path).unwrap();
        refused(path, "missing");
        std::fs::write(path, content).unwrap();
    }
    restore(&at("to"), &at("new"), &mut |_| {}).unwrap();
}

#[tokio::test]
async fn a_damaged_data_folder_gives_no_backup() {
    let outer = tempfile::tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    lodged(&at("data")).await;
    let segment = files(&at("data/journal")).remove(0);
    let rule = files(&at("data/rules")).remove(0);
    let log = files(&at("data/audit")).remove(0);
    let tokens = at("data/identity/tokens.toml");
    // Of the tokens the first bracket, of the log something in the second entry.
    let places = [(segment, 5_000), (rule, 10), (tokens, 0), (log, 300)];
    for (number, (path, place)) in places.into_iter().enumerate() {
        let content = std::fs::read(&path).unwrap();
        let mut flipped = content.clone();
        flipped[place] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        let to = at(&number.to_string());
        let error = told(back_up(&at("data"), &to).unwrap_err());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(error.contains(name) && !error.contains(to.to_str().unwrap()), "{error}");
        assert!(!to.join(MANIFEST).exists());
        std::fs::write(&path, content).unwrap();
    }
    back_up(&at("data"), &at("whole")).unwrap();
}
