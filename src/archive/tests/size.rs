//! Bytes a goods item and bytes read for a look-up stay within what the module's documentation says; what
//! is printed, column by column, is where its figures come from: `WAAG_LINES=1500000 cargo test --lib
//! archive::tests::size -- --nocapture`.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs::File;

use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::making::*;
use super::*;
use crate::disk::simulated::Chance;
use crate::mrn::Mint;
use crate::wire::normalise::normalise_lodger;

/// Writes generated batches as accepted or rejected, by whom they are lodged, and publishes the set.
fn write_generated(archive: &Archive, lines: u64) -> Set {
    let (law, mint) = (day_law(), Mint::new([5; 16]));
    let (rule_set, reference_data) = (law.rule_set_name(), law.reference_name());
    let mut digester = Digester::new(Keys::new([1; 16], [2; 32]));
    let (mut judge, mut findings) = (Judge::new(), Findings::default());
    let mut writer = archive.begin(Watermark(1), Ordinal(0)).unwrap();
    let (mut record, mut ordinal) = (0, 0);
    let options = crate::generate::Options { lines, ..crate::generate::Options::on(law.day()) };
    for batch in crate::generate::Generator::new(&options).unwrap() {
        let message = prost::Message::encode_to_vec(&batch.request);
        let (arena, mut view) = (Bump::new(), Declaration::default());
        let batch = Batch::read(&message, Bounds::default()).unwrap();
        let (declarant, representative) =
            normalise_lodger(batch.declarant(), batch.representative(), &arena);
        let lodger = Lodger {
            declarant: Eori::parse(declarant).unwrap(),
            representative,
            representative_status: batch.representative_status(),
        };
        record += 1;
        let (number, first_ordinal, at) =
            (Watermark(record), Ordinal(ordinal), Moment(AT.0 + 40 * record as i64));
        writer.begin(number, law.day()).unwrap();
        let mut goods_items = 0;
        for index in 0..batch.len() {
            let encoded = batch.declaration(index, &arena, &mut view).unwrap();
            let digests = digester.digests(&lodger, &view, encoded);
            findings.clear();
            let none = FallbackCheck::default();
            let judgement = judge.judge(&law, &lodger, &view, none, &mut findings);
            let accepted = !judgement.rejected;
            let row = DeclarationRow {
                ordinal: Ordinal(ordinal),
                record: number,
                index: index as u32,
                outcome: if accepted { Outcome::Accepted } else { Outcome::Rejected },
                mrn: accepted.then(|| mint.mrn(2026, Ordinal(ordinal))),
                lodger: &lodger,
                judged_at: at,
                lodged_at: None,
                lodged_day: None,
                rule_set: &rule_set,
                reference_data: &reference_data,
                law: 0,
                judgement,
                content: digests.content,
                with_fallback: None,
                declaration: &view,
                line_values: judge.line_values(),
                findings: findings.since(0),
            };
            writer.declaration(law.day(), &row).unwrap();
            ordinal += 1;
            goods_items += view.goods_items.len() as u32;
        }
        let row = BatchRow {
            record: number,
            batch_id: batch.batch_id(),
            lodger: &lodger,
            judged_at: at,
            law: 0,
            first_ordinal,
            declarations: batch.len() as u32,
            goods_items,
        };
        writer.batch(law.day(), &row).unwrap();
    }
    let set = writer.finish(Watermark(record), Ordinal(ordinal)).unwrap();
    archive.publish(set.clone()).unwrap();
    set
}

#[test]
fn bytes_a_goods_item_and_bytes_read_for_a_look_up() {
    let asked = std::env::var("WAAG_LINES").ok().map(|lines| lines.parse().unwrap());
    let lines = asked.unwrap_or(20_000);
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(LocalDisk::new());
    let (archive, _) = Archive::open(disk, folder.path(), options(false)).unwrap();
    let set = write_generated(&archive, lines);
    let part = &set.parts[0];
    let per_line = |bytes: u64| bytes as f64 / part.goods_items() as f64;
    println!("{} declarations, {} goods items", part.declarations(), part.goods_items());
    for (table, file) in part.files.iter().enumerate() {
        let path = part.path(folder.path(), table, &set);
        println!("{:8.3} {}", per_line(file.bytes), tables::TABLES[table]);
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let mut columns: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut in_columns = 0;
        for column in reader.metadata().row_groups().iter().flat_map(|group| group.columns()) {
            let name = column.column_path().string();
            let bytes = column.compressed_size() as u64;
            in_columns += bytes;
            let known = columns.entry(name).or_default();
            known.0 += bytes;
            known.1 += column.data_page_offset() as u64
                - column.dictionary_page_offset().unwrap_or(column.data_page_offset()) as u64;
        }
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        for (name, (bytes, dictionary)) in columns.iter().take(16) {
            println!("{:16.3} {:8.3} {name}", per_line(*bytes), per_line(*dictionary));
        }
        println!(
            "{:16.3} footer, {} bytes",
            per_line(file.bytes - in_columns),
            file.bytes - in_columns
        );
    }
    println!("{:8.3} in all", per_line(set.bytes()));
    let set_file = std::fs::metadata(set.path(folder.path())).unwrap().len();
    println!("{:8.3} set file, {set_file} bytes", per_line(set_file));
    let (mut chance, mut read) = (Chance(1), Vec::new());
    for _ in 0..40 {
        let ordinal = Ordinal(chance.below(set.end_ordinal.0));
        match archive.declaration(ordinal).unwrap() {
            Found::Declaration(found) => read.push(found.bytes_read),
            other => panic!("{other:?}"),
        }
    }
    read.sort_unstable();
    println!(
        "bytes read for a look-up: least {}, median {}, most {}",
        read[0],
        read[read.len() / 2],
        read[read.len() - 1]
    );
    if asked.is_none() {
        // So few lines share little, and less of a file is passed over than is of a larger one.
        assert!(per_line(set.bytes()) < 52.0, "{}", per_line(set.bytes()));
        assert!(read[read.len() / 2] < 900_000, "{read:?}");
    }
}
