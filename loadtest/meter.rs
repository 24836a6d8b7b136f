//! What a run measures: throughput and latency, second by second and in all.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use waag::command::Failure;

use super::check::Counts;

/// Latencies above ten minutes count as ten minutes.
const LATENCY_US_MAX: u64 = 600_000_000;
/// Three digits: a latency is told within a thousandth of itself.
const DIGITS: u8 = 3;
/// Past so many windows two neighbours become one, so that a long run has a report of bounded size.
const WINDOWS_MAX: usize = 1_200;

/// Shared by all lanes, behind a lock that is taken once a batch.
#[derive(Debug)]
pub(crate) struct Meter {
    start: Instant,
    all: Latencies,
    window: Latencies,
    pub(crate) counts: Counts,
    /// Batches that were told to come back later.
    pub(crate) refusals: u64,
    window_start: (Duration, u64),
    window_length: Duration,
    windows: Vec<Window>,
}

/// A part of the run, a second at first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Window {
    /// Its end, from the start of the run.
    pub(crate) until_s: f64,
    /// How long it was.
    pub(crate) seconds: f64,
    /// Lines answered in it.
    pub(crate) lines: u64,
    /// By its length.
    pub(crate) lines_per_second: u64,
    /// Latency of the batches answered in it; of joined windows the higher one.
    pub(crate) p50_ms: f64,
    /// See `p50_ms`.
    pub(crate) p99_ms: f64,
    /// See `p50_ms`.
    pub(crate) max_ms: f64,
}

/// From the moment a batch was due to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p99_9_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) mean_ms: f64,
}

/// What calls took.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    ///
    /// # Errors
    /// Never: the bounds of the histogram are fixed.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS)?))
    }

    /// One took so long.
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// How long they took.
    pub(crate) fn read(&self) -> Latency {
        Latency {
            p50_ms: ms(&self.0, 0.5),
            p90_ms: ms(&self.0, 0.9),
            p99_ms: ms(&self.0, 0.99),
            p99_9_ms: ms(&self.0, 0.999),
            max_ms: micros_as_ms(self.0.max()),
            mean_ms: self.0.mean() / 1_000.0,
        }
    }
}

fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    micros_as_ms(histogram.value_at_quantile(quantile))
}

/// Ten minutes in microseconds are far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn micros_as_ms(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// So many in that time, by the second.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn per_second(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 }
}

impl Meter {
    /// Starts to measure.
    ///
    /// # Errors
    /// Never: the bounds of the histogram are fixed.
    pub(crate) fn start() -> Result<Self, Failure> {
        Ok(Self {
            start: Instant::now(),
            all: Latencies::new()?,
            window: Latencies::new()?,
            counts: Counts::default(),
            refusals: 0,
            window_start: (Duration::ZERO, 0),
            window_length: Duration::from_secs(1),
            windows: Vec::new(),
        })
    }

    /// A batch was answered, so long after it was due.
    pub(crate) fn answered(&mut self, counts: &Counts, took: Duration) {
        self.all.record(took);
        self.window.record(took);
        self.counts.add(counts);
    }

    /// Closes the window that has come to its end, if it has, or whatever there is at `the_end`.
    pub(crate) fn tick(&mut self, the_end: bool) -> Option<Window> {
        let now = self.start.elapsed();
        let (from, lines_before) = self.window_start;
        let length = now.saturating_sub(from);
        // A tick may come a little early.
        let is_over = length + Duration::from_millis(20) >= self.window_length;
        let lines = self.counts.lines - lines_before;
        if !(is_over || (the_end && lines > 0)) {
            return None;
        }
        let window = Window {
            until_s: now.as_secs_f64(),
            seconds: length.as_secs_f64(),
            lines,
            lines_per_second: per_second(lines, length.as_secs_f64()),
            p50_ms: ms(&self.window.0, 0.5),
            p99_ms: ms(&self.window.0, 0.99),
            max_ms: micros_as_ms(self.window.0.max()),
        };
        self.window.0.reset();
        self.window_start = (now, self.counts.lines);
        self.windows.push(window);
        if self.windows.len() >= WINDOWS_MAX {
            self.windows = self.windows.chunks(2).filter_map(join).collect();
            self.window_length *= 2;
        }
        Some(window)
    }

