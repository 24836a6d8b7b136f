//! What goes wrong: faults of the disk, ends of the process, and what is derived being lost.

use std::error::Error;
use std::path::{Path, PathBuf};

use super::world::World;
use super::{ARCHIVE, RUNS};
use crate::disk::simulated::Fault;
use crate::disk::{Disk, is_disk_full};
use crate::id::Watermark;
use crate::ingest::engine::folders;
use crate::summary::erase_derived;

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
        if self.is_calm || self.keeps_derived || !self.chance.hits(30) {
            return;
        }
        let runs = self.run_files();
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

    fn lose_catalog(&mut self) {
        erase_derived(&self.outer.join(folders::CATALOG), &self.outer.join(ARCHIVE)).unwrap();
        self.checkpointed = Watermark(0);
    }
}
