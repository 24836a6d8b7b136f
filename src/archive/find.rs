//! Finds one declaration by its ordinal, decoding no more than the pages that have it.
//!
//! Ordinals ascend in every table, and the index of pages in a file's footer says which of them a page
//! has. So of each file the footer is read, the pages of `ordinal` that may have it, and then of each
//! column its dictionary and the page in question.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::{ColumnChunkMask, PageIndexPolicy, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::checked_file::{CheckedFile, Source};
use super::column::{Columns, Presence, Table, column};
use super::cursor::{Cursor, metadata};
use super::entry::DeclarationEntry;
use super::error::ArchiveError;
use super::kinds::Places;
use super::scan::{Declarations, open_files};
use super::set::{BlockChecks, FileEntry, Part, Set};
use super::store::Archive;
use super::tables;
use crate::day::{Day, Moment};
use crate::id::{Eori, EurCents, Ordinal, Watermark};
use crate::outcome::Outcome;
use crate::proto::v1;
use crate::rules::Judgement;
use crate::rules::finding::{Findings, OwnFindings};
use crate::wire::digest::Digests;
use crate::wire::message::to_message;

/// What the archive has under an ordinal.
#[derive(Debug)]
pub enum Found {
    /// The declaration.
    Declaration(Box<FoundDeclaration>),
    /// Its day is past retention.
    Dropped,
    /// None: it was not archived yet, or it is a replay.
    NotHere,
}

/// A declaration that got a first answer: all that the archive has of it.
#[derive(Debug)]
pub struct FoundDeclaration {
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
    pub mrn: Option<String>,
    /// Who lodged it.
    pub declarant: Eori,
    /// For whom; empty without one, and as declared, even malformed.
    pub representative: String,
    /// 0 without one.
    pub representative_status: u32,
    /// The batch's one time.
    pub judged_at: Moment,
    /// The moment of its fallback lodgement, where law and rates are those of that moment.
    pub lodged_at: Option<Moment>,
    /// The day whose law and rates judged it.
    pub law_day: Day,
    /// As `2026-11-01+9f3ac204`.
    pub rule_set: String,
    /// As `5be1770a`.
    pub reference_data: String,
    /// Number of the law in force at arrival.
    pub law: u32,
    /// Outcome of the rules and amounts.
    pub judgement: Judgement,
    /// Of its content.
    pub digests: Digests,
    /// Name or street of a private person was withheld.
    pub is_withheld: bool,
    /// As it was judged, but for what is withheld.
    pub declaration: v1::Declaration,
    /// In euro, of each goods item; `None` where it was not judged or could not be converted.
    pub line_values: Vec<Option<EurCents>>,
    /// Bytes that were read to find it.
    pub bytes_read: u64,
    findings: Findings,
}

impl FoundDeclaration {
    /// The declaration and what was found of it.
    #[must_use]
    pub fn into_parts(self) -> (v1::Declaration, Findings) {
        (self.declaration, self.findings)
    }

    /// All that was found, in order; of a conflict, LRN_CONTENT_CONFLICT first.
    #[must_use]
    pub fn findings(&self) -> OwnFindings<'_> {
        self.findings.since(0)
    }

    fn of(entry: DeclarationEntry<'_>) -> Self {
        let mut findings = Findings::default();
        for finding in entry.findings.list {
            let (reason, severity) = (finding.reason, finding.severity);
            let value = entry.findings.value(finding);
            findings.add(reason, severity, finding.element, finding.goods_item, value);
        }
        Self {
            ordinal: entry.ordinal,
            record: entry.record,
            index: entry.index,
            day: entry.day,
            outcome: entry.outcome,
            mrn: entry.mrn.map(str::to_owned),
            declarant: entry.lodger.declarant,
            representative: entry.lodger.representative.to_owned(),
            representative_status: entry.lodger.representative_status,
            judged_at: entry.judged_at,
            lodged_at: entry.lodged_at,
            law_day: entry.law_day,
            rule_set: entry.rule_set.to_owned(),
            reference_data: entry.reference_data.to_owned(),
            law: entry.law,
            judgement: entry.judgement,
            digests: entry.digests,
            is_withheld: entry.is_withheld,
            declaration: to_message(&entry.declaration),
            line_values: entry.line_values,
            bytes_read: 0,
            findings,
        }
    }
}

