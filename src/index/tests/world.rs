//! An index whose tables are so small that they are full all the time, with its committer, its disk and
//! the records of its journal.

use super::*;
use crate::disk::simulated::Chance;
use crate::disk::{Disk, SimulatedDisk};
use crate::index::Memory;
use crate::index::filed::Quoted;
use crate::index::frozen::Frozen;
use crate::index::merge::{FAN_IN, Merge};
use crate::index::run::{Covers, Folder, Forgotten, Run, RunError};
use std::path::Path;

/// Room for some five batches. Runs take part of it, so that tables get smaller.
pub(super) const MEMORY: Memory = Memory { bytes: 12_000, slots_min: 64 };
const IDENTITY: [u8; 16] = [4; 16];

/// A record of the journal of these tests.
pub(super) struct Placed {
    pub(super) batch: Vec<Sent>,
    pub(super) outcomes: Vec<u8>,
    /// Not a batch, but what is forgotten from here on.
    pub(super) forgotten: Option<Forgotten>,
}

pub(super) struct World {
    pub(super) disk: SimulatedDisk,
    pub(super) folder: Folder,
    pub(super) index: Arc<Index>,
    pub(super) committer: Committer,
    pub(super) records: Vec<Placed>,
    pub(super) frozen: Option<Arc<Frozen>>,
    pub(super) forgotten: Forgotten,
    /// What the runs have met, so that a test that meets nothing is noticed.
    pub(super) met: Met,
}

#[derive(Debug, Default)]
pub(super) struct Met {
    pub(super) frozen: u64,
    pub(super) recovered_from: u64,
    pub(super) refused: u64,
    pub(super) merged: u64,
    pub(super) parts: u64,
    pub(super) forgotten: u64,
    pub(super) removed: u64,
}

pub(super) fn admission_of(record: u64) -> Admission {
    Admission {
        at: Moment(1_000 + record as i64),
        day: Day(20_000 + record as u16 % 50),
        law: record as u32,
    }
}

pub(super) fn draft_of(batch: &[Sent]) -> Draft {
    let mut draft = Draft::with_capacity(batch.len());
    let declarant = Eori::parse("NL810000003").unwrap();
    for sent in batch {
        let content = Digest(u64::from(sent.content) + 1, 0);
        let with_fallback = Digest(content.0, sent.fallback.into());
        let fallback = (sent.fallback > 0).then(|| fallback_of(*sent));
        let key = keys().key_of(&declarant, &format!("L{}", sent.lrn));
        draft.push(key, Digests { content, with_fallback }, sent.is_rejected(), fallback);
    }
    draft
}

