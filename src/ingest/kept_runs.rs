//! The runs of the data folder that is looked at, held against those that its journal makes.

use super::inspect::Part;
use super::start_error::StartError;
use crate::id::Watermark;
use crate::index::run;
use crate::wire::digest::Keys;

/// The runs of the data folder.
pub(super) struct KeptRuns(run::Found);

impl KeptRuns {
    pub(super) fn of(folder: run::Folder) -> Result<Self, StartError> {
        Ok(Self(folder.open()?))
    }

    /// Where they end: a table that is frozen there too makes runs of the same records.
    pub(super) fn boundaries(&self) -> Vec<Watermark> {
        self.0.whole.iter().map(|run| run.covers().last_record).collect()
    }

    /// Held against those that the journal made in `own`, tables of any size: what they answer is
    /// compared, not how they are divided. What was made there of the records after the last run tells
    /// nothing.
    pub(super) fn part(&self, own: &run::Folder, keys: &Keys) -> Result<Part, StartError> {
        const NAME: &str = "runs";
        let again = "; the next start, or `waag rebuild`, makes it again";
        if let Some((path, why)) = self.0.others.first() {
            return Ok(Part::unsound(NAME, format!("{}: {why}{again}", path.display())));
        }
        let kept = &self.0.whole;
        let (mut entries, mut bytes) = (0, 0);
        for run in kept {
            if let Err(error) = run.verify() {
                return Ok(Part::unsound(NAME, error.to_string()));
            }
            (entries, bytes) = (entries + run.entries(), bytes + run.bytes());
        }
        let mut made = own.open()?.whole;
        let until = kept.last().map_or(Watermark(0), |newest| newest.covers().last_record);
        made.retain(|made| made.covers().last_record <= until);
        if let Some(what) = run::difference(kept, &made, keys)? {
            let found = format!("{what} is not what the journal makes of its records");
            return Ok(Part::unsound(NAME, format!("{found}; `waag rebuild` makes them again")));
        }
        let count = kept.len();
        let all = format!("{count} with {entries} keys ({bytes} bytes), every page whole");
        Ok(Part::sound(NAME, format!("{all}; the same as the journal makes of its records")))
    }
}
