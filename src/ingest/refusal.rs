//! Why a batch as a whole is not taken: nothing of it is stored.

/// What kind of refusal it is; the gRPC services give each its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The message or the declarant is malformed, or a bound of the contract is passed.
    Invalid,
    /// A bound of the server is reached.
    Exhausted,
    /// The server is stopping, or cannot write.
    Unavailable,
    /// Whoever sent it may not.
    Denied,
    /// Whoever sent it is not known any more.
    Unknown,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind it is.
    pub kind: RefusalKind,
    /// The field at fault, as `declarations[3].goods_items`; empty where none is.
    pub field: String,
    /// A sentence with the value and the bound.
    pub message: String,
    /// When to send the batch again, milliseconds; 0 where that will not help.
    pub retry_after_ms: u32,
}

impl Refusal {
    /// The batch is at fault, in `field`.
    #[must_use]
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Invalid,
            field: field.into(),
            message: message.into(),
            retry_after_ms: 0,
        }
    }

    /// The server has no room for it.
    #[must_use]
    pub fn exhausted(message: impl Into<String>, retry_after_ms: u32) -> Self {
        Self {
            kind: RefusalKind::Exhausted,
            field: String::new(),
            message: message.into(),
            retry_after_ms,
        }
    }

    /// The server is about to end.
    #[must_use]
    pub fn stopping() -> Self {
        let sentence = "the server is stopping: send the batch again, to a running one";
        Self::unavailable(sentence, 1_000)
    }

    /// The server does not take batches now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>, retry_after_ms: u32) -> Self {
        Self {
            kind: RefusalKind::Unavailable,
            field: String::new(),
            message: message.into(),
            retry_after_ms,
        }
    }
}
