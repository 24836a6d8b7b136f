//! What can be wrong with agreements, and with their file.

use std::path::PathBuf;

use super::AgreementId;

/// Terms that cannot be agreed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Wrong {
    /// The field, as the contract's `AgreementTerms` has it.
    pub field: &'static str,
    /// What is wrong with it: its value and the bound.
    pub why: String,
}

/// Why the agreements cannot be had.
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

/// Why a version is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no such agreement.
    #[error("there is no agreement {0}")]
    Unknown(AgreementId),
    /// Another version was recorded meanwhile.
    #[error(
        "agreement {id} is at version {newest}, and version {replaces} was to be replaced: look at \
         the newest one, and record again"
    )]
    Replaced {
        /// Which agreement.
        id: AgreementId,
        /// Its newest version.
        newest: u32,
        /// What was to be replaced.
        replaces: u32,
    },
    /// It was withdrawn.
    #[error("agreement {0} is withdrawn: record a new one")]
    Withdrawn(AgreementId),
    /// The new version is about something else.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// There is one on the same matter.
    #[error(
        "agreement {other} with {actor} on {indicator} runs from {start} to {deadline}, which overlaps: \
         record a new version of it, or withdraw it first"
    )]
    Overlaps {
        /// The one that is there.
        other: AgreementId,
        /// With whom.
        actor: String,
        /// On what.
        indicator: String,
        /// Its start.
        start: String,
        /// Its deadline.
        deadline: String,
    },
    /// A bound is reached.
    #[error("{what}, which is the bound")]
    Full {
        /// Which, with its number.
        what: String,
    },
    /// It cannot be written; nothing is recorded.
    #[error("the agreement cannot be written: {0}")]
    Store(#[from] StoreError),
}
