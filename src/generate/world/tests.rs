//! A world as a whole: the same bytes for ever, a truth that is true, and declarations that the law of
//! their day accepts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use super::*;
use crate::config::{ByteSize, Config};
use crate::generate::write_binary;
use crate::ingest::offline::Offline;
use crate::ingest::options;
use crate::proto::v1::Declaration;
use crate::rules::Law;

pub(super) fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

pub(super) fn options(from: &str, lines: u64, misbehave: &str) -> WorldOptions {
    let misbehave = Misbehave::parse(misbehave).unwrap();
    WorldOptions { lines, misbehave, ..WorldOptions::from(day(from)) }
}

pub(super) fn made(options: &WorldOptions) -> (Vec<WorldBatch>, Truth) {
    let mut world = World::new(options).unwrap();
    let batches = world.by_ref().collect();
    (batches, world.truth())
}

/// The batches with their days, and the truth as a file.
fn bytes(options: &WorldOptions) -> (Vec<u8>, Vec<u8>) {
    let (mut batches, mut truth) = (Vec::new(), Vec::new());
    let mut writer = TruthWriter::new(&mut truth);
    let mut world = World::new(options).unwrap();
    for batch in world.by_ref() {
        batches.extend(batch.day.0.to_le_bytes());
        write_binary(&mut batches, &batch.request, &mut Vec::new()).unwrap();
        writer.batch(&batch).unwrap();
    }
    writer.finish(&world.truth()).unwrap();
    (batches, truth)
}

/// If this fails, the same seed gives another world than it did: that is a promise broken, unless
/// it is meant and stands in the change log.
#[test]
fn the_same_seed_gives_the_same_world_for_ever() {
    let golden = [
        ("2026-10-26", 1, "none", "d570311efcb36cac"),
        ("2026-10-26", 1, "drawn", "dbd6c384b7f369ab"),
        ("2026-10-26", 2, "drawn", "cc8411614621c52c"),
        ("2026-10-26", 1, "all", "059dcf389911b9fd"),
        ("2026-06-25", 1, "split:0.3@0,merge:0.2@0,resend:0.1@1", "5234abca00ec3818"),
    ];
    let found = golden.map(|(from, seed, misbehave, _)| {
        let (batches, truth) =
            bytes(&WorldOptions { seed, days: 9, ..options(from, 6_000, misbehave) });
        let digest = Sha256::new().chain_update(&batches).chain_update(&truth).finalize();
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
    });
    assert_eq!(found, golden.map(|(.., hash)| hash));
}

#[test]
fn the_same_options_give_the_same_bytes_and_any_other_gives_others() {
    let good = WorldOptions { days: 5, ..options("2026-10-26", 3_000, "drawn") };
    let (batches, truth) = bytes(&good);
    assert_eq!(bytes(&good), (batches.clone(), truth.clone()));
    for other in [
        WorldOptions { seed: 2, ..good.clone() },
        WorldOptions { from: day("2026-10-27"), ..good.clone() },
        WorldOptions { days: 6, ..good.clone() },
        WorldOptions { lines: 3_001, ..good.clone() },
        WorldOptions { actors: 36, ..good.clone() },
        WorldOptions { batch: 999, ..good.clone() },
        WorldOptions { misbehave: Misbehave::None, ..good.clone() },
    ] {
        let (others, other_truth) = bytes(&other);
        assert!(others != batches && other_truth != truth, "{other:?}");
        // No LRN of one stands in the other: they may be lodged one after the other.
        assert!(lrns(&good).is_disjoint(&lrns(&other)), "{other:?}");
    }
}

fn lrns(options: &WorldOptions) -> BTreeSet<(String, String)> {
    let (batches, _) = made(options);
    let of = |batch: WorldBatch| {
        let SubmitBatchRequest { declarant, declarations, .. } = batch.request;
        declarations.into_iter().map(move |each| (declarant.clone(), each.lrn))
    };
    batches.into_iter().flat_map(of).collect()
}

#[test]
fn an_lrn_is_of_one_order_and_does_not_tell_which_of_its_consignments() {
    let options = WorldOptions { actors: 6, ..options("2026-10-26", 40_000, "split:0.6@0") };
    let (batches, _) = made(&options);
    let digits = |lrn: &str| lrn.strip_prefix("PKX").and_then(|lrn| lrn[7..].parse::<u64>().ok());
    let mut seen = BTreeSet::new();
    let mut ends = [[0_u32; 4]; 2];
    for batch in batches.iter().filter(|batch| batch.actor.is_multiple_of(5)) {
        for (declaration, mark) in batch.request.declarations.iter().zip(&batch.marks) {
            let Some(number) = digits(&declaration.lrn) else { continue };
            if mark.outcome == Outcome::Accepted {
                assert!(seen.insert((batch.actor, number)), "{}", declaration.lrn);
                ends[usize::from(mark.kinds.has(Kind::Split))][(number % 4) as usize] += 1;
            }
        }
    }
    for ends in ends {
        let all: u32 = ends.iter().sum();
        assert!(all > 1_000, "{ends:?}");
        // A quarter each; of a thousand four deviations are 0.055.
        let even = |end: &u32| (f64::from(*end) / f64::from(all) - 0.25).abs() < 0.06;
        assert!(ends.iter().all(even), "{ends:?}");
    }
}

