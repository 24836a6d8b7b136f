//! Taking in batches: from the bytes of a message to the bytes of its answer.
//!
//! ```text
//!  submit ──jobs──▶ workers ──work──▶ committer ──answers──▶ workers ──fold──▶ fold
//!  (tokio)          read, judge,      settle, place,         write the         merge in journal
//!                   claim             write, sync            answer, delta     order
//!                                                                              │ checkpoints
//!                                                                              ▼
//!                                                                              catalog writer
//! ```
//!
//! Every channel up to the answer is bounded by the batches in flight, each of which has its share
//! of the [`budget`]; so no stage ever waits for a later one to make room. The way to the fold has
//! bounds of its own (`deltas`), and there workers wait while the fold is behind; it never waits
//! for them but for the next record, which always gets through, nor for the disk. So nothing can
//! block in a circle.
//!
//! - [`budget`]: what may be in work at once; `limits`: how much single declarants may lodge in a second.
//! - [`clock`]: the batch's one time.
//! - [`prepare`]: read in place, bounds, judge, digest. [`again`]: judging as it was done at first.
//! - [`laws`]: the law in force and all before it.
//! - [`record`]: what stands in the journal.
//! - `resume`: what a start goes on from. [`recover`]: the journal's records make the state again, judged a
//!   `bunch` at a time; `from_archive`: the archive's do.
//! - [`answer`]: verdicts to bytes.
//! - [`lookup`]: one declaration, by LRN or MRN.
//! - [`offline`]: judging without lodging. [`options`]: what the settings come to.
//! - `placed`: a batch of the journal, read once more; `archivist` makes the archive's rows of it;
//!   `sealing` is the thread that does so, and lets segments of the journal go.
//! - `retention`: days of the archive that are dropped, and what outlives them. `forgetting`: keys that do
//!   not.
//! - `figures`: what is told of all this to those who run a server.
//! - `finder`: the thread that keeps findings (see [`crate::insight`]) up with the archive.
//! - [`inspect`]: `waag verify`; [`rebuild`]: `waag rebuild`; [`export`]: `waag export`.
//! - `runs`: full tables on their way to disk, and merging there. `carried`: what runs carry for
//!   recovery. `kept_runs`: what verify and rebuild do with runs.
//!   `kept_days`: and with summaries, where days are dropped.

pub mod again;
pub mod answer;
pub mod budget;
pub mod clock;
pub mod engine;
pub mod export;
mod export_tables;
pub mod inspect;
pub mod laws;
pub mod lookup;
pub mod offline;
pub mod options;
pub mod prepare;
pub mod rebuild;
pub mod record;
pub mod recover;
pub mod refusal;

mod archivist;
mod bunch;
mod carried;
mod commit;
mod data_folder;
mod deltas;
mod figures;
mod finder;
mod folding;
mod forgetting;
mod from_archive;
mod kept_days;
mod kept_runs;
mod limits;
mod pace;
mod placed;
mod recover_error;
mod resume;
mod retention;
mod runs;
mod sealing;
mod start_error;
mod work;

#[cfg(test)]
pub(crate) mod tests;

pub use engine::{Engine, StartError};
