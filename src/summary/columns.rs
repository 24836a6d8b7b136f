//! What a ranking takes of closed days, kept in memory.
//!
//! A list by lines looks at every actor on every day of its period. Read from their files, those of a year
//! are hundreds of megabytes, twice: once to rank, and once more for the figures of a page. So of a closed day that was
//! read once, 12 bytes stay for each entry: whose it is, its lines, and where in the file its figures are. The next
//! ranking adds up numbers in memory, and reads of the file no more than the entries of its page.
//!
//! - Columns are made of blocks whose checksums were right, and have one of each entry: so what is read later is
//!   what was read first, or a fault.
//! - They are of one file, which does not change. A day that was closed again has another, and other columns.
//! - Past the bound the oldest days go first: what is asked for is mostly of late, and days that are read in turn
//!   would otherwise push out one another, each just before it is needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::day::Day;
use crate::summary::day_file::{DayFile, DayFileError};
use crate::summary::day_files::ClosedDay;
use crate::summary::whose::Whose;
use crate::summary::{ActorId, Counters, Role};

/// Stands for lines that take more than 16 bits.
const MANY: u16 = u16::MAX;

/// The entries of one role on one closed day, in the order of the file, where they are side by side.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Where in the file the first entry starts.
    start: u64,
    /// Of each entry: whose.
    numbers: Box<[u32]>,
    /// Accepted lines, or [`MANY`].
    lines: Box<[u16]>,
    /// Those that are many, by place.
    many: BTreeMap<u32, u64>,
    /// Bytes of the entry.
    lengths: Box<[u16]>,
    /// Its CRC32C.
    crcs: Box<[u32]>,
}

/// Where in a file an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// From the start of the file.
    pub(crate) at: u64,
    pub(crate) length: u16,
    /// CRC32C of its bytes.
    pub(crate) crc: u32,
}

impl Columns {
    /// Reads those of `role` from `file`; `numbers_of` tells the numbers of actors, all of which must be known.
    pub(crate) fn read<E: From<DayFileError>>(
        file: &DayFile,
        role: Role,
        numbers_of: impl FnOnce(&[ActorId]) -> Result<Vec<Option<u32>>, E>,
    ) -> Result<Self, E> {
        let (mut start, mut ids, mut many) = (None, Vec::new(), BTreeMap::new());
        let (mut lines, mut lengths, mut crcs) = (Vec::new(), Vec::new(), Vec::new());
        file.scan_places(Whose::Actor(role), |place, id, figures| {
            start.get_or_insert(place.at);
            ids.push(ActorId::parse(role, id)?);
            let of_entry = Counters::decode_accepted_lines(figures)?;
            let short = u16::try_from(of_entry).unwrap_or(MANY);
            if short == MANY {
                many.insert(u32::try_from(lines.len()).ok()?, of_entry);
            }
            lines.push(short);
            lengths.push(place.length);
            crcs.push(place.crc);
            Some(())
        })?;
        let known = numbers_of(&ids)?;
        let numbers: Result<Box<[u32]>, DayFileError> = known
            .into_iter()
            .zip(&ids)
            .map(|(number, id)| number.ok_or_else(|| file.names_unknown(id.as_str())))
            .collect();
        Ok(Self {
            start: start.unwrap_or(0),
            numbers: numbers?,
            lines: lines.into(),
            many,
            lengths: lengths.into(),
            crcs: crcs.into(),
        })
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of each actor, and its accepted lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u32, u64)> {
        let entries = (0_u32..).zip(self.numbers.iter().zip(&self.lines));
        entries.map(|(place, (number, lines))| match *lines {
            MANY => (*number, self.many.get(&place).copied().unwrap_or(MANY.into())),
            few => (*number, few.into()),
        })
    }

    /// The number of each actor, and where its entry is.
    pub(crate) fn places(&self) -> impl Iterator<Item = (u32, Place)> {
        let mut next = self.start;
        let entries = self.numbers.iter().zip(self.lengths.iter().zip(&self.crcs));
        entries.map(move |(number, (length, crc))| {
            let at = next;
            next += u64::from(*length);
            (*number, Place { at, length: *length, crc: *crc })
        })
    }

