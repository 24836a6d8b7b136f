//! `waag send` against a real server: whatever a file is written in, whatever is killed on the way, the
//! verdicts are the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use common::{HANGS_AFTER, Server, Start, WAAG, folder, waag, waag_ok};
use serde_json::Value;
use waag::day::Day;
use waag::generate::{Expected, Generator, Options};
use waag::outcome::Outcome;

const CLOCK: &str = "2026-11-05T08:00";
const LINES: u64 = 20_000;

/// What `--lines` and the like below describe.
fn options() -> Options {
    Options {
        lines: LINES,
        actors: 7,
        seed: 11,
        replays: 0.05,
        conflicts: 0.02,
        invalid: 0.06,
        batch: 300,
        ..Options::on(Day::parse("2026-11-05").unwrap())
    }
}

/// A generated file of that format.
fn generated(folder: &Path, format: &str, name: &str) -> PathBuf {
    let path = folder.join(name);
    let (lines, out) = (LINES.to_string(), path.to_str().unwrap());
    waag_ok(&[
        "generate",
        "--lines",
        &lines,
        "--actors",
        "7",
        "--seed",
        "11",
        "--replays",
        "0.05",
        "--conflicts",
        "0.02",
        "--invalid",
        "0.06",
        "--batch",
        "300",
        "--on",
        "2026-11-05",
        "--format",
        format,
        "--out",
        out,
    ]);
    path
}

fn send_command(file: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(WAAG);
    command.arg("send").arg(file).args(["--to", url]).args(args).env("NO_COLOR", "1");
    command.stdin(Stdio::null());
    command
}

fn send(file: &Path, url: &str, args: &[&str]) -> Output {
    send_command(file, url, args).output().unwrap()
}

/// Sends, which must end with that code; what it says on both sides.
fn send_ends(code: i32, file: &Path, url: &str, args: &[&str]) -> (String, String) {
    let output = send(file, url, args);
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{} {args:?}: {log}", file.display());
    (String::from_utf8(output.stdout).unwrap(), log)
}

fn verdicts_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".verdicts.jsonl");
    path.into()
}

