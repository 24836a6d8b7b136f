//! The canonical content of a declaration: the bytes that its digest is taken over.
//!
//! They are the normalised declaration in protobuf's own encoding, as a key (field number and wire
//! type), a length where it is a text or message, and the value, with every choice that protobuf
//! leaves open settled:
//!
//! | choice | settled as |
//! |---|---|
//! | order | by field number, repeated elements in their order; see below for the end |
//! | empty texts, zeros, empty messages | left out |
//! | elements of repeated fields | always there, even when empty |
//! | varints | the shortest |
//! | unknown fields | not there |
//!
//! After the fields 1 to 12 come representative and status, under the numbers 19000 and 19001,
//! which protobuf keeps back so that no contract can ever use them; then, apart, `fallback` (13).
//!
//! # Two different contents never have the same bytes
//! Because the bytes can be decoded: keys and lengths say where each value ends and what it belongs
//! to, and prost, reading them, gives back the declaration less its empty messages, which mean the
//! same as absent ones. (The tests do that.) A content without `fallback` differs from one with it
//! for the same reason. Fields that a later contract adds contribute nothing where they are absent,
//! so that old digests stay.
//!
//! The declarant is not part of it: contents are compared under one key, which holds it. Neither is
//! `batch_id`.

use super::segments::Encoded;
use super::view::{
    Declaration, DocumentReference, FallbackLodgement, GoodsItem, LocationOfGoods, Lodger, Money,
    Party, ProductIdentifiers,
};

/// Field number of the representative in canonical content.
pub const REPRESENTATIVE: u32 = 19_000;

/// Field number of the representative's status in canonical content.
pub const REPRESENTATIVE_STATUS: u32 = 19_001;

/// Replaces what `bytes` holds by the canonical content of `declaration`, which must be normalised,
/// as lodged by `lodger`. Where the reader gave `encoded` with it, it is made of that, with the same
/// result. Returns the length of the part before `fallback`, which is all of it where there is none.
pub fn write_content(
    lodger: &Lodger<'_>,
    declaration: &Declaration<'_>,
    encoded: Option<Encoded<'_>>,
    bytes: &mut Vec<u8>,
) -> usize {
    bytes.clear();
    match &encoded {
        Some(encoded) => encoded.write_declaration(bytes),
        None => write_declaration(declaration, bytes),
    }
    let Lodger { declarant: _, representative, representative_status } = lodger;
    let mut content = Content { bytes };
    content.text(REPRESENTATIVE, representative);
    content.number(REPRESENTATIVE_STATUS, u64::from(*representative_status));
    let length = bytes.len();
    match &encoded {
        Some(encoded) => encoded.write_fallback(bytes),
        None => write_fallback(&declaration.fallback, bytes),
    }
    length
}

/// Appends the canonical encoding of what declarations have in common, which must be normalised.
pub(super) fn write_common(common: &Declaration<'_>, bytes: &mut Vec<u8>) {
    write_declaration(common, bytes);
    write_fallback(&common.fallback, bytes);
}

fn write_fallback(fallback: &FallbackLodgement<'_>, bytes: &mut Vec<u8>) {
    Content { bytes }.message(13, |content| {
        let FallbackLodgement { reference, lodged_at_ms } = fallback;
        content.text(1, reference);
        content.number(2, lodged_at_ms.cast_unsigned());
    });
}

/// Appends all but `fallback`.
fn write_declaration(declaration: &Declaration<'_>, bytes: &mut Vec<u8>) {
    let mut content = Content { bytes };
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
        location_of_goods,
        ucr,
        supporting_documents,
        fallback: _,
        plain: _,
    } = declaration;
    content.text(1, lrn);
    for item in goods_items {
        content.element(2, |content| goods_item(content, item));
    }
    content.text(3, additional_declaration_type);
    content.message(4, |content| party(content, exporter));
    content.message(5, |content| party(content, importer));
    content.text(6, ioss_number);
    content.message(7, |content| document(content, transport_document));
    for previous in previous_documents {
        content.element(8, |content| document(content, previous));
    }
    content.message(9, |content| money(content, transport_costs));
    content.message(10, |content| location(content, location_of_goods));
    content.text(11, ucr);
    for supporting in supporting_documents {
        content.element(12, |content| document(content, supporting));
    }
}

