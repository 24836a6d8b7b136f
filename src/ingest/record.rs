//! What the records of the journal say. Numbers are little endian.
//!
//! A batch (kind 1):
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version of this layout: 2 |
//! | 1 | version of the normaliser |
//! | 2 | the batch's calendar day, days since 1970-01-01 |
//! | 4 | number of the law that judged it |
//! | 8 | the batch's one time, milliseconds since the Unix epoch |
//! | 8 | ordinal of its first declaration |
//! | 4 | declarations, n |
//! | 4 | bytes of the message |
//! | n | outcome of each: three bits outcome, three bits what it replays |
//! | 8 r | of each replay, in order, the ordinal of the declaration that got the first answer |
//! | .. | the message as it came |
//!
//! The day was derived from the time when the batch was judged, and nothing asks for it again: the
//! time zone's data of a later version must not move old batches to another day, and so to other
//! rules, summaries and MRNs. With the ordinals of the first answers, a record can be archived without
//! asking the index, which by then knows of later ones.
//!
//! A law (kind 2), from here on in force: its number (4), the hash of its rules (32) and of its
//! reference data (32). Settings that figures hang on (kind 3), from here on in force: `actors_max`
//! (4), and the name of the time zone in which days are counted, which never changes. What is forgotten
//! (kind 4), from here on: keys of declarations before this ordinal (8), all of days before this one (2).

use crate::day::{Day, Moment};
use crate::fields::Fields;
use crate::id::Ordinal;
use crate::index::filed::Settled;
use crate::index::run::Forgotten;
use crate::index::settle::Decided;
use crate::outcome::Outcome;
use crate::wire::digest::NORMALISER_VERSION;

/// A batch.
pub const BATCH: u8 = 1;
/// A law that is in force from here on.
pub const LAW: u8 = 2;
/// Settings that hold from here on.
pub const SETTINGS: u8 = 3;
/// Keys that are forgotten from here on.
pub const FORGOTTEN: u8 = 4;

const LAYOUT: u8 = 2;
/// Bytes of the ordinal of a first answer.
const FIRST_BYTES: usize = 8;
/// Bytes of a batch record before the outcomes.
pub const BATCH_HEADER_BYTES: usize = 32;
/// Bytes of a law record.
pub const LAW_BYTES: usize = 68;

/// A record of one of the four kinds.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// See [`BATCH`].
    Batch(BatchRecord<'a>),
    /// See [`LAW`].
    Law(LawRecord),
    /// See [`SETTINGS`].
    Settings(SettingsRecord<'a>),
    /// See [`FORGOTTEN`].
    Forgotten(Forgotten),
}

/// A batch as it stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchRecord<'a> {
    /// Number of its law.
    pub law: u32,
    /// Its calendar day.
    pub day: Day,
    /// Its one time.
    pub at: Moment,
    /// Of its first declaration.
    pub first_ordinal: Ordinal,
    /// See [`crate::index::filed::Settled::byte`].
    pub outcomes: &'a [u8],
    /// As [`firsts_of`] has them.
    pub firsts: &'a [u8],
    /// The message.
    pub message: &'a [u8],
}

/// A law as it stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LawRecord {
    /// Its number: 0 for the first, then one more each.
    pub number: u32,
    /// Hash of its rule files.
    pub rules_hash: [u8; 32],
    /// Hash of its rates and nomenclature.
    pub reference_hash: [u8; 32],
}

/// Settings as they stand in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsRecord<'a> {
    /// Actors of a role that are counted apart.
    pub actors_max: u32,
    /// IANA name of the zone in which days are counted.
    pub time_zone: &'a str,
}

/// A record that says what no version of Waag up to this one writes.
#[derive(Debug, thiserror::Error)]
#[error("record of kind {kind} with {length} bytes: {what}")]
pub struct RecordError {
    kind: u8,
    length: usize,
    what: &'static str,
}

/// The most bytes that the record of such a batch has.
#[must_use]
pub fn batch_bytes_max(declarations: usize, message: usize) -> usize {
    BATCH_HEADER_BYTES + declarations * (1 + FIRST_BYTES) + message
}

/// Whether this outcome byte is that of a replay.
fn is_replay(outcome: u8) -> bool {
    Settled::from_byte(outcome).is_some_and(|settled| settled.outcome == Outcome::Replayed)
}

/// Of each replay of a batch whose first declaration has the ordinal `own`, in order, the ordinal of
/// the first answer, as they stand in the journal. What has no place yet is in the batch itself:
/// nothing refers to a later record.
#[must_use]
pub fn firsts_of(decided: &Decided, own: Ordinal) -> Vec<u8> {
    let firsts = decided.replays.iter().map(|(_, first)| {
        let batch = first.placing().map_or(own, |placing| placing.first_ordinal);
        (batch.0 + first.index() as u64).to_le_bytes()
    });
    firsts.flatten().collect()
}

impl BatchRecord<'_> {
    /// The replays, ascending: of each its index in the batch, and the ordinal of the declaration
    /// that got the first answer.
    pub fn replays(&self) -> impl Iterator<Item = (usize, Ordinal)> {
        let replays = self.outcomes.iter().enumerate().filter(|(_, outcome)| is_replay(**outcome));
        let (firsts, _) = self.firsts.as_chunks::<FIRST_BYTES>();
        replays.zip(firsts).map(|((index, _), first)| (index, Ordinal(u64::from_le_bytes(*first))))
    }

    /// The bytes before outcomes and message.
    #[must_use]
    pub fn header(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut header = [0; BATCH_HEADER_BYTES];
        let declarations = u32::try_from(self.outcomes.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(self.message.len()).unwrap_or(u32::MAX);
        let parts: [&[u8]; 7] = [
            &[LAYOUT, NORMALISER_VERSION],
            &self.day.0.to_le_bytes(),
            &self.law.to_le_bytes(),
            &self.at.0.to_le_bytes(),
            &self.first_ordinal.0.to_le_bytes(),
            &declarations.to_le_bytes(),
            &length.to_le_bytes(),
        ];
        for (byte, part) in header.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *part;
        }
        header
    }
}

