//! The plans and outcomes of a data folder: one a line of their book.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::known::{Entry, Known};
use super::line::{Line, Stored};
use super::plan::{Outcome, Plan, PlanId, Terms};
use super::{BOOK, ItemId, RecordError, Secret};
use crate::book::{Book, Found, Recorder, StoreError, read};

/// All plans of a data folder. Clones share them.
#[derive(Debug, Clone)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: RwLock<Known>,
    /// One writes at a time.
    book: Mutex<Book>,
}

/// A plan with the newest outcome of each goods item that was controlled.
pub type PlanOutcomes = (Arc<Plan>, Arc<BTreeMap<ItemId, Outcome>>);

/// Reads the file at `path` and changes nothing.
pub(super) fn check(path: &Path) -> Result<Found, StoreError> {
    let mut known = Known::default();
    let extent = read(&BOOK, path, |line| known.take(line))?;
    Ok(Found { things: known.plans.len(), versions: known.lines, torn_bytes: extent.torn })
}

impl Store {
    /// Opens the plans of a data folder, every line of which is checked.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let mut known = Known::default();
        let book = Book::open(&BOOK, data_dir, |line| known.take(line))?;
        Ok(Self(Arc::new(Shared { known: RwLock::new(known), book: Mutex::new(book) })))
    }

    /// The plan `id`, and what controls found.
    #[must_use]
    pub fn get(&self, id: PlanId) -> Option<PlanOutcomes> {
        let found = self.read(|known| known.plans.get(&id).cloned());
        found.map(|Entry { plan, outcomes }| (plan, outcomes))
    }

    /// The plans after `after`, by id.
    #[must_use]
    pub fn list(&self, after: Option<PlanId>) -> Vec<Arc<Plan>> {
        let from = PlanId(after.map_or(0, |PlanId(after)| after.saturating_add(1)));
        self.read(|known| known.plans.range(from..).map(|(_, entry)| entry.plan.clone()).collect())
    }

    /// Records a plan with a secret of its own; it is on disk when this returns. Blocks.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is recorded then.
    pub fn record(&self, terms: Terms, recorder: Recorder) -> Result<Arc<Plan>, RecordError> {
        terms.check_on(recorder.on)?;
        let mut book = self.book();
        let id = self.read(|known| known.first(&terms, recorder.on))?;
        let plan = Plan {
            id,
            terms,
            secret: Secret::new()?,
            recorded_by: recorder.by,
            recorded_at: recorder.at,
            recorded_on: recorder.on,
        };
        self.append(&mut book, Line::Plan(Box::new(plan)))?;
        let (plan, _) = self.get(id).ok_or(RecordError::Unknown(id))?;
        Ok(plan)
    }

    /// Records what a control found, likewise. Where the newest one says the same, nothing is written.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is recorded then.
    pub fn found(&self, id: PlanId, outcome: Outcome) -> Result<(), RecordError> {
        outcome.check()?;
        let mut book = self.book();
        if self.read(|known| known.is_new(id, &outcome))? {
            self.append(&mut book, Line::Outcome(id, outcome))?;
        }
        Ok(())
    }

    fn append(&self, book: &mut Book, line: Line) -> Result<(), RecordError> {
        let n = self.read(|known| known.lines) + 1;
        if let Some(what) = book.append(&Stored::of(n, &line))? {
            return Err(RecordError::Full { what });
        }
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.apply(n, line).map_err(|why| book.failed(std::io::Error::other(why)).into())
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}
