//! Reading the fold.
//!
//! A read sees the fold at exactly one watermark. Open days are read under a lock that also keeps
//! the fold from going on, so nothing touches the disk there; closed days are read outside it,
//! from files that do not change. Should the set of closed days have become another in between,
//! the read starts again.
//!
//! What holds the lock longest is a list by lines: about 10 ns for each of at most 100,000
//! actors and each open day of the period, so a few milliseconds; answers to declarants do not
//! wait for the fold. Reads take from microseconds to seconds (a list by id over years of closed days):
//! callers on an executor use a blocking thread.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use tokio::sync::watch;

use crate::day::Day;
use crate::id::Watermark;
use crate::summary::actors::OTHER_NUMBER;
use crate::summary::columns::KeptColumns;
use crate::summary::day_file::DayFile;
use crate::summary::day_files::{ClosedDay, DayFiles};
use crate::summary::state::State;
use crate::summary::whose::Whose;
use crate::summary::{ActorId, Counters, DayFileError, QueryError, Role};

/// How often a read starts again before it gives up. Days are closed about once a day.
const ATTEMPTS_MAX: usize = 8;

/// Whole days, both included; `None` is open-ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    /// The first day.
    pub first: Option<Day>,
    /// The last day.
    pub last: Option<Day>,
}

impl Period {
    /// Whether `day` is in it.
    #[must_use]
    pub fn contains(&self, day: Day) -> bool {
        self.first.is_none_or(|first| first <= day) && self.last.is_none_or(|last| day <= last)
    }
}

/// An actor's figures over a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whose.
    pub id: ActorId,
    /// Its number among those of its role, at most as many as there may be: for whoever keeps
    /// something of each actor, and only as long as this process lives.
    pub number: u32,
    /// The fold of exactly so many records.
    pub watermark: Watermark,
    /// The sum of its days.
    pub counters: Counters,
}

/// In which order actors are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By accepted lines, the most first; the same number by id. Ranks may shift between pages.
    Lines,
    /// By id: over all pages each exactly once.
    Id,
}

/// Where a page ended: the next one starts after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Accepted lines of the last actor; 0 in a list by id.
    pub lines: u64,
    /// The last actor.
    pub id: ActorId,
}

/// A list of the actors that have figures in a period.
#[derive(Debug, Clone, Copy)]
pub struct ListQuery {
    /// Of which role.
    pub role: Role,
    /// Over which days.
    pub period: Period,
    /// In which order.
    pub order: Order,
    /// After which actor.
    pub after: Option<Cursor>,
    /// At most so many.
    pub page_size: usize,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// In the order asked for.
    pub summaries: Vec<Summary>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<Cursor>,
    /// At which all of the page was read.
    pub watermark: Watermark,
}

/// What the fold and its readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: RwLock<State>,
    pub(crate) files: DayFiles,
    pub(crate) columns: KeptColumns,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    watermark: u64,
    stopped: bool,
}

impl Shared {
    pub(crate) fn new(state: State, files: DayFiles, columns: KeptColumns) -> Self {
        let progress = Progress { watermark: state.watermark, stopped: false };
        let progress = watch::Sender::new(progress);
        Self { state: RwLock::new(state), files, columns, progress }
    }

    /// Tells those who wait that `watermark` is reached; the state must be at it already.
    pub(crate) fn publish(&self, watermark: u64) {
        self.progress.send_modify(|progress| progress.watermark = watermark);
    }

    // For the fold alone, which is the only one to write. Should it have panicked with the lock
    // held, readers refuse (see `Board::read`); it is not here to go on.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stop(&self) {
        self.progress.send_modify(|progress| progress.stopped = true);
    }
}

/// A handle for reading summaries; clones read the same fold.
#[derive(Debug, Clone)]
pub struct Board {
    pub(super) shared: Arc<Shared>,
}

impl Board {
    pub(crate) fn over(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// How many records are folded in.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        Watermark(self.shared.progress.borrow().watermark)
    }

    /// The newest day that anyone declared on; none before the first. It may have to wait for the fold.
    ///
    /// # Errors
    /// [`QueryError::Stopped`].
    pub fn newest_day(&self) -> Result<Option<Day>, QueryError> {
        self.read(|state| state.newest)
    }

