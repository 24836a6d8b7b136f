//! The same model, with tables so small that they are full all the time: outcomes, first answers and
//! look-ups are those of one table, whatever is hot, frozen or in a run, and after recovery from runs.

use super::world::{Met, World, check_all, check_first, draft_of, position};
use super::*;
use crate::disk::simulated::Chance;
use crate::index::Memory;
use crate::index::frozen::Frozen;
use crate::index::run::{Covers, Forgotten};

fn many_sent() -> impl Strategy<Value = Sent> {
    (0_u8..12, 0_u8..5, 0_u8..3).prop_map(|(lrn, content, fallback)| Sent {
        lrn,
        content,
        fallback,
    })
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Claim,
    Place(usize),
    Write,
    Merge,
    Recover,
    Forget,
}

fn run(batches: &[Vec<Sent>], chance: &mut Chance) -> Result<Met, TestCaseError> {
    let mut world = World::new(chance.bits());
    let mut model = Model::default();
    let mut sents: Vec<(Sent, Admission)> = Vec::new();
    let mut record_of: Vec<u64> = Vec::new();
    let (mut admissions, mut is_first, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
    let mut waiting = 0;
    let mut in_flight: Vec<(usize, Claimed)> = Vec::new();
    while waiting < batches.len() || !in_flight.is_empty() {
        let step = match chance.below(23) {
            0 => Step::Recover,
            1 => Step::Write,
            2 | 3 => Step::Merge,
            21 | 22 => Step::Forget,
            4..=11 if waiting < batches.len() => Step::Claim,
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
            Step::Merge => {
                world.merge(chance).unwrap();
                world.remove_forgotten().unwrap();
                continue;
            }
            Step::Forget => {
                // With anything in flight the gate stays closed until all of it is placed.
                if !firsts.is_empty() && world.forget(&firsts, chance) {
                    admissions.push(admission());
                    model.forget(world.forgotten.before.0 as usize);
                }
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
        firsts.push(sents.len());
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
    check_all(&world, &model, &sents, &record_of, &is_first)?;
    Ok(world.met)
}

#[test]
fn outcomes_are_those_of_one_table_whatever_is_cold() {
    let mut all = Met::default();
    for seed in 0..150 {
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
                all.merged += met.merged;
                all.forgotten += met.forgotten;
                all.removed += met.removed;
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    assert!(
        all.frozen > 300 && all.merged > 100 && all.recovered_from > 100 && all.refused > 10,
        "{all:?}"
    );
    assert!(all.forgotten > 100 && all.removed > 20, "{all:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

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
    let merged = std::sync::atomic::AtomicU64::new(0);
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
        let (folder, merged) = (world.folder.clone(), &merged);
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
                    index.prepare_spare().unwrap();
                    while let Some(merge) = index.next_merge(Watermark(u64::MAX)) {
                        let run = merge.write(&folder, &|| true).unwrap();
                        index.publish_merged(&merge, run);
                        merge.remove_inputs(&folder).unwrap();
                        merged.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
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
                    forgotten: Forgotten::default(),
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
    let merged = merged.into_inner();
    assert!(
        frozen_in_all > 6 && looked_up > 0 && merged > 0,
        "{frozen_in_all} {looked_up} {merged}"
    );
}
