//! Where days of the archive are dropped, `waag verify` and `waag rebuild` take the snapshot of the
//! summaries for what was folded up to its watermark, and the runs for the keys of what was dropped.
//! Here both are held against what is still kept of these records:
//!
//! - The figures of each kept day are made again, and must be those of the snapshot.
//! - Every kept declaration is looked for in the runs, as if it came again, and must be found there
//!   with its answer; but for conflicts with what is forgotten.
//! - Of each dropped day of which no key is forgotten the runs must have as many declarations of each
//!   outcome as its summary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::archivist::Archivist;
use super::data_folder::DataFolder;
use super::engine::folders;
use super::from_archive::Sealed;
use super::inspect::Part;
use super::kept_runs::KeptRuns;
use super::laws::Laws;
use super::options;
use super::prepare::{Bounds, Preparer};
use super::record::Entry;
use super::runs;
use super::start_error::StartError;
use crate::archive::{Archive, ArchiveError, BatchEntry, BatchRow, DeclarationRow, ReplayRow};
use crate::archive::{Set, TakesRows};
use crate::config::Config;
use crate::day::Day;
use crate::disk::LocalDisk;
use crate::id::{Ordinal, Watermark};
use crate::index::Index;
use crate::index::filed::{Admission, Filed, Settled};
use crate::index::run::{self, FirstAnswers, Run, first_answers};
use crate::journal::{self, BoxError, Record};
use crate::mrn::Mint;
use crate::outcome::Outcome;
use crate::rules::finding::{OwnFindings, Reason};
use crate::summary::{Delta, Event, Facts, FallbackReference, Fold, FoldOptions, IossNumber};
use crate::{id::Eori, wire::view::Lodger};

impl DataFolder {
    /// Holds `snapshot`, and the runs that have what was dropped, against what is kept.
    pub(super) fn check_kept(
        &self,
        config: &Config,
        (archive, snapshot): (&Archive, &Fold),
        own: &Path,
        kept_runs: &KeptRuns,
        folder: &run::Folder,
    ) -> Result<Part, StartError> {
        const NAME: &str = "retention";
        for run in kept_runs.truth() {
            if let Err(error) = run.verify() {
                return Ok(Part::unsound(NAME, error.to_string()));
            }
        }
        let (sizes, keys) = (config.check()?, self.keys());
        let runs = kept_runs.truth_in(folder)?;
        let index = runs::index(config, &sizes, keys.clone(), runs)?;
        let options = FoldOptions::default();
        let (own, ..) = Fold::open(own, own, &options, self.secrets.identity())?;
        let laws = self.fresh_laws(config)?;
        let preparer = Preparer::new(Bounds::NONE, options::calendar(config)?, keys);
        let mint = Mint::new(self.secrets.bijection());
        let mut checking = Checking {
            archive,
            index: &index,
            covered: end_of(kept_runs.truth()).0,
            own,
            until: snapshot.watermark(),
            archivist: Archivist::new(preparer, Arc::clone(&laws), mint),
            laws,
            uncovered: BTreeMap::new(),
            found: KeptDays::default(),
        };
        checking.archived()?;
        journal::verify(
            &LocalDisk::new(),
            &config.data_dir.join(folders::JOURNAL),
            Some(self.secrets.identity()),
            &mut |record| checking.journaled(&record),
        )?;
        let found = checking.end(snapshot, kept_runs.truth())?;
        if let Some(problem) = found.problem {
            let found = format!("{problem}: restore `runs` and `archive` from a backup");
            return Ok(Part::unsound(NAME, found));
        }
        let day = archive.dropped().map_or(Day(0), |(_, day)| day);
        let of_which = match found.known_from {
            Day(0) => "them".to_owned(),
            day => format!("those from {day} on, before which keys are forgotten"),
        };
        Ok(Part::sound(
            NAME,
            format!(
                "days up to {day} are dropped: the runs have {} declarations of {}, by outcome as \
                 many as the summaries; {} that are kept are in these runs, with their answers, and \
                 make the summaries of their days",
                found.dropped, of_which, found.looked_for
            ),
        ))
    }
}

/// What was checked.
#[derive(Debug, Default)]
pub(super) struct KeptDays {
    /// Declarations that were looked for in the runs.
    pub(super) looked_for: u64,
    /// First answers of dropped days that the runs have.
    pub(super) dropped: u64,
    /// Of days before this one keys are forgotten.
    pub(super) known_from: Day,
    /// The first thing that is wrong.
    pub(super) problem: Option<String>,
}

