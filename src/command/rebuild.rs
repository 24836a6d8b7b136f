//! `waag rebuild`: throws the catalog away and makes it again from the journal.

use clap::Args;

use super::Failure;
use super::verify::FolderArgs;
use crate::ingest::inspect;

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
    args.folder.run(inspect::rebuild)
}
