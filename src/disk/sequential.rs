//! Files of any length of the real file system: written from front to back, read in parts.
//!
//! They go through the page cache: what is written so (the archive) is written in pieces of any
//! length and read more than once, and is in no hurry to be durable.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{AppendFile, PartsFile};

#[derive(Debug)]
pub(super) struct LocalAppend {
    file: File,
    bytes: u64,
}

impl LocalAppend {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create_new(path)?, bytes: 0 })
    }
}

impl AppendFile for LocalAppend {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[derive(Debug)]
pub(super) struct LocalParts {
    file: File,
}

impl LocalParts {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)? })
    }
}

impl PartsFile for LocalParts {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::super::{Disk, LocalDisk};
    use super::*;

    #[test]
    fn what_is_appended_is_read_in_parts_and_folders_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let disk = LocalDisk::new();
        let dir = folder.path().join("table").join("day");
        disk.create_dir(&dir).unwrap();
        let path = dir.join("file");
        let mut file = disk.append(&path).unwrap();
        assert_eq!(disk.append(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        file.append(b"seven ").unwrap();
        file.append(&[b'x'; 10_000]).unwrap();
        file.sync().unwrap();
        assert_eq!(file.len(), 10_006);

        let parts = disk.open_parts(&path).unwrap();
        assert_eq!(parts.len().unwrap(), 10_006);
        let mut read = [0; 4];
        parts.read_at(3, &mut read).unwrap();
        assert_eq!(&read, b"en x");
        let past = parts.read_at(10_003, &mut read).unwrap_err();
        assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);

        let above = folder.path().join("table");
        assert_eq!(disk.list_dirs(&above).unwrap(), ["day"]);
        let refused = disk.remove_dir(&dir).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::DirectoryNotEmpty);
        disk.remove(&path).unwrap();
        disk.remove_dir(&dir).unwrap();
        assert!(disk.list_dirs(&above).unwrap().is_empty());
        assert_eq!(disk.list_dirs(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
