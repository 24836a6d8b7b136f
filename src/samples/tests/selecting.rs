//! What is selected: as anybody can check, and whatever the order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use proptest::prelude::*;
use ring::hmac;

use super::*;
use crate::archive::Archive;
use crate::archive::tests::making::{
    GivenBatch, GivenEntry, Maker, generated, new_archive, write_set,
};
use crate::id::Watermark;
use crate::outcome::Outcome as Answer;
use crate::profiles::ScanError;

/// A lot as the contract writes it, computed without anything of ours.
fn lot(secret: [u8; 32], declarant: &str, lrn: &str, goods_item: usize) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let message = format!("{declarant}\n{lrn}\n{goods_item}");
    hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}

#[test]
fn commitment_and_lots_are_those_that_openssl_makes() {
    // printf '\007%.0s' $(seq 32) | openssl dgst -sha256
    let secret = Secret::of([7; 32]);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let commitment = ring::digest::digest(&ring::digest::SHA256, &[7; 32]);
    assert_eq!(secret.commitment(), hex(commitment.as_ref()));
    assert_eq!(Secret::parse(&secret.reveal()), Some(secret.clone()));
    assert_eq!(format!("{secret:?}"), "Secret", "it is in no log");
    for text in ["", "07", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
        assert_eq!(Secret::parse(text), None, "{text}");
    }
    let item = item(5);
    let expected = lot([7; 32], item.declarant.as_str(), item.lrn.as_str(), 2);
    assert_eq!(Draw::of(&secret.key(), &item).to_string(), hex(&expected));
    assert_ne!(Secret::new().unwrap(), Secret::new().unwrap());
}

struct World {
    archive: Archive,
    given: Vec<GivenBatch>,
}

/// The same batches, sealed in this order and in sets of so many.
fn world(order: &[usize], set_of: usize) -> World {
    let (_, archive) = new_archive();
    let batches = generated(3_000, 200);
    let mut maker = Maker::new();
    let mut given = Vec::new();
    for part in order.chunks(set_of) {
        // The day of a batch is its own, whenever it comes.
        let on = |at: usize| day(["2026-11-05", "2026-11-06", "2026-11-07"][at % 3]);
        let part: Vec<_> = part.iter().map(|at| (on(*at), batches[*at].clone())).collect();
        given.extend(write_set(&archive, &mut maker, &part).unwrap().1);
    }
    World { archive, given }
}

fn select(world: &World, method: Method) -> Selection {
    let selector = Selector::new(plan(method)).unwrap();
    let mut state = State::default();
    selector.follow(&mut state, &world.archive, |_| ControlFlow::Continue(())).unwrap();
    selector.selection(&state)
}

/// A stratum's name, items, values, and what is selected: draw, item, values.
type Plain = (String, u64, u64, u64, Vec<(String, ItemId, u64, u64)>);

/// What is selected, without MRN, which is by place in the journal.
fn plain(selection: &Selection) -> Vec<Plain> {
    let of = |stratum: &SelectedStratum| {
        let selected = stratum.selected.iter();
        let selected = selected.map(|s| (s.draw.to_string(), s.item, s.declared, s.expected));
        let name = stratum.name.clone();
        (name, stratum.items, stratum.declared, stratum.expected, selected.collect())
    };
    selection.strata.iter().map(of).collect()
}

/// Goods items of accepted declarations of the plan's days: lot, code, value, mass.
fn population(world: &World) -> Vec<(Vec<u8>, String, u64, u64)> {
    let last = day("2026-11-06");
    let mut all = Vec::new();
    for batch in world.given.iter().filter(|batch| batch.day <= last) {
        for entry in &batch.entries {
            let GivenEntry::Declaration(given) = entry else { continue };
            if given.outcome != Answer::Accepted {
                continue;
            }
            for (at, item) in given.message.goods_items.iter().enumerate() {
                let lot = lot([7; 32], "NL810000003", &given.message.lrn, at + 1);
                let value = given.line_values[at].map_or(0, |value| value.0);
                all.push((lot, item.hs6.clone(), value, item.gross_mass_mg));
            }
        }
    }
    all
}