pub(super) fn fallback_of(sent: Sent) -> DraftFallback {
    DraftFallback {
        check: FallbackCheck::from_bits(1 + 2 * (sent.fallback - 1)),
        law_day: Day(19_000 + u16::from(sent.content)),
        quoted: (sent.fallback == 2).then(|| Quoted {
            reference: format!("reference {}", sent.content).into(),
            lodged_at_ms: i64::from(sent.lrn) - 3,
        }),
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed, 1 << 30);
        let dir = Path::new("runs");
        disk.create_dir(dir).unwrap();
        let folder = Folder::new(Arc::new(disk.clone()), dir, IDENTITY);
        let index = Arc::new(Index::with_runs(keys(), MEMORY, Vec::new()).unwrap());
        let committer =
            Committer { settler: Settler::new(Arc::clone(&index)), ordinal: 0, records: 0 };
        let met = Met::default();
        let (records, frozen, forgotten) = (Vec::new(), None, Forgotten::default());
        Self { disk, folder, index, committer, records, frozen, forgotten, met }
    }

    /// Claims, or hands back what must be placed or written first.
    pub(super) fn claim(&mut self, batch: &[Sent], record: u64) -> Option<Claimed> {
        // The record's number is not known before it is placed; here it may be any.
        match self.index.claim(Filed::new(admission_of(record), draft_of(batch))) {
            Ok(claimed) => Some(claimed),
            Err(Unclaimed { why: Why::Full(full), .. }) => {
                if self.index.make_room(full).is_err() {
                    self.met.refused += 1;
                    self.write();
                    self.index.make_room(full).unwrap();
                }
                None
            }
            Err(Unclaimed { why: Why::Closed, .. }) => None,
            Err(Unclaimed { why, .. }) => panic!("{why}"),
        }
    }

    pub(super) fn covers(&self) -> Covers {
        let before = self.index.covered();
        let (first_record, first_ordinal) =
            before.as_ref().map_or((Watermark(1), Ordinal(0)), |before| {
                (Watermark(before.last_record.0 + 1), before.end_ordinal)
            });
        Covers {
            first_record,
            last_record: Watermark(self.committer.records),
            position: position(self.committer.records),
            first_ordinal,
            end_ordinal: Ordinal(self.committer.ordinal),
            forgotten: self.forgotten,
            carried: vec![7; 5],
        }
    }

    pub(super) fn freeze(&mut self) {
        let frozen = self.index.freeze(self.covers()).unwrap();
        self.met.frozen += u64::from(frozen.is_some());
        self.frozen = frozen.or(self.frozen.take());
    }

    pub(super) fn write(&mut self) {
        self.try_write().unwrap();
    }

    /// Writes the run of what is frozen; that stays where it fails.
    pub(super) fn try_write(&mut self) -> Result<(), RunError> {
        if let Some(frozen) = &self.frozen {
            self.index.publish(frozen.write(&self.folder)?);
            self.frozen = None;
            if self.committer.records.is_multiple_of(2) {
                self.index.prepare_spare().unwrap();
            }
        }
        Ok(())
    }

    /// Merges some runs that follow one another, where there are two.
    pub(super) fn merge(&mut self, chance: &mut Chance) -> Result<(), RunError> {
        let mut runs = self.index.state.load().runs.clone();
        runs.reverse();
        if runs.len() < 2 {
            return Ok(());
        }
        let first = chance.below(runs.len() as u64 - 1) as usize;
        let most = (runs.len() - first - 1).min(FAN_IN - 1) as u64;
        let range = first..first + 2 + chance.below(most) as usize;
        let merge = Merge::of(&runs, range, &self.index.merging);
        let merged = merge.write(&self.folder, &|| true)?;
        self.index.publish_merged(&merge, merged);
        merge.remove_inputs(&self.folder)?;
        self.met.merged += 1;
        Ok(())
    }

    /// Forgets what came before some batch that is in a run. False where no table can take over, or not
    /// before all that is in flight is placed.
    pub(super) fn forget(&mut self, firsts: &[usize], chance: &mut Chance) -> bool {
        let end = self.index.state.load().runs.first().map_or(0, |run| run.covers().end_ordinal.0);
        let last = firsts.partition_point(|first| *first as u64 <= end);
        let any = chance.below(firsts.len() as u64) as usize;
        // All that is in runs, as often as not.
        let place = if chance.hits(50) { last.saturating_sub(1) } else { any };
        let before = firsts[place] as u64;
        if before <= self.forgotten.before.0 || before > end || !self.index.close() {
            return false;
        }
        if !self.index.is_to_be_frozen() {
            return false;
        }
        self.forgotten = Forgotten { before: Ordinal(before), day: Day(1) };
        self.records.push(Placed {
            batch: Vec::new(),
            outcomes: Vec::new(),
            forgotten: Some(self.forgotten),
        });
        self.committer.records += 1;
        self.freeze();
        assert_eq!(self.index.forgotten(), self.forgotten);
        self.met.forgotten += 1;
        true
    }

    /// Removes runs of which all is forgotten: a start takes no record before the newest run again.
    pub(super) fn remove_forgotten(&mut self) -> Result<(), RunError> {
        let through = self.index.runs_cover().unwrap_or(Watermark(0));
        for run in self.index.take_forgotten(through) {
            self.met.removed += 1;
            self.folder.remove_durably(run.path())?;
        }
        Ok(())
    }

    pub(super) fn place(&mut self, batch: &[Sent], claimed: Claimed) -> Decided {
        let decided = self.committer.place_at(claimed, position(self.committer.records + 1));
        let mut outcomes = Vec::new();
        decided.filed.write_outcomes(&mut outcomes);
        self.records.push(Placed { batch: batch.to_vec(), outcomes, forgotten: None });
        decided
    }

    /// Starts anew, from the runs and what comes after them.
    pub(super) fn recover(&mut self, admissions: &[Admission]) {
        self.disk.crash();
        self.start(admissions);
    }

    /// The same once the disk is there again.
    pub(super) fn start(&mut self, admissions: &[Admission]) {
        self.frozen = None;
        self.folder.tidy().unwrap();
        let runs = self.folder.open().unwrap();
        assert!(runs.others.is_empty(), "{:?}", runs.others);
        self.met.parts += runs.parts.len() as u64;
        runs.parts.iter().for_each(|part| self.folder.remove(part).unwrap());
        // No orphans.
        let files = self.disk.list(self.folder.dir()).unwrap();
        assert_eq!(files.len(), runs.whole.len(), "{files:?}");
        runs.whole.iter().for_each(|run: &Run| run.verify().unwrap());
        self.met.recovered_from += runs.whole.len() as u64;
        let covers = runs.whole.last().map(|run| run.covers().clone());
        self.index = Arc::new(Index::with_runs(keys(), MEMORY, runs.whole).unwrap());
        self.forgotten = self.index.forgotten();
        let (from, ordinal) =
            covers.map_or((0, 0), |covers| (covers.last_record.0, covers.end_ordinal.0));
        self.committer =
            Committer { settler: Settler::new(Arc::clone(&self.index)), ordinal, records: from };
        #[allow(clippy::needless_range_loop, reason = "records and admissions go together")]
        for record in from as usize..self.records.len() {
            if let Some(forgotten) = self.records[record].forgotten {
                (self.forgotten, self.committer.records) = (forgotten, record as u64 + 1);
                assert!(self.index.close());
                self.freeze();
                self.write();
                continue;
            }
            let batch = self.records[record].batch.clone();
            let claimed = loop {
                let filed = Filed::new(admissions[record], draft_of(&batch));
                match self.index.claim(filed) {
                    Ok(claimed) => break claimed,
                    Err(Unclaimed { why: Why::Full(full), .. }) => {
                        self.index.make_room(full).unwrap();
                        self.freeze();
                        self.write();
                    }
                    Err(Unclaimed { why, .. }) => panic!("{why}"),
                }
            };
            let decided = self.committer.place_at(claimed, position(record as u64 + 1));
            let mut outcomes = Vec::new();
            decided.filed.write_outcomes(&mut outcomes);
            assert_eq!(outcomes, self.records[record].outcomes, "record {}", record + 1);
        }
    }
}

