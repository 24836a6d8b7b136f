//! Properties: judging never panics, and repeats itself.

use super::*;
use crate::rules::finding::Finding;
use crate::wire::normalise::normalise;
use proptest::prelude::*;

prop_compose! {
    fn text()(text in prop_oneof![
        Just(String::new()),
        "[A-Z]{1,3}",
        "[0-9A-Z]{1,20}",
        "\\PC{0,40}",
        ".{0,90}",
        Just("\u{0}\u{7f}é漢字😀".repeat(90)),
        prop::sample::select(vec![
            "EUR", "USD", "CN", "RU", "NL", "UA", "ES", "F48", "C07", "C08", "F49", "F53", "000",
            "S10", "N337", "N740", "N703", "A", "D", "B", "Y", "610910", "240220", "950300",
            "IM5280007731", "LV123456785CN", "25NLTSD000000421U7", "Clothes", "t-shirt 12 pcs",
            "general goods and various goods", "image.jpg", ".", "....", "Lotusbay Trading Ltd",
        ]).prop_map(str::to_owned),
    ]) -> String { text }
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..20_000_u64, any::<u64>(), Just(u64::MAX), Just(10_000_000_000_000_000)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn judging_never_panics_and_repeats_itself(
        texts in prop::collection::vec(text(), 64),
        numbers in prop::collection::vec(number(), 32),
        items in 0..6_usize,
        codes in 0..4_usize,
        days in prop::sample::select(vec!["2021-07-01", "2022-01-01", OLD, NEW, LATEST, "2100-01-01"]),
        bits in any::<u8>(),
    ) {
        let mut text = texts.iter().map(String::as_str).cycle();
        let mut number = numbers.iter().copied().cycle();
        let mut t = || text.next().unwrap();
        let mut n = || number.next().unwrap();
        let declaration = Declaration {
            lrn: t(),
            goods_items: (0..items).map(|_| GoodsItem {
                goods_item_number: n() as u32,
                hs6: t(),
                description: t(),
                intrinsic_value: Money { currency: t(), hundredths: n() },
                gross_mass_mg: n(),
                packages: n() as u32,
                additional_procedures: (0..codes).map(|_| t()).collect(),
                product: ProductIdentifiers { merchant: t(), manufacturer: t(), gtin: t() },
                country_of_origin: t(),
            }).collect(),
            additional_declaration_type: t(),
            exporter: Party { name: t(), street: t(), postcode: t(), city: t(), country: t(), identification: t() },
            importer: Party { name: t(), street: t(), postcode: t(), city: t(), country: t(), identification: t() },
            ioss_number: t(),
            transport_document: DocumentReference { r#type: t(), reference: t() },
            previous_documents: vec![DocumentReference { r#type: t(), reference: t() }],
            transport_costs: Money { currency: t(), hundredths: n() },
            location_of_goods: LocationOfGoods { r#type: t(), qualifier: t(), identification: t() },
            ucr: t(),
            supporting_documents: vec![DocumentReference { r#type: t(), reference: t() }],
            fallback: FallbackLodgement { reference: t(), lodged_at_ms: n() as i64 },
            plain: Plain::default(),
        };
        let lodger = Lodger {
            declarant: Eori::parse("NL810000003").unwrap(),
            representative: t(),
            representative_status: n() as u32,
        };
        let law = law(days);
        let fallback = FallbackCheck::from_bits(bits);
        let mut first = Findings::default();
        let mut judge = Judge::new();
        let judgement = judge.judge(&law, &lodger, &declaration, fallback, &mut first);
        prop_assert_eq!(judge.line_values().len(), declaration.goods_items.len());
        let rejects = first.list.iter().filter(|f| f.severity == Severity::Reject).count();
        prop_assert_eq!(judgement.rejected, rejects > 0);
        prop_assert!(first.list.is_sorted_by_key(|f| std::cmp::Reverse(f.severity)));
        if !crate::rules::lrn_is_usable(declaration.lrn) {
            prop_assert!(judgement.rejected, "what cannot be kept is not accepted");
        }
        let mut second = Findings::default();
        let again = judge.judge(&law, &lodger, &declaration, fallback, &mut second);
        prop_assert_eq!(judgement, again);
        prop_assert_eq!(&first.list, &second.list);
        let (first_span, second_span) = (first.close(0), second.close(0));
        let (first, second) = (first.of(first_span), second.of(second_span));
        let mut sentence = String::new();
        for (finding, same) in first.list.iter().zip(second.list) {
            prop_assert_eq!(first.value(finding), second.value(same));
            law.message(finding, first.value(finding), &mut sentence);
        }
    }
}

/// What a judgement and its findings come to.
fn judged(declaration: &Declaration<'_>) -> (Judgement, Vec<(Finding, String)>) {
    let mut findings = Findings::default();
    let judgement = Judge::new().judge(
        &law(LATEST),
        &Lodger {
            declarant: Eori::parse("NL810000003").unwrap(),
            representative: "",
            representative_status: 0,
        },
        declaration,
        FallbackCheck::default(),
        &mut findings,
    );
    let span = findings.close(0);
    let own = findings.of(span);
    let of = own.list.iter().map(|finding| (*finding, own.value(finding).to_owned()));
    (judgement, of.collect())
}

fn nearly_plain() -> impl Strategy<Value = String> {
    prop_oneof![
        60 => "[!-~]([ -~]{0,78}[!-~])?",
        1 => "[a-z\u{7f}]{1,9}",
        1 => "[a-z\u{1}]{1,9}",
        1 => "[a-z é]{1,9}",
        1 => "[é漢]{68,72}",
    ]
}

proptest! {
    #[test]
    fn to_know_that_texts_are_plain_changes_no_verdict(
        texts in prop::collection::vec(nearly_plain(), 16),
    ) {
        let mut texts = texts.iter().map(String::as_str);
        let mut t = || texts.next().unwrap();
        let arena = bumpalo::Bump::new();
        let mut declaration = sale(LATEST);
        for party in [&mut declaration.exporter, &mut declaration.importer] {
            (party.name, party.street, party.postcode, party.city) = (t(), t(), t(), t());
        }
        let item = declaration.goods_items.first_mut().unwrap();
        (item.description, item.product.merchant, item.product.gtin) = (t(), t(), t());
        (declaration.ucr, declaration.location_of_goods.identification) = (t(), t());
        declaration.transport_document.reference = t();
        declaration.supporting_documents = vec![DocumentReference { r#type: "N380", reference: t() }];
        normalise(&mut declaration, &arena);
        let unknown = Declaration { plain: Plain::default(), ..declaration.clone() };
        prop_assert!(!unknown.plain.is_known());
        prop_assert_eq!(judged(&declaration), judged(&unknown));
    }

    #[test]
    fn only_printable_ascii_is_known_to_be_plain(texts in prop::collection::vec(nearly_plain(), 3)) {
        let arena = bumpalo::Bump::new();
        let mut declaration = sale(LATEST);
        let mut texts = texts.iter().map(String::as_str);
        let mut t = || texts.next().unwrap();
        (declaration.ucr, declaration.importer.city) = (t(), t());
        declaration.goods_items.first_mut().unwrap().description = t();
        normalise(&mut declaration, &arena);
        let all = [
            declaration.ucr,
            declaration.importer.city,
            declaration.goods_items.first().unwrap().description,
        ];
        let printable = all.iter().all(|text| text.bytes().all(|byte| (b' '..0x7f).contains(&byte)));
        prop_assert!(printable || !declaration.plain.is_known());
    }
}

#[test]
fn a_clean_sale_is_known_to_be_plain_and_one_with_an_accent_is_not() {
    let arena = bumpalo::Bump::new();
    let mut declaration = sale(LATEST);
    normalise(&mut declaration, &arena);
    assert!(declaration.plain.is_known());
    declaration.importer.city = "Étten";
    normalise(&mut declaration, &arena);
    assert!(!declaration.plain.is_known());
}
