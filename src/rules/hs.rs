//! What is known of each HS sub-heading on a day: one byte, found by its six digits.
//!
//! The million possible codes would be a megabyte for every day; since about 1,230 headings exist,
//! a page of 100 bytes for each and a table of 10,000 page numbers take about 140 KB, and those
//! few that are used stay in cache.

use std::collections::HashMap;

use super::finding::Reason;
use super::lists::{HsPrefix, Lists};
use super::table::holding;
use crate::day::Day;

/// Is a sub-heading of the nomenclature.
pub(super) const EXISTS: u8 = 1;
/// Two bits: see [`restriction`].
pub(super) const RESTRICTION: u8 = 2 | 4;
/// Among the goods of the sanctions on Russia and Belarus.
pub(super) const SANCTIONS: u8 = 8;

const CODES: usize = 1_000_000;
const PAGE: usize = 100;

/// The bits of a restriction; 0 for reasons that are none.
pub(super) fn restriction(reason: Reason) -> u8 {
    match reason {
        Reason::ExciseGoodsNotAllowed => 2,
        Reason::GoodsRestricted => 4,
        Reason::GoodsRestrictionPossible => 2 | 4,
        _ => 0,
    }
}

/// The restriction in `facts`, if there is one.
pub(super) fn restriction_in(facts: u8) -> Option<Reason> {
    match facts & RESTRICTION {
        0 => None,
        2 => Some(Reason::ExciseGoodsNotAllowed),
        4 => Some(Reason::GoodsRestricted),
        _ => Some(Reason::GoodsRestrictionPossible),
    }
}

/// The number of a code of six digits; `None` for any other form.
#[inline]
pub(super) fn number(hs6: &str) -> Option<u32> {
    let digits: [u8; 6] = hs6.as_bytes().try_into().ok()?;
    let mut number = 0;
    let mut wrong = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        wrong |= u8::from(digit > 9);
        number = number * 10 + u32::from(digit);
    }
    (wrong == 0).then_some(number)
}

/// The table of one day.
#[derive(Debug)]
pub(super) struct HsTable {
    pages: Vec<[u8; PAGE]>,
    /// By heading, the first four digits.
    page_of: Vec<u16>,
}

impl HsTable {
    pub(super) fn new(lists: &Lists, day: Day) -> Self {
        let mut facts = vec![0_u8; CODES];
        let mut listed = false;
        for &code in holding(&lists.nomenclature, day) {
            listed = true;
            if let Some(facts) = facts.get_mut(code as usize) {
                *facts |= EXISTS;
            }
        }
        if !listed {
            // No nomenclature for this day: the chapter alone is tested, 01 to 97 without the
            // reserved 77.
            for (code, facts) in facts.iter_mut().enumerate() {
                let chapter = code / 10_000;
                *facts = u8::from((1..=97).contains(&chapter) && chapter != 77);
            }
        }
        let mut restrictions: Vec<(HsPrefix, Reason)> =
            holding(&lists.restrictions, day).copied().collect();
        // The longer prefix is written last, and so decides.
        restrictions.sort_by_key(|(prefix, _)| prefix.digits);
        for (prefix, reason) in restrictions {
            for facts in range(&mut facts, prefix) {
                *facts = *facts & !RESTRICTION | restriction(reason);
            }
        }
        for &prefix in holding(&lists.sanctions_goods, day) {
            for facts in range(&mut facts, prefix) {
                *facts |= SANCTIONS;
            }
        }
        Self::paged(&facts)
    }

    fn paged(facts: &[u8]) -> Self {
        let mut pages: Vec<[u8; PAGE]> = Vec::new();
        let mut known: HashMap<[u8; PAGE], u16> = HashMap::new();
        let (chunks, _) = facts.as_chunks::<PAGE>();
        let page_of = chunks.iter().map(|page| {
            *known.entry(*page).or_insert_with(|| {
                pages.push(*page);
                // There are 10,000 headings.
                u16::try_from(pages.len() - 1).unwrap_or(0)
            })
        });
        let page_of = page_of.collect();
        Self { pages, page_of }
    }

    /// What is known of the code of this number.
    #[inline]
    pub(super) fn facts(&self, number: u32) -> u8 {
        let (heading, rest) = (number as usize / PAGE, number as usize % PAGE);
        self.page_of
            .get(heading)
            .and_then(|page| self.pages.get(usize::from(*page)))
            .and_then(|page| page.get(rest))
            .copied()
            .unwrap_or(0)
    }
}

fn range(facts: &mut [u8], prefix: HsPrefix) -> &mut [u8] {
    facts.get_mut(prefix.first as usize..=prefix.last as usize).unwrap_or_default()
}
