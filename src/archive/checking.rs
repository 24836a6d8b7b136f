//! Checks a set from end to end, for `waag verify`.

use super::entry::Entry;
use super::error::ArchiveError;
use super::scan::{dropped_meanwhile, open_files};
use super::set::Set;
use super::store::Archive;
use crate::id::Ordinal;

/// What a check went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Batches.
    pub batches: u64,
    /// Declarations that got a first answer.
    pub declarations: u64,
    /// Goods items of them.
    pub goods_items: u64,
    /// Findings about them.
    pub findings: u64,
    /// Replays.
    pub replays: u64,
}

impl std::ops::AddAssign for Checked {
    fn add_assign(&mut self, more: Self) {
        self.files += more.files;
        self.bytes += more.bytes;
        self.batches += more.batches;
        self.declarations += more.declarations;
        self.goods_items += more.goods_items;
        self.findings += more.findings;
        self.replays += more.replays;
    }
}

impl Archive {
    /// Reads all files of `set` and checks that they are what was written, byte by byte, and that
    /// tables agree with one another: rows as many as the set file says, a declaration or a replay for
    /// every index of a batch, goods items and findings for no other declaration, ordinals without
    /// gaps.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] with the file.
    pub fn check(&self, set: &Set) -> Result<Checked, ArchiveError> {
        let mut checked = self.check_files(set)?;
        let path = set.path(&self.inner.root);
        let is_whole = set.parts.iter().all(|part| !part.is_dropped);
        let mut next = set.first_ordinal;
        let mut records = self.read(set)?;
        while let Some(batch) = records.next_batch()? {
            let (first, end) = (set.first_ordinal, set.end_ordinal);
            let own_end = batch.first_ordinal.0.saturating_add(u64::from(batch.declarations));
            let is_within = batch.record >= set.first
                && batch.record <= set.last
                && batch.first_ordinal >= next.max(first)
                && own_end <= end.0;
            if !is_within || (is_whole && batch.first_ordinal != next) {
                let (record, from) = (batch.record.0, batch.first_ordinal.0);
                let what =
                    format!("batch {record} begins with ordinal {from}, where {} is next", next.0);
                return Err(ArchiveError::damaged(&path, what));
            }
            next = Ordinal(own_end);
            checked.batches += 1;
            while let Some(entry) = records.next_entry()? {
                match entry {
                    Entry::Declaration(entry) => {
                        checked.declarations += 1;
                        checked.goods_items += entry.declaration.goods_items.len() as u64;
                        checked.findings += entry.findings.list.len() as u64;
                    }
                    Entry::Replay(_) => checked.replays += 1,
                }
            }
        }
        if is_whole && next != set.end_ordinal {
            let what = format!("its batches end before ordinal {}, and it says {}", next.0, {
                set.end_ordinal.0
            });
            return Err(ArchiveError::damaged(&path, what));
        }
        let found = [
            checked.batches,
            checked.declarations,
            checked.goods_items,
            checked.findings,
            checked.replays,
        ];
        for (table, found) in found.into_iter().enumerate() {
            let files = set.kept().filter_map(|part| part.files.get(table));
            let expected: u64 = files.map(|file| file.rows).sum();
            if found != expected {
                let table = super::tables::TABLES.get(table).copied().unwrap_or_default();
                let what = format!("it says {expected} rows of {table}, and {found} belong to it");
                return Err(ArchiveError::damaged(&path, what));
            }
        }
        Ok(checked)
    }

    /// The first half of [`Self::check`]: whether all files are what was written.
    pub(super) fn check_files(&self, set: &Set) -> Result<Checked, ArchiveError> {
        let mut checked = Checked::default();
        for (part, checks) in set.kept().zip(self.inner.checks(set)?) {
            let Some(checks) = &checks else { return Err(dropped_meanwhile(part)) };
            for (file, entry) in open_files(&self.inner, set, part, checks)?.iter().zip(part.files)
            {
                file.check(entry)?;
                checked.files += 1;
                checked.bytes += entry.bytes;
            }
        }
        Ok(checked)
    }
}
