//! Disks that refuse: errors end the journal, a full disk is met before anything is promised.

use super::*;
use crate::disk::simulated::Fault;

/// Writes a few groups and ends; returns how many records had been acknowledged.
fn life(disk: &SimulatedDisk) -> (usize, Result<(), JournalError>) {
    let mut acknowledged = 0;
    let mut run = || {
        let (mut journal, _, found) = open_simulated(disk)?;
        acknowledged = found.len();
        let poisoned = |journal: &mut Journal, error| {
            assert!(matches!(journal.commit(), Err(JournalError::Poisoned)));
            let told = journal.room().reserve(1).unwrap_err().cause;
            assert_eq!(told, NoRoomCause::Poisoned);
            Err(error)
        };
        for number in 0..40_u8 {
            let body = vec![number; 5_000];
            if let Err(error) = push(&mut journal, number, &body) {
                return poisoned(&mut journal, error);
            }
            if number % 2 == 0 {
                match journal.commit() {
                    Ok(durable) => acknowledged = usize::try_from(durable.watermark.0).unwrap(),
                    Err(error) => return poisoned(&mut journal, error),
                }
            }
        }
        let all = journal.written().watermark.0;
        journal.end()?;
        acknowledged = usize::try_from(all).unwrap();
        Ok(())
    };
    let ended = run();
    (acknowledged, ended)
}

#[test]
fn an_error_at_any_call_ends_the_journal_and_loses_nothing_acknowledged() {
    let disk = SimulatedDisk::new(1, u64::MAX);
    life(&disk).1.unwrap();
    let calls = disk.calls();
    assert!(calls > 30, "{calls}");
    for fault in [Fault::Error, Fault::PowerCut] {
        for call in 0..calls {
            let disk = SimulatedDisk::new(call, u64::MAX);
            disk.fault_at(call, fault);
            let (acknowledged, ended) = life(&disk);
            assert!(matches!(ended, Err(JournalError::Io { .. })), "call {call}: {ended:?}");
            disk.crash();
            let (_, _, found) = open_simulated(&disk).unwrap();
            assert!(found.len() >= acknowledged, "call {call}");
            for (number, record) in (0_u8..).zip(&found) {
                assert_eq!(record, &(number, vec![number; 5_000]), "call {call}");
            }
        }
    }
}

#[test]
fn a_full_disk_at_any_call_loses_nothing_acknowledged() {
    let disk = SimulatedDisk::new(1, u64::MAX);
    life(&disk).1.unwrap();
    for call in 0..disk.calls() {
        let disk = SimulatedDisk::new(call, u64::MAX);
        disk.fault_at(call, Fault::Full);
        // Where a segment is to be made it is tried again; elsewhere there was room, and it is an error.
        let (acknowledged, ended) = life(&disk);
        assert!(matches!(ended, Ok(()) | Err(JournalError::Io { .. })), "call {call}: {ended:?}");
        disk.crash();
        let (_, _, found) = open_simulated(&disk).unwrap();
        assert!(found.len() >= acknowledged, "call {call}");
        for (number, record) in (0_u8..).zip(&found) {
            assert_eq!(record, &(number, vec![number; 5_000]), "call {call}");
        }
    }
}

