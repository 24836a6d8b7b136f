//! What a profile looks for, and within which bounds.

use serde::{Deserialize, Serialize};

use super::{Matcher, Wrong};
use crate::id::is_eori;
use crate::summary::IossNumber;

/// Values of one condition at most.
const VALUES_MAX: usize = 100;
/// Patterns of one profile at most.
const PATTERNS_MAX: usize = 20;
/// Bytes of a pattern at most.
const PATTERN_BYTES_MAX: usize = 200;

/// From a least to a greatest value, both included; without one, as far as there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Range {
    /// The least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The greatest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

impl Range {
    /// Whether it bounds nothing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `value` is in it.
    #[must_use]
    pub fn contains(&self, value: u64) -> bool {
        self.min.is_none_or(|min| min <= value) && self.max.is_none_or(|max| value <= max)
    }
}

/// What a profile looks for: all that is stated must hold. Of a list, one value is enough; an empty list and an open
/// range state nothing. Those of the goods item must all hold of the same one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// 13 05: EORIs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub declarants: Vec<String>,
    /// 13 16 034.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ioss_numbers: Vec<String>,
    /// 13 01: country of the exporter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exporter_countries: Vec<String>,
    /// Intrinsic value of the declaration, euro cents.
    #[serde(skip_serializing_if = "Range::is_open")]
    pub declaration_value: Range,
    /// 18 09 056 of the goods item: its first digits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hs_prefixes: Vec<String>,
    /// 16 08 of the goods item.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origin_countries: Vec<String>,
    /// 14 14 of the goods item, in euro cents.
    #[serde(skip_serializing_if = "Range::is_open")]
    pub item_value: Range,
    /// 18 04 of the goods item, milligrams.
    #[serde(skip_serializing_if = "Range::is_open")]
    pub item_mass: Range,
    /// 18 05 of the goods item: regular expressions found anywhere in it, whatever the case of letters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub description_patterns: Vec<String>,
}

fn wrong<T>(field: impl Into<String>, why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { field: field.into(), why: why.into() })
}

/// As much of a value as an error repeats.
fn shown(text: &str) -> &str {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default()
}

impl Conditions {
    /// The same as declarations are normalised: ids and countries trimmed and in upper case, each value once.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        for list in [
            &mut self.declarants,
            &mut self.ioss_numbers,
            &mut self.exporter_countries,
            &mut self.hs_prefixes,
            &mut self.origin_countries,
        ] {
            list.iter_mut().for_each(|value| *value = value.trim().to_ascii_uppercase());
            list.sort_unstable();
            list.dedup();
        }
        self
    }

    /// The conditions ready to match, where they are within their bounds.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn matcher(&self) -> Result<Matcher, Wrong> {
        if *self == Self::default() {
            return wrong("conditions", "are none: every declaration would match");
        }
        type Form = (fn(&str) -> bool, &'static str);
        let eori: Form =
            (is_eori, "an EORI has two letters and 1 to 15 letters, digits or hyphens");
        let ioss: Form =
            (|text| IossNumber::parse(text).is_some(), "an IOSS number is IM and 10 digits");
        let country: Form = (is_country, "a country is two capital letters, as CN");
        let hs: Form = (is_hs_prefix, "the beginning of an HS code is 2 to 6 digits");
        for (name, values, (is_form, form)) in [
            ("declarants", &self.declarants, eori),
            ("ioss_numbers", &self.ioss_numbers, ioss),
            ("exporter_countries", &self.exporter_countries, country),
            ("hs_prefixes", &self.hs_prefixes, hs),
            ("origin_countries", &self.origin_countries, country),
        ] {
            let field = format!("conditions.{name}");
            if values.len() > VALUES_MAX {
                let why = format!("has {} values; the bound is {VALUES_MAX}", values.len());
                return wrong(field, why);
            }
            if let Some(at) = values.iter().position(|value| !is_form(value)) {
                let value = values.get(at).map_or("", |value| shown(value));
                return wrong(format!("{field}[{at}]"), format!("is \"{value}\"; {form}"));
            }
        }
        for (name, range) in [
            ("declaration_value_eur_cents", self.declaration_value),
            ("item_value_eur_cents", self.item_value),
            ("item_mass_mg", self.item_mass),
        ] {
            if let Range { min: Some(min), max: Some(max) } = range
                && min > max
            {
                let why = format!("is {max}, less than min, {min}: nothing would match");
                return wrong(format!("conditions.{name}.max"), why);
            }
        }
        let patterns = &self.description_patterns;
        if patterns.len() > PATTERNS_MAX {
            let why = format!("has {} patterns; the bound is {PATTERNS_MAX}", patterns.len());
            return wrong("conditions.description_patterns", why);
        }
        for (at, pattern) in patterns.iter().enumerate() {
            let field = || format!("conditions.description_patterns[{at}]");
            if pattern.len() > PATTERN_BYTES_MAX {
                let why = format!("has {} bytes; the bound is {PATTERN_BYTES_MAX}", pattern.len());
                return wrong(field(), why);
            }
            if let Err(why) = Matcher::compiled(std::slice::from_ref(pattern)) {
                return wrong(field(), why);
            }
        }
        Matcher::of(self)
            .map_err(|why| Wrong { field: "conditions.description_patterns".into(), why })
    }

    /// What is looked at, each by its data element: for the register of algorithms, which does not say what is looked
    /// for there.
    #[must_use]
    pub fn inputs(&self) -> Vec<&'static str> {
        let stated = [
            (!self.declarants.is_empty(), "declarant (13 05)"),
            (!self.ioss_numbers.is_empty(), "IOSS number (13 16 034)"),
            (!self.exporter_countries.is_empty(), "country of the exporter (13 01)"),
            (!self.declaration_value.is_open(), "intrinsic value of the declaration in euro"),
            (!self.hs_prefixes.is_empty(), "HS code (18 09 056)"),
            (!self.origin_countries.is_empty(), "country of origin (16 08)"),
            (!self.item_value.is_open(), "intrinsic value of the goods item in euro (14 14)"),
            (!self.item_mass.is_open(), "gross mass of the goods item (18 04)"),
            (!self.description_patterns.is_empty(), "description of goods (18 05)"),
        ];
        stated.into_iter().filter_map(|(is_stated, name)| is_stated.then_some(name)).collect()
    }
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_hs_prefix(text: &str) -> bool {
    (2..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
