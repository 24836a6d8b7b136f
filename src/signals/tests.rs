//! Who stands out does, and who only looks so does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::input::Figures;
use super::rule::RULES;
use super::scan::{Series, Signal, scan};
use crate::day::Day;
use crate::insight::{Kind, Part};
use crate::rules::finding::Reason;
use crate::summary::{ActorId, Role};

const FIRST: u16 = 20_000;

fn id(number: usize) -> ActorId {
    ActorId::parse(Role::Declarant, &format!("NL81000{number:04}")).unwrap()
}

/// A declarant's days, from `figures` of each.
fn series(number: usize, days: impl Iterator<Item = (u16, Figures)>) -> Series {
    Series { id: id(number), days: days.map(|(n, of)| (Day(FIRST + n), of)).collect() }
}

/// Of an indicator, day after day.
fn of(name: &str, count: (u64, u64)) -> Figures {
    let mut figures = Figures::default();
    figures.take_indicator(name, count.0, count.1);
    figures
}

fn vague(number: usize, by_day: &[u64], all: u64) -> Series {
    let days = by_day.iter().zip(0..);
    let figures = |count: u64| of("vague_description_rate", (count, all));
    series(number, days.map(|(count, n)| (n, figures(*count))))
}

fn honest() -> Vec<Series> {
    (1..=5).map(|n| vague(n, &[4; 28], 1_000)).collect()
}

fn told(all: &[Series]) -> Vec<(String, &'static str, u16, u16)> {
    let place = |day: Day| day.0 - FIRST;
    let told = |s: Signal| (s.id.to_string(), s.rule.name, place(s.days.0), place(s.days.1));
    scan(all).into_iter().map(told).collect()
}

#[test]
fn who_stands_out_is_named_with_the_days_on_which_it_does_most() {
    assert_eq!(told(&honest()), []);
    let always = [honest(), vec![vague(9, &[20; 28], 1_000)]].concat();
    let who = id(9).to_string();
    assert_eq!(told(&always), [(who.clone(), "vagueness", 0, 27)]);
    // For a few days, which over all of them would be lost.
    let mut by_day = [4; 28];
    by_day[11..18].fill(30);
    let briefly = [honest(), vec![vague(9, &by_day, 1_000)]].concat();
    assert_eq!(told(&briefly), [(who, "vagueness", 11, 17)]);
}

#[test]
fn chance_is_no_signal() {
    // As high, of fewer.
    let few = [honest(), vec![vague(9, &[1; 7], 30)]].concat();
    assert_eq!(told(&few), []);
}

#[test]
fn what_all_do_is_usual_and_one_does_not_tell_itself_what_is() {
    let all: Vec<_> = (1..=5).map(|n| vague(n, &[20; 28], 1_000)).collect();
    assert_eq!(told(&all), []);
    // However much it declares.
    let large = [honest(), vec![vague(9, &[20_000; 28], 1_000_000)]].concat();
    assert_eq!(told(&large).len(), 1);
    // Without others nothing is usual.
    assert_eq!(told(&[vague(9, &[20; 28], 1_000)]).len(), 1);
    assert_eq!(told(&[]), []);
    assert_eq!(told(&[series(1, std::iter::empty())]), []);
}

#[test]
fn what_other_figures_explain_is_taken_off() {
    let with = |joined: u64| {
        let mut figures = of("hs_mismatch_rate", (30, 1_000));
        figures.take_indicator("joined_goods_rate", joined, 1_000);
        [series(1, (0..28).map(|n| (n, figures)))]
    };
    let rules =
        |all: &[Series]| told(all).into_iter().map(|(_, rule, ..)| rule).collect::<Vec<_>>();
    assert_eq!(rules(&with(0)), ["misclassification"]);
    assert_eq!(rules(&with(60)), ["merging"]);
}

#[test]
fn a_price_counts_if_many_exporters_have_it_and_low_values_as_far_as_they_are_beyond_expectation() {
    let priced = |exporters| {
        let mut figures = Figures::default();
        let part = |what: &str, count| Part { what: what.to_owned(), count };
        let parts = [part("610910 EUR 9.99", 90), part("(exporters)", exporters)];
        figures.take_finding(Kind::RepeatedPrice, (90, 1_000), None, &parts);
        told(&[series(1, (0..7).map(|n| (n, figures)))]).len()
    };
    assert_eq!((priced(9), priced(10)), (0, 1));
    let low = |beyond, high| {
        let mut figures = Figures::default();
        let high = Part { what: "(high)".to_owned(), count: high };
        figures.take_finding(Kind::LowForActor, (90, 1_000), Some(beyond), &[high]);
        told(&[series(1, (0..7).map(|n| (n, figures)))]).len()
    };
    assert_eq!((low(0.0, 0), low(-0.02, 0), low(0.03, 0)), (0, 0, 1));
    // 4 times √(7 · (90 + 900)), of 7,000: the more lie wide, the more is chance.
    assert_eq!((low(0.03, 60), low(0.03, 900), low(0.06, 900)), (1, 0, 1));
}

