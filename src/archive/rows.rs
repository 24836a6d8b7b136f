//! What the archive is given: batches, declarations, replays; and how they become rows.

use std::path::Path;
use std::sync::Arc;

use super::column::Table as _;
use super::encoder::Encoder;
use super::error::ArchiveError;
use super::private::{Pseudonyms, quotes_person, sends_gift};
use super::set::day_folder;
use super::table_file::{Place, TableFile, Written};
use super::tables::{Batches, Declarations, Findings, GoodsItems, Replays};
use crate::day::{Day, Moment};
use crate::disk::Disk;
use crate::id::{EurCents, Ordinal, Watermark};
use crate::mrn::Mrn;
use crate::outcome::Outcome;
use crate::rules::Judgement;
use crate::rules::finding::{OwnFindings, Severity};
use crate::wire::digest::Digest;
use crate::wire::view::{
    Declaration, DocumentReference, FallbackLodgement, GoodsItem, LocationOfGoods, Lodger, Money,
    Party, ProductIdentifiers,
};

/// A batch, once its declarations are told.
#[derive(Debug)]
pub struct BatchRow<'a> {
    /// Its number in the journal.
    pub record: Watermark,
    /// The declarant's name for it.
    pub batch_id: &'a str,
    /// Who lodged it.
    pub lodger: &'a Lodger<'a>,
    /// The batch's one time.
    pub judged_at: Moment,
    /// Number of the law in force.
    pub law: u32,
    /// Of its first declaration.
    pub first_ordinal: Ordinal,
    /// How many it has, of whatever outcome.
    pub declarations: u32,
    /// And goods items in them.
    pub goods_items: u32,
}

/// A declaration that got a first answer.
#[derive(Debug)]
pub struct DeclarationRow<'a, 'd> {
    /// Its place in the journal's order.
    pub ordinal: Ordinal,
    /// Its batch.
    pub record: Watermark,
    /// Its index there.
    pub index: u32,
    /// Accepted, rejected or conflict.
    pub outcome: Outcome,
    /// Where it was accepted.
    pub mrn: Option<Mrn>,
    /// Who lodged it.
    pub lodger: &'a Lodger<'a>,
    /// The batch's one time.
    pub judged_at: Moment,
    /// The moment of its fallback lodgement, where law and rates are those of that moment.
    pub lodged_at: Option<Moment>,
    /// The day of that moment, as it was counted then: law and rates are its.
    pub lodged_day: Option<Day>,
    /// As `2026-11-01+9f3ac204`.
    pub rule_set: &'a str,
    /// As `5be1770a`.
    pub reference_data: &'a str,
    /// Number of the law in force.
    pub law: u32,
    /// Amounts.
    pub judgement: Judgement,
    /// Digest of its content, fallback apart.
    pub content: Digest,
    /// With the fallback, where there is one.
    pub with_fallback: Option<Digest>,
    /// As it was judged.
    pub declaration: &'a Declaration<'d>,
    /// In euro, of each goods item, as far as they were judged and could be converted.
    pub line_values: &'a [Option<EurCents>],
    /// All of them, those a verdict has no room for included.
    pub findings: OwnFindings<'a>,
}

/// A declaration that was answered before.
#[derive(Debug)]
pub struct ReplayRow<'a> {
    /// Its batch.
    pub record: Watermark,
    /// Its index there.
    pub index: u32,
    /// Who lodged it.
    pub lodger: &'a Lodger<'a>,
    /// Its IOSS number.
    pub ioss_number: &'a str,
    /// The fallback reference that it came with.
    pub fallback_reference: &'a str,
    /// Of the declaration that got the first answer.
    pub first_ordinal: Ordinal,
    /// That answer.
    pub replay_of: Outcome,
    /// The batch's one time.
    pub judged_at: Moment,
}

/// The outcome as the tables have it: the contract's name without its prefix.
fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "ACCEPTED",
        Outcome::Rejected => "REJECTED",
        Outcome::Replayed => "REPLAYED",
        Outcome::Conflict => "CONFLICT",
    }
}

/// Ordinals and record numbers stay far below 2^62.
fn place(number: u64) -> i64 {
    number.cast_signed()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Files that have ended, of a day whose others have not yet.
struct Ended<'a> {
    disk: &'a Arc<dyn Disk>,
    files: Vec<Written>,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = self.disk.remove(&file.beside);
        }
    }
}

/// The files of one day in one range of records.
pub(super) struct DayTables {
    personal: bool,
    batches: TableFile<Batches>,
    declarations: TableFile<Declarations>,
    goods_items: TableFile<GoodsItems>,
    findings: TableFile<Findings>,
    replays: TableFile<Replays>,
}

