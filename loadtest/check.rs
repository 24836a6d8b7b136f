//! Holds each answer against what must come out, which follows from how the batch was made.

use waag::command::demo::check::{Mismatches, Tally};
use waag::id::mrn_check_digit;
use waag::outcome::Outcome;
use waag::proto::v1::Severity;

use super::answer::{Verdict, Verdicts};
use super::mrns::{self, Mrns};
use super::plan::{Part, Sending};
use super::template::{Place, Template};

const REJECT: i32 = Severity::Reject as i32;
const CONFLICT: &str = "LRN_CONTENT_CONFLICT";

/// What was counted of answered batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Counts {
    /// Batches answered.
    pub(crate) batches: u64,
    /// Declarations in them.
    pub(crate) declarations: u64,
    /// Goods items in them.
    pub(crate) lines: u64,
    /// Declarations by outcome, as the server answered.
    pub(crate) accepted: u64,
    /// See `accepted`.
    pub(crate) rejected: u64,
    /// See `accepted`.
    pub(crate) replayed: u64,
    /// See `accepted`.
    pub(crate) conflicts: u64,
    /// Declarations that were sent before, batches sent again included.
    pub(crate) replays_planted: u64,
    /// Those answered as replays.
    pub(crate) replays_found: u64,
    /// Of these, the ones whose MRN was remembered and is the first answer's.
    pub(crate) replays_with_mrn_checked: u64,
    /// Declarations with other content under an accepted LRN, the first time they are sent.
    pub(crate) conflicts_planted: u64,
    /// Those answered as conflicts.
    pub(crate) conflicts_found: u64,
    /// New declarations answered as replays or conflicts.
    pub(crate) invented: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.declarations += other.declarations;
        self.lines += other.lines;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.replayed += other.replayed;
        self.conflicts += other.conflicts;
        self.replays_planted += other.replays_planted;
        self.replays_found += other.replays_found;
        self.replays_with_mrn_checked += other.replays_with_mrn_checked;
        self.conflicts_planted += other.conflicts_planted;
        self.conflicts_found += other.conflicts_found;
        self.invented += other.invented;
    }
}

/// What one declaration of a batch must get.
#[derive(Debug, Clone, Copy)]
struct Expected<'a> {
    outcome: Outcome,
    replay_of: Option<Outcome>,
    /// The sending whose answer gave, or gives, it an MRN.
    given_by: Option<u64>,
    place: &'a Place,
    conflict: bool,
}

impl<'a> Expected<'a> {
    fn of(sending: &Sending, at: usize, place: &'a Place) -> Self {
        let part = sending.part(at);
        let (first, by) = match part {
            Part::New => (place.first, Some(sending.batch)),
            Part::Replay { of } => (place.first, Some(of)),
            Part::Conflict { .. } => (Outcome::Conflict, None),
        };
        let is_replay = sending.again || matches!(part, Part::Replay { .. });
        Self {
            outcome: if is_replay { Outcome::Replayed } else { first },
            replay_of: is_replay.then_some(first),
            given_by: by.filter(|_| first == Outcome::Accepted),
            place,
            conflict: first == Outcome::Conflict,
        }
    }
}

/// One lane's memory of what it was answered.
#[derive(Debug)]
pub(crate) struct Book {
    /// What each template's declarant was answered, by template.
    pub(crate) tallies: Vec<Tally>,
    pub(crate) mismatches: Mismatches,
    pub(crate) watermark: u64,
    mrns: Mrns,
}

impl Book {
    pub(crate) fn new(templates: usize, batch: usize, hashes_max: usize) -> Self {
        Self {
            tallies: vec![Tally::default(); templates],
            mismatches: Mismatches::default(),
            watermark: 0,
            mrns: Mrns::new(batch, hashes_max),
        }
    }

    /// Checks that a sink has read all of a batch.
    pub(crate) fn check_counts(
        &mut self,
        batch_id: &str,
        template: &Template,
        read: &Verdicts<'_>,
    ) -> Counts {
        let (declarations, lines) = (template.places.len() as u64, template.lines);
        if read.batch_id != batch_id.as_bytes() {
            self.mismatches.add(|| format!("batch {batch_id}: answered under another batch_id"));
        }
        let found = read.totals.map(u64::from);
        if found != [declarations, 0, 0, 0, lines] {
            self.mismatches.add(|| {
                format!("batch {batch_id}: totals {found:?} of {declarations} with {lines} lines")
            });
        }
        Counts { batches: 1, declarations, lines, ..Counts::default() }
    }

