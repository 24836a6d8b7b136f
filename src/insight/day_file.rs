//! The findings of one day: immutable, by role and id of the actor.
//!
//! A [block file](super::block_file) of kind 0. A block's label is the key of its first entry: role (1) and id.
//! The first block alone has an empty label: the days (2 each, little endian) among those that the figures look at
//! that were past their retention when it was made. An entry is its role (1), the length of its id (1), the id, how many figures (1), and these:
//!
//! | part | bytes | what |
//! |---|---|---|
//! | kind | 1 | see [`Kind`] |
//! | numerator, denominator | varints | |
//! | own value | 1, 8 | whether there is one; IEEE 754, little endian |
//! | parts | 1 | how many; of each the length of its text (1), the text, its count (varint) |
//! | examples | 1 | how many; of each ordinal and group (varints), the length of the declarant's id (1), the id |

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prost::encoding::{decode_varint, encode_varint};

use super::block_file::{BLOCK_BYTES, BlockFile, BlockWriter, Heading};
use super::error::InsightError;
use super::figure::{Example, Figure, Part};
use super::kinds::Kind;
use crate::day::Day;
use crate::fields::Fields;
use crate::id::Ordinal;
use crate::summary::{ActorId, Role};

/// An actor with its figures.
pub(super) type Entry = ((Role, ActorId), Vec<Figure>);

/// Writes the file of a day.
pub(super) fn write(
    path: &Path,
    heading: &Heading,
    missing_days: &BTreeSet<Day>,
    entries: &BTreeMap<(Role, ActorId), Vec<Figure>>,
) -> Result<(), InsightError> {
    let mut file = BlockWriter::create(path, heading)?;
    // 89 before it at most, and one after.
    let missing_days: Vec<u8> = missing_days.iter().flat_map(|day| day.0.to_le_bytes()).collect();
    file.block(&[], &missing_days)?;
    let (mut block, mut label) = (Vec::new(), Vec::new());
    for ((role, id), figures) in entries {
        if block.is_empty() {
            label = key(*role, id);
        }
        encode(*role, id, figures, &mut block);
        if block.len() >= BLOCK_BYTES {
            file.block(&label, &block)?;
            block.clear();
        }
    }
    if !block.is_empty() {
        file.block(&label, &block)?;
    }
    file.finish()
}

fn key(role: Role, id: &ActorId) -> Vec<u8> {
    let mut key = vec![role as u8];
    key.extend_from_slice(id.as_str().as_bytes());
    key
}

/// Such a file open for reading.
#[derive(Debug)]
pub(super) struct FindingsFile {
    file: BlockFile,
    day: Day,
    missing_days: Vec<Day>,
}

impl FindingsFile {
    pub(super) fn open(path: &Path, heading: &Heading) -> Result<Self, InsightError> {
        let file = BlockFile::open(path, heading)?;
        let first = file.read(0)?;
        let (days, rest) = first.as_chunks::<2>();
        if file.len() == 0 || !rest.is_empty() {
            return Err(InsightError::damaged(path, "block 0 is malformed"));
        }
        let missing_days = days.iter().map(|day| Day(u16::from_le_bytes(*day))).collect();
        Ok(Self { file, day: heading.day, missing_days })
    }

    /// How many of the days that a figure of `kind` looks at were past their retention when it was made.
    pub(super) fn missing_days(&self, kind: Kind) -> u16 {
        let ((before, after), day) = (kind.days(), self.day.0);
        let window = day.saturating_sub(before)..=day.saturating_add(after);
        let missing = self.missing_days.iter().filter(|day| window.contains(&day.0)).count();
        u16::try_from(missing).unwrap_or(u16::MAX)
    }

    /// Reads all of it.
    pub(super) fn check(&self) -> Result<(), InsightError> {
        Role::ALL.into_iter().try_for_each(|role| self.scan(role, None, |_| true))
    }

