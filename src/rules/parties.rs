//! Parties: declarant, representative, exporter, importer; dispatch and destination by country.
//!
//! Choices:
//! - A country that is not two upper-case letters is FIELD_FORMAT, one that is but is not listed
//!   CODE_UNKNOWN.
//! - An importer with nothing at all is one FIELD_MISSING, and so is such an exporter. An importer
//!   with an identification, even a malformed one, need not state name, street and city.
//! - The importer's identification has the form of an EORI; its prefix is not tested, since
//!   numbers of third countries occur. The exporter has none in H7: what is given is kept.
//! - A representative whose EORI is malformed is FIELD_FORMAT; its status is tested all the same.
//! - Goods dispatched from a special territory of a Member State are imports.
//! - A country of origin is no part of H7 and never a reason to reject for its form: it is only
//!   held against the list of sanctioned countries (see [`super::goods`]).

use super::edition::{
    GIVES_EORI, HAS_SANCTIONED_REGIONS, HAS_SPECIAL_TERRITORIES, LISTED, REPRESENTATIVE_STATUS,
    SANCTIONED, SANCTIONED_FLAG, UNION,
};
use super::finding::{Element, Reason, Severity};
use super::form::{mandatory, text};
use super::judge::{Case, Found};
use super::lists::Place;
use crate::id::is_eori;
use crate::wire::view::Party;

const NAME_MAX: usize = 70;
const STREET_MAX: usize = 70;
const POSTCODE_MAX: usize = 17;
const CITY_MAX: usize = 35;

pub(super) fn judge(case: &Case<'_, '_>, found: &mut Found<'_>) {
    lodger(case, found);
    exporter(case, found);
    importer(case, found);
}

#[inline]
fn lodger(case: &Case<'_, '_>, found: &mut Found<'_>) {
    let lodger = case.lodger;
    let prefix = lodger.declarant.as_bytes().first_chunk::<2>();
    let prefix = prefix.and_then(|code| case.edition.country_by_bytes(*code)).unwrap_or(0);
    if prefix & GIVES_EORI == 0 {
        let declarant = lodger.declarant.as_str();
        found.add(Reason::DeclarantEoriInvalid, Element::Declarant, 0, declarant);
    }
    let (representative, status) = (lodger.representative, lodger.representative_status);
    if representative.is_empty() {
        if status != 0 {
            let element = Element::RepresentativeStatus;
            found.add(Reason::FieldFormat, element, 0, &status.to_string());
        }
        return;
    }
    if !is_eori(representative) {
        found.add(Reason::FieldFormat, Element::Representative, 0, representative);
    } else if representative.as_bytes() == lodger.declarant.as_bytes() {
        let reason = Reason::RepresentativeSameAsDeclarant;
        found.add(reason, Element::Representative, 0, representative);
    }
    let digit = u8::try_from(status).ok().filter(|status| *status <= 9).map(|d| b'0' + d);
    if status == 0 {
        found.add(Reason::FieldMissing, Element::RepresentativeStatus, 0, "");
    } else if !digit.is_some_and(|digit| case.edition.code_is(digit, REPRESENTATIVE_STATUS)) {
        let element = Element::RepresentativeStatus;
        found.add(Reason::CodeUnknown, element, 0, &status.to_string());
    }
}

/// The flags of a listed country, 0 where there is none; says what is wrong with it.
#[inline]
fn country(case: &Case<'_, '_>, found: &mut Found<'_>, element: Element, code: &str) -> u8 {
    match case.edition.country(code) {
        Some(flags) if flags & LISTED != 0 => flags,
        Some(_) => {
            found.add(Reason::CodeUnknown, element, 0, code);
            0
        }
        None => {
            let reason = if code.is_empty() { Reason::FieldMissing } else { Reason::FieldFormat };
            found.add(reason, element, 0, code);
            0
        }
    }
}

fn is_empty(party: &Party<'_>) -> bool {
    party.name.is_empty()
        && party.street.is_empty()
        && party.postcode.is_empty()
        && party.city.is_empty()
        && party.country.is_empty()
        && party.identification.is_empty()
}

