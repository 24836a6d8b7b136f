//! The catalog: small derived values in sled 0.34, each checked, all written together.
//!
//! Nothing here is the truth: whatever is wrong with it, it is moved aside and made again from
//! the journal. So the catalog need not survive everything, but it must never be wrong unnoticed:
//!
//! - Each value carries the CRC32C of its key and itself.
//! - The header holds how many entries there are and the sum of their [`Mark`]s (SipHash-2-4 of
//!   key and value, under a fixed key: against accidents, not attackers), and is written in the
//!   same sled batch or, where there is more than goes into one, in a last one once the others are
//!   durable (see `plan`). So an entry that is lost, doubled or older than the header is noticed too.
//! - All is read, and checked, when it is opened. sled may panic on damage; that is caught.
//!
//! sled 0.34 on Linux: `flush` is `sync_file_range`, which syncs neither metadata nor the device's
//! cache; so [`Catalog::write`] follows it with `fdatasync` of sled's `db` file, and the folder is
//! synced once made. Values above 128 KiB would go to files that sled never syncs; ours have
//! [`VALUE_BYTES_MAX`] at most. There is one writer, and every error of it is fatal: the caller
//! must not go on as if a checkpoint stood.
//!
//! | key | value |
//! |---|---|
//! | `00` | header: format version u16, identity of the data folder (16 bytes), entries u64, sum of marks u64; CRC32C u32 |
//! | any other | the value; CRC32C u32 of key and value |
//!
//! Numbers are little-endian.

use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher24;

use crate::disk::plain;
use plan::{BATCH_MAX, Plan, PlanFile, Step};

mod plan;

/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 4096;

/// The format written; a newer one is not read. Version 2 has more entries and longer ones than 1, in the
/// same form (see `summary::stored`).
const VERSION: u16 = 2;
const HEADER_KEY: &[u8] = &[0];
const CRC_BYTES: usize = 4;

/// How long to wait for sled's lock on its file: its own threads may hold it a moment after the
/// last catalog of this process was dropped.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// The catalog failed; the server must stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// Reading or writing a file or folder failed.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// As `sync`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// sled failed.
    #[error("cannot {doing} the catalog at {path}: {source}")]
    Sled {
        /// As `write to`.
        doing: &'static str,
        /// The folder.
        path: PathBuf,
        /// Why.
        source: sled::Error,
    },
    /// Another process uses it.
    #[error("the catalog at {path} is in use by another process")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A value is too long: a defect of the caller.
    #[error("a catalog value has {bytes} bytes; the bound is {VALUE_BYTES_MAX}")]
    ValueTooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Why a catalog was not opened.
#[derive(Debug)]
pub enum NotOpened {
    /// It is missing, damaged, of another data folder or version: to be moved aside and made
    /// again. The text says what is wrong.
    Unusable(String),
    /// That would not help.
    Failed(CatalogError),
}

/// Stands for a value as it is stored: given when it is written or read, and given back when it
/// is replaced or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

/// What is to be written, all of it or nothing.
#[derive(Debug, Default)]
pub struct Changes {
    steps: Vec<Step>,
    entries_added: u64,
    entries_removed: u64,
    marks_added: u64,
    marks_removed: u64,
}

impl Changes {
    /// Puts `value` under `key` (any but the single byte 0); `old` is the mark of the value it
    /// replaces, if it replaces one.
    ///
    /// # Errors
    /// [`CatalogError::ValueTooLong`] past [`VALUE_BYTES_MAX`].
    pub fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        old: Option<Mark>,
    ) -> Result<Mark, CatalogError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(CatalogError::ValueTooLong { bytes: value.len() });
        }
        match old {
            Some(Mark(mark)) => self.marks_removed = self.marks_removed.wrapping_add(mark),
            None => self.entries_added += 1,
        }
        let mark = mark_of(key, value);
        self.marks_added = self.marks_added.wrapping_add(mark.0);
        self.steps.push(Step { key: key.to_vec(), stored: Some(with_crc(key, value)) });
        Ok(mark)
    }

    /// Removes the value under `key`, whose mark is `old`.
    pub fn remove(&mut self, key: &[u8], old: Mark) {
        self.entries_removed += 1;
        self.marks_removed = self.marks_removed.wrapping_add(old.0);
        self.steps.push(Step { key: key.to_vec(), stored: None });
    }
}

