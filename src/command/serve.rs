//! `waag serve`: the server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use crate::config::{ByteSize, Config, WebConfig};
use crate::disk::LocalDisk;
use crate::ingest::clock::Clock;
use crate::ingest::engine::Engine;
use crate::ingest::options;
use crate::rpc::access::Access;
use crate::rpc::closed::Closed;
use crate::rpc::operation::Order;
use crate::rpc::server::{self, Running};
use crate::rules::law::Law;
use crate::telemetry::{Scrape, Telemetry, listener, log};
use crate::web::{self, Desk};

/// Flags of `waag serve`. Each wins over the setting of the same name.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The data folder; made where it is missing. One server at a time
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    pub data_dir: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", help_heading = "Settings")]
    pub listen: Option<SocketAddr>,
    /// Where `GET /metrics` is answered, as 127.0.0.1:9464; without it, nowhere
    #[arg(long, value_name = "ADDRESS", help_heading = "Settings")]
    pub metrics: Option<SocketAddr>,
    /// Where the analysts' page is, for a browser, as 127.0.0.1:8080; without it, nowhere
    #[arg(long, value_name = "ADDRESS", help_heading = "Settings")]
    pub web: Option<SocketAddr>,
    /// Memory that table, queues and buffers are sized from, as 3GiB
    #[arg(long, value_name = "SIZE", help_heading = "Settings")]
    pub memory_max: Option<ByteSize>,
    /// Files in this folder replace the built-in rules of the same name (see `waag rules`);
    /// SIGHUP reads them again
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    pub rules: Option<PathBuf>,
    /// TOML file with these and further settings (see README)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The time at which the server believes it starts, local to its time zone; for tests, on
    /// loopback only
    #[arg(long, value_name = "YYYY-MM-DDThh:mm")]
    pub clock: Option<String>,
}

impl ServeArgs {
    /// The settings of the file with those of the flags over them.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn config(&self) -> Result<Config, Failure> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if let Some(data_dir) = &self.data_dir {
            config.data_dir.clone_from(data_dir);
        }
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(metrics) = self.metrics {
            config.metrics = Some(metrics);
        }
        if let Some(listen) = self.web {
            let hosts = config.web.take().map(|web| web.hosts).unwrap_or_default();
            config.web = Some(WebConfig { listen, hosts });
        }
        if let Some(memory_max) = self.memory_max {
            config.memory_max = memory_max;
        }
        if let Some(rules) = &self.rules {
            config.rules = Some(rules.clone());
        }
        Ok(config)
    }

    /// In which form the log is to be written. Settings that cannot be read are told as text.
    #[must_use]
    pub fn log_format(&self) -> log::Format {
        self.config().map(|config| config.log_format).unwrap_or_default()
    }
}

/// Runs the server until SIGTERM, SIGINT or a fault.
///
/// # Errors
/// Where it does not start, or stops for a fault.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = args.config()?;
    let is_closed = config.tls.is_some() && config.clients.is_some();
    if !config.listen.ip().is_loopback() && !is_closed && !config.insecure_listen_anywhere {
        return Err(format!(
            "listen is {}: without TLS and identity the server listens on loopback only; set both \
             [tls] and clients in the settings, or insecure_listen_anywhere = true, which overrules this",
            config.listen
        )
        .into());
    }
    if let Some(metrics) = config.metrics
        && !metrics.ip().is_loopback()
        && !config.insecure_listen_anywhere
    {
        return Err(format!(
            "metrics is {metrics}: whoever reaches it reads how each declarant declares, so it is on \
             loopback only; insecure_listen_anywhere = true in the settings overrules this"
        )
        .into());
    }
    if let Some(WebConfig { listen, .. }) = config.web
        && !listen.ip().is_loopback()
        && !is_closed
        && !config.insecure_listen_anywhere
    {
        return Err(format!(
            "web is {listen}: without TLS and identity whoever reaches it reads how each actor declares, so \
             it is on loopback only; set both [tls] and clients in the settings, or \
             insecure_listen_anywhere = true, which overrules this"
        )
        .into());
    }
    // A wrong file is told before a long recovery.
    let access = Access::read(&config)?;
    let clock = match &args.clock {
        None => Clock::system(),
        Some(_) if !config.listen.ip().is_loopback() => {
            return Err("--clock is for tests: it needs --listen on loopback".into());
        }
        Some(text) => {
            let start = options::calendar(&config)?.parse(text).ok_or_else(|| {
                format!("--clock {text:?} is no time: write it as 2026-11-05T09:30")
            })?;
            Clock::starting_at(start)
        }
    };
    let runtime = super::runtime()?;
    // From here on a hangup ends nothing: one that comes before the server listens, during a long
    // recovery say, is kept, and the rules are read again then. SIGTERM and SIGINT do end a recovery
    // at once: it has answered nobody, and what it read is on disk.
    let hangup = {
        let _entered = runtime.enter();
        signal(SignalKind::hangup())?
    };
    let law = Law::load(config.rules.as_deref())?;
    let telemetry = Telemetry::default();
    let scrape = Arc::new(Scrape::new(telemetry.clone(), config.metrics_actors_max));
    let _metrics = runtime.block_on(metrics(&config, &scrape))?;
    let page = runtime.block_on(page(&config, &access, &scrape))?;
    if let Some(traces) = &config.traces {
        let _entered = runtime.enter();
        telemetry.trace_to(traces)?;
    }
    let recovering = runtime.block_on(Closed::recovering(&config, &access, telemetry.clone()))?;
    tracing::info!(address = %recovering.address, "recovering; until that is done calls are refused");
    let disk = Arc::new(LocalDisk::new());
    let (engine, started) = Engine::start_with(disk, telemetry.clone(), &config, law, clock)?;
    tracing::info!(
        records = started.progress.records,
        declarations = started.progress.declarations,
        accepted = started.progress.accepted,
        ended_clean = started.ended_clean,
        torn_bytes_cut = started.torn_bytes,
        catalog_rebuilt = started.rebuilt_because.as_deref().unwrap_or("no"),
        took_ms = u64::try_from(started.took.as_millis()).unwrap_or(u64::MAX),
        rule_set = started.rule_set,
        "recovered"
    );
    let of = Arc::clone(&engine);
    scrape.recovered(engine.board().clone(), move || of.figures());
    let desk = page.as_ref().map(|(_, desk)| Arc::clone(desk));
    let serving = serve(&config, &engine, (recovering, access), desk, hangup);
    let reason = runtime.block_on(serving)?;
    engine.stop();
    telemetry.end_traces();
    match reason {
        None if engine.is_failed() => Err("the server stopped for a fault".into()),
        None => {
            tracing::info!("stopped");
            Ok(())
        }
        Some(reason) => Err(format!("the server stopped for a fault: {reason}").into()),
    }
}

