//! Writes an archive without sets, for `waag export`: rows in the order of the journal, files by
//! range of records and day.
//!
//! A range ends where its caller ends it (a sealed segment), at [`RANGE_LINES_MAX`], and before a
//! third day would be open: a batch's time is never before that of a durable one, so around
//! midnight two days alternate and no more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::encoder::Encoder;
use super::error::ArchiveError;
use super::error::io_error;
use super::private::Pseudonyms;
use super::rows::{BatchRow, DayTables, DeclarationRow, ReplayRow};
use super::set::FileEntry;
use super::table_file::{Written, sync_folder};
use super::tables::TABLES;
use crate::day::Day;
use crate::disk::Disk;
use crate::id::Watermark;

/// Goods items of a range: some 150 MB of files. Past it, files gain nothing by being longer.
const RANGE_LINES_MAX: u64 = 4_000_000;
/// Days with files being written.
const DAYS_OPEN_MAX: usize = 2;

/// What has been written of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableTotals {
    /// Its folder.
    pub table: &'static str,
    /// Files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// An archive being written.
pub struct ArchiveWriter {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    personal: bool,
    pseudonyms: Pseudonyms,
    open: BTreeMap<Day, DayTables>,
    /// First record of the range.
    first: u64,
    lines: u64,
    totals: [TableTotals; 5],
    days: Option<(Day, Day)>,
    /// The last one, so that nothing is written any more once this is dropped.
    encoder: Arc<Encoder>,
}

impl std::fmt::Debug for ArchiveWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchiveWriter").field("root", &self.root).finish_non_exhaustive()
    }
}

impl ArchiveWriter {
    /// Into the folder `root`, from record `first` on. `personal`: names and streets of private
    /// persons stand in clear.
    #[must_use]
    pub fn new(
        disk: Arc<dyn Disk>,
        root: &Path,
        first: Watermark,
        personal: bool,
        pseudonyms: Pseudonyms,
    ) -> Self {
        let totals = TABLES.map(|table| TableTotals { table, files: 0, rows: 0, bytes: 0 });
        Self {
            disk,
            root: root.to_path_buf(),
            personal,
            pseudonyms,
            open: BTreeMap::new(),
            first: first.0,
            lines: 0,
            totals,
            days: None,
            encoder: Encoder::new(true),
        }
    }

    /// The rows that follow are those of record `record`, a batch of day `day`.
    ///
    /// # Errors
    /// Where files cannot be written.
    pub fn begin(&mut self, record: Watermark, day: Day) -> Result<(), ArchiveError> {
        let is_open = self.open.contains_key(&day);
        if self.lines >= RANGE_LINES_MAX || (!is_open && self.open.len() >= DAYS_OPEN_MAX) {
            self.end_range(Watermark(record.0 - 1))?;
        }
        if !self.open.contains_key(&day) {
            let on = (&self.disk, &self.encoder);
            let tables = DayTables::create(on, &self.root, (day, 1), self.first, self.personal)?;
            self.open.insert(day, tables);
        }
        self.saw(day);
        Ok(())
    }

    /// The range that comes next begins with record `first`, there being none under way.
    pub fn begin_range(&mut self, first: Watermark) {
        self.first = first.0;
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub(super) fn saw(&mut self, day: Day) {
        let (first, last) = self.days.unwrap_or((day, day));
        self.days = Some((first.min(day), last.max(day)));
    }

    pub(super) fn count(&mut self, table: &str, file: FileEntry) {
        if let Some(totals) = self.totals.iter_mut().find(|totals| totals.table == table) {
            totals.files += 1;
            totals.rows += file.rows;
            totals.bytes += file.bytes;
        }
    }

    /// Adds a batch. `day` is that for which [`Self::begin`] was called.
    ///
    /// # Errors
    /// Where files cannot be written.
    pub fn batch(&mut self, day: Day, row: &BatchRow<'_>) -> Result<(), ArchiveError> {
        self.open.get_mut(&day).map_or(Ok(()), |tables| tables.batch(row))
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
        self.lines += row.declaration.goods_items.len() as u64;
        let pseudonyms = &mut self.pseudonyms;
        self.open.get_mut(&day).map_or(Ok(()), |tables| tables.declaration(row, pseudonyms))
    }

    /// Adds a replay.
    ///
    /// # Errors
    /// Where files cannot be written.
    pub fn replay(&mut self, day: Day, row: &ReplayRow<'_>) -> Result<(), ArchiveError> {
        self.open.get_mut(&day).map_or(Ok(()), |tables| tables.replay(row))
    }

    /// Ends the range with record `last`: its files are whole, synced and named when this returns.
    ///
    /// # Errors
    /// Where files cannot be written.
    pub fn end_range(&mut self, last: Watermark) -> Result<(), ArchiveError> {
        let name = format!("{:012}-{:012}.parquet", self.first, last.0);
        for (_, tables) in std::mem::take(&mut self.open) {
            for Written { table, entry, beside, .. } in tables.finish(&self.disk)? {
                let path = beside.with_file_name(&name);
                self.disk.rename(&beside, &path).map_err(io_error("naming", &path))?;
                if let Some(folder) = path.parent() {
                    sync_folder(&*self.disk, folder)?;
                }
                self.count(table, entry);
            }
        }
        self.first = last.0 + 1;
        self.lines = 0;
        Ok(())
    }

    /// What stands written, table by table.
    #[must_use]
    pub fn totals(&self) -> &[TableTotals; 5] {
        &self.totals
    }

    /// The first and last day of what was added.
    #[must_use]
    pub fn days(&self) -> Option<(Day, Day)> {
        self.days
    }
}
