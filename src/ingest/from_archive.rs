//! Recovery from the archive: what no segment has any more is taken from the sets, where runs or
//! summaries have to be made of it again.
//!
//! Nothing is judged: names of private persons are not there, and rules look at them. What was found
//! and answered stands in the tables. Settling derives the outcomes of replays and conflicts from what
//! came before as it did at first, but of replays nothing is kept to claim, and they change nothing.

use super::record::Entry;
use super::recover::{RecoverError, Recoverer};
use crate::archive::Entry as Row;
use crate::archive::{Archive, BatchEntry, DeclarationEntry, Part, Records, Set};
use crate::day::When;
use crate::id::{Eori, Watermark};
use crate::index::filed::{Admission, Draft, DraftFallback, Filed, Placing, Quoted, Settled};
use crate::journal::Position;
use crate::outcome::Outcome;
use crate::rules::finding::{OwnFindings, Reason, Severity};
use crate::rules::lrn_is_usable;
use crate::summary::{Delta, Event, Facts, FallbackReference, IossNumber};
use crate::wire::digest::{Key, Keys, MemoryKind};

/// Where records stand that no segment has: nowhere.
const SEALED: Position = Position { segment: 0, page: 0, offset: 0 };

/// A batch as the archive has it, on its way into the index and the summaries.
pub(super) struct Sealed {
    pub(super) draft: Draft,
    pub(super) outcomes: Vec<u8>,
    pub(super) delta: Delta,
}

impl Recoverer {
    /// Takes the records that follow on those which the runs cover, up to `before`, from the archive.
    ///
    /// # Errors
    /// Where the archive cannot be read, is damaged, or has dropped what would be needed; and as for
    /// records of the journal.
    pub(crate) fn read_archive(
        &mut self,
        archive: &Archive,
        before: Watermark,
    ) -> Result<(), RecoverError> {
        let next = self.covered_through().0 + 1;
        if next >= before.0 {
            return Ok(());
        }
        self.leave_runs();
        for set in archive.sets().iter() {
            if set.last.0 < next || set.first >= before {
                continue;
            }
            let is_gone = |part: &&Part| part.is_dropped && part.records.1.0 >= next;
            if let Some(part) = set.parts.iter().find(is_gone) {
                let why = format!("they end before record {next}");
                return Err(RecoverError::Dropped { day: part.day, why });
            }
            self.read_set(archive, set, Watermark(next)..before)?;
        }
        Ok(())
    }

    fn read_set(
        &mut self,
        archive: &Archive,
        set: &Set,
        range: std::ops::Range<Watermark>,
    ) -> Result<(), RecoverError> {
        let mut others = set.others.iter().filter(|o| range.contains(&o.number)).peekable();
        let mut records = archive.read(set)?;
        while let Some(batch) = records.next_batch()? {
            while let Some(other) = others.next_if(|other| other.number < batch.record) {
                self.sealed_other(other.number, other.kind, &other.body)?;
            }
            if range.contains(&batch.record) {
                self.sealed_batch(&batch, &mut records)?;
            }
        }
        for other in others {
            self.sealed_other(other.number, other.kind, &other.body)?;
        }
        self.tell_progress()
    }

    fn sealed_other(
        &mut self,
        number: Watermark,
        kind: u8,
        body: &[u8],
    ) -> Result<(), RecoverError> {
        let entry = Entry::read(kind, body)
            .map_err(|source| RecoverError::Record { number: number.0, source })?;
        let event = match entry {
            Entry::Law(law) => self.law(number, law)?,
            Entry::Settings(settings) => self.settings(settings)?,
            Entry::Forgotten(forgotten) => self.forget(number, forgotten)?,
            Entry::Batch(_) => Event::Other,
        };
        self.applied(number, SEALED, &event)
    }

    fn sealed_batch(
        &mut self,
        batch: &BatchEntry,
        records: &mut Records,
    ) -> Result<(), RecoverError> {
        let keys = self.keys().clone();
        let Sealed { draft, outcomes, delta } = Sealed::read(&keys, batch, records)?;
        let admission = Admission { at: batch.judged_at, day: batch.day, law: batch.law };
        let placing =
            Placing { number: batch.record, position: SEALED, first_ordinal: batch.first_ordinal };
        self.place(Filed::new(admission, draft), placing, &outcomes)?;
        let when = When { at: batch.judged_at, day: batch.day };
        self.count(when, &outcomes);
        self.applied(batch.record, SEALED, &Event::Batch(delta))
    }
}

impl Sealed {
    pub(super) fn read(
        keys: &Keys,
        batch: &BatchEntry,
        records: &mut Records,
    ) -> Result<Self, RecoverError> {
        let representative = Eori::parse(&batch.representative);
        let mut sealed = Self {
            draft: Draft::with_capacity(batch.declarations as usize),
            outcomes: Vec::with_capacity(batch.declarations as usize),
            delta: Delta::new(batch.day, batch.declarant, representative),
        };
        while let Some(row) = records.next_entry()? {
            match row {
                Row::Declaration(declaration) => sealed.declaration(keys, &declaration),
                Row::Replay(replay) => {
                    let ioss = IossNumber::parse(replay.ioss_number);
                    sealed.draft.push_replay(replay.replay_of);
                    sealed.outcomes.push(Settled::replay_of(replay.replay_of).byte());
                    // Of a replay only that it is one is counted.
                    let facts = Facts::default();
                    sealed.delta.add(Outcome::Replayed, &facts, OwnFindings::NONE, ioss);
                    if let Some(reference) = FallbackReference::parse(replay.fallback_reference) {
                        sealed.delta.refer(Outcome::Replayed, &facts, &reference);
                    }
                }
            }
        }
        Ok(sealed)
    }

    fn declaration(&mut self, keys: &Keys, entry: &DeclarationEntry<'_>) {
        let DeclarationEntry { declaration, digests, check, law_day, .. } = entry;
        let findings = entry.findings.list;
        // What the rules said before anyone knew of the conflict.
        let rejected = findings.iter().any(|finding| {
            finding.severity == Severity::Reject && finding.reason != Reason::LrnContentConflict
        });
        let fallback = (!check.is_absent()).then(|| DraftFallback {
            check: *check,
            law_day: *law_day,
            quoted: (!check.is_sound()).then(|| Quoted::of(&declaration.fallback)),
        });
        let key = key_of(keys, entry);
        self.draft.push(key, *digests, rejected, fallback);
        self.outcomes.push(Settled::first(entry.outcome).byte());
        // Facts are made of what the rules found, without the conflict.
        let of_rules = findings.iter().filter(|f| f.reason != Reason::LrnContentConflict);
        let of_rules: Vec<_> = of_rules.copied().collect();
        let DeclarationEntry { judgement, line_values, judged_at, .. } = entry;
        let facts = Facts::of(declaration, judgement, line_values, &of_rules, *judged_at);
        let ioss = IossNumber::parse(declaration.ioss_number);
        self.delta.add(entry.outcome, &facts, entry.findings, ioss);
        if let Some(reference) = FallbackReference::parse(declaration.fallback.reference) {
            self.delta.refer(entry.outcome, &facts, &reference);
        }
    }
}

/// The key that it claimed when it arrived.
fn key_of(keys: &Keys, entry: &DeclarationEntry<'_>) -> Key {
    let (declarant, lrn) = (&entry.lodger.declarant, entry.declaration.lrn);
    if lrn_is_usable(lrn) {
        return keys.key_of(declarant, lrn);
    }
    let nameless = keys.key_of(declarant, "");
    keys.memory_key(MemoryKind::Nameless, nameless, entry.digests.with_fallback)
}
