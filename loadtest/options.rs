//! What is sent and how: the flags that both commands have, and what is made of them.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;
use waag::command::Failure;
use waag::command::generate::day;
use waag::day::Day;
use waag::generate::{Options, Random};
use waag::id::Eori;

use super::check::Book;
use super::lane::{Answers, Lane, Load};
use super::mrns::HASHES_MAX;
use super::plan::{Mix, Plan};
use super::template::Templates;
use super::transport::Mode;

/// Declarations in all templates together, at most: 65,536 of 300 bytes are 20 MB.
const TEMPLATE_DECLARATIONS_MAX: u64 = 65_536;
/// Templates at most.
const TEMPLATES_MAX: u64 = 64;
/// A planted declaration comes from a batch of the same template: so many batches of each are wanted.
const BATCHES_PER_TEMPLATE: u64 = 8;

/// Flags that say what is sent.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) connections: u16,

    /// How batches are sent
    #[arg(long, value_enum, default_value_t = Mode::Stream)]
    pub(crate) mode: Mode,

    /// Batches without an answer on each connection, at most
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) batches_in_flight: u16,

    /// Declarations in each batch
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) batch: u32,

    /// Lines a second in all; as fast as it goes, if left out
    ///
    /// Batches are then due at fixed moments, and latency is measured from those, whether or not
    /// they could be sent in time.
    #[arg(long, value_name = "LINES", value_parser = waag::command::generate::count)]
    pub(crate) rate: Option<u64>,

    /// Share that was sent before, 0 to 1, from anywhere in the history
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    pub(crate) replays: f64,

    /// Share of declarations that use the LRN of an accepted one for other content, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.002)]
    pub(crate) conflicts: f64,

    /// Share of declarations with a defect, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    pub(crate) invalid: f64,

    /// Declarants, the n-th sending an n-th of what the first does
    #[arg(long, value_name = "N", default_value_t = 35, conflicts_with = "declarant")]
    pub(crate) actors: u32,

    /// One declarant who lodges it all
    #[arg(long, value_name = "EORI", value_parser = eori)]
    pub(crate) declarant: Option<Eori>,

    /// Do not send again what was refused for now: a sender that does not heed when to come back
    ///
    /// Nothing may refer to what was sent before: --replays 0 --conflicts 0.
    #[arg(long)]
    pub(crate) drop_refused: bool,

    /// Another seed gives other LRNs; from the clock, if left out, so that runs may follow one
    /// another on the same data
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,

    /// The day on whose law the declarations are in good order
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2026-11-05", value_parser = day)]
    pub(crate) on: Day,
}

/// The flags as they came out, for a report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings {
    pub(crate) connections: u16,
    pub(crate) mode: Mode,
    pub(crate) batches_in_flight: u16,
    pub(crate) batch: u32,
    pub(crate) rate: Option<u64>,
    pub(crate) replays: f64,
    pub(crate) replays_as_whole_batches: bool,
    pub(crate) conflicts: f64,
    pub(crate) invalid: f64,
    pub(crate) actors: u32,
    pub(crate) declarant: Option<String>,
    pub(crate) drop_refused: bool,
    pub(crate) seed: u64,
    pub(crate) on: String,
    pub(crate) templates: usize,
    /// Bytes of the batches, by their lines.
    pub(crate) bytes_per_line: f64,
    pub(crate) version: &'static str,
}

