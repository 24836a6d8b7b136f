//! Parquet with the columns of CSV. Each value is taken as the text that CSV would have: numbers may be numbers
//! of any type, or texts.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::input::Meter;
use super::source::{Read, Source, Unreadable, given};
use crate::rows::{Assembler, Cell, Header};

/// Rows decoded at once.
const ROWS_AT_ONCE: usize = 1_024;

/// Rows being read.
pub(super) struct ParquetSource {
    reader: ParquetRecordBatchReader,
    assembler: Assembler,
    meter: Meter,
    rows: u64,
    /// What is read and not given yet: of one [`ROWS_AT_ONCE`] at most.
    ready: VecDeque<Result<Read, Unreadable>>,
    has_ended: bool,
}

impl ParquetSource {
    /// # Errors
    /// Where it is no Parquet, or its columns are not those of declarations.
    pub(super) fn new(
        file: File,
        meter: Meter,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        // What pandas and others note of their own types is of no use here.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
        let names: Vec<String> =
            builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let header = Header::of(names.iter().map(String::as_str))?;
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        meter.restart(rows);
        let reader = builder.with_batch_size(ROWS_AT_ONCE).build()?;
        let assembler = Assembler::new(header);
        Ok(Self { reader, assembler, meter, rows: 0, ready: VecDeque::new(), has_ended: false })
    }

    fn take(&mut self, rows: &RecordBatch) {
        for row in 0..rows.num_rows() {
            self.rows += 1;
            let cells: Vec<Cell<'_>> =
                rows.columns().iter().map(|column| cell(column.as_ref(), row)).collect();
            let done = self.assembler.push(self.rows, &cells);
            self.ready.extend(done.map(|done| given(done, "row")));
        }
        self.meter.add(rows.num_rows() as u64);
    }
}

/// As the text that CSV would have.
fn cell(column: &dyn Array, row: usize) -> Cell<'_> {
    if column.is_null(row) {
        return Ok(Cow::Borrowed(""));
    }
    macro_rules! number {
        ($of:ty) => {
            column.as_primitive::<$of>().value(row).to_string()
        };
    }
    let text = match column.data_type() {
        DataType::Utf8 => return Ok(Cow::Borrowed(column.as_string::<i32>().value(row))),
        DataType::LargeUtf8 => return Ok(Cow::Borrowed(column.as_string::<i64>().value(row))),
        DataType::Utf8View => return Ok(Cow::Borrowed(column.as_string_view().value(row))),
        DataType::Binary => {
            let text = std::str::from_utf8(column.as_binary::<i32>().value(row));
            return text.map(Cow::Borrowed).map_err(|_| "its bytes are no UTF-8 text".to_owned());
        }
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => number!(Float32Type),
        DataType::Float64 => number!(Float64Type),
        DataType::Decimal128(_, _) => {
            let text = column.as_primitive::<Decimal128Type>().value_as_string(row);
            // Of 39.9900 the zeros say nothing.
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        DataType::Timestamp(_, None) => {
            return Err(
                "its timestamps have no time zone, so that nobody can tell which moment they are: give them one, as \
                 UTC, or texts such as 2026-11-05T09:30:00+01:00"
                    .to_owned(),
            );
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => number!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            micros.div_euclid(1_000).to_string()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let nanos = column.as_primitive::<TimestampNanosecondType>().value(row);
            nanos.div_euclid(1_000_000).to_string()
        }
        other => return Err(format!("its type is {other}: texts and numbers can be read")),
    };
    Ok(Cow::Owned(text))
}

