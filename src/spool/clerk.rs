//! The one thread that writes: takes all that waits, writes it as one synced group, and only then changes
//! the state that others see and answers whoever asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::message::Said;
use super::record::{AnswerHead, BatchHead, Entry, SentHead, TakenHead};
use super::state::{self, Content};
use super::store::{LodgeError, Lodged, Shared, StoreError};
use crate::id::Watermark;
use crate::ingest::clock::Clock;
use crate::journal::{Journal, NoRoomCause, Oldest, Placed, PushError, Reservation};

/// Between two looks at what may go.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// A segment that is being made ready takes milliseconds; past this, something is wrong.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks whether it is.
const READY_LOOK: Duration = Duration::from_millis(2);
/// Where there is no room, it is worth asking again so much later.
const ROOM_AGAIN_MS: u32 = 5_000;

/// A batch to be taken in.
#[derive(Debug)]
pub(super) struct Lodge {
    pub(super) said: Said,
    pub(super) sha256: [u8; 32],
    pub(super) message: Bytes,
    /// The service can be reached.
    pub(super) is_reachable: bool,
    pub(super) done: oneshot::Sender<Result<Lodged, LodgeError>>,
}

/// What the clerk is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    Lodge(Box<Lodge>),
    Sent(SentHead, oneshot::Sender<Result<(), StoreError>>),
    Answer(Box<AnswerHead>, Vec<u8>, oneshot::Sender<Result<(), StoreError>>),
    /// Nobody waits for it: what it says is said again, or lost without harm.
    Taken(TakenHead),
    Tidy,
    Stop,
}

/// Who is answered once the group is durable.
#[derive(Debug)]
enum Waiting {
    Lodged(oneshot::Sender<Result<Lodged, LodgeError>>, Lodged),
    Done(oneshot::Sender<Result<(), StoreError>>),
    Nobody,
}

#[derive(Debug)]
struct Pushed {
    entry: Entry,
    behind: usize,
    placed: Placed,
    waiting: Waiting,
}

/// The clerk's own.
#[derive(Debug)]
pub(super) struct Clerk {
    pub(super) journal: Journal,
    pub(super) oldest: Oldest,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<Clock>,
    pub(super) next_number: u64,
    pub(super) first_segment: u64,
    /// Pushed and not yet committed.
    pushed: Vec<Pushed>,
    /// What of that are batches.
    contents: HashMap<Content, Lodged>,
    /// Bytes that they and their answers are to take.
    taking: u64,
    tidied: Instant,
}

impl Clerk {
    pub(super) fn new(
        journal: Journal,
        shared: Arc<Shared>,
        clock: Arc<Clock>,
        (next_number, first_segment): (u64, u64),
    ) -> Self {
        Self {
            oldest: journal.oldest(),
            journal,
            shared,
            clock,
            next_number,
            first_segment,
            pushed: Vec::new(),
            contents: HashMap::new(),
            taking: 0,
            tidied: Instant::now(),
        }
    }

    /// Runs until it is told to stop, or all that could tell it are gone.
    ///
    /// # Errors
    /// Where the disk fails: nothing is written after that.
    pub(super) fn run(mut self, work: &mut mpsc::Receiver<Work>) -> Result<(), StoreError> {
        let mut is_stopping = false;
        while !is_stopping && let Some(first) = work.blocking_recv() {
            is_stopping = self.take(first)?;
            while !is_stopping && let Ok(next) = work.try_recv() {
                is_stopping = self.take(next)?;
            }
            self.commit()?;
            if self.tidied.elapsed() >= TIDY_EVERY {
                self.tidied = Instant::now();
                self.tidy()?;
            }
        }
        self.journal.end()?;
        Ok(())
    }

