//! What is written is read back equal; what is withheld is nowhere; what the archive keeps is
//! enough for the summaries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod crash;
mod encoding;
pub(crate) mod making;
mod sets;
mod size;

use std::path::Path;
use std::sync::Arc;

use bumpalo::Bump;
use proptest::prelude::*;
use serde_json::Value;

use super::reading::{Row, declaration as declaration_of, files, rows, texts};
use super::*;
use crate::day::{Day, Moment};
use crate::disk::LocalDisk;
use crate::id::{Eori, EurCents, Ordinal, Watermark};
use crate::outcome::Outcome;
use crate::proto::v1;
use crate::rules::finding::{Element, Finding, Findings, OwnFindings, Reason, Severity};
use crate::rules::{DayLaw, FallbackCheck, Judge, Judgement, Law};
use crate::summary::Facts;
use crate::wire::arbitrary;
use crate::wire::digest::{Digest, Digester, Digests, Keys};
use crate::wire::message::to_message;
use crate::wire::reader::{Batch, Bounds};
use crate::wire::view::{Declaration, Lodger};

fn day_law() -> Arc<DayLaw> {
    static LAW: std::sync::OnceLock<Arc<DayLaw>> = std::sync::OnceLock::new();
    Arc::clone(LAW.get_or_init(|| Law::load(None).unwrap().on(day("2026-11-05")).unwrap()))
}

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn lodger() -> Lodger<'static> {
    let declarant = Eori::parse("NL810000003").unwrap();
    Lodger { declarant, representative: "nobody", representative_status: 2 }
}

/// What was put into an archive for a declaration.
struct Given {
    message: v1::Declaration,
    is_gift: bool,
    judgement: Judgement,
    line_values: Vec<Option<EurCents>>,
    findings: Vec<(Finding, String)>,
    digests: Digests,
    facts: Facts,
}

const AT: Moment = Moment(1_793_876_400_000);

/// Judges and archives `declarations`, each of them as accepted, rejected and conflict in turn, in
/// one batch of 2026-11-05.
fn archive(root: &Path, declarations: Vec<v1::Declaration>, personal: bool) -> Vec<Given> {
    let request = v1::SubmitBatchRequest { declarations, ..v1::SubmitBatchRequest::default() };
    let message = prost::Message::encode_to_vec(&request);
    let (arena, law) = (Bump::new(), day_law());
    let batch = Batch::read(&message, Bounds::default()).unwrap();
    let mut digester = Digester::new(Keys::new([1; 16], [2; 32]));
    let mut writer = ArchiveWriter::new(
        Arc::new(LocalDisk::new()),
        root,
        Watermark(7),
        personal,
        Pseudonyms::new([3; 16]),
    );
    let (mut judge, mut findings) = (Judge::new(), Findings::default());
    let (mut view, mut given) = (Declaration::default(), Vec::new());
    writer.begin(Watermark(7), law.day()).unwrap();
    for index in 0..batch.len() {
        let encoded = batch.declaration(index, &arena, &mut view).unwrap();
        let digests = digester.digests(&lodger(), &view, encoded);
        let start = findings.list.len();
        let check = FallbackCheck::of(&view.fallback, AT);
        let judgement = judge.judge(&law, &lodger(), &view, check, &mut findings);
        let own = findings.since(start);
        let row = DeclarationRow {
            ordinal: Ordinal(100 + index as u64),
            record: Watermark(7),
            index: index as u32,
            outcome: outcome(index).0,
            mrn: None,
            lodger: &lodger(),
            judged_at: AT,
            lodged_at: check.usable().then_some(Moment(view.fallback.lodged_at_ms)),
            lodged_day: check.usable().then_some(law.day()),
            rule_set: &law.rule_set_name(),
            reference_data: &law.reference_name(),
            law: 0,
            judgement,
            content: digests.content,
            with_fallback: Some(digests.with_fallback),
            declaration: &view,
            line_values: judge.line_values(),
            findings: own,
        };
        writer.declaration(law.day(), &row).unwrap();
        given.push(Given {
            message: to_message(&view),
            is_gift: private::sends_gift(&view),
            judgement,
            line_values: judge.line_values().to_vec(),
            findings: own.list.iter().map(|f| (*f, own.value(f).to_owned())).collect(),
            digests,
            facts: Facts::of(&view, &judgement, judge.line_values(), own.list, AT),
        });
    }
    writer.end_range(Watermark(7)).unwrap();
    given
}

fn outcome(index: usize) -> (Outcome, &'static str) {
    [
        (Outcome::Accepted, "ACCEPTED"),
        (Outcome::Rejected, "REJECTED"),
        (Outcome::Conflict, "CONFLICT"),
    ][index % 3]
}

