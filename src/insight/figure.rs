//! Figures of one actor on one day, each with what it was made of and with declarations to look at.

use super::kinds::Kind;
use crate::id::Ordinal;
use crate::statistics::wilson_95;
use crate::summary::ActorId;

/// How many declarations a figure names at most.
pub const EXAMPLES_MAX: usize = 20;

/// One indicator of one actor on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Which.
    pub kind: Kind,
    /// What is counted.
    pub numerator: u64,
    /// Out of what.
    pub denominator: u64,
    /// Where it is not numerator over denominator.
    pub own_value: Option<f64>,
    /// What the numerator consists of, where that can be told.
    pub parts: Vec<Part>,
    /// Some of the declarations counted in the numerator.
    pub examples: Vec<Example>,
}

/// A part of a numerator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As `610910`.
    pub what: String,
    /// How much of it.
    pub count: u64,
}

/// A declaration to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// Its place in the journal's order, of which its MRN is made.
    pub ordinal: Ordinal,
    /// Who lodged it.
    pub declarant: ActorId,
    /// Those of one figure with the same number belong together.
    pub group: u32,
}

impl Figure {
    /// Its value.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.own_value.unwrap_or(self.numerator as f64 / self.denominator as f64)
    }

    /// The 95 % Wilson interval; `None` where it is no proportion.
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        let of = self.kind.description();
        if of.is_proportion { wilson_95(self.numerator, self.denominator) } else { None }
    }

    /// Whether it is worth a conversation: by the lower end of the interval or, without one, by the value
    /// where it rests on enough.
    #[must_use]
    pub fn is_notable(&self) -> bool {
        let Some(above) = self.kind.description().notable_above else { return false };
        match self.interval() {
            Some((lower, _)) => lower > above,
            None => self.value() > above && self.denominator >= self.kind.denominator_min(),
        }
    }
}
