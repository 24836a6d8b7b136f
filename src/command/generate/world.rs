//! `waag generate --from`: a world over some weeks, in which declarants misbehave as stated, and its
//! truth in a file of its own.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use super::{GenerateArgs, GenerateError, Writer, day, shown};
use crate::day::Day;
use crate::generate::world::{
    DAYS, Misbehave, TruthWriter, World, WorldBatch, WorldError, WorldOptions,
};
use crate::send::Format;

/// What makes a world of it.
#[derive(Debug, Clone, Args)]
pub struct WorldArgs {
    /// A world: days in a row from this one on, each by its own law and rates
    ///
    /// Declarants differ in size (not by Zipf then), week, growth, goods, prices and clients, and
    /// err and repeat themselves as honest ones do: --on, --replays, --conflicts and --invalid are
    /// of no use. --lines are those of all days. With an --out that is a folder, or ends in /,
    /// each day is a file there, named as the day.
    #[arg(
        long,
        value_name = "YYYY-MM-DD",
        value_parser = day,
        conflicts_with_all = ["on", "replays", "conflicts", "invalid"]
    )]
    pub from: Option<Day>,

    /// How many days, 1 to 731
    #[arg(long, value_name = "N", default_value_t = DAYS, requires = "from")]
    pub days: u32,

    /// Who misbehaves, in which way, how much: KIND[:STRENGTH] between commas, all, drawn, none
    ///
    /// KIND[:STRENGTH][@DECLARANT[:FIRST..LAST]]
    ///             a declarant, by its index from 0 or its EORI, or one that is drawn; on those
    ///             days, or all. The strength is the share of its declarations that are affected,
    ///             above 0 and at most 1; 0.2 if left out, resend 0.1, conflict 0.01
    /// all         every kind, each by a declarant of its own
    /// drawn[:N]   N declarants (two of seven, if left out), with kinds, strengths and days, all
    ///             drawn from the seed
    /// none        nobody, as if the flag is left out
    ///
    /// The kinds; those between brackets may be 1 together for one declarant (the last two 0.9):
    ///
    /// [undervalue   values are 0.15 to 0.5 of the true ones, weights stay
    ///  bunch        goods worth more are declared at EUR 145 to 150 in all
    ///  split        an order above EUR 160 becomes two or three consignments
    ///  gifts        companies send gifts (C08)
    ///  repeat       one kind of goods at one price, whoever the seller
    ///  nominal      every line is worth less than a euro]
    /// [vague        descriptions are stop words
    ///  misclassify  HS codes of another chapter
    ///  merge        two to five goods in one line, from 2026-07-01 on]
    /// [borrow       sold under IOSS numbers of honest platforms]
    /// [resend       what was answered is sent again
    ///  conflict     the LRN of an accepted declaration with other content]
    ///
    /// such as bunch, or undervalue:0.3@4,split:0.1@NL830000006:2026-11-02..2026-11-15
    #[arg(long, value_name = "KIND[:STRENGTH],...", requires = "from", verbatim_doc_comment)]
    pub misbehave: Option<String>,

    /// Where to write what is true: who misbehaves, and which declarations are affected
    ///
    /// JSON Lines, described in docs/worlds.md. The declarations are the same with and without it.
    /// It may not be --out, nor in it.
    #[arg(long, value_name = "FILE", requires = "from")]
    pub truth: Option<PathBuf>,
}

/// What to make from `from` on.
pub(super) fn options(args: &GenerateArgs, from: Day) -> Result<WorldOptions, WorldError> {
    let misbehave = args.world.misbehave.as_deref().map(Misbehave::parse).transpose()?;
    Ok(WorldOptions {
        lines: args.lines,
        actors: args.load.actors,
        seed: args.load.seed,
        from,
        days: args.world.days,
        batch: args.load.batch,
        misbehave: misbehave.unwrap_or_default(),
    })
}

