//! The profiles of a data folder: one version a line of their book.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::known::{Known, Place};
use super::line::{Line, Stored};
use super::{BOOK, Profile, ProfileId, RecordError, TEXT_BYTES_MAX, Terms, Version, Wrong};
use crate::book::{Book, Found, Recorder, StoreError, read};

/// All profiles of a data folder. Clones share them.
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
    Ok(Found { things: known.profiles.len(), versions: known.lines, torn_bytes: extent.torn })
}

impl Store {
    /// Opens the profiles of a data folder, every line of which is checked.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let mut known = Known::default();
        let book = Book::open(&BOOK, data_dir, |line| known.take(line))?;
        Ok(Self(Arc::new(Shared { known: RwLock::new(known), book: Mutex::new(book) })))
    }

    /// The profile `id`.
    #[must_use]
    pub fn get(&self, id: ProfileId) -> Option<Arc<Profile>> {
        self.read(|known| known.profiles.get(&id).cloned())
    }

    /// Those after `after` for which `is_wanted`, by id.
    #[must_use]
    pub fn list(
        &self,
        after: Option<ProfileId>,
        is_wanted: impl Fn(&Profile) -> bool,
    ) -> Vec<Arc<Profile>> {
        let from = ProfileId(after.map_or(0, |ProfileId(after)| after.saturating_add(1)));
        self.read(|known| {
            let wanted = known.profiles.range(from..).map(|(_, profile)| profile);
            wanted.filter(|profile| is_wanted(profile)).cloned().collect()
        })
    }

    /// Records a new profile; it is on disk when this returns. Blocks.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is recorded then.
    pub fn record(&self, terms: Terms, recorder: Recorder) -> Result<Arc<Profile>, RecordError> {
        terms.check_on(recorder.on)?;
        let mut book = self.book();
        let place = self.read(|known| known.first(&terms))?;
        self.append(&mut book, place, terms, recorder, None)
    }

    /// Records another version of profile `id` in place of version `replaces`, likewise.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is recorded then.
    pub fn change(
        &self,
        id: ProfileId,
        replaces: u32,
        terms: Terms,
        recorder: Recorder,
    ) -> Result<Arc<Profile>, RecordError> {
        terms.check_on(recorder.on)?;
        let mut book = self.book();
        let place = self.read(|known| known.next_with(id, replaces, &terms))?;
        self.append(&mut book, place, terms, recorder, None)
    }

    /// Records that profile `id`, as of version `replaces`, flags nothing more, likewise.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is recorded then.
    pub fn withdraw(
        &self,
        id: ProfileId,
        replaces: u32,
        reason: String,
        recorder: Recorder,
    ) -> Result<Arc<Profile>, RecordError> {
        if reason.len() > TEXT_BYTES_MAX {
            let why = format!("has {} bytes; the bound is {TEXT_BYTES_MAX}", reason.len());
            return Err(Wrong { field: "reason".into(), why }.into());
        }
        let mut book = self.book();
        let (place, terms) = self.read(|known| {
            let (place, before) = known.next(id, replaces)?;
            Ok::<_, RecordError>((place, before.terms.clone()))
        })?;
        self.append(&mut book, place, terms, recorder, Some(reason))
    }

    fn append(
        &self,
        book: &mut Book,
        Place { id, version: number }: Place,
        terms: Terms,
        Recorder { by, at, on }: Recorder,
        withdrawn: Option<String>,
    ) -> Result<Arc<Profile>, RecordError> {
        let version =
            Version { number, terms, recorded_by: by, recorded_at: at, recorded_on: on, withdrawn };
        let n = self.read(|known| known.lines) + 1;
        let line = Line { n, profile: id, version };
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
