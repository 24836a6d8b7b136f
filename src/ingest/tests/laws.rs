//! Which laws are held, and that the others come back.

use std::sync::Weak;

use super::*;
use crate::ingest::tests::law;

/// Laws put in force one after another, and whether each is in memory still.
struct Held {
    laws: Laws,
    made: Vec<(LawRecord, Weak<Law>)>,
}

impl Held {
    fn new(laws: Laws) -> Self {
        Self { laws, made: Vec::new() }
    }

    fn put_in_force(&mut self) {
        let law = Arc::new(law(self.made.len()));
        self.laws.keep(&law).unwrap();
        let record = self.laws.record(&law);
        self.laws.note(record).unwrap();
        self.made.push((record, Arc::downgrade(&law)));
        self.laws.put_in_force(record.number, law);
    }

    fn in_memory(&self) -> Vec<usize> {
        (0..self.made.len()).filter(|n| self.made[*n].1.strong_count() > 0).collect()
    }

    /// Asks for a law, which must be the one that has that number.
    fn ask(&mut self, number: usize) {
        let law = self.laws.law(u32::try_from(number).unwrap()).unwrap();
        let (record, weak) = &mut self.made[number];
        assert_eq!(law.rules_hash(), record.rules_hash);
        assert_eq!(law.reference_hash(), record.reference_hash);
        *weak = Arc::downgrade(&law);
    }
}

#[test]
fn the_current_law_and_the_older_ones_used_last_are_held_and_others_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut held = Held::new(Laws::over(Shelf::open(folder.path()).unwrap()));
    for _ in 0..OLDER_HELD_MAX + 3 {
        held.put_in_force();
    }
    assert_eq!(held.in_memory(), [2, 3, 4, 5, 6]);
    held.ask(0);
    assert_eq!(held.in_memory(), [0, 3, 4, 5, 6]);
    held.ask(3);
    held.ask(1);
    assert_eq!(held.in_memory(), [0, 1, 3, 5, 6], "3 was used after 4");
    held.put_in_force();
    assert_eq!(held.in_memory(), [0, 1, 3, 6, 7], "the one that was in force is held");
    assert!(matches!(held.laws.law(8), Err(LawsError::Unknown(8))));
}

#[test]
fn what_is_held_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut held = Held::new(Laws::over(Shelf::open(folder.path()).unwrap()));
    for _ in 0..OLDER_HELD_MAX + 2 {
        held.put_in_force();
    }
    std::fs::remove_dir_all(folder.path()).unwrap();
    let newest = OLDER_HELD_MAX + 1;
    for number in 1..=newest {
        held.ask(number);
    }
    let current = held.laws.current().unwrap();
    assert!(Arc::ptr_eq(&current.law, &held.laws.law(current.number).unwrap()));
    assert!(matches!(held.laws.law(0), Err(LawsError::Shelf { number: 0, .. })));
}

#[test]
fn the_current_law_is_held_once_where_recovery_has_read_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let laws = Laws::over(Shelf::open(folder.path()).unwrap());
    let law = Arc::new(law(0));
    laws.keep(&law).unwrap();
    laws.note(laws.record(&law)).unwrap();
    let read = Arc::downgrade(&laws.law(0).unwrap());
    assert_eq!(read.strong_count(), 1);
    laws.put_in_force(0, law);
    assert_eq!(read.strong_count(), 0);
}

#[test]
fn without_a_shelf_there_is_no_law_but_the_current_one() {
    let mut held = Held::new(Laws::passing());
    held.put_in_force();
    held.put_in_force();
    assert_eq!(held.in_memory(), [1]);
    held.ask(1);
    assert!(matches!(held.laws.law(0), Err(LawsError::Unknown(0))));
}
