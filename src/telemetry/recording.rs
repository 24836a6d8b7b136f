//! What is recorded as it happens: batches, groups, connections, and what is served.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tonic::Code;

use super::histogram::{Histogram, Reading};
use super::traces::{Trace, TraceParent, Traces, TracesError};
use crate::config::TracesConfig;

/// Where others record what only they see: a handle, cheap to clone. Nothing in it ever waits.
#[derive(Debug, Clone, Default)]
pub struct Telemetry(Arc<Recorded>);

/// A service of the contract, as the health service and the metrics know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `waag.v1.Lodgement`.
    Lodgement,
    /// `waag.v1.Compliance`.
    Compliance,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Lodgement, Self::Compliance];

    /// Its name in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lodgement => "waag.v1.Lodgement",
            Self::Compliance => "waag.v1.Compliance",
        }
    }
}

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub struct OpenConnection(Telemetry);

/// Codes of gRPC, by number.
const CODES: [Code; 17] = [
    Code::Ok,
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

/// The name of a code, as gRPC writes it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Codes with which batches are refused: these are shown from the start, so that the first refusal is
/// seen as a change.
const SHOWN_CODES: [Code; 4] =
    [Code::InvalidArgument, Code::ResourceExhausted, Code::Unavailable, Code::DeadlineExceeded];

/// Durations are counted in microseconds and shown in seconds.
const MICROS: u64 = 1_000_000;

/// Bounds for the answer to a batch, in microseconds: 1 ms at no load, 5 s is the default of
/// `admission_wait_ms_max`, a minute that of `message_s_max`.
const ANSWER_MICROS: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 60_000_000,
];
/// Bounds for the writing of a group, in microseconds: 0.3 ms for 1 MiB on a fast disk; a second means
/// that a disk is failing.
const WRITE_MICROS: [u64; 13] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];
/// Bounds for a group, in bytes: from a page to what `group_bytes_max` may be.
const GROUP_BYTES: [u64; 7] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20];

#[derive(Debug)]
struct Recorded {
    answered: Histogram<15>,
    refused: [AtomicU64; CODES.len()],
    group_writes: Histogram<13>,
    group_bytes: Histogram<7>,
    connections: AtomicU64,
    accepted: AtomicU64,
    turned_away: AtomicU64,
    serving: [AtomicBool; Service::ALL.len()],
    traces: OnceLock<Arc<Traces>>,
}

impl Default for Recorded {
    fn default() -> Self {
        Self {
            answered: Histogram::new(ANSWER_MICROS),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            group_writes: Histogram::new(WRITE_MICROS),
            group_bytes: Histogram::new(GROUP_BYTES),
            connections: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            serving: std::array::from_fn(|_| AtomicBool::new(false)),
            traces: OnceLock::new(),
        }
    }
}

impl Telemetry {
    /// From now on some batches are traced. To be called within the runtime that sends the traces.
    ///
    /// # Errors
    /// Where they cannot be sent to what the settings name.
    pub fn trace_to(&self, config: &TracesConfig) -> Result<(), TracesError> {
        let traces = Arc::new(Traces::to(config)?);
        // There is one server in a process, and it begins once.
        let _ = self.0.traces.set(traces);
        Ok(())
    }

    /// Of which call batches are parts of, where any are traced.
    #[must_use]
    pub fn trace_parent(&self, headers: &http::HeaderMap) -> TraceParent {
        self.0.traces.get().map(|_| TraceParent::of(headers)).unwrap_or_default()
    }

    /// The trace of a batch that came `age` ago, if it is one that is traced.
    #[must_use]
    pub fn trace(&self, caller: &TraceParent, age: Duration) -> Option<Box<Trace>> {
        self.0.traces.get()?.next(caller, age)
    }

    /// Sends the traces that are left; it may block for some seconds.
    pub fn end_traces(&self) {
        if let Some(traces) = self.0.traces.get() {
            traces.end();
        }
    }

    /// The answer to a batch is made, so long after the length of its message had arrived.
    pub fn answered(&self, after: Duration) {
        self.0.answered.add(micros(after));
    }

