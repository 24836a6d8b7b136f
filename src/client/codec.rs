//! The client's side of `SubmitBatches` with batches that are bytes already: each is encoded once, and a
//! server that is measured is not measured by its client's encoding.

use bytes::{BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::proto::v1::SubmitBatchesResponse;

/// Sends encoded `SubmitBatchRequest`s, receives `SubmitBatchesResponse`s.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EncodedBatches;

impl Codec for EncodedBatches {
    type Encode = Bytes;
    type Decode = SubmitBatchesResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for EncodedBatches {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, batch: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(batch.len());
        out.put(batch);
        Ok(())
    }
}

impl Decoder for EncodedBatches {
    type Item = SubmitBatchesResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let malformed = |error| Status::internal(format!("malformed answer: {error}"));
        SubmitBatchesResponse::decode(from).map(Some).map_err(malformed)
    }
}
