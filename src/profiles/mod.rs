//! Risk profiles: analysts' own dated rules, which flag what arrives from their date on, and can be tried on the past
//! first.
//!
//! - [`Conditions`]: what a profile looks for, within its bounds; [`Matcher`] the same, ready to match.
//! - [`Terms`], [`Profile`]: conditions with name, purpose, owner and days; all versions of one.
//! - [`Store`]: all profiles with all their versions, in a file that only grows (a [`crate::book`]).
//! - [`scan`]: goes through what is sealed, day by day. [`Trial`] is what a candidate would have hit there.
//! - [`Follower`]: the thread that matches what is sealed with the profiles in force; [`Hits`] what it found.
//!
//! Invariants:
//! - A profile changes no verdict and takes no time of the path of an answer: it is matched with what is sealed in
//!   the archive, by one thread of the lowest priority.
//! - A profile says something of days from that on which it was recorded, never of earlier ones. What it flagged on a
//!   day that is over does not change: a version that replaces another begins on the day of its recording or later.
//! - Hits are derived: a pure function of the archive and of the profiles, made again at a start. They are
//!   stated with their watermark, the last record that they contain. A [`Trial`] over the same days is made by the same
//!   code, and finds the same.
//! - Only declarations that were accepted are matched, each once: replays, rejections and conflicts are none.
//! - Every bound is explicit: profiles, versions, conditions, the size of a compiled pattern, days and examples kept.
//!   Patterns are matched in time linear in the text (the crate `regex`), whatever they are.
//! - What is kept of a hit names no private person: MRN, LRN, declarant and which goods item.
//! - The calendar's day is handed over: nothing here asks the clock.

mod conditions;
mod error;
mod follower;
mod hits;
mod known;
mod line;
mod matcher;
mod profile;
mod scan;
mod store;
mod terms;
#[cfg(test)]
mod tests;
mod trial;

pub use conditions::{Conditions, Range};
pub use error::{RecordError, Wrong};
pub use follower::Follower;
pub use hits::{DayHits, EXAMPLES_MAX, Example, HIT_DAYS_MAX, Hits, VersionHits, kept_days};
pub use matcher::{Hit, Lodged, Matcher};
pub use profile::{Profile, ProfileId, State, Version};
pub use scan::{Scan, ScanError, Scanned, scan};
pub use store::Store;
pub use terms::{TEXT_BYTES_MAX, Terms};
pub use trial::{DECLARANTS_MAX, Share, Totals, Trial};

use crate::book::Kind;

/// Their book: some 10,000 versions with ten conditions each.
pub const BOOK: Kind = Kind {
    folder: "profiles",
    name: "profiles.jsonl",
    bytes_max: 16 << 20,
    line_bytes_max: line::LINE_BYTES_MAX,
    check: store::check,
};
