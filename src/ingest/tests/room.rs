//! Waiting for room in the journal.

use std::cell::Cell;

use super::*;
use crate::disk::LocalDisk;
use crate::journal::{self, Options};

/// A journal, all of its room, and how much that is.
fn taken() -> (tempfile::TempDir, journal::Journal, Vec<Reservation>) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes: 1 << 20,
        group_bytes_max: 64 << 10,
        record_bytes_max: 64 << 10,
        prepare_in_background: false,
        ..Options::new([1; 16])
    };
    let disk = Arc::new(LocalDisk::new());
    let (journal, _) = journal::open(disk, folder.path(), &options, &mut |_| Ok(())).unwrap();
    let room = journal.room();
    let held: Vec<Reservation> = std::iter::from_fn(|| room.reserve(1).ok()).collect();
    assert!(held.len() > 10);
    (folder, journal, held)
}

#[test]
fn room_is_waited_for_while_the_next_segment_is_made_ready() {
    let (_folder, journal, mut held) = taken();
    let room = journal.room();
    // As if a segment had become ready meanwhile.
    let mut waits = 0;
    let reserved = reserve_between(&room, 1, || {
        waits += 1;
        if waits == 3 {
            held.pop();
        }
    });
    assert!(reserved.is_ok());
    assert_eq!(waits, 3);
    assert_eq!(room.free_bytes(), 0);
    drop(reserved);
    assert_eq!(room.free_bytes(), 4_096, "given back");
}

const FULL: Full = Full { needed: 2, free: 1, generation: 7 };

#[test]
fn a_table_that_is_being_written_is_waited_for() {
    let waits = Cell::new(0);
    let make = || if waits.get() < 3 { Err(NoPlace::Writing(FULL)) } else { Ok(()) };
    let wait_less_than = |max| {
        waits.set(waits.get() + 1);
        waits.get() < max
    };
    assert_eq!(make_room_between(make, || wait_less_than(9)), Ok(()));
    assert_eq!(waits.take(), 3);
    assert_eq!(make_room_between(make, || wait_less_than(2)), Err(NoPlace::Writing(FULL)));
    assert_eq!(waits.get(), 2, "it ends when there is no more waiting");
    let memory = || Err(NoPlace::Memory(FULL));
    assert_eq!(make_room_between(memory, || panic!("waits")), Err(NoPlace::Memory(FULL)));
}

#[test]
fn waiting_for_room_ends_and_is_not_begun_where_it_cannot_help() {
    let (_folder, journal, _held) = taken();
    let room = journal.room();
    let mut waits = 0;
    let refused = reserve_between(&room, 1, || waits += 1).unwrap_err();
    assert_eq!((refused.cause, waits), (NoRoomCause::NotReady, ROOM_WAITS_MAX));
    let refused = reserve_between(&room, 1 << 20, || panic!("waits")).unwrap_err();
    assert_eq!(refused.cause, NoRoomCause::TooLarge);
}
