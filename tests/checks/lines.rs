//! A declaration as lines of text, so that changing some bytes changes one field and leaves the rest a
//! declaration: `hs6=851830`, in any order, unknown ones left out, the last of several counting.
//!
//! `item=` begins a goods item, and `previous=`, `supporting=` and `procedure=` add to their list. Parts
//! of a value are parted by `|`. What is not a number is 0.

use std::fmt::Write;

use waag::id::Eori;
use waag::proto::v1;
use waag::wire::view::{
    Declaration, DocumentReference, FallbackLodgement, GoodsItem, LocationOfGoods, Lodger, Money,
    ProductIdentifiers,
};

/// A declaration, and what else judging it depends on.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) day: &'a str,
    pub(crate) lodger: Lodger<'a>,
    /// See `FallbackCheck::bits`.
    pub(crate) fallback: u8,
    pub(crate) declaration: Declaration<'a>,
}

/// So many elements of any list: enough for every rule, and no more than a few milliseconds of judging.
const LIST_MAX: usize = 400;

/// Reads the lines; anything can be read.
pub(crate) fn read(text: &str) -> Case<'_> {
    let declarant = Eori::parse("NL810000003").unwrap();
    let mut case = Case {
        day: "2026-11-05",
        lodger: Lodger { declarant, representative: "", representative_status: 0 },
        fallback: 0,
        declaration: Declaration::default(),
    };
    for line in text.split('\n') {
        if let Some((key, value)) = line.split_once('=') {
            set(&mut case, key, value);
        }
    }
    case
}

fn number<N: std::str::FromStr + Default>(text: &str) -> N {
    text.parse().unwrap_or_default()
}

/// The parts of a value; those that are not there are empty.
fn parts<const N: usize>(value: &str) -> [&str; N] {
    let mut parts = value.splitn(N, '|');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn document(value: &str) -> DocumentReference<'_> {
    let [r#type, reference] = parts(value);
    DocumentReference { r#type, reference }
}

fn money(value: &str) -> Money<'_> {
    let [currency, hundredths] = parts(value);
    Money { currency, hundredths: number(hundredths) }
}

fn set<'a>(case: &mut Case<'a>, key: &str, value: &'a str) {
    let declaration = &mut case.declaration;
    if let Some((party, field)) = key.split_once('.') {
        let party = match party {
            "exporter" => &mut declaration.exporter,
            "importer" => &mut declaration.importer,
            _ => return,
        };
        match field {
            "name" => party.name = value,
            "street" => party.street = value,
            "postcode" => party.postcode = value,
            "city" => party.city = value,
            "country" => party.country = value,
            "identification" => party.identification = value,
            _ => {}
        }
        return;
    }
    match key {
        "day" => case.day = value,
        "declarant" => {
            case.lodger.declarant = Eori::parse(value).unwrap_or(case.lodger.declarant);
        }
        "representative" => case.lodger.representative = value,
        "status" => case.lodger.representative_status = number(value),
        "fallback_bits" => case.fallback = number(value),
        "lrn" => declaration.lrn = value,
        "type" => declaration.additional_declaration_type = value,
        "ioss" => declaration.ioss_number = value,
        "transport" => declaration.transport_document = document(value),
        "previous" if declaration.previous_documents.len() < LIST_MAX => {
            declaration.previous_documents.push(document(value));
        }
        "costs" => declaration.transport_costs = money(value),
        "location" => {
            let [r#type, qualifier, identification] = parts(value);
            declaration.location_of_goods = LocationOfGoods { r#type, qualifier, identification };
        }
        "ucr" => declaration.ucr = value,
        "supporting" if declaration.supporting_documents.len() < LIST_MAX => {
            declaration.supporting_documents.push(document(value));
        }
        "fallback" => {
            let [reference, at] = parts(value);
            declaration.fallback = FallbackLodgement { reference, lodged_at_ms: number(at) };
        }
        "item" if declaration.goods_items.len() < LIST_MAX => {
            let goods_item_number = number(value);
            declaration.goods_items.push(GoodsItem { goods_item_number, ..GoodsItem::default() });
        }
        _ => {
            if let Some(item) = declaration.goods_items.last_mut() {
                set_of_item(item, key, value);
            }
        }
    }
}

fn set_of_item<'a>(item: &mut GoodsItem<'a>, key: &str, value: &'a str) {
    match key {
        "hs6" => item.hs6 = value,
        "description" => item.description = value,
        "value" => item.intrinsic_value = money(value),
        "mass" => item.gross_mass_mg = number(value),
        "packages" => item.packages = number(value),
        "procedure" if item.additional_procedures.len() < LIST_MAX => {
            item.additional_procedures.push(value);
        }
        "product" => {
            let [merchant, manufacturer, gtin] = parts(value);
            item.product = ProductIdentifiers { merchant, manufacturer, gtin };
        }
        "origin" => item.country_of_origin = value,
        _ => {}
    }
}

/// The lines for a declaration of a batch.
pub(crate) fn write(
    day: &str,
    batch: &v1::SubmitBatchRequest,
    declaration: &v1::Declaration,
) -> String {
    let mut lines = String::new();
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        writeln!(lines, "{key}={value}").unwrap();
    };
    line("day", &day);
    line("declarant", &batch.declarant);
    line("representative", &batch.representative);
    line("status", &batch.representative_status);
    line("lrn", &declaration.lrn);
    line("type", &declaration.additional_declaration_type);
    line("ioss", &declaration.ioss_number);
    line("ucr", &declaration.ucr);
    let parties = [("exporter", &declaration.exporter), ("importer", &declaration.importer)];
    for (role, party) in parties {
        let party = party.clone().unwrap_or_default();
        line(&format!("{role}.name"), &party.name);
        line(&format!("{role}.street"), &party.street);
        line(&format!("{role}.postcode"), &party.postcode);
        line(&format!("{role}.city"), &party.city);
        line(&format!("{role}.country"), &party.country);
        line(&format!("{role}.identification"), &party.identification);
    }
    let document =
        |document: &v1::DocumentReference| format!("{}|{}", document.r#type, document.reference);
    let money = |money: &v1::Money| format!("{}|{}", money.currency, money.hundredths);
    let lists = [
        ("transport", declaration.transport_document.as_slice()),
        ("previous", &declaration.previous_documents),
        ("supporting", &declaration.supporting_documents),
    ];
    for (key, documents) in lists {
        documents.iter().for_each(|own| line(key, &document(own)));
    }
    declaration.transport_costs.iter().for_each(|costs| line("costs", &money(costs)));
    if let Some(location) = &declaration.location_of_goods {
        let v1::LocationOfGoods { r#type, qualifier, identification } = location;
        line("location", &format!("{type}|{qualifier}|{identification}"));
    }
    if let Some(fallback) = &declaration.fallback {
        line("fallback", &format!("{}|{}", fallback.reference, fallback.lodged_at_ms));
        line("fallback_bits", &1);
    }
    for item in &declaration.goods_items {
        line("item", &item.goods_item_number);
        line("hs6", &item.hs6);
        line("description", &item.description);
        item.intrinsic_value.iter().for_each(|value| line("value", &money(value)));
        line("mass", &item.gross_mass_mg);
        line("packages", &item.packages);
        item.additional_procedures.iter().for_each(|code| line("procedure", code));
        if let Some(v1::ProductIdentifiers { merchant, manufacturer, gtin }) = &item.product {
            line("product", &format!("{merchant}|{manufacturer}|{gtin}"));
        }
        line("origin", &item.country_of_origin);
    }
    lines
}
