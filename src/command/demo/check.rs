//! Holds every answer against what must come out.
//!
//! What is remembered of an answer, so that a replay's can be compared with it, is 12 bytes: the
//! MRN packed into a number, and a hash of the findings. A million lines are half a million
//! declarations, so 6 MB; a billion would be 6 GB.

use crate::generate::Expected;
use crate::id::mrn_check_digit;
use crate::outcome::Outcome;
use crate::proto::v1::{Finding, Severity, Verdict};

/// So many mismatches are told in words; all are counted.
pub(super) const EXAMPLES_MAX: usize = 20;

/// What one actor's answers add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Declarations by outcome.
    pub accepted: u64,
    /// See `accepted`.
    pub rejected: u64,
    /// See `accepted`.
    pub replayed: u64,
    /// See `accepted`.
    pub conflicts: u64,
    /// Goods items of accepted declarations.
    pub accepted_lines: u64,
    /// Intrinsic value of these.
    pub value_eur_cents: u64,
    /// Their gross mass, milligrams.
    pub gross_mass_mg: u64,
    /// Duty on these.
    pub duty_eur_cents: u64,
}

/// The answers to one actor's declarations, by position.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) tally: Tally,
    /// [`pack`]ed; 0 where no MRN was given.
    mrns: Vec<u64>,
    /// [`fingerprint`]s; 0 where the answer is not known.
    findings: Vec<u32>,
}

/// What was wrong, counted, with examples.
#[derive(Debug, Default)]
pub struct Mismatches {
    /// How many there were.
    pub count: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
}

impl Mismatches {
    /// One more, told in words while there is room.
    pub fn add(&mut self, say: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(say());
        }
    }

    /// Those of `other` as well.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        let room = EXAMPLES_MAX.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }
}

/// 36^12: so many values have the twelve characters of an MRN that are neither year, country,
/// procedure letter nor check digit.
const NATIONAL: u64 = 4_738_381_338_321_616_896;

/// An acceptance's MRN as a number that is not 0: exact for MRNs of up to three years, which is
/// all a run can meet. `None` where it is not 18 characters of the form YY NL ... R C with the right
/// check digit C.
fn pack(mrn: &str) -> Option<u64> {
    let bytes = mrn.as_bytes();
    let year: u64 = mrn.get(..2)?.parse().ok()?;
    let right = mrn_check_digit(bytes)?;
    let form = bytes.len() == 18
        && mrn.get(2..4) == Some("NL")
        && bytes.get(16) == Some(&b'R')
        && bytes.get(17).is_some_and(|&digit| digit == b'0' + right);
    if !form {
        return None;
    }
    let national = mrn.get(4..16)?.chars().try_fold(0_u64, |number, character| {
        Some(number * 36 + u64::from(character.to_digit(36)?))
    })?;
    // 3 x 36^12 is below 2^64.
    Some(year % 3 * NATIONAL + national + 1)
}

/// A hash (FNV-1a) of what a replay's answer has in common with the first one, never 0: findings
/// without their texts, which may be left out for size, value and duty.
fn fingerprint(verdict: &Verdict) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut add = |bytes: &[u8]| {
        for &byte in bytes.iter().chain(&[0xff]) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    };
    for finding in &verdict.findings {
        add(finding.reason.as_bytes());
        add(&finding.severity.to_le_bytes());
        add(&finding.goods_item_number.to_le_bytes());
        add(finding.data_element.as_bytes());
    }
    add(&verdict.intrinsic_value_eur_cents.to_le_bytes());
    add(&verdict.duty_eur_cents.to_le_bytes());
    hash.max(1)
}

fn outcome(number: i32) -> Option<Outcome> {
    u8::try_from(number).ok().and_then(Outcome::from_number)
}

fn is_reject(finding: &&Finding) -> bool {
    finding.severity == i32::from(Severity::Reject)
}

