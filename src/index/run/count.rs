//! What runs have of each day, where nothing else has it any more: held against the summaries.

use std::collections::BTreeMap;

use super::{Run, RunError};
use crate::day::Day;
use crate::id::Ordinal;
use crate::outcome::Outcome;

/// Pages read at once: 256 KiB.
const WINDOW_PAGES: usize = 64;

/// First answers of a day by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FirstAnswers {
    /// Accepted declarations.
    pub accepted: u64,
    /// Rejected ones.
    pub rejected: u64,
    /// Conflicts.
    pub conflicts: u64,
}

/// Counts the entries of runs by the day of their batch. Each first answer has one entry, under whatever
/// key.
///
/// # Errors
/// Where a run cannot be read, or an entry belongs to none of its batches.
pub fn first_answers<'r>(
    runs: impl Iterator<Item = &'r Run>,
) -> Result<BTreeMap<Day, FirstAnswers>, RunError> {
    let mut days: BTreeMap<Day, FirstAnswers> = BTreeMap::new();
    for run in runs {
        let spans = spans(run)?;
        for entry in run.all_entries(WINDOW_PAGES) {
            let entry = entry?;
            let after = spans.partition_point(|span| span.first <= entry.ordinal);
            let span = after.checked_sub(1).and_then(|place| spans.get(place));
            let span = span.filter(|span| entry.ordinal < span.end);
            let span = span.ok_or_else(|| run.damaged(0, "an entry belongs to no batch"))?;
            let of_day = days.entry(span.day).or_default();
            match entry.outcome {
                Outcome::Accepted => of_day.accepted += 1,
                Outcome::Rejected => of_day.rejected += 1,
                Outcome::Conflict => of_day.conflicts += 1,
                Outcome::Replayed => return Err(run.damaged(0, "an entry is of a replay")),
            }
        }
    }
    Ok(days)
}

/// Ordinals of batches of one day.
struct Span {
    first: Ordinal,
    end: Ordinal,
    day: Day,
}

/// Those of a run in order, batches that follow on one another taken together: a few for each day.
fn spans(run: &Run) -> Result<Vec<Span>, RunError> {
    let mut spans: Vec<Span> = Vec::new();
    for batch in run.all_batches() {
        let batch = batch?;
        let (first, day) = (batch.placing.first_ordinal, batch.admission.day);
        let end = batch.end();
        match spans.last_mut() {
            // What lies between repeated what was answered, and has no entries.
            Some(last) if last.day == day => last.end = end,
            _ => spans.push(Span { first, end, day }),
        }
    }
    Ok(spans)
}
