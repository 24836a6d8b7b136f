//! The folder of runs: what is there at a start, and what of it is of use.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read::Run;
use super::{Covers, PREPARING_SUFFIX, RunError, SUFFIX, Source, io, write};
use crate::disk::Disk;
use crate::id::{Ordinal, Watermark};

/// Where runs are.
#[derive(Debug, Clone)]
pub struct Folder {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    identity: [u8; 16],
}

/// The runs of a folder.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that cover the records without a gap, oldest first: from the first on, or from those on of
    /// which the newest says that all before is forgotten.
    pub whole: Vec<Run>,
    /// Parts of those, from before they were merged: what a crash left. They may be removed.
    pub parts: Vec<PathBuf>,
    /// Others, of no use: with a sentence why.
    pub others: Vec<(PathBuf, String)>,
}

/// Whether nothing is missing before the oldest run, by what the newest says.
#[must_use]
pub fn may_begin(oldest: &Covers, newest: &Covers) -> bool {
    let begins = (oldest.first_record, oldest.first_ordinal) == (Watermark(1), Ordinal(0));
    let forgotten = newest.forgotten.before;
    begins || (forgotten > Ordinal(0) && oldest.first_ordinal <= forgotten)
}

/// Of those that begin together the longest first: it was made of the others.
pub(super) fn in_order(covers: &Covers) -> (Watermark, Reverse<Watermark>) {
    (covers.first_record, Reverse(covers.last_record))
}

/// What a run is among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// One of those that cover the records without a gap.
    Whole,
    /// Others have all of its records.
    Part,
    /// It would have to begin with this record.
    After(Watermark),
}

/// What each of runs that are [`in_order`] is, after others that end with this record and before this
/// ordinal; where there are none, from wherever the first of these begins.
pub(super) fn places<'a>(
    runs: impl Iterator<Item = &'a Covers>,
    before: (Watermark, Ordinal),
) -> Vec<Place> {
    let mut runs = runs.peekable();
    let (mut next, mut ordinal) = (Watermark(before.0.0 + 1), before.1);
    if let Some(oldest) = runs.peek().filter(|_| before.0 == Watermark(0)) {
        (next, ordinal) = (oldest.first_record, oldest.first_ordinal);
    }
    let place = |covers: &Covers| {
        let follows = (covers.first_record, covers.first_ordinal) == (next, ordinal);
        if follows && covers.last_record >= next {
            next = Watermark(covers.last_record.0 + 1);
            ordinal = covers.end_ordinal;
            Place::Whole
        } else if covers.last_record < next {
            Place::Part
        } else {
            Place::After(next)
        }
    };
    runs.map(place).collect()
}

impl Folder {
    /// The folder `dir` on `disk`, of the data folder with this identity.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, identity: [u8; 16]) -> Self {
        Self { disk, dir: dir.to_owned(), identity }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(super) fn identity(&self) -> [u8; 16] {
        self.identity
    }

    /// That the disk has so many bytes free.
    ///
    /// # Errors
    /// As where a run is written to a full disk.
    pub fn expect_room(&self, bytes: u64) -> Result<(), RunError> {
        let free = self.disk.free_bytes(&self.dir).map_err(io("asking for room in", &self.dir))?;
        if free < bytes {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(io("merging into", &self.dir)(full));
        }
        Ok(())
    }

    /// Opens the runs that there are, and changes nothing.
    ///
    /// # Errors
    /// I/O, and a run of a newer format, which another program can use.
    pub fn open(&self) -> Result<Found, RunError> {
        self.open_after((Watermark(0), Ordinal(0)))
    }

    /// The same of runs that follow on others, which are elsewhere and end with this record and before
    /// this ordinal.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_after(&self, before: (Watermark, Ordinal)) -> Result<Found, RunError> {
        let mut found = Found::default();
        let entries = match self.disk.list(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            listed => listed.map_err(io("listing", &self.dir))?,
        };
        let mut intact = Vec::new();
        for name in entries.into_iter().map(|entry| entry.name).filter(|n| n.ends_with(SUFFIX)) {
            let path = self.dir.join(&name);
            match Run::open(&*self.disk, &path, self.identity) {
                Ok(run) if run.covers().file_name() == name => intact.push(run),
                Ok(_) => found.others.push((path, "its name is another run's".to_owned())),
                Err(error @ RunError::Damaged { .. }) => {
                    found.others.push((path, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        intact.sort_by_key(|run| in_order(run.covers()));
        let places = places(intact.iter().map(Run::covers), before);
        for (run, place) in intact.into_iter().zip(places) {
            match place {
                Place::Whole => found.whole.push(run),
                Place::Part => found.parts.push(run.path().to_owned()),
                Place::After(next) => {
                    let why = format!("it does not follow on record {}", next.0 - 1);
                    found.others.push((run.path().to_owned(), why));
                }
            }
        }
        if let (Some(oldest), Some(newest)) = (found.whole.first(), found.whole.last())
            && before.0 == Watermark(0)
            && !may_begin(oldest.covers(), newest.covers())
        {
            let others = std::mem::take(&mut found.whole).into_iter();
            let why = || "it does not follow on record 0".to_owned();
            found.others.extend(others.map(|run| (run.path().to_owned(), why())));
        }
        Ok(found)
    }

    /// Removes files that were to become runs when the last process ended.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn tidy(&self) -> Result<(), RunError> {
        for entry in self.disk.list(&self.dir).map_err(io("listing", &self.dir))? {
            if entry.name.ends_with(PREPARING_SUFFIX) {
                self.remove(&self.dir.join(entry.name))?;
            }
        }
        Ok(())
    }

    /// Removes all runs but those at these paths.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn clear_but(&self, kept: &[PathBuf]) -> Result<(), RunError> {
        for entry in self.disk.list(&self.dir).map_err(io("listing", &self.dir))? {
            let path = self.dir.join(&entry.name);
            let is_run = entry.name.ends_with(SUFFIX) || entry.name.ends_with(PREPARING_SUFFIX);
            if is_run && !kept.contains(&path) {
                self.remove(&path)?;
            }
        }
        self.disk.sync_dir(&self.dir).map_err(io("syncing", &self.dir))
    }

    /// Removes one file.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn remove(&self, path: &Path) -> Result<(), RunError> {
        self.disk.remove(path).map_err(io("removing", path))
    }

    /// Removes one file, for good before anything else is removed.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn remove_durably(&self, path: &Path) -> Result<(), RunError> {
        self.remove(path)?;
        self.disk.sync_dir(&self.dir).map_err(io("syncing", &self.dir))
    }

    /// Writes a run.
    pub(in crate::index) fn write(&self, source: &dyn Source) -> Result<Run, RunError> {
        write(&*self.disk, &self.dir, self.identity, source)
    }
}
