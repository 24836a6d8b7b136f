//! `waag spool` between real clients and a real service: whatever is killed on the way, each batch with a
//! receipt ends with one set of verdicts, those of direct lodging.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]
#![allow(missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{HANGS_AFTER, Start, WAAG, batch, declaration, folder, one_of_each, waag, with_value};
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;
use waag::proto::v1::lodgement_client::LodgementClient;
use waag::proto::v1::spool_client::SpoolClient;
use waag::proto::v1::{
    self, GetReconciliationRequest, GetStatusRequest, Outcome, PullVerdictsRequest, Receipt,
    StreamVerdictsRequest, SubmitBatchRequest, Verdict, VerdictSet, verdict_set,
};

/// The service's clock is started anew with it, later each time, as clocks are.
const MORNING: &str = "2026-11-05T08:00";
const NOON: &str = "2026-11-05T12:00";
const EVENING: &str = "2026-11-05T18:00";

/// A spool that runs; killed when it goes out of scope.
struct Spool {
    child: Child,
    address: String,
}

impl Spool {
    fn start(dir: &Path, to: &str, clock: &str, more: &[&str]) -> Self {
        let mut child = Command::new(WAAG)
            .args(["spool", "--listen", "127.0.0.1:0", "--disk-max", "256MiB"])
            .args(["--disk-reserve", "1MiB", "--to", to, "--clock", clock])
            .args(more)
            .arg("--folder")
            .arg(dir)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the spool did not start:\n{log}") };
            if let Some((_, rest)) = line.split_once("listening address=") {
                break rest.split(' ').next().unwrap().to_owned();
            }
            log.push_str(&line);
            log.push('\n');
        };
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| eprintln!("{line}"))
        });
        Self { child, address }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn channel(&self) -> Channel {
        Channel::from_shared(self.url()).unwrap().connect().await.unwrap()
    }

    async fn client(&self) -> SpoolClient<Channel> {
        SpoolClient::new(self.channel().await).max_decoding_message_size(16 << 20)
    }

    async fn lodge(&self, request: SubmitBatchRequest) -> Receipt {
        self.client().await.lodge(request).await.unwrap().into_inner()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit code.
    fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// All answers, once there are so many.
    async fn pull(&self, count: usize) -> Vec<VerdictSet> {
        let mut client = self.client().await;
        let mut sets: Vec<VerdictSet> = Vec::new();
        let until = Instant::now() + HANGS_AFTER;
        let mut position = 0;
        while sets.len() < count {
            assert!(Instant::now() < until, "{} of {count} answers", sets.len());
            let request = PullVerdictsRequest {
                after_position: position,
                wait_ms: 5_000,
                ..PullVerdictsRequest::default()
            };
            let pulled = client.pull_verdicts(request).await.unwrap().into_inner();
            position = pulled.position;
            sets.extend(pulled.sets);
        }
        sets
    }

    async fn reconciliation(&self) -> Vec<v1::SpoolReconciliation> {
        let request = GetReconciliationRequest::default();
        let response = self.client().await.get_reconciliation(request).await;
        response.unwrap().into_inner().reconciliations
    }

    async fn wait_reachable(&self, is_reachable: bool) {
        let until = Instant::now() + HANGS_AFTER;
        loop {
            let status = self.client().await.get_status(GetStatusRequest {}).await.unwrap();
            if status.into_inner().service_reachable == is_reachable {
                return;
            }
            assert!(Instant::now() < until, "reachable is not {is_reachable}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on which nobody listens yet.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn service_at<'a>(data: &'a Path, clock: &'a str, listen: &'a str) -> Start<'a> {
    Start { listen, ..Start::at(data, clock) }
}

fn spool_dir(outer: &tempfile::TempDir) -> PathBuf {
    outer.path().join("spool")
}

fn answer(set: &VerdictSet) -> &v1::SubmitBatchResponse {
    match set.result.as_ref().unwrap() {
        verdict_set::Result::Answer(answer) => answer,
        verdict_set::Result::Refusal(refusal) => panic!("refused: {refusal:?}"),
    }
}

/// The answer that a declaration first got.
fn first(verdict: &Verdict) -> Outcome {
    match verdict.outcome() {
        Outcome::Replayed => verdict.replay_of(),
        outcome => outcome,
    }
}

/// Some declarations: one in ten is rejected.
fn mixed(id: &str, count: usize) -> SubmitBatchRequest {
    let one = |number: usize| {
        let lrn = format!("{id}-{number}");
        if number % 10 == 9 { with_value(&lrn, 15_001) } else { declaration(&lrn) }
    };
    batch(id, (0..count).map(one).collect())
}

fn check_receipts(dir: &Path, receipts: &[Receipt]) -> i32 {
    let file = dir.with_extension("receipts.jsonl");
    let lines = receipts.iter().map(|receipt| serde_json::to_string(receipt).unwrap() + "\n");
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let key = waag(&["spool", "key", "--folder", dir.to_str().unwrap()]);
    let key = String::from_utf8(key.stdout).unwrap();
    let file = file.to_str().unwrap();
    waag(&["spool", "check-receipt", file, "--key", key.trim()]).status.code().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lodged_while_the_service_is_down_is_forwarded_with_a_fallback_and_answered() {
    let (outer, data) = folder();
    let dir = spool_dir(&outer);
    let address = free_address();
    let spool = Spool::start(&dir, &format!("http://{address}"), MORNING, &[]);
    let own = batch("own", one_of_each());
    let requests = [mixed("a", 30), mixed("b", 20), own];
    let mut receipts = Vec::new();
    for request in &requests {
        let receipt = spool.lodge(request.clone()).await;
        let hash = ring::digest::digest(&ring::digest::SHA256, &request.encode_to_vec());
        assert_eq!(receipt.batch_sha256, hash.as_ref());
        assert_eq!(spool.lodge(request.clone()).await, receipt, "the same bytes, the same receipt");
        receipts.push(receipt);
    }
    assert_eq!(receipts.iter().map(|receipt| receipt.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(check_receipts(&dir, &receipts), 0);
    let changed = Receipt { declarations: 31, ..receipts[0].clone() };
    assert_eq!(check_receipts(&dir, &[receipts[1].clone(), changed]), 3);

    let server = service_at(&data, NOON, &address).run();
    let sets = spool.pull(3).await;
    let mut client = server.lodgement().await;
    for ((set, request), receipt) in sets.iter().zip(&requests).zip(&receipts) {
        assert_eq!(set.receipt.as_ref(), Some(receipt));
        assert_eq!(set.forwarded_reference, receipt.fallback_reference);
        let direct = client.submit_batch(request.clone()).await.unwrap().into_inner();
        for (ours, theirs) in answer(set).verdicts.iter().zip(&direct.verdicts) {
            if first(ours) == Outcome::Accepted {
                assert_eq!((first(ours), &ours.mrn), (first(theirs), &theirs.mrn));
            }
        }
    }
    // Stored under the reference and the moment of the receipt, except for what had its own.
    for (lrn, reference, lodged_at_ms) in [
        ("a-3", receipts[0].fallback_reference.as_str(), receipts[0].received_at_ms),
        ("GOOD", receipts[2].fallback_reference.as_str(), receipts[2].received_at_ms),
        ("LATE", "NOOD-7", common::NOON - 30 * 3_600_000),
    ] {
        let key = v1::LocalReference { declarant: "NL810000003".into(), lrn: lrn.into() };
        let key = Some(v1::get_declaration_request::Key::LocalReference(key));
        let found = client.get_declaration(v1::GetDeclarationRequest { key }).await.unwrap();
        let fallback = found.into_inner().declaration.unwrap().fallback.unwrap();
        assert_eq!((fallback.reference.as_str(), fallback.lodged_at_ms), (reference, lodged_at_ms));
    }
    let rows = spool.reconciliation().await;
    let under = rows.iter().find(|row| row.reference == receipts[0].fallback_reference).unwrap();
    assert_eq!((under.received, under.forwarded, under.refused), (55, 55, 0));
    assert_eq!(under.accepted + under.rejected, 55);
    assert_eq!(rows.iter().map(|row| row.received).sum::<u64>(), 57);

    // Now the service is there: batches travel as they came.
    let receipt = spool.lodge(mixed("c", 10)).await;
    let set = spool.pull(4).await.pop().unwrap();
    assert_eq!(set.receipt.unwrap(), receipt);
    assert_eq!(set.forwarded_reference, "");
    assert_eq!(spool.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_receipt_ends_with_one_answer_whatever_is_killed() {
    const BATCHES: usize = 120;
    let (outer, data) = folder();
    let dir = spool_dir(&outer);
    let address = free_address();
    let to = format!("http://{address}");
    let mut server = service_at(&data, MORNING, &address).run();
    let mut spool = Spool::start(&dir, &to, MORNING, &[]);
    spool.wait_reachable(true).await;
    let mut receipts: BTreeMap<u64, SubmitBatchRequest> = BTreeMap::new();
    for number in 0..BATCHES {
        match number {
            30 => {
                server.kill();
                server = service_at(&data, NOON, &free_address()).run();
            }
            60 => {
                spool.kill();
                spool = Spool::start(&dir, &to, NOON, &[]);
            }
            90 => {
                server.kill();
                server = service_at(&data, EVENING, &address).run();
            }
            _ => {}
        }
        let request = mixed(&format!("k{number}"), 20);
        let receipt = spool.lodge(request.clone()).await;
        assert_eq!(receipts.insert(receipt.number, request), None, "a number is given once");
    }
    spool.kill();
    let spool = Spool::start(&dir, &to, EVENING, &[]);
    let sets = spool.pull(BATCHES).await;
    assert_eq!(sets.len(), BATCHES);
    let mut client = server.lodgement().await;
    let mut mrns = BTreeSet::new();
    for set in &sets {
        let receipt = set.receipt.as_ref().unwrap();
        let request = receipts.remove(&receipt.number).unwrap();
        let ours = &answer(set).verdicts;
        let direct = client.submit_batch(request.clone()).await.unwrap().into_inner();
        assert_eq!(ours.len(), request.declarations.len());
        for (number, (ours, theirs)) in ours.iter().zip(&direct.verdicts).enumerate() {
            let expected = if number % 10 == 9 { Outcome::Rejected } else { Outcome::Accepted };
            assert_eq!((first(ours), first(theirs)), (expected, expected));
            assert_eq!(ours.mrn, theirs.mrn);
            assert!(ours.mrn.is_empty() || mrns.insert(ours.mrn.clone()));
        }
    }
    assert!(receipts.is_empty());
    assert_eq!(mrns.len(), BATCHES * 18);
    assert!(sets.iter().any(|set| !set.forwarded_reference.is_empty()));
    assert!(sets.iter().any(|set| set.forwarded_reference.is_empty()));
    // The same from any position on, over a stream.
    let after_position = sets[BATCHES - 3].position;
    let request = StreamVerdictsRequest { after_position, ..StreamVerdictsRequest::default() };
    let mut stream = spool.client().await.stream_verdicts(request).await.unwrap().into_inner();
    for set in &sets[BATCHES - 2..] {
        assert_eq!(stream.message().await.unwrap().as_ref(), Some(set));
    }
    let rows = spool.reconciliation().await;
    let all = (BATCHES * 20) as u64;
    assert_eq!(rows.iter().map(|row| row.received).sum::<u64>(), all);
    assert_eq!(rows.iter().map(|row| row.forwarded).sum::<u64>(), all);
    assert_eq!(rows.iter().map(|row| row.accepted).sum::<u64>(), all / 10 * 9);
    assert_eq!(rows.iter().map(|row| row.rejected).sum::<u64>(), all / 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_no_spool_is_told_to_come_back_and_gets_its_verdicts() {
    let (outer, data) = folder();
    let dir = spool_dir(&outer);
    let address = free_address();
    let spool = Spool::start(&dir, &format!("http://{address}"), MORNING, &[]);
    let mut client = LodgementClient::new(spool.channel().await);
    let request = mixed("u", 20);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let status = client.submit_batch(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
        let receipt = status.metadata().get_bin("waag-receipt-bin").unwrap().to_bytes().unwrap();
        kept.push(Receipt::decode(receipt).unwrap());
    }
    assert_eq!(kept[0], kept[1], "it is stored once");
    assert_eq!(check_receipts(&dir, &kept), 0);
    let _server = service_at(&data, NOON, &address).run();
    spool.pull(1).await;
    let found = client.submit_batch(request.clone()).await.unwrap().into_inner();
    assert_eq!(found.verdicts.len(), 20);
    spool.wait_reachable(true).await;
    // With the service there, its answer comes within the call; a refused batch takes no other along.
    let answered = client.submit_batch(mixed("v", 20)).await.unwrap().into_inner();
    assert_eq!(answered.totals.unwrap().accepted, 18);
    let refused = SubmitBatchRequest { declarant: "??".into(), ..mixed("w", 2) };
    let status = client.submit_batch(refused.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let stream = tokio_stream::iter([refused, mixed("x", 10), mixed("y", 10)]);
    let mut answers = client.submit_batches(stream).await.unwrap().into_inner();
    let mut seen = Vec::new();
    while let Some(item) = answers.message().await.unwrap() {
        seen.push(match item.result.unwrap() {
            v1::submit_batches_response::Result::Answer(answer) => answer.batch_id,
            v1::submit_batches_response::Result::Refusal(refusal) => {
                format!("{} {}", refusal.batch_id, refusal.code)
            }
        });
    }
    assert_eq!(seen, ["w 3", "x", "y"]);
    let rows = spool.reconciliation().await;
    assert_eq!(rows.iter().map(|row| row.refused).sum::<u64>(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_refuses_with_the_time_to_come_back_and_loses_nothing() {
    let (outer, data) = folder();
    let dir = spool_dir(&outer);
    let address = free_address();
    let spool = Spool::start(&dir, &format!("http://{address}"), MORNING, &[]);
    let mut client = spool.client().await;
    // Few declarations and many bytes, of which the service has little use.
    let large = |number: usize| {
        let mut large = declaration(&format!("L-{number}"));
        large.goods_items[0].description = "x".repeat(900 << 10);
        batch(&format!("l{number}"), vec![large])
    };
    let mut taken = 0;
    let status = loop {
        match client.lodge(large(taken)).await {
            Ok(receipt) => assert_eq!(receipt.into_inner().number, taken as u64 + 1),
            Err(status) => break status,
        }
        taken += 1;
        assert!(taken < 400, "it takes more than it has room for");
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("--disk-max"), "{status:?}");
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    assert!(taken > 50, "{taken}");
    let _server = service_at(&data, NOON, &address).run();
    let sets = spool.pull(taken).await;
    assert!(
        sets.iter().zip(1..).all(|(set, number)| set.receipt.as_ref().unwrap().number == number)
    );
    client.lodge(large(taken)).await.unwrap_err();
    let request = PullVerdictsRequest {
        after_position: sets[taken - 1].position,
        acknowledged_position: sets[taken - 1].position,
        ..PullVerdictsRequest::default()
    };
    client.pull_verdicts(request).await.unwrap();
    let until = Instant::now() + HANGS_AFTER;
    while client.lodge(large(taken)).await.is_err() {
        assert!(Instant::now() < until, "what was acknowledged does not go");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let gone = PullVerdictsRequest { receipt: 1, ..PullVerdictsRequest::default() };
    assert_eq!(client.pull_verdicts(gone).await.unwrap_err().code(), Code::NotFound);
    let rows = spool.reconciliation().await;
    assert_eq!(rows.iter().map(|row| row.received).sum::<u64>(), taken as u64 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_spool_and_service_are_the_same() {
    let (outer, data) = folder();
    let dir = spool_dir(&outer);
    let address = free_address();
    let to = format!("http://{address}");
    let spool = Spool::start(&dir, &to, MORNING, &[]);
    spool.lodge(mixed("r", 40)).await;
    // The same declarations in another message, and one of them with other content. Those that are rejected
    // are judged anew, since the moment of their first lodging is another.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut again = mixed("r", 30);
    again.batch_id = "again".into();
    // Written otherwise it is the same declarant, for the spool too.
    again.declarant = " nl810000003 ".into();
    again.declarations[0] = with_value("r-0", 1_234);
    spool.lodge(again).await;
    spool.lodge(SubmitBatchRequest { declarant: "??".into(), ..mixed("s", 2) }).await;
    let folder_arg = dir.to_str().unwrap().to_owned();
    let reconcile = |where_: [&str; 2]| {
        waag(&["spool", "reconcile", where_[0], where_[1], "--to", &to, "--json"])
    };
    let unreachable = reconcile(["--at", &spool.url()]);
    assert_eq!(unreachable.status.code(), Some(1));
    let server = service_at(&data, NOON, &address).run();
    spool.pull(3).await;
    let row = spool.reconciliation().await.into_iter().find(|row| row.received == 70).unwrap();
    let outcomes = (row.accepted, row.rejected, row.replayed, row.conflicts);
    assert_eq!((outcomes, row.forwarded, row.refused), ((36, 7, 26, 1), 70, 0));
    check_reconciled(&reconcile(["--at", &spool.url()]));
    assert_eq!(spool.stop(), Some(0));
    check_reconciled(&reconcile(["--folder", &folder_arg]));
    // What arrived without the spool is a difference.
    let mut stray = mixed("stray", 1);
    let reference = row.reference.clone();
    let lodged_at_ms = common::NOON - 1_000;
    stray.declarations[0].fallback = Some(v1::FallbackLodgement { reference, lodged_at_ms });
    common::lodge(&server, stray).await;
    assert_eq!(reconcile(["--folder", &folder_arg]).status.code(), Some(3));
}

fn check_reconciled(output: &std::process::Output) {
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["reconciled"], true, "{told}");
    let row = told["references"].as_array().unwrap();
    let row = row.iter().find(|row| row["spool"]["received"] == "70").unwrap();
    assert_eq!(row["service"]["replayed"], "26", "{told}");
}
