//! A fold goes on from its snapshot, bit for bit, whatever became of the catalog since.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::{Disk, LocalDisk, SimulatedDisk};

/// Six days of eight batches, the first two of which close.
fn journal() -> Journal {
    (0..48).map(|n| batch(day(n / 8), u32::from(n % 5), 3, Some(u32::from(n)))).collect()
}

impl Kept {
    fn snapshots(&mut self) -> Snapshots {
        let (archive, disk) = (self.archive(), Arc::new(LocalDisk::new()));
        self.fold().snapshots(disk, archive, IDENTITY)
    }

    fn read(&self) -> Result<Option<Snapshot>, SnapshotError> {
        Snapshot::read(&LocalDisk::new(), &self.archive(), &IDENTITY)
    }

    /// As a start where records up to `through` are dropped.
    fn options(&self, through: u64) -> FoldOptions {
        let snapshot = self.read().unwrap().map(Arc::new);
        let without_snapshot = if snapshot.is_some() { "" } else { "there is none" }.to_owned();
        let dropped = Dropped { through: Watermark(through), day: day(1), without_snapshot };
        FoldOptions { snapshot, dropped: Some(dropped), ..FoldOptions::default() }
    }

    fn open_with(&mut self, options: &FoldOptions) -> Result<Opened, FoldError> {
        self.open = None;
        let (fold, board, opened) =
            Fold::open(&self.catalog(), &self.archive(), options, IDENTITY)?;
        self.open = Some((fold, board));
        Ok(opened)
    }
}

/// Up to record 34, with two days closed, and a snapshot of that; the catalog has 30.
fn kept() -> (Kept, Journal) {
    let journal = journal();
    let mut kept = Kept::with(&journal[..30].to_vec());
    assert_eq!(kept.close_before(day(3)), 2);
    kept.apply(&journal[..34].to_vec());
    assert_eq!(kept.snapshots().take().unwrap(), Watermark(34));
    (kept, journal)
}

#[test]
fn a_lost_catalog_goes_on_from_it_and_comes_out_the_same() {
    let (mut kept, mut journal) = kept();
    let named = kept.day_files();
    // A late batch reopens a day that the snapshot names a file of, which closes once more.
    journal.insert(34, batch(day(0), 7, 1, None));
    kept.apply(&journal);
    assert_eq!(kept.close_before(day(5)), 3);
    let digest = kept.digest();
    for file in &named {
        assert!(file.exists(), "{} is named by the snapshot", file.display());
    }
    kept.open = None;
    fs::remove_dir_all(kept.catalog()).unwrap();
    let opened = kept.open_with(&kept.options(20)).unwrap();
    assert_eq!(opened.watermark, Watermark(34));
    assert!(opened.rebuilt_because.is_some());
    assert_eq!(kept.fold().checkpointed(), Watermark(34), "it is durable");
    kept.apply(&journal);
    assert_eq!(kept.digest(), digest);
    // It stands in the catalog as everything else does.
    kept.checkpoint();
    let opened = kept.open_with(&kept.options(20)).unwrap();
    assert_eq!((opened.watermark, opened.rebuilt_because), (Watermark(49), None));
    assert_eq!(kept.digest(), digest);
    kept.fold().verify_day_files().unwrap();
    // Another snapshot lets go of the files of the one before.
    kept.close_before(day(5));
    kept.snapshots().take().unwrap();
    assert!(!named[0].exists() && named[1].exists());
}

#[test]
fn a_catalog_that_has_not_folded_what_is_dropped_is_as_good_as_none() {
    let (mut kept, journal) = kept();
    assert_eq!(kept.fold().checkpointed(), Watermark(30));
    let opened = kept.open_with(&kept.options(30)).unwrap();
    assert_eq!((opened.watermark, opened.rebuilt_because), (Watermark(30), None));
    let opened = kept.open_with(&kept.options(31)).unwrap();
    assert_eq!(opened.watermark, Watermark(34));
    assert!(opened.rebuilt_because.unwrap().contains("it has folded 30 records"));
    kept.apply(&journal);
    assert_eq!(kept.digest(), Kept::with(&journal).digest());
}

#[test]
fn without_one_nothing_is_changed_and_what_is_lost_is_told() {
    let (mut kept, _) = kept();
    let path = snapshot_path(&kept.archive());
    let content = fs::read(&path).unwrap();
    let lost = |kept: &mut Kept, through: u64| {
        let options = kept.options(through);
        kept.open_with(&options).unwrap_err().to_string()
    };
    fs::remove_file(&path).unwrap();
    let told = lost(&mut kept, 31);
    assert!(told.contains("there is none") && told.contains("Restore `catalog`"), "{told}");
    assert!(
        kept.catalog().exists() && !kept.catalog().with_file_name("catalog.unusable-1").exists()
    );
    fs::write(&path, &content).unwrap();
    // Too old, or without a file that it names.
    let told = lost(&mut kept, 35);
    assert!(told.contains("folded 34 records"), "{told}");
    let file = kept.day_files().remove(0);
    fs::rename(&file, kept.archive().join("aside")).unwrap();
    let told = lost(&mut kept, 31);
    assert!(told.contains(&*file.to_string_lossy()), "{told}");
    fs::rename(kept.archive().join("aside"), &file).unwrap();
    kept.open_with(&kept.options(31)).unwrap();
}

