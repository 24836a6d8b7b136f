//! Calls that are open on a connection and answers that are on their way out of it, and when it is given up: a
//! client that takes no answer for too long holds what they hold, and one that makes no call holds a place
//! that others could have. Nothing else would ever end that.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// Counts a connection's calls, and its answers that wait for the network.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    calls: Count,
    answers: Count,
}

/// How many there are, and how many there have been.
#[derive(Debug, Default)]
struct Count {
    now: AtomicU32,
    ended: AtomicU64,
}

impl Count {
    fn begin(&self) {
        self.now.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_none(&self) -> bool {
        self.now.load(Ordering::Relaxed) == 0
    }

    fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Traffic {
    pub(super) fn call_begins(self: &Arc<Self>) -> Call {
        self.calls.begin();
        Call(Arc::clone(self))
    }

    pub(super) fn answer_waits(self: &Arc<Self>) -> Waiting {
        self.answers.begin();
        Waiting(Arc::clone(self))
    }

    /// Stays the same while answers wait and none leaves.
    pub(super) fn untaken(&self) -> Option<u64> {
        (!self.answers.is_none()).then(|| self.answers.ended())
    }

    /// Stays the same while no call is made.
    pub(super) fn unused(&self) -> Option<u64> {
        self.calls.is_none().then(|| self.calls.ended())
    }
}

/// A call; it has ended when this is dropped.
#[derive(Debug)]
pub(super) struct Call(Arc<Traffic>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.calls.end();
    }
}

/// An answer that waits; it has left when this is dropped.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Traffic>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.answers.end();
    }
}

/// The answer to a call, which ends with it.
pub(super) struct CallBody<B> {
    inner: B,
    _call: Call,
}

impl<B> CallBody<B> {
    pub(super) fn of(inner: B, call: Call) -> Self {
        Self { inner, _call: call }
    }
}

impl<B: Body + Unpin> Body for CallBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Looks every so often whether nothing has happened since.
#[derive(Debug)]
pub(super) struct Quiet {
    within: Duration,
    next: Pin<Box<Sleep>>,
    seen: Option<u64>,
}

impl Quiet {
    pub(super) fn new(within: Duration) -> Self {
        Self { within, next: Box::pin(tokio::time::sleep(within)), seen: None }
    }

    /// Ready once `look` gave the same number twice in turn.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        look: impl Fn() -> Option<u64>,
    ) -> Poll<()> {
        loop {
            ready!(self.next.as_mut().poll(context));
            let now = look();
            if now.is_some() && now == self.seen {
                return Poll::Ready(());
            }
            self.seen = now;
            self.next.as_mut().reset(Instant::now() + self.within);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);
    /// From then on looks fall in the middle of each `WITHIN`.
    const LONG: Duration = Duration::from_secs(1_005);

    /// Whether it is over within this time.
    async fn is_over(quiet: &mut Quiet, time: Duration, look: impl Fn() -> Option<u64>) -> bool {
        let over = std::future::poll_fn(|context| quiet.poll(context, &look));
        tokio::time::timeout(time, over).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_once_answers_wait_and_none_leaves() {
        let traffic = Arc::new(Traffic::default());
        let mut quiet = Quiet::new(WITHIN);
        let untaken = || traffic.untaken();
        assert!(!is_over(&mut quiet, LONG, untaken).await, "nothing waits");
        let first = traffic.answer_waits();
        // One look sees it, the next that it is still there.
        assert!(!is_over(&mut quiet, WITHIN, untaken).await);
        drop(first);
        let second = traffic.answer_waits();
        assert!(!is_over(&mut quiet, WITHIN, untaken).await, "one has left");
        assert!(is_over(&mut quiet, WITHIN, untaken).await);
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_once_no_call_is_made() {
        let traffic = Arc::new(Traffic::default());
        let mut quiet = Quiet::new(WITHIN);
        let unused = || traffic.unused();
        let call = traffic.call_begins();
        assert!(!is_over(&mut quiet, LONG, unused).await, "one is open");
        drop(call);
        assert!(!is_over(&mut quiet, WITHIN, unused).await);
        // Between two looks, so that neither sees it.
        drop(traffic.call_begins());
        assert!(!is_over(&mut quiet, WITHIN, unused).await, "one was made");
        assert!(is_over(&mut quiet, WITHIN, unused).await);
    }
}
