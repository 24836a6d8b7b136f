//! Descriptions: form, vagueness, and whether they fit the HS code (Annex B UCC-DA, note to 18 05).
//!
//! One description, one verdict on its form, the first of these that holds:
//! 1. missing; longer than 512 characters or with control characters (FIELD_FORMAT);
//! 2. the HS code itself (points, hyphens and spaces aside) or a product identifier: too vague;
//! 3. no letter at all, one character three times or more and nothing else, or a file name or
//!    extension: DESCRIPTION_FORMAT;
//! 4. fewer than three letters, or nothing but terms of the stop list, connectors and numbers: too
//!    vague.
//!
//! Then, unless 1 to 3 held, the first row of the keyword list of which some phrase stands in the
//! description, as whole words, says which HS headings fit.

use super::edition::Edition;
use super::finding::{Element, Reason};
use super::form::{PRODUCT_IDENTIFIER_MAX, is_text};
use super::judge::{Case, Found};
use super::lists::Lists;
use super::table::holding;
use super::words::{NUMBER, Reading, Scratch, UNKNOWN, Vocabulary, VocabularyBuilder};
use crate::day::Day;
use crate::wire::view::GoodsItem;

const CHARACTERS_MAX: usize = 512;

/// The word stands in some stop term, or is a connector.
const STOP: u8 = 1;
const CONNECTOR: u8 = 2;
const NO_ROW: u16 = u16::MAX;

/// What is known of one word.
#[derive(Debug, Clone, Copy)]
struct Word {
    flags: u8,
    /// The first row of keywords that the word alone matches.
    row: u16,
    /// Where in [`Vague::phrases`] those that it ends stand.
    phrases: (u16, u16),
}

impl Word {
    const NONE: Self = Self { flags: 0, row: NO_ROW, phrases: (0, 0) };
}

/// What marks a name as a company's.
#[derive(Debug)]
struct CompanyTerm {
    words: Vec<u16>,
    /// Written with points, it is cut into single letters like the initials of a person, which
    /// stand in front: `Jansen B.V.` is a company, `B.V. Jansen` none.
    at_end: bool,
}

/// The lists about descriptions and names, compiled.
#[derive(Debug)]
pub(super) struct Vague {
    vocabulary: Vocabulary,
    /// By the word's number.
    words: Vec<Word>,
    /// Stop terms, sorted.
    terms: Vec<Vec<u16>>,
    /// Keyword phrases of several words with their row, sorted by the last word.
    phrases: Vec<(Vec<u16>, u16)>,
    /// HS headings by row, sorted.
    headings: Vec<Vec<u16>>,
    companies: Vocabulary,
    company_terms: Vec<CompanyTerm>,
    extensions: Vec<String>,
}

