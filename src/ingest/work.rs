//! What is handed from stage to stage, and the worker threads, which do the first stage (read,
//! judge, claim) and the last (answer, delta).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, never, select_biased};
use tokio::sync::{oneshot, watch};

use super::again::{Again, Under};
use super::answer::{self, Framing, Totals, Verdict};
use super::budget::Turn;
use super::commit::Work;
use super::deltas::Deltas;
use super::laws::Laws;
use super::prepare::{Prepared, Preparer};
use super::record;
use super::refusal::Refusal;
use crate::day::Moment;
use crate::index::filed::{Filed, Placing, Settled};
use crate::index::run::RunError;
use crate::index::settle::{Claimed, Decided, First};
use crate::index::{Full, Index, NoRoom as NoPlace, Unclaimed, Why};
use crate::journal::{NoRoom, NoRoomCause, Reservation, Room};
use crate::mrn::{Mint, Mrn};
use crate::outcome::Outcome;
use crate::rules::Law;
use crate::rules::finding::{Findings, OwnFindings};
use crate::summary::{Delta, Event};
use crate::telemetry::{Stage, Telemetry, Trace, Traced};

/// Where the answer goes, and what is given back with it.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) framing: Framing,
    pub(super) reply: oneshot::Sender<Result<Answer, Refusal>>,
    /// What it holds of what may be in work.
    pub(super) turn: Turn,
    /// Of a batch that is traced.
    pub(super) trace: Option<Box<Trace>>,
}

impl Caller {
    fn ends(&mut self, stage: Stage) {
        if let Some(trace) = &mut self.trace {
            trace.ends(stage);
        }
    }
}

/// The bytes of an answer. What the batch holds is given back when these have left for the network.
#[derive(Debug)]
pub struct Answer {
    /// As [`Framing`] has them.
    pub bytes: Bytes,
    /// What the batch holds.
    pub turn: Turn,
}

/// A batch that has been admitted.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) message: Bytes,
    pub(super) at: Moment,
    pub(super) caller: Caller,
}

/// A batch that has been judged.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) prepared: Prepared,
    pub(super) caller: Caller,
}

/// A batch that has claimed its keys: from here on it will be placed.
#[derive(Debug)]
pub(super) struct ToCommit {
    pub(super) in_flight: InFlight,
    pub(super) claimed: Claimed,
    pub(super) reservation: Reservation,
}

/// A law that has room for its record and waits to be put in force.
#[derive(Debug)]
pub(super) struct ToEnact {
    pub(super) law: Arc<Law>,
    pub(super) reservation: Reservation,
    /// Gets its number once the record is durable, or why it is not in force.
    pub(super) reply: oneshot::Sender<Result<u32, String>>,
}

/// A batch that is durable.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) in_flight: InFlight,
    pub(super) decided: Decided,
    pub(super) placing: Placing,
}

/// A worker thread.
pub(super) struct Worker {
    pub(super) preparer: Preparer,
    pub(super) index: Arc<Index>,
    pub(super) laws: Arc<Laws>,
    pub(super) room: Room,
    pub(super) finisher: Finisher,
    pub(super) failed: Arc<AtomicBool>,
    pub(super) stop: watch::Sender<Option<String>>,
    /// The generation of the index that was found full last, and until when a batch waits for another
    /// to take over from it.
    pub(super) full: Option<(u64, Instant)>,
    pub(super) telemetry: Telemetry,
}

/// Where a batch goes from a worker, and what comes back to it.
struct Ways<'a> {
    commit: &'a Sender<Work>,
    answers: &'a Receiver<Box<Placed>>,
    fold: &'a Deltas,
}

impl Worker {
    /// Runs until both channels are closed: first the jobs, then the answers.
    pub(super) fn run(
        mut self,
        jobs: Receiver<Job>,
        answers: &Receiver<Box<Placed>>,
        commit: Sender<Work>,
        fold: &Deltas,
    ) {
        let (mut jobs, mut commit) = (jobs, Some(commit));
        loop {
            select_biased! {
                recv(answers) -> placed => match placed {
                    Ok(placed) => self.finish(*placed, fold),
                    Err(_) => return,
                },
                recv(jobs) -> job => match (job, &commit) {
                    (Ok(job), Some(commit)) => self.begin(job, &Ways { commit, answers, fold }),
                    _ => {
                        // No more batches; the committer ends when no worker can send any more.
                        jobs = never();
                        commit = None;
                    }
                },
            }
        }
    }

    fn begin(&mut self, job: Job, ways: &Ways<'_>) {
        let Job { message, at, mut caller } = job;
        caller.ends(Stage::Wait);
        match self.claim(message, at, &mut caller, ways) {
            Ok((prepared, claimed, reservation)) => {
                let in_flight = InFlight { prepared, caller };
                let batch = Box::new(ToCommit { in_flight, claimed, reservation });
                // A committer that failed drops it, and the caller sees its channel closed.
                let _ = ways.commit.send(Work::Batch(batch));
            }
            Err(refusal) => {
                if let Some(trace) = caller.trace {
                    trace.refused(&refusal.message);
                }
                let _ = caller.reply.send(Err(refusal));
            }
        }
    }

