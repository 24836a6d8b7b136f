//! Totals of a role, while days close and reopen, are what a list over all days comes to.

use super::*;

/// What a list over all days says, those past the first `apart` of the journal summed.
fn listed(board: &Board, apart: u32) -> Vec<(String, Counters)> {
    let query = ListQuery {
        role: Role::Declarant,
        period: Period::default(),
        order: Order::Id,
        after: None,
        page_size: 1_000,
    };
    let mut other = Counters::default();
    let mut all = Vec::new();
    // Ids of these tests sort as they are first named.
    for (n, summary) in (0..).zip(board.list(&query).unwrap().summaries) {
        if n < apart {
            all.push((summary.id.to_string(), summary.counters));
        } else {
            other.merge(&summary.counters);
        }
    }
    all.push((OTHER.to_owned(), other));
    all
}

fn total(board: &Board, kept: &mut ClosedTotals) -> Vec<(String, Counters)> {
    let totals = board.totals(kept).unwrap();
    totals.actors.into_iter().map(|(id, counters)| (id.to_string(), counters)).collect()
}

#[test]
fn totals_are_the_sums_of_all_days_closed_or_open() {
    let mut kept = Kept::new();
    let board = kept.board().clone();
    let mut totals: Vec<_> =
        [0, 1, 3, 40].map(|apart| (apart, ClosedTotals::new(Role::Declarant, apart))).into();
    let mut journal = Journal::new();
    for n in 0..60_u16 {
        // Mostly of a new day, and now and then of one that is closed by then, which opens it again.
        let on = if n % 11 == 10 { day(n / 6 - 1) } else { day(n / 4) };
        journal.push(batch(on, u32::from(n % 7), usize::from(n % 3 + 1), None));
        kept.apply(&journal);
        if n % 5 == 0 {
            kept.close_before(day(n / 4));
        }
        for (apart, closed) in &mut totals {
            if n % 3 == 1 {
                assert_eq!(
                    total(&board, closed),
                    listed(&board, *apart),
                    "batch {n}, {apart} apart"
                );
            }
        }
    }
    assert!(kept.day_files().len() > 5, "no day was closed");
    for (apart, closed) in &mut totals {
        assert_eq!(total(&board, closed), listed(&board, *apart), "{apart} apart");
        let found = board.totals(closed).unwrap();
        assert_eq!((found.watermark, found.known), (Watermark(60), 7));
    }
}

#[test]
fn what_is_not_told_apart_never_goes_down() {
    let mut kept = Kept::new();
    let board = kept.board().clone();
    let mut closed = ClosedTotals::new(Role::Declarant, 2);
    let accepted = |board: &Board, closed: &mut ClosedTotals| {
        let all = total(board, closed);
        all.into_iter().map(|(id, counters)| (id, counters.accepted)).collect::<Vec<_>>()
    };
    assert_eq!(accepted(&board, &mut closed), [(OTHER.to_owned(), 0)]);
    let id = |n| id_of(n).to_string();
    // The third lodges more than the others, and stays among the others.
    let journal =
        vec![batch(day(0), 1, 1, None), batch(day(0), 2, 1, None), batch(day(0), 3, 9, None)];
    kept.apply(&journal);
    let expected = [(id(1), 1), (id(2), 1), (OTHER.to_owned(), 9)];
    assert_eq!(accepted(&board, &mut closed), expected);
    kept.reopen(&journal);
    let board = kept.board().clone();
    let mut closed = ClosedTotals::new(Role::Declarant, 2);
    assert_eq!(accepted(&board, &mut closed), expected, "after a restart as well");
}
