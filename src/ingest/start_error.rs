//! Why an engine does not start, in sentences for the one who started it.

use crate::archive::ArchiveError;
use crate::config::ConfigError;
use crate::disk::LockError;
use crate::index::run::RunError;
use crate::insight::InsightError;
use crate::journal::{JournalError, PushError};
use crate::rules::LawError;
use crate::secrets::SecretsError;
use crate::summary::{FoldError, SnapshotError};

use super::laws::LawsError;
use super::recover::RecoverError;

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder is in use, or cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The keys cannot be had.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The journal is damaged or cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record could not be placed.
    #[error(transparent)]
    Push(#[from] PushError),
    /// Its records do not make a state to go on from.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The fold or its catalog failed.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The rules are not in order.
    #[error(transparent)]
    Law(#[from] LawError),
    /// A law of the journal cannot be had.
    #[error(transparent)]
    Laws(#[from] LawsError),
    /// A run cannot be had.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The archive is damaged or cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The snapshot of the summaries cannot be read or written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Findings cannot be kept or read.
    #[error(transparent)]
    Insight(#[from] InsightError),
    /// Runs, or the snapshot of the summaries, are not those of the days that are dropped.
    #[error("days are dropped, and what is kept of them is wrong: {what}")]
    Kept {
        /// What is wrong, and what to do.
        what: String,
    },
    /// The clock is behind the journal.
    #[error(
        "the clock shows {now}, {behind_s} s before the newest record ({newest}); at most \
         {max_s} s are allowed (clock_behind_s_max): set the clock right"
    )]
    Clock {
        /// What the clock shows.
        now: String,
        /// Time of the newest record.
        newest: String,
        /// The difference in seconds.
        behind_s: u64,
        /// The bound in seconds.
        max_s: u64,
    },
    /// Segments are gone that were not sealed.
    #[error(
        "the journal begins with record {first}, and the archive ends with {sealed}: segments between \
         them are missing. Restore them from a backup; without them nothing can be answered rightly"
    )]
    Beginning {
        /// The first record of the journal.
        first: u64,
        /// The last one of the archive; 0 where it has none.
        sealed: u64,
    },
    /// The archive knows more than the journal has.
    #[error(
        "the archive holds {archive} records and the journal ends with {journal}: journal segments are \
         missing. Restore them from a backup"
    )]
    ArchiveAhead {
        /// Records in the archive.
        archive: u64,
        /// The last record of the journal.
        journal: u64,
    },
    /// There is no journal, where there was one.
    #[error(
        "{} is empty, and this data folder has been in use: the journal is missing. Restore it \
         from a backup; without it nothing can be answered rightly. Where nothing was ever lodged, \
         start with a new data folder",
        folder.display()
    )]
    NoJournal {
        /// Where it should be.
        folder: std::path::PathBuf,
    },
    /// The catalog knows more than the journal has.
    #[error(
        "the catalog has folded {catalog} records and the journal holds {journal}: journal segments \
         are missing. Restore them from a backup. (If the catalog is another data folder's, remove \
         it: it is made again from the journal)"
    )]
    Ahead {
        /// Watermark of the catalog.
        catalog: u64,
        /// Records of the journal.
        journal: u64,
    },
    /// Something else that the system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

pub(super) fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> StartError {
    let what = what.to_string();
    move |source| StartError::Io { what, source }
}
