//! What one declaration contributes to the summaries of its actors.
//!
//! Made from what the archive keeps: the declaration's fields (not the importer's name or street,
//! which it does not), the judgement and the findings. So a fold over the archive gives the same.

use smallvec::SmallVec;

use super::goods::{distinct, hs6, names_several_goods};
use crate::day::Moment;
use crate::id::EurCents;
use crate::rules::Judgement;
use crate::rules::finding::{Finding, Reason};
use crate::summary::Delay;
use crate::wire::view::{Declaration, GoodsItem};

/// Below this a line's value is nominal (I-11): EUR 1.
const NOMINAL_CENTS: u64 = 100;
/// A line's value is nominal for its weight (I-11) below EUR 5 a kilogram, that is 500 cents for
/// 1,000,000 mg, that is 1 cent for 2,000 mg.
const MG_PER_CENT_NOMINAL: u64 = 2_000;
/// At and below this a line's gross mass is implausible (I-27): 0.001 kg.
const MASS_IMPLAUSIBLY_LOW_MG: u64 = 1_000;
/// Above this a package is implausibly heavy (I-27): 31.5 kg, the limit of parcel post.
const PACKAGE_IMPLAUSIBLY_HEAVY_MG: u64 = 31_500_000;

/// How many goods items of each HS chapter, ascending. Nearly all declarations have goods of few
/// chapters, and those stay in place; at most 100 chapters of 4 bytes are ever on the heap, less than
/// the goods items took in the message.
pub(crate) type ChapterLines = SmallVec<[(u8, u16); 4]>;

/// What one declaration contributes. Which part of it counts depends on the outcome (see
/// [`super::Counters`]), which is not final when this is made. Indicator numbers (`I-09`) are
/// those of DOMAIN section 5.
///
/// What counts for accepted declarations alone is counted in 16 bits and stops at their end: such a
/// declaration has at most 9,999 goods items, the most that a rule set may allow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Euro cents, as compared with the threshold.
    pub(crate) intrinsic_value: u64,
    /// Euro cents.
    pub(crate) duty: u64,
    /// Of all lines.
    pub(crate) gross_mass_mg: u64,
    /// The lines in `restricted_lines` by HS chapter, as far as they have one.
    pub(crate) restricted_chapters: ChapterLines,
    /// Goods items.
    pub(crate) lines: u32,
    /// Lines whose value could be converted to euro.
    pub(crate) valued_lines: u16,
    /// I-09: lines with a whole amount above 0 in the invoice currency.
    pub(crate) round_lines: u16,
    /// I-11: lines below EUR 1.
    pub(crate) below_eur_1_lines: u16,
    /// I-11: lines below EUR 5 a kilogram.
    pub(crate) below_eur_5_per_kg_lines: u16,
    /// I-27: lines of implausible mass.
    pub(crate) implausible_mass_lines: u16,
    /// I-12: how many different HS codes the lines have.
    pub(crate) distinct_hs6: u16,
    /// Lines with an HS code.
    pub(crate) hs6_lines: u16,
    /// I-15: lines whose HS code is one for other goods.
    pub(crate) other_hs6_lines: u16,
    /// Lines with a description.
    pub(crate) described_lines: u16,
    /// I-12: lines whose description names several goods.
    pub(crate) several_goods_lines: u16,
    /// Lines with a country of origin.
    pub(crate) origin_lines: u16,
    /// I-23: lines that originate in another country than the exporter's.
    pub(crate) origin_differs_lines: u16,
    /// Lines under procedure F48 (sale through the import one-stop shop).
    pub(crate) f48_lines: u32,
    /// I-13: lines with a vague description.
    pub(crate) vague_lines: u32,
    /// I-14: lines whose description does not fit the HS code.
    pub(crate) mismatch_lines: u32,
    /// I-24: lines that meet a prohibition or restriction.
    pub(crate) restricted_lines: u32,
    /// I-25: some line is under C08 (gift).
    pub(crate) gift: bool,
    /// I-28: transport costs missing or 0.
    pub(crate) free_transport: bool,
    /// I-21: the IOSS number is malformed or denied.
    pub(crate) ioss_hit: bool,
    /// Since its fallback lodgement.
    pub(crate) delay: Option<Delay>,
}

// A batch of 10,000 carries this many of them from worker to fold thread: under 1 MB.
const _: () = assert!(size_of::<Facts>() <= 100);

