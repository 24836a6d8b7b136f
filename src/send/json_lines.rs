//! Protobuf JSON, a batch or a declaration to a line, as `waag generate` writes and `waag judge` reads it. One
//! may take several lines, as people write it, where no line in it begins with a brace.

use std::io::{BufRead, Read as _};

use serde::de::DeserializeOwned;

use super::source::{Read, Source, Unreadable};
use crate::client::Lodger;
use crate::proto::v1::{Declaration, SubmitBatchRequest};

/// Bytes of a line, or of all lines of one batch: some four times what a batch takes as protobuf.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// Fields of a batch, in both spellings that protobuf JSON allows; a declaration has none of these.
const FIELDS_OF_A_BATCH: [&str; 9] = [
    "batchId",
    "batch_id",
    "declarant",
    "representative",
    "representativeStatus",
    "representative_status",
    "declarations",
    "common",
    "",
];

/// Lines being read.
pub(super) struct JsonLines<R> {
    reader: R,
    /// The line under way, or all lines of what is under way.
    text: Vec<u8>,
    /// A line that was read, and does not belong to those before it.
    ahead: Option<Vec<u8>>,
    /// Lines read, without the one ahead.
    lines: u64,
    has_ended: bool,
}

/// How a line ended.
#[derive(PartialEq, Eq)]
enum Line {
    Read,
    TooLong,
    End,
}

impl<R: BufRead> JsonLines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, text: Vec::new(), ahead: None, lines: 0, has_ended: false }
    }

    /// Appends the next line to `to`, which has `TEXT_BYTES_MAX` at most.
    fn line(&mut self, to: &mut Vec<u8>) -> std::io::Result<Line> {
        if let Some(ahead) = self.ahead.take() {
            self.lines += 1;
            to.extend_from_slice(&ahead);
            return Ok(Line::Read);
        }
        let room = TEXT_BYTES_MAX.saturating_sub(to.len());
        let read = self.reader.by_ref().take(room as u64).read_until(b'\n', to)?;
        if read == 0 && room > 0 {
            return Ok(Line::End);
        }
        self.lines += 1;
        if read < room || (room > 0 && to.last() == Some(&b'\n')) {
            return Ok(Line::Read);
        }
        self.reader.skip_until(b'\n')?;
        Ok(Line::TooLong)
    }

    /// Takes up further lines until braces close. False where what was begun does not go on, and stands alone.
    fn complete(&mut self) -> std::io::Result<bool> {
        let mut braces = Braces::default();
        let mut seen = 0;
        let mut text = std::mem::take(&mut self.text);
        loop {
            braces.see(text.get(seen..).unwrap_or_default());
            seen = text.len();
            if braces.are_closed() {
                self.text = text;
                return Ok(true);
            }
            let ended = self.line(&mut text)?;
            let next = text.get(seen..).unwrap_or_default();
            if ended == Line::Read && !next.starts_with(b"{") {
                continue;
            }
            if ended == Line::Read {
                self.ahead = Some(next.to_vec());
                self.lines -= 1;
                text.truncate(seen);
            }
            self.text = text;
            return Ok(false);
        }
    }

    fn unreadable(&self, place: u64, column: usize, what: String) -> Unreadable {
        Unreadable { unit: "line", place, column, what, is_last: self.has_ended }
    }

    fn broken(&mut self, error: &std::io::Error) -> Unreadable {
        self.has_ended = true;
        self.unreadable(self.lines + 1, 0, error.to_string())
    }
}

impl<R: BufRead> Source for JsonLines<R> {
    fn next(&mut self) -> Option<Result<Read, Unreadable>> {
        loop {
            if self.has_ended {
                return None;
            }
            let mut text = std::mem::take(&mut self.text);
            text.clear();
            let line = self.line(&mut text);
            self.text = text;
            match line {
                Ok(Line::Read) if self.text.trim_ascii().is_empty() => {}
                Ok(Line::Read) => break,
                Ok(Line::End) => return None,
                Ok(Line::TooLong) => {
                    let what =
                        format!("it has more than {TEXT_BYTES_MAX} bytes, the most it may have");
                    return Some(Err(self.unreadable(self.lines, 0, what)));
                }
                Err(error) => return Some(Err(self.broken(&error))),
            }
        }
        let first = self.lines;
        let mut read = parse(&self.text);
        // What is wrong may stand before the end of it; declarations in what is left would be read as if they stood
        // alone.
        if read.is_err() {
            match self.complete() {
                Ok(true) => read = parse(&self.text),
                Ok(false) => {}
                Err(error) => return Some(Err(self.broken(&error))),
            }
        }
        Some(read.map_err(|error| {
            let what = error.to_string();
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            self.unreadable(
                first + (error.line() as u64).saturating_sub(1),
                error.column(),
                what.to_owned(),
            )
        }))
    }
}

