//! What is asked of a service, whatever stands behind it.

use crate::proto::v1;

/// What a batch gets.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Answer(v1::SubmitBatchResponse),
    Refusal(Refusal),
}

/// A batch is not taken.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// As `INVALID_ARGUMENT`.
    pub(super) code: String,
    pub(super) field: String,
    pub(super) message: String,
    /// Which batch of a stream it says it is of; a call of its own says nothing.
    pub(super) batch_id: Option<String>,
}

/// Why something that was asked has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Trouble {
    /// There is no service, or it does not answer: nothing more can be played.
    #[error("{0}")]
    Gone(String),
    /// The caller may not, or the service does not have that: the case is not played.
    #[error("{0}")]
    NotForUs(String),
    /// It answers what the contract does not have.
    #[error("{0}")]
    Odd(String),
}

/// A service of `waag.v1`.
pub(super) trait Service {
    /// One batch in a call of its own.
    async fn submit(&mut self, batch: v1::SubmitBatchRequest) -> Result<Told, Trouble>;

    /// Batches on one stream, all of them sent before any answer is taken.
    async fn stream(&mut self, batches: Vec<v1::SubmitBatchRequest>) -> Result<Vec<Told>, Trouble>;

    /// What became of a declaration; `None` where there is none.
    async fn look_up(
        &mut self,
        key: v1::get_declaration_request::Key,
    ) -> Result<Option<v1::GetDeclarationResponse>, Trouble>;

    /// The reasons of a day.
    async fn reasons(&mut self, on: String) -> Result<Vec<v1::Reason>, Trouble>;

    /// The summary of a declarant, at a watermark or later.
    async fn summary(
        &mut self,
        declarant: &str,
        watermark: u64,
    ) -> Result<v1::ActorSummary, Trouble>;
}
