//! The lot that decides: HMAC-SHA256 of a goods item under the secret of the plan.

use std::fmt;

use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};

use crate::id::{Eori, ShortText};

/// Which goods item: it is this one in every replay, and after every restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId {
    /// Who lodged its declaration.
    pub declarant: Eori,
    /// The LRN of that.
    pub lrn: ShortText<22>,
    /// Its place there, from 1.
    pub goods_item: u32,
}

impl ItemId {
    /// Declarant, LRN and place, each on a line: none of them has a line feed in it.
    fn message(&self) -> String {
        format!("{}\n{}\n{}", self.declarant, self.lrn, self.goods_item)
    }
}

/// What selects. Known to nobody but the server until the plan's last day is over.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A new one, by chance.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// These bytes.
    #[must_use]
    pub fn of(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// As 64 hexadecimal digits.
    #[must_use]
    pub fn reveal(&self) -> String {
        hex(&self.0)
    }

    /// What is published before: the SHA-256 of its bytes, as 64 hexadecimal digits.
    #[must_use]
    pub fn commitment(&self) -> String {
        hex(digest(&SHA256, &self.0).as_ref())
    }

    /// The key that draws.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(HMAC_SHA256, &self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lot of a goods item: 256 bits, compared as a number whose first byte is the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Draw([u8; 32]);

impl Draw {
    /// That of `item`.
    #[must_use]
    pub fn of(key: &Key, item: &ItemId) -> Self {
        let mut bytes = [0; 32];
        let tag = sign(key, item.message().as_bytes());
        bytes.iter_mut().zip(tag.as_ref()).for_each(|(to, byte)| *to = *byte);
        Self(bytes)
    }

    /// Whether an item of `size` is selected where one of `interval` always is: its first 64 bits, as a part of 2^64, are
    /// below size / interval.
    #[must_use]
    pub fn is_below(&self, size: u64, interval: u64) -> bool {
        let mut first = [0; 8];
        first.iter_mut().zip(self.0).for_each(|(to, byte)| *to = byte);
        let drawn = u128::from(u64::from_be_bytes(first));
        drawn * u128::from(interval) < u128::from(size) << 64
    }
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_is_size_over_interval_to_the_last_bit() {
        let of = |first: u64| {
            let mut bytes = [0xff; 32];
            bytes.iter_mut().zip(first.to_be_bytes()).for_each(|(to, byte)| *to = byte);
            Draw(bytes)
        };
        let half = 1_u64 << 63;
        assert!(of(half - 1).is_below(1, 2) && !of(half).is_below(1, 2));
        assert!(of(u64::MAX).is_below(2, 2) && of(u64::MAX).is_below(u64::MAX, 1));
        assert!(of(0).is_below(1, u64::MAX) && !of(2).is_below(1, u64::MAX));
        assert!(!of(0).is_below(0, 1));
        assert!(of(0).to_string().starts_with("0000000000000000ffff"));
    }
}
