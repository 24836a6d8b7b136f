//! Which histories a test goes through, and what it says of one that fails.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The seeds from 0 to `count`. `WAAG_HISTORIES=<n>` goes through `n` times as many, and `WAAG_SEED=<seed>`
/// repeats the one that a failing test has named.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    match of("WAAG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..count * of("WAAG_HISTORIES").unwrap_or(1).max(1),
    }
}

/// Whether it goes through all of them, which together must meet everything that they are for.
pub(crate) fn is_whole_run() -> bool {
    of("WAAG_SEED").is_none()
}

fn of(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is {value:?}: not a number")))
}

/// Runs it with each of so many seeds, and names the one with which it fails.
pub(crate) fn for_seeds(count: u64, mut run: impl FnMut(u64)) {
    for seed in seeds(count) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            println!("failed with WAAG_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
