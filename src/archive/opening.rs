//! Opening the archive: which sets stand, whether all their files are there, and what belongs to
//! none.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{ArchiveError, io_error};
use super::set::{SET_FILE_BYTES_MAX, SET_SUFFIX, SETS, Set};
use super::store::{Opened, Options, remove_if_empty, remove_if_there};
use super::table_file::sync_folder;
use super::tables::TABLES;
use crate::disk::{Disk, Entry};
use crate::id::{Ordinal, Watermark};

/// See [`super::Archive::open`].
pub(super) fn open(
    disk: &dyn Disk,
    root: &Path,
    options: &Options,
) -> Result<(Vec<Set>, Opened), ArchiveError> {
    let folder = root.join(SETS);
    if options.look_only {
        let (sets, _) = read_sets(disk, &folder, &options.identity)?;
        follow(root, sets.iter())?;
        look(disk, root, &sets)?;
        let opened = Opened { sets: sets.len() as u64, orphans_removed: 0 };
        return Ok((sets, opened));
    }
    disk.create_dir(&folder).map_err(io_error("making", &folder))?;
    let (sets, mut orphans) = read_sets(disk, &folder, &options.identity)?;
    follow(root, sets.iter())?;
    let found = look(disk, root, &sets)?;

    // All is in order: what is too much goes. A set file that was named and not synced counts as much
    // as another: what it names was synced before.
    orphans.extend(found.orphans);
    sync_folder(disk, &folder)?;
    orphans.iter().try_for_each(|path| remove_if_there(disk, path))?;
    found.unused_folders.iter().try_for_each(|folder| remove_if_empty(disk, folder))?;
    let orphans_removed = orphans.len() as u64;
    let opened = Opened { sets: sets.len() as u64, orphans_removed };
    Ok((sets, opened))
}

/// The sets in order, and the paths of what else is in their folder.
fn read_sets(
    disk: &dyn Disk,
    folder: &Path,
    identity: &[u8; 16],
) -> Result<(Vec<Set>, Vec<PathBuf>), ArchiveError> {
    let (mut sets, mut others) = (Vec::new(), Vec::new());
    let entries = match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((sets, others)),
        entries => entries.map_err(io_error("listing", folder))?,
    };
    for Entry { name, .. } in entries {
        let path = folder.join(&name);
        if !name.ends_with(SET_SUFFIX) {
            others.push(path);
            continue;
        }
        let bytes = disk.read_small(&path, SET_FILE_BYTES_MAX);
        let bytes = bytes.map_err(io_error("reading", &path))?;
        let (set, _) = Set::decode(&path, identity, &bytes)?;
        sets.push(set);
    }
    sets.sort_by_key(|set| (set.first, set.last));
    Ok((sets, others))
}

/// Whether sets follow on one another from the first record on.
pub(super) fn follow<'a>(
    root: &Path,
    sets: impl Iterator<Item = &'a Set>,
) -> Result<(), ArchiveError> {
    let (mut next, mut ordinal) = (Watermark(1), Ordinal(0));
    for set in sets {
        let path = set.path(root);
        if set.first.0 == 0 || set.first > set.last || set.first_ordinal > set.end_ordinal {
            return Err(ArchiveError::damaged(&path, "its range ends before it begins"));
        }
        if set.first > next {
            let (from, to) = (next.0, set.first.0 - 1);
            let what = format!("before it, records {from} to {to} are missing from the archive");
            return Err(ArchiveError::damaged(&path, what));
        }
        if set.first < next {
            let what = format!("record {} is in the set before it as well", set.first.0);
            return Err(ArchiveError::damaged(&path, what));
        }
        if set.first_ordinal != ordinal {
            let what = format!(
                "it begins with ordinal {}, and the one before it ends before {}",
                set.first_ordinal.0, ordinal.0
            );
            return Err(ArchiveError::damaged(&path, what));
        }
        next = Watermark(set.last.0.saturating_add(1));
        ordinal = set.end_ordinal;
    }
    Ok(())
}

/// What is in the folders of tables.
#[derive(Default)]
struct Found {
    orphans: Vec<PathBuf>,
    /// Folders of days without a file of a set.
    unused_folders: Vec<PathBuf>,
}

/// Looks for every file that a set has, and lists what no set has.
fn look(disk: &dyn Disk, root: &Path, sets: &[Set]) -> Result<Found, ArchiveError> {
    let mut expected: HashMap<PathBuf, u64> = HashMap::new();
    for (set, part) in sets.iter().flat_map(|set| set.kept().map(move |part| (set, part))) {
        for (table, file) in part.files.iter().enumerate() {
            expected.insert(part.path(root, table, set), file.bytes);
        }
    }
    let mut found = Found::default();
    for table in TABLES {
        let table = root.join(table);
        let dirs = match disk.list_dirs(&table) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            dirs => dirs.map_err(io_error("listing", &table))?,
        };
        found.look_into(disk, &table, &mut expected)?;
        for dir in dirs {
            let folder = table.join(dir);
            if !found.look_into(disk, &folder, &mut expected)? {
                found.unused_folders.push(folder);
            }
        }
    }
    // The first one by name, so that the same is said each time.
    match expected.keys().min() {
        Some(path) => Err(ArchiveError::damaged(path, "it is missing")),
        None => Ok(found),
    }
}

impl Found {
    /// Whether `folder` has a file of a set.
    fn look_into(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        expected: &mut HashMap<PathBuf, u64>,
    ) -> Result<bool, ArchiveError> {
        let mut is_used = false;
        for Entry { name, bytes } in disk.list(folder).map_err(io_error("listing", folder))? {
            let path = folder.join(name);
            match expected.remove(&path) {
                Some(length) if length == bytes => is_used = true,
                Some(length) => {
                    let what = format!("it has {bytes} bytes, and {length} were written");
                    return Err(ArchiveError::damaged(&path, what));
                }
                None => self.orphans.push(path),
            }
        }
        Ok(is_used)
    }
}
