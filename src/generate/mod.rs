//! Makes realistic batches of declarations, each with the answer it must get.
//!
//! Invariants:
//! - The same [`Options`] give the same bytes, on every machine and for ever: chance comes from a
//!   generator written here (`random`), and nothing is computed in floating point but the shares.
//! - Every declaration is a pure function of (options, actor, position). Nothing sent is kept: what
//!   a replay repeats is made again. So memory does not grow with the number of lines.
//! - What must come out follows from how a declaration was made (`defect`, `plan`), never from
//!   calling the rules or the index. The answers hold for a server that meets the batches of each
//!   actor in their order, or at least not [`BATCHES_APART`] or more out of it.
//! - Another run with any other option shares no LRN with this one, so that one may follow the
//!   other on the same server.
//!
//! The shares are of declarations. More than half of what was rejected comes again under its LRN,
//! mostly corrected, within the share that is in good order.

mod actor;
mod change;
mod declaration;
mod defect;
mod document;
mod goods;
mod law;
mod output;
mod party;
mod plan;
mod random;
#[cfg(test)]
mod tests;
pub mod world;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub use actor::{Actor, Habit, Trade};
pub use output::{write_binary, write_json_line};
pub use plan::BATCHES_APART;
pub use random::Random;

use crate::day::Day;
use crate::outcome::Outcome;
use crate::proto::v1::{
    Declaration, DocumentReference, GoodsItem, LocationOfGoods, SubmitBatchRequest,
};
use declaration::{Made, Purpose, Run};
use defect::Defect;
use law::{Regime, duty_eur_cents};
use plan::{Part, Plan, Shares};

/// What to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Goods items in all. The last declaration is the one with which they are reached.
    pub lines: u64,
    /// Declarants, 1 to [`ACTORS_MAX`].
    pub actors: u32,
    /// Another seed gives other declarations.
    pub seed: u64,
    /// Share of declarations that repeat an earlier one, 0 to 1.
    pub replays: f64,
    /// Share that use the LRN of an accepted one for other content, 0 to 1; one in seven of them
    /// has a defect as well.
    pub conflicts: f64,
    /// Share in which a defect was planted, 0 to 1. All three together: at most 0.9.
    pub invalid: f64,
    /// The day on whose law they are in good order.
    pub on: Day,
    /// Declarations in a batch at most, 1 to [`BATCH_MAX`].
    pub batch: u32,
}

/// So many declarants at most: each has a place in the schedule and takes part in every choice.
pub const ACTORS_MAX: u32 = 10_000;
/// The contract's bound on declarations in a batch.
pub const BATCH_MAX: u32 = 10_000;
/// Positions have to fit into an LRN of 22 characters.
pub const LINES_MAX: u64 = 1_000_000_000;
/// Replays, conflicts and defects need declarations in good order to stand among.
pub const SHARES_SUM_MAX: f64 = 0.9;
/// HS 2022 holds from this day, and the goods are described in its codes,
pub const FIRST_DAY: &str = "2022-01-01";
/// to this one, before HS 2028.
pub const LAST_DAY: &str = "2027-12-31";

impl Options {
    /// A million lines of 35 actors on that day, with a fiftieth of replays, a five-hundredth of
    /// conflicts and a fiftieth of invalid declarations among them.
    #[must_use]
    pub fn on(on: Day) -> Self {
        Self {
            lines: 1_000_000,
            actors: 35,
            seed: 1,
            replays: 0.02,
            conflicts: 0.002,
            invalid: 0.02,
            on,
            batch: 1_000,
        }
    }

