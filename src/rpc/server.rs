//! Everything behind one listener: the two services, health and reflection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use super::access::{Access, AccessError};
use super::agreements::Desk;
use super::closed::Closed;
use super::compliance::{ComplianceOptions, ComplianceService};
use super::connection::{self, Patience, Terms};
use super::framing::{Bound, BoundLayer};
use super::guard::{Guard, GuardLayer};
use super::health::{Health, Served};
use super::lodgement::LodgementService;
use super::operation::{OperationService, Order};
use super::profiles::Office;
use super::samples::Frame;
use super::tls::Tls;
use crate::agreements;
use crate::audit::check::AuditError;
use crate::audit::log::Log;
use crate::audit::{Event, Hash};
use crate::book::StoreError;
use crate::config::{CONNECTION_WINDOW_BYTES, Config, ConfigError, Sizes};
use crate::ingest::engine::Engine;
use crate::ingest::refusal::Refusal;
use crate::profiles;
use crate::proto::server::compliance_server::ComplianceServer;
use crate::proto::server::lodgement_server::LodgementServer;
use crate::proto::server::operation_server::OperationServer;
use crate::samples;
use crate::summary::Board;
use crate::telemetry::Telemetry;

/// Bytes of a call of an operator, which has no fields.
const ORDER_BYTES_MAX: usize = 1 << 10;

/// How long what the server itself records may take.
const RECORD_WITHIN: Duration = Duration::from_secs(5);

