//! The agreements of a data folder: one version a line of their book.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::agreement::{Agreement, AgreementId, Version};
use super::known::{Known, Place};
use super::line::{Line, Stored};
use super::terms::{NOTE_BYTES_MAX, Terms};
use super::{BOOK, RecordError, Wrong};
use crate::book::{Book, Found, Recorder, StoreError, read};

/// All agreements of a data folder. Clones share them.
#[derive(Debug, Clone)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: RwLock<Known>,
    /// One writes at a time.
    book: Mutex<Book>,
}

/// Reads the file at `path` and changes nothing.
pub(super) fn check(path: &Path) -> Result<Found, StoreError> {
    let mut known = Known::default();
    let extent = read(&BOOK, path, |line| known.take(line))?;
    Ok(Found { things: known.agreements.len(), versions: known.lines, torn_bytes: extent.torn })
}

impl Store {
    /// Opens the agreements of a data folder, every line of which is checked.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let mut known = Known::default();
        let book = Book::open(&BOOK, data_dir, |line| known.take(line))?;
        Ok(Self(Arc::new(Shared { known: RwLock::new(known), book: Mutex::new(book) })))
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
        let mut book = self.book();
        let place = self.read(|known| known.first(&terms))?;
        self.append(&mut book, place, terms, recorder, None)
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
        let mut book = self.book();
        let place = self.read(|known| known.next_with(id, replaces, &terms))?;
        self.append(&mut book, place, terms, recorder, None)
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
        let mut book = self.book();
        let (place, terms) = self.read(|known| {
            let (place, before) = known.next(id, replaces)?;
            Ok::<_, RecordError>((place, before.terms.clone()))
        })?;
        self.append(&mut book, place, terms, recorder, Some(reason))
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
        book: &mut Book,
        Place { id, version: number }: Place,
        terms: Terms,
        Recorder { by, at, on }: Recorder,
        withdrawn: Option<String>,
    ) -> Result<Arc<Agreement>, RecordError> {
        let version =
            Version { number, terms, recorded_by: by, recorded_at: at, recorded_on: on, withdrawn };
        let n = self.read(|known| known.lines) + 1;
        let line = Line { n, agreement: id, version };
        if let Some(what) = book.append(&Stored::of(&line))? {
            return Err(RecordError::Full { what });
        }
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.apply(line).map_err(|why| book.failed(std::io::Error::other(why)).into())
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}
