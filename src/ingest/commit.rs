//! The committer: one thread that gives batches their place in the journal and makes them durable.
//!
//! It takes what is waiting, settles and places batch after batch into one group, writes the group,
//! and only then lets the answers go. While it writes, the next batches gather: the group grows
//! with the load by itself. After a failed write nothing is answered any more and the server
//! stops: whoever waits is told to send the batch again, which is safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::{oneshot, watch};

use super::carried::Carried;
use super::clock::Clock;
use super::deltas::Deltas;
use super::forgetting::Due;
use super::laws::Laws;
use super::pace::Pace;
use super::record::{self, BatchRecord};
use super::runs;
use super::work::{Placed, ToCommit, ToEnact};
use crate::config::Config;
use crate::id::{Ordinal, Watermark};
use crate::index::Index;
use crate::index::filed::{Admission, Placing, Settled};
use crate::index::frozen::Frozen;
use crate::index::run::Forgotten;
use crate::index::settle::Settler;
use crate::journal::{self, Journal, JournalError, PushError, Reservation};
use crate::outcome::Outcome;
use crate::rules::law::Law;
use crate::summary::Event;
use crate::telemetry::Telemetry;

/// After so long without work, the committer looks whether its journal is still in order: an error
/// in making a segment ready must stop a server too to which nobody lodges.
const IDLE_MAX: Duration = Duration::from_millis(250);

/// What the committer is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Place a batch.
    Batch(Box<ToCommit>),
    /// Put a law in force. Answers its number.
    Law(ToEnact),
    /// See whether the table can be frozen that a worker found full.
    Freeze,
}

/// The committer's state.
pub(super) struct Committer {
    pub(super) journal: Journal,
    pub(super) index: Arc<Index>,
    pub(super) settler: Settler,
    /// The record placed last.
    pub(super) last: Option<journal::Placed>,
    /// What a run carries, but for the laws.
    pub(super) carried: Carried,
    /// To the thread that writes runs.
    pub(super) frozen: Sender<Arc<Frozen>>,
    pub(super) freezing: Freezing,
    /// What is to be forgotten when a table is frozen.
    pub(super) due: Due,
    /// How far sealing is.
    pub(super) pace: Arc<Pace>,
    /// When the group before was durable, and what it had to wait for was waited for.
    pub(super) paced: Instant,
    /// Dropped to tell the sealer that the server stops.
    pub(super) _sealing: Sender<()>,
    pub(super) laws: Arc<Laws>,
    pub(super) clock: Arc<Clock>,
    pub(super) next_ordinal: Ordinal,
    pub(super) group_bytes_max: usize,
    pub(super) answers: Sender<Box<Placed>>,
    pub(super) fold: Deltas,
    pub(super) durable: watch::Sender<Watermark>,
    pub(super) failed: Arc<AtomicBool>,
    pub(super) stop: watch::Sender<Option<String>>,
    pub(super) telemetry: Telemetry,
}

/// When a table is frozen that is not full: what a start judges again is bounded in bytes and, for the
/// sake of those who read the archive, in time.
#[derive(Debug)]
pub(super) struct Freezing {
    bytes_max: u64,
    interval: Duration,
    /// Written since a table was frozen.
    bytes: u64,
    /// When the first of that was written.
    since: Option<Instant>,
}

