//! Each indicator where it was planted, and one step beside it not.

use super::making::{Given, Line, World, accepted, day};
use super::reading::all;
use crate::day::Day;
use crate::insight::{Figure, Kind};
use crate::summary::Role;

const FIRST: &str = "2026-11-05";

/// The figures of declarant 1 on the first day, of batches on days from then on.
fn figures(batches: &[(u16, Vec<Given>)]) -> Vec<Figure> {
    on_day(day(FIRST), batches)
}

fn on_day(of: Day, batches: &[(u16, Vec<Given>)]) -> Vec<Figure> {
    let mut world = World::new();
    let first = day(FIRST).0;
    let batches: Vec<_> = batches.iter().map(|(step, b)| (first + step, b.clone())).collect();
    world.write_set(&batches);
    let mut insight = world.insight();
    insight.round(&|| false).unwrap();
    let of_first = all(&insight, Role::Declarant).into_iter();
    let of_first = of_first.filter(|f| f.day == of && f.id.as_str() == "NL810000001");
    of_first.map(|finding| finding.figure).collect()
}

fn of(kind: Kind, figures: &[Figure]) -> Figure {
    figures.iter().find(|figure| figure.kind == kind).unwrap().clone()
}

fn worth(cents: u64) -> Given {
    Given { lines: vec![Line { hs6: "610910", cents }], document: 0, ..accepted() }
}

#[test]
fn a_consignment_that_is_split_up() {
    let split = |batches: &[(u16, Vec<Given>)]| {
        let figure = of(Kind::Split, &figures(batches));
        (figure.numerator, figure.denominator)
    };
    let (half, more) = (worth(7_500), worth(7_501));
    assert_eq!(split(&[(0, vec![half.clone(), half.clone()])]), (0, 2));
    assert_eq!(split(&[(0, vec![half.clone(), more.clone()])]), (2, 2));
    // The day after counts with it, the one after that does not.
    assert_eq!(split(&[(0, vec![half.clone()]), (1, vec![more.clone()])]), (1, 1));
    assert_eq!(split(&[(0, vec![half.clone()]), (2, vec![more.clone()])]), (0, 1));
    // Another importer, another exporter; the same of another declarant.
    let other = Given { importer: 2, ..more.clone() };
    assert_eq!(split(&[(0, vec![half.clone(), other])]), (0, 2));
    let other = Given { exporter: 2, ..more.clone() };
    assert_eq!(split(&[(0, vec![half.clone(), other])]), (0, 2));
    let other = Given { declarant: 2, ..more };
    assert_eq!(split(&[(0, vec![half.clone(), other])]), (1, 1));
    // One that is above alone is no part of a split.
    assert_eq!(split(&[(0, vec![half, worth(15_001)])]), (0, 2));

    let figure = of(Kind::Split, &figures(&[(0, vec![worth(9_000), worth(9_000)])]));
    assert_eq!(figure.kind.flag(), Some("CONSIGNMENT_SPLIT_SUSPECT"));
    let examples: Vec<_> = figure.examples.iter().map(|e| (e.ordinal.0, e.group)).collect();
    assert_eq!(examples, [(0, 1), (1, 1)]);
    assert!(figure.is_notable());
    let (lower, upper) = figure.interval().unwrap();
    assert!((0.3..0.4).contains(&lower) && upper == 1.0, "{lower} {upper}");
}

#[test]
fn a_transport_document_that_comes_twice() {
    let twice = |of: Day, batches: &[(u16, Vec<Given>)]| {
        let figure = self::of(Kind::DuplicateDocument, &on_day(of, batches));
        let examples: Vec<_> = figure.examples.iter().map(|e| e.ordinal.0).collect();
        (figure.numerator, figure.denominator, examples)
    };
    let (one, first) = (accepted(), day(FIRST));
    let unlike = Given { document: 2, ..accepted() };
    assert_eq!(twice(first, &[(0, vec![one.clone(), unlike.clone()])]), (0, 2, vec![]));
    // The later ones are the duplicates.
    let again = vec![one.clone(), unlike, one.clone(), one.clone()];
    assert_eq!(twice(first, &[(0, again)]), (2, 4, vec![2, 3]));
    let other = Given { declarant: 2, ..accepted() };
    assert_eq!(twice(first, &[(0, vec![one.clone(), other.clone()])]), (0, 1, vec![]));
    assert_eq!(twice(first, &[(0, vec![other, one.clone()])]), (1, 1, vec![1]));
    for (days, found) in [(27, (1, 1, vec![1])), (28, (0, 1, vec![]))] {
        let batches = [(0, vec![one.clone()]), (days, vec![one.clone()])];
        assert_eq!(twice(Day(first.0 + days), &batches), found, "{days}");
    }
    let none = Given { document: 0, ..accepted() };
    let figures = figures(&[(0, vec![none.clone(), none])]);
    assert!(figures.iter().all(|figure| figure.kind != Kind::DuplicateDocument));
}

#[test]
fn few_codes_and_few_importers() {
    let code = |hs6| Line { hs6, cents: 100 };
    let codes = ["610910", "950300", "610910", "851712", "392690", "950300", "610910", "nothing"];
    let lines = codes.map(code).to_vec();
    let batch = vec![
        Given { lines, ..accepted() },
        Given { importer: 2, ..accepted() },
        Given { importer: 2, ..accepted() },
        Given { importer: 0, ..accepted() },
    ];
    let figures = figures(&[(0, batch)]);
    let top = of(Kind::TopHs6, &figures);
    assert_eq!((top.numerator, top.denominator), (6, 10));
    assert_eq!(
        top.parts.iter().map(|p| (p.what.as_str(), p.count)).collect::<Vec<_>>(),
        [("610910", 6)]
    );
    assert!(top.interval().is_none() && !top.is_notable(), "10 lines say nothing");
    let top3 = of(Kind::Top3Hs6, &figures);
    // Of the two with one line each, that with the lower code.
    let parts: Vec<_> = top3.parts.iter().map(|p| (p.what.as_str(), p.count)).collect();
    assert_eq!(parts, [("610910", 6), ("950300", 2), ("392690", 1)]);
    assert_eq!((top3.numerator, top3.denominator), (9, 10));
    let hhi = of(Kind::ImporterConcentration, &figures);
    assert_eq!((hhi.numerator, hhi.denominator), (1 + 4, 9));
    let importer = of(Kind::TopImporter, &figures);
    assert_eq!((importer.numerator, importer.denominator), (2, 3));
    assert_eq!(importer.examples[0].ordinal.0, 1);
}

#[test]
fn an_address_with_many_names() {
    let at = |names: u16| {
        let batch: Vec<_> = (1..=names).map(|importer| Given { importer, ..accepted() }).collect();
        let elsewhere = Given { address: 2, ..accepted() };
        let figure = of(Kind::CrowdedAddress, &figures(&[(0, [batch, vec![elsewhere]].concat())]));
        (figure.numerator, figure.denominator)
    };
    assert_eq!(at(9), (0, 10));
    assert_eq!(at(10), (10, 11));
}
