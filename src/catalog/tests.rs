//! Wrong values, and lost and stale ones, behind sled's back: none goes unnoticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::*;
use crate::generate::Random;

const IDENTITY: [u8; 16] = [7; 16];
const CACHE: u64 = 1 << 20;

type Contents = BTreeMap<Vec<u8>, (Vec<u8>, Mark)>;

fn open(path: &Path) -> Result<(Catalog, Contents), String> {
    let mut contents = Contents::new();
    let take = |key: &[u8], value: &[u8], mark| {
        contents.insert(key.to_vec(), (value.to_vec(), mark));
        Ok(())
    };
    match Catalog::open(path, IDENTITY, CACHE, take) {
        Ok(catalog) => Ok((catalog, contents)),
        Err(NotOpened::Unusable(reason)) => Err(reason),
        Err(NotOpened::Failed(error)) => panic!("{error}"),
    }
}

fn put(catalog: &mut Catalog, key: &[u8], value: &[u8], old: Option<Mark>) -> Mark {
    let mut changes = Changes::default();
    let mark = changes.put(key, value, old).unwrap();
    catalog.write(changes).unwrap();
    mark
}

/// A catalog of three entries, one of which was replaced once, changed by `tamper` through sled.
fn tampered(tamper: impl FnOnce(&sled::Db)) -> Result<Contents, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog");
    let mut catalog = Catalog::create(&path, IDENTITY, CACHE).unwrap();
    let old = put(&mut catalog, b"one", b"first", None);
    put(&mut catalog, b"two", b"2", None);
    put(&mut catalog, b"three", b"3", None);
    put(&mut catalog, b"one", b"second", Some(old));
    let mut changes = Changes::default();
    let gone = changes.put(b"four", b"4", None).unwrap();
    catalog.write(changes).unwrap();
    let mut changes = Changes::default();
    changes.remove(b"four", gone);
    catalog.write(changes).unwrap();
    assert_eq!(catalog.entries(), 3);
    tamper(&catalog.db);
    catalog.db.flush().unwrap();
    drop(catalog);
    open(&path).map(|(_, contents)| contents)
}

#[test]
fn what_was_written_comes_back() {
    let contents = tampered(|_| {}).unwrap();
    let values: Vec<_> = contents.iter().map(|(key, (value, _))| (&key[..], &value[..])).collect();
    assert_eq!(values, [(&b"one"[..], &b"second"[..]), (b"three", b"3"), (b"two", b"2")]);
}

#[test]
fn one_of_version_1_is_read() {
    let older = |db: &sled::Db| {
        let mut header = db.get(HEADER_KEY).unwrap().unwrap().to_vec();
        header.truncate(header.len() - CRC_BYTES);
        header[..2].copy_from_slice(&1_u16.to_le_bytes());
        db.insert(HEADER_KEY, with_crc(HEADER_KEY, &header)).unwrap();
    };
    assert_eq!(tampered(older).unwrap().len(), 3);
}

#[test]
fn what_is_wrong_is_noticed() {
    let wrong_value = |db: &sled::Db| {
        let mut stored = db.get(b"one").unwrap().unwrap().to_vec();
        stored[0] ^= 1;
        db.insert(b"one", stored).unwrap();
    };
    // Sound in itself, but not the last that was written.
    let stale = |db: &sled::Db| drop(db.insert(b"one", with_crc(b"one", b"first")).unwrap());
    let lost = |db: &sled::Db| drop(db.remove(b"two").unwrap());
    let added = |db: &sled::Db| drop(db.insert(b"four", with_crc(b"four", b"4")).unwrap());
    let swapped = |db: &sled::Db| {
        let (two, three) = (db.get(b"two").unwrap().unwrap(), db.get(b"three").unwrap().unwrap());
        db.insert(b"two", three).unwrap();
        db.insert(b"three", two).unwrap();
    };
    let no_header = |db: &sled::Db| drop(db.remove(HEADER_KEY).unwrap());
    let newer = |db: &sled::Db| {
        let header = [&3_u16.to_le_bytes()[..], &[0; 32]].concat();
        db.insert(HEADER_KEY, with_crc(HEADER_KEY, &header)).unwrap();
    };
    for (tamper, why) in [
        (&wrong_value as &dyn Fn(&sled::Db), "checksum"),
        (&stale, "header speaks of"),
        (&lost, "2 entries are not the 3"),
        (&added, "4 entries are not the 3"),
        (&swapped, "checksum"),
        (&no_header, "no header"),
        (&newer, "version 3"),
    ] {
        let reason = tampered(tamper).unwrap_err();
        assert!(reason.contains(why), "{reason}");
    }
}

