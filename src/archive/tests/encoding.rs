//! Encoding beside: what is written does not depend on who encodes, and errors are told all the same.

use super::making::*;
use super::*;
use crate::disk::{Disk, SimulatedDisk};

fn archive_on(disk: &SimulatedDisk, encode_beside: bool) -> Archive {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = Options { encode_beside, ..options(false) };
    Archive::open(disk, Path::new("data/archive"), options).unwrap().0
}

fn batches() -> Vec<(Day, v1::SubmitBatchRequest)> {
    let days = ["2026-12-30", "2026-12-31", "2027-01-01"].map(day);
    // Several times as many rows as are handed on at once.
    let batches = generated(20_000, 1_000);
    let many = batches.len();
    batches.into_iter().enumerate().map(|(at, batch)| (days[at * 3 / many], batch)).collect()
}

#[test]
fn files_are_the_same_whoever_encodes() {
    let disks = [false, true].map(|beside| {
        let disk = SimulatedDisk::new(1, u64::MAX);
        write_set(&archive_on(&disk, beside), &mut Maker::new(), &batches()).unwrap();
        disk
    });
    let [inline, beside] = &disks;
    assert_eq!(inline.paths(), beside.paths());
    assert!(inline.paths().len() > 15, "{:?}", inline.paths());
    for path in inline.paths() {
        assert!(inline.content(&path) == beside.content(&path), "{path:?}");
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_remains() {
    let disk = SimulatedDisk::new(1, u64::MAX);
    let archive = archive_on(&disk, true);
    write_set(&archive, &mut Maker::new(), &batches()).unwrap();
    let bytes: usize = disk.paths().iter().filter_map(|p| disk.content(p)).map(|c| c.len()).sum();
    // Wherever space ends: in the first rows, between two files, with the last bytes.
    for part in 0..6 {
        let disk = SimulatedDisk::new(1, u64::MAX);
        let archive = archive_on(&disk, true);
        let before = disk.paths();
        disk.set_capacity(bytes as u64 * part / 6);
        let error = write_set(&archive, &mut Maker::new(), &batches()).unwrap_err();
        let ArchiveError::Io { source, .. } = &error else { panic!("{error:?}") };
        assert!(crate::disk::is_disk_full(source), "{error:?}");
        assert_eq!(disk.paths(), before);
        // And once there is space, it is written as if nothing had been.
        disk.set_capacity(u64::MAX);
        write_set(&archive, &mut Maker::new(), &batches()).unwrap();
    }
}

#[test]
fn what_fails_while_rows_come_is_told_to_those_that_follow() {
    for encode_beside in [false, true] {
        let disk = SimulatedDisk::new(1, u64::MAX);
        let archive = archive_on(&disk, encode_beside);
        let mut set = archive.begin(Watermark(1), Ordinal(0)).unwrap();
        let day = day("2026-12-30");
        set.begin(Watermark(1), day).unwrap();
        disk.set_capacity(0);
        // A row group is written once it has 2^17 rows; of numbers that are not alike, so that there is
        // more of it than a buffer takes.
        // Of what is handed on 4,096 at a time, six wait at most.
        let mut chance = crate::disk::simulated::Chance(1);
        let mut told = Ok(());
        for index in 0..170_000 {
            let first_ordinal = Ordinal(chance.below(1 << 40));
            let row = ReplayRow { index, first_ordinal, ..replay(1) };
            told = told.and_then(|()| set.replay(day, &row));
        }
        let error = told.unwrap_err();
        let ArchiveError::Io { source, .. } = &error else { panic!("{error:?}") };
        assert!(crate::disk::is_disk_full(source), "{error:?}");
        drop(set);
        assert!(disk.paths().is_empty(), "{:?}", disk.paths());
    }
}
