//! One Parquet file of one table, from its first row until it stands under its name.
//!
//! Rows are collected in columns, handed on a few thousand at a time, and written in row groups.
//! The file is written beside, under a name that readers of a data set pass over (it begins with a
//! full stop); it gets its own name once it is whole and synced.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::FORMAT_VERSION;
use super::column::{Coding, Column, Presence, Table};
use super::error::{ArchiveError, io_error};
use super::private::PSEUDONYM_VERSION;
use crate::wire::digest::NORMALISER_VERSION;

/// Bytes of a row group as it is written, should its rows be unusually large.
const ROW_GROUP_BYTES_MAX: usize = 32 << 20;
/// Rows and bytes collected before they are handed on: enough to keep the loops over a column long,
/// few enough to stay in the processor's cache.
const HELD_ROWS_MAX: usize = 4_096;
const HELD_BYTES_MAX: usize = 8 << 20;
/// Distinct values of a column are numbered until they take so many bytes: sellers of 131,072
/// declarations, and products of a million goods items, do.
const DICTIONARY_BYTES_MAX: usize = 4 << 20;
/// See the measurements in [`super`].
const ZSTD_LEVEL: i32 = 3;

/// A file that has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) table: &'static str,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// A file being written.
pub(super) struct TableFile<T> {
    /// Rows are added here, one value to each column; then [`Self::added`] is called.
    pub(super) rows: T,
    folder: PathBuf,
    beside: PathBuf,
    schema: SchemaRef,
    /// Of each column of the table, whether this file has it.
    has: Vec<bool>,
    writer: ArrowWriter<File>,
    /// Rows in `rows`.
    held: usize,
    /// Rows that are there no more.
    handed_on: u64,
}

impl<T: Table> TableFile<T> {
    /// Begins a file in `folder`, which is made where it is missing. `first` tells it from others
    /// that are being written there.
    pub(super) fn create(
        folder: PathBuf,
        first: u64,
        personal: bool,
    ) -> Result<Self, ArchiveError> {
        fs::create_dir_all(&folder).map_err(io_error("making", &folder))?;
        let beside = folder.join(format!(".{first:012}.parquet.part"));
        let file = File::create(&beside).map_err(io_error("making", &beside))?;
        let columns = T::columns();
        let has: Vec<bool> =
            columns.iter().map(|c| personal || c.presence != Presence::Personal).collect();
        let columns: Vec<&Column> =
            columns.iter().zip(&has).filter(|(_, has)| **has).map(|(c, _)| c).collect();
        let fields: Vec<_> = columns.iter().map(|column| column.field()).collect();
        let schema = Arc::new(Schema::new(fields));
        let options = properties::<T>(&schema, &columns, first).map(|properties| {
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true)
        });
        let writer = options.and_then(|options| {
            ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options)
        });
        let writer = writer.map_err(parquet_error(&beside))?;
        Ok(Self { rows: T::new(), folder, beside, schema, has, writer, held: 0, handed_on: 0 })
    }

    /// A row has been added to [`Self::rows`].
    pub(super) fn added(&mut self) -> Result<(), ArchiveError> {
        self.held += 1;
        if self.held >= HELD_ROWS_MAX || self.rows.bytes() >= HELD_BYTES_MAX {
            self.hand_on()?;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<(), ArchiveError> {
        let rows_error = |source| ArchiveError::Rows { table: T::NAME, source };
        if self.held == 0 {
            return Ok(());
        }
        let arrays = self.rows.take().map_err(rows_error)?;
        let arrays = arrays.into_iter().zip(&self.has).filter(|(_, has)| **has).map(|(a, _)| a);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays.collect());
        self.writer.write(&batch.map_err(rows_error)?).map_err(parquet_error(&self.beside))?;
        self.handed_on += self.held as u64;
        self.held = 0;
        Ok(())
    }

    /// Writes what is left, syncs the file and gives it its name.
    pub(super) fn finish(mut self, name: &str) -> Result<Written, ArchiveError> {
        self.hand_on()?;
        let file = self.writer.into_inner().map_err(parquet_error(&self.beside))?;
        file.sync_all().map_err(io_error("syncing", &self.beside))?;
        let bytes = file.metadata().map_err(io_error("asking", &self.beside))?.len();
        let path = self.folder.join(name);
        fs::rename(&self.beside, &path).map_err(io_error("naming", &path))?;
        sync_folder(&self.folder)?;
        Ok(Written { table: T::NAME, rows: self.handed_on, bytes })
    }
}

/// Syncs a folder, so that the names in it stand.
pub(super) fn sync_folder(folder: &Path) -> Result<(), ArchiveError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("syncing", folder))
}

fn parquet_error(path: &Path) -> impl FnOnce(ParquetError) -> ArchiveError + use<> {
    let path = path.to_path_buf();
    move |source| ArchiveError::Parquet { path, source }
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
            DataType::Int64 | DataType::UInt64 | DataType::UInt32 | DataType::Timestamp(..)
        );
        let is_dictionary = column.coding == Coding::Dictionary;
        let encoding = match column.coding {
            Coding::Delta => Encoding::DELTA_BINARY_PACKED,
            Coding::Prefix => Encoding::DELTA_BYTE_ARRAY,
            Coding::Lengths => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Coding::Plain => Encoding::PLAIN,
            Coding::Dictionary if is_number => Encoding::DELTA_BINARY_PACKED,
            Coding::Dictionary => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        };
        properties = properties
            .set_column_dictionary_enabled(path(), is_dictionary)
            .set_column_encoding(path(), encoding);
        if column.is_searched {
            properties = properties.set_column_statistics_enabled(path(), EnabledStatistics::Chunk);
        }
    }
    Ok(properties.build())
}
