//! The bytes of pages, groups and segment headers; [`super`] has them as tables. Only this file
//! knows offsets. Nothing here does I/O.
//!
//! Two checks per page: one over what the page says of itself (with the segment's salt, so that a
//! page of another segment or journal is never taken for ours), one over its payload. The first
//! tells a torn group from a damaged one; together they cover every bit of the page.

use std::path::Path;

use crc32c::{crc32c, crc32c_append};

use crate::disk::PAGE_BYTES;

/// One page, as it lies on the disk.
pub(super) type PageBytes = [u8; PAGE_BYTES];

/// The bytes of a page before its payload.
pub(super) const PAGE_HEADER_BYTES: usize = 24;
/// The payload of a page.
pub(super) const PAGE_PAYLOAD_BYTES: usize = PAGE_BYTES - PAGE_HEADER_BYTES;
/// The bytes of a group's payload before its first record.
pub(super) const GROUP_HEADER_BYTES: usize = 48;
/// The bytes of a record before its body.
pub(super) const RECORD_HEADER_BYTES: usize = 5;

/// The newest format that is read, and the one that is written.
pub(super) const FORMAT_VERSION: u32 = 1;
/// What a segment's first page says it is.
const MAGIC: [u8; 8] = *b"WAAGJRNL";
/// No segment, group or record has a number past this: at a million a second it takes 146,000 years. So
/// what follows a number can be counted from it.
const NUMBER_MAX: u64 = 1 << 62;

/// How many pages a payload of `bytes` (group header included) takes.
pub(super) const fn pages_for(bytes: usize) -> usize {
    bytes.div_ceil(PAGE_PAYLOAD_BYTES)
}

/// How many pages a record takes that is alone in its group.
pub(super) const fn pages_alone(body_bytes: usize) -> usize {
    pages_for(GROUP_HEADER_BYTES + RECORD_HEADER_BYTES + body_bytes)
}

fn u32_at<const AT: usize>(bytes: &[u8]) -> u32 {
    bytes.get(AT..AT + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at<const AT: usize>(bytes: &[u8]) -> u64 {
    bytes.get(AT..AT + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// What a page of a group says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) group: u64,
    /// Place within the group, from 0.
    pub(super) index: u32,
    /// How many pages the group has.
    pub(super) pages: u32,
    pub(super) payload_check: u32,
}

/// What stands in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageState {
    /// Zeros: never written.
    Blank,
    /// What it says of itself can be believed; its payload is not yet looked at.
    Intact(PageHeader),
    /// Something else.
    Bad,
}

impl PageHeader {
    /// The check over this header under the segment's salt.
    fn check(page: &PageBytes, salt: u64) -> u32 {
        crc32c_append(crc32c(&salt.to_le_bytes()), &page[4..PAGE_HEADER_BYTES])
    }

    /// Writes the header into its page and returns its check.
    pub(super) fn write(&self, page: &mut PageBytes, salt: u64) -> u32 {
        page[4..8].copy_from_slice(&self.payload_check.to_le_bytes());
        page[8..16].copy_from_slice(&self.group.to_le_bytes());
        page[16..20].copy_from_slice(&self.index.to_le_bytes());
        page[20..24].copy_from_slice(&self.pages.to_le_bytes());
        let check = Self::check(page, salt);
        page[0..4].copy_from_slice(&check.to_le_bytes());
        check
    }

    /// Tells what stands in `page`.
    pub(super) fn read(page: &PageBytes, salt: u64) -> PageState {
        if is_blank(page) {
            return PageState::Blank;
        }
        if u32_at::<0>(page) != Self::check(page, salt) {
            return PageState::Bad;
        }
        PageState::Intact(Self {
            payload_check: u32_at::<4>(page),
            group: u64_at::<8>(page),
            index: u32_at::<16>(page),
            pages: u32_at::<20>(page),
        })
    }
}

/// The check that stands in a page's header; the first page's is what the next group links to,
/// since it covers, directly or through other checks, every bit of the group.
pub(super) fn page_check(page: &PageBytes) -> u32 {
    u32_at::<0>(page)
}

/// The check over a page's payload.
pub(super) fn payload_check(page: &PageBytes) -> u32 {
    crc32c(&page[PAGE_HEADER_BYTES..])
}

/// The payload of a page.
pub(super) fn payload(page: &PageBytes) -> &[u8] {
    &page[PAGE_HEADER_BYTES..]
}

/// Whether a page is all zeros.
pub(super) fn is_blank(page: &PageBytes) -> bool {
    page.as_chunks::<16>().0.iter().all(|chunk| u128::from_ne_bytes(*chunk) == 0)
}

/// What a group is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupKind {
    /// It holds records.
    Records,
    /// It marks a clean stop.
    End,
    /// It is the last of its segment, and the next segment is there.
    Roll,
}

impl GroupKind {
    fn number(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::End => 2,
            Self::Roll => 3,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Records, Self::End, Self::Roll].into_iter().find(|kind| kind.number() == number)
    }
}

