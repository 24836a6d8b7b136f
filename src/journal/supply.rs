//! Makes segments ready before they are needed, so that space is found, or found missing, here and
//! never at an append.
//!
//! A segment is ready when its file stands there under another name (`.preparing`), allocated,
//! full of zeros and synced. One thread does it, or, for runs that must repeat exactly, the
//! committer's own ([`super::Options::prepare_in_background`]). A full disk is tried again every
//! [`RETRY_EVERY`]; any other error ends the journal. No more are made than there may be
//! ([`super::Options::segments_max`]) until older ones are removed.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::disk::{AlignedBuffer, Disk, DiskFile, is_disk_full};

use super::error::{JournalError, io_error};
use super::frame::{PREPARING_SUFFIX, offset_of};
use super::room::Room;

/// How long a full disk is left alone: long enough to cost nothing, short enough that freed space
/// is found before a client has given up.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Zeros are written in pieces of this many pages (1 MiB).
const PREFILL_PAGES: u32 = 256;

/// A file that can become a segment.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) pages: u32,
}

/// What to make ready.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) room: Room,
    /// Pages of a segment.
    pub(super) pages: u32,
    /// How many of them a new segment lets be promised.
    pub(super) promisable: u32,
    /// How many segments stand ready.
    pub(super) ahead: usize,
    /// How many there may be, those that stand ready included.
    pub(super) segments_max: u64,
    /// What stays free on the disk.
    pub(super) reserve_bytes: u64,
    /// Write the zeros as well as allocating them.
    pub(super) prefill: bool,
}

