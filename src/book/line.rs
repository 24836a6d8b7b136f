//! A line: JSON, the last field of which is the CRC32C of all bytes before it.

use crc32c::crc32c;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// `,"crc32c":"` before the eight digits and `"}` after them.
const CHECK_BEFORE: &[u8] = b",\"crc32c\":\"";
const CHECK_AFTER: &[u8] = b"\"}";
const CHECK_DIGITS: usize = 8;

/// Why a line is none.
#[derive(Debug, PartialEq)]
pub(crate) enum LineError {
    Damaged(String),
    /// Its format, and the newest that is known.
    Newer(u64, u64),
}

impl From<String> for LineError {
    fn from(why: String) -> Self {
        Self::Damaged(why)
    }
}

/// Only the field whose meaning stays in all formats.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// The bytes of a line, without the line feed.
pub(crate) fn encode(object: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(object)?;
    // The brace that closes the object comes after the check.
    bytes.pop();
    let check = crc32c(&bytes);
    bytes.extend_from_slice(CHECK_BEFORE);
    bytes.extend_from_slice(format!("{check:08x}").as_bytes());
    bytes.extend_from_slice(CHECK_AFTER);
    Ok(bytes)
}

/// Reads what [`encode`] made of an object in format `newest` or an older one.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], newest: u64) -> Result<T, LineError> {
    let checked = checked(bytes).ok_or_else(|| LineError::Damaged("its check fails".into()))?;
    let object = [checked, b"}"].concat();
    let no_version = |error| LineError::Damaged(format!("it is no version: {error}"));
    let Format { format } = serde_json::from_slice(&object).map_err(no_version)?;
    if format > newest {
        return Err(LineError::Newer(format, newest));
    }
    serde_json::from_slice(&object).map_err(no_version)
}

/// What stands before the check, where that is right.
pub(super) fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_suffix(CHECK_AFTER)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(CHECK_DIGITS)?)?;
    let checked = rest.strip_suffix(CHECK_BEFORE)?;
    (format!("{:08x}", crc32c(checked)).as_bytes() == digits).then_some(checked)
}
