//! The records of the journal: see the table in [`super`].

use prost::Message;

use crate::proto::v1::SpoolReconciliation;

/// A batch that was taken in.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchHead {
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    #[prost(int64, tag = "2")]
    pub(super) received_at_ms: i64,
    #[prost(string, tag = "3")]
    pub(super) declarant: String,
    #[prost(string, tag = "4")]
    pub(super) batch_id: String,
    #[prost(uint32, tag = "5")]
    pub(super) declarations: u32,
    /// Declarations that keep a fallback of their own.
    #[prost(uint32, tag = "6")]
    pub(super) own_fallbacks: u32,
    #[prost(bytes = "vec", tag = "7")]
    pub(super) sha256: Vec<u8>,
    /// The service was not reachable.
    #[prost(bool, tag = "8")]
    pub(super) is_fallback: bool,
}

/// Batches that are about to be sent for the first time.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SentHead {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) as_they_came: Vec<u64>,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) with_fallback: Vec<u64>,
}

/// The answer to a batch.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AnswerHead {
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    #[prost(int64, tag = "2")]
    pub(super) answered_at_ms: i64,
    #[prost(bool, tag = "3")]
    pub(super) is_refused: bool,
    #[prost(bool, tag = "4")]
    pub(super) sent_again: bool,
    #[prost(uint64, tag = "5")]
    pub(super) watermark: u64,
    /// What it adds to the figures, by reference; `received` is 0.
    #[prost(message, repeated, tag = "6")]
    pub(super) adds: Vec<SpoolReconciliation>,
}

/// Answers that need not be kept.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TakenHead {
    #[prost(uint64, tag = "1")]
    pub(super) through: u64,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) numbers: Vec<u64>,
}

/// What all records before this one amount to, besides the batches that are kept.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MarkHead {
    #[prost(uint64, tag = "1")]
    pub(super) next_number: u64,
    #[prost(uint64, tag = "2")]
    pub(super) taken_through: u64,
    #[prost(uint64, tag = "3")]
    pub(super) watermark: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) figures: Vec<SpoolReconciliation>,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Batch(BatchHead),
    Sent(SentHead),
    Answer(AnswerHead),
    Taken(TakenHead),
    Mark(MarkHead),
}

/// A record that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    #[error("kind {kind} is unknown: a later version of waag has written it")]
    Kind { kind: u8 },
    #[error("the record is malformed")]
    Malformed,
}

impl Entry {
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Batch(_) => 1,
            Self::Sent(_) => 2,
            Self::Answer(_) => 3,
            Self::Taken(_) => 4,
            Self::Mark(_) => 5,
        }
    }

    /// The head, with its length before it.
    pub(super) fn head(&self) -> Vec<u8> {
        let head = match self {
            Self::Batch(head) => head.encode_to_vec(),
            Self::Sent(head) => head.encode_to_vec(),
            Self::Answer(head) => head.encode_to_vec(),
            Self::Taken(head) => head.encode_to_vec(),
            Self::Mark(head) => head.encode_to_vec(),
        };
        // A head is a part of a record, which has less than 4 GiB.
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
        [&length.to_le_bytes()[..], &head].concat()
    }

    /// Takes a record apart: what it says, and what is behind its head.
    pub(super) fn parse(kind: u8, body: &[u8]) -> Result<(Self, &[u8]), RecordError> {
        let (length, rest) = body.split_first_chunk().ok_or(RecordError::Malformed)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (head, behind) = rest.split_at_checked(length).ok_or(RecordError::Malformed)?;
        let malformed = |_| RecordError::Malformed;
        let entry = match kind {
            1 => Self::Batch(BatchHead::decode(head).map_err(malformed)?),
            2 => Self::Sent(SentHead::decode(head).map_err(malformed)?),
            3 => Self::Answer(AnswerHead::decode(head).map_err(malformed)?),
            4 => Self::Taken(TakenHead::decode(head).map_err(malformed)?),
            5 => Self::Mark(MarkHead::decode(head).map_err(malformed)?),
            kind => return Err(RecordError::Kind { kind }),
        };
        Ok((entry, behind))
    }
}
