//! Why the archive cannot be written.

use std::io;
use std::path::{Path, PathBuf};

/// Why the archive cannot be written.
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
        source: parquet::errors::ParquetError,
    },
    /// Rows do not fit their columns: a defect.
    #[error("the rows of {table} do not fit its columns: {source}")]
    Rows {
        /// The table.
        table: &'static str,
        /// What is wrong.
        source: arrow_schema::ArrowError,
    },
}

pub(super) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> ArchiveError + use<> {
    let path = path.to_path_buf();
    move |source| ArchiveError::Io { action, path, source }
}
