//! A server without threads: what its threads do, in any order, on a disk that fails.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam::channel::Sender;
use prost::Message as _;

use super::faults::{Down, is_io};
use super::lodging::{self, LAWS};
use super::plain::{Lodged, LodgedBatch, Plain};
use super::{JOURNAL, Met};
use crate::day::{Day, Moment};
use crate::disk::SimulatedDisk;
use crate::disk::simulated::Chance;
use crate::id::{Ordinal, Watermark};
use crate::index::filed::{Admission, Filed, Placing};
use crate::index::frozen::Frozen;
use crate::index::run::{Folder, Forgotten};
use crate::index::settle::{Claimed, Settler};
use crate::index::{Index, Memory, Unclaimed, Why};
use crate::ingest::answer::Framing;
use crate::ingest::carried::Carried;
use crate::ingest::folding::DurableFold;
use crate::ingest::forgetting::Due;
use crate::ingest::laws::Laws;
use crate::ingest::prepare::{Prepared, Preparer};
use crate::ingest::record::{self, BatchRecord, SettingsRecord};
use crate::ingest::runs;
use crate::ingest::sealing::{SealError, Sealer, is_full};
use crate::journal::{self, Journal, NoRoomCause, PushError, Reservation};
use crate::proto::v1::SubmitBatchResponse;
use crate::summary::{Event, Fold};

/// What outlives the server, and what is known of it.
pub(super) struct World<'a> {
    pub(super) disk: SimulatedDisk,
    pub(super) chance: Chance,
    /// Where the catalog is, and the rules.
    pub(super) outer: &'a Path,
    pub(super) plain: Plain,
    /// Records that must be there.
    pub(super) durable: Vec<Lodged>,
    /// Those of the group that is not durable yet.
    pub(super) open: Vec<Lodged>,
    /// That group may be there all the same.
    pub(super) is_doubtful: bool,
    pub(super) now: Moment,
    /// The last record that the catalog has folded, at least.
    pub(super) checkpointed: Watermark,
    pub(super) actors_max: u32,
    pub(super) memory: Memory,
    /// How often the disk was called for the last set.
    pub(super) set_calls: u64,
    /// Nothing goes wrong of itself.
    pub(super) is_calm: bool,
    /// Nothing that is derived is ever lost.
    pub(super) keeps_derived: bool,
    /// Days go past their retention.
    pub(super) drops: bool,
    /// Keys of days that are dropped are forgotten.
    pub(super) forgets: bool,
    /// The last start found a snapshot of the summaries.
    pub(super) has_snapshot: bool,
    /// Runs or catalog were lost in this world.
    pub(super) has_lost: bool,
    /// How many sets were published.
    pub(super) published: u64,
    /// How many sets the last start found.
    pub(super) sets_at_start: u64,
    pub(super) met: &'a mut Met,
}

/// A batch that has claimed and has no place yet.
pub(super) struct Waiting {
    prepared: Prepared,
    claimed: Claimed,
    reservation: Reservation,
}

/// What a server is made of.
pub(super) struct Server {
    pub(super) journal: Journal,
    pub(super) index: Arc<Index>,
    pub(super) settler: Settler,
    pub(super) laws: Arc<Laws>,
    pub(super) preparer: Preparer,
    pub(super) fold: Fold,
    pub(super) to_fold: VecDeque<(Watermark, Event)>,
    pub(super) folded: DurableFold,
    pub(super) sealer: Sealer,
    pub(super) sealing: Option<Sender<()>>,
    pub(super) runs: Folder,
    pub(super) frozen: Option<Arc<Frozen>>,
    pub(super) due: Due,
    pub(super) carried: Carried,
    pub(super) last: Option<journal::Placed>,
    pub(super) next_ordinal: Ordinal,
    pub(super) waiting: Vec<Waiting>,
}

type Done = Result<(), Down>;

