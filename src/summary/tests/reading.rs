//! Lists, waiting, and reading while days close.

use std::time::{Duration, Instant};

use super::*;

fn query(order: Order, page_size: usize) -> ListQuery {
    let (role, period) = (Role::IossHolder, Period::default());
    ListQuery { role, period, order, after: None, page_size }
}

/// 300 IOSS numbers over three days, number n with n % 7 + 1 declarations on day n % 3 and, if it
/// is even, one more on day 2.
fn journal() -> Journal {
    let mut journal = Journal::new();
    for n in 0..300_u32 {
        let on = u16::try_from(n % 3).unwrap();
        journal.push(batch(day(on), 1, n as usize % 7 + 1, Some(n)));
    }
    for n in (0..300).step_by(2) {
        journal.push(batch(day(2), 1, 1, Some(n)));
    }
    journal
}

fn lines_of(n: u32) -> u64 {
    2 * (u64::from(n % 7 + 1) + u64::from(n.is_multiple_of(2)))
}

fn pages(board: &Board, mut query: ListQuery) -> Vec<Summary> {
    let mut all = Vec::new();
    loop {
        let page = board.list(&query).unwrap();
        assert!(page.summaries.len() <= query.page_size);
        assert!(page.summaries.iter().all(|summary| summary.watermark == page.watermark));
        all.extend(page.summaries);
        let Some(next) = page.next else { return all };
        query.after = Some(next);
    }
}

#[test]
fn pages_by_id_give_each_actor_exactly_once() {
    let mut kept = Kept::with(&journal());
    // All days open; one closed; all closed.
    for newest in [0, 2, 9] {
        kept.close_before(day(newest));
        for page_size in [1, 7, 299, 300, 1_000] {
            let all = pages(kept.board(), query(Order::Id, page_size));
            let ids: Vec<_> = all.iter().map(|summary| summary.id.to_string()).collect();
            let expected: Vec<_> = (0..300).map(|n| ioss(n).to_string()).collect();
            assert_eq!(ids, expected);
            let lines: Vec<_> = all.iter().map(|summary| summary.counters.accepted_lines).collect();
            assert_eq!(lines, (0..300).map(lines_of).collect::<Vec<_>>());
        }
    }
    assert_eq!(kept.day_files().len(), 3);
}

#[test]
fn pages_by_lines_rank_the_largest_first() {
    let mut kept = Kept::with(&journal());
    let mut expected: Vec<_> =
        (0..300).map(|n| (std::cmp::Reverse(lines_of(n)), ActorId::from(ioss(n)))).collect();
    expected.sort();
    for round in 0..3 {
        for page_size in [1, 40, 300] {
            let all = pages(kept.board(), query(Order::Lines, page_size));
            let found: Vec<_> = all
                .iter()
                .map(|summary| (std::cmp::Reverse(summary.counters.accepted_lines), summary.id))
                .collect();
            assert_eq!(found, expected, "round {round}, {page_size} a page");
        }
        kept.close_before(day(2 + round));
    }
}

/// Pages by lines have the figures that pages by id have, whether few or many entries of a day are read.
fn assert_same_figures(board: &Board) {
    let mut by_id = pages(board, query(Order::Id, 1_000));
    by_id.sort_by_key(|summary| (std::cmp::Reverse(summary.counters.accepted_lines), summary.id));
    for page_size in [1, 3, 40, 300] {
        assert_eq!(pages(board, query(Order::Lines, page_size)), by_id, "{page_size} a page");
    }
}

#[test]
fn figures_of_days_that_were_ranked_before_are_those_of_their_files() {
    let mut journal = journal();
    let mut kept = Kept::with(&journal);
    kept.close_before(day(9));
    let board = kept.board().clone();
    assert_same_figures(&board);
    assert_same_figures(&board);
    // Late ones, the first of them the largest now: the day has another file once it is closed again.
    for (n, accepted) in [(4, 50_000), (5, 1), (301, 9)] {
        journal.push(batch(day(1), 1, accepted, Some(n)));
    }
    kept.apply(&journal);
    assert_same_figures(&board);
    kept.close_before(day(9));
    assert_same_figures(&board);
    let largest = board.list(&query(Order::Lines, 1)).unwrap().summaries.remove(0);
    assert_eq!(
        (largest.id, largest.counters.accepted_lines),
        (ioss(4).into(), 100_000 + lines_of(4))
    );
    // After another start all is read from files again.
    kept.reopen(&journal);
    assert_same_figures(kept.board());
}

