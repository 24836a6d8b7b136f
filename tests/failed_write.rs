//! A server that cannot write its journal answers nobody, says so, and ends with a failure; one that cannot write its
//! audit log lets nobody read. No file may be written past a limit here, which takes no rights to set.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{CLOCK, SETTINGS, Start, batch, declaration, folder};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_types::StatusExt;
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{self, Outcome, SubmitBatchRequest};

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

/// Limits on the size of files, in blocks of 512 bytes: from none at all to past what a start writes.
fn limits() -> impl Iterator<Item = u64> {
    std::iter::once(0).chain((0..=8).map(|power| 1 << (2 * power)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_cannot_write_names_the_file_and_the_next_one_goes_on() {
    let (mut failed, mut told) = (0, std::collections::BTreeSet::new());
    for blocks in limits() {
        let (_outer, data) = folder();
        let before = format!("trap '' XFSZ; ulimit -f {blocks}");
        match (Start { before: Some(&before), ..Start::at(&data, CLOCK) }).try_run() {
            Err(log) => {
                failed += 1;
                let error = log.lines().last().unwrap_or_default();
                let (_, place) = error.split_once(data.to_str().unwrap()).unwrap_or_else(|| {
                    panic!("{blocks} blocks: no file of the data folder is named:\n{log}")
                });
                told.insert(place.split(['/', ':']).nth(1).unwrap_or_default().to_owned());
            }
            Ok(server) => drop(server),
        }
        let server = Start::at(&data, CLOCK).run();
        let answer = common::lodge(&server, lodged(1)).await;
        assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted, "{blocks} blocks");
        assert_eq!(server.stop().await, 0);
        common::waag_ok(&["verify", "--data-dir", data.to_str().unwrap()]);
    }
    // By their folders.
    for store in ["secrets", "journal"] {
        assert!(told.contains(store), "{store} of {told:?}");
    }
    assert!(failed > 4, "{failed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_cannot_be_written_is_told_and_a_start_makes_it_again() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    for number in 0..5 {
        common::lodge(&server, lodged(number)).await;
    }
    let before = common::summary(&server, "NL810000003", 5).await;
    assert_eq!(server.stop().await, 0);
    let mut failed = 0;
    for blocks in limits() {
        let copy = outer.path().join(format!("copy-{blocks}"));
        common::copy(&data, &copy);
        let rebuilt = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""))
            .args([common::WAAG, "rebuild", "--memory-max", "256MiB", "--data-dir"])
            .arg(&copy)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&rebuilt.stderr);
        if !rebuilt.status.success() {
            failed += 1;
            assert_eq!(rebuilt.status.code(), Some(1), "{blocks} blocks: {log}");
            assert!(log.contains("ERROR") && log.contains("catalog"), "{blocks} blocks: {log}");
        }
        // Whatever became of it, journal and summaries are what they were.
        let server = Start::at(&copy, CLOCK).run();
        assert_eq!(common::summary(&server, "NL810000003", 5).await, before, "{blocks} blocks");
        assert_eq!(server.stop().await, 0);
        common::waag_ok(&["verify", "--data-dir", copy.to_str().unwrap()]);
    }
    assert!(failed > 0);
}

const CLIENTS: &str = r#"
[[client]]
name = "desk"
roles = ["analyst"]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_recorded_is_not_read_and_reading_goes_on_once_there_is_room() {
    let (outer, data) = folder();
    let clients = outer.path().join("clients.toml");
    std::fs::write(&clients, CLIENTS).unwrap();
    let settings = format!("{SETTINGS}clients = {clients:?}\n");
    let config = data.with_extension("toml");
    std::fs::write(&config, &settings).unwrap();
    let folder = data.to_str().unwrap();
    let add = ["token", "add", "desk", "--config", config.to_str().unwrap(), "--data-dir", folder];
    let token = common::waag_ok(&add).trim().to_owned();
    let before = Some("trap '' XFSZ");
    let server = Start { settings: &settings, before, ..Start::at(&data, CLOCK) }.run();
    let mut client = server.compliance().await;
    let read = || {
        let role = v1::ActorRole::Declarant.into();
        let mut request = tonic::Request::new(v1::ListActorSummariesRequest {
            role,
            ..v1::ListActorSummariesRequest::default()
        });
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    };
    client.list_actor_summaries(read()).await.unwrap();
    let audit = ["audit", "--data-dir", folder, "--who", "desk"];
    let recorded = common::waag_ok(&audit).lines().count();
    assert!(recorded >= 1);
    let months = std::fs::read_dir(data.join("audit")).unwrap();
    let length = months.map(|month| month.unwrap().metadata().unwrap().len()).max().unwrap();

    // From none of a line to nearly all of one.
    for room in [0, 1, 100, 200] {
        server.limit_files_for_now(length + room);
        for _ in 0..2 {
            let status = client.list_actor_summaries(read()).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert!(status.message().contains("the audit log cannot be written"), "{status:?}");
            assert!(status.get_details_retry_info().is_some(), "{status:?}");
        }
        assert_eq!(common::waag_ok(&audit).lines().count(), recorded, "{room} bytes of room");
    }
    server.wait_for_log(".jsonl");
    server.lift_limit();
    client.list_actor_summaries(read()).await.unwrap();
    assert_eq!(common::waag_ok(&audit).lines().count(), recorded + 1);
    assert_eq!(server.stop().await, 0);
    common::waag_ok(&["verify", "--data-dir", folder]);
}
