//! Health says what is served: nothing while the server recovers or drains, no lodging while the disk
//! is nearly full.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(missing_docs)]

mod common;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{CLOCK, HANGS_AFTER, SETTINGS, Start, batch, declaration, folder, http_get, lodge};
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_types::StatusExt;
use waag::config::{ByteSize, Config};
use waag::day::Calendar;
use waag::disk::{Access, AppendFile, Disk, DiskFile, Entry, LocalDisk, PartsFile};
use waag::ingest::Engine;
use waag::ingest::clock::Clock;
use waag::proto::v1::lodgement_client::LodgementClient;
use waag::proto::v1::{ActorRole, Outcome};
use waag::rpc::server;
use waag::rules::Law;
use waag::telemetry::Telemetry;

const SERVICES: [&str; 3] = ["", "waag.v1.Lodgement", "waag.v1.Compliance"];

async fn connect(address: &str) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// What is said of whole server, lodging and reading.
async fn health(channel: &Channel) -> [ServingStatus; 3] {
    let mut said = Vec::new();
    for service in SERVICES {
        let request = HealthCheckRequest { service: service.into() };
        let answer = HealthClient::new(channel.clone()).check(request).await;
        said.push(answer.unwrap().into_inner().status());
    }
    said.try_into().unwrap()
}

async fn watch(channel: &Channel, service: &str) -> Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest { service: service.into() };
    HealthClient::new(channel.clone()).watch(request).await.unwrap().into_inner()
}

/// The next that is said; nothing where the watch has ended.
async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let said = tokio::time::timeout(HANGS_AFTER, watch.message()).await.expect("nothing is said");
    said.unwrap().map(|said| said.status())
}

async fn assert_unavailable(channel: &Channel, because: &str) {
    let request = batch("b", vec![declaration("L1")]);
    let status = LodgementClient::new(channel.clone()).submit_batch(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains(because), "{status:?}");
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
}

const SERVING: ServingStatus = ServingStatus::Serving;
const NOT_SERVING: ServingStatus = ServingStatus::NotServing;

#[tokio::test]
async fn while_it_recovers_nothing_is_served_and_it_says_so() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    lodge(&server, batch("b", vec![declaration("L1")])).await;
    server.kill();

    // Recovery judges the batch again, by rules that are read from a pipe in the place of their file:
    // it stands still for as long as nobody writes.
    let mut kept = std::fs::read_dir(data.join("rules")).unwrap().map(|kept| kept.unwrap().path());
    let is_list =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("rules-");
    let list = kept.find(is_list).unwrap();
    let aside = outer.path().join("aside");
    std::fs::rename(&list, &aside).unwrap();
    assert!(Command::new("mkfifo").arg(&list).status().unwrap().success());
    let settings = format!("{SETTINGS}\nmetrics = \"127.0.0.1:0\"\n");
    let starting = Start { settings: &settings, ..Start::at(&data, CLOCK) }.spawn();
    let mut pipe = OpenOptions::new().write(true).open(&list).unwrap();

    let address = starting.told("recovering; until that is done calls are refused address=");
    let channel = connect(&address).await;
    assert_eq!(health(&channel).await, [NOT_SERVING; 3]);
    assert_unavailable(&channel, "the server is recovering").await;
    let mut watched = watch(&channel, "").await;
    assert_eq!(next(&mut watched).await, Some(NOT_SERVING));
    let told = http_get(&starting.told("metrics address="));
    assert!(told.contains("\nwaag_recovering 1\n"), "{told}");
    assert!(told.contains("\nwaag_serving{service=\"waag.v1.Lodgement\"} 0\n"), "{told}");

    let content = std::fs::read(&aside).unwrap();
    std::fs::rename(&aside, &list).unwrap();
    pipe.write_all(&content).unwrap();
    drop(pipe);
    let server = starting.listening().unwrap_or_else(|log| panic!("it did not start:\n{log}"));
    assert_eq!(server.address, address);
    assert_eq!(next(&mut watched).await, None, "whoever watches comes back");
    let channel = server.channel().await;
    assert_eq!(health(&channel).await, [SERVING; 3]);
    let again = lodge(&server, batch("b", vec![declaration("L1")])).await;
    assert_eq!(again.verdicts[0].replay_of(), Outcome::Accepted);
    assert_eq!(server.stop().await, 0);
}

