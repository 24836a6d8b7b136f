//! `waag verify`: checks everything in a data folder and changes nothing.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, output};
use crate::config::{ByteSize, Config};
use crate::ingest::inspect::{self, Inspection};

/// Flags of `waag verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    folder: FolderArgs,
}

/// Which data folder, and how to read it.
#[derive(Debug, Args)]
pub struct FolderArgs {
    /// The data folder, ./waag-data if not set; no server may be running on it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Memory for the index, as large as the server's; 3GiB if not set
    #[arg(long, value_name = "SIZE")]
    memory_max: Option<ByteSize>,
    /// The server's settings file, where it has one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

impl FolderArgs {
    pub(super) fn config(&self) -> Result<Config, Failure> {
        let config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        Ok(Config {
            data_dir: self.data_dir.clone().unwrap_or(config.data_dir),
            memory_max: self.memory_max.unwrap_or(config.memory_max),
            ..config
        })
    }

    /// Runs `inspect` on the folder and prints what it found.
    pub(super) fn run(
        &self,
        inspect: fn(&Config) -> Result<Inspection, crate::ingest::StartError>,
    ) -> Result<(), Failure> {
        let inspection = inspect(&self.config()?)?;
        output(|out| {
            if self.json {
                let line = serde_json::to_string(&inspection)?;
                return writeln!(out, "{line}");
            }
            let width = inspection.parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
            for part in &inspection.parts {
                let verdict = if part.is_sound { "sound" } else { "DAMAGED" };
                writeln!(out, "{:<width$} {verdict:<8} {}", part.name, part.found)?;
            }
            writeln!(out, "summaries digest {}", inspection.summaries_digest)
        })?;
        if inspection.is_sound() { Ok(()) } else { Err("the data folder is not sound".into()) }
    }
}

/// Checks and tells.
///
/// # Errors
/// Where something is damaged, or a check could not be made.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    args.folder.run(inspect::verify)
}
