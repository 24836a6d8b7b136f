//! The reader in place against prost, on one message: both refuse it, or both read the same tree; what
//! is common to a batch is applied as a plain model applies it; content copied is content written.
//!
//! For `tests/reader_equals_prost.rs`, which makes the messages, and for fuzzing.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bumpalo::Bump;
use prost::Message;
use waag::id::Eori;
use waag::proto::v1;
use waag::wire::canonical::write_content;
use waag::wire::malformed::{Defect, Malformed};
use waag::wire::message::to_message;
use waag::wire::reader::{Batch, Bounds, batch_id, declarant, declaration_of_content};
use waag::wire::segments::Held;
use waag::wire::view::{Declaration, Lodger};

/// A declaration and which of its fields count as held for the common rule.
type Read = (v1::Declaration, [bool; 14]);

#[derive(Debug, PartialEq)]
struct Tree {
    texts: [String; 3],
    representative_status: u32,
    declarations: Vec<Read>,
    common: Option<Read>,
}

fn ours(message: &[u8]) -> Result<Tree, Malformed> {
    let held_list = |held: Held| std::array::from_fn(|number| held.has(number as u32));
    let batch = Batch::read(message, Bounds::default())?;
    // One view for all, so that what an earlier declaration left in it would show.
    let mut view = Declaration::default();
    let mut declarations = Vec::new();
    for index in 0..batch.len() {
        let held = batch.raw_declaration(index, &mut view)?;
        declarations.push((to_message(&view), held_list(held)));
    }
    Ok(Tree {
        texts: [batch.batch_id(), batch.declarant(), batch.representative()].map(str::to_owned),
        representative_status: batch.representative_status(),
        declarations,
        common: batch.raw_common().map(|(raw, held)| (to_message(raw), held_list(held))),
    })
}

fn prosts(message: &[u8]) -> Option<Tree> {
    let batch = v1::SubmitBatchRequest::decode(message).ok()?;
    let read = |declaration: v1::Declaration| {
        let held = held_by(&declaration);
        (pruned(declaration), held)
    };
    Some(Tree {
        texts: [batch.batch_id, batch.declarant, batch.representative],
        representative_status: batch.representative_status,
        declarations: batch.declarations.into_iter().map(read).collect(),
        common: batch.common.map(read),
    })
}

fn held_by(declaration: &v1::Declaration) -> [bool; 14] {
    let mut held = [false; 14];
    held[1] = !declaration.lrn.is_empty();
    held[2] = !declaration.goods_items.is_empty();
    held[3] = !declaration.additional_declaration_type.is_empty();
    held[4] = declaration.exporter.is_some();
    held[5] = declaration.importer.is_some();
    held[6] = !declaration.ioss_number.is_empty();
    held[7] = declaration.transport_document.is_some();
    held[8] = !declaration.previous_documents.is_empty();
    held[9] = declaration.transport_costs.is_some();
    held[10] = declaration.location_of_goods.is_some();
    held[11] = !declaration.ucr.is_empty();
    held[12] = !declaration.supporting_documents.is_empty();
    held[13] = declaration.fallback.is_some();
    held
}

/// Without empty messages, which mean the same as absent ones.
pub(crate) fn pruned(mut declaration: v1::Declaration) -> v1::Declaration {
    fn prune<M: Default + PartialEq>(message: &mut Option<M>) {
        if *message == Some(M::default()) {
            *message = None;
        }
    }
    prune(&mut declaration.exporter);
    prune(&mut declaration.importer);
    prune(&mut declaration.transport_document);
    prune(&mut declaration.transport_costs);
    prune(&mut declaration.location_of_goods);
    prune(&mut declaration.fallback);
    for item in &mut declaration.goods_items {
        prune(&mut item.intrinsic_value);
        prune(&mut item.product);
    }
    declaration
}

/// Whether both read it; panics where one does and the other does not, or not the same.
pub(crate) fn is_read_by_both(message: &[u8]) -> bool {
    match (ours(message), prosts(message)) {
        (Ok(ours), Some(prosts)) => {
            assert_eq!(ours, prosts);
            true
        }
        (Err(malformed), None) => {
            assert!(!matches!(malformed.defect, Defect::TooMany { .. }), "{malformed}");
            assert!(malformed.offset <= message.len(), "{malformed}");
            false
        }
        (ours, prosts) => panic!("{ours:?}, but prost: {prosts:?}"),
    }
}

/// All of it on any bytes. Whether the message was sound.
#[allow(dead_code, reason = "for fuzzing")]
pub(crate) fn check(message: &[u8]) -> bool {
    // Past this a message could hold more declarations than our bound, of two bytes each.
    if message.len() > 16_384 {
        return false;
    }
    // These two read what may be malformed further on.
    let (first_id, lodger) = (batch_id(message), declarant(message));
    if !is_read_by_both(message) {
        return false;
    }
    contents_are_equal(message);
    let batch = v1::SubmitBatchRequest::decode(message).expect("both read it");
    assert_eq!(lodger, batch.declarant);
    assert!(first_id.len() <= 256);
    common_is_applied(message, batch);
    true
}