impl Vague {
    pub(super) fn new(lists: &Lists, day: Day) -> Self {
        let mut builder = VocabularyBuilder::default();
        let (mut terms, mut connectors) = (Vec::new(), Vec::new());
        for (term, connector) in holding(&lists.stop_words, day) {
            let list = if *connector { &mut connectors } else { &mut terms };
            list.push(builder.add(term));
        }
        let mut rows: Vec<(Vec<u16>, u16)> = Vec::new();
        let mut headings = Vec::new();
        for keywords in holding(&lists.keywords, day) {
            let row = u16::try_from(headings.len()).unwrap_or(NO_ROW);
            rows.extend(keywords.phrases.iter().map(|phrase| (builder.add(phrase), row)));
            let mut fitting = keywords.headings.clone();
            fitting.sort_unstable();
            headings.push(fitting);
        }
        let mut words = vec![Word::NONE; builder.len() + 1];
        let mut set = |id: u16, flag: u8, row: u16| {
            if let Some(word) = words.get_mut(usize::from(id)) {
                word.flags |= flag;
                word.row = word.row.min(row);
            }
        };
        for id in terms.iter().flatten() {
            set(*id, STOP, NO_ROW);
        }
        for id in connectors.iter().flatten() {
            set(*id, CONNECTOR, NO_ROW);
        }
        for (phrase, row) in &rows {
            if let [word] = phrase.as_slice() {
                set(*word, 0, *row);
            }
        }
        rows.retain(|(phrase, _)| phrase.len() > 1);
        rows.sort_by_key(|(phrase, _)| phrase.last().copied());
        for (place, (phrase, _)) in rows.iter().enumerate() {
            let place = u16::try_from(place).unwrap_or(u16::MAX);
            let last = phrase.last().and_then(|last| words.get_mut(usize::from(*last)));
            if let Some(Word { phrases: (first, end), .. }) = last {
                if *end == 0 {
                    *first = place;
                }
                *end = place.saturating_add(1);
            }
        }
        terms.sort();
        let mut companies = VocabularyBuilder::default();
        let company_terms = holding(&lists.company_words, day)
            .map(|term| CompanyTerm { words: companies.add(term), at_end: term.contains('.') })
            .collect();
        Self {
            vocabulary: builder.build(),
            words,
            terms,
            phrases: rows,
            headings,
            companies: companies.build(),
            company_terms,
            extensions: holding(&lists.file_extensions, day).cloned().collect(),
        }
    }

    /// Whether a name is like a company's: some term of the list stands in it, or at its end.
    pub(super) fn is_company(&self, name: &str) -> bool {
        let mut scratch = Scratch::default();
        self.companies.read(name, &mut scratch);
        let ids = &scratch.ids;
        self.company_terms.iter().any(|CompanyTerm { words, at_end }| match words.len() {
            0 => false,
            _ if *at_end => ids.ends_with(words),
            length => ids.windows(length).any(|there| there == words),
        })
    }

    #[inline]
    fn word(&self, id: u16) -> Word {
        self.words.get(usize::from(id)).copied().unwrap_or(Word::NONE)
    }

    /// What the words of a description come to: whether each may belong to a stop term, and the
    /// first row of keywords that matches.
    #[inline]
    fn weigh(&self, ids: &[u16]) -> (bool, u16) {
        let mut vague = true;
        let mut row = NO_ROW;
        for (place, &id) in ids.iter().enumerate() {
            if id == UNKNOWN {
                vague = false;
                continue;
            }
            let word = self.word(id);
            vague &= word.flags & (STOP | CONNECTOR) != 0 || id == NUMBER;
            row = row.min(word.row);
            if word.phrases.1 != 0 {
                row = row.min(self.phrase_row(word, ids.get(..place).unwrap_or_default()));
            }
        }
        (vague, row)
    }

    /// The first row of which a phrase consists of the end of `before` and then `last`.
    fn phrase_row(&self, last: Word, before: &[u16]) -> u16 {
        let (first, end) = last.phrases;
        let phrases = self.phrases.get(usize::from(first)..usize::from(end)).unwrap_or_default();
        let mut row = NO_ROW;
        for (phrase, of) in phrases {
            let words = phrase.split_last().map_or(&[][..], |(_, words)| words);
            let there = words.iter().rev().zip(before.iter().rev()).all(|(a, b)| a == b);
            if there && words.len() <= before.len() {
                row = row.min(*of);
            }
        }
        row
    }

    /// Whether the words are a row of stop terms, connectors and numbers. `reached[i]` tells whether
    /// the first i words are.
    #[cold]
    fn is_covered(&self, ids: &[u16], reached: &mut Vec<bool>) -> bool {
        reached.clear();
        reached.resize(ids.len() + 1, false);
        let mut now = true;
        for (place, id) in ids.iter().enumerate() {
            now |= reached.get(place).copied().unwrap_or(false);
            if !std::mem::take(&mut now) {
                continue;
            }
            now = *id == NUMBER || self.word(*id).flags & CONNECTOR != 0;
            let rest = ids.get(place..).unwrap_or_default();
            let first = self.terms.partition_point(|term| term.first() < Some(id));
            let from_here = self.terms.get(first..).unwrap_or_default();
            for term in from_here.iter().take_while(|term| term.first() == Some(id)) {
                if rest.starts_with(term)
                    && let Some(reached) = reached.get_mut(place + term.len())
                {
                    *reached = true;
                }
            }
        }
        now || reached.last().copied().unwrap_or(false)
    }
}