    fn claim(
        &mut self,
        message: Bytes,
        at: Moment,
        caller: &mut Caller,
        ways: &Ways<'_>,
    ) -> Result<(Prepared, Claimed, Reservation), Refusal> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Refusal::stopping());
        }
        let law = self.laws.current().ok_or_else(Refusal::stopping)?;
        let when = self.preparer.calendar().when(at);
        let (prepared, draft) = self.preparer.prepare(message, when, &law)?;
        caller.ends(Stage::Judge);
        // Room first, so that what has claimed a key is always placed.
        let body = record::batch_bytes_max(draft.len(), prepared.message.len());
        let room = self.room.clone();
        let reserved = reserve_between(&room, body, || self.answer_for(ROOM_WAIT, ways));
        let reservation = reserved.map_err(no_room)?;
        let claimed = self.claim_keys(Filed::new(prepared.admission, draft), ways)?;
        caller.ends(Stage::Claim);
        Ok((prepared, claimed, reservation))
    }

    /// Claims the keys of a batch; where the table is full, waits for another one to take over. The
    /// committer sees to that, and waits for no worker.
    fn claim_keys(&mut self, mut filed: Filed, ways: &Ways<'_>) -> Result<Claimed, Refusal> {
        for _ in 0..TAKE_OVERS_MAX {
            let Unclaimed { filed: again, why } = match self.index.claim(filed) {
                Ok(claimed) => return Ok(claimed),
                Err(unclaimed) => unclaimed,
            };
            filed = *again;
            match why {
                Why::Closed => {}
                Why::Full(full) => match self.make_room(full, ways) {
                    Err(_) if self.failed.load(Ordering::Acquire) => {
                        return Err(Refusal::stopping());
                    }
                    made => made.map_err(no_place)?,
                },
                Why::Run(error) => return Err(self.cannot_vouch(&error)),
            }
            // Whoever leaves last has the committer look once more.
            let _ = ways.commit.send(Work::Freeze);
            if !self.index.wait_until_open(TAKE_OVER_WAIT) {
                break;
            }
        }
        if self.failed.load(Ordering::Acquire) {
            return Err(Refusal::stopping());
        }
        let sentence = "the index is changing over to another table: send the batch again later";
        Err(Refusal::exhausted(sentence, 1_000))
    }

    /// Has another table take over from the full one. Where the one before is still being written, that
    /// gets the processor meanwhile that judging does not take, and what is durable is answered.
    fn make_room(&mut self, full: Full, ways: &Ways<'_>) -> Result<(), NoPlace> {
        // Counted from the first batch that found it full: if it stays so, the others are told at once.
        let until = match self.full {
            Some((generation, until)) if generation == full.generation => until,
            _ => Instant::now() + RUN_WAIT_MAX,
        };
        self.full = Some((full.generation, until));
        let index = Arc::clone(&self.index);
        make_room_between(
            || index.make_room(full),
            || {
                if Instant::now() >= until || self.failed.load(Ordering::Acquire) {
                    return false;
                }
                self.answer_for(RUN_WAIT, ways);
                true
            },
        )
    }

    /// Answers what is durable for so long, while the batch at hand has to wait.
    fn answer_for(&mut self, time: Duration, ways: &Ways<'_>) {
        let until = Instant::now() + time;
        loop {
            match ways.answers.recv_deadline(until) {
                Ok(placed) => self.finish(*placed, ways.fold),
                Err(RecvTimeoutError::Timeout) => return,
                // The committer has failed, and the batch is about to be refused.
                Err(RecvTimeoutError::Disconnected) => return std::thread::sleep(time),
            }
        }
    }

    /// What was answered before cannot be read: nothing can be vouched for any more.
    fn cannot_vouch(&self, error: &RunError) -> Refusal {
        let source = error as &dyn std::error::Error;
        tracing::error!(error = source, "the index cannot be read: stopping");
        self.failed.store(true, Ordering::Release);
        self.stop.send_replace(Some(format!("the index cannot be read: {error}")));
        Refusal::stopping()
    }

    fn finish(&mut self, placed: Placed, fold: &Deltas) {
        let Placed { in_flight: InFlight { prepared, mut caller }, decided, placing } = placed;
        caller.ends(Stage::Commit);
        let number = placing.number;
        let framing = caller.framing;
        match self.finisher.finish(
            &mut self.preparer,
            &self.laws,
            &prepared,
            &decided,
            placing,
            framing,
        ) {
            Ok((answer, delta)) => {
                tracing::debug!(
                    batch_id = prepared.batch_id,
                    declarant = prepared.declarant.as_str(),
                    watermark = number.0,
                    declarations = prepared.judged.len(),
                    "batch answered"
                );
                self.telemetry.answered(caller.turn.age());
                caller.ends(Stage::Answer);
                if let Some(trace) = caller.trace {
                    trace.answered(&Traced {
                        batch_id: &prepared.batch_id,
                        declarant: prepared.declarant.as_str(),
                        declarations: prepared.judged.len(),
                        watermark: number.0,
                    });
                }
                // Nobody may be listening any more; the batch is lodged all the same.
                let _ = caller.reply.send(Ok(Answer { bytes: answer, turn: caller.turn }));
                fold.send(number, Event::Batch(delta));
            }
            Err(reason) => {
                // What was answered before can no longer be told: damage, so nothing goes on.
                tracing::error!(
                    reason,
                    record = number.0,
                    batch_id = prepared.batch_id,
                    "a durable batch cannot be answered"
                );
                self.failed.store(true, Ordering::Release);
                self.stop.send_replace(Some(format!("record {}: {reason}", number.0)));
                let sentence =
                    format!("the server stops, since it cannot tell its answer: {reason}");
                let _ = caller.reply.send(Err(Refusal::unavailable(sentence, 60_000)));
                fold.give_up();
            }
        }
    }
}

