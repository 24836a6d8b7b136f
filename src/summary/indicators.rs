//! Indicators: what is worked out from the counters when a summary is read.
//!
//! [`TABLE`] has them all: what each counts, out of what, and where it comes from. The same texts go to
//! whoever reads a figure, so that nobody has to guess what is behind it.
//!
//! What a declarant states is counted over accepted declarations, since a rejected one comes again
//! corrected; what the rules object to over judged ones (accepted, rejected, conflict), since much
//! of it rejects. Replays are in no denominator but that of I-04 and I-05. I-01 by reason is in the
//! summary's reasons. Where there is nothing to divide by, there is no such indicator: a rate of
//! nothing says nothing, and no rate is not a rate of 0. (So there is none of codes, descriptions and origins over days
//! that were folded before these were counted.) All are signals for a conversation, not verdicts.

use crate::rules::finding::Reason;
use crate::statistics::wilson_95;
use crate::summary::{Counters, late};

/// One indicator with its formula's inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Indicator {
    /// As `rejection_rate`.
    pub name: String,
    /// What is counted.
    pub numerator: u64,
    /// Out of what; above 0.
    pub denominator: u64,
    /// Numerator over denominator.
    pub value: f64,
    /// 95 % Wilson score interval; `None` where it is no proportion.
    pub interval: Option<(f64, f64)>,
}

/// What an indicator counts, in words.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// As `rejection_rate`.
    pub name: &'static str,
    /// For a heading.
    pub title: &'static str,
    /// What is counted.
    pub numerator: &'static str,
    /// Out of what.
    pub denominator: &'static str,
    /// How the value follows from the two.
    pub formula: &'static str,
    /// Its number in the catalogue of indicators (DOMAIN 5).
    pub source: &'static str,
    /// Where it begins to be worth a conversation: a starting value of the catalogue, compared with the
    /// interval's lower end, or with a ratio over 500 consignments or more (a quarter of the numerator, and the denominator).
    pub notable_above: Option<f64>,
    /// A share from 0 to 1, with an interval; otherwise a ratio without one.
    pub is_proportion: bool,
}

struct Row {
    description: Description,
    of: fn(&Counters) -> (u64, u64),
}

/// A row: name, title, source, from where on it is notable; numerator; denominator; both from the counters.
macro_rules! share {
    ($name:literal, $title:literal, $source:literal, $notable_above:expr, $numerator:literal, $denominator:literal, $of:expr) => {
        Row {
            description: Description {
                name: $name,
                title: $title,
                numerator: $numerator,
                denominator: $denominator,
                formula: "numerator / denominator",
                source: $source,
                notable_above: $notable_above,
                is_proportion: true,
            },
            of: $of,
        }
    };
}

/// By HS chapter too, under its name, a colon and the chapter.
const BY_CHAPTER: &str = "restricted_goods_rate";