/// What a group says of itself, at the beginning of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupHeader {
    /// The number of its first record, or that the next record will have.
    pub(super) first_record: u64,
    /// The newest group known durable when this one was written.
    pub(super) durable_group: u64,
    /// The newest record known durable when this one was written.
    pub(super) durable_record: u64,
    /// Bytes of payload, this header included and padding not.
    pub(super) payload_bytes: u32,
    pub(super) records: u32,
    /// The check of the first page of the group before.
    pub(super) previous: u32,
    /// CRC32C over the payload checks of the pages after the first.
    pub(super) rest_check: u32,
    pub(super) kind: GroupKind,
}

impl GroupHeader {
    pub(super) fn bytes(&self) -> [u8; GROUP_HEADER_BYTES] {
        let mut bytes = [0; GROUP_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&self.first_record.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.durable_group.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.durable_record.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.records.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.previous.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.rest_check.to_le_bytes());
        bytes[40] = self.kind.number();
        bytes
    }

    /// `None` where the payload is too short or the kind is none we know.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; GROUP_HEADER_BYTES] = payload.first_chunk()?;
        Some(Self {
            first_record: u64_at::<0>(bytes),
            durable_group: u64_at::<8>(bytes),
            durable_record: u64_at::<16>(bytes),
            payload_bytes: u32_at::<24>(bytes),
            records: u32_at::<28>(bytes),
            previous: u32_at::<32>(bytes),
            rest_check: u32_at::<36>(bytes),
            kind: GroupKind::from_number(bytes[40])?,
        })
    }

    /// The check over the payload checks of all pages but the first.
    pub(super) fn rest_check(pages: &[PageBytes]) -> u32 {
        pages.iter().skip(1).fold(0, |check, page| crc32c_append(check, &page[4..8]))
    }
}

/// The bytes before a record's body.
pub(super) fn record_header(kind: u8, body_bytes: u32) -> [u8; RECORD_HEADER_BYTES] {
    let [a, b, c, d] = body_bytes.to_le_bytes();
    [kind, a, b, c, d]
}

/// Takes the record that begins at `offset` of a group's payload (cut at its payload bytes): its
/// kind, its body, and the offset of what follows. `None` where it does not fit.
pub(super) fn record_at(payload: &[u8], offset: usize) -> Option<(u8, &[u8], usize)> {
    let rest = payload.get(offset..)?;
    let header: &[u8; RECORD_HEADER_BYTES] = rest.first_chunk()?;
    let [kind, a, b, c, d] = *header;
    let bytes = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    let body = rest.get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES.checked_add(bytes)?)?;
    Some((kind, body, offset + RECORD_HEADER_BYTES + bytes))
}

/// The first page of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) segment: u64,
    /// Pages of the file, this one included.
    pub(super) pages: u32,
    pub(super) first_group: u64,
    pub(super) first_record: u64,
    /// The check of the first page of the group before (the roll mark of the segment before); 0
    /// where there is none.
    pub(super) previous: u32,
    pub(super) salt: u64,
    pub(super) identity: [u8; 16],
}

/// Why a segment's first page cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// Not ours, or damaged.
    Damaged(&'static str),
    /// Ours, and newer than we are.
    Newer(u32),
}

impl SegmentHeader {
    pub(super) fn write(&self, page: &mut PageBytes) {
        page.fill(0);
        page[4..8].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        page[8..16].copy_from_slice(&MAGIC);
        page[16..24].copy_from_slice(&self.segment.to_le_bytes());
        page[24..28].copy_from_slice(&self.pages.to_le_bytes());
        page[28..32].copy_from_slice(&self.previous.to_le_bytes());
        page[32..40].copy_from_slice(&self.first_group.to_le_bytes());
        page[40..48].copy_from_slice(&self.first_record.to_le_bytes());
        page[48..56].copy_from_slice(&self.salt.to_le_bytes());
        page[56..72].copy_from_slice(&self.identity);
        let check = crc32c(&page[4..]);
        page[0..4].copy_from_slice(&check.to_le_bytes());
    }

    pub(super) fn read(page: &PageBytes) -> Result<Self, BadHeader> {
        // The check first: a version is believed only where it holds. Every later version keeps
        // check, version and magic where they are.
        if u32_at::<0>(page) != crc32c(&page[4..]) {
            return Err(BadHeader::Damaged("the check of the segment header fails"));
        }
        if page[8..16] != MAGIC {
            return Err(BadHeader::Damaged("this is not a segment of a journal"));
        }
        match u32_at::<4>(page) {
            FORMAT_VERSION => {}
            version if version > FORMAT_VERSION => return Err(BadHeader::Newer(version)),
            _ => return Err(BadHeader::Damaged("there is no such format version")),
        }
        let header = Self {
            segment: u64_at::<16>(page),
            pages: u32_at::<24>(page),
            previous: u32_at::<28>(page),
            first_group: u64_at::<32>(page),
            first_record: u64_at::<40>(page),
            salt: u64_at::<48>(page),
            identity: u128::from_le_bytes(
                page.get(56..72).and_then(|b| b.try_into().ok()).unwrap_or_default(),
            )
            .to_le_bytes(),
        };
        let numbers = [header.segment, header.first_group, header.first_record];
        if numbers.iter().all(|number| (1..=NUMBER_MAX).contains(number)) {
            Ok(header)
        } else {
            Err(BadHeader::Damaged("the segment header has a number that is never given out"))
        }
    }
}

