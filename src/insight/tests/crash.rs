//! Crashes, damage, and what is made again.

use std::path::Path;

use super::making::{Given, IDENTITY, World, accepted, day};
use super::model;
use crate::disk::plain::faults::at_each_call;
use crate::id::Watermark;
use crate::insight::{erase_derived, verify};

fn batch(seed: u16) -> Vec<Given> {
    let one = |n: u16| Given {
        declarant: 1 + n % 2,
        importer: (n * seed) % 4,
        document: (n + seed) % 5,
        ..accepted()
    };
    (0..6).map(one).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn sets() -> [Vec<(u16, Vec<Given>)>; 3] {
    let first = day("2026-11-05").0;
    [
        vec![(first, batch(1)), (first + 1, batch(2))],
        vec![(first + 1, batch(3)), (first + 2, batch(4)), (first + 1, batch(5))],
        vec![(first + 2, batch(6))],
    ]
}

#[test]
fn a_kill_at_any_call_leaves_what_the_next_round_makes_the_same() {
    // The archive with one set and with two: each is made once, and read by many.
    let [first, second] = [1, 2].map(|count| {
        let mut world = World::new();
        sets().iter().take(count).for_each(|set| world.write_set(set));
        world
    });
    first.insight().round(&|| false).unwrap();
    second.insight().round(&|| false).unwrap();
    let expected = second.files();
    let failed = at_each_call(|fault| {
        let here = World::new();
        copy(first.folder.path(), here.folder.path());
        let mut insight = here.insight_of(&second);
        let (ended, _) = fault.during(|| insight.round(&|| false));
        // Whoever reads meanwhile, or after the next start, reads what there was, or what there is.
        for insight in [insight, here.insight_of(&second)] {
            let watermark = insight.findings().watermark();
            let seen = if watermark == Watermark(2) { &first } else { &second };
            assert_eq!(watermark.0, seen.records());
            model::assert_same(&insight, seen.placed());
        }
        drop(ended);
        // Of days that count, and not of what lies about.
        let verified = verify(here.folder.path(), IDENTITY).unwrap();
        assert!(matches!(verified, Some((2, Watermark(2)) | (3, Watermark(5)))), "{verified:?}");
        let mut again = here.insight_of(&second);
        while again.round(&|| false).unwrap() {}
        // Thousands of bytes: not for a message.
        assert!(here.files() == expected, "{:?}", here.files().keys());
    });
    assert!(failed > 60, "{failed}");
}

#[test]
fn a_round_that_is_stopped_is_made_again() {
    let mut world = World::new();
    world.write_set(&sets()[1]);
    let mut insight = world.insight();
    // Before each of two parts and each of two days.
    for until in 0..4 {
        let asked = std::cell::Cell::new(0);
        let stops = || asked.replace(asked.get() + 1) >= until;
        let error = insight.round(&stops).unwrap_err();
        assert!(matches!(error, crate::insight::InsightError::Stopping), "{error}");
        assert_eq!(insight.findings().watermark(), Watermark(0));
    }
    insight.round(&|| false).unwrap();
    model::assert_same(&insight, world.placed());
}

#[test]
fn what_is_thrown_away_is_made_again_bit_for_bit() {
    let mut world = World::new();
    let mut insight = world.insight();
    for set in sets() {
        world.write_set(&set);
        insight.round(&|| false).unwrap();
    }
    let before = world.files();
    assert_eq!(before.len(), 4);
    erase_derived(world.folder.path(), IDENTITY, &world.archive).unwrap();
    let days = std::fs::read_dir(world.folder.path().join("days")).unwrap();
    assert_eq!(days.count(), 0);
    world.insight().round(&|| false).unwrap();
    assert_eq!(world.files(), before);
}

#[test]
fn damaged_rows_are_derived_again() {
    let mut world = World::new();
    let [first, second, _] = sets();
    world.write_set(&first);
    let mut insight = world.insight();
    insight.round(&|| false).unwrap();
    let folder = world.folder.path().join("keys/splits");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[60] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    world.write_set(&second);
    while insight.round(&|| false).unwrap() {}
    model::assert_same(&insight, world.placed());
    // So is a state that is not what was written.
    std::fs::write(world.folder.path().join("state"), b"WAAGFIND").unwrap();
    let mut again = world.insight();
    assert_eq!(again.findings().watermark(), Watermark(0));
    again.round(&|| false).unwrap();
    model::assert_same(&again, world.placed());
}
