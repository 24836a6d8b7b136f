//! The figures as one would count them with all declarations at hand.

use std::collections::{BTreeMap, BTreeSet};

use super::making::{Given, declarant, ioss};
use super::{ioss, reading};
use crate::day::Day;
use crate::insight::{EXAMPLES_MAX, Insight, Kind};
use crate::outcome::Outcome;
use crate::summary::Role;

pub(super) type Placed = (Day, u64, Given);
/// Numerator, denominator and the ordinals that may be examples.
pub(super) type Counted = (u64, u64, BTreeSet<u64>);

fn actors(given: &Given) -> Vec<(Role, String)> {
    let mut actors = vec![(Role::Declarant, declarant(given.declarant))];
    if given.representative > 0 {
        actors.push((Role::Representative, declarant(given.representative)));
    }
    if given.ioss > 0 {
        actors.push((Role::IossHolder, ioss(given.ioss)));
    }
    actors
}

pub(super) fn around(day: Day, before: u16, after: u16, other: Day) -> bool {
    (day.0.saturating_sub(before)..=day.0 + after).contains(&other.0)
}

/// Of one actor: its accepted declarations of the day, beside all accepted ones.
fn count(kind: Kind, day: Day, own: &[&Placed], all: &[&Placed]) -> Counted {
    let of_day = |found: &&&Placed| found.0 == day;
    let mut codes: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (_, ordinal, given) in own {
        let lines = given.lines.iter().filter(|line| line.hs6.len() == 6);
        lines.for_each(|line| codes.entry(line.hs6).or_default().push(*ordinal));
    }
    let of = |is: &dyn Fn(&Placed) -> bool| -> BTreeSet<u64> {
        own.iter().filter(|found| is(found)).map(|(_, ordinal, _)| *ordinal).collect()
    };
    let share = |is: &dyn Fn(&Placed) -> bool, out_of: &dyn Fn(&Placed) -> bool| {
        let found = of(&|placed| out_of(placed) && is(placed));
        (found.len() as u64, of(out_of).len() as u64, found)
    };
    let mut importers: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
    for (_, ordinal, given) in own.iter().filter(|(.., given)| given.importer > 0) {
        // Another street, or none, is the same person.
        importers.entry(given.importer).or_default().push(*ordinal);
    }
    let named: u64 = importers.values().map(|list| list.len() as u64).sum();
    match kind {
        Kind::TopHs6 | Kind::Top3Hs6 => {
            let mut largest: Vec<_> = codes.iter().collect();
            largest.sort_by_key(|(code, lines)| (std::cmp::Reverse(lines.len()), **code));
            largest.truncate(if kind == Kind::TopHs6 { 1 } else { 3 });
            let lines =
                |list: &[(&&str, &Vec<u64>)]| list.iter().map(|(_, l)| l.len() as u64).sum();
            let examples = largest.iter().map(|(_, lines)| lines[0]).collect();
            (lines(&largest), codes.values().map(|l| l.len() as u64).sum(), examples)
        }
        Kind::ImporterConcentration => {
            let squares = importers.values().map(|list| (list.len() as u64).pow(2)).sum();
            (squares, named * named, BTreeSet::new())
        }
        Kind::TopImporter => {
            let most = importers.values().map(Vec::len).max().unwrap_or(0);
            let largest = importers.values().filter(|list| list.len() == most);
            // Of equal ones any may be named.
            (most as u64, named, largest.map(|list| list[0]).collect())
        }
        Kind::CrowdedAddress => share(
            &|(.., given)| {
                let there =
                    all.iter().filter(of_day).filter(|(.., of)| of.address == given.address);
                let names: BTreeSet<_> =
                    there.map(|(.., of)| of.importer).filter(|n| *n > 0).collect();
                names.len() >= 10
            },
            &|(.., given)| given.address > 0,
        ),
        Kind::Split => share(
            &|(.., given)| {
                if given.exporter == 0 || given.importer == 0 {
                    return false;
                }
                let parties = |of: &Given| (of.exporter, of.is_gift, of.importer);
                let group = all.iter().filter(|(on, ..)| around(day, 1, 1, *on));
                let group = group.filter(|(.., of)| parties(of) == parties(given));
                let cents: Vec<u64> = group.map(|(.., of)| of.cents()).collect();
                cents.len() > 1
                    && cents.iter().all(|cents| *cents <= 15_000)
                    && cents.iter().sum::<u64>() > 15_000
            },
            &|_| true,
        ),
        Kind::IossDeclarants
        | Kind::IossNewDeclarants
        | Kind::IossSpike
        | Kind::IossExporters
        | Kind::IossMonth => (0, 0, BTreeSet::new()),
        // Need 30 lines of each of four actors: see `prices`.
        Kind::LowValuePerKg | Kind::LowForActor => (0, 0, BTreeSet::new()),
        Kind::JoinedGoods => {
            let lines =
                own.iter().flat_map(|(_, ordinal, g)| g.lines.iter().map(|l| (*ordinal, l)));
            let joined = lines.clone().filter(|(_, line)| line.description().contains(" and "));
            let examples = joined.clone().map(|(ordinal, _)| ordinal).collect();
            (joined.count() as u64, lines.count() as u64, examples)
        }
        Kind::ExporterNumbers => share(
            &|(.., given)| {
                let parties = |of: &Given| (of.declarant, of.exporter, of.is_gift);
                let mut numbers: BTreeMap<u16, u64> = BTreeMap::new();
                let week = all.iter().filter(|(on, ..)| around(day, 6, 0, *on));
                week.filter(|(.., of)| parties(of) == parties(given) && of.ioss > 0)
                    .for_each(|(.., of)| *numbers.entry(of.ioss).or_default() += 1);
                let most = numbers.values().max();
                numbers.iter().find(|(_, count)| Some(*count) == most).unwrap().0 != &given.ioss
            },
            &|(.., given)| given.exporter > 0 && given.ioss > 0,
        ),
        Kind::RepeatedPrice => {
            let mut prices: BTreeMap<(&str, u64), Vec<&Placed>> = BTreeMap::new();
            for found in own {
                let lines = found.2.lines.iter().filter(|line| line.hs6.len() == 6);
                lines.for_each(|l| prices.entry((l.hs6, l.cents)).or_default().push(found));
            }
            let all = prices.values().map(|list| list.len() as u64).sum();
            let exporters = |list: &[&Placed]| {
                let known = list.iter().filter(|(.., given)| given.exporter > 0);
                known.map(|(.., g)| (g.exporter, g.is_gift)).collect::<BTreeSet<_>>().len()
            };
            let several: Vec<_> = prices.values().filter(|list| exporters(list) >= 3).collect();
            let most = several.iter().map(|list| list.len() as u64).max().unwrap_or(0);
            let named = several.iter().flat_map(|list| list.iter().map(|(_, ordinal, _)| *ordinal));
            (most, all, named.collect())
        }
        Kind::RepeatConsignee => share(
            &|(.., given)| {
                let week = all.iter().filter(|(on, ..)| around(day, 6, 0, *on));
                week.filter(|(.., of)| of.importer == given.importer).count() >= 10
            },
            &|(.., given)| given.importer > 0,
        ),
        Kind::GiftCluster => share(
            &|(.., given)| {
                let week = all.iter().filter(|(on, ..)| around(day, 6, 0, *on));
                let same = week.filter(|(.., of)| of.is_gift && of.exporter == given.exporter);
                given.is_commercial || (given.exporter > 0 && same.count() >= 5)
            },
            &|(.., given)| given.is_gift,
        ),
        Kind::DuplicateDocument => share(
            &|(_, ordinal, given)| {
                let before = all.iter().filter(|(on, ..)| around(day, 27, 0, *on));
                before
                    .filter(|(_, of, _)| of < ordinal)
                    .any(|(.., of)| of.document == given.document)
            },
            &|(.., given)| given.document > 0,
        ),
    }
}