/// Makes the world and writes it.
pub(super) fn run(
    args: &GenerateArgs,
    from: Day,
    progress: &ProgressBar,
) -> Result<(), GenerateError> {
    let mut world = World::new(&options(args, from)?)?;
    let mut out = Out::new(args.out.as_deref(), args.format)?;
    let mut truth = match &args.world.truth {
        Some(path) => Some((path, TruthWriter::new(truth_file(path, args.out.as_deref())?))),
        None => None,
    };
    for batch in world.by_ref() {
        match out.batch(&batch) {
            // A reader of standard output that has seen enough. The truth is not complete then.
            Err(GenerateError::Write { source, .. })
                if args.out.is_none() && source.kind() == io::ErrorKind::BrokenPipe =>
            {
                return Ok(());
            }
            written => written?,
        }
        if let Some((path, truth)) = &mut truth {
            truth.batch(&batch).map_err(failed(path))?;
        }
        progress.inc(batch.lines);
    }
    out.finish()?;
    if let Some((path, writer)) = truth {
        writer.finish(&world.truth()).map_err(failed(path))?;
    }
    Ok(())
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> GenerateError {
    let to = shown(path);
    |source| GenerateError::Write { to, source }
}

/// The file for the truth, which is neither `out` nor in it: who reads that would read it too.
fn truth_file(path: &Path, out: Option<&Path>) -> Result<BufWriter<File>, GenerateError> {
    let create = |source| GenerateError::Truth { path: path.to_owned(), source };
    let out = out.map(fs::canonicalize).transpose().map_err(create)?;
    let beside = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::canonicalize(parent),
        _ => fs::canonicalize("."),
    };
    let place = match fs::canonicalize(path) {
        Ok(there) => there,
        Err(_) => beside.map_err(create)?.join(path.file_name().unwrap_or_default()),
    };
    if let Some(out) = out.filter(|out| place.starts_with(out)) {
        return Err(GenerateError::TruthInOut { path: path.to_owned(), out });
    }
    Ok(BufWriter::new(File::create(path).map_err(create)?))
}

type FileWriter = Writer<Box<dyn Write + Send>>;

/// Where the batches go.
enum Out {
    One { to: String, writer: FileWriter },
    Daily { folder: PathBuf, format: Format, open: Option<(Day, PathBuf, FileWriter)> },
}

impl Out {
    fn new(path: Option<&Path>, format: Format) -> Result<Self, GenerateError> {
        let Some(path) = path else {
            let to = "standard output".to_owned();
            return match Writer::new(format, buffered(io::stdout())) {
                Ok(writer) => Ok(Self::One { to, writer }),
                Err(source) => Err(GenerateError::Write { to, source }),
            };
        };
        if !path.is_dir() && !path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Ok(Self::One { to: shown(path), writer: create(path, format)? });
        }
        let make = |source| GenerateError::Create { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(make)?;
        if let Some(there) = fs::read_dir(path).map_err(make)?.next() {
            let there = PathBuf::from(there.map_err(make)?.file_name());
            return Err(GenerateError::NotEmpty { path: path.to_owned(), there });
        }
        Ok(Self::Daily { folder: path.to_owned(), format, open: None })
    }

    fn batch(&mut self, batch: &WorldBatch) -> Result<(), GenerateError> {
        match self {
            Self::One { to, writer } => writer
                .write(&batch.request)
                .map_err(|source| GenerateError::Write { to: to.clone(), source }),
            Self::Daily { folder, format, open } => {
                if let Some((_, path, writer)) = open.take_if(|(day, ..)| *day != batch.day) {
                    writer.finish().map_err(failed(&path))?;
                }
                let (_, path, writer) = match open {
                    Some(open) => open,
                    None => {
                        let path = folder.join(format!("{}.{}", batch.day, ending(*format)));
                        let writer = create(&path, *format)?;
                        open.insert((batch.day, path, writer))
                    }
                };
                writer.write(&batch.request).map_err(failed(path))
            }
        }
    }