impl Plan {
    /// Makes a file of zeros, where the disk has room for it beside the reserve.
    fn prepare(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if self.reserve_bytes > 0 {
            let needed = offset_of(self.pages).saturating_add(self.reserve_bytes);
            if self.disk.free_bytes(&self.dir)? < needed {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        prepare(&*self.disk, path, self.pages, self.prefill)
    }
}

/// How many segments are in use, and the way to tell that there are fewer.
#[derive(Debug, Clone)]
pub(super) struct Held(Arc<HeldCount>);

#[derive(Debug)]
struct HeldCount {
    segments: AtomicU64,
    /// Told when there are fewer.
    waiting: Mutex<Weak<Shared>>,
}

impl Held {
    pub(super) fn of(segments: u64) -> Self {
        let waiting = Mutex::new(Weak::new());
        Self(Arc::new(HeldCount { segments: AtomicU64::new(segments), waiting }))
    }

    /// A segment was removed.
    pub(super) fn removed(&self) {
        self.0.segments.fetch_sub(1, Ordering::AcqRel);
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(shared) = waiting {
            // Taken, so that whoever is about to wait does so before it is told.
            drop(shared.lock());
            shared.plan.room.set_held_up(false);
            shared.changed.notify_all();
        }
    }
}

/// Where ready segments are taken from.
#[derive(Debug)]
pub(super) struct Supply {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    held: Held,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Prepared>,
    /// For the names of the files.
    made: u64,
    failure: Option<JournalError>,
    stop: bool,
}

impl Supply {
    /// Starts making segments ready; the first is ready when this returns, unless the disk is full.
    ///
    /// # Errors
    /// Any I/O error but a full disk.
    pub(super) fn start(plan: Plan, held: Held, in_background: bool) -> Result<Self, JournalError> {
        let (state, changed) = (Mutex::new(State::default()), Condvar::new());
        let shared = Arc::new(Shared { plan, held, state, changed });
        let waiting = Arc::downgrade(&shared);
        *shared.held.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
        let thread = if in_background {
            if !shared.is_held_up(&shared.lock()) {
                shared.prepare_one()?;
            }
            let shared = Arc::clone(&shared);
            let named = std::thread::Builder::new().name("journal-segments".to_owned());
            let dir = shared.plan.dir.clone();
            let spawned = named.spawn(move || shared.run());
            Some(spawned.map_err(io_error("starting the thread that prepares segments in", &dir))?)
        } else {
            None
        };
        let supply = Self { shared, thread };
        supply.poll()?;
        Ok(supply)
    }

    /// To be called now and then: makes segments ready where no thread does, and tells what has
    /// gone wrong.
    ///
    /// # Errors
    /// Any I/O error but a full disk, once.
    pub(super) fn poll(&self) -> Result<(), JournalError> {
        if self.thread.is_none() {
            while self.shared.wants_one(&self.shared.lock()) {
                if !self.shared.prepare_one()? {
                    break;
                }
            }
        }
        self.shared.lock().failure.take().map_or(Ok(()), Err)
    }

    /// A ready segment.
    pub(super) fn take(&self) -> Option<Prepared> {
        let taken = {
            let mut state = self.shared.lock();
            let taken = state.ready.pop_front();
            self.shared.held.0.segments.fetch_add(u64::from(taken.is_some()), Ordering::AcqRel);
            taken
        };
        self.shared.changed.notify_all();
        taken
    }

    /// How many are in use.
    pub(super) fn held(&self) -> Held {
        self.shared.held.clone()
    }

    /// Stops, and removes what stands ready.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn end(mut self) -> Result<(), JournalError> {
        self.stop();
        self.poll()?;
        let ready = std::mem::take(&mut self.shared.lock().ready);
        for prepared in ready {
            let removed = self.shared.plan.disk.remove(&prepared.path);
            removed.map_err(io_error("removing", &prepared.path))?;
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // Should it have panicked, nothing of it is needed any more.
            let _ = thread.join();
        }
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another one is to be made ready.
    fn wants_one(&self, state: &State) -> bool {
        state.ready.len() < self.plan.ahead && !self.is_held_up(state)
    }

    /// Whether there are as many as there may be. Told in the room, so that whoever finds none knows.
    fn is_held_up(&self, state: &State) -> bool {
        let held = self.held.0.segments.load(Ordering::Acquire) + state.ready.len() as u64;
        let is_held_up = held >= self.plan.segments_max;
        if self.plan.room.set_held_up(is_held_up) && is_held_up {
            tracing::debug!(
                segments = held,
                "there are as many segments as there may be: others are made when older ones are gone"
            );
        }
        is_held_up
    }

    fn run(&self) {
        loop {
            let state = self.lock();
            let waited =
                self.changed.wait_while(state, |state| !state.stop && !self.wants_one(state));
            if waited.unwrap_or_else(PoisonError::into_inner).stop {
                return;
            }
            match self.prepare_one() {
                Ok(true) => {}
                Ok(false) => {
                    let state = self.lock();
                    let waited =
                        self.changed.wait_timeout_while(state, RETRY_EVERY, |state| !state.stop);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
                Err(error) => {
                    self.lock().failure = Some(error);
                    return;
                }
            }
        }
    }

    /// Makes one segment ready; `false` where the disk is full.
    fn prepare_one(&self) -> Result<bool, JournalError> {
        let plan = &self.plan;
        let made = {
            let mut state = self.lock();
            state.made += 1;
            state.made
        };
        let path = plan.dir.join(format!("{made:020}{PREPARING_SUFFIX}"));
        match plan.prepare(&path) {
            Ok(file) => {
                self.lock().ready.push_back(Prepared { path, file, pages: plan.pages });
                // After the segment can be taken, so that what is promised is there.
                if plan.room.set_disk_full(false) {
                    tracing::warn!("the disk has space for a segment again: lodging goes on");
                }
                plan.room.add(plan.promisable);
                Ok(true)
            }
            Err(error) if is_disk_full(&error) => {
                if plan.room.set_disk_full(true) {
                    tracing::warn!(
                        segment_bytes = offset_of(plan.pages),
                        reserve_bytes = plan.reserve_bytes,
                        folder = %plan.dir.display(),
                        "the disk has no space for another segment: lodging stops when those there \
                         are full, and goes on once there is space for one"
                    );
                }
                Ok(false)
            }
            Err(error) => {
                plan.room.poison();
                Err(io_error("preparing", &path)(error))
            }
        }
    }
}

/// Makes a file of zeros.
pub(super) fn prepare(
    disk: &dyn Disk,
    path: &Path,
    pages: u32,
    prefill: bool,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(path, offset_of(pages))?;
    if prefill && let Err(error) = fill(&*file, pages) {
        if is_disk_full(&error) {
            disk.remove(path)?;
        }
        return Err(error);
    }
    Ok(file)
}

fn fill(file: &dyn DiskFile, pages: u32) -> io::Result<()> {
    let zeros = AlignedBuffer::new(PREFILL_PAGES as usize);
    let mut page = 0;
    while page < pages {
        let now = PREFILL_PAGES.min(pages - page);
        let bytes = usize::try_from(offset_of(now)).unwrap_or(usize::MAX);
        file.write_at(offset_of(page), zeros.bytes().get(..bytes).unwrap_or_default())?;
        page += now;
    }
    file.sync_data()
}