/// How long a batch waits for a table to take over from another: all that is in work is placed, and
/// one group written, before that.
const TAKE_OVER_WAIT: Duration = Duration::from_secs(2);
/// A batch that finds so many tables full one after another is told to come back.
const TAKE_OVERS_MAX: u32 = 4;

/// Between two looks whether the table before is written.
const RUN_WAIT: Duration = Duration::from_millis(2);
/// A run is written in less, with the processors to itself; past that, its disk is slow or full.
const RUN_WAIT_MAX: Duration = Duration::from_millis(500);

/// Makes room, waiting for a run that is being written for as long as `wait` says to go on.
fn make_room_between(
    mut make: impl FnMut() -> Result<(), NoPlace>,
    mut wait: impl FnMut() -> bool,
) -> Result<(), NoPlace> {
    let mut made = make();
    while matches!(made, Err(NoPlace::Writing(_))) && wait() {
        made = make();
    }
    made
}

fn no_place(why: NoPlace) -> Refusal {
    match why {
        NoPlace::Writing(_) => {
            Refusal::exhausted(format!("{why}: send the batch again later"), 1_000)
        }
        NoPlace::Memory(_) => Refusal::exhausted(
            format!("{why}: the server needs more memory (memory_max) to take more"),
            0,
        ),
    }
}

/// Between two askings for room.
const ROOM_WAIT: Duration = Duration::from_millis(2);
/// So it waits 200 ms in all, many times what it takes to make a segment ready.
const ROOM_WAITS_MAX: u32 = 100;

/// Room in the journal for a record; waits while the next segment is being made ready, a matter of
/// milliseconds as a rule. It blocks: not for a tokio worker, and not for the committer, which
/// everyone waits for.
///
/// # Errors
/// [`NoRoom`], where waiting does not help or did not.
pub(super) fn reserve(room: &Room, body_bytes: usize) -> Result<Reservation, NoRoom> {
    reserve_between(room, body_bytes, || std::thread::sleep(ROOM_WAIT))
}

fn reserve_between(
    room: &Room,
    body_bytes: usize,
    mut wait: impl FnMut(),
) -> Result<Reservation, NoRoom> {
    let mut reserved = room.reserve(body_bytes);
    for _ in 0..ROOM_WAITS_MAX {
        match &reserved {
            Err(NoRoom { cause: NoRoomCause::NotReady | NoRoomCause::HeldUp, .. }) => wait(),
            _ => break,
        }
        reserved = room.reserve(body_bytes);
    }
    reserved
}

fn no_room(error: NoRoom) -> Refusal {
    match error.cause {
        NoRoomCause::NotReady => Refusal::exhausted(error.to_string(), 1_000),
        NoRoomCause::HeldUp => Refusal::exhausted(
            "as much waits to be sealed as there may be (unsealed_bytes_max): send the batch again \
             later",
            1_000,
        ),
        NoRoomCause::DiskFull => Refusal::exhausted(
            format!("the disk is full: {error}; lodging goes on once there is space for a segment"),
            30_000,
        ),
        NoRoomCause::TooLarge => Refusal::invalid("declarations", error.to_string()),
        NoRoomCause::Poisoned => Refusal::stopping(),
    }
}

/// Makes answers and deltas of durable batches.
#[derive(Debug, Clone)]
pub(super) struct Finisher {
    pub(super) mint: Mint,
    pub(super) answer_bytes_max: usize,
}

