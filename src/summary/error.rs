//! What can go wrong in folding and in reading.

use crate::catalog::CatalogError;
use crate::day::Day;
use crate::id::Watermark;
use crate::summary::DayFileError;

/// The fold cannot go on. Every one of these is fatal for the server: a fold that has lost its
/// place must not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A file of a closed day failed.
    #[error(transparent)]
    DayFile(#[from] DayFileError),
    /// It cannot be made again.
    #[error(
        "the summaries are lost ({reason}), and cannot be made again: the archive has dropped days up to \
         {day}, and {why}. Restore `catalog` and `archive/summary`, or `archive/snapshot` and \
         `archive/summary`, from a backup"
    )]
    Lost {
        /// What is wrong with the catalog.
        reason: String,
        /// The last day that is dropped.
        day: Day,
        /// What is wrong with the snapshot.
        why: String,
    },
    /// A checkpoint was to be made while another is being written: a defect of the caller.
    #[error("a checkpoint was to be made while another was under way")]
    UnderWay,
    /// Records came out of order: a defect of the caller.
    #[error("record {found:?} was to be folded where {expected:?} is next")]
    OutOfOrder {
        /// The record after the last one folded.
        expected: Watermark,
        /// The record given.
        found: Watermark,
    },
}

/// A summary could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A file of a closed day failed.
    #[error("a closed day of the summary cannot be read: {0}; `waag rebuild` makes it again")]
    DayFile(#[from] DayFileError),
    /// Days were being closed or reopened each time it was tried.
    #[error("days of the summary kept changing places while it was read; try again")]
    Unsettled,
    /// The fold stopped.
    #[error("the fold has stopped")]
    Stopped,
}
