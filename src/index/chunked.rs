//! An array that grows without moving, so that it can be read while it grows and without a lock.

use std::sync::OnceLock;

const CHUNK: usize = 4_096;

/// Up to a fixed number of values, each set once.
#[derive(Debug)]
pub(super) struct Chunked<T> {
    chunks: Box<[OnceLock<Chunk<T>>]>,
}

type Chunk<T> = Box<[OnceLock<T>]>;

impl<T> Chunked<T> {
    /// Room for `capacity` values; memory is taken chunk by chunk as they are set.
    pub(super) fn new(capacity: usize) -> Self {
        Self { chunks: (0..capacity.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect() }
    }

    /// The value at `place`, if it has been set.
    pub(super) fn get(&self, place: u64) -> Option<&T> {
        let place = usize::try_from(place).ok()?;
        self.chunks.get(place / CHUNK)?.get()?.get(place % CHUNK)?.get()
    }

    /// Sets the value at `place`; `false` where there is no such place, or it was set before.
    pub(super) fn set(&self, place: u64, value: T) -> bool {
        let Ok(place) = usize::try_from(place) else { return false };
        self.chunks
            .get(place / CHUNK)
            .map(|chunk| chunk.get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect()))
            .and_then(|chunk| chunk.get(place % CHUNK))
            .is_some_and(|cell| cell.set(value).is_ok())
    }
}
