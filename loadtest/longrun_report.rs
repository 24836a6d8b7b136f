//! What a long run came to: for programs, and in a few lines for people.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use waag::command::show::thousands;

use super::check::Counts;
use super::meter::{Latency, Meter, Window, per_second, rate_between};
use super::options::Settings;
use super::process::disk;

/// The server at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) at_s: f64,
    pub(crate) lines: u64,
    pub(crate) resident_bytes: u64,
    /// Of each folder of the data folder.
    pub(crate) disk_bytes: BTreeMap<String, u64>,
}

/// After `kill -9`.
#[derive(Debug, Serialize)]
pub(crate) struct Restart {
    /// From the start of the process to the first answer of its health service that says SERVING.
    pub(crate) seconds: f64,
    pub(crate) resident_bytes: u64,
    /// What was sent again, and how it was answered.
    pub(crate) sent_again: Counts,
    pub(crate) mismatches: u64,
    pub(crate) ended: Option<String>,
}

/// What the server takes while sealing keeps up: once no more waits to be sealed than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Sustained {
    /// From here on, seconds from the start: the journal was nine tenths of the largest it ever was.
    pub(crate) from_s: u64,
    pub(crate) lines_per_second: u64,
    /// Of the first tenth of the lines from there on, and of the last.
    pub(crate) first_tenth: u64,
    pub(crate) last_tenth: u64,
}

impl Sustained {
    /// Nothing where it was not so before half of the time was over.
    fn of(windows: &[Window], samples: &[Sample]) -> Option<Self> {
        let journal = |sample: &Sample| sample.disk_bytes.get("journal").copied().unwrap_or(0);
        let most = samples.iter().map(journal).max().filter(|most| *most > 0)?;
        let from = samples.iter().find(|sample| journal(sample) >= most / 10 * 9)?;
        let end = windows.last()?.until_s;
        let rest = windows.partition_point(|window| window.until_s <= from.at_s);
        let rest = windows.get(rest..).filter(|_| from.at_s < end / 2.0)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let from_s = from.at_s.round() as u64;
        Some(Self {
            from_s,
            lines_per_second: rate_between(rest, 0.0, 1.0),
            first_tenth: rate_between(rest, 0.0, 0.1),
            last_tenth: rate_between(rest, 0.9, 1.0),
        })
    }
}

/// The report of `waag-load longrun`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) settings: Settings,
    pub(crate) memory_max_bytes: u64,
    pub(crate) lines_wanted: u64,
    /// Of those, what runs before this one sent; all else is of this one, save the samples' lines.
    pub(crate) earlier_lines: u64,
    pub(crate) seconds: f64,
    pub(crate) lines_per_second: u64,
    /// Of the first half minute: what the server takes while little waits to be sealed.
    pub(crate) lines_per_second_burst: u64,
    /// Of the first tenth of all lines sent, and of the last.
    pub(crate) lines_per_second_first_tenth: u64,
    pub(crate) lines_per_second_last_tenth: u64,
    pub(crate) sustained: Option<Sustained>,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    pub(crate) replays_missed: u64,
    pub(crate) conflicts_missed: u64,
    pub(crate) refusals: u64,
    pub(crate) mismatches: u64,
    pub(crate) summary_mismatches: u64,
    pub(crate) examples: Vec<String>,
    pub(crate) latency: Latency,
    pub(crate) resident_bytes_max: u64,
    /// Once the data folder was at rest, which took so long.
    pub(crate) settled_s: f64,
    pub(crate) disk_bytes: BTreeMap<String, u64>,
    pub(crate) disk_bytes_per_line: BTreeMap<String, f64>,
    /// All folders together, at the window in which they took most.
    pub(crate) disk_bytes_max: u64,
    pub(crate) restart: Option<Restart>,
    /// Why it ended before all lines were sent.
    pub(crate) ended: Option<String>,
    pub(crate) windows: Vec<Window>,
    pub(crate) samples: Vec<Sample>,
}

/// A burst is as long as this, seconds.
const BURST_S: f64 = 30.0;

fn burst(windows: &[Window]) -> u64 {
    let own = windows.iter().take_while(|window| window.until_s <= BURST_S + 0.5);
    let (lines, seconds) =
        own.fold((0, 0.0), |(lines, _), window| (lines + window.lines, window.until_s));
    per_second(lines, seconds)
}

impl Report {
    pub(crate) fn new(
        lines_wanted: u64,
        memory_max_bytes: u64,
        settings: Settings,
        meter: &Meter,
        mismatches: u64,
    ) -> Self {
        let windows = meter.windows();
        let seconds = windows.last().map_or(0.0, |window| window.until_s);
        let counts = meter.counts;
        Self {
            settings,
            memory_max_bytes,
            lines_wanted,
            earlier_lines: 0,
            seconds,
            lines_per_second: per_second(counts.lines, seconds),
            lines_per_second_burst: burst(windows),
            lines_per_second_first_tenth: rate_between(windows, 0.0, 0.1),
            lines_per_second_last_tenth: rate_between(windows, 0.9, 1.0),
            sustained: None,
            replays_missed: counts.replays_planted - counts.replays_found,
            conflicts_missed: counts.conflicts_planted - counts.conflicts_found,
            counts,
            refusals: meter.refusals,
            mismatches,
            summary_mismatches: 0,
            examples: Vec::new(),
            latency: meter.latency(),
            resident_bytes_max: 0,
            settled_s: 0.0,
            disk_bytes: BTreeMap::new(),
            disk_bytes_per_line: BTreeMap::new(),
            disk_bytes_max: 0,
            restart: None,
            ended: None,
            windows: windows.to_vec(),
            samples: Vec::new(),
        }
    }