/// All figures that `insight` gives are those of a plain count, and no other is missing.
pub(in crate::insight) fn assert_same(insight: &Insight, placed: &[Placed]) {
    let all: Vec<_> =
        placed.iter().filter(|(.., given)| given.outcome == Outcome::Accepted).collect();
    let days: BTreeSet<Day> = placed.iter().map(|(day, ..)| *day).collect();
    let mut of: BTreeMap<(Day, Role, String), Vec<&Placed>> = BTreeMap::new();
    for found in &all {
        for (role, id) in actors(&found.2) {
            of.entry((found.0, role, id)).or_default().push(found);
        }
    }
    let mut found = BTreeMap::new();
    for role in Role::ALL {
        for finding in reading::all(insight, role) {
            assert_eq!(finding.missing_days, 0);
            let key = (finding.day, role, finding.id.to_string(), finding.figure.kind);
            assert!(found.insert(key, finding.figure).is_none());
        }
    }
    for ((day, role, id), own) in &of {
        for kind in Kind::all() {
            let of_number = match role {
                Role::IossHolder => ioss::count(kind, *day, own[0].2.ioss, &all, &days),
                _ => None,
            };
            let (numerator, denominator, examples) =
                of_number.unwrap_or_else(|| count(kind, *day, own, &all));
            let key = (*day, *role, id.clone(), kind);
            let Some(figure) = found.remove(&key) else {
                assert_eq!(denominator, 0, "{key:?} is missing");
                continue;
            };
            assert_eq!((figure.numerator, figure.denominator), (numerator, denominator), "{key:?}");
            let named: BTreeSet<_> = figure.examples.iter().map(|e| e.ordinal.0).collect();
            assert!(named.is_subset(&examples), "{key:?}: {named:?} of {examples:?}");
            if matches!(kind, Kind::Split | Kind::DuplicateDocument | Kind::CrowdedAddress) {
                assert_eq!(named.len(), examples.len().min(EXAMPLES_MAX), "{key:?}");
            }
            for example in &figure.examples {
                let (.., given) =
                    placed.iter().find(|(_, of, _)| *of == example.ordinal.0).unwrap();
                assert_eq!(example.declarant.as_str(), declarant(given.declarant));
            }
        }
    }
    // A month has those as well that declared nothing on the day.
    for ((day, role, id, kind), figure) in found {
        assert_eq!((role, kind), (Role::IossHolder, Kind::IossMonth), "{day} {id}");
        let number = id[5..].parse().unwrap();
        let (numerator, denominator, _) = ioss::count(kind, day, number, &all, &days).unwrap();
        assert_eq!((figure.numerator, figure.denominator), (numerator, denominator), "{day} {id}");
    }
}
