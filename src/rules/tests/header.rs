//! LRN, declaration type, item numbers, UCR, lodger, fallback.

use super::*;
use crate::day::Moment;
use Reason::*;

#[test]
fn lrn() {
    expect(OLD, |d| d.lrn = "", &[(FieldMissing, 'R', Element::Lrn, 0, "")]);
    expect(OLD, |d| d.lrn = "1234567890123456789012", &[]);
    expect(OLD, |d| d.lrn = "a b", &[]);
    for bad in ["12345678901234567890123", "é", "a\tb"] {
        expect(OLD, |d| d.lrn = bad, &[(FieldFormat, 'R', Element::Lrn, 0, bad)]);
    }
}

#[test]
fn declaration_type() {
    let element = Element::AdditionalDeclarationType;
    expect(OLD, |d| d.additional_declaration_type = "", &[(FieldMissing, 'R', element, 0, "")]);
    for bad in ["B", "a", "AA", "Z"] {
        expect(
            OLD,
            |d| d.additional_declaration_type = bad,
            &[(DeclarationTypeNotH7, 'R', element, 0, bad)],
        );
    }
    expect(OLD, |d| d.additional_declaration_type = "D", &[]);
}

#[test]
fn item_numbers_run_from_one() {
    let element = Element::GoodsItemNumber;
    expect(
        OLD,
        |d| {
            add_item(d);
        },
        &[],
    );
    expect(
        OLD,
        |d| d.goods_items[0].goods_item_number = 0,
        &[(ItemNumberSequence, 'R', element, 1, "0")],
    );
    expect(
        OLD,
        |d| add_item(d).goods_item_number = 1,
        &[(ItemNumberSequence, 'R', element, 2, "1")],
    );
    // A gap is found once, where it begins.
    expect(
        OLD,
        |d| {
            add_item(d).goods_item_number = 3;
            add_item(d).goods_item_number = 4;
        },
        &[(ItemNumberSequence, 'R', element, 2, "3")],
    );
}

#[test]
fn number_of_goods_items() {
    let element = Element::GoodsItemNumber;
    let judged = judge(OLD, |d| d.goods_items.clear());
    assert_eq!(judged.seen, [(FieldMissing, 'R', element, 0, String::new())]);
    assert_eq!(judged.judgement.intrinsic_value.0, 0);
    let many = |count: u32| {
        move |d: &mut Declaration<'static>| {
            d.goods_items[0].intrinsic_value.hundredths = 1;
            for _ in 1..count {
                add_item(d);
            }
        }
    };
    expect(OLD, many(999), &[]);
    let judged = judge(OLD, many(1_000));
    assert_eq!(judged.seen.len(), 1);
    assert_eq!((judged.seen[0].0, judged.seen[0].2), (FieldFormat, element));
    assert_eq!(judged.judgement.intrinsic_value.0, 0);
}

#[test]
fn ucr() {
    const LONG: &str = "123456789012345678901234567890123456";
    expect(OLD, |d| d.ucr = &LONG[..35], &[]);
    expect(OLD, |d| d.ucr = LONG, &[(FieldFormat, 'R', Element::Ucr, 0, LONG)]);
}

#[track_caller]
fn expect_lodger(
    declarant: &str,
    representative: &str,
    representative_status: u32,
    expected: &[(Reason, char, Element, u16, &str)],
) {
    let declarant = Eori::parse(declarant).expect("well formed");
    let lodger = Lodger { declarant, representative, representative_status };
    let judged = judge_with(&law(OLD), &lodger, &sale(OLD), FallbackCheck::default());
    let seen: Vec<_> =
        judged.seen.iter().map(|(r, s, e, i, v)| (*r, *s, *e, *i, v.as_str())).collect();
    assert_eq!(seen, expected);
}

#[test]
fn declarants() {
    for good in ["NL810000003", "XI123456789000", "GR123456789"] {
        expect_lodger(good, "", 0, &[]);
    }
    for bad in ["GB123456789000", "CN123456789", "EL123456789", "ZZ1"] {
        expect_lodger(bad, "", 0, &[(DeclarantEoriInvalid, 'R', Element::Declarant, 0, bad)]);
    }
}

#[test]
fn representatives() {
    let (who, status) = (Element::Representative, Element::RepresentativeStatus);
    let us = "NL810000003";
    expect_lodger(us, "NL820000000", 2, &[]);
    expect_lodger(us, "NL820000000", 3, &[]);
    expect_lodger(us, us, 2, &[(RepresentativeSameAsDeclarant, 'R', who, 0, us)]);
    expect_lodger(us, "NL", 2, &[(FieldFormat, 'R', who, 0, "NL")]);
    expect_lodger(us, "NL820000000", 0, &[(FieldMissing, 'R', status, 0, "")]);
    for (bad, shown) in [(1, "1"), (4, "4"), (50, "50"), (u32::MAX, "4294967295")] {
        expect_lodger(us, "NL820000000", bad, &[(CodeUnknown, 'R', status, 0, shown)]);
    }
    expect_lodger(us, "", 2, &[(FieldFormat, 'R', status, 0, "2")]);
}

#[test]
fn fallbacks() {
    let arrival = Moment(1_762_160_000_000);
    let judge = |reference: &'static str, lodged_at_ms: i64| {
        let mut declaration = sale(OLD);
        declaration.fallback = FallbackLodgement { reference, lodged_at_ms };
        let check = FallbackCheck::of(&declaration.fallback, arrival);
        let judged = judge_with(&law(OLD), &lodger(), &declaration, check);
        judged.seen.into_iter().map(|seen| (seen.0, seen.2, seen.4)).collect::<Vec<_>>()
    };
    let (reference, at) = (Element::FallbackReference, Element::FallbackLodgedAt);
    assert_eq!(judge("", 0), []);
    assert_eq!(judge("F1", arrival.0), []);
    assert_eq!(judge("", arrival.0), [(FieldMissing, reference, String::new())]);
    assert_eq!(judge("F1", 0), [(FieldFormat, at, "0".to_owned())]);
    let long = "123456789012345678901234567890123456";
    assert_eq!(
        judge(long, arrival.0 + 1),
        [(FieldFormat, reference, long.to_owned()), (FieldFormat, at, "1762160000001".to_owned())]
    );
}
