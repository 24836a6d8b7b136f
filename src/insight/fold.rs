//! Follows the archive: what is sealed becomes rows, and rows the findings of days.
//!
//! A round takes the sets that are new, derives their parts, makes the days again that look at one of them, and
//! then writes down how far it is. A crash at any place leaves files that the next round writes again, the same
//! byte for byte; what nobody wants any more is removed by each round.
//!
//! Days past their retention go from here as from the archive: their findings are listed no more, and their
//! files, and those of their rows, are removed by the next round. A day that looks at such ones and that has findings
//! of just these records keeps them: they could not be made again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::board::{Findings, Published};
use super::day_file::{self, FindingsFile};
use super::deriving::{Deriver, Parts};
use super::error::InsightError;
use super::folder::{self, Folder, PartName};
use super::key_file::RUN_ROWS;
use super::keys::Keys;
use super::table::{DAYS_AFTER_MAX, DAYS_BEFORE_MAX, Table};
use crate::archive::{Archive, ArchiveError, Set};
use crate::day::Day;
use crate::id::Watermark;
use crate::mrn::Mint;

/// Sets of one round: what a crash makes do again.
const SETS_MAX: usize = 16;

/// Keeps findings up with the archive. One thread owns it.
#[derive(Debug)]
pub struct Insight {
    deriver: Deriver,
    shared: Arc<ArcSwap<Published>>,
    mint: Mint,
    /// What there is in the folder is taken up.
    is_open: bool,
    /// Days past their retention.
    dropped: BTreeSet<Day>,
    /// Nothing lies about that nobody wants any more.
    is_swept: bool,
}

impl Insight {
    /// Over the folder `root`. `identity` is that of the data folder.
    #[must_use]
    pub fn new(root: &Path, identity: [u8; 16], keys: Keys, mint: Mint, archive: Archive) -> Self {
        let folder = Folder::new(root, identity);
        let deriver = Deriver { folder, archive, keys, run_rows: RUN_ROWS };
        let (shared, dropped) = (Arc::default(), BTreeSet::new());
        Self { deriver, shared, mint, is_open: false, dropped, is_swept: false }
    }

    /// Rows of a table that are put in order at once, where a test has too few for the usual number.
    #[cfg(test)]
    pub(super) fn set_run_rows(&mut self, run_rows: usize) {
        self.deriver.run_rows = run_rows;
    }

    /// Takes up what there is in the folder, which is made where there is none. A [`round`](Self::round) does so
    /// where it was not done.
    ///
    /// # Errors
    /// Where folders cannot be made or read. Damage is no error: what is damaged is made again.
    pub fn open(&mut self) -> Result<(), InsightError> {
        if self.is_open {
            return Ok(());
        }
        let Deriver { folder, archive, .. } = &self.deriver;
        folder.make()?;
        let sealed = Watermark(archive.next().0.0 - 1);
        // Sets that the journal has won back are made anew, perhaps of other records.
        let state = folder.read_state()?.filter(|watermark| *watermark <= sealed);
        let watermark = state.unwrap_or(Watermark(0));
        self.dropped = dropped(&archive.sets());
        let mut days = folder.days_through(watermark)?;
        days.retain(|day, _| !self.dropped.contains(day));
        let is_stalled = self.shared.load().is_stalled;
        self.shared.store(Arc::new(Published { watermark, days, is_stalled }));
        self.is_open = true;
        Ok(())
    }

    /// What others read.
    #[must_use]
    pub fn findings(&self) -> Findings {
        Findings::new(Arc::clone(&self.shared), self.deriver.folder.clone(), self.mint.clone())
    }

    /// Tells those who read that it does not come further, or that it does again.
    pub fn tell(&self, is_stalled: bool) {
        let published = Published { is_stalled, ..Published::clone(&self.shared.load()) };
        self.shared.store(Arc::new(published));
    }

    /// Takes what was sealed since; whether there was anything. `is_stopping` is asked now and then.
    ///
    /// # Errors
    /// Where files cannot be read or written. The next round does it again.
    pub fn round(&mut self, is_stopping: &dyn Fn() -> bool) -> Result<bool, InsightError> {
        self.open()?;
        let sets = self.deriver.archive.sets();
        self.forget(dropped(&sets));
        let from = self.shared.load().watermark;
        if !self.is_swept {
            self.sweep(from, &parts_through(&sets, from))?;
        }
        let new: Vec<_> = sets.iter().filter(|set| set.last > from).take(SETS_MAX).collect();
        let Some(through) = new.last().map(|set| set.last) else { return Ok(false) };
        self.is_swept = false;
        match self.take(&sets, &new, through, is_stopping) {
            // A day was dropped meanwhile, or rows were found damaged when it came to read them.
            Err(InsightError::Archive(ArchiveError::Order(why))) => {
                tracing::info!(why, "findings are derived once more");
                Ok(true)
            }
            Err(InsightError::Damaged { path, what }) => {
                tracing::warn!(file = %path.display(), what, "a derived file is made again");
                folder::remove(&path)?;
                Ok(true)
            }
            taken => taken.map(|()| true),
        }
    }

