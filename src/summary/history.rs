//! An actor's figures day by day, and what is usual among the others of its role.
//!
//! The measure of what is usual leaves the actor itself out, and takes the median of the others' own
//! values: pooled, it would be the figure of whoever declares most, which may be the actor that is being
//! measured (DOMAIN 5). [`OTHER`](super::OTHER) is no actor and is left out too.
//!
//! Without peers a day costs a look-up. With them it costs a pass over all actors of the role that day: of
//! a closed day about 1 µs each, outside the lock; of an open one, of which there are two or three, about
//! 0.1 µs under it, 10 ms for 100,000 actors, for which the fold waits and no answer does. What is kept
//! meanwhile is 8 bytes for each peer and indicator of one closed day, or of all open ones: at most 3 × 16 ×
//! 8 × 100,000 = 38 MB.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::day::Day;
use crate::id::Watermark;
use crate::statistics::median;
use crate::summary::actors::OTHER_NUMBER;
use crate::summary::board::{Board, ClosedDays, in_period};
use crate::summary::day_file::DayFile;
use crate::summary::indicators::{Indicator, Measure};
use crate::summary::state::State;
use crate::summary::whose::Whose;
use crate::summary::{ActorId, Counters, OTHER, Period, QueryError, Role};

/// Most days of a history: a year and what may be set against it. At 20 indicators of 70 bytes a day an
/// answer has 0.6 MB.
pub const HISTORY_DAYS_MAX: u16 = 400;
/// Most days of one with peers: a quarter. At 10,000 actors a day it takes about a second.
pub const HISTORY_PEER_DAYS_MAX: u16 = 100;
/// A peer with a smaller denominator is left out: its value jumps from day to day.
pub const PEER_DENOMINATOR_MIN: u64 = 30;

/// What of an actor is asked for.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// In which role.
    pub role: Role,
    /// Whose.
    pub id: ActorId,
    /// Over which days. Open ends reach as far as there are days and the bound allows.
    pub period: Period,
    /// Which indicators; empty: all.
    pub names: Vec<String>,
    /// With what is usual among the others.
    pub peers: bool,
}

/// An actor's figures by day.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The days that were counted.
    pub first: Day,
    /// See `first`.
    pub last: Day,
    /// At which all of it was read.
    pub watermark: Watermark,
    /// In order; a day without declarations of the actor is left out.
    pub days: Vec<HistoryDay>,
}

/// One day of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryDay {
    /// The day.
    pub day: Day,
    /// The actor's figures.
    pub counters: Counters,
    /// Those asked for that have a denominator.
    pub indicators: Vec<Indicator>,
    /// Of each of `indicators`; empty unless asked for.
    pub peers: Vec<PeerFigure>,
}

/// What an indicator is among the others.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerFigure {
    /// The indicator.
    pub name: String,
    /// How many others have one of a denominator that is large enough.
    pub peers: u32,
    /// The median of their values; `None` without any.
    pub median: Option<f64>,
}

impl HistoryQuery {
    /// Most days of it.
    #[must_use]
    pub fn days_max(&self) -> u16 {
        if self.peers { HISTORY_PEER_DAYS_MAX } else { HISTORY_DAYS_MAX }
    }

    /// The days to count, where `newest` is the newest that anyone declared on.
    fn days(&self, newest: Day) -> (Day, Day) {
        let more = self.days_max() - 1;
        match (self.period.first, self.period.last) {
            (Some(first), last) => {
                // A day before the first is none: the period is empty then, but still one.
                let last = last.unwrap_or(newest).max(first);
                (first, last.min(Day(first.0.saturating_add(more))))
            }
            (None, last) => {
                let last = last.unwrap_or(newest);
                (Day(last.0.saturating_sub(more)), last)
            }
        }
    }

    /// The indicators asked for that `own` has.
    fn measures(&self, own: &Counters) -> Vec<Measure> {
        let mut all = Measure::all_of(own);
        let is_wanted = |name: String| self.names.is_empty() || self.names.contains(&name);
        all.retain(|measure| measure.parts(own).1 > 0 && is_wanted(measure.name()));
        all
    }
}

