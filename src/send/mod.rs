//! Files of declarations sent to a service, with their verdicts written beside them.
//!
//! ```text
//! file ─ input ─ source ─ cutter ─ client::Lodging ─ lodge ─ verdict file
//!        bytes   JSON,    batches   in flight,       lines   and progress
//!                CSV ...            sent again
//! ```
//! - **input** (`input`): opens the file, takes gzip and zstd off.
//! - **source** (`source`): reads declarations or batches, and says of what it cannot read where it is. One
//!   file for each format.
//! - **cutter** (`cutter`): makes batches, the same ones each time the same file is read, and keeps a digest
//!   of all that was read so far.
//! - **lodge** (`lodge`): sends, and writes what comes back (`verdicts`), adding it up (`tally`).
//!
//! # Going on after an interruption
//! The verdict file has one line for each declaration, in the order of the input. What is written there is the
//! answer that the declaration *first* got: of a replay, which carries it, the first outcome. So it makes no
//! difference to the file whether a batch was answered when it was sent, or was answered before, unseen, by a
//! service whose answer did not arrive, or to a program that was killed before it wrote it down. What a file has
//! twice gets the same line twice.
//!
//! Beside it, a progress file says after each batch how many declarations and bytes of verdicts there are, with
//! a check of these bytes and the digest of the input so far. To go on, the verdict file is cut off at the last
//! batch that is whole, and the input is read again up to there: where its digest is another, the input has
//! changed. What comes behind may change, and a file may grow.

mod binary;
mod csv_rows;
mod csv_source;
mod cutter;
mod format;
mod input;
mod json_lines;
mod lodge;
mod parquet_source;
mod source;
mod tally;
mod verdicts;

pub use format::Format;
pub(crate) use input::{Input, Meter};
pub(crate) use lodge::{LodgeOptions, Lodged, Reporter, SendError, lodge};
pub(crate) use source::Unreadable;
pub(crate) use tally::{Tally, severity_word};
