//! What is on a simulated disk and what is only in its cache, and what a power cut leaves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::super::PAGE_BYTES;
use super::{Chance, Fault};

type Page = Box<[u8; PAGE_BYTES]>;

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) chance: Chance,
    pub(super) inodes: HashMap<u64, Inode>,
    pub(super) inode_next: u64,
    /// As seen by the running system.
    pub(super) names: BTreeMap<PathBuf, u64>,
    /// As on the device.
    pub(super) names_durable: BTreeMap<PathBuf, u64>,
    /// Since the last sync of their folder, in order.
    pub(super) moves: Vec<Move>,
    /// Folders as seen by the running system.
    pub(super) dirs: BTreeSet<PathBuf>,
    /// Folders whose names, and those of all above them, are on the device.
    pub(super) dirs_durable: BTreeSet<PathBuf>,
    /// Folders of those that were removed since the one above was synced.
    pub(super) dirs_removed: BTreeSet<PathBuf>,
    pub(super) capacity: u64,
    pub(super) calls: u64,
    pub(super) fault: Option<(u64, Fault)>,
    pub(super) power_cut: bool,
    /// Counts kills and crashes: files opened before belong to a process that is gone.
    pub(super) boots: u64,
}

/// A change of names in one folder: `from` goes, `to` comes.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) from: Option<PathBuf>,
    pub(super) to: Option<(PathBuf, u64)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) bytes: u64,
    /// Of these, those that the device knows of.
    pub(super) bytes_durable: u64,
    /// On the device; pages that are not there are zeros.
    pub(super) durable: HashMap<u64, Page>,
    /// Written since the last sync, each with all its states.
    pub(super) dirty: BTreeMap<u64, Dirty>,
}

#[derive(Debug, Clone)]
pub(super) struct Dirty {
    pub(super) states: Vec<Page>,
    /// A sync failed after the last write: no later sync will write it (the Linux page cache).
    pub(super) abandoned: bool,
}

