//! The agreements of a data folder: JSON Lines in `agreements/agreements.jsonl`, one version a line, only ever
//! appended to and synced before it is answered.
//!
//! | bytes | what |
//! |---|---|
//! | JSON | a version, with the CRC32C of all before it as its last field (see `line`) |
//! | `\n` | |
//!
//! A last line without its line feed was being written when the machine stopped: nobody was answered on it, and the
//! next start cuts it off. Anything else that is not as it was written is damage, and is told with its line: the
//! server does not start on it. What cannot be seen is that whole lines are missing at the end; a backup has them.
//!
//! The file is read once, at the start; all is in memory, bounded by [`FILE_BYTES_MAX`].

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::agreement::{Agreement, AgreementId, Version};
use super::known::{Known, Place};
use super::line::{FORMAT, LINE_BYTES_MAX, Line, LineError};
use super::terms::{NOTE_BYTES_MAX, Terms};
use super::{FOLDER, RecordError, StoreError, Wrong};
use crate::day::{Day, Moment};

/// The file in the folder.
pub const NAME: &str = "agreements.jsonl";

/// Bytes of the file at most: some 20,000 versions with a short note. In memory they take about twice as much.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

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

/// All agreements of a data folder. Clones share them.
#[derive(Debug, Clone)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: RwLock<Known>,
    /// One writes at a time.
    file: Mutex<Appending>,
}

#[derive(Debug)]
struct Appending {
    path: PathBuf,
    file: File,
    /// Bytes that are synced.
    length: u64,
}

/// What a file of agreements was found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Agreements.
    pub agreements: usize,
    /// Their versions.
    pub versions: u64,
    /// Bytes at the end that were being written.
    pub torn_bytes: u64,
}

/// Where the agreements of a data folder are.
#[must_use]
pub fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER).join(NAME)
}

/// Reads the file at `path` and changes nothing; nothing in it where it is not there.
///
/// # Errors
/// The first line that is not what was written.
pub fn check(path: &Path) -> Result<Found, StoreError> {
    let (known, _, torn_bytes) = read(path)?;
    Ok(Found { agreements: known.agreements.len(), versions: known.lines, torn_bytes })
}

/// What the file holds, how many bytes of it that are, and how many more were being written.
fn read(path: &Path) -> Result<(Known, u64, u64), StoreError> {
    let io = |source| StoreError::Io { path: path.into(), source };
    let mut known = Known::default();
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((known, 0, 0)),
        Err(error) => return Err(io(error)),
    };
    let mut whole = 0;
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, byte) = (known.lines + 1, whole);
        let damaged = |why: String| StoreError::Damaged { path: path.into(), line, byte, why };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(damaged(format!("the file has more than {FILE_BYTES_MAX} bytes")));
        }
        let Some(text) = piece.strip_suffix(b"\n") else {
            // One byte of a whole line changed: that was answered.
            let is_whole = piece.split_last().is_some_and(|(_, text)| Line::decode(text).is_ok());
            if is_whole || piece.len() > LINE_BYTES_MAX {
                return Err(damaged("it has no line feed at its end".into()));
            }
            return Ok((known, whole, piece.len() as u64));
        };
        let decoded = Line::decode(text).map_err(|error| match error {
            LineError::Damaged(why) => damaged(why),
            LineError::Newer(found) => {
                StoreError::Newer { path: path.into(), line, found, newest: FORMAT }
            }
        })?;
        known.apply(decoded).map_err(damaged)?;
        whole += piece.len() as u64;
    }
    Ok((known, whole, 0))
}

impl Store {
    /// Opens the agreements of a data folder, every line of which is checked.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = path_in(data_dir);
        let folder = data_dir.join(FOLDER);
        let io = |source| StoreError::Io { path: path.clone(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io)?;
        let (known, length, torn_bytes) = read(&path)?;
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(io)?;
        if torn_bytes > 0 {
            // It was never synced, so nobody was answered on it.
            tracing::warn!(path = %path.display(), torn_bytes, "cut off what was being written");
            file.set_len(length).map_err(io)?;
        }
        // Whole lines may be there that were never synced: from here on they count. And the names.
        let synced = file.sync_all();
        let synced = synced.and_then(|()| File::open(&folder)?.sync_all());
        synced.and_then(|()| File::open(data_dir)?.sync_all()).map_err(io)?;
        let file = Mutex::new(Appending { path, file, length });
        Ok(Self(Arc::new(Shared { known: RwLock::new(known), file })))
    }

