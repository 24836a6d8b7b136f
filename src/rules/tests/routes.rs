//! Procedures, IOSS, destination, gifts, product identifiers, transport costs.

use super::*;
use Reason::*;

const CODES: Element = Element::AdditionalProcedure;

#[test]
fn combinations() {
    type Sets = &'static [&'static [&'static str]];
    let old: Sets = &[&["C07"], &["C07", "F48"], &["C07", "F49"], &["C08"]];
    let new: Sets = &[&["F48"], &["F49"], &["F53"], &["C08"]];
    let all: Sets = &[
        &["C07"],
        &["C07", "F48"],
        &["F48", "C07"],
        &["C07", "F49"],
        &["C08"],
        &["F48"],
        &["F49"],
        &["F53"],
        &["C07", "F53"],
        &["C07", "C08"],
        &["C08", "F48"],
        &["F48", "F49"],
        &["F49", "F53"],
        &["000"],
        &["F48", "000"],
        &["F48", "F48"],
    ];
    for (day, allowed) in [("2026-06-30", old), ("2026-07-01", new), (LATEST, new)] {
        for codes in all {
            let judged = judge(day, |d| {
                route(d, codes);
                d.goods_items[0].intrinsic_value.hundredths = 1_000;
                if codes.contains(&"F48") {
                    d.ioss_number = "IM5280007731";
                }
            });
            let reasons: Vec<_> = judged.seen.iter().filter(|s| s.1 == 'R').map(|s| s.0).collect();
            let mut set: Vec<_> = codes.iter().filter(|code| **code != "000").collect();
            set.sort();
            set.dedup();
            let is_allowed = allowed.iter().any(|allowed| allowed.iter().eq(set.iter().copied()));
            let expected: &[Reason] = if day >= "2026-07-01" && codes.contains(&"C07") {
                &[DutyReliefAbolished]
            } else if is_allowed {
                &[]
            } else {
                &[ProcedureCombinationInvalid]
            };
            assert_eq!(reasons, expected, "{codes:?} on {day}");
        }
    }
    expect(
        OLD,
        |d| d.goods_items[0].additional_procedures = smallvec!["F48"],
        &[(ProcedureCombinationInvalid, 'R', CODES, 0, "F48")],
    );
    expect(
        NEW,
        |d| d.goods_items[0].additional_procedures = smallvec!["F48", "C07"],
        &[(DutyReliefAbolished, 'R', CODES, 0, "C07")],
    );
}

#[test]
fn an_abolished_code_leaves_the_route_open() {
    // Neither the IOSS number, nor the destination, nor transport costs are held against it.
    expect(
        NEW,
        |d| {
            d.goods_items[0].additional_procedures = smallvec!["C07"];
            d.importer.country = "DE";
            d.transport_costs = Money::default();
        },
        &[(DutyReliefAbolished, 'R', CODES, 0, "C07")],
    );
    // That the import scheme is stated is beyond doubt.
    expect(
        NEW,
        |d| route(d, &["C07", "F48"]),
        &[
            (DutyReliefAbolished, 'R', CODES, 0, "C07"),
            (IossNumberMissing, 'R', Element::FiscalReference, 0, "F48"),
        ],
    );
}

#[test]
fn codes_missing_unknown_and_malformed() {
    expect(
        OLD,
        |d| d.goods_items[0].additional_procedures = smallvec![],
        &[(FieldMissing, 'R', CODES, 1, "")],
    );
    expect(
        OLD,
        |d| add_item(d).additional_procedures = smallvec!["C07", "F48", "XYZ"],
        &[(CodeUnknown, 'R', CODES, 2, "XYZ")],
    );
    // With an unknown code the absence of F48 proves nothing.
    expect(
        OLD,
        |d| {
            route(d, &["F4"]);
            d.ioss_number = "IM5280007731";
            d.importer.country = "DE";
        },
        &[(FieldFormat, 'R', CODES, 1, "F4")],
    );
    // The number itself is tested all the same.
    expect(
        OLD,
        |d| {
            route(d, &["F84"]);
            d.ioss_number = "IN5280000014";
        },
        &[
            (CodeUnknown, 'R', CODES, 1, "F84"),
            (IossNumberMalformed, 'R', Element::IossNumber, 0, "IN5280000014"),
        ],
    );
}

#[test]
fn mixed_lines() {
    let mixed = (ProcedureMixedLines, 'R', CODES, 2, "F53");
    expect(NEW, |d| add_item(d).additional_procedures = smallvec!["F53"], &[mixed]);
    // Nothing else about procedures or IOSS.
    expect(
        NEW,
        |d| {
            add_item(d).additional_procedures = smallvec!["F53"];
            d.ioss_number = "IM9";
            d.importer.country = "DE";
            d.transport_costs = Money::default();
        },
        &[mixed],
    );
    expect(
        NEW,
        |d| {
            add_item(d).additional_procedures = smallvec!["C07"];
            add_item(d).additional_procedures = smallvec!["F53"];
            d.ioss_number = "";
        },
        &[(ProcedureMixedLines, 'R', CODES, 2, "C07")],
    );
    expect(OLD, |d| add_item(d).additional_procedures = smallvec!["F48", "000", "C07"], &[]);
    expect(
        NEW,
        |d| add_item(d).additional_procedures = smallvec![],
        &[(FieldMissing, 'R', CODES, 2, "")],
    );
}

#[test]
fn lines_that_differ_in_other_codes_than_f48_are_tested_further() {
    let mixed = |codes| (ProcedureMixedLines, 'R', CODES, 2, codes);
    let whole = Element::FiscalReference;
    expect(
        LATEST,
        |d| {
            route(d, &["F49"]);
            add_item(d).additional_procedures = smallvec!["F53"];
            d.ioss_number = "IM5280007731";
            d.importer.country = "DE";
            d.transport_costs = Money::default();
        },
        &[
            mixed("F53"),
            (IossWithoutF48, 'R', whole, 0, "IM5280007731"),
            (DestinationNotInMemberState, 'R', Element::ImporterCountry, 0, "DE"),
            (TransportCostsMissing, 'F', Element::TransportCosts, 0, ""),
        ],
    );
    // Each of these alone is no combination either, but that is not said as well.
    expect(
        OLD,
        |d| {
            d.goods_items[0].additional_procedures = smallvec!["C07", "F48"];
            d.goods_items[0].intrinsic_value = Money { currency: "USD", hundredths: 10_000 };
            let second = add_item(d);
            second.additional_procedures = smallvec!["F48"];
            second.intrinsic_value.hundredths = 7_613;
            d.ioss_number = "";
        },
        &[
            mixed("F48"),
            (IossNumberMissing, 'R', whole, 0, "F48"),
            (IntrinsicValueNearRate, 'F', Element::IntrinsicValue, 0, "152.00"),
        ],
    );
    // An unknown code on a third line puts the absence of F48 in doubt.
    expect(
        NEW,
        |d| {
            route(d, &["F49"]);
            add_item(d).additional_procedures = smallvec!["F53"];
            add_item(d).additional_procedures = smallvec!["F84"];
            d.importer.country = "DE";
            d.transport_costs = Money::default();
        },
        &[(CodeUnknown, 'R', CODES, 3, "F84"), mixed("F53")],
    );
}

#[test]
fn lines_that_differ_in_an_abolished_code_have_that_reason_alone() {
    let abolished = |item| (DutyReliefAbolished, 'R', CODES, item, "C07");
    let lines = |codes: &'static [&'static [&'static str]]| {
        move |d: &mut Declaration<'static>| {
            route(d, codes[0]);
            for codes in &codes[1..] {
                add_item(d).additional_procedures = codes.iter().copied().collect();
            }
            d.transport_costs = Money::default();
        }
    };
    expect(NEW, lines(&[&["C07", "F49"], &["F49"]]), &[abolished(1)]);
    expect(NEW, lines(&[&["F53"], &["C07"], &["C07", "F53"]]), &[abolished(2), abolished(3)]);
    // F48 on some lines only is that, and nothing else.
    let mixed = (ProcedureMixedLines, 'R', CODES, 2, "F48");
    expect(NEW, lines(&[&["C07"], &["F48"]]), &[mixed]);
    // Before it was abolished it is a code like others.
    let mixed = (ProcedureMixedLines, 'R', CODES, 2, "F49");
    let costs = (TransportCostsMissing, 'F', Element::TransportCosts, 0, "");
    expect(OLD, lines(&[&["C07", "F49"], &["F49"]]), &[mixed, costs]);
}

