//! The folder of closed days: `day=2026-11-22/summary-1.waag`.
//!
//! A file appears whole (written beside, synced, renamed, folder synced) or not at all. Which of
//! a day's generations counts is said by the catalog; one that it does not name is left alone
//! until a later generation of that day has been closed and checkpointed. So neither a crash nor a
//! rebuild that stops half-way deletes anything before its successor stands. One that a snapshot
//! names stays until another snapshot has taken its place.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::day::Day;
use crate::disk::plain;
use crate::summary::day_file::{DayFile, DayFileError, Identity, Writer};

/// How many day files are held open, with their index in memory: about 128 KiB each for 300,000
/// entries, so about 8 MiB.
const OPEN_MAX: usize = 64;

/// The file that holds a closed day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClosedDay {
    pub(crate) generation: u32,
    pub(crate) length: u64,
    /// Of the footer, which stands for the whole file.
    pub(crate) crc: u32,
}

type Opened = ((Day, ClosedDay), Arc<DayFile>);

/// The files of closed days.
#[derive(Debug)]
pub(crate) struct DayFiles {
    root: PathBuf,
    data_folder: [u8; 16],
    /// The most recently used first.
    open: Mutex<VecDeque<Opened>>,
    /// Generations of days that a snapshot names: they stay.
    named: Mutex<BTreeSet<(Day, u32)>>,
}

impl DayFiles {
    /// Over the folder `root`, which is made when first written to.
    pub(crate) fn new(root: PathBuf, data_folder: [u8; 16]) -> Self {
        let (open, named) = (Mutex::default(), Mutex::default());
        Self { root, data_folder, open, named }
    }

    /// What a snapshot names; while this is held nothing is removed.
    pub(crate) fn named(&self) -> MutexGuard<'_, BTreeSet<(Day, u32)>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of `day` as the catalog knows it.
    pub(crate) fn get(&self, day: Day, closed: ClosedDay) -> Result<Arc<DayFile>, DayFileError> {
        let key = (day, closed);
        if let Some(file) = self.take_open(key) {
            self.keep_open(key, &file);
            return Ok(file);
        }
        let path = self.path(day, closed.generation);
        let (file, length, crc) = DayFile::open(&path, &self.identity(day, closed.generation))?;
        if (length, crc) != (closed.length, closed.crc) {
            let what = "it is not the file that the catalog knows".to_owned();
            return Err(DayFileError::Damaged { path, what });
        }
        let file = Arc::new(file);
        self.keep_open(key, &file);
        Ok(file)
    }

    /// Writes the next generation of `day`, later than `after` and than any file there is.
    pub(crate) fn write(
        &self,
        day: Day,
        after: u32,
        fill: impl FnOnce(&mut Writer) -> Result<(), DayFileError>,
    ) -> Result<ClosedDay, DayFileError> {
        let folder = self.folder(day);
        let made = plain::call(|| fs::create_dir_all(&folder));
        made.map_err(|error| DayFileError::io("make", &folder, error))?;
        let newest = self.generations(day)?.into_iter().max().unwrap_or(0);
        let generation = newest.max(after) + 1;
        let path = self.path(day, generation);
        let beside = path.with_extension("part");
        let mut writer = Writer::create(&beside, &self.identity(day, generation))?;
        fill(&mut writer)?;
        let (length, crc) = writer.finish()?;
        let named = plain::call(|| fs::rename(&beside, &path));
        named.map_err(|error| DayFileError::io("name", &path, error))?;
        // The file's name, then the folder's own name and those above it.
        for folder in path.ancestors().skip(1).take(4).filter(|f| !f.as_os_str().is_empty()) {
            sync_folder(folder)?;
        }
        Ok(ClosedDay { generation, length, crc })
    }

