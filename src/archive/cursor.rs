//! Rows of one file, a few thousand at a time, in their order.

use std::collections::VecDeque;
use std::sync::Arc;

use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};

use super::FORMAT_VERSION;
use super::checked_file::{CheckedFile, Source};
use super::column::Columns;
use super::error::ArchiveError;
use super::set::FileEntry;

/// Rows that are decoded at once.
const CHUNK_ROWS: usize = 4_096;

/// Goes through the rows of a file. Rows that were taken stay readable until [`Self::pass`].
#[derive(Debug)]
pub(super) struct Cursor<C> {
    file: Arc<CheckedFile>,
    reader: ParquetRecordBatchReader,
    chunks: VecDeque<(C, usize)>,
    /// Rows of the first chunk that are behind.
    row: usize,
    /// Rows taken, from there on.
    taken: usize,
}

impl<C: Columns> Cursor<C> {
    /// Over all rows.
    pub(super) fn open(file: Arc<CheckedFile>, entry: FileEntry) -> Result<Self, ArchiveError> {
        let metadata = metadata(&file, entry, ArrowReaderOptions::new())?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(Source(Arc::clone(&file)), metadata);
        let reader = builder.with_batch_size(CHUNK_ROWS).build();
        let reader = reader.map_err(|error| file.error(&error))?;
        Ok(Self::over(file, reader))
    }

    /// Over the rows that `reader` gives of `file`.
    pub(super) fn over(file: Arc<CheckedFile>, reader: ParquetRecordBatchReader) -> Self {
        Self { file, reader, chunks: VecDeque::new(), row: 0, taken: 0 }
    }

    pub(super) fn file(&self) -> &CheckedFile {
        &self.file
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> ArchiveError {
        ArchiveError::damaged(self.file.path(), what)
    }

    /// Passes over the rows that were taken.
    pub(super) fn pass(&mut self) {
        self.row += std::mem::take(&mut self.taken);
        while let Some((_, rows)) = self.chunks.front()
            && *rows <= self.row
        {
            self.row -= rows;
            self.chunks.pop_front();
        }
    }

    /// The next row that was not taken; `None` after the last one.
    pub(super) fn peek(&mut self) -> Result<Option<(&C, usize)>, ArchiveError> {
        let at = self.row + self.taken;
        while self.chunks.iter().map(|(_, rows)| rows).sum::<usize>() <= at {
            match self.reader.next() {
                None => return Ok(None),
                Some(batch) => {
                    let batch = batch.map_err(|error| self.file.error(&error))?;
                    let columns = C::of(&batch).map_err(|what| self.damaged(what))?;
                    self.chunks.push_back((columns, batch.num_rows()));
                }
            }
        }
        Ok(self.rows_from(at).next())
    }

    /// Takes the row that was looked at last.
    pub(super) fn take(&mut self) {
        self.taken += 1;
    }

    /// Takes rows as long as `is_own` holds, and says how many were taken.
    pub(super) fn take_while(
        &mut self,
        is_own: impl Fn(&C, usize) -> bool,
    ) -> Result<usize, ArchiveError> {
        while self.peek()?.is_some_and(|(columns, row)| is_own(columns, row)) {
            self.take();
        }
        Ok(self.taken)
    }

    /// The rows taken.
    pub(super) fn taken(&self) -> impl Iterator<Item = (&C, usize)> {
        self.rows_from(self.row).take(self.taken)
    }

    /// The rows from `at` of the first chunk on, as far as they are decoded.
    fn rows_from(&self, at: usize) -> impl Iterator<Item = (&C, usize)> {
        let mut skip = at;
        self.chunks.iter().flat_map(move |(columns, rows)| {
            let from = skip.min(*rows);
            skip -= from;
            (from..*rows).map(move |row| (columns, row))
        })
    }
}

/// The footer of a file, which must be of a version that is known and have the rows that were written.
pub(super) fn metadata(
    file: &Arc<CheckedFile>,
    entry: FileEntry,
    options: ArrowReaderOptions,
) -> Result<ArrowReaderMetadata, ArchiveError> {
    let metadata = ArrowReaderMetadata::load(&Source(Arc::clone(file)), options);
    let metadata = metadata.map_err(|error| file.error(&error))?;
    let of_file = metadata.metadata().file_metadata();
    let named = of_file.key_value_metadata().into_iter().flatten();
    let version = named.into_iter().find(|pair| pair.key == "waag.archive_format");
    let version = version.and_then(|pair| pair.value.as_ref()?.parse::<u32>().ok());
    match version {
        Some(version) if version > FORMAT_VERSION => {
            let (path, newest) = (file.path().to_path_buf(), FORMAT_VERSION);
            return Err(ArchiveError::Newer { path, version, newest });
        }
        Some(_) => {}
        None => {
            return Err(ArchiveError::damaged(file.path(), "it does not say its format version"));
        }
    }
    if u64::try_from(of_file.num_rows()) != Ok(entry.rows) {
        let what = format!("it has {} rows, and {} were written", of_file.num_rows(), entry.rows);
        return Err(ArchiveError::damaged(file.path(), what));
    }
    Ok(metadata)
}
