//! Holding an answer against what is expected: what differs, and what is only noted.
//!
//! A difference is what the law or the contract says otherwise: outcomes, findings that REJECT, flags that a
//! case asks for or rules out, amounts, MRNs, totals, the order of verdicts. A note is what a service is free
//! in: other flags, texts that are empty, the order of findings beyond REJECT first.

use std::collections::HashMap;

use prost::Message;

use super::batch::cents;
use super::case::{BatchRow, Entry, Finding, Refused};
use super::report::Difference;
use super::service::{Refusal, Told};
use crate::id::mrn_check_digit;
use crate::proto::v1::{
    ActorSummary, BatchTotals, Outcome, Severity, SubmitBatchRequest, SubmitBatchResponse, Verdict,
};

/// Of a verdict, by the contract.
const VERDICT_FINDINGS_MAX: usize = 100;

/// How much is let pass.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Leniency {
    /// A flag that the case does not speak of is a difference too.
    pub(super) is_strict: bool,
    /// The run is played once more: a replay counts as what it is a replay of.
    pub(super) is_repeated: bool,
}

/// What a case has got so far.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) leniency: Leniency,
    pub(super) differences: Vec<Difference>,
    pub(super) notes: Vec<String>,
    /// The highest watermark that was answered.
    pub(super) watermark: u64,
    /// That one as it was before the step: batches that are under way at once are placed in any order.
    floor: u64,
    /// Outcomes since a summary was last read.
    answered: Counts,
    /// That summary.
    summary: Option<ActorSummary>,
    /// First answers, by all that was sent.
    first: HashMap<Vec<u8>, Verdict>,
    /// What stands under each LRN.
    standing: HashMap<String, Verdict>,
    /// Stands before what differs, where a batch has more than one declaration.
    place: String,
}

/// Declarations by outcome.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    accepted: u64,
    rejected: u64,
    replayed: u64,
    conflicts: u64,
}

impl Counts {
    fn of(totals: &BatchTotals) -> Self {
        Self {
            accepted: totals.accepted.into(),
            rejected: totals.rejected.into(),
            replayed: totals.replayed.into(),
            conflicts: totals.conflicts.into(),
        }
    }

    fn add(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.rejected += more.rejected;
        self.replayed += more.replayed;
        self.conflicts += more.conflicts;
    }
}

/// A finding as it is shown and compared.
pub(super) fn shown(severity: Severity, reason: &str, element: &str, item: u32) -> String {
    let severity = if severity == Severity::Reject { "REJECT" } else { "FLAG" };
    match item {
        0 => format!("{severity} {reason} {element}"),
        _ => format!("{severity} {reason} {element} item {item}"),
    }
}

fn shown_finding(finding: &crate::proto::v1::Finding) -> String {
    let element = &finding.data_element;
    shown(finding.severity(), &finding.reason, element, finding.goods_item_number)
}

impl Finding {
    fn shown(&self) -> String {
        match &self.place {
            Some((element, item)) => shown(self.severity, &self.reason, element, *item),
            None => shown(self.severity, &self.reason, "", 0).trim_end().to_owned(),
        }
    }

    fn is(&self, found: &crate::proto::v1::Finding) -> bool {
        let place = self.place.as_ref().is_none_or(|(element, item)| {
            *element == found.data_element && *item == found.goods_item_number
        });
        place && self.severity == found.severity() && self.reason == found.reason
    }
}

fn word(outcome: Outcome) -> &'static str {
    outcome.as_str_name().trim_start_matches("OUTCOME_")
}

/// As `ACCEPTED`, or `REPLAYED of ACCEPTED`.
fn told(verdict: &Verdict) -> String {
    match verdict.replay_of() {
        Outcome::Unspecified => word(verdict.outcome()).to_owned(),
        of => format!("{} of {}", word(verdict.outcome()), word(of)),
    }
}

impl Comparison {
    pub(super) fn new(leniency: Leniency) -> Self {
        Self { leniency, ..Self::default() }
    }

