//! What a run is written from holds each key once, in its part, however many parts there are.

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