/// A segment's salt: it follows from journal and segment, so that a page written into the wrong
/// file is not taken for one of it. (A file that is ever written over as a later segment must keep
/// its salt, so that its older pages are told from damage.)
pub(super) fn salt(identity: &[u8; 16], segment: u64) -> u64 {
    let low = crc32c_append(crc32c(identity), &segment.to_le_bytes());
    let high = crc32c_append(crc32c(&segment.to_be_bytes()), identity);
    u64::from(high) << 32 | u64::from(low)
}

/// What a segment's name ends with.
pub(super) const SEGMENT_SUFFIX: &str = ".segment";
/// What the name of a file ends with that is being made ready to be a segment.
pub(super) const PREPARING_SUFFIX: &str = ".preparing";

/// The name of a segment.
pub(super) fn segment_name(segment: u64) -> String {
    format!("{segment:020}{SEGMENT_SUFFIX}")
}

/// The number in a segment's name; `None` where it is not one.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let number = digits.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// Where a page begins in its file, in bytes.
pub(super) fn offset_of(page: u32) -> u64 {
    u64::from(page) * PAGE_BYTES as u64
}

/// The path of a segment.
pub(super) fn segment_path(dir: &Path, segment: u64) -> std::path::PathBuf {
    dir.join(segment_name(segment))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn every_bit_of_a_segment_header_is_covered() {
        let header = SegmentHeader {
            segment: 3,
            pages: 65_536,
            first_group: 77,
            first_record: 1_000_000,
            previous: 0xDEAD_BEEF,
            salt: salt(&[9; 16], 3),
            identity: [9; 16],
        };
        let mut page = [0xFF; PAGE_BYTES];
        header.write(&mut page);
        assert_eq!(SegmentHeader::read(&page), Ok(header));
        for bit in 0..PAGE_BYTES * 8 {
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(SegmentHeader::read(&page), Err(BadHeader::Damaged(_))), "{bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
        page[4] = 2;
        let check = crc32c(&page[4..]);
        page[0..4].copy_from_slice(&check.to_le_bytes());
        assert_eq!(SegmentHeader::read(&page), Err(BadHeader::Newer(2)));
    }

    #[test]
    fn numbers_that_are_never_given_out_are_damage() {
        let header = SegmentHeader {
            segment: NUMBER_MAX,
            pages: 9,
            first_group: NUMBER_MAX,
            first_record: NUMBER_MAX,
            previous: 0,
            salt: 5,
            identity: [9; 16],
        };
        let read = |header: SegmentHeader| {
            let mut page = [0; PAGE_BYTES];
            header.write(&mut page);
            SegmentHeader::read(&page)
        };
        assert_eq!(read(header), Ok(header));
        for number in [0, NUMBER_MAX + 1, u64::MAX] {
            for wrong in [
                SegmentHeader { segment: number, ..header },
                SegmentHeader { first_group: number, ..header },
                SegmentHeader { first_record: number, ..header },
            ] {
                assert!(matches!(read(wrong), Err(BadHeader::Damaged(_))), "{wrong:?}");
            }
        }
    }

    #[test]
    fn every_bit_of_a_page_is_covered() {
        let header = PageHeader { group: 5, index: 1, pages: 3, payload_check: 0 };
        let mut page = [0x5A; PAGE_BYTES];
        let header = PageHeader { payload_check: payload_check(&page), ..header };
        header.write(&mut page, 42);
        let holds = |page: &PageBytes| {
            matches!(PageHeader::read(page, 42), PageState::Intact(read)
                if read == header && payload_check(page) == read.payload_check)
        };
        assert!(holds(&page));
        assert_eq!(PageHeader::read(&page, 43), PageState::Bad, "another segment's");
        for bit in 0..PAGE_BYTES * 8 {
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&page), "{bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(PageHeader::read(&[0; PAGE_BYTES], 42), PageState::Blank);
    }

    #[test]
    fn names_of_segments() {
        assert_eq!(segment_name(7), "00000000000000000007.segment");
        assert_eq!(segment_number("00000000000000000007.segment"), Some(7));
        for other in ["7.segment", "00000000000000000007.preparing", "+0000000000000000007.segment"]
        {
            assert_eq!(segment_number(other), None, "{other}");
        }
    }

    #[test]
    fn a_record_that_does_not_fit_is_none() {
        let mut payload = record_header(9, 3).to_vec();
        payload.extend(b"abc");
        assert_eq!(record_at(&payload, 0), Some((9, &b"abc"[..], 8)));
        for cut in 0..payload.len() {
            assert_eq!(record_at(&payload[..cut], 0), None, "{cut}");
        }
    }
}
