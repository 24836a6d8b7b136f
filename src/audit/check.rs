//! Reading the log back: each line is held against the hash in the one after it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::{Entry, Hash};

/// Bytes of a line at most: all texts at their longest, escaped, and more.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Of `YYYY-MM`, a file's name but for its extension.
pub(super) const MONTH_CHARACTERS: usize = 7;

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file or the folder cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not what was written.
    #[error("{path}, line {line}: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

/// The end of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The number of the last entry; 0 where there is none.
    pub n: u64,
    /// Its hash.
    pub hash: Hash,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.n, self.hash)
    }
}

/// What is at the end of the last file, where that ends within a line: a write that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub path: PathBuf,
    /// Bytes of it that are whole lines.
    pub whole: u64,
}

/// The files of the log in `folder`, oldest first; none where there is no folder.
///
/// # Errors
/// Where the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let io = |source| AuditError::Io { path: folder.into(), source };
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(io(error)),
    };
    for entry in entries {
        let path = entry.map_err(io)?.path();
        if is_month(&path) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// How many of the first `bytes` of a file of the log are whole lines: what is behind is being written. All of
/// them where that cannot be: reading tells what is wrong.
///
/// # Errors
/// As the file system gives them.
pub fn whole_lines(file: &File, bytes: u64) -> std::io::Result<u64> {
    let end = bytes.min(LINE_BYTES_MAX as u64 + 1);
    let mut read = vec![0; usize::try_from(end).unwrap_or_default()];
    file.read_exact_at(&mut read, bytes - end)?;
    Ok(match read.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => bytes - end + last as u64 + 1,
        None if end == bytes => 0,
        None => bytes,
    })
}

fn is_month(path: &Path) -> bool {
    let stem = path.file_stem().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    let is_digit = |(place, byte): (usize, u8)| {
        (place == 4) == (byte == b'-') && (place == 4 || byte.is_ascii_digit())
    };
    path.extension().is_some_and(|extension| extension == "jsonl")
        && stem.len() == MONTH_CHARACTERS
        && stem.bytes().enumerate().all(is_digit)
}

/// Reads all of the log in `folder`, and tells of each entry with its hash. What was cut off at the end is
/// told apart: it was never answered.
///
/// # Errors
/// The first line that is not what was written.
pub fn read(
    folder: &Path,
    mut tell: impl FnMut(&Entry, Hash),
) -> Result<(Head, Option<Torn>), AuditError> {
    let mut head = Head::default();
    let files = files(folder)?;
    for (number, path) in files.iter().enumerate() {
        let io = |source| AuditError::Io { path: path.clone(), source };
        let mut lines = BufReader::new(File::open(path).map_err(io)?);
        let (mut line, mut whole, mut text) = (0, 0, Vec::new());
        loop {
            text.clear();
            let mut bounded = std::io::Read::take(&mut lines, LINE_BYTES_MAX as u64 + 1);
            let read = bounded.read_until(b'\n', &mut text).map_err(io)?;
            if read == 0 {
                break;
            }
            line += 1;
            let damaged = |why: String| AuditError::Damaged { path: path.clone(), line, why };
            if text.pop_if(|last| *last == b'\n').is_none() {
                if read > LINE_BYTES_MAX {
                    return Err(damaged(format!("it has more than {LINE_BYTES_MAX} bytes")));
                }
                if number + 1 < files.len() {
                    return Err(damaged("it is cut off, and others follow".into()));
                }
                return Ok((head, Some(Torn { path: path.clone(), whole })));
            }
            whole += read as u64;
            let entry: Entry = serde_json::from_slice(&text)
                .map_err(|error| damaged(format!("it is no entry: {error}")))?;
            if entry.n != head.n + 1 {
                let (n, expected) = (entry.n, head.n + 1);
                return Err(damaged(format!("it is entry {n}, and should be {expected}")));
            }
            if entry.prev != head.hash {
                return Err(damaged(format!(
                    "entry {} is not what it was when entry {} was written, or that was changed",
                    head.n, entry.n
                )));
            }
            head = Head { n: entry.n, hash: Hash::of(&text) };
            tell(&entry, head.hash);
        }
    }
    Ok((head, None))
}
