//! A plan: which goods items, over which days, and how they are selected. And the outcome of a control.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ItemId, Secret, Wrong};
use crate::day::{Day, Moment};
use crate::profiles::{Conditions, TEXT_BYTES_MAX};

/// Bytes of a name, and of an owner, at most.
const NAME_BYTES_MAX: usize = 100;
/// Days of a plan at most: a year.
const DAYS_MAX: u16 = 366;
/// Goods items of a sample of a fixed size at most. With 21 strata some 16 MB are held while it is selected.
const SIZE_MAX: u32 = 5_000;
/// Strata at most, the rest apart.
pub const STRATA_MAX: usize = 20;
/// Values per kg at most.
const PER_KG_MAX: usize = 500;
/// A million, of which a rate is a part.
const MILLION: u32 = 1_000_000;

/// What a plan is known by: `S` and its number, from 1 without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanId(pub(super) u32);

impl PlanId {
    /// Reads `S17`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('S')?;
        let is_plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| is_plain).map(Self)
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{}", self.0)
    }
}

/// A part of the goods items that is sampled on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stratum {
    /// What it is called.
    pub name: String,
    /// What is in it, and in none before it.
    pub conditions: Conditions,
    /// How many of a million goods items are expected to be in error: where more are, more are selected.
    pub expected_errors_per_million: u32,
}

/// What a kg of goods is expected to be worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerKg {
    /// The beginning of an HS code; empty for all others.
    pub hs_prefix: String,
    /// Euro cents.
    pub eur_cents: u64,
}

/// How goods items are selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// So many, each with the same chance in its stratum.
    Fixed {
        /// How many.
        size: u32,
        /// In which strata; what is in none is one more. Without any there is one of all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        strata: Vec<Stratum>,
    },
    /// Each with the chance expected value / interval.
    ExpectedValue {
        /// J, in euro cents: what is expected to be worth as much is always selected.
        interval: u64,
        /// The one with the longest prefix counts.
        per_kg: Vec<PerKg>,
    },
}

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What it is called. Name, purpose and owner stand in the register of algorithms.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Who answers for it.
    pub owner: String,
    /// The first day of arrival.
    pub first: Day,
    /// The last one.
    pub last: Day,
    /// Which goods items; all, where nothing is stated.
    pub conditions: Conditions,
    /// How they are selected.
    pub method: Method,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it is known by.
    pub id: PlanId,
    /// What it is.
    pub terms: Terms,
    /// What selects.
    pub secret: Secret,
    /// The client that recorded it, by name.
    pub recorded_by: String,
    /// When.
    pub recorded_at: Moment,
    /// The day of that.
    pub recorded_on: Day,
}

/// What a control found of a goods item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which one.
    pub item: ItemId,
    /// Something was wrong with it.
    pub is_error: bool,
    /// What it is worth in truth, in euro cents, where that was looked at.
    pub true_value: Option<u64>,
    /// Duty and VAT that are due on top, in euro cents.
    pub corrected: u64,
    /// Free text.
    pub note: String,
    /// The client that recorded it, by name.
    pub recorded_by: String,
    /// When.
    pub recorded_at: Moment,
    /// The day of that.
    pub recorded_on: Day,
}

fn wrong<T>(field: impl Into<String>, why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { field: field.into(), why: why.into() })
}

/// Conditions that may state nothing; `field` is where they stand.
fn check_conditions(field: &str, conditions: &Conditions) -> Result<(), Wrong> {
    if *conditions == Conditions::default() {
        return Ok(());
    }
    conditions.matcher().map(drop).map_err(|Wrong { field: of, why }| {
        let of = of.strip_prefix("conditions").unwrap_or(&of);
        Wrong { field: format!("{field}{of}"), why }
    })
}

