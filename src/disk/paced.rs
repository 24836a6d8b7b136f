//! A disk whose caller gets on only as far as it is let, for tests: whoever lets it does something else
//! between its calls, at places that a seed decides.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{Access, AppendFile, Disk, DiskFile, Entry, LocalDisk, PartsFile};

/// Who is at it: the thread whose calls are paced, or the one that paces them.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    granted: u64,
    is_waiting: bool,
    is_over: bool,
    /// Nobody paces any more.
    is_free: bool,
    /// And all calls fail.
    is_cut: bool,
}

/// Ends what it was made of when it goes, however that comes about.
pub(crate) struct Ends<'a>(&'a Turns, fn(&mut State));

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.1(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.changed.notify_all();
    }
}

impl Turns {
    /// To be held by the paced thread, from its first call to its last.
    pub(crate) fn paced(&self) -> Ends<'_> {
        Ends(self, |state| state.is_over = true)
    }

    /// To be held by the one that paces it.
    pub(crate) fn pacing(&self) -> Ends<'_> {
        Ends(self, |state| state.is_free = true)
    }

    /// Lets the paced thread make `calls` calls, and returns when it waits for the next one. False once it
    /// is over.
    pub(crate) fn give(&self, calls: u64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.granted = calls;
        self.changed.notify_all();
        let is_at_it =
            |state: &mut State| !state.is_over && (state.granted > 0 || !state.is_waiting);
        let state = self.changed.wait_while(state, is_at_it);
        !state.unwrap_or_else(PoisonError::into_inner).is_over
    }

    /// Has the paced thread go on, and all its calls fail from here on.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.is_free, state.is_cut) = (true, true);
        self.changed.notify_all();
    }

    fn take(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_waiting = true;
        self.changed.notify_all();
        let waits = |state: &mut State| state.granted == 0 && !state.is_free;
        let waited = self.changed.wait_while(state, waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_waiting = false;
        state.granted = state.granted.saturating_sub(1);
        if state.is_cut { Err(io::Error::other("cut off")) } else { Ok(()) }
    }
}

/// The disk of the paced thread.
#[derive(Debug, Clone)]
pub(crate) struct PacedDisk {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) turns: Arc<Turns>,
    /// What is in the first folder is in the second one, which is a real one.
    pub(crate) elsewhere: Option<(PathBuf, PathBuf)>,
}

impl PacedDisk {
    fn at(&self, path: &Path) -> io::Result<(Arc<dyn Disk>, PathBuf)> {
        self.turns.take()?;
        if let Some((folder, real)) = &self.elsewhere
            && let Ok(within) = path.strip_prefix(folder)
        {
            return Ok((Arc::new(LocalDisk::new()), real.join(within)));
        }
        Ok((Arc::clone(&self.disk), path.to_owned()))
    }
}

impl Disk for PacedDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let (disk, dir) = self.at(dir)?;
        disk.create_dir(&dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let (disk, dir) = self.at(dir)?;
        disk.list(&dir)
    }

    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        let (disk, dir) = self.at(dir)?;
        disk.list_dirs(&dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let (disk, dir) = self.at(dir)?;
        disk.remove_dir(&dir)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let (disk, path) = self.at(path)?;
        disk.append(&path)
    }

    fn open_parts(&self, path: &Path) -> io::Result<Arc<dyn PartsFile>> {
        let (disk, path) = self.at(path)?;
        let file = disk.open_parts(&path)?;
        Ok(Arc::new(PacedFile { file, turns: Arc::clone(&self.turns) }))
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let (disk, path) = self.at(path)?;
        let file = disk.create(&path, bytes)?;
        Ok(Arc::new(PacedFile { file, turns: Arc::clone(&self.turns) }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let (disk, path) = self.at(path)?;
        let file = disk.open(&path, access)?;
        Ok(Arc::new(PacedFile { file, turns: Arc::clone(&self.turns) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (disk, from) = self.at(from)?;
        disk.rename(&from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (disk, path) = self.at(path)?;
        disk.remove(&path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let (disk, dir) = self.at(dir)?;
        disk.sync_dir(&dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let (disk, dir) = self.at(dir)?;
        disk.free_bytes(&dir)
    }

    fn read_small(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let (disk, path) = self.at(path)?;
        disk.read_small(&path, bytes_max)
    }

    fn write_small(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (disk, path) = self.at(path)?;
        disk.write_small(&path, bytes)
    }
}

#[derive(Debug)]
struct PacedFile<F: ?Sized> {
    turns: Arc<Turns>,
    file: Arc<F>,
}

impl DiskFile for PacedFile<dyn DiskFile> {
    fn len(&self) -> io::Result<u64> {
        self.turns.take()?;
        self.file.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.turns.take()?;
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.turns.take()?;
        self.file.write_at(offset, bytes)
    }

    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.turns.take()?;
        self.file.write_durable_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.turns.take()?;
        self.file.sync_data()
    }
}

impl PartsFile for PacedFile<dyn PartsFile> {
    fn len(&self) -> io::Result<u64> {
        self.turns.take()?;
        self.file.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.turns.take()?;
        self.file.read_at(offset, into)
    }
}
