//! The archive as sealing, look-ups and retention know it: a list of sets that follow on one another.
//!
//! Whoever reads takes the list as it is at that moment, and is in nobody's way: it is replaced, never
//! changed. Sets are written, published and dropped by one caller at a time.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::error::{ArchiveError, io_error};
use super::private::Pseudonyms;
use super::set::{BlockChecks, SET_FILE_BYTES_MAX, SETS, Set};
use super::set_writer::SetWriter;
use super::table_file::sync_folder;
use super::tables::TABLES;
use crate::day::Day;
use crate::disk::Disk;
use crate::id::{Ordinal, Watermark};

/// What an archive is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Identity of the data folder: sets of another one are refused.
    pub identity: [u8; 16],
    /// Sets written from now on have names and streets of private persons in clear.
    pub personal: bool,
    /// Makes pseudonyms.
    pub pseudonyms: Pseudonyms,
    /// Nothing is changed in opening: what belongs to no set stays.
    pub look_only: bool,
    /// Rows are encoded in a thread beside that which makes them. Without it, what is done to the disk
    /// comes in the same order each time.
    pub encode_beside: bool,
}

/// What was found and put right when an archive was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// Sets that stand.
    pub sets: u64,
    /// Files that belonged to no set and were removed.
    pub orphans_removed: u64,
}

/// What [`Archive::drop_days`] dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DaysDropped {
    /// Days of sets.
    pub parts: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// The archive of a data folder; clones are the same archive.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) root: PathBuf,
    pub(super) options: Options,
    sets: ArcSwap<Vec<Arc<Set>>>,
    changes: Mutex<Changes>,
    /// Held while a file is made in a day's folder, and while an empty one is removed.
    pub(super) folders: Mutex<()>,
}

/// What the one who changes the archive has to know.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Sets that were not published and whose set file may stand all the same.
    pub(super) doubtful: Vec<Set>,
    pub(super) is_writing: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Archive {
    /// Opens the archive in the folder `root`, making it where there is none.
    ///
    /// Set files are read, the files they name looked for, and what belongs to no set is removed, but
    /// not before all is found in order. The journal may hold records that are in sets too.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] where a set file or file is missing or not what it should be, where
    /// sets leave a gap, overlap, or do not follow on one another.
    pub fn open(
        disk: Arc<dyn Disk>,
        root: &Path,
        options: Options,
    ) -> Result<(Self, Opened), ArchiveError> {
        let (sets, opened) = super::opening::open(&*disk, root, &options)?;
        let inner = Inner {
            disk,
            root: root.to_path_buf(),
            options,
            sets: ArcSwap::from_pointee(sets.into_iter().map(Arc::new).collect()),
            changes: Mutex::default(),
            folders: Mutex::new(()),
        };
        Ok((Self { inner: Arc::new(inner) }, opened))
    }

    /// The sets that stand, in order. Taken once, it does not change.
    #[must_use]
    pub fn sets(&self) -> Arc<Vec<Arc<Set>>> {
        self.inner.sets.load_full()
    }

    /// The record and the ordinal that the next set begins with.
    #[must_use]
    pub fn next(&self) -> (Watermark, Ordinal) {
        next(&self.inner.sets.load())
    }

    /// Begins the next set: records from `first_record` on, the first declaration among them placed
    /// as `first_ordinal`.
    ///
    /// A set that was written before and not published is removed.
    ///
    /// # Errors
    /// [`ArchiveError::Order`] where that is not what comes next, or a set is being written.
    pub fn begin(
        &self,
        first_record: Watermark,
        first_ordinal: Ordinal,
    ) -> Result<SetWriter, ArchiveError> {
        let expected = self.next();
        if expected != (first_record, first_ordinal) {
            return Err(ArchiveError::Order(format!(
                "a set from record {} and ordinal {} on does not follow on the archive, whose next \
                 are {} and {}",
                first_record.0, first_ordinal.0, expected.0.0, expected.1.0
            )));
        }
        let mut changes = lock(&self.inner.changes);
        if changes.is_writing {
            return Err(ArchiveError::Order("a set is being written already".to_owned()));
        }
        self.inner.remove_doubtful(&mut changes)?;
        changes.is_writing = true;
        Ok(SetWriter::new(Arc::clone(&self.inner), first_record, first_ordinal))
    }

    /// Lets readers have a set that [`SetWriter::finish`] returned.
    ///
    /// # Errors
    /// [`ArchiveError::Order`] where it is not the next one.
    pub fn publish(&self, set: Set) -> Result<(), ArchiveError> {
        let mut changes = lock(&self.inner.changes);
        let sets = self.inner.sets.load();
        let is_written = changes.doubtful.contains(&set);
        if !is_written || next(&sets) != (set.first, set.first_ordinal) {
            let name = set.name();
            return Err(ArchiveError::Order(format!("{name} is not the set that comes next")));
        }
        changes.doubtful.retain(|doubtful| *doubtful != set);
        let mut sets = Vec::clone(&sets);
        sets.push(Arc::new(set));
        self.inner.sets.store(Arc::new(sets));
        Ok(())
    }

    /// The last record of days that are dropped, and its day; nothing where none is.
    #[must_use]
    pub fn dropped(&self) -> Option<(Watermark, Day)> {
        let sets = self.inner.sets.load();
        let parts = sets.iter().flat_map(|set| &set.parts).filter(|part| part.is_dropped);
        parts.map(|part| (part.records.1, part.day)).max()
    }

    /// Whether the declaration placed as `ordinal` arrived on `day` and that is dropped, wherever else
    /// it may stand still.
    #[must_use]
    pub fn is_dropped(&self, ordinal: Ordinal, day: Day) -> bool {
        let has = |part: &super::Part| {
            part.is_dropped
                && part.day == day
                && (part.ordinals.0..part.ordinals.1).contains(&ordinal)
        };
        self.inner.set_of(ordinal).is_some_and(|set| set.parts.iter().any(has))
    }

    /// Whether [`Self::drop_days`] would drop something.
    #[must_use]
    pub fn is_due(&self, before: Day, through: Watermark) -> bool {
        let sets = self.inner.sets.load();
        sets.iter().flat_map(|set| &set.parts).any(|part| is_over(part, before, through))
    }

    /// Drops all days before `before` whose records are not past `through`: their retention is over.
    /// Of a set a day is dropped whole or not at all. Set files are written anew first, so that a crash
    /// leaves orphans at most.
    ///
    /// # Errors
    /// Where files cannot be written or removed. What was not dropped then is when this is called
    /// again; files that were not removed are when the archive is opened.
    pub fn drop_days(&self, before: Day, through: Watermark) -> Result<DaysDropped, ArchiveError> {
        let inner = &self.inner;
        let _changes = lock(&inner.changes);
        let mut dropped = DaysDropped::default();
        for place in 0..inner.sets.load().len() {
            let Some(set) = inner.sets.load().get(place).cloned() else { break };
            let is_over = |part: &super::Part| is_over(part, before, through);
            if !set.parts.iter().any(is_over) {
                continue;
            }
            let checks = inner.checks(&set)?;
            let kept = set.kept().zip(checks).filter(|(part, _)| !is_over(part));
            let checks: Vec<_> = kept.filter_map(|(_, checks)| checks).collect();
            let mut now = Set::clone(&set);
            now.parts.iter_mut().filter(|part| is_over(part)).for_each(|p| p.is_dropped = true);
            let path = now.path(&inner.root);
            let bytes = now.encode(&inner.options.identity, &checks);
            inner.disk.write_small(&path, &bytes).map_err(io_error("writing", &path))?;
            let mut sets = Vec::clone(&inner.sets.load());
            if let Some(set) = sets.get_mut(place) {
                *set = Arc::new(now);
            }
            inner.sets.store(Arc::new(sets));
            for part in set.parts.iter().filter(|part| is_over(part)) {
                dropped.parts += 1;
                dropped.bytes += part.files.iter().map(|file| file.bytes).sum::<u64>();
                inner.remove_part(&set, part)?;
            }
        }
        Ok(dropped)
    }
}