impl Source for ParquetSource {
    fn next(&mut self) -> Option<Result<Read, Unreadable>> {
        loop {
            if let Some(read) = self.ready.pop_front() {
                return Some(read);
            }
            if self.has_ended {
                return None;
            }
            match self.reader.next() {
                Some(Ok(rows)) => self.take(&rows),
                None => {
                    self.has_ended = true;
                    self.ready.extend(self.assembler.finish().map(|done| given(done, "row")));
                }
                Some(Err(error)) => {
                    self.has_ended = true;
                    self.ready.extend(self.assembler.break_off().map(|done| given(done, "row")));
                    let (place, what) = (self.rows + 1, error.to_string());
                    let last = Unreadable { unit: "row", place, column: 0, what, is_last: true };
                    self.ready.push_back(Err(last));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::io::{Seek as _, SeekFrom, Write as _};
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int32Array, StringArray, TimestampMicrosecondArray};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn source(columns: Vec<(&str, ArrayRef)>) -> Result<ParquetSource, String> {
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let file = tempfile::tempfile().unwrap();
        let mut writer =
            ArrowWriter::try_new(file.try_clone().unwrap(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        ParquetSource::new(file, Meter::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_of_any_type_are_taken_as_they_are_written() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("lrn", Arc::new(StringArray::from(vec!["A", "A", "B"]))),
            ("intrinsic_value", Arc::new(Float64Array::from(vec![Some(39.99), Some(0.1), None]))),
            ("packages", Arc::new(Int32Array::from(vec![1, 2, -3]))),
            (
                "fallback_lodged_at",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![Some(1_999), None, None])
                        .with_timezone("UTC"),
                ),
            ),
        ];
        let mut source = source(columns).unwrap();
        let Some(Ok(Read::Declaration(_, first))) = source.next() else { unreachable!() };
        let values: Vec<u64> = first
            .goods_items
            .iter()
            .map(|item| item.intrinsic_value.as_ref().unwrap().hundredths)
            .collect();
        assert_eq!(values, [3_999, 10]);
        assert_eq!(first.fallback.as_ref().unwrap().lodged_at_ms, 1);
        let Some(Err(second)) = source.next() else { unreachable!() };
        assert_eq!((second.place, second.column), (3, 3));
        assert!(second.what.contains("packages: \"-3\""), "{second}");
        assert_eq!(source.next(), None);
    }

    #[test]
    fn a_timestamp_without_a_zone_is_no_moment() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("lrn", Arc::new(StringArray::from(vec!["A", "B"]))),
            (
                "fallback_lodged_at",
                Arc::new(TimestampMicrosecondArray::from(vec![Some(1_999), None])),
            ),
        ];
        let mut source = source(columns).unwrap();
        let Some(Err(first)) = source.next() else { unreachable!() };
        assert_eq!((first.place, first.column), (1, 2));
        assert!(
            first.what.contains("fallback_lodged_at") && first.what.contains("zone"),
            "{first}"
        );
        assert!(matches!(source.next(), Some(Ok(_))), "an empty cell is none");
    }

    #[test]
    fn where_the_rows_break_off_the_declaration_under_way_is_not_given() {
        let mut lrns: Vec<String> = (0..2 * ROWS_AT_ONCE).map(|row| row.to_string()).collect();
        lrns[ROWS_AT_ONCE] = lrns[ROWS_AT_ONCE - 1].clone();
        let column: ArrayRef = Arc::new(StringArray::from(lrns));
        let rows = RecordBatch::try_from_iter([("lrn", column)]).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let properties =
            WriterProperties::builder().set_max_row_group_row_count(Some(ROWS_AT_ONCE)).build();
        let to = file.try_clone().unwrap();
        let mut writer = ArrowWriter::try_new(to, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        let metadata = writer.close().unwrap();
        let (begin, length) = metadata.row_group(1).column(0).byte_range();
        file.seek(SeekFrom::Start(begin)).unwrap();
        file.write_all(&vec![0xff; usize::try_from(length).unwrap()]).unwrap();
        let mut source =
            ParquetSource::new(file, Meter::default()).map_err(|error| error.to_string()).unwrap();
        for _ in 1..ROWS_AT_ONCE {
            assert!(matches!(source.next(), Some(Ok(_))));
        }
        let rest = std::iter::from_fn(|| source.next()).map(|read| {
            let unreadable = read.unwrap_err();
            (unreadable.place, unreadable.is_last)
        });
        let last = ROWS_AT_ONCE as u64;
        assert_eq!(rest.collect::<Vec<_>>(), [(last, false), (last + 1, true)]);
    }

    #[test]
    fn what_is_no_parquet_or_has_other_columns_is_refused() {
        let columns: Vec<(&str, ArrayRef)> =
            vec![("orderid", Arc::new(StringArray::from(vec!["A"])))];
        assert!(source(columns).err().unwrap().contains("orderid"));
        assert!(ParquetSource::new(tempfile::tempfile().unwrap(), Meter::default()).is_err());
    }
}
