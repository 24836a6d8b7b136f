//! Starts, as the engine makes them, until one succeeds.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam::channel::bounded;
use tokio::sync::watch;

use super::faults::is_io;
use super::lodging::{self, IDENTITY, ZONE};
use super::world::{Server, World, put_newest_in_force};
use super::{ARCHIVE, JOURNAL, RUNS};
use crate::archive::{self, Pseudonyms};
use crate::config::Config;
use crate::disk::Disk;
use crate::id::Watermark;
use crate::index::Index;
use crate::index::run::{Folder, Run};
use crate::ingest::archivist::Archivist;
use crate::ingest::carried::Carried;
use crate::ingest::engine::folders;
use crate::ingest::folding::DurableFold;
use crate::ingest::forgetting::{Due, Forgetting};
use crate::ingest::laws::Laws;
use crate::ingest::pace::Pace;
use crate::ingest::recover::Progress;
use crate::ingest::resume::{self, Resumed, Resuming};
use crate::ingest::retention::Retention;
use crate::ingest::sealing::Sealer;
use crate::ingest::start_error::{StartError, io};
use crate::journal;
use crate::summary::{Fold, Snapshots};

/// Segments of a few groups each.
fn journal_options() -> journal::Options {
    journal::Options {
        segment_bytes: 10 * 4_096,
        group_bytes_max: 8_000,
        record_bytes_max: 12_000,
        prepare_in_background: false,
        ..journal::Options::new(IDENTITY)
    }
}

pub(super) fn archive_options() -> archive::Options {
    let pseudonyms = Pseudonyms::new([3; 16]);
    archive::Options {
        identity: IDENTITY,
        personal: false,
        pseudonyms,
        look_only: false,
        encode_beside: false,
    }
}

