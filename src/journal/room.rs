//! Room that is taken before it is needed, so that a batch that was let in can always be written.
//!
//! Counted in pages, with the worst case for each record: alone in its group. A segment ends where
//! a record does not fit into what is left, so that up to `alone_max - 1` pages of it stay empty
//! (`alone_max`: pages of the largest record alone). Hence the invariant, for every sequence of
//! pushes that is possible:
//!
//! `free + reserved <= max(0, left - (alone_max - 1)) + ready * (fresh - (alone_max - 1))`
//!
//! with `left` the pages left for records in the current segment, `ready` the number of segments
//! that stand ready and `fresh` the pages for records in one of them. Sharing a group only ever
//! gives pages back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::disk::PAGE_BYTES;

use super::frame::pages_alone;

/// Where room in the journal is taken: a handle, to be cloned into every thread that lets batches
/// in. Never blocks.
#[derive(Debug, Clone)]
pub struct Room {
    count: Arc<Count>,
}

#[derive(Debug)]
struct Count {
    free_pages: AtomicI64,
    disk_full: AtomicBool,
    /// There are as many segments as there may be.
    held_up: AtomicBool,
    poisoned: AtomicBool,
    record_bytes_max: usize,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoomCause {
    /// The next segment is being made ready: a matter of milliseconds.
    NotReady,
    /// The disk has no space for another segment. It is tried again and again.
    DiskFull,
    /// There are as many segments as there may be (`segments_max`), until older ones are removed.
    HeldUp,
    /// No record may be that large (`record_bytes_max`).
    TooLarge,
    /// The journal has met an error and writes no more.
    Poisoned,
}

/// There is no room for a record now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal has no room ({cause:?}): {needed} bytes needed, {free} free")]
pub struct NoRoom {
    /// Bytes of disk that the record could need.
    pub needed: u64,
    /// Bytes of disk that can be promised now.
    pub free: u64,
    /// Why there are no more, and so whether to come back.
    pub cause: NoRoomCause,
}

/// Room for one record. Given back when dropped; used up by [`super::Journal::push`].
#[derive(Debug)]
#[must_use = "dropping it gives the room back"]
pub struct Reservation {
    count: Arc<Count>,
    pages: u32,
}

impl Room {
    pub(super) fn new(record_bytes_max: usize) -> Self {
        Self {
            count: Arc::new(Count {
                free_pages: AtomicI64::new(0),
                disk_full: AtomicBool::new(false),
                held_up: AtomicBool::new(false),
                poisoned: AtomicBool::new(false),
                record_bytes_max,
            }),
        }
    }

    /// Takes room for a record whose body has up to `body_bytes`.
    ///
    /// # Errors
    /// [`NoRoom`]; come back soon where its cause is `NotReady`, later where it is `DiskFull` or
    /// `HeldUp`.
    pub fn reserve(&self, body_bytes: usize) -> Result<Reservation, NoRoom> {
        let count = &*self.count;
        let pages = pages_alone(body_bytes.min(count.record_bytes_max));
        // Fits: a record has less than 4 GiB.
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        let refused = |free: i64, cause| NoRoom {
            needed: u64::from(pages) * PAGE_BYTES as u64,
            free: u64::try_from(free).unwrap_or(0) * PAGE_BYTES as u64,
            cause,
        };
        if body_bytes > count.record_bytes_max {
            let free = count.free_pages.load(Ordering::Relaxed);
            return Err(refused(free, NoRoomCause::TooLarge));
        }
        if count.poisoned.load(Ordering::Relaxed) {
            return Err(refused(0, NoRoomCause::Poisoned));
        }
        let taken = count.free_pages.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |free| {
            (free >= i64::from(pages)).then(|| free - i64::from(pages))
        });
        match taken {
            Ok(_) => Ok(Reservation { count: Arc::clone(&self.count), pages }),
            Err(free) if count.disk_full.load(Ordering::Relaxed) => {
                Err(refused(free, NoRoomCause::DiskFull))
            }
            Err(free) if count.held_up.load(Ordering::Relaxed) => {
                Err(refused(free, NoRoomCause::HeldUp))
            }
            Err(free) => Err(refused(free, NoRoomCause::NotReady)),
        }
    }

    /// How many bytes of disk can be promised now.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let pages = self.count.free_pages.load(Ordering::Relaxed);
        u64::try_from(pages).unwrap_or(0) * PAGE_BYTES as u64
    }

    /// Whether the disk has no space for another segment.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.count.disk_full.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, pages: u32) {
        self.count.free_pages.fetch_add(i64::from(pages), Ordering::AcqRel);
    }

    /// Tells whether that is news.
    pub(super) fn set_disk_full(&self, full: bool) -> bool {
        self.count.disk_full.swap(full, Ordering::Relaxed) != full
    }

    /// Tells whether that is news.
    pub(super) fn set_held_up(&self, held_up: bool) -> bool {
        self.count.held_up.swap(held_up, Ordering::Relaxed) != held_up
    }

    pub(super) fn poison(&self) {
        self.count.poisoned.store(true, Ordering::Relaxed);
    }
}

impl Reservation {
    pub(super) fn pages(&self) -> u32 {
        self.pages
    }

    /// Takes the pages over: they are given back by whoever writes the group.
    pub(super) fn use_up(mut self) -> u32 {
        std::mem::take(&mut self.pages)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.count.free_pages.fetch_add(i64::from(self.pages), Ordering::AcqRel);
    }
}

/// What of `left` pages can be promised where the largest record alone takes `alone_max`.
pub(super) fn promisable(left: u32, alone_max: u32) -> u32 {
    left.saturating_sub(alone_max.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn room_is_taken_given_back_and_never_more_than_there_is() {
        let room = Room::new(100_000);
        let refused = room.reserve(1).unwrap_err();
        assert_eq!((refused.cause, refused.free), (NoRoomCause::NotReady, 0));
        room.add(3);
        // 48 + 5 + 4019 bytes fill a page of 4072 exactly.
        let one = room.reserve(4_019).unwrap();
        let two = room.reserve(4_020).unwrap();
        assert_eq!((one.pages(), two.pages()), (1, 2));
        room.set_disk_full(true);
        assert!(room.is_disk_full());
        let refused = room.reserve(0).unwrap_err();
        assert_eq!((refused.cause, refused.needed), (NoRoomCause::DiskFull, 4_096));
        drop(two);
        assert_eq!(room.free_bytes(), 2 * 4_096);
        assert_eq!(one.use_up(), 1);
        assert_eq!(room.free_bytes(), 2 * 4_096);
        assert_eq!(room.reserve(100_001).unwrap_err().cause, NoRoomCause::TooLarge);
        room.poison();
        assert_eq!(room.reserve(1).unwrap_err().cause, NoRoomCause::Poisoned);
    }

    #[test]
    fn threads_together_never_take_more_than_there_is() {
        let room = Room::new(100_000);
        room.add(1_000);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let reserved = (0..600).map_while(|_| room.reserve(1).ok());
                        reserved.map(Reservation::use_up).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((taken, room.free_bytes()), (1_000, 0));
    }
}
