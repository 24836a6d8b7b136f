//! What goods are said to be: their HS codes, and descriptions that name several goods (I-12, I-15).

use smallvec::SmallVec;

use crate::wire::view::GoodsItem;

/// So many different codes are told apart by comparing each with each; more are sorted.
const COMPARED_MAX: usize = 16;

/// An HS code as a number: six digits; `None` where it is none.
#[inline]
pub(super) fn hs6(text: &str) -> Option<u32> {
    let digits: &[u8; 6] = text.as_bytes().try_into().ok()?;
    let mut code = 0;
    let mut is_number = true;
    for digit in digits {
        is_number &= digit.is_ascii_digit();
        code = code * 10 + u32::from(digit & 0xf);
    }
    is_number.then_some(code)
}

/// How many different HS codes `items` have.
#[inline]
pub(super) fn distinct(items: &[GoodsItem<'_>]) -> u16 {
    if let [item] = items {
        return hs6(item.hs6).is_some().into();
    }
    let mut codes: SmallVec<[u32; COMPARED_MAX]> = SmallVec::new();
    for code in items.iter().filter_map(|item| hs6(item.hs6)) {
        if codes.len() >= COMPARED_MAX || !codes.contains(&code) {
            codes.push(code);
        }
    }
    if codes.len() > COMPARED_MAX {
        codes.sort_unstable();
        codes.dedup();
    }
    u16::try_from(codes.len()).unwrap_or(u16::MAX)
}

/// Whether a description names several goods: it has a comma, a plus sign, or "and" between spaces. A
/// signal of lines that were merged, and no more: one thing may be described so as well.
#[inline]
pub(super) fn names_several_goods(description: &str) -> bool {
    // To its end without leaving early, so that it takes many bytes at a time.
    let is_sign = |byte: &u8| matches!(byte, b',' | b'+');
    description.bytes().fold(false, |found, byte| found | is_sign(&byte)) | has_and(description)
}

/// Whether it joins goods by a plus sign or "and" between spaces: a comma alone more often sets off what the one
/// thing is made of.
pub(crate) fn joins_goods(description: &str) -> bool {
    description.contains('+') || has_and(description)
}

#[inline]
fn has_and(description: &str) -> bool {
    let bytes = description.as_bytes();
    let after = |places: usize| bytes.get(places..).unwrap_or_default();
    let fives = bytes.iter().zip(after(1)).zip(after(2)).zip(after(3)).zip(after(4));
    let mut found = false;
    for ((((before, a), n), d), after) in fives {
        let is_and = (a | 0x20, n | 0x20, d | 0x20) == (b'a', b'n', b'd');
        found |= is_and & (*before == b' ') & (*after == b' ');
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_are_six_digits() {
        assert_eq!((hs6("610990"), hs6("000000")), (Some(610_990), Some(0)));
        for none in ["", "61099", "6109900", "61099x", "61 990", "\u{661}\u{661}\u{661}"] {
            assert_eq!(hs6(none), None, "{none:?}");
        }
    }

    #[test]
    fn several_goods_are_joined_by_a_comma_a_plus_or_and() {
        for several in ["ball+pump", "Ball and pump", "BALL AND PUMP", "a and b"] {
            assert!(names_several_goods(several) && joins_goods(several), "{several}");
        }
        assert!(names_several_goods("Ball, red") && !joins_goods("Ball, red"));
        for one in
            ["", "and", "Sand box", "hand cream", "brand new", "and so on", "this and", "x & y"]
        {
            assert!(!names_several_goods(one) && !joins_goods(one), "{one}");
        }
    }

    proptest! {
        #[test]
        fn distinct_codes_are_those_of_a_set(
            codes in prop::collection::vec(0..30_u32, 0..60),
            more in 1..5_u32,
        ) {
            let texts: Vec<String> =
                codes.iter().map(|code| format!("{:06}", code * more)).collect();
            let items: Vec<_> = texts
                .iter()
                .map(|hs6| GoodsItem { hs6, ..GoodsItem::default() })
                .collect();
            let expected = codes.iter().collect::<std::collections::BTreeSet<_>>().len();
            prop_assert_eq!(usize::from(distinct(&items)), expected);
        }
    }
}
