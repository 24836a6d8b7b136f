//! References of fallback lodgements: what is counted apart beside the actors.
//!
//! A declaration that arrives with a reference counts under its declarant and that reference, on the day
//! it arrives. Under a reference are counted, of [`super::Counters`], the declarations by outcome, lines and value of
//! accepted ones, and the delays; nothing else.
//!
//! - A reference that the rules refuse (longer than 35 characters, or with control characters) is none,
//!   as a malformed EORI is no actor: such a declaration is rejected for it, and counts for its declarant
//!   alone.
//! - There is room for `actors_max` references, all declarants' and all days' together, and a declarant may have as
//!   many as there is room left for others: alone it gets a half, two get a third each, and a newcomer always finds
//!   some. Past that a new one is summed under `(other)` of its declarant, which always has room: so a declarant's references always
//!   come to all it lodged with one. (Whoever names a reference `(other)` adds to that.) References of a declarant
//!   that is itself past the bound are summed with it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::rules::fallback;
use crate::summary::actors::{KeyedState, OTHER_NUMBER};
use crate::summary::{ActorId, OTHER, Role};

/// The longest id: an EORI of 17 bytes, a space, and a reference of 35 characters of 4 bytes.
pub(crate) const REFERENCE_ID_BYTES_MAX: usize = 17 + 1 + 35 * 4;

/// A reference by its form: 1 to 35 characters, none of them a control character.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FallbackReference(Arc<str>);

impl FallbackReference {
    /// `None` where `text`, which is in normal form, is no reference that the rules would take.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        fallback::reference_is_sound(text).then(|| Self(text.into()))
    }

    /// The reference.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FallbackReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for FallbackReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id under which a declarant's reference is kept: both, with a space between, which no EORI has.
/// Sorted as text, a declarant's references stand together.
pub(crate) fn reference_id(declarant: &ActorId, reference: &str) -> String {
    format!("{}{reference}", ids_of(declarant))
}

/// With what the ids of all its references begin.
pub(crate) fn ids_of(declarant: &ActorId) -> String {
    format!("{declarant} ")
}

/// Whether `text` is such an id.
pub(crate) fn is_reference_id(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(declarant, reference)| {
        ActorId::parse(Role::Declarant, declarant).is_some()
            && fallback::reference_is_sound(reference)
    })
}

/// Whether `text` is the id of what came past the bound.
pub(crate) fn is_other(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(_, reference)| reference == OTHER)
}

/// The references known, numbered in the order in which the journal first names them.
#[derive(Debug)]
pub(crate) struct References {
    numbers: HashMap<Arc<str>, u32, KeyedState>,
    ids: Vec<Arc<str>>,
    /// How many of them each declarant has.
    of_declarant: HashMap<Box<str>, u32, KeyedState>,
}

impl References {
    pub(crate) fn new() -> Self {
        Self {
            numbers: HashMap::with_hasher(KeyedState::new()),
            // Of declarants past the bound, whatever their references.
            ids: vec![reference_id(&ActorId::other(), OTHER).into()],
            of_declarant: HashMap::with_hasher(KeyedState::new()),
        }
    }

    /// How many have figures of their own, `(other)` of each declarant included.
    pub(crate) fn known(&self) -> u32 {
        // No more than the bound, which is u32, and one for each declarant.
        u32::try_from(self.ids.len() - 1).unwrap_or(u32::MAX)
    }

    /// The number under which a declaration with `reference` folds, whose declarant is known by an id
    /// of its own, or [`ActorId::other`].
    pub(crate) fn number_or_add(
        &mut self,
        declarant: &ActorId,
        reference: &FallbackReference,
        references_max: u32,
    ) -> u32 {
        if *declarant == ActorId::other() {
            return OTHER_NUMBER;
        }
        let id = reference_id(declarant, reference.as_str());
        if let Some(number) = self.number(&id) {
            return number;
        }
        let own = self.of_declarant.get(declarant.as_str()).copied().unwrap_or(0);
        if own < references_max.saturating_sub(self.known()) {
            return self.add(&id);
        }
        let other = reference_id(declarant, OTHER);
        self.number(&other).unwrap_or_else(|| self.add(&other))
    }