    /// Takes what was seen of the server meanwhile.
    pub(crate) fn watched(&mut self, samples: Vec<Sample>) {
        self.sustained = Sustained::of(&self.windows, &samples);
        self.samples = samples;
    }

    /// Measures the data folder. Bytes are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn disk(&mut self, data: &Path) {
        self.disk_bytes = disk(data);
        let lines = (self.earlier_lines + self.counts.lines).max(1) as f64;
        let by_line = |(kind, bytes): (&String, &u64)| {
            (kind.clone(), (*bytes as f64 / lines * 100.0).round() / 100.0)
        };
        self.disk_bytes_per_line = self.disk_bytes.iter().map(by_line).collect();
    }

    /// For people.
    ///
    /// # Errors
    /// What `out` says.
    pub(crate) fn write(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        let counts = &self.counts;
        writeln!(
            out,
            "{} of {} lines in {:.1} s: {} a second; in the first half minute {}, in the first tenth \
             {}, in the last {}",
            thousands(counts.lines),
            thousands(self.lines_wanted),
            self.seconds,
            thousands(self.lines_per_second),
            thousands(self.lines_per_second_burst),
            thousands(self.lines_per_second_first_tenth),
            thousands(self.lines_per_second_last_tenth),
        )?;
        if self.earlier_lines > 0 {
            writeln!(out, "Runs before sent {} more", thousands(self.earlier_lines))?;
        }
        if let Some(Sustained { from_s, lines_per_second, first_tenth, last_tenth }) =
            self.sustained
        {
            writeln!(
                out,
                "With sealing keeping up, from {from_s} s on: {} a second; in the first tenth of these \
                 lines {}, in the last {}",
                thousands(lines_per_second),
                thousands(first_tenth),
                thousands(last_tenth),
            )?;
        }
        writeln!(
            out,
            "Replays: {} planted, {} missed; conflicts: {} planted, {} missed; {} invented",
            thousands(counts.replays_planted),
            thousands(self.replays_missed),
            thousands(counts.conflicts_planted),
            thousands(self.conflicts_missed),
            thousands(counts.invented),
        )?;
        writeln!(
            out,
            "Memory of the server: {} MiB at most, of {} MiB",
            thousands(self.resident_bytes_max >> 20),
            thousands(self.memory_max_bytes >> 20),
        )?;
        for (kind, bytes) in &self.disk_bytes_per_line {
            writeln!(out, "On disk, {kind}: {bytes} bytes a line")?;
        }
        writeln!(out, "On disk at most: {} MiB", thousands(self.disk_bytes_max >> 20))?;
        if let Some(restart) = &self.restart {
            writeln!(
                out,
                "After kill -9 it served again in {:.2} s; {} declarations sent again, {} not as \
                 they must be",
                restart.seconds,
                thousands(restart.sent_again.declarations),
                thousands(restart.mismatches),
            )?;
        }
        if let Some(ended) = &self.ended {
            writeln!(out, "It ended before all lines were sent: {ended}")?;
        }
        if self.mismatches + self.summary_mismatches == 0 {
            return writeln!(out, "Every verdict and every summary was as it must be.");
        }
        writeln!(
            out,
            "{} verdicts and {} figures of summaries were NOT as they must be.",
            thousands(self.mismatches),
            thousands(self.summary_mismatches),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(until_s: f64, lines: u64) -> Window {
        let [p50_ms, p99_ms, max_ms] = [0.0; 3];
        Window { until_s, seconds: 1.0, lines, lines_per_second: lines, p50_ms, p99_ms, max_ms }
    }

    fn sample(at_s: f64, journal: u64) -> Sample {
        let disk_bytes = [("journal".to_owned(), journal), ("runs".to_owned(), 7 * journal)];
        Sample { at_s, lines: 0, resident_bytes: 0, disk_bytes: disk_bytes.into() }
    }

    #[test]
    fn what_is_sustained_begins_when_no_more_waits_than_before() {
        let rates = [900, 900, 300, 300, 200, 200, 200, 200, 100, 100];
        let windows: Vec<Window> =
            (1..).zip(rates).map(|(s, lines)| window(f64::from(s), lines)).collect();
        let samples =
            |sizes: &[u64]| (1..).zip(sizes).map(|(s, size)| sample(f64::from(s), *size)).collect();
        let grows: Vec<Sample> = samples(&[50, 95, 100, 98, 99]);
        let sustained = Sustained::of(&windows, &grows);
        let expected =
            Sustained { from_s: 2, lines_per_second: 200, first_tenth: 300, last_tenth: 100 };
        assert_eq!(sustained, Some(expected));
        let late: Vec<Sample> = samples(&[1, 2, 3, 4, 5, 90, 100]);
        assert_eq!(Sustained::of(&windows, &late), None);
        assert_eq!(Sustained::of(&windows, &[]), None);
    }
}