fn lots(stratum: &SelectedStratum) -> Vec<String> {
    stratum.selected.iter().map(|selected| selected.draw.to_string()).collect()
}

fn hex(lot: &[u8]) -> String {
    lot.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_fixed_sample_has_the_least_lots() {
    let world = world(&(0..12).collect::<Vec<_>>(), 5);
    let mut all = population(&world);
    all.sort();
    let selection = select(&world, fixed(25));
    let [only] = &selection.strata[..] else { panic!("{selection:?}") };
    assert_eq!((&only.name[..], only.items), ("all", all.len() as u64));
    assert_eq!(only.declared, all.iter().map(|(_, _, value, _)| value).sum::<u64>());
    assert_eq!(lots(only), all[..25].iter().map(|(lot, ..)| hex(lot)).collect::<Vec<_>>());
    assert_eq!(selection.watermark, Watermark(12));
    // More than there are: all of them.
    let selection = select(&world, fixed(5_000));
    assert_eq!(selection.strata[0].selected.len(), all.len());
}

#[test]
fn strata_have_the_least_lots_of_each_as_many_as_neyman_says() {
    let world = world(&(0..12).collect::<Vec<_>>(), 5);
    let mut parts: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for (lot, hs, value, _) in population(&world) {
        let place = if hs.starts_with("61") {
            0
        } else if value <= 1_000 {
            1
        } else {
            2
        };
        parts.entry(place).or_default().push(lot);
    }
    let deviation = |p: f64| (p * (1.0 - p)).sqrt();
    let spreads: Vec<_> = (0..3)
        .map(|at| crate::statistics::Stratum {
            size: parts.get(&at).map_or(0, Vec::len) as u64,
            deviation: deviation([0.2, 0.05, 0.125][at]),
        })
        .collect();
    assert!(spreads.iter().all(|spread| spread.size > 2), "{spreads:?}");
    let expected = crate::statistics::neyman_allocation(&spreads, 40).unwrap();
    let selection = select(&world, strata(40));
    let names: Vec<_> = selection.strata.iter().map(|stratum| &stratum.name[..]).collect();
    assert_eq!(names, ["clothes", "cheap", "rest"]);
    for (at, stratum) in selection.strata.iter().enumerate() {
        let lots_of = parts.get_mut(&at).unwrap();
        lots_of.sort();
        assert_eq!(stratum.items, lots_of.len() as u64);
        let least: Vec<_> = lots_of[..expected[at] as usize].iter().map(|lot| hex(lot)).collect();
        assert_eq!(lots(stratum), least, "{}", stratum.name);
    }
}

#[test]
fn by_expected_value_each_has_the_chance_of_its_size() {
    let world = world(&(0..12).collect::<Vec<_>>(), 5);
    let all = population(&world);
    let expected = |hs: &str, mass: u64| {
        let per_kg = match hs {
            _ if hs.starts_with("6109") => 1_000,
            _ if hs.starts_with("61") => 3_000,
            _ => 2_000,
        };
        (mass * per_kg / 1_000_000).max(1)
    };
    let sizes: Vec<_> = all.iter().map(|(lot, hs, _, mass)| (lot, expected(hs, *mass))).collect();
    let mut interval = sizes.iter().map(|(_, size)| *size).max().unwrap();
    // Some are always selected.
    interval /= 2;
    let mut selected: Vec<String> = Vec::new();
    for (lot, size) in &sizes {
        let first = u64::from_be_bytes(lot[..8].try_into().unwrap());
        if u128::from(first) * u128::from(interval) < u128::from(*size) << 64 {
            selected.push(hex(lot));
        }
    }
    selected.sort();
    let selection = select(&world, by_value(interval));
    let [only] = &selection.strata[..] else { panic!("{selection:?}") };
    assert_eq!(only.expected, sizes.iter().map(|(_, size)| size).sum::<u64>());
    assert_eq!(lots(only), selected);
    assert!(
        selected.len() > 5 && selected.len() < all.len(),
        "{} of {}",
        selected.len(),
        all.len()
    );
    assert!(only.selected.iter().any(|one| one.expected >= interval));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever the order of batches and however they are divided over sets: with another order other declarations are
    /// the replays, so these are left as they are.
    #[test]
    fn a_selection_does_not_depend_on_order_or_sets(
        order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle(),
        set_of in 1..5_usize,
    ) {
        let sorted = world(&(0..9).collect::<Vec<_>>(), 9);
        let other = world(&order, set_of);
        for method in [fixed(30), strata(30), by_value(4_000)] {
            prop_assert_eq!(
                plain(&select(&sorted, method.clone())),
                plain(&select(&other, method)),
            );
        }
    }

    /// Goods items met in any order, in any parts, some of them in a part that was ended and gone through again.
    #[test]
    fn a_state_does_not_depend_on_order_or_parts(
        order in Just((0..200_u32).collect::<Vec<_>>()).prop_shuffle(),
        cuts in proptest::collection::vec(0..200_usize, 0..6),
        method in 0..2_usize,
    ) {
        let method = [fixed(20), by_value(3_000)][method].clone();
        let selector = Selector::new(plan(method)).unwrap();
        let key = Secret::of([7; 32]).key();
        let one = |n: u32| Selected {
            draw: Draw::of(&key, &item(n)),
            item: item(n),
            mrn: ShortText::default(),
            day: day("2026-11-05"),
            hs6: ShortText::default(),
            declared: u64::from(n),
            expected: u64::from(n % 50 + 1) * 100,
        };
        let mut whole = State::default();
        (0..200).for_each(|n| selector.put(&mut whole, 0, one(n)));
        let mut cuts = cuts;
        cuts.extend([0, 200]);
        cuts.sort_unstable();
        let mut state = State::default();
        for pair in cuts.windows(2) {
            let mut part = State::default();
            order[pair[0]..pair[1]].iter().for_each(|n| selector.put(&mut part, 0, one(*n)));
            selector.merge(&mut state, part);
        }
        prop_assert_eq!(selector.selection(&state), selector.selection(&whole));
    }
}

#[test]
fn replays_conflicts_and_rejections_are_not_selected() {
    let world = world(&(0..6).collect::<Vec<_>>(), 2);
    let selection = select(&world, fixed(5_000));
    let selected: BTreeSet<_> =
        selection.strata[0].selected.iter().map(|one| one.mrn.to_string()).collect();
    let mut accepted = BTreeSet::new();
    let mut others = 0;
    for batch in world.given.iter().filter(|batch| batch.day <= day("2026-11-06")) {
        for entry in &batch.entries {
            match entry {
                GivenEntry::Declaration(given) if given.outcome == Answer::Accepted => {
                    accepted.insert(given.mrn.clone().unwrap());
                }
                _ => others += 1,
            }
        }
    }
    assert!(others > 10);
    assert_eq!(selected, accepted);
}

#[test]
fn what_was_gone_through_stays_and_what_is_dropped_is_told() {
    let world = world(&(0..12).collect::<Vec<_>>(), 4);
    let selector = Selector::new(plan(fixed(25))).unwrap();
    let whole = select(&world, fixed(25));
    // Ended after each batch that it meets, and begun again: set by set it comes to its end.
    let mut state = State::default();
    let mut met = 0;
    let ended = selector.follow(&mut state, &world.archive, |_| {
        met += 1;
        if met == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(ended, Err(ScanError::Ended(_))), "{ended:?}");
    assert_eq!(state.watermark(), Watermark(4));
    selector.follow(&mut state, &world.archive, |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(selector.selection(&state), whole);
    // What was met stays, when its day is dropped; who comes later misses it, and is told.
    world.archive.drop_days(day("2026-11-06"), Watermark(u64::MAX)).unwrap();
    selector.follow(&mut state, &world.archive, |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(selector.selection(&state), whole);
    assert!(whole.is_whole());
    let late = select(&world, fixed(25));
    assert_eq!(late.dropped_through, Some(day("2026-11-05")));
    assert!(!late.is_whole() && late.strata[0].items < whole.strata[0].items);
}
