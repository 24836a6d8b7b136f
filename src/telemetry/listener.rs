//! `GET /metrics` over HTTP/1.1, on a listener of its own.
//!
//! | bound | |
//! |---|---|
//! | connections at once | [`CONNECTIONS_MAX`]; one more is closed |
//! | bytes of a request's head | [`HEAD_BYTES_MAX`], [`HEADERS_MAX`] headers |
//! | time for the head | [`HEAD_WITHIN`] |
//! | time for all, until the answer has left | [`WITHIN`] |
//!
//! A connection serves one request, whose body is not read, and has its place until its answer has left and
//! is written down no more. An answer takes up to 4.4 KB for each declarant and some 10 KB: 18 MB at most for
//! 1,000 of them and all connections.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::exposition::CONTENT_TYPE;
use super::scrape::Scrape;

/// Connections at once: a Prometheus or two, and somebody who looks.
pub const CONNECTIONS_MAX: usize = 4;
/// Bytes of the head of a request.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
pub const HEADERS_MAX: usize = 64;
/// How long a client may take to send the head of its request.
pub const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection lasts at most: what Prometheus waits for by default.
pub const WITHIN: Duration = Duration::from_secs(10);
/// After an accept that failed, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where figures are asked for; until this is dropped.
#[derive(Debug)]
pub struct Listening {
    /// Where it listens.
    pub address: SocketAddr,
    accepting: tokio::task::AbortHandle,
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
pub async fn listen(address: SocketAddr, scrape: Arc<Scrape>) -> io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let accepting = tokio::spawn(accept(listener, scrape)).abort_handle();
    Ok(Listening { address, accepting })
}

async fn accept(listener: TcpListener, scrape: Arc<Scrape>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // One too many is closed as it is dropped.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let scrape = Arc::clone(&scrape);
        let served = serve(stream, scrape, Arc::new(place));
        tokio::spawn(async {
            if let Ok(Err(error)) = tokio::time::timeout(WITHIN, served).await {
                tracing::debug!(%error, "a connection for metrics");
            }
        });
    }
}

/// A connection's place; whoever still works for one that has gone keeps it.
type Place = Arc<OwnedSemaphorePermit>;

async fn serve(stream: TcpStream, scrape: Arc<Scrape>, place: Place) -> hyper::Result<()> {
    let bound = stream.local_addr().ok();
    let answer =
        service_fn(move |request| answer(request, bound, Arc::clone(&scrape), Arc::clone(&place)));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

/// Whether a page elsewhere may have sent it, which had a name of its own lead to this machine (DNS rebinding):
/// what a browser then sends as `Host` is that name. Beyond loopback nobody knows what this server is called.
fn is_misled(headers: &HeaderMap, bound: Option<SocketAddr>) -> bool {
    let is_local = bound.is_some_and(|bound| bound.ip().is_loopback());
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let authority = host.parse::<Authority>().ok();
    let name = authority.as_ref().map_or("", |authority| authority.host());
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_local && !is_here
}

async fn answer(
    request: Request<Incoming>,
    bound: Option<SocketAddr>,
    scrape: Arc<Scrape>,
    place: Place,
) -> Result<Response<String>, Infallible> {
    if is_misled(request.headers(), bound) {
        let told = "these figures are for this machine: ask for them at 127.0.0.1 or localhost\n";
        return Ok(plain(StatusCode::MISDIRECTED_REQUEST, told));
    }
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => figures(scrape, place).await,
        (_, "/metrics") => plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n"),
        _ => plain(StatusCode::NOT_FOUND, "figures are at /metrics\n"),
    })
}

async fn figures(scrape: Arc<Scrape>, place: Place) -> Response<String> {
    // Files are read, and locks waited for.
    let read = tokio::task::spawn_blocking(move || {
        let _place = place;
        scrape.text()
    });
    match read.await {
        Ok(Ok(text)) => with_type(StatusCode::OK, CONTENT_TYPE, text),
        _ => plain(StatusCode::INTERNAL_SERVER_ERROR, "the figures could not be written down\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    with_type(status, "text/plain; charset=utf-8", text.to_owned())
}

fn with_type(status: StatusCode, content_type: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let value = header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
