//! Sealing: what is in runs on disk moves from the journal to the archive, and segments go.
//!
//! The order, each step durable before the next begins:
//!
//! 1. A generation of the index that is frozen is written as a run (see `runs`), and the catalog has
//!    folded the records that it covers.
//! 2. Those records become a set of the archive, which stands once its set file does.
//! 3. Segments of which every record is in the archive, in a run and in the catalog are removed, the
//!    oldest first.
//!
//! 4. Days past their retention are dropped (see `retention`), and keys past theirs are due to be
//!    forgotten (see `forgetting`).
//!
//! After a crash at any step a start finds what is next to be sealed by what the archive holds: a set
//! that stands is not made again, one that does not leaves nothing behind, and a segment whose records
//! are all sealed is removed by the first round. Nothing is read from the archive but what no segment
//! has any more.
//!
//! One thread does this, with a low priority. It holds up nobody, until as many segments wait as there
//! may be (`unsealed_bytes_max`): then batches are refused for a while. Before that they slow down (`pace`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};
use tokio::sync::watch;

use super::archivist::Archivist;
use super::folding::DurableFold;
use super::forgetting::Forgetting;
use super::pace::Pace;
use super::record::Entry;
use super::retention::Retention;
use crate::archive::{Archive, ArchiveError, Set};
use crate::disk::is_disk_full;
use crate::id::{Ordinal, Watermark};
use crate::index::Index;
use crate::index::run::RunError;
use crate::journal::{BoxError, JournalError, Oldest};
use crate::summary::SnapshotError;

/// Goods items of a set: some 150 MB of files. Past it, files gain nothing by being longer, and what a
/// crash makes do again costs more.
pub(super) const SET_LINES_MAX: u64 = 4_000_000;
/// Between two looks for what can be sealed: short beside the seconds that it takes.
const ROUND: Duration = Duration::from_millis(100);
/// Between two attempts where the disk is full.
const DISK_FULL_WAIT: Duration = Duration::from_secs(1);
/// The nicest there is: what waits slows lodging down in time (`pace`), and until then answers go first.
/// With 10, a load without end took 0.88 times as many lines in its first 16 s, and as many once sealing
/// had to keep up (see `loadtest/README.md`).
const NICER: i32 = 19;

/// The thread that seals.
#[derive(Debug)]
pub(super) struct Sealer {
    pub(super) oldest: Oldest,
    pub(super) archive: Archive,
    pub(super) archivist: Archivist,
    pub(super) index: Arc<Index>,
    pub(super) folded: DurableFold,
    pub(super) retention: Retention,
    pub(super) forgetting: Forgetting,
    /// The last record of the newest run of which the catalog has folded all; 0 before one was seen.
    pub(super) derived: Watermark,
    /// Once a set has so many goods items, it ends with the batch that has the last of them.
    pub(super) set_lines_max: u64,
    /// Told how far it is.
    pub(super) pace: Arc<Pace>,
    /// Closed when the server stops.
    pub(super) until: Receiver<()>,
    pub(super) failed: Arc<AtomicBool>,
    pub(super) stop: watch::Sender<Option<String>>,
}

/// Why a set was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error("the server stops")]
    Stopping,
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What ends the reading of records before the last one.
#[derive(Debug, thiserror::Error)]
#[error("enough")]
struct Enough;

impl Sealer {
    /// Runs until the server stops. An error but for a full disk stops it.
    pub(super) fn run(mut self) {
        // Where that is refused it runs like the others.
        let _ = rustix::process::nice(NICER);
        let mut wait = ROUND;
        while self.until.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = match self.round() {
                Ok(is_more) => {
                    if is_more {
                        Duration::ZERO
                    } else {
                        ROUND
                    }
                }
                Err(SealError::Stopping) => return,
                Err(error) if is_full(&error) => {
                    tracing::warn!(%error, "the disk is full: sealing goes on once there is space");
                    DISK_FULL_WAIT
                }
                Err(error) => {
                    let source = &error as &dyn std::error::Error;
                    tracing::error!(error = source, "sealing failed: stopping");
                    self.failed.store(true, Ordering::Release);
                    self.stop.send_replace(Some(format!("sealing failed: {error}")));
                    return;
                }
            };
        }
    }

    /// Makes the next set, where there is something to be sealed, and lets segments go. Whether there
    /// may be more to seal at once.
    pub(super) fn round(&mut self) -> Result<bool, SealError> {
        let (first, first_ordinal) = self.archive.next();
        let covered = self.index.runs_cover().unwrap_or(Watermark(0));
        // A run of which the catalog has not folded all is thrown away by a start, and with it what no
        // segment would have any more. The next one comes much later than the next checkpoint.
        if covered <= self.folded.get() {
            self.derived = covered;
        }
        let last = self.derived;
        let is_more = last >= first;
        if is_more {
            let set = self.seal(first, first_ordinal, last)?;
            tracing::info!(
                first_record = set.first.0,
                last_record = set.last.0,
                declarations = set.end_ordinal.0 - set.first_ordinal.0,
                "records are sealed"
            );
            self.archive.publish(set)?;
        }
        let sealed = Watermark(self.archive.next().0.0 - 1);
        let segments = self.oldest.remove(sealed.min(last))?;
        if segments > 0 {
            tracing::debug!(segments, "sealed segments are removed");
        }
        self.retention.drop_past(last)?;
        let newest = self.retention.newest_day();
        self.forgetting.look(newest, (&self.index, &self.archive), last)?;
        Ok(is_more)
    }

    /// Makes a set of the records from `first` to `last`, or as many of them as go into one.
    pub(super) fn seal(
        &mut self,
        first: Watermark,
        first_ordinal: Ordinal,
        last: Watermark,
    ) -> Result<Set, SealError> {
        let Self { oldest, archive, archivist, set_lines_max, pace, until, .. } = self;
        let mut set = archive.begin(first, first_ordinal)?;
        let (mut lines, mut end, mut up_to, mut stopping) = (0, first_ordinal, first, false);
        let read = oldest.read(first, last, &mut |record| {
            stopping = until.try_recv() == Err(crossbeam::channel::TryRecvError::Disconnected);
            if stopping || lines >= *set_lines_max {
                return Err(Enough.into());
            }
            up_to = record.number;
            pace.seals(record.position);
            match Entry::read(record.kind, record.body)? {
                Entry::Batch(batch) => {
                    lines += archivist.put(record.number, batch, &mut set)?;
                    end = Ordinal(batch.first_ordinal.0 + batch.outcomes.len() as u64);
                }
                Entry::Law(_) | Entry::Settings(_) | Entry::Forgotten(_) => {
                    set.other(record.number, record.kind, record.body)?;
                }
            }
            Ok::<(), BoxError>(())
        });
        match read {
            Err(JournalError::Record { source, .. }) if source.is::<Enough>() => {}
            Err(error) => return Err(error.into()),
            Ok(()) => {}
        }
        if stopping {
            return Err(SealError::Stopping);
        }
        Ok(set.finish(up_to, end)?)
    }
}

/// Whether all that is wrong is a full disk.
pub(super) fn is_full(error: &SealError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(is_disk_full) {
            return true;
        }
        cause = error.source();
    }
    false
}
