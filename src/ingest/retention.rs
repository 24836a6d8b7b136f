//! Retention: days of the archive that are past it are dropped.
//!
//! A day is past retention once so many whole days lie between it and the newest day of a batch. Days
//! are those of batches: a clock that is wrong drops nothing by itself. What is dropped is in runs on
//! disk, and the catalog has folded it; from there on runs and summaries are truth for it.
//!
//! The order, each step durable before the next begins:
//!
//! 1. A snapshot of the summaries, from which they go on should the catalog be lost. Its watermark is
//!    past the last record that is dropped.
//! 2. The set files say that the day is dropped.
//! 3. Its files go.
//!
//! A start that has lost the catalog goes on from the snapshot, and throws runs away that are of later
//! records: none of those may have what was dropped. So no runs are merged before the newest snapshot
//! is past all of them.

use super::sealing::SealError;
use crate::archive::Archive;
use crate::day::Day;
use crate::id::Watermark;
use crate::summary::{SnapshotError, Snapshots};

/// Drops days, and keeps what must outlive them.
#[derive(Debug, Clone)]
pub(super) struct Retention {
    days: Option<u16>,
    archive: Archive,
    snapshots: Snapshots,
}

impl Retention {
    /// `days` whole days before the newest are kept of `archive`; all of them without. Where days are
    /// dropped and there is no snapshot, it was lost and the catalog was not: one is taken.
    pub(super) fn begin(
        days: Option<u16>,
        archive: Archive,
        snapshots: Snapshots,
        has_snapshot: bool,
    ) -> Result<Self, SnapshotError> {
        if archive.dropped().is_some() && !has_snapshot {
            snapshots.take()?;
        }
        Ok(Self { days, archive, snapshots })
    }

    /// Drops what is past retention, of records up to `derived`, the last one of the newest run of which
    /// the catalog has folded all.
    pub(super) fn drop_past(&self, derived: Watermark) -> Result<(), SealError> {
        let (Some(days), Some(newest)) = (self.days, self.newest_day()) else {
            return Ok(());
        };
        // Kept: the newest day and `days` before it. Of one before those no batch is in work any more.
        let Some(before) = newest.0.checked_sub(days).map(Day) else { return Ok(()) };
        self.drop_before(before, derived).map(|_| ())
    }

    /// Drops the days before `before`. Returns how many days of sets they were.
    pub(super) fn drop_before(&self, before: Day, derived: Watermark) -> Result<u64, SealError> {
        if !self.archive.is_due(before, derived) {
            return Ok(0);
        }
        self.snapshots.take()?;
        let dropped = self.archive.drop_days(before, derived)?;
        tracing::info!(
            %before,
            days_of_sets = dropped.parts,
            bytes = dropped.bytes,
            "days past their retention are dropped"
        );
        Ok(dropped.parts)
    }

    /// The newest day of a batch.
    pub(super) fn newest_day(&self) -> Option<Day> {
        self.snapshots.newest_day()
    }

    /// The last record of days that are dropped.
    pub(super) fn dropped_through(&self) -> Option<Watermark> {
        self.archive.dropped().map(|(through, _)| through)
    }

    /// To be called before runs are merged of which the catalog has folded all.
    pub(super) fn before_merge(&self) -> Result<(), SnapshotError> {
        if self.days.is_some() || self.archive.dropped().is_some() {
            self.snapshots.take()?;
        }
        Ok(())
    }
}
