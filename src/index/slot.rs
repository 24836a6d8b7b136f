//! The protocol of one slot, and nothing else: the part that loom explores.
//!
//! A slot is two words, both 0 when it is free. `tag` is set once, to 64 bits of the key, by
//! compare-and-swap; whoever meets its own tag, first or not, goes on to `owner`. `owner` is set by
//! compare-and-swap from 0, and whoever wins that owns the slot; since everything `owner` points
//! to was written before, one acquiring load of it shows the owner's whole key. So nobody ever
//! waits for anybody: a thread that stops between the two steps leaves a slot that the next one
//! with the same tag takes over.
//!
//! Two keys that share a tag (one chance in 2^64 for a pair) merely probe one slot further.
//!
//! Later changes of `owner` (another content takes the key over, a mark is added) are made by the
//! one committer thread alone.

use std::sync::atomic::Ordering;

/// A 64-bit atomic: the standard library's in the product, loom's in the model.
pub trait Word {
    /// As [`std::sync::atomic::AtomicU64::load`].
    fn load(&self, order: Ordering) -> u64;
    /// As [`std::sync::atomic::AtomicU64::store`].
    fn store(&self, value: u64, order: Ordering);
    /// As [`std::sync::atomic::AtomicU64::compare_exchange`].
    ///
    /// # Errors
    /// The value found, where it was not `current`.
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64>;
}

impl Word for std::sync::atomic::AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.compare_exchange(current, new, success, failure)
    }
}

/// One slot of the table: 16 bytes, four to a cache line.
#[derive(Debug, Default)]
#[repr(C, align(16))]
pub struct Slot<W> {
    tag: W,
    owner: W,
}

/// What a thread found when it tried to claim a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// The slot is now the caller's.
    Claimed,
    /// The slot is owned, by this word; it may be the same key or another one of the same tag.
    Owned(u64),
    /// The slot is some other tag's.
    Other,
}

/// What a thread found when it only looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Nobody has this slot: the key is not in the table.
    Free,
    /// As [`Met::Owned`].
    Owned(u64),
    /// Some other tag's, or not owned yet.
    Other,
}

impl<W: Word> Slot<W> {
    /// A slot of these words, for the model.
    pub fn new(tag: W, owner: W) -> Self {
        Self { tag, owner }
    }