/// All indicators, in the order in which summaries have them.
static TABLE: [Row; 22] = [
    share!(
        "rejection_rate",
        "Rejection rate",
        "I-01",
        Some(0.02),
        "Lines of rejected declarations",
        "Lines of judged declarations",
        |c| (c.rejected_lines, c.judged_lines())
    ),
    share!(
        "replay_rate",
        "Replay rate",
        "I-04",
        Some(0.01),
        "Replays",
        "Declarations received, replays included",
        |c| (c.replayed, c.received())
    ),
    share!(
        "conflict_rate",
        "Conflict rate",
        "I-05",
        Some(0.000_1),
        "Conflicts: other content under an accepted LRN",
        "Declarations received, replays included",
        |c| (c.conflicts, c.received())
    ),
    share!(
        "fallback_within_24h_rate",
        "Fallback lodgements within 24 hours",
        "I-06, emergency procedure",
        None,
        "Judged declarations that arrived at most 24 hours after their fallback lodgement",
        "Judged declarations with a moment of fallback lodgement, not after their arrival",
        within_24h
    ),
    Row {
        description: Description {
            name: "threshold_bunching",
            title: "Bunching below EUR 150",
            numerator: "4 x accepted declarations in (145, 150] EUR",
            denominator: "Accepted declarations in (125, 145] EUR",
            formula: "n(145, 150] / (n(125, 145] / 4): about 1 where values do not bunch below the threshold",
            source: "I-07",
            notable_above: Some(1.5),
            is_proportion: false,
        },
        of: bunching,
    },
    share!(
        "round_price_rate",
        "Round prices",
        "I-09, own share",
        None,
        "Accepted lines whose amount is whole in the invoice currency",
        "Accepted lines",
        |c| (c.round_lines, c.accepted_lines)
    ),
    share!(
        "value_below_eur_1_rate",
        "Nominal values: below EUR 1",
        "I-11",
        Some(0.05),
        "Accepted lines below EUR 1",
        "Accepted lines with a value in euro",
        |c| (c.below_eur_1_lines, c.valued_lines)
    ),
    share!(
        "value_below_eur_5_per_kg_rate",
        "Nominal values: below EUR 5 a kilogram",
        "I-11",
        Some(0.05),
        "Accepted lines below EUR 5 a kilogram",
        "Accepted lines with a value in euro",
        |c| (c.below_eur_5_per_kg_lines, c.valued_lines)
    ),
    Row {
        description: Description {
            name: "hs6_per_consignment",
            title: "HS codes per consignment",
            numerator: "Different HS codes of each accepted declaration, added up",
            denominator: "Accepted declarations with an HS code",
            formula: "numerator / denominator",
            source: "I-12",
            notable_above: None,
            is_proportion: false,
        },
        of: |c| (c.distinct_hs6, c.hs6_declarations),
    },
    share!(
        "several_goods_rate",
        "Several goods in one description",
        "I-12",
        None,
        "Accepted lines whose description has a comma, a plus sign or \"and\" between spaces",
        "Accepted lines with a description",
        |c| (c.several_goods_lines, c.described_lines)
    ),
    share!(
        "vague_description_rate",
        "Vague descriptions",
        "I-13",
        Some(0.01),
        "Judged lines with DESCRIPTION_STOP_WORD or DESCRIPTION_FORMAT",
        "Judged lines",
        |c| (c.vague_lines, c.judged_lines())
    ),
    share!(
        "hs_mismatch_rate",
        "Description does not fit the HS code",
        "I-14",
        Some(0.03),
        "Judged lines with HS_DESCRIPTION_MISMATCH",
        "Judged lines",
        |c| (c.mismatch_lines, c.judged_lines())
    ),
    share!(
        "other_hs_code_rate",
        "HS codes of other goods",
        "I-15",
        None,
        "Accepted lines whose HS code ends in 90 or 99",
        "Accepted lines with an HS code",
        |c| (c.other_hs6_lines, c.hs6_lines)
    ),
    share!(
        "ioss_number_hit_rate",
        "IOSS number malformed or denied",
        "I-21",
        Some(0.0),
        "F48 lines of judged declarations with IOSS_NUMBER_MALFORMED or IOSS_NUMBER_DENIED",
        "F48 lines of judged declarations",
        |c| (c.ioss_hit_lines, c.f48_lines)
    ),
    share!(
        "origin_differs_rate",
        "Origin is not the country of dispatch",
        "I-23",
        None,
        "Accepted lines that originate in another country than the exporter's",
        "Accepted lines with a country of origin",
        |c| (c.origin_differs_lines, c.origin_lines)
    ),
    share!(
        "dispatch_from_eu_rate",
        "Dispatched from within the EU",
        "I-23",
        None,
        "Judged declarations with DISPATCH_FROM_EU",
        "Judged declarations",
        |c| (declarations(c, Reason::DispatchFromEu), c.judged())
    ),
    share!(
        "sanctions_detour_rate",
        "Detour of sanctioned goods",
        "I-23",
        None,
        "Judged declarations with SANCTIONS_DETOUR",
        "Judged declarations",
        |c| (declarations(c, Reason::SanctionsDetour), c.judged())
    ),
    share!(
        "sanctioned_country_rate",
        "Sanctioned country",
        "I-23",
        None,
        "Judged declarations with SANCTIONED_COUNTRY",
        "Judged declarations",
        |c| (declarations(c, Reason::SanctionedCountry), c.judged())
    ),
    share!(
        "restricted_goods_rate",
        "Prohibited or restricted goods",
        "I-24",
        Some(0.001),
        "Judged lines with GOODS_RESTRICTED or GOODS_RESTRICTION_POSSIBLE",
        "Judged lines",
        |c| (c.restricted_lines, c.judged_lines())
    ),
    share!(
        "gift_rate",
        "Gifts",
        "I-25, share of C08",
        None,
        "Accepted declarations with a line under C08",
        "Accepted declarations",
        |c| (c.gifts, c.accepted)
    ),
    share!(
        "implausible_mass_rate",
        "Implausible mass",
        "I-27, within a declaration",
        Some(0.02),
        "Accepted lines of at most 0.001 kg, of the mass of the line before, or above 31.5 kg a package",
        "Accepted lines",
        |c| (c.implausible_mass_lines, c.accepted_lines)
    ),
    share!(
        "zero_transport_cost_rate",
        "No transport costs",
        "I-28",
        Some(0.1),
        "Accepted declarations without F48 whose transport costs are missing or 0",
        "Accepted declarations without F48",
        |c| (c.non_ioss_free_transport, c.non_ioss)
    ),
];