fn hex(digest: Digest) -> String {
    digest.to_be_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of<'r>(rows: &'r [Row], ordinal: &Value) -> Vec<&'r Row> {
    rows.iter().filter(|row| row["ordinal"] == *ordinal).collect()
}

/// The facts of a declaration from nothing but its rows.
fn facts(row: &Row, items: &[&Row], findings: &[&Row]) -> Facts {
    let number = |value: &Value| value.as_u64().unwrap();
    let declarations = vec![declaration_of(row, items.iter().copied())];
    let request = v1::SubmitBatchRequest { declarations, ..v1::SubmitBatchRequest::default() };
    let message = prost::Message::encode_to_vec(&request);
    let (arena, mut view) = (Bump::new(), Declaration::default());
    let batch = Batch::read(&message, Bounds::default()).unwrap();
    batch.declaration(0, &arena, &mut view).unwrap();
    let judgement = Judgement {
        rejected: findings.iter().any(|finding| finding["severity"] == "REJECT"),
        intrinsic_value: EurCents(number(&row["intrinsic_value_eur_cents"])),
        duty: EurCents(number(&row["duty_eur_cents"])),
    };
    let values = items.iter().map(|item| item["intrinsic_value_eur_cents"].as_u64().map(EurCents));
    let findings = findings.iter().map(|finding| Finding {
        reason: Reason::parse(finding["reason"].as_str().unwrap()).unwrap(),
        severity: if finding["severity"] == "FLAG" { Severity::Flag } else { Severity::Reject },
        element: Element::by_number(finding["data_element"].as_str().unwrap()).unwrap(),
        goods_item: number(&finding["goods_item"]).try_into().unwrap(),
        value: (0, 0),
    });
    let (values, findings) = (values.collect::<Vec<_>>(), findings.collect::<Vec<_>>());
    Facts::of(&view, &judgement, &values, &findings, Moment(row["judged_at"].as_i64().unwrap()))
}

/// The declaration without what is withheld.
fn withheld(mut declaration: v1::Declaration, is_gift: bool) -> v1::Declaration {
    let blank = |party: &mut Option<v1::Party>| {
        *party = party.take().map(|party| v1::Party {
            name: String::new(),
            street: String::new(),
            ..party
        });
        *party = party.take().filter(|party| *party != v1::Party::default());
    };
    blank(&mut declaration.importer);
    if is_gift {
        blank(&mut declaration.exporter);
    }
    declaration
}

fn check(root: &Path, given: &[Given], personal: bool) {
    let [declarations, items, findings] =
        ["declarations", "goods_items", "findings"].map(|table| rows(root, table));
    assert_eq!(declarations.len(), given.len());
    for (index, (row, given)) in declarations.iter().zip(given).enumerate() {
        let ordinal = &row["ordinal"];
        assert_eq!(*ordinal, 100 + index as u64);
        assert_eq!((&row["record"], &row["index"]), (&7.into(), &index.into()));
        assert_eq!(
            (&row["day"], &row["outcome"]),
            (&"2026-11-05".into(), &outcome(index).1.into())
        );
        assert_eq!(row["judged_at"], AT.0);
        assert_eq!(
            (&row["declarant"], &row["representative"]),
            (&"NL810000003".into(), &"nobody".into())
        );
        assert_eq!(row["content_digest"], hex(given.digests.content));
        let with_fallback = (given.digests.with_fallback != given.digests.content)
            .then(|| hex(given.digests.with_fallback));
        assert_eq!(row["digest_with_fallback"].as_str(), with_fallback.as_deref());
        let (items, found) = (of(&items, ordinal), of(&findings, ordinal));
        let expected = if personal {
            given.message.clone()
        } else {
            withheld(given.message.clone(), given.is_gift)
        };
        assert_eq!(declaration_of(row, items.iter().copied()), expected);
        assert_eq!(row["goods_items"], items.len());
        for (place, item) in items.iter().enumerate() {
            let value = given.line_values.get(place).copied().flatten();
            assert_eq!(item["intrinsic_value_eur_cents"].as_u64(), value.map(|cents| cents.0));
            assert_eq!(item["goods_item"], place + 1);
        }
        assert_eq!(row["intrinsic_value_eur_cents"], given.judgement.intrinsic_value.0);
        assert_eq!(found.len(), given.findings.len());
        for (place, (row, (finding, value))) in found.iter().zip(&given.findings).enumerate() {
            assert_eq!(row["position"], place);
            assert_eq!(row["reason"], finding.reason.name());
            let quoted = row["value"].as_str().unwrap_or_default();
            assert!(quoted == value || (quoted.is_empty() && !personal), "{quoted} {value}");
        }
        assert_eq!(facts(row, &items, &found), given.facts);
    }
}

