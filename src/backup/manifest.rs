//! `backup.json`: what a backup has, file by file. It is written last, so that a backup without it was
//! interrupted.
//!
//! | field | what |
//! |---|---|
//! | `backup_format` | version of this file and of the folder's layout, 1 |
//! | `waag` | version of the program that wrote it |
//! | `records` | records of the journal that are in the backup, those of the archive included: its watermark |
//! | `sealed_records` | of these, how many are in the archive |
//! | `dropped_through` | days up to this one were dropped, having been past their retention |
//! | `audit_head` | the last entry of the audit log that is in it, as `waag audit --expect` takes it |
//! | `files` | all other files: path within the folder, length, CRC32C of the whole |
//! | `check` | CRC32C over all other fields, in this order, as compact JSON |
//!
//! The checks tell damage, and no more: whoever may write to the folder can make others.

use std::path::{Path, PathBuf};

use crc32c::crc32c;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::{RestoreError, io};
use crate::agreements;
use crate::audit;
use crate::disk::Disk;
use crate::identity::token;
use crate::ingest::engine::folders;
use crate::profiles;
use crate::samples;

/// The file that only a whole backup has.
pub const MANIFEST: &str = "backup.json";

/// The newest format that is read, and the one that is written.
pub(super) const FORMAT: u32 = 1;

/// Two million files, of which an archive has five for each day and set.
const BYTES_MAX: u64 = 256 << 20;

/// The folders that a backup may have.
pub(super) const KEPT: [&str; 10] = [
    folders::RULES,
    folders::SECRETS,
    token::FOLDER,
    audit::FOLDER,
    agreements::BOOK.folder,
    profiles::BOOK.folder,
    samples::BOOK.folder,
    folders::ARCHIVE,
    folders::RUNS,
    folders::JOURNAL,
];

/// A CRC32C, told in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check(pub u32);

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:08x}", self.0))
    }
}

impl<'a> Deserialize<'a> for Check {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let check = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == 8);
        check.map(Self).ok_or_else(|| de::Error::custom("a check has 8 hexadecimal digits"))
    }
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Within the folder, as `journal/00000000000000000001.segment`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// CRC32C of the whole of it.
    pub crc32c: Check,
}

/// What a backup has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Version of the format.
    pub backup_format: u32,
    /// Version of the program.
    pub waag: String,
    /// How many records of the journal.
    pub records: u64,
    /// How many of them are in the archive.
    pub sealed_records: u64,
    /// The newest day that is dropped.
    pub dropped_through: Option<String>,
    /// The last entry of the audit log, its number and its hash; nothing where there is no log.
    pub audit_head: Option<String>,
    /// All files but this one.
    pub files: Vec<FileEntry>,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    #[serde(flatten)]
    contents: Contents,
    check: Check,
}

/// Only the field whose meaning stays in all formats.
#[derive(Deserialize)]
struct Format {
    backup_format: u64,
}

impl FileEntry {
    /// Its path, where that leads to a file in a folder that a backup has.
    fn relative(&self) -> Option<&Path> {
        let path = Path::new(&self.path);
        let is_plain = |part: &str| !matches!(part, "" | "." | "..");
        let is_within = KEPT.contains(&self.folder()) && self.path.contains('/');
        (is_within && self.path.split('/').all(is_plain)).then_some(path)
    }

    /// The folder of the data folder in which it is.
    pub(super) fn folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Its path within that.
    pub(super) fn name(&self) -> &str {
        self.path.split_once('/').map_or("", |(_, name)| name)
    }

    /// Where it is in the backup in `folder`.
    pub(super) fn path_in(&self, folder: &Path) -> PathBuf {
        folder.join(&self.path)
    }
}

impl Contents {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn check(&self) -> serde_json::Result<Check> {
        Ok(Check(crc32c(&serde_json::to_vec(self)?)))
    }

