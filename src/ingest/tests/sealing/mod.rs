//! Sealing from end to end: batches are lodged, tables frozen and written, checkpoints made, sets
//! written and segments removed, in any order, and whatever the moment of a crash, what was answered
//! is there once, is answered so again, and is counted once; also where runs or summaries are lost.
//!
//! All of it is the product's, but for the threads: `world` does what they do, one step at a time.
//! `backing_up` takes backups meanwhile. `starting` uses what the engine starts with. `dropping` has days past their retention. The catalog is on real files, and ends with the
//! process only between two of its writes; what is in it is made durable by tests of its own.
//!
//! A run prints its seed when it fails; `WAAG_SEED=<seed> cargo test --lib tests::sealing` repeats that
//! run alone.
#![allow(clippy::print_stdout)]

mod backing_up;
mod checks;
mod dropping;
mod faults;
mod lodging;
mod plain;
mod resting;
mod starting;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use crate::disk::SimulatedDisk;
use crate::disk::simulated::Chance;
use crate::disk::simulated::seeds::{is_whole_run, seeds};
use crate::id::Watermark;
use crate::index::Memory;
use crate::index::filed::Settled;
use crate::ingest::engine::folders;
use crate::outcome::Outcome;
use plain::Plain;
use world::World;

const JOURNAL: &str = "data/journal";
const ARCHIVE: &str = "data/archive";
const RUNS: &str = "data/runs";

/// What the runs have met, so that a run that meets nothing is noticed.
#[derive(Debug, Default)]
struct Met(BTreeMap<&'static str, u64>);

/// What a whole run must meet, and how often at least.
const LEAST: [(&str, u64); 28] = [
    ("accepted", 5_000),
    ("rejected", 5_000),
    ("replayed", 5_000),
    ("conflicts", 5_000),
    ("kills", 500),
    ("power_cuts", 1_000),
    ("ended", 100),
    ("stopped", 10),
    ("failed_starts", 500),
    ("groups_lost", 500),
    ("unacknowledged", 20),
    ("torn", 3),
    ("tables_full", 100),
    ("runs", 1_000),
    ("full_runs", 10),
    ("from_runs", 700),
    ("runs_lost", 200),
    ("catalogs_lost", 150),
    ("sets", 500),
    ("sets_read", 100),
    ("full_sets", 10),
    ("failed_rounds", 100),
    ("sealed_and_in_journal", 300),
    ("segments_removed", 200),
    ("from_archive", 50),
    ("folded_from_archive", 20),
    ("days_dropped", 50),
    ("starts", 4_000),
];

impl Met {
    fn add(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    fn count(&mut self, outcomes: &[u8]) {
        for outcome in outcomes {
            let outcome = Settled::from_byte(*outcome).unwrap().outcome;
            let what = match outcome {
                Outcome::Accepted => "accepted",
                Outcome::Rejected => "rejected",
                Outcome::Replayed => "replayed",
                Outcome::Conflict => "conflicts",
            };
            self.add(what, 1);
        }
    }
}

/// In memory where that can be: catalogs are synced all the time.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl<'a> World<'a> {
    /// A new data folder, the catalog of which is in `outer`.
    fn new(seed: u64, outer: &'a Path, met: &'a mut Met) -> Self {
        let laws = lodging::laws(&outer.join(folders::RULES));
        World {
            disk: SimulatedDisk::new(seed, u64::MAX),
            chance: Chance(!seed),
            outer,
            plain: Plain::new(&outer.join("plain"), laws),
            durable: Vec::new(),
            open: Vec::new(),
            is_doubtful: false,
            now: lodging::morning(),
            checkpointed: Watermark(0),
            actors_max: 4,
            // Room for some eight batches, or twice or three times as many, and for runs.
            memory: Memory { bytes: 12_000 * (1 + seed % 3), slots_min: 64 },
            set_calls: 100,
            is_calm: false,
            keeps_derived: seed.is_multiple_of(4),
            drops: seed.is_multiple_of(4),
            forgets: false,
            has_snapshot: false,
            has_lost: false,
            published: 0,
            sets_at_start: 0,
            met,
        }
    }
}

fn run(seed: u64, met: &mut Met) {
    let outer = folder();
    let mut world = World::new(seed, outer.path(), met);
    for _ in 0..3 {
        world.live();
    }
    drop(world.start());
}

/// One seed after another, as long as there are any.
fn run_all(seeds: &Mutex<std::ops::Range<u64>>, run: fn(u64, &mut Met)) -> Met {
    let mut met = Met::default();
    loop {
        let Some(seed) = seeds.lock().unwrap().next() else { return met };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed, &mut met)));
        if let Err(panic) = caught {
            println!("failed with WAAG_SEED={seed}");
            *seeds.lock().unwrap() = 0..0;
            std::panic::resume_unwind(panic);
        }
    }
}

/// Runs so many seeds, or the one that is asked for, and checks that all of them together meet enough.
fn run_seeds(count: u64, run: fn(u64, &mut Met), least: &[(&str, u64)]) {
    let seeds = Mutex::new(seeds(count));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut met = Met::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| run_all(&seeds, run))).collect();
        for thread in threads {
            let of_thread = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            of_thread.0.into_iter().for_each(|(what, times)| met.add(what, times));
        }
    });
    println!("{met:?}");
    if is_whole_run() {
        for (what, least) in least {
            let times = met.0.get(what).copied().unwrap_or(0);
            assert!(times >= *least, "the runs meet too little: {what} {times} times: {met:?}");
        }
    }
}

#[test]
fn what_was_answered_stays_whatever_the_moment_of_a_crash() {
    run_seeds(1_000, run, &LEAST);
}
