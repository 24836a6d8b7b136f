//! The filters before a run: one for each part of the keys by their top bits.

use xorf::{BinaryFuse16, Descriptor, Filter as _};

use super::page::{Bytes, Cursor};
use super::{PART_ENTRIES, RunError};
use crate::wire::digest::Key;

/// Bytes of what a filter is described by.
const DESCRIBED_BYTES: usize = 24;

/// Tells of most keys that are not in a run that they are not.
#[derive(Debug, Default)]
pub(super) struct Filters {
    bits: u32,
    parts: Vec<BinaryFuse16>,
}

/// The parts of `entries` keys are 2 to the power of this.
pub(super) fn bits_for(entries: u64) -> u32 {
    entries.div_ceil(PART_ENTRIES).max(1).next_power_of_two().trailing_zeros()
}

/// Which part a key belongs to.
pub(super) fn part_of(key: Key, bits: u32) -> u64 {
    if bits == 0 { 0 } else { key.0 >> (64 - bits) }
}

/// 64 bits of a key, of which all count.
fn hash(key: Key) -> u64 {
    key.0 ^ key.1.rotate_left(32)
}

impl Filters {
    /// None yet, of 2 to the power of `bits`.
    pub(super) fn new(bits: u32) -> Self {
        Self { bits, parts: Vec::new() }
    }

    /// Adds the filter of the next part, whose keys these are.
    pub(super) fn push(&mut self, keys: impl Iterator<Item = Key>) -> Result<(), RunError> {
        let mut hashes: Vec<u64> = keys.map(hash).collect();
        // A filter takes no key twice; and sorted, so that the same keys make the same filter.
        hashes.sort_unstable();
        hashes.dedup();
        let made = BinaryFuse16::try_from(&hashes[..]);
        let made = made.map_err(|what| RunError::Filter { keys: hashes.len(), what })?;
        self.parts.push(made);
        Ok(())
    }

    /// False only where no such key is in the run.
    pub(super) fn may_have(&self, key: Key) -> bool {
        let part = usize::try_from(part_of(key, self.bits)).unwrap_or(usize::MAX);
        self.parts.get(part).is_some_and(|filter| filter.contains(&hash(key)))
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| (DESCRIBED_BYTES + part.fingerprints.len() * 2) as u64).sum()
    }

    pub(super) fn write(&self, bytes: &mut Bytes) {
        for BinaryFuse16 { descriptor, fingerprints } in &self.parts {
            bytes
                .put(&descriptor.seed.to_le_bytes())
                .put(&descriptor.segment_length.to_le_bytes())
                .put(&descriptor.segment_length_mask.to_le_bytes())
                .put(&descriptor.segment_count_length.to_le_bytes())
                .put(&u32::try_from(fingerprints.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        for fingerprint in self.parts.iter().flat_map(|part| &*part.fingerprints) {
            bytes.put(&fingerprint.to_le_bytes());
        }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>, bits: u32) -> Option<Self> {
        let parts = (bits < 32).then(|| 1_usize << bits)?;
        let described: Vec<(Descriptor, u32)> = (0..parts)
            .map(|_| {
                let descriptor = Descriptor {
                    seed: cursor.u64()?,
                    segment_length: cursor.u32()?,
                    segment_length_mask: cursor.u32()?,
                    segment_count_length: cursor.u32()?,
                };
                Some((descriptor, cursor.u32()?))
            })
            .collect::<Option<_>>()?;
        let parts = described.into_iter().map(|(descriptor, count)| {
            let length = u64::from(descriptor.segment_length);
            // What `contains` reads is always there.
            let reads = u64::from(descriptor.segment_count_length) + 2 * length;
            let is_sound = length.is_power_of_two()
                && u64::from(descriptor.segment_length_mask) == length - 1
                && reads <= u64::from(count);
            let bytes = cursor.take(usize::try_from(count).ok()?.checked_mul(2)?)?;
            let fingerprints = bytes.as_chunks().0.iter().map(|two| u16::from_le_bytes(*two));
            is_sound.then(|| BinaryFuse16 { descriptor, fingerprints: fingerprints.collect() })
        });
        Some(Self { bits, parts: parts.collect::<Option<_>>()? })
    }
}
