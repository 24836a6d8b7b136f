//! The page over HTTP/1.1, on a listener of its own; over TLS where the server has it.
//!
//! | bound | |
//! |---|---|
//! | connections at once | [`CONNECTIONS_MAX`], of them [`ADDRESS_CONNECTIONS_MAX`] of one address that is not loopback; one more is closed |
//! | bytes of a request's head | [`HEAD_BYTES_MAX`], [`HEADERS_MAX`] headers |
//! | time for the head, and for a handshake before it | [`HEAD_WITHIN`] |
//! | time for all, until the answer has left | [`WITHIN`] |
//!
//! A connection serves one request, whose body is not read. Reads of summaries have the bounds of the gRPC
//! service as well (`summary_reads_max`), until their answer has left. An answer has 4 MB at most, most have a
//! hundredth of it: of 32 connections and 8 reads some 40 MB at most.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::page::{Answer, file, plain};
use super::{Desk, api};
use crate::rpc::addresses::Addresses;
use crate::rpc::tls::Tls;

/// Connections at once: a browser makes six, some of them ahead.
pub const CONNECTIONS_MAX: usize = 32;
/// Connections of one address, so that none shuts out the others. Behind loopback is who proxies for all.
pub const ADDRESS_CONNECTIONS_MAX: u32 = 12;
/// Between two lines in the log about connections that were closed for being too many.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// Bytes of the head of a request.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers of a request: a browser sends some 15.
pub const HEADERS_MAX: usize = 64;
/// How long a client may take to send the head of its request.
pub const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection lasts at most: as long as the slowest read.
pub const WITHIN: Duration = Duration::from_secs(60);
/// After an accept that failed, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where the page is; until this is dropped.
#[derive(Debug)]
pub struct Listening {
    /// Where it listens.
    pub address: SocketAddr,
    scheme: &'static str,
    accepting: tokio::task::AbortHandle,
}

impl Listening {
    /// What to open in a browser.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme, self.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Listens on `address`.
///
/// # Errors
/// Where the address cannot be had.
pub async fn listen(
    address: SocketAddr,
    tls: Option<Tls>,
    desk: Arc<Desk>,
) -> io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let accepting = tokio::spawn(accept(listener, tls, desk)).abort_handle();
    Ok(Listening { address, scheme, accepting })
}

async fn accept(listener: TcpListener, tls: Option<Tls>, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let addresses = Addresses::new(ADDRESS_CONNECTIONS_MAX);
    let mut told = None::<Instant>;
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection for the page could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = Arc::clone(&places).try_acquire_owned().ok();
        let is_loopback = from.ip().to_canonical().is_loopback();
        let at_address = if is_loopback { None } else { addresses.enter(from.ip()) };
        let Some(place) = place.filter(|_| is_loopback || at_address.is_some()) else {
            // It is closed as it is dropped.
            if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
                told = Some(Instant::now());
                tracing::warn!(%from, "connections too many for the page are closed");
            }
            continue;
        };
        let served = serve(stream, tls.clone(), from, Arc::clone(&desk), Arc::new(place));
        tokio::spawn(async move {
            let _at_address = at_address;
            if let Ok(Err(error)) = tokio::time::timeout(WITHIN, served).await {
                tracing::debug!(%error, "a connection for the page");
            }
        });
    }
}

/// A connection's place; whoever still works for one that has gone keeps it.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

async fn serve(
    stream: TcpStream,
    tls: Option<Tls>,
    from: SocketAddr,
    desk: Arc<Desk>,
    place: Place,
) -> io::Result<()> {
    let bound = stream.local_addr()?;
    let ends = Ends { from, bound };
    match tls {
        None => speak(stream, ends, desk, place).await,
        Some(tls) => speak(tls.shake_hands_for_page(stream).await?, ends, desk, place).await,
    }
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
struct Ends {
    from: SocketAddr,
    bound: SocketAddr,
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    ends: Ends,
    desk: Arc<Desk>,
    place: Place,
) -> io::Result<()> {
    let answer =
        service_fn(move |request| answer(request, ends, Arc::clone(&desk), Arc::clone(&place)));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await
        .map_err(io::Error::other)
}

async fn answer(
    request: Request<Incoming>,
    ends: Ends,
    desk: Arc<Desk>,
    place: Place,
) -> Result<Answer, Infallible> {
    if !desk.hosts.know(request.headers(), ends.bound) {
        let told = "this server is not known by that name: see [web] hosts in its settings\n";
        return Ok(plain(StatusCode::MISDIRECTED_REQUEST, told));
    }
    if request.method() != Method::GET {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n"));
    }
    let path = request.uri().path();
    if let Some(path) = path.strip_prefix("/api/") {
        return Ok(api::answer(path, &request, ends.from, &desk, place).await);
    }
    Ok(file(path).unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "the page is at /\n")))
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
