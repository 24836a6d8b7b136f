//! `waag backup` and `waag restore`: a copy of a data folder that a server may be using, and a data folder
//! made of such a copy.
//!
//! A backup has the same folders as the data folder, with what is truth in them, and `backup.json`
//! ([`Contents`]), written last: without it the backup was interrupted. What is derived is left out, and made
//! again by the first start: the catalog always; runs and summaries unless days are dropped. The lock of
//! the data folder is not asked for.
//!
//! # Why the parts fit one another
//! A start refuses a data folder in which the archive ends before the journal begins, or either of archive
//! and summaries knows of more than the journal has; and, where days are dropped, one whose runs or
//! snapshot of the summaries do not reach past them. A server changes all of these meanwhile. What it
//! does never goes back, and comes in an order (`ingest::sealing`, `ingest::retention`, `ingest::runs`):
//! a set stands before segments of its records go; a snapshot, and runs that it is past, stand before a
//! set file says that a day is dropped, and that before its files go; and before runs are merged, a
//! snapshot is taken that is past all of them. So they are looked at in this order:
//!
//! 1. *Segments* are opened, all that there are. No later step can find them gone.
//! 2. *Set files* are read. The archive ends with at least what it had before step 1, so not before those
//!    segments begin.
//! 3. *Runs* are opened, where days are dropped: they have all records of days that step 2 found dropped.
//! 4. *The snapshot* is read: it is past those records too, and past all runs that were merged before step
//!    3. Of the runs those are taken that it is past.
//! 5. *Set files* are read once more. Where days were dropped since step 2, runs of which all is
//!    forgotten may have gone by step 3 because of those: it is begun anew.
//! 6. *Segments* that have come since are opened. They end past all that the steps before have seen,
//!    which was durable then, and past every answer that was given before the backup began.
//!
//! That takes milliseconds (`moment`). Then files are copied at leisure: those of sets, days and runs never change
//! under their names. Runs and segments are held open; a file of a set or of a closed day may have gone, and then
//! a set file, or a snapshot, says so that is read after that: it is begun anew, and what is copied already stays. The
//! journal comes last, up to the last group that is whole ([`crate::journal::Pinned`]). What the result
//! must have is checked, and not only derived: that the journal reaches what archive and summaries know of.
//!
//! Most of the archive is copied in a first pass, which holds nothing; so the journal's segments are held
//! open for as long as it takes to copy what was sealed meanwhile, and the journal.
//!
//! Rules come after the journal: a law is kept before its record is written. Secrets never change. The audit log
//! comes last, after the books: an entry is on disk before the answer that it is of, so that every read which was answered before
//! the log is looked at stands in it, also of what the journal's copy does not have.
//!
//! So a backup is the data folder as a start would find it after a kill at the moment of its last record, but for
//! what is derived and for later entries of the audit log: it has every record that was answered before the backup began, and what it has is a
//! prefix of the journal's order.
//!
//! # Damage
//! Every byte is checked on its way, by the checks that its format has, and its CRC32C stands in the
//! manifest. What is damaged is told by name, and there is no backup. What is wrong only because it was being
//! changed is right when it is looked at again; so an error counts once it has come three times in the same words.
//!
//! # Restoring
//! All files are checked against the manifest before anything is written, and once more as they are
//! copied. Lists of rules come first, and are synced before the rest; the journal gets its place last, once the
//! audit log has an entry that says so: until then, a server refuses to start on what is there, since a law is kept
//! and there is no journal. Segments are moved there one by one, in any order: whichever are missing are missed, by
//! the one before (its roll mark) or by the archive.

mod access;
mod error;
mod manifest;
mod moment;
mod restore;
mod small;
mod take;
mod target;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use error::{BackupError, IoError, PlaceError, RestoreError};
pub use manifest::{Check, Contents, FileEntry, MANIFEST};
pub use restore::{Restored, restore};

