//! The thread that matches what is sealed with the profiles in force.
//!
//! Each round it takes, of all versions that are behind, the least watermark, and goes through the next set with all
//! versions that stand there: so a set is read once for many profiles, and a new profile catches up from the first set
//! that may have a day of it. A version's hits are added once a set is gone through, and so are always those of whole
//! sets.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::hits::{DayHits, Hits, VersionId, kept_days};
use super::matcher::{Lodged, Matcher};
use super::scan::{Scan, ScanError, scan};
use super::{Profile, Store};
use crate::archive::{Archive, ArchiveError, Set};
use crate::day::Day;
use crate::id::Watermark;

/// Between two looks for what was sealed.
const ROUND: Duration = Duration::from_millis(200);
/// Between two attempts to read what cannot be read.
const WAIT: Duration = Duration::from_secs(60);
/// The nicest there is: answers and sealing go first.
const NICER: i32 = 19;

/// Matches what is sealed, until it is dropped.
#[derive(Debug)]
pub struct Follower {
    hits: Hits,
    progress: watch::Receiver<u64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts to match `archive` with the profiles of `store`.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(archive: Archive, store: Store) -> std::io::Result<Self> {
        let (hits, stop) = (Hits::default(), Arc::new(AtomicBool::new(false)));
        let (told, progress) = watch::channel(0);
        let following =
            Following { archive, store, hits: hits.clone(), stop: Arc::clone(&stop), told };
        let thread =
            std::thread::Builder::new().name("profiles".into()).spawn(move || following.run())?;
        Ok(Self { hits, progress, stop, thread: Some(thread) })
    }

    /// What was hit so far.
    #[must_use]
    pub fn hits(&self) -> &Hits {
        &self.hits
    }

    /// Changes whenever there is more.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.progress.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends after the batch that it is at.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
pub(super) struct Following {
    pub(super) archive: Archive,
    pub(super) store: Store,
    pub(super) hits: Hits,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) told: watch::Sender<u64>,
}

/// A version that is behind.
struct Behind {
    id: VersionId,
    days: (Day, Day),
    watermark: Watermark,
    profile: Arc<Profile>,
}

impl Following {
    fn run(self) {
        // Where that is refused it runs like the others.
        let _ = rustix::process::nice(NICER);
        while !self.stop.load(Ordering::Acquire) {
            match self.round() {
                Ok(true) => {}
                // Days that were dropped meanwhile: the next round knows.
                Ok(false) | Err(ScanError::Archive(ArchiveError::Order(_))) => {
                    std::thread::park_timeout(ROUND);
                }
                Err(ScanError::Ended(_)) => return,
                Err(error) => {
                    let source = &error as &dyn std::error::Error;
                    tracing::error!(
                        error = source,
                        "what is sealed cannot be matched with profiles"
                    );
                    std::thread::park_timeout(WAIT);
                }
            }
        }
    }

    /// Goes through one set with all versions that are at it; whether there was one.
    pub(super) fn round(&self) -> Result<bool, ScanError> {
        let sets = self.archive.sets();
        let Some((first, _)) = kept_days(&sets) else { return Ok(false) };
        let behind = self.behind(&sets, first);
        let Some(least) = behind.iter().map(|version| version.watermark).min() else {
            self.hits.forget(first);
            return Ok(false);
        };
        let at: Vec<_> = behind.iter().filter(|version| version.watermark == least).collect();
        let Some(set) = sets.iter().find(|set| set.last > least) else { return Ok(false) };
        let found = self.matched(set, &at, first)?;
        for (version, days) in at.iter().zip(found) {
            self.hits.add(version.id, set.last, days, first);
        }
        self.told.send_modify(|rounds| *rounds += 1);
        Ok(true)
    }

    /// The versions that were not gone through with the last set.
    fn behind(&self, sets: &[Arc<Set>], first: Day) -> Vec<Behind> {
        let last = super::scan::watermark(sets);
        let mut all = Vec::new();
        for profile in self.store.list(None, |_| true) {
            for version in profile.versions() {
                let id = (profile.id, version.number);
                let Some(days) = profile.days(version.number).filter(|days| days.1 >= first) else {
                    continue;
                };
                let watermark = self.hits.watermark(id);
                if watermark < last {
                    all.push(Behind { id, days, watermark, profile: Arc::clone(&profile) });
                }
            }
        }
        all
    }

    /// What each of `versions` hits in a set.
    fn matched(
        &self,
        set: &Arc<Set>,
        versions: &[&Behind],
        first: Day,
    ) -> Result<Vec<BTreeMap<Day, DayHits>>, ScanError> {
        let mut found = vec![BTreeMap::<Day, DayHits>::new(); versions.len()];
        let has = |(first, last): (Day, Day)| {
            set.kept().any(|part| first <= part.day && part.day <= last)
        };
        let mut matchers: Vec<(usize, (Day, Day), Matcher)> = Vec::new();
        for (place, behind) in versions.iter().enumerate() {
            let days = (behind.days.0.max(first), behind.days.1);
            let version = behind.profile.versions().find(|version| version.number == behind.id.1);
            let Some(version) = version.filter(|_| has(days)) else { continue };
            // Terms in the store have been checked.
            if let Ok(matcher) = version.terms.conditions.matcher() {
                matchers.push((place, days, matcher));
            }
        }
        let all = matchers.iter().map(|(_, days, _)| *days);
        let Some(days) = all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else { return Ok(found) };
        let scanned = Scan { archive: &self.archive, sets: std::slice::from_ref(set), days };
        scan(
            scanned,
            |entry| {
                let lodged = Lodged::from(entry);
                for (place, (first, last), matcher) in &matchers {
                    if (*first..=*last).contains(&entry.day)
                        && let Some(hit) = matcher.hit(&lodged)
                        && let Some(days) = found.get_mut(*place)
                    {
                        days.entry(entry.day).or_default().add(entry, hit);
                    }
                }
            },
            |_| match self.stop.load(Ordering::Acquire) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            },
        )?;
        Ok(found)
    }
}
