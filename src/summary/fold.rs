//! The fold: merges deltas in journal order, and keeps what it made.
//!
//! Where each figure is at any moment, so that a crash at any step loses nothing and counts
//! nothing twice:
//!
//! 1. A *checkpoint* writes changed entries, new ids and the watermark in one catalog batch. After
//!    a crash the fold starts from there, and the caller folds the records after it again.
//! 2. *Closing* a day: a checkpoint; then the day's file is written, synced and named; then one
//!    catalog batch removes the day's entries and names the file; then older files of the day go.
//!    Before that batch the file counts for nothing; after it the entries do not.
//! 3. *Reopening* a day for a late record: its file is read into memory, and the next checkpoint
//!    writes all its entries and says that the day is open. Until then the file counts.
//!
//! Steps 1 and 2 are prepared here and may be written by another thread ([`Checkpoint`]) while
//! records go on being folded in. Until that is reported durable the day is open in memory, and is
//! read from there. Where a late record has come for it meanwhile, it stays so, as after step 3:
//! the file has what was folded in up to the checkpoint, and the next one writes all its entries.
//!
//! How it is opened stands in `opening`, how two are told from one another in `comparing`.
//!
//! Days change only by these steps, and the same records in the same order give the same state,
//! so that it does not matter when they happen.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, RwLockReadGuard};

use crate::catalog::{Catalog, Changes, Mark};
use crate::day::Day;
use crate::disk::Disk;
use crate::id::Watermark;
use crate::summary::board::Shared;
use crate::summary::checkpoint::{Closed, Closing};
use crate::summary::day_files::ClosedDay;
use crate::summary::state::{Dirty, OpenDay, State};
use crate::summary::stored;
use crate::summary::whose::{KINDS, Whose};
use crate::summary::{Checkpoint, Checkpointed, Counters, Delta, Event, FoldError, Snapshots};

/// The fold. One thread owns it; others read through its [`Board`](crate::summary::Board).
#[derive(Debug)]
pub struct Fold {
    pub(super) shared: Arc<Shared>,
    /// `None` while a checkpoint is under way, which has it.
    pub(super) catalog: Option<Catalog>,
    pub(super) watermark: u64,
    /// Of the last checkpoint, where there was one.
    pub(super) checkpointed: Option<u64>,
    pub(super) dirty: Vec<Dirty>,
    /// How many ids of each kind the catalog holds.
    pub(super) ids_stored: [u32; KINDS],
    pub(super) meta_mark: Option<Mark>,
    pub(super) day_marks: BTreeMap<Day, Mark>,
    /// Days reopened since the last checkpoint, with the file they came from.
    pub(super) reopened: BTreeMap<Day, ClosedDay>,
}

