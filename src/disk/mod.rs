//! The seam through which everything durable is written, so that a disk that lies can be put below
//! it ([`simulated`]); [`LocalDisk`] is the real one.
//!
//! What callers may rely on, and no more:
//! - A file's bytes are on the device once [`DiskFile::write_durable_at`] or
//!   [`DiskFile::sync_data`] has returned without an error. Before that, a power cut leaves any
//!   subset of the written 4 KiB pages.
//! - The same holds of a file that is written from front to back ([`AppendFile`]) and its
//!   [`AppendFile::sync`]; before that, a power cut may leave it shorter as well.
//! - A name (made, moved or removed; a folder's as well) is on the device once [`Disk::sync_dir`] of its folder has
//!   returned. Before that, a power cut leaves the old name or the new one, each name by itself.
//! - A page of 4 KiB is written whole or not at all. (Devices with a 4 KiB physical sector promise
//!   that; it is an assumption about all others.)
//! - After an error nothing is known about what was written; asking again proves nothing, since
//!   Linux marks pages clean whose write-back failed. Whoever gets one stops.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

mod aligned;
mod local;
mod lock;
#[cfg(test)]
pub(crate) mod paced;
mod place;
pub(crate) mod plain;
mod sequential;
pub mod simulated;

pub use aligned::AlignedBuffer;
pub use local::LocalDisk;
pub use lock::{FolderLock, LockError};
pub(crate) use place::lies_in;
pub use simulated::SimulatedDisk;

/// What is written whole or not at all, in bytes; offsets, lengths and addresses of [`DiskFile`]
/// reads and writes are multiples of it.
pub const PAGE_BYTES: usize = 4096;

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name within the folder; whatever is not UTF-8 in it is replaced.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Whether a file is opened to be read only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// A file system, or something that behaves like one at its worst.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Makes the folder and those above it where they are missing. Their names are durable once this
    /// returns, whoever made them: a folder that is seen need not have been synced.
    ///
    /// # Errors
    /// As the file system gives them.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The files (not the folders) in `dir`, by name. One that gets its name meanwhile may be missing, and
    /// so may one that loses it.
    ///
    /// # Errors
    /// As the file system gives them; `NotFound` where there is no such folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// The folders in `dir`, by name.
    ///
    /// # Errors
    /// As the file system gives them; `NotFound` where there is no such folder.
    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Removes a folder. Its name is gone for good only after [`Disk::sync_dir`] of the one above.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` where something is in it, and as the file system gives them.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes a file of a length that shows only as it is written, from front to back. Its name is
    /// durable only after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// `AlreadyExists`, and as the file system gives them.
    fn append(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// Opens a file to read any part of it, whatever its length.
    ///
    /// # Errors
    /// As the file system gives them.
    fn open_parts(&self, path: &Path) -> io::Result<Arc<dyn PartsFile>>;

    /// Makes a file of `bytes` (a multiple of [`PAGE_BYTES`]) zeros, whose space is allocated and
    /// whose length is durable. Its name is so only after [`Disk::sync_dir`]. Leaves no file behind
    /// where it fails.
    ///
    /// # Errors
    /// `AlreadyExists`; [`is_disk_full`] tells that there is no room for it.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that is there.
    ///
    /// # Errors
    /// As the file system gives them.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, taking that name from whoever had it.
    ///
    /// # Errors
    /// As the file system gives them.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the file system gives them.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable.
    ///
    /// # Errors
    /// As the file system gives them.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that may still be written to the file system of `dir`.
    ///
    /// # Errors
    /// As the file system gives them.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// Reads a whole small file.
    ///
    /// # Errors
    /// As the file system gives them; `FileTooLarge` above `bytes_max`.
    fn read_small(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// Writes a whole small file so that after a crash it has either all of the new bytes or what
    /// it had before, and is durable once this returns: a new file beside it (`.partial` added to
    /// its name), synced, then renamed, then the folder synced.
    ///
    /// # Errors
    /// As the file system gives them.
    fn write_small(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
}

/// An open file. Offsets and lengths are multiples of [`PAGE_BYTES`], and so is the address of
/// the memory: use an [`AlignedBuffer`].
// A length of zero has no meaning of its own here.
#[allow(clippy::len_without_is_empty)]
pub trait DiskFile: Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// As the file system gives them.
    fn len(&self) -> io::Result<u64>;

    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// As the file system gives them; `UnexpectedEof` where the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Writes without making anything durable.
    ///
    /// # Errors
    /// As the file system gives them.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes, and returns once these bytes are on the device.
    ///
    /// # Errors
    /// As the file system gives them.
    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns once all that was written is on the device.
    ///
    /// # Errors
    /// As the file system gives them.
    fn sync_data(&self) -> io::Result<()>;
}

/// A file that is written from front to back.
// A length of zero has no meaning of its own here.
#[allow(clippy::len_without_is_empty)]
pub trait AppendFile: Debug + Send {
    /// Its length in bytes: of all that was appended.
    fn len(&self) -> u64;

    /// Appends `bytes`, without making them durable.
    ///
    /// # Errors
    /// As the file system gives them; [`is_disk_full`] tells that there is no room.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once all that was appended, and the length, are on the device.
    ///
    /// # Errors
    /// As the file system gives them.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is read in parts of any place and length.
// A length of zero has no meaning of its own here.
#[allow(clippy::len_without_is_empty)]
pub trait PartsFile: Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// As the file system gives them.
    fn len(&self) -> io::Result<u64>;

    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// As the file system gives them; `UnexpectedEof` where the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

/// Whether an error says that the disk (or the quota on it) is full.
#[must_use]
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// `path` with `.partial` added, for a file being written.
fn partial_name(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}
