//! From the archive's rows back to what they were made of.

use super::kinds::{digest, number, text};
use super::tables::{
    BatchColumns, DeclarationColumns, FindingColumns, GoodsItemColumns, ReplayColumns,
};
use crate::day::{Day, Moment};
use crate::id::{Eori, EurCents, Ordinal, Watermark};
use crate::outcome::Outcome;
use crate::rules::finding::{Element, Findings, OwnFindings, Reason, Severity};
use crate::rules::{FallbackCheck, Judgement};
use crate::wire::digest::Digests;
use crate::wire::view::{
    Declaration, DocumentReference, FallbackLodgement, GoodsItem, LocationOfGoods, Lodger, Money,
    Party, Plain, ProductIdentifiers,
};

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEntry {
    /// Its number in the journal.
    pub record: Watermark,
    /// Its day.
    pub day: Day,
    /// The declarant's name for it.
    pub batch_id: String,
    /// Who lodged it.
    pub declarant: Eori,
    /// For whom; empty without one, and as declared, even malformed.
    pub representative: String,
    /// 0 without one.
    pub representative_status: u32,
    /// Its one time.
    pub judged_at: Moment,
    /// Number of the law in force.
    pub law: u32,
    /// Of its first declaration.
    pub first_ordinal: Ordinal,
    /// How many it has, of whatever outcome.
    pub declarations: u32,
    /// And goods items in them, those of replays included.
    pub goods_items: u32,
}

impl BatchEntry {
    /// Who lodged it, and for whom.
    #[must_use]
    pub fn lodger(&self) -> Lodger<'_> {
        Lodger {
            declarant: self.declarant,
            representative: &self.representative,
            representative_status: self.representative_status,
        }
    }
}

/// A declaration of a batch, by its index there.
#[derive(Debug)]
pub enum Entry<'a> {
    /// One that got a first answer.
    Declaration(Box<DeclarationEntry<'a>>),
    /// One that was answered before.
    Replay(ReplayEntry<'a>),
}

/// A declaration that got a first answer: all that the archive has of it.
#[derive(Debug)]
pub struct DeclarationEntry<'a> {
    /// Its place in the journal's order.
    pub ordinal: Ordinal,
    /// Its batch.
    pub record: Watermark,
    /// Its index there.
    pub index: u32,
    /// The day it arrived.
    pub day: Day,
    /// Accepted, rejected or conflict.
    pub outcome: Outcome,
    /// Where it was accepted.
    pub mrn: Option<&'a str>,
    /// Who lodged it.
    pub lodger: Lodger<'a>,
    /// The batch's one time.
    pub judged_at: Moment,
    /// The moment of its fallback lodgement, where law and rates are those of that moment.
    pub lodged_at: Option<Moment>,
    /// The day whose law and rates judged it.
    pub law_day: Day,
    /// What was found of its fallback lodgement.
    pub check: FallbackCheck,
    /// As `2026-11-01+9f3ac204`.
    pub rule_set: &'a str,
    /// As `5be1770a`.
    pub reference_data: &'a str,
    /// Number of the law in force at arrival.
    pub law: u32,
    /// Outcome of the rules and amounts.
    pub judgement: Judgement,
    /// Of its content.
    pub digests: Digests,
    /// As it was judged, but for what is withheld.
    pub declaration: Declaration<'a>,
    /// In euro, of each goods item; `None` where it was not judged or could not be converted.
    pub line_values: Vec<Option<EurCents>>,
    /// All of them; of a conflict, LRN_CONTENT_CONFLICT first.
    pub findings: OwnFindings<'a>,
    /// Pseudonym of the importer; `None` without a name.
    pub importer_person: Option<u64>,
    /// Of its address; `None` without a street.
    pub importer_address: Option<u64>,
    /// Of the exporter, where it is a private person.
    pub exporter_person: Option<u64>,
    /// Name or street of a private person was withheld.
    pub is_withheld: bool,
}

/// A declaration that was answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayEntry<'a> {
    /// Its place in the journal's order.
    pub ordinal: Ordinal,
    /// Its batch.
    pub record: Watermark,
    /// Its index there.
    pub index: u32,
    /// Who lodged it.
    pub declarant: Eori,
    /// For whom; empty without one.
    pub representative: &'a str,
    /// Its IOSS number; empty without one.
    pub ioss_number: &'a str,
    /// The fallback reference that it came with; empty without one, and in a file that was written before
    /// there was such a column.
    pub fallback_reference: &'a str,
    /// Of the declaration that got the first answer.
    pub first_ordinal: Ordinal,
    /// That answer.
    pub replay_of: Outcome,
    /// The batch's one time.
    pub judged_at: Moment,
}

