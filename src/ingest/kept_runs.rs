//! The runs of a data folder that is looked at, held against those that its journal makes.

use super::inspect::Part;
use super::start_error::StartError;
use crate::id::Watermark;
use crate::index::run;

/// The runs of the data folder.
pub(super) struct KeptRuns(run::Found);

impl KeptRuns {
    pub(super) fn of(folder: run::Folder) -> Result<Self, StartError> {
        Ok(Self(folder.open()?))
    }

    /// Where the tables were frozen: the same again makes the same runs.
    pub(super) fn boundaries(&self) -> Vec<Watermark> {
        self.0.whole.iter().map(|run| run.covers().last_record).collect()
    }

    /// Held against those that the journal made in `own`. What was made there of the records after
    /// the last run tells nothing.
    pub(super) fn part(&self, own: &run::Folder) -> Result<Part, StartError> {
        const NAME: &str = "runs";
        let again = "; the next start, or `waag rebuild`, makes it again";
        if let Some((path, why)) = self.0.others.first() {
            return Ok(Part::unsound(NAME, format!("{}: {why}{again}", path.display())));
        }
        let made = own.open()?.whole;
        let (mut same, mut entries, mut bytes) = (0, 0, 0);
        for run in &self.0.whole {
            if let Err(error) = run.verify() {
                return Ok(Part::unsound(NAME, error.to_string()));
            }
            (entries, bytes) = (entries + run.entries(), bytes + run.bytes());
            let path = run.path().display();
            match made.iter().find(|made| made.path().file_name() == run.path().file_name()) {
                Some(made) if run.equals(made)? => same += 1,
                Some(_) => {
                    let found = format!("{path} is not what the journal makes of its records");
                    return Ok(Part::unsound(
                        NAME,
                        format!("{found}; `waag rebuild` makes it again"),
                    ));
                }
                // A smaller table was full before.
                None => {}
            }
        }
        let count = self.0.whole.len();
        let all = format!("{count} with {entries} keys ({bytes} bytes), every page whole");
        let compared = if same == count {
            "the same as the journal makes of its records".to_owned()
        } else {
            format!(
                "{same} of them the same as the journal makes of its records, the others not \
                 compared: that takes as much memory as the server had"
            )
        };
        Ok(Part::sound(NAME, format!("{all}; {compared}")))
    }
}
