//! What came of a file's declarations, added up.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::proto::v1::{Outcome, Severity, Verdict};

/// Declarations by the outcome of their first answer, and by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) declarations: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) conflicts: u64,
    /// Not stored, for a bound that they pass or a declarant that is none.
    pub(crate) refused: u64,
    /// By reason and severity.
    #[serde(serialize_with = "rows")]
    pub(crate) reasons: BTreeMap<(String, String), Found>,
}

/// How often a reason was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
    /// Declarations in which it was found at least once.
    pub(crate) declarations: u64,
    pub(crate) findings: u64,
}

#[derive(Serialize)]
struct Row<'a> {
    reason: &'a str,
    severity: &'a str,
    #[serde(flatten)]
    found: Found,
}

fn rows<S: serde::Serializer>(
    reasons: &BTreeMap<(String, String), Found>,
    to: S,
) -> Result<S::Ok, S::Error> {
    let row = |((reason, severity), found): (&'_ (String, String), &Found)| {
        serde_json::to_value(Row { reason, severity, found: *found })
    };
    let rows: Result<Vec<_>, _> = reasons.iter().map(row).collect();
    rows.map_err(serde::ser::Error::custom)?.serialize(to)
}

/// What is read back of a line of verdicts.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    findings: Vec<LineFinding>,
}

#[derive(Deserialize)]
struct LineFinding {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    severity: String,
}

impl Tally {
    /// Counts a verdict.
    pub(super) fn add(&mut self, verdict: &Verdict) {
        let findings = verdict.findings.iter();
        self.count(
            verdict.outcome(),
            findings.map(|finding| (finding.reason.as_str(), finding.severity().as_str_name())),
        );
    }

    /// Counts a declaration that was refused.
    pub(super) fn add_refused(&mut self) {
        self.count(Outcome::Unspecified, std::iter::empty());
    }

    /// Counts lines that were written before.
    ///
    /// # Errors
    /// Where one is none.
    pub(super) fn add_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line = serde_json::from_slice(line)?;
            let outcome = Outcome::from_str_name(&line.outcome).unwrap_or_default();
            let findings = line.findings.iter();
            self.count(outcome, findings.map(|it| (it.reason.as_str(), it.severity.as_str())));
        }
        Ok(())
    }

    fn count<'a>(&mut self, outcome: Outcome, findings: impl Iterator<Item = (&'a str, &'a str)>) {
        self.declarations += 1;
        match outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Rejected => self.rejected += 1,
            Outcome::Conflict => self.conflicts += 1,
            // Written as the first answer, which is none of these; or refused.
            Outcome::Unspecified | Outcome::Replayed => self.refused += 1,
        }
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (reason, severity) in findings {
            let found = self.reasons.entry((reason.to_owned(), severity.to_owned())).or_default();
            found.findings += 1;
            if !seen.contains(&(reason, severity)) {
                seen.push((reason, severity));
                found.declarations += 1;
            }
        }
    }

    /// Adds another one.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.declarations += other.declarations;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.conflicts += other.conflicts;
        self.refused += other.refused;
        for (reason, found) in &other.reasons {
            let sum = self.reasons.entry(reason.clone()).or_default();
            sum.declarations += found.declarations;
            sum.findings += found.findings;
        }
    }

    /// Whether everything was accepted.
    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted == self.declarations
    }
}

/// The answer that a declaration first got.
pub(super) fn first_answer(verdict: Verdict) -> Verdict {
    match (verdict.outcome(), verdict.replay_of()) {
        (Outcome::Replayed, first) if first != Outcome::Unspecified => {
            Verdict { outcome: first.into(), replay_of: 0, ..verdict }
        }
        _ => verdict,
    }
}

/// What a severity is called in a table.
pub(crate) fn severity_word(severity: &str) -> &'static str {
    match Severity::from_str_name(severity) {
        Some(Severity::Reject) => "REJECT",
        _ => "flag",
    }
}
