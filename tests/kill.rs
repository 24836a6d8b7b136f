//! `kill -9` in the middle of a stream, again and again: what was answered stays answered, each
//! declaration is accepted once, and the summaries are those of a run without a crash.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{SETTINGS, Server, Start, folder, summaries};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use waag::day::Day;
use waag::generate::{Generator, Options};
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{
    self, ActorRole, ActorSummary, Outcome, SubmitBatchRequest, SubmitBatchResponse, Verdict,
};

/// So many kills at least, and so many of them in the middle of a stream: with some batches answered
/// and some not.
const KILLS: usize = 25;
const IN_THE_MIDDLE: usize = 20;
/// Where it takes more than this, the test does not do what it is for.
const KILLS_MAX: usize = 200;

/// `WAAG_KILLS` as many of each, where that is set.
fn times(count: usize) -> usize {
    count * std::env::var("WAAG_KILLS").map_or(1, |times| times.parse().unwrap())
}
const CLOCK: &str = "2026-11-05T08:00";

fn batches() -> Vec<SubmitBatchRequest> {
    let options = Options {
        lines: 24_000,
        actors: 6,
        seed: 7,
        replays: 0.02,
        conflicts: 0.02,
        invalid: 0.06,
        batch: 100,
        ..Options::on(Day::parse("2026-11-05").unwrap())
    };
    Generator::new(&options).unwrap().map(|generated| generated.request).collect()
}

/// How far a stream has come.
#[derive(Default)]
struct Progress {
    sent: AtomicUsize,
    answered: watch::Sender<usize>,
}

/// Sends `batches` over one stream and gives what was answered before it broke, and whether all was.
async fn send(
    url: String,
    batches: Vec<(usize, SubmitBatchRequest)>,
    progress: Arc<Progress>,
) -> (Vec<(usize, SubmitBatchResponse)>, bool) {
    let numbers: Vec<usize> = batches.iter().map(|(number, _)| *number).collect();
    let sending = Arc::clone(&progress);
    let requests = tokio_stream::iter(batches.into_iter().map(move |(_, request)| {
        sending.sent.fetch_add(1, Ordering::Relaxed);
        request
    }));
    let mut answers = Vec::new();
    let Ok(channel) = tonic::transport::Channel::from_shared(url).unwrap().connect().await else {
        return (answers, false);
    };
    let mut client = v1::lodgement_client::LodgementClient::new(channel);
    let Ok(stream) = client.submit_batches(requests).await else { return (answers, false) };
    let mut stream = stream.into_inner();
    for number in numbers {
        match stream.next().await {
            Some(Ok(item)) => match item.result.unwrap() {
                Item::Answer(answer) => {
                    answers.push((number, answer));
                    progress.answered.send_replace(answers.len());
                }
                // A table is being written; of what was refused nothing was stored.
                Item::Refusal(refusal) => assert_eq!(refusal.code, 8, "{refusal:?}"),
            },
            Some(Err(_)) | None => return (answers, false),
        }
    }
    (answers, true)
}

/// Sends `batches` over one stream and kills the server: after `delay`, once so many are `answered`.
/// What was answered before the stream broke, and whether that was in its middle.
async fn send_and_kill(
    server: Server,
    batches: Vec<(usize, SubmitBatchRequest)>,
    answered: usize,
    delay: Duration,
) -> (Vec<(usize, SubmitBatchResponse)>, bool) {
    let progress = Arc::new(Progress::default());
    let mut answered_so_far = progress.answered.subscribe();
    let sending = send(server.url(), batches, Arc::clone(&progress));
    tokio::pin!(sending);
    let early = tokio::select! {
        result = &mut sending => Some(result),
        () = async {
            answered_so_far.wait_for(|so_far| *so_far >= answered).await.unwrap();
            tokio::time::sleep(delay).await;
        } => None,
    };
    let sent = progress.sent.load(Ordering::Relaxed);
    server.kill();
    let (answers, is_whole) = match early {
        Some(result) => result,
        None => sending.await,
    };
    println!("killed with {sent} sent and {} answered", answers.len());
    let is_in_the_middle = !is_whole && !answers.is_empty() && answers.len() < sent;
    (answers, is_in_the_middle)
}

