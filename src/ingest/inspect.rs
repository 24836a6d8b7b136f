//! Looking at a data folder that no server holds: `waag verify` and `waag rebuild`.
//!
//! Both read the whole journal and judge every batch again, as recovery does: outcomes that come
//! out otherwise than they stand there are damage. `verify` changes nothing in the folder: it folds
//! into a folder of its own, and opens a copy of the catalog, since opening one may mend it.
//!
//! Where days of the archive are dropped, the snapshot of the summaries and the runs that have the keys
//! of these days are truth: they are held against what is kept of the same records (`kept_days`), and the
//! rest is derived from there on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::engine::{self, StartError, folders};
use super::kept_runs::KeptRuns;
use super::laws::Laws;
use super::options;
use super::prepare::{Bounds, Preparer};
use super::recover::{RecoverError, Recovered, Recoverer};
use super::resume;
use super::runs;
use super::start_error::io;
use crate::archive::{self, Archive, Checked};
use crate::config::Config;
use crate::disk::{Disk as _, FolderLock, LocalDisk};
use crate::id::Watermark;
use crate::index::run::{self, Run};
use crate::journal::{self, JournalError, Verified};
use crate::rules::Shelf;
use crate::secrets::{Secrets, SecretsError};
use crate::summary::{Fold, FoldError, FoldOptions, SUMMARY_FOLDER, erase_derived};
use crate::wire::digest::Keys;

/// What was looked at, and what was found.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// Part by part.
    pub parts: Vec<Part>,
    /// Records of the journal, where it could be read to its end.
    pub records: u64,
    /// Declarations in them, of whatever outcome.
    pub declarations: u64,
    /// Of them accepted.
    pub accepted: u64,
    /// Digest over all summaries, in hexadecimal.
    pub summaries_digest: String,
}

impl Inspection {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.parts.iter().all(|part| part.is_sound)
    }
}

/// One part of a data folder.
#[derive(Debug, Serialize)]
pub struct Part {
    /// As `journal`.
    pub name: &'static str,
    /// Nothing is wrong with it.
    pub is_sound: bool,
    /// A sentence.
    pub found: String,
}

impl Inspection {
    /// Where what is damaged keeps the rest from being compared.
    fn of_unsound(parts: Vec<Part>) -> Self {
        let (records, declarations, accepted) = (0, 0, 0);
        Self { parts, records, declarations, accepted, summaries_digest: String::new() }
    }
}

impl Part {
    pub(super) fn sound(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, is_sound: true, found: found.into() }
    }

    pub(super) fn unsound(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, is_sound: false, found: found.into() }
    }
}