    fn finish(self) -> Result<(), GenerateError> {
        match self {
            Self::One { to, writer } => {
                writer.finish().map_err(|source| GenerateError::Write { to, source })
            }
            Self::Daily { open: Some((_, path, writer)), .. } => {
                writer.finish().map_err(failed(&path))
            }
            Self::Daily { open: None, .. } => Ok(()),
        }
    }
}

fn create(path: &Path, format: Format) -> Result<FileWriter, GenerateError> {
    let file = File::create(path)
        .map_err(|source| GenerateError::Create { path: path.to_owned(), source })?;
    Writer::new(format, buffered(file)).map_err(failed(path))
}

fn buffered(to: impl Write + Send + 'static) -> Box<dyn Write + Send> {
    Box::new(BufWriter::with_capacity(1 << 20, to))
}

/// By which the commands that read files know the format.
fn ending(format: Format) -> &'static str {
    match format {
        Format::Json => "jsonl",
        Format::Binary => "pb",
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use clap::{CommandFactory, Parser};
    use serde_json::Value;

    use super::*;
    use crate::generate::world::Kind;
    use crate::generate::write_json_line;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: GenerateArgs,
    }

    const WORLD: [&str; 7] =
        ["generate", "--lines", "3_000", "--from", "2026-10-30", "--days", "4"];

    fn parsed(more: &[&str]) -> Result<GenerateArgs, clap::Error> {
        Line::try_parse_from(WORLD.iter().chain(more)).map(|line| line.args)
    }

    fn generate(more: &[&str]) -> Result<(), String> {
        super::super::run(&parsed(more).unwrap()).map_err(|error| error.to_string())
    }

    fn text(path: &Path) -> &str {
        path.to_str().unwrap()
    }

    #[test]
    fn one_file_holds_the_world_and_another_its_truth() {
        let folder = tempfile::tempdir().unwrap();
        let [out, bare, truth] =
            ["day.jsonl", "bare", "truth"].map(|name| folder.path().join(name));
        let all = ["--misbehave", "all", "--seed", "7", "--out"];
        generate(&[&all[..], &[text(&out), "--truth", text(&truth)]].concat()).unwrap();
        generate(&[&all[..], &[text(&bare)]].concat()).unwrap();
        let args = parsed(&all[..4]).unwrap();
        let mut world = World::new(&options(&args, args.world.from.unwrap()).unwrap()).unwrap();
        let mut expected = Vec::new();
        for batch in world.by_ref() {
            write_json_line(&mut expected, &batch.request).unwrap();
        }
        let written = fs::read(&out).unwrap();
        assert!(written == expected && written == fs::read(&bare).unwrap());

        let truth = fs::read_to_string(truth).unwrap();
        let records: Vec<Value> =
            truth.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |record: &str| -> Vec<&Value> {
            records.iter().filter(|each| each["record"] == record).collect()
        };
        assert_eq!(of("declarant").len(), 35);
        assert_eq!(of("ioss_number").len(), world.truth().ioss_numbers.len());
        let last = records.last().unwrap();
        assert_eq!((&last["record"], &last["seed"]), (&"world".into(), &7.into()));
        assert_eq!(last["sent"]["lines"], world.truth().world.sent.lines);
        // What is counted of each kind is there one by one.
        for kind in Kind::ALL.iter().map(|kind| kind.name()) {
            let affected: u64 = of("declarant")
                .iter()
                .flat_map(|each| each["kinds"].as_array().unwrap())
                .filter(|each| each["kind"] == kind)
                .map(|each| each["affected"]["declarations"].as_u64().unwrap())
                .sum();
            let has = |each: &&&Value| each["kinds"].as_array().unwrap().contains(&kind.into());
            assert_eq!(of("declaration").iter().filter(has).count() as u64, affected, "{kind}");
        }
        assert!(of("declaration").len() > 50);
    }

    #[test]
    fn a_folder_gets_a_file_for_each_day_and_they_make_the_one() {
        let folder = tempfile::tempdir().unwrap();
        let days = ["2026-10-30", "2026-10-31", "2026-11-01", "2026-11-02"];
        for (format, ending) in [("json", "jsonl"), ("binary", "pb")] {
            let whole = folder.path().join(format!("whole.{ending}"));
            let split = folder.path().join(format!("{ending}/daily/"));
            let same = ["--misbehave", "drawn", "--format", format, "--out"];
            generate(&[&same[..], &[text(&whole)]].concat()).unwrap();
            generate(&[&same[..], &[text(&split)]].concat()).unwrap();
            let mut names: Vec<_> = fs::read_dir(&split)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(names, days.map(|day| format!("{day}.{ending}")));
            let joined: Vec<u8> =
                names.iter().flat_map(|name| fs::read(split.join(name)).unwrap()).collect();
            assert!(joined == fs::read(&whole).unwrap());
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let [file, full] = ["a.jsonl", "full"].map(|name| folder.path().join(name));
        fs::create_dir(&full).unwrap();
        fs::write(full.join("2026-10-30.jsonl"), "").unwrap();
        let new = folder.path().join("new/");
        let (file, full, new) = (text(&file), text(&full), text(&new));
        let inside = format!("{new}truth");
        let nowhere = format!("{full}/2026-10-30.jsonl/truth");
        for (more, said) in [
            (vec!["--days", "0"], "--days is 0, but must be 1 to 731".to_owned()),
            (vec!["--misbehave", "vague:3"], "--misbehave: \"vague:3\" has a strength".into()),
            (vec!["--misbehave", "drawn:99"], "--misbehave: 99 declarants are to be".into()),
            (vec!["--actors", "0"], "--actors is 0, but must be 1 to 10000".into()),
            (vec!["--out", full], format!("--out {full}: must be a new or empty folder")),
            (vec!["--out", file, "--truth", file], format!("--truth {file}: is in --out")),
            (vec!["--out", new, "--truth", &inside], format!("--truth {inside}: is in --out")),
            (vec!["--out", file, "--truth", &nowhere], format!("--truth {nowhere}: cannot be")),
        ] {
            let mut line = WORLD.to_vec();
            if more.contains(&"--days") {
                line.truncate(5);
            }
            let args = Line::parse_from(line.into_iter().chain(more)).args;
            let error = super::super::run(&args).unwrap_err().to_string();
            assert!(error.starts_with(&said), "{error}");
        }
    }

    #[test]
    fn flags_of_a_day_and_of_a_world_do_not_mix() {
        for (flag, value) in
            [("--on", "2026-11-05"), ("--replays", "0"), ("--conflicts", "0"), ("--invalid", "0")]
        {
            let error = parsed(&[flag, value]).unwrap_err().to_string();
            assert!(error.contains("--from") && error.contains(flag), "{error}");
        }
        for (flag, value) in [("--days", "3"), ("--misbehave", "all"), ("--truth", "truth")] {
            let line = ["generate", "--lines", "1", flag, value];
            let error = Line::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains("--from <YYYY-MM-DD>"), "{error}");
        }
    }

    #[test]
    fn help_tells_every_kind_and_its_usual_strength() {
        let help = Line::command().render_long_help().to_string();
        for kind in Kind::ALL {
            let told = help.lines().any(|line| {
                line.trim_start().trim_start_matches('[').starts_with(&format!("{} ", kind.name()))
            });
            assert!(told, "{kind:?}: {help}");
        }
        let usual =
            |share: f64| Kind::ALL.iter().filter(move |kind| kind.usual_strength() == share);
        assert!(usual(0.1).eq([&Kind::Resend]) && usual(0.01).eq([&Kind::Conflict]));
        assert_eq!(usual(0.2).count(), Kind::ALL.len() - 2);
        assert!(help.contains("0.2 if left out, resend 0.1, conflict 0.01"));
    }
}
