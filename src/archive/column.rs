//! Columns of the archive's tables: what they hold while rows come in, and how they are coded.
//!
//! A table is declared once, with [`table!`]: its columns in order, each with its kind, when it is
//! there and its coding. Schema, writer properties, the arrays of a row group and what they are read
//! back as follow from that, so that they cannot disagree.

use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch, new_null_array};
use arrow_schema::{ArrowError, DataType, Field};

/// When a column is there, and when it has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// In every row.
    Required,
    /// NULL where the declaration has nothing to put there.
    Optional,
    /// As optional, and only in an archive that keeps personal data: otherwise there is no such
    /// column.
    Personal,
}

/// How a column's values are laid out before they are compressed. All are encodings of Parquet 2
/// that DuckDB, Polars and pyarrow read; what each brought stands in [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Each distinct value once, and its number in each row: few values, or the same ones again.
    /// Where there are too many, as [`Coding::Lengths`] or [`Coding::Plain`].
    Dictionary,
    /// Numbers as differences: ascending ones, and ones of few bits.
    Delta,
    /// Texts as what they do not share with the one before: numbered references.
    Prefix,
    /// Texts one after another, their lengths apart.
    Lengths,
    /// As [`Coding::Dictionary`], of so few values that a page of many rows takes one block.
    Few,
    /// As they are: nothing is alike.
    Plain,
}

/// A column as it is declared.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) data_type: DataType,
    pub(super) presence: Presence,
    pub(super) coding: Coding,
    /// Least and greatest value of each row group are noted, so that readers pass over it.
    pub(super) is_searched: bool,
}

impl Column {
    pub(super) fn field(&self) -> Field {
        Field::new(self.name, self.data_type.clone(), self.presence != Presence::Required)
    }
}

/// A table: rows are collected in its columns until there are enough to be written.
pub(super) trait Table: Send {
    /// Its folder.
    const NAME: &'static str;
    /// Rows of a row group.
    const ROW_GROUP_ROWS_MAX: usize;
    /// Some of its rows, read back.
    type Columns: Columns;

    /// Without rows.
    fn new() -> Self;

    /// Its columns, those of personal data among them.
    fn columns() -> Vec<Column>;

    /// What is held, of each column, and none of it any more.
    fn take(&mut self) -> Result<Vec<ArrayRef>, ArrowError>;

    /// Bytes held, about.
    fn bytes(&self) -> usize;
}

/// Some rows of a table, read back: one array for each column, all of one length.
pub(super) trait Columns: Sized {
    /// Those of `batch`.
    ///
    /// # Errors
    /// Says which column is missing or something else.
    fn of(batch: &RecordBatch) -> Result<Self, String>;
}

/// What a column's kind must do.
pub(super) trait Kind {
    /// What it is read back as.
    type Array;
    fn new() -> Self;
    fn data_type() -> DataType;
    /// `None` where `array` is of another kind.
    fn array(array: &ArrayRef) -> Option<Self::Array>;
    fn take(&mut self) -> Result<ArrayRef, ArrowError>;
    fn bytes(&self) -> usize;
}

/// Declares a table; see the module's documentation.
macro_rules! table {
    ($(#[$doc:meta])* $table:ident => $columns:ident, $folder:literal, $rows:expr;
     $($column:ident: $kind:ty, $presence:ident, $coding:ident $(, $searched:ident)?;)+) => {
        $(#[$doc])*
        pub(super) struct $table {
            $(pub(super) $column: $kind,)+
        }

        impl $crate::archive::column::Table for $table {
            const NAME: &'static str = $folder;
            const ROW_GROUP_ROWS_MAX: usize = $rows;
            type Columns = $columns;

            fn new() -> Self {
                use $crate::archive::column::Kind as _;
                Self { $($column: <$kind>::new(),)+ }
            }

            fn columns() -> Vec<$crate::archive::column::Column> {
                use $crate::archive::column::{Coding, Column, Kind, Presence};
                vec![$(Column {
                    name: stringify!($column),
                    data_type: <$kind as Kind>::data_type(),
                    presence: Presence::$presence,
                    coding: Coding::$coding,
                    is_searched: [$(stringify!($searched),)?].contains(&"searched"),
                },)+]
            }

            fn take(&mut self) -> Result<Vec<arrow_array::ArrayRef>, arrow_schema::ArrowError> {
                use $crate::archive::column::Kind as _;
                Ok(vec![$(self.$column.take()?,)+])
            }

            fn bytes(&self) -> usize {
                use $crate::archive::column::Kind as _;
                0 $(+ self.$column.bytes())+
            }
        }

        /// The same, read back.
        #[derive(Debug)]
        pub(super) struct $columns {
            $(pub(super) $column: <$kind as $crate::archive::column::Kind>::Array,)+
        }

        impl $crate::archive::column::Columns for $columns {
            fn of(batch: &arrow_array::RecordBatch) -> Result<Self, String> {
                use $crate::archive::column::{Presence, column};
                Ok(Self {
                    $($column: column::<$kind>(
                        batch,
                        stringify!($column),
                        Presence::$presence,
                    )?,)+
                })
            }
        }
    };
}
pub(super) use table;

/// A column of `batch`. One that need not have a value need not be there either: it was added to
/// the table later, or holds personal data.
pub(super) fn column<K: Kind>(
    batch: &RecordBatch,
    name: &str,
    presence: Presence,
) -> Result<K::Array, String> {
    let is_required = presence == Presence::Required;
    let array = match batch.column_by_name(name) {
        Some(array) if is_required && array.null_count() > 0 => {
            return Err(format!("column {name} has rows without a value"));
        }
        Some(array) => Arc::clone(array),
        None if is_required => return Err(format!("there is no column {name}")),
        None => new_null_array(&K::data_type(), batch.num_rows()),
    };
    K::array(&array).ok_or_else(|| format!("column {name} is {}", array.data_type()))
}
