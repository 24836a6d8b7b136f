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

/// What the answer to a read holds until it has left; its service puts it among the answer's
/// extensions.
#[derive(Clone)]
pub(super) struct Held(
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

/// A frame's bytes with what is given back when the transport has written them.
struct Leaving<H> {
    bytes: Bytes,
    _held: H,
}

impl<H> AsRef<[u8]> for Leaving<H> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of answers to batches.
pub(super) struct ShareBody<B> {
    inner: B,
    ledger: Ledger,
}

impl<B> ShareBody<B> {
    pub(super) fn new(inner: B, ledger: Ledger) -> Self {
        Self { inner, ledger }
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for ShareBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(context));
        let turns = this.ledger.take_leaving();
        if turns.is_empty() {
            return Poll::Ready(frame);
        }
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| {
                frame.map_data(|bytes| Bytes::from_owner(Leaving { bytes, _held: turns }))
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer to a read.
pub(super) struct HeldBody<B> {
    inner: B,
    held: Held,
}

impl<B> HeldBody<B> {
    pub(super) fn new(inner: B, held: Held) -> Self {
        Self { inner, held }
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for HeldBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(context));
        let hold = |bytes| Bytes::from_owner(Leaving { bytes, _held: this.held.clone() });
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
    use crate::ingest::budget::Budget;

    #[tokio::test]
    async fn a_share_is_given_back_when_the_frame_with_its_answer_goes() {
        let sizes = Sizes {
            table_slots: 0,
            bytes_in_flight_max: 1 << 30,
            batches_in_flight_max: 4,
            connections_max: 1,
            lookups_in_flight_max: 1,
        };
        let all = Budget::new(&sizes, 1, std::time::Duration::ZERO);
        let budget = all.connection();
        let ledger = Ledger::default();
        ledger.arrived(Ok(budget.try_take(1).unwrap()));
        let share = ledger.next().unwrap();
        assert!(ledger.next().is_err());
        ledger.leaving(all.turn(share, None).await.unwrap());
        let inner = tonic::body::Body::new(http_body_of("answer"));
        let mut body = ShareBody::new(inner, ledger);
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
        let mut body = HeldBody::new(http_body_of("answer"), held);
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
