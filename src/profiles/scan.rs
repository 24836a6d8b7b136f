//! Goes through what is sealed: the accepted declarations of some days, set after set.
//!
//! Memory is that of reading a set (see [`crate::archive`]), however many days there are. Time is bounded by whoever
//! asks: after each batch it is told how far this is, and may end it.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::archive::{Archive, ArchiveError, DeclarationEntry, Entry, Part, Set};
use crate::day::Day;
use crate::id::Watermark;
use crate::outcome::Outcome;

/// What is to be gone through.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// The archive.
    pub archive: &'a Archive,
    /// Of it, these sets.
    pub sets: &'a [Arc<Set>],
    /// What arrived on the first to the last of these days.
    pub days: (Day, Day),
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scanned {
    /// Declarations that were passed, those that were not accepted included.
    pub done: u64,
    /// And how many there are.
    pub of: u64,
}

/// Why it did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It was ended.
    #[error("ended after {} of {} declarations", .0.done, .0.of)]
    Ended(Scanned),
    /// What is sealed cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl Scan<'_> {
    fn is_wanted(&self, part: &Part) -> bool {
        (self.days.0..=self.days.1).contains(&part.day)
    }

    /// Declarations that there are to go through.
    #[must_use]
    pub fn size(&self) -> u64 {
        let parts = self.sets.iter().flat_map(|set| set.kept());
        parts.filter(|part| self.is_wanted(part)).map(Part::declarations).sum()
    }
}

/// The record up to which `sets`, the first ones of an archive, have all.
#[must_use]
pub(super) fn watermark(sets: &[Arc<Set>]) -> Watermark {
    sets.last().map_or(Watermark(0), |set| set.last)
}

/// Gives `take` each accepted declaration in the order of the journal, and asks `control` after each batch whether to
/// go on.
///
/// # Errors
/// Where the archive cannot be read, is damaged, or days of it are dropped meanwhile; where `control` ended it.
pub fn scan(
    scan: Scan<'_>,
    mut take: impl FnMut(&DeclarationEntry<'_>),
    mut control: impl FnMut(Scanned) -> ControlFlow<()>,
) -> Result<(), ScanError> {
    let mut scanned = Scanned { done: 0, of: scan.size() };
    for set in scan.sets {
        if !set.kept().any(|part| scan.is_wanted(part)) {
            continue;
        }
        let mut records = scan.archive.read_days(set, scan.days)?;
        while records.next_batch()?.is_some() {
            while let Some(entry) = records.next_entry()? {
                let Entry::Declaration(entry) = entry else { continue };
                scanned.done += 1;
                if entry.outcome == Outcome::Accepted {
                    take(&entry);
                }
            }
            if control(scanned).is_break() {
                return Err(ScanError::Ended(scanned));
            }
        }
    }
    Ok(())
}