#[test]
fn a_value_too_long_is_refused() {
    let mut changes = Changes::default();
    changes.put(b"key", &[1; VALUE_BYTES_MAX], None).unwrap();
    let error = changes.put(b"key", &[1; VALUE_BYTES_MAX + 1], None).unwrap_err();
    assert!(matches!(error, CatalogError::ValueTooLong { bytes: 4097 }), "{error}");
}

#[test]
fn a_panic_while_it_is_read_makes_it_unusable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog");
    put(&mut Catalog::create(&path, IDENTITY, CACHE).unwrap(), b"key", b"value", None);
    let opened = Catalog::open(&path, IDENTITY, CACHE, |_, _, _| panic!("as sled may"));
    let Err(NotOpened::Unusable(reason)) = opened else { panic!("{opened:?}") };
    assert!(reason.contains("as sled may"), "{reason}");
    // Nothing of it is held any more.
    assert!(move_aside(&path).unwrap().unwrap().ends_with("catalog.unusable-1"));
    assert_eq!(move_aside(&path).unwrap(), None);
    Catalog::create(&path, IDENTITY, CACHE).unwrap();
}

#[test]
fn a_catalog_in_use_is_not_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog");
    let _held = Catalog::create(&path, IDENTITY, CACHE).unwrap();
    let opened = Catalog::open(&path, IDENTITY, CACHE, |_, _, _| Ok(()));
    let Err(NotOpened::Failed(CatalogError::InUse { .. })) = opened else { panic!("{opened:?}") };
}

/// What a catalog holds, and what of it is changed next.
#[derive(Default)]
struct Model {
    held: Contents,
}

impl Model {
    /// Changes `count` entries of 600 possible ones, some of them by removing them.
    fn change(&mut self, count: u32, random: &mut Random) -> Changes {
        let mut changes = Changes::default();
        for _ in 0..count {
            let key = format!("key {:03}", random.below(600)).into_bytes();
            let old = self.held.remove(&key).map(|(_, mark)| mark);
            match old {
                Some(old) if random.percent(20) => changes.remove(&key, old),
                _ => {
                    let value = vec![random.below(256) as u8; random.below(60) as usize];
                    let mark = changes.put(&key, &value, old).unwrap();
                    self.held.insert(key, (value, mark));
                }
            }
        }
        changes
    }
}

/// As [`Catalog::write`], to where the machine stops: with a part of the plan alone, or after so many batches of it, the
/// one with the header being the last.
fn stopped(catalog: &mut Catalog, changes: Changes, random: &mut Random) -> bool {
    let from = catalog.header;
    let mut to = from;
    to.entries = from.entries + changes.entries_added - changes.entries_removed;
    to.sum = from.sum.wrapping_add(changes.marks_added).wrapping_sub(changes.marks_removed);
    let plan = Plan { from, to, steps: changes.steps };
    let path = catalog.path.join("plan");
    let before = std::fs::read(&path).unwrap();
    catalog.plan.write(&plan).unwrap();
    let whole = std::fs::read(&path).unwrap();
    if random.percent(30) {
        // Some of the new bytes have come to the disk, in any order.
        let torn = whole.iter().zip(before.iter().copied().chain(std::iter::repeat(0)));
        let at = random.below(whole.len() as u64) as usize;
        let is_first = random.percent(50);
        let torn =
            torn.enumerate().map(|(n, (new, old))| if (n < at) == is_first { *new } else { old });
        let torn: Vec<u8> = torn.collect();
        std::fs::write(&path, &torn).unwrap();
        return torn == whole;
    }
    let batches = plan.steps.chunks(BATCH_MAX);
    let done = random.below(batches.len() as u64 + 2) as usize;
    for steps in batches.clone().take(done) {
        catalog.apply(steps, None).unwrap();
    }
    if done > batches.len() {
        catalog.apply(&[], Some(to)).unwrap();
    }
    catalog.make_durable().unwrap();
    true
}