impl DayTables {
    /// Begins the five files, whether they will have rows or not: so a day has all of them or is
    /// not whole.
    pub(super) fn create(
        (disk, encoder): (&Arc<dyn Disk>, &Arc<Encoder>),
        root: &Path,
        (day, part): (Day, u32),
        first: u64,
        personal: bool,
    ) -> Result<Self, ArchiveError> {
        let folder = |table| day_folder(root, table, day);
        let place = |table| Place { disk, encoder, folder: folder(table), first, part, personal };
        Ok(Self {
            personal,
            batches: TableFile::create(&place(Batches::NAME))?,
            declarations: TableFile::create(&place(Declarations::NAME))?,
            goods_items: TableFile::create(&place(GoodsItems::NAME))?,
            findings: TableFile::create(&place(Findings::NAME))?,
            replays: TableFile::create(&place(Replays::NAME))?,
        })
    }

    /// Ends the five files: they are whole and synced, and do not have their names yet. Where one
    /// fails, none remains.
    pub(super) fn finish(self, disk: &Arc<dyn Disk>) -> Result<[Written; 5], ArchiveError> {
        let mut ended = Ended { disk, files: Vec::new() };
        let Self { batches, declarations, goods_items, findings, replays, .. } = self;
        ended.files.push(batches.finish()?);
        ended.files.push(declarations.finish()?);
        ended.files.push(goods_items.finish()?);
        ended.files.push(findings.finish()?);
        ended.files.push(replays.finish()?);
        let files = std::mem::take(&mut ended.files);
        files.try_into().map_err(|_| ArchiveError::Order("a day has five files".to_owned()))
    }

    pub(super) fn batch(&mut self, row: &BatchRow<'_>) -> Result<(), ArchiveError> {
        let to = &mut self.batches.rows;
        to.record.push(place(row.record.0));
        to.batch_id.push(row.batch_id);
        to.declarant.push(row.lodger.declarant.as_str());
        to.representative.push(row.lodger.representative);
        to.representative_status.push(row.lodger.representative_status);
        to.judged_at.push(row.judged_at.0);
        to.law.push(row.law);
        to.first_ordinal.push(place(row.first_ordinal.0));
        to.declarations.push(row.declarations);
        to.goods_items.push(row.goods_items);
        self.batches.added()
    }

    pub(super) fn replay(&mut self, row: &ReplayRow<'_>) -> Result<(), ArchiveError> {
        let to = &mut self.replays.rows;
        to.record.push(place(row.record.0));
        to.index.push(row.index);
        to.declarant.push(row.lodger.declarant.as_str());
        to.representative.push(row.lodger.representative);
        to.ioss_number.push(row.ioss_number);
        to.first_ordinal.push(place(row.first_ordinal.0));
        to.replay_of.push(outcome(row.replay_of));
        to.judged_at.push(row.judged_at.0);
        to.fallback_reference.push(row.fallback_reference);
        self.replays.added()
    }

    pub(super) fn declaration(
        &mut self,
        row: &DeclarationRow<'_, '_>,
        pseudonyms: &mut Pseudonyms,
    ) -> Result<(), ArchiveError> {
        self.answer(row)?;
        self.content(row.declaration, pseudonyms);
        self.declarations.added()?;
        for (index, item) in row.declaration.goods_items.iter().enumerate() {
            let value = row.line_values.get(index).copied().flatten();
            self.goods_item(row.ordinal, index, item, value)?;
        }
        self.findings(row)
    }

    /// What became of it.
    fn answer(&mut self, row: &DeclarationRow<'_, '_>) -> Result<(), ArchiveError> {
        let to = &mut self.declarations.rows;
        to.ordinal.push(place(row.ordinal.0));
        to.record.push(place(row.record.0));
        to.index.push(row.index);
        to.outcome.push(outcome(row.outcome));
        to.mrn.push(row.mrn.as_ref().map_or("", Mrn::as_str));
        to.declarant.push(row.lodger.declarant.as_str());
        to.representative.push(row.lodger.representative);
        to.representative_status.push(row.lodger.representative_status);
        to.judged_at.push(row.judged_at.0);
        to.lodged_at.push(row.lodged_at.map(|at| at.0));
        to.lodged_day.push(row.lodged_day.map(|day| i32::from(day.0)));
        to.rule_set.push(row.rule_set);
        to.reference_data.push(row.reference_data);
        to.law.push(row.law);
        to.intrinsic_value_eur_cents.push(row.judgement.intrinsic_value.0);
        to.duty_eur_cents.push(row.judgement.duty.0);
        let digests = to.content_digest.push(row.content);
        let digests = digests.and_then(|()| {
            to.digest_with_fallback.push(row.with_fallback.filter(|with| *with != row.content))
        });
        digests.map_err(|source| ArchiveError::Rows { table: Declarations::NAME, source })
    }

