//! Movement reference numbers: year, `NL`, the ordinal, `R` (import declaration), check digit.
//!
//! The ordinal goes through a keyed bijection of 62 bits, so that two MRNs tell nobody how much was
//! declared between them, and no two ordinals share one. 62 bits are the most that twelve letters
//! and digits hold: 2^62 = 4.61e18 < 36^12 = 4.74e18.
//!
//! The bijection is a Feistel network of eight rounds over two halves of 31 bits, its round
//! function SipHash-2-4 of round number and half (Luby and Rackoff, 1988: four rounds of a PRF
//! already withstand chosen plaintexts and ciphertexts; eight leave a margin for the narrow half).

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::day::Day;
use crate::id::{Ordinal, mrn_check_digit};

const HALF_BITS: u32 = 31;
const HALF_MASK: u64 = (1 << HALF_BITS) - 1;
const ROUNDS: u64 = 8;
/// What six letters and digits can tell apart.
const SIX_PLACES: u64 = 36_u64.pow(6);
const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// An MRN: 18 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mrn([u8; 18]);

impl Mrn {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Mrn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Mrn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Makes MRNs of ordinals, and finds the ordinal of an MRN.
#[derive(Clone)]
pub struct Mint {
    key: SipHasher24,
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mint(..)")
    }
}

impl Mint {
    /// Under this key.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self { key: SipHasher24::new_with_key(&key) }
    }

    fn round(&self, round: u64, half: u64) -> u64 {
        let mut hasher = self.key;
        hasher.write_u64(half | (round << HALF_BITS));
        hasher.finish() & HALF_MASK
    }

    /// Each round waits for the one before it; of several numbers the processor works on more than one
    /// meanwhile.
    fn forth<const N: usize>(&self, numbers: [u64; N]) -> [u64; N] {
        let mut halves =
            numbers.map(|number| (number >> HALF_BITS & HALF_MASK, number & HALF_MASK));
        for round in 0..ROUNDS {
            halves = halves.map(|(left, right)| (right, left ^ self.round(round, right)));
        }
        halves.map(|(left, right)| left << HALF_BITS | right)
    }

    fn back(&self, number: u64) -> u64 {
        let (mut left, mut right) = (number >> HALF_BITS, number & HALF_MASK);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        left << HALF_BITS | right
    }

    /// The MRN of the declaration placed as `ordinal`, accepted in `year`.
    #[must_use]
    pub fn mrn(&self, year: u16, ordinal: Ordinal) -> Mrn {
        let [number] = self.forth([ordinal.0]);
        Self::written(year, number)
    }

    fn written(year: u16, number: u64) -> Mrn {
        let mut mrn = *b"00NL000000000000R0";
        let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
        // Two halves, each of which fits 32 bits: the processor works on both at once.
        let halves = [number / SIX_PLACES, number % SIX_PLACES];
        let [tens, ones, _, _, places @ .., _, _] = &mut mrn;
        (*tens, *ones) = (digit(year / 10), digit(year));
        for (half, places) in halves.into_iter().zip(places.chunks_mut(6)) {
            let mut half = u32::try_from(half).unwrap_or(0);
            for place in places.iter_mut().rev() {
                *place = ALPHABET.get((half % 36) as usize).copied().unwrap_or(b'0');
                half /= 36;
            }
        }
        let check = mrn_check_digit(&mrn).unwrap_or(0);
        if let Some(last) = mrn.last_mut() {
            *last = b'0' + check;
        }
        Mrn(mrn)
    }

    /// Those of a batch whose first declaration was placed as `first`, accepted on `day`.
    #[must_use]
    pub fn mrns_of(&self, day: Day, first: Ordinal) -> BatchMrns<'_> {
        BatchMrns { mint: self, year: day.year_month_day().0, first, made: None }
    }

    /// The MRN of declaration `index` of such a batch, where few are asked for.
    #[must_use]
    pub fn mrn_of(&self, day: Day, first: Ordinal, index: usize) -> Mrn {
        self.mrn(day.year_month_day().0, Ordinal(first.0 + index as u64))
    }

    /// The ordinal that `mrn` was made of, were it one of ours: make its MRN again and compare all
    /// 18 characters. `None` where it cannot be.
    #[must_use]
    pub fn ordinal(&self, mrn: &str) -> Option<Ordinal> {
        let mrn: &[u8; 18] = mrn.as_bytes().try_into().ok()?;
        let mut number = 0_u64;
        for character in mrn.get(4..16)? {
            let value = ALPHABET.iter().position(|a| a == character)?;
            number = number.checked_mul(36)?.checked_add(value as u64)?;
        }
        (number < 1 << (2 * HALF_BITS)).then(|| Ordinal(self.back(number)))
    }
}

