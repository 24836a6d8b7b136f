//! `waag-load rows`: writes what `waag-load run` would send as rows of a CSV file, for databases.
//!
//! One row is one declaration, as it is after `common` was applied and texts were normalised. Its
//! goods items are one text, a JSON array of arrays: a database that keeps them so has one row and
//! one entry of its index for each declaration, which is the least it can have and yet hold all that
//! was declared. Rows come in the order in which each connection sends them, those sent again and
//! conflicting ones included, so that a table that keeps the first row of each (declarant, LRN) has
//! what Waag has.
//!
//! The rows are spread over as many files as are asked for, by connection: whatever refers to an
//! earlier declaration stands in the same file as that one, behind it.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use bumpalo::Bump;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use waag::command::Failure;
use waag::proto::v1;
use waag::wire::message::to_message;
use waag::wire::normalise::normalise_lodger;
use waag::wire::reader::{Batch, Bounds};
use waag::wire::view::Declaration;

use super::lane::Load;
use super::options::LoadArgs;
use super::plan::{Part, Sending};
use super::report::{said, write_json};

/// The columns, in their order. `_status`, `_hundredths` and `_ms` are numbers, all others texts.
const COLUMNS: [&str; 34] = [
    "declarant",
    "lrn",
    "batch_id",
    "representative",
    "representative_status",
    "additional_declaration_type",
    "exporter_name",
    "exporter_street",
    "exporter_postcode",
    "exporter_city",
    "exporter_country",
    "exporter_identification",
    "importer_name",
    "importer_street",
    "importer_postcode",
    "importer_city",
    "importer_country",
    "importer_identification",
    "ioss_number",
    "transport_document_type",
    "transport_document_reference",
    "previous_documents",
    "transport_costs_currency",
    "transport_costs_hundredths",
    "location_type",
    "location_qualifier",
    "location_identification",
    "ucr",
    "supporting_documents",
    "fallback_reference",
    "fallback_lodged_at_ms",
    "value_currency",
    "value_hundredths",
    "goods_items",
];

/// Write what `run` sends with the same flags as rows of CSV, one for each declaration
///
/// Prints one JSON object with what there is in the files.
#[derive(Debug, Args)]
pub(crate) struct RowsArgs {
    /// Until so many lines are written, over all connections
    #[arg(long, value_name = "N", value_parser = waag::command::generate::count)]
    lines: u64,

    /// The folder, which must be there; files are rows-0.csv and so on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Files to spread the rows over, by connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    files: u16,

    /// What is sent.
    #[command(flatten)]
    load: LoadArgs,
}

/// What was written.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Written {
    /// Rows.
    declarations: u64,
    /// Goods items in them.
    lines: u64,
    /// Rows whose (declarant, LRN) no row before has.
    distinct: u64,
    files: Vec<PathBuf>,
    columns: &'static [&'static str],
}

/// Writes the rows.
///
/// # Errors
/// A flag outside its bounds, or a file that cannot be written.
pub(crate) fn run(args: &RowsArgs) -> Result<(), Failure> {
    let (load, _) = args.load.load(true, Some(args.lines))?;
    let written = write_all(args, &load)?;
    write_json(Path::new("-"), &written)
}

fn write_all(args: &RowsArgs, load: &Load) -> Result<Written, Failure> {
    let connections = u64::from(args.load.connections);
    let lines = args.lines.div_ceil(connections);
    let mut written = Written { columns: &COLUMNS, ..Written::default() };
    for file in 0..u64::from(args.files) {
        let path = args.out.join(format!("rows-{file}.csv"));
        let mut rows = open(&path)?;
        let lanes = (0..connections).filter(|lane| lane % u64::from(args.files) == file);
        // As they are sent: all connections at once, and not one after another.
        let mut lanes: Vec<_> = lanes.map(|lane| (lane, 0, 0)).collect();
        while !lanes.is_empty() {
            for (lane, next, sent) in &mut lanes {
                let sending = load.plan.sending(*lane, *next, &load.templates.list);
                *sent += write_batch(load, *lane, &sending, &mut rows, &mut written)?;
                *next += 1;
            }
            lanes.retain(|(_, _, sent)| *sent < lines);
        }
        rows.flush().map_err(|error| said(&path, &error))?;
        written.files.push(path);
    }
    Ok(written)
}

