//! A client whose connection breaks at any byte, of what it sends or of what it is sent: what it was
//! answered stays, what it sends again is answered once, and nothing that it had in work is kept from others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stdout, missing_docs)]

mod common;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use common::{CLOCK, HANGS_AFTER, SETTINGS, Server, Start, batch, declaration, folder, summary};
use http_body::{Body, Frame};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tower::Service;
use waag::proto::v1::lodgement_client::LodgementClient;
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{
    Declaration, Outcome, SubmitBatchRequest, SubmitBatchResponse, SubmitBatchesResponse, Verdict,
};

/// Connections that break at the same time.
const LANES: usize = 4;

/// So many bytes pass until the connection breaks.
#[derive(Debug, Clone, Copy)]
struct Bytes {
    to_server: usize,
    to_client: usize,
}

const ALL: Bytes = Bytes { to_server: usize::MAX, to_client: usize::MAX };

/// Passes on what fits, and says whether there may be more.
async fn pass(from: &[u8], to: &mut TcpStream, passed: &mut usize, max: usize) -> bool {
    let part = &from[..from.len().min(max - *passed)];
    *passed += part.len();
    !from.is_empty() && to.write_all(part).await.is_ok() && *passed < max
}

/// The address of somebody who passes on what one client and the server send, and how much that was in
/// the end.
async fn between(server: &Server, max: Bytes) -> (String, JoinHandle<Bytes>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = server.address.clone();
    let passing = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        // Whoever comes again finds nobody.
        drop(listener);
        let mut server = TcpStream::connect(server).await.unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let mut passed = Bytes { to_server: 0, to_client: 0 };
        let (mut sent, mut answered) = ([0; 4_096], [0; 4_096]);
        let mut goes_on = max.to_server > 0 && max.to_client > 0;
        while goes_on {
            goes_on = tokio::select! {
                read = client.read(&mut sent) => {
                    let sent = &sent[..read.unwrap_or(0)];
                    pass(sent, &mut server, &mut passed.to_server, max.to_server).await
                }
                read = server.read(&mut answered) => {
                    let answered = &answered[..read.unwrap_or(0)];
                    pass(answered, &mut client, &mut passed.to_client, max.to_client).await
                }
            };
        }
        // What has been passed on is read before the connection breaks: of one that is reset nothing may be.
        let _ = server.shutdown().await;
        while server.read(&mut answered).await.is_ok_and(|bytes| bytes > 0) {}
        passed
    });
    (url, passing)
}

/// Which call it is in which the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lodging {
    SubmitBatch,
    SubmitBatches,
}

impl Lodging {
    fn path(self) -> &'static str {
        match self {
            Self::SubmitBatch => "/waag.v1.Lodgement/SubmitBatch",
            Self::SubmitBatches => "/waag.v1.Lodgement/SubmitBatches",
        }
    }

    /// The answer in a message of the server.
    fn answer(self, message: &[u8]) -> SubmitBatchResponse {
        if self == Self::SubmitBatch {
            return SubmitBatchResponse::decode(message).unwrap();
        }
        let item = SubmitBatchesResponse::decode(message).unwrap();
        let Some(Item::Answer(answer)) = item.result else { panic!("{item:?}") };
        answer
    }

    /// Those of which all has arrived.
    fn answers(self, mut arrived: &[u8]) -> Vec<SubmitBatchResponse> {
        let mut answers = Vec::new();
        while let Some((prefix, rest)) = arrived.split_first_chunk::<5>() {
            let length = u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize;
            let Some(message) = rest.get(..length) else { break };
            answers.push(self.answer(message));
            arrived = &rest[length..];
        }
        answers
    }
}

/// A batch with a declaration that is rejected, and for a stream one more; as long for every number.
struct Batches {
    good: Declaration,
    rejected: Declaration,
}

impl Batches {
    fn new() -> Self {
        Self { good: declaration(""), rejected: common::with_value("", 15_001) }
    }

    fn of(&self, lodging: Lodging, number: usize) -> Vec<SubmitBatchRequest> {
        let named = |declaration: &Declaration, which: &str| {
            let stream = usize::from(lodging == Lodging::SubmitBatches);
            Declaration { lrn: format!("{which}{stream}{number:06}"), ..declaration.clone() }
        };
        let mut batches =
            vec![batch("first", vec![named(&self.good, "A"), named(&self.rejected, "R")])];
        if lodging == Lodging::SubmitBatches {
            batches.push(batch("second", vec![named(&self.good, "B")]));
        }
        batches
    }
}