    /// Checks and books the verdicts on `sending`.
    pub(crate) fn check(
        &mut self,
        sending: &Sending,
        batch_id: &str,
        template: &Template,
        verdicts: &Verdicts<'_>,
    ) -> Counts {
        let places = &template.places;
        let mut counts = Counts {
            batches: 1,
            declarations: places.len() as u64,
            lines: template.lines,
            ..Counts::default()
        };
        if verdicts.batch_id != batch_id.as_bytes() {
            self.mismatches.add(|| format!("batch {batch_id}: answered under another batch_id"));
        }
        if verdicts.list.len() != places.len() {
            let (sent, found) = (places.len(), verdicts.list.len());
            self.mismatches
                .add(|| format!("batch {batch_id}: {found} verdicts on {sent} declarations"));
        }
        let mut tally = Tally::default();
        for (at, (place, verdict)) in places.iter().zip(&verdicts.list).enumerate() {
            let expected = Expected::of(sending, at, place);
            count(&expected, verdict, &mut counts, &mut tally);
            if let Err(what) = self.one(&expected, at, verdict, verdicts, &mut counts) {
                self.mismatches
                    .add(|| format!("batch {batch_id}, declarations[{at}]: {}", what.in_words()));
            }
        }
        let found =
            [tally.accepted, tally.rejected, tally.replayed, tally.conflicts, tally.accepted_lines];
        if verdicts.totals.map(u64::from) != found {
            let told = verdicts.totals;
            self.mismatches
                .add(|| format!("batch {batch_id}: totals {told:?}, but verdicts {found:?}"));
        }
        if let Some(sum) = self.tallies.get_mut(sending.template) {
            add(sum, &tally);
        }
        self.watermark = self.watermark.max(verdicts.watermark);
        counts
    }

    fn one(
        &mut self,
        expected: &Expected<'_>,
        at: usize,
        verdict: &Verdict<'_>,
        verdicts: &Verdicts<'_>,
        counts: &mut Counts,
    ) -> Result<(), Wrong> {
        if verdict.outcome != expected.outcome as i32 {
            return Err(Wrong::Outcome(verdict.outcome, expected.outcome));
        }
        if verdict.replay_of != expected.replay_of.map_or(0, |first| first as i32) {
            return Err(Wrong::ReplayOf(verdict.replay_of, expected.replay_of));
        }
        check_reasons(expected, verdict, verdicts)?;
        let place = expected.place;
        let Some(given_by) = expected.given_by else {
            return if verdict.mrn.is_empty() { Ok(()) } else { Err(Wrong::MrnGiven) };
        };
        if !is_mrn(verdict.mrn) {
            return Err(Wrong::MrnForm);
        }
        for (found, known) in [
            (verdict.value_eur_cents, place.value_eur_cents),
            (verdict.duty_eur_cents, place.duty_eur_cents),
        ] {
            if known.is_some_and(|known| known != found) {
                return Err(Wrong::Amount(found, known));
            }
        }
        if expected.outcome == Outcome::Accepted {
            self.mrns.keep(given_by, at, verdict.mrn);
        } else if let Some(hash) = self.mrns.get(given_by, at) {
            if hash != mrns::hash(verdict.mrn) {
                return Err(Wrong::Mrn);
            }
            counts.replays_with_mrn_checked += 1;
        }
        Ok(())
    }
}

/// What is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wrong {
    Outcome(i32, Outcome),
    ReplayOf(i32, Option<Outcome>),
    Reasons(Vec<String>, Vec<&'static str>),
    ConflictNotFirst,
    MrnGiven,
    MrnForm,
    Mrn,
    Amount(u64, Option<u64>),
}

