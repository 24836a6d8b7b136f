//! Days past their retention are dropped in longer lives, beside everything else that happens: runs are
//! merged, keys are forgotten, catalog or snapshot is lost, and the disk fails at any step.

use super::faults::records_of;
use super::world::{Server, World};
use super::{Met, folder, lodging, run_seeds};

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

fn live(seed: u64, met: &mut Met, (lives, forgets): (u32, bool)) {
    let outer = folder();
    let mut world = World::new(seed, outer.path(), met);
    (world.drops, world.forgets) = (true, forgets);
    world.keeps_derived = seed.is_multiple_of(4);
    for _ in 0..lives {
        world.live();
    }
    drop(world.start());
}

fn run(seed: u64, met: &mut Met) {
    live(seed, met, (6, false));
}

#[test]
fn what_was_answered_stays_when_its_day_is_dropped() {
    run_seeds(250, run, &LEAST);
}

/// The same where keys are forgotten.
const LEAST_FORGOTTEN: [(&str, u64); 8] = [
    ("forgotten", 100),
    ("runs_forgotten", 10),
    ("not_known", 2_000),
    ("kept_checked", 30),
    ("from_snapshot", 20),
    ("runs_lost", 50),
    ("power_cuts", 400),
    ("starts", 1_200),
];

fn run_forgetting(seed: u64, met: &mut Met) {
    live(seed, met, (10, true));
}

#[test]
fn what_is_forgotten_is_new_again_and_the_rest_is_known() {
    run_seeds(120, run_forgetting, &LEAST_FORGOTTEN);
}

impl World<'_> {
    /// A batch, in a run of its own, folded and sealed.
    fn lodge_and_seal(&mut self, server: &mut Server) {
        self.lodge_and_place(server);
        self.derive_all(server);
        while server.sealer.round().unwrap() {}
    }
}

#[test]
fn runs_that_have_what_was_dropped_are_merged_only_once_the_snapshot_is_past_them() {
    let mut met = Met::default();
    for seed in 0..8 {
        let outer = folder();
        let mut world = World::new(4 * seed, outer.path(), &mut met);
        (world.is_calm, world.drops) = (true, true);
        let mut server = world.start();
        world.begin(&mut server).unwrap();
        world.lodge_and_seal(&mut server);
        world.now.0 += 3 * 86_400_000;
        world.lodge_and_seal(&mut server);
        let today = lodging::calendar().day(world.now);
        let retention = server.sealer.retention.clone();
        // Where that was not done by itself.
        retention.drop_before(today, server.sealer.derived).unwrap();
        assert!(server.sealer.archive.dropped().is_some());
        let dropped_at = world.durable.len() as u64;
        // Until they are merged with later ones.
        while records_of(&world.run_files()[0]).1 <= dropped_at {
            world.lodge_and_seal(&mut server);
            world.merge(&mut server).unwrap();
        }
        drop(server);
        world.disk.kill();
        world.lose_catalog();
        world.has_lost = true;
        drop(world.start());
    }
    assert_eq!(met.0.get("from_snapshot"), Some(&8));
}
