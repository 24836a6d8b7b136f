//! Calls that are open on a connection and what is on its way out of it, and when it is given up: a client that
//! takes nothing for too long holds what its answers hold, and one that makes no call holds a place that
//! others could have. Nothing else would ever end that.
//!
//! Every frame of every answer counts, refusals and those of watches too: what stands behind one that is not
//! taken waits as well, and is not counted yet. So do bytes, since answers to several calls leave side by side
//! and may all end late. And a connection to which nothing can be written is not read from either.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// So many bytes must leave from one look to the next where no frame has left: 1 KB/s with the default of
/// `answer_s_max`. Pings and the like alone come to less.
const PROGRESS_BYTES: u64 = 64 << 10;

/// Counts a connection's calls, and the frames of answers that wait for the network.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    calls: Count,
    frames: Count,
    bytes_left: AtomicU64,
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

    fn frame_waits(self: &Arc<Self>) -> Waiting {
        self.frames.begin();
        Waiting(Arc::clone(self))
    }

    /// So many bytes went out.
    pub(super) fn leave(&self, bytes: usize) {
        self.bytes_left.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Stays the same, or nearly so, while something waits and hardly anything leaves.
    pub(super) fn untaken(&self) -> Option<Seen> {
        let bytes = self.bytes_left.load(Ordering::Relaxed);
        (!self.frames.is_none()).then(|| Seen { ended: self.frames.ended(), bytes })
    }

    /// Stays the same while no call is made and nothing leaves.
    pub(super) fn unused(&self) -> Option<Seen> {
        let is_unused = self.calls.is_none() && self.frames.is_none();
        is_unused.then(|| Seen { ended: self.calls.ended(), bytes: 0 })
    }
}

/// What a look saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    ended: u64,
    bytes: u64,
}

impl Seen {
    fn is_still(self, before: Self) -> bool {
        self.ended == before.ended && self.bytes.wrapping_sub(before.bytes) < PROGRESS_BYTES
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

/// A frame that waits; it has left when this is dropped.
#[derive(Debug)]
struct Waiting(Arc<Traffic>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.frames.end();
    }
}

/// A frame's bytes, which have left when the transport lets go of them.
struct Leaving {
    bytes: Bytes,
    _waiting: Waiting,
}

impl AsRef<[u8]> for Leaving {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The answer to a call, which ends with it; its frames are counted until they have left.
pub(super) struct CallBody<B> {
    inner: B,
    call: Call,
}

impl<B> CallBody<B> {
    pub(super) fn of(inner: B, call: Call) -> Self {
        Self { inner, call }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for CallBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        let traffic = &self.call.0;
        let count = |bytes| Bytes::from_owner(Leaving { bytes, _waiting: traffic.frame_waits() });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(count))))
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
    seen: Option<Seen>,
}

impl Quiet {
    pub(super) fn new(within: Duration) -> Self {
        Self { within, next: Box::pin(tokio::time::sleep(within)), seen: None }
    }

    /// Ready once `look` saw twice in turn that all was still: after one to two times as long as it looks.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        look: impl Fn() -> Option<Seen>,
    ) -> Poll<()> {
        loop {
            ready!(self.next.as_mut().poll(context));
            let now = look();
            if now.zip(self.seen).is_some_and(|(now, before)| now.is_still(before)) {
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
    async fn is_over(quiet: &mut Quiet, time: Duration, look: impl Fn() -> Option<Seen>) -> bool {
        let over = std::future::poll_fn(|context| quiet.poll(context, &look));
        tokio::time::timeout(time, over).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_once_answers_wait_and_none_leaves() {
        let traffic = Arc::new(Traffic::default());
        let mut quiet = Quiet::new(WITHIN);
        let untaken = || traffic.untaken();
        assert!(!is_over(&mut quiet, LONG, untaken).await, "nothing waits");
        let first = traffic.frame_waits();
        // One look sees it, the next that it is still there.
        assert!(!is_over(&mut quiet, WITHIN, untaken).await);
        drop(first);
        let second = traffic.frame_waits();
        assert!(!is_over(&mut quiet, WITHIN, untaken).await, "one has left");
        traffic.leave(PROGRESS_BYTES as usize);
        assert!(!is_over(&mut quiet, WITHIN, untaken).await, "so much of it has left");
        traffic.leave(PROGRESS_BYTES as usize - 1);
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
        let leaving = traffic.frame_waits();
        assert!(!is_over(&mut quiet, WITHIN, unused).await, "its answer leaves");
        drop(leaving);
        assert!(!is_over(&mut quiet, WITHIN, unused).await);
        assert!(is_over(&mut quiet, WITHIN, unused).await);
    }
}