    pub(super) fn differs(&mut self, expected: impl Into<String>, came: impl Into<String>) {
        let expected = format!("{}{}", self.place, expected.into());
        self.differences.push(Difference { expected, came: came.into() });
    }

    fn note(&mut self, note: &str) {
        self.notes.push(format!("{}{note}", self.place));
    }

    /// What stands under an LRN, as far as was answered.
    pub(super) fn standing(&self, lrn: &str) -> Option<&Verdict> {
        self.standing.get(lrn)
    }

    /// A step begins: what it gets stands at watermarks above those so far.
    pub(super) fn begin(&mut self) {
        self.floor = self.watermark;
    }

    /// What a batch got.
    pub(super) fn told(&mut self, row: &BatchRow, batch: &SubmitBatchRequest, told: &Told) {
        match (&row.refused, told) {
            (None, Told::Answer(answer)) => self.answer(row, batch, answer),
            (Some(expected), Told::Refusal(came)) => self.refusal(expected, batch, came),
            (None, Told::Refusal(came)) => {
                self.differs("an answer", format!("{}: {}", came.code, came.message));
            }
            (Some(expected), Told::Answer(answer)) => {
                let came = format!("an answer with {} verdicts", answer.verdicts.len());
                self.differs(format!("{} for the whole batch", expected.code), came);
            }
        }
    }

    fn refusal(&mut self, expected: &Refused, batch: &SubmitBatchRequest, came: &Refusal) {
        if came.code != expected.code {
            self.differs(&expected.code, format!("{}: {}", came.code, came.message));
        }
        if !expected.field.is_empty() && came.field != expected.field {
            let field = |field: &str| format!("{} that names {field:?}", expected.code);
            if came.field.is_empty() && came.batch_id.is_none() {
                self.note("the refusal names no field");
            } else {
                self.differs(field(&expected.field), field(&came.field));
            }
        }
        if let Some(id) = came.batch_id.as_ref().filter(|id| **id != batch.batch_id) {
            self.differs(format!("a refusal of batch {:?}", batch.batch_id), format!("of {id:?}"));
        }
    }

    fn answer(&mut self, row: &BatchRow, batch: &SubmitBatchRequest, answer: &SubmitBatchResponse) {
        if answer.batch_id != batch.batch_id {
            let came = format!("{:?}", answer.batch_id);
            self.differs(format!("batch_id {:?} again", batch.batch_id), came);
        }
        let entries: Vec<&Entry> = row
            .declarations
            .iter()
            .flat_map(|entry| std::iter::repeat_n(entry, entry.copies))
            .collect();
        if answer.verdicts.len() != entries.len() {
            let expected = format!("{} verdicts", entries.len());
            self.differs(expected, format!("{} verdicts", answer.verdicts.len()));
            return;
        }
        if answer.watermark <= self.floor {
            let expected = format!("a watermark above {}", self.floor);
            self.differs(expected, answer.watermark.to_string());
        }
        self.watermark = self.watermark.max(answer.watermark);
        let several = entries.len() > 1;
        let declarations = batch.declarations.iter().zip(&answer.verdicts);
        for (number, (entry, (declaration, verdict))) in
            entries.iter().zip(declarations).enumerate()
        {
            if several {
                self.place = format!("declaration {}: ", number + 1);
            }
            let sent = SubmitBatchRequest {
                batch_id: String::new(),
                declarations: vec![declaration.clone()],
                ..batch.clone()
            };
            self.verdict(entry, &declaration.lrn, sent.encode_to_vec(), verdict);
            let texts = |finding: &crate::proto::v1::Finding| {
                finding.message.is_empty() || finding.legal_basis.is_empty()
            };
            if !answer.texts_omitted && verdict.findings.iter().any(texts) {
                self.note("a finding has no message or no legal basis");
            }
        }
        self.place.clear();
        self.totals(batch, answer);
    }

