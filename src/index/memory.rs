//! How large the tables may be beside what is loaded of the runs.

use super::SLOT_BYTES;

/// Memory of an index that has runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes of two generations, and of what is loaded of all runs.
    pub bytes: u64,
    /// The fewest slots of a generation.
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
        Some(bytes / SLOT_BYTES).filter(|slots| *slots >= self.slots_min)
    }

    /// What it would have to be with so many bytes loaded.
    #[must_use]
    pub fn needed(self, loaded: u64) -> u64 {
        loaded + 2 * self.slots_min * SLOT_BYTES
    }
}