/// An arbitrary declaration, now and then a gift, with a name and a street that occur nowhere else.
fn declaration() -> impl Strategy<Value = v1::Declaration> {
    (arbitrary::declaration(), any::<bool>(), 1..200_usize).prop_map(|(declaration, gift, long)| {
        let mut declaration = declaration;
        let geheim = |what: &str| format!("Geheim-{what} {}", "x".repeat(long));
        for (party, role) in
            [(&mut declaration.importer, "importer"), (&mut declaration.exporter, "exporter")]
        {
            if let Some(party) = party {
                party.name = geheim(&format!("{role}-name"));
                party.street = geheim(&format!("{role}-street"));
            }
        }
        if let Some(item) = declaration.goods_items.first_mut().filter(|_| gift) {
            item.additional_procedures.push("c08".into());
        }
        declaration
    })
}

fn all_texts(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for table in ["batches", "declarations", "goods_items", "findings", "replays"] {
        for row in rows(root, table) {
            texts(&Value::Object(row), &mut found);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_read_back_and_makes_the_same_facts(
        declarations in proptest::collection::vec(declaration(), 1..12),
        personal in any::<bool>(),
    ) {
        let root = tempfile::tempdir().unwrap();
        let given = archive(root.path(), declarations, personal);
        check(root.path(), &given, personal);
    }

    #[test]
    fn what_is_withheld_is_nowhere(
        declarations in proptest::collection::vec(declaration(), 1..12),
    ) {
        let root = tempfile::tempdir().unwrap();
        let given = archive(root.path(), declarations, false);
        for row in rows(root.path(), "declarations") {
            prop_assert!(!row.contains_key("importer_name") && !row.contains_key("importer_street"));
        }
        let in_clear = given.iter().any(|given| !given.is_gift && given.message.exporter.is_some());
        for text in all_texts(root.path()) {
            prop_assert!(!text.contains("Geheim-importer"), "{text}");
            prop_assert!(in_clear || !text.contains("Geheim"), "{text}");
        }
    }
}

/// A gift in good order but for its sender, whose name is a company's.
fn company_gift(sender: &str) -> v1::Declaration {
    let item = v1::GoodsItem {
        goods_item_number: 1,
        hs6: "950300".into(),
        description: "Wooden toy train".into(),
        intrinsic_value: Some(v1::Money { currency: "EUR".into(), hundredths: 2_000 }),
        gross_mass_mg: 200_000,
        packages: 1,
        additional_procedures: vec!["C08".into()],
        ..v1::GoodsItem::default()
    };
    let party = |name: &str, country: &str| v1::Party {
        name: name.into(),
        street: "Kade 1".into(),
        city: "Stad".into(),
        country: country.into(),
        ..v1::Party::default()
    };
    v1::Declaration {
        lrn: "GIFT".into(),
        goods_items: vec![item],
        exporter: Some(party(sender, "CN")),
        importer: Some(party("J. Jansen", "NL")),
        ..v1::Declaration::default()
    }
}

#[test]
fn a_finding_that_quotes_the_senders_name_does_not_quote_it_here() {
    let sender = "Lotusbay Trading Co., Ltd";
    for personal in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let given = archive(root.path(), vec![company_gift(sender)], personal);
        let quotes = given[0].findings.iter().any(|(finding, value)| {
            finding.reason == Reason::GiftCommercialSigns && value == sender
        });
        assert!(quotes, "the case no longer shows what it is for: {:?}", given[0].findings);
        assert_eq!(all_texts(root.path()).iter().any(|text| text == sender), personal);
        check(root.path(), &given, personal);
        let row = &rows(root.path(), "declarations")[0];
        for pseudonym in ["exporter_person", "exporter_address", "importer_person"] {
            assert!(row[pseudonym].is_u64(), "{pseudonym}");
        }
    }
}

#[test]
fn findings_that_a_verdict_has_no_room_for_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let empty = v1::GoodsItem::default();
    let goods_items = vec![empty; 60];
    let given = archive(
        root.path(),
        vec![v1::Declaration { goods_items, ..v1::Declaration::default() }],
        false,
    );
    assert!(given[0].findings.len() > 200);
    check(root.path(), &given, false);
}