    fn take(&mut self, work: Work) -> Result<bool, StoreError> {
        match work {
            Work::Lodge(lodge) => self.lodge(*lodge)?,
            Work::Sent(head, done) => self.write(Entry::Sent(head), &[], Waiting::Done(done))?,
            Work::Answer(head, answer, done) => {
                self.write(Entry::Answer(*head), &answer, Waiting::Done(done))?;
            }
            Work::Taken(head) => self.write(Entry::Taken(head), &[], Waiting::Nobody)?,
            Work::Tidy => {}
            Work::Stop => return Ok(true),
        }
        Ok(false)
    }

    fn lodge(&mut self, lodge: Lodge) -> Result<(), StoreError> {
        let Lodge { said, sha256, message, is_reachable, done } = lodge;
        let content = state::content(&sha256);
        if let Some(lodged) = self.known(&content) {
            // It may stand in the group that is open.
            self.commit()?;
            let _ = done.send(Ok(lodged));
            return Ok(());
        }
        let bytes = message.len() as u64 + state::promised(said.declarations);
        if let Err(refusal) = self.has_room(bytes) {
            let _ = done.send(Err(refusal));
            return Ok(());
        }
        let head = BatchHead {
            number: self.next_number,
            received_at_ms: self.clock.admit().0,
            is_fallback: !is_reachable && said.own_fallbacks < said.declarations,
            declarant: said.declarant,
            batch_id: said.batch_id,
            declarations: said.declarations,
            own_fallbacks: said.own_fallbacks,
            sha256: sha256.to_vec(),
        };
        let lodged = Lodged { number: head.number, received_at_ms: head.received_at_ms };
        let before = self.next_number;
        self.write(Entry::Batch(head), &message, Waiting::Lodged(done, lodged))?;
        if self.next_number != before {
            self.contents.insert(content, lodged);
            self.taking += bytes;
        }
        Ok(())
    }

    fn known(&self, content: &Content) -> Option<Lodged> {
        if let Some(lodged) = self.contents.get(content) {
            return Some(*lodged);
        }
        let state = self.shared.state();
        let number = state.number_of(content)?;
        let received_at_ms = state.batch(number)?.received_at_ms;
        Some(Lodged { number, received_at_ms })
    }

    /// Whether so many bytes more may be taken in.
    fn has_room(&self, bytes: u64) -> Result<(), LodgeError> {
        let bounds = &self.shared.bounds;
        let full = |what: String| LodgeError::Full { what, retry_after_ms: ROOM_AGAIN_MS };
        let (used, promised, kept) = {
            let state = self.shared.state();
            (self.shared.used(&state), state.promised, state.len())
        };
        // One segment stands ready, and of each some is left empty at its end.
        let used = used + self.taking + promised + bytes + 2 * bounds.segment_bytes;
        if used > bounds.disk_bytes_max {
            return Err(full(format!(
                "the spool's disk is full: with this batch it would hold {used} bytes, answers to come \
                 among them, and --disk-max is {}; it goes on once the service answers and verdicts are \
                 pulled and acknowledged",
                bounds.disk_bytes_max
            )));
        }
        if kept + self.contents.len() >= bounds.batches_max {
            return Err(full(format!(
                "the spool keeps {kept} batches, and may keep {}: pull verdicts and acknowledge them, or \
                 lodge larger batches",
                bounds.batches_max
            )));
        }
        match self.shared.disk.free_bytes(&self.shared.dir) {
            Ok(free) if free < bounds.disk_reserve_bytes + bytes => Err(full(format!(
                "the disk of {} has {free} bytes free, and --disk-reserve keeps {}",
                self.shared.dir.display(),
                bounds.disk_reserve_bytes
            ))),
            // A disk that does not tell shows when it is written to.
            _ => Ok(()),
        }
    }

    fn write(&mut self, entry: Entry, behind: &[u8], waiting: Waiting) -> Result<(), StoreError> {
        let head = entry.head();
        let reservation = match self.reserve(head.len() + behind.len())? {
            Ok(reservation) => reservation,
            Err(cause) => {
                refuse(waiting, cause);
                return Ok(());
            }
        };
        let kind = entry.kind();
        let parts: [&[u8]; 2] = [&head, behind];
        let placed = match self.journal.push(kind, &parts, reservation) {
            Ok(placed) => placed,
            Err(PushError::GroupFull(reservation)) => {
                self.commit()?;
                self.journal.push(kind, &parts, reservation).map_err(StoreError::Push)?
            }
            Err(error) => return Err(StoreError::Push(error)),
        };
        if let Entry::Batch(head) = &entry {
            self.next_number = head.number + 1;
        }
        self.pushed.push(Pushed { entry, behind: behind.len(), placed, waiting });
        Ok(())
    }

