//! Whatever is changed in what the journal wrote is told, with its place, and never cut.

use super::*;
use crate::disk::{AlignedBuffer, DiskFile, PAGE_BYTES};

const PAGE: u64 = PAGE_BYTES as u64;

fn path(segment: u64) -> PathBuf {
    frame::segment_path(Path::new(DIR), segment)
}

/// Three groups of two, one and three pages, and where wanted an end mark.
fn small(end: bool) -> SimulatedDisk {
    let disk = SimulatedDisk::new(3, u64::MAX);
    let (mut journal, _, _) = open_simulated(&disk).unwrap();
    for bytes in [6_000, 90, 11_000] {
        push(&mut journal, 1, &vec![0xA5; bytes]).unwrap();
        journal.commit().unwrap();
    }
    if end {
        journal.end().unwrap();
    }
    disk
}

/// Several segments.
fn rolled() -> SimulatedDisk {
    let disk = SimulatedDisk::new(3, u64::MAX);
    let (mut journal, _, _) = open_simulated(&disk).unwrap();
    for _ in 0..16 {
        push(&mut journal, 1, &[0x5A; 9_000]).unwrap();
        journal.commit().unwrap();
    }
    journal.end().unwrap();
    assert!(verify_simulated(&disk).unwrap().0.segments >= 3);
    disk
}

fn damage(disk: &SimulatedDisk) -> Damage {
    let before = disk.fork();
    let by_verify = match verify_simulated(disk) {
        Err(JournalError::Damaged(damage)) => damage,
        other => panic!("{other:?}"),
    };
    match open_simulated(disk) {
        Err(JournalError::Damaged(damage)) => assert_eq!(damage, by_verify),
        other => panic!("{:?}", other.map(|(_, recovery, _)| recovery)),
    }
    for entry in before.list(Path::new(DIR)).unwrap() {
        let path = Path::new(DIR).join(entry.name);
        assert_eq!(before.content(&path), disk.content(&path), "a refused journal is left alone");
    }
    by_verify
}

/// Flips bit `bit` of segment 1, expects it to be told in its page, and flips it back.
fn expect_told(disk: &SimulatedDisk, bit: u64) {
    assert!(disk.flip(&path(1), bit));
    match verify_simulated(disk) {
        Err(JournalError::Damaged(damage)) => {
            assert_eq!(damage.path, path(1), "bit {bit}");
            assert_eq!(damage.offset, bit / 8 / PAGE * PAGE, "bit {bit}: {damage}");
        }
        other => panic!("bit {bit}: {other:?}"),
    }
    disk.flip(&path(1), bit);
}

#[test]
fn a_flipped_bit_anywhere_is_told_with_its_page() {
    for end in [true, false] {
        let disk = small(end);
        let mut chance = Chance(1);
        let pages = if end { 8 } else { 7 };
        // Header, six pages of groups, the end mark; and pages that were never written.
        for page in 0..pages + 3 {
            // Every bit of the headers of page and group, and of the end of the payload.
            let bits = (0..80 * 8).chain((PAGE - 2) * 8..PAGE * 8);
            for bit in bits {
                if end || bit % 7 == 0 {
                    expect_told(&disk, page * PAGE * 8 + bit);
                }
            }
            // And some bit of every 16 bytes.
            for piece in 0..PAGE / 16 {
                let bit = chance.below(128);
                expect_told(&disk, (page * PAGE + piece * 16) * 8 + bit);
            }
        }
        assert_eq!(verify_simulated(&disk).unwrap().0.ended_clean, end, "all flipped back");
    }
}

#[test]
fn a_flipped_bit_is_refused_by_opening_too_and_nothing_is_changed() {
    let mut chance = Chance(2);
    for _ in 0..200 {
        for disk in [small(true), small(false)] {
            let bit = chance.below(8 * PAGE * 8);
            disk.flip(&path(1), bit);
            assert_eq!(damage(&disk).offset, bit / 8 / PAGE * PAGE);
        }
    }
}

#[test]
fn a_flipped_bit_in_any_segment_is_told() {
    let disk = rolled();
    let mut chance = Chance(3);
    let segments = verify_simulated(&disk).unwrap().0.segments;
    for segment in 1..=segments {
        for _ in 0..150 {
            let bit = chance.below(20 * PAGE * 8);
            disk.flip(&path(segment), bit);
            match verify_simulated(&disk) {
                Err(JournalError::Damaged(damage)) => {
                    assert_eq!(damage.path, path(segment));
                    assert_eq!(damage.offset, bit / 8 / PAGE * PAGE, "{damage}");
                }
                other => panic!("segment {segment}, bit {bit}: {other:?}"),
            }
            disk.flip(&path(segment), bit);
        }
    }
    verify_simulated(&disk).unwrap();
}

