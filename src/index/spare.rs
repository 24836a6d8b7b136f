//! A table that is ready for the next generation. While there is one, no generation is frozen: so the
//! two of them take no more memory than a hot and a frozen one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::table::Table;

/// At most one table.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Option<Table>>);

impl Spare {
    fn lock(&self) -> MutexGuard<'_, Option<Table>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, table: Table) {
        *self.lock() = Some(table);
    }

    #[cfg(test)]
    pub(super) fn address(&self) -> Option<usize> {
        self.lock().as_ref().map(Table::address)
    }

    /// Gives the table up where it has more than so many slots.
    pub(super) fn keep_within(&self, slots: u64) {
        let _ = self.lock().take_if(|table| table.slots() > slots);
    }

    /// The table, where it has no more than so many slots, and not many fewer: else it would be full too
    /// soon.
    pub(super) fn take(&self, slots: u64) -> Option<Table> {
        let spare = self.lock().take();
        spare.filter(|table| (slots - slots / 8..=slots).contains(&table.slots()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_table_of_another_size_is_given_up() {
        let spare = Spare::default();
        let slots_of = |slots, wanted| {
            spare.put(Table::populated(slots).unwrap());
            spare.take(wanted).map(|table| table.slots())
        };
        assert_eq!(slots_of(800, 800), Some(800));
        assert_eq!(slots_of(700, 800), Some(700));
        assert_eq!(slots_of(699, 800), None);
        assert_eq!(slots_of(801, 800), None);
        assert!(spare.take(800).is_none());
        spare.put(Table::populated(800).unwrap());
        spare.keep_within(800);
        assert!(spare.address().is_some());
        spare.keep_within(799);
        assert!(spare.address().is_none());
    }
}
