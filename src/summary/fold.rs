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
//! Where days of the archive are dropped, the fold cannot be made from nothing any more. Then it goes on
//! from a [`Snapshot`] where the catalog is lost, or is too old ([`FoldOptions::dropped`]).
//!
//! Days change only by these steps, and the same records in the same order give the same state,
//! so that it does not matter when they happen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLockReadGuard};

use sha2::{Digest, Sha256};

use crate::catalog::{self, Catalog, CatalogError, Changes, Mark, NotOpened};
use crate::day::Day;
use crate::disk::Disk;
use crate::id::Watermark;
use crate::index::run::FirstAnswers;
use crate::summary::board::Shared;
use crate::summary::checkpoint::{Closed, Closing, sorted_entries};
use crate::summary::day_files::{ClosedDay, DayFiles};
use crate::summary::state::{Dirty, OpenDay, State};
use crate::summary::stored::{self, Loader};
use crate::summary::{
    ACTORS_MAX_DEFAULT, ActorId, Board, Checkpoint, Checkpointed, Counters, DayFileError, Delta,
    Event, FoldError, Role, Snapshot, Snapshots,
};

/// The folder of closed days, within that of the archive.
pub const SUMMARY_FOLDER: &str = "summary";

/// Settings of the fold. Nothing here changes a figure.
#[derive(Debug, Clone)]
pub struct FoldOptions {
    /// About how much of the catalog sled may keep in memory, in bytes. All of it is written and
    /// read back only at start, so there is no gain in more.
    pub catalog_cache_bytes: u64,
    /// The newest snapshot, where there is one. Files of closed days that it names are not removed.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Where days of the archive are dropped: a catalog that has not folded all of them is as good as
    /// none, and where there is none, the fold goes on from the snapshot.
    pub dropped: Option<Dropped>,
}

/// Days of the archive that are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The last of their records.
    pub through: Watermark,
    /// The day of that record.
    pub day: Day,
    /// Why there is no snapshot, where there is none.
    pub without_snapshot: String,
}

impl Default for FoldOptions {
    fn default() -> Self {
        Self { catalog_cache_bytes: 32 << 20, snapshot: None, dropped: None }
    }
}

/// How the fold was found at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Records after this one are to be folded.
    pub watermark: Watermark,
    /// Why it starts from nothing, where it does: in one sentence, with the name under which what
    /// was there is kept. Of a new data folder too, which never had a catalog.
    pub rebuilt_because: Option<String>,
    /// The catalog is whole and holds no checkpoint yet, as after a kill in its first seconds.
    pub is_unwritten: bool,
}

/// The fold. One thread owns it; others read through its [`Board`].
#[derive(Debug)]
pub struct Fold {
    shared: Arc<Shared>,
    /// `None` while a checkpoint is under way, which has it.
    catalog: Option<Catalog>,
    watermark: u64,
    /// Of the last checkpoint, where there was one.
    checkpointed: Option<u64>,
    dirty: Vec<Dirty>,
    /// How many ids of each role the catalog holds.
    ids_stored: [u32; 3],
    meta_mark: Option<Mark>,
    day_marks: BTreeMap<Day, Mark>,
    /// Days reopened since the last checkpoint, with the file they came from.
    reopened: BTreeMap<Day, ClosedDay>,
}

