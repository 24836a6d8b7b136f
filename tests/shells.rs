//! What is made of the help for other programs: completions for shells, pages for man.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]
#![allow(missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::waag_ok;

/// What a program says to `input`; nothing where the program is not here.
fn fed(program: &str, args: &[&str], input: &str) -> Option<Output> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .inspect_err(|error| eprintln!("{program} was not asked: {error}"))
        .ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

/// The commands that the help of a command lists, without `help`.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    // Names stand two columns in; what they do, where it is on a line of its own, further in.
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    names.filter(|name| name != "help").collect()
}

/// The long flags that the help of a command explains.
fn flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| line.split([' ', ',', '=', '[']));
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

/// Every command with its words: `[]`, `["send"]`, `["agreement"]`, `["agreement", "record"]` and so on.
fn all_commands() -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let mut open = vec![Vec::<String>::new()];
    while let Some(words) = open.pop() {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = waag_ok(&args);
        open.extend(commands(&help).into_iter().map(|name| [words.clone(), vec![name]].concat()));
        found.push((words, help));
    }
    found
}

#[test]
fn each_shell_completes_every_command_and_flag() {
    let all = all_commands();
    let names = commands(&all[0].1);
    assert!(names.len() > 20 && names.contains(&"completions".to_owned()), "{names:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = waag_ok(&["completions", shell]);
        for (words, help) in &all {
            for word in words {
                assert!(script.contains(word.as_str()), "{shell} does not know {words:?}");
            }
            for flag in flags(help) {
                // fish has them without dashes.
                let named = if shell == "fish" { flag.trim_start_matches('-') } else { &flag };
                assert!(script.contains(named), "{shell} does not know {flag} of {words:?}");
            }
        }
    }
}

#[test]
fn shells_can_read_their_completions() {
    for (shell, args) in [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["-n"])] {
        let Some(output) = fed(shell, &args, &waag_ok(&["completions", shell])) else {
            continue;
        };
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{shell}: {told}");
    }
}

#[test]
fn bash_completes_what_was_begun() {
    for (words, wanted) in [
        (&["waag", "rec"][..], "reconciliation"),
        (&["waag", "agreement", "wi"], "withdraw"),
        (&["waag", "send", "--give"], "--give-up-after"),
        (&["waag", "send", "--format", "parq"], "parquet"),
    ] {
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let script = format!(
            "{}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_waag waag '{last}' '{before}'\necho \"${{COMPREPLY[@]}}\"\n",
            waag_ok(&["completions", "bash"]),
            words.join(" "),
            words.len() - 1,
        );
        let Some(output) = fed("bash", &["--norc"], &script) else {
            return;
        };
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(told.trim(), wanted, "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A page as text of roff has an escaped hyphen where the help has a plain one.
fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}

#[test]
fn every_command_has_a_page_with_its_flags_and_no_empty_section() {
    let folder = tempfile::tempdir().unwrap();
    // Two folders deep: neither is there yet.
    let pages = folder.path().join("man/man1");
    waag_ok(&["man", "--out", pages.to_str().unwrap()]);
    let all = all_commands();
    assert_eq!(pages.read_dir().unwrap().count(), all.len());
    for (words, help) in all {
        let name = [vec!["waag".to_owned()], words].concat().join("-");
        let page = std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        let named = escaped(&format!("{name} - "));
        let mut lines = page.lines().skip_while(|line| *line != ".SH NAME").skip(1);
        let about = lines.next().and_then(|line| line.strip_prefix(&named)).unwrap_or_default();
        assert!(!about.is_empty(), "{name} does not say what it is: {page}");
        for flag in flags(&help) {
            assert!(page.contains(&escaped(&flag)), "{name} does not know {flag}");
        }
        let sections: Vec<&str> = page.split("\n.SH ").skip(1).collect();
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert!(sections.iter().any(|of| of.starts_with(section)), "{name} has no {section}");
        }
        for section in sections {
            let text = section.lines().skip(1).filter(|line| !line.starts_with('.'));
            assert!(text.count() > 0, "{name} has an empty section: {section}");
        }
        let version = concat!("1 \"waag ", env!("CARGO_PKG_VERSION"), "\" Waag");
        assert!(page.contains(version), "{name} does not say of which version it is");
        is_clean(&name, &page);
    }
    let one = std::fs::read_to_string(pages.join("waag.1")).unwrap();
    assert_eq!(waag_ok(&["man"]), one);
}

/// That groff, where it is here, has nothing to warn of.
fn is_clean(name: &str, page: &str) {
    let args = ["-man", "-Tutf8", "-Kutf8", "-ww", "-z"];
    if let Some(output) = fed("groff", &args, page) {
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{name}: {told}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = file.path().join("man1");
    assert!(!Path::new(&folder).exists());
    let output = common::waag(&["man", "--out", folder.to_str().unwrap()]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && log.contains(folder.to_str().unwrap()), "{log}");
}
