//! Rules.
pub mod finding;

use crate::id::EurCents;

/// What the rules made of one declaration, beside its findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judgement {
    /// Some finding is of severity REJECT.
    pub rejected: bool,
    /// What was compared with the threshold: each goods item rounded half up to the cent, then
    /// added. 0 where some goods item's value could not be converted.
    pub intrinsic_value: EurCents,
    /// Duty owed at acceptance.
    pub duty: EurCents,
}