impl Freezing {
    /// `tail`: bytes of the journal that no run covers at the start.
    pub(super) fn new(config: &Config, tail: u64) -> Self {
        Self {
            bytes_max: config.unsealed_bytes_max.0 / 4,
            interval: Duration::from_secs(config.seal_interval_s),
            bytes: tail,
            since: (tail > 0).then(Instant::now),
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.since.get_or_insert_with(Instant::now);
    }

    fn is_due(&self) -> bool {
        let is_old = self.since.is_some_and(|since| since.elapsed() >= self.interval);
        is_old || self.bytes >= self.bytes_max
    }

    fn frozen(&mut self) {
        (self.bytes, self.since) = (0, None);
    }
}

/// Why the committer gives up.
#[derive(Debug, thiserror::Error)]
enum CommitError {
    #[error("the journal failed: {0}")]
    Journal(#[from] JournalError),
    #[error("the journal failed: {0}")]
    Push(#[from] PushError),
    #[error("keys are to be forgotten, and there is no memory for another table: {0}")]
    NoTable(std::io::Error),
}

/// What waits for the group to be durable.
#[derive(Default)]
struct Group {
    // Handed on as they are.
    #[allow(clippy::vec_box)]
    batches: Vec<Box<Placed>>,
    laws: Vec<PlacedLaw>,
    bytes: usize,
}

/// A law whose record has its place.
struct PlacedLaw {
    record: Watermark,
    number: u32,
    law: Arc<Law>,
    reply: oneshot::Sender<Result<u32, String>>,
}

impl Committer {
    /// Runs until every sender of `work` is gone, then ends the journal.
    pub(super) fn run(mut self, work: &Receiver<Work>) {
        let mut group = Group::default();
        loop {
            let written = match work.recv_timeout(IDLE_MAX) {
                Ok(first) => {
                    self.gather(first, work, &mut group).and_then(|()| self.flush(&mut group))
                }
                // Nothing is written; an error met in making segments ready is told.
                Err(RecvTimeoutError::Timeout) => {
                    self.journal.commit().map(drop).map_err(Into::into)
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Err(error) = written {
                drop(group);
                self.refuse(&error, work);
                return;
            }
            if self.freezing.is_due() {
                // Where the one before is being written still, another time.
                let _ = self.index.close();
            }
            if let Err(error) = self.freeze() {
                self.refuse(&error, work);
                return;
            }
        }
        if let Err(error) = self.journal.end() {
            tracing::error!(%error, "the journal could not be ended");
            self.failed.store(true, Ordering::Release);
            self.stop.send_replace(Some(error.to_string()));
        }
    }

    fn gather(
        &mut self,
        first: Work,
        work: &Receiver<Work>,
        group: &mut Group,
    ) -> Result<(), CommitError> {
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Work::Batch(batch) => self.place(*batch, group)?,
                Work::Law(law) => self.place_law(law, group)?,
                // All that has claimed may be in this group: it is seen to after that is written.
                Work::Freeze => {}
            }
            next = if group.bytes < self.group_bytes_max { work.try_recv().ok() } else { None };
        }
        Ok(())
    }

    /// Pushes a record, writing the group first where it has no more room.
    fn push(
        &mut self,
        kind: u8,
        parts: &[&[u8]],
        reservation: Reservation,
        group: &mut Group,
    ) -> Result<journal::Placed, CommitError> {
        let placed = match self.journal.push(kind, parts, reservation) {
            Err(PushError::GroupFull(reservation)) => {
                self.flush(group)?;
                self.journal.push(kind, parts, reservation)?
            }
            placed => placed?,
        };
        group.bytes += parts.iter().map(|part| part.len()).sum::<usize>();
        self.last = Some(placed);
        self.carried.seen.records = placed.number.0;
        Ok(placed)
    }

    /// Has another table take over from one that is full, once all that has claimed in it is placed.
    /// What is placed is durable here, between two groups.
    fn freeze(&mut self) -> Result<(), CommitError> {
        if self.last.is_none() || !self.index.is_to_be_frozen() {
            return Ok(());
        }
        let forgotten = self.forget()?;
        let Some(last) = self.last else { return Ok(()) };
        self.carried.laws = self.laws.records();
        let next = self.next_ordinal;
        let covers = runs::covers(&self.index, last, next, &self.carried, forgotten);
        match self.index.freeze(covers) {
            Ok(Some(frozen)) => {
                tracing::debug!(last_record = last.number.0, "another table takes over");
                self.freezing.frozen();
                // Its thread has gone only where a run could not be written, and the server stops.
                let _ = self.frozen.send(frozen);
            }
            // The record is durable, and a start will heed it: so must this server.
            Ok(None) if forgotten.is_some() => {
                let error = std::io::ErrorKind::OutOfMemory.into();
                return Err(CommitError::NoTable(error));
            }
            Err(error) if forgotten.is_some() => return Err(CommitError::NoTable(error)),
            Ok(None) => {}
            // Batches are refused until there is memory.
            Err(error) => tracing::error!(%error, "the system gives no memory for another table"),
        }
        Ok(())
    }

    /// Places the record of what is to be forgotten from here on, where something is due.
    fn forget(&mut self) -> Result<Option<Forgotten>, CommitError> {
        let Some(due) = self.due.take() else { return Ok(None) };
        let body = due.body();
        let Ok(reservation) = self.journal.room().reserve(body.len()) else {
            // When the next table is frozen.
            self.due.put_back(due);
            return Ok(None);
        };
        let placed = self.push(record::FORGOTTEN, &[&body], reservation, &mut Group::default())?;
        let durable = self.journal.commit()?;
        self.durable.send_replace(durable.watermark);
        self.fold.send(placed.number, Event::Other);
        tracing::info!(before = %due.day, "keys past their retention are forgotten");
        Ok(Some(due))
    }

    fn place(&mut self, batch: ToCommit, group: &mut Group) -> Result<(), CommitError> {
        let ToCommit { in_flight, claimed, reservation } = batch;
        let decided = self.settler.settle(claimed);
        let mut outcomes = Vec::with_capacity(decided.filed.len());
        decided.filed.write_outcomes(&mut outcomes);
        let firsts = record::firsts_of(&decided, self.next_ordinal);
        let Admission { at, day, law } = in_flight.prepared.admission;
        let record = BatchRecord {
            law,
            day,
            at,
            first_ordinal: self.next_ordinal,
            outcomes: &outcomes,
            firsts: &firsts,
            message: &in_flight.prepared.message,
        };
        let parts = [&record.header()[..], &outcomes, &firsts, &in_flight.prepared.message];
        let placed = self.push(record::BATCH, &parts, reservation, group)?;
        let placing = Placing {
            number: placed.number,
            position: placed.position,
            first_ordinal: self.next_ordinal,
        };
        self.next_ordinal.0 += decided.filed.len() as u64;
        let seen = &mut self.carried.seen;
        seen.declarations += outcomes.len() as u64;
        let accepted = Settled::first(Outcome::Accepted).byte();
        seen.accepted += outcomes.iter().filter(|outcome| **outcome == accepted).count() as u64;
        self.carried.newest = self.carried.newest.max(Some(at));
        self.settler.place(&decided.filed, placing);
        group.batches.push(Box::new(Placed { in_flight, decided, placing }));
        Ok(())
    }

    fn place_law(&mut self, law: ToEnact, group: &mut Group) -> Result<(), CommitError> {
        let ToEnact { law, reservation, reply } = law;
        if let Some(number) = self.laws.is_newest(&law) {
            // Nothing changed; whoever asked for the reload is told so all the same. The room goes
            // back first, so that it is there again for whoever acts on the answer.
            drop(reservation);
            let _ = reply.send(Ok(number));
            return Ok(());
        }
        let record = self.laws.record(&law);
        let body = record.body();
        let placed = self.push(record::LAW, &[&body], reservation, group)?;
        // The next law of this group, if there is one, gets the next number.
        if let Err(error) = self.laws.note(record) {
            let _ = reply.send(Err(error.to_string()));
            return Ok(());
        }
        group.laws.push(PlacedLaw { record: placed.number, number: record.number, law, reply });
        Ok(())
    }

    fn flush(&mut self, group: &mut Group) -> Result<(), CommitError> {
        if group.batches.is_empty() && group.laws.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let durable = self.journal.commit()?;
        self.telemetry.group_written(group.bytes, began.elapsed());
        for batch in &group.batches {
            self.clock.saw(batch.in_flight.prepared.admission.at);
        }
        self.durable.send_replace(durable.watermark);
        for PlacedLaw { record, number, law, reply } in group.laws.drain(..) {
            self.laws.put_in_force(number, law);
            self.fold.send(record, Event::Other);
            let _ = reply.send(Ok(number));
        }
        for batch in group.batches.drain(..) {
            // Workers outlive the committer; there is always one to answer.
            let _ = self.answers.send(batch);
        }
        self.freezing.wrote(group.bytes);
        if let Some(last) = self.last {
            let took = self.paced.elapsed();
            self.pace.placed(last.position);
            std::thread::sleep(self.pace.pause(last.position, group.bytes, took));
        }
        self.paced = Instant::now();
        group.bytes = 0;
        Ok(())
    }

    /// Places nothing any more, until every sender of `work` is gone. Whoever waits for an answer
    /// learns from the closed channel that there will be none; for that, what waits has to be taken
    /// out: a bounded channel keeps what is in it for as long as it has senders. The workers go on
    /// too, and refuse.
    fn refuse(self, error: &CommitError, work: &Receiver<Work>) {
        self.failed.store(true, Ordering::Release);
        tracing::error!(
            error = error as &dyn std::error::Error,
            "nothing more can be placed: stopping"
        );
        self.stop.send_replace(Some(error.to_string()));
        // Or it would go on making segments ready.
        drop(self.journal);
        work.iter().for_each(drop);
    }
}
