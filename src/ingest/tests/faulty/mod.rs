//! Tests of the whole engine, without gRPC: on disks that fail, and at its bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bounds;
mod disk;
mod faults;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use crate::config::{ByteSize, Config};
use crate::day::{Calendar, Day};
use crate::disk::{Disk, LocalDisk};
use crate::generate::{Generator, Options};
use crate::ingest::answer::Framing;
use crate::ingest::budget::Client;
use crate::ingest::clock::Clock;
use crate::ingest::engine::{Engine, Started, folders};
use crate::ingest::refusal::{Refusal, RefusalKind};
use crate::proto::v1::{Declaration, Outcome, SubmitBatchRequest, SubmitBatchResponse};
use crate::rules::Law;
use disk::{Fault, FaultyDisk};

/// Past this, what is waited for will not come: no test takes nearly as long.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// The smallest engine there may be: each of its tables has room for some 33,000 declarations.
fn config(data: &Path) -> Config {
    Config {
        data_dir: data.to_owned(),
        memory_max: ByteSize(217 << 20),
        batch_bytes_max: ByteSize(1 << 20),
        batch_declarations_max: 4_000,
        answer_bytes_max: ByteSize(1 << 20),
        segment_bytes: ByteSize(8 << 20),
        workers: 2,
        checkpoint_interval_ms: 50,
        ..Config::default()
    }
}

fn start(disk: Arc<dyn Disk>, config: &Config) -> Arc<Engine> {
    start_told(disk, config).0
}

/// With what the start found.
fn start_told(disk: Arc<dyn Disk>, config: &Config) -> (Arc<Engine>, Started) {
    let morning = Calendar::new(&config.time_zone).unwrap().parse("2026-11-05T08:00").unwrap();
    let law = Law::load(None).unwrap();
    Engine::start_on(disk, config, law, Clock::starting_at(morning)).unwrap()
}

/// Stops `engine` and starts another one in its place, on a disk that does not fail.
fn restart(engine: Arc<Engine>, config: &Config) -> Arc<Engine> {
    engine.stop();
    drop(Arc::into_inner(engine).expect("nobody else has it, so that it lets go of the folder"));
    start(Arc::new(LocalDisk::new()), config)
}

/// Batches with some of everything in them.
fn batches(lines: u64, batch: u32) -> Vec<SubmitBatchRequest> {
    let options = Options {
        lines,
        actors: 4,
        replays: 0.05,
        conflicts: 0.05,
        invalid: 0.1,
        batch,
        ..Options::on(Day::parse("2026-11-05").unwrap())
    };
    Generator::new(&options).unwrap().map(|generated| generated.request).collect()
}

async fn lodge(
    engine: &Engine,
    batch: &SubmitBatchRequest,
) -> Result<SubmitBatchResponse, Refusal> {
    let message = Bytes::from(batch.encode_to_vec());
    let share = engine.budget().connection(Client::NOWHERE).take(message.len()).await?;
    let turn = engine.turn(&message, share).await?;
    let answer = engine.submit(message, turn, Framing::Unary, None);
    let answer = tokio::time::timeout(HANGS_AFTER, answer).await;
    let answer = answer.expect("the batch gets neither answer nor refusal")?;
    Ok(SubmitBatchResponse::decode(answer.bytes).unwrap())
}

/// Lodges `batch` again, which must be answered as it `first` was.
async fn assert_replayed(engine: &Engine, batch: &SubmitBatchRequest, first: &SubmitBatchResponse) {
    let again = match lodge(engine, batch).await {
        Ok(again) => again,
        Err(refusal) => {
            let why = tokio::time::timeout(Duration::from_secs(1), engine.broken()).await;
            panic!("{refusal}: {why:?}");
        }
    };
    assert_eq!(again.verdicts.len(), batch.declarations.len());
    for (again, first) in again.verdicts.iter().zip(&first.verdicts) {
        let mut expected = first.clone();
        if first.outcome() != Outcome::Replayed {
            expected.set_replay_of(first.outcome());
            expected.set_outcome(Outcome::Replayed);
        }
        assert_eq!(*again, expected);
    }
}

#[test]
fn every_folder_of_the_data_folder_is_named_through_the_disk_at_each_start() {
    let outer = tempfile::tempdir().unwrap();
    let config = config(&outer.path().join("deep/data"));
    for _ in 0..2 {
        let disk = Arc::new(FaultyDisk::new());
        start(disk.clone(), &config).stop();
        for name in folders::MADE_AT_START {
            assert!(disk.dirs().contains(&config.data_dir.join(name)), "{name}");
        }
    }
}
