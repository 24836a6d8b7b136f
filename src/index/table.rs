//! The hot table: open addressing over [`Slot`]s in one anonymous mapping, on huge pages where
//! there are any. Its capacity is fixed; room is reserved before the first claim, so that a claim
//! always finds a slot.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::slot::{Met, Seen, Slot};
use crate::wire::digest::Key;

/// A place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

/// What a claim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The key was new and is now the caller's.
    New(Place),
    /// The key is there already, owned by this word.
    Held(Place, u64),
}

/// The share of slots that may be taken: past it, probing gets slow (measured by the prototype: 24
/// to 43 ns a claim up to 40 %, 55 at 50 %, 76 at 60 %, 140 at 80 %).
pub const LOAD_PERCENT_MAX: u64 = 50;

/// An open-addressing table of slots.
#[derive(Debug)]
pub struct Table {
    slots: &'static [Slot<AtomicU64>],
    room: AtomicU64,
    populating: Option<Populating>,
}

impl Table {
    /// A table of so many slots of 16 bytes each, 2 at least. Memory is taken as it is first touched, and in
    /// the background from the start.
    ///
    /// # Errors
    /// Where the system gives no such mapping.
    pub fn new(slots: u64) -> std::io::Result<Self> {
        let mut table = Self::unpopulated(slots)?;
        table.populating = Some(Populating::start(table.slots)?);
        Ok(table)
    }

    /// The same, with all its memory taken when this returns.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn populated(slots: u64) -> std::io::Result<Self> {
        let table = Self::unpopulated(slots)?;
        populate_all(table.slots, || false);
        Ok(table)
    }

    fn unpopulated(slots: u64) -> std::io::Result<Self> {
        let too_many = || std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        let count = usize::try_from(slots.max(2)).map_err(|_| too_many())?;
        let bytes = count.checked_mul(size_of::<Slot<AtomicU64>>()).ok_or_else(too_many)?;
        let slots = map(bytes, count)?;
        let room = count as u64 * LOAD_PERCENT_MAX / 100;
        Ok(Self { slots, room: AtomicU64::new(room), populating: None })
    }

    /// Takes room for `slots` claims; `false`, and nothing taken, where there is not as much.
    pub fn reserve(&self, slots: u64) -> bool {
        self.room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(slots))
            .is_ok()
    }

    /// Where it is, to be told from others.
    #[cfg(test)]
    pub(super) fn address(&self) -> usize {
        self.slots.as_ptr().addr()
    }

    /// How many slots there are.
    pub fn slots(&self) -> u64 {
        self.slots.len() as u64
    }

    /// How many more slots may be claimed.
    pub fn room(&self) -> u64 {
        self.room.load(Ordering::Relaxed)
    }

    fn tag(key: Key) -> u64 {
        // 0 means free; the one key in 2^64 that has it shares a tag with another.
        key.0.max(1)
    }

    /// The key's share of the table (Lemire 2016, "A fast alternative to the modulo reduction"), so
    /// that a table takes all the memory it may, not the next lower power of two.
    fn home(&self, key: Key) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "below the number of slots")]
        let home = ((u128::from(key.1) * self.slots.len() as u128) >> 64) as usize;
        home
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.slots.len() { 0 } else { place + 1 }
    }

    /// Asks the processor to bring in the line where `key` will be looked for.
    pub fn prefetch(&self, key: Key) {
        prefetch(self.slots, self.home(key));
    }

    /// Claims `key` for `mine` (not 0). `same` tells whether an owner word is of this key.
    /// Room must have been reserved.
    pub fn claim(&self, key: Key, mine: u64, same: impl Fn(u64) -> bool) -> Claim {
        let tag = Self::tag(key);
        let mut place = self.home(key);
        loop {
            // In bounds, always.
            if let Some(slot) = self.slots.get(place) {
                match slot.claim(tag, mine) {
                    Met::Claimed => return Claim::New(Place(place)),
                    Met::Owned(owner) if same(owner) => return Claim::Held(Place(place), owner),
                    Met::Owned(_) | Met::Other => {}
                }
            }
            place = self.after(place);
        }
    }

    /// Where `key` is, and who owns it.
    pub fn find(&self, key: Key, same: impl Fn(u64) -> bool) -> Option<(Place, u64)> {
        let tag = Self::tag(key);
        let mut place = self.home(key);
        for _ in 0..self.slots.len() {
            match self.slots.get(place)?.look(tag) {
                Seen::Free => return None,
                Seen::Owned(owner) if same(owner) => return Some((Place(place), owner)),
                Seen::Owned(_) | Seen::Other => {}
            }
            place = self.after(place);
        }
        None
    }

    /// The owners of all slots whose tag begins with `bits` bits that are one of `parts`, for each of
    /// these. Only for a table that changes no more: else it may miss some.
    pub fn owners(&self, bits: u32, parts: Range<u64>) -> Vec<Vec<u64>> {
        let mut owners: Vec<Vec<u64>> = parts.clone().map(|_| Vec::new()).collect();
        for slot in self.slots {
            let tag = slot.tag();
            let part = if bits == 0 { 0 } else { tag >> (64 - bits) };
            if tag == 0 || !parts.contains(&part) {
                continue;
            }
            let place = usize::try_from(part - parts.start).ok().and_then(|at| owners.get_mut(at));
            if let (Seen::Owned(owner), Some(of_part)) = (slot.look(tag), place) {
                of_part.push(owner);
            }
        }
        owners
    }

    /// How many slots have an owner, or are about to.
    pub fn owned(&self) -> u64 {
        self.slots.iter().filter(|slot| slot.tag() != 0).count() as u64
    }

    /// Gives a slot to another owner. Only the committer thread calls this.
    pub fn hand_over(&self, place: Place, owner: u64) {
        if let Some(slot) = self.slots.get(place.0) {
            slot.hand_over(owner);
        }
    }
}