    /// # Errors
    /// Names the option, its value and the bound it is outside of.
    pub fn check(&self) -> Result<(), OptionsError> {
        let whole = |option, value: u64, max: u64| {
            if (1..=max).contains(&value) {
                Ok(())
            } else {
                Err(OptionsError::Number { option, value, max })
            }
        };
        whole("lines", self.lines, LINES_MAX)?;
        whole("actors", u64::from(self.actors), u64::from(ACTORS_MAX))?;
        whole("batch", u64::from(self.batch), u64::from(BATCH_MAX))?;
        for (option, value) in
            [("replays", self.replays), ("conflicts", self.conflicts), ("invalid", self.invalid)]
        {
            // Written so that a NaN is refused as well.
            if !(0.0..=1.0).contains(&value) {
                return Err(OptionsError::Share { option, value });
            }
        }
        let sum = self.replays + self.conflicts + self.invalid;
        if sum > SHARES_SUM_MAX {
            return Err(OptionsError::SharesSum { sum });
        }
        let bound = |text| Day::parse(text).unwrap_or_default();
        if !(bound(FIRST_DAY)..=bound(LAST_DAY)).contains(&self.on) {
            return Err(OptionsError::Day { value: self.on });
        }
        Ok(())
    }
}

/// An option outside its bounds.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A number that is 0 or too large.
    #[error("--{option} is {value}, but must be 1 to {max}")]
    Number {
        /// As on the command line.
        option: &'static str,
        /// What was given.
        value: u64,
        /// The bound.
        max: u64,
    },
    /// Not a share.
    #[error("--{option} is {value}, but a share must be 0 to 1 (0.02 for one in fifty)")]
    Share {
        /// As on the command line.
        option: &'static str,
        /// What was given.
        value: f64,
    },
    /// Too little is left in good order.
    #[error("--replays, --conflicts and --invalid add up to {sum}, but may be 0.9 together")]
    SharesSum {
        /// What they add up to.
        sum: f64,
    },
    /// Other HS codes hold on that day.
    #[error(
        "--on is {value}, but must be 2022-01-01 to 2027-12-31: the goods are described in HS 2022"
    )]
    Day {
        /// What was given.
        value: Day,
    },
}

/// What must come out for one declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The outcome.
    pub outcome: Outcome,
    /// Exactly the reasons of severity REJECT, sorted; those of the first answer for a replay.
    pub reject_reasons: Vec<&'static str>,
    /// Of a replay: the outcome of the first answer.
    pub replay_of: Option<Outcome>,
    /// Of a replay: the position, of the same actor, whose answer this one must equal (MRN,
    /// findings, value and duty).
    pub first: Option<u64>,
    /// Goods items.
    pub lines: u32,
    /// Gross mass of all goods items, milligrams.
    pub gross_mass_mg: u64,
    /// Intrinsic value, where the first answer is an acceptance and every amount is in euros, so
    /// that no conversion is needed to know it.
    pub value_eur_cents: Option<u64>,
    /// Duty, where the first answer is an acceptance.
    pub duty_eur_cents: Option<u64>,
}

/// A batch with what must come out for each of its declarations.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedBatch {
    /// Who lodges it: an index into [`Generator::actors`].
    pub actor: u32,
    /// How many batches of this actor came before.
    pub number: u64,
    /// The position, among all of this actor's, of its first declaration; the others follow.
    pub first_position: u64,
    /// Goods items in all.
    pub lines: u64,
    /// What to send.
    pub request: SubmitBatchRequest,
    /// What must come out, one for each declaration.
    pub expected: Vec<Expected>,
}

/// Batches, one after another, until the lines are reached.
#[derive(Debug)]
pub struct Generator {
    run: Run,
    plan: Plan,
    actors: Vec<Actor>,
    lines_left: u64,
    /// (what it will have sent after its next batch, relative to its weight; actor; batches sent).
    schedule: BinaryHeap<Reverse<(u128, u32, u64)>>,
}

/// The first characters of a stream as text, for LRNs.
fn tag(random: &mut Random) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    (0..6).map(|_| char::from(random.pick(DIGITS))).collect()
}

