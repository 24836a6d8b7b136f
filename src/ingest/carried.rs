//! What recovery needs of the records that a run covers and that the index does not keep; a run
//! carries it for us, so that a start need not read those records.
//!
//! Version 1, numbers little endian: version (1), records (8), declarations (8), acceptances (8), the
//! time of the newest batch (8; the least number where there is none), `actors_max` (4), the length
//! of the time zone's name (1), the name, the number of laws (4), and each law as it stands in the
//! journal (68; see [`super::record`]).

use super::record::{LAW, LAW_BYTES, LawRecord};
use super::recover::Progress;
use crate::day::Moment;

const VERSION: u8 = 1;

/// The state after a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) seen: Progress,
    pub(crate) newest: Option<Moment>,
    /// Actors of a role that are counted apart; none before the journal has a value.
    pub(crate) actors_max: Option<u32>,
    pub(crate) time_zone: String,
    /// From the first on.
    pub(crate) laws: Vec<LawRecord>,
}

impl Carried {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let Progress { records, declarations, accepted, judged: _ } = self.seen;
        let zone = self.time_zone.as_bytes();
        let mut bytes = vec![VERSION];
        for number in [records, declarations, accepted] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.newest.map_or(i64::MIN, |newest| newest.0).to_le_bytes());
        bytes.extend(self.actors_max.unwrap_or(0).to_le_bytes());
        bytes.push(u8::try_from(zone.len()).unwrap_or(u8::MAX));
        bytes.extend(zone);
        bytes.extend(u32::try_from(self.laws.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.laws.iter().for_each(|law| bytes.extend(law.body()));
        bytes
    }

    /// `None` where no version up to this one wrote these bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut take = |length: usize| {
            let (front, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(front)
        };
        if take(1)? != [VERSION] {
            return None;
        }
        let mut number = || Some(u64::from_le_bytes(take(8)?.try_into().ok()?));
        let (records, declarations, accepted) = (number()?, number()?, number()?);
        let newest = i64::from_le_bytes(take(8)?.try_into().ok()?);
        let actors_max = u32::from_le_bytes(take(4)?.try_into().ok()?);
        let zone = usize::from(*take(1)?.first()?);
        let time_zone = std::str::from_utf8(take(zone)?).ok()?.to_owned();
        let laws = u32::from_le_bytes(take(4)?.try_into().ok()?);
        let laws = (0..laws).map(|_| match super::record::Entry::read(LAW, take(LAW_BYTES)?) {
            Ok(super::record::Entry::Law(law)) => Some(law),
            _ => None,
        });
        let laws = laws.collect::<Option<_>>()?;
        let carried = Self {
            seen: Progress { records, declarations, accepted, judged: 0 },
            newest: (newest != i64::MIN).then_some(Moment(newest)),
            actors_max: (actors_max != 0).then_some(actors_max),
            time_zone,
            laws,
        };
        rest.is_empty().then_some(carried)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn comes_back_as_it_was_and_not_where_it_is_cut() {
        let law = |number| LawRecord {
            number,
            rules_hash: [number.to_le_bytes()[0]; 32],
            reference_hash: [9; 32],
        };
        let carried = Carried {
            seen: Progress { records: 7, declarations: 5_000, accepted: 4_000, judged: 0 },
            newest: Some(Moment(1_793_000_000_123)),
            actors_max: Some(100_000),
            time_zone: "Europe/Amsterdam".into(),
            laws: vec![law(0), law(1)],
        };
        let bytes = carried.to_bytes();
        assert_eq!(Carried::from_bytes(&bytes), Some(carried.clone()));
        for cut in 0..bytes.len() {
            assert_eq!(Carried::from_bytes(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Carried::from_bytes(&[&bytes[..], b"x"].concat()), None);
        let empty = Carried { newest: None, actors_max: None, laws: Vec::new(), ..carried };
        assert_eq!(Carried::from_bytes(&empty.to_bytes()), Some(empty));
    }
}
