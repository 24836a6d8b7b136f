//! All agreements in memory, and which version may follow which.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::line::Line;
use super::{Agreement, AgreementId, RecordError, Terms, Version, Wrong};
use crate::book::LineError;

/// Agreements at most: some hundred for each of 35 declarants over the years, and some for IOSS holders.
pub(super) const AGREEMENTS_MAX: usize = 10_000;
/// Versions of one at most.
pub(super) const VERSIONS_MAX: u32 = 100;

/// All agreements.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) agreements: BTreeMap<AgreementId, Arc<Agreement>>,
    /// Lines of the file that they are from.
    pub(super) lines: u64,
}

/// A version that may be recorded: of which agreement, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: AgreementId,
    pub(super) version: u32,
}

impl Known {
    /// Takes in the bytes of a line.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), LineError> {
        self.apply(Line::decode(line)?)?;
        Ok(())
    }

    /// Takes in a line of the file; what is wrong with it otherwise.
    pub(super) fn apply(&mut self, line: Line) -> Result<Arc<Agreement>, String> {
        let Line { n, agreement: id, version } = line;
        if n != self.lines + 1 {
            return Err(format!("it is line {n}, and should be {}", self.lines + 1));
        }
        let number = version.number;
        let agreement = match self.agreements.get(&id) {
            None if id == self.next_id() && number == 1 => {
                Agreement { id, newest: version, earlier: Vec::new() }
            }
            Some(before) if number == before.newest.number + 1 => {
                let mut earlier = before.earlier.clone();
                earlier.push(before.newest.clone());
                Agreement { id, newest: version, earlier }
            }
            before => {
                let newest = before.map_or(0, |agreement| agreement.newest.number);
                return Err(format!(
                    "it is version {number} of agreement {id}, which has {newest} versions before it"
                ));
            }
        };
        let agreement = Arc::new(agreement);
        self.agreements.insert(id, Arc::clone(&agreement));
        self.lines = n;
        Ok(agreement)
    }

    fn next_id(&self) -> AgreementId {
        // AGREEMENTS_MAX is far below what an id can be.
        AgreementId(u32::try_from(self.agreements.len()).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// Where a new agreement with these terms goes.
    pub(super) fn first(&self, terms: &Terms) -> Result<Place, RecordError> {
        let id = self.next_id();
        if self.agreements.len() >= AGREEMENTS_MAX {
            let what = format!("there are {AGREEMENTS_MAX} agreements");
            return Err(RecordError::Full { what });
        }
        self.expect_no_other(id, terms)?;
        Ok(Place { id, version: 1 })
    }

    /// Where another version of agreement `id` goes, which replaces version `replaces`; and that version.
    pub(super) fn next(
        &self,
        id: AgreementId,
        replaces: u32,
    ) -> Result<(Place, &Version), RecordError> {
        let Some(agreement) = self.agreements.get(&id) else {
            return Err(RecordError::Unknown(id));
        };
        let newest = &agreement.newest;
        if newest.number != replaces {
            return Err(RecordError::Replaced { id, newest: newest.number, replaces });
        }
        if newest.withdrawn.is_some() {
            return Err(RecordError::Withdrawn(id));
        }
        if newest.number >= VERSIONS_MAX {
            let what = format!("agreement {id} has {VERSIONS_MAX} versions");
            return Err(RecordError::Full { what });
        }
        Ok((Place { id, version: newest.number + 1 }, newest))
    }

    /// The same with other terms, on the same matter.
    pub(super) fn next_with(
        &self,
        id: AgreementId,
        replaces: u32,
        terms: &Terms,
    ) -> Result<Place, RecordError> {
        let (place, before) = self.next(id, replaces)?;
        let was = &before.terms;
        if (terms.role, terms.actor) != (was.role, was.actor) {
            let why = format!("is {}; agreement {id} is with {}", terms.actor, was.actor);
            return Err(Wrong { field: "actor.id", why }.into());
        }
        if terms.indicator != was.indicator {
            let why = format!("is {}; agreement {id} is on {}", terms.indicator, was.indicator);
            return Err(Wrong { field: "indicator", why }.into());
        }
        self.expect_no_other(id, terms)?;
        Ok(place)
    }

    /// Two at once on one matter would contradict each other, and one that is sent again would be there twice.
    fn expect_no_other(&self, id: AgreementId, terms: &Terms) -> Result<(), RecordError> {
        let other = self.agreements.values().find(|other| {
            let theirs = &other.newest.terms;
            other.id != id
                && other.newest.withdrawn.is_none()
                && theirs.is_same_matter(terms)
                && theirs.overlaps(terms)
        });
        let Some(other) = other else { return Ok(()) };
        let theirs = &other.newest.terms;
        Err(RecordError::Overlaps {
            other: other.id,
            actor: theirs.actor.to_string(),
            indicator: theirs.indicator.clone(),
            start: theirs.start.to_string(),
            deadline: theirs.deadline.to_string(),
        })
    }
}
