//! The filters before a run: one for each part of the keys by their top bits.

use xorf::{BinaryFuse16, Descriptor};

use super::load::Loaded;
use super::{PART_ENTRIES, RunError};
use crate::index::table::prefetch;
use crate::wire::digest::Key;

/// Bytes of what a filter is described by.
const DESCRIBED_BYTES: u64 = 24;

/// So many keys are asked for together: each of their three fingerprints is on its way from memory
/// while the others are.
const GROUP: usize = 32;

/// Fingerprints written or read at once.
const CHUNK: usize = 4_096;

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

/// Where a key's fingerprints are in its part, and what they come to if it is there.
#[derive(Debug, Clone, Copy)]
struct Probe<'a> {
    fingerprints: &'a [u16],
    places: [usize; 3],
    expected: u16,
}

impl<'a> Probe<'a> {
    /// As `xorf` has it, which keeps this to itself; a test holds the two together.
    fn of(filter: &'a BinaryFuse16, key: Key) -> Self {
        let BinaryFuse16 { descriptor, fingerprints } = filter;
        let hash = mix(hash(key).wrapping_add(descriptor.seed));
        let share = u128::from(hash) * u128::from(descriptor.segment_count_length);
        #[allow(clippy::cast_possible_truncation, reason = "32 bits are what is meant")]
        let (first, middle, low, folded) =
            ((share >> 64) as u32, (hash >> 18) as u32, hash as u32, (hash ^ (hash >> 32)) as u16);
        let second = first.wrapping_add(descriptor.segment_length);
        let third = second.wrapping_add(descriptor.segment_length);
        let mask = descriptor.segment_length_mask;
        let places = [first, second ^ (middle & mask), third ^ (low & mask)];
        Self { fingerprints, places: places.map(|place| place as usize), expected: folded }
    }

    fn prefetch(&self) {
        self.places.iter().for_each(|place| prefetch(self.fingerprints, *place));
    }

    fn hits(&self) -> bool {
        let found = self.places.iter().map(|place| self.fingerprints.get(*place).unwrap_or(&0));
        found.fold(self.expected, |left, fingerprint| left ^ fingerprint) == 0
    }
}