#[test]
fn a_full_disk_is_told_before_anything_is_promised() {
    let options = options();
    // Two segments fit, a third does not.
    let disk = SimulatedDisk::new(1, 2 * options.segment_bytes + 4_096);
    let (mut journal, _, _) = open_simulated(&disk).unwrap();
    let mut model = Model::new();
    let mut reservations = Vec::new();
    let refused = loop {
        match journal.room().reserve(10_000) {
            Ok(reservation) => reservations.push(reservation),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.cause, NoRoomCause::NotReady, "nobody has yet asked for a third segment");
    assert!(reservations.len() >= 4, "{}", reservations.len());
    // All that was promised can be pushed, each in a group of its own.
    for reservation in reservations {
        let body = vec![3; 10_000];
        journal.push(1, &[&body], reservation).unwrap();
        journal.commit().unwrap();
        model.push((1, body));
    }
    // The rest is used up with the smallest of records, until the disk is found full.
    let refused = loop {
        match journal.room().reserve(1) {
            Ok(reservation) => {
                journal.push(2, &[b"x"], reservation).unwrap();
                journal.commit().unwrap();
                model.push((2, b"x".to_vec()));
            }
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.cause, refused.free), (NoRoomCause::DiskFull, 0));
    journal.commit().unwrap();
    assert_eq!(journal.room().reserve(1).unwrap_err().cause, NoRoomCause::DiskFull);

    disk.set_capacity(u64::MAX);
    journal.commit().unwrap();
    push(&mut journal, 3, &[9; 20_000]).unwrap();
    model.push((3, vec![9; 20_000]));
    journal.end().unwrap();
    let (_, recovery, found) = open_simulated(&disk).unwrap();
    assert_eq!((found, recovery.ended_clean), (model, true));
}

#[test]
fn what_is_reserved_can_always_be_pushed() {
    // Reservations of all sizes, taken as long as there are any, pushed in any grouping.
    for_seeds(200, |seed| {
        let disk = SimulatedDisk::new(seed, u64::MAX);
        let mut chance = Chance(seed);
        let (mut journal, _, mut model) = open_simulated(&disk).unwrap();
        for _ in 0..6 {
            let mut waiting = Vec::new();
            loop {
                let body = body(&mut chance);
                match journal.room().reserve(body.len()) {
                    Ok(reservation) => waiting.push((body, reservation)),
                    Err(_) => break,
                }
            }
            // From here on, no space can be had.
            disk.set_capacity(0);
            for (body, reservation) in waiting {
                if chance.hits(30) {
                    journal.commit().unwrap();
                }
                match journal.push(5, &[&body], reservation) {
                    Ok(_) => {}
                    Err(PushError::GroupFull(reservation)) => {
                        journal.commit().unwrap();
                        journal.push(5, &[&body], reservation).unwrap();
                    }
                    Err(error) => panic!("{error}"),
                }
                model.push((5, body));
            }
            journal.commit().unwrap();
            disk.set_capacity(u64::MAX);
            journal.commit().unwrap();
        }
        journal.end().unwrap();
        let (_, recovery, found) = open_simulated(&disk).unwrap();
        assert!(recovery.segments >= 3, "{}", recovery.segments);
        assert_eq!(found, model);
    });
}

#[test]
fn a_group_is_closed_where_its_segment_ends_however_large_it_may_be() {
    let options = Options { group_bytes_max: 1 << 20, segments_ahead: 4, ..options() };
    let disk = SimulatedDisk::new(1, u64::MAX);
    let opened = open_with(Arc::new(disk.clone()), Path::new(DIR), &options);
    let (mut journal, _, _) = opened.unwrap();
    for _ in 0..60 {
        push(&mut journal, 1, &[1; 3_000]).unwrap();
    }
    journal.end().unwrap();
    let (verified, found) = verify_simulated(&disk).unwrap();
    assert_eq!(found, vec![(1, vec![1; 3_000]); 60]);
    assert!(verified.segments >= 3, "{verified:?}");
}

#[test]
fn a_full_disk_still_starts_and_still_ends() {
    let disk = SimulatedDisk::new(1, u64::MAX);
    let (mut journal, _, _) = open_simulated(&disk).unwrap();
    push(&mut journal, 1, b"one").unwrap();
    journal.commit().unwrap();
    drop(journal);
    disk.kill();
    disk.set_capacity(options().segment_bytes);
    let (mut journal, _, found) = open_simulated(&disk).unwrap();
    assert_eq!(found.len(), 1);
    push(&mut journal, 2, b"two").unwrap();
    journal.end().unwrap();
    assert!(open_simulated(&disk).unwrap().1.ended_clean);
}
