//! One group: being filled, and being read.
//!
//! Records are copied once, straight to where the device takes them from, around the page
//! headers; each page's payload is checked as soon as it is full, while it is still in cache.
//!
//! Invariants of [`GroupBuffer`]: bytes of the payload area past `payload_bytes` are stale until
//! [`GroupBuffer::finish`] makes the padding zero; the payload checks of pages
//! `1..checked_pages` are right.

use crate::disk::{AlignedBuffer, PAGE_BYTES};

use super::frame::{
    self, GROUP_HEADER_BYTES, GroupHeader, GroupKind, PAGE_HEADER_BYTES, PAGE_PAYLOAD_BYTES,
    PageBytes, PageHeader, RECORD_HEADER_BYTES, pages_for,
};

/// What a group is told when it is closed: all that is not its records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) kind: GroupKind,
    pub(super) group: u64,
    pub(super) first_record: u64,
    pub(super) previous: u32,
    pub(super) salt: u64,
}

/// A group being filled.
#[derive(Debug)]
pub(super) struct GroupBuffer {
    buffer: AlignedBuffer,
    /// Group header included.
    payload_bytes: usize,
    records: u32,
    checked_pages: usize,
}

impl GroupBuffer {
    /// Empty, with memory for `pages`; it grows for what is larger.
    pub(super) fn new(pages: usize) -> Self {
        Self {
            buffer: AlignedBuffer::new(pages.max(1)),
            payload_bytes: GROUP_HEADER_BYTES,
            records: 0,
            checked_pages: 1,
        }
    }

    pub(super) fn records(&self) -> u32 {
        self.records
    }

    /// The payload's length, should a record of `body_bytes` be added.
    pub(super) fn payload_bytes_with(&self, body_bytes: usize) -> usize {
        self.payload_bytes + RECORD_HEADER_BYTES + body_bytes
    }

    /// Adds a record whose body is `parts` one after another, `body_bytes` in all, and returns its
    /// offset in the payload.
    pub(super) fn push(&mut self, kind: u8, parts: &[&[u8]], body_bytes: u32) -> u32 {
        let pages = pages_for(self.payload_bytes_with(body_bytes as usize));
        if pages > self.buffer.pages().len() {
            self.buffer = std::mem::take(&mut self.buffer).grown(pages);
        }
        // Fits: a segment has at most u32::MAX pages, a group far fewer bytes than 4 GiB.
        let offset = u32::try_from(self.payload_bytes).unwrap_or(u32::MAX);
        self.append(&frame::record_header(kind, body_bytes));
        for part in parts {
            self.append(part);
        }
        self.records += 1;
        let full_pages = self.payload_bytes / PAGE_PAYLOAD_BYTES;
        check_payloads(self.buffer.pages_mut(), self.checked_pages, full_pages);
        self.checked_pages = self.checked_pages.max(full_pages);
        offset
    }

