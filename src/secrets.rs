//! The keys of a data folder: of the PRF, the content digest, the MRN bijection and the pseudonyms.
//!
//! Without them nothing kept could be found again, so they stand in two files with the same
//! content, each synced and each with a check value: one damaged is mended from the other. What is
//! derived from them under other keys is refused by the [`identity`](Secrets::identity) that the
//! journal and the catalog carry.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `WAAGKEYS` |
//! | 4 | format version, little endian: 1 |
//! | 16 | PRF key |
//! | 32 | digest key |
//! | 16 | MRN bijection key |
//! | 16 | pseudonym key |
//! | 32 | SHA-256 of all before |

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::disk::plain;

const MAGIC: &[u8; 8] = b"WAAGKEYS";
const VERSION: u32 = 1;
const KEY_BYTES: usize = 80;
const FILE_BYTES: usize = 8 + 4 + KEY_BYTES + 32;
const NAMES: [&str; 2] = ["keys-1", "keys-2"];

/// The keys.
#[derive(Clone)]
pub struct Secrets {
    bytes: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither file holds the keys, but there is data that was made with them.
    #[error(
        "{folder}: both key files are missing or damaged ({first}; {second}). What is stored here \
         cannot be read without them: restore the folder from a backup"
    )]
    Lost {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with the first file.
        first: String,
        /// What is wrong with the second file.
        second: String,
    },
    /// Both files are whole and differ.
    #[error("{folder}: keys-1 and keys-2 are both whole and differ: one is another data folder's")]
    Differ {
        /// The folder.
        folder: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
}

impl Secrets {
    /// Reads the keys in `folder`. Where there are none yet, and `is_new` says that there is no
    /// data either, they are made.
    ///
    /// # Errors
    /// See [`SecretsError`].
    pub fn open(folder: &Path, is_new: bool) -> Result<Self, SecretsError> {
        let [first, second] = NAMES.map(|name| Self::read(&folder.join(name)));
        match (first, second) {
            (Ok(first), Ok(second)) if first.bytes == second.bytes => Ok(first),
            (Ok(_), Ok(_)) => Err(SecretsError::Differ { folder: folder.into() }),
            (Ok(whole), Err(reason)) | (Err(reason), Ok(whole)) => {
                if !is_new {
                    tracing::warn!(%reason, "a key file was mended from the other one");
                }
                whole.write(folder)?;
                Ok(whole)
            }
            (Err(_), Err(_)) if is_new => {
                let mut bytes = [0; KEY_BYTES];
                getrandom::fill(&mut bytes).map_err(SecretsError::Random)?;
                let made = Self { bytes };
                made.write(folder)?;
                Ok(made)
            }
            (Err(first), Err(second)) => {
                Err(SecretsError::Lost { folder: folder.into(), first, second })
            }
        }
    }

    /// Reads the keys in `folder` and changes nothing; says which file is damaged, if one is.
    ///
    /// # Errors
    /// See [`SecretsError`].
    pub fn check(folder: &Path) -> Result<(Self, Option<String>), SecretsError> {
        let [first, second] = NAMES.map(|name| Self::read(&folder.join(name)));
        match (first, second) {
            (Ok(first), Ok(second)) if first.bytes == second.bytes => Ok((first, None)),
            (Ok(_), Ok(_)) => Err(SecretsError::Differ { folder: folder.into() }),
            (Ok(whole), Err(reason)) | (Err(reason), Ok(whole)) => Ok((whole, Some(reason))),
            (Err(first), Err(second)) => {
                Err(SecretsError::Lost { folder: folder.into(), first, second })
            }
        }
    }