#[test]
fn ioss_numbers() {
    let (whole, number) = (Element::FiscalReference, Element::IossNumber);
    for day in [OLD, NEW, LATEST] {
        expect(day, |d| d.ioss_number = "", &[(IossNumberMissing, 'R', whole, 0, "F48")]);
        expect(day, |d| d.ioss_number = "IM9001234567", &[]);
        for bad in [
            "IN5280000014",
            "EU5280000014",
            "IM9990007731",
            "IM528000773",
            "IM52800077310",
            "im5280007731",
            "IM528000773X",
            "5280007731",
        ] {
            expect(day, |d| d.ioss_number = bad, &[(IossNumberMalformed, 'R', number, 0, bad)]);
        }
        let standard: &[&str] = if day < "2026-07-01" { &["C07"] } else { &["F53"] };
        expect(
            day,
            |d| {
                route(d, standard);
                d.ioss_number = "IN1";
            },
            &[(IossWithoutF48, 'R', whole, 0, "IN1")],
        );
    }
}

#[test]
fn destination() {
    let element = Element::ImporterCountry;
    for (day, standard) in [(OLD, &["C07"][..]), (NEW, &["F53"])] {
        expect(day, |d| d.importer.country = "DE", &[]);
        expect(
            day,
            |d| {
                route(d, standard);
                d.importer.country = "DE";
            },
            &[(DestinationNotInMemberState, 'R', element, 0, "DE")],
        );
        expect(day, |d| route(d, standard), &[]);
        expect(
            day,
            |d| {
                route(d, standard);
                d.importer.country = "ZZ";
            },
            &[(CodeUnknown, 'R', element, 0, "ZZ")],
        );
        expect(
            day,
            |d| {
                route(d, &["C08"]);
                d.exporter.name = "Anna Example";
                d.importer.country = "DE";
            },
            &[(DestinationNotInMemberState, 'R', element, 0, "DE")],
        );
    }
}

