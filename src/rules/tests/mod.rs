//! Every reason at its boundaries, on either side of the days on which the law changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cases;
mod header;
mod items;
mod parties_and_documents;
mod properties;
mod routes;

use std::sync::{Arc, LazyLock};

use smallvec::smallvec;

use super::finding::{Element, Findings, Reason, Severity};
use super::{DayLaw, FallbackCheck, Judge, Judgement, Law};
use crate::day::Day;
use crate::id::Eori;
use crate::wire::view::*;

/// The three regimes, a day of each.
pub(super) const OLD: &str = "2025-11-03";
pub(super) const NEW: &str = "2026-08-02";
pub(super) const LATEST: &str = "2026-11-05";

static LAW: LazyLock<Law> = LazyLock::new(|| Law::load(None).expect("the built-in files are good"));

pub(super) fn law(day: &str) -> Arc<DayLaw> {
    LAW.on(Day::parse(day).expect("a day")).expect("a rule set")
}

/// A clean sale on `day`, through the import scheme.
pub(super) fn sale<'a>(day: &str) -> Declaration<'a> {
    let mut item = GoodsItem {
        goods_item_number: 1,
        hs6: "610910",
        description: "Men's cotton T-shirt, printed, size L",
        intrinsic_value: Money { currency: "EUR", hundredths: 3_000 },
        gross_mass_mg: 420_000,
        packages: 1,
        additional_procedures: smallvec!["F48"],
        product: ProductIdentifiers { merchant: "SKU-1", manufacturer: "NA", gtin: "" },
        country_of_origin: "",
    };
    if day < "2026-07-01" {
        item.additional_procedures = smallvec!["C07", "F48"];
    }
    Declaration {
        lrn: "PKX-417",
        goods_items: vec![item],
        additional_declaration_type: "A",
        exporter: Party {
            name: "Lotusbay Trading Ltd",
            street: "88 Xingye Rd",
            postcode: "518000",
            city: "Shenzhen",
            country: "CN",
            identification: "",
        },
        importer: Party {
            name: "J. Voorbeeld",
            street: "Dorpsweg 12",
            postcode: "7411AB",
            city: "Deventer",
            country: "NL",
            identification: "",
        },
        ioss_number: "IM5280007731",
        transport_document: DocumentReference { r#type: "N703", reference: "LTB-417" },
        previous_documents: vec![DocumentReference {
            r#type: "N337",
            reference: "25NLTSD000000421U7",
        }],
        transport_costs: Money { currency: "EUR", hundredths: 450 },
        location_of_goods: LocationOfGoods {
            r#type: "B",
            qualifier: "Y",
            identification: "NLTSTTST0001",
        },
        ..Declaration::default()
    }
}

/// States `codes` on every goods item, and no IOSS number.
pub(super) fn route(declaration: &mut Declaration<'static>, codes: &[&'static str]) {
    declaration.ioss_number = "";
    for item in &mut declaration.goods_items {
        item.additional_procedures = codes.iter().copied().collect();
    }
}

/// A second goods item like the first.
pub(super) fn add_item<'a>(
    declaration: &'a mut Declaration<'static>,
) -> &'a mut GoodsItem<'static> {
    let mut item = declaration.goods_items[0].clone();
    item.goods_item_number = declaration.goods_items.len() as u32 + 1;
    declaration.goods_items.push(item);
    declaration.goods_items.last_mut().unwrap()
}

pub(super) fn lodger() -> Lodger<'static> {
    Lodger {
        declarant: Eori::parse("NL810000003").unwrap(),
        representative: "",
        representative_status: 0,
    }
}

/// A finding as it is compared: reason, severity (R or F), element, goods item, value.
pub(super) type Seen = (Reason, char, Element, u16, String);

pub(super) struct Judged {
    pub(super) seen: Vec<Seen>,
    pub(super) sentences: Vec<String>,
    pub(super) judgement: Judgement,
}

pub(super) fn judge_with(
    law: &DayLaw,
    lodger: &Lodger<'_>,
    declaration: &Declaration<'_>,
    fallback: FallbackCheck,
) -> Judged {
    let mut findings = Findings::default();
    let judgement = Judge::new().judge(law, lodger, declaration, fallback, &mut findings);
    let span = findings.close(0);
    let findings = findings.of(span);
    assert_eq!(findings.total(), findings.list.len(), "these tests look at every finding");
    for finding in findings.list {
        let listed = law.reasons().find(|listed| listed.0 == finding.reason).expect("listed");
        let element = finding.element.number();
        assert!(listed.4.is_none_or(|promised| promised == element), "{} {element}", listed.0);
    }
    let seen = findings.list.iter().map(|finding| {
        let severity = if finding.severity == Severity::Reject { 'R' } else { 'F' };
        let value = findings.value(finding).to_owned();
        (finding.reason, severity, finding.element, finding.goods_item, value)
    });
    let sentences = findings.list.iter().map(|finding| {
        let mut sentence = String::new();
        law.message(finding, findings.value(finding), &mut sentence);
        sentence
    });
    Judged { seen: seen.collect(), sentences: sentences.collect(), judgement }
}

