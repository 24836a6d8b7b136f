//! Other content under the same LRN, and the same content spelt otherwise.

use super::random::Random;
use crate::proto::v1::Declaration;

/// Makes it another declaration under the same LRN: an order number that no other has, and other
/// goods values, weights or names, all in good order still.
pub(crate) fn change(declaration: &mut Declaration, position: u64, random: &mut Random) {
    declaration.ucr = format!("EU-C{position:X}-{:06}", random.below(1_000_000));
    match random.below(4) {
        0 => {
            // Dearer would be nearer to a threshold.
            for value in
                declaration.goods_items.iter_mut().filter_map(|item| item.intrinsic_value.as_mut())
            {
                value.hundredths = match value.currency.as_str() {
                    "JPY" | "KRW" => (value.hundredths / 200 * 100).max(100),
                    _ => (value.hundredths / 2).max(1),
                };
            }
        }
        1 => {
            for item in &mut declaration.goods_items {
                item.gross_mass_mg += random.between(1, 50) * 1_000;
            }
        }
        2 => {
            if let Some(importer) = &mut declaration.importer
                && !importer.name.is_empty()
            {
                importer.name.push_str(" jr.");
            }
        }
        _ => {}
    }
}

/// Spells it otherwise where normalising takes that away: white space around texts and between
/// words, lower case in what is put into upper case. The content digest stays the same.
pub(crate) fn spell_otherwise(declaration: &mut Declaration, random: &mut Random) {
    if random.percent(30) {
        pad(&mut declaration.lrn);
    }
    if random.percent(40) {
        lower(&mut declaration.additional_declaration_type);
        lower(&mut declaration.ioss_number);
    }
    let parties = declaration.exporter.iter_mut().chain(&mut declaration.importer);
    for party in parties.filter(|_| random.percent(50)) {
        lower(&mut party.country);
        lower(&mut party.identification);
        pad(&mut party.country);
        pad(&mut party.city);
        widen(&mut party.name);
    }
    let documents = declaration.transport_document.iter_mut();
    for document in documents.chain(&mut declaration.previous_documents) {
        if random.percent(30) {
            // A house waybill keeps its case; these do not.
            if matches!(document.r#type.as_str(), "N337" | "NMRN" | "S10" | "N740") {
                lower(&mut document.reference);
            }
            lower(&mut document.r#type);
            pad(&mut document.reference);
        }
    }
    if let Some(location) = &mut declaration.location_of_goods
        && random.percent(30)
    {
        lower(&mut location.r#type);
        lower(&mut location.qualifier);
    }
    for item in &mut declaration.goods_items {
        if random.percent(50) {
            widen(&mut item.description);
            pad(&mut item.hs6);
        }
        if let Some(value) = &mut item.intrinsic_value
            && random.percent(50)
        {
            lower(&mut value.currency);
            pad(&mut value.currency);
        }
        for code in &mut item.additional_procedures {
            lower(code);
        }
    }
}

fn lower(text: &mut str) {
    text.make_ascii_lowercase();
}

/// White space before and after, unless there is nothing.
fn pad(text: &mut String) {
    if !text.is_empty() {
        text.insert(0, ' ');
        text.push(' ');
    }
}

/// Two spaces between words for one, and one at the end.
fn widen(text: &mut String) {
    if !text.is_empty() {
        *text = text.replace(' ', "  ");
        text.push(' ');
    }
}
