//! `waag generate`: realistic batches to a file or to standard output; of one day, or of a world over
//! some weeks (`world`).

mod world;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use parquet::errors::ParquetError;

use super::show::unless_broken_pipe;
use crate::day::Day;
use crate::generate::world::WorldError;
use crate::generate::{
    GeneratedBatch, Generator, Options, OptionsError, write_binary, write_json_line,
};
use crate::proto::v1::SubmitBatchRequest;
use crate::rows::{CsvWriter, ParquetRowsError, ParquetWriter};
use crate::send::Format;

/// What the declarations are like; the same for `waag generate` and `waag demo`.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// How many declarants send, the n-th one n-th of what the first does (Zipf)
    ///
    /// Platforms, couriers, postal operators and brokers in turn. From the fifth on a few of them
    /// misbehave in known ways: values bunched just below EUR 150, vague descriptions, wrong
    /// barcodes and the like, which are flagged and not rejected.
    #[arg(long, value_name = "N", default_value_t = 35)]
    pub actors: u32,

    /// Another seed gives other declarations; the same one gives the same bytes, on every machine
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// Share of declarations that are sent a second time, 0 to 1
    ///
    /// Accepted, rejected and conflicting ones alike, some of them spelt otherwise where that
    /// makes no difference. Each must get the answer that the first one got.
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    pub replays: f64,

    /// Share that use the LRN of an accepted declaration for other content, 0 to 1
    ///
    /// One in seven of them has a defect as well.
    #[arg(long, value_name = "SHARE", default_value_t = 0.002)]
    pub conflicts: f64,

    /// Share in which a defect is planted that must be rejected, 0 to 1
    ///
    /// Some forty kinds, from a missing city to wine and a wrong check digit. More than half of
    /// them come again under the same LRN, mostly corrected.
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    pub invalid: f64,

    /// The day on whose law the declarations are in good order
    ///
    /// Procedure codes change on 2026-07-01 and product identifiers become mandatory on
    /// 2026-11-01: what is made for one day is rejected on another.
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2026-11-05", value_parser = day)]
    pub on: Day,

    /// Declarations in a batch at most; small actors send smaller ones
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub batch: u32,
}

impl LoadArgs {
    /// What to make, so many lines of it.
    #[must_use]
    pub fn options(&self, lines: u64) -> Options {
        Options {
            lines,
            actors: self.actors,
            seed: self.seed,
            replays: self.replays,
            conflicts: self.conflicts,
            invalid: self.invalid,
            on: self.on,
            batch: self.batch,
        }
    }
}

/// Make realistic batches of declarations, to lodge or to test with
///
/// Each batch is one SubmitBatchRequest, or its declarations as rows (csv, parquet). As JSON Lines
/// it can be judged at once, and all can be sent:
///
///   waag generate --lines 1000 | waag judge --on 2026-11-05
///   waag generate --lines 1000 --format csv --out day.csv
///   waag send day.csv --to http://127.0.0.1:50051
///
/// With --from it makes a world: weeks of declarations of honest declarants and others, and the
/// truth about them in a file of its own:
///
///   waag generate --lines 1_000_000 --from 2026-10-26 --misbehave all --truth truth.jsonl --out days/
///
/// The same options give the same bytes, so a file need not be kept to be had again.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct GenerateArgs {
    /// Goods items in all; the declaration with which they are reached is the last
    ///
    /// A declaration has two goods items on average. Underscores are allowed, as in 1_000_000.
    #[arg(long, value_name = "N", value_parser = count)]
    pub lines: u64,

    /// What the declarations are like.
    #[command(flatten)]
    pub load: LoadArgs,

    /// What makes a world of it.
    #[command(flatten)]
    pub world: world::WorldArgs,

    /// Where to; standard output if left out
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// How
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub format: Format,
}

/// Why nothing more was generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// An option outside its bounds.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The same, of a world.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The file could not be made.
    #[error("--out {}: cannot be made", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is something in the folder that is to hold a file for each day.
    #[error(
        "--out {}: must be a new or empty folder, but holds {}, which would be taken for a part \
         of the world",
        path.display(), there.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// Something in it.
        there: PathBuf,
    },
    /// The file for the truth could not be made.
    #[error("--truth {}: cannot be made", path.display())]
    Truth {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Who reads the declarations would read the truth as well.
    #[error("--truth {}: is in --out ({}), but must be apart", path.display(), out.display())]
    TruthInOut {
        /// The file for the truth.
        path: PathBuf,
        /// Where the declarations go.
        out: PathBuf,
    },
    /// Writing failed.
    #[error("{to}: cannot be written")]
    Write {
        /// The file, or standard output.
        to: String,
        /// Why.
        source: io::Error,
    },
}

/// Reads a day for clap.
///
/// # Errors
/// Where it is none.
pub fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "no day of 1970 to 2149 written as 2026-11-05".to_owned())
}