type Row<'a, C> = (&'a C, usize);

/// Ordinals and record numbers are written as they are: see [`super::rows`].
fn place(number: i64) -> u64 {
    number.cast_unsigned()
}

fn outcome(name: &str) -> Result<Outcome, String> {
    match name {
        "ACCEPTED" => Ok(Outcome::Accepted),
        "REJECTED" => Ok(Outcome::Rejected),
        "CONFLICT" => Ok(Outcome::Conflict),
        other => Err(format!("{other:?} is no outcome")),
    }
}

fn eori(text: &str) -> Result<Eori, String> {
    Eori::parse(text).ok_or_else(|| format!("declarant {text:?} is no EORI"))
}

pub(super) fn batch((from, row): Row<'_, BatchColumns>, day: Day) -> Result<BatchEntry, String> {
    Ok(BatchEntry {
        record: Watermark(place(from.record.value(row))),
        day,
        batch_id: text(&from.batch_id, row).to_owned(),
        declarant: eori(text(&from.declarant, row))?,
        representative: text(&from.representative, row).to_owned(),
        representative_status: from.representative_status.value(row),
        judged_at: Moment(from.judged_at.value(row)),
        law: from.law.value(row),
        first_ordinal: Ordinal(place(from.first_ordinal.value(row))),
        declarations: from.declarations.value(row),
        goods_items: from.goods_items.value(row),
    })
}

pub(super) fn replay<'a>(
    (from, row): Row<'a, ReplayColumns>,
    ordinal: Ordinal,
) -> Result<ReplayEntry<'a>, String> {
    Ok(ReplayEntry {
        ordinal,
        record: Watermark(place(from.record.value(row))),
        index: from.index.value(row),
        declarant: eori(text(&from.declarant, row))?,
        representative: text(&from.representative, row),
        ioss_number: text(&from.ioss_number, row),
        fallback_reference: text(&from.fallback_reference, row),
        first_ordinal: Ordinal(place(from.first_ordinal.value(row))),
        replay_of: outcome(text(&from.replay_of, row))?,
        judged_at: Moment(from.judged_at.value(row)),
    })
}

/// Of `row`, its goods items and its findings, which are collected in `found`, empty before. `day`
/// is that of its arrival.
pub(super) fn declaration<'a>(
    row: Row<'a, DeclarationColumns>,
    goods_items: impl Iterator<Item = Row<'a, GoodsItemColumns>>,
    found: &'a Findings,
    day: Day,
) -> Result<DeclarationEntry<'a>, String> {
    let (from, at) = row;
    let mut declaration = content(row);
    let mut line_values = Vec::new();
    for (place, (columns, at)) in goods_items.enumerate() {
        if columns.goods_item.value(at) as usize != place + 1 {
            return Err(format!("goods item {} of it is out of order", place + 1));
        }
        line_values.push(number(&columns.intrinsic_value_eur_cents, at).map(EurCents));
        declaration.goods_items.push(goods_item(columns, at));
    }
    let findings = found.since(0);
    let outcome = outcome(text(&from.outcome, at))?;
    let judged_at = Moment(from.judged_at.value(at));
    let lodged_at = number(&from.lodged_at, at).map(Moment);
    let check = FallbackCheck::of(&declaration.fallback, judged_at);
    // Its moment is usable but for that no law holds on its day.
    let check = if lodged_at.is_none() && check.usable() { check.without_law() } else { check };
    let law_day = match number(&from.lodged_day, at) {
        Some(day) => Day(u16::try_from(day).map_err(|_| format!("{day} is no day"))?),
        None => day,
    };
    let content = digest(&from.content_digest, at).ok_or("it has no digest")?;
    let with_fallback = digest(&from.digest_with_fallback, at).unwrap_or(content);
    let rejects = findings.list.iter().filter(|finding| finding.severity == Severity::Reject);
    let rejected = rejects.filter(|f| f.reason != Reason::LrnContentConflict).count() > 0;
    let mrn = Some(text(&from.mrn, at)).filter(|mrn| !mrn.is_empty());
    let is_missing =
        |pseudonym, clear| number(pseudonym, at).is_some() && text(clear, at).is_empty();
    Ok(DeclarationEntry {
        ordinal: Ordinal(place(from.ordinal.value(at))),
        record: Watermark(place(from.record.value(at))),
        index: from.index.value(at),
        day,
        outcome,
        mrn,
        lodger: Lodger {
            declarant: eori(text(&from.declarant, at))?,
            representative: text(&from.representative, at),
            representative_status: from.representative_status.value(at),
        },
        judged_at,
        lodged_at,
        law_day,
        check,
        rule_set: text(&from.rule_set, at),
        reference_data: text(&from.reference_data, at),
        law: from.law.value(at),
        judgement: Judgement {
            rejected,
            intrinsic_value: EurCents(from.intrinsic_value_eur_cents.value(at)),
            duty: EurCents(from.duty_eur_cents.value(at)),
        },
        digests: Digests { content, with_fallback },
        declaration,
        line_values,
        findings,
        importer_person: number(&from.importer_person, at),
        importer_address: number(&from.importer_address, at),
        exporter_person: number(&from.exporter_person, at),
        is_withheld: is_missing(&from.importer_person, &from.importer_name)
            || is_missing(&from.importer_address, &from.importer_street)
            || is_missing(&from.exporter_person, &from.exporter_name)
            || is_missing(&from.exporter_address, &from.exporter_street),
    })
}

