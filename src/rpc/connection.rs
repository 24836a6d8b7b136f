//! Connections: each has its budget, and there are only so many. The first call of one too many is
//! told so, and the connection closed, so that its client sees a reason and not a reset. With TLS hands
//! are shaken here, beside the accepting of others.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::status;
use super::tls::Tls;
use crate::identity::subject::Subject;
use crate::ingest::budget::ConnectionBudget;
use crate::ingest::refusal::Refusal;
use crate::telemetry::{OpenConnection, Telemetry};

/// How long a client that is turned away may take in all, and to make its first call.
const FAREWELL: Duration = Duration::from_secs(3);
const FIRST_CALL: Duration = Duration::from_secs(1);
/// Clients turned away at once; the connections of more are closed without a word.
const FAREWELLS_MAX: usize = 64;
/// After an accept that failed, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take to say its first 24 bytes: until then it holds a place for nothing.
const PREFACE_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may stay on which no known client has called, where callers must be known: or some who
/// are let do nothing would hold all places.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
/// Lines in the log about handshakes that failed, in ten seconds.
const HANDSHAKES_TOLD_MAX: u32 = 10;
/// Between two lines in the log about connections turned away.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Who is at the other end of a connection, and what it may have in work.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// The subject of the certificate that it showed.
    pub certificate: Option<Arc<Subject>>,
    /// Whether a call of a known client came.
    pub is_known: Arc<AtomicBool>,
    /// What its calls may have in work.
    pub budget: ConnectionBudget,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Does the same with either stream.
macro_rules! with {
    ($stream:expr, $inner:ident => $does:expr) => {
        match $stream {
            Stream::Plain($inner) => $does,
            Stream::Tls($inner) => $does,
        }
    };
}

/// A client's connection, with its place among those there may be.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Peer,
    /// Bytes of the preface still to come, and until when.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    /// Until when a known client must have called, where callers must be known.
    unknown: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

/// A place among the connections there may be, and in the count of those there are.
type Place = (OwnedSemaphorePermit, OpenConnection);

