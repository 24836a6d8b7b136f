//! Whose a row is: declarant, representative and IOSS holder of a declaration, listed once in each file.
//!
//! In a file each stands as three ids, each after its length (1 byte), 0 where there is none. A part has
//! [`LODGERS_MAX`] of them at most; past it, what is new goes to `(other)` of its roles, and is shown so.

use std::collections::HashMap;

use crate::archive::DeclarationEntry;
use crate::fields::Fields;
use crate::id::Eori;
use crate::summary::{ActorId, IossNumber, Role};

/// How many different lodgers one part has: a day of 10,000 IOSS numbers, each with some declarants. An
/// entry takes about 120 bytes in memory: 31 MB.
pub(super) const LODGERS_MAX: usize = 1 << 18;

/// Who stands behind a declaration, by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Lodger(pub(super) [Option<ActorId>; 3]);

impl Lodger {
    pub(super) fn of(declaration: &DeclarationEntry<'_>) -> Self {
        let representative = Eori::parse(declaration.lodger.representative);
        let ioss = IossNumber::parse(declaration.declaration.ioss_number);
        Self([
            Some(declaration.lodger.declarant.into()),
            representative.map(Into::into),
            ioss.map(Into::into),
        ])
    }

    /// The same roles, all of them `(other)`.
    fn other(&self) -> Self {
        Self(self.0.map(|id| id.map(|_| ActorId::other())))
    }
}

/// The lodgers of a part, numbered as they come.
#[derive(Debug, Default)]
pub(super) struct Lodgers {
    numbers: HashMap<Lodger, u32>,
    list: Vec<Lodger>,
}

impl Lodgers {
    /// The number of `lodger`.
    pub(super) fn number(&mut self, lodger: Lodger) -> u32 {
        self.number_within(lodger, LODGERS_MAX)
    }

    fn number_within(&mut self, lodger: Lodger, max: usize) -> u32 {
        if let Some(number) = self.numbers.get(&lodger) {
            return *number;
        }
        // There are eight kinds of others, which go past the bound.
        let lodger = if self.list.len() < max { lodger } else { lodger.other() };
        *self.numbers.entry(lodger).or_insert_with(|| {
            self.list.push(lodger);
            (self.list.len() - 1) as u32
        })
    }

    pub(super) fn list(&self) -> &[Lodger] {
        &self.list
    }
}

pub(super) fn encode(lodger: &Lodger, to: &mut Vec<u8>) {
    for id in &lodger.0 {
        let id = id.as_ref().map_or("", |id| id.as_str());
        // At most 17.
        to.push(id.len() as u8);
        to.extend_from_slice(id.as_bytes());
    }
}

/// `None` where it is malformed.
pub(super) fn decode(from: &mut Fields<'_>) -> Option<Lodger> {
    let mut lodger = Lodger([None; 3]);
    for (role, place) in Role::ALL.into_iter().zip(&mut lodger.0) {
        let [length] = from.array()?;
        let id = std::str::from_utf8(from.take(usize::from(length))?).ok()?;
        if !id.is_empty() {
            *place = Some(ActorId::parse(role, id)?);
        }
    }
    Some(lodger)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lodger(declarant: &str, ioss: Option<&str>) -> Lodger {
        let ioss = ioss.map(|id| ActorId::parse(Role::IossHolder, id).unwrap());
        Lodger([ActorId::parse(Role::Declarant, declarant), None, ioss])
    }

    #[test]
    fn past_the_bound_new_ones_go_to_other_and_known_ones_stay() {
        let mut lodgers = Lodgers::default();
        let (a, b) = (lodger("NL1", None), lodger("NL2", Some("IM5280000001")));
        assert_eq!([a, b, a].map(|l| lodgers.number_within(l, 2)), [0, 1, 0]);
        let (c, d) = (lodger("NL3", None), lodger("NL4", Some("IM5280000001")));
        assert_eq!(
            [c, d, lodger("NL5", None), b].map(|l| lodgers.number_within(l, 2)),
            [2, 3, 2, 1]
        );
        let other = Some(ActorId::other());
        assert_eq!(
            lodgers.list()[2..],
            [Lodger([other, None, None]), Lodger([other, None, other])]
        );

        let mut bytes = Vec::new();
        lodgers.list().iter().for_each(|lodger| encode(lodger, &mut bytes));
        let mut rest = Fields(&bytes);
        for lodger in lodgers.list() {
            assert_eq!(decode(&mut rest).as_ref(), Some(lodger));
        }
        assert!(rest.0.is_empty() && decode(&mut rest).is_none());
        assert!(decode(&mut Fields(b"\x03NL\xff\0\0")).is_none());
    }
}