/// Whether the reasons of severity REJECT are exactly the expected ones, which are sorted.
fn same_reasons(findings: &[Finding], expected: &[&'static str]) -> bool {
    let mut found: Vec<&str> =
        findings.iter().filter(is_reject).map(|finding| finding.reason.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    found == expected
}

fn keep<T: Copy + Default>(list: &mut Vec<T>, position: usize, value: T) {
    if list.len() <= position {
        list.resize(position + 1, T::default());
    }
    if let Some(place) = list.get_mut(position) {
        *place = value;
    }
}

impl Book {
    /// Holds the verdict on the declaration at `position` against `expected`, and books it.
    ///
    /// # Errors
    /// The first thing that is not as it must be, in words.
    pub(super) fn check(
        &mut self,
        position: u64,
        expected: &Expected,
        verdict: &Verdict,
    ) -> Result<(), String> {
        let place = usize::try_from(position).map_err(|error| error.to_string())?;
        let found = outcome(verdict.outcome);
        self.count(found, expected, verdict);
        let mrn = pack(&verdict.mrn);
        if found == Some(Outcome::Accepted) {
            keep(&mut self.mrns, place, mrn.unwrap_or(0));
        }
        if found != Some(Outcome::Replayed) && verdict.findings_omitted == 0 {
            keep(&mut self.findings, place, fingerprint(verdict));
        }

        if found != Some(expected.outcome) {
            return Err(format!("outcome is {found:?}, not {:?}", expected.outcome));
        }
        if outcome(verdict.replay_of) != expected.replay_of {
            return Err(format!(
                "a replay of {:?}, not of {:?}",
                outcome(verdict.replay_of),
                expected.replay_of
            ));
        }
        if !same_reasons(&verdict.findings, &expected.reject_reasons) {
            let found: Vec<_> = verdict.findings.iter().filter(is_reject).collect();
            return Err(format!("rejected for {found:?}, not for {:?}", expected.reject_reasons));
        }
        self.check_mrn(expected, verdict, mrn)?;
        let first_answer = expected.replay_of.unwrap_or(expected.outcome);
        if first_answer == Outcome::Conflict
            && verdict.findings.first().is_none_or(|first| first.reason != "LRN_CONTENT_CONFLICT")
        {
            return Err("a conflict whose first finding is another".to_owned());
        }
        for (what, found, expected) in [
            ("value", verdict.intrinsic_value_eur_cents, expected.value_eur_cents),
            ("duty", verdict.duty_eur_cents, expected.duty_eur_cents),
        ] {
            if let Some(expected) = expected
                && found != expected
            {
                return Err(format!("{what} is {found} euro cents, not {expected}"));
            }
        }
        if let Some(first) = expected.first
            && let Some(&hash) = usize::try_from(first).ok().and_then(|at| self.findings.get(at))
            && hash != 0
            && verdict.findings_omitted == 0
            && hash != fingerprint(verdict)
        {
            return Err(format!("findings, value or duty are not those of the first ({first})"));
        }
        Ok(())
    }

    fn check_mrn(
        &self,
        expected: &Expected,
        verdict: &Verdict,
        mrn: Option<u64>,
    ) -> Result<(), String> {
        let given = &verdict.mrn;
        if expected.replay_of.unwrap_or(expected.outcome) != Outcome::Accepted {
            return if given.is_empty() {
                Ok(())
            } else {
                Err(format!("an MRN, {given}, was given"))
            };
        }
        let Some(mrn) = mrn else {
            return Err(format!("MRN {given:?} is malformed"));
        };
        let Some(first) = expected.first else {
            return Ok(());
        };
        let place = usize::try_from(first).map_err(|error| error.to_string())?;
        if self.mrns.get(place) == Some(&mrn) {
            Ok(())
        } else {
            Err(format!("MRN {given} is not the one first given ({first})"))
        }
    }

    fn count(&mut self, found: Option<Outcome>, expected: &Expected, verdict: &Verdict) {
        let tally = &mut self.tally;
        match found {
            Some(Outcome::Accepted) => {
                tally.accepted += 1;
                tally.accepted_lines += u64::from(expected.lines);
                tally.gross_mass_mg += expected.gross_mass_mg;
                tally.value_eur_cents += verdict.intrinsic_value_eur_cents;
                tally.duty_eur_cents += verdict.duty_eur_cents;
            }
            Some(Outcome::Rejected) => tally.rejected += 1,
            Some(Outcome::Replayed) => tally.replayed += 1,
            Some(Outcome::Conflict) => tally.conflicts += 1,
            None => {}
        }
    }
}

/// How many MRNs were given to more than one declaration, over all books. Empties their memory of
/// MRNs.
pub(super) fn repeated_mrns<'a>(books: impl Iterator<Item = &'a mut Book>) -> u64 {
    let mut all: Vec<u64> = Vec::new();
    for book in books {
        all.extend(std::mem::take(&mut book.mrns).into_iter().filter(|&mrn| mrn != 0));
    }
    all.sort_unstable();
    all.windows(2).filter(|pair| matches!(pair, [one, other] if one == other)).count() as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn mrn(ordinal: &str) -> String {
        let body = format!("26NL{ordinal:0>12}R");
        format!("{body}{}", mrn_check_digit(body.as_bytes()).unwrap())
    }

    fn accepted() -> (Expected, Verdict) {
        let expected = Expected {
            outcome: Outcome::Accepted,
            reject_reasons: Vec::new(),
            replay_of: None,
            first: None,
            lines: 2,
            gross_mass_mg: 5_000,
            value_eur_cents: Some(1_234),
            duty_eur_cents: Some(600),
        };
        let verdict = Verdict {
            outcome: 1,
            mrn: mrn("A1"),
            intrinsic_value_eur_cents: 1_234,
            duty_eur_cents: 600,
            ..Verdict::default()
        };
        (expected, verdict)
    }

    fn finding(reason: &str, severity: Severity) -> Finding {
        Finding { reason: reason.to_owned(), severity: severity.into(), ..Finding::default() }
    }

    #[test]
    fn an_mrn_is_packed_exactly() {
        assert_eq!(NATIONAL, 36_u64.pow(12));
        assert!(3_u64.checked_mul(NATIONAL).is_some());
        let one = pack(&mrn("A1")).unwrap();
        assert_ne!(Some(one), pack(&mrn("A2")));
        let good = mrn("A1");
        for bad in [
            String::new(),
            good.replace('R', "Q"),
            good.replacen("NL", "BE", 1),
            good.to_lowercase(),
            format!("{good}0"),
            format!("{}{}", &good[..17], (good.as_bytes()[17] - b'0' + 1) % 10),
        ] {
            assert_eq!(pack(&bad), None, "{bad}");
        }
    }

    #[test]
    fn an_answer_as_it_must_be_passes_and_is_booked() {
        let mut book = Book::default();
        let (expected, verdict) = accepted();
        assert_eq!(book.check(3, &expected, &verdict), Ok(()));
        let replay = Expected {
            outcome: Outcome::Replayed,
            replay_of: Some(Outcome::Accepted),
            first: Some(3),
            ..expected
        };
        let again = Verdict { outcome: 3, replay_of: 1, ..verdict };
        assert_eq!(book.check(9, &replay, &again), Ok(()));
        let tally = book.tally;
        assert_eq!((tally.accepted, tally.replayed, tally.accepted_lines), (1, 1, 2));
        assert_eq!((tally.value_eur_cents, tally.gross_mass_mg), (1_234, 5_000));
    }

    #[test]
    fn every_kind_of_wrong_answer_is_noticed() {
        let (expected, good) = accepted();
        let wrong = |change: fn(&mut Verdict)| {
            let mut verdict = good.clone();
            change(&mut verdict);
            Book::default().check(0, &expected, &verdict).unwrap_err()
        };
        assert!(wrong(|verdict| verdict.outcome = 2).contains("outcome"));
        assert!(wrong(|verdict| verdict.mrn.clear()).contains("malformed"));
        assert!(wrong(|verdict| verdict.replay_of = 1).contains("replay"));
        assert!(wrong(|verdict| verdict.duty_eur_cents = 0).contains("duty"));
        assert!(wrong(|verdict| verdict.intrinsic_value_eur_cents = 9).contains("value"));
        assert!(
            wrong(|verdict| verdict.findings.push(finding("FIELD_FORMAT", Severity::Reject)))
                .contains("rejected for")
        );

        let mut book = Book::default();
        book.check(0, &expected, &good).unwrap();
        let replay = Expected {
            outcome: Outcome::Replayed,
            replay_of: Some(Outcome::Accepted),
            first: Some(0),
            ..expected.clone()
        };
        let mut again = Verdict { outcome: 3, replay_of: 1, mrn: mrn("A2"), ..good.clone() };
        assert!(book.check(1, &replay, &again).unwrap_err().contains("first given"));
        again.mrn = mrn("A1");
        again.findings.push(finding("S10_COUNTRY_MISMATCH", Severity::Flag));
        assert!(book.check(1, &replay, &again).unwrap_err().contains("not those of the first"));

        let conflict = Expected {
            outcome: Outcome::Conflict,
            reject_reasons: vec!["FIELD_MISSING", "LRN_CONTENT_CONFLICT"],
            ..expected
        };
        let mut verdict = Verdict {
            outcome: 4,
            mrn: String::new(),
            findings: vec![
                finding("FIELD_MISSING", Severity::Reject),
                finding("LRN_CONTENT_CONFLICT", Severity::Reject),
            ],
            ..good
        };
        assert!(book.check(2, &conflict, &verdict).unwrap_err().contains("first finding"));
        verdict.findings.reverse();
        assert_eq!(book.check(2, &conflict, &verdict), Ok(()));
        verdict.mrn = mrn("A1");
        assert!(book.check(2, &conflict, &verdict).unwrap_err().contains("was given"));
    }

    #[test]
    fn an_mrn_given_twice_is_noticed() {
        let (expected, verdict) = accepted();
        let (mut one, mut other) = (Book::default(), Book::default());
        one.check(0, &expected, &verdict).unwrap();
        other.check(5, &expected, &Verdict { mrn: mrn("B7"), ..verdict.clone() }).unwrap();
        assert_eq!(repeated_mrns([&mut one, &mut other].into_iter()), 0);
        one.check(0, &expected, &verdict).unwrap();
        other.check(5, &expected, &verdict).unwrap();
        assert_eq!(repeated_mrns([&mut one, &mut other].into_iter()), 1);
    }
}
