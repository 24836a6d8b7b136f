//! What is durable: batches, decisions, answers. A handle for everyone; `clerk` writes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot, watch};

use super::clerk::{Clerk, Lodge, Work};
use super::message::{self, Said};
use super::receipt::{Key, KeyError, sha256};
use super::record::{AnswerHead, Entry, RecordError, SentHead, TakenHead};
use super::state::{Answered, Kept, Stage, State};
use crate::day::Moment;
use crate::disk::{Disk, FolderLock, LockError};
use crate::ingest::clock::Clock;
use crate::journal::{self, JournalError, Position, PushError, Reader};
use crate::proto::v1::{BatchRefusal, Receipt, SubmitBatchResponse, VerdictSet, verdict_set};
use crate::wire::malformed::Malformed;

/// The longest record: a batch of 16 MiB, or an answer of as much, and its head.
const RECORD_BYTES_MAX: usize = 17 << 20;
/// Small, since a record is read back with its whole group.
const GROUP_BYTES_MAX: usize = 256 << 10;
/// A segment holds two of the longest records at least,
const SEGMENT_BYTES_MIN: u64 = 48 << 20;
/// and is a small part of the whole, so that what goes goes soon.
const SEGMENTS_OF_DISK: u64 = 32;
/// More makes a start no faster.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Work that waits for the clerk: each may hold a batch.
const WORK_WAITING_MAX: usize = 64;

/// How much there may be.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Of the spool's files, with what answers to come are expected to take.
    pub disk_bytes_max: u64,
    /// Left free on the disk.
    pub disk_reserve_bytes: u64,
    /// Batches that are kept: each takes some 200 bytes of memory.
    pub batches_max: usize,
    /// How long an answer that nobody acknowledges is kept.
    pub keep: Duration,
    /// Of a file of the journal.
    pub segment_bytes: u64,
    /// Files of the journal are made ready by a thread of their own.
    pub prepare_in_background: bool,
    /// The longest record.
    pub record_bytes_max: usize,
}

impl Bounds {
    /// Least that the disk may be bounded to: some segments.
    pub const DISK_BYTES_MIN: u64 = 4 * SEGMENT_BYTES_MIN;

    /// Those for so much disk.
    #[must_use]
    pub fn of_disk(disk_bytes_max: u64, disk_reserve_bytes: u64, keep: Duration) -> Self {
        let part = disk_bytes_max / SEGMENTS_OF_DISK;
        let segment_bytes = part.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX) & !0xFFF;
        Self {
            disk_bytes_max,
            disk_reserve_bytes,
            batches_max: 1_000_000,
            keep,
            segment_bytes,
            prepare_in_background: true,
            record_bytes_max: RECORD_BYTES_MAX,
        }
    }
}

/// Why the store does not open, or ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The journal is damaged, or cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder cannot be made.
    #[error("{dir}: {source}")]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A record could not be written.
    #[error("the journal of the spool: {0}")]
    Push(PushError),
    /// Records do not follow on one another.
    #[error("the records of the spool contradict one another: {0}")]
    Order(String),
    /// There is no room now.
    #[error("{what}")]
    NoRoom {
        /// Why.
        what: &'static str,
    },
    /// A record that was read back is not what it must be.
    #[error("the record at {position} cannot be read back")]
    Record {
        /// Where it stands.
        position: Position,
    },
    /// The clerk has ended.
    #[error("the spool has stopped writing")]
    Stopped,
}

/// Why a batch is not taken in: nothing of it is stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LodgeError {
    /// It is no batch.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A bound is reached.
    #[error("{what}")]
    Full {
        /// Which.
        what: String,
        /// When to come back, milliseconds.
        retry_after_ms: u32,
    },
    /// The spool writes no more.
    #[error("the spool has stopped writing")]
    Stopped,
}

/// A batch that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lodged {
    pub(super) number: u64,
    pub(super) received_at_ms: i64,
}