    /// Bytes of memory that they hold; a node of the tree of those that are many counted double.
    fn bytes(&self) -> usize {
        let of_entry = 2 * size_of::<u32>() + 2 * size_of::<u16>();
        size_of::<Self>() + self.numbers.len() * of_entry + self.many.len() * 24
    }
}

/// The columns that are kept.
#[derive(Debug)]
pub(crate) struct KeptColumns {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_day: BTreeMap<(Day, Role), (ClosedDay, Arc<Columns>)>,
    bytes: usize,
    /// Some went for want of room.
    is_full: bool,
}

impl KeptColumns {
    /// None as yet; of `bytes_max` bytes at most.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Self { bytes_max, kept: Mutex::default() }
    }

    /// Those of `role` in `file`, the file of `day`, where they are kept.
    pub(crate) fn get(&self, day: Day, role: Role, file: ClosedDay) -> Option<Arc<Columns>> {
        let kept = self.kept();
        let (of, columns) = kept.by_day.get(&(day, role))?;
        (*of == file).then(|| Arc::clone(columns))
    }

    /// Keeps them, as far as there is room: rather than those of older days.
    pub(crate) fn keep(&self, day: Day, role: Role, file: ClosedDay, columns: &Arc<Columns>) {
        let mut kept = self.kept();
        kept.bytes += columns.bytes();
        let before = kept.by_day.insert((day, role), (file, Arc::clone(columns)));
        kept.bytes -= before.map_or(0, |(_, columns)| columns.bytes());
        while kept.bytes > self.bytes_max {
            let Some((_, (_, oldest))) = kept.by_day.pop_first() else { break };
            kept.bytes -= oldest.bytes();
            kept.is_full = true;
        }
    }

    /// Whether all that was to be kept was.
    pub(crate) fn has_room(&self) -> bool {
        !self.kept().is_full
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FILE: ClosedDay = ClosedDay { generation: 1, length: 1, crc: 1 };

    fn of(numbers: u32) -> Arc<Columns> {
        let entries = numbers as usize;
        Arc::new(Columns {
            start: 36,
            numbers: (0..numbers).collect(),
            lines: vec![7; entries].into(),
            many: BTreeMap::new(),
            lengths: vec![100; entries].into(),
            crcs: vec![9; entries].into(),
        })
    }

    #[test]
    fn the_oldest_days_go_first_and_room_is_given_back() {
        let one = of(1_000).bytes() as u64;
        let kept = KeptColumns::new(3 * one);
        let days = |kept: &KeptColumns| -> Vec<u16> {
            let is_kept = |day: &u16| kept.get(Day(*day), Role::IossHolder, FILE).is_some();
            (0..10).filter(is_kept).collect()
        };
        for day in [4, 5, 6, 3, 7, 0] {
            kept.keep(Day(day), Role::IossHolder, FILE, &of(1_000));
        }
        assert_eq!(days(&kept), [5, 6, 7]);
        // Another file of the same day takes the room of the one before.
        let again = ClosedDay { generation: 2, ..FILE };
        for _ in 0..5 {
            kept.keep(Day(6), Role::IossHolder, again, &of(1_000));
        }
        assert_eq!(days(&kept), [5, 7]);
        assert!(kept.get(Day(6), Role::IossHolder, again).is_some());
        assert!(kept.get(Day(6), Role::Declarant, again).is_none());
        // What is larger than all of the room is not kept, and takes all.
        kept.keep(Day(9), Role::IossHolder, FILE, &of(4_000));
        assert!(days(&kept).is_empty());
        assert_eq!(kept.kept().bytes, 0);
    }

    #[test]
    fn lines_past_16_bits_and_places_one_after_another() {
        let mut columns = Arc::into_inner(of(3)).unwrap();
        columns.lines = vec![1, MANY, MANY - 1].into();
        columns.many.insert(1, 70_000);
        let lines: Vec<_> = columns.lines().collect();
        assert_eq!(lines, [(0, 1), (1, 70_000), (2, 65_534)]);
        let at: Vec<_> = columns.places().map(|(_, place)| place.at).collect();
        assert_eq!(at, [36, 136, 236]);
    }
}
