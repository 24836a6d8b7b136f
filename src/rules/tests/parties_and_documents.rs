//! Exporter, importer, documents, location.

use super::*;
use Reason::*;

/// 70 and 71 characters of two bytes each.
const E70: &str = "éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé";
const E71: &str = "ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé";
const A18: &str = "123456789012345678";
const A36: &str = "123456789012345678901234567890123456";
const A71: &str = "12345678901234567890123456789012345678901234567890123456789012345678901";

#[test]
fn exporter() {
    use Element::*;
    expect(OLD, |d| d.exporter = Party::default(), &[(FieldMissing, 'R', Exporter, 0, "")]);
    expect(OLD, |d| d.exporter.name = "", &[(FieldMissing, 'R', ExporterName, 0, "")]);
    expect(OLD, |d| d.exporter.country = "", &[(FieldMissing, 'R', ExporterCountry, 0, "")]);
    expect(OLD, |d| d.exporter.country = "ZZ", &[(CodeUnknown, 'R', ExporterCountry, 0, "ZZ")]);
    expect(OLD, |d| d.exporter.country = "CHN", &[(FieldFormat, 'R', ExporterCountry, 0, "CHN")]);
    expect(OLD, |d| d.exporter.name = E70, &[]);
    // What is quoted is cut at 160 bytes, and this is 142.
    expect(OLD, |d| d.exporter.name = E71, &[(FieldFormat, 'R', ExporterName, 0, E71)]);
    expect(OLD, |d| d.exporter.name = "a\u{1}", &[(FieldFormat, 'R', ExporterName, 0, "a\u{1}")]);
    expect(OLD, |d| d.exporter.street = A71, &[(FieldFormat, 'R', ExporterStreet, 0, A71)]);
    expect(OLD, |d| d.exporter.postcode = A18, &[(FieldFormat, 'R', ExporterPostcode, 0, A18)]);
    expect(OLD, |d| d.exporter.city = A36, &[(FieldFormat, 'R', ExporterCity, 0, A36)]);
    expect(
        OLD,
        |d| {
            let (name, country) = (d.exporter.name, d.exporter.country);
            d.exporter = Party { name, country, identification: "anything", ..Party::default() };
        },
        &[],
    );
    for extra in ["XK", "XC", "XL", "QU", "GB"] {
        expect(OLD, |d| d.exporter.country = extra, &[]);
    }
}

#[test]
fn importer() {
    use Element::*;
    expect(OLD, |d| d.importer = Party::default(), &[(FieldMissing, 'R', Importer, 0, "")]);
    expect(
        OLD,
        |d| d.importer = Party { country: "NL", ..Party::default() },
        &[
            (FieldMissing, 'R', ImporterName, 0, ""),
            (FieldMissing, 'R', ImporterStreet, 0, ""),
            (FieldMissing, 'R', ImporterCity, 0, ""),
        ],
    );
    let known = |identification| Party { country: "NL", identification, ..Party::default() };
    expect(OLD, |d| d.importer = known("NL123456789"), &[]);
    expect(
        OLD,
        |d| d.importer = known("NL 1"),
        &[(FieldFormat, 'R', ImporterIdentification, 0, "NL 1")],
    );
    expect(OLD, |d| d.importer.postcode = "", &[]);
    expect(OLD, |d| d.importer.country = "", &[(FieldMissing, 'R', ImporterCountry, 0, "")]);
    expect(OLD, |d| d.importer.country = "QQ", &[(CodeUnknown, 'R', ImporterCountry, 0, "QQ")]);
    expect(OLD, |d| d.importer.name = E71, &[(FieldFormat, 'R', ImporterName, 0, E71)]);
    expect(OLD, |d| d.importer.street = A71, &[(FieldFormat, 'R', ImporterStreet, 0, A71)]);
    expect(OLD, |d| d.importer.postcode = A18, &[(FieldFormat, 'R', ImporterPostcode, 0, A18)]);
    expect(OLD, |d| d.importer.city = A36, &[(FieldFormat, 'R', ImporterCity, 0, A36)]);
}

