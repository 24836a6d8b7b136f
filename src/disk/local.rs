//! The real file system.
//!
//! Files are opened with `O_DIRECT`, so that what is read comes from the device and not from
//! memory, and durable writes carry `RWF_DSYNC` (Linux 4.7), which is `O_DSYNC` for one write.
//! (rustix's own `OFlags::DSYNC` is `O_SYNC` on Linux, which also writes the inode each time.)
//! Where a file system refuses `O_DIRECT`, writes are buffered and followed by `fdatasync`: said
//! once, as a warning, since it is several times slower.

use std::collections::HashSet;
use std::fs::{DirEntry, Metadata};
use std::io::{self, IoSlice, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::sequential::{LocalAppend, LocalParts};
use super::{
    Access, AlignedBuffer, AppendFile, Disk, DiskFile, Entry, PAGE_BYTES, PartsFile, partial_name,
};

/// Zeros are written in pieces of this many pages (1 MiB) where a file system cannot allocate.
const ZERO_PAGES: usize = 256;

/// The file system of this machine.
#[derive(Debug)]
pub struct LocalDisk {
    direct: bool,
    warned: AtomicBool,
    /// Folders whose names, and those of all folders above them, this value has synced.
    named: Mutex<HashSet<PathBuf>>,
}

impl Default for LocalDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalDisk {
    /// Direct where the file system takes it.
    #[must_use]
    pub fn new() -> Self {
        Self { direct: true, warned: AtomicBool::new(false), named: Mutex::default() }
    }

    /// Buffered writes and `fdatasync` always.
    #[must_use]
    pub fn buffered() -> Self {
        Self { direct: false, ..Self::new() }
    }

    fn open_file(&self, path: &Path, flags: OFlags) -> io::Result<LocalFile> {
        let flags = flags | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
        if self.direct {
            match rustix::fs::open(path, flags | OFlags::DIRECT, mode) {
                Ok(descriptor) => return Ok(LocalFile { descriptor, direct: true }),
                Err(Errno::INVAL) => self.warn_once(path),
                Err(error) => return Err(error.into()),
            }
            // Some file systems make the file before they refuse the flag.
            if flags.contains(OFlags::EXCL) {
                match rustix::fs::unlink(path) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let descriptor = rustix::fs::open(path, flags, mode)?;
        Ok(LocalFile { descriptor, direct: false })
    }

    /// Makes the names of `dir`, an absolute path without links, and of the folders above it durable
    /// through `sync`, each once. Above where its file system begins nothing is of our making, and
    /// may be of a kind that cannot be synced.
    fn name_durably(
        &self,
        dir: &Path,
        mut sync: impl FnMut(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now_named = Vec::new();
        for (dir, parent) in dir.ancestors().zip(dir.ancestors().skip(1)) {
            if named.contains(dir) || device(dir)? != device(parent)? {
                break;
            }
            now_named.push(dir.to_owned());
            match sync(parent) {
                // Whoever may pass through a folder need not be allowed to open it. Then the whole
                // file system is synced, and what is above with it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    rustix::fs::syncfs(std::fs::File::open(dir)?)?;
                    break;
                }
                synced => synced?,
            }
        }
        named.extend(now_named);
        Ok(())
    }

    fn warn_once(&self, path: &Path) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                path = %path.display(),
                "this file system refuses O_DIRECT: falling back to buffered writes and fdatasync"
            );
        }
    }
}

impl Disk for LocalDisk {
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let of = rustix::fs::statvfs(dir)?;
        // What is left for those who are not root.
        Ok(of.f_bavail.saturating_mul(of.f_frsize))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        // Names and addresses are in what is kept: nobody else of this machine is to read it.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // A folder that was there before may be that of a process which ended before it had synced
        // the name.
        self.name_durably(&std::fs::canonicalize(dir)?, |parent| self.sync_dir(parent))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if let Some(file) = still_there(&entry)?.filter(|there| !there.is_dir()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                entries.push(Entry { name, bytes: file.len() });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if still_there(&entry)?.is_some_and(|there| there.is_dir()) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        // Should it be made again, its name has to be synced again.
        let real = std::fs::canonicalize(dir)?;
        self.named.lock().unwrap_or_else(PoisonError::into_inner).remove(&real);
        std::fs::remove_dir(dir)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(LocalAppend::create(path)?))
    }

    fn open_parts(&self, path: &Path) -> io::Result<Arc<dyn PartsFile>> {
        Ok(Arc::new(LocalParts::open(path)?))
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.open_file(path, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR)?;
        if let Err(error) = file.allocate(bytes) {
            // What is left of it would keep a full disk full.
            let _ = rustix::fs::unlink(path);
            return Err(error);
        }
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
        };
        Ok(Arc::new(self.open_file(path, flags)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::File::open(dir)?.sync_all()
    }

    fn read_small(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn write_small(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let partial = partial_name(path);
        let mut file = std::fs::File::create(&partial)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        let parent: PathBuf = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        self.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { &parent })
    }
}

