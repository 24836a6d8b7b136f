//! `waag export`: the archive of a data folder that no server holds, in a folder of its own.
//!
//! The journal is read as `waag verify` reads it: every batch is judged and settled again, and a
//! difference to what stands there is damage. `export.json`, written last, tells a whole export
//! from one that was interrupted.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::archivist::Archivist;
use super::engine;
use super::inspect::{Opened, Passing};
use super::prepare::{Bounds, Preparer};
use super::recover::Progress;
use super::start_error::{StartError, io};
use crate::archive::{ArchiveWriter, FORMAT_VERSION, Pseudonyms, TableTotals};
use crate::config::Config;
use crate::day::Day;
use crate::disk::LocalDisk;
use crate::id::Watermark;
use crate::mrn::Mint;
use crate::summary::{Fold, FoldOptions};
use crate::wire::digest::Keys;

/// The file that only a whole export has.
pub const WHOLE: &str = "export.json";

/// What was exported; also what [`WHOLE`] says.
#[derive(Debug, Serialize)]
pub struct Export {
    /// Version of tables and columns.
    pub archive_format: u32,
    /// Records of the journal that were read: a summary at this watermark has the same figures.
    pub records: u64,
    /// The first day on which something exported arrived.
    pub first_day: Option<String>,
    /// And the last.
    pub last_day: Option<String>,
    /// Names and streets of private persons stand in clear.
    pub personal_data: bool,
    /// What was written, table by table.
    pub tables: [TableTotals; 5],
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The data folder cannot be opened or read.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The archive could not be ended.
    #[error("{0}")]
    Archive(crate::journal::BoxError),
    /// The folder has something in it.
    #[error(
        "{} is not empty: {found}. Give another folder, or remove it first", folder.display()
    )]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        found: &'static str,
    },
    /// The folder lies in the data folder.
    #[error("{} lies in the data folder, which is the server's own: give another", folder.display())]
    Inside {
        /// The folder.
        folder: PathBuf,
    },
}

/// Writes the archive of the data folder of `config` to the folder `to`, of the days from the first
/// to the last of `days`.
///
/// # Errors
/// See [`ExportError`].
pub fn export(
    config: &Config,
    to: &Path,
    days: (Day, Day),
    progress: Box<dyn FnMut(&Progress) + Send>,
) -> Result<Export, ExportError> {
    let opened = Opened::of(config)?;
    make_empty(to, &config.data_dir)?;
    let personal = config.archive_personal_data;
    let secrets = &opened.secrets;
    let pseudonyms = Pseudonyms::new(secrets.pseudonym());
    let calendar = engine::calendar(config).map_err(StartError::from)?;
    let keys = Keys::new(secrets.prf(), secrets.digest());
    let mut archivist = Archivist::new(
        ArchiveWriter::new(Arc::new(LocalDisk::new()), to, Watermark(1), personal, pseudonyms),
        Preparer::new(Bounds::NONE, calendar, keys),
        Arc::clone(&opened.laws),
        Mint::new(secrets.bijection()),
        days,
    );
    let outside = Passing::new()?;
    let own = outside.path();
    let runs = opened.runs(&own.join("runs"));
    let fold = Fold::open(own, own, &FoldOptions::default(), secrets.identity());
    let (fold, ..) = fold.map_err(StartError::from)?;
    let (recovered, _) = opened.recover_before(config, fold, runs, &mut archivist, progress)?;
    let records = Watermark(recovered.seen.records);
    let archive = archivist.finish(records).map_err(ExportError::Archive)?;
    let day = |day: Day| day.to_string();
    let export = Export {
        archive_format: FORMAT_VERSION,
        records: records.0,
        first_day: archive.days().map(|(first, _)| day(first)),
        last_day: archive.days().map(|(_, last)| day(last)),
        personal_data: personal,
        tables: archive.totals().clone(),
    };
    mark_whole(to, &export).map_err(io(to.join(WHOLE).display()))?;
    Ok(export)
}

/// Makes the folder; refuses one that has something in it, or lies in the data folder.
fn make_empty(folder: &Path, data: &Path) -> Result<(), ExportError> {
    let real = |folder: &Path| fs::canonicalize(folder).map_err(io(folder.display()));
    let whole = std::path::absolute(folder).map_err(io(folder.display()))?;
    // As much of it as there is: a link may lead anywhere.
    let above = whole.ancestors().find(|above| above.exists()).unwrap_or(&whole);
    if real(above)?.starts_with(real(data)?) {
        return Err(ExportError::Inside { folder: folder.into() });
    }
    fs::create_dir_all(folder).map_err(io(folder.display()))?;
    let mut entries = fs::read_dir(folder).map_err(io(folder.display()))?;
    if entries.next().is_none() {
        return Ok(());
    }
    let has = |name: &str| folder.join(name).exists();
    let found = if has(WHOLE) {
        "it holds a whole export"
    } else if has("declarations") {
        "it holds an export that was interrupted (there is no export.json)"
    } else {
        "it holds something else"
    };
    Err(ExportError::NotEmpty { folder: folder.into(), found })
}

fn mark_whole(folder: &Path, export: &Export) -> std::io::Result<()> {
    // The names of the tables' folders first.
    File::open(folder)?.sync_all()?;
    let beside = folder.join(format!(".{WHOLE}.part"));
    let mut file = File::create(&beside)?;
    serde_json::to_writer_pretty(&mut file, export)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(WHOLE))?;
    File::open(folder)?.sync_all()
}