    /// A summary at the watermark of the last answer contains all that was answered since the one before;
    /// more, where others lodge for the same declarant.
    pub(super) fn summary(&mut self, came: ActorSummary) {
        if came.watermark < self.watermark {
            let expected = format!("a summary at watermark {} or later", self.watermark);
            self.differs(expected, came.watermark.to_string());
        }
        let answered = std::mem::take(&mut self.answered);
        let before = self.summary.replace(came.clone()).unwrap_or_default();
        for (what, before, answered, now) in [
            ("accepted", before.accepted, answered.accepted, came.accepted),
            ("rejected", before.rejected, answered.rejected, came.rejected),
            ("replayed", before.replayed, answered.replayed, came.replayed),
            ("conflicts", before.conflicts, answered.conflicts, came.conflicts),
        ] {
            let least = before + answered;
            if now < least {
                self.differs(format!("a summary with {what} of {least} or more"), now.to_string());
            }
        }
    }

    fn totals(&mut self, batch: &SubmitBatchRequest, answer: &SubmitBatchResponse) {
        let count = |outcome| {
            let of = answer.verdicts.iter().filter(|verdict| verdict.outcome() == outcome);
            u32::try_from(of.count()).unwrap_or(u32::MAX)
        };
        let accepted = batch
            .declarations
            .iter()
            .zip(&answer.verdicts)
            .filter(|(_, verdict)| verdict.outcome() == Outcome::Accepted);
        let lines: usize = accepted.map(|(declaration, _)| declaration.goods_items.len()).sum();
        let expected = BatchTotals {
            accepted: count(Outcome::Accepted),
            rejected: count(Outcome::Rejected),
            replayed: count(Outcome::Replayed),
            conflicts: count(Outcome::Conflict),
            accepted_lines: u32::try_from(lines).unwrap_or(u32::MAX),
        };
        self.answered.add(Counts::of(&expected));
        let came = answer.totals.unwrap_or_default();
        if came != expected {
            let shown = |totals: &BatchTotals| {
                let BatchTotals { accepted, rejected, replayed, conflicts, accepted_lines } =
                    totals;
                format!(
                    "totals of {accepted} accepted ({accepted_lines} lines), {rejected} rejected, {replayed} \
                     replayed, {conflicts} conflicts"
                )
            };
            self.differs(shown(&expected), shown(&came));
        }
    }

    fn verdict(&mut self, entry: &Entry, lrn: &str, sent: Vec<u8>, verdict: &Verdict) {
        let is_replay = verdict.outcome() == Outcome::Replayed;
        // What it was at first, whether it is a replay or not.
        let first = match verdict.replay_of() {
            of if is_replay => Verdict { outcome: of.into(), replay_of: 0, ..verdict.clone() },
            _ => verdict.clone(),
        };
        let as_first = is_replay && self.leniency.is_repeated && entry.outcome() != "REPLAYED";
        let seen = if as_first { &first } else { verdict };
        let expected = match &entry.replay_of {
            Some(of) => format!("{} of {of}", entry.outcome()),
            None => entry.outcome().to_owned(),
        };
        if told(seen) != expected {
            self.differs(expected, told(verdict));
        }
        self.findings(entry, verdict);
        self.amounts(entry, verdict);
        self.mrn(&first);
        match self.first.get(&sent).cloned() {
            Some(before) => self.replay(&before, &first),
            None => {
                self.first.insert(sent, first.clone());
            }
        }
        let stands = self.standing.get(lrn).is_some_and(|v| v.outcome() == Outcome::Accepted);
        if matches!(first.outcome(), Outcome::Accepted | Outcome::Rejected) && !stands {
            self.standing.insert(lrn.to_owned(), first);
        }
    }

