//! A plan or an outcome as a line of the book.
//!
//! | field | |
//! |---|---|
//! | `format` | 1 |
//! | `n` | the line's number, from 1 without gaps |
//! | `plan` | which plan, or of which one the outcome is |
//! | `recorded_by`, `recorded_at_ms`, `recorded_on` | by whom; when, in ms since 1970; the day of that |
//! | `terms` or `outcome` | the one or the other; terms with the secret, for which the file is readable by its owner only |

use serde::{Deserialize, Serialize};

use super::plan::{Method, Outcome, Plan, PlanId, Terms};
use super::{ItemId, Secret};
use crate::book::{self, LineError};
use crate::day::{Day, Moment};
use crate::id::{Eori, ShortText};
use crate::profiles::Conditions;

/// The newest format that is read, and the one that is written.
const FORMAT: u64 = 1;

/// Bytes of a line at most: 21 sets of conditions at their longest.
pub(super) const LINE_BYTES_MAX: usize = 2 << 20;

/// A line of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    Plan(Box<Plan>),
    Outcome(PlanId, Outcome),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    format: u64,
    pub(super) n: u64,
    plan: u32,
    recorded_by: String,
    recorded_at_ms: i64,
    recorded_on: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    terms: Option<StoredTerms>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<StoredOutcome>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTerms {
    name: String,
    purpose: String,
    owner: String,
    first: String,
    last: String,
    conditions: Conditions,
    method: Method,
    secret: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredOutcome {
    declarant: String,
    lrn: String,
    goods_item: u32,
    is_error: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    true_value: Option<u64>,
    corrected: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

impl Stored {
    pub(super) fn of(n: u64, line: &Line) -> Self {
        match line.clone() {
            Line::Plan(plan) => {
                let Plan { id, terms, secret, recorded_by, recorded_at, recorded_on } = *plan;
                Self {
                    format: FORMAT,
                    n,
                    plan: id.0,
                    recorded_by,
                    recorded_at_ms: recorded_at.0,
                    recorded_on: recorded_on.to_string(),
                    terms: Some(StoredTerms {
                        name: terms.name,
                        purpose: terms.purpose,
                        owner: terms.owner,
                        first: terms.first.to_string(),
                        last: terms.last.to_string(),
                        conditions: terms.conditions,
                        method: terms.method,
                        secret: secret.reveal(),
                    }),
                    outcome: None,
                }
            }
            Line::Outcome(plan, outcome) => Self {
                format: FORMAT,
                n,
                plan: plan.0,
                recorded_by: outcome.recorded_by,
                recorded_at_ms: outcome.recorded_at.0,
                recorded_on: outcome.recorded_on.to_string(),
                terms: None,
                outcome: Some(StoredOutcome {
                    declarant: outcome.item.declarant.to_string(),
                    lrn: outcome.item.lrn.to_string(),
                    goods_item: outcome.item.goods_item,
                    is_error: outcome.is_error,
                    true_value: outcome.true_value,
                    corrected: outcome.corrected,
                    note: outcome.note,
                }),
            },
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<(u64, Line), LineError> {
        let stored: Self = book::decode(bytes, FORMAT)?;
        Ok((stored.n, stored.line()?))
    }

    fn line(self) -> Result<Line, String> {
        let (id, recorded_by) = (PlanId(self.plan), self.recorded_by);
        let (recorded_at, recorded_on) = (Moment(self.recorded_at_ms), day(&self.recorded_on)?);
        match (self.terms, self.outcome) {
            (Some(stored), None) => {
                let terms = Terms {
                    name: stored.name,
                    purpose: stored.purpose,
                    owner: stored.owner,
                    first: day(&stored.first)?,
                    last: day(&stored.last)?,
                    conditions: stored.conditions,
                    method: stored.method,
                };
                terms.check().map_err(|wrong| wrong.to_string())?;
                let secret = Secret::parse(&stored.secret).ok_or("its secret is none")?;
                let plan = Plan { id, terms, secret, recorded_by, recorded_at, recorded_on };
                Ok(Line::Plan(Box::new(plan)))
            }
            (None, Some(stored)) => {
                let eori = Eori::parse(&stored.declarant);
                let lrn = ShortText::new(&stored.lrn);
                let outcome = Outcome {
                    item: ItemId {
                        declarant: eori
                            .ok_or_else(|| format!("{:?} is no EORI", stored.declarant))?,
                        lrn: lrn.ok_or_else(|| format!("{:?} is no LRN", stored.lrn))?,
                        goods_item: stored.goods_item,
                    },
                    is_error: stored.is_error,
                    true_value: stored.true_value,
                    corrected: stored.corrected,
                    note: stored.note,
                    recorded_by,
                    recorded_at,
                    recorded_on,
                };
                outcome.check().map_err(|wrong| wrong.to_string())?;
                Ok(Line::Outcome(id, outcome))
            }
            _ => Err("it is neither a plan nor an outcome".into()),
        }
    }
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| format!("{text:?} is no day"))
}
