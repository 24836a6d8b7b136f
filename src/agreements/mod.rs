//! Agreements on wanted improvements ("afspraken over gewenste verbeteringen", DOMAIN 5.4): with one actor, on one
//! indicator, from a baseline to a target by a deadline; and how far each has come.
//!
//! - [`Terms`]: what is agreed, within its bounds; [`Draft`] before it has a baseline.
//! - [`Store`]: all agreements with all their versions, in a file that only grows (a [`crate::book`]).
//! - [`review`]: what the summaries say of one. Pure: of the terms, the actor's days and what day it is.
//!
//! Invariants:
//! - A version that was answered is on disk, and is never changed: another one follows it, and names the one that it
//!   replaces, so that of two who change one at a time the second is told.
//! - No figure of a review is stored. The baseline is part of what was agreed, and is: with the numbers it was
//!   made of, the days, and the watermark where the server computed it.
//! - Both sides see the same: a review does not depend on who asks.
//! - The calendar's day is handed over: nothing here asks the clock.
//!
//! An agreement has no filter by goods or route but the indicators that are by HS chapter
//! (`restricted_goods_rate:61`): summaries are kept by actor and day, and by nothing else.

mod agreement;
mod error;
mod known;
mod line;
mod review;
mod schedule;
mod store;
mod terms;
mod verdict;

pub use agreement::{Agreement, AgreementId, State, Version};
pub use error::{RecordError, Wrong};
pub use review::{DayFigure, DayPoint, Figure, Progress, Review, days_needed, review};
pub use store::Store;
pub use terms::{Baseline, Direction, Draft, NOTE_BYTES_MAX, Source, Terms};
pub use verdict::{Verdict, glide, verdict};

use crate::book::Kind;

#[cfg(test)]
mod tests;

/// Their book: some 20,000 versions with a short note. In memory they take about twice as much.
pub const BOOK: Kind = Kind {
    folder: "agreements",
    name: "agreements.jsonl",
    bytes_max: 16 << 20,
    line_bytes_max: line::LINE_BYTES_MAX,
    check: store::check,
};
