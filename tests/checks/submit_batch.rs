//! The whole call, over gRPC on loopback to a server in this process: any bytes as message. It gets an
//! answer with one verdict for each declaration, or a refusal that says whose fault it is; and sent
//! again, twice, the same once more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use waag::config::{ByteSize, Config};
use waag::ingest::clock::Clock;
use waag::ingest::engine::Engine;
use waag::ingest::options;
use waag::proto::v1::{Outcome, SubmitBatchRequest, SubmitBatchResponse, Verdict};
use waag::rpc::server::{self, Running};
use waag::rules::Law;

#[path = "../../loadtest/codec.rs"]
mod codec;

use codec::AsBytes;

/// When it is on the server.
const CLOCK: &str = "2026-11-05T08:00";
/// Past this, what is waited for will not come.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// Past this many declarations an answer may be too large for all texts, and a replay, of two bytes more,
/// may have fewer of them.
const DECLARATIONS_WITH_TEXTS_MAX: usize = 20;

/// A server, and a client of it.
pub(crate) struct Served {
    runtime: tokio::runtime::Runtime,
    engine: Arc<Engine>,
    running: Option<Running>,
    client: Grpc<Channel>,
    _folder: tempfile::TempDir,
}

impl Served {
    /// On a new data folder.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            // The smallest server there may be.
            memory_max: ByteSize(217 << 20),
            batch_bytes_max: ByteSize(1 << 20),
            batch_declarations_max: 4_000,
            answer_bytes_max: ByteSize(1 << 20),
            segment_bytes: ByteSize(8 << 20),
            unsealed_bytes_max: ByteSize(64 << 20),
            disk_reserve_bytes: ByteSize(1),
            workers: 1,
            ..Config::default()
        };
        let start = options::calendar(&config).unwrap().parse(CLOCK).unwrap();
        let law = Law::load(None).unwrap();
        let (engine, _) = Engine::start(&config, law, Clock::starting_at(start)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (running, client) = runtime.block_on(async {
            let running = server::listen(&config, Arc::clone(&engine)).await.unwrap();
            let endpoint = Endpoint::from_shared(format!("http://{}", running.address)).unwrap();
            (running, Grpc::new(endpoint.connect().await.unwrap()))
        });
        Self { runtime, engine, running: Some(running), client, _folder: folder }
    }

    fn send(&mut self, message: &[u8]) -> Result<SubmitBatchResponse, Status> {
        let request = Request::new(Bytes::copy_from_slice(message));
        let path = http::uri::PathAndQuery::from_static("/waag.v1.Lodgement/SubmitBatch");
        let client = &mut self.client;
        let call = async {
            client.ready().await.expect("the server listens");
            client.unary(request, path, AsBytes).await
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(HANGS_AFTER, call).await });
        let answer: tonic::Response<Bytes> = answer.expect("neither answer nor refusal")?;
        Ok(SubmitBatchResponse::decode(answer.into_inner()).expect("an answer that can be read"))
    }

    /// What the message is answered with, where it is not refused.
    pub(crate) fn check(&mut self, message: &[u8]) -> Option<SubmitBatchResponse> {
        let sent = SubmitBatchRequest::decode(message);
        let first = self.send(message);
        let again = self.send(message);
        let once_more = self.send(message);
        assert!(!self.engine.is_failed());
        match (first, again, once_more) {
            (Ok(first), Ok(again), Ok(once_more)) => {
                let sent = sent.expect("what is answered can be read");
                for answer in [&first, &again, &once_more] {
                    adds_up(answer, &sent);
                }
                assert!(first.watermark < again.watermark);
                assert!(again.watermark < once_more.watermark);
                let has_texts = sent.declarations.len() <= DECLARATIONS_WITH_TEXTS_MAX;
                is_replayed(&first, &again, has_texts);
                is_replayed(&again, &once_more, has_texts);
                Some(first)
            }
            (Err(first), Err(again), Err(once_more)) => {
                for refusal in [&first, &again, &once_more] {
                    // A server of which nothing else is asked has room for whatever it reads.
                    assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal:?}");
                    assert!(!refusal.message().is_empty());
                }
                assert_eq!(first.message(), again.message());
                assert_eq!(again.message(), once_more.message());
                assert_eq!(again.details(), once_more.details());
                None
            }
            (first, again, once_more) => {
                panic!("answered otherwise: {first:?}, then {again:?}, then {once_more:?}")
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
        self.engine.stop();
    }
}

fn adds_up(answer: &SubmitBatchResponse, sent: &SubmitBatchRequest) {
    assert_eq!(answer.batch_id, sent.batch_id);
    assert_eq!(answer.verdicts.len(), sent.declarations.len());
    let count = |outcome| answer.verdicts.iter().filter(|v| v.outcome() == outcome).count() as u32;
    let totals = answer.totals.unwrap_or_default();
    assert_eq!(totals.accepted, count(Outcome::Accepted));
    assert_eq!(totals.rejected, count(Outcome::Rejected));
    assert_eq!(totals.replayed, count(Outcome::Replayed));
    assert_eq!(totals.conflicts, count(Outcome::Conflict));
    for verdict in &answer.verdicts {
        assert_ne!(verdict.outcome(), Outcome::Unspecified);
        let is_replay = verdict.outcome() == Outcome::Replayed;
        assert_eq!(is_replay, verdict.replay_of() != Outcome::Unspecified);
        let first = if is_replay { verdict.replay_of() } else { verdict.outcome() };
        assert_eq!(verdict.mrn.len(), if first == Outcome::Accepted { 18 } else { 0 });
        assert_eq!(first == Outcome::Accepted, !is_rejected(verdict), "{verdict:?}");
    }
}

fn is_rejected(verdict: &Verdict) -> bool {
    verdict.findings.iter().any(|f| f.severity() == waag::proto::v1::Severity::Reject)
}

/// `again` is what whoever got `first` must get.
fn is_replayed(first: &SubmitBatchResponse, again: &SubmitBatchResponse, has_texts: bool) {
    assert_eq!(first.verdicts.len(), again.verdicts.len());
    for (first, again) in first.verdicts.iter().zip(&again.verdicts) {
        let mut expected = first.clone();
        if first.outcome() != Outcome::Replayed {
            expected.set_replay_of(first.outcome());
            expected.set_outcome(Outcome::Replayed);
        }
        let mut again = again.clone();
        if !has_texts {
            for verdict in [&mut expected, &mut again] {
                verdict.findings.clear();
                verdict.findings_omitted = 0;
            }
        }
        assert_eq!(again, expected);
    }
}