/// Messages in frames of a few bytes, so that a connection breaks within messages too.
struct Pieces(VecDeque<bytes::Bytes>);

impl Pieces {
    fn of(batches: &[SubmitBatchRequest]) -> Self {
        let mut stream = Vec::new();
        for batch in batches {
            stream.push(0);
            stream.extend((batch.encoded_len() as u32).to_be_bytes());
            batch.encode(&mut stream).unwrap();
        }
        Self(stream.chunks(50).map(bytes::Bytes::copy_from_slice).collect())
    }
}

impl Body for Pieces {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// Makes the call and gives what arrives until it ends or breaks.
async fn call(mut channel: Channel, lodging: Lodging, batches: &[SubmitBatchRequest]) -> Vec<u8> {
    let request = http::Request::post(lodging.path())
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(Pieces::of(batches)))
        .unwrap();
    let mut arrived = Vec::new();
    if std::future::poll_fn(|context| channel.poll_ready(context)).await.is_err() {
        return arrived;
    }
    let Ok(answer) = channel.call(request).await else { return arrived };
    let mut body = answer.into_body();
    while let Some(Ok(frame)) =
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame.into_data() {
            arrived.extend(data);
        }
    }
    arrived
}

/// Sends them in one call: what was answered before it broke, and how much was passed on.
async fn send(
    server: &Server,
    lodging: Lodging,
    batches: &[SubmitBatchRequest],
    max: Bytes,
) -> (Vec<SubmitBatchResponse>, Bytes) {
    let (url, passing) = between(server, max).await;
    let sending = async {
        match Channel::from_shared(url).unwrap().connect().await {
            Ok(channel) => call(channel, lodging, batches).await,
            Err(_) => Vec::new(),
        }
    };
    let arrived = tokio::time::timeout(HANGS_AFTER, sending).await.expect("it hangs");
    (lodging.answers(&arrived), passing.await.unwrap())
}

/// How far connections came until they broke, as what is sent again shows.
#[derive(Debug, Default)]
struct Met {
    /// Connections of which so many batches were kept.
    kept: [usize; 3],
    answered: usize,
    /// Declarations of what was kept: sent again they are replays.
    replays: u64,
}

/// The answer that a declaration first got.
fn first_answer(verdict: &Verdict) -> Verdict {
    match verdict.outcome() {
        Outcome::Replayed => {
            Verdict { outcome: verdict.replay_of, replay_of: 0, ..verdict.clone() }
        }
        _ => verdict.clone(),
    }
}

/// Breaks the connection there, and sends everything again on another.
async fn broken_off(
    server: &Server,
    client: &mut LodgementClient<Channel>,
    (lodging, batches): (Lodging, Vec<SubmitBatchRequest>),
    max: Bytes,
    met: &mut Met,
) {
    let (answers, _) = send(server, lodging, &batches, max).await;
    let mut kept = 0;
    for (place, request) in batches.into_iter().enumerate() {
        let again = client.submit_batch(request).await.unwrap().into_inner();
        let is_replay = again.verdicts[0].outcome() == Outcome::Replayed;
        for (index, verdict) in again.verdicts.iter().enumerate() {
            assert_eq!(verdict.outcome() == Outcome::Replayed, is_replay, "a part of a batch");
            if let Some(answer) = answers.get(place) {
                assert!(is_replay, "what was answered is not known");
                assert_eq!(answer.verdicts[index], first_answer(verdict));
            }
        }
        assert!(!is_replay || kept == place, "a later batch is kept and an earlier one is not");
        kept += usize::from(is_replay);
        met.replays += if is_replay { again.verdicts.len() as u64 } else { 0 };
    }
    met.kept[kept] += 1;
    met.answered += answers.len();
}