#[test]
fn what_was_read_ahead_is_not_read_again_but_for_the_figures_of_a_page() {
    let mut kept = Kept::with(&journal());
    kept.close_before(day(9));
    kept.board().read_ahead().unwrap();
    for path in kept.day_files() {
        // In place, so that the file which is held open is the one that changes.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.get_mut(36..1_000).unwrap().iter_mut().for_each(|byte| *byte ^= 0x10);
        std::fs::write(&path, bytes).unwrap();
    }
    // Without them the block would be told, whoever is in it.
    let told =
        |page_size| kept.board().list(&query(Order::Lines, page_size)).unwrap_err().to_string();
    assert!(told(3).contains("is no longer what it was"), "{}", told(3));
    assert!(told(300).contains("the checksum of its block"), "{}", told(300));
}

#[test]
fn a_period_holds_its_own_days_alone() {
    let mut kept = Kept::with(&journal());
    for newest in [0, 2, 3, 4] {
        kept.close_before(day(newest));
        let period = Period { first: Some(day(1)), last: Some(day(1)) };
        let listed = pages(kept.board(), ListQuery { period, ..query(Order::Id, 50) });
        assert_eq!(listed.len(), 100);
        assert_eq!(kept.board().ids_in(Role::IossHolder, period).unwrap().len(), 100);
        // Known, but without figures there.
        let (summary, _) = kept.board().summary(Role::IossHolder, &ioss(0).into(), period).unwrap();
        assert!(summary.unwrap().counters.is_empty());
        let after = Period { first: Some(day(3)), last: None };
        assert!(kept.board().ids_in(Role::IossHolder, after).unwrap().is_empty());
    }
}

#[test]
fn changes_are_told_by_watermark() {
    let mut kept = Kept::with(&vec![batch(day(0), 1, 1, Some(1)), batch(day(0), 2, 1, Some(1))]);
    let board = kept.board().clone();
    let changed = |role, since| board.changed_since(role, Watermark(since)).unwrap().0;
    assert_eq!(changed(Role::Declarant, 0), [id_of(1), id_of(2)]);
    assert_eq!(changed(Role::Declarant, 1), [id_of(2)]);
    assert_eq!(changed(Role::IossHolder, 1), [ActorId::from(ioss(1))]);
    assert_eq!(changed(Role::Declarant, 2), []);
    // Closing a day changes nothing, and forgets no change.
    kept.close_before(day(2));
    assert_eq!(changed(Role::Declarant, 1), [id_of(2)]);
}

#[tokio::test]
async fn waiting_ends_when_it_is_reached_or_over_or_hopeless() {
    let mut kept = Kept::with(&vec![Event::Other]);
    let board = kept.board().clone();
    let in_a_minute = Instant::now() + Duration::from_secs(60);
    assert!(board.wait_for(Watermark(1), in_a_minute).await);
    assert!(!board.wait_for(Watermark(2), Instant::now() + Duration::from_millis(5)).await);

    let waiting = tokio::spawn({
        let board = board.clone();
        async move { board.wait_for(Watermark(2), in_a_minute).await }
    });
    tokio::task::yield_now().await;
    kept.fold().apply(Watermark(2), &Event::Other).unwrap();
    assert!(waiting.await.unwrap());

    let waiting = tokio::spawn({
        let board = board.clone();
        async move { board.wait_for(Watermark(3), in_a_minute).await }
    });
    kept.open = None;
    assert!(!waiting.await.unwrap(), "the fold is gone");
    board.stopped().await;
}

#[test]
fn readers_see_whole_records_while_days_close_and_reopen() {
    // Each record adds one declaration for number 1 on each role's side, so the figures must be
    // those of the watermark that comes with them.
    let mut kept = Kept::new();
    let board = kept.board().clone();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0_u64;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let id = ActorId::from(ioss(1));
                let (summary, watermark) =
                    board.summary(Role::IossHolder, &id, Period::default()).unwrap();
                let accepted = summary.map_or(0, |summary| summary.counters.accepted);
                assert_eq!(accepted, watermark.0);
                for order in [Order::Id, Order::Lines] {
                    let page = board.list(&query(order, 5)).unwrap();
                    let total: u64 = page.summaries.iter().map(|s| s.counters.accepted).sum();
                    assert_eq!(total, page.watermark.0);
                }
                reads += 1;
            }
            reads
        });
        let mut beside = None;
        for n in 1..=200_u64 {
            // Days 0 to 9 and back to 0, five records each, so that most are late ones.
            let on = day(u16::try_from(n / 5 % 10).unwrap());
            kept.fold().apply(Watermark(n), &batch(on, 1, 1, Some(1))).unwrap();
            match n % 5 {
                0 => {
                    kept.close_before(day(11));
                }
                // And beside the fold, while three more come.
                1 => {
                    let begun = kept.fold().begin_checkpoint().unwrap();
                    beside = begun.map(|begun| scope.spawn(|| begun.write().unwrap()));
                }
                4 => {
                    let written = beside.take().map(|writer| writer.join().unwrap());
                    written.into_iter().for_each(|written| kept.fold().end_checkpoint(written));
                }
                _ => {}
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}
