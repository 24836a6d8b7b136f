//! Forgetting: keys past `key_retention_days` are not known any more, and what is sent again then is new.
//!
//! What is forgotten follows from the journal alone, as every outcome does: a record says up to which
//! declaration keys are forgotten from there on. Its order:
//!
//! 1. The sealer finds what is due ([`Forgetting::look`]): what came in before the first batch of a day
//!    that is not past `key_retention_days`. All of that has been dropped from the archive by then.
//! 2. When a table is frozen next, nothing is in flight, not even what only repeats. The committer places the record, makes it
//!    durable, and has the index not see any more what is older. Recovery freezes there too.
//! 3. Merging leaves out what was forgotten by the end of what it merges, and no more: a start that goes
//!    on from there takes records which were placed while later things were still known.
//! 4. A run of which all is forgotten goes once all days of the run that has the record are dropped as
//!    well: from then on runs up to there are truth, and no start takes a record before it again.
//!
//! Days are those of batches, as for retention: a clock that is wrong forgets nothing before something is
//! lodged under it, and then for good.

use std::sync::{Arc, Mutex, PoisonError};

use super::sealing::SealError;
use crate::archive::Archive;
use crate::day::Day;
use crate::id::Watermark;
use crate::index::Index;
use crate::index::run::Forgotten;

/// What is to be forgotten when a table is frozen next.
#[derive(Debug, Clone, Default)]
pub(super) struct Due(Arc<Mutex<Option<Forgotten>>>);

impl Due {
    pub(super) fn set(&self, forgotten: Forgotten) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(forgotten);
    }

    /// What was taken and could not be done, unless more is due by now.
    pub(super) fn put_back(&self, forgotten: Forgotten) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(forgotten);
    }

    pub(super) fn take(&self) -> Option<Forgotten> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Finds what is due.
#[derive(Debug)]
pub(super) struct Forgetting {
    days: Option<u16>,
    due: Due,
    /// The last day that was looked for.
    looked: Day,
}

impl Forgetting {
    /// Keys are kept for `days` whole days before the newest; for ever without.
    pub(super) fn new(days: Option<u16>, due: Due) -> Self {
        Self { days, due, looked: Day(0) }
    }

    /// Looks whether something is due now that `newest` is the newest day of a batch, and runs up to
    /// `derived` are folded.
    pub(super) fn look(
        &mut self,
        newest: Option<Day>,
        (index, archive): (&Index, &Archive),
        derived: Watermark,
    ) -> Result<(), SealError> {
        let (Some(days), Some(newest)) = (self.days, newest) else { return Ok(()) };
        match newest.0.checked_sub(days).map(Day) {
            Some(day) if day > self.looked => self.look_before(day, (index, archive), derived),
            _ => Ok(()),
        }
    }

    /// Has the keys forgotten of what came in before the first batch of `day`, or one later.
    pub(super) fn look_before(
        &mut self,
        day: Day,
        (index, archive): (&Index, &Archive),
        derived: Watermark,
    ) -> Result<(), SealError> {
        let (next, sealed) = archive.next();
        // What is not dropped yet will be, or be sealed first.
        if archive.is_due(day, derived) || next.0 > derived.0 + 1 {
            return Ok(());
        }
        let before = index.first_since(day)?.min(sealed);
        self.looked = day;
        if before > index.forgotten().before {
            self.due.set(Forgotten { before, day });
        }
        Ok(())
    }
}
