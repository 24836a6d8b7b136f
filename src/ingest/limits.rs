//! How much each declarant may lodge in a second, where the settings limit it: batches, and bytes of them. What
//! is past it is refused before anything is judged, with the time after which it would be taken. Without
//! a limit a declarant has its fair share of what is in work (see [`super::budget`]), and no more.
//!
//! A limit is a token bucket that holds a second's worth, and for bytes at least the largest batch: so
//! a declarant may begin with a burst of as much, and a batch of any allowed size is taken in the end. A refused
//! batch may count as one of the batches of its second.

use std::collections::HashMap;
use std::num::NonZeroU32;

use governor::clock::{Clock, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::refusal::Refusal;
use crate::config::{ByteSize, LimitConfig};
use crate::id::Eori;

type Bucket = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// Of one declarant.
#[derive(Debug)]
struct Limit {
    batches: Option<(u32, Bucket)>,
    bytes: Option<(ByteSize, Bucket)>,
}

/// Of each declarant that has one.
#[derive(Debug, Default)]
pub(super) struct Limits(HashMap<Eori, Limit>);

impl Limits {
    /// As the settings have them; a batch has `batch_bytes_max` bytes at most.
    #[must_use]
    pub(super) fn new(limits: &[LimitConfig], batch_bytes_max: u64) -> Self {
        let bucket = |per_s: NonZeroU32, most: NonZeroU32| {
            RateLimiter::direct_with_clock(
                Quota::per_second(per_s).allow_burst(most),
                MonotonicClock,
            )
        };
        let of = |limit: &LimitConfig| {
            let batches = limit.batches_per_s.map(|per_s| (per_s.get(), bucket(per_s, per_s)));
            let bytes = limit.bytes_per_s.map(|size| {
                let per_s = units(size.0);
                (size, bucket(per_s, per_s.max(units(batch_bytes_max))))
            });
            (limit.declarant, Limit { batches, bytes })
        };
        Self(limits.iter().map(of).collect())
    }

    /// Takes a batch of so many bytes from what `declarant` may lodge.
    ///
    /// # Errors
    /// The refusal of the batch, with when to send it again.
    pub(super) fn take(&self, declarant: Option<Eori>, bytes: usize) -> Result<(), Refusal> {
        let Some(declarant) = declarant else { return Ok(()) };
        let Some(limit) = self.0.get(&declarant) else { return Ok(()) };
        let refused = |what: String, setting: &str, wait: std::time::Duration| {
            let ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).saturating_add(1);
            let sentence = format!(
                "{} may lodge {what} a second ([[limit]] {setting}): send the batch again later",
                declarant.as_str()
            );
            Refusal::exhausted(sentence, ms)
        };
        if let Some((per_s, bucket)) = &limit.batches
            && let Err(not_until) = bucket.check()
        {
            let wait = not_until.wait_time_from(MonotonicClock.now());
            return Err(refused(format!("{per_s} batches"), "batches_per_s", wait));
        }
        if let Some((size, bucket)) = &limit.bytes {
            match bucket.check_n(units(bytes as u64)) {
                Ok(Ok(())) => {}
                Ok(Err(not_until)) => {
                    let wait = not_until.wait_time_from(MonotonicClock.now());
                    return Err(refused(size.to_string(), "bytes_per_s", wait));
                }
                // Larger than the largest batch: it is refused for that.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Bytes are counted in units of this, begun ones whole: a bucket counts in whole nanoseconds for each.
const UNIT: u64 = 256;

fn units(bytes: u64) -> NonZeroU32 {
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
    NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn eori(text: &str) -> Option<Eori> {
        Eori::parse(text)
    }

    /// One that is not filled again within any test.
    fn limits(batches_per_s: Option<u32>, bytes_per_s: Option<u64>, largest: u64) -> Limits {
        let limit = LimitConfig {
            declarant: eori("NL1").unwrap(),
            batches_per_s: batches_per_s.and_then(NonZeroU32::new),
            bytes_per_s: bytes_per_s.map(ByteSize),
        };
        Limits::new(&[limit], largest)
    }

    #[test]
    fn a_burst_is_a_second_s_worth_and_of_others_nothing_is_taken() {
        let limits = limits(Some(3), None, 100);
        for _ in 0..10 {
            assert!(limits.take(eori("NL2"), 1_000).is_ok() && limits.take(None, 1_000).is_ok());
        }
        let taken = (0..3).filter(|_| limits.take(eori("NL1"), 1_000).is_ok()).count();
        assert_eq!(taken, 3);
        // Filled again at three a second: within a third of one there is no other.
        let refused = (0..100).find_map(|_| limits.take(eori("NL1"), 1_000).err()).unwrap();
        assert!((1..=335).contains(&refused.retry_after_ms), "{refused:?}");
        assert!(refused.message.contains("NL1 may lodge 3 batches a second"), "{refused}");
    }

    #[test]
    fn the_largest_batch_is_taken_however_little_is_allowed() {
        let limits = limits(None, Some(256), 100 * 256);
        assert!(limits.take(eori("NL1"), 100 * 256).is_ok());
        let refused = limits.take(eori("NL1"), 100 * 256).unwrap_err();
        assert!(refused.retry_after_ms > 90_000, "{refused:?}");
        assert!(refused.message.contains("bytes_per_s"), "{refused}");
        assert!(limits.take(eori("NL2"), 100 * 256).is_ok());
    }
}
