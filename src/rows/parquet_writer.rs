//! Batches as Parquet: the columns of CSV, with types where numbers are meant.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{Decimal128Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::cell;
use super::columns::{COLUMNS, Column, Kind};
use super::writing::each_row;
use crate::proto::v1::SubmitBatchRequest;

/// Rows held before they are handed to the writer.
const ROWS_HELD_MAX: usize = 4_096;
/// Rows of a group, which is held while it is encoded: some 20 MB.
const GROUP_ROWS_MAX: usize = 128 * 1_024;
/// Digits of an amount: those of any 64-bit number.
const DIGITS: u8 = 20;

/// Why rows cannot be written as Parquet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParquetRowsError {
    /// Columns do not go together.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// The file cannot be written.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

enum Builder {
    Text(StringBuilder),
    Whole(Int64Builder),
    Decimal(Decimal128Builder, u8),
}

impl Builder {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Whole => Self::Whole(Int64Builder::new()),
            Kind::Decimal(places) => {
                let builder = Decimal128Builder::new().with_data_type(data_type(kind));
                Self::Decimal(builder, places)
            }
        }
    }

    /// An empty cell is NULL. Cells are those that were made from numbers, so they are numbers.
    fn push(&mut self, cell: &str) {
        match self {
            Self::Text(builder) => builder.append_option((!cell.is_empty()).then_some(cell)),
            Self::Whole(builder) => builder.append_option(cell.parse().ok()),
            Self::Decimal(builder, places) => {
                let number = cell::decimal(cell, u32::from(*places)).ok();
                builder.append_option(number.map(i128::from));
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Whole(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, _) => Arc::new(builder.finish()),
        }
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::Whole => DataType::Int64,
        Kind::Decimal(places) => DataType::Decimal128(DIGITS, places.cast_signed()),
    }
}

/// Writes all columns, and a row for each goods item.
pub(crate) struct ParquetWriter<W: Write + Send> {
    out: ArrowWriter<W>,
    schema: SchemaRef,
    builders: Vec<Builder>,
    rows: usize,
    declarations: u64,
}

impl<W: Write + Send> std::fmt::Debug for ParquetWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetWriter")
            .field("declarations", &self.declarations)
            .finish_non_exhaustive()
    }
}

impl<W: Write + Send> ParquetWriter<W> {
    /// # Errors
    /// What `out` says.
    pub(crate) fn new(out: W) -> Result<Self, ParquetRowsError> {
        let field = |column: &Column| Field::new(column.name, data_type(column.kind), true);
        let fields: Vec<Field> = COLUMNS.iter().map(field).collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
            .build();
        let out = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
        let builders = COLUMNS.iter().map(|column| Builder::of(column.kind)).collect();
        Ok(Self { out, schema, builders, rows: 0, declarations: 0 })
    }

    /// # Errors
    /// What `out` says.
    pub(crate) fn write(&mut self, batch: &SubmitBatchRequest) -> Result<(), ParquetRowsError> {
        let mut declarations = self.declarations;
        each_row(batch, &mut declarations, |cells| {
            self.builders.iter_mut().zip(cells).for_each(|(builder, cell)| builder.push(cell));
            self.rows += 1;
            if self.rows == ROWS_HELD_MAX { self.flush() } else { Ok(()) }
        })?;
        self.declarations = declarations;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ParquetRowsError> {
        self.rows = 0;
        let arrays = self.builders.iter_mut().map(Builder::finish).collect();
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        Ok(self.out.write(&rows)?)
    }

    /// # Errors
    /// What `out` says.
    pub(crate) fn finish(mut self) -> Result<(), ParquetRowsError> {
        self.flush()?;
        self.out.close()?;
        Ok(())
    }
}