#[test]
fn row_groups_and_what_is_held_at_once_end_somewhere_in_the_middle() {
    let root = tempfile::tempdir().unwrap();
    // Many times what is held at once.
    let items: Vec<_> = (0..140)
        .map(|n| v1::GoodsItem {
            goods_item_number: n + 1,
            ..company_gift("").goods_items[0].clone()
        })
        .collect();
    let declarations: Vec<_> = (0..1_000)
        .map(|n| v1::Declaration {
            lrn: format!("L{n}"),
            goods_items: items.clone(),
            ..v1::Declaration::default()
        })
        .collect();
    archive(root.path(), declarations, false);
    let items = rows(root.path(), "goods_items");
    assert_eq!(items.len(), 140_000);
    for (place, item) in items.iter().enumerate() {
        assert_eq!(item["ordinal"], 100 + place / 140);
        assert_eq!(item["goods_item_number"], place % 140 + 1);
    }

    // More replays than a row group has.
    let root = tempfile::tempdir().unwrap();
    let mut writer = ArchiveWriter::new(
        Arc::new(LocalDisk::new()),
        root.path(),
        Watermark(1),
        false,
        Pseudonyms::new([3; 16]),
    );
    writer.begin(Watermark(1), day("2026-11-05")).unwrap();
    for index in 0..140_000 {
        let row = ReplayRow { index, ..replay(1) };
        writer.replay(day("2026-11-05"), &row).unwrap();
    }
    writer.end_range(Watermark(1)).unwrap();
    let replays = rows(root.path(), "replays");
    assert_eq!(replays.len(), 140_000);
    assert!(replays.iter().enumerate().all(|(place, row)| row["index"] == place));
}

fn replay(record: u64) -> ReplayRow<'static> {
    static LODGER: std::sync::OnceLock<Lodger<'static>> = std::sync::OnceLock::new();
    ReplayRow {
        record: Watermark(record),
        index: 9,
        lodger: LODGER.get_or_init(lodger),
        ioss_number: "IM0561234567",
        fallback_reference: "",
        first_ordinal: Ordinal(2),
        replay_of: Outcome::Conflict,
        judged_at: AT,
    }
}

#[test]
fn days_have_folders_of_their_own_and_ranges_follow_on_one_another() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = ArchiveWriter::new(
        Arc::new(LocalDisk::new()),
        root.path(),
        Watermark(1),
        false,
        Pseudonyms::new([3; 16]),
    );
    let [a, b, c] = ["2026-12-30", "2026-12-31", "2027-01-01"].map(day);
    // Around midnight two days alternate; a third one ends the range. Records 1, 2 and 6 are no
    // batches.
    for (record, day) in [(3, a), (4, b), (5, a), (7, c)] {
        writer.begin(Watermark(record), day).unwrap();
        let row = BatchRow {
            record: Watermark(record),
            batch_id: "",
            lodger: &lodger(),
            judged_at: AT,
            law: 0,
            first_ordinal: Ordinal(record * 10),
            declarations: 10,
            goods_items: 20,
        };
        writer.batch(day, &row).unwrap();
        writer.replay(day, &replay(record)).unwrap();
    }
    assert_eq!(writer.totals().iter().map(|totals| totals.files).sum::<u64>(), 10);
    // Of what is not ended, nothing is seen.
    assert_eq!(files(root.path(), "batches").len(), 2);
    writer.end_range(Watermark(9)).unwrap();
    assert_eq!(writer.days(), Some((a, c)));
    for table in ["batches", "declarations", "goods_items", "findings", "replays"] {
        let found: Vec<_> = files(root.path(), table)
            .into_iter()
            .map(|(day, path)| (day, path.file_name().unwrap().to_str().unwrap().to_owned()))
            .collect();
        let file = |day: Day, name: &str| (day.to_string(), format!("{name}.parquet"));
        assert_eq!(
            found,
            [
                file(a, "000000000001-000000000006"),
                file(b, "000000000001-000000000006"),
                file(c, "000000000007-000000000009"),
            ],
            "{table}"
        );
    }
    let found = rows(root.path(), "replays");
    let places: Vec<_> = found.iter().map(|row| (&row["day"], &row["record"])).collect();
    let [three, five, four, seven] = [3, 5, 4, 7].map(Value::from);
    let [a, b, c] = [a, b, c].map(|day| Value::from(day.to_string()));
    assert_eq!(places, [(&a, &three), (&a, &five), (&b, &four), (&c, &seven)]);
    assert_eq!(
        (&found[0]["replay_of"], &found[0]["first_ordinal"]),
        (&"CONFLICT".into(), &2.into())
    );
    assert_eq!(rows(root.path(), "batches")[0]["goods_items"], 20);
}
