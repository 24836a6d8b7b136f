//! What shows only when accepted declarations are held against one another: splitting, documents that come
//! twice, low values, repeated prices, few codes, few importers, IOSS numbers that spread or jump. Found after
//! acceptance, from what is sealed: it changes no verdict, and no batch waits for it.
//!
//! ```text
//! archive: sets ─▶ rows of each part, by table ─▶ merged over days ─▶ findings of a day ─▶ Findings: List
//!                  insight/keys/…                                     insight/days/…
//! ```
//!
//! A [`Kind`] is an indicator (DOMAIN 5) or a flag; a [`Figure`] is one of an actor on a day, with numerator,
//! denominator, interval where it is a proportion, and up to 20 declarations to look at. [`Insight`] follows the
//! archive; [`Findings`] is what everyone else reads.
//!
//! # Exact, without sketches
//! What is counted by key (exporter and importer, transport document, importer, HS code) is brought together by
//! sorting: each part of the archive, the days of one set, becomes files of rows in order, and the figures of
//! a day are one merge of the files of the days it looks at. So every count, every distinct count and every
//! largest group is exact, whatever the order of records, and nothing has to be forgotten for want of memory. Values
//! per kilogram alone, of which medians over 90 days are wanted, are kept as counts by bucket of 1.09 % (`ratio`): a
//! histogram in integers, which merges by adding, in any order.
//!
//! What a day is held against is made of the rows of the days before it, and never carried from one day's findings
//! to the next: so each day is made again on its own.
//!
//! # Invariants
//! - Every figure is exactly the fold of the first [`watermark`](Findings::watermark) records, all of which
//!   are sealed. Later ones are not in it, also not of the same day.
//! - All that is here is derived from the archive, and made again from it bit for bit (`waag rebuild`): a file of
//!   rows is a function of its part, and findings are one of the records of the days that they look at.
//! - Days past their retention have no findings and no rows here. What of a later day looked at one of them is kept as
//!   it is, since it could not be made again; where it is made without them, because more was declared or it was
//!   lost, it says how many were missing.
//! - Only accepted declarations are counted. A replay is in no numerator and in no denominator.
//! - Importers and private senders are here as the archive's pseudonyms and as keyed hashes, never by name, and no
//!   figure has them. Rows go with the first set that is sealed after the last day that looks at them: those of
//!   importers are of the newest 8 days, with exporters of 3.
//! - A declaration counts under its declarant, its representative and its IOSS holder, as in summaries.
//! - A crash leaves files that the next round writes again. An error or a panic here stops nothing but this: it is
//!   logged, told by [`Findings::is_stalled`], and tried again (`ingest::finder`).
//!
//! # What a finding does not say
//! That anything is wrong: it is a signal for a conversation or an audit, and changes no verdict. Persons and exporters
//! are told apart as their names and addresses are written, evened out; one who spells them anew each time is many, and
//! of 100 million importers some 18 pairs meet by chance. What was rejected, or lodged elsewhere, is in no figure. That
//! of the newest day grows, and of the one before it splits may: they look at the day after.
//!
//! # Bounds
//! | what | bound | past it |
//! |---|---|---|
//! | rows that are put in order at once | 2^17 for each table: 6 MiB | a run is written |
//! | a run being merged | a block of 16 KiB | |
//! | files open at once | 12: one to be read, one of each table to be written | |
//! | lodgers of a part | 2^18: 31 MB | new ones are `(other)` of their roles |
//! | actors of a role on a day | 100,000 | later ones are `(other)` of that role |
//! | examples of a figure | 20 | counted, and not named |
//! | rows on disk | some 14 bytes a row, about ten rows a declaration; of most tables for a week at most | |
//!
//! Memory of a day grows with its actors (some 1 KiB each with all examples) and with the runs of its window
//! (16 KiB each: 4.6 MB of 28 days of 1.3 million declarations), not with its declarations.

mod block_file;
mod board;
mod cast;
mod counting;
mod counting_ioss;
mod counting_prices;
mod day_file;
mod deriving;
mod error;
mod figure;
mod fold;
mod folder;
mod key_file;
mod keys;
mod kinds;
mod lodgers;
mod merge;
mod page_token;
mod ratio;
mod remaking;
mod row;
mod table;
mod tally;
#[cfg(test)]
pub(crate) mod tests;

pub use board::{Finding, Findings, FindingsCursor, FindingsPage, FindingsQuery};
pub(crate) use counting_prices::{HIGH_FOR_ACTOR, PRICE_EXPORTERS};
pub use error::InsightError;
pub use figure::{EXAMPLES_MAX, Example, Figure, Part};
pub use fold::{Insight, erase_derived, remove};
pub use keys::Keys;
pub use kinds::Kind;
pub use page_token::{read_findings_token, write_findings_token};
pub use remaking::{Remade, remake, verify};
