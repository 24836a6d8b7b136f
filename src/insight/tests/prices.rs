//! Value per kilogram, repeated prices, consignees and gifts, where they were planted.

use super::making::{Given, Line, World, accepted, day};
use super::reading::all;
use crate::day::Day;
use crate::insight::{Figure, Kind};
use crate::summary::Role;

/// The figures of a kind on the last day, by declarant.
fn figures(kind: Kind, batches: &[(u16, Vec<Given>)]) -> Vec<(String, Figure)> {
    let mut world = World::new();
    let first = day("2026-10-25").0;
    let batches: Vec<_> = batches.iter().map(|(step, b)| (first + step, b.clone())).collect();
    world.write_set(&batches);
    let mut insight = world.insight();
    insight.round(&|| false).unwrap();
    let last = batches.iter().map(|(day, _)| *day).max().unwrap();
    let found = all(&insight, Role::Declarant).into_iter();
    let found = found.filter(|f| f.day == Day(last) && f.figure.kind == kind);
    found.map(|finding| (finding.id.to_string(), finding.figure)).collect()
}

fn first(kind: Kind, batches: &[(u16, Vec<Given>)]) -> (u64, u64) {
    let figures = figures(kind, batches);
    figures.first().map_or((0, 0), |(_, figure)| (figure.numerator, figure.denominator))
}

/// Lines of 1 kg each: what they are worth is their value per kilogram.
fn goods(declarant: u16, cents: impl Iterator<Item = u64>) -> Given {
    let lines = cents.map(|cents| Line { hs6: "610910", cents }).collect();
    Given { declarant, lines, ..accepted() }
}

/// From `low` to `high`, as many for each doubling, in an order of no meaning.
fn spread(count: u64, low: f64, high: f64) -> Vec<u64> {
    let share = |n: u64| (n * 37 % count) as f64 / count as f64;
    (0..count).map(|n| (low * (high / low).powf(share(n))) as u64).collect()
}

#[test]
fn one_who_declares_most_of_all_is_not_held_against_itself() {
    let mut batch: Vec<_> =
        (2..=6).map(|n| goods(n, spread(40, 900.0, 1_100.0).into_iter())).collect();
    // Ten times as much as all others together.
    batch.extend((0..20).map(|_| goods(1, spread(100, 90.0, 110.0).into_iter())));
    let found = figures(Kind::LowValuePerKg, &[(0, batch.clone())]);
    assert_eq!(found.len(), 6);
    for (id, figure) in &found {
        let (low, lines) = if id == "NL810000001" { (2_000, 2_000) } else { (0, 40) };
        assert_eq!((figure.numerator, figure.denominator), (low, lines), "{id}");
        assert_eq!(figure.is_notable(), low > 0);
    }
    let [(_, dominating), ..] = found.as_slice() else { panic!("{found:?}") };
    // One of each bucket, of which there are as many as 1.2 has in steps of 1.09 %.
    assert!((15..=20).contains(&dominating.examples.len()), "{dominating:?}");

    // The days before count as well, and without enough others there is nothing to be held against.
    let later = [(0, batch[..5].to_vec()), (89, vec![goods(1, [100].into_iter())])];
    assert_eq!(first(Kind::LowValuePerKg, &later), (1, 1));
    let too_late = [(0, batch[..5].to_vec()), (90, vec![goods(1, [100].into_iter())])];
    assert_eq!(first(Kind::LowValuePerKg, &too_late), (0, 0));
    let few = [batch[..2].to_vec(), vec![goods(1, [100].into_iter())]].concat();
    assert_eq!(first(Kind::LowValuePerKg, &[(0, few)]), (0, 0));
}

