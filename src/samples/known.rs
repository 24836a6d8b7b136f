//! All plans and outcomes in memory, and what may be added.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::line::{Line, Stored};
use super::plan::{Outcome, Plan, PlanId, Terms};
use super::{ItemId, RecordError};
use crate::book::LineError;
use crate::day::Day;

/// Plans at most.
pub(super) const PLANS_MAX: usize = 1_000;
/// Outcomes of one plan at most.
const OUTCOMES_MAX: usize = 50_000;

/// A plan, and what controls found.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) plan: Arc<Plan>,
    /// The newest one of each goods item.
    pub(super) outcomes: Arc<BTreeMap<ItemId, Outcome>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) plans: BTreeMap<PlanId, Entry>,
    /// Lines of the book that they are from.
    pub(super) lines: u64,
}

impl Known {
    /// Takes in the bytes of a line.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        let (n, line) = Stored::decode(bytes)?;
        Ok(self.apply(n, line)?)
    }

    /// Takes in a line of the book; what is wrong with it otherwise.
    pub(super) fn apply(&mut self, n: u64, line: Line) -> Result<(), String> {
        if n != self.lines + 1 {
            return Err(format!("it is line {n}, and should be {}", self.lines + 1));
        }
        match line {
            Line::Plan(plan) if plan.id == self.next_id() => {
                let entry = Entry { plan: Arc::new(*plan), outcomes: Arc::default() };
                self.plans.insert(entry.plan.id, entry);
            }
            Line::Plan(plan) => {
                return Err(format!("it is plan {}, and should be {}", plan.id, self.next_id()));
            }
            Line::Outcome(id, outcome) => {
                let entry = self.plans.get_mut(&id);
                let entry =
                    entry.ok_or_else(|| format!("it is of plan {id}, which is not there"))?;
                Arc::make_mut(&mut entry.outcomes).insert(outcome.item, outcome);
            }
        }
        self.lines = n;
        Ok(())
    }

    fn next_id(&self) -> PlanId {
        // PLANS_MAX is far below what an id can be.
        PlanId(u32::try_from(self.plans.len()).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// What a new plan with these terms is known by. One that is sent again would be there twice: so its name must
    /// be new among those whose last day is not over.
    pub(super) fn first(&self, terms: &Terms, today: Day) -> Result<PlanId, RecordError> {
        let mut open = self.plans.values().filter(|entry| entry.plan.terms.last >= today);
        if let Some(Entry { plan, .. }) = open.find(|entry| entry.plan.terms.name == terms.name) {
            return Err(RecordError::Named { other: plan.id, name: terms.name.clone() });
        }
        if self.plans.len() >= PLANS_MAX {
            return Err(RecordError::Full { what: format!("there are {PLANS_MAX} plans") });
        }
        Ok(self.next_id())
    }

    /// Whether there is room for an outcome of plan `id`; `false` where the newest one says the same.
    pub(super) fn is_new(&self, id: PlanId, outcome: &Outcome) -> Result<bool, RecordError> {
        let entry = self.plans.get(&id).ok_or(RecordError::Unknown(id))?;
        match entry.outcomes.get(&outcome.item) {
            Some(known) => Ok(!known.is_same(outcome)),
            None if entry.outcomes.len() >= OUTCOMES_MAX => {
                let what = format!("plan {id} has outcomes of {OUTCOMES_MAX} goods items");
                Err(RecordError::Full { what })
            }
            None => Ok(true),
        }
    }
}
