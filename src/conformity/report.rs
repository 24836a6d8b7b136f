//! What came of a run: shown to people, and line by line to programs.

use serde::Serialize;

use super::case::Case;
use crate::day::Day;

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What the case says.
    pub expected: String,
    /// What the service said.
    pub came: String,
}

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All as expected.
    AsExpected,
    /// Something is not.
    Differs,
    /// It was not played.
    Skipped,
}

/// A case that was played, or why it was not.
#[derive(Debug, Serialize)]
pub struct Played<'a> {
    /// The case.
    pub id: &'a str,
    /// What it tries.
    pub title: &'a str,
    /// On what it rests.
    pub basis: &'a str,
    /// What came of it.
    pub state: State,
    /// What is not as expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What a service is free in, and did otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it was not played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    #[serde(skip)]
    pub(super) case: &'a Case,
}

impl<'a> Played<'a> {
    pub(super) fn skipped(case: &'a Case, why: String) -> Self {
        Self {
            state: State::Skipped,
            skipped: Some(why),
            ..Self::new(case, Vec::new(), Vec::new())
        }
    }

    pub(super) fn new(case: &'a Case, differences: Vec<Difference>, notes: Vec<String>) -> Self {
        let state = if differences.is_empty() { State::AsExpected } else { State::Differs };
        let Case { id, title, basis, .. } = case;
        Self { id, title, basis, state, differences, notes, skipped: None, case }
    }

    /// In one line: the case, what differs, and the legal basis.
    #[must_use]
    pub fn line(&self) -> String {
        let told = |d: &Difference| format!("expected {}, came {}", d.expected, d.came);
        let differences: Vec<String> = self.differences.iter().map(told).collect();
        format!("{}  {}: {}  [{}]", self.id, self.title, differences.join("; "), self.basis)
    }
}

/// How many cases of a family came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// As expected.
    pub as_expected: u64,
    /// Otherwise.
    pub differ: u64,
    /// Not played.
    pub skipped: u64,
    /// Notes on those that were.
    pub notes: u64,
}

/// A run.
#[derive(Debug)]
pub struct Report<'a> {
    /// In every LRN of the run.
    pub run_id: String,
    /// The day whose law was played.
    pub day: Day,
    /// The day by which the service judges, where it says so.
    pub service_day: Option<Day>,
    /// Every case that was asked for, in order.
    pub played: Vec<Played<'a>>,
}

impl Report<'_> {
    /// All cases of all families.
    #[must_use]
    pub fn total(&self) -> Count {
        self.families().into_iter().fold(Count::default(), |sum, (_, of)| Count {
            as_expected: sum.as_expected + of.as_expected,
            differ: sum.differ + of.differ,
            skipped: sum.skipped + of.skipped,
            notes: sum.notes + of.notes,
        })
    }

    /// By family: its title, and how its cases came out.
    #[must_use]
    pub fn families(&self) -> Vec<(&str, Count)> {
        let mut families: Vec<(&str, Count)> = Vec::new();
        for played in &self.played {
            let title = played.case.family_title.as_str();
            if families.last().is_none_or(|(last, _)| *last != title) {
                families.push((title, Count::default()));
            }
            let Some((_, count)) = families.last_mut() else { continue };
            match played.state {
                State::AsExpected => count.as_expected += 1,
                State::Differs => count.differ += 1,
                State::Skipped => count.skipped += 1,
            }
            count.notes += played.notes.len() as u64;
        }
        families
    }
}