    /// Random keys that are kept nowhere, for judging offline.
    ///
    /// # Errors
    /// [`SecretsError::Random`].
    pub fn passing() -> Result<Self, SecretsError> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(SecretsError::Random)?;
        Ok(Self { bytes })
    }

    fn read(path: &Path) -> Result<Self, String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let content = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
        let wrong = |what: &str| format!("{name}: {what}");
        if content.len() != FILE_BYTES {
            return Err(wrong(&format!("{} bytes, not {FILE_BYTES}", content.len())));
        }
        let (body, check) = content.split_at(FILE_BYTES - 32);
        if Sha256::digest(body).as_slice() != check {
            return Err(wrong("its check value is wrong"));
        }
        let rest = body.strip_prefix(MAGIC).ok_or_else(|| wrong("it is no key file"))?;
        let keys = rest
            .strip_prefix(&VERSION.to_le_bytes())
            .ok_or_else(|| wrong("its format is of another version than 1"))?;
        let bytes = keys.try_into().map_err(|_| wrong("it is no key file"))?;
        Ok(Self { bytes })
    }

    /// Writes both files into `folder`, which is there, durably and readable by their owner only. One that
    /// is there already and whole stays as it is.
    ///
    /// # Errors
    /// [`SecretsError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), SecretsError> {
        let mut body = Vec::with_capacity(FILE_BYTES);
        body.extend_from_slice(MAGIC);
        body.extend_from_slice(&VERSION.to_le_bytes());
        body.extend_from_slice(&self.bytes);
        let check = Sha256::digest(&body);
        body.extend_from_slice(&check);
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| SecretsError::Io { path, source }
        };
        for name in NAMES {
            let path = folder.join(name);
            if std::fs::read(&path).is_ok_and(|content| content == body) {
                continue;
            }
            let draft = folder.join(format!("{name}.draft"));
            let mut options = std::fs::OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            plain::call(|| options.open(&draft))
                .and_then(|mut file| {
                    plain::write_all(&mut file, &body)?;
                    plain::call(|| file.sync_all())
                })
                .map_err(failed(&draft))?;
            plain::call(|| std::fs::rename(&draft, &path)).map_err(failed(&path))?;
            plain::sync_folder(folder).map_err(failed(folder))?;
        }
        Ok(())
    }

    fn part<const N: usize>(&self, start: usize) -> [u8; N] {
        let mut part = [0; N];
        part.copy_from_slice(self.bytes.get(start..start + N).unwrap_or(&[0; N]));
        part
    }

    /// Key of the PRF over (declarant, LRN).
    #[must_use]
    pub fn prf(&self) -> [u8; 16] {
        self.part(0)
    }

    /// Key of the content digest.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.part(16)
    }

    /// Key of the bijection between ordinals and MRNs.
    #[must_use]
    pub fn bijection(&self) -> [u8; 16] {
        self.part(48)
    }

    /// Key of the pseudonyms under which private persons stand in the archive.
    #[must_use]
    pub fn pseudonym(&self) -> [u8; 16] {
        self.part(64)
    }

    /// Tells one data folder from another without giving its keys away.
    #[must_use]
    pub fn identity(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(b"waag identity 1");
        hash.update(self.bytes);
        let mut identity = [0; 16];
        identity.copy_from_slice(hash.finalize().get(..16).unwrap_or(&[0; 16]));
        identity
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn keys_are_made_once_and_mended_from_the_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let made = Secrets::open(folder.path(), true).unwrap();
        for name in NAMES {
            let path = folder.path().join(name);
            let mut content = std::fs::read(&path).unwrap();
            for at in [0, 9, 20, 60, FILE_BYTES - 1] {
                content[at] ^= 1;
                std::fs::write(&path, &content).unwrap();
                assert!(Secrets::check(folder.path()).unwrap().1.unwrap().contains(name));
                let mended = Secrets::open(folder.path(), false).unwrap();
                assert_eq!(mended.bytes, made.bytes);
                content[at] ^= 1;
                assert_eq!(std::fs::read(&path).unwrap(), content);
            }
            std::fs::remove_file(&path).unwrap();
            assert_eq!(Secrets::open(folder.path(), false).unwrap().bytes, made.bytes);
            assert!(Secrets::check(folder.path()).unwrap().1.is_none());
        }
    }

    #[test]
    fn a_call_that_fails_is_told_by_name_and_no_key_is_lost() {
        use crate::disk::plain::faults::at_each_call;
        let other = Secrets::open(tempfile::tempdir().unwrap().path(), true).unwrap();
        // Where there are none yet, and where one file has to be mended.
        for is_new in [true, false] {
            let failed = at_each_call(|fault| {
                let folder = tempfile::tempdir().unwrap();
                if !is_new {
                    other.write(folder.path()).unwrap();
                    std::fs::remove_file(folder.path().join("keys-1")).unwrap();
                }
                let (opened, was_met) = fault.during(|| Secrets::open(folder.path(), is_new));
                assert_eq!(opened.is_err(), was_met);
                if let Err(error) = opened {
                    let name = folder.path().to_str().unwrap();
                    assert!(error.to_string().contains(name), "{error}");
                }
                let again = Secrets::open(folder.path(), is_new).unwrap();
                assert!(is_new || again.bytes == other.bytes);
                assert_eq!(Secrets::open(folder.path(), false).unwrap().bytes, again.bytes);
                assert!(Secrets::check(folder.path()).unwrap().1.is_none());
            });
            assert_eq!(failed, if is_new { 20 } else { 10 });
        }
    }

    #[test]
    fn keys_are_never_made_anew_where_there_is_data() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Secrets::open(folder.path(), false), Err(SecretsError::Lost { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let other = tempfile::tempdir().unwrap();
        Secrets::open(folder.path(), true).unwrap();
        Secrets::open(other.path(), true).unwrap();
        std::fs::copy(other.path().join("keys-2"), folder.path().join("keys-2")).unwrap();
        let differ = Secrets::open(folder.path(), true);
        assert!(matches!(differ, Err(SecretsError::Differ { .. })));
    }
}
