//! How large the tables may be beside what is loaded of the runs.

use super::SLOT_BYTES;

/// The most slots of a generation, but where the largest batch needs more. It bounds a restart, which
/// judges again all that no run covers: 1 M keys (half the slots) in the hot generation and as many in
/// the frozen one, at two lines a declaration 4 M lines; recovery judges 0.68 M lines a second on the
/// two-core reference machine, so 6 s. More memory is better spent on the filters of runs.
pub const SLOTS_MAX: u64 = 1 << 21;

/// Memory of an index that has runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes of two generations, and of what is loaded of all runs.
    pub bytes: u64,
    /// The fewest slots of a generation: room for the largest batch.
    pub slots_min: u64,
}

impl Memory {
    /// Slots of the first generation beside runs of which so many bytes are loaded.
    #[must_use]
    pub fn slots(self, loaded: u64) -> Option<u64> {
        self.slots_beside(loaded, None)
    }

    /// Slots of a generation beside a frozen one of so many bytes, which may be of an earlier and
    /// larger half.
    pub(super) fn slots_beside(self, loaded: u64, frozen: Option<u64>) -> Option<u64> {
        let left = self.bytes.checked_sub(loaded)?;
        let half = left / 2;
        let bytes =
            frozen.map_or(Some(half), |frozen| Some(half.min(left.checked_sub(frozen)?)))?;
        let slots = bytes / SLOT_BYTES;
        (slots >= self.slots_min).then(|| slots.min(SLOTS_MAX.max(self.slots_min)))
    }

    /// What it would have to be with so many bytes loaded.
    #[must_use]
    pub fn needed(self, loaded: u64) -> u64 {
        loaded + 2 * self.slots_min * SLOT_BYTES
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_generation_is_bounded_whatever_the_memory_but_holds_the_largest_batch() {
        let memory = |bytes| Memory { bytes, slots_min: 1 << 16 };
        assert_eq!(memory(64 << 30).slots(0), Some(SLOTS_MAX));
        // Two of them, and the filters of 500 M keys beside, in what `memory_max` 3 GiB leaves.
        assert_eq!(memory(1_741 << 20).slots(1_250_000_000), Some(SLOTS_MAX));
        assert_eq!(memory(SLOT_BYTES << 18).slots(0), Some(1 << 17));
        assert_eq!(memory(SLOT_BYTES << 18).slots(SLOT_BYTES << 17), Some(1 << 16));
        assert_eq!(memory(SLOT_BYTES << 18).slots((SLOT_BYTES << 17) + 1), None);
        let needed = memory(0).needed(7);
        assert_eq!(memory(needed).slots(7), Some(1 << 16));
        assert_eq!(memory(needed - 1).slots(7), None);
        let large = Memory { bytes: 64 << 30, slots_min: 3 << 21 };
        assert_eq!(large.slots(0), Some(3 << 21));
        // Beside a frozen one that takes more than half.
        let frozen = Some(3 * (SLOT_BYTES << 16));
        assert_eq!(memory(SLOT_BYTES << 18).slots_beside(0, frozen), Some(1 << 16));
        assert_eq!(memory(SLOT_BYTES << 18).slots_beside(1, frozen), None);
    }
}
