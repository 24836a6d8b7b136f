//! Histories: the same from memory and from files of closed days, and the actor is no peer of its own.

use super::*;

/// `accepted` declarations of one line each and `rejected` others, by one declarant on one day.
fn mixed(on: Day, declarant: u32, accepted: usize, rejected: usize) -> Event {
    let mut delta = Delta::new(on, eori(declarant), None);
    let facts = Facts { lines: 1, intrinsic_value: 1_000, ..Facts::default() };
    for _ in 0..accepted {
        delta.add(Outcome::Accepted, &facts, &[], None);
    }
    for _ in 0..rejected {
        delta.add(Outcome::Rejected, &facts, &[], None);
    }
    Event::Batch(delta)
}

fn query(declarant: u32) -> HistoryQuery {
    HistoryQuery {
        role: Role::Declarant,
        id: id_of(declarant),
        period: Period::default(),
        names: vec!["rejection_rate".into()],
        peers: true,
    }
}

/// Declarant 1 rejects half of 1,000, and is most of all there is; 2 to 5 a tenth, two tenths, three
/// tenths and four of 100; 6 all of 29, which are too few.
fn journal() -> Journal {
    let mut journal = Journal::new();
    for on in [0, 2, 5] {
        journal.push(mixed(day(on), 1, 500, 500));
        for other in 2..=5_u32 {
            let rejected = 10 * (other as usize - 1);
            journal.push(mixed(day(on), other, 100 - rejected, rejected));
        }
        journal.push(mixed(day(on), 6, 0, 29));
    }
    journal.push(mixed(day(3), 2, 1, 0));
    journal
}

fn rate(day: &HistoryDay) -> (f64, u32, Option<f64>) {
    assert_eq!((day.indicators.len(), day.peers.len()), (1, 1));
    assert_eq!(day.peers[0].name, "rejection_rate");
    (day.indicators[0].value, day.peers[0].peers, day.peers[0].median)
}

fn close(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() < 1e-12)
}

#[test]
fn an_actor_is_measured_against_the_others_alone() {
    let kept = Kept::with(&journal());
    let (history, watermark) = kept.board().history(&query(1)).unwrap();
    let history = history.unwrap();
    assert_eq!((history.watermark, watermark), (Watermark(19), Watermark(19)));
    let days: Vec<_> = history.days.iter().map(|day| day.day).collect();
    assert_eq!(days, [day(0), day(2), day(5)]);
    for day in &history.days {
        let (own, peers, median) = rate(day);
        assert_eq!((own, peers), (0.5, 4));
        assert!(close(median, 0.25), "{median:?}");
    }
    // Of an odd number it is the one in the middle: of 0.1, 0.2, 0.3, 0.4 and 0.5.
    let (history, _) = kept.board().history(&query(6)).unwrap();
    let (own, peers, median) = rate(&history.unwrap().days[0]);
    assert_eq!((own, peers), (1.0, 5));
    assert!(close(median, 0.3), "{median:?}");
    // On day 3 nobody else declared.
    let (history, _) = kept.board().history(&query(2)).unwrap();
    assert_eq!(rate(&history.unwrap().days[2]), (0.0, 0, None));
}

#[test]
fn closed_days_say_what_they_said_when_they_were_open() {
    let mut kept = Kept::with(&journal());
    let all = HistoryQuery { names: Vec::new(), ..query(1) };
    let before = kept.board().history(&all).unwrap();
    assert!(before.0.as_ref().unwrap().days[0].indicators.len() > 3);
    for newest in [2, 4, 20] {
        kept.close_before(day(newest));
        assert_eq!(kept.board().history(&all).unwrap(), before, "closed before {newest}");
    }
    assert_eq!(kept.day_files().len(), 4);
}

#[test]
fn the_days_counted_are_stated_and_bounded() {
    let kept = Kept::with(&journal());
    let days = |first: Option<u16>, last: Option<u16>, peers| {
        let period = Period { first: first.map(day), last: last.map(day) };
        let query = HistoryQuery { period, peers, ..query(1) };
        let history = kept.board().history(&query).unwrap().0.unwrap();
        let of = |day: Day| i32::from(day.0) - i32::from(FIRST_DAY.0);
        (of(history.first), of(history.last), history.days.len())
    };
    assert_eq!(days(None, None, false), (-394, 5, 3));
    assert_eq!(days(None, None, true), (-94, 5, 3));
    assert_eq!(days(Some(1), None, true), (1, 5, 2));
    assert_eq!(days(None, Some(2), false), (-397, 2, 2));
    assert_eq!(days(Some(2), Some(2), true), (2, 2, 1));
    assert_eq!(days(Some(6), None, true), (6, 6, 0));
    // A first day that leaves more than the bound until now: the first so many.
    let long = HistoryQuery {
        period: Period { first: Some(Day(FIRST_DAY.0 - 500)), last: None },
        peers: false,
        ..query(1)
    };
    let history = kept.board().history(&long).unwrap().0.unwrap();
    assert_eq!(history.last, Day(FIRST_DAY.0 - 500 + HISTORY_DAYS_MAX - 1));
}

#[test]
fn what_is_asked_for_comes_and_nothing_else() {
    let kept = Kept::with(&journal());
    let plain = HistoryQuery { peers: false, ..query(1) };
    let history = kept.board().history(&plain).unwrap().0.unwrap();
    assert!(history.days.iter().all(|day| day.peers.is_empty() && day.indicators.len() == 1));
    assert_eq!(history.days[0].counters.rejected, 500);
    let unknown = HistoryQuery { id: id_of(99), ..query(1) };
    assert_eq!(kept.board().history(&unknown).unwrap(), (None, Watermark(19)));
}
