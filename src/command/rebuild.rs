//! `waag rebuild`: throws catalog and runs away and makes them again from archive and journal.

use clap::Args;

use super::Failure;
use super::verify::FolderArgs;
use crate::ingest::rebuild::rebuild;

/// Flags of `waag rebuild`.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    folder: FolderArgs,
}

/// Rebuilds and tells.
///
/// # Errors
/// Where the journal is damaged, or the catalog cannot be written.
pub fn run(args: &RebuildArgs) -> Result<(), Failure> {
    args.folder.run(rebuild)
}