/// The answer that a declaration first got: that of its verdict, or what its replay tells.
fn first_answer(verdict: &Verdict) -> Verdict {
    match verdict.outcome() {
        Outcome::Replayed => {
            Verdict { outcome: verdict.replay_of, replay_of: 0, ..verdict.clone() }
        }
        _ => verdict.clone(),
    }
}

/// Summaries without what a re-send may change: replays, and what counts them.
fn but_for_replays(summaries: Vec<ActorSummary>) -> Vec<ActorSummary> {
    summaries
        .into_iter()
        .map(|mut summary| {
            summary.replayed = 0;
            summary.indicators.retain(|i| i.name != "replay_rate" && i.name != "conflict_rate");
            summary
        })
        .collect()
}

async fn all_summaries(server: &Server, watermark: u64) -> Vec<Vec<ActorSummary>> {
    let mut all = Vec::new();
    for role in [ActorRole::Declarant, ActorRole::Representative, ActorRole::IossHolder] {
        all.push(but_for_replays(summaries(server, role, watermark).await));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_a_stream() {
    let (_outer, data) = folder();
    killed(&data, SETTINGS, None).await;
}

/// The same with tables that are full every few batches, so that kills meet them on their way to disk,
/// and what is sent again is cold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_tables_go_to_disk() {
    let (_outer, data) = folder();
    let settings = SETTINGS.replace("256MiB", "220MiB") + "batch_declarations_max = 4000\n";
    killed(&data, &(settings + "answer_bytes_max = \"1MiB\"\n"), Some(12)).await;
    let runs = std::fs::read_dir(data.join("runs")).unwrap().count();
    assert!(runs >= 1, "{runs}");
}

/// A batch that takes an eighth of a small table, and that no other has.
fn filling(number: usize) -> SubmitBatchRequest {
    let bare = |n| v1::Declaration { lrn: format!("F{number}-{n}"), ..v1::Declaration::default() };
    SubmitBatchRequest {
        declarant: "NL810000003".into(),
        declarations: (0..4_000).map(bare).collect(),
        ..SubmitBatchRequest::default()
    }
}

/// Numbers of batches that only fill tables.
const FILLING: usize = 1_000_000;

async fn killed(data: &Path, settings: &str, filling_after: Option<usize>) {
    let seed = std::env::var("WAAG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("WAAG_SEED={seed}");
    let mut state = seed | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let batches = batches();
    let start = || Start { settings, ..Start::at(data, CLOCK) }.run();
    let mut filled = FILLING;
    // The first answer to each declaration of each batch, as some client saw it.
    let mut seen: HashMap<(usize, usize), Verdict> = HashMap::new();
    let mut note = |answers: &[(usize, SubmitBatchResponse)]| {
        for (number, answer) in answers {
            for (index, verdict) in answer.verdicts.iter().enumerate() {
                let first = first_answer(verdict);
                let known = seen.entry((*number, index)).or_insert_with(|| first.clone());
                assert_eq!(*known, first, "batch {number}, declaration {index}");
            }
        }
    };

    let (mut kills, mut in_the_middle) = (0, 0);
    while kills < times(KILLS) || in_the_middle < times(IN_THE_MIDDLE) {
        assert!(kills < times(KILLS_MAX), "{in_the_middle} of {kills} kills were in the middle");
        let server = start();
        // Some of what was answered, and from somewhere in the rest, all of it.
        let from = random(batches.len() as u64 / 2) as usize;
        let mut part = Vec::new();
        for (place, batch) in batches.iter().cloned().enumerate().skip(from) {
            part.push((place, batch));
            if filling_after.is_some_and(|after| part.len() % (after + 1) == after) {
                part.push((filled, filling(filled)));
                filled += 1;
            }
        }
        let (answered, delay) = (random(60) as usize, Duration::from_micros(random(20_000)));
        let (answers, is_in_the_middle) = send_and_kill(server, part, answered, delay).await;
        kills += 1;
        in_the_middle += usize::from(is_in_the_middle);
        note(&answers);
    }

    println!("{kills} kills, {in_the_middle} of them in the middle of a stream");

    // After all that, everything once more.
    let server = start();
    let everything: Vec<_> = batches.iter().cloned().enumerate().collect();
    let (answers, whole) = send(server.url(), everything, Arc::default()).await;
    assert!(whole, "{}", server.log());
    note(&answers);
    let watermark = answers.iter().map(|(_, answer)| answer.watermark).max().unwrap();
    let after_crashes = all_summaries(&server, watermark).await;

    // Each MRN belongs to one (declarant, LRN), and each accepted key has one MRN.
    let mut by_mrn: HashMap<&str, (&str, &str)> = HashMap::new();
    let mut by_key: HashMap<(&str, &str), &str> = HashMap::new();
    for ((number, index), verdict) in &seen {
        if verdict.outcome() != Outcome::Accepted {
            continue;
        }
        let request = &batches[*number];
        let key = (request.declarant.as_str(), request.declarations[*index].lrn.trim());
        assert_eq!(*by_mrn.entry(&verdict.mrn).or_insert(key), key);
        assert_eq!(*by_key.entry(key).or_insert(&verdict.mrn), &verdict.mrn);
    }
    assert_eq!(server.stop().await, 0);

    // A run without a crash, in the same order as the records of the first one were placed, is one
    // in any order here but for what depends on order: corrections and conflicts. So replay the
    // journal itself: rebuild must give the same.
    let output = common::waag_ok(&["rebuild", "--data-dir", data.to_str().unwrap()]);
    println!("{output}");
    let server = start();
    assert_eq!(all_summaries(&server, watermark).await, after_crashes);
    assert_eq!(server.stop().await, 0);
    common::waag_ok(&["verify", "--data-dir", data.to_str().unwrap()]);
}

/// Killed, but always sent from the start, so that the journal's order is that of the batches: then
/// a run without a crash must come to the very same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_runs_come_to_what_a_run_without_a_crash_comes_to() {
    let seed: u64 = std::env::var("WAAG_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(11);
    println!("WAAG_SEED={seed}");
    let mut state = seed | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let batches: Vec<_> = batches().into_iter().enumerate().collect();
    // Several workers may place batches that are under way together in another order.
    let settings = SETTINGS.replace("workers = 2", "workers = 1");
    let start = |data: &Path| Start { settings: &settings, ..Start::at(data, CLOCK) }.run();
    let (_outer, data) = folder();
    let (mut answered, mut kills, mut in_the_middle) = (0, 0, 0);
    while in_the_middle < times(IN_THE_MIDDLE) {
        assert!(kills < times(KILLS_MAX), "{in_the_middle} of {kills} kills were in the middle");
        let server = start(&data);
        // Unanswered batches may have been lodged; sending from the last answer on is enough. With
        // few left, all of it again.
        if batches.len() - answered < 40 {
            answered = 0;
        }
        let part = batches[answered..].to_vec();
        let (after, delay) = (random(4) as usize, Duration::from_micros(random(2_000)));
        let (answers, is_in_the_middle) = send_and_kill(server, part, after, delay).await;
        kills += 1;
        in_the_middle += usize::from(is_in_the_middle);
        answered += answers.len();
    }
    println!("{kills} kills, {in_the_middle} of them in the middle of a stream");
    let server = start(&data);
    let (answers, whole) = send(server.url(), batches.clone(), Arc::default()).await;
    assert!(whole);
    let watermark = answers.iter().map(|(_, answer)| answer.watermark).max().unwrap();
    let with_crashes = all_summaries(&server, watermark).await;
    assert_eq!(server.stop().await, 0);

    let (_outer, data) = folder();
    let server = start(&data);
    let (without, whole) = send(server.url(), batches, Arc::default()).await;
    assert!(whole);
    let watermark = without.iter().map(|(_, answer)| answer.watermark).max().unwrap();
    assert_eq!(with_crashes, all_summaries(&server, watermark).await);
    for ((_, with), (_, without)) in answers.iter().zip(&without) {
        for (with, without) in with.verdicts.iter().zip(&without.verdicts) {
            // MRNs hang on the data folder's keys; everything else is the same.
            let strip = |verdict: &Verdict| Verdict { mrn: String::new(), ..first_answer(verdict) };
            assert_eq!(strip(with), strip(without));
        }
    }
    assert_eq!(server.stop().await, 0);
}
