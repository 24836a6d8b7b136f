//! The worked cases in `tests/cases.json`, as far as the rules decide them. The views are made by
//! hand, without the normaliser: the cases are in normal form.

use super::*;
use crate::proto::v1;

fn money(money: &Option<v1::Money>) -> Money<'_> {
    let money = money.as_ref();
    money.map_or(Money::default(), |m| Money { currency: &m.currency, hundredths: m.hundredths })
}

fn party(party: &Option<v1::Party>) -> Party<'_> {
    party.as_ref().map_or(Party::default(), |p| Party {
        name: &p.name,
        street: &p.street,
        postcode: &p.postcode,
        city: &p.city,
        country: &p.country,
        identification: &p.identification,
    })
}

fn document(document: &v1::DocumentReference) -> DocumentReference<'_> {
    DocumentReference { r#type: &document.r#type, reference: &document.reference }
}

fn view(declaration: &v1::Declaration) -> Declaration<'_> {
    let location = declaration.location_of_goods.as_ref();
    Declaration {
        lrn: &declaration.lrn,
        goods_items: declaration.goods_items.iter().map(goods_item).collect(),
        additional_declaration_type: &declaration.additional_declaration_type,
        exporter: party(&declaration.exporter),
        importer: party(&declaration.importer),
        ioss_number: &declaration.ioss_number,
        transport_document: declaration
            .transport_document
            .as_ref()
            .map_or(DocumentReference::default(), document),
        previous_documents: declaration.previous_documents.iter().map(document).collect(),
        transport_costs: money(&declaration.transport_costs),
        location_of_goods: location.map_or(LocationOfGoods::default(), |l| LocationOfGoods {
            r#type: &l.r#type,
            qualifier: &l.qualifier,
            identification: &l.identification,
        }),
        ..Declaration::default()
    }
}

fn goods_item(item: &v1::GoodsItem) -> GoodsItem<'_> {
    GoodsItem {
        goods_item_number: item.goods_item_number,
        hs6: &item.hs6,
        description: &item.description,
        intrinsic_value: money(&item.intrinsic_value),
        gross_mass_mg: item.gross_mass_mg,
        packages: item.packages,
        additional_procedures: item.additional_procedures.iter().map(String::as_str).collect(),
        product: item.product.as_ref().map_or(ProductIdentifiers::default(), |p| {
            ProductIdentifiers {
                merchant: &p.merchant,
                manufacturer: &p.manufacturer,
                gtin: &p.gtin,
            }
        }),
        country_of_origin: &item.country_of_origin,
    }
}

#[test]
fn the_worked_cases() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/cases.json")).expect("JSON");
    let mut judged_cases = 0;
    for case in cases.as_array().expect("a list") {
        let name = case["case"].as_str().expect("a name");
        let request: v1::SubmitBatchRequest =
            serde_json::from_value(case["request"].clone()).expect(name);
        if request.common.is_some() {
            continue;
        }
        let law = law(case["on"].as_str().expect("a day"));
        for (declaration, expected) in
            request.declarations.iter().zip(case["expect"].as_array().expect("a list"))
        {
            let lodger = Lodger {
                declarant: Eori::parse(&request.declarant).expect("an EORI"),
                representative: &request.representative,
                representative_status: request.representative_status,
            };
            let judged = judge_with(&law, &lodger, &view(declaration), FallbackCheck::default());
            let (Some(reject), Some(flags)) =
                (expected["reject"].as_array(), expected["flags"].as_array())
            else {
                continue;
            };
            let mut found: Vec<&str> =
                judged.seen.iter().filter(|seen| seen.1 == 'R').map(|seen| seen.0.name()).collect();
            found.sort_unstable();
            let mut reject: Vec<&str> = reject.iter().filter_map(|name| name.as_str()).collect();
            reject.sort_unstable();
            assert_eq!(found, reject, "{name}");
            for flag in flags {
                assert!(judged.seen.iter().any(|seen| flag == seen.0.name()), "{name}: {flag}");
            }
            judged_cases += 1;
        }
    }
    assert_eq!(judged_cases, 16);
}
