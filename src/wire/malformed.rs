//! What is wrong with a message that cannot be read, and where.
//!
//! The path to the field at fault is put together while an error travels up, from the inside out,
//! so that reading a sound message costs nothing for it.

use std::fmt::Write as _;

/// A message that is not the protobuf it should be, or goes past a bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {}: {defect} (byte {offset})", if field.is_empty() { "message" } else { field })]
pub struct Malformed {
    /// The field, as `declarations[3].goods_items[0].hs6`, elements counted from 0. Where the
    /// fault lies between fields, the message that holds them; empty for the whole message.
    pub field: String,
    /// Where in the message the fault lies, in bytes from its start.
    pub offset: usize,
    /// What is wrong.
    pub defect: Defect,
}

/// What can be wrong with an encoded message. All but [`Defect::TooMany`] are faults for prost as
/// well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// A value ends past the message that holds it.
    #[error("it ends {missing} bytes early")]
    Truncated {
        /// How many bytes there should have been beyond the end, at least.
        missing: u64,
    },
    /// A varint of more than 64 bits or 10 bytes.
    #[error("a varint is longer than 64 bits")]
    VarintTooLong,
    /// A field's key of more than 32 bits.
    #[error("the field key {key} is longer than 32 bits")]
    KeyTooLong {
        /// The key: the field number times 8 plus the wire type.
        key: u64,
    },
    /// Field numbers begin at 1.
    #[error("the field number is 0")]
    FieldNumberZero,
    /// Wire types go from 0 to 5.
    #[error("the wire type {found} does not exist; the highest is 5")]
    WireTypeUnknown {
        /// The wire type.
        found: u8,
    },
    /// A known field in another encoding than its own.
    #[error("the wire type is {found}, not {expected}")]
    WireType {
        /// That of the contract.
        expected: u8,
        /// That of the message.
        found: u8,
    },
    /// The end of a group that was not begun.
    #[error("a group {number} ends that was not begun last")]
    GroupEnd {
        /// The field number of the group's end.
        number: u32,
    },
    /// Groups within groups.
    #[error("messages and groups are nested deeper than {max}")]
    TooDeep {
        /// The deepest allowed.
        max: u32,
    },
    /// A text that is not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// Sound, but past a bound of ours (see [`super::reader::Bounds`]).
    #[error("there are more than {max}")]
    TooMany {
        /// The bound.
        max: usize,
    },
}

/// A [`Malformed`] on its way up: one word, so that results stay small.
#[derive(Debug)]
pub(super) struct Fault(Box<Trail>);

#[derive(Debug)]
struct Trail {
    defect: Defect,
    offset: usize,
    /// The innermost first.
    path: Vec<(&'static str, Option<usize>)>,
}

impl Fault {
    #[cold]
    pub(super) fn new(defect: Defect, offset: usize) -> Self {
        Self(Box::new(Trail { defect, offset, path: Vec::new() }))
    }

    /// Says that it lies in `field`.
    #[cold]
    pub(super) fn within(mut self, field: &'static str) -> Self {
        self.0.path.push((field, None));
        self
    }

