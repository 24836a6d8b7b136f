//! Reads each message of the contract that a declaration is made of, field by field.
//!
//! One arm for a field, under its number in `proto/waag/v1/declaration.proto`; what is common to all
//! is in [`super::cursor`].

use super::cursor::{Cursor, Tag};
use super::malformed::{Defect, Fault};
use super::reader::Bounds;
use super::segments::Fields;
use super::view::{
    Declaration, DocumentReference, FallbackLodgement, GoodsItem, LocationOfGoods, Money, Party,
    Plain, ProductIdentifiers,
};

/// Empties `declaration`, keeping its vectors' memory.
pub(super) fn clear(declaration: &mut Declaration<'_>) {
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
        fallback,
        plain,
    } = declaration;
    *lrn = "";
    goods_items.clear();
    *additional_declaration_type = "";
    *exporter = Party::default();
    *importer = Party::default();
    *ioss_number = "";
    *transport_document = DocumentReference::default();
    previous_documents.clear();
    *transport_costs = Money::default();
    *location_of_goods = LocationOfGoods::default();
    *ucr = "";
    supporting_documents.clear();
    *fallback = FallbackLodgement::default();
    *plain = Plain::default();
}

/// How many more elements a declaration may have.
pub(super) struct Room {
    bounds: Bounds,
    list_elements: usize,
}

impl Room {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, list_elements: bounds.list_elements_max }
    }

    #[inline]
    fn take_list_element(&mut self, field: &'static str, offset: usize) -> Result<(), Fault> {
        match self.list_elements.checked_sub(1) {
            Some(left) => {
                self.list_elements = left;
                Ok(())
            }
            None => {
                let max = self.bounds.list_elements_max;
                Err(Fault::new(Defect::TooMany { max }, offset).within(field))
            }
        }
    }
}

/// Reads a declaration to its end, on top of what `into` and `fields` hold.
pub(super) fn read_declaration<'a>(
    cursor: &mut Cursor<'a>,
    into: &mut Declaration<'a>,
    fields: &mut Fields,
    room: &mut Room,
) -> Result<(), Fault> {
    loop {
        let start = cursor.at();
        let Some(tag) = cursor.tag()? else { break };
        fields.begin(tag.number, start);
        match tag.number {
            1 => into.lrn = cursor.text(tag, "lrn")?,
            2 => {
                let index = into.goods_items.len();
                let max = room.bounds.goods_items_max;
                if index >= max {
                    let fault = Fault::new(Defect::TooMany { max }, cursor.at());
                    return Err(fault.within("goods_items"));
                }
                into.goods_items.push(GoodsItem::default());
                if let Some(item) = into.goods_items.last_mut() {
                    cursor
                        .element(tag, |cursor| read_goods_item(cursor, item, room))
                        .map_err(|fault| fault.within_element("goods_items", index))?;
                }
            }
            3 => {
                into.additional_declaration_type =
                    cursor.text(tag, "additional_declaration_type")?;
            }
            4 => {
                fields.held.add(4);
                read_party(cursor, tag, "exporter", &mut into.exporter)?;
            }
            5 => {
                fields.held.add(5);
                read_party(cursor, tag, "importer", &mut into.importer)?;
            }
            6 => into.ioss_number = cursor.text(tag, "ioss_number")?,
            7 => {
                fields.held.add(7);
                let document = &mut into.transport_document;
                cursor
                    .message(tag, |cursor| read_document(cursor, document))
                    .map_err(|fault| fault.within("transport_document"))?;
            }
            8 => {
                let documents = &mut into.previous_documents;
                add_document(cursor, tag, "previous_documents", documents, room)?;
            }
            9 => {
                fields.held.add(9);
                read_money(cursor, tag, "transport_costs", &mut into.transport_costs)?;
            }
            10 => {
                fields.held.add(10);
                let location = &mut into.location_of_goods;
                cursor
                    .message(tag, |cursor| read_location(cursor, location))
                    .map_err(|fault| fault.within("location_of_goods"))?;
            }
            11 => into.ucr = cursor.text(tag, "ucr")?,
            12 => {
                let documents = &mut into.supporting_documents;
                add_document(cursor, tag, "supporting_documents", documents, room)?;
            }
            13 => {
                fields.held.add(13);
                let fallback = &mut into.fallback;
                cursor
                    .message(tag, |cursor| read_fallback(cursor, fallback))
                    .map_err(|fault| fault.within("fallback"))?;
            }
            _ => cursor.skip(tag)?,
        }
    }
    fields.held.set(1, !into.lrn.is_empty());
    fields.held.set(2, !into.goods_items.is_empty());
    fields.held.set(3, !into.additional_declaration_type.is_empty());
    fields.held.set(6, !into.ioss_number.is_empty());
    fields.held.set(8, !into.previous_documents.is_empty());
    fields.held.set(11, !into.ucr.is_empty());
    fields.held.set(12, !into.supporting_documents.is_empty());
    Ok(())
}