/// The finalizer of MurmurHash3.
fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
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

    fn probe(&self, key: Key) -> Option<Probe<'_>> {
        let part = usize::try_from(part_of(key, self.bits)).ok()?;
        Some(Probe::of(self.parts.get(part)?, key))
    }

    /// False only where no such key is in the run.
    pub(super) fn may_have(&self, key: Key) -> bool {
        self.probe(key).is_some_and(|probe| probe.hits())
    }

    /// The places in `keys` of those that may be in the run, ascending, handed to `hit`.
    pub(super) fn may_have_each(
        &self,
        keys: impl Iterator<Item = Key>,
        mut hit: impl FnMut(usize),
    ) {
        let mut keys = keys.peekable();
        let mut start = 0;
        while keys.peek().is_some() {
            let mut group = [None; GROUP];
            for (probe, key) in group.iter_mut().zip(keys.by_ref()) {
                *probe = self.probe(key);
                probe.iter().for_each(Probe::prefetch);
            }
            for (place, probe) in (start..).zip(&group) {
                if probe.is_some_and(|probe| probe.hits()) {
                    hit(place);
                }
            }
            start += GROUP;
        }
    }

    /// Memory that they take, and bytes in the file.
    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| DESCRIBED_BYTES + part.fingerprints.len() as u64 * 2).sum()
    }

    /// Hands what is written of them to `put`, piece by piece: together it is as much as they take.
    pub(super) fn write(
        &self,
        mut put: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        for BinaryFuse16 { descriptor, fingerprints } in &self.parts {
            put(&descriptor.seed.to_le_bytes())?;
            put(&descriptor.segment_length.to_le_bytes())?;
            put(&descriptor.segment_length_mask.to_le_bytes())?;
            put(&descriptor.segment_count_length.to_le_bytes())?;
            put(&u32::try_from(fingerprints.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        }
        let mut bytes = Vec::with_capacity(2 * CHUNK);
        for chunk in self.parts.iter().flat_map(|part| part.fingerprints.chunks(CHUNK)) {
            bytes.clear();
            chunk.iter().for_each(|fingerprint| bytes.extend(fingerprint.to_le_bytes()));
            put(&bytes)?;
        }
        Ok(())
    }

    pub(super) fn read(loaded: &mut Loaded<'_>, bits: u32) -> Result<Self, RunError> {
        let parts = if bits < 32 { 1_usize << bits } else { return Err(loaded.damaged()) };
        let described: Vec<(Descriptor, u32)> = (0..parts)
            .map(|_| {
                let descriptor = Descriptor {
                    seed: loaded.u64()?,
                    segment_length: loaded.u32()?,
                    segment_length_mask: loaded.u32()?,
                    segment_count_length: loaded.u32()?,
                };
                Ok((descriptor, loaded.u32()?))
            })
            .collect::<Result<_, RunError>>()?;
        let parts = described.into_iter().map(|(descriptor, count)| {
            let length = u64::from(descriptor.segment_length);
            // Whatever is probed is there.
            let reads = u64::from(descriptor.segment_count_length) + 2 * length;
            let is_sound = length.is_power_of_two()
                && u64::from(descriptor.segment_length_mask) == length - 1
                && reads <= u64::from(count)
                && 2 * u64::from(count) <= loaded.left();
            if !is_sound {
                return Err(loaded.damaged());
            }
            let mut fingerprints = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
            let mut bytes = vec![0; 2 * CHUNK];
            for chunk in fingerprints.chunks_mut(CHUNK) {
                let bytes = bytes.get_mut(..2 * chunk.len()).unwrap_or_default();
                loaded.read(bytes)?;
                let twos = bytes.as_chunks().0.iter();
                chunk.iter_mut().zip(twos).for_each(|(to, two)| *to = u16::from_le_bytes(*two));
            }
            Ok(BinaryFuse16 { descriptor, fingerprints: fingerprints.into_boxed_slice() })
        });
        Ok(Self { bits, parts: parts.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use xorf::Filter as _;

    use super::*;
    use crate::disk::simulated::Chance;

    #[test]
    fn a_probe_says_what_the_library_says() {
        let mut chance = Chance(11);
        // Miri takes thousands of times as long.
        let (counts, asked_for) = if cfg!(miri) { (6, 200) } else { (9, 30_000) };
        for count in [0, 1, 2, 3, 5, 17, 100, 5_000, 60_000].into_iter().take(counts) {
            let mut filters = Filters::new(1);
            let keys: Vec<Key> = (0..count).map(|_| Key(chance.bits(), chance.bits())).collect();
            for part in 0..2 {
                filters.push(keys.iter().copied().filter(|k| part_of(*k, 1) == part)).unwrap();
            }
            // Few bits, so that many are let through that are not there.
            let others = (0..asked_for).map(|_| Key(chance.bits(), chance.bits()));
            let asked: Vec<Key> = keys.iter().copied().chain(others).collect();
            let expected = asked.iter().enumerate().filter(|(_, key)| {
                let part = usize::try_from(part_of(**key, 1)).unwrap();
                filters.parts.get(part).unwrap().contains(&hash(**key))
            });
            let expected: Vec<usize> = expected.map(|(place, _)| place).collect();
            let mut found = Vec::new();
            filters.may_have_each(asked.iter().copied(), |place| found.push(place));
            assert_eq!(found, expected, "{count}");
            assert!(found.len() >= keys.len());
            let alone: Vec<usize> =
                (0..asked.len()).filter(|n| filters.may_have(*asked.get(*n).unwrap())).collect();
            assert_eq!(alone, expected, "{count}");
        }
    }
}