/// Changes a clean sale of `day` and judges it.
pub(super) fn judge(day: &str, change: impl FnOnce(&mut Declaration<'static>)) -> Judged {
    let mut declaration = sale(day);
    change(&mut declaration);
    judge_with(&law(day), &lodger(), &declaration, FallbackCheck::default())
}

/// Asserts that the change makes exactly these findings, and a rejection where one of them is R.
#[track_caller]
pub(super) fn expect(
    day: &str,
    change: impl FnOnce(&mut Declaration<'static>),
    expected: &[(Reason, char, Element, u16, &str)],
) {
    let judged = judge(day, change);
    let seen: Vec<_> =
        judged.seen.iter().map(|(r, s, e, i, v)| (*r, *s, *e, *i, v.as_str())).collect();
    assert_eq!(seen, expected, "on {day}");
    let rejected = expected.iter().any(|finding| finding.1 == 'R');
    assert_eq!(judged.judgement.rejected, rejected);
}

#[test]
fn the_clean_sale_is_clean_under_every_rule_set() {
    for day in [OLD, NEW, LATEST, "2021-07-01"] {
        expect(day, |_| {}, &[]);
    }
}

#[test]
fn every_reason_has_text_basis_and_sentence_on_every_day() {
    for day in ["2021-07-01", OLD, "2026-06-30", "2026-07-01", "2026-10-31", LATEST, "2040-01-01"] {
        let law = law(day);
        for &reason in Reason::ALL {
            assert!(!law.legal_basis(reason).is_empty(), "{reason} on {day}");
            let mut findings = Findings::default();
            findings.add(reason, Severity::Flag, Element::IntrinsicValue, 1, "XYZ");
            let mut sentence = String::new();
            law.message(&findings.list[0], "XYZ", &mut sentence);
            assert!(sentence.len() > 20 && sentence.ends_with('.'), "{reason}: {sentence}");
            assert!(!sentence.contains(['{', '}']), "{reason}: {sentence}");
        }
        let listed: Vec<_> = law.reasons().collect();
        let off = usize::from(day < "2026-07-01");
        assert_eq!(listed.len(), Reason::ALL.len() - off, "PRODUCT_ID_MISSING begins 2026-07-01");
        for (reason, _, text, basis, element) in listed {
            assert!(!text.is_empty() && !basis.is_empty(), "{reason}");
            assert!(element.is_none_or(|number| Element::by_number(number).is_some()));
        }
    }
}

#[test]
fn sentences_quote_the_value() {
    let judged = judge(NEW, |d| d.goods_items[0].intrinsic_value.hundredths = 16_120);
    assert_eq!(
        judged.sentences,
        [
            "The intrinsic value of the consignment is EUR 161.20, above the threshold of EUR 150.00."
        ]
    );
    let judged = judge(NEW, |d| d.exporter.name = "");
    assert_eq!(judged.sentences, ["The exporter's name is missing."]);
    let judged = judge(NEW, |d| {
        route(d, &["F53"]);
        d.importer.country = "DE";
    });
    assert_eq!(
        judged.sentences,
        ["Without the import scheme (IOSS) the importer must be in NL; the importer is in DE."]
    );
}

#[test]
fn rejections_come_first_and_else_the_order_stands() {
    let judged = judge(OLD, |d| {
        d.goods_items[0].description = "Clothes";
        d.goods_items[0].hs6 = "771000";
        d.exporter.country = "DE";
        d.lrn = "";
    });
    let order: Vec<_> = judged.seen.iter().map(|seen| (seen.0, seen.1)).collect();
    assert_eq!(
        order,
        [
            (Reason::FieldMissing, 'R'),
            (Reason::HsCodeNotInNomenclature, 'R'),
            (Reason::DispatchFromEu, 'F'),
            (Reason::DescriptionStopWord, 'F'),
        ]
    );
}

#[test]
fn findings_of_one_declaration_leave_those_before_alone() {
    let law = law(OLD);
    let (mut judge, mut findings) = (Judge::new(), Findings::default());
    let mut flagged = sale(OLD);
    flagged.goods_items[0].description = "Clothes";
    let mut rejected = sale(OLD);
    rejected.lrn = "";
    let mut go = |declaration: &Declaration<'_>, findings: &mut Findings| {
        judge.judge(&law, &lodger(), declaration, FallbackCheck::default(), findings)
    };
    assert!(!go(&flagged, &mut findings).rejected);
    assert!(go(&rejected, &mut findings).rejected);
    assert!(!go(&sale(OLD), &mut findings).rejected);
    let reasons: Vec<_> = findings.list.iter().map(|finding| finding.reason).collect();
    assert_eq!(reasons, [Reason::DescriptionStopWord, Reason::FieldMissing]);
    let span = findings.close(0);
    let findings = findings.of(span);
    assert_eq!(findings.value(&findings.list[0]), "Clothes");
}