#[test]
fn transport_costs() {
    let (element, currency) = (Element::TransportCosts, Element::TransportCostsCurrency);
    let absent = |codes: &'static [&'static str]| {
        move |d: &mut Declaration<'static>| {
            if !codes.is_empty() {
                route(d, codes);
            }
            d.exporter.name = "Anna Example";
            d.transport_costs = Money::default();
        }
    };
    expect(OLD, absent(&[]), &[]);
    expect(OLD, absent(&["C07"]), &[(TransportCostsMissing, 'F', element, 0, "")]);
    expect(OLD, absent(&["C07", "F49"]), &[(TransportCostsMissing, 'F', element, 0, "")]);
    expect(NEW, absent(&["F53"]), &[(TransportCostsMissing, 'F', element, 0, "")]);
    expect(NEW, absent(&["C08"]), &[]);
    let costs = |currency: &'static str, hundredths: u64| {
        move |d: &mut Declaration<'static>| d.transport_costs = Money { currency, hundredths }
    };
    expect(OLD, costs("EUR", 0), &[]);
    // A currency without a customs rate will do: nothing is converted.
    expect(OLD, costs("MGA", 100), &[]);
    expect(OLD, costs("", 100), &[(FieldMissing, 'R', currency, 0, "")]);
    expect(OLD, costs("EURO", 100), &[(CurrencyUnknown, 'R', currency, 0, "EURO")]);
    expect(OLD, costs("EUR", 9_999_999_999_999_999), &[]);
    expect(
        OLD,
        costs("EUR", 10_000_000_000_000_000),
        &[(FieldFormat, 'R', element, 0, "100000000000000.00")],
    );
}

