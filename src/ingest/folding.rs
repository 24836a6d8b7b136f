//! The fold thread: merges deltas in journal order and makes checkpoints.
//!
//! Workers finish batches in any order; what comes early waits here. What waits is bounded by the
//! batches in flight.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use tokio::sync::watch;

use super::commit::Folding;
use crate::id::Watermark;
use crate::summary::{Event, Fold, FoldError};

/// Runs until every sender is gone, then makes a last checkpoint. An error stops the server.
pub(super) fn run(
    mut fold: Fold,
    items: &Receiver<Folding>,
    interval: Duration,
    failed: &Arc<AtomicBool>,
    stop: &watch::Sender<Option<String>>,
) {
    if let Err(error) = merge(&mut fold, items, interval) {
        tracing::error!(error = &error as &dyn std::error::Error, "the fold failed: stopping");
        failed.store(true, Ordering::Release);
        stop.send_replace(Some(format!("the fold failed: {error}")));
    }
}

fn merge(fold: &mut Fold, items: &Receiver<Folding>, interval: Duration) -> Result<(), FoldError> {
    let mut early: BTreeMap<Watermark, Event> = BTreeMap::new();
    let mut next_checkpoint = Instant::now() + interval;
    loop {
        let wait = next_checkpoint.saturating_duration_since(Instant::now());
        match items.recv_timeout(wait) {
            Ok((number, event)) => {
                early.insert(number, event);
                while let Some(entry) = early.first_entry()
                    && entry.key().0 == fold.watermark().0 + 1
                {
                    let (number, event) = entry.remove_entry();
                    fold.apply(number, &event)?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return fold.checkpoint(),
        }
        if Instant::now() >= next_checkpoint {
            fold.checkpoint()?;
            if let Some(newest) = fold.newest_day() {
                fold.close_days(newest)?;
            }
            next_checkpoint = Instant::now() + interval;
        }
    }
}
