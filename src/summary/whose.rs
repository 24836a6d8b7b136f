//! Whose figures an entry has: an actor's in one of its roles, or those of a fallback reference.
//!
//! Days, catalog, files and snapshots keep entries of both alike, by number or by the text of an id.

use std::sync::Arc;

use crate::summary::references::is_reference_id;
use crate::summary::{ActorId, Role};

/// How many kinds of entries there are.
pub(crate) const KINDS: usize = 4;

/// Whose figures an entry has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Whose {
    /// Those of an actor.
    Actor(Role),
    /// Those of what a declarant lodged with one fallback reference.
    Reference,
}

impl Whose {
    /// All, by number.
    pub(crate) const ALL: [Self; KINDS] = [
        Self::Actor(Role::Declarant),
        Self::Actor(Role::Representative),
        Self::Actor(Role::IossHolder),
        Self::Reference,
    ];

    /// As it is stored: that of the role, and one more.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Actor(role) => role as u8,
            Self::Reference => 4,
        }
    }

    /// That with this number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|whose| whose.number() == number)
    }

    /// Its place in an array over [`Whose::ALL`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.number()) - 1
    }

    /// Whether `text` has the form of its ids.
    pub(crate) fn is_id(self, text: &str) -> bool {
        match self {
            Self::Actor(role) => ActorId::parse(role, text).is_some(),
            Self::Reference => is_reference_id(text),
        }
    }
}

/// The id of an entry.
#[derive(Debug, Clone)]
pub(crate) enum EntryId {
    /// Of an actor.
    Actor(ActorId),
    /// See [`crate::summary::references::reference_id`].
    Reference(Arc<str>),
}

impl EntryId {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Actor(id) => id.as_str(),
            Self::Reference(id) => id,
        }
    }

    /// The same, to sort by.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Actor(id) => id.as_bytes(),
            Self::Reference(id) => id.as_bytes(),
        }
    }
}
