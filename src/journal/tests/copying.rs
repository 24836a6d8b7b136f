//! Copies that are made while records are written and segments go: between any two calls of the disk, while
//! any part of a group is on its way, and beside a writer on the real disk.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::disk::paced::{PacedDisk, Turns};
use crate::disk::{AlignedBuffer, LocalDisk};

const COPY: &str = "copy";
const IDENTITY: [u8; 16] = [7; 16];

/// What a copy has: its first record, and all from there on.
fn copied(disk: &dyn Disk, dir: &Path) -> (u64, Model) {
    let (mut first, mut found) = (None, Model::new());
    let verified = verify(disk, dir, Some(IDENTITY), &mut |record| {
        first.get_or_insert(record.number.0);
        found.push((record.kind, record.body.to_vec()));
        Ok(())
    });
    let verified = verified.unwrap();
    assert_eq!(verified.torn, None, "a copy has no torn group");
    (verified.first_record.0, found)
}

/// The newest segment's file.
fn newest(disk: &SimulatedDisk) -> PathBuf {
    let paths = disk.paths().into_iter().filter(|path| {
        path.starts_with(DIR) && path.extension().is_some_and(|suffix| suffix == "segment")
    });
    paths.max().unwrap()
}

/// Writes some of the pages that are other in `to` than in `from`, each of them whole, half or not at all.
fn write_some(disk: &SimulatedDisk, path: &Path, from: &[u8], to: &[u8], chance: &mut Chance) {
    let file = disk.open(path, Access::Write).unwrap();
    let mut page = AlignedBuffer::new(1);
    for (number, (old, new)) in from.chunks(PAGE_BYTES).zip(to.chunks(PAGE_BYTES)).enumerate() {
        if old != new {
            let cut = [0, PAGE_BYTES, 512 * chance.below(9) as usize][chance.below(3) as usize];
            page.bytes_mut()[..cut].copy_from_slice(&new[..cut]);
            page.bytes_mut()[cut..].copy_from_slice(&old[cut..]);
            file.write_at((number * PAGE_BYTES) as u64, page.bytes()).unwrap();
        }
    }
}

/// Commits, and lets the copy go on while any part of what was written is there.
fn commit_slowly(journal: &mut Journal, disk: &SimulatedDisk, chance: &mut Chance, turns: &Turns) {
    let path = newest(disk);
    let before = disk.content(&path).unwrap();
    journal.commit().unwrap();
    if newest(disk) != path || chance.hits(30) {
        return;
    }
    let after = disk.content(&path).unwrap();
    for _ in 0..1 + chance.below(3) {
        write_some(disk, &path, &before, &after, chance);
        turns.give(1 + chance.below(6));
    }
    let file = disk.open(&path, Access::Write).unwrap();
    let mut whole = AlignedBuffer::new(after.len() / PAGE_BYTES);
    whole.bytes_mut().copy_from_slice(&after);
    file.write_durable_at(0, whole.bytes()).unwrap();
}

/// Makes copies until it is told to end, and then a last one. Each must have what was durable when its last
/// segments were opened, and be a prefix. Returns what each copy has, and how often one was begun anew.
fn keep_copying(
    from: &PacedDisk,
    durable: &AtomicU64,
    is_over: &AtomicBool,
) -> (Vec<(u64, Model)>, u64) {
    let (mut copies, mut failed) = (Vec::new(), 0);
    loop {
        let is_last = is_over.load(Ordering::Acquire);
        let to = SimulatedDisk::new(0, u64::MAX);
        to.create_dir(Path::new(COPY)).unwrap();
        let mut least = 0;
        let copy = Pinned::take(from, Path::new(DIR), IDENTITY).and_then(|mut pinned| {
            least = durable.load(Ordering::Acquire);
            pinned.extend(from)?;
            let mut files = Vec::new();
            let last = pinned.copy(&to, Path::new(COPY), &mut |file| files.push(file))?;
            Ok((last, files))
        });
        match copy {
            Ok((last, files)) => {
                let (first, found) = copied(&to, Path::new(COPY));
                assert_eq!(first + found.len() as u64 - 1, last.0);
                assert!(last.0 >= least, "{last:?} of {least} that were durable");
                for file in files {
                    let content = to.content(&Path::new(COPY).join(&file.name)).unwrap();
                    let told = (content.len() as u64, crc32c::crc32c(&content));
                    assert_eq!((file.bytes, file.check), told, "{}", file.name);
                }
                copies.push((first, found));
            }
            Err(JournalError::Io { source, .. }) if !is_last => {
                assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
                failed += 1;
            }
            Err(JournalError::Damaged(_)) if !is_last => failed += 1,
            Err(error) => panic!("{error}"),
        }
        if is_last {
            return (copies, failed);
        }
    }
}

