//! A checkpoint on its way to the disk, and the days that close with it.
//!
//! [`Fold`](super::Fold) prepares it in memory and takes back what came of it; writing it needs
//! nothing of the fold but the ids it knows, so that another thread can write while the fold goes
//! on. The catalog goes with it: so there is one checkpoint under way at most, and whoever has the
//! catalog is its one writer.
//!
//! The order, each step durable before the next begins:
//!
//! 1. The catalog gets what changed, and the watermark, in one batch.
//! 2. Of each day that closes, the file is written from the counters as they were at that
//!    watermark, whatever has been folded in since.
//! 3. One catalog batch for each day removes the day's entries and names the file. Catalog and
//!    file agree since nothing else was written in between.
//! 4. Older files of the day go.

use std::sync::Arc;

use crate::catalog::{Catalog, Changes, Mark};
use crate::day::Day;
use crate::summary::board::Shared;
use crate::summary::day_files::ClosedDay;
use crate::summary::state::{RoleDay, State};
use crate::summary::whose::{EntryId, KINDS, Whose};
use crate::summary::{Counters, FoldError, stored};

/// What is to be written.
#[derive(Debug)]
pub struct Checkpoint {
    pub(crate) catalog: Catalog,
    pub(crate) shared: Arc<Shared>,
    pub(crate) watermark: u64,
    /// `None` where the checkpoint before is at this watermark.
    pub(crate) changes: Option<Changes>,
    pub(crate) closing: Vec<Closing>,
}

/// A day to be closed, as it is at the checkpoint's watermark.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) day: Day,
    /// Of the file it was reopened from; 0 where it never was closed.
    pub(crate) generation: u32,
    /// Shared with the open day until a late batch comes for it, which then works on a copy.
    pub(crate) kinds: [Arc<RoleDay>; KINDS],
    /// Of the day's own entry in the catalog, where it has one.
    pub(crate) mark: Option<Mark>,
}

/// What has become durable.
#[derive(Debug)]
pub struct Checkpointed {
    pub(crate) catalog: Catalog,
    pub(crate) watermark: u64,
    pub(crate) closed: Vec<Closed>,
}

/// A day that the catalog now knows as closed.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) day: Day,
    pub(crate) file: ClosedDay,
    pub(crate) mark: Mark,
}

impl Checkpoint {
    /// Writes it all; returns once it is durable.
    ///
    /// # Errors
    /// [`FoldError`], upon which the server must stop: nobody knows any more what is stored.
    pub fn write(self) -> Result<Checkpointed, FoldError> {
        let Self { mut catalog, shared, watermark, changes, closing } = self;
        if let Some(changes) = changes {
            catalog.write(changes)?;
        }
        let closed = closing.into_iter().map(|closing| closing.write(&shared, &mut catalog));
        let closed = closed.collect::<Result<_, _>>()?;
        Ok(Checkpointed { catalog, watermark, closed })
    }
}

impl Closing {
    fn write(self, shared: &Shared, catalog: &mut Catalog) -> Result<Closed, FoldError> {
        let Self { day, generation, kinds, mark } = self;
        // Ids once known keep their numbers. The lock is held for some ms at 100,000 of each role.
        let entries = sorted_entries(&shared.read(), &kinds);
        let file = shared.files.write(day, generation, |file| {
            let mut entries = entries.iter();
            entries.try_for_each(|(whose, id, counters)| file.add(*whose, id.as_str(), counters))
        })?;
        let mut changes = Changes::default();
        for (whose, role_day) in Whose::ALL.into_iter().zip(&kinds) {
            for entry in &role_day.entries {
                if let Some(mark) = entry.mark {
                    changes.remove(&stored::entry_key(day, whose, entry.number), mark);
                }
            }
        }
        let mark = changes.put(&stored::day_key(day), &stored::day_value(true, file), mark)?;
        catalog.write(changes)?;
        shared.files.remove_older(day, file.generation)?;
        Ok(Closed { day, file, mark })
    }
}

/// The entries of a day by whose they are and id.
pub(crate) fn sorted_entries<'a>(
    state: &State,
    kinds: &'a [Arc<RoleDay>; KINDS],
) -> Vec<(Whose, EntryId, &'a Counters)> {
    let mut sorted = Vec::new();
    for (whose, role_day) in Whose::ALL.into_iter().zip(kinds) {
        let entries = role_day.entries.iter();
        sorted
            .extend(entries.filter_map(|entry| {
                Some((whose, state.id(whose, entry.number)?, &entry.counters))
            }));
    }
    sorted.sort_unstable_by(|(whose, id, _), (other, other_id, _)| {
        (whose, id.as_bytes()).cmp(&(other, other_id.as_bytes()))
    });
    sorted
}