    /// Says that it lies in element `index` of `field`.
    #[cold]
    pub(super) fn within_element(mut self, field: &'static str, index: usize) -> Self {
        self.0.path.push((field, Some(index)));
        self
    }
}

impl From<Fault> for Malformed {
    #[cold]
    fn from(fault: Fault) -> Self {
        let Trail { defect, offset, path } = *fault.0;
        let mut field = String::new();
        for (name, index) in path.iter().rev() {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(name);
            if let Some(index) = index {
                // Writing to a String cannot fail.
                let _ = write!(field, "[{index}]");
            }
        }
        Self { field, offset, defect }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::wire::reader::{Batch, Bounds};
    use crate::wire::view::Declaration;

    /// A length-delimited field.
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, value.len() as u8], value].concat()
    }

    fn fault_in(message: &[u8], bounds: Bounds) -> Malformed {
        let batch = match Batch::read(message, bounds) {
            Ok(batch) => batch,
            Err(malformed) => return malformed,
        };
        let mut view = Declaration::default();
        (0..batch.len())
            .find_map(|index| batch.raw_declaration(index, &mut view).err())
            .expect("a fault")
    }

    #[test]
    fn a_fault_names_its_field_and_place() {
        let shown = |message: &[u8]| fault_in(message, Bounds::default()).to_string();
        let in_declaration = |inner: &[u8]| [field(5, &field(1, b"L")), field(5, inner)].concat();
        assert_eq!(
            shown(&in_declaration(&field(2, &field(2, b"61\xff")))),
            "malformed declarations[1].goods_items[0].hs6: the text is not UTF-8 (byte 13)"
        );
        let item = [field(7, b"C07"), field(7, b"\xff")].concat();
        assert_eq!(
            shown(&in_declaration(&[field(2, b""), field(2, &item)].concat())),
            "malformed declarations[1].goods_items[1].additional_procedures[1]: \
             the text is not UTF-8 (byte 18)"
        );
        assert_eq!(
            shown(&in_declaration(&[field(8, b""), field(8, &[2 << 3, 1])].concat())),
            "malformed declarations[1].previous_documents[1].reference: \
             the wire type is 0, not 2 (byte 12)"
        );
        assert_eq!(
            shown(&in_declaration(&[9 << 3 | 2, 9, 2 << 3, 1])),
            "malformed declarations[1].transport_costs: it ends 7 bytes early (byte 9)"
        );
        assert_eq!(
            shown(&in_declaration(&[0, 1])),
            "malformed declarations[1]: the field number is 0 (byte 8)"
        );
        assert_eq!(
            shown(&field(6, &field(13, &[2 << 3, 0x80]))),
            "malformed common.fallback.lodged_at_ms: it ends 1 bytes early (byte 5)"
        );
        assert_eq!(shown(&[0x0f]), "malformed batch_id: the wire type is 7, not 2 (byte 1)");
        assert_eq!(shown(&[0x80]), "malformed message: it ends 1 bytes early (byte 0)");
    }

    #[test]
    fn a_bound_that_is_passed_is_named() {
        let bounds = Bounds { declarations_max: 2, goods_items_max: 3, list_elements_max: 4 };
        let fault = |message: &[u8]| {
            let Malformed { field, defect, .. } = fault_in(message, bounds);
            (field, defect)
        };
        let times = |number, count| field(number, b"").repeat(count);
        let last = |inner: &[u8]| [field(5, b""), field(5, inner)].concat();
        let within = |inner: &[u8]| {
            let message = last(inner);
            let batch = Batch::read(&message, bounds).expect("within bounds");
            batch.raw_declaration(1, &mut Declaration::default()).expect("within bounds");
        };
        assert_eq!(fault(&times(5, 3)), ("declarations".into(), Defect::TooMany { max: 2 }));
        within(&times(2, 3));
        assert_eq!(
            fault(&last(&times(2, 4))),
            ("declarations[1].goods_items".into(), Defect::TooMany { max: 3 })
        );
        within(&[times(8, 2), times(12, 2)].concat());
        assert_eq!(
            fault(&last(&[times(8, 2), times(12, 3)].concat())),
            ("declarations[1].supporting_documents".into(), Defect::TooMany { max: 4 })
        );
        let item = field(2, &times(7, 3));
        within(&[times(8, 1), item.clone()].concat());
        assert_eq!(
            fault(&last(&item.repeat(2))),
            ("declarations[1].goods_items[1].additional_procedures".into(), {
                Defect::TooMany { max: 4 }
            })
        );
        assert_eq!(
            fault(&[field(6, &item), field(6, &item)].concat()),
            ("common.goods_items[1].additional_procedures".into(), Defect::TooMany { max: 4 })
        );
    }
}