impl Fold {
    /// Opens the fold kept in the folders `catalog_dir` and `archive_dir` of the data folder
    /// `identity`. Whatever is wrong with the catalog, or with a file of a closed day that it
    /// names: the catalog is moved aside and the fold starts from nothing or, where days of the
    /// archive are dropped, from the snapshot.
    ///
    /// # Errors
    /// [`FoldError`] where that fails too, or would not help. [`FoldError::Lost`] where there is no
    /// snapshot to start from: then nothing is changed.
    pub fn open(
        catalog_dir: &Path,
        archive_dir: &Path,
        options: &FoldOptions,
        identity: [u8; 16],
    ) -> Result<(Self, Board, Opened), FoldError> {
        let files = DayFiles::new(archive_dir.join(SUMMARY_FOLDER), identity);
        if let Some(snapshot) = &options.snapshot {
            let named = snapshot.closed.iter().map(|(day, file)| (*day, file.generation));
            files.named().extend(named);
        }
        let reason = match load(catalog_dir, &files, options, identity) {
            Ok((catalog, loader)) => return Ok(Self::with(catalog, loader, files, None)),
            Err(NotOpened::Failed(error)) => return Err(error.into()),
            Err(NotOpened::Unusable(reason)) => reason,
        };
        // Before anything is moved: without a snapshot it must not be.
        let restored = options.dropped.as_ref().map(|dropped| {
            let lost = |why| FoldError::Lost { reason: reason.clone(), day: dropped.day, why };
            let snapshot = options.snapshot.as_ref();
            let snapshot = snapshot.ok_or_else(|| lost(dropped.without_snapshot.clone()))?;
            restore(snapshot, dropped, &files).map_err(lost)
        });
        let restored = restored.transpose()?;
        let reason = match catalog::move_aside(catalog_dir)? {
            Some(aside) => {
                format!("the catalog was unusable: {reason}; it is kept as {}", aside.display())
            }
            None => reason,
        };
        let catalog = Catalog::create(catalog_dir, identity, options.catalog_cache_bytes)?;
        let loader = Loader::new(ACTORS_MAX_DEFAULT);
        let (mut fold, board, mut opened) = Self::with(catalog, loader, files, Some(reason));
        if let Some(state) = restored {
            opened.watermark = Watermark(state.watermark);
            fold.go_on_from(state)?;
        }
        Ok((fold, board, opened))
    }

    /// Takes `state`, of which the catalog, which is new, has nothing, and makes it durable there.
    fn go_on_from(&mut self, mut state: State) -> Result<(), FoldError> {
        let mut dirty = Vec::new();
        state.open.iter_mut().for_each(|(day, open)| open.mark_all(*day, &mut dirty));
        (self.dirty, self.watermark) = (dirty, state.watermark);
        let mut changes = Changes::default();
        for (day, file) in state.closed.iter() {
            let mark =
                changes.put(&stored::day_key(*day), &stored::day_value(true, *file), None)?;
            self.day_marks.insert(*day, mark);
        }
        let watermark = state.watermark;
        *self.shared.write() = state;
        self.shared.publish(watermark);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.write();
        self.put_all(&mut state, &mut changes)?;
        drop(state);
        let catalog = self.catalog.as_mut().ok_or(FoldError::UnderWay)?;
        catalog.write(changes)?;
        self.checkpointed = Some(watermark);
        Ok(())
    }

    fn with(
        catalog: Catalog,
        loader: Loader,
        files: DayFiles,
        rebuilt_because: Option<String>,
    ) -> (Self, Board, Opened) {
        let Loader { state, meta_mark, day_marks, .. } = loader;
        // Right after it was made, or after sled lost all that was written since.
        let never = || "the catalog held no checkpoint".to_owned();
        let is_unwritten = rebuilt_because.is_none() && meta_mark.is_none();
        let rebuilt_because = rebuilt_because.or_else(|| is_unwritten.then(never));
        let watermark = state.watermark;
        let ids_stored = Role::ALL.map(|role| state.actors(role).known());
        let shared = Arc::new(Shared::new(state, files));
        let board = Board::over(Arc::clone(&shared));
        let fold = Self {
            shared,
            catalog: Some(catalog),
            watermark,
            checkpointed: meta_mark.map(|_| watermark),
            dirty: Vec::new(),
            ids_stored,
            meta_mark,
            day_marks,
            reopened: BTreeMap::new(),
        };
        (fold, board, Opened { watermark: Watermark(watermark), rebuilt_because, is_unwritten })
    }

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
            let OpenDay { generation, roles } = state.open.get(&day)?;
            let mark = self.day_marks.get(&day).copied();
            Some(Closing { day, generation: *generation, roles: roles.clone(), mark })
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

