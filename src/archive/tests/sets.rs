//! Sets: written, read back, found in, checked, dropped and opened again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::making::*;
use super::*;
use crate::disk::Disk;

const ROOT: &str = "data/archive";
/// Past every record.
const EVERYTHING: Watermark = Watermark(u64::MAX);

fn days() -> [Day; 4] {
    ["2026-12-30", "2026-12-31", "2027-01-01", "2027-01-09"].map(day)
}

/// Two sets: one over a midnight and with a third and fourth day, and a day found again; the other of
/// the last day.
fn two_sets(
    archive: &Archive,
    batches: Vec<v1::SubmitBatchRequest>,
) -> Vec<(Set, Vec<GivenBatch>)> {
    let [a, b, c, d] = days();
    let order = [a, a, b, a, b, c, a, d];
    let (first, second) = batches.split_at(batches.len() - 2);
    let mut maker = Maker::new();
    let on = |place: usize| order[place * order.len() / first.len()];
    let first: Vec<_> =
        first.iter().enumerate().map(|(at, batch)| (on(at), batch.clone())).collect();
    let second: Vec<_> = second.iter().map(|batch| (d, batch.clone())).collect();
    vec![
        write_set(archive, &mut maker, &first).unwrap(),
        write_set(archive, &mut maker, &second).unwrap(),
    ]
}

#[test]
fn generated_batches_come_back_in_order_and_make_the_same_facts() {
    let (disk, archive) = new_archive();
    let batches = generated(900, 40);
    assert!(batches.len() >= 18, "{}", batches.len());
    let sets = two_sets(&archive, batches);
    let days_of = |set: &Set| set.parts.iter().map(|p| (p.day, p.number)).collect::<Vec<_>>();
    let [a, b, c, d] = days();
    assert_eq!(days_of(&sets[0].0), [(a, 1), (b, 1), (c, 1), (a, 2), (d, 1)]);
    let reopened = open(&disk).unwrap();
    assert_eq!(reopened.1, Opened { sets: 2, ..Opened::default() });
    for archive in [&archive, &reopened.0] {
        let listed: Vec<Set> = archive.sets().iter().map(|set| Set::clone(set)).collect();
        assert_eq!(listed, sets.iter().map(|(set, _)| set.clone()).collect::<Vec<_>>());
        for (set, given) in &sets {
            assert_same(archive, set, given);
            let checked = archive.check(set).unwrap();
            assert_eq!(checked.batches, given.len() as u64);
            assert_eq!(checked.bytes, set.bytes());
            assert_eq!(checked.files, 5 * set.parts.len() as u64);
        }
    }
    // Every seventh batch, found one by one.
    let some: Vec<_> = sets.iter().flat_map(|(_, given)| given).step_by(7).cloned().collect();
    assert_found(&archive, &some, &[]);
    let past = archive.declaration(sets[1].0.end_ordinal).unwrap();
    assert!(matches!(past, Found::NotHere), "{past:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn arbitrary_declarations_come_back_and_make_the_same_facts(
        declarations in proptest::collection::vec(declaration(), 1..12),
    ) {
        let (_, archive) = new_archive();
        let request = v1::SubmitBatchRequest { declarations, ..v1::SubmitBatchRequest::default() };
        let batches = [(days()[0], request.clone()), (days()[1], request)];
        let (set, given) = write_set(&archive, &mut Maker::new(), &batches).unwrap();
        assert_same(&archive, &set, &given);
        assert_found(&archive, &given, &[]);
        archive.check(&set).unwrap();
    }
}

