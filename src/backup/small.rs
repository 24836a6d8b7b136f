//! What is small and does not change: secrets and rules; and what a backup leaves out.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crc32c::crc32c;

use super::error::{BackupError, IoError, io};
use super::manifest::KEPT;
use super::moment::Source;
use super::target::{Target, Written};
use crate::ingest::engine::folders;
use crate::rules::Shelf;
use crate::secrets::Secrets;

/// A rule file is some hundred KiB; beyond this it is none.
const RULE_BYTES_MAX: u64 = 256 << 20;
const SECRET_BYTES_MAX: u64 = 1 << 20;

/// Makes a folder that only its owner may look into; one that is there stays as it is.
pub(super) fn make_private(folder: &Path) -> Result<(), IoError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(io("making", folder))
}

/// Makes a file that only its owner may read, which must not be there.
pub(super) fn create_private(path: &Path) -> Result<std::fs::File, IoError> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(io("making", path))
}

/// Writes such a file.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), IoError> {
    let mut file = create_private(path)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(io("writing", path))
}

/// Copies the keys.
pub(super) fn secrets(secrets: &Secrets, target: &mut Target) -> Result<(), BackupError> {
    let folder = target.folder(Path::new(folders::SECRETS))?;
    secrets.write(&folder)?;
    let entries = target.disk().list(&folder).map_err(io("listing", &folder))?;
    for entry in entries {
        let path = folder.join(&entry.name);
        let content = target.disk().read_small(&path, SECRET_BYTES_MAX);
        let content = content.map_err(io("reading", &path))?;
        let written = Written { bytes: content.len() as u64, check: crc32c(&content) };
        target.note(format!("{}/{}", folders::SECRETS, entry.name), written);
    }
    Ok(())
}

/// Copies the rules: nothing of them is ever removed, and a list is there only once its files are. So a list
/// that was there when the folder was read has its files among those that are there when it is read
/// once more, and if that finds the same, both readings have.
pub(super) fn rules(source: &Source, target: &mut Target) -> Result<(), BackupError> {
    let folder = source.folder(folders::RULES);
    let read = |error| BackupError::Read(io("reading", &folder)(error));
    let mut names = Vec::new();
    loop {
        let entries = source.disk.list(&folder).map_err(read)?;
        // Those with a dot in front are being written, or were left over.
        let found =
            entries.into_iter().map(|entry| entry.name).filter(|name| !name.starts_with('.'));
        let found: Vec<String> = found.collect();
        if found == names {
            break;
        }
        names = found;
    }
    for name in names {
        let path = folder.join(&name);
        let content = source.disk.read_small(&path, RULE_BYTES_MAX);
        let content = content.map_err(|error| BackupError::Read(io("reading", &path)(error)))?;
        target.put(&format!("{}/{name}", folders::RULES), &content)?;
    }
    let copy = target.folder(Path::new(folders::RULES))?;
    match Shelf::open(&copy)?.verify()?.problems.into_iter().next() {
        Some(what) => {
            // It is the file that was copied which has to be mended.
            let what = what.replace(&*copy.to_string_lossy(), &folder.to_string_lossy());
            Err(BackupError::Damaged { path: folder, what })
        }
        None => Ok(()),
    }
}

/// What lies in the data folder and is neither copied nor made again.
pub(super) fn left_out(data_dir: &Path) -> Result<Vec<String>, BackupError> {
    let read = |error| BackupError::Read(io("listing", data_dir)(error));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(data_dir).map_err(read)? {
        let name = entry.map_err(read)?.file_name().to_string_lossy().into_owned();
        let is_derived = name == folders::CATALOG
            || name == folders::INSIGHT
            || name.starts_with(&format!("{}.unusable-", folders::CATALOG))
            || name == "lock";
        if !is_derived && !KEPT.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    for name in &names {
        tracing::warn!(%name, "this is no part of a data folder, and not in the backup");
    }
    Ok(names)
}