fn verdicts(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(verdicts_path(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn write(path: &Path, content: &str) -> PathBuf {
    std::fs::write(path, content).unwrap();
    path.to_owned()
}

/// A file with one declaration to a line.
fn declarations(path: &Path, lrns: &[&str]) -> PathBuf {
    let lines =
        lrns.iter().map(|lrn| serde_json::to_string(&common::declaration(lrn)).unwrap() + "\n");
    write(path, &lines.collect::<String>())
}

#[test]
fn a_file_gets_the_same_verdicts_in_every_format_and_compression() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let url = server.url();
    let json = generated(outer.path(), "json", "day.jsonl");
    let (summary, _) = send_ends(3, &json, &url, &["--json"]);
    let expected: Vec<Expected> =
        Generator::new(&options()).unwrap().flat_map(|batch| batch.expected).collect();
    let found = verdicts(&json);
    assert_eq!(found.len(), expected.len());
    for (number, (line, expected)) in found.iter().zip(&expected).enumerate() {
        let first = match expected.replay_of.unwrap_or(expected.outcome) {
            Outcome::Accepted => "OUTCOME_ACCEPTED",
            Outcome::Rejected => "OUTCOME_REJECTED",
            Outcome::Conflict => "OUTCOME_CONFLICT",
            Outcome::Replayed => unreachable!("no replay is answered first"),
        };
        assert_eq!(line["outcome"], first, "{number}: {line}");
    }
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let counted = |outcome: &str| found.iter().filter(|line| line["outcome"] == outcome).count();
    assert_eq!(summary["all"]["accepted"], counted("OUTCOME_ACCEPTED"));
    assert_eq!(summary["all"]["rejected"], counted("OUTCOME_REJECTED"));
    assert_eq!(summary["all"]["conflicts"], counted("OUTCOME_CONFLICT"));
    assert!(counted("OUTCOME_REJECTED") > 100 && counted("OUTCOME_CONFLICT") > 50, "{summary}");

    // To the same server all of it is a replay, and any other content would be a conflict: so it is the same
    // content, whose first answers these are.
    let first = std::fs::read(verdicts_path(&json)).unwrap();
    let mut others = vec![
        generated(outer.path(), "binary", "day.pb"),
        generated(outer.path(), "csv", "day.csv"),
        generated(outer.path(), "parquet", "day.parquet"),
    ];
    let compressed: Vec<PathBuf> = others
        .iter()
        .chain([&json])
        .flat_map(|path| [compress(path, "gz"), compress(path, "zst")])
        .collect();
    others.extend(compressed);
    for other in &others {
        let (summary, _) = send_ends(3, other, &url, &["--json"]);
        let same = std::fs::read(verdicts_path(other)).unwrap() == first;
        assert!(same, "{}: other verdicts: {summary}", other.display());
        let summary: Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["all"]["declarations"], summary["files"][0]["replays"]);
    }
    for (format, name) in [("csv", "day.csv.gz"), ("parquet", "day.parquet"), ("json", "day.jsonl")]
    {
        let verdicts = outer.path().join("stdin.jsonl");
        let mut command = send_command(Path::new("-"), &url, &["--anew", "--format", format]);
        command.arg("--verdicts").arg(&verdicts).stdout(Stdio::null()).stderr(Stdio::null());
        command.stdin(std::fs::File::open(outer.path().join(name)).unwrap());
        assert_eq!(command.status().unwrap().code(), Some(3));
        assert!(std::fs::read(&verdicts).unwrap() == first, "{name} from standard input");
    }
}

fn compress(path: &Path, with: &str) -> PathBuf {
    let content = std::fs::read(path).unwrap();
    let compressed = PathBuf::from(format!("{}.{with}", path.display()));
    let file = std::fs::File::create(&compressed).unwrap();
    if with == "gz" {
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(&content).unwrap();
        encoder.finish().unwrap();
    } else {
        zstd::stream::copy_encode(content.as_slice(), file, 1).unwrap();
    }
    compressed
}

/// Bytes of a file that may not be there yet.
fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Waits until more than `bytes` of verdicts are written; false where the child ends before.
fn grows(child: &mut Child, verdicts: &Path, bytes: u64) -> bool {
    let until = Instant::now() + HANGS_AFTER;
    while length(verdicts) <= bytes {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(Instant::now() < until, "no verdicts come");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.try_wait().unwrap().is_none()
}

/// The same file sent at once, on another server: the outcomes that must come.
fn undisturbed(file: &Path) -> Vec<Value> {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let copy = outer.path().join(file.file_name().unwrap());
    std::fs::copy(file, &copy).unwrap();
    send_ends(3, &copy, &server.url(), &[]);
    without_mrns(verdicts(&copy))
}

/// MRNs follow from the order in which batches that are under way together are placed.
fn without_mrns(mut lines: Vec<Value>) -> Vec<Value> {
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("mrn");
    }
    lines
}

/// The verdicts of `file` are those of an undisturbed run, and those that the server gives again.
fn is_as_if_undisturbed(file: &Path, server: &Server) {
    assert_eq!(without_mrns(verdicts(file)), undisturbed(file));
    let again = file.with_extension("again.jsonl");
    let args = ["--verdicts", again.to_str().unwrap(), "--batch", "100"];
    send_ends(3, file, &server.url(), &args);
    let same = std::fs::read(verdicts_path(file)).unwrap() == std::fs::read(&again).unwrap();
    assert!(same, "the server remembers other answers");
}

#[test]
fn killed_again_and_again_it_goes_on_and_ends_with_the_same_file() {
    const KILLS: usize = 10;
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let file = generated(outer.path(), "csv", "day.csv");
    let verdicts = verdicts_path(&file);
    // Some hundreds of batches, so that each run is killed in the middle.
    let args = ["--batch", "25", "--json"];
    let mut killed = 0;
    for _ in 0..KILLS {
        let mut command = send_command(&file, &server.url(), &args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let before = length(&verdicts);
        killed += usize::from(grows(&mut child, &verdicts, before));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed >= KILLS - 2, "only {killed} were killed in the middle");
    let (summary, _) = send_ends(3, &file, &server.url(), &args);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert!(summary["files"][0]["answered_before"].as_u64().unwrap() > 0, "{summary}");
    is_as_if_undisturbed(&file, &server);
    // What was added up by several runs is what one run adds up.
    let once = outer.path().join("once.jsonl");
    let args = ["--json", "--verdicts", once.to_str().unwrap()];
    let (whole, _) = send_ends(3, &file, &server.url(), &args);
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(summary["all"], whole["all"]);
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_waited_for() {
    let (outer, data) = folder();
    let mut server = Start::at(&data, CLOCK).run();
    let address = server.address.clone();
    let file = generated(outer.path(), "json", "day.jsonl");
    let args = ["--json"];
    let mut command = send_command(&file, &server.url(), &args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut in_the_middle = 0;
    for _ in 0..4 {
        let before = length(&verdicts_path(&file));
        in_the_middle += usize::from(grows(&mut child, &verdicts_path(&file), before));
        server.kill();
        server = Start { listen: &address, ..Start::at(&data, CLOCK) }.run();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(in_the_middle >= 2, "only {in_the_middle} times in the middle");
    is_as_if_undisturbed(&file, &server);
}

#[test]
fn a_server_that_stays_away_is_given_up_and_the_same_command_goes_on_later() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let (address, url) = (server.address.clone(), server.url());
    let file = generated(outer.path(), "binary", "day.pb");
    let mut command = send_command(&file, &url, &["--give-up-after", "1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(grows(&mut child, &verdicts_path(&file), 0), "it ended before the server did");
    server.kill();
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{log}");
    assert!(log.contains("no batch was answered for") && log.contains("goes on"), "{log}");
    let server = Start { listen: &address, ..Start::at(&data, CLOCK) }.run();
    send_ends(3, &file, &url, &[]);
    is_as_if_undisturbed(&file, &server);
}

#[test]
fn a_service_that_says_when_to_come_back_is_asked_then() {
    let (outer, data) = folder();
    let limit = "[[limit]]\ndeclarant = \"NL810000003\"\nbatches_per_s = 5\n";
    let settings = format!("{}\n{limit}", common::SETTINGS);
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let lrns: Vec<String> = (0..15).map(|number| format!("O-{number}")).collect();
    let lrns: Vec<&str> = lrns.iter().map(String::as_str).collect();
    let file = declarations(&outer.path().join("orders.jsonl"), &lrns);
    let args = ["--declarant", "NL810000003", "--batch", "1"];
    send_ends(0, &file, &server.url(), &args);
    let found: Vec<Value> = verdicts(&file);
    assert!(found.iter().map(|line| line["lrn"].as_str().unwrap()).eq(lrns));
    assert!(server.log().contains("batch refused"), "nothing was refused: {}", server.log());
}

#[test]
fn rows_that_cannot_be_read_are_told_and_the_rest_is_sent() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let url = server.url();
    let template = waag_ok(&["send", "--template", "csv"]);
    let (header, row) = template.split_once('\n').unwrap();
    let rows: String = ["A", "B", "C", "D"]
        .iter()
        .map(|lrn| {
            let row = row.replacen("ORDER-1", lrn, 1);
            if *lrn == "B" { row.replacen("39.99", "\"39,99\"", 1) } else { row }
        })
        .collect();
    let file = write(&outer.path().join("orders.csv"), &format!("{header}\n{rows}"));
    let (table, log) = send_ends(4, &file, &url, &[]);
    let column = 1 + header.split(',').position(|name| name == "intrinsic_value").unwrap();
    let place = format!("orders.csv, line 3, column {column}: intrinsic_value: \"39,99\"");
    assert!(log.contains(&place), "{log}");
    assert!(table.contains("Unreadable"), "{table}");
    let lrns = |file: &Path| -> Vec<String> {
        verdicts(file).iter().map(|line| line["lrn"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(lrns(&file), ["A", "C", "D"]);

    let strict = write(&outer.path().join("strict.csv"), &format!("{header}\n{rows}"));
    let (summary, _) = send_ends(4, &strict, &url, &["--strict", "--json"]);
    assert_eq!(lrns(&strict), ["A"]);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["files"][0]["is_whole"], false);
    // Once it is mended, it goes on.
    write(&strict, &format!("{header}\n{}", rows.replace("\"39,99\"", "39.99")));
    let (summary, _) = send_ends(0, &strict, &url, &["--strict", "--json"]);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["files"][0]["answered_before"], 1);
    assert_eq!(lrns(&strict), ["A", "B", "C", "D"]);
}

#[test]
fn the_template_is_accepted_and_a_file_that_is_done_needs_no_service() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let url = server.url();
    let template = waag_ok(&["send", "--template", "csv"]);
    let file = write(&outer.path().join("orders.csv"), &template);
    // Waiting for ever is as good a wish as any.
    let give_up_after = u64::MAX.to_string();
    send_ends(0, &file, &url, &["--give-up-after", &give_up_after]);
    let lines = verdicts(&file);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["outcome"], "OUTCOME_ACCEPTED");
    assert_eq!(
        (&lines[0]["declarant"], &lines[0]["lrn"]),
        (&"NL810000003".into(), &"ORDER-1".into())
    );
    assert_eq!(lines[0]["mrn"].as_str().unwrap().len(), 18);
    server.kill();
    let (table, _) = send_ends(0, &file, &url, &[]);
    assert!(table.contains("orders.csv"), "{table}");
    // Something new does.
    let more = declarations(&outer.path().join("more.jsonl"), &["NEW"]);
    let (_, log) = send_ends(5, &more, &url, &["--declarant", "NL810000003"]);
    assert!(log.contains("waag serve") && log.contains("goes on where this one stopped"), "{log}");
}

#[test]
fn an_input_that_changed_is_refused_and_one_that_grew_goes_on() {
    let (outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let url = server.url();
    let args = ["--declarant", "NL810000003"];
    let file = outer.path().join("orders.jsonl");
    declarations(&file, &["A", "B"]);
    send_ends(0, &file, &url, &args);
    declarations(&file, &["A", "B", "C"]);
    send_ends(0, &file, &url, &args);
    assert_eq!(verdicts(&file).len(), 3);
    declarations(&file, &["A", "X", "C"]);
    let (_, log) = send_ends(1, &file, &url, &args);
    assert!(log.contains("orders.jsonl") && log.contains("--anew"), "{log}");
    assert_eq!(verdicts(&file)[1]["lrn"], "B", "nothing was touched");
    declarations(&file, &["A", "B", "C"]);
    let (_, log) = send_ends(1, &file, &url, &["--declarant", "NL810000004"]);
    assert!(log.contains("not as it was"), "{log}");
    declarations(&file, &["A", "X"]);
    send_ends(0, &file, &url, &["--declarant", "NL810000003", "--anew"]);
    assert_eq!(verdicts(&file).len(), 2);
}

#[test]
fn what_a_service_refuses_takes_no_other_declaration_with_it() {
    let (outer, data) = folder();
    let settings = format!("{}\nbatch_goods_items_max = 2000\n", common::SETTINGS);
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut declarations: Vec<_> =
        (0..20).map(|number| common::declaration(&format!("O-{number}"))).collect();
    let item = declarations[7].goods_items[0].clone();
    declarations[7].goods_items = vec![item; 2_001];
    let text = declarations.iter().map(|each| serde_json::to_string(each).unwrap() + "\n");
    let file = write(&outer.path().join("orders.jsonl"), &text.collect::<String>());
    let args = ["--declarant", "NL810000003", "--json"];
    let (summary, _) = send_ends(3, &file, &server.url(), &args);
    let lines = verdicts(&file);
    assert_eq!(lines.len(), 20);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["lrn"], format!("O-{number}"));
        let is_refused =
            line["refusal"]["field"].as_str().is_some_and(|field| field.contains("goods_items"));
        assert_eq!(is_refused, number == 7, "{line}");
        assert_eq!(line["outcome"] == "OUTCOME_ACCEPTED", number != 7, "{line}");
    }
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((&summary["all"]["accepted"], &summary["all"]["refused"]), (&19.into(), &1.into()));
    // A declarant that is none is refused with all that it declares.
    let other = self::declarations(&outer.path().join("other.jsonl"), &["Z"]);
    send_ends(3, &other, &server.url(), &["--declarant", "12"]);
    assert_eq!(verdicts(&other)[0]["refusal"]["field"], "declarant");
}

#[test]
fn what_cannot_be_sent_is_told_before_anything_is() {
    let (outer, _) = folder();
    // A port that nothing listens on: reserved, and never given out to a program.
    let url = "http://127.0.0.1:1";
    let file = declarations(&outer.path().join("orders.jsonl"), &["A"]);
    let (_, log) = send_ends(1, &file, url, &[]);
    assert!(log.contains("--declarant"), "{log}");
    let path = |name: &str| outer.path().join(name);
    let odd = write(&path("orders.txt"), "A");
    let columns = write(&path("orders.csv"), "lrn,price\nA,1\n");
    let parquet = write(&path("orders.parquet"), "A");
    for (file, told) in [
        (&path("nothing.csv"), "nothing.csv"),
        (&odd, "--format"),
        (&columns, "column 2 is \"price\""),
        (&parquet, "orders.parquet"),
    ] {
        let (_, log) = send_ends(1, file, url, &[]);
        assert!(log.contains(told), "{log}");
        assert!(!verdicts_path(file).exists(), "{told}");
    }
    let (_, log) = send_ends(1, Path::new("-"), url, &["--format", "csv"]);
    assert!(log.contains("--verdicts"), "{log}");
    assert_eq!(waag(&["send"]).status.code(), Some(2));
}
