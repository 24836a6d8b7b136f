//! Reads a journal from its first byte to its last, telling a torn tail from damage as [`super`]
//! says. Writes nothing: [`super::open`] mends, [`super::verify`] only reports.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Access, AlignedBuffer, Disk, DiskFile, PAGE_BYTES};
use crate::id::Watermark;

use super::error::{BoxError, Damage, JournalError, io_error};
use super::frame::{
    self, BadHeader, FORMAT_VERSION, GroupKind, PageBytes, PageHeader, PageState, SEGMENT_SUFFIX,
    SegmentHeader, offset_of, segment_path,
};
use super::group::GroupView;
use super::{Position, Record, Recovery, Torn};

/// Pages read at once (1 MiB) where a group does not need more.
pub(super) const WINDOW_PAGES: u32 = 256;

/// Where the journal goes on.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) header: SegmentHeader,
    /// The first page that no group holds.
    pub(super) page: u32,
    /// Pages from there on that hold remains of a torn group.
    pub(super) torn_pages: u32,
    /// A segment that was made but never came into use: to be removed.
    pub(super) unused: Option<u64>,
    /// The last whole group: segment, first page, pages.
    pub(super) last: Option<(u64, u32, u32)>,
    pub(super) group_next: u64,
    pub(super) record_next: u64,
    /// What the next group links to.
    pub(super) link: u32,
}

/// Takes each record in order.
pub(super) type OnRecord<'a> = &'a mut dyn FnMut(Record<'_>) -> Result<(), BoxError>;

/// Reads the journal in `dir`; `None` as tail where there is none yet.
///
/// # Errors
/// Damage, a newer format, other secrets, what `on_record` says, I/O.
pub(super) fn scan(
    disk: &dyn Disk,
    dir: &Path,
    identity: Option<&[u8; 16]>,
    from_segment: u64,
    on_record: OnRecord<'_>,
) -> Result<(Option<Tail>, Recovery), JournalError> {
    let mut segments = Vec::new();
    let mut skipped = Skipped::default();
    for entry in disk.list(dir).map_err(io_error("listing", dir))? {
        if let Some(number) = frame::segment_number(&entry.name) {
            if number < from_segment {
                skipped.add(disk, dir, number, identity)?;
                continue;
            }
            segments.push(Segment::open(disk, dir, number, identity)?);
        } else if entry.name.ends_with(SEGMENT_SUFFIX) {
            let path = dir.join(entry.name);
            let what = "no segment has such a name".to_owned();
            return Err(JournalError::Damaged(Damage { path, offset: 0, group: None, what }));
        }
    }
    let Some(first) = segments.first() else { return Ok((None, Recovery::default())) };
    skipped.expect_up_to(dir, &first.header)?;
    let mut scan = Scan::from(dir, &first.header, on_record);
    let first_record = skipped.first_record.unwrap_or(first.header.first_record);
    scan.recovery.first_record = Watermark(first_record);
    let mut rest = segments.as_mut_slice();
    while let Some((segment, later)) = rest.split_first_mut() {
        if let Some(mut tail) = scan.segment(segment, later)? {
            tail.last = scan.last;
            return Ok((Some(tail), scan.recovery));
        }
        rest = later;
    }
    // The last segment has always a tail: see `Scan::segment`.
    Ok((None, scan.recovery))
}

/// Reads a journal that is being written: from the beginning of a segment until the record `last`,
/// which must be durable, and not a page further than its group. Nothing is said of the rest.
///
/// # Errors
/// As [`scan`] has them.
pub(super) fn scan_until(
    (disk, dir, identity): (&dyn Disk, &Path, &[u8; 16]),
    from_segment: u64,
    last: u64,
    on_record: OnRecord<'_>,
) -> Result<(), JournalError> {
    let open = |number| Segment::open(disk, dir, number, Some(identity));
    let mut segment = open(from_segment)?;
    let mut up_to_last =
        |record: Record<'_>| if record.number.0 > last { Ok(()) } else { on_record(record) };
    let mut scan = Scan::from(dir, &segment.header, &mut up_to_last);
    let mut page = 1;
    while scan.record <= last {
        let missing = "a durable group is missing";
        if page >= segment.header.pages {
            return Err(segment.damage(page, scan.group, missing));
        }
        let Found::Whole { pages } = segment.group_at(page, scan.group)? else {
            return Err(segment.damage(page, scan.group, missing));
        };
        page += pages;
        if scan.group(&mut segment, page - pages, pages)? == GroupKind::Roll {
            segment = open(segment.header.segment + 1)?;
            scan.expect_beginning(&segment)?;
            page = 1;
        }
    }
    Ok(())
}

/// Segments that are there and are not looked into.
#[derive(Default)]
struct Skipped {
    first_record: Option<u64>,
    last: Option<u64>,
}

impl Skipped {
    /// The next one, of which the first is opened to see with which record it begins.
    fn add(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        number: u64,
        identity: Option<&[u8; 16]>,
    ) -> Result<(), JournalError> {
        if self.first_record.is_none() {
            let first = Segment::open(disk, dir, number, identity)?;
            self.first_record = Some(first.header.first_record);
        } else {
            self.expect(dir, number)?;
        }
        self.last = Some(number);
        Ok(())
    }

    /// That `number` is the one after the last.
    fn expect(&self, dir: &Path, number: u64) -> Result<(), JournalError> {
        let Some(next) = self.last.map(|last| last + 1).filter(|next| *next != number) else {
            return Ok(());
        };
        let what = format!("the segment is missing, and segment {number} follows");
        let path = segment_path(dir, next);
        Err(JournalError::Damaged(Damage { path, offset: 0, group: None, what }))
    }

    fn expect_up_to(&self, dir: &Path, first: &SegmentHeader) -> Result<(), JournalError> {
        self.expect(dir, first.segment)
    }
}

/// A segment being read.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) header: SegmentHeader,
    /// The pages from `window_start` on.
    window: AlignedBuffer,
    window_start: u32,
    window_pages: u32,
}