    /// From here on these days are past their retention.
    fn forget(&mut self, dropped: BTreeSet<Day>) {
        if self.dropped == dropped {
            return;
        }
        let mut published = Published::clone(&self.shared.load());
        published.days.retain(|day, _| !dropped.contains(day));
        self.shared.store(Arc::new(published));
        (self.dropped, self.is_swept) = (dropped, false);
    }

    fn take(
        &mut self,
        sets: &[Arc<Set>],
        new: &[&Arc<Set>],
        through: Watermark,
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<(), InsightError> {
        let parts = parts_through(sets, through);
        for (set, part) in new.iter().flat_map(|set| set.kept().map(move |part| (set, part))) {
            if is_stopping() {
                return Err(InsightError::Stopping);
            }
            self.deriver.derive(set, part, &Table::ALL)?;
        }
        let first = new.iter().flat_map(|set| &set.parts).map(|part| part.day).min();
        let mut days = self.shared.load().days.clone();
        if let Some(first) = first {
            let first = Day(first.0.saturating_sub(DAYS_AFTER_MAX));
            let is_kept = |day: &Day| !self.dropped.contains(day);
            let again = parts.range(first..).map(|(day, _)| *day).filter(is_kept);
            for day in again.collect::<Vec<_>>() {
                if is_stopping() {
                    return Err(InsightError::Stopping);
                }
                self.day(day, &parts, &mut days)?;
            }
        }
        self.deriver.folder.write_state(through)?;
        let published = Published { watermark: through, days, is_stalled: false };
        self.shared.store(Arc::new(published));
        self.sweep(through, &parts)
    }

    /// Makes the findings of a day again.
    fn day(
        &mut self,
        day: Day,
        parts: &Parts,
        days: &mut BTreeMap<Day, u64>,
    ) -> Result<(), InsightError> {
        let range = day..=Day(day.0.saturating_add(DAYS_AFTER_MAX));
        let records = parts.range(range).flat_map(|(_, parts)| parts);
        let last = records.map(|(_, part)| part.records.1.0).max().unwrap_or(0);
        let made = self.deriver.day(day, parts)?;
        let (path, heading) = self.deriver.folder.day(day, last);
        let is_whole = || FindingsFile::open(&path, &heading).and_then(|file| file.check()).is_ok();
        if made.missing_days.is_empty() || !is_whole() {
            day_file::write(&path, &heading, &made.missing_days, &made.figures)?;
        }
        days.insert(day, last);
        Ok(())
    }

    /// Removes what no day to come looks at, and findings that others have taken the place of.
    fn sweep(&mut self, through: Watermark, parts: &Parts) -> Result<(), InsightError> {
        let Some((newest, _)) = parts.last_key_value() else { return Ok(()) };
        let is_wanted = |table: Table, name: &PartName| {
            let (before, _) = table.days();
            let is_part = parts.get(&name.day).is_some_and(|parts| {
                let kept = parts.iter().filter(|(_, part)| !part.is_dropped);
                kept.map(|(set, part)| PartName::of(set, part)).any(|kept| kept == *name)
            });
            // The day before the newest may be made again; what comes later is not known here.
            let looks_at = name.day.0 >= newest.0.saturating_sub(before + DAYS_AFTER_MAX);
            (is_part && looks_at) || (name.last > through.0 && !self.dropped.contains(&name.day))
        };
        let published = self.shared.load();
        // What a rebuild left, and has not come to yet, could not be made again.
        let is_newest = |day, last| {
            let is_newest = published.days.get(&day).is_none_or(|newest| *newest == last);
            !self.dropped.contains(&day) && (is_newest || last > through.0)
        };
        self.deriver.folder.sweep(is_wanted, is_newest)?;
        self.is_swept = true;
        Ok(())
    }
}

/// The parts of sets up to record `through`, by day.
fn parts_through(sets: &[Arc<Set>], through: Watermark) -> Parts {
    let mut parts = Parts::new();
    for set in sets.iter().filter(|set| set.last <= through) {
        for part in &set.parts {
            parts.entry(part.day).or_default().push((Arc::clone(set), part.clone()));
        }
    }
    parts
}

/// Days past their retention. What came in for one later than the rest of it is not dropped yet: it goes, too.
pub(super) fn dropped(sets: &[Arc<Set>]) -> BTreeSet<Day> {
    let parts = sets.iter().flat_map(|set| &set.parts);
    parts.filter(|part| part.is_dropped).map(|part| part.day).collect()
}

/// Removes all of it, where nothing is to be found any more.
///
/// # Errors
/// Where it cannot be removed.
pub fn remove(root: &Path) -> Result<(), InsightError> {
    folder::remove_all(root)
}

/// Throws away what can be made again of `archive`, and what is past its retention.
///
/// # Errors
/// Where files cannot be removed.
pub fn erase_derived(
    root: &Path,
    identity: [u8; 16],
    archive: &Archive,
) -> Result<(), InsightError> {
    let folder = Folder::new(root, identity);
    folder.remove_state()?;
    let dropped = dropped(&archive.sets());
    let looks_at_dropped = |day: Day| {
        let first = Day(day.0.saturating_sub(DAYS_BEFORE_MAX));
        let last = Day(day.0.saturating_add(DAYS_AFTER_MAX));
        dropped.range(first..=last).next().is_some()
    };
    folder.sweep(|_, _| false, |day, _| !dropped.contains(&day) && looks_at_dropped(day))
}
