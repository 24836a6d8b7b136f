//! A histogram that any thread adds to: one atomic addition to a bucket and one to the sum.
//!
//! `prometheus-client` has one behind a lock, which a worker would have to take; its encoder is used all
//! the same. A reading beside additions may miss the newest of them in the sum and have it in a bucket,
//! or the other way round; none is ever lost.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of values by bucket, with their sum; values are integers of some unit.
#[derive(Debug)]
pub(super) struct Histogram<const N: usize> {
    /// Ascending; a value belongs to the first bucket whose bound is not below it.
    bounds: [u64; N],
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

/// What a histogram held at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// Bound and count of each bucket, each by itself; the last bound is that of all values.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) sum: f64,
}

impl Reading {
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

impl<const N: usize> Histogram<N> {
    pub(super) fn new(bounds: [u64; N]) -> Self {
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Self { bounds, counts, above: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    /// Adds a value.
    pub(super) fn add(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        // Nothing else is told by them.
        self.counts.get(place).unwrap_or(&self.above).fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What it holds, in units of which one is `scale` of its own.
    #[allow(
        clippy::cast_precision_loss,
        reason = "exact up to 2^53, and a chart shows three digits"
    )]
    pub(super) fn read(&self, scale: u64) -> Reading {
        let scaled = |value: u64| value as f64 / scale as f64;
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let bounds = self.bounds.iter().map(|bound| scaled(*bound));
        let above = (f64::INFINITY, self.above.load(Ordering::Relaxed));
        let buckets = bounds.zip(counts).chain([above]).collect();
        Reading { buckets, sum: scaled(self.sum.load(Ordering::Relaxed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_to_the_first_bucket_that_holds_them() {
        let histogram = Histogram::new([1_000, 5_000]);
        for value in [0, 1_000, 1_001, 5_000, 5_001, 9_000] {
            histogram.add(value);
        }
        let read = histogram.read(1_000);
        assert_eq!(read.buckets, [(1.0, 2), (5.0, 2), (f64::INFINITY, 2)]);
        assert_eq!((read.count(), read.sum), (6, 21.002));
    }

    #[test]
    fn no_value_of_many_threads_is_lost() {
        let histogram = Histogram::new([10, 20]);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let histogram = &histogram;
                scope.spawn(move || (0..1_000).for_each(|_| histogram.add(10 * thread)));
            }
        });
        let read = histogram.read(1);
        assert_eq!(read.buckets, [(10.0, 2_000), (20.0, 1_000), (f64::INFINITY, 1_000)]);
        assert_eq!(read.sum, 60_000.0);
    }
}
