//! One Parquet file of one table, from its first row until it stands under its name.
//!
//! Rows are collected in columns, handed on a few thousand at a time, and written in row groups.
//! The file is written beside, under a name that readers of a data set pass over (it begins with a
//! full stop); it gets its own name once it is whole and synced. Until it has that, it is removed
//! when it is dropped.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};
use crc32c::crc32c_append;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::FORMAT_VERSION;
use super::column::{Coding, Column, Presence, Table};
use super::encoder::Encoder;
use super::error::{ArchiveError, io_error, parquet_error};
use super::private::PSEUDONYM_VERSION;
use super::set::{BLOCK_BYTES, FileEntry};
use super::store::lock;
use crate::disk::{AppendFile, Disk};
use crate::wire::digest::NORMALISER_VERSION;

/// Bytes of a row group as it is written, should its rows be unusually large.
const ROW_GROUP_BYTES_MAX: usize = 32 << 20;
/// Rows and bytes collected before they are handed on: enough to keep the loops over a column long,
/// few enough to stay in the processor's cache.
const HELD_ROWS_MAX: usize = 4_096;
const HELD_BYTES_MAX: usize = 8 << 20;
/// Rows between two looks at how many bytes they are.
const HELD_ASKED_EVERY: usize = 16;
/// Distinct values of a column are numbered until they take so many bytes: sellers of 131,072
/// declarations, and products of a million goods items, do.
const DICTIONARY_BYTES_MAX: usize = 4 << 20;
/// Rows of a page, which is what a look-up decodes of a column. See the measurements in [`super`].
const PAGE_ROWS_MAX: usize = 8_192;
/// The same of [`Coding::Few`]: up to 0.25 bytes a row, so 4 KiB.
const PAGE_ROWS_MAX_FEW: usize = 16_384;
/// See the measurements in [`super`].
const ZSTD_LEVEL: i32 = 1;

/// Where a file is written, and by what it is told from others.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) disk: &'a Arc<dyn Disk>,
    /// What encodes its rows.
    pub(super) encoder: &'a Arc<Encoder>,
    /// The folder, which is made where it is missing.
    pub(super) folder: PathBuf,
    /// First record of the range.
    pub(super) first: u64,
    /// Among the parts of its day, from 1.
    pub(super) part: u32,
    /// Names and streets of private persons stand in clear.
    pub(super) personal: bool,
}

/// A file that is whole and synced, under the name that readers pass over.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) table: &'static str,
    pub(super) entry: FileEntry,
    /// CRC32C of each block.
    pub(super) checks: Vec<u32>,
    pub(super) beside: PathBuf,
}

/// Takes checks of what is written on its way.
struct Checked {
    file: Box<dyn AppendFile>,
    whole: u32,
    /// Of all blocks but the last.
    blocks: Vec<u32>,
    block: u32,
    /// Bytes of the last block.
    block_bytes: usize,
}

impl Checked {
    fn new(file: Box<dyn AppendFile>) -> Self {
        Self { file, whole: 0, blocks: Vec::new(), block: 0, block_bytes: 0 }
    }

    fn end_block(&mut self) {
        self.blocks.push(self.block);
        (self.block, self.block_bytes) = (0, 0);
    }
}

impl io::Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)?;
        self.whole = crc32c_append(self.whole, bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK_BYTES - self.block_bytes));
            self.block = crc32c_append(self.block, now);
            self.block_bytes += now.len();
            if self.block_bytes == BLOCK_BYTES {
                self.end_block();
            }
            rest = later;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file being written: rows are collected here, and encoded wherever the [`Encoder`] does that.
pub(super) struct TableFile<T> {
    /// Rows are added here, one value to each column; then [`Self::added`] is called.
    pub(super) rows: T,
    file: Arc<FileWriter>,
    encoder: Arc<Encoder>,
    schema: SchemaRef,
    /// Of each column of the table, whether this file has it.
    has: Vec<bool>,
    /// Rows in `rows`.
    held: usize,
}

