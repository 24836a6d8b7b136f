//! Powers of two and near-normal draws on integers alone, so that every machine gets the same ones.
//!
//! Logarithms are to the base 2, in 2^-16 ([`Log`]); shares are in 2^-32.

use crate::generate::random::Random;

/// A logarithm to the base 2, in 2^-16.
pub(super) type Log = i64;

/// One, as a [`Log`].
pub(super) const ONE: Log = 1 << 16;
/// Powers past this are cut off: 2^30 cents are ten million euros, 2^30 milligrams a ton.
const LOG_MAX: Log = (30 << 16) - 1;

/// 2^`log`, rounded down, exact to a thousandth; 1 below 0.
pub(super) fn power(log: Log) -> u64 {
    let log = log.clamp(0, LOG_MAX).unsigned_abs();
    let (whole, part) = (log >> 16, (log & 0xffff) << 14);
    // The series of 2^x up to the fifth power, in 2^-30.
    let series = [1_431_655, 10_327_388, 59_597_083, 257_941_240, 744_261_118, 1 << 30]
        .into_iter()
        .fold(0_u64, |sum, term| term + ((sum * part) >> 30));
    series >> (30 - whole)
}

/// The logarithm of `number`: the least that [`power`] makes at least `number` of.
pub(super) fn log(number: u64) -> Log {
    let (mut low, mut high) = (0, LOG_MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if power(middle) < number {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// A draw from what is nearly the normal distribution with mean 0 and deviation 1, in 2^-16: the
/// sum of eight bytes, which never strays further than 4.88 deviations.
pub(super) fn normal(random: &mut Random) -> i64 {
    let word = random.next();
    let pairs = (word & 0x00ff_00ff_00ff_00ff) + ((word >> 8) & 0x00ff_00ff_00ff_00ff);
    let sum = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
    // The deviation of the sum is sqrt(8 * (256^2 - 1) / 12) = 209.02, and 2^16 / 209.02 = 313.54.
    (i64::try_from(sum).unwrap_or(0) - 1_020) * 31_354 / 100
}

/// A logarithm that strays by `deviation` around `mean`.
pub(super) fn around(mean: Log, deviation: Log, random: &mut Random) -> Log {
    mean + ((deviation * normal(random)) >> 16)
}

/// A share as given, 0 to 1, in 2^-32. Exact in every IEEE 754 arithmetic; the cast cuts off.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn share(share: f64) -> u64 {
    (share * 4_294_967_296.0) as u64
}

/// A share drawn between two, in 2^-32, given in hundred-thousandths.
pub(super) fn share_between(low: u64, high: u64, random: &mut Random) -> u64 {
    random.between((low << 32) / 100_000, (high << 32) / 100_000)
}

/// True in such a share (2^-32) of cases.
pub(super) fn happens(share: u64, random: &mut Random) -> bool {
    random.next() >> 32 < share
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn powers_and_logarithms_are_those_of_the_reals() {
        for number in [1_u64, 2, 3, 99, 1_000, 12_345, 14_000_000] {
            let exact = (number as f64).log2() * 65_536.0;
            assert!((log(number) as f64 - exact).abs() < 100.0 + 200_000.0 / number as f64);
        }
        for x in [0.5_f64, 3.25, 7.9, 10.01, 20.999] {
            let made = power((x * 65_536.0) as i64) as f64;
            assert!((made - x.exp2()).abs() <= 1.0 + x.exp2() / 1_000.0, "{x} {made}");
        }
        assert_eq!((power(-5), power(0), power(ONE)), (1, 1, 2));
    }

    #[test]
    fn normal_draws_have_mean_and_deviation() {
        let mut random = Random::keyed(&[4]);
        let draws: Vec<f64> = (0..100_000).map(|_| normal(&mut random) as f64 / 65_536.0).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let deviation = (draws.iter().map(|z| z * z).sum::<f64>() / 1e5).sqrt();
        assert!(mean.abs() < 0.016 && (deviation - 1.0).abs() < 0.012, "{mean} {deviation}");
        // Of the true normal distribution 2.275 % are below -2.
        let low = draws.iter().filter(|&&z| z < -2.0).count();
        assert!((1_900..2_600).contains(&low), "{low}");
    }
}