/// Checks everything in the data folder of `config` and changes nothing.
///
/// # Errors
/// Where a check could not be made. What a check found is in the [`Inspection`].
pub fn verify(config: &Config) -> Result<Inspection, StartError> {
    let opened = Opened::of(config)?;
    let mut parts = vec![opened.secrets_part.clone_part()];
    parts.push(match opened.shelf.verify() {
        Ok(report) if report.problems.is_empty() => Part::sound(
            "rules",
            format!("{} files in {} lists, as their hashes say", report.files, report.lists),
        ),
        Ok(report) => Part::unsound("rules", report.problems.join("; ")),
        Err(error) => Part::unsound("rules", error.to_string()),
    });

    let archive = match opened.open_archive(config) {
        Ok(archive) => archive,
        Err(StartError::Archive(error)) => {
            parts.push(Part::unsound("archive", error.to_string()));
            return Ok(Inspection::of_unsound(parts));
        }
        Err(error) => return Err(error),
    };
    let options = opened.fold_options(config, &archive)?;
    if let Some(dropped) = options.dropped.as_ref().filter(|_| options.snapshot.is_none()) {
        let why = &dropped.without_snapshot;
        let found = format!("{why}; the next start takes it again, where the catalog is whole");
        parts.push(Part::unsound("snapshot", found));
        return Ok(Inspection::of_unsound(parts));
    }

    let outside = Passing::new()?;
    let folder = |name: &str| config.data_dir.join(name);
    let copies = [outside.0.join("catalog"), outside.0.join("archive")];
    let of_days = folder(folders::ARCHIVE).join(SUMMARY_FOLDER);
    for (from, to) in [
        (folder(folders::CATALOG), outside.0.join("catalog")),
        (of_days, outside.0.join("archive").join(SUMMARY_FOLDER)),
    ] {
        copy(&from, &to).map_err(io(from.display()))?;
    }
    // After a kill in the first seconds there may be no catalog, or no checkpoint in it.
    let [of_catalog, of_archive] = &copies;
    let had = has_files(&folder(folders::CATALOG));
    let kept = Fold::open(of_catalog, of_archive, &options, opened.secrets.identity());
    // What was read is a copy; the user looks for the file in the data folder.
    let named = |error: String| {
        let (copy, original) = (outside.0.display().to_string(), config.data_dir.display());
        error.replace(&copy, &original.to_string())
    };
    let (watermark, kept) = match kept {
        Ok((fold, _, kept)) => (kept.watermark, Kept::of(&fold, kept, had)),
        Err(error @ FoldError::Lost { .. }) => {
            parts.push(Part::unsound("catalog", named(error.to_string())));
            return Ok(Inspection::of_unsound(parts));
        }
        Err(error) => (Watermark(0), Kept::Unusable(error.to_string())),
    };
    if let Kept::DayUnreadable(error) = &kept {
        let error = named(error.clone());
        parts.push(Part::unsound("archive", format!("{error}; `waag rebuild` makes it again")));
    }

    let fold = opened.own_fold(config, &outside, &options)?;
    let of_runs = opened.runs(&folder(folders::RUNS));
    let kept_runs = match KeptRuns::of(&of_runs, archive.dropped()) {
        Ok(kept_runs) => kept_runs,
        Err(StartError::Recover(error)) => {
            parts.push(Part::unsound("runs", error.to_string()));
            return Ok(Inspection::of_unsound(parts));
        }
        Err(error) => return Err(error),
    };
    let own_runs = opened.runs(&outside.0.join("runs"));
    let boundaries = kept_runs.boundaries();
    let mark = (watermark.0 > 0).then_some(watermark);
    match check_archive(&archive) {
        Ok(part) => parts.push(part),
        Err(StartError::Archive(error)) => {
            parts.push(Part::unsound("archive", error.to_string()));
            return Ok(Inspection::of_unsound(parts));
        }
        Err(error) => return Err(error),
    }
    let from = fold.watermark();
    let checked = || {
        if archive.dropped().is_some() {
            let (own, folds) = (outside.0.join("kept"), (&archive, &fold));
            let found = opened.check_kept(config, folds, &own, &kept_runs, &of_runs)?;
            let is_sound = found.is_sound;
            parts.push(found);
            if !is_sound {
                return Ok(None);
            }
        }
        let digest = fold.digest()?;
        let runs = (own_runs.clone(), boundaries, kept_runs.truth_in(&of_runs)?);
        opened.recover(config, &archive, fold, mark, runs).map(|found| Some((digest, found)))
    };
    match checked() {
        Ok(None) => Ok(Inspection::of_unsound(parts)),
        Ok(Some((digest, (mut recovered, verified)))) => {
            parts.push(Part::sound("journal", tell(&verified, &recovered)));
            if watermark == from {
                recovered.digest_at_mark = Some(digest);
            }
            if watermark < from {
                parts.push(kept.before_snapshot(watermark, from));
            } else {
                parts.extend(kept.part(watermark, &recovered));
            }
            parts.push(kept_runs.part(&own_runs, &opened.keys())?);
            Ok(inspection(parts, &recovered)?)
        }
        Err(error) if !is_damage(&error) => Err(error),
        Err(error) => {
            parts.push(Part::unsound("journal", error.to_string()));
            Ok(Inspection::of_unsound(parts))
        }
    }
}

