//! A right answer passes, and a wrong one is found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use prost::Message;
use waag::day::Day;
use waag::generate::Options;
use waag::proto::v1::{self, BatchTotals, SubmitBatchResponse};

use super::super::answer::Answer;
use super::super::template::Templates;
use super::*;

const ID: &str = "a batch";

fn template() -> Template {
    let on = Day::parse("2026-11-05").unwrap();
    let options = Options { batch: 10, actors: 3, invalid: 0.3, ..Options::on(on) };
    let list = Templates::make(&options, None, 8, &[4]).unwrap().list;
    let mixed = |template: &&Template| {
        template.places[0].first == Outcome::Accepted
            && template.places.iter().any(|place| place.first == Outcome::Rejected)
    };
    list.iter().find(mixed).unwrap().clone()
}

fn sending(parts: &[(usize, Part)], batch: u64, again: bool) -> Sending {
    let mut all = vec![Part::New; 10];
    for &(place, part) in parts {
        all[place] = part;
    }
    Sending { number: 50, batch, template: 0, parts: Arc::from(all), again }
}

fn mrn(ordinal: u64) -> String {
    let body = format!("26NL{ordinal:012}R");
    format!("{body}{}", mrn_check_digit(body.as_bytes()).unwrap())
}

/// The answer that a server without fault gives.
fn right(template: &Template, sending: &Sending) -> SubmitBatchResponse {
    let mut totals = BatchTotals::default();
    let verdicts = template
        .places
        .iter()
        .enumerate()
        .map(|(at, place)| {
            let (first, by) = match sending.part(at) {
                Part::New => (place.first, sending.batch),
                Part::Replay { of } => (place.first, of),
                Part::Conflict { .. } => (Outcome::Conflict, 0),
            };
            let again = sending.again || matches!(sending.part(at), Part::Replay { .. });
            let mut reasons = place.reject_reasons.clone();
            if first == Outcome::Conflict {
                reasons = vec![CONFLICT];
            }
            let mut verdict = v1::Verdict {
                outcome: if again { 3 } else { first as i32 },
                replay_of: if again { first as i32 } else { 0 },
                findings: reasons
                    .iter()
                    .map(|&reason| v1::Finding {
                        reason: reason.into(),
                        severity: REJECT,
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            };
            if first == Outcome::Accepted {
                verdict.mrn = mrn(by * 10 + at as u64);
                verdict.intrinsic_value_eur_cents = place.value_eur_cents.unwrap_or(7);
                verdict.duty_eur_cents = place.duty_eur_cents.unwrap_or(300);
            }
            match verdict.outcome {
                1 => {
                    totals.accepted += 1;
                    totals.accepted_lines += place.lines;
                }
                2 => totals.rejected += 1,
                3 => totals.replayed += 1,
                _ => totals.conflicts += 1,
            }
            verdict
        })
        .collect();
    let batch_id = ID.into();
    SubmitBatchResponse {
        batch_id,
        verdicts,
        totals: Some(totals),
        watermark: 9,
        ..Default::default()
    }
}

fn checked(
    book: &mut Book,
    template: &Template,
    sending: &Sending,
    answer: &SubmitBatchResponse,
) -> Counts {
    let bytes = answer.encode_to_vec();
    let Answer::Verdicts(verdicts) = Answer::of_call(&bytes).unwrap() else { panic!() };
    book.check(sending, ID, template, &verdicts)
}

#[test]
fn a_right_answer_passes_and_is_counted() {
    let template = template();
    let mut book = Book::new(1, 10, 1_000);
    let first = sending(&[], 3, false);
    let counts = checked(&mut book, &template, &first, &right(&template, &first));
    assert_eq!((counts.declarations, counts.accepted + counts.rejected), (10, 10));

    let planted = [(0, Part::Replay { of: 3 }), (9, Part::New)];
    let second = sending(&planted, 50, false);
    let counts = checked(&mut book, &template, &second, &right(&template, &second));
    assert_eq!((counts.replays_planted, counts.replays_found), (1, 1));
    assert_eq!(counts.replays_with_mrn_checked, 1);

    let third = sending(&[(0, Part::Conflict { with: 3 })], 50, false);
    let counts = checked(&mut book, &template, &third, &right(&template, &third));
    assert_eq!((counts.conflicts_planted, counts.conflicts_found, counts.invented), (1, 1, 0));

    let again = sending(&[(0, Part::Conflict { with: 3 })], 50, true);
    let counts = checked(&mut book, &template, &again, &right(&template, &again));
    assert_eq!((counts.replays_planted, counts.replays_found, counts.conflicts), (10, 10, 0));
    assert_eq!(book.mismatches.count, 0, "{:?}", book.mismatches.examples);
    assert_eq!(book.watermark, 9);
    assert_eq!(book.tallies[0].replayed, 11);
}

#[test]
fn an_answer_with_one_outcome_changed_is_found() {
    let template = template();
    for parts in [&[][..], &[(0, Part::Replay { of: 3 })], &[(0, Part::Conflict { with: 3 })]] {
        let sending = sending(parts, 50, false);
        let good = right(&template, &sending);
        for place in 0..10 {
            for outcome in 0..=5 {
                let mut answer = good.clone();
                if answer.verdicts[place].outcome == outcome {
                    continue;
                }
                answer.verdicts[place].outcome = outcome;
                let mut book = Book::new(1, 10, 1_000);
                checked(&mut book, &template, &sending, &answer);
                // The verdict itself, and that the totals are not its own.
                assert_eq!(book.mismatches.count, 2, "{place} {outcome}");
                assert!(book.mismatches.examples[0].contains(&format!("declarations[{place}]")));
            }
        }
    }
}

#[test]
fn a_new_declaration_answered_as_a_replay_is_an_invented_one() {
    let template = template();
    let sending = sending(&[], 3, false);
    let mut answer = right(&template, &sending);
    answer.verdicts[0].outcome = 3;
    let mut book = Book::new(1, 10, 1_000);
    let counts = checked(&mut book, &template, &sending, &answer);
    assert_eq!((counts.invented, counts.replays_planted), (1, 0));
}

#[test]
fn every_other_kind_of_wrong_answer_is_found() {
    let template = template();
    let first = sending(&[], 3, false);
    let replay = sending(&[(0, Part::Replay { of: 3 })], 50, false);
    let conflict = sending(&[(0, Part::Conflict { with: 3 })], 50, false);
    let rejected =
        template.places.iter().position(|place| place.first == Outcome::Rejected).unwrap();
    let found = |sending: &Sending, change: &dyn Fn(&mut SubmitBatchResponse), says: &str| {
        let mut book = Book::new(1, 10, 1_000);
        checked(&mut book, &template, &first, &right(&template, &first));
        assert_eq!(book.mismatches.count, 0);
        let mut answer = right(&template, sending);
        change(&mut answer);
        checked(&mut book, &template, sending, &answer);
        assert_eq!(book.mismatches.count, 1, "{says}: {:?}", book.mismatches.examples);
        assert!(book.mismatches.examples[0].contains(says), "{:?}", book.mismatches.examples);
    };
    let finding = |reason: &str| v1::Finding {
        reason: reason.into(),
        severity: REJECT,
        ..Default::default()
    };
    found(&replay, &|answer| answer.verdicts[0].mrn = mrn(77), "another MRN");
    found(&replay, &|answer| answer.verdicts[0].replay_of = 2, "a replay of");
    found(&first, &|answer| answer.verdicts[0].mrn.clear(), "malformed");
    found(&first, &|answer| answer.verdicts[0].mrn = format!("{}0", &mrn(1)[..17]), "malformed");
    found(&first, &|answer| answer.verdicts[rejected].mrn = mrn(1), "was given");
    found(&first, &|answer| answer.verdicts[rejected].findings.clear(), "rejected for");
    found(&first, &|answer| answer.verdicts[0].findings.push(finding("FIELD_FORMAT")), "rejected");
    found(&first, &|answer| answer.verdicts[0].duty_eur_cents += 1, "euro cents");
    found(
        &conflict,
        &|answer| answer.verdicts[0].findings.insert(0, finding("FIELD_FORMAT")),
        "first finding",
    );
    found(&first, &|answer| answer.batch_id.push('x'), "batch_id");
    found(&first, &|answer| answer.totals = None, "totals");
}

#[test]
fn a_sink_that_has_not_read_all_is_found_out() {
    let template = template();
    let mut book = Book::new(1, 10, 0);
    let lines = u32::try_from(template.lines).unwrap();
    let mut check = |batch_id: &str, accepted, accepted_lines| {
        let totals = Some(BatchTotals { accepted, accepted_lines, ..Default::default() });
        let batch_id = batch_id.to_owned();
        let answer = SubmitBatchResponse { batch_id, totals, ..Default::default() }.encode_to_vec();
        let Ok(Answer::Verdicts(read)) = Answer::of_call(&answer) else { panic!("no answer") };
        let before = book.mismatches.count;
        let counts = book.check_counts(ID, &template, &read);
        assert_eq!((counts.declarations, counts.lines), (10, template.lines));
        book.mismatches.count - before
    };
    assert_eq!(check(ID, 10, lines), 0);
    assert_eq!(check(ID, 9, lines), 1);
    assert_eq!(check(ID, 10, lines - 1), 1);
    assert_eq!(check("another", 10, lines), 1);
}
