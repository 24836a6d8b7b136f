//! How the fold is opened: from the catalog or, where that is lost, from nothing.
//!
//! Where days of the archive are dropped, the fold cannot be made from nothing any more. Then it goes on
//! from a [`Snapshot`] where the catalog is lost, or is too old ([`FoldOptions::dropped`]).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{self, Catalog, CatalogError, Changes, NotOpened};
use crate::day::Day;
use crate::id::Watermark;
use crate::summary::board::Shared;
use crate::summary::columns::KeptColumns;
use crate::summary::day_files::DayFiles;
use crate::summary::state::State;
use crate::summary::stored::{self, Loader};
use crate::summary::whose::Whose;
use crate::summary::{ACTORS_MAX_DEFAULT, Board, DayFileError, Fold, FoldError, Snapshot};

/// The folder of closed days, within that of the archive.
pub const SUMMARY_FOLDER: &str = "summary";

/// Settings of the fold. Nothing here changes a figure.
#[derive(Debug, Clone)]
pub struct FoldOptions {
    /// About how much of the catalog sled may keep in memory, in bytes. All of it is written and
    /// read back only at start, so there is no gain in more.
    pub catalog_cache_bytes: u64,
    /// Bytes of closed days that may stay in memory for rankings: 12 for each actor and day.
    pub columns_bytes_max: u64,
    /// The newest snapshot, where there is one. Files of closed days that it names are not removed.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Where days of the archive are dropped: a catalog that has not folded all of them is as good as
    /// none, and where there is none, the fold goes on from the snapshot.
    pub dropped: Option<Dropped>,
}

/// Days of the archive that are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The last of their records.
    pub through: Watermark,
    /// The day of that record.
    pub day: Day,
    /// Why there is no snapshot, where there is none.
    pub without_snapshot: String,
}

impl Default for FoldOptions {
    fn default() -> Self {
        let (catalog_cache_bytes, columns_bytes_max) = (32 << 20, 32 << 20);
        Self { catalog_cache_bytes, columns_bytes_max, snapshot: None, dropped: None }
    }
}

/// How the fold was found at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Records after this one are to be folded.
    pub watermark: Watermark,
    /// Why it starts from nothing, where it does: in one sentence, with the name under which what
    /// was there is kept. Of a new data folder too, which never had a catalog.
    pub rebuilt_because: Option<String>,
    /// The catalog is whole and holds no checkpoint yet, as after a kill in its first seconds.
    pub is_unwritten: bool,
}

impl Fold {
    /// Opens the fold kept in the folders `catalog_dir` and `archive_dir` of the data folder
    /// `identity`. Whatever is wrong with the catalog, or with a file of a closed day that it
    /// names: the catalog is moved aside and the fold starts from nothing or, where days of the
    /// archive are dropped, from the snapshot.
    ///
    /// # Errors
    /// [`FoldError`] where that fails too, or would not help. [`FoldError::Lost`] where there is no
    /// snapshot to start from: then nothing is changed.
    pub fn open(
        catalog_dir: &Path,
        archive_dir: &Path,
        options: &FoldOptions,
        identity: [u8; 16],
    ) -> Result<(Self, Board, Opened), FoldError> {
        let files = DayFiles::new(archive_dir.join(SUMMARY_FOLDER), identity);
        if let Some(snapshot) = &options.snapshot {
            let named = snapshot.closed.iter().map(|(day, file)| (*day, file.generation));
            files.named().extend(named);
        }
        let reason = match load(catalog_dir, &files, options, identity) {
            Ok((catalog, loader)) => return Ok(Self::with(catalog, loader, files, options, None)),
            Err(NotOpened::Failed(error)) => return Err(error.into()),
            Err(NotOpened::Unusable(reason)) => reason,
        };
        // Before anything is moved: without a snapshot it must not be.
        let restored = options.dropped.as_ref().map(|dropped| {
            let lost = |why| FoldError::Lost { reason: reason.clone(), day: dropped.day, why };
            let snapshot = options.snapshot.as_ref();
            let snapshot = snapshot.ok_or_else(|| lost(dropped.without_snapshot.clone()))?;
            restore(snapshot, dropped, &files).map_err(lost)
        });
        let restored = restored.transpose()?;
        let reason = match catalog::move_aside(catalog_dir)? {
            Some(aside) => {
                format!("the catalog was unusable: {reason}; it is kept as {}", aside.display())
            }
            None => reason,
        };
        let catalog = Catalog::create(catalog_dir, identity, options.catalog_cache_bytes)?;
        let loader = Loader::new(ACTORS_MAX_DEFAULT);
        let (mut fold, board, mut opened) =
            Self::with(catalog, loader, files, options, Some(reason));
        if let Some(state) = restored {
            opened.watermark = Watermark(state.watermark);
            fold.go_on_from(state)?;
        }
        Ok((fold, board, opened))
    }