type Rows = csv::Writer<BufWriter<File>>;

fn open(path: &Path) -> Result<Rows, Failure> {
    let file = File::create(path).map_err(|error| said(path, &error))?;
    let mut rows = csv::Writer::from_writer(BufWriter::with_capacity(1 << 20, file));
    rows.write_record(COLUMNS)?;
    Ok(rows)
}

/// Writes the declarations of a sending; how many lines it has.
fn write_batch(
    load: &Load,
    lane: u64,
    sending: &Sending,
    rows: &mut Rows,
    written: &mut Written,
) -> Result<u64, Failure> {
    let Load { plan, templates, .. } = load;
    let template = templates.list.get(sending.template).ok_or("there is no template")?;
    let contents = sending.contents(plan, lane, template.places.len());
    let known_as = plan.number(lane, sending.number);
    let message = templates.patched(template, known_as, plan.number(lane, sending.batch), contents);
    let arena = Bump::new();
    let batch = Batch::read(&message, Bounds::default())?;
    let (declarant, representative) =
        normalise_lodger(batch.declarant(), batch.representative(), &arena);
    let mut declaration = Declaration::default();
    for index in 0..batch.len() {
        batch.declaration(index, &arena, &mut declaration)?;
        let status = batch.representative_status().to_string();
        let lodged = [declarant, batch.batch_id(), representative, &status];
        rows.write_record(row(lodged, &to_message(&declaration)))?;
        written.declarations += 1;
        let is_new = !sending.again && sending.part(index) == Part::New;
        written.distinct += u64::from(is_new);
    }
    written.lines += template.lines;
    Ok(template.lines)
}

fn row(lodged: [&str; 4], one: &v1::Declaration) -> [String; 34] {
    let [declarant, batch_id, representative, representative_status] = lodged;
    let exporter = one.exporter.clone().unwrap_or_default();
    let importer = one.importer.clone().unwrap_or_default();
    let transport = one.transport_document.clone().unwrap_or_default();
    let costs = one.transport_costs.clone().unwrap_or_default();
    let location = one.location_of_goods.clone().unwrap_or_default();
    let fallback = one.fallback.clone().unwrap_or_default();
    let values = one.goods_items.iter().filter_map(|item| item.intrinsic_value.as_ref());
    let currency = values.clone().next().map(|money| money.currency.clone());
    // One that says more than fits is invalid; the column says so by its size.
    let value = values.fold(0_u64, |sum, money| sum.saturating_add(money.hundredths));
    [
        declarant.into(),
        one.lrn.clone(),
        batch_id.into(),
        representative.into(),
        representative_status.into(),
        one.additional_declaration_type.clone(),
        exporter.name,
        exporter.street,
        exporter.postcode,
        exporter.city,
        exporter.country,
        exporter.identification,
        importer.name,
        importer.street,
        importer.postcode,
        importer.city,
        importer.country,
        importer.identification,
        one.ioss_number.clone(),
        transport.r#type,
        transport.reference,
        documents(&one.previous_documents),
        costs.currency,
        costs.hundredths.to_string(),
        location.r#type,
        location.qualifier,
        location.identification,
        one.ucr.clone(),
        documents(&one.supporting_documents),
        fallback.reference,
        fallback.lodged_at_ms.to_string(),
        currency.unwrap_or_default(),
        value.to_string(),
        goods_items(&one.goods_items),
    ]
}