/// Breaks a connection at each of these bytes, some at a time.
async fn break_at_each(
    server: &Arc<Server>,
    batches: &Arc<Batches>,
    lodging: Lodging,
    breaks: Vec<Bytes>,
    next: &Arc<AtomicUsize>,
) -> Met {
    let breaks = Arc::new(std::sync::Mutex::new(breaks));
    let lanes = (0..LANES).map(|_| {
        let (server, batches) = (Arc::clone(server), Arc::clone(batches));
        let (breaks, next) = (Arc::clone(&breaks), Arc::clone(next));
        tokio::spawn(async move {
            let (mut met, mut client) = (Met::default(), server.lodgement().await);
            loop {
                let Some(max) = breaks.lock().unwrap().pop() else { return met };
                let number = next.fetch_add(1, Ordering::Relaxed);
                let of_call = (lodging, batches.of(lodging, number));
                broken_off(&server, &mut client, of_call, max, &mut met).await;
            }
        })
    });
    let mut all = Met::default();
    for lane in lanes.collect::<Vec<_>>() {
        let Met { kept, answered, replays } = lane.await.unwrap();
        all.kept.iter_mut().zip(kept).for_each(|(all, kept)| *all += kept);
        (all.answered, all.replays) = (all.answered + answered, all.replays + replays);
    }
    all
}

/// Waits until nothing is in work and nobody connected, as the server's own figures tell.
async fn nothing_is_left(server: &Server) {
    let address = server.told("metrics address=");
    let waiting = tokio::task::spawn_blocking(move || {
        common::wait_until("all places and bytes are given back", || {
            let text = common::http_get(&address);
            let is_zero = |name: &str| text.lines().any(|line| line == format!("{name} 0"));
            ["waag_batches_in_flight", "waag_bytes_in_flight", "waag_connections"]
                .into_iter()
                .all(is_zero)
        });
    });
    waiting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_byte_it_breaks_at_each_is_answered_once_and_nothing_stays_in_work() {
    let (_outer, data) = folder();
    // Small answers, so that memory has room for some in work at once; a slow disk is waited for.
    let settings = format!(
        "{SETTINGS}\nbatch_declarations_max = 1000\nanswer_bytes_max = \"1MiB\"\n\
         admission_wait_ms_max = 60000\nmetrics = \"127.0.0.1:0\"\n"
    );
    let server = Arc::new(Start { settings: &settings, ..Start::at(&data, CLOCK) }.run());
    let (batches, next) = (Arc::new(Batches::new()), Arc::new(AtomicUsize::new(1)));
    let (mut accepted, mut rejected, mut replayed) = (0, 0, 0);
    for (lodging, in_call) in [(Lodging::SubmitBatch, 1), (Lodging::SubmitBatches, 2)] {
        let whole = batches.of(lodging, 0);
        let (answers, all) = send(&server, lodging, &whole, ALL).await;
        assert_eq!(answers.len(), in_call);
        let sent: Vec<_> = (0..=all.to_server).map(|n| Bytes { to_server: n, ..ALL }).collect();
        let heard: Vec<_> = (0..=all.to_client).map(|n| Bytes { to_client: n, ..ALL }).collect();
        let calls = 1 + (sent.len() + heard.len()) as u64;
        let sent = break_at_each(&server, &batches, lodging, sent, &next).await;
        let heard = break_at_each(&server, &batches, lodging, heard, &next).await;
        println!("{lodging:?}, {all:?} bytes: sent {sent:?}, heard {heard:?}");
        assert!(sent.kept[0] > 100 && sent.kept[in_call] > 0, "{sent:?}");
        assert!(in_call == 1 || sent.kept[1] > 100, "{sent:?}");
        assert!(heard.answered > 20 && heard.kept[in_call] > 50, "{heard:?}");
        accepted += calls * in_call as u64;
        rejected += calls;
        replayed += sent.replays + heard.replays;
    }
    nothing_is_left(&server).await;

    let last = batches.of(Lodging::SubmitBatch, 0).remove(0);
    let last = common::lodge(&server, last).await;
    let summary = summary(&server, "NL810000003", last.watermark).await;
    assert_eq!((summary.accepted, summary.rejected), (accepted, rejected));
    assert_eq!(summary.conflicts, 0);
    // One that broke off may have got its place only after what was sent again, and be the replay.
    assert!((replayed + 2..2 * replayed).contains(&summary.replayed), "{replayed}: {summary:?}");
    assert_eq!(Arc::into_inner(server).unwrap().stop().await, 0);
    // The summaries among it: that they are the fold of the journal.
    common::waag_ok(&["verify", "--data-dir", data.to_str().unwrap()]);
}
