//! Reads an encoded `SubmitBatchRequest` in place.
//!
//! What it makes of a message is what prost makes of it, on every input: the last of several
//! scalars wins, repeated singular messages are merged field by field, repeated fields are
//! appended, unknown fields are skipped; and what prost refuses is refused
//! (`tests/reader_equals_prost.rs` holds the two together). Beyond that only [`Bounds`] refuse.
//!
//! [`Batch::read`] goes over the top level alone: it notes where each declaration lies and reads
//! what they have in common. A fault inside a declaration shows when that declaration is read, so
//! a caller reads all of them before it acts on any. Nothing is allocated for a line, once the
//! vectors of the [`Declaration`] read into have grown.

use std::cell::OnceCell;

use bumpalo::Bump;

use super::cursor::{Cursor, Tag};
use super::malformed::{Defect, Fault, Malformed};
use super::normalise::normalise;
use super::view::{
    Declaration, DocumentReference, FallbackLodgement, GoodsItem, LocationOfGoods, Money, Party,
    ProductIdentifiers,
};

/// How much one batch may make the reader hold. An element of a list takes two bytes of a message
/// and up to 250 in memory, so that the bound on the message's size alone would not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Declarations in the batch.
    pub declarations_max: usize,
    /// Goods items in any one declaration. The bound on those of the whole batch is the caller's
    /// to hold, adding up as it reads; with the same value here, no declaration alone passes it.
    pub goods_items_max: usize,
    /// Elements of all other lists of one declaration together: documents and procedures.
    pub list_elements_max: usize,
}

impl Default for Bounds {
    /// Those of the contract, and room for ten elements of other lists to a goods item.
    fn default() -> Self {
        Self { declarations_max: 10_000, goods_items_max: 100_000, list_elements_max: 1_000_000 }
    }
}

/// Which of a declaration's top-level fields are held for the common rule: a message that is there,
/// even empty, and a text or list that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held(u16);

impl Held {
    /// Whether the field numbered `number` in `Declaration` is.
    #[must_use]
    pub fn has(self, number: u32) -> bool {
        number < u16::BITS && self.0 & (1 << number) != 0
    }

    fn add(&mut self, number: u32) {
        self.0 |= 1 << number;
    }

    /// Not only adds: a text may have been overwritten by an empty one.
    fn set(&mut self, number: u32, held: bool) {
        self.0 = self.0 & !(1 << number) | u16::from(held) << number;
    }
}

/// A batch whose top level has been read.
#[derive(Debug)]
pub struct Batch<'a> {
    message: &'a [u8],
    bounds: Bounds,
    batch_id: &'a str,
    declarant: &'a str,
    representative: &'a str,
    representative_status: u32,
    /// Start and end of each in `message`.
    declarations: Vec<(usize, usize)>,
    common: Option<Box<Common<'a>>>,
}

/// The `batch_id` of a message that may be malformed further on, or past a bound: what stands
/// before the first fault; empty where there is none.
#[must_use]
pub fn batch_id(message: &[u8]) -> &str {
    let (mut cursor, mut batch_id) = (Cursor::new(message, 0, 0), "");
    while let Ok(Some(tag)) = cursor.tag() {
        let read = match tag.number {
            1 => cursor.text(tag, "batch_id").map(|text| batch_id = text),
            _ => cursor.skip(tag),
        };
        if read.is_err() {
            break;
        }
    }
    batch_id
}

/// What the declarations of a batch share.
#[derive(Debug, Default)]
struct Common<'a> {
    raw: Declaration<'a>,
    held: Held,
    /// Of its encoded form, in bytes.
    length: usize,
    /// Normalised once, not once a declaration: a large text in it would fill the arena.
    normal: OnceCell<Declaration<'a>>,
}

impl<'a> Batch<'a> {
    /// Reads the top level of `message`, and `common` wholly.
    ///
    /// # Errors
    /// [`Malformed`] where prost would not decode these parts, or with [`Defect::TooMany`] past
    /// `bounds`.
    pub fn read(message: &'a [u8], bounds: Bounds) -> Result<Self, Malformed> {
        let mut batch = Self {
            message,
            bounds,
            batch_id: "",
            declarant: "",
            representative: "",
            representative_status: 0,
            declarations: Vec::new(),
            common: None,
        };
        batch.read_top()?;
        Ok(batch)
    }

