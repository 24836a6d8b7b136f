//! What rows can be put into: a set of the archive, or files for others.

use super::error::ArchiveError;
use super::rows::{BatchRow, DeclarationRow, ReplayRow};
use super::set_writer::SetWriter;
use super::writer::ArchiveWriter;
use crate::day::Day;
use crate::id::Watermark;

/// Takes rows in the order of the journal, record after record.
pub trait TakesRows {
    /// The rows that follow are those of record `record`, a batch of day `day`.
    ///
    /// # Errors
    /// Where files cannot be written, and where records are out of order.
    fn begin(&mut self, record: Watermark, day: Day) -> Result<(), ArchiveError>;

    /// Adds a batch. `day` is that for which [`Self::begin`] was called, here and below.
    ///
    /// # Errors
    /// Where files cannot be written.
    fn batch(&mut self, day: Day, row: &BatchRow<'_>) -> Result<(), ArchiveError>;

    /// Adds a declaration with its goods items and findings.
    ///
    /// # Errors
    /// Where files cannot be written.
    fn declaration(&mut self, day: Day, row: &DeclarationRow<'_, '_>) -> Result<(), ArchiveError>;

    /// Adds a replay.
    ///
    /// # Errors
    /// Where files cannot be written.
    fn replay(&mut self, day: Day, row: &ReplayRow<'_>) -> Result<(), ArchiveError>;
}

macro_rules! takes_rows {
    ($($taker:ty),+) => {$(
        impl TakesRows for $taker {
            fn begin(&mut self, record: Watermark, day: Day) -> Result<(), ArchiveError> {
                self.begin(record, day)
            }

            fn batch(&mut self, day: Day, row: &BatchRow<'_>) -> Result<(), ArchiveError> {
                self.batch(day, row)
            }

            fn declaration(
                &mut self,
                day: Day,
                row: &DeclarationRow<'_, '_>,
            ) -> Result<(), ArchiveError> {
                self.declaration(day, row)
            }

            fn replay(&mut self, day: Day, row: &ReplayRow<'_>) -> Result<(), ArchiveError> {
                self.replay(day, row)
            }
        }
    )+};
}

takes_rows!(SetWriter, ArchiveWriter);
