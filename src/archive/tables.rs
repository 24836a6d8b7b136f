//! The tables, column by column, as [`super`] describes them.

use super::column::{Table, table};
use super::kinds::{Amounts, Counts, Days, Digests, Documents, Moments, Places, TextLists, Texts};

/// Rows of a row group: what a reader has to hold at once, some 10 MB of declarations.
const ROWS: usize = 1 << 17;
/// The same of the tables with short rows, whose dictionaries are worth more the longer they serve:
/// 1.2 bytes a goods item less than with 2^17.
const LINES: usize = 1 << 20;

table! {
    /// One row for each batch.
    Batches => BatchColumns, "batches", ROWS;
    record: Places, Required, Delta, searched;
    batch_id: Texts, Optional, Prefix;
    declarant: Texts, Required, Dictionary, searched;
    representative: Texts, Optional, Dictionary;
    representative_status: Counts, Required, Dictionary;
    judged_at: Moments, Required, Delta, searched;
    law: Counts, Required, Dictionary;
    first_ordinal: Places, Required, Delta, searched;
    declarations: Counts, Required, Dictionary;
    goods_items: Counts, Required, Delta;
}

table! {
    /// One row for each declaration that got a first answer.
    Declarations => DeclarationColumns, "declarations", ROWS;
    ordinal: Places, Required, Delta, searched;
    record: Places, Required, Delta, searched;
    index: Counts, Required, Delta;
    outcome: Texts, Required, Few;
    mrn: Texts, Optional, Prefix;
    lrn: Texts, Optional, Prefix;
    declarant: Texts, Required, Dictionary, searched;
    representative: Texts, Optional, Dictionary, searched;
    representative_status: Counts, Required, Few;
    ioss_number: Texts, Optional, Dictionary, searched;
    judged_at: Moments, Required, Delta, searched;
    lodged_at: Moments, Optional, Delta;
    lodged_day: Days, Optional, Delta;
    rule_set: Texts, Required, Few;
    reference_data: Texts, Required, Few;
    law: Counts, Required, Few;
    intrinsic_value_eur_cents: Amounts, Required, Delta, searched;
    duty_eur_cents: Amounts, Required, Dictionary;
    goods_items: Counts, Required, Few;
    content_digest: Digests, Required, Plain;
    digest_with_fallback: Digests, Optional, Plain;
    additional_declaration_type: Texts, Optional, Few;
    exporter_name: Texts, Optional, Dictionary;
    exporter_street: Texts, Optional, Dictionary;
    exporter_postcode: Texts, Optional, Dictionary;
    exporter_city: Texts, Optional, Dictionary;
    exporter_country: Texts, Optional, Few;
    exporter_identification: Texts, Optional, Dictionary;
    exporter_person: Amounts, Optional, Delta;
    exporter_address: Amounts, Optional, Delta;
    importer_name: Texts, Personal, Lengths;
    importer_street: Texts, Personal, Lengths;
    importer_postcode: Texts, Optional, Lengths;
    importer_city: Texts, Optional, Dictionary;
    importer_country: Texts, Optional, Few;
    importer_identification: Texts, Optional, Lengths;
    importer_person: Amounts, Optional, Delta;
    importer_address: Amounts, Optional, Delta;
    transport_document_type: Texts, Optional, Few;
    transport_document_reference: Texts, Optional, Lengths;
    previous_documents: Documents, Required, Dictionary;
    transport_costs_currency: Texts, Optional, Few;
    transport_costs_hundredths: Amounts, Required, Dictionary;
    location_type: Texts, Optional, Few;
    location_qualifier: Texts, Optional, Few;
    location_identification: Texts, Optional, Dictionary;
    ucr: Texts, Optional, Prefix;
    supporting_documents: Documents, Required, Dictionary;
    fallback_reference: Texts, Optional, Prefix;
    fallback_lodged_at_ms: Places, Optional, Delta;
}

table! {
    /// One row for each goods item of those declarations.
    GoodsItems => GoodsItemColumns, "goods_items", LINES;
    ordinal: Places, Required, Delta, searched;
    goods_item: Counts, Required, Few;
    goods_item_number: Counts, Required, Few;
    hs6: Texts, Optional, Dictionary, searched;
    description: Texts, Optional, Dictionary;
    intrinsic_value_currency: Texts, Optional, Few;
    intrinsic_value_hundredths: Amounts, Required, Dictionary;
    intrinsic_value_eur_cents: Amounts, Optional, Dictionary;
    gross_mass_mg: Amounts, Required, Dictionary;
    packages: Counts, Required, Few;
    additional_procedures: TextLists, Required, Few;
    product_merchant: Texts, Optional, Dictionary;
    product_manufacturer: Texts, Optional, Dictionary;
    product_gtin: Texts, Optional, Dictionary;
    country_of_origin: Texts, Optional, Few;
}

table! {
    /// One row for each finding of those declarations.
    Findings => FindingColumns, "findings", LINES;
    ordinal: Places, Required, Delta, searched;
    position: Counts, Required, Few;
    reason: Texts, Required, Few, searched;
    severity: Texts, Required, Few;
    goods_item: Counts, Required, Few;
    data_element: Texts, Required, Few;
    value: Texts, Optional, Dictionary;
}

table! {
    /// One row for each replay.
    Replays => ReplayColumns, "replays", ROWS;
    record: Places, Required, Delta, searched;
    index: Counts, Required, Delta;
    declarant: Texts, Required, Dictionary, searched;
    representative: Texts, Optional, Dictionary;
    ioss_number: Texts, Optional, Dictionary;
    first_ordinal: Places, Required, Delta;
    replay_of: Texts, Required, Dictionary;
    judged_at: Moments, Required, Delta, searched;
    fallback_reference: Texts, Optional, Dictionary;
}

/// The folders of all tables.
pub const TABLES: [&str; 5] =
    [Batches::NAME, Declarations::NAME, GoodsItems::NAME, Findings::NAME, Replays::NAME];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::Arc;

    use arrow_array::RecordBatch;
    use arrow_schema::Schema;

    use super::*;
    use crate::archive::column::Columns as _;
    use crate::archive::entry;
    use crate::id::Ordinal;

    /// A replay, in a file that has its first so many columns.
    fn read(columns: usize) -> Result<String, String> {
        let mut row = Replays::new();
        row.record.push(1);
        row.index.push(2);
        row.declarant.push("NL810000003");
        row.representative.push("");
        row.ioss_number.push("");
        row.first_ordinal.push(3);
        row.replay_of.push("ACCEPTED");
        row.judged_at.push(4);
        row.fallback_reference.push("outage");
        let fields: Vec<_> = Replays::columns().iter().map(|column| column.field()).collect();
        let arrays = row.take().unwrap()[..columns].to_vec();
        let schema = Arc::new(Schema::new(fields[..columns].to_vec()));
        let read = ReplayColumns::of(&RecordBatch::try_new(schema, arrays).unwrap())?;
        let replay = entry::replay((&read, 0), Ordinal(5))?;
        Ok(replay.fallback_reference.to_owned())
    }

    #[test]
    fn a_replay_of_before_there_was_a_column_for_it_has_no_reference() {
        assert_eq!(read(9).as_deref(), Ok("outage"));
        assert_eq!(read(8).as_deref(), Ok(""));
        assert!(read(7).unwrap_err().contains("judged_at"));
    }
}
