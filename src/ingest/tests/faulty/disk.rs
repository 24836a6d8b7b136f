//! The real disk, which notes what it was asked for and fails when it is told to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use crate::disk::{Access, AppendFile, Disk, DiskFile, Entry, LocalDisk, PAGE_BYTES, PartsFile};

/// What fails from now on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Durable writes, after so many of their pages have been written.
    Writing { pages: usize },
    /// Making files.
    Creating(Errno),
    /// Making runs of so many records and more.
    CreatingRunsOf(u64, Errno),
}

#[derive(Debug)]
pub(super) struct FaultyDisk {
    inner: LocalDisk,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    failures: usize,
    dirs: Vec<PathBuf>,
}

impl FaultyDisk {
    pub(super) fn new() -> Self {
        Self { inner: LocalDisk::new(), state: Arc::default() }
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.state.lock().unwrap().fault = Some(fault);
    }

    pub(super) fn mend(&self) {
        self.state.lock().unwrap().fault = None;
    }

    /// How many calls have failed.
    pub(super) fn failures(&self) -> usize {
        self.state.lock().unwrap().failures
    }

    /// The folders it was asked to make.
    pub(super) fn dirs(&self) -> Vec<PathBuf> {
        self.state.lock().unwrap().dirs.clone()
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { inner: file, state: Arc::clone(&self.state) })
    }
}

/// Of how many records a run is, by its name.
pub(super) fn records_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let [first, last] = [name.get(..20)?, name.get(21..41)?].map(|number| number.parse::<u64>());
    Some(last.ok()? + 1 - first.ok()?)
}

impl Disk for FaultyDisk {
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.inner.free_bytes(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.state.lock().unwrap().dirs.push(dir.to_owned());
        self.inner.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }

    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list_dirs(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.inner.append(path)
    }

    fn open_parts(&self, path: &Path) -> io::Result<Arc<dyn PartsFile>> {
        self.inner.open_parts(path)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock().unwrap();
        let failing = match state.fault {
            Some(Fault::Creating(error)) => Some(error),
            Some(Fault::CreatingRunsOf(records, error)) => {
                records_of(path).is_some_and(|of| of >= records).then_some(error)
            }
            _ => None,
        };
        if let Some(error) = failing {
            state.failures += 1;
            return Err(error.into());
        }
        Ok(self.wrap(self.inner.create(path, bytes)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.inner.open(path, access)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn read_small(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.inner.read_small(path, bytes_max)
    }

    fn write_small(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_small(path, bytes)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    state: Arc<Mutex<State>>,
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, bytes)
    }

    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if let Some(Fault::Writing { pages }) = state.fault {
            state.failures += 1;
            let written = pages.saturating_mul(PAGE_BYTES).min(bytes.len());
            self.inner.write_durable_at(offset, &bytes[..written])?;
            return Err(Errno::IO.into());
        }
        self.inner.write_durable_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }
}
