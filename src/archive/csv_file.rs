//! A table's Parquet file as CSV, for tools that read nothing else: what `waag export --format csv` gives.
//!
//! The names of the columns stand in the first row; fields are quoted where they must be (RFC 4180).
//! NULL is an empty field. Moments are as `2026-11-05T08:30:00.123Z`, days as `2026-11-05`, digests
//! hexadecimal, lists JSON (`["C07","F48"]`, `[{"type":"N337","reference":"..."}]`). The day of arrival,
//! which readers of the Parquet files have from the name of the folder, is a column `day` of its own.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Int64Type, TimestampMillisecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::error::{ArchiveError, io_error, parquet_error};
use crate::day::Day;

/// Rows that are held at once.
const ROWS: usize = 4_096;
/// Before a write to the file.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes what is in the Parquet file `from`, of what arrived on `day`, to the file `to`, which must
/// not be there, synced. Tells its length.
///
/// # Errors
/// Where either file fails, or `from` has a column of a type that no table has.
pub fn write_csv(from: &Path, to: &Path, day: Day) -> Result<u64, ArchiveError> {
    let file = File::open(from).map_err(io_error("opening", from))?;
    let reading = |source| parquet_error(from)(source);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(reading)?;
    let names: Vec<String> =
        reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let reader = reader.with_batch_size(ROWS).build().map_err(reading)?;
    let file = File::create_new(to).map_err(io_error("making", to))?;
    let mut out = csv::Writer::from_writer(BufWriter::with_capacity(BUFFER_BYTES, file));
    let writing = |error: csv::Error| io_error("writing", to)(plain(error));
    let day = day.to_string();
    out.write_record(names.iter().map(String::as_str).chain(["day"])).map_err(writing)?;
    for rows in reader {
        let rows = rows.map_err(|error| ArchiveError::damaged(from, error.to_string()))?;
        for row in 0..rows.num_rows() {
            let fields = fields(&rows, row).map_err(|what| ArchiveError::damaged(from, what))?;
            out.write_record(fields.iter().map(String::as_str).chain([day.as_str()]))
                .map_err(writing)?;
        }
    }
    let finished = out.into_inner().map_err(|error| error.into_error());
    let written = finished.and_then(|mut buffered| {
        buffered.flush()?;
        buffered.get_ref().sync_all()?;
        Ok(buffered.get_ref().metadata()?.len())
    });
    written.map_err(io_error("writing", to))
}

fn plain(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn fields(rows: &RecordBatch, row: usize) -> Result<Vec<String>, String> {
    rows.columns().iter().map(|column| field(column, row)).collect()
}

fn field(column: &ArrayRef, row: usize) -> Result<String, String> {
    if column.is_null(row) {
        return Ok(String::new());
    }
    Ok(match value(column, row)? {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

/// What stands in `row` of a column, or of a list within one.
fn value(column: &ArrayRef, row: usize) -> Result<Value, String> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().value(row);
            let day = u16::try_from(days).map_err(|_| format!("{days} is no day"))?;
            Day(day).to_string().into()
        }
        DataType::Timestamp(..) => {
            moment(column.as_primitive::<TimestampMillisecondType>().value(row))?.into()
        }
        DataType::FixedSizeBinary(_) => {
            let bytes = column.as_fixed_size_binary().value(row).iter();
            bytes.map(|byte| format!("{byte:02x}")).collect::<String>().into()
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            (0..list.len()).map(|place| value(&list, place)).collect::<Result<_, _>>()?
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(column.as_struct().columns());
            let object: Result<serde_json::Map<_, _>, String> = columns
                .map(|(field, column)| Ok((field.name().clone(), value(column, row)?)))
                .collect();
            object?.into()
        }
        other => return Err(format!("no table has a column of type {other}")),
    })
}

fn moment(milliseconds: i64) -> Result<String, String> {
    let moment = jiff::Timestamp::from_millisecond(milliseconds).map_err(|e| e.to_string())?;
    Ok(format!("{moment:.3}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    #[test]
    fn moments_have_their_milliseconds_always() {
        assert_eq!(moment(1_793_867_400_000).unwrap(), "2026-11-05T08:30:00.000Z");
        assert_eq!(moment(1_793_867_400_123).unwrap(), "2026-11-05T08:30:00.123Z");
        moment(i64::MAX).unwrap_err();
    }

    #[test]
    fn a_type_that_no_table_has_is_told() {
        let column: ArrayRef = Arc::new(arrow_array::BooleanArray::from(vec![true]));
        assert!(field(&column, 0).unwrap_err().contains("Boolean"));
    }
}