    fn append(&mut self, mut bytes: &[u8]) {
        let first = self.payload_bytes / PAGE_PAYLOAD_BYTES;
        let mut within = PAGE_HEADER_BYTES + self.payload_bytes % PAGE_PAYLOAD_BYTES;
        self.payload_bytes += bytes.len();
        for page in self.buffer.pages_mut().iter_mut().skip(first) {
            let room = page.get_mut(within..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            if let Some(room) = room.get_mut(..now.len()) {
                room.copy_from_slice(now);
            }
            if later.is_empty() {
                return;
            }
            bytes = later;
            within = PAGE_HEADER_BYTES;
        }
        debug_assert!(bytes.is_empty(), "the buffer was grown for this");
    }

    /// Closes the group and returns its pages, to be written as they are, and the check that the
    /// next group links to.
    pub(super) fn finish(&mut self, stamp: Stamp) -> (&[u8], u32) {
        let count = pages_for(self.payload_bytes);
        let pages = self.buffer.pages_mut().get_mut(..count).unwrap_or_default();
        let used = self.payload_bytes - (count - 1) * PAGE_PAYLOAD_BYTES;
        if let Some(padding) = pages.last_mut().and_then(|p| p.get_mut(PAGE_HEADER_BYTES + used..))
        {
            padding.fill(0);
        }
        check_payloads(pages, self.checked_pages, count);

        let header = GroupHeader {
            first_record: stamp.first_record,
            // One group is written at a time, so all before it are durable.
            durable_group: stamp.group - 1,
            durable_record: stamp.first_record - 1,
            payload_bytes: u32::try_from(self.payload_bytes).unwrap_or(u32::MAX),
            records: self.records,
            previous: stamp.previous,
            rest_check: GroupHeader::rest_check(pages),
            kind: stamp.kind,
        };
        if let Some(first) = pages.first_mut() {
            first[PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + GROUP_HEADER_BYTES]
                .copy_from_slice(&header.bytes());
        }
        check_payloads(pages, 0, 1);

        let mut link = 0;
        let count_32 = u32::try_from(count).unwrap_or(u32::MAX);
        for (index, page) in (0_u32..).zip(pages.iter_mut()) {
            let payload_check =
                page.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
            let page_header =
                PageHeader { group: stamp.group, index, pages: count_32, payload_check };
            let check = page_header.write(page, stamp.salt);
            if index == 0 {
                link = check;
            }
        }
        (self.buffer.bytes().get(..count * PAGE_BYTES).unwrap_or_default(), link)
    }

    /// Empties it, keeping its memory.
    pub(super) fn clear(&mut self) {
        self.payload_bytes = GROUP_HEADER_BYTES;
        self.records = 0;
        self.checked_pages = 1;
    }
}

/// Puts the payload checks of `pages[from..to]` where their headers have them.
fn check_payloads(pages: &mut [PageBytes], from: usize, to: usize) {
    for page in pages.iter_mut().take(to).skip(from) {
        let check = frame::payload_check(page);
        page[4..8].copy_from_slice(&check.to_le_bytes());
    }
}

/// A whole group whose pages have been found intact.
#[derive(Debug)]
pub(super) struct GroupView {
    pub(super) header: GroupHeader,
    /// What the next group links to.
    pub(super) link: u32,
}

impl GroupView {
    /// Checks that the pages of group `number`, each intact by its own checks, add up, and puts
    /// the payload, without padding, into `payload`.
    ///
    /// # Errors
    /// What does not add up.
    pub(super) fn read(
        pages: &[PageBytes],
        number: u64,
        payload: &mut Vec<u8>,
    ) -> Result<Self, &'static str> {
        payload.clear();
        for page in pages {
            payload.extend_from_slice(frame::payload(page));
        }
        let header = GroupHeader::read(payload).ok_or("there is no such kind of group")?;
        let bytes = header.payload_bytes as usize;
        if bytes < GROUP_HEADER_BYTES || pages_for(bytes) != pages.len() {
            return Err("the payload's length does not fit the number of pages");
        }
        if header.rest_check != GroupHeader::rest_check(pages) {
            return Err("the check over the pages of the group fails");
        }
        if header.durable_group.checked_add(1) != Some(number)
            || header.durable_record.checked_add(1) != Some(header.first_record)
        {
            return Err("the durable position is not the group before");
        }
        let carries_records = header.kind == GroupKind::Records;
        if carries_records != (header.records > 0) {
            return Err("the count of records does not fit the kind of group");
        }
        payload.truncate(bytes);
        let link = pages.first().map_or(0, frame::page_check);
        Ok(Self { header, link })
    }

