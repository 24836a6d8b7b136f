//! Past what may be in work or connected at once, callers are told which bound it was and when to come
//! back, and everybody goes on.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;
#[path = "overload/frames.rs"]
mod frames;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::{CLOCK, SETTINGS, Server, Start, batch, declaration, folder};
use frames::{
    ACK, CANCEL, DATA, Frames, HEADERS, PING, REFUSED_STREAM, RST_STREAM, SETTINGS_FRAME,
    WINDOW_UPDATE,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;
use waag::proto::v1::compliance_client::ComplianceClient;
use waag::proto::v1::get_declaration_request::Key;
use waag::proto::v1::lodgement_client::LodgementClient;
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{
    self, ActorRole, GetDeclarationRequest, LocalReference, Outcome, SubmitBatchRequest,
    SubmitBatchesResponse, WatchActorSummariesRequest,
};

/// How often something is tried that must come in the end.
const TRIES: usize = 1_000;

/// A stream, with batches going in and answers coming out.
struct Lodging {
    requests: Sender<SubmitBatchRequest>,
    answers: Streaming<SubmitBatchesResponse>,
}

impl Lodging {
    async fn on(mut client: LodgementClient<Channel>) -> Self {
        let (requests, to_send) = channel(1);
        let answers = client.submit_batches(ReceiverStream::new(to_send)).await.unwrap();
        Self { requests, answers: answers.into_inner() }
    }

    async fn send(&self, lrn: &str) {
        let declarant = declarant(lrn);
        let batch = SubmitBatchRequest { declarant, ..batch(lrn, vec![declaration(lrn)]) };
        self.requests.send(batch).await.unwrap();
    }

    async fn receive(&mut self) -> Item {
        self.answers.message().await.unwrap().unwrap().result.unwrap()
    }

    async fn assert_accepted(&mut self, lrn: &str) {
        let Item::Answer(answer) = self.receive().await else { panic!("{lrn} was refused") };
        assert_eq!(answer.batch_id, lrn);
        assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted);
    }
}

/// One for each digit that an LRN ends with: a declarant has half of what may be in work at most.
fn declarant(lrn: &str) -> String {
    format!("NL81000000{}", &lrn[lrn.len() - 1..])
}

/// A client that takes 16 bytes of an answer, less than the shortest has, until somebody reads it.
async fn slow_to_read(server: &Server) -> LodgementClient<Channel> {
    let endpoint = Channel::from_shared(server.url()).unwrap().initial_stream_window_size(16);
    LodgementClient::new(endpoint.connect().await.unwrap())
}

/// Waits until `lrn` has been lodged, whether its answer has left or not.
async fn lodged(client: &mut LodgementClient<Channel>, lrn: &str) {
    let reference = LocalReference { declarant: declarant(lrn), lrn: lrn.into() };
    let key = Some(Key::LocalReference(reference));
    for _ in 0..TRIES {
        match client.get_declaration(GetDeclarationRequest { key: key.clone() }).await {
            Ok(_) => return,
            Err(status) => assert_eq!(status.code(), Code::NotFound, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{lrn} was not lodged");
}

#[tokio::test]
async fn who_finds_no_room_is_told_when_to_come_back_and_goes_on_once_answers_are_read() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nbatches_in_flight_max = 4\nadmission_wait_ms_max = 50\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut client = server.lodgement().await;
    // A connection may have a quarter of four.
    let mut unread = Vec::new();
    for number in 0..4 {
        let lodging = Lodging::on(slow_to_read(&server).await).await;
        lodging.send(&format!("U{number}")).await;
        lodged(&mut client, &format!("U{number}")).await;
        unread.push(lodging);
    }

    let late = batch("late", vec![declaration("LATE")]);
    let status = client.submit_batch(late.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("batches_in_flight_max"), "{status:?}");
    let retry = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(!retry.is_zero());
    let mut stream = Lodging::on(client.clone()).await;
    for lrn in ["S0", "S1"] {
        stream.send(lrn).await;
        let Item::Refusal(refusal) = stream.receive().await else { panic!("{lrn} found room") };
        assert_eq!(refusal.code, 8, "{refusal:?}");
        assert!(refusal.retry_after_ms > 0, "{refusal:?}");
        assert!(refusal.message.contains("batches_in_flight_max"), "{refusal:?}");
    }

    for (number, lodging) in unread.iter_mut().enumerate() {
        lodging.assert_accepted(&format!("U{number}")).await;
    }
    // The server learns a moment later that an answer has been read.
    let mut tries = 0;
    let answer = loop {
        stream.send("S1").await;
        match stream.receive().await {
            Item::Answer(answer) => break answer,
            Item::Refusal(refusal) => assert_eq!(refusal.code, 8, "{refusal:?}"),
        }
        tries += 1;
        assert!(tries < TRIES, "there is no room, though all answers were read");
    };
    // Accepted, and no replay: nothing had been kept of it.
    assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted);
    stream.send("S2").await;
    stream.assert_accepted("S2").await;
    for (number, lodging) in unread.iter_mut().enumerate() {
        lodging.send(&format!("V{number}")).await;
        lodging.assert_accepted(&format!("V{number}")).await;
    }
    let answer = client.submit_batch(late).await.unwrap().into_inner();
    assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted);
}

