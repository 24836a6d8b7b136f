//! What older versions wrote is read: it has no figures by reference, and says up to where.

use std::fs;

use super::*;
use crate::catalog::{Catalog, Changes};
use crate::disk::LocalDisk;
use crate::summary::counters::first_version;
use crate::summary::whose::Whose;

/// Batches of three days; of each, one declaration came with a fallback reference.
fn journal() -> Journal {
    (0..12_u16).map(|n| referred(day(n / 4), u32::from(n % 3))).collect()
}

fn referred(on: Day, declarant: u32) -> Event {
    let mut delta = Delta::new(on, eori(declarant), None);
    let facts = Facts { lines: 2, intrinsic_value: 700, ..Facts::default() };
    delta.add(Outcome::Accepted, &facts, &[], Some(ioss(1)));
    let late = Facts { delay: Some(Delay::Hours72), ..facts };
    delta.add(Outcome::Accepted, &late, &[], Some(ioss(1)));
    delta.refer(Outcome::Accepted, &late, &FallbackReference::parse("outage").unwrap());
    Event::Batch(delta)
}

/// A folder as version 1 left it after the first 8 batches: the first day closed, the second open.
fn older() -> Kept {
    let journal = journal();
    let mut newer = Kept::with(&journal[..8].to_vec());
    let kept = Kept::new();
    let state = newer.fold().state();
    let (mut changes, closed) =
        (Changes::default(), write_day(&kept, &state.open[&day(0)].kinds, &state));
    let put = |changes: &mut Changes, key: &[u8], value: &[u8]| {
        changes.put(key, value, None).unwrap();
    };
    for role in Role::ALL {
        for (number, id) in state.ids_after(Whose::Actor(role), 0) {
            let mut key = vec![b'a', role as u8];
            key.extend(number.to_be_bytes());
            put(&mut changes, &key, id.as_str().as_bytes());
        }
        let open = &state.open[&day(1)].kinds[role as usize - 1];
        for entry in &open.entries {
            let mut key = vec![b'e'];
            key.extend(day(1).0.to_be_bytes());
            key.push(role as u8);
            key.extend(entry.number.to_be_bytes());
            put(&mut changes, &key, &first_version(&entry.counters));
        }
    }
    let mut key = vec![b'd'];
    key.extend(day(0).0.to_be_bytes());
    put(&mut changes, &key, &closed);
    let mut meta = 8_u64.to_le_bytes().to_vec();
    meta.extend(100_000_u32.to_le_bytes());
    meta.extend((u32::from(day(1).0) + 1).to_le_bytes());
    put(&mut changes, b"m", &meta);
    drop(state);

    let mut kept = kept;
    kept.open = None;
    fs::remove_dir_all(kept.catalog()).unwrap();
    Catalog::create(&kept.catalog(), IDENTITY, 1 << 20).unwrap().write(changes).unwrap();
    kept
}

/// Writes the file of the first day as version 1 did, and tells what the catalog has of it.
fn write_day(
    kept: &Kept,
    kinds: &[std::sync::Arc<crate::summary::state::RoleDay>],
    state: &crate::summary::state::State,
) -> Vec<u8> {
    let mut file = b"WAAGDAY\0".to_vec();
    file.extend(1_u16.to_le_bytes());
    file.extend(day(0).0.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend(IDENTITY);
    let header_crc = crc32c::crc32c(&file);
    file.extend(header_crc.to_le_bytes());
    let mut entries = Vec::new();
    for role in Role::ALL {
        for entry in &kinds[role as usize - 1].entries {
            let id = state.actors(role).id(entry.number).unwrap();
            entries.push((role as u8, id.as_str().to_owned(), first_version(&entry.counters)));
        }
    }
    entries.sort();
    let (mut block, mut index) = (Vec::new(), Vec::new());
    for (role, id, figures) in &entries {
        if index.is_empty() {
            index.extend([*role, id.len() as u8]);
            index.extend(id.as_bytes());
            index.resize(2 + 17, 0);
        }
        block.extend([*role, id.len() as u8]);
        block.extend(id.as_bytes());
        block.extend((figures.len() as u16).to_le_bytes());
        block.extend(figures);
    }
    index.extend((file.len() as u64).to_le_bytes());
    index.extend((block.len() as u32).to_le_bytes());
    index.extend(crc32c::crc32c(&block).to_le_bytes());
    assert_eq!(index.len(), 35);
    file.extend(block);
    let mut footer = (file.len() as u64).to_le_bytes().to_vec();
    footer.extend(1_u32.to_le_bytes());
    footer.extend(crc32c::crc32c(&index).to_le_bytes());
    footer.extend(header_crc.to_le_bytes());
    footer.extend((entries.len() as u64).to_le_bytes());
    let crc = crc32c::crc32c(&footer);
    footer.extend(crc.to_le_bytes());
    file.extend(index);
    file.extend(footer);
    let folder = kept.archive().join(format!("summary/day={}", day(0)));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("summary-1.waag"), &file).unwrap();
    let mut of_day = vec![1];
    of_day.extend(1_u32.to_le_bytes());
    of_day.extend((file.len() as u64).to_le_bytes());
    of_day.extend(crc.to_le_bytes());
    of_day
}