    fn put_all(&mut self, state: &mut State, changes: &mut Changes) -> Result<(), FoldError> {
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
        for role in Role::ALL {
            file.scan(role, None, |id, figures| {
                entries.push((role, id, Counters::decode(figures)?));
                Some(ControlFlow::Continue(()))
            })?;
        }

        let shared = Arc::clone(&self.shared);
        let mut state = shared.write();
        let mut open = OpenDay { generation: closed.generation, ..OpenDay::default() };
        for (role, id, counters) in entries {
            let number = state.actors(role).number(&id).ok_or_else(|| file.names_unknown(&id))?;
            open.role_mut(role).add(number, counters, None);
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
        for (role, stored) in Role::ALL.into_iter().zip(&mut self.ids_stored) {
            let ids = state.actors(role).ids().iter().zip(1_u32..);
            for (id, number) in ids.skip(*stored as usize) {
                changes.put(&stored::actor_key(role, number), id.as_str().as_bytes(), None)?;
                *stored = number;
            }
        }
        Ok(())
    }

    fn put_dirty(&mut self, state: &mut State, changes: &mut Changes) -> Result<(), FoldError> {
        let mut value = Vec::new();
        for Dirty { day, role, place } in self.dirty.drain(..) {
            let Some(open) = state.open.get_mut(&day) else { continue };
            let entries = &mut open.role_mut(role).entries;
            let Some(entry) = entries.get_mut(place as usize) else { continue };
            value.clear();
            entry.counters.encode(&mut value);
            let key = stored::entry_key(day, role, entry.number);
            entry.mark = Some(changes.put(&key, &value, entry.mark)?);
            entry.dirty = false;
        }
        Ok(())
    }

    /// A digest over all that is folded: watermark, newest day, actors_max, the known ids and
    /// every figure of every day, in an order of their own. Two folds of the same records have the
    /// same, whatever days are closed in either.
    ///
    /// # Errors
    /// [`FoldError::DayFile`] where a closed day cannot be read.
    pub fn digest(&self) -> Result<[u8; 32], FoldError> {
        let state = self.state();
        let mut hash = Sha256::new();
        hash.update(stored::meta_value(&state));
        for role in Role::ALL {
            let ids: BTreeSet<&ActorId> = state.actors(role).ids().iter().collect();
            hash.update((ids.len() as u64).to_le_bytes());
            ids.into_iter().for_each(|id| hash_text(&mut hash, id.as_str()));
        }
        let days: BTreeSet<Day> = state.open.keys().chain(state.closed.keys()).copied().collect();
        for day in days {
            let mut bytes = Vec::new();
            let mut add = |role: Role, id: &ActorId, figures: &[u8]| {
                hash.update(day.0.to_le_bytes());
                hash.update([role as u8]);
                hash_text(&mut hash, id.as_str());
                hash.update((figures.len() as u64).to_le_bytes());
                hash.update(figures);
            };
            if let Some(open) = state.open.get(&day) {
                for (role, id, counters) in sorted_entries(&state, &open.roles) {
                    bytes.clear();
                    counters.encode(&mut bytes);
                    add(role, &id, &bytes);
                }
            } else if let Some(closed) = state.closed.get(&day) {
                let file = self.shared.files.get(day, *closed)?;
                for role in Role::ALL {
                    file.scan(role, None, |id, figures| {
                        add(role, &id, figures);
                        Some(ControlFlow::Continue(()))
                    })?;
                }
            }
        }
        Ok(hash.finalize().into())
    }

    /// The first day of those asked for on which `other` has other figures. Actors past `actors_max`
    /// depend on what was folded before: where there are some, all actors are compared together.
    ///
    /// # Errors
    /// [`FoldError::DayFile`] where a closed day cannot be read.
    pub fn differs_on(
        &self,
        other: &Self,
        is_asked: impl Fn(Day) -> bool,
    ) -> Result<Option<Day>, FoldError> {
        let days = |fold: &Self| -> BTreeSet<Day> {
            let state = fold.state();
            state.open.keys().chain(state.closed.keys()).copied().collect()
        };
        for day in days(self).union(&days(other)).copied().filter(|day| is_asked(*day)) {
            let (own, theirs) = (self.figures_on(day)?, other.figures_on(day)?);
            let has_others = [&own, &theirs].into_iter().any(|figures| {
                Role::ALL.into_iter().any(|role| figures.contains_key(&(role, ActorId::other())))
            });
            let is_same = if has_others { sums(&own) == sums(&theirs) } else { own == theirs };
            if !is_same {
                return Ok(Some(day));
            }
        }
        Ok(None)
    }

    /// How many declarations of a day were answered for the first time, by outcome.
    ///
    /// # Errors
    /// [`FoldError::DayFile`] where it is closed and cannot be read.
    pub fn first_answers_on(&self, day: Day) -> Result<FirstAnswers, FoldError> {
        let sums = sums(&self.figures_on(day)?);
        let all = sums.get(&Role::Declarant);
        Ok(all.map_or_else(FirstAnswers::default, |all| FirstAnswers {
            accepted: all.accepted,
            rejected: all.rejected,
            conflicts: all.conflicts,
        }))
    }

    fn figures_on(&self, day: Day) -> Result<Figures, FoldError> {
        let state = self.state();
        if let Some(open) = state.open.get(&day) {
            let sorted = sorted_entries(&state, &open.roles).into_iter();
            return Ok(sorted.map(|(role, id, counters)| ((role, id), counters.clone())).collect());
        }
        let mut figures = Figures::new();
        let Some(closed) = state.closed.get(&day) else { return Ok(figures) };
        let file = self.shared.files.get(day, *closed)?;
        for role in Role::ALL {
            file.scan(role, None, |id, of_id| {
                figures.insert((role, id), Counters::decode(of_id)?);
                Some(ControlFlow::Continue(()))
            })?;
        }
        Ok(figures)
    }

    /// Reads and checks every file of a closed day, and tells how many there are. (The catalog was
    /// read and checked wholly when it was opened.)
    ///
    /// # Errors
    /// [`FoldError::DayFile`] for the first that is damaged.
    pub fn verify_day_files(&self) -> Result<u64, FoldError> {
        Ok(self.shared.files.verify()?)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.shared.read()
    }
}

impl Drop for Fold {
    fn drop(&mut self) {
        // Whoever waits for a later watermark waits in vain.
        self.shared.stop();
    }
}

/// Deletes what the fold made, so that it is made again from archive and journal: the catalog and the
/// files of closed days, but for those that `snapshot` names. (What was moved aside stays.)
///
/// # Errors
/// [`CatalogError::Io`], [`DayFileError`].
pub fn erase_derived(
    catalog_dir: &Path,
    archive_dir: &Path,
    snapshot: Option<&Snapshot>,
) -> Result<(), FoldError> {
    remove_folder(catalog_dir.to_owned())?;
    let folder = archive_dir.join(SUMMARY_FOLDER);
    let Some(snapshot) = snapshot else { return Ok(remove_folder(folder)?) };
    let named = snapshot.closed.iter().map(|(day, file)| (*day, file.generation)).collect();
    Ok(DayFiles::new(folder, [0; 16]).keep_only(&named)?)
}

fn remove_folder(path: PathBuf) -> Result<(), CatalogError> {
    match fs::remove_dir_all(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CatalogError::Io { doing: "remove", path, source })
        }
        _ => Ok(()),
    }
}