/// How many bytes a client gets that connects and says nothing, before it is closed.
async fn closed(server: &Server) -> usize {
    let address = server.address.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    reading.await.unwrap()
}

#[tokio::test]
async fn a_connection_too_many_is_told_why_and_the_others_go_on() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nconnections_max = 2\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let accepted = async |client: &mut LodgementClient<Channel>, lrn: &str| {
        let answer = client.submit_batch(batch(lrn, vec![declaration(lrn)])).await?.into_inner();
        assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted);
        Ok::<_, tonic::Status>(())
    };
    let (mut first, mut second) = (server.lodgement().await, server.lodgement().await);
    accepted(&mut first, "A0").await.unwrap();
    accepted(&mut second, "B0").await.unwrap();

    let mut third = server.lodgement().await;
    let status = accepted(&mut third, "C0").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("the server has 2 connections"), "{status:?}");
    assert!(status.message().contains("connections_max"), "{status:?}");
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
    assert_eq!(closed(&server).await, 9, "an empty SETTINGS frame and no more");
    accepted(&mut first, "A1").await.unwrap();
    accepted(&mut second, "B1").await.unwrap();

    // A connection that goes makes room for another.
    drop(second);
    for _ in 0..TRIES {
        let channel = Channel::from_shared(server.url()).unwrap().connect().await;
        let Ok(channel) = channel else { continue };
        if accepted(&mut LodgementClient::new(channel), "C0").await.is_ok() {
            accepted(&mut first, "A2").await.unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there is no room, though a connection has gone");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_keeps_its_place_among_the_look_ups() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nlookups_in_flight_max = 1\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut client = server.lodgement().await;
    // Large, so that 16 bytes at a time take thousands of turns.
    let mut large = declaration("L3");
    large.goods_items = vec![large.goods_items[0].clone(); 500];
    client.submit_batch(batch("b", vec![large])).await.unwrap();
    let reference = LocalReference { declarant: "NL810000003".into(), lrn: "L3".into() };
    let request = GetDeclarationRequest { key: Some(Key::LocalReference(reference)) };

    // A client that asks, and looks at its answer no more once the place is seen to be taken.
    let mut slow = slow_to_read(&server).await;
    let mut call = Box::pin(async { slow.get_declaration(request.clone()).await });
    // Polled a few times, to send the question; of the answer that is little.
    for _ in 0..5 {
        let polled = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        assert!(polled.is_pending(), "it has read all of its answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // One refusal could be due to this client's own answer, on its way a moment longer.
    let (mut tries, mut refused) = (0, Vec::new());
    while refused.len() < 5 {
        assert!(tries < TRIES, "the unread answer holds no place");
        tries += 1;
        match client.get_declaration(request.clone()).await {
            Err(status) => refused.push(status),
            Ok(_) => refused.clear(),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = refused.remove(0);
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("lookups_in_flight_max"), "{status:?}");
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
    assert_eq!(call.await.unwrap().into_inner().lrn, "L3");
    // The server learns a moment later that it has left.
    for _ in 0..TRIES {
        if client.get_declaration(request.clone()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place is not given back");
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_disconnected() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nanswer_s_max = 1\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut slow = Lodging::on(slow_to_read(&server).await).await;
    let mut other = Lodging::on(server.lodgement().await).await;
    slow.send("L1").await;
    lodged(&mut server.lodgement().await, "L1").await;
    server.wait_for_log("a client takes no answers: it is disconnected");
    assert!(slow.answers.message().await.is_err());
    // Whoever takes theirs goes on, however long nothing was sent; and to send again is safe.
    other.send("L2").await;
    other.assert_accepted("L2").await;
    let mut again = Lodging::on(server.lodgement().await).await;
    again.send("L1").await;
    let Item::Answer(answer) = again.receive().await else { panic!("refused") };
    assert_eq!(answer.verdicts[0].outcome(), Outcome::Replayed);
}

#[tokio::test]
async fn what_stands_behind_an_answer_that_is_not_taken_is_not_held_for_ever() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nanswer_s_max = 1\nbatches_in_flight_max = 4\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    // A refusal comes first, which holds nothing itself, and is not read.
    let slow = Lodging::on(slow_to_read(&server).await).await;
    slow.requests.send(batch("empty", vec![])).await.unwrap();
    slow.send("L1").await;
    lodged(&mut server.lodgement().await, "L1").await;
    server.wait_for_log("a client takes no answers: it is disconnected");
}

#[tokio::test]
async fn a_watch_that_is_not_read_is_not_kept() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nanswer_s_max = 1\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    is_accepted(&mut server.lodgement().await, "L1").await.unwrap();
    let endpoint = Channel::from_shared(server.url()).unwrap().initial_stream_window_size(16);
    let mut slow = ComplianceClient::new(endpoint.connect().await.unwrap());
    let request = WatchActorSummariesRequest {
        role: ActorRole::Declarant.into(),
        ..WatchActorSummariesRequest::default()
    };
    let summaries = slow.watch_actor_summaries(request).await.unwrap();
    server.wait_for_log("a client takes no answers: it is disconnected");
    drop(summaries);
}

/// A way to the server that, once it is told to, takes nothing from it any more.
async fn deafening(server: &Server) -> (String, Arc<AtomicBool>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (is_deaf, address) = (Arc::new(AtomicBool::new(false)), server.address.parse().unwrap());
    let told = Arc::clone(&is_deaf);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let server = socket.connect(address).await.unwrap();
        let ((mut asks, mut hears), (mut says, mut takes)) =
            (client.into_split(), server.into_split());
        tokio::spawn(async move { tokio::io::copy(&mut asks, &mut takes).await });
        let mut bytes = [0; 1_024];
        while let Ok(read @ 1..) = says.read(&mut bytes).await {
            if told.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            hears.write_all(&bytes[..read]).await.unwrap();
        }
    });
    (url, is_deaf)
}

#[tokio::test]
async fn a_client_whose_connection_takes_nothing_is_disconnected() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nanswer_s_max = 1\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let (url, is_deaf) = deafening(&server).await;
    let endpoint = Channel::from_shared(url)
        .unwrap()
        .initial_stream_window_size((1 << 31) - 1)
        .initial_connection_window_size((1 << 31) - 1)
        // Pongs cannot be written either; and until they are, nothing is read.
        .http2_keep_alive_interval(Duration::from_millis(100))
        .keep_alive_timeout(common::HANGS_AFTER);
    let mut slow = Lodging::on(LodgementClient::new(endpoint.connect().await.unwrap())).await;
    slow.send("L1").await;
    slow.assert_accepted("L1").await;
    is_deaf.store(true, Ordering::Relaxed);
    // Rejected, each with all that it lacks: answers of a megabyte and more.
    let bare = |n| v1::Declaration { lrn: format!("B{n}"), ..v1::Declaration::default() };
    for _ in 0..12 {
        let large = batch("large", (0..2_000).map(bare).collect());
        slow.requests.send(large).await.unwrap();
    }
    server.wait_for_log("a client takes no answers: it is disconnected");
}

async fn is_accepted(client: &mut LodgementClient<Channel>, lrn: &str) -> Result<(), Status> {
    let answer = client.submit_batch(batch(lrn, vec![declaration(lrn)])).await?.into_inner();
    assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted);
    Ok(())
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_another_has_its_own() {
    let (_outer, data) = folder();
    let settings = SETTINGS.replace("_connections_max = 64", "_connections_max = 1");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut first = server.lodgement().await;
    is_accepted(&mut first, "A0").await.unwrap();
    let status = is_accepted(&mut server.lodgement().await, "B0").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("your address has 1 connections"), "{status:?}");
    assert!(status.message().contains("address_connections_max"), "{status:?}");
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
    let elsewhere = Channel::from_shared(server.url()).unwrap();
    let elsewhere = elsewhere.local_address(Some([127, 0, 0, 2].into())).connect().await.unwrap();
    is_accepted(&mut LodgementClient::new(elsewhere), "B0").await.unwrap();
    is_accepted(&mut first, "A1").await.unwrap();
}

