//! A data folder made of a backup.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use crc32c::crc32c_append;
use serde::Serialize;

use super::error::{PlaceError, RestoreError, io};
use super::manifest::{Contents, FileEntry, MANIFEST};
use super::target::{Target, expect_empty};
use super::{CHUNK_BYTES, Progress, restoring, small};
use crate::audit::{self, Event};
use crate::book::KINDS;
use crate::disk::{AlignedBuffer, Disk, FolderLock, LocalDisk, PAGE_BYTES};
use crate::identity::token;
use crate::ingest::engine::folders;
use crate::rules::LIST_SUFFIX;

/// What was restored.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// Records of the journal: what was answered with a watermark past this one is not in it.
    pub records: u64,
    /// Days up to this one were dropped, having been past their retention.
    pub dropped_through: Option<String>,
    /// Version of the program that took the backup.
    pub taken_by: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Makes the data folder `data_dir`, which is empty or not there, of the backup in `from`.
///
/// # Errors
/// See [`RestoreError`]. Nothing is written before all of the backup is found whole.
pub fn restore(
    from: &Path,
    data_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Restored, RestoreError> {
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk::new());
    let contents = Contents::read(&*disk, from)?;
    expect_empty(data_dir, from, &what_is_in)?;
    let backup = Stored { disk: &*disk, folder: from, contents: &contents };
    // All is read twice.
    let of = 2 * contents.bytes();
    let mut done = 0;
    let mut read = |bytes: usize| {
        done += bytes as u64;
        progress(Progress { bytes: done.min(of), of });
    };
    backup.check(&mut read)?;
    let mut target = Target::new(Arc::clone(&disk), data_dir);
    target.folder(Path::new(""))?;
    target.expect_room(contents.bytes())?;
    let _lock = FolderLock::take(data_dir)?;
    // Whoever else may have begun to write there had it before.
    let entries = disk.list(data_dir).map_err(io("listing", data_dir))?;
    let folders = disk.list_dirs(data_dir).map_err(io("listing", data_dir))?;
    if !folders.is_empty() || entries.iter().any(|entry| entry.name != "lock") {
        let (folder, found) = (data_dir.to_owned(), what_is_in(data_dir));
        return Err(PlaceError::NotEmpty { folder, found }.into());
    }
    backup.write(&mut target, &mut read)?;
    // Whoever reads the log sees that it may not be the only one which goes on from the entry before.
    let (records, version) = (contents.records, &contents.waag);
    let what = format!("from a backup of records 1 to {records}, taken by waag {version}");
    audit::log::append(data_dir, Event::of_server("restore", what))?;
    backup.place(&mut target)?;
    Ok(Restored {
        records: contents.records,
        dropped_through: contents.dropped_through.clone(),
        taken_by: contents.waag.clone(),
        files: contents.files.len() as u64,
        bytes: contents.bytes(),
    })
}

fn what_is_in(folder: &Path) -> &'static str {
    let has = |name: &str| folder.join(name).exists();
    if restoring(folder).exists() {
        "it holds what was being restored when that was interrupted"
    } else if has(MANIFEST) {
        "it holds a backup"
    } else if has(folders::JOURNAL) {
        "it holds a data folder"
    } else {
        "it holds something else"
    }
}

/// A backup as it is found.
pub(super) struct Stored<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) folder: &'a Path,
    pub(super) contents: &'a Contents,
}