/// What all indicators count, in the order in which summaries have them.
pub fn descriptions() -> impl Iterator<Item = &'static Description> {
    TABLE.iter().map(|row| &row.description)
}

/// Whether there is an indicator of this name, that of an HS chapter included.
#[must_use]
pub fn is_indicator(name: &str) -> bool {
    Measure::named(name).is_some()
}

/// Whether there is an indicator of this name that is a proportion.
#[must_use]
pub fn is_proportion(name: &str) -> bool {
    Measure::proportion(name).is_some()
}

/// Numerator and denominator of the proportion `name`, also where there is nothing to divide by. All are sums over
/// declarations, so that those of several days are the sums of those of each.
#[must_use]
pub fn proportion_inputs(counters: &Counters, name: &str) -> (u64, u64) {
    Measure::proportion(name).map_or((0, 0), |measure| measure.parts(counters))
}

/// One indicator, still to be worked out of somebody's counters.
#[derive(Clone, Copy)]
pub(crate) struct Measure {
    row: &'static Row,
    chapter: Option<u8>,
}

impl Measure {
    /// That of this name: one of the table, or `restricted_goods_rate:61`, of an HS chapter from 01 to 99.
    fn named(name: &str) -> Option<Self> {
        let (name, chapter) = match name.split_once(':') {
            Some((BY_CHAPTER, chapter)) => (BY_CHAPTER, Some(chapter_number(chapter)?)),
            Some(_) => return None,
            None => (name, None),
        };
        let row = TABLE.iter().find(|row| row.description.name == name)?;
        Some(Self { row, chapter })
    }

    fn proportion(name: &str) -> Option<Self> {
        Self::named(name).filter(|measure| measure.row.description.is_proportion)
    }

    /// Those that `counters` may have: all of the table, and of the chapters those with any lines.
    pub(crate) fn all_of(counters: &Counters) -> Vec<Self> {
        let mut all = Vec::with_capacity(TABLE.len() + counters.restricted_chapters().len());
        for row in &TABLE {
            all.push(Self { row, chapter: None });
            if row.description.name == BY_CHAPTER {
                let chapters = counters.restricted_chapters().iter();
                all.extend(chapters.map(|(chapter, _)| Self { row, chapter: Some(*chapter) }));
            }
        }
        all
    }

    pub(crate) fn name(&self) -> String {
        let name = self.row.description.name;
        self.chapter.map_or(name.to_owned(), |chapter| format!("{name}:{chapter:02}"))
    }

    /// Numerator and denominator.
    pub(crate) fn parts(&self, counters: &Counters) -> (u64, u64) {
        let (all, denominator) = (self.row.of)(counters);
        let Some(wanted) = self.chapter else { return (all, denominator) };
        let chapters = counters.restricted_chapters();
        let of_chapter = chapters.iter().find(|(chapter, _)| *chapter == wanted);
        (of_chapter.map_or(0, |(_, lines)| *lines), denominator)
    }