#[test]
fn dispatch_from_the_union() {
    use Element::ExporterCountry;
    let from = |country: &'static str, postcode: &'static str| {
        move |d: &mut Declaration<'static>| {
            d.exporter.country = country;
            d.exporter.postcode = postcode;
        }
    };
    for country in ["DE", "NL", "XI", "BG"] {
        expect(OLD, from(country, ""), &[(DispatchFromEu, 'F', ExporterCountry, 0, country)]);
    }
    expect(OLD, from("ES", "28001"), &[(DispatchFromEu, 'F', ExporterCountry, 0, "ES")]);
    for (country, postcode) in [("ES", "35001"), ("ES", "38 001"), ("FI", "22100"), ("GB", "1")] {
        expect(OLD, from(country, postcode), &[]);
    }
}

#[test]
fn sanctions_on_countries() {
    use Element::{CountryOfOrigin, ExporterCountry};
    for country in ["RU", "BY"] {
        let expected = (SanctionedCountry, 'R', ExporterCountry, 0, country);
        expect(OLD, |d| d.exporter.country = country, &[expected]);
        let expected = (SanctionedCountry, 'R', CountryOfOrigin, 1, country);
        expect(OLD, |d| d.goods_items[0].country_of_origin = country, &[expected]);
    }
    for country in ["KP", "SY", "IR"] {
        let expected = (SanctionedCountry, 'F', ExporterCountry, 0, country);
        expect(OLD, |d| d.exporter.country = country, &[expected]);
        let expected = (SanctionedCountry, 'F', CountryOfOrigin, 1, country);
        expect(OLD, |d| d.goods_items[0].country_of_origin = country, &[expected]);
    }
    // The same country twice is one defect, another one a second.
    expect(
        OLD,
        |d| {
            d.exporter.country = "RU";
            d.goods_items[0].country_of_origin = "RU";
            add_item(d).country_of_origin = "BY";
        },
        &[
            (SanctionedCountry, 'R', ExporterCountry, 0, "RU"),
            (SanctionedCountry, 'R', CountryOfOrigin, 2, "BY"),
        ],
    );
    // Before the sanctions there were none; an origin that is no code is nobody's fault here.
    expect("2021-12-01", |d| d.exporter.country = "RU", &[]);
    for origin in ["CN", "ZZ", "China"] {
        expect(OLD, |d| d.goods_items[0].country_of_origin = origin, &[]);
    }
}

#[test]
fn sanctions_on_regions() {
    let from = |postcode: &'static str, city: &'static str| {
        move |d: &mut Declaration<'static>| {
            d.exporter.country = "UA";
            d.exporter.postcode = postcode;
            d.exporter.city = city;
        }
    };
    expect(OLD, from("01001", "Kyiv"), &[]);
    expect(
        OLD,
        from("95 000", "x"),
        &[(SanctionedCountry, 'R', Element::ExporterPostcode, 0, "95 000")],
    );
    expect(
        OLD,
        from("", "SEVASTOPOL"),
        &[(SanctionedCountry, 'R', Element::ExporterCity, 0, "SEVASTOPOL")],
    );
    expect(OLD, |d| d.exporter.city = "Sevastopol", &[]);
    expect("2022-02-23", from("", "Donetsk"), &[]);
    expect(
        "2022-02-24",
        from("", "Donetsk"),
        &[(SanctionedCountry, 'R', Element::ExporterCity, 0, "Donetsk")],
    );
}