impl Archive {
    /// The declaration placed as `ordinal`. Takes no lock that writing, publishing or dropping holds.
    ///
    /// # Errors
    /// Where a file cannot be read, or is damaged.
    pub fn declaration(&self, ordinal: Ordinal) -> Result<Found, ArchiveError> {
        let Some(mut set) = self.inner.set_of(ordinal) else { return Ok(Found::NotHere) };
        loop {
            match self.look_in(&set, ordinal) {
                // Its day may have been dropped since: then there is a newer state of the set.
                Err(ArchiveError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound
                        && let Some(now) = self.inner.set(set.first)
                        && now != set =>
                {
                    set = now;
                }
                found => return found,
            }
        }
    }

    fn look_in(&self, set: &Set, ordinal: Ordinal) -> Result<Found, ArchiveError> {
        let has = |part: &Part| (part.ordinals.0..part.ordinals.1).contains(&ordinal);
        let mut is_dropped = set.parts.iter().any(|part| part.is_dropped && has(part));
        for (part, checks) in set.kept().zip(self.inner.checks(set)?).filter(|(part, _)| has(part))
        {
            let Some(checks) = checks else {
                is_dropped = true;
                continue;
            };
            if let Some(found) = self.look_at(set, part, &checks, ordinal)? {
                return Ok(Found::Declaration(Box::new(found)));
            }
        }
        // Around midnight two days have ordinals of the same range: it may be in the dropped one.
        Ok(if is_dropped { Found::Dropped } else { Found::NotHere })
    }

    fn look_at(
        &self,
        set: &Set,
        part: &Part,
        checks: &[BlockChecks; 5],
        ordinal: Ordinal,
    ) -> Result<Option<FoundDeclaration>, ArchiveError> {
        let files = open_files(&self.inner, set, part, checks)?;
        let [_, declarations, goods_items, findings, _] = &files;
        let [_, of_declarations, of_goods_items, of_findings, _] = part.files;
        let rows = rows_of::<tables::Declarations>(declarations, of_declarations, ordinal)?;
        let mut reader = Declarations {
            rows,
            goods_items: rows_of::<tables::GoodsItems>(goods_items, of_goods_items, ordinal)?,
            findings: rows_of::<tables::Findings>(findings, of_findings, ordinal)?,
            found: Findings::default(),
            day: part.day,
        };
        let found = reader.read()?.map(FoundDeclaration::of);
        let bytes_read = files.iter().map(|file| file.bytes_read()).sum();
        Ok(found.map(|found| FoundDeclaration { bytes_read, ..found }))
    }
}

/// The rows of `file` that have `ordinal`.
fn rows_of<T: Table>(
    file: &Arc<CheckedFile>,
    entry: FileEntry,
    ordinal: Ordinal,
) -> Result<Cursor<T::Columns>, ArchiveError>
where
    T::Columns: Columns,
{
    let leaf = T::columns().iter().position(|column| column.name == "ordinal").unwrap_or(0);
    let options = ArrowReaderOptions::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .with_column_index_mask(ColumnChunkMask::columns([leaf]));
    let metadata = metadata(file, entry, options)?;
    let ordinal = ordinal.0.cast_signed();
    let groups = metadata.metadata().row_groups().iter().enumerate();
    let groups: Vec<usize> =
        groups.filter(|(_, group)| may_have(group, leaf, ordinal)).map(|(at, _)| at).collect();
    let mut rows = Vec::new();
    let mut before = 0;
    for group in &groups {
        let own = pages_with(&metadata, *group, leaf, ordinal);
        let own = rows_with(file, &metadata, (*group, leaf), own, ordinal)?;
        rows.extend(own.map(|own| own.start + before..own.end + before));
        before += rows_in(&metadata, *group);
    }
    let selection = RowSelection::from_consecutive_ranges(rows.into_iter(), before);
    let reader = builder(file, &metadata).with_row_groups(groups).with_row_selection(selection);
    let reader = reader.build().map_err(|error| file.error(&error))?;
    Ok(Cursor::over(Arc::clone(file), reader))
}

fn builder(
    file: &Arc<CheckedFile>,
    metadata: &ArrowReaderMetadata,
) -> ParquetRecordBatchReaderBuilder<Source> {
    let source = Source(Arc::clone(file));
    ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata.clone())
}