#[test]
fn what_it_names_outlives_the_throwing_away_of_what_is_derived() {
    let (mut kept, journal) = kept();
    let named = kept.day_files();
    kept.apply(&journal);
    kept.close_before(day(5));
    assert!(kept.day_files().len() > named.len());
    kept.open = None;
    let snapshot = kept.read().unwrap();
    erase_derived(&kept.catalog(), &kept.archive(), snapshot.as_ref()).unwrap();
    assert_eq!(kept.day_files(), named);
    kept.open_with(&kept.options(20)).unwrap();
    kept.apply(&journal);
    assert_eq!(kept.digest(), Kept::with(&journal).digest());
}

#[test]
fn every_bit_and_the_length_are_covered_and_a_newer_one_is_refused_by_name() {
    let (kept, _) = kept();
    let bytes = fs::read(snapshot_path(&kept.archive())).unwrap();
    let disk = SimulatedDisk::new(1, u64::MAX);
    let folder = Path::new("archive");
    disk.create_dir(&folder.join(SNAPSHOT_FOLDER)).unwrap();
    let read = |bytes: &[u8]| {
        disk.write_small(&snapshot_path(folder), bytes).unwrap();
        Snapshot::read(&disk, folder, &IDENTITY)
    };
    assert_eq!(read(&bytes).unwrap(), kept.read().unwrap());
    let mut flipped = bytes.clone();
    for bit in (0..bytes.len() * 8).step_by(7) {
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(read(&flipped), Err(SnapshotError::Damaged { .. })), "{bit}");
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    for length in (0..bytes.len()).step_by(5) {
        assert!(matches!(read(&bytes[..length]), Err(SnapshotError::Damaged { .. })), "{length}");
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        let check = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&check.to_le_bytes());
        read(&bytes).unwrap_err().to_string()
    };
    assert!(with(4, 3).contains("format version 3"));
    assert!(with(8, b'X').contains("no snapshot"));
    assert!(with(16, 9).contains("another data folder"));
    assert!(with(56, 9).contains("does not add up"));
}

#[test]
fn days_are_compared_actor_by_actor_and_together_where_some_are_past_the_bound() {
    let journal = journal();
    let (mut one, mut other) = (Kept::with(&journal), Kept::with(&journal));
    one.close_before(day(5));
    let all = |_: Day| true;
    assert_eq!(one.fold().differs_on(other.fold(), all).unwrap(), None);
    // The same sum, and another actor.
    let number = Watermark(49);
    one.fold().apply(number, &batch(day(3), 1, 1, None)).unwrap();
    other.fold().apply(number, &batch(day(3), 2, 1, None)).unwrap();
    assert_eq!(one.fold().differs_on(other.fold(), all).unwrap(), Some(day(3)));
    assert_eq!(one.fold().differs_on(other.fold(), |asked| asked != day(3)).unwrap(), None);
    // Past the bound it is not known who was counted apart.
    let number = Watermark(50);
    one.fold().apply(number, &Event::ActorsMax(1)).unwrap();
    other.fold().apply(number, &Event::Other).unwrap();
    for kept in [&mut one, &mut other] {
        kept.fold().apply(Watermark(51), &batch(day(3), 99, 1, None)).unwrap();
    }
    assert_eq!(one.fold().differs_on(other.fold(), all).unwrap(), None);
    let answers = one.fold().first_answers_on(day(3)).unwrap();
    assert_eq!((answers.accepted, answers.rejected, answers.conflicts), (26, 0, 0));
    one.fold().apply(Watermark(52), &batch(day(3), 1, 1, None)).unwrap();
    assert_eq!(one.fold().differs_on(other.fold(), all).unwrap(), Some(day(3)));
}

#[test]
fn a_call_that_fails_is_told_by_name_and_the_snapshot_before_stands_or_this_one() {
    use crate::disk::simulated::Fault;
    let journal = journal();
    let mut kept = Kept::with(&journal[..30].to_vec());
    kept.close_before(day(3));
    let folder = Path::new("archive");
    let mut failed = 0;
    for fault in [Fault::Error, Fault::Full, Fault::PowerCut] {
        for call in 0.. {
            let disk = Arc::new(SimulatedDisk::new(call, u64::MAX));
            let snapshots = kept.fold().snapshots(disk.clone(), folder.to_owned(), IDENTITY);
            // The one before: a fold is the same whenever it is taken.
            snapshots.take().unwrap();
            let before = disk.calls();
            disk.fault_at(call, fault);
            let taken = snapshots.take();
            if disk.calls() - before <= call {
                assert_eq!(taken.unwrap(), Watermark(30));
                break;
            }
            let error = taken.unwrap_err();
            assert!(error.to_string().contains("archive/snapshot"), "{error}");
            assert_eq!(error.is_disk_full(), fault == Fault::Full, "{error}");
            failed += 1;
            disk.crash();
            Snapshot::tidy(&*disk, folder).unwrap();
            let read = Snapshot::read(&*disk, folder, &IDENTITY).unwrap().unwrap();
            assert_eq!(read.watermark(), Watermark(30));
            snapshots.take().unwrap();
        }
    }
    assert!(failed >= 6, "{failed}");
}