#[test]
fn gifts() {
    let gift = |name: &'static str, identification: &'static str| {
        move |d: &mut Declaration<'static>| {
            route(d, &["C08"]);
            d.exporter.name = name;
            d.importer.identification = identification;
        }
    };
    expect(OLD, gift("Anna Example", ""), &[]);
    for name in [
        "Lotusbay Trading Ltd",
        "Sunny Store",
        "Muster GmbH",
        "Foo Co., LTD",
        "Jansen B.V.",
        "Jansen BV i.l.",
        "Peeters N.V",
        "Kowalski Sp. z o.o.",
        "ACME S.p.A.",
        "Sun Stores",
    ] {
        expect(OLD, gift(name, ""), &[(GiftCommercialSigns, 'F', CODES, 0, name)]);
    }
    for name in [
        "Cody Storey",
        "Bruce Cole",
        "B. Visser",
        "Incarnacion Agnes",
        // Initials are no legal form.
        "B.V. Jansen",
        "N.V. de Vries",
        "S.A. Peeters",
        "S. L. Garcia",
    ] {
        expect(OLD, gift(name, ""), &[]);
    }
    let eori = "NL123456789";
    expect(OLD, gift("Anna Example", eori), &[(GiftCommercialSigns, 'F', CODES, 0, eori)]);
    let malformed = (FieldFormat, 'R', Element::ImporterIdentification, 0, "?");
    expect(OLD, gift("Anna Example", "?"), &[malformed]);
    expect(OLD, gift("Big Store", eori), &[(GiftCommercialSigns, 'F', CODES, 0, "Big Store")]);
}

#[test]
fn product_identifiers() {
    let element = Element::ProductIdentifier;
    let with = |merchant: &'static str, manufacturer: &'static str| {
        move |d: &mut Declaration<'static>| {
            d.goods_items[0].product = ProductIdentifiers { merchant, manufacturer, gtin: "" };
        }
    };
    for (day, severity) in [("2026-07-01", 'F'), ("2026-10-31", 'F'), ("2026-11-01", 'R')] {
        expect(day, with("NA", "NA"), &[]);
        let missing = |what| (ProductIdMissing, severity, element, 1, what);
        expect(day, with("", "NA"), &[missing("merchant")]);
        expect(day, with("NA", ""), &[missing("manufacturer")]);
        expect(day, with("", ""), &[missing("merchant, manufacturer")]);
        expect(
            day,
            |d| {
                with("", "")(d);
                route(d, &["C08"]);
                d.exporter.name = "Anna Example";
            },
            &[],
        );
        // Whether it is a gift is not known.
        expect(
            day,
            |d| {
                with("", "")(d);
                d.goods_items[0].additional_procedures = smallvec![];
            },
            &[(FieldMissing, 'R', CODES, 1, "")],
        );
    }
    expect("2026-06-30", with("", ""), &[]);
}

