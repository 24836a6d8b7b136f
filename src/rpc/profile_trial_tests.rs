#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use tonic_types::StatusExt;

use super::*;
use crate::archive::tests::making::{Maker, generated, write_set};
use crate::rpc::compliance::tests::Served;

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn conditions() -> v1::ProfileConditions {
    let hs_prefixes = vec!["61".into(), "62".into()];
    v1::ProfileConditions { hs_prefixes, ..Default::default() }
}

/// With four batches sealed, of four days.
fn served() -> Served {
    let served = Served::new();
    let days = ["2026-10-01", "2026-10-20", "2026-11-04", "2026-11-05"].map(day);
    let batches: Vec<_> = days.into_iter().zip(generated(400, 40)).collect();
    write_set(&served.service.office.archive, &mut Maker::new(), &batches).unwrap();
    served
}

fn request(timeout: Option<&'static str>) -> Request<v1::TryProfileRequest> {
    let conditions = Some(conditions());
    let mut request = Request::new(v1::TryProfileRequest { conditions, ..Default::default() });
    if let Some(timeout) = timeout {
        request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_trial_is_told_with_its_progress_and_its_days() {
    let served = served();
    let mut told = start(&served.service, request(None)).await.unwrap().into_inner().into_inner();
    let mut progress = Vec::new();
    let trial = loop {
        match told.recv().await.unwrap().unwrap().told.unwrap() {
            v1::try_profile_response::Told::Progress(now) => progress.push(now),
            v1::try_profile_response::Told::Trial(trial) => break trial,
        }
    };
    assert!(told.recv().await.is_none(), "the result is the last message");
    assert!(progress[0].done > 0 && progress[0].done < progress[0].of, "{progress:?}");
    // 28 days to the newest one that is sealed; the first batch is of an earlier one.
    assert_eq!((&trial.first_day[..], &trial.last_day[..]), ("2026-10-09", "2026-11-05"));
    assert_eq!(trial.watermark, 4);
    assert!(trial.accepted.unwrap().declarations > 0);
    let stated = v1::TryProfileRequest {
        conditions: Some(conditions()),
        first_day: "2026-10-01".into(),
        last_day: "2026-10-19".into(),
    };
    // The one before has given its turn back.
    start(&served.service, Request::new(stated)).await.unwrap();
}

#[tokio::test]
async fn a_deadline_that_passes_is_told_with_how_far_it_came() {
    let served = served();
    // Below the margin that is kept of it: over when the first batch has been gone through.
    let mut told =
        start(&served.service, request(Some("1m"))).await.unwrap().into_inner().into_inner();
    let status = told.recv().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().starts_with("ended after "), "{status}");
}

#[tokio::test]
async fn one_is_tried_at_a_time() {
    let served = served();
    let turn = Arc::clone(&served.service.office.trials).try_acquire_owned().unwrap();
    let status = start(&served.service, request(None)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_some());
    drop(turn);
    start(&served.service, request(None)).await.unwrap();
}

#[test]
fn it_ends_when_the_caller_is_gone_or_the_server_stops() {
    let served = served();
    let matcher = candidate(Some(conditions())).unwrap().matcher().unwrap();
    let days = (day("2026-10-01"), day("2026-11-05"));
    let until = Instant::now() + TRIAL_MAX;
    let (archive, board) = (&served.service.office.archive, &served.service.reader.board);
    let (sender, receiver) = mpsc::channel(AHEAD);
    let whole = run(&matcher, archive, board, days, until, &sender);
    assert!(matches!(whole, Some(Ok(_))), "{whole:?}");
    drop(receiver);
    let gone = run(&matcher, archive, board, days, until, &sender);
    assert!(gone.is_none(), "{gone:?}");
    let (sender, _receiver) = mpsc::channel(AHEAD);
    board.stop();
    let stopped = run(&matcher, archive, board, days, until, &sender);
    let status = stopped.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}
