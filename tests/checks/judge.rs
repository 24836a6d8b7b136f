//! Judging any declaration, normalised or not: it ends, repeats itself, and what it says of itself adds
//! up.

use std::cmp::Reverse;
use std::sync::LazyLock;

use bumpalo::Bump;
use waag::day::Day;
use waag::rules::finding::{Findings, Severity};
use waag::rules::{DayLaw, FallbackCheck, Judge, Judgement, Law, lrn_is_usable};
use waag::wire::normalise::normalise;
use waag::wire::view::{Declaration, Plain};

use super::lines::{self, Case};

static LAW: LazyLock<Law> = LazyLock::new(|| Law::load(None).expect("the built-in files are good"));

/// What was found: reason, severity, element, goods item, value and sentence of each.
type Found = Vec<(String, Severity, String, u16, String, String)>;

/// What the normalised declaration comes to.
pub(crate) fn check(input: &[u8]) -> (Judgement, usize) {
    let (text, arena) = (String::from_utf8_lossy(input), Bump::new());
    let mut case = lines::read(&text);
    // A day without law has none to judge by: the day before the first one of H7, for example.
    let law = Day::parse(case.day).and_then(|day| LAW.on(day).ok());
    let law = law.unwrap_or_else(|| LAW.on(Day::parse("2026-11-05").unwrap()).unwrap());
    judged(&law, &case);
    normalise(&mut case.declaration, &arena);
    let (judgement, found) = judged(&law, &case);
    // That its texts are plain may be known or not, and normalising twice is normalising once.
    let unknown = Declaration { plain: Plain::default(), ..case.declaration.clone() };
    let mut again = case.declaration.clone();
    assert!(!normalise(&mut again, &arena));
    assert_eq!(again, case.declaration);
    case.declaration = unknown;
    assert_eq!(judged(&law, &case), (judgement, found.clone()));
    (judgement, found.len())
}

fn judged(law: &DayLaw, case: &Case<'_>) -> (Judgement, Found) {
    let Case { lodger, declaration, fallback, .. } = case;
    let fallback = FallbackCheck::from_bits(*fallback);
    let (mut judge, mut findings) = (Judge::new(), Findings::default());
    let judgement = judge.judge(law, lodger, declaration, fallback, &mut findings);
    let list = findings.list.clone();
    let rejects = list.iter().filter(|found| found.severity == Severity::Reject).count();
    assert_eq!(judgement.rejected, rejects > 0);
    assert!(list.is_sorted_by_key(|found| Reverse(found.severity)));
    assert!(judgement.rejected || lrn_is_usable(declaration.lrn));
    assert!(!judgement.rejected || judgement.duty.0 == 0);
    assert!(judge.line_values().len() <= declaration.goods_items.len());

    let own = findings.since(0);
    let found: Found = list
        .iter()
        .map(|found| {
            let value = own.value(found);
            let mut sentence = String::new();
            law.message(found, value, &mut sentence);
            assert!(!sentence.is_empty() && !law.legal_basis(found.reason).is_empty());
            assert_eq!(law.severity(found.reason).map(|_| ()), Some(()), "it is tested on the day");
            let (reason, element) = (found.reason.to_string(), found.element.number().to_owned());
            (reason, found.severity, element, found.goods_item, value.to_owned(), sentence)
        })
        .collect();
    let all = list.len();
    let span = findings.close(0);
    assert_eq!(findings.of(span).total(), all, "what is left out is counted");

    // With the same judge once more: nothing is left over from before.
    let mut second = Findings::default();
    assert_eq!(judge.judge(law, lodger, declaration, fallback, &mut second), judgement);
    assert_eq!(second.list, list);
    (judgement, found)
}
