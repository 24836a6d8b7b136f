//! A batch of the journal, read once more: each declaration that got a first answer is judged as it was
//! then, by what its record says, and nothing else has to be known. The index has moved on by then.

use std::sync::Arc;

use super::laws::{Laws, LawsError, Numbered};
use super::prepare::{Bounds, Preparer};
use super::record::BatchRecord;
use crate::day::When;
use crate::id::{Eori, EurCents, Ordinal, Watermark};
use crate::index::filed::Settled;
use crate::journal::BoxError;
use crate::outcome::Outcome;
use crate::rules::Judgement;
use crate::rules::day_law::DayLaw;
use crate::rules::fallback::FallbackCheck;
use crate::rules::finding::{Findings, OwnFindings};
use crate::wire::digest::Digests;
use crate::wire::normalise::normalise_lodger;
use crate::wire::reader::Batch;
use crate::wire::view::{Declaration, Lodger};

/// A batch as the journal has it, with its law.
#[derive(Debug)]
pub(crate) struct PlacedBatch<'a> {
    /// Its number.
    pub(crate) number: Watermark,
    /// What its record says.
    pub(crate) record: BatchRecord<'a>,
    law: Numbered,
}

/// One of its declarations.
#[derive(Debug)]
pub(crate) struct PlacedDeclaration<'r, 'd> {
    /// Its index in the batch.
    pub(crate) index: usize,
    /// The declarant's name for the batch.
    pub(crate) batch_id: &'d str,
    /// Who lodged it.
    pub(crate) lodger: &'r Lodger<'d>,
    /// As it was judged.
    pub(crate) declaration: &'r Declaration<'d>,
    /// What became of it.
    pub(crate) fate: Fate<'r>,
}

/// What became of a declaration.
#[derive(Debug)]
pub(crate) enum Fate<'r> {
    /// It got a first answer.
    First(FirstAnswer<'r>),
    /// It got the answer of the one with this ordinal.
    Replay(Outcome, Ordinal),
}

/// A first answer, and what it rests on.
#[derive(Debug)]
pub(crate) struct FirstAnswer<'r> {
    /// Accepted, rejected or conflict.
    pub(crate) outcome: Outcome,
    /// Outcome of the rules and amounts.
    pub(crate) judgement: Judgement,
    /// In euro, of each goods item that was judged; `None` where it could not be converted.
    pub(crate) line_values: &'r [Option<EurCents>],
    /// All that was found; of a conflict, that first.
    pub(crate) findings: OwnFindings<'r>,
    /// What was found of its fallback lodgement.
    pub(crate) check: FallbackCheck,
    /// Of its content.
    pub(crate) digests: Digests,
    /// The law that judged it.
    pub(crate) law: &'r Arc<DayLaw>,
}

impl<'a> PlacedBatch<'a> {
    /// The batch of a record, whose law is one of `laws`.
    pub(crate) fn new(
        number: Watermark,
        record: BatchRecord<'a>,
        laws: &Laws,
    ) -> Result<Self, LawsError> {
        let law = Numbered { number: record.law, law: laws.law(record.law)? };
        Ok(Self { number, record, law })
    }
}

impl Preparer {
    /// Reads a batch of the journal and hands its declarations to `each`, by index.
    ///
    /// # Errors
    /// Where the message, which was read before, cannot be, or says something else than its record:
    /// damage. And what `each` says.
    pub(crate) fn read_placed(
        &mut self,
        placed: &PlacedBatch<'_>,
        each: &mut dyn FnMut(PlacedDeclaration<'_, '_>) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        let mut arena = std::mem::take(&mut self.arena);
        let result = (|| {
            let BatchRecord { message, outcomes, at, day, .. } = placed.record;
            let batch = Batch::read(message, Bounds::NONE.of_reader())?;
            let (declarant, representative) =
                normalise_lodger(batch.declarant(), batch.representative(), &arena);
            let declarant = Eori::parse(declarant).ok_or("the declarant is malformed")?;
            let lodger = Lodger {
                declarant,
                representative,
                representative_status: batch.representative_status(),
            };
            if batch.len() != outcomes.len() {
                return Err("it has not as many declarations as its record says".into());
            }
            let day_law = placed.law.law.on(day)?;
            let when = When { at, day };
            let mut replays = placed.record.replays();
            let (mut declaration, mut findings) = (Declaration::default(), Findings::default());
            for (index, outcome) in outcomes.iter().enumerate() {
                let encoded = batch.declaration(index, &arena, &mut declaration)?;
                let settled = Settled::from_byte(*outcome).ok_or("no such outcome is written")?;
                let law;
                let fate = if let Settled { outcome: Outcome::Replayed, replay_of } = settled {
                    let first = replays.next().filter(|(at, _)| *at == index);
                    let first = first.ok_or("a replay of nothing")?.1;
                    Fate::Replay(replay_of.ok_or("a replay of no answer")?, first)
                } else {
                    let fallback = &declaration.fallback;
                    let check;
                    (check, law) = self.law_of(fallback, when, &placed.law, &day_law);
                    findings.clear();
                    let judgement = self.judge_as(
                        &law,
                        &lodger,
                        &declaration,
                        (check, settled.outcome == Outcome::Conflict),
                        &mut findings,
                    );
                    Fate::First(FirstAnswer {
                        outcome: settled.outcome,
                        judgement,
                        line_values: self.judge.line_values(),
                        findings: findings.since(0),
                        check,
                        digests: self.digester.digests(&lodger, &declaration, encoded),
                        law: &law,
                    })
                };
                let batch_id = batch.batch_id();
                each(PlacedDeclaration {
                    index,
                    batch_id,
                    lodger: &lodger,
                    declaration: &declaration,
                    fate,
                })?;
            }
            Ok(())
        })();
        arena.reset();
        self.arena = arena;
        result
    }
}
