//! How each actor declares: the fold of the journal per (role, actor, day), and what is read
//! from it.
//!
//! - [`Facts`] is what one declaration contributes, made by the worker that judged it; a
//!   [`Delta`] is the contribution of one batch.
//! - [`Fold`] merges deltas in journal order, keeps open days in the catalog and writes each
//!   closed day to a file of its own. One thread owns it; a [`Checkpoint`] that it prepared may be
//!   written by another, while it goes on merging.
//! - A [`Snapshot`] of the fold is kept where days of the archive are dropped, of which it could not be
//!   made again.
//! - [`Board`] is what everyone else reads. A read sees the fold at exactly one watermark.
//!
//! ```text
//! worker: Facts ─ Delta ─▶ fold thread: Fold ─┬─ State (memory) ◀─ Board: Get, List, Watch
//!                                             ├─ catalog (sled): open days, known ids, watermark
//!                                             └─ archive/summary/day=…/summary-N.waag: closed days
//! ```
//!
//! Invariants:
//! - Each figure is the fold of the journal's first `watermark` records, whichever days are
//!   closed and however often the process stopped in between; [`Fold::digest`] compares two folds.
//! - State holds integers only, and adding saturates: sums of unsigned numbers that saturate do
//!   not depend on their order. Rates and intervals are computed when asked for.
//! - A replay changes `replayed` and nothing else.
//! - What arrives with a fallback reference counts under its declarant and that reference as well.
//! - An actor is an id that was well formed in at least one declaration. Past `actors_max` ids of
//!   a role, counted over all days, a new one folds into `(other)`, which is not counted itself.

mod actors;
mod board;
mod checkpoint;
mod columns;
mod comparing;
mod counters;
mod daily;
mod day_file;
mod day_files;
mod delay;
mod delta;
mod error;
mod facts;
mod fold;
mod goods;
mod history;
mod indicators;
mod opening;
mod page_token;
mod ranking;
mod reconciliation;
mod references;
mod snapshot;
mod state;
mod stored;
#[cfg(test)]
mod tests;
mod totals;
mod whose;

pub use actors::{ActorId, IossNumber, OTHER, Role};
pub use board::{Board, Cursor, ListQuery, Order, Page, Period, Summary};
pub use checkpoint::{Checkpoint, Checkpointed};
pub use comparing::FoldDigest;
pub use counters::{Counters, ReasonCount, VALUE_BUCKETS};
pub use day_file::DayFileError;
pub use day_files::verify_day_files;
pub use delay::{DELAYS, Delay, late};
pub use delta::{Delta, Event};
pub use error::{FoldError, QueryError};
pub use facts::Facts;
pub use fold::Fold;
pub(crate) use goods::joins_goods;
pub use history::{
    HISTORY_DAYS_MAX, HISTORY_PEER_DAYS_MAX, History, HistoryDay, HistoryQuery,
    PEER_DENOMINATOR_MIN, PeerFigure,
};
pub use indicators::{
    Description, Indicator, descriptions, indicators, is_indicator, is_proportion,
    proportion_inputs,
};
pub use opening::{Dropped, FoldOptions, Opened, SUMMARY_FOLDER, erase_derived};
pub(crate) use page_token::{NO_TOKEN, of_token, put_period, to_token};
pub use page_token::{read_reference_token, read_token, write_reference_token, write_token};
pub use reconciliation::{Reconciliation, Reconciliations, ReconciliationsQuery};
pub use references::FallbackReference;
pub use snapshot::{SNAPSHOT_FOLDER, Snapshot, SnapshotError, Snapshots, snapshot_path};
pub use totals::{ClosedTotals, Totals};

/// How many ids of a role, and how many fallback references, get figures of their own until the journal
/// says otherwise. Bounds the fold's memory: an entry takes about 0.5 KiB, so that an open day has at
/// most 3 × 100,000 × 0.5 KiB = 150 MB, and as much again for references and `(other)` of each declarant
/// with one; and of open days there are two or three. Real days have about 35 declarants and
/// 10,000 IOSS numbers: 5 MB.
pub const ACTORS_MAX_DEFAULT: u32 = 100_000;
