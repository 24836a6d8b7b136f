//! `waag verify`: looking at a data folder that no server holds.
//!
//! The whole journal is read and every batch judged again, as recovery does: outcomes that come
//! out otherwise than they stand there are damage. Nothing is changed in the folder: what is folded goes
//! into a folder of its own, and a copy of the catalog is opened, since opening one may mend it.
//!
//! Where days of the archive are dropped, the snapshot of the summaries and the runs that have the keys
//! of these days are truth: they are held against what is kept of the same records (`kept_days`), and the
//! rest is derived from there on.

use serde::Serialize;

use super::data_folder::{DataFolder, Passing, copy, has_files};
use super::engine::{StartError, folders};
use super::kept_runs::KeptRuns;
use super::recover::{RecoverError, Recovered};
use super::start_error::io;
use crate::archive::{Archive, Checked};
use crate::audit;
use crate::book;
use crate::config::Config;
use crate::id::Watermark;
use crate::insight;
use crate::journal::{JournalError, Verified};
use crate::summary::{Fold, FoldDigest, FoldError, SUMMARY_FOLDER};

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
    let opened = DataFolder::of(config)?;
    let mut parts = vec![match &opened.secrets_damage {
        None => Part::sound("secrets", "two whole files of the same keys"),
        Some(reason) => Part::unsound(
            "secrets",
            format!("{reason}; the next start mends it from the other file"),
        ),
    }];
    parts.push(match opened.shelf.verify() {
        Ok(report) if report.problems.is_empty() => Part::sound(
            "rules",
            format!("{} files in {} lists, as their hashes say", report.files, report.lists),
        ),
        Ok(report) => Part::unsound("rules", report.problems.join("; ")),
        Err(error) => Part::unsound("rules", error.to_string()),
    });
    parts.push(check_audit(config));
    parts.extend(book::KINDS.iter().filter_map(|kind| check_book(kind, config)));
    parts.extend(check_findings(config, opened.secrets.identity()));

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
        let digest = fold.digests()?;
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

/// A book, where there is anything in it.
fn check_book(kind: &book::Kind, config: &Config) -> Option<Part> {
    match (kind.check)(&kind.path_in(&config.data_dir)) {
        Ok(found) if found.versions == 0 && found.torn_bytes == 0 => None,
        Ok(found) => {
            let (versions, of) = (found.versions, found.things);
            let torn = match found.torn_bytes {
                0 => String::new(),
                bytes => format!("; {bytes} bytes at the end were being written"),
            };
            let told = format!("{of} in {versions} versions, every line whole{torn}");
            Some(Part::sound(kind.folder, told))
        }
        Err(error) => Some(Part::unsound(kind.folder, error.to_string())),
    }
}

/// What is found after acceptance: every byte as it was written. Whether it is what the archive makes is for
/// `waag rebuild`, which makes it again, to say.
fn check_findings(config: &Config, identity: [u8; 16]) -> Option<Part> {
    const NAME: &str = "findings";
    match insight::verify(&config.data_dir.join(folders::INSIGHT), identity) {
        Ok(None) => None,
        Ok(Some((days, watermark))) => {
            let found = format!("{days} days, of the first {} records, whole", watermark.0);
            Some(Part::sound(NAME, found))
        }
        Err(error) => {
            Some(Part::unsound(NAME, format!("{error}; `waag rebuild` makes them again")))
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
    /// A fold with this digest, and the last record whose figures are not complete in it.
    Folded(FoldDigest, Watermark),
}

impl Kept {
    fn of(fold: &Fold, opened: crate::summary::Opened, had: bool) -> Self {
        match (opened.rebuilt_because, fold.digests()) {
            (Some(_), _) if !had || opened.is_unwritten => Self::Unwritten,
            (Some(reason), _) => Self::Unusable(reason),
            (None, Err(error)) => Self::DayUnreadable(error.to_string()),
            (None, Ok(digest)) => Self::Folded(digest, fold.complete_after()),
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
            Self::Unwritten | Self::Folded(..) => Part::sound(
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
            Self::Folded(digest, after)
                if recovered.digest_at_mark.is_some_and(|own| own.agrees_with(&digest))
                    || records == 0 =>
            {
                let equal = format!("equals the fold of the first {records} records");
                Part::sound(
                    NAME,
                    if after == Watermark(0) {
                        equal
                    } else {
                        format!("{equal}{}", lacking(after))
                    },
                )
            }
            Self::Folded(..) if records > held => Part::unsound(
                NAME,
                format!("it has folded {records} records, and the journal holds {held}"),
            ),
            Self::Folded(..) => Part::unsound(
                NAME,
                format!(
                    "it is not the fold of the first {records} records; `waag rebuild` makes it \
                     again"
                ),
            ),
        })
    }
}

/// What a catalog that an older version began does not have.
fn lacking(after: Watermark) -> String {
    format!(
        ", as far as the version before folded the first {} of them: figures by fallback reference, delays, and \
         goods by code, description and origin count from there on; `waag rebuild` makes those before",
        after.0
    )
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
                | RecoverError::NoTable { .. }
                | RecoverError::TimeZone { .. }
                | RecoverError::Fold(_)
                | RecoverError::Run(_)
                | RecoverError::Memory(_)
        ),
        None => matches!(error, StartError::Journal(_)),
    }
}

/// What was found in `parts`, with what was recovered.
pub(super) fn inspection(
    parts: Vec<Part>,
    recovered: &Recovered,
) -> Result<Inspection, StartError> {
    let digest = recovered.fold.digest()?;
    Ok(Inspection {
        parts,
        records: recovered.seen.records,
        declarations: recovered.seen.declarations,
        accepted: recovered.seen.accepted,
        summaries_digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// What was read of the journal, in a sentence.
pub(super) fn tell(verified: &Verified, recovered: &Recovered) -> String {
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

/// Checks every hash of the audit log. An end that was cut off can only be told by who kept a hash of it.
fn check_audit(config: &Config) -> Part {
    const NAME: &str = "audit";
    match audit::check::read(&config.data_dir.join(audit::FOLDER), |_, _| {}) {
        Ok((head, None)) => {
            Part::sound(NAME, format!("{} entries, every hash right; the last is {head}", head.n))
        }
        Ok((head, Some(torn))) => Part::sound(
            NAME,
            format!(
                "{} entries, every hash right; behind byte {} of {} a line was not completely written, \
                 and nobody was answered on it",
                head.n,
                torn.whole,
                torn.path.display()
            ),
        ),
        Err(error) => Part::unsound(NAME, error.to_string()),
    }
}

/// Checks all of the archive.
pub(super) fn check_archive(archive: &Archive) -> Result<Part, StartError> {
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