    /// Takes `state`, of which the catalog, which is new, has nothing, and makes it durable there.
    fn go_on_from(&mut self, mut state: State) -> Result<(), FoldError> {
        let mut dirty = Vec::new();
        state.open.iter_mut().for_each(|(day, open)| open.mark_all(*day, &mut dirty));
        (self.dirty, self.watermark) = (dirty, state.watermark);
        let mut changes = Changes::default();
        for (day, file) in state.closed.iter() {
            let mark =
                changes.put(&stored::day_key(*day), &stored::day_value(true, *file), None)?;
            self.day_marks.insert(*day, mark);
        }
        let watermark = state.watermark;
        *self.shared.write() = state;
        self.shared.publish(watermark);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.write();
        self.put_all(&mut state, &mut changes)?;
        drop(state);
        let catalog = self.catalog.as_mut().ok_or(FoldError::UnderWay)?;
        catalog.write(changes)?;
        self.checkpointed = Some(watermark);
        Ok(())
    }

    fn with(
        catalog: Catalog,
        loader: Loader,
        files: DayFiles,
        options: &FoldOptions,
        rebuilt_because: Option<String>,
    ) -> (Self, Board, Opened) {
        let Loader { state, meta_mark, day_marks, .. } = loader;
        // Right after it was made, or after sled lost all that was written since.
        let never = || "the catalog held no checkpoint".to_owned();
        let is_unwritten = rebuilt_because.is_none() && meta_mark.is_none();
        let rebuilt_because = rebuilt_because.or_else(|| is_unwritten.then(never));
        let watermark = state.watermark;
        let ids_stored = Whose::ALL.map(|whose| state.known(whose));
        let shared =
            Arc::new(Shared::new(state, files, KeptColumns::new(options.columns_bytes_max)));
        let board = Board::over(Arc::clone(&shared));
        let fold = Self {
            shared,
            catalog: Some(catalog),
            watermark,
            checkpointed: meta_mark.map(|_| watermark),
            dirty: Vec::new(),
            ids_stored,
            meta_mark,
            day_marks,
            reopened: BTreeMap::new(),
        };
        (fold, board, Opened { watermark: Watermark(watermark), rebuilt_because, is_unwritten })
    }
}

/// Deletes what the fold made, so that it is made again from archive and journal: the catalog and the
/// files of closed days, but for those that `snapshot` names. (What was moved aside stays.)
///
/// # Errors
/// [`CatalogError::Io`], [`DayFileError`].
pub fn erase_derived(
    catalog_dir: &Path,
    archive_dir: &Path,
    snapshot: Option<&Snapshot>,
) -> Result<(), FoldError> {
    remove_folder(catalog_dir.to_owned())?;
    let folder = archive_dir.join(SUMMARY_FOLDER);
    let Some(snapshot) = snapshot else { return Ok(remove_folder(folder)?) };
    let named = snapshot.closed.iter().map(|(day, file)| (*day, file.generation)).collect();
    Ok(DayFiles::new(folder, [0; 16]).keep_only(&named)?)
}

fn remove_folder(path: PathBuf) -> Result<(), CatalogError> {
    match fs::remove_dir_all(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CatalogError::Io { doing: "remove", path, source })
        }
        _ => Ok(()),
    }
}

fn load(
    catalog_dir: &Path,
    files: &DayFiles,
    options: &FoldOptions,
    identity: [u8; 16],
) -> Result<(Catalog, Loader), NotOpened> {
    let mut loader = Loader::new(ACTORS_MAX_DEFAULT);
    let take = |key: &[u8], value: &[u8], mark| loader.take(key, value, mark);
    let catalog = Catalog::open(catalog_dir, identity, options.catalog_cache_bytes, take)?;
    let loader = loader.finish().map_err(NotOpened::Unusable)?;
    let watermark = loader.state.watermark;
    if let Some(dropped) = &options.dropped
        && watermark < dropped.through.0
    {
        return Err(NotOpened::Unusable(format!(
            "it has folded {watermark} records, and the archive has dropped records up to {}",
            dropped.through.0
        )));
    }
    for (day, closed) in loader.state.closed.iter() {
        let checked: Result<_, DayFileError> = files.get(*day, *closed);
        checked.map_err(|error| NotOpened::Unusable(error.to_string()))?;
    }
    Ok((catalog, loader))
}

/// The state of a snapshot, with every file that it names looked at; otherwise a sentence.
fn restore(snapshot: &Snapshot, dropped: &Dropped, files: &DayFiles) -> Result<State, String> {
    if snapshot.watermark < dropped.through.0 {
        return Err(format!(
            "the snapshot in its stead has folded {} records, and they end with record {}",
            snapshot.watermark, dropped.through.0
        ));
    }
    for (day, closed) in &snapshot.closed {
        files.get(*day, *closed).map_err(|error| error.to_string())?;
    }
    let state = snapshot.state();
    state.ok_or_else(|| "the snapshot in its stead names actors that it does not know".to_owned())
}
