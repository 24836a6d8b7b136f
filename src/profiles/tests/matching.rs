//! What matches, against a model that is written out once more.

use proptest::prelude::*;

use super::*;
use crate::id::{Eori, EurCents};
use crate::wire::view::{Declaration, GoodsItem, Party};

const EORIS: [&str; 3] = ["NL810000003", "NL810000004", "DE1"];
const IOSS: [&str; 3] = ["", "IM5280000017", "IM3720000012"];
const COUNTRIES: [&str; 3] = ["", "CN", "TR"];
const HS: [&str; 4] = ["850760", "850440", "851762", "610910"];
const TEXTS: [&str; 4] = ["Power Bank 10000", "POWERBANKS", "t-shirt", "usb bank"];
const WORDS: [&str; 3] = ["power", "bank", "shirt"];

#[derive(Debug, Clone)]
struct Item {
    hs: usize,
    origin: usize,
    value: Option<u64>,
    mass: u64,
    text: usize,
}

#[derive(Debug, Clone)]
struct Given {
    declarant: usize,
    ioss: usize,
    exporter: usize,
    value: u64,
    items: Vec<Item>,
}

fn item() -> impl Strategy<Value = Item> {
    (0..HS.len(), 0..COUNTRIES.len(), proptest::option::of(0..5_u64), 0..5_u64, 0..TEXTS.len())
        .prop_map(|(hs, origin, value, mass, text)| Item { hs, origin, value, mass, text })
}

fn given() -> impl Strategy<Value = Given> {
    let items = proptest::collection::vec(item(), 1..5);
    (0..EORIS.len(), 0..IOSS.len(), 0..COUNTRIES.len(), 0..5_u64, items).prop_map(
        |(declarant, ioss, exporter, value, items)| Given {
            declarant,
            ioss,
            exporter,
            value,
            items,
        },
    )
}

/// Some of `values`, often none.
fn some(values: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let values: Vec<String> =
        values.iter().filter(|v| !v.is_empty()).map(|v| (*v).into()).collect();
    let most = values.len() - 1;
    prop_oneof![2 => Just(Vec::new()), 1 => proptest::sample::subsequence(values, 1..=most)]
}

/// Ends on, below and above every value that there is.
fn range() -> impl Strategy<Value = Range> {
    let end = || proptest::option::of(0..6_u64);
    prop_oneof![
        1 => Just(Range::default()),
        1 => (end(), end())
            .prop_filter("nothing would match", |(min, max)| min.zip(*max).is_none_or(|(a, b)| a <= b))
            .prop_map(|(min, max)| Range { min, max }),
    ]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let lists = (
        some(&EORIS),
        some(&IOSS),
        some(&COUNTRIES),
        some(&["85", "8507", "850760", "61"]),
        some(&COUNTRIES),
        some(&WORDS),
    );
    let all =
        (lists, range(), range(), range()).prop_map(|(lists, value, item_value, item_mass)| {
            let (declarants, ioss_numbers, exporter_countries, hs, origins, patterns) = lists;
            Conditions {
                declarants,
                ioss_numbers,
                exporter_countries,
                declaration_value: value,
                hs_prefixes: hs,
                origin_countries: origins,
                item_value,
                item_mass,
                description_patterns: patterns,
            }
        });
    all.prop_filter("there must be some", |conditions| *conditions != Conditions::default())
}

fn has(list: &[String], value: &str) -> bool {
    list.is_empty() || list.contains(&value.to_owned())
}

fn within(range: Range, value: Option<u64>) -> bool {
    if range.is_open() {
        return true;
    }
    let Some(value) = value else { return false };
    value >= range.min.unwrap_or(0) && value <= range.max.unwrap_or(u64::MAX)
}

/// The sentences of `Conditions`, written out.
fn model(conditions: &Conditions, given: &Given) -> Option<Hit> {
    let of_all = has(&conditions.declarants, EORIS[given.declarant])
        && has(&conditions.ioss_numbers, IOSS[given.ioss])
        && has(&conditions.exporter_countries, COUNTRIES[given.exporter])
        && within(conditions.declaration_value, Some(given.value));
    let of_item = |item: &&(u32, &Item)| {
        let item = item.1;
        let text = TEXTS[item.text].to_lowercase();
        let prefixes = &conditions.hs_prefixes;
        (prefixes.is_empty() || prefixes.iter().any(|p| HS[item.hs][..p.len()] == p[..]))
            && has(&conditions.origin_countries, COUNTRIES[item.origin])
            && within(conditions.item_value, item.value)
            && within(conditions.item_mass, Some(item.mass))
            && (conditions.description_patterns.is_empty()
                || conditions.description_patterns.iter().any(|word| text.contains(word)))
    };
    let items: Vec<(u32, &Item)> = (1..).zip(&given.items).collect();
    let matching: Vec<_> = items.iter().filter(of_item).filter(|_| of_all).collect();
    let first = matching.first()?.0;
    let value = matching.iter().map(|(_, item)| item.value.unwrap_or(0)).sum();
    Some(Hit { lines: matching.len() as u32, value: EurCents(value), first })
}

