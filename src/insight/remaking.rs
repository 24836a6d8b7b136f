//! For `waag rebuild` and `waag verify`: findings thrown away and made again, or read whole.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::day_file::FindingsFile;
use super::error::InsightError;
use super::fold::{Insight, dropped, erase_derived};
use super::folder::Folder;
use super::keys::Keys;
use crate::archive::Archive;
use crate::day::Day;
use crate::id::Watermark;
use crate::mrn::Mint;

/// What a rebuild made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remade {
    /// Days with findings.
    pub days: usize,
    /// Of so many records.
    pub watermark: Watermark,
    /// How many there were before.
    pub had: usize,
    /// What was there is there again, bit for bit.
    pub is_same: bool,
}

/// Throws away what can be made again of `archive`, and makes it.
///
/// # Errors
/// Where the archive cannot be read, or files cannot be written.
pub fn remake(
    root: &Path,
    identity: [u8; 16],
    keys: Keys,
    mint: Mint,
    archive: &Archive,
) -> Result<Remade, InsightError> {
    let folder = Folder::new(root, identity);
    let mut before = hashes(&folder)?;
    let dropped = dropped(&archive.sets());
    before.retain(|(day, _), _| !dropped.contains(day));
    erase_derived(root, identity, archive)?;
    let mut insight = Insight::new(root, identity, keys, mint, archive.clone());
    while insight.round(&|| false)? {}
    let now = hashes(&folder)?;
    let is_same = before.iter().all(|((day, last), hash)| match now.get(&(*day, *last)) {
        Some(own) => own == hash,
        // It was not that far.
        None => now.keys().any(|(of, own)| of == day && own > last),
    });
    let (days, had) = (now.len(), before.len());
    Ok(Remade { days, watermark: insight.findings().watermark(), had, is_same })
}

/// Reads all findings in `root` that count; how many days, of which records. Nothing where there are none.
///
/// # Errors
/// The first file that is not what was written.
pub fn verify(root: &Path, identity: [u8; 16]) -> Result<Option<(usize, Watermark)>, InsightError> {
    let folder = Folder::new(root, identity);
    let Some(watermark) = folder.read_state()? else { return Ok(None) };
    let days = folder.days_through(watermark)?;
    for (day, last) in &days {
        let (path, heading) = folder.day(*day, *last);
        FindingsFile::open(&path, &heading)?.check()?;
    }
    Ok(Some((days.len(), watermark)))
}

fn hashes(folder: &Folder) -> Result<BTreeMap<(Day, u64), [u8; 32]>, InsightError> {
    let mut hashes = BTreeMap::new();
    for (day, last) in folder.days()? {
        let (path, _) = folder.day(day, last);
        let bytes = std::fs::read(&path).map_err(InsightError::io("read", &path))?;
        hashes.insert((day, last), Sha256::digest(&bytes).into());
    }
    Ok(hashes)
}