    /// Removes the files of `day` older than `generation`, and what was left half-written.
    pub(crate) fn remove_older(&self, day: Day, generation: u32) -> Result<(), DayFileError> {
        let named = self.named();
        let is_older = |older: &u32| *older < generation && !named.contains(&(day, *older));
        for older in self.generations(day)?.into_iter().filter(is_older) {
            let path = self.path(day, older);
            let removed = plain::call(|| fs::remove_file(&path));
            removed.map_err(|error| DayFileError::io("remove", &path, error))?;
        }
        let folder = self.folder(day);
        for name in file_names(&folder)?.iter().filter(|name| name.ends_with(".part")) {
            let path = folder.join(name);
            let removed = plain::call(|| fs::remove_file(&path));
            removed.map_err(|error| DayFileError::io("remove", &path, error))?;
        }
        Ok(())
    }

    /// Removes all files but these generations.
    pub(crate) fn keep_only(&self, kept: &BTreeSet<(Day, u32)>) -> Result<(), DayFileError> {
        for name in file_names(&self.root)? {
            let day = name.strip_prefix("day=").and_then(Day::parse);
            let folder = self.root.join(&name);
            for file in file_names(&folder)? {
                let is_kept = day.zip(generation_of(&file)).is_some_and(|it| kept.contains(&it));
                if !is_kept {
                    let path = folder.join(file);
                    let removed = plain::call(|| fs::remove_file(&path));
                    removed.map_err(|error| DayFileError::io("remove", &path, error))?;
                }
            }
        }
        Ok(())
    }

    /// Opens and checks every file, named by the catalog or not, wholly.
    pub(crate) fn verify(&self) -> Result<u64, DayFileError> {
        let mut files = 0;
        for name in file_names(&self.root)? {
            let Some(day) = name.strip_prefix("day=").and_then(Day::parse) else { continue };
            for generation in self.generations(day)? {
                let path = self.path(day, generation);
                DayFile::open(&path, &self.identity(day, generation))?.0.verify()?;
                files += 1;
            }
        }
        Ok(files)
    }

    fn identity(&self, day: Day, generation: u32) -> Identity {
        Identity { data_folder: self.data_folder, day, generation }
    }

    fn folder(&self, day: Day) -> PathBuf {
        self.root.join(folder_name(day))
    }

    fn path(&self, day: Day, generation: u32) -> PathBuf {
        self.root.join(file_path(day, generation))
    }

    fn generations(&self, day: Day) -> Result<Vec<u32>, DayFileError> {
        let names = file_names(&self.folder(day))?;
        Ok(names.iter().filter_map(|name| generation_of(name)).collect())
    }

    fn take_open(&self, key: (Day, ClosedDay)) -> Option<Arc<DayFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let place = open.iter().position(|(other, _)| *other == key)?;
        open.remove(place).map(|(_, file)| file)
    }

    fn keep_open(&self, key: (Day, ClosedDay), file: &Arc<DayFile>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_front((key, Arc::clone(file)));
        open.truncate(OPEN_MAX);
    }
}

fn folder_name(day: Day) -> String {
    format!("day={day}")
}

/// Where the file of a closed day is, within the folder of all of them.
pub(super) fn file_path(day: Day, generation: u32) -> PathBuf {
    Path::new(&folder_name(day)).join(format!("summary-{generation}.waag"))
}

/// Opens and checks every file of closed days in the folder `root`, wholly. Returns how many there are.
///
/// # Errors
/// The first that is damaged; I/O.
pub fn verify_day_files(root: &Path, data_folder: [u8; 16]) -> Result<u64, DayFileError> {
    DayFiles::new(root.to_owned(), data_folder).verify()
}

fn generation_of(name: &str) -> Option<u32> {
    name.strip_prefix("summary-")?.strip_suffix(".waag")?.parse().ok()
}

/// The names in `folder`; none where there is no such folder.
fn file_names(folder: &Path) -> Result<Vec<String>, DayFileError> {
    let failed = |error| DayFileError::io("list", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    entries
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()).map_err(failed))
        .collect()
}

fn sync_folder(folder: &Path) -> Result<(), DayFileError> {
    plain::sync_folder(folder).map_err(|error| DayFileError::io("sync", folder, error))
}