#[test]
fn the_form_of_product_identifiers() {
    let element = Element::ProductIdentifier;
    let fits: &'static str = Box::leak("é".repeat(70).into_boxed_str());
    let long: &'static str = Box::leak("x".repeat(71).into_boxed_str());
    let with = |merchant: &'static str, manufacturer: &'static str, gtin: &'static str| {
        move |d: &mut Declaration<'static>| {
            d.goods_items[0].product = ProductIdentifiers { merchant, manufacturer, gtin };
        }
    };
    let malformed = |value| (FieldFormat, 'R', element, 1, value);
    for day in [OLD, NEW, LATEST] {
        expect(day, with(fits, fits, fits), &[]);
        expect(day, with(long, "NA", ""), &[malformed(long)]);
        expect(day, with("NA", "SKU\t1", ""), &[malformed("SKU\t1")]);
        expect(day, with("NA", "NA", "1\n"), &[malformed("1\n")]);
        // What is malformed is there.
        expect(day, with(long, long, long), &[malformed(long), malformed(long), malformed(long)]);
    }
    // Nor is a description held against it.
    expect(
        OLD,
        |d| {
            with(long, "NA", "")(d);
            d.goods_items[0].description = long;
            d.goods_items[0].hs6 = "392490";
        },
        &[malformed(long), (DescriptionFormat, 'R', Element::Description, 1, long)],
    );
}

#[test]
fn duty() {
    let two = |d: &mut Declaration<'static>| {
        add_item(d);
    };
    assert_eq!(judge("2026-06-30", two).judgement.duty.0, 0);
    for day in ["2026-07-01", LATEST] {
        assert_eq!(judge(day, two).judgement.duty.0, 600);
        for codes in [["F49"], ["F53"]] {
            assert_eq!(judge(day, |d| route(d, &[codes[0]])).judgement.duty.0, 300);
        }
        assert_eq!(judge(day, |d| route(d, &["C08"])).judgement.duty.0, 0);
        assert_eq!(judge(day, |d| d.lrn = "").judgement.duty.0, 0, "nothing is owed if rejected");
    }
}

#[test]
fn presenters_and_denied_numbers() {
    let files = |name: &str, text: &str| {
        let mut files: std::collections::BTreeMap<String, Vec<u8>> =
            LAW.files().iter().map(|(name, bytes)| (name.clone(), bytes.to_vec())).collect();
        files.insert(name.to_owned(), text.as_bytes().to_vec());
        Law::from_files(files).expect("good files")
    };
    let reasons = |law: &Law, day: &str, declaration: &Declaration<'_>| {
        let law = law.on(Day::parse(day).unwrap()).unwrap();
        let judged = judge_with(&law, &lodger(), declaration, FallbackCheck::default());
        judged.seen.into_iter().map(|seen| (seen.0, seen.4)).collect::<Vec<_>>()
    };
    let mut special = sale(NEW);
    route(&mut special, &["F49"]);
    let head = "eori,name,valid_from,valid_to,legal_ref\n";
    let ours = files(
        "presenters.csv",
        &format!("{head}NL810000003,Us,2026-08-01,2026-08-31,x\nNL820000000,Other,2026-08-01,,x\n"),
    );
    let refused = [(SpecialArrangementNotAuthorised, "NL810000003".to_owned())];
    assert_eq!(reasons(&LAW, "2026-09-01", &special), [], "without a list there is no test");
    assert_eq!(reasons(&ours, "2026-07-31", &special), [], "the list begins on 1 August");
    assert_eq!(reasons(&ours, "2026-08-01", &special), []);
    assert_eq!(reasons(&ours, "2026-08-31", &special), []);
    assert_eq!(reasons(&ours, "2026-09-01", &special), refused);

    let head = "ioss_number,valid_from,valid_to,legal_ref\n";
    let denied = files("ioss_denied.csv", &format!("{head}IM5280007731,2026-08-02,2026-08-03,x\n"));
    let refused = [(IossNumberDenied, "IM5280007731".to_owned())];
    assert_eq!(reasons(&denied, "2026-08-01", &sale(NEW)), []);
    assert_eq!(reasons(&denied, "2026-08-02", &sale(NEW)), refused);
    assert_eq!(reasons(&denied, "2026-08-03", &sale(NEW)), refused);
    assert_eq!(reasons(&denied, "2026-08-04", &sale(NEW)), []);
}
