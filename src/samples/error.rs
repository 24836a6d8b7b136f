//! What can be wrong with plans and outcomes.

use super::PlanId;
use crate::book::StoreError;
pub use crate::profiles::Wrong;

/// Why nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no such plan.
    #[error("there is no plan {0}")]
    Unknown(PlanId),
    /// The terms or the outcome are out of their bounds.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// One whose last day is not over has this name.
    #[error("plan {other} has the name {name:?}, and its last day is not over")]
    Named {
        /// The one that is there.
        other: PlanId,
        /// The name.
        name: String,
    },
    /// A bound is reached.
    #[error("{what}, which is the bound")]
    Full {
        /// Which, with its number.
        what: String,
    },
    /// There are no random bytes for a secret.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// It cannot be written; nothing is recorded.
    #[error("it cannot be written: {0}")]
    Store(#[from] StoreError),
}