#[test]
fn fallbacks_come_back_with_what_was_found_of_them() {
    let declaration = |reference: &str, lodged_at_ms: i64| v1::Declaration {
        fallback: Some(v1::FallbackLodgement { reference: reference.into(), lodged_at_ms }),
        ..company_gift("")
    };
    let long = "x".repeat(200);
    // Usable, on a day without law, too late, without a reference, with one too long; the fifth is
    // a replay.
    let declarations = vec![
        declaration("N1", AT.0 - 86_400_000),
        declaration("N2", AT.0 - 86_400_001),
        declaration("N3", AT.0 + 1),
        declaration("", AT.0 - 10),
        declaration("N5", 7),
        declaration(&long, AT.0 - 20),
        company_gift(""),
    ];
    let request = v1::SubmitBatchRequest { declarations, ..v1::SubmitBatchRequest::default() };
    let (_, archive) = new_archive();
    let batches = [(days()[0], request)];
    let (set, given) = write_set(&archive, &mut Maker::new(), &batches).unwrap();
    assert_same(&archive, &set, &given);
    let checks: Vec<_> = given[0]
        .entries
        .iter()
        .filter_map(|entry| match entry {
            GivenEntry::Declaration(given) => Some((given.check.bits(), given.check.usable())),
            GivenEntry::Replay(..) => None,
        })
        .collect();
    assert_eq!(checks, [(1, true), (3, false), (3, false), (5, true), (9, true), (0, false)]);
}

#[test]
fn whether_anything_is_withheld_is_told_by_each_text_that_may_be() {
    let party = |name: &str, street: &str| {
        Some(v1::Party { name: name.into(), street: street.into(), ..v1::Party::default() })
    };
    let with = |importer, exporter| v1::Declaration { importer, exporter, ..company_gift("") };
    let declarations = vec![
        with(party("J. Jansen", ""), None),
        with(party("", "Kade 1"), None),
        with(None, party("Sender", "")),
        with(None, party("", "Road 2")),
        // A replay.
        company_gift(""),
        with(None, None),
    ];
    let request = v1::SubmitBatchRequest { declarations, ..v1::SubmitBatchRequest::default() };
    let (_, archive) = new_archive();
    let batches = [(days()[0], request)];
    let (set, given) = write_set(&archive, &mut Maker::new(), &batches).unwrap();
    assert_same(&archive, &set, &given);
    let told =
        [0, 1, 2, 3, 5].map(|ordinal| match archive.declaration(Ordinal(ordinal)).unwrap() {
            Found::Declaration(found) => found.is_withheld,
            other => panic!("{other:?}"),
        });
    assert_eq!(told, [true, true, true, true, false]);
}

#[test]
fn rows_are_held_a_few_thousand_at_a_time_wherever_chunks_end() {
    // Declarations of 140 goods items, so that chunks of 4,096 rows end within one.
    let items: Vec<_> = (0..140)
        .map(|n| v1::GoodsItem {
            goods_item_number: n + 1,
            ..company_gift("").goods_items[0].clone()
        })
        .collect();
    let declarations = (0..90)
        .map(|n| v1::Declaration {
            lrn: format!("L{n}"),
            goods_items: items.clone(),
            ..v1::Declaration::default()
        })
        .collect();
    let request = v1::SubmitBatchRequest { declarations, ..v1::SubmitBatchRequest::default() };
    let (_, archive) = new_archive();
    let batches = [(days()[0], request)];
    let (set, given) = write_set(&archive, &mut Maker::new(), &batches).unwrap();
    assert_eq!(set.parts[0].goods_items(), 72 * 140);
    assert_same(&archive, &set, &given);
    assert_found(&archive, &given, &[]);
}

fn small(n: u64) -> v1::SubmitBatchRequest {
    let declarations = (0..=n % 6).map(|at| v1::Declaration {
        lrn: format!("{n}-{at}"),
        ..company_gift("Lotusbay Trading Co., Ltd")
    });
    v1::SubmitBatchRequest {
        declarations: declarations.collect(),
        batch_id: n.to_string(),
        ..v1::SubmitBatchRequest::default()
    }
}