#[test]
fn transport_documents() {
    use Element::*;
    let with = |kind: &'static str, reference: &'static str| {
        move |d: &mut Declaration<'static>| {
            d.transport_document = DocumentReference { r#type: kind, reference };
        }
    };
    expect(OLD, with("", ""), &[(FieldMissing, 'R', TransportDocument, 0, "")]);
    expect(OLD, with("", "X"), &[(FieldMissing, 'R', TransportDocumentType, 0, "")]);
    expect(OLD, with("N703", ""), &[(FieldMissing, 'R', TransportDocumentReference, 0, "")]);
    expect(OLD, with("S10", ""), &[(FieldMissing, 'R', TransportDocumentReference, 0, "")]);
    expect(OLD, with("N70345", "X"), &[(FieldFormat, 'R', TransportDocumentType, 0, "N70345")]);
    expect(OLD, with("N!", "X"), &[(FieldFormat, 'R', TransportDocumentType, 0, "N!")]);
    expect(OLD, with("ZZZZ", "X"), &[]);
    expect(OLD, with("N703", &A71[..70]), &[]);
    expect(OLD, with("N703", A71), &[(FieldFormat, 'R', TransportDocumentReference, 0, A71)]);
    expect(OLD, with("S10", "LV123456785CN"), &[]);
    let element = TransportDocumentReference;
    for bad in ["LV123456784CN", "LV12345678CN", "X"] {
        expect(OLD, with("S10", bad), &[(TransportReferenceCheck, 'F', element, 0, bad)]);
    }
    // A wrong barcode says nothing about its country.
    expect(
        OLD,
        with("S10", "LV123456784JP"),
        &[(TransportReferenceCheck, 'F', element, 0, "LV123456784JP")],
    );
    expect(
        OLD,
        with("S10", "LV123456785JP"),
        &[(S10CountryMismatch, 'F', element, 0, "LV123456785JP")],
    );
    expect(
        OLD,
        |d| {
            with("S10", "LV123456785JP")(d);
            d.exporter.country = "ZZ";
        },
        &[(CodeUnknown, 'R', ExporterCountry, 0, "ZZ")],
    );
    expect(OLD, with("N740", "074-12345675"), &[]);
    expect(
        OLD,
        with("N740", "074-12345674"),
        &[(TransportReferenceCheck, 'F', element, 0, "074-12345674")],
    );
}

