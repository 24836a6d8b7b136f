//! Why findings cannot be made, or read.

use std::io;
use std::path::{Path, PathBuf};

use crate::archive::ArchiveError;

/// Why findings cannot be made, or read. None of these is fatal for the server: all that is here is derived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsightError {
    /// The system refused something.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// As `read`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// A newer version of this program wrote it.
    #[error("{} has format version {version}, newer than this program reads", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The server stops.
    #[error("the server stops")]
    Stopping,
    /// Days were being made again each time it was tried.
    #[error("findings kept changing places while they were read; try again")]
    Unsettled,
}

impl InsightError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }

    /// There is no such file (any more).
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
