//! The disk fails at any step of writing runs, merging them and removing what was merged: everything
//! that was lodged is found again with the same answer, and nothing is left that is of no use.

use super::world::{World, check_all, draft_of, position};
use super::*;
use crate::disk::Disk;
use crate::disk::simulated::seeds::{for_seeds, is_whole_run};
use crate::disk::simulated::{Chance, Fault};
use crate::index::run::{PREPARING_SUFFIX, RunError};

/// What is known of what was lodged.
#[derive(Default)]
struct Known {
    model: Model,
    sents: Vec<(Sent, Admission)>,
    record_of: Vec<u64>,
    is_first: Vec<bool>,
    admissions: Vec<Admission>,
    firsts: Vec<usize>,
}

#[derive(Debug, Default)]
struct Seen {
    full: u64,
    stopped: u64,
    merged: u64,
    parts: u64,
    forgotten: u64,
    removed: u64,
}

/// Lodges a batch, after a table is frozen where there is no room. False where what was frozen before
/// has to be written first.
fn lodge(world: &mut World, known: &mut Known, batch: &[Sent]) -> Result<bool, RunError> {
    let record = world.committer.records;
    for _ in 0..2 {
        let admission = super::world::admission_of(record);
        match world.index.claim(Filed::new(admission, draft_of(batch))) {
            Ok(claimed) => {
                known.firsts.push(known.sents.len());
                let decided = world.place(batch, claimed);
                check(&mut known.model, batch, &decided).unwrap();
                known.admissions.push(admission);
                for (index, sent) in batch.iter().enumerate() {
                    known.sents.push((*sent, admission));
                    known.record_of.push(world.committer.records);
                    let outcome = decided.filed.settled(index).unwrap().outcome;
                    known.is_first.push(outcome != Outcome::Replayed);
                }
                return Ok(true);
            }
            Err(Unclaimed { why: Why::Full(full), .. }) => {
                if world.index.make_room(full).is_err() {
                    return Ok(false);
                }
                world.freeze();
            }
            Err(Unclaimed { why: Why::Run(error), .. }) => return Err(error),
            Err(Unclaimed { why, .. }) => panic!("{why}"),
        }
    }
    panic!("a table that is new has room");
}

fn round(seed: u64, seen: &mut Seen) {
    let mut chance = Chance(seed);
    let mut world = World::new(seed);
    let mut known = Known::default();
    let mut on_disk = None;
    // The call that meets a fault.
    let mut fault_at = None;
    for _ in 0..15 + chance.below(25) {
        let calls = world.disk.calls();
        let is_healthy = !world.disk.has_no_power() && fault_at.is_none_or(|at| at < calls);
        if is_healthy && chance.hits(20) {
            let fault = if chance.hits(50) { Fault::Error } else { Fault::PowerCut };
            let calls_until = chance.below(30);
            world.disk.fault_at(calls_until, fault);
            fault_at = Some(calls + calls_until);
        } else if is_healthy && chance.hits(10) {
            let files = world.disk.list(world.folder.dir()).unwrap();
            let used: u64 = files.iter().map(|file| file.bytes).sum();
            world.disk.set_capacity(used + chance.below(8) * 4096);
        }
        let done = match chance.below(10) {
            0 | 1 => world.try_write(),
            2 | 3 => world.merge(&mut chance).and_then(|()| world.remove_forgotten()),
            4 if !known.firsts.is_empty() && !world.disk.has_no_power() => {
                if world.forget(&known.firsts, &mut chance) {
                    known.model.forget(world.forgotten.before.0 as usize);
                    known.admissions.push(super::world::admission_of(0));
                    seen.forgotten += 1;
                }
                Ok(())
            }
            _ => {
                let batch: Vec<Sent> = (0..1 + chance.below(8))
                    .map(|_| Sent {
                        lrn: chance.below(12) as u8,
                        content: chance.below(5) as u8,
                        fallback: chance.below(3) as u8,
                    })
                    .collect();
                lodge(&mut world, &mut known, &batch).map(drop)
            }
        };
        on_disk = on_disk.max(world.index.runs_cover());
        match done {
            Ok(()) => {}
            Err(error) if error.is_disk_full() => {
                // The server goes on, and what it had begun is gone.
                seen.full += 1;
                if fault_at.is_none_or(|at| at < calls) {
                    let files = world.disk.list(world.folder.dir()).unwrap();
                    let is_left = |name: &str| name.ends_with(PREPARING_SUFFIX);
                    assert!(!files.iter().any(|file| is_left(&file.name)), "{files:?}");
                }
                if chance.hits(50) {
                    world.disk.set_capacity(1 << 30);
                }
            }
            Err(_) => {
                seen.stopped += 1;
                if chance.hits(60) || world.disk.has_no_power() {
                    world.disk.crash();
                } else {
                    world.disk.kill();
                }
                fault_at = None;
                world.disk.set_capacity(1 << 30);
                world.start(&known.admissions);
                assert!(world.index.runs_cover() >= on_disk, "a run that was published is gone");
                let Known { model, sents, record_of, is_first, .. } = &known;
                check_all(&world, model, sents, record_of, is_first).unwrap();
            }
        }
    }
    seen.merged += world.met.merged;
    seen.removed += world.met.removed;
    world.disk.crash();
    world.disk.set_capacity(1 << 30);
    world.start(&known.admissions);
    seen.parts += world.met.parts;
    let Known { model, sents, record_of, is_first, .. } = &known;
    check_all(&world, model, sents, record_of, is_first).unwrap();
    assert_eq!(position(world.committer.records).segment as usize, known.admissions.len());
}

#[test]
fn whatever_step_the_disk_fails_at_everything_is_found_again() {
    let mut seen = Seen::default();
    for_seeds(1_000, |seed| {
        let mut own = Seen::default();
        round(seed, &mut own);
        seen.full += own.full;
        seen.stopped += own.stopped;
        seen.merged += own.merged;
        seen.parts += own.parts;
        seen.forgotten += own.forgotten;
        seen.removed += own.removed;
    });
    if !is_whole_run() {
        return;
    }
    let Seen { full, stopped, merged, parts, forgotten, removed } = seen;
    assert!(full > 150 && stopped > 700 && merged > 80 && parts > 100, "{seen:?}");
    assert!(forgotten > 100 && removed > 5, "{seen:?}");
}