/// What the catalog was found to be.
enum Kept {
    /// Nothing that was ever written.
    Unwritten,
    /// Nothing to go on from, for this reason.
    Unusable(String),
    /// A file of a closed day that it names is damaged where it was not looked at in opening it.
    DayUnreadable(String),
    /// A fold with this digest.
    Folded([u8; 32]),
}

impl Kept {
    fn of(fold: &Fold, opened: crate::summary::Opened, had: bool) -> Self {
        match (opened.rebuilt_because, fold.digest()) {
            (Some(_), _) if !had || opened.is_unwritten => Self::Unwritten,
            (Some(reason), _) => Self::Unusable(reason),
            (None, Err(error)) => Self::DayUnreadable(error.to_string()),
            (None, Ok(digest)) => Self::Folded(digest),
        }
    }

    /// The catalog is behind the snapshot, as after a kill soon after that was taken: what is folded up
    /// to there cannot be made again to compare it.
    fn before_snapshot(self, watermark: Watermark, snapshot: Watermark) -> Part {
        const NAME: &str = "catalog";
        match self {
            Self::Unusable(reason) => Part::unsound(
                NAME,
                format!("{reason}; the next start goes on from the snapshot in its stead"),
            ),
            Self::DayUnreadable(error) => Part::unsound(NAME, error),
            Self::Unwritten | Self::Folded(_) => Part::sound(
                NAME,
                format!(
                    "has folded {} records, every value whole; the snapshot has {}",
                    watermark.0, snapshot.0
                ),
            ),
        }
    }

    /// Held against the fold of the journal, of which it claims the first `watermark` records.
    /// Where a day cannot be read it cannot be, and the archive has been told of already.
    fn part(self, watermark: Watermark, recovered: &Recovered) -> Option<Part> {
        const NAME: &str = "catalog";
        let (records, held) = (watermark.0, recovered.seen.records);
        Some(match self {
            Self::DayUnreadable(_) => return None,
            Self::Unwritten => Part::sound(NAME, "no checkpoint yet: the next start makes one"),
            Self::Unusable(reason) => Part::unsound(
                NAME,
                format!("{reason}; the next start, or `waag rebuild`, makes it again"),
            ),
            Self::Folded(digest) if Some(digest) == recovered.digest_at_mark || records == 0 => {
                Part::sound(NAME, format!("equals the fold of the first {records} records"))
            }
            Self::Folded(_) if records > held => Part::unsound(
                NAME,
                format!("it has folded {records} records, and the journal holds {held}"),
            ),
            Self::Folded(_) => Part::unsound(
                NAME,
                format!(
                    "it is not the fold of the first {records} records; `waag rebuild` makes it \
                     again"
                ),
            ),
        })
    }
}

/// Whether a journal that could not be read to its end is damaged, or only the settings are others
/// than the server's.
fn is_damage(error: &StartError) -> bool {
    let recover = match error {
        StartError::Recover(error) => Some(error),
        StartError::Journal(JournalError::Record { source, .. }) => source.downcast_ref(),
        _ => None,
    };
    match recover {
        Some(error) => !matches!(
            error,
            RecoverError::Full(_)
                | RecoverError::TimeZone { .. }
                | RecoverError::Fold(_)
                | RecoverError::Run(_)
                | RecoverError::Memory(_)
        ),
        None => matches!(error, StartError::Journal(_)),
    }
}

