//! What the system says of the process: figures under the names that all dashboards know.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    /// Bytes of memory that it has in use; none where the system does not tell.
    pub(super) resident_bytes: Option<u64>,
    /// Open files and connections; none where the system does not tell.
    pub(super) open_files: Option<u64>,
    /// When it began to serve, in seconds since 1970.
    pub(super) started: f64,
    /// Seconds since then.
    pub(super) uptime: f64,
}

impl Process {
    /// Of a process that began to serve then, by both clocks: uptime must not jump where somebody sets
    /// the one on the wall.
    pub(super) fn read((at, since): (SystemTime, Instant)) -> Self {
        let started = at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Self {
            resident_bytes: resident_bytes(),
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            started,
            uptime: since.elapsed().as_secs_f64(),
        }
    }
}

/// The second number of `/proc/self/statm` is in pages (proc(5)).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages = text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn memory_in_use_is_that_of_this_process() {
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        let resident = resident_bytes().unwrap();
        assert!(resident >= 64 << 20, "{resident} with {} held", held.len());
        assert!(resident < 1 << 40, "{resident}");
        let process = Process::read((UNIX_EPOCH, Instant::now()));
        assert!(process.open_files.unwrap() > 2);
        assert_eq!(process.started, 0.0);
    }
}
