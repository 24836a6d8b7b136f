//! Every rule and reference file ever used, byte for byte, so that a verdict can be repeated.
//!
//! | name in the folder | what it is |
//! |---|---|
//! | 64 hexadecimal digits | a file, under the SHA-256 of its content |
//! | `rules-` and 64 digits `.list` | the rule files of a law, under their common hash |
//! | `reference-` and 64 digits `.list` | its reference files, likewise |
//!
//! A list has one line for each file, in the order of the names: the file's hash, two spaces, its
//! name relative to the rules folder (as `sha256sum` writes it). The common hash is
//! [`Law::rules_hash`] and [`Law::reference_hash`].
//!
//! Invariants: a list is there only once all its files are; every file is synced under a name that
//! begins with a dot, then renamed, then the folder is synced. Nothing is ever deleted. What is read back is
//! checked against the hash in its name. Names with a dot in front are leftovers of a crash and
//! count for nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::LawError;
use super::law::{Law, is_reference};
use crate::disk::plain;

/// The folder in which every file ever used is kept.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
}

/// What [`Shelf::verify`] found.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ShelfReport {
    /// Files that are what their name says.
    pub files: usize,
    /// Lists whose files are all there and come to their common hash.
    pub lists: usize,
    /// What is wrong, with the name of the file.
    pub problems: Vec<String>,
}

/// A hash in hexadecimal.
pub(super) fn hex(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn hash_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes).into())
}