fn found(matcher: &Matcher, given: &Given) -> Option<Hit> {
    let goods_items = given.items.iter().map(|item| GoodsItem {
        hs6: HS[item.hs],
        description: TEXTS[item.text],
        gross_mass_mg: item.mass,
        country_of_origin: COUNTRIES[item.origin],
        ..GoodsItem::default()
    });
    let declaration = Declaration {
        goods_items: goods_items.collect(),
        exporter: Party { country: COUNTRIES[given.exporter], ..Party::default() },
        ioss_number: IOSS[given.ioss],
        ..Declaration::default()
    };
    let line_values: Vec<_> = given.items.iter().map(|item| item.value.map(EurCents)).collect();
    matcher.hit(&Lodged {
        declarant: Eori::parse(EORIS[given.declarant]).unwrap(),
        declaration: &declaration,
        value: EurCents(given.value),
        line_values: &line_values,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_matches_is_what_the_model_says(
        conditions in conditions(),
        given in proptest::collection::vec(given(), 8),
    ) {
        let matcher = conditions.matcher().unwrap();
        for given in given {
            prop_assert_eq!(found(&matcher, &given), model(&conditions, &given), "{:?}", given);
        }
    }
}

#[test]
fn each_condition_alone_decides() {
    let given = Given {
        declarant: 0,
        ioss: 1,
        exporter: 1,
        value: 3,
        items: vec![
            Item { hs: 0, origin: 1, value: Some(2), mass: 4, text: 0 },
            Item { hs: 3, origin: 2, value: None, mass: 1, text: 2 },
        ],
    };
    let list = |value: &str| vec![value.to_owned()];
    let range = |min, max| Range { min: Some(min), max: Some(max) };
    let none = Conditions::default;
    let both = [
        (Conditions { declarants: list("NL810000003"), ..none() }, true),
        (Conditions { declarants: list("NL810000004"), ..none() }, false),
        (Conditions { ioss_numbers: list("IM5280000017"), ..none() }, true),
        (Conditions { ioss_numbers: list("IM3720000012"), ..none() }, false),
        (Conditions { exporter_countries: list("CN"), ..none() }, true),
        (Conditions { exporter_countries: list("TR"), ..none() }, false),
        (Conditions { declaration_value: range(3, 3), ..none() }, true),
        (Conditions { declaration_value: range(4, 9), ..none() }, false),
        (Conditions { declaration_value: range(0, 2), ..none() }, false),
        (Conditions { hs_prefixes: list("8507"), ..none() }, true),
        (Conditions { hs_prefixes: list("8508"), ..none() }, false),
        (Conditions { origin_countries: list("TR"), ..none() }, true),
        (Conditions { origin_countries: list("US"), ..none() }, false),
        (Conditions { item_value: range(2, 2), ..none() }, true),
        // The second one has a value that is not known.
        (Conditions { item_value: range(0, 1), ..none() }, false),
        (Conditions { item_mass: range(4, 4), ..none() }, true),
        (Conditions { item_mass: range(2, 3), ..none() }, false),
        (Conditions { description_patterns: list(r"\bbank\b"), ..none() }, true),
        (Conditions { description_patterns: list(r"^bank"), ..none() }, false),
        // Of the same goods item: the one has the code, the other the origin.
        (Conditions { hs_prefixes: list("61"), origin_countries: list("CN"), ..none() }, false),
    ];
    for (conditions, is_hit) in both {
        let matcher = conditions.matcher().unwrap();
        assert_eq!(found(&matcher, &given).is_some(), is_hit, "{conditions:?}");
    }
    let whole = Conditions { declarants: list("NL810000003"), ..none() }.matcher().unwrap();
    assert_eq!(found(&whole, &given), Some(Hit { lines: 2, value: EurCents(2), first: 1 }));
}

#[test]
fn conditions_are_within_their_bounds() {
    let list = |value: &str| vec![value.to_owned()];
    let none = Conditions::default;
    let many = |value: &str, count: usize| vec![value.to_owned(); count];
    let wrong = [
        ("conditions", none()),
        ("conditions.declarants[0]", Conditions { declarants: list("nl8"), ..none() }),
        ("conditions.declarants", Conditions { declarants: many("NL8", 101), ..none() }),
        ("conditions.ioss_numbers[0]", Conditions { ioss_numbers: list("IM1"), ..none() }),
        (
            "conditions.exporter_countries[0]",
            Conditions { exporter_countries: list("C"), ..none() },
        ),
        ("conditions.origin_countries[0]", Conditions { origin_countries: list("CHN"), ..none() }),
        ("conditions.hs_prefixes[0]", Conditions { hs_prefixes: list("8"), ..none() }),
        ("conditions.hs_prefixes[0]", Conditions { hs_prefixes: list("8507601"), ..none() }),
        (
            "conditions.item_mass_mg.max",
            Conditions { item_mass: Range { min: Some(2), max: Some(1) }, ..none() },
        ),
        (
            "conditions.description_patterns",
            Conditions { description_patterns: many("a", 21), ..none() },
        ),
        (
            "conditions.description_patterns[0]",
            Conditions { description_patterns: list(&"a".repeat(201)), ..none() },
        ),
        (
            "conditions.description_patterns[0]",
            Conditions { description_patterns: list("(unclosed"), ..none() },
        ),
        // A short pattern that is a long machine.
        (
            "conditions.description_patterns[0]",
            Conditions { description_patterns: list(r"(\w{100}){100}"), ..none() },
        ),
        // And one that would have to go back.
        (
            "conditions.description_patterns[0]",
            Conditions { description_patterns: list(r"(a)\1"), ..none() },
        ),
    ];
    for (field, conditions) in wrong {
        let error = conditions.matcher().unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(!error.why.contains('\n'), "{error}");
    }
    let just = Conditions {
        declarants: many("NL8", 100),
        description_patterns: many(&"a".repeat(40), 20),
        ..none()
    };
    just.matcher().unwrap();
    let long = Conditions { description_patterns: list(&"a".repeat(200)), ..none() };
    long.matcher().unwrap();
    let given = Conditions { origin_countries: vec![" cn".into(), "CN".into()], ..none() };
    assert_eq!(given.normalised().origin_countries, ["CN"]);
}
