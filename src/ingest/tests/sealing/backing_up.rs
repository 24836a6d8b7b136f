//! Backups that are taken while all of that goes on, between any two calls of the disk: each is a data
//! folder that a start goes on from, with all that was durable when it was begun. And backups and
//! restores that a power cut ends at any call.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lodging::{self, IDENTITY};
use super::world::{Server, World};
use super::{ARCHIVE, JOURNAL, Met, RUNS, folder, run_seeds};
use crate::backup::RestoreError;
use crate::backup::tests::{back_up, restore};
use crate::disk::paced::{PacedDisk, Turns};
use crate::disk::simulated::Fault;
use crate::disk::{Disk, SimulatedDisk};
use crate::ingest::engine::folders;
use crate::summary::SUMMARY_FOLDER;

const DATA: &str = "data";
const BACKUP: &str = "backup";

fn of(disk: &SimulatedDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

impl World<'_> {
    /// A disk of the data folder, its closed days included, which are real files.
    fn paced(&self, turns: &Arc<Turns>) -> PacedDisk {
        let days = Path::new(ARCHIVE).join(SUMMARY_FOLDER);
        let elsewhere = Some((days.clone(), self.outer.join(days)));
        PacedDisk { disk: of(&self.disk), turns: Arc::clone(turns), elsewhere }
    }

    /// Takes a backup while the server goes on; its records.
    fn back_up(&mut self, server: &mut Server, to: &SimulatedDisk) -> u64 {
        let turns = Arc::new(Turns::default());
        let from: Arc<dyn Disk> = Arc::new(self.paced(&turns));
        let (durable, files) = (self.durable.len() as u64, self.files());
        let contents = std::thread::scope(|scope| {
            let pacing = turns.pacing();
            let taking = scope.spawn(|| {
                let _paced = turns.paced();
                back_up((from, Path::new(DATA), IDENTITY), (of(to), Path::new(BACKUP)))
            });
            // Often little goes on meanwhile, sometimes more than could ever be in one call.
            let busy = [1, 4, 15][self.chance.below(3) as usize];
            let calls = [1, 4, 20][self.chance.below(3) as usize];
            let mut left = 100;
            while turns.give(1 + self.chance.below(calls)) {
                let acts = self.chance.below(busy + 1).min(left);
                left -= acts;
                for _ in 0..acts {
                    self.act(server).unwrap();
                }
            }
            drop(pacing);
            taking.join().unwrap().unwrap()
        });
        assert!(contents.records >= durable, "{} of {durable}", contents.records);
        let now = self.files();
        let gone = files.iter().filter(|file| !now.contains(file)).count();
        self.met.add("gone_meanwhile", gone as u64);
        self.met.add("records_meanwhile", contents.records - durable);
        self.met.add("backups", 1);
        self.met.add("backups_of_dropped", u64::from(contents.dropped_through.is_some()));
        contents.records
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = self.disk.paths();
        files.retain(|path| {
            let is_run = path.starts_with(RUNS) && path.extension().is_some_and(|s| s == "run");
            let is_segment = path.extension().is_some_and(|s| s == "segment");
            is_run || is_segment || path.starts_with(ARCHIVE)
        });
        files
    }

    /// A world whose data folder is the restored backup.
    fn restored<'a>(
        &self,
        (backup, records): (&SimulatedDisk, u64),
        outer: &'a Path,
        met: &'a mut Met,
    ) -> World<'a> {
        let disk = SimulatedDisk::new(records, u64::MAX);
        restore((backup, Path::new(BACKUP)), Some((of(&disk), Path::new(DATA)))).unwrap();
        let mut world = World::new(records, outer, met);
        move_days(&disk, outer);
        world.disk = disk;
        world.durable = self.durable[..records as usize].to_vec();
        world.actors_max = self.actors_max;
        world.memory = self.memory;
        (world.is_calm, world.drops, world.forgets) = (true, self.drops, self.forgets);
        // What is derived is not in a backup.
        world.has_lost = true;
        world
    }
}

/// Closed days are real files in these tests.
fn move_days(disk: &SimulatedDisk, outer: &Path) {
    for path in disk.paths() {
        if path.starts_with(Path::new(ARCHIVE).join(SUMMARY_FOLDER)) {
            let real = outer.join(&path);
            std::fs::create_dir_all(real.parent().unwrap()).unwrap();
            std::fs::write(real, disk.content(&path).unwrap()).unwrap();
            disk.remove(&path).unwrap();
            disk.sync_dir(path.parent().unwrap()).unwrap();
        }
    }
}