    /// Tries to make the slot `mine` (not 0) under `tag` (not 0).
    pub fn claim(&self, tag: u64, mine: u64) -> Met {
        let mut found = self.tag.load(Ordering::Acquire);
        if found == 0 {
            found = match self.tag.compare_exchange(0, tag, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => tag,
                Err(other) => other,
            };
        }
        if found != tag {
            return Met::Other;
        }
        let owner = self.owner.load(Ordering::Acquire);
        if owner != 0 {
            return Met::Owned(owner);
        }
        match self.owner.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Met::Claimed,
            Err(owner) => Met::Owned(owner),
        }
    }

    /// Looks for `tag` without changing anything.
    pub fn look(&self, tag: u64) -> Seen {
        match self.tag.load(Ordering::Acquire) {
            0 => Seen::Free,
            found if found == tag => match self.owner.load(Ordering::Acquire) {
                0 => Seen::Other,
                owner => Seen::Owned(owner),
            },
            _ => Seen::Other,
        }
    }

    /// The tag; 0 while the slot is free.
    pub fn tag(&self) -> u64 {
        self.tag.load(Ordering::Acquire)
    }

    /// Gives an owned slot to another owner. Only the committer thread calls this.
    pub fn hand_over(&self, owner: u64) {
        self.owner.store(owner, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU64;
    use std::collections::HashSet;

    impl Word for AtomicU64 {
        fn load(&self, order: Ordering) -> u64 {
            self.load(order)
        }
        fn store(&self, value: u64, order: Ordering) {
            self.store(value, order);
        }
        fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.compare_exchange(current, new, success, failure)
        }
    }

    fn slots<const N: usize>() -> Arc<[Slot<AtomicU64>; N]> {
        Arc::new(std::array::from_fn(|_| Slot::new(AtomicU64::new(0), AtomicU64::new(0))))
    }

    /// Probes as the table does: the first slot claimed or owned by the same key ends it. The key
    /// of an owner word, in this model, is its high half.
    fn insert(slots: &[Slot<AtomicU64>], tag: u64, key: u64, mine: u64) -> Option<u64> {
        for slot in slots {
            match slot.claim(tag, mine) {
                Met::Claimed => return None,
                Met::Owned(owner) if owner >> 32 == key => return Some(owner),
                Met::Owned(_) | Met::Other => {}
            }
        }
        panic!("the table has room for all");
    }

    #[test]
    fn of_threads_with_the_same_key_one_claims_and_the_others_meet_it() {
        // Three threads: all interleavings with up to three preemptions, or it would take minutes.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let slots = slots::<2>();
            let word = |n: u64| (7 << 32) | n;
            let threads: Vec<_> = (1..=2)
                .map(|n| {
                    let slots = Arc::clone(&slots);
                    loom::thread::spawn(move || insert(&slots[..], 5, 7, word(n)))
                })
                .collect();
            let mine = insert(&slots[..], 5, 7, word(3));
            let mut met: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            met.push(mine);
            let winners = met.iter().filter(|m| m.is_none()).count();
            assert_eq!(winners, 1, "{met:?}");
            // All that lost met one and the same owner, and it is what the table holds.
            let owners: HashSet<_> = met.into_iter().flatten().collect();
            assert_eq!(owners.len(), 1);
            assert_eq!(slots[0].look(5), Seen::Owned(*owners.iter().next().unwrap()));
        });
    }

    #[test]
    fn keys_that_share_a_tag_get_a_slot_each() {
        loom::model(|| {
            let slots = slots::<2>();
            let other = Arc::clone(&slots);
            let thread = loom::thread::spawn(move || insert(&other[..], 5, 8, (8 << 32) | 1));
            assert_eq!(insert(&slots[..], 5, 7, (7 << 32) | 1), None);
            assert_eq!(thread.join().unwrap(), None);
            let held: HashSet<_> = slots.iter().map(|s| s.look(5)).collect();
            assert_eq!(
                held,
                HashSet::from([Seen::Owned((7 << 32) | 1), Seen::Owned((8 << 32) | 1)])
            );
        });
    }

    #[test]
    fn whoever_sees_an_owner_sees_what_it_wrote_before() {
        loom::model(|| {
            let slots = slots::<1>();
            let record = Arc::new(AtomicU64::new(0));
            let (other, written) = (Arc::clone(&slots), Arc::clone(&record));
            let thread = loom::thread::spawn(move || {
                written.store(42, Ordering::Relaxed);
                other[0].claim(5, 1)
            });
            if let Seen::Owned(1) = slots[0].look(5) {
                assert_eq!(record.load(Ordering::Relaxed), 42);
            }
            if let Met::Owned(1) = slots[0].claim(5, 2) {
                assert_eq!(record.load(Ordering::Relaxed), 42);
            }
            thread.join().unwrap();
        });
    }

    #[test]
    fn a_slot_handed_over_is_seen_whole() {
        loom::model(|| {
            let slots = slots::<1>();
            assert_eq!(slots[0].claim(5, 1), Met::Claimed);
            let record = Arc::new(AtomicU64::new(0));
            let (other, written) = (Arc::clone(&slots), Arc::clone(&record));
            let committer = loom::thread::spawn(move || {
                written.store(42, Ordering::Relaxed);
                other[0].hand_over(2);
            });
            match slots[0].claim(5, 3) {
                Met::Owned(1) => {}
                Met::Owned(2) => assert_eq!(record.load(Ordering::Relaxed), 42),
                met => panic!("{met:?}"),
            }
            committer.join().unwrap();
        });
    }
}