fn is_hex(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// What the name of a list ends with.
pub const LIST_SUFFIX: &str = ".list";

/// The lists there are, by the beginning of their names.
const LISTS: [&str; 2] = ["rules", "reference"];

fn list_name(kind: &str, hash: &[u8; 32]) -> String {
    format!("{kind}-{}{LIST_SUFFIX}", hex(hash))
}

type Contents = BTreeMap<String, Arc<[u8]>>;

impl Shelf {
    /// Opens the shelf in `folder`, made where it is not there.
    ///
    /// # Errors
    /// The folder could not be made.
    pub fn open(folder: &Path) -> Result<Self, LawError> {
        plain::call(|| fs::create_dir_all(folder)).map_err(LawError::at(folder))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Whether no law was ever kept here.
    ///
    /// # Errors
    /// The folder could not be listed.
    pub fn is_empty(&self) -> Result<bool, LawError> {
        let mut entries = fs::read_dir(&self.folder).map_err(LawError::at(&self.folder))?;
        entries.try_fold(true, |is_empty, entry| {
            let name = entry.map_err(LawError::at(&self.folder))?.file_name();
            Ok(is_empty && !name.to_string_lossy().ends_with(LIST_SUFFIX))
        })
    }

    /// Keeps every file of `law`; when this returns they are on disk. Files that are there already
    /// are not written again. Call it before the first verdict under `law`.
    ///
    /// # Errors
    /// What could not be written, or a kept file that is not what its name says.
    pub fn keep(&self, law: &Law) -> Result<(), LawError> {
        for bytes in law.files().values() {
            self.put(&hash_of(bytes), bytes)?;
        }
        // The files' names must be durable before a list names them.
        self.sync()?;
        for (kind, hash) in LISTS.into_iter().zip([law.rules_hash(), law.reference_hash()]) {
            let mut list = String::new();
            for (name, bytes) in law.files() {
                if is_reference(name) == (kind == "reference") {
                    let _ = writeln!(list, "{}  {name}", hash_of(bytes));
                }
            }
            self.put(&list_name(kind, &hash), list.as_bytes())?;
        }
        self.sync()
    }

    /// The law that these hashes name, read back.
    ///
    /// # Errors
    /// A file that is not there, that is not what its name says, or that this version cannot read.
    pub fn load(&self, rules_hash: [u8; 32], reference_hash: [u8; 32]) -> Result<Law, LawError> {
        let mut files = Contents::new();
        for (kind, hash) in LISTS.into_iter().zip([rules_hash, reference_hash]) {
            files.extend(self.read_list(&list_name(kind, &hash))?);
        }
        let files = files.into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect();
        let law = Law::from_files(files)?;
        for (kind, named, found) in [
            ("rules", rules_hash, law.rules_hash()),
            ("reference", reference_hash, law.reference_hash()),
        ] {
            if named != found {
                let why = format!("its files come to {}", hex(&found));
                return Err(self.damaged(&list_name(kind, &named), why));
            }
        }
        Ok(law)
    }

    /// Reads everything and says what is wrong.
    ///
    /// # Errors
    /// The folder could not be listed.
    pub fn verify(&self) -> Result<ShelfReport, LawError> {
        let mut report = ShelfReport::default();
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(LawError::at(&self.folder))? {
            let entry = entry.map_err(LawError::at(&self.folder))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            let list = LISTS.into_iter().find_map(|kind| {
                let hash = name.strip_prefix(kind)?.strip_prefix('-')?.strip_suffix(LIST_SUFFIX)?;
                is_hex(hash).then_some(hash)
            });
            let checked = if is_hex(name) {
                self.get(name).map(|_| report.files += 1)
            } else if let Some(hash) = list {
                self.verify_list(name, hash).map(|()| report.lists += 1)
            } else {
                Err(self.damaged(name, "is no name of this folder".to_owned()))
            };
            if let Err(error) = checked {
                report.problems.push(error.to_string());
            }
        }
        Ok(report)
    }

    fn verify_list(&self, name: &str, hash: &str) -> Result<(), LawError> {
        let files = self.read_list(name)?;
        let found = hex(&super::law::hash(files.iter()));
        if found == hash {
            Ok(())
        } else {
            Err(self.damaged(name, format!("its files come to {found}")))
        }
    }

    fn read_list(&self, name: &str) -> Result<Contents, LawError> {
        let path = self.folder.join(name);
        let list = fs::read_to_string(&path).map_err(LawError::at(&path))?;
        let mut files = Contents::new();
        for line in list.lines() {
            let Some((hash, file)) = line.split_once("  ").filter(|(hash, _)| is_hex(hash)) else {
                return Err(self.damaged(name, format!("the line \"{line}\" is malformed")));
            };
            files.insert(file.to_owned(), self.get(hash)?.into());
        }
        Ok(files)
    }

    /// The content kept under `hash`, checked.
    fn get(&self, hash: &str) -> Result<Vec<u8>, LawError> {
        let path = self.folder.join(hash);
        let bytes = fs::read(&path).map_err(LawError::at(&path))?;
        let found = hash_of(&bytes);
        if found == hash {
            Ok(bytes)
        } else {
            Err(self.damaged(hash, format!("its content has the hash {found}")))
        }
    }

    /// Writes `bytes` under `name`, synced, unless they are there. What is there under the name
    /// and differs is damage: it is reported, not written over.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), LawError> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(held) if held == bytes => return Ok(()),
            Ok(_) => return Err(self.damaged(name, "its content was changed".to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(LawError::at(path)(error)),
        }
        let part = self.folder.join(format!(".{name}.part"));
        let mut file = plain::call(|| File::create(&part)).map_err(LawError::at(&part))?;
        plain::write_all(&mut file, bytes).map_err(LawError::at(&part))?;
        plain::call(|| file.sync_all()).map_err(LawError::at(&part))?;
        plain::call(|| fs::rename(&part, &path)).map_err(LawError::at(&path))
    }

    fn sync(&self) -> Result<(), LawError> {
        plain::sync_folder(&self.folder).map_err(LawError::at(&self.folder))
    }

    fn damaged(&self, name: &str, why: String) -> LawError {
        LawError::Damaged { path: self.folder.join(name), why }
    }
}

#[cfg(test)]
#[path = "tests/shelf.rs"]
mod tests;
