//! A disk in memory that behaves as badly as the seam allows ([`super`]), for tests.
//!
//! - [`SimulatedDisk::crash`] cuts the power: of every page written but not synced one of its
//!   states since the last sync remains, a file that was appended to ends anywhere between its
//!   length at the last sync and now, and each name that was made, moved or removed since its
//!   folder was synced is there or not; so is a folder whose making failed, with all that was put
//!   into it. Files that were open are no longer.
//! - [`SimulatedDisk::kill`] ends the process alone: nothing is lost yet, nor any safer.
//! - Faults: an error at the n-th call, the power cut in the middle of the n-th call, no space,
//!   a flipped bit.
//!
//! All chances come from one seed, so that a run can be repeated. Addresses, offsets and lengths
//! that a direct read or write would not take are refused here too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Access, AppendFile, Disk, DiskFile, Entry, PAGE_BYTES, PartsFile, partial_name};

mod chance;
mod file;
#[cfg(test)]
#[allow(clippy::panic, clippy::print_stdout)]
pub(crate) mod seeds;
mod sequential;
mod state;

pub use chance::Chance;
use file::SimulatedFile;
use sequential::{SimulatedAppend, SimulatedParts};
use state::{Inode, Move, State, io_error, parent, zeros};

/// What happens at a chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with EIO, having done all, some or nothing of its work.
    Error,
    /// The same with ENOSPC, where the call changes something; one that reads goes well.
    Full,
    /// The power is cut during the call: it and all later ones fail until
    /// [`SimulatedDisk::crash`].
    PowerCut,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Full => io::ErrorKind::StorageFull.into(),
            Self::Error | Self::PowerCut => io_error(),
        }
    }
}

/// A disk in memory; clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

impl SimulatedDisk {
    /// An empty disk of `capacity` bytes.
    #[must_use]
    pub fn new(seed: u64, capacity: u64) -> Self {
        let state = State {
            chance: Chance(seed),
            inodes: HashMap::new(),
            inode_next: 1,
            names: BTreeMap::new(),
            names_durable: BTreeMap::new(),
            moves: Vec::new(),
            dirs: BTreeSet::new(),
            dirs_durable: BTreeSet::new(),
            dirs_removed: BTreeSet::new(),
            capacity,
            calls: 0,
            fault: None,
            power_cut: false,
            boots: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Another disk with the same content and the same future.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().clone())) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power and gives it back: what was not synced is left to chance, faults are over.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// Ends the process that has files open; what it wrote is still in memory, unsynced.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.boots += 1;
        state.fault = None;
    }

    /// Whether a fault has cut the power, and [`SimulatedDisk::crash`] not yet been called.
    #[must_use]
    pub fn has_no_power(&self) -> bool {
        self.lock().power_cut
    }

    /// How many calls the disk has had.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Has the `n`-th call from now (0 for the next one) meet `fault`.
    pub fn fault_at(&self, n: u64, fault: Fault) {
        let mut state = self.lock();
        state.fault = Some((state.calls + n, fault));
    }

    /// Changes how many bytes all files together may have.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Cuts a file to `bytes` bytes, on the device and in memory; `false` where there is no such file
    /// or it is no longer than that.
    pub fn truncate(&self, path: &Path, bytes: u64) -> bool {
        let mut state = self.lock();
        let Some(inode) = state.names.get(path).copied() else { return false };
        let Some(inode) = state.inodes.get_mut(&inode) else { return false };
        if inode.bytes <= bytes {
            return false;
        }
        (inode.bytes, inode.bytes_durable) = (bytes, bytes);
        true
    }

    /// The paths of all files as the running system sees them.
    #[must_use]
    pub fn paths(&self) -> Vec<std::path::PathBuf> {
        self.lock().names.keys().cloned().collect()
    }

    /// Flips bit `bit` (counted from the lowest of byte 0) of the file, on the device and in
    /// memory; `false` where there is no such file or bit.
    pub fn flip(&self, path: &Path, bit: u64) -> bool {
        let mut state = self.lock();
        let Some(inode) = state.names.get(path).copied() else { return false };
        let Some(inode) = state.inodes.get_mut(&inode) else { return false };
        if bit / 8 >= inode.bytes {
            return false;
        }
        let within = usize::try_from(bit / 8 % PAGE_BYTES as u64).unwrap_or(0);
        let number = bit / 8 / PAGE_BYTES as u64;
        let newest = inode.dirty.get_mut(&number).and_then(|dirty| dirty.states.last_mut());
        for page in newest.into_iter().chain([inode.durable.entry(number).or_insert_with(zeros)]) {
            if let Some(byte) = page.get_mut(within) {
                *byte ^= 1 << (bit % 8);
            }
        }
        true
    }

    /// The whole content of a file as the running system sees it.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        let inode = state.inodes.get(state.names.get(path)?)?;
        Some(inode.content())
    }
}

