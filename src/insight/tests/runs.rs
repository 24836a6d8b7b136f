//! Files of many runs say what those of one say, which the model tests hold against plain counts.

use super::making::{Given, IDENTITY, Line, World, accepted, day};
use crate::insight::folder::{Folder, PartName};
use crate::insight::key_file::KeyFile;
use crate::insight::table::Table;

const CODES: [&str; 4] = ["610910", "950300", "851712", "392690"];

/// So many declarations with much in common, in no order.
fn batch(seed: u64, count: u64) -> Vec<Given> {
    let one = |n: u64| {
        // A linear congruential generator: Knuth's MMIX.
        let random = (n + seed).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1) >> 33;
        let pick = |of: u64, at: u64| 1 + u16::try_from(random / at % of).unwrap();
        let cents = 1 + random % 16_000;
        Given {
            declarant: pick(3, 1),
            ioss: pick(4, 3),
            exporter: pick(5, 7),
            importer: pick(9, 11),
            address: pick(4, 13),
            document: pick(60, 17),
            is_gift: random.is_multiple_of(5),
            lines: vec![Line { hs6: CODES[usize::from(pick(4, 19)) - 1], cents }],
            ..accepted()
        }
    };
    (0..count).map(one).collect()
}

fn world() -> World {
    let mut world = World::new();
    let first = day("2026-11-05").0;
    world.write_set(&[(first, batch(1, 150)), (first + 1, batch(2, 150))]);
    world.write_set(&[(first + 1, batch(3, 150)), (first + 2, batch(4, 150))]);
    world
}

/// Runs of the rows of the last part.
fn runs(world: &World, table: Table) -> usize {
    let sets = world.archive.sets();
    let set = sets.last().unwrap();
    let part = PartName::of(set, set.parts.last().unwrap());
    assert_eq!(part.day, day("2026-11-07"));
    let (path, heading) = Folder::new(world.folder.path(), IDENTITY).rows(table, &part);
    KeyFile::open(&path, &heading).unwrap().runs().len()
}

#[test]
fn findings_are_the_same_of_whatever_runs() {
    let whole = world();
    whole.insight().round(&|| false).unwrap();
    let expected = whole.files();
    assert_eq!(runs(&whole, Table::Splits), 1);
    for run_rows in [2, 7, 64] {
        let world = world();
        let mut insight = world.insight();
        insight.set_run_rows(run_rows);
        insight.round(&|| false).unwrap();
        // Each row of these has a key of its own: so many go into a run.
        assert_eq!(runs(&world, Table::Splits), 150_usize.div_ceil(run_rows));
        assert!(world.files() == expected, "{run_rows}");
    }
}
