//! The generator's own source of chance: SplitMix64 (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", OOPSLA 2014), on integers alone.
//!
//! It is written here because the same seed must give the same bytes on every machine and for
//! ever, and a library's stream may change from one version to the next. Nothing rests on its
//! quality as a secret; the product's keyed hashes are elsewhere.

/// 2^64 divided by the golden ratio, made odd: SplitMix64's step.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finisher: every bit of `z` reaches every bit of the result.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of numbers, a pure function of the key it was made from.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream belonging to `parts`, in their order: (seed, actor, position, purpose), say.
    #[must_use]
    pub fn keyed(parts: &[u64]) -> Self {
        let state = parts
            .iter()
            .fold(0, |state: u64, &part| mix(state.wrapping_add(STEP)).wrapping_add(mix(part)));
        Self { state: mix(state) }
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number from 0 up to but without `bound`; 0 where `bound` is 0. Lemire's multiplication,
    /// without its rejection step: the skew is below `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// The smaller of two draws below `bound`: low numbers are the likelier ones, as prices and
    /// popular sellers are.
    pub fn low_below(&mut self, bound: u64) -> u64 {
        self.below(bound).min(self.below(bound))
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`; the default where there are none.
    pub fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let place = self.below(choices.len() as u64);
        usize::try_from(place).ok().and_then(|at| choices.get(at)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // The first three numbers of SplitMix64 from state 0 and from state 1234567, as given with
        // the reference implementation (Vigna, prng.di.unimi.it/splitmix64.c).
        let mut random = Random { state: 0 };
        assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next(), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(random.next(), 0x06c4_5d18_8009_454f);
        let mut random = Random { state: 1_234_567 };
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn keys_in_another_order_give_another_stream() {
        assert_ne!(Random::keyed(&[1, 2]).next(), Random::keyed(&[2, 1]).next());
        assert_ne!(Random::keyed(&[1]).next(), Random::keyed(&[1, 0]).next());
        assert_eq!(Random::keyed(&[1, 2]).next(), Random::keyed(&[1, 2]).next());
    }

    #[test]
    fn draws_stay_within_their_bounds_and_reach_them() {
        let mut random = Random::keyed(&[7]);
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[usize::try_from(random.between(10, 15)).unwrap() - 10] += 1;
        }
        // 1,000 each is expected; 5 standard deviations are 145.
        assert!(seen.iter().all(|&n| (855..=1_145).contains(&n)), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.pick::<u8>(&[]), 0);
    }
}
