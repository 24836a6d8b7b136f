//! What is told of the engine to those who run it: read when it is asked for, and never in the way of a
//! batch.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::engine::Engine;
use super::pace::Pace;
use crate::archive::Archive;
use crate::disk::Disk;
use crate::id::Watermark;
use crate::journal;
use crate::telemetry::{Figures, FindingsFigures, JournalFigures};

/// Where figures are read that the engine itself does not need.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) journal_folder: PathBuf,
    pub(super) durable: watch::Receiver<Watermark>,
    pub(super) archive: Archive,
    pub(super) pace: Arc<Pace>,
    pub(super) unsealed_bytes_max: u64,
    pub(super) memory_max: u64,
    pub(super) disk_reserve: u64,
}

impl Sources {
    pub(super) fn read(&self, engine: &Engine) -> Figures {
        Figures {
            journal: self.journal(),
            index: engine.index().figures(),
            sealed: Watermark(self.archive.next().0.0.saturating_sub(1)),
            findings: engine.findings().map(|findings| FindingsFigures {
                watermark: findings.watermark(),
                is_stalled: findings.is_stalled(),
            }),
            batches: engine.budget().batches_in_flight(),
            bytes: engine.budget().bytes_in_flight(),
            memory_max: self.memory_max,
            connections_max: engine.connections_max(),
            disk_free: self.disk_free(),
            disk_reserve: self.disk_reserve,
            clock_behind_ms: engine.clock().behind_ms(),
        }
    }

    fn journal(&self) -> JournalFigures {
        // A folder that cannot be listed tells of no segments; the journal itself finds out what is wrong.
        let files = self.disk.list(&self.journal_folder).unwrap_or_default();
        let segments: Vec<u64> =
            files.iter().filter_map(|file| journal::segment_number(&file.name)).collect();
        let first = segments.iter().min().copied();
        JournalFigures {
            durable: *self.durable.borrow(),
            segments: segments.len() as u64,
            bytes: files.iter().map(|file| file.bytes).sum(),
            unsealed_bytes: first.map_or(0, |first| self.pace.unsealed_bytes(first)),
            unsealed_bytes_max: self.unsealed_bytes_max,
        }
    }

    /// None where the disk does not tell.
    fn disk_free(&self) -> Option<u64> {
        self.disk.free_bytes(&self.journal_folder).ok()
    }

    /// Whether less is free than the reserve. Where the disk does not tell, those who write find out.
    pub(super) fn is_disk_short(&self) -> bool {
        self.disk_free().is_some_and(|free| free < self.disk_reserve)
    }
}
