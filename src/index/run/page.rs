//! The bytes of a run's pages and items; [`super`] has them as tables. Only this file and the header
//! in it know offsets.

use crc32c::{crc32c, crc32c_append};

use super::{Covers, Entry, FORMAT_VERSION, FORMAT_VERSION_LEAST, Forgotten, Kind, MAGIC};
use crate::day::{Day, Moment};
use crate::disk::PAGE_BYTES;
use crate::fields::Fields;
use crate::id::{Ordinal, Watermark};
use crate::index::filed::{Admission, FiledFallback, Placing, Quoted};
use crate::index::first::RunBatch;
use crate::journal::Position;
use crate::outcome::Outcome;
use crate::rules::fallback::FallbackCheck;
use crate::wire::digest::{Digest, Key};

pub(super) type Page = [u8; PAGE_BYTES];

/// Bytes of a page with items before the first.
pub(super) const ITEMS_AT: usize = 8;
pub(super) const ENTRY_BYTES: usize = 32;
pub(super) const ENTRIES_PER_PAGE: usize = (PAGE_BYTES - ITEMS_AT) / ENTRY_BYTES;
pub(super) const BATCH_BYTES: usize = 50;
pub(super) const BATCHES_PER_PAGE: usize = (PAGE_BYTES - ITEMS_AT) / BATCH_BYTES;
/// Bytes of a page of what is loaded that hold some of it.
pub(super) const LOADED_PER_PAGE: usize = PAGE_BYTES - 4;
const NOTHING_QUOTED: u8 = 255;
const HAS_RARE: u8 = 1 << 5;
/// No record or declaration has a number past this: at a million a second it takes 146,000 years. So
/// what follows a number can be counted from it.
const NUMBER_MAX: u64 = 1 << 62;
/// Ordinals of a run take 5 bytes.
pub(super) const ORDINALS_MAX: u64 = 1 << 40;

fn check(page: &Page, first_record: u64, number: u64) -> u32 {
    let place = crc32c_append(crc32c(&first_record.to_le_bytes()), &number.to_le_bytes());
    crc32c_append(place, page.get(4..).unwrap_or_default())
}

/// Puts the check into a page.
pub(super) fn seal(page: &mut Page, first_record: u64, number: u64) {
    let check = check(page, first_record, number).to_le_bytes();
    page.iter_mut().zip(check).for_each(|(to, from)| *to = from);
}

/// Whether the page is what was written there.
pub(super) fn is_intact(page: &Page, first_record: u64, number: u64) -> bool {
    page.first_chunk() == Some(&check(page, first_record, number).to_le_bytes())
}

/// Bytes put one after another.
#[derive(Debug, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn ordinal(&mut self, ordinal: Ordinal, first: Ordinal) -> &mut Self {
        let from_first = ordinal.0.saturating_sub(first.0).to_le_bytes();
        self.put(from_first.get(..5).unwrap_or_default())
    }

    fn position(&mut self, position: Position) -> &mut Self {
        self.put(&position.segment.to_le_bytes())
            .put(&position.page.to_le_bytes())
            .put(&position.offset.to_le_bytes())
    }

    fn digest(&mut self, digest: Digest) -> &mut Self {
        self.put(&digest.0.to_le_bytes()).put(&digest.1.to_le_bytes())
    }
}

impl Fields<'_> {
    fn ordinal(&mut self, first: Ordinal) -> Option<Ordinal> {
        let mut bytes = [0; 8];
        let five = self.array::<5>()?;
        bytes.iter_mut().zip(five).for_each(|(to, from)| *to = from);
        Some(Ordinal(first.0.saturating_add(u64::from_le_bytes(bytes))))
    }

    fn position(&mut self) -> Option<Position> {
        Some(Position { segment: self.u64()?, page: self.u32()?, offset: self.u32()? })
    }

    fn digest(&mut self) -> Option<Digest> {
        Some(Digest(self.u64()?, self.array().map(u16::from_le_bytes)?))
    }
}

/// How many items a page has, and their bytes.
pub(super) fn items(page: &Page) -> (usize, Fields<'_>) {
    let count = page.get(4..6).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes);
    (usize::from(count), Fields(page.get(ITEMS_AT..).unwrap_or_default()))
}

pub(super) fn write_entry(entry: &Entry, first: Ordinal, bytes: &mut Bytes) {
    let rare = if entry.has_rare { HAS_RARE } else { 0 };
    bytes
        .put(&entry.key.0.to_le_bytes())
        .put(&entry.key.1.to_le_bytes())
        .digest(entry.digest)
        .ordinal(entry.ordinal, first)
        .put(&[entry.kind as u8 | (entry.outcome as u8) << 2 | rare]);
}

