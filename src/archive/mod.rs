//! The archive: all that was lodged, as Parquet files that DuckDB, Polars and pandas read with
//! no help from us. Sealing writes it from full segments of the journal, which then go: from there on
//! it is truth. `waag export` writes one to a folder of its own.
//!
//! ```text
//! <table>/day=2026-11-22/000000000001-000000004711.parquet
//! sets/000000000001-000000004711.set
//! ```
//!
//! A folder for each table, in it one for each day of arrival (the day of summary and MRN year, in
//! the journal's time zone), in it files named after the first and last record of the range of
//! records they were made from. Readers that know Hive partitions find the column `day`.
//!
//! A *set* is the files of one range of records and its set file, which names them all; its layout
//! stands in `set.rs`. (The folder `summary` beside the tables is that of closed days of the summary,
//! and not touched here, nor is `snapshot`, that of the summaries; an export has no sets.)
//!
//! # Life of a set
//! [`Archive::begin`], rows, [`SetWriter::finish`], [`Archive::publish`]. Files are written under hidden
//! names and synced, then named, then their folders are synced; then the set file is written, synced,
//! named and its folder synced: that commits it. Once a day's retention is over
//! ([`Archive::drop_days`]), the set file is first written anew with the day marked dropped, and then
//! the files go. [`Archive::read`] gives a set back in order, from which index and summaries can be
//! made again without the journal; [`Archive::declaration`] one declaration.
//!
//! # Invariants
//! - A set stands if and only if its set file does. All other files in the folders of tables and of
//!   sets are removed when the archive is opened, before which nothing of them is seen.
//! - Sets follow on one another from record 1, and the journal on the last one. Where the journal still
//!   holds a set's records, the journal wins and the set is removed.
//! - What is read is what was written: each block of a file is checked against the set file before
//!   anything is made of it. Damage is an error with the file's name, never a panic or another figure.
//! - Readers hold no lock that writing, publishing or dropping waits for, nor the other way round.
//! - Every declaration that got a first answer is one row of `declarations`, every other one a row
//!   of `replays`, and every batch a row of `batches`. Rows come in the order of the journal.
//! - The rows of a record are a function of the journal up to it, the laws it names and the keys of
//!   the data folder; nothing depends on when they are written.
//! - What a summary is made of is here: [`crate::summary::Facts`] of a declaration can be made from
//!   its rows. So all findings are kept, those that a verdict has no room for included.
//! - A file has its name only once it is whole and synced; before that its name begins with a full
//!   stop, which readers of data sets pass over. A range of records has for each of its days a
//!   file in each of the five tables, with or without rows; ranges follow on one another. (A day that
//!   is found again after two others had begun in the same set has a second file in each, `...2.parquet`.)
//! - Memory does not grow with the journal, nor with the days of a set: ten files at most are being
//!   written, each holding one row group (32 MiB, and 2^17 rows or, of goods items and findings, 2^20), the dictionaries of its
//!   columns (4 MiB each) and 4,096 rows or 8 MiB that wait, beside one declaration and up to five times
//!   as much on its way to the thread that encodes (`encoder`).
//!   Reading a set holds of ten files at most 4,096 rows, a page and a dictionary of each column, and
//!   512 KiB of blocks.
//! - Every file names in its metadata the version of this format (`waag.archive_format`), of the
//!   normaliser (`waag.normaliser`) and of the pseudonyms (`waag.pseudonyms`).
//!
//! # What is withheld
//! Importers, and exporters of declarations with procedure C08 (gift) on some goods item, are
//! private persons. Their name and street are not here, nor is a finding's quotation of one: where
//! the person matters, two pseudonyms of 48 bits do instead (see `private`): of 100 million persons some
//! 18 pairs share one. Postcode, city, country and EORI
//! stay. With the setting `archive_personal_data` name and street stand beside the pseudonyms.
//!
//! What a sender writes elsewhere (a name in a description, say) is not recognised as such. With
//! postcodes and pseudonyms, the archive is personal data still, in the sense of the GDPR
//! (Art. 4(5)).
//!
//! # Tables
//! Texts are as they were judged: normalised, with what the batch has in common applied; one that
//! is empty or absent is NULL. Numbers are never NULL unless the table says so: 0 where absent. Moments
//! are milliseconds, UTC. Amounts `.._hundredths` are in hundredths of the unit of the currency beside
//! them, `.._eur_cents` in cents. `record` counts the journal's records from 1; `ordinal` is a
//! declaration's place in the journal's order, from 0, replays counted, and joins the tables.
//!
//! **`declarations`**: one row for each declaration that was accepted, rejected or a conflict.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `ordinal` | int64 | identifies the declaration |
//! | `record`, `index` | int64, uint32 | its batch, and its index there from 0 |
//! | `outcome` | text | `ACCEPTED`, `REJECTED` or `CONFLICT` |
//! | `mrn` | text | NULL unless accepted |
//! | `lrn` | text | 12 09 |
//! | `declarant` | text | 13 05, EORI |
//! | `representative` | text | 13 06, as declared, even malformed |
//! | `representative_status` | uint32 | 13 06 030; 0 without |
//! | `ioss_number` | text | 13 16 034, as declared, even malformed |
//! | `judged_at` | timestamp | the batch's one time |
//! | `lodged_at` | timestamp | the fallback lodgement's moment, where law and rates are those of it; else NULL |
//! | `lodged_day` | date | its day, as it was counted then; else NULL |
//! | `rule_set`, `reference_data` | text | as `2026-11-01+9f3ac204`, `5be1770a`: what judged it |
//! | `law` | uint32 | number of the law in force at arrival |
//! | `intrinsic_value_eur_cents` | uint64 | what was compared with the threshold; 0 where a goods item could not be converted |
//! | `duty_eur_cents` | uint64 | 0 unless accepted |
//! | `goods_items` | uint32 | how many it has |
//! | `content_digest` | 10 bytes | keyed; equal for equal contents, fallback apart |
//! | `digest_with_fallback` | 10 bytes | NULL where it is the same |
//! | `additional_declaration_type` | text | 11 02 |
//! | `exporter_name`, `_street`, `_postcode`, `_city`, `_country`, `_identification` | text | 13 01; name and street NULL where withheld |
//! | `exporter_person`, `_address` | uint64 | pseudonyms; NULL unless a gift |
//! | `importer_name`, `_street` | text | 13 04; **no such columns** unless personal data is kept |
//! | `importer_postcode`, `_city`, `_country`, `_identification` | text | 13 04 |
//! | `importer_person`, `_address` | uint64 | pseudonyms; NULL without a name, a street |
//! | `transport_document_type`, `_reference` | text | 12 05 |
//! | `previous_documents` | list of (`type`, `reference`) | 12 01 |
//! | `transport_costs_currency`, `_hundredths` | text, uint64 | 14 15 |
//! | `location_type`, `_qualifier`, `_identification` | text | 16 15 |
//! | `ucr` | text | 12 08 |
//! | `supporting_documents` | list of (`type`, `reference`) | 12 03 |
//! | `fallback_reference` | text | |
//! | `fallback_lodged_at_ms` | int64 | as declared, whatever it is; NULL without a fallback |
//!
//! **`goods_items`**: one row for each goods item of those declarations.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `ordinal` | int64 | its declaration |
//! | `goods_item` | uint32 | its place there as findings count, from 1 |
//! | `goods_item_number` | uint32 | 11 03, as declared |
//! | `hs6`, `description` | text | 18 09 056, 18 05 |
//! | `intrinsic_value_currency`, `_hundredths` | text, uint64 | 14 14 |
//! | `intrinsic_value_eur_cents` | uint64 | the same in euro, rounded half up; NULL where it was not judged or could not be converted |
//! | `gross_mass_mg` | uint64 | 18 04, milligrams |
//! | `packages` | uint32 | 18 06 004 |
//! | `additional_procedures` | list of text | 11 10 |
//! | `product_merchant`, `_manufacturer`, `_gtin` | text | 12 04 |
//! | `country_of_origin` | text | 16 08 |
//!
//! **`findings`**: one row for each finding about those declarations; a conflict's first one is
//! `LRN_CONTENT_CONFLICT`. Sentence and legal basis follow from reason and rule set.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `ordinal` | int64 | its declaration |
//! | `position` | uint32 | among them, from 0; the verdict had those below 100 |
//! | `reason` | text | as `INTRINSIC_VALUE_EXCEEDS_THRESHOLD` |
//! | `severity` | text | `FLAG` or `REJECT` |
//! | `goods_item` | uint32 | as in `goods_items`; 0 for the declaration as a whole |
//! | `data_element` | text | as `14 14 000 000` |
//! | `value` | text | what its sentence quotes, up to 160 bytes; NULL where nothing is, or it is withheld |
//!
//! **`replays`**: one row for each declaration that was answered before.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `record`, `index` | int64, uint32 | its batch, and its index there |
//! | `declarant`, `representative`, `ioss_number` | text | as in `declarations` |
//! | `first_ordinal` | int64 | `ordinal` of the declaration that got the first answer, of whatever day |
//! | `replay_of` | text | that answer: `ACCEPTED`, `REJECTED` or `CONFLICT` |
//! | `judged_at` | timestamp | the batch's one time |
//! | `fallback_reference` | text | the one that it came with, whatever the first one had; **no such column** in files of versions that did not count by reference |
//!
//! **`batches`**: one row for each batch.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `record` | int64 | its number in the journal |
//! | `batch_id` | text | the declarant's name for it |
//! | `declarant`, `representative`, `representative_status` | | as in `declarations` |
//! | `judged_at`, `law` | timestamp, uint32 | its one time, and the law in force then |
//! | `first_ordinal` | int64 | of its first declaration |
//! | `declarations`, `goods_items` | uint32 | how many it has, replays included |
//!
//! # Look-ups
//! Of 200,000 declarations with 400,000 goods items a look-up reads 1.6 MB (1.4 to 1.7): the footers,
//! and of each column its dictionary and one page of 8,192 rows (16,384 where values are so few that it
//! takes one block all the same). That is what `archive::tests::size` prints; beside it, the set file
//! is read, 0.1 % of the set. Dictionaries are most of it (0.6 MB of goods items here, and up to 4 MiB a
//! column in a row group of 2^20). What rows of a page cost and bring, in bytes a goods item and MB a
//! look-up:
//!
//! | rows | bytes | MB |
//! |---|---|---|
//! | 20,000 | 42.84 | 2.38 |
//! | 8,192 | 42.93 | 1.59 |
//! | 4,096 | 43.19 | 1.34 |
//!
//! Blocks of 4 KiB take 0.04 bytes a goods item more than those of 16 KiB would, and spare 0.9 MB.
//!
//! # Size
//! Bytes a goods item, of generated declarations of 2.0 goods items each, 1.5 million goods items, about
//! as many as a segment of 256 MiB has (`WAAG_LINES=1500000 cargo test --lib archive::tests::size --
//! --nocapture`, which prints them column by column):
//!
//! | `declarations` | `goods_items` | `findings` | `replays` | `batches` | set file | in all |
//! |---|---|---|---|---|---|---|
//! | 27.95 | 13.94 | 0.54 | 0.00 | 0.01 | 0.05 | 42.5 |
//!
//! (43.0 of 400,000 goods items, whose dictionaries serve fewer.) The run over the same declarations takes
//! 34.7 bytes for each of them, so 17.35 a goods item; both together 59.8.
//!
//! Of that, 15.8 look like chance to whoever has no key and are as short as they can be: content digest
//! 5.0, two pseudonyms 6.2, MRN 4.6. Then come product identifiers 4.9, transport document 2.8, mass 1.9,
//! exporter 1.9, UCR 1.8, the value of a line 1.8 and in euro 1.7, postcode 1.8, description 1.4, HS
//! code 1.0, all of them with little that is alike in what the generator makes.
//!
//! What each choice brings, in the same unit:
//!
//! | choice | saves |
//! |---|---|
//! | zstd, after the codings below (at level 3, measured when digests had 128 bits) | 14.8 of 61.9 |
//! | dictionaries for masses, values and costs, instead of differences | 1.7 |
//! | a dictionary for manufacturers' references, instead of texts with lengths | 1.1 |
//! | what the one before does not share, for merchants' references, GTIN, UCR and MRN | 0.9 |
//! | row groups of 2^20 goods items, not 2^17, and then dictionaries for all product identifiers | 1.2 |
//! | digests of 80 bits, not 128 | 3.0 |
//! | pseudonyms of 48 bits, not 64, as they are | 1.2 |
//! | and as differences, which are packed in 49 bits where zstd makes 54 of them | 0.6 |
//! | level 1: at 3, zstd repeats five digits of a transport document that cost less as they are, which makes up for what it spares elsewhere | 0.0; 4.6 s of a processor, not 5.0, for 2 million goods items |
//! | pages of 16,384 rows where values are few | 0.09 |
//!
//! Not taken: zstd at level 13, the lowest that weighs a repetition before it writes it, would save 0.4 of
//! transport document and 0.2 of UCR, but an export of 2 million goods items then takes 7.8 s of a
//! processor, not 5.0 (6.9 with the first alone), and 0.2 of MRN at 0.8 s more for each million;
//! levels 2 and 6 hardly anything. BYTE_STREAM_SPLIT of pseudonyms would save 0.17, of values 0.1, which readers of before 2024 do not know for integers.
//! Statistics are kept of the columns by which rows are looked for, and nowhere else.