/// Listens for those who ask for metrics, where the settings say so.
async fn metrics(
    config: &Config,
    scrape: &Arc<Scrape>,
) -> Result<Option<listener::Listening>, Failure> {
    let Some(address) = config.metrics else { return Ok(None) };
    let listening = listener::listen(address, Arc::clone(scrape)).await;
    let listening =
        listening.map_err(|error| format!("cannot listen for metrics on {address}: {error}"))?;
    tracing::info!(address = %listening.address, "metrics");
    Ok(Some(listening))
}

/// Listens for those who look at the page, where the settings say so.
async fn page(
    config: &Config,
    access: &Access,
    scrape: &Arc<Scrape>,
) -> Result<Option<(web::listener::Listening, Arc<Desk>)>, Failure> {
    let Some(web) = &config.web else { return Ok(None) };
    let desk = Arc::new(Desk::new(Arc::clone(scrape), &web.hosts));
    let listening = web::listener::listen(web.listen, access.tls(), Arc::clone(&desk)).await;
    let listening = listening
        .map_err(|error| format!("cannot listen for the page on {}: {error}", web.listen))?;
    tracing::info!(url = listening.url(), "page");
    Ok(Some((listening, desk)))
}

/// Serves until told to stop; the reason, if it was a fault.
async fn serve(
    config: &Config,
    engine: &Arc<Engine>,
    (recovering, access): (Closed, Access),
    desk: Option<Arc<Desk>>,
    mut hangup: Signal,
) -> Result<Option<String>, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let started = match recovering.end().await {
        Ok(listener) => server::serve(listener, config, access, Arc::clone(engine)).await,
        Err(error) => Err(error),
    };
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            engine.stop();
            return Err(error.into());
        }
    };
    if let Some(desk) = desk {
        desk.serves(running.services());
    }
    tracing::info!(address = %running.address, "listening");
    let reason = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            reason = engine.broken() => break Some(reason),
            _ = hangup.recv() => {
                let _ = reload(config, engine, &running).await;
            }
            order = running.order() => match order {
                Order::Drain => break None,
                // Whoever ordered it may be gone.
                Order::Reload(reply) => drop(reply.send(reload(config, engine, &running).await)),
            },
        }
    };
    tracing::info!("draining");
    running.stop().await;
    Ok(reason)
}

/// Reads the rules again: all or nothing. What came of it is recorded; what was wrong is told.
async fn reload(config: &Config, engine: &Engine, running: &Running) -> Result<(), String> {
    let rules = config.rules.clone();
    let loaded = tokio::task::spawn_blocking(move || Law::load(rules.as_deref())).await;
    let changed = match loaded {
        Ok(Ok(law)) => engine.change_law(law).await,
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let told = match &changed {
        Ok(number) => {
            tracing::info!(law = number, "rules are in force");
            format!("law {number} is in force")
        }
        Err(error) => {
            tracing::error!(%error, "rules not reloaded: those before hold on");
            format!("not reloaded: {error}")
        }
    };
    running.record("rules", told).await;
    changed.map(drop)
}
