//! What became of everything, by declarant and fallback reference.
//!
//! The service counts a batch that is sent again as replays; the spool counts each declaration once, by the
//! answer that it first got. Where a batch was sent again and its answer is a replay, nobody but the service
//! could tell whether the first sending was what it repeats. That is taken to be so, except for a
//! declaration that stands twice in one batch, and told apart (`..._by_replay`), so that whoever compares
//! knows how far each figure may be off.

use std::collections::{BTreeMap, HashSet};

use crate::proto::v1::{Outcome, SpoolReconciliation, SubmitBatchResponse};

/// Later than this after it was received, a declaration is late.
const LATE_AFTER_MS: i64 = 24 * 3_600_000;

/// Figures by declarant and reference.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures(BTreeMap<(String, String), SpoolReconciliation>);

/// A batch as its answer is counted.
#[derive(Debug, Clone)]
pub(super) struct Counted<'a> {
    pub(super) declarant: &'a str,
    /// Empty where it was forwarded as it came.
    pub(super) reference: &'a str,
    pub(super) received_at_ms: i64,
    pub(super) answered_at_ms: i64,
    pub(super) sent_again: bool,
    /// Of each declaration, whether it has a fallback of its own.
    pub(super) own: &'a [bool],
    /// Of each declaration, what tells its content.
    pub(super) contents: &'a [u64],
}

impl Figures {
    pub(super) fn of(rows: &[SpoolReconciliation]) -> Self {
        let mut figures = Self::default();
        rows.iter().for_each(|row| figures.add(row));
        figures
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &SpoolReconciliation> {
        self.0.values()
    }

    pub(super) fn add(&mut self, more: &SpoolReconciliation) {
        let key = (more.declarant.clone(), more.reference.clone());
        let row = self.0.entry(key).or_insert_with(|| row(&more.declarant, &more.reference));
        row.received += more.received;
        row.forwarded += more.forwarded;
        row.accepted += more.accepted;
        row.rejected += more.rejected;
        row.replayed += more.replayed;
        row.conflicts += more.conflicts;
        row.refused += more.refused;
        row.late += more.late;
        row.sent_again += more.sent_again;
        row.accepted_by_replay += more.accepted_by_replay;
        row.rejected_by_replay += more.rejected_by_replay;
        row.conflicts_by_replay += more.conflicts_by_replay;
        row.late_by_replay += more.late_by_replay;
    }

    /// Declarations that were taken in; under no reference before it is known how they are forwarded.
    pub(super) fn receive(&mut self, declarant: &str, reference: &str, all: u32, own: u32) {
        let (with, without) =
            if reference.is_empty() { (0, all) } else { (all - own.min(all), own) };
        for (reference, received) in [(reference, with), ("", without)] {
            if received > 0 {
                self.add(&SpoolReconciliation {
                    received: received.into(),
                    ..row(declarant, reference)
                });
            }
        }
    }

    /// Declarations that were taken in under no reference get one.
    pub(super) fn refer(&mut self, declarant: &str, reference: &str, all: u32, own: u32) {
        let moved = u64::from(all - own.min(all));
        if let Some(row) = self.0.get_mut(&(declarant.to_owned(), String::new())) {
            row.received = row.received.saturating_sub(moved);
        }
        self.add(&SpoolReconciliation { received: moved, ..row(declarant, reference) });
    }
}

fn row(declarant: &str, reference: &str) -> SpoolReconciliation {
    SpoolReconciliation {
        declarant: declarant.to_owned(),
        reference: reference.to_owned(),
        ..SpoolReconciliation::default()
    }
}

/// What a refusal of a batch adds.
pub(super) fn refused(batch: &Counted<'_>) -> Vec<SpoolReconciliation> {
    let mut adds = Figures::default();
    for own in batch.own {
        let reference = if *own { "" } else { batch.reference };
        adds.add(&SpoolReconciliation { refused: 1, ..row(batch.declarant, reference) });
    }
    adds.0.into_values().collect()
}

/// What an answer to a batch adds.
pub(super) fn answered(
    batch: &Counted<'_>,
    answer: &SubmitBatchResponse,
) -> Vec<SpoolReconciliation> {
    let is_late = batch.answered_at_ms - batch.received_at_ms > LATE_AFTER_MS;
    let mut seen = HashSet::new();
    let mut with = row(batch.declarant, batch.reference);
    let mut without = row(batch.declarant, "");
    for (number, verdict) in answer.verdicts.iter().enumerate() {
        let is_first = batch.contents.get(number).is_none_or(|content| seen.insert(*content));
        let is_own = batch.own.get(number).copied().unwrap_or(false);
        let into = if is_own { &mut without } else { &mut with };
        into.forwarded += 1;
        into.sent_again += u64::from(batch.sent_again);
        let is_replay = verdict.outcome() == Outcome::Replayed;
        if is_replay && !(batch.sent_again && is_first) {
            into.replayed += 1;
            continue;
        }
        let first = if is_replay { verdict.replay_of() } else { verdict.outcome() };
        let (count, by_replay) = match first {
            Outcome::Accepted => (&mut into.accepted, &mut into.accepted_by_replay),
            Outcome::Rejected => (&mut into.rejected, &mut into.rejected_by_replay),
            _ => (&mut into.conflicts, &mut into.conflicts_by_replay),
        };
        *count += 1;
        *by_replay += u64::from(is_replay);
        into.late += u64::from(is_late);
        into.late_by_replay += u64::from(is_late && is_replay);
    }
    [with, without].into_iter().filter(|row| row.forwarded > 0).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::proto::v1::Verdict;

    fn verdict(outcome: Outcome, replay_of: Outcome) -> Verdict {
        Verdict { outcome: outcome.into(), replay_of: replay_of.into(), ..Verdict::default() }
    }

    fn answer() -> SubmitBatchResponse {
        use Outcome::{Accepted, Conflict, Rejected, Replayed, Unspecified};
        let verdicts = vec![
            verdict(Accepted, Unspecified),
            verdict(Rejected, Unspecified),
            verdict(Conflict, Unspecified),
            verdict(Replayed, Accepted),
            verdict(Replayed, Rejected),
            verdict(Replayed, Accepted),
        ];
        SubmitBatchResponse { verdicts, ..SubmitBatchResponse::default() }
    }

    fn counted(sent_again: bool, contents: &[u64]) -> Counted<'_> {
        Counted {
            declarant: "NL810000003",
            reference: "SPOOL",
            received_at_ms: 0,
            answered_at_ms: LATE_AFTER_MS + 1,
            sent_again,
            own: &[false, false, false, false, false, false],
            contents,
        }
    }

