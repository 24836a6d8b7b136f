//! The kinds of columns: how values are collected in one, and read back from one.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Int64Type, TimestampMillisecondType, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array as _, ArrayRef, FixedSizeBinaryArray, ListArray, PrimitiveArray, StringArray,
    StructArray, TimestampMillisecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Fields, TimeUnit};

use super::column::Kind;
use crate::wire::digest::Digest;
use crate::wire::view::DocumentReference;

/// As much room as `len` took, and some more: columns are filled again and again with about as much,
/// and a buffer that grows is copied each time.
fn room(len: usize) -> usize {
    len + len / 8
}

/// What is in `builder`, which has room for as much again.
fn take_numbers<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>) -> PrimitiveArray<T> {
    let array = builder.finish();
    *builder = PrimitiveBuilder::with_capacity(room(array.len()))
        .with_data_type(array.data_type().clone());
    array
}

/// Numbers.
pub(super) struct Numbers<T: ArrowPrimitiveType>(PrimitiveBuilder<T>);

/// Ordinals and record numbers, which stay below 2^62: signed, since Spark makes decimals of
/// unsigned ones of 64 bits.
pub(super) type Places = Numbers<Int64Type>;
/// Amounts and masses as the contract has them.
pub(super) type Amounts = Numbers<UInt64Type>;
/// Calendar days.
pub(super) type Days = Numbers<Date32Type>;
/// Small numbers.
pub(super) type Counts = Numbers<UInt32Type>;

impl<T: ArrowPrimitiveType> Numbers<T> {
    pub(super) fn push(&mut self, value: impl Into<Option<T::Native>>) {
        self.0.append_option(value.into());
    }
}

impl<T: ArrowPrimitiveType> Kind for Numbers<T> {
    type Array = PrimitiveArray<T>;

    fn new() -> Self {
        Self(PrimitiveBuilder::new())
    }

    fn data_type() -> DataType {
        T::DATA_TYPE
    }

    fn array(array: &ArrayRef) -> Option<Self::Array> {
        array.as_primitive_opt().cloned()
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(take_numbers(&mut self.0)))
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
    type Array = TimestampMillisecondArray;

    fn new() -> Self {
        Self(PrimitiveBuilder::new().with_data_type(Self::data_type()))
    }

    fn data_type() -> DataType {
        DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
    }

    fn array(array: &ArrayRef) -> Option<Self::Array> {
        array.as_primitive_opt().cloned()
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(take_numbers(&mut self.0)))
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
    type Array = StringArray;

    fn new() -> Self {
        Self(StringBuilder::new())
    }

    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn array(array: &ArrayRef) -> Option<Self::Array> {
        array.as_string_opt().cloned()
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let array = self.0.finish();
        let (rows, bytes) = (room(array.len()), room(array.values().len()));
        self.0 = StringBuilder::with_capacity(rows, bytes);
        Ok(Arc::new(array))
    }

    fn bytes(&self) -> usize {
        self.0.values_slice().len() + size_of_val(self.0.offsets_slice())
    }
}

/// Digests: 10 bytes, the high ones first.
pub(super) struct Digests {
    builder: FixedSizeBinaryBuilder,
    bytes: usize,
}

impl Digests {
    const BYTES: i32 = Digest::BYTES as i32;

    pub(super) fn push(&mut self, value: impl Into<Option<Digest>>) -> Result<(), ArrowError> {
        self.bytes += Digest::BYTES;
        let Some(digest) = value.into() else {
            self.builder.append_null();
            return Ok(());
        };
        self.builder.append_value(digest.to_be_bytes())
    }
}

impl Kind for Digests {
    type Array = FixedSizeBinaryArray;

    fn new() -> Self {
        Self { builder: FixedSizeBinaryBuilder::new(Self::BYTES), bytes: 0 }
    }

    fn data_type() -> DataType {
        DataType::FixedSizeBinary(Self::BYTES)
    }

    fn array(array: &ArrayRef) -> Option<Self::Array> {
        array.as_fixed_size_binary_opt().filter(|a| a.value_length() == Self::BYTES).cloned()
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        self.bytes = 0;
        Ok(Arc::new(self.builder.finish()))
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A text; an absent one is empty.
pub(super) fn text(array: &StringArray, row: usize) -> &str {
    if array.is_null(row) { "" } else { array.value(row) }
}

/// A number, unless it is absent.
pub(super) fn number<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    row: usize,
) -> Option<T::Native> {
    (!array.is_null(row)).then(|| array.value(row))
}

/// A digest, unless it is absent.
pub(super) fn digest(array: &FixedSizeBinaryArray, row: usize) -> Option<Digest> {
    if array.is_null(row) {
        return None;
    }
    Some(Digest::from_be_bytes(array.value(row).try_into().ok()?))
}

/// Lists of texts, read back.
#[derive(Debug)]
pub(super) struct TextListArray {
    lists: ListArray,
    texts: StringArray,
}

impl TextListArray {
    pub(super) fn list(&self, row: usize) -> impl Iterator<Item = &str> {
        elements(&self.lists, row).map(|at| text(&self.texts, at))
    }
}

/// Lists of documents, read back.
#[derive(Debug)]
pub(super) struct DocumentArray {
    lists: ListArray,
    types: StringArray,
    references: StringArray,
}

impl DocumentArray {
    pub(super) fn list(&self, row: usize) -> impl Iterator<Item = DocumentReference<'_>> {
        elements(&self.lists, row).map(|at| DocumentReference {
            r#type: text(&self.types, at),
            reference: text(&self.references, at),
        })
    }
}

/// Where the elements of a row's list lie.
fn elements(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    let bound = |at| lists.value_offsets().get(at).map_or(0, |at: &i32| at.unsigned_abs() as usize);
    bound(row)..bound(row + 1)
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
    type Array = TextListArray;

    fn new() -> Self {
        Self { texts: Texts::new(), lengths: Vec::new() }
    }

    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new(ELEMENT, Texts::data_type(), true)))
    }

    fn array(array: &ArrayRef) -> Option<Self::Array> {
        let lists = array.as_list_opt::<i32>()?.clone();
        let texts = lists.values().as_string_opt()?.clone();
        Some(TextListArray { lists, texts })
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
    type Array = DocumentArray;

    fn new() -> Self {
        Self { types: Texts::new(), references: Texts::new(), lengths: Vec::new() }
    }

    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new(ELEMENT, DataType::Struct(Self::fields()), false)))
    }

    fn array(array: &ArrayRef) -> Option<Self::Array> {
        let lists = array.as_list_opt::<i32>()?.clone();
        let documents = lists.values().as_struct_opt()?;
        let texts = |name| documents.column_by_name(name)?.as_string_opt().cloned();
        let (types, references) = (texts("type")?, texts("reference")?);
        Some(DocumentArray { lists, types, references })
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
