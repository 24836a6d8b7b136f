//! Generating ahead of the sending, within a budget of memory, so that the measured time is the
//! server's and not the generator's.

use std::sync::Arc;

use bytes::Bytes;
use indicatif::ProgressBar;
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::generate::{Expected, Generator};

/// Batches made and not yet answered, in KiB of their encoded form and their known answers:
/// 1,000,000 lines at 202 bytes, and 88 for each of half as many answers, are some 240 MiB, so the
/// default run is made wholly before the clock starts.
const PREPARED_KIB_MAX: usize = 640 * 1024;

/// A batch ready to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) actor: u32,
    pub(super) number: u64,
    pub(super) first_position: u64,
    pub(super) lines: u64,
    pub(super) batch_id: String,
    pub(super) encoded: Bytes,
    pub(super) expected: Vec<Expected>,
    /// Its part of the budget, given back once it is answered.
    _budget: Option<OwnedSemaphorePermit>,
}

/// Makes all batches, handing each to the lane of its actor (`lane_of`, by actor), and says through
/// `ready` once all are made or the budget is spent. Blocks: for a thread of its own.
pub(super) fn generate(
    generator: Generator,
    lane_of: &[usize],
    lanes: &[mpsc::UnboundedSender<Prepared>],
    runtime: &Handle,
    ready: oneshot::Sender<()>,
    progress: &ProgressBar,
) {
    let budget = Arc::new(Semaphore::new(PREPARED_KIB_MAX));
    let mut ready = Some(ready);
    for batch in generator {
        let encoded = Bytes::from(batch.request.encode_to_vec());
        let bytes = encoded.len() + batch.expected.len() * size_of::<Expected>();
        // No batch is larger than 16 MiB, so none waits for more than there can be.
        let cost = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let permit = Arc::clone(&budget).try_acquire_many_owned(cost).ok().or_else(|| {
            if let Some(ready) = ready.take() {
                let _ = ready.send(());
            }
            runtime.block_on(Arc::clone(&budget).acquire_many_owned(cost)).ok()
        });
        if ready.is_some() {
            progress.inc(batch.lines);
        }
        let lane = usize::try_from(batch.actor).ok().and_then(|actor| lane_of.get(actor));
        let Some(lane) = lane.and_then(|&lane| lanes.get(lane)) else {
            return;
        };
        let prepared = Prepared {
            actor: batch.actor,
            number: batch.number,
            first_position: batch.first_position,
            lines: batch.lines,
            batch_id: batch.request.batch_id,
            encoded,
            expected: batch.expected,
            _budget: permit,
        };
        // A lane that is gone has failed, and says why itself.
        if lane.send(prepared).is_err() {
            break;
        }
    }
    if let Some(ready) = ready.take() {
        let _ = ready.send(());
    }
}