fn goods_item(content: &mut Content<'_>, item: &GoodsItem<'_>) {
    let GoodsItem {
        goods_item_number,
        hs6,
        description,
        intrinsic_value,
        gross_mass_mg,
        packages,
        additional_procedures,
        product,
        country_of_origin,
    } = item;
    content.number(1, u64::from(*goods_item_number));
    content.text(2, hs6);
    content.text(3, description);
    content.message(4, |content| money(content, intrinsic_value));
    content.number(5, *gross_mass_mg);
    content.number(6, u64::from(*packages));
    for procedure in additional_procedures {
        content.element_text(7, procedure);
    }
    content.message(8, |content| {
        let ProductIdentifiers { merchant, manufacturer, gtin } = product;
        content.text(1, merchant);
        content.text(2, manufacturer);
        content.text(3, gtin);
    });
    content.text(9, country_of_origin);
}

fn money(content: &mut Content<'_>, money: &Money<'_>) {
    let Money { currency, hundredths } = money;
    content.text(1, currency);
    content.number(2, *hundredths);
}

fn party(content: &mut Content<'_>, party: &Party<'_>) {
    let Party { name, street, postcode, city, country, identification } = party;
    content.text(1, name);
    content.text(2, street);
    content.text(3, postcode);
    content.text(4, city);
    content.text(5, country);
    content.text(6, identification);
}