impl Board {
    /// The figures of one actor by day; `None` where no declaration has named it (see
    /// [`Board::summary`]). The watermark says as of when.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn history(
        &self,
        query: &HistoryQuery,
    ) -> Result<(Option<History>, Watermark), QueryError> {
        self.settled(|closed| {
            let newest = self.read(|state| state.newest)?;
            let (first, last) = query.days(newest.unwrap_or_default());
            let period = Period { first: Some(first), last: Some(last) };
            let mut days = self.closed_days(query, period, closed)?;
            let read = self.read(|state| {
                if !Arc::ptr_eq(&state.closed, closed) {
                    return None;
                }
                let watermark = Watermark(state.watermark);
                let Some(number) = state.actors(query.role).number(&query.id) else {
                    return Some((None, watermark));
                };
                Some((Some(open_days(state, query, period, number)), watermark))
            })?;
            let Some((open, watermark)) = read else { return Ok(None) };
            let Some(open) = open else { return Ok(Some((None, watermark))) };
            days.extend(open.into_iter().map(|(day, own, others)| of_day(day, own, others)));
            days.sort_unstable_by_key(|day| day.day);
            Ok(Some((Some(History { first, last, watermark, days }), watermark)))
        })
    }

    fn closed_days(
        &self,
        query: &HistoryQuery,
        period: Period,
        closed: &ClosedDays,
    ) -> Result<Vec<HistoryDay>, QueryError> {
        let mut days = Vec::new();
        for (day, file) in in_period(closed, period) {
            let file = self.day_file(day, file)?;
            let mut sums = [Counters::default()];
            file.merge_into(Whose::Actor(query.role), std::slice::from_ref(&query.id), &mut sums)?;
            let [own] = sums;
            if own.is_empty() {
                continue;
            }
            let mut others = Others::new(query.measures(&own), query.peers);
            if query.peers {
                scan_others(&file, query, &mut others)?;
            }
            days.push(of_day(day, own, others));
        }
        Ok(days)
    }
}

fn scan_others(
    file: &DayFile,
    query: &HistoryQuery,
    others: &mut Others,
) -> Result<(), QueryError> {
    file.scan(Whose::Actor(query.role), None, |id, figures| {
        if id != query.id.as_str() && id != OTHER {
            others.add(&Counters::decode(figures)?);
        }
        Some(ControlFlow::Continue(()))
    })?;
    Ok(())
}

/// Of the open days those on which actor `number` declared.
fn open_days(
    state: &State,
    query: &HistoryQuery,
    period: Period,
    number: u32,
) -> Vec<(Day, Counters, Others)> {
    let mut days = Vec::new();
    for (day, role_day) in state.open_days(Whose::Actor(query.role), period) {
        let Some(own) = role_day.get(number).map(|entry| entry.counters.clone()) else { continue };
        let mut others = Others::new(query.measures(&own), query.peers);
        if query.peers {
            let entries = role_day.entries.iter();
            entries
                .filter(|entry| entry.number != number && entry.number != OTHER_NUMBER)
                .for_each(|entry| others.add(&entry.counters));
        }
        days.push((day, own, others));
    }
    days
}

/// The values of the other actors on one day.
struct Others {
    measures: Vec<Measure>,
    /// Of each measure.
    values: Vec<Vec<f64>>,
    are_asked_for: bool,
}

impl Others {
    fn new(measures: Vec<Measure>, are_asked_for: bool) -> Self {
        let values = measures.iter().map(|_| Vec::new()).collect();
        Self { measures, values, are_asked_for }
    }

    fn add(&mut self, counters: &Counters) {
        for (measure, values) in self.measures.iter().zip(&mut self.values) {
            let (numerator, denominator) = measure.parts(counters);
            if denominator >= PEER_DENOMINATOR_MIN {
                values.push(numerator as f64 / denominator as f64);
            }
        }
    }

    fn figures(self) -> Vec<PeerFigure> {
        if !self.are_asked_for {
            return Vec::new();
        }
        let figure = |(measure, values): (Measure, Vec<f64>)| PeerFigure {
            name: measure.name(),
            // As many as there may be actors at most.
            peers: u32::try_from(values.len()).unwrap_or(u32::MAX),
            median: median(values),
        };
        self.measures.into_iter().zip(self.values).map(figure).collect()
    }
}

fn of_day(day: Day, own: Counters, others: Others) -> HistoryDay {
    let indicators = others.measures.iter().filter_map(|measure| measure.indicator(&own)).collect();
    HistoryDay { day, counters: own, indicators, peers: others.figures() }
}
