//! Page tokens: where a page ended, in a form that says nothing and is checked.
//!
//! Hexadecimal of: version 1 (1 byte), order (1), role (1), first and last day + 1 (4 each, 0:
//! open), accepted lines (8), id, CRC32C of all before (4); numbers big-endian. The checksum
//! guards against accidents: whoever makes up a token only sees a page that could be had anyway.
//!
//! Of figures by fallback reference: version 1, order 3, both days as above, length of the declarant (1),
//! declarant, reference after which the page starts, CRC32C.

use std::fmt::Write as _;

use crate::day::Day;
use crate::summary::ReconciliationsQuery;
use crate::summary::references::REFERENCE_ID_BYTES_MAX;
use crate::summary::{ActorId, Cursor, FallbackReference, ListQuery, Order, Period};

const VERSION: u8 = 1;
/// Version to lines, and the checksum.
const FIXED_BYTES: usize = 19 + 4;
const TOKEN_CHARACTERS_MAX: usize = 2 * (FIXED_BYTES + REFERENCE_ID_BYTES_MAX);
pub(crate) const NO_TOKEN: &str = "is not a token that this server gave";

/// The token of the page that starts after `cursor` in the list `query`.
#[must_use]
pub fn write_token(query: &ListQuery, cursor: &Cursor) -> String {
    let mut bytes = prefix(query);
    bytes.extend_from_slice(&cursor.lines.to_be_bytes());
    bytes.extend_from_slice(cursor.id.as_str().as_bytes());
    to_token(bytes)
}

/// Where the page of `token` starts in the list `query`.
///
/// # Errors
/// A sentence where it is no token, or one of another list.
pub fn read_token(token: &str, query: &ListQuery) -> Result<Cursor, &'static str> {
    let bytes = of_token(token)?;
    let rest = bytes
        .strip_prefix(prefix(query).as_slice())
        .ok_or("belongs to a list of another role, period or order")?;
    let (lines, id) = rest.split_first_chunk().ok_or(NO_TOKEN)?;
    let id = std::str::from_utf8(id).ok().and_then(|id| ActorId::parse(query.role, id));
    Ok(Cursor { lines: u64::from_be_bytes(*lines), id: id.ok_or(NO_TOKEN)? })
}

/// The token of the page that starts after `reference` in the list `query`.
#[must_use]
pub fn write_reference_token(query: &ReconciliationsQuery, reference: &str) -> String {
    let mut bytes = reference_prefix(query);
    bytes.extend_from_slice(reference.as_bytes());
    to_token(bytes)
}

/// After which reference the page of `token` starts in the list `query`.
///
/// # Errors
/// A sentence where it is no token, or one of another list.
pub fn read_reference_token(
    token: &str,
    query: &ReconciliationsQuery,
) -> Result<String, &'static str> {
    let bytes = of_token(token)?;
    let rest = bytes
        .strip_prefix(reference_prefix(query).as_slice())
        .ok_or("belongs to a list of another declarant or period")?;
    let reference = std::str::from_utf8(rest).ok().and_then(FallbackReference::parse);
    Ok(reference.ok_or(NO_TOKEN)?.as_str().to_owned())
}

fn reference_prefix(query: &ReconciliationsQuery) -> Vec<u8> {
    let declarant = query.declarant.as_str();
    let mut bytes = vec![VERSION, 3];
    put_period(&mut bytes, query.period);
    // At most 17.
    bytes.push(declarant.len() as u8);
    bytes.extend_from_slice(declarant.as_bytes());
    bytes
}

pub(crate) fn to_token(mut bytes: Vec<u8>) -> String {
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut token, byte| {
        // Writing to a String cannot fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}

pub(crate) fn of_token(token: &str) -> Result<Vec<u8>, &'static str> {
    let mut bytes = from_hex(token).ok_or(NO_TOKEN)?;
    let (checked, crc) = bytes.split_last_chunk().ok_or(NO_TOKEN)?;
    if crc32c::crc32c(checked) != u32::from_be_bytes(*crc) {
        return Err(NO_TOKEN);
    }
    bytes.truncate(checked.len());
    Ok(bytes)
}

fn prefix(query: &ListQuery) -> Vec<u8> {
    let order = match query.order {
        Order::Lines => 1,
        Order::Id => 2,
    };
    let mut bytes = vec![VERSION, order, query.role as u8];
    put_period(&mut bytes, query.period);
    bytes
}

pub(crate) fn put_period(bytes: &mut Vec<u8>, period: Period) {
    for day in [period.first, period.last] {
        let day: u32 = day.map_or(0, |Day(day)| u32::from(day) + 1);
        bytes.extend_from_slice(&day.to_be_bytes());
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() > TOKEN_CHARACTERS_MAX {
        return None;
    }
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::summary::{Period, Role};

    #[test]
    fn a_token_serves_its_own_list_alone() {
        let query = ListQuery {
            role: Role::Declarant,
            period: Period { first: Day::parse("2026-11-01"), last: None },
            order: Order::Lines,
            after: None,
            page_size: 10,
        };
        let id = ActorId::parse(Role::Declarant, "NL81000000312345X").unwrap();
        let cursor = Cursor { lines: u64::MAX, id };
        let token = write_token(&query, &cursor);
        assert_eq!(read_token(&token, &query), Ok(cursor));

        let others = [
            ListQuery { role: Role::Representative, ..query },
            ListQuery { order: Order::Id, ..query },
            ListQuery { period: Period::default(), ..query },
        ];
        for other in others {
            assert!(read_token(&token, &other).unwrap_err().contains("another"), "{other:?}");
        }
        for place in 0..token.len() {
            let mut bad = token.clone().into_bytes();
            bad[place] = if bad[place] == b'0' { b'1' } else { b'0' };
            assert!(read_token(std::str::from_utf8(&bad).unwrap(), &query).is_err(), "{place}");
            assert!(read_token(&token[..place], &query).is_err(), "{place}");
        }
        let references = ReconciliationsQuery {
            declarant: id,
            reference: None,
            period: query.period,
            after: None,
            page_size: 10,
        };
        let after = read_reference_token(&token, &references);
        assert!(after.unwrap_err().contains("another"));
        assert!(read_token("zz", &query).is_err());
        assert!(read_token("é", &query).is_err());
    }

    #[test]
    fn a_token_of_references_serves_its_declarant_and_period_alone() {
        let query = ReconciliationsQuery {
            declarant: ActorId::parse(Role::Declarant, "NL81000000312345X").unwrap(),
            reference: None,
            period: Period { first: Day::parse("2026-11-01"), last: None },
            after: None,
            page_size: 10,
        };
        let longest = "\u{1f4e6}".repeat(35);
        for reference in ["F", "outage of 5 November", &longest] {
            let token = write_reference_token(&query, reference);
            assert_eq!(read_reference_token(&token, &query).as_deref(), Ok(reference));
            let declarant = ActorId::parse(Role::Declarant, "NL8").unwrap();
            for other in [
                ReconciliationsQuery { declarant, ..query.clone() },
                ReconciliationsQuery { period: Period::default(), ..query.clone() },
            ] {
                assert!(read_reference_token(&token, &other).unwrap_err().contains("another"));
            }
            let flipped = format!("{}0", &token[..token.len() - 1]);
            assert!(flipped == token || read_reference_token(&flipped, &query).is_err());
        }
    }
}
