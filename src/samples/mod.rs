//! The sampling frame ("steekproefkader", DOMAIN 5.5): plans by which goods items are selected at random, what controls
//! found of them, and what that says of all.
//!
//! - [`Terms`], [`Plan`]: which goods items, over which days, and how many: a fixed number, in strata or not, or each with
//!   a chance by its *expected* value.
//! - [`Secret`]: what selects. Its SHA-256 is published when the plan is recorded, before its first day, and the
//!   secret itself once its last day is over: nobody knows beforehand what will be selected, and everybody can check
//!   it afterwards.
//! - [`State`]: what is selected of what was gone through so far; [`Selection`] as it is told.
//! - [`Store`]: plans and outcomes of controls, in a file that only grows (a [`crate::book`]).
//! - [`estimate`]: what the outcomes say of all goods items, with bounds.
//!
//! Invariants:
//! - Whether a goods item is selected follows from the secret, its declarant, its LRN and its place in the declaration;
//!   of a fixed number also from which others there are. It does not depend on when it arrived, on replays, or on how records
//!   are divided over sets.
//! - A plan never changes: another one is recorded, with another secret.
//! - Only outcomes of goods items that were selected are extrapolated. Everything else that was controlled stands apart
//!   as targeted; nobody says which of the two an outcome is, it follows from the selection.
//! - A monetary unit sample picks by *expected* value (mass times value per kg, stated in the plan), not by declared
//!   value, by which an undervalued parcel would have the least chance of all.
//! - Selections are derived: a pure function of the archive and the plan. Days past their retention cannot be gone
//!   through any more, and are told as missing.

mod draw;
mod error;
mod estimate;
mod known;
mod line;
mod plan;
mod selection;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use draw::{Draw, ItemId, Secret};
pub use error::{RecordError, Wrong};
pub use estimate::{Estimate, Level, MonetaryEstimate, StratumEstimate, Targeted, estimate};
pub use plan::{Method, Outcome, PerKg, Plan, PlanId, STRATA_MAX, Stratum, Terms};
pub use selection::{Selected, SelectedStratum, Selection};
pub use state::{Selector, State};
pub use store::{PlanOutcomes, Store};

use crate::book::Kind;

/// Their book: plans, and some 200,000 outcomes.
pub const BOOK: Kind = Kind {
    folder: "samples",
    name: "samples.jsonl",
    bytes_max: 64 << 20,
    line_bytes_max: line::LINE_BYTES_MAX,
    check: store::check,
};
