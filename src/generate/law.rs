//! What the law of the generated day asks of a declaration, as far as the generator needs it:
//! written down here again, and not read from the rules, so that a known answer cannot repeat a
//! mistake of theirs.

use crate::day::Day;

/// Which of the three regimes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Regime {
    /// Until 2026-06-30: relief from duty (C07), alone or with F48 or F49.
    Relief,
    /// From 2026-07-01: EUR 3 per goods item; F48, F49 or F53 (Reg. (EU) 2026/382).
    FlatDuty,
    /// From 2026-11-01: product identifiers are mandatory too (Reg. (EU) 2026/1022).
    ProductIdentifiers,
}

impl Regime {
    /// The regime of `day`.
    pub(crate) fn on(day: Day) -> Self {
        match day.year_month_day() {
            (year, month, _) if (year, month) >= (2026, 11) => Self::ProductIdentifiers,
            (year, month, _) if (year, month) >= (2026, 7) => Self::FlatDuty,
            _ => Self::Relief,
        }
    }
}

/// How value added tax is paid, which decides the additional procedure codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// F48: by the seller, monthly.
    Ioss,
    /// F49: by the presenter, monthly.
    Special,
    /// By the importer: C07 alone, later F53.
    Standard,
    /// C08: a gift, none.
    Gift,
}

/// Duty on a goods item of a sale from 2026-07-01, in euro cents.
pub(crate) const DUTY_EUR_CENTS: u64 = 300;

/// The additional procedure codes of every goods item.
pub(crate) fn procedures(regime: Regime, route: Route) -> &'static [&'static str] {
    match (regime, route) {
        (_, Route::Gift) => &["C08"],
        (Regime::Relief, Route::Ioss) => &["C07", "F48"],
        (Regime::Relief, Route::Special) => &["C07", "F49"],
        (Regime::Relief, Route::Standard) => &["C07"],
        (_, Route::Ioss) => &["F48"],
        (_, Route::Special) => &["F49"],
        (_, Route::Standard) => &["F53"],
    }
}

/// The duty owed on so many goods items, in euro cents.
pub(crate) fn duty_eur_cents(regime: Regime, route: Route, goods_items: u64) -> u64 {
    if regime == Regime::Relief || route == Route::Gift { 0 } else { DUTY_EUR_CENTS * goods_items }
}

/// Thousandths of a currency's unit for a euro, roughly.
///
/// Rough is enough, since nothing is planned nearer to a threshold than the customs rates of
/// 2021-07 to 2026-11 stray from these: the strongest month of each currency (USD 0.9778, CNY
/// 6.822, GBP 0.8252, JPY 128.5, HKD 7.6757, KRW 1332.76) makes an amount worth at most 12.5 %
/// more than planned, the weakest (USD 1.1951, CNY 8.4092, GBP 0.88825, JPY 186.81, HKD 9.2807,
/// KRW 1758.45) at least 75 % of it.
pub(crate) fn thousandths_per_eur(currency: &str) -> u64 {
    match currency {
        "USD" => 1_100,
        "CNY" => 7_500,
        "GBP" => 860,
        "JPY" => 140_000,
        "HKD" => 8_400,
        "KRW" => 1_450_000,
        _ => 1_000,
    }
}

/// `eur_cents` in hundredths of `currency`, at least one unit that is in use: yen and won know no
/// hundredths.
pub(crate) fn hundredths(eur_cents: u64, currency: &str) -> u64 {
    let exact = eur_cents * thousandths_per_eur(currency) / 1_000;
    match currency {
        "JPY" | "KRW" => (exact / 100 * 100).max(100),
        _ => exact.max(1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn the_regime_changes_on_the_days_of_the_law() {
        for (day, regime) in [
            ("2026-06-30", Regime::Relief),
            ("2026-07-01", Regime::FlatDuty),
            ("2026-10-31", Regime::FlatDuty),
            ("2026-11-01", Regime::ProductIdentifiers),
            ("2027-01-01", Regime::ProductIdentifiers),
        ] {
            assert_eq!(Regime::on(Day::parse(day).unwrap()), regime, "{day}");
        }
    }

    #[test]
    fn yen_and_won_have_no_hundredths() {
        assert_eq!(hundredths(1_234, "EUR"), 1_234);
        assert_eq!(hundredths(1_234, "USD"), 1_357);
        assert_eq!(hundredths(1_234, "JPY"), 172_700);
        assert_eq!(hundredths(0, "KRW"), 100);
        assert_eq!(hundredths(0, "EUR"), 1);
    }
}
