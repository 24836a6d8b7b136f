//! The normal form in which declarations are judged, compared and kept.
//!
//! - White space (`char::is_whitespace`) is trimmed, and each run of it inside a text becomes one
//!   space; of the LRN only the ends are trimmed, since it is compared byte for byte.
//! - ASCII letters become upper case in EORIs, IOSS number, declaration type, currency, countries,
//!   procedure codes, document types, location type and qualifier, and in the references of
//!   documents of the types N337, NMRN, S10 and N740. All else keeps its case.
//!
//! Normalising twice is normalising once. A change to any of this changes content digests: see
//! [`super::digest::NORMALISER_VERSION`].
//!
//! Nearly all texts are in normal form already, so that is what is tested first, eight bytes at a
//! time; the test may take a normal text for one that is not (it takes all control characters and
//! all beyond ASCII so), but never the other way.

use bumpalo::Bump;
use bumpalo::collections::String as BumpString;

use super::view::{
    Declaration, DocumentReference, FallbackLodgement, GoodsItem, LocationOfGoods, Money, Party,
    Plain, ProductIdentifiers,
};

/// Normalises every text of `declaration`; what changes is built in `arena`, or cut from itself
/// where cutting is enough. Says whether anything changed, and notes in the declaration whether its
/// texts are plain.
pub fn normalise<'a>(declaration: &mut Declaration<'a>, arena: &'a Bump) -> bool {
    let mut normaliser = Normaliser::new(arena);
    normaliser.declaration(declaration);
    declaration.plain = Plain(normaliser.plain);
    normaliser.changed
}

/// Declarant and representative of a batch in normal form.
#[must_use]
pub fn normalise_lodger<'a>(
    declarant: &'a str,
    representative: &'a str,
    arena: &'a Bump,
) -> (&'a str, &'a str) {
    (normalise_id(declarant, arena), normalise_id(representative, arena))
}

/// An EORI or IOSS number in normal form, for look-ups.
#[must_use]
pub fn normalise_id<'a>(id: &'a str, arena: &'a Bump) -> &'a str {
    let mut id = id;
    Normaliser::new(arena).code(&mut id);
    id
}

/// A text that keeps its case in normal form, for look-ups.
#[must_use]
pub fn normalise_text<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    let mut text = text;
    Normaliser::new(arena).text(&mut text);
    text
}

/// An LRN in normal form: trimmed.
#[must_use]
#[inline]
pub fn normalise_lrn(lrn: &str) -> &str {
    lrn.trim()
}

struct Normaliser<'a> {
    arena: &'a Bump,
    /// Whether any text was not normal.
    changed: bool,
    /// Whether all texts were normal at first sight, the LRN apart, which is not looked at.
    plain: bool,
}

// Messages are taken apart, so that a new field cannot be forgotten here.
impl<'a> Normaliser<'a> {
    fn new(arena: &'a Bump) -> Self {
        Self { arena, changed: false, plain: true }
    }

    fn declaration(&mut self, declaration: &mut Declaration<'a>) {
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
            location_of_goods: LocationOfGoods { r#type: location_type, qualifier, identification },
            ucr,
            supporting_documents,
            fallback: FallbackLodgement { reference: fallback_reference, lodged_at_ms: _ },
            plain: _,
        } = declaration;
        self.take(lrn, normalise_lrn(lrn));
        for item in goods_items {
            self.goods_item(item);
        }
        self.code(additional_declaration_type);
        self.party(exporter);
        self.party(importer);
        self.code(ioss_number);
        self.document(transport_document);
        for previous in previous_documents {
            self.document(previous);
        }
        self.money(transport_costs);
        self.code(location_type);
        self.code(qualifier);
        self.text(identification);
        self.text(ucr);
        for supporting in supporting_documents {
            self.document(supporting);
        }
        self.text(fallback_reference);
    }

