//! Making the batches of a case for one day and one run.
//!
//! A base declaration is changed by path: `goodsItems.0.hs6` is the first goods item's code. An object is
//! merged into what is there, `null` takes a field away, anything else takes its place. A goods item that is
//! not there yet is a copy of the one before with the next number, so that `"goodsItems.998": {}` makes 999
//! of them. Paths are taken in their order, so that what is said of the first goods item is copied.
//!
//! In texts stand for
//!
//! | | |
//! |---|---|
//! | `{lrn}` | the declaration's own LRN: run, number of the case, name |
//! | `{lrn:22}` | the same, made as long as that |
//! | `{71*x}` | 71 times x |
//! | `{150.01 USD}` | the largest amount in hundredths that is worth so much at the rate of the day |
//! | `{29 days ago}` | milliseconds of that moment |

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::case::{BatchRow, Case, Entry};
use super::kit::Kit;
use crate::day::Moment;
use crate::id::EurCents;
use crate::proto::v1::{Declaration, SubmitBatchRequest};
use crate::rules::DayLaw;

/// No declaration has as many goods items: what asks for more is a slip.
const GOODS_ITEMS_MAX: usize = 2_000;
const DAY_MS: i64 = 86_400_000;

/// Why a case cannot be played on a day.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unplayable {
    /// It needs something that is not known on that day.
    #[error("{0}")]
    Lacking(String),
    /// It is written wrongly.
    #[error("{0}")]
    Fault(String),
}

/// For whom and when batches are made.
#[derive(Debug)]
pub(super) struct Making<'a> {
    pub(super) kit: &'a Kit,
    pub(super) run: &'a str,
    pub(super) declarant: &'a str,
    /// The law of the day.
    pub(super) law: &'a DayLaw,
    /// The service's time.
    pub(super) now: Moment,
}

impl Making<'_> {
    /// The LRN of the declaration of that name.
    pub(super) fn lrn(&self, case: &Case, name: &str) -> String {
        format!("{}-{:03}-{name}", self.run, case.number)
    }

    /// The batch as it is sent.
    pub(super) fn batch(
        &self,
        case: &Case,
        row: &BatchRow,
        place: usize,
    ) -> Result<SubmitBatchRequest, Unplayable> {
        let mut declarations = Vec::new();
        for entry in &row.declarations {
            let declaration = self.declaration(case, entry)?;
            declarations.resize(declarations.len() + entry.copies, declaration);
        }
        let batch_id = match &row.batch_id {
            Some(id) => self.text(id, &self.lrn(case, "1"))?,
            None => format!("{}-{:03}-{place}", self.run, case.number),
        };
        let common = row.common.clone().map(|mut common| {
            self.texts(&mut common, &self.lrn(case, "1"))?;
            serde_json::from_value(common).map_err(fault)
        });
        Ok(SubmitBatchRequest {
            batch_id,
            declarant: row.declarant.clone().unwrap_or_else(|| self.declarant.to_owned()),
            representative: row.representative.replace("{declarant}", self.declarant),
            representative_status: row.representative_status,
            declarations,
            common: common.transpose()?,
        })
    }

    fn declaration(&self, case: &Case, entry: &Entry) -> Result<Declaration, Unplayable> {
        let lrn = self.lrn(case, &entry.name);
        let mut made = match &entry.whole {
            Some(whole) => {
                let mut whole = whole.clone();
                set(&mut whole, "lrn", &Value::from("{lrn}"))?;
                whole
            }
            None => self.base(&entry.base)?,
        };
        change(&mut made, &entry.change)?;
        self.texts(&mut made, &lrn)?;
        serde_json::from_value(made).map_err(fault)
    }

    fn base(&self, name: &str) -> Result<Value, Unplayable> {
        let day = self.law.day();
        let mut held = self.kit.bases.get(name).into_iter().flatten();
        let base = held.find(|base| base.from <= day && day <= base.to);
        let base =
            base.ok_or_else(|| Unplayable::Fault(format!("there is no base {name:?} on {day}")))?;
        let mut made = match (&base.like, &base.declaration) {
            (Some(like), None) => self.base(like)?,
            (None, Some(declaration)) => declaration.clone(),
            _ => return Err(Unplayable::Fault(format!("base {name:?} is like another, or whole"))),
        };
        change(&mut made, &base.change)?;
        Ok(made)
    }

    fn texts(&self, value: &mut Value, lrn: &str) -> Result<(), Unplayable> {
        match value {
            Value::String(text) if text.contains('{') => *text = self.text(text, lrn)?,
            Value::Array(list) => list.iter_mut().try_for_each(|value| self.texts(value, lrn))?,
            Value::Object(map) => map.values_mut().try_for_each(|value| self.texts(value, lrn))?,
            _ => {}
        }
        Ok(())
    }

    fn text(&self, text: &str, lrn: &str) -> Result<String, Unplayable> {
        let mut made = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let unclosed = || Unplayable::Fault(format!("{text:?} has a brace that is not closed"));
            let (what, after) = after.split_once('}').ok_or_else(unclosed)?;
            made.push_str(before);
            made.push_str(&self.meant(what, lrn)?);
            rest = after;
        }
        made.push_str(rest);
        Ok(made)
    }

    /// What stands in braces.
    fn meant(&self, what: &str, lrn: &str) -> Result<String, Unplayable> {
        let unknown = || Unplayable::Fault(format!("{{{what}}} means nothing"));
        if what == "lrn" {
            return Ok(lrn.to_owned());
        }
        if let Some(length) = what.strip_prefix("lrn:") {
            let length: usize = length.parse().map_err(|_| unknown())?;
            return Ok(format!("{lrn:-<length$}"));
        }
        if let Some((times, part)) = what.split_once('*') {
            return Ok(part.repeat(times.parse().map_err(|_| unknown())?));
        }
        if let Some(days) = what.strip_suffix(" days ago") {
            let days: i64 = days.parse().map_err(|_| unknown())?;
            return Ok((self.now.0 - days * DAY_MS).to_string());
        }
        let (euros, currency) = what.split_once(' ').ok_or_else(unknown)?;
        let cents = cents(euros).ok_or_else(unknown)?;
        let day = self.law.day();
        let worth = self.law.most_worth(EurCents(cents), currency).ok_or_else(|| {
            Unplayable::Lacking(format!("the rate of {currency} on {day} is not known here"))
        })?;
        Ok(worth.to_string())
    }
}

