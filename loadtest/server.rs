//! A server of our own, in a process of its own: the `waag` that stands beside this program, or this
//! program as a sink.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use waag::command::Failure;
use waag::config::ByteSize;
use waag::day::Day;

use super::sink::Decoder;

/// Lines of the log that are told where a server does not start.
const LOG_LINES: usize = 20;
/// A server that does not listen by then does not start: it reads ten million records a second.
const START_MAX: Duration = Duration::from_secs(900);

/// A free port of this machine.
pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct ServerOptions {
    pub(crate) data_dir: PathBuf,
    /// Port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    pub(crate) memory_max: ByteSize,
    /// The day on which it believes to be, from eight in the morning.
    pub(crate) on: Day,
    /// A settings file.
    pub(crate) config: Option<PathBuf>,
}

/// A running server; killed when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    log: Arc<Mutex<VecDeque<String>>>,
    started: Instant,
    /// Than that of the first, its clock began by so much.
    later: Duration,
}

impl Server {
    /// Starts it with its clock later than the first time by so much, and up to a minute more, and waits
    /// until its health is SERVING. Tells how long that took.
    ///
    /// # Errors
    /// Where there is no such program, or it does not start.
    pub(crate) async fn start(
        options: &ServerOptions,
        later: Duration,
    ) -> Result<(Self, Duration), Failure> {
        let mut command = Command::new(program()?);
        // A server that believes to be earlier than its newest record refuses to start.
        let minutes = if later.is_zero() { 0 } else { later.as_secs() / 60 + 1 };
        let clock = format!("{}T{:02}:{:02}", options.on, 8 + minutes / 60, minutes % 60);
        command
            .args(["serve", "--listen", &options.listen.to_string(), "--clock", &clock])
            .arg("--data-dir")
            .arg(&options.data_dir)
            .args(["--memory-max", &options.memory_max.to_string()]);
        if let Some(config) = &options.config {
            command.arg("--config").arg(config);
        }
        let server = Self::listening(command, Duration::from_secs(60 * minutes)).await?;
        server.until_serving().await?;
        let took = server.started.elapsed();
        Ok((server, took))
    }

    /// How much later its clock is now than that of the first when it began, and at most: no record of
    /// its is newer.
    pub(crate) fn clock(&self) -> Duration {
        self.later + self.started.elapsed()
    }

    /// Starts a sink and waits until it listens.
    ///
    /// # Errors
    /// Where it does not start.
    pub(crate) async fn start_sink(decoder: Decoder) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["sink", "--decoder", decoder.name()]);
        Self::listening(command, Duration::ZERO).await
    }

    /// Starts the command and waits until its log names an address.
    async fn listening(mut command: Command, later: Duration) -> Result<Self, Failure> {
        command
            .env("NO_COLOR", "1")
            .env("WAAG_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let (log, mut listening) = follow(&mut child);
        let address = tokio::time::timeout(START_MAX, listening.recv()).await.ok().flatten();
        let Some(address) = address else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("the server did not start:\n{}", told(&log)).into());
        };
        Ok(Self { child, url: format!("http://{address}"), log, started, later })
    }

    /// Starts a spool before the service at `to`, with the clock with which that started, and waits until it listens.
    ///
    /// # Errors
    /// Where there is no such program, or it does not start.
    pub(crate) async fn start_spool(dir: &Path, to: &str, on: Day) -> Result<Self, Failure> {
        let mut command = Command::new(program()?);
        let clock = format!("{on}T08:00");
        command
            .args(["spool", "--listen", "127.0.0.1:0", "--to", to, "--clock", &clock])
            .arg("--folder")
            .arg(dir);
        Self::listening(command, Duration::ZERO).await
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Never: its log names an address.
    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        Ok(self.url.trim_start_matches("http://").parse()?)
    }

    async fn until_serving(&self) -> Result<(), Failure> {
        let mut health = HealthClient::new(waag::command::demo::connect(&self.url).await?);
        loop {
            let status = health.check(HealthCheckRequest::default()).await?.into_inner().status;
            if status == i32::from(ServingStatus::Serving) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and waits until it has stopped.
    ///
    /// # Errors
    /// Where it stops with an error.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(id, Signal::TERM)?;
        }
        let (status, log) = tokio::task::spawn_blocking(move || {
            let status = self.child.wait();
            (status, told(&self.log))
        })
        .await?;
        let status = status?;
        if status.success() {
            return Ok(());
        }
        Err(format!("the server stopped with {status}:\n{log}").into())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// Where the process cannot be waited for.
    pub(crate) fn kill(mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is not killed, and there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `waag`, in the folder in which this program is.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    let here = std::env::current_exe()?;
    let program = here.parent().unwrap_or(Path::new(".")).join("waag");
    if program.is_file() {
        return Ok(program);
    }
    Err(format!("{} is not there: build it with `cargo build --bins`", program.display()).into())
}

type Log = Arc<Mutex<VecDeque<String>>>;

/// Reads its log to the end: the address goes into the channel, warnings into our own log.
fn follow(child: &mut Child) -> (Log, mpsc::UnboundedReceiver<String>) {
    let (sender, listening) = mpsc::unbounded_channel();
    let log = Log::default();
    let Some(stderr) = child.stderr.take() else { return (log, listening) };
    let kept = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once("listening address=") {
                let address = address.split_whitespace().next().unwrap_or_default();
                let _ = sender.send(address.to_owned());
            }
            if line.contains(" WARN ") || line.contains(" ERROR ") {
                tracing::warn!("the server says: {line}");
            }
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == LOG_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    });
    (log, listening)
}

fn told(log: &Mutex<VecDeque<String>>) -> String {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}