    /// Waits until at least `at_least` records are folded in; `false` where that does not happen
    /// by `deadline`, or never will since the fold stopped.
    pub async fn wait_for(&self, at_least: Watermark, deadline: Instant) -> bool {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress.wait_for(|p| p.watermark >= at_least.0 || p.stopped);
        match tokio::time::timeout_at(deadline.into(), reached).await {
            Ok(Ok(progress)) => progress.watermark >= at_least.0,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Lets those who wait or watch end, as when the fold stops.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Whether the fold stopped, or [`Board::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.progress.borrow().stopped
    }

    /// Returns once the fold stopped, or [`Board::stop`] was called.
    pub async fn stopped(&self) {
        let mut progress = self.shared.progress.subscribe();
        // An error would mean that the sender is gone; this handle holds it.
        let _stopped = progress.wait_for(|progress| progress.stopped).await.map(|_| ());
    }

    /// The figures of one actor; `None` where no declaration has named it (yet), and also where it
    /// came past `actors_max` and folded into [`super::OTHER`]. The watermark says as of when.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn summary(
        &self,
        role: Role,
        id: &ActorId,
        period: Period,
    ) -> Result<(Option<Summary>, Watermark), QueryError> {
        let (mut summaries, watermark) = self.summaries(role, std::slice::from_ref(id), period)?;
        Ok((summaries.pop(), watermark))
    }

    /// The figures of those of `ids` (sorted, none twice) that are known, all at one watermark.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn summaries(
        &self,
        role: Role,
        ids: &[ActorId],
        period: Period,
    ) -> Result<(Vec<Summary>, Watermark), QueryError> {
        self.settled(|closed| {
            let picked = self.read(|state| {
                if !Arc::ptr_eq(&state.closed, closed) {
                    return None;
                }
                let actors = state.actors(role);
                let known = ids.iter().filter(|id| actors.number(id).is_some()).copied();
                Some(Picked::at(state, role, period, known.collect()))
            })?;
            let Some(picked) = picked else { return Ok(None) };
            let watermark = picked.watermark;
            Ok(Some((self.add_closed(picked, role, period, closed)?, watermark)))
        })
    }

    /// A page of the actors with figures in a period.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn list(&self, query: &ListQuery) -> Result<Page, QueryError> {
        self.settled(|closed| match query.order {
            Order::Id => self.list_by_id(query, closed),
            Order::Lines => self.list_by_lines(query, closed),
        })
    }

    /// All ids with figures in a period, without the figures.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn ids_in(&self, role: Role, period: Period) -> Result<BTreeSet<ActorId>, QueryError> {
        self.settled(|closed| {
            let mut ids = BTreeSet::new();
            for (day, file) in in_period(closed, period) {
                self.shared.files.get(day, file)?.scan(Whose::Actor(role), None, |id, _| {
                    ids.insert(ActorId::parse(role, id)?);
                    Some(ControlFlow::Continue(()))
                })?;
            }
            let open = self.read(|state| {
                let days = state.open_days(Whose::Actor(role), period);
                let numbers = days.flat_map(|(_, role_day)| role_day.entries.iter());
                let open = numbers.filter_map(|entry| state.actors(role).id(entry.number));
                Arc::ptr_eq(&state.closed, closed).then(|| open.collect::<Vec<_>>())
            })?;
            Ok(open.map(|open| {
                ids.extend(open);
                ids
            }))
        })
    }

    /// The ids of `role` of which some figure, of whatever day, changed after record `since`.
    /// Changes before the server started are not known.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn changed_since(
        &self,
        role: Role,
        since: Watermark,
    ) -> Result<(Vec<ActorId>, Watermark), QueryError> {
        self.read(|state| (state.actors(role).changed_since(since.0), Watermark(state.watermark)))
    }

    fn list_by_id(
        &self,
        query: &ListQuery,
        closed: &ClosedDays,
    ) -> Result<Option<Page>, QueryError> {
        let ListQuery { role, period, page_size, .. } = *query;
        let after = query.after.map(|cursor| cursor.id);
        // One more than a page, to know whether there is another.
        let wanted = page_size.saturating_add(1);
        let mut ids = BTreeSet::new();
        for (day, file) in in_period(closed, period) {
            let mut left = wanted;
            let file = self.shared.files.get(day, file)?;
            file.scan(Whose::Actor(role), after.as_ref().map(ActorId::as_str), |id, _| {
                ids.insert(ActorId::parse(role, id)?);
                left -= 1;
                Some(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        let picked = self.read(|state| {
            if !Arc::ptr_eq(&state.closed, closed) {
                return None;
            }
            let actors = state.actors(role);
            for (_, role_day) in state.open_days(Whose::Actor(role), period) {
                let entries = role_day.entries.iter().filter_map(|entry| actors.id(entry.number));
                let mut open: Vec<_> =
                    entries.filter(|id| after.is_none_or(|after| *id > after)).collect();
                if open.len() > wanted {
                    open.select_nth_unstable(wanted);
                    open.truncate(wanted);
                }
                ids.extend(open);
            }
            let more = ids.len() > page_size;
            let page: Vec<_> = ids.iter().take(page_size).copied().collect();
            let next = if more { page.last().map(|id| Cursor { lines: 0, id: *id }) } else { None };
            Some((Picked::at(state, role, period, page), next))
        })?;
        let Some((picked, next)) = picked else { return Ok(None) };
        let watermark = picked.watermark;
        let summaries = self.add_closed(picked, role, period, closed)?;
        Ok(Some(Page { summaries, next, watermark }))
    }

    /// Adds the closed days of `period` to what was read of the open ones.
    pub(super) fn add_closed(
        &self,
        picked: Picked,
        role: Role,
        period: Period,
        closed: &ClosedDays,
    ) -> Result<Vec<Summary>, QueryError> {
        let Picked { ids, numbers, mut sums, watermark } = picked;
        for (day, file) in in_period(closed, period) {
            self.shared.files.get(day, file)?.merge_into(Whose::Actor(role), &ids, &mut sums)?;
        }
        let summaries = ids.into_iter().zip(numbers).zip(sums);
        let summary = |((id, number), counters)| Summary { id, number, watermark, counters };
        Ok(summaries.map(summary).collect())
    }

    /// Runs `attempt` with the closed days as they are; again where it says `None` (they have
    /// changed), or misses a file because they have.
    pub(super) fn settled<T>(
        &self,
        mut attempt: impl FnMut(&ClosedDays) -> Result<Option<T>, QueryError>,
    ) -> Result<T, QueryError> {
        for _ in 0..ATTEMPTS_MAX {
            let closed = self.read(|state| Arc::clone(&state.closed))?;
            match attempt(&closed) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(QueryError::DayFile(error)) => self.unless_changed(&closed, error)?,
                Err(error) => return Err(error),
            }
        }
        Err(QueryError::Unsettled)
    }

    pub(super) fn day_file(&self, day: Day, file: ClosedDay) -> Result<Arc<DayFile>, DayFileError> {
        self.shared.files.get(day, file)
    }

    fn unless_changed(&self, closed: &ClosedDays, error: DayFileError) -> Result<(), QueryError> {
        let same = self.read(|state| Arc::ptr_eq(&state.closed, closed))?;
        if error.is_gone() && !same { Ok(()) } else { Err(error.into()) }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, QueryError> {
        // Poisoned: the fold thread panicked half-way through a record.
        let state = self.shared.state.read().map_err(|_| QueryError::Stopped)?;
        Ok(look(&state))
    }
}

pub(super) type ClosedDays = Arc<BTreeMap<Day, ClosedDay>>;

pub(super) fn in_period(
    closed: &ClosedDays,
    period: Period,
) -> impl Iterator<Item = (Day, ClosedDay)> {
    closed.iter().filter(move |(day, _)| period.contains(**day)).map(|(day, file)| (*day, *file))
}

/// What was read of open days, at one watermark.
pub(super) struct Picked {
    /// Sorted, and known.
    pub(super) ids: Vec<ActorId>,
    /// Of each of `ids`.
    pub(super) numbers: Vec<u32>,
    /// Of each of `ids`.
    pub(super) sums: Vec<Counters>,
    pub(super) watermark: Watermark,
}

impl Picked {
    pub(super) fn at(state: &State, role: Role, period: Period, ids: Vec<ActorId>) -> Self {
        let whose = Whose::Actor(role);
        let sums = ids.iter().map(|id| state.sum_open(whose, id.as_str(), period)).collect();
        let number = |id| state.actors(role).number(id).unwrap_or(OTHER_NUMBER);
        let numbers = ids.iter().map(number).collect();
        Self { ids, numbers, sums, watermark: Watermark(state.watermark) }
    }
}
