#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// What scipy and statsmodels say (see `tests/statistics/reference.py`).
fn reference(part: &str) -> Vec<Value> {
    let text = include_str!("../../tests/statistics/reference.json");
    let all: Value = serde_json::from_str(text).unwrap();
    all[part].as_array().unwrap().clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn confidence(value: &Value) -> Confidence {
    Confidence::new(number(value)).unwrap()
}

/// To nine digits: scipy's own are not all exact at n = 10^9.
fn assert_close(found: f64, expected: f64, what: &dyn std::fmt::Display) {
    let close = (found - expected).abs() <= 1e-9 * expected.abs() + 1e-15;
    assert!(close, "{what}: {found:e}, and {expected:e} is expected");
}

#[test]
fn intervals_are_those_of_statsmodels() {
    for case in reference("intervals") {
        let (k, n) = (count(&case["k"]), count(&case["n"]));
        let what = format!("{k} of {n}");
        let (lower, upper) = wilson(k, n, number(&case["z"])).unwrap();
        // At the ends the formula subtracts equal numbers.
        assert!((lower - number(&case["wilson"][0])).abs() < 1e-12, "{what}: {lower}");
        assert_close(upper, number(&case["wilson"][1]), &what);
        for exact in case["exact"].as_array().unwrap() {
            let c = confidence(&exact["confidence"]);
            let what = format!("{what} at {}", c.get());
            let (lower, upper) = clopper_pearson(k, n, c).unwrap();
            assert_close(lower, number(&exact["interval"][0]), &what);
            assert_close(upper, number(&exact["interval"][1]), &what);
            assert_close(clopper_pearson_upper(k, n, c).unwrap(), number(&exact["upper"]), &what);
        }
    }
}

#[test]
fn wilson_intervals() {
    let close = |found: f64, expected: f64, within: f64| (found - expected).abs() < within;
    let (lower, upper) = wilson_95(3, 400).unwrap();
    assert!(close(lower, 0.00255, 5e-6) && close(upper, 0.02182, 5e-6), "{lower} {upper}");
    // At the ends it stays a proportion; the formula's closed form there is z²/(n + z²).
    let (lower, upper) = wilson_95(0, 10).unwrap();
    assert!(lower == 0.0 && close(upper, 3.8416 / 13.8416, 1e-12), "{lower} {upper}");
    let (lower, upper) = wilson_95(10, 10).unwrap();
    assert!(close(lower, 10.0 / 13.8416, 1e-12) && upper <= 1.0, "{lower} {upper}");
    assert_eq!(wilson_95(0, 0), None);
    assert_eq!(wilson_95(2, 1), None);
    // None of however many are not more than none, and all of them not fewer than all.
    for n in 1..2_000 {
        assert_eq!(wilson_95(0, n).unwrap().0, 0.0, "0 of {n}");
        assert_eq!(wilson_95(n, n).unwrap().1, 1.0, "{n} of {n}");
    }
}

#[test]
fn what_has_no_exact_interval_has_none() {
    for (k, n) in [(0, 0), (2, 1), (0, EXACT_MAX + 1)] {
        assert_eq!(clopper_pearson(k, n, Confidence::C95), None);
        assert_eq!(clopper_pearson_upper(k, n, Confidence::C95), None);
    }
    for none in [0.0, 1.0, -0.5, f64::NAN] {
        assert_eq!(Confidence::new(none), None);
    }
}

#[test]
fn poisson_bounds_are_those_of_scipy_and_of_the_table() {
    for case in reference("poisson") {
        let k = u32::try_from(count(&case["k"])).unwrap();
        let found = poisson_upper(k, confidence(&case["confidence"]));
        assert_close(found, number(&case["upper"]), &case);
    }
    // DOMAIN 5.5.
    let table: [(Confidence, &[f64]); 3] = [
        (
            Confidence::C95,
            &[3.00, 4.74, 6.30, 7.75, 9.15, 10.51, 11.84, 13.15, 14.43, 15.71, 16.96],
        ),
        (Confidence::C99, &[4.61, 6.64, 8.41, 10.05, 11.60]),
        (Confidence::C90, &[2.30, 3.89, 5.32]),
    ];
    for (confidence, row) in table {
        for (k, expected) in (0..).zip(row) {
            let found = poisson_upper(k, confidence);
            assert!((found - expected).abs() <= 0.005 + 1e-9, "R_{k}: {found}, not {expected}");
        }
    }
}

#[test]
fn attribute_samples_are_the_smallest_that_find_an_error() {
    for case in reference("sample_sizes") {
        let p = number(&case["p"]);
        let found = attribute_sample_size(confidence(&case["confidence"]), p);
        assert_eq!(found, Some(count(&case["size"])), "{case}");
        for (population, expected) in case["finite"].as_object().unwrap() {
            let finite = with_finite_population(found.unwrap(), population.parse().unwrap());
            assert_eq!(finite, count(expected), "{case}: of {population}");
        }
    }
    // DOMAIN 5.5.
    assert_eq!(attribute_sample_size(Confidence::C95, 0.01), Some(299));
    assert_eq!(attribute_sample_size(Confidence::C95, 0.001), Some(2_995));
    assert_eq!(attribute_sample_size(Confidence::C95, 0.0), None);
    assert_eq!(attribute_sample_size(Confidence::C95, 1.0), None);
    assert_eq!((with_finite_population(299, 0), with_finite_population(0, 9)), (0, 0));
    assert_eq!(with_finite_population(u64::MAX, u64::MAX), 1 << 63);
}

#[test]
fn monetary_unit_samples_are_as_numpy_has_them() {
    for case in reference("monetary_unit") {
        let c = confidence(&case["confidence"]);
        let (book, tolerable) = (count(&case["book_value"]), count(&case["tolerable"]));
        let plan = MonetaryUnitPlan::new(book, tolerable, c).unwrap();
        assert_close(plan.interval, number(&case["interval"]), &case);
        assert_eq!(plan.size, count(&case["size"]));
        let items = case["items"].as_array().unwrap().iter();
        let items: Vec<_> = items
            .map(|item| SampledItem { book: count(&item[0]), found: count(&item[1]) })
            .collect();
        let upper = upper_misstatement(plan.interval, &items, c).unwrap();
        assert_close(upper, number(&case["upper"]), &case);
    }
    // Nothing found: exactly what could be borne.
    let plan = MonetaryUnitPlan::new(1_000_000, 30_000, Confidence::C95).unwrap();
    let clean = [SampledItem { book: 900, found: 900 }; 100];
    let upper = upper_misstatement(plan.interval, &clean, Confidence::C95).unwrap();
    assert_close(upper, 30_000.0, &"clean");
    assert_eq!(MonetaryUnitPlan::new(10, 0, Confidence::C95), None);
    assert_eq!(MonetaryUnitPlan::new(10, 11, Confidence::C95), None);
    assert_eq!(upper_misstatement(0.0, &clean, Confidence::C95), None);
    assert_eq!(upper_misstatement(f64::NAN, &clean, Confidence::C95), None);
}

#[test]
fn allocations_are_their_shares_where_no_bound_binds() {
    for case in reference("strata") {
        let list = |name: &str| case[name].as_array().unwrap().clone();
        let pairs = list("sizes").into_iter().zip(list("deviations"));
        let strata: Vec<_> =
            pairs.map(|(n, s)| Stratum { size: count(&n), deviation: number(&s) }).collect();
        let found = neyman_allocation(&strata, count(&case["size"])).unwrap();
        assert_eq!(found.iter().sum::<u64>(), count(&case["size"]));
        let shares = list("shares");
        if shares.iter().all(|share| number(share) >= 2.0) {
            for (found, share) in found.iter().zip(&shares) {
                assert!((*found as f64 - number(share)).abs() < 1.0, "{found} {share}");
            }
        }
    }
}

#[test]
fn allocations_keep_their_bounds() {
    let of = |sizes: &[(u64, f64)]| -> Vec<Stratum> {
        sizes
            .iter()
            .map(|(size, deviation)| Stratum { size: *size, deviation: *deviation })
            .collect()
    };
    // The least of a stratum without spread, and all of one that is small and uneven.
    let strata = of(&[(1_000, 0.0), (10, 100.0), (1_000, 0.5), (1, 0.5)]);
    assert_eq!(neyman_allocation(&strata, 100), Some(vec![2, 10, 87, 1]));
    // No spread anywhere: by size.
    assert_eq!(neyman_allocation(&of(&[(300, 0.0), (100, 0.0)]), 40), Some(vec![30, 10]));
    assert_eq!(neyman_allocation(&of(&[(300, 0.5), (100, 0.5)]), 400), Some(vec![300, 100]));
    assert_eq!(neyman_allocation(&of(&[(300, 0.5), (100, 0.5)]), 3), None);
    assert_eq!(neyman_allocation(&of(&[(300, 0.5), (100, 0.5)]), 401), None);
    assert_eq!(neyman_allocation(&of(&[(300, f64::NAN)]), 10), None);
    assert_eq!(neyman_allocation(&[], 0), Some(vec![]));
}

fn variance(strata: &[Stratum], sampled: &[u64]) -> f64 {
    let term = |(stratum, n): (&Stratum, &u64)| match *n {
        0 => 0.0,
        n => (stratum.size as f64 * stratum.deviation).powi(2) / n as f64,
    };
    strata.iter().zip(sampled).map(term).sum()
}

proptest! {
    /// Within the bounds, all given out, and no single item put elsewhere makes the estimate vary less by more than
    /// rounding explains.
    #[test]
    fn no_other_allocation_is_better(
        strata in prop::collection::vec((1_u64..500, 0_u32..100), 1..6),
        part in 0.0..1.0_f64,
    ) {
        let strata: Vec<_> = strata
            .into_iter()
            .map(|(size, s)| Stratum { size, deviation: f64::from(s) / 100.0 })
            .collect();
        let least: u64 = strata.iter().map(|s| s.size.min(2)).sum();
        let most: u64 = strata.iter().map(|s| s.size).sum();
        let size = least + ((most - least) as f64 * part) as u64;
        let found = neyman_allocation(&strata, size).unwrap();
        prop_assert_eq!(found.iter().sum::<u64>(), size);
        for (stratum, n) in strata.iter().zip(&found) {
            prop_assert!(*n >= stratum.size.min(2) && *n <= stratum.size);
        }
        let own = variance(&strata, &found);
        for from in 0..found.len() {
            for to in 0..found.len() {
                // Two items: one more than rounding may have put in the wrong place.
                let mut other = found.clone();
                if from == to || other[from] < strata[from].size.min(2) + 2
                    || other[to] + 2 > strata[to].size {
                    continue;
                }
                other[from] -= 2;
                other[to] += 2;
                prop_assert!(variance(&strata, &other) >= own * (1.0 - 1e-9), "{found:?} {other:?}");
            }
        }
    }
}

#[test]
fn stratified_estimates_are_as_numpy_has_them() {
    for case in reference("stratified") {
        let strata = case["strata"].as_array().unwrap().iter();
        let strata: Vec<_> = strata
            .map(|s| SampledStratum {
                size: count(&s[0]),
                sampled: count(&s[1]),
                errors: count(&s[2]),
            })
            .collect();
        let found = stratified_estimate(&strata).unwrap();
        assert_close(found.proportion, number(&case["proportion"]), &case);
        assert_close(found.variance, number(&case["variance"]), &case);
    }
    let of = |size, sampled, errors| SampledStratum { size, sampled, errors };
    // Wholly looked at, one item is enough, and there is nothing left to vary.
    let whole = stratified_estimate(&[of(1, 1, 1), of(3, 3, 0)]).unwrap();
    assert_eq!(whole, StratifiedEstimate { proportion: 0.25, variance: 0.0 });
    for wrong in [of(10, 1, 0), of(10, 11, 0), of(10, 5, 6), of(0, 0, 0), of(10, 0, 0)] {
        assert_eq!(stratified_estimate(&[wrong]), None, "{wrong:?}");
    }
    assert_eq!(stratified_estimate(&[of(u64::MAX, 2, 0), of(1, 1, 0)]), None);
}

#[test]
fn cusum_tells_a_shift_and_only_that() {
    for case in reference("cusum") {
        let mut cusum = Cusum::new(number(&case["level"]), number(&case["shift"]));
        for point in case["points"].as_array().unwrap() {
            let found = cusum.add(count(&point["k"]), count(&point["n"])).unwrap();
            assert!((found.sum - number(&point["sum"])).abs() < 1e-12, "{point}");
            assert_close(found.limit, number(&point["limit"]), point);
            assert_eq!(found.is_alarm, point["alarm"].as_bool().unwrap(), "{point}");
        }
    }
    let mut cusum = Cusum::new(0.5, 0.1);
    assert_eq!(cusum.add(0, 0), None);
    // Equal days: C = x - p0 - k each, against 5 √(p0(1-p0)/n).
    let point = cusum.add(60, 100).unwrap();
    assert!((point.sum - 0.05).abs() < 1e-12 && (point.limit - 0.25).abs() < 1e-12, "{point:?}");
    let points: Vec<_> = (0..5).map(|_| cusum.add(60, 100).unwrap().is_alarm).collect();
    assert_eq!(points, [false, false, false, false, true]);
}
