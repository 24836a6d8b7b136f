//! Reads an archive back as plain rows, for tests. Also included by `tests/archive.rs`.

#![allow(dead_code, reason = "each includer uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::types::{Date32Type, Int64Type, TimestampMillisecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, cast::AsArray};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use crate::proto::v1;

/// A row: column names and values. Moments are numbers, digests hexadecimal texts.
pub(crate) type Row = Map<String, Value>;

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The files of a table as a reader of a data set sees them: day and path, in order.
pub(crate) fn files(root: &Path, table: &str) -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    for folder in sorted(&root.join(table)) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let day = name.strip_prefix("day=").unwrap().to_owned();
        let paths = sorted(&folder);
        files.extend(paths.into_iter().filter(|p| is_seen(p)).map(|path| (day.clone(), path)));
    }
    files
}

fn is_seen(path: &Path) -> bool {
    !path.file_name().unwrap().to_str().unwrap().starts_with('.')
}

/// All rows of a table in the order of its files, each with its `day`.
pub(crate) fn rows(root: &Path, table: &str) -> Vec<Row> {
    let mut all = Vec::new();
    for (day, path) in files(root, table) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap());
        for batch in reader.unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let schema = batch.schema();
            for row in 0..batch.num_rows() {
                let columns = schema.fields().iter().zip(batch.columns());
                let mut values: Row =
                    columns.map(|(f, column)| (f.name().clone(), value(column, row))).collect();
                values.insert("day".into(), day.clone().into());
                all.push(values);
            }
        }
    }
    all
}

fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::Timestamp(..) => {
            array.as_primitive::<TimestampMillisecondType>().value(row).into()
        }
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::FixedSizeBinary(_) => {
            let bytes = array.as_fixed_size_binary().value(row);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>().value(row);
            (0..list.len()).map(|at| value(&list, at)).collect()
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            columns.map(|(f, column)| (f.name().clone(), value(column, row))).collect()
        }
        other => panic!("no column is {other}"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn number32(value: &Value) -> u32 {
    number(value).try_into().unwrap()
}

fn unless_empty<M: Default + PartialEq>(message: M) -> Option<M> {
    (message != M::default()).then_some(message)
}

fn documents(value: &Value) -> Vec<v1::DocumentReference> {
    let list = value.as_array().unwrap().iter();
    list.map(|document| v1::DocumentReference {
        r#type: text(&document["type"]),
        reference: text(&document["reference"]),
    })
    .collect()
}

fn party(row: &Row, role: &str) -> v1::Party {
    let field = |name: &str| row.get(&format!("{role}_{name}")).map(text).unwrap_or_default();
    v1::Party {
        name: field("name"),
        street: field("street"),
        postcode: field("postcode"),
        city: field("city"),
        country: field("country"),
        identification: field("identification"),
    }
}

fn goods_item(row: &Row) -> v1::GoodsItem {
    let procedures = row["additional_procedures"].as_array().unwrap().iter();
    v1::GoodsItem {
        goods_item_number: number32(&row["goods_item_number"]),
        hs6: text(&row["hs6"]),
        description: text(&row["description"]),
        intrinsic_value: unless_empty(v1::Money {
            currency: text(&row["intrinsic_value_currency"]),
            hundredths: number(&row["intrinsic_value_hundredths"]),
        }),
        gross_mass_mg: number(&row["gross_mass_mg"]),
        packages: number32(&row["packages"]),
        additional_procedures: procedures.map(text).collect(),
        product: unless_empty(v1::ProductIdentifiers {
            merchant: text(&row["product_merchant"]),
            manufacturer: text(&row["product_manufacturer"]),
            gtin: text(&row["product_gtin"]),
        }),
        country_of_origin: text(&row["country_of_origin"]),
    }
}

/// The declaration of a row and its goods items, as `GetDeclaration` shows it.
pub(crate) fn declaration<'r>(
    row: &Row,
    items: impl IntoIterator<Item = &'r Row>,
) -> v1::Declaration {
    v1::Declaration {
        lrn: text(&row["lrn"]),
        goods_items: items.into_iter().map(goods_item).collect(),
        additional_declaration_type: text(&row["additional_declaration_type"]),
        exporter: unless_empty(party(row, "exporter")),
        importer: unless_empty(party(row, "importer")),
        ioss_number: text(&row["ioss_number"]),
        transport_document: unless_empty(v1::DocumentReference {
            r#type: text(&row["transport_document_type"]),
            reference: text(&row["transport_document_reference"]),
        }),
        previous_documents: documents(&row["previous_documents"]),
        transport_costs: unless_empty(v1::Money {
            currency: text(&row["transport_costs_currency"]),
            hundredths: number(&row["transport_costs_hundredths"]),
        }),
        location_of_goods: unless_empty(v1::LocationOfGoods {
            r#type: text(&row["location_type"]),
            qualifier: text(&row["location_qualifier"]),
            identification: text(&row["location_identification"]),
        }),
        ucr: text(&row["ucr"]),
        supporting_documents: documents(&row["supporting_documents"]),
        fallback: unless_empty(v1::FallbackLodgement {
            reference: text(&row["fallback_reference"]),
            lodged_at_ms: row["fallback_lodged_at_ms"].as_i64().unwrap_or(0),
        }),
    }
}

/// All texts in a value.
pub(crate) fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}
