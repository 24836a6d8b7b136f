//! Why there is no backup, or nothing is restored, in sentences for the one who asked for it.

use std::path::{Path, PathBuf};

use crate::archive::ArchiveError;
use crate::audit::check::AuditError;
use crate::book::StoreError;
use crate::disk::LockError;
use crate::identity::token::TokenError;
use crate::index::run::RunError;
use crate::journal::JournalError;
use crate::rules::LawError;
use crate::secrets::SecretsError;
use crate::summary::{DayFileError, SnapshotError};

/// The system refused something.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}: {source}", path.display())]
pub struct IoError {
    /// As `reading`.
    pub doing: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IoError {
    let path = path.to_owned();
    move |source| IoError { doing, path, source }
}

/// A folder that is not one to write into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Something is in it.
    #[error("{} is not empty: {found}. Give another folder, or remove it first", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        found: &'static str,
    },
    /// It lies in the folder that is to be read.
    #[error("{} lies in {}, which is what is to be copied: give another", folder.display(), within.display())]
    Inside {
        /// The folder.
        folder: PathBuf,
        /// The other one.
        within: PathBuf,
    },
    /// The disk has too little space.
    #[error(
        "{} needs {needed} bytes, and its disk has {free} free: make room, or give a folder on another \
         disk", folder.display()
    )]
    NoSpace {
        /// The folder.
        folder: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The folder for the backup, or writing there.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// There is nothing to be backed up.
    #[error("{}: {what}", folder.display())]
    NoDataFolder {
        /// The folder.
        folder: PathBuf,
        /// Why it is none.
        what: &'static str,
    },
    /// The data folder cannot be read.
    #[error(transparent)]
    Read(IoError),
    /// The keys cannot be had.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The journal is damaged, or cannot be read or copied.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The archive is damaged or cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A run is damaged or cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The snapshot of the summaries is damaged or cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The file of a closed day is damaged, as it was copied.
    #[error(transparent)]
    DayFile(#[from] DayFileError),
    /// The rules cannot be read.
    #[error(transparent)]
    Law(#[from] LawError),
    /// The hashes of tokens are not what was written.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The audit log is damaged or cannot be read.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A book is damaged or cannot be read.
    #[error(transparent)]
    Book(#[from] StoreError),
    /// A file is not what was written there.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Parts of the data folder do not fit one another.
    #[error("{0}")]
    Unfit(String),
    /// It changes faster than it can be copied.
    #[error(
        "the data folder was read {tries} times and was changed each time before all of it was copied; \
         at last: {last}. Try again when days are not being dropped"
    )]
    Restless {
        /// How often.
        tries: u32,
        /// What was in the way last.
        last: Box<BackupError>,
    },
}

/// Why nothing is restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The data folder that was to be, or writing there.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The data folder is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The backup cannot be read.
    #[error(transparent)]
    Read(IoError),
    /// There is no backup.
    #[error(
        "{} is missing: this is no backup, or one that was interrupted, of which nothing can be restored",
        path.display()
    )]
    NoBackup {
        /// Where the file is that only a whole backup has.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error(
        "{} has backup format {found}, and this program reads {newest}: use a newer waag",
        path.display()
    )]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest that is read.
        newest: u32,
    },
    /// That it was restored cannot be recorded in its audit log.
    #[error("what was restored is no data folder yet: its audit log cannot be gone on with: {0}")]
    Audit(#[from] AuditError),
    /// A file of the backup is not what was written there.
    #[error("the backup is damaged, and nothing was restored of it: {}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl From<IoError> for BackupError {
    /// Of writing.
    fn from(error: IoError) -> Self {
        Self::Place(error.into())
    }
}

impl From<IoError> for RestoreError {
    /// Of writing.
    fn from(error: IoError) -> Self {
        Self::Place(error.into())
    }
}