/// Every third one drops days, and another one forgets keys as well.
fn begin<'a>(seed: u64, outer: &'a Path, met: &'a mut Met) -> (World<'a>, Server) {
    let mut world = World::new(seed, outer, met);
    (world.drops, world.forgets) = (!seed.is_multiple_of(3), seed % 3 == 2);
    world.is_calm = true;
    let mut server = world.start();
    world.begin(&mut server).unwrap();
    let steps = if world.drops { 250 } else { 80 };
    for _ in 0..steps + world.chance.below(steps) {
        world.act(&mut server).unwrap();
    }
    (world, server)
}

fn run(seed: u64, met: &mut Met) {
    let (outer, mut own) = (folder(), Met::default());
    let (mut world, mut server) = begin(seed, outer.path(), &mut own);
    for _ in 0..2 {
        let backup = SimulatedDisk::new(seed, u64::MAX);
        let records = world.back_up(&mut server, &backup);
        let outer = folder();
        let mut restored = world.restored((&backup, records), outer.path(), met);
        // It goes on from there like any other.
        restored.live();
        drop(restored.start());
    }
    drop(server);
    own.0.into_iter().for_each(|(what, times)| met.add(what, times));
}

/// What a whole run must meet, and how often at least.
const LEAST: [(&str, u64); 5] = [
    ("backups", 90),
    ("backups_of_dropped", 40),
    ("gone_meanwhile", 500),
    ("records_meanwhile", 1_000),
    ("from_snapshot", 40),
];

#[test]
fn a_backup_has_what_was_durable_and_a_start_goes_on_from_it_whatever_went_on_meanwhile() {
    run_seeds(45, run, &LEAST);
}

/// A data folder at rest.
fn at_rest(world: &World<'_>) -> PacedDisk {
    let turns = Arc::new(Turns::default());
    drop(turns.pacing());
    world.paced(&turns)
}

#[test]
fn what_is_damaged_is_told_by_name_and_there_is_no_backup() {
    let folders = ["journal/", "runs/", "archive/sets/", "archive/snapshot/", "archive/"];
    let mut of_folders = [0; 5];
    for seed in [1, 2, 3] {
        let (outer, mut met) = (folder(), Met::default());
        let (world, _server) = begin(seed, outer.path(), &mut met);
        let from: Arc<dyn Disk> = Arc::new(at_rest(&world));
        let take = || {
            let to = SimulatedDisk::new(0, u64::MAX);
            let from = (Arc::clone(&from), Path::new(DATA), IDENTITY);
            back_up(from, (of(&to), Path::new(BACKUP)))
        };
        for file in take().unwrap().files {
            let path = Path::new(DATA).join(&file.path);
            // Closed days are real files here, and looked at when they are copied.
            if !world.disk.flip(&path, 8 * (file.bytes * 2 / 3) + 5) {
                assert!(file.path.starts_with("archive/summary/"), "{}", file.path);
                continue;
            }
            let place = folders.iter().position(|folder| file.path.starts_with(folder)).unwrap();
            of_folders[place] += 1;
            let error = take().unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{}: {error}", path.display());
            assert!(world.disk.flip(&path, 8 * (file.bytes * 2 / 3) + 5));
        }
        take().unwrap();
    }
    assert!(of_folders.iter().all(|files| *files > 0), "{of_folders:?}");
}

#[test]
fn a_backup_has_its_manifest_only_once_all_of_it_is_durable() {
    let (mut cut, mut whole) = (0, 0);
    for seed in [2, 3] {
        let (outer, mut met) = (folder(), Met::default());
        let (world, _server) = begin(seed, outer.path(), &mut met);
        let from: Arc<dyn Disk> = Arc::new(at_rest(&world));
        let take = |to: &SimulatedDisk| {
            let from = (Arc::clone(&from), Path::new(DATA), IDENTITY);
            back_up(from, (of(to), Path::new(BACKUP)))
        };
        let first = SimulatedDisk::new(seed, u64::MAX);
        take(&first).unwrap();
        for call in 0..=first.calls() {
            let to = SimulatedDisk::new(seed + call, u64::MAX);
            to.fault_at(call, Fault::PowerCut);
            let taken = take(&to);
            assert_eq!(taken.is_ok(), call == first.calls(), "{taken:?}");
            to.crash();
            match restore((&to, Path::new(BACKUP)), None) {
                Ok(_) => whole += 1,
                Err(RestoreError::NoBackup { .. }) => cut += 1,
                Err(error) => panic!("power cut at call {call}: {error}"),
            }
        }
    }
    assert!(cut > 200 && whole >= 2, "{cut} {whole}");
}

