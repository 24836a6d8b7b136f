//! What can be wrong with agreements.

use super::AgreementId;
use crate::book::StoreError;

/// Terms that cannot be agreed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Wrong {
    /// The field, as the contract's `AgreementTerms` has it.
    pub field: &'static str,
    /// What is wrong with it: its value and the bound.
    pub why: String,
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