    /// Room for a record; the cause where there is none and waiting does not help.
    fn reserve(&mut self, bytes: usize) -> Result<Result<Reservation, NoRoomCause>, StoreError> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            let refused = match self.journal.room().reserve(bytes) {
                Ok(reservation) => return Ok(Ok(reservation)),
                Err(refused) => refused.cause,
            };
            match refused {
                NoRoomCause::Poisoned => return Err(StoreError::Push(PushError::Poisoned)),
                NoRoomCause::NotReady if Instant::now() < until => {
                    // What is pushed holds more room than it needs.
                    self.commit()?;
                    std::thread::sleep(READY_LOOK);
                }
                cause => return Ok(Err(cause)),
            }
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.journal.commit()?;
        if self.pushed.is_empty() {
            return Ok(());
        }
        let mut told = Vec::new();
        {
            let mut state = self.shared.state();
            for Pushed { entry, behind, placed, waiting } in self.pushed.drain(..) {
                if let Entry::Batch(head) = &entry {
                    self.clock.saw(crate::day::Moment(head.received_at_ms));
                }
                let place = (placed.number.0, placed.position);
                let applied = state.apply(&entry, behind, place, &|at| self.shared.reference(at));
                applied.map_err(StoreError::Order)?;
                told.push(waiting);
            }
        }
        self.contents.clear();
        self.taking = 0;
        // Whoever has gone meanwhile is not told.
        for waiting in told {
            match waiting {
                Waiting::Lodged(done, lodged) => drop(done.send(Ok(lodged))),
                Waiting::Done(done) => drop(done.send(Ok(()))),
                Waiting::Nobody => {}
            }
        }
        self.shared.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Removes segments in which nothing is needed.
    fn tidy(&mut self) -> Result<(), StoreError> {
        let keep_ms = i64::try_from(self.shared.bounds.keep.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = self.clock.now().0.saturating_sub(keep_ms);
        let through = {
            let state = self.shared.state();
            let (record, segment) = match state.first_needed(oldest_ms) {
                Some(batch) => (batch.record, batch.at.segment),
                None => (self.journal.durable().watermark.0 + 1, state.end.segment),
            };
            if segment <= self.first_segment {
                return Ok(());
            }
            record.saturating_sub(1)
        };
        let mark = Entry::Mark(self.shared.state().to_mark());
        self.write(mark, &[], Waiting::Nobody)?;
        if self.pushed.is_empty() {
            // No room for it: then nothing goes.
            return Ok(());
        }
        self.commit()?;
        let removed = self.oldest.remove(Watermark(through))?;
        self.first_segment += removed;
        let mut state = self.shared.state();
        state.forget_before(self.first_segment);
        drop(state);
        self.shared.set_first_segment(self.first_segment);
        if removed > 0 {
            tracing::info!(segments = removed, "answers that need not be kept are gone");
        }
        Ok(())
    }
}

fn refuse(waiting: Waiting, cause: NoRoomCause) {
    let what = match cause {
        NoRoomCause::TooLarge => "the record is larger than any may be",
        NoRoomCause::DiskFull => "the disk has no space for another segment",
        _ => "no segment of the spool could be made ready",
    };
    match waiting {
        Waiting::Lodged(done, _) => {
            let what = what.to_owned();
            let _ = done.send(Err(LodgeError::Full { what, retry_after_ms: ROOM_AGAIN_MS }));
        }
        Waiting::Done(done) => drop(done.send(Err(StoreError::NoRoom { what }))),
        Waiting::Nobody => {}
    }
}
