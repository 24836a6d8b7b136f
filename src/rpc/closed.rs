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
use super::connection::{self, Patience, Terms};
use super::health::{Health, Served};
use super::server::ServeError;
use super::status;
use super::tls::Tls;
use crate::config::{Config, Sizes};
use crate::ingest::budget::Budget;
use crate::ingest::refusal::Refusal;
use crate::telemetry::Telemetry;

/// Calls of one connection at once: health is asked by one or two.
const CONNECTION_STREAMS_MAX: u32 = 16;
/// How long a connection may take to end once it is told to.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a client may take no answer, of a line each.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
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
            // Health may be watched for as long as it is closed.
            patience: Patience { answer_within: ANSWER_WITHIN, call_within: None },
            connections_max: sizes.connections_max,
            address_connections_max: sizes.address_connections_max,
        };
        let accepting = tokio::spawn(connection::accept(
            listener,
            move || budget.connection(),
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
        // Whoever does not go by then may stay, and is served nothing.
        let _ = tokio::time::timeout(FAREWELL, self.serving).await;
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

    fn call(&mut self, request: http::Request<HttpBody>) -> Self::Future {
        if request.uri().path().starts_with(HEALTH) {
            return Box::pin(self.inner.call(request));
        }
        let answer = status::of(&self.refusal).into_http();
        Box::pin(async move { Ok(answer) })
    }
}
