//! A disk in memory that behaves as badly as the seam allows ([`super`]), for tests.
//!
//! - [`SimulatedDisk::crash`] cuts the power: of every page written but not synced one of its
//!   states since the last sync remains, and each name that was made, moved or removed since its
//!   folder was synced is there or not. Files that were open are no longer.
//! - [`SimulatedDisk::kill`] ends the process alone: nothing is lost yet, nor any safer.
//! - Faults: an error at the n-th call, the power cut in the middle of the n-th call, no space,
//!   a flipped bit.
//!
//! All chances come from one seed, so that a run can be repeated. Addresses, offsets and lengths
//! that a direct read or write would not take are refused here too.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Access, Disk, DiskFile, Entry, PAGE_BYTES, partial_name};

type Page = Box<[u8; PAGE_BYTES]>;

/// Numbers by chance from a seed (splitmix64, Steele et al. 2014): small, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits().checked_rem(bound).unwrap_or(0)
    }

    /// True in `percent` of 100 cases.
    pub fn hits(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What happens at a chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with EIO, having done all, some or nothing of its work.
    Error,
    /// The power is cut during the call: it and all later ones fail until
    /// [`SimulatedDisk::crash`].
    PowerCut,
}

/// A disk in memory; clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone)]
struct State {
    chance: Chance,
    inodes: HashMap<u64, Inode>,
    inode_next: u64,
    /// As seen by the running system.
    names: BTreeMap<PathBuf, u64>,
    /// As on the device.
    names_durable: BTreeMap<PathBuf, u64>,
    /// Since the last sync of their folder, in order.
    moves: Vec<Move>,
    dirs: Vec<PathBuf>,
    capacity: u64,
    calls: u64,
    fault: Option<(u64, Fault)>,
    power_cut: bool,
    /// Counts kills and crashes: files opened before belong to a process that is gone.
    boots: u64,
}

/// A change of names in one folder: `from` goes, `to` comes.
#[derive(Debug, Clone)]
struct Move {
    from: Option<PathBuf>,
    to: Option<(PathBuf, u64)>,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    bytes: u64,
    /// On the device; pages that are not there are zeros.
    durable: HashMap<u64, Page>,
    /// Written since the last sync, each with all its states.
    dirty: BTreeMap<u64, Dirty>,
}

#[derive(Debug, Clone)]
struct Dirty {
    states: Vec<Page>,
    /// A sync failed after the last write: no later sync will write it (the Linux page cache).
    abandoned: bool,
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
            dirs: Vec::new(),
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
        let pages = (0..inode.bytes / PAGE_BYTES as u64).map(|number| inode.page(number));
        Some(pages.flat_map(|page| page.map_or([0; PAGE_BYTES], |page| **page)).collect())
    }
}

fn zeros() -> Page {
    Box::new([0; PAGE_BYTES])
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn io_error() -> io::Error {
    // EIO, which has no kind of its own.
    io::Error::from_raw_os_error(5)
}

impl Inode {
    fn page(&self, number: u64) -> Option<&Page> {
        let dirty = self.dirty.get(&number).and_then(|dirty| dirty.states.last());
        dirty.or_else(|| self.durable.get(&number))
    }

    fn write(&mut self, number: u64, page: Page) {
        let dirty = self
            .dirty
            .entry(number)
            .or_insert_with(|| Dirty { states: Vec::new(), abandoned: false });
        dirty.states.push(page);
        dirty.abandoned = false;
    }

    /// Makes the pages numbered within `range` durable, save those a failed sync gave up.
    fn sync(&mut self, range: std::ops::Range<u64>) {
        let numbers: Vec<u64> = self.dirty.range(range).map(|(number, _)| *number).collect();
        for number in numbers {
            if self.dirty.get(&number).is_some_and(|dirty| !dirty.abandoned)
                && let Some(page) = self.dirty.remove(&number).and_then(|mut d| d.states.pop())
            {
                self.durable.insert(number, page);
            }
        }
    }

    fn settle(&mut self, chance: &mut Chance, percent: u64) {
        for (number, mut dirty) in std::mem::take(&mut self.dirty) {
            if chance.hits(percent) {
                let which = chance.below(dirty.states.len() as u64);
                let which = usize::try_from(which).unwrap_or(0);
                self.durable.insert(number, dirty.states.swap_remove(which));
            }
        }
    }
}

impl State {
    /// Counts a call, and tells whether it is to fail after some of its work.
    fn call(&mut self) -> io::Result<Option<Fault>> {
        if self.power_cut {
            return Err(io_error());
        }
        let number = self.calls;
        self.calls += 1;
        match self.fault {
            Some((at, fault)) if at == number => {
                self.fault = None;
                self.power_cut = fault == Fault::PowerCut;
                Ok(Some(fault))
            }
            _ => Ok(None),
        }
    }

    fn crash(&mut self) {
        let percent = *[0, 10, 50, 90, 100].get(self.chance.below(5) as usize).unwrap_or(&50);
        let mut numbers: Vec<u64> = self.inodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(inode) = self.inodes.get_mut(&number) {
                inode.settle(&mut self.chance, percent);
            }
        }
        for change in std::mem::take(&mut self.moves) {
            if self.chance.hits(percent) {
                apply(&mut self.names_durable, change);
            }
        }
        self.names = self.names_durable.clone();
        let live: Vec<u64> = self.names.values().copied().collect();
        self.inodes.retain(|number, _| live.contains(number));
        self.boots += 1;
        self.fault = None;
        self.power_cut = false;
    }

    fn change(&mut self, change: Move) {
        apply(&mut self.names, change.clone());
        self.moves.push(change);
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|number| self.inodes.get(number)).map(|i| i.bytes).sum()
    }

    fn sync_dir(&mut self, dir: &Path) {
        let within = |path: &Path| parent(path) == dir;
        let (synced, kept) =
            std::mem::take(&mut self.moves).into_iter().partition(|change: &Move| {
                change.from.as_deref().is_some_and(within)
                    || change.to.as_ref().is_some_and(|(path, _)| within(path))
            });
        self.moves = kept;
        let synced: Vec<Move> = synced;
        for change in synced {
            apply(&mut self.names_durable, change);
        }
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, change: Move) {
    if let Some(from) = change.from {
        names.remove(&from);
    }
    if let Some((to, inode)) = change.to {
        names.insert(to, inode);
    }
}

