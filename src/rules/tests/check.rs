#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
//! Checking and exporting folders.

use super::*;

#[test]
fn what_is_exported_checks_as_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let written = export(folder.path()).unwrap();
    assert!(written.iter().all(|path| path.is_file()));
    let checked = check(folder.path()).unwrap();
    assert_eq!(checked.files.len() + 1, written.len(), "all, and README.md");
    assert!(checked.files.iter().all(|file| file.origin == Origin::Same));
    let law = Law::load(None).unwrap();
    assert_eq!(checked.rules_hash, super::super::shelf::hex(&law.rules_hash()));
    assert_eq!(checked.rule_sets.len(), 3);
    assert_eq!(checked.rule_sets[0].to.as_deref(), Some("2026-06-30"));
    assert_eq!(checked.rule_sets[2].to, None);
    assert_eq!(checked.rates, Some(("2021-07".to_owned(), "2026-11".to_owned())));
    let nomenclature = checked.files.iter().find(|file| file.name == "nomenclature.csv").unwrap();
    assert_eq!((nomenclature.rows, nomenclature.reference), (5_612, true));
    // Again, over itself: nothing to do.
    assert!(export(folder.path()).is_ok());
}

#[test]
fn edited_files_are_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("presenters.csv");
    std::fs::write(&path, "eori,name,valid_from,valid_to,legal_ref\n\n").unwrap();
    let error = export(folder.path()).unwrap_err().to_string();
    assert!(error.contains("presenters.csv") && error.contains("already"), "{error}");
    assert!(!folder.path().join("rates.csv").exists(), "nothing is written");
    let checked = check(folder.path()).unwrap();
    let origin = |name: &str| checked.files.iter().find(|file| file.name == name).unwrap().origin;
    assert_eq!(origin("presenters.csv"), Origin::Replaced);
    assert_eq!(origin("rates.csv"), Origin::BuiltIn);
    let shown = checked.to_string();
    assert!(shown.contains("replaces built in"), "{shown}");
    assert!(shown.contains("rule set from 2026-11-01 until further notice"), "{shown}");
}
