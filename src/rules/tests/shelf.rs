#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
//! What is kept comes back, and what was changed is found out.

use super::*;

fn other_law() -> Law {
    let law = Law::load(None).unwrap();
    let mut files: BTreeMap<String, Vec<u8>> =
        law.files().iter().map(|(name, bytes)| (name.clone(), bytes.to_vec())).collect();
    files.get_mut("stop_words.csv").unwrap().push(b'\n');
    Law::from_files(files).unwrap()
}

#[test]
fn a_law_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    let (law, other) = (Law::load(None).unwrap(), other_law());
    shelf.keep(&law).unwrap();
    shelf.keep(&other).unwrap();
    shelf.keep(&law).unwrap();
    for law in [&law, &other] {
        let back = shelf.load(law.rules_hash(), law.reference_hash()).unwrap();
        assert_eq!(back.files(), law.files());
        assert_eq!(back.rules_hash(), law.rules_hash());
    }
    let report = shelf.verify().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.lists, 3, "two sets of rules, one of reference data");
    let mut hashes: Vec<_> = law.files().values().map(|bytes| hash_of(bytes)).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(report.files, hashes.len() + 1);
    assert!(shelf.load([0; 32], law.reference_hash()).is_err());
}

#[test]
fn damage_is_found_and_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    let law = Law::load(None).unwrap();
    shelf.keep(&law).unwrap();
    let path = folder.path().join(hash_of(&law.files()["rates.csv"]));
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = shelf.load(law.rules_hash(), law.reference_hash()).unwrap_err();
    assert!(matches!(error, LawError::Damaged { .. }), "{error}");
    assert!(shelf.keep(&law).is_err());
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // The file, and the list that names it.
    assert_eq!(shelf.verify().unwrap().problems.len(), 2);
    fs::remove_file(&path).unwrap();
    assert_eq!(shelf.verify().unwrap().problems.len(), 1);
    shelf.keep(&law).unwrap();
    assert!(shelf.verify().unwrap().problems.is_empty());
}

#[test]
fn a_changed_list_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    let law = Law::load(None).unwrap();
    shelf.keep(&law).unwrap();
    let path = folder.path().join(list_name("rules", &law.rules_hash()));
    let list = fs::read_to_string(&path).unwrap();
    let shorter: Vec<&str> = list.lines().skip(1).collect();
    fs::write(&path, shorter.join("\n")).unwrap();
    assert!(shelf.load(law.rules_hash(), law.reference_hash()).is_err());
    assert_eq!(shelf.verify().unwrap().problems.len(), 1);
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    fs::write(folder.path().join(".part"), "x").unwrap();
    assert_eq!(shelf.verify().unwrap().problems.len(), 2);
}

#[test]
fn a_call_that_fails_is_told_by_name_and_what_is_kept_stays_whole() {
    use crate::disk::plain::faults::at_each_call;
    // A law of which some files are there already: few calls, and each of its kinds.
    let (law, other) = (Law::load(None).unwrap(), other_law());
    let failed = at_each_call(|fault| {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        shelf.keep(&law).unwrap();
        let (kept, was_met) = fault.during(|| Shelf::open(folder.path())?.keep(&other));
        assert_eq!(kept.is_err(), was_met);
        if let Err(error) = kept {
            let told = error.to_string();
            assert!(told.contains(folder.path().to_str().unwrap()), "{told}");
        }
        // Nothing that the lists name is missing, at any time.
        assert_eq!(shelf.verify().unwrap().problems, Vec::<String>::new());
        shelf.load(law.rules_hash(), law.reference_hash()).unwrap();
        shelf.keep(&other).unwrap();
        let back = shelf.load(other.rules_hash(), other.reference_hash()).unwrap();
        assert_eq!(back.files(), other.files());
    });
    // The folder, a file, a list, and the folder synced after either.
    assert_eq!(failed, 2 * (1 + 4 + 1 + 4 + 1));
}
