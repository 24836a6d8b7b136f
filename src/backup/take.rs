//! Taking the backup of journal, archive and what outlives dropped days, while all of them change.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::error::{BackupError, io};
use super::moment::{Moment, Outlives, Source};
use super::target::{Target, Written};
use super::{CHUNK_BYTES, Progress};
use crate::archive::{ListedFile, ListedSet};
use crate::day::Day;
use crate::id::Watermark;
use crate::index::run::RunError;
use crate::ingest::engine::folders;
use crate::journal::JournalError;
use crate::summary::snapshot_path;

/// What is wrong so many times one after another, in the same words, is wrong, and not only changing.
const SAME_MAX: u32 = 3;
/// So often the data folder may have changed. It does so each time a day is dropped or a run merged, of
/// which there are a few in a minute at most.
const TRIES_MAX: u32 = 100;
/// Before the next one, so that what was changing has changed.
const AGAIN: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });
/// What was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// The last record of the journal.
    pub(super) records: Watermark,
    /// The last one of the archive.
    pub(super) sealed: Watermark,
    /// The newest day that is dropped.
    pub(super) dropped_through: Option<Day>,
}

/// Copies what is there to `target`, synced but for names.
///
/// # Errors
/// See [`BackupError`].
pub(super) fn take(
    source: &Source,
    target: &mut Target,
    progress: &mut dyn FnMut(Progress),
) -> Result<Taken, BackupError> {
    let mut taking = Taking { source, target, progress, bytes: 0 };
    patiently(|| taking.most())?;
    patiently(|| taking.all())
}

/// Tries until it succeeds, or what is wrong is not only changing.
pub(super) fn patiently<T>(
    mut attempt: impl FnMut() -> Result<T, BackupError>,
) -> Result<T, BackupError> {
    let (mut tries, mut same) = (0, 0);
    let mut last = String::new();
    loop {
        let error = match attempt() {
            Ok(done) => return Ok(done),
            // Nothing that changes of itself.
            Err(error @ BackupError::Place(_)) => return Err(error),
            Err(error) => error,
        };
        let told = error.to_string();
        same = if told == last { same + 1 } else { 1 };
        tries += 1;
        if same >= SAME_MAX {
            return Err(error);
        }
        if tries >= TRIES_MAX {
            return Err(BackupError::Restless { tries, last: Box::new(error) });
        }
        tracing::debug!(%error, "the data folder is looked at anew");
        last = told;
        std::thread::sleep(AGAIN);
    }
}

struct Taking<'a> {
    source: &'a Source,
    target: &'a mut Target,
    progress: &'a mut dyn FnMut(Progress),
    /// Of all that is to be copied.
    bytes: u64,
}

/// How a file must end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// CRC32C of the whole.
    Check(u32),
    /// Its last bytes, which are a check over the rest.
    End([u8; 4]),
}

