//! Writes one set: rows in the order of the journal, files by day.
//!
//! A batch's time is never before that of a durable one, so around midnight two days alternate and no
//! more; before a third one begins, the files of the oldest are ended. Should a batch of that day come
//! all the same (it was admitted, and placed more than a day later), the day gets a further part.
//!
//! Files have hidden names until the set ends; then they are synced and named, and the set file is
//! written. Before that nothing of them is seen; what a crash leaves of them is removed when the
//! archive is opened, what an error leaves at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::encoder::Encoder;
use super::error::{ArchiveError, io_error};
use super::private::{PSEUDONYM_VERSION, Pseudonyms};
use super::rows::{BatchRow, DayTables, DeclarationRow, ReplayRow};
use super::set::{BlockChecks, FileEntry, OtherRecord, Part, Set};
use super::store::{Inner, lock};
use super::table_file::{Written, sync_folder};
use crate::day::Day;
use crate::id::{Ordinal, Watermark};
use crate::wire::digest::NORMALISER_VERSION;

/// Days with files being written.
const DAYS_OPEN_MAX: usize = 2;

/// A set being written; see [`super::Archive::begin`].
pub struct SetWriter {
    archive: Arc<Inner>,
    pseudonyms: Pseudonyms,
    first: Watermark,
    first_ordinal: Ordinal,
    open: BTreeMap<Day, OpenPart>,
    ended: Vec<EndedPart>,
    /// Parts begun.
    begun: usize,
    /// The record that was begun or added last.
    current: Watermark,
    others: Vec<OtherRecord>,
    /// The last one, so that nothing is written any more once this is dropped.
    encoder: Arc<Encoder>,
}

/// What is known of a part besides its files.
struct OpenPart {
    tables: DayTables,
    /// Its place in the order in which parts were begun.
    place: usize,
    part: Part,
}

struct EndedPart {
    place: usize,
    part: Part,
    checks: [BlockChecks; 5],
    files: [PathBuf; 5],
}

impl std::fmt::Debug for SetWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetWriter").field("first", &self.first).finish_non_exhaustive()
    }
}

impl SetWriter {
    pub(super) fn new(archive: Arc<Inner>, first: Watermark, first_ordinal: Ordinal) -> Self {
        Self {
            pseudonyms: archive.options.pseudonyms.clone(),
            encoder: Encoder::new(archive.options.encode_beside),
            archive,
            first,
            first_ordinal,
            open: BTreeMap::new(),
            ended: Vec::new(),
            begun: 0,
            current: Watermark(first.0.saturating_sub(1)),
            others: Vec::new(),
        }
    }

    /// Adds a record that is no batch, as it stands in the journal.
    ///
    /// # Errors
    /// [`ArchiveError::Order`] where it does not come after the one before.
    pub fn other(&mut self, number: Watermark, kind: u8, body: &[u8]) -> Result<(), ArchiveError> {
        self.follow(number)?;
        self.others.push(OtherRecord { number, kind, body: body.to_vec() });
        Ok(())
    }

    fn follow(&mut self, record: Watermark) -> Result<(), ArchiveError> {
        if record <= self.current {
            return Err(ArchiveError::Order(format!(
                "record {} does not come after {}",
                record.0, self.current.0
            )));
        }
        self.current = record;
        Ok(())
    }

    /// The rows that follow are those of record `record`, a batch of day `day`.
    ///
    /// # Errors
    /// Where files cannot be written, and [`ArchiveError::Order`] where the record does not come
    /// after the one before.
    pub fn begin(&mut self, record: Watermark, day: Day) -> Result<(), ArchiveError> {
        self.follow(record)?;
        if !self.open.contains_key(&day) {
            if self.open.len() >= DAYS_OPEN_MAX
                && let Some((_, oldest)) = self.open.pop_first()
            {
                self.end(oldest)?;
            }
            let part = self.begin_part(record, day)?;
            self.open.insert(day, part);
        }
        if let Some(open) = self.open.get_mut(&day) {
            open.part.records.1 = record;
        }
        Ok(())
    }

    fn begin_part(&mut self, record: Watermark, day: Day) -> Result<OpenPart, ArchiveError> {
        let before = self.ended.iter().filter(|ended| ended.part.day == day).count();
        let number = u32::try_from(before + 1).unwrap_or(u32::MAX);
        let Inner { disk, root, options, folders, .. } = &*self.archive;
        let _folders = lock(folders);
        let on = (disk, &self.encoder);
        let tables = DayTables::create(on, root, (day, number), self.first.0, options.personal)?;
        let place = self.begun;
        self.begun += 1;
        let part = Part {
            day,
            is_dropped: false,
            number,
            records: (record, record),
            ordinals: (Ordinal(u64::MAX), Ordinal(0)),
            files: [FileEntry::default(); 5],
        };
        Ok(OpenPart { tables, place, part })
    }

