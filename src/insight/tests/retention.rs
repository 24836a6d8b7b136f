//! Days past their retention: listed no more, and nothing of them is left; what looked at them stays as it was.

use std::path::Path;

use super::making::{Given, IDENTITY, World, accepted, day};
use super::reading::all;
use crate::day::Day;
use crate::id::Watermark;
use crate::insight::{Finding, Insight, Keys, Kind, erase_derived, remake};
use crate::mrn::Mint;
use crate::outcome::Outcome;
use crate::summary::Role;

/// Of each day some declarations that have much in common with those of the others.
fn batch() -> Vec<Given> {
    let one =
        |n: u16| Given { declarant: 1 + n % 2, importer: 1 + n, document: 1 + n, ..accepted() };
    (0..6).map(one).collect()
}

fn first() -> Day {
    day("2026-11-05")
}

/// The first day in a set of its own, then the second one in so many; all is found.
fn world(sets: u16) -> (World, Insight) {
    let mut world = World::new();
    let mut insight = world.insight();
    for number in 0..=sets {
        world.write_set(&[(first().0 + number.min(1), batch())]);
        insight.round(&|| false).unwrap();
    }
    (world, insight)
}

fn drop_first(world: &World) {
    world.archive.drop_days(Day(first().0 + 1), Watermark(u64::MAX)).unwrap();
}

/// Names of files of the first day.
fn of_first(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true => of_first(&path),
        false => vec![path.file_name().unwrap().to_str().unwrap().to_owned()],
    };
    entries.flat_map(of).filter(|name| name.starts_with(&first().to_string())).collect()
}

fn since(found: &[Finding], first: u16) -> Vec<Finding> {
    found.iter().filter(|finding| finding.day.0 >= first).cloned().collect()
}

#[test]
fn a_day_that_is_dropped_is_listed_no_more_and_no_file_of_it_is_left() {
    let (world, mut insight) = world(2);
    let before = all(&insight, Role::Declarant);
    assert!(!of_first(world.folder.path()).is_empty());
    assert!(since(&before, first().0 + 1).len() < before.len());
    drop_first(&world);
    // A start does not list it, though its files are still there.
    let kept = since(&before, first().0 + 1);
    assert_eq!(all(&world.insight(), Role::Declarant), kept);
    assert!(!insight.round(&|| false).unwrap(), "nothing was sealed");
    assert_eq!(all(&insight, Role::Declarant), kept);
    assert_eq!(of_first(world.folder.path()), Vec::<String>::new());
}

#[test]
fn what_is_made_without_dropped_days_says_how_many_it_lacks() {
    let (mut world, mut insight) = world(1);
    drop_first(&world);
    // It makes the second day again, and the third one.
    let third = first().0 + 2;
    world.write_set(&[(third - 1, batch()), (third, batch())]);
    insight.round(&|| false).unwrap();
    // Elsewhere nothing of the first day was accepted.
    let mut other = World::new();
    let refused = batch().into_iter().map(|one| Given { outcome: Outcome::Rejected, ..one });
    other.write_set(&[(third - 2, refused.collect())]);
    other.write_set(&[(third - 1, batch())]);
    other.write_set(&[(third - 1, batch()), (third, batch())]);
    let mut elsewhere = other.insight();
    while elsewhere.round(&|| false).unwrap() {}
    for role in Role::ALL {
        let figures =
            |of: Vec<Finding>| of.into_iter().map(|f| (f.day, f.id, f.figure)).collect::<Vec<_>>();
        let found = all(&insight, role);
        assert_eq!(found.is_empty(), role == Role::Representative);
        assert_eq!(figures(found), figures(all(&elsewhere, role)));
    }
    let found = all(&insight, Role::Declarant);
    for (day, kind, missing) in [
        (third - 1, Kind::TopHs6, 0),
        (third - 1, Kind::Split, 1),
        (third - 1, Kind::DuplicateDocument, 1),
        (third, Kind::Split, 0),
        (third, Kind::RepeatConsignee, 1),
    ] {
        let of = found.iter().find(|f| f.day.0 == day && f.figure.kind == kind).unwrap();
        assert_eq!(of.missing_days, missing, "{day} {kind:?}");
    }
}

#[test]
fn a_rebuild_keeps_what_it_cannot_make_however_many_rounds_it_takes() {
    // More sets than one round takes.
    let (world, _) = world(20);
    drop_first(&world);
    let mut insight = world.insight();
    assert!(!insight.round(&|| false).unwrap());
    let before = world.files();
    erase_derived(world.folder.path(), IDENTITY, &world.archive).unwrap();
    let mut again = world.insight();
    let mut rounds = 0;
    while again.round(&|| false).unwrap() {
        rounds += 1;
    }
    assert_eq!(rounds, 2);
    assert!(world.files() == before, "{:?}", world.files().keys());
    assert!(all(&again, Role::Declarant).iter().all(|finding| finding.missing_days == 0));

    // What could not be read any more is made of what there is, and says so.
    let damaged = world.files().into_keys().find(|name| name != "state").unwrap();
    std::fs::write(world.folder.path().join("days").join(damaged), b"WAAGFIND").unwrap();
    let remade = rebuild(&world);
    assert!(!remade.is_same && remade.days == 1, "{remade:?}");
    let found = all(&world.insight(), Role::Declarant);
    assert!(found.iter().any(|finding| finding.missing_days == 1), "{found:?}");
    assert!(rebuild(&world).is_same);
}

#[test]
fn a_rebuild_before_anything_is_swept_finds_nothing_wrong() {
    let (world, _) = world(1);
    drop_first(&world);
    let remade = rebuild(&world);
    assert!(remade.is_same && (remade.had, remade.days) == (1, 1), "{remade:?}");
    assert_eq!(of_first(world.folder.path()), Vec::<String>::new());
}

fn rebuild(world: &World) -> crate::insight::Remade {
    let (keys, mint) = (Keys::new([3; 16]), Mint::new([5; 16]));
    remake(world.folder.path(), IDENTITY, keys, mint, &world.archive).unwrap()
}
