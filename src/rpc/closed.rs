//! The listener while nothing is served: before recovery has ended, and while the server drains.
//!
//! Health says NOT_SERVING to whoever asks or watches, and any other call is refused with UNAVAILABLE
//! and the time to come back. Without it a client would wait for a connection that nobody accepts, and
//! could not tell a server that recovers from one that hangs.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tower::{Layer, Service};

use super::access::Access;
use super::connection::{self, Patience, Peer, Terms};
use super::health::{Health, Served};
use super::server::ServeError;
use super::status;
use super::tls::Tls;
use super::traffic::CallBody;
use crate::config::{Config, Sizes};
use crate::ingest::budget::Budget;
use crate::ingest::refusal::Refusal;
use crate::telemetry::Telemetry;

/// Calls of one connection at once: health is asked by one or two.
const CONNECTION_STREAMS_MAX: u32 = 16;
/// How long a connection may take to end once it is told to.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a client may take no answer, of a line each.
const ANSWER_WITHIN: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Paths of the calls that are answered.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// A listener on which nothing is served.
#[derive(Debug)]
pub struct Closed {
    /// Where it listens.
    pub address: SocketAddr,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<TcpListener>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    health: Health,
}

impl Closed {
    /// Listens for a server that recovers.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn recovering(
        config: &Config,
        access: &Access,
        telemetry: Telemetry,
    ) -> Result<Self, ServeError> {
        let address = config.listen;
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let refusal = Refusal::unavailable("the server is recovering: come back later", 1_000);
        Self::on(listener, &config.check()?, refusal, access.tls.clone(), telemetry).await
    }

    /// Refuses all that comes to `listener` with `refusal`.
    pub(super) async fn on(
        listener: TcpListener,
        sizes: &Sizes,
        refusal: Refusal,
        tls: Option<Tls>,
        telemetry: Telemetry,
    ) -> Result<Self, ServeError> {
        let address = listener.local_addr().map_err(ServeError::Address)?;
        let (health, service) = Health::new(telemetry.clone());
        health.say(Served::NOTHING).await;
        let (stopping, is_stopping) = watch::channel(false);
        let (accepted, incoming) = mpsc::channel(1);
        // Nothing is taken from it: no batch is read.
        let budget = Budget::new(sizes, 0, Duration::ZERO);
        let terms = Terms {
            tls,
            // Nobody is asked who they are: they are told nothing but that.
            must_be_known: false,
            audit: None,
            // Health may be watched for as long as it is closed.
            patience: Patience { answer_within: ANSWER_WITHIN, call_within: None },
            connections_max: sizes.connections_max,
            address_connections_max: sizes.address_connections_max,
        };
        let accepting = tokio::spawn(connection::accept(
            listener,
            move |client| budget.connection(client),
            terms,
            telemetry,
            accepted,
            is_stopping.clone(),
        ));
        let mut until = is_stopping;
        let shutdown = async move {
            let _ = until.wait_for(|is_stopping| *is_stopping).await;
        };
        let server = Server::builder()
            .max_concurrent_streams(CONNECTION_STREAMS_MAX)
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .layer(Refusing(Arc::new(refusal)))
            .add_service(service)
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), shutdown);
        let serving = tokio::spawn(server);
        Ok(Self { address, stopping, accepting, serving, health })
    }

    /// Ends it, and gives the listener back.
    ///
    /// # Errors
    /// [`ServeError::Task`].
    pub async fn end(self) -> Result<TcpListener, ServeError> {
        self.stopping.send_replace(true);
        let listener = self.accepting.await?;
        self.health.end().await;
        let mut serving = self.serving;
        if tokio::time::timeout(FAREWELL, &mut serving).await.is_err() {
            // Nothing waits for who does not go by then: it is served nothing, and given up once it has taken
            // nothing for too long.
            serving.abort();
        }
        Ok(listener)
    }
}

/// Refuses all calls but those of health.
#[derive(Debug, Clone)]
struct Refusing(Arc<Refusal>);

#[derive(Debug, Clone)]
struct Refused<S> {
    inner: S,
    refusal: Arc<Refusal>,
}

impl<S> Layer<S> for Refusing {
    type Service = Refused<S>;

    fn layer(&self, inner: S) -> Refused<S> {
        Refused { inner, refusal: Arc::clone(&self.0) }
    }
}

type HttpBody = tonic::body::Body;

impl<S> Service<http::Request<HttpBody>> for Refused<S>
where
    S: Service<http::Request<HttpBody>, Response = http::Response<HttpBody>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<HttpBody>) -> Self::Future {
        let peer = request.extensions_mut().remove::<Peer>();
        let call = peer.map(|peer| peer.traffic.call_begins());
        let until_it_ends = |answer: http::Response<HttpBody>| match call {
            Some(call) => answer.map(|body| HttpBody::new(CallBody::of(body, call))),
            None => answer,
        };
        if request.uri().path().starts_with(HEALTH) {
            let answer = self.inner.call(request);
            return Box::pin(async move { Ok(until_it_ends(answer.await?)) });
        }
        let answer = status::of(&self.refusal).into_http();
        Box::pin(async move { Ok(until_it_ends(answer)) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;

    /// Past this, what is waited for will not come: before the first ping, which nobody would answer.
    const HANGS_AFTER: Duration = Duration::from_secs(25);

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// A client that asks to watch health, and has room for one byte of the answer.
    async fn slow(address: SocketAddr) -> TcpStream {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        // HPACK: POST and http by their numbers; path, authority, content-type and te as literals.
        let fields = [
            vec![0x83, 0x86, 0x04],
            text("/grpc.health.v1.Health/Watch"),
            vec![0x01],
            text("waag"),
            vec![0x0f, 0x10],
            text("application/grpc"),
            vec![0x00],
            text("te"),
            text("trailers"),
        ];
        let sent = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, 0, &[0, 4, 0, 0, 0, 1]),
            frame(1, 4, 1, &fields.concat()),
            frame(0, 1, 1, &[0; 5]),
        ];
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&sent.concat()).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn a_client_that_takes_no_answers_is_disconnected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sizes = Config::default().check().unwrap();
        let closed =
            Closed::on(listener, &sizes, Refusal::stopping(), None, Telemetry::default()).await;
        let closed = closed.unwrap();
        let endpoint = tonic::transport::Channel::from_shared(format!("http://{address}"));
        let mut other = HealthClient::new(endpoint.unwrap().connect().await.unwrap());
        let request = HealthCheckRequest::default();
        let mut taken = other.watch(request.clone()).await.unwrap().into_inner();
        taken.message().await.unwrap().unwrap();

        let mut slow = slow(address).await;
        let mut bytes = [0; 1_024];
        // An error or an end, either will do.
        let ended = async { while slow.read(&mut bytes).await.is_ok_and(|bytes| bytes > 0) {} };
        tokio::time::timeout(HANGS_AFTER, ended).await.unwrap();
        // Whoever takes theirs stays.
        other.check(request).await.unwrap();
        assert!(is_pending_still(taken.message()).await, "its watch goes on");
        closed.end().await.unwrap();
    }

    async fn is_pending_still(future: impl Future) -> bool {
        let mut future = Box::pin(future);
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending()))
            .await
    }
}
