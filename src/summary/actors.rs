//! Who declares: roles, ids, and the ids known of each role.
//!
//! Ids are numbered in the order in which the journal first names them; [`OTHER_NUMBER`] stands
//! for all that came after the bound. The numbers are internal: what is shown, written to day
//! files and digested goes by id.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::id::{Eori, ShortText};

/// The id under which the ids past `actors_max` are summed.
pub const OTHER: &str = "(other)";

/// The number of [`OTHER`] in every role.
pub(crate) const OTHER_NUMBER: u32 = 0;

/// In which role an actor stands, numbered as in the contract (and as stored).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// 13 05: the EORI that lodges.
    Declarant = 1,
    /// 13 06: the EORI that represents.
    Representative = 2,
    /// 13 16 034: the holder of the IOSS number.
    IossHolder = 3,
}

impl Role {
    /// All roles, by number.
    pub const ALL: [Self; 3] = [Self::Declarant, Self::Representative, Self::IossHolder];

    /// The role numbered `number`.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == number)
    }
}

/// An IOSS VAT number by its form, `^IM[0-9]{10}$`: `IM`, three digits for the member state, six
/// of serial and a check digit whose algorithm is not public (DOMAIN 2.3). Whether the member
/// state exists and the number is not denied are rules, not matters of form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IossNumber(ShortText<12>);

impl IossNumber {
    /// `None` unless `text` has the form above: trim and upper-case first.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("IM")?;
        let well_formed = digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit());
        if well_formed { ShortText::new(text).map(Self) } else { None }
    }

    /// The number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for IossNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for IossNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The id of an actor of any role, or [`OTHER`]. Ordered as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId(ShortText<17>);

impl ActorId {
    /// `text` as the id of an actor in `role`, or [`OTHER`]; `None` where it is malformed.
    #[must_use]
    pub fn parse(role: Role, text: &str) -> Option<Self> {
        if text == OTHER {
            return Some(Self::other());
        }
        match role {
            Role::Declarant | Role::Representative => Eori::parse(text).map(Self::from),
            Role::IossHolder => IossNumber::parse(text).map(Self::from),
        }
    }

    /// The id of what is summed past the bound.
    #[must_use]
    pub fn other() -> Self {
        Self::fitting(OTHER)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text's bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn fitting(text: &str) -> Self {
        // EORI: 17 characters, IOSS number: 12, OTHER: 7; all ASCII.
        let Some(short) = ShortText::new(text) else { unreachable!("ids have 17 characters") };
        Self(short)
    }
}

impl From<Eori> for ActorId {
    fn from(eori: Eori) -> Self {
        Self::fitting(eori.as_str())
    }
}

impl From<IossNumber> for ActorId {
    fn from(number: IossNumber) -> Self {
        Self::fitting(number.as_str())
    }
}

impl AsRef<str> for ActorId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The ids known of one role, and at which watermark something of each last changed.
#[derive(Debug)]
pub(crate) struct Actors {
    numbers: HashMap<ActorId, u32, KeyedState>,
    ids: Vec<ActorId>,
    changed: Vec<u64>,
}

impl Actors {
    pub(crate) fn new() -> Self {
        Self {
            numbers: HashMap::with_hasher(KeyedState::new()),
            ids: vec![ActorId::other()],
            changed: vec![0],
        }
    }

    /// How many ids have figures of their own.
    pub(crate) fn known(&self) -> u32 {
        // ids never outgrow u32: `number_or_add` stops at `actors_max`.
        u32::try_from(self.ids.len() - 1).unwrap_or(u32::MAX)
    }

    /// The number under which a declaration of `id` folds: its own, a new one, or, where
    /// `actors_max` are known, [`OTHER_NUMBER`].
    #[inline]
    pub(crate) fn number_or_add(&mut self, id: &ActorId, actors_max: u32) -> u32 {
        match self.numbers.get(id) {
            Some(number) => *number,
            None => self.add(*id, actors_max),
        }
    }

    #[cold]
    fn add(&mut self, id: ActorId, actors_max: u32) -> u32 {
        let known = self.known();
        if known >= actors_max || known == u32::MAX {
            return OTHER_NUMBER;
        }
        let number = known + 1;
        self.numbers.insert(id, number);
        self.ids.push(id);
        self.changed.push(0);
        number
    }

