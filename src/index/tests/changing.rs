//! The same model, with tables so small that they are full all the time: outcomes, first answers and
//! look-ups are those of one table, whatever is hot, frozen or in a run, and after recovery from runs.

use super::*;
use crate::disk::simulated::Chance;
use crate::disk::{Disk, SimulatedDisk};
use crate::index::Memory;
use crate::index::filed::Quoted;
use crate::index::frozen::Frozen;
use crate::index::run::{Covers, Folder, Run};
use std::path::Path;

/// Room for some five batches. Runs take part of it, so that tables get smaller.
const MEMORY: Memory = Memory { bytes: 12_000, slots_min: 64 };
const IDENTITY: [u8; 16] = [4; 16];

/// A record of the journal of these tests.
struct Placed {
    batch: Vec<Sent>,
    outcomes: Vec<u8>,
}

struct World {
    disk: SimulatedDisk,
    folder: Folder,
    index: Arc<Index>,
    committer: Committer,
    records: Vec<Placed>,
    frozen: Option<Arc<Frozen>>,
    /// What the runs have met, so that a test that meets nothing is noticed.
    met: Met,
}

#[derive(Debug, Default)]
struct Met {
    frozen: u64,
    recovered_from: u64,
    refused: u64,
}

fn admission_of(record: u64) -> Admission {
    Admission {
        at: Moment(1_000 + record as i64),
        day: Day(20_000 + record as u16 % 50),
        law: record as u32,
    }
}

