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

use super::canonical::write_common;
use super::cursor::Cursor;
use super::malformed::{Defect, Fault, Malformed};
use super::normalise::normalise;
use super::parse::{Room, clear, read_declaration};
use super::segments::{Encoded, Fields, Held};
use super::view::Declaration;

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

/// The `batch_id` of a message that may be malformed further on, or past a bound, for a refusal to
/// echo: at most 256 bytes of it, where it is the message's first field, as every encoder has it;
/// else empty. Costs next to nothing, whatever the message.
#[must_use]
pub fn batch_id(message: &[u8]) -> String {
    const ECHOED_BYTES_MAX: usize = 256;
    let mut cursor = Cursor::new(message, 0, 0);
    let text = match cursor.tag() {
        Ok(Some(tag)) if tag.number == 1 => cursor.text(tag, "batch_id").unwrap_or_default(),
        _ => "",
    };
    text.get(..text.floor_char_boundary(ECHOED_BYTES_MAX)).unwrap_or_default().to_owned()
}

/// The declarant of a message that may be malformed further on: the last one of the top level, or
/// empty. Steps over declarations by their length, some nanoseconds each.
#[must_use]
pub fn declarant(message: &[u8]) -> &str {
    let mut cursor = Cursor::new(message, 0, 0);
    let mut declarant = "";
    while let Ok(Some(tag)) = cursor.tag() {
        let read = match tag.number {
            2 => cursor.text(tag, "declarant").map(|text| declarant = text),
            _ => cursor.skip(tag),
        };
        if read.is_err() {
            break;
        }
    }
    declarant
}

/// What the declarations of a batch share.
#[derive(Debug, Default)]
struct Common<'a> {
    raw: Declaration<'a>,
    fields: Fields,
    /// Of its encoded form, in bytes.
    length: usize,
    /// Normalised once, not once a declaration: a large text in it would fill the arena.
    normal: OnceCell<NormalCommon<'a>>,
}

/// The same in normal form, without what may not be shared.
#[derive(Debug)]
struct NormalCommon<'a> {
    declaration: Declaration<'a>,
    /// Its canonical encoding.
    content: Vec<u8>,
    fields: Fields,
}

impl<'a> NormalCommon<'a> {
    fn new(raw: &Declaration<'a>, arena: &'a Bump) -> Self {
        let mut declaration = Declaration { lrn: "", goods_items: Vec::new(), ..raw.clone() };
        normalise(&mut declaration, arena);
        let mut content = Vec::new();
        write_common(&declaration, &mut content);
        // What we have just written can be read; nothing is held if not, and then nothing is taken.
        let fields = read_content(&content, &mut Declaration::default()).unwrap_or_default();
        Self { declaration, content, fields }
    }
}

/// Reads canonical content back (see [`super::canonical`]) into `into`; the lodger's part of it is
/// stepped over.
///
/// # Errors
/// [`Malformed`] where `content` is no declaration.
pub fn declaration_of_content<'a>(
    content: &'a [u8],
    into: &mut Declaration<'a>,
) -> Result<(), Malformed> {
    clear(into);
    read_content(content, into)?;
    Ok(())
}

