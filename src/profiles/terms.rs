//! What a profile is: its name, purpose, owner, days and conditions.

use super::{Conditions, Wrong};
use crate::day::Day;

/// Bytes of a name, and of an owner, at most.
const NAME_BYTES_MAX: usize = 100;
/// Bytes of a purpose, and of a reason to withdraw, at most: a page of text.
pub const TEXT_BYTES_MAX: usize = 2_000;

/// What a profile is, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What it is called. Name, purpose and owner stand in the register of algorithms.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Who answers for it.
    pub owner: String,
    /// The first day whose declarations it flags.
    pub start: Day,
    /// The last one; without one, until it is replaced or withdrawn.
    pub end: Option<Day>,
    /// What it looks for.
    pub conditions: Conditions,
}

impl Terms {
    /// Within the bounds.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), Wrong> {
        let wrong = |field: &str, why: String| Err(Wrong { field: field.into(), why });
        for (field, text, bound) in [
            ("name", &self.name, NAME_BYTES_MAX),
            ("purpose", &self.purpose, TEXT_BYTES_MAX),
            ("owner", &self.owner, NAME_BYTES_MAX),
        ] {
            if text.trim().is_empty() {
                return wrong(field, "is empty: it stands in the register of algorithms".into());
            }
            if text.len() > bound {
                return wrong(field, format!("has {} bytes; the bound is {bound}", text.len()));
            }
        }
        if let Some(end) = self.end.filter(|end| *end < self.start) {
            return wrong("end_day", format!("is {end}, before start_day, {}", self.start));
        }
        self.conditions.matcher().map(drop)
    }

    /// The same of terms that are recorded on `today`: a profile says nothing of days that are over.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    pub fn check_on(&self, today: Day) -> Result<(), Wrong> {
        if self.start < today {
            let why = format!(
                "is {}; it must be today, {today}, or later: the past is for TryProfile",
                self.start
            );
            return Err(Wrong { field: "start_day".into(), why });
        }
        self.check()
    }
}
