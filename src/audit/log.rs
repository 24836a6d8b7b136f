//! Writing the log: one thread, which syncs what has gathered and then lets those go on who wait.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::num::NonZeroU32;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crossbeam::channel::{Receiver, Sender, bounded};
use governor::clock::MonotonicClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::oneshot;

use super::check::{AuditError, Head, MONTH_CHARACTERS, files, read};
use super::{Entry, Event, FOLDER, Hash, UNKNOWN};
use crate::disk::plain;

/// Entries that wait to be written.
const WAITING_MAX: usize = 1_024;
/// Refusals of clients recorded in a second: more than any does by mistake.
const REFUSALS_PER_S_MAX: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// Of callers who are not known, each some 400 bytes: 350 MB a day, whatever is sent. Past these they do not get in the
/// way of what has to be recorded.
const STRANGERS_PER_S_MAX: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// What an entry could not be.
#[derive(Debug, thiserror::Error)]
#[error("the audit log cannot be written, so nothing is read")]
pub struct NotRecorded;

struct Item {
    event: Event,
    /// Told once it is synced; nobody waits for a refusal.
    synced: Option<oneshot::Sender<()>>,
}

/// The log of a running server. Clones write to the same; it ends when the last one goes.
#[derive(Debug, Clone)]
pub struct Log {
    items: Sender<Item>,
    refusals: Arc<Refusals>,
    strangers: Arc<Refusals>,
    unrecorded: Arc<AtomicU64>,
}

type Refusals = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

impl Log {
    /// Goes on with the log in a data folder, every hash of which is checked.
    ///
    /// # Errors
    /// Where it cannot be read or written, or is not what was written.
    pub fn open(data_dir: &Path) -> Result<Self, AuditError> {
        let writer = Writer::open(data_dir)?;
        let unrecorded = Arc::clone(&writer.unrecorded);
        let (items, received) = bounded(WAITING_MAX);
        let folder = writer.folder.clone();
        std::thread::Builder::new()
            .name("waag-audit".into())
            .spawn(move || writer.run(&received))
            .map_err(|source| AuditError::Io { path: folder, source })?;
        let limit = |per_s| {
            Arc::new(RateLimiter::direct_with_clock(Quota::per_second(per_s), MonotonicClock))
        };
        let (refusals, strangers) = (limit(REFUSALS_PER_S_MAX), limit(STRANGERS_PER_S_MAX));
        Ok(Self { items, refusals, strangers, unrecorded })
    }

    /// Records an event; it is on disk when this returns.
    ///
    /// # Errors
    /// Where it is not.
    pub async fn record(&self, event: Event) -> Result<(), NotRecorded> {
        let (synced, is_synced) = oneshot::channel();
        let item = Item { event, synced: Some(synced) };
        // Full only where the disk is far behind: whoever reads may come back.
        self.items.try_send(item).map_err(|_| NotRecorded)?;
        is_synced.await.map_err(|_| NotRecorded)
    }

    /// Records that somebody was refused, soon. Too many are counted; false for one of these.
    pub fn refused(&self, event: Event) -> bool {
        let limit = if event.who == UNKNOWN { &self.strangers } else { &self.refusals };
        let is_recorded =
            limit.check().is_ok() && self.items.try_send(Item { event, synced: None }).is_ok();
        if !is_recorded {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
        }
        is_recorded
    }
}

/// Records an event in the log of a data folder that no server uses; it is on disk when this returns.
///
/// # Errors
/// As [`Log::open`] has them, and where it is not.
pub fn append(data_dir: &Path, event: Event) -> Result<(), AuditError> {
    Writer::open(data_dir)?.write(&[Item { event, synced: None }])
}

struct Writer {
    folder: PathBuf,
    head: Head,
    /// The file with the last entry.
    newest: Option<PathBuf>,
    /// When the last entry was written: a clock that goes back writes no earlier one.
    at: String,
    /// The file that is open, and the length of what is synced in it.
    file: Option<(PathBuf, File, u64)>,
    unrecorded: Arc<AtomicU64>,
}

