//! The reader of runs on any files: opening, verifying, counting, comparing and looking up end, and a
//! run that verifies knows every key that it has.

use std::path::Path;
use std::sync::Arc;

use crc32c::{crc32c, crc32c_append};
use waag::day::{Day, Moment};
use waag::disk::{Disk, SimulatedDisk};
use waag::id::Ordinal;
use waag::index::filed::{Admission, Draft, Filed};
use waag::index::run::{Folder, Found, Run, difference, first_answers};
use waag::index::{Index, Memory};
use waag::wire::digest::{Digest, Digests, Key, Keys};

use super::pages::{Page, put, put_u32, u64_at, unpack};

/// Bit 0 of the marks: the checks of all pages are made right.
pub(crate) const CHECKS: u8 = 1;
/// Bit 1: the last file is cut short.
const CUT: u8 = 2;

pub(crate) const DIR: &str = "runs";
pub(crate) const IDENTITY: [u8; 16] = [6; 16];
/// Little, so that a table takes no time to map.
pub(crate) const MEMORY: Memory = Memory { bytes: 1 << 20, slots_min: 64 };

pub(crate) fn keys() -> Keys {
    Keys::new([1; 16], [2; 32])
}

/// What an input came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Runs that follow on one another.
    pub(crate) whole: usize,
    /// Of these, those that verify.
    pub(crate) verified: usize,
    /// Keys found that they have.
    pub(crate) found: usize,
}

pub(crate) fn check(input: &[u8]) -> Reached {
    let (marks, mut files) = unpack(input);
    if marks & CHECKS != 0 {
        files.iter_mut().for_each(|file| seal(file));
    }
    let disk = on_disk(&files, marks & CUT != 0);
    let opened = Folder::new(Arc::new(disk), Path::new(DIR), IDENTITY).open();
    let Ok(Found { whole, .. }) = opened else { return Reached::default() };
    let verified: Vec<bool> = whole.iter().map(|run| run.verify().is_ok()).collect();
    // Each of these reads all of it, and may well find something that does not add up.
    let _ = first_answers(whole.iter());
    let told = difference(&whole, &whole, &keys());
    if marks & CHECKS == 0
        && let Ok(told) = told
    {
        // Whose checks hold is as it was written.
        assert_eq!(told, None, "runs answer as they answer");
    }
    let mut reached = Reached {
        whole: whole.len(),
        verified: verified.iter().filter(|is_sound| **is_sound).count(),
        found: 0,
    };
    let all_verified = reached.verified == files.len();
    let ordinals = ordinals(&whole);
    let Ok(index) = Index::with_runs(keys(), MEMORY, whole) else { return reached };
    for ordinal in ordinals {
        let _ = index.at(ordinal);
    }
    for day in [Day(0), Day(20_000), Day(u16::MAX)] {
        let _ = index.first_since(day);
    }
    let entries = entries(&files);
    let forgotten = index.forgotten().before;
    for entry in &entries {
        match index.under(entry.key) {
            Ok(None) => {
                let is_known = all_verified && entry.is_under_lrn && entry.is_kept(forgotten);
                assert!(!is_known, "{:?} is in a run that verifies, and not found", entry.key);
            }
            Ok(Some(_)) => reached.found += 1,
            Err(_) => {}
        }
    }
    // All of a batch together.
    let mut draft = Draft::default();
    for Entry { key, digest, .. } in &entries {
        let digests = Digests { content: *digest, with_fallback: *digest };
        draft.push(*key, digests, false, None);
    }
    let admission = Admission { at: Moment(0), day: Day(20_000), law: 0 };
    let _ = index.known(&Filed::new(admission, draft));
    reached
}

/// Makes the checks of a file's pages right.
fn seal(file: &mut [Page]) {
    let first_record = u64_at(&file[0], 32);
    for (number, page) in (0_u64..).zip(file) {
        let place = crc32c_append(crc32c(&first_record.to_le_bytes()), &number.to_le_bytes());
        let check = crc32c_append(place, &page[4..]);
        put_u32(page, 0, check);
    }
}

/// Each file under the name of what its header says that it covers.
fn on_disk(files: &[Vec<Page>], is_cut: bool) -> SimulatedDisk {
    let disk = SimulatedDisk::new(0, u64::MAX);
    disk.create_dir(Path::new(DIR)).unwrap();
    for (index, pages) in files.iter().enumerate() {
        let (first, last) = (u64_at(&pages[0], 32), u64_at(&pages[0], 40));
        let path = Path::new(DIR).join(format!("{first:020}-{last:020}.run"));
        let cut = if is_cut && index + 1 == files.len() { 4_000 } else { 0 };
        put(&disk, &path, pages, cut);
    }
    disk
}

/// Around the ends of what is covered, and past them.
fn ordinals(runs: &[Run]) -> Vec<Ordinal> {
    let ends = runs.iter().flat_map(|run| {
        let (first, end) = (run.covers().first_ordinal.0, run.covers().end_ordinal.0);
        [first, first.wrapping_add(1), first.midpoint(end), end.wrapping_sub(1), end]
    });
    ends.chain([0, u64::MAX]).map(Ordinal).collect()
}

struct Entry {
    key: Key,
    digest: Digest,
    is_under_lrn: bool,
    /// Where the file says that it stands.
    ordinal: u64,
}

impl Entry {
    fn is_kept(&self, forgotten: Ordinal) -> bool {
        self.ordinal >= forgotten.0
    }
}

/// What the pages of entries hold, by the headers of the files.
fn entries(files: &[Vec<Page>]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for file in files {
        let first_ordinal = u64_at(&file[0], 48);
        let entry_pages = super::pages::u32_at(&file[0], 96) as usize;
        for page in file.iter().skip(1).take(entry_pages) {
            let count = usize::from(u16::from_le_bytes([page[4], page[5]])).min(127);
            entries.extend((0..count).map(|place| {
                let bytes = &page[8 + place * 32..][..32];
                let mut ordinal = [0; 8];
                ordinal[..5].copy_from_slice(&bytes[26..31]);
                Entry {
                    key: Key(u64_at(bytes, 0), u64_at(bytes, 8)),
                    digest: Digest(u64_at(bytes, 16), u16::from_le_bytes([bytes[24], bytes[25]])),
                    is_under_lrn: bytes[31] & 3 == 0,
                    ordinal: first_ordinal.saturating_add(u64::from_le_bytes(ordinal)),
                }
            }));
        }
    }
    entries
}
