//! What tells one fold from another: a digest over all of it, and the figures of a day.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

use crate::day::Day;
use crate::id::Watermark;
use crate::index::run::FirstAnswers;
use crate::summary::checkpoint::sorted_entries;
use crate::summary::references::is_other;
use crate::summary::state::State;
use crate::summary::stored;
use crate::summary::whose::Whose;
use crate::summary::{Counters, Fold, FoldError, OTHER, Role};

/// A digest over all that is folded, and one over what the first version of the summaries had of it:
/// figures by role, without those that came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldDigest {
    whole: [u8; 32],
    first: [u8; 32],
    is_complete: bool,
}

impl FoldDigest {
    /// Over everything.
    #[must_use]
    pub fn whole(&self) -> [u8; 32] {
        self.whole
    }

    /// Whether two folds are the same, as far as both have figures: one that an older version began
    /// has not all of them (see [`Fold::complete_after`]).
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        if self.is_complete && other.is_complete {
            self.whole == other.whole
        } else {
            self.first == other.first
        }
    }
}

struct Digests {
    whole: Sha256,
    first: Sha256,
}

impl Digests {
    fn both(&mut self, bytes: impl AsRef<[u8]>) {
        self.whole.update(&bytes);
        self.first.update(&bytes);
    }

    fn ids(&mut self, state: &State, whose: Whose) {
        let ids = state.ids_after(whose, 0);
        let ids: BTreeSet<&str> = ids.iter().map(|(_, id)| id.as_str()).collect();
        let mut add = |bytes: &[u8]| match whose {
            Whose::Actor(_) => self.both(bytes),
            Whose::Reference => self.whole.update(bytes),
        };
        add(&(ids.len() as u64).to_le_bytes());
        for id in ids {
            // At most `REFERENCE_ID_BYTES_MAX`.
            add(&[id.len() as u8]);
            add(id.as_bytes());
        }
    }

    fn entry(&mut self, day: Day, (whose, id): (Whose, &str), counters: &Counters) {
        add(&mut self.whole, day, (whose, id), counters);
        if whose != Whose::Reference {
            add(&mut self.first, day, (whose, id), &counters.of_first_version());
        }
    }
}

fn add(hash: &mut Sha256, day: Day, (whose, id): (Whose, &str), counters: &Counters) {
    let mut figures = Vec::new();
    counters.encode(&mut figures);
    hash.update(day.0.to_le_bytes());
    hash.update([whose.number()]);
    hash.update([id.len() as u8]);
    hash.update(id);
    hash.update((figures.len() as u64).to_le_bytes());
    hash.update(figures);
}

impl Fold {
    /// A digest over all that is folded: watermark, newest day, actors_max, the known ids and
    /// every figure of every day, in an order of their own. Two folds of the same records have the
    /// same, whatever days are closed in either.
    ///
    /// # Errors
    /// [`FoldError::DayFile`] where a closed day cannot be read.
    pub fn digest(&self) -> Result<[u8; 32], FoldError> {
        Ok(self.digests()?.whole)
    }

    /// The same, to be compared with that of a fold that an older version began.
    ///
    /// # Errors
    /// [`FoldError::DayFile`] where a closed day cannot be read.
    pub fn digests(&self) -> Result<FoldDigest, FoldError> {
        let state = self.state();
        let mut digests = Digests { whole: Sha256::new(), first: Sha256::new() };
        digests.both(stored::meta_of_figures(&state));
        Whose::ALL.into_iter().for_each(|whose| digests.ids(&state, whose));
        let days: BTreeSet<Day> = state.open.keys().chain(state.closed.keys()).copied().collect();
        for day in days {
            if let Some(open) = state.open.get(&day) {
                for (whose, id, counters) in sorted_entries(&state, &open.kinds) {
                    digests.entry(day, (whose, id.as_str()), counters);
                }
            } else if let Some(closed) = state.closed.get(&day) {
                let file = self.shared.files.get(day, *closed)?;
                for whose in Whose::ALL {
                    file.scan(whose, None, |id, figures| {
                        digests.entry(day, (whose, id), &Counters::decode(figures)?);
                        Some(ControlFlow::Continue(()))
                    })?;
                }
            }
        }
        let is_complete = state.complete_after == 0;
        let Digests { whole, first } = digests;
        Ok(FoldDigest {
            whole: whole.finalize().into(),
            first: first.finalize().into(),
            is_complete,
        })
    }

    /// The last record of which not all figures are here, since an older version folded it; 0 where there
    /// is none. Figures by fallback reference, and those by which the first version of [`Counters`]
    /// was extended, count from the next record on.
    #[must_use]
    pub fn complete_after(&self) -> Watermark {
        Watermark(self.state().complete_after)
    }

    /// The first day of those asked for on which `other` has other figures. Actors past `actors_max`
    /// depend on what was folded before: where there are some, all actors are compared together. Where
    /// either was begun by an older version, what that had is compared.
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
        let is_complete = [self, other].iter().all(|fold| fold.complete_after() == Watermark(0));
        for day in days(self).union(&days(other)).copied().filter(|day| is_asked(*day)) {
            let (mut own, mut theirs) = (self.figures_on(day)?, other.figures_on(day)?);
            if !is_complete {
                (own, theirs) = (of_first_version(own), of_first_version(theirs));
            }
            let has_others = own.keys().chain(theirs.keys()).any(|(whose, id)| match whose {
                Whose::Actor(_) => **id == *OTHER,
                Whose::Reference => is_other(id),
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
        let all = sums.get(&Whose::Actor(Role::Declarant));
        Ok(all.map_or_else(FirstAnswers::default, |all| FirstAnswers {
            accepted: all.accepted,
            rejected: all.rejected,
            conflicts: all.conflicts,
        }))
    }

    fn figures_on(&self, day: Day) -> Result<Figures, FoldError> {
        let state = self.state();
        if let Some(open) = state.open.get(&day) {
            let sorted = sorted_entries(&state, &open.kinds).into_iter();
            let figures = sorted
                .map(|(whose, id, counters)| ((whose, id.as_str().to_owned()), counters.clone()));
            return Ok(figures.collect());
        }
        let mut figures = Figures::new();
        let Some(closed) = state.closed.get(&day) else { return Ok(figures) };
        let file = self.shared.files.get(day, *closed)?;
        for whose in Whose::ALL {
            file.scan(whose, None, |id, of_id| {
                figures.insert((whose, id.to_owned()), Counters::decode(of_id)?);
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
type Figures = BTreeMap<(Whose, String), Counters>;

fn of_first_version(figures: Figures) -> Figures {
    let of_actors = figures.into_iter().filter(|((whose, _), _)| *whose != Whose::Reference);
    of_actors.map(|(key, counters)| (key, counters.of_first_version())).collect()
}

fn sums(figures: &Figures) -> BTreeMap<Whose, Counters> {
    let mut sums: BTreeMap<Whose, Counters> = BTreeMap::new();
    for ((whose, _), counters) in figures {
        sums.entry(*whose).or_default().merge(counters);
    }
    sums
}
