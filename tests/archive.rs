//! What was lodged is exported as Parquet files, equal to what the server answers; names and
//! streets of private persons are not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

mod proto {
    pub(crate) use waag::proto::v1;
}

#[path = "../src/archive/reading.rs"]
mod reading;

use std::path::Path;

use common::{
    CLOCK, NOON, SETTINGS, Server, Start, batch, declaration, fallback, folder, gift, waag,
    waag_ok, with_value, withheld,
};
use reading::{Row, rows};
use serde_json::{Value, json};
use waag::proto::v1::{
    GetDeclarationRequest, GetDeclarationResponse, LocalReference, Outcome, SubmitBatchRequest,
    SubmitBatchResponse, get_declaration_request,
};

async fn lodge(server: &Server, request: SubmitBatchRequest) -> SubmitBatchResponse {
    server.lodgement().await.submit_batch(request).await.unwrap().into_inner()
}

async fn get(server: &Server, lrn: &str) -> GetDeclarationResponse {
    let local = LocalReference { declarant: "NL810000003".into(), lrn: lrn.into() };
    let key = Some(get_declaration_request::Key::LocalReference(local));
    let request = GetDeclarationRequest { key };
    server.lodgement().await.get_declaration(request).await.unwrap().into_inner()
}

fn items_of<'r>(rows: &'r [Row], ordinal: &Value) -> Vec<&'r Row> {
    rows.iter().filter(|row| row["ordinal"] == *ordinal).collect()
}

fn outcomes(answer: &SubmitBatchResponse) -> Vec<Outcome> {
    answer.verdicts.iter().map(|verdict| verdict.outcome()).collect()
}

fn export(data: &Path, to: &Path, more: &[&str]) -> Value {
    let (data, to) = (data.to_str().unwrap(), to.to_str().unwrap());
    let args = [&["export", "--json", "--data-dir", data, "--to", to], more].concat();
    serde_json::from_str(&waag_ok(&args)).unwrap()
}

