//! The figures of one actor on one day, and how they are stored.
//!
//! All are sums of unsigned integers that saturate, so that neither the order of adding nor how
//! the sum is split over days matters.
//!
//! Stored form (version 2), all numbers as LEB128 varints, so that a typical entry takes under 100
//! bytes:
//!
//! | what | how |
//! |---|---|
//! | version | 1 byte: 2 |
//! | the counters, in the order of [`Counters`] | varint each |
//! | the histogram's 31 buckets | varint each |
//! | the 6 classes of delays | varint each |
//! | how many reasons; each, by number: number, declarations, findings | varints |
//! | how many chapters; each, by number: chapter, lines | varints |
//!
//! Version 1, which is read, has the first 23 of the counters and no delays: the others are 0 in it.
//!
//! Equal figures have equal bytes. No entry is longer than [`ENCODED_BYTES_MAX`].

use std::hash::Hasher;

use crate::outcome::Outcome;
use crate::rules::finding::Reason;
use crate::summary::delay::DELAYS;
use crate::summary::delta::Referred;
use crate::summary::{Delay, Facts};

/// Buckets of the value histogram: 30 of EUR 5 up to EUR 150, and one above.
pub const VALUE_BUCKETS: usize = 31;
const BUCKET_CENTS: u64 = 500;

const VERSION: u8 = 2;
const FIRST_VERSION: u8 = 1;
/// The counters that version 1 had.
const FIRST_NUMBERS: usize = 23;
const VARINT_BYTES_MAX: usize = 10;
const CHAPTERS: usize = 100;

/// The longest stored form: every counter at its largest, every reason and chapter present.
pub(crate) const ENCODED_BYTES_MAX: usize = 1
    + (NUMBERS + VALUE_BUCKETS + DELAYS) * VARINT_BYTES_MAX
    + 2
    + Reason::ALL.len() * (2 + 2 * VARINT_BYTES_MAX)
    + 2
    + CHAPTERS * (1 + VARINT_BYTES_MAX);

// sled 0.34 gets small values only (see `crate::catalog`).
const _: () = assert!(ENCODED_BYTES_MAX <= crate::catalog::VALUE_BYTES_MAX);

/// How often a reason was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonCount {
    /// The reason.
    pub reason: Reason,
    /// Declarations in which it was found at least once.
    pub declarations: u64,
    /// Findings.
    pub findings: u64,
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The figures of one actor on one day, or the sum of several days. *Judged* declarations
        /// are those accepted, rejected or in conflict: all but replays.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// Accepted declarations by consignment value.
            pub value_histogram: [u64; VALUE_BUCKETS],
            /// Judged declarations first lodged under the emergency procedure, by how long before
            /// they arrived: see [`Delay`](crate::summary::Delay).
            pub delays: [u64; DELAYS],
            /// Judged declarations with a reason, by the reason's number, none twice.
            pub(super) reasons: Vec<ReasonCount>,
            /// Judged lines that meet a prohibition or restriction, by HS chapter, none twice.
            pub(super) chapters: Vec<(u8, u64)>,
        }

        const NUMBERS: usize = [$(stringify!($name)),+].len();

        impl Counters {
            fn numbers(&self) -> [u64; NUMBERS] {
                [$(self.$name),+]
            }

            fn numbers_mut(&mut self) -> [&mut u64; NUMBERS] {
                [$(&mut self.$name),+]
            }
        }
    };
}

