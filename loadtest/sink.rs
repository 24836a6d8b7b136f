//! `waag-load sink`: a server that only reads batches and counts what is in them.
//!
//! It judges nothing, looks nothing up and keeps nothing, so what it takes in a second is what gRPC,
//! HTTP/2 and reading leave room for: the measure that `loadtest/compare` holds Waag against. It
//! has the listener's settings of `waag serve`. An answer holds the `batch_id` and, as totals, how
//! many declarations and lines were read; no verdicts. Reading is done where tonic decodes, on the
//! network threads, which is the quickest that a server can be built.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use clap::{Args, ValueEnum};
use prost::Message;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf};
use tonic::server::{Grpc, NamedService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use tower::{Service, service_fn};
use waag::command::{Failure, runtime};
use waag::config::CONNECTION_WINDOW_BYTES;
use waag::proto::v1;
use waag::wire::reader::{Batch, Bounds};
use waag::wire::view::Declaration;

use super::codec::AsBytes;

/// Largest batch: that of `waag serve`.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Run a server that only reads batches and counts what is in them
///
/// The measure that `loadtest/compare` holds Waag against. Ends at SIGTERM or SIGINT.
#[derive(Debug, Args)]
pub(crate) struct SinkArgs {
    /// How batches are read
    #[arg(long, value_enum)]
    decoder: Decoder,

    /// Address and port to listen on; port 0 takes a free one, which the log names
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// How a sink reads batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decoder {
    /// By Waag's own reader, where the message lies
    InPlace,
    /// By prost, into a tree of messages
    Prost,
}

impl Decoder {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InPlace => "in-place",
            Self::Prost => "prost",
        }
    }
}

/// Serves until told to stop.
///
/// # Errors
/// Where the address cannot be had, or the transport fails.
pub(crate) fn run(args: &SinkArgs) -> Result<(), Failure> {
    runtime()?.block_on(serve(args))
}

async fn serve(args: &SinkArgs) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(args.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    // As in `waag serve`; of a server that does nothing but read, they decide more than anything else.
    let serving = Server::builder()
        .initial_stream_window_size(CONNECTION_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(CONNECTION_WINDOW_BYTES)
        .add_service(Sink(args.decoder))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    // A client that went without closing its stream would hold up a stop that waits for calls.
    tokio::select! {
        served = serving => Ok(served?),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// `waag.v1.Lodgement`, as far as batches go.
#[derive(Debug, Clone, Copy)]
struct Sink(Decoder);

impl NamedService for Sink {
    const NAME: &'static str = "waag.v1.Lodgement";
}

impl Service<http::Request<Body>> for Sink {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = Grpc::new(Reads(self.0)).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/waag.v1.Lodgement/SubmitBatches" => {
                    grpc.streaming(service_fn(answer_stream), request).await
                }
                "/waag.v1.Lodgement/SubmitBatch" => {
                    grpc.unary(service_fn(answer_call), request).await
                }
                _ => Status::unimplemented("a sink takes batches alone").into_http(),
            })
        })
    }
}

async fn answer_stream(
    requests: Request<Streaming<Read>>,
) -> Result<Response<impl tokio_stream::Stream<Item = Result<Bytes, Status>>>, Status> {
    let answers = requests.into_inner().map(|read| {
        let answer = v1::submit_batches_response::Result::Answer(read?.into_answer());
        let answer = v1::SubmitBatchesResponse { result: Some(answer) };
        Ok(Bytes::from(answer.encode_to_vec()))
    });
    Ok(Response::new(answers))
}

async fn answer_call(request: Request<Read>) -> Result<Response<Bytes>, Status> {
    let answer = request.into_inner().into_answer();
    Ok(Response::new(Bytes::from(answer.encode_to_vec())))
}

/// What was read of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    batch_id: String,
    declarations: usize,
    lines: usize,
}

impl Read {
    fn in_place(message: &[u8]) -> Result<Self, Status> {
        let invalid = |error| Status::invalid_argument(format!("{error}"));
        let batch = Batch::read(message, Bounds::default()).map_err(invalid)?;
        let mut declaration = Declaration::default();
        let mut lines = 0;
        for index in 0..batch.len() {
            batch.raw_declaration(index, &mut declaration).map_err(invalid)?;
            lines += declaration.goods_items.len();
        }
        Ok(Self { batch_id: batch.batch_id().to_owned(), declarations: batch.len(), lines })
    }

    fn with_prost(message: impl Buf) -> Result<Self, Status> {
        let batch = v1::SubmitBatchRequest::decode(message)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let lines = batch.declarations.iter().map(|one| one.goods_items.len()).sum();
        Ok(Self { declarations: batch.declarations.len(), lines, batch_id: batch.batch_id })
    }

    fn into_answer(self) -> v1::SubmitBatchResponse {
        // A message of 16 MiB holds far fewer than 2^32.
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let totals = v1::BatchTotals {
            accepted: number(self.declarations),
            accepted_lines: number(self.lines),
            ..Default::default()
        };
        v1::SubmitBatchResponse {
            batch_id: self.batch_id,
            totals: Some(totals),
            ..Default::default()
        }
    }
}

/// Reads a batch as it is decoded.
#[derive(Debug, Clone, Copy)]
struct Reads(Decoder);

impl Codec for Reads {
    type Encode = Bytes;
    type Decode = Read;
    type Encoder = AsBytes;
    type Decoder = Self;

    fn encoder(&mut self) -> AsBytes {
        AsBytes
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl tonic::codec::Decoder for Reads {
    type Item = Read;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Read>, Status> {
        match self.0 {
            // As the server's codec takes a message: without copying it.
            Decoder::InPlace => Read::in_place(&from.copy_to_bytes(from.remaining())).map(Some),
            Decoder::Prost => Read::with_prost(from).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use waag::day::Day;
    use waag::generate::{Generator, Options};

    use super::*;

    #[test]
    fn both_decoders_read_all_there_is() {
        let on = Day::parse("2026-11-05").unwrap();
        let options = Options { lines: 2_000, ..Options::on(on) };
        let mut lines = 0;
        for generated in Generator::new(&options).unwrap() {
            let message = generated.request.encode_to_vec();
            let read = Read::in_place(&message).unwrap();
            assert_eq!(read, Read::with_prost(&message[..]).unwrap());
            assert_eq!(read.batch_id, generated.request.batch_id);
            assert_eq!(read.declarations, generated.request.declarations.len());
            lines += u64::try_from(read.lines).unwrap();
            let totals = read.into_answer().totals.unwrap();
            assert_eq!(u64::from(totals.accepted_lines), generated.lines);
        }
        assert!(lines >= 2_000, "{lines}");
    }

    #[test]
    fn a_fault_within_a_declaration_is_found_by_both() {
        // declarations[0] with a field 1 (lrn) that says it is longer than what there is.
        let message = [0x2a, 0x02, 0x0a, 0x7f];
        assert_eq!(Read::in_place(&message).unwrap_err().code(), tonic::Code::InvalidArgument);
        let error = Read::with_prost(&message[..]).unwrap_err();
        assert_eq!(error.code(), tonic::Code::InvalidArgument);
    }
}
