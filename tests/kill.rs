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

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use common::{Start, folder, summaries};
use tokio_stream::StreamExt;
use waag::day::Day;
use waag::generate::{Generator, Options};
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{
    self, ActorRole, ActorSummary, Outcome, SubmitBatchRequest, SubmitBatchResponse, Verdict,
};

const KILLS: usize = 25;
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

/// Sends `batches` over one stream and gives what was answered before it broke.
async fn send(
    url: String,
    batches: Vec<(usize, SubmitBatchRequest)>,
) -> (Vec<(usize, SubmitBatchResponse)>, bool) {
    let numbers: Vec<usize> = batches.iter().map(|(number, _)| *number).collect();
    let requests = tokio_stream::iter(batches.into_iter().map(|(_, request)| request));
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
                Item::Answer(answer) => answers.push((number, answer)),
                Item::Refusal(refusal) => panic!("{refusal:?}"),
            },
            Some(Err(_)) | None => return (answers, false),
        }
    }
    (answers, true)
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

async fn all_summaries(server: &common::Server, watermark: u64) -> Vec<Vec<ActorSummary>> {
    let mut all = Vec::new();
    for role in [ActorRole::Declarant, ActorRole::Representative, ActorRole::IossHolder] {
        all.push(but_for_replays(summaries(server, role, watermark).await));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_a_stream() {
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
    let (_outer, data) = folder();
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

    let mut answered_at_all = HashSet::new();
    for kill in 0..KILLS {
        let server = Start::at(&data, CLOCK).run();
        // Some of what was answered, and from somewhere in the rest, all of it.
        let from = random(batches.len() as u64 / 2) as usize;
        let part: Vec<_> = batches.iter().cloned().enumerate().skip(from).collect();
        let delay = Duration::from_micros(random(250_000));
        let sending = send(server.url(), part);
        tokio::pin!(sending);
        let early = tokio::select! {
            result = &mut sending => Some(result),
            () = tokio::time::sleep(delay) => None,
        };
        server.kill();
        let (answers, _) = match early {
            Some(result) => result,
            None => sending.await,
        };
        println!("kill {kill}: {} of {} answered", answers.len(), batches.len() - from);
        answered_at_all.extend(answers.iter().map(|(number, _)| *number));
        note(&answers);
    }
    assert!(!answered_at_all.is_empty());

    // After all that, everything once more.
    let server = Start::at(&data, CLOCK).run();
    let everything: Vec<_> = batches.iter().cloned().enumerate().collect();
    let (answers, whole) = send(server.url(), everything).await;
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
    let server = Start::at(&data, CLOCK).run();
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
    let (_outer, data) = folder();
    let mut answered = 0;
    for _ in 0..20 {
        let server = Start::at(&data, CLOCK).run();
        // Unanswered batches may have been lodged; sending from the last answer on is enough.
        let part = batches[answered.min(batches.len() - 1)..].to_vec();
        let sending = send(server.url(), part);
        tokio::pin!(sending);
        let delay = Duration::from_micros(random(60_000));
        let early = tokio::select! {
            result = &mut sending => Some(result),
            () = tokio::time::sleep(delay) => None,
        };
        server.kill();
        let (answers, _) = match early {
            Some(result) => result,
            None => sending.await,
        };
        answered += answers.len();
    }
    let server = Start::at(&data, CLOCK).run();
    let (answers, whole) = send(server.url(), batches.clone()).await;
    assert!(whole);
    let watermark = answers.iter().map(|(_, answer)| answer.watermark).max().unwrap();
    let with_crashes = all_summaries(&server, watermark).await;
    assert_eq!(server.stop().await, 0);

    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let (without, whole) = send(server.url(), batches).await;
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
