//! Indicators: what is worked out from the counters when a summary is read.
//!
//! | name | DOMAIN 5 | numerator | denominator | interval |
//! |---|---|---|---|---|
//! | `rejection_rate` | I-01 | lines of rejected declarations | lines of judged declarations | Wilson |
//! | `replay_rate` | I-04 | replays | declarations received, replays included | Wilson |
//! | `conflict_rate` | I-05 | conflicts | declarations received, replays included | Wilson |
//! | `fallback_within_24h_rate` | I-06, emergency procedure | judged declarations that arrived at most 24 hours after their fallback lodgement | judged declarations with a moment of fallback lodgement, not after their arrival | Wilson |
//! | `threshold_bunching` | I-07 | 4 × accepted declarations in (145, 150] EUR | those in (125, 145] EUR | none: no proportion |
//! | `round_price_rate` | I-09, own share | accepted lines whose amount is whole in the invoice currency | accepted lines | Wilson |
//! | `value_below_eur_1_rate` | I-11 | accepted lines below EUR 1 | accepted lines with a value in euro | Wilson |
//! | `value_below_eur_5_per_kg_rate` | I-11 | accepted lines below EUR 5 a kilogram | accepted lines with a value in euro | Wilson |
//! | `hs6_per_consignment` | I-12 | different HS codes of each accepted declaration, added up | accepted declarations with an HS code | none: no proportion |
//! | `several_goods_rate` | I-12 | accepted lines whose description has a comma, a plus sign or "and" between spaces | accepted lines with a description | Wilson |
//! | `vague_description_rate` | I-13 | judged lines with DESCRIPTION_STOP_WORD or DESCRIPTION_FORMAT | judged lines | Wilson |
//! | `hs_mismatch_rate` | I-14 | judged lines with HS_DESCRIPTION_MISMATCH | judged lines | Wilson |
//! | `other_hs_code_rate` | I-15 | accepted lines whose HS code ends in 90 or 99 | accepted lines with an HS code | Wilson |
//! | `ioss_number_hit_rate` | I-21 | F48 lines of judged declarations with IOSS_NUMBER_MALFORMED or IOSS_NUMBER_DENIED | F48 lines of judged declarations | Wilson |
//! | `origin_differs_rate` | I-23 | accepted lines that originate in another country than the exporter's | accepted lines with a country of origin | Wilson |
//! | `dispatch_from_eu_rate` | I-23 | judged declarations with DISPATCH_FROM_EU | judged declarations | Wilson |
//! | `sanctions_detour_rate` | I-23 | judged declarations with SANCTIONS_DETOUR | judged declarations | Wilson |
//! | `sanctioned_country_rate` | I-23 | judged declarations with SANCTIONED_COUNTRY | judged declarations | Wilson |
//! | `restricted_goods_rate` | I-24 | judged lines with GOODS_RESTRICTED or GOODS_RESTRICTION_POSSIBLE | judged lines | Wilson |
//! | `restricted_goods_rate:61` | I-24, by HS chapter | judged lines of the chapter with such a finding | judged lines | Wilson |
//! | `gift_rate` | I-25, share of C08 | accepted declarations with a line under C08 | accepted declarations | Wilson |
//! | `implausible_mass_rate` | I-27, within a declaration | accepted lines of at most 0.001 kg, of the mass of the line before, or above 31.5 kg a package | accepted lines | Wilson |
//! | `zero_transport_cost_rate` | I-28 | accepted declarations without F48 whose transport costs are missing or 0 | accepted declarations without F48 | Wilson |
//!
//! What a declarant states is counted over accepted declarations, since a rejected one comes again
//! corrected; what the rules object to over judged ones (accepted, rejected, conflict), since much
//! of it rejects. Replays are in no denominator but that of I-04 and I-05. I-01 by reason is in the
//! summary's reasons. Where there is nothing to divide by, there is no such indicator: a rate of
//! nothing says nothing, and no rate is not a rate of 0. (So there is none of codes, descriptions and origins over days
//! that were folded before these were counted.) All are signals for a conversation, not verdicts.

use crate::rules::finding::Reason;
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

impl Indicator {
    /// `None` where there is nothing to divide by.
    fn ratio(name: &str, numerator: u64, denominator: u64) -> Option<Self> {
        let value = numerator as f64 / denominator as f64;
        let name = name.to_owned();
        (denominator > 0).then_some(Self { name, numerator, denominator, value, interval: None })
    }

    fn proportion(name: &str, numerator: u64, denominator: u64) -> Option<Self> {
        let interval = wilson_95(numerator, denominator);
        Some(Self { interval, ..Self::ratio(name, numerator, denominator)? })
    }
}

