//! Full tables on their way to disk, their merging there, and the runs that a start goes on from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use tokio::sync::watch;

use super::carried::Carried;
use super::folding::DurableFold;
use super::recover::RecoverError;
use super::retention::Retention;
use super::start_error::StartError;
use crate::config::{Config, Sizes};
use crate::day::Day;
use crate::id::{Ordinal, Watermark};
use crate::index::Index;
use crate::index::frozen::Frozen;
use crate::index::merge::Merge;
use crate::index::run::{self, Covers, Folder, Forgotten, Run, RunError};
use crate::journal::{Extent, Placed};

/// Between two attempts to write a run to a disk that is full.
const DISK_FULL_WAIT: Duration = Duration::from_secs(1);

/// The thread that writes runs is this much nicer than the others: an answer goes before a run.
const NICER: i32 = 10;

/// And the thread that merges them still more: batches wait for a run, and nobody for a merged one.
const MERGING_NICER: i32 = 15;

/// Between two looks whether there is anything to merge.
const MERGE_WAIT: Duration = Duration::from_secs(1);

/// Before a disk that was full is tried again, for nothing but fewer look-ups.
const MERGE_AGAIN_WAIT: Duration = Duration::from_secs(60);

/// What the hot generation of `index` covers with `last` as the last record; `forgotten` from there on,
/// or what was before.
pub(super) fn covers(
    index: &Index,
    last: Placed,
    end_ordinal: Ordinal,
    carried: &Carried,
    forgotten: Option<Forgotten>,
) -> Covers {
    let before = index.covered();
    let forgotten_before = before.as_ref().map_or(Forgotten::default(), |it| it.forgotten);
    let after = |before: &Covers| (Watermark(before.last_record.0 + 1), before.end_ordinal);
    let (first_record, first_ordinal) = before.as_ref().map_or((Watermark(1), Ordinal(0)), after);
    Covers {
        first_record,
        last_record: last.number,
        position: last.position,
        first_ordinal,
        end_ordinal,
        forgotten: forgotten.unwrap_or(forgotten_before),
        carried: carried.to_bytes(),
    }
}

/// What both threads do with the server when a run cannot be written, read or removed.
#[derive(Clone)]
struct Stopper {
    failed: Arc<AtomicBool>,
    stop: watch::Sender<Option<String>>,
}

impl Stopper {
    fn stop(&self, what: &str, error: &(dyn std::error::Error + 'static)) {
        tracing::error!(error, "{what}: stopping");
        self.failed.store(true, Ordering::Release);
        self.stop.send_replace(Some(format!("{what}: {error}")));
    }
}

/// The thread that writes runs.
pub(super) struct RunWriter {
    index: Arc<Index>,
    folder: Folder,
    frozen: Receiver<Arc<Frozen>>,
    written: Sender<()>,
    stopper: Stopper,
}

/// Both threads for the runs of `index`, and the way to the first. What is sent there is taken at
/// once: there is one frozen generation at a time. Merging leaves `reserve_bytes` of the disk free.
pub(super) fn threads(
    index: Arc<Index>,
    (folder, reserve_bytes): (Folder, u64),
    failed: Arc<AtomicBool>,
    stop: watch::Sender<Option<String>>,
) -> (RunWriter, Merger, Sender<Arc<Frozen>>) {
    let (sender, frozen) = bounded(1);
    let (written, to_merger) = bounded(1);
    let stopper = Stopper { failed, stop };
    let merger = Merger {
        index: Arc::clone(&index),
        folder: folder.clone(),
        reserve_bytes,
        written: to_merger,
        stopper: stopper.clone(),
    };
    (RunWriter { index, folder, frozen, written, stopper }, merger, sender)
}

impl RunWriter {
    /// Runs until the committer has ended.
    pub(super) fn run(self) {
        // Where that is refused it runs like the others.
        let _ = rustix::process::nice(NICER);
        self.prepare_spare();
        while let Ok(frozen) = self.frozen.recv() {
            if !self.write(frozen) {
                return;
            }
            self.prepare_spare();
            // Where it has not looked at the last one yet, it will see this one too.
            let _ = self.written.try_send(());
        }
    }