#[test]
fn all_days_come_in_order_and_the_lines_are_reached() {
    let options = options("2026-10-26", 30_000, "drawn");
    let (batches, truth) = made(&options);
    assert!(batches.is_sorted_by_key(|batch| batch.day));
    let days: BTreeSet<Day> = batches.iter().map(|batch| batch.day).collect();
    assert_eq!(days.len(), 28);
    assert_eq!((*days.first().unwrap(), *days.last().unwrap()), (options.from, options.last()));
    let lines: u64 = batches.iter().map(|batch| batch.lines).sum();
    assert!((29_950..30_400).contains(&lines), "{lines}");
    let items = |batch: &WorldBatch| -> u64 {
        batch.request.declarations.iter().map(|each| each.goods_items.len() as u64).sum()
    };
    assert!(batches.iter().all(|batch| batch.lines == items(batch)));
    assert_eq!((truth.world.sent.lines, truth.world.days), (lines, 28));
    // Sundays are quiet for all but platforms, and sizes differ by more than ten.
    let of = |weekday: u16, trade| -> u64 {
        let on = |batch: &&WorldBatch| {
            (batch.day.0 + 3) % 7 == weekday
                && truth.declarants[batch.actor as usize].trade == trade
        };
        batches.iter().filter(on).map(|batch| batch.lines).sum()
    };
    assert!(of(0, "post") > 8 * of(6, "post"));
    assert!(of(0, "platform") < 4 * of(6, "platform"));
    let sizes: Vec<u64> = truth.declarants.iter().map(|each| each.sent.lines).collect();
    assert!(*sizes.iter().max().unwrap() > 10 * *sizes.iter().min().unwrap(), "{sizes:?}");
}

#[test]
fn the_truth_counts_what_is_in_the_batches() {
    for seed in 1..4 {
        let options = WorldOptions { seed, ..options("2026-10-26", 30_000, "drawn") };
        let (batches, truth) = made(&options);
        assert_eq!(truth.declarants.iter().filter(|each| !each.honest).count(), 10);
        assert_eq!(truth.declarants.iter().filter(|each| each.odd.is_some()).count(), 3);
        let mut counts: HashMap<(u32, Option<Kind>, Option<Outcome>), Count> = HashMap::new();
        let mut borrowed: HashMap<(String, String), u64> = HashMap::new();
        for batch in &batches {
            for (declaration, mark) in batch.request.declarations.iter().zip(&batch.marks) {
                let kinds = Kind::ALL.iter().copied().filter(|&kind| mark.kinds.has(kind));
                let keys = kinds.map(|kind| (Some(kind), None));
                for (kind, outcome) in keys.chain([(None, Some(mark.outcome)), (None, None)]) {
                    let count = counts.entry((batch.actor, kind, outcome)).or_default();
                    count.declarations += 1;
                    count.lines += declaration.goods_items.len() as u64;
                }
                if mark.kinds.has(Kind::Borrow) {
                    let whose = (declaration.ioss_number.clone(), batch.request.declarant.clone());
                    *borrowed.entry(whose).or_default() += 1;
                }
            }
        }
        let count =
            |actor, kind, outcome| counts.get(&(actor, kind, outcome)).copied().unwrap_or_default();
        for each in &truth.declarants {
            assert_eq!(each.honest, each.kinds.is_empty());
            assert_eq!(each.sent, count(each.index, None, None));
            assert_eq!(each.accepted, count(each.index, None, Some(Outcome::Accepted)));
            assert_eq!(each.rejected, count(each.index, None, Some(Outcome::Rejected)));
            assert_eq!(each.replayed, count(each.index, None, Some(Outcome::Replayed)));
            assert_eq!(each.conflicts, count(each.index, None, Some(Outcome::Conflict)));
            for &kind in Kind::ALL {
                let stated = each.kinds.iter().find(|stated| stated.kind == kind);
                let affected = stated.map_or(Count::default(), |stated| stated.affected);
                assert_eq!(affected, count(each.index, Some(kind), None), "{kind:?}");
            }
        }
        let mut stated: HashMap<(String, String), u64> = HashMap::new();
        for number in &truth.ioss_numbers {
            assert_eq!(number.honest, number.borrowed_by.is_empty());
            for by in &number.borrowed_by {
                let whose = (number.number.clone(), by.declarant.clone());
                stated.insert(whose, by.affected.declarations);
            }
        }
        assert_eq!(stated, borrowed);
    }
}

