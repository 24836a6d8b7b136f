//! Signals: which declarants stand out over some weeks, in which way and since when.
//!
//! An indicator says what a day was like; that one is high once says little. A [`Signal`] is what is left where it
//! is high by more than chance, by more than among the others, and by more than other figures explain.
//!
//! ```text
//! summaries and findings of each day ─▶ Figures ─▶ windows ─▶ RULES: lower bound > usual + above ─▶ Signal
//! ```
//!
//! # How it is decided
//! For each declarant and [`Rule`], over all days and over each seven of them:
//! 1. numerators and denominators are added up, and divided: the value;
//! 2. its lower bound at 4 standard deviations is taken (Wilson 1927; of a quotient of two counts by the standard error
//!    of its logarithm), so that one with few declarations has to be all the higher;
//! 3. what other figures of the same days explain is taken off: goods that were merged fit their code badly, too;
//! 4. there is a signal if that is above what is usual by the rule's [`above`](Rule::above). Usual is the median of the
//!    other declarants' values over all days, the declarant itself left out.
//!
//! The days on which it is strongest are named. Nothing is learned from data when it runs; the bounds of the rules were
//! set on worlds of which the truth is known, and tried on others (`docs/insight.md` in the source).
//!
//! # What a signal does not say
//! That anything is wrong. It is a reason to look at the declarations behind a figure and to ask; it changes no verdict.

mod input;
mod reading;
mod rule;
mod scan;
#[cfg(test)]
mod tests;

pub use input::Figures;
pub use reading::{DAYS_MAX, DECLARANTS_MAX, Signals, SignalsError, days_of, read};
pub use rule::{RULES, Rule};
pub use scan::{Series, Signal, scan};
