//! `waag audit`: reads the audit log, and checks that it is what was written.

use std::path::PathBuf;

use clap::Args;

use super::show::{plain, thousands};
use super::{Failure, output};
use crate::audit::check::{self, Head};
use crate::audit::{Entry, FOLDER, Hash};
use crate::config::Config;
use crate::day::Day;

/// Read the audit log and check its chain of hashes
///
/// Prints every entry, or those that the flags choose, and ends with an error at the first line that is not
/// what was written. May be run beside a server.
///
///   waag audit --who lotusbay --since 2026-11-01
///   waag audit --denied
///   waag audit --head                    # keep this line elsewhere ...
///   waag audit --head --expect 1042:9f3c...    # ... and ask for it later
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct AuditArgs {
    /// The data folder, if it is not that of the settings; ./waag-data if neither is set
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server's settings file, where it has one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only what this client did
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only what concerns this: a part of the target, as an EORI
    #[arg(long, value_name = "TEXT")]
    target: Option<String>,
    /// Only from this moment on, UTC, as 2026-11-29 or 2026-11-29T08:30
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Only who was refused
    #[arg(long)]
    denied: bool,
    /// No entries, but the number and hash of the last one, as N:HASH
    #[arg(long)]
    head: bool,
    /// That entry N has this hash, so that all up to it is as it was
    #[arg(long, value_name = "N:HASH", value_parser = head)]
    expect: Option<Head>,
    /// Print entries as they stand in the log, one JSON object to a line
    #[arg(long)]
    json: bool,
}

fn head(text: &str) -> Result<Head, String> {
    let wrong =
        || "write it as waag audit --head prints it: a number, a colon, 64 hexadecimal digits";
    let (n, hash) = text.split_once(':').ok_or_else(wrong)?;
    let n = n.parse().map_err(|_| wrong())?;
    Ok(Head { n, hash: Hash::parse(hash).ok_or_else(wrong)? })
}

/// As entries have it, so that it can be compared with them as text.
fn moment(text: &str) -> Result<String, String> {
    let wrong = || {
        format!("{text:?} is no moment of 1970 to 2149 written as 2026-11-29 or 2026-11-29T08:30")
    };
    let of_utc = text.strip_suffix('Z').unwrap_or(text);
    let (day, time) =
        of_utc.split_once('T').map_or((of_utc, None), |(day, time)| (day, Some(time)));
    Day::parse(day).ok_or_else(wrong)?;
    let is_time = |time: &str| {
        let parts: Vec<&str> = time.split(':').collect();
        let is_part = |(part, most): (&&str, u8)| {
            part.len() == 2
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse().is_ok_and(|n: u8| n <= most)
        };
        (2..=3).contains(&parts.len()) && parts.iter().zip([23, 59, 59]).all(is_part)
    };
    if time.is_none_or(is_time) { Ok(of_utc.to_owned()) } else { Err(wrong()) }
}

impl AuditArgs {
    fn shows(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        !self.head
            && self.who.as_ref().is_none_or(|who| event.who == *who)
            && self.target.as_ref().is_none_or(|target| event.target.contains(target))
            && self.since.as_ref().is_none_or(|since| entry.at >= *since)
            && (!self.denied || !event.denied.is_empty())
    }
}

/// Reads, checks and prints.
///
/// # Errors
/// Where the log is not what was written, or not what is expected.
pub fn run(args: &AuditArgs) -> Result<(), Failure> {
    let config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    let data_dir = args.data_dir.as_ref().unwrap_or(&config.data_dir);
    if !data_dir.is_dir() {
        return Err(
            format!("{} is no folder: --data-dir says where it is", data_dir.display()).into()
        );
    }
    let mut expected = None;
    let mut result = Ok(Head::default());
    output(|out| {
        let mut told = Ok(());
        let read = check::read(&data_dir.join(FOLDER), |entry, hash| {
            if args.expect.is_some_and(|expect| expect.n == entry.n) {
                expected = Some(hash);
            }
            if told.is_ok() && args.shows(entry) {
                told = show(args, entry, out);
            }
        });
        // What is being written just now is whole the next time.
        result = read.map(|(head, _)| head);
        told
    })?;
    let head = result?;
    if let Some(expect) = args.expect {
        match expected {
            Some(hash) if hash == expect.hash => {}
            Some(hash) => {
                return Err(format!(
                    "entry {} has the hash {hash}, not {}: the log was written anew",
                    expect.n, expect.hash
                )
                .into());
            }
            None => {
                return Err(format!(
                    "there is no entry {}; the last is {}: the log was cut off",
                    expect.n, head.n
                )
                .into());
            }
        }
    }
    if args.head {
        return output(|out| writeln!(out, "{head}"));
    }
    tracing::info!(entries = thousands(head.n), head = %head.hash, "every hash is right");
    Ok(())
}

fn show(args: &AuditArgs, entry: &Entry, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    if args.json {
        return writeln!(out, "{}", serde_json::to_string(entry)?);
    }
    let Entry { at, event, unrecorded, .. } = entry;
    write!(out, "{at}  {}", plain(&event.who))?;
    if !event.shown.is_empty() {
        write!(out, " ({})", plain(&event.shown))?;
    }
    if !event.from.is_empty() {
        write!(out, " from {}", plain(&event.from))?;
    }
    write!(out, "  {} {}", plain(&event.action), plain(&event.target))?;
    if !event.denied.is_empty() {
        write!(out, "  DENIED: {}", plain(&event.denied))?;
    }
    if *unrecorded > 0 {
        write!(out, "  (and {} refusals before it)", thousands(*unrecorded))?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_is_none_hides_no_entry() {
        for (text, taken) in [
            ("2026-12-01", "2026-12-01"),
            ("2026-12-01T08:30", "2026-12-01T08:30"),
            ("2026-12-01T08:30:59Z", "2026-12-01T08:30:59"),
        ] {
            assert_eq!(moment(text).as_deref(), Ok(taken));
        }
        for wrong in [
            "",
            "2026-12-1",
            "01-12-2026",
            "2026-13-01",
            "2026-12-01T",
            "2026-12-01T8:30",
            "2026-12-01T24:00",
            "2026-12-01T+8:30",
            "garbage",
        ] {
            assert!(moment(wrong).is_err_and(|told| told.contains("2026-11-29T08:30")), "{wrong}");
        }
    }
}