#[test]
fn a_write_of_several_batches_is_whole_or_nothing_wherever_it_stops() {
    for seed in 0..40 {
        let random = &mut Random::keyed(&[seed]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        let mut catalog = Catalog::create(&path, IDENTITY, CACHE).unwrap();
        let mut model = Model::default();
        for _ in 0..random.between(1, 4) {
            let count = random.between(1, 700) as u32;
            catalog.write(model.change(count, random)).unwrap();
        }
        let before = model.held.clone();
        let count = random.between(BATCH_MAX as u64, 700) as u32;
        let changes = model.change(count, random);
        let is_done = stopped(&mut catalog, changes, random);
        drop(catalog);

        let (mut catalog, found) = open(&path).unwrap();
        model.held = if is_done { model.held } else { before };
        assert_eq!(found, model.held, "seed {seed}, {is_done}");
        // It goes on from there, and what was planned once is not done again.
        for count in [3, 400, 2] {
            catalog.write(model.change(count, random)).unwrap();
            drop(catalog);
            let (again, found) = open(&path).unwrap();
            assert_eq!(found, model.held, "seed {seed}");
            catalog = again;
        }
    }
}

#[test]
fn what_is_written_over_and_over_takes_no_more_and_more_of_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog");
    let mut catalog = Catalog::create(&path, IDENTITY, CACHE).unwrap();
    let mut marks: Vec<Option<Mark>> = vec![None; 10_000];
    for round in 0..24_u8 {
        let mut changes = Changes::default();
        for (number, mark) in (0_u32..).zip(&mut marks) {
            *mark = Some(changes.put(&number.to_be_bytes(), &[round; 400], *mark).unwrap());
        }
        catalog.write(changes).unwrap();
    }
    // 4 MB of values.
    let bytes = catalog.db.size_on_disk().unwrap();
    assert!(bytes < 22 << 20, "{bytes}");
}

#[test]
fn a_plan_comes_back_and_one_that_is_not_whole_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = PlanFile::open(folder.path()).unwrap();
    assert_eq!(file.read().unwrap(), None);
    let header = |entries| Header { identity: IDENTITY, entries, sum: 5 };
    let step = |key: &[u8], stored: Option<&[u8]>| Step {
        key: key.to_vec(),
        stored: stored.map(<[u8]>::to_vec),
    };
    let long = vec![1; VALUE_BYTES_MAX + CRC_BYTES];
    let steps = vec![step(b"one", Some(&long)), step(b"two", None), step(b"three", Some(b""))];
    let plan = Plan { from: header(3), to: header(4), steps };
    file.write(&plan).unwrap();
    let shorter = Plan { from: header(4), to: header(5), steps: vec![step(b"one", None)] };
    file.write(&shorter).unwrap();
    assert_eq!(file.read().unwrap().as_ref(), Some(&shorter));
    file.write(&plan).unwrap();
    assert_eq!(PlanFile::open(folder.path()).unwrap().read().unwrap(), Some(plan));

    let path = folder.path().join("plan");
    let whole = std::fs::read(&path).unwrap();
    for at in [0, 8, 12, 50, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(file.read().unwrap(), None, "byte {at}");
        std::fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(file.read().unwrap(), None, "{at} bytes");
    }
}