mod checked_file;
mod checking;
mod column;
mod copying;
mod csv_file;
mod cursor;
mod encoder;
mod entry;
mod error;
mod find;
mod kinds;
mod listing;
mod opening;
mod private;
#[cfg(test)]
mod reading;
mod rows;
mod scan;
mod set;
mod set_writer;
mod store;
mod table_file;
mod tables;
mod takes_rows;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

pub use checking::Checked;
pub use csv_file::write_csv;
pub use entry::{BatchEntry, DeclarationEntry, Entry, ReplayEntry};
pub use error::ArchiveError;
pub use find::{Found, FoundDeclaration};
pub use listing::{ListedFile, ListedSet, list_sets};
pub use private::Pseudonyms;
pub(crate) use private::even_out;
pub use rows::{BatchRow, DeclarationRow, ReplayRow};
pub use scan::Records;
pub use set::{FileEntry, OtherRecord, Part, Set};
pub use set_writer::SetWriter;
pub use store::{Archive, DaysDropped, Opened, Options};
pub use tables::TABLES;
pub use takes_rows::TakesRows;
pub use writer::{ArchiveWriter, TableTotals};

/// Version of tables and columns, named in every file. Columns may be added; a change of one that
/// is there needs a new version.
pub const FORMAT_VERSION: u32 = 1;
