//! What a start goes on from: archive, runs and journal, opened in an order in which nothing is relied
//! on that a power cut could still take back, and recovered from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine;
use super::laws::Laws;
use super::prepare::Preparer;
use super::recover::{Recovered, Recoverer};
use super::runs;
use super::start_error::{StartError, io};
use crate::archive::{self, Archive};
use crate::disk::Disk;
use crate::id::Watermark;
use crate::index::{Index, run};
use crate::journal::{self, Journal};
use crate::summary::{Dropped, Fold, FoldOptions, Snapshot, SnapshotError, snapshot_path};

/// That the journal follows on what is sealed. Returns the last record of that.
pub(super) fn check_beginning(
    archive: &Archive,
    journal: Option<journal::Extent>,
) -> Result<Watermark, StartError> {
    let sealed = Watermark(archive.next().0.0 - 1);
    match journal.map(|journal| journal.first_record.0) {
        Some(first) if first > sealed.0 + 1 => {
            Err(StartError::Beginning { first, sealed: sealed.0 })
        }
        _ => Ok(sealed),
    }
}

/// Opens the archive in `folder`, of which the rest is read later: whether days are dropped must be
/// known before the summaries are opened.
pub(super) fn open_archive(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    options: archive::Options,
) -> Result<Archive, StartError> {
    let (archive, opened) = Archive::open(Arc::clone(disk), folder, options)?;
    if opened.orphans_removed > 0 {
        tracing::info!(
            files = opened.orphans_removed,
            "what a crash left of records on their way into the archive is removed"
        );
    }
    Snapshot::tidy(&**disk, folder)?;
    Ok(archive)
}

/// How the fold beside `archive`, which is in `folder`, is opened.
pub(super) fn fold_options(
    disk: &dyn Disk,
    folder: &Path,
    archive: &Archive,
    identity: &[u8; 16],
) -> Result<FoldOptions, StartError> {
    let (snapshot, without_snapshot) = match Snapshot::read(disk, folder, identity) {
        Ok(Some(snapshot)) => (Some(Arc::new(snapshot)), String::new()),
        Ok(None) => (None, format!("{} is missing", snapshot_path(folder).display())),
        Err(error @ SnapshotError::Damaged { .. }) => (None, error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let dropped = archive.dropped();
    let dropped = dropped.map(|(through, day)| Dropped { through, day, without_snapshot });
    Ok(FoldOptions { snapshot, dropped, ..FoldOptions::default() })
}

/// Where a start finds what is durable, and how that is read.
pub(super) struct Resuming {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) journal_folder: PathBuf,
    pub(super) runs_folder: run::Folder,
    pub(super) archive: Archive,
    pub(super) journal: journal::Options,
    /// Without any law as yet.
    pub(super) laws: Arc<Laws>,
    pub(super) preparers: Vec<Preparer>,
    pub(super) time_zone: String,
}

/// What a start goes on from.
pub(super) struct Resumed {
    pub(super) archive: Archive,
    pub(super) index: Arc<Index>,
    pub(super) journal: Journal,
    pub(super) recovery: journal::Recovery,
    pub(super) recovered: Recovered,
}

impl Resuming {
    /// Opens runs and journal, and recovers from them what `fold` and the runs do not know;
    /// `index` makes the index that goes on after these runs.
    pub(super) fn resume(
        self,
        fold: Fold,
        index: impl FnOnce(Vec<run::Run>) -> Result<Arc<Index>, StartError>,
    ) -> Result<Resumed, StartError> {
        let Self { disk, journal_folder, archive, laws, preparers, .. } = self;
        // A segment that the last process removed may come back as long as that is not durable, and
        // what is made here of its records in the archive says that it is gone.
        disk.sync_dir(&journal_folder).map_err(io(journal_folder.display()))?;
        let extent = journal::extent(&*disk, &journal_folder, &self.journal.identity)?;
        let sealed = check_beginning(&archive, extent)?;
        let first_record = extent.map_or(Watermark(1), |extent| extent.first_record);
        let runs = runs::usable(&self.runs_folder, fold.watermark(), extent, archive.dropped())?;
        // The last process may have ended before the names it gave were durable, and what is sealed
        // from here on rests on these runs.
        let runs_dir = self.runs_folder.dir();
        disk.sync_dir(runs_dir).map_err(io(runs_dir.display()))?;
        let newest_run = runs.last().map(|run| run.covers().clone());
        let index = index(runs)?;
        let recoverer = Recoverer::new(
            Arc::clone(&index),
            laws,
            preparers,
            &self.time_zone,
            (fold, self.runs_folder),
            engine::report(),
        );
        let mut recoverer = Some(match &newest_run {
            Some(covers) => recoverer.after(covers)?,
            None => recoverer,
        });
        if let Some(recoverer) = &mut recoverer {
            // What no segment has any more, and what is derived does not know.
            recoverer.read_archive(&archive, first_record)?;
        }
        let from_segment = newest_run.map_or(1, |covers| covers.position.segment);
        let (journal, recovery) = journal::open(
            disk,
            &journal_folder,
            &journal::Options { from_segment, ..self.journal },
            &mut |record| match &mut recoverer {
                Some(recoverer) => recoverer.take(&record).map_err(Into::into),
                None => Ok(()),
            },
        )?;
        let recovered = match recoverer.take() {
            Some(recoverer) => recoverer.finish()?,
            None => return Err(io("recovery")(std::io::Error::other("it was interrupted"))),
        };
        let held = journal.durable().watermark;
        if recovered.fold.watermark() > held {
            let catalog = recovered.fold.watermark().0;
            return Err(StartError::Ahead { catalog, journal: held.0 });
        }
        if sealed > held {
            return Err(StartError::ArchiveAhead { archive: sealed.0, journal: held.0 });
        }
        Ok(Resumed { archive, index, journal, recovery, recovered })
    }
}
