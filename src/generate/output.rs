//! Batches as bytes: protobuf JSON, one to a line, or protobuf with its length before it.

use std::io::{self, Write};

use prost::Message;

use crate::proto::v1::SubmitBatchRequest;

/// Writes `request` as protobuf JSON on a line of its own.
///
/// # Errors
/// What `out` says.
pub fn write_json_line(out: &mut impl Write, request: &SubmitBatchRequest) -> io::Result<()> {
    serde_json::to_writer(&mut *out, request)?;
    out.write_all(b"\n")
}

/// Writes `request` as protobuf, its length in bytes before it as a varint (as
/// `writeDelimitedTo` of protobuf's own libraries does). `buffer` is reused from call to call.
///
/// # Errors
/// What `out` says.
pub fn write_binary(
    out: &mut impl Write,
    request: &SubmitBatchRequest,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    buffer.clear();
    buffer.reserve(request.encoded_len() + 10);
    request.encode_length_delimited(buffer).map_err(io::Error::other)?;
    out.write_all(buffer)
}
