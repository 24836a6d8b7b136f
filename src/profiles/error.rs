//! What can be wrong with profiles.

use super::ProfileId;
use crate::book::StoreError;

/// Terms that no profile can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Wrong {
    /// The field, as the contract's `ProfileTerms` has it.
    pub field: String,
    /// What is wrong with it: its value and the bound.
    pub why: String,
}

/// Why a version is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no such profile.
    #[error("there is no profile {0}")]
    Unknown(ProfileId),
    /// Another version was recorded meanwhile.
    #[error(
        "profile {id} is at version {newest}, and version {replaces} was to be replaced: look at the newest one, \
         and record again"
    )]
    Replaced {
        /// Which profile.
        id: ProfileId,
        /// Its newest version.
        newest: u32,
        /// What was to be replaced.
        replaces: u32,
    },
    /// It was withdrawn.
    #[error("profile {0} is withdrawn: record a new one")]
    Withdrawn(ProfileId),
    /// Its terms are out of their bounds.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// One that is not withdrawn has this name.
    #[error(
        "profile {other} has the name {name:?}: record a new version of it, or withdraw it first"
    )]
    Named {
        /// The one that is there.
        other: ProfileId,
        /// The name.
        name: String,
    },
    /// A bound is reached.
    #[error("{what}, which is the bound")]
    Full {
        /// Which, with its number.
        what: String,
    },
    /// It cannot be written; nothing is recorded.
    #[error("the profile cannot be written: {0}")]
    Store(#[from] StoreError),
}