#[test]
fn dropped_days_are_told_from_what_never_was() {
    let (disk, archive) = new_archive();
    let sets = two_sets(&archive, (0..18).map(small).collect());
    let [a, b, c, _] = days();
    assert_eq!(archive.drop_days(a, EVERYTHING).unwrap(), DaysDropped::default());
    let before = disk.paths().len();
    let dropped = archive.drop_days(c, EVERYTHING).unwrap();
    assert_eq!(dropped.parts, 3, "{dropped:?}");
    assert_eq!(disk.paths().len(), before - 15);
    assert!(
        !disk
            .list_dirs(Path::new(ROOT).join("findings").as_path())
            .unwrap()
            .contains(&format!("day={a}"))
    );
    let (reopened, opened) = open(&disk).unwrap();
    assert_eq!(opened, Opened { sets: 2, ..Opened::default() });
    for archive in [&archive, &reopened] {
        for (set, (_, given)) in archive.sets().iter().zip(&sets) {
            assert_same(archive, set, given);
            archive.check(set).unwrap();
            assert_found(archive, given, &[a, b]);
        }
    }
    // A set of which nothing is left keeps its set file.
    archive.drop_days(Day(u16::MAX), EVERYTHING).unwrap();
    let (reopened, opened) = open(&disk).unwrap();
    assert_eq!(opened.sets, 2);
    assert_eq!(disk.paths().len(), 2);
    assert!(matches!(reopened.declaration(Ordinal(0)).unwrap(), Found::Dropped));
    assert_eq!(reopened.next(), archive.next());
}

#[test]
fn of_days_that_are_over_only_those_go_whose_records_are_kept_elsewhere() {
    let (_, archive) = new_archive();
    let [a, b, c, _] = days();
    let batches = [(a, small(0)), (b, small(1))];
    let mut maker = Maker::new();
    let (first, _) = write_set(&archive, &mut maker, &batches).unwrap();
    write_set(&archive, &mut maker, &[(b, small(2)), (c, small(3))]).unwrap();
    assert_eq!(archive.dropped(), None);
    assert!(!archive.is_due(a, EVERYTHING));
    assert!(archive.is_due(c, first.last));
    let dropped = archive.drop_days(c, first.last).unwrap();
    assert_eq!(dropped.parts, 2, "the second set's records are not");
    assert_eq!(archive.dropped(), Some((first.last, b)));
    assert!(archive.is_dropped(Ordinal(0), a) && !archive.is_dropped(Ordinal(0), b));
    assert!(!archive.is_dropped(first.end_ordinal, b), "it is in the second set");
    assert!(!archive.is_due(c, first.last));
    assert!(archive.is_due(c, EVERYTHING));
}

