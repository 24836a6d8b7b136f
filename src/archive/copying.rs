//! Copies files of sets into an export, every block checked on its way.

use std::path::Path;

use super::checked_file::CheckedFile;
use super::error::{ArchiveError, io_error};
use super::scan::{dropped_meanwhile, open_files};
use super::set::Set;
use super::store::Archive;
use super::table_file::sync_folder;
use super::tables::TABLES;
use super::writer::ArchiveWriter;
use crate::day::Day;
use crate::disk::Disk;

impl ArchiveWriter {
    /// Adds the files of `set` that are of the days from the first to the last of `days`, as they are.
    /// Files of these names must not be there.
    ///
    /// # Errors
    /// Where files cannot be written, or those of the set cannot be read or are damaged.
    pub fn copy(
        &mut self,
        archive: &Archive,
        set: &Set,
        days: (Day, Day),
    ) -> Result<(), ArchiveError> {
        let checks = archive.inner.checks(set)?;
        for (part, checks) in set.kept().zip(&checks) {
            if part.day < days.0 || part.day > days.1 {
                continue;
            }
            let Some(checks) = checks else { return Err(dropped_meanwhile(part)) };
            let files = open_files(&archive.inner, set, part, checks)?;
            for (table, (file, entry)) in files.iter().zip(part.files).enumerate() {
                let to = part.path(self.root(), table, set);
                copy(&**self.disk(), file, &to)?;
                if let Some(table) = TABLES.get(table) {
                    self.count(table, entry);
                }
            }
            self.saw(part.day);
        }
        Ok(())
    }
}

fn copy(disk: &dyn Disk, file: &CheckedFile, to: &Path) -> Result<(), ArchiveError> {
    let folder = to.parent().unwrap_or(to);
    disk.create_dir(folder).map_err(io_error("making", folder))?;
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let beside = to.with_file_name(format!(".{name}.part"));
    let mut copied = disk.append(&beside).map_err(io_error("making", &beside))?;
    for block in file.blocks() {
        copied.append(&block?).map_err(io_error("writing", &beside))?;
    }
    copied.sync().map_err(io_error("syncing", &beside))?;
    disk.rename(&beside, to).map_err(io_error("naming", to))?;
    sync_folder(disk, folder)
}
