//! The gate through which batches claim. While it is closed none does; when all that have claimed are
//! placed, one generation can take over from another unseen.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many batches have claimed and are not placed, and whether more may.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<Passing>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct Passing {
    is_closed: bool,
    in_flight: u64,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Passing> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a batch in, which must leave; false where the gate is closed.
    pub(super) fn enter(&self) -> bool {
        let mut passing = self.lock();
        if passing.is_closed {
            return false;
        }
        passing.in_flight += 1;
        true
    }

    /// A batch that was let in has its place, or has claimed nothing.
    pub(super) fn leave(&self) {
        let mut passing = self.lock();
        passing.in_flight = passing.in_flight.saturating_sub(1);
    }

    /// Closes the gate where `must` says so.
    pub(super) fn close_if<E>(&self, must: impl FnOnce() -> Result<bool, E>) -> Result<(), E> {
        let mut passing = self.lock();
        if !passing.is_closed {
            passing.is_closed = must()?;
        }
        Ok(())
    }

    /// Closed, and nothing in flight.
    pub(super) fn is_still(&self) -> bool {
        let passing = self.lock();
        passing.is_closed && passing.in_flight == 0
    }

    /// Does `change` and opens the gate, where it [is still](Self::is_still).
    pub(super) fn open_with<T, E>(
        &self,
        change: impl FnOnce() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let mut passing = self.lock();
        if !passing.is_closed || passing.in_flight > 0 {
            return Ok(None);
        }
        let changed = change();
        passing.is_closed = false;
        drop(passing);
        self.opened.notify_all();
        changed
    }

    /// Does `change` while nobody passes.
    pub(super) fn with(&self, change: impl FnOnce()) {
        let _passing = self.lock();
        change();
    }

    /// Waits for the gate to be open; false where it is not within `wait`.
    pub(super) fn wait_until_open(&self, wait: Duration) -> bool {
        let waited = self.opened.wait_timeout_while(self.lock(), wait, |p| p.is_closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }
}