    /// The number of `id`, where it is known. [`OTHER`] always is.
    pub(crate) fn number(&self, id: &ActorId) -> Option<u32> {
        if id.as_str() == OTHER { Some(OTHER_NUMBER) } else { self.numbers.get(id).copied() }
    }

    /// The id numbered `number`.
    pub(crate) fn id(&self, number: u32) -> Option<ActorId> {
        self.ids.get(number as usize).copied()
    }

    /// The ids known, in the order of their numbers, without [`OTHER`].
    pub(crate) fn ids(&self) -> &[ActorId] {
        self.ids.get(1..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn mark_changed(&mut self, number: u32, watermark: u64) {
        if let Some(changed) = self.changed.get_mut(number as usize) {
            *changed = watermark;
        }
    }

    /// The ids of which something changed after `since`.
    pub(crate) fn changed_since(&self, since: u64) -> Vec<ActorId> {
        let changed = self.ids.iter().zip(&self.changed);
        changed.filter(|(_, at)| **at > since).map(|(id, _)| *id).collect()
    }
}

/// A hash for ids that senders choose: keyed anew in each process, so that nobody can prepare
/// ids that fall into one chain, and three multiplications long, where SipHash would cost as much
/// as all the rest of folding a declaration. It decides nothing (keys are compared whole), and no
/// figure depends on it.
#[derive(Debug, Clone)]
pub(crate) struct KeyedState {
    key: u64,
    multiplier: u64,
}

impl KeyedState {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self { key: random.hash_one(0_u8), multiplier: random.hash_one(1_u8) | 1 }
    }
}

impl BuildHasher for KeyedState {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { state: self.key, multiplier: self.multiplier }
    }
}

#[derive(Debug)]
pub(crate) struct KeyedHasher {
    state: u64,
    multiplier: u64,
}

impl KeyedHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.multiplier);
        // Both halves: the upper one alone would forget the word's low bits, the lower its high.
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for KeyedHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = 0_u64;
        for byte in rest {
            last = last << 8 | u64::from(*byte);
        }
        self.mix(last);
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        // The length of a short text, or the end of another: its bytes were mixed in already.
        self.state ^= u64::from(byte);
    }

    #[inline]
    fn write_usize(&mut self, _length: usize) {
        // Every id is hashed with the same array length.
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn ioss_numbers_by_form() {
        assert!(IossNumber::parse("IM5280001234").is_some());
        // An unknown member state is a finding of the rules, not a matter of form.
        assert!(IossNumber::parse("IM9990001234").is_some());
        for bad in ["", "IM", "IM528000123", "IM52800012345", "IN5280001234", "im5280001234"] {
            assert!(IossNumber::parse(bad).is_none(), "{bad}");
        }
        assert!(IossNumber::parse("IM528000123x").is_none());
    }

    #[test]
    fn ids_past_the_bound_are_other_and_known_ones_stay() {
        let id = |n: u32| ActorId::parse(Role::Declarant, &format!("NL{n}")).unwrap();
        let mut actors = Actors::new();
        assert_eq!(actors.number_or_add(&id(1), 2), 1);
        assert_eq!(actors.number_or_add(&id(2), 2), 2);
        assert_eq!(actors.number_or_add(&id(3), 2), OTHER_NUMBER);
        assert_eq!(actors.number_or_add(&id(1), 1), 1, "known before the bound fell");
        assert_eq!(actors.number_or_add(&id(3), 3), 3, "the bound rose");
        assert_eq!(actors.known(), 3);
        assert_eq!(actors.id(OTHER_NUMBER).unwrap().as_str(), OTHER);
    }

    #[test]
    fn the_hash_tells_ids_apart() {
        let state = KeyedState::new();
        let mut seen = std::collections::HashSet::new();
        for n in 0..100_000_u64 {
            let id = ActorId::parse(Role::IossHolder, &format!("IM528{n:07}")).unwrap();
            seen.insert(state.hash_one(id) >> 20);
        }
        // 2^44 values: 100,000 ids share one about once in 3,500 runs, hardly ever ten times.
        assert!(seen.len() > 99_990, "{}", seen.len());
    }
}
