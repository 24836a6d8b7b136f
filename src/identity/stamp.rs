//! What tells that a file is another one than before.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// When a file was changed and written, its length and its number; nothing of one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(Option<[i64; 6]>);

impl Stamp {
    /// Of the file at `path`, as it is now.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let found = std::fs::metadata(path).ok();
        Self(found.map(|found| {
            // As numbers they mean nothing here: only whether they are the same.
            let (length, number) = (found.len().cast_signed(), found.ino().cast_signed());
            [found.ctime(), found.ctime_nsec(), found.mtime(), found.mtime_nsec(), length, number]
        }))
    }
}
