//! From a part of the archive to its rows, and from rows to the findings of a day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cast::Cast;
use super::counting::{Addresses, Descriptions, Documents, Goods, Importers, Splits};
use super::counting_ioss::{ExporterNumbers, IossDeclarants, IossExporters, IossStates};
use super::counting_prices::{Gifts, Prices, Ratios};
use super::error::InsightError;
use super::figure::Figure;
use super::folder::{Folder, PartName};
use super::key_file::{KeyFile, KeyWriter};
use super::keys::Keys;
use super::lodgers::{Lodger, Lodgers};
use super::merge::{Merge, Source};
use super::table::{DAYS_BEFORE_MAX, Keyed, Table};
use super::tally::{Counts, Tallies};
use crate::archive::{Archive, Entry, Part, Set};
use crate::day::Day;
use crate::outcome::Outcome;
use crate::summary::{ActorId, Role};

/// The parts of each day, in the order of their records.
pub(super) type Parts = BTreeMap<Day, Vec<(Arc<Set>, Part)>>;

/// What figures of a day are made of.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) figures: BTreeMap<(Role, ActorId), Vec<Figure>>,
    /// Days that it looks at and that are past their retention.
    pub(super) missing_days: BTreeSet<Day>,
}

/// Derives.
#[derive(Debug)]
pub(super) struct Deriver {
    pub(super) folder: Folder,
    pub(super) archive: Archive,
    pub(super) keys: Keys,
    /// Rows of a table that are put in order at once.
    pub(super) run_rows: usize,
}

impl Deriver {
    /// The file of rows of a part; it is made where it is not there. `None` past its retention, whether the file is
    /// gone already or not.
    fn rows(
        &mut self,
        table: Table,
        set: &Set,
        part: &Part,
    ) -> Result<Option<KeyFile>, InsightError> {
        if part.is_dropped {
            return Ok(None);
        }
        let (path, heading) = self.folder.rows(table, &PartName::of(set, part));
        match KeyFile::open(&path, &heading) {
            Err(error) if error.is_gone() => {}
            Err(InsightError::Damaged { path, what }) => {
                tracing::warn!(file = %path.display(), what, "rows are derived again");
            }
            opened => return opened.map(Some),
        }
        self.derive(set, part, &[table])?;
        KeyFile::open(&path, &heading).map(Some)
    }

    /// Makes the rows of a part.
    pub(super) fn derive(
        &mut self,
        set: &Set,
        part: &Part,
        tables: &[Table],
    ) -> Result<(), InsightError> {
        let name = PartName::of(set, part);
        let mut writers = Vec::new();
        for table in tables {
            let (path, heading) = self.folder.rows(*table, &name);
            writers.push((*table, KeyWriter::create(&path, &heading, self.run_rows)?));
        }
        let mut lodgers = Lodgers::default();
        let mut records = self.archive.read_part(set, part)?;
        while records.next_batch()?.is_some() {
            while let Some(entry) = records.next_entry()? {
                let Entry::Declaration(entry) = entry else { continue };
                if entry.outcome != Outcome::Accepted {
                    continue;
                }
                let who = lodgers.number(Lodger::of(&entry));
                let keyed = Keyed::new(&entry, who, &mut self.keys);
                for (table, writer) in &mut writers {
                    table.rows(&keyed, &mut |row| writer.add(row))?;
                }
            }
        }
        writers.into_iter().try_for_each(|(_, writer)| writer.finish(lodgers.list()))
    }

    /// Makes the figures of `day`.
    pub(super) fn day(&mut self, day: Day, parts: &Parts) -> Result<Made, InsightError> {
        let mut missing_days = BTreeSet::new();
        let window = Day(day.0.saturating_sub(DAYS_BEFORE_MAX))..=day;
        let days = parts.range(window).map(|(day, _)| *day).collect();
        let mut tallies = Tallies::new(day, Cast::new(), days);
        let mut counts: [(Table, Box<dyn Counts>); 13] = [
            (Table::Goods, Box::new(Goods::default())),
            (Table::Importers, Box::new(Importers::default())),
            (Table::Addresses, Box::new(Addresses::default())),
            (Table::Splits, Box::new(Splits::default())),
            (Table::Documents, Box::new(Documents::default())),
            (Table::IossDeclarants, Box::new(IossDeclarants::default())),
            (Table::IossExporters, Box::new(IossExporters::default())),
            (Table::IossStates, Box::new(IossStates::default())),
            (Table::Prices, Box::new(Prices::default())),
            (Table::Gifts, Box::new(Gifts::default())),
            (Table::Ratios, Box::new(Ratios::default())),
            (Table::Descriptions, Box::new(Descriptions::default())),
            (Table::ExporterNumbers, Box::new(ExporterNumbers::default())),
        ];
        for (table, counts) in &mut counts {
            let sources = self.sources(*table, day, parts, &mut tallies, &mut missing_days)?;
            count(&sources, &mut **counts, &mut tallies)?;
        }
        Ok(Made { figures: tallies.figures(), missing_days })
    }

    /// The files that `table` looks at for `day`. Actors of the day itself are numbered first.
    fn sources(
        &mut self,
        table: Table,
        day: Day,
        parts: &Parts,
        tallies: &mut Tallies,
        missing_days: &mut BTreeSet<Day>,
    ) -> Result<Vec<Source>, InsightError> {
        let (before, after) = table.days();
        let window = Day(day.0.saturating_sub(before))..=Day(day.0.saturating_add(after));
        let others = parts.range(window).filter(|(of, _)| **of != day);
        let mut sources = Vec::new();
        for (of, parts) in parts.get_key_value(&day).into_iter().chain(others) {
            for (set, part) in parts {
                let Some(file) = self.rows(table, set, part)? else {
                    missing_days.insert(*of);
                    continue;
                };
                let lodgers = file.lodgers()?;
                let actors = lodgers.iter().map(|lodger| tallies.cast.actors(lodger)).collect();
                sources.push(Source { day: *of, file, actors });
            }
        }
        Ok(sources)
    }
}

fn count(
    sources: &[Source],
    counts: &mut dyn Counts,
    tallies: &mut Tallies,
) -> Result<(), InsightError> {
    let mut merge = Merge::over(sources)?;
    let mut group = None;
    while let Some(seen) = merge.next()? {
        match group.replace(seen.row.group) {
            Some(before) if before != seen.row.group => counts.end_group(before, tallies),
            _ => {}
        }
        counts.row(&seen, tallies);
    }
    if let Some(last) = group {
        counts.end_group(last, tallies);
    }
    counts.end(tallies);
    Ok(())
}