/// Look-ups go on while days are dropped and sets are published, and never meet an error.
#[test]
fn look_ups_see_a_declaration_or_that_its_day_is_dropped() {
    for _ in 0..8 {
        let (_, archive) = new_archive();
        let mut maker = Maker::new();
        let batches: Vec<_> = (0..6_u16).map(|n| (Day(20_000 + n), small(u64::from(n)))).collect();
        let (set, _) = write_set(&archive, &mut maker, &batches).unwrap();
        let (looked, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for start in 0..2 {
                let (archive, looked, is_over) = (archive.clone(), &looked, &is_over);
                let end = set.end_ordinal.0;
                scope.spawn(move || {
                    let mut chance = crate::disk::simulated::Chance(start);
                    while !is_over.load(Ordering::Relaxed) {
                        archive.declaration(Ordinal(chance.below(end))).unwrap();
                        looked.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for n in 1..=6 {
                let before = looked.load(Ordering::Relaxed);
                while looked.load(Ordering::Relaxed) < before + 2 {
                    std::thread::yield_now();
                }
                archive.drop_days(Day(20_000 + n), EVERYTHING).unwrap();
                write_set(&archive, &mut maker, &[(Day(20_100), small(0))]).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(matches!(archive.declaration(Ordinal(0)).unwrap(), Found::Dropped));
    }
}

#[test]
fn a_look_up_with_the_list_of_before_a_drop_goes_by_the_set_file() {
    let (disk, before) = new_archive();
    let batches = [(days()[0], small(0)), (days()[1], small(1))];
    let (set, _) = write_set(&before, &mut Maker::new(), &batches).unwrap();
    // Another list of the same sets, so that the first one stays as it was.
    open(&disk).unwrap().0.drop_days(days()[1], EVERYTHING).unwrap();
    assert!(matches!(before.declaration(Ordinal(0)).unwrap(), Found::Dropped));
    assert!(matches!(before.declaration(Ordinal(1)).unwrap(), Found::Declaration(_)));
    let refused = before.read(&set).unwrap_err();
    assert!(refused.to_string().contains("was dropped"), "{refused}");
}

#[test]
fn sets_follow_on_one_another_and_one_is_written_at_a_time() {
    let (_, archive) = new_archive();
    let order = |result: Result<SetWriter, ArchiveError>| {
        assert!(matches!(result, Err(ArchiveError::Order(_))));
    };
    order(archive.begin(Watermark(2), Ordinal(0)));
    order(archive.begin(Watermark(1), Ordinal(1)));
    let mut writer = archive.begin(Watermark(1), Ordinal(0)).unwrap();
    order(archive.begin(Watermark(1), Ordinal(0)));
    writer.begin(Watermark(3), days()[0]).unwrap();
    assert!(writer.begin(Watermark(3), days()[0]).is_err(), "the same record again");
    drop(writer);
    let set = archive.begin(Watermark(1), Ordinal(0)).unwrap();
    let set = set.finish(Watermark(5), Ordinal(0)).unwrap();
    // Nothing but other records: no files, and a set all the same.
    assert!(set.parts.is_empty());
    assert!(archive.sets().is_empty());
    archive.publish(set.clone()).unwrap();
    assert!(archive.publish(set).is_err(), "twice");
    assert_eq!(archive.next(), (Watermark(6), Ordinal(0)));
}

#[test]
fn what_was_not_published_is_written_again_as_if_it_never_was() {
    let (disk, archive) = new_archive();
    let mut maker = Maker::new();
    let mut writer = archive.begin(Watermark(1), Ordinal(0)).unwrap();
    for n in 0..3 {
        maker.batch(&mut writer, days()[0], &small(n)).unwrap();
    }
    writer.finish(Watermark(3), Ordinal(maker.ordinal)).unwrap();
    assert_eq!(disk.paths().len(), 6);
    // Of another range, so that no name is the same.
    let (set, given) =
        write_set(&archive, &mut Maker::new(), &[(days()[0], small(0)), (days()[1], small(1))])
            .unwrap();
    assert_eq!(disk.paths().len(), 11);
    assert_same(&archive, &set, &given);
    assert_eq!(open(&disk).unwrap().1, Opened { sets: 1, ..Opened::default() });
}

fn damage(result: Result<Opened, ArchiveError>) -> String {
    match result {
        Err(error @ ArchiveError::Damaged { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_cut_and_superfluous_files_are_told_or_removed() {
    let (disk, archive) = new_archive();
    two_sets(&archive, (0..18).map(small).collect());
    let paths = disk.paths();
    for path in &paths {
        let disk = disk.fork();
        disk.remove(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let opened = open(&disk).map(|(_, opened)| opened);
        // Without its set file the last set is none; else what is missing is named.
        if name == "000000000017-000000000018.set" {
            assert_eq!(opened.unwrap().sets, 1);
            continue;
        }
        let said = damage(opened);
        let is_first_set = name == "000000000001-000000000016.set";
        assert!(is_first_set || said.contains(&name), "{said}");
        assert!(said.contains("missing"), "{said}");
    }
    for path in &paths {
        let disk = disk.fork();
        let bytes = disk.content(path).unwrap().len() as u64;
        assert!(disk.truncate(path, bytes - 1));
        assert!(damage(open(&disk).map(|(_, o)| o)).contains(path.to_str().unwrap()));
    }
    let root = Path::new(ROOT);
    disk.create_dir(&root.join("summary/day=2026-12-30")).unwrap();
    disk.create_dir(&root.join("findings/day=2020-01-01")).unwrap();
    for (path, is_kept) in [
        ("summary/day=2026-12-30/summary-1.waag", true),
        ("findings/day=2020-01-01/000000000001-000000000002.parquet", false),
        ("findings/day=2026-12-30/.000000000019.1.parquet.part", false),
        ("findings/day=2026-12-30/000000000001-000000000016.3.parquet", false),
        ("findings/stray", false),
        ("sets/000000000019-000000000020.set.partial", false),
    ] {
        let disk = disk.fork();
        disk.write_small(&root.join(path), b"what").unwrap();
        let (_, opened) = open(&disk).unwrap();
        assert_eq!(opened.orphans_removed, u64::from(!is_kept), "{path}");
        assert_eq!(disk.content(&root.join(path)).is_some(), is_kept, "{path}");
        assert!(disk.list(&root.join("findings/day=2020-01-01")).is_err());
    }
}

/// Whatever bit is flipped or end is cut: an error that names the file, or the same rows.
#[test]
fn damage_in_any_file_is_an_error_with_its_name() {
    let (disk, archive) = new_archive();
    let [a, b, ..] = days();
    let batches = [(a, small(5)), (b, small(3))];
    let (set, given) = write_set(&archive, &mut Maker::new(), &batches).unwrap();
    let mut chance = crate::disk::simulated::Chance(7);
    for path in disk.paths() {
        let bytes = disk.content(&path).unwrap().len() as u64;
        for _ in 0..25 {
            let bit = chance.below(bytes * 8);
            let disk = disk.fork();
            assert!(disk.flip(&path, bit));
            let named = |error: ArchiveError| {
                let said = error.to_string();
                assert!(
                    said.contains(path.to_str().unwrap()) && said.contains("damaged"),
                    "{said}"
                );
            };
            let archive = match open(&disk) {
                Ok((archive, _)) => archive,
                Err(error) => {
                    named(error);
                    continue;
                }
            };
            named(archive.check(&set).unwrap_err());
            for ordinal in 0..maker_end(&given) {
                if let Err(error) = archive.declaration(Ordinal(ordinal)) {
                    named(error);
                }
            }
            let mut records = archive.read(&set).unwrap();
            let read = loop {
                match records.next_batch() {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            read.map_or_else(named, |()| ());
        }
        // Cut while it is open, after it was found to be whole.
        let disk = disk.fork();
        let (archive, _) = open(&disk).unwrap();
        disk.truncate(&path, chance.below(bytes));
        let said = archive.check(&set).unwrap_err().to_string();
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }
}

fn maker_end(given: &[GivenBatch]) -> u64 {
    given.iter().map(|batch| batch.entries.len() as u64).sum()
}

#[test]
fn tables_that_do_not_fit_one_another_are_damage() {
    // Well-formed files with true checks, of rows that cannot be.
    let row = |declarations| BatchRow {
        record: Watermark(1),
        batch_id: "",
        lodger: &LODGER,
        judged_at: AT,
        law: 0,
        first_ordinal: Ordinal(0),
        declarations,
        goods_items: 0,
    };
    let day = days()[0];
    for (declarations, replays, end, told) in [
        (1, vec![0], 1, None),
        (2, vec![0, 1], 2, None),
        (2, vec![0], 2, Some("for index 1")),
        (1, vec![0, 1], 1, Some("belong to no batch")),
        (1, vec![1], 1, Some("for index 0")),
        (1, vec![0], 2, Some("end before ordinal 1")),
        (2, vec![0, 1], 1, Some("batch 1 begins with ordinal 0")),
    ] {
        let (_, archive) = new_archive();
        let mut writer = archive.begin(Watermark(1), Ordinal(0)).unwrap();
        writer.begin(Watermark(1), day).unwrap();
        for index in replays {
            writer.replay(day, &ReplayRow { index, ..replay(1) }).unwrap();
        }
        writer.batch(day, &row(declarations)).unwrap();
        let set = writer.finish(Watermark(1), Ordinal(end)).unwrap();
        archive.publish(set.clone()).unwrap();
        match (archive.check(&set), told) {
            (Ok(_), None) => {}
            (Err(error), Some(told)) => assert!(error.to_string().contains(told), "{error}"),
            (checked, told) => panic!("{checked:?} {told:?}"),
        }
    }
}

static LODGER: std::sync::LazyLock<Lodger<'static>> = std::sync::LazyLock::new(lodger);
