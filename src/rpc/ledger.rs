//! What one call's batches hold, from the moment their messages are admitted until their answers have
//! left.
//!
//! ```text
//! request body ─arrived─▶ service ─▶ engine ─▶ codec ─leaving─▶ answer body ─▶ network
//! ```
//! Messages reach the service in the order in which they were admitted, so the first share in the
//! queue is that of the message in hand. What the codec has written leaves in the frames that come
//! after it, and the turns go with them: the transport drops a frame once it has been written.

use std::any::Any;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use crate::ingest::budget::{Share, Turn};
use crate::ingest::refusal::Refusal;

/// The shares of one call.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Shares>>);

/// A message that was skipped.
#[derive(Debug)]
pub struct Skipped {
    /// Why.
    pub refusal: Refusal,
    /// Its declarant's name for it (see [`crate::wire::reader::batch_id`]).
    pub batch_id: String,
}

#[derive(Debug, Default)]
struct Shares {
    arrived: VecDeque<Result<Share, Skipped>>,
    leaving: Vec<Turn>,
}

impl Ledger {
    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message has its share, or is skipped and this is why.
    pub fn arrived(&self, share: Result<Share, Skipped>) {
        self.shares().arrived.push_back(share);
    }

    /// The share of the next message.
    ///
    /// # Errors
    /// Why that message was skipped.
    pub fn next(&self) -> Result<Share, Skipped> {
        let none = || Skipped {
            refusal: Refusal::unavailable("the batch came by a way that admits none", 1_000),
            batch_id: String::new(),
        };
        self.shares().arrived.pop_front().unwrap_or_else(|| Err(none()))
    }

    /// The answer to a batch has been written to the frame that leaves next.
    pub fn leaving(&self, turn: Turn) {
        self.shares().leaving.push(turn);
    }

    fn take_leaving(&self) -> Vec<Turn> {
        std::mem::take(&mut self.shares().leaving)
    }
}

/// What an answer holds until it has left; that of a read stands among the answer's extensions.
#[derive(Clone)]
pub(crate) struct Held(
    #[expect(dead_code, reason = "dropping it is what it is for")] Arc<dyn Any + Send + Sync>,
);

impl Held {
    pub(super) fn new(held: impl Any + Send + Sync) -> Self {
        Self(Arc::new(held))
    }
}

/// An answer that keeps what it `held` until it has left.
pub(super) fn holding<T>(message: T, held: Held) -> tonic::Response<T> {
    let mut answer = tonic::Response::new(message);
    answer.extensions_mut().insert(held);
    answer
}

/// `bytes` that keep what is `held` until the transport has written them.
pub(crate) fn until_left(bytes: Bytes, held: Held) -> Bytes {
    Bytes::from_owner(Leaving { bytes, _held: held })
}

/// A frame's bytes with what is given back when the transport has written them.
struct Leaving {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Leaving {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of an answer that holds something until it has left.
pub(super) struct HoldingBody<B> {
    inner: B,
    holds: Holds,
}

enum Holds {
    /// Answers to batches: each frame the turns of those written to it.
    Batches(Ledger),
    /// An answer to a read: all frames the same.
    Read(Held),
}

impl<B> HoldingBody<B> {
    pub(super) fn of_batches(inner: B, ledger: Ledger) -> Self {
        Self { inner, holds: Holds::Batches(ledger) }
    }

    pub(super) fn of_read(inner: B, held: Held) -> Self {
        Self { inner, holds: Holds::Read(held) }
    }

    /// What the frame that leaves next holds.
    fn held(&self) -> Option<Held> {
        match &self.holds {
            Holds::Batches(ledger) => {
                let turns = ledger.take_leaving();
                (!turns.is_empty()).then(|| Held::new(turns))
            }
            Holds::Read(held) => Some(held.clone()),
        }
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for HoldingBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(context));
        let Some(held) = this.held() else { return Poll::Ready(frame) };
        let hold = |bytes| until_left(bytes, held);
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Sizes;
    use crate::ingest::budget::{Budget, Client};

    #[tokio::test]
    async fn a_share_is_given_back_when_the_frame_with_its_answer_goes() {
        let sizes = Sizes {
            index: crate::index::Memory { bytes: 0, slots_min: 0 },
            bytes_in_flight_max: 1 << 30,
            batches_in_flight_max: 4,
            connections_max: 1,
            address_connections_max: 1,
            connection_streams_max: 1,
            lookups_in_flight_max: 1,
        };
        let all = Budget::new(&sizes, 1, std::time::Duration::ZERO);
        let budget = all.connection(Client::NOWHERE);
        let ledger = Ledger::default();
        ledger.arrived(Ok(budget.try_take(1).unwrap()));
        let share = ledger.next().unwrap();
        assert!(ledger.next().is_err());
        ledger.leaving(all.turn(share, None).await.unwrap());
        let inner = tonic::body::Body::new(http_body_of("answer"));
        let mut body = HoldingBody::of_batches(inner, ledger);
        assert!(budget.try_take(1).is_none(), "still to leave");
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let bytes = frame.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&bytes[..], b"answer");
        let part = bytes.slice(..2);
        drop(bytes);
        assert!(budget.try_take(1).is_none(), "the transport still has a part of it");
        drop(part);
        assert!(budget.try_take(1).is_some());
    }

    #[tokio::test]
    async fn what_a_read_holds_is_given_back_when_its_answer_has_left() {
        let places = Arc::new(tokio::sync::Semaphore::new(1));
        let held = Held::new(Arc::clone(&places).try_acquire_owned().unwrap());
        let mut body = HoldingBody::of_read(http_body_of("answer"), held);
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let bytes = frame.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert_eq!(places.available_permits(), 0, "the transport still has it");
        drop(bytes);
        assert_eq!(places.available_permits(), 1);
    }

    struct Once(Option<Bytes>);

    impl Body for Once {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn http_body_of(text: &'static str) -> Once {
        Once(Some(Bytes::from_static(text.as_bytes())))
    }
}