fn read_content<'a>(content: &'a [u8], into: &mut Declaration<'a>) -> Result<Fields, Fault> {
    let mut fields = Fields::default();
    let bounds = Bounds {
        declarations_max: usize::MAX,
        goods_items_max: usize::MAX,
        list_elements_max: usize::MAX,
    };
    let mut cursor = Cursor::new(content, 0, 0);
    read_declaration(&mut cursor, into, &mut fields, &mut Room::new(bounds))?;
    Ok(fields)
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
                    self.representative_status = cursor.number32(tag, "representative_status")?;
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
                    let (raw, fields) = (&mut common.raw, &mut common.fields);
                    cursor
                        .message(tag, |cursor| read_declaration(cursor, raw, fields, room))
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
        self.common.as_ref().is_some_and(|common| common.fields.held.has(1))
    }

    /// Whether `common` holds goods items, which may not be shared.
    #[must_use]
    pub fn has_common_goods_items(&self) -> bool {
        self.common.as_ref().is_some_and(|common| common.fields.held.has(2))
    }

    /// How many bytes `common` takes in the message. Every declaration without fields of its own is
    /// judged and digested with all of them: a caller bounds this times [`Batch::len`].
    #[must_use]
    pub fn common_bytes(&self) -> usize {
        self.common.as_ref().map_or(0, |common| common.length)
    }

    /// Reads declaration `index` into `into`, whatever that held before: its own fields, for each
    /// top-level one that it does not hold that of `common`, all normalised. What normalising
    /// changes is built in `arena`, which must have been made before the batch was read, since the
    /// batch keeps some of it. Empty past the last declaration.
    ///
    /// Returns its canonical encoding where it came in that form, which most do: taking its digest
    /// is quicker with it.
    ///
    /// # Errors
    /// [`Malformed`] where prost would not decode it, or with [`Defect::TooMany`] past the bounds.
    /// `into` holds anything then.
    pub fn declaration(
        &self,
        index: usize,
        arena: &'a Bump,
        into: &mut Declaration<'a>,
    ) -> Result<Option<Encoded<'_>>, Malformed> {
        let mut fields = Fields::default();
        let canonical = self.read_own(index, into, &mut fields)?;
        let changed = normalise(into, arena);
        let mut common_part = None;
        if let Some(common) = &self.common {
            let normal = common.normal.get_or_init(|| NormalCommon::new(&common.raw, arena));
            fill(into, fields.held, &normal.declaration);
            common_part = Some((&normal.fields, normal.content.as_slice()));
        }
        let quick = canonical && !changed;
        Ok(quick.then(|| Encoded::new(fields, self.bytes_to(index), common_part)))
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
        let mut fields = Fields::default();
        self.read_own(index, into, &mut fields)?;
        Ok(fields.held)
    }

    /// Says whether it is encoded in the canonical way.
    fn read_own(
        &self,
        index: usize,
        into: &mut Declaration<'a>,
        fields: &mut Fields,
    ) -> Result<bool, Malformed> {
        clear(into);
        let Some(&(start, end)) = self.declarations.get(index) else {
            return Ok(true);
        };
        let mut cursor = Cursor::new(self.bytes_to(index), start, 1);
        read_declaration(&mut cursor, into, fields, &mut Room::new(self.bounds))
            .map_err(|fault| fault.within_element("declarations", index))?;
        // Past that, `Fields` does not tell where they begin.
        Ok(cursor.is_canonical() && u32::try_from(end).is_ok())
    }

    /// The message up to the end of declaration `index`.
    fn bytes_to(&self, index: usize) -> &'a [u8] {
        let end = self.declarations.get(index).map_or(0, |&(_, end)| end);
        self.message.get(..end).unwrap_or_default()
    }

    /// `common` as it was sent, and which fields it holds; none where there is none.
    #[must_use]
    pub fn raw_common(&self) -> Option<(&Declaration<'a>, Held)> {
        self.common.as_ref().map(|common| (&common.raw, common.fields.held))
    }
}

/// Takes from `common` what `own` does not hold.
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
    own.plain.0 &= common.plain.0;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use prost::Message;

    use super::*;
    use crate::proto::v1;

    #[test]
    fn texts_are_known_to_be_plain_only_where_those_in_common_are() {
        let known = |city: &str| {
            let importer = Some(v1::Party { city: city.to_owned(), ..v1::Party::default() });
            let declaration =
                v1::Declaration { lrn: "PKX-417".to_owned(), ..v1::Declaration::default() };
            let batch = v1::SubmitBatchRequest {
                declarations: vec![declaration],
                common: Some(v1::Declaration { importer, ..v1::Declaration::default() }),
                ..v1::SubmitBatchRequest::default()
            };
            let (arena, message) = (Bump::new(), batch.encode_to_vec());
            let mut view = Declaration::default();
            let read = Batch::read(&message, Bounds::default()).expect("sound");
            read.declaration(0, &arena, &mut view).expect("sound");
            view.plain.is_known()
        };
        assert!(known("Etten-Leur"));
        for city in ["Étten", "Etten\u{7f}", "Etten\tLeur", " Etten"] {
            assert!(!known(city), "{city:?}");
        }
    }
}
