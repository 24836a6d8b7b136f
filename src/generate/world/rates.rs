//! What a day asks of amounts and codes: its regime and its customs rates, written down here again
//! and not read from the rules, so that values may come as near to EUR 150 as in life.

use crate::day::Day;
use crate::generate::law::Regime;

/// Hundred-thousandths of a unit for a euro, by month: the rates of Art. 53 UCC (ECB, penultimate
/// Wednesday of the month before) for 2026-06 to 2026-11, in the order of [`CURRENCIES`].
const RATES: [[u64; 6]; 6] = [
    [116_000, 789_120, 86_555, 18_448_000, 908_610, 174_631_000],
    [115_910, 783_490, 86_463, 18_582_000, 908_210, 175_845_000],
    [114_080, 772_660, 85_340, 18_603_000, 894_430, 168_878_000],
    [116_050, 781_970, 85_608, 18_462_000, 910_020, 161_481_000],
    [114_110, 765_380, 85_950, 18_020_000, 895_060, 155_800_000],
    [112_340, 749_990, 83_825, 17_736_000, 881_550, 148_915_000],
];
/// For any other month: the strongest of 2021-07 to 2026-11, at which no amount is worth more than
/// is planned (see [`crate::generate::law::thousandths_per_eur`]).
const STRONGEST: [u64; 6] = [97_780, 682_200, 82_520, 12_850_000, 767_570, 133_276_000];
const CURRENCIES: [&str; 6] = ["USD", "CNY", "GBP", "JPY", "HKD", "KRW"];

/// What holds on one day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) regime: Regime,
    pub(super) year: u16,
    rates: [u64; 6],
}

impl Terms {
    /// On `day`.
    pub(super) fn on(day: Day) -> Self {
        let (year, month, _) = day.year_month_day();
        let place = if year == 2026 { usize::from(month).checked_sub(6) } else { None };
        let rates = place.and_then(|at| RATES.get(at)).copied().unwrap_or(STRONGEST);
        Self { regime: Regime::on(day), year, rates }
    }

    fn rate(&self, currency: &str) -> u64 {
        let place = CURRENCIES.iter().position(|known| *known == currency);
        place.and_then(|at| self.rates.get(at)).copied().unwrap_or(100_000)
    }

    /// `eur_cents` in hundredths of `currency`, rounded down, at least one unit that is in use.
    pub(super) fn hundredths(&self, eur_cents: u64, currency: &str) -> u64 {
        let exact = eur_cents * self.rate(currency) / 100_000;
        match currency {
            "JPY" | "KRW" => (exact / 100 * 100).max(100),
            _ => exact.max(1),
        }
    }

    /// What `hundredths` of `currency` are worth, in euro cents, rounded up.
    pub(super) fn eur_cents(&self, hundredths: u64, currency: &str) -> u64 {
        (hundredths * 100_000).div_ceil(self.rate(currency))
    }
}
