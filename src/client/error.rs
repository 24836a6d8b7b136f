//! Why lodging ends before all is answered.

use std::time::Duration;

use super::connect::ConnectError;

/// What keeps batches from being answered. Whatever has no answer may be sent again, at any time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The service refuses the call, and coming back will not help.
    #[error("the service says {}: {}", source.code(), source.message())]
    Refused {
        /// What it said.
        source: Box<tonic::Status>,
    },
    /// Nothing was answered for as long as was to be waited.
    #[error("no batch was answered for {} s; last the service said: {last}", waited.as_secs())]
    GaveUp {
        /// How long it was waited.
        waited: Duration,
        /// Why nothing was answered, as last told.
        last: String,
    },
    /// An answer that does not belong to the batch whose turn it is.
    #[error(
        "batch {batch_id:?} of {declarations} declarations got an answer to {answered_id:?} with {verdicts} \
         verdicts: this is no service that keeps to the contract"
    )]
    Mismatch {
        /// The batch.
        batch_id: String,
        /// Its declarations.
        declarations: usize,
        /// What the answer is to.
        answered_id: String,
        /// How many verdicts it has.
        verdicts: usize,
    },
    /// An answer with nothing in it, or to nothing that was sent.
    #[error("the service sent an answer {what}: this is no service that keeps to the contract")]
    Empty {
        /// What is odd about it.
        what: &'static str,
    },
}