    fn goods_item(&mut self, item: &mut GoodsItem<'a>) {
        let GoodsItem {
            goods_item_number: _,
            hs6,
            description,
            intrinsic_value,
            gross_mass_mg: _,
            packages: _,
            additional_procedures,
            product: ProductIdentifiers { merchant, manufacturer, gtin },
            country_of_origin,
        } = item;
        self.text(hs6);
        self.text(description);
        self.money(intrinsic_value);
        for procedure in additional_procedures {
            self.code(procedure);
        }
        self.text(merchant);
        self.text(manufacturer);
        self.text(gtin);
        self.code(country_of_origin);
    }

    fn money(&mut self, money: &mut Money<'a>) {
        let Money { currency, hundredths: _ } = money;
        self.code(currency);
    }

    fn party(&mut self, party: &mut Party<'a>) {
        let Party { name, street, postcode, city, country, identification } = party;
        self.text(name);
        self.text(street);
        self.text(postcode);
        self.text(city);
        self.code(country);
        self.code(identification);
    }

    fn document(&mut self, document: &mut DocumentReference<'a>) {
        let DocumentReference { r#type, reference } = document;
        self.code(r#type);
        if matches!(*r#type, "N337" | "NMRN" | "S10" | "N740") {
            self.code(reference);
        } else {
            self.text(reference);
        }
    }

    #[inline]
    fn text(&mut self, text: &mut &'a str) {
        if !text.is_empty() && !is_normal::<false>(text.as_bytes()) {
            self.plain = false;
            self.take(text, collapsed(text, self.arena));
        }
    }

    #[inline]
    fn code(&mut self, text: &mut &'a str) {
        if !text.is_empty() && !is_normal::<true>(text.as_bytes()) {
            self.plain = false;
            self.take(text, upper(collapsed(text, self.arena), self.arena));
        }
    }

    /// Replaces `text`; one that was normal is given back as it was, the same bytes in the same
    /// place.
    #[inline]
    fn take(&mut self, text: &mut &'a str, normal: &'a str) {
        self.changed |= !std::ptr::eq(*text, normal);
        *text = normal;
    }
}

#[cold]
fn collapsed<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    let trimmed = text.trim();
    let mut after_space = false;
    let normal = trimmed.chars().all(|character| {
        let space = character.is_whitespace();
        let normal = !space || character == ' ' && !after_space;
        after_space = space;
        normal
    });
    if normal {
        return trimmed;
    }
    let mut collapsed = BumpString::with_capacity_in(trimmed.len(), arena);
    for word in trimmed.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed.into_bump_str()
}

#[cold]
fn upper<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return text;
    }
    let text = arena.alloc_str(text);
    text.make_ascii_uppercase();
    text
}

/// Whether `text` is surely in normal form: ASCII without control characters, no space first, last
/// or after another; with `UPPER`, no lower-case letters either.
#[inline]
fn is_normal<const UPPER: bool>(text: &[u8]) -> bool {
    let (Some(&first), Some(&last)) = (text.first(), text.last()) else {
        return true;
    };
    if first == b' ' || last == b' ' {
        return false;
    }
    // A text of no whole number of words is read to its end by a word that overlaps the one before,
    // so that two spaces, wherever they are, lie in one word or astride two that follow.
    if let Some(end) = text.last_chunk::<8>() {
        let mut doubtful = 0;
        let mut space_before = 0;
        for word in text.as_chunks::<8>().0 {
            doubtful |= oddities::<UPPER>(u64::from_le_bytes(*word), &mut space_before, HIGH);
        }
        doubtful |= oddities::<UPPER>(u64::from_le_bytes(*end), &mut 0, HIGH);
        return doubtful == 0;
    }
    if let (Some(start), Some(end)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let (start, end) = (u32::from_le_bytes(*start), u32::from_le_bytes(*end));
        let word = u64::from(start) | u64::from(end) << 32;
        // The fifth byte does not follow on the fourth.
        return oddities::<UPPER>(word, &mut 0, HIGH & !(0x80 << 32)) == 0;
    }
    // Three bytes with none of their ends a space hold no two of them.
    !text.iter().any(|byte| !(b' '..0x7f).contains(byte) || UPPER && byte.is_ascii_lowercase())
}