// The order is part of the stored form: a change needs a new version, and what it adds comes last.
counters! {
    /// Accepted declarations.
    accepted,
    /// Goods items in them.
    accepted_lines,
    /// Their intrinsic value, euro cents.
    intrinsic_value,
    /// Their gross mass, milligrams.
    gross_mass_mg,
    /// Their duty, euro cents.
    duty,
    /// Accepted lines with a value in euro.
    valued_lines,
    /// Accepted lines with a whole amount in the invoice currency.
    round_lines,
    /// Accepted lines below EUR 1.
    below_eur_1_lines,
    /// Accepted lines below EUR 5 a kilogram.
    below_eur_5_per_kg_lines,
    /// Accepted lines of implausible mass.
    implausible_mass_lines,
    /// Accepted declarations with a line under C08.
    gifts,
    /// Accepted declarations without a line under F48.
    non_ioss,
    /// Those of them whose transport costs are missing or 0.
    non_ioss_free_transport,
    /// Judged lines under F48.
    f48_lines,
    /// Those of them in declarations whose IOSS number is malformed or denied.
    ioss_hit_lines,
    /// Judged lines with a vague description.
    vague_lines,
    /// Judged lines whose description does not fit the HS code.
    mismatch_lines,
    /// Judged lines that meet a prohibition or restriction.
    restricted_lines,
    /// Rejected declarations.
    rejected,
    /// Goods items in them.
    rejected_lines,
    /// Replays.
    replayed,
    /// Conflicts.
    conflicts,
    /// Goods items in them.
    conflict_lines,
    /// Accepted declarations with an HS code. (From here on since version 2.)
    hs6_declarations,
    /// How many different codes each of them has, added up.
    distinct_hs6,
    /// Accepted lines with an HS code.
    hs6_lines,
    /// Those of them whose code is one for other goods: it ends in 90 or 99.
    other_hs6_lines,
    /// Accepted lines with a description.
    described_lines,
    /// Those of them whose description names several goods.
    several_goods_lines,
    /// Accepted lines with a country of origin.
    origin_lines,
    /// Those of them that originate in another country than the exporter's.
    origin_differs_lines,
}

