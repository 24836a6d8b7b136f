//! Where derived files are, and which of them there are.
//!
//! ```text
//! insight/state                                                     how far it is
//! insight/days/2026-11-22-000000004711.findings                     a day, of records up to 4711
//! insight/keys/documents/2026-11-22-000000000001-000000004711-1.rows   rows of part 1 of that day in a set
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::block_file::{BlockFile, BlockWriter, Heading};
use super::error::InsightError;
use super::kinds::Kind;
use super::table::Table;
use crate::archive::{Part, Set};
use crate::day::Day;
use crate::disk::plain;
use crate::fields::Fields;
use crate::id::Watermark;

const STATE: &str = "state";
const DAYS: &str = "days";
const KEYS: &str = "keys";
const FINDINGS: &str = ".findings";
const ROWS: &str = ".rows";
/// The kind of the state's file, and of those of days.
const STATE_KIND: u8 = 255;
const DAY_KIND: u8 = 0;

/// A part of the archive, as its derived files are named after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartName {
    pub(super) day: Day,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) part: u16,
}

impl PartName {
    pub(super) fn of(set: &Set, part: &Part) -> Self {
        // One for each record of the set at most, and two at once.
        let number = u16::try_from(part.number).unwrap_or(u16::MAX);
        Self { day: part.day, first: set.first.0, last: set.last.0, part: number }
    }

    fn file(&self) -> String {
        format!("{}-{:012}-{:012}-{}{ROWS}", self.day, self.first, self.last, self.part)
    }

    fn parse(name: &str) -> Option<Self> {
        let (day, rest) = name.strip_suffix(ROWS)?.split_at_checked(10)?;
        let mut numbers = rest.strip_prefix('-')?.split('-');
        let mut next = || numbers.next()?.parse().ok();
        let (first, last, part) = (next()?, next()?, next()?);
        let part = Self { day: Day::parse(day)?, first, last, part: u16::try_from(part).ok()? };
        (part.file() == name).then_some(part)
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
    data_folder: [u8; 16],
}

impl Folder {
    pub(super) fn new(root: &Path, data_folder: [u8; 16]) -> Self {
        Self { root: root.to_owned(), data_folder }
    }

    /// Makes all folders.
    pub(super) fn make(&self) -> Result<(), InsightError> {
        let tables = Table::ALL.map(|table| self.root.join(KEYS).join(table.name()));
        for folder in tables.into_iter().chain([self.root.join(DAYS)]) {
            if !folder.is_dir() {
                let made = plain::call(|| fs::create_dir_all(&folder));
                made.map_err(InsightError::io("make", &folder))?;
            }
        }
        Ok(())
    }

    pub(super) fn rows(&self, table: Table, part: &PartName) -> (PathBuf, Heading) {
        let path = self.root.join(KEYS).join(table.name()).join(part.file());
        let PartName { day, first, last, part } = *part;
        (path, Heading { kind: table as u8, day, part, first, last, data_folder: self.data_folder })
    }

    /// The findings of a day that are made of its records up to `last`.
    pub(super) fn day(&self, day: Day, last: u64) -> (PathBuf, Heading) {
        let path = self.root.join(DAYS).join(format!("{day}-{last:012}{FINDINGS}"));
        let data_folder = self.data_folder;
        (path, Heading { kind: DAY_KIND, day, part: 0, first: 0, last, data_folder })
    }

    /// Days and last records of the findings that are there, in order.
    pub(super) fn days(&self) -> Result<Vec<(Day, u64)>, InsightError> {
        let parse = |name: &str| {
            let (day, last) = name.strip_suffix(FINDINGS)?.split_at_checked(10)?;
            let found = (Day::parse(day)?, last.strip_prefix('-')?.parse().ok()?);
            (self.day(found.0, found.1).0.file_name()?.to_str() == Some(name)).then_some(found)
        };
        let names = names(&self.root.join(DAYS))?;
        let mut days: Vec<_> = names.iter().filter_map(|name| parse(name)).collect();
        days.sort_unstable();
        Ok(days)
    }

    /// Days whose findings count once all up to `watermark` is found, and their last records. A later one is of a round
    /// that did not end; what it takes the place of is still there, as it is for a moment after one that did.
    pub(super) fn days_through(
        &self,
        watermark: Watermark,
    ) -> Result<BTreeMap<Day, u64>, InsightError> {
        Ok(self.days()?.into_iter().filter(|(_, last)| *last <= watermark.0).collect())
    }

    /// Removes what is in the folders of rows and days, and `keeps` does not want.
    pub(super) fn sweep(
        &self,
        keeps_rows: impl Fn(Table, &PartName) -> bool,
        keeps_day: impl Fn(Day, u64) -> bool,
    ) -> Result<(), InsightError> {
        for table in Table::ALL {
            let folder = self.root.join(KEYS).join(table.name());
            for name in names(&folder)? {
                if !PartName::parse(&name).is_some_and(|part| keeps_rows(table, &part)) {
                    remove(&folder.join(name))?;
                }
            }
        }
        let kept: Vec<_> =
            self.days()?.into_iter().filter(|(day, last)| keeps_day(*day, *last)).collect();
        let kept: Vec<_> = kept.into_iter().map(|(day, last)| self.day(day, last).0).collect();
        let folder = self.root.join(DAYS);
        for name in names(&folder)? {
            let path = folder.join(name);
            if !kept.contains(&path) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Up to which record all is derived; `None` where that is not known.
    pub(super) fn read_state(&self) -> Result<Option<Watermark>, InsightError> {
        let read = || {
            let file = BlockFile::open(&self.root.join(STATE), &self.state())?;
            Ok(Fields(&file.read(0)?).u64().map(Watermark))
        };
        match read() {
            Err(InsightError::Damaged { path, what }) => {
                tracing::warn!(file = %path.display(), what, "findings are made again");
                Ok(None)
            }
            Err(error) if error.is_gone() => Ok(None),
            read => read,
        }
    }

    pub(super) fn write_state(&self, watermark: Watermark) -> Result<(), InsightError> {
        let mut file = BlockWriter::create(&self.root.join(STATE), &self.state())?;
        file.block(&[], &watermark.0.to_le_bytes())?;
        file.finish()
    }

    pub(super) fn remove_state(&self) -> Result<(), InsightError> {
        remove(&self.root.join(STATE))
    }

    /// In place of a part how many kinds there are: where a program knows of more, all is made again.
    fn state(&self) -> Heading {
        let (day, data_folder) = (Day(0), self.data_folder);
        let part = u16::try_from(Kind::all().count()).unwrap_or(u16::MAX);
        Heading { kind: STATE_KIND, day, part, first: 0, last: 0, data_folder }
    }
}

pub(super) fn remove(path: &Path) -> Result<(), InsightError> {
    match plain::call(|| fs::remove_file(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(InsightError::io("remove", path)),
    }
}

/// Removes a folder with all that is in it.
pub(super) fn remove_all(folder: &Path) -> Result<(), InsightError> {
    match plain::call(|| fs::remove_dir_all(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(InsightError::io("remove", folder)),
    }
}

fn names(folder: &Path) -> Result<Vec<String>, InsightError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(InsightError::io("list", folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(InsightError::io("list", folder))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}