fn references(kept: &Kept) -> u64 {
    let query = ReconciliationsQuery {
        declarant: id_of(1),
        reference: None,
        period: Period::default(),
        after: None,
        page_size: 9,
    };
    let page = kept.board().reconciliations(&query).unwrap().0.unwrap();
    page.of.iter().map(|one| one.counters.received()).sum()
}

#[test]
fn a_catalog_and_a_day_of_version_1_are_gone_on_from() {
    let (mut kept, mut journal) = (older(), journal());
    let opened = kept.reopen(&Journal::new());
    assert_eq!((opened.watermark, opened.rebuilt_because), (Watermark(8), None));
    kept.fold().verify_day_files().unwrap();
    assert_eq!((kept.fold().complete_after(), references(&kept)), (Watermark(8), 0));
    // A late one reopens the day that is closed, and is counted with all that it has.
    journal.push(referred(day(0), 1));
    kept.apply(&journal);
    let mut straight = Kept::with(&journal);
    for round in 0..3 {
        let (digests, whole) = (kept.fold().digests().unwrap(), straight.fold().digests().unwrap());
        assert!(digests.agrees_with(&whole) && whole.agrees_with(&digests), "round {round}");
        assert_ne!(digests.whole(), whole.whole(), "it has not all of the figures");
        let differs = kept.fold().differs_on(straight.fold(), |_| true).unwrap();
        assert_eq!(differs, None);
        // Records 9 to 13 have two of the first declarant with the reference.
        assert_eq!((references(&kept), references(&straight)), (2, 5));
        if round == 0 {
            assert_eq!(kept.close_before(day(4)), 3);
        } else {
            // It stays so, whatever was written since.
            let opened = kept.reopen(&journal);
            assert_eq!((opened.watermark, opened.rebuilt_because), (Watermark(13), None));
        }
        assert_eq!(kept.fold().complete_after(), Watermark(8));
    }
    kept.fold().verify_day_files().unwrap();
    // What an old version had wrong is seen all the same.
    journal[3] = batch(day(0), 2, 1, None);
    let other = Kept::with(&journal).fold().digests().unwrap();
    assert!(!kept.fold().digests().unwrap().agrees_with(&other));
}

#[test]
fn a_snapshot_of_version_1_is_read_and_one_of_now_keeps_where_figures_begin() {
    let mut kept = older();
    kept.reopen(&journal());
    let (archive, disk) = (kept.archive(), std::sync::Arc::new(LocalDisk::new()));
    kept.fold().snapshots(disk, archive.clone(), IDENTITY).take().unwrap();
    let read = || Snapshot::read(&LocalDisk::new(), &archive, &IDENTITY).unwrap().unwrap();
    assert_eq!(read().complete_after, 8);
    assert_eq!(read().state().unwrap().complete_after, 8);
    assert_eq!(read().ids[3].len(), 3, "of the declarants of records 9 to 12");

    let mut bytes = vec![0; 4];
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(b"WAAGSNAP");
    bytes.extend(IDENTITY);
    bytes.extend(7_u64.to_le_bytes());
    bytes.extend(100_000_u32.to_le_bytes());
    bytes.extend((u32::from(day(1).0) + 1).to_le_bytes());
    for id in [eori(1).as_str(), "", ioss(1).as_str()] {
        bytes.extend(u32::from(!id.is_empty()).to_le_bytes());
        if !id.is_empty() {
            bytes.push(id.len() as u8);
            bytes.extend(id.as_bytes());
        }
    }
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(day(1).0.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    let counters = Counters { accepted: 3, accepted_lines: 5, ..Counters::default() };
    let figures = first_version(&counters);
    for entries in [1_u32, 0, 1] {
        bytes.extend(entries.to_le_bytes());
        if entries > 0 {
            bytes.extend(1_u32.to_le_bytes());
            bytes.extend((figures.len() as u16).to_le_bytes());
            bytes.extend(&figures);
        }
    }
    let check = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&check.to_le_bytes());
    fs::write(snapshot_path(&archive), &bytes).unwrap();
    let state = read().state().unwrap();
    assert_eq!((state.watermark, state.complete_after), (7, 7));
    let all = Period::default();
    assert_eq!(state.sum_open(Whose::Actor(Role::Declarant), eori(1).as_str(), all), counters);
    assert_eq!(state.known(Whose::Reference), 0);
}
