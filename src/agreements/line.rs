//! One version as a line of the file: JSON, the last field of which is the CRC32C of all bytes before it.
//!
//! | field | |
//! |---|---|
//! | `format` | 1 |
//! | `n` | the line's number, from 1 without gaps |
//! | `agreement`, `version` | of which agreement, and its how manieth version |
//! | `recorded_by`, `recorded_at_ms`, `recorded_on` | by whom; when, in ms since 1970; the day of that |
//! | `withdrawn` | the reason, where the agreement is withdrawn by this version |
//! | `role`, `actor`, `indicator`, `direction`, `target`, ... | the terms; the target as text, which is read back to the last bit |
//! | `baseline` | its numbers and days, and the watermark where they were computed |
//! | `crc32c` | 8 hexadecimal digits |

use serde::{Deserialize, Serialize};

use super::terms::{Baseline, Direction, Draft, Source, Terms};
use super::{AgreementId, Version};
use crate::book::{self, LineError};
use crate::day::{Day, Moment};
use crate::id::Watermark;
use crate::summary::{ActorId, Role};

/// The newest format that is read, and the one that is written.
pub(super) const FORMAT: u64 = 1;

/// Bytes of a line at most: two notes at their longest, every byte of them escaped, and more.
pub(super) const LINE_BYTES_MAX: usize = 32 << 10;

/// A line of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) n: u64,
    pub(super) agreement: AgreementId,
    pub(super) version: Version,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    format: u64,
    n: u64,
    agreement: u32,
    version: u32,
    recorded_by: String,
    recorded_at_ms: i64,
    recorded_on: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    withdrawn: Option<String>,
    role: StoredRole,
    actor: String,
    indicator: String,
    direction: Direction,
    baseline: StoredBaseline,
    target: String,
    start: String,
    deadline: String,
    review_interval_days: u16,
    window_days: u16,
    n_min: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredRole {
    Declarant,
    Representative,
    IossHolder,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBaseline {
    numerator: u64,
    denominator: u64,
    first: String,
    last: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watermark: Option<u64>,
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
            &line.version;
        let baseline = terms.baseline();
        Self {
            format: FORMAT,
            n: line.n,
            agreement: line.agreement.0,
            version: *number,
            recorded_by: recorded_by.clone(),
            recorded_at_ms: recorded_at.0,
            recorded_on: recorded_on.to_string(),
            withdrawn: withdrawn.clone(),
            role: match terms.role {
                Role::Declarant => StoredRole::Declarant,
                Role::Representative => StoredRole::Representative,
                Role::IossHolder => StoredRole::IossHolder,
            },
            actor: terms.actor.as_str().to_owned(),
            indicator: terms.indicator.clone(),
            direction: terms.direction,
            baseline: StoredBaseline {
                numerator: baseline.numerator,
                denominator: baseline.denominator,
                first: baseline.first.to_string(),
                last: baseline.last.to_string(),
                watermark: match baseline.source {
                    Source::Computed(Watermark(watermark)) => Some(watermark),
                    Source::Stated => None,
                },
            },
            target: terms.target.to_string(),
            start: terms.start.to_string(),
            deadline: terms.deadline.to_string(),
            review_interval_days: terms.review_interval_days,
            window_days: terms.window_days,
            n_min: terms.n_min,
            note: terms.note.clone(),
        }
    }

    fn line(self) -> Result<Line, String> {
        let version = Version {
            number: self.version,
            recorded_by: self.recorded_by.clone(),
            recorded_at: Moment(self.recorded_at_ms),
            recorded_on: day(&self.recorded_on)?,
            withdrawn: self.withdrawn.clone(),
            terms: self.terms()?,
        };
        Ok(Line { n: self.n, agreement: AgreementId(self.agreement), version })
    }

    fn terms(&self) -> Result<Terms, String> {
        let role = match self.role {
            StoredRole::Declarant => Role::Declarant,
            StoredRole::Representative => Role::Representative,
            StoredRole::IossHolder => Role::IossHolder,
        };
        let actor = ActorId::parse(role, &self.actor);
        let draft = Draft {
            role,
            actor: actor.ok_or_else(|| format!("{:?} is no actor's id", self.actor))?,
            indicator: self.indicator.clone(),
            direction: self.direction,
            target: self.target.parse().map_err(|error| format!("target: {error}"))?,
            start: day(&self.start)?,
            deadline: day(&self.deadline)?,
            review_interval_days: self.review_interval_days,
            window_days: self.window_days,
            n_min: self.n_min,
            note: self.note.clone(),
        };
        let StoredBaseline { numerator, denominator, first, last, watermark } = &self.baseline;
        let baseline = Baseline {
            numerator: *numerator,
            denominator: *denominator,
            first: day(first)?,
            last: day(last)?,
            source: watermark.map_or(Source::Stated, |at| Source::Computed(Watermark(at))),
        };
        draft.agreed(baseline).map_err(|wrong| wrong.to_string())
    }
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| format!("{text:?} is no day"))
}
