//! Reading what became of fallback lodgements: the figures by reference of one declarant.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::id::Watermark;
use crate::summary::board::{Board, ClosedDays, in_period};
use crate::summary::references::{ids_of, reference_id};
use crate::summary::state::State;
use crate::summary::whose::Whose;
use crate::summary::{ActorId, Counters, Period, QueryError, Role};

/// Figures by reference, by the text of the reference.
#[derive(Debug, Clone)]
pub struct ReconciliationsQuery {
    /// Whose.
    pub declarant: ActorId,
    /// This reference alone; all where there is none.
    pub reference: Option<String>,
    /// Over which days of arrival.
    pub period: Period,
    /// After which reference.
    pub after: Option<String>,
    /// At most so many.
    pub page_size: usize,
}

/// The declarations that arrived with one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// The reference, or [`super::OTHER`].
    pub reference: String,
    /// Of the figures of an actor: declarations by outcome, lines and value of those accepted, delays.
    pub counters: Counters,
}

/// A page of them.
#[derive(Debug, Clone)]
pub struct Reconciliations {
    /// In the order of references, those with figures in the period.
    pub of: Vec<Reconciliation>,
    /// After which reference the next page starts; `None` on the last.
    pub next: Option<String>,
}

/// What of a list is looked for, as the texts of ids.
struct Wanted {
    /// With which they begin.
    prefix: String,
    /// After which they come.
    after: String,
    /// Of one alone.
    only: Option<String>,
    /// One more than a page, to know whether there is another.
    most: usize,
}

impl Wanted {
    fn of(query: &ReconciliationsQuery) -> Self {
        let prefix = ids_of(&query.declarant);
        // The prefix itself comes before all that begin with it.
        let after = reference_id(&query.declarant, query.after.as_deref().unwrap_or_default());
        let only = query.reference.as_ref().map(|only| reference_id(&query.declarant, only));
        Self { prefix, after, only, most: query.page_size.saturating_add(1) }
    }

    fn has(&self, id: &str) -> bool {
        id.starts_with(&self.prefix)
            && id > self.after.as_str()
            && self.only.as_ref().is_none_or(|only| id == only)
    }

    /// Those of an open day, which are in no order, the first of them.
    fn in_open_days(&self, state: &State, period: Period) -> BTreeSet<Arc<str>> {
        let mut ids = BTreeSet::new();
        for (_, entries) in state.open_days(Whose::Reference, period) {
            for entry in &entries.entries {
                let Some(id) = state.references.id(entry.number) else { continue };
                if self.has(id) && ids.insert(Arc::clone(id)) && ids.len() > self.most {
                    ids.pop_last();
                }
            }
        }
        ids
    }
}

impl Board {
    /// A page of the figures by fallback reference of a declarant; `None` where no declaration has named
    /// it (yet). The watermark says as of when.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn reconciliations(
        &self,
        query: &ReconciliationsQuery,
    ) -> Result<(Option<Reconciliations>, Watermark), QueryError> {
        let wanted = Wanted::of(query);
        self.settled(|closed| {
            let mut ids = self.in_closed_days(&wanted, query.period, closed)?;
            let picked = self.read(|state| {
                if !Arc::ptr_eq(&state.closed, closed) {
                    return None;
                }
                ids.append(&mut wanted.in_open_days(state, query.period));
                let more = ids.len() > query.page_size;
                let page: Vec<_> = ids.iter().take(query.page_size).cloned().collect();
                let sum = |id: &Arc<str>| state.sum_open(Whose::Reference, id, query.period);
                let sums: Vec<_> = page.iter().map(sum).collect();
                let is_known = state.actors(Role::Declarant).number(&query.declarant).is_some();
                Some((page, sums, more, is_known, Watermark(state.watermark)))
            })?;
            let Some((page, mut sums, more, is_known, watermark)) = picked else { return Ok(None) };
            if !is_known {
                return Ok(Some((None, watermark)));
            }
            for (day, file) in in_period(closed, query.period) {
                self.day_file(day, file)?.merge_into(Whose::Reference, &page, &mut sums)?;
            }
            let named = |(id, counters): (Arc<str>, Counters)| {
                let reference = id.strip_prefix(&wanted.prefix).unwrap_or_default().to_owned();
                Reconciliation { reference, counters }
            };
            let of: Vec<_> = page.into_iter().zip(sums).map(named).collect();
            let last = of.last().map(|last| last.reference.clone());
            let next = if more { last } else { None };
            Ok(Some((Some(Reconciliations { of, next }), watermark)))
        })
    }

    fn in_closed_days(
        &self,
        wanted: &Wanted,
        period: Period,
        closed: &ClosedDays,
    ) -> Result<BTreeSet<Arc<str>>, QueryError> {
        let mut ids: BTreeSet<Arc<str>> = BTreeSet::new();
        for (day, file) in in_period(closed, period) {
            let mut left = wanted.most;
            self.day_file(day, file)?.scan(Whose::Reference, Some(&wanted.after), |id, _| {
                if !id.starts_with(&wanted.prefix) {
                    return Some(ControlFlow::Break(()));
                }
                if wanted.has(id) {
                    ids.insert(id.into());
                    left = left.saturating_sub(1);
                }
                Some(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        Ok(ids)
    }
}
