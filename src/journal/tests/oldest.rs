//! The oldest segments are read while others are written, and go when they are told to.

use super::*;
use crate::disk::simulated::Fault;

/// Number, kind and body.
type Numbered = Vec<(u64, u8, Vec<u8>)>;

fn read(oldest: &Oldest, first: u64, last: u64) -> Result<Numbered, JournalError> {
    let mut found = Vec::new();
    oldest.read(Watermark(first), Watermark(last), &mut |record| {
        found.push((record.number.0, record.kind, record.body.to_vec()));
        Ok(())
    })?;
    Ok(found)
}

/// The first record that the journal has, and all from there on.
fn reopened(disk: &SimulatedDisk, options: &Options) -> (Journal, u64, Numbered) {
    let mut found = Vec::new();
    let (journal, recovery) =
        open(Arc::new(disk.clone()), Path::new(DIR), options, &mut |record| {
            found.push((record.number.0, record.kind, record.body.to_vec()));
            Ok(())
        })
        .unwrap();
    // Of an empty folder there is none.
    (journal, recovery.first_record.0.max(1), found)
}

#[test]
fn what_is_read_of_the_oldest_is_what_was_written_and_what_is_removed_is_whole_segments() {
    let mut removals = 0;
    for_seeds(200, |seed| {
        let disk = SimulatedDisk::new(seed, u64::MAX);
        let mut chance = Chance(!seed);
        let (mut journal, mut first, _) = reopened(&disk, &options());
        let mut model = Numbered::new();
        for _ in 0..30 {
            for _ in 0..chance.below(6) {
                let body = body(&mut chance);
                push(&mut journal, 3, &body).unwrap();
                model.push((model.len() as u64 + 1, 3, body));
            }
            journal.commit().unwrap();
            let oldest = journal.oldest();
            let last = model.len() as u64;
            if last < first {
                continue;
            }
            let from = first + chance.below(last - first + 1);
            let to = from + chance.below(last - from + 1);
            let found = read(&oldest, from, to).unwrap();
            assert_eq!(found, model[from as usize - 1..to as usize]);
            if chance.hits(30) {
                let through = chance.below(last + 1);
                let crashes = chance.hits(50);
                if crashes {
                    let fault = if chance.hits(50) { Fault::Error } else { Fault::PowerCut };
                    disk.fault_at(chance.below(12), fault);
                }
                let removed = oldest.remove(Watermark(through));
                if crashes {
                    drop(journal);
                    disk.crash();
                } else {
                    removals += removed.unwrap();
                    journal.end().unwrap();
                    disk.kill();
                }
                let (again, now, found) = reopened(&disk, &options());
                assert!(
                    now >= first && now <= through.max(first - 1) + 1,
                    "{first} {now} {through}"
                );
                assert_eq!(found, model[now as usize - 1..]);
                (journal, first) = (again, now);
                if first > 1 {
                    let error = read(&journal.oldest(), first - 1, first).unwrap_err();
                    assert!(matches!(error, JournalError::NoRecord { .. }), "{error}");
                }
            }
        }
    });
    assert!(removals > 100 || !is_whole_run(), "{removals}");
}

#[test]
fn no_more_segments_are_made_than_there_may_be_until_older_ones_are_gone() {
    for prepare_in_background in [false, true] {
        let disk = SimulatedDisk::new(5, u64::MAX);
        let options = Options { segments_max: 4, prepare_in_background, ..options() };
        let (mut journal, ..) = reopened(&disk, &options);
        let mut full = || loop {
            match journal.room().reserve(18_000) {
                Ok(reservation) => {
                    journal.push(1, &[&[9; 18_000]], reservation).unwrap();
                    journal.commit().unwrap();
                }
                Err(refused) if refused.cause == NoRoomCause::HeldUp => {
                    return (journal.durable().watermark, journal.oldest());
                }
                Err(refused) => {
                    assert_eq!(refused.cause, NoRoomCause::NotReady);
                    journal.commit().unwrap();
                    std::thread::yield_now();
                }
            }
        };
        let (last, oldest) = full();
        assert_eq!(oldest.beginnings().unwrap().len(), 4);
        assert_eq!(oldest.remove(Watermark(0)).unwrap(), 0);
        let (same, _) = full();
        assert_eq!(same, last);
        assert_eq!(oldest.remove(last).unwrap(), 3);
        let (later, oldest) = full();
        assert!(later.0 >= last.0 + 6, "three more segments: {last:?} {later:?}");
        assert_eq!(oldest.beginnings().unwrap().len(), 4);
    }
}

#[test]
fn no_segment_is_made_of_what_stays_free_on_the_disk() {
    for prepare_in_background in [false, true] {
        let segment = options().segment_bytes;
        let (capacity, reserve) = (10 * segment, 3 * segment + 4_096);
        let disk = SimulatedDisk::new(5, capacity);
        let options = Options { reserve_bytes: reserve, prepare_in_background, ..options() };
        let (mut journal, ..) = reopened(&disk, &options);
        let full = |journal: &mut Journal| loop {
            match journal.room().reserve(18_000) {
                Ok(reservation) => {
                    journal.push(1, &[&[9; 18_000]], reservation).unwrap();
                    journal.commit().unwrap();
                }
                Err(refused) if refused.cause == NoRoomCause::DiskFull => {
                    return journal.durable().watermark;
                }
                Err(refused) => {
                    assert_eq!(refused.cause, NoRoomCause::NotReady);
                    journal.commit().unwrap();
                    std::thread::yield_now();
                }
            }
        };
        let last = full(&mut journal);
        assert_eq!(disk.free_bytes(Path::new(DIR)).unwrap(), 4 * segment, "six of ten are made");
        assert_eq!(journal.oldest().remove(last).unwrap(), 5);
        let later = loop {
            // Whoever makes segments looks again now and then.
            let later = full(&mut journal);
            if later > last {
                break later;
            }
            journal.commit().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert!(later.0 > last.0);
        assert!(disk.free_bytes(Path::new(DIR)).unwrap() >= reserve);
    }
}
