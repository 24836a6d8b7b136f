//! An agreement with its versions, and what state it is in.

use std::fmt;

use super::Terms;
use crate::day::{Day, Moment};

/// What an agreement is known by: `A` and its number, from 1 without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgreementId(pub(super) u32);

impl AgreementId {
    /// Reads `A17`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('A')?;
        let is_plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| is_plain).map(Self)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for AgreementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A{}", self.0)
    }
}

/// An agreement as it stood from some moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// From 1 without gaps.
    pub number: u32,
    /// What is agreed.
    pub terms: Terms,
    /// The client that recorded it, by name.
    pub recorded_by: String,
    /// When.
    pub recorded_at: Moment,
    /// The day of that.
    pub recorded_on: Day,
    /// It holds no more, for this reason, which may be empty.
    pub withdrawn: Option<String>,
}

/// An agreement.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// What it is known by.
    pub id: AgreementId,
    /// As it stands.
    pub newest: Version,
    /// As it stood before, the oldest first.
    pub earlier: Vec<Version>,
}

/// Where an agreement stands on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its start is ahead.
    Pending,
    /// From its start to its deadline, both included.
    Active,
    /// Its deadline is past. Reviews go on for a window.
    Ended,
    /// It was withdrawn.
    Withdrawn,
}

impl Agreement {
    /// Where it stands on `today`.
    #[must_use]
    pub fn state(&self, today: Day) -> State {
        let Version { terms, withdrawn, .. } = &self.newest;
        if withdrawn.is_some() {
            State::Withdrawn
        } else if today < terms.start {
            State::Pending
        } else if today <= terms.deadline {
            State::Active
        } else {
            State::Ended
        }
    }

    /// The version with this number; 0 is the newest.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&Version> {
        if number == 0 {
            return Some(&self.newest);
        }
        self.earlier.iter().chain([&self.newest]).find(|version| version.number == number)
    }

    /// Up to which day it is reviewed, as far as `today`: no further than the day on which it was withdrawn.
    #[must_use]
    pub fn reviewed_until(&self, today: Day) -> Day {
        match self.newest.withdrawn {
            Some(_) => self.newest.recorded_on.min(today),
            None => today,
        }
    }
}