/// Where the rows of a file are encoded and written.
pub(super) struct FileWriter {
    table: &'static str,
    state: Mutex<State>,
    /// What went wrong, until somebody is told.
    failure: Mutex<Option<ArchiveError>>,
}

struct State {
    beside: Beside,
    /// `None` once it has ended or failed.
    writer: Option<ArrowWriter<Checked>>,
    /// Rows written.
    rows: u64,
}

impl FileWriter {
    /// Writes rows, unless it has failed before.
    pub(super) fn write(&self, rows: &RecordBatch) {
        let mut state = lock(&self.state);
        let State { beside, writer, rows: written } = &mut *state;
        let Some(open) = writer else { return };
        match open.write(rows) {
            Ok(()) => *written += rows.num_rows() as u64,
            Err(error) => {
                *lock(&self.failure) = Some(parquet_error(beside.path())(error));
                *writer = None;
            }
        }
    }

    /// What went wrong since anybody asked.
    fn failure(&self) -> Result<(), ArchiveError> {
        lock(&self.failure).take().map_or(Ok(()), Err)
    }

    /// Ends the file and syncs it.
    pub(super) fn finish(&self) -> Result<Written, ArchiveError> {
        self.failure()?;
        let mut state = lock(&self.state);
        let State { beside, writer, rows } = &mut *state;
        let path = beside.path();
        let Some(mut writer) = writer.take() else {
            return Err(ArchiveError::Order("a file was ended twice".to_owned()));
        };
        writer.finish().map_err(parquet_error(path))?;
        // What the system says is lost where the inner writer is taken out with bytes in its buffer.
        writer.sync().map_err(io_error("writing", path))?;
        let file = writer.inner_mut();
        file.file.sync().map_err(io_error("syncing", path))?;
        if file.block_bytes > 0 {
            file.end_block();
        }
        let entry = FileEntry { rows: *rows, bytes: file.file.len(), check: file.whole };
        let checks = std::mem::take(&mut file.blocks);
        let beside = beside.path.take().unwrap_or_default();
        Ok(Written { table: self.table, entry, checks, beside })
    }
}

/// A file that is removed when this is dropped, unless it was taken over before.
struct Beside {
    disk: Arc<dyn Disk>,
    path: Option<PathBuf>,
}

impl Beside {
    fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // What cannot be removed is, when the archive is opened.
            let _ = self.disk.remove(&path);
        }
    }
}

impl<T: Table> TableFile<T> {
    /// Begins a file.
    pub(super) fn create(place: &Place<'_>) -> Result<Self, ArchiveError> {
        let Place { disk, encoder, folder, first, part, personal } = place;
        disk.create_dir(folder).map_err(io_error("making", folder))?;
        let beside = folder.join(format!(".{first:012}.{part}.parquet.part"));
        let file = match disk.append(&beside) {
            // Left behind by one that failed, and could not be removed then.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&beside).and_then(|()| disk.append(&beside))
            }
            file => file,
        };
        // One that failed may have been made all the same.
        let made = Beside { disk: Arc::clone(disk), path: Some(beside.clone()) };
        let file = file.map_err(io_error("making", &beside))?;
        let beside = made;
        let columns = T::columns();
        let has: Vec<bool> =
            columns.iter().map(|c| *personal || c.presence != Presence::Personal).collect();
        let columns: Vec<&Column> =
            columns.iter().zip(&has).filter(|(_, has)| **has).map(|(c, _)| c).collect();
        let fields: Vec<_> = columns.iter().map(|column| column.field()).collect();
        let schema = Arc::new(Schema::new(fields));
        let options = properties::<T>(&schema, &columns, *first).map(|properties| {
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true)
        });
        let writer = options.and_then(|options| {
            ArrowWriter::try_new_with_options(Checked::new(file), Arc::clone(&schema), options)
        });
        let writer = Some(writer.map_err(parquet_error(beside.path()))?);
        let file = FileWriter {
            table: T::NAME,
            state: Mutex::new(State { beside, writer, rows: 0 }),
            failure: Mutex::default(),
        };
        let (file, encoder) = (Arc::new(file), Arc::clone(encoder));
        Ok(Self { rows: T::new(), file, encoder, schema, has, held: 0 })
    }

    /// A row has been added to [`Self::rows`].
    pub(super) fn added(&mut self) -> Result<(), ArchiveError> {
        self.held += 1;
        // To add up the bytes of all columns takes as long as to fill some of them.
        let is_asked = self.held.is_multiple_of(HELD_ASKED_EVERY);
        if self.held >= HELD_ROWS_MAX || (is_asked && self.rows.bytes() >= HELD_BYTES_MAX) {
            self.hand_on()?;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<(), ArchiveError> {
        self.file.failure()?;
        let rows_error = |source| ArchiveError::Rows { table: T::NAME, source };
        if self.held == 0 {
            return Ok(());
        }
        let arrays = self.rows.take().map_err(rows_error)?;
        let arrays = arrays.into_iter().zip(&self.has).filter(|(_, has)| **has).map(|(a, _)| a);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays.collect());
        self.encoder.write(&self.file, batch.map_err(rows_error)?);
        self.held = 0;
        Ok(())
    }

    /// Writes what is left and syncs the file.
    pub(super) fn finish(mut self) -> Result<Written, ArchiveError> {
        self.hand_on()?;
        self.encoder.finish(&self.file)
    }
}

