//! Declarations as rows of a table, as spreadsheets, databases and data frames have them: CSV and Parquet.
//!
//! A row is a goods item. Rows that follow one another with the same `lrn` (and `declarant`, and
//! `declaration`, where these columns are there) are one declaration. What concerns the declaration as a
//! whole stands in its first row; in the others it is the same, or empty. A row whose cells for a goods
//! item are all empty adds none. Columns may stand in any order, and any but `lrn` may be left out: a cell
//! that is empty or not there is a field that is not given. An empty `goods_item_number` is the place of
//! the row in its declaration.
//!
//! `columns` names every column with its meaning; the README has the same as a table.

mod assembler;
mod cell;
mod columns;
mod csv_writer;
mod parquet_writer;
mod writing;

pub(crate) use assembler::{Assembled, Assembler, Cell, Fault};
pub(crate) use columns::template;
pub(crate) use columns::{Header, HeaderError};
pub(crate) use csv_writer::CsvWriter;
pub(crate) use parquet_writer::{ParquetRowsError, ParquetWriter};
