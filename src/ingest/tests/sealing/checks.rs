//! What must be so after every start, and after every round of the sealer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use prost::Message;

use super::faults::records_of;
use super::lodging::{self, IDENTITY};
use super::starting::runs_folder;
use super::world::{Server, World};
use super::{ARCHIVE, JOURNAL, RUNS, folder};
use crate::archive::{Archive, Entry, Found, Set};
use crate::disk::Disk;
use crate::id::{Ordinal, Watermark};
use crate::index::Index;
use crate::index::filed::{Filed, Placing, Settled};
use crate::ingest::answer::Framing;
use crate::ingest::archivist::Archivist;
use crate::ingest::data_folder;
use crate::ingest::engine::folders;
use crate::ingest::kept_days::{Checking, KeptDays, end_of};
use crate::ingest::laws::Laws;
use crate::ingest::record;
use crate::ingest::recover::Progress;
use crate::ingest::resume::{self, Resumed};
use crate::journal::{self, Extent, Position};
use crate::proto::v1::{Outcome, SubmitBatchResponse};
use crate::summary::{Fold, FoldOptions, SUMMARY_FOLDER, snapshot_path};

const TABLES: [&str; 5] = ["batches", "declarations", "goods_items", "findings", "replays"];

impl World<'_> {
    pub(super) fn extent(&self) -> Extent {
        journal::extent(&self.disk, Path::new(JOURNAL), &IDENTITY).unwrap().unwrap()
    }

    /// No segment was removed whose records are not all in the archive, and in runs of which the
    /// catalog has folded all: others are thrown away by a start.
    pub(super) fn check_removed(&mut self, server: &Server) {
        if self.disk.has_no_power() {
            return;
        }
        self.no_fault();
        let (first, next) = (self.extent().first_record.0, server.sealer.archive.next().0.0);
        assert!(first <= next, "record {first} comes first, and {next} is not sealed");
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let runs = runs_folder(&disk).open().unwrap().whole;
        let ends = runs.iter().map(|run| run.covers().last_record);
        let derived = ends.filter(|last| *last <= server.fold.checkpointed()).last();
        let derived = derived.unwrap_or(Watermark(0)).0;
        let is_sealed_now = server.sealer.archive.sets().len() as u64 > self.sets_at_start;
        assert!(!is_sealed_now || next <= derived + 1, "{next} is sealed, and {derived} derived");
        assert!(self.has_lost || first <= derived + 1, "{first} is gone, and {derived} derived");
    }

    /// After a start that failed: what is derived knows of nothing that may be lost yet.
    pub(super) fn check_derived(&self) {
        let (folder, durable) = (self.outer.join(folders::CATALOG), self.durable.len() as u64);
        let days = self.outer.join(ARCHIVE);
        let (fold, ..) = Fold::open(&folder, &days, &FoldOptions::default(), IDENTITY).unwrap();
        assert!(fold.watermark().0 <= durable, "{:?} is folded of {durable}", fold.watermark());
        for run in self.run_files() {
            let (_, last) = records_of(&run);
            assert!(last <= durable, "{} is of more than {durable}", run.display());
        }
    }

    /// What a start has found.
    pub(super) fn check_found(&mut self, found: &Resumed, laws: &Laws) {
        let Resumed { archive, index, journal, recovered, .. } = found;
        self.sets_at_start = archive.sets().len() as u64;
        let held = self.durable.len() as u64;
        let plain = &self.plain;
        assert_eq!(journal.durable().watermark.0, held);
        assert_eq!(recovered.fold.watermark().0, held);
        assert_eq!(recovered.next_ordinal, plain.next_ordinal);
        assert_eq!(Progress { judged: 0, ..recovered.seen }, plain.seen);
        assert_eq!(recovered.newest, plain.newest);
        assert_eq!(recovered.actors_max, plain.actors_max);
        assert_eq!(recovered.last.map_or(0, |last| last.number.0), held);
        let of_laws = self.durable.iter().filter(|lodged| lodged.kind == record::LAW);
        let (known, of_laws) = (laws.records(), of_laws.map(|lodged| lodged.body.clone()));
        assert_eq!(known.iter().map(record::LawRecord::body).collect::<Vec<_>>(), {
            of_laws.collect::<Vec<_>>()
        });
        assert_eq!(recovered.fold.digest().unwrap(), plain.digest(), "the summaries differ");
        let first = self.check_journal();
        self.check_archive(archive, first);
        if self.has_snapshot && self.chance.hits(20) {
            self.check_kept(archive);
        }
        self.check_runs(index.runs_cover());
    }

    /// Returns the first record that the journal has.
    fn check_journal(&self) -> u64 {
        let mut next = None;
        let verified =
            journal::verify(&self.disk, Path::new(JOURNAL), Some(IDENTITY), &mut |record| {
                let number = record.number.0;
                assert!(next.is_none_or(|next| next == number));
                next = Some(number + 1);
                let lodged = &self.durable[number as usize - 1];
                assert_eq!((record.kind, record.body), (lodged.kind, &lodged.body[..]));
                Ok(())
            });
        let verified = verified.unwrap();
        let held = self.durable.len() as u64;
        assert_eq!(next.unwrap_or(held + 1), held + 1);
        let Extent { first_segment, last_segment, first_record } = self.extent();
        assert_eq!(last_segment - first_segment + 1, self.segments());
        assert_eq!(verified.segments, self.segments());
        let others = self.disk.paths().iter().filter(|path| path.starts_with(JOURNAL)).count();
        assert!(others as u64 - self.segments() <= 1, "more than the segment that stands ready");
        first_record.0
    }

    fn check_archive(&mut self, archive: &Archive, first: u64) {
        let sets = archive.sets();
        let mut next = (1, 0);
        for set in sets.iter() {
            assert_eq!((set.first.0, set.first_ordinal.0), next);
            next = (set.last.0 + 1, set.end_ordinal.0);
            assert!(set.last.0 <= self.durable.len() as u64, "what is not durable is sealed");
            for other in &set.others {
                let lodged = &self.durable[other.number.0 as usize - 1];
                assert_eq!((other.kind, &other.body), (lodged.kind, &lodged.body));
            }
            if self.chance.hits(12) && set.parts.iter().all(|part| !part.is_dropped) {
                self.check_rows(archive, set);
            }
        }
        assert!(first <= next.0, "record {first} comes first, and {} is not sealed", next.0);
        let mut expected = BTreeSet::new();
        for set in sets.iter() {
            expected.insert(Path::new(ARCHIVE).join("sets").join(format!("{}.set", set.name())));
            for part in set.kept() {
                let more =
                    if part.number == 1 { String::new() } else { format!(".{}", part.number) };
                expected.extend(TABLES.map(|table| {
                    let folder = Path::new(ARCHIVE).join(table).join(format!("day={}", part.day));
                    folder.join(format!("{}{more}.parquet", set.name()))
                }));
            }
        }
        let mut files = self.disk.paths();
        files.retain(|path| path.starts_with(ARCHIVE));
        let snapshot = snapshot_path(Path::new(ARCHIVE));
        if self.drops && files.contains(&snapshot) {
            expected.insert(snapshot);
        }
        assert_eq!(files.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    /// As `waag verify` holds snapshot and runs against what is kept of the same records.
    pub(super) fn check_kept(&mut self, archive: &Archive) {
        let Some((through, _)) = archive.dropped() else { return };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let root = Path::new(ARCHIVE);
        let options = resume::fold_options(&*disk, root, archive, &IDENTITY).unwrap();
        let outside = folder();
        let own = |name: &str| outside.path().join(name);
        data_folder::copy(
            &self.outer.join(ARCHIVE).join(SUMMARY_FOLDER),
            &own("snapshot").join(SUMMARY_FOLDER),
        )
        .unwrap();
        let (snapshot, ..) =
            Fold::open(&own("catalog"), &own("snapshot"), &options, IDENTITY).unwrap();
        let (kept, ..) =
            Fold::open(&own("kept"), &own("kept"), &FoldOptions::default(), IDENTITY).unwrap();
        let runs = || {
            let mut runs = runs_folder(&disk).open().unwrap().whole;
            runs.retain(|run| run.covers().first_record <= through);
            runs
        };
        let covered = end_of(&runs()).0;
        assert!(covered >= through);
        let laws = lodging::laws(&self.outer.join(folders::RULES));
        let index = Arc::new(Index::with_runs(lodging::keys(), self.memory, runs()).unwrap());
        let preparer = lodging::preparer();
        let mut checking = Checking {
            archive,
            index: &index,
            covered,
            own: kept,
            until: snapshot.watermark(),
            archivist: Archivist::new(preparer, Arc::clone(&laws), lodging::mint()),
            laws,
            uncovered: BTreeMap::new(),
            found: KeptDays::default(),
        };
        checking.archived().unwrap();
        journal::verify(&self.disk, Path::new(JOURNAL), Some(IDENTITY), &mut |record| {
            checking.journaled(&record)
        })
        .unwrap();
        let found = checking.end(&snapshot, &runs()).unwrap();
        assert_eq!(found.problem, None);
        self.met.add("kept_checked", 1);
        self.met.add("dropped_counted", found.dropped);
    }

    /// Every record of a set once, with what was answered.
    fn check_rows(&mut self, archive: &Archive, set: &Set) {
        self.met.add("sets_read", 1);
        archive.check(set).unwrap();
        let mut numbers: Vec<u64> = set.others.iter().map(|other| other.number.0).collect();
        let mut records = archive.read(set).unwrap();
        while let Some(batch) = records.next_batch().unwrap() {
            numbers.push(batch.record.0);
            let lodged = self.durable[batch.record.0 as usize - 1].batch.as_ref().unwrap();
            assert_eq!((batch.law, batch.judged_at), (lodged.law, lodged.at));
            assert_eq!(batch.first_ordinal, lodged.first_ordinal);
            let (mut outcomes, mut firsts) = (Vec::new(), Vec::new());
            while let Some(entry) = records.next_entry().unwrap() {
                let verdict = &lodged.answer.verdicts[outcomes.len()];
                match entry {
                    Entry::Declaration(declaration) => {
                        outcomes.push(Settled::first(declaration.outcome).byte());
                        assert_eq!(declaration.mrn.unwrap_or(""), verdict.mrn);
                        let found = declaration.findings.list.len();
                        assert_eq!(found, verdict.findings.len());
                    }
                    Entry::Replay(replay) => {
                        outcomes.push(Settled::replay_of(replay.replay_of).byte());
                        firsts.extend(replay.first_ordinal.0.to_le_bytes());
                    }
                }
            }
            assert_eq!((&outcomes, &firsts), (&lodged.outcomes, &lodged.firsts));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (set.first.0..=set.last.0).collect::<Vec<_>>());
    }

    fn check_runs(&mut self, covered: Option<Watermark>) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let runs = runs_folder(&disk).open().unwrap();
        assert!(runs.others.is_empty(), "{:?}", runs.others);
        assert_eq!(runs.whole.last().map(|run| run.covers().last_record), covered);
        assert!(covered.is_none_or(|covered| covered.0 <= self.durable.len() as u64));
        let files = self.disk.paths().iter().filter(|path| path.starts_with(RUNS)).count();
        assert_eq!(files, runs.whole.len());
        for run in &runs.whole {
            if self.chance.hits(5) {
                run.verify().unwrap();
            }
        }
    }

    /// What was lodged before gets, lodged again, the answer it first got.
    pub(super) fn check_answers(&mut self, server: &mut Server) {
        let first_segment = self.extent().first_segment;
        let all = self.chance.hits(10);
        for place in 0..self.durable.len() {
            if all || self.chance.hits(25) {
                self.check_answer(server, place, first_segment);
            }
        }
    }

    fn check_answer(&mut self, server: &mut Server, place: usize, first_segment: u64) {
        let Some(batch) = &self.durable[place].batch else { return };
        // With what is forgotten everything goes that came under its LRNs.
        let forgotten = server.index.forgotten().before;
        let settled = |outcome: &u8| Settled::from_byte(*outcome).unwrap();
        let is_known = |(index, outcome): (usize, &u8)| {
            let Settled { outcome, replay_of } = settled(outcome);
            let is_conflict = replay_of.unwrap_or(outcome) == crate::outcome::Outcome::Conflict;
            batch.first_ordinal.0 + index as u64 >= forgotten.0 && !is_conflict
        };
        let mut firsts = batch.firsts.as_chunks::<8>().0.iter();
        if forgotten > Ordinal(0)
            && (!batch.outcomes.iter().enumerate().all(is_known)
                || firsts.any(|first| u64::from_le_bytes(*first) < forgotten.0))
        {
            self.met.add("not_known", 1);
            return;
        }
        let law = server.laws.current().unwrap();
        let (prepared, draft) =
            lodging::prepare(&mut server.preparer, &batch.message, self.now, &law);
        let room = server.index.room();
        let claimed = server.index.claim(Filed::new(prepared.admission, draft)).unwrap();
        assert_eq!(server.index.room(), room, "it is taken for something new");
        let decided = server.settler.settle(claimed);
        let mut firsts = batch.firsts.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b));
        for (index, outcome) in batch.outcomes.iter().enumerate() {
            let (at, first) = &decided.replays[index];
            assert_eq!(usize::from(*at), index);
            let own = batch.first_ordinal.0 + index as u64;
            let is_replay = Settled::from_byte(*outcome).unwrap().replay_of.is_some();
            let expected = if is_replay { firsts.next().unwrap() } else { own };
            let Placing { number, position, first_ordinal } = first.placing().unwrap();
            assert_eq!(first_ordinal.0 + first.index() as u64, expected);
            let of_number = self.durable[number.0 as usize - 1].batch.as_ref().unwrap();
            assert_eq!(of_number.first_ordinal, first_ordinal);
            assert_eq!(
                (first.admission().at, first.admission().law),
                (of_number.at, of_number.law)
            );
            if position.segment >= first_segment {
                let read = server.journal.reader().read(position).unwrap();
                assert_eq!(read.number, number);
            } else {
                assert!(number < server.sealer.archive.next().0, "it is nowhere");
            }
        }
        let (number, position) = (Watermark(self.durable.len() as u64 + 1), Position::default());
        let placing = Placing { number, position, first_ordinal: server.next_ordinal };
        // It must be, or no table is ever frozen again.
        server.settler.place(&decided.filed, placing);
        let (finisher, laws, framing) = (lodging::finisher(), &server.laws, Framing::Unary);
        let preparer = &mut server.preparer;
        let finished = finisher.finish(preparer, laws, &prepared, &decided, placing, framing);
        let answer = SubmitBatchResponse::decode(finished.unwrap().0).unwrap();
        let mut expected = batch.answer.verdicts.clone();
        for verdict in &mut expected {
            if verdict.outcome() != Outcome::Replayed {
                verdict.set_replay_of(verdict.outcome());
                verdict.set_outcome(Outcome::Replayed);
            }
        }
        assert_eq!(answer.verdicts, expected, "record {}", place + 1);
        let found = server.sealer.archive.declaration(batch.first_ordinal).unwrap();
        self.met.add("dropped_and_answered", u64::from(matches!(found, Found::Dropped)));
    }
}
