//! The journal behaves as a plain list of records, whatever the sequence of calls.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Push(u8, usize),
    Commit,
    Reopen,
    End,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![0_usize..100, 3_900_usize..4_200, 0_usize..=20_000];
    prop_oneof![
        8 => (any::<u8>(), bytes).prop_map(|(kind, bytes)| Step::Push(kind, bytes)),
        3 => Just(Step::Commit),
        1 => Just(Step::Reopen),
        1 => Just(Step::End),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn a_journal_is_a_list_of_records(steps in proptest::collection::vec(step(), 1..60)) {
        let disk = SimulatedDisk::new(0, u64::MAX);
        let (mut journal, recovery, _) = open_simulated(&disk).unwrap();
        prop_assert!(!recovery.ended_clean, "nothing was written");
        let mut model = Model::new();
        let mut places = Vec::new();
        for step in steps {
            match step {
                Step::Push(kind, bytes) => {
                    let body = vec![model.len().to_le_bytes()[0]; bytes];
                    let placed = push(&mut journal, kind, &body).unwrap();
                    model.push((kind, body));
                    places.push(placed.position);
                    prop_assert_eq!(placed.number.0, model.len() as u64);
                    prop_assert_eq!(journal.written().watermark, placed.number);
                    prop_assert!(journal.durable().watermark < placed.number);
                }
                Step::Commit => {
                    let durable = journal.commit().unwrap();
                    prop_assert_eq!(durable.watermark, journal.written().watermark);
                    let reader = journal.reader();
                    for index in (0..model.len()).rev().take(5) {
                        let read = reader.read(places[index]).unwrap();
                        prop_assert_eq!(read.number.0, index as u64 + 1);
                        prop_assert_eq!(&(read.kind, read.body), &model[index]);
                    }
                }
                Step::Reopen | Step::End => {
                    let ends = matches!(step, Step::End);
                    if ends {
                        journal.end().unwrap();
                    } else {
                        // What was not committed is gone with the process.
                        let durable = usize::try_from(journal.durable().watermark.0).unwrap();
                        model.truncate(durable);
                        places.truncate(durable);
                        drop(journal);
                    }
                    disk.kill();
                    let (again, recovery, found) = open_simulated(&disk).unwrap();
                    prop_assert_eq!(&found, &model);
                    prop_assert_eq!(recovery.torn, None);
                    prop_assert!(recovery.ended_clean || !ends);
                    journal = again;
                }
            }
        }
        let mut at = Vec::new();
        journal.end().unwrap();
        verify(&disk, Path::new(DIR), None, &mut |record| {
            at.push(record.position);
            Ok(())
        }).unwrap();
        prop_assert_eq!(at, places);
    }
}

#[test]
fn a_position_that_begins_no_record_is_told_so() {
    let disk = SimulatedDisk::new(0, u64::MAX);
    let (mut journal, _, _) = open_simulated(&disk).unwrap();
    let placed = push(&mut journal, 1, &[1; 6_000]).unwrap();
    journal.commit().unwrap();
    let reader = journal.reader();
    let at = placed.position;
    assert_eq!(reader.read(at).unwrap().body, [1; 6_000]);
    for other in [
        Position { offset: at.offset + 1, ..at },
        Position { page: at.page + 1, ..at },
        Position { page: at.page + 2, ..at },
        Position { page: 0, ..at },
        Position { page: u32::MAX, ..at },
    ] {
        assert!(matches!(reader.read(other), Err(JournalError::NoRecord { .. })), "{other}");
    }
    let missing = reader.read(Position { segment: 9, ..at });
    assert!(matches!(missing, Err(JournalError::Io { .. })));
}

#[test]
fn a_refused_record_ends_the_opening_and_is_named() {
    let disk = SimulatedDisk::new(0, u64::MAX);
    let (mut journal, _, _) = open_simulated(&disk).unwrap();
    for kind in 1..=3 {
        push(&mut journal, kind, b"body").unwrap();
    }
    journal.end().unwrap();
    let refused = open(Arc::new(disk), Path::new(DIR), &options(), &mut |record| {
        if record.kind == 2 { Err("no such kind".into()) } else { Ok(()) }
    });
    let told = refused.unwrap_err().to_string();
    assert_eq!(told, "record 2 at segment 1, page 1, byte 57: no such kind");
}

#[test]
fn options_out_of_bounds_are_named() {
    let told = |change: &dyn Fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        let disk = Arc::new(SimulatedDisk::new(0, u64::MAX));
        open_with(disk, Path::new(DIR), &options).unwrap_err().to_string()
    };
    // The largest record alone takes 5 pages here.
    let small = told(&|options| options.segment_bytes = 11 * 4_096);
    assert!(small.starts_with("segment_bytes is 45056, and must be 49152 to "), "{small}");
    let odd = told(&|options| options.segment_bytes += 1);
    assert_eq!(odd, "segment_bytes is 81921, and must be a multiple of 4096");
    assert!(told(&|o| o.record_bytes_max = 0).starts_with("record_bytes_max is 0"));
    assert!(told(&|o| o.group_bytes_max = 1).starts_with("group_bytes_max is 1"));
    assert!(told(&|o| o.segments_ahead = 0).starts_with("segments_ahead is 0"));
}

#[test]
fn a_record_larger_than_reserved_is_refused() {
    let disk = SimulatedDisk::new(0, u64::MAX);
    let (mut journal, _, _) = open_simulated(&disk).unwrap();
    let free = journal.room().free_bytes();
    let reservation = journal.room().reserve(4_019).unwrap();
    let refused = journal.push(1, &[&[0; 4_020]], reservation).unwrap_err();
    assert_eq!(refused.to_string(), "the record needs 8192 bytes and has reserved 4096");
    assert_eq!(journal.room().free_bytes(), free, "what was reserved is given back");
    assert_eq!(journal.written().watermark.0, 0);
}

#[test]
fn handles_go_to_other_threads() {
    fn send<T: Send + 'static>() {}
    fn shared<T: Clone + Send + Sync + 'static>() {}
    send::<Journal>();
    send::<Reservation>();
    shared::<Room>();
    shared::<Reader>();
}
