//! Words of descriptions: cutting a text into words and looking them up, fast.
//!
//! A word is a run of letters and digits; all else separates (`e-commerce` is two words). Words are
//! compared in lower case, and a plural is the same word as its singular (`s`, `es`, `ies`). A
//! description in ASCII is cut in place, 64 bytes at a time; any other is first put into Unicode
//! form NFKC and lower case.
//!
//! Words up to 16 bytes are compared whole. Longer ones are compared by a 128-bit hash that
//! somebody could find a collision for; all they would get is a flag.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

/// Between phrases of one row of keywords.
pub(super) const SEPARATOR: char = '|';

/// A word that is in no list.
pub(super) const UNKNOWN: u16 = 0;
/// A word of digits only, in no list.
pub(super) const NUMBER: u16 = u16::MAX;
/// Words past this many are not looked at. (A description has at most 512 characters.)
const WORDS_MAX: usize = 512;

/// What a text consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Letters of any script.
    pub(super) letters: u32,
    /// Words.
    pub(super) words: u32,
    /// How many bytes of the text are before the first that belongs to no word (up to 64); 0 where
    /// the text had to be folded.
    pub(super) first_run: u32,
}

/// Space for the words of one text, used over and over.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The words' numbers, in order.
    pub(super) ids: Vec<u16>,
    folded: String,
    /// The text in lower case, with room for 16 bytes to be read from any place in it.
    lower: Vec<u8>,
}

/// Numbers for the words of some lists.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    /// One bit for each hash value, so that most words that are in no list touch 1 KiB only.
    filter: Vec<u64>,
    /// Open addressing, at most a quarter full; 0 is free (no word has that key).
    keys: Vec<u128>,
    ids: Vec<u16>,
}

const FILTER_BITS: u32 = 13;

/// Builds a [`Vocabulary`].
#[derive(Debug, Default)]
pub(super) struct VocabularyBuilder {
    /// By singular.
    known: HashMap<String, u16>,
    keys: HashMap<u128, u16>,
}

impl VocabularyBuilder {
    /// The numbers of the words of `phrase`, new ones where they are new.
    pub(super) fn add(&mut self, phrase: &str) -> Vec<u16> {
        let folded = fold(phrase);
        folded.split_whitespace().map(|word| self.add_word(word)).collect()
    }

    fn add_word(&mut self, word: &str) -> u16 {
        let singular = singular(word);
        // 65,534 words are more than a list that people keep will ever have; past that, words
        // are as unknown ones.
        let next = u16::try_from(self.known.len() + 1).unwrap_or(UNKNOWN);
        let next = if next == NUMBER { UNKNOWN } else { next };
        let id = *self.known.entry(singular.clone()).or_insert(next);
        for form in [word.to_owned(), plural(&singular), singular] {
            self.keys.entry(key(form.as_bytes())).or_insert(id);
        }
        id
    }

    /// How many different words there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn build(self) -> Vocabulary {
        let slots = (self.keys.len() * 4).next_power_of_two().max(64);
        let mut vocabulary = Vocabulary {
            filter: vec![0; 1 << (FILTER_BITS - 6)],
            keys: vec![0; slots],
            ids: vec![UNKNOWN; slots],
        };
        // In the order of the keys, so that the same lists make the same table.
        let mut words: Vec<(u128, u16)> = self.keys.into_iter().collect();
        words.sort_unstable();
        for (key, id) in words {
            vocabulary.insert(key, id);
        }
        vocabulary
    }
}

fn singular(word: &str) -> String {
    let cut = |suffix: &str| word.strip_suffix(suffix).filter(|rest| rest.len() >= 3);
    if let Some(rest) = cut("ies") {
        return format!("{rest}y");
    }
    for ending in ["sses", "xes", "ches", "shes", "zes"] {
        if let Some(rest) = word.strip_suffix("es").filter(|_| word.ends_with(ending)) {
            return rest.to_owned();
        }
    }
    match cut("s") {
        Some(rest) if !rest.ends_with('s') => rest.to_owned(),
        _ => word.to_owned(),
    }
}

