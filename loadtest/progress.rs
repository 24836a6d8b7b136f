//! How far a long run came, in a file, so that another one may go on from there.

use std::path::Path;
use std::time::Duration;

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
    /// How much later the server's clock was at last than when the first run began: it must not go back.
    clock_s: f64,
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

    /// A run under way after `earlier`, or the first.
    ///
    /// # Errors
    /// None that is known of.
    pub(crate) fn after(earlier: Option<&Self>, settings: &Settings) -> Result<Self, Failure> {
        let settings = serde_json::to_value(settings)?;
        let (lines, clock_s) = earlier.map_or((0, 0.0), |it| (it.lines, it.clock_s));
        Ok(Self { settings, is_under_way: true, lines, clock_s, lanes: Vec::new() })
    }

    /// How much later the clock of the next server is to begin than that of the first.
    pub(crate) fn clock(&self) -> Duration {
        Duration::try_from_secs_f64(self.clock_s).unwrap_or_default()
    }

    /// All that was sent is answered: `lines` more, and so far are `lanes`.
    pub(crate) fn end(&mut self, lines: u64, lanes: &[Lane]) {
        self.is_under_way = false;
        self.lines += lines;
        self.lanes = lanes.iter().map(Lane::sent).collect();
    }

    /// Writes it, at `clock`.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn write(&mut self, path: &Path, clock: Duration) -> Result<(), Failure> {
        self.clock_s = clock.as_secs_f64();
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = Path::new(&beside);
        write_json(beside, self)?;
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
        let mut progress = Progress::after(None, &settings).unwrap();
        progress.end(160, &ended);
        progress.write(&path, Duration::from_secs(90)).unwrap();

        let read = Progress::read(&path).unwrap().unwrap();
        assert_eq!(
            (read.lines, read.seed(), read.clock()),
            (160, Some(5), Duration::from_secs(90))
        );
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

        let mut progress = Progress::after(Some(&read), &settings).unwrap();
        assert_eq!((progress.lines, progress.clock()), (160, Duration::from_secs(90)));
        progress.write(&path, progress.clock()).unwrap();
        let refused = Progress::read(&path).unwrap().unwrap().hand_to(&mut next, &settings);
        assert!(
            refused.unwrap_err().to_string().starts_with("the run before did not end by itself")
        );
        std::fs::write(&path, "{}").unwrap();
        assert!(Progress::read(&path).unwrap_err().to_string().contains("missing field"));
    }
}
