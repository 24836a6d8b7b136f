//! The rules as they hold on one day, compiled into tables that judging can use at full speed.
//!
//! Invariant: an edition is the same for all days between two days on which some row begins or
//! ends (see [`boundaries`]), so that few of them are ever made. What changes from month to month
//! (rates) or is long (deny lists) is not in it.

use super::description::Vague;
use super::finding::{Reason, Severity};
use super::hs::HsTable;
use super::lists::{
    CURRENCIES_MAX, CodeList, DocumentKind, Lists, Meaning, Place, REGIME_CODES_MAX, ReferenceCheck,
};
use super::rule_set::RuleSet;
use super::sentence::Sentence;
use super::table::{Dated, holding};
use crate::day::Day;

/// A country that is in the list.
pub(super) const LISTED: u8 = 1;
/// Goods there are Union goods.
pub(super) const UNION: u8 = 2;
/// Gives out EORIs.
pub(super) const GIVES_EORI: u8 = 4;
/// Sanctioned goods are rerouted through it.
pub(super) const DETOUR: u8 = 8;
/// Under sanctions: rejected.
pub(super) const SANCTIONED: u8 = 16;
/// Under sanctions: flagged.
pub(super) const SANCTIONED_FLAG: u8 = 32;
/// Has postcodes outside the Union's customs or fiscal territory.
pub(super) const HAS_SPECIAL_TERRITORIES: u8 = 64;
/// Has regions under sanctions.
pub(super) const HAS_SANCTIONED_REGIONS: u8 = 128;

/// Bits of [`Edition::codes`].
pub(super) const DECLARATION_TYPE: u8 = 1;
pub(super) const REPRESENTATIVE_STATUS: u8 = 2;
pub(super) const LOCATION_TYPE: u8 = 4;
pub(super) const LOCATION_QUALIFIER: u8 = 8;
pub(super) const NEEDS_PREVIOUS_DOCUMENT: u8 = 16;

/// A currency that does not exist, and the euro, as found by [`Edition::currency`].
pub(super) const NO_CURRENCY: u8 = 0;
pub(super) const EURO: u8 = 1;

/// One reason, as it holds.
#[derive(Debug, Clone)]
pub(super) struct ReasonLaw {
    pub(super) severity: Option<Severity>,
    pub(super) element: Option<&'static str>,
    pub(super) text: String,
    pub(super) sentence: Sentence,
    pub(super) legal_basis: String,
}

/// What is compiled.
#[derive(Debug)]
pub(super) struct Edition {
    pub(super) rule_set_from: Day,
    /// By [`Reason`].
    pub(super) reasons: Vec<ReasonLaw>,
    pub(super) severities: [Option<Severity>; Reason::ALL.len()],
    pub(super) member_state: [u8; 2],
    pub(super) goods_items_max: u32,
    pub(super) threshold_cents: u64,
    pub(super) tolerated_cents: u64,
    pub(super) gift_threshold_cents: u64,
    pub(super) duty_cents: u64,
    /// Code and its bit; 0 for codes that are ignored.
    pub(super) procedures: Vec<([u8; 3], u16)>,
    pub(super) procedures_allowed: Vec<u16>,
    pub(super) procedures_abolished: u16,
    pub(super) gift: u16,
    pub(super) ioss: u16,
    pub(super) special_arrangements: u16,
    pub(super) duty_procedures: u16,
    pub(super) product_not_with: u16,
    pub(super) transport_costs_not_with: u16,
    pub(super) product_merchant: bool,
    pub(super) product_manufacturer: bool,
    pub(super) product_gtin: bool,
    /// By character.
    pub(super) codes: Vec<u8>,
    /// By kind, then sorted by `documents::type_key`.
    pub(super) document_types: [Vec<(u64, ReferenceCheck)>; 3],
    pub(super) closed_kinds: [bool; 3],
    countries: Vec<u8>,
    currencies: Vec<u8>,
    pub(super) ioss_countries: Vec<bool>,
    pub(super) special_territories: Vec<Place>,
    pub(super) sanctioned_regions: Vec<Place>,
    pub(super) hs: HsTable,
    pub(super) vague: Vague,
}

