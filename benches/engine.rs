//! The whole but the network, end to end: batches admitted, read, judged, claimed, written to the
//! disk, answered and folded by the engine's own threads, from several callers at once.
//!
//! Writes under `target/` and removes it; the device is part of what is measured. Throughput is in
//! lines (goods items).
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use waag::config::{ByteSize, Config};
use waag::day::Day;
use waag::generate::{Generator, Options};
use waag::ingest::answer::Framing;
use waag::ingest::budget::Client;
use waag::ingest::clock::Clock;
use waag::ingest::engine::Engine;
use waag::ingest::options::calendar;
use waag::rules::Law;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Callers at once, each with a connection's budget and some batches under way.
const CALLERS: usize = 4;
const UNDER_WAY: usize = 8;

fn main() {
    divan::main();
}

/// A data folder that goes when this does, and the engine over it.
struct Started {
    runtime: tokio::runtime::Runtime,
    engine: Arc<Engine>,
    _folder: tempfile::TempDir,
}

fn start() -> Started {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let config = Config {
        data_dir: folder.path().join("data"),
        memory_max: ByteSize(1 << 30),
        ..Config::default()
    };
    let noon = calendar(&config).unwrap().parse("2026-11-05T12:00").unwrap();
    let law = Law::load(None).unwrap();
    let (engine, _) = Engine::start(&config, law, Clock::starting_at(noon)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    Started { runtime, engine, _folder: folder }
}

/// Lodges every `CALLERS`-th message, from `first` on.
async fn lodge(engine: Arc<Engine>, messages: Arc<Vec<Bytes>>, first: usize) {
    let budget = engine.budget().connection(Client::NOWHERE);
    let mut under_way = std::collections::VecDeque::new();
    for message in messages.iter().skip(first).step_by(CALLERS) {
        if under_way.len() == UNDER_WAY
            && let Some(answer) = under_way.pop_front()
        {
            let answer: tokio::task::JoinHandle<()> = answer;
            answer.await.unwrap();
        }
        let share = budget.take(message.len()).await.unwrap();
        let turn = engine.turn(message, share).await.unwrap();
        let answer = engine.submit(message.clone(), turn, Framing::Stream, None);
        // What it holds is given back as it comes, as by a caller that reads.
        under_way.push_back(tokio::spawn(async move { drop(answer.await.unwrap()) }));
    }
    for answer in under_way {
        answer.await.unwrap();
    }
}

/// From messages in memory to durable answers and summaries.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn end_to_end(bencher: Bencher<'_, '_>) {
    let options = Options {
        lines: 500_000,
        replays: 0.0,
        conflicts: 0.0,
        invalid: 0.0,
        ..Options::on(Day::parse("2026-11-05").unwrap())
    };
    let mut lines = 0;
    let encode = |batch: waag::generate::GeneratedBatch| {
        lines += batch.request.declarations.iter().map(|d| d.goods_items.len()).sum::<usize>();
        Bytes::from(prost::Message::encode_to_vec(&batch.request))
    };
    let messages: Arc<Vec<Bytes>> =
        Arc::new(Generator::new(&options).unwrap().map(encode).collect());
    bencher.counter(ItemsCount::new(lines)).with_inputs(start).bench_local_values(|started| {
        let Started { runtime, engine, .. } = &started;
        runtime.block_on(async {
            let callers: Vec<_> = (0..CALLERS)
                .map(|n| tokio::spawn(lodge(Arc::clone(engine), Arc::clone(&messages), n)))
                .collect();
            for caller in callers {
                caller.await.unwrap();
            }
        });
        // Until the last delta is folded and the journal is ended.
        engine.stop();
        started
    });
}
