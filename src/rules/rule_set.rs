//! The rule sets: one TOML file for each change of the law, named after its first day.
//!
//! Invariant: amounts and lists were checked on reading; codes are checked against the lists in
//! [`super::lists`], where both are known.

use serde::Deserialize;
use toml::Spanned;

use super::error::Problems;
use super::money;
use super::table::{Files, text};
use crate::day::Day;

/// The folder of the rule sets, as it stands before their names.
pub(super) const FOLDER: &str = "rulesets/";

/// More goods items than this cannot be counted in a finding.
const GOODS_ITEMS_MAX: u32 = 9_999;

/// The day in a name such as `rulesets/2026-07-01.toml`.
pub(super) fn day_of(file: &str) -> Option<Day> {
    Day::parse(file.strip_prefix(FOLDER)?.strip_suffix(".toml")?)
}

/// One rule set, in the units in which it is applied.
#[derive(Debug, Clone)]
pub(super) struct RuleSet {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) from: Day,
    pub(super) to: Day,
    pub(super) member_state: [u8; 2],
    pub(super) goods_items_max: u32,
    pub(super) threshold_cents: u64,
    pub(super) gift_threshold_cents: u64,
    /// Hundredths of a per cent.
    pub(super) tolerance_basis_points: u64,
    pub(super) procedures_allowed: Vec<Vec<String>>,
    pub(super) procedures_abolished: Vec<String>,
    pub(super) duty_cents: u64,
    pub(super) duty_procedures: Vec<String>,
    pub(super) product_merchant: bool,
    pub(super) product_manufacturer: bool,
    pub(super) product_gtin: bool,
    pub(super) product_not_with: Vec<String>,
    pub(super) transport_costs_not_with: Vec<String>,
    pub(super) previous_required_for: Vec<String>,
    /// Of [`super::lists::DocumentKind::NAMES`].
    pub(super) closed_kinds: Vec<String>,
}

