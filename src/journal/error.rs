//! What can go wrong in a journal. Damage and I/O errors end the server; the messages are for the
//! person who then looks at the disk, so they name the file and the place.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Position;

/// The error of whoever takes the records.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the journal could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file system refused.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What stands on the disk is not what was written.
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
    /// A later version of the product wrote it.
    #[error(
        "{} has format version {found}, and this build reads versions up to {supported}",
        path.display()
    )]
    NewerFormat {
        /// The segment.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
    /// It belongs to other secrets, so that no key in it would mean anything here.
    #[error("{} was written under other secrets than those of this data folder", path.display())]
    OtherIdentity {
        /// The segment.
        path: PathBuf,
    },
    /// An option is out of bounds.
    #[error("{field} is {value}, and must be {bound}")]
    Option {
        /// Which one.
        field: &'static str,
        /// What it is.
        value: u64,
        /// What it may be.
        bound: String,
    },
    /// Whoever takes the records refused one.
    #[error("record {number} at {position}: {source}")]
    Record {
        /// The record's number.
        number: u64,
        /// Where it stands.
        position: Position,
        /// Why.
        source: BoxError,
    },
    /// Nothing was written at a position, or it is not the beginning of a record.
    #[error("no record begins at {position}")]
    NoRecord {
        /// The position.
        position: Position,
    },
    /// An earlier error has ended this journal; it must be opened again.
    #[error("the journal has met an error before and writes no more")]
    Poisoned,
}

/// Where and how a journal is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file.
    pub path: PathBuf,
    /// Where in it, in bytes: the beginning of the page.
    pub offset: u64,
    /// The group that should stand there, where that is known.
    pub group: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.path.display(), self.offset)?;
        if let Some(group) = self.group {
            write!(f, " (group {group})")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Adds action and path to an I/O error.
pub(super) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> JournalError + use<'a> {
    move |source| JournalError::Io { action, path: path.to_owned(), source }
}