/// An open catalog. One thread writes to it.
#[derive(Debug)]
pub struct Catalog {
    db: sled::Db,
    /// sled's own file, to sync it.
    file: File,
    plan: PlanFile,
    path: PathBuf,
    header: Header,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    identity: [u8; 16],
    entries: u64,
    sum: u64,
}

impl Catalog {
    /// Opens the catalog in the folder `path`, made for the data folder `identity`, and hands
    /// every entry to `take`, which may find it wrong. sled keeps at most about `cache_bytes` of
    /// it in memory.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open(
        path: &Path,
        identity: [u8; 16],
        cache_bytes: u64,
        mut take: impl FnMut(&[u8], &[u8], Mark) -> Result<(), String>,
    ) -> Result<Self, NotOpened> {
        if !path.exists() {
            return Err(NotOpened::Unusable(format!("there was no catalog at {}", path.display())));
        }
        // sled checks its pages with assertions. What it leaves behind when one fails is dropped
        // here, and its folder is moved aside, so that nothing half-made is used.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let db = open_sled(path, cache_bytes)?;
            let mut catalog = Self::with(db, path).map_err(NotOpened::Failed)?;
            catalog.go_on()?;
            catalog.header = read_all(&catalog.db, &mut take)?;
            Ok(catalog)
        }));
        let catalog = match opened {
            Ok(opened) => opened?,
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("no reason given");
                return Err(NotOpened::Unusable(format!("sled gave up on it: {text}")));
            }
        };
        if catalog.header.identity != identity {
            return Err(NotOpened::Unusable("it was made for another data folder".to_owned()));
        }
        Ok(catalog)
    }

    /// Makes an empty catalog in the folder `path`, which must not exist.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn create(path: &Path, identity: [u8; 16], cache_bytes: u64) -> Result<Self, CatalogError> {
        plain::call(|| std::fs::create_dir_all(path))
            .map_err(|source| io_error("make", path, source))?;
        let db = open_sled(path, cache_bytes).map_err(|error| match error {
            NotOpened::Failed(error) => error,
            NotOpened::Unusable(reason) => {
                io_error("start the catalog at", path, io::Error::other(reason))
            }
        })?;
        let mut catalog = Self::with(db, path)?;
        catalog.header.identity = identity;
        catalog.write(Changes::default())?;
        sync_folder(path)?;
        if let Some(parent) = path.parent() {
            sync_folder(parent)?;
        }
        Ok(catalog)
    }

    /// Its header is not read yet.
    fn with(db: sled::Db, path: &Path) -> Result<Self, CatalogError> {
        let db_path = path.join("db");
        let file = File::options()
            .write(true)
            .open(&db_path)
            .map_err(|source| io_error("open", &db_path, source))?;
        let plan = PlanFile::open(path).map_err(|source| io_error("open", path, source))?;
        sync_folder(path)?;
        let header = Header { identity: [0; 16], entries: 0, sum: 0 };
        Ok(Self { db, file, plan, path: path.to_owned(), header })
    }

    /// Writes all of `changes` and the header, or nothing; returns once they are durable.
    ///
    /// # Errors
    /// [`CatalogError`], upon which this catalog must not be used any more.
    pub fn write(&mut self, changes: Changes) -> Result<(), CatalogError> {
        let from = self.header;
        let mut to = from;
        to.entries = (from.entries + changes.entries_added).saturating_sub(changes.entries_removed);
        to.sum = from.sum.wrapping_add(changes.marks_added).wrapping_sub(changes.marks_removed);
        let plan = Plan { from, to, steps: changes.steps };
        // With the header.
        if plan.steps.len() < BATCH_MAX {
            self.apply(&plan.steps, Some(to))?;
        } else {
            self.plan.write(&plan).map_err(|source| io_error("write to", &self.path, source))?;
            self.follow(&plan)?;
        }
        self.make_durable()?;
        self.header = to;
        Ok(())
    }

    /// Ends what was being written when the machine stopped, if anything was.
    fn go_on(&mut self) -> Result<(), NotOpened> {
        let read = self.plan.read().map_err(|source| io_error("read from", &self.path, source));
        let Some(plan) = read.map_err(NotOpened::Failed)? else { return Ok(()) };
        // What cannot be read is told by reading all.
        let stored = self.db.get(HEADER_KEY).ok().flatten();
        let header = stored.as_deref().and_then(|stored| without_crc(HEADER_KEY, stored).ok());
        if header.and_then(|bytes| Header::from_bytes(bytes).ok()) != Some(plan.from) {
            // Another was written since.
            return Ok(());
        }
        self.follow(&plan).and_then(|()| self.make_durable()).map_err(|error| match error {
            CatalogError::Sled { source: sled::Error::Io(cause), .. }
                if !is_of_the_disk(&cause) =>
            {
                NotOpened::Unusable(format!("sled cannot write to it: {cause}"))
            }
            CatalogError::Sled { source: sled::Error::Io(_), .. } | CatalogError::Io { .. } => {
                NotOpened::Failed(error)
            }
            error => NotOpened::Unusable(error.to_string()),
        })
    }

    /// The header goes last, once all that it speaks of is durable.
    fn follow(&self, plan: &Plan) -> Result<(), CatalogError> {
        for steps in plan.steps.chunks(BATCH_MAX) {
            self.apply(steps, None)?;
        }
        self.make_durable()?;
        self.apply(&[], Some(plan.to))
    }

    fn apply(&self, steps: &[Step], header: Option<Header>) -> Result<(), CatalogError> {
        let mut batch = sled::Batch::default();
        for Step { key, stored } in steps {
            match stored {
                Some(stored) => batch.insert(key.as_slice(), stored.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        if let Some(header) = header {
            batch.insert(HEADER_KEY, with_crc(HEADER_KEY, &header.to_bytes()));
        }
        self.db.apply_batch(batch).map_err(self.sled_error("write to"))
    }

    fn make_durable(&self) -> Result<(), CatalogError> {
        self.db.flush().map_err(self.sled_error("flush"))?;
        plain::call(|| self.file.sync_data()).map_err(|source| io_error("sync", &self.path, source))
    }

    fn sled_error(&self, doing: &'static str) -> impl Fn(sled::Error) -> CatalogError + use<> {
        let path = self.path.clone();
        move |source| CatalogError::Sled { doing, path: path.clone(), source }
    }

    /// How many entries it holds.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.header.entries
    }
}

/// Moves the folder `path` aside, to a free name beside it that says what it is, and tells that
/// name; `None` where there is none to move. Nothing deletes it: someone may want to see what
/// happened.
///
/// # Errors
/// [`CatalogError::Io`].
pub fn move_aside(path: &Path) -> Result<Option<PathBuf>, CatalogError> {
    if !path.exists() {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let free = (1_u32..)
        .map(|n| path.with_file_name(format!("{name}.unusable-{n}")))
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| path.with_file_name(format!("{name}.unusable")));
    plain::call(|| std::fs::rename(path, &free))
        .map_err(|source| io_error("move aside", path, source))?;
    if let Some(parent) = path.parent() {
        sync_folder(parent)?;
    }
    Ok(Some(free))
}

impl Header {
    const BYTES: usize = 34;

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.identity);
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&self.sum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (version, rest) = bytes.split_first_chunk().ok_or("its header is too short")?;
        let version = u16::from_le_bytes(*version);
        if !(1..=VERSION).contains(&version) {
            return Err(format!(
                "its format has version {version}, and this program reads up to {VERSION}"
            ));
        }
        let fields = rest.split_first_chunk::<16>().and_then(|(identity, rest)| {
            let (entries, rest) = rest.split_first_chunk()?;
            let sum = rest.first_chunk()?;
            let (entries, sum) = (u64::from_le_bytes(*entries), u64::from_le_bytes(*sum));
            Some(Self { identity: *identity, entries, sum })
        });
        fields.ok_or_else(|| "its header is too short".to_owned())
    }
}

