//! A server that cannot write its journal answers nobody, says so, and ends with a failure.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{CLOCK, SETTINGS, Start, batch, declaration, folder};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_types::StatusExt;
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{Outcome, SubmitBatchRequest};

fn lodged(number: usize) -> SubmitBatchRequest {
    batch(&format!("{number}"), vec![declaration(&format!("W{number}"))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_is_told_to_its_callers_and_ends_the_process_with_a_failure() {
    let (_outer, data) = folder();
    // A limit on the size of files fails writes for whoever runs the tests; its signal would end the
    // process by itself. No checkpoint is to fail first.
    let settings = SETTINGS.replace("_ms = 50", "_ms = 3600000");
    let before = Some("trap '' XFSZ");
    let server = Start { settings: &settings, before, ..Start::at(&data, CLOCK) }.run();
    let mut client = server.lodgement().await;
    let (requests, to_send) = tokio::sync::mpsc::channel(1);
    requests.send(lodged(0)).await.unwrap();
    let stream = client.submit_batches(ReceiverStream::new(to_send)).await.unwrap();
    let mut stream = stream.into_inner();
    let Some(Item::Answer(answer)) = stream.message().await.unwrap().unwrap().result else {
        panic!("refused")
    };
    let mut answers = vec![answer];
    for number in 1..10 {
        answers.push(client.submit_batch(lodged(number)).await.unwrap().into_inner());
    }

    // A page: the header of a segment.
    server.limit_files(4_096);
    let status = client.submit_batch(lodged(10)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("send it again"), "{status:?}");
    let retry = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    assert!(retry.is_some_and(|delay| !delay.is_zero()), "{status:?}");
    // Whoever has a stream open is told too.
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let (code, log) = server.ended().await;
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("the journal failed"), "{log}");

    let server = Start::at(&data, CLOCK).run();
    let mut client = server.lodgement().await;
    for (number, first) in answers.iter().enumerate() {
        let again = client.submit_batch(lodged(number)).await.unwrap().into_inner();
        assert_eq!(again.verdicts[0].replay_of(), Outcome::Accepted);
        assert_eq!(again.verdicts[0].mrn, first.verdicts[0].mrn);
    }
    let late = client.submit_batch(lodged(10)).await.unwrap().into_inner();
    assert_eq!(late.verdicts[0].outcome(), Outcome::Accepted, "none of its group was written");
    assert_eq!(server.stop().await, 0);
    common::waag_ok(&["verify", "--data-dir", data.to_str().unwrap()]);
}
