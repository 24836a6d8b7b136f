//! Files of any length of a simulated disk: written from front to back, read in parts.

use std::io;

use super::super::{AppendFile, PAGE_BYTES, PartsFile};
use super::state::{State, zeros};
use super::{Fault, SimulatedDisk};

#[derive(Debug)]
pub(super) struct SimulatedAppend {
    disk: SimulatedDisk,
    inode: u64,
    boot: u64,
    bytes: u64,
}

impl SimulatedAppend {
    pub(super) fn new(disk: SimulatedDisk, inode: u64, boot: u64) -> Self {
        Self { disk, inode, boot, bytes: 0 }
    }
}

/// The fault that a call of a process of boot `boot` is to meet.
fn call(state: &mut State, boot: u64) -> io::Result<Option<Fault>> {
    if state.boots != boot {
        return Err(io::Error::other("opened by a process that has ended"));
    }
    state.call()
}

/// The same for a call that changes nothing.
fn call_to_read(state: &mut State, boot: u64) -> io::Result<()> {
    match call(state, boot)? {
        None | Some(Fault::Full) => Ok(()),
        Some(fault) => Err(fault.error()),
    }
}

impl AppendFile for SimulatedAppend {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut guard = self.disk.lock();
        let state = &mut *guard;
        let fault = call(state, self.boot)?;
        // Where it fails, a part may have got as far as the cache.
        let room = state.capacity.saturating_sub(state.used());
        let is_full = bytes.len() as u64 > room;
        let mut written = if is_full { room } else { bytes.len() as u64 };
        let abandon = fault.is_some() && state.chance.hits(50);
        if fault.is_some() {
            written = state.chance.below(written + 1);
        }
        let inode = state.inodes.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        let written = usize::try_from(written).map_err(io::Error::other)?;
        let mut rest = bytes.get(..written).unwrap_or_default();
        while !rest.is_empty() {
            let (number, start) = (self.bytes / PAGE_BYTES as u64, self.bytes % PAGE_BYTES as u64);
            let start = usize::try_from(start).unwrap_or(0);
            let mut page = inode.page(number).cloned().unwrap_or_else(zeros);
            let (now, later) = rest.split_at(rest.len().min(PAGE_BYTES - start));
            let into = page.iter_mut().skip(start);
            into.zip(now).for_each(|(to, from)| *to = *from);
            inode.write(number, page);
            if abandon && let Some(dirty) = inode.dirty.get_mut(&number) {
                dirty.abandoned = true;
            }
            self.bytes += now.len() as u64;
            rest = later;
        }
        inode.bytes = self.bytes;
        match fault {
            Some(fault) => Err(fault.error()),
            None if is_full => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let fault = call(&mut state, self.boot)?;
        let inode = state.inodes.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        if let Some(fault) = fault {
            inode.dirty.values_mut().for_each(|dirty| dirty.abandoned = true);
            return Err(fault.error());
        }
        inode.sync_appended();
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct SimulatedParts {
    pub(super) disk: SimulatedDisk,
    pub(super) inode: u64,
    pub(super) boot: u64,
}

impl PartsFile for SimulatedParts {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        call_to_read(&mut state, self.boot)?;
        Ok(state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?.bytes)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        call_to_read(&mut state, self.boot)?;
        let inode = state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        if offset.saturating_add(into.len() as u64) > inode.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, into);
        while !rest.is_empty() {
            let start = usize::try_from(at % PAGE_BYTES as u64).unwrap_or(0);
            let now = rest.len().min(PAGE_BYTES - start);
            let (filled, later) = rest.split_at_mut(now);
            match inode.page(at / PAGE_BYTES as u64) {
                Some(page) => {
                    let from = page.iter().skip(start);
                    filled.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
                None => filled.fill(0),
            }
            at += now as u64;
            rest = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use std::path::Path;

    use super::super::super::Disk as _;
    use super::*;

    #[test]
    fn what_was_appended_and_synced_is_kept_and_the_rest_is_lost_torn_or_cut() {
        let (dir, path) = (Path::new("d"), Path::new("d/f"));
        let (mut whole, mut cut, mut torn) = (0, 0, 0);
        for seed in 0..200 {
            let disk = SimulatedDisk::new(seed, 1 << 20);
            disk.create_dir(dir).unwrap();
            let mut file = disk.append(path).unwrap();
            file.append(&[1; 5_000]).unwrap();
            file.append(&[2; 700]).unwrap();
            file.sync().unwrap();
            disk.sync_dir(dir).unwrap();
            file.append(&[3; 9_000]).unwrap();
            let mut read = vec![0; 9_100];
            disk.open_parts(path).unwrap().read_at(5_600, &mut read).unwrap();
            assert!(read[..100].iter().all(|byte| *byte == 2));
            assert!(read[100..].iter().all(|byte| *byte == 3));
            disk.crash();
            assert!(file.append(&[4]).is_err(), "the process that opened it is gone");
            let content = disk.content(path).unwrap();
            assert!(content[..5_000].iter().all(|byte| *byte == 1), "seed {seed}");
            assert!(content[5_000..5_700].iter().all(|byte| *byte == 2), "seed {seed}");
            let rest = &content[5_700..];
            assert!(rest.len() <= 9_000 && rest.iter().all(|byte| [0, 3].contains(byte)));
            cut += usize::from(rest.len() < 9_000);
            torn += usize::from(rest.contains(&0));
            whole += usize::from(rest.len() == 9_000 && !rest.contains(&0));
        }
        assert!(whole > 10 && cut > 10 && torn > 10, "{whole} {cut} {torn}");
    }

    #[test]
    fn a_full_disk_takes_what_it_has_room_for() {
        let disk = SimulatedDisk::new(0, 6_000);
        disk.create_dir(Path::new("d")).unwrap();
        let mut file = disk.append(Path::new("d/f")).unwrap();
        file.append(&[1; 5_000]).unwrap();
        let full = file.append(&[2; 2_000]).unwrap_err();
        assert!(crate::disk::is_disk_full(&full));
        assert_eq!(disk.content(Path::new("d/f")).unwrap().len(), 6_000);
        let full = disk.write_small(Path::new("d/g"), &[1]).unwrap_err();
        assert!(crate::disk::is_disk_full(&full));
    }

    #[test]
    fn a_removed_folder_comes_back_unless_the_one_above_was_synced() {
        let dir = Path::new("d/e");
        let (mut back, mut gone) = (0, 0);
        for (seed, synced) in (0..100).flat_map(|seed| [(seed, false), (seed, true)]) {
            let disk = SimulatedDisk::new(seed, 1 << 20);
            disk.create_dir(dir).unwrap();
            drop(disk.append(&dir.join("f")).unwrap());
            let refused = disk.remove_dir(dir).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::DirectoryNotEmpty);
            disk.remove(&dir.join("f")).unwrap();
            disk.remove_dir(dir).unwrap();
            assert!(disk.list_dirs(Path::new("d")).unwrap().is_empty());
            if synced {
                disk.sync_dir(Path::new("d")).unwrap();
            }
            disk.crash();
            let is_back = disk.list(dir).is_ok();
            assert!(!(synced && is_back), "seed {seed}");
            (back, gone) = (back + usize::from(is_back), gone + usize::from(!is_back));
        }
        assert!(back > 10 && gone > 110, "{back} {gone}");
    }
}