#[test]
fn low_values_are_those_of_exact_medians_within_the_error_of_the_buckets() {
    let exact = |of: &[Vec<u64>], own: usize| -> Vec<f64> {
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            let half = values.len() / 2;
            if values.len() % 2 == 1 {
                values[half]
            } else {
                (values[half - 1] + values[half]) / 2.0
            }
        };
        let log = |list: &[u64]| list.iter().map(|cents| (*cents as f64).ln()).collect::<Vec<_>>();
        let others = of.iter().enumerate().filter(|(n, _)| *n != own);
        let others: Vec<_> = others
            .map(|(_, list)| {
                let median = middle(log(list));
                let from_it = log(list).iter().map(|x| (x - median).abs()).collect();
                (median, middle(from_it))
            })
            .collect();
        let centre = middle(others.iter().map(|(median, _)| *median).collect());
        let within = middle(others.iter().map(|(_, mad)| *mad).collect());
        let between = middle(others.iter().map(|(median, _)| (median - centre).abs()).collect());
        let sigma = 1.4826 * within.hypot(between);
        log(&of[own]).iter().map(|x| (x - centre) / sigma).collect()
    };
    let of: Vec<Vec<u64>> = (1..=7_u64)
        .map(|n| spread(50 + 11 * n, 300.0 * n as f64, 4_000.0 + 700.0 * n as f64))
        .chain([spread(300, 3.0, 9_000.0)])
        .collect();
    let batch = of.iter().zip(1..).map(|(list, n)| goods(n, list.iter().copied())).collect();
    let found = figures(Kind::LowValuePerKg, &[(0, batch)]);
    let mut low = 0;
    for (own, (_, figure)) in found.iter().enumerate() {
        let z = exact(&of, own);
        assert_eq!(figure.denominator, z.len() as u64);
        // Of 0.6 and more of sigma, 2 buckets of 0.0108 in the distance, 1.5 in each deviation, and what lies between
        // the two values in the middle, of which the lower one is taken here.
        let below = |bound: f64| z.iter().filter(|z| **z < bound).count() as u64;
        let (least, most) = (below(-3.3), below(-2.7));
        assert!((least..=most).contains(&figure.numerator), "{own}: {least} {most} {figure:?}");
        low += least;
    }
    assert!(low > 50, "{low}");
}

#[test]
fn an_own_level_does_not_show_and_low_values_among_others_do() {
    // One in ten is worth an eighth of what it should be, of one who is dear; another one is cheap in all.
    let some_low = |list: Vec<u64>| -> Vec<u64> {
        let low = |(n, cents)| if n % 10 == 0 { cents / 8 } else { cents };
        list.into_iter().enumerate().map(low).collect()
    };
    let mut of: Vec<Vec<u64>> = (1..=6).map(|_| spread(400, 500.0, 2_000.0)).collect();
    of.push(some_low(spread(400, 750.0, 3_000.0)));
    of.push(spread(400, 250.0, 1_000.0));
    let batch: Vec<_> =
        of.iter().zip(1..).map(|(list, n)| goods(n, list.iter().copied())).collect();
    let found = figures(Kind::LowForActor, &[(0, batch.clone())]);
    assert_eq!(found.len(), 8);
    for (own, (_, figure)) in found.iter().enumerate() {
        // As many for each doubling, from one end to the other: a quarter of that is the median deviation, and 2
        // times 1.4826 of it lies below the low end, so that none is expected.
        let is_misbehaving = own == 6;
        let low = if is_misbehaving { 40 } else { 0 };
        assert_eq!((figure.numerator, figure.denominator), (low, 400), "{own}");
        assert!((figure.value() - low as f64 / 400.0).abs() < 1e-9, "{own} {figure:?}");
        assert!(figure.interval().is_none() && !figure.is_notable(), "400 lines say nothing yet");
    }

    // What others have as well is expected.
    let all: Vec<_> =
        (1..=6).map(|n| goods(n, some_low(spread(400, 500.0, 2_000.0)).into_iter())).collect();
    for (_, figure) in figures(Kind::LowForActor, &[(0, all)]) {
        assert_eq!((figure.numerator, figure.value().abs() < 1e-9), (40, true), "{figure:?}");
    }
    // So is one who lies wide on both sides, and not one who does below alone, though it has as many low.
    let wide = |list: Vec<u64>| -> Vec<u64> {
        let high = |(n, cents)| if n % 10 == 5 { cents * 8 } else { cents };
        some_low(list).into_iter().enumerate().map(high).collect()
    };
    let mut both = of[..6].to_vec();
    both.push(wide(spread(400, 750.0, 3_000.0)));
    let both: Vec<_> =
        both.iter().zip(1..).map(|(list, n)| goods(n, list.iter().copied())).collect();
    let found = figures(Kind::LowForActor, &[(0, both)]);
    let (_, figure) = found.last().unwrap();
    assert_eq!((figure.numerator, figure.value().abs() < 1e-9), (40, true), "{figure:?}");
    let high = figure.parts.iter().map(|part| (part.what.as_str(), part.count));
    assert_eq!(high.collect::<Vec<_>>(), [("(high)", 40)]);
    // Each needs 30 lines of the code, and three others that have as many.
    let few = [batch[..3].to_vec(), vec![goods(9, spread(29, 500.0, 2_000.0).into_iter())]];
    assert_eq!(figures(Kind::LowForActor, &[(0, few.concat())]).len(), 0);
    // The days before count.
    let later = [(0, batch[..7].to_vec()), (89, vec![goods(7, [100].into_iter())])];
    assert_eq!(first(Kind::LowForActor, &later), (1, 1));
}