fn read_goods_item<'a>(
    cursor: &mut Cursor<'a>,
    into: &mut GoodsItem<'a>,
    room: &mut Room,
) -> Result<(), Fault> {
    while let Some(tag) = cursor.tag()? {
        match tag.number {
            1 => into.goods_item_number = cursor.number32(tag, "goods_item_number")?,
            2 => into.hs6 = cursor.text(tag, "hs6")?,
            3 => into.description = cursor.text(tag, "description")?,
            4 => read_money(cursor, tag, "intrinsic_value", &mut into.intrinsic_value)?,
            5 => into.gross_mass_mg = cursor.number(tag, "gross_mass_mg")?,
            6 => into.packages = cursor.number32(tag, "packages")?,
            7 => {
                const FIELD: &str = "additional_procedures";
                let index = into.additional_procedures.len();
                room.take_list_element(FIELD, cursor.at())?;
                let code =
                    cursor.element_text(tag).map_err(|fault| fault.within_element(FIELD, index))?;
                into.additional_procedures.push(code);
            }
            8 => {
                let product = &mut into.product;
                cursor
                    .message(tag, |cursor| read_product(cursor, product))
                    .map_err(|fault| fault.within("product"))?;
            }
            9 => into.country_of_origin = cursor.text(tag, "country_of_origin")?,
            _ => cursor.skip(tag)?,
        }
    }
    Ok(())
}

fn read_money<'a>(
    cursor: &mut Cursor<'a>,
    tag: Tag,
    field: &'static str,
    into: &mut Money<'a>,
) -> Result<(), Fault> {
    cursor
        .message(tag, |cursor| {
            while let Some(tag) = cursor.tag()? {
                match tag.number {
                    1 => into.currency = cursor.text(tag, "currency")?,
                    2 => into.hundredths = cursor.number(tag, "hundredths")?,
                    _ => cursor.skip(tag)?,
                }
            }
            Ok(())
        })
        .map_err(|fault| fault.within(field))
}

fn read_party<'a>(
    cursor: &mut Cursor<'a>,
    tag: Tag,
    field: &'static str,
    into: &mut Party<'a>,
) -> Result<(), Fault> {
    cursor
        .message(tag, |cursor| {
            while let Some(tag) = cursor.tag()? {
                match tag.number {
                    1 => into.name = cursor.text(tag, "name")?,
                    2 => into.street = cursor.text(tag, "street")?,
                    3 => into.postcode = cursor.text(tag, "postcode")?,
                    4 => into.city = cursor.text(tag, "city")?,
                    5 => into.country = cursor.text(tag, "country")?,
                    6 => into.identification = cursor.text(tag, "identification")?,
                    _ => cursor.skip(tag)?,
                }
            }
            Ok(())
        })
        .map_err(|fault| fault.within(field))
}

fn add_document<'a>(
    cursor: &mut Cursor<'a>,
    tag: Tag,
    field: &'static str,
    documents: &mut Vec<DocumentReference<'a>>,
    room: &mut Room,
) -> Result<(), Fault> {
    room.take_list_element(field, cursor.at())?;
    let mut document = DocumentReference::default();
    cursor
        .element(tag, |cursor| read_document(cursor, &mut document))
        .map_err(|fault| fault.within_element(field, documents.len()))?;
    documents.push(document);
    Ok(())
}

fn read_document<'a>(
    cursor: &mut Cursor<'a>,
    into: &mut DocumentReference<'a>,
) -> Result<(), Fault> {
    while let Some(tag) = cursor.tag()? {
        match tag.number {
            1 => into.r#type = cursor.text(tag, "type")?,
            2 => into.reference = cursor.text(tag, "reference")?,
            _ => cursor.skip(tag)?,
        }
    }
    Ok(())
}

fn read_location<'a>(cursor: &mut Cursor<'a>, into: &mut LocationOfGoods<'a>) -> Result<(), Fault> {
    while let Some(tag) = cursor.tag()? {
        match tag.number {
            1 => into.r#type = cursor.text(tag, "type")?,
            2 => into.qualifier = cursor.text(tag, "qualifier")?,
            3 => into.identification = cursor.text(tag, "identification")?,
            _ => cursor.skip(tag)?,
        }
    }
    Ok(())
}

fn read_product<'a>(
    cursor: &mut Cursor<'a>,
    into: &mut ProductIdentifiers<'a>,
) -> Result<(), Fault> {
    while let Some(tag) = cursor.tag()? {
        match tag.number {
            1 => into.merchant = cursor.text(tag, "merchant")?,
            2 => into.manufacturer = cursor.text(tag, "manufacturer")?,
            3 => into.gtin = cursor.text(tag, "gtin")?,
            _ => cursor.skip(tag)?,
        }
    }
    Ok(())
}

fn read_fallback<'a>(
    cursor: &mut Cursor<'a>,
    into: &mut FallbackLodgement<'a>,
) -> Result<(), Fault> {
    while let Some(tag) = cursor.tag()? {
        match tag.number {
            1 => into.reference = cursor.text(tag, "reference")?,
            // An int64 is its two's complement.
            2 => into.lodged_at_ms = cursor.number(tag, "lodged_at_ms")?.cast_signed(),
            _ => cursor.skip(tag)?,
        }
    }
    Ok(())
}