/// Throws catalog and runs away and makes them again.
///
/// # Errors
/// Where the journal cannot be read to its end, or the catalog not be written: nothing is thrown
/// away before the journal has been read.
pub fn rebuild(config: &Config) -> Result<Inspection, StartError> {
    let opened = Opened::of(config)?;
    let (catalog, archive) =
        (config.data_dir.join(folders::CATALOG), config.data_dir.join(folders::ARCHIVE));
    let identity = opened.secrets.identity();

    // Archive and journal first, into a folder of its own: damage must not cost the catalog.
    let sealed = opened.open_archive(config)?;
    let archive_part = check_archive(&sealed)?;
    let options = opened.fold_options(config, &sealed)?;
    if let Some(dropped) = options.dropped.as_ref().filter(|_| options.snapshot.is_none()) {
        let (day, why) = (dropped.day, dropped.without_snapshot.clone());
        let reason =
            "they would be thrown away; start the server once, which takes a snapshot".into();
        return Err(FoldError::Lost { reason, day, why }.into());
    }
    let outside = Passing::new()?;
    let had = has_files(&catalog);
    // A closed day that cannot be read makes what stands there unusable, as anything else would.
    let before = Fold::open(&catalog, &archive, &options, identity)
        .ok()
        .filter(|(.., kept)| kept.rebuilt_because.is_none())
        .and_then(|(fold, ..)| Some((fold.watermark(), fold.digest().ok()?)));
    let mark = before.map(|(watermark, _)| watermark);
    let fold = opened.own_fold(config, &outside, &options)?;
    let runs_folder = opened.runs(&config.data_dir.join(folders::RUNS));
    let kept_runs = KeptRuns::of(&runs_folder, sealed.dropped())?;
    let mut of_kept = None;
    if sealed.dropped().is_some() {
        let (kept, own) = ((&sealed, &fold), outside.0.join("kept"));
        of_kept = Some(opened.check_kept(config, kept, &own, &kept_runs, &runs_folder)?);
    }
    let boundaries = kept_runs.boundaries();
    let own_runs = opened.runs(&outside.0.join("runs"));
    let (from, digest) = (fold.watermark(), fold.digest()?);
    let runs = (own_runs.clone(), boundaries.clone(), kept_runs.truth_in(&runs_folder)?);
    let (checked, _) = opened.recover(config, &sealed, fold, mark, runs)?;
    drop(checked.fold);
    let runs_before = kept_runs.part(&own_runs, &opened.keys())?;
    if let Some(part) = of_kept.as_ref().filter(|part| !part.is_sound) {
        // What is truth is wrong: nothing that is made of it would be right.
        return Err(StartError::Kept { what: part.found.clone() });
    }

    let named = options.snapshot.as_deref().filter(|_| options.dropped.is_some());
    erase_derived(&catalog, &archive, named)?;
    let (fold, ..) = Fold::open(&catalog, &archive, &options, identity)?;
    let truth: Vec<_> = kept_runs.truth().iter().map(|run| run.path().to_owned()).collect();
    runs_folder.clear_but(&truth)?;
    let again = Opened { laws: opened.fresh_laws(config)?, ..opened };
    let runs = (runs_folder.clone(), boundaries, kept_runs.truth_in(&runs_folder)?);
    let (mut recovered, verified) = again.recover(config, &sealed, fold, mark, runs)?;
    if mark == Some(from) && from.0 > 0 {
        recovered.digest_at_mark = Some(digest);
    }
    recovered.fold.checkpoint()?;
    if let Some(newest) = recovered.fold.newest_day() {
        recovered.fold.close_days(newest)?;
    }
    let mut parts = vec![Part::sound("journal", tell(&verified, &recovered)), archive_part];
    parts.extend(of_kept);
    parts.push(match before {
        Some((watermark, _)) if watermark < from => Part::sound(
            "catalog",
            format!("made again from the snapshot of the first {} records", from.0),
        ),
        Some((_, digest)) if Some(digest) == recovered.digest_at_mark => {
            Part::sound("catalog", "made again, the same bit for bit")
        }
        Some((watermark, _)) => Part::sound(
            "catalog",
            format!("made again; what stood there at watermark {} was wrong", watermark.0),
        ),
        None if had => Part::sound("catalog", "made again; what stood there was unusable"),
        None => Part::sound("catalog", "made; there was none"),
    });
    let made = runs_folder.open()?.whole.len() - truth.len();
    parts.push(if runs_before.is_sound {
        Part::sound("runs", format!("{made} made again"))
    } else {
        Part::sound("runs", format!("{made} made again; what stood there was wrong"))
    });
    inspection(parts, &recovered)
}