impl Disk for SimulatedDisk {
    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.lock();
        Ok(state.capacity.saturating_sub(state.used()))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.call()?;
        if fault.is_none() || state.chance.hits(50) {
            state.make_dir(dir, fault.is_none());
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.lock();
        state.call_to_read()?;
        state.find_dir(dir)?;
        let names = state.names.iter().filter(|(path, _)| parent(path) == dir);
        Ok(names
            .filter_map(|(path, inode)| {
                let name = path.file_name()?.to_string_lossy().into_owned();
                Some(Entry { name, bytes: state.inodes.get(inode)?.bytes })
            })
            .collect())
    }

    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.call_to_read()?;
        state.find_dir(dir)?;
        let dirs = state.dirs.iter().filter(|path| parent(path) == dir);
        Ok(dirs.filter_map(|dir| Some(dir.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.call()?;
        state.find_dir(dir)?;
        if !state.is_empty_dir(dir) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if fault.is_none() || state.chance.hits(50) {
            state.remove_dir(dir);
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let mut state = self.lock();
        let fault = state.call()?;
        state.find_dir(parent(path))?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = state.inode_next;
        state.inode_next += 1;
        if fault.is_none() || state.chance.hits(50) {
            state.inodes.insert(number, Inode::of(0));
            state.change(Move { from: None, to: Some((path.to_owned(), number)) });
        }
        if let Some(fault) = fault {
            return Err(fault.error());
        }
        Ok(Box::new(SimulatedAppend::new(self.clone(), number, state.boots)))
    }

    fn open_parts(&self, path: &Path) -> io::Result<Arc<dyn PartsFile>> {
        let mut state = self.lock();
        state.call_to_read()?;
        let inode = state.find(path)?;
        Ok(Arc::new(SimulatedParts { disk: self.clone(), inode, boot: state.boots }))
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let fault = state.call()?;
        state.find_dir(parent(path))?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.used().saturating_add(bytes) > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = state.inode_next;
        state.inode_next += 1;
        if fault.is_none() || state.chance.hits(50) {
            state.inodes.insert(number, Inode::of(bytes));
            state.change(Move { from: None, to: Some((path.to_owned(), number)) });
        }
        if let Some(fault) = fault {
            return Err(fault.error());
        }
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            inode: number,
            boot: state.boots,
            access: Access::Write,
        }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.call_to_read()?;
        let inode = state.find(path)?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode, boot: state.boots, access }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.call()?;
        let number = state.find(from)?;
        if fault.is_none() || state.chance.hits(50) {
            let to = Some((to.to_owned(), number));
            state.change(Move { from: Some(from.to_owned()), to });
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.call()?;
        state.find(path)?;
        if fault.is_none() || state.chance.hits(50) {
            state.change(Move { from: Some(path.to_owned()), to: None });
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(fault) = state.call()? {
            return Err(fault.error());
        }
        state.sync_dir(dir);
        Ok(())
    }

    fn read_small(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut state = self.lock();
        state.call_to_read()?;
        let inode = state.find(path)?;
        let inode = state.inodes.get(&inode).ok_or(io::ErrorKind::NotFound)?;
        if inode.bytes > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(inode.content())
    }

    fn write_small(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.call()?;
        state.find_dir(parent(path))?;
        if state.used().saturating_add(bytes.len() as u64) > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = state.inode_next;
        state.inode_next += 1;
        let mut inode = Inode::of(bytes.len() as u64);
        for (number, chunk) in bytes.chunks(PAGE_BYTES).enumerate() {
            let mut page = zeros();
            page.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            inode.durable.insert(number as u64, page);
        }
        state.inodes.insert(number, inode);
        let partial = partial_name(path);
        state.change(Move { from: None, to: Some((partial.clone(), number)) });
        if fault.is_none() || state.chance.hits(50) {
            state.change(Move { from: Some(partial), to: Some((path.to_owned(), number)) });
        }
        if let Some(fault) = fault {
            return Err(fault.error());
        }
        state.sync_dir(parent(path));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::super::AlignedBuffer;
    use super::*;

    const BYTES: u64 = PAGE_BYTES as u64;

    fn filled(pages: usize, with: u8) -> AlignedBuffer {
        let mut buffer = AlignedBuffer::new(pages);
        buffer.bytes_mut().fill(with);
        buffer
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_any_part_of_the_rest() {
        let (dir, path) = (Path::new("d"), Path::new("d/f"));
        let (mut pages_seen, mut names_seen) = ([false; 3], [false; 2]);
        for seed in 0..100 {
            let disk = SimulatedDisk::new(seed, 1 << 20);
            disk.create_dir(dir).unwrap();
            let file = disk.create(path, 2 * BYTES).unwrap();
            disk.sync_dir(dir).unwrap();
            file.write_durable_at(0, filled(1, 1).bytes()).unwrap();
            file.write_at(BYTES, filled(1, 1).bytes()).unwrap();
            file.write_at(BYTES, filled(1, 2).bytes()).unwrap();
            drop(disk.create(Path::new("d/g"), BYTES).unwrap());
            disk.crash();
            assert!(file.len().is_err(), "the process that opened it is gone");
            let content = disk.content(path).unwrap();
            assert_eq!(content[0], 1);
            pages_seen[usize::from(content[4096])] = true;
            names_seen[disk.list(dir).unwrap().len() - 1] = true;
        }
        assert_eq!((pages_seen, names_seen), ([true; 3], [true; 2]));
    }

    #[test]
    fn a_folder_seen_is_lost_with_what_is_in_it_unless_it_was_made_once_more() {
        let (dir, path) = (Path::new("d/e"), Path::new("d/e/f"));
        // Not made once more: seen at all, kept by the crash, lost.
        let (mut seen, mut kept, mut lost) = (0, 0, 0);
        for (seed, once_more) in (0..200).flat_map(|seed| [(seed, false), (seed, true)]) {
            let disk = SimulatedDisk::new(seed, 1 << 20);
            disk.fault_at(0, Fault::Error);
            disk.create_dir(dir).unwrap_err();
            if once_more {
                disk.create_dir(dir).unwrap();
            }
            if disk.list(dir).is_err() {
                let missing = disk.create(path, BYTES).unwrap_err();
                assert_eq!(missing.kind(), io::ErrorKind::NotFound);
                continue;
            }
            let file = disk.create(path, BYTES).unwrap();
            file.write_durable_at(0, filled(1, 1).bytes()).unwrap();
            disk.sync_dir(dir).unwrap();
            disk.crash();
            let is_there = disk.content(path).is_some();
            assert_eq!(is_there, disk.list(dir).is_ok());
            if once_more {
                assert!(is_there, "seed {seed}");
            } else {
                seen += 1;
                kept += usize::from(is_there);
                lost += usize::from(!is_there);
            }
        }
        assert!(seen < 200 && kept > 0 && lost > 0, "{seen} {kept} {lost}");
    }

    #[test]
    fn after_a_failed_sync_a_later_one_saves_nothing() {
        let (dir, path) = (Path::new("d"), Path::new("d/f"));
        let lost = (0..50).any(|seed| {
            let disk = SimulatedDisk::new(seed, 1 << 20);
            disk.create_dir(dir).unwrap();
            let file = disk.create(path, BYTES).unwrap();
            disk.sync_dir(dir).unwrap();
            file.write_at(0, filled(1, 1).bytes()).unwrap();
            disk.fault_at(0, Fault::Error);
            assert!(file.sync_data().is_err());
            file.sync_data().unwrap();
            disk.crash();
            disk.content(path).unwrap()[0] == 0
        });
        assert!(lost);
    }

    #[test]
    fn refuses_what_a_direct_write_would() {
        let disk = SimulatedDisk::new(0, 2 * BYTES);
        disk.create_dir(Path::new("d")).unwrap();
        let file = disk.create(Path::new("d/f"), 2 * BYTES).unwrap();
        let buffer = filled(2, 1);
        assert!(file.write_at(1, buffer.bytes()).is_err());
        assert!(file.write_at(0, &buffer.bytes()[..4095]).is_err());
        assert!(file.write_at(0, &buffer.bytes()[1..4097]).is_err());
        let full = disk.create(Path::new("d/g"), BYTES).unwrap_err();
        assert!(crate::disk::is_disk_full(&full));
        disk.fault_at(1, Fault::PowerCut);
        file.write_at(0, buffer.bytes()).unwrap();
        assert!(file.write_at(0, buffer.bytes()).is_err());
        assert!(file.len().is_err(), "no power");
    }
}
