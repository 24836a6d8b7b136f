//! What is found of IOSS numbers, as one would count it, and where it was planted.

use std::collections::{BTreeMap, BTreeSet};

use super::making::{Given, Line, World, accepted, day};
use super::model::{Counted, Placed, around};
use super::reading::all;
use crate::day::Day;
use crate::insight::{Figure, Kind};
use crate::summary::Role;

/// Of one IOSS number; `None` where it is not what this is about.
pub(super) fn count(
    kind: Kind,
    day: Day,
    ioss: u16,
    all: &[&Placed],
    days: &BTreeSet<Day>,
) -> Option<Counted> {
    let under = |before: u16| {
        all.iter().filter(move |(on, _, given)| given.ioss == ioss && around(day, before, 0, *on))
    };
    let on_day = || under(0);
    let consignments = |before| under(before).count() as u64;
    match kind {
        Kind::IossDeclarants => {
            let declarants: BTreeSet<_> = under(6).map(|(.., given)| given.declarant).collect();
            Some((declarants.len() as u64, consignments(6), BTreeSet::new()))
        }
        Kind::IossNewDeclarants => {
            let before = || under(27).filter(|(on, ..)| *on < day);
            let known: BTreeSet<_> = before().map(|(.., given)| given.declarant).collect();
            let mut new: BTreeMap<u16, u64> = BTreeMap::new();
            for (_, ordinal, given) in on_day().filter(|(.., g)| !known.contains(&g.declarant)) {
                new.entry(given.declarant).or_insert(*ordinal);
            }
            let is_known = before().next().is_some();
            let denominator = if is_known { consignments(0) } else { 0 };
            Some((new.len() as u64, denominator, new.values().copied().collect()))
        }
        Kind::IossSpike => {
            let cents = |of: Day| -> u64 {
                under(27).filter(|(on, ..)| *on == of).map(|(.., given)| given.cents()).sum()
            };
            let first = under(27).map(|(on, ..)| *on).min()?;
            let before: Vec<u64> = days.range(first..day).map(|on| cents(*on)).collect();
            let mean = level(&before).map_or(0, |(mean, _)| (mean.round() as u64).max(1));
            let numerator = if mean > 0 { cents(day) } else { 0 };
            Some((numerator, mean, BTreeSet::new()))
        }
        Kind::IossExporters => {
            let exporters = on_day().filter(|(.., given)| given.exporter > 0);
            let exporters: BTreeSet<_> = exporters.map(|(.., g)| (g.exporter, g.is_gift)).collect();
            let lines: usize = on_day().map(|(.., given)| given.lines.len()).sum();
            Some((exporters.len() as u64, lines as u64, BTreeSet::new()))
        }
        Kind::IossMonth => {
            let (year, month, _) = day.year_month_day();
            let of_month = || {
                under(30).filter(move |(on, ..)| {
                    let (of_year, of_month, _) = on.year_month_day();
                    (of_year, of_month) == (year, month)
                })
            };
            let cents = of_month().map(|(.., given)| given.cents()).sum();
            Some((cents, of_month().count() as u64, BTreeSet::new()))
        }
        _ => None,
    }
}

/// Mean and standard deviation by their weights, each day's written out: of the mean (1 - λ)^k λ for the day k
/// before the last, the first one's (1 - λ)^n; of the variance step by step.
fn level(before: &[u64]) -> Option<(f64, f64)> {
    if before.len() < 7 || before.iter().all(|cents| *cents == before[0]) {
        return None;
    }
    let weighted = |days: &[u64]| {
        let last = days.len() - 1;
        let weight = |at: usize| 0.9_f64.powi((last - at) as i32) * if at == 0 { 1.0 } else { 0.1 };
        days.iter().enumerate().map(|(at, cents)| weight(at) * *cents as f64).sum::<f64>()
    };
    let mut variance = 0.0;
    for at in 1..before.len() {
        let difference = before[at] as f64 - weighted(&before[..at]);
        variance = 0.9 * (variance + 0.1 * difference * difference);
    }
    Some((weighted(before), variance.sqrt()))
}

fn under(ioss: u16, declarant: u16, cents: u64) -> Given {
    let lines = vec![Line { hs6: "610910", cents }];
    Given { ioss, declarant, lines, ..accepted() }
}

/// The figures of IOSS number 1 on the last day.
fn figures(batches: &[(u16, Vec<Given>)]) -> Vec<Figure> {
    let mut world = World::new();
    let first = day("2026-10-25").0;
    let batches: Vec<_> = batches.iter().map(|(step, b)| (first + step, b.clone())).collect();
    world.write_set(&batches);
    let mut insight = world.insight();
    insight.round(&|| false).unwrap();
    super::model::assert_same(&insight, world.placed());
    let last = batches.iter().map(|(day, _)| *day).max().unwrap();
    let found = all(&insight, Role::IossHolder).into_iter();
    let found = found.filter(|f| f.day == Day(last) && f.id.as_str() == "IM5280000001");
    found.map(|finding| finding.figure).collect()
}

fn of(kind: Kind, figures: &[Figure]) -> Option<Figure> {
    figures.iter().find(|figure| figure.kind == kind).cloned()
}

