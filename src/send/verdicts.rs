//! The verdict file, and the progress beside it.
//!
//! A line of the verdict file is the contract's `Verdict` in protobuf JSON, with `declarant` and `lrn` as the input
//! has them; or, of a declaration that the service does not store, `declarant`, `lrn` and `refusal` with code,
//! message and field. The progress file, `X.progress` beside `X`, is
//!
//! ```text
//! waag send progress 1
//! DECLARATIONS BYTES CHECK DIGEST
//! ...
//! ```
//!
//! with a line for each batch, written after its verdicts: all declarations and bytes of verdicts so far, CRC32C of
//! these bytes, and the digest of the input up to there (32 digits). The last line counts whose bytes are there and
//! have its check; what is behind them, in either file, is cut off. So a crash of the program at any byte does no harm;
//! after a crash of the machine, what the disk did not get is asked for again.

use std::fs::{File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crc32c::crc32c_append;
use serde::Serialize;

use super::cutter::Mark;
use super::tally::{Tally, first_answer};
use crate::client::Batch;
use crate::proto::v1::{BatchRefusal, Verdict};

/// First line of a progress file.
const HEAD: &str = "waag send progress 1\n";
/// Bytes of a line of a progress file at most.
const LINE_BYTES_MAX: u64 = 128;

/// Why verdicts are not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerdictsError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{verdicts} is there without {progress}, so nobody knows how far it goes: move it away, or begin anew with --anew"
    )]
    NoProgress { verdicts: PathBuf, progress: PathBuf },
    #[error(
        "{path} does not begin with {HEAD:?}: another version of waag has written it, or another program"
    )]
    Head { path: PathBuf },
    #[error("{path} is being written by another `waag send`: wait for it to end")]
    InUse { path: PathBuf },
}

/// What was written after a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Step {
    mark: Mark,
    bytes: u64,
    check: u32,
}

impl Step {
    fn line(&self) -> String {
        let Mark { declarations, digest: [high, low] } = self.mark;
        format!("{declarations} {} {:08x} {high:016x}{low:016x}\n", self.bytes, self.check)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_suffix('\n')?.split(' ');
        let mut word = || words.next();
        let (declarations, bytes) = (word()?.parse().ok()?, word()?.parse().ok()?);
        let (check, digest) = (u32::from_str_radix(word()?, 16).ok()?, word()?);
        let (high, low) = digest.split_at_checked(16).filter(|_| digest.len() == 32)?;
        let half = |half| u64::from_str_radix(half, 16).ok();
        let mark = Mark { declarations, digest: [half(high)?, half(low)?] };
        word().is_none().then_some(Self { mark, bytes, check })
    }
}

/// A line of verdicts.
#[derive(Serialize)]
struct VerdictLine<'a> {
    declarant: &'a str,
    lrn: &'a str,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

#[derive(Serialize)]
struct RefusalLine<'a> {
    declarant: &'a str,
    lrn: &'a str,
    refusal: Refused<'a>,
}

#[derive(Serialize)]
struct Refused<'a> {
    code: i32,
    message: &'a str,
    field: &'a str,
}

/// A verdict file that is being written.
#[derive(Debug)]
pub(super) struct VerdictFile {
    path: PathBuf,
    verdicts: File,
    progress: File,
    last: Step,
    /// Lines of the batch under way.
    lines: Vec<u8>,
}

fn progress_path(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".progress");
    path.into()
}

