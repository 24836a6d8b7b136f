//! What fuzzing begins with, for each target: all of it made by the product itself.

use std::path::Path;
use std::sync::Arc;

use prost::Message;
use waag::day::{Calendar, Day};
use waag::disk::simulated::Fault;
use waag::disk::{Disk, SimulatedDisk};
use waag::generate::{Generator, Options};
use waag::id::{Ordinal, Watermark};
use waag::index::Index;
use waag::index::filed::{Filed, Placing};
use waag::index::run::{Covers, Folder, Forgotten};
use waag::index::settle::Settler;
use waag::ingest::laws::Numbered;
use waag::ingest::prepare::{Bounds, Preparer};
use waag::journal::{Journal, Position, open};
use waag::proto::v1::{FallbackLodgement, SubmitBatchRequest};
use waag::rules::Law;

use super::reader::effective;
use super::{journal, lines, pages, run};

/// An input with its name.
pub(crate) type Seed = (String, Vec<u8>);

/// A day of each regime that the generator knows.
const DAYS: [&str; 3] = ["2025-11-03", "2026-08-02", "2026-11-05"];

/// Small batches with some of everything in them, fallback lodgements included.
fn batches(day: &str, lines: u64) -> Vec<SubmitBatchRequest> {
    let on = Day::parse(day).unwrap();
    let options = Options {
        lines,
        actors: 4,
        seed: 3,
        replays: 0.15,
        conflicts: 0.1,
        invalid: 0.3,
        batch: 5,
        ..Options::on(on)
    };
    let batches = Generator::new(&options).unwrap().map(|generated| generated.request);
    let calendar = Calendar::new("Europe/Amsterdam").unwrap();
    let lodged_at_ms = calendar.start_of(on).0 - 3_600_000;
    batches
        .enumerate()
        .map(|(number, mut batch)| {
            if let Some(declaration) = batch.declarations.first_mut().filter(|_| number % 3 == 0) {
                // Every second one too old to be used.
                let days_back = if number % 2 == 0 { 0 } else { 40 };
                declaration.fallback = Some(FallbackLodgement {
                    reference: format!("FB-{number}"),
                    lodged_at_ms: lodged_at_ms - days_back * 86_400_000,
                });
            }
            batch
        })
        .collect()
}

/// For `reader` and `submit_batch`.
pub(crate) fn messages() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for day in DAYS {
        for (number, batch) in batches(day, 60).iter().enumerate() {
            seeds.push((format!("batch-{day}-{number}"), batch.encode_to_vec()));
        }
    }
    // What no encoder does: a field that is unknown, as a group and as a varint that is longer than it
    // need be, and what is common in two parts.
    let batch = batches(DAYS[2], 4).remove(0).encode_to_vec();
    let odd: [&[u8]; 3] = [
        &[0xa3, 0x01, 0x08, 0x01, 0xa4, 0x01],
        &[0xa0, 0x81, 0x00, 0x81, 0x80, 0x00],
        &[0x32, 0x03, 0x1a, 0x01, b'D', 0x32, 0x05, 0x2a, 0x03, 0x22, 0x01, b'X'],
    ];
    for (number, odd) in odd.into_iter().enumerate() {
        seeds.push((format!("odd-{number}"), [odd, &batch].concat()));
    }
    seeds
}

/// For `judge`.
pub(crate) fn declarations() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for day in DAYS {
        for batch in &batches(day, 40) {
            let common = batch.common.clone().unwrap_or_default();
            for own in &batch.declarations {
                let lines = lines::write(day, batch, &effective(own.clone(), &common));
                seeds.push((format!("declaration-{}", seeds.len()), lines.into_bytes()));
            }
        }
    }
    seeds
}

/// For `journal`: each as it is, and to be made right after a change.
pub(crate) fn journals() -> Vec<Seed> {
    let journals = [
        ("ended", written(&[30, 5_000, 0, 300], true)),
        ("killed", written(&[30, 4_019, 4_020], false)),
        ("rolled", written(&[10; 14], true)),
        ("rolled-killed", written(&[10; 9], false)),
        ("empty", written(&[], false)),
        ("torn", torn(true)),
        ("torn-tail", torn(false)),
    ];
    let files = journals.map(|(name, disk)| (name, files_of(&disk)));
    let marks =
        [("", 0), ("-sealed", journal::CHECKS), ("-linked", journal::CHECKS | journal::LINKS)];
    let named = files.iter().flat_map(|(name, files)| {
        marks.map(|(how, marks)| (format!("{name}{how}"), pages::pack(marks, files)))
    });
    named.collect()
}

fn begun(seed: u64) -> (SimulatedDisk, Journal) {
    let disk = SimulatedDisk::new(seed, u64::MAX);
    let dir = Path::new(journal::DIR);
    let opened = open(Arc::new(disk.clone()), dir, &journal::options(), &mut |_| Ok(()));
    (disk, opened.unwrap().0)
}