/// A thread that has the system zero the table's pages ahead of the claims. Keys lie all over the
/// table, so each of the first claims would wait for a huge page to be zeroed: on a virtual machine
/// whose host gives memory out lazily, 57 % of a demo of 400,000 lines went there (`perf record -g`,
/// a table of 1 GiB).
#[derive(Debug)]
struct Populating {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Bytes asked for at once: little enough to stop soon, enough that asking costs nothing.
const POPULATED_AT_ONCE: usize = 32 << 20;

/// Has the system give the memory of `slots`, until `stopped`. An older kernel does not know how: pages
/// then come as they are touched.
fn populate_all(slots: &'static [Slot<AtomicU64>], stopped: impl Fn() -> bool) {
    for part in slots.chunks(POPULATED_AT_ONCE / size_of::<Slot<AtomicU64>>()) {
        if stopped() || populate(part).is_err() {
            return;
        }
    }
}

impl Populating {
    fn start(slots: &'static [Slot<AtomicU64>]) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || populate_all(slots, || stopped.load(Ordering::Relaxed));
        let thread = std::thread::Builder::new().name("waag-populate".into()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        // It does nothing that panics.
        let _ = self.thread.join();
    }
}

#[allow(unsafe_code)]
fn populate(part: &[Slot<AtomicU64>]) -> rustix::io::Result<()> {
    let start = part.as_ptr().cast_mut().cast();
    // SAFETY: makes the pages of a living mapping present and writable, as a write of what they
    // hold would; their content stays, whoever else writes to them.
    unsafe { madvise(start, size_of_val(part), Advice::LinuxPopulateWrite) }
}

#[allow(unsafe_code)]
fn map(bytes: usize, count: usize) -> std::io::Result<&'static [Slot<AtomicU64>]> {
    // SAFETY: a fresh, private, zeroed, page-aligned mapping of `bytes`, which nobody else knows.
    // All-zero bytes are valid `Slot<AtomicU64>`s, its alignment of 16 divides a page, and `count`
    // of them take exactly `bytes`. The slice is `'static` inside `Table` only, which hands out no
    // borrow of it, and unmaps it when it goes.
    unsafe {
        let start = mmap_anonymous(
            std::ptr::null_mut(),
            bytes,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::NORESERVE,
        )?;
        // Without huge pages it works as well, only slower (52 to 60 ns a claim against 24 to 43).
        let _ = madvise(start, bytes, Advice::LinuxHugepage);
        Ok(std::slice::from_raw_parts(start.cast::<Slot<AtomicU64>>(), count))
    }
}

impl Drop for Table {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // The thread looks at the slots, so it ends before they do.
        if let Some(populating) = self.populating.take() {
            populating.end();
        }
        // SAFETY: the mapping of `map`, whole, and with `self` the last who could reach it goes.
        unsafe {
            let _ = munmap(self.slots.as_ptr().cast_mut().cast(), size_of_val(self.slots));
        }
    }
}

