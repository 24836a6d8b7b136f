//! Recovery: the journal's records, in order, make index, laws and fold again.
//!
//! Every batch is judged and settled as it was at first, and its outcomes are compared with those
//! in its record: a difference is damage. Judging runs on all processors, a bunch of records at a
//! time; settling and folding follow the order of the journal.
//!
//! Where there are runs, recovery goes on after the records that they cover: the newest carries what
//! the index does not keep of those. A table that is full meanwhile is written as a run here and then.

use std::sync::Arc;

use bytes::Bytes;

use super::bunch::{Waiting, WaitingEntry, delta, judge_all};
use super::carried::Carried;
use super::laws::{Laws, Numbered};
use super::prepare::{Prepared, Preparer};
use super::record::{self, Entry, LawRecord, SettingsRecord};
pub use super::recover_error::RecoverError;
use super::runs;
use crate::day::{Moment, When};
use crate::id::{Ordinal, Watermark};
use crate::index::filed::{Draft, Filed, Placing, Settled};
use crate::index::run::{Covers, Folder, Forgotten};
use crate::index::settle::{Claimed, Decided, Settler};
use crate::index::{Index, Unclaimed, Why};
use crate::journal::{self, Position, Record};
use crate::outcome::Outcome;
use crate::summary::{Event, Fold, FoldDigest};
use crate::wire::digest::Keys;

/// Builds state from records.
pub(crate) struct Recoverer {
    index: Arc<Index>,
    settler: Settler,
    laws: Arc<Laws>,
    preparers: Vec<Preparer>,
    time_zone: String,
    fold: Fold,
    bunch: Vec<Waiting>,
    bunch_bytes: usize,
    next_ordinal: Ordinal,
    newest: Option<Moment>,
    actors_max: Option<u32>,
    progress: Box<dyn FnMut(&Progress) + Send>,
    seen: Progress,
    mark: Option<Watermark>,
    digest_at_mark: Option<FoldDigest>,
    /// Where full tables go.
    runs: Folder,
    /// After these records a table is frozen, full or not; the next one last.
    boundaries: Vec<Watermark>,
    /// What is not known any more after the last record applied.
    forgotten: Forgotten,
    /// The last record that the runs cover, and where it stands.
    covered: Option<(Watermark, Position)>,
    /// Laws up to the last record applied; those of the bunch are noted already.
    laws_applied: Vec<LawRecord>,
    last: Option<journal::Placed>,
}

/// How far recovery is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records.
    pub records: u64,
    /// Declarations, of whatever outcome.
    pub declarations: u64,
    /// Declarations accepted.
    pub accepted: u64,
    /// Of the records, those that were read and judged again: the runs know the others.
    pub judged: u64,
}

/// What recovery made.
pub(crate) struct Recovered {
    pub(crate) settler: Settler,
    pub(crate) fold: Fold,
    pub(crate) next_ordinal: Ordinal,
    /// Time of the newest batch.
    pub(crate) newest: Option<Moment>,
    /// The value of `actors_max` that the journal has, if it has one.
    pub(crate) actors_max: Option<u32>,
    pub(crate) seen: Progress,
    /// The last record.
    pub(crate) last: Option<journal::Placed>,
    /// The fold's digest at the mark, where there was one and it was reached.
    pub(crate) digest_at_mark: Option<FoldDigest>,
}

/// Records and bytes of a bunch: enough for all processors, little beside the table. Few in tests, so
/// that their journals have several.
const BUNCH_RECORDS: usize = if cfg!(test) { 8 } else { 256 };
const BUNCH_BYTES: usize = 32 << 20;

impl Recoverer {
    /// Goes on with a fold; tables that are full become runs in a folder.
    pub(crate) fn new(
        index: Arc<Index>,
        laws: Arc<Laws>,
        preparers: Vec<Preparer>,
        time_zone: &str,
        (fold, runs): (Fold, Folder),
        progress: Box<dyn FnMut(&Progress) + Send>,
    ) -> Self {
        Self {
            settler: Settler::new(Arc::clone(&index)),
            index,
            laws,
            preparers,
            time_zone: time_zone.to_owned(),
            fold,
            bunch: Vec::new(),
            bunch_bytes: 0,
            next_ordinal: Ordinal(0),
            newest: None,
            actors_max: None,
            progress,
            seen: Progress::default(),
            mark: None,
            digest_at_mark: None,
            runs,
            boundaries: Vec::new(),
            forgotten: Forgotten::default(),
            covered: None,
            laws_applied: Vec::new(),
            last: None,
        }
    }

