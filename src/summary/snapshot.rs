//! A snapshot of the fold, kept where days of the archive are dropped: what was folded of them can be
//! made again from nothing else.
//!
//! It is written before a day is dropped, and before runs are merged once days may be dropped, and has
//! the whole fold at its watermark: known ids, open days, and which file has each closed day. Should
//! the catalog be lost, the fold goes on from there, and the records after it are folded again; days
//! are only dropped up to records before it. The files of closed days that it names stay as long as it
//! does, whatever the catalog says.
//!
//! # Layout
//! `archive/snapshot/summaries.waag`, written whole or not at all. Numbers are little endian:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | CRC32C of all that follows |
//! | 4 | 4 | format version, 2 |
//! | 8 | 8 | `WAAGSNAP` |
//! | 16 | 16 | identity of the data folder |
//! | 32 | 8 | watermark: how many records are folded |
//! | 40 | 4 | `actors_max` |
//! | 44 | 4 | newest day + 1; 0 where there is none |
//! | 48 | 8 | the last record whose figures are not complete |
//! | 56 | | for each role, by number, and then for fallback references: how many ids (4); each its length (1) and text, in the order of their numbers, from 1 |
//! | | 4 | closed days; each its day (2), and of its file generation (4), length (8) and checksum of the footer (4) |
//! | | 4 | open days; each its day (2), the generation it was reopened from (4), and for each role, and references, how many entries (4): actor number (4), length (2) and [`Counters`] of each |
//!
//! Version 1, which is read, does not have the field at 48 (its figures are not complete up to its
//! watermark), nor references.
//!
//! Its size is that of the open days: two or three, of 5 MB for 35 declarants and 10,000 IOSS numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc32c::crc32c;

use crate::day::Day;
use crate::disk::Disk;
use crate::fields::Fields;
use crate::id::Watermark;
use crate::summary::board::Shared;
use crate::summary::day_files::{ClosedDay, file_path};
use crate::summary::state::{OpenDay, RoleDay, State};
use crate::summary::whose::{EntryId, KINDS, Whose};
use crate::summary::{Counters, DayFileError};

/// The folder, within that of the archive.
pub const SNAPSHOT_FOLDER: &str = "snapshot";
const NAME: &str = "summaries.waag";
const MAGIC: [u8; 8] = *b"WAAGSNAP";
/// The newest format that is read, and the one that is written.
const VERSION: u32 = 2;
const FIRST_VERSION: u32 = 1;
/// The roles that version 1 had.
const FIRST_KINDS: usize = 3;
/// Three open days of 100,000 actors in each role, whose figures have 300 bytes each, have a quarter.
const BYTES_MAX: u64 = 1 << 30;

/// A snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Reading or writing failed.
    #[error("{doing} {path}: {source}")]
    Io {
        /// As `reading`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A newer version of this program wrote it.
    #[error("{path} has format version {version}; this program reads up to {VERSION}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A file of a closed day could not be removed that no snapshot names any more.
    #[error(transparent)]
    DayFile(#[from] DayFileError),
}

impl SnapshotError {
    /// The disk has no room for it: once it has, it can be written.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if crate::disk::is_disk_full(source))
    }
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::Io { doing, path, source }
}

/// The fold at a watermark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(crate) watermark: u64,
    pub(crate) actors_max: u32,
    pub(crate) newest: Option<Day>,
    pub(crate) complete_after: u64,
    /// By [`Whose::index`], in the order of their numbers.
    pub(crate) ids: [Vec<String>; KINDS],
    pub(crate) closed: BTreeMap<Day, ClosedDay>,
    pub(crate) open: BTreeMap<Day, Open>,
}

/// A day that was open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Open {
    generation: u32,
    /// By [`Whose::index`]: number of the id, and its figures.
    kinds: [Vec<(u32, Counters)>; KINDS],
}

/// Where the snapshot of the archive in `folder` is.
#[must_use]
pub fn snapshot_path(folder: &Path) -> PathBuf {
    folder.join(SNAPSHOT_FOLDER).join(NAME)
}

