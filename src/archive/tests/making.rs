//! Sets made of generated, arbitrary or small batches, with what must be read back of them.

use super::*;
use crate::disk::{Disk, SimulatedDisk};
use crate::generate::{Generator, Options as Generated};

pub(crate) const IDENTITY: [u8; 16] = [9; 16];

pub(crate) fn options(personal: bool) -> Options {
    Options {
        identity: IDENTITY,
        personal,
        pseudonyms: Pseudonyms::new([3; 16]),
        look_only: false,
        encode_beside: false,
    }
}

pub(crate) fn open(disk: &SimulatedDisk) -> Result<(Archive, Opened), ArchiveError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Archive::open(disk, Path::new("data/archive"), options(false))
}

pub(crate) fn new_archive() -> (SimulatedDisk, Archive) {
    let disk = SimulatedDisk::new(1, u64::MAX);
    let (archive, opened) = open(&disk).unwrap();
    assert_eq!(opened, Opened::default());
    (disk, archive)
}

/// A batch as it was put into a set.
#[derive(Debug, Clone)]
pub(crate) struct GivenBatch {
    pub(crate) record: u64,
    pub(crate) day: Day,
    pub(crate) first_ordinal: u64,
    pub(crate) goods_items: u32,
    pub(crate) entries: Vec<GivenEntry>,
}

#[derive(Debug, Clone)]
pub(crate) enum GivenEntry {
    Declaration(Box<Expected>),
    /// First ordinal and answer; IOSS number and fallback reference.
    Replay(Ordinal, Outcome, [String; 2]),
}

/// What is to be read back of a declaration.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) outcome: Outcome,
    pub(crate) mrn: Option<String>,
    /// Without what is withheld.
    pub(crate) message: v1::Declaration,
    pub(crate) is_withheld: bool,
    pub(crate) judgement: Judgement,
    pub(crate) line_values: Vec<Option<EurCents>>,
    pub(crate) findings: Vec<(Finding, String)>,
    pub(crate) digests: Digests,
    pub(crate) facts: Facts,
    pub(crate) check: FallbackCheck,
    pub(crate) law_day: Day,
}

/// Batches of the generator, about `lines` goods items in all.
pub(crate) fn generated(lines: u64, batch: u32) -> Vec<v1::SubmitBatchRequest> {
    let options =
        Generated { lines, batch, actors: 5, invalid: 0.2, ..Generated::on(day("2026-11-05")) };
    Generator::new(&options).unwrap().map(|batch| batch.request).collect()
}

/// Puts batches into sets and notes what must be read back. Every fifth declaration is a replay.
pub(crate) struct Maker {
    judge: Judge,
    digester: Digester,
    mint: crate::mrn::Mint,
    pub(crate) record: u64,
    pub(crate) ordinal: u64,
}

impl Maker {
    pub(crate) fn new() -> Self {
        let digester = Digester::new(Keys::new([1; 16], [2; 32]));
        let mint = crate::mrn::Mint::new([5; 16]);
        Self { judge: Judge::new(), digester, mint, record: 0, ordinal: 0 }
    }

    /// The next record, a batch of `day`.
    pub(crate) fn batch(
        &mut self,
        writer: &mut SetWriter,
        day: Day,
        request: &v1::SubmitBatchRequest,
    ) -> Result<GivenBatch, ArchiveError> {
        self.record += 1;
        let (record, first_ordinal) = (Watermark(self.record), Ordinal(self.ordinal));
        let message = prost::Message::encode_to_vec(request);
        let (arena, mut view) = (Bump::new(), Declaration::default());
        let batch = Batch::read(&message, Bounds::default()).unwrap();
        writer.begin(record, day)?;
        let (mut entries, mut goods_items) = (Vec::new(), 0);
        for index in 0..batch.len() {
            let encoded = batch.declaration(index, &arena, &mut view).unwrap();
            let digests = self.digester.digests(&lodger(), &view, encoded);
            goods_items += view.goods_items.len() as u32;
            let ordinal = Ordinal(self.ordinal);
            self.ordinal += 1;
            entries.push(if index % 5 == 4 {
                self.replay(writer, (record, day, index), &view)?
            } else {
                self.declaration(writer, (record, day, index, ordinal), &view, digests)?
            });
        }
        let row = BatchRow {
            record,
            batch_id: &request.batch_id,
            lodger: &lodger(),
            judged_at: AT,
            law: 3,
            first_ordinal,
            declarations: entries.len() as u32,
            goods_items,
        };
        writer.batch(day, &row)?;
        let (record, first_ordinal) = (record.0, first_ordinal.0);
        Ok(GivenBatch { record, day, first_ordinal, goods_items, entries })
    }

