//! Which actors have the most lines.
//!
//! What is to be ranked of closed days is kept in memory ([`Columns`]), and read ahead after a start.
//! Numbers of actors stand for them in it: they stay what they are as long as the process lives.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::day::Day;
use crate::summary::board::{Board, ClosedDays, Picked, in_period};
use crate::summary::columns::Columns;
use crate::summary::day_files::ClosedDay;
use crate::summary::state::State;
use crate::summary::whose::Whose;
use crate::summary::{ActorId, Cursor, ListQuery, Page, Period, QueryError, Role, Summary};

/// Of so many entries one is read by itself; of fewer, whole blocks of some 150 are: reading and checking one
/// takes as long as some five entries.
const FEW: usize = 32;
/// So many actors are looked up before the fold may go on: 0.5 ms.
const LOOK_UPS: usize = 10_000;

impl Board {
    /// Reads ahead what rankings need of closed days, the newest first, as far as there is room: or else whoever asks
    /// first after a start waits for all of it. For a thread of its own, which ends with the fold at the latest.
    ///
    /// # Errors
    /// The first day that cannot be read.
    pub fn read_ahead(&self) -> Result<(), QueryError> {
        let closed = self.read(|state| Arc::clone(&state.closed))?;
        for (day, file) in closed.iter().rev() {
            for role in Role::ALL {
                if self.is_stopped() {
                    return Ok(());
                }
                match self.columns(role, *day, *file) {
                    // It was closed again meanwhile.
                    Err(QueryError::DayFile(error)) if error.is_gone() => {}
                    read => drop(read?),
                }
            }
            if !self.shared.columns.has_room() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn list_by_lines(
        &self,
        query: &ListQuery,
        closed: &ClosedDays,
    ) -> Result<Option<Page>, QueryError> {
        let ListQuery { role, period, page_size, .. } = *query;
        let mut lines = Lines::default();
        for (day, file) in in_period(closed, period) {
            self.columns(role, day, file)?
                .lines()
                .for_each(|(number, more)| lines.add(number, more));
        }
        let after = query.after.map(|cursor| (Reverse(cursor.lines), cursor.id));
        let picked = self.read(|state| {
            if !Arc::ptr_eq(&state.closed, closed) {
                return None;
            }
            let mut ranked = ranking(state, role, period, lines);
            ranked.retain(|rank| after.is_none_or(|after| *rank > after));
            let more = ranked.len() > page_size;
            if more {
                ranked.select_nth_unstable(page_size);
                ranked.truncate(page_size);
            }
            ranked.sort_unstable();
            let last = ranked.last().map(|(Reverse(lines), id)| Cursor { lines: *lines, id: *id });
            let next = if more { last } else { None };
            let ids: Vec<_> = ranked.into_iter().map(|(_, id)| id).collect();
            Some((ids.clone(), Picked::at(state, role, period, sorted(ids)), next))
        })?;
        let Some((order, picked, next)) = picked else { return Ok(None) };
        let watermark = picked.watermark;
        let summaries = self.add_ranked(picked, role, period, closed)?;
        let mut by_id: HashMap<_, _> =
            summaries.into_iter().map(|summary| (summary.id, summary)).collect();
        let summaries = order.iter().filter_map(|id| by_id.remove(id)).collect();
        Ok(Some(Page { summaries, next, watermark }))
    }

    /// Of `file`, the file of `day`: kept ones or, if there are none, such as are kept now.
    fn columns(&self, role: Role, day: Day, file: ClosedDay) -> Result<Arc<Columns>, QueryError> {
        if let Some(kept) = self.shared.columns.get(day, role, file) {
            return Ok(kept);
        }
        let read = Columns::read(&*self.day_file(day, file)?, role, |ids| {
            let mut numbers = Vec::with_capacity(ids.len());
            for some in ids.chunks(LOOK_UPS) {
                self.read(|state| {
                    numbers.extend(some.iter().map(|id| state.actors(role).number(id)));
                })?;
            }
            Ok::<_, QueryError>(numbers)
        });
        let read = Arc::new(read?);
        self.shared.columns.keep(day, role, file, &read);
        Ok(read)
    }

    /// Does what [`Board::add_closed`] does, for ids of which columns say where their figures are.
    fn add_ranked(
        &self,
        mut picked: Picked,
        role: Role,
        period: Period,
        closed: &ClosedDays,
    ) -> Result<Vec<Summary>, QueryError> {
        // By number: 1 + the place among those that were picked, or 0.
        let last = picked.numbers.iter().max().map_or(0, |last| *last as usize);
        let mut places = vec![0_usize; last + 1];
        for (place, number) in (1..).zip(&picked.numbers) {
            if let Some(of) = places.get_mut(*number as usize) {
                *of = place;
            }
        }
        let mut rest = BTreeMap::new();
        for (day, file) in in_period(closed, period) {
            let columns = self.shared.columns.get(day, role, file);
            let is_few = |columns: &Arc<Columns>| columns.len() >= FEW * picked.ids.len();
            let Some(columns) = columns.filter(is_few) else {
                rest.insert(day, file);
                continue;
            };
            let day_file = self.shared.files.get(day, file)?;
            for (number, place) in columns.places() {
                let of = places.get(number as usize).and_then(|of| of.checked_sub(1));
                if let Some(sum) = of.and_then(|of| picked.sums.get_mut(of)) {
                    sum.merge(&day_file.figures_at(place)?);
                }
            }
        }
        self.add_closed(picked, role, period, &Arc::new(rest))
    }
}

/// Lines by actor number, of those that have figures.
#[derive(Debug, Clone, Default)]
struct Lines(Vec<Option<u64>>);

impl Lines {
    #[inline]
    fn add(&mut self, number: u32, more: u64) {
        let place = number as usize;
        if place >= self.0.len() {
            // Numbers are those of actors that are known.
            self.0.resize(place + 1, None);
        }
        if let Some(lines) = self.0.get_mut(place) {
            *lines = Some(lines.unwrap_or(0).saturating_add(more));
        }
    }
}

/// All actors with figures in `period`, unsorted, by accepted lines; `lines` are those of its closed days.
fn ranking(
    state: &State,
    role: Role,
    period: Period,
    mut lines: Lines,
) -> Vec<(Reverse<u64>, ActorId)> {
    for (_, role_day) in state.open_days(Whose::Actor(role), period) {
        for entry in &role_day.entries {
            lines.add(entry.number, entry.counters.accepted_lines);
        }
    }
    let numbered = (0_u32..).zip(lines.0);
    let named = numbered
        .filter_map(|(number, lines)| Some((Reverse(lines?), state.actors(role).id(number)?)));
    named.collect()
}

fn sorted(mut ids: Vec<ActorId>) -> Vec<ActorId> {
    ids.sort_unstable();
    ids
}