#[test]
fn low_values_of_who_sells_one_kind_above_all_are_its_own_price_list() {
    let rules = |top: u64, low: u64, beyond: f64| {
        let mut figures = of("top_hs6_share", (top, 10_000));
        figures.take_finding(Kind::LowForActor, (low, 10_000), Some(beyond), &[]);
        let told = told(&[series(1, (0..28).map(|n| (n, figures)))]);
        told.into_iter().map(|(_, rule, ..)| rule).collect::<Vec<_>>()
    };
    // As booksellers of worlds have them, whose share is 0.81; and as one that undervalues has.
    assert_eq!(rules(8_130, 1_300, 0.12), [] as [&str; 0]);
    assert_eq!(rules(640, 1_300, 0.12), ["undervaluation"]);
    // Beyond what a price list comes to.
    assert_eq!(rules(8_130, 3_000, 0.28), ["undervaluation"]);
}

#[test]
fn next_to_nothing_is_told_from_too_little_and_from_what_is_always_cheap() {
    let rules = |below_euro: u64, low: u64, high: u64, beyond: f64| {
        let mut figures = of("value_below_eur_1_rate", (below_euro, 10_000));
        let high = Part { what: "(high)".to_owned(), count: high };
        figures.take_finding(Kind::LowForActor, (low, 10_000), Some(beyond), &[high]);
        let told = told(&[series(1, (0..28).map(|n| (n, figures)))]);
        told.into_iter().map(|(_, rule, ..)| rule).collect::<Vec<_>>()
    };
    // Figures as worlds have them: samples, goods at EUR 0.01, a bookseller's usual ones, 0.42 of all values.
    assert_eq!(rules(4_800, 150, 190, -0.009), [] as [&str; 0]);
    assert_eq!(rules(900, 1_000, 250, 0.076), ["nominal_value"]);
    assert_eq!(rules(10, 220, 210, 0.0), [] as [&str; 0]);
    assert_eq!(rules(214, 576, 292, 0.0271), ["undervaluation"]);
}

#[test]
fn each_rule_has_a_name_of_its_own_and_looks_at_what_there_is() {
    let names: std::collections::BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
    for rule in RULES {
        let name = rule.indicator();
        let is_known = crate::summary::is_indicator(name) || Kind::parse(name).is_some();
        assert!(is_known || Reason::parse(name).is_some(), "{name}");
    }
}

proptest! {
    /// As one would do it with pencil and paper: a share at a time, every window from its own sum.
    #[test]
    fn signals_are_those_of_a_plain_count(
        of in proptest::collection::vec(proptest::collection::vec((0..80_u64, 0..4_u8), 1..30), 1..6),
    ) {
        let all: Vec<_> = of
            .iter()
            .enumerate()
            .map(|(n, days)| {
                // Not every day has declarations.
                let days = days.iter().zip(0..).filter(|((_, kind), _)| *kind > 0);
                series(n, days.map(|((count, _), day)| (day, self::of("vague_description_rate", (*count, 1_000)))))
            })
            .collect();
        let found: BTreeMap<_, _> = scan(&all).into_iter().map(|s| (s.id, s)).collect();
        let rule = RULES.iter().find(|rule| rule.name == "vagueness").unwrap();
        let sum = |days: &BTreeMap<Day, Figures>, from: u16, to: u16| -> (u64, u64) {
            let within = days.range(Day(from)..=Day(to));
            within.fold((0, 0), |(k, n), (_, day)| {
                let count = day.of(super::input::Input::Vague);
                (k + count.numerator as u64, n + count.denominator as u64)
            })
        };
        for (own, series) in all.iter().enumerate() {
            let others = all.iter().enumerate().filter(|(n, _)| *n != own);
            let mut values: Vec<f64> = others
                .map(|(_, other)| sum(&other.days, 0, u16::MAX))
                .filter(|(_, n)| *n > 0)
                .map(|(k, n)| k as f64 / n as f64)
                .collect();
            values.sort_by(f64::total_cmp);
            let half = values.len() / 2;
            let usual = match values.len() {
                0 => 0.0,
                odd if odd % 2 == 1 => values[half],
                _ => (values[half - 1] + values[half]) / 2.0,
            };
            let mut best = f64::NEG_INFINITY;
            let last = series.days.keys().last().map_or(0, |day| day.0);
            let starts = series.days.keys().map(|day| (day.0, day.0 + 6)).filter(|(_, end)| *end <= last);
            for (from, to) in std::iter::once((0, u16::MAX)).chain(starts) {
                let (k, n) = sum(&series.days, from, to);
                if n > 0 {
                    let (p, n, z2) = (k as f64 / n as f64, n as f64, 16.0);
                    let root = (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
                    let lower = if k == 0 { 0.0 } else { (p + z2 / (2.0 * n) - 4.0 * root) / (1.0 + z2 / n) };
                    best = best.max(lower - usual - rule.above);
                }
            }
            match found.get(&series.id) {
                Some(signal) => prop_assert!((signal.margin() - best).abs() < 1e-9, "{signal:?} {best}"),
                None => prop_assert!(best <= 1e-12, "{best}"),
            }
        }
    }
}