pub(super) fn zeros() -> Page {
    Box::new([0; PAGE_BYTES])
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

pub(super) fn io_error() -> io::Error {
    // EIO, which has no kind of its own.
    io::Error::from_raw_os_error(5)
}

impl Inode {
    pub(super) fn page(&self, number: u64) -> Option<&Page> {
        let dirty = self.dirty.get(&number).and_then(|dirty| dirty.states.last());
        dirty.or_else(|| self.durable.get(&number))
    }

    /// All of it, as the running system sees it.
    pub(super) fn content(&self) -> Vec<u8> {
        let mut content = Vec::new();
        for number in 0..self.bytes.div_ceil(PAGE_BYTES as u64) {
            content.extend(self.page(number).map_or([0; PAGE_BYTES], |page| **page));
        }
        content.truncate(usize::try_from(self.bytes).unwrap_or(usize::MAX));
        content
    }

    pub(super) fn write(&mut self, number: u64, page: Page) {
        let dirty = self
            .dirty
            .entry(number)
            .or_insert_with(|| Dirty { states: Vec::new(), abandoned: false });
        dirty.states.push(page);
        dirty.abandoned = false;
    }

    /// Makes the pages numbered within `range` durable, save those a failed sync gave up.
    pub(super) fn sync(&mut self, range: std::ops::Range<u64>) {
        let numbers: Vec<u64> = self.dirty.range(range).map(|(number, _)| *number).collect();
        for number in numbers {
            if self.dirty.get(&number).is_some_and(|dirty| !dirty.abandoned)
                && let Some(page) = self.dirty.remove(&number).and_then(|mut d| d.states.pop())
            {
                self.durable.insert(number, page);
            }
        }
    }

    /// Without content as yet, its length on the device.
    pub(super) fn of(bytes: u64) -> Self {
        Self { bytes, bytes_durable: bytes, ..Self::default() }
    }

    /// Takes the length too, unless it grew by a write that a failed sync gave up.
    pub(super) fn sync_appended(&mut self) {
        if self.dirty.values().all(|dirty| !dirty.abandoned) {
            self.bytes_durable = self.bytes;
        }
        self.sync(0..u64::MAX);
    }

    pub(super) fn settle(&mut self, chance: &mut Chance, percent: u64) {
        // What was appended is there by its length, whole or in part, or not at all; and what is
        // within the length need not have been written.
        if self.bytes > self.bytes_durable {
            let appended = self.bytes - self.bytes_durable;
            let kept = if chance.hits(percent) { appended } else { chance.below(appended) };
            self.bytes_durable += kept;
            self.bytes = self.bytes_durable;
        }
        for (number, mut dirty) in std::mem::take(&mut self.dirty) {
            if chance.hits(percent) {
                let which = chance.below(dirty.states.len() as u64);
                let which = usize::try_from(which).unwrap_or(0);
                self.durable.insert(number, dirty.states.swap_remove(which));
            }
        }
    }
}

impl State {
    /// Counts a call, and tells whether it is to fail after some of its work.
    pub(super) fn call(&mut self) -> io::Result<Option<Fault>> {
        if self.power_cut {
            return Err(io_error());
        }
        let number = self.calls;
        self.calls += 1;
        match self.fault {
            Some((at, fault)) if at == number => {
                self.fault = None;
                self.power_cut = fault == Fault::PowerCut;
                Ok(Some(fault))
            }
            _ => Ok(None),
        }
    }

    /// The same for a call that changes nothing, which a full disk does not fail.
    pub(super) fn call_to_read(&mut self) -> io::Result<()> {
        match self.call()? {
            None | Some(Fault::Full) => Ok(()),
            Some(fault) => Err(fault.error()),
        }
    }

    pub(super) fn crash(&mut self) {
        let percent = *[0, 10, 50, 90, 100].get(self.chance.below(5) as usize).unwrap_or(&50);
        let mut numbers: Vec<u64> = self.inodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(inode) = self.inodes.get_mut(&number) {
                inode.settle(&mut self.chance, percent);
            }
        }
        for change in std::mem::take(&mut self.moves) {
            if self.chance.hits(percent) {
                apply(&mut self.names_durable, change);
            }
        }
        self.crash_dirs(percent);
        self.names = self.names_durable.clone();
        let live: Vec<u64> = self.names.values().copied().collect();
        self.inodes.retain(|number, _| live.contains(number));
        self.boots += 1;
        self.fault = None;
        self.power_cut = false;
    }

    /// A folder whose name is lost takes all that is in it along.
    fn crash_dirs(&mut self, percent: u64) {
        for dir in std::mem::take(&mut self.dirs_removed) {
            if self.chance.hits(percent) {
                self.forget_dir(&dir);
            }
        }
        for dir in std::mem::take(&mut self.dirs) {
            let durable = &mut self.dirs_durable;
            let has_parent = parent(&dir) == Path::new("") || durable.contains(parent(&dir));
            if durable.contains(&dir) || (has_parent && self.chance.hits(percent)) {
                durable.insert(dir);
            }
        }
        self.dirs = self.dirs_durable.clone();
        self.names_durable.retain(|path, _| self.dirs.contains(parent(path)));
    }

    /// A removal is durable.
    fn forget_dir(&mut self, dir: &Path) {
        self.dirs_durable.remove(dir);
        self.names_durable.retain(|path, _| parent(path) != dir);
    }

    pub(super) fn remove_dir(&mut self, dir: &Path) {
        self.dirs.remove(dir);
        self.dirs_removed.insert(dir.to_owned());
    }

    /// Whether there is neither a file nor a folder in it.
    pub(super) fn is_empty_dir(&self, dir: &Path) -> bool {
        let within = |path: &Path| parent(path) == dir;
        !self.names.keys().any(|path| within(path)) && !self.dirs.iter().any(|dir| within(dir))
    }

    /// Folders of relative paths only: simulated disks have no root.
    pub(super) fn make_dir(&mut self, dir: &Path, durably: bool) {
        for dir in dir.ancestors().filter(|dir| *dir != Path::new("")) {
            self.dirs.insert(dir.to_owned());
            // Made again before its removal was durable: as good as never removed.
            self.dirs_removed.remove(dir);
            if durably {
                self.dirs_durable.insert(dir.to_owned());
            }
        }
    }

    pub(super) fn find_dir(&self, dir: &Path) -> io::Result<()> {
        let found = self.dirs.contains(dir).then_some(());
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn change(&mut self, change: Move) {
        apply(&mut self.names, change.clone());
        self.moves.push(change);
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().filter_map(|number| self.inodes.get(number)).map(|i| i.bytes).sum()
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let within = |path: &Path| parent(path) == dir;
        let (synced, kept) =
            std::mem::take(&mut self.moves).into_iter().partition(|change: &Move| {
                change.from.as_deref().is_some_and(within)
                    || change.to.as_ref().is_some_and(|(path, _)| within(path))
            });
        self.moves = kept;
        let synced: Vec<Move> = synced;
        for change in synced {
            apply(&mut self.names_durable, change);
        }
        let removed = std::mem::take(&mut self.dirs_removed);
        let (synced, kept) = removed.into_iter().partition(|removed| parent(removed) == dir);
        self.dirs_removed = kept;
        let synced: BTreeSet<PathBuf> = synced;
        synced.iter().for_each(|dir| self.forget_dir(dir));
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub(super) fn apply(names: &mut BTreeMap<PathBuf, u64>, change: Move) {
    if let Some(from) = change.from {
        names.remove(&from);
    }
    if let Some((to, inode)) = change.to {
        names.insert(to, inode);
    }
}
