//! `waag export`: the archive's tables as Parquet or CSV files, for tools of analysts.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::show::{Table, thousands};
use super::verify::FolderArgs;
use super::{Failure, output};
use crate::archive::TABLES;
use crate::day::Day;
use crate::ingest::export::{Export, Format, WHOLE, Wanted, export};

/// Write all that was lodged as Parquet or CSV files, for DuckDB, Polars, pandas and the like
///
/// Five tables, each a folder of files by day of arrival (day=2026-11-22): batches, declarations
/// (accepted, rejected and conflicting ones, with their answers), goods_items, findings and
/// replays. No server may be running on the data folder; nothing in it is changed. Every batch is
/// judged again on the way, as `waag verify` does, and a damaged journal is told.
///
/// Names and streets of importers, and of senders of gifts, are left out; two pseudonyms stand for
/// them, the same wherever the same person or address comes again. Set archive_personal_data in
/// the settings file (--config) to keep them. Whoever gets the files can still tell people from one
/// another and where they live by postcode: treat them as personal data.
///
/// The folder must be empty or missing. export.json is written last: without it, an export was
/// interrupted.
///
///   waag export --to 2026
///   waag export --data-dir /srv/waag --to november --days 2026-11-01..2026-11-30
///   waag export --to found --table findings --format csv
///   duckdb -c "SELECT declarant, outcome, count(*) FROM 'november/declarations/*/*.parquet'
///              GROUP BY ALL ORDER BY ALL"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ExportArgs {
    #[command(flatten)]
    folder: FolderArgs,

    /// Where the tables go: a folder that is empty or is made
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Days of arrival, first and last included; either may be left out, and one day may stand alone
    #[arg(long, value_name = "A..B", value_parser = days)]
    days: Option<(Day, Day)>,

    /// A table, instead of all; may be given again
    #[arg(long = "table", value_name = "TABLE", value_parser = PossibleValuesParser::new(TABLES))]
    tables: Vec<String>,

    /// What the files are. CSV has the day of arrival as a column, lists as JSON, NULL as nothing
    #[arg(long, value_enum, default_value_t)]
    format: FileFormat,
}

/// What the files are.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum FileFormat {
    #[default]
    Parquet,
    Csv,
}

impl ExportArgs {
    fn wanted(&self) -> Wanted {
        let is_wanted =
            |table: &&str| self.tables.is_empty() || self.tables.iter().any(|own| own == table);
        Wanted {
            days: self.days.unwrap_or((Day(0), Day(u16::MAX))),
            tables: TABLES.into_iter().filter(is_wanted).collect(),
            format: match self.format {
                FileFormat::Parquet => Format::Parquet,
                FileFormat::Csv => Format::Csv,
            },
        }
    }
}

/// Reads `2026-11-01..2026-11-30` for clap.
fn days(text: &str) -> Result<(Day, Day), String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let day = |text: &str, open: Day| {
        if text.is_empty() {
            return Ok(open);
        }
        Day::parse(text)
            .ok_or_else(|| format!("{text:?} is no day of 1970 to 2149 written as 2026-11-05"))
    };
    let (first, last) = (day(first, Day(0))?, day(last, Day(u16::MAX))?);
    if first > last {
        return Err(format!("{first} is after {last}"));
    }
    Ok((first, last))
}

/// Exports and tells.
///
/// # Errors
/// Where the folder is not empty, the data folder is in use or damaged, or files cannot be written.
pub fn run(args: &ExportArgs) -> Result<(), Failure> {
    let config = args.folder.config()?;
    let bar = progress();
    let shown = bar.clone();
    let exported = export(
        &config,
        &args.to,
        &args.wanted(),
        Box::new(move |progress| shown.set_position(progress.declarations)),
    );
    bar.finish_and_clear();
    let exported = exported?;
    if args.folder.json {
        return output(|out| writeln!(out, "{}", serde_json::to_string(&exported)?));
    }
    output(|mut out| {
        table(&exported).write(&mut out)?;
        let days = match (&exported.first_day, &exported.last_day) {
            (Some(first), Some(last)) => format!("days {first} to {last}"),
            _ => "nothing arrived on these days".to_owned(),
        };
        if let Some(day) = &exported.dropped_through {
            writeln!(out, "days up to {day} are dropped, and not in it (retention_days)")?;
        }
        let to = args.to.join(WHOLE);
        writeln!(out, "{days}; watermark {}; told in {}", exported.records, to.display())
    })
}

/// A count on standard error, hidden where that is no terminal: how many declarations there are is
/// not known before all have been read.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{spinner} exporting: {human_pos} declarations, {per_sec}, {elapsed}",
    );
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn table(exported: &Export) -> Table {
    let lines = exported.tables.iter().find(|totals| totals.table == "goods_items");
    let lines = lines.map_or(0, |totals| totals.rows);
    let mut table = Table::new(&["<Table", "Files", "Rows", "Bytes", "Bytes a line"]);
    for totals in &exported.tables {
        // Without the goods items nobody knows how many lines there are.
        let a_line = match (totals.bytes * 10).checked_div(lines) {
            Some(tenths) => format!("{}.{}", thousands(tenths / 10), tenths % 10),
            None => "-".to_owned(),
        };
        table.row(vec![
            totals.table.to_owned(),
            thousands(totals.files),
            thousands(totals.rows),
            thousands(totals.bytes),
            a_line,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn days_may_be_open_at_either_end_or_one_alone() {
        let day = |text| Day::parse(text).unwrap();
        let (first, last) = (day("2026-11-01"), day("2026-11-30"));
        assert_eq!(days("2026-11-01..2026-11-30"), Ok((first, last)));
        assert_eq!(days("2026-11-01.."), Ok((first, Day(u16::MAX))));
        assert_eq!(days("..2026-11-30"), Ok((Day(0), last)));
        assert_eq!(days("2026-11-30"), Ok((last, last)));
        assert!(days("2026-11-30..2026-11-01").unwrap_err().contains("after"));
        assert!(days("November").unwrap_err().contains("no day of 1970 to 2149"));
    }
}