    /// The agreement `id`.
    #[must_use]
    pub fn get(&self, id: AgreementId) -> Option<Arc<Agreement>> {
        self.read(|known| known.agreements.get(&id).cloned())
    }

    /// Those after `after` for which `is_wanted`, by id.
    #[must_use]
    pub fn list(
        &self,
        after: Option<AgreementId>,
        is_wanted: impl Fn(&Agreement) -> bool,
    ) -> Vec<Arc<Agreement>> {
        let from = AgreementId(after.map_or(0, |AgreementId(after)| after.saturating_add(1)));
        self.read(|known| {
            let wanted = known.agreements.range(from..).map(|(_, agreement)| agreement);
            wanted.filter(|agreement| is_wanted(agreement)).cloned().collect()
        })
    }

    /// Records a new agreement; it is on disk when this returns. Blocks.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is recorded then.
    pub fn record(&self, terms: Terms, recorder: Recorder) -> Result<Arc<Agreement>, RecordError> {
        let mut file = self.file();
        let place = self.read(|known| known.first(&terms))?;
        self.append(&mut file, place, terms, recorder, None)
    }

    /// Records another version of agreement `id` in place of version `replaces`, likewise.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is recorded then.
    pub fn change(
        &self,
        id: AgreementId,
        replaces: u32,
        terms: Terms,
        recorder: Recorder,
    ) -> Result<Arc<Agreement>, RecordError> {
        let mut file = self.file();
        let place = self.read(|known| known.next_with(id, replaces, &terms))?;
        self.append(&mut file, place, terms, recorder, None)
    }

    /// Records that agreement `id`, as of version `replaces`, holds no more, likewise.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is recorded then.
    pub fn withdraw(
        &self,
        id: AgreementId,
        replaces: u32,
        reason: String,
        recorder: Recorder,
    ) -> Result<Arc<Agreement>, RecordError> {
        if reason.len() > NOTE_BYTES_MAX {
            let why = format!("has {} bytes; the bound is {NOTE_BYTES_MAX}", reason.len());
            return Err(Wrong { field: "reason", why }.into());
        }
        let mut file = self.file();
        let (place, terms) = self.read(|known| {
            let (place, before) = known.next(id, replaces)?;
            Ok::<_, RecordError>((place, before.terms.clone()))
        })?;
        self.append(&mut file, place, terms, recorder, Some(reason))
    }

    /// What would become of a new version, before its terms are known in full.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn may_change(&self, id: AgreementId, replaces: u32) -> Result<(), RecordError> {
        self.read(|known| known.next(id, replaces).map(drop))
    }

    fn append(
        &self,
        file: &mut Appending,
        Place { id, version: number }: Place,
        terms: Terms,
        Recorder { by, at, on }: Recorder,
        withdrawn: Option<String>,
    ) -> Result<Arc<Agreement>, RecordError> {
        let version =
            Version { number, terms, recorded_by: by, recorded_at: at, recorded_on: on, withdrawn };
        let n = self.read(|known| known.lines) + 1;
        let line = Line { n, agreement: id, version };
        let mut bytes = line.encode().map_err(|error| file.failed(error.into()))?;
        bytes.push(b'\n');
        if file.length + bytes.len() as u64 > FILE_BYTES_MAX {
            let what =
                format!("{} has {} bytes, of {FILE_BYTES_MAX}", file.path.display(), file.length);
            return Err(RecordError::Full { what });
        }
        file.append(&bytes).map_err(|error| file.failed(error))?;
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.apply(line).map_err(|why| file.failed(std::io::Error::other(why)).into())
    }

    fn file(&self) -> std::sync::MutexGuard<'_, Appending> {
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Appending {
    /// Appends and syncs. Where that fails, nobody is answered on what may be there: it is cut off, now or
    /// before anything is written again.
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.cut_back()?;
        let written = self.write(bytes);
        match written {
            Ok(()) => self.length += bytes.len() as u64,
            Err(_) => drop(self.cut_back()),
        }
        written
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

    fn failed(&self, source: std::io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), source }
    }
}
