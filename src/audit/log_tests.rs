//! A disk that fails while the log is written: nobody is answered on what is not there, and it goes on.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::disk::plain::faults::at_each_call;

fn event(n: u32) -> Event {
    Event::of_server("test", n.to_string())
}

/// What the log in a data folder holds.
fn targets(data: &Path) -> Vec<String> {
    let mut targets = Vec::new();
    let (_, torn) =
        read(&data.join(FOLDER), |entry, _| targets.push(entry.event.target.clone())).unwrap();
    assert_eq!(torn, None);
    targets
}

#[test]
fn a_call_that_fails_is_told_by_name_and_an_entry_is_there_or_not() {
    // A new log; one that goes on; one that a kill ended within a line.
    for had in ["", "1", "torn"] {
        let failed = at_each_call(|fault| {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path();
            if !had.is_empty() {
                append(data, event(1)).unwrap();
            }
            if had == "torn" {
                let path = files(&data.join(FOLDER)).unwrap().remove(0);
                let mut text = std::fs::read(&path).unwrap();
                text.extend_from_slice(b"{\"n\":2,");
                std::fs::write(path, text).unwrap();
            }
            let (written, was_met) = fault.during(|| append(data, event(2)));
            assert_eq!(written.is_err(), was_met);
            if let Err(error) = written {
                let told = error.to_string();
                assert!(told.contains(data.join(FOLDER).to_str().unwrap()), "{told}");
            } else {
                assert_eq!(targets(data).last().map(String::as_str), Some("2"));
            }
            // It goes on, with every entry that was told to be written, and no other.
            append(data, event(3)).unwrap();
            let of = |n: &str| targets(data).iter().filter(|target| *target == n).count();
            assert_eq!(of("1"), usize::from(!had.is_empty()));
            assert_eq!(of("2"), usize::from(!was_met));
            assert_eq!(of("3"), 1);
        });
        let calls = match had {
            // The folder, the one above, the file, its name, the line, its sync.
            "" => 6,
            // And what is there.
            "1" => 7,
            _ => 9,
        };
        assert_eq!(failed, 2 * calls, "{had:?}");
    }
}

#[test]
fn who_waits_for_an_entry_that_fails_learns_it_and_refusals_stay_counted() {
    let failed = at_each_call(|fault| {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path()).unwrap();
        writer.write(&[Item { event: event(1), synced: None }]).unwrap();
        let unrecorded = Arc::clone(&writer.unrecorded);
        let (items, received) = bounded(4);
        let (synced, mut is_synced) = oneshot::channel();
        items.send(Item { event: event(2), synced: Some(synced) }).unwrap();
        items.send(Item { event: event(3), synced: None }).unwrap();
        drop(items);
        let ((), was_met) = fault.during(|| writer.run(&received));
        assert_eq!(is_synced.try_recv().is_ok(), !was_met);
        assert_eq!(unrecorded.load(Ordering::Relaxed), u64::from(was_met));
        append(folder.path(), event(4)).unwrap();
        let expected: &[&str] = if was_met { &["1", "4"] } else { &["1", "2", "3", "4"] };
        assert_eq!(targets(folder.path()), expected);
    });
    assert_eq!(failed, 4, "the lines and their sync");
}

#[test]
fn nothing_is_recorded_any_more_once_the_file_was_taken_away_or_cut() {
    type Harm = fn(&Path) -> std::io::Result<()>;
    let harms: [Harm; 3] = [
        |path| std::fs::remove_file(path),
        |path| OpenOptions::new().write(true).open(path)?.set_len(1),
        |path| {
            let copy = path.with_extension("copy");
            std::fs::copy(path, &copy)?;
            std::fs::rename(copy, path)
        },
    ];
    for harm in harms {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path()).unwrap();
        let item = |n| [Item { event: event(n), synced: None }];
        writer.write(&item(1)).unwrap();
        writer.write(&item(2)).unwrap();
        let path = files(&folder.path().join(FOLDER)).unwrap().remove(0);
        let aside = path.with_extension("aside");
        std::fs::hard_link(&path, &aside).unwrap();
        let whole = std::fs::read(&path).unwrap();
        harm(&path).unwrap();
        assert!(writer.write(&item(3)).is_err());
        // Until what was there is back.
        std::fs::write(&aside, whole).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        std::fs::remove_file(&aside).ok();
        writer.write(&item(4)).unwrap();
        assert_eq!(targets(folder.path()), ["1", "2", "4"]);
    }
}