impl World<'_> {
    /// Starts, through whatever faults come, and checks what is found.
    pub(super) fn start(&mut self) -> Server {
        loop {
            self.lose();
            let is_faulty = !self.is_calm && self.chance.hits(30);
            if is_faulty {
                let within = [15, 50, 150][self.chance.below(3) as usize];
                self.faulty(100, within);
            }
            let laws = lodging::laws(&self.outer.join(folders::RULES));
            let found = self.find(&laws);
            self.no_fault();
            match found {
                Ok(found) => {
                    self.adopt(&found);
                    self.check_found(&found, &laws);
                    let mut server = self.server(found, laws);
                    self.check_answers(&mut server);
                    self.met.add("starts", 1);
                    return server;
                }
                Err(error) => {
                    assert!(is_faulty && is_io(&error), "{error:?}");
                    self.met.add("failed_starts", 1);
                    self.check_derived();
                    self.down();
                }
            }
        }
    }

    pub(super) fn find(&mut self, laws: &Arc<Laws>) -> Result<Resumed, StartError> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        for folder in [JOURNAL, ARCHIVE, RUNS] {
            disk.create_dir(Path::new(folder)).map_err(io(folder))?;
        }
        let (catalog, days) = (self.outer.join(folders::CATALOG), self.outer.join(ARCHIVE));
        let archive = resume::open_archive(&disk, Path::new(ARCHIVE), archive_options())?;
        let options = resume::fold_options(&*disk, Path::new(ARCHIVE), &archive, &IDENTITY)?;
        let dropped = archive.dropped().map_or(0, |(through, _)| through.0);
        self.has_snapshot = options.snapshot.is_some();
        let (fold, _, opened) = Fold::open(&catalog, &days, &options, IDENTITY)?;
        let folded = fold.watermark();
        assert!(folded >= self.checkpointed, "the catalog has lost what was durable");
        assert!(folded.0 >= dropped, "what was dropped is not folded");
        let is_from_snapshot = opened.rebuilt_because.is_some() && folded.0 > 0;
        self.checkpointed = fold.checkpointed();
        let first = journal::extent(&*disk, Path::new(JOURNAL), &IDENTITY)?;
        let first = first.map_or(1, |extent| extent.first_record.0);
        let resuming = Resuming {
            disk: Arc::clone(&disk),
            journal_folder: JOURNAL.into(),
            runs_folder: runs_folder(&disk),
            archive,
            journal: journal_options(),
            laws: Arc::clone(laws),
            preparers: vec![lodging::preparer()],
            time_zone: ZONE.into(),
        };
        let (has_lost, memory) = (self.has_lost, self.memory);
        let (mut from_runs, mut from_archive) = (false, false);
        let found = resuming.resume(fold, |runs| {
            let covered = runs.last().map_or(0, |run: &Run| run.covers().last_record.0);
            // What no segment has any more, runs and catalog have.
            (from_runs, from_archive) = (covered > 0, covered + 1 < first);
            assert!(has_lost || !from_archive, "{covered} {first}");
            assert!(has_lost || folded.0 + 1 >= first, "{folded:?} {first}");
            Index::with_runs(lodging::keys(), memory, runs).map(Arc::new).map_err(io("memory"))
        })?;
        self.met.add("from_archive", u64::from(from_archive));
        self.met.add("from_snapshot", u64::from(is_from_snapshot));
        self.met.add("folded_from_archive", u64::from(folded.0 + 1 < first));
        self.met.add("from_runs", u64::from(from_runs));
        Ok(found)
    }

    /// What is durable must be there; what was written since may be, as a whole group.
    pub(super) fn adopt(&mut self, found: &Resumed) {
        let held = found.journal.durable().watermark.0 as usize;
        let (durable, open) = (self.durable.len(), std::mem::take(&mut self.open));
        if held > durable {
            assert!(self.is_doubtful, "{held} records, and {durable} were ever written");
            assert_eq!(held, durable + open.len(), "a part of a group");
            self.durable.extend(open);
            self.met.add("unacknowledged", 1);
        } else {
            assert_eq!(held, durable, "durable records are gone");
            self.met.add("groups_lost", u64::from(!open.is_empty()));
        }
        self.is_doubtful = false;
        for number in self.plain.seen.records as usize..held {
            self.plain.take(&self.durable[number]);
        }
        self.met.add("torn", u64::from(found.recovery.torn.is_some()));
        let sets = found.archive.sets().len() as u64;
        self.met.add("sets_stood", sets.saturating_sub(self.published));
        self.published = sets;
        let is_in_both = found.archive.next().0 > self.extent().first_record;
        self.met.add("sealed_and_in_journal", u64::from(is_in_both));
    }

    /// As the engine goes on after it has recovered.
    fn server(&mut self, found: Resumed, laws: Arc<Laws>) -> Server {
        let Resumed { archive, index, journal, recovery: _, recovered } = found;
        let snapshots = self.snapshots(&recovered.fold);
        let has_snapshot = self.has_snapshot;
        let days = self.drops.then_some(3);
        let retention = Retention::begin(days, archive.clone(), snapshots, has_snapshot).unwrap();
        put_newest_in_force(&laws);
        if self.chance.hits(20) {
            self.actors_max = 3 + self.chance.below(3) as u32;
        }
        let carried = Carried {
            seen: Progress { records: recovered.fold.watermark().0, ..recovered.seen },
            newest: recovered.newest,
            actors_max: recovered.actors_max,
            time_zone: ZONE.into(),
            laws: Vec::new(),
        };
        let folded = DurableFold::default();
        folded.set(recovered.fold.checkpointed());
        let (sealing, until) = bounded(0);
        let preparer = lodging::preparer();
        let archivist = Archivist::new(preparer, Arc::clone(&laws), lodging::mint());
        let due = Due::default();
        let sealer = Sealer {
            oldest: journal.oldest(),
            archive,
            archivist,
            index: Arc::clone(&index),
            folded: folded.clone(),
            retention,
            forgetting: Forgetting::new(None, due.clone()),
            derived: Watermark(0),
            set_lines_max: 8 + self.chance.below(60),
            pace: Arc::new(Pace::new(&Config::default())),
            until,
            failed: Arc::new(AtomicBool::new(false)),
            stop: watch::channel(None).0,
        };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        Server {
            journal,
            index,
            settler: recovered.settler,
            laws,
            preparer: lodging::preparer(),
            fold: recovered.fold,
            to_fold: VecDeque::new(),
            folded,
            sealer,
            sealing: Some(sealing),
            runs: runs_folder(&disk),
            frozen: None,
            due,
            carried,
            last: recovered.last,
            next_ordinal: recovered.next_ordinal,
            waiting: Vec::new(),
        }
    }

    pub(super) fn snapshots(&self, fold: &Fold) -> Snapshots {
        fold.snapshots(Arc::new(self.disk.clone()), ARCHIVE.into(), IDENTITY)
    }

    /// A life of the server: from a start to an end of some kind.
    pub(super) fn live(&mut self) {
        let mut server = self.start();
        let steps = 25 + self.chance.below(55);
        let ends_well = (0..=steps).all(|step| {
            let done = if step == 0 { self.begin(&mut server) } else { self.act(&mut server) };
            // A disk that is full stays so for a while.
            if self.chance.hits(30) {
                self.no_fault();
            }
            done.is_ok() && !self.disk.has_no_power()
        });
        self.no_fault();
        if ends_well && self.chance.hits(30) {
            // It may fail as well.
            let _ = self.stop(server);
        } else {
            drop(server);
        }
        self.down();
    }

    /// The records that a start writes.
    pub(super) fn begin(&mut self, server: &mut Server) -> Result<(), super::faults::Down> {
        if server.laws.records().is_empty() {
            self.change_law(server)?;
        }
        if server.carried.actors_max != Some(self.actors_max) {
            self.settings(server)?;
        }
        self.commit(server)
    }
}

pub(super) fn runs_folder(disk: &Arc<dyn Disk>) -> Folder {
    Folder::new(Arc::clone(disk), Path::new(RUNS), IDENTITY)
}
