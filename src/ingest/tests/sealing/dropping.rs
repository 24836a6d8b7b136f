//! Days past their retention are dropped in longer lives, beside everything else that happens: runs are
//! merged, catalog or snapshot is lost, and the disk fails at any step.

use super::world::World;
use super::{Met, folder, run_seeds};

/// What a whole run must meet, and how often at least.
const LEAST: [(&str, u64); 11] = [
    ("days_dropped", 250),
    ("failed_drops", 30),
    ("dropped_and_answered", 2_000),
    ("kept_checked", 30),
    ("dropped_counted", 300),
    ("from_snapshot", 40),
    ("snapshots_lost", 40),
    ("catalogs_lost", 100),
    ("merged", 20),
    ("power_cuts", 500),
    ("starts", 1_750),
];

fn run(seed: u64, met: &mut Met) {
    let outer = folder();
    let mut world = World::new(seed, outer.path(), met);
    (world.drops, world.keeps_derived) = (true, seed.is_multiple_of(4));
    for _ in 0..6 {
        world.live();
    }
    drop(world.start());
}

#[test]
fn what_was_answered_stays_when_its_day_is_dropped() {
    run_seeds(250, run, &LEAST);
}
