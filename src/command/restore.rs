//! `waag restore`: a data folder made of a backup.

use std::path::PathBuf;

use clap::Args;

use super::backup::{bar, show};
use super::show::thousands;
use super::{Failure, output};
use crate::backup::restore;

/// Make a data folder of a backup
///
/// Every file of the backup is checked first; what is damaged is told by name, and nothing is
/// written then. The data folder must be empty or missing. Run it as the user the server runs as.
///
/// A server on it knows what was answered up to the last record of the backup, and nothing of what
/// was answered later: that has to be sent again, and MRNs given later are void, since they are
/// given again, to other declarations. Tokens that were revoked later let in again.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct RestoreArgs {
    /// The backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The data folder: one that is empty or is made
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Restores and tells.
///
/// # Errors
/// Where the backup is damaged or was interrupted, or the data folder cannot be written.
pub fn run(args: &RestoreArgs) -> Result<(), Failure> {
    let bar = bar("restoring");
    let restored = restore(&args.from, &args.data_dir, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    let restored = restored?;
    output(|out| {
        if args.json {
            return writeln!(out, "{}", serde_json::to_string(&restored)?);
        }
        let (records, data_dir) = (restored.records, args.data_dir.display());
        writeln!(
            out,
            "{} files, {} bytes, each as it was written: records 1 to {records}",
            thousands(restored.files),
            thousands(restored.bytes)
        )?;
        if let Some(day) = &restored.dropped_through {
            writeln!(out, "days up to {day} are dropped from the archive (retention_days)")?;
        }
        writeln!(
            out,
            "Next: waag verify --data-dir {data_dir}\n      waag serve --data-dir {data_dir} (the first \
             start makes again what is derived)\nWhat was answered with a watermark past {records} is \
             not in it: have it sent again. MRNs given since\nare void: they are given again, to other \
             declarations. Tokens revoked since let in again:\nwaag token list, waag token revoke"
        )
    })
}
