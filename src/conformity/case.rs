//! The cases as they are written: families, rules of law, and under each the cases that show it.
//!
//! A case is short because it says only what differs from a base declaration:
//! ```json
//! {"id": "consignment-150.01", "title": "a consignment of EUR 150.01",
//!  "change": {"goodsItems.0.intrinsicValue.hundredths": "15001"},
//!  "findings": ["REJECT INTRINSIC_VALUE_EXCEEDS_THRESHOLD 14 14 000 000"]}
//! ```
//! `near` names the reasons at whose boundary a case stands without drawing them. A case of more than one
//! batch has `steps` instead.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::kit::{first_day, last_day};
use crate::day::Day;
use crate::proto::v1;

/// One case.
#[derive(Debug)]
pub struct Case {
    /// As `value/consignment-150.01`; the family stands before the stroke.
    pub id: String,
    /// What is tried.
    pub title: String,
    /// What the law or the contract says about it.
    pub law: String,
    /// Where that stands.
    pub basis: String,
    /// The first day on which it holds.
    pub from: Day,
    /// The last one.
    pub to: Day,
    pub(super) family: String,
    pub(super) family_title: String,
    /// Its place among all, from 1: a part of its LRNs, so that these do not depend on what is played.
    pub(super) number: usize,
    pub(super) steps: Vec<Step>,
}

/// What is done, one after another.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// One batch in a call of its own.
    Submit(BatchRow),
    /// Several on one stream.
    Stream(Vec<BatchRow>),
    /// A declaration is asked for.
    LookUp(LookUp),
    /// The reasons of the day are asked for: every reason that some case draws must be among them.
    Reasons {},
    /// The declarant's summary is asked for, at the watermark of the last answer.
    Summary {},
}

/// A batch.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BatchRow {
    /// The run's own, if left out.
    pub(super) declarant: Option<String>,
    pub(super) representative: String,
    pub(super) representative_status: u32,
    pub(super) batch_id: Option<String>,
    /// In protobuf JSON.
    pub(super) common: Option<Value>,
    pub(super) declarations: Vec<Entry>,
    /// The batch as a whole is expected to be refused.
    pub(super) refused: Option<Refused>,
}

/// How a batch is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refused {
    /// As `INVALID_ARGUMENT`.
    pub(super) code: String,
    /// The field at fault, where one is to be named.
    #[serde(default)]
    pub(super) field: String,
}

/// A declaration and what is expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Entry {
    /// Two of a case with the same name have the same LRN.
    pub(super) name: String,
    pub(super) base: String,
    /// By path, as `goodsItems.0.hs6`; see [`super::batch`].
    pub(super) change: BTreeMap<String, Value>,
    /// A whole declaration in the place of base and change.
    pub(super) whole: Option<Value>,
    /// So many alike.
    pub(super) copies: usize,
    /// As `REJECTED`; by the findings, if left out.
    pub(super) outcome: Option<String>,
    /// Of a replay, what it was at first.
    pub(super) replay_of: Option<String>,
    /// All that REJECT, and the flags that must be there.
    pub(super) findings: Vec<Finding>,
    /// Reasons that must not be found.
    pub(super) near: Vec<String>,
    /// Other findings that REJECT are allowed.
    pub(super) others: bool,
    /// Consignment value in euro, as `150.00`.
    pub(super) value: Option<String>,
    /// Duty in euro.
    pub(super) duty: Option<String>,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            name: "1".into(),
            base: "sale".into(),
            change: BTreeMap::new(),
            whole: None,
            copies: 1,
            outcome: None,
            replay_of: None,
            findings: Vec::new(),
            near: Vec::new(),
            others: false,
            value: None,
            duty: None,
        }
    }
}

impl Entry {
    /// The outcome that is expected.
    pub(super) fn outcome(&self) -> &str {
        let rejects = |finding: &Finding| finding.severity == v1::Severity::Reject;
        match &self.outcome {
            Some(outcome) => outcome,
            None if self.findings.iter().any(rejects) => "REJECTED",
            None => "ACCEPTED",
        }
    }
}

/// A finding that is expected: `REJECT FIELD_FORMAT 18 09 056 000 item 1`. Where the data element is left
/// out, any will do, on any goods item.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Finding {
    pub(super) severity: v1::Severity,
    pub(super) reason: String,
    /// Data element and goods item.
    pub(super) place: Option<(String, u32)>,
}

impl TryFrom<String> for Finding {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is no finding such as \"REJECT FIELD_FORMAT 18 09 056 000 item 1\"")
        };
        let words: Vec<&str> = text.split(' ').collect();
        let (severity, reason, place) = match words.as_slice() {
            [severity, reason] => (severity, reason, None),
            [severity, reason, a, b, c, d] => {
                (severity, reason, Some((format!("{a} {b} {c} {d}"), 0)))
            }
            [severity, reason, a, b, c, d, "item", item] => {
                let item = item.parse().map_err(|_| wrong())?;
                (severity, reason, Some((format!("{a} {b} {c} {d}"), item)))
            }
            _ => return Err(wrong()),
        };
        let severity = match *severity {
            "REJECT" => v1::Severity::Reject,
            "FLAG" => v1::Severity::Flag,
            _ => return Err(wrong()),
        };
        Ok(Self { severity, reason: (*reason).to_owned(), place })
    }
}

/// Asking for a declaration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum LookUp {
    /// By the LRN of the one of this name; it must come with its last answer.
    Lrn(String),
    /// By the MRN of the one of this name.
    Mrn(String),
    /// By the MRN of the one of this name, with each of its characters changed in turn: nothing may be found.
    ChangedMrn(String),
    /// By an LRN under which nothing was lodged: nothing may be found.
    UnknownLrn(String),
}

impl Case {
    /// Whether it is that of this id, or of this family.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.id == name || self.family == name.trim_end_matches('/')
    }

    /// As `from 2026-07-01`, `until 2026-06-30` or `always`.
    #[must_use]
    pub fn days(&self) -> String {
        match (self.from == first_day(), self.to == last_day()) {
            (true, true) => "always".to_owned(),
            (true, false) => format!("until {}", self.to),
            (false, true) => format!("from {}", self.from),
            (false, false) => format!("{} to {}", self.from, self.to),
        }
    }

    /// The batches that it sends.
    pub(super) fn batches(&self) -> impl Iterator<Item = &BatchRow> {
        self.steps.iter().flat_map(|step| match step {
            Step::Submit(batch) => std::slice::from_ref(batch),
            Step::Stream(batches) => batches,
            Step::LookUp(_) | Step::Reasons {} | Step::Summary {} => &[],
        })
    }

    /// Whether it lodges a declaration of that name, in a batch that is taken.
    pub(super) fn lodges(&self, name: &str) -> bool {
        let taken = self.batches().filter(|batch| batch.refused.is_none());
        taken.flat_map(|batch| &batch.declarations).any(|entry| entry.name == name)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.batches().flat_map(|batch| &batch.declarations)
    }

    /// The reasons that it draws, each once.
    #[must_use]
    pub fn draws(&self) -> Vec<&str> {
        let drawn = self.entries().flat_map(|entry| &entry.findings);
        let mut drawn: Vec<&str> = drawn.map(|finding| finding.reason.as_str()).collect();
        drawn.sort_unstable();
        drawn.dedup();
        drawn
    }

    /// The reasons at whose boundary it stands without drawing them.
    #[must_use]
    pub fn stands_at(&self) -> Vec<&str> {
        let mut near: Vec<&str> =
            self.entries().flat_map(|entry| &entry.near).map(String::as_str).collect();
        near.sort_unstable();
        near.dedup();
        near
    }
}