impl Snapshot {
    /// How many records are folded in it.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        Watermark(self.watermark)
    }

    /// Reads that of the archive in `folder`, of the data folder `identity`; `None` where there is none.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn read(
        disk: &dyn Disk,
        folder: &Path,
        identity: &[u8; 16],
    ) -> Result<Option<Self>, SnapshotError> {
        Ok(Self::read_bytes(disk, folder, identity)?.map(|(snapshot, _)| snapshot))
    }

    /// The same, with the bytes of its file.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn read_bytes(
        disk: &dyn Disk,
        folder: &Path,
        identity: &[u8; 16],
    ) -> Result<Option<(Self, Vec<u8>)>, SnapshotError> {
        let path = snapshot_path(folder);
        let bytes = match disk.read_small(&path, BYTES_MAX) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(io("reading", &path))?,
        };
        let snapshot = Self::decode(&path, identity, &bytes)?;
        Ok(Some((snapshot, bytes)))
    }

    /// The files of closed days that it names, by their paths within the folder of those, with their
    /// lengths and the last 4 bytes of each, a check that stands for all of it.
    pub fn day_files(&self) -> impl Iterator<Item = (PathBuf, u64, [u8; 4])> {
        let files = self.closed.iter();
        files.map(|(day, file)| {
            (file_path(*day, file.generation), file.length, file.crc.to_le_bytes())
        })
    }

    fn decode(path: &Path, identity: &[u8; 16], bytes: &[u8]) -> Result<Self, SnapshotError> {
        let damaged = |what| SnapshotError::Damaged { path: path.to_owned(), what };
        let mut from = Fields(bytes);
        let check = from.u32().ok_or_else(|| damaged("it is too short"))?;
        if check != crc32c(from.0) {
            return Err(damaged("its check fails"));
        }
        let version = from.u32().unwrap_or(0);
        if from.array() != Some(MAGIC) || version == 0 {
            return Err(damaged("this is no snapshot of summaries"));
        }
        if version > VERSION {
            return Err(SnapshotError::Newer { path: path.to_owned(), version });
        }
        if from.array() != Some(*identity) {
            return Err(damaged("it belongs to another data folder"));
        }
        let snapshot = from.snapshot(version).filter(|_| from.0.is_empty());
        snapshot.ok_or_else(|| damaged("it does not add up"))
    }

    /// Removes what a crash left half written.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn tidy(disk: &dyn Disk, folder: &Path) -> Result<(), SnapshotError> {
        let path = snapshot_path(folder).with_added_extension("partial");
        match disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io("removing", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// The state that it was taken of.
    pub(crate) fn state(&self) -> Option<State> {
        let mut state = State::new(self.actors_max);
        state.watermark = self.watermark;
        state.newest = self.newest;
        state.complete_after = self.complete_after;
        for (whose, ids) in Whose::ALL.into_iter().zip(&self.ids) {
            for (id, number) in ids.iter().zip(1_u32..) {
                if state.take_id(whose, id)? != number {
                    return None;
                }
            }
        }
        for (day, open) in &self.open {
            let mut to = OpenDay { generation: open.generation, ..OpenDay::default() };
            for (whose, entries) in Whose::ALL.into_iter().zip(&open.kinds) {
                for (number, counters) in entries {
                    state.id(whose, *number)?;
                    to.kind_mut(whose).add(*number, counters.clone(), None);
                }
            }
            state.open.insert(*day, to);
        }
        state.closed = Arc::new(self.closed.clone());
        Some(state)
    }
}

/// What is to be written. Open days are shared with the fold, which works on copies where it goes on
/// with them meanwhile: so it is not held up.
struct Taken {
    watermark: u64,
    actors_max: u32,
    newest: Option<Day>,
    complete_after: u64,
    ids: [Vec<(u32, EntryId)>; KINDS],
    closed: Arc<BTreeMap<Day, ClosedDay>>,
    open: Vec<(Day, u32, [Arc<RoleDay>; KINDS])>,
}

impl Taken {
    fn of(state: &State) -> Self {
        let open = state.open.iter();
        Self {
            watermark: state.watermark,
            actors_max: state.actors_max,
            newest: state.newest,
            complete_after: state.complete_after,
            ids: Whose::ALL.map(|whose| state.ids_after(whose, 0)),
            closed: Arc::clone(&state.closed),
            open: open.map(|(day, open)| (*day, open.generation, open.kinds.clone())).collect(),
        }
    }