fn rows_in(metadata: &ArrowReaderMetadata, group: usize) -> usize {
    let group = metadata.metadata().row_groups().get(group);
    group.and_then(|group| usize::try_from(group.num_rows()).ok()).unwrap_or(0)
}

/// By what is noted of the whole row group.
fn may_have(group: &RowGroupMetaData, leaf: usize, ordinal: i64) -> bool {
    let Some(Statistics::Int64(noted)) =
        group.columns().get(leaf).and_then(|column| column.statistics())
    else {
        return true;
    };
    let (least, greatest) = (noted.min_opt(), noted.max_opt());
    least.is_none_or(|least| *least <= ordinal) && greatest.is_none_or(|most| *most >= ordinal)
}

/// The rows of the pages of a row group that may have `ordinal`; all where there is no index.
fn pages_with(
    metadata: &ArrowReaderMetadata,
    group: usize,
    leaf: usize,
    ordinal: i64,
) -> Range<usize> {
    let all = rows_in(metadata, group);
    let index = metadata.metadata().page_index_for_row_group(group);
    let (Some(ColumnIndexMetaData::INT64(pages)), Some(offsets)) =
        (index.column_index(leaf), index.offset_index(leaf))
    else {
        return 0..all;
    };
    let starts = offsets.page_locations().iter().map(|page| page.first_row_index);
    let starts: Vec<usize> = starts.map(|row| usize::try_from(row).unwrap_or(0)).collect();
    let mut own: Option<Range<usize>> = None;
    for (page, start) in starts.iter().enumerate() {
        let may_have = pages.min_value(page).is_none_or(|least| *least <= ordinal)
            && pages.max_value(page).is_none_or(|greatest| *greatest >= ordinal);
        if may_have {
            let end = starts.get(page + 1).copied().unwrap_or(all);
            own = Some(own.map_or(*start, |own| own.start)..end);
        }
    }
    own.unwrap_or(0..0)
}

/// The rows of a row group, looked for in `within`, that have `ordinal`: they lie together.
fn rows_with(
    file: &Arc<CheckedFile>,
    metadata: &ArrowReaderMetadata,
    (group, leaf): (usize, usize),
    within: Range<usize>,
    ordinal: i64,
) -> Result<Option<Range<usize>>, ArchiveError> {
    if within.is_empty() {
        return Ok(None);
    }
    let start = within.start;
    let selection =
        RowSelection::from_consecutive_ranges(std::iter::once(within), rows_in(metadata, group));
    let builder = builder(file, metadata);
    let only = ProjectionMask::leaves(builder.parquet_schema(), [leaf]);
    let reader: ParquetRecordBatchReader = builder
        .with_row_groups(vec![group])
        .with_projection(only)
        .with_row_selection(selection)
        .build()
        .map_err(|error| file.error(&error))?;
    let (mut at, mut own) = (start, None::<Range<usize>>);
    for batch in reader {
        let batch = batch.map_err(|error| file.error(&error))?;
        let ordinals = column::<Places>(&batch, "ordinal", Presence::Required)
            .map_err(|what| ArchiveError::damaged(file.path(), what))?;
        for value in ordinals.values() {
            if *value == ordinal {
                own = Some(own.map_or(at, |own| own.start)..at + 1);
            }
            at += 1;
        }
    }
    Ok(own)
}
