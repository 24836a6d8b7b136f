//! The rows of one table from one part of the archive: runs in order, of [`RUN_ROWS`] rows before equal keys are put
//! together, and the part's lodgers.
//!
//! A [block file](super::block_file) whose kind is the table's number. Blocks labelled with a number from 1 on
//! (4 bytes, big endian) are those of the run of that number; those labelled 0, which come last, the lodgers.

use std::ops::Range;
use std::path::Path;

use super::block_file::{BLOCK_BYTES, BlockFile, BlockWriter, Heading};
use super::error::InsightError;
use super::lodgers::{self, Lodger};
use super::row::{Row, put_in_order};
use crate::fields::Fields;

/// Rows that are put in order at once: 6 MiB for each table.
pub(super) const RUN_ROWS: usize = 1 << 17;

/// Writes the rows of one table.
#[derive(Debug)]
pub(super) struct KeyWriter {
    file: BlockWriter,
    rows: Vec<Row>,
    run_rows: usize,
    run: u32,
    block: Vec<u8>,
}

impl KeyWriter {
    /// Begins a file; `run_rows` rows are put in order at once.
    pub(super) fn create(
        path: &Path,
        heading: &Heading,
        run_rows: usize,
    ) -> Result<Self, InsightError> {
        let file = BlockWriter::create(path, heading)?;
        let block = Vec::with_capacity(BLOCK_BYTES + 64);
        Ok(Self { file, rows: Vec::new(), run_rows, run: 0, block })
    }

    pub(super) fn add(&mut self, row: Row) -> Result<(), InsightError> {
        self.rows.push(row);
        if self.rows.len() < self.run_rows {
            return Ok(());
        }
        put_in_order(&mut self.rows);
        // Rows that meet make room; where few do, a run is written.
        if self.rows.len() > self.run_rows / 2 { self.end_run() } else { Ok(()) }
    }

    fn end_run(&mut self) -> Result<(), InsightError> {
        put_in_order(&mut self.rows);
        self.run += 1;
        let label = self.run.to_be_bytes();
        let mut before = None;
        for row in &self.rows {
            row.encode(before, &mut self.block);
            before = Some(row);
            if self.block.len() >= BLOCK_BYTES {
                self.file.block(&label, &self.block)?;
                self.block.clear();
                before = None;
            }
        }
        if !self.block.is_empty() {
            self.file.block(&label, &self.block)?;
            self.block.clear();
        }
        self.rows.clear();
        Ok(())
    }

    /// Writes what is left, and the lodgers.
    pub(super) fn finish(mut self, lodgers: &[Lodger]) -> Result<(), InsightError> {
        if !self.rows.is_empty() {
            self.end_run()?;
        }
        for lodger in lodgers {
            lodgers::encode(lodger, &mut self.block);
            if self.block.len() >= BLOCK_BYTES {
                self.file.block(&[0; 4], &self.block)?;
                self.block.clear();
            }
        }
        if !self.block.is_empty() {
            self.file.block(&[0; 4], &self.block)?;
        }
        self.file.finish()
    }
}

/// Such a file open for reading.
#[derive(Debug)]
pub(super) struct KeyFile {
    file: BlockFile,
}

impl KeyFile {
    pub(super) fn open(path: &Path, heading: &Heading) -> Result<Self, InsightError> {
        Ok(Self { file: BlockFile::open(path, heading)? })
    }

    pub(super) fn lodgers(&self) -> Result<Vec<Lodger>, InsightError> {
        let mut list = Vec::new();
        for at in (0..self.file.len()).filter(|at| self.file.label(*at) == [0; 4]) {
            let bytes = self.file.read(at)?;
            let mut rest = Fields(&bytes);
            while !rest.0.is_empty() {
                let lodger = lodgers::decode(&mut rest);
                list.push(lodger.ok_or_else(|| self.malformed(at))?);
            }
        }
        Ok(list)
    }

    /// The blocks of each run.
    pub(super) fn runs(&self) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for at in (0..self.file.len()).filter(|at| self.file.label(*at) != [0; 4]) {
            match runs.last_mut() {
                Some(run) if at > 0 && self.file.label(at - 1) == self.file.label(at) => {
                    run.end = at + 1;
                }
                _ => runs.push(at..at + 1),
            }
        }
        runs
    }

    pub(super) fn block(&self, at: usize) -> Result<Vec<u8>, InsightError> {
        self.file.read(at)
    }

    pub(super) fn malformed(&self, at: usize) -> InsightError {
        InsightError::damaged(self.file.path(), format!("block {at} is malformed"))
    }
}
