//! Bodies below tonic's codec: a batch is admitted when the length of its message arrives, before any
//! of it is read, and gives its share back when its answer has left.
//!
//! gRPC puts five bytes before each message: a flag and the length, big endian. What that length
//! asks for is taken from the connection's budget there and then. Where it is above the bound, or
//! the share cannot be had in time, the message is skipped as it comes in, and an empty one is handed
//! on in its place, for which the [`Ledger`] holds the refusal; so a stream goes on after it.
//!
//! Calls that lodge nothing are small: one that is not ends.
//!
//! What has begun must arrive in time, and where a call has one message alone, that must begin in time too: who
//! calls and sends nothing would keep the connection's place. A stream may rest between two messages.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::ledger::{Held, HoldingBody, Ledger, Skipped};
use super::status;
use crate::ingest::budget::{Budget, Client, ConnectionBudget, Share};
use crate::ingest::engine::too_large;
use crate::ingest::refusal::Refusal;
use crate::telemetry::Telemetry;
use crate::wire::reader;

const PREFIX: usize = 5;
/// First bytes of a skipped message that are looked at: a `batch_id` is echoed up to 256 bytes.
const HEAD: usize = 320;

/// Most bytes of a call that lodges nothing: the longest message has two ids, a period and a page
/// token, and reflection asks some dozens of questions in one call.
pub const SMALL_CALL_BYTES_MAX: usize = 64 << 10;

/// Calls of health and reflection at once, until their answers have left: each holds some 64 KiB at most.
const OTHER_CALLS_MAX: usize = 256;

/// Calls whose messages are batches.
const LODGING: [&str; 2] = [ONE_BATCH, "/waag.v1.Lodgement/SubmitBatches"];

/// The one of them that has one.
const ONE_BATCH: &str = "/waag.v1.Lodgement/SubmitBatch";

/// Calls that may ask one thing after another; all others ask once.
const ASKING: &str = "/grpc.reflection.";

/// An empty message, in place of one that is skipped.
const STAND_IN: &[u8] = &[0; PREFIX];

/// What a batch's message may be.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Bytes of it.
    pub bytes_max: usize,
    /// How long it may take to arrive once it has its share.
    pub within: Duration,
}

/// Puts bodies of this module around those of every request, and of answers to batches.
#[derive(Debug, Clone)]
pub struct BoundLayer {
    bound: Bound,
    /// For calls over transports that are no [`super::connection::Connection`].
    budget: ConnectionBudget,
    others: Arc<Semaphore>,
    telemetry: Telemetry,
}

impl BoundLayer {
    /// Under this bound and budget.
    #[must_use]
    pub fn new(bound: Bound, budget: &Budget, telemetry: Telemetry) -> Self {
        let others = Arc::new(Semaphore::new(OTHER_CALLS_MAX));
        Self { bound, budget: budget.connection(Client::NOWHERE), others, telemetry }
    }

    /// A place for a call of health or reflection.
    fn other(&self) -> Option<Held> {
        Arc::clone(&self.others).try_acquire_owned().ok().map(Held::new)
    }
}

impl<S> Layer<S> for BoundLayer {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded { inner, layer: self.clone() }
    }
}

/// See [`BoundLayer`].
#[derive(Debug, Clone)]
pub struct Bounded<S> {
    inner: S,
    layer: BoundLayer,
}

type HttpBody = tonic::body::Body;

impl<S> Service<http::Request<HttpBody>> for Bounded<S>
where
    S: Service<http::Request<HttpBody>, Response = http::Response<HttpBody>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<HttpBody>) -> Self::Future {
        if !LODGING.contains(&request.uri().path()) {
            let is_ours = request.uri().path().starts_with("/waag.v1.");
            let other = if is_ours { None } else { self.layer.other() };
            if !is_ours && other.is_none() {
                let told = Refusal::exhausted(
                    format!(
                        "{OTHER_CALLS_MAX} calls of health and reflection are open, the most there \
                         may be: come back later"
                    ),
                    1_000,
                );
                return Box::pin(async move { Ok(status::of(&told).into_http()) });
            }
            let within = Some(self.layer.bound.within);
            let within = within.filter(|_| !request.uri().path().starts_with(ASKING));
            let request = request.map(|body| HttpBody::new(SmallBody::new(body, within)));
            let answer = self.inner.call(request);
            return Box::pin(async move {
                let mut answer = answer.await?;
                let held = answer.extensions_mut().remove::<Held>().or(other);
                Ok(match held {
                    Some(held) => {
                        answer.map(|body| HttpBody::new(HoldingBody::of_read(body, held)))
                    }
                    None => answer,
                })
            });
        }
        let ledger = Ledger::default();
        request.extensions_mut().insert(ledger.clone());
        let budget = request.extensions().get().unwrap_or(&self.layer.budget).clone();
        let gate = Gate {
            bound: self.layer.bound,
            budget,
            ledger: ledger.clone(),
            telemetry: self.layer.telemetry.clone(),
        };
        let is_one = request.uri().path() == ONE_BATCH;
        let request = request.map(|body| HttpBody::new(BatchBody::new(body, gate, is_one)));
        let answer = self.inner.call(request);
        Box::pin(async move {
            Ok(answer.await?.map(|body| HttpBody::new(HoldingBody::of_batches(body, ledger))))
        })
    }
}