impl Finisher {
    /// The answer to a placed batch, and its contribution to the summaries.
    ///
    /// # Errors
    /// A sentence, where a law or declaration that was there before cannot be had any more.
    pub(super) fn finish(
        &self,
        preparer: &mut Preparer,
        laws: &Laws,
        prepared: &Prepared,
        decided: &Decided,
        placing: Placing,
        framing: Framing,
    ) -> Result<(Bytes, Delta), String> {
        // Past this many bytes of values, there is no room in the answer for the sentences.
        let mut findings_again = Findings::quoting(self.answer_bytes_max);
        let again = again(preparer, laws, prepared, decided, &mut findings_again)?;
        let mut delta =
            Delta::new(prepared.admission.day, prepared.declarant, prepared.representative);
        let (mut firsts, mut agains) = (decided.replays.iter().peekable(), again.iter().peekable());
        let mut references = prepared.references.iter().peekable();
        let mut verdicts = Vec::with_capacity(prepared.judged.len());
        let mut totals = Totals::default();
        let mut mrns = self.mint.mrns_of(prepared.admission.day, placing.first_ordinal);
        for (index, judged) in prepared.judged.iter().enumerate() {
            let settled = decided.filed.settled(index).unwrap_or(Settled::first(Outcome::Rejected));
            let first = firsts.next_if(|(i, _)| usize::from(*i) == index).map(|(_, first)| first);
            let again = agains.next_if(|again| again.index == index);
            let (judgement, findings, law) = match (again, &prepared.findings) {
                (Some(again), _) => {
                    (again.judgement, findings_again.of(again.found), again.law.as_ref())
                }
                (None, Some(findings)) => {
                    (judged.judgement, findings.of(judged.findings), prepared.day_law.as_ref())
                }
                (None, None) => (judged.judgement, OwnFindings::NONE, prepared.day_law.as_ref()),
            };
            match settled.outcome {
                Outcome::Accepted => {
                    totals.accepted += 1;
                    totals.accepted_lines += judged.lines;
                }
                Outcome::Rejected => totals.rejected += 1,
                Outcome::Replayed => totals.replayed += 1,
                Outcome::Conflict => totals.conflicts += 1,
            }
            delta.add(settled.outcome, &judged.facts, findings, judged.ioss);
            if let Some((_, reference)) = references.next_if(|(at, _)| *at == index) {
                delta.refer(settled.outcome, &judged.facts, reference);
            }
            verdicts.push(Verdict {
                outcome: settled.outcome,
                mrn: match settled.outcome {
                    Outcome::Accepted => Some(mrns.of(index)),
                    _ => self.first_mrn(settled, first),
                },
                findings,
                law,
                replay_of: settled.replay_of,
                value_cents: judgement.intrinsic_value.0,
                duty_cents: judgement.duty.0,
            });
        }
        let answer = answer::write(
            &prepared.batch_id,
            &verdicts,
            totals,
            placing.number.0,
            framing,
            answer::Bound { bytes: self.answer_bytes_max, texts: findings_again.has_all_values() },
        );
        Ok((answer, delta))
    }

    /// The MRN that a replay repeats.
    fn first_mrn(&self, settled: Settled, first: Option<&First>) -> Option<Mrn> {
        match (settled.outcome, settled.replay_of, first) {
            (Outcome::Replayed, Some(Outcome::Accepted), Some(first)) => {
                let ordinal = first.placing()?.first_ordinal;
                Some(self.mint.mrn_of(first.admission().day, ordinal, first.index()))
            }
            _ => None,
        }
    }
}

/// Judges again what has to be: conflicts, whose list starts with the conflict itself, replays
/// whose first answer was given under another law, day or fallback than this batch's, and all
/// declarations of a batch whose findings were not held.
fn again(
    preparer: &mut Preparer,
    laws: &Laws,
    prepared: &Prepared,
    decided: &Decided,
    findings: &mut Findings,
) -> Result<Vec<Again>, String> {
    let mut firsts = decided.replays.iter().peekable();
    let mut declarations = (0..prepared.judged.len())
        .filter_map(|index| {
            let settled = decided.filed.settled(index)?;
            let first = firsts.next_if(|(i, _)| usize::from(*i) == index).map(|(_, first)| first);
            let is_conflict = settled.outcome == Outcome::Conflict
                || settled.replay_of == Some(Outcome::Conflict);
            let here = Under::of(&decided.filed, index, is_conflict);
            let then = first.map_or(here, |first| Under::first(first, is_conflict));
            let must = is_conflict || then != here || prepared.findings.is_none();
            must.then_some((index, then))
        })
        .peekable();
    if declarations.peek().is_none() {
        return Ok(Vec::new());
    }
    preparer.judge_again(&prepared.message, laws, declarations, findings)
}

#[cfg(test)]
#[path = "tests/room.rs"]
mod tests;