#[test]
fn a_price_that_several_exporters_have() {
    let priced = |exporter, cents| Given {
        exporter,
        lines: vec![Line { hs6: "610910", cents }],
        ..accepted()
    };
    let two = vec![priced(1, 999), priced(2, 999), priced(1, 999), priced(1, 50)];
    assert_eq!(first(Kind::RepeatedPrice, &[(0, two.clone())]), (0, 4));
    let three = [two, vec![priced(3, 999)]].concat();
    assert_eq!(first(Kind::RepeatedPrice, &[(0, three.clone())]), (4, 5));
    let figure = figures(Kind::RepeatedPrice, &[(0, three)])[0].1.clone();
    let parts: Vec<_> = figure.parts.iter().map(|part| (part.what.as_str(), part.count)).collect();
    assert_eq!(parts, [("610910 EUR 9.99", 4), ("(exporters)", 3)]);
    assert!(figure.interval().is_none() && !figure.is_notable(), "5 lines say nothing");
}

#[test]
fn importers_who_receive_much() {
    let parcels = |count| vec![accepted(); count];
    let elsewhere = Given { importer: 2, ..accepted() };
    assert_eq!(first(Kind::RepeatConsignee, &[(0, parcels(9))]), (0, 9));
    let with_other = [parcels(10), vec![elsewhere]].concat();
    assert_eq!(first(Kind::RepeatConsignee, &[(0, with_other)]), (10, 11));
    assert_eq!(first(Kind::RepeatConsignee, &[(0, parcels(9)), (6, parcels(1))]), (1, 1));
    assert_eq!(first(Kind::RepeatConsignee, &[(0, parcels(9)), (7, parcels(1))]), (0, 1));
    let of_another = Given { declarant: 2, ..accepted() };
    let batches = [(0, vec![of_another; 9]), (6, parcels(1))];
    assert_eq!(first(Kind::RepeatConsignee, &batches), (1, 1));
}

#[test]
fn gifts_that_may_be_none() {
    let gift = Given { is_gift: true, ..accepted() };
    let gifts = |count| vec![gift.clone(); count];
    let sale = accepted();
    let commercial = Given { is_commercial: true, ..gift.clone() };
    assert_eq!(first(Kind::GiftCluster, &[(0, [gifts(4), vec![sale]].concat())]), (0, 4));
    assert_eq!(first(Kind::GiftCluster, &[(0, gifts(5))]), (5, 5));
    assert_eq!(first(Kind::GiftCluster, &[(0, gifts(4)), (6, gifts(1))]), (1, 1));
    assert_eq!(first(Kind::GiftCluster, &[(0, gifts(4)), (7, gifts(1))]), (0, 1));
    assert_eq!(first(Kind::GiftCluster, &[(0, vec![gift.clone(), commercial])]), (1, 2));
    // Those without an exporter have none in common.
    let nameless = Given { exporter: 0, ..gift };
    assert_eq!(first(Kind::GiftCluster, &[(0, vec![nameless; 6])]), (0, 6));
}
