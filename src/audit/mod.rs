//! The audit log: who read which actor's or declaration's data, who was refused, what was changed.
//!
//! It is JSON Lines in `audit/YYYY-MM.jsonl` of the data folder, one entry a line, only ever appended to.
//! Each entry has the SHA-256 of the line before it (`prev`, without the line feed; 64 zeros before the first,
//! and across files), so that no entry can be changed, taken out or put in without all later ones changing.
//! Whoever keeps the number and hash of an entry elsewhere (`waag audit --head`) can tell later that all
//! up to it is as it was (`waag audit --expect`); without that, the end can be cut off unseen.
//!
//! | field | |
//! |---|---|
//! | `n` | its number, from 1 without gaps |
//! | `at` | when, UTC |
//! | `who` | the client by name; `server` for what the server did or noticed, `unknown` for whom it does not know |
//! | `shown` | the certificate or token by which it is known |
//! | `from` | where it called from |
//! | `action`, `target` | what it did, and to what |
//! | `denied` | why it was not allowed to; left out where it was |
//! | `unrecorded` | refusals since the entry before that were too many to be recorded one by one |
//! | `prev` | the hash of the line before |
//!
//! An entry about a read is synced before the answer leaves: what cannot be recorded is not answered. Batches
//! are not recorded here: the journal has them.
//!
//! [`log`]: writing. [`check`]: reading it back, every hash checked. [`notes`]: what others than the server did.

pub mod check;
pub mod log;
pub mod notes;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Who it is that the server does not know.
pub const UNKNOWN: &str = "unknown";

/// The server itself.
pub const SERVER: &str = "server";

/// The folder in the data folder.
pub const FOLDER: &str = "audit";

/// Bytes of `shown`, `target` and `denied` at most: enough for what the contract allows, and a bound on what a
/// caller can have written.
const TEXT_BYTES_MAX: usize = 512;

/// What an entry tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Who did it.
    pub who: String,
    /// What it showed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shown: String,
    /// Where it called from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// What it did.
    pub action: String,
    /// To what.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Why it was not allowed to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub denied: String,
}

impl Event {
    /// What the server itself did or noticed.
    #[must_use]
    pub fn of_server(action: &str, target: impl Into<String>) -> Self {
        Self { who: SERVER.into(), action: action.into(), target: target.into(), ..Self::default() }
    }

    fn cut(mut self) -> Self {
        for text in [&mut self.shown, &mut self.target, &mut self.denied] {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
        self
    }
}

/// An entry as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub n: u64,
    /// When, UTC.
    pub at: String,
    /// What it tells.
    #[serde(flatten)]
    pub event: Event,
    /// Refusals that are recorded nowhere else.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrecorded: u64,
    /// The hash of the line before.
    pub prev: Hash,
}

// serde hands a reference over.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// SHA-256 of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of a line, without its line feed.
    #[must_use]
    pub fn of(line: &[u8]) -> Self {
        Self(Sha256::digest(line).into())
    }

    /// Of 64 hexadecimal digits.
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
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("prev is no SHA-256: 64 hexadecimal digits");
        Self::parse(&text).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests;
