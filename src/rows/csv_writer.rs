//! Batches as CSV.

use std::io::{self, Write};

use super::columns::COLUMNS;
use super::writing::each_row;
use crate::proto::v1::SubmitBatchRequest;

/// Writes all columns, and a row for each goods item.
pub(crate) struct CsvWriter<W: Write> {
    out: csv::Writer<W>,
    declarations: u64,
}

impl<W: Write> std::fmt::Debug for CsvWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvWriter")
            .field("declarations", &self.declarations)
            .finish_non_exhaustive()
    }
}

impl<W: Write> CsvWriter<W> {
    /// Begins with the names of the columns.
    ///
    /// # Errors
    /// What `out` says.
    pub(crate) fn new(out: W) -> io::Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(COLUMNS.iter().map(|column| column.name)).map_err(io_error)?;
        Ok(Self { out, declarations: 0 })
    }

    /// # Errors
    /// What `out` says.
    pub(crate) fn write(&mut self, batch: &SubmitBatchRequest) -> io::Result<()> {
        let Self { out, declarations } = self;
        each_row(batch, declarations, |cells| out.write_record(cells).map_err(io_error))
    }

    /// # Errors
    /// What `out` says.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