/// The days on which some edition begins, in order; the first is the first of all rule sets.
pub(super) fn boundaries(lists: &Lists) -> Vec<Day> {
    let mut days = Vec::new();
    fn of<T>(rows: &[Dated<T>], days: &mut Vec<Day>) {
        for row in rows {
            days.push(row.from);
            days.push(row.to.next());
        }
    }
    for set in &lists.rule_sets {
        days.push(set.from);
        days.push(set.to.next());
    }
    of(&lists.reasons, &mut days);
    of(&lists.procedures, &mut days);
    of(&lists.codes, &mut days);
    of(&lists.document_types, &mut days);
    of(&lists.countries, &mut days);
    of(&lists.member_states, &mut days);
    of(&lists.special_territories, &mut days);
    of(&lists.currencies, &mut days);
    of(&lists.ioss_countries, &mut days);
    of(&lists.sanctioned_countries, &mut days);
    of(&lists.sanctioned_regions, &mut days);
    of(&lists.detour_countries, &mut days);
    of(&lists.sanctions_goods, &mut days);
    of(&lists.restrictions, &mut days);
    of(&lists.stop_words, &mut days);
    of(&lists.keywords, &mut days);
    of(&lists.company_words, &mut days);
    of(&lists.file_extensions, &mut days);
    of(&lists.nomenclature, &mut days);
    let first = lists.rule_sets.first().map_or(Day::default(), |set| set.from);
    days.retain(|day| *day > first);
    days.push(first);
    days.sort_unstable();
    days.dedup();
    days
}

/// Place of a country in the table; `None` unless it is two upper-case letters.
#[inline]
fn country_place([a, b]: [u8; 2]) -> Option<usize> {
    let (a, b) = (a.wrapping_sub(b'A'), b.wrapping_sub(b'A'));
    (a < 26 && b < 26).then(|| usize::from(a) * 26 + usize::from(b))
}

#[inline]
fn currency_place(code: &str) -> Option<usize> {
    let [a, b, c]: [u8; 3] = code.as_bytes().try_into().ok()?;
    let (a, b, c) = (a.wrapping_sub(b'A'), b.wrapping_sub(b'A'), c.wrapping_sub(b'A'));
    let place = (usize::from(a) * 26 + usize::from(b)) * 26 + usize::from(c);
    (a < 26 && b < 26 && c < 26).then_some(place)
}

fn set_country(countries: &mut [u8], code: [u8; 2], flag: u8) {
    if let Some(country) = country_place(code).and_then(|place| countries.get_mut(place)) {
        *country |= flag;
    }
}

impl Edition {
    /// Compiles what holds on `day`, on which `set` is in force.
    pub(super) fn new(lists: &Lists, set: &RuleSet, day: Day) -> Self {
        let reasons = reasons(lists, set, day);
        let mut severities = [None; Reason::ALL.len()];
        for (severity, reason) in severities.iter_mut().zip(&reasons) {
            *severity = reason.severity;
        }
        let procedures = Procedures::new(lists, day);
        let tolerated = u128::from(set.threshold_cents)
            * u128::from(10_000 + set.tolerance_basis_points)
            / 10_000;
        Self {
            rule_set_from: set.from,
            reasons,
            severities,
            member_state: set.member_state,
            goods_items_max: set.goods_items_max,
            threshold_cents: set.threshold_cents,
            tolerated_cents: u64::try_from(tolerated).unwrap_or(u64::MAX),
            gift_threshold_cents: set.gift_threshold_cents,
            duty_cents: set.duty_cents,
            procedures_allowed: set.procedures_allowed.iter().map(|s| procedures.mask(s)).collect(),
            procedures_abolished: procedures.mask(&set.procedures_abolished),
            gift: procedures.meaning(Meaning::Gift),
            ioss: procedures.meaning(Meaning::Ioss),
            special_arrangements: procedures.meaning(Meaning::SpecialArrangements),
            duty_procedures: procedures.mask(&set.duty_procedures),
            product_not_with: procedures.mask(&set.product_not_with),
            transport_costs_not_with: procedures.mask(&set.transport_costs_not_with),
            procedures: procedures.into_table(),
            product_merchant: set.product_merchant,
            product_manufacturer: set.product_manufacturer,
            product_gtin: set.product_gtin,
            codes: codes(lists, set, day),
            document_types: document_types(lists, day),
            closed_kinds: DocumentKind::NAMES
                .map(|name| set.closed_kinds.iter().any(|closed| closed == name)),
            countries: countries(lists, day),
            currencies: currencies(lists, day),
            ioss_countries: {
                let mut listed = vec![false; 1_000];
                for number in holding(&lists.ioss_countries, day) {
                    if let Some(listed) = listed.get_mut(usize::from(*number)) {
                        *listed = true;
                    }
                }
                listed
            },
            special_territories: holding(&lists.special_territories, day).cloned().collect(),
            sanctioned_regions: holding(&lists.sanctioned_regions, day).cloned().collect(),
            hs: HsTable::new(lists, day),
            vague: Vague::new(lists, day),
        }
    }

