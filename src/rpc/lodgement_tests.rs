#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;

use super::*;
use crate::config::{ByteSize, Config};
use crate::ingest::clock::Clock;
use crate::ingest::options;
use crate::rules::Law;

struct Served {
    _folder: tempfile::TempDir,
    engine: Arc<Engine>,
    service: LodgementService,
}

impl Served {
    fn new(lookups_in_flight_max: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().to_owned(),
            memory_max: ByteSize(256 << 20),
            batch_bytes_max: ByteSize(1 << 20),
            segment_bytes: ByteSize(8 << 20),
            workers: 1,
            lookups_in_flight_max,
            ..Config::default()
        };
        let start = options::calendar(&config).unwrap().parse("2026-11-05T12:00").unwrap();
        let law = Law::load(None).unwrap();
        let (engine, _) = Engine::start(&config, law, Clock::starting_at(start)).unwrap();
        let stopping = watch::channel(false).1;
        let service =
            LodgementService::new(Arc::clone(&engine), Guard::open(), 4 << 20, 32, stopping);
        Self { _folder: folder, engine, service }
    }

    /// The status for a declaration that was never lodged.
    async fn get(&self) -> Status {
        let key = v1::get_declaration_request::Key::LocalReference(v1::LocalReference {
            declarant: "NL810000003".into(),
            lrn: "L1".into(),
        });
        let request = Request::new(v1::GetDeclarationRequest { key: Some(key) });
        self.service.get_declaration(request).await.unwrap_err()
    }

    async fn list(&self) -> Result<Response<v1::ListReasonsResponse>, Status> {
        self.service.list_reasons(Request::new(v1::ListReasonsRequest::default())).await
    }
}

/// What comes of `call` without any waiting.
async fn at_once<T>(call: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = std::future::ready(()) => None,
    }
}

fn assert_names_the_bound(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("lookups_in_flight_max"), "{status:?}");
    let retry = status.get_details_retry_info().unwrap();
    assert_eq!(retry.retry_delay, Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn look_ups_past_the_bound_are_refused_at_once_and_told_when_to_come_back() {
    let served = Served::new(2);
    let lookups = served.engine.lookups();
    let held = [lookups.enter().unwrap(), lookups.enter().unwrap()];
    assert_names_the_bound(&at_once(served.get()).await.unwrap());
    assert_names_the_bound(&at_once(served.list()).await.unwrap().unwrap_err());
    drop(held);
    // Each gives its place back: more calls than there are places.
    for _ in 0..3 {
        assert_eq!(served.get().await.code(), Code::NotFound);
        assert!(!served.list().await.unwrap().into_inner().reasons.is_empty());
    }
    served.engine.stop();
}

#[tokio::test]
async fn a_look_up_keeps_its_place_when_its_caller_goes_away() {
    let served = Served::new(2);
    let lookups = served.engine.lookups();
    let (done, until_done) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let engine = Arc::clone(&served.engine);
    let slow = std::thread::spawn(move || {
        let place = engine.lookups().enter().unwrap();
        engine.lookups().ask(&place, |_| {
            begun.send(()).unwrap();
            let _ = until_done.recv();
        });
    });
    has_begun.recv().unwrap();
    // Begins, and waits for the one before it; then nobody wants its answer any more.
    assert!(at_once(served.get()).await.is_none());
    assert_names_the_bound(&at_once(served.get()).await.expect("a refusal, at once"));
    drop(done);
    slow.join().unwrap();
    while !matches!((lookups.enter(), lookups.enter()), (Ok(_), Ok(_))) {
        tokio::task::yield_now().await;
    }
    served.engine.stop();
}
