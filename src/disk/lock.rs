//! Keeps a folder to one process: two servers, or a rebuild beside a live server, on the same data
//! would each undo the other's work.
//!
//! The lock is the operating system's (`flock`) on a file named `lock`, so that it is gone with
//! the process, however it ends. Over some network file systems `flock` binds one machine only.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A folder kept to this process for as long as this value lives.
#[derive(Debug)]
pub struct FolderLock {
    // Held for its descriptor: closing it lets the lock go.
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is in use by another process (its file `lock` is held)", dir.display())]
    Held {
        /// The folder.
        dir: PathBuf,
    },
    /// The lock file could not be opened or locked.
    #[error("locking {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderLock {
    /// Locks `dir`, which must exist. Does not wait.
    ///
    /// # Errors
    /// [`LockError::Held`] where another process (or another value in this one) holds it.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|source| LockError::Io { path: path.clone(), source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held { dir: dir.to_owned() }),
            Err(error) => Err(LockError::Io { path, source: error.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_free_again_when_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let held = FolderLock::take(dir.path()).unwrap();
        assert!(matches!(FolderLock::take(dir.path()), Err(LockError::Held { .. })));
        drop(held);
        FolderLock::take(dir.path()).unwrap();
        let missing = dir.path().join("missing");
        assert!(matches!(FolderLock::take(&missing), Err(LockError::Io { .. })));
    }
}