/// Syncs a folder, so that the names in it stand.
pub(super) fn sync_folder(disk: &dyn Disk, folder: &Path) -> Result<(), ArchiveError> {
    disk.sync_dir(folder).map_err(io_error("syncing", folder))
}

fn properties<T: Table>(
    schema: &Schema,
    columns: &[&Column],
    first: u64,
) -> Result<WriterProperties, ParquetError> {
    let named = |key: &str, value: u64| KeyValue::new(key.to_owned(), value.to_string());
    let level = ZstdLevel::try_new(ZSTD_LEVEL)?;
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("waag {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![
            named("waag.archive_format", FORMAT_VERSION.into()),
            named("waag.normaliser", NORMALISER_VERSION.into()),
            named("waag.pseudonyms", PSEUDONYM_VERSION.into()),
            named("waag.first_record", first),
        ]))
        .set_max_row_group_row_count(Some(T::ROW_GROUP_ROWS_MAX))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(Compression::ZSTD(level));
    // Lists have their values at the end of a longer path, which begins with the column's name.
    let leaves = ArrowSchemaConverter::new().convert(schema)?;
    for leaf in leaves.columns() {
        let path = leaf.path();
        let name = path.parts().first().map_or("", String::as_str);
        let Some(column) = columns.iter().find(|column| column.name == name) else { continue };
        let path = || ColumnPath::new(path.parts().to_vec());
        let is_number = matches!(
            column.data_type,
            DataType::Int64
                | DataType::UInt64
                | DataType::UInt32
                | DataType::Date32
                | DataType::Timestamp(..)
        );
        let is_dictionary = matches!(column.coding, Coding::Dictionary | Coding::Few);
        let encoding = match column.coding {
            Coding::Delta => Encoding::DELTA_BINARY_PACKED,
            Coding::Prefix => Encoding::DELTA_BYTE_ARRAY,
            Coding::Lengths => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Coding::Plain => Encoding::PLAIN,
            Coding::Dictionary | Coding::Few if is_number => Encoding::DELTA_BINARY_PACKED,
            Coding::Dictionary | Coding::Few => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        };
        properties = properties
            .set_column_dictionary_enabled(path(), is_dictionary)
            .set_column_encoding(path(), encoding);
        if column.coding == Coding::Few {
            properties = properties.set_column_data_page_row_count_limit(path(), PAGE_ROWS_MAX_FEW);
        }
        if column.is_searched {
            // By ordinal a declaration is found, page by page.
            let each =
                if name == "ordinal" { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
            properties = properties.set_column_statistics_enabled(path(), each);
        }
    }
    Ok(properties.build())
}