impl SettingsRecord<'_> {
    /// The record's body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        [&self.actors_max.to_le_bytes()[..], self.time_zone.as_bytes()].concat()
    }
}

impl Forgotten {
    /// The record's body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        [&self.before.0.to_le_bytes()[..], &self.day.0.to_le_bytes()].concat()
    }
}

impl LawRecord {
    /// The record's body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        [&self.number.to_le_bytes()[..], &self.rules_hash, &self.reference_hash].concat()
    }
}

impl<'a> Entry<'a> {
    /// Reads a record.
    ///
    /// # Errors
    /// Where kind, version or lengths are not those of this version.
    pub fn read(kind: u8, body: &'a [u8]) -> Result<Self, RecordError> {
        let wrong = |what| RecordError { kind, length: body.len(), what };
        let mut fields = Fields(body);
        match kind {
            BATCH => {
                let [layout, normaliser] = fields.array::<2>().ok_or(wrong("cut short"))?;
                if layout != LAYOUT {
                    return Err(wrong("its layout is of another version than 2"));
                }
                if normaliser != NORMALISER_VERSION {
                    return Err(wrong("it was normalised by another version than 1"));
                }
                Self::batch(&mut fields).ok_or(wrong("its lengths do not add up"))
            }
            LAW => Self::law(&mut fields).ok_or(wrong("its length is not 68")),
            SETTINGS => {
                let actors_max = fields.u32().ok_or(wrong("cut short"))?;
                let time_zone = std::str::from_utf8(fields.0)
                    .map_err(|_| wrong("the name of its time zone is not UTF-8"))?;
                Ok(Self::Settings(SettingsRecord { actors_max, time_zone }))
            }
            FORGOTTEN => Self::forgotten(&mut fields).ok_or(wrong("its length is not 10")),
            _ => Err(wrong("a kind that this version does not know")),
        }
    }

    fn batch(fields: &mut Fields<'a>) -> Option<Self> {
        let day = Day(fields.u16()?);
        let law = fields.u32()?;
        let at = Moment(i64::from_le_bytes(fields.array()?));
        let first_ordinal = Ordinal(fields.u64()?);
        let declarations = usize::try_from(fields.u32()?).ok()?;
        let length = usize::try_from(fields.u32()?).ok()?;
        let outcomes = fields.take(declarations)?;
        let replays = outcomes.iter().filter(|outcome| is_replay(**outcome)).count();
        let firsts = fields.take(replays.checked_mul(FIRST_BYTES)?)?;
        let message = fields.take(length)?;
        fields.0.is_empty().then_some(Self::Batch(BatchRecord {
            law,
            day,
            at,
            first_ordinal,
            outcomes,
            firsts,
            message,
        }))
    }

    fn forgotten(fields: &mut Fields<'a>) -> Option<Self> {
        let forgotten = Forgotten { before: Ordinal(fields.u64()?), day: Day(fields.u16()?) };
        fields.0.is_empty().then_some(Self::Forgotten(forgotten))
    }

    fn law(fields: &mut Fields<'a>) -> Option<Self> {
        let number = fields.u32()?;
        let (rules_hash, reference_hash) = (fields.array()?, fields.array()?);
        fields.0.is_empty().then_some(Self::Law(LawRecord { number, rules_hash, reference_hash }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_come_back_as_they_were_written_and_cut_ones_are_refused() {
        let batch = BatchRecord {
            law: 7,
            day: Day(0x5112),
            at: Moment(1_793_000_000_123),
            first_ordinal: Ordinal(99),
            outcomes: &[1, 2, 11],
            firsts: &[98, 0, 0, 0, 0, 0, 0, 1],
            message: b"message",
        };
        let body = [&batch.header()[..], batch.outcomes, batch.firsts, batch.message].concat();
        assert_eq!(batch.replays().collect::<Vec<_>>(), [(2, Ordinal(98 + (1 << 56)))]);
        assert_eq!(Entry::read(BATCH, &body).unwrap(), Entry::Batch(batch));
        assert_eq!(body[2..4], [0x12, 0x51], "the day, little endian");
        let law = LawRecord { number: 3, rules_hash: [1; 32], reference_hash: [2; 32] };
        assert_eq!(Entry::read(LAW, &law.body()).unwrap(), Entry::Law(law));
        let settings = SettingsRecord { actors_max: 100_000, time_zone: "Europe/Amsterdam" };
        let settings_body = settings.body();
        assert_eq!(Entry::read(SETTINGS, &settings_body).unwrap(), Entry::Settings(settings));
        for cut in 0..body.len() {
            assert!(Entry::read(BATCH, &body[..cut]).is_err(), "{cut}");
        }
        assert!(Entry::read(BATCH, &[&body[..], b"x"].concat()).is_err());
        assert_eq!(law.body().len(), LAW_BYTES);
        assert!(Entry::read(LAW, &law.body()[..67]).is_err());
        assert!(Entry::read(SETTINGS, &settings_body[..3]).is_err());
        let forgotten = Forgotten { before: Ordinal(1 << 40), day: Day(20_000) };
        assert_eq!(Entry::read(FORGOTTEN, &forgotten.body()).unwrap(), Entry::Forgotten(forgotten));
        assert!(Entry::read(FORGOTTEN, &forgotten.body()[..9]).is_err());
        assert!(Entry::read(9, &[]).is_err());
    }
}
