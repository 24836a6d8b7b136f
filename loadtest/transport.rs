//! How batches of one connection travel: over one stream, or each as a call of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::ValueEnum;
use http::uri::PathAndQuery;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use super::codec::AsBytes;
use super::plan::Sending;

/// A stream may not answer a batch with more than this; the server's own bound is 4 MiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// How batches are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// One `SubmitBatches` for each connection
    Stream,
    /// A `SubmitBatch` for each batch
    Unary,
}

/// A batch on its way.
#[derive(Debug, Clone)]
pub(crate) struct UnderWay {
    /// When it was to be sent: what latency is measured from.
    pub(crate) due: Instant,
    pub(crate) sending: Sending,
    pub(crate) bytes: Bytes,
}

/// What came back: the bytes of an answer, or of a refusal in the stream; or the status of a call.
pub(crate) type Reply = Result<Bytes, Status>;

/// One connection.
#[derive(Debug)]
pub(crate) enum Transport {
    Stream {
        requests: mpsc::Sender<Bytes>,
        answers: Box<Streaming<Bytes>>,
        sent: VecDeque<UnderWay>,
    },
    Unary {
        channel: Channel,
        calls: JoinSet<(UnderWay, Reply)>,
    },
}

impl Transport {
    /// Opens the stream, where there is to be one. At most `in_flight` batches will be under way.
    ///
    /// # Errors
    /// The server's status.
    pub(crate) async fn open(
        mode: Mode,
        channel: Channel,
        in_flight: usize,
    ) -> Result<Self, Status> {
        if mode == Mode::Unary {
            return Ok(Self::Unary { channel, calls: JoinSet::new() });
        }
        let (requests, receiver) = mpsc::channel(in_flight);
        let mut client = client(channel).await?;
        let path = PathAndQuery::from_static("/waag.v1.Lodgement/SubmitBatches");
        let request = Request::new(ReceiverStream::new(receiver));
        let answers = Box::new(client.streaming(request, path, AsBytes).await?.into_inner());
        Ok(Self::Stream { requests, answers, sent: VecDeque::new() })
    }

    /// Batches without an answer.
    pub(crate) fn in_flight(&self) -> usize {
        match self {
            Self::Stream { sent, .. } => sent.len(),
            Self::Unary { calls, .. } => calls.len(),
        }
    }

    pub(crate) async fn send(&mut self, batch: UnderWay) {
        match self {
            Self::Stream { requests, sent, .. } => {
                // There is room for all that may be under way; and should the stream have broken,
                // then reading its answer says why.
                let _ = requests.send(batch.bytes.clone()).await;
                sent.push_back(batch);
            }
            Self::Unary { channel, calls } => {
                let channel = channel.clone();
                calls.spawn(async move {
                    let reply = call(channel, batch.bytes.clone()).await;
                    (batch, reply)
                });
            }
        }
    }

    /// The next reply with its batch; none where nothing is under way. Nothing is lost where this
    /// is dropped before it is done.
    ///
    /// # Errors
    /// Where the stream has broken.
    pub(crate) async fn reply(&mut self) -> Result<Option<(UnderWay, Reply)>, Status> {
        match self {
            Self::Stream { answers, sent, .. } => {
                if sent.is_empty() {
                    return Ok(None);
                }
                let closed =
                    || Status::aborted("the server closed the stream with batches unanswered");
                let bytes = answers.message().await?.ok_or_else(closed)?;
                Ok(sent.pop_front().map(|batch| (batch, Ok(bytes))))
            }
            Self::Unary { calls, .. } => match calls.join_next().await {
                None => Ok(None),
                Some(Ok(done)) => Ok(Some(done)),
                Some(Err(error)) => Err(Status::internal(error.to_string())),
            },
        }
    }
}

async fn client(channel: Channel) -> Result<Grpc<Channel>, Status> {
    let mut client = Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    Ok(client)
}

async fn call(channel: Channel, batch: Bytes) -> Reply {
    let path = PathAndQuery::from_static("/waag.v1.Lodgement/SubmitBatch");
    let mut client = client(channel).await?;
    Ok(client.unary(Request::new(batch), path, AsBytes).await?.into_inner())
}

/// Waits until then; for ever where there is no such moment.
pub(crate) async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// A number of milliseconds from now.
pub(crate) fn in_ms(milliseconds: u32) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds.into())
}
