//! CSV: one row a goods item, the names of the columns in the first row. Commas, semicolons or tabs between
//! the cells, whichever comes first.

use std::borrow::Cow;
use std::io::{BufRead, Chain, Cursor, Read as _};

use super::csv_rows::{ROW_BYTES_MAX, RowError, Rows};
use super::source::{Read, Source, Unreadable, given};
use crate::rows::{Assembler, Cell, Header, HeaderError};

/// What programs put before UTF-8 to say that it is.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a file is no CSV of declarations.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CsvError {
    #[error("line 1: {0}")]
    Header(#[from] HeaderError),
    #[error("line 1: {0}")]
    Row(#[from] RowError),
    #[error("line 1, column {column}: {what}")]
    Cell { column: usize, what: &'static str },
}

/// Rows being read.
pub(super) struct CsvSource<R> {
    rows: Rows<Chain<Cursor<Vec<u8>>, R>>,
    assembler: Assembler,
    has_ended: bool,
    /// What comes after what was given last.
    last: Option<Unreadable>,
}

impl<R: BufRead> CsvSource<R> {
    /// # Errors
    /// Where the first row does not name columns.
    pub(super) fn new(mut reader: R) -> Result<Self, CsvError> {
        // However little is read at once, the whole first line tells what stands between cells.
        let mut first = Vec::new();
        let most = ROW_BYTES_MAX as u64;
        reader.by_ref().take(most).read_until(b'\n', &mut first).map_err(RowError::from)?;
        if first.starts_with(BYTE_ORDER_MARK) {
            first.drain(..BYTE_ORDER_MARK.len());
        }
        let delimiter = first.iter().find(|byte| matches!(byte, b',' | b';' | b'\t'));
        let delimiter = delimiter.copied().unwrap_or(b',');
        let mut rows = Rows::new(Cursor::new(first).chain(reader), delimiter);
        rows.advance()?;
        if let Some((column, what)) = rows.fault() {
            return Err(CsvError::Cell { column, what });
        }
        let names: Vec<Cow<'_, str>> = rows.cells().map(String::from_utf8_lossy).collect();
        let header = Header::of(names.iter().map(AsRef::as_ref))?;
        Ok(Self { rows, assembler: Assembler::new(header), has_ended: false, last: None })
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
            let advanced = self.rows.advance();
            let line = self.rows.begins_at();
            let done = match advanced {
                Ok(true) => {
                    let mut cells: Vec<Cell<'_>> = self.rows.cells().map(cell).collect();
                    if let Some((column, what)) = self.rows.fault() {
                        // Where cells end behind it is not known.
                        cells.truncate(column.saturating_sub(1));
                        cells.push(Err(what.to_owned()));
                    }
                    if self.rows.is_torn() {
                        self.assembler.push_torn(line, &cells)
                    } else {
                        self.assembler.push(line, &cells)
                    }
                }
                Ok(false) => {
                    self.has_ended = true;
                    self.assembler.finish()
                }
                Err(error) => {
                    self.has_ended = true;
                    let (unit, what) = ("line", error.to_string());
                    self.last =
                        Some(Unreadable { unit, place: line, column: 0, what, is_last: true });
                    self.assembler.break_off()
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
        assert_eq!(read(&text), ["2:0 false", "3:0 true"]);
        // Nor is what it has swallowed up to the end taken for a text.
        assert_eq!(read(b"lrn,description\nA,1\nB,\"1\nC,1\nD,1\n"), [" A 1", "3:2 false"]);
    }

    #[test]
    fn a_stray_quotation_mark_makes_no_row_of_two() {
        let header = "lrn,hs6,description,ucr\n";
        let of = |rows: &str| read(format!("{header}{rows}").as_bytes());
        let merged = "A,851830,\"Cable,39.99\nB,851830,\"Plug,5\n";
        assert_eq!(
            of(&format!("Z,1,,\n{merged}C,1,,\nD,1,,\n")),
            [" Z 1", "3:3 false", "5:0 false", " D 1"]
        );
        // What it has swallowed may have been the first goods item of B.
        assert_eq!(of(&format!("{merged}B,1,,\n")), ["2:3 false", "4:0 false"]);
        // In one line it swallows nothing.
        assert_eq!(of("A,1,\"Cable\" long,\nB,1,,\n"), ["2:3 false", " B 1"]);
        assert_eq!(
            of("A,1,\"Cable \"\"long\"\"\",\nB,1,3\" disk,\nC,1,,\"x\""),
            [" A 1", " B 1", " C 1"]
        );
    }

    #[test]
    fn lines_are_counted_alike_however_they_end() {
        for end in ["\n", "\r\n"] {
            let text = ["lrn,hs6", "A,1", "", "B", "\"C", "\",1", "D", "E,1", ""].join(end);
            assert_eq!(read(text.as_bytes())[..2], [" A 1", "4:2 false"], "{end:?}");
            assert_eq!(read(text.as_bytes())[3..], ["7:2 false", " E 1"], "{end:?}");
        }
        assert_eq!(read(b"lrn,hs6\rA,1\r\rB,1"), [" A 1", " B 1"]);
    }

    #[test]
    fn where_the_file_cannot_be_read_on_the_declaration_under_way_is_not_given() {
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::UnexpectedEof.into())
            }
        }
        let text = b"lrn,hs6\nA,1\nB,1\nB,2\nB,".as_slice();
        let reader = std::io::BufReader::new(text.chain(Broken));
        let mut source = CsvSource::new(reader).map_err(|error| error.to_string()).unwrap();
        assert!(matches!(source.next(), Some(Ok(_))));
        let rest = std::iter::from_fn(|| source.next()).map(|read| {
            let unreadable = read.unwrap_err();
            (unreadable.place, unreadable.is_last)
        });
        assert_eq!(rest.collect::<Vec<_>>(), [(3, false), (5, true)]);
    }

    #[test]
    fn a_file_without_the_names_of_columns_is_refused() {
        for text in ["A,851830\n", "", "hs6\n"] {
            assert!(CsvSource::new(text.as_bytes()).is_err(), "{text}");
        }
    }
}
