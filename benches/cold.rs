//! What is cold: claims beside runs on disk, of new keys (filters alone) and of keys that are there
//! (reads). `alone` asks for the same keys one after another, as a look-up does.
//!
//! It takes some 700 MB below the current folder's `target/`, and removes them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use waag::day::{Day, Moment};
use waag::disk::{Disk, LocalDisk};
use waag::id::{Ordinal, Watermark};
use waag::index::filed::{Admission, Draft, Filed, Placing};
use waag::index::run::{Covers, Folder, Forgotten};
use waag::index::settle::Settler;
use waag::index::{Index, Memory};
use waag::journal::Position;
use waag::wire::digest::{Digest, Digests, Key, Keys};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EACH: u64 = 1_000;
const RUNS: u64 = 16;
const BATCHES_PER_RUN: u64 = 1_000;

static DIR: LazyLock<PathBuf> =
    LazyLock::new(|| Path::new("target").join(format!("bench-runs-{}", std::process::id())));

static INDEX: LazyLock<Arc<Index>> = LazyLock::new(|| {
    let disk = Arc::new(LocalDisk::new());
    disk.create_dir(&DIR).unwrap();
    let folder = Folder::new(disk, &DIR, [1; 16]);
    let memory = Memory { bytes: 2 << 30, slots_min: 1 << 16 };
    let index = Index::with_runs(Keys::new([1; 16], [2; 32]), memory, Vec::new()).unwrap();
    let index = Arc::new(index);
    let mut settler = Settler::new(Arc::clone(&index));
    for run in 0..RUNS {
        for batch in run * BATCHES_PER_RUN..(run + 1) * BATCHES_PER_RUN {
            let claimed = index.claim(filed(batch)).unwrap();
            let decided = settler.settle(claimed);
            let placing = Placing {
                number: Watermark(batch + 1),
                position: Position::default(),
                first_ordinal: Ordinal(batch * EACH),
            };
            settler.place(&decided.filed, placing);
        }
        let records = run * BATCHES_PER_RUN;
        let covers = Covers {
            first_record: Watermark(records + 1),
            last_record: Watermark(records + BATCHES_PER_RUN),
            position: Position::default(),
            first_ordinal: Ordinal(records * EACH),
            end_ordinal: Ordinal((records + BATCHES_PER_RUN) * EACH),
            forgotten: Forgotten::default(),
            carried: Vec::new(),
        };
        assert!(index.close());
        let frozen = index.freeze(covers).unwrap().unwrap();
        index.publish(frozen.write(&folder).unwrap());
    }
    index
});

fn main() {
    divan::main();
    let _ = std::fs::remove_dir_all(&*DIR);
}

fn key(n: u64) -> Key {
    let mut mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^= mixed >> 29;
    Key(mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9), mixed)
}

fn filed(batch: u64) -> Filed {
    let mut draft = Draft::with_capacity(1_000);
    for n in batch * EACH..(batch + 1) * EACH {
        let digest = Digest(n, n as u16);
        draft.push(key(n), Digests { content: digest, with_fallback: digest }, false, None);
    }
    Filed::new(Admission { at: Moment(0), day: Day(20_000), law: 0 }, draft)
}

/// Batches that were lodged, of all runs.
fn old() -> impl FnMut() -> u64 {
    let mut batch = 0;
    move || {
        batch = (batch + 5_003) % (RUNS * BATCHES_PER_RUN);
        batch
    }
}

/// Batches of which nothing is known.
fn new() -> impl FnMut() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1 << 30);
    || NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn claim(bencher: Bencher<'_, '_>, mut next: impl FnMut() -> u64) {
    let index = Arc::clone(&INDEX);
    bencher
        .counter(ItemsCount::new(EACH))
        .with_inputs(|| filed(next()))
        .bench_local_values(|filed| black_box(index.claim(filed).unwrap()));
}

fn look_up(bencher: Bencher<'_, '_>, mut next: impl FnMut() -> u64) {
    let index = Arc::clone(&INDEX);
    bencher
        .counter(ItemsCount::new(EACH))
        .with_inputs(|| {
            let batch = next();
            (batch * EACH..(batch + 1) * EACH).map(key).collect::<Vec<_>>()
        })
        .bench_local_refs(|keys| {
            keys.iter().filter(|key| index.under(**key).unwrap().is_some()).count()
        });
}

#[divan::bench(sample_count = 300, sample_size = 1)]
fn new_together(bencher: Bencher<'_, '_>) {
    claim(bencher, new());
}

#[divan::bench(sample_count = 300, sample_size = 1)]
fn new_alone(bencher: Bencher<'_, '_>) {
    look_up(bencher, new());
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn old_together(bencher: Bencher<'_, '_>) {
    claim(bencher, old());
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn old_alone(bencher: Bencher<'_, '_>) {
    look_up(bencher, old());
}
