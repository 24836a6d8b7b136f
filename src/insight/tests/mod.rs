//! Findings are those of a plain count over all rows, whenever they were sealed; they are made again bit for
//! bit, after a crash too; and each flag is raised where it was planted.

mod crash;
mod ioss;
pub(crate) mod making;
mod model;
mod planted;
mod prices;
mod reading;
mod retention;
mod runs;

use proptest::prelude::*;

use making::{Given, World, accepted, day, given};

/// What is declared, day after day, in batches.
fn lodged() -> impl Strategy<Value = Vec<Vec<(u16, Vec<Given>)>>> {
    let batch = (0..2_u16, proptest::collection::vec(given(), 1..8));
    let sets = proptest::collection::vec(proptest::collection::vec(batch, 1..5), 1..4);
    // Days go on, and around a midnight two alternate.
    sets.prop_map(|sets| {
        let mut day = 20_000;
        let on = |(step, given): (u16, Vec<Given>)| {
            day += step;
            (day - u16::from(given.len() == 3), given)
        };
        let mut on = on;
        sets.into_iter().map(|batches| batches.into_iter().map(&mut on).collect()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn figures_are_those_of_a_plain_count_at_each_watermark(sets in lodged()) {
        let mut world = World::new();
        let mut insight = world.insight();
        for batches in &sets {
            world.write_set(batches);
            insight.round(&|| false).unwrap();
            prop_assert_eq!(insight.findings().watermark().0, world.records());
            model::assert_same(&insight, world.placed());
        }
        prop_assert!(!insight.round(&|| false).unwrap());

        // All at once, by another one.
        let before = world.files();
        world.folder = tempfile::tempdir().unwrap();
        world.insight().round(&|| false).unwrap();
        prop_assert_eq!(world.files(), before);
    }
}

#[test]
fn replays_rejections_and_conflicts_are_in_no_figure() {
    use crate::outcome::Outcome;
    let mut world = World::new();
    let one = accepted();
    let others = [Outcome::Rejected, Outcome::Replayed, Outcome::Conflict];
    let others = others.map(|outcome| Given { outcome, ..one.clone() });
    let batch: Vec<_> = [vec![one.clone()], others.to_vec(), others.to_vec()].concat();
    world.write_set(&[(day("2026-11-05").0, batch)]);
    let mut insight = world.insight();
    insight.round(&|| false).unwrap();
    for finding in reading::all(&insight, crate::summary::Role::Declarant) {
        assert_eq!(finding.figure.denominator, 1, "{finding:?}");
    }
    model::assert_same(&insight, world.placed());
}
