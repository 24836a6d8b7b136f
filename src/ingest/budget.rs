//! What may be in work at once: so many batches and so many bytes of all callers together, and a
//! quarter of each for one connection, or what one batch of the largest needs.
//!
//! A batch takes its share when the length of its message is known, before any of it is read, and
//! holds it until the last byte of its answer has left for the network: so whatever clients send or
//! fail to read, no more memory than this is held for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;
use crate::config::{Sizes, in_flight_bytes};

/// Bytes are counted in units of this, since a semaphore counts to 2^29 on small systems.
const UNIT: u64 = 1 << 10;

/// The part of the whole that one connection may have.
const CONNECTION_PART: u64 = 4;

/// Batches and bytes that may still be taken.
#[derive(Debug, Clone)]
struct Pool {
    batches: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Pool {
    fn new(batches: u64, bytes: u64) -> Self {
        let semaphore = |n: u64| {
            let n = usize::try_from(n).unwrap_or(usize::MAX);
            Arc::new(Semaphore::new(n.clamp(1, Semaphore::MAX_PERMITS)))
        };
        Self { batches: semaphore(batches), bytes: semaphore(bytes / UNIT) }
    }

    fn try_take(&self, units: u32) -> Option<[OwnedSemaphorePermit; 2]> {
        let batch = Arc::clone(&self.batches).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(units).ok()?;
        Some([batch, bytes])
    }

    /// Fails once the pool is closed.
    async fn take(&self, units: u32) -> Result<[OwnedSemaphorePermit; 2], Refusal> {
        let stopping = |_| Refusal::stopping();
        let batch = Arc::clone(&self.batches).acquire_owned().await.map_err(stopping)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(units).await.map_err(stopping)?;
        Ok([batch, bytes])
    }
}

/// What all callers may have in work.
#[derive(Debug)]
pub struct Budget {
    all: Pool,
    batches_max: u64,
    connection_bytes_max: u64,
    wait: Duration,
}

/// What one connection may have in work, and through it a view of the whole.
#[derive(Debug, Clone)]
pub struct ConnectionBudget {
    own: Pool,
    all: Pool,
    units_max: u32,
    batches_max: u64,
    wait: Duration,
}

/// A batch's share of what may be in work, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    _own: [OwnedSemaphorePermit; 2],
    _all: [OwnedSemaphorePermit; 2],
}

impl Budget {
    /// Of these sizes, for messages of at most `batch_bytes_max`; whoever must wait for longer than
    /// `wait` is told to come back.
    #[must_use]
    pub fn new(sizes: &Sizes, batch_bytes_max: u64, wait: Duration) -> Self {
        let (batches_max, bytes_max) = (sizes.batches_in_flight_max, sizes.bytes_in_flight_max);
        let largest = (u64::from(units(batch_bytes_max)) * UNIT).min(bytes_max);
        Self {
            all: Pool::new(batches_max, bytes_max),
            batches_max,
            connection_bytes_max: (bytes_max / CONNECTION_PART).max(largest),
            wait,
        }
    }

    /// What a new connection may have in work.
    #[must_use]
    pub fn connection(&self) -> ConnectionBudget {
        let batches = (self.batches_max / CONNECTION_PART).max(1);
        ConnectionBudget {
            own: Pool::new(batches, self.connection_bytes_max),
            units_max: u32::try_from(self.connection_bytes_max / UNIT).unwrap_or(u32::MAX),
            all: self.all.clone(),
            batches_max: self.batches_max,
            wait: self.wait,
        }
    }

    /// From here on everybody is told that the server stops; shares out stay valid.
    pub fn close(&self) {
        self.all.batches.close();
        self.all.bytes.close();
    }
}

impl ConnectionBudget {
    /// A message's share of the bytes: the largest gets all there is, if that is what it takes.
    fn units(&self, bytes: usize) -> u32 {
        units(bytes as u64).min(self.units_max)
    }

    /// A share for a message of `bytes`, where it can be had at once.
    #[must_use]
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        let units = self.units(bytes);
        Some(Share { _own: self.own.try_take(units)?, _all: self.all.try_take(units)? })
    }

    /// A share for a message of `bytes`, waiting for it.
    ///
    /// # Errors
    /// The refusal of the batch, where it waited for too long or the server stops.
    pub async fn take(&self, bytes: usize) -> Result<Share, Refusal> {
        let units = self.units(bytes);
        let share = async {
            Ok(Share { _own: self.own.take(units).await?, _all: self.all.take(units).await? })
        };
        tokio::time::timeout(self.wait, share).await.unwrap_or_else(|_| {
            Err(Refusal::exhausted(
                format!(
                    "the most batches ({}) or bytes that may be in work are, a connection having \
                     a quarter of them (batches_in_flight_max, memory_max): send the batch again \
                     later",
                    self.batches_max
                ),
                1_000,
            ))
        })
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(in_flight_bytes(bytes).div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ingest::refusal::RefusalKind;

    const MIB: usize = 1 << 20;

    fn budget() -> Budget {
        let sizes = Sizes {
            table_slots: 0,
            bytes_in_flight_max: 64 * MIB as u64,
            batches_in_flight_max: 8,
            connections_max: 1,
        };
        Budget::new(&sizes, MIB as u64, Duration::from_secs(5))
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_message_fits_even_where_a_quarter_does_not_hold_it() {
        let sizes = Sizes {
            table_slots: 0,
            bytes_in_flight_max: 32 << 20,
            batches_in_flight_max: 4,
            connections_max: 1,
        };
        let budget = Budget::new(&sizes, 16 << 20, Duration::ZERO);
        assert!(budget.connection().take(16 << 20).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_gets_a_quarter_and_all_together_the_whole() {
        let budget = budget();
        let first = budget.connection();
        let held = [first.try_take(1).unwrap(), first.try_take(1).unwrap()];
        assert!(first.try_take(1).is_none(), "a quarter of 8 batches");
        let other = budget.connection();
        let large = other.try_take(7 * MIB).unwrap();
        assert!(other.try_take(MIB).is_none(), "a quarter of 64 MiB, each message counted twice");
        drop(held);
        assert!(first.try_take(1).is_some());
        drop(large);
        let many: Vec<_> = (0..4).map(|_| budget.connection()).collect();
        let all: Vec<_> = many.iter().flat_map(|one| [one.try_take(1), one.try_take(1)]).collect();
        assert!(all.iter().all(Option::is_some));
        let refused = budget.connection().take(1).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after_ms), (RefusalKind::Exhausted, 1_000));
        drop(all);
        assert!(budget.connection().take(1).await.is_ok());
        budget.close();
        let refused = budget.connection().take(1).await.unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Unavailable);
    }
}