#[test]
fn a_copy_has_what_was_durable_and_is_a_prefix_whatever_is_written_and_removed_meanwhile() {
    let (mut made, mut anew, mut without_first) = (0, 0, 0);
    for_seeds(40, |seed| {
        let disk = SimulatedDisk::new(seed, u64::MAX);
        let mut chance = Chance(!seed);
        let (mut journal, ..) = open_simulated(&disk).unwrap();
        let mut model = Model::new();
        let (turns, durable) = (Arc::new(Turns::default()), AtomicU64::new(0));
        let is_over = AtomicBool::new(false);
        let from: Arc<dyn Disk> = Arc::new(disk.clone());
        let from = PacedDisk { disk: from, turns: Arc::clone(&turns), elsewhere: None };
        let (copies, failed) = std::thread::scope(|scope| {
            let pacing = turns.pacing();
            let copying = scope.spawn(|| {
                let _paced = turns.paced();
                keep_copying(&from, &durable, &is_over)
            });
            for _ in 0..60 {
                turns.give(chance.below(20));
                for _ in 0..chance.below(5) {
                    let body = body(&mut chance);
                    push(&mut journal, 3, &body).unwrap();
                    model.push((3, body));
                }
                commit_slowly(&mut journal, &disk, &mut chance, &turns);
                durable.store(model.len() as u64, Ordering::Release);
                if chance.hits(15) {
                    let through = Watermark(chance.below(model.len() as u64 + 1));
                    journal.oldest().remove(through).unwrap();
                }
            }
            is_over.store(true, Ordering::Release);
            drop(pacing);
            copying.join().unwrap()
        });
        for (first, copy) in &copies {
            assert_eq!(copy[..], model[*first as usize - 1..][..copy.len()]);
            without_first += u64::from(*first > 1);
        }
        made += copies.len();
        anew += failed;
    });
    if std::env::var("WAAG_SEED").is_err() {
        assert!(made > 150 && anew > 15 && without_first > 30, "{made} {anew} {without_first}");
    }
}

/// A group that is written, and not synced, as its writer would write it next.
fn write_next_group(disk: &SimulatedDisk, body: &[u8]) {
    let ahead = disk.fork();
    let (mut journal, ..) = open_simulated(&ahead).unwrap();
    push(&mut journal, 3, body).unwrap();
    journal.commit().unwrap();
    let path = newest(disk);
    if newest(&ahead) != path {
        return;
    }
    let file = disk.open(&path, Access::Write).unwrap();
    let after = ahead.content(&path).unwrap();
    let mut whole = AlignedBuffer::new(after.len() / PAGE_BYTES);
    whole.bytes_mut().copy_from_slice(&after);
    file.write_at(0, whole.bytes()).unwrap();
}

#[test]
fn a_copy_never_has_what_a_power_cut_may_still_take_from_the_journal() {
    let mut ahead = 0;
    for_seeds(60, |seed| {
        let disk = SimulatedDisk::new(seed, u64::MAX);
        let mut chance = Chance(!seed);
        let (mut journal, ..) = open_simulated(&disk).unwrap();
        for _ in 0..chance.below(10) {
            push(&mut journal, 3, &body(&mut chance)).unwrap();
        }
        journal.commit().unwrap();
        let durable = journal.durable().watermark;
        write_next_group(&disk, &body(&mut chance));
        disk.create_dir(Path::new(COPY)).unwrap();
        let pinned = Pinned::take(&disk, Path::new(DIR), IDENTITY).unwrap();
        let last = pinned.copy(&disk, Path::new(COPY), &mut |_| {}).unwrap();
        ahead += u64::from(last > durable);
        drop(journal);
        disk.crash();
        let (journal, ..) = open_simulated(&disk).unwrap();
        assert!(journal.durable().watermark >= last, "{last:?}");
    });
    assert!(ahead > 20 || std::env::var("WAAG_SEED").is_ok(), "{ahead}");
}

