//! The figures of one actor day by day, all at one watermark.

use std::collections::BTreeMap;

use crate::day::Day;
use crate::id::Watermark;
use crate::summary::board::Board;
use crate::summary::whose::Whose;
use crate::summary::{ActorId, Counters, Period, QueryError, Role};

impl Board {
    /// What one actor declared on each day of `period` on which it declared something; `None` where no declaration has
    /// named it, as [`Board::summary`] has it. The watermark says as of when. Reads a file for each closed day.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn daily(
        &self,
        role: Role,
        id: &ActorId,
        period: Period,
    ) -> Result<(Option<BTreeMap<Day, Counters>>, Watermark), QueryError> {
        self.settled(|closed| {
            let open = self.read(|state| {
                if !std::sync::Arc::ptr_eq(&state.closed, closed) {
                    return None;
                }
                let watermark = Watermark(state.watermark);
                let Some(number) = state.actors(role).number(id) else {
                    return Some((None, watermark));
                };
                let days = state.open_days(Whose::Actor(role), period);
                let of_actor = days.filter_map(|(day, role_day)| {
                    Some((day, role_day.get(number)?.counters.clone()))
                });
                Some((Some(of_actor.collect::<BTreeMap<_, _>>()), watermark))
            })?;
            let Some((days, watermark)) = open else { return Ok(None) };
            let Some(mut days) = days else { return Ok(Some((None, watermark))) };
            for (day, file) in closed.iter().filter(|(day, _)| period.contains(**day)) {
                let mut sums = [Counters::default()];
                let file = self.day_file(*day, *file)?;
                file.merge_into(Whose::Actor(role), std::slice::from_ref(id), &mut sums)?;
                let [counters] = sums;
                if !counters.is_empty() {
                    days.insert(*day, counters);
                }
            }
            Ok(Some((Some(days), watermark)))
        })
    }
}