    pub(crate) fn windows(&self) -> &[Window] {
        &self.windows
    }

    pub(crate) fn latency(&self) -> Latency {
        self.all.read()
    }
}

fn join(windows: &[Window]) -> Option<Window> {
    let mut windows = windows.iter().copied();
    let first = windows.next()?;
    Some(windows.fold(first, |one, other| {
        let (lines, seconds) = (one.lines + other.lines, one.seconds + other.seconds);
        Window {
            until_s: other.until_s,
            seconds,
            lines,
            lines_per_second: per_second(lines, seconds),
            p50_ms: one.p50_ms.max(other.p50_ms),
            p99_ms: one.p99_ms.max(other.p99_ms),
            max_ms: one.max_ms.max(other.max_ms),
        }
    }))
}

/// The rate at which the lines from the share `from` of them to the share `to` were answered.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn rate_between(windows: &[Window], from: f64, to: f64) -> u64 {
    let lines: u64 = windows.iter().map(|window| window.lines).sum();
    let moment = |share: f64| {
        let wanted = share * lines as f64;
        let mut before = 0.0;
        for window in windows {
            let after = before + window.lines as f64;
            if after >= wanted && window.lines > 0 {
                let part = (wanted - before) / window.lines as f64;
                return window.until_s - window.seconds * (1.0 - part);
            }
            before = after;
        }
        windows.last().map_or(0.0, |window| window.until_s)
    };
    let seconds = moment(to) - moment(from);
    if seconds > 0.0 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rate = ((to - from) * lines as f64 / seconds).round() as u64;
        rate
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn window(until_s: f64, lines: u64) -> Window {
        let (p50_ms, p99_ms, max_ms) = (1.0, until_s, 3.0);
        Window { until_s, seconds: 1.0, lines, lines_per_second: lines, p50_ms, p99_ms, max_ms }
    }

    #[test]
    fn rates_of_parts_are_by_lines_and_not_by_time() {
        // 1,000 lines a second for nine seconds, then 100 a second for ten: a tenth.
        let mut windows: Vec<Window> = (1..=9).map(|s| window(f64::from(s), 1_000)).collect();
        windows.extend((10..=19).map(|s| window(f64::from(s), 100)));
        assert_eq!(rate_between(&windows, 0.0, 0.1), 1_000);
        assert_eq!(rate_between(&windows, 0.9, 1.0), 100);
        assert_eq!(rate_between(&windows, 0.0, 1.0), 526);
        assert_eq!(rate_between(&[], 0.0, 1.0), 0);
    }

    #[test]
    fn joined_windows_keep_lines_time_and_the_higher_latency() {
        let joined = join(&[window(1.0, 10), window(2.0, 30)]).unwrap();
        assert_eq!((joined.lines, joined.lines_per_second), (40, 20));
        assert_eq!((joined.until_s, joined.seconds, joined.p99_ms), (2.0, 2.0, 2.0));
        assert_eq!(join(&[]), None);
    }

    #[test]
    fn latencies_come_from_the_histogram() {
        let mut meter = Meter::start().unwrap();
        let one = Counts { batches: 1, lines: 2, ..Counts::default() };
        for millisecond in 1..=1_000 {
            meter.answered(&one, Duration::from_millis(millisecond));
        }
        let latency = meter.latency();
        let near = |found: f64, wanted: f64| (found - wanted).abs() <= wanted / 500.0;
        assert!(near(latency.p50_ms, 500.0) && near(latency.p99_ms, 990.0), "{latency:?}");
        assert!(near(latency.p99_9_ms, 999.0) && near(latency.max_ms, 1_000.0), "{latency:?}");
        let window = meter.tick(true).unwrap();
        assert_eq!(window.lines, 2_000);
        assert_eq!(meter.tick(true), None);
    }
}
