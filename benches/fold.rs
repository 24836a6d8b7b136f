//! What folding costs: the worker's part (facts, delta) and the fold thread's, per declaration,
//! with as many IOSS numbers as a real day has; then a checkpoint.
//!
//! `cargo bench --bench fold`

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use divan::Bencher;
use divan::counter::ItemsCount;
use smallvec::smallvec;
use waag::day::{Day, Moment};
use waag::id::{Eori, EurCents, Watermark};
use waag::outcome::Outcome;
use waag::rules::Judgement;
use waag::rules::finding::OwnFindings;
use waag::summary::{Delta, Event, Facts, Fold, FoldOptions, IossNumber};
use waag::wire::view::{Declaration, GoodsItem, Money};

const DECLARATIONS: usize = 1_000;
/// Goods items of each.
const LINES_EACH: usize = 2;
const IOSS_NUMBERS: u64 = 10_000;
/// Batches prepared: 64,000 declarations, so that the numbers met are not those of one batch.
const BATCHES: u64 = 64;

fn main() {
    divan::main();
}

fn declaration() -> Declaration<'static> {
    let item = GoodsItem {
        goods_item_number: 1,
        hs6: "610910",
        description: "Cotton T-shirt, men's, blue",
        intrinsic_value: Money { currency: "CNY", hundredths: 8_990 },
        gross_mass_mg: 250_000,
        packages: 1,
        additional_procedures: smallvec!["F48"],
        ..GoodsItem::default()
    };
    Declaration {
        lrn: "LRN-000000000000001",
        goods_items: vec![item.clone(), GoodsItem { gross_mass_mg: 180_000, ..item }],
        ioss_number: "IM5280000001",
        ..Declaration::default()
    }
}

/// A fixed sequence without pattern (the multiplier is Knuth's for MMIX).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

fn numbers() -> Vec<IossNumber> {
    let number = |n| IossNumber::parse(&format!("IM528{n:07}")).expect("well formed");
    (0..IOSS_NUMBERS).map(number).collect()
}

fn facts() -> Facts {
    let judgement = Judgement { intrinsic_value: EurCents(2_300), ..Judgement::default() };
    let values = [Some(EurCents(1_150)), Some(EurCents(1_150))];
    Facts::of(&declaration(), &judgement, &values, &[], Moment(0))
}

fn batch(numbers: &[IossNumber], seed: &mut u64) -> Delta {
    let declarant = Eori::parse(&format!("NL{:09}", next(seed) % 35)).expect("well formed");
    let mut delta = Delta::new(Day(20_000), declarant, None);
    delta.reserve(DECLARATIONS);
    let facts = facts();
    for _ in 0..DECLARATIONS {
        let number = numbers.get((next(seed) % IOSS_NUMBERS) as usize).copied();
        delta.add(Outcome::Accepted, &facts, OwnFindings::NONE, number);
    }
    delta
}

#[divan::bench]
fn facts_of_a_declaration(bencher: Bencher<'_, '_>) {
    let declaration = declaration();
    let judgement = Judgement { intrinsic_value: EurCents(2_300), ..Judgement::default() };
    let values = [Some(EurCents(1_150)), Some(EurCents(1_150))];
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let values = divan::black_box(&values);
        Facts::of(divan::black_box(&declaration), &judgement, values, &[], Moment(0))
    });
}

#[divan::bench]
fn delta_of_1000_declarations(bencher: Bencher<'_, '_>) {
    let (numbers, mut seed) = (numbers(), 1);
    bencher
        .counter(ItemsCount::new(DECLARATIONS * LINES_EACH))
        .bench_local(|| batch(divan::black_box(&numbers), &mut seed));
}

#[divan::bench(sample_count = 50, sample_size = 64)]
fn fold_of_1000_declarations(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut fold, events) = prepared(&folder);
    let mut number = 0_u64;
    bencher.counter(ItemsCount::new(DECLARATIONS * LINES_EACH)).bench_local(|| {
        let event = events.get((number % BATCHES) as usize).expect("prepared");
        number += 1;
        fold.apply(Watermark(number), event).expect("folded");
    });
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn checkpoint_of_10000_entries(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (fold, events) = prepared(&folder);
    let fold = std::cell::RefCell::new(fold);
    bencher
        .counter(ItemsCount::new(IOSS_NUMBERS))
        .with_inputs(|| {
            let mut fold = fold.borrow_mut();
            for event in &events {
                let next = Watermark(fold.watermark().0 + 1);
                fold.apply(next, event).expect("folded");
            }
        })
        .bench_local_values(|()| fold.borrow_mut().checkpoint().expect("durable"));
}

fn prepared(folder: &tempfile::TempDir) -> (Fold, Vec<Event>) {
    let (catalog, archive) = (folder.path().join("catalog"), folder.path().join("archive"));
    let opened = Fold::open(&catalog, &archive, &FoldOptions::default(), [0; 16]);
    let (fold, _, _) = opened.expect("a fold");
    let (numbers, mut seed) = (numbers(), 1);
    (fold, (0..BATCHES).map(|_| Event::Batch(batch(&numbers, &mut seed))).collect())
}
