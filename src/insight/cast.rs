//! The actors of a day, numbered while its figures are made.

use std::collections::HashMap;

use super::lodgers::Lodger;
use crate::summary::{ACTORS_MAX_DEFAULT, ActorId, Role};

/// The number of no actor.
pub(super) const NOBODY: u32 = u32::MAX;

/// Actors and their numbers. Of a role there are [`ACTORS_MAX_DEFAULT`] at most, and `(other)`, to which
/// those go that come later.
#[derive(Debug)]
pub(super) struct Cast {
    numbers: HashMap<(Role, ActorId), u32>,
    list: Vec<(Role, ActorId)>,
    room: [u32; 3],
}

impl Cast {
    pub(super) fn new() -> Self {
        Self::within(ACTORS_MAX_DEFAULT)
    }

    fn within(actors_max: u32) -> Self {
        let room = [actors_max; 3];
        let mut cast = Self { numbers: HashMap::new(), list: Vec::new(), room };
        for role in Role::ALL {
            cast.add(role, ActorId::other());
        }
        cast
    }

    fn add(&mut self, role: Role, id: ActorId) -> u32 {
        // Three times `ACTORS_MAX_DEFAULT` and three, at most.
        let number = self.list.len() as u32;
        self.list.push((role, id));
        self.numbers.insert((role, id), number);
        number
    }

    /// The numbers of a lodger's actors.
    pub(super) fn actors(&mut self, lodger: &Lodger) -> [u32; 3] {
        let mut actors = [NOBODY; 3];
        let places = Role::ALL.into_iter().zip(&lodger.0).zip(&mut actors);
        for (at, ((role, id), place)) in places.enumerate() {
            if let Some(id) = id {
                *place = self.number(at, role, *id);
            }
        }
        actors
    }

    fn number(&mut self, at: usize, role: Role, id: ActorId) -> u32 {
        if let Some(number) = self.numbers.get(&(role, id)) {
            return *number;
        }
        match self.room.get_mut(at) {
            Some(room) if *room > 0 => {
                *room -= 1;
                self.add(role, id)
            }
            _ => self.numbers.get(&(role, ActorId::other())).copied().unwrap_or(NOBODY),
        }
    }

    /// Whether it is `(other)`.
    pub(super) fn is_other(&self, number: u32) -> bool {
        // They are numbered first.
        (number as usize) < Role::ALL.len()
    }

    pub(super) fn actor(&self, number: u32) -> Option<(Role, ActorId)> {
        self.list.get(number as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn past_the_bound_of_a_role_new_ones_are_other() {
        let mut cast = Cast::within(2);
        let eori = |id: &str| ActorId::parse(Role::Declarant, id);
        let mut of = |declarant: &str, representative: Option<&str>| {
            cast.actors(&Lodger([eori(declarant), representative.and_then(eori), None]))
        };
        let (a, b) = (of("NL1", Some("NL1")), of("NL2", None));
        assert_eq!((a, b), ([3, 4, NOBODY], [5, NOBODY, NOBODY]));
        assert_eq!(of("NL3", Some("NL2")), [0, 6, NOBODY]);
        assert_eq!((of("NL1", None)[0], of("NL4", Some("NL9"))), (3, [0, 1, NOBODY]));
        assert_eq!(cast.actor(0), Some((Role::Declarant, ActorId::other())));
        assert_eq!(cast.actor(4), Some((Role::Representative, eori("NL1").unwrap())));
    }
}