    /// `None` where there is nothing to divide by.
    pub(crate) fn indicator(&self, counters: &Counters) -> Option<Indicator> {
        let (numerator, denominator) = self.parts(counters);
        if denominator == 0 {
            return None;
        }
        let value = numerator as f64 / denominator as f64;
        let interval = wilson_95(numerator, denominator);
        let interval = interval.filter(|_| self.row.description.is_proportion);
        Some(Indicator { name: self.name(), numerator, denominator, value, interval })
    }
}

fn chapter_number(text: &str) -> Option<u8> {
    let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number != 0)
}

/// The indicators of the table, in its order: those that have a denominator, and of the
/// chapters those that have any lines.
#[must_use]
pub fn indicators(counters: &Counters) -> Vec<Indicator> {
    Measure::all_of(counters).iter().filter_map(|measure| measure.indicator(counters)).collect()
}

/// I-06: fallback lodgements that were not late, and all of them.
fn within_24h(counters: &Counters) -> (u64, u64) {
    let all = counters.delays.into_iter().fold(0, u64::saturating_add);
    (all.saturating_sub(late(&counters.delays)), all)
}

/// Judged declarations with `reason`.
fn declarations(counters: &Counters, reason: Reason) -> u64 {
    let reasons = counters.reasons().iter();
    reasons.filter(|count| count.reason == reason).map(|count| count.declarations).sum()
}

