//! The one clock: what time a batch is admitted at, and never earlier than the newest record.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::day::Moment;

/// Tells the time, that of the system or one that started at a given moment.
#[derive(Debug)]
pub struct Clock {
    set: Option<(Moment, Instant)>,
    newest: AtomicI64,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { set: None, newest: AtomicI64::new(i64::MIN) }
    }

    /// A clock that shows `start` now and runs on from there: for tests.
    #[must_use]
    pub fn starting_at(start: Moment) -> Self {
        Self { set: Some((start, Instant::now())), newest: AtomicI64::new(i64::MIN) }
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Moment {
        let ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(0);
        Moment(match self.set {
            Some((start, since)) => start.0.saturating_add(ms(since.elapsed())),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms),
        })
    }

    /// The time of a batch that is admitted now: the later of the clock and the newest durable
    /// record, so that time in the journal does not run backwards when the clock does.
    #[must_use]
    pub fn admit(&self) -> Moment {
        Moment(self.now().0.max(self.newest.load(Ordering::Relaxed)))
    }

    /// A record of this moment is durable.
    pub fn saw(&self, moment: Moment) {
        self.newest.fetch_max(moment.0, Ordering::Relaxed);
    }

    /// By how much the clock is behind the newest durable record, in milliseconds; 0 if it is not.
    #[must_use]
    pub fn behind_ms(&self) -> u64 {
        let newest = self.newest.load(Ordering::Relaxed);
        u64::try_from(newest.saturating_sub(self.now().0)).unwrap_or(0)
    }
}