#[tokio::test]
async fn a_connection_without_calls_is_closed_and_one_with_a_call_stays() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nconnection_idle_s_max = 1\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut open = Lodging::on(server.lodgement().await).await;
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let idle = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(common::HANGS_AFTER)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        // It answers pings, or it would be closed for not being there.
        let (mut head, mut pings) = ([0; 9], 0);
        while stream.read_exact(&mut head).is_ok() {
            let mut rest = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            stream.read_exact(&mut rest).unwrap();
            if (head[3], head[4]) == (PING, 0) {
                head[4] = ACK;
                pings += 1;
                assert!(pings < 4, "one comes in half a minute: it is not closed");
                stream.write_all(&[&head[..], &rest].concat()).unwrap();
            }
        }
    });
    idle.await.unwrap();
    // By now the other one would have been closed as well.
    open.send("L1").await;
    open.assert_accepted("L1").await;
}

#[tokio::test]
async fn a_call_with_too_many_headers_is_refused_and_the_connection_goes_on() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nheader_bytes_max = \"2KiB\"\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut client = server.lodgement().await;
    let mut request = tonic::Request::new(batch("b", vec![declaration("L1")]));
    let long = "x".repeat(1_024).parse().unwrap();
    request.metadata_mut().insert("x-long", long);
    client.submit_batch(request).await.unwrap();
    let mut request = tonic::Request::new(batch("b", vec![declaration("L2")]));
    let long = "x".repeat(2_048).parse().unwrap();
    request.metadata_mut().insert("x-long", long);
    let status = client.submit_batch(request).await.unwrap_err();
    assert!(status.message().contains("431"), "{status:?}");
    is_accepted(&mut client, "L2").await.unwrap();
}

