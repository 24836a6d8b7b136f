//! Form: lengths, characters, and the elements of the header that belong to no other family.
//!
//! Choices:
//! - Lengths are counted in characters, not bytes (formats an..n of the EUCDM).
//! - No text may contain control characters: the systems that take declarations over could not
//!   carry them (they do not exist in XML). The characters are otherwise free.
//! - Product identifiers (merchant's, manufacturer's, GTIN) are free text of at most 70 characters
//!   under every rule set, whether or not it asks for them; a GTIN's check digit is not tested.
//! - An LRN has printable ASCII only, so that it is compared byte for byte without ambiguity.

use super::edition::DECLARATION_TYPE;
use super::finding::{Element, Reason};
use super::judge::{Case, Found};
use crate::wire::view::ProductIdentifiers;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Whether a declaration with this LRN (trimmed) can be kept under it: 1 to 22 characters of
/// printable ASCII, no space at either end.
#[must_use]
pub fn lrn_is_usable(lrn: &str) -> bool {
    let bytes = lrn.as_bytes();
    (1..=22).contains(&bytes.len())
        && bytes.is_ascii()
        && !has_control(lrn)
        && bytes.first() != Some(&b' ')
        && bytes.last() != Some(&b' ')
}

/// At most `max` characters and no control character. Where a declaration is judged,
/// [`Found::is_text`] is quicker.
#[inline(never)]
pub(super) fn is_text(text: &str, max: usize) -> bool {
    // Bytes are never fewer than characters, so most texts need no counting.
    (text.len() <= max || text.chars().count() <= max) && !has_control(text)
}

/// Marks bytes below 0x20 and 0x7f; exact as to whether there are any.
#[inline]
pub(super) fn controls(eight: u64) -> u64 {
    let del = eight ^ (ONES * 0x7f);
    (eight.wrapping_sub(ONES * 0x20) & !eight | del.wrapping_sub(ONES) & !del) & HIGHS
}

/// Whether a byte is below 0x20 or 0x7f: eight at a time, the last eight perhaps a second time.
#[inline]
fn has_control(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut found = 0;
    for chunk in chunks {
        found |= controls(u64::from_le_bytes(*chunk));
    }
    if !rest.is_empty() {
        found |= match (bytes.last_chunk::<8>(), rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
            (Some(last), ..) => controls(u64::from_le_bytes(*last)),
            (None, Some(first), Some(last)) => {
                let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
                controls(u64::from(first) << 32 | u64::from(last))
            }
            _ => u64::from(rest.iter().any(|byte| *byte < 0x20 || *byte == 0x7f)),
        };
    }
    found != 0
}

/// FIELD_FORMAT where `text` is longer than `max` characters or contains a control character.
#[inline]
pub(super) fn text(found: &mut Found<'_>, element: Element, item: u16, text: &str, max: usize) {
    if !found.is_text(text, max) {
        found.add(Reason::FieldFormat, element, item, text);
    }
}

/// The longest product identifier, in characters.
pub(super) const PRODUCT_IDENTIFIER_MAX: usize = 70;

/// FIELD_FORMAT for each product identifier that is longer than it may be or contains a control
/// character.
#[inline]
pub(super) fn product_identifiers(
    found: &mut Found<'_>,
    item: u16,
    product: &ProductIdentifiers<'_>,
) {
    for identifier in [product.merchant, product.manufacturer, product.gtin] {
        text(found, Element::ProductIdentifier, item, identifier, PRODUCT_IDENTIFIER_MAX);
    }
}

/// FIELD_MISSING where `text` is empty, else as [`text`].
#[inline]
pub(super) fn mandatory(found: &mut Found<'_>, element: Element, value: &str, max: usize) {
    if value.is_empty() {
        found.add(Reason::FieldMissing, element, 0, "");
    } else {
        text(found, element, 0, value, max);
    }
}

pub(super) fn judge(case: &Case<'_, '_>, found: &mut Found<'_>) {
    let declaration = case.declaration;
    if declaration.lrn.is_empty() {
        found.add(Reason::FieldMissing, Element::Lrn, 0, "");
    } else if !lrn_is_usable(declaration.lrn) {
        found.add(Reason::FieldFormat, Element::Lrn, 0, declaration.lrn);
    }
    let kind = declaration.additional_declaration_type;
    match kind.as_bytes() {
        [] => found.add(Reason::FieldMissing, Element::AdditionalDeclarationType, 0, ""),
        [code] if case.edition.code_is(*code, DECLARATION_TYPE) => {}
        _ => {
            let element = Element::AdditionalDeclarationType;
            found.add(Reason::DeclarationTypeNotH7, element, 0, kind);
        }
    }
    text(found, Element::Ucr, 0, declaration.ucr, 35);
    let numbered = |(index, number): (usize, u32)| number as usize == index + 1;
    let numbers = declaration.goods_items.iter().map(|item| item.goods_item_number).enumerate();
    if let Some((index, number)) = numbers.into_iter().find(|at| !numbered(*at)) {
        // Once for the declaration, at the first number that is wrong: the others follow from it.
        let item = super::judge::item_number(index);
        let element = Element::GoodsItemNumber;
        found.add(Reason::ItemNumberSequence, element, item, &number.to_string());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usable_lrns() {
        for good in ["1", "EXP/2026/11/05/9001173", "A B", "~!", "1234567890123456789012"] {
            assert!(lrn_is_usable(good), "{good}");
        }
        for bad in ["", " A", "A ", "é", "A\tB", "A\u{7f}", "12345678901234567890123"] {
            assert!(!lrn_is_usable(bad), "{bad}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(is_text(&"é".repeat(70), 70));
        assert!(!is_text(&"é".repeat(71), 70));
    }

    proptest! {
        #[test]
        fn control_characters_are_found(text in "[\\x00-\\x21\\x7e-\\x80a-zé漢]{0,40}") {
            prop_assert_eq!(has_control(&text), text.bytes().any(|b| b < 0x20 || b == 0x7f));
        }
    }
}