    fn findings(&mut self, entry: &Entry, verdict: &Verdict) {
        let mut came: Vec<_> = verdict.findings.iter().collect();
        let mut missing: Vec<&Finding> = Vec::new();
        for expected in &entry.findings {
            match came.iter().position(|found| expected.is(found)) {
                Some(place) => drop(came.remove(place)),
                None => missing.push(expected),
            }
        }
        for expected in missing {
            // The same reason elsewhere, or of another severity, is told beside it.
            let place = came.iter().position(|found| found.reason == expected.reason);
            let instead = place.map(|place| came.remove(place));
            let instead = instead.map_or_else(|| "none such".to_owned(), shown_finding);
            self.differs(expected.shown(), instead);
        }
        for found in came {
            let is_near = entry.near.contains(&found.reason);
            let is_reject = found.severity() == Severity::Reject;
            let shown = format!("{} ({})", shown_finding(found), found.message);
            if is_near {
                self.differs(format!("no {}", found.reason), shown);
            } else if is_reject && !entry.others {
                self.differs("no other finding that rejects", shown);
            } else if self.leniency.is_strict && !is_reject {
                self.differs("no other flag", shown);
            } else if !is_reject {
                self.note(&format!("also found: {shown}"));
            }
        }
        if verdict.findings.len() > VERDICT_FINDINGS_MAX {
            let expected = format!("{VERDICT_FINDINGS_MAX} findings at most");
            self.differs(expected, verdict.findings.len().to_string());
        }
        let severities = verdict.findings.iter().map(|finding| finding.severity());
        if severities.is_sorted_by(|a, b| *a != Severity::Flag || *b == Severity::Flag) {
            self.order(entry, verdict);
        } else {
            self.differs("findings that REJECT first", "a flag before one that rejects");
        }
    }

    /// Beyond REJECT first the order is free, and noted only.
    fn order(&mut self, entry: &Entry, verdict: &Verdict) {
        // A worked case says nothing of places, and nothing of the order.
        let placed = entry.findings.iter().filter(|of| of.place.is_some());
        let places = placed.filter_map(|of| verdict.findings.iter().position(|found| of.is(found)));
        if !places.is_sorted() {
            self.note("findings in another order");
        }
    }

    fn amounts(&mut self, entry: &Entry, verdict: &Verdict) {
        let amounts = [
            ("value", &entry.value, verdict.intrinsic_value_eur_cents),
            ("duty", &entry.duty, verdict.duty_eur_cents),
        ];
        for (what, expected, came) in amounts {
            if let Some(expected) = expected
                && cents(expected) != Some(came)
            {
                let came = format!("EUR {}.{:02}", came / 100, came % 100);
                self.differs(format!("{what} EUR {expected}"), came);
            }
        }
    }

    /// 18 characters with the right check digit where there was an acceptance, and none elsewhere.
    fn mrn(&mut self, first: &Verdict) {
        let mrn = first.mrn.as_bytes();
        if first.outcome() != Outcome::Accepted {
            if !mrn.is_empty() {
                self.differs("no MRN without acceptance", &first.mrn);
            }
            return;
        }
        let digit = mrn_check_digit(mrn).map(|digit| b'0' + digit);
        if mrn.len() != 18 || mrn.last().copied() != digit {
            let came = format!("{:?}", first.mrn);
            self.differs("an MRN of 18 characters with its check digit", came);
        }
    }

    /// The same was sent before: it must have got the same.
    fn replay(&mut self, before: &Verdict, now: &Verdict) {
        let set = |verdict: &Verdict| {
            let mut shown: Vec<String> = verdict.findings.iter().map(shown_finding).collect();
            shown.sort_unstable();
            shown.join(", ")
        };
        if before.mrn != now.mrn {
            self.differs(
                format!("the first answer's MRN {:?}", before.mrn),
                format!("{:?}", now.mrn),
            );
        }
        if set(before) != set(now) {
            self.differs(format!("the first answer's findings: {}", set(before)), set(now));
        }
        let amounts = |v: &Verdict| (v.intrinsic_value_eur_cents, v.duty_eur_cents);
        if amounts(before) != amounts(now) {
            let shown = |v: &Verdict| format!("{:?} cents of value and duty", amounts(v));
            self.differs(format!("the first answer's {}", shown(before)), shown(now));
        }
    }
}
