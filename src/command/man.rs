//! `waag man`: the help of all commands as pages for man.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man;

use super::{Failure, output};

/// Print the help as pages for man
///
/// The same texts as --help has. Without --out the page of waag itself, which names the others:
///
///   waag man | man -l -
///
/// Once, for one user; man waag and man waag-send then show them:
///
///   waag man --out ~/.local/share/man/man1
///
/// The Debian package brings them for all users. After an update of waag write them again.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ManArgs {
    /// Write a page for waag and one for each of its commands, as waag-send.1, into this folder
    ///
    /// It is made where it is missing; pages of the same names are replaced.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the pages of `command`, the whole command line.
///
/// # Errors
/// Standard output or a file that cannot be written.
pub fn run(args: &ManArgs, command: clap::Command) -> Result<(), Failure> {
    // `help` says nothing that --help does not, and would have pages of its own.
    let mut command = command.disable_help_subcommand(true);
    // Gives each command its full name: waag-agreement-record and not record.
    command.build();
    let version = format!("waag {}", command.get_version().unwrap_or_default());
    match &args.out {
        None => output(|out| page(&command, &version).render(out)),
        Some(folder) => write(&command, &version, folder)
            .map_err(|error| format!("cannot write pages to {}: {error}", folder.display()).into()),
    }
}

/// Writes the page of `command` and those of all below it that are not hidden.
fn write(command: &clap::Command, version: &str, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    page(command, version).generate_to(folder)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write(below, version, folder)?;
    }
    Ok(())
}

/// With the version where a page has its date: the same program gives the same bytes.
fn page(command: &clap::Command, version: &str) -> Man {
    Man::new(command.clone()).date(version).source("Waag")
}
