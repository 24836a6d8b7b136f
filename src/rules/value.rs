//! Values: amounts, currencies, masses, packages, and the thresholds for the consignment.
//!
//! Choices:
//! - An amount with neither currency nor value is a missing message (FIELD_MISSING); a currency
//!   without value is VALUE_NOT_POSITIVE, a value without currency FIELD_MISSING for the currency.
//! - Any text that is no currency of the day is CURRENCY_UNKNOWN, whatever its form.
//! - The consignment's value is compared with the threshold only where every goods item could be
//!   converted. Gifts are compared with their own threshold only, all others (also those whose
//!   procedures are wrong) with the general one.
//! - Transport costs are not converted, so their currency needs no rate; 0 in some currency is a
//!   statement (free of charge), not an absence. Whether they may be absent is tested with the
//!   procedures.
//! - RATE_OUTDATED is found once for the declaration: there is one cause.
//! - A currency's minor unit is not tested: the amount has two decimals whatever the currency.

use super::edition::{EURO, NO_CURRENCY};
use super::finding::{Element, Reason};
use super::judge::{Case, Found, item_number};
use super::money::show_hundredths;
use super::procedures::Route;
use crate::id::EurCents;
use crate::wire::view::{GoodsItem, Money};

/// n..16,2 and n..16,6: 16 digits in all.
const DIGITS_16: u64 = 10_000_000_000_000_000;
/// n..8.
const DIGITS_8: u32 = 100_000_000;

/// Gives the consignment's value, 0 where some goods item could not be converted (`all` is whether
/// `items` are all there are).
pub(super) fn judge(
    case: &Case<'_, '_>,
    items: &[GoodsItem<'_>],
    all: bool,
    route: &Route,
    line_values: &mut Vec<Option<EurCents>>,
    found: &mut Found<'_>,
) -> EurCents {
    line_values.clear();
    transport_costs(case, found);
    let mut sum = 0_u64;
    let mut known = all && !items.is_empty();
    let mut converted = false;
    // EURO stands for "not all in one other currency" as well.
    let mut one_currency = NO_CURRENCY;
    for (index, item) in items.iter().enumerate() {
        let number = item_number(index);
        let currency = case.edition.currency(item.intrinsic_value.currency);
        let value = line(case, number, &item.intrinsic_value, currency, found);
        line_values.push(value);
        converted |= value.is_some() && currency != EURO;
        if index == 0 {
            one_currency = currency;
        } else if one_currency != currency {
            one_currency = EURO;
        }
        match value {
            Some(value) => sum = sum.saturating_add(value.0),
            None => known = false,
        }
        measures(index, item, found);
    }
    line_values.resize(case.declaration.goods_items.len(), None);
    if let Some(month) = &case.law.rates_outdated
        && converted
    {
        found.add(Reason::RateOutdated, Element::IntrinsicValueCurrency, 0, month);
    }
    if !known {
        return EurCents(0);
    }
    thresholds(case, route, sum, one_currency, found);
    EurCents(sum)
}

/// The value of one goods item in euro.
#[inline]
fn line(
    case: &Case<'_, '_>,
    number: u16,
    money: &Money<'_>,
    currency: u8,
    found: &mut Found<'_>,
) -> Option<EurCents> {
    let element = Element::IntrinsicValue;
    if money.hundredths == 0 {
        if money.currency.is_empty() {
            found.add(Reason::FieldMissing, element, number, "");
            return None;
        }
        found.add(Reason::ValueNotPositive, element, number, "0.00");
    }
    let too_long = money.hundredths >= DIGITS_16;
    if too_long {
        found.add(Reason::FieldFormat, element, number, &show_hundredths(money.hundredths));
    }
    let rate = if currency == NO_CURRENCY { None } else { case.law.rate(currency) };
    if rate.is_none() {
        let reason =
            if money.currency.is_empty() { Reason::FieldMissing } else { Reason::CurrencyUnknown };
        found.add(reason, Element::IntrinsicValueCurrency, number, money.currency);
    }
    let rate = rate.filter(|_| !too_long)?;
    Some(rate.to_eur(money.hundredths))
}

#[inline]
fn measures(index: usize, item: &GoodsItem<'_>, found: &mut Found<'_>) {
    let number = item_number(index);
    if item.gross_mass_mg == 0 {
        found.add(Reason::ValueNotPositive, Element::GrossMass, number, "0");
    } else if item.gross_mass_mg >= DIGITS_16 {
        let value = item.gross_mass_mg.to_string();
        found.add(Reason::FieldFormat, Element::GrossMass, number, &value);
    }
    if item.packages == 0 && index == 0 {
        found.add(Reason::ValueNotPositive, Element::Packages, number, "0");
    } else if item.packages >= DIGITS_8 {
        let value = item.packages.to_string();
        found.add(Reason::FieldFormat, Element::Packages, number, &value);
    }
}

#[inline]
fn transport_costs(case: &Case<'_, '_>, found: &mut Found<'_>) {
    let costs = &case.declaration.transport_costs;
    if costs.hundredths >= DIGITS_16 {
        let value = show_hundredths(costs.hundredths);
        found.add(Reason::FieldFormat, Element::TransportCosts, 0, &value);
    }
    if case.edition.currency(costs.currency) != NO_CURRENCY {
        return;
    }
    if !costs.currency.is_empty() {
        let element = Element::TransportCostsCurrency;
        found.add(Reason::CurrencyUnknown, element, 0, costs.currency);
    } else if costs.hundredths != 0 {
        found.add(Reason::FieldMissing, Element::TransportCostsCurrency, 0, "");
    }
}

#[inline]
fn thresholds(
    case: &Case<'_, '_>,
    route: &Route,
    sum: u64,
    one_currency: u8,
    found: &mut Found<'_>,
) {
    let edition = case.edition;
    let threshold = if route.gift { edition.gift_threshold_cents } else { edition.threshold_cents };
    if sum <= threshold {
        return;
    }
    let tolerated = route.ioss && one_currency != EURO && sum <= edition.tolerated_cents;
    let reason = if route.gift {
        Reason::GiftValueExceeds45
    } else if tolerated {
        Reason::IntrinsicValueNearRate
    } else {
        Reason::IntrinsicValueExceedsThreshold
    };
    found.add(reason, Element::IntrinsicValue, 0, &show_hundredths(sum));
}
