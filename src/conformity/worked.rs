//! The worked cases of `tests/cases.json` as cases of the kit: what they expect is written in another way.

use serde::Deserialize;
use serde_json::Value;

use super::case::{BatchRow, Entry, Finding};
use super::kit::day;
use crate::day::Day;

const WORKED: &str = include_str!("../../tests/cases.json");

/// A case and the day on which it is judged.
#[derive(Deserialize)]
pub(super) struct WorkedCase {
    pub(super) case: String,
    #[serde(deserialize_with = "day")]
    pub(super) on: Day,
    request: Value,
    expect: Vec<WorkedExpect>,
}

#[derive(Deserialize)]
struct WorkedExpect {
    outcome: String,
    replay_of: Option<String>,
    reject: Option<Vec<String>>,
    reject_has: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    no_flags: Vec<String>,
}

impl WorkedCase {
    /// All of them.
    pub(super) fn all() -> Result<Vec<Self>, serde_json::Error> {
        serde_json::from_str(WORKED)
    }

    /// The batch, the LRNs in it replaced by names: 1 for the first one, and so on.
    pub(super) fn batch(&self) -> Result<BatchRow, String> {
        let text = |name: &str| self.request.get(name).and_then(Value::as_str).map(str::to_owned);
        let declarations = self.request.get("declarations").and_then(Value::as_array);
        let declarations = declarations.ok_or("it has no declarations")?;
        if declarations.len() != self.expect.len() {
            return Err("it does not say of each declaration what is expected".to_owned());
        }
        let mut lrns: Vec<&Value> = Vec::new();
        let entries = declarations.iter().zip(&self.expect).map(|(whole, expect)| {
            let lrn = whole.get("lrn").unwrap_or(&Value::Null);
            let place = lrns.iter().position(|known| *known == lrn).unwrap_or_else(|| {
                lrns.push(lrn);
                lrns.len() - 1
            });
            let name = (place + 1).to_string();
            Ok(Entry { name, whole: Some(whole.clone()), ..expect.entry()? })
        });
        Ok(BatchRow {
            declarations: entries.collect::<Result<_, String>>()?,
            representative: text("representative").unwrap_or_default(),
            common: self.request.get("common").cloned(),
            ..BatchRow::default()
        })
    }
}

impl WorkedExpect {
    fn entry(&self) -> Result<Entry, String> {
        let short = |name: &str| name.trim_start_matches("OUTCOME_").to_owned();
        let of =
            |severity: &str, reason: &String| Finding::try_from(format!("{severity} {reason}"));
        let rejects = self.reject.iter().flatten().chain(&self.reject_has);
        let findings = rejects.map(|reason| of("REJECT", reason));
        let findings = findings.chain(self.flags.iter().map(|reason| of("FLAG", reason)));
        Ok(Entry {
            outcome: Some(short(&self.outcome)),
            replay_of: self.replay_of.as_deref().map(short),
            findings: findings.collect::<Result<_, String>>()?,
            near: self.no_flags.clone(),
            others: self.reject.is_none(),
            ..Entry::default()
        })
    }
}