use crate::disk::LocalDisk;
use crate::ingest::engine::folders;
use crate::secrets::Secrets;
use crate::summary::{SUMMARY_FOLDER, verify_day_files};
use moment::Source;
use target::{Target, expect_empty};

/// Read and written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are done.
    pub bytes: u64,
    /// Of so many, as far as is known.
    pub of: u64,
}

/// A backup that was taken.
#[derive(Debug, Clone, Serialize)]
pub struct Backup {
    /// Records of the journal that are in it: what was answered with a watermark up to this is in it.
    pub records: u64,
    /// How many of them are in the archive.
    pub sealed_records: u64,
    /// Days up to this one were dropped, having been past their retention.
    pub dropped_through: Option<String>,
    /// The last entry of the audit log that is in it, as `waag audit --expect` takes it.
    pub audit_head: Option<String>,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What lies in the data folder, and is no part of one: it is not in the backup.
    pub left_out: Vec<String>,
}

/// Copies what the data folder `data_dir` has to the folder `to`, which is empty or made.
///
/// # Errors
/// See [`BackupError`]. What is written by then stays, without a manifest.
pub fn backup(
    data_dir: &Path,
    to: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Backup, BackupError> {
    let no_data = |what| BackupError::NoDataFolder { folder: data_dir.to_owned(), what };
    if !data_dir.join(folders::SECRETS).is_dir() {
        return Err(no_data("this is no data folder (it has no secrets)"));
    }
    if !data_dir.join(folders::JOURNAL).is_dir() {
        return Err(no_data("the journal is missing"));
    }
    expect_empty(to, data_dir, &what_is_in)?;
    let (secrets, damaged) = Secrets::check(&data_dir.join(folders::SECRETS))?;
    if let Some(reason) = damaged {
        tracing::warn!(%reason, "a key file is damaged; the backup has two whole ones");
    }
    let identity = secrets.identity();
    let disk = Arc::new(LocalDisk::new());
    let source = Source { disk: disk.clone(), root: data_dir.to_owned(), identity };
    small::make_private(to)?;
    let mut target = Target::new(disk, to);
    target.folder(Path::new(""))?;
    let taken = take::take(&source, &mut target, progress)?;
    verify_day_files(&to.join(folders::ARCHIVE).join(SUMMARY_FOLDER), identity)?;
    small::rules(&source, &mut target)?;
    small::secrets(&secrets, &mut target)?;
    access::tokens(&source, &mut target)?;
    access::books(&source, &mut target)?;
    let audited = access::audit_log(&source, &mut target)?;
    target.sync()?;

    let (files, bytes) = target.written();
    let told = Backup {
        records: taken.records.0,
        sealed_records: taken.sealed.0,
        dropped_through: taken.dropped_through.map(|day| day.to_string()),
        audit_head: (audited.n > 0).then(|| audited.to_string()),
        files,
        bytes,
        left_out: small::left_out(data_dir)?,
    };
    let contents = Contents {
        backup_format: manifest::FORMAT,
        waag: env!("CARGO_PKG_VERSION").to_owned(),
        records: told.records,
        sealed_records: told.sealed_records,
        dropped_through: told.dropped_through.clone(),
        audit_head: told.audit_head.clone(),
        files: target.entries(),
    };
    let written = contents.write(&**target.disk(), to);
    written.map_err(error::io("writing", &to.join(MANIFEST)))?;
    Ok(told)
}

fn what_is_in(folder: &Path) -> &'static str {
    let has = |name: &str| folder.join(name).exists();
    if has(MANIFEST) {
        "it holds a whole backup"
    } else if has(folders::CATALOG) {
        "it holds a data folder"
    } else if has(folders::ARCHIVE) || has(folders::JOURNAL) {
        "it holds a backup that was interrupted (there is no backup.json)"
    } else {
        "it holds something else"
    }
}

/// Where segments are until all of a data folder is restored.
fn restoring(data_dir: &Path) -> PathBuf {
    data_dir.join("journal.restoring")
}