/// A figure that the server tells.
fn figure(server: &Server, name: &str) -> u64 {
    let text = common::http_get(&server.told("metrics address="));
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_answers_nobody_reads_is_not_read_past_its_bound_and_goes_on_after() {
    let (_outer, data) = folder();
    // Room for more on a connection than on a stream.
    let settings = format!(
        "{SETTINGS}\nstream_batches_in_flight_max = 1\nbatch_declarations_max = 1000\n\
         answer_bytes_max = \"1MiB\"\nmetrics = \"127.0.0.1:0\"\n"
    );
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut slow = Lodging::on(slow_to_read(&server).await).await;
    let lrns: Vec<String> = (0..10).map(|number| format!("L{number}")).collect();
    let requests = slow.requests.clone();
    let to_send = lrns.clone();
    // Nothing refuses what is sent past the bound: it is held back on its way.
    let sending = tokio::spawn(async move {
        for lrn in to_send {
            let declarant = declarant(&lrn);
            let batch = SubmitBatchRequest { declarant, ..batch(&lrn, vec![declaration(&lrn)]) };
            requests.send(batch).await.unwrap();
        }
    });
    let mut other = server.lodgement().await;
    lodged(&mut other, "L1").await;
    // The one, with two whose answers leave, one behind them, and one that has arrived.
    let mut most = 0;
    for _ in 0..50 {
        most = most.max(figure(&server, "waag_batches_in_flight"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!((1..=5).contains(&most), "{most} in work");
    assert!(most < figure(&server, "waag_batches_in_flight_max") / 4, "the connection's own bound");
    is_accepted(&mut other, "OTHER0").await.unwrap();
    for lrn in &lrns {
        slow.assert_accepted(lrn).await;
    }
    sending.await.unwrap();
    slow.send("M0").await;
    slow.assert_accepted("M0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_summaries_past_their_bounds_wait_or_are_told_and_go_on_after() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nsummary_reads_max = 1\nsummary_reads_waiting_max = 1\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let lodged = batch("b", vec![declaration("L0")]);
    let lodged = server.lodgement().await.submit_batch(lodged).await.unwrap().into_inner();
    let actor = v1::Actor { role: ActorRole::Declarant.into(), id: "NL810000003".into() };
    let request = v1::GetActorSummaryRequest {
        actor: Some(actor),
        at_least_watermark: lodged.watermark,
        ..v1::GetActorSummaryRequest::default()
    };
    // It holds the one place there is until its answer has left, of which it has room for one byte.
    let mut slow = Frames::to(&server.address);
    slow.write(SETTINGS_FRAME, 0, 0, &[0, 4, 0, 0, 0, 1]);
    slow.call(1, "/waag.v1.Compliance/GetActorSummary");
    let message = prost::Message::encode_to_vec(&request);
    let prefix = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
    slow.write(DATA, 1, 1, &[prefix, message].concat());
    assert_eq!(slow.next(1).0, HEADERS);
    let (waits, mut other) = (server.compliance().await, server.compliance().await);
    let soon = Duration::from_millis(50);
    // One that is not answered soon could be due to a slow machine. Of one that is given up its place
    // in the queue may still be there when the next comes, which is then told: both are taken.
    let (mut tries, mut unanswered) = (0, 0);
    while unanswered < 5 {
        assert!(tries < TRIES, "the place is not held");
        tries += 1;
        match tokio::time::timeout(soon, other.get_actor_summary(request.clone())).await {
            Err(_) => unanswered += 1,
            Ok(Err(status)) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
            Ok(Ok(_)) => unanswered = 0,
        }
    }
    // Of one that has just left the place may still be there.
    let (mut tries, mut waiting) = (0, None);
    let status = loop {
        let of_one = waiting.get_or_insert_with(|| {
            let (mut client, request) = (waits.clone(), request.clone());
            Box::pin(async move { client.get_actor_summary(request).await })
        });
        if let Ok(ended) = tokio::time::timeout(soon, of_one).await {
            assert_eq!(ended.unwrap_err().code(), Code::ResourceExhausted);
            waiting = None;
        } else {
            // It may have come before the one that waits.
            let asked = tokio::time::timeout(soon, other.get_actor_summary(request.clone())).await;
            if let Ok(ended) = asked {
                break ended.unwrap_err();
            }
        }
        tries += 1;
        assert!(tries < TRIES, "nobody is told");
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("summary_reads_waiting_max"), "{status:?}");
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
    slow.write(WINDOW_UPDATE, 0, 1, &[0, 0, 0xff, 0xff]);
    waiting.unwrap().await.unwrap();
    let mut tries = 0;
    while let Err(status) = other.get_actor_summary(request.clone()).await {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        tries += 1;
        assert!(tries < TRIES, "the place is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_too_many_of_a_connection_waits_or_is_refused_unseen_and_the_others_go_on() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\nconnection_streams_max = 2\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    // A client of HTTP/2 learns the bound when it connects, and waits.
    let client = server.lodgement().await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(Lodging::on(client.clone()).await);
    }
    let mut third = Box::pin(Lodging::on(client));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut third).await.is_err());
    open[0].send("L0").await;
    open[0].assert_accepted("L0").await;
    drop(open.remove(0));
    let mut third = tokio::time::timeout(common::HANGS_AFTER, third).await.unwrap();
    third.send("L1").await;
    third.assert_accepted("L1").await;

    // One that does not is told so as HTTP/2 has it: nothing was looked at, so it may be sent again.
    let address = server.address.clone();
    let calls = tokio::task::spawn_blocking(move || {
        let mut frames = Frames::to(&address);
        for stream in [1, 3, 5] {
            frames.call(stream, "/waag.v1.Lodgement/SubmitBatches");
        }
        assert_eq!(frames.next(5), (RST_STREAM, REFUSED_STREAM.to_vec()));
        frames.write(RST_STREAM, 0, 1, &CANCEL);
        for stream in (7..).step_by(2).take(TRIES) {
            frames.call(stream, "/grpc.health.v1.Health/Check");
            // An empty message, the last.
            frames.write(DATA, 1, stream, &[0; 5]);
            match frames.next(stream) {
                (HEADERS, _) => return,
                refused => assert_eq!(refused, (RST_STREAM, REFUSED_STREAM.to_vec())),
            }
        }
        panic!("there is no room, though a call has gone");
    });
    calls.await.unwrap();
}