#[test]
fn a_page_that_is_half_there_is_looked_at_again_before_it_is_damage() {
    for is_written in [true, false] {
        let disk = SimulatedDisk::new(1, u64::MAX);
        let (mut journal, ..) = open_simulated(&disk).unwrap();
        push(&mut journal, 3, &[5; 3_000]).unwrap();
        journal.commit().unwrap();
        let path = newest(&disk);
        let whole = disk.content(&path).unwrap();
        // Group 1 has page 1; of that half is there as yet.
        let file = disk.open(&path, Access::Write).unwrap();
        let mut page = AlignedBuffer::new(1);
        page.bytes_mut()[..2_048].copy_from_slice(&whole[4_096..4_096 + 2_048]);
        file.write_at(4_096, page.bytes()).unwrap();
        let turns = Arc::new(Turns::default());
        let from: Arc<dyn Disk> = Arc::new(disk.clone());
        let from = PacedDisk { disk: from, turns: Arc::clone(&turns), elsewhere: None };
        let to = SimulatedDisk::new(0, u64::MAX);
        to.create_dir(Path::new(COPY)).unwrap();
        let copied = std::thread::scope(|scope| {
            let pacing = turns.pacing();
            let copying = scope.spawn(|| {
                let _paced = turns.paced();
                let pinned = Pinned::take(&from, Path::new(DIR), IDENTITY).unwrap();
                pinned.copy(&to, Path::new(COPY), &mut |_| {})
            });
            // The folder is listed, the file opened, its length asked, its header read, and then its pages.
            assert!(turns.give(5));
            if is_written {
                page.bytes_mut().copy_from_slice(&whole[4_096..8_192]);
                file.write_at(4_096, page.bytes()).unwrap();
            }
            drop(pacing);
            copying.join().unwrap()
        });
        match copied {
            Ok(last) => assert!(is_written && last == Watermark(1)),
            Err(JournalError::Damaged(damage)) => {
                assert!(!is_written && damage.offset == 4_096, "{damage}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn damage_is_told_with_its_place_and_not_copied() {
    let disk = SimulatedDisk::new(1, u64::MAX);
    let (mut journal, ..) = open_simulated(&disk).unwrap();
    for _ in 0..8 {
        push(&mut journal, 3, &[5; 6_000]).unwrap();
        journal.commit().unwrap();
    }
    disk.create_dir(Path::new(COPY)).unwrap();
    let first = frame::segment_path(Path::new(DIR), 1);
    let copy = || {
        let pinned = Pinned::take(&disk, Path::new(DIR), IDENTITY)?;
        pinned.copy(&disk, Path::new(COPY), &mut |_| {})
    };
    assert_eq!(copy().unwrap(), Watermark(8));
    // In the header, in a group, in one that is the last, and behind it.
    for page in [0, 1, 2, 15, 19] {
        assert!(disk.flip(&first, 8 * (page * 4_096 + 100)));
        match copy().unwrap_err() {
            JournalError::Damaged(damage) => {
                assert_eq!((damage.path, damage.offset), (first.clone(), page * 4_096));
            }
            error => panic!("{error}"),
        }
        assert!(disk.flip(&first, 8 * (page * 4_096 + 100)));
    }
    assert_eq!(copy().unwrap(), Watermark(8));
    let other = Pinned::take(&disk, Path::new(DIR), [8; 16]).unwrap_err();
    assert!(matches!(other, JournalError::OtherIdentity { .. }));
}

#[test]
fn copies_beside_a_writer_on_the_real_disk_are_whole() {
    for folder in [tempfile::tempdir().ok(), tempfile::tempdir_in("/dev/shm").ok()] {
        let Some(folder) = folder else { continue };
        let (dir, copies) = (folder.path().join("journal"), folder.path().join("copies"));
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk::new());
        let options = Options {
            segment_bytes: 1 << 20,
            group_bytes_max: 100_000,
            record_bytes_max: 100_000,
            ..Options::new(IDENTITY)
        };
        let (mut journal, ..) = open_with(Arc::clone(&disk), &dir, &options).unwrap();
        let (durable, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let body = |number: u64| vec![number as u8; (number * 7_919 % 60_000) as usize];
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let mut number = 0;
                while !is_over.load(Ordering::Acquire) {
                    number += 1;
                    let body = body(number);
                    while !journal
                        .room()
                        .reserve(body.len())
                        .is_ok_and(|reservation| journal.push(3, &[&body], reservation).is_ok())
                    {
                        journal.commit().unwrap();
                        std::thread::yield_now();
                    }
                    if number.is_multiple_of(3) {
                        let now = journal.commit().unwrap().watermark.0;
                        durable.store(now, Ordering::Release);
                        journal.oldest().remove(Watermark(now.saturating_sub(100))).unwrap();
                    }
                }
                journal.end().unwrap();
            });
            let mut made = 0;
            while made < 25 {
                let to = copies.join(made.to_string());
                disk.create_dir(&to).unwrap();
                let least = durable.load(Ordering::Acquire);
                let copy = Pinned::take(&*disk, &dir, IDENTITY)
                    .and_then(|pinned| pinned.copy(&*disk, &to, &mut |_| {}));
                // A segment may have gone before it was opened.
                let Ok(last) = copy else { continue };
                let (first, found) = copied(&*disk, &to);
                assert!(last.0 >= least && last.0 + 1 == first + found.len() as u64);
                for (number, (kind, read)) in (first..).zip(found) {
                    assert_eq!((kind, read), (3, body(number)), "record {number}");
                }
                std::fs::remove_dir_all(&to).unwrap();
                made += 1;
            }
            is_over.store(true, Ordering::Release);
            writing.join().unwrap();
        });
    }
}
