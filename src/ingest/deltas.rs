//! The way of deltas to the fold thread, and what bounds it.
//!
//! A batch gives its share of what may be in work back when its answer has left, which may be
//! before its delta is merged. So what waits here has bounds of its own:
//!
//! - *The channel* holds so many records. The fold thread takes from it whatever else there is to
//!   wait for (an earlier record, the disk), so it is full only when that thread itself is so many
//!   records behind. Then workers wait.
//! - *Bytes*: deltas in the channel and those that wait at the fold thread for an earlier record have
//!   so many together. Whoever brings more waits, unless it brings the record that is next, which
//!   alone is let in past the bound. So the one that all others wait for never waits for them: batches
//!   are given to workers in the order of the journal, and the earliest that is not merged is with a
//!   worker, or here.
//!
//! Records that are no batches have no bytes and wait for the channel alone: the committer hands
//! them in before the batches of their group, some of which may come first.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::id::Watermark;
use crate::summary::Event;

/// Hands in deltas; clones hand in to the same fold.
#[derive(Debug, Clone)]
pub(super) struct Deltas {
    sender: Sender<(Watermark, Event)>,
    waiting: Arc<Waiting>,
}

/// The fold thread's end.
#[derive(Debug)]
pub(super) struct Arriving {
    records: Receiver<(Watermark, Event)>,
    waiting: Arc<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    bytes_max: usize,
    held: Mutex<Held>,
    less: Condvar,
}

#[derive(Debug)]
struct Held {
    bytes: usize,
    /// The record merged last.
    merged: Watermark,
    /// There is nothing to wait for any more.
    is_over: bool,
}

/// A way for `records_max` records and `bytes_max` bytes of deltas to a fold that is at `merged`.
pub(super) fn way(records_max: usize, bytes_max: usize, merged: Watermark) -> (Deltas, Arriving) {
    let (sender, records) = bounded(records_max);
    let held = Mutex::new(Held { bytes: 0, merged, is_over: false });
    let waiting = Arc::new(Waiting { bytes_max, held, less: Condvar::new() });
    (Deltas { sender, waiting: Arc::clone(&waiting) }, Arriving { records, waiting })
}

impl Deltas {
    /// Hands in what record `number` changes; waits while the fold is behind.
    pub(super) fn send(&self, number: Watermark, event: Event) {
        self.waiting.take(number, event.bytes());
        // The fold thread has gone only when it failed, and then the server stops.
        let _ = self.sender.send((number, event));
    }

    /// A record will never come, nor will those after it be merged: nobody waits any more.
    pub(super) fn give_up(&self) {
        self.waiting.end();
    }
}

impl Arriving {
    /// What arrives, in any order. Closed once all who hand in are gone.
    pub(super) fn records(&self) -> &Receiver<(Watermark, Event)> {
        &self.records
    }

    /// Makes room again, `number` having been merged.
    pub(super) fn merged(&self, number: Watermark, event: &Event) {
        let mut held = self.waiting.lock();
        held.bytes = held.bytes.saturating_sub(event.bytes());
        held.merged = number;
        drop(held);
        self.waiting.less.notify_all();
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.waiting.end();
    }
}

impl Waiting {
    fn take(&self, number: Watermark, bytes: usize) {
        let mut held = self.lock();
        while !held.has_room(number, bytes, self.bytes_max) {
            held = self.less.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        held.bytes += bytes;
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.less.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn has_room(&self, number: Watermark, bytes: usize, bytes_max: usize) -> bool {
        let is_next = number.0 == self.merged.0 + 1;
        bytes == 0 || is_next || self.is_over || self.bytes + bytes <= bytes_max
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::day::Day;
    use crate::id::Eori;
    use crate::summary::Delta;

    fn delta() -> Event {
        Event::Batch(Delta::new(Day(20_000), Eori::parse("NL1").unwrap(), None))
    }

    #[test]
    fn past_the_bytes_only_the_next_record_and_those_without_any_come_in() {
        let held = |bytes, is_over| Held { bytes, merged: Watermark(6), is_over };
        assert!(held(60, false).has_room(Watermark(9), 40, 100));
        assert!(!held(61, false).has_room(Watermark(9), 40, 100));
        assert!(held(900, false).has_room(Watermark(7), 40, 100), "all others wait for it");
        assert!(held(900, false).has_room(Watermark(9), 0, 100), "a law's record");
        assert!(held(900, true).has_room(Watermark(9), 40, 100), "nothing will be merged");
    }

    #[test]
    fn whoever_waits_goes_on_when_records_before_are_merged() {
        // No room for two.
        let (deltas, arriving) = way(8, delta().bytes(), Watermark(0));
        let workers: Vec<_> = (1..=8_u64)
            .rev()
            .map(|number| {
                let deltas = deltas.clone();
                std::thread::spawn(move || deltas.send(Watermark(number), delta()))
            })
            .collect();
        let mut early = std::collections::BTreeMap::new();
        let mut merged = 0;
        while merged < 8 {
            let (number, event) = arriving.records().recv().unwrap();
            early.insert(number, event);
            // One that came first, and the next, which is let in all the same.
            assert!(early.len() <= 2, "{:?}", early.keys());
            while let Some(event) = early.remove(&Watermark(merged + 1)) {
                merged += 1;
                arriving.merged(Watermark(merged), &event);
            }
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(arriving.waiting.lock().bytes, 0);
    }

    #[test]
    fn nobody_waits_for_a_record_that_will_never_come() {
        let (deltas, arriving) = way(8, 1, Watermark(0));
        let worker = {
            let deltas = deltas.clone();
            std::thread::spawn(move || deltas.send(Watermark(3), delta()))
        };
        deltas.give_up();
        worker.join().unwrap();
        assert_eq!(arriving.records().recv().unwrap().0, Watermark(3));
        let (deltas, arriving) = way(8, 1, Watermark(0));
        drop(arriving);
        deltas.send(Watermark(3), delta());
    }
}