impl LoadArgs {
    /// Makes the templates and the plan. `lines`: how many will be sent, if that is known.
    ///
    /// # Errors
    /// A flag outside its bounds.
    pub(crate) fn load(
        &self,
        whole_replays: bool,
        lines: Option<u64>,
    ) -> Result<(Load, Settings), Failure> {
        let (replays, conflicts, invalid) = (self.replays, self.conflicts, self.invalid);
        let mix = Mix { replays, whole: whole_replays, conflicts, invalid };
        mix.check()?;
        if self.rate == Some(0) {
            return Err("--rate is 0: leave it out for as fast as it goes".into());
        }
        if self.drop_refused && (replays > 0.0 || conflicts > 0.0) {
            let told = format!(
                "--drop-refused with --replays {replays} and --conflicts {conflicts}: both must be 0, since \
                 what they refer to may have been dropped"
            );
            return Err(told.into());
        }
        let seed = self.seed.unwrap_or_else(clock_seed);
        let lanes = u64::from(self.connections);
        let count = self.template_count(lines);
        let parts = [
            seed,
            u64::from(self.on.0),
            lanes,
            u64::from(self.batch),
            u64::from(self.batches_in_flight),
            u64::from(self.actors),
            count,
            u64::from(whole_replays),
            replays.to_bits(),
            conflicts.to_bits(),
            invalid.to_bits(),
        ];
        let options = Options {
            actors: self.declarant.map_or(self.actors, |_| 1),
            batch: self.batch,
            seed,
            invalid,
            ..Options::on(self.on)
        };
        // At most 64.
        let declarant = self.declarant.as_ref().map(Eori::as_str);
        let templates = Templates::make(&options, declarant, usize::try_from(count)?, &parts)?;
        let key = Random::keyed(&parts).next();
        let reach = 2 * u64::from(self.batches_in_flight);
        let plan = Plan::new(key, lanes, count, reach, &mix);
        let settings = self.settings(seed, whole_replays, &templates);
        let load = Load {
            plan,
            templates,
            mode: self.mode,
            in_flight: usize::from(self.batches_in_flight),
            rate: self.lane_rate(),
            answers: Answers::Verdicts,
            drops_refused: self.drop_refused,
        };
        Ok((load, settings))
    }

    /// Lines are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    fn lane_rate(&self) -> Option<f64> {
        self.rate.map(|rate| rate as f64 / f64::from(self.connections))
    }

    fn template_count(&self, lines: Option<u64>) -> u64 {
        let batch = u64::from(self.batch).max(1);
        let most = (TEMPLATE_DECLARATIONS_MAX / batch).clamp(1, TEMPLATES_MAX);
        let Some(lines) = lines else { return most };
        // A declaration has two lines on average.
        let batches = lines / (2 * batch) / u64::from(self.connections);
        (batches / BATCHES_PER_TEMPLATE).clamp(1, most)
    }

    #[allow(clippy::cast_precision_loss)]
    fn settings(&self, seed: u64, whole: bool, templates: &Templates) -> Settings {
        let list = &templates.list;
        let lines: u64 = list.iter().map(|template| template.lines).sum();
        let bytes: usize = list.iter().map(super::template::Template::size).sum();
        Settings {
            connections: self.connections,
            mode: self.mode,
            batches_in_flight: self.batches_in_flight,
            batch: self.batch,
            rate: self.rate,
            replays: self.replays,
            replays_as_whole_batches: whole,
            conflicts: self.conflicts,
            invalid: self.invalid,
            actors: self.declarant.map_or(self.actors, |_| 1),
            declarant: self.declarant.map(|eori| eori.as_str().to_owned()),
            drop_refused: self.drop_refused,
            seed,
            on: self.on.to_string(),
            templates: list.len(),
            bytes_per_line: (bytes as f64 / lines as f64 * 10.0).round() / 10.0,
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// The connections, before anything was sent.
    pub(crate) fn lanes(&self, load: &Load) -> Vec<Lane> {
        let lanes = usize::from(self.connections);
        // A batch is 10,000 at most.
        let batch = usize::try_from(self.batch).unwrap_or(usize::MAX);
        (0..u64::from(self.connections))
            .map(|id| {
                let templates = load.templates.list.len();
                Lane::new(id, Book::new(templates, batch, HASHES_MAX / lanes))
            })
            .collect()
    }
}

fn eori(text: &str) -> Result<Eori, String> {
    Eori::parse(text).ok_or_else(|| {
        "must be two letters in upper case followed by 1 to 15 letters, digits or hyphens"
            .to_owned()
    })
}

/// Different from run to run: microseconds since 1970.
fn clock_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(1)
}
