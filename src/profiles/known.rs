//! All profiles in memory, and which version may follow which.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::line::Line;
use super::{Profile, ProfileId, RecordError, Terms, Version};
use crate::book::LineError;

/// Profiles that are not withdrawn, at most: each is matched with every declaration that is sealed.
pub(super) const HELD_MAX: usize = 200;
/// Profiles at most.
pub(super) const PROFILES_MAX: usize = 10_000;
/// Versions of one at most.
pub(super) const VERSIONS_MAX: u32 = 100;

/// All profiles.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) profiles: BTreeMap<ProfileId, Arc<Profile>>,
    /// Lines of the book that they are from.
    pub(super) lines: u64,
}

/// A version that may be recorded: of which profile, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: ProfileId,
    pub(super) version: u32,
}

impl Known {
    /// Takes in the bytes of a line.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), LineError> {
        self.apply(Line::decode(line)?)?;
        Ok(())
    }

    /// Takes in a line of the book; what is wrong with it otherwise.
    pub(super) fn apply(&mut self, line: Line) -> Result<Arc<Profile>, String> {
        let Line { n, profile: id, version } = line;
        if n != self.lines + 1 {
            return Err(format!("it is line {n}, and should be {}", self.lines + 1));
        }
        let number = version.number;
        let profile = match self.profiles.get(&id) {
            None if id == self.next_id() && number == 1 => {
                Profile { id, newest: version, earlier: Vec::new() }
            }
            Some(before) if number == before.newest.number + 1 => {
                let mut earlier = before.earlier.clone();
                earlier.push(before.newest.clone());
                Profile { id, newest: version, earlier }
            }
            before => {
                let newest = before.map_or(0, |profile| profile.newest.number);
                return Err(format!(
                    "it is version {number} of profile {id}, which has {newest} versions before it"
                ));
            }
        };
        let profile = Arc::new(profile);
        self.profiles.insert(id, Arc::clone(&profile));
        self.lines = n;
        Ok(profile)
    }

    fn next_id(&self) -> ProfileId {
        // PROFILES_MAX is far below what an id can be.
        ProfileId(u32::try_from(self.profiles.len()).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// Those that are not withdrawn.
    fn held(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.profiles.values().filter(|profile| profile.newest.withdrawn.is_none())
    }

    /// Where a new profile with these terms goes.
    pub(super) fn first(&self, terms: &Terms) -> Result<Place, RecordError> {
        let id = self.next_id();
        self.expect_no_other(id, terms)?;
        let full = |what| Err(RecordError::Full { what });
        if self.held().count() >= HELD_MAX {
            return full(format!("there are {HELD_MAX} profiles that are not withdrawn"));
        }
        if self.profiles.len() >= PROFILES_MAX {
            return full(format!("there are {PROFILES_MAX} profiles"));
        }
        Ok(Place { id, version: 1 })
    }

    /// Where another version of profile `id` goes, which replaces version `replaces`; and that version.
    pub(super) fn next(
        &self,
        id: ProfileId,
        replaces: u32,
    ) -> Result<(Place, &Version), RecordError> {
        let Some(profile) = self.profiles.get(&id) else {
            return Err(RecordError::Unknown(id));
        };
        let newest = &profile.newest;
        if newest.number != replaces {
            return Err(RecordError::Replaced { id, newest: newest.number, replaces });
        }
        if newest.withdrawn.is_some() {
            return Err(RecordError::Withdrawn(id));
        }
        Ok((Place { id, version: newest.number + 1 }, newest))
    }

    /// The same with other terms. The last version that there may be is kept for a withdrawal.
    pub(super) fn next_with(
        &self,
        id: ProfileId,
        replaces: u32,
        terms: &Terms,
    ) -> Result<Place, RecordError> {
        let (place, _) = self.next(id, replaces)?;
        self.expect_no_other(id, terms)?;
        if place.version >= VERSIONS_MAX {
            let what = format!("profile {id} has {} versions", VERSIONS_MAX - 1);
            return Err(RecordError::Full { what });
        }
        Ok(place)
    }

    /// Two of one name could not be told apart in the register, and one that is sent again would be there twice.
    fn expect_no_other(&self, id: ProfileId, terms: &Terms) -> Result<(), RecordError> {
        let mut held = self.held();
        match held.find(|other| other.id != id && other.newest.terms.name == terms.name) {
            None => Ok(()),
            Some(other) => Err(RecordError::Named { other: other.id, name: terms.name.clone() }),
        }
    }
}
