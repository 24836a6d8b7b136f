//! Cases of customs law played against a service that speaks the contract (`waag.v1.Lodgement`), to see
//! where it differs. Behind `waag conformity`.
//!
//! The cases are data, `cases/*.json`: a file for each family, in it the rules of law with their basis, and
//! under each its cases. `kit` reads them, `batch` makes batches of them for one day and one run, `play`
//! sends these to a `service` and `compare` holds what comes against what is expected; `report` shows it.
//! The worked cases of `tests/cases.json` are among them, with the days on which they hold.
//!
//! Three things are kept apart: what the law or the contract says (a difference), what a service is free in
//! (a note: texts, the order of findings beyond REJECT first, flags that a case does not speak of), and what
//! cannot be played (skipped, with the reason: a case that is not in force, a caller who may not).
//!
//! Invariants: every reason of the contract is drawn by two cases at least, and stood at by another that
//! does not draw it, or is in `cases/uncovered.json` with the reason why not; every case holds for Waag's
//! own rules on each of its days (the tests see to both).

mod batch;
mod case;
mod compare;
mod grpc;
mod kit;
mod play;
mod report;
mod service;
mod worked;

pub use case::Case;
pub use kit::{Kit, KitError, Uncovered};
pub use play::{Playing, Settings, Stopped};
pub use report::{Count, Difference, Played, Report, State};

#[cfg(test)]
mod tests;
