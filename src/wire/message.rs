//! From the view back to prost's tree, for answers that hold a declaration.

use super::view::{
    Declaration, DocumentReference, FallbackLodgement, GoodsItem, LocationOfGoods, Money, Party,
    ProductIdentifiers,
};
use crate::proto::v1;

/// The declaration as a message. Empty messages are left out, since the view does not tell them
/// from absent ones; elements of lists stand.
#[must_use]
pub fn to_message(declaration: &Declaration<'_>) -> v1::Declaration {
    let documents = |list: &[DocumentReference<'_>]| list.iter().map(document).collect();
    let Declaration {
        lrn,
        goods_items,
        additional_declaration_type,
        exporter,
        importer,
        ioss_number,
        transport_document,
        previous_documents,
        transport_costs,
        location_of_goods: LocationOfGoods { r#type, qualifier, identification },
        ucr,
        supporting_documents,
        fallback: FallbackLodgement { reference, lodged_at_ms },
        plain: _,
    } = declaration;
    v1::Declaration {
        lrn: (*lrn).to_owned(),
        goods_items: goods_items.iter().map(goods_item).collect(),
        additional_declaration_type: (*additional_declaration_type).to_owned(),
        exporter: unless_empty(party(exporter)),
        importer: unless_empty(party(importer)),
        ioss_number: (*ioss_number).to_owned(),
        transport_document: unless_empty(document(transport_document)),
        previous_documents: documents(previous_documents),
        transport_costs: unless_empty(money(transport_costs)),
        location_of_goods: unless_empty(v1::LocationOfGoods {
            r#type: (*r#type).to_owned(),
            qualifier: (*qualifier).to_owned(),
            identification: (*identification).to_owned(),
        }),
        ucr: (*ucr).to_owned(),
        supporting_documents: documents(supporting_documents),
        fallback: unless_empty(v1::FallbackLodgement {
            reference: (*reference).to_owned(),
            lodged_at_ms: *lodged_at_ms,
        }),
    }
}

fn unless_empty<M: Default + PartialEq>(message: M) -> Option<M> {
    (message != M::default()).then_some(message)
}

fn goods_item(item: &GoodsItem<'_>) -> v1::GoodsItem {
    let GoodsItem {
        goods_item_number,
        hs6,
        description,
        intrinsic_value,
        gross_mass_mg,
        packages,
        additional_procedures,
        product: ProductIdentifiers { merchant, manufacturer, gtin },
        country_of_origin,
    } = item;
    v1::GoodsItem {
        goods_item_number: *goods_item_number,
        hs6: (*hs6).to_owned(),
        description: (*description).to_owned(),
        intrinsic_value: unless_empty(money(intrinsic_value)),
        gross_mass_mg: *gross_mass_mg,
        packages: *packages,
        additional_procedures: additional_procedures.iter().map(|&code| code.to_owned()).collect(),
        product: unless_empty(v1::ProductIdentifiers {
            merchant: (*merchant).to_owned(),
            manufacturer: (*manufacturer).to_owned(),
            gtin: (*gtin).to_owned(),
        }),
        country_of_origin: (*country_of_origin).to_owned(),
    }
}

fn money(money: &Money<'_>) -> v1::Money {
    let Money { currency, hundredths } = money;
    v1::Money { currency: (*currency).to_owned(), hundredths: *hundredths }
}

fn party(party: &Party<'_>) -> v1::Party {
    let Party { name, street, postcode, city, country, identification } = party;
    v1::Party {
        name: (*name).to_owned(),
        street: (*street).to_owned(),
        postcode: (*postcode).to_owned(),
        city: (*city).to_owned(),
        country: (*country).to_owned(),
        identification: (*identification).to_owned(),
    }
}

fn document(document: &DocumentReference<'_>) -> v1::DocumentReference {
    let DocumentReference { r#type, reference } = document;
    v1::DocumentReference { r#type: (*r#type).to_owned(), reference: (*reference).to_owned() }
}
