//! Everything that the files say, read and checked, not yet compiled for a day.
//!
//! Invariant: a [`Lists`] that was read without a problem can be compiled for every day on which
//! a rule set holds; nothing after this can find fault with the files.

use super::error::Problems;
use super::finding::{Element, Reason, Severity};
use super::money::Rate;
use super::rule_set::{self, RuleSet};
use super::sentence::Sentence;
use super::table::{Dated, Files, Row, no_overlap, read};
use super::words::SEPARATOR;
use crate::day::Day;
use crate::id::{Eori, is_eori};

/// The tables, in the order in which they are read. With the rule sets they are all files there are.
pub(super) const TABLES: [&str; 22] = [
    "codes.csv",
    "company_words.csv",
    "countries.csv",
    "currencies.csv",
    "document_types.csv",
    "file_extensions.csv",
    "hs_keywords.csv",
    "ioss_countries.csv",
    "ioss_denied.csv",
    "member_states.csv",
    "nomenclature.csv",
    "presenters.csv",
    "procedures.csv",
    "rates.csv",
    "reasons.csv",
    "restrictions.csv",
    "sanctioned_countries.csv",
    "sanctioned_regions.csv",
    "sanctions_detour_countries.csv",
    "sanctions_goods.csv",
    "special_territories.csv",
    "stop_words.csv",
];

/// Those of [`TABLES`] that are reference data; all other files are rules.
pub(super) const REFERENCE: [&str; 2] = ["nomenclature.csv", "rates.csv"];

/// How many different regime codes can be told apart: one bit of 16 each, the last one for all
/// codes that exist but not for H7.
pub(super) const REGIME_CODES_MAX: usize = 15;
/// How many currencies can be told apart, EUR included.
pub(super) const CURRENCIES_MAX: usize = 250;

#[derive(Debug, Clone)]
pub(super) struct ReasonRow {
    pub(super) reason: Reason,
    /// `None`: not tested.
    pub(super) severity: Option<Severity>,
    pub(super) element: Option<&'static str>,
    pub(super) text: String,
    pub(super) sentence: Sentence,
    pub(super) legal_basis: String,
}

/// What an additional procedure code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Relief,
    Gift,
    Ioss,
    SpecialArrangements,
    Standard,
    Ignored,
    Other,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum CodeList {
    DeclarationType,
    RepresentativeStatus,
    LocationType,
    LocationQualifier,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DocumentKind {
    Transport,
    Previous,
    Supporting,
}

impl DocumentKind {
    pub(super) const NAMES: [&'static str; 3] = ["transport", "previous", "supporting"];

    fn parse(text: &str) -> Option<Self> {
        match text {
            "transport" => Some(Self::Transport),
            "previous" => Some(Self::Previous),
            "supporting" => Some(Self::Supporting),
            _ => None,
        }
    }
}

/// Which check a document's reference must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReferenceCheck {
    None,
    Mrn,
    S10,
    Awb,
}

#[derive(Debug, Clone)]
pub(super) struct DocumentType {
    pub(super) kind: DocumentKind,
    pub(super) code: String,
    pub(super) check: ReferenceCheck,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct MemberState {
    pub(super) country: [u8; 2],
    pub(super) gives_eori: bool,
    pub(super) union_goods: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) country: [u8; 2],
    /// A postcode prefix without spaces, else a city.
    pub(super) is_postcode: bool,
    pub(super) value: String,
}

/// A range of HS sub-headings: `851` is 851000 to 851999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HsPrefix {
    /// How many digits were stated: the longer prefix decides.
    pub(super) digits: u8,
    pub(super) first: u32,
    pub(super) last: u32,
}

impl HsPrefix {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = u8::try_from(text.len()).ok().filter(|n| matches!(n, 2 | 4 | 6))?;
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let span = 10_u32.pow(6 - u32::from(digits));
        let first = text.parse::<u32>().ok()? * span;
        Some(Self { digits, first, last: first + span - 1 })
    }
}

