//! The form of an IOSS number, and the numbers that are refused.

use std::collections::HashMap;

use super::table::Dated;
use crate::day::Day;

/// The ten digits of `IM` and ten digits (Art. 369q Dir. 2006/112/EC); `None` for any other form.
/// Whether the first three are a country that identifies sellers is for the list to say. The check
/// digit's algorithm is not public, so it is not tested.
pub(super) fn digits(number: &str) -> Option<u64> {
    let digits: [u8; 10] = number.strip_prefix("IM")?.as_bytes().try_into().ok()?;
    let (mut sum, mut wrong) = (0, false);
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        wrong |= digit > 9;
        sum = sum * 10 + u64::from(digit);
    }
    (!wrong).then_some(sum)
}

/// The number of the country that identified the seller, from a number's ten digits.
pub(super) fn country(digits: u64) -> usize {
    usize::try_from(digits / 10_000_000).unwrap_or(usize::MAX)
}

/// The numbers that are refused, each on its days. Kept apart from what is compiled for a day,
/// since the list may be long and changes often. Senders choose what is looked up, so the hash is
/// keyed.
#[derive(Debug, Default)]
pub(super) struct Denied(HashMap<u64, Vec<(Day, Day)>>);

impl Denied {
    pub(super) fn new(rows: &[Dated<u64>]) -> Self {
        let mut denied: HashMap<u64, Vec<(Day, Day)>> = HashMap::new();
        for row in rows {
            denied.entry(row.what).or_default().push((row.from, row.to));
        }
        Self(denied)
    }

    pub(super) fn contains(&self, digits: u64, day: Day) -> bool {
        !self.0.is_empty()
            && self
                .0
                .get(&digits)
                .is_some_and(|spans| spans.iter().any(|(from, to)| *from <= day && day <= *to))
    }
}