impl Counters {
    /// Bytes of memory that they hold.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.reasons.capacity() * size_of::<ReasonCount>()
            + self.chapters.capacity() * size_of::<(u8, u64)>()
    }

    /// Goods items in judged declarations.
    #[must_use]
    pub fn judged_lines(&self) -> u64 {
        self.accepted_lines.saturating_add(self.rejected_lines).saturating_add(self.conflict_lines)
    }

    /// Judged declarations.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.accepted.saturating_add(self.rejected).saturating_add(self.conflicts)
    }

    /// Declarations of every outcome.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.judged().saturating_add(self.replayed)
    }

    /// Nothing was declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.received() == 0
    }

    /// How often each reason was found, by the reason's number.
    #[must_use]
    pub fn reasons(&self) -> &[ReasonCount] {
        &self.reasons
    }

    /// Judged lines that meet a prohibition or restriction by HS chapter, ascending.
    #[must_use]
    pub fn restricted_chapters(&self) -> &[(u8, u64)] {
        &self.chapters
    }

    /// Adds one declaration; `reasons` are its reasons with their findings, each once. A replay
    /// counts as one and adds nothing else.
    #[inline]
    pub(crate) fn add(&mut self, outcome: Outcome, facts: &Facts, reasons: &[(Reason, u32)]) {
        let lines = u64::from(facts.lines);
        match outcome {
            Outcome::Replayed => {
                grow(&mut self.replayed, 1);
                return;
            }
            Outcome::Accepted => self.add_accepted(facts),
            Outcome::Rejected => {
                grow(&mut self.rejected, 1);
                grow(&mut self.rejected_lines, lines);
            }
            Outcome::Conflict => {
                grow(&mut self.conflicts, 1);
                grow(&mut self.conflict_lines, lines);
            }
        }
        grow(&mut self.f48_lines, facts.f48_lines.into());
        if let Some(delay) = facts.delay {
            self.add_delay(delay, 1);
        }
        if !reasons.is_empty() {
            self.add_judged(facts, reasons);
        }
    }

    #[inline]
    fn add_accepted(&mut self, facts: &Facts) {
        grow(&mut self.accepted, 1);
        grow(&mut self.accepted_lines, facts.lines.into());
        grow(&mut self.intrinsic_value, facts.intrinsic_value);
        grow(&mut self.gross_mass_mg, facts.gross_mass_mg);
        grow(&mut self.duty, facts.duty);
        grow(&mut self.valued_lines, facts.valued_lines.into());
        grow(&mut self.round_lines, facts.round_lines.into());
        grow(&mut self.below_eur_1_lines, facts.below_eur_1_lines.into());
        grow(&mut self.below_eur_5_per_kg_lines, facts.below_eur_5_per_kg_lines.into());
        grow(&mut self.implausible_mass_lines, facts.implausible_mass_lines.into());
        grow(&mut self.gifts, facts.gift.into());
        grow(&mut self.hs6_declarations, (facts.distinct_hs6 > 0).into());
        grow(&mut self.distinct_hs6, facts.distinct_hs6.into());
        grow(&mut self.hs6_lines, facts.hs6_lines.into());
        grow(&mut self.other_hs6_lines, facts.other_hs6_lines.into());
        grow(&mut self.described_lines, facts.described_lines.into());
        grow(&mut self.several_goods_lines, facts.several_goods_lines.into());
        grow(&mut self.origin_lines, facts.origin_lines.into());
        grow(&mut self.origin_differs_lines, facts.origin_differs_lines.into());
        let non_ioss = facts.f48_lines == 0;
        grow(&mut self.non_ioss, non_ioss.into());
        grow(&mut self.non_ioss_free_transport, (non_ioss && facts.free_transport).into());
        if let Some(bucket) = self.value_histogram.get_mut(bucket(facts.intrinsic_value)) {
            grow(bucket, 1);
        }
    }

    /// Adds what came with one fallback reference.
    pub(crate) fn add_referred(&mut self, referred: &Referred) {
        let Referred { accepted, rejected, replayed, conflicts, .. } = referred;
        grow(&mut self.accepted, u64::from(*accepted));
        grow(&mut self.rejected, u64::from(*rejected));
        grow(&mut self.replayed, u64::from(*replayed));
        grow(&mut self.conflicts, u64::from(*conflicts));
        grow(&mut self.accepted_lines, referred.accepted_lines);
        grow(&mut self.intrinsic_value, referred.intrinsic_value);
        for (own, more) in self.delays.iter_mut().zip(referred.delays) {
            grow(own, more.into());
        }
    }

    #[cold]
    fn add_delay(&mut self, delay: Delay, declarations: u64) {
        if let Some(count) = self.delays.get_mut(delay as usize) {
            grow(count, declarations);
        }
    }

    /// The same with nothing but what version 1 of the stored form had.
    pub(crate) fn of_first_version(&self) -> Self {
        let mut first = Self { delays: [0; DELAYS], ..self.clone() };
        first.numbers_mut().into_iter().skip(FIRST_NUMBERS).for_each(|number| *number = 0);
        first
    }

    /// What only declarations with findings have.
    fn add_judged(&mut self, facts: &Facts, reasons: &[(Reason, u32)]) {
        if facts.ioss_hit {
            grow(&mut self.ioss_hit_lines, facts.f48_lines.into());
        }
        grow(&mut self.vague_lines, facts.vague_lines.into());
        grow(&mut self.mismatch_lines, facts.mismatch_lines.into());
        grow(&mut self.restricted_lines, facts.restricted_lines.into());
        for (reason, findings) in reasons {
            self.add_reason(*reason, 1, u64::from(*findings));
        }
        for (chapter, lines) in &facts.restricted_chapters {
            self.add_chapter(*chapter, u64::from(*lines));
        }
    }

    /// Adds another's figures.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (own, more) in self.numbers_mut().into_iter().zip(other.numbers()) {
            grow(own, more);
        }
        for (own, more) in self.value_histogram.iter_mut().zip(other.value_histogram) {
            grow(own, more);
        }
        for (own, more) in self.delays.iter_mut().zip(other.delays) {
            grow(own, more);
        }
        for count in &other.reasons {
            self.add_reason(count.reason, count.declarations, count.findings);
        }
        for (chapter, lines) in &other.chapters {
            self.add_chapter(*chapter, *lines);
        }
    }

    pub(super) fn add_reason(&mut self, reason: Reason, declarations: u64, findings: u64) {
        match self.reasons.binary_search_by_key(&reason, |count| count.reason) {
            Ok(place) => {
                if let Some(count) = self.reasons.get_mut(place) {
                    grow(&mut count.declarations, declarations);
                    grow(&mut count.findings, findings);
                }
            }
            Err(place) => {
                self.reasons.insert(place, ReasonCount { reason, declarations, findings });
            }
        }
    }

    fn add_chapter(&mut self, chapter: u8, lines: u64) {
        match self.chapters.binary_search_by_key(&chapter, |(chapter, _)| *chapter) {
            Ok(place) => {
                if let Some((_, count)) = self.chapters.get_mut(place) {
                    grow(count, lines);
                }
            }
            Err(place) => self.chapters.insert(place, (chapter, lines)),
        }
    }

    /// A number that tells figures apart, within this process only: different figures have
    /// the same with a chance of 2^-64.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        let mut hasher = siphasher::sip::SipHasher24::new();
        hasher.write(&bytes);
        hasher.finish()
    }

    /// Appends the stored form to `bytes`.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(VERSION);
        let numbers = self.numbers().into_iter().chain(self.value_histogram);
        for number in numbers.chain(self.delays) {
            put_varint(bytes, number);
        }
        self.encode_found(bytes);
    }

    /// Reasons and chapters.
    fn encode_found(&self, bytes: &mut Vec<u8>) {
        put_varint(bytes, self.reasons.len() as u64);
        for count in &self.reasons {
            put_varint(bytes, count.reason as u64);
            put_varint(bytes, count.declarations);
            put_varint(bytes, count.findings);
        }
        put_varint(bytes, self.chapters.len() as u64);
        for (chapter, lines) in &self.chapters {
            put_varint(bytes, u64::from(*chapter));
            put_varint(bytes, *lines);
        }
    }

    /// Reads the stored form; `None` where `bytes` are none that this version or one before it writes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = versioned(bytes)?;
        let rest = &mut rest;
        let mut counters = Self::default();
        let numbers = if version == FIRST_VERSION { FIRST_NUMBERS } else { NUMBERS };
        for number in counters.numbers_mut().into_iter().take(numbers) {
            *number = take_varint(rest)?;
        }
        for bucket in &mut counters.value_histogram {
            *bucket = take_varint(rest)?;
        }
        if version > FIRST_VERSION {
            for count in &mut counters.delays {
                *count = take_varint(rest)?;
            }
        }
        for _ in 0..take_varint(rest)? {
            let number = usize::try_from(take_varint(rest)?).ok()?;
            let reason = *Reason::ALL.get(number)?;
            if counters.reasons.last().is_some_and(|last| last.reason >= reason) {
                return None;
            }
            let (declarations, findings) = (take_varint(rest)?, take_varint(rest)?);
            counters.reasons.push(ReasonCount { reason, declarations, findings });
        }
        for _ in 0..take_varint(rest)? {
            let chapter = u8::try_from(take_varint(rest)?).ok()?;
            if counters.chapters.last().is_some_and(|(last, _)| *last >= chapter) {
                return None;
            }
            counters.chapters.push((chapter, take_varint(rest)?));
        }
        rest.is_empty().then_some(counters)
    }

    /// Accepted lines of a stored form, without reading the rest: what lists are ranked by.
    pub(crate) fn decode_accepted_lines(bytes: &[u8]) -> Option<u64> {
        let (_, mut rest) = versioned(bytes)?;
        take_varint(&mut rest)?;
        take_varint(&mut rest)
    }
}