    /// The flags of a country; `None` where the code is not two upper-case letters.
    #[inline]
    pub(super) fn country(&self, code: &str) -> Option<u8> {
        self.country_by_bytes(code.as_bytes().try_into().ok()?)
    }

    #[inline]
    pub(super) fn country_by_bytes(&self, code: [u8; 2]) -> Option<u8> {
        self.countries.get(country_place(code)?).copied()
    }

    /// The number of a currency that exists on the day, else [`NO_CURRENCY`].
    #[inline]
    pub(super) fn currency(&self, code: &str) -> u8 {
        currency_place(code)
            .and_then(|place| self.currencies.get(place))
            .copied()
            .unwrap_or(NO_CURRENCY)
    }

    /// Whether `code` is in a list of one-character codes.
    #[inline]
    pub(super) fn code_is(&self, code: u8, list: u8) -> bool {
        self.codes.get(usize::from(code)).is_some_and(|lists| lists & list != 0)
    }

    pub(super) fn reason(&self, reason: Reason) -> Option<&ReasonLaw> {
        self.reasons.get(reason as usize)
    }
}

fn reasons(lists: &Lists, set: &RuleSet, day: Day) -> Vec<ReasonLaw> {
    let threshold = super::money::show_hundredths(set.threshold_cents);
    let gift = super::money::show_hundredths(set.gift_threshold_cents);
    let state = String::from_utf8_lossy(&set.member_state);
    Reason::ALL
        .iter()
        .map(|reason| {
            let row = holding(&lists.reasons, day).find(|row| row.reason == *reason);
            // Every reason has a row for every day: checked on reading.
            row.map_or_else(
                || ReasonLaw {
                    severity: None,
                    element: None,
                    text: String::new(),
                    sentence: Sentence::default(),
                    legal_basis: String::new(),
                },
                |row| ReasonLaw {
                    severity: row.severity,
                    element: row.element,
                    text: row.text.clone(),
                    sentence: row.sentence.settled(&threshold, &gift, &state),
                    legal_basis: row.legal_basis.clone(),
                },
            )
        })
        .collect()
}

/// The codes of one day with their bits.
struct Procedures(Vec<([u8; 3], u16, Meaning)>);

impl Procedures {
    fn new(lists: &Lists, day: Day) -> Self {
        let mut next = 0;
        let rows = holding(&lists.procedures, day).filter_map(|(code, meaning)| {
            let code = code.as_bytes().try_into().ok()?;
            let bit = match meaning {
                Meaning::Ignored => 0,
                Meaning::Other => 1 << REGIME_CODES_MAX,
                _ => {
                    next += 1;
                    1 << (next - 1)
                }
            };
            Some((code, bit, *meaning))
        });
        Self(rows.collect())
    }