impl VerdictFile {
    /// Opens `path`, and makes it where it is missing; gives what is answered already and what came of it.
    ///
    /// # Errors
    /// Where it cannot be read or written, or is not what it must be.
    pub(super) fn open(path: &Path, is_anew: bool) -> Result<(Self, Mark, Tally), VerdictsError> {
        let io = |source| VerdictsError::Io { path: path.into(), source };
        let progress_path = progress_path(path);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let verdicts = options.open(path).map_err(io)?;
        match verdicts.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(VerdictsError::InUse { path: path.into() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let has_progress = progress_path.exists();
        if !has_progress && !is_anew && verdicts.metadata().map_err(io)?.len() > 0 {
            let verdicts = path.into();
            return Err(VerdictsError::NoProgress { verdicts, progress: progress_path });
        }
        let progress_io = |source| VerdictsError::Io { path: progress_path.clone(), source };
        let progress = options.open(&progress_path).map_err(progress_io)?;
        let mut file = Self {
            path: path.into(),
            verdicts,
            progress,
            last: Step::default(),
            lines: Vec::new(),
        };
        if is_anew {
            file.verdicts.set_len(0).map_err(io)?;
            file.progress.set_len(0).map_err(progress_io)?;
        }
        let tally = match file.go_on().map_err(progress_io)? {
            Some(tally) => tally,
            None => return Err(VerdictsError::Head { path: progress_path.clone() }),
        };
        let mark = file.last.mark;
        Ok((file, mark, tally))
    }

    /// Finds the last step that is whole, cuts off what is behind it, and adds up what is before; none where the
    /// progress file is no such file.
    fn go_on(&mut self) -> io::Result<Option<Tally>> {
        let mut steps = BufReader::new(&self.progress);
        let mut verdicts = BufReader::new(&self.verdicts);
        let written = self.verdicts.metadata()?.len();
        let mut tally = Tally::default();
        let mut line = String::new();
        steps.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)?;
        // Cut off while it was made, before there was any verdict.
        let is_torn = HEAD.starts_with(&line) && line != HEAD;
        if line != HEAD && !is_torn {
            return Ok(None);
        }
        let mut progress_bytes = if is_torn { 0 } else { HEAD.len() as u64 };
        let mut last = Step::default();
        let mut lines = Vec::new();
        loop {
            line.clear();
            // Whatever is no text is no step either.
            let read = steps.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).unwrap_or(0);
            let Some(step) = Step::parse(&line).filter(|_| read > 0) else { break };
            let Some(more) = step.bytes.checked_sub(last.bytes) else { break };
            if step.bytes > written {
                break;
            }
            lines.clear();
            verdicts.by_ref().take(more).read_to_end(&mut lines)?;
            if crc32c_append(last.check, &lines) != step.check {
                break;
            }
            tally.add_lines(&lines)?;
            progress_bytes += read as u64;
            last = step;
        }
        self.last = last;
        self.verdicts.set_len(last.bytes)?;
        self.verdicts.seek(SeekFrom::Start(last.bytes))?;
        self.progress.set_len(progress_bytes)?;
        self.progress.seek(SeekFrom::Start(progress_bytes))?;
        if progress_bytes == 0 {
            self.progress.write_all(HEAD.as_bytes())?;
        }
        Ok(Some(tally))
    }

    /// Takes the answers to all declarations of a batch, or of a part of one; counts in `tally`, and gives how many
    /// are replays.
    pub(super) fn add(
        &mut self,
        batch: &Batch,
        verdicts: Vec<Verdict>,
        tally: &mut Tally,
    ) -> Result<u64, VerdictsError> {
        let mut replays = 0;
        let declarant = &batch.lodger().declarant;
        for (lrn, verdict) in batch.lrns().zip(verdicts) {
            replays += u64::from(verdict.outcome() == crate::proto::v1::Outcome::Replayed);
            let verdict = first_answer(verdict);
            tally.add(&verdict);
            self.line(&VerdictLine { declarant, lrn, verdict: &verdict })?;
        }
        Ok(replays)
    }

    /// The same for one that is refused.
    pub(super) fn add_refused(
        &mut self,
        batch: &Batch,
        refusal: &BatchRefusal,
        tally: &mut Tally,
    ) -> Result<(), VerdictsError> {
        let BatchRefusal { code, message, field, .. } = refusal;
        let declarant = &batch.lodger().declarant;
        for lrn in batch.lrns() {
            tally.add_refused();
            let refusal = Refused { code: *code, message, field };
            self.line(&RefusalLine { declarant, lrn, refusal })?;
        }
        Ok(())
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), VerdictsError> {
        let written = serde_json::to_writer(&mut self.lines, line);
        self.lines.push(b'\n');
        written.map_err(|error| VerdictsError::Io { path: self.path.clone(), source: error.into() })
    }

    /// Writes what was added since the last step: all of the declarations up to `mark`.
    pub(super) fn step(&mut self, mark: Mark) -> Result<(), VerdictsError> {
        let bytes = self.last.bytes + self.lines.len() as u64;
        let check = crc32c_append(self.last.check, &self.lines);
        self.last = Step { mark, bytes, check };
        let written = self
            .verdicts
            .write_all(&self.lines)
            .and_then(|()| self.progress.write_all(self.last.line().as_bytes()));
        self.lines.clear();
        written.map_err(|source| VerdictsError::Io { path: self.path.clone(), source })
    }

