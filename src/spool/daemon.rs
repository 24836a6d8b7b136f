//! The spool from start to stop.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use super::forward::forward;
use super::lodgement::LodgementService;
use super::reach::Reach;
use super::receipt::hex;
use super::service::SpoolService;
use super::store::{Bounds, Store, StoreError};
use crate::client::Server;
use crate::disk::LocalDisk;
use crate::ingest::clock::Clock;
use crate::proto::server::lodgement_server::LodgementServer;
use crate::proto::server::spool_server::SpoolServer;

/// Calls of one connection at once: each may hold a batch.
const CONNECTION_CALLS_MAX: u32 = 64;
/// A stream's window; a batch has 16 MiB.
const WINDOW_BYTES: u32 = 8 << 20;
/// How long calls under way may take once the spool is to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Between two looks at rates, and at what may go.
const TICK: Duration = Duration::from_secs(1);
/// Rates are over so many ticks.
const TICKS: usize = 10;
/// Names under which it tells its health.
const SERVED: [&str; 3] = ["", "waag.v1.Spool", "waag.v1.Lodgement"];

/// How to run.
#[derive(Debug)]
pub struct DaemonOptions {
    /// Its folder.
    pub dir: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The longest message in bytes.
    pub batch_bytes_max: usize,
    /// How much it may keep.
    pub bounds: Bounds,
}

/// Why it does not start, or ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Reflection cannot be built of our own descriptors.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("transport: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Declarations a second, received and answered.
#[derive(Debug, Clone, Default)]
pub struct Rates(Arc<Mutex<VecDeque<(Instant, u64, u64)>>>);

impl Rates {
    fn look(&self, store: &Store) {
        let counts = {
            let state = store.shared.state();
            (Instant::now(), state.received, state.answered)
        };
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push_back(counts);
        while looks.len() > TICKS + 1 {
            looks.pop_front();
        }
    }

    pub(super) fn now(&self) -> (f64, f64) {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(first), Some(last)) = (looks.front(), looks.back()) else { return (0.0, 0.0) };
        let seconds = (last.0 - first.0).as_secs_f64();
        // Counts of ten seconds are far below where an f64 loses ones.
        let rate = |from: u64, to: u64| {
            if seconds > 0.0 { (to - from) as f64 / seconds } else { 0.0 }
        };
        (rate(first.1, last.1), rate(first.2, last.2))
    }
}

/// Runs until `stop` is done, or the disk fails.
///
/// # Errors
/// See [`DaemonError`].
pub async fn run(
    options: DaemonOptions,
    server: Server,
    clock: Arc<Clock>,
    stop: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let DaemonOptions { dir, listen, batch_bytes_max, bounds } = options;
    let (store, mut writing) =
        Store::open(Arc::new(LocalDisk::new()), &dir, Arc::clone(&clock), bounds)?;
    {
        let state = store.shared.state();
        tracing::info!(
            folder = %dir.display(),
            key = hex(store.shared.key.public()),
            batches = state.len(),
            waiting = state.unanswered.len(),
            "the spool is open"
        );
    }
    let listen_failed = |source| DaemonError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(listen_failed)?;
    let address = listener.local_addr().map_err(listen_failed)?;
    let reach = Reach::of(server.clone()).await;
    let rates = Rates::default();
    let (stopping, is_stopping) = watch::channel(false);
    let service = SpoolService {
        store: store.clone(),
        reach: reach.clone(),
        rates: rates.clone(),
        stopping: is_stopping.clone(),
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    for name in SERVED {
        health.set_service_status(name, ServingStatus::Serving).await;
    }
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(crate::proto::SPOOL_DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let lodgement = LodgementService(service.clone());
    let serving = tonic::transport::Server::builder()
        .max_concurrent_streams(CONNECTION_CALLS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(SpoolServer::new(service).max_decoding_message_size(batch_bytes_max))
        .add_service(LodgementServer::new(lodgement).max_decoding_message_size(batch_bytes_max));
    let mut until = is_stopping;
    let shutdown = async move {
        let _ = until.wait_for(|is_stopping| *is_stopping).await;
    };
    // Receipts are whole messages: to hold their last bytes back would only delay them.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut serving = tokio::spawn(serving.serve_with_incoming_shutdown(incoming, shutdown));
    tracing::info!(%address, to = server.url(), "listening");
    let forwarding = tokio::spawn(forward(store.clone(), server, reach));
    let ticking = tokio::spawn(tick(store.clone(), rates));
    let failure = tokio::select! {
        () = stop => None,
        failure = writing.failed() => Some(failure),
    };
    tracing::info!("stopping");
    for name in SERVED {
        health.set_service_status(name, ServingStatus::NotServing).await;
    }
    stopping.send_replace(true);
    for name in SERVED {
        health.clone().clear_service_status(name).await;
    }
    if tokio::time::timeout(DRAIN, &mut serving).await.is_err() {
        tracing::warn!("some calls did not end in time and were cut off");
        serving.abort();
    }
    forwarding.abort();
    ticking.abort();
    store.stop().await;
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    let ended = tokio::task::spawn_blocking(move || writing.end()).await;
    ended.unwrap_or(Err(StoreError::Stopped))?;
    tracing::info!("stopped");
    Ok(())
}

async fn tick(store: Store, rates: Rates) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        rates.look(&store);
        store.tidy().await;
    }
}
