//! The runs of the data folder that is looked at, held against those that its journal makes.

use super::inspect::Part;
use super::kept_days::end_of;
use super::recover::RecoverError;
use super::runs;
use super::start_error::StartError;
use crate::day::Day;
use crate::id::Watermark;
use crate::index::run::{self, Run};
use crate::wire::digest::Keys;

/// The runs of the data folder.
pub(super) struct KeptRuns {
    found: run::Found,
    /// Those of them that have what was dropped: nothing else makes them again.
    truth: usize,
}

impl KeptRuns {
    /// Where `dropped` is the last record of days that are dropped, and its day, there must be runs of
    /// all records up to it.
    pub(super) fn of(
        folder: &run::Folder,
        dropped: Option<(Watermark, Day)>,
    ) -> Result<Self, StartError> {
        let found = folder.open()?;
        let Some((through, day)) = dropped else { return Ok(Self { found, truth: 0 }) };
        let truth = found.whole.iter().take_while(|run| run.covers().first_record <= through);
        let truth: Vec<_> = truth.collect();
        let newest = truth.last().map_or(Watermark(0), |run| run.covers().last_record);
        if newest < through {
            let why = runs::why_lost(&found, newest, Watermark(u64::MAX));
            return Err(RecoverError::Dropped { day, why }.into());
        }
        let truth = truth.len();
        Ok(Self { found, truth })
    }

    /// Those that have what was dropped, oldest first.
    pub(super) fn truth(&self) -> &[Run] {
        self.found.whole.get(..self.truth).unwrap_or_default()
    }

    /// The same, opened once more from their folder.
    pub(super) fn truth_in(&self, folder: &run::Folder) -> Result<Vec<Run>, StartError> {
        let mut runs = folder.open()?.whole;
        runs.truncate(self.truth);
        Ok(runs)
    }

    fn derived(&self) -> &[Run] {
        self.found.whole.get(self.truth..).unwrap_or_default()
    }

    /// Where they end: a table that is frozen there too makes runs of the same records.
    pub(super) fn boundaries(&self) -> Vec<Watermark> {
        self.derived().iter().map(|run| run.covers().last_record).collect()
    }

    /// Held against those that the journal made in `own`, tables of any size: what they answer is
    /// compared, not how they are divided. What was made there of the records after the last run tells
    /// nothing.
    pub(super) fn part(&self, own: &run::Folder, keys: &Keys) -> Result<Part, StartError> {
        const NAME: &str = "runs";
        let again = "; the next start, or `waag rebuild`, makes it again";
        if let Some((path, why)) = self.found.others.first() {
            return Ok(Part::unsound(NAME, format!("{}: {why}{again}", path.display())));
        }
        let kept = &self.found.whole;
        let (mut entries, mut bytes) = (0, 0);
        for run in kept {
            if let Err(error) = run.verify() {
                return Ok(Part::unsound(NAME, error.to_string()));
            }
            (entries, bytes) = (entries + run.entries(), bytes + run.bytes());
        }
        let mut made = own.open_after(end_of(self.truth()))?.whole;
        let until = kept.last().map_or(Watermark(0), |newest| newest.covers().last_record);
        made.retain(|made| made.covers().last_record <= until);
        if let Some(what) = run::difference(self.derived(), &made, keys)? {
            let found = format!("{what} is not what the journal makes of its records");
            return Ok(Part::unsound(NAME, format!("{found}; `waag rebuild` makes them again")));
        }
        let count = kept.len();
        let all = format!("{count} with {entries} keys ({bytes} bytes), every page whole");
        if self.truth > 0 {
            let truth = self.truth;
            let found = format!(
                "{all}; {truth} have keys of days that are dropped, and the others are the same as the \
                 journal makes of their records"
            );
            return Ok(Part::sound(NAME, found));
        }
        Ok(Part::sound(NAME, format!("{all}; the same as the journal makes of its records")))
    }
}
