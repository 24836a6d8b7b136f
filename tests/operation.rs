//! What those who run a server see of it: where it listens, whether it is healthy, what it serves, and
//! what a changed setting changes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{CLOCK, HANGS_AFTER, SETTINGS, Server, Start, batch, declaration, folder, summaries};
use tokio_stream::{StreamExt, iter};
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use waag::config::{ByteSize, Config};
use waag::day::{Calendar, Moment};
use waag::ingest::Engine;
use waag::ingest::clock::Clock;
use waag::proto::v1::{ActorRole, ActorSummary, SubmitBatchRequest};
use waag::rpc::server;
use waag::rules::Law;

const SERVICES: [&str; 3] = ["", "waag.v1.Lodgement", "waag.v1.Compliance"];

#[tokio::test]
async fn health_says_serving_and_reflection_tells_the_services() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let mut health = HealthClient::new(server.channel().await);
    for service in SERVICES {
        let request = HealthCheckRequest { service: service.into() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
    }
    let request = HealthCheckRequest { service: "waag.v1.Nothing".into() };
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);

    let mut reflection = ServerReflectionClient::new(server.channel().await);
    let mut ask = async |request| {
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        let answers = reflection.server_reflection_info(iter([request])).await.unwrap();
        answers.into_inner().next().await.unwrap().unwrap().message_response.unwrap()
    };
    let listed = ask(MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(listed) = listed else { panic!("{listed:?}") };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["waag.v1.Lodgement", "waag.v1.Compliance", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
        let file = ask(MessageRequest::FileContainingSymbol(name.into())).await;
        let MessageResponse::FileDescriptorResponse(file) = file else { panic!("{file:?}") };
        assert!(!file.file_descriptor_proto.is_empty());
    }
}

#[tokio::test]
async fn health_says_not_serving_once_the_clock_is_far_behind_the_journal() {
    let (_outer, data) = folder();
    let config = Config {
        data_dir: data,
        listen: ([127, 0, 0, 1], 0).into(),
        memory_max: ByteSize(256 << 20),
        batch_bytes_max: ByteSize(1 << 20),
        segment_bytes: ByteSize(8 << 20),
        ..Config::default()
    };
    let now = Calendar::new(&config.time_zone).unwrap().parse(CLOCK).unwrap();
    let law = Law::load(None).unwrap();
    let (engine, _) = Engine::start(&config, law, Clock::starting_at(now)).unwrap();
    let running = server::listen(&config, engine.clone()).await.unwrap();
    let url = format!("http://{}", running.address);
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let mut watches = Vec::new();
    for service in SERVICES {
        let request = HealthCheckRequest { service: service.into() };
        let watch = HealthClient::new(channel.clone()).watch(request).await.unwrap();
        let mut watch = watch.into_inner();
        let status = watch.message().await.unwrap().unwrap().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
        watches.push(watch);
    }
    engine.clock().saw(Moment(now.0 + 3_600_000));
    for (watch, service) in watches.iter_mut().zip(SERVICES) {
        let change = tokio::time::timeout(HANGS_AFTER, watch.message()).await;
        let status = change.expect("health stays as it is").unwrap().unwrap().status();
        assert_eq!(status, ServingStatus::NotServing, "{service:?}");
    }
    drop((watches, channel));
    running.stop().await;
    engine.stop();
}

#[test]
fn whoever_is_not_on_this_machine_is_let_in_only_where_the_settings_say_so() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\ninsecure_listen_anywhere = true\n");
    let anywhere = Start { listen: "0.0.0.0:0", ..Start::at(&data, CLOCK) };
    let log = anywhere.try_run().err().expect("it listens to everybody");
    let told = "listen is 0.0.0.0:0: without TLS and identity the server listens on loopback only";
    assert!(log.contains(told) && log.contains("insecure_listen_anywhere"), "{log}");
    // And never with a clock of its own.
    let told = "--clock is for tests: it needs --listen on loopback";
    let log = Start { settings: &settings, ..anywhere }.try_run().err().expect("it has a clock");
    assert!(log.contains(told), "{log}");
    assert!(!data.exists(), "nothing was made");
}

/// A batch of `declarations` by the declarant numbered `number`.
fn of_declarant(number: usize, declarations: usize, run: &str) -> SubmitBatchRequest {
    let declaration = |n| declaration(&format!("{run}-{number}-{n}"));
    SubmitBatchRequest {
        declarant: format!("NL81000000{number}"),
        ..batch(run, (0..declarations).map(declaration).collect())
    }
}

/// What each declarant has lodged, by id.
fn received(summaries: &[ActorSummary]) -> Vec<(String, u64)> {
    let received = |s: &ActorSummary| s.accepted + s.rejected;
    summaries.iter().map(|s| (s.actor.as_ref().unwrap().id.clone(), received(s))).collect()
}

/// Lodges `declarations` by each of the declarants, one batch after another; the watermark after.
async fn lodge(server: &Server, declarants: &[usize], declarations: usize, run: &str) -> u64 {
    let mut client = server.lodgement().await;
    let mut watermark = 0;
    for number in declarants {
        let answer = client.submit_batch(of_declarant(*number, declarations, run)).await.unwrap();
        watermark = answer.into_inner().watermark;
    }
    watermark
}

#[tokio::test]
async fn a_changed_bound_on_actors_holds_from_that_record_on_in_a_rebuild_too() {
    let (_outer, data) = folder();
    let bounded = |actors_max: u32| format!("{SETTINGS}\nactors_max = {actors_max}\n");
    let id = |number: usize| format!("NL81000000{number}");
    let declarants =
        async |server: &Server, watermark| summaries(server, ActorRole::Declarant, watermark).await;
    // Each of these has figures of its own.
    let settings = bounded(3);
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let watermark = lodge(&server, &[1, 2], 1, "first").await;
    let all = received(&declarants(&server, watermark).await);
    assert_eq!(all, [(id(1), 1), (id(2), 1)]);
    assert_eq!(server.stop().await, 0);

    // Below what is known already: who is known stays so, and nobody else comes in.
    let settings = bounded(1);
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let watermark = lodge(&server, &[1, 2, 3, 4], 2, "second").await;
    let all = received(&declarants(&server, watermark).await);
    assert_eq!(all, [("(other)".to_owned(), 4), (id(1), 3), (id(2), 3)]);
    assert_eq!(server.stop().await, 0);

    // With room for one more: from here on, and for the first to come.
    let settings = bounded(3);
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let watermark = lodge(&server, &[4, 3, 2], 4, "third").await;
    let before = declarants(&server, watermark).await;
    let expected = [("(other)".to_owned(), 8), (id(1), 3), (id(2), 7), (id(4), 4)];
    assert_eq!(received(&before), expected);
    assert_eq!(server.stop().await, 0);

    let data_dir = data.to_str().unwrap();
    let told = common::waag_ok(&["rebuild", "--data-dir", data_dir]);
    assert!(told.contains("the same bit for bit"), "{told}");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    assert_eq!(declarants(&server, watermark).await, before);
    assert_eq!(server.stop().await, 0);
}
