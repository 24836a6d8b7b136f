//! Batches to the service: in order, several under way at once, each decided once.
//!
//! A batch that was taken in while the service was not reachable is forwarded with a fallback, and so is one
//! that has waited longer than [`AT_ONCE`] by the time it is first sent; all others as they came. What was
//! decided is durable before it is sent.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::oneshot;

use super::figures::{self, Counted};
use super::message;
use super::reach::Reach;
use super::record::{AnswerHead, SentHead};
use super::state::{Kept, Stage};
use super::store::{Store, StoreError, ToForward};
use crate::client::{Answered, Batch, ClientError, Lodging, LodgingOptions, Reply, Server};
use crate::proto::v1::{FallbackLodgement, SubmitBatchRequest};

/// Batches that are sent and not answered.
const IN_FLIGHT_MAX: usize = 16;
/// Answers that are on their way to the disk.
const STORING_MAX: usize = 64;
/// A batch that waited no longer was forwarded at once.
pub const AT_ONCE: Duration = Duration::from_secs(60);
/// A batch with a fallback is not forwarded sooner after it was received: the service's clock may be behind
/// by as much, and a lodging after its own arrival would be rejected.
const CLOCKS_APART: Duration = Duration::from_secs(1);
/// A service that is connected and answers nothing is connected to anew.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Before the next attempt, where the last one was refused or failed.
const AGAIN: Duration = Duration::from_secs(2);

/// Why forwarding is interrupted.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("batch {number} cannot be read back: {source}")]
    Batch { number: u64, source: crate::wire::malformed::Malformed },
    #[error("an answer came to nothing that was sent")]
    Unasked,
    #[error("the runtime is ending")]
    Ending,
}

/// A batch that is ready to be sent.
struct Ready {
    batch: Batch,
    way: Way,
}

/// A batch under way.
struct Way {
    number: u64,
    kept: Kept,
    is_fallback: bool,
    /// It may have been sent before.
    was_sent: bool,
    message: Bytes,
}

