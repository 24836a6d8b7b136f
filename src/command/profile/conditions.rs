//! What a profile looks for, as flags.

use clap::Args;

use crate::proto::v1::{ProfileConditions, ProfileRange};

/// What it looks for: all that is given must hold; of one flag given several times, one value is enough.
#[derive(Debug, Args)]
pub(super) struct ConditionArgs {
    /// Only declarations of this declarant, by EORI
    #[arg(long, value_name = "EORI", help_heading = "Conditions")]
    declarant: Vec<String>,
    /// Only those with this IOSS number
    #[arg(long, value_name = "NUMBER", help_heading = "Conditions")]
    ioss: Vec<String>,
    /// Only from an exporter in this country, as CN
    #[arg(long, value_name = "COUNTRY", help_heading = "Conditions")]
    exporter: Vec<String>,
    /// Intrinsic value of the declaration in euro, as 140..150, 140.. or ..0.99
    #[arg(long, value_name = "A..B", value_parser = euros, help_heading = "Conditions")]
    value: Option<ProfileRange>,
    /// Goods items whose HS code begins so, 2 to 6 digits
    #[arg(long, value_name = "DIGITS", help_heading = "Conditions")]
    hs: Vec<String>,
    /// Goods items of this origin, as CN
    #[arg(long, value_name = "COUNTRY", help_heading = "Conditions")]
    origin: Vec<String>,
    /// Intrinsic value of the goods item in euro
    #[arg(long, value_name = "A..B", value_parser = euros, help_heading = "Conditions")]
    item_value: Option<ProfileRange>,
    /// Gross mass of the goods item in grams, as ..1 or 0.5..2000
    #[arg(long, value_name = "A..B", value_parser = grams, help_heading = "Conditions")]
    item_mass: Option<ProfileRange>,
    /// Goods items in whose description this regular expression is found, whatever the case of letters
    #[arg(long, value_name = "REGEX", help_heading = "Conditions")]
    description: Vec<String>,
}

impl ConditionArgs {
    pub(super) fn message(&self) -> ProfileConditions {
        ProfileConditions {
            declarants: self.declarant.clone(),
            ioss_numbers: self.ioss.clone(),
            exporter_countries: self.exporter.clone(),
            declaration_value_eur_cents: self.value,
            hs_prefixes: self.hs.clone(),
            origin_countries: self.origin.clone(),
            item_value_eur_cents: self.item_value,
            item_mass_mg: self.item_mass,
            description_patterns: self.description.clone(),
        }
    }
}

fn euros(text: &str) -> Result<ProfileRange, String> {
    range(text, 2).ok_or_else(|| format!("{text:?} is no range of euros: write it as 140..149.99"))
}

fn grams(text: &str) -> Result<ProfileRange, String> {
    range(text, 3).ok_or_else(|| format!("{text:?} is no range of grams: write it as 0.5..2000"))
}

/// `a..b` in units of which `places` decimals are one each; either end may be left out, not both.
fn range(text: &str, places: usize) -> Option<ProfileRange> {
    let (min, max) = text.split_once("..")?;
    let end = |text: &str| match text {
        "" => Some(None),
        text => decimal(text, places).map(Some),
    };
    let range = ProfileRange { min: end(min)?, max: end(max)? };
    (range.min.is_some() || range.max.is_some()).then_some(range)
}

/// `12.5` with two places as 1250.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > places || !is_plain(whole) || !is_plain(part) {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_to_the_last_place() {
        let of = |min, max| Some(ProfileRange { min, max });
        assert_eq!(range("140..149.99", 2), of(Some(14_000), Some(14_999)));
        assert_eq!(range("..0.5", 3), of(None, Some(500)));
        assert_eq!(range("7..", 2), of(Some(700), None));
        for text in ["..", "7", "1.234..", "a..b", "-1..2", ".5..", "1..2..3"] {
            assert_eq!(range(text, 2), None, "{text}");
        }
    }
}
