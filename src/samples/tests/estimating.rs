//! Estimates, against `src/statistics` and by hand.

use std::collections::BTreeMap;

use super::*;
use crate::id::Watermark;
use crate::statistics::{
    Confidence, SampledItem, SampledStratum, clopper_pearson, clopper_pearson_upper,
    stratified_estimate, upper_misstatement,
};

fn selected(n: u32, declared: u64, expected: u64) -> Selected {
    Selected {
        draw: Draw::of(&Secret::of([7; 32]).key(), &item(n)),
        item: item(n),
        mrn: ShortText::default(),
        day: day("2026-11-05"),
        hs6: ShortText::default(),
        declared,
        expected,
    }
}

fn stratum(name: &str, items: u64, selected: Vec<Selected>) -> SelectedStratum {
    SelectedStratum { name: name.into(), items, selected, ..SelectedStratum::default() }
}

fn selection(strata: Vec<SelectedStratum>) -> Selection {
    Selection { watermark: Watermark(9), dropped_through: None, strata }
}

fn found(outcomes: impl IntoIterator<Item = Outcome>) -> BTreeMap<ItemId, Outcome> {
    outcomes.into_iter().map(|outcome| (outcome.item, outcome)).collect()
}

#[test]
fn one_stratum_has_the_exact_interval_and_targeted_ones_stand_apart() {
    let sample = (0..100).map(|n| selected(n, 1_000, 0)).collect();
    let selection = selection(vec![stratum("all", 10_000, sample)]);
    // Of what was selected 90 are controlled, 3 in error; of what was not, 20, and all in error.
    let random = (0..90).map(|n| outcome(item(n), n < 3));
    let targeted = (200..220).map(|n| outcome(item(n), true));
    let outcomes = found(random.chain(targeted));
    let estimate = estimate(&plan(fixed(100)), &selection, &outcomes, Level::P95);
    let [only] = &estimate.strata[..] else { panic!("{estimate:?}") };
    assert_eq!((only.selected, only.checked, only.errors), (100, 90, 3));
    let interval = clopper_pearson(3, 90, Confidence::C95);
    assert_eq!(only.interval, interval);
    assert_eq!(only.upper, clopper_pearson_upper(3, 90, Confidence::C95));
    assert_eq!(estimate.share, interval.map(|interval| (3.0 / 90.0, interval)));
    assert_eq!(estimate.targeted, Targeted { checked: 20, errors: 20, corrected: 6_000 });
    assert_eq!((estimate.corrected, estimate.monetary), (900, None));
    // Whatever else is controlled for a reason, what is said of all stays.
    let random = (0..90).map(|n| outcome(item(n), n < 3));
    let without = super::estimate(&plan(fixed(100)), &selection, &found(random), Level::P95);
    assert_eq!((&without.strata, without.share), (&estimate.strata, estimate.share));
    // Nothing was controlled: nothing is said.
    let nothing = super::estimate(&plan(fixed(100)), &selection, &found([]), Level::P99);
    assert_eq!((nothing.share, nothing.strata[0].interval), (None, None));
}

#[test]
fn strata_add_up_as_the_formula_says() {
    let sample = |from: u32, to: u32| (from..to).map(|n| selected(n, 1_000, 0)).collect();
    let selection = selection(vec![
        stratum("clothes", 4_000, sample(0, 50)),
        stratum("cheap", 1_000, sample(50, 80)),
        stratum("rest", 20, sample(80, 100)),
    ]);
    let outcomes = found((0..100).map(|n| outcome(item(n), n % 10 == 0)));
    let estimate = estimate(&plan(strata(100)), &selection, &outcomes, Level::P95);
    let counts: Vec<_> = estimate.strata.iter().map(|s| (s.items, s.checked, s.errors)).collect();
    assert_eq!(counts, [(4_000, 50, 5), (1_000, 30, 3), (20, 20, 2)]);
    let sampled = |(size, sampled, errors): &(u64, u64, u64)| SampledStratum {
        size: *size,
        sampled: *sampled,
        errors: *errors,
    };
    let reference: Vec<_> = counts.iter().map(sampled).collect();
    let reference = stratified_estimate(&reference).unwrap();
    let (share, (lower, upper)) = estimate.share.unwrap();
    assert!((share - reference.proportion).abs() < 1e-15);
    let half = 1.96 * reference.variance.sqrt();
    assert!((lower - (share - half)).abs() < 1e-15 && (upper - (share + half)).abs() < 1e-15);
    // By hand: p is 0.1 in each.
    let weight = |n: f64| (n / 5_020.0).powi(2) * 0.09;
    let variance = weight(4_000.0) / 49.0 * (1.0 - 50.0 / 4_000.0)
        + weight(1_000.0) / 29.0 * (1.0 - 30.0 / 1_000.0);
    assert!((half - 1.96 * variance.sqrt()).abs() < 1e-12);
    // One outcome of a stratum tells nothing of its spread.
    let few = found((0..51).map(|n| outcome(item(n), false)));
    assert_eq!(super::estimate(&plan(strata(100)), &selection, &few, Level::P95).share, None);
}

#[test]
fn by_expected_value_it_says_how_much_is_undervalued() {
    // Two of J or more, which were selected for certain, and three below.
    let sample = vec![
        selected(0, 2_000, 12_000),
        selected(1, 15_000, 15_000),
        selected(2, 500, 1_000),
        selected(3, 1_000, 4_000),
        selected(4, 900, 1_000),
    ];
    let selection = selection(vec![stratum("all", 500, sample)]);
    let worth = |n, true_value| Outcome { true_value: Some(true_value), ..outcome(item(n), true) };
    // Undervalued by 5,000 and 250, overvalued, and one right.
    let outcomes = found([
        worth(0, 7_000),
        outcome(item(1), false),
        worth(2, 750),
        worth(3, 400),
        worth(4, 900_000),
    ]);
    let interval = 10_000;
    let estimate = estimate(&plan(by_value(interval)), &selection, &outcomes, Level::P95);
    let book = |book, found| SampledItem { book, found };
    let items = [
        book(12_000, 7_000),
        book(15_000, 15_000),
        book(1_000, 750),
        book(4_000, 4_000),
        // By more than it was expected to be worth: all of that.
        book(1_000, 0),
    ];
    let monetary = estimate.monetary.unwrap();
    let reference = upper_misstatement(interval as f64, &items, Confidence::C95).unwrap();
    assert!((monetary.upper - reference).abs() < 1e-9);
    assert!((monetary.misstatement - (5_000.0 + 2_500.0 + 10_000.0)).abs() < 1e-9);
    assert_eq!((estimate.share, estimate.strata[0].interval), (None, None));
    let none = super::estimate(&plan(by_value(interval)), &selection, &found([]), Level::P95);
    assert_eq!(none.monetary, None);
}