impl Connection {
    fn new(stream: Stream, peer: Peer, place: Place) -> Self {
        let preface = Some((PREFACE.len(), Box::pin(tokio::time::sleep(PREFACE_WITHIN))));
        let is_known = peer.is_known.load(Ordering::Relaxed);
        let unknown = (!is_known).then(|| Box::pin(tokio::time::sleep(KNOWN_WITHIN)));
        Self { stream, peer, preface, unknown, _place: place }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = with!(&mut self.stream, stream => Pin::new(stream).poll_read(context, buffer));
        if let Some((left, late)) = &mut self.preface {
            *left = left.saturating_sub(buffer.filled().len() - before);
            if *left == 0 {
                self.preface = None;
            } else if read.is_pending() && late.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        if read.is_pending()
            && let Some(late) = &mut self.unknown
            && late.as_mut().poll(context).is_ready()
        {
            if !self.peer.is_known.load(Ordering::Relaxed) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.unknown = None;
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        with!(&mut self.stream, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(&mut self.stream, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(&mut self.stream, stream => Pin::new(stream).poll_shutdown(context))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with!(&mut self.stream, stream => Pin::new(stream).poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        with!(&self.stream, stream => stream.is_write_vectored())
    }
}

/// Accepts connections until `stopping` says so, `connections_max` at once, and hands them on, each with
/// its `budget`, once hands are shaken where there is TLS. Gives the listener back.
pub(super) async fn accept(
    listener: TcpListener,
    budget: impl Fn() -> ConnectionBudget,
    (tls, must_be_known): (Option<Tls>, bool),
    telemetry: Telemetry,
    connections_max: u64,
    accepted: mpsc::Sender<io::Result<Connection>>,
    mut stopping: watch::Receiver<bool>,
) -> TcpListener {
    let places = Arc::new(Semaphore::new(usize::try_from(connections_max).unwrap_or(usize::MAX)));
    let farewells = Arc::new(Semaphore::new(FAREWELLS_MAX));
    let (mut handshakes, handshakes_told) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    let (mut turned_away, mut told) = (0_u64, None::<Instant>);
    loop {
        let stream = tokio::select! {
            biased;
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return listener,
            stream = listener.accept() => stream,
        };
        let (stream, address) = match stream {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are whole messages: to hold their last bytes back would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection went as it came");
            continue;
        }
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let place = (place, telemetry.connected());
            let is_known = Arc::new(AtomicBool::new(!must_be_known));
            let budget = budget();
            let peer = Peer { address, certificate: None, is_known, budget };
            match &tls {
                None => {
                    let connection = Connection::new(Stream::Plain(stream), peer, place);
                    if accepted.send(Ok(connection)).await.is_err() {
                        return listener;
                    }
                }
                // It has its place: so there are no more of these tasks than connections.
                Some(tls) => {
                    if handshakes.elapsed() >= TOLD_EVERY {
                        handshakes = Instant::now();
                        handshakes_told.store(0, Ordering::Relaxed);
                    }
                    let (accepted, told) = (accepted.clone(), Arc::clone(&handshakes_told));
                    tokio::spawn(shake_hands(tls.clone(), stream, peer, place, accepted, told));
                }
            }
            continue;
        }
        telemetry.turned_away();
        if let Ok(farewell) = Arc::clone(&farewells).try_acquire_owned() {
            turned_away += 1;
            if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
                tracing::warn!(connections_max, turned_away, "connections too many turned away");
                told = Some(Instant::now());
            }
            let tls = tls.clone();
            tokio::spawn(async move {
                let _farewell = farewell;
                let turned_away = async {
                    match tls {
                        None => turn_away(stream, connections_max).await,
                        Some(tls) => {
                            let (stream, _) = tls.shake_hands(stream).await?;
                            turn_away(stream, connections_max).await
                        }
                    }
                };
                let _ = tokio::time::timeout(FAREWELL, turned_away).await;
            });
        }
    }
}

async fn shake_hands(
    tls: Tls,
    stream: TcpStream,
    peer: Peer,
    place: Place,
    accepted: mpsc::Sender<io::Result<Connection>>,
    told: Arc<AtomicU32>,
) {
    match tls.shake_hands(stream).await {
        Ok((stream, certificate)) => {
            let peer = Peer { certificate, ..peer };
            // Where nobody takes it the server stops.
            let _ = accepted.send(Ok(Connection::new(Stream::Tls(stream), peer, place))).await;
        }
        // One that shows a wrong certificate is of interest; so is one that speaks no TLS. But not each.
        Err(error) if told.fetch_add(1, Ordering::Relaxed) < HANDSHAKES_TOLD_MAX => {
            tracing::info!(address = %peer.address, %error, "no TLS connection");
        }
        Err(_) => {}
    }
}

/// Answers the first call with the reason and ends the connection, in HTTP/2's own words (RFC 9113).
/// A GOAWAY alone would not do: clients take the call for one never looked at, and try again at once,
/// hundreds of times a second, without showing anybody the reason.
async fn turn_away(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connections_max: u64,
) -> io::Result<()> {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const ACK: u8 = 1;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let call = tokio::time::timeout(FIRST_CALL, first_call(&mut stream)).await;
    if let Ok(Ok(Some(call))) = call {
        let reason = Refusal::exhausted(
            format!(
                "the server has {connections_max} connections, the most it takes \
                 (connections_max, memory_max): come back later"
            ),
            1_000,
        );
        let answer = status::of(&reason).into_http::<()>();
        let mut bytes = frame(SETTINGS, ACK, 0, &[]);
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, call, &fields(answer.headers())));
        // All calls up to this one were looked at, and there is no error in the protocol.
        bytes.extend(frame(GOAWAY, 0, 0, &[&call.to_be_bytes()[..], &[0; 4]].concat()));
        stream.write_all(&bytes).await?;
    }
    stream.shutdown().await?;
    // To close with bytes unread would reset the connection, and the reason would be lost.
    let mut unread = [0; 1_024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame: length (3 bytes), type, flags, stream, payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut frame: Vec<u8> = length.iter().skip(1).copied().collect();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Status 200 and these fields as HPACK has them (RFC 7541): each a literal that is not indexed.
fn fields(headers: &http::HeaderMap) -> Vec<u8> {
    const STATUS_200: u8 = 0x88;
    let mut out = vec![STATUS_200];
    for (name, value) in headers {
        out.push(0);
        for text in [name.as_str().as_bytes(), value.as_bytes()] {
            integer(&mut out, text.len());
            out.extend(text);
        }
    }
    out
}

/// A length in seven bits, or past 126 in bytes of seven bits each.
fn integer(out: &mut Vec<u8>, value: usize) {
    let low = |value: usize| u8::try_from(value & 0x7f).unwrap_or(0);
    if value < 127 {
        out.push(low(value));
        return;
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push(low(rest) | 128);
        rest >>= 7;
    }
    out.push(low(rest));
}

/// Reads frames until one begins a call: its stream. `None` where this is no HTTP/2.
async fn first_call(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u32>> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    if preface != *PREFACE {
        return Ok(None);
    }
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await?;
        let [a, b, c, kind, _flags, s, t, u, v] = header;
        let length = u64::from(u32::from_be_bytes([0, a, b, c]));
        tokio::io::copy(&mut (&mut *stream).take(length), &mut tokio::io::sink()).await?;
        if kind == HEADERS {
            return Ok(Some(u32::from_be_bytes([s & 0x7f, t, u, v])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_hpack_has_them() {
        // RFC 7541, 5.1: a prefix of seven bits, then seven bits a byte, the lowest first.
        for (value, bytes) in
            [(10, &[10][..]), (126, &[126]), (127, &[127, 0]), (255, &[127, 128, 1])]
        {
            let mut out = Vec::new();
            integer(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
    }
}