fn open_sled(path: &Path, cache_bytes: u64) -> Result<sled::Db, NotOpened> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(cache_bytes)
        // Written at checkpoints alone.
        .flush_every_ms(None);
    let give_up = Instant::now() + LOCK_WAIT;
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(sled::Error::Io(error)) if error.to_string().contains("acquire lock") => {
                if Instant::now() >= give_up {
                    return Err(NotOpened::Failed(CatalogError::InUse { path: path.to_owned() }));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            // Nothing is wrong with it, and another one could not be made either.
            Err(sled::Error::Io(error)) if is_of_the_disk(&error) => {
                return Err(NotOpened::Failed(io_error("open", path, error)));
            }
            Err(error) => return Err(NotOpened::Unusable(format!("sled cannot open it: {error}"))),
        }
    }
}

/// Whether an error is that of the disk or of who may use it, and no damage.
fn is_of_the_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// Reads and checks everything, and returns the header.
fn read_all(
    db: &sled::Db,
    take: &mut impl FnMut(&[u8], &[u8], Mark) -> Result<(), String>,
) -> Result<Header, NotOpened> {
    let mut header = None;
    let (mut entries, mut sum) = (0_u64, 0_u64);
    for entry in db.iter() {
        let (key, stored) = entry
            .map_err(|error| NotOpened::Unusable(format!("sled cannot read from it: {error}")))?;
        let value = without_crc(&key, &stored).map_err(NotOpened::Unusable)?;
        if key.as_ref() == HEADER_KEY {
            header = Some(Header::from_bytes(value).map_err(NotOpened::Unusable)?);
            continue;
        }
        if header.is_none() {
            // The header's key comes first. Without it the version is not known.
            break;
        }
        let mark = mark_of(&key, value);
        entries += 1;
        sum = sum.wrapping_add(mark.0);
        take(&key, value, mark).map_err(NotOpened::Unusable)?;
    }
    let header = header.ok_or_else(|| NotOpened::Unusable("it has no header".to_owned()))?;
    if (entries, sum) != (header.entries, header.sum) {
        return Err(NotOpened::Unusable(format!(
            "its {entries} entries are not the {} that its header speaks of",
            header.entries
        )));
    }
    Ok(header)
}

fn mark_of(key: &[u8], value: &[u8]) -> Mark {
    let mut hasher = SipHasher24::new();
    hasher.write(key);
    // Keys are told from values by their length.
    hasher.write_u64(key.len() as u64);
    hasher.write(value);
    Mark(hasher.finish())
}

fn with_crc(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(value.len() + CRC_BYTES);
    stored.extend_from_slice(value);
    stored.extend_from_slice(&crc(key, value).to_le_bytes());
    stored
}

fn without_crc<'a>(key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], String> {
    match stored.split_last_chunk::<CRC_BYTES>() {
        Some((value, stated)) if u32::from_le_bytes(*stated) == crc(key, value) => Ok(value),
        _ => Err(format!("the checksum of the entry {key:02x?} is wrong")),
    }
}

fn crc(key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), value)
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> CatalogError {
    CatalogError::Io { doing, path: path.to_owned(), source }
}

fn sync_folder(path: &Path) -> Result<(), CatalogError> {
    // A relative path of one part has the parent "".
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    plain::sync_folder(path).map_err(|source| io_error("sync", path, source))
}

#[cfg(test)]
mod tests;
