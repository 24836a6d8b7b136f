//! `waag backup`: a copy of a data folder, in use or not.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::show::thousands;
use super::{Failure, output};
use crate::audit::{Event, notes};
use crate::backup::{MANIFEST, Progress, backup};
use crate::config::Config;

/// Answers go before it, and it before what the server does in the background: as long as it takes, segments
/// that are sealed keep their space.
const NICER: i32 = 10;

/// Copy a data folder, while a server uses it or not, for `waag restore`
///
/// The copy has all that was answered before this command began, and some of what was answered
/// since: everything up to one record. The server goes on meanwhile; its lock is not needed.
/// All of it is checked on the way; what is damaged is told by name, and there is no backup then.
///
/// The audit log says that it was begun, by which user and to where, once a server records it: within
/// seconds, or when it starts.
///
/// The folder must be empty or missing. backup.json is written last: without it, a backup was
/// interrupted. The keys are in it: keep it as secret as the data folder. The server's settings,
/// clients file, certificates and folder of rules (--rules) are not.
///
///   waag backup --to /backup/2026-11-05
///   waag restore --from /backup/2026-11-05 --data-dir restored
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct BackupArgs {
    /// Where the copy goes: a folder that is empty or is made
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The data folder, ./waag-data if not set
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Copies and tells.
///
/// # Errors
/// Where the folder is not one to write into, its disk has too little space, or the data folder is
/// damaged.
pub fn run(args: &BackupArgs) -> Result<(), Failure> {
    let data_dir = args.data_dir.clone().unwrap_or_else(|| Config::default().data_dir);
    record(&data_dir, &args.to);
    // Where that is refused it runs like the server.
    let _ = rustix::process::nice(NICER);
    let bar = bar("copying");
    let taken = backup(&data_dir, &args.to, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    let taken = taken?;
    output(|out| {
        if args.json {
            return writeln!(out, "{}", serde_json::to_string(&taken)?);
        }
        writeln!(
            out,
            "{} files, {} bytes: records 1 to {}; told in {}",
            thousands(taken.files),
            thousands(taken.bytes),
            taken.records,
            args.to.join(MANIFEST).display()
        )?;
        if let Some(day) = &taken.dropped_through {
            writeln!(out, "days up to {day} are dropped from the archive (retention_days)")?;
        }
        if let Some(head) = &taken.audit_head {
            writeln!(out, "audit log up to {head}")?;
        }
        writeln!(out, "It has the keys: keep it as secret as {}", data_dir.display())
    })
}

/// Has the audit log say that a backup begins. Where it cannot, as on a full disk, the backup matters more:
/// whoever may take one may read all files anyway.
fn record(data_dir: &Path, to: &Path) {
    if !data_dir.is_dir() {
        return;
    }
    let to = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
    let user = rustix::process::getuid().as_raw();
    let began = jiff::Timestamp::now();
    let what = format!("to {}, by user {user}, begun {began:.0}", to.display());
    if let Err(error) = notes::leave(data_dir, Event::of_server("backup", what)) {
        tracing::warn!(%error, "the audit log will not tell of this backup");
    }
}

/// On standard error, hidden where that is no terminal.
pub(super) fn bar(doing: &str) -> ProgressBar {
    let template =
        format!("{doing} {{bar:30}} {{bytes}} of {{total_bytes}}, {{bytes_per_sec}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template);
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(super) fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.of);
    bar.set_position(progress.bytes);
}
