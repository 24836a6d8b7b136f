//! Books: files of JSON Lines that only grow, each line checksummed and synced before it is answered.
//!
//! | bytes | what |
//! |---|---|
//! | JSON | an object, whose first fields are `format` and `n`, the line's number from 1 without gaps, and whose last one is `crc32c`: 8 hexadecimal digits over all bytes of the line before it |
//! | `\n` | |
//!
//! A last line without its line feed was being written when the machine stopped: nobody was answered on it, and the
//! next start cuts it off. Anything else that is not as it was written is damage, and is told with its line: the
//! server does not start on it. What cannot be seen is that whole lines are missing at the end; a backup has them.
//!
//! A book is read once, at the start; all that is made of it is in memory, bounded by [`Kind::bytes_max`].
//!
//! What the lines say is up to whoever keeps the book ([`crate::agreements`], [`crate::profiles`],
//! [`crate::samples`]).

mod error;
mod file;
mod line;

use std::path::{Path, PathBuf};

pub use error::StoreError;
pub use file::Found;
pub(crate) use file::{Book, read};
pub(crate) use line::{LineError, decode};

use crate::day::{Day, Moment};
use crate::{agreements, profiles, samples};

/// A kind of book: where it is in a data folder, and its bounds.
#[derive(Debug)]
pub struct Kind {
    /// The folder in the data folder; it has nothing else in it.
    pub folder: &'static str,
    /// The file in it.
    pub name: &'static str,
    /// Bytes of the file at most.
    pub bytes_max: u64,
    /// Bytes of a line at most.
    pub line_bytes_max: usize,
    /// Reads a file of this kind as a start does, and changes nothing.
    pub check: fn(&Path) -> Result<Found, StoreError>,
}

/// All kinds.
pub const KINDS: [&Kind; 3] = [&agreements::BOOK, &profiles::BOOK, &samples::BOOK];

impl Kind {
    /// The file in a data folder.
    #[must_use]
    pub fn path_in(&self, data_dir: &Path) -> PathBuf {
        data_dir.join(self.folder).join(self.name)
    }
}

/// Who records, and when.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// The client, by name.
    pub by: String,
    /// When.
    pub at: Moment,
    /// The day of that.
    pub on: Day,
}
