//! The journal's reader and its recovery on any files: they end, they change nothing they refuse, and
//! reading, opening and reading back tell the same. What opens goes on being written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc32c::{crc32c, crc32c_append};
use waag::disk::{Disk, SimulatedDisk};
use waag::journal::{
    self, Journal, JournalError, NoRoomCause, Options, Position, Record, Recovery, extent, open,
    verify,
};

use super::pages::{Page, put, put_u32, u32_at, u64_at, unpack};

/// Bit 0 of the marks: the checks of all pages are made right.
pub(crate) const CHECKS: u8 = 1;
/// Bit 1: and those by which groups are linked.
pub(crate) const LINKS: u8 = 2;
/// Bit 2: files are named as their headers say, and not from 1 on.
const NAMES: u8 = 4;
/// Bit 3: the last file is cut short.
const CUT: u8 = 8;

pub(crate) const DIR: &str = "journal";

/// Small segments, and everything in one thread.
pub(crate) fn options() -> Options {
    Options {
        segment_bytes: 8 * 4_096,
        group_bytes_max: 8_000,
        record_bytes_max: 6_000,
        prepare_in_background: false,
        ..Options::new([7; 16])
    }
}

/// Where each record stands: its number, kind and body.
type Records = BTreeMap<Position, (u64, u8, Vec<u8>)>;

/// What was found, where the journal can be opened.
pub(crate) fn check(input: &[u8]) -> Option<Recovery> {
    let (marks, mut files) = unpack(input);
    if marks & CHECKS != 0 {
        seal(&mut files, marks & LINKS != 0);
    }
    let disk = on_disk(&files, marks);
    let pages = files.iter().map(Vec::len).sum();
    let identity = options().identity;
    let read = ends(&disk, pages, || {
        let mut records = Records::new();
        verify(&disk, Path::new(DIR), Some(identity), &mut |record| {
            add(&mut records, &record);
            Ok(())
        })
        .map(|verified| (verified, records))
    });
    let told = ends(&disk, pages, || extent(&disk, Path::new(DIR), &identity));
    if let (Ok((verified, _)), Ok(told)) = (&read, &told) {
        let first = told.map_or(0, |extent| extent.first_record.0);
        assert_eq!(verified.first_record.0, first);
    }
    let opened = disk.fork();
    let opening = ends(&opened, pages, || opening(&opened, 1));
    match (read, opening) {
        (Ok((verified, read)), Ok((journal, recovery, records))) => {
            assert_eq!(recovery, verified);
            assert_eq!(records, read);
            is_read_back(&journal, &files, &records);
            goes_on(&opened, journal, &records);
            if let Some((first, _)) = records.first_key_value() {
                is_opened_from(&disk, first.segment.saturating_add(1), &records);
            }
            Some(recovery)
        }
        (Err(by_verify), Err(by_open)) => {
            assert_eq!(by_open.to_string(), by_verify.to_string());
            assert_eq!(contents(&opened), contents(&disk), "what is refused is left alone");
            None
        }
        (read, opening) => {
            panic!("verify: {read:?}, open: {:?}", opening.map(|(_, recovery, _)| recovery))
        }
    }
}

/// Makes right what a changed byte leaves wrong, in the order in which the writer would.
fn seal(files: &mut [Vec<Page>], links: bool) {
    let mut link = 0;
    for file in files {
        let [header, pages @ ..] = &mut file[..] else { continue };
        if links {
            put_u32(header, 28, link);
        }
        let check = crc32c(&header[4..]);
        put_u32(header, 0, check);
        let salt = u64_at(header, 48);
        let mut rest = pages;
        while let Some(first) = rest.first() {
            // As many pages as the group says it has.
            let count = (u32_at(first, 20) as usize).clamp(1, rest.len());
            let (group, later) = rest.split_at_mut(count);
            seal_group(group, salt, links.then_some(&mut link));
            rest = later;
        }
    }
}

fn seal_group(group: &mut [Page], salt: u64, link: Option<&mut u32>) {
    if group[0] == [0; 4_096] {
        return;
    }
    let written = |page: &&mut Page| **page != [0; 4_096];
    for page in group.iter_mut().skip(1).filter(written) {
        let payload = crc32c(&page[24..]);
        put_u32(page, 4, payload);
    }
    if let Some(link) = &link {
        let rest = group.iter().skip(1).fold(0, |check, page| crc32c_append(check, &page[4..8]));
        put_u32(&mut group[0], 24 + 32, **link);
        put_u32(&mut group[0], 24 + 36, rest);
    }
    let payload = crc32c(&group[0][24..]);
    put_u32(&mut group[0], 4, payload);
    for page in group.iter_mut().filter(written) {
        let check = crc32c_append(crc32c(&salt.to_le_bytes()), &page[4..24]);
        put_u32(page, 0, check);
    }
    if let Some(link) = link {
        *link = u32_at(&group[0], 0);
    }
}