/// The version of a stored form that is read, and what follows it.
fn versioned(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&version, rest) = bytes.split_first()?;
    (FIRST_VERSION..=VERSION).contains(&version).then_some((version, rest))
}

#[inline]
fn grow(counter: &mut u64, by: u64) {
    *counter = counter.saturating_add(by);
}

/// The bucket of a consignment value: (0, 5] is 0, (145, 150] is 29, above is 30. A value that
/// rounded to nothing is in the first.
fn bucket(cents: u64) -> usize {
    let bucket = cents.saturating_sub(1) / BUCKET_CENTS;
    usize::try_from(bucket).unwrap_or(VALUE_BUCKETS).min(VALUE_BUCKETS - 1)
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[inline]
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    match bytes.split_first() {
        // Most counters are small.
        Some((&byte, rest)) if byte < 0x80 => {
            *bytes = rest;
            Some(byte.into())
        }
        _ => take_long_varint(bytes),
    }
}

fn take_long_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..).step_by(7).take(VARINT_BYTES_MAX) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part.checked_shl(shift)? >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The stored form of version 1.
#[cfg(test)]
pub(super) fn first_version(counters: &Counters) -> Vec<u8> {
    let mut bytes = vec![FIRST_VERSION];
    let numbers = counters.numbers().into_iter().take(FIRST_NUMBERS);
    numbers.chain(counters.value_histogram).for_each(|number| put_varint(&mut bytes, number));
    counters.encode_found(&mut bytes);
    bytes
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