/// Forwards for ever.
pub(super) async fn forward(store: Store, server: Server, reach: Reach) {
    loop {
        reach.up().await;
        let mut storing = VecDeque::new();
        if let Err(error) = run(&store, &server, &reach, &mut storing).await {
            tracing::warn!(%error, "forwarding is interrupted: what has no answer is sent again");
        }
        // What is on its way to the disk has its answer.
        for stored in storing {
            let _ = stored.await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

type Storing = VecDeque<oneshot::Receiver<Result<(), StoreError>>>;

async fn run(
    store: &Store,
    server: &Server,
    reach: &Reach,
    storing: &mut Storing,
) -> Result<(), Interrupted> {
    let options = LodgingOptions {
        batches_in_flight_max: IN_FLIGHT_MAX,
        halves_refused: false,
        silence_max: SILENCE_MAX,
    };
    let mut lodging = Lodging::open(server, options).await?;
    let mut ways: VecDeque<Way> = VecDeque::new();
    let mut changes = store.changes();
    let mut from = 0;
    let mut loading = Box::pin(load(store, reach, from, IN_FLIGHT_MAX));
    let mut is_loading = true;
    loop {
        let has_more = !is_loading && ways.len() < IN_FLIGHT_MAX;
        tokio::select! {
            loaded = &mut loading, if is_loading => {
                is_loading = false;
                for Ready { batch, way } in loaded? {
                    from = way.number + 1;
                    ways.push_back(way);
                    lodging.send(batch);
                }
            }
            answered = lodging.answer(), if !lodging.is_empty() => {
                let answered = answered?.ok_or(Interrupted::Unasked)?;
                let way = ways.pop_front().ok_or(Interrupted::Unasked)?;
                storing.push_back(store_answer(store, way, answered).await?);
            }
            stored = async { storing.front_mut()?.await.ok() }, if !storing.is_empty() => {
                storing.pop_front();
                stored.ok_or(StoreError::Stopped)??;
            }
            changed = changes.changed(), if has_more => changed.map_err(|_| Interrupted::Ending)?,
        }
        let room = IN_FLIGHT_MAX.saturating_sub(ways.len());
        let may_load = !is_loading && room > 0 && storing.len() < STORING_MAX;
        if may_load && !store.unanswered(from, 1).is_empty() {
            changes.mark_unchanged();
            loading.set(load(store, reach, from, room));
            is_loading = true;
        }
    }
}

/// The next batches, decided and read back; waits until there are some and the service is there.
async fn load(
    store: &Store,
    reach: &Reach,
    from: u64,
    most: usize,
) -> Result<Vec<Ready>, Interrupted> {
    let mut changes = store.changes();
    let found = loop {
        reach.up().await;
        let found = store.unanswered(from, most);
        if !found.is_empty() {
            break found;
        }
        changes.changed().await.map_err(|_| Interrupted::Ending)?;
    };
    let now = store.clock.now().0;
    let at_once_ms = i64::try_from(AT_ONCE.as_millis()).unwrap_or(i64::MAX);
    let mut head = SentHead::default();
    let mut decided = Vec::new();
    for ToForward { number, kept } in found {
        let (is_fallback, was_sent) = match kept.stage {
            Stage::Waiting { is_fallback } => {
                let is_late = now - kept.received_at_ms > at_once_ms;
                let is_fallback = is_fallback || (is_late && kept.may_have_fallback());
                let numbers =
                    if is_fallback { &mut head.with_fallback } else { &mut head.as_they_came };
                numbers.push(number);
                (is_fallback, false)
            }
            Stage::Sent { is_fallback } => (is_fallback, true),
            Stage::Answered(_) => continue,
        };
        decided.push((number, kept, is_fallback, was_sent));
    }
    if head != SentHead::default() {
        store.sent(head).await?;
    }
    let youngest =
        decided.iter().filter(|(_, _, is_fallback, _)| *is_fallback).map(|d| d.1.received_at_ms);
    if let Some(youngest) = youngest.max() {
        let age = Duration::from_millis(u64::try_from(now - youngest).unwrap_or(0));
        tokio::time::sleep(CLOCKS_APART.saturating_sub(age)).await;
    }
    let of = store.clone();
    let reading = move || {
        let read = decided.into_iter().map(|(number, kept, is_fallback, was_sent)| {
            ready(&of, Way { number, kept, is_fallback, was_sent, message: Bytes::new() })
        });
        read.collect()
    };
    tokio::task::spawn_blocking(reading).await.map_err(|_| Interrupted::Ending)?
}

fn ready(store: &Store, way: Way) -> Result<Ready, Interrupted> {
    let message = store.message(&way.kept)?;
    let forwarded = if way.is_fallback {
        let reference = store.shared.reference(way.kept.received_at_ms);
        let lodged_at_ms = way.kept.received_at_ms;
        message::with_fallback(&message, FallbackLodgement { reference, lodged_at_ms })
    } else {
        message.clone()
    };
    let number = way.number;
    let batch = Batch::of_encoded(forwarded);
    let batch = batch.map_err(|source| Interrupted::Batch { number, source })?;
    Ok(Ready { batch, way: Way { message, ..way } })
}

async fn store_answer(
    store: &Store,
    way: Way,
    answered: Answered,
) -> Result<oneshot::Receiver<Result<(), StoreError>>, Interrupted> {
    let of = store.clone();
    let counting = move || head(&of, &way, answered);
    let counted = tokio::task::spawn_blocking(counting).await.map_err(|_| Interrupted::Ending)?;
    let (head, answer) = counted?;
    Ok(store.answer(head, answer).await?)
}

/// What is recorded of an answer.
fn head(
    store: &Store,
    way: &Way,
    answered: Answered,
) -> Result<(AnswerHead, Vec<u8>), Interrupted> {
    let number = way.number;
    let own = message::own_fallbacks(&way.message)
        .map_err(|source| Interrupted::Batch { number, source })?;
    let sent_again = way.was_sent || answered.sends > 1;
    let reference = if way.is_fallback {
        store.shared.reference(way.kept.received_at_ms)
    } else {
        String::new()
    };
    let answered_at_ms = store.clock.now().0;
    let contents = if sent_again { contents(&way.message) } else { Vec::new() };
    let counted = Counted {
        declarant: &way.kept.declarant,
        reference: &reference,
        received_at_ms: way.kept.received_at_ms,
        answered_at_ms,
        sent_again,
        own: &own,
        contents: &contents,
    };
    let (is_refused, watermark, adds, answer) = match &answered.reply {
        Reply::Verdicts(answer) => {
            let adds = figures::answered(&counted, answer);
            (false, answer.watermark, adds, answer.encode_to_vec())
        }
        Reply::Refused(refusal) => {
            tracing::warn!(
                receipt = number,
                batch_id = refusal.batch_id,
                code = refusal.code,
                field = refusal.field,
                reason = refusal.message,
                "the service refuses a batch"
            );
            (true, 0, figures::refused(&counted), refusal.encode_to_vec())
        }
    };
    Ok((AnswerHead { number, answered_at_ms, is_refused, sent_again, watermark, adds }, answer))
}

/// A number for the content of each declaration; two may share a number.
fn contents(message: &[u8]) -> Vec<u64> {
    // It was read before.
    let request = SubmitBatchRequest::decode(message).unwrap_or_default();
    let number = |declaration: &crate::proto::v1::Declaration| {
        let mut hasher = DefaultHasher::new();
        declaration.encode_to_vec().hash(&mut hasher);
        hasher.finish()
    };
    request.declarations.iter().map(number).collect()
}