    /// Calls `each` with number, offset, kind and body of every record.
    ///
    /// # Errors
    /// `Ok(Err(_))` from `each` as it is; `Err` where the records do not fill the payload.
    pub(super) fn records<E>(
        &self,
        payload: &[u8],
        mut each: impl FnMut(u64, u32, u8, &[u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, &'static str> {
        let mut offset = GROUP_HEADER_BYTES;
        for index in 0..u64::from(self.header.records) {
            let (kind, body, next) = frame::record_at(payload, offset)
                .ok_or("a record goes past the end of its group")?;
            // Fits: the payload's length is a u32.
            let at = u32::try_from(offset).unwrap_or(u32::MAX);
            if let Err(error) = each(self.header.first_record + index, at, kind, body) {
                return Ok(Err(error));
            }
            offset = next;
        }
        if offset == payload.len() { Ok(Ok(())) } else { Err("bytes follow the last record") }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    type Model = Vec<(u8, Vec<u8>)>;

    fn write(buffer: &mut GroupBuffer, model: &Model, pieces: usize, number: u64) -> Vec<u32> {
        let offsets = model.iter().map(|(kind, body)| {
            let parts: Vec<&[u8]> = body.chunks(body.len().div_ceil(pieces).max(1)).collect();
            buffer.push(*kind, &parts, u32::try_from(body.len()).unwrap())
        });
        let offsets = offsets.collect();
        let stamp = Stamp {
            kind: GroupKind::Records,
            group: number,
            first_record: 100,
            previous: 5,
            salt: 77,
        };
        buffer.finish(stamp);
        offsets
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
        #[test]
        fn a_group_reads_back_as_the_records_that_were_pushed(
            first in model(), second in model(), pieces in 1_usize..5,
        ) {
            // The same buffer twice: nothing of the first group may show in the second.
            let mut buffer = GroupBuffer::new(2);
            write(&mut buffer, &first, pieces, 7);
            buffer.clear();
            let offsets = write(&mut buffer, &second, pieces, 8);
            let count = pages_for(buffer.payload_bytes);
            let pages = &buffer.buffer.pages()[..count];
            for (index, page) in pages.iter().enumerate() {
                let frame::PageState::Intact(header) = PageHeader::read(page, 77) else {
                    panic!("page {index}");
                };
                prop_assert_eq!((header.group, header.index as usize), (8, index));
                prop_assert_eq!(header.pages as usize, count);
                prop_assert_eq!(header.payload_check, frame::payload_check(page));
            }
            let used = buffer.payload_bytes - (count - 1) * PAGE_PAYLOAD_BYTES;
            let padding = &frame::payload(&pages[count - 1])[used..];
            prop_assert!(padding.iter().all(|byte| *byte == 0), "padding is zeros");
            let mut payload = Vec::new();
            let view = GroupView::read(pages, 8, &mut payload).unwrap();
            let mut read = Model::new();
            let mut places = Vec::new();
            view.records(&payload, |number, offset, kind, body| {
                places.push((number, offset));
                read.push((kind, body.to_vec()));
                Ok::<_, Infallible>(())
            }).unwrap().unwrap();
            prop_assert_eq!(read, second);
            prop_assert_eq!(places, (100..).zip(offsets).collect::<Vec<_>>());
        }
    }

    fn model() -> impl Strategy<Value = Model> {
        let body = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            // Around the ends of pages.
            (4_000_usize..4_100, any::<u8>()).prop_map(|(bytes, with)| vec![with; bytes]),
            (8_000_usize..20_000, any::<u8>()).prop_map(|(bytes, with)| vec![with; bytes]),
        ];
        proptest::collection::vec((any::<u8>(), body), 1..20)
    }

    #[test]
    fn groups_that_do_not_add_up_are_refused() {
        let model = vec![(1, vec![1; 6_000]), (2, vec![2; 100])];
        let mut buffer = GroupBuffer::new(1);
        write(&mut buffer, &model, 1, 7);
        let pages = buffer.buffer.pages()[..2].to_vec();
        let read = |pages: &[PageBytes], number| {
            let mut payload = Vec::new();
            let view = GroupView::read(pages, number, &mut payload)?;
            view.records(&payload, |_, _, _, _| Ok::<_, Infallible>(())).map(|_| ())
        };
        assert_eq!(read(&pages, 7), Ok(()));
        assert_eq!(read(&pages, 8), Err("the durable position is not the group before"));
        assert!(read(&pages[..1], 7).is_err());
        let changed = |at: usize, to: u8| {
            let mut pages = pages.clone();
            pages[0][PAGE_HEADER_BYTES + at] = to;
            read(&pages, 7).unwrap_err()
        };
        assert_eq!(changed(40, 9), "there is no such kind of group");
        assert_eq!(changed(40, 2), "the count of records does not fit the kind of group");
        assert_eq!(changed(28, 1), "bytes follow the last record");
        assert_eq!(changed(28, 3), "a record goes past the end of its group");
        assert_eq!(changed(24, 0), "a record goes past the end of its group");
        assert_eq!(changed(36, 0), "the check over the pages of the group fails");
    }
}