/// Reads a number that may have underscores in it, for clap.
///
/// # Errors
/// Where it is none.
pub fn count(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| "not a whole number such as 1_000_000".to_owned())
}

/// A bar on standard error, hidden where that is no terminal.
pub(super) fn progress(lines: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg} {wide_bar} {human_pos} of {human_len} lines, {per_sec}, {eta} left",
    );
    ProgressBar::new(lines).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Generates and writes.
///
/// # Errors
/// An option outside its bounds, or a file that cannot be written. A reader of standard output
/// that goes away is none.
pub fn run(args: &GenerateArgs) -> Result<(), GenerateError> {
    let progress = progress(args.lines).with_message("generating");
    if args.out.is_none() {
        // Lines would run through a bar in the same terminal.
        progress.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    match args.world.from {
        Some(from) => world::run(args, from, &progress)?,
        None => one_day(args, &progress)?,
    }
    progress.finish_and_clear();
    Ok(())
}

fn one_day(args: &GenerateArgs, progress: &ProgressBar) -> Result<(), GenerateError> {
    let batches = Generator::new(&args.load.options(args.lines))?;
    match &args.out {
        Some(path) => {
            let file = File::create(path)
                .map_err(|source| GenerateError::Create { path: path.clone(), source })?;
            write(batches, args.format, file, progress)
                .map_err(|source| GenerateError::Write { to: shown(path), source })
        }
        None => unless_broken_pipe(write(batches, args.format, io::stdout(), progress))
            .map_err(|source| GenerateError::Write { to: "standard output".into(), source }),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Writes batches one after another.
enum Writer<W: Write + Send> {
    Json(W),
    Binary { out: W, buffer: Vec<u8> },
    Csv(Box<CsvWriter<W>>),
    Parquet(Box<ParquetWriter<W>>),
}

impl<W: Write + Send> Writer<W> {
    fn new(format: Format, out: W) -> io::Result<Self> {
        Ok(match format {
            Format::Json => Self::Json(out),
            Format::Binary => Self::Binary { out, buffer: Vec::new() },
            Format::Csv => Self::Csv(Box::new(CsvWriter::new(out)?)),
            Format::Parquet => Self::Parquet(Box::new(ParquetWriter::new(out).map_err(io_error)?)),
        })
    }

    fn write(&mut self, batch: &SubmitBatchRequest) -> io::Result<()> {
        match self {
            Self::Json(out) => write_json_line(out, batch),
            Self::Binary { out, buffer } => write_binary(out, batch, buffer),
            Self::Csv(writer) => writer.write(batch),
            Self::Parquet(writer) => writer.write(batch).map_err(io_error),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Json(mut out) | Self::Binary { mut out, .. } => out.flush(),
            Self::Csv(writer) => writer.finish(),
            Self::Parquet(writer) => writer.finish().map_err(io_error),
        }
    }
}

/// What the system said, where that is behind it.
fn io_error(error: ParquetRowsError) -> io::Error {
    match error {
        ParquetRowsError::Parquet(ParquetError::External(cause)) => match cause.downcast() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    }
}

fn write(
    batches: impl Iterator<Item = GeneratedBatch>,
    format: Format,
    to: impl Write + Send,
    progress: &ProgressBar,
) -> io::Result<()> {
    let mut writer = Writer::new(format, BufWriter::with_capacity(1 << 20, to))?;
    for batch in batches {
        writer.write(&batch.request)?;
        progress.inc(batch.lines);
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: GenerateArgs,
    }

    #[test]
    fn a_file_holds_what_the_generator_makes() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("day.jsonl");
        let line = ["generate", "--lines", "1_000", "--seed", "7", "--on", "2026-08-02"];
        let mut args = Line::parse_from(line).args;
        args.out = Some(out.clone());
        run(&args).unwrap();
        let written = std::fs::read(&out).unwrap();
        let mut expected = Vec::new();
        for batch in Generator::new(&args.load.options(1_000)).unwrap() {
            write_json_line(&mut expected, &batch.request).unwrap();
        }
        assert_eq!(written, expected);
        assert!(!written.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let parsed = |line: &[&str]| Line::try_parse_from(line).map(|line| line.args);
        let error = parsed(&["generate", "--lines", "many"]).unwrap_err().to_string();
        assert!(error.contains("'many' for '--lines <N>'"), "{error}");
        let error = parsed(&["generate", "--lines", "1", "--on", "5 November"]).unwrap_err();
        assert!(error.to_string().contains("no day of 1970 to 2149"), "{error}");
        let args = parsed(&["generate", "--lines", "1", "--replays", "2"]).unwrap();
        let error = run(&args).unwrap_err().to_string();
        assert_eq!(error, "--replays is 2, but a share must be 0 to 1 (0.02 for one in fifty)");
        let mut args = parsed(&["generate", "--lines", "1"]).unwrap();
        args.out = Some("/nowhere/at/all".into());
        assert!(run(&args).unwrap_err().to_string().contains("/nowhere/at/all"));
    }
}