#[derive(Debug, Clone)]
pub(super) struct Keywords {
    pub(super) phrases: Vec<String>,
    pub(super) headings: Vec<u16>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct RateRow {
    /// Months since the year 0.
    pub(super) month: u32,
    pub(super) currency: [u8; 3],
    pub(super) rate: Rate,
}

/// All files, read.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) rule_sets: Vec<RuleSet>,
    pub(super) reasons: Vec<Dated<ReasonRow>>,
    pub(super) procedures: Vec<Dated<(String, Meaning)>>,
    pub(super) codes: Vec<Dated<(CodeList, u8)>>,
    pub(super) document_types: Vec<Dated<DocumentType>>,
    pub(super) countries: Vec<Dated<[u8; 2]>>,
    pub(super) member_states: Vec<Dated<MemberState>>,
    pub(super) special_territories: Vec<Dated<Place>>,
    pub(super) currencies: Vec<Dated<[u8; 3]>>,
    pub(super) ioss_countries: Vec<Dated<u16>>,
    /// The ten digits after `IM`.
    pub(super) ioss_denied: Vec<Dated<u64>>,
    pub(super) presenters: Vec<Dated<Eori>>,
    pub(super) sanctioned_countries: Vec<Dated<([u8; 2], Severity)>>,
    pub(super) sanctioned_regions: Vec<Dated<Place>>,
    pub(super) detour_countries: Vec<Dated<[u8; 2]>>,
    pub(super) sanctions_goods: Vec<Dated<HsPrefix>>,
    pub(super) restrictions: Vec<Dated<(HsPrefix, Reason)>>,
    /// The term, and whether it is a connector.
    pub(super) stop_words: Vec<Dated<(String, bool)>>,
    pub(super) keywords: Vec<Dated<Keywords>>,
    pub(super) company_words: Vec<Dated<String>>,
    pub(super) file_extensions: Vec<Dated<String>>,
    pub(super) rates: Vec<RateRow>,
    pub(super) nomenclature: Vec<Dated<u32>>,
}

/// Months since the year 0.
pub(super) fn month_number(year: u16, month: u8) -> u32 {
    u32::from(year) * 12 + u32::from(month) - 1
}

/// `2026-11` for the month numbered so.
pub(super) fn show_month(month: u32) -> String {
    format!("{:04}-{:02}", month / 12, month % 12 + 1)
}

fn severity(text: &str) -> Option<Severity> {
    match text {
        "REJECT" => Some(Severity::Reject),
        "FLAG" => Some(Severity::Flag),
        _ => None,
    }
}

