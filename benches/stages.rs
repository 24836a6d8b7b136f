//! What each stage costs: judging, claiming, and the whole in one process without a network or a
//! disk (reading, judging, claiming, settling, answering). Reading alone, appending and folding have
//! benches of their own. Throughput is in lines (goods items).
//! The whole with disk and fold is in `engine`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::sync::Arc;

use bumpalo::Bump;
use divan::Bencher;
use divan::counter::ItemsCount;
use waag::config::{ByteSize, Config};
use waag::day::{Calendar, Day, Moment};
use waag::generate::{Generator, Options};
use waag::id::{Eori, Ordinal, Watermark};
use waag::index::Index;
use waag::index::filed::{Admission, Draft, Filed, Placing};
use waag::index::settle::Settler;
use waag::ingest::offline::Offline;
use waag::journal::Position;
use waag::proto::v1::SubmitBatchRequest;
use waag::rules::finding::Findings;
use waag::rules::{FallbackCheck, Judge, Law};
use waag::wire::digest::{Digest, Digests, Key, Keys};
use waag::wire::reader::{Batch, Bounds};
use waag::wire::view::{Declaration, Lodger};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn day() -> Day {
    Day::parse("2026-11-05").unwrap()
}

/// Clean batches of about 1,000 declarations.
fn batches(lines: u64) -> Vec<SubmitBatchRequest> {
    let options =
        Options { lines, replays: 0.0, conflicts: 0.0, invalid: 0.0, ..Options::on(day()) };
    Generator::new(&options).unwrap().map(|batch| batch.request).collect()
}

fn lines(batch: &SubmitBatchRequest) -> usize {
    batch.declarations.iter().map(|declaration| declaration.goods_items.len()).sum()
}

/// All rules over declarations that are read already.
#[divan::bench]
fn judge(bencher: Bencher<'_, '_>) {
    let batch = batches(20_000).into_iter().max_by_key(lines).unwrap();
    let message = prost::Message::encode_to_vec(&batch);
    let arena = Bump::new();
    let read = Batch::read(&message, Bounds::default()).unwrap();
    let declarations: Vec<Declaration<'_>> = (0..read.len())
        .map(|index| {
            let mut declaration = Declaration::default();
            read.declaration(index, &arena, &mut declaration).unwrap();
            declaration
        })
        .collect();
    let lodger = Lodger {
        declarant: Eori::parse(read.declarant()).unwrap(),
        representative: "",
        representative_status: 0,
    };
    let law = Law::load(None).unwrap().on(day()).unwrap();
    let (mut judge, mut findings) = (Judge::new(), Findings::default());
    bencher.counter(ItemsCount::new(lines(&batch))).bench_local(|| {
        findings.clear();
        for declaration in &declarations {
            let none = FallbackCheck::default();
            black_box(judge.judge(&law, &lodger, declaration, none, &mut findings));
        }
    });
}

/// New keys into the table, batches of 1,000, up to the load at which it is full.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn claim(bencher: Bencher<'_, '_>) {
    const BATCHES: u64 = 4_000;
    const EACH: u64 = 1_000;
    // As generated declarations have on average.
    const LINES_EACH: u64 = 2 * EACH;
    let admission = Admission { at: Moment(0), day: day(), law: 0 };
    let make = || {
        let index = Arc::new(Index::new(Keys::new([1; 16], [2; 32]), 1 << 23).unwrap());
        let drafts: Vec<Draft> = (0..BATCHES)
            .map(|batch| {
                let mut draft = Draft::with_capacity(1_000);
                for n in batch * EACH..(batch + 1) * EACH {
                    let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    let digest = Digest(n, n as u16);
                    let digests = Digests { content: digest, with_fallback: digest };
                    draft.push(Key(mixed, mixed.rotate_left(32)), digests, false, None);
                }
                draft
            })
            .collect();
        (index, drafts)
    };
    bencher.counter(ItemsCount::new(BATCHES * LINES_EACH)).with_inputs(make).bench_local_values(
        |(index, drafts)| {
            let mut settler = Settler::new(Arc::clone(&index));
            for (number, draft) in (1..).zip(drafts) {
                let claimed = index.claim(Filed::new(admission, draft)).unwrap();
                let decided = settler.settle(claimed);
                let placing = Placing {
                    number: Watermark(number),
                    position: Position::default(),
                    first_ordinal: Ordinal((number - 1) * EACH),
                };
                settler.place(&decided.filed, placing);
            }
            index
        },
    );
}

/// Everything between a message and its answer but the network, the journal and the fold. One
/// thread. (Making the message of prost's tree, and reading the answer into one, is in it too.)
#[divan::bench(sample_count = 10, sample_size = 1)]
fn whole(bencher: Bencher<'_, '_>) {
    let batches = batches(100_000);
    let count: usize = batches.iter().map(lines).sum();
    let at = Moment(Calendar::new("Europe/Amsterdam").unwrap().start_of(day()).0 + 43_200_000);
    let config = Config { memory_max: ByteSize(512 << 20), ..Config::default() };
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| Offline::new(&config, Law::load(None).unwrap()).unwrap())
        .bench_local_values(|mut offline| {
            for batch in &batches {
                black_box(offline.judge(batch, at).unwrap());
            }
            offline
        });
}