impl RuleSet {
    /// Every procedure code that the rule set names, with the key under which it does.
    pub(super) fn codes(&self) -> impl Iterator<Item = (&'static str, &String)> {
        self.procedures_allowed
            .iter()
            .flatten()
            .map(|code| ("procedures.allowed", code))
            .chain(self.procedures_abolished.iter().map(|code| ("procedures.abolished", code)))
            .chain(self.duty_procedures.iter().map(|code| ("duty.procedures", code)))
            .chain(self.product_not_with.iter().map(|code| ("product_identifiers.not_with", code)))
            .chain(
                self.transport_costs_not_with.iter().map(|code| ("transport_costs.not_with", code)),
            )
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    valid_from: Spanned<String>,
    #[serde(default)]
    valid_to: Option<Spanned<String>>,
    member_state: MemberState,
    goods_items: GoodsItems,
    threshold: Threshold,
    gift_threshold: Threshold,
    exchange_tolerance: Tolerance,
    procedures: Procedures,
    duty: Duty,
    product_identifiers: ProductIdentifiers,
    transport_costs: TransportCosts,
    documents: Documents,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberState {
    code: Spanned<String>,
    legal_ref: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoodsItems {
    max: Spanned<u32>,
    legal_ref: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Threshold {
    consignment_eur: Spanned<String>,
    legal_ref: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tolerance {
    percent: Spanned<String>,
    legal_ref: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Procedures {
    allowed: Vec<Vec<String>>,
    abolished: Vec<String>,
    legal_ref: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Duty {
    eur_per_goods_item: Spanned<String>,
    procedures: Vec<String>,
    legal_ref: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductIdentifiers {
    required: Spanned<Vec<String>>,
    not_with: Vec<String>,
    legal_ref: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransportCosts {
    not_with: Vec<String>,
    legal_ref: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Documents {
    previous_required_for: Vec<String>,
    closed_kinds: Spanned<Vec<String>>,
    legal_ref: Spanned<String>,
}

/// Complains about keys of one file, with the line on which their value stands.
struct Complaints<'a> {
    file: &'a str,
    text: &'a str,
    problems: &'a mut Problems,
    sound: bool,
}

impl Complaints<'_> {
    fn add<T: AsRef<str>>(&mut self, key: &str, at: &Spanned<T>, bound: &str) {
        let line = line_of(self.text, at.span().start);
        self.problems.add(self.file, Some(line), key, at.as_ref().as_ref(), bound);
        self.sound = false;
    }

    fn parse<T>(
        &mut self,
        key: &str,
        at: &Spanned<String>,
        bound: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(at.as_ref());
        if parsed.is_none() {
            self.add(key, at, bound);
        }
        parsed
    }

    fn referenced(&mut self, key: &str, at: &Spanned<String>) {
        self.parse(key, at, "may not be empty", |text| (!text.trim().is_empty()).then_some(()));
    }

    /// Complains about members of a list that are not among `known`.
    fn among(&mut self, key: &str, list: &Spanned<Vec<String>>, known: &[&str]) {
        for name in list.as_ref().iter().filter(|name| !known.contains(&name.as_str())) {
            let at = Spanned::new(list.span(), name.clone());
            self.add(key, &at, &format!("must be one of {}", known.join(", ")));
        }
    }
}

fn line_of(text: &str, byte: usize) -> u64 {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() as u64 + 1
}

const AMOUNT: &str = "must be an amount with at most two decimals, as 150.00";

/// Reads every rule set among `files`, the earliest first. Where one has no `valid_to`, it holds
/// until the day before the next one's first.
pub(super) fn read(files: &Files, problems: &mut Problems) -> Vec<RuleSet> {
    let mut sets: Vec<RuleSet> = files
        .keys()
        .filter(|file| file.starts_with(FOLDER))
        .filter_map(|file| read_one(files, file, problems))
        .collect();
    sets.sort_by_key(|set| set.from);
    let starts: Vec<Day> = sets.iter().skip(1).map(|set| set.from).collect();
    for (set, next) in sets.iter_mut().zip(starts) {
        set.to = set.to.min(Day(next.0.saturating_sub(1)));
    }
    if sets.is_empty() {
        problems.add(FOLDER, None, "", "", "there must be at least one rule set");
    }
    sets
}

fn read_one(files: &Files, file: &str, problems: &mut Problems) -> Option<RuleSet> {
    let named = day_of(file);
    if named.is_none() {
        problems.add(file, None, "", "", "must be named after its first day, as 2026-07-01.toml");
    }
    let text = text(files, file, problems)?;
    let read: File = match toml::from_str(text) {
        Ok(read) => read,
        Err(error) => {
            let line = error.span().map(|span| line_of(text, span.start));
            problems.add(file, line, "", "", error.message());
            return None;
        }
    };
    let mut c = Complaints { file, text, problems, sound: true };
    for (key, at) in [
        ("name", &read.name),
        ("member_state.legal_ref", &read.member_state.legal_ref),
        ("goods_items.legal_ref", &read.goods_items.legal_ref),
        ("threshold.legal_ref", &read.threshold.legal_ref),
        ("gift_threshold.legal_ref", &read.gift_threshold.legal_ref),
        ("exchange_tolerance.legal_ref", &read.exchange_tolerance.legal_ref),
        ("procedures.legal_ref", &read.procedures.legal_ref),
        ("duty.legal_ref", &read.duty.legal_ref),
        ("product_identifiers.legal_ref", &read.product_identifiers.legal_ref),
        ("transport_costs.legal_ref", &read.transport_costs.legal_ref),
        ("documents.legal_ref", &read.documents.legal_ref),
    ] {
        c.referenced(key, at);
    }
    let from = c.parse("valid_from", &read.valid_from, "must be the day in the file's name", |t| {
        Day::parse(t).filter(|day| named.is_none_or(|named| named == *day))
    });
    let to = read.valid_to.as_ref().map_or(Some(Day(u16::MAX)), |at| {
        c.parse("valid_to", at, "must be a day not before valid_from, or empty", |t| {
            if t.is_empty() {
                return Some(Day(u16::MAX));
            }
            Day::parse(t).filter(|day| from.is_none_or(|from| from <= *day))
        })
    });
    let member_state = c.parse(
        "member_state.code",
        &read.member_state.code,
        "must be two upper-case letters",
        |t| t.as_bytes().try_into().ok(),
    );
    let max = *read.goods_items.max.as_ref();
    if !(1..=GOODS_ITEMS_MAX).contains(&max) {
        let at = Spanned::new(read.goods_items.max.span(), max.to_string());
        c.add("goods_items.max", &at, &format!("must be 1 to {GOODS_ITEMS_MAX}"));
    }
    let amount = money::parse_hundredths;
    let threshold =
        c.parse("threshold.consignment_eur", &read.threshold.consignment_eur, AMOUNT, amount);
    let gift = c.parse(
        "gift_threshold.consignment_eur",
        &read.gift_threshold.consignment_eur,
        AMOUNT,
        amount,
    );
    let tolerance = c.parse(
        "exchange_tolerance.percent",
        &read.exchange_tolerance.percent,
        "must be 0 to 100 with at most two decimals",
        |t| amount(t).filter(|points| *points <= 10_000),
    );
    let duty = c.parse("duty.eur_per_goods_item", &read.duty.eur_per_goods_item, AMOUNT, |t| {
        amount(t).filter(|cents| *cents <= 100_000_000)
    });
    let required = &read.product_identifiers.required;
    c.among("product_identifiers.required", required, &["merchant", "manufacturer", "gtin"]);
    let closed = &read.documents.closed_kinds;
    c.among("documents.closed_kinds", closed, &super::lists::DocumentKind::NAMES);
    if !c.sound {
        return None;
    }
    let requires = |name: &str| required.as_ref().iter().any(|listed| listed == name);
    Some(RuleSet {
        file: file.to_owned(),
        name: read.name.as_ref().clone(),
        from: from?,
        to: to?,
        member_state: member_state?,
        goods_items_max: max,
        threshold_cents: threshold?,
        gift_threshold_cents: gift?,
        tolerance_basis_points: tolerance?,
        procedures_allowed: read.procedures.allowed,
        procedures_abolished: read.procedures.abolished,
        duty_cents: duty?,
        duty_procedures: read.duty.procedures,
        product_merchant: requires("merchant"),
        product_manufacturer: requires("manufacturer"),
        product_gtin: requires("gtin"),
        product_not_with: read.product_identifiers.not_with,
        transport_costs_not_with: read.transport_costs.not_with,
        previous_required_for: read.documents.previous_required_for,
        closed_kinds: closed.as_ref().clone(),
    })
}
