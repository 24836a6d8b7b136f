//! The fold thread, which merges deltas in journal order, and the catalog thread, which writes the
//! checkpoints that it prepares.
//!
//! No answer waits for the disk here: while a checkpoint is written, or the file of a day that
//! closes, deltas are merged as before. The next checkpoint begins when the one before is
//! reported durable, so one at most waits or is written, and the fold thread never waits for the
//! catalog thread but at the end.
//!
//! Workers finish batches in any order; what comes early waits here. How much is bounded by
//! [`super::deltas`]: in bytes, with what is still on its way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, select};
use tokio::sync::watch;

use super::deltas::Arriving;
use crate::id::Watermark;
use crate::summary::{Checkpoint, Checkpointed, Event, Fold, FoldError};

/// What ends the fold thread before its time.
#[derive(Debug, thiserror::Error)]
enum FoldingError {
    #[error(transparent)]
    Fold(#[from] FoldError),
    #[error("the thread that writes the catalog has ended")]
    NoWriter,
}

type Written = Result<Checkpointed, FoldError>;

/// The fold thread.
#[derive(Debug)]
pub(super) struct Folder {
    fold: Fold,
    arriving: Arriving,
    interval: Duration,
    to_catalog: Sender<Checkpoint>,
    from_catalog: Receiver<Written>,
    is_writing: bool,
    durable: DurableFold,
}

/// How many records the catalog holds the fold of, durably.
#[derive(Debug, Clone, Default)]
pub(super) struct DurableFold(Arc<AtomicU64>);

impl DurableFold {
    pub(super) fn get(&self) -> Watermark {
        Watermark(self.0.load(Ordering::Acquire))
    }

    pub(super) fn set(&self, watermark: Watermark) {
        self.0.store(watermark.0, Ordering::Release);
    }
}

/// The catalog thread.
#[derive(Debug)]
pub(super) struct CatalogWriter {
    checkpoints: Receiver<Checkpoint>,
    written: Sender<Written>,
}

/// Both threads, over what arrives; a checkpoint begins every `interval`.
pub(super) fn threads(
    fold: Fold,
    arriving: Arriving,
    interval: Duration,
) -> (Folder, CatalogWriter) {
    let (to_catalog, checkpoints) = bounded(1);
    let (written, from_catalog) = bounded(1);
    let (is_writing, durable) = (false, DurableFold::default());
    durable.set(fold.checkpointed());
    let folder = Folder { fold, arriving, interval, to_catalog, from_catalog, is_writing, durable };
    (folder, CatalogWriter { checkpoints, written })
}

impl CatalogWriter {
    /// Runs until the fold thread ends.
    pub(super) fn run(self) {
        for checkpoint in self.checkpoints {
            // The fold thread has gone only when it failed.
            let _ = self.written.send(checkpoint.write());
        }
    }
}

impl Folder {
    /// What the catalog holds, to be looked at while it runs.
    pub(super) fn durable(&self) -> DurableFold {
        self.durable.clone()
    }

    /// Runs until all who hand in deltas are gone, then makes a last checkpoint. An error, of the
    /// catalog thread too, stops the server.
    pub(super) fn run(mut self, failed: &AtomicBool, stop: &watch::Sender<Option<String>>) {
        if let Err(error) = self.merge_all() {
            let source = &error as &dyn std::error::Error;
            tracing::error!(error = source, "the fold failed: stopping");
            failed.store(true, Ordering::Release);
            stop.send_replace(Some(format!("the fold failed: {error}")));
        }
    }

    fn merge_all(&mut self) -> Result<(), FoldingError> {
        let mut early: BTreeMap<Watermark, Event> = BTreeMap::new();
        let mut next_checkpoint = Instant::now() + self.interval;
        loop {
            let due = next_checkpoint.saturating_duration_since(Instant::now());
            let wait = if self.is_writing { self.interval } else { due };
            select! {
                recv(self.arriving.records()) -> record => match record {
                    Ok((number, event)) => {
                        early.insert(number, event);
                        self.merge(&mut early)?;
                    }
                    Err(_) => break,
                },
                recv(self.from_catalog) -> written => self.end_checkpoint(written.ok())?,
                default(wait) => {}
            }
            if !self.is_writing && Instant::now() >= next_checkpoint {
                self.begin_checkpoint()?;
                next_checkpoint = Instant::now() + self.interval;
            }
        }
        if self.is_writing {
            let written = self.from_catalog.recv();
            self.end_checkpoint(written.ok())?;
        }
        Ok(self.fold.checkpoint()?)
    }

    fn merge(&mut self, early: &mut BTreeMap<Watermark, Event>) -> Result<(), FoldError> {
        while let Some(entry) = early.first_entry()
            && entry.key().0 == self.fold.watermark().0 + 1
        {
            let (number, event) = entry.remove_entry();
            self.fold.apply(number, &event)?;
            self.arriving.merged(number, &event);
        }
        Ok(())
    }

