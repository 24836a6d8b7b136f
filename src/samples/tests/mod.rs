#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod estimating;
mod selecting;
mod storing;

use std::sync::Arc;

use super::*;
use crate::book::Recorder;
use crate::day::{Day, Moment};
use crate::id::{Eori, ShortText};
use crate::profiles::{Conditions, Range};

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn recorder(day: &str) -> Recorder {
    Recorder { by: "analyst".into(), at: Moment(1_793_876_400_000), on: self::day(day) }
}

fn terms(method: Method) -> Terms {
    Terms {
        name: "November".into(),
        purpose: "to see".into(),
        owner: "team".into(),
        first: day("2026-11-05"),
        last: day("2026-11-06"),
        conditions: Conditions::default(),
        method,
    }
}

fn fixed(size: u32) -> Method {
    Method::Fixed { size, strata: Vec::new() }
}

/// By HS chapter 61, by value of the goods item, and the rest.
fn strata(size: u32) -> Method {
    let hs = Conditions { hs_prefixes: vec!["61".into()], ..Conditions::default() };
    let low = Range { min: None, max: Some(1_000) };
    let low = Conditions { item_value: low, ..Conditions::default() };
    let stratum = |name: &str, conditions, expected_errors_per_million| Stratum {
        name: name.into(),
        conditions,
        expected_errors_per_million,
    };
    Method::Fixed {
        size,
        strata: vec![stratum("clothes", hs, 200_000), stratum("cheap", low, 50_000)],
    }
}

fn by_value(interval: u64) -> Method {
    let per_kg = |hs_prefix: &str, eur_cents| PerKg { hs_prefix: hs_prefix.into(), eur_cents };
    Method::ExpectedValue {
        interval,
        per_kg: vec![per_kg("", 2_000), per_kg("61", 3_000), per_kg("6109", 1_000)],
    }
}

fn plan(method: Method) -> Arc<Plan> {
    Arc::new(Plan {
        id: PlanId(1),
        terms: terms(method),
        secret: Secret::of([7; 32]),
        recorded_by: "analyst".into(),
        recorded_at: Moment(0),
        recorded_on: day("2026-11-01"),
    })
}

fn item(n: u32) -> ItemId {
    ItemId {
        declarant: Eori::parse(&format!("NL{}", n % 3 + 1)).unwrap(),
        lrn: ShortText::new(&format!("L{}", n / 2)).unwrap(),
        goods_item: n % 2 + 1,
    }
}

fn outcome(item: ItemId, is_error: bool) -> Outcome {
    Outcome {
        item,
        is_error,
        true_value: None,
        corrected: if is_error { 300 } else { 0 },
        note: String::new(),
        recorded_by: "analyst".into(),
        recorded_at: Moment(0),
        recorded_on: day("2026-11-08"),
    }
}