impl Disk for SimulatedDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if state.call()?.is_some() {
            return Err(io_error());
        }
        if !state.dirs.iter().any(|known| known == dir) {
            state.dirs.push(dir.to_owned());
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.lock();
        if state.call()?.is_some() {
            return Err(io_error());
        }
        if !state.dirs.iter().any(|known| known == dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = state.names.iter().filter(|(path, _)| parent(path) == dir);
        Ok(names
            .filter_map(|(path, inode)| {
                let name = path.file_name()?.to_string_lossy().into_owned();
                Some(Entry { name, bytes: state.inodes.get(inode)?.bytes })
            })
            .collect())
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let fault = state.call()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.used().saturating_add(bytes) > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = state.inode_next;
        state.inode_next += 1;
        let unfinished = fault.is_some();
        if !unfinished || state.chance.hits(50) {
            state.inodes.insert(number, Inode { bytes, ..Inode::default() });
            state.change(Move { from: None, to: Some((path.to_owned(), number)) });
        }
        if unfinished {
            return Err(io_error());
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
        if state.call()?.is_some() {
            return Err(io_error());
        }
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
        fault.map_or(Ok(()), |_| Err(io_error()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.call()?;
        state.find(path)?;
        if fault.is_none() || state.chance.hits(50) {
            state.change(Move { from: Some(path.to_owned()), to: None });
        }
        fault.map_or(Ok(()), |_| Err(io_error()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if state.call()?.is_some() {
            return Err(io_error());
        }
        state.sync_dir(dir);
        Ok(())
    }

    fn read_small(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut state = self.lock();
        if state.call()?.is_some() {
            return Err(io_error());
        }
        let inode = state.find(path)?;
        let inode = state.inodes.get(&inode).ok_or(io::ErrorKind::NotFound)?;
        if inode.bytes > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let bytes = usize::try_from(inode.bytes).map_err(io::Error::other)?;
        let pages = (0..bytes.div_ceil(PAGE_BYTES)).map(|number| inode.page(number as u64));
        let mut content: Vec<u8> =
            pages.flat_map(|page| page.map_or([0; PAGE_BYTES], |page| **page)).collect();
        content.truncate(bytes);
        Ok(content)
    }

    fn write_small(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.call()?;
        let number = state.inode_next;
        state.inode_next += 1;
        let mut inode = Inode { bytes: bytes.len() as u64, ..Inode::default() };
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
        if fault.is_some() {
            return Err(io_error());
        }
        state.sync_dir(parent(path));
        Ok(())
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    inode: u64,
    boot: u64,
    access: Access,
}

impl SimulatedFile {
    /// The state, and the fault that the call is to meet.
    fn call(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.disk.lock();
        if state.boots != self.boot {
            return Err(io::Error::other("opened by a process that has ended"));
        }
        let fault = state.call()?;
        Ok((state, fault))
    }

    fn write(&self, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        check_aligned(offset, bytes)?;
        let (mut guard, fault) = self.call()?;
        let state = &mut *guard;
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let inode = state.inodes.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        if offset.saturating_add(bytes.len() as u64) > inode.bytes {
            // Nothing in the product makes a file longer by writing.
            return Err(io::Error::other("write past the end of the file"));
        }
        let first = offset / PAGE_BYTES as u64;
        let pages = bytes.as_chunks::<PAGE_BYTES>().0;
        let abandon = fault.is_some() && state.chance.hits(50);
        for (number, page) in (first..).zip(pages) {
            // Where it fails, each page may have got as far as the cache, or not.
            if fault.is_none() || state.chance.hits(70) {
                inode.write(number, Box::new(*page));
                if abandon && let Some(dirty) = inode.dirty.get_mut(&number) {
                    dirty.abandoned = true;
                }
            }
        }
        if fault.is_some() {
            return Err(io_error());
        }
        if durable {
            inode.sync(first..first + pages.len() as u64);
        }
        Ok(())
    }
}

fn check_aligned(offset: u64, bytes: &[u8]) -> io::Result<()> {
    let aligned = offset.is_multiple_of(PAGE_BYTES as u64)
        && bytes.len().is_multiple_of(PAGE_BYTES)
        && bytes.as_ptr().addr().is_multiple_of(PAGE_BYTES);
    if aligned { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        let (state, fault) = self.call()?;
        if fault.is_some() {
            return Err(io_error());
        }
        Ok(state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?.bytes)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        check_aligned(offset, into)?;
        let (state, fault) = self.call()?;
        if fault.is_some() {
            return Err(io_error());
        }
        let inode = state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        if offset.saturating_add(into.len() as u64) > inode.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let first = offset / PAGE_BYTES as u64;
        for (number, page) in (first..).zip(into.as_chunks_mut::<PAGE_BYTES>().0) {
            match inode.page(number) {
                Some(content) => *page = **content,
                None => page.fill(0),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(offset, bytes, false)
    }

    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(offset, bytes, true)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, fault) = self.call()?;
        let inode = state.inodes.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        if fault.is_some() {
            inode.dirty.values_mut().for_each(|dirty| dirty.abandoned = true);
            return Err(io_error());
        }
        inode.sync(0..u64::MAX);
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