pub(super) fn position(record: u64) -> Position {
    Position { segment: record, page: 1, offset: 48 }
}

impl Committer {
    pub(super) fn place_at(&mut self, claimed: Claimed, position: Position) -> Decided {
        let decided = self.settler.settle(claimed);
        self.records += 1;
        let placing = Placing {
            number: Watermark(self.records),
            position,
            first_ordinal: Ordinal(self.ordinal),
        };
        self.ordinal += decided.filed.len() as u64;
        self.settler.place(&decided.filed, placing);
        decided
    }
}

/// Whether the first answer has all that a replay is judged again by.
pub(super) fn check_first(
    first: &First,
    sents: &[(Sent, Admission)],
    position: Position,
) -> Result<(), TestCaseError> {
    let (sent, admission) = sents[ordinal_of(first)];
    prop_assert_eq!(first.admission(), admission);
    prop_assert_eq!(first.placing().unwrap().position, position);
    let fallback = (sent.fallback > 0).then(|| fallback_of(sent));
    let under = fallback.as_ref().map(|fallback| (fallback.law_day, fallback.check));
    let under = under.unwrap_or((admission.day, FallbackCheck::default()));
    prop_assert_eq!(first.judged_under(), under);
    prop_assert_eq!(first.quoted(), fallback.as_ref().and_then(|f| f.quoted.as_ref()));
    Ok(())
}

/// Whether everything is found as `model` has it: what stands under each LRN, and each declaration by
/// its ordinal, of which `is_first` tells whether it was answered for the first time.
pub(super) fn check_all(
    world: &World,
    model: &Model,
    sents: &[(Sent, Admission)],
    record_of: &[u64],
    is_first: &[bool],
) -> Result<(), TestCaseError> {
    for lrn in 0..12 {
        let key = keys().key_of(&Eori::parse("NL810000003").unwrap(), &format!("L{lrn}"));
        let found = world.index.under(key).unwrap();
        prop_assert_eq!(found.as_ref().map(ordinal_of), model.under(lrn));
        if let Some(first) = found {
            check_first(&first, sents, position(record_of[ordinal_of(&first)]))?;
        }
    }
    for (ordinal, is_first) in is_first.iter().enumerate() {
        let found = world.index.at(Ordinal(ordinal as u64)).unwrap();
        if (ordinal as u64) < world.index.forgotten().before.0 {
            prop_assert!(found.is_none(), "{} is forgotten", ordinal);
            continue;
        }
        prop_assert!(found.is_some() || !is_first, "{} is not found", ordinal);
        prop_assert!(found.as_ref().is_none_or(|first| ordinal_of(first) == ordinal));
        if let Some(first) = found.filter(|_| *is_first) {
            check_first(&first, sents, position(record_of[ordinal]))?;
        }
    }
    prop_assert!(world.index.at(Ordinal(model.count as u64)).unwrap().is_none());
    Ok(())
}
