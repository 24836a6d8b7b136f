//! Which MRN each declaration got, in bounded memory.
//!
//! 32 bits of a hash for each declaration of every k-th batch of a lane. Once more than the bound are
//! kept, every second batch is forgotten and k doubles. A wrong MRN passes for the right one with a
//! chance of 2^-32.

/// Hashes kept by all lanes together: 256 MiB.
pub(crate) const HASHES_MAX: usize = 64 << 20;

/// The MRNs of one lane.
#[derive(Debug)]
pub(crate) struct Mrns {
    /// Declarations in a batch.
    batch: usize,
    /// Every so many-th batch is remembered.
    every: u64,
    hashes_max: usize,
    /// 0: none.
    hashes: Vec<u32>,
}

/// A hash (FNV-1a) that is not 0.
pub(crate) fn hash(mrn: &[u8]) -> u32 {
    let hash = mrn.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 32) as u32).max(1)
}

impl Mrns {
    pub(crate) fn new(batch: usize, hashes_max: usize) -> Self {
        Self { batch, every: 1, hashes_max: hashes_max.max(batch), hashes: Vec::new() }
    }

    fn index(&self, sending: u64, place: usize) -> Option<usize> {
        if !sending.is_multiple_of(self.every) || place >= self.batch {
            return None;
        }
        usize::try_from(sending / self.every).ok()?.checked_mul(self.batch)?.checked_add(place)
    }

    /// Remembers what the declaration of that sending at that place got.
    pub(crate) fn keep(&mut self, sending: u64, place: usize, mrn: &[u8]) {
        while self.index(sending, place).is_some_and(|index| index >= self.hashes_max) {
            self.forget_every_second();
        }
        let Some(index) = self.index(sending, place) else { return };
        if self.hashes.len() <= index {
            self.hashes.resize(index + 1, 0);
        }
        if let Some(kept) = self.hashes.get_mut(index) {
            *kept = hash(mrn);
        }
    }

    /// The hash of what it got, where that is remembered.
    pub(crate) fn get(&self, sending: u64, place: usize) -> Option<u32> {
        let hash = self.hashes.get(self.index(sending, place)?).copied();
        hash.filter(|&hash| hash != 0)
    }

    fn forget_every_second(&mut self) {
        let kept: Vec<u32> = self.hashes.chunks(self.batch).step_by(2).flatten().copied().collect();
        self.hashes = kept;
        self.every *= 2;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn within_the_bound_all_are_remembered_and_past_it_every_kth_batch() {
        let mut mrns = Mrns::new(3, 12);
        let mrn = |sending: u64, place: usize| format!("26NL{sending:06}{place:06}R1");
        for sending in 0..4 {
            for place in 0..3 {
                mrns.keep(sending, place, mrn(sending, place).as_bytes());
            }
        }
        for sending in 0..4 {
            for place in 0..3 {
                assert_eq!(mrns.get(sending, place), Some(hash(mrn(sending, place).as_bytes())));
            }
        }
        assert_eq!((mrns.get(4, 0), mrns.get(0, 3)), (None, None));
        for sending in 4..100 {
            mrns.keep(sending, 1, mrn(sending, 1).as_bytes());
            assert!(mrns.hashes.len() <= 12);
        }
        assert_eq!(mrns.every, 32);
        assert_eq!(mrns.get(64, 1), Some(hash(mrn(64, 1).as_bytes())));
        assert_eq!(mrns.get(0, 2), Some(hash(mrn(0, 2).as_bytes())));
        assert_eq!((mrns.get(65, 1), mrns.get(64, 0)), (None, None));
    }
}