    fn replay(
        &mut self,
        writer: &mut SetWriter,
        (record, day, index): (Watermark, Day, usize),
        view: &Declaration<'_>,
    ) -> Result<GivenEntry, ArchiveError> {
        let (first_ordinal, replay_of) = (Ordinal(index as u64), outcome(index).0);
        let row = ReplayRow {
            record,
            index: index as u32,
            lodger: &lodger(),
            ioss_number: view.ioss_number,
            fallback_reference: view.fallback.reference,
            first_ordinal,
            replay_of,
            judged_at: AT,
        };
        writer.replay(day, &row)?;
        let texts = [view.ioss_number, view.fallback.reference].map(str::to_owned);
        Ok(GivenEntry::Replay(first_ordinal, replay_of, texts))
    }

    fn declaration(
        &mut self,
        writer: &mut SetWriter,
        (record, day, index, ordinal): (Watermark, Day, usize, Ordinal),
        view: &Declaration<'_>,
        digests: Digests,
    ) -> Result<GivenEntry, ArchiveError> {
        let law = day_law();
        let mut findings = Findings::default();
        let outcome = outcome(index).0;
        let lodged_at = view.fallback.lodged_at_ms;
        // Now and then, no law holds on its day.
        let check = FallbackCheck::of(&view.fallback, AT);
        let check = if check.usable() && lodged_at % 2 == 1 { check.without_law() } else { check };
        let law_day = if check.usable() { Day(day.0 - 2) } else { day };
        if outcome == Outcome::Conflict {
            let reason = Reason::LrnContentConflict;
            findings.add(reason, Severity::Reject, Element::Lrn, 0, view.lrn);
        }
        let judgement = self.judge.judge(&law, &lodger(), view, check, &mut findings);
        let found = findings.since(0);
        let mrn = (outcome == Outcome::Accepted).then(|| self.mint.mrn(2026, ordinal));
        let row = DeclarationRow {
            ordinal,
            record,
            index: index as u32,
            outcome,
            mrn,
            lodger: &lodger(),
            judged_at: AT,
            lodged_at: check.usable().then_some(Moment(lodged_at)),
            lodged_day: check.usable().then_some(law_day),
            rule_set: &law.rule_set_name(),
            reference_data: &law.reference_name(),
            law: 3,
            judgement,
            content: digests.content,
            with_fallback: Some(digests.with_fallback),
            declaration: view,
            line_values: self.judge.line_values(),
            findings: found,
        };
        writer.declaration(day, &row)?;
        let is_gift = private::sends_gift(view);
        let mut message = to_message(view);
        let whole = message.clone();
        message = withheld(message, is_gift);
        let items = 0..view.goods_items.len();
        let values = self.judge.line_values();
        let value = |finding: &Finding| {
            let value = found.value(finding);
            let is_withheld = private::quotes_person(finding, value, view);
            if is_withheld { String::new() } else { value.to_owned() }
        };
        Ok(GivenEntry::Declaration(Box::new(Expected {
            outcome,
            mrn: mrn.map(|mrn| mrn.to_string()),
            is_withheld: message != whole,
            message,
            judgement,
            line_values: items.map(|at| values.get(at).copied().flatten()).collect(),
            findings: found.list.iter().map(|finding| (*finding, value(finding))).collect(),
            digests,
            facts: Facts::of(view, &judgement, values, found.list, AT),
            check,
            law_day,
        })))
    }
}

/// Writes a set of `batches`, each on its day, and publishes it.
pub(crate) fn write_set(
    archive: &Archive,
    maker: &mut Maker,
    batches: &[(Day, v1::SubmitBatchRequest)],
) -> Result<(Set, Vec<GivenBatch>), ArchiveError> {
    let mut writer = archive.begin(Watermark(maker.record + 1), Ordinal(maker.ordinal))?;
    let mut given = Vec::new();
    for (day, request) in batches {
        given.push(maker.batch(&mut writer, *day, request)?);
    }
    let set = writer.finish(Watermark(maker.record), Ordinal(maker.ordinal))?;
    archive.publish(set.clone())?;
    Ok((set, given))
}