/// What a message is held against.
#[derive(Debug)]
struct Gate {
    bound: Bound,
    budget: ConnectionBudget,
    ledger: Ledger,
    telemetry: Telemetry,
}

type Waiting = Pin<Box<dyn Future<Output = Result<Share, Refusal>> + Send>>;

/// Where in the sequence of messages the next byte is.
enum At {
    /// In the five bytes before a message; those already seen.
    Prefix(Vec<u8>),
    /// Before a message that waits for its share: its prefix, its length, what came after it.
    Waiting(Bytes, usize, Bytes, Waiting),
    /// In a message that is handed on; bytes left.
    Message(usize),
    /// In a message that is skipped; bytes left, its first bytes until its `batch_id` must be among
    /// them, and why it is skipped.
    Skipped(usize, Vec<u8>, Refusal),
    /// In a skipped message that has been reported; bytes left.
    Reported(usize),
}

/// A body of batches, each admitted or skipped.
struct BatchBody<B> {
    inner: B,
    gate: Gate,
    at: At,
    ready: VecDeque<Bytes>,
    /// The call has one message, which may not be waited for either.
    is_one: bool,
    /// Until when the message under way must have arrived; kept from one to the next.
    late: Option<Pin<Box<Sleep>>>,
}

impl<B> BatchBody<B> {
    fn new(inner: B, gate: Gate, is_one: bool) -> Self {
        let (at, ready) = (At::Prefix(Vec::new()), VecDeque::new());
        Self { inner, gate, at, ready, is_one, late: None }
    }

    /// Something begins that must arrive in time from now on.
    fn begins(&mut self) {
        if let Some(late) = &mut self.late {
            late.as_mut().reset(tokio::time::Instant::now() + self.gate.bound.within);
        }
    }

    /// Sorts what came in: what is handed on goes to `ready`, uncopied but for prefixes that were
    /// cut in two.
    fn sort(&mut self, mut data: Bytes) {
        while data.has_remaining() {
            match &mut self.at {
                At::Message(left) => {
                    let part = data.split_to(data.len().min(*left));
                    *left -= part.len();
                    if *left == 0 {
                        self.at = At::Prefix(Vec::new());
                    }
                    self.ready.push_back(part);
                }
                At::Skipped(left, head, _) => {
                    let part = data.split_to(data.len().min(*left).min(HEAD - head.len()));
                    *left -= part.len();
                    head.extend_from_slice(&part);
                    self.report();
                }
                At::Reported(left) => {
                    let part = data.len().min(*left);
                    data.advance(part);
                    *left -= part;
                    if *left == 0 {
                        self.at = At::Prefix(Vec::new());
                    }
                }
                At::Waiting(_, _, rest, _) => {
                    // The body is not read while a message waits; this is for completeness.
                    *rest = Bytes::from([&rest[..], &data[..]].concat());
                    return;
                }
                At::Prefix(seen) => {
                    let begins = seen.is_empty();
                    let part = data.split_to(data.len().min(PREFIX - seen.len()));
                    seen.extend_from_slice(&part);
                    let &[_, a, b, c, d] = &seen[..] else {
                        if begins {
                            self.begins();
                        }
                        continue;
                    };
                    let prefix = Bytes::from(std::mem::take(seen));
                    let length = u32::from_be_bytes([a, b, c, d]);
                    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
                    if !self.admit(prefix, bytes, &mut data) {
                        return;
                    }
                }
            }
        }
    }

    /// Decides on the message whose prefix has arrived; `false` where it has to wait, and the `rest`
    /// of what came in with it.
    fn admit(&mut self, prefix: Bytes, bytes: usize, rest: &mut Bytes) -> bool {
        if bytes > self.gate.bound.bytes_max {
            self.skip(bytes, too_large(bytes as u64, self.gate.bound.bytes_max));
        } else if let Some(share) = self.gate.budget.try_take(bytes) {
            self.pass(prefix, bytes, share);
        } else {
            let budget = self.gate.budget.clone();
            let share: Waiting = Box::pin(async move { budget.take(bytes).await });
            self.at = At::Waiting(prefix, bytes, std::mem::take(rest), share);
            return false;
        }
        true
    }

