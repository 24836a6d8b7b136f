//! What the server tells of itself: figures for Prometheus, and its log.
//!
//! ```text
//! worker, committer, services ─▶ Telemetry: atomics ─┐
//! engine: Figures, read when asked ──────────────────┼─▶ Scrape ─▶ exposition (OpenMetrics) ─▶ listener
//! summary::Board: declarants, exact at a watermark ──┘
//! ```
//! - [`Telemetry`] is the handle through which others record what only they see; `histogram`: durations
//!   and sizes by bucket.
//! - [`Figures`] is what is read of the engine when it is asked for. `process`: of the process.
//! - [`Scrape`] reads all of it; `exposition` and `declarants` write it down.
//! - [`listener`]: `GET /metrics` over HTTP.
//! - [`log`]: as text, or as JSON for programs. [`Trace`]: of some batches, over OTLP.
//!
//! # What it costs
//! Recording is atomic additions, a few for each batch and each group, never for a declaration: no lock,
//! no allocation. All else is read at a scrape, on a thread that may block, one scrape at a time.
//!
//! # What it tells of whom
//! Of declarants their EORI, which is a number of a register of businesses, and counts; of other persons
//! nothing. No more than `metrics_actors_max` declarants stand apart; the others are summed as
//! `(other)`. Reasons and outcomes are from fixed lists, so that the number of series is bounded: with
//! 200 declarants and 43 reasons there are at most 201 × (4 + 3 + 43) = 10,050 of these.

mod declarants;
mod exposition;
mod figures;
mod histogram;
pub mod listener;
pub mod log;
mod process;
mod recording;
mod scrape;
mod traces;
mod vitals;

pub use figures::{Figures, FindingsFigures, InFlight, IndexFigures, JournalFigures};
pub(crate) use recording::code_name;
pub use recording::{OpenConnection, Service, Telemetry};
pub use scrape::Scrape;
pub use traces::{Stage, Trace, TraceParent, Traced, TracesError};
