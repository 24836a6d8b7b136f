//! What is read of the engine when figures are asked for: plain numbers.

use crate::id::Watermark;

/// The state of the engine at about one moment: each figure is right by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The journal.
    pub journal: JournalFigures,
    /// The index.
    pub index: IndexFigures,
    /// The last record that is sealed; 0 before the first.
    pub sealed: Watermark,
    /// What is found after acceptance; none where that is switched off.
    pub findings: Option<FindingsFigures>,
    /// Batches in work.
    pub batches: InFlight,
    /// Bytes of messages in work, with what was found in them.
    pub bytes: InFlight,
    /// Bytes of memory from which all is sized (`memory_max`).
    pub memory_max: u64,
    /// The most connections at once.
    pub connections_max: u64,
    /// Bytes that may still be written to the disk of the data folder; none where it does not tell.
    pub disk_free: Option<u64>,
    /// Bytes that stay free on it (`disk_reserve_bytes`).
    pub disk_reserve: u64,
    /// By how much the clock is behind the newest record, milliseconds.
    pub clock_behind_ms: u64,
}

/// The journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalFigures {
    /// The last record that is durable.
    pub durable: Watermark,
    /// Files of segments in use.
    pub segments: u64,
    /// Bytes that they take on the disk, with those that stand ready.
    pub bytes: u64,
    /// Bytes from the first record that is not known to be sealed to the last one.
    pub unsealed_bytes: u64,
    /// How many of these there may be (`unsealed_bytes_max`).
    pub unsealed_bytes_max: u64,
}

/// What is found after acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingsFigures {
    /// The last record that is in it.
    pub watermark: Watermark,
    /// It does not come further.
    pub is_stalled: bool,
}

/// The index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexFigures {
    /// Places left in the table that takes what is lodged.
    pub hot_room: u64,
    /// Places that it has.
    pub hot_places: u64,
    /// Tables that are full and not yet on disk: 0 or 1.
    pub frozen: u64,
    /// Runs on disk.
    pub runs: u64,
    /// Keys in them.
    pub run_entries: u64,
    /// Bytes of memory for their filters.
    pub loaded_bytes: u64,
}

/// How much of something is in work, and how much may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// In work now.
    pub now: u64,
    /// At most.
    pub most: u64,
}