    fn read_top(&mut self) -> Result<(), Fault> {
        let mut cursor = Cursor::new(self.message, 0, 0);
        let mut common_room = Room::new(self.bounds);
        while let Some(tag) = cursor.tag()? {
            match tag.number {
                1 => self.batch_id = cursor.text(tag, "batch_id")?,
                2 => self.declarant = cursor.text(tag, "declarant")?,
                3 => self.representative = cursor.text(tag, "representative")?,
                4 => {
                    self.representative_status =
                        low_half(cursor.number(tag, "representative_status")?);
                }
                5 => {
                    let index = self.declarations.len();
                    let span = cursor
                        .message_span(tag)
                        .map_err(|fault| fault.within_element("declarations", index))?;
                    let max = self.bounds.declarations_max;
                    if index == max {
                        let fault = Fault::new(Defect::TooMany { max }, span.0);
                        return Err(fault.within("declarations"));
                    }
                    self.declarations.push(span);
                }
                6 => {
                    let common = self.common.get_or_insert_default();
                    let start = cursor.at();
                    let room = &mut common_room;
                    let (raw, held) = (&mut common.raw, &mut common.held);
                    cursor
                        .message(tag, |cursor| read_declaration(cursor, raw, held, room))
                        .map_err(|fault| fault.within("common"))?;
                    common.length += cursor.at() - start;
                }
                _ => cursor.skip(tag)?,
            }
        }
        Ok(())
    }

    /// The caller's name for the message, as sent.
    #[must_use]
    pub fn batch_id(&self) -> &'a str {
        self.batch_id
    }

    /// 13 05, as sent: see [`super::normalise::normalise_lodger`].
    #[must_use]
    pub fn declarant(&self) -> &'a str {
        self.declarant
    }

    /// 13 06, as sent.
    #[must_use]
    pub fn representative(&self) -> &'a str {
        self.representative
    }

    /// 13 06 030; 0 where there is none.
    #[must_use]
    pub fn representative_status(&self) -> u32 {
        self.representative_status
    }

    /// How many declarations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.declarations.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.declarations.is_empty()
    }

    /// Whether `common` holds an LRN, which may not be shared.
    #[must_use]
    pub fn has_common_lrn(&self) -> bool {
        self.common.as_ref().is_some_and(|common| common.held.has(1))
    }

    /// Whether `common` holds goods items, which may not be shared.
    #[must_use]
    pub fn has_common_goods_items(&self) -> bool {
        self.common.as_ref().is_some_and(|common| common.held.has(2))
    }

    /// How many bytes `common` takes in the message. Every declaration without fields of its own is
    /// judged and digested with all of them: a caller bounds this times [`Batch::len`].
    #[must_use]
    pub fn common_bytes(&self) -> usize {
        self.common.as_ref().map_or(0, |common| common.length)
    }

    /// Reads declaration `index` into `into`, whatever that held before: its own fields, for each
    /// top-level one that it does not hold that of `common`, all normalised. What normalising
    /// changes is built in `arena`. Empty past the last declaration.
    ///
    /// # Errors
    /// [`Malformed`] where prost would not decode it, or with [`Defect::TooMany`] past the bounds.
    /// `into` holds anything then.
    pub fn declaration(
        &self,
        index: usize,
        arena: &'a Bump,
        into: &mut Declaration<'a>,
    ) -> Result<(), Malformed> {
        let held = self.raw_declaration(index, into)?;
        normalise(into, arena);
        if let Some(common) = &self.common {
            let normal = common.normal.get_or_init(|| {
                let mut normal = common.raw.clone();
                normalise(&mut normal, arena);
                normal
            });
            fill(into, held, normal);
        }
        Ok(())
    }

    /// Reads declaration `index` as it was sent: nothing taken from `common`, nothing normalised.
    /// Says which of the top-level fields it holds.
    ///
    /// # Errors
    /// As [`Batch::declaration`].
    pub fn raw_declaration(
        &self,
        index: usize,
        into: &mut Declaration<'a>,
    ) -> Result<Held, Malformed> {
        clear(into);
        let mut held = Held::default();
        let Some(&(start, end)) = self.declarations.get(index) else {
            return Ok(held);
        };
        let mut cursor = Cursor::new(self.message.get(..end).unwrap_or_default(), start, 1);
        read_declaration(&mut cursor, into, &mut held, &mut Room::new(self.bounds))
            .map_err(|fault| fault.within_element("declarations", index))?;
        Ok(held)
    }

    /// `common` as it was sent, and which fields it holds; none where there is none.
    #[must_use]
    pub fn raw_common(&self) -> Option<(&Declaration<'a>, Held)> {
        self.common.as_ref().map(|common| (&common.raw, common.held))
    }
}