fn on_disk(files: &[Vec<Page>], marks: u8) -> SimulatedDisk {
    let disk = SimulatedDisk::new(0, u64::MAX);
    disk.create_dir(Path::new(DIR)).unwrap();
    for (index, pages) in files.iter().enumerate() {
        let named = marks & NAMES != 0;
        let number = if named { u64_at(&pages[0], 16) } else { index as u64 + 1 };
        let is_cut = marks & CUT != 0 && index + 1 == files.len();
        put(&disk, &path(number), pages, if is_cut { 4_000 } else { 0 });
    }
    disk
}

fn path(segment: u64) -> PathBuf {
    Path::new(DIR).join(format!("{segment:020}.segment"))
}

fn contents(disk: &SimulatedDisk) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    disk.paths().into_iter().map(|path| (path.clone(), disk.content(&path))).collect()
}

/// Does it with no more calls of the disk than there is to read, many times over.
fn ends<T>(disk: &SimulatedDisk, pages: usize, act: impl FnOnce() -> T) -> T {
    let before = disk.calls();
    let done = act();
    let calls = disk.calls() - before;
    assert!(calls <= 200 + 50 * pages as u64, "{calls} calls for {pages} pages");
    done
}

fn add(records: &mut Records, record: &Record<'_>) {
    if let Some((_, (last, _, _))) = records.last_key_value() {
        assert_eq!(record.number.0, last + 1);
    }
    let known = (record.number.0, record.kind, record.body.to_vec());
    assert!(records.insert(record.position, known).is_none());
}

fn opening(
    disk: &SimulatedDisk,
    from_segment: u64,
) -> Result<(Journal, Recovery, Records), JournalError> {
    let mut records = Records::new();
    let options = Options { from_segment, ..options() };
    let (journal, recovery) =
        open(Arc::new(disk.clone()), Path::new(DIR), &options, &mut |record| {
            add(&mut records, &record);
            Ok(())
        })?;
    Ok((journal, recovery, records))
}

/// Every record is read back from its place, by either reader, and none from anywhere else.
fn is_read_back(journal: &Journal, files: &[Vec<Page>], records: &Records) {
    let reader = journal.reader();
    for (position, (number, kind, body)) in records {
        let found = reader.read(*position).unwrap();
        assert_eq!((found.number.0, found.kind, &found.body), (*number, *kind, body));
    }
    let segments = records.keys().map(|position| position.segment);
    for segment in segments.collect::<std::collections::BTreeSet<_>>() {
        let pages = files.iter().map(Vec::len).max().unwrap_or(0) as u32 + 2;
        for (page, offset) in (0..pages).flat_map(|page| [(page, 48), (page, 53), (page, 0)]) {
            let position = Position { segment, page, offset };
            let found = reader.read(position);
            assert!(found.is_err() || records.contains_key(&position), "{position}: {found:?}");
        }
    }
    let (Some((_, (first, _, _))), Some((_, (last, _, _)))) =
        (records.first_key_value(), records.last_key_value())
    else {
        return;
    };
    let mut again = Records::new();
    let whole = (waag::id::Watermark(*first), waag::id::Watermark(*last));
    let read = journal.oldest().read(whole.0, whole.1, &mut |record| {
        add(&mut again, &record);
        Ok(())
    });
    read.unwrap();
    assert_eq!(&again, records);
}

/// A record can be added, and is there with all those before it.
fn goes_on(disk: &SimulatedDisk, mut journal: Journal, records: &Records) {
    let reservation = match journal.room().reserve(3) {
        Ok(reservation) => reservation,
        Err(refused) => {
            assert_eq!(refused.cause, NoRoomCause::NotReady);
            journal.commit().unwrap();
            journal.room().reserve(3).unwrap()
        }
    };
    let placed = journal.push(200, &[b"new"], reservation).unwrap();
    journal.commit().unwrap();
    // Nothing is left behind it of what was there, such as pages of a torn group.
    let (_, recovery, found) = opening(&disk.fork(), 1).unwrap();
    assert!(recovery.torn.is_none() && found.len() == records.len() + 1);
    journal.end().unwrap();
    let (_, recovery, mut found) = opening(disk, 1).unwrap();
    assert!(recovery.ended_clean && recovery.torn.is_none());
    let added = found.remove(&placed.position);
    assert_eq!(added, Some((placed.number.0, 200, b"new".to_vec())));
    assert_eq!(&found, records);
}

/// Without what stands in earlier segments the rest is the same.
fn is_opened_from(disk: &SimulatedDisk, segment: u64, records: &Records) {
    let last = journal::extent(disk, Path::new(DIR), &options().identity).unwrap();
    if last.is_none_or(|extent| extent.last_segment < segment) {
        return;
    }
    let (_, _, found) = opening(&disk.fork(), segment).unwrap();
    let rest = records.range(Position { segment, page: 0, offset: 0 }..);
    assert!(found.iter().eq(rest));
}
