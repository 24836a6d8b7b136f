//! Archives of declarations that have much in common.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::archive::{
    Archive, BatchRow, DeclarationRow, Options, Pseudonyms, ReplayRow, SetWriter,
};
use crate::day::{Day, Moment};
use crate::disk::{Disk, SimulatedDisk};
use crate::id::{Eori, EurCents, Ordinal, Watermark};
use crate::insight::{Insight, Keys};
use crate::mrn::Mint;
use crate::outcome::Outcome;
use crate::rules::Judgement;
use crate::rules::finding::{Element, Findings, Reason, Severity};
use crate::wire::digest::Digest;
use crate::wire::view::{Declaration, DocumentReference, GoodsItem, Lodger, Money, Party};

pub(crate) const IDENTITY: [u8; 16] = [9; 16];
const AT: Moment = Moment(1_793_876_400_000);

pub(crate) fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

/// A declaration; 0 stands for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) outcome: Outcome,
    pub(crate) declarant: u16,
    pub(crate) representative: u16,
    pub(crate) ioss: u16,
    pub(crate) exporter: u16,
    pub(crate) is_gift: bool,
    /// The rules found signs of a company.
    pub(crate) is_commercial: bool,
    pub(crate) importer: u16,
    pub(crate) address: u16,
    pub(crate) document: u16,
    pub(crate) lines: Vec<Line>,
}

/// A goods item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) hs6: &'static str,
    pub(crate) cents: u64,
}

impl Line {
    /// One in five joins goods.
    pub(super) fn description(&self) -> &'static str {
        if self.cents.is_multiple_of(5) { "thing and pouch" } else { "thing, red" }
    }
}

impl Given {
    pub(crate) fn cents(&self) -> u64 {
        self.lines.iter().map(|line| line.cents).sum()
    }
}

/// One that was accepted, with all that may be.
pub(crate) fn accepted() -> Given {
    Given {
        outcome: Outcome::Accepted,
        declarant: 1,
        representative: 0,
        ioss: 1,
        exporter: 1,
        is_gift: false,
        is_commercial: false,
        importer: 1,
        address: 1,
        document: 1,
        lines: vec![Line { hs6: "610910", cents: 4_000 }],
    }
}

/// Any, of few of everything.
pub(super) fn given() -> impl Strategy<Value = Given> {
    let outcome = prop_oneof![
        8 => Just(Outcome::Accepted),
        1 => Just(Outcome::Rejected),
        1 => Just(Outcome::Conflict),
        1 => Just(Outcome::Replayed),
    ];
    let hs6 =
        prop_oneof![Just("610910"), Just("950300"), Just("851712"), Just("392690"), Just("x")];
    let cents = prop_oneof![Just(999), 1..16_000_u64];
    let line = (hs6, cents).prop_map(|(hs6, cents)| Line { hs6, cents });
    let actors = (1..4_u16, 0..3_u16, 0..4_u16);
    let parties = (0..4_u16, 0..6_u8, 0..14_u16, 0..3_u16, 0..9_u16);
    (outcome, actors, parties, proptest::collection::vec(line, 1..4)).prop_map(
        |(outcome, (declarant, representative, ioss), parties, lines)| {
            let (exporter, gift, importer, address, document) = parties;
            Given {
                outcome,
                declarant,
                representative,
                ioss,
                exporter,
                is_gift: gift > 2,
                is_commercial: gift == 5,
                importer,
                address,
                document,
                lines,
            }
        },
    )
}

pub(crate) fn declarant(number: u16) -> String {
    format!("NL81000{number:04}")
}

pub(crate) fn ioss(number: u16) -> String {
    format!("IM528{number:07}")
}

/// `word` with its number, nothing for 0.
fn name(word: &str, number: u16) -> String {
    if number == 0 { String::new() } else { format!("{word} {number}") }
}

