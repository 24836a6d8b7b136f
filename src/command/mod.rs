//! The commands of `waag`, one file each. `main.rs` only takes the command line apart; what the
//! commands do is elsewhere in the crate.

pub mod agreement;
pub mod algorithms;
mod asking;
pub mod audit;
pub mod backup;
pub mod completions;
pub mod conformity;
pub mod connecting;
pub mod demo;
pub mod export;
pub mod findings;
pub mod generate;
pub mod judge;
pub mod man;
pub mod operate;
pub mod profile;
pub mod rebuild;
pub mod reconciliation;
pub mod restore;
pub mod rules;
pub mod sample;
pub mod send;
pub mod serve;
pub mod show;
pub mod signals;
pub mod spool;
pub mod summary;
pub mod token;
pub mod verify;

use std::io::Write;

/// Why a command failed: a sentence for the one who typed it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Writes to standard output. Whoever reads may stop reading (`| head`): that is no failure.
///
/// # Errors
/// Where standard output cannot be written.
pub fn output(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    Ok(show::unless_broken_pipe(write(&mut out).and_then(|()| out.flush()))?)
}

/// A runtime for commands that talk gRPC.
///
/// # Errors
/// Where the system gives no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// The failure and its causes, each once: some errors tell their cause themselves.
#[must_use]
pub fn with_causes(failure: &dyn std::error::Error) -> String {
    let mut told = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.contains(&text) {
            told.push_str(": ");
            told.push_str(&text);
        }
        cause = error.source();
    }
    told
}