/// I-07: 4 × n(145, 150] and n(125, 145], so that their quotient is about 1 where values do not
/// bunch below the threshold.
fn bunching(counters: &Counters) -> (u64, u64) {
    let [.., a, b, c, d, bunched, _above] = counters.value_histogram;
    let before = [a, b, c, d].into_iter().fold(0, u64::saturating_add);
    (bunched.saturating_mul(4), before)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn close(found: f64, expected: f64, within: f64) -> bool {
        (found - expected).abs() < within
    }

    #[test]
    fn each_indicator_divides_what_its_row_says() {
        let mut counters = Counters {
            accepted: 10,
            accepted_lines: 20,
            valued_lines: 19,
            round_lines: 1,
            below_eur_1_lines: 2,
            below_eur_5_per_kg_lines: 3,
            implausible_mass_lines: 4,
            gifts: 5,
            non_ioss: 6,
            non_ioss_free_transport: 2,
            f48_lines: 12,
            ioss_hit_lines: 7,
            vague_lines: 8,
            mismatch_lines: 9,
            restricted_lines: 10,
            chapters: vec![(9, 3), (61, 7)],
            rejected: 3,
            rejected_lines: 11,
            replayed: 40,
            conflicts: 2,
            conflict_lines: 5,
            hs6_declarations: 9,
            distinct_hs6: 12,
            hs6_lines: 18,
            other_hs6_lines: 6,
            described_lines: 17,
            several_goods_lines: 4,
            origin_lines: 16,
            origin_differs_lines: 5,
            delays: [1, 2, 3, 1, 1, 1],
            ..Counters::default()
        };
        for (reason, declarations) in [
            (Reason::DispatchFromEu, 3),
            (Reason::SanctionsDetour, 2),
            (Reason::SanctionedCountry, 1),
        ] {
            counters.add_reason(reason, declarations, 2 * declarations);
        }
        for (bucket, count) in [(24, 100), (25, 1), (26, 2), (27, 3), (28, 4), (29, 5), (30, 50)] {
            counters.value_histogram[bucket] = count;
        }
        let found: Vec<_> = indicators(&counters)
            .into_iter()
            .map(|i| (i.name, i.numerator, i.denominator, i.interval.is_some()))
            .collect();
        let expected = [
            ("rejection_rate", 11, 36, true),
            ("replay_rate", 40, 55, true),
            ("conflict_rate", 2, 55, true),
            ("fallback_within_24h_rate", 6, 9, true),
            ("threshold_bunching", 20, 10, false),
            ("round_price_rate", 1, 20, true),
            ("value_below_eur_1_rate", 2, 19, true),
            ("value_below_eur_5_per_kg_rate", 3, 19, true),
            ("hs6_per_consignment", 12, 9, false),
            ("several_goods_rate", 4, 17, true),
            ("vague_description_rate", 8, 36, true),
            ("hs_mismatch_rate", 9, 36, true),
            ("other_hs_code_rate", 6, 18, true),
            ("ioss_number_hit_rate", 7, 12, true),
            ("origin_differs_rate", 5, 16, true),
            ("dispatch_from_eu_rate", 3, 15, true),
            ("sanctions_detour_rate", 2, 15, true),
            ("sanctioned_country_rate", 1, 15, true),
            ("restricted_goods_rate", 10, 36, true),
            ("restricted_goods_rate:09", 3, 36, true),
            ("restricted_goods_rate:61", 7, 36, true),
            ("gift_rate", 5, 10, true),
            ("implausible_mass_rate", 4, 20, true),
            ("zero_transport_cost_rate", 2, 6, true),
        ];
        let expected: Vec<_> =
            expected.map(|(name, k, n, interval)| (name.to_owned(), k, n, interval)).into();
        assert_eq!(found, expected);
        for (name, k, n, is_proportion) in &found {
            assert_eq!(super::is_proportion(name), *is_proportion, "{name}");
            if *is_proportion {
                assert_eq!(proportion_inputs(&counters, name), (*k, *n), "{name}");
            }
        }
        // No line of the chapter is a 0 of all that were judged; nothing judged is nothing.
        assert_eq!(proportion_inputs(&counters, "restricted_goods_rate:62"), (0, 36));
        assert_eq!(proportion_inputs(&Counters::default(), "restricted_goods_rate:62"), (0, 0));
        assert_eq!(proportion_inputs(&Counters::default(), "gift_rate"), (0, 0));
        for other in ["", "rejections", "restricted_goods_rate:", "restricted_goods_rate:00"] {
            assert!(!super::is_proportion(other), "{other}");
        }
        let bunching = &indicators(&counters)[4];
        assert!(close(bunching.value, 2.0, 1e-12));
    }

    #[test]
    fn every_indicator_is_described_and_known_by_name() {
        let described: Vec<_> = descriptions().collect();
        let mut names: Vec<_> = described.iter().map(|it| it.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), described.len());
        for it in described {
            assert!(is_indicator(it.name), "{}", it.name);
            let texts = [it.title, it.numerator, it.denominator, it.formula];
            assert!(texts.iter().all(|text| text.len() > 4), "{it:?}");
            assert!(it.source.starts_with("I-"), "{it:?}");
        }
        assert!(is_indicator("restricted_goods_rate:61"));
        for wrong in [
            "",
            "rejection_rat",
            "gift_rate:61",
            "restricted_goods_rate:6",
            "restricted_goods_rate:",
            "restricted_goods_rate:00",
            "restricted_goods_rate:+1",
        ] {
            assert!(!is_indicator(wrong), "{wrong}");
        }
    }

    #[test]
    fn where_there_is_nothing_to_divide_by_there_is_no_indicator() {
        assert_eq!(indicators(&Counters::default()), []);
        let names = |counters: &Counters| -> Vec<String> {
            indicators(counters).into_iter().map(|indicator| indicator.name).collect()
        };
        // 20 consignments just below the threshold and none before it: not a bunching of 0.
        let mut bunched = Counters { accepted: 20, accepted_lines: 20, ..Counters::default() };
        bunched.value_histogram[29] = 20;
        let found = names(&bunched);
        assert!(!found.iter().any(|name| name == "threshold_bunching"), "{found:?}");
        bunched.value_histogram[28] = 1;
        assert!(names(&bunched).iter().any(|name| name == "threshold_bunching"));
        // Replays have a rate of their own, and of nothing else.
        let replays = Counters { replayed: 4, ..Counters::default() };
        assert_eq!(names(&replays), ["replay_rate", "conflict_rate"]);
    }
}