    /// A batch as a whole is refused.
    pub fn refused(&self, code: Code) {
        if let Some(count) = self.0.refused.get(code as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A group of so many bytes of records is durable; to write it took so long.
    pub fn group_written(&self, bytes: usize, took: Duration) {
        self.0.group_writes.add(micros(took));
        self.0.group_bytes.add(bytes as u64);
    }

    /// A connection is taken in.
    #[must_use = "it counts as open until this is dropped"]
    pub fn connected(&self) -> OpenConnection {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    /// A connection is one too many.
    pub fn turned_away(&self) {
        self.0.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a service is served is what health says of it.
    pub fn serves(&self, service: Service, is_serving: bool) {
        let [lodgement, compliance] = &self.0.serving;
        let of = match service {
            Service::Lodgement => lodgement,
            Service::Compliance => compliance,
        };
        of.store(is_serving, Ordering::Relaxed);
    }

    /// How many batches were refused with `code`.
    #[cfg(test)]
    pub(crate) fn refusals(&self, code: Code) -> u64 {
        self.0.refused.get(code as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(super) fn read(&self) -> Recording {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let recorded = &*self.0;
        let refused = CODES.into_iter().zip(&recorded.refused);
        let refused = refused.map(|(code, count)| (code, load(count)));
        let is_shown = |&(code, count): &(Code, u64)| count > 0 || SHOWN_CODES.contains(&code);
        Recording {
            answered: recorded.answered.read(MICROS),
            refused: refused
                .filter(is_shown)
                .map(|(code, count)| (code_name(code), count))
                .collect(),
            group_writes: recorded.group_writes.read(MICROS),
            group_bytes: recorded.group_bytes.read(1),
            connections: load(&recorded.connections),
            accepted: load(&recorded.accepted),
            turned_away: load(&recorded.turned_away),
            spans_dropped: recorded.traces.get().map_or(0, |traces| traces.dropped()),
            serving: Service::ALL
                .into_iter()
                .zip(&recorded.serving)
                .map(|(service, is)| (service.name(), is.load(Ordering::Relaxed)))
                .collect(),
        }
    }
}

/// What was recorded up to a moment.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) answered: Reading,
    /// By the name of the code.
    pub(super) refused: Vec<(&'static str, u64)>,
    pub(super) group_writes: Reading,
    pub(super) group_bytes: Reading,
    pub(super) connections: u64,
    pub(super) accepted: u64,
    pub(super) turned_away: u64,
    /// Of traces, for which there was no room.
    pub(super) spans_dropped: u64,
    /// By the name of the service.
    pub(super) serving: Vec<(&'static str, bool)>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_at_their_numbers() {
        for (number, code) in (0..).zip(CODES) {
            assert_eq!(code as i32, number, "{}", code_name(code));
        }
    }

    #[test]
    fn what_is_recorded_is_read() {
        let telemetry = Telemetry::default();
        let beside = telemetry.clone();
        let first = beside.connected();
        let _second = beside.connected();
        drop(first);
        beside.turned_away();
        beside.answered(Duration::from_millis(3));
        beside.refused(Code::PermissionDenied);
        beside.group_written(5_000, Duration::from_micros(200));
        beside.serves(Service::Compliance, true);
        let read = telemetry.read();
        assert_eq!((read.connections, read.accepted, read.turned_away), (1, 2, 1));
        assert_eq!((read.answered.count(), read.answered.sum), (1, 0.003));
        assert_eq!((read.group_bytes.sum, read.group_writes.sum), (5_000.0, 0.000_2));
        let expected = [
            ("INVALID_ARGUMENT", 0),
            ("DEADLINE_EXCEEDED", 0),
            ("PERMISSION_DENIED", 1),
            ("RESOURCE_EXHAUSTED", 0),
            ("UNAVAILABLE", 0),
        ];
        assert_eq!(read.refused, expected);
        assert_eq!(read.serving, [("waag.v1.Lodgement", false), ("waag.v1.Compliance", true)]);
    }
}