impl Stored<'_> {
    /// Reads every file and holds it against the manifest.
    pub(super) fn check(&self, read: &mut dyn FnMut(usize)) -> Result<(), RestoreError> {
        self.contents.files.iter().try_for_each(|file| {
            self.read(file, &mut |bytes| {
                read(bytes.len());
                Ok(())
            })
        })
    }

    /// Writes all of it, durably, with the journal beside its place.
    pub(super) fn write(
        &self,
        target: &mut Target,
        read: &mut dyn FnMut(usize),
    ) -> Result<(), RestoreError> {
        let files = self.contents.files.iter();
        let is_list =
            |file: &&FileEntry| file.folder() == folders::RULES && file.path.ends_with(LIST_SUFFIX);
        let (lists, rest): (Vec<_>, Vec<_>) = files.partition(is_list);
        // A server that finds one and no journal does not start.
        for list in lists {
            self.copy(list, target, read)?;
        }
        target.sync()?;
        for file in rest {
            match file.folder() {
                folders::SECRETS | token::FOLDER | audit::FOLDER => {
                    self.copy_private(file, target, read)?;
                }
                folder if KINDS.iter().any(|kind| kind.folder == folder) => {
                    self.copy_private(file, target, read)?;
                }
                folders::JOURNAL => self.copy_segment(file, target, read)?,
                _ => self.copy(file, target, read)?,
            }
        }
        Ok(target.sync()?)
    }

    /// Gives the journal its place.
    pub(super) fn place(&self, target: &mut Target) -> Result<(), RestoreError> {
        let aside = target.folder(&restoring(Path::new("")))?;
        let journal = target.folder(Path::new(folders::JOURNAL))?;
        let disk = target.disk();
        let segments = self.contents.files.iter().filter(|file| file.folder() == folders::JOURNAL);
        for segment in segments.map(FileEntry::name) {
            let (from, to) = (aside.join(segment), journal.join(segment));
            disk.rename(&from, &to).map_err(io("naming", &to))?;
        }
        for folder in [&journal, &aside] {
            disk.sync_dir(folder).map_err(io("syncing", folder))?;
        }
        disk.remove_dir(&aside).map_err(io("removing", &aside))?;
        disk.sync_dir(target.root()).map_err(io("syncing", target.root()))?;
        Ok(())
    }

    /// A file that only its owner may read.
    fn copy_private(
        &self,
        file: &FileEntry,
        target: &mut Target,
        read: &mut dyn FnMut(usize),
    ) -> Result<(), RestoreError> {
        small::make_private(&target.root().join(file.folder()))?;
        target.folder(Path::new(file.folder()))?;
        let path = target.root().join(&file.path);
        let mut out = small::create_private(&path)?;
        self.read(file, &mut |bytes| {
            read(bytes.len());
            out.write_all(bytes).map_err(|error| io("writing", &path)(error).into())
        })?;
        Ok(out.sync_all().map_err(io("syncing", &path))?)
    }

    /// A segment, which is made as the server makes them, for its owner and group.
    fn copy_segment(
        &self,
        file: &FileEntry,
        target: &mut Target,
        read: &mut dyn FnMut(usize),
    ) -> Result<(), RestoreError> {
        let path = target.folder(&restoring(Path::new("")))?.join(file.name());
        let out = target.disk().create(&path, file.bytes).map_err(io("making", &path))?;
        let mut at = 0;
        self.read(file, &mut |bytes| {
            read(bytes.len());
            out.write_at(at, bytes).map_err(io("writing", &path))?;
            at += bytes.len() as u64;
            Ok(())
        })?;
        Ok(out.sync_data().map_err(io("syncing", &path))?)
    }

    fn copy(
        &self,
        file: &FileEntry,
        target: &mut Target,
        read: &mut dyn FnMut(usize),
    ) -> Result<(), RestoreError> {
        let mut writing = target.begin(&file.path)?;
        self.read(file, &mut |bytes| {
            read(bytes.len());
            writing.append(bytes).map_err(|error| io("writing", writing.path())(error).into())
        })?;
        writing.end()?;
        Ok(())
    }

    /// Hands over a file, piece by piece; at its end it is known to be what was written.
    fn read(
        &self,
        file: &FileEntry,
        take: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>,
    ) -> Result<(), RestoreError> {
        let path = file.path_in(self.folder);
        let damaged = |what| Err(RestoreError::Damaged { path: path.clone(), what });
        let reading = |error| RestoreError::Read(io("reading", &path)(error));
        let opened = match self.disk.open_parts(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return damaged("it is missing".to_owned());
            }
            opened => opened.map_err(reading)?,
        };
        let found = opened.len().map_err(reading)?;
        if found != file.bytes {
            return damaged(format!("it has {found} bytes, and {} were written", file.bytes));
        }
        // As segments are written.
        let mut chunk = AlignedBuffer::new(CHUNK_BYTES / PAGE_BYTES);
        let (mut at, mut check) = (0, 0);
        while at < found {
            let now = usize::try_from(found - at).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let now = chunk.bytes_mut().get_mut(..now).unwrap_or_default();
            opened.read_at(at, now).map_err(reading)?;
            check = crc32c_append(check, now);
            take(now)?;
            at += now.len() as u64;
        }
        if check == file.crc32c.0 { Ok(()) } else { damaged("its check fails".to_owned()) }
    }
}
