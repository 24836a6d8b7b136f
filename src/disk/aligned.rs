//! Memory at a page's address, as direct reads and writes need it, without `unsafe`: a `Vec` one
//! page longer than asked for, of which the aligned part is lent out. It never grows in place, so
//! the address stays.

use super::PAGE_BYTES;

/// Zeroed bytes, at an address and of a length that are multiples of [`PAGE_BYTES`].
#[derive(Debug, Default)]
pub struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
    bytes: usize,
}

impl AlignedBuffer {
    /// `pages` pages of zeros.
    #[must_use]
    pub fn new(pages: usize) -> Self {
        let bytes = pages * PAGE_BYTES;
        // `vec!` of zeros takes fresh pages from the system without touching them.
        let memory = vec![0; bytes + PAGE_BYTES - 1];
        // `align_offset` may decline; then a direct write is refused, and never goes wrong.
        let start = memory.as_ptr().align_offset(PAGE_BYTES);
        let start = if start < PAGE_BYTES { start } else { 0 };
        Self { memory, start, bytes }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.memory.get(self.start..self.start + self.bytes).unwrap_or_default()
    }

    /// The bytes.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.start..self.start + self.bytes).unwrap_or_default()
    }

    /// The bytes, page by page.
    #[must_use]
    pub fn pages(&self) -> &[[u8; PAGE_BYTES]] {
        self.bytes().as_chunks().0
    }

    /// The bytes, page by page.
    #[must_use]
    pub fn pages_mut(&mut self) -> &mut [[u8; PAGE_BYTES]] {
        self.bytes_mut().as_chunks_mut().0
    }

    /// A longer one with the same bytes at its beginning; itself where it is long enough.
    #[must_use]
    pub fn grown(self, pages: usize) -> Self {
        if pages * PAGE_BYTES <= self.bytes {
            return self;
        }
        let mut longer = Self::new(pages);
        for (to, from) in longer.pages_mut().iter_mut().zip(self.pages()) {
            *to = *from;
        }
        longer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_aligned_and_keeps_its_bytes_when_grown() {
        let mut buffer = AlignedBuffer::new(3);
        assert_eq!(buffer.bytes().len(), 3 * PAGE_BYTES);
        assert!(buffer.bytes().iter().all(|byte| *byte == 0));
        buffer.bytes_mut().fill(7);
        for pages in [2, 3, 50] {
            buffer = buffer.grown(pages);
            assert_eq!(buffer.bytes().as_ptr().addr() % PAGE_BYTES, 0);
            assert_eq!(buffer.pages().len(), pages.max(3));
            assert_eq!(buffer.bytes().iter().filter(|byte| **byte == 7).count(), 3 * PAGE_BYTES);
        }
    }
}