pub(super) fn read_entry(fields: &mut Fields<'_>, first: Ordinal) -> Option<Entry> {
    let key = Key(fields.u64()?, fields.u64()?);
    let digest = fields.digest()?;
    let ordinal = fields.ordinal(first)?;
    let [marks] = fields.array()?;
    let kind = match marks & 3 {
        0 => Kind::UnderLrn,
        1 => Kind::Rejection,
        2 => Kind::Conflict,
        _ => return None,
    };
    let outcome = Outcome::from_number(marks >> 2 & 7)?;
    Some(Entry { key, kind, digest, ordinal, outcome, has_rare: marks & HAS_RARE != 0 })
}

pub(super) fn write_batch(batch: &RunBatch, bytes: &mut Bytes) {
    let Placing { number, position, first_ordinal } = batch.placing;
    let Admission { at, day, law } = batch.admission;
    bytes
        .put(&number.0.to_le_bytes())
        .position(position)
        .put(&first_ordinal.0.to_le_bytes())
        .put(&batch.declarations.to_le_bytes())
        .put(&at.0.to_le_bytes())
        .put(&day.0.to_le_bytes())
        .put(&law.to_le_bytes());
}

pub(super) fn read_batch(fields: &mut Fields<'_>) -> Option<RunBatch> {
    let number = Watermark(fields.u64()?);
    let position = fields.position()?;
    let first_ordinal = Ordinal(fields.u64()?);
    let declarations = fields.u32()?;
    let at = Moment(i64::from_le_bytes(fields.array()?));
    let day = Day(u16::from_le_bytes(fields.array()?));
    let law = fields.u32()?;
    Some(RunBatch {
        admission: Admission { at, day, law },
        placing: Placing { number, position, first_ordinal },
        declarations,
    })
}

pub(super) fn write_rare(
    ordinal: Ordinal,
    fallback: &FiledFallback,
    first: Ordinal,
    bytes: &mut Bytes,
) {
    bytes
        .ordinal(ordinal, first)
        .digest(fallback.digest)
        .put(&fallback.law_day.0.to_le_bytes())
        .put(&[fallback.check.bits()]);
    match &fallback.quoted {
        None => bytes.put(&[NOTHING_QUOTED]),
        Some(quoted) => {
            // At most 160 bytes: see `VALUE_QUOTED_BYTES_MAX`.
            let length = u8::try_from(quoted.reference.len()).unwrap_or(NOTHING_QUOTED - 1);
            let reference = quoted.reference.as_bytes().get(..usize::from(length));
            bytes
                .put(&[length])
                .put(&quoted.lodged_at_ms.to_le_bytes())
                .put(reference.unwrap_or_default())
        }
    };
}

/// The next rare part, with its ordinal; its index in its batch is not in it, and left 0.
pub(super) fn read_rare(
    fields: &mut Fields<'_>,
    first: Ordinal,
) -> Option<(Ordinal, FiledFallback)> {
    let ordinal = fields.ordinal(first)?;
    let digest = fields.digest()?;
    let law_day = Day(u16::from_le_bytes(fields.array()?));
    let [check, length] = fields.array()?;
    let quoted = if length == NOTHING_QUOTED {
        None
    } else {
        let lodged_at_ms = i64::from_le_bytes(fields.array()?);
        let reference = std::str::from_utf8(fields.take(usize::from(length))?).ok()?.into();
        Some(Quoted { reference, lodged_at_ms })
    };
    let check = FallbackCheck::from_bits(check);
    Some((ordinal, FiledFallback { index: 0, digest, check, law_day, quoted }))
}

/// What page 0 says, but for what is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) identity: [u8; 16],
    pub(super) first_record: Watermark,
    pub(super) last_record: Watermark,
    pub(super) first_ordinal: Ordinal,
    pub(super) end_ordinal: Ordinal,
    pub(super) position: Position,
    pub(super) entries: u64,
    pub(super) batches: u64,
    pub(super) entry_pages: u32,
    pub(super) batch_pages: u32,
    pub(super) rare_pages: u32,
    pub(super) loaded_pages: u32,
    pub(super) loaded_bytes: u64,
    pub(super) carried_bytes: u32,
    pub(super) filter_bits: u32,
    pub(super) forgotten: Forgotten,
}