#[test]
fn previous_documents() {
    use Element::*;
    let with = |kind: &'static str, reference: &'static str| {
        move |d: &mut Declaration<'static>| {
            d.previous_documents = vec![DocumentReference { r#type: kind, reference }];
        }
    };
    expect(OLD, |d| d.previous_documents.clear(), &[(FieldMissing, 'R', PreviousDocument, 0, "")]);
    expect(
        OLD,
        |d| {
            d.previous_documents.clear();
            d.additional_declaration_type = "D";
        },
        &[],
    );
    // Which type of declaration it is, is not known: so this is not tested.
    expect(
        OLD,
        |d| {
            d.previous_documents.clear();
            d.additional_declaration_type = "";
        },
        &[(FieldMissing, 'R', AdditionalDeclarationType, 0, "")],
    );
    expect(OLD, with("", ""), &[(FieldMissing, 'R', PreviousDocument, 0, "")]);
    expect(OLD, with("N355", ""), &[(FieldMissing, 'R', PreviousDocumentReference, 0, "")]);
    expect(OLD, with("", "X"), &[(FieldMissing, 'R', PreviousDocumentType, 0, "")]);
    expect(OLD, with("N355", "anything"), &[]);
    let element = PreviousDocumentReference;
    for good in
        ["21NL8TDE2PO02TAER9", "25NL000000000008R0", "26NLH70000000777R0", "25BETSD0000A7731U1"]
    {
        expect(OLD, with("N337", good), &[]);
        expect(OLD, with("NMRN", good), &[]);
    }
    expect(OLD, with("N337", "21NL8TDE2PO02TAERF"), &[]);
    for bad in ["21NL8TDE2PO02TAER8", "25NLTSD000000422U5"] {
        expect(OLD, with("N337", bad), &[(PreviousDocumentMrnCheckDigit, 'R', element, 0, bad)]);
        expect(OLD, with("N355", bad), &[]);
    }
    for bad in ["21NL8TDE2PO02TAER", "TEMP-1", "21nl8TDE2PO02TAER9"] {
        expect(OLD, with("NMRN", bad), &[(FieldFormat, 'R', element, 0, bad)]);
    }
}

#[test]
fn supporting_documents() {
    use Element::*;
    let with = |kind: &'static str, reference: &'static str| {
        move |d: &mut Declaration<'static>| {
            d.supporting_documents = vec![DocumentReference { r#type: kind, reference }];
        }
    };
    expect(OLD, with("N380", "INV-1"), &[]);
    expect(OLD, with("", "INV-1"), &[(FieldMissing, 'R', SupportingDocumentType, 0, "")]);
    expect(OLD, with("N380", ""), &[(FieldMissing, 'R', SupportingDocumentReference, 0, "")]);
    expect(OLD, with("N380", A71), &[(FieldFormat, 'R', SupportingDocumentReference, 0, A71)]);
}

#[test]
fn location_of_goods() {
    use Element::*;
    let with = |kind: &'static str, qualifier: &'static str, identification: &'static str| {
        move |d: &mut Declaration<'static>| {
            d.location_of_goods =
                crate::wire::view::LocationOfGoods { r#type: kind, qualifier, identification };
        }
    };
    for kind in ["A", "B", "C", "D"] {
        for qualifier in ["T", "U", "V", "W", "X", "Y", "Z"] {
            expect(OLD, with(kind, qualifier, "X"), &[]);
        }
    }
    expect(OLD, with("", "", ""), &[(FieldMissing, 'R', LocationOfGoods, 0, "")]);
    expect(OLD, with("", "Y", "X"), &[(FieldMissing, 'R', LocationType, 0, "")]);
    expect(OLD, with("B", "", "X"), &[(FieldMissing, 'R', LocationQualifier, 0, "")]);
    expect(OLD, with("B", "Y", ""), &[(FieldMissing, 'R', LocationIdentification, 0, "")]);
    expect(OLD, with("E", "Y", "X"), &[(CodeUnknown, 'R', LocationType, 0, "E")]);
    expect(OLD, with("B", "A", "X"), &[(CodeUnknown, 'R', LocationQualifier, 0, "A")]);
    expect(OLD, with("BB", "Y", "X"), &[(FieldFormat, 'R', LocationType, 0, "BB")]);
    expect(OLD, with("B", "Y", &A36[..35]), &[]);
    expect(OLD, with("B", "Y", A36), &[(FieldFormat, 'R', LocationIdentification, 0, A36)]);
}

#[test]
fn lists_of_document_types_are_open_unless_a_rule_set_closes_them() {
    let mut declaration = sale(OLD);
    declaration.transport_document = DocumentReference { r#type: "Q999", reference: "LTB-417" };
    let reasons = |law: &Law| {
        let law = law.on(Day::parse(OLD).unwrap()).unwrap();
        let judged = judge_with(&law, &lodger(), &declaration, FallbackCheck::default());
        judged.seen.into_iter().map(|seen| (seen.0, seen.2, seen.4)).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&LAW), []);
    let mut files: std::collections::BTreeMap<String, Vec<u8>> =
        LAW.files().iter().map(|(name, bytes)| (name.clone(), bytes.to_vec())).collect();
    let set = files.get_mut("rulesets/2021-07-01.toml").unwrap();
    let text = String::from_utf8(set.clone()).unwrap();
    *set = text.replace("closed_kinds = []", "closed_kinds = [\"transport\"]").into_bytes();
    let closed = Law::from_files(files).expect("good files");
    assert_eq!(
        reasons(&closed),
        [(CodeUnknown, Element::TransportDocumentType, "Q999".to_owned())]
    );
}
