//! Putting a law in force while batches are taken.

use super::{config, law, start};

#[tokio::test]
async fn a_reload_that_changes_nothing_gives_its_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(&config(folder.path()), "2026-11-05T12:00");
    let free = engine.room.free_bytes();
    for _ in 0..3 {
        assert_eq!(engine.change_law(law(0)).await, Ok(0));
        assert_eq!(engine.room.free_bytes(), free);
    }
    assert_eq!(engine.change_law(law(1)).await, Ok(1));
    assert!(engine.room.free_bytes() < free, "a law that is new takes its room");
    engine.stop();
}

#[tokio::test]
async fn a_reload_without_room_is_refused_and_the_law_before_holds_on() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(&config(folder.path()), "2026-11-05T12:00");
    let held: Vec<_> = std::iter::from_fn(|| engine.room.reserve(1).ok()).collect();
    let refused = engine.change_law(law(1)).await.unwrap_err();
    assert!(refused.contains("the journal has no room"), "{refused}");
    assert_eq!(engine.laws().current().unwrap().number, 0);
    drop(held);
    assert_eq!(engine.change_law(law(1)).await, Ok(1));
    engine.stop();
}