/// An archive and what is in it.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) archive: Archive,
    placed: Vec<(Day, u64, Given)>,
    record: u64,
    ordinal: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1, u64::MAX));
        let options = Options {
            identity: IDENTITY,
            personal: false,
            pseudonyms: Pseudonyms::new([3; 16]),
            look_only: false,
            encode_beside: false,
        };
        let (archive, _) = Archive::open(disk, Path::new("data/archive"), options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { folder, archive, placed: Vec::new(), record: 0, ordinal: 0 }
    }

    pub(crate) fn insight(&self) -> Insight {
        self.insight_of(self)
    }

    /// In this one's folder, of another one's archive.
    pub(crate) fn insight_of(&self, other: &Self) -> Insight {
        let (keys, mint, archive) = (Keys::new([3; 16]), Mint::new([5; 16]), other.archive.clone());
        let mut insight = Insight::new(self.folder.path(), IDENTITY, keys, mint, archive);
        insight.open().unwrap();
        insight
    }

    /// All that was placed: day, ordinal and what.
    pub(crate) fn placed(&self) -> &[(Day, u64, Given)] {
        &self.placed
    }

    pub(crate) fn records(&self) -> u64 {
        self.record
    }

    /// The findings of all days and the state, byte for byte.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(self.folder.path().join("days")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
        files.insert("state".into(), std::fs::read(self.folder.path().join("state")).unwrap());
        files
    }

    /// Puts a set of batches, each of its day, into the archive.
    pub(crate) fn write_set(&mut self, batches: &[(u16, Vec<Given>)]) {
        let first = Watermark(self.record + 1);
        let mut writer = self.archive.begin(first, Ordinal(self.ordinal)).unwrap();
        for (day, given) in batches {
            self.batch(&mut writer, Day(*day), given);
        }
        let set = writer.finish(Watermark(self.record), Ordinal(self.ordinal)).unwrap();
        self.archive.publish(set).unwrap();
    }

    fn batch(&mut self, writer: &mut SetWriter, day: Day, given: &[Given]) {
        self.record += 1;
        let (record, first_ordinal) = (Watermark(self.record), Ordinal(self.ordinal));
        writer.begin(record, day).unwrap();
        let mut goods_items = 0;
        for (index, given) in given.iter().enumerate() {
            let (record, index) = (record, index as u32);
            put(writer, (record, day, index, Ordinal(self.ordinal)), given);
            self.placed.push((day, self.ordinal, given.clone()));
            self.ordinal += 1;
            goods_items += given.lines.len() as u32;
        }
        let id = declarant(1);
        let lodger = Lodger {
            declarant: Eori::parse(&id).unwrap(),
            representative: "",
            representative_status: 0,
        };
        let row = BatchRow {
            record,
            batch_id: "",
            lodger: &lodger,
            judged_at: AT,
            law: 3,
            first_ordinal,
            declarations: given.len() as u32,
            goods_items,
        };
        writer.batch(day, &row).unwrap();
    }
}

fn put(
    writer: &mut SetWriter,
    (record, day, index, ordinal): (Watermark, Day, u32, Ordinal),
    given: &Given,
) {
    let numbered = |number: u16, make: fn(u16) -> String| {
        if number == 0 { String::new() } else { make(number) }
    };
    let (own, ioss) = (declarant(given.declarant), numbered(given.ioss, ioss));
    let representative = numbered(given.representative, declarant);
    let lodger = Lodger {
        declarant: Eori::parse(&own).unwrap(),
        representative: &representative,
        representative_status: 2,
    };
    if given.outcome == Outcome::Replayed {
        let row = ReplayRow {
            record,
            index,
            lodger: &lodger,
            ioss_number: &ioss,
            fallback_reference: "",
            first_ordinal: Ordinal(0),
            replay_of: Outcome::Accepted,
            judged_at: AT,
        };
        return writer.replay(day, &row).unwrap();
    }
    let names = [
        name("Exporter", given.exporter),
        name("Importer", given.importer),
        name("Street", given.address),
        name("D", given.document),
    ];
    let [exporter, importer, street, document] = &names;
    let procedure = if given.is_gift { "C08" } else { "F48" };
    let item = |line: &Line| GoodsItem {
        hs6: line.hs6,
        description: line.description(),
        intrinsic_value: Money { currency: "EUR", hundredths: line.cents },
        gross_mass_mg: 1_000_000,
        packages: 1,
        additional_procedures: std::iter::once(procedure).collect(),
        ..GoodsItem::default()
    };
    let lrn = format!("L{}", ordinal.0);
    let declaration = Declaration {
        lrn: &lrn,
        goods_items: given.lines.iter().map(item).collect(),
        exporter: Party { name: exporter, country: "CN", ..Party::default() },
        importer: Party { name: importer, street, country: "NL", ..Party::default() },
        ioss_number: &ioss,
        transport_document: DocumentReference { r#type: "N740", reference: document },
        ..Declaration::default()
    };
    let values: Vec<_> = given.lines.iter().map(|line| Some(EurCents(line.cents))).collect();
    let mut findings = Findings::default();
    if given.is_commercial {
        let reason = Reason::GiftCommercialSigns;
        findings.add(reason, Severity::Flag, Element::Exporter, 0, "");
    }
    let row = DeclarationRow {
        ordinal,
        record,
        index,
        outcome: given.outcome,
        mrn: None,
        lodger: &lodger,
        judged_at: AT,
        lodged_at: None,
        lodged_day: None,
        rule_set: "2026-11-01+9f3ac204",
        reference_data: "5be1770a",
        law: 3,
        judgement: Judgement {
            rejected: given.outcome == Outcome::Rejected,
            intrinsic_value: EurCents(given.cents()),
            duty: EurCents(0),
        },
        content: Digest(ordinal.0, 1),
        with_fallback: None,
        declaration: &declaration,
        line_values: &values,
        findings: findings.since(0),
    };
    writer.declaration(day, &row).unwrap();
}
