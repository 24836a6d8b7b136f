//! What a start makes rests on nothing that a power cut may take back.

use super::lodging;
use super::world::{Server, World};
use super::{Met, folder};
use crate::disk::simulated::Fault;
use crate::id::{Ordinal, Watermark};
use crate::ingest::engine::folders;

impl World<'_> {
    /// Starts while the power is cut at one of those calls, and then once more. Whether it was cut.
    fn start_twice(&mut self, after: u64, within: u64) -> bool {
        let laws = lodging::laws(&self.outer.join(folders::RULES));
        let at = after + self.chance.below(within - after);
        self.disk.fault_at(at, Fault::PowerCut);
        let found = self.find(&laws);
        self.no_fault();
        let is_cut = found.is_err();
        match found {
            Ok(found) => self.adopt(&found),
            Err(_) => self.check_derived(),
        }
        self.disk.crash();
        drop(self.start());
        is_cut
    }

    /// All that was lodged is written, and folded durably.
    pub(super) fn derive_all(&mut self, server: &mut Server) {
        let _ = server.index.close();
        self.commit(server).unwrap();
        if let Some(frozen) = server.frozen.take() {
            server.index.publish(frozen.write(&server.runs).unwrap());
        }
        self.fold_all(server);
    }

    fn fold_all(&mut self, server: &mut Server) {
        while let Some((number, event)) = server.to_fold.pop_front() {
            server.fold.apply(number, &event).unwrap();
        }
        self.checkpoint(server).unwrap();
    }

    /// A set is written, and the process ends; at `fault` calls from the beginning of that the disk fails.
    /// How many calls there were.
    fn ends_after_a_set(&mut self, fault: Option<u64>) -> u64 {
        self.is_calm = true;
        let mut server = self.start();
        self.begin(&mut server).unwrap();
        while self.segments() < 3 {
            self.lodge_and_place(&mut server);
            self.commit(&mut server).unwrap();
            if let Some(frozen) = server.frozen.take() {
                server.index.publish(frozen.write(&server.runs).unwrap());
            }
        }
        self.derive_all(&mut server);
        let last = server.index.runs_cover().unwrap();
        if let Some(call) = fault {
            self.disk.fault_at(call, Fault::Error);
        }
        let before = self.disk.calls();
        let sealed = server.sealer.seal(Watermark(1), Ordinal(0), last);
        assert_eq!(sealed.is_err(), fault.is_some());
        let calls = self.disk.calls() - before;
        drop(server);
        self.disk.kill();
        calls
    }

    /// Seals what there is, and the power goes. How many segments went before that.
    fn seal_and_crash(&mut self) -> u64 {
        let mut server = self.start();
        self.checkpoint(&mut server).unwrap();
        for _ in 0..20 {
            self.seal(&mut server).unwrap();
        }
        let removed = self.extent().first_segment - 1;
        drop(server);
        self.disk.crash();
        drop(self.start());
        removed
    }

    /// One batch.
    pub(super) fn lodge_and_place(&mut self, server: &mut Server) {
        self.lodge(server).unwrap();
        while !server.waiting.is_empty() {
            self.place(server).unwrap();
        }
    }
}

#[test]
fn the_catalog_and_runs_know_nothing_of_a_group_that_may_be_lost() {
    let mut met = Met::default();
    let (mut cut, mut lost) = (0, 0);
    for seed in 0..150 {
        let outer = folder();
        let mut world = World::new(seed, outer.path(), &mut met);
        world.is_calm = true;
        let mut server = world.start();
        world.begin(&mut server).unwrap();
        // Until a bunch of records would end within a group of some.
        while world.open.len() < 3 || !(world.durable.len() + world.open.len()).is_multiple_of(8) {
            // Days close on the way.
            world.now.0 += 40 * 3_600_000;
            world.lodge_and_place(&mut server);
        }
        // Written, and not synced, as by a process that is killed in between.
        world.disk.fault_at(0, Fault::Error);
        if world.commit(&mut server).is_ok() {
            continue;
        }
        world.no_fault();
        drop(server);
        world.disk.kill();
        let pushed = world.durable.len() + world.open.len();
        cut += u64::from(world.start_twice(20, 40));
        lost += u64::from(world.durable.len() < pushed);
    }
    assert!(cut > 20 && lost > 20, "{cut} {lost}");
}

#[test]
fn a_segment_that_comes_back_is_none_of_which_a_run_says_that_it_is_gone() {
    let mut met = Met::default();
    let (mut cut, mut back) = (0, 0);
    for seed in 0..30 {
        let outer = folder();
        let mut world = World::new(3 * seed, outer.path(), &mut met);
        (world.is_calm, world.keeps_derived, world.has_lost) = (true, false, true);
        let mut server = world.start();
        world.begin(&mut server).unwrap();
        while world.segments() < 4 {
            for _ in 0..3 {
                world.lodge_and_place(&mut server);
            }
            world.commit(&mut server).unwrap();
            if let Some(frozen) = server.frozen.take() {
                server.index.publish(frozen.write(&server.runs).unwrap());
            }
        }
        world.derive_all(&mut server);
        let last = server.index.runs_cover().unwrap();
        let (first, first_ordinal) = server.sealer.archive.next();
        server.sealer.set_lines_max = u64::MAX;
        let set = server.sealer.seal(first, first_ordinal, last).unwrap();
        server.sealer.archive.publish(set).unwrap();
        // The folder is listed, each segment opened, and one is removed; syncing that fails.
        world.disk.fault_at(1 + 3 * world.segments() + 1, Fault::Error);
        server.sealer.oldest.remove(last).unwrap_err();
        drop(server);
        world.disk.kill();
        let runs = world.run_files();
        world.remove(&runs);
        assert_eq!(world.extent().first_segment, 2);
        cut += u64::from(world.start_twice(0, 400));
        back += u64::from(world.extent().first_segment == 1);
    }
    assert!(cut > 15 && back > 0, "{cut} {back}");
}

#[test]
fn segments_go_only_after_the_run_is_durable_that_was_found_in_their_stead() {
    let mut met = Met::default();
    let mut removed = 0;
    for seed in 0..40 {
        let outer = folder();
        let mut world = World::new(4 * seed, outer.path(), &mut met);
        world.is_calm = true;
        let mut server = world.start();
        world.begin(&mut server).unwrap();
        while world.segments() < 3 && server.frozen.is_none() {
            world.lodge_and_place(&mut server);
            world.commit(&mut server).unwrap();
        }
        world.fold_all(&mut server);
        let _ = server.index.close();
        world.commit(&mut server).unwrap();
        // An older attempt is removed, the file made, written, synced and named; syncing that fails.
        world.disk.fault_at(5, Fault::Error);
        server.frozen.take().unwrap().write(&server.runs).unwrap_err();
        assert_eq!(world.run_files().len(), 1, "it has its name");
        drop(server);
        world.disk.kill();
        removed += world.seal_and_crash();
    }
    assert!(removed > 20, "{removed}");
}

#[test]
fn segments_go_only_after_the_set_is_durable_that_was_found_in_their_stead() {
    let mut met = Met::default();
    let mut removed = 0;
    for seed in 0..15 {
        // The file is written last.
        let outer = folder();
        let calls = World::new(4 * seed, outer.path(), &mut met).ends_after_a_set(None);
        let outer = folder();
        let mut world = World::new(4 * seed, outer.path(), &mut met);
        world.ends_after_a_set(Some(calls - 1));
        removed += world.seal_and_crash();
    }
    assert!(removed > 10, "{removed}");
}
