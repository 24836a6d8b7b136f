//! Wrong values, and lost and stale ones, behind sled's back: none goes unnoticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::*;

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
