//! Walks protobuf's wire format over a slice, without copying.
//!
//! Accepts and refuses exactly what prost 0.14 does (`encoding.rs`, `encoding/varint.rs` there):
//! varints may be padded with zero groups up to 10 bytes, but not carry more than 64 bits; keys fit
//! 32 bits; unknown fields of all wire types, groups too, are skipped, nested at most
//! [`DEPTH_MAX`] deep together with the messages around them. Where a nested message's contents
//! run past its end prost reads on and fails afterwards; here they fail at once.
//!
//! Texts: checking each one for UTF-8 by itself costs a call for a dozen bytes. Keys and lengths
//! below 128 are ASCII, so that a whole run of short fields is one ASCII text. The cursor checks
//! from the text it is asked for to the first byte that is not ASCII (in a varint of two bytes, as
//! a rule), and cuts the texts that follow from what it has checked.
//!
//! On the way it notices whether all it reads is encoded as [`super::canonical`] would: fields in
//! the order of their numbers, shortest varints, nothing empty, nothing unknown.

use super::malformed::{Defect, Fault};

/// prost's `RECURSION_LIMIT`.
pub(super) const DEPTH_MAX: u32 = 100;

pub(super) const VARINT: u8 = 0;
pub(super) const SIXTY_FOUR_BIT: u8 = 1;
pub(super) const LENGTH_DELIMITED: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
const THIRTY_TWO_BIT: u8 = 5;

/// What stands before each field's value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    /// The field's number. Not checked to be above 0 until the field is skipped.
    pub(super) number: u32,
    /// Not checked to exist until the field is skipped.
    wire_type: u8,
}

/// A place in a message.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    /// The outermost message, up to the end of what this cursor was made for.
    whole: &'a [u8],
    /// The same, up to the end of the message now being read: `at` counts from its start.
    bytes: &'a [u8],
    at: usize,
    /// How many more levels there may be.
    depth: u32,
    /// What is known to be UTF-8, and where in `whole` it begins.
    text: &'a str,
    text_start: usize,
    /// The number of the last field in the message now being read, less 1 where it may be repeated.
    last: u32,
    canonical: bool,
}

