//! `waag-load study`: what is found of those who misbehave, in worlds of which the truth is known.
//!
//! Each world is lodged with an engine in this process, a day at a time, as the server would take it; what comes
//! of it is read as any reader reads it. Figures and truth go to files of their own: who looks for misbehaviour
//! reads the first alone.

pub(crate) mod lodging;
mod reading;
pub(crate) mod scoring;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use waag::command::generate::{count, day};
use waag::command::{Failure, runtime};
use waag::config::ByteSize;
use waag::day::Day;
use waag::generate::world::{Misbehave, TruthWriter, WorldOptions};

use super::report::{Folder, said};

/// Seeds, both included.
#[derive(Debug, Clone, Copy)]
struct Seeds(u64, u64);

/// Lodge worlds in which some declarants misbehave, and write what the figures of all of them are
///
/// For each seed two files: seed-N.figures.jsonl, a line for each day and actor, and seed-N.truth.jsonl. A seed
/// whose truth is there already is left out.
#[derive(Debug, Args)]
pub(crate) struct StudyArgs {
    /// Seeds of the worlds
    #[arg(long, value_name = "FROM..TO", default_value = "1..25", value_parser = seeds)]
    seeds: Seeds,

    /// Lines of each world
    #[arg(long, value_name = "N", default_value = "10_000_000", value_parser = count)]
    lines: u64,

    /// Declarants of each world
    #[arg(long, value_name = "N", default_value_t = 35)]
    actors: u32,

    /// The first of 28 days
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2026-10-26", value_parser = day)]
    from: Day,

    /// Who misbehaves, see `waag generate --help`
    #[arg(long, value_name = "WHO", default_value = "drawn")]
    misbehave: String,

    /// Where the files go; made, if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Where the engines keep their data, one after another; a temporary folder, removed afterwards, if left out
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Memory of the engine
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    memory_max: ByteSize,
}

fn seeds(text: &str) -> Result<Seeds, String> {
    let number = |text: &str| text.parse().map_err(|_| "not as 1..25".to_owned());
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (number(from)?, number(to)?);
    if from > to {
        return Err(format!("{from} is after {to}: the lower one comes first"));
    }
    Ok(Seeds(from, to))
}

/// Makes the files of all seeds.
///
/// # Errors
/// Where a world cannot be made, or what comes of one is not what is true of it.
pub(crate) fn run(args: &StudyArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.out).map_err(|error| said(&args.out, &error))?;
    let folder = Folder::new(args.data_dir.as_deref())?;
    for seed in args.seeds.0..=args.seeds.1 {
        let truth = args.out.join(format!("seed-{seed}.truth.jsonl"));
        if truth.exists() {
            continue;
        }
        let options = WorldOptions {
            lines: args.lines,
            actors: args.actors,
            seed,
            misbehave: Misbehave::parse(&args.misbehave)?,
            ..WorldOptions::from(args.from)
        };
        let data = folder.path.join(format!("seed-{seed}"));
        remove(&data)?;
        world(args, &options, &data, &truth)?;
        remove(&data)?;
    }
    Ok(())
}

/// Removes what one that was stopped has left, or one that is through.
pub(crate) fn remove(data: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(data) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(said(data, &error)),
        _ => Ok(()),
    }
}

fn world(
    args: &StudyArgs,
    options: &WorldOptions,
    data: &Path,
    truth_path: &Path,
) -> Result<(), Failure> {
    let began = Instant::now();
    let engine = lodging::engine(data, args.memory_max, options.from)?;
    let truth = runtime()?.block_on(lodging::lodge(&engine, data, options, |_| {}))?;
    let lodged = began.elapsed();
    let findings = lodging::find(&engine, data)?;
    let found = began.elapsed();
    reading::check(&engine, &truth)?;
    let path = args.out.join(format!("seed-{}.figures.jsonl", options.seed));
    let mut out = BufWriter::new(File::create(&path).map_err(|error| said(&path, &error))?);
    reading::write(&engine, &findings, options, &mut out)?;
    out.flush()?;
    engine.stop();
    let out = File::create(truth_path).map_err(|error| said(truth_path, &error))?;
    TruthWriter::new(BufWriter::new(out)).finish(&truth)?;
    tracing::info!(
        seed = options.seed,
        lines = truth.world.sent.lines,
        lodged_s = lodged.as_secs(),
        found_s = found.as_secs(),
        "a world is through"
    );
    Ok(())
}
