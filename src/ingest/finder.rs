//! Keeps findings up with the archive, in a thread of its own with the lowest priority. What goes wrong here is
//! logged, told to those who read findings, and tried again: it stops nothing else.

use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, TryRecvError};

use crate::insight::{Insight, InsightError};

/// Between two looks for what was sealed: sets come minutes apart, or seconds under the highest load.
const ROUND: Duration = Duration::from_secs(1);
/// After something went wrong.
const AGAIN: Duration = Duration::from_secs(30);
/// As sealing has it.
const NICER: i32 = 19;

/// The thread.
#[derive(Debug)]
pub(super) struct Finder {
    pub(super) insight: Insight,
    /// Closed when the server stops.
    pub(super) until: Receiver<()>,
}

impl Finder {
    /// Runs until the server stops.
    pub(super) fn run(self) {
        // Where that is refused it runs like the others.
        let _ = rustix::process::nice(NICER);
        let Self { mut insight, until } = self;
        let is_stopping = || until.try_recv() == Err(TryRecvError::Disconnected);
        let (mut wait, mut is_failing) = (ROUND, false);
        while until.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = match insight.round(&is_stopping) {
                Ok(is_more) => {
                    if std::mem::take(&mut is_failing) {
                        tracing::info!("findings go on");
                        insight.tell(false);
                    }
                    if is_more { Duration::ZERO } else { ROUND }
                }
                Err(InsightError::Stopping) => return,
                Err(error) => {
                    let source = &error as &dyn std::error::Error;
                    tracing::error!(
                        error = source,
                        "findings do not come further: it is tried again"
                    );
                    is_failing = true;
                    insight.tell(true);
                    AGAIN
                }
            };
        }
    }
}