    /// Freezes a table after each of these records, ascending.
    pub(crate) fn with_boundaries(self, mut boundaries: Vec<Watermark>) -> Self {
        boundaries.reverse();
        Self { boundaries, ..self }
    }

    /// Goes on after the records that the runs of the index cover, the newest of which covers this.
    pub(crate) fn after(mut self, covers: &Covers) -> Result<Self, RecoverError> {
        let number = covers.last_record.0;
        let carried = Carried::from_bytes(&covers.carried);
        let carried = carried.ok_or(RecoverError::Elsewhere { number })?;
        if carried.actors_max.is_some() && carried.time_zone != self.time_zone {
            return Err(RecoverError::TimeZone {
                journal: carried.time_zone,
                configured: self.time_zone,
            });
        }
        for law in &carried.laws {
            self.laws.note(*law).map_err(|source| RecoverError::Law { number, source })?;
        }
        self.laws_applied = carried.laws;
        self.next_ordinal = covers.end_ordinal;
        self.forgotten = covers.forgotten;
        self.newest = carried.newest;
        self.actors_max = carried.actors_max;
        self.seen = Progress { judged: 0, ..carried.seen };
        self.covered = Some((covers.last_record, covers.position));
        self.last = Some(journal::Placed { number: covers.last_record, position: covers.position });
        Ok(self)
    }

    /// Takes the fold's digest when it stands at `mark`.
    pub(crate) fn with_mark(self, mark: Option<Watermark>) -> Self {
        Self { mark, ..self }
    }

    /// The last record that the runs cover, while none after it was taken.
    pub(super) fn covered_through(&self) -> Watermark {
        self.covered.map_or(Watermark(0), |(last, _)| last)
    }

    /// Goes on behind the runs, whatever has the record that comes next.
    pub(super) fn leave_runs(&mut self) {
        self.covered = None;
    }

    pub(super) fn keys(&self) -> &Keys {
        self.index.keys()
    }

    /// Takes the next record.
    pub(crate) fn take(&mut self, record: &Record<'_>) -> Result<(), RecoverError> {
        let number = record.number.0;
        if let Some((last, _)) = self.covered.filter(|(last, _)| record.number > *last) {
            // The segment of the last record they cover is sealed and gone.
            if record.number.0 != last.0 + 1 {
                return Err(RecoverError::Elsewhere { number: last.0 });
            }
            self.covered = None;
        }
        if let Some((last, position)) = self.covered {
            // The runs know it; it is read only since its segment has later ones.
            if record.number == last {
                if record.position != position {
                    return Err(RecoverError::Elsewhere { number });
                }
                self.covered = None;
            }
            return Ok(());
        }
        let is_full = self.bunch.len() >= BUNCH_RECORDS || self.bunch_bytes >= BUNCH_BYTES;
        if is_full && self.bunch.last().is_some_and(|last| !last.is_in_group_of(record)) {
            self.work_off()?;
        }
        let entry = Entry::read(record.kind, record.body)
            .map_err(|source| RecoverError::Record { number, source })?;
        let law_error = |source| RecoverError::Law { number, source };
        let entry = match entry {
            Entry::Batch(batch) => {
                self.bunch_bytes += batch.message.len();
                let law = self.laws.law(batch.law).map_err(law_error)?;
                WaitingEntry::Batch {
                    law: Arc::new(Numbered { number: batch.law, law }),
                    when: When { at: batch.at, day: batch.day },
                    first_ordinal: batch.first_ordinal,
                    outcomes: batch.outcomes.to_vec(),
                    firsts: batch.firsts.to_vec(),
                    message: Bytes::copy_from_slice(batch.message),
                }
            }
            Entry::Law(law) => {
                self.laws.note(law).map_err(law_error)?;
                WaitingEntry::Law(law)
            }
            Entry::Settings(settings) => {
                self.check_zone(&settings)?;
                WaitingEntry::ActorsMax(settings.actors_max)
            }
            Entry::Forgotten(forgotten) => WaitingEntry::Forgotten(forgotten),
        };
        self.bunch.push(Waiting { number: record.number, position: record.position, entry });
        Ok(())
    }

