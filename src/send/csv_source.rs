//! CSV: one row a goods item, the names of the columns in the first row. Commas, semicolons or tabs between
//! the cells, whichever comes first.

use std::borrow::Cow;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::source::{Read, Source, Unreadable, given};
use crate::rows::{Assembler, Cell, Header, HeaderError};

/// Bytes of a row at most: a quotation mark that is never closed would have the rest of the file held.
const ROW_BYTES_MAX: usize = 4 << 20;

/// Why a file is no CSV of declarations.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CsvError {
    #[error("line 1: {0}")]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Csv(#[from] csv::Error),
}

/// Gives no more than it may until it is given more room.
struct Bounded<R> {
    inner: R,
    room: Arc<AtomicUsize>,
}

impl<R: io::Read> io::Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.room.load(Ordering::Relaxed);
        if room == 0 {
            let told = format!(
                "the row has more than {ROW_BYTES_MAX} bytes, the most it may have: is a quotation mark in it not closed?"
            );
            return Err(io::Error::other(told));
        }
        let most = buffer.len().min(room);
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.room.store(room - read, Ordering::Relaxed);
        Ok(read)
    }
}

/// Rows being read.
pub(super) struct CsvSource<R> {
    reader: csv::Reader<Bounded<R>>,
    room: Arc<AtomicUsize>,
    record: csv::ByteRecord,
    assembler: Assembler,
    has_ended: bool,
    /// What comes after what was given last.
    last: Option<Unreadable>,
}

impl<R: BufRead> CsvSource<R> {
    /// # Errors
    /// Where the first row does not name columns.
    pub(super) fn new(mut reader: R) -> Result<Self, CsvError> {
        let first = reader.fill_buf().map_err(csv::Error::from)?;
        let delimiter = first.iter().find(|byte| matches!(byte, b',' | b';' | b'\t' | b'\n'));
        let delimiter = delimiter.copied().filter(|&byte| byte != b'\n').unwrap_or(b',');
        let room = Arc::new(AtomicUsize::new(ROW_BYTES_MAX));
        let bounded = Bounded { inner: reader, room: Arc::clone(&room) };
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(64 << 10)
            .from_reader(bounded);
        let assembler = Assembler::new(Header::of(reader.headers()?.iter())?);
        let record = csv::ByteRecord::new();
        Ok(Self { reader, room, record, assembler, has_ended: false, last: None })
    }
}

fn cell(bytes: &[u8]) -> Cell<'_> {
    let text = std::str::from_utf8(bytes);
    text.map(Cow::Borrowed)
        .map_err(|_| "its text is not UTF-8: save the file as CSV UTF-8".to_owned())
}

impl<R: BufRead> Source for CsvSource<R> {
    fn next(&mut self) -> Option<Result<Read, Unreadable>> {
        while !self.has_ended {
            self.room.store(ROW_BYTES_MAX, Ordering::Relaxed);
            let begins_at = self.reader.position().line();
            let done = match self.reader.read_byte_record(&mut self.record) {
                Ok(true) => {
                    let line = self.record.position().map_or(0, csv::Position::line);
                    let cells: Vec<Cell<'_>> = self.record.iter().map(cell).collect();
                    self.assembler.push(line, &cells)
                }
                Ok(false) => {
                    self.has_ended = true;
                    self.assembler.finish()
                }
                Err(error) => {
                    self.has_ended = true;
                    let what = match error.into_kind() {
                        csv::ErrorKind::Io(error) => error.to_string(),
                        other => format!("{other:?}"),
                    };
                    self.last = Some(Unreadable {
                        unit: "line",
                        place: begins_at,
                        column: 0,
                        what,
                        is_last: true,
                    });
                    self.assembler.finish()
                }
            };
            if let Some(done) = done {
                return Some(given(done, "line"));
            }
        }
        self.last.take().map(Err)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rows::template;

    fn read(text: &[u8]) -> Vec<String> {
        let mut source = CsvSource::new(text).map_err(|error| error.to_string()).unwrap();
        let read = std::iter::from_fn(|| source.next()).map(|read| match read {
            Ok(Read::Declaration(lodger, declaration)) => {
                let items = declaration.goods_items.len();
                format!("{} {} {items}", lodger.declarant, declaration.lrn)
            }
            Ok(Read::Batch(_)) => String::new(),
            Err(Unreadable { place, column, is_last, .. }) => format!("{place}:{column} {is_last}"),
        });
        read.collect()
    }

    #[test]
    fn the_template_is_one_declaration() {
        assert_eq!(read(template().as_bytes()), ["NL810000003 ORDER-1 1"]);
    }

    #[test]
    fn rows_may_span_lines_and_what_is_bad_is_told_by_line_and_column() {
        let text = "\u{feff}lrn;hs6;description\nA;1;\"one\ntwo\"\n\nA;2;\nB;1\nC;1;x\n";
        assert_eq!(read(text.as_bytes()), [" A 2", "6:3 false", " C 1"]);
        assert_eq!(read(b"lrn,hs6\nA,1\nB,\xff\n"), [" A 1", "3:2 false"]);
        assert!(read(b"lrn").is_empty());
    }

    #[test]
    fn a_quotation_mark_that_is_not_closed_does_not_have_the_file_held() {
        let mut text = b"lrn,hs6\nA,1\nB,\"1\n".to_vec();
        text.resize(3 * ROW_BYTES_MAX, b'x');
        assert_eq!(read(&text), [" A 1", "3:0 true"]);
    }

    #[test]
    fn a_file_without_the_names_of_columns_is_refused() {
        for text in ["A,851830\n", "", "hs6\n"] {
            assert!(CsvSource::new(text.as_bytes()).is_err(), "{text}");
        }
    }
}