/// Makes the figures of kept days again.
pub(super) struct Checking<'a> {
    pub(super) archive: &'a Archive,
    /// Of the runs that have what was dropped, and without anything else.
    pub(super) index: &'a Arc<Index>,
    /// The last record of those runs.
    pub(super) covered: Watermark,
    /// A fold of nothing, in a folder of its own.
    pub(super) own: Fold,
    /// The snapshot's watermark.
    pub(super) until: Watermark,
    pub(super) archivist: Archivist,
    /// Those of the archivist, none of them noted yet.
    pub(super) laws: Arc<Laws>,
    /// What came after those runs, up to the snapshot: late batches of a dropped day may be among them.
    pub(super) uncovered: BTreeMap<Day, FirstAnswers>,
    pub(super) found: KeptDays,
}

impl Checking<'_> {
    /// Takes what the archive has.
    pub(super) fn archived(&mut self) -> Result<(), StartError> {
        for set in self.archive.sets().iter() {
            self.set(set)?;
            if let Some(newest) = self.own.newest_day() {
                self.own.close_days(newest)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, set: &Set) -> Result<(), StartError> {
        let mut others = set.others.iter().peekable();
        let mut records = self.archive.read(set)?;
        while let Some(batch) = records.next_batch()? {
            while let Some(other) = others.next_if(|other| other.number < batch.record) {
                self.other(other.number, other.kind, &other.body)?;
            }
            let keys = self.index.keys().clone();
            let Sealed { draft, outcomes, delta } = Sealed::read(&keys, &batch, &mut records)?;
            if batch.record <= self.covered && self.found.problem.is_none() {
                let admission = Admission { at: batch.judged_at, day: batch.day, law: batch.law };
                let filed = Filed::new(admission, draft);
                self.found.problem = self.look_for(&filed, &batch, &outcomes);
            }
            self.count_uncovered(batch.record, batch.day, &outcomes);
            self.apply(batch.record, &Event::Batch(delta))?;
        }
        others.try_for_each(|other| self.other(other.number, other.kind, &other.body))
    }

    /// That a batch, lodged again, gets its answers from the runs.
    fn look_for(&mut self, filed: &Filed, batch: &BatchEntry, outcomes: &[u8]) -> Option<String> {
        let told = |index: usize, what: &str| {
            let ordinal = batch.first_ordinal.0 + index as u64;
            Some(format!("declaration {ordinal} of record {} is {what}", batch.record.0))
        };
        let known = match self.index.known(filed) {
            Ok(known) => known,
            Err(error) => return Some(error.to_string()),
        };
        for (index, outcome) in outcomes.iter().enumerate() {
            let Some(Settled { outcome, replay_of: None }) = Settled::from_byte(*outcome) else {
                continue;
            };
            let own = Ordinal(batch.first_ordinal.0 + index as u64);
            let place = known.binary_search_by_key(&index, |known| usize::from(known.index));
            let known = place.ok().and_then(|place| known.get(place));
            // What it was in conflict with came before. Where that is forgotten, so is it.
            let holder = known.and_then(|known| known.holder);
            if outcome == Outcome::Conflict
                && self.index.forgotten().before > Ordinal(0)
                && holder.is_none_or(|holder| holder > own)
            {
                continue;
            }
            self.found.looked_for += 1;
            match known.and_then(|known| known.replay.as_ref()) {
                None => return told(index, "not in the runs"),
                Some((replay_of, first))
                    if first.ordinal() == Some(own) && *replay_of == outcome => {}
                Some(_) => return told(index, "another one in the runs"),
            }
        }
        None
    }

    fn other(&mut self, number: Watermark, kind: u8, body: &[u8]) -> Result<(), StartError> {
        let entry = Entry::read(kind, body)
            .map_err(|source| super::recover::RecoverError::Record { number: number.0, source })?;
        let event = match entry {
            Entry::Law(law) => {
                self.laws.note(law)?;
                Event::Other
            }
            Entry::Settings(settings) => Event::ActorsMax(settings.actors_max),
            Entry::Batch(_) | Entry::Forgotten(_) => Event::Other,
        };
        self.apply(number, &event)
    }

    /// Takes a record of the journal.
    pub(super) fn journaled(&mut self, record: &Record<'_>) -> Result<(), BoxError> {
        if record.number < self.archive.next().0 {
            return Ok(());
        }
        let Entry::Batch(batch) = Entry::read(record.kind, record.body)? else {
            return Ok(self.other(record.number, record.kind, record.body)?);
        };
        if record.number > self.until {
            return Ok(());
        }
        self.count_uncovered(record.number, batch.day, batch.outcomes);
        let mut rows = Rows::default();
        self.archivist.put(record.number, batch, &mut rows)?;
        let event = rows.delta.map_or(Event::Other, Event::Batch);
        Ok(self.apply(record.number, &event)?)
    }

    fn count_uncovered(&mut self, number: Watermark, day: Day, outcomes: &[u8]) {
        if number <= self.covered || number > self.until {
            return;
        }
        let of_day = self.uncovered.entry(day).or_default();
        for outcome in outcomes.iter().filter_map(|byte| Settled::from_byte(*byte)) {
            match outcome.outcome {
                Outcome::Accepted => of_day.accepted += 1,
                Outcome::Rejected => of_day.rejected += 1,
                Outcome::Conflict => of_day.conflicts += 1,
                Outcome::Replayed => {}
            }
        }
    }

    /// Records in between were dropped.
    fn apply(&mut self, number: Watermark, event: &Event) -> Result<(), StartError> {
        if number > self.until {
            return Ok(());
        }
        while self.own.watermark().0 + 1 < number.0 {
            self.own.apply(Watermark(self.own.watermark().0 + 1), &Event::Other)?;
        }
        Ok(self.own.apply(number, event)?)
    }

    /// Holds `snapshot`, as it is at its watermark, and the `runs` that have what was dropped, against
    /// what was made.
    pub(super) fn end(self, snapshot: &Fold, runs: &[Run]) -> Result<KeptDays, StartError> {
        let Self { archive, own, uncovered, mut found, .. } = self;
        if found.problem.is_some() {
            return Ok(found);
        }
        let sets = archive.sets();
        let parts = || sets.iter().flat_map(|set| &set.parts);
        let dropped: BTreeSet<Day> = parts().filter(|p| p.is_dropped).map(|p| p.day).collect();
        if let Some(day) = snapshot.differs_on(&own, |day| !dropped.contains(&day))? {
            found.problem = Some(format!("the summary of {day} is not what its records make"));
            return Ok(found);
        }
        let counted = first_answers(runs.iter())?;
        found.known_from = runs.last().map_or(Day(0), |newest| newest.covers().forgotten.day);
        for day in dropped.range(found.known_from..) {
            let in_runs = counted.get(day).copied().unwrap_or_default();
            let summary = snapshot.first_answers_on(*day)?;
            let later = uncovered.get(day).copied().unwrap_or_default();
            let expected = FirstAnswers {
                accepted: summary.accepted.saturating_sub(later.accepted),
                rejected: summary.rejected.saturating_sub(later.rejected),
                conflicts: summary.conflicts.saturating_sub(later.conflicts),
            };
            if in_runs != expected {
                found.problem = Some(format!(
                    "of {day}, which is dropped, the summary has {} accepted, {} rejected and {} in \
                     conflict, and the runs {}, {} and {}",
                    expected.accepted,
                    expected.rejected,
                    expected.conflicts,
                    in_runs.accepted,
                    in_runs.rejected,
                    in_runs.conflicts
                ));
                return Ok(found);
            }
            found.dropped += in_runs.accepted + in_runs.rejected + in_runs.conflicts;
        }
        Ok(found)
    }
}

/// What rows of a batch contribute to the summaries.
#[derive(Debug, Default)]
struct Rows {
    delta: Option<Delta>,
}

impl Rows {
    fn of(&mut self, day: Day, lodger: &Lodger<'_>) -> &mut Delta {
        let representative = Eori::parse(lodger.representative);
        self.delta.get_or_insert_with(|| Delta::new(day, lodger.declarant, representative))
    }
}

impl TakesRows for Rows {
    fn begin(&mut self, _: Watermark, _: Day) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn batch(&mut self, _: Day, _: &BatchRow<'_>) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn declaration(&mut self, day: Day, row: &DeclarationRow<'_, '_>) -> Result<(), ArchiveError> {
        // Facts are made of what the rules found, without the conflict.
        let of_rules = row.findings.list.iter().filter(|f| f.reason != Reason::LrnContentConflict);
        let of_rules: Vec<_> = of_rules.copied().collect();
        let DeclarationRow { declaration, judgement, line_values, judged_at, .. } = row;
        let facts = Facts::of(declaration, judgement, line_values, &of_rules, *judged_at);
        let ioss = IossNumber::parse(declaration.ioss_number);
        let delta = self.of(day, row.lodger);
        delta.add(row.outcome, &facts, row.findings, ioss);
        if let Some(reference) = FallbackReference::parse(declaration.fallback.reference) {
            delta.refer(row.outcome, &facts, &reference);
        }
        Ok(())
    }

    fn replay(&mut self, day: Day, row: &ReplayRow<'_>) -> Result<(), ArchiveError> {
        let ioss = IossNumber::parse(row.ioss_number);
        let delta = self.of(day, row.lodger);
        let facts = Facts::default();
        delta.add(Outcome::Replayed, &facts, OwnFindings::NONE, ioss);
        if let Some(reference) = FallbackReference::parse(row.fallback_reference) {
            delta.refer(Outcome::Replayed, &facts, &reference);
        }
        Ok(())
    }
}

/// Where the runs that have what was dropped end.
pub(super) fn end_of(runs: &[Run]) -> (Watermark, Ordinal) {
    runs.last().map_or((Watermark(0), Ordinal(0)), |run| {
        (run.covers().last_record, run.covers().end_ordinal)
    })
}
