//! What goes wrong: faults of the disk, ends of the process, and what is derived being lost.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lodging::IDENTITY;
use super::starting::archive_options;
use super::world::World;
use super::{ARCHIVE, RUNS};
use crate::archive::{self, Archive};
use crate::disk::simulated::Fault;
use crate::disk::{Disk, is_disk_full};
use crate::id::Watermark;
use crate::ingest::engine::folders;
use crate::summary::{SNAPSHOT_FOLDER, Snapshot, erase_derived, snapshot_path};

/// The server stops.
#[derive(Debug)]
pub(super) struct Down;

impl Down {
    /// Since the disk failed, which is the one thing that may stop it.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        assert!(is_io(error), "{error:?}");
        Self
    }
}

/// Whether the disk has failed, or is full, and nothing else is wrong.
pub(super) fn is_io(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            const EIO: i32 = 5;
            return error.raw_os_error() == Some(EIO) || is_disk_full(error);
        }
        cause = error.source();
    }
    false
}

/// The first and last record of a run, as its name says.
pub(super) fn records_of(run: &Path) -> (u64, u64) {
    let name = run.file_stem().unwrap().to_str().unwrap();
    let (first, last) = name.split_once('-').unwrap();
    (first.parse().unwrap(), last.parse().unwrap())
}

impl World<'_> {
    /// Has one of the next calls fail, in so many of 100 cases.
    pub(super) fn faulty(&mut self, percent: u64, within: u64) {
        self.faulty_after(percent, 0, within);
    }

    /// The same, `after` so many calls at least.
    pub(super) fn faulty_after(&mut self, percent: u64, after: u64, within: u64) {
        if self.is_calm || !self.chance.hits(percent) {
            return;
        }
        let at = after + self.chance.below(within);
        match self.chance.below(6) {
            0 => {
                let contents = self.disk.paths().into_iter().filter_map(|p| self.disk.content(&p));
                let used: u64 = contents.map(|content| content.len() as u64).sum();
                self.disk.set_capacity(used + self.chance.below(60_000));
            }
            1 | 2 => self.disk.fault_at(at, Fault::Error),
            _ => self.disk.fault_at(at, Fault::PowerCut),
        }
    }

    pub(super) fn no_fault(&mut self) {
        self.disk.set_capacity(u64::MAX);
        // One that was not met in what it was meant for.
        self.disk.fault_at(u64::MAX / 2, Fault::Error);
    }

    /// Ends the process, or the power.
    pub(super) fn down(&mut self) {
        if self.chance.hits(40) && !self.disk.has_no_power() {
            self.disk.kill();
            self.met.add("kills", 1);
        } else {
            self.disk.crash();
            self.met.add("power_cuts", 1);
        }
    }

    /// Loses something that is derived, now and then.
    pub(super) fn lose(&mut self) {
        if self.is_calm || self.keeps_derived || !self.chance.hits(if self.drops { 60 } else { 30 })
        {
            return;
        }
        // What was dropped is in no other place any more.
        let dropped = self.dropped();
        let mut runs = self.run_files();
        runs.retain(|run| records_of(run).0 > dropped);
        let snapshot = snapshot_path(Path::new(ARCHIVE));
        let has_snapshot = self.disk.paths().contains(&snapshot);
        if has_snapshot && self.checkpointed.0 > 0 && self.chance.hits(30) {
            // Not both of it and the catalog, before a start has made the other again.
            return self.lose_snapshot(&snapshot);
        }
        let is_durable = Snapshot::read(&self.disk, Path::new(ARCHIVE), &IDENTITY).is_ok();
        if dropped > 0 && !(has_snapshot && is_durable) {
            return;
        }
        let which = self.chance.below(6);
        match which {
            0 | 1 => self.remove(&runs),
            2 => self.lose_catalog(),
            3 => {
                self.remove(&runs);
                self.lose_catalog();
            }
            _ if runs.is_empty() => return,
            4 => {
                let place = self.chance.below(runs.len() as u64) as usize;
                self.remove(&runs[place..=place]);
            }
            _ => {
                // In what is looked at when it is opened, behind the version.
                let place = self.chance.below(runs.len() as u64) as usize;
                assert!(self.disk.flip(&runs[place], 64 + self.chance.below(8 * 64)));
            }
        }
        self.has_lost = true;
        self.met.add("runs_lost", u64::from(which != 2 && !runs.is_empty()));
        self.met.add("catalogs_lost", u64::from(which == 2 || which == 3));
    }

    pub(super) fn run_files(&self) -> Vec<PathBuf> {
        let mut files = self.disk.paths();
        files.retain(|path| path.starts_with(RUNS) && path.extension().is_some_and(|s| s == "run"));
        files
    }

    pub(super) fn remove(&mut self, files: &[PathBuf]) {
        for file in files {
            self.disk.remove(file).unwrap();
        }
        // Or they come back.
        if !files.is_empty() && self.chance.hits(70) {
            self.disk.sync_dir(Path::new(RUNS)).unwrap();
        }
    }

    fn lose_snapshot(&mut self, path: &Path) {
        if self.chance.hits(50) {
            self.disk.remove(path).unwrap();
            self.disk.sync_dir(&Path::new(ARCHIVE).join(SNAPSHOT_FOLDER)).unwrap();
        } else {
            assert!(self.disk.flip(path, 8 * 40 + self.chance.below(64)));
        }
        self.met.add("snapshots_lost", 1);
    }

    /// The last record that is dropped.
    fn dropped(&self) -> u64 {
        let options = archive::Options { look_only: true, ..archive_options() };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (archive, _) = Archive::open(disk, Path::new(ARCHIVE), options).unwrap();
        archive.dropped().map_or(0, |(through, _)| through.0)
    }

    pub(super) fn lose_catalog(&mut self) {
        let snapshot = Snapshot::read(&self.disk, Path::new(ARCHIVE), &IDENTITY).unwrap();
        let (catalog, days) = (self.outer.join(folders::CATALOG), self.outer.join(ARCHIVE));
        erase_derived(&catalog, &days, snapshot.as_ref()).unwrap();
        self.checkpointed = Watermark(0);
    }
}
