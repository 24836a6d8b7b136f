//! What a backup is of: the parts of a data folder as they fit one another at one moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::BackupError;
use crate::archive::{ListedSet, Part, list_sets};
use crate::day::Day;
use crate::disk::Disk;
use crate::id::Watermark;
use crate::index::run::{self, Head, in_line};
use crate::ingest::engine::folders;
use crate::journal::Pinned;
use crate::summary::{SUMMARY_FOLDER, Snapshot, snapshot_path};

/// The data folder that is backed up.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) root: PathBuf,
    /// Check value of its secrets.
    pub(super) identity: [u8; 16],
}

impl Source {
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn sets(&self) -> Result<Vec<ListedSet>, BackupError> {
        Ok(list_sets(&*self.disk, &self.folder(folders::ARCHIVE), &self.identity)?)
    }
}

/// What there is at one moment: see [`super`] for why its parts fit one another.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) journal: Pinned,
    pub(super) sets: Vec<ListedSet>,
    /// Where days are dropped.
    pub(super) outlives: Option<Outlives>,
}

/// What outlives days that are dropped, and cannot be made again.
#[derive(Debug)]
pub(super) struct Outlives {
    /// The newest of these days.
    pub(super) day: Day,
    /// Runs of all records up to the last one of these days, at least.
    pub(super) runs: Vec<Head>,
    /// The snapshot of the summaries: its file, and how many records it has folded.
    pub(super) snapshot: Vec<u8>,
    pub(super) watermark: Watermark,
    /// The files of closed days that it names: path within the data folder, length, last bytes.
    pub(super) day_files: Vec<(PathBuf, u64, [u8; 4])>,
}

impl Moment {
    /// Looks at the data folder, in the order that [`super`] tells.
    pub(super) fn of(source: &Source) -> Result<Self, BackupError> {
        let disk = &*source.disk;
        let mut journal = Pinned::take(disk, &source.folder(folders::JOURNAL), source.identity)?;
        let sets = source.sets()?;
        let outlives = match dropped(&sets) {
            None => None,
            Some(dropped) => {
                let outlives = Outlives::of(source, dropped)?;
                let now = source.sets()?;
                // By name: where many days are dropped one after another, it is another one each time.
                let changed = sets.iter().enumerate().find(|(at, set)| now.get(*at) != Some(*set));
                if let Some((_, listed)) = changed {
                    let name = listed.set.name();
                    return Err(BackupError::Unfit(format!(
                        "of set {name} a day was dropped just now"
                    )));
                }
                Some(outlives)
            }
        };
        journal.extend(disk)?;
        let moment = Self { journal, sets, outlives };
        let (first, sealed) = (moment.journal.first_record(), moment.sealed().0);
        match first {
            None => {
                let (folder, what) = (source.folder(folders::JOURNAL), "the journal is missing");
                Err(BackupError::NoDataFolder { folder, what })
            }
            Some(first) if first.0 > sealed + 1 => Err(BackupError::Unfit(format!(
                "the journal begins with record {}, and the archive ends with {sealed}",
                first.0
            ))),
            Some(_) => Ok(moment),
        }
    }

    /// The last record that is in the archive.
    pub(super) fn sealed(&self) -> Watermark {
        self.sets.last().map_or(Watermark(0), |listed| listed.set.last)
    }

    /// The last record that the other parts know of: the journal must have it.
    pub(super) fn known(&self) -> Watermark {
        let folded = self.outlives.as_ref().map_or(Watermark(0), |outlives| outlives.watermark);
        self.sealed().max(folded)
    }

    /// Bytes of a copy.
    pub(super) fn bytes(&self) -> u64 {
        let of_set = |listed: &ListedSet| {
            listed.set_file.bytes + listed.files.iter().map(|file| file.bytes).sum::<u64>()
        };
        let archive: u64 = self.sets.iter().map(of_set).sum();
        archive + self.journal.bytes() + self.outlives.as_ref().map_or(0, Outlives::bytes)
    }
}

/// The last record of days that are dropped, and its day.
fn dropped(sets: &[ListedSet]) -> Option<(Watermark, Day)> {
    let parts = sets.iter().flat_map(|listed| &listed.set.parts);
    let dropped = parts.filter(|part: &&Part| part.is_dropped);
    dropped.map(|part| (part.records.1, part.day)).max()
}

impl Outlives {
    fn of(source: &Source, (through, day): (Watermark, Day)) -> Result<Self, BackupError> {
        let runs_folder = source.folder(folders::RUNS);
        let heads = run::Folder::new(Arc::clone(&source.disk), &runs_folder, source.identity);
        let heads = heads.heads()?;
        let archive = source.folder(folders::ARCHIVE);
        let snapshot = Snapshot::read_bytes(&*source.disk, &archive, &source.identity)?;
        let Some((snapshot, bytes)) = snapshot else {
            let path = snapshot_path(&archive);
            let what = "it is missing: start the server once, which takes it again".to_owned();
            return Err(BackupError::Damaged { path, what });
        };
        let watermark = snapshot.watermark();
        let runs = in_line(heads, watermark);
        let covered = runs.last().map_or(Watermark(0), |newest| newest.covers().last_record);
        if covered.min(watermark) < through {
            return Err(BackupError::Unfit(format!(
                "days up to {day} are dropped, the last record of which is {}; the snapshot of the \
                 summaries has {} records, and {} has runs of the first {} of them",
                through.0,
                watermark.0,
                runs_folder.display(),
                covered.0
            )));
        }
        let days = Path::new(folders::ARCHIVE).join(SUMMARY_FOLDER);
        let day_files = snapshot.day_files();
        let day_files = day_files.map(|(path, bytes, end)| (days.join(path), bytes, end)).collect();
        Ok(Self { day, runs, snapshot: bytes, watermark, day_files })
    }

    fn bytes(&self) -> u64 {
        let runs: u64 = self.runs.iter().map(Head::bytes).sum();
        let days: u64 = self.day_files.iter().map(|(_, bytes, _)| bytes).sum();
        self.snapshot.len() as u64 + runs + days
    }
}
