//! Notes: what others than the server do with a data folder, as `waag backup`, while a server may be writing the
//! log. They leave `audit/NAME.note`, an [`Event`] as JSON, and the server records it, within seconds or when it
//! starts, and removes it: so that one alone writes the log. One that is killed in between records it twice.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::log::Log;
use super::{Event, FOLDER};
use crate::disk::plain;

const EXTENSION: &str = "note";
/// Notes taken up at one look; the rest the next time.
const NOTES_MAX: usize = 100;
/// Of texts of 512 bytes each, escaped.
const NOTE_BYTES_MAX: u64 = 16 << 10;

/// Leaves a note of `event` in a data folder; it is on disk when this returns.
///
/// # Errors
/// As the file system gives them.
pub fn leave(data_dir: &Path, event: Event) -> io::Result<()> {
    let folder = data_dir.join(FOLDER);
    if !folder.is_dir() {
        plain::call(|| std::fs::DirBuilder::new().mode(0o700).create(&folder))?;
        plain::own_as_parent(&folder)?;
        plain::sync_folder(data_dir)?;
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let path = folder.join(format!("{:016x}.{EXTENSION}", u64::from_le_bytes(random)));
    let part = path.with_added_extension("part");
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut file = plain::call(|| options.open(&part))?;
    plain::write_all(&mut file, &serde_json::to_vec(&event.cut())?)?;
    plain::own_as_parent(&part)?;
    plain::call(|| file.sync_all())?;
    plain::call(|| std::fs::rename(&part, &path))?;
    plain::sync_folder(&folder)
}

/// Records the notes in a data folder, and removes those that are on disk then.
pub async fn take_up(data_dir: &Path, log: &Log) {
    let folder = data_dir.join(FOLDER);
    let read = tokio::task::spawn_blocking(move || notes(&folder)).await;
    for (path, event) in read.unwrap_or_default() {
        if log.record(event).await.is_err() {
            return;
        }
        let removed = tokio::task::spawn_blocking(move || {
            let removed = plain::call(|| std::fs::remove_file(&path));
            removed.map_err(|error| (path, error))
        });
        if let Ok(Err((path, error))) = removed.await {
            tracing::error!(path = %path.display(), %error, "a note is recorded and not removed");
            return;
        }
    }
}

/// The notes in the folder of the log. What cannot be read is told in its place.
fn notes(folder: &Path) -> Vec<(PathBuf, Event)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_note = |path: &PathBuf| path.extension().is_some_and(|of| of == EXTENSION);
    let read = |path: PathBuf| {
        let event = note(&path).unwrap_or_else(|error| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Event::of_server("note", format!("{name} cannot be read: {error}"))
        });
        (path, event)
    };
    paths.filter(is_note).take(NOTES_MAX).map(read).collect()
}

fn note(path: &Path) -> io::Result<Event> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    io::Read::read_to_end(&mut io::Read::take(file, NOTE_BYTES_MAX), &mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::check::read;
    use crate::disk::plain::faults::at_each_call;

    fn event() -> Event {
        Event::of_server("backup", "to /backup")
    }

    async fn recorded(data: &Path) -> Vec<Event> {
        let log = Log::open(data).unwrap();
        take_up(data, &log).await;
        drop(log);
        let mut events = Vec::new();
        read(&data.join(FOLDER), |entry, _| events.push(entry.event.clone())).unwrap();
        events
    }

    #[tokio::test]
    async fn a_note_is_recorded_once_and_what_is_none_is_told() {
        let data = tempfile::tempdir().unwrap();
        leave(data.path(), event()).unwrap();
        assert_eq!(recorded(data.path()).await, [event()]);
        assert_eq!(recorded(data.path()).await, [event()], "it has gone");
        std::fs::write(data.path().join("audit/x.note"), "{").unwrap();
        std::fs::write(data.path().join("audit/y.note.part"), "{").unwrap();
        let events = recorded(data.path()).await;
        assert_eq!(events.len(), 2);
        assert!(events.last().unwrap().target.contains("x.note cannot be read"), "{events:?}");
        assert!(!data.path().join("audit/x.note").exists());
    }

    #[test]
    fn a_call_that_fails_leaves_a_note_or_none() {
        let failed = at_each_call(|fault| {
            let data = tempfile::tempdir().unwrap();
            let (left, was_met) = fault.during(|| leave(data.path(), event()));
            assert_eq!(left.is_err(), was_met);
            let found: Vec<_> = notes(&data.path().join(FOLDER)).into_iter().collect();
            assert!(found.iter().all(|(_, found)| *found == event()), "{found:?}");
            assert!(was_met || found.len() == 1);
        });
        assert_eq!(failed, 2 * 7);
    }
}
