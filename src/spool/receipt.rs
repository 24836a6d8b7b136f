//! Receipts, and the key that signs them.
//!
//! The key is made when a spool starts for the first time. It never leaves its folder; whoever knows its
//! public half (`waag spool key`) can tell years later, offline, that a receipt is the spool's.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use prost::Message as _;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::day::{Calendar, Moment};
use crate::proto::v1::Receipt;

/// What stands before a receipt in what is signed, so that the signature is of nothing else.
const SIGNED_AS: &[u8] = b"waag.v1.Receipt\0";
/// The key's file.
const NAME: &str = "key";
/// The zone of the days that references name: that of the service, unless set otherwise there.
const ZONE: &str = "Europe/Amsterdam";

/// SHA-256 of a message.
pub(super) fn sha256(message: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest(&SHA256, message).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no key.
    #[error("{path} holds no Ed25519 key: it is damaged, or not the file that this spool made")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// There is a journal without the key of its receipts.
    #[error(
        "{path} is missing, and {dir} has receipts that it signed: put it back from a copy, or begin a new folder"
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// The spool's folder.
        dir: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("no random numbers from the system")]
    Random,
    /// The zone of its days is unknown.
    #[error("the time zone {ZONE} is not in the database")]
    Zone,
}

/// Why a receipt is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// It was signed by another spool.
    #[error("receipt {number} is of the key {found}, not of {expected}")]
    OtherKey {
        /// Its number.
        number: u64,
        /// Its key.
        found: String,
        /// The key asked for.
        expected: String,
    },
    /// The signature does not hold.
    #[error(
        "receipt {number}: the signature does not hold: it is not what the spool with the key {key} signed"
    )]
    Signature {
        /// Its number.
        number: u64,
        /// Its key.
        key: String,
    },
}

/// The key pair of a spool.
pub struct Key {
    pair: Ed25519KeyPair,
    calendar: Calendar,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("public", &hex(self.public())).finish_non_exhaustive()
    }
}

impl Key {
    /// Reads the key in `dir`; makes it where there is none and `is_new` says that nothing was signed yet.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn open(dir: &Path, is_new: bool) -> Result<Self, KeyError> {
        let path = dir.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_new => make(dir, &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Lost { path, dir: dir.to_owned() });
            }
            Err(source) => return Err(KeyError::Io { path, source }),
        };
        Self::of(&bytes).ok_or(KeyError::NoKey { path })
    }

    fn of(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        Some(Self { pair, calendar: Calendar::new(ZONE)? })
    }

    /// The public half, 32 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// What tells the files of this spool from those of others.
    pub(super) fn identity(&self) -> [u8; 16] {
        let mut identity = [0; 16];
        identity.iter_mut().zip(sha256(self.public())).for_each(|(to, from)| *to = from);
        identity
    }

    /// What all references of this spool begin with.
    #[must_use]
    pub fn references(&self) -> String {
        format!("SPOOL-{}-", hex(self.public().get(..4).unwrap_or_default()))
    }

    /// The reference of what was received at that moment: one a day.
    #[must_use]
    pub fn reference(&self, received: Moment) -> String {
        let (year, month, day) = self.calendar.day(received).year_month_day();
        format!("{}{year:04}{month:02}{day:02}", self.references())
    }

    /// Fills in what only the spool can say, and signs.
    pub(super) fn sign(&self, receipt: &mut Receipt) {
        receipt.fallback_reference = self.reference(Moment(receipt.received_at_ms));
        receipt.public_key = self.public().to_vec();
        receipt.signature = self.pair.sign(&signed(receipt)).as_ref().to_vec();
    }
}

fn make(dir: &Path, path: &Path) -> Result<Vec<u8>, KeyError> {
    let made =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
    let draft = dir.join(format!("{NAME}.draft"));
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| KeyError::Io { path, source }
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(made.as_ref())?;
            file.sync_all()
        })
        .map_err(io(&draft))?;
    std::fs::rename(&draft, path).map_err(io(path))?;
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io(dir))?;
    Ok(made.as_ref().to_vec())
}

fn signed(receipt: &Receipt) -> Vec<u8> {
    let unsigned = Receipt { signature: Vec::new(), ..receipt.clone() };
    let mut bytes = SIGNED_AS.to_vec();
    // A Vec takes all there is.
    let _ = unsigned.encode(&mut bytes);
    bytes
}

/// Whether `receipt` is as the spool signed it whose key it names, or whose `key` is given.
///
/// # Errors
/// Where it is not.
pub fn check(receipt: &Receipt, key: Option<&[u8]>) -> Result<(), ReceiptError> {
    let number = receipt.number;
    if let Some(expected) = key
        && expected != receipt.public_key
    {
        let (found, expected) = (hex(&receipt.public_key), hex(expected));
        return Err(ReceiptError::OtherKey { number, found, expected });
    }
    UnparsedPublicKey::new(&ED25519, &receipt.public_key)
        .verify(&signed(receipt), &receipt.signature)
        .map_err(|_| ReceiptError::Signature { number, key: hex(&receipt.public_key) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn receipt(key: &Key) -> Receipt {
        let mut receipt = Receipt {
            number: 3,
            received_at_ms: 1_793_876_400_000,
            declarant: "NL810000003".into(),
            batch_id: "b".into(),
            declarations: 2,
            batch_sha256: sha256(b"message").to_vec(),
            ..Receipt::default()
        };
        key.sign(&mut receipt);
        receipt
    }

    #[test]
    fn a_receipt_is_the_spools_and_no_part_of_it_can_be_changed() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::open(dir.path(), true).unwrap();
        let sound = receipt(&key);
        check(&sound, None).unwrap();
        check(&sound, Some(key.public())).unwrap();
        assert_eq!(sound.fallback_reference, format!("SPOOL-{}-20261105", &hex(key.public())[..8]));
        let changes: [fn(&mut Receipt); 8] = [
            |receipt| receipt.number = 4,
            |receipt| receipt.received_at_ms += 1,
            |receipt| receipt.declarant.push('4'),
            |receipt| receipt.batch_id.clear(),
            |receipt| receipt.declarations = 3,
            |receipt| receipt.batch_sha256.reverse(),
            |receipt| receipt.fallback_reference.push('1'),
            |receipt| receipt.signature.reverse(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = sound.clone();
            change(&mut changed);
            assert!(check(&changed, None).is_err(), "change {number}");
        }
        let other = tempfile::tempdir().unwrap();
        let other = Key::open(other.path(), true).unwrap();
        assert!(check(&sound, Some(other.public())).unwrap_err().to_string().contains("not of"));
    }

    #[test]
    fn a_key_is_made_once_is_its_owners_alone_and_is_never_made_anew_under_receipts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        assert!(matches!(Key::open(dir.path(), false), Err(KeyError::Lost { .. })));
        let made = Key::open(dir.path(), true).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Key::open(dir.path(), true).unwrap().public(), made.public());
        std::fs::write(&path, b"damaged").unwrap();
        assert!(matches!(Key::open(dir.path(), true), Err(KeyError::NoKey { .. })));
    }
}