    fn mask(&self, codes: &[String]) -> u16 {
        codes.iter().fold(0, |mask, code| {
            let row = self.0.iter().find(|(known, ..)| known == code.as_bytes());
            mask | row.map_or(0, |(_, bit, _)| *bit)
        })
    }

    fn meaning(&self, meaning: Meaning) -> u16 {
        let rows = self.0.iter().filter(|(_, _, of)| *of == meaning);
        rows.fold(0, |mask, (_, bit, _)| mask | bit)
    }

    fn into_table(self) -> Vec<([u8; 3], u16)> {
        self.0.into_iter().map(|(code, bit, _)| (code, bit)).collect()
    }
}

fn codes(lists: &Lists, set: &RuleSet, day: Day) -> Vec<u8> {
    let mut codes = vec![0; 256];
    let mut add = |code: u8, flag| {
        if let Some(lists) = codes.get_mut(usize::from(code)) {
            *lists |= flag;
        }
    };
    for &(list, code) in holding(&lists.codes, day) {
        add(
            code,
            match list {
                CodeList::DeclarationType => DECLARATION_TYPE,
                CodeList::RepresentativeStatus => REPRESENTATIVE_STATUS,
                CodeList::LocationType => LOCATION_TYPE,
                CodeList::LocationQualifier => LOCATION_QUALIFIER,
            },
        );
    }
    for code in &set.previous_required_for {
        if let [code] = code.as_bytes() {
            add(*code, NEEDS_PREVIOUS_DOCUMENT);
        }
    }
    codes
}

fn document_types(lists: &Lists, day: Day) -> [Vec<(u64, ReferenceCheck)>; 3] {
    [DocumentKind::Transport, DocumentKind::Previous, DocumentKind::Supporting].map(|kind| {
        let rows = holding(&lists.document_types, day).filter(|row| row.kind == kind);
        let mut types: Vec<_> =
            rows.map(|row| (super::documents::type_key(&row.code), row.check)).collect();
        types.sort_unstable_by_key(|(code, _)| *code);
        types
    })
}

fn countries(lists: &Lists, day: Day) -> Vec<u8> {
    let mut countries = vec![0; 26 * 26];
    for code in holding(&lists.countries, day) {
        set_country(&mut countries, *code, LISTED);
    }
    for state in holding(&lists.member_states, day) {
        let union = if state.union_goods { UNION } else { 0 };
        let eori = if state.gives_eori { GIVES_EORI } else { 0 };
        set_country(&mut countries, state.country, union | eori);
    }
    for code in holding(&lists.detour_countries, day) {
        set_country(&mut countries, *code, DETOUR);
    }
    for (code, severity) in holding(&lists.sanctioned_countries, day) {
        let flag = if *severity == Severity::Reject { SANCTIONED } else { SANCTIONED_FLAG };
        set_country(&mut countries, *code, flag);
    }
    for place in holding(&lists.special_territories, day) {
        set_country(&mut countries, place.country, HAS_SPECIAL_TERRITORIES);
    }
    for place in holding(&lists.sanctioned_regions, day) {
        set_country(&mut countries, place.country, HAS_SANCTIONED_REGIONS);
    }
    countries
}

fn currencies(lists: &Lists, day: Day) -> Vec<u8> {
    let mut table = vec![NO_CURRENCY; 26 * 26 * 26];
    for code in holding(&lists.currencies, day) {
        let number = currency_number(lists, *code);
        let place = std::str::from_utf8(code).ok().and_then(currency_place);
        if let Some(entry) = place.and_then(|place| table.get_mut(place)) {
            *entry = number;
        }
    }
    table
}

/// The number of a currency, the same on every day.
pub(super) fn currency_number(lists: &Lists, code: [u8; 3]) -> u8 {
    if code == *b"EUR" {
        return EURO;
    }
    let place = lists.currencies.iter().position(|row| row.what == code);
    place
        .filter(|place| *place < CURRENCIES_MAX)
        .and_then(|place| u8::try_from(place + 2).ok())
        .unwrap_or(NO_CURRENCY)
}
