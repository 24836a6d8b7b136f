//! A profile with its versions, and on which days each is in force.

use std::fmt;

use super::Terms;
use crate::day::{Day, Moment};

/// What a profile is known by: `P` and its number, from 1 without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(pub(super) u32);

impl ProfileId {
    /// Reads `P17`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('P')?;
        let is_plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| is_plain).map(Self)
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.0)
    }
}

/// A profile as it stood from some moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// From 1 without gaps.
    pub number: u32,
    /// What it is.
    pub terms: Terms,
    /// The client that recorded it, by name.
    pub recorded_by: String,
    /// When.
    pub recorded_at: Moment,
    /// The day of that.
    pub recorded_on: Day,
    /// It flags nothing more, for this reason, which may be empty. The terms are those of the version before.
    pub withdrawn: Option<String>,
}

/// A profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// What it is known by.
    pub id: ProfileId,
    /// As it stands.
    pub newest: Version,
    /// As it stood before, the oldest first.
    pub earlier: Vec<Version>,
}

/// Where a profile stands on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The first day of all its versions is ahead.
    Pending,
    /// One of its versions is in force.
    Active,
    /// Its last day is past.
    Ended,
    /// It was withdrawn.
    Withdrawn,
}

impl Profile {
    /// All versions, the oldest first.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.earlier.iter().chain([&self.newest])
    }

    /// The first and last day whose declarations version `number` flags: from its start until the day before the
    /// start of one that was recorded later, or the day on which the profile was withdrawn. None where it never is
    /// in force.
    #[must_use]
    pub fn days(&self, number: u32) -> Option<(Day, Day)> {
        let version = self.versions().find(|version| version.number == number)?;
        if version.withdrawn.is_some() {
            return None;
        }
        let mut last = version.terms.end.unwrap_or(Day(u16::MAX));
        for later in self.versions().filter(|later| later.number > number) {
            last = last.min(match later.withdrawn {
                Some(_) => later.recorded_on,
                None => Day(later.terms.start.0.checked_sub(1)?),
            });
        }
        (version.terms.start <= last).then_some((version.terms.start, last))
    }

    /// The first and last day on which any version is in force.
    #[must_use]
    pub fn all_days(&self) -> Option<(Day, Day)> {
        let days = self.versions().filter_map(|version| self.days(version.number));
        days.reduce(|(first, last), days| (first.min(days.0), last.max(days.1)))
    }

    /// Where it stands on `today`.
    #[must_use]
    pub fn state(&self, today: Day) -> State {
        if self.newest.withdrawn.is_some() {
            return State::Withdrawn;
        }
        match self.all_days() {
            Some((first, _)) if today < first => State::Pending,
            Some((_, last)) if last < today => State::Ended,
            Some(_) => State::Active,
            None => State::Ended,
        }
    }
}
