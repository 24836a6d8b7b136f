#![allow(clippy::unwrap_used, clippy::panic)]
use super::check::{AuditError, Head, files, read};
use super::log::Log;
use super::*;

fn event(n: u32) -> Event {
    Event {
        who: "a".into(),
        action: "read".into(),
        target: format!("\"{n}\"\n"),
        ..Event::default()
    }
}

async fn written(folder: &std::path::Path, from: u32, to: u32) {
    let log = Log::open(folder).unwrap();
    for n in from..to {
        log.record(event(n)).await.unwrap();
    }
}

fn all(folder: &std::path::Path) -> Result<(Vec<Entry>, Head), AuditError> {
    let mut entries = Vec::new();
    let (head, _) = read(&folder.join(FOLDER), |entry, _| entries.push(entry.clone()))?;
    Ok((entries, head))
}

#[tokio::test]
async fn the_chain_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 0, 5).await;
    written(folder.path(), 5, 9).await;
    let (entries, head) = all(folder.path()).unwrap();
    assert_eq!(
        entries.iter().map(|entry| entry.n).collect::<Vec<_>>(),
        (1..=9).collect::<Vec<_>>()
    );
    let targets: Vec<_> = entries.into_iter().map(|entry| entry.event).collect();
    assert_eq!(targets, (0..9).map(event).collect::<Vec<_>>());
    assert_eq!(head.n, 9);
}

#[tokio::test]
async fn no_line_can_be_changed_taken_out_or_put_in() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 0, 6).await;
    let path = files(&folder.path().join(FOLDER)).unwrap().remove(0);
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let join = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let changed = |place: usize, line: &str| {
        let mut lines = lines.clone();
        if let Some(old) = lines.get_mut(place) {
            *old = line;
        }
        join(&lines)
    };
    let other = lines.get(2).unwrap().replace("read", "list");
    let mut without = lines.clone();
    without.remove(3);
    let mut doubled = lines.clone();
    doubled.insert(3, lines.get(2).unwrap());
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    for text in
        [changed(2, &other), join(&without), join(&doubled), join(&swapped), changed(4, "{}")]
    {
        std::fs::write(&path, text).unwrap();
        let damaged = all(folder.path()).unwrap_err();
        assert!(matches!(damaged, AuditError::Damaged { .. }), "{damaged}");
        assert!(Log::open(folder.path()).is_err(), "nothing is added to a log that is damaged");
    }
    // That the end is gone can only be told by who kept a hash of it.
    let (_, head) = {
        std::fs::write(&path, &whole).unwrap();
        all(folder.path()).unwrap()
    };
    std::fs::write(&path, join(lines.split_last().unwrap().1)).unwrap();
    assert_ne!(all(folder.path()).unwrap().1, head);
}

#[tokio::test]
async fn a_line_that_was_cut_off_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 0, 3).await;
    let path = files(&folder.path().join(FOLDER)).unwrap().remove(0);
    let whole = std::fs::read(&path).unwrap();
    let last =
        whole.len() - 1 - whole.iter().rev().skip(1).position(|byte| *byte == b'\n').unwrap();
    for cut in [last + 1, last + 40, whole.len() - 1] {
        std::fs::write(&path, whole.get(..cut).unwrap()).unwrap();
        let (entries, head) = all(folder.path()).unwrap();
        assert_eq!((entries.len(), head.n), (2, 2), "cut at {cut}");
        written(folder.path(), 7, 8).await;
        let (entries, _) = all(folder.path()).unwrap();
        assert_eq!(entries.last().map(|entry| entry.event.clone()), Some(event(7)));
        assert_eq!(entries.len(), 3);
    }
}

#[tokio::test]
async fn a_clock_that_was_ahead_breaks_no_chain() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 0, 3).await;
    let path = files(&folder.path().join(FOLDER)).unwrap().remove(0);
    // So it would be called had the clock been ahead; and so what somebody put there.
    std::fs::rename(&path, path.with_file_name("2999-01.jsonl")).unwrap();
    std::fs::write(path.with_file_name("notes.jsonl"), "no entry").unwrap();
    written(folder.path(), 3, 6).await;
    let (entries, head) = all(folder.path()).unwrap();
    assert_eq!((entries.len(), head.n), (6, 6));
    let times: Vec<_> = entries.iter().map(|entry| entry.at.as_str()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn refusals_too_many_are_counted_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path()).unwrap();
    for n in 0..5_000 {
        log.refused(Event { denied: "no".into(), ..event(n) });
    }
    // A read is recorded whatever was refused before it; it may have to come back while they are written.
    while log.record(event(1)).await.is_err() {
        tokio::task::yield_now().await;
    }
    while log.record(event(2)).await.is_err() {}
    drop(log);
    let (entries, _) = all(folder.path()).unwrap();
    let refused = entries.iter().filter(|entry| !entry.event.denied.is_empty()).count() as u64;
    let counted: u64 = entries.iter().map(|entry| entry.unrecorded).sum();
    assert_eq!(refused + counted, 5_000);
    assert!(counted > 0);
}

#[test]
fn a_long_text_is_cut() {
    let event = Event { target: "ü".repeat(1_000), ..Event::default() }.cut();
    assert_eq!(event.target, "ü".repeat(256));
}