fn load(
    catalog_dir: &Path,
    files: &DayFiles,
    options: &FoldOptions,
    identity: [u8; 16],
) -> Result<(Catalog, Loader), NotOpened> {
    let mut loader = Loader::new(ACTORS_MAX_DEFAULT);
    let take = |key: &[u8], value: &[u8], mark| loader.take(key, value, mark);
    let catalog = Catalog::open(catalog_dir, identity, options.catalog_cache_bytes, take)?;
    let loader = loader.finish().map_err(NotOpened::Unusable)?;
    let watermark = loader.state.watermark;
    if let Some(dropped) = &options.dropped
        && watermark < dropped.through.0
    {
        return Err(NotOpened::Unusable(format!(
            "it has folded {watermark} records, and the archive has dropped records up to {}",
            dropped.through.0
        )));
    }
    for (day, closed) in loader.state.closed.iter() {
        let checked: Result<_, DayFileError> = files.get(*day, *closed);
        checked.map_err(|error| NotOpened::Unusable(error.to_string()))?;
    }
    Ok((catalog, loader))
}

/// The state of a snapshot, with every file that it names looked at; otherwise a sentence.
fn restore(snapshot: &Snapshot, dropped: &Dropped, files: &DayFiles) -> Result<State, String> {
    if snapshot.watermark < dropped.through.0 {
        return Err(format!(
            "the snapshot in its stead has folded {} records, and they end with record {}",
            snapshot.watermark, dropped.through.0
        ));
    }
    for (day, closed) in &snapshot.closed {
        files.get(*day, *closed).map_err(|error| error.to_string())?;
    }
    let state = snapshot.state();
    state.ok_or_else(|| "the snapshot in its stead names actors that it does not know".to_owned())
}

/// A day's figures.
type Figures = BTreeMap<(Role, ActorId), Counters>;

fn sums(figures: &Figures) -> BTreeMap<Role, Counters> {
    let mut sums: BTreeMap<Role, Counters> = BTreeMap::new();
    for ((role, _), counters) in figures {
        sums.entry(*role).or_default().merge(counters);
    }
    sums
}

fn hash_text(hash: &mut Sha256, text: &str) {
    hash.update([text.len() as u8]);
    hash.update(text.as_bytes());
}
