//! What settings come to: how `memory_max` is shared out, and what everything of which there may be many takes.

use super::{ADDRESS_CONNECTIONS, ByteSize, Config, ConfigError, MIB};
use crate::index::Memory;

/// What the sizes come to under `memory_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// What the index has: two tables, and what is loaded of the runs.
    pub index: Memory,
    /// Bytes of messages in work at once, as [`in_flight_bytes`] counts them.
    pub bytes_in_flight_max: u64,
    /// Batches in work at once.
    pub batches_in_flight_max: u64,
    /// Connections at once.
    pub connections_max: u64,
    /// Connections of one address at once.
    pub address_connections_max: u32,
    /// Calls of one connection at once.
    pub connection_streams_max: u32,
    /// Look-ups whose answers have not left.
    pub lookups_in_flight_max: usize,
}

/// Bytes of one verdict with one finding without texts, at most: outcome 2, MRN 20, finding 80,
/// omitted count 6, two amounts 22, header 3; rounded up.
pub const VERDICT_BYTES_MAX: u64 = 136;

/// Bytes of an answer beside its verdicts and the text of its batch_id, at most: totals 32, watermark
/// 11, frames of batch_id and stream 16; rounded up.
pub(super) const ANSWER_FRAME_BYTES_MAX: u64 = 64;

/// Bytes that a batch in work holds for each declaration beside its message, at most: what the rules
/// made of it 176, key, digest and outcome 27, its verdict on the way 40; rounded up.
const DECLARATION_BYTES: u64 = 256;

/// Bytes that a connection may have received before anyone reads them: HTTP/2's window. Over
/// loopback it holds nothing up (see loadtest/README.md); at 20 ms of round trip it lets 50 MB/s through.
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// What the findings of a batch may take beside as much as its message: a batch of a few
/// declarations, each with all its findings, stays below this. Past it they are made again for the
/// answer.
pub const FINDINGS_BYTES_SPARE: u64 = 64 << 10;

/// Bytes of deltas that wait to be folded in, at most, with one more past it: 128 for each
/// declaration with an IOSS number, twice that where its list has just grown, up to 220 for each one with
/// another fallback reference than the one before, and 1 KiB for each batch. It is part of what is kept for everything small. At 500,000 declarations a second it is
/// a quarter of a second's worth at least: more than any batch takes that the others wait for.
pub const DELTA_BYTES_MAX: usize = 32 << 20;

/// Bytes that a watch remembers for each actor of its role, at most: 9 of what it sent last, 18 of an
/// id that it is about to send; rounded up.
pub const WATCHED_ACTOR_BYTES: u64 = 32;

/// The fewest slots of a table.
const TABLE_SLOTS_MIN: u64 = 1 << 16;

/// Slots for each declaration of the largest batch, so that a table has room for one, whatever is in
/// it: a declaration takes one place, and one with a fallback lodgement that is quoted four more (72
/// bytes and 160 of its reference, at 65 a place); two slots a place, and as much again, rounded up.
const BATCH_SLOTS_MAX: u64 = 12;

/// Memory that a message of `bytes` holds while it is in work: itself, and what was found in it.
#[must_use]
pub fn in_flight_bytes(bytes: u64) -> u64 {
    2 * bytes + FINDINGS_BYTES_SPARE
}

impl Config {
    /// An eighth of the memory is for messages in work, an eighth for what batches in work hold
    /// beside, a twenty-fourth for what connections have received unread, a tenth and 128 MiB for
    /// everything small; the index gets the rest.
    pub(super) fn sizes(&self) -> Result<Sizes, ConfigError> {
        let memory = self.memory_max.0;
        let bytes_in_flight_max = memory / 8;
        let batch_bytes =
            self.answer_bytes_max.0 + self.batch_declarations_max as u64 * DECLARATION_BYTES;
        let batches_in_flight_max =
            (memory / 8 / batch_bytes).min(self.batches_in_flight_max as u64);
        let connections_max =
            (memory / 24 / u64::from(CONNECTION_WINDOW_BYTES)).min(self.connections_max.into());
        // Of the tenth for everything small.
        let headers = memory / 32 / connections_max.max(1);
        let streams = headers / self.header_bytes_max.0;
        if streams == 0 {
            return Err(ConfigError::Bound {
                field: "header_bytes_max",
                value: self.header_bytes_max.to_string(),
                bound: format!(
                    "must be at most {}: with {connections_max} connections (connections_max), a call \
                     on each, headers have a thirty-second of memory_max",
                    ByteSize(headers)
                ),
            });
        }
        let streams = u32::try_from(streams).unwrap_or(u32::MAX).min(self.connection_streams_max);
        let half = u32::try_from(connections_max / 2).unwrap_or(u32::MAX).max(1);
        let of_address = self.address_connections_max.unwrap_or(ADDRESS_CONNECTIONS.min(half));
        let rest = memory
            .saturating_sub(2 * (memory / 8) + memory / 24 + memory / 10)
            .saturating_sub(128 * MIB);
        let slots_min = TABLE_SLOTS_MIN.max(BATCH_SLOTS_MAX * self.batch_declarations_max as u64);
        let index = Memory { bytes: rest, slots_min };
        // Of the largest messages one at a time, of batches one in work on each of four connections.
        let needed = [2 * self.batch_bytes_max.0, 4 * batch_bytes];
        let fits = needed.iter().all(|needed| *needed <= memory / 8);
        if !fits || index.slots(0).is_none() {
            let least = needed.iter().max().map_or(0, |needed| 8 * needed).max(256 * MIB);
            let least = least.max(memory_for_index(index.needed(0)));
            let least = ByteSize(least.next_multiple_of(MIB));
            return Err(ConfigError::Bound {
                field: "memory_max",
                value: self.memory_max.to_string(),
                bound: format!(
                    "must be at least {least} with these batch_bytes_max, batch_declarations_max \
                     and answer_bytes_max"
                ),
            });
        }
        // Each may hold an answer; a sixty-fourth of the memory, of the tenth for everything small.
        let lookups = (memory / 64 / self.answer_bytes_max.0).max(2);
        let lookups = usize::try_from(lookups).unwrap_or(usize::MAX);
        Ok(Sizes {
            index,
            bytes_in_flight_max,
            batches_in_flight_max,
            connections_max,
            address_connections_max: of_address,
            connection_streams_max: streams,
            lookups_in_flight_max: lookups.min(self.lookups_in_flight_max),
        })
    }

