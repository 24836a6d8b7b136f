//! Full tables on their way to disk, and the runs that a start goes on from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tokio::sync::watch;

use super::carried::Carried;
use super::start_error::StartError;
use crate::config::{Config, Sizes};
use crate::id::{Ordinal, Watermark};
use crate::index::Index;
use crate::index::frozen::Frozen;
use crate::index::run::{Covers, Folder, Run};
use crate::journal::{Extent, Placed};

/// Between two attempts to write a run to a disk that is full.
const DISK_FULL_WAIT: Duration = Duration::from_secs(1);

/// The thread that writes runs is this much nicer than the others: an answer goes before a run.
const NICER: i32 = 10;

/// What the hot generation of `index` covers with `last` as the last record.
pub(super) fn covers(
    index: &Index,
    last: Placed,
    end_ordinal: Ordinal,
    carried: &Carried,
) -> Covers {
    let before = index.covered();
    let after = |before: &Covers| (Watermark(before.last_record.0 + 1), before.end_ordinal);
    let (first_record, first_ordinal) = before.as_ref().map_or((Watermark(1), Ordinal(0)), after);
    Covers {
        first_record,
        last_record: last.number,
        position: last.position,
        first_ordinal,
        end_ordinal,
        carried: carried.to_bytes(),
    }
}

/// The thread that writes runs, and the way to it.
pub(super) struct RunWriter {
    index: Arc<Index>,
    folder: Folder,
    frozen: Receiver<Arc<Frozen>>,
    failed: Arc<AtomicBool>,
    stop: watch::Sender<Option<String>>,
}

impl RunWriter {
    /// The writer of the runs of `index`. What is sent to it is taken at once: there is one frozen
    /// generation at a time.
    pub(super) fn new(
        index: Arc<Index>,
        folder: Folder,
        failed: Arc<AtomicBool>,
        stop: watch::Sender<Option<String>>,
    ) -> (Self, Sender<Arc<Frozen>>) {
        let (sender, frozen) = bounded(1);
        (Self { index, folder, frozen, failed, stop }, sender)
    }

    /// Runs until the committer has ended.
    pub(super) fn run(self) {
        // Where that is refused it runs like the others.
        let _ = rustix::process::nice(NICER);
        while let Ok(frozen) = self.frozen.recv() {
            if !self.write(frozen) {
                return;
            }
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
                        "a full table is on disk"
                    );
                    self.index.publish(run);
                    return true;
                }
                Err(error) => error,
            };
            if !error.is_disk_full() {
                let source = &error as &dyn std::error::Error;
                tracing::error!(error = source, "a run cannot be written: stopping");
                self.failed.store(true, Ordering::Release);
                self.stop.send_replace(Some(format!("a run cannot be written: {error}")));
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

/// The runs that a start goes on from, oldest first: those of which the catalog, at `watermark`, has
/// folded every record. Others are removed: the journal makes them again.
pub(super) fn usable(
    folder: &Folder,
    watermark: Watermark,
    journal: Option<Extent>,
) -> Result<Vec<Run>, StartError> {
    folder.tidy()?;
    let found = folder.open()?;
    for (path, why) in &found.others {
        tracing::warn!(run = %path.display(), why, "a run is of no use: it is removed");
        folder.remove(path)?;
    }
    let mut runs = Vec::new();
    let mut is_over = false;
    for run in found.whole {
        let covers = run.covers();
        is_over |= covers.last_record > watermark || Carried::from_bytes(&covers.carried).is_none();
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
    let reaches = |newest: &Run| {
        journal.is_some_and(|journal| newest.covers().position.segment <= journal.last_segment)
    };
    if runs.last().is_some_and(|newest| !reaches(newest)) {
        // The journal is not what it was: reading all of it tells what is missing.
        return Ok(Vec::new());
    }
    Ok(runs)
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
