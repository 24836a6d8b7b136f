//! A declarant with a limit lodges as much as that and no more; others do not notice.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{CLOCK, SETTINGS, Start, batch, declaration, folder};
use tonic::Code;
use tonic_types::StatusExt;
use waag::proto::v1::SubmitBatchRequest;

const LIMIT: &str =
    "\n[[limit]]\ndeclarant = \"NL810000003\"\nbatches_per_s = 5\nbytes_per_s = \"1MiB\"\n";

fn of(declarant: &str, number: usize) -> SubmitBatchRequest {
    let lrn = format!("L{number}");
    SubmitBatchRequest { declarant: declarant.into(), ..batch(&lrn, vec![declaration(&lrn)]) }
}

#[tokio::test]
async fn what_is_past_a_limit_is_told_when_to_come_back_and_others_are_not_held_up() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}{LIMIT}");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut client = server.lodgement().await;
    let mut refused = None;
    // Written in lower case it is the same declarant.
    for number in 0..1_000 {
        let declarant = if number % 2 == 0 { "NL810000003" } else { "nl810000003" };
        assert!(client.submit_batch(of("NL810000004", number)).await.is_ok());
        if let Err(status) = client.submit_batch(of(declarant, number)).await {
            refused = Some((number, status));
            break;
        }
    }
    // No machine does 1,000 batches, one after another, in as many fifths of a second.
    let (number, status) = refused.unwrap();
    assert!(number >= 5, "a second's worth may come at once");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let told = "NL810000003 may lodge 5 batches a second ([[limit]] batches_per_s)";
    assert!(status.message().contains(told), "{status}");
    let after = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(after > Duration::ZERO);
    tokio::time::sleep(after).await;
    assert!(client.submit_batch(of("NL810000003", number)).await.is_ok());
}

#[test]
fn a_limit_that_cannot_be_is_named() {
    for (limits, told) in [
        (format!("{LIMIT}{LIMIT}"), "limit.declarant is NL810000003: has two limits"),
        ("[[limit]]\ndeclarant = \"NL1\"".into(), "needs batches_per_s or bytes_per_s"),
        ("[[limit]]\ndeclarant = \"nl1\"\nbatches_per_s = 1".into(), "\"nl1\" is no EORI"),
        ("[[limit]]\ndeclarant = \"NL1\"\nbatches_per_s = 0".into(), "batches_per_s"),
        ("[[limit]]\ndeclarant = \"NL1\"\nbytes_per_s = 0".into(), "limit.bytes_per_s is 0"),
    ] {
        let (_outer, data) = folder();
        let settings = format!("{SETTINGS}\n{limits}\n");
        let log = Start { settings: &settings, ..Start::at(&data, CLOCK) }.try_run().err().unwrap();
        assert!(log.contains(told), "{told}:\n{log}");
    }
}