    /// Hands the entries of `role` from `from` on to `take`, in order, until it says no.
    pub(super) fn scan(
        &self,
        role: Role,
        from: Option<&ActorId>,
        mut take: impl FnMut(Entry) -> bool,
    ) -> Result<(), InsightError> {
        let first = from.map_or_else(|| vec![role as u8], |id| key(role, id));
        // The last block that begins at or before it may have it.
        let start = self.file.partition(|label| label <= first.as_slice());
        for at in start.saturating_sub(1).max(1)..self.file.len() {
            let bytes = self.file.read(at)?;
            let mut rest = Fields(&bytes);
            while !rest.0.is_empty() {
                let entry = decode(&mut rest).ok_or_else(|| {
                    InsightError::damaged(self.file.path(), format!("block {at} is malformed"))
                })?;
                let (of, id) = entry.0;
                if of > role {
                    return Ok(());
                }
                let is_after = of == role && from.is_none_or(|from| id >= *from);
                if is_after && !take(entry) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn encode(role: Role, id: &ActorId, figures: &[Figure], to: &mut Vec<u8>) {
    to.push(role as u8);
    text(id.as_str(), to);
    // One of each kind at most.
    to.push(figures.len() as u8);
    for figure in figures {
        to.push(figure.kind as u8);
        encode_varint(figure.numerator, to);
        encode_varint(figure.denominator, to);
        to.push(u8::from(figure.own_value.is_some()));
        if let Some(value) = figure.own_value {
            to.extend_from_slice(&value.to_le_bytes());
        }
        to.push(figure.parts.len() as u8);
        for part in &figure.parts {
            text(&part.what, to);
            encode_varint(part.count, to);
        }
        to.push(figure.examples.len() as u8);
        for example in &figure.examples {
            encode_varint(example.ordinal.0, to);
            encode_varint(u64::from(example.group), to);
            text(example.declarant.as_str(), to);
        }
    }
}

/// At most 255 bytes.
fn text(text: &str, to: &mut Vec<u8>) {
    to.push(text.len() as u8);
    to.extend_from_slice(text.as_bytes());
}

fn decode(from: &mut Fields<'_>) -> Option<Entry> {
    let role = Role::from_number(byte(from)?)?;
    let id = ActorId::parse(role, take_text(from)?)?;
    let figures = (0..byte(from)?).map(|_| decode_figure(from)).collect::<Option<_>>()?;
    Some(((role, id), figures))
}

fn decode_figure(from: &mut Fields<'_>) -> Option<Figure> {
    let kind = Kind::from_number(byte(from)?)?;
    let (numerator, denominator) = (number(from)?, number(from)?);
    let own_value = match byte(from)? {
        0 => None,
        _ => Some(f64::from_le_bytes(from.array()?)),
    };
    let part = |from: &mut Fields<'_>| {
        Some(Part { what: take_text(from)?.to_owned(), count: number(from)? })
    };
    let parts = (0..byte(from)?).map(|_| part(from)).collect::<Option<_>>()?;
    let example = |from: &mut Fields<'_>| {
        let (ordinal, group) = (Ordinal(number(from)?), u32::try_from(number(from)?).ok()?);
        let declarant = ActorId::parse(Role::Declarant, take_text(from)?)?;
        Some(Example { ordinal, declarant, group })
    };
    let examples = (0..byte(from)?).map(|_| example(from)).collect::<Option<_>>()?;
    Some(Figure { kind, numerator, denominator, own_value, parts, examples })
}

fn byte(from: &mut Fields<'_>) -> Option<u8> {
    from.array().map(|[byte]| byte)
}

fn number(from: &mut Fields<'_>) -> Option<u64> {
    decode_varint(&mut from.0).ok()
}

fn take_text<'a>(from: &mut Fields<'a>) -> Option<&'a str> {
    let length = byte(from)?;
    std::str::from_utf8(from.take(usize::from(length))?).ok()
}