fn document(content: &mut Content<'_>, document: &DocumentReference<'_>) {
    let DocumentReference { r#type, reference } = document;
    content.text(1, r#type);
    content.text(2, reference);
}

fn location(content: &mut Content<'_>, location: &LocationOfGoods<'_>) {
    let LocationOfGoods { r#type, qualifier, identification } = location;
    content.text(1, r#type);
    content.text(2, qualifier);
    content.text(3, identification);
}

/// Canonical content as it is written.
struct Content<'b> {
    bytes: &'b mut Vec<u8>,
}

impl Content<'_> {
    #[inline]
    fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.element_text(number, text);
        }
    }

    #[inline]
    fn element_text(&mut self, number: u32, text: &str) {
        self.key(number, LENGTH_DELIMITED);
        self.varint(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn number(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.key(number, VARINT);
            self.varint(value);
        }
    }

    #[inline]
    fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let before = self.bytes.len();
        if self.nested(number, write) == 0 {
            self.bytes.truncate(before);
        }
    }

    #[inline]
    fn element(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.nested(number, write);
    }

    /// Writes a message and returns its length. The length stands before the message and is known
    /// after it: a byte is kept for it, which does for all messages but some goods items.
    #[inline]
    fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self)) -> usize {
        self.key(number, LENGTH_DELIMITED);
        self.bytes.push(0);
        let start = self.bytes.len();
        write(self);
        let length = self.bytes.len() - start;
        match self.bytes.get_mut(start - 1) {
            Some(place) if length < 0x80 => *place = length as u8,
            _ => self.insert_length(start - 1, length),
        }
        length
    }

    /// Puts a length of several bytes where one was kept.
    fn insert_length(&mut self, at: usize, length: usize) {
        let end = self.bytes.len();
        self.varint(length as u64);
        // The varint stands at the end; turned round it, the message comes after it, and the byte
        // that was kept comes last.
        let varint_length = self.bytes.len() - end;
        if let Some(moved) = self.bytes.get_mut(at..) {
            moved.rotate_right(varint_length);
            if let Some(rest) = moved.get_mut(varint_length..) {
                rest.rotate_left(1);
            }
        }
        self.bytes.pop();
    }

    #[inline]
    fn key(&mut self, number: u32, wire_type: u32) {
        self.varint(u64::from(number << 3 | wire_type));
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(0x80 | (value & 0x7f) as u8);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

const VARINT: u32 = 0;
const LENGTH_DELIMITED: u32 = 2;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use bumpalo::Bump;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::id::Eori;
    use crate::proto::v1;
    use crate::wire::arbitrary;
    use crate::wire::message::to_message;
    use crate::wire::reader::{Batch, Bounds};

    /// What prost reads from under the numbers of the lodger.
    #[derive(Clone, PartialEq, Message)]
    struct LodgedBy {
        #[prost(string, tag = "19000")]
        representative: String,
        #[prost(uint32, tag = "19001")]
        status: u32,
    }

    fn lodger(representative: &str, representative_status: u32) -> Lodger<'_> {
        let declarant = Eori::parse("NL810000003").unwrap();
        Lodger { declarant, representative, representative_status }
    }

    /// The message with its contents normalised and empty messages left out, and its content.
    fn content_of(
        declaration: v1::Declaration,
        representative: &str,
        status: u32,
    ) -> (v1::Declaration, Vec<u8>, usize) {
        let batch =
            v1::SubmitBatchRequest { declarations: vec![declaration], ..Default::default() };
        let message = batch.encode_to_vec();
        let arena = Bump::new();
        let batch = Batch::read(&message, Bounds::default()).unwrap();
        let mut view = Declaration::default();
        batch.declaration(0, &arena, &mut view).unwrap();
        let mut bytes = Vec::new();
        let length = write_content(&lodger(representative, status), &view, None, &mut bytes);
        (to_message(&view), bytes, length)
    }

    proptest! {
        #[test]
        fn content_can_be_decoded(
            declaration in arbitrary::declaration(),
            representative in "[A-Z]{0,3}",
            status in 0..4_u32,
        ) {
            let (sent, bytes, length) = content_of(declaration, &representative, status);
            let decoded = v1::Declaration::decode(&bytes[..]).unwrap();
            prop_assert_eq!(&decoded, &sent);
            let by = LodgedBy::decode(&bytes[..]).unwrap();
            prop_assert_eq!(by, LodgedBy { representative, status });
            let without = v1::Declaration::decode(&bytes[..length]).unwrap();
            prop_assert_eq!(&without, &v1::Declaration { fallback: None, ..sent });
            let plain = without.encode_to_vec();
            prop_assert_eq!(&bytes[..plain.len()], &plain[..], "prost writes it so too");
        }
    }

    #[test]
    fn absent_and_empty_are_one_but_elements_stand() {
        let bytes = |declaration| content_of(declaration, "", 0).1;
        let empty = v1::Declaration::default();
        assert_eq!(bytes(empty.clone()), b"");
        let with_empty_party =
            v1::Declaration { exporter: Some(v1::Party::default()), ..empty.clone() };
        assert_eq!(bytes(with_empty_party), b"");
        let items = |count| v1::Declaration {
            goods_items: vec![v1::GoodsItem::default(); count],
            ..v1::Declaration::default()
        };
        assert_eq!(bytes(items(1)), [2 << 3 | 2, 0]);
        assert_ne!(bytes(items(1)), bytes(items(2)));
        let procedures = v1::GoodsItem {
            additional_procedures: vec![String::new()],
            ..v1::GoodsItem::default()
        };
        let declaration = v1::Declaration { goods_items: vec![procedures], ..empty };
        assert_eq!(bytes(declaration), [2 << 3 | 2, 2, 7 << 3 | 2, 0]);
    }

    #[test]
    fn texts_of_every_length() {
        for length in 0..40 {
            let ucr = ('a'..='z').cycle().take(length).collect::<String>();
            let declaration = v1::Declaration { ucr, ..Default::default() };
            let bytes = content_of(declaration.clone(), "", 0).1;
            assert_eq!(bytes, declaration.encode_to_vec(), "{length}");
        }
    }

    #[test]
    fn long_messages_have_longer_lengths() {
        for length in [125, 126, 127, 128, 16_379, 16_380, 16_381, 16_384, 70_000, 2_100_000] {
            let item = v1::GoodsItem { description: "x".repeat(length), ..Default::default() };
            let declaration =
                v1::Declaration { goods_items: vec![item.clone(), item], ..Default::default() };
            let (sent, bytes, _) = content_of(declaration, "", 0);
            assert_eq!(bytes, sent.encode_to_vec(), "{length}");
        }
    }
}