impl Writer {
    /// Opens the log in a data folder, every hash of which is checked.
    fn open(data_dir: &Path) -> Result<Self, AuditError> {
        let folder = data_dir.join(FOLDER);
        let io = |source| AuditError::Io { path: folder.clone(), source };
        let make = || std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        plain::call(make).map_err(io)?;
        plain::sync_folder(data_dir).map_err(io)?;
        let mut at = String::new();
        let (head, torn) = read(&folder, |entry, _| at.clone_from(&entry.at))?;
        let newest = files(&folder)?.pop();
        if let Some(newest) = &newest {
            // Whole lines may be there that were never synced: from here on they count.
            let sync = plain::call(|| File::open(newest)?.sync_all());
            sync.map_err(|source| AuditError::Io { path: newest.clone(), source })?;
        }
        if let Some(torn) = torn {
            // It was never synced, so nobody was answered on it.
            let cut = OpenOptions::new().write(true).open(&torn.path);
            let cut = cut.and_then(|file| {
                plain::call(|| file.set_len(torn.whole))?;
                plain::call(|| file.sync_all())
            });
            cut.map_err(|source| AuditError::Io { path: torn.path, source })?;
        }
        let unrecorded = Arc::new(AtomicU64::new(0));
        Ok(Self { folder, head, newest, at, file: None, unrecorded })
    }

    fn run(mut self, items: &Receiver<Item>) {
        while let Ok(first) = items.recv() {
            let taken: Vec<_> =
                std::iter::once(first).chain(items.try_iter().take(WAITING_MAX)).collect();
            match self.write(&taken) {
                Ok(()) => {
                    for synced in taken.into_iter().filter_map(|item| item.synced) {
                        // Whoever asked may have gone.
                        let _ = synced.send(());
                    }
                }
                // Those who wait learn from their closed channel that nothing was recorded.
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "audit log");
                    let refused = taken.iter().filter(|item| item.synced.is_none()).count();
                    self.unrecorded.fetch_add(refused as u64, Ordering::Relaxed);
                }
            }
        }
    }

    fn write(&mut self, items: &[Item]) -> Result<(), AuditError> {
        let at = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        let at = format!("{at:.3}").max(self.at.clone());
        let month = at.get(..MONTH_CHARACTERS).unwrap_or_default();
        // Files are read in the order of their names, also where the clock was ahead once.
        let path = self.folder.join(format!("{month}.jsonl"));
        let path = self.newest.clone().map_or(path.clone(), |newest| newest.max(path));
        let io = |source| AuditError::Io { path: path.clone(), source };
        let unrecorded = self.unrecorded.swap(0, Ordering::Relaxed);
        let (mut text, mut head) = (Vec::new(), self.head);
        for (number, item) in items.iter().enumerate() {
            let entry = Entry {
                n: head.n + 1,
                at: at.clone(),
                event: item.event.clone().cut(),
                unrecorded: if number == 0 { unrecorded } else { 0 },
                prev: head.hash,
            };
            let line = serde_json::to_vec(&entry).map_err(|error| io(error.into()))?;
            head = Head { n: entry.n, hash: Hash::of(&line) };
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        let written = self.append(&path, &text);
        match written {
            Ok(()) => (self.head, self.at, self.newest) = (head, at, Some(path)),
            Err(source) => {
                self.unrecorded.fetch_add(unrecorded, Ordering::Relaxed);
                // Nobody is answered on what may be there. Where it cannot be cut off now, it is before
                // anything is written again.
                let _ = self.cut_back();
                return Err(AuditError::Io { path, source });
            }
        }
        Ok(())
    }

    /// Cuts off what was written after the last sync that succeeded.
    fn cut_back(&mut self) -> std::io::Result<()> {
        match &self.file {
            Some((_, file, length)) if file.metadata()?.len() > *length => {
                plain::call(|| file.set_len(*length))?;
                plain::call(|| file.sync_all())
            }
            _ => Ok(()),
        }
    }

    /// Whether what was written is still there under its name: nobody may be answered on entries that went with
    /// a file that was taken away, or cut by others.
    fn is_there(&self) -> std::io::Result<()> {
        let Some((path, file, length)) = &self.file else { return Ok(()) };
        let (named, open) = (std::fs::metadata(path)?, file.metadata()?);
        let told = if (named.dev(), named.ino()) != (open.dev(), open.ino()) {
            "another file is in the place of the one that was written to: put it back and restart"
        } else if open.len() < *length {
            "it is shorter than what was written to it: put it back and restart"
        } else {
            return Ok(());
        };
        Err(std::io::Error::other(told))
    }

    /// Appends to a month's file and syncs it.
    fn append(&mut self, path: &Path, text: &[u8]) -> std::io::Result<()> {
        self.is_there()?;
        self.cut_back()?;
        if self.file.as_ref().is_none_or(|(open, ..)| open != path) {
            let mut options = OpenOptions::new();
            let options = options.create(true).truncate(false).write(true).mode(0o600);
            let file = plain::call(|| options.open(path))?;
            plain::sync_folder(&self.folder)?;
            let length = file.metadata()?.len();
            self.file = Some((path.to_owned(), file, length));
        }
        let Some((_, file, length)) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(*length))?;
        plain::write_all(file, text)?;
        plain::call(|| file.sync_data())?;
        *length += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
