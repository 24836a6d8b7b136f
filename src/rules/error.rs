//! What can be wrong with rules and reference data: every problem at once, each with its place.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::day::Day;

/// No more problems than this are listed: a file of another kind under a known name would
/// otherwise have one for every line.
pub const PROBLEMS_MAX: usize = 100;

/// The longest value repeated in a problem, in bytes.
const VALUE_SHOWN_BYTES_MAX: usize = 80;

/// One thing that is wrong in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Name relative to the rules folder, as `rulesets/2026-07-01.toml`.
    pub file: String,
    /// Line from 1, where the problem has one.
    pub line: Option<u64>,
    /// Column of a table or key of a rule set; empty where the whole file or line is meant.
    pub field: String,
    /// What stands there.
    pub value: String,
    /// What must hold.
    pub bound: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !self.field.is_empty() {
            write!(f, "{} ", self.field)?;
        }
        if !self.value.is_empty() || !self.field.is_empty() {
            write!(f, "\"{}\": ", self.value)?;
        }
        f.write_str(&self.bound)
    }
}

/// Why there are no rules to judge by.
#[derive(Debug, thiserror::Error)]
pub enum LawError {
    /// The files do not make a law. Nothing of them is used.
    #[error("the rules have {} problem(s):\n{}", .0.len(), show(.0))]
    Faulty(Vec<Problem>),
    /// No rule set holds on that day.
    #[error("no rule set holds on {day}: the first holds from {first}")]
    NoRuleSet {
        /// The day asked for.
        day: Day,
        /// The first day on which one holds.
        first: Day,
    },
    /// A file or folder could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A kept file is not what its name says, or is not there.
    #[error("{path}: {why}", path = path.display())]
    Damaged {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl LawError {
    /// Makes a function that says to which path an I/O error belongs.
    pub(super) fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

fn show(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// Collects problems while files are read.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(
        &mut self,
        file: &str,
        line: Option<u64>,
        field: &str,
        value: &str,
        bound: impl Into<String>,
    ) {
        if self.0.len() < PROBLEMS_MAX {
            let shown = value.get(..value.floor_char_boundary(VALUE_SHOWN_BYTES_MAX));
            self.0.push(Problem {
                file: file.to_owned(),
                line,
                field: field.to_owned(),
                value: shown.unwrap_or_default().to_owned(),
                bound: bound.into(),
            });
        }
    }

    /// The problems as an error, if there are any.
    pub(super) fn into_result(self) -> Result<(), LawError> {
        if self.0.is_empty() { Ok(()) } else { Err(LawError::Faulty(self.0)) }
    }
}