fn fault(error: impl std::fmt::Display) -> Unplayable {
    Unplayable::Fault(error.to_string())
}

/// `150.01` in cents.
pub(super) fn cents(euros: &str) -> Option<u64> {
    let (whole, part) = euros.split_once('.')?;
    let part = if part.len() == 2 { part.parse::<u64>().ok()? } else { return None };
    Some(whole.parse::<u64>().ok()? * 100 + part)
}

fn change(made: &mut Value, changes: &BTreeMap<String, Value>) -> Result<(), Unplayable> {
    changes.iter().try_for_each(|(path, to)| set(made, path, to))
}

fn set(made: &mut Value, path: &str, to: &Value) -> Result<(), Unplayable> {
    let wrong = || Unplayable::Fault(format!("there is no {path}"));
    let (parents, last) = match path.rsplit_once('.') {
        Some((parents, last)) => (parents.split('.').collect(), last),
        None => (Vec::new(), path),
    };
    let mut place = made;
    for step in parents {
        place = child(place, step).ok_or_else(wrong)?;
    }
    if to.is_null() {
        let map = place.as_object_mut().ok_or_else(wrong)?;
        // Bases have all that can be taken away: anything else is a slip.
        map.remove(last).map(drop).ok_or_else(wrong)
    } else {
        let place = child(place, last).ok_or_else(wrong)?;
        match (place, to) {
            (Value::Object(there), Value::Object(new)) => there.extend(new.clone()),
            (place, new) => *place = new.clone(),
        }
        Ok(())
    }
}

/// The field or the element of that name; one that is not there is made.
fn child<'a>(place: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    match place {
        Value::Object(map) => Some(map.entry(name).or_insert_with(|| Value::Object(Map::new()))),
        Value::Array(list) => {
            let index: usize = name.parse().ok().filter(|index| *index < GOODS_ITEMS_MAX)?;
            while list.len() <= index {
                let mut next = list.last()?.clone();
                let number = list.len() + 1;
                next.as_object_mut()?.insert("goodsItemNumber".into(), number.into());
                list.push(next);
            }
            list.get_mut(index)
        }
        _ => None,
    }
}