    #[test]
    fn what_was_sent_once_is_counted_as_it_was_answered() {
        let row = answered(&counted(false, &[1, 2, 3, 4, 5, 6]), &answer()).pop().unwrap();
        let outcomes = (row.accepted, row.rejected, row.conflicts, row.replayed);
        assert_eq!((outcomes, row.forwarded, row.late), ((1, 1, 1, 3), 6, 3));
        assert_eq!((row.sent_again, row.accepted_by_replay), (0, 0));
    }

    #[test]
    fn what_was_sent_again_is_counted_by_its_first_answer_but_for_what_stood_in_the_batch_before() {
        let row = answered(&counted(true, &[1, 2, 3, 4, 5, 4]), &answer()).pop().unwrap();
        let outcomes = (row.accepted, row.rejected, row.conflicts, row.replayed);
        assert_eq!((outcomes, row.forwarded, row.late), ((2, 2, 1, 1), 6, 5));
        let by_replay = (row.accepted_by_replay, row.rejected_by_replay, row.late_by_replay);
        assert_eq!((row.sent_again, by_replay), (6, (1, 1, 2)));
    }

    #[test]
    fn what_has_a_fallback_of_its_own_is_under_no_reference_of_the_spool() {
        let own = [true, false, true, false, false, false];
        let batch = Counted { own: &own, ..counted(false, &[]) };
        let rows = answered(&batch, &answer());
        assert_eq!((rows[0].reference.as_str(), rows[0].forwarded), ("SPOOL", 4));
        assert_eq!((rows[1].reference.as_str(), rows[1].forwarded), ("", 2));
        let refused = Figures::of(&refused(&batch));
        assert_eq!(refused.rows().map(|row| row.refused).collect::<Vec<_>>(), [2, 4]);
        let mut figures = Figures::default();
        figures.receive("NL810000003", "", 6, 2);
        figures.refer("NL810000003", "SPOOL", 6, 2);
        let mut at_once = Figures::default();
        at_once.receive("NL810000003", "SPOOL", 6, 2);
        assert_eq!(figures, at_once);
    }
}