/// Why page 0 is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    Damaged(&'static str),
    Newer(u32),
}

impl Header {
    pub(super) fn page(&self) -> Page {
        let mut bytes = Bytes::default();
        bytes
            .put(&[0; 4])
            .put(&FORMAT_VERSION.to_le_bytes())
            .put(&MAGIC)
            .put(&self.identity)
            .put(&self.first_record.0.to_le_bytes())
            .put(&self.last_record.0.to_le_bytes())
            .put(&self.first_ordinal.0.to_le_bytes())
            .put(&self.end_ordinal.0.to_le_bytes())
            .position(self.position)
            .put(&self.entries.to_le_bytes())
            .put(&self.batches.to_le_bytes())
            .put(&self.entry_pages.to_le_bytes())
            .put(&self.batch_pages.to_le_bytes())
            .put(&self.rare_pages.to_le_bytes())
            .put(&self.loaded_pages.to_le_bytes())
            .put(&self.loaded_bytes.to_le_bytes())
            .put(&self.carried_bytes.to_le_bytes())
            .put(&self.filter_bits.to_le_bytes())
            .put(&self.forgotten.before.0.to_le_bytes())
            .put(&self.forgotten.day.0.to_le_bytes());
        let mut page = [0; PAGE_BYTES];
        page.iter_mut().zip(&bytes.0).for_each(|(to, from)| *to = *from);
        seal(&mut page, self.first_record.0, 0);
        page
    }

    pub(super) fn read(page: &Page) -> Result<Self, BadHeader> {
        let mut fields = Fields(page);
        let _check = fields.u32();
        let version = fields.u32().unwrap_or(0);
        if fields.array() != Some(MAGIC) {
            return Err(BadHeader::Damaged("it does not begin as a run does"));
        }
        let header = Self::after_magic(fields).ok_or(BadHeader::Damaged("the header is cut"))?;
        // The check keeps its place and covers bytes that keep theirs; what it starts with is the
        // number of the first record, which a newer version may keep elsewhere.
        if version > FORMAT_VERSION {
            return Err(BadHeader::Newer(version));
        }
        if !is_intact(page, header.first_record.0, 0) {
            return Err(BadHeader::Damaged("the check of the header fails"));
        }
        if version < FORMAT_VERSION_LEAST {
            return Err(BadHeader::Damaged("no version of Waag wrote this format version"));
        }
        let records = 1..=NUMBER_MAX;
        if !records.contains(&header.first_record.0)
            || !records.contains(&header.last_record.0)
            || header.end_ordinal.0 > NUMBER_MAX
        {
            return Err(BadHeader::Damaged("the header has a number that is never given out"));
        }
        Ok(header)
    }

    fn after_magic(mut fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            identity: fields.array()?,
            first_record: Watermark(fields.u64()?),
            last_record: Watermark(fields.u64()?),
            first_ordinal: Ordinal(fields.u64()?),
            end_ordinal: Ordinal(fields.u64()?),
            position: fields.position()?,
            entries: fields.u64()?,
            batches: fields.u64()?,
            entry_pages: fields.u32()?,
            batch_pages: fields.u32()?,
            rare_pages: fields.u32()?,
            loaded_pages: fields.u32()?,
            loaded_bytes: fields.u64()?,
            carried_bytes: fields.u32()?,
            filter_bits: fields.u32()?,
            // Zeros in version 1.
            forgotten: Forgotten { before: Ordinal(fields.u64()?), day: Day(fields.u16()?) },
        })
    }

    /// What is covered.
    pub(super) fn covers(&self, carried: Vec<u8>) -> Covers {
        Covers {
            first_record: self.first_record,
            last_record: self.last_record,
            position: self.position,
            first_ordinal: self.first_ordinal,
            end_ordinal: self.end_ordinal,
            forgotten: self.forgotten,
            carried,
        }
    }

    /// The pages of the file.
    pub(super) fn pages(&self) -> u64 {
        let sections = [self.entry_pages, self.batch_pages, self.rare_pages, self.loaded_pages];
        1 + sections.into_iter().map(u64::from).sum::<u64>()
    }

    pub(super) fn first_batch_page(&self) -> u64 {
        1 + u64::from(self.entry_pages)
    }

    pub(super) fn first_rare_page(&self) -> u64 {
        self.first_batch_page() + u64::from(self.batch_pages)
    }

    pub(super) fn first_loaded_page(&self) -> u64 {
        self.first_rare_page() + u64::from(self.rare_pages)
    }
}
