//! Additional procedures, the VAT route that they state, and what hangs on it: IOSS number,
//! destination, presenter, transport costs.
//!
//! Codes are compared as sets: order and repetition mean nothing, codes whose meaning is `ignored`
//! are left out. Choices:
//! - Presence proves, absence only where nothing is in doubt: that the import scheme (F48) is
//!   *not* stated is used only where every goods item states codes, all of them known and none
//!   abolished. An unknown code may be a mistyped F48, and with an abolished one it is open which
//!   route was meant.
//! - Goods items that differ are PROCEDURE_MIXED_LINES, once, at the first that differs. Where only
//!   some state the import scheme, nothing else about procedures or IOSS is tested; where they
//!   differ in other codes, all but the combination is. Goods items with a missing or unknown code
//!   are left out of the comparison.
//! - Where a code is abolished, neither the combination nor whether the goods items agree is tested
//!   as well. It is found once where all goods items state it, else for each that does.
//! - An IOSS number without the import scheme is not looked at any further; where the route is in
//!   doubt, its form is tested.
//! - The special arrangements are tested against the list of presenters from the first day on
//!   which that list has a row.

use smallvec::SmallVec;

use super::finding::{Element, Reason};
use super::judge::{Case, Found, item_number};
use super::parties::is_listed;
use super::{form, ioss};
use crate::id::is_eori;
use crate::wire::view::GoodsItem;

/// What the goods items state together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Route {
    /// Regime codes stated anywhere.
    codes: u16,
    /// The first goods item that does not state what those before it do, by its index.
    differs: Option<usize>,
    /// Every goods item states codes, and all are known.
    certain: bool,
    /// A gift, and nothing else.
    pub(super) gift: bool,
    /// The import scheme, on all goods items.
    pub(super) ioss: bool,
    /// How many goods items owe the duty for each.
    pub(super) items_owing_duty: u32,
}

/// The regime codes of one goods item.
struct Stated {
    codes: u16,
    sound: bool,
}

#[inline]
fn stated(case: &Case<'_, '_>, item: &GoodsItem<'_>) -> Stated {
    let mut codes = 0;
    let mut sound = !item.additional_procedures.is_empty();
    for code in &item.additional_procedures {
        match bit(case, code) {
            Some(bit) => codes |= bit,
            None => sound = false,
        }
    }
    Stated { codes, sound }
}

#[inline]
fn bit(case: &Case<'_, '_>, code: &str) -> Option<u16> {
    let code: [u8; 3] = code.as_bytes().try_into().ok()?;
    case.edition.procedures.iter().find(|(known, _)| *known == code).map(|(_, bit)| *bit)
}

