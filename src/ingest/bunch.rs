//! Records that wait to be judged together, on all processors, and what judging makes of them.

use std::sync::Arc;

use bytes::Bytes;

use super::again::Under;
use super::laws::{Laws, Numbered};
use super::prepare::{Prepared, Preparer};
use super::record::LawRecord;
use super::recover::RecoverError;
use crate::day::When;
use crate::id::{Ordinal, Watermark};
use crate::index::filed::Draft;
use crate::index::run::Forgotten;
use crate::index::settle::Decided;
use crate::journal::{Position, Record};
use crate::outcome::Outcome;
use crate::rules::finding::{Findings, OwnFindings};
use crate::summary::Delta;

/// A record that has been taken from the journal and waits for its bunch to be full.
pub(super) struct Waiting {
    pub(super) number: Watermark,
    pub(super) position: Position,
    pub(super) entry: WaitingEntry,
}

impl Waiting {
    /// Of groups all but the last are known to be durable. Nothing is made of that one before the
    /// journal was opened, which makes it so: a run or the catalog must not know more than the journal.
    pub(super) fn is_in_group_of(&self, record: &Record<'_>) -> bool {
        let group = |position: Position| (position.segment, position.page);
        group(self.position) == group(record.position)
    }
}

/// What a record that waits says.
pub(super) enum WaitingEntry {
    Batch {
        law: Arc<Numbered>,
        when: When,
        first_ordinal: Ordinal,
        outcomes: Vec<u8>,
        firsts: Vec<u8>,
        message: Bytes,
    },
    Law(LawRecord),
    ActorsMax(u32),
    Forgotten(Forgotten),
}

type Judged = Result<Option<(Prepared, Draft)>, RecoverError>;

/// Judges the batches of a bunch, each preparer an equal share of them.
pub(super) fn judge_all(
    preparers: &mut [Preparer],
    bunch: &[Waiting],
) -> Result<Vec<Option<(Prepared, Draft)>>, RecoverError> {
    let share = bunch.len().div_ceil(preparers.len().max(1)).max(1);
    let judge = |preparer: &mut Preparer, waiting: &Waiting| -> Judged {
        let WaitingEntry::Batch { law, when, message, .. } = &waiting.entry else {
            return Ok(None);
        };
        let number = waiting.number.0;
        let judged = preparer.prepare(message.clone(), *when, law);
        judged.map(Some).map_err(|refusal| RecoverError::Batch { number, reason: refusal.message })
    };
    let shares: Vec<Vec<Judged>> = std::thread::scope(|scope| {
        let threads: Vec<_> = preparers
            .iter_mut()
            .zip(bunch.chunks(share))
            .map(|(preparer, chunk)| {
                scope.spawn(move || chunk.iter().map(|w| judge(preparer, w)).collect::<Vec<_>>())
            })
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|share| share.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    shares.into_iter().flatten().collect()
}

/// A batch's contribution to the summaries.
pub(super) fn delta(
    preparers: &mut [Preparer],
    laws: &Laws,
    number: Watermark,
    prepared: &Prepared,
    decided: &Decided,
) -> Result<Delta, RecoverError> {
    let mut delta = Delta::new(prepared.admission.day, prepared.declarant, prepared.representative);
    // A replay's findings count for nothing.
    let again = prepared.judged.iter().enumerate().filter_map(|(index, _)| {
        let outcome = decided.filed.settled(index)?.outcome;
        let is_conflict = outcome == Outcome::Conflict;
        let must = is_conflict || (prepared.findings.is_none() && outcome != Outcome::Replayed);
        must.then(|| (index, Under::of(&decided.filed, index, is_conflict)))
    });
    let mut again = again.peekable();
    let mut findings_again = Findings::quoting(0);
    let made = match preparers.first_mut() {
        Some(preparer) if again.peek().is_some() => preparer
            .judge_again(&prepared.message, laws, again, &mut findings_again)
            .map_err(|reason| RecoverError::Batch { number: number.0, reason })?,
        _ => Vec::new(),
    };
    let mut made = made.iter().peekable();
    let mut references = prepared.references.iter().peekable();
    for (index, judged) in prepared.judged.iter().enumerate() {
        let Some(settled) = decided.filed.settled(index) else { continue };
        let findings = match (made.next_if(|again| again.index == index), &prepared.findings) {
            (Some(again), _) => findings_again.of(again.found),
            (None, Some(findings)) => findings.of(judged.findings),
            (None, None) => OwnFindings::NONE,
        };
        delta.add(settled.outcome, &judged.facts, findings, judged.ioss);
        if let Some((_, reference)) = references.next_if(|(at, _)| *at == index) {
            delta.refer(settled.outcome, &judged.facts, reference);
        }
    }
    Ok(delta)
}
