//! An open file of a simulated disk.

use std::io;
use std::sync::MutexGuard;

use super::super::{Access, DiskFile, PAGE_BYTES};
use super::state::State;
use super::{Fault, SimulatedDisk};

#[derive(Debug)]
pub(super) struct SimulatedFile {
    pub(super) disk: SimulatedDisk,
    pub(super) inode: u64,
    pub(super) boot: u64,
    pub(super) access: Access,
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

    /// The state, for a call that changes nothing.
    fn call_to_read(&self) -> io::Result<MutexGuard<'_, State>> {
        match self.call()? {
            (state, None | Some(Fault::Full)) => Ok(state),
            (_, Some(fault)) => Err(fault.error()),
        }
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
        if let Some(fault) = fault {
            return Err(fault.error());
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
        let state = self.call_to_read()?;
        Ok(state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?.bytes)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        check_aligned(offset, into)?;
        let state = self.call_to_read()?;
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
        if let Some(fault) = fault {
            inode.dirty.values_mut().for_each(|dirty| dirty.abandoned = true);
            return Err(fault.error());
        }
        inode.sync(0..u64::MAX);
        Ok(())
    }
}