    fn prepare_spare(&self) {
        if let Err(error) = self.index.prepare_spare() {
            tracing::warn!(%error, "the system gives no memory for another table ahead of time");
        }
    }

    /// False where there will be no run: the disk failed, or is full while the server stops.
    fn write(&self, frozen: Arc<Frozen>) -> bool {
        loop {
            let error = match frozen.write(&self.folder) {
                Ok(run) => {
                    tracing::info!(
                        run = %run.path().display(),
                        entries = run.entries(),
                        bytes = run.bytes(),
                        "a table is on disk"
                    );
                    self.index.publish(run);
                    return true;
                }
                Err(error) => error,
            };
            if !error.is_disk_full() {
                self.stopper.stop("a run cannot be written", &error);
                return false;
            }
            tracing::warn!(%error, "the disk is full: the run is written once there is space");
            // Nothing else comes while one is frozen, but the end.
            match self.frozen.recv_timeout(DISK_FULL_WAIT) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(_) | Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}

/// The thread that merges runs. It takes none of which the catalog has not folded every record: a
/// start goes on from no such run, and would have to judge again all that it was merged with.
pub(super) struct Merger {
    index: Arc<Index>,
    folder: Folder,
    /// What stays free on the disk.
    reserve_bytes: u64,
    written: Receiver<()>,
    stopper: Stopper,
}

impl Merger {
    /// Runs until the writer has ended; gives up what it is at then.
    pub(super) fn run(self, folded: &DurableFold, retention: &Retention) {
        let _ = rustix::process::nice(MERGING_NICER);
        let mut not_before = Instant::now();
        loop {
            // The catalog may be as far as a run only after that was written.
            if self.written.recv_timeout(MERGE_WAIT) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            if let Some(through) = retention.dropped_through()
                && let Err(error) = self.remove_forgotten(through)
            {
                return self.stopper.stop("a run cannot be removed", &error);
            }
            while Instant::now() >= not_before
                && let Some(merge) = self.index.next_merge(folded.get())
            {
                match retention.before_merge() {
                    Ok(()) => {}
                    Err(error) if error.is_disk_full() => {
                        not_before = Instant::now() + MERGE_AGAIN_WAIT;
                        continue;
                    }
                    Err(error) => {
                        return self.stopper.stop("no snapshot of the summaries", &error);
                    }
                }
                match self.merge(merge) {
                    Ok(()) => {}
                    Err(RunError::GivenUp) => return,
                    Err(error) if error.is_disk_full() => {
                        tracing::warn!(%error, "the disk is full: runs are merged once there is space");
                        not_before = Instant::now() + MERGE_AGAIN_WAIT;
                    }
                    Err(error) => return self.stopper.stop("runs cannot be merged", &error),
                }
            }
        }
    }

    /// Removes the runs of which all is forgotten, where the archive has dropped days up to `through`.
    fn remove_forgotten(&self, through: Watermark) -> Result<(), RunError> {
        for run in self.index.take_forgotten(through) {
            tracing::info!(
                run = %run.path().display(),
                entries = run.entries(),
                "all keys of a run are forgotten: it is removed"
            );
            self.folder.remove_durably(run.path())?;
        }
        Ok(())
    }

    fn merge(&self, merge: Merge) -> Result<(), RunError> {
        let began = Instant::now();
        let is_wanted = || {
            self.written.try_recv() != Err(TryRecvError::Disconnected)
                && !self.stopper.failed.load(Ordering::Acquire)
        };
        self.folder.expect_room(merge.bytes().saturating_add(self.reserve_bytes))?;
        let merged = merge.write(&self.folder, &is_wanted)?;
        tracing::info!(
            run = %merged.path().display(),
            merged = merge.len(),
            entries = merged.entries(),
            bytes = merged.bytes(),
            took_ms = began.elapsed().as_millis(),
            "runs are merged"
        );
        self.index.publish_merged(&merge, merged);
        merge.remove_inputs(&self.folder)
    }
}

/// The runs that a start goes on from, oldest first: those of which the catalog, at `watermark`, has
/// folded every record. Others are removed: the journal makes them again, or the archive does. Where
/// that has `dropped` days up to a record, runs must have the keys of all of them, or nothing is changed.
pub(super) fn usable(
    folder: &Folder,
    watermark: Watermark,
    journal: Option<Extent>,
    dropped: Option<(Watermark, Day)>,
) -> Result<Vec<Run>, StartError> {
    let found = folder.open()?;
    if let Some((through, day)) = dropped {
        let of_use = found.whole.iter().take_while(|run| is_of_use(run, watermark, journal));
        let newest = of_use.last().map(Run::covers);
        // Of those that are left the newest may not say any more that what is missing is forgotten.
        let is_whole = found
            .whole
            .first()
            .zip(newest)
            .is_some_and(|(oldest, newest)| run::may_begin(oldest.covers(), newest));
        let newest = newest.map_or(Watermark(0), |newest| newest.last_record);
        if newest >= through && !is_whole {
            let why = "those of the first records are missing".into();
            return Err(RecoverError::Dropped { day, why }.into());
        }
        if newest < through {
            let why = why_lost(&found, newest, watermark);
            return Err(RecoverError::Dropped { day, why }.into());
        }
    }
    folder.tidy()?;
    for path in &found.parts {
        tracing::info!(run = %path.display(), "a run was merged into another: it is removed");
        folder.remove(path)?;
    }
    for (path, why) in &found.others {
        tracing::warn!(run = %path.display(), why, "a run is of no use: it is removed");
        folder.remove(path)?;
    }
    let mut runs = Vec::new();
    let mut is_over = false;
    for run in found.whole {
        let covers = run.covers();
        is_over |= !is_folded(&run, watermark);
        if is_over {
            tracing::info!(
                run = %run.path().display(),
                last_record = covers.last_record.0,
                folded = watermark.0,
                "the catalog is not as far as this run, which is made again"
            );
            folder.remove(run.path())?;
        } else {
            runs.push(run);
        }
    }
    if runs.last().is_some_and(|newest| !is_in(newest, journal)) {
        // The journal is not what it was: reading all of it tells what is missing.
        return Ok(Vec::new());
    }
    Ok(runs)
}

fn is_folded(run: &Run, watermark: Watermark) -> bool {
    let covers = run.covers();
    covers.last_record <= watermark && Carried::from_bytes(&covers.carried).is_some()
}

/// Whether the journal reaches as far as the run says.
fn is_in(run: &Run, journal: Option<Extent>) -> bool {
    journal.is_some_and(|journal| run.covers().position.segment <= journal.last_segment)
}

fn is_of_use(run: &Run, watermark: Watermark, journal: Option<Extent>) -> bool {
    is_folded(run, watermark) && is_in(run, journal)
}

/// Why the runs after `newest` are of no use.
pub(super) fn why_lost(found: &run::Found, newest: Watermark, watermark: Watermark) -> String {
    let next = found.whole.iter().find(|run| run.covers().last_record > newest);
    match (next, found.others.first()) {
        (Some(run), _) if run.covers().last_record > watermark => format!(
            "{} has records up to {}, of which the summaries know {}",
            run.path().display(),
            run.covers().last_record.0,
            watermark.0
        ),
        (Some(run), _) => format!("the journal ends before {} does", run.path().display()),
        (None, Some((path, why))) if why.contains(&*path.to_string_lossy()) => why.clone(),
        (None, Some((path, why))) => format!("{}: {why}", path.display()),
        (None, None) => format!("there is no run of record {} and those after it", newest.0 + 1),
    }
}

/// An index that goes on after `runs`.
pub(super) fn index(
    config: &Config,
    sizes: &Sizes,
    keys: crate::wire::digest::Keys,
    runs: Vec<Run>,
) -> Result<Arc<Index>, StartError> {
    config.check_runs(sizes.index, runs.iter().map(Run::loaded_bytes).sum())?;
    let index = Index::with_runs(keys, sizes.index, runs);
    Ok(Arc::new(index.map_err(super::start_error::io("memory for the index"))?))
}
