//! A body below tonic's decoder that never lets a message past the bound be read into memory.
//!
//! gRPC puts five bytes before each message: a flag and the length, big endian. Where that length
//! is above the bound, the message is skipped as it comes in, and a short stand-in is handed on in
//! its place, which the service recognises and refuses; so a stream goes on after it. The
//! stand-in starts with 16 random bytes of this process, which no client can know.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};

const PREFIX: usize = 5;
const TOKEN: usize = 16;

/// What the stand-ins of this process look like, and the bound.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    bytes_max: usize,
    token: [u8; TOKEN],
}

impl Bound {
    /// A bound of `bytes_max` bytes a message.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn new(bytes_max: usize) -> Result<Self, getrandom::Error> {
        let mut token = [0; TOKEN];
        getrandom::fill(&mut token)?;
        Ok(Self { bytes_max, token })
    }

    /// Where `message` is a stand-in: the length of the message that was skipped.
    #[must_use]
    pub fn skipped(&self, message: &[u8]) -> Option<u64> {
        let length = message.strip_prefix(&self.token)?;
        Some(u64::from_be_bytes(length.try_into().ok()?))
    }

    fn stand_in(&self, length: u64) -> Bytes {
        let mut frame = vec![0, 0, 0, 0, (TOKEN + 8) as u8];
        frame.extend_from_slice(&self.token);
        frame.extend_from_slice(&length.to_be_bytes());
        Bytes::from(frame)
    }
}

/// Puts [`BoundedBody`] around the body of every request.
#[derive(Debug, Clone, Copy)]
pub struct BoundLayer(pub Bound);

impl<S> Layer<S> for BoundLayer {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded { inner, bound: self.0 }
    }
}

/// See [`BoundLayer`].
#[derive(Debug, Clone)]
pub struct Bounded<S> {
    inner: S,
    bound: Bound,
}

impl<S> Service<http::Request<tonic::body::Body>> for Bounded<S>
where
    S: Service<http::Request<tonic::body::Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> S::Future {
        let bound = self.bound;
        self.inner.call(request.map(|body| tonic::body::Body::new(BoundedBody::new(body, bound))))
    }
}

/// Where in the sequence of messages the next byte is.
#[derive(Debug)]
enum At {
    /// In the five bytes before a message; those already seen.
    Prefix(Vec<u8>),
    /// In a message that is handed on; bytes left.
    Message(usize),
    /// In a message that is skipped; bytes left.
    Skipped(usize),
}

/// A body that skips messages past the bound.
#[derive(Debug)]
pub struct BoundedBody<B> {
    inner: B,
    bound: Bound,
    at: At,
    ready: VecDeque<Bytes>,
}

impl<B> BoundedBody<B> {
    fn new(inner: B, bound: Bound) -> Self {
        Self { inner, bound, at: At::Prefix(Vec::new()), ready: VecDeque::new() }
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
                At::Skipped(left) => {
                    let part = data.len().min(*left);
                    data.advance(part);
                    *left -= part;
                    if *left == 0 {
                        self.at = At::Prefix(Vec::new());
                    }
                }
                At::Prefix(seen) => {
                    let part = data.split_to(data.len().min(PREFIX - seen.len()));
                    seen.extend_from_slice(&part);
                    let &[_, a, b, c, d] = &seen[..] else { continue };
                    let length = u32::from_be_bytes([a, b, c, d]);
                    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
                    if bytes > self.bound.bytes_max {
                        self.ready.push_back(self.bound.stand_in(length.into()));
                        self.at = At::Skipped(bytes);
                    } else {
                        self.ready.push_back(Bytes::from(std::mem::take(seen)));
                        self.at =
                            if bytes == 0 { At::Prefix(Vec::new()) } else { At::Message(bytes) };
                    }
                }
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for BoundedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(part) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.sort(data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn frame(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0][..], &length, message].concat()
    }

    proptest! {
        #[test]
        fn messages_within_the_bound_pass_and_others_are_stood_in_for(
            lengths in prop::collection::vec(0_usize..40, 0..20),
            cuts in prop::collection::vec(1_usize..30, 1..60),
        ) {
            let bound = Bound { bytes_max: 20, token: [7; TOKEN] };
            let messages: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(i, n)| vec![i as u8; *n]).collect();
            let sent: Vec<u8> = messages.iter().flat_map(|m| frame(m)).collect();
            let expected: Vec<u8> = messages
                .iter()
                .flat_map(|m| match m.len() {
                    n if n > 20 => bound.stand_in(n as u64).to_vec(),
                    _ => frame(m),
                })
                .collect();

            let mut body = BoundedBody::new((), bound);
            let (mut rest, mut cuts) = (&sent[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (part, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                body.sort(Bytes::copy_from_slice(part));
                rest = after;
            }
            let passed: Vec<u8> = body.ready.iter().flatten().copied().collect();
            prop_assert_eq!(passed, expected);
        }
    }

    #[test]
    fn a_stand_in_is_known_by_its_token_alone() {
        let bound = Bound::new(20).unwrap();
        let frame = bound.stand_in(9_000_000_000);
        assert_eq!(bound.skipped(&frame[PREFIX..]), Some(9_000_000_000));
        let other = Bound::new(20).unwrap();
        assert_eq!(other.skipped(&frame[PREFIX..]), None);
        assert_eq!(bound.skipped(b"a message"), None);
    }
}
