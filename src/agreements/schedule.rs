//! When an agreement is reviewed.

use super::Terms;
use crate::day::Day;

fn later(day: Day, days: u16) -> Day {
    Day(day.0.saturating_add(days))
}

/// The last review: that of the first window which lies wholly past the deadline.
pub(super) fn last_review(terms: &Terms) -> Day {
    later(terms.deadline, terms.window_days)
}

/// Its reviews, in order: each interval from the start on, on the deadline, each interval from there on, and last
/// when a whole window lies past the deadline.
pub(super) fn reviews(terms: &Terms) -> Vec<Day> {
    let mut days = Vec::new();
    for (from, to) in [(terms.start, terms.deadline), (terms.deadline, last_review(terms))] {
        let mut day = later(from, terms.review_interval_days);
        while day < to {
            days.push(day);
            day = later(day, terms.review_interval_days);
        }
        days.push(to);
    }
    // The last day of the calendar may be both.
    days.dedup();
    days
}

/// The window of a review: W days, the day itself the last.
pub(super) fn window(terms: &Terms, review: Day) -> (Day, Day) {
    (Day(review.0.saturating_add(1).saturating_sub(terms.window_days)), review)
}