#[inline]
fn exporter(case: &Case<'_, '_>, found: &mut Found<'_>) {
    let exporter = &case.declaration.exporter;
    if is_empty(exporter) {
        found.add(Reason::FieldMissing, Element::Exporter, 0, "");
        return;
    }
    mandatory(found, Element::ExporterName, exporter.name, NAME_MAX);
    text(found, Element::ExporterStreet, 0, exporter.street, STREET_MAX);
    text(found, Element::ExporterPostcode, 0, exporter.postcode, POSTCODE_MAX);
    text(found, Element::ExporterCity, 0, exporter.city, CITY_MAX);
    let flags = country(case, found, Element::ExporterCountry, exporter.country);
    const WATCHED: u8 = UNION | SANCTIONED | SANCTIONED_FLAG | HAS_SANCTIONED_REGIONS;
    if flags & WATCHED != 0 {
        dispatch(case, found, flags);
    }
}

#[cold]
fn dispatch(case: &Case<'_, '_>, found: &mut Found<'_>, flags: u8) {
    let exporter = &case.declaration.exporter;
    let (reason, element) = (Reason::SanctionedCountry, Element::ExporterCountry);
    if flags & SANCTIONED != 0 {
        found.add(reason, element, 0, exporter.country);
    } else if flags & SANCTIONED_FLAG != 0 {
        found.add_as(Severity::Flag, reason, element, 0, exporter.country);
    } else if flags & HAS_SANCTIONED_REGIONS != 0 {
        let regions = &case.edition.sanctioned_regions;
        if let Some(area) = regions.iter().find(|area| lies_in(exporter, area)) {
            let element =
                if area.is_postcode { Element::ExporterPostcode } else { Element::ExporterCity };
            let value = if area.is_postcode { exporter.postcode } else { exporter.city };
            found.add(reason, element, 0, value);
        }
    }
    let special = flags & HAS_SPECIAL_TERRITORIES != 0
        && case.edition.special_territories.iter().any(|area| lies_in(exporter, area));
    if flags & UNION != 0 && !special {
        found.add(Reason::DispatchFromEu, element, 0, exporter.country);
    }
}

/// Whether the party's address lies in `area`; cities without regard to case, postcodes without
/// regard to spaces and hyphens.
fn lies_in(party: &Party<'_>, area: &Place) -> bool {
    if party.country.as_bytes() != area.country {
        return false;
    }
    if !area.is_postcode {
        return party.city.to_lowercase() == area.value.to_lowercase();
    }
    let digits = |text: &str| text.replace([' ', '-'], "");
    digits(party.postcode).starts_with(&digits(&area.value))
}

#[inline]
fn importer(case: &Case<'_, '_>, found: &mut Found<'_>) {
    let importer = &case.declaration.importer;
    if is_empty(importer) {
        found.add(Reason::FieldMissing, Element::Importer, 0, "");
        return;
    }
    let identification = importer.identification;
    if identification.is_empty() {
        mandatory(found, Element::ImporterName, importer.name, NAME_MAX);
        mandatory(found, Element::ImporterStreet, importer.street, STREET_MAX);
        mandatory(found, Element::ImporterCity, importer.city, CITY_MAX);
    } else {
        if !is_eori(identification) {
            let element = Element::ImporterIdentification;
            found.add(Reason::FieldFormat, element, 0, identification);
        }
        text(found, Element::ImporterName, 0, importer.name, NAME_MAX);
        text(found, Element::ImporterStreet, 0, importer.street, STREET_MAX);
        text(found, Element::ImporterCity, 0, importer.city, CITY_MAX);
    }
    text(found, Element::ImporterPostcode, 0, importer.postcode, POSTCODE_MAX);
    country(case, found, Element::ImporterCountry, importer.country);
}

/// Whether `code` is a country in the list.
pub(super) fn is_listed(case: &Case<'_, '_>, code: &str) -> bool {
    case.edition.country(code).is_some_and(|flags| flags & LISTED != 0)
}