    /// Refuses a `memory_max` in which the smallest table does not fit beside what is loaded of the
    /// runs, `loaded` bytes.
    ///
    /// # Errors
    /// The setting, and what it must be.
    pub fn check_runs(&self, index: Memory, loaded: u64) -> Result<(), ConfigError> {
        if index.slots(loaded).is_some() {
            return Ok(());
        }
        let least = ByteSize(memory_for_index(index.needed(loaded)).next_multiple_of(MIB));
        Err(ConfigError::Bound {
            field: "memory_max",
            value: self.memory_max.to_string(),
            bound: format!(
                "must be at least {least}: what is kept in memory of the runs on disk takes {loaded} \
                 bytes"
            ),
        })
    }

    /// Watches over summaries at once: what all of them remember stays below 32 MiB and a
    /// thirty-second of the memory, both of them part of what is for everything small. By default
    /// 32 × 100,001 × [`WATCHED_ACTOR_BYTES`] = 102 MB of 134 MB. One there may always be.
    #[must_use]
    pub fn watches(&self) -> usize {
        let room = self.memory_max.0 / 32 + 32 * MIB;
        let fitting = room / ((u64::from(self.actors_max) + 1) * WATCHED_ACTOR_BYTES);
        usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, self.watches_max.max(1))
    }

    /// Bytes of closed days that stay in memory for rankings, 12 for each actor and day: a sixty-fourth, of the
    /// tenth for everything small. By default 48 MiB, which is a year of 11,000 IOSS numbers on each day.
    #[must_use]
    pub fn columns_bytes(&self) -> u64 {
        self.memory_max.0 / 64
    }

    /// Threads that judge.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        if self.workers > 0 {
            return self.workers;
        }
        std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
    }
}

/// The `memory_max` of which so many bytes are left for the index: the inverse of what
/// [`Config::sizes`] takes off, 1/4 + 1/24 + 1/10 = 47/120 and 128 MiB.
fn memory_for_index(bytes: u64) -> u64 {
    (bytes + 128 * MIB) / 73 * 120 + 120
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_address_has_all_connections_unless_the_settings_say_so() {
        let of_address = |memory_max, address_connections_max| {
            let memory_max = ByteSize(memory_max);
            let config = Config { memory_max, address_connections_max, ..Config::default() };
            let sizes = config.check().unwrap();
            (sizes.connections_max, sizes.address_connections_max)
        };
        assert_eq!(of_address(1 << 30, None), (42, 21));
        assert_eq!(of_address(2 << 30, None), (85, 42));
        assert_eq!(of_address(6 << 30, None), (256, 64));
        assert_eq!(of_address(1 << 30, Some(42)), (42, 42));
        let one = Config { connections_max: 1, ..Config::default() };
        assert_eq!(one.check().unwrap().address_connections_max, 1);
    }

    #[test]
    fn headers_of_all_calls_there_may_be_fit_into_their_part_of_the_memory() {
        for (memory_max, header_bytes_max, connections_max) in [
            (1_u64 << 30, 16 << 10, 256),
            (3 << 30, 16 << 10, 256),
            (3 << 30, 1 << 10, 256),
            (3 << 30, 512 << 10, 256),
            (64 << 30, 16 << 10, 10_000),
        ] {
            let (memory_max, header_bytes_max) = (ByteSize(memory_max), ByteSize(header_bytes_max));
            let config =
                Config { memory_max, header_bytes_max, connections_max, ..Config::default() };
            let sizes = config.check().unwrap();
            let streams = u64::from(sizes.connection_streams_max);
            assert!((1..=256).contains(&streams), "{streams}");
            let bytes = sizes.connections_max * streams * header_bytes_max.0;
            assert!(bytes <= memory_max.0 / 32, "{bytes} of {memory_max}");
        }
        let config = Config { header_bytes_max: ByteSize(1 << 20), ..Config::default() };
        let told = config.check().unwrap_err().to_string();
        assert!(told.contains("header_bytes_max is 1MiB: must be at most 768KiB"), "{told}");
    }

    #[test]
    fn watches_are_as_many_as_there_is_memory_for() {
        let watches = |memory_max, actors_max, watches_max| {
            let memory_max = ByteSize(memory_max);
            Config { memory_max, actors_max, watches_max, ..Config::default() }.watches()
        };
        assert_eq!(Config::default().watches(), 32);
        assert_eq!(watches(3 << 30, 100_000, 64), 41);
        assert_eq!(watches(256 << 20, 100_000, 64), 13);
        assert_eq!(watches(256 << 20, 1_000, 64), 64);
        assert_eq!(watches(256 << 20, 10_000_000, 64), 1);
    }
}
