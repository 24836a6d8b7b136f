//! Why recovery fails, in sentences for the one who starts a server.

use super::laws::LawsError;
use super::record::RecordError;
use crate::archive::ArchiveError;
use crate::day::Day;
use crate::index::run::RunError;
use crate::summary::FoldError;

/// Why the journal's records do not make a state to go on from.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// A record cannot be read.
    #[error("record {number}: {source}")]
    Record {
        /// Its number.
        number: u64,
        /// What is wrong.
        source: RecordError,
    },
    /// A law cannot be had.
    #[error("record {number}: {source}")]
    Law {
        /// The record's number.
        number: u64,
        /// What is wrong.
        source: LawsError,
    },
    /// A batch that was taken at first is refused now.
    #[error("record {number}: its batch cannot be judged again: {reason}")]
    Batch {
        /// The record's number.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// A batch comes out otherwise than its record says.
    #[error(
        "record {number}: declaration {index} comes out as {found}, and the journal says {written}"
    )]
    Differs {
        /// The record's number.
        number: u64,
        /// The declaration's index in the batch.
        index: usize,
        /// What it is now.
        found: String,
        /// What it was.
        written: String,
    },
    /// Days would be counted in another zone than they were.
    #[error(
        "the journal counts days in {journal}, and the setting time_zone is {configured}: it cannot \
         be changed once something has been lodged"
    )]
    TimeZone {
        /// The zone of the journal.
        journal: String,
        /// That of the settings.
        configured: String,
    },
    /// What is forgotten was known before, or was never there.
    #[error(
        "record {number}: keys before declaration {found} are forgotten from there on, which must be \
         from {least} to {most}"
    )]
    Forgotten {
        /// The record's number.
        number: u64,
        /// What it says.
        found: u64,
        /// What was forgotten before.
        least: u64,
        /// How many declarations there were.
        most: u64,
    },
    /// Where keys are forgotten another table takes over.
    #[error("record {number}: there is no memory for another table: set memory_max higher")]
    NoTable {
        /// The record's number.
        number: u64,
    },
    /// There is no memory for another table, or nowhere to write one that is full.
    #[error("{0}: set memory_max higher")]
    Full(#[from] crate::index::NoRoom),
    /// A run cannot be written or read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The runs say of another journal what stands in it.
    #[error(
        "record {number} stands elsewhere than the runs say: they are not this journal's; `waag \
         rebuild` makes them again"
    )]
    Elsewhere {
        /// The last record of the runs.
        number: u64,
    },
    /// The system gives no memory.
    #[error("memory for the index: {0}")]
    Memory(#[from] std::io::Error),
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Runs would have to be made again of what is past its retention.
    #[error(
        "the archive has dropped days up to {day}, and runs must have their keys, which cannot be made \
         again: {why}. Restore `runs` from a backup; without them what was lodged then would be \
         accepted a second time"
    )]
    Dropped {
        /// The last day that is dropped.
        day: Day,
        /// What is wrong with the runs.
        why: String,
    },
    /// The fold failed.
    #[error(transparent)]
    Fold(#[from] FoldError),
}