/// Takes from `common` what `own` does not hold. An LRN and goods items are never shared.
fn fill<'a>(own: &mut Declaration<'a>, held: Held, common: &Declaration<'a>) {
    if !held.has(3) {
        own.additional_declaration_type = common.additional_declaration_type;
    }
    if !held.has(4) {
        own.exporter = common.exporter;
    }
    if !held.has(5) {
        own.importer = common.importer;
    }
    if !held.has(6) {
        own.ioss_number = common.ioss_number;
    }
    if !held.has(7) {
        own.transport_document = common.transport_document;
    }
    if !held.has(8) {
        own.previous_documents.extend_from_slice(&common.previous_documents);
    }
    if !held.has(9) {
        own.transport_costs = common.transport_costs;
    }
    if !held.has(10) {
        own.location_of_goods = common.location_of_goods;
    }
    if !held.has(11) {
        own.ucr = common.ucr;
    }
    if !held.has(12) {
        own.supporting_documents.extend_from_slice(&common.supporting_documents);
    }
    if !held.has(13) {
        own.fallback = common.fallback;
    }
}

/// Empties `declaration`, keeping its vectors' memory.
fn clear(declaration: &mut Declaration<'_>) {
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
}

/// How many more elements a declaration may have.
struct Room {
    bounds: Bounds,
    list_elements: usize,
}

impl Room {
    fn new(bounds: Bounds) -> Self {
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

/// A `uint32` keeps the low half of its varint.
#[inline]
fn low_half(varint: u64) -> u32 {
    (varint & 0xffff_ffff) as u32
}

fn read_declaration<'a>(
    cursor: &mut Cursor<'a>,
    into: &mut Declaration<'a>,
    held: &mut Held,
    room: &mut Room,
) -> Result<(), Fault> {
    while let Some(tag) = cursor.tag()? {
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
                        .message(tag, |cursor| read_goods_item(cursor, item, room))
                        .map_err(|fault| fault.within_element("goods_items", index))?;
                }
            }
            3 => {
                into.additional_declaration_type =
                    cursor.text(tag, "additional_declaration_type")?;
            }
            4 => {
                held.add(4);
                read_party(cursor, tag, "exporter", &mut into.exporter)?;
            }
            5 => {
                held.add(5);
                read_party(cursor, tag, "importer", &mut into.importer)?;
            }
            6 => into.ioss_number = cursor.text(tag, "ioss_number")?,
            7 => {
                held.add(7);
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
                held.add(9);
                read_money(cursor, tag, "transport_costs", &mut into.transport_costs)?;
            }
            10 => {
                held.add(10);
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
                held.add(13);
                let fallback = &mut into.fallback;
                cursor
                    .message(tag, |cursor| read_fallback(cursor, fallback))
                    .map_err(|fault| fault.within("fallback"))?;
            }
            _ => cursor.skip(tag)?,
        }
    }
    held.set(1, !into.lrn.is_empty());
    held.set(2, !into.goods_items.is_empty());
    held.set(3, !into.additional_declaration_type.is_empty());
    held.set(6, !into.ioss_number.is_empty());
    held.set(8, !into.previous_documents.is_empty());
    held.set(11, !into.ucr.is_empty());
    held.set(12, !into.supporting_documents.is_empty());
    Ok(())
}

fn read_goods_item<'a>(
    cursor: &mut Cursor<'a>,
    into: &mut GoodsItem<'a>,
    room: &mut Room,
) -> Result<(), Fault> {
    while let Some(tag) = cursor.tag()? {
        match tag.number {
            1 => into.goods_item_number = low_half(cursor.number(tag, "goods_item_number")?),
            2 => into.hs6 = cursor.text(tag, "hs6")?,
            3 => into.description = cursor.text(tag, "description")?,
            4 => read_money(cursor, tag, "intrinsic_value", &mut into.intrinsic_value)?,
            5 => into.gross_mass_mg = cursor.number(tag, "gross_mass_mg")?,
            6 => into.packages = low_half(cursor.number(tag, "packages")?),
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
        .message(tag, |cursor| read_document(cursor, &mut document))
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