    fn encode(&self, identity: &[u8; 16]) -> Vec<u8> {
        let mut to = vec![0; 4];
        to.extend(VERSION.to_le_bytes());
        to.extend(MAGIC);
        to.extend(identity);
        to.extend(self.watermark.to_le_bytes());
        to.extend(self.actors_max.to_le_bytes());
        to.extend(self.newest.map_or(0, |day| u32::from(day.0) + 1).to_le_bytes());
        to.extend(self.complete_after.to_le_bytes());
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
        for ids in &self.ids {
            to.extend(count(ids.len()));
            for (_, id) in ids {
                // At most `REFERENCE_ID_BYTES_MAX`, 158.
                to.push(id.as_str().len() as u8);
                to.extend(id.as_str().as_bytes());
            }
        }
        to.extend(count(self.closed.len()));
        for (day, file) in self.closed.iter() {
            to.extend(day.0.to_le_bytes());
            to.extend(file.generation.to_le_bytes());
            to.extend(file.length.to_le_bytes());
            to.extend(file.crc.to_le_bytes());
        }
        to.extend(count(self.open.len()));
        let mut figures = Vec::new();
        for (day, generation, kinds) in &self.open {
            to.extend(day.0.to_le_bytes());
            to.extend(generation.to_le_bytes());
            for role_day in kinds {
                to.extend(count(role_day.entries.len()));
                for entry in &role_day.entries {
                    figures.clear();
                    entry.counters.encode(&mut figures);
                    to.extend(entry.number.to_le_bytes());
                    // At most `VALUE_BYTES_MAX`, 4,096.
                    to.extend((figures.len() as u16).to_le_bytes());
                    to.extend(&figures);
                }
            }
        }
        let check = crc32c(to.get(4..).unwrap_or_default());
        to.iter_mut().zip(check.to_le_bytes()).for_each(|(to, byte)| *to = byte);
        to
    }
}

/// Takes snapshots of a fold while it goes on.
#[derive(Debug, Clone)]
pub struct Snapshots {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    identity: [u8; 16],
}

impl Snapshots {
    pub(crate) fn new(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        identity: [u8; 16],
    ) -> Self {
        Self { shared, disk, folder, identity }
    }

    /// The newest day of a batch folded in.
    #[must_use]
    pub fn newest_day(&self) -> Option<Day> {
        self.shared.read().newest
    }

    /// Takes one, in the place of the one before, and returns once it is durable.
    ///
    /// # Errors
    /// Where it cannot be written: then the one before may stand, or this one.
    pub fn take(&self) -> Result<Watermark, SnapshotError> {
        let folder = self.folder.join(SNAPSHOT_FOLDER);
        self.disk.create_dir(&folder).map_err(io("making", &folder))?;
        let path = snapshot_path(&self.folder);
        // Held all the while, so that none of the files it names is removed before it stands.
        let mut named = self.shared.files.named();
        let snapshot = Taken::of(&self.shared.read());
        let before = named.clone();
        let now = snapshot.closed.iter().map(|(day, file)| (*day, file.generation)).collect();
        named.extend(&now);
        let bytes = snapshot.encode(&self.identity);
        self.disk.write_small(&path, &bytes).map_err(io("writing", &path))?;
        let gone: Vec<_> = before.difference(&now).copied().collect();
        *named = now;
        drop(named);
        for (day, _) in gone {
            // Reopened since, so that a later generation has all that the file had, or will have.
            if let Some(file) = snapshot.closed.get(&day) {
                self.shared.files.remove_older(day, file.generation)?;
            }
        }
        Ok(Watermark(snapshot.watermark))
    }
}

impl Fields<'_> {
    fn snapshot(&mut self, version: u32) -> Option<Snapshot> {
        let is_first = version == FIRST_VERSION;
        let kinds = if is_first { FIRST_KINDS } else { KINDS };
        let (watermark, actors_max, newest) = (self.u64()?, self.u32()?, self.u32()?);
        let newest = match newest.checked_sub(1) {
            Some(day) => Some(Day(u16::try_from(day).ok()?)),
            None => None,
        };
        let complete_after = if is_first { watermark } else { self.u64()? };
        let mut ids: [Vec<String>; KINDS] = Default::default();
        for (whose, ids) in Whose::ALL.into_iter().zip(&mut ids).take(kinds) {
            for _ in 0..self.u32()? {
                let length = usize::from(*self.take(1)?.first()?);
                let text = std::str::from_utf8(self.take(length)?).ok()?;
                ids.push(whose.is_id(text).then(|| text.to_owned())?);
            }
        }
        let mut closed = BTreeMap::new();
        for _ in 0..self.u32()? {
            let day = Day(self.u16()?);
            let (generation, length, crc) = (self.u32()?, self.u64()?, self.u32()?);
            closed.insert(day, ClosedDay { generation, length, crc });
        }
        let mut open = BTreeMap::new();
        for _ in 0..self.u32()? {
            let day = Day(self.u16()?);
            let mut own = Open { generation: self.u32()?, ..Open::default() };
            for entries in own.kinds.iter_mut().take(kinds) {
                for _ in 0..self.u32()? {
                    let number = self.u32()?;
                    let length = self.u16()?;
                    entries.push((number, Counters::decode(self.take(length.into())?)?));
                }
            }
            open.insert(day, own);
        }
        Some(Snapshot { watermark, actors_max, newest, complete_after, ids, closed, open })
    }
}
