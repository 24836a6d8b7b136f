//! Properties: judging never panics, and repeats itself.

use super::*;
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
