//! Goods: HS sub-heading, excise, prohibitions and restrictions, sanctions by origin and route.
//!
//! Choices:
//! - A code that is not six digits is FIELD_FORMAT; one that is but does not exist on the day is
//!   HS_CODE_NOT_IN_NOMENCLATURE, and then nothing else is asked of it.
//! - Of the HS prefixes on the restriction list the longest decides.
//! - A stated origin under sanctions is found for its goods item, unless the same country was
//!   found as the exporter's: that is one defect.
//! - Sanctioned goods by way of a detour country are found for the goods item.

use super::edition::{DETOUR, SANCTIONED, SANCTIONED_FLAG};
use super::finding::{Element, Reason, Severity};
use super::hs::{self, EXISTS, SANCTIONS};
use super::judge::{Case, Found};
use crate::wire::view::GoodsItem;

/// Gives the code's number, where it exists.
#[inline]
pub(super) fn judge(
    case: &Case<'_, '_>,
    number: u16,
    item: &GoodsItem<'_>,
    found: &mut Found<'_>,
) -> Option<u32> {
    if !item.country_of_origin.is_empty() {
        origin(case, number, item.country_of_origin, found);
    }
    let Some(code) = hs::number(item.hs6) else {
        let reason = if item.hs6.is_empty() { Reason::FieldMissing } else { Reason::FieldFormat };
        found.add(reason, Element::HsCode, number, item.hs6);
        return None;
    };
    let facts = case.edition.hs.facts(code);
    if facts & EXISTS == 0 {
        found.add(Reason::HsCodeNotInNomenclature, Element::HsCode, number, item.hs6);
        return None;
    }
    if let Some(restriction) = hs::restriction_in(facts) {
        found.add(restriction, Element::HsCode, number, item.hs6);
    }
    if facts & SANCTIONS != 0 {
        let exporter = case.edition.country(case.declaration.exporter.country).unwrap_or(0);
        if exporter & DETOUR != 0 {
            found.add(Reason::SanctionsDetour, Element::HsCode, number, item.hs6);
        }
    }
    Some(code)
}

#[inline]
fn origin(case: &Case<'_, '_>, number: u16, origin: &str, found: &mut Found<'_>) {
    let flags = case.edition.country(origin).unwrap_or(0);
    if flags & (SANCTIONED | SANCTIONED_FLAG) == 0 || origin == case.declaration.exporter.country {
        return;
    }
    let (reason, element) = (Reason::SanctionedCountry, Element::CountryOfOrigin);
    if flags & SANCTIONED != 0 {
        found.add(reason, element, number, origin);
    } else {
        found.add_as(Severity::Flag, reason, element, number, origin);
    }
}