fn plural(singular: &str) -> String {
    if singular.chars().count() < 3 {
        return singular.to_owned();
    }
    if let Some(rest) = singular.strip_suffix('y')
        && !rest.ends_with(['a', 'e', 'o', 'u'])
    {
        return format!("{rest}ies");
    }
    let es = ["s", "x", "ch", "sh", "z"].iter().any(|ending| singular.ends_with(ending));
    format!("{singular}{}", if es { "es" } else { "s" })
}

/// NFKC, lower case, all but letters and digits made into spaces.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

fn fold_into(text: &str, folded: &mut String) {
    folded.clear();
    for c in text.nfkc().flat_map(char::to_lowercase) {
        folded.push(if c.is_alphanumeric() { c } else { ' ' });
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// One bit for each of eight bytes, from their highest bits.
#[inline]
fn bits_of(highs: u64) -> u64 {
    (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Which of eight ASCII bytes are letters and which digits, as highest bits. Bytes from 0x80 count
/// as neither.
#[inline]
fn classify(bytes: u64) -> (u64, u64) {
    let ascii = bytes & !HIGHS;
    let lower = ascii | (ONES * 0x20);
    let letters = (lower + ONES * (0x80 - 0x61)) & !(lower + ONES * (0x7f - 0x7a)) & !bytes & HIGHS;
    let digits = (ascii + ONES * (0x80 - 0x30)) & !(ascii + ONES * (0x7f - 0x39)) & !bytes & HIGHS;
    (letters, digits)
}

/// The key of a word: its bytes in lower case, or their hash where there are more than 16.
fn key(word: &[u8]) -> u128 {
    let mut key = 0_u128;
    for chunk in word.chunks(16) {
        let mut bytes = [0; 16];
        for (byte, of) in bytes.iter_mut().zip(chunk) {
            *byte = *of;
        }
        key = key.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b_u128).rotate_left(61)
            ^ lower(u128::from_le_bytes(bytes), chunk.len());
    }
    key
}

/// The first `length` bytes in lower case, the others 0.
fn lower(bytes: u128, length: usize) -> u128 {
    let (low, high) = (bytes as u64, (bytes >> 64) as u64);
    let lower = u128::from(lower8(low)) | u128::from(lower8(high)) << 64;
    lower & MASKS.get(length).copied().unwrap_or(u128::MAX)
}

/// Eight bytes in lower case. (Setting 0x20 leaves digits alone, and makes letters lower case;
/// bytes from 0x80 are kept; what others become does not matter, since they end words.)
#[inline]
fn lower8(eight: u64) -> u64 {
    eight | ((ONES * 0x20) & !(eight >> 2))
}

/// The first so many bytes.
const MASKS: [u128; 17] = {
    let mut masks = [0; 17];
    let mut length = 1;
    while length <= 16 {
        #[allow(clippy::indexing_slicing, reason = "at compile time, within bounds")]
        {
            masks[length] = u128::MAX >> (8 * (16 - length));
        }
        length += 1;
    }
    masks
};

#[inline]
fn hash(key: u128) -> u64 {
    let (low, high) = (key as u64, (key >> 64) as u64);
    let mixed = (low ^ high.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

/// The word in `lower[start..end]`, which is in lower case and padded, as a number.
#[inline]
fn key_at(lower: &[u8], start: usize, end: usize) -> u128 {
    let window = lower.get(start..).and_then(<[u8]>::first_chunk::<16>);
    match (window, MASKS.get(end - start)) {
        (Some(window), Some(mask)) => u128::from_le_bytes(*window) & mask,
        _ => key(lower.get(start..end).unwrap_or_default()),
    }
}

/// Eight bytes from `at` on, 0 past the end.
#[inline]
fn eight_at(bytes: &[u8], at: usize) -> u64 {
    if let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        return u64::from_le_bytes(*eight);
    }
    if let Some(eight) = bytes.last_chunk::<8>() {
        // One to seven bytes are left from `at` on.
        return u64::from_le_bytes(*eight) >> (8 * (at + 8 - bytes.len()));
    }
    bytes.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b))
}

impl Vocabulary {
    fn insert(&mut self, key: u128, id: u16) {
        let hash = hash(key);
        let bit = hash >> (64 - FILTER_BITS);
        if let Some(word) = self.filter.get_mut((bit >> 6) as usize) {
            *word |= 1 << (bit & 63);
        }
        let mask = self.keys.len() - 1;
        let mut slot = hash as usize & mask;
        while let (Some(held), Some(held_id)) = (self.keys.get_mut(slot), self.ids.get_mut(slot)) {
            if *held == 0 {
                (*held, *held_id) = (key, id);
                return;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The number of the word of this key.
    #[inline]
    fn id(&self, key: u128) -> u16 {
        let hash = hash(key);
        let bit = hash >> (64 - FILTER_BITS);
        let word = self.filter.get((bit >> 6) as usize).copied().unwrap_or(0);
        if word >> (bit & 63) & 1 == 0 { UNKNOWN } else { self.find(key, hash) }
    }

    fn find(&self, key: u128, hash: u64) -> u16 {
        let mask = self.keys.len().wrapping_sub(1);
        let mut slot = hash as usize & mask;
        while let Some(held) = self.keys.get(slot) {
            if *held == key {
                return self.ids.get(slot).copied().unwrap_or(UNKNOWN);
            }
            if *held == 0 {
                break;
            }
            slot = (slot + 1) & mask;
        }
        UNKNOWN
    }

    /// Cuts `text` into words and puts their numbers into `scratch.ids`.
    #[inline]
    pub(super) fn read(&self, text: &str, scratch: &mut Scratch) -> Reading {
        scratch.ids.clear();
        if text.is_ascii() {
            return self.cut(text.as_bytes(), 0, &mut scratch.lower, &mut scratch.ids);
        }
        self.read_folded(text, scratch)
    }

    #[cold]
    fn read_folded(&self, text: &str, scratch: &mut Scratch) -> Reading {
        fold_into(text, &mut scratch.folded);
        let bytes = scratch.folded.as_bytes();
        let reading = self.cut(bytes, HIGHS, &mut scratch.lower, &mut scratch.ids);
        let letters = scratch.folded.chars().filter(|c| c.is_alphabetic()).count();
        let letters = u32::try_from(letters).unwrap_or(u32::MAX);
        Reading { letters, first_run: 0, ..reading }
    }

    /// Cuts into words. Bytes with a bit of `wide` belong to words: [`HIGHS`] for folded text, all
    /// of whose bytes from 0x80 are of letters or digits. Gives ASCII letters.
    #[inline]
    fn cut(&self, bytes: &[u8], wide: u64, lower: &mut Vec<u8>, ids: &mut Vec<u16>) -> Reading {
        let mut reading = Reading::default();
        // Eight bytes may be written past the end, and sixteen read after the last.
        if lower.len() < bytes.len() + 24 {
            lower.resize((bytes.len() + 24).next_power_of_two(), 0);
        }
        let mut open: Option<usize> = None;
        let mut base = 0;
        while base < bytes.len() {
            let left = bytes.len() - base;
            let (mut word, mut letters) = (0_u64, 0_u64);
            let mut place = 0;
            while place < left.min(64) {
                let eight = eight_at(bytes, base + place);
                let (letter, digit) = classify(eight);
                // Each of the eight sums counts up to 8.
                letters += letter >> 7;
                word |= bits_of(letter | digit | eight & wide) << place;
                let written = lower.get_mut(base + place..).and_then(<[u8]>::first_chunk_mut::<8>);
                if let Some(written) = written {
                    *written = lower8(eight).to_le_bytes();
                }
                place += 8;
            }
            reading.letters += (letters.wrapping_mul(ONES) >> 56) as u32;
            if base == 0 {
                reading.first_run = word.trailing_ones();
            }
            if let Some(start) = open {
                let run = word.trailing_ones();
                if run == 64 {
                    base += 64;
                    continue;
                }
                self.push(lower, start, base + run as usize, ids);
                open = None;
                word &= u64::MAX << run;
            }
            while word != 0 {
                let start = word.trailing_zeros();
                let run = (word >> start).trailing_ones();
                if start + run == 64 {
                    open = Some(base + start as usize);
                    break;
                }
                self.push(lower, base + start as usize, base + (start + run) as usize, ids);
                word &= u64::MAX << (start + run);
            }
            base += 64;
        }
        if let Some(start) = open {
            self.push(lower, start, bytes.len(), ids);
        }
        reading.words = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        reading
    }

    #[inline]
    fn push(&self, lower: &[u8], start: usize, end: usize, ids: &mut Vec<u16>) {
        if ids.len() >= WORDS_MAX {
            return;
        }
        let key = key_at(lower, start, end);
        let mut id = self.id(key);
        if id == UNKNOWN {
            let is_number = if end - start <= 16 {
                // Lower-case letters have bit 6, digits do not.
                key & (u128::MAX / 255 * 0xc0) == 0
            } else {
                // The key of a longer word is no longer its bytes.
                lower.get(start..end).is_some_and(|word| word.iter().all(u8::is_ascii_digit))
            };
            if is_number {
                id = NUMBER;
            }
        }
        ids.push(id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn vocabulary(words: &[&str]) -> (Vocabulary, Vec<Vec<u16>>) {
        let mut builder = VocabularyBuilder::default();
        let ids = words.iter().map(|word| builder.add(word)).collect();
        (builder.build(), ids)
    }

    fn ids(vocabulary: &Vocabulary, text: &str) -> Vec<u16> {
        let mut scratch = Scratch::default();
        vocabulary.read(text, &mut scratch);
        scratch.ids
    }

    #[test]
    fn plurals_are_the_same_word() {
        let (v, of) =
            vocabulary(&["battery", "boxes", "dress", "toy", "shoe", "accessories", "gas"]);
        for (text, index) in [
            ("batteries", 0),
            ("Battery", 0),
            ("BOX", 1),
            ("boxes", 1),
            ("dresses", 2),
            ("dress", 2),
            ("toys", 3),
            ("shoes", 4),
            ("accessory", 5),
            ("gas", 6),
        ] {
            assert_eq!(ids(&v, text), of[index], "{text}");
        }
        for text in ["boxing", "dre", "toyss", "ga", "shoess"] {
            assert_eq!(ids(&v, text), [UNKNOWN], "{text}");
        }
    }

    #[test]
    fn words_are_cut_at_all_but_letters_and_digits() {
        let (v, of) = vocabulary(&["t-shirt", "n/a", "café", "pneumonoultramicroscopic"]);
        assert_eq!(of[0].len(), 2);
        assert_eq!(ids(&v, "T SHIRTS"), of[0]);
        assert_eq!(ids(&v, " (N.A) "), of[1]);
        assert_eq!(ids(&v, "CAFÉ"), of[2]);
        assert_eq!(ids(&v, "Ｔ－Ｓｈｉｒｔ"), of[0], "full width is folded");
        assert_eq!(ids(&v, "x Pneumonoultramicroscopic"), [UNKNOWN, of[3][0]]);
        assert_eq!(ids(&v, "pneumonoultramicroscopix"), [UNKNOWN]);
        assert_eq!(ids(&v, "12 pcs 3a"), [NUMBER, UNKNOWN, UNKNOWN]);
        let long = "1234567890123456 12345678901234567 1234567890123456x 1234567890123456é";
        assert_eq!(ids(&v, long), [NUMBER, NUMBER, UNKNOWN, UNKNOWN]);
    }

    proptest! {
        #[test]
        fn cutting_fast_is_cutting_plainly(
            text in "([ a-zA-Z0-9@\\[`{/:.\\-]{0,50}[0-9]{0,20}){0,4}",
        ) {
            let (v, _) = vocabulary(&["a", "b", "abc", "x1", "zz"]);
            let mut scratch = Scratch::default();
            let reading = v.read(&text, &mut scratch);
            let words: Vec<&str> = text
                .split(|c: char| !c.is_ascii_alphanumeric())
                .filter(|word| !word.is_empty())
                .collect();
            let plain: Vec<u16> = words
                .iter()
                .map(|word| {
                    let id = v.id(key(word.as_bytes()));
                    let digits = word.bytes().all(|b| b.is_ascii_digit());
                    if id == UNKNOWN && digits { NUMBER } else { id }
                })
                .collect();
            prop_assert_eq!(&scratch.ids, &plain);
            let letters = text.chars().filter(char::is_ascii_alphabetic).count();
            prop_assert_eq!(reading.letters as usize, letters);
        }
    }
}