/// Asks the processor to bring in the line of the item at `place`, where there is one.
#[allow(unsafe_code, unused_variables)]
pub(super) fn prefetch<T>(items: &[T], place: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = items.get(place) {
        // SAFETY: a hint about an address that is in bounds; it reads nothing.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                std::ptr::from_ref(item).cast(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// In these tests a key's number is all of its owner word but the lowest byte.
    fn key(n: u64) -> Key {
        // Few homes, few tags: collisions of every kind.
        Key(n % 5, n.wrapping_mul(0x9E37_79B9) << 58)
    }

    #[test]
    fn threads_that_claim_the_same_keys_agree_on_one_owner_each() {
        const KEYS: u64 = 20_000;
        const THREADS: u64 = 4;
        let table = Table::new(1 << 16).unwrap();
        let spread = |n: u64| {
            let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            Key(mixed % 1_000, mixed >> 48 << 48)
        };
        assert!(table.reserve(KEYS));
        let won: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=THREADS)
                .map(|t| {
                    let table = &table;
                    scope.spawn(move || {
                        let order = (0..KEYS).map(|i| (i * 7 + t * 1_013) % KEYS);
                        order
                            .filter(|&n| {
                                let mine = ((n + 1) << 8) | t;
                                let same = |owner: u64| owner >> 8 == n + 1;
                                matches!(table.claim(spread(n), mine, same), Claim::New(_))
                            })
                            .collect()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        // Each key was won by exactly one thread, and that thread is whom the table names.
        let mut owners = vec![0_u64; KEYS as usize];
        for (t, keys) in (1..).zip(&won) {
            for &n in keys {
                assert_eq!(owners[n as usize], 0, "key {n} was won twice");
                owners[n as usize] = t;
            }
        }
        for n in 0..KEYS {
            let (_, owner) = table.find(spread(n), |o| o >> 8 == n + 1).unwrap();
            assert_eq!(owner & 0xff, owners[n as usize], "key {n}");
        }
        assert!(table.find(spread(KEYS + 1), |o| o >> 8 == KEYS + 2).is_none());
    }

    #[test]
    fn room_is_half_of_the_slots_whatever_their_number() {
        let table = Table::new(1_025).unwrap();
        assert_eq!(table.room(), 512);
        assert!(!table.reserve(513));
        assert!(table.reserve(512));
        assert!(!table.reserve(1));
        for n in 0..512 {
            let same = |owner: u64| owner >> 8 == n + 1;
            assert!(matches!(table.claim(key(n), (n + 1) << 8 | 1, same), Claim::New(_)), "{n}");
        }
        for n in 0..512 {
            let (place, _) = table.find(key(n), |o| o >> 8 == n + 1).unwrap();
            table.hand_over(place, (n + 1) << 8 | 2);
            assert!(table.find(key(n), |o| o == (n + 1) << 8 | 2).is_some());
        }
    }
}
