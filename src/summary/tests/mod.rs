//! The fold against a plain model, through stops, damage, and days that close and reopen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod damage;
mod history;
mod model;
mod older;
mod reading;
mod snapshot;
mod totals;

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::day::Day;
use crate::id::{Eori, Watermark};
use crate::outcome::Outcome;
use crate::rules::finding::{Element, Finding, Reason, Severity};

pub(super) const IDENTITY: [u8; 16] = *b"a data folder 01";

/// The journal of a test: events in order, record 1 first.
pub(super) type Journal = Vec<Event>;

/// A data folder with its fold.
pub(super) struct Kept {
    folder: TempDir,
    pub(super) open: Option<(Fold, Board)>,
}

impl Kept {
    /// A new folder, whose fold is at watermark 0.
    pub(super) fn new() -> Self {
        let mut kept = Self { folder: tempfile::tempdir().unwrap(), open: None };
        let opened = kept.reopen(&Vec::new());
        assert!(opened.rebuilt_because.unwrap().contains("there was no catalog"));
        kept
    }

    /// One whose fold has applied `journal`.
    pub(super) fn with(journal: &Journal) -> Self {
        let mut kept = Self::new();
        kept.apply(journal);
        kept
    }

    pub(super) fn catalog(&self) -> PathBuf {
        self.folder.path().join("catalog")
    }

    pub(super) fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    pub(super) fn fold(&mut self) -> &mut Fold {
        &mut self.open.as_mut().unwrap().0
    }

    pub(super) fn board(&self) -> &Board {
        &self.open.as_ref().unwrap().1
    }

    /// Folds in those of `journal` that are not yet.
    pub(super) fn apply(&mut self, journal: &Journal) {
        let start = self.fold().watermark().0;
        for (number, event) in (1..).zip(journal).skip(start as usize) {
            self.fold().apply(Watermark(number), event).unwrap();
        }
    }

    /// As after a stop without warning: what was not checkpointed is gone, and folded in again.
    pub(super) fn reopen(&mut self, journal: &Journal) -> Opened {
        self.open = None;
        let (catalog, archive) = (self.catalog(), self.archive());
        let (fold, board, opened) =
            Fold::open(&catalog, &archive, &FoldOptions::default(), IDENTITY).unwrap();
        assert_eq!(fold.watermark(), opened.watermark);
        self.open = Some((fold, board));
        self.apply(journal);
        opened
    }

    pub(super) fn digest(&mut self) -> [u8; 32] {
        self.fold().digest().unwrap()
    }

    pub(super) fn checkpoint(&mut self) {
        self.fold().checkpoint().unwrap();
    }

    pub(super) fn close_before(&mut self, newest: Day) -> usize {
        self.fold().close_days(newest).unwrap()
    }

    /// The names of the files of closed days.
    pub(super) fn day_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let Ok(days) = std::fs::read_dir(self.archive().join("summary")) else { return files };
        for day in days {
            let inside = std::fs::read_dir(day.unwrap().path()).unwrap();
            files.extend(inside.map(|file| file.unwrap().path()));
        }
        files.sort();
        files
    }
}

pub(super) const FIRST_DAY: Day = Day(20_000);

pub(super) fn day(n: u16) -> Day {
    Day(FIRST_DAY.0 + n)
}

pub(super) fn eori(n: u32) -> Eori {
    Eori::parse(&format!("NL{n:09}")).unwrap()
}

pub(super) fn ioss(n: u32) -> IossNumber {
    IossNumber::parse(&format!("IM528{n:07}")).unwrap()
}

pub(super) fn finding(reason: Reason) -> Finding {
    let (severity, element) = (Severity::Flag, Element::Description);
    Finding { reason, severity, element, goods_item: 1, value: (0, 0) }
}

/// A batch of `accepted` declarations of two lines each, under one IOSS number if any.
pub(super) fn batch(day: Day, declarant: u32, accepted: usize, number: Option<u32>) -> Event {
    let mut delta = Delta::new(day, eori(declarant), None);
    let facts =
        Facts { lines: 2, intrinsic_value: 1_234, gross_mass_mg: 5_000, ..Facts::default() };
    for _ in 0..accepted {
        delta.add(Outcome::Accepted, &facts, &[], number.map(ioss));
    }
    Event::Batch(delta)
}

pub(super) fn id_of(declarant: u32) -> ActorId {
    eori(declarant).into()
}