/// What the clerk and the handles share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) key: Key,
    pub(super) bounds: Bounds,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    /// Counts groups.
    pub(super) changed: watch::Sender<u64>,
    first_segment: AtomicU64,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reference(&self, received_at_ms: i64) -> String {
        self.key.reference(Moment(received_at_ms))
    }

    pub(super) fn set_first_segment(&self, segment: u64) {
        self.first_segment.store(segment, Ordering::Relaxed);
    }

    /// Bytes of disk from the first record to the last.
    pub(super) fn used(&self, state: &State) -> u64 {
        let segments = state.end.segment.saturating_sub(self.first_segment.load(Ordering::Relaxed));
        segments * self.bounds.segment_bytes + u64::from(state.end.page) * 4_096
    }
}

/// A batch to be forwarded.
#[derive(Debug, Clone)]
pub(super) struct ToForward {
    pub(super) number: u64,
    pub(super) kept: Kept,
}

/// The store: clones are the same.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<Clock>,
    reader: Reader,
    work: mpsc::Sender<Work>,
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writing {
    thread: std::thread::JoinHandle<()>,
    failed: oneshot::Receiver<StoreError>,
    _lock: Option<FolderLock>,
}

impl Writing {
    /// Waits until it fails; for ever where it ends in order.
    pub async fn failed(&mut self) -> StoreError {
        match (&mut self.failed).await {
            Ok(error) => error,
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where it failed.
    pub fn end(mut self) -> Result<(), StoreError> {
        let _ = self.thread.join();
        self.failed.try_recv().map_or(Ok(()), Err)
    }
}

/// The journal's folder.
pub(super) fn journal_dir(dir: &Path) -> PathBuf {
    dir.join("journal")
}

fn apply(
    state: &mut State,
    record: &journal::Record<'_>,
    key: &Key,
) -> Result<Entry, journal::BoxError> {
    let (entry, behind) = Entry::parse(record.kind, record.body)?;
    let place = (record.number.0, record.position);
    state.apply(&entry, behind.len(), place, &|at| key.reference(Moment(at)))?;
    Ok(entry)
}

/// The state that the journal in `dir` amounts to; nothing is changed.
///
/// # Errors
/// Where it is damaged or cannot be read.
pub(super) fn look(disk: &dyn Disk, dir: &Path, key: &Key) -> Result<State, StoreError> {
    let mut state = State::new();
    journal::verify(disk, &journal_dir(dir), Some(key.identity()), &mut |record| {
        apply(&mut state, &record, key).map(drop)
    })?;
    Ok(state)
}

impl Store {
    /// Opens the folder `dir`, and makes it where it is missing.
    ///
    /// # Errors
    /// Where it is in use or damaged, or the disk fails.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        clock: Arc<Clock>,
        bounds: Bounds,
    ) -> Result<(Self, Writing), StoreError> {
        let made = disk.create_dir(dir);
        made.map_err(|source| StoreError::Folder { dir: dir.to_owned(), source })?;
        let lock = FolderLock::take(dir)?;
        let key = Key::open(dir, !journal_dir(dir).is_dir())?;
        let (store, mut writing) = Self::open_with(disk, dir, key, clock, bounds)?;
        writing._lock = Some(lock);
        Ok((store, writing))
    }

    /// The same with a key that is at hand; the caller keeps others away.
    pub(super) fn open_with(
        disk: Arc<dyn Disk>,
        dir: &Path,
        key: Key,
        clock: Arc<Clock>,
        bounds: Bounds,
    ) -> Result<(Self, Writing), StoreError> {
        let options = journal::Options {
            segment_bytes: bounds.segment_bytes,
            group_bytes_max: GROUP_BYTES_MAX.min(bounds.record_bytes_max),
            record_bytes_max: bounds.record_bytes_max,
            prepare_in_background: bounds.prepare_in_background,
            ..journal::Options::new(key.identity())
        };
        let mut state = State::new();
        let mut first_segment = None;
        let journal_dir = journal_dir(dir);
        let (journal, recovery) =
            journal::open(Arc::clone(&disk), &journal_dir, &options, &mut |record| {
                first_segment.get_or_insert(record.position.segment);
                if let Entry::Batch(head) = apply(&mut state, &record, &key)? {
                    clock.saw(Moment(head.received_at_ms));
                }
                Ok(())
            })?;
        if let Some(torn) = &recovery.torn {
            tracing::warn!(
                file = %torn.path.display(),
                byte = torn.offset,
                bytes = torn.bytes,
                "what was being written when the spool ended is cut away: it had no receipt"
            );
        }
        let first_segment = first_segment.unwrap_or(1);
        // What is left of a removal that was cut off.
        state.forget_before(state.first_segment().unwrap_or(first_segment).min(first_segment));
        let next_number = state.next_number;
        let reader = journal.reader();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            key,
            bounds,
            disk,
            dir: dir.to_owned(),
            changed: watch::Sender::new(0),
            first_segment: AtomicU64::new(first_segment),
        });
        let (work, mut waiting) = mpsc::channel(WORK_WAITING_MAX);
        let numbers = (next_number, first_segment);
        let clerk = Clerk::new(journal, Arc::clone(&shared), Arc::clone(&clock), numbers);
        let (fail, failed) = oneshot::channel();
        let run = move || {
            if let Err(error) = clerk.run(&mut waiting) {
                tracing::error!(%error, "the spool writes no more");
                let _ = fail.send(error);
            }
        };
        let thread = std::thread::Builder::new().name("spool-clerk".into()).spawn(run);
        let thread = thread.map_err(|source| StoreError::Folder { dir: dir.to_owned(), source })?;
        let writing = Writing { thread, failed, _lock: None };
        Ok((Self { shared, clock, reader, work }, writing))
    }

    /// Takes a batch in; its receipt, once it is durable.
    ///
    /// # Errors
    /// Where nothing of it is stored.
    pub async fn lodge(&self, message: Bytes, is_reachable: bool) -> Result<Receipt, LodgeError> {
        let of = message.clone();
        let read = move || message::read(&of).map(|said| (said, sha256(&of)));
        let (said, sha256) =
            tokio::task::spawn_blocking(read).await.map_err(|_| LodgeError::Stopped)??;
        let Said { declarant, batch_id, declarations, .. } = said.clone();
        let (done, durable) = oneshot::channel();
        let lodge = Box::new(Lodge { said, sha256, message, is_reachable, done });
        self.work.send(Work::Lodge(lodge)).await.map_err(|_| LodgeError::Stopped)?;
        let Lodged { number, received_at_ms } =
            durable.await.map_err(|_| LodgeError::Stopped)??;
        let mut receipt = Receipt {
            number,
            received_at_ms,
            declarant,
            batch_id,
            declarations,
            batch_sha256: sha256.to_vec(),
            ..Receipt::default()
        };
        self.shared.key.sign(&mut receipt);
        Ok(receipt)
    }

    /// The first batches from number `from` on that have no answer.
    pub(super) fn unanswered(&self, from: u64, most: usize) -> Vec<ToForward> {
        let state = self.shared.state();
        let numbers = state.unanswered.range(from..).take(most);
        numbers
            .filter_map(|&number| Some(ToForward { number, kept: state.batch(number)?.clone() }))
            .collect()
    }

    /// Makes durable how batches are sent.
    pub(super) async fn sent(&self, head: SentHead) -> Result<(), StoreError> {
        let (done, durable) = oneshot::channel();
        self.work.send(Work::Sent(head, done)).await.map_err(|_| StoreError::Stopped)?;
        durable.await.map_err(|_| StoreError::Stopped)?
    }

    /// Makes an answer durable; whoever waits for the result may do so later.
    pub(super) async fn answer(
        &self,
        head: AnswerHead,
        answer: Vec<u8>,
    ) -> Result<oneshot::Receiver<Result<(), StoreError>>, StoreError> {
        let (done, durable) = oneshot::channel();
        let work = Work::Answer(Box::new(head), answer, done);
        self.work.send(work).await.map_err(|_| StoreError::Stopped)?;
        Ok(durable)
    }

    /// Answers up to this position are kept elsewhere.
    pub(super) async fn acknowledge(&self, position: u64) {
        let is_news = {
            let state = self.shared.state();
            let newest = state.answers.last_key_value().map_or(0, |(position, _)| *position);
            position > state.taken_through && position <= newest
        };
        if is_news {
            let head = TakenHead { through: position, numbers: Vec::new() };
            let _ = self.work.send(Work::Taken(head)).await;
        }
    }

    /// Whoever lodged the batch has its answer.
    pub(super) async fn given(&self, number: u64) {
        let head = TakenHead { through: 0, numbers: vec![number] };
        let _ = self.work.send(Work::Taken(head)).await;
    }

    /// Looks whether anything may go.
    pub(super) async fn tidy(&self) {
        let _ = self.work.send(Work::Tidy).await;
    }

    /// Ends the clerk, once all that it was asked before is done.
    pub async fn stop(&self) {
        let _ = self.work.send(Work::Stop).await;
    }

    /// Tells of each group that became durable.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// A record's head and what is behind it. Blocks.
    fn read(&self, position: Position) -> Result<(Entry, Vec<u8>), StoreError> {
        let record = self.reader.read(position)?;
        let parsed = Entry::parse(record.kind, &record.body);
        let (entry, behind) = parsed.map_err(|_: RecordError| StoreError::Record { position })?;
        Ok((entry, behind.to_vec()))
    }

    /// The message of a batch as it came. Blocks.
    pub(super) fn message(&self, kept: &Kept) -> Result<Bytes, StoreError> {
        match self.read(kept.at)? {
            (Entry::Batch(_), message) => Ok(message.into()),
            _ => Err(StoreError::Record { position: kept.at }),
        }
    }

    /// The answer to a batch, with its receipt; none where it has none yet. Blocks.
    pub(super) fn verdicts(&self, number: u64) -> Result<Option<VerdictSet>, StoreError> {
        let kept = self.shared.state().batch(number).cloned();
        let Some(Kept { at, stage: Stage::Answered(answered), .. }) = kept else {
            return Ok(None);
        };
        let Answered { at: answer_at, position, is_fallback, .. } = answered;
        let wrong = |position| StoreError::Record { position };
        let (Entry::Batch(batch), _) = self.read(at)? else { return Err(wrong(at)) };
        let (Entry::Answer(head), answer) = self.read(answer_at)? else {
            return Err(wrong(answer_at));
        };
        let mut receipt = Receipt {
            number,
            received_at_ms: batch.received_at_ms,
            declarant: batch.declarant,
            batch_id: batch.batch_id,
            declarations: batch.declarations,
            batch_sha256: batch.sha256,
            ..Receipt::default()
        };
        self.shared.key.sign(&mut receipt);
        let decoded = |_| wrong(answer_at);
        let result = if head.is_refused {
            verdict_set::Result::Refusal(BatchRefusal::decode(&*answer).map_err(decoded)?)
        } else {
            verdict_set::Result::Answer(SubmitBatchResponse::decode(&*answer).map_err(decoded)?)
        };
        let forwarded_reference =
            if is_fallback { receipt.fallback_reference.clone() } else { String::new() };
        Ok(Some(VerdictSet {
            position,
            receipt: Some(receipt),
            result: Some(result),
            answered_at_ms: head.answered_at_ms,
            forwarded_reference,
            sent_again: head.sent_again,
        }))
    }

    /// The first answers behind a position: whose they are.
    pub(super) fn answered_after(&self, position: u64, most: usize) -> Vec<u64> {
        let state = self.shared.state();
        let behind = (std::ops::Bound::Excluded(position), std::ops::Bound::Unbounded);
        state.answers.range(behind).take(most).map(|(_, number)| *number).collect()
    }

    /// Whether a batch has its answer; none where it is not kept.
    pub(super) fn is_answered(&self, number: u64) -> Option<bool> {
        let state = self.shared.state();
        state.batch(number).map(|batch| matches!(batch.stage, Stage::Answered(_)))
    }
}
