//! The plan of a write that takes several batches: all of it, durable before the first of them.
//!
//! sled 0.34 keeps in memory, and on disk, much of what one batch of thousands of entries has replaced, and never lets
//! go of it. Of 180 times the same 10,000 entries of 400 bytes, with a cache of 32 MiB, it had 302, 784 and 1,499 MB of
//! memory after 30, 90 and 180 where each time was one batch; 23, 38 and 39 MB, in half the time, in batches of
//! [`BATCH_MAX`]. But several batches are not one: where the machine stops between two of them, the next start goes
//! through the plan once more, from its first step on.
//!
//! The file is written in place. One that is cut short, or was overwritten in part, fails its checksum, and then
//! nothing of it was begun; one that is older than what the catalog's header says was done long ago. So there is
//! nothing to remove, and no order of removals to keep.
//!
//! | bytes | |
//! |---|---|
//! | 8 | length of what follows the checksum |
//! | 4 | CRC32C of what follows |
//! | header | before the first step |
//! | header | after the last one |
//! | steps | key length u16, key, 0xFF 0xFF to remove it, or the stored value's length u16 and the value |
//!
//! Numbers are little-endian.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::Header;
use crate::disk::plain;

/// Steps of one sled batch.
pub(super) const BATCH_MAX: usize = 128;
/// Beside sled's own files.
const NAME: &str = "plan";
/// In place of a length: no value is that long.
const REMOVE: u16 = u16::MAX;
const HEAD_BYTES: usize = 12;

/// One change: what is stored under a key afterwards; `None`: nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) key: Vec<u8>,
    pub(super) stored: Option<Vec<u8>>,
}

/// What is to be written, and between which headers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) from: Header,
    pub(super) to: Header,
    pub(super) steps: Vec<Step>,
}

impl Plan {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_BYTES];
        bytes.extend(self.from.to_bytes());
        bytes.extend(self.to.to_bytes());
        // Keys have some 20 bytes, and values are bounded.
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(REMOVE).to_le_bytes();
        for Step { key, stored } in &self.steps {
            bytes.extend(length(key));
            bytes.extend(key);
            match stored {
                Some(stored) => {
                    bytes.extend(length(stored));
                    bytes.extend(stored);
                }
                None => bytes.extend(REMOVE.to_le_bytes()),
            }
        }
        let (head, rest) = bytes.split_at_mut(HEAD_BYTES);
        let sum = crc32c::crc32c(rest).to_le_bytes();
        head.copy_from_slice(&[&(rest.len() as u64).to_le_bytes()[..], &sum].concat());
        bytes
    }

    /// `None` where it is not whole.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (sum, rest) = rest.split_first_chunk()?;
        let mut rest = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        if crc32c::crc32c(rest) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut header = || {
            let (bytes, left) = rest.split_at_checked(Header::BYTES)?;
            rest = left;
            Header::from_bytes(bytes).ok()
        };
        let (from, to) = (header()?, header()?);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let key = part(&mut rest)??;
            steps.push(Step { key, stored: part(&mut rest)? });
        }
        Some(Self { from, to, steps })
    }
}

/// The next length and as many bytes; inside, `None` for what is to be removed.
fn part(rest: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let (length, left) = rest.split_first_chunk()?;
    let length = u16::from_le_bytes(*length);
    *rest = left;
    if length == REMOVE {
        return Some(None);
    }
    let (bytes, left) = rest.split_at_checked(length.into())?;
    *rest = left;
    Some(Some(bytes.to_vec()))
}

/// The file.
#[derive(Debug)]
pub(super) struct PlanFile(File);

impl PlanFile {
    /// Opens it; one that is not there is made, and the folder is to be synced.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        plain::call(|| options.open(&path)).map(Self)
    }

    /// Returns once it is durable.
    pub(super) fn write(&mut self, plan: &Plan) -> io::Result<()> {
        let bytes = plan.to_bytes();
        self.0.seek(SeekFrom::Start(0))?;
        plain::write_all(&mut self.0, &bytes)?;
        plain::call(|| {
            self.0.set_len(bytes.len() as u64)?;
            self.0.sync_data()
        })
    }

    /// The plan that was written last, where it is whole.
    pub(super) fn read(&mut self) -> io::Result<Option<Plan>> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        self.0.read_to_end(&mut bytes)?;
        Ok(Plan::from_bytes(&bytes))
    }
}
