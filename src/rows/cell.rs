//! Values as texts of one cell: numbers, amounts, lists, documents, moments.

use crate::proto::v1::DocumentReference;

/// Between the elements of a list.
const NEXT: char = '|';
/// Between the type of a document and its reference.
const OF: char = ':';
/// Takes away what the character behind it means.
const ESCAPE: char = '\\';

/// Longest piece of a cell that an error quotes.
const SHOWN_MAX: usize = 40;

/// What is wrong with a cell, as a sentence.
pub(super) type CellError = String;

/// The cell for an error.
fn shown(cell: &str) -> String {
    match cell.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{:?}...", cell.get(..end).unwrap_or_default()),
        None => format!("{cell:?}"),
    }
}

/// A whole number.
pub(super) fn whole(cell: &str) -> Result<u32, CellError> {
    let number = cell.trim().parse();
    number.map_err(|_| format!("{} is no whole number of 0 to {}", shown(cell), u32::MAX))
}

/// A number with `places` decimals at most, in units of the last of them: 39.9 with two is 3990.
pub(super) fn decimal(cell: &str, places: u32) -> Result<u64, CellError> {
    parse_decimal(cell.trim(), places).ok_or_else(|| {
        let example = if places == 2 { "39.99" } else { "0.18" };
        format!(
            "{} is no number such as {example}: digits, a point, {places} decimals at most",
            shown(cell)
        )
    })
}

fn parse_decimal(cell: &str, places: u32) -> Option<u64> {
    let (before, after) = match cell.split_once('.') {
        Some((_, "")) => return None,
        Some((before, after)) => (before, after),
        None => (cell, ""),
    };
    let missing = places.checked_sub(u32::try_from(after.len()).ok()?)?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if before.is_empty() || !digits(before) || !digits(after) {
        return None;
    }
    let number: u64 = format!("{before}{after}").parse().ok()?;
    number.checked_mul(10_u64.checked_pow(missing)?)
}

/// The other way round, with `least` decimals and as many as it takes.
pub(super) fn decimal_text(number: u64, places: u32, least: usize) -> String {
    let unit = 10_u64.pow(places);
    let after = format!("{:0width$}", number % unit, width = places as usize);
    let needed = after.trim_end_matches('0').len().max(least);
    match after.get(..needed) {
        Some("") | None => (number / unit).to_string(),
        Some(after) => format!("{}.{after}", number / unit),
    }
}

/// Takes `text` apart at each `at` that is not escaped; what is escaped stays so.
fn split(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (place, character) in text.char_indices() {
        if !is_escaped && character == at {
            parts.push(text.get(start..place).unwrap_or_default());
            start = place + at.len_utf8();
        }
        is_escaped = !is_escaped && character == ESCAPE;
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ESCAPE => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    plain
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, NEXT | OF | ESCAPE) {
            escaped.push(ESCAPE);
        }
        escaped.push(character);
    }
    escaped
}

/// `C07|F48`.
pub(super) fn list(cell: &str) -> Vec<String> {
    split(cell, NEXT).into_iter().map(unescape).collect()
}

pub(super) fn list_text(list: &[String]) -> String {
    list.iter().map(|element| escape(element)).collect::<Vec<_>>().join("|")
}

/// `N337:26NLTSD000000421U7|N380:INV-7`.
pub(super) fn documents(cell: &str) -> Result<Vec<DocumentReference>, CellError> {
    split(cell, NEXT)
        .into_iter()
        .map(|document| match split(document, OF).as_slice() {
            [of, reference] => {
                Ok(DocumentReference { r#type: unescape(of), reference: unescape(reference) })
            }
            _ => Err(format!(
                "{} is no document such as N337:26NLTSD000000421U7: a type, a colon, a reference; a | before \
                 the next, and a \\ before a : or | that is part of a reference",
                shown(document)
            )),
        })
        .collect()
}

pub(super) fn documents_text(documents: &[DocumentReference]) -> String {
    let texts = documents
        .iter()
        .map(|document| format!("{}:{}", escape(&document.r#type), escape(&document.reference)));
    texts.collect::<Vec<_>>().join("|")
}

/// Milliseconds since the Unix epoch of `2026-11-05T08:30:00+01:00`, or as they are.
pub(super) fn moment(cell: &str) -> Result<i64, CellError> {
    let cell = cell.trim();
    if let Ok(milliseconds) = cell.parse() {
        return Ok(milliseconds);
    }
    let moment: Result<jiff::Timestamp, _> = cell.parse();
    moment.map(jiff::Timestamp::as_millisecond).map_err(|_| {
        format!(
            "{} is no moment such as 2026-11-05T08:30:00Z or 2026-11-05T09:30:00+01:00",
            shown(cell)
        )
    })
}

pub(super) fn moment_text(milliseconds: i64) -> String {
    match jiff::Timestamp::from_millisecond(milliseconds) {
        Ok(moment) => moment.to_string(),
        Err(_) => milliseconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        for (cell, hundredths) in
            [("39.99", 3_999), ("39.9", 3_990), ("39", 3_900), (" 0.05 ", 5), ("0", 0)]
        {
            assert_eq!(decimal(cell, 2), Ok(hundredths), "{cell}");
        }
        for cell in ["39,99", "39.999", "-1", "+1", "1e3", ".5", "5.", "", "1 000", "EUR 3", "٣"] {
            let error = decimal(cell, 2).unwrap_err();
            assert!(error.contains("39.99"), "{cell}: {error}");
        }
        assert_eq!(decimal("184467440737095516.15", 2), Ok(u64::MAX));
        decimal("184467440737095516.16", 2).unwrap_err();
        assert_eq!(decimal("0.18", 6), Ok(180_000));
    }

    #[test]
    fn a_long_cell_is_quoted_in_part() {
        let error = whole(&"9".repeat(4_000)).unwrap_err();
        assert!(error.len() < 120, "{error}");
    }

    #[test]
    fn moments_are_read_with_their_offset() {
        assert_eq!(moment("2026-11-05T09:30:00+01:00"), moment("2026-11-05T08:30:00Z"));
        assert_eq!(moment("1793867400000"), Ok(1_793_867_400_000));
        assert_eq!(moment(&moment_text(1_793_867_400_123)), Ok(1_793_867_400_123));
        moment("2026-11-05 08:30").unwrap_err();
        assert_eq!(moment(&moment_text(i64::MAX)), Ok(i64::MAX));
    }

    #[test]
    fn a_document_has_a_type_and_a_reference() {
        documents("N337").unwrap_err();
        documents("N337:A:B").unwrap_err();
        let document = documents("N380:A\\:B\\|C").unwrap().remove(0);
        assert_eq!((document.r#type.as_str(), document.reference.as_str()), ("N380", "A:B|C"));
    }

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>()) {
            prop_assert_eq!(decimal(&decimal_text(number, 2, 2), 2), Ok(number));
            prop_assert_eq!(decimal(&decimal_text(number, 6, 0), 6), Ok(number));
        }

        #[test]
        fn lists_and_documents_come_back(
            texts in proptest::collection::vec(("[a:|\\\\ é]{0,6}", "[a:|\\\\ é]{0,6}"), 1..4)
        ) {
            let documents: Vec<_> = texts
                .iter()
                .map(|(of, reference)| DocumentReference { r#type: of.clone(), reference: reference.clone() })
                .collect();
            prop_assert_eq!(super::documents(&documents_text(&documents)), Ok(documents));
            let elements: Vec<String> = texts.into_iter().map(|(of, _)| format!("x{of}")).collect();
            prop_assert_eq!(list(&list_text(&elements)), elements);
        }
    }
}
