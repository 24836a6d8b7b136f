//! Money without floating point: decimal amounts, customs rates, conversion to euro cents.
//!
//! Invariant: a conversion is the exact quotient rounded half up to the cent (Art. 53 UCC;
//! a property test holds it equal to `rust_decimal`). No input overflows: past `u64::MAX` cents it
//! stays there.

use std::fmt::Write as _;

use crate::id::EurCents;

/// Most decimals of a customs rate, and its largest value: `hundredths * 10^9 * 2` then fits 128
/// bits with room to spare.
pub(super) const RATE_DECIMALS_MAX: usize = 9;
const RATE_SCALED_MAX: u64 = 1_000_000_000_000_000;

/// How many units of a currency one euro is, as the whole number `scaled` over `unit`, a power
/// of 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    scaled: u64,
    unit: u64,
}

impl Rate {
    /// The euro's own.
    pub(super) const ONE: Self = Self { scaled: 1, unit: 1 };

    /// Reads `1.1951`; `None` where it is no decimal, not above 0, or out of bounds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || !digits(whole)
            || !digits(decimals)
            || decimals.len() > RATE_DECIMALS_MAX
            || text.ends_with('.')
        {
            return None;
        }
        let unit = 10_u64.checked_pow(u32::try_from(decimals.len()).ok()?)?;
        let whole: u64 = whole.parse().ok()?;
        let part: u64 = if decimals.is_empty() { 0 } else { decimals.parse().ok()? };
        let scaled = whole.checked_mul(unit)?.checked_add(part)?;
        (1..=RATE_SCALED_MAX).contains(&scaled).then_some(Self { scaled, unit })
    }

    /// `hundredths` of the currency in euro cents: floor(hundredths * unit / scaled + 1/2).
    pub(super) fn to_eur(self, hundredths: u64) -> EurCents {
        // Amounts under 10^9 units, that is all real ones, take the short way.
        let short = hundredths.checked_mul(2 * self.unit).and_then(|n| n.checked_add(self.scaled));
        if let Some(numerator) = short {
            return EurCents(numerator / (2 * self.scaled));
        }
        let numerator =
            u128::from(hundredths) * u128::from(2 * self.unit) + u128::from(self.scaled);
        EurCents(u64::try_from(numerator / u128::from(2 * self.scaled)).unwrap_or(u64::MAX))
    }

    /// The largest amount in hundredths that [`Self::to_eur`] makes no more than `cents` of: the h for which
    /// 2 * h * unit < scaled * (2 * cents + 1).
    pub(super) fn most_worth(self, cents: EurCents) -> u64 {
        let below = u128::from(self.scaled) * (u128::from(cents.0) * 2 + 1);
        u64::try_from((below - 1) / (u128::from(self.unit) * 2)).unwrap_or(u64::MAX)
    }
}

/// Reads `150.00`, `150` or `1.5` as hundredths; `None` for anything else.
pub(super) fn parse_hundredths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || whole.len() > 12 || decimals.is_empty() || decimals.len() > 2 {
        return None;
    }
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let scale = if decimals.len() == 1 { 10 } else { 1 };
    Some(whole.parse::<u64>().ok()? * 100 + decimals.parse::<u64>().ok()? * scale)
}

/// Writes hundredths as `161.20`.
pub(super) fn show_hundredths(hundredths: u64) -> String {
    let mut shown = String::new();
    // Writing to a String does not fail.
    let _ = write!(shown, "{}.{:02}", hundredths / 100, hundredths % 100);
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;
    use rust_decimal::{Decimal, RoundingStrategy};
    use std::str::FromStr;

    #[test]
    fn rates_and_amounts_are_read() {
        assert_eq!(Rate::parse("1.1951"), Some(Rate { scaled: 11_951, unit: 10_000 }));
        assert_eq!(Rate::parse("150"), Some(Rate { scaled: 150, unit: 1 }));
        for bad in ["", ".", "1.", ".5", "0", "0.000", "-1", "1e3", "1.0000000001", "1,5", "1.2.3"]
        {
            assert_eq!(Rate::parse(bad), None, "{bad}");
        }
        assert_eq!(Rate::parse("9999999999999999"), None);
        assert_eq!(parse_hundredths("150.00"), Some(15_000));
        assert_eq!(parse_hundredths("45"), Some(4_500));
        assert_eq!(parse_hundredths("1.5"), Some(150));
        for bad in ["", ".5", "1.", "1.234", "-1", "1.2.3", "1 0"] {
            assert_eq!(parse_hundredths(bad), None, "{bad}");
        }
        assert_eq!(show_hundredths(16_120), "161.20");
        assert_eq!(show_hundredths(5), "0.05");
    }

    #[test]
    fn a_half_cent_goes_up() {
        let two = Rate::parse("2").unwrap();
        assert_eq!(two.to_eur(1), EurCents(1));
        assert_eq!(two.to_eur(3), EurCents(2));
        assert_eq!(Rate::parse("3").unwrap().to_eur(4), EurCents(1));
        assert_eq!(Rate::ONE.to_eur(u64::MAX), EurCents(u64::MAX));
        assert_eq!(Rate::parse("0.000000001").unwrap().to_eur(u64::MAX), EurCents(u64::MAX));
    }

    proptest! {
        #[test]
        fn conversion_is_that_of_decimal_arithmetic(
            // n..16,2 is as much as a declaration may state.
            hundredths in prop_oneof![0..100_000_u64, 0..10_000_000_000_000_000_u64],
            scaled in 1..1_000_000_000_u64,
            decimals in 0..7_u32,
        ) {
            let rate = Decimal::from_i128_with_scale(i128::from(scaled), decimals);
            let ours = Rate::parse(&rate.to_string()).expect("a rate").to_eur(hundredths);
            let exact = Decimal::from(hundredths)
                .checked_div(rate)
                .expect("in range")
                .round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
            prop_assert_eq!(Decimal::from_str(&ours.0.to_string()).unwrap(), exact);
        }
    }
}
