//! The log, to standard error: as text for people, or one JSON object a line for programs.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// In which form the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines for people; coloured on a terminal, unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One object a line: `timestamp`, `level`, `target`, `message` and the fields of the event.
    Json,
}

/// Starts the log; once for each process. `WAAG_LOG` says what is logged, `info` without it.
pub fn start(format: Format) {
    let filter = EnvFilter::try_from_env("WAAG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let is_plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => log.with_ansi(!is_plain).init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
}
