//! A world lodged with an engine of its own, on the days that it is made for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use waag::command::Failure;
use waag::config::{ByteSize, Config};
use waag::day::{Day, Moment};
use waag::generate::world::{Truth, World, WorldBatch, WorldOptions};
use waag::ingest::answer::Framing;
use waag::ingest::budget::Client;
use waag::ingest::clock::Clock;
use waag::ingest::engine::{Engine, folders};
use waag::ingest::options::calendar;
use waag::insight::{Findings, Insight, Keys};
use waag::mrn::Mint;
use waag::rules::Law;
use waag::secrets::Secrets;
use waag::summary::SUMMARY_FOLDER;

/// Batches that are made ahead.
const AHEAD: usize = 64;
/// Declarants with a batch under way, at most.
const UNDER_WAY_MAX: usize = 16;
/// When the day's batches come.
const MORNING: i64 = 8 * 3_600_000;
/// Days whose summaries may be open: the newest, those that wait to be closed, and what is being closed.
const OPEN_DAYS_MAX: u16 = 5;
/// A set takes seconds; so long without any is a fault.
const STALLED: Duration = Duration::from_secs(600);

struct Ready {
    day: Day,
    actor: u32,
    message: Bytes,
}

/// An engine over an empty folder, whose clock stands on the morning of `first`.
pub(crate) fn engine(
    data: &Path,
    memory_max: ByteSize,
    first: Day,
) -> Result<Arc<Engine>, Failure> {
    let config = Config {
        data_dir: data.to_owned(),
        memory_max,
        seal_interval_s: 2,
        findings: false,
        checkpoint_interval_ms: 100,
        ..Config::default()
    };
    let clock = Clock::starting_at(morning(&config, first)?);
    let (engine, _) = Engine::start(&config, Law::load(None)?, clock)?;
    Ok(engine)
}

fn morning(config: &Config, day: Day) -> Result<Moment, Failure> {
    Ok(Moment(calendar(config)?.start_of(day).0 + MORNING))
}

/// Lodges all of it, each batch after `change` had it. The batches of a declarant are lodged one after another, since
/// what is sent again must come after what it repeats.
pub(crate) async fn lodge(
    engine: &Arc<Engine>,
    data: &Path,
    options: &WorldOptions,
    change: impl FnMut(&mut WorldBatch) + Send + 'static,
) -> Result<Truth, Failure> {
    let (ready, mut batches) = mpsc::channel(AHEAD);
    let world = World::new(options)?;
    let making = std::thread::spawn(move || make(world, change, &ready));
    let budget = engine.budget().connection(Client::NOWHERE);
    let mut under_way: HashMap<u32, JoinHandle<Result<(), String>>> = HashMap::new();
    let mut today = options.from;
    while let Some(Ready { day, actor, message }) = batches.recv().await {
        if day != today {
            for (_, answer) in under_way.drain() {
                answer.await??;
            }
            engine.clock().saw(Moment(engine.calendar().start_of(day).0 + MORNING));
            today = day;
            let closed = Day(day.0.saturating_sub(OPEN_DAYS_MAX));
            if closed >= options.from {
                until_closed(data, closed).await?;
            }
        }
        let next = if under_way.contains_key(&actor) {
            Some(actor)
        } else if under_way.len() >= UNDER_WAY_MAX {
            under_way.keys().next().copied()
        } else {
            None
        };
        if let Some(answer) = next.and_then(|actor| under_way.remove(&actor)) {
            answer.await??;
        }
        let share = budget.take(message.len()).await.map_err(|refusal| refusal.message)?;
        let turn = engine.turn(&message, share).await.map_err(|refusal| refusal.message)?;
        let answer = engine.submit(message, turn, Framing::Stream, None);
        let answered = async { answer.await.map(drop).map_err(|refusal| refusal.message) };
        under_way.insert(actor, tokio::spawn(answered));
    }
    for (_, answer) in under_way.drain() {
        answer.await??;
    }
    making.join().map_err(|_| "the world was not made".into())
}

/// Waits until the summaries of a day are closed. A year goes by in a minute here, and the figures of days that
/// are open are in memory.
async fn until_closed(data: &Path, day: Day) -> Result<(), Failure> {
    let file = data.join(folders::ARCHIVE).join(SUMMARY_FOLDER).join(format!("day={day}"));
    let since = Instant::now();
    while !file.exists() {
        if since.elapsed() > STALLED {
            return Err(format!("the summaries of {day} were not closed; the log says why").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn make(
    mut world: World,
    mut change: impl FnMut(&mut WorldBatch),
    ready: &mpsc::Sender<Ready>,
) -> Truth {
    for mut batch in world.by_ref() {
        change(&mut batch);
        let message = Bytes::from(batch.request.encode_to_vec());
        if ready.blocking_send(Ready { day: batch.day, actor: batch.actor, message }).is_err() {
            break;
        }
    }
    world.truth()
}

/// Waits until all that was lodged is sealed, and makes the findings of it: each day once, which takes much less
/// than to keep them up with every set.
pub(crate) fn find(engine: &Engine, data: &Path) -> Result<Findings, Failure> {
    let archive = engine.archive();
    let (mut last, mut since) = (archive.next().0, Instant::now());
    while archive.next().0 <= engine.board().watermark() {
        std::thread::sleep(Duration::from_millis(100));
        if archive.next().0 != last {
            (last, since) = (archive.next().0, Instant::now());
        }
        if since.elapsed() > STALLED || engine.is_failed() {
            return Err("what was lodged is not sealed; the log says why".into());
        }
    }
    let secrets = Secrets::open(&data.join(folders::SECRETS), false)?;
    let (keys, mint) = (Keys::new(secrets.pseudonym()), Mint::new(secrets.bijection()));
    let root = data.join(folders::INSIGHT);
    let mut insight = Insight::new(&root, secrets.identity(), keys, mint, archive.clone());
    while insight.round(&|| false)? {}
    Ok(insight.findings())
}
