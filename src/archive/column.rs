//! Columns of the archive's tables: what they hold while rows come in, and how they are coded.
//!
//! A table is declared once, with [`table!`]: its columns in order, each with its kind, when it is
//! there and its coding. Schema, writer properties and the arrays of a row group follow from that,
//! so that they cannot disagree.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Int64Type, TimestampMillisecondType, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Fields, TimeUnit};

use crate::wire::view::DocumentReference;

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

    /// Without rows.
    fn new() -> Self;

    /// Its columns, those of personal data among them.
    fn columns() -> Vec<Column>;

    /// What is held, of each column, and none of it any more.
    fn take(&mut self) -> Result<Vec<ArrayRef>, ArrowError>;

    /// Bytes held, about.
    fn bytes(&self) -> usize;
}

/// What a column's kind must do.
pub(super) trait Kind {
    fn new() -> Self;
    fn data_type() -> DataType;
    fn take(&mut self) -> Result<ArrayRef, ArrowError>;
    fn bytes(&self) -> usize;
}

/// Declares a table; see the module's documentation.
macro_rules! table {
    ($(#[$doc:meta])* $table:ident, $folder:literal, $rows:expr;
     $($column:ident: $kind:ty, $presence:ident, $coding:ident $(, $searched:ident)?;)+) => {
        $(#[$doc])*
        pub(super) struct $table {
            $(pub(super) $column: $kind,)+
        }

        impl $crate::archive::column::Table for $table {
            const NAME: &'static str = $folder;
            const ROW_GROUP_ROWS_MAX: usize = $rows;

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
    };
}
pub(super) use table;

/// Numbers.
pub(super) struct Numbers<T: ArrowPrimitiveType>(PrimitiveBuilder<T>);

/// Ordinals and record numbers, which stay below 2^62: signed, since Spark makes decimals of
/// unsigned ones of 64 bits.
pub(super) type Places = Numbers<Int64Type>;
/// Amounts and masses as the contract has them.
pub(super) type Amounts = Numbers<UInt64Type>;
/// Small numbers.
pub(super) type Counts = Numbers<UInt32Type>;

impl<T: ArrowPrimitiveType> Numbers<T> {
    pub(super) fn push(&mut self, value: impl Into<Option<T::Native>>) {
        self.0.append_option(value.into());
    }
}

impl<T: ArrowPrimitiveType> Kind for Numbers<T> {
    fn new() -> Self {
        Self(PrimitiveBuilder::new())
    }

    fn data_type() -> DataType {
        T::DATA_TYPE
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(self.0.finish()))
    }

    fn bytes(&self) -> usize {
        size_of_val(self.0.values_slice())
    }
}

/// Moments: milliseconds, UTC.
pub(super) struct Moments(PrimitiveBuilder<TimestampMillisecondType>);

impl Moments {
    pub(super) fn push(&mut self, value: impl Into<Option<i64>>) {
        self.0.append_option(value.into());
    }
}

impl Kind for Moments {
    fn new() -> Self {
        Self(PrimitiveBuilder::new().with_data_type(Self::data_type()))
    }

    fn data_type() -> DataType {
        DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(self.0.finish()))
    }

    fn bytes(&self) -> usize {
        size_of_val(self.0.values_slice())
    }
}

/// Texts; one that is empty is NULL, as the contract does not tell absent from empty.
pub(super) struct Texts(StringBuilder);

impl Texts {
    pub(super) fn push(&mut self, text: &str) {
        if text.is_empty() { self.0.append_null() } else { self.0.append_value(text) }
    }
}

impl Kind for Texts {
    fn new() -> Self {
        Self(StringBuilder::new())
    }

    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(self.0.finish()))
    }

    fn bytes(&self) -> usize {
        self.0.values_slice().len() + size_of_val(self.0.offsets_slice())
    }
}

/// Digests: 16 bytes, the high half first.
pub(super) struct Digests {
    builder: FixedSizeBinaryBuilder,
    bytes: usize,
}

impl Digests {
    const BYTES: i32 = 16;

    pub(super) fn push(
        &mut self,
        value: impl Into<Option<crate::wire::digest::Digest>>,
    ) -> Result<(), ArrowError> {
        self.bytes += Self::BYTES as usize;
        let Some(crate::wire::digest::Digest(high, low)) = value.into() else {
            self.builder.append_null();
            return Ok(());
        };
        self.builder.append_value((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}

impl Kind for Digests {
    fn new() -> Self {
        Self { builder: FixedSizeBinaryBuilder::new(Self::BYTES), bytes: 0 }
    }

    fn data_type() -> DataType {
        DataType::FixedSizeBinary(Self::BYTES)
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        self.bytes = 0;
        Ok(Arc::new(self.builder.finish()))
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The name that Parquet gives to the elements of a list.
const ELEMENT: &str = "element";

/// Lists of texts.
pub(super) struct TextLists {
    texts: Texts,
    lengths: Vec<usize>,
}

impl TextLists {
    pub(super) fn push<'a>(&mut self, list: impl ExactSizeIterator<Item = &'a str>) {
        self.lengths.push(list.len());
        list.for_each(|text| self.texts.push(text));
    }
}

impl Kind for TextLists {
    fn new() -> Self {
        Self { texts: Texts::new(), lengths: Vec::new() }
    }

    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new(ELEMENT, Texts::data_type(), true)))
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        list(Self::data_type(), &mut self.lengths, self.texts.take()?)
    }

    fn bytes(&self) -> usize {
        self.texts.bytes() + size_of_val(&*self.lengths)
    }
}

/// Lists of documents: structs of `type` and `reference`.
pub(super) struct Documents {
    types: Texts,
    references: Texts,
    lengths: Vec<usize>,
}

impl Documents {
    pub(super) fn push(&mut self, documents: &[DocumentReference<'_>]) {
        self.lengths.push(documents.len());
        for DocumentReference { r#type, reference } in documents {
            self.types.push(r#type);
            self.references.push(reference);
        }
    }

    fn fields() -> Fields {
        let field = |name: &str| Field::new(name, Texts::data_type(), true);
        Fields::from(vec![field("type"), field("reference")])
    }
}

impl Kind for Documents {
    fn new() -> Self {
        Self { types: Texts::new(), references: Texts::new(), lengths: Vec::new() }
    }

    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new(ELEMENT, DataType::Struct(Self::fields()), false)))
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let parts = vec![self.types.take()?, self.references.take()?];
        let documents = StructArray::try_new(Self::fields(), parts, None)?;
        list(Self::data_type(), &mut self.lengths, Arc::new(documents))
    }

    fn bytes(&self) -> usize {
        self.types.bytes() + self.references.bytes() + size_of_val(&*self.lengths)
    }
}

/// `elements` as lists of these lengths.
fn list(
    data_type: DataType,
    lengths: &mut Vec<usize>,
    elements: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let DataType::List(field) = data_type else {
        return Err(ArrowError::SchemaError("a list is no list".into()));
    };
    let offsets = OffsetBuffer::from_lengths(lengths.drain(..));
    Ok(Arc::new(ListArray::try_new(field, offsets, elements, None)?))
}
