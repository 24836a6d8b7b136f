//! Conditions ready to match, and what matches.

use regex::{RegexSet, RegexSetBuilder};

use super::Conditions;
use crate::archive::DeclarationEntry;
use crate::id::{Eori, EurCents};
use crate::wire::view::{Declaration, GoodsItem};

/// Bytes that the patterns of one profile may take, compiled, and again to be matched. Twenty patterns of 40 letters
/// take less; 200 profiles in force have 100 MiB at most.
const PATTERN_SIZE_MAX: usize = 256 << 10;
/// How deep a pattern may nest.
const PATTERN_NEST_MAX: u32 = 20;

/// An accepted declaration, as far as conditions look at it.
#[derive(Debug, Clone, Copy)]
pub struct Lodged<'e, 'a> {
    /// Who lodged it.
    pub declarant: Eori,
    /// What was declared.
    pub declaration: &'e Declaration<'a>,
    /// What was compared with the threshold.
    pub value: EurCents,
    /// In euro, of each goods item.
    pub line_values: &'e [Option<EurCents>],
}

impl<'e, 'a> From<&'e DeclarationEntry<'a>> for Lodged<'e, 'a> {
    fn from(entry: &'e DeclarationEntry<'a>) -> Self {
        Self {
            declarant: entry.lodger.declarant,
            declaration: &entry.declaration,
            value: entry.judgement.intrinsic_value,
            line_values: &entry.line_values,
        }
    }
}

impl<'e, 'a> Lodged<'e, 'a> {
    /// Its goods items with their places, from 1, and their values.
    pub fn items(
        &self,
    ) -> impl Iterator<Item = (u32, &'e GoodsItem<'a>, Option<EurCents>)> + use<'e, 'a> {
        let values = self.line_values.iter().copied().chain(std::iter::repeat(None));
        let items = (1_u32..).zip(&self.declaration.goods_items).zip(values);
        items.map(|((number, item), value)| (number, item, value))
    }
}

/// What of a declaration matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Goods items that matched: all of them, where no condition is about goods items.
    pub lines: u32,
    /// Their value.
    pub value: EurCents,
    /// The first of them, from 1.
    pub first: u32,
}

/// Conditions ready to match.
#[derive(Debug)]
pub struct Matcher {
    conditions: Conditions,
    patterns: Option<RegexSet>,
}

/// Whether an empty list, or one of its values, has `text`.
fn is_one(values: &[String], text: &str) -> bool {
    values.is_empty() || values.iter().any(|value| value == text)
}

impl Matcher {
    /// Of conditions that were checked; what is wrong with their patterns otherwise.
    pub(super) fn of(conditions: &Conditions) -> Result<Self, String> {
        let patterns = &conditions.description_patterns;
        let patterns = if patterns.is_empty() { None } else { Some(Self::compiled(patterns)?) };
        Ok(Self { conditions: conditions.clone(), patterns })
    }

    pub(super) fn compiled(patterns: &[String]) -> Result<RegexSet, String> {
        let set = RegexSetBuilder::new(patterns)
            .case_insensitive(true)
            .nest_limit(PATTERN_NEST_MAX)
            .size_limit(PATTERN_SIZE_MAX)
            .dfa_size_limit(PATTERN_SIZE_MAX)
            .build();
        set.map_err(|error| match error {
            regex::Error::CompiledTooBig(bound) => {
                format!("takes more than {bound} bytes compiled: make it shorter, or repeat less")
            }
            error => {
                // Its last line says what is wrong; those before it draw the place.
                let text = error.to_string();
                let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("is no regular expression: {why}")
            }
        })
    }

    /// What of `lodged` matches; nothing where the whole does not.
    #[must_use]
    pub fn hit(&self, lodged: &Lodged<'_, '_>) -> Option<Hit> {
        if !self.is_lodged(lodged) {
            return None;
        }
        let mut hit: Option<Hit> = None;
        for (number, item, value) in lodged.items() {
            if !self.is_item(item, value) {
                continue;
            }
            let hit = hit.get_or_insert(Hit { lines: 0, value: EurCents(0), first: number });
            hit.lines += 1;
            hit.value.0 = hit.value.0.saturating_add(value.map_or(0, |value| value.0));
        }
        hit
    }

    /// Whether the conditions of the whole declaration hold.
    #[must_use]
    pub fn is_lodged(&self, lodged: &Lodged<'_, '_>) -> bool {
        let of = &self.conditions;
        is_one(&of.declarants, lodged.declarant.as_str())
            && is_one(&of.ioss_numbers, lodged.declaration.ioss_number)
            && is_one(&of.exporter_countries, lodged.declaration.exporter.country)
            && of.declaration_value.contains(lodged.value.0)
    }

    /// Whether those of a goods item do, of this one and its value in euro.
    /// A value that is not known is in no range.
    #[must_use]
    pub fn is_item(&self, item: &GoodsItem<'_>, value: Option<EurCents>) -> bool {
        let of = &self.conditions;
        let is_prefix = |prefix: &String| item.hs6.starts_with(prefix.as_str());
        (of.hs_prefixes.is_empty() || of.hs_prefixes.iter().any(is_prefix))
            && is_one(&of.origin_countries, item.country_of_origin)
            && (of.item_value.is_open() || value.is_some_and(|v| of.item_value.contains(v.0)))
            && of.item_mass.contains(item.gross_mass_mg)
            && self.patterns.as_ref().is_none_or(|patterns| patterns.is_match(item.description))
    }
}
