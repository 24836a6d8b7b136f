//! Merging runs: which, and how the result takes their place.
//!
//! A run for each table that was full would be too many: a key that is nowhere is asked for in all of
//! them. So runs that follow one another are merged, by size, [`FAN_IN`] at a time: at 500 M keys there
//! are 8 of the largest size, and at most 3 of each of the three sizes below. Every key is written four
//! times in all, once by its table and three times here.
//!
//! None is merged to more than [`KEYS_MAX`] keys, so that the disk holds no more than one such run
//! (2.7 GB) beside what is kept, and memory no more than its filters (160 MB) beside the others, which
//! is reserved before it begins.
//!
//! # Answers stay as they are
//! A merged run has the entries of all it was made of. What stood under an LRN in an older one was
//! displaced: it was rejected, and is still found there, below the newest under the same key, as it
//! was found in a run of its own. (One table would remember it under a key of its own; here that would
//! take a sort of its own, of as many as there are.) There are as many under one key as there were
//! tables at most.
//!
//! # What a crash leaves
//! The inputs are removed after the merged run is named durably. Until all of them are, a start finds
//! runs that are within another one, and removes them ([`Folder::open`]).

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::run::{self, Folder, Merged, Run, RunError};

/// So many runs are merged at once.
pub const FAN_IN: usize = 4;

/// The most keys of a merged run.
pub const KEYS_MAX: u64 = 1 << 26;

/// Sizes of runs: a full generation has less than the first of these.
const SIZES: [u64; 3] = [KEYS_MAX >> 6, KEYS_MAX >> 4, KEYS_MAX >> 2];

/// Which of runs of so many keys, oldest first, are to be merged next; nothing where they are few.
///
/// A small run between large ones counts as the largest that is newer, so that sizes never grow from
/// the older to the newer, and it does not stay for ever.
fn next(keys: &[u64]) -> Option<Range<usize>> {
    let mut largest = 0;
    let mut sizes: Vec<usize> = keys
        .iter()
        .rev()
        .map(|keys| {
            largest = largest.max(SIZES.iter().filter(|size| keys >= size).count());
            largest
        })
        .collect();
    sizes.reverse();
    let mut end = sizes.len();
    // The smallest first, which are the newest.
    for group in sizes.chunk_by(|one, other| one == other).rev() {
        let start = end - group.len();
        if group.len() >= FAN_IN {
            let fits = |range: &Range<usize>| {
                let keys = keys.get(range.clone()).unwrap_or_default();
                keys.iter().sum::<u64>() <= KEYS_MAX
            };
            // As many as may be, and of those the oldest.
            let ranges = (2..=FAN_IN)
                .rev()
                .flat_map(|count| (start..=end - count).map(move |first| first..first + count));
            if let Some(range) = ranges.into_iter().find(fits) {
                return Some(range);
            }
        }
        end = start;
    }
    None
}

/// Memory that is set aside for the filters of a run that is being made.
#[derive(Debug)]
struct Reserved {
    all: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Runs that are to be merged, oldest first.
#[derive(Debug)]
pub struct Merge {
    pub(super) runs: Vec<Arc<Run>>,
    _reserved: Reserved,
}

impl Merge {
    /// Of `range` of `runs`, with as much memory set aside as its filters take.
    pub(super) fn of(runs: &[Arc<Run>], range: Range<usize>, reserved: &Arc<AtomicU64>) -> Self {
        let runs = runs.get(range).unwrap_or_default().to_vec();
        let bytes = run::loaded_bytes(runs.iter().map(|run| run.entries()).sum());
        reserved.fetch_add(bytes, Ordering::Relaxed);
        Self { runs, _reserved: Reserved { all: Arc::clone(reserved), bytes } }
    }

    /// Which of `runs`, oldest first, are to be merged next.
    pub(super) fn next(runs: &[Arc<Run>]) -> Option<Range<usize>> {
        next(&runs.iter().map(|run| run.entries()).collect::<Vec<_>>())
    }

    /// About how many bytes the merged run will have: no more than these together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes()).sum()
    }

    /// Writes the merged run; blocks for as long as that takes, minutes for the largest. Ends with
    /// [`RunError::GivenUp`] once `is_wanted` says no.
    ///
    /// # Errors
    /// As the disk gives them. Then there is no such run, or one of which all inputs are there too.
    pub fn write(&self, folder: &Folder, is_wanted: &dyn Fn() -> bool) -> Result<Run, RunError> {
        match Merged::of(&self.runs, is_wanted) {
            Some(merged) => folder.write(&merged),
            None => Err(RunError::GivenUp),
        }
    }

    /// Removes the runs that were merged, after [`super::Index::publish_merged`]: whoever still reads
    /// them has them open.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn remove_inputs(self, folder: &Folder) -> Result<(), RunError> {
        self.runs.iter().try_for_each(|run| folder.remove(run.path()))
    }

    /// How many runs are merged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there are none, which there never are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::disk::simulated::Chance;

    /// Merges while there is anything to merge; how many keys were written in all.
    fn merge_all(keys: &mut Vec<u64>) -> u64 {
        let mut written = 0;
        while let Some(range) = next(keys) {
            assert!((2..=FAN_IN).contains(&range.len()));
            let merged: u64 = keys[range.clone()].iter().sum();
            assert!(merged <= KEYS_MAX);
            written += merged;
            keys.splice(range, [merged]);
        }
        written
    }

    #[test]
    fn five_hundred_million_keys_are_in_few_runs_and_each_is_written_few_times() {
        // Full tables; tables of which small batches take the room; runs cut short at any size.
        let full = (1 << 20) - 6_000;
        let sizes: [&dyn Fn(&mut Chance) -> u64; 4] =
            [&|_| full, &|_| 640_000, &|_| 270_000, &|chance| {
                let most = if chance.hits(20) { full } else { 300_000 };
                1 + chance.below(most)
            }];
        for (place, size) in sizes.iter().enumerate() {
            let mut chance = Chance(place as u64);
            let (mut keys, mut all, mut written) = (Vec::new(), 0, 0);
            while all < 500_000_000 {
                let run = size(&mut chance);
                keys.push(run);
                all += run;
                written += merge_all(&mut keys);
                assert!(keys.len() <= 30, "{place}: {keys:?}");
            }
            assert_eq!(keys.iter().sum::<u64>(), all);
            if place == 0 {
                assert!(keys.len() <= 8 + 3 * 3, "{keys:?}");
                assert!(written <= 3 * all, "{written} of {all}");
            }
            assert!(written <= 10 * all, "{place}: {written} of {all}");
        }
    }

    #[test]
    fn a_small_run_between_large_ones_does_not_stay() {
        let large = 3 << 20;
        assert_eq!(next(&[large, 5, large, large]), Some(0..4));
        assert_eq!(next(&[large << 2, 5, large, large]), None);
        assert_eq!(next(&[large << 2, 5, large, large, large]), Some(1..5));
        // And the largest size is not merged past its bound.
        assert_eq!(next(&[KEYS_MAX / 2; 3]), None);
        assert_eq!(next(&[KEYS_MAX / 2; 4]), Some(0..2));
        assert_eq!(next(&[KEYS_MAX / 2 + 1; 9]), None);
    }
}