impl Generator {
    /// # Errors
    /// As [`Options::check`].
    pub fn new(options: &Options) -> Result<Self, OptionsError> {
        options.check()?;
        // Exact in every IEEE 754 arithmetic, since 2^32 is a power of two; the cast cuts off.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = |share: f64| (share * 4_294_967_296.0) as u64;
        let shares = Shares {
            replays: share(options.replays),
            conflicts: share(options.conflicts),
            invalid: share(options.invalid),
        };
        // Everything that decides what an LRN stands for.
        let mut tagging = Random::keyed(&[
            options.seed,
            u64::from(options.on.0),
            options.lines,
            u64::from(options.actors),
            u64::from(options.batch),
            shares.replays,
            shares.conflicts,
            shares.invalid,
        ]);
        let run = Run {
            key: tagging.next(),
            tag: tag(&mut tagging),
            regime: Regime::on(options.on),
            year: options.on.year_month_day().0,
        };
        let declarations = options.lines / 2;
        let actors = Actor::all(options.actors, declarations, u64::from(options.batch));
        let schedule =
            actors.iter().map(|actor| Reverse((due(actor, 1), actor.index, 0))).collect();
        Ok(Self { run, plan: Plan { shares }, actors, lines_left: options.lines, schedule })
    }

    /// Who lodges.
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.actors
    }

    /// What is sent at `position`, and what must come out.
    fn declaration(&self, actor: &Actor, position: u64) -> (Declaration, Expected) {
        let Part::Replay { of } = self.plan.part(&self.run, actor, position) else {
            let (made, expected) = self.content(actor, position);
            return (made.declaration, expected);
        };
        let (Made { mut declaration, .. }, first) = self.content(actor, of);
        let mut random = self.run.random(Purpose::Spelling, actor, position);
        if random.percent(25) {
            change::spell_otherwise(&mut declaration, &mut random);
        }
        let expected = Expected {
            outcome: Outcome::Replayed,
            replay_of: Some(first.outcome),
            first: Some(of),
            ..first
        };
        (declaration, expected)
    }

    /// The content that `position` brings in (it is no replay), and what must come out.
    fn content(&self, actor: &Actor, position: u64) -> (Made, Expected) {
        let Self { run, plan, .. } = self;
        let mut random = run.random(Purpose::Defect, actor, position);
        let (made, outcome, planted) = match plan.part(run, actor, position) {
            Part::First | Part::Replay { .. } => {
                (declaration::base(run, actor, position), Outcome::Accepted, Vec::new())
            }
            Part::Defective { in_lrn } => {
                let (made, planted) = self.defective(actor, position, in_lrn);
                (made, Outcome::Rejected, planted)
            }
            Part::Correction { of, still_wrong: false } => {
                (declaration::base(run, actor, of), Outcome::Accepted, Vec::new())
            }
            Part::Correction { of, still_wrong: true } => {
                let (_, before) = self.defective(actor, of, false);
                let mut made = declaration::base(run, actor, of);
                self.change(&mut made, actor, position);
                let planted = defect::plant(&mut made, run.regime, false, &before, &mut random);
                (made, Outcome::Rejected, planted)
            }
            Part::Conflict { with, defective } => {
                let (mut made, _) = self.content(actor, with);
                self.change(&mut made, actor, position);
                let planted = if defective {
                    defect::plant(&mut made, run.regime, false, &[], &mut random)
                } else {
                    Vec::new()
                };
                (made, Outcome::Conflict, planted)
            }
        };
        let expected = self.expected(&made, outcome, &planted);
        (made, expected)
    }

    fn defective(&self, actor: &Actor, position: u64, in_lrn: bool) -> (Made, Vec<Defect>) {
        let mut random = self.run.random(Purpose::Defect, actor, position);
        let mut made = declaration::base(&self.run, actor, position);
        let planted = defect::plant(&mut made, self.run.regime, in_lrn, &[], &mut random);
        (made, planted)
    }

    fn change(&self, made: &mut Made, actor: &Actor, position: u64) {
        let mut random = self.run.random(Purpose::Change, actor, position);
        change::change(&mut made.declaration, position, &mut random);
    }

    fn expected(&self, made: &Made, outcome: Outcome, planted: &[Defect]) -> Expected {
        let mut reject_reasons: Vec<&'static str> =
            planted.iter().map(|defect| defect.reason()).collect();
        if outcome == Outcome::Conflict {
            reject_reasons.push("LRN_CONTENT_CONFLICT");
        }
        reject_reasons.sort_unstable();
        reject_reasons.dedup();
        let items = &made.declaration.goods_items;
        let lines = items.len() as u64;
        let accepted = outcome == Outcome::Accepted;
        Expected {
            outcome,
            reject_reasons,
            replay_of: None,
            first: None,
            lines: u32::try_from(lines).unwrap_or(u32::MAX),
            gross_mass_mg: items.iter().map(|item| item.gross_mass_mg).sum(),
            value_eur_cents: if accepted { value_in_euros(items) } else { None },
            duty_eur_cents: accepted.then(|| duty_eur_cents(self.run.regime, made.route, lines)),
        }
    }

    fn batch(&mut self, actor: &Actor, number: u64) -> GeneratedBatch {
        let first_position = number * actor.batch;
        let mut declarations = Vec::new();
        let mut expected = Vec::new();
        let mut lines = 0;
        for position in first_position..first_position + actor.batch {
            if self.lines_left == 0 {
                break;
            }
            let (declaration, answer) = self.declaration(actor, position);
            self.lines_left = self.lines_left.saturating_sub(u64::from(answer.lines));
            lines += u64::from(answer.lines);
            declarations.push(declaration);
            expected.push(answer);
        }
        let common = actor.shares_common.then(|| {
            let flight = declaration::storage_declaration(&self.run, actor, number);
            share_common(&mut declarations, &actor.location, flight)
        });
        let careless = actor.careless && number % 5 == 3;
        let request = SubmitBatchRequest {
            batch_id: format!("{}-{}-{number}", actor.eori, self.run.tag),
            declarant: if careless {
                format!(" {} ", actor.eori.to_ascii_lowercase())
            } else {
                actor.eori.clone()
            },
            representative: actor.representative.clone(),
            representative_status: actor.representative_status,
            declarations,
            common,
        };
        GeneratedBatch { actor: actor.index, number, first_position, lines, request, expected }
    }
}

