//! What identifies things: one type for each meaning, parsed once at the edge.

use std::fmt;

/// A short ASCII text held in place, so that ids can be copied, compared and hashed without
/// touching the heap. `N` is the longest it can be, at most 255.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortText<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> ShortText<N> {
    /// Takes `text` as it is; `None` where it is longer than `N` bytes or not ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, length: u8::try_from(text.len()).ok()? })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// The empty text.
impl<const N: usize> Default for ShortText<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> fmt::Display for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The form of an EORI: `^[A-Z]{2}[A-Z0-9-]{1,15}$` (Art. 9 UCC; format an..17). Whether the
/// prefix is a country that gives out EORIs is a rule, not a matter of form.
#[must_use]
pub fn is_eori(text: &str) -> bool {
    let bytes = text.as_bytes();
    (3..=17).contains(&bytes.len())
        && bytes.iter().take(2).all(u8::is_ascii_uppercase)
        && bytes.iter().skip(2).all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'-')
}

/// An Economic Operators Registration and Identification number, well formed and upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Eori(ShortText<17>);

impl Eori {
    /// `None` unless [`is_eori`] holds: trim and upper-case first.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if is_eori(text) { ShortText::new(text).map(Self) } else { None }
    }

    /// The number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The number's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<'de> serde::Deserialize<'de> for Eori {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is no EORI: two capital letters followed by 1 to 15 capital letters, digits and \
                 hyphens"
            ))
        })
    }
}

impl fmt::Display for Eori {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Eori {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A declaration's place in the journal's order: how many were placed before it, of whatever
/// outcome. Dense, from 0, never given twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ordinal(pub u64);

/// How many records the journal holds up to and with some record: dense, from 1 for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Watermark(pub u64);

/// Euro cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EurCents(pub u64);

/// The check digit of an MRN (Commission DG XXI/0879/99 rev. 1, after ISO 6346) for its first 17
/// characters: each character's value, letters skipping the multiples of 11, times 2 to the power
/// of its place; the sum modulo 11, 10 counting as 0. `None` where a character is neither a digit
/// nor an upper-case letter, or there are fewer than 17.
#[must_use]
pub fn mrn_check_digit(mrn: &[u8]) -> Option<u8> {
    let mut sum = 0_u32;
    for (place, &character) in mrn.get(..17)?.iter().enumerate() {
        let value = match character {
            b'0'..=b'9' => u32::from(character - b'0'),
            b'A'..=b'Z' => {
                let k = u32::from(character - b'A') + 10;
                k + u32::from(k >= 11) + u32::from(k >= 21) + u32::from(k >= 31)
            }
            _ => return None,
        };
        sum += value << place;
    }
    u8::try_from(sum % 11 % 10).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mrn_check_digits_of_the_published_vectors() {
        for mrn in [
            "21NL8TDE2PO02TAER9",
            "25NL000000000008R0",
            "25NLTSD000000421U7",
            "26NLH70000000777R0",
            "25BETSD0000A7731U1",
        ] {
            let digit = mrn_check_digit(mrn.as_bytes()).expect("well formed");
            assert_eq!(char::from(b'0' + digit), mrn.chars().last().expect("18"), "{mrn}");
        }
        assert_eq!(mrn_check_digit(b"25nlTSD000000421U7"), None);
        assert_eq!(mrn_check_digit(b"short"), None);
    }

    #[test]
    fn eori_form() {
        assert!(Eori::parse("NL810000003").is_some());
        assert!(Eori::parse("FI1234567-8").is_some());
        for bad in ["", "NL", "nl810000003", "N1810000003", "NL8100000031234567", "NL 81", "NLé"] {
            assert!(Eori::parse(bad).is_none(), "{bad}");
        }
    }
}