fn parse(text: &[u8]) -> Result<Read, serde_json::Error> {
    // So that the place of what is missing is in the line, and not in the next.
    let text = text.trim_ascii_end();
    fn value<T: DeserializeOwned>(text: &[u8]) -> Result<Box<T>, serde_json::Error> {
        serde_json::from_slice(text).map(Box::new)
    }
    if is_batch(text) {
        value::<SubmitBatchRequest>(text).map(Read::Batch)
    } else {
        value::<Declaration>(text)
            .map(|declaration| Read::Declaration(Lodger::default(), declaration))
    }
}

/// By the first field: a batch and a declaration have none in common. An empty object is a batch.
fn is_batch(text: &[u8]) -> bool {
    let mut quoted = text.split(|&byte| byte == b'"');
    let field = quoted.nth(1).unwrap_or_default();
    FIELDS_OF_A_BATCH.iter().any(|name| name.as_bytes() == field)
}

/// Which braces and brackets are open, those in texts aside.
#[derive(Default)]
struct Braces {
    open: usize,
    is_text: bool,
    is_escaped: bool,
}

impl Braces {
    fn see(&mut self, text: &[u8]) {
        for &byte in text {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_text => self.is_escaped = true,
                b'"' => self.is_text = !self.is_text,
                _ if self.is_text => {}
                b'{' | b'[' => self.open += 1,
                b'}' | b']' => self.open = self.open.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn are_closed(&self) -> bool {
        self.open == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// LRNs, batch ids, or line and column of what cannot be read.
    fn read(text: &str) -> Vec<String> {
        let mut source = JsonLines::new(text.as_bytes());
        let read = std::iter::from_fn(|| source.next()).map(|read| match read {
            Ok(Read::Batch(batch)) => format!("batch {}", batch.batch_id),
            Ok(Read::Declaration(_, declaration)) => declaration.lrn,
            Err(Unreadable { place, column, .. }) => format!("{place}:{column}"),
        });
        read.collect()
    }

    #[test]
    fn batches_and_declarations_are_told_apart_and_bad_lines_passed_over() {
        let text = concat!(
            "{\"lrn\": \"A\"}\n",
            "\n",
            "{\"batchId\": \"b\", \"declarations\": [{\"lrn\": \"B\"}]}\r\n",
            "{\"lrn\": 5}\n",
            "{\"lrn\": \"C\", \"declarant\": \"X\"}\n",
            "{\"goodsItems\": [], \"lrn\": \"D\"}\n",
            "nothing\n",
            "{\"batch_id\": \"e\"}",
        );
        assert_eq!(read(text), ["A", "batch b", "4:9", "5:24", "D", "7:2", "batch e"]);
    }

    #[test]
    fn one_may_take_several_lines_and_one_that_is_torn_takes_no_other_with_it() {
        let text = concat!(
            "{\n  \"lrn\": \"A {\",\n  \"goodsItems\": [\n    {\n    }\n  ]\n}\n",
            "{\"lrn\": \"B\", \n",
            "{\"lrn\": \"C\"}\n",
            "{\n  \"lrn\": \"D\",\n  \"hs7\": 1\n}\n",
            "{\"lrn\": \"E\"}\n",
            "{\"lrn\": \"F\"",
        );
        assert_eq!(read(text), ["A {", "8:12", "C", "12:7", "E", "15:11"]);
    }

    #[test]
    fn nothing_in_a_batch_that_cannot_be_read_is_taken_for_a_declaration() {
        let text = concat!(
            "{\"batchId\": 5, \"declarations\": [\n",
            "  {\"lrn\": \"A\"}\n",
            "]}\n",
            "{\"lrn\": \"B\"}\n",
            "{\"batchId\": \"b\", \"declarations\": [\n",
            "  {\"lrn\": 5},\n",
            "  {\"lrn\": \"C\"}\n",
            "]}\n",
            "{\"lrn\": \"D\"}\n",
        );
        assert_eq!(read(text), ["1:13", "B", "6:11", "D"]);
    }

    #[test]
    fn lines_longer_than_may_be_are_passed_over() {
        let long = format!("{{\"lrn\": \"{}\"}}\n{{\"lrn\": \"B\"}}\n", "x".repeat(TEXT_BYTES_MAX));
        assert_eq!(read(&long), ["1:0", "B"]);
    }
}
