//! Lodging slows down before sealing falls too far behind.
//!
//! Batches are refused once as many segments wait as there may be. Left to that, load comes in gusts:
//! a set is sealed, segments go, they are filled at full speed, which takes the processors from sealing,
//! and then nothing is taken for seconds. So the committer pauses between groups, the longer the more
//! waits, and what comes in and what is sealed meet at some rate; answers come later, and clients with a
//! bounded number of batches under way send less.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::Config;
use crate::disk::PAGE_BYTES;
use crate::journal::Position;

/// Nothing waits of which this is not known.
const UNKNOWN: u64 = u64::MAX;
/// Bytes a second, where pausing begins: twice what is lodged at full speed on two processors (1.2 million
/// lines of 208 bytes), so that it does not begin with a jump.
const RATE_MAX: u64 = 512 << 20;
/// Of a pause. Batches that wait longer than that between two groups gain nothing by it.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// How far sealing is, and what that means for the committer.
#[derive(Debug)]
pub(super) struct Pace {
    segment_bytes: u64,
    /// Bytes that may wait before the first pause.
    from: u64,
    /// And those at which pauses are as long as they may be.
    to: u64,
    /// Where the record stands that was sealed last, in bytes from segment 0 on.
    sealed: AtomicU64,
    /// Where the record stands that was placed last, in the same way; 0 before the first.
    placed: AtomicU64,
}

impl Pace {
    /// Between 35 and 60 % of `unsealed_bytes_max`: before that, a table is filled, written as a run and
    /// sealed without any delay; after it comes the set that is being sealed, whose segments go last.
    pub(super) fn new(config: &Config) -> Self {
        let max = config.unsealed_bytes_max.0;
        Self {
            segment_bytes: config.segment_bytes.0,
            from: max / 20 * 7,
            to: max / 5 * 3,
            sealed: AtomicU64::new(UNKNOWN),
            placed: AtomicU64::new(0),
        }
    }

    fn bytes(&self, position: Position) -> u64 {
        position.segment * self.segment_bytes + u64::from(position.page) * PAGE_BYTES as u64
    }

    /// The record at `position` is being sealed.
    pub(super) fn seals(&self, position: Position) {
        // Nothing else is told by it.
        self.sealed.store(self.bytes(position), Ordering::Relaxed);
    }

    /// The record at `position` has its place, and is the last one that has.
    pub(super) fn placed(&self, position: Position) {
        self.placed.store(self.bytes(position), Ordering::Relaxed);
    }

    /// Bytes of the journal that wait to be sealed, where it begins with segment `first`: all that is
    /// there, as long as nothing was sealed since the start.
    pub(super) fn unsealed_bytes(&self, first: u64) -> u64 {
        let begins = self.bytes(Position { segment: first, ..Position::default() });
        let sealed = match self.sealed.load(Ordering::Relaxed) {
            UNKNOWN => begins,
            sealed => sealed.max(begins),
        };
        self.placed.load(Ordering::Relaxed).saturating_sub(sealed)
    }

    /// How long to pause after a group of so many bytes, whose last record stands at `last`: as long as
    /// they take at the rate that what waits allows, less what they `took`.
    pub(super) fn pause(&self, last: Position, bytes: usize, took: Duration) -> Duration {
        let waiting = self.bytes(last).saturating_sub(self.sealed.load(Ordering::Relaxed));
        if waiting <= self.from {
            return Duration::ZERO;
        }
        let rate = u128::from(RATE_MAX) * u128::from(self.to.saturating_sub(waiting))
            / u128::from(self.to - self.from);
        let nanos = (bytes as u128 * 1_000_000_000).checked_div(rate);
        let allowed = nanos.and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos);
        allowed.map_or(PAUSE_MAX, |allowed| allowed.saturating_sub(took).min(PAUSE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(page: u32) -> Position {
        Position { segment: 3, page, offset: 0 }
    }

    #[test]
    fn what_waits_to_be_sealed_is_counted_from_where_the_journal_begins() {
        let pace = Pace::new(&Config::default());
        assert_eq!(pace.unsealed_bytes(1), 0);
        pace.placed(at(10));
        assert_eq!(pace.unsealed_bytes(3), 10 * PAGE_BYTES as u64);
        assert_eq!(pace.unsealed_bytes(2), pace.segment_bytes + 10 * PAGE_BYTES as u64);
        pace.seals(at(4));
        assert_eq!(pace.unsealed_bytes(2), 6 * PAGE_BYTES as u64);
        // The sealer stands still, and its segments are gone.
        pace.placed(Position { segment: 5, page: 1, offset: 0 });
        assert_eq!(pace.unsealed_bytes(5), PAGE_BYTES as u64);
    }

    #[test]
    fn pauses_grow_with_what_waits_and_are_bounded() {
        let pace = Pace::new(&Config::default());
        let (from, to) = (pace.from / PAGE_BYTES as u64, pace.to / PAGE_BYTES as u64);
        let pause = |waiting: u64| pace.pause(at(waiting as u32), 1 << 20, Duration::ZERO);
        assert_eq!(pause(to), Duration::ZERO, "nothing is known yet");
        pace.seals(at(0));
        assert_eq!(pause(from), Duration::ZERO);
        let pauses: Vec<_> = (1..=10).map(|tenth| pause(from + (to - from) * tenth / 10)).collect();
        assert!(pauses.is_sorted_by(|a, b| a < b || *b == PAUSE_MAX), "{pauses:?}");
        // Just above the first bound a megabyte takes what it does at the greatest rate.
        let least = Duration::from_nanos(1_000_000_000 / 512);
        assert!(pause(from + 1) >= least && pauses[0] < least * 2, "{pauses:?}");
        assert_eq!((pauses[9], pause(to + 1_000)), (PAUSE_MAX, PAUSE_MAX));
        // What a group took itself is not waited for once more.
        let half = at((from + (to - from) / 2) as u32);
        let whole = pace.pause(half, 1 << 20, Duration::ZERO);
        assert_eq!(pace.pause(half, 1 << 20, whole / 4), whole - whole / 4);
        assert_eq!(pace.pause(half, 1 << 20, whole * 2), Duration::ZERO);
        // What is sealed waits no more.
        pace.seals(at(from as u32));
        assert_eq!(pause(to), Duration::ZERO);
        let far = Position { segment: 300, page: 0, offset: 0 };
        assert!(pace.pause(far, 1, Duration::ZERO) > Duration::ZERO);
    }
}