/// The indicators of the table above, in its order: those that have a denominator, and of the
/// chapters those that have any lines.
#[must_use]
pub fn indicators(counters: &Counters) -> Vec<Indicator> {
    let c = counters;
    let judged = c.judged_lines();
    let received = c.received();
    let (bunched, before) = bunching(counters);
    let lodged_before = c.delays.into_iter().fold(0, u64::saturating_add);
    let with_reason =
        |name, reason| Indicator::proportion(name, declarations(c, reason), c.judged());
    let mut all = vec![
        Indicator::proportion("rejection_rate", c.rejected_lines, judged),
        Indicator::proportion("replay_rate", c.replayed, received),
        Indicator::proportion("conflict_rate", c.conflicts, received),
        Indicator::proportion(
            "fallback_within_24h_rate",
            lodged_before.saturating_sub(late(&c.delays)),
            lodged_before,
        ),
        Indicator::ratio("threshold_bunching", bunched, before),
        Indicator::proportion("round_price_rate", c.round_lines, c.accepted_lines),
        Indicator::proportion("value_below_eur_1_rate", c.below_eur_1_lines, c.valued_lines),
        Indicator::proportion(
            "value_below_eur_5_per_kg_rate",
            c.below_eur_5_per_kg_lines,
            c.valued_lines,
        ),
        Indicator::ratio("hs6_per_consignment", c.distinct_hs6, c.hs6_declarations),
        Indicator::proportion("several_goods_rate", c.several_goods_lines, c.described_lines),
        Indicator::proportion("vague_description_rate", c.vague_lines, judged),
        Indicator::proportion("hs_mismatch_rate", c.mismatch_lines, judged),
        Indicator::proportion("other_hs_code_rate", c.other_hs6_lines, c.hs6_lines),
        Indicator::proportion("ioss_number_hit_rate", c.ioss_hit_lines, c.f48_lines),
        Indicator::proportion("origin_differs_rate", c.origin_differs_lines, c.origin_lines),
        with_reason("dispatch_from_eu_rate", Reason::DispatchFromEu),
        with_reason("sanctions_detour_rate", Reason::SanctionsDetour),
        with_reason("sanctioned_country_rate", Reason::SanctionedCountry),
        Indicator::proportion("restricted_goods_rate", c.restricted_lines, judged),
    ];
    for (chapter, lines) in c.restricted_chapters() {
        let name = format!("restricted_goods_rate:{chapter:02}");
        all.push(Indicator::proportion(&name, *lines, judged));
    }
    all.extend([
        Indicator::proportion("gift_rate", c.gifts, c.accepted),
        Indicator::proportion("implausible_mass_rate", c.implausible_mass_lines, c.accepted_lines),
        Indicator::proportion("zero_transport_cost_rate", c.non_ioss_free_transport, c.non_ioss),
    ]);
    all.into_iter().flatten().collect()
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

/// The 95 % Wilson score interval of a proportion of `k` in `n` (Wilson 1927; DOMAIN section 5),
/// with z = 1.96. `None` for `n` = 0, which says nothing, and for `k` > `n`, which is none.
#[must_use]
pub fn wilson_95(k: u64, n: u64) -> Option<(f64, f64)> {
    if n == 0 || k > n {
        return None;
    }
    const Z: f64 = 1.96;
    let (k, n) = (k as f64, n as f64);
    let p = k / n;
    let scale = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / scale;
    let half_width = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
    Some(((centre - half_width).max(0.0), (centre + half_width).min(1.0)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn close(found: f64, expected: f64, within: f64) -> bool {
        (found - expected).abs() < within
    }

    #[test]
    fn wilson_intervals() {
        let (lower, upper) = wilson_95(3, 400).unwrap();
        assert!(close(lower, 0.00255, 5e-6) && close(upper, 0.02182, 5e-6), "{lower} {upper}");
        // At the ends it stays a proportion; the formula's closed form there is z²/(n + z²).
        let (lower, upper) = wilson_95(0, 10).unwrap();
        assert!(lower == 0.0 && close(upper, 3.8416 / 13.8416, 1e-12), "{lower} {upper}");
        let (lower, upper) = wilson_95(10, 10).unwrap();
        assert!(close(lower, 10.0 / 13.8416, 1e-12) && upper <= 1.0, "{lower} {upper}");
        assert_eq!(wilson_95(0, 0), None);
        assert_eq!(wilson_95(2, 1), None);
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
        let bunching = &indicators(&counters)[4];
        assert!(close(bunching.value, 2.0, 1e-12));
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
