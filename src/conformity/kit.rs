//! Reading the files of cases: families, rules of law, and under each the cases that show it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::case::{BatchRow, Case, Finding, Step};
use super::worked::WorkedCase;
use crate::day::Day;

/// Files of cases, in the order in which they are played.
const FAMILIES: &[&str] = &[
    include_str!("cases/header.json"),
    include_str!("cases/parties.json"),
    include_str!("cases/documents.json"),
    include_str!("cases/procedures.json"),
    include_str!("cases/value.json"),
    include_str!("cases/goods.json"),
    include_str!("cases/description.json"),
    include_str!("cases/worked.json"),
    include_str!("cases/protocol.json"),
];
const BASES: &str = include_str!("cases/bases.json");
const UNCOVERED: &str = include_str!("cases/uncovered.json");

/// What is wrong with a file of cases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// A file is not written as it must be.
    #[error("cases: {source}")]
    Json {
        /// What is wrong, and where.
        #[from]
        source: serde_json::Error,
    },
    /// A case says something that means nothing.
    #[error("case {id}: {what}")]
    Case {
        /// The case.
        id: String,
        /// What it says.
        what: String,
    },
}

/// All cases.
#[derive(Debug)]
pub struct Kit {
    /// In the order in which they are played.
    pub cases: Vec<Case>,
    /// The reasons that no case can draw.
    pub uncovered: Vec<Uncovered>,
    pub(super) bases: BTreeMap<String, Vec<Base>>,
}

/// A reason that cannot be drawn from outside.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncovered {
    /// Its name.
    pub reason: String,
    /// Why not.
    pub why: String,
}

/// A declaration that cases change, on some days.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Base {
    #[serde(deserialize_with = "day")]
    pub(super) from: Day,
    #[serde(default = "last_day", deserialize_with = "day")]
    pub(super) to: Day,
    /// The base that it changes.
    pub(super) like: Option<String>,
    #[serde(default)]
    pub(super) change: BTreeMap<String, Value>,
    /// In protobuf JSON, where it is like no other.
    pub(super) declaration: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    family: String,
    title: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    law: String,
    basis: String,
    #[serde(default = "first_day", deserialize_with = "day")]
    from: Day,
    #[serde(default = "last_day", deserialize_with = "day")]
    to: Day,
    cases: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    title: String,
    #[serde(default, deserialize_with = "some_day")]
    from: Option<Day>,
    #[serde(default, deserialize_with = "some_day")]
    to: Option<Day>,
    /// The case of that name in `tests/cases.json`.
    worked: Option<String>,
    /// What else is found in its first declaration: a worked case need not speak of all flags.
    #[serde(default)]
    also: Vec<Finding>,
    /// What else the batch has.
    #[serde(default)]
    batch: BatchRow,
    steps: Option<Vec<Step>>,
    /// The declaration, where there is but one.
    #[serde(flatten)]
    entry: serde_json::Map<String, Value>,
}

pub(super) fn first_day() -> Day {
    // 2021-07-01, when H7 began.
    Day(18_809)
}

pub(super) fn last_day() -> Day {
    Day(u16::MAX)
}

pub(super) fn day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
    let text = String::deserialize(deserializer)?;
    Day::parse(&text)
        .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no day such as 2026-11-05")))
}

fn some_day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
    day(deserializer).map(Some)
}

impl Kit {
    /// The cases that are compiled in.
    ///
    /// # Errors
    /// Where a file of them is not as it must be.
    pub fn built_in() -> Result<Self, KitError> {
        let worked = WorkedCase::all()?;
        let mut cases = Vec::new();
        for file in FAMILIES {
            let Family { family, title: family_title, rules } = serde_json::from_str(file)?;
            for Rule { law, basis, from, to, cases: rows } in rules {
                for row in rows {
                    let id = format!("{family}/{}", row.id);
                    let (from, to) = (row.from.unwrap_or(from), row.to.unwrap_or(to));
                    let title = row.title.clone();
                    let steps = row.steps(&worked, from, to);
                    let steps = steps.map_err(|what| KitError::Case { id: id.clone(), what })?;
                    cases.push(Case {
                        id,
                        title,
                        law: law.clone(),
                        basis: basis.clone(),
                        from,
                        to,
                        family: family.clone(),
                        family_title: family_title.clone(),
                        number: cases.len() + 1,
                        steps,
                    });
                }
            }
        }
        let (uncovered, bases) = (serde_json::from_str(UNCOVERED)?, serde_json::from_str(BASES)?);
        Ok(Self { cases, uncovered, bases })
    }
}

impl Row {
    /// What the case does.
    fn steps(self, worked: &[WorkedCase], from: Day, to: Day) -> Result<Vec<Step>, String> {
        if from > to || from < first_day() {
            return Err("its days are none".to_owned());
        }
        match (self.worked, self.steps) {
            (Some(name), None) if self.entry.is_empty() => {
                let case = worked.iter().find(|case| case.case == name);
                let case = case.ok_or("there is no such worked case")?;
                if case.on < from || to < case.on {
                    return Err("the worked case holds on another day".to_owned());
                }
                let mut batch = case.batch()?;
                let first = batch.declarations.first_mut().ok_or("it has no declarations")?;
                first.findings.extend(self.also);
                Ok(vec![Step::Submit(batch)])
            }
            (None, Some(steps)) if self.entry.is_empty() && self.also.is_empty() => Ok(steps),
            (None, None) if self.also.is_empty() => {
                let entry = serde_json::from_value(Value::Object(self.entry));
                let declarations = vec![entry.map_err(|error| error.to_string())?];
                Ok(vec![Step::Submit(BatchRow { declarations, ..self.batch })])
            }
            _ => Err("it is a worked case or has steps, and more beside that".to_owned()),
        }
    }
}
