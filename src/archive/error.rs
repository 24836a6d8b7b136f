//! Why the archive cannot be written, opened or read.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

/// Why the archive cannot be written, opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The system refused something.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as `making`.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A Parquet file could not be written.
    #[error("writing {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: ParquetError,
    },
    /// Rows do not fit their columns: a defect.
    #[error("the rows of {table} do not fit its columns: {source}")]
    Rows {
        /// The table.
        table: &'static str,
        /// What is wrong.
        source: arrow_schema::ArrowError,
    },
    /// A file is not what was written, or is missing.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file, or the folder where files do not fit one another.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A file was written by a later version.
    #[error("{} has format version {version}, newer than {newest}: use a newer waag", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format version.
        version: u32,
        /// The newest that is read.
        newest: u32,
    },
    /// What is to be written does not follow on what stands.
    #[error("{0}")]
    Order(String),
}

impl ArchiveError {
    /// The disk is full: what was tried may be tried again once there is room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if crate::disk::is_disk_full(source))
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), what: what.into() }
    }
}

pub(super) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> ArchiveError + use<> {
    let path = path.to_path_buf();
    move |source| ArchiveError::Io { action, path, source }
}

/// Of a file being written; what the system said comes out of its wrapping.
pub(super) fn parquet_error(path: &Path) -> impl FnOnce(ParquetError) -> ArchiveError + use<> {
    let path = path.to_path_buf();
    move |source| match source {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(source) => ArchiveError::Io { action: "writing", path, source: *source },
            Err(inner) => ArchiveError::Parquet { path, source: ParquetError::External(inner) },
        },
        source => ArchiveError::Parquet { path, source },
    }
}
