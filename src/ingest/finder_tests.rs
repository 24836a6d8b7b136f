#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::disk::plain::faults::at_each_call;
use crate::insight::tests::making::{World, accepted, day};

/// Two days of some declarations, sealed.
fn world() -> World {
    let mut world = World::new();
    let first = day("2026-11-05").0;
    world.write_set(&[(first, vec![accepted(); 3]), (first + 1, vec![accepted(); 2])]);
    world
}

fn finder(of: &World, until: &Receiver<()>) -> Finder {
    Finder { insight: of.insight(), until: until.clone(), is_failing: false }
}

fn round(insight: &mut Insight, is_stopping: &dyn Fn() -> bool) -> Result<bool, InsightError> {
    insight.round(is_stopping)
}

/// Whether it is told that they do not come further, and how far they are.
fn told(findings: &Findings) -> (bool, u64) {
    (findings.is_stalled(), findings.watermark().0)
}

#[test]
fn an_error_at_any_call_is_told_and_what_was_to_be_found_is_once_it_is_over() {
    let (_running, until) = crossbeam::channel::bounded(0);
    let failed = at_each_call(|fault| {
        let world = world();
        let mut finder = finder(&world, &until);
        let findings = finder.findings();
        let (wait, was_met) = fault.during(|| finder.act(round));
        if was_met {
            assert_eq!((wait, findings.is_stalled()), (Some(AGAIN), true));
        }
        while finder.act(round).unwrap().is_zero() {}
        assert_eq!(told(&findings), (false, world.records()));
    });
    assert!(failed > 60, "{failed}");
}

#[test]
fn a_panic_is_told_and_what_was_to_be_found_is_by_the_next_round() {
    let (_running, until) = crossbeam::channel::bounded(0);
    let world = world();
    let mut finder = finder(&world, &until);
    let findings = finder.findings();
    // Before anything is done, and with some of it done.
    assert_eq!(finder.act(|_, _| panic!("as planned")), Some(AGAIN));
    assert_eq!(told(&findings), (true, 0));
    let asked = std::cell::Cell::new(0);
    let half = |insight: &mut Insight, _: &dyn Fn() -> bool| {
        insight.round(&|| {
            assert!(asked.replace(asked.get() + 1) < 3, "as planned, in the middle");
            false
        })
    };
    assert_eq!(finder.act(half), Some(AGAIN));
    assert_eq!(told(&findings), (true, 0));
    assert_eq!(finder.act(round), Some(Duration::ZERO));
    assert_eq!(told(&findings), (false, world.records()));
}

#[test]
fn it_rests_twice_as_long_as_it_worked_and_ten_minutes_at_most() {
    let seconds = Duration::from_secs;
    for (work, rest) in [(0, 0), (1, 2), (299, 598), (301, 600), (86_400, 600)] {
        assert_eq!(rest_after(seconds(work)), seconds(rest), "{work}");
    }
}

#[test]
fn it_ends_with_the_server() {
    let (running, until) = crossbeam::channel::bounded(0);
    let world = world();
    let mut finder = finder(&world, &until);
    drop(running);
    assert_eq!(finder.act(round), None);
    finder.run();
}

#[test]
fn a_folder_that_cannot_be_used_keeps_no_server_from_starting_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, until) = crossbeam::channel::bounded(0);
    let (world, mint) = (world(), Mint::new([5; 16]));
    let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
    let secrets = Secrets::passing().unwrap();
    let root = folder.path().join(folders::INSIGHT);
    std::fs::write(&root, "no folder").unwrap();
    let mut finder = Finder::begin(&config, &secrets, &mint, &world.archive, &until).unwrap();
    let findings = finder.findings();
    assert_eq!(told(&findings), (true, 0));
    assert_eq!(finder.act(round), Some(AGAIN));
    std::fs::remove_file(&root).unwrap();
    while finder.act(round).unwrap().is_zero() {}
    assert_eq!(told(&findings), (false, world.records()));

    // Switched off there are none, and nothing is left of them.
    assert!(root.join("days").is_dir());
    let off = Config { findings: false, ..config };
    assert!(Finder::begin(&off, &secrets, &mint, &world.archive, &until).is_none());
    assert!(!root.exists());
    assert!(Finder::begin(&off, &secrets, &mint, &world.archive, &until).is_none());
}