fn draft_of(batch: &[Sent]) -> Draft {
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

fn fallback_of(sent: Sent) -> DraftFallback {
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
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed, 1 << 30);
        let dir = Path::new("runs");
        disk.create_dir(dir).unwrap();
        let folder = Folder::new(Arc::new(disk.clone()), dir, IDENTITY);
        let index = Arc::new(Index::with_runs(keys(), MEMORY, Vec::new()).unwrap());
        let committer =
            Committer { settler: Settler::new(Arc::clone(&index)), ordinal: 0, records: 0 };
        let met = Met::default();
        Self { disk, folder, index, committer, records: Vec::new(), frozen: None, met }
    }

    /// Claims, or hands back what must be placed or written first.
    fn claim(&mut self, batch: &[Sent], record: u64) -> Option<Claimed> {
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

    fn covers(&self) -> Covers {
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
            carried: vec![7; 5],
        }
    }

    fn freeze(&mut self) {
        let frozen = self.index.freeze(self.covers()).unwrap();
        self.met.frozen += u64::from(frozen.is_some());
        self.frozen = frozen.or(self.frozen.take());
    }

    fn write(&mut self) {
        if let Some(frozen) = self.frozen.take() {
            self.index.publish(frozen.write(&self.folder).unwrap());
        }
    }

    fn place(&mut self, batch: &[Sent], claimed: Claimed) -> Decided {
        let decided = self.committer.place_at(claimed, position(self.committer.records + 1));
        let mut outcomes = Vec::new();
        decided.filed.write_outcomes(&mut outcomes);
        self.records.push(Placed { batch: batch.to_vec(), outcomes });
        decided
    }

    /// Starts anew, from the runs and what comes after them.
    fn recover(&mut self, admissions: &[Admission]) {
        self.disk.crash();
        self.frozen = None;
        let runs = self.folder.open().unwrap();
        assert!(runs.others.is_empty(), "{:?}", runs.others);
        runs.whole.iter().for_each(|run: &Run| run.verify().unwrap());
        self.met.recovered_from += runs.whole.len() as u64;
        let covers = runs.whole.last().map(|run| run.covers().clone());
        self.index = Arc::new(Index::with_runs(keys(), MEMORY, runs.whole).unwrap());
        let (from, ordinal) =
            covers.map_or((0, 0), |covers| (covers.last_record.0, covers.end_ordinal.0));
        self.committer =
            Committer { settler: Settler::new(Arc::clone(&self.index)), ordinal, records: from };
        #[allow(clippy::needless_range_loop, reason = "records and admissions go together")]
        for record in from as usize..self.records.len() {
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

fn position(record: u64) -> Position {
    Position { segment: record, page: 1, offset: 48 }
}

impl Committer {
    fn place_at(&mut self, claimed: Claimed, position: Position) -> Decided {
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

fn many_sent() -> impl Strategy<Value = Sent> {
    (0_u8..12, 0_u8..5, 0_u8..3).prop_map(|(lrn, content, fallback)| Sent {
        lrn,
        content,
        fallback,
    })
}

/// Whether the first answer has all that a replay is judged again by.
fn check_first(
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

#[derive(Debug, Clone, Copy)]
enum Step {
    Claim,
    Place(usize),
    Write,
    Recover,
}

fn run(batches: &[Vec<Sent>], chance: &mut Chance) -> Result<Met, TestCaseError> {
    let mut world = World::new(chance.bits());
    let mut model = Model::default();
    let mut sents: Vec<(Sent, Admission)> = Vec::new();
    let mut record_of: Vec<u64> = Vec::new();
    let (mut admissions, mut is_first) = (Vec::new(), Vec::new());
    let mut waiting = 0;
    let mut in_flight: Vec<(usize, Claimed)> = Vec::new();
    while waiting < batches.len() || !in_flight.is_empty() {
        let step = match chance.below(20) {
            0 => Step::Recover,
            1 => Step::Write,
            2..=10 if waiting < batches.len() => Step::Claim,
            _ if in_flight.is_empty() => Step::Claim,
            n => Step::Place(n as usize % in_flight.len()),
        };
        let place = match step {
            Step::Claim if waiting == batches.len() => continue,
            Step::Claim => {
                if let Some(claimed) = world.claim(&batches[waiting], waiting as u64) {
                    in_flight.push((waiting, claimed));
                    waiting += 1;
                    continue;
                }
                if in_flight.is_empty() {
                    world.freeze();
                    continue;
                }
                0
            }
            Step::Place(place) => place,
            Step::Write => {
                world.write();
                continue;
            }
            Step::Recover => {
                // What is in flight was never lodged; it comes again.
                let lost: Vec<usize> = in_flight.drain(..).map(|(batch, _)| batch).collect();
                waiting = lost.into_iter().min().unwrap_or(waiting).min(waiting);
                world.recover(&admissions);
                continue;
            }
        };
        let (batch, claimed) = in_flight.swap_remove(place);
        let sent = &batches[batch];
        let decided = world.place(sent, claimed);
        for one in sent {
            sents.push((*one, decided.filed.admission()));
            record_of.push(world.committer.records);
        }
        admissions.push(decided.filed.admission());
        check(&mut model, sent, &decided)?;
        is_first.extend(
            (0..sent.len())
                .map(|index| decided.filed.settled(index).unwrap().outcome != Outcome::Replayed),
        );
        for (_, first) in &decided.replays {
            check_first(first, &sents, position(record_of[ordinal_of(first)]))?;
        }
    }
    for lrn in 0..12 {
        let key = keys().key_of(&Eori::parse("NL810000003").unwrap(), &format!("L{lrn}"));
        let found = world.index.under(key).unwrap();
        prop_assert_eq!(found.as_ref().map(ordinal_of), model.under(lrn));
        if let Some(first) = found {
            check_first(&first, &sents, position(record_of[ordinal_of(&first)]))?;
        }
    }
    for (ordinal, is_first) in is_first.into_iter().enumerate() {
        let found = world.index.at(Ordinal(ordinal as u64)).unwrap();
        prop_assert!(found.is_some() || !is_first, "{} is not found", ordinal);
        prop_assert!(found.as_ref().is_none_or(|first| ordinal_of(first) == ordinal));
        if let Some(first) = found.filter(|_| is_first) {
            check_first(&first, &sents, position(record_of[ordinal]))?;
        }
    }
    prop_assert!(world.index.at(Ordinal(model.count as u64)).unwrap().is_none());
    Ok(world.met)
}

#[test]
fn outcomes_are_those_of_one_table_whatever_is_cold() {
    let mut all = Met::default();
    for seed in 0..600 {
        let mut chance = Chance(seed);
        let batches: Vec<Vec<Sent>> = (0..20 + chance.below(60))
            .map(|_| {
                (0..1 + chance.below(6))
                    .map(|_| Sent {
                        lrn: chance.below(12) as u8,
                        content: chance.below(5) as u8,
                        fallback: chance.below(3) as u8,
                    })
                    .collect()
            })
            .collect();
        match run(&batches, &mut chance) {
            Ok(met) => {
                all.frozen += met.frozen;
                all.recovered_from += met.recovered_from;
                all.refused += met.refused;
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    assert!(all.frozen > 1_000 && all.recovered_from > 500 && all.refused > 50, "{all:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The same with batches that shrink.
    #[test]
    fn outcomes_are_those_of_one_table_for_any_batches(
        batches in prop::collection::vec(prop::collection::vec(many_sent(), 1..6), 1..60),
        seed in any::<u64>(),
    ) {
        run(&batches, &mut Chance(seed))?;
    }
}

/// Threads claim, one places, one writes runs, and others look up what is known already, all at once.
#[test]
fn threads_see_one_table_while_tables_change_under_them() {
    const LRNS: u64 = 400;
    let mut chance = Chance(5);
    let (mut frozen_in_all, mut looked_up) = (0, 0_u64);
    for round in 0..6 {
        let mut world = World::new(round);
        let memory = Memory { bytes: 150_000, slots_min: 128 };
        world.index = Arc::new(Index::with_runs(keys(), memory, Vec::new()).unwrap());
        let index = &world.index;
        let batches: Vec<Vec<Sent>> = (0..400)
            .map(|_| {
                (0..20)
                    .map(|_| Sent {
                        lrn: (chance.below(LRNS) % 256) as u8,
                        content: chance.below(5) as u8,
                        fallback: u8::from(chance.below(5) == 0),
                    })
                    .collect()
            })
            .collect();
        let (sender, receiver) = crossbeam::channel::bounded(16);
        let (to_writer, from_committer) = crossbeam::channel::bounded::<Arc<Frozen>>(1);
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let folder = world.folder.clone();
        let mut decided = Vec::new();
        let (mut frozen, mut seen) = (0, 0);
        std::thread::scope(|scope| {
            for part in batches.chunks(100) {
                let sender = sender.clone();
                scope.spawn(move || {
                    for batch in part {
                        let claimed = loop {
                            match index.claim(Filed::new(admission(), draft_of(batch))) {
                                Ok(claimed) => break claimed,
                                Err(Unclaimed { why: Why::Full(full), .. }) => {
                                    // Where one is being written, it is waited for.
                                    let _ = index.make_room(full);
                                    std::thread::yield_now();
                                }
                                Err(Unclaimed { why: Why::Closed, .. }) => {
                                    let _ =
                                        index.wait_until_open(std::time::Duration::from_millis(1));
                                }
                                Err(Unclaimed { why, .. }) => panic!("{why}"),
                            }
                        };
                        sender.send((batch, claimed)).unwrap();
                    }
                });
            }
            drop(sender);
            scope.spawn(move || {
                for frozen in from_committer {
                    index.publish(frozen.write(&folder).unwrap());
                }
            });
            let is_over = &is_over;
            let readers: Vec<_> = (0..2_u64)
                .map(|reader| {
                    scope.spawn(move || {
                        let declarant = Eori::parse("NL810000003").unwrap();
                        // What was accepted stays: no look-up may miss it or find another.
                        let mut accepted: HashMap<u64, usize> = HashMap::new();
                        let (mut found, mut lrn) = (0_u64, reader);
                        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                            lrn = (lrn + 7) % 256;
                            let key = keys().key_of(&declarant, &format!("L{lrn}"));
                            let first = index.under(key).unwrap();
                            let first = first.filter(|first| first.placing().is_some());
                            let is_accepted = first
                                .as_ref()
                                .is_some_and(|f| f.outcome() == Some(Outcome::Accepted));
                            match accepted.get(&lrn) {
                                Some(known) => {
                                    assert_eq!(first.as_ref().map(ordinal_of), Some(*known));
                                    found += 1;
                                }
                                None if is_accepted => {
                                    accepted.insert(lrn, ordinal_of(first.as_ref().unwrap()));
                                }
                                None => {}
                            }
                        }
                        found
                    })
                })
                .collect();
            let mut committer =
                Committer { settler: Settler::new(Arc::clone(index)), ordinal: 0, records: 0 };
            loop {
                let wait = std::time::Duration::from_millis(1);
                match receiver.recv_timeout(wait) {
                    Ok((batch, claimed)) => {
                        decided.push((batch, committer.place(claimed)));
                    }
                    Err(crossbeam::channel::RecvTimeoutError::Timeout) => {}
                    Err(crossbeam::channel::RecvTimeoutError::Disconnected) => break,
                }
                let before = index.covered();
                let (first_record, first_ordinal) =
                    before.as_ref().map_or((Watermark(1), Ordinal(0)), |before| {
                        (Watermark(before.last_record.0 + 1), before.end_ordinal)
                    });
                let covers = Covers {
                    first_record,
                    last_record: Watermark(committer.records),
                    position: Position::default(),
                    first_ordinal,
                    end_ordinal: Ordinal(committer.ordinal),
                    carried: Vec::new(),
                };
                if let Some(full) = index.freeze(covers).unwrap() {
                    frozen += 1;
                    to_writer.send(full).unwrap();
                }
            }
            drop(to_writer);
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            seen = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        });
        let mut model = Model::default();
        for (batch, decided) in &decided {
            check(&mut model, batch, decided).unwrap();
        }
        frozen_in_all += frozen;
        looked_up += seen;
    }
    assert!(frozen_in_all > 6 && looked_up > 0, "{frozen_in_all} {looked_up}");
}
