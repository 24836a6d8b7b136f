//! What tells one fold from another: a digest over all of it, and the figures of a day.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

use crate::day::Day;
use crate::index::run::FirstAnswers;
use crate::summary::checkpoint::sorted_entries;
use crate::summary::stored;
use crate::summary::{ActorId, Counters, Fold, FoldError, Role};

impl Fold {
    /// A digest over all that is folded: watermark, newest day, actors_max, the known ids and
    /// every figure of every day, in an order of their own. Two folds of the same records have the
    /// same, whatever days are closed in either.
    ///
    /// # Errors
    /// [`FoldError::DayFile`] where a closed day cannot be read.
    pub fn digest(&self) -> Result<[u8; 32], FoldError> {
        let state = self.state();
        let mut hash = Sha256::new();
        hash.update(stored::meta_value(&state));
        for role in Role::ALL {
            let ids: BTreeSet<&ActorId> = state.actors(role).ids().iter().collect();
            hash.update((ids.len() as u64).to_le_bytes());
            ids.into_iter().for_each(|id| hash_text(&mut hash, id.as_str()));
        }
        let days: BTreeSet<Day> = state.open.keys().chain(state.closed.keys()).copied().collect();
        for day in days {
            let mut bytes = Vec::new();
            let mut add = |role: Role, id: &ActorId, figures: &[u8]| {
                hash.update(day.0.to_le_bytes());
                hash.update([role as u8]);
                hash_text(&mut hash, id.as_str());
                hash.update((figures.len() as u64).to_le_bytes());
                hash.update(figures);
            };
            if let Some(open) = state.open.get(&day) {
                for (role, id, counters) in sorted_entries(&state, &open.roles) {
                    bytes.clear();
                    counters.encode(&mut bytes);
                    add(role, &id, &bytes);
                }
            } else if let Some(closed) = state.closed.get(&day) {
                let file = self.shared.files.get(day, *closed)?;
                for role in Role::ALL {
                    file.scan(role, None, |id, figures| {
                        add(role, &id, figures);
                        Some(ControlFlow::Continue(()))
                    })?;
                }
            }
        }
        Ok(hash.finalize().into())
    }

    /// The first day of those asked for on which `other` has other figures. Actors past `actors_max`
    /// depend on what was folded before: where there are some, all actors are compared together.
    ///
    /// # Errors
    /// [`FoldError::DayFile`] where a closed day cannot be read.
    pub fn differs_on(
        &self,
        other: &Self,
        is_asked: impl Fn(Day) -> bool,
    ) -> Result<Option<Day>, FoldError> {
        let days = |fold: &Self| -> BTreeSet<Day> {
            let state = fold.state();
            state.open.keys().chain(state.closed.keys()).copied().collect()
        };
        for day in days(self).union(&days(other)).copied().filter(|day| is_asked(*day)) {
            let (own, theirs) = (self.figures_on(day)?, other.figures_on(day)?);
            let has_others = [&own, &theirs].into_iter().any(|figures| {
                Role::ALL.into_iter().any(|role| figures.contains_key(&(role, ActorId::other())))
            });
            let is_same = if has_others { sums(&own) == sums(&theirs) } else { own == theirs };
            if !is_same {
                return Ok(Some(day));
            }
        }
        Ok(None)
    }

    /// How many declarations of a day were answered for the first time, by outcome.
    ///
    /// # Errors
    /// [`FoldError::DayFile`] where it is closed and cannot be read.
    pub fn first_answers_on(&self, day: Day) -> Result<FirstAnswers, FoldError> {
        let sums = sums(&self.figures_on(day)?);
        let all = sums.get(&Role::Declarant);
        Ok(all.map_or_else(FirstAnswers::default, |all| FirstAnswers {
            accepted: all.accepted,
            rejected: all.rejected,
            conflicts: all.conflicts,
        }))
    }

    fn figures_on(&self, day: Day) -> Result<Figures, FoldError> {
        let state = self.state();
        if let Some(open) = state.open.get(&day) {
            let sorted = sorted_entries(&state, &open.roles).into_iter();
            return Ok(sorted.map(|(role, id, counters)| ((role, id), counters.clone())).collect());
        }
        let mut figures = Figures::new();
        let Some(closed) = state.closed.get(&day) else { return Ok(figures) };
        let file = self.shared.files.get(day, *closed)?;
        for role in Role::ALL {
            file.scan(role, None, |id, of_id| {
                figures.insert((role, id), Counters::decode(of_id)?);
                Some(ControlFlow::Continue(()))
            })?;
        }
        Ok(figures)
    }

    /// Reads and checks every file of a closed day, and tells how many there are. (The catalog was
    /// read and checked wholly when it was opened.)
    ///
    /// # Errors
    /// [`FoldError::DayFile`] for the first that is damaged.
    pub fn verify_day_files(&self) -> Result<u64, FoldError> {
        Ok(self.shared.files.verify()?)
    }
}

/// A day's figures.
type Figures = BTreeMap<(Role, ActorId), Counters>;

fn sums(figures: &Figures) -> BTreeMap<Role, Counters> {
    let mut sums: BTreeMap<Role, Counters> = BTreeMap::new();
    for ((role, _), counters) in figures {
        sums.entry(*role).or_default().merge(counters);
    }
    sums
}

fn hash_text(hash: &mut Sha256, text: &str) {
    hash.update([text.len() as u8]);
    hash.update(text.as_bytes());
}
