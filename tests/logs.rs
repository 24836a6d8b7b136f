//! The log as JSON: one object a line, for programs, from the first line on.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use common::{CLOCK, SETTINGS, WAAG, folder};
use serde_json::Value;

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(data: &std::path::Path, settings: &str, listen: &str) -> Running {
    let path = data.with_extension("toml");
    std::fs::write(&path, format!("{SETTINGS}\nlog_format = \"json\"\n{settings}\n")).unwrap();
    let mut command = Command::new(WAAG);
    command.args(["serve", "--listen", listen, "--clock", CLOCK, "--data-dir"]).arg(data);
    command.arg("--config").arg(path).stdin(Stdio::null()).stdout(Stdio::null());
    Running(command.stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn each_line_is_an_object_with_its_fields() {
    let (_outer, data) = folder();
    let mut running = serve(&data, "", "127.0.0.1:0");
    let mut lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let mut listening = None;
    for line in lines.by_ref() {
        let line = line.unwrap();
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        for field in ["timestamp", "level", "target", "message"] {
            assert!(event[field].is_string(), "no {field} in {line}");
        }
        if event["message"] == "recovered" {
            assert_eq!(event["declarations"], 0, "{line}");
        }
        if event["message"] == "listening" {
            listening = Some(event["address"].as_str().unwrap().to_owned());
            break;
        }
    }
    assert!(listening.unwrap().starts_with("127.0.0.1:"));
    let id = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let rest: Vec<Value> =
        lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(rest.last().unwrap()["message"], "stopped");
}

#[test]
fn what_keeps_it_from_starting_is_an_object_too() {
    let (_outer, data) = folder();
    let mut running = serve(&data, "watches_max = 0", "127.0.0.1:0");
    let mut log = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(1));
    let event: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(event["level"], "ERROR");
    assert!(event["message"].as_str().unwrap().contains("watches_max is 0"), "{log}");
}
