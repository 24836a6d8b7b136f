//! What must hold of any bytes whatever: one function for each thing that is fuzzed, which panics where
//! it does not. `fuzz/` feeds them what libFuzzer makes, `tests/corpora.rs` what was kept of that.
//!
//! Each says what its input came to, so that a corpus that reaches nothing is noticed.

#![allow(dead_code, reason = "a fuzz target uses one of these, and only tests make seeds")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub(crate) mod journal;
pub(crate) mod judge;
pub(crate) mod lines;
pub(crate) mod pages;
pub(crate) mod reader;
pub(crate) mod run;
pub(crate) mod seeds;
pub(crate) mod submit_batch;
