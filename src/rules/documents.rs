//! Transport, previous and supporting documents, and the location of goods.
//!
//! Choices:
//! - A document of which both type and reference are missing is one FIELD_MISSING for the whole.
//! - Our lists of document types are incomplete, so a type is only tested for its form (1 to 4
//!   letters or digits, FIELD_FORMAT), unless the rule set closes the list (CODE_UNKNOWN).
//! - N337 and NMRN refer to an MRN: any other form of reference is FIELD_FORMAT, a wrong check
//!   digit PREVIOUS_DOCUMENT_MRN_CHECK_DIGIT. An MRN of the fallback procedure ends in F and has
//!   no check digit.
//! - A postal barcode or air waybill number that is wrong in form or check digit is flagged only.
//!   The barcode's country is compared with the exporter's where both are sound.

use super::edition::{LOCATION_QUALIFIER, LOCATION_TYPE, NEEDS_PREVIOUS_DOCUMENT};
use super::finding::{Element, Reason};
use super::form::text;
use super::judge::{Case, Found};
use super::lists::{DocumentKind, ReferenceCheck};
use super::parties::is_listed;
use crate::wire::view::DocumentReference;

const REFERENCE_MAX: usize = 70;
const LOCATION_MAX: usize = 35;

/// The elements of one kind of document.
struct Elements {
    whole: Element,
    kind: Element,
    reference: Element,
}

const TRANSPORT: Elements = Elements {
    whole: Element::TransportDocument,
    kind: Element::TransportDocumentType,
    reference: Element::TransportDocumentReference,
};
const PREVIOUS: Elements = Elements {
    whole: Element::PreviousDocument,
    kind: Element::PreviousDocumentType,
    reference: Element::PreviousDocumentReference,
};
const SUPPORTING: Elements = Elements {
    whole: Element::SupportingDocumentReference,
    kind: Element::SupportingDocumentType,
    reference: Element::SupportingDocumentReference,
};

