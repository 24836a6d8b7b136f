//! `waag export`: the archive of a data folder that no server holds, in a folder of its own.
//!
//! What is sealed is copied, each block of it checked; of what is not, rows are made as sealing makes
//! them. `export.json`, written last, tells a whole export
//! from one that was interrupted.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::archivist::Archivist;
use super::data_folder::DataFolder;
use super::engine::folders;
use super::export_tables::finish_tables;
use super::laws::Laws;
use super::options;
use super::prepare::{Bounds, Preparer};
use super::record::Entry;
use super::recover::Progress;
use super::start_error::{StartError, io};
use crate::archive::{Archive, ArchiveWriter, FORMAT_VERSION, Pseudonyms, TableTotals};
use crate::config::Config;
use crate::day::Day;
use crate::disk::{Disk, LocalDisk, lies_in};
use crate::id::Watermark;
use crate::journal::{self, BoxError, Record};
use crate::mrn::Mint;
use crate::wire::digest::Keys;

/// The file that only a whole export has.
pub const WHOLE: &str = "export.json";

/// The files of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As in the archive.
    #[default]
    Parquet,
    /// A row of names, then rows of texts: see [`crate::archive::write_csv`].
    Csv,
}

/// What is to be exported.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What arrived on the first to the last of these days.
    pub days: (Day, Day),
    /// The tables: some of [`crate::archive::TABLES`].
    pub tables: Vec<&'static str>,
    /// Of their files.
    pub format: Format,
}

/// What was exported; also what [`WHOLE`] says.
#[derive(Debug, Serialize)]
pub struct Export {
    /// Version of tables and columns.
    pub archive_format: u32,
    /// Of the files.
    pub format: Format,
    /// Records of the journal that were read: a summary at this watermark has the same figures.
    pub records: u64,
    /// The first day on which something exported arrived.
    pub first_day: Option<String>,
    /// And the last.
    pub last_day: Option<String>,
    /// Days up to this one were dropped, having been past their retention: they are missing here.
    pub dropped_through: Option<String>,
    /// Names and streets of private persons stand in clear.
    pub personal_data: bool,
    /// What was written, table by table.
    pub tables: Vec<TableTotals>,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The data folder cannot be opened or read.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A record that was sealed cannot be read.
    #[error("{0}")]
    Record(BoxError),
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

/// Writes what is `wanted` of the archive of the data folder of `config` to the folder `to`.
///
/// All tables are written as they are archived, and those that are not wanted removed, before files are
/// made CSV one by one: so the disk holds at most one file twice.
///
/// # Errors
/// See [`ExportError`].
pub fn export(
    config: &Config,
    to: &Path,
    wanted: &Wanted,
    mut progress: Box<dyn FnMut(&Progress) + Send>,
) -> Result<Export, ExportError> {
    let days = wanted.days;
    let opened = DataFolder::of(config)?;
    make_empty(to, &config.data_dir)?;
    let secrets = &opened.secrets;
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk::new());
    let folder = |name: &str| config.data_dir.join(name);
    let options = options::archive_options(config, secrets);
    let personal = options.personal;
    let mut export = ArchiveWriter::new(
        Arc::clone(&disk),
        to,
        Watermark(1),
        personal,
        Pseudonyms::new(secrets.pseudonym()),
    );
    let (archive, _) =
        Archive::open(disk, &folder(folders::ARCHIVE), options).map_err(StartError::from)?;
    let mut seen = Progress::default();
    let mut are_clear = personal;
    for set in archive.sets().iter() {
        for other in &set.others {
            note(&opened.laws, other.number, other.kind, &other.body)
                .map_err(ExportError::Record)?;
        }
        export.copy(&archive, set, days).map_err(StartError::from)?;
        are_clear |= set.personal;
        seen.records = set.last.0;
        seen.declarations = set.end_ordinal.0;
        progress(&seen);
    }
    let unsealed = Unsealed { first: archive.next().0, days, laws: &opened.laws };
    let mut archivist = archivist(config, &opened)?;
    export.begin_range(unsealed.first);
    journal::verify(
        &LocalDisk::new(),
        &folder(folders::JOURNAL),
        Some(secrets.identity()),
        &mut |record| {
            unsealed.put(&record, &mut archivist, &mut export, &mut seen)?;
            if record.number.0.is_multiple_of(PROGRESS_RECORDS) {
                progress(&seen);
            }
            Ok(())
        },
    )
    .map_err(StartError::from)?;
    let records = Watermark(seen.records);
    export.end_range(records).map_err(StartError::from)?;
    let tables = finish_tables(to, export.totals(), wanted)?;
    let day = |day: Day| day.to_string();
    let told = Export {
        archive_format: FORMAT_VERSION,
        format: wanted.format,
        records: records.0,
        first_day: export.days().map(|(first, _)| day(first)),
        last_day: export.days().map(|(_, last)| day(last)),
        dropped_through: archive.dropped().map(|(_, dropped)| day(dropped)),
        personal_data: are_clear,
        tables,
    };
    mark_whole(to, &told).map_err(io(to.join(WHOLE).display()))?;
    Ok(told)
}

/// Between two tellings of how far the export is.
const PROGRESS_RECORDS: u64 = 64;

/// What the journal has that is not sealed.
struct Unsealed<'a> {
    first: Watermark,
    days: (Day, Day),
    laws: &'a Laws,
}

impl Unsealed<'_> {
    fn put(
        &self,
        record: &Record<'_>,
        archivist: &mut Archivist,
        export: &mut ArchiveWriter,
        seen: &mut Progress,
    ) -> Result<(), BoxError> {
        if record.number < self.first {
            return Ok(());
        }
        seen.records = record.number.0;
        let Entry::Batch(batch) = Entry::read(record.kind, record.body)? else {
            return note(self.laws, record.number, record.kind, record.body);
        };
        seen.declarations += batch.outcomes.len() as u64;
        if batch.day >= self.days.0 && batch.day <= self.days.1 {
            archivist.put(record.number, batch, export)?;
        }
        Ok(())
    }
}

/// Notes a law, for the batches that come after it.
fn note(laws: &Laws, number: Watermark, kind: u8, body: &[u8]) -> Result<(), BoxError> {
    let in_record = |error: BoxError| format!("record {}: {error}", number.0);
    if let Entry::Law(law) = Entry::read(kind, body).map_err(|error| in_record(error.into()))? {
        laws.note(law).map_err(|error| in_record(error.into()))?;
    }
    Ok(())
}

fn archivist(config: &Config, opened: &DataFolder) -> Result<Archivist, StartError> {
    let secrets = &opened.secrets;
    let keys = Keys::new(secrets.prf(), secrets.digest());
    Ok(Archivist::new(
        Preparer::new(Bounds::NONE, options::calendar(config)?, keys),
        Arc::clone(&opened.laws),
        Mint::new(secrets.bijection()),
    ))
}

/// Makes the folder; refuses one that has something in it, or lies in the data folder.
fn make_empty(folder: &Path, data: &Path) -> Result<(), ExportError> {
    if lies_in(folder, data).map_err(io(folder.display()))? {
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