fn inspection(parts: Vec<Part>, recovered: &Recovered) -> Result<Inspection, StartError> {
    let digest = recovered.fold.digest()?;
    Ok(Inspection {
        parts,
        records: recovered.seen.records,
        declarations: recovered.seen.declarations,
        accepted: recovered.seen.accepted,
        summaries_digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

fn tell(verified: &Verified, recovered: &Recovered) -> String {
    let tail = match &verified.torn {
        Some(torn) => format!(
            "the last group ({} bytes at byte {} of {}) was not completely written, and no answer \
             rests on it",
            torn.bytes,
            torn.offset,
            torn.path.display()
        ),
        None if verified.ended_clean => "ended cleanly".into(),
        None => "not ended cleanly, and whole".into(),
    };
    format!(
        "{} records in {} groups and {} segments ({} bytes), every outcome derived again; \
         {} declarations, {} accepted; {tail}",
        verified.records,
        verified.groups,
        verified.segments,
        verified.bytes,
        recovered.seen.declarations,
        recovered.seen.accepted
    )
}

/// Checks all of the archive.
fn check_archive(archive: &Archive) -> Result<Part, StartError> {
    let (mut sets, mut all) = (0, Checked::default());
    for set in archive.sets().iter() {
        all += archive.check(set)?;
        sets += 1;
    }
    let Checked { files, bytes, declarations, goods_items, findings, replays, .. } = all;
    let found = format!(
        "{sets} sets of {files} files ({bytes} bytes), every block whole and the tables in \
         agreement: {declarations} declarations with {goods_items} goods items and {findings} \
         findings, {replays} replays"
    );
    Ok(Part::sound("archive", found))
}

/// A data folder, locked, with what is needed to read it.
pub(super) struct Opened {
    pub(super) secrets: Secrets,
    secrets_part: SecretsPart,
    shelf: Shelf,
    pub(super) laws: Arc<Laws>,
    _lock: Arc<FolderLock>,
}

struct SecretsPart(Option<String>);

impl SecretsPart {
    fn clone_part(&self) -> Part {
        match &self.0 {
            None => Part::sound("secrets", "two whole files of the same keys"),
            Some(reason) => Part::unsound(
                "secrets",
                format!("{reason}; the next start mends it from the other file"),
            ),
        }
    }
}

impl Opened {
    pub(super) fn of(config: &Config) -> Result<Self, StartError> {
        config.check()?;
        let journal = config.data_dir.join(folders::JOURNAL);
        if !journal.is_dir() {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(io(if config.data_dir.join(folders::SECRETS).is_dir() {
                format!("{}: the journal is missing", journal.display())
            } else {
                format!("{}: no data folder", config.data_dir.display())
            })(source));
        }
        let lock = FolderLock::take(&config.data_dir)?;
        let (secrets, damaged) = Secrets::check(&config.data_dir.join(folders::SECRETS))?;
        let rules = config.data_dir.join(folders::RULES);
        Ok(Self {
            secrets,
            secrets_part: SecretsPart(damaged),
            shelf: Shelf::open(&rules)?,
            laws: Arc::new(Laws::over(Shelf::open(&rules)?)),
            _lock: Arc::new(lock),
        })
    }

    pub(super) fn fresh_laws(&self, config: &Config) -> Result<Arc<Laws>, StartError> {
        Ok(Arc::new(Laws::over(Shelf::open(&config.data_dir.join(folders::RULES))?)))
    }

    pub(super) fn keys(&self) -> Keys {
        Keys::new(self.secrets.prf(), self.secrets.digest())
    }

    fn runs(&self, dir: &Path) -> run::Folder {
        run::Folder::new(Arc::new(LocalDisk::new()), dir, self.secrets.identity())
    }

    /// Opens the archive, changing nothing.
    fn open_archive(&self, config: &Config) -> Result<Archive, StartError> {
        let options = options::archive_options(config, &self.secrets);
        let options = archive::Options { look_only: true, ..options };
        let root = config.data_dir.join(folders::ARCHIVE);
        Ok(Archive::open(Arc::new(LocalDisk::new()), &root, options)?.0)
    }

    fn fold_options(&self, config: &Config, archive: &Archive) -> Result<FoldOptions, StartError> {
        let root = config.data_dir.join(folders::ARCHIVE);
        resume::fold_options(&LocalDisk::new(), &root, archive, &self.secrets.identity())
    }

    /// A fold of nothing in `outside` or, where days are dropped, of what the snapshot has.
    fn own_fold(
        &self,
        config: &Config,
        outside: &Passing,
        options: &FoldOptions,
    ) -> Result<Fold, StartError> {
        let (catalog, archive) = (outside.0.join("own-catalog"), outside.0.join("own"));
        if options.dropped.is_some() {
            let from = config.data_dir.join(folders::ARCHIVE).join(SUMMARY_FOLDER);
            copy(&from, &archive.join(SUMMARY_FOLDER)).map_err(io(from.display()))?;
        }
        Ok(Fold::open(&catalog, &archive, options, self.secrets.identity())?.0)
    }

    /// Reads archive and journal, changing nothing of them, into `fold`; tables that are full, or are
    /// at one of the `boundaries`, are written into `runs`, a folder with none but `truth`: those that
    /// have what was dropped.
    fn recover(
        &self,
        config: &Config,
        archive: &Archive,
        fold: Fold,
        mark: Option<Watermark>,
        (runs, boundaries, truth): (run::Folder, Vec<Watermark>, Vec<Run>),
    ) -> Result<(Recovered, Verified), StartError> {
        LocalDisk::new().create_dir(runs.dir()).map_err(io(runs.dir().display()))?;
        let keys = self.keys();
        let covers = truth.last().map(|run| run.covers().clone());
        let index = runs::index(config, &config.check()?, keys.clone(), truth)?;
        let calendar = options::calendar(config)?;
        let preparers = (0..config.worker_count())
            .map(|_| Preparer::new(Bounds::NONE, calendar.clone(), keys.clone()))
            .collect();
        let laws = Arc::clone(&self.laws);
        let recoverer = Recoverer::new(
            index,
            laws,
            preparers,
            &config.time_zone,
            (fold, runs),
            engine::report(),
        );
        let recoverer = match &covers {
            Some(covers) => recoverer.after(covers)?,
            None => recoverer,
        };
        let mut recoverer = recoverer.with_mark(mark).with_boundaries(boundaries);
        let journal = config.data_dir.join(folders::JOURNAL);
        let extent = journal::extent(&LocalDisk::new(), &journal, &self.secrets.identity())?;
        resume::check_beginning(archive, extent)?;
        if let Some(extent) = extent {
            recoverer.read_archive(archive, extent.first_record)?;
        }
        let verified = journal::verify(
            &LocalDisk::new(),
            &journal,
            Some(self.secrets.identity()),
            &mut |record| recoverer.take(&record).map_err(Into::into),
        )?;
        Ok((recoverer.finish()?, verified))
    }
}

/// A folder that goes when this does.
struct Passing(PathBuf);

impl Passing {
    fn new() -> Result<Self, StartError> {
        // A name that nobody can have taken before, left over or on purpose.
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(SecretsError::Random)?;
        let name = format!("waag-inspect-{:016x}", u64::from_le_bytes(random));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(io(path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a passing folder was not removed");
        }
    }
}

fn has_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

pub(super) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    if !from.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
