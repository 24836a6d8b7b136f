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
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use crate::config::Sizes;
    use crate::ingest::refusal::RefusalKind;
    use proptest::prelude::*;

    fn frame(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0][..], &length, message].concat()
    }

    fn budget(batches: u64) -> Budget {
        let sizes = Sizes {
            index: crate::index::Memory { bytes: 0, slots_min: 0 },
            bytes_in_flight_max: 1 << 30,
            batches_in_flight_max: 4 * batches,
            connections_max: 1,
            address_connections_max: 1,
            connection_streams_max: 1,
            lookups_in_flight_max: 1,
        };
        Budget::new(&sizes, 20, Duration::from_secs(5))
    }

    const BOUND: Bound = Bound { bytes_max: 20, within: Duration::from_secs(60) };

    fn body<B>(inner: B, budget: &Budget) -> (BatchBody<B>, Ledger) {
        let ledger = Ledger::default();
        let gate = Gate {
            bound: BOUND,
            budget: budget.connection(Client::NOWHERE),
            ledger: ledger.clone(),
            telemetry: Telemetry::default(),
        };
        (BatchBody::new(inner, gate, false), ledger)
    }

    proptest! {
        #[test]
        fn messages_within_the_bound_pass_and_others_are_stood_in_for(
            lengths in prop::collection::vec(prop_oneof![0_usize..40, 300..1_000_usize], 0..20),
            cuts in prop::collection::vec(1_usize..30, 1..60),
        ) {
            // Each begins as a batch_id of its own, where it has the bytes for it.
            let message = |(i, n): (usize, &usize)| {
                let id = format!("\n\u{1}{}", char::from(b'a' + i as u8));
                let mut bytes = id.into_bytes();
                bytes.resize(*n, i as u8);
                bytes
            };
            let messages: Vec<Vec<u8>> = lengths.iter().enumerate().map(message).collect();
            let sent: Vec<u8> = messages.iter().flat_map(|m| frame(m)).collect();
            let expected: Vec<u8> = messages
                .iter()
                .flat_map(|m| match m.len() {
                    n if n > 20 => STAND_IN.to_vec(),
                    _ => frame(m),
                })
                .collect();

            let (mut body, ledger) = body((), &budget(100));
            let (mut rest, mut cuts) = (&sent[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (part, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                body.sort(Bytes::copy_from_slice(part));
                rest = after;
            }
            let passed: Vec<u8> = body.ready.iter().flatten().copied().collect();
            prop_assert_eq!(passed, expected);
            for message in &messages {
                let share = ledger.next();
                prop_assert_eq!(share.is_ok(), message.len() <= 20);
                if let Err(skipped) = share {
                    prop_assert!(skipped.refusal.message.contains(&message.len().to_string()));
                    prop_assert_eq!(skipped.batch_id, reader::batch_id(message));
                }
            }
        }
    }

    /// A body whose frames a test sends one by one.
    struct Sent(tokio::sync::mpsc::UnboundedReceiver<Bytes>);

    impl Body for Sent {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.poll_recv(context).map(|part| part.map(|part| Ok(Frame::data(part))))
        }
    }

    async fn next(body: &mut BatchBody<Sent>) -> Option<Result<Bytes, Status>> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
    }

    async fn message(body: &mut BatchBody<Sent>) -> Bytes {
        assert_eq!(next(body).await.unwrap().unwrap().len(), PREFIX);
        next(body).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_waits_for_its_share_and_is_skipped_where_it_waits_too_long() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let (mut body, ledger) = body(Sent(receiver), &budget(1));
        for text in [&b"one"[..], b"two", b"three", b"four"] {
            sender.send(frame(text).into()).unwrap();
        }
        drop(sender);
        assert_eq!(&message(&mut body).await[..], b"one");
        let first = ledger.next().unwrap();
        // The second waits for as long as the first has its share.
        tokio::select! {
            biased;
            _ = next(&mut body) => panic!("it has no share"),
            () = tokio::time::sleep(Duration::from_secs(4)) => {}
        }
        drop(first);
        assert_eq!(&message(&mut body).await[..], b"two");
        let second = ledger.next().unwrap();
        // The third waits in vain.
        assert_eq!(next(&mut body).await.unwrap().unwrap(), STAND_IN);
        let refusal = ledger.next().unwrap_err().refusal;
        assert_eq!((refusal.kind, refusal.retry_after_ms), (RefusalKind::Exhausted, 1_000));
        drop(second);
        assert_eq!(&message(&mut body).await[..], b"four");
        assert!(ledger.next().is_ok());
        assert!(next(&mut body).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_arrive_ends_the_call_and_an_idle_stream_does_not() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let (mut body, _ledger) = body(Sent(receiver), &budget(3));
        sender.send(frame(b"one").into()).unwrap();
        assert_eq!(&message(&mut body).await[..], b"one");
        tokio::select! {
            biased;
            _ = next(&mut body) => panic!("nothing was sent"),
            () = tokio::time::sleep(Duration::from_secs(600)) => {}
        }
        let two = frame(b"two");
        sender.send(Bytes::copy_from_slice(&two[..PREFIX + 1])).unwrap();
        assert_eq!(&message(&mut body).await[..], b"t");
        let began = tokio::time::Instant::now();
        let status = next(&mut body).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(body.gate.telemetry.refusals(Code::DeadlineExceeded), 1);
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_one_message_ends_where_that_does_not_begin_or_the_call_does_not_end() {
        for sent in [&b""[..], b"\0\0", &frame(b"one")] {
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            let (mut body, _ledger) = body(Sent(receiver), &budget(3));
            body.is_one = true;
            sender.send(Bytes::copy_from_slice(sent)).unwrap();
            let began = tokio::time::Instant::now();
            if sent.len() > PREFIX {
                assert_eq!(&message(&mut body).await[..], b"one");
            }
            let status = next(&mut body).await.unwrap().unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{sent:?}");
            assert!(status.message().contains("message_s_max"), "{status:?}");
            assert_eq!(began.elapsed().as_secs(), 60);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_stream_what_has_begun_must_arrive_though_it_is_skipped() {
        let long = frame(&[b'x'; 1_000]);
        for begun in [1, PREFIX - 1, PREFIX, PREFIX + 1, PREFIX + 999] {
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            let (mut body, _ledger) = body(Sent(receiver), &budget(3));
            // It may rest before.
            tokio::select! {
                biased;
                _ = next(&mut body) => panic!("nothing was sent"),
                () = tokio::time::sleep(Duration::from_secs(600)) => {}
            }
            sender.send(Bytes::copy_from_slice(&long[..begun])).unwrap();
            let began = tokio::time::Instant::now();
            let status = loop {
                match next(&mut body).await.unwrap() {
                    Ok(part) => assert_eq!(part, STAND_IN),
                    Err(status) => break status,
                }
            };
            assert_eq!(status.code(), Code::DeadlineExceeded, "{begun}");
            assert_eq!(began.elapsed().as_secs(), 60, "{begun}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_call_that_does_not_arrive_ends_unless_it_may_go_on_asking() {
        let within = Duration::from_secs(60);
        for (of, must_end) in [(Some(within), true), (None, false)] {
            let (_sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            let mut body = SmallBody::new(Sent(receiver), of);
            let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            let ended = tokio::time::timeout(Duration::from_secs(600), frame).await;
            assert_eq!(ended.is_ok(), must_end);
            if let Ok(Some(Err(status))) = ended {
                assert_eq!(status.code(), Code::DeadlineExceeded);
            }
        }
    }
}