/// What was declared, without the goods items.
fn content<'a>((from, at): Row<'a, DeclarationColumns>) -> Declaration<'a> {
    Declaration {
        lrn: text(&from.lrn, at),
        goods_items: Vec::new(),
        additional_declaration_type: text(&from.additional_declaration_type, at),
        exporter: Party {
            name: text(&from.exporter_name, at),
            street: text(&from.exporter_street, at),
            postcode: text(&from.exporter_postcode, at),
            city: text(&from.exporter_city, at),
            country: text(&from.exporter_country, at),
            identification: text(&from.exporter_identification, at),
        },
        importer: Party {
            name: text(&from.importer_name, at),
            street: text(&from.importer_street, at),
            postcode: text(&from.importer_postcode, at),
            city: text(&from.importer_city, at),
            country: text(&from.importer_country, at),
            identification: text(&from.importer_identification, at),
        },
        ioss_number: text(&from.ioss_number, at),
        transport_document: DocumentReference {
            r#type: text(&from.transport_document_type, at),
            reference: text(&from.transport_document_reference, at),
        },
        previous_documents: from.previous_documents.list(at).collect(),
        transport_costs: Money {
            currency: text(&from.transport_costs_currency, at),
            hundredths: from.transport_costs_hundredths.value(at),
        },
        location_of_goods: LocationOfGoods {
            r#type: text(&from.location_type, at),
            qualifier: text(&from.location_qualifier, at),
            identification: text(&from.location_identification, at),
        },
        ucr: text(&from.ucr, at),
        supporting_documents: from.supporting_documents.list(at).collect(),
        fallback: FallbackLodgement {
            reference: text(&from.fallback_reference, at),
            lodged_at_ms: number(&from.fallback_lodged_at_ms, at).unwrap_or(0),
        },
        plain: Plain::default(),
    }
}

fn goods_item(from: &GoodsItemColumns, at: usize) -> GoodsItem<'_> {
    GoodsItem {
        goods_item_number: from.goods_item_number.value(at),
        hs6: text(&from.hs6, at),
        description: text(&from.description, at),
        intrinsic_value: Money {
            currency: text(&from.intrinsic_value_currency, at),
            hundredths: from.intrinsic_value_hundredths.value(at),
        },
        gross_mass_mg: from.gross_mass_mg.value(at),
        packages: from.packages.value(at),
        additional_procedures: from.additional_procedures.list(at).collect(),
        product: ProductIdentifiers {
            merchant: text(&from.product_merchant, at),
            manufacturer: text(&from.product_manufacturer, at),
            gtin: text(&from.product_gtin, at),
        },
        country_of_origin: text(&from.country_of_origin, at),
    }
}

/// Adds the findings of one declaration to `found`.
pub(super) fn findings<'a>(
    rows: impl Iterator<Item = Row<'a, FindingColumns>>,
    found: &mut Findings,
) -> Result<(), String> {
    for (position, (from, at)) in rows.enumerate() {
        if from.position.value(at) as usize != position {
            return Err(format!("the finding at {position} is out of order"));
        }
        let reason = text(&from.reason, at);
        let element = text(&from.data_element, at);
        let severity = match text(&from.severity, at) {
            "FLAG" => Severity::Flag,
            "REJECT" => Severity::Reject,
            other => return Err(format!("{other:?} is no severity")),
        };
        found.add(
            Reason::parse(reason).ok_or_else(|| format!("{reason:?} is no reason"))?,
            severity,
            Element::by_number(element).ok_or_else(|| format!("{element:?} is no data element"))?,
            u16::try_from(from.goods_item.value(at)).map_err(|error| error.to_string())?,
            text(&from.value, at),
        );
    }
    Ok(())
}