impl Terms {
    /// Within the bounds.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), Wrong> {
        for (field, text, bound) in [
            ("name", &self.name, NAME_BYTES_MAX),
            ("purpose", &self.purpose, TEXT_BYTES_MAX),
            ("owner", &self.owner, NAME_BYTES_MAX),
        ] {
            if text.trim().is_empty() {
                return wrong(field, "is empty: it stands in the register of algorithms");
            }
            if text.len() > bound {
                return wrong(field, format!("has {} bytes; the bound is {bound}", text.len()));
            }
        }
        let (first, last) = (self.first, self.last);
        let bound = Day(first.0.saturating_add(DAYS_MAX - 1));
        if last < first || last > bound {
            let why = format!("is {last}; it must be {first}, first_day, to {bound}");
            return wrong("last_day", why);
        }
        check_conditions("conditions", &self.conditions)?;
        match &self.method {
            Method::Fixed { size, strata } => check_fixed(*size, strata),
            Method::ExpectedValue { interval, per_kg } => check_expected(*interval, per_kg),
        }
    }

    /// The same of terms that are recorded on `today`: what is published before the first lot is drawn binds.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    pub fn check_on(&self, today: Day) -> Result<(), Wrong> {
        if self.first <= today {
            let why = format!(
                "is {}; it must be after today, {today}: the commitment is published before",
                self.first
            );
            return wrong("first_day", why);
        }
        self.check()
    }
}

fn check_fixed(size: u32, strata: &[Stratum]) -> Result<(), Wrong> {
    if strata.len() > STRATA_MAX {
        let why = format!("are {}; the bound is {STRATA_MAX}", strata.len());
        return wrong("fixed.strata", why);
    }
    // Two of each, for their spread.
    let least = if strata.is_empty() { 1 } else { 2 * (strata.len() as u32 + 1) };
    if !(least..=SIZE_MAX).contains(&size) {
        return wrong("fixed.size", format!("is {size}; it must be {least} to {SIZE_MAX}"));
    }
    for (at, stratum) in strata.iter().enumerate() {
        let field = format!("fixed.strata[{at}]");
        if stratum.name.trim().is_empty() || stratum.name.len() > NAME_BYTES_MAX {
            let why = format!("has {} bytes; it must be 1 to {NAME_BYTES_MAX}", stratum.name.len());
            return wrong(format!("{field}.name"), why);
        }
        if stratum.expected_errors_per_million > MILLION {
            let why = format!("is {}; the bound is {MILLION}", stratum.expected_errors_per_million);
            return wrong(format!("{field}.expected_errors_per_million"), why);
        }
        if stratum.conditions == Conditions::default() {
            return wrong(format!("{field}.conditions"), "are none: nothing would be left over");
        }
        check_conditions(&format!("{field}.conditions"), &stratum.conditions)?;
    }
    Ok(())
}

fn check_expected(interval: u64, per_kg: &[PerKg]) -> Result<(), Wrong> {
    if interval == 0 {
        return wrong("expected_value.interval_eur_cents", "is 0; it must be 1 at least");
    }
    if per_kg.len() > PER_KG_MAX {
        let why = format!("has {}; the bound is {PER_KG_MAX}", per_kg.len());
        return wrong("expected_value.per_kg", why);
    }
    let is_prefix = |text: &str| text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    for (at, one) in per_kg.iter().enumerate() {
        let earlier = per_kg.iter().take(at);
        if !is_prefix(&one.hs_prefix) || earlier.clone().any(|e| e.hs_prefix == one.hs_prefix) {
            let why = format!("is \"{}\"; it must be up to 6 digits, each once", one.hs_prefix);
            return wrong(format!("expected_value.per_kg[{at}].hs_prefix"), why);
        }
        if one.eur_cents == 0 {
            return wrong(format!("expected_value.per_kg[{at}].eur_cents"), "is 0");
        }
    }
    if !per_kg.iter().any(|one| one.hs_prefix.is_empty()) {
        return wrong("expected_value.per_kg", "has none without hs_prefix, for all other goods");
    }
    Ok(())
}

impl Outcome {
    /// Within the bounds.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), Wrong> {
        if self.note.len() > TEXT_BYTES_MAX {
            let why = format!("has {} bytes; the bound is {TEXT_BYTES_MAX}", self.note.len());
            return wrong("note", why);
        }
        if self.item.goods_item == 0 {
            return wrong("goods_item", "is 0; it counts from 1");
        }
        if self.item.lrn.as_str().is_empty() {
            return wrong("lrn", "is empty");
        }
        Ok(())
    }

    /// Whether another says the same, whoever recorded it.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let said = |of: &Self| (of.item, of.is_error, of.true_value, of.corrected, of.note.clone());
        said(self) == said(other)
    }
}