#[test]
fn kinds_keep_to_their_days() {
    let days = "vague:0.5@0:2026-11-02..2026-11-04,merge:0.5@0:2026-10-01..2026-10-27";
    let (batches, truth) = made(&options("2026-10-26", 30_000, days));
    let mut found = BTreeSet::new();
    for batch in batches {
        let kinds = [Kind::Vague, Kind::Merge];
        let has = |kind| batch.marks.iter().any(|mark| mark.kinds.has(kind));
        found.extend(kinds.into_iter().filter(|&kind| has(kind)).map(|kind| (kind, batch.day)));
    }
    let expected = ["2026-11-02", "2026-11-03", "2026-11-04"].map(|on| (Kind::Vague, day(on)));
    let merged = ["2026-10-26", "2026-10-27"].map(|on| (Kind::Merge, day(on)));
    assert_eq!(found, expected.into_iter().chain(merged).collect());
    assert_eq!(truth.declarants[0].kinds[1].from, "2026-10-26");
}

/// Nothing tells who misbehaves: what others send is what they would send anyway.
#[test]
fn others_send_the_same_but_for_their_lrns() {
    let plain = |misbehave: &str| -> Vec<(u32, Declaration)> {
        let (batches, _) = made(&options("2026-10-26", 20_000, misbehave));
        batches
            .into_iter()
            .filter(|batch| ![3, 5].contains(&batch.actor))
            .flat_map(|batch| batch.request.declarations.into_iter().map(move |d| (batch.actor, d)))
            .map(|(actor, declaration)| (actor, Declaration { lrn: String::new(), ..declaration }))
            .collect()
    };
    let by_actor = |mut all: Vec<(u32, Declaration)>| {
        all.sort_by_key(|(actor, _)| *actor);
        all
    };
    let none = by_actor(plain("none"));
    let some = by_actor(plain("split:0.4@3,borrow:0.3@3,merge:0.5@5,resend:0.2@5"));
    assert!(none.len() > 8_000);
    assert!(none == some);
}

/// Every outcome is as it is marked, judged by the rules of the day and in the order of the days.
#[test]
fn the_law_of_the_day_accepts_all_but_what_is_marked() {
    for (from, misbehave) in [
        ("2026-10-26", "drawn"),
        (
            "2026-06-24",
            "split:0.3@0,bunch:0.2@0,merge:0.4@0,gifts:0.3@1,borrow:0.3@2,split:0.6@2,\
                        nominal:0.2@3,undervalue:0.3@3,repeat:0.2@4,misclassify:0.5@4,split:0.5@4",
        ),
        // Beyond the months whose rates are written down.
        ("2025-12-20", "bunch:0.3@0,split:0.2@2,conflict:0.1@1,resend:0.1@1"),
    ] {
        let options = WorldOptions { days: 14, ..options(from, 16_000, misbehave) };
        let config = Config { memory_max: ByteSize(256 << 20), ..Config::default() };
        let mut offline = Offline::new(&config, Law::load(None).unwrap()).unwrap();
        let calendar = options::calendar(&config).unwrap();
        let mut found: HashMap<Outcome, u32> = HashMap::new();
        for batch in World::new(&options).unwrap() {
            let at = calendar.parse(&format!("{}T10:00", batch.day)).unwrap();
            let answer = offline.judge(&batch.request, at).unwrap();
            for (place, (verdict, mark)) in answer.verdicts.iter().zip(&batch.marks).enumerate() {
                let outcome = u8::try_from(verdict.outcome).ok().and_then(Outcome::from_number);
                let declaration = &batch.request.declarations[place];
                assert_eq!(outcome, Some(mark.outcome), "{mark:?} {declaration:?} {verdict:?}");
                *found.entry(mark.outcome).or_default() += 1;
            }
        }
        assert!(found[&Outcome::Accepted] > 5_000 && found[&Outcome::Rejected] > 20, "{found:?}");
        assert!(found[&Outcome::Replayed] > 10, "{found:?}");
    }
}

#[test]
fn options_outside_their_bounds_are_refused_by_name() {
    let good = options("2026-10-26", 1_000, "none");
    for (options, said) in [
        (WorldOptions { lines: 0, ..good.clone() }, "--lines is 0, but must be 1 to"),
        (WorldOptions { days: 732, ..good.clone() }, "--days is 732, but must be 1 to 731"),
        (WorldOptions { from: day("2027-12-20"), ..good.clone() }, "28 days end on 2028-01-16"),
        (options("2026-10-26", 1_000, "vague:0.1@35"), "\"35\" is no declarant"),
        (
            options("2026-06-01", 1_000, "merge@0"),
            "merge of declarant 0 has no day within 2026-06-01",
        ),
        (
            options("2026-10-26", 1_000, "drawn:33"),
            "33 declarants are to be drawn, but only 32 can",
        ),
        (
            WorldOptions { actors: 1, ..options("2026-10-26", 9, "borrow@0") },
            "borrow of declarant 0",
        ),
    ] {
        let error = World::new(&options).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
