//! What fuzzing begins with and what it kept (`fuzz/corpus`) holds, and so do these inputs changed a
//! little: fuzzing without its tools, the same way every time.
//!
//! With `WAAG_FUZZ_SECONDS=N` inputs are changed for so long for each target, another way every time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout)]

mod checks;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use checks::seeds::{self, Seed};
use checks::{journal, judge, reader, run};
use waag::disk::simulated::Chance;

/// The folder of what was kept for a target.
fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// What was kept for a target, by name.
fn kept(target: &str) -> Vec<Seed> {
    let files = std::fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path());
    let mut kept: Vec<Seed> = files
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into(), std::fs::read(&path).unwrap())
        })
        .collect();
    kept.sort();
    assert!(kept.len() >= 8, "{target}: {}", kept.len());
    kept
}

/// Some bytes of it changed, taken out, or taken from `other`.
fn changed(input: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=chance.below(3) {
        let at = |length: usize, chance: &mut Chance| chance.below(length as u64 + 1) as usize;
        let place = at(bytes.len(), chance);
        match chance.below(5) {
            0 if place < bytes.len() => bytes[place] ^= 1 << chance.below(8),
            1 if place < bytes.len() => bytes[place] = chance.bits() as u8,
            2 => bytes.insert(place, chance.bits() as u8),
            3 => drop(bytes.drain(place..(place + 1 + at(16, chance)).min(bytes.len()).max(place))),
            _ => {
                let from = at(other.len(), chance);
                let to = (from + at(32, chance)).min(other.len());
                bytes.splice(place..place, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

/// Checks one input; one that fails is left where it can be found.
fn check_one(target: &str, name: &str, input: &[u8], check: &mut impl FnMut(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input))) {
        let left = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("failed-{target}"));
        std::fs::write(&left, input).unwrap();
        let left = left.display();
        println!("{target} fails on {name}, left as {left}; in fuzz/corpus/{target} it is tested");
        resume_unwind(panic);
    }
}

/// Checks these inputs, and each of them changed so many times.
fn check_all(target: &str, inputs: &[Seed], times: u64, mut check: impl FnMut(&[u8])) {
    for (name, input) in inputs {
        check_one(target, name, input, &mut check);
    }
    let any = |chance: &mut Chance| &inputs[chance.below(inputs.len() as u64) as usize];
    if let Ok(seconds) = std::env::var("WAAG_FUZZ_SECONDS") {
        let until = Instant::now() + Duration::from_secs(seconds.parse().expect("seconds"));
        let mut chance = Chance(UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
        let mut checked = 0_u64;
        while Instant::now() < until {
            let ((name, input), (_, other)) = (any(&mut chance), any(&mut chance));
            let input = changed(input, other, &mut chance);
            check_one(target, &format!("{name}, changed"), &input, &mut check);
            checked += 1;
        }
        println!("{target}: {checked} changed inputs in {seconds} s");
        return;
    }
    let mut chance = Chance(7);
    for (name, input) in inputs {
        for _ in 0..times {
            let (_, other) = any(&mut chance);
            let input = changed(input, other, &mut chance);
            check_one(target, &format!("{name}, changed"), &input, &mut check);
        }
    }
}

#[test]
fn messages_are_read_as_prost_reads_them() {
    let seeds = seeds::messages();
    let sound = seeds.iter().filter(|(_, message)| reader::check(message)).count();
    assert_eq!(sound, seeds.len(), "all of them are read");
    let inputs = [seeds, kept("reader")].concat();
    check_all("reader", &inputs, 20, |message| {
        reader::check(message);
    });
}

#[test]
fn declarations_are_judged() {
    let seeds = seeds::declarations();
    let judged: Vec<_> = seeds.iter().map(|(_, lines)| judge::check(lines)).collect();
    let rejected = judged.iter().filter(|(judgement, _)| judgement.rejected).count();
    let with_duty = judged.iter().filter(|(judgement, _)| judgement.duty.0 > 0).count();
    let all = judged.len();
    assert!(rejected * 10 > all && rejected * 2 < all, "{rejected} of {all} rejected");
    assert!(with_duty > 0, "what is read is what was written");
    let inputs = [seeds, kept("judge")].concat();
    check_all("judge", &inputs, 10, |lines| {
        judge::check(lines);
    });
}

#[test]
fn journals_are_read_recovered_and_written_on_or_refused() {
    let seeds = seeds::journals();
    let found: BTreeMap<&str, _> =
        seeds.iter().map(|(name, input)| (name.as_str(), journal::check(input).unwrap())).collect();
    for how in ["", "-sealed", "-linked"] {
        let records = |name| {
            let recovery = &found[format!("{name}{how}").as_str()];
            (recovery.records, recovery.segments, recovery.ended_clean, recovery.torn.is_some())
        };
        assert_eq!(records("ended"), (4, 1, true, false));
        assert_eq!(records("killed"), (3, 1, false, false));
        assert_eq!(records("rolled"), (14, 3, true, false));
        assert_eq!(records("empty"), (0, 1, false, false));
        assert_eq!(records("torn"), (1, 1, false, true));
        assert_eq!(records("torn-tail"), (1, 1, false, true));
    }
    let inputs = [seeds, kept("journal")].concat();
    let mut opened = 0;
    check_all("journal", &inputs, 20, |input| opened += u32::from(journal::check(input).is_some()));
    assert!(opened > 50, "{opened} opened");
}

#[test]
fn runs_are_read_or_refused() {
    let seeds = seeds::runs();
    for (name, input) in &seeds {
        let reached = run::check(input);
        let runs = 1 + usize::from(name.starts_with("two") || name.starts_with("forgotten"));
        assert_eq!((reached.whole, reached.verified), (runs, runs), "{name}");
        assert!(reached.found > 10, "{name}: {reached:?}");
    }
    let inputs = [seeds, kept("run")].concat();
    let mut whole = 0;
    check_all("run", &inputs, 20, |input| whole += run::check(input).whole);
    assert!(whole > 100, "{whole} runs opened");
}

#[test]
fn batches_are_answered_or_refused_and_replayed() {
    let seeds = seeds::messages();
    let inputs = [seeds, kept("submit_batch")].concat();
    let mut served = checks::submit_batch::Served::start();
    let (mut answered, mut refused) = (0, 0);
    check_all("submit_batch", &inputs, 2, |message| match served.check(message) {
        Some(_) => answered += 1,
        None => refused += 1,
    });
    assert!(answered > 50 && refused > 50, "{answered} answered, {refused} refused");
}