pub(super) fn judge(case: &Case<'_, '_>, items: &[GoodsItem<'_>], found: &mut Found<'_>) -> Route {
    let edition = case.edition;
    let mut route = Route { certain: !items.is_empty(), ..Route::default() };
    // The codes that all goods items must state: those of the first that is sound.
    let mut common: Option<u16> = None;
    for (index, item) in items.iter().enumerate() {
        let stated = stated(case, item);
        route.codes |= stated.codes;
        route.items_owing_duty += u32::from(stated.codes & edition.duty_procedures != 0);
        if !stated.sound {
            route.certain = false;
            unsound(case, index, item, found);
        } else if *common.get_or_insert(stated.codes) != stated.codes && route.differs.is_none() {
            route.differs = Some(index);
        }
        if stated.sound && stated.codes & edition.product_not_with == 0 {
            product(case, index, item, found);
        }
    }
    route.gift =
        route.certain && route.codes & edition.gift != 0 && route.codes & !edition.gift == 0;
    route.ioss = route.codes & edition.ioss != 0;
    if let Some(index) = route.differs {
        let (some, all) = ioss_stated(case, items);
        if some && !all {
            mixed(index, items, found);
            return Route { ioss: false, ..route };
        }
        route.ioss = all;
    }
    together(case, items, &route, found);
    route
}

/// Whether some, and whether all of the sound goods items state the import scheme.
#[cold]
fn ioss_stated(case: &Case<'_, '_>, items: &[GoodsItem<'_>]) -> (bool, bool) {
    let sound = items.iter().map(|item| stated(case, item)).filter(|stated| stated.sound);
    sound.fold((false, true), |(some, all), stated| {
        let ioss = stated.codes & case.edition.ioss != 0;
        (some | ioss, all & ioss)
    })
}

/// PROCEDURE_MIXED_LINES at the goods item that differs.
#[cold]
fn mixed(index: usize, items: &[GoodsItem<'_>], found: &mut Found<'_>) {
    let value = items.get(index).map(|item| item.additional_procedures.join(", "));
    let (reason, element) = (Reason::ProcedureMixedLines, Element::AdditionalProcedure);
    found.add(reason, element, item_number(index), &value.unwrap_or_default());
}

/// DUTY_RELIEF_ABOLISHED for these codes.
#[cold]
fn abolished_code(case: &Case<'_, '_>, items: &[GoodsItem<'_>], codes: u16, found: &mut Found<'_>) {
    let (reason, element) = (Reason::DutyReliefAbolished, Element::AdditionalProcedure);
    let own = |item: &GoodsItem<'_>| stated(case, item).codes & codes;
    if items.iter().all(|item| own(item) == codes) {
        found.add(reason, element, 0, &names(case, codes));
        return;
    }
    for (index, item) in items.iter().enumerate().filter(|(_, item)| own(item) != 0) {
        found.add(reason, element, item_number(index), &names(case, own(item)));
    }
}

#[cold]
fn unsound(case: &Case<'_, '_>, index: usize, item: &GoodsItem<'_>, found: &mut Found<'_>) {
    let (number, element) = (item_number(index), Element::AdditionalProcedure);
    if item.additional_procedures.is_empty() {
        found.add(Reason::FieldMissing, element, number, "");
    }
    for code in &item.additional_procedures {
        let form = code.len() == 3 && code.bytes().all(|b| b.is_ascii_alphanumeric());
        if code.is_empty() {
            found.add(Reason::FieldMissing, element, number, "");
        } else if !form {
            found.add(Reason::FieldFormat, element, number, code);
        } else if bit(case, code).is_none() {
            found.add(Reason::CodeUnknown, element, number, code);
        }
    }
}

/// PRODUCT_ID_MISSING, once for a goods item.
#[inline]
fn product(case: &Case<'_, '_>, index: usize, item: &GoodsItem<'_>, found: &mut Found<'_>) {
    let (edition, product) = (case.edition, &item.product);
    let missing = |required: bool, value: &str| required && value.is_empty();
    let merchant = missing(edition.product_merchant, product.merchant);
    let manufacturer = missing(edition.product_manufacturer, product.manufacturer);
    let gtin = missing(edition.product_gtin, product.gtin);
    if merchant || manufacturer || gtin {
        let names = [(merchant, "merchant"), (manufacturer, "manufacturer"), (gtin, "GTIN")];
        let names: SmallVec<[&str; 3]> =
            names.into_iter().filter(|(missing, _)| *missing).map(|(_, name)| name).collect();
        let element = Element::ProductIdentifier;
        found.add(Reason::ProductIdMissing, element, item_number(index), &names.join(", "));
    }
}

/// The tests of the declaration as a whole; its goods items agree on the import scheme.
#[inline]
fn together(case: &Case<'_, '_>, items: &[GoodsItem<'_>], route: &Route, found: &mut Found<'_>) {
    let (edition, declaration) = (case.edition, case.declaration);
    let element = Element::AdditionalProcedure;
    let abolished = route.codes & edition.procedures_abolished;
    if abolished != 0 {
        abolished_code(case, items, abolished, found);
    } else if let Some(index) = route.differs {
        mixed(index, items, found);
    } else if route.certain && !edition.procedures_allowed.contains(&route.codes) {
        let first = items.first().map(|item| item.additional_procedures.join(", "));
        found.add(Reason::ProcedureCombinationInvalid, element, 0, &first.unwrap_or_default());
    }
    if route.codes & edition.special_arrangements != 0
        && !case.law.registers.may_present(case.lodger.declarant, case.law.day)
    {
        let declarant = case.lodger.declarant;
        found.add(Reason::SpecialArrangementNotAuthorised, element, 0, declarant.as_str());
    }
    let without_ioss = route.certain && abolished == 0 && !route.ioss;
    ioss_number(case, route, without_ioss, found);
    if without_ioss {
        let importer = declaration.importer.country;
        if importer.as_bytes() != edition.member_state && is_listed(case, importer) {
            let reason = Reason::DestinationNotInMemberState;
            found.add(reason, Element::ImporterCountry, 0, importer);
        }
    }
    let costs = &declaration.transport_costs;
    if costs.currency.is_empty()
        && costs.hundredths == 0
        && route.certain
        && abolished == 0
        && route.codes & edition.transport_costs_not_with == 0
    {
        found.add(Reason::TransportCostsMissing, Element::TransportCosts, 0, "");
    }
    if route.gift {
        gift(case, found);
    }
}

#[inline]
fn ioss_number(case: &Case<'_, '_>, route: &Route, without_ioss: bool, found: &mut Found<'_>) {
    let number = case.declaration.ioss_number;
    if number.is_empty() {
        if route.ioss {
            let code = names(case, case.edition.ioss);
            found.add(Reason::IossNumberMissing, Element::FiscalReference, 0, &code);
        }
        return;
    }
    if without_ioss {
        found.add(Reason::IossWithoutF48, Element::FiscalReference, 0, number);
        return;
    }
    let identified = |digits: &u64| {
        case.edition.ioss_countries.get(ioss::country(*digits)).copied().unwrap_or(false)
    };
    match ioss::digits(number).filter(identified) {
        None => found.add(Reason::IossNumberMalformed, Element::IossNumber, 0, number),
        Some(digits) if case.law.registers.denied.contains(digits, case.law.day) => {
            found.add(Reason::IossNumberDenied, Element::IossNumber, 0, number);
        }
        Some(_) => {}
    }
}

/// The codes of these bits, for a sentence.
#[cold]
fn names(case: &Case<'_, '_>, codes: u16) -> String {
    let table = case.edition.procedures.iter().filter(|(_, bit)| bit & codes != 0);
    let names: Vec<_> = table.map(|(code, _)| String::from_utf8_lossy(code)).collect();
    names.join(", ")
}

/// GIFT_COMMERCIAL_SIGNS: a company's name, or an importer with an EORI (what has not the form of one
/// has its own finding). One finding, whatever the number of signs; the name is quoted first.
#[cold]
fn gift(case: &Case<'_, '_>, found: &mut Found<'_>) {
    let declaration = case.declaration;
    let (name, eori) = (declaration.exporter.name, declaration.importer.identification);
    let sign = if form::is_text(name, 70) && case.edition.vague.is_company(name) {
        name
    } else if is_eori(eori) {
        eori
    } else {
        return;
    };
    found.add(Reason::GiftCommercialSigns, Element::AdditionalProcedure, 0, sign);
}