fn push(journal: &mut Journal, bytes: usize) {
    let room = journal.room();
    let reservation = room.reserve(bytes).or_else(|_| {
        journal.commit().unwrap();
        room.reserve(bytes)
    });
    journal.push(1, &[&vec![7; bytes]], reservation.unwrap()).unwrap();
}

/// A journal with records of these lengths, each in a group of its own.
fn written(bytes: &[usize], is_ended: bool) -> SimulatedDisk {
    let (disk, mut journal) = begun(1);
    for bytes in bytes {
        push(&mut journal, *bytes);
        journal.commit().unwrap();
    }
    if is_ended {
        journal.end().unwrap();
    }
    disk
}

/// One whose last group was cut off by a power cut in the middle of its pages: its first one is there, or
/// only a later one.
fn torn(has_first: bool) -> SimulatedDisk {
    let dir = Path::new(journal::DIR);
    // What is left of it is a matter of chance.
    let torn = (0..200).find_map(|seed| {
        let (disk, mut journal) = begun(seed);
        push(&mut journal, 20);
        journal.commit().unwrap();
        push(&mut journal, 5_500);
        disk.fault_at(0, Fault::PowerCut);
        journal.commit().unwrap_err();
        disk.crash();
        let identity = journal::options().identity;
        let read = waag::journal::verify(&disk, dir, Some(identity), &mut |_| Ok(()));
        let torn = read.unwrap().torn?;
        let first = disk.content(&torn.path)?.split_off(torn.offset as usize);
        let first_is_there = first[..4_096].iter().any(|byte| *byte != 0);
        (first_is_there == has_first).then_some(disk)
    });
    torn.expect("a group that is torn so")
}

/// The files that are in use.
fn files_of(disk: &SimulatedDisk) -> Vec<Vec<u8>> {
    let in_use = |path: &std::path::PathBuf| !path.to_string_lossy().ends_with(".preparing");
    disk.paths().iter().filter(|path| in_use(path)).filter_map(|path| disk.content(path)).collect()
}

/// For `run`: one, two that follow on one another, and the second of two where all before is forgotten.
pub(crate) fn runs() -> Vec<Seed> {
    let (one, two, after) = (runs_of(1, false), runs_of(2, false), runs_of(2, true));
    let all = [("one", &one[..]), ("two", &two), ("forgotten", &after), ("alone", &after[1..])];
    let marks = [("", 0), ("-sealed", run::CHECKS)];
    let named = all.iter().flat_map(|(name, files)| {
        marks.map(|(how, marks)| (format!("{name}{how}"), pages::pack(marks, files)))
    });
    named.collect()
}

/// The files of so many runs, as the index writes them.
fn runs_of(count: usize, forgets: bool) -> Vec<Vec<u8>> {
    let disk = SimulatedDisk::new(1, u64::MAX);
    let dir = Path::new(run::DIR);
    disk.create_dir(dir).unwrap();
    let folder = Folder::new(Arc::new(disk.clone()), dir, run::IDENTITY);
    let index = Arc::new(Index::with_runs(run::keys(), run::MEMORY, Vec::new()).unwrap());
    let mut settler = Settler::new(Arc::clone(&index));
    let calendar = Calendar::new("Europe/Amsterdam").unwrap();
    let when = calendar.when(calendar.parse("2026-11-05T08:00").unwrap());
    let law = Numbered { number: 0, law: Arc::new(Law::load(None).unwrap()) };
    let mut preparer = Preparer::new(Bounds::NONE, calendar, run::keys());
    let batches = batches(DAYS[2], 40 * count as u64);
    let (mut record, mut ordinal) = (0, 0);
    for part in batches.chunks(batches.len().div_ceil(count)) {
        let (first_record, first_ordinal) = (record + 1, ordinal);
        for batch in part {
            let (prepared, draft) =
                preparer.prepare(batch.encode_to_vec().into(), when, &law).unwrap();
            let declarations = draft.len() as u64;
            let claimed = index.claim(Filed::new(prepared.admission, draft)).unwrap();
            let decided = settler.settle(claimed);
            record += 1;
            let number = Watermark(record);
            let position = Position { segment: 1, page: record as u32, offset: 48 };
            let placing = Placing { number, position, first_ordinal: Ordinal(ordinal) };
            settler.place(&decided.filed, placing);
            ordinal += declarations;
        }
        let before = if forgets && first_record > 1 { first_ordinal } else { 0 };
        let covers = Covers {
            first_record: Watermark(first_record),
            last_record: Watermark(record),
            position: Position { segment: 1, page: record as u32, offset: 48 },
            first_ordinal: Ordinal(first_ordinal),
            end_ordinal: Ordinal(ordinal),
            forgotten: Forgotten { before: Ordinal(before), day: Day(20_000) },
            carried: b"carried".to_vec(),
        };
        assert!(index.close());
        let frozen = index.freeze(covers).unwrap().unwrap();
        index.publish(frozen.write(&folder).unwrap());
    }
    files_of(&disk)
}
