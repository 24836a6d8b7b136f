//! Why a book cannot be had.

use std::path::PathBuf;

/// Why a book cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not what was written.
    #[error("{path}, line {line} (byte {byte}): {why}; restore the file from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Where it begins.
        byte: u64,
        /// What is wrong.
        why: String,
    },
    /// A later version of this program wrote it.
    #[error("{path}, line {line}: format {found}, and the newest known here is {newest}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Its format.
        found: u64,
        /// The newest format that is read.
        newest: u64,
    },
}
