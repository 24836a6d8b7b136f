//! The file of a book: read whole, appended to and synced.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::line::{LineError, checked, encode};
use super::{Kind, StoreError};

/// What a book was found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What its lines are about: agreements, profiles.
    pub things: usize,
    /// Its lines, each a version of one.
    pub versions: u64,
    /// Bytes at the end that were being written.
    pub torn_bytes: u64,
}

/// How far a file is as it was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extent {
    /// Bytes of whole lines.
    pub(crate) whole: u64,
    /// Bytes after them that were being written.
    pub(crate) torn: u64,
}

/// A book that is open.
#[derive(Debug)]
pub(crate) struct Book {
    path: PathBuf,
    file: File,
    /// Bytes that are synced.
    length: u64,
    bytes_max: u64,
}

/// Has `apply` take each line of the file at `path`, in order; none where it is not there.
pub(crate) fn read(
    kind: &Kind,
    path: &Path,
    mut apply: impl FnMut(&[u8]) -> Result<(), LineError>,
) -> Result<Extent, StoreError> {
    let io = |source| StoreError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(kind.bytes_max + 1).read_to_end(&mut bytes).map_err(io)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Extent::default()),
        Err(error) => return Err(io(error)),
    };
    let mut whole = 0;
    for (line, piece) in (1_u64..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let damaged =
            |why: String| StoreError::Damaged { path: path.into(), line, byte: whole, why };
        if bytes.len() as u64 > kind.bytes_max {
            return Err(damaged(format!("the file has more than {} bytes", kind.bytes_max)));
        }
        let Some(text) = piece.strip_suffix(b"\n") else {
            // One byte of a whole line changed: that was answered.
            let is_whole = piece.split_last().is_some_and(|(_, text)| checked(text).is_some());
            if is_whole || piece.len() > kind.line_bytes_max {
                return Err(damaged("it has no line feed at its end".into()));
            }
            return Ok(Extent { whole, torn: piece.len() as u64 });
        };
        apply(text).map_err(|error| match error {
            LineError::Damaged(why) => damaged(why),
            LineError::Newer(found, newest) => {
                StoreError::Newer { path: path.into(), line, found, newest }
            }
        })?;
        whole += piece.len() as u64;
    }
    Ok(Extent { whole, torn: 0 })
}

impl Book {
    /// Opens the book of a data folder, every line of which `apply` takes; made where there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn open(
        kind: &Kind,
        data_dir: &Path,
        apply: impl FnMut(&[u8]) -> Result<(), LineError>,
    ) -> Result<Self, StoreError> {
        let path = kind.path_in(data_dir);
        let folder = data_dir.join(kind.folder);
        let io = |source| StoreError::Io { path: path.clone(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io)?;
        let Extent { whole: length, torn } = read(kind, &path, apply)?;
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(io)?;
        if torn > 0 {
            // It was never synced, so nobody was answered on it.
            tracing::warn!(path = %path.display(), torn_bytes = torn, "cut off what was being written");
            file.set_len(length).map_err(io)?;
        }
        // Whole lines may be there that were never synced: from here on they count. And the names.
        let synced = file.sync_all();
        let synced = synced.and_then(|()| File::open(&folder)?.sync_all());
        synced.and_then(|()| File::open(data_dir)?.sync_all()).map_err(io)?;
        Ok(Self { path, file, length, bytes_max: kind.bytes_max })
    }

    /// Appends a line and syncs it; where there is no room for it, `Some` says how much there may be, and nothing is
    /// written. Where it fails, nobody is answered on what may be there: it is cut off, now or before anything is
    /// written again.
    pub(crate) fn append(&mut self, object: &impl Serialize) -> Result<Option<String>, StoreError> {
        let mut bytes = encode(object).map_err(|error| self.failed(error.into()))?;
        bytes.push(b'\n');
        if self.length + bytes.len() as u64 > self.bytes_max {
            let (path, length) = (self.path.display(), self.length);
            return Ok(Some(format!("{path} has {length} bytes, of {}", self.bytes_max)));
        }
        self.cut_back().map_err(|error| self.failed(error))?;
        match self.write(&bytes) {
            Ok(()) => self.length += bytes.len() as u64,
            Err(error) => {
                drop(self.cut_back());
                return Err(self.failed(error));
            }
        }
        Ok(None)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    fn cut_back(&mut self) -> std::io::Result<()> {
        if self.file.metadata()?.len() == self.length {
            return Ok(());
        }
        self.file.set_len(self.length)?;
        self.file.sync_all()
    }

    /// An error of this file.
    pub(crate) fn failed(&self, source: std::io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), source }
    }
}