impl World<'_> {
    /// One thing that a thread does.
    pub(super) fn act(&mut self, server: &mut Server) -> Done {
        if self.drops && self.chance.hits(if self.forgets { 10 } else { 6 }) {
            self.faulty(30, 15);
            self.drop_days(server)?;
            return if self.forgets { self.look_for_due(server) } else { Ok(()) };
        }
        match self.chance.below(100) {
            0..28 => self.lodge(server),
            28..54 => self.place(server),
            54..65 => {
                self.faulty(20, 2);
                self.commit(server)
            }
            65..71 => {
                // Where it cannot be, it is not; a server does so only after something was lodged.
                let covered = server.index.covered().map(|covers| covers.last_record);
                if server.last.map(|last| last.number) > covered {
                    let _ = server.index.close();
                }
                self.place_all(server)?;
                self.commit(server)
            }
            71..79 => {
                self.faulty(20, 12);
                self.write_run(server)?;
                self.faulty(10, 20);
                self.merge(server)
            }
            79..82 => {
                self.fold(server);
                Ok(())
            }
            82..88 => self.checkpoint(server),
            88..97 => {
                // As often as not about when the set comes to stand and segments go.
                let late = self.set_calls.saturating_sub(30);
                let after = [0, late][self.chance.below(2) as usize];
                self.faulty_after(35, after, if after == 0 { self.set_calls } else { 34 });
                self.seal(server)
            }
            97 => self.change_law(server),
            _ => self.commit(server),
        }
    }

    /// A worker: judges and claims.
    pub(super) fn lodge(&mut self, server: &mut Server) -> Done {
        let hours = [0, 0, 0, 1, 5, 30][self.chance.below(6) as usize];
        self.now.0 += 1_000 + hours * 3_600_000;
        let Some(law) = server.laws.current() else { return Ok(()) };
        let message = self.message();
        let (prepared, draft) = lodging::prepare(&mut server.preparer, &message, self.now, &law);
        let body = record::batch_bytes_max(draft.len(), message.len());
        let reservation = match server.journal.room().reserve(body) {
            Ok(reservation) => reservation,
            Err(refused) => {
                let full = matches!(refused.cause, NoRoomCause::DiskFull | NoRoomCause::HeldUp);
                assert!(full || refused.cause == NoRoomCause::NotReady, "{refused}");
                self.met.add("no_room", u64::from(full));
                // Segments are made ready there.
                return self.commit(server);
            }
        };
        match server.index.claim(Filed::new(prepared.admission, draft)) {
            Ok(claimed) => server.waiting.push(Waiting { prepared, claimed, reservation }),
            Err(Unclaimed { why: Why::Closed, .. }) => {
                self.place_all(server)?;
                return self.commit(server);
            }
            Err(Unclaimed { why: Why::Full(full), .. }) => {
                self.met.add("tables_full", 1);
                // Another one takes over once all is placed, or the one before is written.
                let _ = server.index.make_room(full);
            }
            Err(Unclaimed { why: Why::Run(error), .. }) => return Err(Down::of(&error)),
        }
        Ok(())
    }

    fn message(&mut self) -> Bytes {
        let again = self.chance.hits(15);
        let place = self.chance.below(self.durable.len() as u64) as usize;
        let earlier = self.durable.get(place).and_then(|lodged| lodged.batch.as_ref());
        match earlier.filter(|_| again) {
            Some(batch) => batch.message.clone(),
            None => lodging::message(&mut self.chance),
        }
    }

    /// The committer: gives any batch that has claimed its place.
    pub(super) fn place(&mut self, server: &mut Server) -> Done {
        if server.waiting.is_empty() {
            return Ok(());
        }
        let place = self.chance.below(server.waiting.len() as u64) as usize;
        let Waiting { prepared, claimed, reservation } = server.waiting.swap_remove(place);
        let decided = server.settler.settle(claimed);
        let first_ordinal = server.next_ordinal;
        let mut outcomes = Vec::new();
        decided.filed.write_outcomes(&mut outcomes);
        let firsts = record::firsts_of(&decided, first_ordinal);
        let Admission { at, day, law } = prepared.admission;
        let message = prepared.message.clone();
        let of_batch = BatchRecord {
            law,
            day,
            at,
            first_ordinal,
            outcomes: &outcomes,
            firsts: &firsts,
            message: &message,
        };
        let parts = [&of_batch.header()[..], &outcomes, &firsts, &message];
        let placed = self.push(server, record::BATCH, &parts, reservation)?;
        let placing = Placing { number: placed.number, position: placed.position, first_ordinal };
        server.next_ordinal.0 += outcomes.len() as u64;
        let seen = &mut server.carried.seen;
        seen.declarations += outcomes.len() as u64;
        seen.accepted += outcomes.iter().filter(|byte| **byte == 1).count() as u64;
        server.carried.newest = server.carried.newest.max(Some(at));
        server.settler.place(&decided.filed, placing);
        let (finisher, laws, framing) = (lodging::finisher(), &server.laws, Framing::Unary);
        let preparer = &mut server.preparer;
        let finished = finisher.finish(preparer, laws, &prepared, &decided, placing, framing);
        let (answer, delta) = finished.unwrap();
        let answer = SubmitBatchResponse::decode(answer).unwrap();
        self.met.count(&outcomes);
        self.open.push(Lodged {
            kind: record::BATCH,
            body: parts.concat(),
            event: Event::Batch(delta),
            batch: Some(LodgedBatch {
                message: prepared.message,
                at,
                law,
                first_ordinal,
                outcomes,
                firsts,
                answer,
            }),
        });
        Ok(())
    }

    fn place_all(&mut self, server: &mut Server) -> Done {
        while !server.waiting.is_empty() {
            self.place(server)?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        server: &mut Server,
        kind: u8,
        parts: &[&[u8]],
        reservation: Reservation,
    ) -> Result<journal::Placed, Down> {
        let placed = match server.journal.push(kind, parts, reservation) {
            Err(PushError::GroupFull(reservation)) => {
                self.flush(server)?;
                server.journal.push(kind, parts, reservation).unwrap()
            }
            placed => placed.unwrap(),
        };
        server.last = Some(placed);
        server.carried.seen.records = placed.number.0;
        Ok(placed)
    }

    fn flush(&mut self, server: &mut Server) -> Done {
        self.is_doubtful = true;
        let durable = server.journal.commit().map_err(|error| Down::of(&error))?;
        self.is_doubtful = false;
        for lodged in self.open.drain(..) {
            let number = Watermark(self.durable.len() as u64 + 1);
            server.to_fold.push_back((number, lodged.event.clone()));
            if lodged.kind == record::LAW {
                put_newest_in_force(&server.laws);
            }
            self.durable.push(lodged);
        }
        assert_eq!(durable.watermark.0, self.durable.len() as u64);
        Ok(())
    }

    /// The committer: writes the group, and has another table take over where one is to.
    pub(super) fn commit(&mut self, server: &mut Server) -> Done {
        self.flush(server)?;
        if !server.index.is_to_be_frozen() {
            return Ok(());
        }
        let forgotten = self.forget(server)?;
        let Some(last) = server.last else { return Ok(()) };
        server.carried.laws = server.laws.records();
        let (index, next, carried) = (&server.index, server.next_ordinal, &server.carried);
        let covers = runs::covers(index, last, next, carried, forgotten);
        let frozen = index.freeze(covers).unwrap();
        assert!(frozen.is_some() || forgotten.is_none(), "no table takes over");
        if let Some(frozen) = frozen {
            assert!(server.frozen.is_none(), "two tables are frozen");
            server.frozen = Some(frozen);
        }
        Ok(())
    }

    /// The committer: the record of what is to be forgotten.
    fn forget(&mut self, server: &mut Server) -> Result<Option<Forgotten>, Down> {
        let Some(due) = server.due.take() else { return Ok(None) };
        let body = due.body();
        let Ok(reservation) = server.journal.room().reserve(body.len()) else {
            server.due.put_back(due);
            return Ok(None);
        };
        self.push(server, record::FORGOTTEN, &[&body], reservation)?;
        self.open.push(Lodged { kind: record::FORGOTTEN, body, event: Event::Other, batch: None });
        self.flush(server)?;
        self.met.add("forgotten", 1);
        Ok(Some(due))
    }

    /// The sealer: finds what is due to be forgotten.
    fn look_for_due(&mut self, server: &mut Server) -> Done {
        let today = lodging::calendar().day(self.now).0;
        let day = Day(today - self.chance.below(3) as u16);
        let Sealer { forgetting, index, archive, derived, .. } = &mut server.sealer;
        let looked = forgetting.look_before(day, (index, archive), *derived);
        looked.map_err(|error| Down::of(&error))
    }

    fn write_run(&mut self, server: &mut Server) -> Done {
        let Some(frozen) = &server.frozen else { return Ok(()) };
        match frozen.write(&server.runs) {
            Ok(run) => {
                server.index.publish(run);
                server.frozen = None;
                self.met.add("runs", 1);
            }
            Err(error) if error.is_disk_full() => self.met.add("full_runs", 1),
            Err(error) => return Err(Down::of(&error)),
        }
        Ok(())
    }

    /// The merging thread.
    pub(super) fn merge(&mut self, server: &mut Server) -> Done {
        while let Some(merge) = server.index.next_merge(server.folded.get()) {
            let merged = match server.sealer.retention.before_merge() {
                Ok(()) => merge.write(&server.runs, &|| true),
                Err(error) if error.is_disk_full() => return Ok(()),
                Err(error) => return Err(Down::of(&error)),
            };
            match merged {
                Ok(merged) => server.index.publish_merged(&merge, merged),
                Err(error) if error.is_disk_full() => return Ok(()),
                Err(error) => return Err(Down::of(&error)),
            }
            self.met.add("merged", 1);
            merge.remove_inputs(&server.runs).map_err(|error| Down::of(&error))?;
        }
        let Some(through) = server.sealer.retention.dropped_through() else { return Ok(()) };
        for run in server.index.take_forgotten(through) {
            self.met.add("runs_forgotten", 1);
            server.runs.remove_durably(run.path()).map_err(|error| Down::of(&error))?;
        }
        Ok(())
    }

    /// The fold thread: some of what is durable.
    fn fold(&mut self, server: &mut Server) {
        for _ in 0..self.chance.below(16) {
            let Some((number, event)) = server.to_fold.pop_front() else { return };
            server.fold.apply(number, &event).unwrap();
        }
    }

    /// The catalog's thread, which may end before, in between or after.
    pub(super) fn checkpoint(&mut self, server: &mut Server) -> Done {
        self.fold(server);
        let Some(checkpoint) = server.fold.begin_checkpoint().unwrap() else { return Ok(()) };
        let ends = if self.is_calm { 2 } else { self.chance.below(12) };
        if ends == 0 {
            return Err(Down);
        }
        let written = checkpoint.write().unwrap();
        self.checkpointed = server.fold.watermark();
        if ends == 1 {
            return Err(Down);
        }
        server.fold.end_checkpoint(written);
        server.folded.set(server.fold.checkpointed());
        Ok(())
    }

    /// The sealer's thread.
    pub(super) fn seal(&mut self, server: &mut Server) -> Done {
        let sets = server.sealer.archive.sets().len() as u64;
        let segments = self.segments();
        let calls = self.disk.calls();
        let round = server.sealer.round();
        let published = server.sealer.archive.sets().len() as u64 - sets;
        self.published += published;
        if published > 0 {
            self.set_calls = self.disk.calls() - calls;
        }
        self.met.add("sets", published);
        self.met.add("segments_removed", segments.saturating_sub(self.segments()));
        let done = match round {
            Ok(_) => Ok(()),
            Err(SealError::Stopping) => {
                assert!(server.sealing.is_none(), "nobody stops");
                self.met.add("stopped", 1);
                Ok(())
            }
            Err(error) if is_full(&error) => {
                self.met.add("full_sets", 1);
                Ok(())
            }
            Err(error) => {
                assert!(is_io(&error), "{error:?}");
                self.met.add("failed_rounds", 1);
                Err(Down)
            }
        };
        self.check_removed(server);
        done
    }

    fn drop_days(&mut self, server: &mut Server) -> Done {
        let today = lodging::calendar().day(self.now).0;
        let before = Day(today - self.chance.below(3) as u16);
        let Sealer { retention, derived, .. } = &server.sealer;
        match retention.drop_before(before, *derived) {
            Ok(dropped) => self.met.add("days_dropped", dropped),
            Err(error) if is_full(&error) => self.met.add("failed_drops", 1),
            Err(error) => {
                self.met.add("failed_drops", 1);
                return Err(Down::of(&error));
            }
        }
        Ok(())
    }

    /// Puts the next law in force, where there is one.
    pub(super) fn change_law(&mut self, server: &mut Server) -> Done {
        let number = server.laws.records().len();
        if number == LAWS {
            return Ok(());
        }
        let law = server.laws.record(&lodging::numbered(number).law);
        let body = law.body();
        let Ok(reservation) = server.journal.room().reserve(body.len()) else {
            return self.commit(server);
        };
        self.push(server, record::LAW, &[&body], reservation)?;
        server.laws.note(law).unwrap();
        self.open.push(Lodged { kind: record::LAW, body, event: Event::Other, batch: None });
        Ok(())
    }

    /// As a start does where the settings are others than the journal's.
    pub(super) fn settings(&mut self, server: &mut Server) -> Done {
        let (actors_max, time_zone) = (self.actors_max, lodging::ZONE);
        let body = SettingsRecord { actors_max, time_zone }.body();
        let Ok(reservation) = server.journal.room().reserve(body.len()) else {
            return self.commit(server);
        };
        self.push(server, record::SETTINGS, &[&body], reservation)?;
        let event = Event::ActorsMax(actors_max);
        self.open.push(Lodged { kind: record::SETTINGS, body, event, batch: None });
        server.carried.actors_max = Some(actors_max);
        Ok(())
    }

    /// How many segments there are.
    pub(super) fn segments(&self) -> u64 {
        let is_segment = |path: &std::path::PathBuf| {
            path.starts_with(JOURNAL) && path.extension().is_some_and(|suffix| suffix == "segment")
        };
        self.disk.paths().iter().filter(|path| is_segment(path)).count() as u64
    }

    /// Everything that was begun is ended, as a stop does.
    pub(super) fn stop(&mut self, mut server: Server) -> Done {
        // The sealer may be at work while the rest ends.
        if self.chance.hits(50) {
            server.sealing = None;
            self.seal(&mut server)?;
        }
        self.place_all(&mut server)?;
        self.commit(&mut server)?;
        while let Some((number, event)) = server.to_fold.pop_front() {
            server.fold.apply(number, &event).unwrap();
        }
        self.checkpoint(&mut server)?;
        server.journal.end().map_err(|error| Down::of(&error))?;
        self.met.add("ended", 1);
        Ok(())
    }
}

/// The law whose record came last.
pub(super) fn put_newest_in_force(laws: &Laws) {
    if let Some(newest) = laws.records().len().checked_sub(1) {
        let newest = lodging::numbered(newest);
        laws.put_in_force(newest.number, newest.law);
    }
}