#[test]
fn a_call_that_fails_is_told_by_name_and_there_is_no_backup() {
    let (outer, mut met) = (folder(), Met::default());
    let (world, _server) = begin(2, outer.path(), &mut met);
    let from: Arc<dyn Disk> = Arc::new(at_rest(&world));
    let take = |to: &SimulatedDisk| {
        let from = (Arc::clone(&from), Path::new(DATA), IDENTITY);
        back_up(from, (of(to), Path::new(BACKUP)))
    };
    let first = SimulatedDisk::new(1, u64::MAX);
    take(&first).unwrap();
    let (mut told, mut again) = (0, 0);
    for fault in [Fault::Error, Fault::Full] {
        for call in 0..first.calls() {
            let to = SimulatedDisk::new(call, u64::MAX);
            to.fault_at(call, fault);
            match take(&to) {
                Err(error) => {
                    assert!(error.to_string().contains(BACKUP), "call {call}: {error}");
                    to.crash();
                    let restored = restore((&to, Path::new(BACKUP)), None);
                    let is_none = matches!(restored, Err(RestoreError::NoBackup { .. }));
                    // The manifest is the last to be written, and may stand though that failed.
                    assert!(is_none || restored.is_ok(), "call {call}: {restored:?}");
                    told += 1;
                }
                // What went wrong once is tried again.
                Ok(_) => again += 1,
            }
        }
    }
    assert!(told > 50, "{told} {again}");
}

#[test]
fn a_restore_that_is_cut_off_leaves_nothing_that_a_start_takes_for_whole() {
    let (mut refused, mut whole, mut without_journal) = (0, 0, 0);
    for seed in [2, 3] {
        let (outer, mut met) = (folder(), Met::default());
        let (mut world, mut server) = begin(seed, outer.path(), &mut met);
        // Segments of which some are not sealed.
        while world.segments() < 4 {
            world.lodge_and_place(&mut server);
            world.commit(&mut server).unwrap();
        }
        let backup = SimulatedDisk::new(seed, u64::MAX);
        let from: Arc<dyn Disk> = Arc::new(at_rest(&world));
        let from = (from, Path::new(DATA), IDENTITY);
        let contents = back_up(from, (of(&backup), Path::new(BACKUP))).unwrap();
        let restore_to = |to: &SimulatedDisk| {
            restore((&backup, Path::new(BACKUP)), Some((of(to), Path::new(DATA))))
        };
        let first = SimulatedDisk::new(seed, u64::MAX);
        restore_to(&first).unwrap();
        // Each of the last calls, in which the journal gets its place, and some of the others.
        let calls = (0..first.calls() - 40).step_by(25).chain(first.calls() - 40..first.calls());
        for (number, call) in calls.enumerate() {
            let to = SimulatedDisk::new(seed + call, u64::MAX);
            to.fault_at(call, Fault::PowerCut);
            restore_to(&to).unwrap_err();
            to.crash();
            let has_journal = to.paths().iter().any(|path| path.starts_with(JOURNAL));
            if !has_journal {
                // Which the engine refuses: see `backup::tests`.
                without_journal += 1;
                continue;
            }
            let (outer, mut met) = (folder(), Met::default());
            move_days(&to, outer.path());
            let mut restored = World::new(number as u64, outer.path(), &mut met);
            (restored.disk, restored.has_lost) = (to, true);
            let laws = lodging::laws(&restored.outer.join(folders::RULES));
            match restored.find(&laws) {
                Ok(found) => {
                    assert_eq!(found.journal.durable().watermark.0, contents.records);
                    whole += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(
        refused > 3 && whole > 3 && without_journal > 20,
        "{refused} {whole} {without_journal}"
    );
}
