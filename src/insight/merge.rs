//! The rows of one table from many files, in order: what has one key comes together, whenever it was sealed.
//!
//! Of each run one block is held, 16 KiB; of 28 days of 1.3 million declarations that is 280 runs, 4.6 MB.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::error::InsightError;
use super::key_file::KeyFile;
use super::row::Row;
use crate::day::Day;

/// A file with what its lodgers are called here.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) day: Day,
    pub(super) file: KeyFile,
    /// By number of lodger: its actors, by role.
    pub(super) actors: Vec<[u32; 3]>,
}

/// A row, as it is seen among those of other files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) row: Row,
    /// By role; [`super::cast::NOBODY`] where there is none.
    pub(super) actors: [u32; 3],
    pub(super) day: Day,
}

/// Merges rows.
#[derive(Debug)]
pub(super) struct Merge<'a> {
    sources: &'a [Source],
    cursors: Vec<Cursor>,
    next: BinaryHeap<Reverse<Next>>,
}

/// The next row of a run. They come by key, those of one key by file, and those of one file by ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    key: (u64, u64, u32),
    source: usize,
    row: Row,
    cursor: usize,
}

impl<'a> Merge<'a> {
    /// Of the files in `sources`, in the order of their records.
    pub(super) fn over(sources: &'a [Source]) -> Result<Self, InsightError> {
        let mut merge = Self { sources, cursors: Vec::new(), next: BinaryHeap::new() };
        for (source, from) in sources.iter().enumerate() {
            for blocks in from.file.runs() {
                let cursor = Cursor { source, blocks, bytes: Vec::new(), at: 0, before: None };
                merge.cursors.push(cursor);
                merge.step(merge.cursors.len() - 1)?;
            }
        }
        Ok(merge)
    }

    fn step(&mut self, number: usize) -> Result<(), InsightError> {
        let Some(cursor) = self.cursors.get_mut(number) else { return Ok(()) };
        let Some(source) = self.sources.get(cursor.source) else { return Ok(()) };
        if let Some(row) = cursor.step(&source.file)? {
            let (key, source) = (row.key(), cursor.source);
            self.next.push(Reverse(Next { key, source, row, cursor: number }));
        }
        Ok(())
    }

    /// The next row: all that one file has with its key, of whatever runs.
    pub(super) fn next(&mut self) -> Result<Option<Seen>, InsightError> {
        let Some(Reverse(Next { key, source, mut row, cursor })) = self.next.pop() else {
            return Ok(None);
        };
        self.step(cursor)?;
        while let Some(Reverse(next)) = self.next.peek().copied()
            && (next.key, next.source) == (key, source)
        {
            self.next.pop();
            row.add(&next.row);
            self.step(next.cursor)?;
        }
        let Some(source) = self.sources.get(source) else { return Ok(None) };
        let Some(actors) = source.actors.get(row.who as usize) else {
            return Err(source.file.malformed(0));
        };
        Ok(Some(Seen { row, actors: *actors, day: source.day }))
    }
}

#[derive(Debug)]
struct Cursor {
    source: usize,
    /// Those not read yet.
    blocks: Range<usize>,
    bytes: Vec<u8>,
    at: usize,
    /// Of the same block.
    before: Option<Row>,
}

impl Cursor {
    fn step(&mut self, file: &KeyFile) -> Result<Option<Row>, InsightError> {
        if self.at >= self.bytes.len() {
            let Some(block) = self.blocks.next() else { return Ok(None) };
            (self.bytes, self.at, self.before) = (file.block(block)?, 0, None);
        }
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        let row = Row::decode(self.before.as_ref(), &mut rest);
        let row = row.ok_or_else(|| file.malformed(self.blocks.start.saturating_sub(1)))?;
        self.at = self.bytes.len() - rest.len();
        self.before = Some(row);
        Ok(Some(row))
    }
}
