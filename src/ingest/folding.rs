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
use crate::summary::{Event, Fold};

/// Runs until every sender is gone, then makes a last checkpoint.
pub(super) fn run(
    mut fold: Fold,
    items: &Receiver<Folding>,
    interval: Duration,
    failed: &Arc<AtomicBool>,
    stop: &watch::Sender<Option<String>>,
) {
    let mut early: BTreeMap<Watermark, Event> = BTreeMap::new();
    let mut next_checkpoint = Instant::now() + interval;
    loop {
        let wait = next_checkpoint.saturating_duration_since(Instant::now());
        let is_last = match items.recv_timeout(wait) {
            Ok((number, event)) => {
                early.insert(number, event);
                while let Some(entry) = early.first_entry()
                    && entry.key().0 == fold.watermark().0 + 1
                {
                    let (number, event) = entry.remove_entry();
                    fold.apply(number, event);
                }
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if is_last || Instant::now() >= next_checkpoint {
            next_checkpoint = Instant::now() + interval;
            if let Err(error) = fold.checkpoint() {
                tracing::error!(error = &error as &dyn std::error::Error, "checkpoint failed");
                failed.store(true, Ordering::Release);
                stop.send_replace(Some(format!("the catalog failed: {error}")));
                return;
            }
        }
        if is_last {
            return;
        }
    }
}