/// A call that does not end, as a client may leave one open.
async fn held_open(channel: &Channel) -> impl Drop + use<> {
    let (requests, to_send) = tokio::sync::mpsc::channel(1);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    requests.send(request).await.unwrap();
    let to_send = tokio_stream::wrappers::ReceiverStream::new(to_send);
    let mut client = ServerReflectionClient::new(channel.clone());
    let mut answers = client.server_reflection_info(to_send).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    let call = tokio::spawn(async move {
        let _ends = answers.message().await;
        drop(requests);
    });
    Held(call)
}

struct Held(tokio::task::JoinHandle<()>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn while_it_drains_nothing_is_served_and_whoever_comes_is_told() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let channel = server.channel().await;
    let mut watched = Vec::new();
    for service in SERVICES {
        let mut watch = watch(&channel, service).await;
        assert_eq!(next(&mut watch).await, Some(SERVING));
        watched.push(watch);
    }
    // The drain lasts for as long as this call.
    let held = held_open(&channel).await;
    server.signal("-TERM");
    for watch in &mut watched {
        assert_eq!(next(watch).await, Some(NOT_SERVING));
        assert_eq!(next(watch).await, None, "a watch would hold up the stop");
    }
    let other = connect(&server.address).await;
    assert_eq!(health(&other).await, [NOT_SERVING; 3]);
    assert_unavailable(&other, "the server is stopping").await;
    drop(held);
    drop((watched, channel));
    let (code, log) = server.ended().await;
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("cut off"), "{log}");
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_off_at_the_deadline_of_the_drain() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\ndrain_s_max = 1\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let channel = server.channel().await;
    let answer = lodge(&server, batch("b", vec![declaration("L1")])).await;
    assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted);
    let _held = held_open(&channel).await;
    server.signal("-TERM");
    let (code, log) = server.ended().await;
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("some calls did not end in time and were cut off"), "{log}");
    assert!(log.contains("stopped"), "{log}");
}

/// The real disk, with as much space as a test says.
#[derive(Debug)]
struct Space {
    inner: LocalDisk,
    free: AtomicU64,
}

impl Disk for Space {
    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::Relaxed))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }

    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list_dirs(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.inner.append(path)
    }

    fn open_parts(&self, path: &Path) -> io::Result<Arc<dyn PartsFile>> {
        self.inner.open_parts(path)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.create(path, bytes)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.open(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn read_small(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.inner.read_small(path, bytes_max)
    }

    fn write_small(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_small(path, bytes)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_nearly_full_ends_lodging_and_not_reading() {
    let (_outer, data) = folder();
    let config = Config {
        data_dir: data,
        listen: ([127, 0, 0, 1], 0).into(),
        memory_max: ByteSize(256 << 20),
        batch_bytes_max: ByteSize(1 << 20),
        segment_bytes: ByteSize(8 << 20),
        disk_reserve_bytes: ByteSize(1_000),
        ..Config::default()
    };
    let plenty = 1 << 40;
    let disk = Arc::new(Space { inner: LocalDisk::new(), free: AtomicU64::new(plenty) });
    let now = Calendar::new(&config.time_zone).unwrap().parse(CLOCK).unwrap();
    let (of, law) = (Arc::clone(&disk), Law::load(None).unwrap());
    let (engine, _) =
        Engine::start_with(of, Telemetry::default(), &config, law, Clock::starting_at(now))
            .unwrap();
    let running = server::listen(&config, Arc::clone(&engine)).await.unwrap();
    let channel = connect(&running.address.to_string()).await;
    let mut lodging = watch(&channel, SERVICES[1]).await;
    assert_eq!(next(&mut lodging).await, Some(SERVING));
    let request = batch("b", vec![declaration("L1")]);
    let answer = LodgementClient::new(channel.clone()).submit_batch(request).await.unwrap();

    disk.free.store(999, Ordering::Relaxed);
    assert_eq!(next(&mut lodging).await, Some(NOT_SERVING));
    assert_eq!(health(&channel).await, [SERVING, NOT_SERVING, SERVING]);
    let mut reading = waag::proto::v1::compliance_client::ComplianceClient::new(channel.clone());
    let asked = waag::proto::v1::ListActorSummariesRequest {
        role: ActorRole::Declarant.into(),
        at_least_watermark: answer.into_inner().watermark,
        ..Default::default()
    };
    let listed = reading.list_actor_summaries(asked).await.unwrap().into_inner();
    assert_eq!(listed.summaries[0].accepted, 1);

    disk.free.store(plenty, Ordering::Relaxed);
    assert_eq!(next(&mut lodging).await, Some(SERVING));
    assert_eq!(health(&channel).await, [SERVING; 3]);
    drop((lodging, reading, channel));
    running.stop().await;
    engine.stop();
}
