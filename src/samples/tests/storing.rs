//! Plans and outcomes are kept, come back, and damage is told.

use super::*;
use crate::book::StoreError;
use crate::samples::store::check;

#[test]
fn plans_and_outcomes_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let first = store.record(terms(strata(100)), recorder("2026-11-04")).unwrap();
    assert_eq!(first.id.to_string(), "S1");
    // Sent again, it is there already; once its last day is over, the name is free.
    let again = store.record(terms(fixed(9)), recorder("2026-11-04"));
    assert!(matches!(again, Err(RecordError::Named { other, .. }) if other == first.id));
    let later = Terms { first: day("2026-11-08"), last: day("2026-11-08"), ..terms(by_value(500)) };
    let second = store.record(later, recorder("2026-11-07")).unwrap();
    assert_eq!(second.id.to_string(), "S2");
    assert_ne!(first.secret, second.secret);
    let late =
        store.record(Terms { name: "other".into(), ..terms(fixed(9)) }, recorder("2026-11-05"));
    assert!(matches!(&late, Err(RecordError::Wrong(w)) if w.field == "first_day"), "{late:?}");

    store.found(first.id, outcome(item(1), true)).unwrap();
    let size = || std::fs::metadata(BOOK.path_in(folder.path())).unwrap().len();
    let before = size();
    // The same again is not written; another one replaces it.
    store.found(first.id, outcome(item(1), true)).unwrap();
    assert_eq!(size(), before);
    store.found(first.id, outcome(item(1), false)).unwrap();
    store.found(first.id, outcome(item(2), true)).unwrap();
    let none = store.found(PlanId(3), outcome(item(1), true));
    assert!(matches!(none, Err(RecordError::Unknown(_))));
    let known = store.get(first.id).unwrap();
    assert_eq!((known.1.len(), known.1[&item(1)].is_error), (2, false));

    let listed = store.list(None);
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.list(None), listed);
    assert_eq!(store.get(first.id).unwrap(), known);
    assert_eq!(store.list(Some(first.id)).len(), 1);
    let found = check(&BOOK.path_in(folder.path())).unwrap();
    assert_eq!((found.things, found.versions, found.torn_bytes), (2, 5, 0));
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(BOOK.path_in(folder.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it has secrets");
}

#[test]
fn plans_are_within_their_bounds() {
    let change = |method: Method, change: &dyn Fn(&mut Terms)| {
        let mut terms = terms(method);
        change(&mut terms);
        terms.check().unwrap_err().field
    };
    assert_eq!(change(fixed(0), &|_| {}), "fixed.size");
    assert_eq!(change(fixed(5_001), &|_| {}), "fixed.size");
    assert_eq!(change(strata(5), &|_| {}), "fixed.size");
    terms(strata(6)).check().unwrap();
    terms(fixed(5_000)).check().unwrap();
    assert_eq!(change(by_value(0), &|_| {}), "expected_value.interval_eur_cents");
    assert_eq!(change(fixed(9), &|t| t.name = String::new()), "name");
    assert_eq!(change(fixed(9), &|t| t.last = day("2026-11-04")), "last_day");
    assert_eq!(change(fixed(9), &|t| t.last = Day(t.first.0 + 366)), "last_day");
    let wrong = Conditions { hs_prefixes: vec!["x".into()], ..Conditions::default() };
    let of = wrong.clone();
    assert_eq!(change(fixed(9), &move |t| t.conditions = of.clone()), "conditions.hs_prefixes[0]");
    let with = |edit: &dyn Fn(&mut Vec<Stratum>)| {
        let Method::Fixed { size, mut strata } = strata(100) else { unreachable!() };
        edit(&mut strata);
        change(Method::Fixed { size, strata }, &|_| {})
    };
    assert_eq!(with(&|s| s[1].name = String::new()), "fixed.strata[1].name");
    let over = "fixed.strata[0].expected_errors_per_million";
    assert_eq!(with(&|s| s[0].expected_errors_per_million = 1_000_001), over);
    assert_eq!(with(&|s| s[0].conditions = Conditions::default()), "fixed.strata[0].conditions");
    let of = wrong.clone();
    let hs = "fixed.strata[0].conditions.hs_prefixes[0]";
    assert_eq!(with(&move |s| s[0].conditions = of.clone()), hs);
    assert_eq!(with(&|s| *s = vec![s[0].clone(); 21]), "fixed.strata");
    let kg = |edit: &dyn Fn(&mut Vec<PerKg>)| {
        let Method::ExpectedValue { interval, mut per_kg } = by_value(9) else { unreachable!() };
        edit(&mut per_kg);
        change(Method::ExpectedValue { interval, per_kg }, &|_| {})
    };
    assert_eq!(kg(&|k| drop(k.remove(0))), "expected_value.per_kg");
    assert_eq!(kg(&|k| k[1].hs_prefix = String::new()), "expected_value.per_kg[1].hs_prefix");
    assert_eq!(kg(&|k| k[2].eur_cents = 0), "expected_value.per_kg[2].eur_cents");
    for text in ["", "S", "S0", "S01", "1", "s1"] {
        assert_eq!(PlanId::parse(text), None, "{text}");
    }
}

#[test]
fn a_torn_end_is_cut_off_and_every_changed_byte_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = BOOK.path_in(folder.path());
    let store = Store::open(folder.path()).unwrap();
    let id = store.record(terms(fixed(9)), recorder("2026-11-04")).unwrap().id;
    store.found(id, outcome(item(1), true)).unwrap();
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [first, first + 1, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.get(id).unwrap().1.len(), 0, "cut at {cut}");
        store.found(id, outcome(item(1), true)).unwrap();
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
    for at in 0..whole.len() {
        let mut other = whole.clone();
        other[at] ^= 1 << (at % 8);
        std::fs::write(&path, &other).unwrap();
        let line = if at < first { 1 } else { 2 };
        match check(&path).unwrap_err() {
            StoreError::Damaged { line: told, .. } => assert_eq!(told, line, "byte {at}"),
            other => panic!("byte {at}: {other}"),
        }
    }
    let (one, two) = whole.split_at(first);
    for text in [[two, one].concat(), [one, one].concat(), two.to_vec()] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(check(&path), Err(StoreError::Damaged { .. })));
    }
}