    /// Adds `id`, which is not known.
    pub(crate) fn add(&mut self, id: &str) -> u32 {
        let number = self.known().saturating_add(1);
        let declarant = id.split_once(' ').map_or(id, |(declarant, _)| declarant);
        if let Some(own) = self.of_declarant.get_mut(declarant) {
            *own = own.saturating_add(1);
        } else {
            self.of_declarant.insert(declarant.into(), 1);
        }
        let id: Arc<str> = id.into();
        self.numbers.insert(Arc::clone(&id), number);
        self.ids.push(id);
        number
    }

    /// The number of `id`, where it is known.
    pub(crate) fn number(&self, id: &str) -> Option<u32> {
        let is_first = self.ids.first().is_some_and(|first| **first == *id);
        if is_first { Some(OTHER_NUMBER) } else { self.numbers.get(id).copied() }
    }

    /// The id numbered `number`.
    pub(crate) fn id(&self, number: u32) -> Option<&Arc<str>> {
        self.ids.get(number as usize)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn declarant(n: u32) -> ActorId {
        ActorId::parse(Role::Declarant, &format!("NL{n}")).unwrap()
    }

    fn reference(text: &str) -> FallbackReference {
        FallbackReference::parse(text).unwrap()
    }

    #[test]
    fn a_reference_is_what_the_rules_take() {
        let longest = "\u{1f4e6}".repeat(35);
        for good in ["F", "outage of 5 November", "\u{e9}t\u{e9}", &longest, OTHER] {
            let id = reference_id(&declarant(1), reference(good).as_str());
            assert!(is_reference_id(&id) && id.len() <= REFERENCE_ID_BYTES_MAX, "{id}");
        }
        for bad in ["", "a\tb", &"x".repeat(36)] {
            assert_eq!(FallbackReference::parse(bad), None, "{bad:?}");
        }
        for bad in ["", "NL1", "NL1 ", " F", "nl1 F", "(others) F"] {
            assert!(!is_reference_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn past_the_bound_each_declarant_has_an_other_of_its_own() {
        let mut references = References::new();
        let mut number = |declarant: &ActorId, text: &str, most| {
            references.number_or_add(declarant, &reference(text), most)
        };
        assert_eq!(number(&declarant(1), "A", 2), 1);
        assert_eq!(number(&declarant(2), "A", 2), 2, "another declarant's");
        assert_eq!(number(&declarant(1), "B", 2), 3, "(other) of the first");
        assert_eq!(number(&declarant(1), "C", 2), 3);
        assert_eq!(number(&declarant(3), "A", 2), 4, "(other) of the third");
        assert_eq!(number(&declarant(1), "A", 2), 1, "known stays known");
        assert_eq!(number(&ActorId::other(), "A", 9), OTHER_NUMBER);
        assert_eq!(number(&declarant(1), "B", 7), 5, "the bound rose");
        let ids: Vec<_> = references.ids[1..].iter().map(|id| &**id).collect();
        assert_eq!(ids, ["NL1 A", "NL2 A", "NL1 (other)", "NL3 (other)", "NL1 B"]);
        assert_eq!(references.number("(other) (other)"), Some(OTHER_NUMBER));
        assert!(is_other("NL1 (other)") && is_other("(other) (other)") && !is_other("NL1 A"));
    }

    #[test]
    fn no_declarant_takes_the_room_of_the_others() {
        let mut references = References::new();
        let mut own = |n: u32| {
            let id = declarant(n);
            let other = reference_id(&id, OTHER);
            (0..1_000)
                .filter(|i| {
                    let number = references.number_or_add(&id, &reference(&i.to_string()), 1_200);
                    references.number(&other) != Some(number)
                })
                .count()
        };
        // Alone a half; of what is left a half, less the `(other)` of the one before; and so on.
        assert_eq!([own(1), own(2), own(3)], [600, 300, 149]);
    }
}
