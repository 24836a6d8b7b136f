//! Reads a set back, record after record, as it was written.
//!
//! Files of one day at a time are gone through, two around a midnight, and of each of them a few
//! thousand rows are held. What does not fit together (a declaration without all its goods items, a
//! batch with a gap) is damage, and is told with the file.

use std::sync::Arc;

use super::checked_file::CheckedFile;
use super::cursor::Cursor;
use super::entry::{self, BatchEntry, DeclarationEntry, Entry};
use super::error::ArchiveError;
use super::set::{BlockChecks, FileEntry, Part, Set};
use super::store::{Archive, Inner};
use super::tables::{
    BatchColumns, DeclarationColumns, FindingColumns, GoodsItemColumns, ReplayColumns,
};
use crate::day::Day;
use crate::id::Ordinal;
use crate::rules::finding::Findings;

/// Declarations with their goods items and findings, of one day of a set.
pub(super) struct Declarations {
    pub(super) rows: Cursor<DeclarationColumns>,
    pub(super) goods_items: Cursor<GoodsItemColumns>,
    pub(super) findings: Cursor<FindingColumns>,
    pub(super) found: Findings,
    pub(super) day: Day,
}

impl Declarations {
    /// Passes over the one that was read last.
    fn pass(&mut self) {
        self.rows.pass();
        self.goods_items.pass();
        self.findings.pass();
    }

    /// Record and index of the next one.
    fn peek(&mut self) -> Result<Option<(u64, u32)>, ArchiveError> {
        let next = self.rows.peek()?;
        Ok(next.map(|(from, row)| (place(from.record.value(row)), from.index.value(row))))
    }

    /// The next one.
    pub(super) fn read(&mut self) -> Result<Option<DeclarationEntry<'_>>, ArchiveError> {
        let Some((from, row)) = self.rows.peek()? else { return Ok(None) };
        let (ordinal, expected) = (from.ordinal.value(row), from.goods_items.value(row));
        self.rows.take();
        let items = self.goods_items.take_while(|from, row| from.ordinal.value(row) == ordinal)?;
        if u32::try_from(items) != Ok(expected) {
            let what = format!("declaration {ordinal} has {expected} goods items, {items} here");
            return Err(self.goods_items.damaged(what));
        }
        self.findings.take_while(|from, row| from.ordinal.value(row) == ordinal)?;
        self.found.clear();
        entry::findings(self.findings.taken(), &mut self.found)
            .map_err(|what| self.findings.damaged(format!("declaration {ordinal}: {what}")))?;
        let Some(row) = self.rows.taken().next() else { return Ok(None) };
        let read = entry::declaration(row, self.goods_items.taken(), &self.found, self.day);
        let read =
            read.map_err(|what| self.rows.damaged(format!("declaration {ordinal}: {what}")))?;
        Ok(Some(read))
    }
}

fn place(number: i64) -> u64 {
    number.cast_unsigned()
}

/// A day of a set, being read.
struct OpenPart {
    batches: Cursor<BatchColumns>,
    declarations: Declarations,
    replays: Cursor<ReplayColumns>,
}

impl OpenPart {
    fn open(
        archive: &Inner,
        set: &Set,
        part: &Part,
        checks: &[BlockChecks; 5],
    ) -> Result<Self, ArchiveError> {
        let [batches, declarations, goods_items, findings, replays] =
            &open_files(archive, set, part, checks)?;
        let [of_batches, of_declarations, of_goods_items, of_findings, of_replays] = part.files;
        Ok(Self {
            batches: Cursor::open(Arc::clone(batches), of_batches)?,
            declarations: Declarations {
                rows: Cursor::open(Arc::clone(declarations), of_declarations)?,
                goods_items: Cursor::open(Arc::clone(goods_items), of_goods_items)?,
                findings: Cursor::open(Arc::clone(findings), of_findings)?,
                found: Findings::default(),
                day: part.day,
            },
            replays: Cursor::open(Arc::clone(replays), of_replays)?,
        })
    }

    fn next_record(&mut self) -> Result<Option<u64>, ArchiveError> {
        Ok(self.batches.peek()?.map(|(from, row)| place(from.record.value(row))))
    }

    /// After the last batch: no rows are left over.
    fn end(&mut self) -> Result<(), ArchiveError> {
        let left = |file: &CheckedFile| {
            ArchiveError::damaged(file.path(), "it has rows that belong to no batch")
        };
        self.declarations.pass();
        self.replays.pass();
        if self.declarations.rows.peek()?.is_some() {
            return Err(left(self.declarations.rows.file()));
        }
        if self.declarations.goods_items.peek()?.is_some() {
            return Err(left(self.declarations.goods_items.file()));
        }
        if self.declarations.findings.peek()?.is_some() {
            return Err(left(self.declarations.findings.file()));
        }
        if self.replays.peek()?.is_some() {
            return Err(left(self.replays.file()));
        }
        Ok(())
    }

    fn read(
        &mut self,
        batch: &BatchEntry,
        index: u32,
    ) -> Result<(Entry<'_>, Ordinal), ArchiveError> {
        let expected = Ordinal(batch.first_ordinal.0.saturating_add(u64::from(index)));
        let Self { declarations, replays, batches } = self;
        let place_of = Some((batch.record.0, index));
        if declarations.peek()? == place_of {
            let file = declarations.rows.file().path().to_path_buf();
            if let Some(read) = declarations.read()? {
                if read.ordinal != expected {
                    let (found, expected) = (read.ordinal.0, expected.0);
                    let what = format!("declaration {expected} stands as {found}");
                    return Err(ArchiveError::damaged(&file, what));
                }
                return Ok((Entry::Declaration(Box::new(read)), expected));
            }
        }
        let next = replays.peek()?;
        let next = next.map(|(from, row)| (place(from.record.value(row)), from.index.value(row)));
        if next == place_of {
            replays.take();
            if let Some(row) = replays.taken().next() {
                let read = entry::replay(row, expected);
                let read = read.map_err(|what| replays.damaged(what))?;
                return Ok((Entry::Replay(read), expected));
            }
        }
        Err(batches.damaged(format!(
            "batch {} has {} declarations, and there is neither a declaration nor a replay for \
             index {index}",
            batch.record.0, batch.declarations
        )))
    }
}

