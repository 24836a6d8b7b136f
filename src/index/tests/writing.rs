//! What a run is written from holds each key once, in its part, however many parts there are. And a table
//! made ahead takes over, but there are never three.

use std::sync::Arc;

use super::world::World;
use super::*;
use crate::index::Memory;
use crate::index::run::{Entry, Source};

#[test]
fn each_entry_is_in_its_part_and_in_no_other() {
    let mut world = World::new(1);
    let memory = Memory { bytes: 1_000_000, slots_min: 4_096 };
    world.index = Arc::new(Index::with_runs(keys(), memory, Vec::new()).unwrap());
    world.committer.settler = Settler::new(Arc::clone(&world.index));
    for lrns in 0..10_u8 {
        let sent = |lrn| Sent { lrn: 20 * lrns + lrn, content: lrn % 5, fallback: lrn % 2 };
        let batch: Vec<Sent> = (0..20).map(sent).collect();
        let claimed = world.claim(&batch, 1).unwrap();
        world.committer.place(claimed);
    }
    assert!(world.index.close());
    let frozen = world.index.freeze(world.covers()).unwrap().unwrap();
    let all = {
        let mut all = frozen.source().entries(0, 0).unwrap();
        all.sort_unstable_by_key(|entry| entry.order());
        all
    };
    assert_eq!((all.len(), frozen.source().count()), (200, 200));
    for bits in [0, 1, 3, 5] {
        // One after another, as a run is written, twice; and in any order.
        let source = frozen.source();
        let parts = 1_u64 << bits;
        let order = (0..parts).chain(0..parts).chain((0..parts).rev());
        let read: Vec<_> = order.map(|part| (part, source.entries(bits, part).unwrap())).collect();
        for round in read.chunks(1 << bits) {
            let mut found: Vec<&Entry> = Vec::new();
            for (part, entries) in round {
                let is_of_it = |key: u64| bits == 0 || key >> (64 - bits) == *part;
                assert!(entries.iter().all(|entry| is_of_it(entry.key.0)), "{bits} {part}");
                found.extend(entries);
            }
            found.sort_unstable_by_key(|entry| entry.order());
            assert!(found == all.iter().collect::<Vec<_>>(), "{bits} bits");
        }
    }
}

#[test]
fn a_table_made_ahead_takes_over_and_none_is_made_while_one_is_frozen() {
    let mut world = World::new(1);
    // So much that a table is as large as it may be, whatever is loaded.
    let memory = Memory { bytes: 1 << 30, slots_min: 128 };
    world.index = Arc::new(Index::with_runs(keys(), memory, Vec::new()).unwrap());
    world.committer.settler = Settler::new(Arc::clone(&world.index));
    let hot = |world: &World| world.index.state.load().hot.table.address();
    world.index.prepare_spare().unwrap();
    let spare = world.index.spare.address();
    assert!(spare.is_some() && spare != Some(hot(&world)));
    let claimed = world.claim(&[Sent { lrn: 1, content: 1, fallback: 0 }], 1).unwrap();
    world.committer.place(claimed);
    assert!(world.index.close());
    world.freeze();
    assert_eq!(Some(hot(&world)), spare);
    world.index.prepare_spare().unwrap();
    assert_eq!(world.index.spare.address(), None, "that would be a third table");
    world.write();
    world.index.prepare_spare().unwrap();
    assert!(world.index.spare.address().is_some());
}
