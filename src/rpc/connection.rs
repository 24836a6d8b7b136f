//! Connections: each has its budget, and there are only so many. One too many is told so in HTTP/2's
//! own words and closed, so that its client sees a reason and not a reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tonic::transport::server::Connected;

use crate::ingest::budget::ConnectionBudget;
use crate::ingest::engine::Engine;

/// How long a client that is turned away may take in all, and to make its first call.
const FAREWELL: Duration = Duration::from_secs(3);
const FIRST_CALL: Duration = Duration::from_secs(1);
/// Clients turned away at once; the connections of more are closed without a word.
const FAREWELLS_MAX: usize = 64;
/// After an accept that failed, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A client's connection, with its place among those there may be.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    budget: ConnectionBudget,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = ConnectionBudget;

    fn connect_info(&self) -> ConnectionBudget {
        self.budget.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Accepts connections until `stopping` says so, `connections_max` at once, and hands them on.
pub(super) async fn accept(
    listener: TcpListener,
    engine: Arc<Engine>,
    connections_max: u64,
    accepted: mpsc::Sender<io::Result<Connection>>,
    mut stopping: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(usize::try_from(connections_max).unwrap_or(usize::MAX)));
    let farewells = Arc::new(Semaphore::new(FAREWELLS_MAX));
    loop {
        let stream = tokio::select! {
            biased;
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
            stream = listener.accept() => stream,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
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
            let budget = engine.budget().connection();
            if accepted.send(Ok(Connection { stream, budget, _place: place })).await.is_err() {
                return;
            }
        } else if let Ok(farewell) = Arc::clone(&farewells).try_acquire_owned() {
            tracing::warn!(connections_max, "a connection too many was turned away");
            tokio::spawn(async move {
                let _farewell = farewell;
                let _ = tokio::time::timeout(FAREWELL, turn_away(stream, connections_max)).await;
            });
        }
    }
}

/// Says why, as the end of an HTTP/2 connection (RFC 9113, 6.5 and 6.8): an empty SETTINGS frame and,
/// once there is a call to be told about it, GOAWAY with ENHANCE_YOUR_CALM and the reason. Clients
/// show that reason for the calls under way; one that came before the first call would be lost.
async fn turn_away(mut stream: TcpStream, connections_max: u64) -> io::Result<()> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 0xb];
    stream.write_all(&SETTINGS).await?;
    if let Ok(called) = tokio::time::timeout(FIRST_CALL, first_call(&mut stream)).await {
        called?;
    }
    let reason = format!(
        "connections_max: the server has {connections_max} connections, the most it takes; \
         come back in 1 s"
    );
    let length = u32::try_from(8 + reason.len()).unwrap_or(8).to_be_bytes();
    let mut bytes: Vec<u8> = length.iter().skip(1).copied().collect();
    bytes.extend([GOAWAY, 0, 0, 0, 0, 0]);
    // No stream of this connection was looked at: all may be tried again.
    bytes.extend([0; 4]);
    bytes.extend(ENHANCE_YOUR_CALM);
    bytes.extend(reason.bytes());
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    // To close with bytes unread would reset the connection, and the reason would be lost.
    let mut unread = [0; 1_024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// Reads frames until one begins a call, or anything that is no HTTP/2.
async fn first_call(stream: &mut TcpStream) -> io::Result<()> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const HEADERS: u8 = 1;
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    while preface == PREFACE {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await?;
        let [a, b, c, kind, ..] = header;
        let length = u64::from(u32::from_be_bytes([0, a, b, c]));
        tokio::io::copy(&mut (&mut *stream).take(length), &mut tokio::io::sink()).await?;
        if kind == HEADERS {
            break;
        }
    }
    Ok(())
}