/// Why the server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Who is let in cannot be told.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The audit log is damaged, or cannot be written.
    #[error("the audit log: {0}")]
    Audit(#[from] AuditError),
    /// A book is damaged, or cannot be written.
    #[error(transparent)]
    Book(#[from] StoreError),
    /// There is no thread to match profiles.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
    /// Where it listens cannot be told.
    #[error("the address of the listener: {0}")]
    Address(std::io::Error),
    /// A setting is out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A task that should not end has ended.
    #[error("the listener's task: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// Reflection cannot be built of our own descriptors.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("transport: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// What the server answers from: for the page, which asks in this process.
#[derive(Debug, Clone)]
pub struct Services {
    pub(crate) compliance: Arc<ComplianceService>,
    pub(crate) lodgement: Arc<LodgementService>,
    pub(crate) guard: Guard,
}

/// A server that listens, and is told to stop through [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stopping: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<TcpListener>,
    task: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    health: Arc<Health>,
    telemetry: Telemetry,
    sizes: Sizes,
    watcher: tokio::task::AbortHandle,
    drain: Duration,
    board: Board,
    audit: Log,
    tls: Option<Tls>,
    services: Services,
    orders: mpsc::Receiver<Order>,
}

/// Starts to listen, and to serve.
///
/// # Errors
/// See [`ServeError`].
pub async fn listen(config: &Config, engine: Arc<Engine>) -> Result<Running, ServeError> {
    let access = Access::read(config)?;
    let address = config.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;
    serve(listener, config, access, engine).await
}

/// Starts to serve whoever comes to `listener` and is let in.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    listener: TcpListener,
    config: &Config,
    access: Access,
    engine: Arc<Engine>,
) -> Result<Running, ServeError> {
    let audit = Log::open(&config.data_dir)?;
    let agreements = agreements::Store::open(&config.data_dir)?;
    let profiles = profiles::Store::open(&config.data_dir)?;
    let samples = samples::Store::open(&config.data_dir)?;
    let guard = Guard::of(access.register.clone(), audit.clone(), Arc::clone(&engine));
    let address = listener.local_addr().map_err(ServeError::Address)?;
    let (sizes, telemetry) = (config.check()?, engine.telemetry().clone());
    let (stopping, is_stopping) = watch::channel(false);
    let within = Duration::from_secs(config.message_s_max);
    let bound = Bound { bytes_max: engine.bytes_max(), within };

    let settings = Hash::of(format!("{config:?}").as_bytes());
    let version = env!("CARGO_PKG_VERSION");
    let mut what = vec![format!("waag {version}"), format!("settings {settings}")];
    what.extend(access.hashes());
    let started = Event::of_server("start", what.join(", "));
    audit.record(started).await.map_err(|error| AuditError::Io {
        path: config.data_dir.join(crate::audit::FOLDER),
        source: std::io::Error::other(error),
    })?;
    let (health, health_service) = Health::new(telemetry.clone());
    let served = Served::now(&engine, config.clock_behind_s_max).await;
    health.say(served).await;
    let health = Arc::new(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let lodgement = LodgementService::new(
        Arc::clone(&engine),
        guard.clone(),
        usize::try_from(config.answer_bytes_max.0).unwrap_or(usize::MAX),
        config.stream_batches_in_flight_max,
        is_stopping.clone(),
    );
    let of = Arc::clone(&engine);
    let now = move || of.calendar().when(of.clock().admit());
    let desk = Desk::new(agreements, now.clone());
    let (archive, owner) = (engine.archive().clone(), config.algorithms_owner.clone());
    let frame = Frame::new(samples, archive.clone(), now.clone());
    let office = Office::open(profiles, archive, owner, now).map_err(ServeError::Thread)?;
    let compliance = Arc::new(ComplianceService::new(
        (engine.board().clone(), engine.findings().cloned()),
        guard.clone(),
        (desk, office, frame),
        &ComplianceOptions::of(config),
    ));
    let (operation, orders) = OperationService::new(Arc::clone(&engine), guard.clone(), config);
    let lodgement = Arc::new(lodgement);
    let services = Services {
        compliance: Arc::clone(&compliance),
        lodgement: Arc::clone(&lodgement),
        guard: guard.clone(),
    };
    // It is 1 MiB at most.
    let header_bytes_max = u32::try_from(config.header_bytes_max.0).unwrap_or(u32::MAX);
    // One stream may fill the connection's window: there is often just one.
    let server = Server::builder()
        .initial_stream_window_size(CONNECTION_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(sizes.connection_streams_max)
        .http2_max_header_list_size(header_bytes_max)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .layer(GuardLayer(guard.clone()))
        .layer(BoundLayer::new(bound, engine.budget(), telemetry.clone()))
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(
            LodgementServer::from_arc(lodgement).max_decoding_message_size(engine.bytes_max()),
        )
        .add_service(ComplianceServer::from_arc(compliance))
        .add_service(OperationServer::new(operation).max_decoding_message_size(ORDER_BYTES_MAX));
    let (mut until, accepting) = (is_stopping.clone(), is_stopping);
    let shutdown = async move {
        let _ = until.wait_for(|is_stopping| *is_stopping).await;
    };
    let (accepted, incoming) = mpsc::channel(1);
    let of = Arc::clone(&engine);
    let terms = Terms {
        tls: access.tls.clone(),
        must_be_known: !guard.is_open(),
        patience: Patience {
            answer_within: Duration::from_secs(config.answer_s_max),
            call_within: Some(Duration::from_secs(config.connection_idle_s_max)),
        },
        audit: (!guard.is_open()).then(|| audit.clone()),
        address_connections_max: sizes.address_connections_max,
        connections_max: engine.connections_max(),
    };
    let accepting = tokio::spawn(connection::accept(
        listener,
        move |client| of.budget().connection(client),
        terms,
        telemetry.clone(),
        accepted,
        accepting,
    ));
    let incoming = ReceiverStream::new(incoming);
    let task = tokio::spawn(server.serve_with_incoming_shutdown(incoming, shutdown));
    let board = engine.board().clone();
    let following = Arc::clone(&health).follow(engine, config.clock_behind_s_max, served);
    let tls = access.tls.clone();
    let keeping_up = access.keep_up(audit.clone());
    let watcher = tokio::spawn(async { tokio::join!(following, keeping_up) }).abort_handle();
    let drain = Duration::from_secs(config.drain_s_max);
    Ok(Running {
        address,
        stopping,
        accepting,
        task,
        health,
        telemetry,
        sizes,
        watcher,
        drain,
        board,
        audit,
        tls,
        services,
        orders,
    })
}

impl Running {
    /// What it answers from.
    #[must_use]
    pub fn services(&self) -> Services {
        self.services.clone()
    }

    /// What an operator wants done next.
    pub async fn order(&mut self) -> Order {
        // The service that gives them is there as long as the server is.
        match self.orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }

    /// Records what was changed while it runs.
    pub async fn record(&self, action: &str, target: String) {
        let recorded = self.audit.record(Event::of_server(action, target));
        // A disk that hangs must not keep a server from stopping.
        if !matches!(tokio::time::timeout(RECORD_WITHIN, recorded).await, Ok(Ok(()))) {
            tracing::error!(action, "not recorded in the audit log");
        }
    }

    /// Says NOT_SERVING, reads no more, lets what is in work finish, at most for the time that the
    /// settings give. Whoever connects meanwhile is told so.
    pub async fn stop(mut self) {
        // Whoever waits for an order is told that it is not carried out, instead of holding up the stop.
        self.orders.close();
        while self.orders.try_recv().is_ok() {}
        // Or it might say SERVING again.
        self.watcher.abort();
        self.health.say(Served::NOTHING).await;
        self.stopping.send_replace(true);
        self.board.stop();
        self.record("stop", String::new()).await;
        let closed = match self.accepting.await {
            Ok(listener) => {
                Closed::on(listener, &self.sizes, Refusal::stopping(), self.tls, self.telemetry)
                    .await
            }
            Err(error) => Err(error.into()),
        };
        self.health.end().await;
        let mut task = self.task;
        match tokio::time::timeout(self.drain, &mut task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "transport"),
            Ok(Err(error)) => tracing::error!(%error, "the listener's task"),
            Err(_) => {
                tracing::warn!("some calls did not end in time and were cut off");
                task.abort();
            }
        }
        let ended = match closed {
            Ok(closed) => closed.end().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::error!(%error, "those who connected during the stop were told nothing");
        }
    }
}
