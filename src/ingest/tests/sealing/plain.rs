//! What everything must come to: the durable records one after another through one table that is
//! never full, and into a fold that never stopped.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::{RUNS, lodging};
use crate::day::Moment;
use crate::disk::{Disk, SimulatedDisk};
use crate::id::{Ordinal, Watermark};
use crate::index::filed::{Filed, Placing};
use crate::index::run::{Covers, Folder, Forgotten};
use crate::index::settle::Settler;
use crate::index::{Index, Memory};
use crate::ingest::answer::Framing;
use crate::ingest::laws::Laws;
use crate::ingest::prepare::Preparer;
use crate::ingest::record::{self, Entry};
use crate::ingest::recover::Progress;
use crate::journal::Position;
use crate::outcome::Outcome;
use crate::proto::v1::SubmitBatchResponse;
use crate::summary::{Event, Fold, FoldOptions};

/// A record, and what was made of it when it was placed.
#[derive(Debug, Clone)]
pub(super) struct Lodged {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
    pub(super) event: Event,
    pub(super) batch: Option<LodgedBatch>,
}

#[derive(Debug, Clone)]
pub(super) struct LodgedBatch {
    pub(super) message: Bytes,
    pub(super) at: Moment,
    pub(super) law: u32,
    pub(super) first_ordinal: Ordinal,
    pub(super) outcomes: Vec<u8>,
    pub(super) firsts: Vec<u8>,
    pub(super) answer: SubmitBatchResponse,
}

pub(super) struct Plain {
    fold: Fold,
    /// Where what is known goes when something is forgotten.
    runs: Folder,
    settler: Settler,
    index: Arc<Index>,
    preparer: Preparer,
    laws: Arc<Laws>,
    pub(super) next_ordinal: Ordinal,
    pub(super) seen: Progress,
    pub(super) newest: Option<Moment>,
    pub(super) actors_max: Option<u32>,
}

impl Plain {
    pub(super) fn new(folder: &Path, laws: Arc<Laws>) -> Self {
        let options = FoldOptions::default();
        let (fold, ..) = Fold::open(folder, folder, &options, lodging::IDENTITY).unwrap();
        // For more than is ever lodged.
        let memory = Memory { bytes: 1 << 19, slots_min: 64 };
        let index = Arc::new(Index::with_runs(lodging::keys(), memory, Vec::new()).unwrap());
        let disk = SimulatedDisk::new(0, u64::MAX);
        disk.create_dir(Path::new(RUNS)).unwrap();
        Self {
            fold,
            runs: Folder::new(Arc::new(disk), Path::new(RUNS), lodging::IDENTITY),
            settler: Settler::new(Arc::clone(&index)),
            index,
            preparer: lodging::preparer(),
            laws,
            next_ordinal: Ordinal(0),
            seen: Progress::default(),
            newest: None,
            actors_max: None,
        }
    }

    /// Takes the next record that is durable, of which the server must have made the same.
    pub(super) fn take(&mut self, lodged: &Lodged) {
        self.seen.records += 1;
        let number = Watermark(self.seen.records);
        if let Ok(Entry::Forgotten(forgotten)) = Entry::read(lodged.kind, &lodged.body) {
            self.forget(number, forgotten);
        }
        let event = match (&lodged.batch, &lodged.event) {
            (Some(batch), _) => self.place(number, batch),
            (None, Event::ActorsMax(value)) => {
                self.actors_max = Some(*value);
                Event::ActorsMax(*value)
            }
            (None, event) => event.clone(),
        };
        self.fold.apply(number, &event).unwrap();
    }

    fn forget(&mut self, number: Watermark, forgotten: Forgotten) {
        let (before, position) = (self.index.covered(), Position::default());
        let first_record = before.as_ref().map_or(1, |before| before.last_record.0 + 1);
        let covers = Covers {
            first_record: Watermark(first_record),
            last_record: number,
            position,
            first_ordinal: before.map_or(Ordinal(0), |before| before.end_ordinal),
            end_ordinal: self.next_ordinal,
            forgotten,
            carried: Vec::new(),
        };
        assert!(self.index.close());
        let frozen = self.index.freeze(covers).unwrap().unwrap();
        self.index.publish(frozen.write(&self.runs).unwrap());
    }

    fn place(&mut self, number: Watermark, batch: &LodgedBatch) -> Event {
        let law = lodging::numbered(batch.law as usize);
        let (prepared, draft) =
            lodging::prepare(&mut self.preparer, &batch.message, batch.at, &law);
        let claimed = self.index.claim(Filed::new(prepared.admission, draft)).unwrap();
        let decided = self.settler.settle(claimed);
        let (position, first_ordinal) = (Position::default(), self.next_ordinal);
        let placing = Placing { number, position, first_ordinal };
        assert_eq!(first_ordinal, batch.first_ordinal);
        let firsts = record::firsts_of(&decided, first_ordinal);
        self.settler.place(&decided.filed, placing);
        let mut outcomes = Vec::new();
        decided.filed.write_outcomes(&mut outcomes);
        assert_eq!(outcomes, batch.outcomes, "record {}", number.0);
        assert_eq!(firsts, batch.firsts, "record {}", number.0);
        let finisher = lodging::finisher();
        let (preparer, framing) = (&mut self.preparer, Framing::Unary);
        let finished = finisher.finish(preparer, &self.laws, &prepared, &decided, placing, framing);
        let (answer, delta) = finished.unwrap();
        assert_eq!(SubmitBatchResponse::decode(answer).unwrap(), batch.answer);
        self.next_ordinal.0 += outcomes.len() as u64;
        self.seen.declarations += outcomes.len() as u64;
        let accepted = outcomes.iter().filter(|byte| **byte == Outcome::Accepted as u8);
        self.seen.accepted += accepted.count() as u64;
        self.newest = self.newest.max(Some(batch.at));
        Event::Batch(delta)
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        self.fold.digest().unwrap()
    }
}