impl Segment {
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        number: u64,
        identity: Option<&[u8; 16]>,
    ) -> Result<Self, JournalError> {
        let path = segment_path(dir, number);
        let file = disk.open(&path, Access::Read).map_err(io_error("opening", &path))?;
        let bytes = file.len().map_err(io_error("asking the length of", &path))?;
        let header = read_header(&*file, &path, bytes)?;
        let damaged = |what: String| {
            Err(JournalError::Damaged(Damage { path: path.clone(), offset: 0, group: None, what }))
        };
        if identity.is_some_and(|identity| *identity != header.identity) {
            return Err(JournalError::OtherIdentity { path });
        }
        if header.segment != number {
            return damaged(format!("the file of segment {} has this name", header.segment));
        }
        if bytes != offset_of(header.pages) {
            let pages = header.pages;
            return damaged(format!("the file has {bytes} bytes, and was made with {pages} pages"));
        }
        let window = AlignedBuffer::new(0);
        Ok(Self { path, file, header, window, window_start: 0, window_pages: 0 })
    }

    /// The `count` pages from `page` on, which the segment must have.
    pub(super) fn pages(&mut self, page: u32, count: u32) -> Result<&[PageBytes], JournalError> {
        let (start, end) = (self.window_start, self.window_start + self.window_pages);
        if page < start || page + count > end {
            let load = count.max(WINDOW_PAGES).min(self.header.pages - page);
            if self.window.pages().len() < load as usize {
                self.window = AlignedBuffer::new(load as usize);
            }
            self.window_pages = 0;
            let into = self.window.bytes_mut().get_mut(..load as usize * PAGE_BYTES);
            let read = self.file.read_at(offset_of(page), into.unwrap_or_default());
            read.map_err(io_error("reading", &self.path))?;
            (self.window_start, self.window_pages) = (page, load);
        }
        let from = (page - self.window_start) as usize;
        Ok(self.window.pages().get(from..from + count as usize).unwrap_or_default())
    }

    /// Forgets what was read: it is read anew, and takes no memory before that.
    pub(super) fn read_anew(&mut self) {
        (self.window, self.window_pages) = (AlignedBuffer::new(0), 0);
    }

    fn state(&mut self, page: u32) -> Result<PageState, JournalError> {
        let salt = self.header.salt;
        Ok(self.pages(page, 1)?.first().map_or(PageState::Bad, |p| PageHeader::read(p, salt)))
    }

    pub(super) fn damage(&self, page: u32, group: u64, what: impl Into<String>) -> JournalError {
        JournalError::Damaged(Damage {
            path: self.path.clone(),
            offset: offset_of(page),
            group: Some(group),
            what: what.into(),
        })
    }

    /// That nothing was written from `page` on.
    pub(super) fn expect_blank(&mut self, page: u32, group: u64) -> Result<(), JournalError> {
        for page in page..self.header.pages {
            if self.state(page)? != PageState::Blank {
                return Err(self.damage(page, group, "bytes stand where nothing was written"));
            }
        }
        Ok(())
    }

    fn is_unused(&mut self) -> Result<bool, JournalError> {
        for page in 1..self.header.pages {
            if self.state(page)? != PageState::Blank {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What stands at `page`, where group `expected` would begin.
    pub(super) fn group_at(&mut self, page: u32, expected: u64) -> Result<Found, JournalError> {
        let Some(pages) = self.extent_at(page, expected)? else { return Ok(Found::Nothing) };
        let mut missing = 0;
        for index in 0..pages {
            let at = page + index;
            match self.state(at)? {
                PageState::Bad => return Err(self.damage(at, expected, "the page's check fails")),
                PageState::Blank => missing += 1,
                PageState::Intact(header) if header.group < expected => missing += 1,
                PageState::Intact(header) if header.group > expected => {
                    let what = format!("a page of group {} stands in it", header.group);
                    return Err(self.damage(at, expected, what));
                }
                PageState::Intact(header) => {
                    if header.index != index || header.pages != pages {
                        let (index, pages) = (header.index, header.pages);
                        let what = format!("its page {index} of {pages} stands out of place");
                        return Err(self.damage(at, expected, what));
                    }
                    let page = self.pages(at, 1)?.first();
                    if page.map(frame::payload_check) != Some(header.payload_check) {
                        let what = "the check over the page's content fails";
                        return Err(self.damage(at, expected, what));
                    }
                }
            }
        }
        if missing == 0 {
            return Ok(Found::Whole { pages });
        }
        // A later page would prove that this group was durable.
        for at in page + pages..self.header.pages {
            if self.state(at)? != PageState::Blank {
                let what = format!("{missing} of its {pages} pages are missing, and more follows");
                return Err(self.damage(page, expected, what));
            }
        }
        Ok(Found::Torn { pages, missing })
    }

    /// How many pages group `expected` has, which would begin at `page`; `None` where no page of
    /// it is there.
    fn extent_at(&mut self, page: u32, expected: u64) -> Result<Option<u32>, JournalError> {
        let mut stray = None;
        for at in page..self.header.pages {
            match self.state(at)? {
                PageState::Blank => {}
                PageState::Bad => return Err(self.damage(at, expected, "the page's check fails")),
                PageState::Intact(header) if header.group < expected => {
                    stray = stray.or(Some((at, header.group)));
                }
                PageState::Intact(header) if header.group > expected => {
                    let what = format!("a page of group {} stands where it should", header.group);
                    return Err(self.damage(at, expected, what));
                }
                PageState::Intact(header) => {
                    let end = u64::from(page) + u64::from(header.pages);
                    if at.checked_sub(header.index) != Some(page)
                        || header.index >= header.pages
                        || end > u64::from(self.header.pages)
                    {
                        let (index, pages) = (header.index, header.pages);
                        let what = format!("its page {index} of {pages} stands out of place");
                        return Err(self.damage(at, expected, what));
                    }
                    return Ok(Some(header.pages));
                }
            }
        }
        match stray {
            None => Ok(None),
            Some((at, group)) => {
                let what = format!("a page of group {group} stands beyond the end");
                Err(self.damage(at, expected, what))
            }
        }
    }
}

/// What stands where a group could begin.
pub(super) enum Found {
    /// All pages, each intact.
    Whole { pages: u32 },
    /// Some pages; `missing` of them were never written.
    Torn { pages: u32, missing: u32 },
    /// No group, and nothing after it.
    Nothing,
}

/// Reads and checks a segment's first page.
pub(super) fn read_header(
    file: &dyn DiskFile,
    path: &Path,
    bytes: u64,
) -> Result<SegmentHeader, JournalError> {
    let damaged = |what: &str| {
        let what = what.to_owned();
        JournalError::Damaged(Damage { path: path.to_owned(), offset: 0, group: None, what })
    };
    if bytes < PAGE_BYTES as u64 {
        return Err(damaged("the file is shorter than a segment header"));
    }
    let mut buffer = AlignedBuffer::new(1);
    file.read_at(0, buffer.bytes_mut()).map_err(io_error("reading", path))?;
    let header = buffer.pages().first().map(SegmentHeader::read);
    match header.unwrap_or(Err(BadHeader::Damaged("there is no segment header"))) {
        Ok(header) => Ok(header),
        Err(BadHeader::Damaged(what)) => Err(damaged(what)),
        Err(BadHeader::Newer(found)) => Err(JournalError::NewerFormat {
            path: path.to_owned(),
            found,
            supported: FORMAT_VERSION,
        }),
    }
}

/// The journal being read.
pub(super) struct Scan<'a> {
    dir: &'a Path,
    on_record: OnRecord<'a>,
    payload: Vec<u8>,
    recovery: Recovery,
    last: Option<(u64, u32, u32)>,
    /// The next group's number.
    pub(super) group: u64,
    /// The next record's number.
    pub(super) record: u64,
    /// What the next group links to.
    link: u32,
}

impl<'a> Scan<'a> {
    pub(super) fn from(dir: &'a Path, first: &SegmentHeader, on_record: OnRecord<'a>) -> Self {
        Self {
            dir,
            on_record,
            payload: Vec::new(),
            recovery: Recovery::default(),
            last: None,
            group: first.first_group,
            record: first.first_record,
            link: first.previous,
        }
    }

    /// That a segment begins where the one before ends.
    pub(super) fn expect_beginning(&self, segment: &Segment) -> Result<(), JournalError> {
        let header = &segment.header;
        if (header.first_group, header.first_record, header.previous)
            == (self.group, self.record, self.link)
        {
            return Ok(());
        }
        let what = format!(
            "the segment begins with group {} and record {} and does not follow on record {} \
             before it",
            header.first_group,
            header.first_record,
            self.record - 1
        );
        Err(segment.damage(0, self.group, what))
    }

    /// Reads one segment. `None` where it ends with a roll mark and the next is there; else it is
    /// the tail.
    fn segment(
        &mut self,
        segment: &mut Segment,
        later: &mut [Segment],
    ) -> Result<Option<Tail>, JournalError> {
        let header = segment.header;
        self.expect_beginning(segment)?;
        self.recovery.segments += 1;
        self.recovery.bytes += PAGE_BYTES as u64;
        let mut page = 1;
        loop {
            let found = if page < header.pages {
                segment.group_at(page, self.group)?
            } else {
                // A full segment ends with a roll mark, for which room is always left.
                return Err(segment.damage(page, self.group, "the segment's roll mark is missing"));
            };
            match found {
                Found::Whole { pages } => {
                    let kind = self.group(segment, page, pages)?;
                    page += pages;
                    if kind == GroupKind::Roll {
                        segment.expect_blank(page, self.group)?;
                        return self.expect_next(&header, later).map(|()| None);
                    }
                }
                Found::Torn { pages, missing } => {
                    if !later.is_empty() {
                        let what =
                            format!("{missing} of its {pages} pages are missing, and more follows");
                        return Err(segment.damage(page, self.group, what));
                    }
                    self.recovery.torn = Some(Torn {
                        path: segment.path.clone(),
                        offset: offset_of(page),
                        bytes: offset_of(pages),
                        group: self.group,
                    });
                    self.recovery.ended_clean = false;
                    return Ok(Some(self.tail(&header, page, pages, None)));
                }
                Found::Nothing => {
                    let unused = self.expect_last(segment, page, later)?;
                    return Ok(Some(self.tail(&header, page, 0, unused)));
                }
            }
        }
    }

    fn tail(&self, header: &SegmentHeader, page: u32, torn: u32, unused: Option<u64>) -> Tail {
        Tail {
            header: *header,
            page,
            torn_pages: torn,
            unused,
            last: None,
            group_next: self.group,
            record_next: self.record,
            link: self.link,
        }
    }

    /// After a roll mark, the next segment must be there.
    fn expect_next(&self, header: &SegmentHeader, later: &[Segment]) -> Result<(), JournalError> {
        let expected = header.segment + 1;
        if later.first().is_some_and(|next| next.header.segment == expected) {
            return Ok(());
        }
        let what = format!("the segment is missing, and segment {} says it was made", expected - 1);
        Err(JournalError::Damaged(Damage {
            path: segment_path(self.dir, expected),
            offset: 0,
            group: Some(self.group),
            what,
        }))
    }

    /// At the end of what a segment holds, without a roll mark: there may be no later segment, but
    /// for one that was made and whose roll mark was never written. Returns that one.
    pub(super) fn expect_last(
        &self,
        segment: &Segment,
        page: u32,
        later: &mut [Segment],
    ) -> Result<Option<u64>, JournalError> {
        let alone = later.len() == 1;
        let Some(next) = later.first_mut() else { return Ok(None) };
        let follows = next.header.segment == segment.header.segment + 1
            && next.header.first_group == self.group + 1
            && next.header.first_record == self.record;
        if alone && follows && next.is_unused()? {
            return Ok(Some(next.header.segment));
        }
        let what = format!("it is missing, and segment {} follows", next.header.segment);
        Err(segment.damage(page, self.group, what))
    }

    /// Takes in a whole group.
    pub(super) fn group(
        &mut self,
        segment: &mut Segment,
        page: u32,
        count: u32,
    ) -> Result<GroupKind, JournalError> {
        let mut payload = std::mem::take(&mut self.payload);
        let view = GroupView::read(segment.pages(page, count)?, self.group, &mut payload);
        let view = view.map_err(|what| segment.damage(page, self.group, what))?;
        if view.header.previous != self.link {
            let what = "it does not follow on the group before";
            return Err(segment.damage(page, self.group, what));
        }
        if view.header.first_record != self.record {
            let (found, expected) = (view.header.first_record, self.record);
            let what = format!("it begins with record {found} and not with {expected}");
            return Err(segment.damage(page, self.group, what));
        }
        let number = segment.header.segment;
        let taken = view.records(&payload, |record, offset, kind, body| {
            let position = Position { segment: number, page, offset };
            let record = Record { number: Watermark(record), position, kind, body };
            let number = record.number.0;
            (self.on_record)(record).map_err(|source| JournalError::Record {
                number,
                position,
                source,
            })
        });
        taken.map_err(|what| segment.damage(page, self.group, what))??;
        self.payload = payload;
        self.record += u64::from(view.header.records);
        self.group += 1;
        self.link = view.link;
        self.last = Some((number, page, count));
        self.recovery.records += u64::from(view.header.records);
        self.recovery.groups += 1;
        self.recovery.bytes += offset_of(count);
        self.recovery.ended_clean = view.header.kind == GroupKind::End;
        Ok(view.header.kind)
    }
}