    /// On the disk, with all that is in it.
    pub(super) fn sync(&self) -> Result<(), VerdictsError> {
        let synced = self.verdicts.sync_all().and_then(|()| self.progress.sync_all());
        synced.map_err(|source| VerdictsError::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::client::Lodger;
    use crate::proto::v1::{Declaration, Finding, Outcome, Severity};

    fn verdict(outcome: Outcome) -> Verdict {
        let finding = Finding {
            reason: "FIELD_MISSING".into(),
            severity: Severity::Reject.into(),
            ..Finding::default()
        };
        Verdict {
            outcome: outcome.into(),
            findings: vec![finding; usize::from(outcome == Outcome::Rejected) * 2],
            ..Verdict::default()
        }
    }

    fn batch(lrns: &[&str]) -> Batch {
        let mut batch = Batch::new("b", Lodger::declarant("NL810000003"));
        for &lrn in lrns {
            batch.push(&Declaration { lrn: lrn.into(), ..Declaration::default() });
        }
        batch
    }

    fn mark(declarations: u64) -> Mark {
        Mark { declarations, digest: [declarations, 7] }
    }

    /// Writes three batches, of 2, 1 and 1 declarations, from where the file is.
    fn fill(path: &Path) -> (Vec<u8>, Vec<u8>, Tally) {
        let (mut file, at, mut tally) = VerdictFile::open(path, false).unwrap();
        if at.declarations < 2 {
            let verdicts = vec![verdict(Outcome::Accepted), verdict(Outcome::Rejected)];
            file.add(&batch(&["1", "2"]), verdicts, &mut tally).unwrap();
            file.step(mark(2)).unwrap();
        }
        if at.declarations < 3 {
            let refusal = BatchRefusal { code: 3, ..BatchRefusal::default() };
            file.add_refused(&batch(&["3"]), &refusal, &mut tally).unwrap();
            file.step(mark(3)).unwrap();
        }
        if at.declarations < 4 {
            file.add(&batch(&["4"]), vec![verdict(Outcome::Conflict)], &mut tally).unwrap();
            file.step(mark(4)).unwrap();
        }
        file.sync().unwrap();
        let progress = std::fs::read(progress_path(path)).unwrap();
        (std::fs::read(path).unwrap(), progress, tally)
    }

    #[test]
    fn cut_off_at_any_byte_of_either_file_it_goes_on_to_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.jsonl");
        let (verdicts, progress, tally) = fill(&path);
        assert_eq!((tally.declarations, tally.accepted, tally.rejected), (4, 1, 1));
        assert_eq!((tally.refused, tally.conflicts), (1, 1));
        let found = tally.reasons.values().next().unwrap();
        assert_eq!((found.declarations, found.findings), (1, 2));
        for cut in 0..=verdicts.len() {
            std::fs::write(&path, &verdicts[..cut]).unwrap();
            std::fs::write(progress_path(&path), &progress).unwrap();
            assert_eq!(fill(&path), (verdicts.clone(), progress.clone(), tally.clone()), "{cut}");
        }
        for cut in 0..=progress.len() {
            std::fs::write(&path, &verdicts).unwrap();
            std::fs::write(progress_path(&path), &progress[..cut]).unwrap();
            assert_eq!(fill(&path), (verdicts.clone(), progress.clone(), tally.clone()), "{cut}");
        }
    }

    #[test]
    fn what_was_not_written_so_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.jsonl");
        let (verdicts, progress, tally) = fill(&path);
        let end = verdicts.iter().rposition(|byte| *byte == b'{').unwrap();
        for place in [1, end] {
            let mut other = verdicts.clone();
            other[place] ^= 1;
            std::fs::write(&path, other).unwrap();
            assert_eq!(fill(&path), (verdicts.clone(), progress.clone(), tally.clone()));
        }
    }

    #[test]
    fn a_file_of_another_program_and_one_in_use_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.jsonl");
        std::fs::write(&path, "mine\n").unwrap();
        let error = VerdictFile::open(&path, false).unwrap_err();
        assert!(matches!(error, VerdictsError::NoProgress { .. }), "{error}");
        std::fs::write(progress_path(&path), "mine\n").unwrap();
        let error = VerdictFile::open(&path, false).unwrap_err();
        assert!(matches!(error, VerdictsError::Head { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine\n");
        let (file, at, _) = VerdictFile::open(&path, true).unwrap();
        assert_eq!(at, Mark::default());
        let error = VerdictFile::open(&path, true).unwrap_err();
        assert!(matches!(error, VerdictsError::InUse { .. }), "{error}");
        drop(file);
        VerdictFile::open(&path, false).unwrap();
    }

    #[test]
    fn a_replay_is_written_as_its_first_answer() {
        let folder = tempfile::tempdir().unwrap();
        let written = |name: &str, outcome: Outcome, replay_of: Outcome| {
            let path = folder.path().join(name);
            let (mut file, _, mut tally) = VerdictFile::open(&path, false).unwrap();
            let verdict = Verdict {
                mrn: "26NLYQH35T4DKWJAR2".into(),
                replay_of: replay_of.into(),
                ..verdict(outcome)
            };
            let replays = file.add(&batch(&["1"]), vec![verdict], &mut tally).unwrap();
            file.step(mark(1)).unwrap();
            (std::fs::read_to_string(&path).unwrap(), tally, replays)
        };
        let (first, tally, replays) = written("a", Outcome::Accepted, Outcome::Unspecified);
        let expected = "{\"declarant\":\"NL810000003\",\"lrn\":\"1\",\"outcome\":\"OUTCOME_ACCEPTED\",\
                        \"mrn\":\"26NLYQH35T4DKWJAR2\"}\n";
        assert_eq!((first.as_str(), tally.accepted, replays), (expected, 1, 0));
        let (again, tally, replays) = written("b", Outcome::Replayed, Outcome::Accepted);
        assert_eq!((again, tally.accepted, replays), (first, 1, 1));
    }
}