    /// Writes it into the backup in `folder`, durably.
    pub(super) fn write(self, disk: &dyn Disk, folder: &Path) -> std::io::Result<()> {
        let check = self.check()?;
        let mut bytes = serde_json::to_vec_pretty(&Manifest { contents: self, check })?;
        bytes.push(b'\n');
        // Or it would never be read.
        if bytes.len() as u64 > BYTES_MAX {
            let what = format!("{} bytes, and {BYTES_MAX} at most can be read", bytes.len());
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, what));
        }
        disk.write_small(&folder.join(MANIFEST), &bytes)
    }

    /// Reads that of the backup in `folder`.
    pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<Self, RestoreError> {
        let path = folder.join(MANIFEST);
        let bytes = match disk.read_small(&path, BYTES_MAX) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(RestoreError::NoBackup { path });
            }
            bytes => bytes.map_err(|error| RestoreError::Read(io("reading", &path)(error)))?,
        };
        let damaged = |what: String| RestoreError::Damaged { path: path.clone(), what };
        let format = serde_json::from_slice::<Format>(&bytes);
        let found = format.map_err(|error| damaged(error.to_string()))?.backup_format;
        if found > u64::from(FORMAT) {
            return Err(RestoreError::Newer { path, found, newest: FORMAT });
        }
        let read = serde_json::from_slice::<Manifest>(&bytes);
        let Manifest { contents, check } = read.map_err(|error| damaged(error.to_string()))?;
        if contents.check().ok() != Some(check) {
            return Err(damaged("its check fails".to_owned()));
        }
        match contents.files.iter().find(|file| file.relative().is_none()) {
            Some(file) => Err(damaged(format!("{:?} is no path of a backup", file.path))),
            None => Ok(contents),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::disk::LocalDisk;

    fn contents(path: &str) -> Contents {
        let file = |path: &str| FileEntry { path: path.into(), bytes: 7, crc32c: Check(0xAB) };
        Contents {
            backup_format: FORMAT,
            waag: "0.1.0".into(),
            records: 12,
            sealed_records: 3,
            dropped_through: Some("2026-11-05".into()),
            audit_head: None,
            files: vec![file("journal/1.segment"), file(path)],
        }
    }

    fn read(folder: &Path) -> Result<Contents, RestoreError> {
        Contents::read(&LocalDisk::new(), folder)
    }

    #[test]
    fn comes_back_and_every_other_byte_in_it_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MANIFEST);
        assert!(matches!(read(folder.path()), Err(RestoreError::NoBackup { .. })));
        contents("rules/a").write(&LocalDisk::new(), folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), contents("rules/a"));
        for kept in KEPT.map(|folder| format!("{folder}/deep/er")) {
            contents(&kept).write(&LocalDisk::new(), folder.path()).unwrap();
            assert_eq!(read(folder.path()).unwrap(), contents(&kept));
        }
        contents("rules/a").write(&LocalDisk::new(), folder.path()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            std::fs::write(&path, &other).unwrap();
            match read(folder.path()) {
                // Space between fields may be any of the kinds there are.
                Ok(read) => assert_eq!(read, contents("rules/a"), "byte {at}"),
                Err(RestoreError::Damaged { .. } | RestoreError::Newer { .. }) => {}
                Err(error) => panic!("byte {at}: {error}"),
            }
            std::fs::write(&path, &bytes[..at]).unwrap();
            let is_whole = read(folder.path()).is_ok();
            assert!(!is_whole || at == bytes.len() - 1, "cut at {at}");
        }
    }

    #[test]
    fn a_newer_format_is_refused_as_such() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MANIFEST), r#"{"backup_format": 2, "parts": []}"#)
            .unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, RestoreError::Newer { found: 2, newest: 1, .. }), "{error}");
    }

    #[test]
    fn no_path_leads_out_of_the_data_folder() {
        for path in [
            "",
            ".",
            "..",
            "/etc/passwd",
            "journal",
            "journal/../../x",
            "catalog/db",
            "lock",
            "../journal/x",
            "journal/./../x",
            "journal//x",
            "secrets//etc/passwd",
            "identity/",
        ] {
            let folder = tempfile::tempdir().unwrap();
            contents(path).write(&LocalDisk::new(), folder.path()).unwrap();
            let error = read(folder.path()).unwrap_err();
            assert!(error.to_string().contains("is no path of a backup"), "{path}: {error}");
        }
    }
}