    /// After the last record.
    pub(crate) fn finish(mut self) -> Result<Recovered, RecoverError> {
        self.work_off()?;
        Ok(Recovered {
            settler: self.settler,
            fold: self.fold,
            next_ordinal: self.next_ordinal,
            newest: self.newest,
            actors_max: self.actors_max,
            seen: self.seen,
            last: self.last,
            digest_at_mark: self.digest_at_mark,
        })
    }

    fn work_off(&mut self) -> Result<(), RecoverError> {
        let bunch = std::mem::take(&mut self.bunch);
        self.bunch_bytes = 0;
        let mut prepared = judge_all(&mut self.preparers, &bunch)?;
        for (waiting, prepared) in bunch.into_iter().zip(prepared.drain(..)) {
            self.apply(waiting, prepared)?;
        }
        self.tell_progress()
    }

    pub(super) fn tell_progress(&mut self) -> Result<(), RecoverError> {
        self.close_days()?;
        (self.progress)(&self.seen);
        Ok(())
    }

    /// A long journal has many days: those that are closed need not stay in memory.
    fn close_days(&mut self) -> Result<(), RecoverError> {
        if let Some(newest) = self.fold.newest_day() {
            self.fold.close_days(newest)?;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        waiting: Waiting,
        prepared: Option<(Prepared, Draft)>,
    ) -> Result<(), RecoverError> {
        let Waiting { number, position, entry } = waiting;
        let event = match (entry, prepared) {
            (
                WaitingEntry::Batch { first_ordinal, outcomes, firsts, when, .. },
                Some((prepared, draft)),
            ) => {
                let placing = Placing { number, position, first_ordinal };
                let filed = Filed::new(prepared.admission, draft);
                let decided = self.place(filed, placing, &outcomes)?;
                if record::firsts_of(&decided, first_ordinal) != firsts {
                    let reason = "its replays are of others than it says".into();
                    return Err(RecoverError::Batch { number: number.0, reason });
                }
                self.seen.judged += 1;
                self.count(when, &outcomes);
                if number <= self.fold.watermark() {
                    Event::Other
                } else {
                    let preparers = &mut self.preparers;
                    Event::Batch(delta(preparers, &self.laws, number, &prepared, &decided)?)
                }
            }
            (WaitingEntry::ActorsMax(value), _) => {
                self.actors_max = Some(value);
                Event::ActorsMax(value)
            }
            (WaitingEntry::Law(law), _) => {
                self.laws_applied.push(law);
                Event::Other
            }
            (WaitingEntry::Forgotten(forgotten), _) => self.forget(number, forgotten)?,
            (WaitingEntry::Batch { .. }, _) => Event::Other,
        };
        self.applied(number, position, &event)
    }

    /// Claims, settles and places the next batch, whose outcomes must be `outcomes`.
    pub(super) fn place(
        &mut self,
        filed: Filed,
        placing: Placing,
        outcomes: &[u8],
    ) -> Result<Decided, RecoverError> {
        let Placing { number, first_ordinal, .. } = placing;
        if first_ordinal != self.next_ordinal {
            let reason = format!(
                "its first ordinal is {}, and {} comes next",
                first_ordinal.0, self.next_ordinal.0
            );
            return Err(RecoverError::Batch { number: number.0, reason });
        }
        let claimed = self.claim(filed)?;
        let decided = self.settler.settle(claimed);
        compare(number, &decided, outcomes)?;
        self.settler.place(&decided.filed, placing);
        self.next_ordinal.0 += outcomes.len() as u64;
        Ok(decided)
    }

    /// Counts a batch that was placed.
    pub(super) fn count(&mut self, when: When, outcomes: &[u8]) {
        let accepted = Settled::first(Outcome::Accepted).byte();
        self.newest = self.newest.max(Some(when.at));
        self.seen.declarations += outcomes.len() as u64;
        self.seen.accepted += outcomes.iter().filter(|byte| **byte == accepted).count() as u64;
    }

    /// A law that holds from record `number` on.
    pub(super) fn law(&mut self, number: Watermark, law: LawRecord) -> Result<Event, RecoverError> {
        let noted = self.laws.note(law);
        noted.map_err(|source| RecoverError::Law { number: number.0, source })?;
        self.laws_applied.push(law);
        Ok(Event::Other)
    }

    /// Settings that hold from here on.
    pub(super) fn settings(&mut self, settings: SettingsRecord<'_>) -> Result<Event, RecoverError> {
        self.check_zone(&settings)?;
        self.actors_max = Some(settings.actors_max);
        Ok(Event::ActorsMax(settings.actors_max))
    }

    /// Keys that are forgotten from here on: a table is frozen here, as it was at first.
    pub(super) fn forget(
        &mut self,
        number: Watermark,
        forgotten: Forgotten,
    ) -> Result<Event, RecoverError> {
        let range = self.forgotten.before..=self.next_ordinal;
        if !range.contains(&forgotten.before) {
            return Err(RecoverError::Forgotten {
                number: number.0,
                found: forgotten.before.0,
                least: range.start().0,
                most: range.end().0,
            });
        }
        self.forgotten = forgotten;
        if self.boundaries.last() != Some(&number) {
            self.boundaries.push(number);
        }
        Ok(Event::Other)
    }

    fn check_zone(&self, settings: &SettingsRecord<'_>) -> Result<(), RecoverError> {
        if settings.time_zone == self.time_zone {
            return Ok(());
        }
        Err(RecoverError::TimeZone {
            journal: settings.time_zone.to_owned(),
            configured: self.time_zone.clone(),
        })
    }

    /// Folds a record that was applied; freezes a table where one is to be.
    pub(super) fn applied(
        &mut self,
        number: Watermark,
        position: Position,
        event: &Event,
    ) -> Result<(), RecoverError> {
        self.seen.records = number.0;
        self.last = Some(journal::Placed { number, position });
        if number > self.fold.watermark() {
            self.fold.apply(number, event)?;
        }
        if self.mark == Some(number) {
            self.digest_at_mark = Some(self.fold.digests()?);
        }
        if self.boundaries.last() == Some(&number) {
            self.boundaries.pop();
            if self.index.close() {
                self.freeze()?;
            }
            if self.index.forgotten() != self.forgotten {
                return Err(RecoverError::NoTable { number: number.0 });
            }
        }
        Ok(())
    }

    /// Claims a batch, alone; a table that is full is written first.
    fn claim(&mut self, mut filed: Filed) -> Result<Claimed, RecoverError> {
        loop {
            let Unclaimed { filed: again, why } = match self.index.claim(filed) {
                Ok(claimed) => return Ok(claimed),
                Err(unclaimed) => unclaimed,
            };
            filed = *again;
            match why {
                Why::Run(error) => return Err(error.into()),
                Why::Full(full) => {
                    self.index.make_room(full)?;
                    self.freeze()?;
                }
                Why::Closed => self.freeze()?,
            }
        }
    }

    /// Writes the hot table, which covers all that was applied.
    fn freeze(&mut self) -> Result<(), RecoverError> {
        let Some(last) = self.last else { return Ok(()) };
        let carried = Carried {
            seen: self.seen,
            newest: self.newest,
            actors_max: self.actors_max,
            time_zone: self.time_zone.clone(),
            laws: self.laws_applied.clone(),
        };
        let (forgotten, next) = (Some(self.forgotten), self.next_ordinal);
        let covers = runs::covers(&self.index, last, next, &carried, forgotten);
        if let Some(frozen) = self.index.freeze(covers)? {
            let run = frozen.write(&self.runs)?;
            self.index.publish(run);
        }
        Ok(())
    }
}

fn compare(number: Watermark, decided: &Decided, written: &[u8]) -> Result<(), RecoverError> {
    let mut found = Vec::with_capacity(written.len());
    decided.filed.write_outcomes(&mut found);
    let differs = found.iter().zip(written).position(|(found, written)| found != written);
    let index = match differs {
        Some(index) => index,
        None if found.len() == written.len() => return Ok(()),
        None => found.len().min(written.len()),
    };
    let show = |bytes: &[u8]| match bytes.get(index) {
        Some(byte) => crate::index::filed::Settled::from_byte(*byte)
            .map_or_else(|| format!("{byte:#04x}"), |settled| format!("{:?}", settled.outcome)),
        None => "nothing".into(),
    };
    Err(RecoverError::Differs {
        number: number.0,
        index,
        found: show(&found),
        written: show(written),
    })
}
