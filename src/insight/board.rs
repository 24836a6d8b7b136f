//! Reading findings: by actor or role, period and indicator, a page at a time.
//!
//! A page is of exactly one watermark: files are replaced by others with other names, and a reader whom one is
//! taken from starts again with the newer ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::day_file::FindingsFile;
use super::error::InsightError;
use super::figure::{Example, Figure};
use super::folder::Folder;
use super::kinds::Kind;
use crate::day::Day;
use crate::id::Watermark;
use crate::mrn::{Mint, Mrn};
use crate::summary::{ActorId, Period, Role};

/// Entries that one page looks at, at most: some 10 MB of files. Past it a page ends, with what it has.
const ENTRIES_MAX: usize = 20_000;
/// Times that a read starts again.
const ATTEMPTS: usize = 8;

/// What is derived, and up to where.
#[derive(Debug, Clone, Default)]
pub(super) struct Published {
    pub(super) watermark: Watermark,
    /// Of each day the last record that its findings are made of.
    pub(super) days: BTreeMap<Day, u64>,
    /// It does not come further.
    pub(super) is_stalled: bool,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingsQuery {
    /// Of actors in this role.
    pub role: Role,
    /// Of this one; otherwise of all.
    pub actor: Option<ActorId>,
    /// On these days.
    pub period: Period,
    /// These; none: all.
    pub kinds: Vec<Kind>,
    /// Only those that are worth a conversation.
    pub notable_only: bool,
    /// After this one.
    pub after: Option<FindingsCursor>,
    /// So many at most.
    pub page_size: usize,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingsCursor {
    /// The day.
    pub day: Day,
    /// The actor.
    pub id: ActorId,
    /// The indicator given last; without one, all of the actor's were looked at.
    pub kind: Option<Kind>,
}

/// A figure of an actor on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The day.
    pub day: Day,
    /// Whose.
    pub id: ActorId,
    /// What.
    pub figure: Figure,
    /// How many of the days that it looks at were past their retention when it was made.
    pub missing_days: u16,
}

/// A page of findings.
#[derive(Debug, Clone, PartialEq)]
pub struct FindingsPage {
    /// By day, then by id, then in the order of indicators.
    pub findings: Vec<Finding>,
    /// Where the next one starts.
    pub next: Option<FindingsCursor>,
    /// All figures are exactly the fold of so many records, the first ones.
    pub watermark: Watermark,
    /// It does not come further; the log says why.
    pub is_stalled: bool,
}

/// Reads findings; clones read the same.
#[derive(Debug, Clone)]
pub struct Findings {
    shared: Arc<ArcSwap<Published>>,
    folder: Folder,
    mint: Mint,
}

impl Findings {
    pub(super) fn new(shared: Arc<ArcSwap<Published>>, folder: Folder, mint: Mint) -> Self {
        Self { shared, folder, mint }
    }

    /// How many records all figures are made of.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        self.shared.load().watermark
    }

    /// Whether they do not come further; the log says why.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.shared.load().is_stalled
    }

    /// The MRN of an example of `day`.
    #[must_use]
    pub fn mrn(&self, day: Day, example: &Example) -> Mrn {
        self.mint.mrn_of(day, example.ordinal, 0)
    }

    /// The page that `query` asks for.
    ///
    /// # Errors
    /// Where a file cannot be read or is damaged, or days are replaced too often meanwhile.
    pub fn list(&self, query: &FindingsQuery) -> Result<FindingsPage, InsightError> {
        for _ in 0..ATTEMPTS {
            match Reading::new(query).read(&self.folder, &self.shared.load()) {
                Err(error) if error.is_gone() => {}
                read => return read,
            }
        }
        Err(InsightError::Unsettled)
    }
}

struct Reading<'a> {
    query: &'a FindingsQuery,
    findings: Vec<Finding>,
    next: Option<FindingsCursor>,
    /// Given, or looked at, last.
    last: Option<FindingsCursor>,
    entries: usize,
}

impl<'a> Reading<'a> {
    fn new(query: &'a FindingsQuery) -> Self {
        Self { query, findings: Vec::new(), next: None, last: None, entries: 0 }
    }

    fn read(mut self, folder: &Folder, from: &Published) -> Result<FindingsPage, InsightError> {
        let Period { first, last } = self.query.period;
        let after = self.query.after.as_ref();
        let begins = first.max(after.map(|after| after.day)).unwrap_or(Day(0));
        let ends = last.unwrap_or(Day(u16::MAX));
        let days = from.days.range(begins..).take_while(|(day, _)| **day <= ends);
        for (day, last) in days {
            if self.next.is_some() {
                break;
            }
            self.day(folder, *day, *last)?;
        }
        Ok(FindingsPage {
            findings: self.findings,
            next: self.next,
            watermark: from.watermark,
            is_stalled: from.is_stalled,
        })
    }

    fn day(&mut self, folder: &Folder, day: Day, last: u64) -> Result<(), InsightError> {
        let (path, heading) = folder.day(day, last);
        let file = FindingsFile::open(&path, &heading)?;
        let after = self.query.after.filter(|after| after.day == day);
        let from = self.query.actor.or(after.map(|after| after.id));
        file.scan(self.query.role, from.as_ref(), |((_, id), figures)| {
            if self.query.actor.is_some_and(|actor| actor != id) {
                return false;
            }
            if self.entries >= ENTRIES_MAX {
                self.next = self.last;
                return false;
            }
            self.entries += 1;
            let same = after.filter(|after| after.id == id);
            let start =
                same.map_or(0, |after| after.kind.map_or(usize::MAX, |kind| place(kind) + 1));
            for figure in figures {
                if place(figure.kind) < start || !self.wants(&figure) {
                    continue;
                }
                if self.findings.len() >= self.query.page_size {
                    self.next = self.last;
                    return false;
                }
                self.last = Some(FindingsCursor { day, id, kind: Some(figure.kind) });
                let missing_days = file.missing_days(figure.kind);
                self.findings.push(Finding { day, id, figure, missing_days });
            }
            self.last = Some(FindingsCursor { day, id, kind: None });
            self.query.actor.is_none()
        })
    }

    fn wants(&self, figure: &Figure) -> bool {
        let kinds = &self.query.kinds;
        (kinds.is_empty() || kinds.contains(&figure.kind))
            && (!self.query.notable_only || figure.is_notable())
    }
}

/// Among all indicators.
fn place(kind: Kind) -> usize {
    Kind::all().position(|other| other == kind).unwrap_or(usize::MAX)
}