fn same_findings(found: OwnFindings<'_>, expected: &[(Finding, String)]) {
    let found: Vec<_> = found.list.iter().map(|f| (*f, found.value(f).to_owned())).collect();
    let plain = |list: &[(Finding, String)]| {
        let plain = list
            .iter()
            .map(|(f, value)| (f.reason, f.severity, f.element, f.goods_item, value.clone()));
        plain.collect::<Vec<_>>()
    };
    assert_eq!(plain(&found), plain(expected));
}

/// The set read back is what was given, dropped days apart; facts made of it are those made of the
/// message.
pub(crate) fn assert_same(archive: &Archive, set: &Set, given: &[GivenBatch]) {
    let mut records = archive.read(set).unwrap();
    let is_dropped = |day| set.parts.iter().any(|part| part.is_dropped && part.day == day);
    for given in given.iter().filter(|given| !is_dropped(given.day)) {
        let batch = records.next_batch().unwrap().expect("a batch is missing");
        assert_eq!((batch.record.0, batch.day), (given.record, given.day));
        assert_eq!(batch.first_ordinal.0, given.first_ordinal);
        assert_eq!(batch.lodger(), lodger());
        assert_eq!((batch.law, batch.judged_at), (3, AT));
        let counts = (batch.declarations as usize, batch.goods_items);
        assert_eq!(counts, (given.entries.len(), given.goods_items));
        for (index, expected) in given.entries.iter().enumerate() {
            match (records.next_entry().unwrap().expect("an entry is missing"), expected) {
                (Entry::Declaration(found), GivenEntry::Declaration(expected)) => {
                    assert_eq!((found.index as usize, found.record), (index, batch.record));
                    assert_eq!(found.ordinal.0, given.first_ordinal + index as u64);
                    same_declaration(&found, expected);
                }
                (Entry::Replay(found), GivenEntry::Replay(first, outcome, texts)) => {
                    assert_eq!((found.index as usize, found.record), (index, batch.record));
                    assert_eq!(found.ordinal.0, given.first_ordinal + index as u64);
                    assert_eq!((found.first_ordinal, found.replay_of), (*first, *outcome));
                    assert_eq!([found.ioss_number, found.fallback_reference], *texts);
                    assert_eq!(
                        (found.declarant, found.representative),
                        (lodger().declarant, "nobody")
                    );
                }
                (found, _) => panic!("{found:?} is another kind"),
            }
        }
        assert!(records.next_entry().unwrap().is_none());
    }
    assert_eq!(records.next_batch().unwrap(), None);
}

fn same_declaration(found: &DeclarationEntry<'_>, expected: &Expected) {
    assert_eq!((found.outcome, found.mrn), (expected.outcome, expected.mrn.as_deref()));
    assert_eq!(to_message(&found.declaration), expected.message);
    assert_eq!(found.is_withheld, expected.is_withheld);
    assert_eq!(found.judgement, expected.judgement);
    assert_eq!(found.line_values, expected.line_values);
    assert_eq!(found.digests, expected.digests);
    assert_eq!((found.check, found.law_day), (expected.check, expected.law_day));
    assert_eq!((found.lodger, found.law), (lodger(), 3));
    same_findings(found.findings, &expected.findings);
    let DeclarationEntry { declaration, judgement, line_values, findings, judged_at, .. } = found;
    let facts = Facts::of(declaration, judgement, line_values, findings.list, *judged_at);
    assert_eq!(facts, expected.facts);
}

/// What is found under each ordinal is what was given.
pub(crate) fn assert_found(archive: &Archive, given: &[GivenBatch], dropped: &[Day]) {
    for batch in given {
        for (index, expected) in batch.entries.iter().enumerate() {
            let ordinal = Ordinal(batch.first_ordinal + index as u64);
            match (archive.declaration(ordinal).unwrap(), expected) {
                (Found::Declaration(found), GivenEntry::Declaration(expected)) => {
                    assert!(!dropped.contains(&batch.day));
                    assert_eq!((found.ordinal, found.record.0), (ordinal, batch.record));
                    assert_eq!((found.day, found.index as usize), (batch.day, index));
                    assert_eq!((found.outcome, &found.mrn), (expected.outcome, &expected.mrn));
                    assert_eq!(found.declaration, expected.message);
                    assert_eq!(found.line_values, expected.line_values);
                    assert_eq!(found.judgement, expected.judgement);
                    assert_eq!(found.law_day, expected.law_day);
                    same_findings(found.findings(), &expected.findings);
                }
                (Found::Dropped, _) => assert!(dropped.contains(&batch.day)),
                (Found::NotHere, GivenEntry::Replay(..)) => {}
                (found, _) => panic!("{ordinal:?}: {found:?}"),
            }
        }
    }
}
