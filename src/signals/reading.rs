//! The days of declarants, read from summaries and findings.

use std::collections::BTreeMap;

use super::input::Figures;
use super::scan::{Series, Signal, scan};
use crate::day::Day;
use crate::id::Watermark;
use crate::insight::{Findings, FindingsQuery, InsightError, Kind};
use crate::summary::{
    Board, HistoryQuery, ListQuery, OTHER, Order, Period, QueryError, Role, Summary,
};

/// Most days of a period.
pub const DAYS_MAX: u16 = 100;
/// Days of a period that is left open.
const DAYS_DEFAULT: u16 = 28;
/// The declarants with most lines are looked at: real ones are about 35. Each is 28 look-ups.
pub const DECLARANTS_MAX: usize = 1_000;
/// Of fewer accepted lines over the period nothing is said.
const LINES_MIN: u64 = 500;
/// Entries of a page of findings.
const PAGE: usize = 1_000;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Signals {
    /// By declarant.
    pub signals: Vec<Signal>,
    /// The days that were looked at.
    pub days: (Day, Day),
    /// Declarants that were looked at.
    pub declarants: usize,
    /// Summaries are of so many records at least.
    pub watermark: Watermark,
    /// And findings of so many; 0 where they are switched off.
    pub findings_watermark: Watermark,
}

/// Why it could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SignalsError {
    /// Summaries.
    #[error(transparent)]
    Summary(#[from] QueryError),
    /// Findings.
    #[error(transparent)]
    Findings(#[from] InsightError),
}

/// The days of `period`: open ends are filled up to 28 days.
#[must_use]
pub fn days_of(period: Period, newest: Day) -> (Day, Day) {
    let more = DAYS_DEFAULT - 1;
    match (period.first, period.last) {
        (Some(first), Some(last)) => (first, last),
        (Some(first), None) => (first, newest.max(first).min(Day(first.0.saturating_add(more)))),
        (None, last) => {
            let last = last.unwrap_or(newest);
            (Day(last.0.saturating_sub(more)), last)
        }
    }
}

/// Reads the days of `period`, and looks at them. For a blocking thread.
///
/// # Errors
/// Where summaries or findings cannot be read.
pub fn read(
    board: &Board,
    findings: Option<&Findings>,
    period: Period,
) -> Result<Signals, SignalsError> {
    let days = days_of(period, board.newest_day()?.unwrap_or_default());
    let period = Period { first: Some(days.0), last: Some(days.1) };
    let mut watermark = board.watermark();
    let mut all = BTreeMap::new();
    for declarant in largest(board, period)? {
        let query = HistoryQuery {
            role: Role::Declarant,
            id: declarant.id,
            period,
            names: Vec::new(),
            peers: false,
        };
        let (history, as_of) = board.history(&query)?;
        watermark = watermark.min(as_of);
        let mut of_days: BTreeMap<Day, Figures> = BTreeMap::new();
        for day in history.into_iter().flat_map(|history| history.days) {
            let figures = of_days.entry(day.day).or_default();
            for of in &day.indicators {
                figures.take_indicator(&of.name, of.numerator, of.denominator);
            }
            for of in day.counters.reasons() {
                figures.take_reason(of.reason, of.declarations, day.counters.accepted);
            }
        }
        all.insert(declarant.id, of_days);
    }
    let mut findings_watermark = Watermark(0);
    if let Some(findings) = findings {
        let mut query = FindingsQuery {
            role: Role::Declarant,
            actor: None,
            period,
            kinds: Kind::all().filter(|kind| Figures::takes(*kind)).collect(),
            notable_only: false,
            after: None,
            page_size: PAGE,
        };
        loop {
            let page = findings.list(&query)?;
            findings_watermark = page.watermark;
            for found in page.findings {
                let day = all.get_mut(&found.id).and_then(|days| days.get_mut(&found.day));
                if let Some(day) = day {
                    let of = (found.figure.numerator, found.figure.denominator);
                    day.take_finding(
                        found.figure.kind,
                        of,
                        found.figure.own_value,
                        &found.figure.parts,
                    );
                }
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
    }
    let all: Vec<Series> = all.into_iter().map(|(id, days)| Series { id, days }).collect();
    let declarants = all.len();
    Ok(Signals { signals: scan(&all), days, declarants, watermark, findings_watermark })
}

/// The declarants with the most lines, as far as they are to be looked at.
fn largest(board: &Board, period: Period) -> Result<Vec<Summary>, SignalsError> {
    let (role, order) = (Role::Declarant, Order::Lines);
    let query = ListQuery { role, period, order, after: None, page_size: DECLARANTS_MAX };
    let mut largest = board.list(&query)?.summaries;
    largest.retain(|of| of.counters.accepted_lines >= LINES_MIN && of.id.as_str() != OTHER);
    Ok(largest)
}
