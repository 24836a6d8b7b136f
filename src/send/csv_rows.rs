//! Rows of CSV, cell by cell. Libraries take what follows a closing quotation mark into the cell: then a mark too
//! many makes one row of two that looks sound. Here such a row is at fault.

use std::io::{self, BufRead};

/// Bytes of a row at most: a quotation mark that is never closed would have the rest of the file held.
pub(super) const ROW_BYTES_MAX: usize = 4 << 20;

const STRAY: &str = "a quotation mark in it ends the cell, and text follows: double the marks that belong to a text";
const NOT_CLOSED: &str = "a quotation mark in it is not closed before the file ends";

/// Why there are no more rows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error(
        "the row has more than {ROW_BYTES_MAX} bytes, the most it may have: is a quotation mark in it not closed?"
    )]
    TooLong,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where in a row the next byte stands.
#[derive(Clone, Copy)]
enum State {
    BeforeRow,
    BeforeCell,
    Bare,
    Quoted,
    /// After a quotation mark in a quoted cell: the last one, or the first of two that stand for one.
    Closed,
}

/// Rows being read, one at a time.
pub(super) struct Rows<R> {
    reader: R,
    delimiter: u8,
    /// Where the next byte stands.
    line: u64,
    /// Where the row begins.
    begins_at: u64,
    /// All cells of the row, one after another.
    text: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    fault: Option<(usize, &'static str)>,
    spans_lines: bool,
}

impl<R: BufRead> Rows<R> {
    pub(super) fn new(reader: R, delimiter: u8) -> Self {
        Self {
            reader,
            delimiter,
            line: 1,
            begins_at: 1,
            text: Vec::new(),
            ends: Vec::new(),
            fault: None,
            spans_lines: false,
        }
    }

    /// Reads the next row; false at the end. Empty lines are none.
    pub(super) fn advance(&mut self) -> Result<bool, RowError> {
        self.text.clear();
        self.ends.clear();
        (self.fault, self.spans_lines) = (None, false);
        self.begins_at = self.line;
        let mut state = State::BeforeRow;
        let mut bytes = 0;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if buffer.is_empty() {
                return Ok(self.end(state));
            }
            let mut seen = 0;
            let mut is_done = false;
            for &byte in buffer {
                seen += 1;
                let is_end = matches!(byte, b'\r' | b'\n');
                if matches!(state, State::BeforeRow) && !is_end {
                    self.begins_at = self.line;
                    state = State::BeforeCell;
                }
                self.line += u64::from(byte == b'\n');
                state = match state {
                    State::BeforeRow => state,
                    State::BeforeCell if byte == b'"' => State::Quoted,
                    State::Quoted if byte == b'"' => State::Closed,
                    State::Quoted => {
                        self.spans_lines |= is_end;
                        self.text.push(byte);
                        state
                    }
                    _ if is_end => {
                        self.ends.push(self.text.len());
                        is_done = true;
                        break;
                    }
                    _ if byte == self.delimiter => {
                        self.ends.push(self.text.len());
                        State::BeforeCell
                    }
                    State::Closed if byte == b'"' => {
                        self.text.push(byte);
                        State::Quoted
                    }
                    State::Closed => {
                        self.fault.get_or_insert((self.ends.len() + 1, STRAY));
                        self.text.push(byte);
                        State::Bare
                    }
                    State::BeforeCell | State::Bare => {
                        self.text.push(byte);
                        State::Bare
                    }
                };
                bytes += usize::from(!matches!(state, State::BeforeRow));
                if bytes > ROW_BYTES_MAX {
                    return Err(RowError::TooLong);
                }
            }
            self.reader.consume(seen);
            if is_done {
                return Ok(true);
            }
        }
    }

    /// Whether the file ends with a row.
    fn end(&mut self, state: State) -> bool {
        match state {
            State::BeforeRow => return false,
            State::Quoted => {
                self.fault.get_or_insert((self.ends.len() + 1, NOT_CLOSED));
            }
            State::BeforeCell | State::Bare | State::Closed => {}
        }
        self.ends.push(self.text.len());
        true
    }

    /// The line that the row begins in.
    pub(super) fn begins_at(&self) -> u64 {
        self.begins_at
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| self.text.get(begin..end).unwrap_or_default())
    }

    /// The column of a quotation mark out of place, from 1, and what is wrong with it.
    pub(super) fn fault(&self) -> Option<(usize, &'static str)> {
        self.fault
    }

    /// Whether it may be several rows, by a quotation mark out of place.
    pub(super) fn is_torn(&self) -> bool {
        self.fault.is_some() && self.spans_lines
    }
}
