//! The emergency procedure: what a fallback lodgement is worth.
//!
//! Choices:
//! - A fallback message without anything in it counts as absent.
//! - Its moment is usable where it is above 0, not after arrival and not more than the days allowed
//!   before it (that many times 24 hours). Only then do its day's law and rates apply; a missing or
//!   overlong reference does not change that.

use super::finding::{Element, Reason};
use super::form::is_text;
use super::judge::Found;
use crate::day::Moment;
use crate::wire::view::FallbackLodgement;

const REFERENCE_CHARACTERS_MAX: usize = 35;
const DAY_MS: i64 = 86_400_000;
/// How far a fallback lodgement may lie back: the contract says so, and what was judged under it is
/// judged again the same, so it is no setting.
const DAYS_BACK_MAX: i64 = 30;

const PRESENT: u8 = 1;
const MOMENT_WRONG: u8 = 2;
const REFERENCE_MISSING: u8 = 4;
const REFERENCE_WRONG: u8 = 8;

/// Whether `reference`, which is in normal form, is there and such as the rules take it.
#[must_use]
pub fn reference_is_sound(reference: &str) -> bool {
    !reference.is_empty() && is_text(reference, REFERENCE_CHARACTERS_MAX)
}

/// What the rules make of a fallback lodgement, apart from the declaration, so that a replay can
/// be judged with what was found at first, whenever it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FallbackCheck(u8);

impl FallbackCheck {
    /// Checks `fallback` of a declaration that arrives at `arrival`.
    #[must_use]
    pub fn of(fallback: &FallbackLodgement<'_>, arrival: Moment) -> Self {
        if fallback.reference.is_empty() && fallback.lodged_at_ms == 0 {
            return Self(0);
        }
        let earliest = arrival.0.saturating_sub(DAYS_BACK_MAX * DAY_MS);
        let at = fallback.lodged_at_ms;
        let mut bits = PRESENT;
        if at <= 0 || at < earliest || at > arrival.0 {
            bits |= MOMENT_WRONG;
        }
        if fallback.reference.is_empty() {
            bits |= REFERENCE_MISSING;
        } else if !is_text(fallback.reference, REFERENCE_CHARACTERS_MAX) {
            bits |= REFERENCE_WRONG;
        }
        Self(bits)
    }

    /// The same where no rule set holds on the day of its moment: that of arrival judges then.
    #[must_use]
    pub fn without_law(self) -> Self {
        Self(self.0 | MOMENT_WRONG)
    }

    /// As it is kept beside the key; see [`Self::bits`].
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Bit 0: there is one. Bit 1: its moment is unusable. Bit 2: its reference is missing. Bit 3:
    /// its reference is malformed.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// There is no fallback lodgement.
    #[must_use]
    pub fn is_absent(self) -> bool {
        self.0 & PRESENT == 0
    }

    /// There is nothing wrong with it, or there is none.
    #[must_use]
    pub fn is_sound(self) -> bool {
        self.0 <= PRESENT
    }

    /// Law and rates are those of the day on which it was first lodged.
    #[must_use]
    pub fn usable(self) -> bool {
        self.0 & (PRESENT | MOMENT_WRONG) == PRESENT
    }
}

#[inline]
pub(super) fn judge(check: FallbackCheck, fallback: &FallbackLodgement<'_>, found: &mut Found<'_>) {
    if check.0 <= PRESENT {
        return;
    }
    if check.0 & REFERENCE_MISSING != 0 {
        found.add(Reason::FieldMissing, Element::FallbackReference, 0, "");
    }
    if check.0 & REFERENCE_WRONG != 0 {
        found.add(Reason::FieldFormat, Element::FallbackReference, 0, fallback.reference);
    }
    if check.0 & MOMENT_WRONG != 0 {
        let value = fallback.lodged_at_ms.to_string();
        found.add(Reason::FieldFormat, Element::FallbackLodgedAt, 0, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, lodged_at_ms: i64) -> FallbackCheck {
        let arrival = Moment(1_000 * DAY_MS);
        FallbackCheck::of(&FallbackLodgement { reference, lodged_at_ms }, arrival)
    }

    #[test]
    fn thirty_days_back_and_no_more() {
        assert!(check("", 0).is_absent());
        assert!(!check("", 0).usable());
        assert!(check("F1", 970 * DAY_MS).usable());
        assert!(check("F1", 1_000 * DAY_MS).usable());
        for at in [970 * DAY_MS - 1, 1_000 * DAY_MS + 1, 0, -1, i64::MIN, i64::MAX] {
            assert!(!check("F1", at).usable(), "{at}");
            assert_eq!(check("F1", at).bits(), PRESENT | MOMENT_WRONG);
        }
        let early = FallbackLodgement { reference: "F1", lodged_at_ms: 1 };
        assert!(!FallbackCheck::of(&early, Moment(i64::MIN)).usable());
    }

    #[test]
    fn a_wrong_reference_leaves_the_moment_usable() {
        assert_eq!(check("", 999 * DAY_MS).bits(), PRESENT | REFERENCE_MISSING);
        assert!(check("", 999 * DAY_MS).usable());
        assert_eq!(check(&"x".repeat(35), 999 * DAY_MS).bits(), PRESENT);
        assert_eq!(check(&"x".repeat(36), 999 * DAY_MS).bits(), PRESENT | REFERENCE_WRONG);
        assert_eq!(FallbackCheck::from_bits(9), check(&"x".repeat(36), 999 * DAY_MS));
    }
}