impl Taking<'_> {
    /// Copies the archive, most of what there is, without holding anything of the journal meanwhile.
    fn most(&mut self) -> Result<(), BackupError> {
        let Moment { sets, .. } = self.look()?;
        sets.iter().try_for_each(|listed| self.set(listed).map(drop))
    }

    fn look(&mut self) -> Result<Moment, BackupError> {
        let moment = Moment::of(self.source)?;
        self.bytes = moment.bytes();
        let (_, written) = self.target.written();
        self.target.expect_room(self.bytes.saturating_sub(written))?;
        Ok(moment)
    }

    /// Copies what is missing still, the journal last, and removes what has gone meanwhile.
    fn all(&mut self) -> Result<Taken, BackupError> {
        let moment = self.look()?;
        let (sealed, known) = (moment.sealed(), moment.known());
        let mut names = BTreeSet::new();
        for listed in &moment.sets {
            names.extend(self.set(listed)?);
            names.insert(self.archive_file(&listed.set_file)?);
        }
        let dropped_through = moment.outlives.as_ref().map(|outlives| outlives.day);
        if let Some(outlives) = &moment.outlives {
            names.extend(self.outlives(outlives)?);
        }

        let (folder, journal) = (Path::new(folders::JOURNAL), moment.journal);
        let path = self.target.folder(folder)?;
        let disk = std::sync::Arc::clone(self.target.disk());
        let mut copied = Vec::new();
        let records = journal.copy(&*disk, &path, &mut |segment| {
            copied.push(segment.name.clone());
            let written = Written { bytes: segment.bytes, check: segment.check };
            self.target.note(name_of(&folder.join(segment.name)), written);
            self.tell();
        });
        let records = records.map_err(|error| self.of_journal(error))?;
        names.extend(copied.into_iter().map(|name| name_of(&folder.join(name))));
        if records < known {
            return Err(BackupError::Unfit(format!(
                "the journal ends with record {}, and archive and summaries have {}",
                records.0, known.0
            )));
        }
        self.target.keep_only(&names)?;
        Ok(Taken { records, sealed, dropped_through })
    }

    /// The files of a set, the set file apart. Returns their names.
    fn set(&mut self, listed: &ListedSet) -> Result<Vec<String>, BackupError> {
        listed.files.iter().map(|file| self.archive_file(file)).collect()
    }

    fn archive_file(&mut self, file: &ListedFile) -> Result<String, BackupError> {
        let path = Path::new(folders::ARCHIVE).join(&file.path);
        let name = name_of(&path);
        if self.target.has(&name) != Some(Written { bytes: file.bytes, check: file.check }) {
            self.copy(&path, file.bytes, Proof::Check(file.check))?;
        }
        Ok(name)
    }

    fn outlives(&mut self, outlives: &Outlives) -> Result<Vec<String>, BackupError> {
        let mut names = Vec::new();
        for (path, bytes, end) in &outlives.day_files {
            self.copy(path, *bytes, Proof::End(*end))?;
            names.push(name_of(path));
        }
        let snapshot = name_of(&snapshot_path(Path::new(folders::ARCHIVE)));
        self.target.put(&snapshot, &outlives.snapshot)?;
        names.push(snapshot);
        for run in &outlives.runs {
            let name = name_of(&Path::new(folders::RUNS).join(run.file_name()));
            if self.target.has(&name).is_none_or(|written| written.bytes != run.bytes()) {
                let mut writing = self.target.begin(&name)?;
                match run.read(&mut |bytes| writing.append(bytes)) {
                    Err(RunError::Io { doing: "copying", source, .. }) => {
                        return Err(io("writing", writing.path())(source).into());
                    }
                    read => read?,
                }
                writing.end()?;
                self.tell();
            }
            names.push(name);
        }
        Ok(names)
    }

    /// Copies a file of the data folder that no longer changes.
    fn copy(&mut self, path: &Path, bytes: u64, proof: Proof) -> Result<(), BackupError> {
        let from = self.source.root.join(path);
        let reading = |error| BackupError::Read(io("reading", &from)(error));
        let file = self.source.disk.open_parts(&from).map_err(reading)?;
        let damaged = |what| Err(BackupError::Damaged { path: from.clone(), what });
        let found = file.len().map_err(reading)?;
        if found != bytes {
            return damaged(format!("it has {found} bytes, and {bytes} were written"));
        }
        let (_, before) = self.target.written();
        let mut writing = self.target.begin(&name_of(path))?;
        let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(bytes).unwrap_or(CHUNK_BYTES))];
        let (mut at, mut end) = (0, [0; 4]);
        while at < bytes {
            let now = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(chunk.len());
            let now = chunk.get_mut(..now).unwrap_or_default();
            file.read_at(at, now).map_err(reading)?;
            writing.append(now).map_err(|error| io("writing", writing.path())(error))?;
            at += now.len() as u64;
            end = end_of(end, now);
            (self.progress)(Progress { bytes: (before + at).min(self.bytes), of: self.bytes });
        }
        let written = writing.end()?;
        let is_proven = match proof {
            Proof::Check(check) => written.check == check,
            Proof::End(expected) => end == expected,
        };
        if is_proven { Ok(()) } else { damaged("its check fails".to_owned()) }
    }

    /// An error of the journal's copy, which may be of either side.
    fn of_journal(&self, error: JournalError) -> BackupError {
        match error {
            JournalError::Io { action, path, source } if path.starts_with(self.target.root()) => {
                io(action, &path)(source).into()
            }
            error => error.into(),
        }
    }

    fn tell(&mut self) {
        let (_, written) = self.target.written();
        (self.progress)(Progress { bytes: written.min(self.bytes), of: self.bytes });
    }
}

/// The last bytes of what ends with `before` and then has `bytes`.
fn end_of(before: [u8; 4], bytes: &[u8]) -> [u8; 4] {
    match bytes.last_chunk() {
        Some(end) => *end,
        None => [&before[..], bytes].concat().last_chunk().copied().unwrap_or(before),
    }
}

/// As it stands in a manifest.
fn name_of(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}
