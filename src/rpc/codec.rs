//! Our own tonic codec: batches come in and answers go out as the bytes they are.
//!
//! tonic hands a decoder one whole message; [`RequestBytes`] takes it without copying. All other
//! messages go through prost, except that one which does not decode is the caller's fault
//! (INVALID_ARGUMENT), where tonic's own codec says INTERNAL.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::ledger::Ledger;
use crate::ingest::budget::Turn;
use crate::ingest::engine::Answer;
use crate::proto::v1;

/// A `SubmitBatchRequest` in its encoded form.
#[derive(Debug, Clone)]
pub struct RequestBytes(pub Bytes);

/// A `SubmitBatchResponse` or `SubmitBatchesResponse` in its encoded form.
#[derive(Debug)]
pub struct AnswerBytes {
    bytes: Bytes,
    /// What the batch holds, and where it goes when these bytes have been written.
    turn: Option<(Turn, Ledger)>,
}

impl AnswerBytes {
    /// The answer to a batch.
    #[must_use]
    pub fn of(answer: Answer, ledger: Ledger) -> Self {
        Self { bytes: answer.bytes, turn: Some((answer.turn, ledger)) }
    }

    /// A refusal, which holds nothing any more.
    #[must_use]
    pub fn refusal(bytes: Bytes) -> Self {
        Self { bytes, turn: None }
    }
}

/// A message that this codec can read from the wire.
pub trait FromWire: Sized {
    /// Takes the whole message from `buffer`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the bytes are no such message.
    fn from_wire(buffer: &mut DecodeBuf<'_>) -> Result<Self, Status>;
}

/// A message that this codec can write to the wire.
pub trait ToWire {
    /// Appends the message to `buffer`.
    fn to_wire(self, buffer: &mut EncodeBuf<'_>);
}

impl FromWire for RequestBytes {
    fn from_wire(buffer: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        let length = buffer.remaining();
        Ok(Self(buffer.copy_to_bytes(length)))
    }
}

impl ToWire for AnswerBytes {
    fn to_wire(self, buffer: &mut EncodeBuf<'_>) {
        buffer.reserve(self.bytes.len());
        buffer.put(self.bytes);
        if let Some((turn, ledger)) = self.turn {
            ledger.leaving(turn);
        }
    }
}

macro_rules! through_prost {
    (in: $($request:ident),+; out: $($response:ident),+ $(,)?) => {
        $(impl FromWire for v1::$request {
            fn from_wire(buffer: &mut DecodeBuf<'_>) -> Result<Self, Status> {
                prost::Message::decode(buffer).map_err(|error| {
                    Status::invalid_argument(format!(
                        concat!("malformed ", stringify!($request), ": {}"), error
                    ))
                })
            }
        })+
        $(impl ToWire for v1::$response {
            fn to_wire(self, buffer: &mut EncodeBuf<'_>) {
                // EncodeBuf grows as it needs to, so that there is always room.
                prost::Message::encode_raw(&self, buffer);
            }
        })+
    };
}

through_prost! {
    in: GetDeclarationRequest, ListReasonsRequest, GetActorSummaryRequest,
        ListActorSummariesRequest, WatchActorSummariesRequest, ListReconciliationsRequest,
        GetIndicatorHistoryRequest, ListIndicatorsRequest, ListFindingsRequest,
        ListSignalsRequest, RecordAgreementRequest,
        WithdrawAgreementRequest, ListAgreementsRequest, ReviewAgreementRequest,
        GetServerStatusRequest, ReloadRulesRequest, DrainRequest,
        RecordProfileRequest, WithdrawProfileRequest, ListProfilesRequest, TryProfileRequest,
        ListProfileHitsRequest, ListAlgorithmsRequest, RecordPlanRequest, ListPlansRequest,
        ListSelectedRequest, RecordOutcomeRequest, EstimatePlanRequest,
        PullVerdictsRequest, StreamVerdictsRequest, GetReconciliationRequest, GetStatusRequest;
    out: GetDeclarationResponse, ListReasonsResponse, GetActorSummaryResponse,
         ListActorSummariesResponse, WatchActorSummariesResponse, ListReconciliationsResponse,
         GetIndicatorHistoryResponse, ListIndicatorsResponse, ListFindingsResponse,
         ListSignalsResponse, RecordAgreementResponse,
         WithdrawAgreementResponse, ListAgreementsResponse, ReviewAgreementResponse,
         GetServerStatusResponse, ReloadRulesResponse, DrainResponse,
         RecordProfileResponse, WithdrawProfileResponse, ListProfilesResponse, TryProfileResponse,
         ListProfileHitsResponse, ListAlgorithmsResponse, RecordPlanResponse, ListPlansResponse,
         ListSelectedResponse, RecordOutcomeResponse, EstimatePlanResponse, Receipt,
         LodgeStreamResponse, PullVerdictsResponse, VerdictSet, GetReconciliationResponse,
         GetStatusResponse,
}

/// The codec of every server of `waag.v1`: encodes `T`, decodes `U`.
#[derive(Debug, Clone, Copy)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: ToWire + Send + 'static,
    U: FromWire + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        Self::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Self::default()
    }
}

impl<T: ToWire, U> Encoder for Codec<T, U> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.to_wire(buffer);
        Ok(())
    }
}

impl<T, U: FromWire> Decoder for Codec<T, U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::from_wire(buffer).map(Some)
    }
}
