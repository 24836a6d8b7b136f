//! What a run came to: for programs, and in a few lines for people.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use waag::command::show::thousands;
use waag::command::{Failure, output};

use super::check::Counts;
use super::meter::{Latency, Window};
use super::options::Settings;
use super::sink::Decoder;

/// The report of `waag-load run`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What was measured, if that was a sink.
    pub(crate) sink: Option<Decoder>,
    pub(crate) settings: Settings,
    /// From the first batch to the last answer.
    pub(crate) seconds: f64,
    pub(crate) lines_per_second: u64,
    pub(crate) declarations_per_second: u64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Batches that were told to come back, and did.
    pub(crate) refusals: u64,
    /// Verdicts, totals and batch_ids that were not as they must be.
    pub(crate) mismatches: u64,
    /// Figures of summaries that did not grow by what was answered.
    pub(crate) summary_mismatches: u64,
    /// The first of both, in words.
    pub(crate) examples: Vec<String>,
    /// From the moment a batch was due to its answer.
    pub(crate) latency: Latency,
    /// The last record that was answered.
    pub(crate) watermark: u64,
    /// Why it ended early.
    pub(crate) ended: Option<String>,
    /// Second by second; a run of more than 1,200 seconds has longer windows.
    pub(crate) windows: Vec<Window>,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.mismatches == 0 && self.summary_mismatches == 0
    }

    /// For people.
    ///
    /// # Errors
    /// What `out` says.
    pub(crate) fn write(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let (lines, declarations) =
            (thousands(self.counts.lines), thousands(self.counts.declarations));
        let rate = thousands(self.lines_per_second);
        if let Some(decoder) = self.sink {
            let name = decoder.name();
            writeln!(out, "{lines} lines in {declarations} declarations, only read ({name})")?;
            writeln!(out, "{rate} lines per second in {:.2} s, nothing kept", self.seconds)?;
        } else {
            let Counts { accepted, rejected, replayed, conflicts, .. } = self.counts;
            writeln!(
                out,
                "{lines} lines in {declarations} declarations: {} accepted, {} rejected, {} replayed, \
                 {} in conflict",
                thousands(accepted),
                thousands(rejected),
                thousands(replayed),
                thousands(conflicts),
            )?;
            writeln!(
                out,
                "{rate} lines per second in {:.2} s, each answer durable; {} batches told to come back",
                self.seconds,
                thousands(self.refusals),
            )?;
        }
        let Latency { p50_ms, p90_ms, p99_ms, p99_9_ms, max_ms, .. } = self.latency;
        writeln!(
            out,
            "A batch took p50 {p50_ms:.2} ms, p90 {p90_ms:.2}, p99 {p99_ms:.2}, p99.9 \
             {p99_9_ms:.2}, at most {max_ms:.2}"
        )?;
        if let Some(ended) = &self.ended {
            writeln!(out, "It ended early: {ended}")?;
        }
        if self.is_clean() && self.sink.is_some() {
            return writeln!(out, "Every batch was read to its end.");
        }
        if self.is_clean() {
            return writeln!(out, "Every verdict and every summary was as it must be.");
        }
        writeln!(
            out,
            "{} verdicts and {} figures of summaries were NOT as they must be; the first:",
            thousands(self.mismatches),
            thousands(self.summary_mismatches),
        )?;
        self.examples.iter().try_for_each(|example| writeln!(out, "  {example}"))
    }
}

/// Writes `report` as JSON on one line to a file, or to standard output for `-`.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn write_json(to: &Path, report: &impl Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(report)?;
    if to == Path::new("-") {
        return output(|out| writeln!(out, "{line}"));
    }
    std::fs::write(to, format!("{line}\n")).map_err(|error| said(to, &error))
}

/// What the system said of a file.
pub(crate) fn said(path: &Path, error: &io::Error) -> Failure {
    format!("{}: {error}", path.display()).into()
}

/// A folder that is removed at the end, unless it was given.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    is_passing: bool,
}

impl Folder {
    /// `given`, or a new one among the temporary folders.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(crate) fn new(given: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = given {
            return Ok(Self { path: path.to_owned(), is_passing: false });
        }
        let path = std::env::temp_dir().join(format!("waag-load-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| said(&path, &error))?;
        Ok(Self { path, is_passing: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_passing
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(folder = %self.path.display(), %error, "the folder was not removed");
        }
    }
}