#[inline]
pub(super) fn judge(
    case: &Case<'_, '_>,
    number: u16,
    item: &GoodsItem<'_>,
    hs: Option<u32>,
    scratch: &mut Scratch,
    reached: &mut Vec<bool>,
    found: &mut Found<'_>,
) {
    let text = item.description;
    let element = Element::Description;
    if text.is_empty() {
        found.add(Reason::FieldMissing, element, number, "");
        return;
    }
    if !found.is_text(text, CHARACTERS_MAX) {
        found.add(Reason::FieldFormat, element, number, text);
        return;
    }
    let vague = &case.edition.vague;
    let reading = vague.vocabulary.read(text, scratch);
    if let Some(reason) = form(case.edition, item, reading) {
        found.add(reason, element, number, text);
        return;
    }
    let (maybe_vague, row) = vague.weigh(&scratch.ids);
    if reading.letters < 3 || maybe_vague && vague.is_covered(&scratch.ids, reached) {
        found.add(Reason::DescriptionStopWord, element, number, text);
    }
    if row != NO_ROW
        && let Some(heading) = hs.and_then(|code| u16::try_from(code / 100).ok())
        && let Some(fitting) = vague.headings.get(usize::from(row))
        && fitting.binary_search(&heading).is_err()
    {
        found.add(Reason::HsDescriptionMismatch, element, number, text);
    }
}

/// Points 2 and 3 of the module's list.
#[inline]
fn form(edition: &Edition, item: &GoodsItem<'_>, reading: Reading) -> Option<Reason> {
    let text = item.description;
    let is = |identifier: &str| {
        identifier.len() == text.len()
            && identifier.eq_ignore_ascii_case(text)
            && is_text(identifier, PRODUCT_IDENTIFIER_MAX)
    };
    let product = &item.product;
    if is(product.merchant) || is(product.manufacturer) || is(product.gtin) {
        return Some(Reason::DescriptionStopWord);
    }
    if reading.letters == 0 {
        let digits = text.bytes().filter(|b| !matches!(b, b'.' | b'-' | b' '));
        let is_code = !item.hs6.is_empty() && digits.eq(item.hs6.bytes());
        return Some(if is_code { Reason::DescriptionStopWord } else { Reason::DescriptionFormat });
    }
    // Nearly every description has two different characters in front.
    let alike = match text.as_bytes() {
        [first, second, ..] => {
            first.eq_ignore_ascii_case(second) || *second == b' ' || *first >= 0x80
        }
        _ => false,
    };
    let repeated = alike && is_one_character_repeated(text);
    // So is the first word, by a space.
    let spaced = text.as_bytes().get(reading.first_run as usize) == Some(&b' ');
    if repeated || !spaced && is_file_name(edition, text) {
        return Some(Reason::DescriptionFormat);
    }
    None
}

#[cold]
fn is_one_character_repeated(text: &str) -> bool {
    let mut characters = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase);
    let first = characters.next();
    let mut count = 1;
    characters.all(|c| {
        count += 1;
        Some(c) == first
    }) && count >= 3
}

/// `.wpx`, or one word ending in a known extension.
fn is_file_name(edition: &Edition, text: &str) -> bool {
    if text.contains(' ') {
        return false;
    }
    let Some((name, extension)) = text.rsplit_once('.') else { return false };
    if name.is_empty() {
        return (1..=5).contains(&extension.len())
            && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    }
    edition.vague.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
#[path = "tests/description.rs"]
mod tests;
