//! Keeps findings up with the archive, in a thread of its own with the lowest priority, which rests twice as long as it
//! worked: under the highest load a day is made again with each set that is sealed, and that grows with the day. What
//! goes wrong here, a panic too, is logged, told to those who read findings and to those who run the server, and tried
//! again: it stops nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, TryRecvError};

use super::engine::folders;
use crate::archive::Archive;
use crate::config::Config;
use crate::insight::{self, Findings, Insight, InsightError, Keys};
use crate::mrn::Mint;
use crate::secrets::Secrets;

/// Between two looks for what was sealed: sets come minutes apart, or seconds under the highest load.
const ROUND: Duration = Duration::from_secs(1);
/// After a round, in times of what it took: so findings have a third of a processor at most, and lag behind what is
/// sealed by some three rounds.
const RESTS: u32 = 2;
/// However long a round took.
const REST_MAX: Duration = Duration::from_secs(600);
/// After something went wrong.
const AGAIN: Duration = Duration::from_secs(30);
/// As sealing has it.
const NICER: i32 = 19;

/// The thread.
#[derive(Debug)]
pub(super) struct Finder {
    insight: Insight,
    /// Closed when the server stops.
    until: Receiver<()>,
    is_failing: bool,
}

impl Finder {
    /// Over the data folder of `config`, with what is there taken up; none where findings are switched off. What there
    /// was of them is removed then: nobody would keep it within its retention.
    pub(super) fn begin(
        config: &Config,
        secrets: &Secrets,
        mint: &Mint,
        archive: &Archive,
        until: &Receiver<()>,
    ) -> Option<Self> {
        let root = config.data_dir.join(folders::INSIGHT);
        if !config.findings {
            if let Err(error) = insight::remove(&root) {
                let source = &error as &dyn std::error::Error;
                tracing::error!(error = source, "findings are switched off, and some are left");
            }
            return None;
        }
        let keys = Keys::new(secrets.pseudonym());
        let insight = Insight::new(&root, secrets.identity(), keys, mint.clone(), archive.clone());
        let mut finder = Self { insight, until: until.clone(), is_failing: false };
        finder.act(|insight, _| insight.open().map(|()| false));
        Some(finder)
    }

    /// What others read.
    pub(super) fn findings(&self) -> Findings {
        self.insight.findings()
    }

    /// Runs until the server stops.
    pub(super) fn run(mut self) {
        // Where that is refused it runs like the others.
        let _ = rustix::process::nice(NICER);
        let mut wait = ROUND;
        while self.until.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            let began = Instant::now();
            let Some(next) = self.act(|insight, is_stopping| insight.round(is_stopping)) else {
                return;
            };
            wait = next.max(rest_after(began.elapsed()));
        }
    }

    /// Does something of which it comes out whether there is more to do. How long to wait then; `None` where the
    /// server stops.
    fn act(
        &mut self,
        act: impl FnOnce(&mut Insight, &dyn Fn() -> bool) -> Result<bool, InsightError>,
    ) -> Option<Duration> {
        let Self { insight, until, is_failing } = self;
        let is_stopping = || until.try_recv() == Err(TryRecvError::Disconnected);
        // What is published is whole at any time, files are written again, and keys are begun anew: nothing else is
        // kept from one round to the next.
        match catch_unwind(AssertUnwindSafe(|| act(insight, &is_stopping))) {
            Ok(Ok(is_more)) => {
                if std::mem::take(is_failing) {
                    tracing::info!("findings go on");
                    insight.tell(false);
                }
                return Some(if is_more { Duration::ZERO } else { ROUND });
            }
            Ok(Err(InsightError::Stopping)) => return None,
            Ok(Err(error)) => {
                let source = &error as &dyn std::error::Error;
                tracing::error!(error = source, "findings do not come further: it is tried again");
            }
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                tracing::error!(
                    panic = text.unwrap_or("without a text"),
                    "findings do not come further: it is tried again"
                );
            }
        }
        *is_failing = true;
        insight.tell(true);
        Some(AGAIN)
    }
}

fn rest_after(work: Duration) -> Duration {
    work.saturating_mul(RESTS).min(REST_MAX)
}

#[cfg(test)]
#[path = "finder_tests.rs"]
mod tests;