    /// What was declared, taken apart so that a new field cannot be forgotten here.
    fn content(&mut self, declaration: &Declaration<'_>, pseudonyms: &mut Pseudonyms) {
        let Declaration {
            lrn,
            goods_items,
            additional_declaration_type,
            exporter,
            importer,
            ioss_number,
            transport_document: DocumentReference { r#type, reference },
            previous_documents,
            transport_costs: Money { currency, hundredths },
            location_of_goods,
            ucr,
            supporting_documents,
            fallback: FallbackLodgement { reference: fallback_reference, lodged_at_ms },
            plain: _,
        } = declaration;
        self.exporter(exporter, sends_gift(declaration), pseudonyms);
        self.importer(importer, pseudonyms);
        let to = &mut self.declarations.rows;
        to.lrn.push(lrn);
        to.goods_items.push(count(goods_items.len()));
        to.additional_declaration_type.push(additional_declaration_type);
        to.ioss_number.push(ioss_number);
        to.transport_document_type.push(r#type);
        to.transport_document_reference.push(reference);
        to.previous_documents.push(previous_documents);
        to.transport_costs_currency.push(currency);
        to.transport_costs_hundredths.push(*hundredths);
        let LocationOfGoods { r#type, qualifier, identification } = location_of_goods;
        to.location_type.push(r#type);
        to.location_qualifier.push(qualifier);
        to.location_identification.push(identification);
        to.ucr.push(ucr);
        to.supporting_documents.push(supporting_documents);
        to.fallback_reference.push(fallback_reference);
        let is_fallback = !fallback_reference.is_empty() || *lodged_at_ms != 0;
        to.fallback_lodged_at_ms.push(is_fallback.then_some(*lodged_at_ms));
    }

    fn exporter(&mut self, party: &Party<'_>, is_private: bool, pseudonyms: &mut Pseudonyms) {
        let Party { name, street, postcode, city, country, identification } = party;
        let to = &mut self.declarations.rows;
        let is_clear = self.personal || !is_private;
        to.exporter_name.push(if is_clear { name } else { "" });
        to.exporter_street.push(if is_clear { street } else { "" });
        to.exporter_postcode.push(postcode);
        to.exporter_city.push(city);
        to.exporter_country.push(country);
        to.exporter_identification.push(identification);
        to.exporter_person.push(is_private.then(|| pseudonyms.person(party)).flatten());
        to.exporter_address.push(is_private.then(|| pseudonyms.address(party)).flatten());
    }

    fn importer(&mut self, party: &Party<'_>, pseudonyms: &mut Pseudonyms) {
        let Party { name, street, postcode, city, country, identification } = party;
        let to = &mut self.declarations.rows;
        // Without personal data the file does not have these two columns.
        to.importer_name.push(if self.personal { name } else { "" });
        to.importer_street.push(if self.personal { street } else { "" });
        to.importer_postcode.push(postcode);
        to.importer_city.push(city);
        to.importer_country.push(country);
        to.importer_identification.push(identification);
        to.importer_person.push(pseudonyms.person(party));
        to.importer_address.push(pseudonyms.address(party));
    }

    fn goods_item(
        &mut self,
        ordinal: Ordinal,
        index: usize,
        item: &GoodsItem<'_>,
        value: Option<EurCents>,
    ) -> Result<(), ArchiveError> {
        let GoodsItem {
            goods_item_number,
            hs6,
            description,
            intrinsic_value: Money { currency, hundredths },
            gross_mass_mg,
            packages,
            additional_procedures,
            product: ProductIdentifiers { merchant, manufacturer, gtin },
            country_of_origin,
        } = item;
        let to = &mut self.goods_items.rows;
        to.ordinal.push(place(ordinal.0));
        to.goods_item.push(count(index + 1));
        to.goods_item_number.push(*goods_item_number);
        to.hs6.push(hs6);
        to.description.push(description);
        to.intrinsic_value_currency.push(currency);
        to.intrinsic_value_hundredths.push(*hundredths);
        to.intrinsic_value_eur_cents.push(value.map(|cents| cents.0));
        to.gross_mass_mg.push(*gross_mass_mg);
        to.packages.push(*packages);
        to.additional_procedures.push(additional_procedures.iter().copied());
        to.product_merchant.push(merchant);
        to.product_manufacturer.push(manufacturer);
        to.product_gtin.push(gtin);
        to.country_of_origin.push(country_of_origin);
        self.goods_items.added()
    }

    fn findings(&mut self, row: &DeclarationRow<'_, '_>) -> Result<(), ArchiveError> {
        for (position, finding) in row.findings.list.iter().enumerate() {
            let value = row.findings.value(finding);
            let is_withheld = !self.personal && quotes_person(finding, value, row.declaration);
            let to = &mut self.findings.rows;
            to.ordinal.push(place(row.ordinal.0));
            to.position.push(count(position));
            to.reason.push(finding.reason.name());
            to.severity.push(match finding.severity {
                Severity::Flag => "FLAG",
                Severity::Reject => "REJECT",
            });
            to.goods_item.push(u32::from(finding.goods_item));
            to.data_element.push(finding.element.number());
            to.value.push(if is_withheld { "" } else { value });
            self.findings.added()?;
        }
        Ok(())
    }
}
