//! What the fold keeps in the catalog, and how it is read back.
//!
//! | key | value |
//! |---|---|
//! | `a`, role, actor number u32 | an id known: its text. Numbers run from 1 without gaps. Role 4 is that of fallback references |
//! | `d`, day u16 | a day that is or was closed: 1 closed or 0 reopened, generation u32, length of its file u64, checksum of its footer u32 |
//! | `e`, day u16, role, actor number u32 | an entry of an open day: [`Counters`] |
//! | `m` | watermark u64, actors_max u32, newest day + 1 as u32 (0: none); the last record whose figures are not complete u64 |
//!
//! In version 1 of the catalog there are no references, and `m` ends before its last field: figures are
//! not complete up to its watermark.
//!
//! Numbers in keys are big-endian, so that keys sort by them; in values little-endian.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Mark;
use crate::day::Day;
use crate::summary::Counters;
use crate::summary::actors::OTHER_NUMBER;
use crate::summary::day_files::ClosedDay;
use crate::summary::state::State;
use crate::summary::whose::Whose;

pub(crate) const META_KEY: &[u8] = b"m";

pub(crate) fn actor_key(whose: Whose, number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [b'a', whose.number(), a, b, c, d]
}

pub(crate) fn day_key(day: Day) -> [u8; 3] {
    let [a, b] = day.0.to_be_bytes();
    [b'd', a, b]
}

pub(crate) fn entry_key(day: Day, whose: Whose, number: u32) -> [u8; 8] {
    let ([x, y], [a, b, c, d]) = (day.0.to_be_bytes(), number.to_be_bytes());
    [b'e', x, y, whose.number(), a, b, c, d]
}

/// The watermark and what else is not per entry.
pub(crate) fn meta_value(state: &State) -> Vec<u8> {
    let mut value = meta_of_figures(state);
    value.extend_from_slice(&state.complete_after.to_le_bytes());
    value
}

/// Of that, what two folds of the same records have in common, whichever versions folded them.
pub(crate) fn meta_of_figures(state: &State) -> Vec<u8> {
    let newest = state.newest.map_or(0, |day| u32::from(day.0) + 1);
    let mut value = state.watermark.to_le_bytes().to_vec();
    value.extend_from_slice(&state.actors_max.to_le_bytes());
    value.extend_from_slice(&newest.to_le_bytes());
    value
}

/// A day that is closed or, with `closed` false, was reopened from that file.
pub(crate) fn day_value(closed: bool, file: ClosedDay) -> Vec<u8> {
    let mut value = vec![u8::from(closed)];
    value.extend_from_slice(&file.generation.to_le_bytes());
    value.extend_from_slice(&file.length.to_le_bytes());
    value.extend_from_slice(&file.crc.to_le_bytes());
    value
}

/// Builds the state from the catalog's entries, in the order of their keys.
pub(crate) struct Loader {
    pub(crate) state: State,
    closed: BTreeMap<Day, ClosedDay>,
    pub(crate) meta_mark: Option<Mark>,
    pub(crate) day_marks: BTreeMap<Day, Mark>,
}

impl Loader {
    pub(crate) fn new(actors_max: u32) -> Self {
        Self {
            state: State::new(actors_max),
            closed: BTreeMap::new(),
            meta_mark: None,
            day_marks: BTreeMap::new(),
        }
    }

    /// Takes one entry; the error says what is wrong with it.
    pub(crate) fn take(&mut self, key: &[u8], value: &[u8], mark: Mark) -> Result<(), String> {
        let taken = match key {
            [b'a', role, number @ ..] => self.take_actor(*role, number, value),
            [b'd', day @ ..] => self.take_day(day, value, mark),
            [b'e', x, y, role, number @ ..] => {
                self.take_entry([*x, *y], *role, number, value, mark)
            }
            _ if key == META_KEY => self.take_meta(value, mark),
            _ => None,
        };
        taken.ok_or_else(|| format!("its entry {key:02x?} is not what this version writes"))
    }

    /// The state, once all entries were taken.
    pub(crate) fn finish(mut self) -> Result<Self, String> {
        // A catalog that was made and never checkpointed has nothing at all: watermark 0.
        if self.meta_mark.is_none() && !(self.closed.is_empty() && self.state.open.is_empty()) {
            return Err("it has no watermark".to_owned());
        }
        if self.closed.keys().any(|day| self.state.open.contains_key(day)) {
            return Err("a day in it is both open and closed".to_owned());
        }
        self.state.closed = Arc::new(std::mem::take(&mut self.closed));
        Ok(self)
    }

    fn take_actor(&mut self, role: u8, number: &[u8], id: &[u8]) -> Option<()> {
        let whose = Whose::from_number(role)?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        let given = self.state.take_id(whose, std::str::from_utf8(id).ok()?)?;
        (given == number && number != OTHER_NUMBER).then_some(())
    }

    fn take_day(&mut self, day: &[u8], value: &[u8], mark: Mark) -> Option<()> {
        let day = Day(u16::from_be_bytes(day.try_into().ok()?));
        let (closed, rest) = value.split_first()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let file = ClosedDay {
            generation: u32::from_le_bytes(*generation),
            length: u64::from_le_bytes(*length),
            crc: u32::from_le_bytes(rest.try_into().ok()?),
        };
        match closed {
            0 => self.state.open.entry(day).or_default().generation = file.generation,
            1 => drop(self.closed.insert(day, file)),
            _ => return None,
        }
        self.day_marks.insert(day, mark);
        Some(())
    }

    fn take_entry(
        &mut self,
        day: [u8; 2],
        role: u8,
        number: &[u8],
        value: &[u8],
        mark: Mark,
    ) -> Option<()> {
        let day = Day(u16::from_be_bytes(day));
        let whose = Whose::from_number(role)?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        self.state.id(whose, number)?;
        let counters = Counters::decode(value)?;
        let open = self.state.open.entry(day).or_default();
        open.kind_mut(whose).add(number, counters, Some(mark));
        Some(())
    }

    fn take_meta(&mut self, value: &[u8], mark: Mark) -> Option<()> {
        let (watermark, rest) = value.split_first_chunk()?;
        let (actors_max, rest) = rest.split_first_chunk()?;
        let (newest, rest) = rest.split_first_chunk()?;
        let newest = u32::from_le_bytes(*newest);
        self.state.watermark = u64::from_le_bytes(*watermark);
        self.state.complete_after = match rest {
            [] => self.state.watermark,
            rest => u64::from_le_bytes(rest.try_into().ok()?),
        };
        self.state.actors_max = u32::from_le_bytes(*actors_max);
        self.state.newest = match newest.checked_sub(1) {
            Some(day) => Some(Day(u16::try_from(day).ok()?)),
            None => None,
        };
        self.meta_mark = Some(mark);
        Some(())
    }
}
