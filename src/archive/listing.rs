//! What an archive has, as its set files say, read from outside: another process may be writing sets
//! and dropping days meanwhile.
//!
//! A set file is replaced as a whole, and before files of a day that is dropped go: a file that a set
//! file names and that is not there (any more) is missing only if a set file read after that still names it.

use std::path::{Path, PathBuf};

use crc32c::crc32c;

use super::error::{ArchiveError, io_error};
use super::opening::follow;
use super::set::{SET_FILE_BYTES_MAX, SET_SUFFIX, SETS, Set};
use crate::disk::Disk;

/// A file of an archive, as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Its path within the archive's folder.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// CRC32C of the whole of it.
    pub check: u32,
}

/// A set that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSet {
    /// What its set file says.
    pub set: Set,
    /// The set file itself.
    pub set_file: ListedFile,
    /// The files of its days that are not dropped.
    pub files: Vec<ListedFile>,
}

/// The sets of the archive in the folder `root`, of the data folder `identity`, in order.
///
/// # Errors
/// Where they cannot be read, are damaged, or do not follow on one another: while the archive is being
/// changed that may be over when it is read once more.
pub fn list_sets(
    disk: &dyn Disk,
    root: &Path,
    identity: &[u8; 16],
) -> Result<Vec<ListedSet>, ArchiveError> {
    let folder = root.join(SETS);
    let entries = match disk.list(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error("listing", &folder))?,
    };
    let names = entries.into_iter().map(|entry| entry.name);
    let mut listed = Vec::new();
    for name in names.filter(|name| name.ends_with(SET_SUFFIX)) {
        let path = folder.join(name);
        let bytes = disk.read_small(&path, SET_FILE_BYTES_MAX);
        let bytes = bytes.map_err(io_error("reading", &path))?;
        let (set, _) = Set::decode(&path, identity, &bytes)?;
        listed.push(ListedSet::new(set, &bytes));
    }
    listed.sort_by_key(|listed| (listed.set.first, listed.set.last));
    follow(root, listed.iter().map(|listed| &listed.set))?;
    Ok(listed)
}

impl ListedSet {
    fn new(set: Set, bytes: &[u8]) -> Self {
        let nowhere = Path::new("");
        let set_file =
            ListedFile { path: set.path(nowhere), bytes: bytes.len() as u64, check: crc32c(bytes) };
        let mut files = Vec::new();
        for part in set.kept() {
            for (table, file) in part.files.iter().enumerate() {
                let path = part.path(nowhere, table, &set);
                files.push(ListedFile { path, bytes: file.bytes, check: file.check });
            }
        }
        Self { set, set_file, files }
    }
}