/// The five files of a part.
pub(super) fn open_files(
    archive: &Inner,
    set: &Set,
    part: &Part,
    checks: &[BlockChecks; 5],
) -> Result<[Arc<CheckedFile>; 5], ArchiveError> {
    let open = |table: usize, entry: FileEntry, checks: &BlockChecks| {
        let path = part.path(&archive.root, table, set);
        CheckedFile::open(&*archive.disk, path, entry, Arc::clone(checks))
    };
    let ([a, b, c, d, e], [of_a, of_b, of_c, of_d, of_e]) = (part.files, checks);
    Ok([
        open(0, a, of_a)?,
        open(1, b, of_b)?,
        open(2, c, of_c)?,
        open(3, d, of_d)?,
        open(4, e, of_e)?,
    ])
}

/// The caller has to take the set as it is now.
pub(super) fn dropped_meanwhile(part: &Part) -> ArchiveError {
    ArchiveError::Order(format!("{} was dropped while it was to be read", part.day))
}

/// The batches of a set, in the order of the journal, those of dropped days left out.
pub struct Records {
    archive: Archive,
    set: Set,
    /// Those not begun yet, the next one last, each with the checks of its files.
    parts: Vec<(Part, [BlockChecks; 5])>,
    open: Vec<OpenPart>,
    /// The batch that was given last, which of `open` it is in, and the index of its next
    /// declaration.
    current: Option<(BatchEntry, usize, u32)>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("set", &self.set.name()).finish_non_exhaustive()
    }
}

impl Archive {
    /// Reads a set back.
    ///
    /// # Errors
    /// Where its files cannot be opened, or are damaged. Days that are dropped while it is read are
    /// missing: an error.
    pub fn read(&self, set: &Set) -> Result<Records, ArchiveError> {
        self.read_days(set, (Day(0), Day(u16::MAX)))
    }

    /// The same of what arrived on the first to the last of `days`; nothing else of it is opened.
    ///
    /// # Errors
    /// As [`Archive::read`].
    pub fn read_days(&self, set: &Set, days: (Day, Day)) -> Result<Records, ArchiveError> {
        let checks = self.inner.checks(set)?;
        let is_wanted = |part: &Part| days.0 <= part.day && part.day <= days.1;
        let kept: Vec<_> = set.kept().zip(checks).filter(|(part, _)| is_wanted(part)).collect();
        let mut parts = Vec::new();
        for (part, checks) in kept.into_iter().rev() {
            parts.push((part.clone(), checks.ok_or_else(|| dropped_meanwhile(part))?));
        }
        let (archive, set) = (self.clone(), set.clone());
        Ok(Records { archive, set, parts, open: Vec::new(), current: None })
    }

    /// Reads one part of a set back: its own batches, in order.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_part(&self, set: &Set, part: &Part) -> Result<Records, ArchiveError> {
        let records = self.read(set)?;
        let parts = records.parts.into_iter().filter(|(of, _)| of == part);
        Ok(Records { parts: parts.collect(), ..records })
    }
}

impl Records {
    /// The next batch; what was not read of the one before is passed over.
    ///
    /// # Errors
    /// Where a file cannot be read, or is damaged.
    pub fn next_batch(&mut self) -> Result<Option<BatchEntry>, ArchiveError> {
        while self.next_entry()?.is_some() {}
        self.current = None;
        let mut next: Option<(u64, usize)> = None;
        let mut at = 0;
        loop {
            let Some(open) = self.open.get_mut(at) else {
                // One that begins before the least so far has to be looked into as well.
                let begins = self.parts.last().map(|(part, _)| part.records.0.0);
                if begins.is_some_and(|begins| next.is_none_or(|(record, _)| begins <= record))
                    && let Some((part, checks)) = self.parts.pop()
                {
                    let inner = &self.archive.inner;
                    self.open.push(OpenPart::open(inner, &self.set, &part, &checks)?);
                    continue;
                }
                break;
            };
            match open.next_record()? {
                Some(record) => {
                    if next.is_none_or(|(least, _)| record < least) {
                        next = Some((record, at));
                    }
                    at += 1;
                }
                None => {
                    open.end()?;
                    self.open.remove(at);
                }
            }
        }
        let Some((_, at)) = next else { return Ok(None) };
        let Some(open) = self.open.get_mut(at) else { return Ok(None) };
        open.batches.take();
        let day = open.declarations.day;
        let row = open.batches.taken().next();
        let batch = row.map(|row| entry::batch(row, day)).transpose();
        let batch = batch.map_err(|what| open.batches.damaged(what))?;
        open.batches.pass();
        self.current = batch.clone().map(|batch| (batch, at, 0));
        Ok(batch)
    }

    /// The next declaration of the batch given last; `None` after its last one. They come by index,
    /// without gaps.
    ///
    /// # Errors
    /// Where a file cannot be read, or is damaged.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, ArchiveError> {
        let Some((batch, at, index)) = &mut self.current else { return Ok(None) };
        let Some(open) = self.open.get_mut(*at) else { return Ok(None) };
        open.declarations.pass();
        open.replays.pass();
        if *index >= batch.declarations {
            return Ok(None);
        }
        let (read, _) = open.read(batch, *index)?;
        *index += 1;
        Ok(Some(read))
    }
}