impl Wrong {
    fn in_words(&self) -> String {
        let outcome = |number: &i32| u8::try_from(*number).ok().and_then(Outcome::from_number);
        match self {
            Self::Outcome(found, known) => format!("{:?}, not {known:?}", outcome(found)),
            Self::ReplayOf(found, known) => {
                format!("a replay of {:?}, not of {known:?}", outcome(found))
            }
            Self::Reasons(found, known) => format!("rejected for {found:?}, not for {known:?}"),
            Self::ConflictNotFirst => "a conflict whose first finding is another".into(),
            Self::MrnGiven => "an MRN was given to what was not accepted".into(),
            Self::MrnForm => "the MRN is malformed".into(),
            Self::Mrn => "a replay with another MRN than the first answer's".into(),
            Self::Amount(found, known) => format!("{found} euro cents, not {known:?}"),
        }
    }
}

fn check_reasons(
    expected: &Expected<'_>,
    verdict: &Verdict<'_>,
    verdicts: &Verdicts<'_>,
) -> Result<(), Wrong> {
    let findings = verdicts.findings(verdict);
    let known: &[&'static str] =
        if expected.conflict { &[CONFLICT] } else { &expected.place.reject_reasons };
    // By far the most have none, and none to be looked at.
    if known.is_empty() && findings.iter().all(|finding| finding.severity != REJECT) {
        return Ok(());
    }
    if expected.conflict
        && findings.first().is_none_or(|finding| finding.reason != CONFLICT.as_bytes())
    {
        return Err(Wrong::ConflictNotFirst);
    }
    let mut found: Vec<&[u8]> = findings
        .iter()
        .filter(|finding| finding.severity == REJECT)
        .map(|finding| finding.reason)
        .collect();
    found.sort_unstable();
    found.dedup();
    // Findings that were left out for size leave fewer reasons, but no others.
    let is_right = if verdict.findings_omitted > 0 {
        !found.is_empty()
            && found.iter().all(|reason| known.iter().any(|known| known.as_bytes() == *reason))
    } else {
        found.iter().copied().eq(known.iter().map(|known| known.as_bytes()))
    };
    if is_right {
        return Ok(());
    }
    let found = found.iter().map(|reason| String::from_utf8_lossy(reason).into_owned()).collect();
    Err(Wrong::Reasons(found, known.to_vec()))
}

fn is_mrn(mrn: &[u8]) -> bool {
    mrn.len() == 18
        && mrn.get(2..4) == Some(b"NL")
        && mrn.get(16) == Some(&b'R')
        && mrn_check_digit(mrn).is_some_and(|digit| mrn.get(17) == Some(&(b'0' + digit)))
}

fn count(expected: &Expected<'_>, verdict: &Verdict<'_>, counts: &mut Counts, tally: &mut Tally) {
    let found = u8::try_from(verdict.outcome).ok().and_then(Outcome::from_number);
    match found {
        Some(Outcome::Accepted) => {
            counts.accepted += 1;
            tally.accepted += 1;
            tally.accepted_lines += u64::from(expected.place.lines);
            tally.gross_mass_mg += expected.place.gross_mass_mg;
            tally.value_eur_cents += verdict.value_eur_cents;
            tally.duty_eur_cents += verdict.duty_eur_cents;
        }
        Some(Outcome::Rejected) => {
            counts.rejected += 1;
            tally.rejected += 1;
        }
        Some(Outcome::Replayed) => {
            counts.replayed += 1;
            tally.replayed += 1;
        }
        Some(Outcome::Conflict) => {
            counts.conflicts += 1;
            tally.conflicts += 1;
        }
        None => {}
    }
    match expected.outcome {
        Outcome::Replayed => {
            counts.replays_planted += 1;
            counts.replays_found += u64::from(found == Some(Outcome::Replayed));
        }
        Outcome::Conflict => {
            counts.conflicts_planted += 1;
            counts.conflicts_found += u64::from(found == Some(Outcome::Conflict));
        }
        Outcome::Accepted | Outcome::Rejected => {
            counts.invented +=
                u64::from(matches!(found, Some(Outcome::Replayed | Outcome::Conflict)));
        }
    }
}

/// Adds what one batch came to.
pub(crate) fn add(sum: &mut Tally, one: &Tally) {
    sum.accepted += one.accepted;
    sum.rejected += one.rejected;
    sum.replayed += one.replayed;
    sum.conflicts += one.conflicts;
    sum.accepted_lines += one.accepted_lines;
    sum.value_eur_cents += one.value_eur_cents;
    sum.gross_mass_mg += one.gross_mass_mg;
    sum.duty_eur_cents += one.duty_eur_cents;
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
