//! How far a long run came, in a file, so that another one may go on from there.

use std::path::Path;

use serde::{Deserialize, Serialize};
use waag::command::Failure;

use super::lane::Lane;
use super::options::Settings;
use super::report::{said, write_json};

/// What is known of the lines sent so far, by one run after another.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Progress {
    /// What was sent and how: who goes on must do the same.
    settings: serde_json::Value,
    /// A run sends: how far it is stands here only when it has ended.
    is_under_way: bool,
    /// Lines that were answered.
    pub(crate) lines: u64,
    /// Of each connection, by its number.
    lanes: Vec<Sent>,
}

/// What one connection sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Sent {
    /// The number of its next sending.
    pub(crate) next: u64,
    /// Sendings that never got an answer: whether they were taken is not known.
    pub(crate) unanswered: usize,
}

impl Progress {
    /// What stands in the file; `None` where there is none yet.
    ///
    /// # Errors
    /// A file that cannot be read, or is something else.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| said(path, &error))?,
        };
        let read = serde_json::from_slice(&text);
        Ok(Some(read.map_err(|error| format!("{}: {error}", path.display()))?))
    }

    /// The seed of what was sent.
    pub(crate) fn seed(&self) -> Option<u64> {
        self.settings.get("seed")?.as_u64()
    }

    /// Lets `lanes` go on where these ended.
    ///
    /// # Errors
    /// Settings that are not those of the lines sent so far: the first that differs. Where a run was killed,
    /// or some batches got no answer, it is not known what replays and conflicts refer to.
    pub(crate) fn hand_to(&self, lanes: &mut [Lane], settings: &Settings) -> Result<(), Failure> {
        let now = serde_json::to_value(settings)?;
        for (name, now) in now.as_object().into_iter().flatten() {
            let before = self.settings.get(name).unwrap_or(&serde_json::Value::Null);
            if before != now && name != "version" && name != "rate" {
                return Err(format!("{name} is {now}, and was {before} so far").into());
            }
        }
        let anew = "begin anew, with another data folder and another file";
        if self.is_under_way {
            return Err(format!("the run before did not end by itself: {anew}").into());
        }
        let unanswered: usize = self.lanes.iter().map(|sent| sent.unanswered).sum();
        if unanswered > 0 {
            let told = format!("{unanswered} batches got no answer in the run before: {anew}");
            return Err(told.into());
        }
        for (lane, sent) in lanes.iter_mut().zip(&self.lanes) {
            lane.next = sent.next;
        }
        Ok(())
    }

    /// Writes how far `lanes` are, with `lines` answered in all: before anything is sent, when that `is_over`,
    /// and in between not.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn write(
        path: &Path,
        settings: &Settings,
        (lines, is_over): (u64, bool),
        lanes: &[Lane],
    ) -> Result<(), Failure> {
        let lanes = lanes.iter().map(Lane::sent).collect();
        let settings = serde_json::to_value(settings)?;
        let now = Self { settings, is_under_way: !is_over, lines, lanes };
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = Path::new(&beside);
        write_json(beside, &now)?;
        std::fs::rename(beside, path).map_err(|error| said(path, &error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use clap::Parser;

    use super::super::options::LoadArgs;
    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        load: LoadArgs,
    }

    fn lanes(flags: &[&str]) -> (Vec<Lane>, Settings) {
        let flags = ["waag-load", "--seed=5", "--batch=10"].iter().chain(flags);
        let Cli { load } = Cli::parse_from(flags);
        let (made, settings) = load.load(false, Some(10_000)).unwrap();
        (load.lanes(&made), settings)
    }

    #[test]
    fn a_run_goes_on_where_one_with_the_same_settings_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.json");
        assert_eq!(Progress::read(&path).unwrap(), None);
        let (mut ended, settings) = lanes(&[]);
        (ended[0].next, ended[3].next) = (7, 9);
        Progress::write(&path, &settings, (160, true), &ended).unwrap();

        let read = Progress::read(&path).unwrap().unwrap();
        assert_eq!((read.lines, read.seed()), (160, Some(5)));
        let (mut next, settings) = lanes(&["--rate=5"]);
        read.hand_to(&mut next, &settings).unwrap();
        assert_eq!(next.iter().map(|lane| lane.next).collect::<Vec<_>>(), [7, 0, 0, 9]);

        let (mut other, settings) = lanes(&["--replays=0.5"]);
        let refused = read.hand_to(&mut other, &settings).unwrap_err().to_string();
        assert_eq!(refused, "replays is 0.5, and was 0.02 so far");

        let lost = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, lost.replacen("\"unanswered\":0", "\"unanswered\":2", 1)).unwrap();
        let (mut next, settings) = lanes(&[]);
        let refused = Progress::read(&path).unwrap().unwrap().hand_to(&mut next, &settings);
        assert!(refused.unwrap_err().to_string().starts_with("2 batches got no answer"));

        Progress::write(&path, &settings, (160, false), &ended).unwrap();
        let refused = Progress::read(&path).unwrap().unwrap().hand_to(&mut next, &settings);
        assert!(
            refused.unwrap_err().to_string().starts_with("the run before did not end by itself")
        );
        std::fs::write(&path, "{}").unwrap();
        assert!(Progress::read(&path).unwrap_err().to_string().contains("missing field"));
    }
}