fn device(dir: &Path) -> io::Result<u64> {
    Ok(std::fs::metadata(dir)?.dev())
}

#[derive(Debug)]
struct LocalFile {
    descriptor: OwnedFd,
    direct: bool,
}

impl LocalFile {
    /// Takes the space and makes length and allocation durable.
    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.descriptor, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let zeros = AlignedBuffer::new(ZERO_PAGES);
                let mut offset = 0;
                while offset < bytes {
                    let left = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
                    let piece = zeros.bytes().get(..left).unwrap_or(zeros.bytes());
                    self.write_at(offset, piece)?;
                    offset += piece.len() as u64;
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(rustix::fs::fsync(&self.descriptor)?)
    }

    fn write(&self, mut offset: u64, mut bytes: &[u8], flags: ReadWriteFlags) -> io::Result<()> {
        while !bytes.is_empty() {
            let slices = [IoSlice::new(bytes)];
            let written = match rustix::io::pwritev2(&self.descriptor, &slices, offset, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if self.direct && !written.is_multiple_of(PAGE_BYTES) {
                return Err(io::Error::other(format!("{written} bytes of a direct write written")));
            }
            offset += written as u64;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

impl DiskFile for LocalFile {
    fn len(&self) -> io::Result<u64> {
        let bytes = rustix::fs::fstat(&self.descriptor)?.st_size;
        u64::try_from(bytes).map_err(io::Error::other)
    }

    fn read_at(&self, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            match rustix::io::pread(&self.descriptor, &mut *into, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    offset += read as u64;
                    into = into.get_mut(read..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(offset, bytes, ReadWriteFlags::empty())
    }

    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.direct {
            self.write(offset, bytes, ReadWriteFlags::DSYNC)
        } else {
            self.write(offset, bytes, ReadWriteFlags::empty())?;
            self.sync_data()
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.descriptor)?)
    }
}

/// What has a name in a folder; nothing where it has lost it since the folder was read, since it is asked
/// for by name.
fn still_there(entry: &DirEntry) -> io::Result<Option<Metadata>> {
    match entry.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => metadata.map(Some),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn folders() -> Vec<tempfile::TempDir> {
        let mut folders = vec![tempfile::tempdir().unwrap()];
        folders.extend(tempfile::tempdir_in("/dev/shm"));
        folders
    }

    #[test]
    fn a_folder_is_listed_while_files_in_it_get_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("1.preparing"), folder.path().join("1"));
        std::fs::write(folder.path().join("0"), "").unwrap();
        std::fs::write(&from, "").unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::fs::rename(&from, &to).unwrap();
                    std::fs::rename(&to, &from).unwrap();
                }
            });
            let disk = LocalDisk::new();
            let listed: Vec<_> = (0..5_000)
                .map(|_| {
                    disk.list_dirs(folder.path())?;
                    disk.list(folder.path())
                })
                .collect();
            is_over.store(true, Ordering::Relaxed);
            for entries in listed {
                assert!(entries.unwrap().iter().any(|entry| entry.name == "0"));
            }
        });
    }

    #[test]
    fn reads_back_what_was_written_direct_and_buffered() {
        for folder in folders() {
            for (name, disk) in [("d", LocalDisk::new()), ("b", LocalDisk::buffered())] {
                let dir = folder.path().join(name).join("deep").join("er");
                disk.create_dir(&dir).unwrap();
                for made in [&dir, &folder.path().join(name)] {
                    let mode = std::fs::metadata(made).unwrap().mode() & 0o777;
                    assert_eq!(mode, 0o700, "{} is open to others", made.display());
                }
                let path = dir.join("file");
                let file = disk.create(&path, 5 * PAGE_BYTES as u64).unwrap();
                assert_eq!(
                    disk.create(&path, PAGE_BYTES as u64).unwrap_err().kind(),
                    io::ErrorKind::AlreadyExists
                );
                let mut buffer = AlignedBuffer::new(2);
                buffer.bytes_mut().fill(3);
                file.write_durable_at(PAGE_BYTES as u64, buffer.bytes()).unwrap();
                buffer.bytes_mut().fill(4);
                file.write_at(2 * PAGE_BYTES as u64, buffer.bytes()).unwrap();
                file.sync_data().unwrap();
                disk.rename(&path, &dir.join("other")).unwrap();
                disk.sync_dir(&dir).unwrap();

                let file = disk.open(&dir.join("other"), Access::Read).unwrap();
                assert_eq!(file.len().unwrap(), 5 * PAGE_BYTES as u64);
                let mut whole = AlignedBuffer::new(5);
                file.read_at(0, whole.bytes_mut()).unwrap();
                let firsts: Vec<u8> = whole.pages().iter().map(|page| page[4095]).collect();
                assert_eq!(firsts, [0, 3, 4, 4, 0]);
                assert_eq!(
                    file.read_at(4 * PAGE_BYTES as u64, buffer.bytes_mut()).unwrap_err().kind(),
                    io::ErrorKind::UnexpectedEof
                );
                assert!(file.write_at(0, buffer.bytes()).is_err(), "opened for reading");
                let entry = Entry { name: "other".to_owned(), bytes: 5 * PAGE_BYTES as u64 };
                assert_eq!(disk.list(&dir).unwrap(), [entry]);
                disk.remove(&dir.join("other")).unwrap();
                assert_eq!(disk.list(&dir).unwrap(), []);
            }
        }
    }

    #[test]
    fn a_folder_found_is_named_as_durably_as_one_made_and_only_once() {
        for folder in folders() {
            let disk = LocalDisk::new();
            let top = folder.path().canonicalize().unwrap();
            let (found, made) = (top.join("data"), top.join("data/journal"));
            std::fs::create_dir(&found).unwrap();
            disk.create_dir(&found.join("../data")).unwrap();
            let is_named = |dir: &Path| disk.named.lock().unwrap().contains(dir);
            assert!(is_named(&found) && is_named(&top));
            disk.create_dir(&made).unwrap();
            assert!(made.is_dir() && is_named(&made));
            disk.name_durably(&made, |_| panic!("it was synced")).unwrap();
        }
    }

    #[test]
    fn every_folder_above_is_synced_up_to_where_the_file_system_begins() {
        for folder in folders() {
            let dir = folder.path().canonicalize().unwrap().join("data/journal");
            std::fs::create_dir_all(&dir).unwrap();
            let disk = LocalDisk::new();
            let refused = disk.name_durably(&dir, |parent| {
                if parent == folder.path() { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
            });
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::Other);
            // Nothing counts as synced after an error.
            let mut synced = Vec::new();
            disk.name_durably(&dir, |parent| {
                synced.push(parent.to_owned());
                Ok(())
            })
            .unwrap();
            let above = || dir.ancestors().skip(1).map(Path::to_owned);
            assert!(synced.len() >= 2, "{synced:?}");
            assert_eq!(synced, above().take(synced.len()).collect::<Vec<_>>());
            let (last, next) = (synced.last().unwrap(), above().nth(synced.len()));
            assert_eq!(device(last).unwrap(), device(&dir).unwrap());
            assert!(next.is_none_or(|next| device(&next).unwrap() != device(&dir).unwrap()));
        }
    }

    #[test]
    fn a_folder_above_that_may_not_be_opened_is_synced_with_its_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().canonicalize().unwrap().join("data");
        std::fs::create_dir(&dir).unwrap();
        let disk = LocalDisk::new();
        let denied = |_: &Path| Err(io::ErrorKind::PermissionDenied.into());
        disk.name_durably(&dir, denied).unwrap();
        disk.name_durably(&dir, |_| panic!("it was synced")).unwrap();
    }

    #[test]
    fn small_files_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let disk = LocalDisk::new();
        let path = folder.path().join("settings");
        disk.write_small(&path, b"first").unwrap();
        disk.write_small(&path, b"second, longer").unwrap();
        assert_eq!(disk.read_small(&path, 14).unwrap(), b"second, longer");
        assert_eq!(disk.read_small(&path, 13).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(disk.list(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_does_not_fit_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let disk = LocalDisk::new();
        // More than any file system has, and a multiple of a page.
        let error = disk.create(&folder.path().join("big"), 1 << 60).unwrap_err();
        assert!(is_full_or_too_large(&error), "{error}");
        assert_eq!(disk.list(folder.path()).unwrap(), []);
    }

    fn is_full_or_too_large(error: &io::Error) -> bool {
        crate::disk::is_disk_full(error) || error.kind() == io::ErrorKind::FileTooLarge
    }
}
