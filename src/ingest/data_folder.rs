//! A data folder that no server holds, opened to be looked at: `waag verify`, `waag rebuild` and
//! `waag export` read it, and change nothing of it here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine::{self, StartError, folders};
use super::laws::Laws;
use super::options;
use super::prepare::{Bounds, Preparer};
use super::recover::{Recovered, Recoverer};
use super::resume;
use super::runs;
use super::start_error::io;
use crate::archive::{self, Archive};
use crate::config::Config;
use crate::disk::{Disk as _, FolderLock, LocalDisk};
use crate::id::Watermark;
use crate::index::run::{self, Run};
use crate::journal::{self, Verified};
use crate::rules::Shelf;
use crate::secrets::{Secrets, SecretsError};
use crate::summary::{Fold, FoldOptions, SUMMARY_FOLDER};
use crate::wire::digest::Keys;

/// A data folder, locked, with what is needed to read it.
#[derive(Debug)]
pub(super) struct DataFolder {
    pub(super) secrets: Secrets,
    /// What is wrong with one of their two files, where something is.
    pub(super) secrets_damage: Option<String>,
    pub(super) shelf: Shelf,
    pub(super) laws: Arc<Laws>,
    _lock: Arc<FolderLock>,
}

impl DataFolder {
    pub(super) fn of(config: &Config) -> Result<Self, StartError> {
        config.check()?;
        let journal = config.data_dir.join(folders::JOURNAL);
        if !journal.is_dir() {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(io(if config.data_dir.join(folders::SECRETS).is_dir() {
                format!("{}: the journal is missing", journal.display())
            } else {
                format!("{}: no data folder", config.data_dir.display())
            })(source));
        }
        let lock = FolderLock::take(&config.data_dir)?;
        let (secrets, damaged) = Secrets::check(&config.data_dir.join(folders::SECRETS))?;
        let rules = config.data_dir.join(folders::RULES);
        Ok(Self {
            secrets,
            secrets_damage: damaged,
            shelf: Shelf::open(&rules)?,
            laws: Arc::new(Laws::over(Shelf::open(&rules)?)),
            _lock: Arc::new(lock),
        })
    }

    pub(super) fn fresh_laws(&self, config: &Config) -> Result<Arc<Laws>, StartError> {
        Ok(Arc::new(Laws::over(Shelf::open(&config.data_dir.join(folders::RULES))?)))
    }

    pub(super) fn keys(&self) -> Keys {
        Keys::new(self.secrets.prf(), self.secrets.digest())
    }

    pub(super) fn runs(&self, dir: &Path) -> run::Folder {
        run::Folder::new(Arc::new(LocalDisk::new()), dir, self.secrets.identity())
    }

    /// Opens the archive, changing nothing.
    pub(super) fn open_archive(&self, config: &Config) -> Result<Archive, StartError> {
        let options = options::archive_options(config, &self.secrets);
        let options = archive::Options { look_only: true, ..options };
        let root = config.data_dir.join(folders::ARCHIVE);
        Ok(Archive::open(Arc::new(LocalDisk::new()), &root, options)?.0)
    }

    pub(super) fn fold_options(
        &self,
        config: &Config,
        archive: &Archive,
    ) -> Result<FoldOptions, StartError> {
        let root = config.data_dir.join(folders::ARCHIVE);
        resume::fold_options(&LocalDisk::new(), &root, archive, &self.secrets.identity())
    }

    /// A fold of nothing in `outside` or, where days are dropped, of what the snapshot has.
    pub(super) fn own_fold(
        &self,
        config: &Config,
        outside: &Passing,
        options: &FoldOptions,
    ) -> Result<Fold, StartError> {
        let (catalog, archive) = (outside.0.join("own-catalog"), outside.0.join("own"));
        if options.dropped.is_some() {
            let from = config.data_dir.join(folders::ARCHIVE).join(SUMMARY_FOLDER);
            copy(&from, &archive.join(SUMMARY_FOLDER)).map_err(io(from.display()))?;
        }
        Ok(Fold::open(&catalog, &archive, options, self.secrets.identity())?.0)
    }

    /// Reads archive and journal, changing nothing of them, into `fold`; tables that are full, or are
    /// at one of the `boundaries`, are written into `runs`, a folder with none but `truth`: those that
    /// have what was dropped.
    pub(super) fn recover(
        &self,
        config: &Config,
        archive: &Archive,
        fold: Fold,
        mark: Option<Watermark>,
        (runs, boundaries, truth): (run::Folder, Vec<Watermark>, Vec<Run>),
    ) -> Result<(Recovered, Verified), StartError> {
        LocalDisk::new().create_dir(runs.dir()).map_err(io(runs.dir().display()))?;
        let keys = self.keys();
        let covers = truth.last().map(|run| run.covers().clone());
        let index = runs::index(config, &config.check()?, keys.clone(), truth)?;
        let calendar = options::calendar(config)?;
        let preparers = (0..config.worker_count())
            .map(|_| Preparer::new(Bounds::NONE, calendar.clone(), keys.clone()))
            .collect();
        let laws = Arc::clone(&self.laws);
        let recoverer = Recoverer::new(
            index,
            laws,
            preparers,
            &config.time_zone,
            (fold, runs),
            engine::report(),
        );
        let recoverer = match &covers {
            Some(covers) => recoverer.after(covers)?,
            None => recoverer,
        };
        let mut recoverer = recoverer.with_mark(mark).with_boundaries(boundaries);
        let journal = config.data_dir.join(folders::JOURNAL);
        let extent = journal::extent(&LocalDisk::new(), &journal, &self.secrets.identity())?;
        resume::check_beginning(archive, extent)?;
        if let Some(extent) = extent {
            recoverer.read_archive(archive, extent.first_record)?;
        }
        let verified = journal::verify(
            &LocalDisk::new(),
            &journal,
            Some(self.secrets.identity()),
            &mut |record| recoverer.take(&record).map_err(Into::into),
        )?;
        Ok((recoverer.finish()?, verified))
    }
}

/// A folder that goes when this does.
pub(super) struct Passing(pub(super) PathBuf);

impl Passing {
    pub(super) fn new() -> Result<Self, StartError> {
        // A name that nobody can have taken before, left over or on purpose.
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(SecretsError::Random)?;
        let name = format!("waag-inspect-{:016x}", u64::from_le_bytes(random));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(io(path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a passing folder was not removed");
        }
    }
}

/// Whether anything is in a folder.
pub(super) fn has_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// Copies a folder with all that is in it; makes one of nothing.
pub(super) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    if !from.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