impl<'a> Cursor<'a> {
    /// Over the message that ends with `bytes` and starts at `start` in it, nested in `above`
    /// others. Offsets in faults count from the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8], start: usize, above: u32) -> Self {
        Self {
            whole: bytes,
            bytes,
            at: start,
            depth: DEPTH_MAX - above,
            text: "",
            text_start: usize::MAX,
            last: 0,
            canonical: true,
        }
    }

    /// Where it stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether all that was read was encoded in the canonical way.
    pub(super) fn is_canonical(&self) -> bool {
        self.canonical
    }

    /// The next field's tag; none where the message ends.
    #[inline]
    pub(super) fn tag(&mut self) -> Result<Option<Tag>, Fault> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let key = self.varint()?;
        match u32::try_from(key) {
            Ok(key) => {
                let tag = Tag { number: key >> 3, wire_type: (key & 7) as u8 };
                self.canonical &= tag.number > self.last;
                self.last = tag.number;
                Ok(Some(tag))
            }
            Err(_) => Err(Fault::new(Defect::KeyTooLong { key }, start)),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Fault> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Fault> {
        let start = self.at;
        let mut value = 0;
        for (place, &byte) in self.bytes.get(start..).unwrap_or_default().iter().enumerate() {
            // The tenth byte holds the 64th bit and nothing else.
            if place == 9 && byte > 1 {
                return Err(Fault::new(Defect::VarintTooLong, start));
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                self.canonical &= byte != 0;
                self.at = start + place + 1;
                return Ok(value);
            }
        }
        Err(Fault::new(Defect::Truncated { missing: 1 }, start))
    }

    /// The value of a varint field.
    #[inline]
    pub(super) fn number(&mut self, tag: Tag, field: &'static str) -> Result<u64, Fault> {
        if tag.wire_type != VARINT {
            return Err(self.wrong_wire_type(tag, VARINT).within(field));
        }
        let value = self.varint().map_err(|fault| fault.within(field))?;
        self.canonical &= value != 0;
        Ok(value)
    }

    /// The value of a `uint32` field: the low half of its varint.
    #[inline]
    pub(super) fn number32(&mut self, tag: Tag, field: &'static str) -> Result<u32, Fault> {
        let value = self.number(tag, field)?;
        let low = (value & 0xffff_ffff) as u32;
        // A low half of 0 with a high half that is not is caught here too.
        self.canonical &= u64::from(low) == value;
        Ok(low)
    }

    /// The bounds of a length-delimited value, past which the cursor then stands.
    #[inline]
    fn span(&mut self) -> Result<(usize, usize), Fault> {
        let length = self.varint()?;
        let room = self.bytes.len() - self.at;
        match usize::try_from(length) {
            Ok(length) if length <= room => {
                let start = self.at;
                self.at += length;
                Ok((start, self.at))
            }
            _ => Err(Fault::new(Defect::Truncated { missing: length - room as u64 }, self.at)),
        }
    }

    /// The bounds of a nested message that is not to be read now.
    #[inline]
    pub(super) fn message_span(&mut self, tag: Tag) -> Result<(usize, usize), Fault> {
        if tag.wire_type != LENGTH_DELIMITED {
            return Err(self.wrong_wire_type(tag, LENGTH_DELIMITED));
        }
        self.span()
    }

    /// Reads a nested message with `read`, which goes on until there are no more tags.
    #[inline]
    pub(super) fn message(
        &mut self,
        tag: Tag,
        read: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let before = self.at;
        self.element(tag, read)?;
        self.last = tag.number;
        // An empty message takes nothing but its length, in one byte.
        self.canonical &= self.at - before > 1;
        Ok(())
    }

    /// The same for an element of a repeated field.
    #[inline]
    pub(super) fn element(
        &mut self,
        tag: Tag,
        read: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (start, end) = self.message_span(tag)?;
        let outer = self.bytes;
        self.bytes = outer.get(..end).unwrap_or_default();
        self.at = start;
        self.depth -= 1;
        self.last = 0;
        read(self)?;
        self.depth += 1;
        self.bytes = outer;
        self.last = tag.number.saturating_sub(1);
        Ok(())
    }

    /// The value of a string field.
    #[inline]
    pub(super) fn text(&mut self, tag: Tag, field: &'static str) -> Result<&'a str, Fault> {
        let text = self.element_text(tag).map_err(|fault| fault.within(field))?;
        self.last = tag.number;
        self.canonical &= !text.is_empty();
        Ok(text)
    }

    /// The same for an element of a repeated field, whose place the caller adds to a fault.
    #[inline]
    pub(super) fn element_text(&mut self, tag: Tag) -> Result<&'a str, Fault> {
        if tag.wire_type != LENGTH_DELIMITED {
            return Err(self.wrong_wire_type(tag, LENGTH_DELIMITED));
        }
        self.last = tag.number.saturating_sub(1);
        let (start, end) = self.span()?;
        // A cut that is no boundary of characters, or lies past what was checked, gives nothing.
        if let Some(from) = start.checked_sub(self.text_start)
            && let Some(text) = self.text.get(from..from + (end - start))
        {
            return Ok(text);
        }
        self.check_text(start, end)
    }

    #[inline(never)]
    fn check_text(&mut self, start: usize, end: usize) -> Result<&'a str, Fault> {
        let rest = self.whole.get(start..).unwrap_or_default();
        let ascii = ascii_length(rest);
        // Either the text lies in the run of ASCII that begins with it, or it is checked by itself.
        let checked = rest.get(..ascii.max(end - start)).unwrap_or_default();
        match std::str::from_utf8(checked) {
            Ok(text) => {
                self.text = text;
                self.text_start = start;
                Ok(text.get(..end - start).unwrap_or_default())
            }
            Err(error) => Err(Fault::new(Defect::NotUtf8, start + error.valid_up_to())),
        }
    }

    /// Steps over an unknown field.
    #[inline(never)]
    pub(super) fn skip(&mut self, tag: Tag) -> Result<(), Fault> {
        self.canonical = false;
        if self.depth == 0 {
            return Err(Fault::new(Defect::TooDeep { max: DEPTH_MAX }, self.at));
        }
        if tag.number == 0 {
            return Err(Fault::new(Defect::FieldNumberZero, self.at));
        }
        match tag.wire_type {
            VARINT => self.varint().map(|_| ()),
            SIXTY_FOUR_BIT => self.step(8),
            LENGTH_DELIMITED => self.span().map(|_| ()),
            THIRTY_TWO_BIT => self.step(4),
            GROUP_START => self.skip_group(tag.number),
            GROUP_END => Err(Fault::new(Defect::GroupEnd { number: tag.number }, self.at)),
            found => Err(Fault::new(Defect::WireTypeUnknown { found }, self.at)),
        }
    }

    fn skip_group(&mut self, number: u32) -> Result<(), Fault> {
        self.depth -= 1;
        loop {
            let Some(tag) = self.tag()? else {
                return Err(Fault::new(Defect::Truncated { missing: 1 }, self.at));
            };
            if tag.wire_type != GROUP_END {
                self.skip(tag)?;
            } else if tag.number == number {
                self.depth += 1;
                return Ok(());
            } else {
                return Err(Fault::new(Defect::GroupEnd { number: tag.number }, self.at));
            }
        }
    }

    fn step(&mut self, length: usize) -> Result<(), Fault> {
        let room = self.bytes.len() - self.at;
        if length > room {
            let missing = (length - room) as u64;
            return Err(Fault::new(Defect::Truncated { missing }, self.at));
        }
        self.at += length;
        Ok(())
    }

    #[cold]
    fn wrong_wire_type(&self, tag: Tag, expected: u8) -> Fault {
        Fault::new(Defect::WireType { expected, found: tag.wire_type }, self.at)
    }
}

/// How many bytes of ASCII `bytes` begins with.
fn ascii_length(bytes: &[u8]) -> usize {
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (place, chunk) in chunks.iter().enumerate() {
        let high = u64::from_le_bytes(*chunk) & HIGHS;
        if high != 0 {
            return 8 * place + high.trailing_zeros() as usize / 8;
        }
    }
    8 * chunks.len() + rest.iter().take_while(|byte| byte.is_ascii()).count()
}