/// Types and references, each with a space between.
fn documents(list: &[v1::DocumentReference]) -> String {
    let texts = list.iter().map(|document| format!("{} {}", document.r#type, document.reference));
    texts.collect::<Vec<_>>().join(" ")
}

/// Without the names of fields, so that it is no longer than the message that was sent.
fn goods_items(list: &[v1::GoodsItem]) -> String {
    let items = list.iter().map(|item| {
        let value = item.intrinsic_value.clone().unwrap_or_default();
        let product = item.product.clone().unwrap_or_default();
        json!([
            item.goods_item_number,
            item.hs6,
            item.description,
            value.currency,
            value.hundredths,
            item.gross_mass_mg,
            item.packages,
            item.additional_procedures,
            product.merchant,
            product.manufacturer,
            product.gtin,
            item.country_of_origin,
        ])
    });
    serde_json::Value::from_iter(items).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use std::collections::HashSet;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RowsArgs,
    }

    fn written(files: &str) -> (Written, Vec<Vec<csv::StringRecord>>) {
        let folder = tempfile::tempdir().unwrap();
        let line = [
            ["rows", "--lines", "40_000", "--seed"].as_slice(),
            &["3", "--batch", "50", "--connections", "3", "--batches-in-flight", "3"],
            &["--replays", "0.1", "--conflicts", "0.05", "--invalid", "0.1", "--files", files],
            &["--out", folder.path().to_str().unwrap()],
        ]
        .concat();
        let args = Line::parse_from(line).args;
        let (load, _) = args.load.load(true, Some(args.lines)).unwrap();
        let written = write_all(&args, &load).unwrap();
        let read = |path: &PathBuf| {
            let mut reader = csv::Reader::from_path(path).unwrap();
            assert_eq!(reader.headers().unwrap(), &COLUMNS[..]);
            reader.records().map(Result::unwrap).collect()
        };
        let files = written.files.iter().map(read).collect();
        (written, files)
    }

    fn lines(row: &csv::StringRecord) -> u64 {
        let items: serde_json::Value = serde_json::from_str(&row[33]).unwrap();
        u64::try_from(items.as_array().unwrap().len()).unwrap()
    }

    #[test]
    fn the_files_hold_what_is_counted_however_many_they_are() {
        let mut all = Vec::new();
        for files in ["1", "2"] {
            let (written, files) = written(files);
            let rows: Vec<_> = files.concat();
            let keys: HashSet<_> = rows.iter().map(|row| (&row[0], &row[1])).collect();
            assert_eq!(written.distinct, keys.len() as u64);
            assert_eq!(written.declarations, rows.len() as u64);
            assert_eq!(written.lines, rows.iter().map(lines).sum::<u64>());
            assert!(written.lines >= 40_000);
            // Replays and conflicts are there.
            assert!(written.declarations > written.distinct + written.distinct / 20);
            // No key is in two files.
            let each: usize = files
                .iter()
                .map(|rows| rows.iter().map(|row| (&row[0], &row[1])).collect::<HashSet<_>>().len())
                .sum();
            assert_eq!(each, keys.len());
            let mut sorted: Vec<_> = rows.iter().map(|row| row.as_slice().to_owned()).collect();
            sorted.sort_unstable();
            all.push(sorted);
        }
        assert_eq!(all[0], all[1]);
    }

    #[test]
    fn a_row_says_what_the_declaration_does() {
        let money = |hundredths| Some(v1::Money { currency: "EUR".into(), hundredths });
        let item = |hundredths| v1::GoodsItem {
            goods_item_number: 1,
            hs6: "851830".into(),
            intrinsic_value: money(hundredths),
            ..Default::default()
        };
        let document = |reference: &str| v1::DocumentReference {
            r#type: "N337".into(),
            reference: reference.into(),
        };
        let declaration = v1::Declaration {
            lrn: "L".into(),
            goods_items: vec![item(250), item(50)],
            previous_documents: vec![document("A"), document("B")],
            ..Default::default()
        };
        let row = row(["NL1", "first", "NL2", "3"], &declaration);
        let of = |name: &str| &row[COLUMNS.iter().position(|column| *column == name).unwrap()];
        assert_eq!([of("declarant"), of("lrn"), of("batch_id")], ["NL1", "L", "first"]);
        assert_eq!([of("representative"), of("representative_status")], ["NL2", "3"]);
        assert_eq!([of("value_currency"), of("value_hundredths")], ["EUR", "300"]);
        assert_eq!(of("previous_documents"), "N337 A N337 B");
        let item = r#"[1,"851830","","EUR",250,0,0,[],"","","",""]"#;
        assert!(of("goods_items").starts_with(&format!("[{item},")), "{}", of("goods_items"));
    }
}