fn is_over(part: &super::Part, before: Day, through: Watermark) -> bool {
    !part.is_dropped && part.day < before && part.records.1 <= through
}

fn next(sets: &[Arc<Set>]) -> (Watermark, Ordinal) {
    sets.last().map_or((Watermark(1), Ordinal(0)), |set| {
        (Watermark(set.last.0.saturating_add(1)), set.end_ordinal)
    })
}

impl Inner {
    pub(super) fn changes(&self) -> MutexGuard<'_, Changes> {
        lock(&self.changes)
    }

    /// The set of `first` as it is now.
    pub(super) fn set(&self, first: Watermark) -> Option<Arc<Set>> {
        self.sets.load().iter().find(|set| set.first == first).cloned()
    }

    /// The set that has `ordinal`.
    pub(super) fn set_of(&self, ordinal: Ordinal) -> Option<Arc<Set>> {
        let sets = self.sets.load();
        let place = sets.partition_point(|set| set.end_ordinal <= ordinal);
        sets.get(place).filter(|set| set.first_ordinal <= ordinal).cloned()
    }

    /// The checks of the files of each part of `set` that is not dropped; none of those that are
    /// dropped by now, as the set file says. Files are removed only after that.
    pub(super) fn checks(&self, set: &Set) -> Result<Vec<Option<[BlockChecks; 5]>>, ArchiveError> {
        let path = set.path(&self.root);
        let bytes = self.disk.read_small(&path, SET_FILE_BYTES_MAX);
        let bytes = bytes.map_err(io_error("reading", &path))?;
        let (read, checks) = Set::decode(&path, &self.options.identity, &bytes)?;
        let mut checks = checks.into_iter();
        let mut all = Vec::new();
        for (part, now) in set.parts.iter().zip(&read.parts) {
            let own = if now.is_dropped { None } else { checks.next() };
            if !part.is_dropped {
                all.push(own);
            }
        }
        Ok(all)
    }

    /// Removes sets that were written and not published, set file first.
    fn remove_doubtful(&self, changes: &mut Changes) -> Result<(), ArchiveError> {
        while let Some(set) = changes.doubtful.last() {
            let path = set.path(&self.root);
            for path in [path.with_added_extension("partial"), path] {
                remove_if_there(&*self.disk, &path)?;
            }
            sync_folder(&*self.disk, &self.root.join(SETS))?;
            for part in &set.parts {
                self.remove_part(set, part)?;
            }
            changes.doubtful.pop();
        }
        Ok(())
    }

    /// Removes the files of a part, and its folders where they are empty then.
    fn remove_part(&self, set: &Set, part: &super::Part) -> Result<(), ArchiveError> {
        let mut folders = BTreeSet::new();
        for table in 0..TABLES.len() {
            let path = part.path(&self.root, table, set);
            remove_if_there(&*self.disk, &path)?;
            folders.extend(path.parent().map(Path::to_path_buf));
        }
        let _folders = lock(&self.folders);
        folders.iter().try_for_each(|folder| remove_if_empty(&*self.disk, folder))
    }
}

pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), ArchiveError> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("removing", path)(error))
        }
        _ => Ok(()),
    }
}

pub(super) fn remove_if_empty(disk: &dyn Disk, folder: &Path) -> Result<(), ArchiveError> {
    match disk.remove_dir(folder) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(io_error("removing", folder)(error))
        }
        _ => Ok(()),
    }
}