const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

const HIGH: u64 = each(0x80);

/// Not 0 where one of `word`'s bytes, the first of them lowest, is doubtful. `space_before` is 1
/// where the byte before is a space; it is set for the next word. `follows` has bit 7 set of the
/// bytes that follow on the one before them.
#[inline]
fn oddities<const UPPER: bool>(word: u64, space_before: &mut u64, follows: u64) -> u64 {
    // With bit 7 cleared, adding carries into bit 7 and never into the next byte.
    let low = word & !HIGH;
    let printable = low + each(0x80 - b' ');
    let space = !((low ^ each(b' ')) + each(0x7f)) & HIGH;
    let before = (space << 8) | (*space_before << 7);
    *space_before = space >> 63;
    let delete = low + each(1);
    let mut odd = word | !printable | delete | (space & before & follows);
    if UPPER {
        odd |= (low + each(0x80 - b'a')) & !(low + each(0x80 - b'z' - 1));
    }
    odd & HIGH
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    fn as_text(given: &str) -> String {
        let arena = Bump::new();
        let mut normal = given;
        Normaliser::new(&arena).text(&mut normal);
        normal.to_owned()
    }

    fn as_code(given: &str) -> String {
        let arena = Bump::new();
        normalise_id(given, &arena).to_owned()
    }

    /// The same rule, said the plain way.
    fn model(given: &str) -> String {
        given.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn white_space_of_every_kind_is_collapsed() {
        assert_eq!(as_text("\u{a0}\t Ladies\u{2003}\u{2003}T-shirt,\r\ncotton \u{3000}"), {
            "Ladies T-shirt, cotton"
        });
        assert_eq!(as_text("a\tb"), "a b");
        assert_eq!(as_text(" \n "), "");
        // U+200B and the separators U+001C to U+001F are not white space.
        assert_eq!(as_text("a\u{200b} b\u{1c}"), "a\u{200b} b\u{1c}");
        assert_eq!(normalise_lrn(" A  b\t"), "A  b");
    }

    #[test]
    fn only_ascii_letters_become_upper_case() {
        assert_eq!(as_code(" nl8100é00003ß"), "NL8100é00003ß");
        assert_eq!(as_text("Nl8100"), "Nl8100");
    }

    #[test]
    fn a_normal_text_stays_where_it_is() {
        let arena = Bump::new();
        for normal in ["", "F48", "Ladies T-shirt, cotton", "Köln", "12345678 0"] {
            let mut after = normal;
            let mut normaliser = Normaliser::new(&arena);
            normaliser.text(&mut after);
            assert!(std::ptr::eq(after, normal) && !normaliser.changed, "{normal}");
        }
        let mut trimmed = " F48 ";
        let mut normaliser = Normaliser::new(&arena);
        normaliser.text(&mut trimmed);
        assert!(normaliser.changed);
        assert_eq!((trimmed, arena.allocated_bytes()), ("F48", 0), "cut, not copied");
    }

    #[test]
    fn what_is_upper_case_and_what_is_not() {
        let arena = Bump::new();
        let reference = |r#type: &'static str| {
            let mut of_type = DocumentReference { r#type, reference: "abc  1" };
            Normaliser::new(&arena).document(&mut of_type);
            (of_type.r#type.to_owned(), of_type.reference.to_owned())
        };
        for kind in ["n337", " NMRN", "s10", "N740 "] {
            assert_eq!(reference(kind), (kind.trim().to_uppercase(), "ABC 1".to_owned()));
        }
        assert_eq!(reference("n380"), ("N380".to_owned(), "abc 1".to_owned()));
        let party = Party {
            name: "a",
            street: "b",
            postcode: "c",
            city: "d",
            country: "e",
            identification: "f",
        };
        let documents = vec![DocumentReference { r#type: "g", reference: "h" }];
        let money = Money { currency: "i", hundredths: 1 };
        let mut declaration = Declaration {
            lrn: "l",
            goods_items: vec![GoodsItem {
                goods_item_number: 1,
                hs6: "m",
                description: "n",
                intrinsic_value: money,
                gross_mass_mg: 2,
                packages: 3,
                additional_procedures: ["o", "", " p"].into_iter().collect(),
                product: ProductIdentifiers { merchant: "q", manufacturer: "r", gtin: "s" },
                country_of_origin: "t",
            }],
            additional_declaration_type: "a",
            exporter: party,
            importer: party,
            ioss_number: "u",
            transport_document: documents[0],
            previous_documents: documents.clone(),
            transport_costs: money,
            location_of_goods: LocationOfGoods { r#type: "v", qualifier: "w", identification: "x" },
            ucr: "y",
            supporting_documents: documents,
            fallback: FallbackLodgement { reference: "z", lodged_at_ms: 4 },
            plain: Plain::default(),
        };
        assert!(normalise(&mut declaration, &arena));
        let party = Party { country: "E", identification: "F", ..party };
        let documents = vec![DocumentReference { r#type: "G", reference: "h" }];
        let money = Money { currency: "I", hundredths: 1 };
        let expected = Declaration {
            lrn: "l",
            goods_items: vec![GoodsItem {
                goods_item_number: 1,
                hs6: "m",
                description: "n",
                intrinsic_value: money,
                gross_mass_mg: 2,
                packages: 3,
                additional_procedures: ["O", "", "P"].into_iter().collect(),
                product: ProductIdentifiers { merchant: "q", manufacturer: "r", gtin: "s" },
                country_of_origin: "T",
            }],
            additional_declaration_type: "A",
            exporter: party,
            importer: party,
            ioss_number: "U",
            transport_document: documents[0],
            previous_documents: documents.clone(),
            transport_costs: money,
            location_of_goods: LocationOfGoods { r#type: "V", qualifier: "W", identification: "x" },
            ucr: "y",
            supporting_documents: documents,
            fallback: FallbackLodgement { reference: "z", lodged_at_ms: 4 },
            plain: Plain::default(),
        };
        assert_eq!(declaration, expected);
        assert!(!normalise(&mut declaration, &arena), "nothing more to change");
    }

    #[test]
    fn the_quick_test_sees_every_odd_byte_at_every_place() {
        for length in 1..40 {
            for place in 0..length {
                let mut text = vec![b'A'; length];
                assert!(is_normal::<true>(&text));
                for byte in 0..=u8::MAX {
                    text[place] = byte;
                    let end = place == 0 || place == length - 1;
                    let odd = !(b' '..0x7f).contains(&byte) || byte == b' ' && end;
                    assert_eq!(is_normal::<false>(&text), !odd, "{length} {place} {byte}");
                    let odd = odd || byte.is_ascii_lowercase();
                    assert_eq!(is_normal::<true>(&text), !odd, "{length} {place} {byte}");
                }
                if place + 1 < length {
                    text[place] = b' ';
                    text[place + 1] = b' ';
                    assert!(!is_normal::<false>(&text), "{length} {place}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn normal_form_is_the_models_and_stays(
            given in "([ \t\u{a0}]|[a-zA-Z0-9é!]{1,3}){0,24}",
        ) {
            prop_assert_eq!(as_text(&given), model(&given));
            prop_assert_eq!(as_code(&given), model(&given).to_ascii_uppercase());
            prop_assert_eq!(as_text(&as_text(&given)), as_text(&given));
            prop_assert_eq!(as_code(&as_code(&given)), as_code(&given));
        }
    }
}
