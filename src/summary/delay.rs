//! How long after its fallback lodgement a declaration arrived.

use crate::day::Moment;
use crate::wire::view::FallbackLodgement;

/// How many classes there are.
pub const DELAYS: usize = 6;

const HOUR_MS: i64 = 3_600_000;
/// Above the last of these it is [`Delay::Longer`].
const BOUNDS_MS: [(i64, Delay); DELAYS - 1] = [
    (HOUR_MS, Delay::Hour),
    (4 * HOUR_MS, Delay::Hours4),
    (24 * HOUR_MS, Delay::Hours24),
    (72 * HOUR_MS, Delay::Hours72),
    (7 * 24 * HOUR_MS, Delay::Days7),
];

/// The time from first lodging to arrival, in classes; each ends with its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Delay {
    /// At most an hour.
    Hour,
    /// At most 4 hours.
    Hours4,
    /// At most 24 hours: by then it is to be lodged again.
    Hours24,
    /// At most 72 hours.
    Hours72,
    /// At most 7 days of 24 hours.
    Days7,
    /// More.
    Longer,
}

impl Delay {
    /// Of a declaration that arrived at `arrival`. `None` where it was not lodged before, and where the
    /// moment given for that is none: missing, or after arrival. One that lies too far back for the
    /// rules is what it says.
    #[inline]
    #[must_use]
    pub fn of(fallback: &FallbackLodgement<'_>, arrival: Moment) -> Option<Self> {
        if fallback.lodged_at_ms == 0 {
            None
        } else {
            Self::between(fallback.lodged_at_ms, arrival.0)
        }
    }

    #[cold]
    fn between(lodged_ms: i64, arrival_ms: i64) -> Option<Self> {
        if lodged_ms <= 0 || lodged_ms > arrival_ms {
            return None;
        }
        let delay_ms = arrival_ms.saturating_sub(lodged_ms);
        let class = BOUNDS_MS.iter().find(|(bound, _)| delay_ms <= *bound);
        Some(class.map_or(Self::Longer, |(_, delay)| *delay))
    }
}

/// Those of `delays`, by class, that are above 24 hours.
#[must_use]
pub fn late(delays: &[u64; DELAYS]) -> u64 {
    delays.iter().skip(Delay::Hours72 as usize).fold(0, |sum, count| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_ends_with_its_bound() {
        let arrival = Moment(1_000 * 24 * HOUR_MS);
        let of = |before_ms: i64| {
            let lodged_at_ms = arrival.0 - before_ms;
            Delay::of(&FallbackLodgement { reference: "F", lodged_at_ms }, arrival)
        };
        assert_eq!(of(0), Some(Delay::Hour));
        let classes = [Delay::Hours4, Delay::Hours24, Delay::Hours72, Delay::Days7, Delay::Longer];
        for ((bound, up_to), next) in BOUNDS_MS.into_iter().zip(classes) {
            assert_eq!((of(bound), of(bound + 1)), (Some(up_to), Some(next)), "{bound}");
        }
        assert_eq!(of(40 * 24 * HOUR_MS), Some(Delay::Longer));
        // No moment, one after arrival, and one before all time.
        for none in [arrival.0, -1, arrival.0 + 1] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(
            Delay::of(&FallbackLodgement { reference: "F", lodged_at_ms: i64::MIN }, arrival),
            None
        );
    }

    #[test]
    fn late_is_what_came_after_24_hours() {
        assert_eq!(late(&[1, 2, 4, 8, 16, 32]), 56);
        assert_eq!(late(&[1, 1, 1, u64::MAX, 1, 0]), u64::MAX);
    }
}
