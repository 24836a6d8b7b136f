//! `waag rules`: check, show and write out rule files.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, output};
use crate::rules::check;

/// Flags of `waag rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the files in a folder as `waag serve --rules DIR` would take them: all or nothing
    Check {
        /// The folder; its files replace the built-in ones of the same name
        dir: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write the built-in files to a folder, to be edited there
    Export {
        /// The folder; made where it is missing, and no file in it is overwritten
        dir: PathBuf,
    },
}

/// Runs it.
///
/// # Errors
/// Every problem of every file, or a folder that cannot be read or written.
pub fn run(args: &RulesArgs) -> Result<(), Failure> {
    match &args.action {
        Action::Check { dir, json } => {
            let checked = check::check(dir)?;
            if *json {
                let line = serde_json::to_string(&checked)?;
                output(|out| writeln!(out, "{line}"))
            } else {
                output(|out| write!(out, "{checked}"))
            }
        }
        Action::Export { dir } => {
            let written = check::export(dir)?;
            output(|out| written.iter().try_for_each(|path| writeln!(out, "{}", path.display())))
        }
    }
}
