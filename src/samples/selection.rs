//! A selection as it is told: of each stratum what there is, and what of it is selected.

use super::{Draw, ItemId};
use crate::day::Day;
use crate::id::{ShortText, Watermark};

/// A goods item that is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// Its lot.
    pub draw: Draw,
    /// Which one.
    pub item: ItemId,
    /// MRN of its declaration.
    pub mrn: ShortText<18>,
    /// The day it arrived.
    pub day: Day,
    /// Its HS code.
    pub hs6: ShortText<6>,
    /// Its declared value in euro cents.
    pub declared: u64,
    /// Its expected value in euro cents; 0 in a sample of a fixed size.
    pub expected: u64,
}

/// What there is of a stratum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SelectedStratum {
    /// What it is called.
    pub name: String,
    /// N_h: goods items.
    pub items: u64,
    /// Their declared value in euro cents.
    pub declared: u64,
    /// Their expected value in euro cents; 0 in a sample of a fixed size.
    pub expected: u64,
    /// What is selected, by lot.
    pub selected: Vec<Selected>,
    /// Selected as well, past the bound, and in no list: the lists say nothing of all then.
    pub left_out: u64,
}

/// What a plan selects of what was gone through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Exactly of so many records: those that were sealed.
    pub watermark: Watermark,
    /// Days of the plan up to this one were dropped before they were gone through, and are missing.
    pub dropped_through: Option<Day>,
    /// In the order of the plan, what is in none of its strata last.
    pub strata: Vec<SelectedStratum>,
}

impl Selection {
    /// Nothing of it is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.dropped_through.is_none() && self.strata.iter().all(|stratum| stratum.left_out == 0)
    }
}
