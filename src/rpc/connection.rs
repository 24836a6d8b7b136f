//! Connections: each has its budget, and there are only so many, and of one address. The first call of one
//! too many is told so, and the connection closed. With TLS hands are shaken here, beside the accepting of
//! others.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::addresses::{Addresses, AtAddress};
use super::farewell::{PREFACE, turn_away};
use super::tls::Tls;
use super::traffic::{Quiet, Traffic};
use crate::audit::log::Log;
use crate::audit::{Event, UNKNOWN};
use crate::identity::subject::Certificate;
use crate::ingest::budget::{Client, ConnectionBudget};
use crate::ingest::refusal::Refusal;
use crate::telemetry::{OpenConnection, Telemetry};

/// How long a client that is turned away may take in all.
const FAREWELL: Duration = Duration::from_secs(3);
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
/// Said of a client that is disconnected for it.
const TAKES_NOTHING: &str = "a client takes no answers: it is disconnected";
/// Between two lines in the log about connections turned away.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Who is at the other end of a connection, and what it may have in work.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// The certificate that it showed.
    pub certificate: Option<Arc<Certificate>>,
    /// Whether a call of a known client came.
    pub is_known: Arc<AtomicBool>,
    /// What its calls may have in work.
    pub budget: ConnectionBudget,
    /// Its calls, and what is on its way out.
    pub(super) traffic: Arc<Traffic>,
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
    /// Whether answers are taken.
    stalled: Quiet,
    /// Since it can be written to no further: until when.
    blocked: Option<Pin<Box<Sleep>>>,
    answer_within: Duration,
    /// Whether calls are made, where they must be.
    idle: Option<Quiet>,
    _place: Place,
}

/// A place among the connections there may be, one among those of its address, and one in the count of those
/// there are.
type Place = (OwnedSemaphorePermit, AtAddress, OpenConnection);

impl Connection {
    fn new(stream: Stream, peer: Peer, place: Place, patience: Patience) -> Self {
        let preface = Some((PREFACE.len(), Box::pin(tokio::time::sleep(PREFACE_WITHIN))));
        let is_known = peer.is_known.load(Ordering::Relaxed);
        let unknown = (!is_known).then(|| Box::pin(tokio::time::sleep(KNOWN_WITHIN)));
        let stalled = Quiet::new(patience.answer_within);
        let idle = patience.call_within.map(Quiet::new);
        Self {
            stream,
            peer,
            preface,
            unknown,
            stalled,
            blocked: None,
            answer_within: patience.answer_within,
            idle,
            _place: place,
        }
    }
}

impl Connection {
    /// What came of writing; an error where nothing could be written for too long. Whoever waits for that reads
    /// nothing meanwhile, so that it is looked at here as well.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.blocked = None;
            return written;
        }
        let within = self.answer_within;
        let late = self.blocked.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        ready!(late.as_mut().poll(context));
        tracing::info!(address = %self.peer.address, "{TAKES_NOTHING}");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.peer.traffic.leave(*bytes);
        }
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
        let Self { stalled, idle, peer: Peer { address, traffic, .. }, .. } = &mut *self;
        if read.is_pending() && stalled.poll(context, || traffic.untaken()).is_ready() {
            tracing::info!(%address, "{TAKES_NOTHING}");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if read.is_pending()
            && let Some(idle) = idle
            && idle.poll(context, || traffic.unused()).is_ready()
        {
            tracing::debug!(%address, "a client makes no calls: it is disconnected");
            // As if it had ended by itself: that is no error.
            return Poll::Ready(Ok(()));
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
        let written =
            with!(&mut self.stream, stream => Pin::new(stream).poll_write(context, bytes));
        self.count(&written);
        self.written(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = with!(&mut self.stream, stream => Pin::new(stream).poll_flush(context));
        self.written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = with!(&mut self.stream, stream => Pin::new(stream).poll_shutdown(context));
        self.written(context, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written =
            with!(&mut self.stream, stream => Pin::new(stream).poll_write_vectored(context, parts));
        self.count(&written);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        with!(&self.stream, stream => stream.is_write_vectored())
    }
}

/// On what terms connections are taken.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// With TLS, where there is any.
    pub(super) tls: Option<Tls>,
    /// A connection on which no known client calls does not stay.
    pub(super) must_be_known: bool,
    /// Nor does one that has others wait for too long.
    pub(super) patience: Patience,
    /// Where it is recorded who showed a certificate that does not count.
    pub(super) audit: Option<Log>,
    /// So many at once.
    pub(super) connections_max: u64,
    /// So many of one address.
    pub(super) address_connections_max: u32,
}

/// For how long a connection may be of no use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// None of the answers that wait for it are taken.
    pub(super) answer_within: Duration,
    /// No call is made on it.
    pub(super) call_within: Option<Duration>,
}

