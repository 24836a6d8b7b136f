#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
//! Tests of several stages together, in one process.

mod faulty;
mod preparing;
mod recover;
mod reload;
mod sealing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::answer::Framing;
use super::budget::Client;
use super::clock::Clock;
use super::engine::Engine;
use crate::config::{ByteSize, Config};
use crate::day::{Day, Moment};
use crate::generate::{Generator, Options};
use crate::ingest::options;
use crate::rules::Law;

/// Small bounds, so that an engine starts in little time and memory.
pub(crate) fn config(data_dir: &Path) -> Config {
    Config {
        data_dir: data_dir.to_owned(),
        memory_max: ByteSize(256 << 20),
        batch_bytes_max: ByteSize(1 << 20),
        segment_bytes: ByteSize(8 << 20),
        workers: 1,
        ..Config::default()
    }
}

fn local(config: &Config, text: &str) -> Moment {
    options::calendar(config).unwrap().parse(text).unwrap()
}

/// An engine whose clock starts at this local time.
pub(crate) fn start(config: &Config, clock: &str) -> Arc<Engine> {
    let clock = Clock::starting_at(local(config, clock));
    Engine::start(config, Law::load(None).unwrap(), clock).unwrap().0
}

/// Lodges some batches that are good on `day`.
pub(crate) async fn lodge(engine: &Engine, day: &str) {
    let options =
        Options { lines: 300, batch: 50, seed: 5, ..Options::on(Day::parse(day).unwrap()) };
    for generated in Generator::new(&options).unwrap() {
        let message = prost::Message::encode_to_vec(&generated.request);
        let share = engine.budget().connection(Client::NOWHERE).take(message.len()).await.unwrap();
        let turn = engine.turn(&message, share).await.unwrap();
        engine.submit(message.into(), turn, Framing::Unary, None).await.unwrap();
    }
}

/// The built-in law with `lines` empty lines more: each number of them is a law of its own.
pub(super) fn law(lines: usize) -> Law {
    let law = Law::load(None).unwrap();
    let mut files: BTreeMap<String, Vec<u8>> =
        law.files().iter().map(|(name, bytes)| (name.clone(), bytes.to_vec())).collect();
    files.get_mut("stop_words.csv").unwrap().extend(vec![b'\n'; lines]);
    Law::from_files(files).unwrap()
}
