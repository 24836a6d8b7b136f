//! Judging one declaration: the order of the tests, and where findings go.
//!
//! Judging is a pure function of the day's law, the lodger, the normalised declaration
//! and what its fallback is worth. Two principles hold throughout (the customs facts are in the
//! data files, the choices in the families' own modules):
//!
//! - One defect, one reason: the most specific one.
//! - A test whose input is missing or malformed is not made: the input has its own finding.

use std::cmp::Reverse;

use super::day_law::DayLaw;
use super::edition::Edition;
use super::fallback::{self, FallbackCheck};
use super::finding::{Element, Findings, Reason, Severity};
use super::procedures::Route;
use super::words::Scratch;
use super::{Judgement, description, documents, form, goods, parties, procedures, value};
use crate::id::EurCents;
use crate::wire::view::{Declaration, GoodsItem, Lodger};

/// Judges declarations, one after another. Holds scratch space only: one for each worker thread.
#[derive(Debug, Default)]
pub struct Judge {
    line_values: Vec<Option<EurCents>>,
    words: Scratch,
    segments: Vec<bool>,
}

/// What every family of tests looks at.
pub(super) struct Case<'a, 'd> {
    pub(super) law: &'a DayLaw,
    pub(super) edition: &'a Edition,
    pub(super) lodger: &'a Lodger<'a>,
    pub(super) declaration: &'a Declaration<'d>,
}

/// Takes findings, weighing each by the rule set.
pub(super) struct Found<'a> {
    edition: &'a Edition,
    findings: &'a mut Findings,
    rejected: bool,
    flagged: bool,
    plain: bool,
}

impl Found<'_> {
    /// At most `max` characters and no control character.
    #[inline]
    pub(super) fn is_text(&self, text: &str, max: usize) -> bool {
        // Bytes are never fewer than characters.
        self.plain && text.len() <= max || form::is_text(text, max)
    }

    /// Adds a finding at the weight the rule set gives it; none where the reason is not tested.
    #[cold]
    #[inline(never)]
    pub(super) fn add(&mut self, reason: Reason, element: Element, goods_item: u16, value: &str) {
        if let Some(severity) = self.edition.severities.get(reason as usize).copied().flatten() {
            self.add_weighing(severity, reason, element, goods_item, value);
        }
    }

    /// The same where a list gives the weight, unless the reason is not tested at all.
    #[cold]
    #[inline(never)]
    pub(super) fn add_as(
        &mut self,
        severity: Severity,
        reason: Reason,
        element: Element,
        goods_item: u16,
        value: &str,
    ) {
        if self.edition.severities.get(reason as usize).copied().flatten().is_some() {
            self.add_weighing(severity, reason, element, goods_item, value);
        }
    }

    fn add_weighing(
        &mut self,
        severity: Severity,
        reason: Reason,
        element: Element,
        goods_item: u16,
        value: &str,
    ) {
        self.rejected |= severity == Severity::Reject;
        self.flagged |= severity == Severity::Flag;
        // Only what a sentence quotes has to be kept.
        let quotes = self.edition.reason(reason).is_some_and(|law| law.sentence.quotes_value());
        let value = if quotes { value } else { "" };
        self.findings.add(reason, severity, element, goods_item, value);
    }
}

impl Judge {
    /// One with empty scratch space.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges `declaration` by `law`. Its findings are appended to `findings.list`, all of them,
    /// REJECT before FLAG and else in the order of the tests.
    pub fn judge(
        &mut self,
        law: &DayLaw,
        lodger: &Lodger<'_>,
        declaration: &Declaration<'_>,
        fallback: FallbackCheck,
        findings: &mut Findings,
    ) -> Judgement {
        let edition = &*law.edition;
        let first = findings.list.len();
        let case = Case { law, edition, lodger, declaration };
        let plain = declaration.plain.is_known();
        let mut found = Found { edition, findings, rejected: false, flagged: false, plain };
        let items = self.items(&case, &mut found);

        form::judge(&case, &mut found);
        fallback::judge(fallback, &declaration.fallback, &mut found);
        parties::judge(&case, &mut found);
        documents::judge(&case, &mut found);
        let route = procedures::judge(&case, items, &mut found);
        let all = items.len() == declaration.goods_items.len();
        let intrinsic_value =
            value::judge(&case, items, all, &route, &mut self.line_values, &mut found);
        for (index, item) in items.iter().enumerate() {
            let number = item_number(index);
            form::product_identifiers(&mut found, number, &item.product);
            let hs = goods::judge(&case, number, item, &mut found);
            self.judge_description(&case, number, item, hs, &mut found);
        }

        let (rejected, flagged) = (found.rejected, found.flagged);
        if rejected
            && flagged
            && let Some(own) = findings.list.get_mut(first..)
        {
            own.sort_by_key(|finding| Reverse(finding.severity));
        }
        let duty = if rejected { EurCents(0) } else { duty(edition, &route) };
        Judgement { rejected, intrinsic_value, duty }
    }

    /// The value in euro of each goods item of the last declaration judged; `None` where it could
    /// not be converted.
    #[must_use]
    pub fn line_values(&self) -> &[Option<EurCents>] {
        &self.line_values
    }

    /// The goods items that are judged: all, unless the rule set allows fewer.
    fn items<'a, 'd>(&self, case: &Case<'a, 'd>, found: &mut Found<'_>) -> &'a [GoodsItem<'d>] {
        let items = &*case.declaration.goods_items;
        let max = case.edition.goods_items_max.min(u32::from(u16::MAX));
        if items.is_empty() {
            found.add(Reason::FieldMissing, Element::GoodsItemNumber, 0, "");
        }
        match items.get(..max as usize) {
            Some(taken) if taken.len() < items.len() => {
                let value = format!("{} goods items, at most {max} are allowed", items.len());
                found.add(Reason::FieldFormat, Element::GoodsItemNumber, 0, &value);
                taken
            }
            _ => items,
        }
    }

    fn judge_description(
        &mut self,
        case: &Case<'_, '_>,
        number: u16,
        item: &GoodsItem<'_>,
        hs: Option<u32>,
        found: &mut Found<'_>,
    ) {
        description::judge(case, number, item, hs, &mut self.words, &mut self.segments, found);
    }
}

/// The number of the goods item at `index`, counted from 1.
pub(super) fn item_number(index: usize) -> u16 {
    u16::try_from(index + 1).unwrap_or(u16::MAX)
}

/// What is owed for the goods items that state a procedure in the duty's scope.
fn duty(edition: &Edition, route: &Route) -> EurCents {
    EurCents(edition.duty_cents * u64::from(route.items_owing_duty))
}