#[test]
fn a_number_that_many_declare_under_of_a_sudden() {
    let many: Vec<_> = (1..=5).map(|declarant| under(1, declarant, 900)).collect();
    let found = figures(&[(0, vec![under(1, 1, 900)]), (7, many.clone())]);
    let new = of(Kind::IossNewDeclarants, &found).unwrap();
    assert_eq!((new.numerator, new.denominator, new.value()), (4, 5, 4.0));
    assert_eq!(new.examples.len(), 4);
    assert!(new.is_notable() && new.interval().is_none());
    let declarants = of(Kind::IossDeclarants, &found).unwrap();
    assert_eq!((declarants.numerator, declarants.denominator), (5, 5));

    // Three are no jump; a number that is new itself has none; after 28 days one is new again.
    let found = figures(&[(0, vec![under(1, 1, 900)]), (6, many[..4].to_vec())]);
    assert!(!of(Kind::IossNewDeclarants, &found).unwrap().is_notable());
    assert_eq!(of(Kind::IossDeclarants, &found).unwrap().numerator, 4);
    assert_eq!(of(Kind::IossNewDeclarants, &figures(&[(0, many)])), None);
    let again = [(0, vec![under(1, 1, 9)]), (1, vec![under(1, 2, 9)]), (28, vec![under(1, 1, 9)])];
    assert_eq!(of(Kind::IossNewDeclarants, &figures(&again)).unwrap().numerator, 1);
}

#[test]
fn a_day_of_much_more_than_usual() {
    let mut batches: Vec<_> =
        (0..10).map(|step| (step, vec![under(1, 1, 10_000 + 500 * u64::from(step % 3))])).collect();
    // A day on which others declare, and this one does not, is a day of nothing.
    batches[4].1 = vec![under(2, 1, 500)];
    let usual = [batches.clone(), vec![(10, vec![under(1, 1, 10_500)])]].concat();
    let usual = of(Kind::IossSpike, &figures(&usual)).unwrap();
    assert!(!usual.is_notable() && usual.value().abs() < 1.0, "{usual:?}");
    let parcels = vec![under(1, 1, 15_000); 30];
    let spike = of(Kind::IossSpike, &figures(&[batches.clone(), vec![(10, parcels)]].concat()));
    let spike = spike.unwrap();
    let before: Vec<u64> =
        (0..10_u64).map(|step| if step == 4 { 0 } else { 10_000 + 500 * (step % 3) }).collect();
    let (mean, sigma) = level(&before).unwrap();
    let expected = (450_000.0 - mean) / sigma;
    assert!((spike.value() / expected - 1.0).abs() < 1e-9, "{spike:?} {expected}");
    assert!(spike.is_notable());
    let few = of(Kind::IossSpike, &figures(&batches[..7]));
    assert_eq!(few, None, "six days before say nothing");
}

#[test]
fn a_month_by_member_state_and_exporters_by_line() {
    let found = figures(&[
        // October.
        (0, vec![under(1, 1, 5_000)]),
        (7, vec![under(1, 1, 700), under(2, 1, 100)]),
        (8, vec![under(1, 2, 20), Given { exporter: 2, ..under(1, 1, 3) }]),
    ]);
    let month = of(Kind::IossMonth, &found).unwrap();
    assert_eq!((month.numerator, month.denominator, month.value()), (723, 3, 723.0));
    let parts: Vec<_> = month.parts.iter().map(|p| (p.what.as_str(), p.count)).collect();
    assert_eq!(parts, [("NL", 723)]);
    let exporters = of(Kind::IossExporters, &found).unwrap();
    assert_eq!((exporters.numerator, exporters.denominator), (2, 2));

    // On a day on which it declares nothing, its month is told all the same, and nothing else.
    let idle = figures(&[(7, vec![under(1, 1, 700)]), (9, vec![under(2, 1, 100)])]);
    let kinds: Vec<_> = idle.iter().map(|figure| (figure.kind, figure.numerator)).collect();
    assert_eq!(kinds, [(Kind::IossMonth, 700)]);
}

#[test]
fn an_exporter_under_another_number_than_its_own() {
    let figures = |role: Role, batches: &[(u16, Vec<Given>)]| -> Vec<(String, u64, u64)> {
        let mut world = World::new();
        let first = day("2026-10-25").0;
        let batches: Vec<_> = batches.iter().map(|(step, b)| (first + step, b.clone())).collect();
        world.write_set(&batches);
        let mut insight = world.insight();
        insight.round(&|| false).unwrap();
        super::model::assert_same(&insight, world.placed());
        let last = batches.iter().map(|(day, _)| *day).max().unwrap();
        let found = all(&insight, role).into_iter();
        let found = found.filter(|f| f.day == Day(last) && f.figure.kind == Kind::ExporterNumbers);
        found.map(|f| (f.id.to_string(), f.figure.numerator, f.figure.denominator)).collect()
    };
    let parcels = |ioss, declarant, count| vec![under(ioss, declarant, 900); count];
    // With another declarant it may well sell on another platform.
    let day = [parcels(1, 1, 5), parcels(2, 1, 2), parcels(2, 2, 3)].concat();
    let id = |number| format!("NL81000000{number}");
    let declarants = figures(Role::Declarant, &[(0, day.clone())]);
    assert_eq!(declarants, [(id(1), 2, 7), (id(2), 0, 3)]);
    let holders = figures(Role::IossHolder, &[(0, day)]);
    let number = |n| format!("IM528000000{n}");
    assert_eq!(holders, [(number(1), 0, 5), (number(2), 2, 5)]);
    // Which one is its own is told by the week.
    let with = |step| [(0, parcels(1, 1, 5)), (step, parcels(2, 1, 2))];
    assert_eq!(figures(Role::Declarant, &with(6)), [(id(1), 2, 2)]);
    assert_eq!(figures(Role::Declarant, &with(7)), [(id(1), 0, 2)]);
    let nameless = vec![Given { exporter: 0, ..under(1, 1, 900) }];
    assert_eq!(figures(Role::Declarant, &[(0, nameless)]), []);
}
