//! Versions follow one another, come back, and damage is told.

use super::*;
use crate::book::StoreError;
use crate::profiles::store::check;

#[test]
fn versions_follow_one_another_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let first = store.record(terms("one", "2026-11-01"), recorder("2026-11-01")).unwrap();
    assert_eq!((first.id.to_string(), first.newest.number), ("P1".into(), 1));
    // The same again is there already.
    let again = store.record(terms("one", "2026-11-01"), recorder("2026-11-01"));
    assert!(matches!(again, Err(RecordError::Named { other, .. }) if other == first.id));
    // The past is for trying.
    let late = store.record(terms("two", "2026-10-31"), recorder("2026-11-01"));
    assert!(
        matches!(&late, Err(RecordError::Wrong(wrong)) if wrong.field == "start_day"),
        "{late:?}"
    );
    let all = Terms {
        end: Some(day("2027-01-01")),
        conditions: Conditions {
            declarants: vec!["NL810000003".into()],
            ioss_numbers: vec!["IM5280000017".into()],
            exporter_countries: vec!["CN".into()],
            declaration_value: Range { min: Some(u64::MAX - 1), max: None },
            hs_prefixes: vec!["85".into(), "61".into()],
            origin_countries: vec!["TR".into()],
            item_value: Range { min: None, max: Some(7) },
            item_mass: Range { min: Some(0), max: Some(0) },
            description_patterns: vec!["\\b\"é\"".into()],
        },
        ..terms("one", "2026-11-05")
    };
    let second = store.change(first.id, 1, all.clone(), recorder("2026-11-02")).unwrap();
    assert_eq!((second.newest.number, second.earlier.len()), (2, 1));
    let late = store.change(first.id, 1, all.clone(), recorder("2026-11-02"));
    assert!(matches!(late, Err(RecordError::Replaced { newest: 2, replaces: 1, .. })));
    let third = store.record(terms("two", "2026-11-03"), recorder("2026-11-03")).unwrap();
    let taken = store.change(third.id, 1, terms("one", "2026-11-03"), recorder("2026-11-03"));
    assert!(matches!(taken, Err(RecordError::Named { .. })));
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let long = store.withdraw(third.id, 1, long, recorder("2026-11-09"));
    assert!(matches!(&long, Err(RecordError::Wrong(wrong)) if wrong.field == "reason"));
    let gone = store.withdraw(third.id, 1, "a mistake".into(), recorder("2026-11-09")).unwrap();
    assert_eq!(gone.state(day("2026-11-05")), State::Withdrawn);
    assert_eq!(gone.days(1), Some((day("2026-11-03"), day("2026-11-09"))));
    let more = store.withdraw(third.id, 2, String::new(), recorder("2026-11-09"));
    assert!(matches!(more, Err(RecordError::Withdrawn(_))));
    // Its name is free again.
    store.record(terms("two", "2026-11-09"), recorder("2026-11-09")).unwrap();
    let none = store.withdraw(ProfileId(9), 1, String::new(), recorder("2026-11-09"));
    assert!(matches!(none, Err(RecordError::Unknown(_))));

    let listed = store.list(None, |_| true);
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.list(None, |_| true), listed);
    assert_eq!(store.get(first.id).unwrap().newest.terms, all);
    assert_eq!(store.list(Some(first.id), |_| true).len(), 2);
    let found = check(&BOOK.path_in(folder.path())).unwrap();
    assert_eq!((found.things, found.versions, found.torn_bytes), (3, 5, 0));
    for text in ["", "P", "P0", "P01", "1", "p1", "P-1", "P4294967296"] {
        assert_eq!(ProfileId::parse(text), None, "{text}");
    }
}

#[test]
fn terms_are_within_their_bounds() {
    type Change = fn(&mut Terms);
    let wrong: [(&str, Change); 6] = [
        ("name", |t| t.name = "x".repeat(101)),
        ("name", |t| t.name = " ".into()),
        ("purpose", |t| t.purpose = String::new()),
        ("purpose", |t| t.purpose = "x".repeat(TEXT_BYTES_MAX + 1)),
        ("owner", |t| t.owner = String::new()),
        ("end_day", |t| t.end = Some(Day(t.start.0 - 1))),
    ];
    for (field, change) in wrong {
        let mut terms = terms("one", "2026-11-01");
        change(&mut terms);
        let error = terms.check_on(day("2026-11-01")).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }
    let one_day = Terms { end: Some(day("2026-11-01")), ..terms("one", "2026-11-01") };
    one_day.check_on(day("2026-11-01")).unwrap();
}

#[test]
fn of_those_who_change_one_at_a_time_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let id = store.record(terms("one", "2026-11-01"), recorder("2026-11-01")).unwrap().id;
    for version in 1..=10 {
        let change = || {
            store.change(id, version, terms("one", "2026-11-02"), recorder("2026-11-02")).is_ok()
        };
        let succeeded = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(change)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).filter(|ok| *ok).count()
        });
        assert_eq!(succeeded, 1, "version {version}");
    }
    drop(store);
    assert_eq!(Store::open(folder.path()).unwrap().get(id).unwrap().newest.number, 11);
}

#[test]
fn there_are_only_so_many() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for n in 0..200 {
        store.record(terms(&format!("p{n}"), "2026-11-01"), recorder("2026-11-01")).unwrap();
    }
    let more = || store.record(terms("more", "2026-11-01"), recorder("2026-11-01"));
    let full = more().unwrap_err();
    assert!(full.to_string().contains("there are 200 profiles that are not withdrawn"), "{full}");
    // The last version is kept for a withdrawal.
    for version in 1..99 {
        let terms = terms("p0", "2026-11-01");
        store.change(ProfileId(1), version, terms, recorder("2026-11-01")).unwrap();
    }
    let full = store.change(ProfileId(1), 99, terms("p0", "2026-11-01"), recorder("2026-11-01"));
    assert!(matches!(full, Err(RecordError::Full { .. })), "{full:?}");
    store.withdraw(ProfileId(1), 99, String::new(), recorder("2026-11-01")).unwrap();
    more().unwrap();
}

#[test]
fn a_torn_end_is_cut_off_and_every_changed_byte_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = BOOK.path_in(folder.path());
    let store = Store::open(folder.path()).unwrap();
    let id = store.record(terms("one", "2026-11-01"), recorder("2026-11-01")).unwrap().id;
    let change = |store: &Store| {
        store.change(id, 1, terms("one", "2026-11-02"), recorder("2026-11-02")).unwrap();
    };
    change(&store);
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [first, first + 1, first + 100, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.get(id).unwrap().newest.number, 1, "cut at {cut}");
        change(&store);
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
    for at in 0..whole.len() {
        let mut other = whole.clone();
        other[at] ^= 1 << (at % 8);
        std::fs::write(&path, &other).unwrap();
        let error = check(&path).unwrap_err();
        let line = if at < first { 1 } else { 2 };
        match &error {
            StoreError::Damaged { line: told, .. } => assert_eq!(*told, line, "byte {at}"),
            other => panic!("byte {at}: {other}"),
        }
    }
    assert!(Store::open(folder.path()).is_err());
    let (one, two) = whole.split_at(first);
    for text in [[two, one].concat(), [one, one].concat(), two.to_vec()] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(check(&path), Err(StoreError::Damaged { .. })));
    }
}
