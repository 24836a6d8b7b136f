//! As much at once as the limits let in, from clients that take no answers: memory stays below
//! `memory_max`.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use common::{CLOCK, Start, folder};
use prost::Message;
use tokio_stream::StreamExt;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use waag::day::Day;
use waag::generate::{Generator, Options};
use waag::proto::v1::compliance_client::ComplianceClient;
use waag::proto::v1::{
    ActorRole, ListActorSummariesRequest, SubmitBatchRequest, WatchActorSummariesRequest,
};

const MIB: u64 = 1 << 20;
const MEMORY_MAX: u64 = 512 * MIB;
const SETTINGS: &str = r#"
memory_max = "512MiB"
batch_bytes_max = "4MiB"
segment_bytes = "32MiB"
unsealed_bytes_max = "256MiB"
seal_interval_s = 1
address_connections_max = 64
"#;
/// All connections that memory has room for, which are 21, but one: to see that others are still heard.
const LODGING: usize = 16;
const WATCHING: usize = 4;
/// Reads on each connection that watches.
const READING: usize = 16;
/// Streams of each connection, all of which send the largest batches there may be.
const STREAMS: usize = 4;
const DECLARANTS: usize = 8;

/// Batches of `batch_bytes_max`, near enough; a third of their declarations have defects.
fn batches() -> Vec<Bytes> {
    let options = Options {
        lines: 200_000,
        actors: 1,
        invalid: 0.3,
        batch: 10_000,
        ..Options::on(Day::parse("2026-11-05").unwrap())
    };
    let mut generated: Vec<SubmitBatchRequest> =
        Generator::new(&options).unwrap().map(|generated| generated.request).collect();
    generated.truncate(DECLARANTS);
    assert_eq!(generated.len(), DECLARANTS);
    let largest = |(number, mut batch): (usize, SubmitBatchRequest)| {
        batch.declarant = format!("NL81000000{number}");
        let mut bytes = batch.encoded_len() as u64;
        while bytes > 4 * MIB {
            let last = batch.declarations.pop().unwrap();
            // Its length and its tag take three more.
            bytes -= last.encoded_len() as u64 + 3;
        }
        Bytes::from(batch.encode_to_vec())
    };
    generated.into_iter().enumerate().map(largest).collect()
}

/// Sends bytes, and takes what comes as bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, batch: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(batch);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(Some(()))
    }
}

/// A connection whose client takes 16 bytes of each answer, and no more.
///
/// From one of two addresses in turn: what one of them may have is half of all.
async fn slow_to_read(url: String, number: usize) -> Channel {
    let endpoint = Channel::from_shared(url).unwrap().initial_stream_window_size(16);
    let from = Ipv4Addr::new(127, 0, 0, if number.is_multiple_of(2) { 1 } else { 2 });
    endpoint.local_address(Some(from.into())).connect().await.unwrap()
}

/// Sends one of the `batches` after another for as long as the server reads, and takes no answer.
async fn floods(channel: Channel, batches: Vec<Bytes>, first: usize) {
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/waag.v1.Lodgement/SubmitBatches");
    let requests = tokio_stream::iter(batches.into_iter().cycle().skip(first));
    // Ends when the connection does: answers are only taken up to the first window.
    if let Ok(answers) = client.streaming(tonic::Request::new(requests), path, Raw).await {
        let mut answers = answers.into_inner();
        while answers.next().await.is_some_and(|answer| answer.is_ok()) {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stays_below_memory_max_whatever_is_sent_at_once() {
    let (_outer, data) = folder();
    let server = Start { settings: SETTINGS, ..Start::at(&data, CLOCK) }.run();
    let idle = server.resident_bytes_max();
    let batches = batches();
    // A runtime of their own: when it goes, so do their connections, whatever is under way on them.
    let clients = tokio::runtime::Runtime::new().unwrap();
    for number in 0..LODGING {
        let (url, batches) = (server.url(), batches.clone());
        clients.spawn(async move {
            let channel = slow_to_read(url, number).await;
            for stream in 0..STREAMS {
                tokio::spawn(floods(channel.clone(), batches.clone(), number + stream));
            }
        });
    }
    for number in 0..WATCHING {
        let url = server.url();
        clients.spawn(async move {
            let mut client = ComplianceClient::new(slow_to_read(url, number).await);
            let role = ActorRole::Declarant.into();
            let request = WatchActorSummariesRequest { role, ..Default::default() };
            let summaries = client.watch_actor_summaries(request).await.unwrap();
            // Reads whose answers nobody takes, as many as come to one.
            for _ in 0..READING {
                let mut client = client.clone();
                let request = ListActorSummariesRequest { role, ..Default::default() };
                tokio::spawn(async move { client.list_actor_summaries(request).await });
            }
            std::future::pending::<()>().await;
            drop(summaries);
        });
    }
    // Until nothing has been added for a while: what may be in work is, and the rest waits.
    let (mut most, mut still) = (idle, 0);
    while still < 8 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = server.resident_bytes_max();
        still = if now > most + MIB { 0 } else { still + 1 };
        most = most.max(now);
    }
    println!("{} MiB when idle, {} MiB at most, of {}", idle / MIB, most / MIB, MEMORY_MAX / MIB);
    assert!(most > idle + 64 * MIB, "there was no load");
    assert!(most <= MEMORY_MAX, "{most}");
    clients.shutdown_background();
    // What they left in work takes its time; until then others are told to come back.
    let after = common::batch("after", vec![common::declaration("AFTER")]);
    let mut client = server.lodgement().await;
    while let Err(status) = client.submit_batch(after.clone()).await {
        assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(server.stop().await, 0);
}
