//! Declarations for property tests: small alphabets, so that what is empty, equal or not normal
//! comes up often. Also included by `tests/reader_equals_prost.rs`.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use crate::proto::v1;

/// Texts of which some are empty, some not normal, some not ASCII and some long.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(String::new()),
        4 => "[A-Z0-9]{1,12}",
        3 => "([ \t\u{a0}\u{3000}]|[a-cA-C!]|é|漢|\u{1f4e6}){0,12}",
        1 => "[a-z ]{100,300}",
    ]
}

fn document_type() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::sample::select(vec!["N337", "NMRN", "s10", " n740 ", "N380"])
            .prop_map(str::to_owned),
        1 => text(),
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..200_u64, any::<u64>().prop_map(|wide| wide >> (wide & 63))]
}

fn number32() -> impl Strategy<Value = u32> {
    number().prop_map(|wide| (wide & 0xffff_ffff) as u32)
}

prop_compose! {
    fn money()(currency in text(), hundredths in number()) -> v1::Money {
        v1::Money { currency, hundredths }
    }
}

prop_compose! {
    fn party()(fields in vec(text(), 6)) -> v1::Party {
        let [name, street, postcode, city, country, identification] =
            <[String; 6]>::try_from(fields).unwrap();
        v1::Party { name, street, postcode, city, country, identification }
    }
}

prop_compose! {
    fn document()(r#type in document_type(), reference in text()) -> v1::DocumentReference {
        v1::DocumentReference { r#type, reference }
    }
}

prop_compose! {
    fn product()(merchant in text(), manufacturer in text(), gtin in text())
        -> v1::ProductIdentifiers
    {
        v1::ProductIdentifiers { merchant, manufacturer, gtin }
    }
}

prop_compose! {
    fn location()(r#type in text(), qualifier in text(), identification in text())
        -> v1::LocationOfGoods
    {
        v1::LocationOfGoods { r#type, qualifier, identification }
    }
}

prop_compose! {
    fn fallback()(reference in text(), wide in number()) -> v1::FallbackLodgement {
        v1::FallbackLodgement { reference, lodged_at_ms: wide.cast_signed() }
    }
}

prop_compose! {
    fn goods_item()(
        goods_item_number in number32(),
        hs6 in text(),
        description in text(),
        intrinsic_value in weighted(0.7, money()),
        gross_mass_mg in number(),
        packages in number32(),
        additional_procedures in vec(text(), 0..5),
        product in weighted(0.5, product()),
        country_of_origin in text(),
    ) -> v1::GoodsItem {
        v1::GoodsItem {
            goods_item_number,
            hs6,
            description,
            intrinsic_value,
            gross_mass_mg,
            packages,
            additional_procedures,
            product,
            country_of_origin,
        }
    }
}

prop_compose! {
    /// A declaration in which each message may be absent.
    pub(crate) fn declaration()(
        (lrn, additional_declaration_type, ioss_number, ucr) in (text(), text(), text(), text()),
        goods_items in vec(goods_item(), 0..4),
        exporter in weighted(0.6, party()),
        importer in weighted(0.6, party()),
        transport_document in weighted(0.6, document()),
        previous_documents in vec(document(), 0..3),
        transport_costs in weighted(0.6, money()),
        location_of_goods in weighted(0.6, location()),
        supporting_documents in vec(document(), 0..3),
        fallback in weighted(0.3, fallback()),
    ) -> v1::Declaration {
        v1::Declaration {
            lrn,
            goods_items,
            additional_declaration_type,
            exporter,
            importer,
            ioss_number,
            transport_document,
            previous_documents,
            transport_costs,
            location_of_goods,
            ucr,
            supporting_documents,
            fallback,
        }
    }
}

prop_compose! {
    /// A batch of a few declarations.
    pub(crate) fn batch()(
        (batch_id, declarant, representative) in (text(), text(), text()),
        representative_status in number32(),
        declarations in vec(declaration(), 0..4),
        common in weighted(0.6, declaration()),
    ) -> v1::SubmitBatchRequest {
        v1::SubmitBatchRequest {
            batch_id,
            declarant,
            representative,
            representative_status,
            declarations,
            common,
        }
    }
}