impl Facts {
    /// The facts of `declaration`. `line_values` are its goods items' values in euro, in their
    /// order, `None` where one could not be converted; `findings` are those of the rules. It arrived at
    /// `arrival`, the batch's one time.
    #[must_use]
    pub fn of(
        declaration: &Declaration<'_>,
        judgement: &Judgement,
        line_values: &[Option<EurCents>],
        findings: &[Finding],
        arrival: Moment,
    ) -> Self {
        let mut facts = Self {
            intrinsic_value: judgement.intrinsic_value.0,
            duty: judgement.duty.0,
            free_transport: declaration.transport_costs.hundredths == 0,
            delay: Delay::of(&declaration.fallback, arrival),
            ..Self::default()
        };
        let mut previous_mass_mg = None;
        for (place, item) in declaration.goods_items.iter().enumerate() {
            let value = line_values.get(place).copied().flatten();
            facts.add_line(item, value, previous_mass_mg);
            facts.add_goods(item, declaration.exporter.country);
            previous_mass_mg = Some(item.gross_mass_mg);
        }
        facts.distinct_hs6 = distinct(&declaration.goods_items);
        if !findings.is_empty() {
            facts.add_findings(declaration, findings);
        }
        facts
    }

    #[inline]
    fn add_line(
        &mut self,
        item: &GoodsItem<'_>,
        value: Option<EurCents>,
        previous_mass_mg: Option<u64>,
    ) {
        let mass_mg = item.gross_mass_mg;
        self.lines += 1;
        self.gross_mass_mg = self.gross_mass_mg.saturating_add(mass_mg);
        if let Some(EurCents(cents)) = value {
            count_if(&mut self.valued_lines, true);
            count_if(&mut self.below_eur_1_lines, cents < NOMINAL_CENTS);
            let nominal_for_weight = cents.saturating_mul(MG_PER_CENT_NOMINAL) < mass_mg;
            count_if(&mut self.below_eur_5_per_kg_lines, nominal_for_weight);
        }
        let hundredths = item.intrinsic_value.hundredths;
        count_if(&mut self.round_lines, hundredths > 0 && hundredths.is_multiple_of(100));
        // A line of 0 packages is packed with another one: its mass is in one package at least.
        let packages = u64::from(item.packages.max(1));
        let implausible = mass_mg <= MASS_IMPLAUSIBLY_LOW_MG
            || previous_mass_mg == Some(mass_mg)
            || mass_mg > PACKAGE_IMPLAUSIBLY_HEAVY_MG.saturating_mul(packages);
        count_if(&mut self.implausible_mass_lines, implausible);
        self.f48_lines += u32::from(item.additional_procedures.contains(&"F48"));
        self.gift |= item.additional_procedures.contains(&"C08");
    }

    /// What the goods are said to be, and where from.
    #[inline]
    fn add_goods(&mut self, item: &GoodsItem<'_>, exporter_country: &str) {
        if let Some(code) = hs6(item.hs6) {
            count_if(&mut self.hs6_lines, true);
            count_if(&mut self.other_hs6_lines, matches!(code % 100, 90 | 99));
        }
        if !item.description.is_empty() {
            count_if(&mut self.described_lines, true);
            count_if(&mut self.several_goods_lines, names_several_goods(item.description));
        }
        if !item.country_of_origin.is_empty() {
            count_if(&mut self.origin_lines, true);
            count_if(&mut self.origin_differs_lines, item.country_of_origin != exporter_country);
        }
    }

    fn add_findings(&mut self, declaration: &Declaration<'_>, findings: &[Finding]) {
        let vague = [Reason::DescriptionStopWord, Reason::DescriptionFormat];
        let restricted = [Reason::GoodsRestricted, Reason::GoodsRestrictionPossible];
        self.vague_lines = count(&lines_with(findings, &vague));
        self.mismatch_lines = count(&lines_with(findings, &[Reason::HsDescriptionMismatch]));
        let restricted = lines_with(findings, &restricted);
        self.restricted_lines = count(&restricted);
        for line in restricted {
            let item = declaration.goods_items.get(usize::from(line) - 1);
            if let Some(chapter) = item.and_then(|item| chapter(item.hs6)) {
                self.add_restricted(chapter);
            }
        }
        let ioss = [Reason::IossNumberMalformed, Reason::IossNumberDenied];
        self.ioss_hit = findings.iter().any(|finding| ioss.contains(&finding.reason));
    }

