//! The other side of `waag demo`: a server of its own, on a free port, in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::generate::progress;
use super::super::{Failure, output, runtime};
use super::{DemoArgs, DemoReport, drive};
use crate::config::{ByteSize, Config};
use crate::day::Moment;
use crate::ingest::clock::Clock;
use crate::ingest::engine::Engine;
use crate::ingest::options;
use crate::rpc::server::{self, Running};
use crate::rules::law::Law;
use crate::telemetry::Scrape;
use crate::web::Desk;
use crate::web::listener::{self, Listening};

/// More declarants than a demo has.
const ACTORS_MAX: u32 = 1_000;

/// Runs the demo and prints its report.
///
/// # Errors
/// Where the server does not start, a call fails, or an answer is not as it must be.
pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    let folder = Folder::of(args)?;
    let config = Config {
        data_dir: folder.path.clone(),
        listen: ([127, 0, 0, 1], 0).into(),
        // 512 MiB hold two million declarations; more lines get more, 200 bytes each.
        memory_max: ByteSize((512 << 20) + args.lines.saturating_mul(200)),
        ..Config::default()
    };
    let report = drive_own_server(args, &config)?;
    folder.leave();
    if report.is_clean() {
        return Ok(());
    }
    report.write_examples(&mut std::io::stderr().lock())?;
    Err("some answers were not as they must be".into())
}

fn drive_own_server(args: &DemoArgs, config: &Config) -> Result<DemoReport, Failure> {
    let calendar = options::calendar(config)?;
    // Eight in the morning, when offices open: far from midnight on either side.
    let start = Moment(calendar.start_of(args.load.on).0 + 8 * 3_600_000);
    let law = Law::load(None)?;
    let (engine, _) = Engine::start(config, law, Clock::starting_at(start))?;
    let runtime = runtime()?;
    let driven = runtime.block_on(async {
        let running = server::listen(config, Arc::clone(&engine)).await?;
        let page = page(args, &engine, &running).await?;
        let url = format!("http://{}", running.address);
        let bar = progress(args.lines).with_message("lodging");
        let driven = drive(&url, &args.drive_options(), &bar).await;
        bar.finish_and_clear();
        let told = match &driven {
            Ok(report) => tell(args, report),
            Err(_) => Ok(()),
        };
        if let (Some(page), Ok(_), Ok(())) = (&page, &driven, &told) {
            tracing::info!(url = page.url(), "the server goes on, for a browser, until Ctrl-C");
            let _ = tokio::signal::ctrl_c().await;
        }
        running.stop().await;
        told?;
        Ok::<_, Failure>(driven?)
    });
    engine.stop();
    driven
}

/// Prints what came of it.
fn tell(args: &DemoArgs, report: &DemoReport) -> Result<(), Failure> {
    if args.json {
        output(|mut out| report.write_json(&mut out))
    } else {
        output(|mut out| report.write_table(&mut out))
    }
}

/// The page of a demo that is kept: from the beginning on, so that lodging can be seen.
async fn page(
    args: &DemoArgs,
    engine: &Arc<Engine>,
    running: &Running,
) -> Result<Option<Listening>, Failure> {
    if !args.keep {
        return Ok(None);
    }
    let scrape = Scrape::new(engine.telemetry().clone(), ACTORS_MAX);
    let of = Arc::clone(engine);
    scrape.recovered(engine.board().clone(), move || of.figures());
    let desk = Arc::new(Desk::new(Arc::new(scrape), &[]));
    desk.serves(running.services());
    let address = args.web.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
    let page = listener::listen(address, None, desk).await;
    let page = page.map_err(|error| format!("cannot listen for the page on {address}: {error}"))?;
    tracing::info!(url = page.url(), "page");
    Ok(Some(page))
}

/// Where the demo's server keeps its data.
struct Folder {
    path: PathBuf,
    is_passing: bool,
}

impl Folder {
    fn of(args: &DemoArgs) -> Result<Self, Failure> {
        if let Some(path) = &args.data_dir {
            return Ok(Self { path: path.clone(), is_passing: false });
        }
        let name = format!("waag-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, is_passing: !args.keep })
    }

    /// Removes a passing folder, or says where the data is.
    fn leave(self) {
        if !self.is_passing {
            tracing::info!(folder = %self.path.display(), "the demo's data is kept");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_passing {
            remove(&self.path);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!(folder = %path.display(), %error, "the demo's folder was not removed");
    }
}