/// What the contract says of `common`, over prost's tree.
pub(crate) fn effective(own: v1::Declaration, common: &v1::Declaration) -> v1::Declaration {
    fn text(own: String, common: &str) -> String {
        if own.is_empty() { common.to_owned() } else { own }
    }
    fn list<T: Clone>(own: Vec<T>, common: &[T]) -> Vec<T> {
        if own.is_empty() { common.to_vec() } else { own }
    }
    v1::Declaration {
        lrn: own.lrn,
        goods_items: own.goods_items,
        additional_declaration_type: text(
            own.additional_declaration_type,
            &common.additional_declaration_type,
        ),
        exporter: own.exporter.or(common.exporter.clone()),
        importer: own.importer.or(common.importer.clone()),
        ioss_number: text(own.ioss_number, &common.ioss_number),
        transport_document: own.transport_document.or(common.transport_document.clone()),
        previous_documents: list(own.previous_documents, &common.previous_documents),
        transport_costs: own.transport_costs.or(common.transport_costs.clone()),
        location_of_goods: own.location_of_goods.or(common.location_of_goods.clone()),
        ucr: text(own.ucr, &common.ucr),
        supporting_documents: list(own.supporting_documents, &common.supporting_documents),
        fallback: own.fallback.or(common.fallback.clone()),
    }
}

/// The normal form, said plainly.
pub(crate) fn normal(mut declaration: v1::Declaration) -> v1::Declaration {
    fn text(text: &mut String) {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    fn code(code: &mut String) {
        text(code);
        code.make_ascii_uppercase();
    }
    fn document(document: &mut v1::DocumentReference) {
        code(&mut document.r#type);
        text(&mut document.reference);
        if ["N337", "NMRN", "S10", "N740"].contains(&document.r#type.as_str()) {
            document.reference.make_ascii_uppercase();
        }
    }
    declaration.lrn = declaration.lrn.trim().to_owned();
    code(&mut declaration.additional_declaration_type);
    code(&mut declaration.ioss_number);
    text(&mut declaration.ucr);
    for party in [&mut declaration.exporter, &mut declaration.importer].into_iter().flatten() {
        for field in [&mut party.name, &mut party.street, &mut party.postcode, &mut party.city] {
            text(field);
        }
        code(&mut party.country);
        code(&mut party.identification);
    }
    declaration.transport_document.iter_mut().for_each(document);
    declaration.previous_documents.iter_mut().for_each(document);
    declaration.supporting_documents.iter_mut().for_each(document);
    declaration.transport_costs.iter_mut().for_each(|money| code(&mut money.currency));
    if let Some(location) = &mut declaration.location_of_goods {
        code(&mut location.r#type);
        code(&mut location.qualifier);
        text(&mut location.identification);
    }
    declaration.fallback.iter_mut().for_each(|fallback| text(&mut fallback.reference));
    for item in &mut declaration.goods_items {
        text(&mut item.hs6);
        text(&mut item.description);
        item.intrinsic_value.iter_mut().for_each(|money| code(&mut money.currency));
        item.additional_procedures.iter_mut().for_each(code);
        if let Some(product) = &mut item.product {
            text(&mut product.merchant);
            text(&mut product.manufacturer);
            text(&mut product.gtin);
        }
        code(&mut item.country_of_origin);
    }
    declaration
}

/// Every declaration's canonical content, quickly from how it was sent and plainly from what it is;
/// and how often the quick way was open.
pub(crate) fn contents_are_equal(message: &[u8]) -> (usize, usize) {
    let arena = Bump::new();
    let Ok(batch) = Batch::read(message, Bounds::default()) else { return (0, 0) };
    let declarant = Eori::parse("NL810000003").expect("well formed");
    let lodger = Lodger { declarant, representative: "NL1", representative_status: 2 };
    let (mut view, mut again) = (Declaration::default(), Declaration::default());
    let (mut quickly, mut plainly) = (Vec::new(), Vec::new());
    let (mut quick, mut all) = (0, 0);
    for index in 0..batch.len() {
        let Ok(encoded) = batch.declaration(index, &arena, &mut view) else { break };
        let plain = write_content(&lodger, &view, None, &mut plainly);
        all += 1;
        if encoded.is_some() {
            quick += 1;
            assert_eq!(write_content(&lodger, &view, encoded, &mut quickly), plain);
            assert_eq!(quickly, plainly);
        }
        // Content gives back what it was made of. (`plainly` is reused: hence the copy.)
        let content = arena.alloc_slice_copy(&plainly);
        declaration_of_content(content, &mut again).expect("sound");
        assert_eq!(&again, &view);
    }
    (quick, all)
}

/// Every declaration of the message with what is common applied, as the model makes it of prost's tree.
pub(crate) fn common_is_applied(message: &[u8], batch: v1::SubmitBatchRequest) {
    let arena = Bump::new();
    let read = Batch::read(message, Bounds::default()).expect("sound");
    let common = batch.common.unwrap_or_default();
    assert_eq!(read.has_common_lrn(), !common.lrn.is_empty());
    assert_eq!(read.has_common_goods_items(), !common.goods_items.is_empty());
    let mut view = Declaration::default();
    for (index, own) in batch.declarations.into_iter().enumerate() {
        read.declaration(index, &arena, &mut view).expect("sound");
        assert_eq!(to_message(&view), pruned(normal(effective(own, &common))));
    }
}