    fn add_restricted(&mut self, chapter: u8) {
        let chapters = &mut self.restricted_chapters;
        match chapters.binary_search_by_key(&chapter, |(chapter, _)| *chapter) {
            Ok(place) => {
                if let Some((_, lines)) = chapters.get_mut(place) {
                    // Each line once, and they are numbered by u16.
                    *lines = lines.saturating_add(1);
                }
            }
            Err(place) => chapters.insert(place, (chapter, 1)),
        }
    }
}

#[inline]
fn count_if(counter: &mut u16, holds: bool) {
    *counter = counter.saturating_add(holds.into());
}

/// The HS chapter, 0 to 99: the first two digits of the code.
fn chapter(hs6: &str) -> Option<u8> {
    let [tens, units, ..] = hs6.as_bytes() else { return None };
    let digits = tens.is_ascii_digit() && units.is_ascii_digit();
    digits.then(|| (tens - b'0') * 10 + (units - b'0'))
}

/// The goods items, each once, in which one of `reasons` was found.
fn lines_with(findings: &[Finding], reasons: &[Reason]) -> SmallVec<[u16; 16]> {
    let hits = findings.iter().filter(|f| f.goods_item > 0 && reasons.contains(&f.reason));
    let mut lines: SmallVec<[u16; 16]> = hits.map(|finding| finding.goods_item).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn count(lines: &[u16]) -> u32 {
    // Distinct u16 values, so at most 65,536.
    u32::try_from(lines.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use smallvec::smallvec;

    use super::*;
    use crate::rules::finding::{Element, Severity};
    use crate::wire::view::Money;

    fn item(hundredths: u64, mass_mg: u64, packages: u32) -> GoodsItem<'static> {
        GoodsItem {
            hs6: "610910",
            intrinsic_value: Money { currency: "CNY", hundredths },
            gross_mass_mg: mass_mg,
            packages,
            additional_procedures: smallvec!["C07", "F48"],
            ..GoodsItem::default()
        }
    }

    fn finding(reason: Reason, goods_item: u16) -> Finding {
        let (severity, element) = (Severity::Flag, Element::Description);
        Finding { reason, severity, element, goods_item, value: (0, 0) }
    }

    fn of(items: Vec<GoodsItem<'static>>, values: &[Option<u64>], findings: &[Finding]) -> Facts {
        let declaration = Declaration { goods_items: items, ..Declaration::default() };
        let values: Vec<_> = values.iter().map(|value| value.map(EurCents)).collect();
        Facts::of(&declaration, &Judgement::default(), &values, findings, Moment(0))
    }

    #[test]
    fn prices_at_their_bounds() {
        // (hundredths in CNY, cents in EUR, mg) and what it counts for.
        for (hundredths, cents, mass_mg, round, below_1, below_5_per_kg) in [
            (500, Some(99), 1_000_000, 1, 1, 1),
            (501, Some(100), 200_000, 0, 0, 0),
            (0, Some(0), 200_000, 0, 1, 1),
            // Exactly EUR 5 a kilogram, and a milligram more.
            (501, Some(500), 1_000_000, 0, 0, 0),
            (501, Some(500), 1_000_001, 0, 0, 1),
            (700, None, 9_000_000, 1, 0, 0),
        ] {
            let facts = of(vec![item(hundredths, mass_mg, 1)], &[cents], &[]);
            let found =
                (facts.round_lines, facts.below_eur_1_lines, facts.below_eur_5_per_kg_lines);
            assert_eq!(found, (round, below_1, below_5_per_kg), "{hundredths} {cents:?} {mass_mg}");
            assert_eq!(facts.valued_lines, u16::from(cents.is_some()));
        }
    }

    #[test]
    fn goods_are_counted_by_code_description_and_origin() {
        let line = |hs6, description, country_of_origin| GoodsItem {
            hs6,
            description,
            country_of_origin,
            ..item(1, 5_000, 1)
        };
        let items = vec![
            line("610990", "Shirt", "CN"),
            line("610910", "shirt and trousers", "VN"),
            line("610990", "", ""),
            line("950699", "Ball+pump", "CN"),
            // No code, and one line more of those with a description.
            line("61", "Sand", "CN"),
        ];
        let exporter = crate::wire::view::Party { country: "CN", ..Default::default() };
        let declaration = Declaration { goods_items: items, exporter, ..Declaration::default() };
        let facts = Facts::of(&declaration, &Judgement::default(), &[None; 5], &[], Moment(0));
        assert_eq!((facts.distinct_hs6, facts.hs6_lines, facts.other_hs6_lines), (3, 4, 3));
        assert_eq!((facts.described_lines, facts.several_goods_lines), (4, 2));
        assert_eq!((facts.origin_lines, facts.origin_differs_lines), (4, 1));
    }

    #[test]
    fn masses_at_their_bounds() {
        for (masses, implausible) in [
            (vec![(1_000, 1)], 1),
            (vec![(1_001, 1)], 0),
            (vec![(31_500_000, 1)], 0),
            (vec![(31_500_001, 1)], 1),
            (vec![(31_500_001, 2)], 0),
            (vec![(31_500_001, 0)], 1),
            // As the line before, not as the line before that.
            (vec![(5_000, 1), (5_000, 1), (5_000, 1)], 2),
            (vec![(5_000, 1), (6_000, 1), (5_000, 1)], 0),
        ] {
            let items: Vec<_> =
                masses.iter().map(|(mg, packages)| item(1, *mg, *packages)).collect();
            let values = vec![Some(900_000); items.len()];
            let facts = of(items, &values, &[]);
            assert_eq!(facts.implausible_mass_lines, implausible, "{masses:?}");
            assert_eq!(facts.gross_mass_mg, masses.iter().map(|(mg, _)| mg).sum::<u64>());
        }
    }

    #[test]
    fn a_line_counts_once_however_many_findings_it_has() {
        let mut chocolate = item(1, 5_000, 1);
        chocolate.hs6 = "180632";
        let findings = [
            finding(Reason::DescriptionStopWord, 2),
            finding(Reason::DescriptionStopWord, 1),
            finding(Reason::DescriptionFormat, 2),
            finding(Reason::HsDescriptionMismatch, 2),
            finding(Reason::GoodsRestricted, 1),
            finding(Reason::GoodsRestrictionPossible, 1),
            finding(Reason::GoodsRestrictionPossible, 2),
            // About the declaration, and about a line it does not have.
            finding(Reason::GoodsRestricted, 0),
            finding(Reason::IossNumberDenied, 0),
        ];
        let facts = of(vec![item(1, 5_000, 1), chocolate], &[None, None], &findings);
        assert_eq!((facts.vague_lines, facts.mismatch_lines, facts.restricted_lines), (2, 1, 2));
        assert_eq!(facts.restricted_chapters[..], [(18, 1), (61, 1)]);
        assert!(facts.ioss_hit && facts.free_transport && !facts.gift);
        assert_eq!((facts.lines, facts.f48_lines), (2, 2));
    }

    #[test]
    fn odd_hs_codes_have_no_chapter() {
        for hs6 in ["", "6", "x1", "+1", "é"] {
            let mut odd = item(1, 5_000, 1);
            odd.hs6 = hs6;
            let facts = of(vec![odd], &[None], &[finding(Reason::GoodsRestricted, 1)]);
            assert_eq!(facts.restricted_lines, 1, "{hs6}");
            assert!(facts.restricted_chapters.is_empty(), "{hs6}");
        }
    }

    #[test]
    fn restricted_lines_are_counted_by_chapter() {
        let codes = ["950300", "330499", "950300", "851712", "010121", "950490", "610910"];
        let items: Vec<_> =
            codes.iter().map(|hs6| GoodsItem { hs6, ..item(1, 5_000, 1) }).collect();
        let mut findings: Vec<_> =
            (1..=6).map(|line| finding(Reason::GoodsRestrictionPossible, line)).collect();
        findings.push(finding(Reason::HsDescriptionMismatch, 7));
        let facts = of(items, &[None; 7], &findings);
        assert_eq!(facts.restricted_lines, 6);
        assert_eq!(facts.restricted_chapters[..], [(1, 1), (33, 1), (85, 1), (95, 3)]);
        assert!(!facts.restricted_chapters.spilled());

        // As many chapters as there are codes for.
        let codes: Vec<String> = (0..200).map(|n| format!("{:02}0000", n % 100)).collect();
        let items =
            codes.iter().map(|hs6| GoodsItem { hs6: hs6.clone().leak(), ..item(1, 5_000, 1) });
        let findings: Vec<_> =
            (1..=200).map(|line| finding(Reason::GoodsRestricted, line)).collect();
        let facts = of(items.collect(), &[None; 200], &findings);
        let expected: Vec<_> = (0..100).map(|chapter| (chapter, 2)).collect();
        assert_eq!(facts.restricted_chapters[..], expected);
    }
}