    fn begin_checkpoint(&mut self) -> Result<(), FoldingError> {
        if let Some(checkpoint) = self.fold.begin_checkpoint()? {
            self.to_catalog.send(checkpoint).map_err(|_| FoldingError::NoWriter)?;
            self.is_writing = true;
        }
        Ok(())
    }

    fn end_checkpoint(&mut self, written: Option<Written>) -> Result<(), FoldingError> {
        self.fold.end_checkpoint(written.ok_or(FoldingError::NoWriter)??);
        self.durable.set(self.fold.checkpointed());
        self.is_writing = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::day::Day;
    use crate::id::Eori;
    use crate::ingest::deltas::{self, Deltas};
    use crate::outcome::Outcome;
    use crate::summary::{ActorId, Board, Delta, Facts, FoldOptions, Opened, Period, Role};

    fn open(folder: &tempfile::TempDir) -> (Fold, Board, Opened) {
        let (catalog, archive) = (folder.path().join("catalog"), folder.path().join("archive"));
        Fold::open(&catalog, &archive, &FoldOptions::default(), [1; 16]).unwrap()
    }

    fn declarant() -> Eori {
        Eori::parse("NL1").unwrap()
    }

    fn batch(day: u16) -> Event {
        let mut delta = Delta::new(Day(day), declarant(), None);
        delta.add(Outcome::Accepted, &Facts::default(), &[], None);
        Event::Batch(delta)
    }

    fn accepted(board: &Board, day: u16) -> u64 {
        let only = Period { first: Some(Day(day)), last: Some(Day(day)) };
        let id = ActorId::from(declarant());
        let (found, _) = board.summary(Role::Declarant, &id, only).unwrap();
        found.unwrap().counters.accepted
    }

    async fn reaches(board: &Board, watermark: u64) -> bool {
        // Where it is not reached at all, the test is to fail and not to hang.
        let a_minute = Instant::now() + Duration::from_secs(60);
        board.wait_for(Watermark(watermark), a_minute).await
    }

    /// Of each tenth record it is 20,005, so that 20,000 is to be closed.
    fn day_of(number: u64) -> u16 {
        if number.is_multiple_of(10) { 20_005 } else { 20_000 }
    }

    fn hand_in(deltas: &Deltas, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            deltas.send(Watermark(number), batch(day_of(number)));
        }
    }

    #[tokio::test]
    async fn a_catalog_that_is_held_up_holds_up_no_merging() {
        let folder = tempfile::tempdir().unwrap();
        let (mut fold, board, _) = open(&folder);
        for number in 1..=100 {
            fold.apply(Watermark(number), &batch(day_of(number))).unwrap();
        }
        // No room for what the test hands in while nothing is written.
        let (deltas, arriving) = deltas::way(4, 1 << 12, fold.watermark());
        let (folder_thread, catalog) = threads(fold, arriving, Duration::from_millis(1));
        let failed = Arc::new(AtomicBool::new(false));
        let folding = std::thread::spawn({
            let failed = Arc::clone(&failed);
            move || folder_thread.run(&failed, &watch::Sender::new(None))
        });
        let checkpoint = catalog.checkpoints.recv().unwrap();
        // A checkpoint is under way, and the first day's closing with it. More comes, late batches
        // of that day too, and is read at once.
        let handing_in = std::thread::spawn(move || hand_in(&deltas, 101..=200));
        assert!(reaches(&board, 200).await, "merging waits for the catalog");
        handing_in.join().unwrap();
        assert_eq!((accepted(&board, 20_000), accepted(&board, 20_005)), (180, 20));
        assert!(catalog.checkpoints.is_empty(), "a second one before the first is durable");
        assert!(!folding.is_finished(), "what is under way is waited for at the end");

        catalog.written.send(checkpoint.write()).unwrap();
        let writing = std::thread::spawn(move || catalog.run());
        folding.join().unwrap();
        writing.join().unwrap();
        assert!(!failed.load(Ordering::Acquire));
        let (_fold, board, opened) = open(&folder);
        assert_eq!((opened.watermark, opened.rebuilt_because), (Watermark(200), None));
        assert_eq!((accepted(&board, 20_000), accepted(&board, 20_005)), (180, 20));
    }

    #[test]
    fn a_catalog_that_fails_stops_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let (fold, _, _) = open(&folder);
        let (deltas, arriving) = deltas::way(4, 1 << 12, Watermark(0));
        let (folder_thread, catalog) = threads(fold, arriving, Duration::from_millis(1));
        let stop = watch::Sender::new(None);
        let seen = stop.subscribe();
        let failed = Arc::new(AtomicBool::new(false));
        let folding = std::thread::spawn({
            let failed = Arc::clone(&failed);
            move || folder_thread.run(&failed, &stop)
        });
        deltas.send(Watermark(1), batch(20_000));
        let _checkpoint = catalog.checkpoints.recv().unwrap();
        catalog.written.send(Err(FoldError::UnderWay)).unwrap();
        folding.join().unwrap();
        assert!(failed.load(Ordering::Acquire));
        assert!(seen.borrow().as_ref().unwrap().contains("the fold failed"));
        // Workers do not wait for a fold that has gone.
        hand_in(&deltas, 2..=100);
    }
}