/// So many MRNs are made together.
const GROUP: usize = 4;

/// The MRNs of a batch, quickest where they are asked for in order.
#[derive(Debug)]
pub struct BatchMrns<'a> {
    mint: &'a Mint,
    year: u16,
    first: Ordinal,
    /// The last group that was made: its place among all of the batch, and its MRNs.
    made: Option<(usize, [Mrn; GROUP])>,
}

impl BatchMrns<'_> {
    /// The MRN of declaration `index`.
    pub fn of(&mut self, index: usize) -> Mrn {
        let (group, place) = (index / GROUP, index % GROUP);
        let mrns = match self.made {
            Some((made, mrns)) if made == group => mrns,
            _ => {
                let before = (group * GROUP) as u64;
                let ordinals = [0, 1, 2, 3].map(|place| self.first.0 + before + place);
                let mrns = self.mint.forth(ordinals).map(|n| Mint::written(self.year, n));
                self.made = Some((group, mrns));
                mrns
            }
        };
        let [first, second, third, fourth] = mrns;
        match place {
            0 => first,
            1 => second,
            2 => third,
            _ => fourth,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_ordinal_comes_back_from_its_mrn_and_shows_nothing_of_itself() {
        let mint = Mint::new(*b"0123456789abcdef");
        let mut seen = std::collections::HashSet::new();
        for ordinal in (0..2_000).chain([1 << 40, (1 << 62) - 1]).map(Ordinal) {
            let mrn = mint.mrn(2026, ordinal);
            assert_eq!(mint.ordinal(mrn.as_str()), Some(ordinal));
            assert!(mrn.as_str().starts_with("26NL"), "{mrn}");
            assert_eq!(&mrn.as_str()[16..17], "R");
            let digit = mrn_check_digit(mrn.as_str().as_bytes()).unwrap();
            assert!(mrn.as_str().ends_with(char::from(b'0' + digit)));
            assert!(seen.insert(mrn), "{mrn} twice");
        }
        // Neighbours share no more of their twelve characters than chance gives: 12/36 a pair.
        let alike: usize = (0..1_000)
            .map(|n| (mint.mrn(2026, Ordinal(n)), mint.mrn(2026, Ordinal(n + 1))))
            .map(|(a, b)| (4..16).filter(|&i| a.0[i] == b.0[i]).count())
            .sum();
        assert!(alike < 500, "{alike} of 12,000 characters alike; 333 are expected");
    }

    #[test]
    fn mrns_of_a_batch_are_those_of_its_declarations_in_whatever_order() {
        let mint = Mint::new(*b"0123456789abcdef");
        let (day, first) = (Day::parse("2026-11-05").unwrap(), Ordinal(1_000_003));
        let mut mrns = mint.mrns_of(day, first);
        for index in (0..30).chain([29, 3, 4, 1_000, 2, 1_001]) {
            assert_eq!(mrns.of(index), mint.mrn_of(day, first, index), "{index}");
        }
    }

    #[test]
    fn what_was_never_given_out_is_not_taken_for_an_mrn() {
        let mint = Mint::new(*b"0123456789abcdef");
        for bad in ["", "26NL", "26NLzzzzzzzzzzzzR0", "26NLZZZZZZZZZZZZR0", "26NL00000000000éR0"] {
            assert_eq!(mint.ordinal(bad), None, "{bad}");
        }
        let other = Mint::new(*b"fedcba9876543210");
        let mrn = mint.mrn(2026, Ordinal(7));
        assert_ne!(other.ordinal(mrn.as_str()), Some(Ordinal(7)));
    }
}
