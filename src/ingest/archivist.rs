//! From placed batches to the archive's rows. They are made of what the journal keeps, judged again
//! as it was at first: nothing of the first judging has to be at hand, so that a segment can be
//! archived long after it was written.

use std::sync::Arc;

use super::laws::Laws;
use super::placed::{Fate, FirstAnswer, PlacedBatch, PlacedDeclaration};
use super::prepare::Preparer;
use super::record::BatchRecord;
use crate::archive::{BatchRow, DeclarationRow, ReplayRow, TakesRows};
use crate::day::Moment;
use crate::id::{Ordinal, Watermark};
use crate::journal::BoxError;
use crate::mrn::{BatchMrns, Mint};
use crate::outcome::Outcome;
use crate::rules::DayLaw;

/// Makes rows of batches.
#[derive(Debug)]
pub(crate) struct Archivist {
    preparer: Preparer,
    laws: Arc<Laws>,
    mint: Mint,
    names: LawNames,
}

impl Archivist {
    pub(crate) fn new(preparer: Preparer, laws: Arc<Laws>, mint: Mint) -> Self {
        Self { preparer, laws, mint, names: LawNames::default() }
    }

    /// Puts the next batch of the journal into `archive`. Returns how many goods items it has, those
    /// of replays included.
    pub(crate) fn put(
        &mut self,
        number: Watermark,
        record: BatchRecord<'_>,
        archive: &mut dyn TakesRows,
    ) -> Result<u64, BoxError> {
        let batch = PlacedBatch::new(number, record, &self.laws)?;
        archive.begin(number, batch.record.day)?;
        let Self { preparer, mint, names, .. } = self;
        let mrns = mint.mrns_of(batch.record.day, batch.record.first_ordinal);
        let mut telling = Telling { archive, mrns, names, batch: &batch, goods_items: 0 };
        preparer.read_placed(&batch, &mut |declaration| telling.tell(&declaration))?;
        Ok(telling.goods_items as u64)
    }
}

/// One batch on its way into the archive.
struct Telling<'a> {
    archive: &'a mut dyn TakesRows,
    mrns: BatchMrns<'a>,
    names: &'a mut LawNames,
    batch: &'a PlacedBatch<'a>,
    goods_items: usize,
}

impl Telling<'_> {
    /// The next declaration and, after the last one, the batch.
    fn tell(&mut self, placed: &PlacedDeclaration<'_, '_>) -> Result<(), BoxError> {
        self.goods_items += placed.declaration.goods_items.len();
        match &placed.fate {
            Fate::First(answer) => self.declaration(placed, answer)?,
            Fate::Replay(of, first) => self.replay(placed, *of, *first)?,
        }
        if placed.index + 1 == self.batch.record.outcomes.len() {
            self.batch(placed)?;
        }
        Ok(())
    }

    fn declaration(
        &mut self,
        placed: &PlacedDeclaration<'_, '_>,
        answer: &FirstAnswer<'_>,
    ) -> Result<(), BoxError> {
        let &PlacedDeclaration { index, lodger, declaration, .. } = placed;
        let BatchRecord { day, at, law, first_ordinal, .. } = self.batch.record;
        let (rule_set, reference_data) = self.names.of(answer.law);
        let lodged_at = Moment(declaration.fallback.lodged_at_ms);
        let mrns = &mut self.mrns;
        let digests = answer.digests;
        let row = DeclarationRow {
            ordinal: Ordinal(first_ordinal.0 + index as u64),
            record: self.batch.number,
            index: count(index),
            outcome: answer.outcome,
            mrn: (answer.outcome == Outcome::Accepted).then(|| mrns.of(index)),
            lodger,
            judged_at: at,
            lodged_at: answer.check.usable().then_some(lodged_at),
            lodged_day: answer.check.usable().then(|| answer.law.day()),
            rule_set,
            reference_data,
            law,
            judgement: answer.judgement,
            content: digests.content,
            with_fallback: (!answer.check.is_absent()).then_some(digests.with_fallback),
            declaration,
            line_values: answer.line_values,
            findings: answer.findings,
        };
        Ok(self.archive.declaration(day, &row)?)
    }

    fn replay(
        &mut self,
        placed: &PlacedDeclaration<'_, '_>,
        replay_of: Outcome,
        first_ordinal: Ordinal,
    ) -> Result<(), BoxError> {
        let row = ReplayRow {
            record: self.batch.number,
            index: count(placed.index),
            lodger: placed.lodger,
            ioss_number: placed.declaration.ioss_number,
            fallback_reference: placed.declaration.fallback.reference,
            first_ordinal,
            replay_of,
            judged_at: self.batch.record.at,
        };
        Ok(self.archive.replay(self.batch.record.day, &row)?)
    }

    fn batch(&mut self, placed: &PlacedDeclaration<'_, '_>) -> Result<(), BoxError> {
        let BatchRecord { day, at, law, first_ordinal, outcomes, .. } = self.batch.record;
        let row = BatchRow {
            record: self.batch.number,
            batch_id: placed.batch_id,
            lodger: placed.lodger,
            judged_at: at,
            law,
            first_ordinal,
            declarations: count(outcomes.len()),
            goods_items: count(self.goods_items),
        };
        Ok(self.archive.batch(day, &row)?)
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The names of the law that judged last: most declarations have that of the one before.
#[derive(Debug, Default)]
struct LawNames {
    law: Option<Arc<DayLaw>>,
    rule_set: String,
    reference_data: String,
}

impl LawNames {
    fn of(&mut self, law: &Arc<DayLaw>) -> (&str, &str) {
        if !self.law.as_ref().is_some_and(|known| Arc::ptr_eq(known, law)) {
            self.rule_set = law.rule_set_name();
            self.reference_data = law.reference_name();
            self.law = Some(Arc::clone(law));
        }
        (&self.rule_set, &self.reference_data)
    }
}
