//! All connections together, second by second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use waag::command::Failure;
use waag::command::demo::check::{Mismatches, Tally};
use waag::command::demo::{connect, summaries};

use super::check::add;
use super::lane::{End, Lane, Load, Work, locked};
use super::meter::{Meter, Window};

/// Told of each window; may end the run.
pub(crate) type OnWindow<'a> = dyn FnMut(&Window, &Meter) -> Option<End> + 'a;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Driven {
    /// By their ids.
    pub(crate) lanes: Vec<Lane>,
    pub(crate) meter: Meter,
    /// Why it ended early, if it did.
    pub(crate) end: Option<End>,
}

/// Lets each lane do its work, all at once, for so long at most.
///
/// # Errors
/// Where the server cannot be reached, or a task of ours ends in a panic. What goes wrong later is
/// told in [`Driven::end`], with all that was measured until then.
pub(crate) async fn drive(
    load: &Arc<Load>,
    url: &str,
    lanes: Vec<(Lane, Work)>,
    time_max: Option<Duration>,
    on_window: &mut OnWindow<'_>,
) -> Result<Driven, Failure> {
    let mut channels = Vec::new();
    for _ in &lanes {
        channels.push(connect(url).await?);
    }
    let meter = Arc::new(Mutex::new(Meter::start()?));
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for ((lane, work), channel) in lanes.into_iter().zip(channels) {
        tasks.spawn(lane.run(Arc::clone(load), channel, work, Arc::clone(&meter), stopped.clone()));
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    // The first one comes at once.
    ticks.tick().await;
    let deadline = time_max.and_then(|time| std::time::Instant::now().checked_add(time));
    let mut done = Vec::new();
    let mut end: Option<End> = None;
    while !tasks.is_empty() {
        let is_stopping = *stop.borrow();
        let reason = tokio::select! {
            joined = tasks.join_next() => match joined {
                Some(joined) => {
                    let (lane, reason) = joined?;
                    done.push(lane);
                    reason
                }
                None => None,
            },
            _ = ticks.tick() => {
                let mut meter = locked(&meter);
                meter.tick(false).and_then(|window| on_window(&window, &meter))
            }
            () = super::transport::sleep_until(deadline), if !is_stopping => {
                stop.send_replace(true);
                None
            }
        };
        if let Some(reason) = reason {
            stop.send_replace(true);
            // The first one is the cause; others follow from it.
            end.get_or_insert(reason);
        }
    }
    done.sort_by_key(|lane| lane.id);
    let mut meter = Arc::into_inner(meter)
        .and_then(|meter| meter.into_inner().ok())
        .ok_or("a task still holds the meter")?;
    if let Some(window) = meter.tick(true) {
        on_window(&window, &meter);
    }
    Ok(Driven { lanes: done, meter, end })
}

/// What each declarant was answered, by EORI.
pub(crate) fn tallies(load: &Load, lanes: &[Lane]) -> BTreeMap<String, Tally> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for template in &load.templates.list {
        tallies.entry(template.declarant.clone()).or_default();
    }
    for lane in lanes {
        for (template, tally) in load.templates.list.iter().zip(&lane.book.tallies) {
            if let Some(sum) = tallies.get_mut(&template.declarant) {
                add(sum, tally);
            }
        }
    }
    tallies
}

/// All that was not as it must be, over all lanes.
pub(crate) fn mismatches(lanes: &mut [Lane]) -> Mismatches {
    let mut all = Mismatches::default();
    for lane in lanes {
        all.merge(std::mem::take(&mut lane.book.mismatches));
    }
    all
}

/// The summaries that a run is compared against.
pub(crate) type Before = std::collections::HashMap<String, waag::proto::v1::ActorSummary>;

/// The declarants' summaries at that watermark or later.
///
/// # Errors
/// Where the server cannot be reached or fails.
pub(crate) async fn read_summaries(url: &str, at_least: u64) -> Result<Before, Failure> {
    Ok(summaries::read(connect(url).await?, at_least).await?)
}

/// Figures of summaries that did not grow by what was answered.
///
/// # Errors
/// Where the server cannot be reached or fails.
pub(crate) async fn compare_summaries(
    url: &str,
    before: &Before,
    load: &Load,
    lanes: &[Lane],
) -> Result<Mismatches, Failure> {
    let watermark = lanes.iter().map(|lane| lane.book.watermark).max().unwrap_or(0);
    let after = read_summaries(url, watermark).await?;
    let mut wrong = Mismatches::default();
    for (declarant, tally) in tallies(load, lanes) {
        let id = declarant.as_str();
        summaries::compare(id, before.get(id), after.get(id), &tally, &mut wrong);
    }
    Ok(wrong)
}