impl Fold {
    /// How many records are folded in.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        Watermark(self.watermark)
    }

    /// How many of them the last checkpoint holds: those after it are to be folded again should
    /// the process stop now, so the journal must still have them.
    #[must_use]
    pub fn checkpointed(&self) -> Watermark {
        Watermark(self.checkpointed.unwrap_or(0))
    }

    /// The newest day of a batch folded in.
    #[must_use]
    pub fn newest_day(&self) -> Option<Day> {
        self.state().newest
    }

    /// Takes snapshots of this fold, for the archive in `folder` on `disk`.
    #[must_use]
    pub fn snapshots(&self, disk: Arc<dyn Disk>, folder: PathBuf, identity: [u8; 16]) -> Snapshots {
        Snapshots::new(Arc::clone(&self.shared), disk, folder, identity)
    }

    /// Folds in record `number`, which must be the one after the last.
    ///
    /// # Errors
    /// [`FoldError::OutOfOrder`]; [`FoldError::DayFile`] where a late record needs a closed day
    /// that cannot be read.
    pub fn apply(&mut self, number: Watermark, event: &Event) -> Result<(), FoldError> {
        let expected = Watermark(self.watermark + 1);
        if number != expected {
            return Err(FoldError::OutOfOrder { expected, found: number });
        }
        if let Event::Batch(delta) = event {
            self.reopen_for(delta)?;
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.write();
        match event {
            Event::Batch(delta) => state.fold(delta, number.0, &mut self.dirty),
            Event::ActorsMax(actors_max) => state.actors_max = *actors_max,
            Event::Other => {}
        }
        state.watermark = number.0;
        drop(state);
        self.watermark = number.0;
        self.shared.publish(number.0);
        Ok(())
    }

    /// Prepares a checkpoint of what changed since the last one, and the closing of every day that
    /// is at least two days before the newest: of such a day no more batches come, save late ones,
    /// which reopen it. Touches no disk. `None` where there is nothing to write, or a checkpoint is
    /// under way.
    ///
    /// # Errors
    /// [`FoldError`], upon which the server must stop.
    pub fn begin_checkpoint(&mut self) -> Result<Option<Checkpoint>, FoldError> {
        let days = self.newest_day().map(|newest| self.days_before(newest));
        self.prepare(days.unwrap_or_default())
    }

    /// Takes back what [`Fold::begin_checkpoint`] gave, now that it is durable.
    pub fn end_checkpoint(&mut self, checkpointed: Checkpointed) {
        let Checkpointed { catalog, watermark, closed } = checkpointed;
        self.catalog = Some(catalog);
        self.checkpointed = Some(watermark);
        for closed in closed {
            self.end_closing(closed);
        }
    }

    /// Writes what changed since the last checkpoint, and the watermark; returns once it is
    /// durable.
    ///
    /// # Errors
    /// [`FoldError`], upon which the server must stop: this fold no longer knows what is stored.
    pub fn checkpoint(&mut self) -> Result<(), FoldError> {
        self.write_now(Vec::new())
    }

    /// Closes every open day that is at least two days before `newest`, which should be
    /// [`Fold::newest_day`], with a checkpoint; returns once all is durable. Tells how many days it
    /// closed.
    ///
    /// # Errors
    /// [`FoldError`], upon which the server must stop.
    pub fn close_days(&mut self, newest: Day) -> Result<usize, FoldError> {
        let days = self.days_before(newest);
        let count = days.len();
        if count > 0 {
            self.write_now(days)?;
        }
        Ok(count)
    }

    fn days_before(&self, newest: Day) -> Vec<Day> {
        let past = |day: &Day| u32::from(day.0) + 2 <= u32::from(newest.0);
        self.state().open.keys().copied().filter(past).collect()
    }

    fn write_now(&mut self, closing: Vec<Day>) -> Result<(), FoldError> {
        if self.catalog.is_none() {
            return Err(FoldError::UnderWay);
        }
        if let Some(checkpoint) = self.prepare(closing)? {
            let checkpointed = checkpoint.write()?;
            self.end_checkpoint(checkpointed);
        }
        Ok(())
    }

    fn prepare(&mut self, days: Vec<Day>) -> Result<Option<Checkpoint>, FoldError> {
        let is_new = self.checkpointed != Some(self.watermark);
        if !is_new && days.is_empty() {
            return Ok(None);
        }
        let Some(catalog) = self.catalog.take() else { return Ok(None) };
        let shared = Arc::clone(&self.shared);
        let mut state = shared.write();
        let changes = if is_new { Some(self.changes(&mut state)?) } else { None };
        let closing = days.into_iter().filter_map(|day| {
            let OpenDay { generation, kinds } = state.open.get(&day)?;
            let mark = self.day_marks.get(&day).copied();
            Some(Closing { day, generation: *generation, kinds: kinds.clone(), mark })
        });
        let closing = closing.collect();
        drop(state);
        Ok(Some(Checkpoint { catalog, shared, watermark: self.watermark, changes, closing }))
    }

    fn changes(&mut self, state: &mut State) -> Result<Changes, FoldError> {
        let mut changes = Changes::default();
        self.put_all(state, &mut changes)?;
        Ok(changes)
    }

    pub(super) fn put_all(
        &mut self,
        state: &mut State,
        changes: &mut Changes,
    ) -> Result<(), FoldError> {
        self.put_new_ids(state, changes)?;
        self.put_dirty(state, changes)?;
        for (day, file) in std::mem::take(&mut self.reopened) {
            let old = self.day_marks.get(&day).copied();
            let mark = changes.put(&stored::day_key(day), &stored::day_value(false, file), old)?;
            self.day_marks.insert(day, mark);
        }
        self.meta_mark =
            Some(changes.put(stored::META_KEY, &stored::meta_value(state), self.meta_mark)?);
        Ok(())
    }

    /// What the catalog says of a day, the state says from here on.
    fn end_closing(&mut self, closed: Closed) {
        let Closed { day, file, mark } = closed;
        self.day_marks.insert(day, mark);
        // The checkpoint left no entry dirty, so one that is came after it.
        let is_late = self.dirty.iter().any(|dirty| dirty.day == day);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.write();
        if !is_late {
            state.open.remove(&day);
            let mut closed = BTreeMap::clone(&state.closed);
            closed.insert(day, file);
            state.closed = Arc::new(closed);
        } else if let Some(open) = state.open.get_mut(&day) {
            open.generation = file.generation;
            open.mark_all(day, &mut self.dirty);
            self.reopened.insert(day, file);
        }
    }

    /// Takes a closed day back into memory where `delta` belongs to it.
    fn reopen_for(&mut self, delta: &Delta) -> Result<(), FoldError> {
        let day = delta.day;
        let Some(closed) = self.state().closed.get(&day).copied() else { return Ok(()) };
        if delta.whole.is_empty() {
            return Ok(());
        }
        let file = self.shared.files.get(day, closed)?;
        let mut entries = Vec::new();
        for whose in Whose::ALL {
            file.scan(whose, None, |id, figures| {
                entries.push((whose, id.to_owned(), Counters::decode(figures)?));
                Some(ControlFlow::Continue(()))
            })?;
        }

        let shared = Arc::clone(&self.shared);
        let mut state = shared.write();
        let mut open = OpenDay { generation: closed.generation, ..OpenDay::default() };
        for (whose, id, counters) in entries {
            let number = state.number(whose, &id).ok_or_else(|| file.names_unknown(&id))?;
            open.kind_mut(whose).add(number, counters, None);
        }
        open.mark_all(day, &mut self.dirty);
        let mut rest = BTreeMap::clone(&state.closed);
        rest.remove(&day);
        state.closed = Arc::new(rest);
        state.open.insert(day, open);
        self.reopened.insert(day, closed);
        Ok(())
    }

    fn put_new_ids(&mut self, state: &State, changes: &mut Changes) -> Result<(), FoldError> {
        for (whose, stored) in Whose::ALL.into_iter().zip(&mut self.ids_stored) {
            for (number, id) in state.ids_after(whose, *stored) {
                changes.put(&stored::actor_key(whose, number), id.as_str().as_bytes(), None)?;
                *stored = number;
            }
        }
        Ok(())
    }

    fn put_dirty(&mut self, state: &mut State, changes: &mut Changes) -> Result<(), FoldError> {
        let mut value = Vec::new();
        for Dirty { day, whose, place } in self.dirty.drain(..) {
            let Some(open) = state.open.get_mut(&day) else { continue };
            let entries = &mut open.kind_mut(whose).entries;
            let Some(entry) = entries.get_mut(place as usize) else { continue };
            value.clear();
            entry.counters.encode(&mut value);
            let key = stored::entry_key(day, whose, entry.number);
            entry.mark = Some(changes.put(&key, &value, entry.mark)?);
            entry.dirty = false;
        }
        Ok(())
    }

    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.shared.read()
    }
}

impl Drop for Fold {
    fn drop(&mut self) {
        // Whoever waits for a later watermark waits in vain.
        self.shared.stop();
    }
}