#[tokio::test]
async fn what_is_exported_is_what_was_answered() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let first = lodge(
        &server,
        batch(
            "first",
            vec![
                declaration("GOOD"),
                with_value("DEAR", 15_001),
                gift("GIFT"),
                fallback("LATE", 30),
                fallback("TOO-LATE", 31 * 24),
            ],
        ),
    )
    .await;
    use Outcome::{Accepted, Conflict, Rejected, Replayed};
    assert_eq!(outcomes(&first), [Accepted, Rejected, Accepted, Accepted, Rejected], "{first:?}");
    let second = lodge(
        &server,
        batch(
            "second",
            vec![
                declaration("GOOD"),
                with_value("GOOD", 1_000),
                with_value("DEAR", 15_001),
                declaration("NEW"),
            ],
        ),
    )
    .await;
    assert_eq!(outcomes(&second), [Replayed, Conflict, Replayed, Accepted]);
    let mut answers = Vec::new();
    for lrn in ["GOOD", "DEAR", "GIFT", "LATE", "TOO-LATE", "NEW"] {
        answers.push((lrn, get(&server, lrn).await));
    }
    assert_eq!(server.stop().await, 0);

    let to = outer.path().join("archive");
    let told = export(&data, &to, &["--memory-max", "256MiB"]);
    assert_eq!(told["records"], second.watermark);
    let marked = std::fs::read_to_string(to.join("export.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&marked).unwrap(), told);
    let [declarations, items, findings, replays, batches] =
        ["declarations", "goods_items", "findings", "replays", "batches"]
            .map(|table| rows(&to, table));

    assert_eq!(declarations.len(), 7);
    for (lrn, answer) in &answers {
        let verdict = answer.verdict.as_ref().unwrap();
        let row = declarations
            .iter()
            .find(|row| row["lrn"] == *lrn && row["outcome"] != "CONFLICT")
            .unwrap();
        let items = items_of(&items, &row["ordinal"]);
        let expected = withheld(answer.declaration.clone().unwrap());
        assert_eq!(reading::declaration(row, items.iter().copied()), expected);
        let outcome = verdict.outcome().as_str_name();
        assert_eq!(row["outcome"].as_str(), outcome.strip_prefix("OUTCOME_"));
        assert_eq!(row["mrn"].as_str().unwrap_or_default(), verdict.mrn);
        assert_eq!(row["declarant"], answer.declarant);
        assert_eq!(row["rule_set"], answer.rule_set);
        assert_eq!(row["reference_data"], answer.reference_data);
        assert_eq!(
            (&row["judged_at"], &row["day"]),
            (&answer.judged_at_ms.into(), &"2026-11-05".into())
        );
        assert_eq!(row["intrinsic_value_eur_cents"], verdict.intrinsic_value_eur_cents);
        assert_eq!(row["duty_eur_cents"], verdict.duty_eur_cents);
        let found = items_of(&findings, &row["ordinal"]);
        assert_eq!(found.len(), verdict.findings.len());
        for (row, finding) in found.iter().zip(&verdict.findings) {
            assert_eq!(row["reason"], finding.reason);
            assert_eq!(row["goods_item"], finding.goods_item_number);
            assert_eq!(row["data_element"], finding.data_element);
            let severity = finding.severity().as_str_name();
            assert_eq!(row["severity"].as_str(), severity.strip_prefix("SEVERITY_"));
        }
    }
    let of = |lrn: &str, outcome: &str| {
        let mut rows = declarations.iter();
        rows.find(|row| row["lrn"] == lrn && row["outcome"] == outcome).unwrap()
    };
    let lodged = |lrn: &str, outcome| of(lrn, outcome)["lodged_at"].as_i64();
    assert_eq!(lodged("LATE", "ACCEPTED"), Some(NOON - 30 * 3_600_000));
    assert_eq!((lodged("GOOD", "ACCEPTED"), lodged("TOO-LATE", "REJECTED")), (None, None));

    let conflict = of("GOOD", "CONFLICT");
    assert_eq!((&conflict["record"], &conflict["index"]), (&second.watermark.into(), &1.into()));
    let reason = &items_of(&findings, &conflict["ordinal"])[0]["reason"];
    assert_eq!(reason, "LRN_CONTENT_CONFLICT");

    let ordinal = |lrn: &str, outcome: &str| of(lrn, outcome)["ordinal"].clone();
    for (row, index, first, replay_of) in [
        (&replays[0], 0, ordinal("GOOD", "ACCEPTED"), "ACCEPTED"),
        (&replays[1], 2, ordinal("DEAR", "REJECTED"), "REJECTED"),
    ] {
        assert_eq!((&row["index"], &row["first_ordinal"]), (&index.into(), &first));
        assert_eq!(
            (&row["replay_of"], &row["record"]),
            (&replay_of.into(), &second.watermark.into())
        );
    }
    assert_eq!(replays.len(), 2);
    let expected = [("first", first.watermark, 0, 5), ("second", second.watermark, 5, 4)];
    assert_eq!(batches.len(), 2);
    for (row, (id, record, first_ordinal, declarations)) in batches.iter().zip(expected) {
        let found = [&row["batch_id"], &row["record"], &row["first_ordinal"], &row["declarations"]];
        assert_eq!(
            found,
            [&json!(id), &json!(record), &json!(first_ordinal), &json!(declarations)]
        );
    }

    // Of the two declarations of one importer, and of nobody's, the pseudonyms are the same.
    let pseudonyms =
        |lrn| (&of(lrn, "ACCEPTED")["importer_person"], &of(lrn, "ACCEPTED")["importer_address"]);
    assert_eq!(pseudonyms("GOOD"), pseudonyms("NEW"));
    assert!(of("GIFT", "ACCEPTED")["exporter_person"].is_u64());
    assert!(of("GOOD", "ACCEPTED")["exporter_person"].is_null());
    let importer = declaration("x").importer.unwrap();
    let secret = [&*importer.name, &importer.street, "Geheime Afzender", "Verborgen Laan 9"];
    for table in [declarations, items, findings, replays, batches] {
        let mut texts = Vec::new();
        table.into_iter().for_each(|row| reading::texts(&Value::Object(row), &mut texts));
        for secret in secret {
            assert!(!texts.iter().any(|text| text.contains(secret)), "{secret}");
        }
    }
}

#[tokio::test]
async fn names_and_streets_are_kept_where_the_settings_say_so_and_days_are_chosen() {
    let (outer, data) = folder();
    for (day, lrn) in [("2026-11-05", "A"), ("2026-11-06", "B"), ("2026-11-09", "C")] {
        let server = Start::at(&data, &format!("{day}T12:00")).run();
        lodge(&server, batch(lrn, vec![gift(lrn), declaration(&format!("{lrn}2"))])).await;
        // A replay of an earlier day, in a batch of nothing else.
        lodge(&server, batch(lrn, vec![gift("A")])).await;
        assert_eq!(server.stop().await, 0);
    }
    let settings = outer.path().join("personal.toml");
    std::fs::write(&settings, format!("{SETTINGS}\narchive_personal_data = true")).unwrap();
    let to = outer.path().join("personal");
    let more = ["--config", settings.to_str().unwrap(), "--days", "2026-11-06..2026-11-08"];
    let told = export(&data, &to, &more);
    assert_eq!(told["personal_data"], true);
    assert_eq!(
        (&told["first_day"], &told["last_day"]),
        (&json!("2026-11-06"), &json!("2026-11-06"))
    );
    let declarations = rows(&to, "declarations");
    let lrns: Vec<_> = declarations.iter().map(|row| row["lrn"].as_str().unwrap()).collect();
    assert_eq!(lrns, ["B", "B2"]);
    assert_eq!(declarations[0]["exporter_name"], "Geheime Afzender");
    assert_eq!(declarations[0]["importer_street"], declaration("x").importer.unwrap().street);
    let replays = rows(&to, "replays");
    assert_eq!((replays.len(), &replays[0]["day"]), (1, &json!("2026-11-06")));

    let all = outer.path().join("all");
    let told = export(&data, &all, &["--memory-max", "256MiB"]);
    assert_eq!(told["personal_data"], false);
    let days: Vec<_> = rows(&all, "declarations").iter().map(|row| row["day"].clone()).collect();
    assert_eq!(
        days,
        ["2026-11-05", "2026-11-05", "2026-11-06", "2026-11-06", "2026-11-09", "2026-11-09"]
    );
    // Pseudonyms are the data folder's: those of both exports can be compared.
    let person = |row: &Row| row["importer_person"].clone();
    assert_eq!(person(&rows(&all, "declarations")[2]), person(&declarations[0]));
    // The first answer of a replay may be of another day.
    let first = &rows(&all, "declarations")[0]["ordinal"];
    assert!(rows(&all, "replays").iter().all(|row| row["first_ordinal"] == *first));
}

#[tokio::test]
async fn an_export_is_whole_or_told_not_to_be() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    lodge(&server, batch("b", vec![declaration("A")])).await;
    let fails = |to: &Path, told: &str| {
        let (data, to) = (data.to_str().unwrap(), to.to_str().unwrap());
        let output = waag(&["export", "--data-dir", data, "--to", to, "--memory-max", "256MiB"]);
        assert_eq!(output.status.code(), Some(1));
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(log.contains(told), "{told}: {log}");
    };
    let to = outer.path().join("to");
    fails(&to, "in use");
    assert_eq!(server.stop().await, 0);
    fails(&data.join("inside"), "lies in the data folder");
    assert!(!data.join("inside").exists());
    fails(outer.path(), "holds something else");

    export(&data, &to, &["--memory-max", "256MiB"]);
    fails(&to, "holds a whole export");
    std::fs::remove_file(to.join("export.json")).unwrap();
    fails(&to, "interrupted");

    // A damaged journal is told, and what was written until then is not taken for whole.
    let segment = std::fs::read_dir(data.join("journal")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(11).position(|window| window == b"NL810000003").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let again = outer.path().join("again");
    fails(&again, "damaged");
    assert!(!again.join("export.json").exists());
}

/// What stands in a CSV file of a value that [`rows`] read from a Parquet file.
fn as_csv(column: &str, value: &Value) -> String {
    let moment = |at: i64| format!("{:.3}", jiff::Timestamp::from_millisecond(at).unwrap());
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(days) if column == "lodged_day" => {
            moment(days.as_i64().unwrap() * 86_400_000)[..10].to_owned()
        }
        Value::Number(at) if column.ends_with("_at") => moment(at.as_i64().unwrap()),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn csv_says_what_parquet_says() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let mut odd = declaration("ODD");
    odd.goods_items[0].description = "Cups, \"blue\";\r\nand é".into();
    let declarations = vec![
        declaration("GOOD"),
        odd,
        with_value("DEAR", 15_001),
        gift("GIFT"),
        fallback("LATE", 30),
    ];
    lodge(&server, batch("first", declarations.clone())).await;
    lodge(&server, batch("again", declarations)).await;
    assert_eq!(server.stop().await, 0);

    let (parquet, csv) = (outer.path().join("parquet"), outer.path().join("csv"));
    let told = export(&data, &parquet, &["--memory-max", "256MiB"]);
    let told_csv = export(&data, &csv, &["--memory-max", "256MiB", "--format", "csv"]);
    assert_eq!((&told["format"], &told_csv["format"]), (&json!("parquet"), &json!("csv")));
    for (place, table) in
        ["batches", "declarations", "goods_items", "findings", "replays"].into_iter().enumerate()
    {
        let expected = rows(&parquet, table);
        let files = reading::files(&csv, table);
        let mut found = Vec::new();
        for (_, path) in &files {
            assert_eq!(path.extension().unwrap(), "csv");
            let mut reader = csv::Reader::from_path(path).unwrap();
            let names = reader.headers().unwrap().clone();
            found.extend(reader.records().map(|record| (names.clone(), record.unwrap())));
        }
        assert!(!expected.is_empty() && expected.len() == found.len(), "{table}");
        for (row, (names, record)) in expected.iter().zip(&found) {
            assert_eq!(names.len(), row.len(), "{table}");
            for (name, field) in names.iter().zip(record) {
                assert_eq!(field, as_csv(name, &row[name]), "{table} {name}");
            }
        }
        let bytes: u64 = files.iter().map(|(_, path)| path.metadata().unwrap().len()).sum();
        assert_eq!(told_csv["tables"][place]["bytes"], bytes, "{table}");
    }

    let some = outer.path().join("some");
    let only = ["--table", "replays", "--table", "batches", "--memory-max", "256MiB"];
    let told = export(&data, &some, &only);
    let names = |told: &Value| -> Vec<Value> {
        told["tables"].as_array().unwrap().iter().map(|table| table["table"].clone()).collect()
    };
    assert_eq!(names(&told), ["batches", "replays"]);
    let mut there: Vec<_> = std::fs::read_dir(&some)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, ["batches", "export.json", "replays"]);
    let wrong = waag(&["export", "--to", "x", "--table", "lines"]);
    assert_eq!(wrong.status.code(), Some(2));
    let log = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(log.contains("lines") && log.contains("goods_items"), "{log}");
}