fn yes(text: &str) -> Option<bool> {
    match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// A word or words, at least one letter or digit.
fn term(row: &mut Row<'_>, column: &str) -> Option<String> {
    row.parse(column, "must contain a letter or digit", |text| {
        text.chars().any(char::is_alphanumeric).then(|| text.to_owned())
    })
}

impl Lists {
    /// Reads everything; what is wrong goes to `problems`.
    pub(super) fn read(files: &Files, problems: &mut Problems) -> Self {
        for file in files.keys().filter(|file| !is_known(file)) {
            problems.add(file, None, "", "", "no file of this name is known");
        }
        let p = problems;
        let mut lists = Self { rule_sets: rule_set::read(files, p), ..Self::default() };
        lists.read_codes(files, p);
        lists.read_countries(files, p);
        lists.read_words(files, p);
        lists.read_goods(files, p);
        lists.read_reference(files, p);
        lists.check_together(p);
        lists
    }

    fn read_codes(&mut self, files: &Files, p: &mut Problems) {
        let columns = [
            "reason",
            "severity",
            "data_element",
            "text",
            "sentence",
            "valid_from",
            "valid_to",
            "legal_ref",
        ];
        self.reasons = read(files, "reasons.csv", &columns, p, reason_row);
        let columns = ["code", "meaning", "name", "valid_from", "valid_to", "legal_ref"];
        self.procedures = read(files, "procedures.csv", &columns, p, |row| {
            let code = row.code::<3>("code")?;
            let meaning = row.parse(
                "meaning",
                "must be relief, gift, ioss, special_arrangements, standard, ignored or other",
                |text| match text {
                    "relief" => Some(Meaning::Relief),
                    "gift" => Some(Meaning::Gift),
                    "ioss" => Some(Meaning::Ioss),
                    "special_arrangements" => Some(Meaning::SpecialArrangements),
                    "standard" => Some(Meaning::Standard),
                    "ignored" => Some(Meaning::Ignored),
                    "other" => Some(Meaning::Other),
                    _ => None,
                },
            )?;
            Some((String::from_utf8_lossy(&code).into_owned(), meaning))
        });
        no_overlap("procedures.csv", &self.procedures, p, |(code, _)| code.clone());
        let columns = ["list", "code", "name", "valid_from", "valid_to", "legal_ref"];
        self.codes = read(files, "codes.csv", &columns, p, |row| {
            let list = row.parse(
                "list",
                "must be declaration_type, representative_status, location_type or \
                 location_qualifier",
                |text| match text {
                    "declaration_type" => Some(CodeList::DeclarationType),
                    "representative_status" => Some(CodeList::RepresentativeStatus),
                    "location_type" => Some(CodeList::LocationType),
                    "location_qualifier" => Some(CodeList::LocationQualifier),
                    _ => None,
                },
            )?;
            let [code] = row.code::<1>("code")?;
            Some((list, code))
        });
        let columns = ["kind", "code", "check", "name", "valid_from", "valid_to", "legal_ref"];
        self.document_types = read(files, "document_types.csv", &columns, p, |row| {
            let kind = row.parse(
                "kind",
                "must be transport, previous or supporting",
                DocumentKind::parse,
            )?;
            let code =
                row.parse("code", "must be 1 to 4 upper-case letters or digits", |text| {
                    super::documents::is_type(text).then(|| text.to_owned())
                })?;
            let check =
                row.parse("check", "must be mrn, s10, awb or empty", |text| match text {
                    "" => Some(ReferenceCheck::None),
                    "mrn" => Some(ReferenceCheck::Mrn),
                    "s10" => Some(ReferenceCheck::S10),
                    "awb" => Some(ReferenceCheck::Awb),
                    _ => None,
                })?;
            Some(DocumentType { kind, code, check })
        });
        no_overlap("document_types.csv", &self.document_types, p, |document| {
            format!("{:?} {}", document.kind, document.code)
        });
    }

    fn read_countries(&mut self, files: &Files, p: &mut Problems) {
        let columns = ["country", "name", "valid_from", "valid_to", "legal_ref"];
        self.countries = read(files, "countries.csv", &columns, p, |row| row.letters("country"));
        let columns =
            ["country", "name", "gives_eori", "union_goods", "valid_from", "valid_to", "legal_ref"];
        self.member_states = read(files, "member_states.csv", &columns, p, |row| {
            Some(MemberState {
                country: row.letters("country")?,
                gives_eori: row.parse("gives_eori", "must be yes or no", yes)?,
                union_goods: row.parse("union_goods", "must be yes or no", yes)?,
            })
        });
        let columns = ["country", "postcode_prefix", "name", "valid_from", "valid_to", "legal_ref"];
        self.special_territories = read(files, "special_territories.csv", &columns, p, |row| {
            let country = row.letters("country")?;
            Some(Place { country, is_postcode: true, value: row.stated("postcode_prefix")? })
        });
        let columns = ["country_number", "name", "valid_from", "valid_to", "legal_ref"];
        self.ioss_countries = read(files, "ioss_countries.csv", &columns, p, |row| {
            row.parse("country_number", "must be three digits", |text| {
                let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
                if digits { text.parse().ok() } else { None }
            })
        });
        let columns = ["ioss_number", "valid_from", "valid_to", "legal_ref"];
        self.ioss_denied = read(files, "ioss_denied.csv", &columns, p, |row| {
            row.parse("ioss_number", "must be IM and ten digits", super::ioss::digits)
        });
        let columns = ["eori", "name", "valid_from", "valid_to", "legal_ref"];
        self.presenters = read(files, "presenters.csv", &columns, p, |row| {
            row.parse("eori", "must be an EORI", |text| {
                if is_eori(text) { Eori::parse(text) } else { None }
            })
        });
        let columns = ["country", "severity", "valid_from", "valid_to", "legal_ref"];
        self.sanctioned_countries = read(files, "sanctioned_countries.csv", &columns, p, |row| {
            let country = row.letters("country")?;
            Some((country, row.parse("severity", "must be REJECT or FLAG", severity)?))
        });
        let columns = ["country", "kind", "value", "valid_from", "valid_to", "legal_ref"];
        self.sanctioned_regions = read(files, "sanctioned_regions.csv", &columns, p, |row| {
            let country = row.letters("country")?;
            let is_postcode =
                row.parse("kind", "must be postcode_prefix or city", |text| match text {
                    "postcode_prefix" => Some(true),
                    "city" => Some(false),
                    _ => None,
                })?;
            Some(Place { country, is_postcode, value: row.stated("value")? })
        });
        let columns = ["country", "valid_from", "valid_to", "legal_ref"];
        self.detour_countries = read(files, "sanctions_detour_countries.csv", &columns, p, |row| {
            row.letters("country")
        });
        no_overlap("sanctioned_countries.csv", &self.sanctioned_countries, p, |(country, _)| {
            String::from_utf8_lossy(country).into_owned()
        });
        no_overlap("member_states.csv", &self.member_states, p, |state| {
            String::from_utf8_lossy(&state.country).into_owned()
        });
    }

    fn read_words(&mut self, files: &Files, p: &mut Problems) {
        let columns = ["term", "kind", "valid_from", "valid_to", "legal_ref"];
        self.stop_words = read(files, "stop_words.csv", &columns, p, |row| {
            let connector = row.parse("kind", "must be term or connector", |text| match text {
                "term" => Some(false),
                "connector" => Some(true),
                _ => None,
            })?;
            Some((term(row, "term")?, connector))
        });
        let columns = ["keywords", "headings", "valid_from", "valid_to", "legal_ref"];
        self.keywords = read(files, "hs_keywords.csv", &columns, p, |row| {
            let phrases = term(row, "keywords")?;
            let headings = row.parse("headings", "must be HS headings of four digits", |text| {
                let heading = |word: &str| (word.len() == 4).then(|| word.parse().ok()).flatten();
                text.split_whitespace().map(heading).collect::<Option<Vec<u16>>>()
            })?;
            let phrases = phrases.split(SEPARATOR).map(str::to_owned).collect();
            Some(Keywords { phrases, headings })
        });
        let columns = ["term", "valid_from", "valid_to", "legal_ref"];
        self.company_words = read(files, "company_words.csv", &columns, p, |row| term(row, "term"));
        let columns = ["extension", "valid_from", "valid_to", "legal_ref"];
        self.file_extensions = read(files, "file_extensions.csv", &columns, p, |row| {
            Some(term(row, "extension")?.to_ascii_lowercase())
        });
    }

    fn read_goods(&mut self, files: &Files, p: &mut Problems) {
        const PREFIX: &str = "must be 2, 4 or 6 digits";
        let columns = ["hs_prefix", "reason", "goods", "valid_from", "valid_to", "legal_ref"];
        self.restrictions = read(files, "restrictions.csv", &columns, p, |row| {
            let prefix = row.parse("hs_prefix", PREFIX, HsPrefix::parse)?;
            let reason = row.parse(
                "reason",
                "must be EXCISE_GOODS_NOT_ALLOWED, GOODS_RESTRICTED or GOODS_RESTRICTION_POSSIBLE",
                |text| Reason::parse(text).filter(|reason| super::hs::restriction(*reason) != 0),
            )?;
            Some((prefix, reason))
        });
        no_overlap("restrictions.csv", &self.restrictions, p, |(prefix, _)| {
            format!("{}/{}", prefix.first, prefix.digits)
        });
        let columns = ["hs_prefix", "valid_from", "valid_to", "legal_ref"];
        self.sanctions_goods = read(files, "sanctions_goods.csv", &columns, p, |row| {
            row.parse("hs_prefix", PREFIX, HsPrefix::parse)
        });
    }

    fn read_reference(&mut self, files: &Files, p: &mut Problems) {
        let columns = ["currency", "minor_units", "valid_from", "valid_to", "legal_ref"];
        self.currencies = read(files, "currencies.csv", &columns, p, |row| {
            row.parse("minor_units", "must be 0 to 4", |text| {
                text.parse::<u8>().ok().filter(|units| *units <= 4)
            })?;
            row.letters("currency")
        });
        let columns = ["currency", "per_eur", "fixed_on", "valid_from", "valid_to", "legal_ref"];
        let rates = read(files, "rates.csv", &columns, p, |row| {
            Some(RateRow {
                month: whole_month(row)?,
                currency: row.letters("currency")?,
                rate: row.parse(
                    "per_eur",
                    "must be above 0, with at most 9 decimals and 15 digits",
                    Rate::parse,
                )?,
            })
        });
        no_overlap("rates.csv", &rates, p, |row| {
            String::from_utf8_lossy(&row.currency).into_owned()
        });
        for row in &rates {
            let known = self.currencies.iter().any(|listed| listed.what == row.what.currency);
            if !known || row.what.currency == *b"EUR" {
                let currency = String::from_utf8_lossy(&row.what.currency);
                let bound = "must be in currencies.csv, and not EUR";
                p.add("rates.csv", Some(row.line), "currency", &currency, bound);
            }
        }
        self.rates = rates.into_iter().map(|row| row.what).collect();
        let columns = ["hs6", "valid_from", "valid_to", "legal_ref"];
        self.nomenclature = read(files, "nomenclature.csv", &columns, p, |row| {
            row.parse("hs6", "must be six digits", |text| {
                HsPrefix::parse(text).filter(|prefix| prefix.digits == 6).map(|prefix| prefix.first)
            })
        });
    }

    /// What only all files together can show.
    fn check_together(&self, p: &mut Problems) {
        let Some(first) = self.rule_sets.first().map(|set| set.from) else { return };
        for &reason in Reason::ALL {
            let rows = self.reasons.iter().filter(|row| row.what.reason == reason);
            let mut spans: Vec<(Day, Day)> = rows.map(|row| (row.from, row.to)).collect();
            spans.sort_unstable();
            let mut open = Some(first);
            for (from, to) in spans {
                if open.is_some_and(|day| from <= day && day <= to) {
                    open = (to.0 < u16::MAX).then(|| to.next());
                }
            }
            if let Some(day) = open {
                let bound = format!("must have a row for every day from {first}; {day} has none");
                p.add("reasons.csv", None, "reason", reason.name(), bound);
            }
        }
        no_overlap("reasons.csv", &self.reasons, p, |row| row.reason.name().to_owned());
        for set in &self.rule_sets {
            for (key, code) in set.codes() {
                let known = self.procedures.iter().any(|row| {
                    row.what.0 == *code && row.what.1 != Meaning::Ignored && row.holds(set.from)
                });
                if !known {
                    p.add(&set.file, None, key, code, "must be a code in procedures.csv");
                }
            }
            let state = set.member_state;
            if !self
                .member_states
                .iter()
                .any(|row| row.what.country == state && row.holds(set.from))
            {
                let state = String::from_utf8_lossy(&state);
                let bound = "must be in member_states.csv on the first day";
                p.add(&set.file, None, "member_state.code", &state, bound);
            }
        }
        let own_bit = |meaning| !matches!(meaning, Meaning::Ignored | Meaning::Other);
        let mut regimes = self.procedures.iter().filter(|row| own_bit(row.what.1));
        if let Some(row) = regimes.nth(REGIME_CODES_MAX) {
            let bound = format!("at most {REGIME_CODES_MAX} rows may be neither ignored nor other");
            p.add("procedures.csv", Some(row.line), "code", &row.what.0, bound);
        }
        if let Some(row) = self.currencies.get(CURRENCIES_MAX) {
            let bound = format!("there may be at most {CURRENCIES_MAX} rows");
            p.add("currencies.csv", Some(row.line), "", "", bound);
        }
    }
}

/// The number of the one calendar month in which the row holds: a customs rate is fixed for a whole
/// month (Art. 146 UCC-IA). Days that are none, or in the wrong order, are told by the reader of
/// all rows.
fn whole_month(row: &mut Row<'_>) -> Option<u32> {
    let from = Day::parse(row.text("valid_from"))?;
    let to = row.text("valid_to");
    let to = if to.is_empty() { Day(u16::MAX) } else { Day::parse(to).filter(|to| from <= *to)? };
    let (year, month, first) = from.year_month_day();
    if first != 1 {
        row.fault("valid_from", "must be the first day of a calendar month");
        return None;
    }
    let (last_year, last_month, _) = to.year_month_day();
    if (last_year, last_month) != (year, month) || to.next().year_month_day().2 != 1 {
        row.fault("valid_to", "must be the last day of the calendar month that valid_from begins");
        return None;
    }
    Some(month_number(year, month))
}

fn reason_row(row: &mut Row<'_>) -> Option<ReasonRow> {
    let reason = row.parse("reason", "is no reason of this version", Reason::parse)?;
    let severity = row.parse("severity", "must be REJECT, FLAG or OFF", |text| match text {
        "OFF" => Some(None),
        _ => severity(text).map(Some),
    })?;
    // What follows rests on these: a declaration without a usable form cannot be kept, and an LRN
    // is accepted once.
    let fixed =
        matches!(reason, Reason::FieldMissing | Reason::FieldFormat | Reason::LrnContentConflict);
    if fixed && severity != Some(Severity::Reject) {
        row.fault("severity", "must be REJECT for this reason");
    }
    let element = row.parse("data_element", "must be a data element, or empty", |text| {
        if text.is_empty() { Some(None) } else { Element::by_number(text).map(Some) }
    })?;
    let text = row.stated("text")?;
    let sentence = row.stated("sentence")?;
    let sentence = match Sentence::parse(&sentence) {
        Ok(sentence) => sentence,
        Err(bound) => {
            row.fault("sentence", bound);
            return None;
        }
    };
    let legal_basis = row.stated("legal_ref")?;
    Some(ReasonRow {
        reason,
        severity,
        element: element.map(Element::number),
        text,
        sentence,
        legal_basis,
    })
}

/// Whether `file` is one that the rules know.
pub(super) fn is_known(file: &str) -> bool {
    TABLES.contains(&file) || file.starts_with(rule_set::FOLDER)
}
