//! From placed batches to the archive's rows. They are made of what the journal keeps, judged again
//! as it was at first: nothing of the first judging has to be at hand, so that a segment can be
//! archived long after it was written.

use std::sync::Arc;

use super::again::{Rejudged, Reread, Under};
use super::laws::Laws;
use super::prepare::Preparer;
use super::recover::{Onlooker, PlacedBatch};
use crate::archive::{ArchiveWriter, BatchRow, DeclarationRow, ReplayRow};
use crate::day::{Day, Moment};
use crate::id::{Ordinal, Watermark};
use crate::index::filed::{Filed, Settled};
use crate::journal::BoxError;
use crate::mrn::Mint;
use crate::outcome::Outcome;
use crate::rules::DayLaw;
use crate::rules::finding::Findings;

/// Puts batches into an archive, in the order of the journal.
pub(crate) struct Archivist {
    archive: ArchiveWriter,
    preparer: Preparer,
    laws: Arc<Laws>,
    mint: Mint,
    days: (Day, Day),
    findings: Findings,
    names: LawNames,
}

impl Archivist {
    /// Batches of other days than `days`, first and last included, are passed over.
    pub(crate) fn new(
        archive: ArchiveWriter,
        preparer: Preparer,
        laws: Arc<Laws>,
        mint: Mint,
        days: (Day, Day),
    ) -> Self {
        let (findings, names) = (Findings::default(), LawNames::default());
        Self { archive, preparer, laws, mint, days, findings, names }
    }

    /// After the last record, `last`: everything stands.
    pub(crate) fn finish(mut self, last: Watermark) -> Result<ArchiveWriter, BoxError> {
        self.archive.end_range(last)?;
        Ok(self.archive)
    }
}

impl Onlooker for Archivist {
    fn placed(&mut self, batch: &PlacedBatch<'_>) -> Result<(), BoxError> {
        let filed = batch.filed;
        let day = filed.admission().day;
        if day < self.days.0 || day > self.days.1 {
            return Ok(());
        }
        self.archive.begin(batch.placing.number, day)?;
        let Self { archive, preparer, laws, mint, findings, names, .. } = self;
        let replays = batch.replays.iter();
        let mut telling = Telling { archive, mint, names, batch, day, replays, goods_items: 0 };
        let asked = (0..filed.len()).map(|index| (index, first_answer(filed, index)));
        let mut each = |reread: Reread<'_, '_>, findings: &mut Findings| {
            telling.tell(&reread, findings)?;
            findings.clear();
            Ok(())
        };
        preparer.read_again(batch.message, laws, asked, findings, &mut each)
    }
}

/// By what declaration `index` was judged; none where it is a replay.
fn first_answer(filed: &Filed, index: usize) -> Option<Under<'_>> {
    let Settled { outcome, .. } = filed.settled(index)?;
    let under = Under::of(filed, index, outcome == Outcome::Conflict);
    // Its own fallback stands in the message, uncut.
    (outcome != Outcome::Replayed).then_some(Under { quoted: None, ..under })
}

/// One batch on its way into the archive.
struct Telling<'a> {
    archive: &'a mut ArchiveWriter,
    mint: &'a Mint,
    names: &'a mut LawNames,
    batch: &'a PlacedBatch<'a>,
    day: Day,
    replays: std::slice::Iter<'a, (u16, Ordinal)>,
    goods_items: usize,
}

impl Telling<'_> {
    /// The next declaration and, after the last one, the batch.
    fn tell(&mut self, reread: &Reread<'_, '_>, findings: &Findings) -> Result<(), BoxError> {
        self.goods_items += reread.declaration.goods_items.len();
        let settled = self.batch.filed.settled(reread.index).ok_or("it is not settled")?;
        match &reread.judged {
            Some(judged) => self.declaration(reread, judged, settled.outcome, findings)?,
            None => self.replay(reread, settled)?,
        }
        if reread.index + 1 == self.batch.filed.len() {
            self.batch(reread)?;
        }
        Ok(())
    }

    fn declaration(
        &mut self,
        reread: &Reread<'_, '_>,
        judged: &Rejudged<'_>,
        outcome: Outcome,
        findings: &Findings,
    ) -> Result<(), BoxError> {
        let &Reread { index, lodger, declaration, .. } = reread;
        let (filed, placing) = (self.batch.filed, self.batch.placing);
        let (rule_set, reference_data) = self.names.of(&judged.law);
        let (law_day, check) = filed.judged_under(index);
        let lodged_at = Moment(declaration.fallback.lodged_at_ms);
        let mrn = || self.mint.mrn_of(self.day, placing.first_ordinal, index);
        let row = DeclarationRow {
            ordinal: Ordinal(placing.first_ordinal.0 + index as u64),
            record: placing.number,
            index: count(index),
            outcome,
            mrn: (outcome == Outcome::Accepted).then(mrn),
            lodger,
            judged_at: filed.admission().at,
            lodged_at: check.usable().then_some(lodged_at),
            lodged_day: check.usable().then_some(law_day),
            rule_set,
            reference_data,
            law: filed.admission().law,
            judgement: judged.judgement,
            content: filed.content(index).ok_or("it has no digest")?,
            with_fallback: filed.fallback(index).map(|fallback| fallback.digest),
            declaration,
            line_values: judged.line_values,
            findings: findings.since(judged.start),
        };
        Ok(self.archive.declaration(self.day, &row)?)
    }

    fn replay(&mut self, reread: &Reread<'_, '_>, settled: Settled) -> Result<(), BoxError> {
        let &Reread { index, lodger, declaration, .. } = reread;
        let (at, first_ordinal) = *self.replays.next().ok_or("a replay of nothing")?;
        if usize::from(at) != index {
            return Err("replays are out of order".into());
        }
        let row = ReplayRow {
            record: self.batch.placing.number,
            index: count(index),
            lodger,
            ioss_number: declaration.ioss_number,
            first_ordinal,
            replay_of: settled.replay_of.ok_or("a replay of no answer")?,
            judged_at: self.batch.filed.admission().at,
        };
        Ok(self.archive.replay(self.day, &row)?)
    }

    fn batch(&mut self, reread: &Reread<'_, '_>) -> Result<(), BoxError> {
        let (filed, placing) = (self.batch.filed, self.batch.placing);
        let row = BatchRow {
            record: placing.number,
            batch_id: reread.batch_id,
            lodger: reread.lodger,
            judged_at: filed.admission().at,
            law: filed.admission().law,
            first_ordinal: placing.first_ordinal,
            declarations: count(filed.len()),
            goods_items: count(self.goods_items),
        };
        Ok(self.archive.batch(self.day, &row)?)
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