/// The form of a document type: an..4, upper case.
pub(super) fn is_type(text: &str) -> bool {
    (1..=4).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// A type's bytes and their number as a number; 0 for what is longer than four.
#[inline]
pub(super) fn type_key(text: &str) -> u64 {
    let bytes = match text.as_bytes() {
        [a, b, c, d] => [*a, *b, *c, *d],
        [a, b, c] => [*a, *b, *c, 0],
        [a, b] => [*a, *b, 0, 0],
        [a] => [*a, 0, 0, 0],
        _ => return 0,
    };
    (text.len() as u64) << 32 | u64::from(u32::from_le_bytes(bytes))
}

pub(super) fn judge(case: &Case<'_, '_>, found: &mut Found<'_>) {
    let declaration = case.declaration;
    let transport = &declaration.transport_document;
    match document(case, found, DocumentKind::Transport, &TRANSPORT, transport) {
        ReferenceCheck::S10 => s10(case, found, transport.reference),
        ReferenceCheck::Awb if !is_air_waybill(transport.reference) => {
            let reason = Reason::TransportReferenceCheck;
            found.add(reason, Element::TransportDocumentReference, 0, transport.reference);
        }
        ReferenceCheck::Mrn => mrn(found, &TRANSPORT, transport.reference),
        ReferenceCheck::Awb | ReferenceCheck::None => {}
    }
    if declaration.previous_documents.is_empty()
        && let [kind] = declaration.additional_declaration_type.as_bytes()
        && case.edition.code_is(*kind, NEEDS_PREVIOUS_DOCUMENT)
    {
        found.add(Reason::FieldMissing, Element::PreviousDocument, 0, "");
    }
    for previous in &declaration.previous_documents {
        let check = document(case, found, DocumentKind::Previous, &PREVIOUS, previous);
        if check == ReferenceCheck::Mrn {
            mrn(found, &PREVIOUS, previous.reference);
        }
    }
    for supporting in &declaration.supporting_documents {
        let check = document(case, found, DocumentKind::Supporting, &SUPPORTING, supporting);
        if check == ReferenceCheck::Mrn {
            mrn(found, &SUPPORTING, supporting.reference);
        }
    }
    location(case, found);
}

/// Tests the form of a document; gives the check its reference must pass, none where the form is
/// wrong already.
#[inline]
fn document(
    case: &Case<'_, '_>,
    found: &mut Found<'_>,
    kind: DocumentKind,
    elements: &Elements,
    document: &DocumentReference<'_>,
) -> ReferenceCheck {
    if document.r#type.is_empty() && document.reference.is_empty() {
        found.add(Reason::FieldMissing, elements.whole, 0, "");
        return ReferenceCheck::None;
    }
    let types = case.edition.document_types.get(kind as usize).map_or(&[][..], Vec::as_slice);
    let key = type_key(document.r#type);
    let listed = types.binary_search_by_key(&key, |(code, _)| *code);
    let mut check = listed.ok().and_then(|at| types.get(at)).map_or(ReferenceCheck::None, |t| t.1);
    if listed.is_err() {
        unlisted(case, found, kind, elements, document.r#type);
    }
    // An MRN is short enough by its form.
    if check == ReferenceCheck::Mrn && !document.reference.is_empty() {
        return check;
    }
    if document.reference.is_empty() {
        found.add(Reason::FieldMissing, elements.reference, 0, "");
        check = ReferenceCheck::None;
    } else if !found.is_text(document.reference, REFERENCE_MAX) {
        found.add(Reason::FieldFormat, elements.reference, 0, document.reference);
        check = ReferenceCheck::None;
    }
    check
}

#[cold]
fn unlisted(
    case: &Case<'_, '_>,
    found: &mut Found<'_>,
    kind: DocumentKind,
    elements: &Elements,
    code: &str,
) {
    if code.is_empty() {
        found.add(Reason::FieldMissing, elements.kind, 0, "");
    } else if !is_type(code) {
        found.add(Reason::FieldFormat, elements.kind, 0, code);
    } else if case.edition.closed_kinds.get(kind as usize).copied().unwrap_or(false) {
        found.add(Reason::CodeUnknown, elements.kind, 0, code);
    }
}

/// What an MRN's last character is found to be.
#[derive(Debug, PartialEq, Eq)]
enum MrnCheck {
    Right,
    Wrong,
    /// Not of the form `^[0-9]{2}[A-Z]{2}[A-Z0-9]{13}[0-9F]$`.
    Malformed,
}

/// Value of each character in an MRN's check digit (see [`crate::id::mrn_check_digit`]); 0xff for
/// those that an MRN may not contain.
const MRN_VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut c = 0;
    while c < 36 {
        let (place, value) = if c < 10 {
            (b'0' + c, c)
        } else {
            (b'A' + c - 10, c + (c >= 11) as u8 + (c >= 21) as u8 + (c >= 31) as u8)
        };
        #[allow(clippy::indexing_slicing, reason = "at compile time; a u8 is below 256")]
        {
            values[place as usize] = value;
        }
        c += 1;
    }
    values
};

#[inline]
fn check_mrn(reference: &str) -> MrnCheck {
    let Ok(mrn) = <&[u8; 18]>::try_from(reference.as_bytes()) else { return MrnCheck::Malformed };
    let [y1, y2, c1, c2, .., last] = mrn;
    let (mut sum, mut all) = (0_u32, 0);
    for (place, character) in mrn.iter().take(17).enumerate() {
        let value = MRN_VALUES.get(usize::from(*character)).copied().unwrap_or(0xff);
        all |= value;
        sum += u32::from(value) << place;
    }
    let formed = all & 0x80 == 0
        && y1.is_ascii_digit()
        && y2.is_ascii_digit()
        && c1.is_ascii_uppercase()
        && c2.is_ascii_uppercase()
        && (last.is_ascii_digit() || *last == b'F');
    if !formed {
        MrnCheck::Malformed
    } else if *last == b'F' || u32::from(last - b'0') == sum % 11 % 10 {
        MrnCheck::Right
    } else {
        MrnCheck::Wrong
    }
}

#[inline]
fn mrn(found: &mut Found<'_>, elements: &Elements, reference: &str) {
    match check_mrn(reference) {
        MrnCheck::Right => {}
        MrnCheck::Wrong => {
            let reason = Reason::PreviousDocumentMrnCheckDigit;
            found.add(reason, elements.reference, 0, reference);
        }
        MrnCheck::Malformed => found.add(Reason::FieldFormat, elements.reference, 0, reference),
    }
}

/// The country of a postal barcode (UPU S10: two letters, eight digits and a check digit, the
/// country); `None` where form or check digit is wrong.
fn s10_country(reference: &str) -> Option<&str> {
    const WEIGHTS: [u32; 8] = [8, 6, 4, 2, 3, 5, 9, 7];
    let bytes: &[u8; 13] = reference.as_bytes().try_into().ok()?;
    let (service, rest) = bytes.split_at(2);
    let (digits, country) = rest.split_at(9);
    if !service.iter().chain(country).all(u8::is_ascii_uppercase)
        || !digits.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    let value = |digit: &u8| u32::from(digit - b'0');
    let sum: u32 = WEIGHTS.iter().zip(digits).map(|(weight, digit)| weight * value(digit)).sum();
    let check = match 11 - sum % 11 {
        10 => 0,
        11 => 5,
        check => check,
    };
    if digits.last().map(value) == Some(check) { reference.get(11..) } else { None }
}

fn s10(case: &Case<'_, '_>, found: &mut Found<'_>, reference: &str) {
    let element = Element::TransportDocumentReference;
    let exporter = case.declaration.exporter.country;
    match s10_country(reference) {
        None => found.add(Reason::TransportReferenceCheck, element, 0, reference),
        Some(country) if country != exporter && is_listed(case, exporter) => {
            found.add(Reason::S10CountryMismatch, element, 0, reference);
        }
        Some(_) => {}
    }
}

/// Three digits of the airline, a hyphen, a space or nothing, seven digits and their remainder by 7.
fn is_air_waybill(reference: &str) -> bool {
    let Some((airline, rest)) = reference.as_bytes().split_at_checked(3) else { return false };
    let serial = rest.strip_prefix(b"-").or_else(|| rest.strip_prefix(b" ")).unwrap_or(rest);
    let [number @ .., check] = serial else { return false };
    if number.len() != 7 || !airline.iter().chain(serial).all(u8::is_ascii_digit) {
        return false;
    }
    let number = number.iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    number % 7 == u32::from(check - b'0')
}

#[inline]
fn location(case: &Case<'_, '_>, found: &mut Found<'_>) {
    let location = &case.declaration.location_of_goods;
    if location.r#type.is_empty()
        && location.qualifier.is_empty()
        && location.identification.is_empty()
    {
        found.add(Reason::FieldMissing, Element::LocationOfGoods, 0, "");
        return;
    }
    letter(case, found, Element::LocationType, location.r#type, LOCATION_TYPE);
    letter(case, found, Element::LocationQualifier, location.qualifier, LOCATION_QUALIFIER);
    if location.identification.is_empty() {
        found.add(Reason::FieldMissing, Element::LocationIdentification, 0, "");
    }
    text(found, Element::LocationIdentification, 0, location.identification, LOCATION_MAX);
}

/// A code of one character, from `list`.
#[inline]
fn letter(case: &Case<'_, '_>, found: &mut Found<'_>, element: Element, code: &str, list: u8) {
    match code.as_bytes() {
        [] => found.add(Reason::FieldMissing, element, 0, ""),
        [character] if case.edition.code_is(*character, list) => {}
        [character] if character.is_ascii_uppercase() => {
            found.add(Reason::CodeUnknown, element, 0, code);
        }
        _ => found.add(Reason::FieldFormat, element, 0, code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_vectors() {
        assert_eq!(s10_country("LV123456785CN"), Some("CN"));
        assert_eq!(s10_country("CY123456785US"), Some("US"));
        // 11 counts as 5 (sum 0) and 10 as 0 (sum 8 * 7 = 56, 56 mod 11 = 1).
        assert_eq!(s10_country("RR000000005NL"), Some("NL"));
        assert_eq!(s10_country("RR700000000NL"), Some("NL"));
        for bad in ["LV123456784CN", "LV12345678CN", "lv123456785CN", "LV1234567A5CN", "", "é"] {
            assert_eq!(s10_country(bad), None, "{bad}");
        }
    }

    #[test]
    fn air_waybill_vectors() {
        for good in ["074-12345675", "07412345675", "074 12345675"] {
            assert!(is_air_waybill(good), "{good}");
        }
        for bad in ["074-12345674", "74-12345675", "074--12345675", "074-1234567", "", "é1"] {
            assert!(!is_air_waybill(bad), "{bad}");
        }
    }

    #[test]
    fn mrn_vectors() {
        use MrnCheck::{Malformed, Right, Wrong};
        for (reference, check) in [
            ("21NL8TDE2PO02TAER9", Right),
            ("25NL000000000008R0", Right),
            ("21NL8TDE2PO02TAERF", Right),
            ("21NL8TDE2PO02TAER8", Wrong),
            ("21NL8TDE2PO02TAER", Malformed),
            ("21NL8TDE2PO02TAERX", Malformed),
            ("2NNL8TDE2PO02TAER9", Malformed),
            ("211L8TDE2PO02TAER9", Malformed),
            ("21NL8TDE2PO02-AER9", Malformed),
            ("", Malformed),
        ] {
            assert_eq!(check_mrn(reference), check, "{reference}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_check_digit_is_that_of_the_id_module(mrn in "[0-9]{2}[A-Z]{2}[A-Z0-9]{13}") {
            let digit = crate::id::mrn_check_digit(mrn.as_bytes()).unwrap_or(99);
            proptest::prop_assert_eq!(check_mrn(&format!("{mrn}{digit}")), MrnCheck::Right);
            let other = (digit + 1) % 10;
            proptest::prop_assert_eq!(check_mrn(&format!("{mrn}{other}")), MrnCheck::Wrong);
        }
    }

    #[test]
    fn keys_of_types_differ() {
        for (a, b) in
            [("S10", "S1"), ("S10", "S10\0"), ("N337", "N338"), ("", "A"), ("N3378", "N337")]
        {
            assert_ne!(type_key(a), type_key(b));
        }
    }
}