#[test]
fn a_flipped_bit_is_never_served() {
    let disk = SimulatedDisk::new(3, u64::MAX);
    let (mut journal, _, _) = open_simulated(&disk).unwrap();
    let placed = push(&mut journal, 1, &[0xA5; 6_000]).unwrap();
    journal.commit().unwrap();
    let reader = journal.reader();
    reader.read(placed.position).unwrap();
    let mut chance = Chance(4);
    for _ in 0..500 {
        let bit = PAGE * 8 + chance.below(2 * PAGE * 8);
        disk.flip(&path(1), bit);
        match reader.read(placed.position) {
            Err(JournalError::Damaged(damage)) => {
                assert_eq!(damage.offset, bit / 8 / PAGE * PAGE);
            }
            other => panic!("bit {bit}: {other:?}"),
        }
        disk.flip(&path(1), bit);
    }
}

fn write(disk: &SimulatedDisk, segment: u64, page: u64, bytes: &[u8]) {
    let file = disk.open(&path(segment), Access::Write).unwrap();
    let mut buffer = AlignedBuffer::new(1);
    buffer.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
    file.write_durable_at(page * PAGE, buffer.bytes()).unwrap();
}

fn page(disk: &SimulatedDisk, segment: u64, page: usize) -> Vec<u8> {
    disk.content(&path(segment)).unwrap()[page * PAGE_BYTES..(page + 1) * PAGE_BYTES].to_vec()
}

#[test]
fn only_a_last_group_with_unwritten_pages_is_torn() {
    // The last group has pages 4, 5 and 6; any of them may be missing.
    for missing in 1..7_u64 {
        let disk = small(false);
        for bit in (0..3).filter(|bit| missing >> bit & 1 == 1) {
            write(&disk, 1, 4 + bit, &[]);
        }
        let (verified, found) = verify_simulated(&disk).unwrap();
        let torn = verified.torn.clone().unwrap();
        assert_eq!((torn.offset, torn.bytes, torn.group), (4 * PAGE, 3 * PAGE, 3));
        assert_eq!((found.len(), verified.ended_clean), (2, false));

        let (mut journal, recovery, _) = open_simulated(&disk).unwrap();
        assert_eq!(recovery, verified);
        for cut in 4..7 {
            assert_eq!(page(&disk, 1, cut), [0; PAGE_BYTES], "nothing of it remains");
        }
        let placed = push(&mut journal, 1, b"after").unwrap();
        assert_eq!(placed.number.0, 3);
        journal.end().unwrap();
        assert_eq!(verify_simulated(&disk).unwrap().1.len(), 3);
    }
    // With an end mark behind it, the same is damage.
    let disk = small(true);
    write(&disk, 1, 5, &[]);
    let told = damage(&disk);
    assert_eq!((told.offset, told.group), (4 * PAGE, Some(3)));
    // So it is for a group that is not the last, even if all of it is missing.
    for pages in [1..2, 1..3, 2..3, 3..4] {
        let disk = small(false);
        for page in pages {
            write(&disk, 1, page, &[]);
        }
        damage(&disk);
    }
}

#[test]
fn an_older_intact_page_in_the_last_group_is_torn_and_beyond_it_damage() {
    let disk = small(false);
    let older = page(&disk, 1, 3);
    write(&disk, 1, 5, &older);
    assert_eq!(verify_simulated(&disk).unwrap().0.torn.unwrap().group, 3);
    for stray in [7, 12, 19] {
        let disk = small(false);
        write(&disk, 1, stray, &older);
        assert_eq!(damage(&disk).offset, stray * PAGE);
    }
}

#[test]
fn pages_of_a_torn_group_must_be_intact() {
    let disk = small(false);
    write(&disk, 1, 4, &[]);
    disk.flip(&path(1), (5 * PAGE + 3_000) * 8);
    let told = damage(&disk);
    assert_eq!(told.offset, 5 * PAGE);
    assert_eq!(told.what, "the check over the page's content fails");
}

#[test]
fn a_group_put_elsewhere_or_of_another_journal_is_damage() {
    // A page of the last group out of its place.
    let disk = small(false);
    let (a, b) = (page(&disk, 1, 5), page(&disk, 1, 6));
    write(&disk, 1, 5, &b);
    write(&disk, 1, 6, &a);
    damage(&disk);
    // The same group at the same place in a journal of other secrets.
    let disk = small(false);
    let other = SimulatedDisk::new(3, u64::MAX);
    let foreign = Options { identity: [8; 16], ..options() };
    let (mut journal, _, _) = open_with(Arc::new(other.clone()), Path::new(DIR), &foreign).unwrap();
    push(&mut journal, 1, &[0xA5; 6_000]).unwrap();
    journal.commit().unwrap();
    write(&disk, 1, 1, &page(&other, 1, 1));
    write(&disk, 1, 2, &page(&other, 1, 2));
    assert_eq!(damage(&disk).offset, PAGE);
}

