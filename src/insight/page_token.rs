//! Where a page of findings ended, in a form that says nothing and is checked: hexadecimal of version 1 (1
//! byte), 4, role (1), 1 where only notable ones are wanted (1), first and last day and 1 (4 each, 0: open), the
//! indicators as bits by number (4), length and id of the actor (0: all); day (2), number of the indicator (1, 0:
//! past the actor), id, CRC32C of all before (4). Numbers big endian.

use super::board::{FindingsCursor, FindingsQuery};
use super::kinds::Kind;
use crate::day::Day;
use crate::summary::{ActorId, NO_TOKEN, of_token, put_period, to_token};

/// The token of the page that starts after `cursor` in the list `query`.
#[must_use]
pub fn write_findings_token(query: &FindingsQuery, cursor: &FindingsCursor) -> String {
    let mut bytes = prefix(query);
    bytes.extend_from_slice(&cursor.day.0.to_be_bytes());
    bytes.push(cursor.kind.map_or(0, |kind| kind as u8));
    bytes.extend_from_slice(cursor.id.as_str().as_bytes());
    to_token(bytes)
}

/// Where the page of `token` starts in the list `query`.
///
/// # Errors
/// A sentence where it is no token, or one of another list.
pub fn read_findings_token(
    token: &str,
    query: &FindingsQuery,
) -> Result<FindingsCursor, &'static str> {
    let bytes = of_token(token)?;
    let rest = bytes
        .strip_prefix(prefix(query).as_slice())
        .ok_or("belongs to a list of other actors, days or indicators")?;
    let (day, rest) = rest.split_first_chunk().ok_or(NO_TOKEN)?;
    let (kind, id) = rest.split_first().ok_or(NO_TOKEN)?;
    let kind = match kind {
        0 => None,
        number => Some(Kind::from_number(*number).ok_or(NO_TOKEN)?),
    };
    let id = std::str::from_utf8(id).ok().and_then(|id| ActorId::parse(query.role, id));
    Ok(FindingsCursor { day: Day(u16::from_be_bytes(*day)), id: id.ok_or(NO_TOKEN)?, kind })
}

fn prefix(query: &FindingsQuery) -> Vec<u8> {
    let mut bytes = vec![1, 4, query.role as u8, u8::from(query.notable_only)];
    put_period(&mut bytes, query.period);
    let kinds = query.kinds.iter().fold(0_u32, |bits, kind| bits | 1 << (*kind as u8 % 32));
    bytes.extend_from_slice(&kinds.to_be_bytes());
    let actor = query.actor.as_ref().map_or("", |actor| actor.as_str());
    // At most 17.
    bytes.push(actor.len() as u8);
    bytes.extend_from_slice(actor.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::summary::{Period, Role};

    #[test]
    fn a_token_serves_its_own_list_alone() {
        let query = FindingsQuery {
            role: Role::Declarant,
            actor: None,
            period: Period { first: Day::parse("2026-11-01"), last: None },
            kinds: vec![Kind::Split],
            notable_only: false,
            after: None,
            page_size: 10,
        };
        let id = ActorId::parse(Role::Declarant, "NL81000000312345X").unwrap();
        for kind in [None, Some(Kind::CrowdedAddress)] {
            let cursor = FindingsCursor { day: Day(20_000), id, kind };
            let token = write_findings_token(&query, &cursor);
            assert_eq!(read_findings_token(&token, &query), Ok(cursor));
            let others = [
                FindingsQuery { role: Role::Representative, ..query.clone() },
                FindingsQuery { actor: Some(id), ..query.clone() },
                FindingsQuery { period: Period::default(), ..query.clone() },
                FindingsQuery { kinds: Vec::new(), ..query.clone() },
                FindingsQuery { notable_only: true, ..query.clone() },
            ];
            for other in others {
                let error = read_findings_token(&token, &other).unwrap_err();
                assert!(error.contains("other"), "{other:?}: {error}");
            }
            for place in 0..token.len() {
                assert!(read_findings_token(&token[..place], &query).is_err(), "{place}");
            }
        }
        assert!(read_findings_token("zz", &query).is_err());
    }
}