impl Terms {
    /// What one connection too many is told.
    fn too_many(&self, is_of_address: bool) -> Refusal {
        let Self { connections_max, address_connections_max, .. } = self;
        let sentence = if is_of_address {
            format!(
                "your address has {address_connections_max} connections, the most that one may have \
                 (address_connections_max): lodge over those, or come back later"
            )
        } else {
            format!(
                "the server has {connections_max} connections, the most it takes (connections_max, \
                 memory_max): come back later"
            )
        };
        Refusal::exhausted(sentence, 1_000)
    }
}

/// Accepts connections until `stopping` says so, as many as `terms` have, and hands them on, each with
/// its `budget`, once hands are shaken where there is TLS. Gives the listener back.
pub(super) async fn accept(
    listener: TcpListener,
    budget: impl Fn(Client) -> ConnectionBudget,
    terms: Terms,
    telemetry: Telemetry,
    accepted: mpsc::Sender<io::Result<Connection>>,
    mut stopping: watch::Receiver<bool>,
) -> TcpListener {
    let Terms { must_be_known, patience, .. } = terms;
    let audit = terms.audit.clone();
    let most = usize::try_from(terms.connections_max).unwrap_or(usize::MAX);
    let places = Arc::new(Semaphore::new(most));
    let addresses = Addresses::new(terms.address_connections_max);
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
        let at_address = addresses.enter(address.ip());
        let is_of_address = at_address.is_none();
        let place = at_address.zip(Arc::clone(&places).try_acquire_owned().ok());
        if let Some((at_address, place)) = place {
            let place = (place, at_address, telemetry.connected());
            let is_known = Arc::new(AtomicBool::new(!must_be_known));
            let budget = budget(Client::Address(address.ip()));
            let traffic = Arc::default();
            let peer = Peer { address, certificate: None, is_known, budget, traffic };
            match &terms.tls {
                None => {
                    let connection = Connection::new(Stream::Plain(stream), peer, place, patience);
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
                    let connection = move |(stream, certificate)| {
                        let peer = Peer { certificate, ..peer };
                        Connection::new(Stream::Tls(stream), peer, place, patience)
                    };
                    let refusals = (told, audit.clone());
                    let shaken =
                        shake_hands(tls.clone(), (stream, address), connection, accepted, refusals);
                    tokio::spawn(shaken);
                }
            }
            continue;
        }
        telemetry.turned_away();
        if let Ok(farewell) = Arc::clone(&farewells).try_acquire_owned() {
            turned_away += 1;
            if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
                let connections_max = terms.connections_max;
                tracing::warn!(
                    connections_max,
                    is_of_address,
                    %address,
                    turned_away,
                    "connections too many turned away"
                );
                told = Some(Instant::now());
            }
            let (tls, reason) = (terms.tls.clone(), terms.too_many(is_of_address));
            tokio::spawn(async move {
                let _farewell = farewell;
                let turned_away = async {
                    match tls {
                        None => turn_away(stream, &reason).await,
                        Some(tls) => {
                            let (stream, _) = tls.shake_hands(stream).await?;
                            turn_away(stream, &reason).await
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
    (stream, address): (TcpStream, SocketAddr),
    connection: impl FnOnce((Box<TlsStream<TcpStream>>, Option<Arc<Certificate>>)) -> Connection,
    accepted: mpsc::Sender<io::Result<Connection>>,
    (told, audit): (Arc<AtomicU32>, Option<Log>),
) {
    match tls.shake_hands(stream).await {
        Ok(shaken) => {
            // Where nobody takes it the server stops.
            let _ = accepted.send(Ok(connection(shaken))).await;
        }
        // One that shows a wrong certificate is of interest; so is one that speaks no TLS. But not each.
        Err(error) => {
            if told.fetch_add(1, Ordering::Relaxed) < HANDSHAKES_TOLD_MAX {
                tracing::info!(%address, %error, "no TLS connection");
            }
            if let Some(audit) = audit.filter(|_| is_of_certificate(&error)) {
                audit.refused(Event {
                    who: UNKNOWN.into(),
                    shown: String::new(),
                    from: address.to_string(),
                    action: "connect".into(),
                    target: String::new(),
                    denied: error.to_string(),
                });
            }
        }
    }
}

/// Whether hands were not shaken for the certificate that the client showed, or that it showed none.
fn is_of_certificate(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(
        error,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}
