//! The rules: dated data files that a customs officer can read and edit, and judging by them.
//!
//! - [`law::Law`] is all files, checked; [`day_law::DayLaw`] what holds on one day; the files are
//!   in `data/`, described in `data/README.md`.
//! - [`judge::Judge`] judges one normalised declaration. Each family of tests has its module, whose
//!   first lines say what was decided where the law or the contract leaves it open: `form`
//!   (header, lengths), `parties`, `documents`, `procedures` (VAT route, IOSS), `value`
//!   (amounts, thresholds), `goods` (HS, restrictions, sanctions), `description`, `fallback`.
//! - [`shelf::Shelf`] keeps every file ever used; [`check`] is behind `waag rules`.
//!
//! Invariant: findings are a pure function of the normalised declaration, the law of its day, the
//! lodger and what the fallback is worth. Severities, thresholds, lists and sentences come
//! from the files, never from code.

mod builtin;
pub mod check;
pub mod day_law;
mod description;
mod documents;
mod edition;
pub mod error;
pub mod fallback;
pub mod finding;
mod form;
mod goods;
mod hs;
mod ioss;
pub mod judge;
pub mod law;
mod lists;
mod money;
mod parties;
mod procedures;
mod rule_set;
mod sentence;
pub mod shelf;
mod table;
mod value;
mod words;

use crate::id::EurCents;

pub use day_law::DayLaw;
pub use error::{LawError, Problem};
pub use fallback::FallbackCheck;
pub use form::lrn_is_usable;
pub use judge::Judge;
pub use law::Law;
pub use shelf::{LIST_SUFFIX, Shelf};

/// What the rules made of one declaration, beside its findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judgement {
    /// Some finding is of severity REJECT.
    pub rejected: bool,
    /// What was compared with the threshold: each goods item rounded half up to the cent, then
    /// added. 0 where some goods item's value could not be converted.
    pub intrinsic_value: EurCents,
    /// Duty owed at acceptance; 0 where rejected.
    pub duty: EurCents,
}

#[cfg(test)]
mod tests;
