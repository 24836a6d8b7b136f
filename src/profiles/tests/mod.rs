#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod days;
mod following;
mod matching;
mod storing;

use super::*;
use crate::book::Recorder;
use crate::day::{Day, Moment};

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn recorder(day: &str) -> Recorder {
    Recorder { by: "analyst".into(), at: Moment(1_793_876_400_000), on: self::day(day) }
}

fn terms(name: &str, start: &str) -> Terms {
    Terms {
        name: name.into(),
        purpose: "as \"said\"\nin the meeting".into(),
        owner: "team e-commerce".into(),
        start: day(start),
        end: None,
        conditions: Conditions { hs_prefixes: vec!["8507".into()], ..Conditions::default() },
    }
}
