//! The folder that is written: a backup, or a data folder that is restored.
//!
//! A file is synced once it is whole, and named in [`Target::files`] only then; names are synced all
//! together ([`Target::sync`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc32c::{crc32c, crc32c_append};

use super::error::{IoError, PlaceError, io};
use super::manifest::{Check, FileEntry};
use crate::disk::{AppendFile, Disk, lies_in};

/// What was written of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) check: u32,
}

/// A folder being written.
#[derive(Debug)]
pub(super) struct Target {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// By their paths within the folder.
    files: BTreeMap<String, Written>,
    folders: BTreeSet<PathBuf>,
}

impl Target {
    pub(super) fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        let (files, folders) = (BTreeMap::new(), BTreeSet::new());
        Self { disk, root: root.to_owned(), files, folders }
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What is written of a file, where it is.
    pub(super) fn has(&self, name: &str) -> Option<Written> {
        self.files.get(name).copied()
    }

    /// A file was written by others, and synced.
    pub(super) fn note(&mut self, name: String, written: Written) {
        self.files.insert(name, written);
    }

    /// How many files were written, and how many bytes they have.
    pub(super) fn written(&self) -> (u64, u64) {
        (self.files.len() as u64, self.files.values().map(|file| file.bytes).sum())
    }

    /// All files, for the manifest.
    pub(super) fn entries(&self) -> Vec<FileEntry> {
        let entry = |(name, written): (&String, &Written)| FileEntry {
            path: name.clone(),
            bytes: written.bytes,
            crc32c: Check(written.check),
        };
        self.files.iter().map(entry).collect()
    }

    /// Makes a folder and those above it, and returns its path.
    pub(super) fn folder(&mut self, name: &Path) -> Result<PathBuf, IoError> {
        let path = self.root.join(name);
        if !self.folders.contains(&path) {
            self.disk.create_dir(&path).map_err(io("making", &path))?;
            self.folders.insert(path.clone());
        }
        Ok(path)
    }

    /// Writes a whole small file.
    pub(super) fn put(&mut self, name: &str, content: &[u8]) -> Result<(), IoError> {
        self.folder(Path::new(name).parent().unwrap_or(Path::new("")))?;
        let path = self.root.join(name);
        self.disk.write_small(&path, content).map_err(io("writing", &path))?;
        let written = Written { bytes: content.len() as u64, check: crc32c(content) };
        self.files.insert(name.to_owned(), written);
        Ok(())
    }

    /// Begins a file, in place of what is there under its name.
    pub(super) fn begin(&mut self, name: &str) -> Result<Writing<'_>, IoError> {
        self.folder(Path::new(name).parent().unwrap_or(Path::new("")))?;
        let path = self.root.join(name);
        self.files.remove(name);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io("removing", &path)(error));
            }
            _ => {}
        }
        let file = self.disk.append(&path).map_err(io("making", &path))?;
        Ok(Writing { target: self, name: name.to_owned(), path, file, check: 0 })
    }

    /// Removes all files but those in `names`.
    pub(super) fn keep_only(&mut self, names: &BTreeSet<String>) -> Result<(), IoError> {
        for name in self.files.keys().filter(|name| !names.contains(*name)) {
            let path = self.root.join(name);
            self.disk.remove(&path).map_err(io("removing", &path))?;
        }
        self.files.retain(|name, _| names.contains(name));
        Ok(())
    }

    /// Makes the names of all files durable.
    pub(super) fn sync(&self) -> Result<(), IoError> {
        let mut folders = self.folders.iter();
        folders.try_for_each(|folder| self.disk.sync_dir(folder).map_err(io("syncing", folder)))
    }

    /// That the disk has room for `needed` bytes.
    pub(super) fn expect_room(&self, needed: u64) -> Result<(), PlaceError> {
        let free =
            self.disk.free_bytes(&self.root).map_err(io("asking for room in", &self.root))?;
        if free < needed {
            return Err(PlaceError::NoSpace { folder: self.root.clone(), needed, free });
        }
        Ok(())
    }
}

/// A file being written.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    target: &'a mut Target,
    name: String,
    path: PathBuf,
    file: Box<dyn AppendFile>,
    check: u32,
}

impl Writing<'_> {
    pub(super) fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.check = crc32c_append(self.check, bytes);
        self.file.append(bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs it.
    pub(super) fn end(mut self) -> Result<Written, IoError> {
        self.file.sync().map_err(io("syncing", &self.path))?;
        let written = Written { bytes: self.file.len(), check: self.check };
        self.target.note(self.name, written);
        Ok(written)
    }
}

/// That a folder is not there or has nothing in it, and does not lie in `other`. `what` tells of something
/// that is in it what it is.
pub(super) fn expect_empty(
    folder: &Path,
    other: &Path,
    what: &dyn Fn(&Path) -> &'static str,
) -> Result<(), PlaceError> {
    if lies_in(folder, other).map_err(io("looking for", folder))? {
        let (folder, within) = (folder.to_owned(), other.to_owned());
        return Err(PlaceError::Inside { folder, within });
    }
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("listing", folder)(error).into()),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(PlaceError::NotEmpty { folder: folder.to_owned(), found: what(folder) }),
        },
    }
}
