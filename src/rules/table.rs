//! Reading the CSV files: strict about columns, every row with the days on which it holds, every
//! problem with its line.
//!
//! Invariant: what comes out was checked by the closure that made it; a row with a problem makes
//! nothing, and then the whole law is refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::error::Problems;
use crate::day::Day;

/// Every file by its name relative to the rules folder.
pub(super) type Files = BTreeMap<String, Arc<[u8]>>;

/// Something that holds from one day to another, both included.
#[derive(Debug, Clone)]
pub(super) struct Dated<T> {
    pub(super) what: T,
    pub(super) from: Day,
    pub(super) to: Day,
    pub(super) line: u64,
}

impl<T> Dated<T> {
    pub(super) fn holds(&self, day: Day) -> bool {
        self.from <= day && day <= self.to
    }
}

/// Those of `rows` that hold on `day`.
pub(super) fn holding<T>(rows: &[Dated<T>], day: Day) -> impl Iterator<Item = &T> {
    rows.iter().filter(move |row| row.holds(day)).map(|row| &row.what)
}

/// One line of a table, with a place to complain to.
pub(super) struct Row<'a> {
    file: &'a str,
    line: u64,
    columns: &'a [&'a str],
    record: &'a csv::StringRecord,
    problems: &'a mut Problems,
    sound: bool,
}

impl Row<'_> {
    /// The field in `column`, trimmed.
    pub(super) fn text(&self, column: &str) -> &str {
        let index = self.columns.iter().position(|name| *name == column);
        index.and_then(|index| self.record.get(index)).unwrap_or_default().trim()
    }

    /// Notes that the field in `column` must be `bound`.
    pub(super) fn fault(&mut self, column: &str, bound: impl Into<String>) {
        let value = self.text(column).to_owned();
        self.problems.add(self.file, Some(self.line), column, &value, bound);
        self.sound = false;
    }

    /// The field in `column` as `parse` reads it; where that is `None`, `bound` is the complaint.
    pub(super) fn parse<T>(
        &mut self,
        column: &str,
        bound: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(self.text(column));
        if parsed.is_none() {
            self.fault(column, bound);
        }
        parsed
    }

    /// The field in `column`, which may not be empty.
    pub(super) fn stated(&mut self, column: &str) -> Option<String> {
        self.parse(column, "may not be empty", |text| (!text.is_empty()).then(|| text.to_owned()))
    }

    /// Exactly `N` upper-case letters or digits.
    pub(super) fn code<const N: usize>(&mut self, column: &str) -> Option<[u8; N]> {
        self.parse(column, &format!("must be {N} upper-case letters or digits"), |text| {
            let code: [u8; N] = text.as_bytes().try_into().ok()?;
            code.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()).then_some(code)
        })
    }

    /// Exactly `N` upper-case letters.
    pub(super) fn letters<const N: usize>(&mut self, column: &str) -> Option<[u8; N]> {
        self.parse(column, &format!("must be {N} upper-case letters"), |text| {
            let code: [u8; N] = text.as_bytes().try_into().ok()?;
            code.iter().all(u8::is_ascii_uppercase).then_some(code)
        })
    }

    fn validity(&mut self) -> Option<(Day, Day)> {
        let from = self.parse("valid_from", "must be a day, as 2026-07-01", Day::parse)?;
        let to = self.parse("valid_to", "must be a day, as 2026-07-01, or empty", |text| {
            if text.is_empty() { Some(Day(u16::MAX)) } else { Day::parse(text) }
        })?;
        if to < from {
            self.fault("valid_to", format!("must not be before valid_from, {from}"));
            return None;
        }
        Some((from, to))
    }
}

/// The text of `file`, or a problem.
pub(super) fn text<'f>(files: &'f Files, file: &str, problems: &mut Problems) -> Option<&'f str> {
    let Some(bytes) = files.get(file) else {
        problems.add(file, None, "", "", "the file is missing");
        return None;
    };
    let text = std::str::from_utf8(bytes);
    if let Err(error) = &text {
        let line = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = line.iter().filter(|b| **b == b'\n').count() as u64 + 1;
        problems.add(file, Some(line), "", "", "must be UTF-8");
    }
    // Spreadsheets like to put a byte order mark in front.
    text.ok().map(|text| text.trim_start_matches('\u{feff}'))
}

/// Reads the table `file`, which must have exactly `columns`, `valid_from`, `valid_to` and `legal_ref`
/// among them: every row has its days and says on what it rests.
pub(super) fn read<T>(
    files: &Files,
    file: &str,
    columns: &[&str],
    problems: &mut Problems,
    mut make: impl FnMut(&mut Row<'_>) -> Option<T>,
) -> Vec<Dated<T>> {
    let mut rows = Vec::new();
    let Some(text) = text(files, file, problems) else { return rows };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    match reader.headers() {
        Ok(headers) if headers.iter().map(str::trim).eq(columns.iter().copied()) => {}
        Ok(headers) => {
            let found = headers.iter().collect::<Vec<_>>().join(",");
            let bound = format!("the columns must be {}", columns.join(","));
            problems.add(file, Some(1), "", &found, bound);
            return rows;
        }
        Err(error) => {
            problems.add(file, Some(1), "", "", error.to_string());
            return rows;
        }
    }
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => return rows,
            Ok(true) => {}
            Err(error) => {
                let line = error.position().map(csv::Position::line);
                problems.add(file, line, "", "", error.to_string());
                return rows;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != columns.len() {
            let bound = format!("must have {} fields, has {}", columns.len(), record.len());
            problems.add(file, Some(line), "", "", bound);
            continue;
        }
        let mut row = Row { file, line, columns, record: &record, problems, sound: true };
        let validity = row.validity();
        if row.text("legal_ref").is_empty() {
            row.fault("legal_ref", "may not be empty");
        }
        let what = make(&mut row);
        let sound = row.sound;
        if let (Some((from, to)), Some(what), true) = (validity, what, sound) {
            rows.push(Dated { what, from, to, line });
        }
    }
}

/// Complains where two rows of the same key hold on the same day.
pub(super) fn no_overlap<T>(
    file: &str,
    rows: &[Dated<T>],
    problems: &mut Problems,
    key: impl Fn(&T) -> String,
) {
    let mut by_key: HashMap<String, Vec<&Dated<T>>> = HashMap::new();
    for row in rows {
        by_key.entry(key(&row.what)).or_default().push(row);
    }
    for (key, mut rows) in by_key {
        rows.sort_by_key(|row| row.from);
        for (earlier, later) in rows.iter().zip(rows.iter().skip(1)) {
            if later.from <= earlier.to {
                let bound = format!("holds on the same days as line {}", earlier.line);
                problems.add(file, Some(later.line), "", &key, bound);
            }
        }
    }
}
