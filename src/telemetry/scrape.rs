//! One scrape: everything is read, and written down.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use super::exposition::Exposition;
use super::figures::Figures;
use super::process::Process;
use super::recording::Telemetry;
use crate::summary::{Board, ClosedTotals, Role, Totals};

/// Reads all that is told, of a server that may still be recovering.
pub struct Scrape {
    telemetry: Telemetry,
    began: (SystemTime, Instant),
    recovered: OnceLock<Recovered>,
    /// Held during a scrape: of several at once one reads after the other.
    closed: Mutex<ClosedTotals>,
}

/// What there is once recovery has ended.
struct Recovered {
    board: Board,
    figures: Box<dyn Fn() -> Figures + Send + Sync>,
}

impl Scrape {
    /// Of what `telemetry` records, with no more than `actors_max` declarants apart.
    #[must_use]
    pub fn new(telemetry: Telemetry, actors_max: u32) -> Self {
        Self {
            telemetry,
            began: (SystemTime::now(), Instant::now()),
            recovered: OnceLock::new(),
            closed: Mutex::new(ClosedTotals::new(Role::Declarant, actors_max)),
        }
    }

    /// Recovery has ended: from here on summaries and figures of the engine are told too.
    pub fn recovered(&self, board: Board, figures: impl Fn() -> Figures + Send + Sync + 'static) {
        // Who comes second changes nothing: there is one engine.
        let _ = self.recovered.set(Recovered { board, figures: Box::new(figures) });
    }

    /// The figures as OpenMetrics text. Blocks: microseconds to seconds, most of it for the first one
    /// after a start, which reads every closed day.
    ///
    /// # Errors
    /// Never, as far as is known: the encoder writes to memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        self.read().text()
    }

    /// The figures that show how the server does, as JSON. Blocks as [`Self::text`] does.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        self.read().json()
    }

    fn read(&self) -> Exposition {
        let recovered = self.recovered.get();
        Exposition {
            recording: self.telemetry.read(),
            process: Process::read(self.began),
            figures: recovered.map(|recovered| (recovered.figures)()),
            totals: recovered.and_then(|recovered| self.totals(&recovered.board)),
        }
    }

    /// Where a closed day cannot be read all else is told all the same.
    fn totals(&self, board: &Board) -> Option<Totals> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = board.totals(&mut closed);
        totals.inspect_err(|error| tracing::error!(%error, "no figures of declarants")).ok()
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").field("telemetry", &self.telemetry).finish_non_exhaustive()
    }
}