    fn pass(&mut self, prefix: Bytes, bytes: usize, share: Share) {
        self.gate.ledger.arrived(Ok(share));
        self.ready.push_back(prefix);
        self.at = if bytes == 0 { At::Prefix(Vec::new()) } else { At::Message(bytes) };
        self.begins();
    }

    fn skip(&mut self, bytes: usize, refusal: Refusal) {
        self.at = At::Skipped(bytes, Vec::new(), refusal);
        self.begins();
        self.report();
    }

    /// Reports a skipped message as soon as enough of it was seen to tell its `batch_id`.
    fn report(&mut self) {
        match std::mem::replace(&mut self.at, At::Prefix(Vec::new())) {
            At::Skipped(left, head, refusal) if left == 0 || head.len() == HEAD => {
                let batch_id = reader::batch_id(&head);
                self.gate.ledger.arrived(Err(Skipped { refusal, batch_id }));
                self.ready.push_back(Bytes::from_static(STAND_IN));
                if left > 0 {
                    self.at = At::Reported(left);
                }
            }
            at => self.at = at,
        }
    }

    /// Waits for the share of the message that needs one.
    fn poll_share(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let At::Waiting(_, _, _, share) = &mut self.at else { return Poll::Ready(()) };
        let share = ready!(share.as_mut().poll(context));
        let at = std::mem::replace(&mut self.at, At::Prefix(Vec::new()));
        if let At::Waiting(prefix, bytes, rest, _) = at {
            match share {
                Ok(share) => self.pass(prefix, bytes, share),
                Err(refusal) => self.skip(bytes, refusal),
            }
            self.sort(rest);
        }
        Poll::Ready(())
    }

    /// Whether what is waited for should have arrived by now.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let is_between = matches!(&self.at, At::Prefix(seen) if seen.is_empty());
        if is_between && !self.is_one {
            return false;
        }
        is_over(&mut self.late, self.gate.bound.within, context)
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for BatchBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            if let Some(part) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            if matches!(this.at, At::Waiting(..)) {
                ready!(this.poll_share(context));
                continue;
            }
            let frame = match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending if this.is_late(context) => {
                    this.gate.telemetry.refused(Code::DeadlineExceeded);
                    let within = this.gate.bound.within.as_secs();
                    return Poll::Ready(Some(Err(Status::deadline_exceeded(format!(
                        "the batch did not arrive within {within} s (message_s_max): send it again"
                    )))));
                }
                Poll::Pending => return Poll::Pending,
            };
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.sort(data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    // A message that ends before it was reported, let alone skipped.
                    if let At::Skipped(left, ..) = &mut this.at {
                        *left = 0;
                        this.report();
                        continue;
                    }
                    // A prefix that was cut off: hand it on, and tonic reports the broken message.
                    if let At::Prefix(seen) = &mut this.at
                        && !seen.is_empty()
                    {
                        let cut = Bytes::from(std::mem::take(seen));
                        return Poll::Ready(Some(Ok(Frame::data(cut))));
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty()
            && self.inner.is_end_stream()
            && matches!(&self.at, At::Prefix(seen) if seen.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Whether so much time is over, from when it was first asked on or it was last reset.
fn is_over(
    late: &mut Option<Pin<Box<Sleep>>>,
    within: Duration,
    context: &mut Context<'_>,
) -> bool {
    let late = late.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
    late.as_mut().poll(context).is_ready()
}

/// A body of small messages: their bytes are counted, the frames untouched.
struct SmallBody<B> {
    inner: B,
    bytes: usize,
    /// How long all of it may take to arrive.
    within: Option<Duration>,
    late: Option<Pin<Box<Sleep>>>,
}

impl<B> SmallBody<B> {
    fn new(inner: B, within: Option<Duration>) -> Self {
        Self { inner, bytes: 0, within, late: None }
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for SmallBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let within = this.within.filter(|w| is_over(&mut this.late, *w, context));
                return match within.map(|within| within.as_secs()) {
                    None => Poll::Pending,
                    Some(within) => Poll::Ready(Some(Err(Status::deadline_exceeded(format!(
                        "the call did not arrive within {within} s (message_s_max): make it again"
                    ))))),
                };
            }
        };
        if let Some(Ok(frame)) = &frame {
            this.bytes += frame.data_ref().map_or(0, Bytes::len);
            if this.bytes > SMALL_CALL_BYTES_MAX + PREFIX {
                return Poll::Ready(Some(Err(Status::resource_exhausted(format!(
                    "the call has more than {SMALL_CALL_BYTES_MAX} bytes, the most that one \
                     that lodges nothing may have"
                )))));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