    /// Adds a batch. `day` is that for which [`Self::begin`] was called.
    ///
    /// # Errors
    /// Where files cannot be written.
    pub fn batch(&mut self, day: Day, row: &BatchRow<'_>) -> Result<(), ArchiveError> {
        let Some(open) = self.open.get_mut(&day) else { return not_begun(day) };
        let (first, end) = &mut open.part.ordinals;
        let own_end = Ordinal(row.first_ordinal.0 + u64::from(row.declarations));
        (*first, *end) = ((*first).min(row.first_ordinal), (*end).max(own_end));
        open.tables.batch(row)
    }

    /// Adds a declaration with its goods items and findings.
    ///
    /// # Errors
    /// Where files cannot be written.
    pub fn declaration(
        &mut self,
        day: Day,
        row: &DeclarationRow<'_, '_>,
    ) -> Result<(), ArchiveError> {
        let Some(open) = self.open.get_mut(&day) else { return not_begun(day) };
        open.tables.declaration(row, &mut self.pseudonyms)
    }

    /// Adds a replay.
    ///
    /// # Errors
    /// Where files cannot be written.
    pub fn replay(&mut self, day: Day, row: &ReplayRow<'_>) -> Result<(), ArchiveError> {
        let Some(open) = self.open.get_mut(&day) else { return not_begun(day) };
        open.tables.replay(row)
    }

    /// Ends the set with record `last`; `end_ordinal` declarations were placed up to it. All of it is
    /// durable when this returns, and is seen once it is published: [`super::Archive::publish`].
    ///
    /// # Errors
    /// Where files cannot be written: nothing of the set remains then, or what remains is removed
    /// before the next one begins. After a crash in here it may stand all the same.
    pub fn finish(mut self, last: Watermark, end_ordinal: Ordinal) -> Result<Set, ArchiveError> {
        if last < self.current || last < self.first {
            return Err(ArchiveError::Order(format!("record {} is not the last one", last.0)));
        }
        for (_, open) in std::mem::take(&mut self.open) {
            self.end(open)?;
        }
        self.ended.sort_by_key(|ended| ended.place);
        let set = Set {
            first: self.first,
            last,
            first_ordinal: self.first_ordinal,
            end_ordinal,
            personal: self.archive.options.personal,
            normaliser: NORMALISER_VERSION,
            // A change of how pseudonyms are made is no daily matter.
            pseudonyms: u8::try_from(PSEUDONYM_VERSION).unwrap_or(u8::MAX),
            parts: self.ended.iter().map(|ended| ended.part.clone()).collect(),
            others: std::mem::take(&mut self.others),
        };
        self.name(&set)?;
        let archive = Arc::clone(&self.archive);
        let checks: Vec<_> = self.ended.iter().map(|ended| ended.checks.clone()).collect();
        // From here on the set may stand: its files are no longer this writer's to remove.
        archive.changes().doubtful.push(set.clone());
        self.ended.clear();
        let path = set.path(&archive.root);
        let bytes = set.encode(&archive.options.identity, &checks);
        archive.disk.write_small(&path, &bytes).map_err(io_error("writing", &path))?;
        Ok(set)
    }

    /// Gives all files their names.
    fn name(&mut self, set: &Set) -> Result<(), ArchiveError> {
        let Inner { disk, root, .. } = &*self.archive;
        let mut folders = BTreeSet::new();
        for ended in &mut self.ended {
            for (table, file) in ended.files.iter_mut().enumerate() {
                let path = ended.part.path(root, table, set);
                let beside = std::mem::replace(file, path);
                let named = disk.rename(&beside, file);
                if named.is_err() {
                    let _ = disk.remove(&beside);
                }
                named.map_err(io_error("naming", file))?;
                folders.extend(file.parent().map(Path::to_path_buf));
            }
        }
        folders.iter().try_for_each(|folder| sync_folder(&**disk, folder))
    }

    /// Ends the files of a part.
    fn end(&mut self, open: OpenPart) -> Result<(), ArchiveError> {
        let OpenPart { tables, place, mut part } = open;
        let written = tables.finish(&self.archive.disk)?;
        part.files = written.each_ref().map(|written| written.entry);
        let checks = written.each_ref().map(|written| written.checks.as_slice().into());
        let files = written.map(|Written { beside, .. }| beside);
        self.ended.push(EndedPart { place, part, checks, files });
        Ok(())
    }
}

impl Drop for SetWriter {
    fn drop(&mut self) {
        self.open.clear();
        for file in self.ended.iter().flat_map(|ended| &ended.files) {
            // What cannot be removed is, when the archive is opened.
            let _ = self.archive.disk.remove(file);
        }
        self.archive.changes().is_writing = false;
    }
}

fn not_begun(day: Day) -> Result<(), ArchiveError> {
    Err(ArchiveError::Order(format!("no record of {day} was begun")))
}
