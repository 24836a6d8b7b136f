//! What becomes of a declaration.

/// The outcome of one declaration, numbered as in the contract. (Outcomes are kept in the journal
/// under these numbers.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Outcome {
    /// Lodged, with an MRN.
    Accepted = 1,
    /// At least one finding of severity REJECT.
    Rejected = 2,
    /// This content was answered before under this LRN.
    Replayed = 3,
    /// This LRN was accepted before with other content.
    Conflict = 4,
}

impl Outcome {
    /// The outcome numbered `number`.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Accepted),
            2 => Some(Self::Rejected),
            3 => Some(Self::Replayed),
            4 => Some(Self::Conflict),
            _ => None,
        }
    }
}
