//! What the health service says.
//!
//! | asked for | SERVING while |
//! |---|---|
//! | `waag.v1.Lodgement` | the engine goes on, its clock is not behind, and the disk has more free than `disk_reserve_bytes` and room for another segment |
//! | `waag.v1.Compliance` | the engine goes on, and its clock is not behind |
//! | nothing: the whole server | anything is served, as Compliance: a full disk is mended by no restart, and reading goes on |
//!
//! Until recovery has ended, and from the beginning of a stop on, all of them are NOT_SERVING: see
//! [`super::closed`].

use std::sync::Arc;
use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::server::HealthReporter;

use crate::ingest::engine::Engine;
use crate::telemetry::{Service, Telemetry};

/// The name of the whole server.
const WHOLE: &str = "";

/// Between two looks at what may have changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes of a call: the longest name of a service has 18.
const CALL_BYTES_MAX: usize = 1 << 10;

/// Tells the health service, and the metrics, what is served.
#[derive(Debug)]
pub(super) struct Health {
    reporter: HealthReporter,
    telemetry: Telemetry,
}

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Served {
    /// Batches are taken.
    pub(super) lodging: bool,
    /// Summaries are given.
    pub(super) reading: bool,
}

impl Served {
    pub(super) const NOTHING: Self = Self { lodging: false, reading: false };

    /// What `engine` serves now; asked on a thread of its own, for a disk that does not answer. Nothing
    /// where there is none, as when the runtime ends.
    pub(super) async fn now(engine: &Arc<Engine>, clock_behind_s_max: u64) -> Self {
        let of = Arc::clone(engine);
        let look = tokio::task::spawn_blocking(move || Self::by(&of, clock_behind_s_max));
        look.await.unwrap_or(Self::NOTHING)
    }

    fn by(engine: &Engine, clock_behind_s_max: u64) -> Self {
        let reading =
            !engine.is_failed() && engine.clock().behind_ms() / 1_000 <= clock_behind_s_max;
        Self { lodging: reading && !engine.is_disk_short(), reading }
    }
}

impl Health {
    /// The service, and what tells it.
    pub(super) fn new(telemetry: Telemetry) -> (Self, HealthServer<impl HealthService>) {
        let (reporter, service) = tonic_health::server::health_reporter();
        (Self { reporter, telemetry }, service.max_decoding_message_size(CALL_BYTES_MAX))
    }

    /// Says it, to those who watch too.
    pub(super) async fn say(&self, served: Served) {
        let Served { lodging, reading } = served;
        let [lodgement, compliance] = Service::ALL;
        self.telemetry.serves(lodgement, lodging);
        self.telemetry.serves(compliance, reading);
        let all = [(WHOLE, reading), (lodgement.name(), lodging), (compliance.name(), reading)];
        for (name, is_serving) in all {
            let status =
                if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Lets the watches end, each after what was said last: else their calls, which have no end, would
    /// hold up the end of their connections.
    pub(super) async fn end(&self) {
        let mut reporter = self.reporter.clone();
        for name in [WHOLE].into_iter().chain(Service::ALL.map(Service::name)) {
            reporter.clear_service_status(name).await;
        }
    }

    /// Says what the engine serves whenever that changes from what was `said`; for ever.
    pub(super) async fn follow(
        self: Arc<Self>,
        engine: Arc<Engine>,
        clock_behind_s_max: u64,
        mut said: Served,
    ) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let served = Served::now(&engine, clock_behind_s_max).await;
            if served != said {
                let Served { lodging, reading } = served;
                let behind_s = engine.clock().behind_ms() / 1_000;
                tracing::warn!(lodging, reading, behind_s, "health changed");
                self.say(served).await;
                said = served;
            }
        }
    }
}
