//! One version as a line of the book.
//!
//! | field | |
//! |---|---|
//! | `format` | 1 |
//! | `n` | the line's number, from 1 without gaps |
//! | `profile`, `version` | of which profile, and its how manieth version |
//! | `recorded_by`, `recorded_at_ms`, `recorded_on` | by whom; when, in ms since 1970; the day of that |
//! | `withdrawn` | the reason, where the profile is withdrawn by this version |
//! | `name`, `purpose`, `owner`, `start`, `end` | the terms |
//! | `conditions` | what it looks for: see [`Conditions`] |

use serde::{Deserialize, Serialize};

use super::{Conditions, ProfileId, Terms, Version};
use crate::book::{self, LineError};
use crate::day::{Day, Moment};

/// The newest format that is read, and the one that is written.
const FORMAT: u64 = 1;

/// Bytes of a line at most: two texts, two names and twenty patterns at their longest, every byte of them escaped, and
/// five lists of a hundred.
pub(super) const LINE_BYTES_MAX: usize = 96 << 10;

/// A line of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) n: u64,
    pub(super) profile: ProfileId,
    pub(super) version: Version,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    format: u64,
    n: u64,
    profile: u32,
    version: u32,
    recorded_by: String,
    recorded_at_ms: i64,
    recorded_on: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    withdrawn: Option<String>,
    name: String,
    purpose: String,
    owner: String,
    start: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    conditions: Conditions,
}

impl Line {
    /// Reads what was made of [`Stored::of`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LineError> {
        Ok(book::decode::<Stored>(bytes, FORMAT)?.line()?)
    }
}

impl Stored {
    pub(super) fn of(line: &Line) -> Self {
        let Version { number, terms, recorded_by, recorded_at, recorded_on, withdrawn } =
            line.version.clone();
        Self {
            format: FORMAT,
            n: line.n,
            profile: line.profile.0,
            version: number,
            recorded_by,
            recorded_at_ms: recorded_at.0,
            recorded_on: recorded_on.to_string(),
            withdrawn,
            name: terms.name,
            purpose: terms.purpose,
            owner: terms.owner,
            start: terms.start.to_string(),
            end: terms.end.map(|day| day.to_string()),
            conditions: terms.conditions,
        }
    }

    fn line(self) -> Result<Line, String> {
        let terms = Terms {
            name: self.name,
            purpose: self.purpose,
            owner: self.owner,
            start: day(&self.start)?,
            end: self.end.as_deref().map(day).transpose()?,
            conditions: self.conditions,
        };
        terms.check().map_err(|wrong| wrong.to_string())?;
        let version = Version {
            number: self.version,
            terms,
            recorded_by: self.recorded_by,
            recorded_at: Moment(self.recorded_at_ms),
            recorded_on: day(&self.recorded_on)?,
            withdrawn: self.withdrawn,
        };
        Ok(Line { n: self.n, profile: ProfileId(self.profile), version })
    }
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| format!("{text:?} is no day"))
}
