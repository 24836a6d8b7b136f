//! `unsafe` stands where the design has it and nowhere else, and says there what it rests on.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The files that may have it: the table's memory, and asking the processor for a line of it.
const ALLOWED: [&str; 1] = ["src/index/table.rs"];

/// Written so that this file has none itself.
const WORD: &str = concat!("un", "safe");

fn add_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                add_files(&path, files);
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}

/// Whether code, and not a comment, has this word.
fn has(line: &str, wanted: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == wanted)
}

/// The lint's name in an `allow` counts too.
fn has_it(line: &str) -> bool {
    has(line, WORD) || has(line, &format!("{WORD}_code"))
}

#[test]
fn it_stands_in_its_places_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    add_files(root, &mut files);
    assert!(files.len() > 200, "{}", files.len());
    let with_it: BTreeSet<String> = files
        .iter()
        .filter(|file| std::fs::read_to_string(file).unwrap().lines().any(has_it))
        .map(|file| file.strip_prefix(root).unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(with_it, BTreeSet::from(ALLOWED.map(str::to_owned)));
}

#[test]
fn every_block_says_what_it_rests_on() {
    for file in ALLOWED {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut blocks = 0;
        for (number, line) in lines.iter().enumerate() {
            if !has(line, WORD) {
                continue;
            }
            blocks += 1;
            let before = lines.iter().take(number).rev();
            let comment = before.take_while(|line| line.trim_start().starts_with("//"));
            let says = comment.into_iter().any(|line| line.contains("SAFETY:"));
            assert!(says, "{file}, line {}: no SAFETY before it", number + 1);
        }
        assert!(blocks > 0, "{file} has none any more: take it off the list");
    }
}