#[test]
fn a_group_of_another_past_is_damage() {
    // Two journals with the same secrets and different records: groups fit by number and salt.
    let write_three = |with: u8| {
        let disk = SimulatedDisk::new(3, u64::MAX);
        let (mut journal, _, _) = open_simulated(&disk).unwrap();
        for body in [[with; 90], [1; 90], [2; 90]] {
            push(&mut journal, 1, &body).unwrap();
            journal.commit().unwrap();
        }
        disk
    };
    let (disk, other) = (write_three(1), write_three(9));
    write(&disk, 1, 3, &page(&other, 1, 3));
    let told = damage(&disk);
    assert_eq!(told.what, "it does not follow on the group before");
    assert_eq!(told.offset, 3 * PAGE);
}

#[test]
fn a_segment_of_another_past_is_damage() {
    let disk = rolled();
    let other = SimulatedDisk::new(3, u64::MAX);
    let (mut journal, _, _) = open_simulated(&other).unwrap();
    for _ in 0..16 {
        push(&mut journal, 1, &[0x66; 9_000]).unwrap();
        journal.commit().unwrap();
    }
    for number in 0..20 {
        write(&disk, 2, number, &page(&other, 2, usize::try_from(number).unwrap()));
    }
    let told = damage(&disk);
    assert_eq!((told.path, told.offset), (path(2), 0));
    assert!(told.what.contains("does not follow"), "{}", told.what);
}

#[test]
fn a_missing_segment_is_damage() {
    let disk = rolled();
    let segments = verify_simulated(&disk).unwrap().0.segments;
    for missing in 2..=segments {
        let disk = disk.fork();
        disk.remove(&path(missing)).unwrap();
        let told = damage(&disk);
        assert_eq!((told.path, told.offset), (path(missing), 0));
    }
    // The oldest may have been sealed; the caller is told where the journal begins.
    disk.remove(&path(1)).unwrap();
    let (verified, found) = verify_simulated(&disk).unwrap();
    assert!(verified.first_record.0 > 1);
    assert_eq!(verified.first_record.0 + found.len() as u64, 17);
}

#[test]
fn an_unused_segment_before_its_roll_mark_is_removed_and_any_other_is_damage() {
    let disk = rolled();
    // Take away the roll mark of the first segment: what follows proves that it was there.
    let content = disk.content(&path(1)).unwrap();
    let last = content.chunks(PAGE_BYTES).rposition(|page| page.iter().any(|b| *b != 0)).unwrap();
    write(&disk, 1, last as u64, &[]);
    assert_eq!(damage(&disk).offset, last as u64 * PAGE);
    // With only the header in the second segment, it was never in use.
    for segment in 3..9 {
        let _ = disk.remove(&path(segment));
    }
    for page in 1..20 {
        write(&disk, 2, page, &[]);
    }
    let (verified, found) = verify_simulated(&disk).unwrap();
    assert_eq!((verified.segments, verified.torn), (1, None));
    let (mut journal, _, same) = open_simulated(&disk).unwrap();
    assert_eq!(found, same);
    assert_eq!(disk.content(&path(2)), None);
    for _ in 0..8 {
        push(&mut journal, 2, &[1; 9_000]).unwrap();
        journal.commit().unwrap();
    }
    journal.end().unwrap();
    let (verified, again) = verify_simulated(&disk).unwrap();
    assert!(verified.segments >= 2);
    assert_eq!(again.len(), found.len() + 8);
}

#[test]
fn files_that_are_not_segments_of_this_journal_are_named() {
    let told = |disk: &SimulatedDisk| open_simulated(disk).map(|_| ()).unwrap_err().to_string();

    let disk = small(true);
    disk.rename(&path(1), &Path::new(DIR).join("1.segment")).unwrap();
    assert!(told(&disk).ends_with("1.segment at byte 0: no segment has such a name"));

    let disk = small(true);
    disk.rename(&path(1), &path(4)).unwrap();
    assert!(told(&disk).ends_with("the file of segment 1 has this name"));

    let disk = small(true);
    let options = Options { identity: [8; 16], ..options() };
    let other = open_with(Arc::new(disk.clone()), Path::new(DIR), &options);
    assert!(matches!(other, Err(JournalError::OtherIdentity { .. })));

    let mut first = page(&disk, 1, 0);
    first[4] = 2;
    let check = crc32c::crc32c(&first[4..]);
    first[..4].copy_from_slice(&check.to_le_bytes());
    write(&disk, 1, 0, &first);
    assert!(told(&disk).ends_with("has format version 2, and this build reads versions up to 1"));

    // Shorter than it was made.
    let disk = small(true);
    let short = disk.create(&path(2), 4 * PAGE).unwrap();
    let mut first = AlignedBuffer::new(1);
    first.bytes_mut().copy_from_slice(&page(&disk, 1, 0));
    DiskFile::write_durable_at(&*short, 0, first.bytes()).unwrap();
    disk.rename(&path(2), &path(1)).unwrap();
    assert!(told(&disk).ends_with("the file has 16384 bytes, and was made with 20 pages"));
}
