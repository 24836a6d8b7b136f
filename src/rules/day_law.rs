//! The law of one day.

use std::sync::Arc;

use super::edition::{EURO, Edition, NO_CURRENCY};
use super::finding::{Finding, Reason, Severity};
use super::ioss::Denied;
use super::money::Rate;
use crate::day::Day;
use crate::id::{Eori, EurCents};

/// What holds on one day, compiled for speed. Cheap to share; immutable.
#[derive(Debug)]
pub struct DayLaw {
    pub(super) day: Day,
    pub(super) edition: Arc<Edition>,
    pub(super) registers: Arc<Registers>,
    /// By the number of the currency; `None` where the month in use has no rate.
    pub(super) rates: Vec<Option<Rate>>,
    /// The earlier month whose rates are used, where there are none for the day's own.
    pub(super) rates_outdated: Option<String>,
    pub(super) rules_hash: [u8; 32],
    pub(super) reference_hash: [u8; 32],
}

/// Lists that may be long and change often, with the days on which their rows hold.
#[derive(Debug)]
pub(super) struct Registers {
    pub(super) denied: Denied,
    pub(super) presenters: std::collections::HashMap<Eori, Vec<(Day, Day)>>,
    /// From then on, only presenters in the list may use the special arrangements.
    pub(super) presenters_from: Option<Day>,
}

impl Registers {
    /// Whether `declarant` may use the special arrangements on `day`.
    pub(super) fn may_present(&self, declarant: Eori, day: Day) -> bool {
        self.presenters_from.is_none_or(|from| day < from)
            || self
                .presenters
                .get(&declarant)
                .is_some_and(|spans| spans.iter().any(|(from, to)| *from <= day && day <= *to))
    }
}

/// The first four bytes, as eight hexadecimal digits.
fn short(hash: &[u8; 32]) -> String {
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

impl DayLaw {
    /// The day of which this is the law.
    #[must_use]
    pub fn day(&self) -> Day {
        self.day
    }

    /// The rule set's first day and the hash of the rule files, as `2026-11-01+9f3ac204`.
    #[must_use]
    pub fn rule_set_name(&self) -> String {
        format!("{}+{}", self.edition.rule_set_from, short(&self.rules_hash))
    }

    /// The hash of rates and nomenclature, as `5be1770a`.
    #[must_use]
    pub fn reference_name(&self) -> String {
        short(&self.reference_hash)
    }

    /// Every reason that is tested on the day, with severity, text, legal basis and, where it is
    /// always the same, the number of its data element.
    pub fn reasons(
        &self,
    ) -> impl Iterator<Item = (Reason, Severity, &str, &str, Option<&'static str>)> {
        Reason::ALL.iter().filter_map(|reason| {
            let law = self.edition.reason(*reason)?;
            Some((*reason, law.severity?, &*law.text, &*law.legal_basis, law.element))
        })
    }

    /// How much `reason` weighs; `None` where it is not tested.
    #[must_use]
    pub fn severity(&self, reason: Reason) -> Option<Severity> {
        self.edition.reason(reason)?.severity
    }

    /// On what `reason` rests, as `Art. 1(48) UCC-DA`.
    #[must_use]
    pub fn legal_basis(&self, reason: Reason) -> &str {
        self.edition.reason(reason).map_or("", |law| &law.legal_basis)
    }

    /// Appends to `out` one sentence for a person; `value` is the one that `finding` quotes.
    pub fn message(&self, finding: &Finding, value: &str, out: &mut String) {
        if let Some(law) = self.edition.reason(finding.reason) {
            law.sentence.write(finding.element, value, out);
        }
    }

    /// The largest amount, in hundredths of `currency`, that is worth `cents` and no more at the rate of the
    /// day's own month; `None` where there is no such rate, or no amount is worth just that.
    #[must_use]
    pub fn most_worth(&self, cents: EurCents, currency: &str) -> Option<u64> {
        let rate = match self.edition.currency(currency) {
            NO_CURRENCY => return None,
            number => self.rate(number)?,
        };
        let most = rate.most_worth(cents);
        (self.rates_outdated.is_none() && rate.to_eur(most) == cents).then_some(most)
    }

    /// The rate of a currency by its number, from [`Edition::currency`].
    #[inline]
    pub(super) fn rate(&self, currency: u8) -> Option<Rate> {
        if currency == EURO {
            return Some(Rate::ONE);
        }
        self.rates.get(usize::from(currency)).copied().flatten()
    }
}