/// The sum of amounts that are all in euros.
fn value_in_euros(items: &[GoodsItem]) -> Option<u64> {
    items
        .iter()
        .map(|item| item.intrinsic_value.as_ref().filter(|value| value.currency == "EUR"))
        .map(|value| value.map(|value| value.hundredths))
        .sum()
}

/// When an actor's batch with this number (from 1) is due: what it will have sent by then,
/// against its weight. The one that is furthest behind comes next.
fn due(actor: &Actor, number: u64) -> u128 {
    // 2^50 declarations times 2^70 stay below 2^128.
    (u128::from(number * actor.batch) << 70) / u128::from(actor.weight)
}

/// What the goods of one aircraft share: states it once and takes it out of every declaration in
/// which it is the same. A list or text that some declaration leaves out altogether cannot be
/// shared; a location can, since an empty message is taken as it is.
fn share_common(
    declarations: &mut [Declaration],
    location: &LocationOfGoods,
    flight: DocumentReference,
) -> Declaration {
    let mut common =
        Declaration { location_of_goods: Some(location.clone()), ..Declaration::default() };
    if declarations.iter().all(|each| !each.additional_declaration_type.is_empty()) {
        "A".clone_into(&mut common.additional_declaration_type);
    }
    if declarations.iter().all(|each| !each.previous_documents.is_empty()) {
        common.previous_documents = vec![flight];
    }
    for each in declarations {
        if each.additional_declaration_type == common.additional_declaration_type {
            each.additional_declaration_type.clear();
        }
        if each.location_of_goods == common.location_of_goods {
            each.location_of_goods = None;
        }
        if each.previous_documents == common.previous_documents {
            each.previous_documents.clear();
        }
    }
    common
}

impl Iterator for Generator {
    type Item = GeneratedBatch;

    fn next(&mut self) -> Option<GeneratedBatch> {
        if self.lines_left == 0 {
            return None;
        }
        let Reverse((_, index, number)) = self.schedule.pop()?;
        let actor = self.actors.get(usize::try_from(index).ok()?)?.clone();
        let batch = self.batch(&actor, number);
        self.schedule.push(Reverse((due(&actor, number + 2), index, number + 1)));
        Some(batch)
    }
}
